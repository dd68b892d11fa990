#pragma once

#include <cstddef>

namespace fenceline::kernels {

/// Signed difference that tolerates misregistration up to radius pixels (0–3): how far after(x)
/// lies outside the range of before in the (2·radius+1)² neighbourhood of x, and, signs turned, how
/// far before(x) lies outside the range of after's; of the two the one of larger size, after's on a
/// tie. Interval form of the symmetric tolerance of Wohlberg & Theiler 2009 (local co-registration
/// adjustment): a value between two neighbours is what a sub-pixel shift makes. Positive: after is
/// brighter than anything near it in before. radius 0: after − before. before, after: 2·radius+1
/// row pointers, the centre in the middle, each readable from -radius to n-1+radius. out: n.
/// scratch: 4·(n + 2·radius) floats. No NaN allowed.
void tolerant_difference(const float* const* before, const float* const* after, int radius,
                         std::size_t n, float* scratch, float* out);

/// out[i] = min / max of a[i], b[i]. out may be a or b.
void minimum(const float* a, const float* b, std::size_t n, float* out);
void maximum(const float* a, const float* b, std::size_t n, float* out);

/// out[i] = Σ_k rows[k][i] over count rows, in order: the vertical half of a box sum.
void sum_rows(const float* const* rows, int count, std::size_t n, float* out);
/// out[i] = Σ_{k < count} in[i + k], in order: the horizontal half. in holds n + count - 1 values.
/// No running sums: a pixel's value must not depend on where its tile begins.
void sliding_sum(const float* in, int count, std::size_t n, float* out);

namespace reference {
void tolerant_difference(const float* const* before, const float* const* after, int radius,
                         std::size_t n, float* scratch, float* out);
void minimum(const float* a, const float* b, std::size_t n, float* out);
void maximum(const float* a, const float* b, std::size_t n, float* out);
void sum_rows(const float* const* rows, int count, std::size_t n, float* out);
void sliding_sum(const float* in, int count, std::size_t n, float* out);
}  // namespace reference

}  // namespace fenceline::kernels
