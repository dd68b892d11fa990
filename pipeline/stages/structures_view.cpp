#include "stages/structures_view.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <opencv2/core.hpp>

namespace fenceline {
namespace {

/// Median of values that may be reordered; 0 when there are none.
double median_in_place(std::vector<float>& values) {
    if (values.empty()) return 0;
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return static_cast<double>(*middle);
}

/// Blur of the image in pixels (σ of a Gaussian that its spectrum agrees with, the sensor's own
/// share included): ground has a power spectrum near 1/f² (Ruderman & Bialek 1994), so ln(P·f²)
/// falls by (2πσf)². Frequencies where only noise is left say nothing. 0.5 px is what a sharp
/// sensor shows.
double spectral_blur_px(const Plane& luminance, const Scene& scene) {
    constexpr int n = 128, bins = n / 2;
    std::vector<double> power(bins + 1, 0.0);
    const int width = luminance.width(), height = luminance.height();
    int count = 0;
    cv::Mat segment(1, n, CV_32F), spectrum;
    const auto add = [&](bool along_x, int line, int start) {
        double sum = 0;
        for (int i = 0; i < n; ++i) {
            const int x = along_x ? start + i : line, y = along_x ? line : start + i;
            if (!scene.seen(x, y)) return;
            sum += static_cast<double>(luminance.at(x, y));
        }
        for (int i = 0; i < n; ++i) {
            const int x = along_x ? start + i : line, y = along_x ? line : start + i;
            const double hann = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * (i + 0.5) / n);
            segment.at<float>(0, i) =
                static_cast<float>(hann * (static_cast<double>(luminance.at(x, y)) - sum / n));
        }
        cv::dft(segment, spectrum, cv::DFT_COMPLEX_OUTPUT);
        for (int k = 1; k <= bins; ++k) {
            const auto value = spectrum.at<cv::Vec2f>(0, k);
            power[static_cast<std::size_t>(k)] +=
                static_cast<double>(value[0] * value[0] + value[1] * value[1]);
        }
        ++count;
    };
    const int step_y = std::max(1, height / 160), step_x = std::max(1, width / 160);
    for (int y = 0; y < height; y += step_y)
        for (int x = 0; x + n <= width; x += std::max(n, width / 8)) add(true, y, x);
    for (int x = 0; x < width; x += step_x)
        for (int y = 0; y + n <= height; y += std::max(n, height / 8)) add(false, x, y);
    if (count < 8) return 0.5;
    std::vector<double> smooth(bins + 1, 0.0);
    double floor = 1e300;
    for (int k = 3; k <= bins - 2; ++k) {
        for (int j = -2; j <= 2; ++j)
            smooth[static_cast<std::size_t>(k)] += power[static_cast<std::size_t>(k + j)] / 5;
        floor = std::min(floor, smooth[static_cast<std::size_t>(k)]);
    }
    constexpr int low = 8;  // 0.0625 cycles per pixel
    const double f_low = static_cast<double>(low) / n, start = smooth[low] * f_low * f_low;
    if (start <= 0) return 0.5;
    double blur = 0.5;
    for (int k = 18; k <= 58; ++k) {
        const double f = static_cast<double>(k) / n, here = smooth[static_cast<std::size_t>(k)];
        if (here <= 3 * floor && k > 24) break;
        if (here <= 0) break;
        const double drop = std::log(start / (here * f * f));
        if (drop > 0)
            blur =
                std::max(blur, std::sqrt(drop / (f * f - f_low * f_low)) / (2 * std::numbers::pi));
    }
    return blur;
}

}  // namespace

StructureView structure_view(const Scene& scene) {
    StructureView view;
    view.scene = &scene;
    view.luminance = luminance(scene.raster);
    view.gsd_m = scene.raster.grid.gsd();
    const int width = view.luminance.width(), height = view.luminance.height();

    std::vector<float> values;
    const auto pixels = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
    const auto step = std::max<std::size_t>(1, pixels / 200000);
    for (std::size_t i = 0; i < pixels; i += step) {
        const int x = static_cast<int>(i % static_cast<std::size_t>(width)),
                  y = static_cast<int>(i / static_cast<std::size_t>(width));
        if (scene.seen(x, y)) values.push_back(view.luminance.at(x, y));
    }
    view.level = median_in_place(values);
    for (float& v : values) v = std::abs(v - static_cast<float>(view.level));
    view.scale = 1.4826 * median_in_place(values);
    if (!(view.scale > 0)) view.scale = std::max(1e-6, 0.05 * std::abs(view.level));

    view.effective_gsd_m = std::max(view.gsd_m, scene.info.gsd_m);
    if (width > 0 && height > 0)
        view.effective_gsd_m = std::max(view.effective_gsd_m,
                                        view.gsd_m * spectral_blur_px(view.luminance, scene) / 0.6);

    const auto& info = scene.info;
    if (info.sun_azimuth_deg && info.sun_elevation_deg && *info.sun_elevation_deg > 5 &&
        *info.sun_elevation_deg < 85) {
        constexpr double radian = std::numbers::pi / 180;
        view.tan_elevation = std::tan(*info.sun_elevation_deg * radian);
        const double azimuth = *info.sun_azimuth_deg * radian;
        const Grid& grid = scene.raster.grid;
        const Point origin = grid.map_from_px({0, 0});
        Point along = grid.px_from_map(origin - Point{std::sin(azimuth), std::cos(azimuth)});
        const double length = norm(along);
        if (length > 0 && std::isfinite(length)) {
            view.shadow_px = (1 / length) * along;
            double per_metre = 1 / view.tan_elevation;
            // A roof leans away from the satellite, over its own shadow or away from it.
            if (info.off_nadir_deg && info.view_azimuth_deg && std::abs(*info.off_nadir_deg) < 45)
                per_metre -= std::tan(*info.off_nadir_deg * radian) *
                             std::cos((*info.view_azimuth_deg - *info.sun_azimuth_deg) * radian);
            view.shadow_px_per_m = per_metre / view.gsd_m;
            view.sun = view.shadow_px_per_m * view.gsd_m > 0.15;
        }
    }
    return view;
}

