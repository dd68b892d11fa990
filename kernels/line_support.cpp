#include "kernels/line_support.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/line_support.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h: compiles this file once per instruction set
#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace fenceline::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
HWY_ATTR void FeaturesAt(D d, const LineRows& rows, bool with_band, std::size_t x,
                         float* const* out) {
    const auto mean = [&](LineMean k) HWY_ATTR {
        return hn::Mul(hn::Sub(hn::LoadU(d, rows.upto[k] + x), hn::LoadU(d, rows.before[k] + x)),
                       hn::Set(d, rows.per_row[k]));
    };
    const auto along = hn::Set(d, rows.along_scale);
    const auto gn = hn::Mul(hn::Sub(hn::LoadU(d, rows.below + x), hn::LoadU(d, rows.above + x)),
                            hn::Set(d, rows.across_scale));
    const auto gs =
        hn::Mul(hn::Sub(hn::LoadU(d, rows.here + x + 1), hn::LoadU(d, rows.here + x - 1)), along);
    const auto nn = hn::Mul(gn, gn), ss = hn::Mul(gs, gs);
    const auto sun = hn::LoadU(d, rows.sun + x);
    const auto seen =
        hn::Ge(hn::Sub(hn::LoadU(d, rows.seen_upto + x), hn::LoadU(d, rows.seen_before + x)),
               hn::Set(d, rows.seen_rows));
    const auto put = [&](LineFeature f, auto value)
                         HWY_ATTR { hn::StoreU(hn::IfThenElseZero(seen, value), d, out[f] + x); };
    put(kLineAcross, hn::Sub(nn, ss));
    put(kLineEnergy, hn::Add(nn, ss));
    const auto shade = hn::Mul(sun, hn::Sub(mean(kMeanAfter), mean(kMeanBefore)));
    put(kLineShade, shade);
    put(kLineShade2, hn::Mul(shade, shade));
    const auto strip =
        hn::Sub(mean(kMeanMiddle), hn::Max(mean(kMeanSideAfter), mean(kMeanSideBefore)));
    put(kLineStrip, strip);
    put(kLineStrip2, hn::Mul(strip, strip));
    put(kLineSeen, hn::Set(d, 1.0F));
    if (!with_band) return;
    const auto zero = hn::Zero(d);
    const auto after_lit = hn::Gt(sun, zero);
    const auto near_after = mean(kMeanNearAfter), near_before = mean(kMeanNearBefore);
    const auto lit = hn::IfThenElse(after_lit, near_after, near_before),
               dark = hn::IfThenElse(after_lit, near_before, near_after),
               beyond = hn::IfThenElse(after_lit, mean(kMeanBeyondBefore), mean(kMeanBeyondAfter));
    const auto sure = hn::Min(hn::Set(d, 1.0F), hn::Mul(hn::Set(d, 1.5F), hn::Abs(sun)));
    put(kLineBand, hn::Mul(sure, hn::Max(zero, hn::Sub(hn::Min(lit, beyond), dark))));
}

void LineFeatures(const LineRows& rows, std::size_t features, std::size_t n, float* const* out) {
    const hn::ScalableTag<float> d;
    const hn::CappedTag<float, 1> d1;
    const std::size_t lanes = hn::Lanes(d);
    const bool with_band = features > kLineBand;
    std::size_t x = 0;
    for (; x + lanes <= n; x += lanes) FeaturesAt(d, rows, with_band, x, out);
    for (; x < n; ++x) FeaturesAt(d1, rows, with_band, x, out);
}

template <class D>
HWY_ATTR void RaiseAt(D d, const float* const* rows, std::size_t count, const LineWeights& w,
                      std::size_t x, float* z, float* fit) {
    const auto per_row = hn::Set(d, 1.0F / static_cast<float>(count));
    const auto mean = [&](LineFeature f) HWY_ATTR {
        auto sum = hn::Zero(d);
        const float* const* of = rows + f * count;
        for (std::size_t k = 0; k < count; ++k) sum = hn::Add(sum, hn::LoadU(d, of[k] + x));
        return hn::Mul(sum, per_row);
    };
    const auto zero = hn::Zero(d);
    const auto seen = mean(kLineSeen);
    const auto enough = hn::Ge(seen, hn::Set(d, 0.5F));
    if (hn::AllFalse(d, enough)) return;
    const auto inverse = hn::Div(hn::Set(d, 1.0F), hn::Max(seen, hn::Set(d, 0.5F)));
    const auto energy = hn::MulAdd(mean(kLineEnergy), inverse, hn::Set(d, w.energy_floor));
    const auto orientation = hn::Div(hn::Mul(hn::Max(zero, mean(kLineAcross)), inverse), energy);
    const auto against = [&](LineFeature f, LineFeature square, float floor) HWY_ATTR {
        return hn::Div(hn::Mul(hn::Max(zero, mean(f)), inverse),
                       hn::Sqrt(hn::MulAdd(mean(square), inverse, hn::Set(d, floor))));
    };
    const auto shade = against(kLineShade, kLineShade2, w.shade_floor),
               strip = against(kLineStrip, kLineStrip2, w.strip_floor);
    auto value = hn::Mul(hn::Set(d, w.orientation), orientation);
    value = hn::MulAdd(hn::Set(d, w.shade), shade, value);
    value = hn::MulAdd(hn::Set(d, w.strip), strip, value);
    const auto old = hn::LoadU(d, z + x);
    hn::StoreU(hn::IfThenElse(enough, hn::Max(old, value), old), d, z + x);
    if (fit == nullptr) return;
    value = hn::Mul(hn::Set(d, w.fit_orientation), orientation);
    value = hn::MulAdd(hn::Set(d, w.fit_shade), shade, value);
    value = hn::MulAdd(hn::Set(d, w.fit_strip), strip, value);
    value = hn::MulAdd(hn::Set(d, w.fit_band), hn::Mul(mean(kLineBand), inverse), value);
    value = hn::MulAdd(hn::Set(d, w.fit_energy), hn::Log(d, energy), value);
    const auto old_fit = hn::LoadU(d, fit + x);
    hn::StoreU(hn::IfThenElse(enough, hn::Max(old_fit, value), old_fit), d, fit + x);
}

void RaiseLineSupport(const float* const* rows, std::size_t count, std::size_t n,
                      const LineWeights& weights, float* z, float* fit) {
    const hn::ScalableTag<float> d;
    const hn::CappedTag<float, 1> d1;
    const std::size_t lanes = hn::Lanes(d);
    std::size_t x = 0;
    for (; x + lanes <= n; x += lanes) RaiseAt(d, rows, count, weights, x, z, fit);
    for (; x < n; ++x) RaiseAt(d1, rows, count, weights, x, z, fit);
}

}  // namespace fenceline::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fenceline::kernels {
HWY_EXPORT(LineFeatures);
HWY_EXPORT(RaiseLineSupport);

void line_features(const LineRows& rows, std::size_t features, std::size_t n, float* const* out) {
    HWY_DYNAMIC_DISPATCH(LineFeatures)(rows, features, n, out);
}
void raise_line_support(const float* const* rows, std::size_t count, std::size_t n,
                        const LineWeights& weights, float* z, float* fit) {
    HWY_DYNAMIC_DISPATCH(RaiseLineSupport)(rows, count, n, weights, z, fit);
}

}  // namespace fenceline::kernels
#endif
