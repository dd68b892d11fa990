#pragma once

#include <span>
#include <vector>

#include "core/options.h"
#include "core/report.h"
#include "core/scene.h"
#include "stages/difference.h"
#include "stages/perimeter.h"
#include "stages/structures.h"

namespace fenceline {

struct TrackOptions {
    double confirm_llr = 6.8;  ///< Wald 1945: ln((1-β)/α), α 0.001, β 0.1
    double reject_llr = -2.3;  ///< ln(β/(1-α))
    int min_independent_looks = 2;
    double independent_days = 20, independent_sun_deg = 10;  ///< looks differ in season or sun
};
template <class Visitor>
void describe(TrackOptions& o, Visitor&& v) {
    v("track.confirm_llr", o.confirm_llr, Range{0, 100}, "", "log-likelihood ratio from which a change is confirmed");
    v("track.reject_llr", o.reject_llr, Range{-100, 0}, "", "log-likelihood ratio below which it is rejected");
    v("track.min_independent_looks", o.min_independent_looks, Range{1, 100}, "", "independent looks that a confirmed change needs");
    v("track.independent_days", o.independent_days, Range{0, 366}, "days", "looks this far apart are independent");
    v("track.independent_sun_deg", o.independent_sun_deg, Range{0, 90}, "°", "looks whose sun differs this much are independent");
}

/// Everything the looks said, by scene index.
struct SeriesEvidence {
    std::vector<SceneInfo> scenes;            ///< usable ones, time order
    std::vector<bool> may_start_change;       ///< per scene
    PerimeterResult perimeter;
    std::vector<Detection> objects;
    std::vector<std::vector<Look>> looks;     ///< [scene][object]
    std::vector<ChangeMap> intervals;         ///< between scene i and i+1; planes may be empty, objects matter
};

struct Tracks {
    std::vector<ReportStructure> structures;
    std::vector<ReportChange> changes;
    std::vector<NotObservable> not_observable;
};

/// Sequential test of every object and change over its looks (Wald 1945), intervals, states. Ids are stable
/// (sorted by kind, then place). METHODS.md 7.
Tracks track(const SeriesEvidence& evidence, const Grid& grid, const StructureOptions& structure_options,
             const TrackOptions& options);

}  // namespace fenceline
