#include "stages/perimeter_directions.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "core/parallel.h"
#include "stages/perimeter_ribbon.h"

namespace fenceline {
namespace {

/// What directions are raised from: about 2 U a pixel, twice as fine as they are kept.
struct Ground {
    Plane value;  ///< locally normalised luminance, or the network's probability of a line
    Mask seen;    ///< nonzero where this pixel, the next ones right and below it are all seen
    bool drawn = false;
    double pixel_m = 1;
};

/// Means of step × step pixels of the luminance, of what is seen; seen where half of them are.
void average_luminance(const LineEvidence& e, int step, Plane& value, Mask& seen) {
    parallel_rows(value.height(), [&](int y0, int y1) {
        for (int y = y0; y < y1; ++y)
            for (int x = 0; x < value.width(); ++x) {
                const int to_x = std::min(e.luminance.width(), (x + 1) * step),
                          to_y = std::min(e.luminance.height(), (y + 1) * step);
                int sum = 0, count = 0;
                for (int v = y * step; v < to_y; ++v)
                    for (int u = x * step; u < to_x; ++u) {
                        if (e.hidden.at(u, v) != 0) continue;
                        sum += e.luminance.at(u, v) - 128;
                        ++count;
                    }
                const int all = (to_x - x * step) * (to_y - y * step);
                if (count == 0 || 2 * count < all) continue;
                value.at(x, y) = static_cast<float>(sum) / static_cast<float>(32 * count);
                seen.at(x, y) = 1;
            }
    });
}

/// The most of step × step pixels, 0–1: a drawn line must survive the coarser grid.
void most_of_blocks(const PlaneOf<std::uint8_t>& drawn, int step, Plane& out) {
    parallel_rows(out.height(), [&](int y0, int y1) {
        for (int y = y0; y < y1; ++y)
            for (int x = 0; x < out.width(); ++x) {
                std::uint8_t most = 0;
                for (int v = y * step; v < std::min(drawn.height(), (y + 1) * step); ++v)
                    for (int u = x * step; u < std::min(drawn.width(), (x + 1) * step); ++u)
                        most = std::max(most, drawn.at(u, v));
                out.at(x, y) = static_cast<float>(most) / 255;
            }
    });
}

Ground ground_of(const LineEvidence& e, int step, double fine_m, bool by_drawn) {
    Ground out;
    const int width = (e.luminance.width() + step - 1) / step,
              height = (e.luminance.height() + step - 1) / step;
    Mask seen(width, height);
    out.value = Plane(width, height);
    out.seen = Mask(width, height);
    out.drawn = by_drawn && e.drawn.width() > 0;
    out.pixel_m = fine_m * step;
    average_luminance(e, step, out.value, seen);
    if (out.drawn) most_of_blocks(e.drawn, step, out.value);
    for (int y = 0; y + 1 < height; ++y)
        for (int x = 0; x + 1 < width; ++x)
            out.seen.at(x, y) =
                seen.at(x, y) & seen.at(x + 1, y) & seen.at(x, y + 1) & seen.at(x + 1, y + 1);
    return out;
}

/// The whole numbers n, from ≤ n < to, with low ≤ start + n · step < high.
std::pair<int, int> within(double start, double step, double low, double high, int from, int to) {
    constexpr double kFlat = 1e-12;
    if (std::abs(step) < kFlat)
        return start >= low && start < high ? std::pair(from, to) : std::pair(from, from);
    double first = (low - start) / step, last = (high - start) / step;
    if (step < 0) std::swap(first, last);
    // A pixel less at either end rather than one beyond: rounding must not read outside.
    const int begin = static_cast<int>(std::clamp(std::floor(first) + 1, from * 1.0, to * 1.0)),
              end = static_cast<int>(std::clamp(std::ceil(last) - 1, from * 1.0, to * 1.0));
    return {begin, std::max(begin, end)};
}

/// Support for lines of one direction, sampled on the search grid: the ground is turned so that the
/// direction runs along the rows, and the result is turned back.
void direction_support(const Ground& ground, double angle, double unit_m,
                       std::optional<Point> sun_px, int step, PlaneOf<std::uint8_t>& out) {
    const Point along{std::cos(angle), std::sin(angle)}, across{along.y, -along.x};
    const double width = ground.value.width(), height = ground.value.height();
    const double half_along = (std::abs(along.x) * width + std::abs(along.y) * height) / 2;
    const double half_across = (std::abs(across.x) * width + std::abs(across.y) * height) / 2;
    const Point centre{width / 2, height / 2};
    LineFrame frame;
    frame.along_m = frame.across_m = ground.pixel_m;
    frame.padding =
        averaging_half_length(ground.pixel_m, 2 * unit_m);  // paths through open ground: longer
    const int columns = static_cast<int>(std::ceil(2 * half_along)) + 2 * frame.padding,
              rows = static_cast<int>(std::ceil(2 * half_across)) + 1;
    frame.seen = Mask(columns, rows);
    Plane& turned = ground.drawn ? frame.drawn : frame.image;
    turned = Plane(columns, rows);
    const double sun = sun_px ? std::clamp(2 * dot(across, *sun_px), -1.0, 1.0) : 0.0;
    frame.sun.assign(static_cast<std::size_t>(columns), static_cast<float>(sun));
    const Point origin = centre - (half_along + frame.padding) * along - half_across * across;
    for (int y = 0; y < rows; ++y) {
        const Point start = origin + 0.5 * along + (y + 0.5) * across - Point{0.5, 0.5};
        const auto by_x = within(start.x, along.x, 0, width - 1, 0, columns);
        const auto [from, to] = within(start.y, along.y, 0, height - 1, by_x.first, by_x.second);
        for (int x = from; x < to; ++x) {
            const double u = start.x + x * along.x, v = start.y + x * along.y;
            const int i = static_cast<int>(u), j = static_cast<int>(v);
            if (ground.seen.at(i, j) == 0) continue;
            const auto fx = static_cast<float>(u - i), fy = static_cast<float>(v - j);
            frame.seen.at(x, y) = 1;
            const float *upper = ground.value.row(j) + i, *lower = ground.value.row(j + 1) + i;
            const float top = upper[0] + fx * (upper[1] - upper[0]);
            const float bottom = lower[0] + fx * (lower[1] - lower[0]);
            turned.at(x, y) = top + fy * (bottom - top);
        }
    }
    constexpr double kTilts[] = {-0.2, 0.0, 0.2};
    constexpr float kUnseen = -10;
    LineSupport support = line_support(frame, unit_m, kTilts, false);
    for (int y = 0; y < support.z.height(); ++y)
        for (int x = 0; x < support.z.width(); ++x)
            if (support.seen.at(x, y) == 0) support.z.at(x, y) = kUnseen;
    for (int y = 0; y < out.height(); ++y)
        for (int x = 0; x < out.width(); ++x) {
            // The best of the pixels that one kept pixel covers: a thin line must survive the
            // coarser grid.
            float best = kUnseen;
            for (int v = y * step; v < std::min(ground.value.height(), (y + 1) * step); ++v)
                for (int u = x * step; u < std::min(ground.value.width(), (x + 1) * step); ++u) {
                    const Point q = Point{u + 0.5, v + 0.5} - origin;
                    const int column = static_cast<int>(std::floor(dot(q, along))) - frame.padding,
                              row = static_cast<int>(std::floor(dot(q, across)));
                    if (support.z.contains(column, row))
                        best = std::max(best, support.z.at(column, row));
                }
            out.at(x, y) = best <= kUnseen
                               ? std::uint8_t{255}
                               : static_cast<std::uint8_t>(std::lround(50 * (best + 1)));
        }
}

/// Each direction is kept at the best of so many pixels of its ground, each way.
int kept_step(double effective_gsd_m) { return effective_gsd_m > 4 ? 1 : 2; }

}  // namespace

int direction_step(double effective_gsd_m, double fine_m) {
    return kept_step(effective_gsd_m) *
           std::max(1,
                    static_cast<int>(std::lround(std::max(2.4, 0.4 * effective_gsd_m) / fine_m)));
}

void raise_directions(LineEvidence& e, double gsd_m, std::optional<Point> sun_px, bool by_drawn) {
    e.directions.clear();
    if (!e.usable) return;
    const int kept = kept_step(e.effective_gsd_m),
              step = e.search_step_px / e.luminance_step_px / kept;
    const Ground ground = ground_of(e, step, gsd_m * e.luminance_step_px, by_drawn);
    for (int k = 0; k < kLineDirections; ++k)
        e.directions.emplace_back((ground.value.width() + kept - 1) / kept,
                                  (ground.value.height() + kept - 1) / kept, std::uint8_t{255});
    parallel_items(kLineDirections, [&](int k) {
        direction_support(ground, k * std::numbers::pi / kLineDirections, e.unit_m, sun_px, kept,
                          e.directions[static_cast<std::size_t>(k)]);
    });
}

}  // namespace fenceline
