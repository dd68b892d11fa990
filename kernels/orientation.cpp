#include "kernels/orientation.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/orientation.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h: compiles this file once per instruction set
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace fenceline::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
HWY_INLINE void OrientationAt(D d, const float* above, const float* row, const float* below,
                              std::size_t i, float soft, float* cos2, float* sin2) {
    const auto three = hn::Set(d, 3.0F / 32), ten = hn::Set(d, 10.0F / 32);
    const auto al = hn::LoadU(d, above + i - 1), ac = hn::LoadU(d, above + i),
               ar = hn::LoadU(d, above + i + 1);
    const auto rl = hn::LoadU(d, row + i - 1), rr = hn::LoadU(d, row + i + 1);
    const auto bl = hn::LoadU(d, below + i - 1), bc = hn::LoadU(d, below + i),
               br = hn::LoadU(d, below + i + 1);
    const auto gx =
        hn::MulAdd(three, hn::Add(hn::Sub(ar, al), hn::Sub(br, bl)), hn::Mul(ten, hn::Sub(rr, rl)));
    const auto gy =
        hn::MulAdd(three, hn::Add(hn::Sub(bl, al), hn::Sub(br, ar)), hn::Mul(ten, hn::Sub(bc, ac)));
    const auto square = hn::MulAdd(gx, gx, hn::Mul(gy, gy));
    const auto m = hn::Sqrt(square);
    // w·cos 2θ = m/(m+soft)·(gx²−gy²)/m²: no angle is ever taken.
    const auto divisor = hn::MulAdd(m, hn::Set(d, soft), square);
    const auto flat = hn::Eq(square, hn::Zero(d));
    const auto one = hn::Set(d, 1.0F);
    const auto scale = hn::Div(one, hn::IfThenElse(flat, one, divisor));
    const auto c = hn::Mul(hn::Mul(hn::Sub(gx, gy), hn::Add(gx, gy)), scale);
    const auto s = hn::Mul(hn::Mul(hn::Add(gx, gx), gy), scale);
    hn::StoreU(hn::IfThenZeroElse(flat, c), d, cos2 + i);
    hn::StoreU(hn::IfThenZeroElse(flat, s), d, sin2 + i);
}

void OrientationRow(const float* above, const float* row, const float* below, std::size_t n,
                    float soft, float* cos2, float* sin2) {
    const hn::ScalableTag<float> d;
    const std::size_t lanes = hn::Lanes(d);
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) OrientationAt(d, above, row, below, i, soft, cos2, sin2);
    for (; i < n; ++i)
        OrientationAt(hn::CappedTag<float, 1>(), above, row, below, i, soft, cos2, sin2);
}

}  // namespace fenceline::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fenceline::kernels {
HWY_EXPORT(OrientationRow);

void orientation_row(const float* above, const float* row, const float* below, std::size_t n,
                     float soft, float* cos2, float* sin2) {
    HWY_DYNAMIC_DISPATCH(OrientationRow)(above, row, below, n, soft, cos2, sin2);
}

}  // namespace fenceline::kernels
#endif
