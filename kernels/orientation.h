#pragma once

#include <cstddef>

namespace fenceline::kernels {

/// Gradient orientation of one row of an image, as the complex channel w·exp(2iθ) with w = m/(m +
/// soft): the double angle makes dark-on-bright and bright-on-dark the same, w lets weak (noisy)
/// gradients count less (Fitch et al. 2002, orientation correlation; the first harmonic of the
/// channels of Ye et al. 2019, CFOG). (gx, gy) is the 3×3 Scharr gradient scaled to grey levels per
/// pixel, m its length. above, row, below: three rows of the image; pixels -1 … n are read. cos2,
/// sin2: n values each, within [-1, 1]; 0 where the gradient is 0 (also when soft is 0). soft >= 0,
/// grey levels per pixel. A NaN makes its neighbours NaN.
void orientation_row(const float* above, const float* row, const float* below, std::size_t n,
                     float soft, float* cos2, float* sin2);

namespace reference {
void orientation_row(const float* above, const float* row, const float* below, std::size_t n,
                     float soft, float* cos2, float* sin2);
}

}  // namespace fenceline::kernels
