#pragma once

#include <cstddef>

namespace fenceline::kernels {

/// How many numbers weighted_moments() fills for `channels` channels.
constexpr std::size_t moment_count(int channels) {
    const auto c = static_cast<std::size_t>(channels);
    return 1 + c + c * (c + 1) / 2;
}

/// Weighted moments of n samples, in double: out[0] = Σw, then Σw·x_i for each channel i, then
/// Σw·x_i·x_j for i <= j, row by row. weights may be null (all 1). The order of summation is fixed
/// for one instruction set and n: the same input gives the same bits. NaN in gives NaN out.
void weighted_moments(const float* const* channels, int channel_count, const float* weights,
                      std::size_t n, double* out);

namespace reference {
void weighted_moments(const float* const* channels, int channel_count, const float* weights,
                      std::size_t n, double* out);
}

}  // namespace fenceline::kernels
