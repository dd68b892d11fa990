#pragma once

#include <vector>

#include "stages/align_levels.h"

// Windows of two scenes against each other, and the coarse search.

namespace fenceline {

/// One window's answer.
struct Match {
    Point reference_px, target_px;  ///< grid px
    double sidelobe = 0, second = 1, coherence = 0, usable = 0;
    double brightness = 0, roughness = 0;  ///< of the reference's window: forest is dark and rough
    bool passed = false;                   ///< every test that one window can take alone
    double residual_px = 0;                ///< held out
    bool kept = false;
    bool ground = false;     ///< the fit does not take it for crowns
    double disputed_px = 0;  ///< left out by the fit, but its like around it say the same: how far
                             ///< they are from the model; 0 otherwise
    /// Kept for its share of the field's shape only: it shows crowns, and target_px has their
    /// common lean taken off.
    bool canopy = false;
    Point lean_px;
};

struct Search {
    int window = 128, stride = 64, reach = 8;  ///< level px; window a power of two, 32 … 512
    double sigma = 0.8;                        ///< smoothing of the channels, level px
    int core = 4;                              ///< radius of a peak, level px
};

struct Harvest {
    std::vector<Match> matches;  ///< all windows with enough usable ground, row by row
    int windows = 0;             ///< all windows of the grid
};

/// Matches windows of gradient orientation channels (Fitch et al. 2002; the first harmonic of
/// CFOG, Ye et al. 2019) by a half whitened correlation, the target being seen through warp.
/// Windows may hang over the border by a quarter; a match belongs to the centroid of the ground
/// that both scenes show in its window.
Harvest harvest(const Level& reference, const Level& target, const Plane& target_coefficients,
                const Warp& warp, const Search& search);

struct Coarse {
    Point shift_px;    ///< grid px, target minus reference
    double score = 0;  ///< height above the surface's median in robust standard deviations
};

/// Masked normalised correlation of the whole orientation channels (Padfield 2012) for all shifts
/// up to reach level px; the best few separate peaks, best first.
std::vector<Coarse> coarse_search(const Level& reference, const Level& target, int reach,
                                  double sigma);

}  // namespace fenceline
