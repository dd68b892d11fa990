#include "stages/perimeter_looks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>
#include <numbers>

#include "core/parallel.h"
#include "stages/perimeter_detour.h"

namespace fenceline {
namespace {

/// Offsets of the parallels that a line is compared with: 21–60 m, wider where the sensor is
/// coarser.
std::array<double, 8> parallel_offsets_m(const Series& series) {
    const double near_m = std::max(21.0, 3 * series.resolution_m),
                 far_m = std::max(60.0, 8 * series.resolution_m);
    std::array<double, 8> out{};
    for (int k = 0; k < 4; ++k) {
        const double offset = near_m + (far_m - near_m) * k / 3;
        out[static_cast<std::size_t>(k)] = offset;
        out[static_cast<std::size_t>(7 - k)] = -offset;
    }
    return out;
}

/// Share of a line's pieces that are seen where it stands; where none stands, the share of its
/// parallels that look like a line, at least kSeenByChance (paths that were searched for look
/// better than any place). Neighbouring pieces are not independent, and one look never says more
/// than kMostPerLook.
constexpr double kSeenWhenThere = 0.75, kSeenByChance = 0.3, kIndependence = 0.4;

double tolerance_m(const Series& series, int scene) {
    return std::max({1.0 * series.unit_m, 0.25 * series.resolution_m,
                     std::min(2 * ribbon_sigma_m(series, scene), 6 * series.unit_m)});
}

/// Support, in z, by which a place may fall short of a peak and belong to it: z is clipped, so a
/// clear line's peak is flat.
constexpr double kPeakDepth = 0.2;
constexpr std::size_t kLeastOffsets = 5;

/// Index of the middle of what lies around the highest value and nearly as high.
double middle_of_peak(std::span<const double> values, double highest) {
    const auto top = std::find(values.begin(), values.end(), highest);
    auto from = top, to = top;
    while (from != values.begin() && *std::prev(from) > highest - kPeakDepth) --from;
    while (std::next(to) != values.end() && *std::next(to) > highest - kPeakDepth) ++to;
    return 0.5 * static_cast<double>((from - values.begin()) + (to - values.begin()));
}

}  // namespace

double ribbon_sigma_m(const Series& series, int scene) {
    const auto i = static_cast<std::size_t>(scene);
    const double sigma =
        i < series.registration_sigma_m.size() ? series.registration_sigma_m[i] : 0.0;
    return std::isfinite(sigma) ? std::clamp(sigma, 0.0, 50.0) : 0.0;
}

Ribbon make_ribbon(const Series& series, Centreline line, double reach_m,
                   std::span<const int> placed_by) {
    Ribbon ribbon;
    ribbon.line = std::move(line);
    ribbon.half_rows = static_cast<int>(std::ceil(
        (parallel_offsets_m(series)[3] + 10 * series.unit_m + reach_m) / (series.unit_m / 2)));
    ribbon.support.resize(series.scenes.size());
    parallel_items(static_cast<int>(series.usable.size()), [&](int k) {
        const int look = series.usable[static_cast<std::size_t>(k)];
        const auto i = static_cast<std::size_t>(look);
        const bool places = std::find(placed_by.begin(), placed_by.end(), look) != placed_by.end();
        ribbon.support[i] =
            support_beside(series.evidence[i], series.sun_px[i], ribbon.line, ribbon.half_rows,
                           series.gsd_m, series.unit_m, series.drawn, places);
    });
    return ribbon;
}

Plane mean_support(const Ribbon& ribbon, std::span<const int> scenes, Plane LineSupport::*what) {
    const int width = static_cast<int>(ribbon.line.points_px.size()),
              height = 2 * ribbon.half_rows + 1;
    Plane mean(width, height);
    parallel_rows(height, [&](int y0, int y1) {
        for (int y = y0; y < y1; ++y)
            for (int x = 0; x < width; ++x) {
                float sum = 0;
                int count = 0;
                for (const int i : scenes) {
                    const LineSupport& s = ribbon.support[static_cast<std::size_t>(i)];
                    if (!(s.*what).contains(x, y) || s.seen.at(x, y) == 0) continue;
                    sum += (s.*what).at(x, y);
                    ++count;
                }
                mean.at(x, y) = count > 0 ? sum / static_cast<float>(count) : 0.0F;
            }
    });
    return mean;
}

double support_along(const Series& series, std::span<const int> scenes, Point from_px,
                     Point to_px) {
    const Point way = to_px - from_px;
    const double length = norm(way), step_px = 0.5 * series.unit_m / series.gsd_m;
    const double turns = std::atan2(way.y, way.x) / std::numbers::pi;  // a line has no sense: mod 1
    const int direction =
        static_cast<int>(std::lround((turns - std::floor(turns)) * kLineDirections)) %
        kLineDirections;
    const int steps = std::max(1, static_cast<int>(std::ceil(length / step_px)));
    double sum = 0;
    int count = 0;
    for (const int i : scenes) {
        const LineEvidence& e = series.evidence[static_cast<std::size_t>(i)];
        const auto& plane = series.directional(i, direction);
        for (int k = 0; k < steps; ++k) {
            const Point p = from_px + ((k + 0.5) / steps) * way;
            const int x = static_cast<int>(std::floor(p.x / e.search_step_px)),
                      y = static_cast<int>(std::floor(p.y / e.search_step_px));
            if (!plane.contains(x, y) || plane.at(x, y) == 255) continue;
            sum += plane.at(x, y) / 50.0 - 1;
            ++count;
        }
    }
    return count > 0 ? sum / count : 0.0;
}

std::vector<int> trace(const Series& series, const Ribbon& ribbon, std::span<const int> looks,
                       double reach_m) {
    // Where walls are seen as such, strength places them; where not, consistency does.
    const Plane support = mean_support(
        ribbon, looks, shows_walls(series.unit_m) ? &LineSupport::fit : &LineSupport::z);
    const double across_m = series.unit_m / 2;
    // The pull: half a unit of evidence at this distance (a catalogue's line is off by 9 m in one
    // case of ten).
    const double pull_m = std::max(22.0, 2.2 * series.resolution_m);
    Plane cost(support.width(), support.height());
    for (int y = 0; y < cost.height(); ++y) {
        const double n = (y - ribbon.half_rows) * across_m;
        const auto pull = static_cast<float>(0.5 * n * n / (pull_m * pull_m));
        for (int x = 0; x < cost.width(); ++x) {
            float value = pull - support.at(x, y);
            if (std::abs(n) > reach_m) value += 50;
            const int end = std::min(x, cost.width() - 1 - x);
            if (!ribbon.line.closed && end < 3 && std::abs(n) > 2 * series.unit_m)
                value += 50;  // its ends are known
            cost.at(x, y) = value;
        }
    }
    return cheapest_rows(cost, ribbon.line.closed, shows_walls(series.unit_m) ? 1.0F : 3.0F);
}

Polyline path_at(const Series& series, const Ribbon& ribbon, const std::vector<int>& rows) {
    Polyline out;
    const double across_px = series.unit_m / 2 / series.gsd_m;
    const int count = static_cast<int>(rows.size()), half = 2;
    for (int i = 0; i < count; ++i) {
        double sum = 0;
        int n = 0;
        for (int k = -half; k <= half; ++k) {
            const int j =
                ribbon.line.closed ? (i + k + count) % count : std::clamp(i + k, 0, count - 1);
            sum += rows[static_cast<std::size_t>(j)] - ribbon.half_rows;
            ++n;
        }
        out.push_back(ribbon.line.points_px[static_cast<std::size_t>(i)] +
                      (sum / n * across_px) * ribbon.line.normals[static_cast<std::size_t>(i)]);
    }
    return out;
}

Mask seen_in_any(const Ribbon& ribbon, std::span<const int> scenes) {
    Mask seen(static_cast<int>(ribbon.line.points_px.size()), 2 * ribbon.half_rows + 1);
    for (const int i : scenes) {
        const LineSupport& s = ribbon.support[static_cast<std::size_t>(i)];
        for (int y = 0; y < seen.height(); ++y)
            for (int x = 0; x < seen.width(); ++x)
                if (s.seen.contains(x, y) && s.seen.at(x, y) != 0) seen.at(x, y) = 1;
    }
    return seen;
}

Presence compare_with_parallels(const Series& series, const Plane& z, const Mask& seen,
                                const std::vector<int>& rows, double along_m, double tolerance_m) {
    Presence out;
    const double across_m = series.unit_m / 2, piece_m = std::max(20.0, 3 * series.resolution_m);
    out.columns_per_piece = std::max(1, static_cast<int>(std::lround(piece_m / along_m)));
    const int columns = static_cast<int>(rows.size()),
              tolerance = static_cast<int>(std::lround(tolerance_m / across_m));
    const auto offsets = parallel_offsets_m(series);
    std::vector<float> apart_m;
    std::vector<double> means(static_cast<std::size_t>(2 * tolerance + 1));
    for (int first = 0; first < columns; first += out.columns_per_piece) {
        const int last = std::min(columns, first + out.columns_per_piece);
        // Best mean over the piece within the tolerance around an offset; empty when mostly hidden.
        const auto best_near = [&](double offset_m) -> std::optional<double> {
            const int offset = static_cast<int>(std::lround(offset_m / across_m));
            std::optional<double> best;
            for (int d = -tolerance; d <= tolerance; ++d) {
                double sum = 0;
                int count = 0;
                for (int x = first; x < last; ++x) {
                    const int y = rows[static_cast<std::size_t>(x)] + offset + d;
                    if (!z.contains(x, y) || seen.at(x, y) == 0) continue;
                    sum += z.at(x, y);
                    ++count;
                }
                double& mean = means[static_cast<std::size_t>(d + tolerance)];
                mean = std::numeric_limits<double>::lowest();
                if (2 * count < last - first || count == 0) continue;
                mean = sum / count;
                if (!best || mean > *best) best = mean;
            }
            return best;
        };
        const auto line = best_near(0);
        const double off_rows = line ? middle_of_peak(means, *line) - tolerance : 0.0;
        if (!line) {
            out.pieces.push_back(Piece::hidden);
            continue;
        }
        int parallels = 0, beaten = 0, alike = 0;
        for (const double offset : offsets)
            if (const auto other = best_near(offset)) {
                ++parallels;
                beaten += *line > *other ? 1 : 0;
                alike += *other > kSeenZ ? 1 : 0;
            }
        if (parallels < 4) {
            out.pieces.push_back(Piece::hidden);
            continue;
        }
        out.chance += static_cast<double>(alike) / parallels;
        const bool won = *line > kSeenZ && 2 * beaten > parallels;
        out.pieces.push_back(won ? Piece::won : Piece::lost);
        (won ? out.won : out.lost) += 1;
        if (won) apart_m.push_back(static_cast<float>(std::abs(off_rows) * across_m));
    }
    out.offset_m = apart_m.size() >= kLeastOffsets ? 1.4826 * median_of(apart_m)
                                                   : std::numeric_limits<double>::quiet_NaN();
    return out;
}

double log_likelihood_ratio(const Presence& presence, double most) {
    const int all = presence.won + presence.lost;
    if (all == 0) return 0;
    const double chance = std::clamp(presence.chance / all, kSeenByChance, 0.6);
    const double sum = presence.won * std::log(kSeenWhenThere / chance) +
                       presence.lost * std::log((1 - kSeenWhenThere) / (1 - chance));
    return std::clamp(kIndependence * sum, -most, most);
}

std::vector<Presence> presence_in_scenes(const Series& series, const Ribbon& ribbon,
                                         const std::vector<int>& rows) {
    std::vector<Presence> out(series.scenes.size());
    parallel_items(static_cast<int>(series.usable.size()), [&](int k) {
        const int i = series.usable[static_cast<std::size_t>(k)];
        const LineSupport& s = ribbon.support[static_cast<std::size_t>(i)];
        out[static_cast<std::size_t>(i)] = compare_with_parallels(
            series, s.z, s.seen, rows, ribbon.line.step_m, tolerance_m(series, i));
    });
    return out;
}

}  // namespace fenceline
