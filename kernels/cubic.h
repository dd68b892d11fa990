#pragma once

#include <cstddef>
#include <cstdint>

namespace fenceline::kernels {

/// Cubic convolution (Keys 1981, a = -0.5) at n places of an image with rows of `stride` floats.
/// first[i]: offset (in floats) of the top left one of the 4 × 4 samples that surround place i, so
/// that the place lies in the second column and row of them; fx, fy in [0, 1): how far it is from
/// that sample towards the next. All sixteen samples must lie inside the image. NaN among them
/// gives NaN. Reproduces quadratics.
void cubic_sample(const float* image, std::size_t stride, const std::int32_t* first,
                  const float* fx, const float* fy, std::size_t n, float* out);

namespace reference {
void cubic_sample(const float* image, std::size_t stride, const std::int32_t* first,
                  const float* fx, const float* fy, std::size_t n, float* out);
}

}  // namespace fenceline::kernels
