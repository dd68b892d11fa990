#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace fenceline::simulate {

/// Everything random is a function of a seed and a place, never of the order of evaluation: the
/// same seed gives the same bytes whatever the number of threads.

/// Mixes 32 bits (Wellons' lowbias32).
inline std::uint32_t mix(std::uint32_t x) {
    x ^= x >> 16;
    x *= 0x7feb352dU;
    x ^= x >> 15;
    x *= 0x846ca68bU;
    x ^= x >> 16;
    return x;
}
inline std::uint32_t hash(std::uint32_t seed, std::int32_t x, std::int32_t y) {
    return mix(seed ^ mix(static_cast<std::uint32_t>(x) * 0x9e3779b1U ^
                          mix(static_cast<std::uint32_t>(y) + 0x85ebca6bU)));
}
/// The largest whole number that is not larger.
inline std::int32_t floor_of(float x) {
    const auto n = static_cast<std::int32_t>(x);
    return n - (static_cast<float>(n) > x ? 1 : 0);
}
/// [0, 1)
inline float unit(std::uint32_t h) { return static_cast<float>(h >> 8) * (1.0F / 16777216.0F); }
/// Nearly Gaussian, mean 0, sigma 1 (sum of four uniform bytes).
inline float gauss(std::uint32_t h) {
    const auto sum =
        static_cast<float>((h & 255U) + ((h >> 8) & 255U) + ((h >> 16) & 255U) + (h >> 24));
    return (sum - 510.0F) * (1.0F / 147.8F);
}
std::uint32_t seed_for(std::uint64_t seed, std::string_view topic);

/// A sequence for the layout (few numbers, one thread): one stream per topic, so that a new topic
/// moves no other.
class Draw {
  public:
    Draw(std::uint64_t seed, std::string_view topic) : state_(seed_for(seed, topic)) {}
    std::uint32_t bits() { return mix(state_ += 0x9e3779b9U); }
    double uniform() { return static_cast<double>(bits()) * (1.0 / 4294967296.0); }
    double uniform(double low, double high) { return low + (high - low) * uniform(); }
    double normal();
    /// 0 … n-1
    int below(int n) { return static_cast<int>(uniform() * n); }
    bool chance(double p) { return uniform() < p; }

  private:
    std::uint32_t state_;
};

/// Smooth value noise with unit wavelength in about [-1, 1], and its fractal sum (gain per octave
/// 0.5 unless told).
float value_noise(std::uint32_t seed, double x, double y);
float fractal(std::uint32_t seed, double x, double y, int octaves, float gain = 0.5F);

/// Periodic 512 × 512 texture of four channels with zero mean and unit sigma, for the fine grain of
/// surfaces: 0 and 3 fractal (equal energy per octave), 1 rougher at long waves, 2 fine grain only.
class NoiseTexture {
  public:
    static constexpr int kSize = 512;
    explicit NoiseTexture(std::uint32_t seed);
    /// Bilinear, position in texels.
    std::array<float, 4> operator()(float x, float y) const {
        const std::int32_t fx = floor_of(x), fy = floor_of(y);
        const float u = x - static_cast<float>(fx), v = y - static_cast<float>(fy);
        const auto i = static_cast<std::uint32_t>(fx), j = static_cast<std::uint32_t>(fy);
        const std::uint32_t i0 = i & (kSize - 1), i1 = (i + 1) & (kSize - 1),
                            j0 = (j & (kSize - 1)) * kSize, j1 = ((j + 1) & (kSize - 1)) * kSize;
        const float *a = &texels_[4 * static_cast<std::size_t>(j0 + i0)],
                    *b = &texels_[4 * static_cast<std::size_t>(j0 + i1)],
                    *c = &texels_[4 * static_cast<std::size_t>(j1 + i0)],
                    *d = &texels_[4 * static_cast<std::size_t>(j1 + i1)];
        const float wa = (1 - u) * (1 - v), wb = u * (1 - v), wc = (1 - u) * v, wd = u * v;
        std::array<float, 4> out;
        for (std::size_t k = 0; k < 4; ++k) out[k] = wa * a[k] + wb * b[k] + wc * c[k] + wd * d[k];
        return out;
    }

  private:
    std::vector<float> texels_;
};

}  // namespace fenceline::simulate
