#include "stages/perimeter_detour.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <queue>
#include <span>

#include "core/parallel.h"

namespace fenceline {
namespace {

/// Places where detours may begin, per side of the ring.
constexpr int kMostExits = 10;

/// What a front knows of each pixel that it reached.
struct Front {
    int width = 0, height = 0;
    std::vector<float> cost, length;  ///< from the seeds; length in pixels
    std::vector<float> gained;        ///< sum of gain times length
    std::vector<float> area;          ///< half the sum of cross products along the way, pixels²
    std::vector<int> source;          ///< ring point where the front came from; -1: not reached
    std::vector<int> from;            ///< pixel before; -1 at the ring
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

/// The field made ready for paths: what any place shows is taken off, and what lies on the ring
/// itself is no news.
struct Ground {
    int width = 0, height = 0;
    std::vector<Plane> gain;
    std::vector<std::uint8_t> inside;  ///< of the ring
};

Ground prepare_ground(const GainField& field, const std::vector<Point>& ring, double ring_px,
                      bool fine) {
    Ground ground;
    ground.width = field.gain.front().width();
    ground.height = field.gain.front().height();
    ground.inside = inside_ring(ring, ground.width, ground.height);
    if (!fine) {
        ground.gain = field.gain;
        return ground;
    }
    std::vector<float> strongest;
    for (int y = 0; y < ground.height; y += 2)
        for (int x = 0; x < ground.width; x += 2) {
            float most = 0;
            for (const Plane& gain : field.gain) most = std::max(most, gain.at(x, y));
            strongest.push_back(most);
        }
    const float usual = std::min(0.5F, median_of(strongest)), scale = 1 / (1 - usual);
    Mask near_ring(ground.width, ground.height);
    const int reach = static_cast<int>(std::ceil(ring_px));
    for (const Point p : ring)
        for (int y = static_cast<int>(std::floor(p.y)) - reach;
             y <= static_cast<int>(std::floor(p.y)) + reach; ++y)
            for (int x = static_cast<int>(std::floor(p.x)) - reach;
                 x <= static_cast<int>(std::floor(p.x)) + reach; ++x)
                if (near_ring.contains(x, y) && distance(p, Point{x + 0.5, y + 0.5}) <= ring_px)
                    near_ring.at(x, y) = 1;
    for (const Plane& gain : field.gain) {
        Plane& out = ground.gain.emplace_back(ground.width, ground.height);
        for (int y = 0; y < ground.height; ++y)
            for (int x = 0; x < ground.width; ++x)
                out.at(x, y) =
                    near_ring.at(x, y) != 0 ? 0.0F : std::max(0.0F, gain.at(x, y) - usual) * scale;
    }
    return ground;
}

/// Cheapest paths (cost 1/(kLineCostFloor + gain) per pixel) from some of the ring's points to
/// everywhere within reach. side: 0 outside the ring, 1 inside, -1 both; paths never cross the
/// ring. squared: so is the cost, and a long way along a line beats a short one across open ground
/// more clearly.
Front run_front(const Ground& ground, const std::vector<Point>& ring, std::span<const int> seeds,
                int side, double max_distance, bool squared = false) {
    Front f;
    f.width = ground.width;
    f.height = ground.height;
    const auto count = static_cast<std::size_t>(f.width) * static_cast<std::size_t>(f.height);
    f.cost.assign(count, std::numeric_limits<float>::infinity());
    f.length.assign(count, 0);
    f.gained.assign(count, 0);
    f.area.assign(count, 0);
    f.source.assign(count, -1);
    f.from.assign(count, -1);

    struct Entry {
        float cost;
        int pixel;
        bool operator>(const Entry& other) const {
            return cost != other.cost ? cost > other.cost : pixel > other.pixel;
        }
    };
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> open;
    std::vector<std::size_t> begun;
    for (const int i : seeds) {
        const Point p = ring[static_cast<std::size_t>(i)];
        const int x = static_cast<int>(std::floor(p.x)), y = static_cast<int>(std::floor(p.y));
        for (int v = y - 1; v <= y + 1; ++v)
            for (int u = x - 1; u <= x + 1; ++u) {
                if (u < 0 || v < 0 || u >= f.width || v >= f.height) continue;
                const std::size_t k = f.at(u, v);
                if (side >= 0 && ground.inside[k] != side) continue;
                const Point q{u + 0.5, v + 0.5};
                const auto gap = static_cast<float>(distance(p, q));
                if (f.source[k] >= 0 && f.length[k] <= gap) continue;
                if (f.source[k] < 0) begun.push_back(k);
                f.source[k] = i;
                f.length[k] = gap;
                f.cost[k] = 0;
                f.area[k] = static_cast<float>(cross(p, q) / 2);
            }
    }
    for (const std::size_t k : begun) open.push({0, static_cast<int>(k)});
    std::vector<std::uint8_t> done(count, 0);
    while (!open.empty()) {
        const Entry entry = open.top();
        open.pop();
        const auto k = static_cast<std::size_t>(entry.pixel);
        if (done[k] != 0 || entry.cost > f.cost[k]) continue;
        done[k] = 1;
        const int x = entry.pixel % f.width, y = entry.pixel / f.width;
        // The way out may wind, but the place stays within reach of where it left.
        const Point gone = Point{x + 0.5, y + 0.5} - ring[static_cast<std::size_t>(f.source[k])];
        if (dot(gone, gone) > max_distance * max_distance) continue;
        for (const LineMove& move : line_moves()) {
            const int u = x + move.dx, v = y + move.dy;
            if (u < 0 || v < 0 || u >= f.width || v >= f.height) continue;
            const std::size_t q = f.at(u, v);
            if (done[q] != 0 || ground.inside[q] != ground.inside[k]) continue;
            const Plane& gain = ground.gain[static_cast<std::size_t>(move.direction)];
            const double mean =
                0.5 * (static_cast<double>(gain.at(x, y)) + static_cast<double>(gain.at(u, v)));
            const double ease = kLineCostFloor + mean;
            const auto cost = static_cast<float>(static_cast<double>(f.cost[k]) +
                                                 move.length / (squared ? ease * ease : ease));
            if (cost >= f.cost[q]) continue;
            f.cost[q] = cost;
            f.length[q] = f.length[k] + static_cast<float>(move.length);
            f.gained[q] = f.gained[k] + static_cast<float>(move.length * mean);
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

/// Places where lines leave the ring: ring points whose front leads to most of what is new, half of
/// them by all of it, half by what lies near (a long line passes by many other places, but it
/// begins at its own). At least `apart` points from each other. near_px: length of way that is
/// near.
std::vector<int> find_exits(const Ground& ground, const Front& front, int points, int side,
                            int apart, int most, double near_px) {
    std::vector<double> mass(static_cast<std::size_t>(points), 0.0), near(mass.size(), 0.0);
    for (std::size_t k = 0; k < front.cost.size(); ++k) {
        if (front.source[k] < 0 || ground.inside[k] != side) continue;
        const int x = static_cast<int>(k) % ground.width, y = static_cast<int>(k) / ground.width;
        float strongest = 0;
        for (const Plane& gain : ground.gain) strongest = std::max(strongest, gain.at(x, y));
        if (strongest <= 0.3F) continue;
        mass[static_cast<std::size_t>(front.source[k])] += static_cast<double>(strongest);
        if (front.length[k] <= static_cast<float>(near_px))
            near[static_cast<std::size_t>(front.source[k])] += static_cast<double>(strongest);
    }
    const int half = std::max(1, apart / 2);
    std::vector<int> exits;
    const auto take = [&](const std::vector<double>& of, int until) {
        std::vector<double> smooth(of.size(), 0.0);
        std::vector<int> order(of.size());
        for (int i = 0; i < points; ++i) {
            order[static_cast<std::size_t>(i)] = i;
            for (int d = -half; d <= half; ++d)
                smooth[static_cast<std::size_t>(i)] +=
                    of[static_cast<std::size_t>(((i + d) % points + points) % points)] *
                    (1.0 - std::abs(d) / (half + 1.0));
        }
        std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
            return smooth[static_cast<std::size_t>(a)] > smooth[static_cast<std::size_t>(b)];
        });
        for (const int i : order) {
            if (static_cast<int>(exits.size()) >= until || smooth[static_cast<std::size_t>(i)] <= 0)
                break;
            bool free = true;
            for (const int other : exits) {
                const int gap = std::abs(i - other);
                free = free && std::min(gap, points - gap) >= apart;
            }
            if (free) exits.push_back(i);
        }
    };
    take(mass, most / 2);
    take(near, most);
    return exits;
}

}  // namespace

const std::array<LineMove, 16>& line_moves() {
    static const std::array<LineMove, 16> moves = [] {
        std::array<LineMove, 16> all{};
        const int steps[16][2] = {{1, 0},  {2, 1},  {1, 1},  {1, 2},   {0, 1},   {-1, 2},
                                  {-1, 1}, {-2, 1}, {-1, 0}, {-2, -1}, {-1, -1}, {-1, -2},
                                  {0, -1}, {1, -2}, {1, -1}, {2, -1}};
        for (int i = 0; i < 16; ++i)
            all[static_cast<std::size_t>(i)] = {steps[i][0], steps[i][1], i % kLineDirections,
                                                std::hypot(steps[i][0], steps[i][1])};
        return all;
    }();
    return moves;
}

std::vector<Detour> find_detours(const GainField& field, const Centreline& ring, double gsd_m,
                                 double unit_m, double min_area_m2, double max_area_m2,
                                 double max_distance_m, int most,
                                 std::span<const int> given_exits) {
    std::vector<Detour> out;
    if (field.gain.size() != kLineDirections || ring.points_px.size() < 3) return out;
    const bool fine = shows_walls(unit_m), pairs = fine;
    const double pixel_m = field.step * gsd_m;
    // Everything in the field's own pixels about its middle (small numbers: areas are sums of float
    // products).
    std::vector<Point> points;
    for (const Point p : ring.points_px)
        points.push_back((1.0 / field.step) * (p - field.origin_px));
    const int count = static_cast<int>(points.size());
    const double ring_px = std::max(2.0, 2.5 * unit_m / pixel_m),
                 reach_px = 2 * max_distance_m / pixel_m;
    const Ground ground = prepare_ground(field, points, ring_px, fine);
    std::vector<double> swept(points.size() + 1, 0.0);
    for (std::size_t i = 0; i < points.size(); ++i)
        swept[i + 1] = swept[i] + cross(points[i], points[(i + 1) % points.size()]) / 2;

    std::vector<int> everywhere(points.size());
    for (int i = 0; i < count; ++i) everywhere[static_cast<std::size_t>(i)] = i;
    const Front all = run_front(ground, points, everywhere, -1, reach_px);
    std::vector<float> typical;
    for (std::size_t k = 0; k < all.cost.size(); k += 7)
        if (all.source[k] >= 0 && all.length[k] * pixel_m > 100)
            typical.push_back(pairs ? all.gained[k] / all.length[k]
                                    : all.length[k] / all.cost[k] -
                                          static_cast<float>(kLineCostFloor));
    const double background = static_cast<double>(median_of(typical));

    struct Meeting {
        double score = 0, mean_gain = 0;
        int side = 0, from = 0, to = 0;
        std::size_t a = 0, b = 0;  ///< the last pixels of the two ways
        bool forwards = true;
        std::vector<Point> path;
    };
    const auto point_of = [&](std::size_t k) {
        return Point{static_cast<double>(k % static_cast<std::size_t>(ground.width)) + 0.5,
                     static_cast<double>(k / static_cast<std::size_t>(ground.width)) + 0.5};
    };
    const auto way_between = [&](const Front& there, const Front& back, std::size_t a,
                                 std::size_t b) {
        std::vector<Point> way;
        for (int k = static_cast<int>(a); k >= 0; k = there.from[static_cast<std::size_t>(k)])
            way.push_back(point_of(static_cast<std::size_t>(k)));
        std::reverse(way.begin(), way.end());
        for (int k = static_cast<int>(b); k >= 0; k = back.from[static_cast<std::size_t>(k)])
            way.push_back(point_of(static_cast<std::size_t>(k)));
        return way;
    };
    std::vector<Meeting> meetings;
    // Where fronts that left the whole ring at different places meet.
    if (!pairs)
        for (int y = 0; y < all.height; ++y)
            for (int x = 0; x < all.width; ++x)
                for (const auto& [dx, dy] : {std::pair{1, 0}, std::pair{0, 1}}) {
                    if (x + dx >= all.width || y + dy >= all.height) continue;
                    std::size_t a = all.at(x, y), b = all.at(x + dx, y + dy);
                    if (all.source[a] > all.source[b]) std::swap(a, b);
                    if (all.source[a] < 0 || all.source[b] < 0 || all.source[a] == all.source[b] ||
                        ground.inside[a] != ground.inside[b])
                        continue;
                    const double back = static_cast<double>(all.area[a]) +
                                        cross(point_of(a), point_of(b)) / 2 -
                                        static_cast<double>(all.area[b]) -
                                        (swept[static_cast<std::size_t>(all.source[b])] -
                                         swept[static_cast<std::size_t>(all.source[a])]);
                    const double on = back + swept.back();
                    const double area = std::min(std::abs(back), std::abs(on)) * pixel_m * pixel_m;
                    if (area < min_area_m2 || area > max_area_m2) continue;
                    const double length = static_cast<double>(all.length[a] + all.length[b]) + 1,
                                 cost = static_cast<double>(all.cost[a] + all.cost[b]) +
                                        1 / (kLineCostFloor + 0.5);
                    const double mean = length / cost - kLineCostFloor;
                    const double score = length * pixel_m * (mean - background);
                    if (score > 0)
                        meetings.push_back({score,
                                            mean,
                                            ground.inside[a] != 0 ? 1 : 0,
                                            all.source[a],
                                            all.source[b],
                                            a,
                                            b,
                                            std::abs(back) <= std::abs(on),
                                            {}});
                }
    const int apart = std::max(1, static_cast<int>(std::lround(40 * unit_m / ring.step_m)));
    for (int side = 0; pairs && side < 2; ++side) {
        const std::vector<int> exits =
            !given_exits.empty()
                ? std::vector<int>(given_exits.begin(), given_exits.end())
                : find_exits(ground, all, count, side, apart, kMostExits, 60 * unit_m / pixel_m);
        const int number = static_cast<int>(exits.size());
        std::vector<Front> fronts(exits.size());
        parallel_items(number, [&](int e) {
            fronts[static_cast<std::size_t>(e)] =
                run_front(ground, points, {&exits[static_cast<std::size_t>(e)], 1}, side, reach_px);
        });
        std::vector<std::vector<Meeting>> per_exit(exits.size());
        parallel_items(number, [&](int e) {
            for (int o = 0; o < e; ++o) {
                const Front &p = fronts[static_cast<std::size_t>(e)],
                            &q = fronts[static_cast<std::size_t>(o)];
                const int from = exits[static_cast<std::size_t>(e)],
                          to = exits[static_cast<std::size_t>(o)];
                double arc =
                    swept[static_cast<std::size_t>(to)] - swept[static_cast<std::size_t>(from)];
                if (to < from) arc += swept.back();
                Meeting best;
                for (int y = 0; y < ground.height; ++y)
                    for (int x = 0; x < ground.width; ++x) {
                        const std::size_t k = p.at(x, y);
                        if (p.source[k] < 0 || q.source[k] < 0) continue;
                        const bool mine = p.cost[k] <= q.cost[k];
                        for (const auto& [dx, dy] : {std::pair{1, 0}, std::pair{0, 1}}) {
                            if (x + dx >= ground.width || y + dy >= ground.height) continue;
                            const std::size_t next = p.at(x + dx, y + dy);
                            if (p.source[next] < 0 || q.source[next] < 0) continue;
                            if (mine == (p.cost[next] <= q.cost[next])) continue;
                            // Each way stays where it is the cheaper one: they do not touch.
                            const std::size_t a = mine ? k : next, b = mine ? next : k;
                            const double length =
                                static_cast<double>(p.length[a] + q.length[b]) + 1;
                            const double mean =
                                static_cast<double>(p.gained[a] + q.gained[b]) / length;
                            const double score = length * pixel_m * (mean - background);
                            if (score <= best.score) continue;
                            // Closed by the ring from `to` back to `from`, or on through the wrap.
                            const double back = static_cast<double>(p.area[a]) +
                                                cross(point_of(a), point_of(b)) / 2 -
                                                static_cast<double>(q.area[b]) - arc;
                            const double on = back + swept.back();
                            const double area =
                                std::min(std::abs(back), std::abs(on)) * pixel_m * pixel_m;
                            if (area < min_area_m2 || area > max_area_m2) continue;
                            best = {score, mean, side, from,
                                    to,    a,    b,    std::abs(back) <= std::abs(on),
                                    {}};
                        }
                    }
                if (best.score <= 0) continue;
                best.path = way_between(p, q, best.a, best.b);
                per_exit[static_cast<std::size_t>(e)].push_back(std::move(best));
            }
        });
        for (auto& found : per_exit)
            for (Meeting& m : found) meetings.push_back(std::move(m));
    }
    std::stable_sort(meetings.begin(), meetings.end(), [](const Meeting& p, const Meeting& q) {
        return p.score != q.score ? p.score > q.score : p.a != q.a ? p.a < q.a : p.b < q.b;
    });

    // Which stretch of the ring a detour replaces: the one with which it encloses the smaller area.
    std::array<std::vector<std::uint8_t>, 2> used{std::vector<std::uint8_t>(points.size(), 0),
                                                  std::vector<std::uint8_t>(points.size(), 0)};
    for (Meeting& pair : meetings) {
        if (static_cast<int>(out.size()) >= most) break;
        Detour detour;
        detour.leaves = pair.forwards ? pair.from : pair.to;
        detour.returns = pair.forwards ? pair.to : pair.from;
        detour.outside = pair.side == 0;
        auto& side = used[static_cast<std::size_t>(pair.side)];
        const int stretch = ((detour.returns - detour.leaves) % count + count) % count;
        int overlap = 0;
        for (int i = 0; i <= stretch; ++i)
            overlap += side[static_cast<std::size_t>((detour.leaves + i) % count)];
        if (given_exits.empty() && overlap * 5 > stretch + 1) continue;
        for (int i = 0; i <= stretch; ++i)
            side[static_cast<std::size_t>((detour.leaves + i) % count)] = 1;
        if (pair.path.empty()) pair.path = way_between(all, all, pair.a, pair.b);
        if (!pair.forwards) std::reverse(pair.path.begin(), pair.path.end());
        detour.path_px.push_back(ring.points_px[static_cast<std::size_t>(detour.leaves)]);
        for (const Point p : pair.path) detour.path_px.push_back(field.origin_px + field.step * p);
        detour.path_px.push_back(ring.points_px[static_cast<std::size_t>(detour.returns)]);
        detour.score = pair.score;
        detour.mean_gain = pair.mean_gain;
        detour.background_gain = background;
        out.push_back(std::move(detour));
    }
    return out;
}

std::vector<int> cheapest_way(const std::vector<Plane>& gain,
                              const std::vector<std::uint8_t>& blocked, int begin, int end,
                              float most_cost) {
    const int width = gain.front().width(), height = gain.front().height();
    const auto count = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
    const auto target = static_cast<std::size_t>(end);
    std::vector<float> cost(count, std::numeric_limits<float>::infinity());
    std::vector<int> from(count, -1);
    std::vector<std::uint8_t> done(count, 0);
    using Entry = std::pair<float, int>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> open;
    cost[static_cast<std::size_t>(begin)] = 0;
    open.emplace(0.0F, begin);
    while (!open.empty() && done[target] == 0 && open.top().first < most_cost) {
        const int pixel = open.top().second;
        open.pop();
        const auto k = static_cast<std::size_t>(pixel);
        if (done[k] != 0) continue;
        done[k] = 1;
        const int x = pixel % width, y = pixel / width;
        for (const LineMove& move : line_moves()) {
            const int u = x + move.dx, v = y + move.dy;
            if (u < 0 || v < 0 || u >= width || v >= height) continue;
            const auto q = static_cast<std::size_t>(v * width + u);
            if (done[q] != 0 || blocked[q] != 0) continue;
            const Plane& plane = gain[static_cast<std::size_t>(move.direction)];
            const double ease = kLineCostFloor + 0.5 * (static_cast<double>(plane.at(x, y)) +
                                                        static_cast<double>(plane.at(u, v)));
            const float sum = cost[k] + static_cast<float>(move.length / (ease * ease));
            if (sum >= cost[q]) continue;
            cost[q] = sum;
            from[q] = pixel;
            open.emplace(sum, static_cast<int>(q));
        }
    }
    std::vector<int> way;
    if (done[target] == 0) return way;
    for (int k = end; k >= 0; k = from[static_cast<std::size_t>(k)]) way.push_back(k);
    std::reverse(way.begin(), way.end());
    return way;
}

std::vector<Detour> find_ways(const GainField& field, const Centreline& ring,
                              std::span<const int> starts, std::span<const int> stops, double gsd_m,
                              double unit_m, double max_distance_m) {
    std::vector<Detour> out;
    if (field.gain.size() != kLineDirections || ring.points_px.size() < 3) return out;
    const double pixel_m = field.step * gsd_m;
    std::vector<Point> points;
    for (const Point p : ring.points_px)
        points.push_back((1.0 / field.step) * (p - field.origin_px));
    const Ground ground =
        prepare_ground(field, points, std::max(2.0, 2.5 * unit_m / pixel_m), shows_walls(unit_m));
    const int number = static_cast<int>(starts.size());
    std::vector<std::vector<Detour>> found(2 * starts.size());
    parallel_items(2 * number, [&](int k) {
        const int side = k / number, start = starts[static_cast<std::size_t>(k % number)];
        const Front front =
            run_front(ground, points, {&start, 1}, side, 2 * max_distance_m / pixel_m, true);
        for (const int stop : stops) {
            // The ring's own pixel may lie on its other side.
            const Point end = points[static_cast<std::size_t>(stop)];
            const int x = static_cast<int>(std::floor(end.x)),
                      y = static_cast<int>(std::floor(end.y));
            int best = -1;
            for (int v = y - 1; v <= y + 1; ++v)
                for (int u = x - 1; u <= x + 1; ++u) {
                    if (u < 0 || v < 0 || u >= front.width || v >= front.height) continue;
                    const std::size_t q = front.at(u, v);
                    if (front.source[q] < 0) continue;
                    if (best < 0 || front.cost[q] < front.cost[static_cast<std::size_t>(best)])
                        best = static_cast<int>(q);
                }
            if (best < 0) continue;
            Detour detour;
            detour.leaves = start;
            detour.returns = stop;
            detour.outside = side == 0;
            for (int q = best; q >= 0; q = front.from[static_cast<std::size_t>(q)])
                detour.path_px.push_back(field.origin_px +
                                         field.step *
                                             Point{q % front.width + 0.5, q / front.width + 0.5});
            detour.path_px.push_back(ring.points_px[static_cast<std::size_t>(start)]);
            std::reverse(detour.path_px.begin(), detour.path_px.end());
            detour.path_px.push_back(ring.points_px[static_cast<std::size_t>(stop)]);
            found[static_cast<std::size_t>(k)].push_back(std::move(detour));
        }
    });
    for (auto& ways : found)
        for (Detour& way : ways) out.push_back(std::move(way));
    return out;
}

Detour reroute(const GainField& field, const Centreline& ring, const Detour& detour,
               std::span<const Stretch> stretches, double gsd_m, double unit_m,
               double max_distance_m) {
    Detour out = detour;
    if (field.gain.size() != kLineDirections || ring.points_px.size() < 3) return out;
    const double pixel_m = field.step * gsd_m, reach_px = 2 * max_distance_m / pixel_m;
    const auto in_field = [&](const Polyline& line) {
        std::vector<Point> points;
        for (const Point p : line) points.push_back((1.0 / field.step) * (p - field.origin_px));
        return points;
    };
    const std::vector<Point> points = in_field(ring.points_px), path = in_field(detour.path_px);
    const Ground ground =
        prepare_ground(field, points, std::max(2.0, 2.5 * unit_m / pixel_m), shows_walls(unit_m));
    const int side = detour.outside ? 0 : 1;
    // The way of a front to a place, from its seed on; empty when it did not get there.
    const auto way_to = [&](const Front& front, Point place) {
        std::vector<Point> way;
        const int x = static_cast<int>(std::floor(place.x)),
                  y = static_cast<int>(std::floor(place.y));
        if (x < 0 || y < 0 || x >= front.width || y >= front.height) return std::pair{way, -1};
        const std::size_t end = front.at(x, y);
        if (front.source[end] < 0) return std::pair{way, -1};
        for (int k = static_cast<int>(end); k >= 0; k = front.from[static_cast<std::size_t>(k)])
            way.push_back(field.origin_px +
                          field.step * Point{k % front.width + 0.5, k / front.width + 0.5});
        std::reverse(way.begin(), way.end());
        return std::pair{way, front.source[end]};
    };
    std::optional<Front> from_ring;
    const auto ring_front = [&]() -> const Front& {
        if (!from_ring) {
            std::vector<int> everywhere(points.size());
            for (std::size_t i = 0; i < points.size(); ++i) everywhere[i] = static_cast<int>(i);
            from_ring = run_front(ground, points, everywhere, side, reach_px, true);
        }
        return *from_ring;
    };
    Polyline walked;
    std::size_t next = 0;
    for (const Stretch stretch : stretches) {
        if (stretch.from < next || stretch.to <= stretch.from || stretch.to > path.size()) continue;
        const bool at_start = stretch.from == 0, at_end = stretch.to == path.size();
        if (at_start && at_end) return detour;
        std::vector<Point> way;
        if (at_start) {
            const auto [found, source] = way_to(ring_front(), path[stretch.to]);
            if (source < 0) continue;
            out.leaves = source;
            way = found;
            walked.push_back(ring.points_px[static_cast<std::size_t>(source)]);
        } else if (at_end) {
            const auto [found, source] = way_to(ring_front(), path[stretch.from - 1]);
            if (source < 0) continue;
            out.returns = source;
            way.assign(found.rbegin(), found.rend());
        } else {
            const int seed = 0;
            const Front front =
                run_front(ground, {path[stretch.from - 1]}, {&seed, 1}, side, reach_px, true);
            way = way_to(front, path[stretch.to]).first;
            if (way.empty()) continue;
        }
        walked.insert(walked.end(), detour.path_px.begin() + static_cast<std::ptrdiff_t>(next),
                      detour.path_px.begin() + static_cast<std::ptrdiff_t>(stretch.from));
        walked.insert(walked.end(), way.begin(), way.end());
        if (at_end) walked.push_back(ring.points_px[static_cast<std::size_t>(out.returns)]);
        next = stretch.to;
    }
    walked.insert(walked.end(), detour.path_px.begin() + static_cast<std::ptrdiff_t>(next),
                  detour.path_px.end());
    out.path_px = std::move(walked);
    return out;
}

}  // namespace fenceline
