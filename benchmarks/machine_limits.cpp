#include "benchmarks/machine_limits.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "benchmarks/machine_limits.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h: compiles this file once per instruction set
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace fenceline::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void Triad(const float* b, const float* c, float scale, std::size_t n, float* a) {
    const hn::ScalableTag<float> d;
    const auto factor = hn::Set(d, scale);
    const std::size_t lanes = hn::Lanes(d);
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes)
        hn::StoreU(hn::MulAdd(factor, hn::LoadU(d, c + i), hn::LoadU(d, b + i)), d, a + i);
    for (; i < n; ++i) a[i] = b[i] + scale * c[i];
}

double MultiplyAddBurst(std::size_t rounds, float* sink) {
    const hn::ScalableTag<float> d;
    const auto factor = hn::Set(d, 0.999F), more = hn::Set(d, 0.001F);
    auto s0 = hn::Iota(d, 0), s1 = hn::Iota(d, 1), s2 = hn::Iota(d, 2), s3 = hn::Iota(d, 3),
         s4 = hn::Iota(d, 4), s5 = hn::Iota(d, 5), s6 = hn::Iota(d, 6), s7 = hn::Iota(d, 7),
         s8 = hn::Iota(d, 8), s9 = hn::Iota(d, 9), s10 = hn::Iota(d, 10), s11 = hn::Iota(d, 11);
    for (std::size_t i = 0; i < rounds; ++i) {
        s0 = hn::MulAdd(s0, factor, more);
        s1 = hn::MulAdd(s1, factor, more);
        s2 = hn::MulAdd(s2, factor, more);
        s3 = hn::MulAdd(s3, factor, more);
        s4 = hn::MulAdd(s4, factor, more);
        s5 = hn::MulAdd(s5, factor, more);
        s6 = hn::MulAdd(s6, factor, more);
        s7 = hn::MulAdd(s7, factor, more);
        s8 = hn::MulAdd(s8, factor, more);
        s9 = hn::MulAdd(s9, factor, more);
        s10 = hn::MulAdd(s10, factor, more);
        s11 = hn::MulAdd(s11, factor, more);
    }
    const auto low = hn::Add(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), hn::Add(s4, s5));
    const auto high = hn::Add(hn::Add(hn::Add(s6, s7), hn::Add(s8, s9)), hn::Add(s10, s11));
    *sink = hn::GetLane(hn::SumOfLanes(d, hn::Add(low, high)));
    return 2.0 * 12 * static_cast<double>(rounds) * static_cast<double>(hn::Lanes(d));
}

}  // namespace fenceline::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fenceline {
HWY_EXPORT(Triad);
HWY_EXPORT(MultiplyAddBurst);

void triad(const float* b, const float* c, float scale, std::size_t n, float* a) {
    HWY_DYNAMIC_DISPATCH(Triad)(b, c, scale, n, a);
}
double multiply_add_burst(std::size_t rounds, float* sink) {
    return HWY_DYNAMIC_DISPATCH(MultiplyAddBurst)(rounds, sink);
}

}  // namespace fenceline
#endif
