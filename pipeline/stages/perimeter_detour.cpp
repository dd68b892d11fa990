#include "stages/perimeter_detour.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <queue>

namespace fenceline {
namespace {

struct Move {
    int dx, dy, direction;
    double length;
};

/// Eight neighbours and eight knight's moves, each with the plane of its direction.
std::array<Move, 16> all_moves() {
    std::array<Move, 16> moves{};
    const int steps[16][2] = {{1, 0},  {2, 1},  {1, 1},  {1, 2},   {0, 1},   {-1, 2},
                              {-1, 1}, {-2, 1}, {-1, 0}, {-2, -1}, {-1, -1}, {-1, -2},
                              {0, -1}, {1, -2}, {1, -1}, {2, -1}};
    for (int i = 0; i < 16; ++i) {
        auto& move = moves[static_cast<std::size_t>(i)];
        move = {steps[i][0], steps[i][1], i % kLineDirections,
                std::hypot(steps[i][0], steps[i][1])};
    }
    return moves;
}

constexpr double kFloor = 0.08;

/// What the fronts know of each pixel.
struct Fronts {
    int width = 0, height = 0;
    std::vector<float> cost, length;  ///< from the ring; length in pixels
    std::vector<float> area;          ///< half the sum of cross products along the way, pixels²
    std::vector<int> source;          ///< ring point where the front came from; -1: not reached
    std::vector<int> from;            ///< pixel before; -1 at the ring
    std::vector<std::uint8_t> inside;
    std::size_t at(int x, int y) const {
        return static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
               static_cast<std::size_t>(x);
    }
};

std::vector<std::uint8_t> inside_ring(const std::vector<Point>& ring, int width, int height) {
    std::vector<std::uint8_t> inside(
        static_cast<std::size_t>(width) * static_cast<std::size_t>(height), 0);
    std::vector<double> crossings;
    for (int y = 0; y < height; ++y) {
        crossings.clear();
        const double yc = y + 0.5;
        for (std::size_t i = 0; i < ring.size(); ++i) {
            const Point a = ring[i], b = ring[(i + 1) % ring.size()];
            if ((a.y <= yc) != (b.y <= yc))
                crossings.push_back(a.x + (yc - a.y) / (b.y - a.y) * (b.x - a.x));
        }
        std::sort(crossings.begin(), crossings.end());
        for (std::size_t k = 0; k + 1 < crossings.size(); k += 2) {
            const int from = std::max(0, static_cast<int>(std::ceil(crossings[k] - 0.5))),
                      to =
                          std::min(width - 1, static_cast<int>(std::floor(crossings[k + 1] - 0.5)));
            for (int x = from; x <= to; ++x)
                inside[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                       static_cast<std::size_t>(x)] = 1;
        }
    }
    return inside;
}

Fronts run_fronts(const GainField& field, const std::vector<Point>& ring, double max_distance) {
    Fronts f;
    f.width = field.gain.front().width();
    f.height = field.gain.front().height();
    const auto count = static_cast<std::size_t>(f.width) * static_cast<std::size_t>(f.height);
    f.cost.assign(count, std::numeric_limits<float>::infinity());
    f.length.assign(count, 0);
    f.area.assign(count, 0);
    f.source.assign(count, -1);
    f.from.assign(count, -1);
    f.inside = inside_ring(ring, f.width, f.height);

    struct Entry {
        float cost;
        int pixel;
        bool operator>(const Entry& other) const {
            return cost != other.cost ? cost > other.cost : pixel > other.pixel;
        }
    };
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> open;
    for (int i = 0; i < static_cast<int>(ring.size()); ++i) {
        const Point p = ring[static_cast<std::size_t>(i)];
        const int x = static_cast<int>(std::floor(p.x)), y = static_cast<int>(std::floor(p.y));
        for (int v = y - 1; v <= y + 1; ++v)
            for (int u = x - 1; u <= x + 1; ++u) {
                if (u < 0 || v < 0 || u >= f.width || v >= f.height) continue;
                const std::size_t k = f.at(u, v);
                const Point q{u + 0.5, v + 0.5};
                const auto gap = static_cast<float>(distance(p, q));
                if (f.source[k] >= 0 && f.length[k] <= gap) continue;
                f.source[k] = i;
                f.length[k] = gap;
                f.cost[k] = 0;
                f.area[k] = static_cast<float>(cross(p, q) / 2);
            }
    }
    for (std::size_t k = 0; k < count; ++k)
        if (f.source[k] >= 0) open.push({0, static_cast<int>(k)});
    static const std::array<Move, 16> moves = all_moves();
    std::vector<std::uint8_t> done(count, 0);
    while (!open.empty()) {
        const Entry entry = open.top();
        open.pop();
        const auto k = static_cast<std::size_t>(entry.pixel);
        if (done[k] != 0 || entry.cost > f.cost[k]) continue;
        done[k] = 1;
        const int x = entry.pixel % f.width, y = entry.pixel / f.width;
        // The way out may wind, but the place stays within reach of the ring.
        if (distance(Point{x + 0.5, y + 0.5}, ring[static_cast<std::size_t>(f.source[k])]) >
            2 * max_distance)
            continue;
        for (const Move& move : moves) {
            const int u = x + move.dx, v = y + move.dy;
            if (u < 0 || v < 0 || u >= f.width || v >= f.height) continue;
            const std::size_t q = f.at(u, v);
            if (done[q] != 0 || f.inside[q] != f.inside[k]) continue;
            const Plane& gain = field.gain[static_cast<std::size_t>(move.direction)];
            const double mean =
                0.5 * (static_cast<double>(gain.at(x, y)) + static_cast<double>(gain.at(u, v)));
            const auto cost =
                static_cast<float>(static_cast<double>(f.cost[k]) + move.length / (kFloor + mean));
            if (cost >= f.cost[q]) continue;
            f.cost[q] = cost;
            f.length[q] = f.length[k] + static_cast<float>(move.length);
            f.area[q] =
                f.area[k] +
                static_cast<float>(cross(Point{x + 0.5, y + 0.5}, Point{u + 0.5, v + 0.5}) / 2);
            f.source[q] = f.source[k];
            f.from[q] = entry.pixel;
            open.push({cost, static_cast<int>(q)});
        }
    }
    return f;
}

}  // namespace

std::vector<Detour> find_detours(const GainField& field, const Centreline& ring, double gsd_m,
                                 double min_area_m2, double max_area_m2, double max_distance_m,
                                 int most) {
    std::vector<Detour> out;
    if (field.gain.size() != kLineDirections || ring.points_px.size() < 3) return out;
    const double pixel_m = field.step * gsd_m;
    // Everything in the field's own pixels about its middle (small numbers: areas are sums of float
    // products).
    std::vector<Point> points;
    for (const Point p : ring.points_px)
        points.push_back((1.0 / field.step) * (p - field.origin_px));
    const Fronts f = run_fronts(field, points, max_distance_m / pixel_m);
    const int count = static_cast<int>(points.size());
    std::vector<double> swept(points.size() + 1, 0.0);
    for (std::size_t i = 0; i < points.size(); ++i)
        swept[i + 1] = swept[i] + cross(points[i], points[(i + 1) % points.size()]) / 2;

    std::vector<float> typical;
    for (std::size_t k = 0; k < f.cost.size(); k += 7)
        if (f.source[k] >= 0 && f.length[k] * pixel_m > 100)
            typical.push_back(f.length[k] / f.cost[k]);
    const double background = static_cast<double>(median_of(typical)) - kFloor;

    const auto point_of = [&](std::size_t k) {
        return Point{static_cast<double>(k % static_cast<std::size_t>(f.width)) + 0.5,
                     static_cast<double>(k / static_cast<std::size_t>(f.width)) + 0.5};
    };
    struct Meeting {
        double score;
        std::size_t a, b;
    };
    std::vector<Meeting> meetings;
    for (int y = 0; y < f.height; ++y)
        for (int x = 0; x < f.width; ++x)
            for (const auto& [dx, dy] : {std::pair{1, 0}, std::pair{0, 1}}) {
                if (x + dx >= f.width || y + dy >= f.height) continue;
                std::size_t a = f.at(x, y), b = f.at(x + dx, y + dy);
                if (f.source[a] > f.source[b])
                    std::swap(a, b);  // the arithmetic below walks from a to b
                if (f.source[a] < 0 || f.source[b] < 0 || f.source[a] == f.source[b] ||
                    f.inside[a] != f.inside[b])
                    continue;
                if (!std::isfinite(f.cost[a]) || !std::isfinite(f.cost[b])) continue;
                const double path = static_cast<double>(f.area[a]) +
                                    cross(point_of(a), point_of(b)) / 2 -
                                    static_cast<double>(f.area[b]);
                const double arc = swept[static_cast<std::size_t>(f.source[b])] -
                                   swept[static_cast<std::size_t>(f.source[a])];
                const double closed = path - arc;
                const double area =
                    std::min(std::abs(closed), std::abs(closed + swept.back())) * pixel_m * pixel_m;
                if (area < min_area_m2 || area > max_area_m2) continue;
                const double length = static_cast<double>(f.length[a] + f.length[b]) + 1,
                             cost = static_cast<double>(f.cost[a] + f.cost[b]) + 1 / (kFloor + 0.5);
                const double score = length * pixel_m * (length / cost - kFloor - background);
                if (score > 0) meetings.push_back({score, a, b});
            }
    std::sort(meetings.begin(), meetings.end(), [](const Meeting& p, const Meeting& q) {
        return p.score != q.score ? p.score > q.score : p.a != q.a ? p.a < q.a : p.b < q.b;
    });

    // Which stretch of the ring a detour replaces: the one with which it encloses the smaller area.
    std::array<std::vector<std::uint8_t>, 2> used{std::vector<std::uint8_t>(points.size(), 0),
                                                  std::vector<std::uint8_t>(points.size(), 0)};
    for (const Meeting& m : meetings) {
        if (static_cast<int>(out.size()) >= most) break;
        const double path = static_cast<double>(f.area[m.a]) +
                            cross(point_of(m.a), point_of(m.b)) / 2 -
                            static_cast<double>(f.area[m.b]);
        const double closed = path - (swept[static_cast<std::size_t>(f.source[m.b])] -
                                      swept[static_cast<std::size_t>(f.source[m.a])]);
        // closed: back along the ring from b's source to a's; otherwise on through the wrap. Source
        // a comes before b.
        const bool backwards = std::abs(closed) <= std::abs(closed + swept.back());
        std::size_t first = m.a, last = m.b;
        if (!backwards) std::swap(first, last);
        // Now the replaced stretch runs from first's source forwards to last's.
        Detour detour;
        detour.leaves = f.source[first];
        detour.returns = f.source[last];
        detour.outside = f.inside[m.a] == 0;
        auto& side = used[detour.outside ? 0 : 1];
        const int stretch = ((detour.returns - detour.leaves) % count + count) % count;
        int overlap = 0;
        for (int i = 0; i <= stretch; ++i)
            overlap += side[static_cast<std::size_t>((detour.leaves + i) % count)];
        if (overlap * 5 > stretch + 1) continue;
        for (int i = 0; i <= stretch; ++i)
            side[static_cast<std::size_t>((detour.leaves + i) % count)] = 1;
        Polyline head, tail;
        for (int k = static_cast<int>(first); k >= 0; k = f.from[static_cast<std::size_t>(k)])
            head.push_back(point_of(static_cast<std::size_t>(k)));
        for (int k = static_cast<int>(last); k >= 0; k = f.from[static_cast<std::size_t>(k)])
            tail.push_back(point_of(static_cast<std::size_t>(k)));
        std::reverse(head.begin(), head.end());
        head.insert(head.end(), tail.begin(), tail.end());
        detour.path_px.push_back(ring.points_px[static_cast<std::size_t>(detour.leaves)]);
        for (const Point p : head) detour.path_px.push_back(field.origin_px + field.step * p);
        detour.path_px.push_back(ring.points_px[static_cast<std::size_t>(detour.returns)]);
        detour.score = m.score;
        const double length = static_cast<double>(f.length[m.a] + f.length[m.b]) + 1,
                     cost = static_cast<double>(f.cost[m.a] + f.cost[m.b]) + 1 / (kFloor + 0.5);
        detour.mean_gain = length / cost - kFloor;
        detour.background_gain = background;
        out.push_back(std::move(detour));
    }
    return out;
}

}  // namespace fenceline
