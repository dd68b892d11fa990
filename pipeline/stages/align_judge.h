#pragma once

#include "stages/align.h"

// What may be claimed of a registration.

namespace fenceline {

/// How far every place of the grid is from a kept tie point, on a lattice of 40 × 40 cells.
struct Support {
    static constexpr int kSteps = 40;
    std::vector<double> nearest_px;  ///< at the cells' middles, row by row
};
Support support_of(const Alignment& alignment, int width, int height);

/// Fills in from tie points, σ_r and held_out_m: rmse_m, ce90_m, whole_rmse_m, supported_fraction,
/// empty_radius_m, and status with its reason. warp, model and residual stay as they are. gsd: m a
/// pixel.
void judge(Alignment& alignment, int width, int height, double gsd, const AlignOptions& options);

/// The same alignment without its transform: status fail, for this reason.
Alignment failed(Alignment alignment, std::string reason);

}  // namespace fenceline
