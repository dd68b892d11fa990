#include "kernels/moments.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/moments.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h: compiles this file once per instruction set
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace fenceline::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Σ w·a·b; null pointers stand for 1.
double WeightedProduct(const float* w, const float* a, const float* b, std::size_t n) {
    const hn::ScalableTag<double> d;
    const hn::Rebind<float, decltype(d)> df;
    const std::size_t lanes = hn::Lanes(d);
    const auto load = [&](const float* p, std::size_t i) HWY_ATTR {
        return p == nullptr ? hn::Set(d, 1.0) : hn::PromoteTo(d, hn::LoadU(df, p + i));
    };
    auto even = hn::Zero(d), odd = hn::Zero(d);  // two chains hide the latency of the additions
    std::size_t i = 0;
    for (; i + 2 * lanes <= n; i += 2 * lanes) {
        even = hn::MulAdd(hn::Mul(load(w, i), load(a, i)), load(b, i), even);
        odd = hn::MulAdd(hn::Mul(load(w, i + lanes), load(a, i + lanes)), load(b, i + lanes), odd);
    }
    double sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
    const auto at = [](const float* p, std::size_t k) {
        return p == nullptr ? 1.0 : static_cast<double>(p[k]);
    };
    for (; i < n; ++i) sum += at(w, i) * at(a, i) * at(b, i);
    return sum;
}

void WeightedMoments(const float* const* channels, int channel_count, const float* weights,
                     std::size_t n, double* out) {
    std::size_t k = 0;
    out[k++] =
        weights == nullptr ? static_cast<double>(n) : WeightedProduct(weights, nullptr, nullptr, n);
    for (int i = 0; i < channel_count; ++i)
        out[k++] = WeightedProduct(weights, channels[i], nullptr, n);
    for (int i = 0; i < channel_count; ++i)
        for (int j = i; j < channel_count; ++j)
            out[k++] = WeightedProduct(weights, channels[i], channels[j], n);
}

}  // namespace fenceline::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fenceline::kernels {
HWY_EXPORT(WeightedMoments);

void weighted_moments(const float* const* channels, int channel_count, const float* weights,
                      std::size_t n, double* out) {
    HWY_DYNAMIC_DISPATCH(WeightedMoments)(channels, channel_count, weights, n, out);
}

}  // namespace fenceline::kernels
#endif
