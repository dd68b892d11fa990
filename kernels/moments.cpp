#include "kernels/moments.h"

#include <algorithm>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/moments.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h: compiles this file once per instruction set
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace fenceline::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kBlock = 256;  // samples: 9 channels and their weighted twins stay in L1
constexpr std::size_t kTile = 4;     // 4 × 4 products at once: 8 loads feed 16 additions

/// Adds Σ wx_i·x_j over one block for a tile of kTile × kTile channel pairs. count: a multiple of
/// the lanes; rows are kBlock apart.
HWY_ATTR void AddTile(const double* wx, const double* x, std::size_t count, double* sums) {
    const hn::ScalableTag<double> d;
    const std::size_t lanes = hn::Lanes(d);
    const auto zero = hn::Zero(d);
    auto s00 = zero, s01 = zero, s02 = zero, s03 = zero, s10 = zero, s11 = zero, s12 = zero,
         s13 = zero, s20 = zero, s21 = zero, s22 = zero, s23 = zero, s30 = zero, s31 = zero,
         s32 = zero, s33 = zero;
    for (std::size_t i = 0; i < count; i += lanes) {
        const auto b0 = hn::LoadU(d, x + i), b1 = hn::LoadU(d, x + kBlock + i),
                   b2 = hn::LoadU(d, x + 2 * kBlock + i), b3 = hn::LoadU(d, x + 3 * kBlock + i);
        auto a = hn::LoadU(d, wx + i);
        s00 = hn::MulAdd(a, b0, s00), s01 = hn::MulAdd(a, b1, s01);
        s02 = hn::MulAdd(a, b2, s02), s03 = hn::MulAdd(a, b3, s03);
        a = hn::LoadU(d, wx + kBlock + i);
        s10 = hn::MulAdd(a, b0, s10), s11 = hn::MulAdd(a, b1, s11);
        s12 = hn::MulAdd(a, b2, s12), s13 = hn::MulAdd(a, b3, s13);
        a = hn::LoadU(d, wx + 2 * kBlock + i);
        s20 = hn::MulAdd(a, b0, s20), s21 = hn::MulAdd(a, b1, s21);
        s22 = hn::MulAdd(a, b2, s22), s23 = hn::MulAdd(a, b3, s23);
        a = hn::LoadU(d, wx + 3 * kBlock + i);
        s30 = hn::MulAdd(a, b0, s30), s31 = hn::MulAdd(a, b1, s31);
        s32 = hn::MulAdd(a, b2, s32), s33 = hn::MulAdd(a, b3, s33);
    }
    const auto add = [&](std::size_t k, auto sum)
                         HWY_ATTR { sums[k] += hn::GetLane(hn::SumOfLanes(d, sum)); };
    add(0, s00), add(1, s01), add(2, s02), add(3, s03);
    add(4, s10), add(5, s11), add(6, s12), add(7, s13);
    add(8, s20), add(9, s21), add(10, s22), add(11, s23);
    add(12, s30), add(13, s31), add(14, s32), add(15, s33);
}

/// Row 0 stands for the constant 1, so that Σw and Σw·x_i are products like all others. Each block
/// is widened to double once and then used for every pair.
void WeightedMoments(const float* const* channels, int channel_count, const float* weights,
                     std::size_t n, double* out) {
    const hn::ScalableTag<double> d;
    const hn::Rebind<float, decltype(d)> df;
    const std::size_t lanes = hn::Lanes(d);
    const auto rows = static_cast<std::size_t>(channel_count) + 1;
    const std::size_t padded_rows = (rows + kTile - 1) / kTile * kTile, tiles = padded_rows / kTile;
    std::vector<double> x(padded_rows * kBlock, 0.0), wx(padded_rows * kBlock, 0.0);
    std::vector<double> sums(tiles * tiles * kTile * kTile, 0.0);
    for (std::size_t begin = 0; begin < n; begin += kBlock) {
        const std::size_t count = std::min(kBlock, n - begin);
        const std::size_t padded = (count + lanes - 1) / lanes * lanes;
        for (std::size_t c = 0; c < rows; ++c) {
            double* to = x.data() + c * kBlock;
            double* weighted = wx.data() + c * kBlock;
            const float* from = c == 0 ? nullptr : channels[c - 1] + begin;
            const float* w = weights == nullptr ? nullptr : weights + begin;
            std::size_t i = 0;
            for (; i + lanes <= count; i += lanes) {
                const auto v =
                    from == nullptr ? hn::Set(d, 1.0) : hn::PromoteTo(d, hn::LoadU(df, from + i));
                hn::StoreU(v, d, to + i);
                hn::StoreU(w == nullptr ? v : hn::Mul(v, hn::PromoteTo(d, hn::LoadU(df, w + i))), d,
                           weighted + i);
            }
            for (; i < padded; ++i) {
                to[i] = i >= count ? 0.0 : from == nullptr ? 1.0 : static_cast<double>(from[i]);
                weighted[i] = i < count && w != nullptr ? to[i] * static_cast<double>(w[i]) : to[i];
            }
        }
        for (std::size_t i = 0; i < tiles; ++i)
            for (std::size_t j = i; j < tiles; ++j)
                AddTile(wx.data() + i * kTile * kBlock, x.data() + j * kTile * kBlock, padded,
                        sums.data() + (i * tiles + j) * kTile * kTile);
    }
    std::size_t k = 0;
    for (std::size_t i = 0; i < rows; ++i)
        for (std::size_t j = i; j < rows; ++j)
            out[k++] = sums[(i / kTile * tiles + j / kTile) * kTile * kTile + i % kTile * kTile +
                            j % kTile];
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
