#pragma once

#include <algorithm>
#include <vector>

#include "core/warp.h"
#include "stages/align_windows.h"

// The displacement model that windows agree on.

namespace fenceline {

enum class Model { translation, similarity, affine, local };
const char* name_of(Model model);

/// The grid that models live on.
struct Frame {
    int width = 0, height = 0;
    double spacing_px = 64;  ///< of the local field's lattice
    Point centre() const { return {0.5 * width, 0.5 * height}; }
    double scale() const { return 0.5 * std::max(width, height); }
};

struct ModelChoice {
    Model model = Model::translation;
    double stiffness = 0;
};

struct FitOptions {
    double tolerance_px = 3;                ///< consensus on an affine
    double floor_px = 0.3;                  ///< residuals under this never lead to rejection
    double block_px = 128, buffer_px = 64;  ///< held-out blocks, and what is kept off around them
    std::vector<double> stiffness;          ///< of the local fields that are tried; empty: none
};

struct Fit {
    Warp warp;
    ModelChoice choice;
    int kept = 0, passed = 0;
    double rmse_px = 0;  ///< leave-block-out, kept matches
    bool ok = false;
};

/// The model ladder translation, similarity, affine, affine + smooth local field: the simplest
/// model whose leave-block-out residual is within 3 % (or 0.003 px) of the best. Marks the matches
/// it kept and gives every one its held-out residual.
Fit fit(std::vector<Match>& matches, const Frame& frame, const FitOptions& options);

}  // namespace fenceline
