#include "stages/track.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>
#include <tuple>

#include "core/geodesic.h"
#include "core/projection.h"
#include "stages/track_looks.h"

namespace fenceline {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();
/// Mass of the credible set of change points that dates a change.
constexpr double kCredible = 0.95;
/// Log prior of one switch of an object that comes and goes.
constexpr double kSwitchLogPrior = -2.3;
/// Share of a detour that must have been seen before it is confirmed.
constexpr double kSeenShare = 0.7;
/// Farthest a post may stand from the line that it belongs to, and nearest to the old line to be
/// called new.
constexpr double kOnLineM = 15;
/// Error of a height that all looks share, 1 sigma.
constexpr double kSharedHeightM = 0.75;
/// A change is confirmed of what exists with this probability at least. What fades, or comes and
/// goes with the sun, is seldom a structure that was torn down: crowns of trees do so all the time.
/// New buildings: whole runs of 42 tune series, 6 of 11 false ones lie below, 2 of 69 true ones.
constexpr double kSureToExist = 0.65, kSureHouse = 0.95, kSureToHaveStood = 0.9;
/// A look that speaks so clearly against a removal (or, before it, for absence) leaves it open.
constexpr double kContradiction = -3;
/// A look at a map that says so much for absence shows nothing of a roof.
constexpr double kNothingAtAll = -5.5;
/// Border of a roof (Look::border) that one look alone is believed for.
constexpr double kClearBorder = 0.5;
/// What the change map alone says is never more than provisional; quiet pairs before and after
/// support it a little.
constexpr double kQuietAfter = 0.8, kQuietBefore = 0.4;
constexpr int kQuietCounted = 3;

double logistic(double x) { return 1.0 / (1.0 + std::exp(-x)); }

double log_sum_exp(std::span<const double> values) {
    double highest = kMinusInfinity;
    for (const double v : values) highest = std::max(highest, v);
    if (!std::isfinite(highest)) return highest;
    double sum = 0;
    for (const double v : values) sum += std::exp(v - highest);
    return highest + std::log(sum);
}

/// Best likelihood of an object that comes and goes: at least `min_switches` switches, starting in
/// the given state.
double best_with_switches(std::span<const double> llr, bool starts_present, int min_switches) {
    // best[k]: after k switches (k = min_switches stands for "that many or more").
    const auto kinds = static_cast<std::size_t>(min_switches) + 2;
    std::vector<double> best(kinds, kMinusInfinity);
    const auto present_after = [&](std::size_t k) { return (k % 2 == 0) == starts_present; };
    best[0] = 0;
    bool first = true;
    for (const double l : llr) {
        std::vector<double> next(kinds, kMinusInfinity);
        for (std::size_t k = 0; k < kinds; ++k) {
            double from = best[k];
            if (!first && k > 0) from = std::max(from, best[k - 1] + kSwitchLogPrior);
            // Beyond the last two kinds, every further switch leads back and forth between them.
            if (!first && k == static_cast<std::size_t>(min_switches))
                from = std::max(from, best[k + 1] + kSwitchLogPrior);
            next[k] = from + (present_after(k) ? l : 0.0);
        }
        best = std::move(next);
        first = false;
    }
    return std::max(best[kinds - 2], best[kinds - 1]);
}

/// The credible set of split positions: grown from the most likely one towards the likelier
/// neighbour until it holds the mass. log_weight[i] belongs to split i; -inf: not allowed.
std::pair<std::size_t, std::size_t> credible_splits(std::span<const double> log_weight) {
    std::size_t low = 0;
    for (std::size_t i = 1; i < log_weight.size(); ++i)
        if (log_weight[i] > log_weight[low]) low = i;
    std::size_t high = low;
    const double total = log_sum_exp(log_weight);
    double mass = std::exp(log_weight[low] - total);
    while (mass < kCredible && (low > 0 || high + 1 < log_weight.size())) {
        const double left = low > 0 ? log_weight[low - 1] : kMinusInfinity;
        const double right = high + 1 < log_weight.size() ? log_weight[high + 1] : kMinusInfinity;
        if (high + 1 >= log_weight.size() || (low > 0 && left > right))
            mass += std::exp(log_weight[--low] - total);
        else
            mass += std::exp(log_weight[++high] - total);
    }
    return {low, high};
}

/// Log prior of a change just before each look (none before the first): half of it is spread evenly
/// over the gaps between looks, half by their length, since changes do not wait for images.
std::vector<double> split_log_prior(std::span<const CourseLook> looks) {
    const std::size_t m = looks.size();
    std::vector<double> log_prior(m, kMinusInfinity);
    const double span = m > 1 ? looks.back().days - looks.front().days : 0;
    for (std::size_t s = 1; s < m; ++s) {
        const double even = 1 / static_cast<double>(m - 1);
        const double by_time = (looks[s].days - looks[s - 1].days) / span;
        const bool known = std::isfinite(by_time) && by_time >= 0;
        log_prior[s] = std::log(known ? 0.5 * even + 0.5 * by_time : even);
    }
    return log_prior;
}

std::optional<Time> time_of(std::span<const SceneInfo> scenes, int index) {
    if (index < 0 || static_cast<std::size_t>(index) >= scenes.size()) return std::nullopt;
    return scenes[static_cast<std::size_t>(index)].datetime;
}
/// The end of the scene's time when it is only known as an interval.
std::optional<Time> end_time_of(std::span<const SceneInfo> scenes, int index) {
    if (index < 0 || static_cast<std::size_t>(index) >= scenes.size()) return std::nullopt;
    const SceneInfo& scene = scenes[static_cast<std::size_t>(index)];
    return scene.datetime_end ? scene.datetime_end : scene.datetime;
}

const char* kind_name(StructureKind kind) {
    return kind == StructureKind::building ? "building" : "guard_post";
}

struct Box {
    Point low, high;
};
Box box_of(const Ring& ring, Point otherwise, double margin) {
    Box box{otherwise, otherwise};
    if (!ring.empty()) box = {ring.front(), ring.front()};
    for (const Point p : ring) {
        box.low = {std::min(box.low.x, p.x), std::min(box.low.y, p.y)};
        box.high = {std::max(box.high.x, p.x), std::max(box.high.y, p.y)};
    }
    box.low = box.low - Point{margin, margin};
    box.high = box.high + Point{margin, margin};
    return box;
}
bool meet(const Box& a, const Box& b) {
    return a.low.x <= b.high.x && b.low.x <= a.high.x && a.low.y <= b.high.y && b.low.y <= a.high.y;
}

/// Length and width of the smallest rectangle around the ring over 1° steps of direction (px).
std::pair<double, double> extent(const Ring& ring) {
    std::pair<double, double> best{0, 0};
    double best_area = std::numeric_limits<double>::infinity();
    for (int degree = 0; degree < 90; ++degree) {
        const double angle = degree * std::numbers::pi / 180;
        const Point u{std::cos(angle), std::sin(angle)}, v{-u.y, u.x};
        double u0 = 1e300, u1 = -1e300, v0 = 1e300, v1 = -1e300;
        for (const Point p : ring) {
            u0 = std::min(u0, dot(p, u)), u1 = std::max(u1, dot(p, u));
            v0 = std::min(v0, dot(p, v)), v1 = std::max(v1, dot(p, v));
        }
        const double a = u1 - u0, b = v1 - v0;
        if (ring.empty() || a * b >= best_area) continue;
        best_area = a * b;
        best = {std::max(a, b), std::min(a, b)};
    }
    return best;
}

/// A road is long, narrow and no wider than roads are. Width from area and length, so that bends do
/// not hide it.
bool is_road(const ChangeObject& object, double gsd_m) {
    const double perimeter_m = ring_length(object.outline_px) * gsd_m;
    const auto [length_px, width_px] = extent(object.outline_px);
    const double along_m = std::max(length_px * gsd_m, perimeter_m / 2);
    const double mean_width_m = along_m > 0 ? object.area_m2 / along_m : 0;
    return length_px * gsd_m >= 60 && mean_width_m >= 1.5 && mean_width_m <= 15 &&
           along_m >= 6 * mean_width_m;
}

/// Wald's decision, with the demand for independent looks. What only one look shows stays a
/// candidate.
std::string state_of(double llr, double confirm_llr, std::span<const int> supporting,
                     std::span<const SceneInfo> scenes, const TrackOptions& options) {
    if (llr >= confirm_llr &&
        independent_looks(scenes, supporting, options) >= options.min_independent_looks)
        return "confirmed";
    if (llr >= confirm_llr / 2 && supporting.size() >= 2) return "provisional";
    if (llr > 0) return "candidate";
    return llr <= options.reject_llr ? "rejected" : "candidate";
}

const std::array<const char*, 10> kKinds = {
    "new_building",       "removed_building",    "modified_building",     "new_guard_post",
    "removed_guard_post", "perimeter_expansion", "perimeter_contraction", "new_road",
    "ground_disturbance", "vegetation_change"};
std::size_t kind_rank(const std::string& kind) {
    return static_cast<std::size_t>(std::find(kKinds.begin(), kKinds.end(), kind) - kKinds.begin());
}

/// A change before it has an id: the grid position sorts it.
struct Draft {
    ReportChange change;
    Point centre_px;
    int object = -1;  ///< index into the evidence's objects
};

struct Context {
    const SeriesEvidence& evidence;
    const GridProjection projection;
    double gsd_m;
    const StructureOptions& structure_options;
    const TrackOptions& options;
    std::vector<std::vector<double>> ratios;  ///< [scene][object], log_ratios_of

