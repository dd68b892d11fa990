#include "kernels/patch_net.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/patch_net.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h: compiles this file once per instruction set
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace fenceline::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// size × size convolution without padding, ReLU. Four pixels at a time share the weights that are
/// loaded. outputs is a multiple of 16.
HWY_ATTR void Convolve(const float* HWY_RESTRICT in, int width, int height, int channels,
                       const float* HWY_RESTRICT weights, const float* HWY_RESTRICT bias, int size,
                       int outputs, float* HWY_RESTRICT out) {
    const hn::CappedTag<float, 16> d;
    const int lanes = static_cast<int>(hn::Lanes(d));
    const int out_width = width - size + 1, out_height = height - size + 1;
    const auto zero = hn::Zero(d);
    for (int y = 0; y < out_height; ++y)
        for (int x0 = 0; x0 < out_width; x0 += 4) {
            // The last four overlap the ones before; with fewer than four, one pixel is repeated.
            const int x = std::max(0, std::min(x0, out_width - 4));
            const int x1 = std::min(x + 1, out_width - 1), x2 = std::min(x + 2, out_width - 1),
                      x3 = std::min(x + 3, out_width - 1);
            for (int o = 0; o < outputs; o += lanes) {
                auto s0 = hn::LoadU(d, bias + o);
                auto s1 = s0, s2 = s0, s3 = s0;
                for (int dy = 0; dy < size; ++dy) {
                    const float* row = in + (y + dy) * width * channels;
                    const float *p0 = row + x * channels, *p1 = row + x1 * channels,
                                *p2 = row + x2 * channels, *p3 = row + x3 * channels;
                    const float* w = weights + dy * size * channels * outputs + o;
                    for (int k = 0; k < size * channels; ++k, w += outputs) {
                        const auto weight = hn::LoadU(d, w);
                        s0 = hn::MulAdd(hn::Set(d, p0[k]), weight, s0);
                        s1 = hn::MulAdd(hn::Set(d, p1[k]), weight, s1);
                        s2 = hn::MulAdd(hn::Set(d, p2[k]), weight, s2);
                        s3 = hn::MulAdd(hn::Set(d, p3[k]), weight, s3);
                    }
                }
                float* to = out + y * out_width * outputs + o;
                hn::StoreU(hn::Max(s0, zero), d, to + x * outputs);
                hn::StoreU(hn::Max(s1, zero), d, to + x1 * outputs);
                hn::StoreU(hn::Max(s2, zero), d, to + x2 * outputs);
                hn::StoreU(hn::Max(s3, zero), d, to + x3 * outputs);
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
