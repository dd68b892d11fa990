#include "kernels/bands.h"

#include <cmath>

namespace fenceline::kernels::reference {

void combine_bands(const float* const* bands, int band_count, const float* weights, float constant,
                   std::size_t n, float* out) {
    for (std::size_t i = 0; i < n; ++i) {
        float sum = constant;
        for (int b = 0; b < band_count; ++b) sum = std::fma(weights[b], bands[b][i], sum);
        out[i] = sum;
    }
}

void block_average(const float* const* rows, int side, std::size_t n, float* out) {
    for (std::size_t i = 0; i < n; ++i) {
        double sum = 0;
        for (int y = 0; y < side; ++y)
            for (int x = 0; x < side; ++x)
                sum += static_cast<double>(
                    rows[y][i * static_cast<std::size_t>(side) + static_cast<std::size_t>(x)]);
        out[i] = static_cast<float>(sum / (static_cast<double>(side) * side));
    }
}

}  // namespace fenceline::kernels::reference