    const SceneInfo& scene(int i) const { return evidence.scenes[static_cast<std::size_t>(i)]; }
    int scene_count() const { return static_cast<int>(evidence.scenes.size()); }
    bool may_start(int i) const {
        const auto k = static_cast<std::size_t>(i);
        return k >= evidence.may_start_change.size() || evidence.may_start_change[k];
    }
    /// Nothing when the look says nothing.
    std::optional<Look> look(int scene_index, std::size_t object) const {
        const auto i = static_cast<std::size_t>(scene_index);
        if (i >= evidence.looks.size() || object >= evidence.looks[i].size()) return std::nullopt;
        Look look = evidence.looks[i][object];
        if (look.seen == Seen::not_observable || !std::isfinite(look.log_likelihood_ratio))
            return std::nullopt;
        look.log_likelihood_ratio = ratios[i][object];
        return look;
    }
    double clamped(double llr) const {
        return std::clamp(llr, -options.max_look_llr, options.max_look_llr);
    }
    double clamped_look(double llr) const {
        return std::clamp(llr, -options.max_absence_llr, options.max_look_llr);
    }
};

// --- perimeter
// ------------------------------------------------------------------------------------------------

struct TrackedPerimeterChange {
    Draft draft;
    bool stands = false;  ///< at least provisional and not ended
};

std::vector<TrackedPerimeterChange> track_perimeter(const Context& c) {
    std::vector<TrackedPerimeterChange> tracked;
    for (const PerimeterChange& detour : c.evidence.perimeter.changes) {
        std::vector<CourseLook> looks;
        auto ratios = detour.log_likelihood_ratios;
        std::sort(ratios.begin(), ratios.end());
        for (const auto& [index, llr] : ratios)
            if (index >= 0 && index < c.scene_count() && std::isfinite(llr) && llr != 0)
                looks.push_back({index, c.clamped(llr), c.may_start(index)});
        const CourseEstimate course = estimate_course(looks, 0, c.options);

        TrackedPerimeterChange out;
        ReportChange& change = out.draft.change;
        change.kind = detour.expansion ? "perimeter_expansion" : "perimeter_contraction";
        change.footprint = c.projection.lonlat_from_px(detour.region_px);
        out.draft.centre_px = centroid(detour.region_px);
        change.position = c.projection.lonlat_from_px(out.draft.centre_px);
        change.area_m2 = detour.area_m2;
        change.area_ci = detour.area_ci;
        for (const CourseLook& look : looks)
            change.observations.push_back({c.scene(look.scene).id, c.clamped(look.llr)});

        double llr = course.change_llr;
        const bool looked_before =
            std::any_of(looks.begin(), looks.end(),
                        [&](const CourseLook& l) { return l.scene <= detour.last_before; });
        if (!looked_before) {
            // Only looks after the event were held back: they test the new line alone, the line
            // stage dates it.
            llr = 0;
            std::vector<int> agree;
            for (const CourseLook& look : looks) {
                llr += c.clamped(look.llr);
                if (look.llr > 0) agree.push_back(look.scene);
            }
            change.last_not_seen = time_of(c.evidence.scenes, detour.last_before);
            change.first_seen = end_time_of(c.evidence.scenes, detour.first_after);
            change.state =
                state_of(llr, c.options.confirm_llr, agree, c.evidence.scenes, c.options);
            if (change.state == "confirmed" && detour.supported_fraction < kSeenShare)
                change.state = "provisional";
        } else
            switch (course.course) {
                case Course::appeared:
                case Course::appeared_and_disappeared:
                    change.last_not_seen = time_of(c.evidence.scenes, course.last_not_seen);
                    change.first_seen = end_time_of(c.evidence.scenes, course.first_seen);
                    change.state = state_of(llr, c.options.confirm_llr, course.supporting,
                                            c.evidence.scenes, c.options);
                    // Most of the detour must have been seen; what was bridged proves nothing.
                    if (change.state == "confirmed" && detour.supported_fraction < kSeenShare)
                        change.state = "provisional";
                    if (course.course == Course::appeared_and_disappeared &&
                        change.state != "rejected")
                        change.state = "ended";
                    break;
                default:
                    // The looks do not agree with the detour.
                    change.last_not_seen = time_of(c.evidence.scenes, detour.last_before);
                    change.first_seen = end_time_of(c.evidence.scenes, detour.first_after);
                    change.state = "rejected";
                    break;
            }
        change.confidence = logistic(llr + c.options.change_log_prior);
        out.stands = change.state == "confirmed" || change.state == "provisional";
        tracked.push_back(std::move(out));
    }
    return tracked;
}

/// Is this place on a stretch of line that a standing expansion brought, away from the line as it
/// was before?
bool on_new_stretch(const Context& c, const std::vector<TrackedPerimeterChange>& tracked,
                    Point px) {
    const auto& perimeter = c.evidence.perimeter;
    for (std::size_t i = 0; i < tracked.size() && i < perimeter.changes.size(); ++i) {
        const PerimeterChange& detour = perimeter.changes[i];
        if (!tracked[i].stands || !detour.expansion || detour.region_px.size() < 3) continue;
        if (distance_to_ring(detour.region_px, px) * c.gsd_m > kOnLineM) continue;
        bool on_old = false;
        for (const TracedPerimeter& line : perimeter.perimeters)
            if (line.scene <= detour.last_before && line.ring_px.size() >= 3)
                on_old = on_old || distance_to_ring(line.ring_px, px) * c.gsd_m <= kOnLineM;
        if (!on_old) return true;
    }
    return false;
}

// --- structures
// -----------------------------------------------------------------------------------------------

struct TrackedStructure {
    ReportStructure structure;
    Point centre_px;
    int object = 0;
    CourseEstimate course;
};

/// Distance of an object from the nearest line of any date, m; NaN when there is none.
double line_distance_m(const Context& c, const Detection& object) {
    double nearest = std::numeric_limits<double>::infinity();
    for (const TracedPerimeter& line : c.evidence.perimeter.perimeters)
        if (line.ring_px.size() >= 3)
            nearest = std::min(nearest, distance_to_ring(line.ring_px, object.centre_px));
    // The stretch it was found along may be of a line that is not among the traced ones.
    for (std::size_t i = 1; i < object.line_px.size(); ++i) {
        const Point a = object.line_px[i - 1], along = object.line_px[i] - a;
        const double length2 = dot(along, along);
        const double t =
            length2 > 0 ? std::clamp(dot(object.centre_px - a, along) / length2, 0.0, 1.0) : 0;
        nearest = std::min(nearest, distance(object.centre_px, a + t * along));
    }
    return std::isfinite(nearest) ? nearest * c.gsd_m : std::numeric_limits<double>::quiet_NaN();
}

/// Height over the looks in which the object stood: the lower quartile, since a shadow that runs
/// into another one is too long and none is too short (on tune series the median is 0.4 m too high,
/// the quartile right), and its interval from the scatter.
void fuse_heights(const Context& c, std::size_t object, const CourseEstimate& course,
                  ReportStructure& structure) {
    const Detection& detection = c.evidence.objects[object];
    structure.height_m = detection.height_m;
    structure.height_ci = detection.height_ci;
    std::vector<double> heights;
    for (int i = 0; i < c.scene_count(); ++i) {
        const auto look = c.look(i, object);
        if (!look || look->seen != Seen::present || !look->height_m ||
            !std::isfinite(*look->height_m))
            continue;
        if ((course.first_seen >= 0 && i < course.first_seen) ||
            (course.last_seen >= 0 && i > course.last_seen))
            continue;
        heights.push_back(*look->height_m);
    }
    if (heights.size() < 3) return;
    const auto median = [](std::vector<double>& v) {
        std::sort(v.begin(), v.end());
        const std::size_t n = v.size();
        return n % 2 == 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
    };
    const double middle = median(heights);
    std::vector<double> deviation;
    for (const double h : heights) deviation.push_back(std::abs(h - middle));
    // 1.25: the median's standard error against the mean's for Gaussian noise.
    const double sigma = std::max(1.4826 * median(deviation), 0.3);
    // What the looks share, such as the roof's shape, does not average out.
    const double half =
        1.96 *
        std::hypot(1.25 * sigma / std::sqrt(static_cast<double>(heights.size())), kSharedHeightM);
    std::sort(heights.begin(), heights.end());
    const double at = 0.25 * static_cast<double>(heights.size() - 1);
    const auto below = static_cast<std::size_t>(at);
    const double height =
        heights[below] + (at - static_cast<double>(below)) * (heights[below + 1] - heights[below]);
    structure.height_m = height;
    structure.height_ci = Interval{std::max(0.0, height - half), height + half};
}

/// What a scene adds to all heights of buildings (a sun position that is off, snow on the ground):
/// median difference to each building's median over the looks. 0 with fewer than 10 buildings.
std::vector<double> height_offsets(const Context& c) {
    std::vector<std::vector<double>> apart(c.evidence.scenes.size());
    std::vector<double> heights;
    for (std::size_t k = 0; k < c.evidence.objects.size(); ++k) {
        if (c.evidence.objects[k].kind != StructureKind::building) continue;
        const auto height_in = [&](int i) {
            const auto look = c.look(i, k);
            return look && look->seen == Seen::present && look->height_m ? *look->height_m : -1.0;
        };
        heights.clear();
        for (int i = 0; i < c.scene_count(); ++i)
            if (const double h = height_in(i); h > 0) heights.push_back(h);
        if (heights.size() < 3) continue;
        const auto middle = heights.begin() + static_cast<std::ptrdiff_t>(heights.size() / 2);
        std::nth_element(heights.begin(), middle, heights.end());
        for (int i = 0; i < c.scene_count(); ++i)
            if (const double h = height_in(i); h > 0)
                apart[static_cast<std::size_t>(i)].push_back(h - *middle);
    }
    std::vector<double> offsets;
    for (auto& each : apart) {
        const auto middle = each.begin() + static_cast<std::ptrdiff_t>(each.size() / 2);
        if (each.size() >= 10) std::nth_element(each.begin(), middle, each.end());
        offsets.push_back(each.size() >= 10 ? *middle : 0.0);
    }
    return offsets;
}

/// A height that steps at one date: the building was raised or lowered. Least-squares change point
/// with at least two looks on either side, whose heights do not overlap: a shadow that runs into
/// another one is metres too long, and now and then twice in a row. Nothing when the step is below
/// 1.5 m or within the noise.
struct HeightStep {
    double llr = 0, before_m = 0, after_m = 0;
    int last_before = 0, first_after = 0;
    std::vector<int> supporting;
    bool sure = false;  ///< three looks on either side
};
std::optional<HeightStep> height_step(const Context& c, std::size_t object,
                                      std::span<const double> offsets) {
    std::vector<std::pair<int, double>> heights;
    for (int i = 0; i < c.scene_count(); ++i)
        if (const auto look = c.look(i, object);
            look && look->seen == Seen::present && look->height_m && std::isfinite(*look->height_m))
            heights.emplace_back(i, *look->height_m - offsets[static_cast<std::size_t>(i)]);
    const std::size_t n = heights.size();
    if (n < 4) return std::nullopt;
    std::optional<HeightStep> best;
    for (std::size_t s = 2; s + 2 <= n; ++s) {
        double mean[2] = {0, 0}, low[2] = {1e9, 1e9}, high[2] = {-1e9, -1e9}, squares = 0;
        for (std::size_t i = 0; i < n; ++i) {
            const double h = heights[i].second;
            mean[i >= s] += h / static_cast<double>(i < s ? s : n - s);
            low[i >= s] = std::min(low[i >= s], h);
            high[i >= s] = std::max(high[i >= s], h);
        }
        for (std::size_t i = 0; i < n; ++i)
            squares += std::pow(heights[i].second - mean[i >= s], 2);
        if (high[0] > low[1] && high[1] > low[0]) continue;
        // Shadow heights are worth 0.7 m at best (METHODS.md 6), however well few looks happen to
        // agree.
        const double sigma2 = std::max(squares / static_cast<double>(n - 2), 0.7 * 0.7);
        const double t2 =
            std::pow(mean[1] - mean[0], 2) /
            (sigma2 * (1.0 / static_cast<double>(s) + 1.0 / static_cast<double>(n - s)));
        const double llr = t2 / 2 - std::log(static_cast<double>(n - 3));
        if (std::abs(mean[1] - mean[0]) < 1.5 || (best && llr <= best->llr)) continue;
        HeightStep step{llr,
                        mean[0],
                        mean[1],
                        heights[s - 1].first,
                        heights[s].first,
                        {},
                        s >= 3 && s + 3 <= n};
        for (std::size_t i = s; i < n; ++i) step.supporting.push_back(heights[i].first);
        if (c.may_start(step.first_after)) best = step;
    }
    return best;
}

/// How often the change map of two looks shows a structure's place as appeared (or gone) when it
/// did, against when nothing changed there, as log-likelihood ratios; tempered, since map and looks
/// see the same pixels. Measured on camp25 seeds 101–104: of new ones .75 / .68 (buildings, posts),
/// of steady ones .03 / .12.
struct MapEvidence {
    double shown, not_shown;
};
MapEvidence map_evidence(StructureKind kind) {
    return kind == StructureKind::building ? MapEvidence{2.5, -1.3} : MapEvidence{1.7, -1.0};
}
constexpr double kShownShare = 0.2;  ///< of the footprint
constexpr double kPostReachM = 2;    ///< half side of the square looked at around a post's foot
constexpr long kFewestInMap = 5;

/// Share of an object's footprint that a change map shows as this, 0–1: 5 × 5 places.
double shown_share(const ChangeMap& map, const Detection& object, ChangeClass what, double gsd_m) {
    Point corner, along, across;
    if (object.kind == StructureKind::guard_post || object.footprint_px.size() != 4) {
        const double reach = kPostReachM / gsd_m;
        corner = object.centre_px - Point{reach, reach};
        along = {2 * reach, 0}, across = {0, 2 * reach};
    } else {
        corner = object.footprint_px[0];
        along = object.footprint_px[1] - corner, across = object.footprint_px[3] - corner;
    }
    const Ring ring{corner, corner + along, corner + along + across, corner + across};
    const Box box = box_of(ring, corner, 0);
    int inside = 0;
    for (const ChangeObject& change : map.objects) {
        if (change.change_class != what || change.outline_px.size() < 3 ||
            !meet(box, box_of(change.outline_px, change.centre_px, 0)))
            continue;
        for (int v = 0; v < 5; ++v)
            for (int u = 0; u < 5; ++u)
                inside += contains(change.outline_px,
                                   corner + ((u + 0.5) / 5) * along + ((v + 0.5) / 5) * across);
    }
    return inside / 25.0;
}

/// Adds what the change maps between each two looks say: something appeared (or went) at the place,
/// or nothing did. A map whose threshold let hardly anything through says nothing by its silence.
void add_map_evidence(const Context& c, const Detection& object, std::vector<CourseLook>& looks) {
    const MapEvidence evidence = map_evidence(object.kind);
    const auto& maps = c.evidence.intervals;
    const auto ratio = [&](int from, int to, ChangeClass what) {
        bool silent = true;
        for (int k = from; k < to; ++k) {
            if (static_cast<std::size_t>(k) >= maps.size()) return 0.0;
            const ChangeMap& map = maps[static_cast<std::size_t>(k)];
            if (shown_share(map, object, what, c.gsd_m) >= kShownShare) return evidence.shown;
            silent = silent && std::count_if(map.objects.begin(), map.objects.end(),
                                             [&](const ChangeObject& o) {
                                                 return o.change_class == what;
                                             }) < kFewestInMap;
        }
        return silent ? 0.0 : evidence.not_shown;
    };
    for (std::size_t i = 1; i < looks.size(); ++i) {
        looks[i].appeared_llr = ratio(looks[i - 1].scene, looks[i].scene, ChangeClass::appeared);
        looks[i].gone_llr = ratio(looks[i - 1].scene, looks[i].scene, ChangeClass::disappeared);
    }
}

/// What only one look shows cannot be confirmed, but where all that one pair can say agrees it is
/// more than a candidate: the looks' test, the change map of the pair, and of a new building its
/// border (a shadow, or the step of a bright roof).
bool one_look_agrees(const Context& c, std::size_t object, const CourseEstimate& course,
                     std::span<const CourseLook> looks, bool disappeared) {
    if (course.supporting.size() != 1 || course.change_llr < c.options.confirm_new_llr)
        return false;
    const int scene = course.supporting.front();
    for (const CourseLook& look : looks)
        if (look.scene == scene && !((disappeared ? look.gone_llr : look.appeared_llr) > 0))
            return false;
    if (disappeared || c.evidence.objects[object].kind == StructureKind::guard_post) return true;
    const auto look = c.look(scene, object);
    return look && look->border >= kClearBorder;
}

/// Does a look say clearly that what is believed to have gone was not there before, or still is?
bool contradicted(const CourseEstimate& course, std::span<const CourseLook> looks) {
    return std::any_of(looks.begin(), looks.end(), [&](const CourseLook& look) {
        const bool stood = look.scene <= course.last_seen;
        const bool gone = look.scene >= course.first_not_seen;
        return (stood && look.llr < kContradiction) || (gone && -look.llr < kContradiction);
    });
}

/// Where a roof does not stand yet, the map shows nothing at all, in a scene that hides no other
/// roof: of 115 true new buildings of 80 tune series (whole runs) each has such a look before, of
/// 16 false ones 8 have; the others are roofs that stand in shade, haze or snow. True when no look
/// before is the map's.
bool nothing_before(const Context& c, std::size_t object, const CourseEstimate& course) {
    bool on_map = false;
    for (int i = 0; i < course.first_seen; ++i)
        if (const auto look = c.look(i, object); look && look->on_map) {
            on_map = true;
            if (look->log_likelihood_ratio < kNothingAtAll) return true;
        }
    return !on_map;
}

void track_structures(const Context& c,
                      const std::vector<TrackedPerimeterChange>& perimeter_changes,
                      std::vector<TrackedStructure>& structures, std::vector<Draft>& drafts) {
    const std::vector<double> offsets = height_offsets(c);
    const std::vector<double> usual_levels =
        usual_post_levels(c.evidence.objects, c.evidence.looks);
    for (std::size_t k = 0; k < c.evidence.objects.size(); ++k) {
        const Detection& detection = c.evidence.objects[k];
        std::vector<CourseLook> looks;
        for (int i = 0; i < c.scene_count(); ++i)
            if (const auto look = c.look(i, k))
                looks.push_back({i, look->log_likelihood_ratio, c.may_start(i),
                                 c.scene(i).datetime ? c.scene(i).datetime->days()
                                                     : std::numeric_limits<double>::quiet_NaN()});
        add_map_evidence(c, detection, looks);
        const bool post = detection.kind == StructureKind::guard_post;
        const double present_prior =
            post && on_new_stretch(c, perimeter_changes, detection.centre_px)
                ? -c.options.new_line_prior
                : 0.0;
        TrackedStructure tracked;
        tracked.course = estimate_course(looks, present_prior, c.options);
        const CourseEstimate& course = tracked.course;
        tracked.object = static_cast<int>(k);
        tracked.centre_px = detection.centre_px;

        ReportStructure& s = tracked.structure;
        s.kind = kind_name(detection.kind);
        s.position = c.projection.lonlat_from_px(detection.centre_px);
        if (!post) s.footprint = c.projection.lonlat_from_px(detection.footprint_px);
        s.area_m2 = s.footprint.size() >= 3 ? measure_ring(s.footprint).area_m2 : detection.area_m2;
        std::vector<Look> all;
        for (int i = 0; i < c.scene_count(); ++i) all.push_back(c.look(i, k).value_or(Look{}));
        s.confidence = logistic(std::min(
            course.existence_log_odds,
            existence_limit(detection.kind, all,
                            {line_distance_m(c, detection), usual_levels[k], detection.area_m2})));
        s.last_not_seen = time_of(c.evidence.scenes, course.last_not_seen);
        s.first_seen = end_time_of(c.evidence.scenes, course.first_seen);
        s.last_seen = time_of(c.evidence.scenes, course.last_seen);
        s.first_not_seen = end_time_of(c.evidence.scenes, course.first_not_seen);
        fuse_heights(c, k, course, s);
        for (int i = 0; i < c.scene_count(); ++i) {
            const auto look = c.look(i, k);
            s.observations.push_back({c.scene(i).id,
                                      !look                         ? "not_observable"
                                      : look->seen == Seen::present ? "present"
                                                                    : "absent",
                                      look ? c.clamped_look(look->log_likelihood_ratio) : 0.0});
        }
        const bool listed = s.confidence >= c.options.list_from;

        const bool appeared =
            course.course == Course::appeared || course.course == Course::appeared_and_disappeared;
        const bool disappeared = course.course == Course::disappeared;
        Draft draft;
        draft.centre_px = detection.centre_px;
        ReportChange& change = draft.change;
        change.footprint = s.footprint;
        change.position = s.position;
        change.area_m2 = s.area_m2;
        if (appeared || disappeared) {
            change.kind = std::string(disappeared ? "removed_" : "new_") + s.kind;
            // Roofs fade under snow and crowns; a post that some looks show well does not.
            change.state =
                state_of(course.change_llr,
                         disappeared && !post ? c.options.confirm_llr : c.options.confirm_new_llr,
                         course.supporting, c.evidence.scenes, c.options);
            if (change.state == "candidate" && one_look_agrees(c, k, course, looks, disappeared) &&
                (!disappeared ||
                 (s.confidence >= kSureToHaveStood && !contradicted(course, looks))))
                change.state = "provisional";
            // It stood in several looks and is gone: the appearance is over. Seen once only, it is
            // a passing thing.
            // A removal of what one look alone has shown may be a lorry that drove off.
            if (disappeared && course.looks_with < 2 && change.state != "rejected")
                change.state = "candidate";
            if (course.course == Course::appeared_and_disappeared)
                change.state =
                    course.change_llr >= c.options.confirm_llr / 2 ? "ended" : "rejected";
            // What may not exist cannot have changed for certain.
            if (change.state == "confirmed" && (s.confidence < (disappeared ? kSureToHaveStood
                                                                : post      ? kSureToExist
                                                                            : kSureHouse) ||
                                                (disappeared && contradicted(course, looks))))
                change.state = "provisional";
            if (change.state == "provisional" && s.confidence < 0.5) change.state = "candidate";
            if (appeared && !post &&
                (change.state == "confirmed" || change.state == "provisional") &&
                !nothing_before(c, k, course))
                change.state = "candidate";
            change.confidence =
                std::min(s.confidence, logistic(course.change_llr + c.options.change_log_prior));
            // A removal is dated by the last look that shows the object and the first that does
            // not; "first_seen" of a change is the first look that shows the change.
            change.last_not_seen = disappeared ? s.last_seen : s.last_not_seen;
            change.first_seen = disappeared ? s.first_not_seen : s.first_seen;
        } else if (course.was_provisional &&
                   (course.course == Course::absent || course.course == Course::unsteady)) {
            change.kind = "new_" + s.kind;
            change.state = "rejected";
            change.confidence = logistic(std::min(course.change_llr, c.options.reject_llr) +
                                         c.options.change_log_prior);
        }
        const bool worth = change.state == "rejected" ? course.was_provisional : listed;
        if (!change.state.empty() && worth) {
            for (const CourseLook& look : looks)
                change.observations.push_back(
                    {c.scene(look.scene).id,
                     (disappeared ? -1.0 : 1.0) * c.clamped_look(look.llr)});
            draft.object = listed ? static_cast<int>(k) : -1;
            drafts.push_back(draft);
        } else if (!post && listed && course.course == Course::present) {
            if (const auto step = height_step(c, k, offsets); step && step->llr > 0) {
                Draft raised;
                raised.centre_px = detection.centre_px;
                raised.object = static_cast<int>(k);
                raised.change = {};
                raised.change.kind = "modified_building";
                raised.change.footprint = s.footprint;
                raised.change.position = s.position;
                raised.change.area_m2 = s.area_m2;
                raised.change.state = state_of(step->llr, c.options.confirm_llr, step->supporting,
                                               c.evidence.scenes, c.options);
                if (!step->sure) raised.change.state = "candidate";
                raised.change.confidence = logistic(step->llr + c.options.change_log_prior);
                raised.change.last_not_seen = time_of(c.evidence.scenes, step->last_before);
                raised.change.first_seen = end_time_of(c.evidence.scenes, step->first_after);
                for (const int i : step->supporting)
                    raised.change.observations.push_back(
                        {c.scene(i).id, step->llr / static_cast<double>(step->supporting.size())});
                drafts.push_back(raised);
            }
        }
        if (listed) structures.push_back(std::move(tracked));
    }
}

// --- change maps
// ----------------------------------------------------------------------------------------------

/// What a pair's object would be called, nothing when it is no change.
std::optional<std::string> ground_kind(const ChangeObject& object, double gsd_m) {
    switch (object.change_class) {
        case ChangeClass::appeared:
        case ChangeClass::disappeared:
        case ChangeClass::modified:
        case ChangeClass::ground:
            if (is_road(object, gsd_m) && object.change_class != ChangeClass::disappeared)
                return "new_road";
            return "ground_disturbance";
        case ChangeClass::vegetation:
            return "vegetation_change";
        default:
            return std::nullopt;  // illumination is never a change
    }
}

bool overlap(const ChangeObject& a, const ChangeObject& b, double gsd_m) {
    if (a.outline_px.size() < 3 || b.outline_px.size() < 3)
        return distance(a.centre_px, b.centre_px) * gsd_m < 5;
    if (!meet(box_of(a.outline_px, a.centre_px, 0), box_of(b.outline_px, b.centre_px, 0)))
        return false;
    if (contains(a.outline_px, b.centre_px) || contains(b.outline_px, a.centre_px)) return true;
    for (const Point p : a.outline_px)
        if (contains(b.outline_px, p)) return true;
    for (const Point p : b.outline_px)
        if (contains(a.outline_px, p)) return true;
    return false;
}

/// Was the place seen in this pair? Unknown (no map kept) counts as seen.
bool observed(const ChangeMap& map, Point px) {
    const int x = static_cast<int>(px.x), y = static_cast<int>(px.y);
    return map.change_class.empty() || !map.change_class.contains(x, y) ||
           map.change_class.at(x, y) != static_cast<std::uint8_t>(ChangeClass::not_observed);
}

void track_ground(const Context& c, const std::vector<TrackedStructure>& structures,
                  std::vector<Draft>& drafts) {
    const double margin_px = 3.0 / c.gsd_m;
    std::vector<Box> structure_boxes;
    for (const auto& s : structures) {
        const Detection& d = c.evidence.objects[static_cast<std::size_t>(s.object)];
        structure_boxes.push_back(box_of(d.footprint_px, d.centre_px, margin_px));
    }
    const auto& maps = c.evidence.intervals;
    for (std::size_t i = 0; i < maps.size() && i + 1 < c.evidence.scenes.size(); ++i) {
        if (!c.may_start(static_cast<int>(i) + 1)) continue;
        for (const ChangeObject& object : maps[i].objects) {
            if (object.outline_px.size() < 3 || !std::isfinite(object.log_odds)) continue;
            auto kind = ground_kind(object, c.gsd_m);
            if (!kind || object.probability < 0.7 || object.log_odds <= 0) continue;
            // Crops and leaves change by the field in every season: only large vegetation objects
            // are worth a line.
            const double smallest =
                c.options.min_ground_change_m2 * (*kind == "vegetation_change" ? 10.0 : 1.0);

            // What a structure explains is that structure's story; only an extension beyond its
            // walls is told here.
            const Box box = box_of(object.outline_px, object.centre_px, 0);
            int extended = -1;
            bool explained = false;
            for (std::size_t k = 0; k < structures.size(); ++k) {
                if (!meet(box, structure_boxes[k])) continue;
                const TrackedStructure& s = structures[k];
                const Detection& d = c.evidence.objects[static_cast<std::size_t>(s.object)];
                const bool steady_building =
                    s.structure.kind == "building" && s.course.course == Course::present;
                if (!steady_building || d.footprint_px.size() < 3) {
                    explained = true;
                    break;
                }
                long outside = 0, all = 0;
                const double step = std::max(1.0, std::sqrt(object.area_m2) / c.gsd_m / 40);
                for (double y = box.low.y + step / 2; y < box.high.y; y += step)
                    for (double x = box.low.x + step / 2; x < box.high.x; x += step)
                        if (contains(object.outline_px, {x, y})) {
                            ++all;
                            outside += !contains(d.footprint_px, {x, y}) &&
                                       distance_to_ring(d.footprint_px, {x, y}) > margin_px;
                        }
                const double outside_m2 = all > 0 ? object.area_m2 * static_cast<double>(outside) /
                                                        static_cast<double>(all)
                                                  : 0;
                const bool touches = overlap(
                    object, ChangeObject{d.footprint_px, d.centre_px, 0, ChangeClass::none, 0, 0},
                    c.gsd_m);
                const bool built = object.change_class == ChangeClass::appeared ||
                                   object.change_class == ChangeClass::disappeared;
                if (touches && built &&
                    outside_m2 >=
                        std::max(c.structure_options.min_building_m2, 0.2 * s.structure.area_m2))
                    extended = static_cast<int>(k);
                else
                    explained = true;  // a repainted roof, a moved shadow beside it
            }
            if (explained) continue;
            if (extended >= 0) kind = "modified_building";
            if (extended < 0 && object.area_m2 < smallest) continue;

            // The wall or the strip itself changes when the line moves: the perimeter's story.
            bool line = false;
            for (const PerimeterChange& detour : c.evidence.perimeter.changes)
                if (detour.region_px.size() >= 3) {
                    long near = 0;
                    for (const Point p : object.outline_px)
                        near += distance_to_ring(detour.region_px, p) * c.gsd_m <= kOnLineM;
                    line = line || 2 * near > static_cast<long>(object.outline_px.size());
                }
            if (line) continue;

            // Ground that changes in other intervals as well is a field, a pond, a road surface: no
            // event.
            bool flickers = false;
            int quiet_before = 0, quiet_after = 0;
            for (std::size_t j = 0; j < maps.size(); ++j) {
                if (j == i) continue;
                bool changed = false;
                for (const ChangeObject& other : maps[j].objects)
                    if (other.change_class != ChangeClass::illumination &&
                        overlap(object, other, c.gsd_m)) {
                        changed = true;
                        break;
                    }
                flickers = flickers || changed;
                if (!changed && observed(maps[j], object.centre_px))
                    ++(j < i ? quiet_before : quiet_after);
            }
            if (flickers) continue;

            Draft draft;
            draft.centre_px = object.centre_px;
            ReportChange& change = draft.change;
            change.kind = *kind;
            const double llr = c.clamped(object.log_odds) +
                               kQuietAfter * std::min(quiet_after, kQuietCounted) +
                               kQuietBefore * std::min(quiet_before, kQuietCounted);
            change.state =
                quiet_after > 0 && llr >= c.options.confirm_llr / 2 && *kind != "vegetation_change"
                    ? "provisional"
                    : "candidate";
            change.confidence =
                std::min(object.probability, logistic(llr + c.options.change_log_prior));
            change.footprint = c.projection.lonlat_from_px(object.outline_px);
            change.position = c.projection.lonlat_from_px(object.centre_px);
            change.area_m2 = measure_ring(change.footprint).area_m2;
            change.last_not_seen = time_of(c.evidence.scenes, static_cast<int>(i));
            change.first_seen = end_time_of(c.evidence.scenes, static_cast<int>(i) + 1);
            change.observations.push_back(
                {c.scene(static_cast<int>(i) + 1).id, c.clamped(object.log_odds)});
            if (extended >= 0) draft.object = structures[static_cast<std::size_t>(extended)].object;
            drafts.push_back(std::move(draft));
        }
    }
}

// --- what could not be seen
// -----------------------------------------------------------------------------------

std::vector<NotObservable> list_unseen(const Context& c,
                                       const std::vector<TrackedStructure>& structures) {
    std::vector<NotObservable> unseen;
    // Posts too small for a scene, said once for all such scenes.
    std::vector<std::string> coarse;
    Ring around;
    for (const TracedPerimeter& line : c.evidence.perimeter.perimeters)
        if (line.ring_px.size() >= 3) around = line.ring_px;
    for (const SceneInfo& scene : c.evidence.scenes)
        if (scene.gsd_m * c.structure_options.min_post_px > kSmallPost_m)
            coarse.push_back(scene.id);
    if (!coarse.empty() && !around.empty())
        unseen.push_back(
            {c.projection.lonlat_from_px(around), coarse,
             fmt::format("guard posts are not observable: one of {:g} m has fewer than {:g} "
                         "pixels across",
                         kSmallPost_m, c.structure_options.min_post_px)});
    // Scenes that hide the same objects share an entry.
    std::map<std::vector<int>, std::vector<std::string>> hidden_in;
    for (int i = 0; i < c.scene_count(); ++i) {
        std::vector<int> hidden;
        for (std::size_t k = 0; k < structures.size(); ++k) {
            const bool post = structures[k].structure.kind == "guard_post";
            const bool said =
                post && std::find(coarse.begin(), coarse.end(), c.scene(i).id) != coarse.end();
            if (!said && !c.look(i, static_cast<std::size_t>(structures[k].object)))
                hidden.push_back(static_cast<int>(k));
        }
        if (!hidden.empty()) hidden_in[hidden].push_back(c.scene(i).id);
    }
    for (const auto& [hidden, scenes] : hidden_in) {
        Ring corners;
        int posts = 0;
        for (const int k : hidden) {
            const TrackedStructure& s = structures[static_cast<std::size_t>(k)];
            const Detection& d = c.evidence.objects[static_cast<std::size_t>(s.object)];
            posts += s.structure.kind == "guard_post";
            corners.push_back(d.centre_px);
            corners.insert(corners.end(), d.footprint_px.begin(), d.footprint_px.end());
        }
        const Box box = box_of(corners, {}, 1);
        const Ring ring{box.low, {box.high.x, box.low.y}, box.high, {box.low.x, box.high.y}};
        unseen.push_back({c.projection.lonlat_from_px(ring), scenes,
                          fmt::format("{} of {} buildings and guard posts ({} posts) could not be "
                                      "seen: cloud, shadow, snow, "
                                      "outside the image or too coarse",
                                      hidden.size(), structures.size(), posts)});
    }
    return unseen;
}

}  // namespace

