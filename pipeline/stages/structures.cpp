#include "stages/structures.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <tuple>

#include "core/assignment.h"
#include "core/parallel.h"
#include "stages/structures_view.h"

namespace fenceline {
namespace {

double probability(double log_odds) { return 1 / (1 + std::exp(-log_odds)); }

constexpr double kSharedHeight_m = 0.7;

/// An object on the way: the looks that were found to be the same thing.
struct Cluster {
    Detection best;
    double weight = 0;
    Point sum;  ///< of weight · centre
    double height_weight = 0, height_sum = 0, area_sum = 0;
    double rival_area_m2 = 0;  ///< Detection's
    std::vector<Detection> members;
    std::vector<int> scenes;  ///< the members'
    Point centre() const { return (1 / weight) * sum; }
    void add(const Detection& d, int scene) {
        const double w = probability(d.log_odds);
        members.push_back(d);
        scenes.push_back(scene);
        if (weight == 0 || d.log_odds > best.log_odds) best = d;
        weight += w;
        sum = sum + w * d.centre_px;
        area_sum += w * d.area_m2;
        if (d.height_m && d.height_ci) {
            const double sigma = std::max(0.05, (d.height_ci->high - d.height_ci->low) / 3.92);
            height_weight += 1 / (sigma * sigma);
            height_sum += *d.height_m / (sigma * sigma);
        }
    }
};

/// The rectangle that the looks agree on: weighted mean of those that overlap the best one's by
/// half, each read along the best one's sides.
Ring agreed_rectangle(const Cluster& cluster) {
    const OrientedRectangle best = rectangle_of(cluster.best.footprint_px);
    const double best_area = 4 * best.half_a * best.half_b;
    double weight = 0, half_a = 0, half_b = 0, turn = 0;
    Point centre;
    for (const Detection& d : cluster.members) {
        OrientedRectangle r = rectangle_of(d.footprint_px);
        const double shared = convex_overlap(d.footprint_px, cluster.best.footprint_px);
        if (shared < 0.5 * (best_area + 4 * r.half_a * r.half_b - shared)) continue;
        double apart = std::remainder(r.angle_rad - best.angle_rad, std::numbers::pi);
        if (std::abs(apart) > std::numbers::pi / 4) {
            std::swap(r.half_a, r.half_b);
            apart = std::remainder(apart + std::numbers::pi / 2, std::numbers::pi);
        }
        const double w = probability(d.log_odds);
        weight += w;
        centre = centre + w * r.centre;
        half_a += w * r.half_a;
        half_b += w * r.half_b;
        turn += w * apart;
    }
    if (!(weight > 0)) return cluster.best.footprint_px;
    return ring_of(
        {(1 / weight) * centre, half_a / weight, half_b / weight, best.angle_rad + turn / weight});
}

/// A building that was torn down and another one, larger or smaller, built on its place: one object
/// to looks that only ask whether something stands there. The areas of their rectangles tell: on
/// the network's map those of one building scatter by .035 in the logarithm (98 % within .15),
/// while rebuilt ones step by .24 and more (tune series). Least-squares step between two looks:
/// with two looks or more on either side none of 2598 buildings that stood all along steps by .22
/// at this ratio and clearness; where one look stands alone on its side seven step by .25, so that
/// it must be larger and clearer there. Empty second cluster: it is one building.
std::pair<Cluster, Cluster> split_where_rebuilt(const Cluster& cluster, std::size_t scenes) {
    constexpr double kScatter = 0.05, kLeastStep = 0.22, kLeastStepOfOne = 0.31, kLeastRatio = 4,
                     kMostStep = 0.62;  // one look's halves of a roof step by .69
    // Least mean log-odds on either side: a roof half in shade looks smaller.
    constexpr double kClear = 3, kClearOne = 4;
    // Rectangles of the windows' network scatter too much to tell.
    if (!std::all_of(cluster.members.begin(), cluster.members.end(),
                     [](const Detection& d) { return d.on_map; }))
        return {cluster, {}};
    const std::size_t n = cluster.members.size();
    std::vector<std::size_t> order(n);
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return cluster.scenes[a] < cluster.scenes[b]; });
    std::vector<double> area(n);
    for (std::size_t i = 0; i < n; ++i)
        area[i] = std::log(std::max(1e-6, cluster.members[order[i]].area_m2));
    std::size_t best = 0;
    double most = 0;
    // Two looks out of many that differ are two bad looks; of a pair they are all there is.
    for (std::size_t s = 1; s + 1 <= n && (n >= 3 || scenes == 2); ++s) {
        double mean[2] = {0, 0}, clear[2] = {0, 0}, squares = 0;
        for (std::size_t i = 0; i < n; ++i) {
            const double share = 1 / static_cast<double>(i < s ? s : n - s);
            mean[i >= s] += share * area[i];
            clear[i >= s] += share * cluster.members[order[i]].log_odds;
        }
        const bool one = std::min(s, n - s) == 1;
        if (n > 2 && std::min(clear[0], clear[1]) < (one ? kClearOne : kClear)) continue;
        for (std::size_t i = 0; i < n; ++i) squares += std::pow(area[i] - mean[i >= s], 2);
        const double step = std::abs(mean[1] - mean[0]),
                     scatter = std::max(
                         kScatter, n > 2 ? std::sqrt(squares / static_cast<double>(n - 2)) : 0.0);
        const double least = one ? kLeastStepOfOne : kLeastStep;
        const double ratio =
            step /
            (scatter * std::sqrt(1.0 / static_cast<double>(s) + 1.0 / static_cast<double>(n - s)));
        if (step >= least && step <= kMostStep && ratio >= kLeastRatio && ratio > most)
            most = ratio, best = s;
    }
    std::pair<Cluster, Cluster> out;
    if (best == 0) {
        out.first = cluster;
        return out;
    }
    for (std::size_t i = 0; i < n; ++i)
        (i < best ? out.first : out.second)
            .add(cluster.members[order[i]], cluster.scenes[order[i]]);
    out.first.rival_area_m2 = out.second.area_sum / out.second.weight;
    out.second.rival_area_m2 = out.first.area_sum / out.first.weight;
    return out;
}

