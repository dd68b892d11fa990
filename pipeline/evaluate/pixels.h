#pragma once

#include <span>

#include "core/geometry.h"

namespace fenceline {

/// Ground that changed between two scenes, in metres of a local frame.
struct ChangedGround {
    int interval = 0;    ///< between which scenes
    bool gained = true;  ///< something appeared there; false: disappeared
    Ring ring;
};

/// Decisions on pixels: each pixel of each interval is decided twice, gained or not and lost or
/// not.
struct PixelCounts {
    double true_positive = 0, false_positive = 0, false_negative = 0, true_negative = 0;
};

/// Pixels of 1 m whose centre lies in a ring. Those in unknown (same interval, same direction) are
/// not asked for and not held against the report. area_m2: ground that is decided on per interval.
/// Only what changed takes memory, 8 byte a pixel.
PixelCounts count_pixels(std::span<const ChangedGround> truth,
                         std::span<const ChangedGround> reported,
                         std::span<const ChangedGround> unknown, int intervals, double area_m2);

}  // namespace fenceline
