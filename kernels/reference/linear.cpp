#include "kernels/linear.h"

#include <cmath>

namespace fenceline::kernels::reference {

void scale_offset(const float* in, const std::uint8_t* valid, std::size_t n, float gain,
                  float offset, float* out) {
    for (std::size_t i = 0; i < n; ++i)
        out[i] = valid == nullptr || valid[i] != 0 ? std::fma(gain, in[i], offset) : 0.0F;
}

}  // namespace fenceline::kernels::reference
