#include "kernels/cells.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cells.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h: compiles this file once per instruction set
#include <hwy/highway.h>

#ifndef FENCELINE_KERNELS_CELLS_ONCE
#define FENCELINE_KERNELS_CELLS_ONCE
namespace fenceline::kernels {
namespace {

/// Where a row starts, counted from a pixel of the image near it, so that single precision is
/// enough for the way from there.
struct Origin {
    std::size_t offset = 0;
    float x = 0, y = 0;                                  ///< first cell's middle
    float low_x = 0, high_x = 0, low_y = 0, high_y = 0;  ///< where the image begins and ends
};
Origin origin_of(const CellRow& row, std::size_t stride, int width, int height) {
    const double x = std::clamp(std::floor(row.x), 0.0, static_cast<double>(width - 1)),
                 y = std::clamp(std::floor(row.y), 0.0, static_cast<double>(height - 1));
    Origin o;
    o.offset = static_cast<std::size_t>(y) * stride + static_cast<std::size_t>(x);
    o.x = static_cast<float>(row.x - x);
    o.y = static_cast<float>(row.y - y);
    o.low_x = static_cast<float>(-x);
    o.high_x = static_cast<float>(width - 1 - x);
    o.low_y = static_cast<float>(-y);
    o.high_y = static_cast<float>(height - 1 - y);
    return o;
}

}  // namespace
}  // namespace fenceline::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace fenceline::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Offsets of the four samples around a place and the weights to mix them with.
template <class D>
struct Around {
    using V = hn::Vec<D>;
    using I = hn::Vec<hn::RebindToSigned<D>>;
    I i00, i10, i01, i11;
    V fx, fy;

    HWY_INLINE Around(D d, const Origin& o, std::size_t stride, V x, V y) {
        const hn::RebindToSigned<D> di;
        x = hn::Min(hn::Max(x, hn::Set(d, o.low_x)), hn::Set(d, o.high_x));
        y = hn::Min(hn::Max(y, hn::Set(d, o.low_y)), hn::Set(d, o.high_y));
        const auto x0 = hn::Floor(x), y0 = hn::Floor(y);
        fx = hn::Sub(x, x0);
        fy = hn::Sub(y, y0);
        const auto one = hn::Set(d, 1.0F);
        const auto ix0 = hn::ConvertTo(di, x0),
                   ix1 = hn::ConvertTo(di, hn::Min(hn::Add(x0, one), hn::Set(d, o.high_x)));
        const auto rows = hn::Set(di, static_cast<std::int32_t>(stride));
        const auto iy0 = hn::Mul(hn::ConvertTo(di, y0), rows),
                   iy1 = hn::Mul(hn::ConvertTo(di, hn::Min(hn::Add(y0, one), hn::Set(d, o.high_y))),
                                 rows);
        i00 = hn::Add(iy0, ix0);
        i10 = hn::Add(iy0, ix1);
        i01 = hn::Add(iy1, ix0);
        i11 = hn::Add(iy1, ix1);
    }
    HWY_INLINE V Mix(D d, const float* image) const {
        const auto a = hn::GatherIndex(d, image, i00), b = hn::GatherIndex(d, image, i10),
                   e = hn::GatherIndex(d, image, i01), f = hn::GatherIndex(d, image, i11);
        const auto top = hn::MulAdd(fx, hn::Sub(b, a), a),
                   bottom = hn::MulAdd(fx, hn::Sub(f, e), e);
        return hn::MulAdd(fy, hn::Sub(bottom, top), top);
    }
};

/// Calls each(places) for the samples of as many cells as the vector has lanes, from cell `first`
/// on.
template <class D, class Each>
HWY_INLINE void ForSamples(D d, const CellRow& row, const Origin& o, std::size_t stride, int first,
                           const Each& each) {
    const auto cell = hn::Iota(d, static_cast<float>(first));
    const auto along_x = hn::Set(d, static_cast<float>(row.along_x)),
               along_y = hn::Set(d, static_cast<float>(row.along_y));
    const auto step = 1 / static_cast<float>(row.fine);
    const auto ax = static_cast<float>(row.across_x), ay = static_cast<float>(row.across_y);
    for (int k = 0; k < row.fine; ++k) {
        const float v = (static_cast<float>(k) + 0.5F) * step - 0.5F;
        const auto x0 = hn::Set(d, o.x + v * ax), y0 = hn::Set(d, o.y + v * ay);
        for (int j = 0; j < row.fine; ++j) {
            const auto u = hn::Add(cell, hn::Set(d, (static_cast<float>(j) + 0.5F) * step - 0.5F));
            each(Around<D>(d, o, stride, hn::MulAdd(u, along_x, x0), hn::MulAdd(u, along_y, y0)));
        }
    }
}

