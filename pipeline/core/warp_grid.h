#pragma once

#include "core/grid.h"
#include "core/warp.h"

namespace fenceline {

/// The same displacement of the ground, told in the pixels of another grid (other GSD, extent or
/// CRS): exact when the grids are equal, or when they share a CRS and the warp is affine; else the
/// local field is carried over to a lattice a third as wide (within 0.01 px for the fields that
/// align finds). Beyond its own grid a field goes on with its border value. Throws DataError when
/// the grids do not meet.
Warp warp_on_grid(const Warp& warp, const Grid& own, const Grid& wanted);

}  // namespace fenceline
