#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numbers>
#include <optional>
#include <tuple>

#include "core/parallel.h"
#include "stages/structures_net.h"

namespace fenceline {
namespace {

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

}  // namespace

bool posts_observable(const StructureView& view, const StructureOptions& options) {
    return kSmallPost_m / view.effective_gsd_m >= options.min_post_px;
}

bool posts_observable(const Scene& scene, const StructureOptions& options) {
    if (scene.raster.bands.empty()) return false;
    const double finest = std::max(scene.raster.grid.gsd(), scene.info.gsd_m);
    if (kSmallPost_m / finest < options.min_post_px) return false;  // saves the spectrum
    return posts_observable(structure_view(scene), options);
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
                best = m;
            }
            if (!view.sun && lean_px * 0.5 <= 0.05) break;
        }
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

constexpr double kVertexStep_m = 2, kSameLine_m = 3;
constexpr int kContextVertices = 22;  // 44 m
/// Windows per side of a block that the network is run over at once.
constexpr int kBlock = 8;
constexpr int kBlockCells = kernels::kPatchStep * kBlock;
/// Outputs of the first, coarse run that are looked at again, and how near to each other not.
constexpr float kWorthASecondLook = -4;
constexpr double kApart_m = 2.5;

/// Log-odds of a post near this place, and where its foot is.
struct PostScore {
    double log_odds = -12;
    Point foot_px;
};
class PostJudge {
  public:
    explicit PostJudge(const StructureView& view) : view_(view), frame_(post_frame(view)) {
        net_ = patch_net_of(post_net(), frame_.extras, bias_);
    }
    PostJudge(const PostJudge&) = delete;
    PostJudge& operator=(const PostJudge&) = delete;
    const PostFrame& frame() const { return frame_; }
    const kernels::PatchNet& net() const { return net_; }
    Point foot(Point centre_px, const float* outputs) const {
        const auto within = [](float v) { return std::clamp(static_cast<double>(v), -2.0, 2.0); };
        return centre_px + 2 * within(outputs[1]) * frame_.x + 2 * within(outputs[2]) * frame_.y;
    }
    PostScore at(Point px) const {
        Patch patch;
        kernels::PatchNetWork work;
        std::array<float, kPostOutputs> outputs{};
        post_patch(view_, frame_, px, patch);
        kernels::patch_net(net_, patch.data(), kernels::kPatchSize, kernels::kPatchSize,
                           outputs.data(), work);
        return {clip_log_odds(post_net().calibration_gain * static_cast<double>(outputs[0]) +
                              post_net().calibration_offset),
                foot(px, outputs.data())};
    }

  private:
    const StructureView& view_;
    PostFrame frame_;
    std::array<float, kernels::kPatchChannels> bias_{};
    kernels::PatchNet net_;
};

struct Vertex {
    Point px;
    int line = 0, index = 0;
};

/// The stretch of a ring around one of its vertices.
Polyline stretch_of(const Ring& ring, int at) {
    const int count = static_cast<int>(ring.size()), reach = std::min(kContextVertices, count / 3);
    Polyline line;
    for (int i = at - reach; i <= at + reach; ++i)
        line.push_back(ring[static_cast<std::size_t>(((i % count) + count) % count)]);
    return line;
}

/// The most that the map says of a post's foot within 1.8 m: log-odds.
double post_on_map(const SurfaceMaps& maps, Point px) {
    constexpr int kReach = 3;  // cells
    const int x = static_cast<int>(std::floor(px.x / maps.cell_px)),
              y = static_cast<int>(std::floor(px.y / maps.cell_px));
    int most = 0;
    for (int v = y - kReach; v <= y + kReach; ++v)
        for (int u = x - kReach; u <= x + kReach; ++u)
            if (maps.post.contains(u, v)) most = std::max<int>(most, maps.post.at(u, v));
    return (most - 128) / 16.0;
}

}  // namespace

