#include "kernels/structure.h"

#include <algorithm>
#include <cmath>

namespace fenceline::kernels::reference {

void orientation_harmonics(const float* above, const float* here, const float* below, float soft,
                           std::size_t n, float* const* out) {
    for (std::size_t i = 0; i < n; ++i) {
        const auto x = static_cast<std::ptrdiff_t>(i);
        const float gx = 0.5F * (here[x + 1] - here[x - 1]), gy = 0.5F * (below[x] - above[x]);
        const float size = std::hypot(gx, gy), phi = std::atan2(gy, gx);
        const float q = size / std::sqrt(size * size + soft * soft);
        out[0][i] = q * std::cos(2 * phi);
        out[1][i] = q * std::sin(2 * phi);
        out[2][i] = q * std::cos(4 * phi);
        out[3][i] = q * std::sin(4 * phi);
    }
}

void channel_product(const float* const* a, const float* const* b, int channels, std::size_t n,
                     float* out) {
    for (std::size_t i = 0; i < n; ++i) {
        float sum = 0;
        for (int c = 0; c < channels; ++c) sum = std::fma(a[c][i], b[c][i], sum);
        out[i] = sum;
    }
}

void keep_best_match(const float* sum, float scale, const float* energy_a, const float* energy_b,
                     std::size_t n, float* best) {
    for (std::size_t i = 0; i < n; ++i)
        best[i] = std::max(best[i],
                           scale * sum[i] / std::max(std::sqrt(energy_a[i] * energy_b[i]), 1e-6F));
}

}  // namespace fenceline::kernels::reference
