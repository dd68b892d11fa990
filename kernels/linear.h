#pragma once

#include <cstddef>
#include <cstdint>

namespace fenceline::kernels {

/// out[i] = valid[i] ? gain * in[i] + offset : 0, one rounding (fused). valid may be null: all
/// valid. in == out is allowed. NaN in gives NaN out where valid.
void scale_offset(const float* in, const std::uint8_t* valid, std::size_t n, float gain,
                  float offset, float* out);

namespace reference {
void scale_offset(const float* in, const std::uint8_t* valid, std::size_t n, float gain,
                  float offset, float* out);
}

}  // namespace fenceline::kernels
