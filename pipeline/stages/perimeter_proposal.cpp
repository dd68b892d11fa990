#include "stages/perimeter_proposal.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
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
std::vector<int> way_around(const RidgeField& field, const std::vector<Plane>& gain,
                            const Start& start) {
    constexpr int kBarrier = 40, kShut = 10, kAhead = 4;  // cells
    constexpr double kCrosses = 0.3;
    constexpr float kMostCost = 20000;
    const int sx = start.cell % field.width, sy = start.cell / field.width;
    const double angle = start.direction * std::numbers::pi / kLineDirections;
    const Point along{std::cos(angle), std::sin(angle)};
    const auto beside = [&](int steps) {
        const int x = sx + static_cast<int>(std::lround(along.x * steps)),
                  y = sy + static_cast<int>(std::lround(along.y * steps));
        return field.contains(x, y) ? y * field.width + x : -1;
    };
    const int begin = beside(kAhead), end = beside(-kAhead);
    if (begin < 0 || end < 0) return {};
    std::vector<std::uint8_t> shut(static_cast<std::size_t>(field.width) *
                                   static_cast<std::size_t>(field.height));
    for (int y = std::max(0, sy - kBarrier); y <= std::min(field.height - 1, sy + kBarrier); ++y)
        for (int x = std::max(0, sx - kBarrier); x <= std::min(field.width - 1, sx + kBarrier);
             ++x) {
            const Point d{static_cast<double>(x - sx), static_cast<double>(y - sy)};
            const double away = std::abs(cross(along, d));
            if (std::abs(dot(d, along)) >= 2 || away > kBarrier) continue;
            if (away <= kShut || field.gain(field.strongest.at(x, y)) <= kCrosses)
                shut[static_cast<std::size_t>(y * field.width + x)] = 1;
        }
    return cheapest_way(gain, shut, begin, end, kMostCost);
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
    std::vector<Plane> gain = field.contrast;
    for (Plane& plane : gain)
        for (int y = 0; y < plane.height(); ++y)
            for (int x = 0; x < plane.width(); ++x)
                plane.at(x, y) = static_cast<float>(field.gain(plane.at(x, y)));
    const std::vector<Start> starts = starts_of(field);
    std::vector<std::vector<int>> ways(starts.size());
    parallel_items(static_cast<int>(starts.size()), [&](int k) {
        ways[static_cast<std::size_t>(k)] =
            way_around(field, gain, starts[static_cast<std::size_t>(k)]);
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