PostLook look_at_post(const StructureView& view, const Detection& post, double radius_px) {
    const PostJudge judge(view);
    PostLook best;
    best.log_odds = -12;
    // Where the net sees the foot from the place given, then from there.
    Point at = post.centre_px;
    for (int round = 0; round < 3; ++round) {
        const PostScore score = judge.at(at);
        if (score.log_odds > best.log_odds) {
            best.log_odds = score.log_odds;
            best.foot_px = score.foot_px;
        }
        const Point moved = score.foot_px - post.centre_px;
        const double far = norm(moved);
        at = far > radius_px ? post.centre_px + (radius_px / far) * moved : score.foot_px;
    }
    if (view.maps != nullptr) {
        // The network of surfaces sees more around; each knows what the other does not (logistic
        // fit over 1929 looks of ten held-out tune series: log loss .151 and .098 alone, .089
        // together), on the scale of the windows' scores.
        constexpr double kWindow = 0.35, kMap = 0.48, kBoth = 0.67;
        best.log_odds = clip_log_odds(kWindow * best.log_odds +
                                      kMap * post_on_map(*view.maps, best.foot_px) + kBoth);
    }
    return best;
}

PostMeasure measure_post(const StructureView& view, const Detection& post) {
    const double picture = picture_m(view) / view.gsd_m;
    return measure_post(
        view, line_surroundings(view, post.line_px, window_around({post.centre_px}, picture), 1e9),
        post.centre_px);
}

std::vector<Detection> detect_posts(const Scene& scene, std::span<const Ring> lines_px,
                                    const StructureOptions& options) {
    if (lines_px.empty() || scene.raster.bands.empty()) return {};
    if (kSmallPost_m / std::max(scene.raster.grid.gsd(), scene.info.gsd_m) < options.min_post_px)
        return {};
    return detect_posts(structure_view(scene), lines_px, options);
}

