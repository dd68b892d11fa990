#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "core/options.h"
#include "core/report.h"
#include "core/warp.h"

namespace fenceline {

struct EvaluateOptions {
    double post_match_m = 3;
    double building_iou = 0.5;
    double region_iou = 0.3;    ///< ground gained or lost by the perimeter
    double claimed_from = 0.5;  ///< structures of lower confidence do not count as claimed
    int bootstrap_rounds = 1000;
};
template <class Visitor>
void describe(EvaluateOptions& o, Visitor&& v) {
    v("evaluate.post_match_m", o.post_match_m, Range{0.1, 100}, "m",
      "farthest a reported post may stand from the true one");
    v("evaluate.building_iou", o.building_iou, Range{0.01, 1}, "",
      "least intersection over union of a reported and a true building");
    v("evaluate.region_iou", o.region_iou, Range{0.01, 1}, "",
      "least intersection over union of reported and true ground gained or lost");
    v("evaluate.claimed_from", o.claimed_from, Range{0, 1}, "",
      "structures reported with a lower confidence are not counted as claimed");
    v("evaluate.bootstrap_rounds", o.bootstrap_rounds, Range{0, 100000}, "",
      "resamplings of the series behind the intervals");
}

/// One figure of a score, in a form that can be pooled over series.
struct Figure {
    enum class Pooling {
        share,          ///< sum of numerators / sum of denominators
        median,         ///< of all samples
        percentile_90,  ///< of all samples
        kappa,          ///< Cohen's, of summed counts: samples are true positives, false positives,
                        ///< false negatives, true negatives, again and again
    };
    std::string name, definition, unit;
    Pooling pooling = Pooling::share;
    std::string stratum;                    ///< scenes that it is made of; empty: all
    double numerator = 0, denominator = 0;  ///< share
    std::vector<double> samples;            ///< median, percentile_90, kappa
    /// NaN when there is nothing to measure it on.
    double value() const;
    /// What it rests on: the denominator, the number of samples, or (kappa) of pixels that changed
    /// in the truth or the report.
    double cases() const;
};

/// The score of one report against the truth of its series. METHODS.md 9.
struct SeriesScore {
    std::string series, family;
    bool simulated = false;
    std::vector<Figure> figures;
    std::vector<std::string> notes;
    const Figure* find(const std::string& name, const std::string& stratum = "") const;
};

/// What the truth knows of one scene beside its displacement.
struct SceneConditions {
    std::string scene;
    double snow = 0, cloud = 0;  ///< 0–1
};

/// Where things appear in one simulated image (truth.json, "simulation"): what truly stands at map
/// position m (of the truth's grid CRS) appears at m + [dx_m, dy_m] + linear · (m − centre) +
/// lattice(m), metres east and north.
struct SceneDisplacement {
    std::string scene;
    double dx_m = 0, dy_m = 0;
    Point centre_map;
    std::array<double, 4> linear{};
    LocalField lattice;  ///< metres, nodes every spacing_px metres from origin_map, y counting
                         ///< south; columns 0: none
    Point origin_map;
    Point operator()(Point map) const;  ///< displacement of what stands there, m east, north
};

/// The truth as it appears in an image displaced like that: every geometry is moved, no measure is
/// changed.
Report displaced(const Report& truth, const SceneDisplacement& displacement);

/// Scores a report against truth given as a report (simulate's truth.json). Scenes are matched by
/// id, else by time; a scene that the report left out is not scored. Objects are matched one to one
/// by assignment (most matches, then nearest). What the truth calls not observable in a scene is
/// neither hit nor miss there. A report's positions are in the frame of its reference scene: the
/// truth is displaced as that scene is (displacements; or the registration of the truth's scene,
/// its true mean shift in m east and north). A reference without a registration of its own has no
/// frame: such a report (truth.json itself) is on the ground. What is measured per scene is also
/// given by strata: sensor, GSD, bands, sun, view, season, snow and cloud.
SeriesScore evaluate(const Report& report, const Report& truth, const EvaluateOptions& options,
                     const std::string& family = "",
                     std::span<const SceneDisplacement> displacements = {},
                     std::span<const SceneConditions> conditions = {});

/// A figure over the series of a family. The interval is 95 %, by bootstrap over series (never over
/// pixels or objects); NaN with fewer than two series.
struct FamilyFigure {
    std::string name, definition, unit, stratum;
    double value = 0, low = 0, high = 0, cases = 0;
    int series = 0;  ///< that have something to measure it on
};
struct FamilyScore {
    std::string family;
    int series = 0;
    std::vector<FamilyFigure> figures;
};
/// Families in alphabetical order; the same bytes for the same scores.
std::vector<FamilyScore> aggregate(std::span<const SeriesScore> scores,
                                   const EvaluateOptions& options);

/// {"schema": "fenceline-score/1", "families": […], "series": […]}; figures without cases have the
/// value null.
std::string score_json(std::span<const SeriesScore> scores, std::span<const FamilyScore> families);
/// A table for people, one line per figure with its definition.
std::string score_table(std::span<const FamilyScore> families);

/// One-to-one matches of a and b, as pairs of indices in order of a: as many as possible, then the
/// highest sum of gain (0–1). gain <= 0: the two cannot match. Kuhn–Munkres on every connected
/// group of candidates.
struct MatchCandidate {
    int a = 0, b = 0;
    double gain = 0;
};
std::vector<std::pair<int, int>> assign(int count_a, int count_b,
                                        std::span<const MatchCandidate> candidates);

}  // namespace fenceline