float sample(const Plane& plane, Point px) {
    const double x = std::clamp(px.x - 0.5, 0.0, static_cast<double>(plane.width() - 1));
    const double y = std::clamp(px.y - 0.5, 0.0, static_cast<double>(plane.height() - 1));
    const int x0 = static_cast<int>(x), y0 = static_cast<int>(y);
    const int x1 = std::min(x0 + 1, plane.width() - 1), y1 = std::min(y0 + 1, plane.height() - 1);
    const auto fx = static_cast<float>(x - x0), fy = static_cast<float>(y - y0);
    const float top = plane.at(x0, y0) + fx * (plane.at(x1, y0) - plane.at(x0, y0));
    const float bottom = plane.at(x0, y1) + fx * (plane.at(x1, y1) - plane.at(x0, y1));
    return top + fy * (bottom - top);
}

double unseen_share(const Scene& scene, Point px, double radius_px) {
    if (!(std::abs(px.x) < 1e9) || !(std::abs(px.y) < 1e9)) return 1;
    const int x0 = static_cast<int>(std::floor(px.x - radius_px)),
              x1 = static_cast<int>(std::floor(px.x + radius_px));
    const int y0 = static_cast<int>(std::floor(px.y - radius_px)),
              y1 = static_cast<int>(std::floor(px.y + radius_px));
    int unseen = 0, all = 0;
    for (int y = y0; y <= y1; ++y)
        for (int x = x0; x <= x1; ++x, ++all)
            unseen += !scene.masks.contains(x, y) || (scene.masks.at(x, y) & (kHidden | kSnow)) != 0
                          ? 1
                          : 0;
    return all > 0 ? static_cast<double>(unseen) / all : 1;
}

double clip_log_odds(double value) {
    return std::isfinite(value) ? std::clamp(value, -12.0, 12.0) : -12.0;
}

Ring ring_of(const OrientedRectangle& r) {
    const Point a{r.half_a * std::cos(r.angle_rad), r.half_a * std::sin(r.angle_rad)};
    const Point b{-r.half_b * std::sin(r.angle_rad), r.half_b * std::cos(r.angle_rad)};
    return {r.centre - a - b, r.centre + a - b, r.centre + a + b, r.centre - a + b};
}

OrientedRectangle rectangle_of(const Ring& ring) {
    OrientedRectangle r;
    if (ring.size() == 4) {
        const Point a = ring[1] - ring[0], b = ring[3] - ring[0];
        r.half_a = norm(a) / 2;
        r.half_b = norm(b) / 2;
        r.angle_rad = std::atan2(a.y, a.x);
        r.centre = 0.25 * (ring[0] + ring[1] + ring[2] + ring[3]);
    } else if (!ring.empty()) {
        Point low = ring[0], high = ring[0];
        for (const Point p : ring) {
            low = {std::min(low.x, p.x), std::min(low.y, p.y)};
            high = {std::max(high.x, p.x), std::max(high.y, p.y)};
        }
        r.centre = 0.5 * (low + high);
        r.half_a = (high.x - low.x) / 2;
        r.half_b = (high.y - low.y) / 2;
    }
    return r;
}

double convex_overlap(const Ring& a, const Ring& b) {
    // Sutherland & Hodgman 1974.
    Ring clipped = a;
    const double turn = signed_area(b) >= 0 ? 1 : -1;
    for (std::size_t i = 0; i < b.size() && !clipped.empty(); ++i) {
        const Point from = b[i], side = b[(i + 1) % b.size()] - from;
        const auto inside = [&](Point p) { return turn * cross(side, p - from); };
        Ring kept;
        for (std::size_t j = 0; j < clipped.size(); ++j) {
            const Point p = clipped[j], q = clipped[(j + 1) % clipped.size()];
            const double dp = inside(p), dq = inside(q);
            if (dp >= 0) kept.push_back(p);
            if ((dp > 0 && dq < 0) || (dp < 0 && dq > 0))
                kept.push_back(p + (dp / (dp - dq)) * (q - p));
        }
        clipped = std::move(kept);
    }
    return clipped.size() < 3 ? 0 : std::abs(signed_area(clipped));
}

void height_from_shadow(const StructureView& view, double length_px, double sigma_px,
                        std::optional<double>& height_m, std::optional<Interval>& height_ci) {
    if (!view.sun || !(length_px > 0)) return;
    const double height = length_px / view.shadow_px_per_m,
                 sigma = std::max(0.7, sigma_px) / view.shadow_px_per_m;
    height_m = height;
    height_ci = Interval{std::max(0.0, height - 1.96 * sigma), height + 1.96 * sigma};
}

}  // namespace fenceline
