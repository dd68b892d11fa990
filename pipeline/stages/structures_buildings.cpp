#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <tuple>

#include "core/parallel.h"
#include "kernels/line_opening.h"
#include "stages/structures_view.h"

namespace fenceline {
namespace {

constexpr double kShortest_m = 2.5, kLongest_m = 40;
constexpr double kMaxAspect = 6, kMinRectangularity = 0.6;
/// Fewer pixels across than this and a building's shape says nothing.
constexpr double kMinAcross_px = 2.5;

double side_length(const OrientedRectangle& r, int side) {
    return side % 2 == 0 ? 2 * r.half_a : 2 * r.half_b;
}

struct Side {
    Point from, along, inward;  ///< unit vectors
    double length = 0;
};
std::array<Side, 4> sides_of(const OrientedRectangle& r) {
    const Ring ring = ring_of(r);
    std::array<Side, 4> sides;
    for (int k = 0; k < 4; ++k) {
        const auto i = static_cast<std::size_t>(k);
        Side& side = sides[i];
        side.from = ring[i];
        side.length = std::max(1e-9, side_length(r, k));
        side.along = (1 / side.length) * (ring[(i + 1) % 4] - ring[i]);
        const Point to_centre = r.centre - ring[i];
        side.inward = {-side.along.y, side.along.x};
        if (dot(side.inward, to_centre) < 0) side.inward = -1 * side.inward;
    }
    return sides;
}

/// Step across one side: just inside less just outside, mean along it.
double step_across(const Plane& plane, const Side& side) {
    const int n = std::clamp(static_cast<int>(side.length), 3, 60);
    double sum = 0;
    for (int i = 0; i < n; ++i) {
        const Point on = side.from + (side.length * (i + 0.5) / n) * side.along;
        sum += static_cast<double>(sample(plane, on + 1.0 * side.inward)) -
               static_cast<double>(sample(plane, on - 1.0 * side.inward));
    }
    return sum / n;
}

double mean_step(const Plane& plane, const OrientedRectangle& r, double sign) {
    double sum = 0, weight = 0;
    for (const Side& side : sides_of(r)) {
        const double w = std::sqrt(side.length);
        sum += w * sign * step_across(plane, side);
        weight += w;
    }
    return sum / weight;
}

/// Moves the sides and turns the rectangle to where the step across its border is greatest.
OrientedRectangle snap(const Plane& plane, OrientedRectangle r, double sign) {
    for (int round = 0; round < 2; ++round) {
        OrientedRectangle best = r;
        double best_step = mean_step(plane, r, sign);
        for (const double turn_deg : {-8.0, -5.0, -2.5, 2.5, 5.0, 8.0}) {
            OrientedRectangle turned = r;
            turned.angle_rad += turn_deg / (round + 1) * std::numbers::pi / 180;
            const double step = mean_step(plane, turned, sign);
            if (step > best_step) {
                best_step = step;
                best = turned;
            }
        }
        r = best;
        const std::array<Side, 4> sides = sides_of(r);
        std::array<double, 4> move{};
        for (std::size_t k = 0; k < 4; ++k) {
            const double room = std::min(3.0, 0.3 * 2 * (k % 2 == 0 ? r.half_b : r.half_a));
            double best_side = sign * step_across(plane, sides[k]);
            for (double shift = -room; shift <= room + 1e-9; shift += 0.5) {
                Side moved = sides[k];
                moved.from = moved.from - shift * moved.inward;
                const double step = sign * step_across(plane, moved) - 1e-6 * std::abs(shift);
                if (step > best_side) {
                    best_side = step;
                    move[k] = shift;
                }
            }
        }
        // Sides 0 and 2 bound b, sides 1 and 3 bound a; outward moves are positive.
        const Point out0 = -1 * sides[0].inward, out1 = -1 * sides[1].inward;
        r.centre =
            r.centre + (0.5 * (move[0] - move[2])) * out0 + (0.5 * (move[1] - move[3])) * out1;
        r.half_b = std::max(0.75, r.half_b + 0.5 * (move[0] + move[2]));
        r.half_a = std::max(0.75, r.half_a + 0.5 * (move[1] + move[3]));
    }
    return r;
}

double median_of(std::vector<double>& values) {
    if (values.empty()) return 0;
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}
double spread_of(std::vector<double> values) {
    const double centre = median_of(values);
    for (double& v : values) v = std::abs(v - centre);
    return 1.4826 * median_of(values);
}

/// Excess green of one pixel, (2G − R − B) / (R + G + B); 0 without the three bands.
double excess_green(const Raster& raster, Point px) {
    const Plane *red = raster.band(BandRole::red), *green = raster.band(BandRole::green),
                *blue = raster.band(BandRole::blue);
    if (red == nullptr || green == nullptr || blue == nullptr) return 0;
    const double r = static_cast<double>(sample(*red, px)),
                 g = static_cast<double>(sample(*green, px)),
                 b = static_cast<double>(sample(*blue, px));
    return (2 * g - r - b) / std::max(1e-6, std::abs(r + g + b));
}
double ndvi(const Raster& raster, Point px) {
    const Plane *red = raster.band(BandRole::red), *nir = raster.band(BandRole::nir);
    if (red == nullptr || nir == nullptr) return -1;
    const double r = static_cast<double>(sample(*red, px)),
                 n = static_cast<double>(sample(*nir, px));
    return (n - r) / std::max(1e-6, std::abs(n + r));
}

double scene_green(const Scene& scene) {
    std::vector<double> values;
    const int width = scene.raster.bands.front().width(),
              height = scene.raster.bands.front().height();
    const int step =
        std::max(1, static_cast<int>(std::sqrt(static_cast<double>(width) * height / 20000)));
    for (int y = 0; y < height; y += step)
        for (int x = 0; x < width; x += step)
            if (scene.seen(x, y)) values.push_back(excess_green(scene.raster, {x + 0.5, y + 0.5}));
    return median_of(values);
}

struct Candidate {
    OrientedRectangle rectangle;
    double log_odds = -12;
    BuildingMeasure measure;
};

/// Outlines of the connected parts of a mask that could be a building by size and shape.
void add_candidates(const cv::Mat& mask, Point offset, double gsd_m,
                    const StructureOptions& options, std::vector<Candidate>& out) {
    std::vector<std::vector<cv::Point>> outlines;
    cv::findContours(mask, outlines, cv::RETR_EXTERNAL, cv::CHAIN_APPROX_SIMPLE);
    const double pixel_m2 = gsd_m * gsd_m;
    for (const auto& outline : outlines) {
        if (outline.size() < 3) continue;
        const cv::RotatedRect box = cv::minAreaRect(outline);
        // Outlines run through the centres of the border pixels: half a pixel is missing on every
        // side.
        const double a = static_cast<double>(box.size.width) + 1,
                     b = static_cast<double>(box.size.height) + 1;
        const double area = cv::contourArea(outline) + 0.5 * cv::arcLength(outline, true) + 1;
        if (a * b * pixel_m2 < options.min_building_m2 || area * pixel_m2 > options.max_building_m2)
            continue;
        if (std::min(a, b) < kMinAcross_px || std::max(a, b) / std::min(a, b) > kMaxAspect)
            continue;
        if (area / (a * b) < kMinRectangularity) continue;
        Candidate c;
        c.rectangle = {{static_cast<double>(box.center.x) + 0.5 + offset.x,
                        static_cast<double>(box.center.y) + 0.5 + offset.y},
                       a / 2,
                       b / 2,
                       static_cast<double>(box.angle) * std::numbers::pi / 180};
        out.push_back(c);
    }
}

}  // namespace

Plane brightness(const Raster& raster) {
    std::vector<const Plane*> used;
    for (const BandRole role : {BandRole::blue, BandRole::green, BandRole::red})
        if (const Plane* plane = raster.band(role)) used.push_back(plane);
    if (used.size() < 2) return luminance(raster);
    Plane out = *used.front();
    for (std::size_t i = 1; i < used.size(); ++i)
        for (int y = 0; y < out.height(); ++y) {
            float* row = out.row(y);
            const float* in = used[i]->row(y);
            for (int x = 0; x < out.width(); ++x) row[x] = std::max(row[x], in[x]);
        }
    return out;
}

BuildingIndex building_index(const Plane& plane, const Mask& masks, double gsd_m, float sign,
                             int tile) {
    constexpr float inf = std::numeric_limits<float>::infinity();
    constexpr int directions = 8;
    const int width = plane.width(), height = plane.height();
    BuildingIndex index{Plane(width, height), Plane(width, height)};
    const int longest = std::max(3, static_cast<int>(std::lround(kLongest_m / gsd_m)));
    const int shortest =
        std::clamp(static_cast<int>(std::lround(kShortest_m / gsd_m)), 1, longest - 1);
    parallel_tiles(width, height, tile, longest, [&](Window core, Window halo) {
        const auto w = static_cast<std::size_t>(halo.width),
                   h = static_cast<std::size_t>(halo.height);
        std::vector<float> upright(w * h), lying(w * h), low(w * h), high(w * h);
        for (int y = 0; y < halo.height; ++y)
            for (int x = 0; x < halo.width; ++x) {
                const bool seen = (masks.at(halo.x + x, halo.y + y) & kHidden) == 0;
                upright[static_cast<std::size_t>(y) * w + static_cast<std::size_t>(x)] =
                    seen ? sign * plane.at(halo.x + x, halo.y + y) : inf;
            }
        kernels::transpose(upright.data(), w, halo.width, halo.height, lying.data(), h);
        // sums and minima over the directions, kept apart for steep and flat lines: the latter on
        // the transposed tile
        std::array<std::vector<float>, 2> sum, least;
        kernels::LineOpeningWork work;
        for (std::size_t t = 0; t < 2; ++t) {
            const std::vector<float>& in = t == 0 ? upright : lying;
            const std::size_t stride = t == 0 ? w : h;
            const int columns = t == 0 ? halo.width : halo.height,
                      rows = t == 0 ? halo.height : halo.width;
            sum[t].assign(w * h, 0.0F);
            least[t].assign(w * h, inf);
            for (int k = 0; k < directions / 2; ++k) {
                // steep: −22.5°, 0, 22.5°, 45° from the column; flat: the same from the row, with
                // −45° for 45°
                const double angle =
                    (k == 3 ? (t == 0 ? 45.0 : -45.0) : -22.5 + 22.5 * k) * std::numbers::pi / 180;
                const auto rows_of = [&](int length) {
                    return std::max(1, static_cast<int>(std::lround(length * std::cos(angle))));
                };
                const int first_row = t == 0 ? halo.y : halo.x;
                kernels::line_opening(in.data(), stride, columns, rows,
                                      {std::tan(angle), rows_of(shortest), first_row}, low.data(),
                                      stride, work);
                kernels::line_opening(in.data(), stride, columns, rows,
                                      {std::tan(angle), rows_of(longest), first_row}, high.data(),
                                      stride, work);
                for (std::size_t i = 0; i < w * h; ++i) {
                    const float value = low[i] - high[i];
                    sum[t][i] += value;
                    least[t][i] = std::min(least[t][i], value);
                }
            }
        }
        kernels::transpose(sum[1].data(), h, halo.height, halo.width, low.data(), w);
        kernels::transpose(least[1].data(), h, halo.height, halo.width, high.data(), w);
        for (int y = core.y; y < core.y + core.height; ++y)
            for (int x = core.x; x < core.x + core.width; ++x) {
                const auto i =
                    static_cast<std::size_t>(y - halo.y) * w + static_cast<std::size_t>(x - halo.x);
                if (upright[i] == inf) continue;
                index.plain.at(x, y) = (sum[0][i] + low[i]) / directions;
                index.compact.at(x, y) = std::min(least[0][i], high[i]);
            }
    });
    return index;
}

BuildingMeasure measure_building(const StructureView& view, const OrientedRectangle& r) {
    BuildingMeasure m;
    const Plane& plane = view.luminance;
    const double scale = view.scale, metre = 1 / view.gsd_m;
    const Point a{std::cos(r.angle_rad), std::sin(r.angle_rad)}, b{-a.y, a.x};
    std::vector<double> inside;
    const int na = std::clamp(static_cast<int>(2 * r.half_a), 3, 20),
              nb = std::clamp(static_cast<int>(2 * r.half_b), 3, 20);
    for (int j = 0; j < nb; ++j)
        for (int i = 0; i < na; ++i) {
            const Point p = r.centre + (r.half_a * 0.85 * (2 * (i + 0.5) / na - 1)) * a +
                            (r.half_b * 0.85 * (2 * (j + 0.5) / nb - 1)) * b;
            inside.push_back(static_cast<double>(sample(plane, p)));
        }
    const std::array<Side, 4> sides = sides_of(r);
    std::vector<double> ring;
    for (const Side& side : sides) {
        if (view.sun && dot(-1 * side.inward, view.shadow_px) > 0.2) continue;
        const int n = std::clamp(static_cast<int>(side.length), 3, 40);
        for (int i = 0; i < n; ++i)
            for (const double out_m : {1.5, 2.5, 3.5})
                ring.push_back(static_cast<double>(
                    sample(plane, side.from + (side.length * (i + 0.5) / n) * side.along -
                                      std::max(2.0, out_m * metre) * side.inward)));
    }
    m.roughness = spread_of(inside) / scale;
    m.ring_roughness = spread_of(ring) / scale;
    const double roof = median_of(inside), ground = median_of(ring);
    m.contrast = (roof - ground) / scale;
    const double sign = m.contrast >= 0 ? 1 : -1;
    std::array<double, 4> steps{};
    for (std::size_t k = 0; k < 4; ++k) steps[k] = sign * step_across(plane, sides[k]) / scale;
    m.edge = (steps[0] + steps[1] + steps[2] + steps[3]) / 4;
    std::sort(steps.begin(), steps.end());
    m.weakest_edge = steps[1];

    if (!view.sun) return m;
    // The shadow: rays from the sides that face away from the sun; on flat ground all end at the
    // same length.
    const double longest = std::min(80.0, 14.0 * view.shadow_px_per_m + 4 * metre);
    constexpr double step = 0.5;
    const auto samples = static_cast<std::size_t>(longest / step);
    if (samples < 6) return m;
    std::vector<double> profile(samples, 0.0);
    std::vector<std::vector<double>> rays;
    for (const Side& side : sides) {
        const double facing = dot(-1 * side.inward, view.shadow_px);
        if (facing < 0.25) continue;
        const int n = std::clamp(static_cast<int>(side.length * facing), 2, 40);
        for (int i = 0; i < n; ++i) {
            const Point from = side.from + (side.length * (i + 0.5) / n) * side.along;
            std::vector<double> ray(samples);
            for (std::size_t t = 0; t < samples; ++t)
                ray[t] = static_cast<double>(
                    sample(plane, from + (step * (static_cast<double>(t) + 0.5)) * view.shadow_px));
            rays.push_back(std::move(ray));
        }
    }
    if (rays.empty()) return m;
    std::vector<double> column(rays.size());
    for (std::size_t t = 0; t < samples; ++t) {
        for (std::size_t i = 0; i < rays.size(); ++i) column[i] = rays[i][t];
        profile[t] = median_of(column);
    }
    // Darkest level within what a building of 3 m throws; half of the way back to the ground is the
    // border.
    const auto near =
        std::min(samples, static_cast<std::size_t>(std::max(6.0, 3 * view.shadow_px_per_m / step)));
    std::size_t darkest = 0;
    for (std::size_t t = 1; t < near; ++t)
        if (profile[t] < profile[darkest]) darkest = t;
    m.shadow_depth = (ground - profile[darkest]) / scale;
    const double level = 0.5 * (ground + profile[darkest]);
    const auto end_of = [&](const std::vector<double>& values) -> double {
        for (std::size_t t = darkest + 1; t < samples; ++t)
            if (values[t] > level && values[t - 1] <= level)
                return step * (static_cast<double>(t) - 0.5 +
                               (level - values[t - 1]) / (values[t] - values[t - 1]) + 0.0);
        return -1;
    };
    const double end = end_of(profile);
    if (m.shadow_depth <= 0.1) return m;
    if (end > 0) {
        m.shadow_ends = true;
        m.shadow_length_px = end;
        std::vector<double> ends;
        int dark = 0, all = 0;
        for (const auto& ray : rays) {
            if (const double one = end_of(ray); one > 0) ends.push_back(one);
            for (std::size_t t = 1;
                 t < samples && step * (static_cast<double>(t) + 0.5) < end - 0.5; ++t, ++all)
                dark += ray[t] < level ? 1 : 0;
        }
        m.shadow_cover = all > 0 ? static_cast<double>(dark) / all : 0;
        m.shadow_sigma_px = std::max(
            0.7, spread_of(ends) / std::sqrt(std::max(1.0, static_cast<double>(ends.size()) / 4)));
    }
    return m;
}

double building_log_odds(const BuildingMeasure& m, const OrientedRectangle& r, double gsd_m) {
    const double area = 4 * r.half_a * r.half_b * gsd_m * gsd_m;
    const auto cap = [](double v, double most) { return std::clamp(v, -most, most); };
    double value = -3.2 + 0.8 * cap(std::abs(m.contrast), 3) + 0.9 * cap(m.edge, 2.5) +
                   0.8 * cap(m.weakest_edge, 1.5) - 0.8 * cap(m.roughness, 2) +
                   0.25 * cap(std::log(area / 40), 1.5);
    if (m.shadow_depth > 0.1) value += 1.2 * cap(m.shadow_depth, 1.5) * m.shadow_cover;
    if (m.contrast < 0) value -= 0.8;
    // The sum above was weighed by hand; this line makes log-odds of it: the share of detections
    // that lie on a building (IoU >= 0.2) on a simulated tune series (family camp25, seed 7001) is
    // 0.23, 0.40, 0.68, 0.93 at 1.75, 2.25, 2.75, 3.5.
    return clip_log_odds(2.2 * (value - 2.35));
}

std::vector<Detection> detect_buildings(const Scene& scene, const Ring& area_px,
                                        const StructureOptions& options) {
    if (scene.raster.bands.empty() || area_px.size() < 3 ||
        scene.raster.bands.front().width() < 8 || scene.raster.bands.front().height() < 8)
        return {};
    const StructureView view = structure_view(scene);
    // A building of 8 m is the smallest worth a shape; below a few pixels across nothing can be
    // said of it.
    if (8.0 / view.effective_gsd_m < kMinAcross_px) return {};
    const int width = view.luminance.width(), height = view.luminance.height();

    std::vector<Candidate> candidates;
    const Plane bright_plane = brightness(scene.raster);
    for (const float sign : {1.0F, -1.0F}) {
        const BuildingIndex index = building_index(bright_plane, scene.masks, view.gsd_m, sign);
        cv::Mat mask(height, width, CV_8U);
        const cv::Mat cross = cv::getStructuringElement(cv::MORPH_CROSS, {3, 3});
        for (const double level : {0.35, 0.6, 0.9, 1.3, 1.9, 2.8}) {
            const auto threshold = static_cast<float>(level * view.scale);
            for (int y = 0; y < height; ++y) {
                std::uint8_t* row = mask.ptr(y);
                for (int x = 0; x < width; ++x)
                    row[x] = 0.5F * (index.plain.at(x, y) + index.compact.at(x, y)) > threshold &&
                                     scene.seen(x, y)
                                 ? 255
                                 : 0;
            }
            cv::morphologyEx(mask, mask, cv::MORPH_OPEN, cross);
            add_candidates(mask, {0, 0}, view.gsd_m, options, candidates);
        }
    }
    const double green = scene_green(scene);
    parallel_items(static_cast<int>(candidates.size()), [&](int i) {
        Candidate& c = candidates[static_cast<std::size_t>(i)];
        c.log_odds = -12;
        if (!contains(area_px, c.rectangle.centre)) return;
        const double radius = std::max(c.rectangle.half_a, c.rectangle.half_b);
        if (unseen_share(scene, c.rectangle.centre, radius) > 0.2) return;
        double inside_green = 0, inside_ndvi = 0;
        for (int k = 0; k < 25; ++k) {
            const double fa = 0.35 * (k % 5 - 2), fb = 0.35 * (k / 5 - 2);
            const Point a{std::cos(c.rectangle.angle_rad), std::sin(c.rectangle.angle_rad)};
            const Point p = c.rectangle.centre + (fa * c.rectangle.half_a) * a +
                            (fb * c.rectangle.half_b) * Point{-a.y, a.x};
            inside_green += excess_green(scene.raster, p) / 25;
            inside_ndvi += ndvi(scene.raster, p) / 25;
        }
        if (inside_ndvi > 0.3 || inside_green > std::max(0.06, green + 0.04)) return;
        const BuildingMeasure rough = measure_building(view, c.rectangle);
        c.rectangle = snap(view.luminance, c.rectangle, rough.contrast >= 0 ? 1 : -1);
        const double longer = std::max(c.rectangle.half_a, c.rectangle.half_b),
                     shorter = std::min(c.rectangle.half_a, c.rectangle.half_b);
        const double area_m2 = 4 * longer * shorter * view.gsd_m * view.gsd_m;
        if (longer / shorter > kMaxAspect || area_m2 < options.min_building_m2 ||
            area_m2 > options.max_building_m2)
            return;
        c.measure = measure_building(view, c.rectangle);
        c.measure.green = inside_green - green;
        c.log_odds = building_log_odds(c.measure, c.rectangle, view.gsd_m);
    });
    std::erase_if(candidates, [&](const Candidate& c) {
        return c.log_odds < options.building_min_log_odds || c.log_odds <= -12;
    });
    const auto key = [](const Candidate& c) {
        // dark ones last, so that what a bright one's shadow explains is known by then
        return std::tuple(c.measure.contrast < 0, -c.log_odds, c.rectangle.centre.y,
                          c.rectangle.centre.x, c.rectangle.half_a, c.rectangle.half_b);
    };
    std::sort(candidates.begin(), candidates.end(),
              [&](const Candidate& a, const Candidate& b) { return key(a) < key(b); });
    std::vector<Detection> buildings;
    for (const Candidate& c : candidates) {
        const Ring ring = ring_of(c.rectangle);
        const double area = 4 * c.rectangle.half_a * c.rectangle.half_b;
        const double radius = std::hypot(c.rectangle.half_a, c.rectangle.half_b);
        const bool taken = std::any_of(buildings.begin(), buildings.end(), [&](const Detection& d) {
            const double other = d.area_m2 / (view.gsd_m * view.gsd_m);
            if (distance(d.centre_px, c.rectangle.centre) >
                radius + distance(d.centre_px, d.footprint_px[0]))
                return false;
            return convex_overlap(d.footprint_px, ring) > 0.3 * std::min(area, other);
        });
        if (taken) continue;
        if (c.measure.contrast < 0 && view.sun) {
            const bool shadow_of_another =
                std::any_of(buildings.begin(), buildings.end(), [&](const Detection& other) {
                    const double length = other.height_m.value_or(4.0) * view.shadow_px_per_m + 2;
                    for (double t = 0;
                         t <= length + std::min(c.rectangle.half_a, c.rectangle.half_b); t += 1)
                        if (contains(other.footprint_px, c.rectangle.centre - t * view.shadow_px))
                            return true;
                    return false;
                });
            if (shadow_of_another) continue;
        }
        Detection d;
        d.kind = StructureKind::building;
        d.footprint_px = ring;
        d.centre_px = c.rectangle.centre;
        d.area_m2 = area * view.gsd_m * view.gsd_m;
        if (c.measure.shadow_ends && c.measure.shadow_depth > 0.3 && c.measure.shadow_cover > 0.6)
            height_from_shadow(view, c.measure.shadow_length_px, c.measure.shadow_sigma_px,
                               d.height_m, d.height_ci);
        d.log_odds = c.log_odds;
        buildings.push_back(std::move(d));
    }
    std::sort(buildings.begin(), buildings.end(), [](const Detection& a, const Detection& b) {
        return std::tuple(a.centre_px.y, a.centre_px.x, a.area_m2) <
               std::tuple(b.centre_px.y, b.centre_px.x, b.area_m2);
    });
    return buildings;
}

}  // namespace fenceline
