#include "kernels/neighbourhood.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/neighbourhood.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h: compiles this file once per instruction set
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace fenceline::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Calls body(tag, i) for whole vectors and then pixel by pixel with one lane: the same operations
/// either way.
template <class Body>
HWY_INLINE void ForPixels(std::size_t n, const Body& body) {
    const hn::ScalableTag<float> d;
    const hn::CappedTag<float, 1> d1;
    const std::size_t lanes = hn::Lanes(d);
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) body(d, i);
    for (; i < n; ++i) body(d1, i);
}

/// Range over the rows, column by column.
void ColumnRange(const float* const* rows, int radius, std::size_t n, float* low, float* high) {
    ForPixels(n + 2 * static_cast<std::size_t>(radius), [&](auto d, std::size_t i) HWY_ATTR {
        auto lo = hn::LoadU(d, rows[0] - radius + i);
        auto hi = lo;
        for (int k = 1; k <= 2 * radius; ++k) {
            const auto v = hn::LoadU(d, rows[k] - radius + i);
            lo = hn::Min(lo, v);
            hi = hn::Max(hi, v);
        }
        hn::StoreU(lo, d, low + i);
        hn::StoreU(hi, d, high + i);
    });
}

void TolerantDifference(const float* const* before, const float* const* after, int radius,
                        std::size_t n, float* scratch, float* out) {
    const std::size_t padded = n + 2 * static_cast<std::size_t>(radius);
    float* low_before = scratch;
    float* high_before = scratch + padded;
    float* low_after = scratch + 2 * padded;
    float* high_after = scratch + 3 * padded;
    ColumnRange(before, radius, n, low_before, high_before);
    ColumnRange(after, radius, n, low_after, high_after);
    const float* b = before[radius];
    const float* a = after[radius];
    ForPixels(n, [&](auto d, std::size_t i) HWY_ATTR {
        const auto outside = [&](auto value, const float* low, const float* high) HWY_ATTR {
            auto lo = hn::LoadU(d, low + i), hi = hn::LoadU(d, high + i);
            for (std::size_t k = 1; k <= 2 * static_cast<std::size_t>(radius); ++k) {
                lo = hn::Min(lo, hn::LoadU(d, low + i + k));
                hi = hn::Max(hi, hn::LoadU(d, high + i + k));
            }
            const auto above = hn::Max(hn::Sub(value, hi), hn::Zero(d));
            return hn::Add(above, hn::Min(hn::Sub(value, lo), hn::Zero(d)));
        };
        const auto forward = outside(hn::LoadU(d, a + i), low_before, high_before);
        const auto backward = hn::Neg(outside(hn::LoadU(d, b + i), low_after, high_after));
        hn::StoreU(hn::IfThenElse(hn::Ge(hn::Abs(forward), hn::Abs(backward)), forward, backward),
                   d, out + i);
    });
}

void Minimum(const float* a, const float* b, std::size_t n, float* out) {
    ForPixels(n, [&](auto d, std::size_t i) HWY_ATTR {
        hn::StoreU(hn::Min(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, out + i);
    });
}
void Maximum(const float* a, const float* b, std::size_t n, float* out) {
    ForPixels(n, [&](auto d, std::size_t i) HWY_ATTR {
        hn::StoreU(hn::Max(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, out + i);
    });
}
void SumRows(const float* const* rows, int count, std::size_t n, float* out) {
    ForPixels(n, [&](auto d, std::size_t i) HWY_ATTR {
        auto sum = hn::LoadU(d, rows[0] + i);
        for (int k = 1; k < count; ++k) sum = hn::Add(sum, hn::LoadU(d, rows[k] + i));
        hn::StoreU(sum, d, out + i);
    });
}
void SlidingSum(const float* in, int count, std::size_t n, float* out) {
    ForPixels(n, [&](auto d, std::size_t i) HWY_ATTR {
        auto sum = hn::LoadU(d, in + i);
        for (int k = 1; k < count; ++k) sum = hn::Add(sum, hn::LoadU(d, in + i + k));
        hn::StoreU(sum, d, out + i);
    });
}

}  // namespace fenceline::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fenceline::kernels {
HWY_EXPORT(TolerantDifference);
HWY_EXPORT(Minimum);
HWY_EXPORT(Maximum);
HWY_EXPORT(SumRows);
HWY_EXPORT(SlidingSum);

void tolerant_difference(const float* const* before, const float* const* after, int radius,
                         std::size_t n, float* scratch, float* out) {
    HWY_DYNAMIC_DISPATCH(TolerantDifference)(before, after, radius, n, scratch, out);
}
void minimum(const float* a, const float* b, std::size_t n, float* out) {
    HWY_DYNAMIC_DISPATCH(Minimum)(a, b, n, out);
}
void maximum(const float* a, const float* b, std::size_t n, float* out) {
    HWY_DYNAMIC_DISPATCH(Maximum)(a, b, n, out);
}
void sum_rows(const float* const* rows, int count, std::size_t n, float* out) {
    HWY_DYNAMIC_DISPATCH(SumRows)(rows, count, n, out);
}
void sliding_sum(const float* in, int count, std::size_t n, float* out) {
    HWY_DYNAMIC_DISPATCH(SlidingSum)(in, count, n, out);
}

}  // namespace fenceline::kernels
#endif