int independent_looks(std::span<const SceneInfo> scenes, std::span<const int> which,
                      const TrackOptions& options) {
    std::vector<int> chosen;
    const auto independent = [&](const SceneInfo& a, const SceneInfo& b) {
        if (a.datetime && b.datetime &&
            std::abs(a.datetime->days() - b.datetime->days()) >= options.independent_days)
            return true;
        if (!a.sun_azimuth_deg || !b.sun_azimuth_deg || !a.sun_elevation_deg ||
            !b.sun_elevation_deg)
            return false;
        constexpr double kRadians = std::numbers::pi / 180;
        const double ea = *a.sun_elevation_deg * kRadians, eb = *b.sun_elevation_deg * kRadians;
        const double cosine = std::sin(ea) * std::sin(eb) +
                              std::cos(ea) * std::cos(eb) *
                                  std::cos((*a.sun_azimuth_deg - *b.sun_azimuth_deg) * kRadians);
        return std::acos(std::clamp(cosine, -1.0, 1.0)) / kRadians >= options.independent_sun_deg;
    };
    for (const int i : which) {
        if (i < 0 || static_cast<std::size_t>(i) >= scenes.size()) continue;
        if (std::all_of(chosen.begin(), chosen.end(), [&](int j) {
                return independent(scenes[static_cast<std::size_t>(i)],
                                   scenes[static_cast<std::size_t>(j)]);
            }))
            chosen.push_back(i);
    }
    return static_cast<int>(chosen.size());
}

