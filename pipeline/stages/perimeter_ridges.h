#pragma once

#include <span>
#include <vector>

#include "stages/perimeter_looks.h"

namespace fenceline {

// Thin lines: a wall, a fence or a ditch is a line of about a metre that is darker or brighter than
// the ground on both of its sides, which roads (wider) and edges of fields and woods (one-sided)
// are not.

/// How clearly thin lines show, in cells over the whole grid.
struct RidgeField {
    int width = 0, height = 0;
    double cell_px = 1;  ///< grid pixels per cell
    /// Per direction (LineEvidence's), the most that a place of the cell shows: contrast in local
    /// deviations of luminance, 0…8, mean over the looks; 0 where none of them sees anything.
    std::vector<Plane> contrast;
    Plane strongest;  ///< of all directions
    float usual = 0;  ///< median of `strongest`: what any place shows

    bool contains(int x, int y) const { return x >= 0 && y >= 0 && x < width && y < height; }
    /// 0…1: a contrast beyond what any place shows.
    double gain(float contrast_here) const;
};

/// The field of some looks. A line's contrast is the lesser one of its middle (1 U) against either
/// side (1.5 U wide, 2.2 U away), of one sign, each averaged along 14 U: the line detector of
/// Tupin, Maître, Mangin, Nicolas and Pechersky 1998 with differences in place of ratios, in 24
/// directions. Cells are 2 U, larger ones where there would be more than 600 000 of them.
RidgeField ridge_field(const Series& series, std::span<const int> looks);

}  // namespace fenceline
