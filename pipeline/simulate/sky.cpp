#include "simulate/sky.h"

#include <numbers>

#include "simulate/simulate.h"

namespace fenceline::simulate {
namespace {

constexpr double kCloudBase_m = 900;

/// Vertical optical depth of clear air by band (rural aerosol), and what haze adds.
struct Air {
    double clear, haze;
};
Air air_of(BandRole role) {
    switch (role) {
        case BandRole::blue:
            return {0.24, 0.55};
        case BandRole::green:
            return {0.16, 0.42};
        case BandRole::red:
            return {0.11, 0.33};
        case BandRole::nir:
            return {0.06, 0.20};
        default:
            return {0.14, 0.38};
    }
}

/// The value that a fractal of this shape exceeds over a given share of the ground.
float threshold_for(double share) {
    if (share <= 0) return 10;
    if (share >= 1) return -10;
    // The fractal's values are close to a Gaussian of sigma 0.52; Abramowitz & Stegun 26.2.23.
    const double p = std::min(share, 1 - share), t = std::sqrt(-2 * std::log(p));
    const double z = t - (2.515517 + t * (0.802853 + t * 0.010328)) /
                             (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
    return static_cast<float>(0.52 * (share < 0.5 ? z : -z));
}

}  // namespace

Sky::Sky(const World& world, int scene, const SceneFrame& frame)
    : scene_(&world.scenario.scenes[static_cast<std::size_t>(scene)]) {
    const double radian = std::numbers::pi / 180;
    const double elevation = std::max(frame.sun.elevation_deg, 3.0) * radian;
    sine_ = std::sin(elevation);
    cloud_threshold_ = threshold_for(scene_->cloud);
    seed_ = seed_for(world.scenario.seed, "sky") + 31U * static_cast<std::uint32_t>(scene);
    const double azimuth = frame.sun.azimuth_deg * radian;
    shadow_shift_ =
        (kCloudBase_m / std::tan(elevation)) * Point{std::sin(azimuth), std::cos(azimuth)};
}

Sky::Light Sky::light(BandRole role) const {
    const Air air = air_of(role);
    const double depth = air.clear + air.haze * scene_->haze;
    const double direct = std::exp(-depth / sine_), lost = 1 - direct;
    const double unit_sun = sine_ / std::sin(std::numbers::pi / 4);
    Light out{};
    out.direct = static_cast<float>(unit_sun * direct);
    // What reaches the shade was scattered by the air, more of it blue; over snow a large part went
    // up from the ground and came back from haze and cloud, which are grey.
    const double grey =
        1 - std::exp(-(air_of(BandRole::pan).clear + air_of(BandRole::pan).haze * scene_->haze) /
                     sine_);
    const double returned = 0.75 * std::min(1.0, 1.5 * scene_->snow);
    out.sky =
        static_cast<float>(unit_sun * (0.66 * (lost + returned * (1.1 * grey - lost)) + 0.03));
    out.transmission = static_cast<float>(std::exp(-0.55 * depth));
    out.path = static_cast<float>(unit_sun * 0.16 * lost * (1 - std::exp(-depth)) /
                                  std::max(depth, 1e-6) * std::pow(depth, 0.75));
    out.cloud = static_cast<float>(unit_sun * 0.72);
    return out;
}

Sky::Response Sky::response(int band) const {
    // Nominal stretch: ground of reflectance 0.11 in full sun comes out at 100 of 255, deep shade
    // near 16, as in delivered 8-bit products; snow gets a shorter exposure.
    BandRole role = BandRole::pan;
    if (scene_->bands == "rgb")
        role = std::array{BandRole::red, BandRole::green,
                          BandRole::blue}[static_cast<std::size_t>(band)];
    if (scene_->bands == "bgrn")
        role = std::array{BandRole::blue, BandRole::green, BandRole::red,
                          BandRole::nir}[static_cast<std::size_t>(band)];
    const Light air = light(role);
    const double bright = role == BandRole::nir     ? 0.26
                          : role == BandRole::blue  ? 0.105
                          : role == BandRole::green ? 0.112
                          : role == BandRole::pan   ? 0.125
                                                    : 0.116;
    // Snow is exposed for, and balanced to white.
    const double balanced = bright + 0.7 * std::min(1.0, 1.5 * scene_->snow) * (0.114 - bright) *
                                         (role == BandRole::nir ? 0 : 1);
    const double usual = balanced * static_cast<double>(air.direct + air.sky) *
                         static_cast<double>(air.transmission);
    const double path = static_cast<double>(air.path) * (0.6 + 0.4 * scene_->haze);
    const bool deep = scene_->bits > 8;
    const double unit = deep ? 4.0 : 1.0;
    const auto pick = [&](const std::vector<double>& list, double otherwise) {
        return static_cast<std::size_t>(band) < list.size() ? list[static_cast<std::size_t>(band)]
                                                            : otherwise;
    };
    const double gain = (100.0 - 13.0) / usual * (1 - 0.62 * scene_->snow) * pick(scene_->gain, 1);
    const double offset = 13.0 - gain * 0.75 * path + pick(scene_->offset, 0);
    Response out{};
    out.gain = static_cast<float>(unit * gain);
    out.offset = static_cast<float>(unit * offset);
    out.top = deep ? 2047.0F : 255.0F;
    out.knee = deep ? out.top : 195.0F;
    const double noise = scene_->noise;
    out.read_variance = static_cast<float>(unit * unit * 0.5 * noise * noise);
    out.shot = static_cast<float>(unit * 0.010 * noise * noise);
    return out;
}

Sky::Cover Sky::cover_at(double x, double y) const {
    // Optical depth grows from the rim inwards: a cloud is thin over a third of its width. Half the
    // light is gone where the share of the ground says that the cloud begins.
    const auto thickness = [&](double px, double py) {
        const double wx = px + 90 * static_cast<double>(value_noise(seed_ + 1, px / 300, py / 300));
        const float field = fractal(seed_, wx / 620, py / 620, 7, 0.52F);
        const float inside = std::max(0.0F, field - cloud_threshold_ + 0.18F);
        return 1 - std::exp(-0.7F * std::pow(inside * 4, 1.6F));
    };
    // Higher up, streaks that never hide the ground.
    const auto streaks = [&](double px, double py) {
        const double u = 0.82 * px + 0.57 * py, v = -0.57 * px + 0.82 * py;
        const float field = fractal(seed_ + 5, u / 1100, v / 330, 5, 0.5F);
        const float t = std::clamp(field + 0.15F, 0.0F, 1.0F);
        return 0.30F * t * std::min(1.0F, 3 * static_cast<float>(scene_->cloud));
    };
    Cover out{0, 0, 1};
    if (scene_->cloud > 0) {
        const double sx = x + shadow_shift_.x, sy = y + shadow_shift_.y;
        out.cloud = 1 - (1 - 0.98F * thickness(x, y)) * (1 - streaks(x, y));
        out.shadow = 0.92F * thickness(sx, sy);
    }
    out.haze = 1 + static_cast<float>(0.5 * std::min(1.0, 2 * scene_->haze)) *
                       fractal(seed_ + 9, x / 1500, y / 1500, 3, 0.5F);
    return out;
}

Sky::Veil Sky::veil_over(double x_low, double y_low, double x_high, double y_high) const {
    Veil veil;
    veil.i0 = static_cast<int>(std::floor(x_low / kCell)) - 1;
    veil.j0 = static_cast<int>(std::floor(y_low / kCell)) - 1;
    veil.columns = static_cast<int>(std::floor(x_high / kCell)) - veil.i0 + 3;
    veil.rows = static_cast<int>(std::floor(y_high / kCell)) - veil.j0 + 3;
    veil.nodes.reserve(static_cast<std::size_t>(veil.columns) *
                       static_cast<std::size_t>(veil.rows));
    for (int j = 0; j < veil.rows; ++j)
        for (int i = 0; i < veil.columns; ++i)
            veil.nodes.push_back(cover_at((veil.i0 + i) * kCell, (veil.j0 + j) * kCell));
    return veil;
}

}  // namespace fenceline::simulate
