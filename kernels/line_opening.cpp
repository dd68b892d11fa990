#include "kernels/line_opening.h"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/line_opening.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h: compiles this file once per instruction set
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace fenceline::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

struct MinOf {
    template <class V>
    V operator()(V a, V b) const {
        return hn::Min(a, b);
    }
};
struct MaxOf {
    template <class V>
    V operator()(V a, V b) const {
        return hn::Max(a, b);
    }
};

/// out[i] = op(a[i], b[i]); n is a multiple of the padding, so whole vectors always fit.
template <class Op>
HWY_INLINE void Combine(const Op& op, const float* HWY_RESTRICT a, const float* HWY_RESTRICT b,
                        std::size_t n, float* HWY_RESTRICT out) {
    const hn::ScalableTag<float> d;
    const std::size_t lanes = hn::Lanes(d);
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes)
        hn::StoreU(op(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, out + i);
    for (; i < n; ++i) {
        const hn::CappedTag<float, 1> d1;
        out[i] = hn::GetLane(op(hn::Set(d1, a[i]), hn::Set(d1, b[i])));
    }
}

/// out[i] = op(b[i], out[i]).
template <class Op>
HWY_INLINE void CombineInto(const Op& op, const float* HWY_RESTRICT b, std::size_t n,
                            float* HWY_RESTRICT out) {
    const hn::ScalableTag<float> d;
    const std::size_t lanes = hn::Lanes(d);
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes)
        hn::StoreU(op(hn::LoadU(d, out + i), hn::LoadU(d, b + i)), d, out + i);
    for (; i < n; ++i) {
        const hn::CappedTag<float, 1> d1;
        out[i] = hn::GetLane(op(hn::Set(d1, out[i]), hn::Set(d1, b[i])));
    }
}

/// Sliding extremum over k rows, in place: row(y) becomes op over rows y … y+k−1, for y = 0 …
/// rows−k. Rows are worked through in blocks of k: the suffix of one block meets the prefix of the
/// next (van Herk 1992).
template <class Op>
HWY_INLINE void SlidingRows(const Op& op, float* data, int rows, std::size_t width, int k,
                            float* prefix, float* suffix) {
    const auto row = [&](int y) { return data + static_cast<std::size_t>(y) * width; };
    for (int block = 0; block + k <= rows; block += k) {
        // suffix[j] = op over rows block+j … block+k−1
        const auto suffix_row = [&](int j) { return suffix + static_cast<std::size_t>(j) * width; };
        std::copy_n(row(block + k - 1), width, suffix_row(k - 1));
        for (int j = k - 2; j >= 0; --j)
            Combine(op, row(block + j), suffix_row(j + 1), width, suffix_row(j));
        std::copy_n(suffix_row(0), width, row(block));
        const int last = std::min(block + k - 1, rows - k);
        if (last > block) {
            std::copy_n(row(block + k), width, prefix);
            for (int y = block + 1;; ++y) {
                Combine(op, suffix_row(y - block), prefix, width, row(y));
                if (y == last) break;
                CombineInto(op, row(y + k), width, prefix);
            }
        }
    }
}

/// skewed: (height + 2·(length−1)) rows of width floats, with length−1 rows of +inf above and
/// below.
void OpenSkewed(float* skewed, int rows, std::size_t width, int length, float* prefix,
                float* suffix) {
    SlidingRows(MinOf(), skewed, rows, width, length, prefix, suffix);
    SlidingRows(MaxOf(), skewed, rows - length + 1, width, length, prefix, suffix);
}

}  // namespace fenceline::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fenceline::kernels {
HWY_EXPORT(OpenSkewed);

void line_opening(const float* in, std::size_t in_stride, int width, int height,
                  const DigitalLine& line, float* out, std::size_t out_stride,
                  LineOpeningWork& work) {
    if (width <= 0 || height <= 0) return;
    constexpr float inf = std::numeric_limits<float>::infinity();
    const auto shift = [&](int y) {
        return static_cast<int>(std::floor((line.first_row + y) * line.slope + 0.5));
    };
    // Sheared so that the line stands upright; beyond the image stands +inf, the neutral element of
    // the erosion. A window wholly outside erodes to +inf too, but no window that covers a pixel of
    // the image is wholly outside.
    const int first = shift(0), last = shift(height - 1);
    const int low = std::min(first, last), high = std::max(first, last);
    const auto skewed_width = static_cast<std::size_t>(width + high - low);
    const int margin = line.length - 1, rows = height + 2 * margin;
    work.skewed.assign(skewed_width * static_cast<std::size_t>(rows), inf);
    work.prefix.resize(skewed_width);
    work.suffix.resize(skewed_width * static_cast<std::size_t>(line.length));
    const auto at = [&](int y, int row) {
        return work.skewed.data() + static_cast<std::size_t>(row) * skewed_width +
               static_cast<std::size_t>(high - shift(y));
    };
    for (int y = 0; y < height; ++y)
        std::copy_n(in + static_cast<std::size_t>(y) * in_stride, width, at(y, y + margin));
    HWY_DYNAMIC_DISPATCH(OpenSkewed)
    (work.skewed.data(), rows, skewed_width, line.length, work.prefix.data(), work.suffix.data());
    for (int y = 0; y < height; ++y) {
        const float *opened = at(y, y), *source = in + static_cast<std::size_t>(y) * in_stride;
        float* to = out + static_cast<std::size_t>(y) * out_stride;
        for (int x = 0; x < width; ++x) to[x] = source[x] == inf ? inf : opened[x];
    }
}

void transpose(const float* in, std::size_t in_stride, int width, int height, float* out,
               std::size_t out_stride) {
    constexpr int block = 16;
    for (int y0 = 0; y0 < height; y0 += block)
        for (int x0 = 0; x0 < width; x0 += block)
            for (int y = y0; y < std::min(y0 + block, height); ++y)
                for (int x = x0; x < std::min(x0 + block, width); ++x)
                    out[static_cast<std::size_t>(x) * out_stride + static_cast<std::size_t>(y)] =
                        in[static_cast<std::size_t>(y) * in_stride + static_cast<std::size_t>(x)];
}

}  // namespace fenceline::kernels
#endif