template <class D>
HWY_INLINE void Step(D d, const float* image, std::size_t stride, const CellRow& row,
                     const Origin& o, int first, float* out) {
    auto sum = hn::Zero(d);
    ForSamples(d, row, o, stride, first, [&](const Around<D>& around) HWY_ATTR {
        sum = hn::Add(sum, around.Mix(d, image + o.offset));
    });
    const auto share = hn::Set(d, 1 / static_cast<float>(row.fine * row.fine));
    hn::StoreU(hn::Mul(sum, share), d, out + first);
}

template <class D>
HWY_INLINE void ColourStep(D d, const float* const* rgb, std::size_t stride, const CellRow& row,
                           const Origin& o, int first, float* const* out) {
    auto sum = hn::Zero(d), rb = sum, excess = sum;
    ForSamples(d, row, o, stride, first, [&](const Around<D>& around) HWY_ATTR {
        const auto r = around.Mix(d, rgb[0] + o.offset), g = around.Mix(d, rgb[1] + o.offset),
                   b = around.Mix(d, rgb[2] + o.offset);
        const auto all = hn::Add(hn::Add(r, g), b);
        const auto per = hn::Div(hn::Set(d, 1.0F), hn::Max(hn::Abs(all), hn::Set(d, 1e-6F)));
        sum = hn::Add(sum, all);
        rb = hn::MulAdd(hn::Sub(r, b), per, rb);
        excess = hn::MulAdd(hn::Sub(hn::Add(g, g), hn::Add(r, b)), per, excess);
    });
    const float share = 1 / static_cast<float>(row.fine * row.fine);
    hn::StoreU(hn::Mul(sum, hn::Set(d, share / 3)), d, out[0] + first);
    hn::StoreU(hn::Mul(rb, hn::Set(d, share)), d, out[1] + first);
    hn::StoreU(hn::Mul(excess, hn::Set(d, share)), d, out[2] + first);
}

/// Whole vectors, the last of which may overlap the one before; one cell at a time where there are
/// fewer cells than lanes. Every cell is computed alike.
void CellRowOf(const float* image, std::size_t stride, const CellRow& row, const Origin& o, int n,
               float* out) {
    const hn::ScalableTag<float> d;
    const hn::CappedTag<float, 1> d1;
    const int lanes = static_cast<int>(hn::Lanes(d));
    if (n >= lanes)
        for (int i = 0; i < n; i += lanes)
            Step(d, image, stride, row, o, std::min(i, n - lanes), out);
    else
        for (int i = 0; i < n; ++i) Step(d1, image, stride, row, o, i, out);
}

void ColourCellRowOf(const float* const* rgb, std::size_t stride, const CellRow& row,
                     const Origin& o, int n, float* const* out) {
    const hn::ScalableTag<float> d;
    const hn::CappedTag<float, 1> d1;
    const int lanes = static_cast<int>(hn::Lanes(d));
    if (n >= lanes)
        for (int i = 0; i < n; i += lanes)
            ColourStep(d, rgb, stride, row, o, std::min(i, n - lanes), out);
    else
        for (int i = 0; i < n; ++i) ColourStep(d1, rgb, stride, row, o, i, out);
}

}  // namespace fenceline::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fenceline::kernels {
HWY_EXPORT(CellRowOf);
HWY_EXPORT(ColourCellRowOf);

void cell_row(const float* image, std::size_t stride, int width, int height, const CellRow& row,
              int n, float* out) {
    HWY_DYNAMIC_DISPATCH(CellRowOf)
    (image, stride, row, origin_of(row, stride, width, height), n, out);
}

void colour_cell_row(const float* red, const float* green, const float* blue, std::size_t stride,
                     int width, int height, const CellRow& row, int n, float* brightness,
                     float* red_blue, float* excess_green) {
    const float* const rgb[3] = {red, green, blue};
    float* const out[3] = {brightness, red_blue, excess_green};
    HWY_DYNAMIC_DISPATCH(ColourCellRowOf)
    (rgb, stride, row, origin_of(row, stride, width, height), n, out);
}

}  // namespace fenceline::kernels
#endif
