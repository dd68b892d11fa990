#include "stages/perimeter_bypass.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "stages/perimeter_detour.h"

namespace fenceline {
namespace {

/// Set on tune seeds (camp25 121, 125, 126, 128, contraction 106, small_prison 101): true parts
/// that were cut across gain .8 to 2.4, other ways -2 to .4.
constexpr double kWeakZ = 1.7;      ///< a stretch with less support may be a cut
constexpr double kWeakRise = 1.0;   ///< the same where it must have come
constexpr double kLeastZ = 0.8;     ///< support of a way that takes its place, and
constexpr double kLeastGain = 0.5;  ///< how much more than the stretch's own it is
constexpr double kLeastHint = 0.2;  ///< the same by the coarser evidence of the search
constexpr int kLeastLooks = 3;      ///< that must see it: a look or two have lines by chance
constexpr double kReachUnits = 90, kLongestUnits = 350;

/// Mean support along a straight stretch: of what came, where there are looks before.
double support_between(const Series& series, const LooksAtLine& looks, Point from, Point to) {
    const double after = support_along(series, looks.after, from, to);
    return looks.before.empty()
               ? after
               : after - std::max(0.0, support_along(series, looks.before, from, to));
}

/// Mean support along a line, in steps of 4 U.
double support_of(const Series& series, const LooksAtLine& looks, const Polyline& line) {
    const Polyline points = resample_line(line, 4 * series.unit_m / series.gsd_m);
    double sum = 0, length = 0;
    for (std::size_t i = 0; i + 1 < points.size(); ++i) {
        const double step = distance(points[i], points[i + 1]);
        sum += step * support_between(series, looks, points[i], points[i + 1]);
        length += step;
    }
    return length > 0 ? sum / length : 0.0;
}

/// A way placed on the line beside it, with what the looks show along it.
struct Placed {
    Polyline path_px;
    double weakest = 0;  ///< lower quartile over its columns of the mean support, in z
    int looks = 0;       ///< that see most of it
};

Placed placed(const Series& series, const LooksAtLine& looks, const Polyline& way, double reach_m) {
    Placed out;
    out.path_px = way;
    for (const double reach : {reach_m, 3 * series.unit_m}) {
        const Ribbon ribbon =
            make_ribbon(series, centreline_of_path(out.path_px, series.gsd_m, series.unit_m), reach,
                        looks.after);
        const std::vector<int> rows = trace(series, ribbon, looks.after, reach);
        out.path_px = path_at(series, ribbon, rows);
        const Plane z = mean_support(ribbon, looks.after), was = mean_support(ribbon, looks.before);
        std::vector<float> along;
        for (std::size_t x = 0; x < rows.size(); ++x)
            along.push_back(z.at(static_cast<int>(x), rows[x]) -
                            std::max(0.0F, was.at(static_cast<int>(x), rows[x])));
        const auto quarter = along.begin() + static_cast<std::ptrdiff_t>(along.size() / 4);
        std::nth_element(along.begin(), quarter, along.end());
        out.weakest = along.empty() ? 0.0 : static_cast<double>(*quarter);
        out.looks = 0;
        for (const int i : looks.after) {
            const Mask& seen = ribbon.support[static_cast<std::size_t>(i)].seen;
            int columns = 0;
            for (std::size_t x = 0; x < rows.size(); ++x)
                columns += seen.contains(static_cast<int>(x), rows[x]) &&
                                   seen.at(static_cast<int>(x), rows[x]) != 0
                               ? 1
                               : 0;
            out.looks += 4 * columns >= 3 * static_cast<int>(rows.size()) ? 1 : 0;
        }
    }
    out.path_px.front() = way.front();
    out.path_px.back() = way.back();
    return out;
}

/// A part of the scene with what the looks show of lines in it, 0…1 per direction.
struct Surroundings {
    int width = 0, height = 0;
    Point origin_px;
    double step_px = 1;
    std::vector<Plane> gain;
    std::vector<std::uint8_t> blocked;

