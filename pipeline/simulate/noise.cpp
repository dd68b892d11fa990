#include "simulate/noise.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace fenceline::simulate {

std::uint32_t seed_for(std::uint64_t seed, std::string_view topic) {
    std::uint32_t h = mix(static_cast<std::uint32_t>(seed) ^
                          mix(static_cast<std::uint32_t>(seed >> 32) + 0x51ed270bU));
    for (const char c : topic)
        h = mix(h ^ static_cast<std::uint32_t>(static_cast<unsigned char>(c)));
    return h;
}

double Draw::normal() {
    const double u = std::max(uniform(), 1e-12), v = uniform();
    return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
}

float value_noise(std::uint32_t seed, double x, double y) {
    const double fx = std::floor(x), fy = std::floor(y);
    const auto i = static_cast<std::int32_t>(fx), j = static_cast<std::int32_t>(fy);
    auto u = static_cast<float>(x - fx), v = static_cast<float>(y - fy);
    u = u * u * u * (u * (u * 6 - 15) + 10);
    v = v * v * v * (v * (v * 6 - 15) + 10);
    const float a = unit(hash(seed, i, j)), b = unit(hash(seed, i + 1, j)),
                c = unit(hash(seed, i, j + 1)), d = unit(hash(seed, i + 1, j + 1));
    return 2 * ((a + u * (b - a)) * (1 - v) + (c + u * (d - c)) * v) - 1;
}

float fractal(std::uint32_t seed, double x, double y, int octaves, float gain) {
    // Each octave is turned by an angle that no lattice shares, so that no axis shows.
    constexpr double kCos = 0.7986355, kSin = 0.6018150;
    float sum = 0, amplitude = 1;
    for (int k = 0; k < octaves; ++k) {
        sum += amplitude * value_noise(seed + static_cast<std::uint32_t>(k) * 0x68bc21ebU, x, y);
        const double turned = kCos * x - kSin * y;
        y = (kSin * x + kCos * y) * 2.03 + 17.3;
        x = turned * 2.03 - 5.7;
        amplitude *= gain;
    }
    return sum;
}

NoiseTexture::NoiseTexture(std::uint32_t seed)
    : texels_(static_cast<std::size_t>(kSize) * kSize * 4) {
    struct Spectrum {
        int shortest, longest;  // wavelengths in texels, powers of two
        float slope;            // amplitude ∝ wavelength^slope
    };
    constexpr std::array<Spectrum, 4> kSpectra{
        {{2, 256, 0.0F}, {4, 256, 0.45F}, {1, 4, -0.2F}, {2, 256, 0.0F}}};
    std::vector<float> lattice;
    for (std::size_t channel = 0; channel < 4; ++channel) {
        std::vector<float> plane(static_cast<std::size_t>(kSize) * kSize, 0.0F);
        for (int wave = kSpectra[channel].shortest; wave <= kSpectra[channel].longest; wave *= 2) {
            const int n = kSize / wave;
            const std::uint32_t s = mix(seed + static_cast<std::uint32_t>(channel) * 7919U +
                                        static_cast<std::uint32_t>(wave));
            lattice.assign(static_cast<std::size_t>(n) * static_cast<std::size_t>(n), 0.0F);
            for (int j = 0; j < n; ++j)
                for (int i = 0; i < n; ++i)
                    lattice[static_cast<std::size_t>(j) * static_cast<std::size_t>(n) +
                            static_cast<std::size_t>(i)] = gauss(hash(s, i, j));
            const float amplitude = std::pow(static_cast<float>(wave), kSpectra[channel].slope);
            // Catmull–Rom weights keep the octave's energy nearer its wavelength than linear
            // interpolation does.
            const auto weights = [](float t) {
                return std::array<float, 4>{
                    -0.5F * t + t * t - 0.5F * t * t * t, 1 - 2.5F * t * t + 1.5F * t * t * t,
                    0.5F * t + 2 * t * t - 1.5F * t * t * t, -0.5F * t * t + 0.5F * t * t * t};
            };
            const int phase_x = static_cast<int>(mix(s + 1) % static_cast<std::uint32_t>(wave)),
                      phase_y = static_cast<int>(mix(s + 2) % static_cast<std::uint32_t>(wave));
            for (int y = 0; y < kSize; ++y) {
                const int yy = y + phase_y, j = yy / wave;
                const auto wy = weights(static_cast<float>(yy % wave) / static_cast<float>(wave));
                for (int x = 0; x < kSize; ++x) {
                    const int xx = x + phase_x, i = xx / wave;
                    const auto wx =
                        weights(static_cast<float>(xx % wave) / static_cast<float>(wave));
                    float value = 0;
                    for (int b = 0; b < 4; ++b)
                        for (int a = 0; a < 4; ++a) {
                            const int li = (i + a - 1 + n) % n, lj = (j + b - 1 + n) % n;
                            value +=
                                wx[static_cast<std::size_t>(a)] * wy[static_cast<std::size_t>(b)] *
                                lattice[static_cast<std::size_t>(lj) * static_cast<std::size_t>(n) +
                                        static_cast<std::size_t>(li)];
                        }
                    plane[static_cast<std::size_t>(y) * kSize + static_cast<std::size_t>(x)] +=
                        amplitude * value;
                }
            }
        }
        double sum = 0, square = 0;
        for (const float v : plane) {
            sum += static_cast<double>(v);
            square += static_cast<double>(v) * static_cast<double>(v);
        }
        const auto count = static_cast<double>(plane.size());
        const double mean = sum / count,
                     sigma = std::sqrt(std::max(square / count - mean * mean, 1e-12));
        for (std::size_t k = 0; k < plane.size(); ++k)
            texels_[4 * k + channel] =
                static_cast<float>((static_cast<double>(plane[k]) - mean) / sigma);
    }
}

}  // namespace fenceline::simulate