auto place_key(const Detection& d) {
    return std::tuple(d.centre_px.y, d.centre_px.x, -d.log_odds, d.area_m2);
}

std::vector<Detection> merge_kind(std::span<const std::vector<Detection>> per_scene,
                                  StructureKind kind, double gsd_m,
                                  const StructureOptions& options) {
    // The order in which scenes join must not come from the order of the list: strongest scene
    // first, by content.
    std::vector<std::vector<Detection>> scenes;
    std::vector<int> index;
    for (std::size_t i = 0; i < per_scene.size(); ++i) {
        const auto& all = per_scene[i];
        std::vector<Detection> some;
        for (const Detection& d : all)
            if (d.kind == kind && std::isfinite(d.centre_px.x) && std::isfinite(d.centre_px.y))
                some.push_back(d);
        std::sort(some.begin(), some.end(), [](const Detection& a, const Detection& b) {
            return place_key(a) < place_key(b);
        });
        if (some.empty()) continue;
        scenes.push_back(std::move(some));
        index.push_back(static_cast<int>(i));
    }
    const auto strength = [](const std::vector<Detection>& scene) {
        double sum = 0;
        for (const Detection& d : scene) sum += probability(d.log_odds);
        return sum;
    };
    std::vector<std::size_t> order(scenes.size());
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) {
        const std::vector<Detection>&a = scenes[i], &b = scenes[j];
        const double sa = strength(a), sb = strength(b);
        if (sa != sb) return sa > sb;
        return std::lexicographical_compare(
            a.begin(), a.end(), b.begin(), b.end(),
            [](const Detection& p, const Detection& q) { return place_key(p) < place_key(q); });
    });

    std::vector<Cluster> clusters;
    for (const std::size_t at : order) {
        const std::vector<Detection>& scene = scenes[at];
        const std::size_t known = clusters.size();
        std::vector<std::size_t> partner(scene.size(), known);  // known: a new object
        if (kind == StructureKind::guard_post && known > 0) {
            // Each detection may also stay alone, at a cost that makes two long matches better than
            // a short one and two left over: a shift shared by neighbours is more likely than one
            // gone and one new.
            const double gate = options.match_m / gsd_m;
            std::vector<std::vector<double>> cost(scene.size(),
                                                  std::vector<double>(known + scene.size(), 1e6));
            for (std::size_t i = 0; i < scene.size(); ++i) {
                for (std::size_t j = 0; j < known; ++j)
                    if (const double d = distance(scene[i].centre_px, clusters[j].centre());
                        d <= gate)
                        cost[i][j] = d;
                cost[i][known + i] = 1.5 * gate;
            }
            const auto columns = least_cost_columns(cost);
            for (std::size_t i = 0; i < scene.size(); ++i) partner[i] = std::min(columns[i], known);
        } else {
            std::vector<std::tuple<double, std::size_t, std::size_t>> pairs;
            for (std::size_t i = 0; i < scene.size(); ++i)
                for (std::size_t j = 0; j < known; ++j) {
                    const Detection &a = scene[i], &b = clusters[j].best;
                    if (a.footprint_px.size() < 3 || b.footprint_px.size() < 3) continue;
                    if (distance(a.centre_px, b.centre_px) >
                        distance(a.centre_px, a.footprint_px[0]) +
                            distance(b.centre_px, b.footprint_px[0]))
                        continue;
                    // b laid over a within the registration's tolerance before they are compared
                    const Point apart = b.centre_px - a.centre_px;
                    const double slack =
                        std::min(1.0, 0.25 * options.match_m / gsd_m / std::max(1e-9, norm(apart)));
                    Ring moved = a.footprint_px;
                    for (Point& p : moved) p = p + slack * apart;
                    const double shared = convex_overlap(moved, b.footprint_px);
                    const double area_a = std::abs(signed_area(a.footprint_px)),
                                 area_b = std::abs(signed_area(b.footprint_px));
                    const double iou = shared / std::max(1e-9, area_a + area_b - shared);
                    if (iou > 0.3 || shared > 0.6 * std::min(area_a, area_b))
                        pairs.emplace_back(-iou, i, j);
                }
            std::sort(pairs.begin(), pairs.end());
            std::vector<char> taken(known, 0);
            for (const auto& [iou, i, j] : pairs) {
                if (partner[i] != known || taken[j] != 0) continue;
                partner[i] = j;
                taken[j] = 1;
            }
        }
        for (std::size_t i = 0; i < scene.size(); ++i) {
            if (partner[i] == known) {
                clusters.emplace_back();
                clusters.back().add(scene[i], index[at]);
            } else {
                clusters[partner[i]].add(scene[i], index[at]);
            }
        }
    }

    if (kind == StructureKind::building) {
        std::vector<Cluster> parts;
        for (const Cluster& c : clusters) {
            auto [first, second] = split_where_rebuilt(c, per_scene.size());
            parts.push_back(std::move(first));
            if (!second.members.empty()) parts.push_back(std::move(second));
        }
        clusters = std::move(parts);
    }
    std::vector<Detection> objects;
    for (const Cluster& c : clusters) {
        Detection d = c.best;
        d.rival_area_m2 = c.rival_area_m2;
        const Point centre = c.centre(), moved = centre - d.centre_px;
        if (kind == StructureKind::guard_post) {
            d.centre_px = centre;
            d.area_m2 = c.area_sum / c.weight;
            for (Point& p : d.footprint_px) p = p + moved;
        } else if (c.members.size() > 1 && d.footprint_px.size() == 4) {
            d.footprint_px = agreed_rectangle(c);
            d.centre_px = centroid(d.footprint_px);
            d.area_m2 = std::abs(signed_area(d.footprint_px)) * gsd_m * gsd_m;
        }
        if (c.height_weight > 0) {
            // The shape of the roof is the same in every look: more looks do not help there.
            const double sigma = std::hypot(1 / std::sqrt(c.height_weight), kSharedHeight_m);
            d.height_m = c.height_sum / c.height_weight;
            d.height_ci =
                Interval{std::max(0.0, *d.height_m - 1.96 * sigma), *d.height_m + 1.96 * sigma};
        }
        objects.push_back(std::move(d));
    }
    // What looks disagreed on too much to be matched is still one thing: the stronger of two that
    // overlap stays.
    std::sort(objects.begin(), objects.end(), [](const Detection& a, const Detection& b) {
        return std::tuple_cat(std::tuple(-a.log_odds), place_key(a)) <
               std::tuple_cat(std::tuple(-b.log_odds), place_key(b));
    });
    std::vector<Detection> kept;
    for (Detection& d : objects) {
        const bool same = std::any_of(kept.begin(), kept.end(), [&](const Detection& k) {
            const double apart = distance(k.centre_px, d.centre_px);
            if (kind == StructureKind::guard_post) return apart < 0.5 * options.match_m / gsd_m;
            if (d.footprint_px.size() < 3 || k.footprint_px.size() < 3) return apart == 0;
            if (d.rival_area_m2 > 0 && k.rival_area_m2 > 0) return false;
            if (apart >
                distance(k.centre_px, k.footprint_px[0]) + distance(d.centre_px, d.footprint_px[0]))
                return false;
            return convex_overlap(k.footprint_px, d.footprint_px) >
                   0.4 * std::min(std::abs(signed_area(k.footprint_px)),
                                  std::abs(signed_area(d.footprint_px)));
        });
        if (!same) kept.push_back(std::move(d));
    }
    std::sort(kept.begin(), kept.end(),
              [](const Detection& a, const Detection& b) { return place_key(a) < place_key(b); });
    return kept;
}

