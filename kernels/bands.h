#pragma once

#include <cstddef>

namespace fenceline::kernels {

/// out[i] = constant + Σ_b weights[b] · bands[b][i], fused, bands in order. Every pixel is computed
/// alike wherever it lies in the row. out may be one of the bands only when band_count == 1.
void combine_bands(const float* const* bands, int band_count, const float* weights, float constant,
                   std::size_t n, float* out);

/// out[i] = mean of the side × side block whose first column is i·side; rows: side row pointers. n
/// blocks.
void block_average(const float* const* rows, int side, std::size_t n, float* out);

namespace reference {
void combine_bands(const float* const* bands, int band_count, const float* weights, float constant,
                   std::size_t n, float* out);
void block_average(const float* const* rows, int side, std::size_t n, float* out);
}  // namespace reference

}  // namespace fenceline::kernels
