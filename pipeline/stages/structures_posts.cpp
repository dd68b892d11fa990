#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <optional>

#include "core/parallel.h"
#include "stages/structures_view.h"

namespace fenceline {
namespace {

/// A typical post's side; what "can a post be seen" is asked of.
constexpr double kTypicalPost_m = 3.0;
constexpr std::array kSides_m{2.2, 3.0, 4.0, 5.0};
constexpr double kLowest_m = 3.0, kHighest_m = 8.0;

/// Depth of a shadow against both of its sides, sampled along it.
struct Streak {
    std::vector<double> mean,
        weaker;  ///< against the mean of the sides, and against the darker side
    double start_px = 0, step_px = 1;  ///< of the first sample, from the post's centre
};

Streak streak_at(const StructureView& view, Point centre, double side_px, double from_px,
                 double to_px) {
    Streak streak;
    streak.start_px = from_px;
    const Point u = view.shadow_px, n{-u.y, u.x};
    const double metre = 1 / view.gsd_m;
    for (double t = from_px; t <= to_px; t += streak.step_px) {
        const Point on = centre + t * u;
        double inside = 0;
        for (const double lateral : {-0.25, 0.0, 0.25})
            inside += static_cast<double>(sample(view.luminance, on + lateral * side_px * n)) / 3;
        double left = 0, right = 0;
        for (const double out : {1.2, 2.2}) {
            const double lateral = 0.5 * side_px + out * metre;
            left += static_cast<double>(sample(view.luminance, on - lateral * n)) / 2;
            right += static_cast<double>(sample(view.luminance, on + lateral * n)) / 2;
        }
        streak.mean.push_back((left + right) / 2 - inside);
        streak.weaker.push_back(std::min(left, right) - inside);
    }
    return streak;
}

double mean_between(const Streak& streak, const std::vector<double>& values, double from_px,
                    double to_px) {
    double sum = 0;
    int count = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
        const double t = streak.start_px + static_cast<double>(i) * streak.step_px;
        if (t >= from_px && t <= to_px) {
            sum += values[i];
            ++count;
        }
    }
    return count > 0 ? sum / count : 0;
}

template <std::size_t N>
double median_of(std::array<double, N>& values, std::size_t count) {
    if (count == 0) return 0;
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(count / 2);
    std::nth_element(values.begin(), middle, values.begin() + static_cast<std::ptrdiff_t>(count));
    return *middle;
}

/// Logistic model over the measure; benchmarks/train_posts.py fits the weights, configs/ holds the
/// model card.
double post_log_odds(const PostMeasure& m, bool sun) {
    const auto squash = [](double v) {
        return std::tanh(v / 6) * 6;
    };  // one strong cue cannot do it alone
    if (!sun) return clip_log_odds(-4.0 + 0.35 * squash(m.bright) + 0.2 * squash(m.dark));
    return clip_log_odds(-6.0 + 0.45 * squash(m.bright) + 0.2 * squash(m.dark) +
                         0.8 * squash(m.shadow) + 0.5 * squash(m.shadow_weakest) -
                         0.5 * std::max(0.0, squash(m.beyond)) -
                         0.5 * std::max(0.0, squash(m.before)) + 0.15 * squash(m.step));
}

}  // namespace

bool posts_observable(const Scene& scene, const StructureOptions& options) {
    if (scene.raster.bands.empty()) return false;
    const double finest = std::max(scene.raster.grid.gsd(), scene.info.gsd_m);
    if (kTypicalPost_m / finest < options.min_post_px) return false;  // saves the spectrum
    return kTypicalPost_m / structure_view(scene).effective_gsd_m >= options.min_post_px;
}