/// Log-likelihood ratio of a forced look: ln p(score | there) − ln p(score | not there), straight
/// lines through the ratios of forced looks at what the detector has found on a held-out tune
/// series (benchmarks/structures_model_card.md), between limits that keep one look from deciding
/// alone.
double post_llr(double score, bool on_map) {
    const double slope = on_map ? (score < -0.3 ? 1.03 : 0.84) : (score < -0.3 ? 0.7 : 0.9);
    return std::clamp(slope * (score + 0.3), -5.0, 5.0);
}
/// Score of a look at one of two buildings that stand on one place at different times, from the
/// area of the roof that is there: far below 0 when it is the other one's.
double nearness_to_rival(double area_m2, const Detection& object) {
    constexpr double kPerLogArea = 40;
    const double own = std::abs(std::log(area_m2 / object.area_m2)),
                 rival = std::abs(std::log(area_m2 / object.rival_area_m2));
    const double nearer = rival - own;  // above 0: its own
    return nearer > 0 ? 8 : kPerLogArea * nearer;
}
double building_llr(double score) { return std::clamp(0.95 * (score + 1.4), -5.0, 5.0); }

}  // namespace

std::vector<Detection> detect_structures(const Scene& scene, const SurfaceMaps& maps,
                                         const Ring& area_px, std::span<const Ring> lines_px,
                                         const StructureOptions& options) {
    if (scene.raster.bands.empty()) return {};
    StructureView view = structure_view(scene);
    if (!maps.empty()) view.maps = &maps;
    std::vector<Detection> all = detect_buildings(view, area_px, options);
    std::vector<Detection> posts = detect_posts(view, lines_px, options);
    all.insert(all.end(), posts.begin(), posts.end());
    return all;
}