CourseEstimate estimate_course(std::span<const CourseLook> all_looks, double present_prior,
                               const TrackOptions& options) {
    std::vector<CourseLook> looks;
    for (CourseLook look : all_looks) {
        if (!std::isfinite(look.llr) || look.llr == 0) continue;
        look.llr = std::clamp(look.llr, -options.max_absence_llr, options.max_look_llr);
        looks.push_back(look);
    }
    CourseEstimate out;
    out.change_llr = kMinusInfinity;
    const std::size_t m = looks.size();
    if (m == 0) {
        out.change_llr = options.reject_llr;
        return out;
    }
    std::vector<double> llr(m), sum(m + 1, 0);  // sum[s]: looks before s
    for (std::size_t i = 0; i < m; ++i) llr[i] = looks[i].llr, sum[i + 1] = sum[i] + looks[i].llr;
    const auto any_start = [&](std::size_t from, std::size_t to, bool present) {
        for (std::size_t i = from; i < to; ++i)
            if (looks[i].may_start && (looks[i].llr > 0) == present) return true;
        return false;
    };

    // Likelihoods against "always absent" (0). Split s lies before look s.
    const double always_absent = 0, always_present = sum[m];
    std::vector<double> appeared(m, kMinusInfinity), disappeared(m, kMinusInfinity);
    const std::vector<double> log_prior = split_log_prior(looks);
    for (std::size_t s = 1; s < m; ++s) {
        if (any_start(s, m, true))
            appeared[s] = sum[m] - sum[s] + looks[s].appeared_llr + log_prior[s];
        if (any_start(s, m, false)) disappeared[s] = sum[s] + looks[s].gone_llr + log_prior[s];
    }
    std::vector<double> passing;
    double best_passing = kMinusInfinity;
    std::size_t passing_from = 0, passing_to = 0, pairs = 0;
    for (std::size_t s = 1; s < m; ++s)
        for (std::size_t e = s + 1; e < m; ++e) {
            ++pairs;
            // One look alone is a vehicle, not a structure that ended.
            // Nor has it ended because one look has missed it.
            long present = 0, absent = 0;
            for (std::size_t i = s; i < e; ++i) present += llr[i] > 0;
            for (std::size_t i = e; i < m; ++i) absent += llr[i] < 0;
            if (present < 2 || absent < 2 || !any_start(s, e, true) || !any_start(e, m, false))
                continue;
            // Nor because all of the last ones are faint: its going passes the test by itself.
            if (sum[e] - sum[m] + looks[e].gone_llr < options.confirm_llr) continue;
            passing.push_back(sum[e] - sum[s] + looks[s].appeared_llr + looks[e].gone_llr);
            if (passing.back() > best_passing)
                best_passing = passing.back(), passing_from = s, passing_to = e;
        }
    const double evidence_appeared = log_sum_exp(appeared);
    const double evidence_disappeared = log_sum_exp(disappeared);
    const double evidence_passing =
        pairs > 0 ? log_sum_exp(passing) - std::log(static_cast<double>(pairs)) : kMinusInfinity;
    const double rebuilt = m >= 3 ? best_with_switches(llr, true, 2) : kMinusInfinity;
    const double unsteady = m >= 4 ? best_with_switches(llr, false, 3) : kMinusInfinity;

    const double p = options.change_log_prior;
    // What stands where nothing could stand before is new: that is no rare event.
    const double new_p = present_prior < 0 ? 0 : p;

    const double steady = std::max(always_absent, always_present + present_prior);
    const double comes_and_goes = std::max(unsteady, rebuilt);
    // A second change is as rare as the first: what appeared has not gone again because of one
    // faint look.
    const double gone_again = evidence_passing + p;
    const double best_change = std::max({evidence_appeared, evidence_disappeared, gone_again});
    // One that comes and goes can imitate every single change and then fit the noise as well: it is
    // no fair opponent in the test, but when it explains the looks best the single change is not
    // the story.
    out.change_llr =
        best_change - (comes_and_goes > std::max(best_change, steady) ? comes_and_goes : steady);
    if (!std::isfinite(out.change_llr)) out.change_llr = options.reject_llr;

    const std::array exists{always_present + std::min(0.0, present_prior),
                            evidence_appeared + new_p, evidence_disappeared + p,
                            evidence_passing + new_p + p, rebuilt + p};
    const std::array is_not{always_absent, unsteady + p};
    out.existence_log_odds = log_sum_exp(exists) - log_sum_exp(is_not);

    // Was there a moment at which an appearance looked real? (at each look: best split so far
    // against no change)
    for (std::size_t t = 2; t <= m && !out.was_provisional; ++t) {
        double best = kMinusInfinity;
        for (std::size_t s = 1; s + 1 < t; ++s)
            if (llr[t - 1] > 0 && llr[t - 2] > 0) best = std::max(best, sum[t] - sum[s]);
        out.was_provisional = best - std::max(0.0, sum[t]) >= options.confirm_llr / 2;
    }

    if (out.change_llr > 0) {
        if (best_change == evidence_appeared)
            out.course = Course::appeared;
        else if (best_change == evidence_disappeared)
            out.course = Course::disappeared;
        else
            out.course = Course::appeared_and_disappeared;
    } else if (unsteady > std::max(steady, rebuilt)) {
        out.course = Course::unsteady;
    } else {
        out.course =
            steady == always_absent && rebuilt <= steady ? Course::absent : Course::present;
    }

    // Dates: the ends of the credible set of change points, moved outwards to looks that do show
    // the two states.
    std::size_t present_from = 0, present_to = m;  // most likely: looks that have the object
    const auto most_likely = [](std::span<const double> weight) {
        return static_cast<std::size_t>(std::max_element(weight.begin(), weight.end()) -
                                        weight.begin());
    };
    const auto date_appearance = [&](std::span<const double> weight) {
        auto [low, high] = credible_splits(weight);
        while (low > 1 && llr[low - 1] > 0) --low;
        while (high + 1 < m && (llr[high] <= 0 || !looks[high].may_start)) ++high;
        out.last_not_seen = looks[low - 1].scene;
        out.first_seen = looks[high].scene;
        present_from = most_likely(weight);
    };
    const auto date_disappearance = [&](std::span<const double> weight) {
        auto [low, high] = credible_splits(weight);
        while (low > 1 && llr[low - 1] <= 0) --low;
        while (high + 1 < m && (llr[high] > 0 || !looks[high].may_start)) ++high;
        out.last_seen = looks[low - 1].scene;
        out.first_not_seen = looks[high].scene;
        present_to = most_likely(weight);
    };
    switch (out.course) {
        case Course::appeared:
            date_appearance(appeared);
            break;
        case Course::disappeared:
            date_disappearance(disappeared);
            break;
        case Course::appeared_and_disappeared: {
            std::vector<double> starts(m, kMinusInfinity), ends(m, kMinusInfinity);
            for (std::size_t s = 1; s < passing_to; ++s)
                starts[s] = sum[passing_to] - sum[s] + looks[s].appeared_llr + log_prior[s];
            for (std::size_t e = passing_from + 1; e < m; ++e)
                ends[e] = sum[e] - sum[passing_from] + looks[e].gone_llr + log_prior[e];
            date_appearance(std::span(starts).first(passing_to));
            date_disappearance(ends);
            break;
        }
        default:
            break;
    }
    for (std::size_t i = 0; i < present_to; ++i) out.looks_with += i >= present_from && llr[i] > 0;
    for (std::size_t i = 0; i < m; ++i) {
        const bool believed = i >= present_from && i < present_to;
        if (out.first_seen < 0 && believed && llr[i] > 0) out.first_seen = looks[i].scene;
        if (out.course != Course::disappeared && out.course != Course::appeared_and_disappeared &&
            believed && llr[i] > 0)
            out.last_seen = looks[i].scene;
        const bool new_state = out.course == Course::disappeared ? i >= present_to && llr[i] < 0
                                                                 : believed && llr[i] > 0;
        if (new_state) out.supporting.push_back(looks[i].scene);
    }
    return out;
}