PostMeasure measure_post(const StructureView& view, Point px) {
    PostMeasure best;
    best.centre_px = px;
    const double metre = 1 / view.gsd_m;
    const Point u = view.shadow_px;

    // Level and spread of the ground around, robust against the line, the shadow and the post
    // itself.
    std::array<double, 48> around{};
    std::size_t count = 0;
    for (const double radius_m : {6.0, 9.0, 12.0})
        for (int k = 0; k < 16; ++k) {
            const double angle = 2 * std::numbers::pi * (k + radius_m / 20) / 16;
            around[count++] = static_cast<double>(sample(
                view.luminance, px + (radius_m * metre) * Point{std::cos(angle), std::sin(angle)}));
        }
    const double ground = median_of(around, count);
    for (double& v : around) v = std::abs(v - ground);
    const double noise = std::max({1.4826 * median_of(around, count), 0.08 * view.scale, 1e-9});
    best.roughness = noise / view.scale;

    double best_value = -1e300;
    for (const double side_m : kSides_m) {
        PostMeasure m;
        m.centre_px = px;
        m.roughness = best.roughness;
        m.side_m = side_m;
        const double side = side_m * metre, half = side / 2;
        double roof = 0;
        for (const double dy : {-0.3, 0.0, 0.3})
            for (const double dx : {-0.3, 0.0, 0.3})
                roof +=
                    static_cast<double>(sample(view.luminance, px + Point{dx * side, dy * side})) /
                    9;
        std::array<double, 24> ring{};
        count = 0;
        for (int k = 0; k < 24; ++k) {
            const double angle = 2 * std::numbers::pi * k / 24;
            const Point direction{std::cos(angle), std::sin(angle)};
            if (view.sun && dot(direction, u) > 0.5) continue;
            ring[count++] =
                static_cast<double>(sample(view.luminance, px + (half + 1.8 * metre) * direction));
        }
        const double contrast = (roof - median_of(ring, count)) / noise;
        m.bright = std::max(0.0, contrast);
        m.dark = std::max(0.0, -contrast);
        double value = std::abs(contrast);
        if (view.sun) {
            const double longest = kHighest_m * view.shadow_px_per_m;
            Streak streak =
                streak_at(view, px, side, -half - 4 * metre, half + longest + 4 * metre);
            for (auto* values : {&streak.mean, &streak.weaker})
                for (double& v : *values) v /= noise;
            // The end of the shadow: where the depth falls below half of what it is near the foot
            // (best overlap of a simulated shadow with the image, over all heights).
            const double shortest = kLowest_m * view.shadow_px_per_m;
            const double plateau = std::max(
                0.5, mean_between(streak, streak.mean, half + 0.3 * metre, half + 0.8 * shortest));
            double sum = 0, best_sum = -1e300, length = shortest;
            for (std::size_t i = 0; i < streak.mean.size(); ++i) {
                const double t = streak.start_px + static_cast<double>(i) * streak.step_px;
                if (t < half || t > half + longest) continue;
                sum += streak.mean[i] - 0.5 * plateau;
                if (t >= half + shortest && sum > best_sum) {
                    best_sum = sum;
                    length = t + 0.5 * streak.step_px - half;
                }
            }
            m.height_m = length / view.shadow_px_per_m;
            m.shadow =
                mean_between(streak, streak.mean, half + 0.3 * metre, half + length - 0.3 * metre);
            m.shadow_weakest = 1e300;
            for (int third = 0; third < 3; ++third)
                m.shadow_weakest = std::min(
                    m.shadow_weakest, mean_between(streak, streak.weaker, half + third * length / 3,
                                                   half + (third + 1) * length / 3));
            m.beyond = mean_between(streak, streak.mean, half + length + 1 * metre,
                                    half + length + 4 * metre);
            m.before = mean_between(streak, streak.mean, -half - 4 * metre, -half - 0.7 * metre);
            const double near_foot =
                static_cast<double>(sample(view.luminance, px + (half + 0.4 * shortest) * u));
            m.step = (roof - near_foot) / noise;
            value += 2 * (m.shadow + m.shadow_weakest) - std::max(0.0, m.beyond) -
                     std::max(0.0, m.before);
        }
        if (value > best_value) {
            best_value = value;
            m.log_odds = post_log_odds(m, view.sun);
            best = m;
        }
    }
    return best;
}

PostMeasure best_post_near(const StructureView& view, Point px, double radius_px) {
    PostMeasure best;
    best.centre_px = px;
    const double step = std::max(0.5, 0.4 / view.gsd_m);
    const int steps = static_cast<int>(std::floor(radius_px / step));
    bool first = true;
    for (int j = -steps; j <= steps; ++j)
        for (int i = -steps; i <= steps; ++i) {
            const Point at = px + Point{i * step, j * step};
            if (distance(at, px) > radius_px + 1e-9) continue;
            const PostMeasure m = measure_post(view, at);
            if (first || m.log_odds > best.log_odds) best = m;
            first = false;
        }
    return best;
}

