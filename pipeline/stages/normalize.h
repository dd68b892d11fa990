#pragma once

#include <string>
#include <vector>

#include "core/options.h"
#include "core/scene.h"

namespace fenceline {

struct NormalizeOptions {
    double block_m = 2;  ///< statistics are taken on block averages of this size
    int max_rounds = 50;
    double no_change_probability = 0.95;
    double min_correlation = 0.8;
    double min_no_change_share = 0.01;  ///< of the blocks
    double min_partition_share = 0.60;  ///< of a 4 × 4 partition
};
template <class Visitor>
void describe(NormalizeOptions& o, Visitor&& v) {
    v("normalize.block_m", o.block_m, Range{0, 1000}, "m",
      "side of the block averages the statistics are taken on");
    v("normalize.max_rounds", o.max_rounds, Range{1, 1000}, "",
      "upper bound of IR-MAD's iterations");
    v("normalize.no_change_probability", o.no_change_probability, Range{0.5, 0.9999}, "",
      "IR-MAD probability from which a pixel counts as unchanged");
    v("normalize.min_correlation", o.min_correlation, Range{0, 1}, "",
      "lowest acceptable leading canonical correlation");
    v("normalize.min_no_change_share", o.min_no_change_share, Range{0, 1}, "",
      "smallest share of unchanged blocks that IR-MAD may rest on");
    v("normalize.min_partition_share", o.min_partition_share, Range{0, 1}, "",
      "share of a 4 x 4 partition that must hold unchanged blocks");
}

struct BandLine {
    double gain = 1, offset = 0;  ///< reference ≈ gain · target + offset
    double rmse_before = 0,
           rmse_after = 0;  ///< over held-out blocks of unchanged ground, in the reference's units
};
struct Normalization {
    std::string method;  ///< ir_mad, theil_sen, none
    std::string reason;  ///< why the first choice was refused; may be empty
    std::vector<BandLine>
        bands;  ///< one per band of the target; bands the reference lacks keep gain 1, offset 0
    std::vector<double>
        correlations;  ///< IR-MAD's canonical correlations, largest first; empty without IR-MAD
    double no_change_share = 0;  ///< of the blocks that both scenes show
    int rounds = 0;
};

/// Relative radiometry of a registered target against the reference (IR-MAD: Nielsen 2007, Canty &
/// Nielsen 2008; fallback: Theil–Sen over structurally stable pixels). Both on one grid.
Normalization normalize(const Scene& target, const Scene& reference,
                        const NormalizeOptions& options);
/// Applies gain and offset in place; invalid pixels stay 0.
void apply(const Normalization& normalization, Raster& raster);

}  // namespace fenceline
