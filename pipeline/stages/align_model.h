#pragma once

#include <vector>

#include "stages/align_field.h"

// The displacement model that windows agree on.

namespace fenceline {

const char* name_of(Model model);

struct FitOptions {
    double tolerance_px = 3;                ///< consensus on an affine
    double floor_px = 0.3;                  ///< residuals under this never lead to rejection
    double block_px = 128, buffer_px = 64;  ///< held-out blocks, and what is kept off around them
    double most_px = 1;                     ///< residuals over this always do
    std::vector<double> stiffness;          ///< of the local fields that are tried; empty: none
    double sigma_spacing_px = 64;           ///< of the field of standard errors
    /// How much larger the standard error is than it were if matches erred independently: windows
    /// overlap, and neighbours see the same shadows.
    double shared = 1;
    bool admit = false;  ///< windows that are left out together are asked together: see Admitted
};

/// Windows that a bent field had left out and that were let in together, because one field holds
/// them beside all others.
struct Admitted {
    int count = 0;
    double noise_px = 0;  ///< of one of them about that field, per axis
};

/// Crowns that lean beside open ground are let in by a field that bends as sharply, too; but trees
/// are not of one height, and such windows scatter more. Over this the admitted ones may show
/// crowns, and the fit is made again without. Set on tune tiles and tune series
/// (benchmarks/RESULTS.md).
double admitted_limit_px(const Admitted& admitted, const FitOptions& options);

struct Fit {
    Warp warp;
    ModelChoice choice;
    int kept = 0, passed = 0;
    Admitted admitted;
    bool layered = false;  ///< crowns were told from open ground
    int canopy = 0;        ///< of the kept ones
    double lean_px = 0;    ///< RMS of what was taken off them
    double rmse_px = 0;    ///< leave-block-out, kept matches
    double noise_px = 0;   ///< of one match, per axis
    /// Standard error of the model per axis (px) at (i·sigma_spacing_px, j·sigma_spacing_px), row
    /// by row; 0 for global models.
    double sigma_spacing_px = 64;
    int sigma_columns = 0, sigma_rows = 0;
    std::vector<float> sigma_px;
    bool ok = false;
};

/// Windows that show crowns lie off the ground by a displacement that is much the same all over one
/// pair (their height times the difference of the views; over 90 % of the error of bad windows lies
/// along it, METHODS 2). Where windows on open ground alone hold the field, the dark ones, sorted
/// by brightness into layers, each get one unknown displacement, and join with weights by their
/// scatter about it: they tell how the field goes on under the forest, not where it is.
///
/// The model ladder translation, similarity, affine, affine + smooth local field: the simplest
/// model whose leave-block-out residual is within 3 % (or 0.003 px) of the best. Marks the matches
/// it kept and gives every one its held-out residual.
Fit fit(std::vector<Match>& matches, const Frame& frame, const FitOptions& options);

}  // namespace fenceline
