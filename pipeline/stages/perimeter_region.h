#pragma once

#include <span>

#include "stages/perimeter_detour.h"

namespace fenceline {

// Where the sensor is too coarse to show walls as such, a line alone cannot say which of many
// parallel borders, roads and rows of roofs encloses a compound: the ground must. New compounds are
// new ground, what lies around them is not.

/// How much the ground has changed, 0 (the same) … 1 (nothing in common): 1 less the best
/// correlation of the later looks' mean with any earlier look and with their mean, in windows of
/// five sensor pixels. On the luminance grid of the evidence.
struct ChangedGround {
    Plane change;
    double step = 1;      ///< grid pixels per pixel
    double window_m = 0;  ///< side of the windows: places farther apart are independent
};
ChangedGround changed_ground(std::span<const LineEvidence> evidence, std::span<const int> before,
                             std::span<const int> after, double gsd_m, double resolution_m);

/// A detour of few straight sides, and how much speaks for it.
struct StraightDetour {
    Detour detour;
    double area_sigma_m2 = 0;  ///< of the ground that it encloses: how far its sides could move
    double worth =
        0;  ///< in independent windows of changed ground gained and stretches of line seen
    bool moved_side =
        false;  ///< a side of the ring moved out as a whole, its neighbours going straight on
};

/// The detour with straight sides that explains the ground best, from a first path: changed ground
/// inside and unchanged ground outside (region competition: Zhu & Yuille 1996) plus the gain along
/// the sides, less a price per corner of the whole outline. Corners move, slide along the ring and
/// vanish as long as that is worth it. Against that stands each side of the ring moved outwards as
/// a whole (by at most max_distance_m), its neighbours going straight on: it costs no corner.
StraightDetour straightened(const GainField& field, const ChangedGround& ground,
                            const Centreline& ring, const Detour& first, double gsd_m,
                            double resolution_m, double max_distance_m);

}  // namespace fenceline
