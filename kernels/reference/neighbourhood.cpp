#include "kernels/neighbourhood.h"

#include <algorithm>
#include <cmath>

namespace fenceline::kernels::reference {
namespace {

float outside(float value, const float* const* rows, int radius, std::ptrdiff_t x) {
    float low = rows[radius][x], high = low;
    for (int dy = 0; dy <= 2 * radius; ++dy)
        for (int dx = -radius; dx <= radius; ++dx) {
            low = std::min(low, rows[dy][x + dx]);
            high = std::max(high, rows[dy][x + dx]);
        }
    return value > high ? value - high : value < low ? value - low : 0.0F;
}

}  // namespace

void tolerant_difference(const float* const* before, const float* const* after, int radius,
                         std::size_t n, float*, float* out) {
    for (std::size_t i = 0; i < n; ++i) {
        const auto x = static_cast<std::ptrdiff_t>(i);
        const float forward = outside(after[radius][x], before, radius, x);
        const float backward = -outside(before[radius][x], after, radius, x);
        out[i] = std::abs(forward) >= std::abs(backward) ? forward : backward;
    }
}

void minimum(const float* a, const float* b, std::size_t n, float* out) {
    for (std::size_t i = 0; i < n; ++i) out[i] = std::min(a[i], b[i]);
}
void maximum(const float* a, const float* b, std::size_t n, float* out) {
    for (std::size_t i = 0; i < n; ++i) out[i] = std::max(a[i], b[i]);
}
void sum_rows(const float* const* rows, int count, std::size_t n, float* out) {
    for (std::size_t i = 0; i < n; ++i) {
        float sum = rows[0][i];
        for (int k = 1; k < count; ++k) sum += rows[k][i];
        out[i] = sum;
    }
}
void sliding_sum(const float* in, int count, std::size_t n, float* out) {
    for (std::size_t i = 0; i < n; ++i) {
        float sum = in[i];
        for (int k = 1; k < count; ++k) sum += in[i + static_cast<std::size_t>(k)];
        out[i] = sum;
    }
}

}  // namespace fenceline::kernels::reference
