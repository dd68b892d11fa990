#pragma once

#include <string>
#include <vector>

#include "core/options.h"
#include "core/scene.h"

namespace fenceline {

struct NormalizeOptions {
    double block_m = 2;               ///< statistics are taken on block averages of this size
    int max_rounds = 50;
    double no_change_probability = 0.95;
    double min_correlation = 0.8;
};
template <class Visitor>
void describe(NormalizeOptions& o, Visitor&& v) {
    v("normalize.block_m", o.block_m, Range{0, 1000}, "m", "side of the block averages the statistics are taken on");
    v("normalize.max_rounds", o.max_rounds, Range{1, 1000}, "", "upper bound of IR-MAD's iterations");
    v("normalize.no_change_probability", o.no_change_probability, Range{0.5, 0.9999}, "", "IR-MAD probability from which a pixel counts as unchanged");
    v("normalize.min_correlation", o.min_correlation, Range{0, 1}, "", "lowest acceptable leading canonical correlation");
}

struct BandLine {
    double gain = 1, offset = 0;              ///< reference ≈ gain · target + offset
    double rmse_before = 0, rmse_after = 0;   ///< over held-out blocks of unchanged ground
};
struct Normalization {
    std::string method;  ///< ir_mad, theil_sen, none
    std::string reason;  ///< why the first choice was refused; may be empty
    std::vector<BandLine> bands;
};

/// Relative radiometry of a registered target against the reference (IR-MAD: Nielsen 2007, Canty & Nielsen 2008;
/// fallback: Theil–Sen over structurally stable pixels).
Normalization normalize(const Scene& target, const Scene& reference, const NormalizeOptions& options);
/// Applies gain and offset in place; invalid pixels stay 0.
void apply(const Normalization& normalization, Raster& raster);

}  // namespace fenceline
