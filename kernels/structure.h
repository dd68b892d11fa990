#pragma once

#include <cstddef>

namespace fenceline::kernels {

/// Orientation harmonics of the image gradient, one row: with gradient g (central differences),
/// direction φ and amplitude q = |g| / sqrt(|g|² + soft²) in 0…1, the four channels q·cos 2φ, q·sin
/// 2φ, q·cos 4φ, q·sin 4φ. Even harmonics do not see contrast reversal; an inner product of two
/// pixels' channels is q_a·q_b·(cos 2Δφ + cos 4Δφ), what a smoothed orientation histogram (CFOG, Ye
/// et al. 2019) gives with its mean removed, in 4 channels instead of 9. No gradient gives zeros.
/// above, here, below are readable from -1 to n. soft > 0. out: four rows of n.
void orientation_harmonics(const float* above, const float* here, const float* below, float soft,
                           std::size_t n, float* const* out);

/// out[i] = Σ_c a[c][i] · b[c][i], fused, channels in order.
void channel_product(const float* const* a, const float* const* b, int channels, std::size_t n,
                     float* out);

/// best[i] = max(best[i], scale·sum[i] / max(sqrt(energy_a[i]·energy_b[i]), 1e-6)): the better of
/// two normalised correlations.
void keep_best_match(const float* sum, float scale, const float* energy_a, const float* energy_b,
                     std::size_t n, float* best);

namespace reference {
void keep_best_match(const float* sum, float scale, const float* energy_a, const float* energy_b,
                     std::size_t n, float* best);
void orientation_harmonics(const float* above, const float* here, const float* below, float soft,
                           std::size_t n, float* const* out);
void channel_product(const float* const* a, const float* const* b, int channels, std::size_t n,
                     float* out);
}  // namespace reference

}  // namespace fenceline::kernels
