#include "kernels/patch_net.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/patch_net.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h: compiles this file once per instruction set
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace fenceline::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Some of the outputs of a convolution, at four pixels p: kVectors vectors of them, so that enough
/// sums run side by side to hide the latency of a multiplication. Each sum's order is always the
/// same.
template <int kVectors, class D>
HWY_ATTR HWY_INLINE void FourPixels(D d, const float* const* HWY_RESTRICT p, int row_stride,
                                    int columns, const float* HWY_RESTRICT weights,
                                    const float* HWY_RESTRICT bias, int size, int outputs,
                                    float* const* HWY_RESTRICT to) {
    const auto lanes = static_cast<int>(hn::Lanes(d));
    const auto zero = hn::Zero(d);
    auto s0 = hn::LoadU(d, bias), s1 = s0, s2 = s0, s3 = s0;
    auto t0 = hn::LoadU(d, bias + (kVectors > 1 ? lanes : 0)), t1 = t0, t2 = t0, t3 = t0;
    const float* w = weights;
    for (int dy = 0; dy < size; ++dy) {
        const int row = dy * row_stride;
        const float *p0 = p[0] + row, *p1 = p[1] + row, *p2 = p[2] + row, *p3 = p[3] + row;
        for (int k = 0; k < columns; ++k, w += outputs) {
            const auto u = hn::LoadU(d, w);
            const auto x0 = hn::Set(d, p0[k]), x1 = hn::Set(d, p1[k]), x2 = hn::Set(d, p2[k]),
                       x3 = hn::Set(d, p3[k]);
            s0 = hn::MulAdd(x0, u, s0);
            s1 = hn::MulAdd(x1, u, s1);
            s2 = hn::MulAdd(x2, u, s2);
            s3 = hn::MulAdd(x3, u, s3);
            if constexpr (kVectors > 1) {
                const auto v = hn::LoadU(d, w + lanes);
                t0 = hn::MulAdd(x0, v, t0);
                t1 = hn::MulAdd(x1, v, t1);
                t2 = hn::MulAdd(x2, v, t2);
                t3 = hn::MulAdd(x3, v, t3);
            }
        }
    }
    hn::StoreU(hn::Max(s0, zero), d, to[0]);
    hn::StoreU(hn::Max(s1, zero), d, to[1]);
    hn::StoreU(hn::Max(s2, zero), d, to[2]);
    hn::StoreU(hn::Max(s3, zero), d, to[3]);
    if constexpr (kVectors > 1) {
        hn::StoreU(hn::Max(t0, zero), d, to[0] + lanes);
        hn::StoreU(hn::Max(t1, zero), d, to[1] + lanes);
        hn::StoreU(hn::Max(t2, zero), d, to[2] + lanes);
        hn::StoreU(hn::Max(t3, zero), d, to[3] + lanes);
    }
}

/// size × size convolution without padding, ReLU. Four pixels at a time share the weights that are
/// loaded. outputs is a multiple of 16.
HWY_ATTR void Convolve(const float* HWY_RESTRICT in, int width, int height, int channels,
                       const float* HWY_RESTRICT weights, const float* HWY_RESTRICT bias, int size,
                       int outputs, float* HWY_RESTRICT out) {
    const hn::CappedTag<float, 16> d;
    const int lanes = static_cast<int>(hn::Lanes(d));
    const int out_width = width - size + 1, out_height = height - size + 1;
    for (int y = 0; y < out_height; ++y)
        for (int x0 = 0; x0 < out_width; x0 += 4) {
            // The last four overlap the ones before; with fewer than four, one pixel is repeated.
            const float* from[4];
            float* to[4];
            for (int k = 0; k < 4; ++k) {
                const int x = std::min(std::max(0, std::min(x0, out_width - 4)) + k, out_width - 1);
                from[k] = in + (y * width + x) * channels;
                to[k] = out + (y * out_width + x) * outputs;
            }
            for (int o = 0; o < outputs;) {
                const int vectors = o + 2 * lanes <= outputs ? 2 : 1;
                if (vectors == 2)
                    FourPixels<2>(d, from, width * channels, size * channels, weights + o, bias + o,
                                  size, outputs, to);
                else
                    FourPixels<1>(d, from, width * channels, size * channels, weights + o, bias + o,
                                  size, outputs, to);
                o += vectors * lanes;
                for (float*& at : to) at += vectors * lanes;
            }
        }
}

/// Maximum of 2 × 2; channels is a multiple of 16.
HWY_ATTR void Halve(const float* HWY_RESTRICT in, int width, int height, int channels,
                    float* HWY_RESTRICT out) {
    const hn::CappedTag<float, 16> d;
    const int lanes = static_cast<int>(hn::Lanes(d));
    for (int y = 0; y < height / 2; ++y)
        for (int x = 0; x < width / 2; ++x)
            for (int c = 0; c < channels; c += lanes) {
                const float *a = in + (2 * y * width + 2 * x) * channels + c,
                            *b = a + width * channels;
                hn::StoreU(hn::Max(hn::Max(hn::LoadU(d, a), hn::LoadU(d, a + channels)),
                                   hn::Max(hn::LoadU(d, b), hn::LoadU(d, b + channels))),
                           d, out + (y * (width / 2) + x) * channels + c);
            }
}

void RunPatchNet(const PatchNet& net, const float* image, int width, int height, float* out,
                 float* a, float* b) {
    Convolve(image, width, height, net.inputs, net.conv1, net.bias1, 3, kPatchChannels1, a);
    int w = width - 2, h = height - 2;
    Halve(a, w, h, kPatchChannels1, b);
    w /= 2, h /= 2;
    Convolve(b, w, h, kPatchChannels1, net.conv2, net.bias2, 3, kPatchChannels, a);
    w -= 2, h -= 2;
    Halve(a, w, h, kPatchChannels, b);
    w /= 2, h /= 2;
    Convolve(b, w, h, kPatchChannels, net.conv3, net.bias3, 3, kPatchChannels, a);
    w -= 2, h -= 2;
    Convolve(a, w, h, kPatchChannels, net.conv4, net.bias4, 4, kPatchChannels, b);
    w -= 3, h -= 3;
    for (int i = 0; i < w * h; ++i)
        for (int o = 0; o < net.outputs; ++o) {
            float sum = net.last_bias[o];
            for (int k = 0; k < kPatchChannels; ++k)
                sum += b[i * kPatchChannels + k] * net.last[k * net.outputs + o];
            out[i * net.outputs + o] = sum;
        }
}

}  // namespace fenceline::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fenceline::kernels {
HWY_EXPORT(RunPatchNet);

void patch_net(const PatchNet& net, const float* image, int width, int height, float* out,
               PatchNetWork& work) {
    if (patch_positions(width) == 0 || patch_positions(height) == 0) return;
    // What lies beyond the last whole step is not needed: every later layer has the sizes that
    // patch_positions counts.
    const auto pixels = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
    work.a.resize(pixels * kPatchChannels1);
    work.b.resize(pixels * kPatchChannels1);
    HWY_DYNAMIC_DISPATCH(RunPatchNet)
    (net, image, width, height, out, work.a.data(), work.b.data());
}

}  // namespace fenceline::kernels
#endif
