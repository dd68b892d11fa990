#pragma once

#include <array>
#include <functional>
#include <vector>

#include "core/grid.h"
#include "core/mad.h"
#include "core/scene.h"
#include "stages/difference.h"

// What difference() weighs: the local evidence of change, computed piece by piece.

namespace fenceline {

/// px; the farthest any evidence looks: longest line + means, or shadow + means; and one more for
/// what saturation spills over
inline constexpr int kEvidenceHalo = 49;

/// What the whole pair has in common; everything else is local.
struct PairStatistics {
    std::string fault;  ///< why radiometry could not be compared; empty: it could
    std::vector<std::vector<float>> first_weights, second_weights;  ///< variate / σ of each image
    std::vector<float> first_constant, second_constant;
    float soft_gradient = 1;     ///< grey levels per pixel; typical gradient
    float luminance_scale = 1;   ///< robust σ of luminance within an image
    float difference_scale = 1;  ///< robust σ of the luminance difference
    float green_centre = 0;      ///< median change of the vegetation index
    float green_scale = 1, grey_centre = 0, grey_scale = 1;
    int radius = 1, search = 1, window = 15, longest = 41, shortest = 5;
    bool shadows = false;
    Point shadow_first, shadow_second;  ///< px per metre, away from the sun
    double gsd = 1;
    bool smooth = false;  ///< coarse, and alike but for resampling: on means of 3 × 3 pixels
    /// Then nothing is brighter than this, band by band: glints are sampled differently every time.
    std::vector<float> brightest;
    float brightest_luminance = 0;
    bool coarse = false;  ///< single buildings have no shape, and shadows no length
};

/// Why a pixel of one image says nothing, or not all, about the other.
enum Doubt : std::uint8_t {
    kFirstHidden = 1,
    kSecondHidden = 2,
    kFirstSaturated = 4,  ///< its value, or what it was interpolated from, is a lower bound
    kSecondSaturated = 8,
};

/// Two registered scenes, or the same rows of both.
struct Pair {
    CommonBands bands;
    Mask seen;  ///< nonzero where both show the ground
    std::size_t seen_count = 0;
    Mask doubt;  ///< Doubt bits; empty where there is none
    Plane luminance_first, luminance_second;
    int first_row = 0;  ///< of the planes, in the image
};

/// Binds two scenes on one grid; false when they share no band or no grid. The scenes must outlive
/// the pair. What pair held before is lost, its memory is used again.
bool bind_pair(const Scene& before, const Scene& after, Pair& pair);

/// Statistics of the pair (the whole image, or a mosaic of samples of it), on block averages of
/// about 2 m and a lattice of at most 250 000 pixels. sigma_r_px: registration uncertainty.
PairStatistics pair_statistics(const Pair& pair, const SceneInfo& before, const SceneInfo& after,
                               double gsd, double sigma_r_px);

/// The evidence of one row: a pointer per Evidence, for "appeared" and for "disappeared"; dark:
/// shade in the second less shade in the first image, -1 … 1.
struct EvidenceRow {
    std::array<const float*, kEvidenceCount> appeared, disappeared;
    const float* dark = nullptr;
};

/// Calls body(x0, y, n, row) for every row of every tile of rows [y0, y1) that holds a seen pixel,
/// tiles in parallel. Positions are the image's; planes of the pair must reach kEvidenceHalo rows
/// further, or to the image's border. Values do not depend on the tile.
void for_evidence_rows(const Pair& pair, const PairStatistics& statistics, int y0, int y1,
                       int tile_px,
                       const std::function<void(int, int, int, const EvidenceRow&)>& body);

}  // namespace fenceline