Tracks track(const SeriesEvidence& evidence, const Grid& grid,
             const StructureOptions& structure_options, const TrackOptions& options) {
    const Context c{evidence,   GridProjection(grid),
                    grid.gsd(), structure_options,
                    options,    log_ratios_of(evidence.objects, evidence.looks)};
    std::vector<TrackedPerimeterChange> perimeter_changes = track_perimeter(c);
    std::vector<TrackedStructure> structures;
    std::vector<Draft> drafts;
    track_structures(c, perimeter_changes, structures, drafts);
    for (auto& change : perimeter_changes) drafts.push_back(std::move(change.draft));

    // Ids: sorted by kind, then place (rows of the grid from the top, then columns).
    std::stable_sort(structures.begin(), structures.end(),
                     [](const TrackedStructure& a, const TrackedStructure& b) {
                         return std::tie(a.structure.kind, a.centre_px.y, a.centre_px.x) <
                                std::tie(b.structure.kind, b.centre_px.y, b.centre_px.x);
                     });
    track_ground(c, structures, drafts);
    std::stable_sort(drafts.begin(), drafts.end(), [](const Draft& a, const Draft& b) {
        return std::tuple(kind_rank(a.change.kind), a.centre_px.y, a.centre_px.x,
                          a.change.first_seen) < std::tuple(kind_rank(b.change.kind), b.centre_px.y,
                                                            b.centre_px.x, b.change.first_seen);
    });

    Tracks tracks;
    std::map<int, std::string> id_of_object;
    for (std::size_t i = 0; i < structures.size(); ++i) {
        structures[i].structure.id = fmt::format("structure-{:04}", i + 1);
        id_of_object[structures[i].object] = structures[i].structure.id;
    }
    for (std::size_t i = 0; i < drafts.size(); ++i) {
        ReportChange change = std::move(drafts[i].change);
        change.id = fmt::format("change-{:04}", i + 1);
        if (const auto found = id_of_object.find(drafts[i].object); found != id_of_object.end())
            change.structure = found->second;
        tracks.changes.push_back(std::move(change));
    }
    tracks.not_observable = list_unseen(c, structures);
    for (auto& s : structures) tracks.structures.push_back(std::move(s.structure));
    return tracks;
}

