#include "kernels/bands.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/bands.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h: compiles this file once per instruction set
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace fenceline::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
HWY_ATTR void CombineAt(D d, const float* const* bands, int band_count, const float* weights,
                        float constant, std::size_t i, float* out) {
    auto sum = hn::Set(d, constant);
    for (int b = 0; b < band_count; ++b)
        sum = hn::MulAdd(hn::Set(d, weights[b]), hn::LoadU(d, bands[b] + i), sum);
    hn::StoreU(sum, d, out + i);
}

void CombineBands(const float* const* bands, int band_count, const float* weights, float constant,
                  std::size_t n, float* out) {
    const hn::ScalableTag<float> d;
    const hn::CappedTag<float, 1> d1;
    const std::size_t lanes = hn::Lanes(d);
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) CombineAt(d, bands, band_count, weights, constant, i, out);
    for (; i < n; ++i) CombineAt(d1, bands, band_count, weights, constant, i, out);
}

/// Column sums are vector work, and so is folding two to four columns into one; wider blocks fold
/// one by one, a 1/side share of the work.
void BlockAverage(const float* const* rows, int side, std::size_t n, float* out) {
    const hn::ScalableTag<float> d;
    const std::size_t lanes = hn::Lanes(d);
    constexpr std::size_t kChunk = 1024;
    HWY_ALIGN float columns[kChunk];
    const auto width = static_cast<std::size_t>(side);
    const float scale = 1.0F / (static_cast<float>(side) * static_cast<float>(side));
    const std::size_t blocks_at_once = std::max<std::size_t>(1, kChunk / width);
    for (std::size_t first = 0; first < n; first += blocks_at_once) {
        const std::size_t blocks = std::min(blocks_at_once, n - first);
        const std::size_t begin = first * width;
        // A block wider than the buffer is summed piece by piece.
        for (std::size_t b = 0; b < blocks; ++b) out[first + b] = 0;
        for (std::size_t piece = 0; piece < blocks * width; piece += kChunk) {
            const std::size_t count = std::min(kChunk, blocks * width - piece);
            std::size_t i = 0;
            for (; i + lanes <= count; i += lanes) {
                auto sum = hn::LoadU(d, rows[0] + begin + piece + i);
                for (int y = 1; y < side; ++y)
                    sum = hn::Add(sum, hn::LoadU(d, rows[y] + begin + piece + i));
                hn::Store(sum, d, columns + i);
            }
            for (; i < count; ++i) {
                float sum = rows[0][begin + piece + i];
                for (int y = 1; y < side; ++y) sum += rows[y][begin + piece + i];
                columns[i] = sum;
            }
            const std::size_t whole = blocks == 1 ? count : width;  // of a block, in the buffer
            std::size_t b = 0;
            if (side >= 2 && side <= 4 && blocks > 1)
                for (; b + lanes <= blocks; b += lanes) {
                    auto c0 = hn::Zero(d), c1 = c0, c2 = c0, c3 = c0;
                    const float* from = columns + b * width;
                    if (side == 2) {
                        hn::LoadInterleaved2(d, from, c0, c1);
                        c0 = hn::Add(c0, c1);
                    } else if (side == 3) {
                        hn::LoadInterleaved3(d, from, c0, c1, c2);
                        c0 = hn::Add(hn::Add(c0, c1), c2);
                    } else {
                        hn::LoadInterleaved4(d, from, c0, c1, c2, c3);
                        c0 = hn::Add(hn::Add(hn::Add(c0, c1), c2), c3);
                    }
                    hn::StoreU(c0, d, out + first + b);
                }
            for (; b < blocks; ++b) {
                float sum = out[first + b];
                for (std::size_t k = 0; k < whole; ++k) sum += columns[b * width + k];
                out[first + b] = sum;
            }
        }
        for (std::size_t b = 0; b < blocks; ++b) out[first + b] *= scale;
    }
}

}  // namespace fenceline::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fenceline::kernels {
HWY_EXPORT(CombineBands);
HWY_EXPORT(BlockAverage);

void combine_bands(const float* const* bands, int band_count, const float* weights, float constant,
                   std::size_t n, float* out) {
    HWY_DYNAMIC_DISPATCH(CombineBands)(bands, band_count, weights, constant, n, out);
}
void block_average(const float* const* rows, int side, std::size_t n, float* out) {
    HWY_DYNAMIC_DISPATCH(BlockAverage)(rows, side, n, out);
}

}  // namespace fenceline::kernels
#endif
