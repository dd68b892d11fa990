#include "stages/structures_view.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <opencv2/core.hpp>

#include "core/parallel.h"

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

void add_local_levels(StructureView& view) {
    const Scene& scene = *view.scene;
    const Raster& raster = scene.raster;
    const Plane *red = raster.band(BandRole::red), *green = raster.band(BandRole::green),
                *blue = raster.band(BandRole::blue);
    const bool colour = red != nullptr && green != nullptr && blue != nullptr;
    const int width = view.luminance.width(), height = view.luminance.height();
    const double spacing = std::max(4.0, 32 / view.gsd_m);
    view.level_spacing_px = spacing;
    const int columns = static_cast<int>(width / spacing) + 2,
              rows = static_cast<int>(height / spacing) + 2;
    for (Plane& plane : view.local_level) plane = Plane(columns, rows);
    const int reach = std::max(2, static_cast<int>(std::lround(24 / view.gsd_m))),
              step = std::max(1, reach / 12);
    parallel_items(rows, [&](int j) {
        std::vector<float> luminance, rb, excess;
        for (int i = 0; i < columns; ++i) {
            luminance.clear(), rb.clear(), excess.clear();
            const int cx = static_cast<int>(i * spacing), cy = static_cast<int>(j * spacing);
            for (int y = std::max(0, cy - reach); y <= std::min(height - 1, cy + reach); y += step)
                for (int x = std::max(0, cx - reach); x <= std::min(width - 1, cx + reach);
                     x += step) {
                    if (!scene.seen(x, y)) continue;
                    luminance.push_back(view.luminance.at(x, y));
                    if (!colour) continue;
                    const float r = red->at(x, y), g = green->at(x, y), b = blue->at(x, y);
                    const float sum = std::max(1e-6F, std::abs(r + g + b));
                    rb.push_back((r - b) / sum);
                    excess.push_back((2 * g - r - b) / sum);
                }
            view.local_level[0].at(i, j) = luminance.empty()
                                               ? static_cast<float>(view.level)
                                               : static_cast<float>(median_in_place(luminance));
            view.local_level[1].at(i, j) = static_cast<float>(median_in_place(rb));
            view.local_level[2].at(i, j) = static_cast<float>(median_in_place(excess));
        }
    });
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

    add_local_levels(view);

    view.effective_gsd_m = std::max(view.gsd_m, scene.info.gsd_m);
    if (width > 0 && height > 0)
        view.effective_gsd_m = std::max(view.effective_gsd_m,
                                        view.gsd_m * spectral_blur_px(view.luminance, scene) / 0.6);

    const auto& info = scene.info;
    constexpr double radian = std::numbers::pi / 180;
    const Grid& grid = scene.raster.grid;
    const Point origin = grid.map_from_px({0, 0});
    /// One metre in a direction given as azimuth, on the grid.
    const auto metre_towards = [&](double azimuth_deg) {
        return grid.px_from_map(
            origin + Point{std::sin(azimuth_deg * radian), std::cos(azimuth_deg * radian)});
    };
    if (info.off_nadir_deg && info.view_azimuth_deg && std::abs(*info.off_nadir_deg) < 45) {
        const Point lean =
            -std::tan(*info.off_nadir_deg * radian) * metre_towards(*info.view_azimuth_deg);
        if (std::isfinite(lean.x) && std::isfinite(lean.y)) view.lean_px_per_m = lean;
    }
    if (info.sun_azimuth_deg && info.sun_elevation_deg && *info.sun_elevation_deg > 5 &&
        *info.sun_elevation_deg < 80) {
        view.tan_elevation = std::tan(*info.sun_elevation_deg * radian);
        const Point reach = -1 / view.tan_elevation * metre_towards(*info.sun_azimuth_deg);
        const Point shadow = reach - view.lean_px_per_m;
        view.reach_px_per_m = norm(reach);
        view.shadow_px_per_m = norm(shadow);
        if (view.shadow_px_per_m * view.gsd_m > 0.15 && std::isfinite(view.shadow_px_per_m)) {
            view.sun = true;
            view.away_px = (1 / view.reach_px_per_m) * reach;
            view.shadow_px = (1 / view.shadow_px_per_m) * shadow;
        }
    }
    return view;
}

SamplePlace sample_place(const Plane& plane, Point px) {
    const double x = std::clamp(px.x - 0.5, 0.0, static_cast<double>(plane.width() - 1));
    const double y = std::clamp(px.y - 0.5, 0.0, static_cast<double>(plane.height() - 1));
    const int x0 = static_cast<int>(x), y0 = static_cast<int>(y);
    return {x0,
            std::min(x0 + 1, plane.width() - 1),
            y0,
            std::min(y0 + 1, plane.height() - 1),
            static_cast<float>(x - x0),
            static_cast<float>(y - y0)};
}

float sample(const Plane& plane, Point px) { return sample_at(plane, sample_place(plane, px)); }

namespace {

/// Share of a square of half side radius_px that the predicate holds for, 0–1; 1 for no square.
template <class Predicate>
double share_around(Point px, double radius_px, const Predicate& holds) {
    if (!(std::abs(px.x) < 1e9) || !(std::abs(px.y) < 1e9)) return 1;
    const int x0 = static_cast<int>(std::floor(px.x - radius_px)),
              x1 = static_cast<int>(std::floor(px.x + radius_px));
    const int y0 = static_cast<int>(std::floor(px.y - radius_px)),
              y1 = static_cast<int>(std::floor(px.y + radius_px));
    int some = 0, all = 0;
    for (int y = y0; y <= y1; ++y)
        for (int x = x0; x <= x1; ++x, ++all) some += holds(x, y) ? 1 : 0;
    return all > 0 ? static_cast<double>(some) / all : 1;
}

}  // namespace

double unseen_share(const Scene& scene, Point px, double radius_px) {
    return share_around(px, radius_px, [&](int x, int y) {
        return !scene.masks.contains(x, y) || (scene.masks.at(x, y) & kHidden) != 0;
    });
}

double snow_share(const Scene& scene, Point px, double radius_px) {
    return share_around(px, radius_px, [&](int x, int y) {
        return scene.masks.contains(x, y) && (scene.masks.at(x, y) & kSnow) != 0;
    });
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

}  // namespace fenceline
