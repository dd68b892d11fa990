#include "kernels/structure.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/structure.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h: compiles this file once per instruction set
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace fenceline::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
HWY_ATTR void HarmonicsAt(D d, const float* above, const float* here, const float* below,
                          float soft, std::size_t i, float* const* out) {
    const auto half = hn::Set(d, 0.5F), tiny = hn::Set(d, 1e-30F);
    const auto gx = hn::Mul(half, hn::Sub(hn::LoadU(d, here + i + 1), hn::LoadU(d, here + i - 1)));
    const auto gy = hn::Mul(half, hn::Sub(hn::LoadU(d, below + i), hn::LoadU(d, above + i)));
    const auto xx = hn::Mul(gx, gx), yy = hn::Mul(gy, gy);
    const auto square = hn::Add(xx, yy);
    // cos 2φ = (gx² - gy²)/|g|², sin 2φ = 2·gx·gy/|g|²: no angle is ever computed.
    const auto inverse = hn::Div(hn::Set(d, 1.0F), hn::Max(square, tiny));
    const auto c2 = hn::Mul(hn::Sub(xx, yy), inverse);
    const auto s2 = hn::Mul(hn::Mul(hn::Add(gx, gx), gy), inverse);
    const auto q = hn::Sqrt(hn::Div(square, hn::Add(square, hn::Set(d, soft * soft))));
    hn::StoreU(hn::Mul(q, c2), d, out[0] + i);
    hn::StoreU(hn::Mul(q, s2), d, out[1] + i);
    hn::StoreU(hn::Mul(q, hn::Sub(hn::Mul(c2, c2), hn::Mul(s2, s2))), d, out[2] + i);
    hn::StoreU(hn::Mul(q, hn::Mul(hn::Add(c2, c2), s2)), d, out[3] + i);
}

void OrientationHarmonics(const float* above, const float* here, const float* below, float soft,
                          std::size_t n, float* const* out) {
    const hn::ScalableTag<float> d;
    const hn::CappedTag<float, 1> d1;
    const std::size_t lanes = hn::Lanes(d);
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) HarmonicsAt(d, above, here, below, soft, i, out);
    for (; i < n; ++i) HarmonicsAt(d1, above, here, below, soft, i, out);
}

template <class D>
HWY_ATTR void ProductAt(D d, const float* const* a, const float* const* b, int channels,
                        std::size_t i, float* out) {
    auto sum = hn::Zero(d);
    for (int c = 0; c < channels; ++c)
        sum = hn::MulAdd(hn::LoadU(d, a[c] + i), hn::LoadU(d, b[c] + i), sum);
    hn::StoreU(sum, d, out + i);
}

void ChannelProduct(const float* const* a, const float* const* b, int channels, std::size_t n,
                    float* out) {
    const hn::ScalableTag<float> d;
    const hn::CappedTag<float, 1> d1;
    const std::size_t lanes = hn::Lanes(d);
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) ProductAt(d, a, b, channels, i, out);
    for (; i < n; ++i) ProductAt(d1, a, b, channels, i, out);
}

template <class D>
HWY_ATTR void BestMatchAt(D d, const float* sum, float scale, const float* energy_a,
                          const float* energy_b, std::size_t i, float* best) {
    const auto energy = hn::Mul(hn::LoadU(d, energy_a + i), hn::LoadU(d, energy_b + i));
    const auto norm = hn::Max(hn::Sqrt(energy), hn::Set(d, 1e-6F));
    const auto match = hn::Div(hn::Mul(hn::Set(d, scale), hn::LoadU(d, sum + i)), norm);
    hn::StoreU(hn::Max(hn::LoadU(d, best + i), match), d, best + i);
}

void KeepBestMatch(const float* sum, float scale, const float* energy_a, const float* energy_b,
                   std::size_t n, float* best) {
    const hn::ScalableTag<float> d;
    const hn::CappedTag<float, 1> d1;
    const std::size_t lanes = hn::Lanes(d);
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) BestMatchAt(d, sum, scale, energy_a, energy_b, i, best);
    for (; i < n; ++i) BestMatchAt(d1, sum, scale, energy_a, energy_b, i, best);
}

}  // namespace fenceline::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fenceline::kernels {
HWY_EXPORT(OrientationHarmonics);
HWY_EXPORT(ChannelProduct);
HWY_EXPORT(KeepBestMatch);

void orientation_harmonics(const float* above, const float* here, const float* below, float soft,
                           std::size_t n, float* const* out) {
    HWY_DYNAMIC_DISPATCH(OrientationHarmonics)(above, here, below, soft, n, out);
}
void channel_product(const float* const* a, const float* const* b, int channels, std::size_t n,
                     float* out) {
    HWY_DYNAMIC_DISPATCH(ChannelProduct)(a, b, channels, n, out);
}
void keep_best_match(const float* sum, float scale, const float* energy_a, const float* energy_b,
                     std::size_t n, float* best) {
    HWY_DYNAMIC_DISPATCH(KeepBestMatch)(sum, scale, energy_a, energy_b, n, best);
}

}  // namespace fenceline::kernels
#endif
