#include "stages/perimeter_settle.h"

#include <algorithm>
#include <cmath>
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
    constexpr std::uint8_t kMean = 128, kHidden = 255;  // of LineEvidence
    const auto cells = [](double px, int step) { return static_cast<int>(std::lround(px / step)); };
    const int fine_x = cells(by_px.x, e.luminance_step_px),
              fine_y = cells(by_px.y, e.luminance_step_px),
              coarse_x = cells(by_px.x, e.search_step_px),
              coarse_y = cells(by_px.y, e.search_step_px);
    move_plane(e.hidden, fine_x, fine_y, 1);
    move_plane(e.drawn, fine_x, fine_y, 0);
    move_plane(e.luminance, fine_x, fine_y, kMean);
    for (auto& plane : e.directions) move_plane(plane, coarse_x, coarse_y, kHidden);
}

/// Mean probability with which the network draws a line at points, shifted, where the looks see
/// them; 0 when they see less than kLeastSeen of them.
double drawn_along(const Series& series, std::span<const int> looks,
                   std::span<const Point> points_px, Point shift) {
    constexpr double kLeastSeen = 0.4;
    double sum = 0;
    std::size_t seen = 0;
    for (const int i : looks) {
        const LineEvidence& e = series.evidence[static_cast<std::size_t>(i)];
        for (const Point point : points_px) {
            const Point p = (1.0 / e.luminance_step_px) * (point + shift);
            const int x = static_cast<int>(std::floor(p.x)), y = static_cast<int>(std::floor(p.y));
            if (!e.drawn.contains(x, y) || e.hidden.at(x, y) != 0) continue;
            sum += e.drawn.at(x, y) / 255.0;
            ++seen;
        }
    }
    const auto all = static_cast<double>(looks.size() * points_px.size());
    return static_cast<double>(seen) < kLeastSeen * all || seen == 0
               ? 0.0
               : sum / static_cast<double>(seen);
}

}  // namespace

LineShift shift_onto_line(const Series& series, std::span<const int> looks, const Ring& ring_px,
                          double most_m) {
    constexpr double kLeastGain = 0.1;  // in z, over the whole ring
    constexpr double kApart = 15;       // U
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
    // Directional support is broad, which helps to find the place; what is drawn is as sharp as the
    // line, which helps to fit it.
    const auto sharp = [&](Point shift) {
        return series.drawn ? drawn_along(series, looks, line.points_px, shift) : support(shift);
    };
    struct Try {
        Point shift;
        double value = 0;
    };
    const auto search = [&](Point middle, double step_m, int reach, const auto& measure) {
        const int side = 2 * reach + 1;
        std::vector<Try> tries(static_cast<std::size_t>(side * side));
        parallel_items(side * side, [&](int k) {
            const Point steps{static_cast<double>(k % side - reach),
                              static_cast<double>(k / side - reach)};
            const Point shift = middle + (step_m / series.gsd_m) * steps;
            if (norm(shift) * series.gsd_m <= most_m)
                tries[static_cast<std::size_t>(k)] = {shift, measure(shift)};
        });
        return tries;
    };
    const auto most_of = [](const std::vector<Try>& tries) {
        return *std::max_element(tries.begin(), tries.end(),
                                 [](const Try& a, const Try& b) { return a.value < b.value; });
    };
    LineShift out;
    out.support_before = out.support = support({});
    out.drawn_before = out.drawn = sharp({});
    const double wide_m = 2 * series.unit_m, fine_m = 0.5 * series.unit_m;
    const std::vector<Try> wide = search({}, wide_m, static_cast<int>(most_m / wide_m), support);
    const Try coarse = most_of(wide);
    // Within what the coarse steps leave, around the best of them and around where it lies.
    Try fine = most_of(search({}, fine_m, 4, sharp));
    if (coarse.value > out.support_before + kLeastGain)
        if (const Try other = most_of(search(coarse.shift, fine_m, 4, sharp));
            other.value > fine.value)
            fine = other;
    if (fine.value >
        out.drawn_before * (series.drawn ? 1 + kLeastGain : 1) + (series.drawn ? 0 : kLeastGain)) {
        out.shift_px = fine.shift;
        out.drawn = fine.value;
        out.support = support(fine.shift);
    }
    out.rival = -1;  // the least z
    for (const Try& other : wide)
        if (distance(other.shift, out.shift_px) * series.gsd_m > kApart * series.unit_m)
            out.rival = std::max(out.rival, other.value);
    return out;
}

std::vector<std::pair<int, Point>> settle_on_line(const Series& series, const Ring& ring_px,
                                                  std::span<LineEvidence> evidence) {
    // Where it is seen a clear line is drawn with .8. A rectangle that was built anew a few metres
    // further out fits a shift with two of its sides: .5 at the most.
    constexpr double kLeastDrawn = 0.65, kLeastGain = 1.5;
    constexpr double kMost = 10, kLeast = 1;  // U
    if (!series.drawn || !shows_walls(series.unit_m)) return {};
    std::vector<std::pair<int, Point>> moved;
    for (const int i : series.usable) {
        if (ribbon_sigma_m(series, i) == 0) continue;
        const LineShift best =
            shift_onto_line(series, std::span(&i, 1), ring_px, kMost * series.unit_m);
        if (best.drawn < kLeastDrawn || best.drawn < kLeastGain * best.drawn_before) continue;
        const Point by = best.shift_px;
        if (norm(by) * series.gsd_m < kLeast * series.unit_m) continue;
        move_evidence(evidence[static_cast<std::size_t>(i)], by);
        moved.emplace_back(i, Point{-by.x * series.gsd_m, by.y * series.gsd_m});
    }
    return moved;
}

}  // namespace fenceline