    std::size_t at(int x, int y) const {
        return static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
               static_cast<std::size_t>(x);
    }
    std::pair<int, int> pixel(Point p) const {
        return {static_cast<int>(std::floor((p.x - origin_px.x) / step_px)),
                static_cast<int>(std::floor((p.y - origin_px.y) / step_px))};
    }
    bool contains(int x, int y) const { return x >= 0 && y >= 0 && x < width && y < height; }
};

Surroundings surroundings_of(const Series& series, const LooksAtLine& looks,
                             std::span<const Point> stretch) {
    constexpr double kUsual = 0.3;  // what any place shows
    Surroundings place;
    int step = 1;
    for (const int i : looks.after)
        step = std::max(step, series.evidence[static_cast<std::size_t>(i)].search_step_px);
    place.step_px = step;
    double x0 = 1e300, y0 = 1e300, x1 = -1e300, y1 = -1e300;
    for (const Point p : stretch)
        x0 = std::min(x0, p.x), y0 = std::min(y0, p.y), x1 = std::max(x1, p.x),
        y1 = std::max(y1, p.y);
    const double reach = kReachUnits * series.unit_m / series.gsd_m;
    const int left = static_cast<int>(std::max(0.0, x0 - reach) / step),
              top = static_cast<int>(std::max(0.0, y0 - reach) / step);
    place.origin_px = {static_cast<double>(left) * step, static_cast<double>(top) * step};
    place.width = static_cast<int>(std::min<double>(series.grid.width, x1 + reach) / step) - left;
    place.height = static_cast<int>(std::min<double>(series.grid.height, y1 + reach) / step) - top;
    if (place.width <= 0 || place.height <= 0) return place;
    place.blocked.assign(
        static_cast<std::size_t>(place.width) * static_cast<std::size_t>(place.height), 0);
    for (int k = 0; k < kLineDirections; ++k) {
        Plane& gain = place.gain.emplace_back(place.width, place.height);
        for (int y = 0; y < place.height; ++y)
            for (int x = 0; x < place.width; ++x) {
                const auto mean = [&](std::span<const int> scenes) {
                    double sum = 0;
                    int count = 0;
                    for (const int i : scenes) {
                        const LineEvidence& e = series.evidence[static_cast<std::size_t>(i)];
                        const auto& plane = series.directional(i, k);
                        const int u = (left + x) * step / e.search_step_px,
                                  v = (top + y) * step / e.search_step_px;
                        if (!plane.contains(u, v) || plane.at(u, v) == 255) continue;
                        sum += plane.at(u, v) / 50.0 - 1;
                        ++count;
                    }
                    return count > 0 ? sum / count : 0.0;
                };
                const double share = std::clamp(
                    (mean(looks.after) - std::max(0.0, mean(looks.before))) / 3, 0.0, 1.0);
                gain.at(x, y) = static_cast<float>(std::max(0.0, share - kUsual) / (1 - kUsual));
            }
    }
    return place;
}

/// The cheapest way from one place to another; empty when there is none.
Polyline way_between(const Surroundings& place, Point from_px, Point to_px) {
    const auto [fx, fy] = place.pixel(from_px);
    const auto [tx, ty] = place.pixel(to_px);
    if (!place.contains(fx, fy) || !place.contains(tx, ty)) return {};
    Polyline way;
    for (const int pixel :
         cheapest_way(place.gain, place.blocked, static_cast<int>(place.at(fx, fy)),
                      static_cast<int>(place.at(tx, ty)))) {
        const int x = pixel % place.width, y = pixel / place.width;
        way.push_back(place.origin_px + place.step_px * Point{x + 0.5, y + 0.5});
    }
    if (way.empty()) return way;
    way.front() = from_px;
    way.back() = to_px;
    return way;
}

/// A ring's points a unit apart; any number stands for one of them, with wrap.
struct RingPoints {
    Ring points;
    int count() const { return static_cast<int>(points.size()); }
    Point operator[](int i) const {
        return points[static_cast<std::size_t>(((i % count()) + count()) % count())];
    }
};

/// Points from … to of a ring, both included, with wrap.
struct RingStretch {
    int from = 0, to = 0;
};

/// Stretches that show little of a line, with ten units on either side; those that are too long to
/// be a cut are left out. In order, disjoint.
std::vector<RingStretch> weak_stretches(const Series& series, const LooksAtLine& looks,
                                        const RingPoints& ring) {
    constexpr int kHalf = 5, kAside = 10, kApart = 8;  // points
    const int count = ring.count();
    std::vector<std::uint8_t> weak(ring.points.size(), 0);
    for (int i = 0; i < count; ++i)
        weak[static_cast<std::size_t>(i)] =
            !looks.is_old(ring[i]) &&
                    support_between(series, looks, ring[i - kHalf], ring[i + kHalf]) <
                        (looks.before.empty() ? kWeakZ : kWeakRise)
                ? 1
                : 0;
    const auto is_weak = [&](int i) { return weak[static_cast<std::size_t>(i % count)] != 0; };
    int begin = 0;  // behind a stretch that is no cut
    for (int clear = 0; begin < count && clear <= kApart; ++begin)
        clear = is_weak(begin) ? 0 : clear + 1;
    std::vector<RingStretch> out;
    for (int i = begin; i < begin + count; ++i) {
        if (!is_weak(i)) continue;
        int last = i;
        for (int k = i; k < begin + count && k - last <= kApart; ++k)
            if (is_weak(k)) last = k;
        const RingStretch stretch{i - kAside, last + kAside};
        i = last;
        const bool at_old = looks.is_old(ring[stretch.from]) || looks.is_old(ring[stretch.to]);
        const bool overlaps = !out.empty() && (stretch.from <= out.back().to ||
                                               stretch.to >= out.front().from + count);
        if (stretch.to - stretch.from <= kLongestUnits && !at_old && !overlaps)
            out.push_back(stretch);
    }
    return out;
}

/// What passes a stretch by, if anything does that shows clearly more of a line.
std::optional<Polyline> bypassed_part(const Series& series, const LooksAtLine& looks,
                                      const RingPoints& ring, const RingStretch& stretch) {
    Polyline own;
    for (int k = stretch.from; k <= stretch.to; ++k) own.push_back(ring[k]);
    Surroundings place = surroundings_of(series, looks, own);
    if (place.gain.empty()) return std::nullopt;
    // Whoever drew the known line saw the wall: what lies at it leaves it for no edge elsewhere.
    if (std::all_of(own.begin(), own.end(), [&](Point p) { return looks.is_near_known(p); }))
        for (int y = 0; y < place.height; ++y)
            for (int x = 0; x < place.width; ++x)
                if (!looks.is_near_known(place.origin_px + place.step_px * Point{x + 0.5, y + 0.5}))
                    place.blocked[place.at(x, y)] = 1;
    // Other parts of the ring are not walked along, nor crossed.
    const double free_px = 2 * place.step_px;
    for (int k = stretch.to + 1; k < stretch.from + ring.count(); ++k) {
        const auto [x, y] = place.pixel(ring[k]);
        if (place.contains(x, y) && distance(ring[k], own.front()) > free_px &&
            distance(ring[k], own.back()) > free_px)
            place.blocked[place.at(x, y)] = 1;
    }
    const Polyline way = way_between(place, own.front(), own.back());
    // Coarsely first: a way that gains nothing there is not looked at closely.
    if (way.size() < 3 ||
        support_of(series, looks, way) < support_of(series, looks, own) + kLeastHint)
        return std::nullopt;
    Placed found = placed(series, looks, way, 8 * series.unit_m);
    if (found.looks < kLeastLooks || found.weakest < kLeastZ ||
        found.weakest < placed(series, looks, own, 3 * series.unit_m).weakest + kLeastGain)
        return std::nullopt;
    return std::move(found.path_px);
}

}  // namespace

Ring with_bypassed_parts(const Series& series, const LooksAtLine& looks, const Ring& ring_px) {
    constexpr int kLeastPoints = 60;
    const RingPoints ring{resample_ring(ring_px, series.unit_m / series.gsd_m)};
    if (ring.count() < kLeastPoints || looks.after.empty()) return ring_px;
    struct Way {
        RingStretch instead_of;
        Polyline path;
    };
    std::vector<Way> ways;
    for (const RingStretch& stretch : weak_stretches(series, looks, ring))
        if (auto path = bypassed_part(series, looks, ring, stretch))
            ways.push_back({stretch, std::move(*path)});
    if (ways.empty()) return ring_px;
    Ring out;
    int next = ways.front().instead_of.from - 1;
    for (const Way& way : ways) {
        for (int k = next + 1; k < way.instead_of.from; ++k) out.push_back(ring[k]);
        out.insert(out.end(), way.path.begin(), way.path.end());
        next = way.instead_of.to;
    }
    for (int k = next + 1; k < ways.front().instead_of.from + ring.count(); ++k)
        out.push_back(ring[k]);
    return out;
}

}  // namespace fenceline
