#include "kernels/patch_net.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cmath>
#include <random>
#include <vector>

namespace fenceline::kernels {
namespace {

/// Weights of a random network, of the size at which activations neither die nor explode.
struct RandomNet {
    std::vector<std::vector<float>> parts;
    PatchNet net;
    RandomNet(int inputs, int outputs, unsigned seed) {
        std::mt19937 random(seed);
        const auto part = [&](int count, int fan_in) -> const float* {
            std::normal_distribution<float> normal(0, std::sqrt(2.0F / static_cast<float>(fan_in)));
            std::vector<float>& values = parts.emplace_back();
            for (int i = 0; i < count; ++i) values.push_back(normal(random));
            return values.data();
        };
        parts.reserve(16);
        net.inputs = inputs;
        net.outputs = outputs;
        net.conv1 = part(9 * inputs * kPatchChannels1, 9 * inputs);
        net.bias1 = part(kPatchChannels1, 20);
        net.conv2 = part(9 * kPatchChannels1 * kPatchChannels, 9 * kPatchChannels1);
        net.bias2 = part(kPatchChannels, 20);
        net.conv3 = part(9 * kPatchChannels * kPatchChannels, 9 * kPatchChannels);
        net.bias3 = part(kPatchChannels, 20);
        net.conv4 = part(16 * kPatchChannels * kPatchChannels, 16 * kPatchChannels);
        net.bias4 = part(kPatchChannels, 20);
        net.last = part(kPatchChannels * outputs, kPatchChannels);
        net.last_bias = part(outputs, 1);
    }
};

std::vector<float> noise(int count, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 1);
    std::vector<float> values;
    for (int i = 0; i < count; ++i) values.push_back(normal(random));
    return values;
}

TEST(PatchNet, AgreesWithTheReferenceOnEverySizeAndInstructionSet) {
    for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
        hwy::SetSupportedTargetsForTest(target);
        PatchNetWork work;
        for (const auto& [width, height] :
             {std::pair{30, 30}, {31, 30}, {33, 37}, {34, 30}, {30, 41}, {58, 46}})
            for (const auto& [inputs, outputs] : {std::pair{3, 3}, {1, 1}, {4, 8}}) {
                const RandomNet random(inputs, outputs, 7);
                const auto image = noise(width * height * inputs, 3);
                const auto count = static_cast<std::size_t>(patch_positions(width) *
                                                            patch_positions(height) * outputs);
                std::vector<float> fast(count), slow(count);
                patch_net(random.net, image.data(), width, height, fast.data(), work);
                reference::patch_net(random.net, image.data(), width, height, slow.data());
                for (std::size_t i = 0; i < count; ++i)
                    ASSERT_NEAR(fast[i], slow[i], 1e-4 * std::max(1.0F, std::abs(slow[i])))
                        << hwy::TargetName(target) << " " << width << " × " << height << ", " << i;
            }
    }
    hwy::SetSupportedTargetsForTest(0);
}

TEST(PatchNet, AWindowInsideALargerImageGivesTheSame) {
    const int width = 62, height = 50, inputs = 3, outputs = 7;
    const RandomNet random(inputs, outputs, 11);
    const auto image = noise(width * height * inputs, 5);
    const int columns = patch_positions(width), rows = patch_positions(height);
    ASSERT_EQ(columns, 9);
    ASSERT_EQ(rows, 6);
    PatchNetWork work;
    std::vector<float> all(static_cast<std::size_t>(columns * rows * outputs)), one(outputs);
    patch_net(random.net, image.data(), width, height, all.data(), work);
    for (int j = 0; j < rows; ++j)
        for (int i = 0; i < columns; ++i) {
            std::vector<float> window;
            for (int y = 0; y < kPatchSize; ++y)
                for (int k = 0; k < kPatchSize * inputs; ++k)
                    window.push_back(image[static_cast<std::size_t>(
                        ((kPatchStep * j + y) * width + kPatchStep * i) * inputs + k)]);
            patch_net(random.net, window.data(), kPatchSize, kPatchSize, one.data(), work);
            for (int o = 0; o < outputs; ++o)
                ASSERT_EQ(one[static_cast<std::size_t>(o)],
                          all[static_cast<std::size_t>((j * columns + i) * outputs + o)])
                    << i << ", " << j;
        }
}

TEST(PatchNet, TooSmallAnImageHasNoWindow) {
    EXPECT_EQ(patch_positions(29), 0);
    EXPECT_EQ(patch_positions(30), 1);
    EXPECT_EQ(patch_positions(33), 1);
    const RandomNet random(1, 1, 1);
    std::vector<float> image(29 * 29, 0.0F);
    float out = 5;
    PatchNetWork work;
    patch_net(random.net, image.data(), 29, 29, &out, work);
    EXPECT_EQ(out, 5);
}

}  // namespace
}  // namespace fenceline::kernels
