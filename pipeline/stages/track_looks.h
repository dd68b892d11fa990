#pragma once

#include <limits>
#include <span>
#include <vector>

#include "stages/structures.h"

namespace fenceline {

/// How the scores of one object's looks scatter while it stands: every object has a level of its
/// own, every scene lifts or lowers them all, and each look adds noise; a few looks are off by
/// anything. Fitted on tune series by benchmarks/fit_looks.py.
struct LookModel {
    double level_mean, level_sd;  ///< of the objects' levels, log-odds
    double look_sd;               ///< of a look around its object's level
    double outlier_share;         ///< of looks that may say anything between −12 and 12
};
LookModel look_model(StructureKind kind, bool on_map);

/// Log-likelihood ratios of all looks [scene][object], present against absent, with what the series
/// itself tells about them: an object that is seen faintly in every look and not at all in one is
/// no surprise, an object seen sharply in every other look is; and in a scene in which known things
/// look faint (snow, haze), absence says little. The ratio of a look that speaks for absence is
/// p(score | the object's other looks, scene) / p(score | it does not stand): the posterior
/// predictive of a random-effects model (Laird & Ware 1982) against what such places show without
/// it, at most 0 (says nothing); nor may it say more than the share of standing things that its
/// scene hides altogether allows. Looks without a score, and those of an object that no other look
/// shows, keep their ratio. The same objects in any order give the same.
std::vector<std::vector<double>> log_ratios_of(std::span<const Detection> objects,
                                               std::span<const std::vector<Look>> looks);

/// Level that the other guard posts of its series have, by object, as a mean over those that are
/// more likely real than not, with four posts of a usual series added (5 with all surfaces seen
/// well; snow and coarse images lower it). NaN: no look at the map.
std::vector<double> usual_post_levels(std::span<const Detection> objects,
                                      std::span<const std::vector<Look>> looks);

/// What else is known of an object whose existence is asked.
struct Surroundings {
    /// Distance to the nearest line, m; NaN: no line is known, which says nothing.
    double line_m = std::numeric_limits<double>::quiet_NaN();
    /// What usual_post_levels says; NaN: nothing is known.
    double usual_level = std::numeric_limits<double>::quiet_NaN();
    double area_m2 = 0;  ///< of the object itself
};

/// Log-odds that an object of a series is real, from what its looks show between the first and the
/// last that shows it: the mean of their scores, how many they are, for buildings how clearly the
/// roof stands out (ponds and bare ground throw no shadow), and for posts whether a line runs by,
/// or, on the map, whether it looks fainter than the other posts of the series and larger than
/// posts are, as gatehouses do. What looks like an object in one look often does so in the next, so
/// that looks do not count as independent ones here. Fitted on tune series by
/// benchmarks/fit_looks.py (logistic regression; on the map: whole runs, structures_model_card.md).
/// Looks without a score, or none that shows it: +∞, nothing is known.
double existence_limit(StructureKind kind, std::span<const Look> looks,
                       const Surroundings& surroundings);

}  // namespace fenceline