std::vector<Detection> merge_detections(std::span<const std::vector<Detection>> per_scene,
                                        double gsd_m, const StructureOptions& options) {
    std::vector<Detection> all = merge_kind(per_scene, StructureKind::building, gsd_m, options);
    std::vector<Detection> posts = merge_kind(per_scene, StructureKind::guard_post, gsd_m, options);
    all.insert(all.end(), posts.begin(), posts.end());
    return all;
}

std::vector<Look> look_at(const Scene& scene, const SurfaceMaps& maps,
                          std::span<const Detection> objects, const StructureOptions& options) {
    std::vector<Look> looks(objects.size());
    if (scene.raster.bands.empty() || objects.empty() || scene.raster.bands.front().empty())
        return looks;
    StructureView view = structure_view(scene);
    if (!maps.empty()) view.maps = &maps;
    const bool posts_visible = posts_observable(view, options);
    const double metre = 1 / view.gsd_m;
    constexpr double kMostUnseen = 0.2, kMostSnow = 0.2;
    // A roof under fresh snow shows nothing and often has no mask of its own: in a scene with snow
    // about, no roof that is not seen is called absent.
    constexpr double kSnowAbout = 0.12;
    const double width = scene.masks.width(), height = scene.masks.height();
    const bool winter =
        snow_share(scene, {width / 2, height / 2}, std::max(width, height) / 2) > kSnowAbout;
    parallel_items(static_cast<int>(objects.size()), [&](int i) {
        const Detection& object = objects[static_cast<std::size_t>(i)];
        Look& look = looks[static_cast<std::size_t>(i)];
        bool snow = false;
        if (!std::isfinite(object.centre_px.x) || !std::isfinite(object.centre_px.y)) return;
        if (object.kind == StructureKind::guard_post) {
            if (!posts_visible || unseen_share(scene, object.centre_px, 6 * metre) > kMostUnseen)
                return;
            snow = snow_share(scene, object.centre_px, 6 * metre) > kMostSnow;
            const PostLook seen = look_at_post(view, object, 1.5 * metre);
            look.on_map = view.maps != nullptr;
            look.score = seen.log_odds;
            look.log_likelihood_ratio = post_llr(seen.log_odds, look.on_map);
            if (look.log_likelihood_ratio > 0 && view.sun) {
                Detection there = object;
                there.centre_px = seen.foot_px;
                look.height_m = measure_post(view, there).height_m;
            }
        } else {
            OrientedRectangle r = rectangle_of(object.footprint_px);
            const double across = 2 * std::min(r.half_a, r.half_b) * view.gsd_m;
            if (across / view.effective_gsd_m < 2.5) return;
            const double around = std::max(r.half_a, r.half_b) + 2 * metre;
            if (unseen_share(scene, r.centre, around) > kMostUnseen) return;
            snow = winter || snow_share(scene, r.centre, around) > kMostSnow;
            r.centre = r.centre + roof_shift(view, object.height_m);
            const bool rivals = object.rival_area_m2 > 0 && object.area_m2 > 0;
            const BuildingLook seen = look_at_building(
                view, r, rivals ? std::sqrt(object.rival_area_m2 / object.area_m2) : 1);
            look.on_map = view.maps != nullptr;
            look.score = seen.log_odds;
            if (rivals) {
                const double nearness = nearness_to_rival(
                    4 * seen.roof.half_a * seen.roof.half_b * view.gsd_m * view.gsd_m, object);
                look.score = std::min(look.score, nearness);
                // Where the other one shows, snow hides nothing.
                if (nearness < 0 && look.on_map && seen.corrected_log_odds > 0) snow = false;
            }
            look.log_likelihood_ratio = building_llr(look.score);
            if (look.log_likelihood_ratio > 0) {
                std::optional<Interval> unused;
                const BuildingMeasure measure = measure_building(view, seen.roof);
                height_from_shadow(view, seen.roof, measure, look.height_m, unused);
                look.longer_m = 2 * view.gsd_m * std::max(seen.roof.half_a, seen.roof.half_b);
                look.shorter_m = 2 * view.gsd_m * std::min(seen.roof.half_a, seen.roof.half_b);
                look.contrast = measure.contrast;
                if (view.sun)
                    look.border = std::max(measure.shadow_depth,
                                           measure.contrast > 0 ? 1.5 * measure.edge : 0.0);
            }
        }
        look.seen = look.log_likelihood_ratio > 0 ? Seen::present : Seen::absent;
        if (look.seen == Seen::absent) look.height_m.reset();
        // What snow does not show may lie under it.
        if (look.seen == Seen::absent && snow) look = {};
    });
    return looks;
}

}  // namespace fenceline
