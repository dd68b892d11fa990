#include "kernels/linear.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/linear.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h: compiles this file once per instruction set
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace fenceline::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void ScaleOffset(const float* in, const std::uint8_t* valid, std::size_t n, float gain,
                 float offset, float* out) {
    const hn::ScalableTag<float> d;
    const hn::Rebind<std::uint8_t, decltype(d)> d8;
    const hn::Rebind<std::int32_t, decltype(d)> d32;
    const auto vgain = hn::Set(d, gain), voffset = hn::Set(d, offset);
    const std::size_t lanes = hn::Lanes(d);
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        auto value = hn::MulAdd(vgain, hn::LoadU(d, in + i), voffset);
        if (valid != nullptr) {
            const auto wide = hn::PromoteTo(d32, hn::LoadU(d8, valid + i));
            value = hn::IfThenElseZero(hn::RebindMask(d, hn::Gt(wide, hn::Zero(d32))), value);
        }
        hn::StoreU(value, d, out + i);
    }
    for (; i < n; ++i) {
        const hn::CappedTag<float, 1> d1;
        const auto value = hn::MulAdd(hn::Set(d1, gain), hn::Set(d1, in[i]), hn::Set(d1, offset));
        out[i] = valid == nullptr || valid[i] != 0 ? hn::GetLane(value) : 0.0F;
    }
}

}  // namespace fenceline::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fenceline::kernels {
HWY_EXPORT(ScaleOffset);

void scale_offset(const float* in, const std::uint8_t* valid, std::size_t n, float gain,
                  float offset, float* out) {
    HWY_DYNAMIC_DISPATCH(ScaleOffset)(in, valid, n, gain, offset, out);
}

}  // namespace fenceline::kernels
#endif
