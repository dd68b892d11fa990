#include "stages/perimeter_corners.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

namespace fenceline {
namespace {

constexpr double kShortSide = 25, kLongestLoop = 120;  // U

struct Side {
    Point from, to;            ///< where the trace bends
    Point through{}, along{};  ///< fitted; along: unit vector, in the ring's order
    bool fits = false;
};

/// Total least squares: the main axis of points [from, to) of a closed line.
void fit(Side& side, const Ring& points, std::size_t from, std::size_t to) {
    const auto count = static_cast<double>(to - from);
    Point mean{};
    for (std::size_t i = from; i < to; ++i) mean = mean + points[i % points.size()];
    mean = (1 / count) * mean;
    double xx = 0, xy = 0, yy = 0;
    for (std::size_t i = from; i < to; ++i) {
        const Point d = points[i % points.size()] - mean;
        xx += d.x * d.x, xy += d.x * d.y, yy += d.y * d.y;
    }
    const double angle = 0.5 * std::atan2(2 * xy, xx - yy);
    side.through = mean;
    side.along = {std::cos(angle), std::sin(angle)};
    if (dot(side.along, side.to - side.from) < 0) side.along = -1 * side.along;
    side.fits = xx + yy > 0;
}

std::optional<Point> crossing(const Side& a, const Side& b) {
    constexpr double kLeastSine = 0.34;  // 20°
    if (!a.fits || !b.fits) return std::nullopt;
    const double sine = cross(a.along, b.along);
    if (std::abs(sine) < kLeastSine) return std::nullopt;
    return a.through + (cross(b.through - a.through, b.along) / sine) * a.along;
}

/// The ring's sides: from bend to bend, with the lines that they follow.
std::vector<Side> sides_of(const Ring& ring_px, double unit_px) {
    const Ring bends = simplify_ring(ring_px, 1.5 * unit_px);
    if (bends.size() < 4) return {};
    const Ring points = resample_ring(ring_px, unit_px / 2);
    const std::size_t count = points.size();
    std::vector<std::size_t> at;  // the bends' places among the points
    for (const Point bend : bends) {
        std::size_t best = 0;
        double least = std::numeric_limits<double>::infinity();
        for (std::size_t i = 0; i < count; ++i)
            if (const double gap = distance(points[i], bend); gap < least) least = gap, best = i;
        at.push_back(best);
    }
    std::sort(at.begin(), at.end());
    at.erase(std::unique(at.begin(), at.end()), at.end());
    if (at.size() < 4) return {};
    constexpr std::size_t kRounded = 6, kLeastPoints = 12;
    std::vector<Side> sides;
    for (std::size_t s = 0; s < at.size(); ++s) {
        const std::size_t from = at[s], to = s + 1 < at.size() ? at[s + 1] : at[0] + count;
        Side side{points[from], points[to % count]};
        if (to - from >= kLeastPoints + 2 * kRounded)
            fit(side, points, from + kRounded, to - kRounded);
        sides.push_back(side);
    }
    return sides;
}

/// Short sides between two others that may give way to the tip where those meet. Lengths in U.
struct TipRule {
    double longest;        ///< of all the short sides together
    double reach;          ///< of the tip from the nearest of their ends
    bool must_be_clearer;  ///< the ways to the tip must show more of a line than the short sides
};
/// What smoothing makes of a corner: too short for the evidence to say anything else.
constexpr TipRule kRounded{15, 8, false};
constexpr TipRule kCutOff{30, 20, true};

struct Tip {
    Point place;
    std::size_t first = 0, between = 0;  ///< the side before it, and how many after that give way
    double gain = 0;
};
std::optional<Tip> tip_beyond(const std::vector<Side>& sides, std::size_t first,
                              std::size_t between, const TipRule& rule, double unit_px,
                              const SupportAlong& support) {
    const std::size_t count = sides.size();
    const Side &before = sides[first], &after = sides[(first + between + 1) % count];
    const std::optional<Point> tip = crossing(before, after);
    if (!tip || dot(*tip - before.to, before.along) < -2 * unit_px ||
        dot(after.from - *tip, after.along) < -2 * unit_px)
        return std::nullopt;
    double length = 0, seen = 0, nearest = std::numeric_limits<double>::infinity();
    for (std::size_t k = 1; k <= between; ++k) {
        const Side& side = sides[(first + k) % count];
        const double part = distance(side.from, side.to);
        if (part > kShortSide * unit_px) return std::nullopt;
        length += part;
        if (rule.must_be_clearer) seen += part * support(side.from, side.to);
        nearest = std::min({nearest, distance(*tip, side.from), distance(*tip, side.to)});
    }
    const double there = distance(before.to, *tip), back = distance(*tip, after.from);
    if (length > rule.longest * unit_px || nearest > rule.reach * unit_px || there + back <= 0)
        return std::nullopt;
    if (!rule.must_be_clearer) return Tip{*tip, first, between, -nearest};
    const double tip_seen =
        (there * support(before.to, *tip) + back * support(*tip, after.from)) / (there + back);
    if (!(tip_seen > seen / length)) return std::nullopt;
    return Tip{*tip, first, between, tip_seen - seen / length};
}

/// The sides with tips in the place of short ones, the clearest first; no side gives way twice.
std::vector<Side> with_tips(const std::vector<Side>& sides, const TipRule& rule, double unit_px,
                            const SupportAlong& support) {
    const std::size_t count = sides.size();
    std::vector<Tip> tips;
    for (std::size_t s = 0; s < count; ++s)
        for (std::size_t between = 1; between <= 3 && between + 3 < count; ++between)
            if (const auto tip = tip_beyond(sides, s, between, rule, unit_px, support))
                tips.push_back(*tip);
    std::stable_sort(tips.begin(), tips.end(),
                     [](const Tip& a, const Tip& b) { return a.gain > b.gain; });
    std::vector<std::uint8_t> gone(count, 0), kept(count, 0), ends(count, 0);
    std::vector<Side> out = sides;
    for (const Tip& tip : tips) {
        const std::size_t last = (tip.first + tip.between + 1) % count;
        bool free = gone[tip.first] == 0 && gone[last] == 0 && ends[tip.first] == 0;
        for (std::size_t k = 1; k <= tip.between; ++k)
            free = free && gone[(tip.first + k) % count] == 0 && kept[(tip.first + k) % count] == 0;
        if (!free) continue;
        for (std::size_t k = 1; k <= tip.between; ++k) gone[(tip.first + k) % count] = 1;
        kept[tip.first] = kept[last] = ends[tip.first] = 1;
        out[tip.first].to = out[last].from = tip.place;
    }
    std::vector<Side> left;
    for (std::size_t s = 0; s < count; ++s)
        if (gone[s] == 0) left.push_back(out[s]);
    return left;
}

/// Loops cut off where the ring crosses itself, up to a length.
Ring without_loops(Ring ring, double most) {
    const auto crossing_of = [](Point a, Point b, Point c, Point d) -> std::optional<Point> {
        const double span = cross(b - a, d - c);
        if (span == 0) return std::nullopt;
        const double t = cross(c - a, d - c) / span, u = cross(c - a, b - a) / span;
        if (t < 0 || t > 1 || u < 0 || u > 1) return std::nullopt;
        return a + t * (b - a);
    };
    for (std::size_t i = 0; i < ring.size(); ++i) {
        const std::size_t count = ring.size();
        double length = 0;
        for (std::size_t k = 2; k + 1 < count; ++k) {  // sides i and i + k
            length += distance(ring[(i + k - 1) % count], ring[(i + k) % count]);
            if (length > most || count < k + 4) break;
            const auto place = crossing_of(ring[i], ring[(i + 1) % count], ring[(i + k) % count],
                                           ring[(i + k + 1) % count]);
            if (!place) continue;
            Ring fewer{*place};
            for (std::size_t n = i + k + 1; n <= i + count; ++n) fewer.push_back(ring[n % count]);
            return without_loops(std::move(fewer), most);
        }
    }
    return ring;
}

}  // namespace

Ring with_corners(const Ring& ring_px, double unit_px, const SupportAlong& support) {
    std::vector<Side> sides = sides_of(ring_px, unit_px);
    if (sides.size() < 4) return ring_px;
    for (const TipRule& rule : {kRounded, kCutOff})
        sides = with_tips(sides, rule, unit_px, support);
    Ring out;
    for (std::size_t s = 0; s < sides.size(); ++s) {
        const Side& next = sides[(s + 1) % sides.size()];
        const std::optional<Point> corner = crossing(sides[s], next);
        out.push_back(corner && distance(*corner, next.from) <= 5 * unit_px ? *corner : next.from);
    }
    return without_loops(std::move(out), kLongestLoop * unit_px);
}

}  // namespace fenceline
