#include "kernels/cubic.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cubic.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h: compiles this file once per instruction set
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace fenceline::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The four weights of Keys' kernel for a fraction f in [0, 1).
template <class D, class V = hn::Vec<D>>
HWY_INLINE void Weights(D d, V f, V& w0, V& w1, V& w2, V& w3) {
    const auto half = hn::Set(d, 0.5F);
    const auto f2 = hn::Mul(f, f), f3 = hn::Mul(f2, f);
    w0 = hn::Mul(half, hn::Sub(hn::Sub(hn::Add(f2, f2), f3), f));
    w1 = hn::Mul(half, hn::Add(hn::MulAdd(hn::Set(d, 3.0F), f3, hn::Mul(hn::Set(d, -5.0F), f2)),
                               hn::Set(d, 2.0F)));
    w2 =
        hn::Mul(half, hn::Add(hn::MulAdd(hn::Set(d, -3.0F), f3, hn::Mul(hn::Set(d, 4.0F), f2)), f));
    w3 = hn::Mul(half, hn::Sub(f3, f2));
}

template <class D>
HWY_INLINE void Step(D d, const float* image, std::size_t stride, const std::int32_t* first,
                     const float* fx, const float* fy, float* out) {
    using V = hn::Vec<D>;
    const hn::RebindToSigned<D> di;
    const auto corner = hn::LoadU(di, first);
    V x0, x1, x2, x3, y0, y1, y2, y3;
    Weights(d, hn::LoadU(d, fx), x0, x1, x2, x3);
    Weights(d, hn::LoadU(d, fy), y0, y1, y2, y3);
    // Neighbours in the output are mostly neighbours in the image: then one load does for a gather.
    const std::int32_t start = first[0];
    if (hn::AllTrue(di, hn::Eq(corner, hn::Iota(di, start)))) {
        const auto row = [&](std::size_t r) HWY_ATTR {
            const float* base = image + r * stride + start;
            auto sum = hn::Mul(x0, hn::LoadU(d, base));
            sum = hn::MulAdd(x1, hn::LoadU(d, base + 1), sum);
            sum = hn::MulAdd(x2, hn::LoadU(d, base + 2), sum);
            return hn::MulAdd(x3, hn::LoadU(d, base + 3), sum);
        };
        auto sum = hn::Mul(y0, row(0));
        sum = hn::MulAdd(y1, row(1), sum);
        sum = hn::MulAdd(y2, row(2), sum);
        sum = hn::MulAdd(y3, row(3), sum);
        hn::StoreU(sum, d, out);
        return;
    }
    const auto row = [&](std::size_t r) HWY_ATTR {
        const float* base = image + r * stride;
        auto sum = hn::Mul(x0, hn::GatherIndex(d, base, corner));
        sum = hn::MulAdd(x1, hn::GatherIndex(d, base + 1, corner), sum);
        sum = hn::MulAdd(x2, hn::GatherIndex(d, base + 2, corner), sum);
        return hn::MulAdd(x3, hn::GatherIndex(d, base + 3, corner), sum);
    };
    auto sum = hn::Mul(y0, row(0));
    sum = hn::MulAdd(y1, row(1), sum);
    sum = hn::MulAdd(y2, row(2), sum);
    sum = hn::MulAdd(y3, row(3), sum);
    hn::StoreU(sum, d, out);
}

void CubicSample(const float* image, std::size_t stride, const std::int32_t* first, const float* fx,
                 const float* fy, std::size_t n, float* out) {
    const hn::ScalableTag<float> d;
    const hn::CappedTag<float, 1> d1;
    const std::size_t lanes = hn::Lanes(d);
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) Step(d, image, stride, first + i, fx + i, fy + i, out + i);
    for (; i < n; ++i) Step(d1, image, stride, first + i, fx + i, fy + i, out + i);
}

}  // namespace fenceline::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fenceline::kernels {
HWY_EXPORT(CubicSample);

void cubic_sample(const float* image, std::size_t stride, const std::int32_t* first,
                  const float* fx, const float* fy, std::size_t n, float* out) {
    HWY_DYNAMIC_DISPATCH(CubicSample)(image, stride, first, fx, fy, n, out);
}

}  // namespace fenceline::kernels
#endif