std::vector<Detection> detect_posts(const StructureView& view, std::span<const Ring> lines_px,
                                    const StructureOptions& options) {
    if (lines_px.empty() || !posts_observable(view, options)) return {};
    const Scene& scene = *view.scene;
    const double metre = 1 / view.gsd_m, ribbon = options.post_ribbon_m * metre;
    const int width = view.luminance.width(), height = view.luminance.height();

    std::vector<Ring> rings;
    // Rings of several dates run along each other for the most part: once is enough.
    std::vector<Vertex> vertices;
    for (const Ring& ring : lines_px) {
        bool finite = ring.size() >= 3;
        for (const Point p : ring) finite = finite && std::abs(p.x) < 1e7 && std::abs(p.y) < 1e7;
        if (!finite) continue;
        const Ring even = resample_ring(ring, kVertexStep_m * metre);
        if (even.size() < 3) continue;
        const std::size_t known = vertices.size();
        for (std::size_t i = 0; i < even.size(); ++i) {
            const bool walked = std::any_of(
                vertices.begin(), vertices.begin() + static_cast<std::ptrdiff_t>(known),
                [&](const Vertex& v) { return distance(v.px, even[i]) < kSameLine_m * metre; });
            if (!walked)
                vertices.push_back({even[i], static_cast<int>(rings.size()), static_cast<int>(i)});
        }
        rings.push_back(even);
    }
    if (vertices.empty()) return {};

    // Blocks of the network's cells that some part of the ribbon touches, and their vertices.
    const PostJudge judge(view);
    const Point du = kPostCell_m * judge.frame().x, dv = kPostCell_m * judge.frame().y;
    const double du2 = dot(du, du), dv2 = dot(dv, dv);
    // Block (i, j) holds the windows whose centres are at cells kBlockCells·i + 4·k.
    const double reach_cells = options.post_ribbon_m / kPostCell_m;
    std::map<std::pair<int, int>, std::vector<std::size_t>> blocks;
    for (std::size_t k = 0; k < vertices.size(); ++k) {
        const double u = dot(vertices[k].px, du) / du2, v = dot(vertices[k].px, dv) / dv2;
        const auto block = [](double cell) {
            return static_cast<int>(std::floor(cell / kBlockCells));
        };
        for (int j = block(v - reach_cells); j <= block(v + reach_cells); ++j)
            for (int i = block(u - reach_cells); i <= block(u + reach_cells); ++i)
                blocks[{j, i}].push_back(k);
    }
    struct Place {
        float output = 0;
        Point foot_px;
        std::size_t vertex = 0;
    };
    std::vector<std::pair<std::pair<int, int>, std::vector<std::size_t>>> work(blocks.begin(),
                                                                               blocks.end());
    std::vector<std::vector<Place>> found(work.size());
    parallel_items(static_cast<int>(work.size()), [&](int item) {
        const auto& [at, near] = work[static_cast<std::size_t>(item)];
        const Point first = (at.second * kBlockCells) * du + (at.first * kBlockCells) * dv;
        const double half = 0.5 * (kBlockCells - kernels::kPatchStep);
        const Point centre = first + half * du + half * dv;
        const double far = half * std::numbers::sqrt2 * norm(du) + ribbon;
        if (centre.x < -far || centre.y < -far || centre.x > width + far || centre.y > height + far)
            return;
        thread_local std::vector<float> outputs;
        scan_block(view, judge.net(), du, dv, first, kBlock, outputs);
        for (int j = 0; j < kBlock; ++j)
            for (int i = 0; i < kBlock; ++i) {
                const float* o =
                    outputs.data() + static_cast<std::size_t>(j * kBlock + i) * kPostOutputs;
                if (o[0] < kWorthASecondLook) continue;
                Place place;
                place.output = o[0];
                place.foot_px = judge.foot(
                    first + (kernels::kPatchStep * i) * du + (kernels::kPatchStep * j) * dv, o);
                double least = 1e18;
                for (const std::size_t k : near)
                    if (const double d = distance(vertices[k].px, place.foot_px); d < least)
                        least = d, place.vertex = k;
                if (least <= ribbon) found[static_cast<std::size_t>(item)].push_back(place);
            }
    });
    std::vector<Place> places;
    for (const auto& some : found) places.insert(places.end(), some.begin(), some.end());
    std::stable_sort(places.begin(), places.end(), [](const Place& a, const Place& b) {
        return std::tuple(-a.output, a.foot_px.y, a.foot_px.x) <
               std::tuple(-b.output, b.foot_px.y, b.foot_px.x);
    });
    std::vector<Place> apart;
    for (const Place& p : places)
        if (std::none_of(apart.begin(), apart.end(), [&](const Place& q) {
                return distance(p.foot_px, q.foot_px) < kApart_m * metre;
            }))
            apart.push_back(p);

    std::vector<Detection> candidates(apart.size());
    std::vector<char> kept(apart.size(), 0);
    parallel_items(static_cast<int>(apart.size()), [&](int item) {
        const auto i = static_cast<std::size_t>(item);
        Detection& d = candidates[i];
        d.kind = StructureKind::guard_post;
        d.centre_px = apart[i].foot_px;
        if (unseen_share(scene, d.centre_px, 6 * metre) > 0.2) return;
        const PostLook look = look_at_post(view, d, 2 * metre);
        if (look.log_odds < options.post_min_log_odds) return;
        d.centre_px = look.foot_px;
        d.log_odds = look.log_odds;
        const Vertex& vertex = vertices[apart[i].vertex];
        d.line_px = stretch_of(rings[static_cast<std::size_t>(vertex.line)], vertex.index);
        kept[i] = 1;
    });
    std::vector<Detection> strongest;
    for (std::size_t i = 0; i < candidates.size(); ++i)
        if (kept[i] != 0) strongest.push_back(std::move(candidates[i]));
    const auto place = [](const Detection& d) { return std::tuple(d.centre_px.y, d.centre_px.x); };
    std::stable_sort(strongest.begin(), strongest.end(),
                     [&](const Detection& a, const Detection& b) {
                         return std::tuple_cat(std::tuple(-a.log_odds), place(a)) <
                                std::tuple_cat(std::tuple(-b.log_odds), place(b));
                     });
    std::vector<Detection> posts;
    for (Detection& d : strongest)
        if (std::none_of(posts.begin(), posts.end(), [&](const Detection& p) {
                return distance(d.centre_px, p.centre_px) < options.match_m * metre;
            }))
            posts.push_back(std::move(d));
    parallel_items(static_cast<int>(posts.size()), [&](int i) {
        Detection& d = posts[static_cast<std::size_t>(i)];
        const PostMeasure m = measure_post(view, d);
        d.footprint_px = ring_of({d.centre_px, 0.5 * m.side_m * metre, 0.5 * m.side_m * metre, 0});
        d.area_m2 = m.side_m * m.side_m;
        if (!view.sun || m.shadow <= 1) return;
        // Measured on simulated posts: the median error is about a metre whatever the shadow's
        // sharpness.
        const double sigma = std::hypot(1.3, 1.0 / view.reach_px_per_m);
        d.height_m = m.height_m;
        d.height_ci = Interval{std::max(0.0, m.height_m - 1.96 * sigma), m.height_m + 1.96 * sigma};
    });
    std::sort(posts.begin(), posts.end(),
              [&](const Detection& a, const Detection& b) { return place(a) < place(b); });
    return posts;
}

}  // namespace fenceline
