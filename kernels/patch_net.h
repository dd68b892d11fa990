#pragma once

#include <cstddef>
#include <vector>

namespace fenceline::kernels {

/// A small convolutional network with a fixed shape, slid over an image with a step of 4:
/// 3×3 convolution to 16 channels, ReLU, 2×2 maximum; 3×3 to 32, ReLU, 2×2 maximum; 3×3 to 32,
/// ReLU; 4×4 to 32, ReLU; 32 to `outputs`. No padding anywhere, so that one window of 30 × 30 and
/// the same window inside a larger image give the same. Weights are [row][column][input][output],
/// outputs fastest; last: [input][output].
struct PatchNet {
    int inputs = 0;   ///< channels of the image, interleaved
    int outputs = 0;  ///< 1 … 8
    const float *conv1 = nullptr, *bias1 = nullptr, *conv2 = nullptr, *bias2 = nullptr,
                *conv3 = nullptr, *bias3 = nullptr, *conv4 = nullptr, *bias4 = nullptr,
                *last = nullptr, *last_bias = nullptr;
};
constexpr int kPatchSize = 30, kPatchStep = 4;
constexpr int kPatchChannels1 = 16, kPatchChannels = 32;

/// How many windows lie in `size` pixels; 0 when none fits.
constexpr int patch_positions(int size) {
    return size < kPatchSize ? 0 : (size - kPatchSize) / kPatchStep + 1;
}

struct PatchNetWork {
    std::vector<float> a, b;
};

/// out: patch_positions(height) × patch_positions(width) × outputs. image: height × width × inputs,
/// contiguous. Finite input. out(j, i) belongs to the window with corner (4i, 4j).
void patch_net(const PatchNet& net, const float* image, int width, int height, float* out,
               PatchNetWork& work);

namespace reference {
void patch_net(const PatchNet& net, const float* image, int width, int height, float* out);
}

}  // namespace fenceline::kernels
