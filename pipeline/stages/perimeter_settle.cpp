#include "stages/perimeter_settle.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "core/parallel.h"
#include "stages/perimeter_detour.h"

namespace fenceline {
namespace {

/// plane(x, y) becomes what it was at (x, y) + by; fill: what comes in from outside.
void move_plane(PlaneOf<std::uint8_t>& plane, int by_x, int by_y, std::uint8_t fill) {
    if (plane.width() == 0) return;
    PlaneOf<std::uint8_t> out(plane.width(), plane.height());
    for (int y = 0; y < out.height(); ++y)
        for (int x = 0; x < out.width(); ++x)
            out.at(x, y) = plane.contains(x + by_x, y + by_y) ? plane.at(x + by_x, y + by_y) : fill;
    plane = std::move(out);
}

void move_evidence(LineEvidence& e, Point by_px) {
    constexpr std::uint8_t kMean = 128, kHidden = 255;  // of LineEvidence::planes
    const auto cells = [](double px, int step) { return static_cast<int>(std::lround(px / step)); };
    const int fine_x = cells(by_px.x, e.luminance_step_px),
              fine_y = cells(by_px.y, e.luminance_step_px),
              coarse_x = cells(by_px.x, e.search_step_px),
              coarse_y = cells(by_px.y, e.search_step_px);
    move_plane(e.hidden, fine_x, fine_y, 1);
    move_plane(e.drawn, fine_x, fine_y, 0);
    move_plane(e.planes.front(), fine_x, fine_y, kMean);
    for (std::size_t k = 1; k < e.planes.size(); ++k)
        move_plane(e.planes[k], coarse_x, coarse_y, kHidden);
    for (auto& plane : e.drawn_planes) move_plane(plane, coarse_x, coarse_y, kHidden);
}

}  // namespace

LineShift shift_onto_line(const Series& series, std::span<const int> looks, const Ring& ring_px,
                          double most_m) {
    constexpr double kLeastGain = 0.1;  // in z, over the whole ring
    const Centreline line = centreline_of_ring(ring_px, series.gsd_m, 2 * series.unit_m);
    const auto support = [&](Point shift) {
        double sum = 0;
        for (std::size_t i = 0; i < line.points_px.size(); ++i) {
            const Point along{-line.normals[i].y, line.normals[i].x};
            const Point p = line.points_px[i] + shift;
            sum +=
                support_along(series, looks, p, p + (0.1 * series.unit_m / series.gsd_m) * along);
        }
        return sum / static_cast<double>(line.points_px.size());
    };
    Point best{};
    const double before = support({});
    double most = before + kLeastGain;
    for (const double step_m : {2 * series.unit_m, 0.5 * series.unit_m}) {
        const Point middle = best;
        const int reach = step_m > series.unit_m ? static_cast<int>(most_m / step_m) : 3;
        const int side = 2 * reach + 1;
        std::vector<double> values(static_cast<std::size_t>(side * side));
        const auto shift_at = [&](int k) {
            return middle + (step_m / series.gsd_m) * Point{static_cast<double>(k % side - reach),
                                                            static_cast<double>(k / side - reach)};
        };
        parallel_items(side * side, [&](int k) {
            values[static_cast<std::size_t>(k)] =
                norm(shift_at(k)) * series.gsd_m <= most_m ? support(shift_at(k)) : -1e9;
        });
        for (int k = 0; k < side * side; ++k)
            if (values[static_cast<std::size_t>(k)] > most)
                most = values[static_cast<std::size_t>(k)], best = shift_at(k);
        if (best.x == 0 && best.y == 0) break;
    }
    const bool moved = best.x != 0 || best.y != 0;
    return {best, before, moved ? most : before};
}

std::vector<std::pair<int, Point>> settle_on_line(const Series& series, const Ring& ring_px,
                                                  std::span<LineEvidence> evidence) {
    // In z, over the whole ring: a clear line has 3 and more, what is hidden or no longer stands 0
    // and less.
    constexpr double kLeastSupport = 1, kLeastGain = 0.5;
    constexpr double kMost = 10, kLeast = 1;  // U
    if (!series.drawn || !shows_walls(series.unit_m)) return {};
    const auto sigma = [&](int i) { return ribbon_sigma_m(series, i); };
    std::vector<std::optional<Point>> off(evidence.size());
    Point frame{};
    for (const int i : series.usable) {
        const LineShift best =
            shift_onto_line(series, std::span(&i, 1), ring_px, kMost * series.unit_m);
        if (best.support < kLeastSupport) continue;
        const bool clear = best.support - best.support_before >= kLeastGain;
        off[static_cast<std::size_t>(i)] = clear ? best.shift_px : Point{};
        if (sigma(i) == 0) frame = *off[static_cast<std::size_t>(i)];
    }
    std::vector<std::pair<int, Point>> moved;
    for (const int i : series.usable) {
        const auto& own = off[static_cast<std::size_t>(i)];
        if (!own || sigma(i) == 0) continue;
        const Point by = *own - frame;
        if (norm(by) * series.gsd_m >= kLeast * series.unit_m)
            moved.emplace_back(i, Point{-by.x * series.gsd_m, by.y * series.gsd_m});
    }
    parallel_items(static_cast<int>(moved.size()), [&](int k) {
        const auto i = static_cast<std::size_t>(moved[static_cast<std::size_t>(k)].first);
        move_evidence(evidence[i], *off[i] - frame);
    });
    return moved;
}

}  // namespace fenceline
