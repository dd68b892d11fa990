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

/// Log-odds that an object of a series is real, from what its looks show between the first and the
/// last that shows it: the mean of their scores, how many they are, for buildings how clearly the
/// roof stands out (ponds and bare ground throw no shadow), and for posts whether a line runs by:
/// line_m is the distance to the nearest one, m; NaN: no line is known, which says nothing. What
/// looks like an object in one look often does so in the next, so that looks do not count as
/// independent ones here. Fitted on tune series by benchmarks/fit_looks.py (logistic regression).
/// Looks without a score, or none that shows it: +∞, nothing is known.
double existence_limit(StructureKind kind, std::span<const Look> looks,
                       double line_m = std::numeric_limits<double>::quiet_NaN());

}  // namespace fenceline
