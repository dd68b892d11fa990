#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/raster.h"
#include "simulate/world.h"

namespace fenceline::simulate {

struct SceneFrame;

/// What lies between ground and sensor in one scene: sunlight, skylight, haze, clouds and their
/// shadows, and how radiance becomes numbers. Radiance is in units of reflectance times the sine of
/// a 45° sun.
class Sky {
  public:
    Sky(const World& world, int scene, const SceneFrame& frame);

    struct Light {
        float direct, sky;   ///< irradiance on flat ground, sun and sky
        float transmission;  ///< ground to sensor
        float path;          ///< haze's own light
        float cloud;         ///< radiance of a thick cloud
    };
    Light light(BandRole role) const;

    struct Response {
        float gain, offset, top;    ///< digital number = gain · radiance + offset, at most top
        float knee;                 ///< above it numbers are squeezed towards top, as in delivered
                                    ///< 8-bit products, so that bright roofs keep their texture
        float read_variance, shot;  ///< noise variance = read_variance + shot · number
    };
    Response response(int band) const;

    struct Cover {
        float cloud, shadow,
            haze;  ///< opacity of cloud, share of sunlight lost, factor on path light
    };
    Cover cover_at(double x, double y) const;

    /// cover_at on a lattice around a tile, interpolated.
    struct Veil {
        int i0 = 0, j0 = 0;  ///< first node, in cells
        int columns = 0, rows = 0;
        std::vector<Cover> nodes;
        Cover operator()(float x, float y) const {
            const float fx = x / static_cast<float>(kCell), fy = y / static_cast<float>(kCell);
            const float cx = std::floor(fx), cy = std::floor(fy), u = fx - cx, v = fy - cy;
            const int i = std::clamp(static_cast<int>(cx) - i0, 0, columns - 2),
                      j = std::clamp(static_cast<int>(cy) - j0, 0, rows - 2);
            const Cover* a =
                &nodes[static_cast<std::size_t>(j) * static_cast<std::size_t>(columns) +
                       static_cast<std::size_t>(i)];
            const Cover* b = a + columns;
            const auto mixed = [&](float Cover::*m) {
                return (1 - v) * ((1 - u) * a[0].*m + u * a[1].*m) +
                       v * ((1 - u) * b[0].*m + u * b[1].*m);
            };
            return {mixed(&Cover::cloud), mixed(&Cover::shadow), mixed(&Cover::haze)};
        }
    };
    static constexpr double kCell = 5;
    Veil veil_over(double x_low, double y_low, double x_high, double y_high) const;

  private:
    const ScenarioScene* scene_;
    double sine_ = 1;
    float cloud_threshold_ = 10;
    std::uint32_t seed_ = 0;
    Point shadow_shift_;  ///< from a place to the cloud that shades it
};

}  // namespace fenceline::simulate
