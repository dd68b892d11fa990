#include "stages/perimeter_proposal.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <queue>
#include <utility>

#include "core/parallel.h"
#include "stages/perimeter_detour.h"
#include "stages/perimeter_ridges.h"

namespace fenceline {
namespace {

/// Roads, hedges and rows of roofs show about this much; set on tune seeds (no_known_line 101, 102,
/// small_prison 103, contraction 101, camp25 121), where walls show .9 to 1.3.
constexpr double kRoadContrast = 0.45;

struct Start {
    int cell = 0, direction = 0;
};

/// The cheapest closed way through a place where a line runs in a direction, as cells; empty when
/// there is none. A barrier across the place keeps the way from turning round at once; where other
/// lines cross the barrier it is open, or a small ring's far side would be shut.
std::vector<int> way_around(const RidgeField& field, const Start& start) {
    constexpr int kBarrier = 40, kShut = 10, kAhead = 4;  // cells
    constexpr double kCrosses = 0.3;
    constexpr float kMostCost = 20000;
    const int sx = start.cell % field.width, sy = start.cell / field.width;
    const double angle = start.direction * std::numbers::pi / kLineDirections;
    const Point along{std::cos(angle), std::sin(angle)};
    const auto cell_at = [&](int x, int y) { return y * field.width + x; };
    const auto beside = [&](int steps) {
        const int x = sx + static_cast<int>(std::lround(along.x * steps)),
                  y = sy + static_cast<int>(std::lround(along.y * steps));
        return field.contains(x, y) ? cell_at(x, y) : -1;
    };
    const int begin = beside(kAhead), end = beside(-kAhead);
    if (begin < 0 || end < 0) return {};
    const auto shut = [&](int x, int y) {
        const Point d{static_cast<double>(x - sx), static_cast<double>(y - sy)};
        const double away = std::abs(cross(along, d));
        if (std::abs(dot(d, along)) >= 2 || away > kBarrier) return false;
        return away <= kShut || field.gain(field.strongest.at(x, y)) <= kCrosses;
    };
    const std::size_t count =
        static_cast<std::size_t>(field.width) * static_cast<std::size_t>(field.height);
    std::vector<float> cost(count, std::numeric_limits<float>::infinity());
    std::vector<int> from(count, -1);
    std::vector<std::uint8_t> done(count, 0);
    using Entry = std::pair<float, int>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> open;
    cost[static_cast<std::size_t>(begin)] = 0;
    open.emplace(0.0F, begin);
    while (!open.empty() && done[static_cast<std::size_t>(end)] == 0 &&
           open.top().first < kMostCost) {
        const int cell = open.top().second;
        open.pop();
        const auto k = static_cast<std::size_t>(cell);
        if (done[k] != 0) continue;
        done[k] = 1;
        const int x = cell % field.width, y = cell / field.width;
        for (const LineMove& move : line_moves()) {
            const int u = x + move.dx, v = y + move.dy;
            if (!field.contains(u, v)) continue;
            const auto q = static_cast<std::size_t>(cell_at(u, v));
            if (done[q] != 0 || shut(u, v)) continue;
            const Plane& contrast = field.contrast[static_cast<std::size_t>(move.direction)];
            const double ease = kLineCostFloor + 0.5 * (field.gain(contrast.at(x, y)) +
                                                        field.gain(contrast.at(u, v)));
            const float sum = cost[k] + static_cast<float>(move.length / (ease * ease));
            if (sum >= cost[q]) continue;
            cost[q] = sum;
            from[q] = cell;
            open.emplace(sum, static_cast<int>(q));
        }
    }
    std::vector<int> way;
    if (done[static_cast<std::size_t>(end)] == 0) return way;
    for (int k = end; k >= 0; k = from[static_cast<std::size_t>(k)]) way.push_back(k);
    return way;
}

/// Places where thin lines show best, apart from each other.
std::vector<Start> starts_of(const RidgeField& field) {
    constexpr std::size_t kMost = 48;
    constexpr int kApart = 8;  // cells
    constexpr double kLeast = 0.5;
    std::vector<std::pair<float, int>> places;
    for (int y = 0; y < field.height; ++y)
        for (int x = 0; x < field.width; ++x)
            if (field.gain(field.strongest.at(x, y)) > kLeast)
                places.emplace_back(field.strongest.at(x, y), y * field.width + x);
    std::stable_sort(places.begin(), places.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<Start> out;
    for (const auto& [contrast, cell] : places) {
        if (out.size() >= kMost) break;
        const int x = cell % field.width, y = cell / field.width;
        if (std::any_of(out.begin(), out.end(), [&](const Start& other) {
                return std::abs(other.cell % field.width - x) <= kApart &&
                       std::abs(other.cell / field.width - y) <= kApart;
            }))
            continue;
        Start start{cell, 0};
        for (int k = 1; k < kLineDirections; ++k)
            if (field.contrast[static_cast<std::size_t>(k)].at(x, y) >
                field.contrast[static_cast<std::size_t>(start.direction)].at(x, y))
                start.direction = k;
        out.push_back(start);
    }
    return out;
}

}  // namespace

std::vector<ProposedLine> propose_lines(const Series& series, std::span<const int> looks) {
    constexpr double kLeastArea_m2 = 3000, kMostShare = 0.7;  // of the grid
    constexpr double kSame = 0.9;                             // IoU
    std::vector<ProposedLine> out;
    if (!shows_walls(series.unit_m) || looks.empty()) return out;
    const RidgeField field = ridge_field(series, looks);
    const std::vector<Start> starts = starts_of(field);
    std::vector<std::vector<int>> ways(starts.size());
    parallel_items(static_cast<int>(starts.size()), [&](int k) {
        ways[static_cast<std::size_t>(k)] = way_around(field, starts[static_cast<std::size_t>(k)]);
    });
    const double pixel_m2 = series.gsd_m * series.gsd_m;
    for (const std::vector<int>& way : ways) {
        if (way.size() < 8) continue;
        ProposedLine line;
        std::vector<float> along;
        double sum = 0;
        for (const int cell : way) {
            const int x = cell % field.width, y = cell / field.width;
            line.ring_px.push_back(field.cell_px * Point{x + 0.5, y + 0.5});
            along.push_back(field.strongest.at(x, y));
            sum += static_cast<double>(along.back());
        }
        const double area_m2 = std::abs(signed_area(line.ring_px)) * pixel_m2;
        if (area_m2 < kLeastArea_m2 ||
            area_m2 > kMostShare * series.grid.width * series.grid.height * pixel_m2)
            continue;
        line.ring_px = simplify_ring(line.ring_px, field.cell_px);  // cells make stairs
        line.contrast = sum / static_cast<double>(along.size());
        const auto quarter = along.begin() + static_cast<std::ptrdiff_t>(along.size() / 4);
        std::nth_element(along.begin(), quarter, along.end());
        line.weakest = static_cast<double>(*quarter);
        line.worth = (line.contrast - kRoadContrast) * line_length(line.ring_px) * series.gsd_m;
        out.push_back(std::move(line));
    }
    std::stable_sort(out.begin(), out.end(), [](const ProposedLine& a, const ProposedLine& b) {
        return a.worth > b.worth;
    });
    std::vector<ProposedLine> different;
    for (ProposedLine& line : out)
        if (std::none_of(different.begin(), different.end(), [&](const ProposedLine& other) {
                return polygon_iou(line.ring_px, other.ring_px, 2 * field.cell_px) > kSame;
            }))
            different.push_back(std::move(line));
    return different;
}

bool is_clear(const ProposedLine& line) {
    constexpr double kLeastWorth = 200;  // small ones must be the clearer
    return line.contrast >= 0.75 && line.weakest >= 0.5 && line.worth >= kLeastWorth;
}

}  // namespace fenceline