std::vector<Detection> detect_posts(const Scene& scene, std::span<const Ring> lines_px,
                                    const StructureOptions& options) {
    if (lines_px.empty() || scene.raster.bands.empty()) return {};
    if (kTypicalPost_m / std::max(scene.raster.grid.gsd(), scene.info.gsd_m) < options.min_post_px)
        return {};
    const StructureView view = structure_view(scene);
    if (kTypicalPost_m / view.effective_gsd_m < options.min_post_px) return {};
    const int width = view.luminance.width(), height = view.luminance.height();
    const double metre = 1 / view.gsd_m, ribbon = options.post_ribbon_m * metre;

    // The ribbon, as a mask: a disc rolled along every line.
    Mask ribbon_mask(width, height);
    const int reach = static_cast<int>(std::ceil(ribbon));
    for (const Ring& line : lines_px) {
        if (line.size() < 3) continue;
        for (const Point p : resample_ring(line, std::max(1.0, ribbon / 8))) {
            if (!(std::abs(p.x) < 1e8) || !(std::abs(p.y) < 1e8)) continue;
            for (int y = static_cast<int>(p.y) - reach; y <= static_cast<int>(p.y) + reach; ++y) {
                const double dy = y + 0.5 - p.y;
                if (y < 0 || y >= height || std::abs(dy) > ribbon) continue;
                const double half = std::sqrt(ribbon * ribbon - dy * dy);
                const int x0 = std::max(0, static_cast<int>(std::ceil(p.x - half - 0.5)));
                const int x1 = std::min(width - 1, static_cast<int>(std::floor(p.x + half - 0.5)));
                for (int x = x0; x <= x1; ++x) ribbon_mask.at(x, y) = 1;
            }
        }
    }

    // A quick score for every pixel of the ribbon, a careful one for its local maxima.
    Plane quick(width, height, -1e9F);
    parallel_rows(height, [&](int y0, int y1) {
        for (int y = y0; y < y1; ++y)
            for (int x = 0; x < width; ++x) {
                if (ribbon_mask.at(x, y) == 0 || !scene.seen(x, y)) continue;
                const Point centre{x + 0.5, y + 0.5};
                const double half = 1.5 * metre;
                double score = 0;
                double roof = 0;
                for (const double dy : {-0.8, 0.8})
                    for (const double dx : {-0.8, 0.8})
                        roof += static_cast<double>(
                                    sample(view.luminance, centre + metre * Point{dx, dy})) /
                                4;
                std::array<double, 12> ring{};
                std::size_t count = 0;
                for (int k = 0; k < 12; ++k) {
                    const double angle = 2 * std::numbers::pi * k / 12;
                    const Point direction{std::cos(angle), std::sin(angle)};
                    if (view.sun && dot(direction, view.shadow_px) > 0.5) continue;
                    ring[count++] = static_cast<double>(
                        sample(view.luminance, centre + (half + 1.8 * metre) * direction));
                }
                score += 0.5 * std::abs(roof - median_of(ring, count));
                if (view.sun) {
                    const Streak streak = streak_at(view, centre, 3 * metre, half + 0.5 * metre,
                                                    half + 4.5 * view.shadow_px_per_m);
                    score += 2 * mean_between(streak, streak.mean, -1e9, 1e9);
                }
                quick.at(x, y) = static_cast<float>(score);
            }
    });
    std::vector<Point> places;
    const int around = std::max(1, static_cast<int>(std::lround(1.5 * metre)));
    const auto least = static_cast<float>(0.3 * view.scale);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            const float here = quick.at(x, y);
            if (here < least) continue;
            bool highest = true;
            for (int dy = -around; dy <= around && highest; ++dy)
                for (int dx = -around; dx <= around && highest; ++dx) {
                    if (!quick.contains(x + dx, y + dy)) continue;
                    const float other = quick.at(x + dx, y + dy);
                    highest = other < here || (other == here && (dy > 0 || (dy == 0 && dx >= 0)));
                }
            if (highest) places.push_back({x + 0.5, y + 0.5});
        }
    std::vector<PostMeasure> measured(places.size());
    parallel_items(static_cast<int>(places.size()), [&](int i) {
        const auto k = static_cast<std::size_t>(i);
        if (unseen_share(scene, places[k], 6 * metre) > 0.2) return;
        measured[k] = best_post_near(view, places[k], 1.2 * metre);
    });
    std::vector<PostMeasure> kept;
    for (const PostMeasure& m : measured)
        if (m.log_odds > options.post_min_log_odds) kept.push_back(m);
    std::sort(kept.begin(), kept.end(), [](const PostMeasure& a, const PostMeasure& b) {
        return std::tuple(-a.log_odds, a.centre_px.y, a.centre_px.x) <
               std::tuple(-b.log_odds, b.centre_px.y, b.centre_px.x);
    });
    std::vector<Detection> posts;
    for (const PostMeasure& m : kept) {
        if (std::any_of(posts.begin(), posts.end(), [&](const Detection& d) {
                return distance(d.centre_px, m.centre_px) < options.match_m * metre;
            }))
            continue;
        Detection d;
        d.kind = StructureKind::guard_post;
        d.centre_px = m.centre_px;
        d.footprint_px = ring_of({m.centre_px, 0.5 * m.side_m * metre, 0.5 * m.side_m * metre, 0});
        d.area_m2 = m.side_m * m.side_m;
        if (view.sun && m.shadow > 1)
            height_from_shadow(view, m.height_m * view.shadow_px_per_m, 1.0, d.height_m,
                               d.height_ci);
        d.log_odds = m.log_odds;
        posts.push_back(std::move(d));
    }
    std::sort(posts.begin(), posts.end(), [](const Detection& a, const Detection& b) {
        return std::tuple(a.centre_px.y, a.centre_px.x) < std::tuple(b.centre_px.y, b.centre_px.x);
    });
    return posts;
}

}  // namespace fenceline
