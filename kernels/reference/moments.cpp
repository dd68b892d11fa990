#include "kernels/moments.h"

namespace fenceline::kernels::reference {

void weighted_moments(const float* const* channels, int channel_count, const float* weights,
                      std::size_t n, double* out) {
    for (std::size_t k = 0; k < moment_count(channel_count); ++k) out[k] = 0;
    for (std::size_t s = 0; s < n; ++s) {
        const double w = weights == nullptr ? 1.0 : static_cast<double>(weights[s]);
        std::size_t k = 0;
        out[k++] += w;
        for (int i = 0; i < channel_count; ++i) out[k++] += w * static_cast<double>(channels[i][s]);
        for (int i = 0; i < channel_count; ++i)
            for (int j = i; j < channel_count; ++j)
                out[k++] +=
                    w * static_cast<double>(channels[i][s]) * static_cast<double>(channels[j][s]);
    }
}

}  // namespace fenceline::kernels::reference
