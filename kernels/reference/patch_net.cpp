#include "kernels/patch_net.h"

#include <algorithm>

namespace fenceline::kernels::reference {
namespace {

struct Layer {
    int width = 0, height = 0, channels = 0;
    std::vector<float> values;
    float& at(int x, int y, int c) {
        return values[(static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                       static_cast<std::size_t>(x)) *
                          static_cast<std::size_t>(channels) +
                      static_cast<std::size_t>(c)];
    }
};

Layer convolution(Layer& in, const float* weights, const float* bias, int size, int channels) {
    Layer out{in.width - size + 1, in.height - size + 1, channels, {}};
    out.values.resize(static_cast<std::size_t>(out.width) * static_cast<std::size_t>(out.height) *
                      static_cast<std::size_t>(channels));
    for (int y = 0; y < out.height; ++y)
        for (int x = 0; x < out.width; ++x)
            for (int c = 0; c < channels; ++c) {
                double sum = static_cast<double>(bias[c]);
                for (int dy = 0; dy < size; ++dy)
                    for (int dx = 0; dx < size; ++dx)
                        for (int k = 0; k < in.channels; ++k)
                            sum +=
                                static_cast<double>(in.at(x + dx, y + dy, k)) *
                                static_cast<double>(
                                    weights[((dy * size + dx) * in.channels + k) * channels + c]);
                out.at(x, y, c) = static_cast<float>(std::max(0.0, sum));
            }
    return out;
}

Layer halved(Layer& in) {
    Layer out{in.width / 2, in.height / 2, in.channels, {}};
    out.values.resize(static_cast<std::size_t>(out.width) * static_cast<std::size_t>(out.height) *
                      static_cast<std::size_t>(out.channels));
    for (int y = 0; y < out.height; ++y)
        for (int x = 0; x < out.width; ++x)
            for (int c = 0; c < in.channels; ++c)
                out.at(x, y, c) =
                    std::max(std::max(in.at(2 * x, 2 * y, c), in.at(2 * x + 1, 2 * y, c)),
                             std::max(in.at(2 * x, 2 * y + 1, c), in.at(2 * x + 1, 2 * y + 1, c)));
    return out;
}

}  // namespace

void patch_net(const PatchNet& net, const float* image, int width, int height, float* out) {
    const int columns = patch_positions(width), rows = patch_positions(height);
    for (int j = 0; j < rows; ++j)
        for (int i = 0; i < columns; ++i) {
            Layer window{kPatchSize, kPatchSize, net.inputs, {}};
            window.values.resize(static_cast<std::size_t>(kPatchSize * kPatchSize * net.inputs));
            for (int y = 0; y < kPatchSize; ++y)
                for (int x = 0; x < kPatchSize; ++x)
                    for (int c = 0; c < net.inputs; ++c)
                        window.at(x, y, c) =
                            image[((kPatchStep * j + y) * width + kPatchStep * i + x) * net.inputs +
                                  c];
            Layer layer = convolution(window, net.conv1, net.bias1, 3, kPatchChannels1);
            layer = halved(layer);
            layer = convolution(layer, net.conv2, net.bias2, 3, kPatchChannels);
            layer = halved(layer);
            layer = convolution(layer, net.conv3, net.bias3, 3, kPatchChannels);
            layer = convolution(layer, net.conv4, net.bias4, 4, kPatchChannels);
            for (int o = 0; o < net.outputs; ++o) {
                double sum = static_cast<double>(net.last_bias[o]);
                for (int k = 0; k < kPatchChannels; ++k)
                    sum += static_cast<double>(layer.at(0, 0, k)) *
                           static_cast<double>(net.last[k * net.outputs + o]);
                out[(j * columns + i) * net.outputs + o] = static_cast<float>(sum);
            }
        }
}

}  // namespace fenceline::kernels::reference