std::vector<ReportChange> changes_of_pair(const ChangeMap& map, const SceneInfo& before,
                                          const SceneInfo& after, const Grid& grid) {
    const GridProjection projection(grid);
    std::vector<std::pair<ReportChange, Point>> found;
    for (const ChangeObject& object : map.objects) {
        if (object.outline_px.size() < 3) continue;
        auto kind = ground_kind(object, grid.gsd());
        if (!kind) continue;
        if (*kind != "new_road") {
            if (object.change_class == ChangeClass::appeared) kind = "new_building";
            if (object.change_class == ChangeClass::disappeared) kind = "removed_building";
            if (object.change_class == ChangeClass::modified) kind = "modified_building";
        }
        ReportChange change;
        change.kind = *kind;
        change.state = "candidate";
        change.confidence = std::clamp(object.probability, 0.0, 1.0);
        change.footprint = projection.lonlat_from_px(object.outline_px);
        change.position = projection.lonlat_from_px(object.centre_px);
        change.area_m2 = measure_ring(change.footprint).area_m2;
        change.last_not_seen = before.datetime;
        change.first_seen = after.datetime_end ? after.datetime_end : after.datetime;
        change.observations.push_back({after.id, object.log_odds});
        found.emplace_back(std::move(change), object.centre_px);
    }
    std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
        return std::tuple(kind_rank(a.first.kind), a.second.y, a.second.x) <
               std::tuple(kind_rank(b.first.kind), b.second.y, b.second.x);
    });
    std::vector<ReportChange> changes;
    for (std::size_t i = 0; i < found.size(); ++i) {
        found[i].first.id = fmt::format("change-{:04}", i + 1);
        changes.push_back(std::move(found[i].first));
    }
    return changes;
}

}  // namespace fenceline
