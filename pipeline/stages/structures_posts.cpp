#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <optional>

#include "core/parallel.h"
#include "stages/structures_post_model.h"
#include "stages/structures_view.h"

namespace fenceline {
namespace {

/// A typical post's side; what "can a post be seen" is asked of.
constexpr double kTypicalPost_m = 3.0;
constexpr double kTypicalHeight_m = 6.0;
constexpr std::array kSides_m{2.2, 3.0, 4.0, 5.0};
constexpr double kLowest_m = 3.0, kHighest_m = 9.0;

/// Depth of a shadow against both of its sides, sampled along it.
struct Streak {
    std::vector<double> mean,
        weaker;  ///< against the mean of the sides, and against the darker side
    double start_px = 0, step_px = 1;  ///< of the first sample, from the post's centre
};

Streak streak_at(const Plane& plane, Point centre, Point u, double gsd_m, double side_px,
                 double from_px, double to_px) {
    Streak streak;
    streak.start_px = from_px;
    const Point n{-u.y, u.x};
    const double metre = 1 / gsd_m;
    for (double t = from_px; t <= to_px; t += streak.step_px) {
        const Point on = centre + t * u;
        double inside = 0;
        for (const double lateral : {-0.25, 0.0, 0.25})
            inside += static_cast<double>(sample(plane, on + lateral * side_px * n)) / 3;
        double left = 0, right = 0;
        for (const double out : {1.2, 2.2}) {
            const double lateral = 0.5 * side_px + out * metre;
            left += static_cast<double>(sample(plane, on - lateral * n)) / 2;
            right += static_cast<double>(sample(plane, on + lateral * n)) / 2;
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

/// Quick log-odds that choose places, sizes and heights; the model judges what they chose. A
/// logistic model over the measure. The weights were fitted (L2, 1) to 11 200 candidates, 146 of
/// them within 2.5 m of a post, of one simulated tune series (family camp25, seed 7001, five dates,
/// sun at 40–65°, 0.6 m, 6–17° off nadir). Units: contrasts in local noise, squashed at 6 so that
/// no single cue decides; roughness is that noise in units of the scene's spread: a step of four
/// noises means more on rough ground, in forest, than on a smooth field.
double post_log_odds(const PostMeasure& m, bool sun) {
    const auto squash = [](double v) { return std::tanh(v / 6) * 6; };
    const double rough = 5.45 * std::min(m.roughness, 1.2);
    if (!sun)
        return clip_log_odds(-11.0 + 1.0 * squash(m.bright) + 0.3 * squash(m.dark) +
                             0.4 * squash(m.isolation) + rough);
    return clip_log_odds(-13.6 + 0.5 * squash(m.bright) + 0.24 * squash(m.dark) +
                         0.19 * squash(m.isolation) + 0.62 * squash(m.shadow) -
                         1.35 * std::max(0.0, squash(m.beyond)) + 1.43 * squash(m.step) + rough);
}

}  // namespace

bool posts_observable(const Scene& scene, const StructureOptions& options) {
    if (scene.raster.bands.empty()) return false;
    const double finest = std::max(scene.raster.grid.gsd(), scene.info.gsd_m);
    if (kTypicalPost_m / finest < options.min_post_px) return false;  // saves the spectrum
    return kTypicalPost_m / structure_view(scene).effective_gsd_m >= options.min_post_px;
}

LineSurroundings line_surroundings(const StructureView& view, const Polyline& line_px,
                                   Window window, double reach_px) {
    LineSurroundings out;
    out.window = intersect(window, {0, 0, view.luminance.width(), view.luminance.height()});
    out.residual = Plane(out.window.width, out.window.height);
    out.spread = Plane(out.window.width, out.window.height);
    out.nearest = PlaneOf<int>(out.window.width, out.window.height, -1);
    out.line_px = line_px;
    const double metre = 1 / view.gsd_m;
    const int count = static_cast<int>(line_px.size());
    if (count < 2) {
        // No line is known: only the level is taken out.
        std::vector<float> values;
        for (int y = 0; y < out.window.height; ++y)
            for (int x = 0; x < out.window.width; ++x)
                values.push_back(view.luminance.at(out.window.x + x, out.window.y + y));
        if (values.empty()) return out;
        const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
        std::nth_element(values.begin(), middle, values.end());
        const float level = *middle;
        for (int y = 0; y < out.window.height; ++y)
            for (int x = 0; x < out.window.width; ++x) {
                const float value = view.luminance.at(out.window.x + x, out.window.y + y) - level;
                out.residual.at(x, y) = out.spread.at(x, y) = value;
                out.nearest.at(x, y) = 0;
            }
        return out;
    }
    // Direction of the line before and after each vertex, over 15 m so that a jittery trace does
    // not matter.
    std::vector<Point> back(line_px.size()), forth(line_px.size());
    const auto unit = [](Point v) { return norm(v) > 1e-9 ? (1 / norm(v)) * v : Point{}; };
    for (int i = 0; i < count; ++i) {
        const Point here = line_px[static_cast<std::size_t>(i)];
        Point before{}, after{};
        for (int j = i - 1; j >= 0 && norm(before) < 15 * metre; --j)
            before = line_px[static_cast<std::size_t>(j)] - here;
        for (int j = i + 1; j < count && norm(after) < 15 * metre; ++j)
            after = line_px[static_cast<std::size_t>(j)] - here;
        back[static_cast<std::size_t>(i)] = unit(norm(before) > 4 * metre ? before : -1 * after);
        forth[static_cast<std::size_t>(i)] = unit(norm(after) > 4 * metre ? after : -1 * before);
    }
    for (int y = 0; y < out.window.height; ++y)
        for (int x = 0; x < out.window.width; ++x) {
            const Point at{out.window.x + x + 0.5, out.window.y + y + 0.5};
            double least = reach_px * reach_px;
            int nearest = -1;
            for (int i = 0; i < count; ++i) {
                const Point d = line_px[static_cast<std::size_t>(i)] - at;
                if (const double square = dot(d, d); square < least) {
                    least = square;
                    nearest = i;
                }
            }
            out.nearest.at(x, y) = nearest;
            if (nearest < 0) continue;
            std::array<float, 7> before{}, after{};
            for (std::size_t k = 0; k < 7; ++k) {
                const double away = (6.0 + 3.0 * static_cast<double>(k)) * metre;
                before[k] =
                    sample(view.luminance, at + away * back[static_cast<std::size_t>(nearest)]);
                after[k] =
                    sample(view.luminance, at + away * forth[static_cast<std::size_t>(nearest)]);
            }
            std::nth_element(before.begin(), before.begin() + 3, before.end());
            std::nth_element(after.begin(), after.begin() + 3, after.end());
            const float here = view.luminance.at(out.window.x + x, out.window.y + y);
            out.residual.at(x, y) = here - std::clamp(here, std::min(before[3], after[3]),
                                                      std::max(before[3], after[3]));
            out.spread.at(x, y) = here - 0.5F * (before[3] + after[3]);
        }
    return out;
}

PostMeasure measure_post(const StructureView& view, const LineSurroundings& around_line, Point px) {
    PostMeasure best;
    best.centre_px = px;
    if (around_line.window.width < 4 || around_line.window.height < 4) return best;
    const Plane& plane = around_line.residual;
    const Point centre = px - Point{static_cast<double>(around_line.window.x),
                                    static_cast<double>(around_line.window.y)};
    const double metre = 1 / view.gsd_m;
    const Point u = view.away_px;

    // Spread of the ground around, robust against the shadow and the post itself.
    std::array<double, 64> around{};
    std::size_t count = 0;
    for (const double radius_m : {5.0, 8.0, 11.0, 14.0})
        for (int k = 0; k < 16; ++k) {
            const double angle = 2 * std::numbers::pi * (k + radius_m / 12) / 16;
            around[count++] = static_cast<double>(
                sample(around_line.spread,
                       centre + (radius_m * metre) * Point{std::cos(angle), std::sin(angle)}));
        }
    const double middle = median_of(around, count);
    for (double& v : around) v = std::abs(v - middle);
    const double noise = std::max({1.4826 * median_of(around, count), 0.1 * view.scale, 1e-9});
    best.roughness = noise / view.scale;

    const double lean_px = norm(view.lean_px_per_m);
    double best_value = -1e300;
    for (const double side_m : kSides_m) {
        PostMeasure base;
        base.centre_px = px;
        base.roughness = best.roughness;
        base.side_m = side_m;
        const double side = side_m * metre, half = side / 2;
        Streak streak;
        if (view.sun) {
            streak = streak_at(plane, centre, u, view.gsd_m, side, -half - 4 * metre,
                               half + kHighest_m * view.reach_px_per_m + 4 * metre);
            for (auto* values : {&streak.mean, &streak.weaker})
                for (double& v : *values) v /= noise;
            base.before = mean_between(streak, streak.mean, -half - 4 * metre, -half - 0.7 * metre);
        }
        double roof = 0, contrast = 0, isolation = 0;
        // The roof stands over the foot by the view's lean, the shadow starts at the foot and ends
        // with the height: the height that explains both best is taken.
        for (double height_m = kLowest_m; height_m <= kHighest_m; height_m += 0.5) {
            PostMeasure m = base;
            m.height_m = height_m;
            const Point top = centre + height_m * view.lean_px_per_m;
            if (height_m == kLowest_m || lean_px * 0.5 > 0.05) {
                roof = 0;
                for (const double dy : {-0.3, 0.0, 0.3})
                    for (const double dx : {-0.3, 0.0, 0.3})
                        roof +=
                            static_cast<double>(sample(plane, top + Point{dx * side, dy * side})) /
                            9;
                std::array<double, 24> ring{};
                count = 0;
                for (int k = 0; k < 24; ++k) {
                    const double angle = 2 * std::numbers::pi * k / 24;
                    const Point direction{std::cos(angle), std::sin(angle)};
                    if (view.sun && dot(direction, u) > 0.5) continue;
                    if (dot(direction, view.lean_px_per_m) < -0.6 * lean_px &&
                        lean_px * height_m > 1)
                        continue;
                    ring[count++] =
                        static_cast<double>(sample(plane, top + (half + 1.8 * metre) * direction));
                }
                contrast = (roof - median_of(ring, count)) / noise;
                std::sort(ring.begin(), ring.begin() + static_cast<std::ptrdiff_t>(count));
                isolation = count == 0      ? 0.0
                            : contrast >= 0 ? (roof - ring[count - 1 - count / 8]) / noise
                                            : (ring[count / 8] - roof) / noise;
            }
            m.bright = std::max(0.0, contrast);
            m.dark = std::max(0.0, -contrast);
            m.isolation = isolation;
            double value = std::abs(contrast);
            if (view.sun) {
                const double length = height_m * view.reach_px_per_m;
                m.shadow = mean_between(streak, streak.mean, half + 0.3 * metre,
                                        half + length - 0.3 * metre);
                m.shadow_weakest = 1e300;
                for (int third = 0; third < 3; ++third)
                    m.shadow_weakest =
                        std::min(m.shadow_weakest,
                                 mean_between(streak, streak.weaker, half + third * length / 3,
                                              half + (third + 1) * length / 3));
                m.beyond = mean_between(streak, streak.mean, half + length + 1 * metre,
                                        half + length + 4 * metre);
                const double near_foot =
                    static_cast<double>(sample(plane, centre + (half + 0.3 * length) * u));
                m.step = (roof - near_foot) / noise;
                value += 2 * (m.shadow + m.shadow_weakest) - std::max(0.0, m.beyond) -
                         std::max(0.0, m.before);
            }
            if (value > best_value) {
                best_value = value;
                m.log_odds = post_log_odds(m, view.sun);
                best = m;
            }
            if (!view.sun && lean_px * 0.5 <= 0.05) break;
        }
    }
    return best;
}

double post_model_log_odds(const PostCues& cues) {
    double sum = static_cast<double>(kPostModelStart);
    for (const PostTree& tree : kPostModel) {
        std::size_t node = 0;
        for (int level = 0; level < 3; ++level)
            node = 2 * node + (cues[tree.cue[node]] > tree.cut[node] ? 2U : 1U);
        sum += static_cast<double>(tree.leaf[node - 7]);
    }
    return clip_log_odds(sum);
}

PostCues post_cues(const StructureView& view, const LineSurroundings& around,
                   const PostMeasure& m) {
    PostCues cues{};
    std::size_t next = 0;
    const auto put = [&](double value) {
        cues[next++] =
            static_cast<float>(std::isfinite(value) ? std::clamp(value, -50.0, 50.0) : 0);
    };
    const double metre = 1 / view.gsd_m;
    for (const double v : {m.log_odds, m.bright, m.dark, m.isolation, m.shadow, m.shadow_weakest,
                           m.beyond, m.before, m.step, m.roughness, m.side_m, m.height_m})
        put(v);
    if (around.window.width < 4 || around.window.height < 4) return cues;
    const Point corner{static_cast<double>(around.window.x), static_cast<double>(around.window.y)};
    const Point centre = m.centre_px - corner;
    const double noise = std::max(1e-9, m.roughness * view.scale);
    const Point u = view.away_px, n{-u.y, u.x};
    // The shadow in steps of the height that throws it: against its sides and by itself.
    constexpr std::array steps_m{0.0, 1.5, 3.0, 4.5, 6.0, 7.5, 9.0, 11.0};
    double darkest = 0;
    for (std::size_t k = 0; k + 1 < steps_m.size(); ++k) {
        double inside = 0, sides = 0, raw = 0;
        if (view.sun)
            for (int i = 0; i < 3; ++i) {
                const double height_m = steps_m[k] + (steps_m[k + 1] - steps_m[k]) * (i + 0.5) / 3;
                const Point on = centre + (1.3 * metre + height_m * view.reach_px_per_m) * u;
                for (const double lateral : {-0.8, 0.0, 0.8}) {
                    inside +=
                        static_cast<double>(sample(around.residual, on + lateral * metre * n)) / 9;
                    raw += static_cast<double>(
                               sample(view.luminance, on + corner + lateral * metre * n)) /
                           9;
                }
                for (const double lateral : {-3.6, -2.7, 2.7, 3.6})
                    sides +=
                        static_cast<double>(sample(around.residual, on + lateral * metre * n)) / 12;
            }
        put((sides - inside) / noise);
        put(-inside / noise);
        if (k < 3) darkest += (raw - view.level) / view.scale / 3;
    }
    put(darkest);
    // The roof, where the view's lean puts it.
    for (const double height_m : {3.0, 5.0, 7.5}) {
        const Point top = centre + height_m * view.lean_px_per_m;
        double roof = 0, around_it = 0;
        for (const double dy : {-0.8, 0.0, 0.8})
            for (const double dx : {-0.8, 0.0, 0.8})
                roof +=
                    static_cast<double>(sample(around.residual, top + metre * Point{dx, dy})) / 9;
        int count = 0;
        for (int k = 0; k < 16; ++k) {
            const double angle = 2 * std::numbers::pi * k / 16;
            const Point direction{std::cos(angle), std::sin(angle)};
            if (view.sun && dot(direction, u) > 0.5) continue;
            around_it +=
                static_cast<double>(sample(around.residual, top + (3.2 * metre) * direction));
            ++count;
        }
        put((roof - around_it / std::max(1, count)) / noise);
        if (height_m == 5.0) {
            put((static_cast<double>(sample(view.luminance, top + corner)) - view.level) /
                view.scale);
            put(roof / noise);
        }
    }
    // How the place lies to the line and the sun.
    double offset_m = 0, sunward_m = 0, along = 0;
    const int x = static_cast<int>(std::floor(centre.x)),
              y = static_cast<int>(std::floor(centre.y));
    const int nearest = around.nearest.contains(x, y) ? around.nearest.at(x, y) : -1;
    if (const int count = static_cast<int>(around.line_px.size()); nearest >= 0 && count >= 2) {
        const Point from = around.line_px[static_cast<std::size_t>(std::max(0, nearest - 2))],
                    to = around.line_px[static_cast<std::size_t>(std::min(count - 1, nearest + 2))];
        if (norm(to - from) > 1e-9) {
            const Point t = (1 / norm(to - from)) * (to - from);
            const double across = cross(t, m.centre_px - from) / metre;
            offset_m = std::abs(across);
            sunward_m = across * cross(t, u);
            along = std::abs(dot(t, u));
        }
    }
    put(offset_m);
    put(sunward_m);
    put(view.sun ? along : -1);
    put(view.reach_px_per_m / metre);
    put(norm(view.lean_px_per_m) / metre);
    put(noise / view.scale);
    return cues;
}

PostMeasure best_post_near(const StructureView& view, const LineSurroundings& surroundings,
                           Point px, double radius_px) {
    PostMeasure best;
    best.centre_px = px;
    const double step = std::max(0.5, 0.4 / view.gsd_m);
    const int steps = static_cast<int>(std::floor(radius_px / step));
    bool first = true;
    for (int j = -steps; j <= steps; ++j)
        for (int i = -steps; i <= steps; ++i) {
            const Point at = px + Point{i * step, j * step};
            if (distance(at, px) > radius_px + 1e-9) continue;
            const PostMeasure m = measure_post(view, surroundings, at);
            if (first || m.log_odds > best.log_odds) best = m;
            first = false;
        }
    return best;
}

namespace {

/// How far from a post its picture goes, in metres: its shadow, and the ring in which noise is
/// measured.
double picture_m(const StructureView& view) {
    return std::max(16.0, 4.0 + (view.sun ? kHighest_m * view.reach_px_per_m * view.gsd_m + 4 : 0));
}

Window window_around(const Polyline& points, double margin_px) {
    Point low{1e18, 1e18}, high{-1e18, -1e18};
    for (const Point p : points) {
        low = {std::min(low.x, p.x), std::min(low.y, p.y)};
        high = {std::max(high.x, p.x), std::max(high.y, p.y)};
    }
    const auto bound = [](double v) { return static_cast<int>(std::clamp(v, -1e8, 1e8)); };
    const int x = bound(std::floor(low.x - margin_px)), y = bound(std::floor(low.y - margin_px));
    return {x, y, bound(std::ceil(high.x + margin_px)) - x,
            bound(std::ceil(high.y + margin_px)) - y};
}

/// Of the quick log-odds: below, the model was shown nothing and there is hardly a post.
constexpr double kWorthAligning = -8, kWorthJudging = -5;

/// Candidates of a stretch of the line: local maxima of a quick score, then measured with care.
void posts_of_stretch(const StructureView& view, const Polyline& line, int core_begin, int core_end,
                      const StructureOptions& options,
                      std::vector<std::pair<PostMeasure, int>>& out) {
    const Scene& scene = *view.scene;
    const double metre = 1 / view.gsd_m, ribbon = options.post_ribbon_m * metre,
                 picture = picture_m(view) * metre;
    const Polyline core(line.begin() + core_begin, line.begin() + core_end);
    const LineSurroundings around =
        line_surroundings(view, line, window_around(core, ribbon + picture), ribbon + picture);
    const int width = around.window.width, height = around.window.height;
    if (width < 4 || height < 4) return;
    Plane quick(width, height, -1e9F);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            const int nearest = around.nearest.at(x, y);
            // A margin of one metre more than the core, so that maxima at its ends are true ones.
            if (nearest < core_begin - 1 || nearest > core_end) continue;
            const Point at{x + 0.5, y + 0.5};
            const Point in_scene = at + Point{static_cast<double>(around.window.x),
                                              static_cast<double>(around.window.y)};
            if (distance(in_scene, line[static_cast<std::size_t>(nearest)]) > ribbon + metre)
                continue;
            if (!scene.seen(around.window.x + x, around.window.y + y)) continue;
            double roof = 0;
            for (const double dy : {-0.8, 0.8})
                for (const double dx : {-0.8, 0.8})
                    roof += static_cast<double>(
                                sample(around.residual, at + kTypicalHeight_m * view.lean_px_per_m +
                                                            metre * Point{dx, dy})) /
                            4;
            double score = 0.5 * std::abs(roof);
            if (view.sun) {
                const Streak streak =
                    streak_at(around.residual, at, view.away_px, view.gsd_m, 3 * metre, 2 * metre,
                              1.5 * metre + 4.5 * view.reach_px_per_m);
                score += 2 * mean_between(streak, streak.mean, -1e9, 1e9);
            }
            quick.at(x, y) = static_cast<float>(score);
        }
    const int radius = std::max(1, static_cast<int>(std::lround(1.5 * metre)));
    const auto least = static_cast<float>(0.25 * view.scale);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            const float here = quick.at(x, y);
            const int nearest = around.nearest.at(x, y);
            if (here < least || nearest < core_begin || nearest >= core_end) continue;
            bool highest = true;
            for (int dy = -radius; dy <= radius && highest; ++dy)
                for (int dx = -radius; dx <= radius && highest; ++dx) {
                    if (!quick.contains(x + dx, y + dy)) continue;
                    const float other = quick.at(x + dx, y + dy);
                    highest = other < here || (other == here && (dy > 0 || (dy == 0 && dx >= 0)));
                }
            if (!highest) continue;
            const Point place{around.window.x + x + 0.5, around.window.y + y + 0.5};
            if (unseen_share(scene, place, 6 * metre) > 0.2) continue;
            // most places need no second look
            if (measure_post(view, around, place).log_odds < kWorthAligning) continue;
            PostMeasure m = best_post_near(view, around, place, 1.2 * metre);
            if (m.log_odds < kWorthJudging) continue;
            m.log_odds = post_model_log_odds(post_cues(view, around, m));
            if (m.log_odds > options.post_min_log_odds) out.emplace_back(m, nearest);
        }
}

constexpr double kVertexStep_m = 2, kSameLine_m = 3;
constexpr int kCoreVertices = 30, kContextVertices = 22;  // 60 m and 44 m

}  // namespace

PostMeasure best_post_near(const StructureView& view, const Detection& post, double radius_px) {
    const double metre = 1 / view.gsd_m, picture = picture_m(view) * metre + radius_px;
    const LineSurroundings around =
        line_surroundings(view, post.line_px, window_around({post.centre_px}, picture), 1e9);
    PostMeasure m = best_post_near(view, around, post.centre_px, radius_px);
    m.log_odds = post_model_log_odds(post_cues(view, around, m));
    return m;
}

std::vector<Detection> detect_posts(const Scene& scene, std::span<const Ring> lines_px,
                                    const StructureOptions& options) {
    if (lines_px.empty() || scene.raster.bands.empty()) return {};
    if (kTypicalPost_m / std::max(scene.raster.grid.gsd(), scene.info.gsd_m) < options.min_post_px)
        return {};
    const StructureView view = structure_view(scene);
    if (kTypicalPost_m / view.effective_gsd_m < options.min_post_px) return {};
    const double metre = 1 / view.gsd_m;

    struct Stretch {
        Polyline line;
        int core_begin = 0, core_end = 0;
    };
    std::vector<Stretch> stretches;
    // Rings of several dates run along each other for the most part: once is enough.
    Polyline walked;
    for (const Ring& ring : lines_px) {
        bool finite = ring.size() >= 3;
        for (const Point p : ring) finite = finite && std::abs(p.x) < 1e7 && std::abs(p.y) < 1e7;
        if (!finite) continue;
        const Ring even = resample_ring(ring, kVertexStep_m * metre);
        const int count = static_cast<int>(even.size());
        if (count < 3) continue;
        const int context = std::min(kContextVertices, count / 3);
        std::vector<char> known(even.size());
        for (std::size_t i = 0; i < even.size(); ++i)
            known[i] = std::any_of(walked.begin(), walked.end(), [&](Point p) {
                return distance(p, even[i]) < kSameLine_m * metre;
            });
        walked.insert(walked.end(), even.begin(), even.end());
        for (int begin = 0; begin < count; begin += kCoreVertices) {
            const int end = std::min(begin + kCoreVertices, count);
            if (std::all_of(known.begin() + begin, known.begin() + end,
                            [](char k) { return k != 0; }))
                continue;
            Stretch s;
            for (int i = begin - context; i < end + context; ++i)
                s.line.push_back(even[static_cast<std::size_t>(((i % count) + count) % count)]);
            s.core_begin = context;
            s.core_end = context + end - begin;
            stretches.push_back(std::move(s));
        }
    }
    std::vector<std::vector<std::pair<PostMeasure, int>>> found(stretches.size());
    parallel_items(static_cast<int>(stretches.size()), [&](int i) {
        const auto k = static_cast<std::size_t>(i);
        posts_of_stretch(view, stretches[k].line, stretches[k].core_begin, stretches[k].core_end,
                         options, found[k]);
    });
    std::vector<Detection> candidates;
    for (std::size_t k = 0; k < found.size(); ++k)
        for (const auto& [m, nearest] : found[k]) {
            Detection d;
            d.kind = StructureKind::guard_post;
            d.centre_px = m.centre_px;
            d.footprint_px =
                ring_of({m.centre_px, 0.5 * m.side_m * metre, 0.5 * m.side_m * metre, 0});
            d.area_m2 = m.side_m * m.side_m;
            if (view.sun && m.shadow > 1) {
                // Measured on simulated posts: the median error is about a metre whatever the
                // shadow's sharpness.
                const double sigma = std::hypot(1.3, 1.0 / view.reach_px_per_m);
                d.height_m = m.height_m;
                d.height_ci =
                    Interval{std::max(0.0, m.height_m - 1.96 * sigma), m.height_m + 1.96 * sigma};
            }
            d.log_odds = m.log_odds;
            const Polyline& line = stretches[k].line;
            const int first = std::max(0, nearest - kContextVertices);
            const int last =
                std::min(static_cast<int>(line.size()), nearest + kContextVertices + 1);
            d.line_px.assign(line.begin() + first, line.begin() + last);
            candidates.push_back(std::move(d));
        }
    const auto place = [](const Detection& d) { return std::tuple(d.centre_px.y, d.centre_px.x); };
    std::stable_sort(candidates.begin(), candidates.end(),
                     [&](const Detection& a, const Detection& b) {
                         return std::tuple_cat(std::tuple(-a.log_odds), place(a)) <
                                std::tuple_cat(std::tuple(-b.log_odds), place(b));
                     });
    std::vector<Detection> posts;
    for (Detection& d : candidates)
        if (std::none_of(posts.begin(), posts.end(), [&](const Detection& p) {
                return distance(d.centre_px, p.centre_px) < options.match_m * metre;
            }))
            posts.push_back(std::move(d));
    std::sort(posts.begin(), posts.end(),
              [&](const Detection& a, const Detection& b) { return place(a) < place(b); });
    return posts;
}

}  // namespace fenceline
