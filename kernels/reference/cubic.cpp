#include "kernels/cubic.h"

#include <cmath>

namespace fenceline::kernels::reference {
namespace {

/// Keys 1981, equation 15.
float keys(float distance) {
    const float s = std::abs(distance);
    if (s < 1) return 1.5F * s * s * s - 2.5F * s * s + 1.0F;
    if (s < 2) return -0.5F * s * s * s + 2.5F * s * s - 4.0F * s + 2.0F;
    return 0.0F;
}

}  // namespace

void cubic_sample(const float* image, std::size_t stride, const std::int32_t* first,
                  const float* fx, const float* fy, std::size_t n, float* out) {
    for (std::size_t i = 0; i < n; ++i) {
        float sum = 0;
        for (std::size_t r = 0; r < 4; ++r)
            for (std::size_t c = 0; c < 4; ++c)
                sum += keys(fy[i] + 1.0F - static_cast<float>(r)) *
                       keys(fx[i] + 1.0F - static_cast<float>(c)) *
                       image[static_cast<std::size_t>(first[i]) + r * stride + c];
        out[i] = sum;
    }
}

}  // namespace fenceline::kernels::reference
