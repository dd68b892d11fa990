#include "stages/perimeter.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "core/geodesic.h"
#include "core/parallel.h"
#include "core/projection.h"
#include "stages/perimeter_detour.h"
#include "stages/perimeter_measure.h"
#include "stages/perimeter_region.h"
#include "stages/perimeter_ribbon.h"

namespace fenceline {
namespace {

/// What every step needs to know of the series.
struct Series {
    const Grid& grid;
    std::span<const SceneInfo> scenes;
    std::span<const LineEvidence> evidence;
    std::span<const double> registration_sigma_m;
    const PerimeterOptions& options;
    std::vector<std::optional<Point>> sun_px;
    std::vector<int> usable;  ///< scene indices
    double gsd_m = 1, unit_m = 1, resolution_m = 1;
};

double ribbon_sigma_m(const Series& series, int scene) {
    const auto i = static_cast<std::size_t>(scene);
    const double sigma =
        i < series.registration_sigma_m.size() ? series.registration_sigma_m[i] : 0.0;
    return std::isfinite(sigma) ? std::clamp(sigma, 0.0, 50.0) : 0.0;
}

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

/// A line with every scene's support beside it.
struct Ribbon {
    Centreline line;
    int half_rows = 0;                 ///< the search and the widest parallel beside it fit in
    std::vector<LineSupport> support;  ///< per scene of the series; empty where not usable
};

/// reach_m: how far from the line its place will be searched.
Ribbon make_ribbon(const Series& series, Centreline line, double reach_m) {
    Ribbon ribbon;
    ribbon.line = std::move(line);
    ribbon.half_rows = static_cast<int>(std::ceil(
        (parallel_offsets_m(series)[3] + 10 * series.unit_m + reach_m) / (series.unit_m / 2)));
    ribbon.support.resize(series.scenes.size());
    static constexpr std::array<double, 5> kTilts{-0.5, -0.25, 0.0, 0.25, 0.5};
    parallel_items(static_cast<int>(series.usable.size()), [&](int k) {
        const auto i = static_cast<std::size_t>(series.usable[static_cast<std::size_t>(k)]);
        const LineFrame frame = unroll(series.evidence[i], series.sun_px[i], ribbon.line,
                                       ribbon.half_rows, series.gsd_m, series.unit_m);
        ribbon.support[i] = line_support(frame, series.unit_m, kTilts);
    });
    return ribbon;
}

/// Mean over some scenes of what the evidence says, where seen; 0 where none of them sees anything.
Plane mean_support(const Ribbon& ribbon, std::span<const int> scenes,
                   Plane LineSupport::*what = &LineSupport::z) {
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
                    if (!s.z.contains(x, y) || s.seen.at(x, y) == 0) continue;
                    sum += (s.*what).at(x, y);
                    ++count;
                }
                mean.at(x, y) = count > 0 ? sum / static_cast<float>(count) : 0.0F;
            }
    });
    return mean;
}

/// The line's row per column in the looks given: cheapest way through their mean evidence with a
/// weak pull towards the line that the ribbon was made along.
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

/// Support from which a piece of line counts as seen, and the share of a line's length that must
/// be.
constexpr double kSeenZ = 1.0;

enum class Piece : std::uint8_t { hidden, lost, won };

/// What one scene (or a mean of scenes) says about a line: pieces of it against their parallels.
struct Presence {
    std::vector<Piece> pieces;
    int columns_per_piece = 1;
    int won = 0, lost = 0;
    double chance =
        0;  ///< sum over the pieces of the share of parallels that look like a line, too
    double win_share() const {
        return won + lost > 0 ? static_cast<double>(won) / (won + lost) : 0.0;
    }
};

/// Nonzero where at least one of the scenes sees a ribbon's place.
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

/// z: support with the ribbon's rows and columns; seen: where it holds.
Presence compare_with_parallels(const Series& series, const Plane& z, const Mask& seen,
                                const std::vector<int>& rows, double along_m, double tolerance_m) {
    Presence out;
    const double across_m = series.unit_m / 2, piece_m = std::max(20.0, 3 * series.resolution_m);
    out.columns_per_piece = std::max(1, static_cast<int>(std::lround(piece_m / along_m)));
    const int columns = static_cast<int>(rows.size()),
              tolerance = static_cast<int>(std::lround(tolerance_m / across_m));
    const auto offsets = parallel_offsets_m(series);
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
                if (2 * count < last - first || count == 0) continue;
                if (!best || sum / count > *best) best = sum / count;
            }
            return best;
        };
        const auto line = best_near(0);
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
    }
    return out;
}

/// Share of a line's pieces that are seen where it stands; where none stands, the share of its
/// parallels that look like a line, at least kSeenByChance (paths that were searched for look
/// better than any place). Neighbouring pieces are not independent, and one look never says more
/// than kMostPerLook.
constexpr double kSeenWhenThere = 0.75, kSeenByChance = 0.3, kIndependence = 0.4, kMostPerLook = 6;

double log_likelihood_ratio(const Presence& presence, double most = kMostPerLook) {
    const int all = presence.won + presence.lost;
    if (all == 0) return 0;
    const double chance = std::clamp(presence.chance / all, kSeenByChance, 0.6);
    const double sum = presence.won * std::log(kSeenWhenThere / chance) +
                       presence.lost * std::log((1 - kSeenWhenThere) / (1 - chance));
    return std::clamp(kIndependence * sum, -most, most);
}

double tolerance_m(const Series& series, int scene) {
    return std::max({1.0 * series.unit_m, 0.25 * series.resolution_m,
                     std::min(2 * ribbon_sigma_m(series, scene), 6 * series.unit_m)});
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

/// New lines with new ground on both sides are roads and roofs within new ground; the border has it
/// on one side at most. Lowers the gain of the former. unit_px: U in the field's pixels.
void prefer_borders(GainField& field, double unit_px) {
    const int width = field.gain.front().width(), height = field.gain.front().height();
    if (width == 0 || height == 0) return;
    std::vector<float> busy;
    Plane strongest(width, height);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            for (const Plane& gain : field.gain)
                strongest.at(x, y) = std::max(strongest.at(x, y), gain.at(x, y));
    std::vector<double> integral(
        static_cast<std::size_t>(width + 1) * static_cast<std::size_t>(height + 1), 0.0);
    const auto cell = [&](int x, int y) -> double& {
        return integral[static_cast<std::size_t>(y) * static_cast<std::size_t>(width + 1) +
                        static_cast<std::size_t>(x)];
    };
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            cell(x + 1, y + 1) = static_cast<double>(strongest.at(x, y)) + cell(x, y + 1) +
                                 cell(x + 1, y) - cell(x, y);
    const int half = std::max(1, static_cast<int>(std::lround(7.5 * unit_px)));
    const double aside = 10 * unit_px;
    const auto density = [&](double x, double y) {
        const int cx = static_cast<int>(std::floor(x)), cy = static_cast<int>(std::floor(y));
        const int x0 = std::clamp(cx - half, 0, width), x1 = std::clamp(cx + half + 1, 0, width),
                  y0 = std::clamp(cy - half, 0, height), y1 = std::clamp(cy + half + 1, 0, height);
        const int area = (x1 - x0) * (y1 - y0);
        return area > 0 ? (cell(x1, y1) - cell(x0, y1) - cell(x1, y0) + cell(x0, y0)) / area : 0.0;
    };
    for (int y = half; y < height; y += half)
        for (int x = half; x < width; x += half) busy.push_back(static_cast<float>(density(x, y)));
    const double usual = static_cast<double>(median_of(busy));
    for (int k = 0; k < kLineDirections; ++k) {
        const double angle = k * std::numbers::pi / kLineDirections;
        const Point normal{-std::sin(angle) * aside, std::cos(angle) * aside};
        Plane& gain = field.gain[static_cast<std::size_t>(k)];
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x) {
                const double both = std::min(density(x + normal.x, y + normal.y),
                                             density(x - normal.x, y - normal.y));
                gain.at(x, y) *=
                    static_cast<float>(1 - std::clamp((both - 1.3 * usual) / 0.15, 0.0, 0.85));
            }
    }
}

/// Mean over scenes of the directional support in [from, to) minus before, scaled to 0…1.
GainField gain_between(const Series& series, std::span<const int> before,
                       std::span<const int> after, const Ring& ring_px, double reach_m) {
    GainField field;
    int step = 1;
    for (const int i : series.usable)
        step = std::max(step, series.evidence[static_cast<std::size_t>(i)].search_step_px);
    field.step = step;
    double x0 = 1e300, y0 = 1e300, x1 = -1e300, y1 = -1e300;
    for (const Point p : ring_px)
        x0 = std::min(x0, p.x), y0 = std::min(y0, p.y), x1 = std::max(x1, p.x),
        y1 = std::max(y1, p.y);
    const double margin = reach_m / series.gsd_m;
    const int left = std::max(0, static_cast<int>((x0 - margin) / step)),
              top = std::max(0, static_cast<int>((y0 - margin) / step));
    const int right =
                  std::min(series.grid.width / step, static_cast<int>((x1 + margin) / step) + 1),
              bottom =
                  std::min(series.grid.height / step, static_cast<int>((y1 + margin) / step) + 1);
    field.origin_px = {static_cast<double>(left) * step, static_cast<double>(top) * step};
    const int width = std::max(0, right - left), height = std::max(0, bottom - top);
    for (int k = 0; k < kLineDirections; ++k) field.gain.emplace_back(width, height);
    const auto mean = [&](std::span<const int> scenes, int direction, int x, int y, double none,
                          bool positive) {
        double sum = 0;
        int count = 0;
        for (const int i : scenes) {
            const LineEvidence& e = series.evidence[static_cast<std::size_t>(i)];
            const auto& plane = e.planes[static_cast<std::size_t>(direction) + 1];
            const int u = static_cast<int>((x + 0.5) * step / e.search_step_px),
                      v = static_cast<int>((y + 0.5) * step / e.search_step_px);
            if (!plane.contains(u, v) || plane.at(u, v) == 255) continue;
            const double z = plane.at(u, v) / 50.0 - 1;
            sum += positive ? std::max(0.0, z) : z;
            ++count;
        }
        return count > 0 ? sum / count : none;
    };
    parallel_rows(height, [&](int r0, int r1) {
        for (int k = 0; k < kLineDirections; ++k)
            for (int y = r0; y < r1; ++y)
                for (int x = 0; x < width; ++x) {
                    const double gain = mean(after, k, left + x, top + y, 0, false) -
                                        mean(before, k, left + x, top + y, 4, true);
                    field.gain[static_cast<std::size_t>(k)].at(x, y) =
                        static_cast<float>(std::clamp(gain / 3, 0.0, 1.0));
                }
    });
    prefer_borders(field, series.unit_m / (series.gsd_m * step));
    return field;
}

/// A detour with what every scene says about it.
struct Candidate {
    Detour detour;
    Ribbon ribbon;
    std::vector<int> rows;
    Polyline path_px;  ///< refined
    std::vector<Presence> there;
    Presence mean;   ///< in the mean of the looks that it was searched in
    int change = 0;  ///< position in `usable` of the first look with the new line
    double score =
        0;  ///< log-likelihood ratio of "new line from then on" summed over the looks, not capped
    double supported = 0;
    Ring region_px;
    double ground = 0,
           ground_sigma_m2 =
               0;  ///< StraightDetour's (worth: agreed with all), where the sensor shows no walls
};

/// The ground between a detour and the stretch of the ring that it replaces.
Ring region_between(const Centreline& ring, const Detour& detour, const Polyline& path) {
    Ring region(path.begin(), path.end());
    const int count = static_cast<int>(ring.points_px.size());
    const int stretch = ((detour.returns - detour.leaves) % count + count) % count;
    for (int i = stretch - 1; i > 0; --i)
        region.push_back(ring.points_px[static_cast<std::size_t>((detour.leaves + i) % count)]);
    return region;
}

std::string scene_name(const SceneInfo& scene) {
    return scene.datetime ? format_date(*scene.datetime) + " (" + scene.id + ")" : scene.id;
}

/// At least this share of a line's pieces must be seen for the line to count as seen; less once it
/// is known to stand.
constexpr double kShareThatShows = 0.65, kShareThatStillShows = 0.5;

bool shows_line(const Presence& look, bool stands) {
    return look.win_share() >= (stands ? kShareThatStillShows : kShareThatShows) &&
           log_likelihood_ratio(look) > 0 &&
           2 * (look.won + look.lost) >= static_cast<int>(look.pieces.size());
}
std::vector<int> scenes_that_show(const Series& series, std::span<const Presence> looks) {
    std::vector<int> out;
    for (const int i : series.usable)
        if (shows_line(looks[static_cast<std::size_t>(i)], !out.empty())) out.push_back(i);
    return out;
}

/// Neighbouring pieces of one kind joined; the line is closed, so the last may belong to the first.
std::vector<PerimeterSegment> segments_of(const Presence& look, double piece_m) {
    std::vector<PerimeterSegment> out;
    for (const Piece piece : look.pieces) {
        const char* support = piece == Piece::won    ? "seen"
                              : piece == Piece::lost ? "bridged"
                                                     : "hidden";
        if (out.empty() || out.back().support != support) out.push_back({support, 0});
        out.back().length_m += piece_m;
    }
    if (out.size() > 1 && out.front().support == out.back().support) {
        out.front().length_m += out.back().length_m;
        out.pop_back();
    }
    return out;
}

LineErrors errors_of(const Series& series, int scene, std::span<const PerimeterSegment> segments) {
    LineErrors errors;
    errors.normal_sigma_m = series.options.normal_noise_m;
    errors.correlation_m = series.options.noise_length_m * std::max(1.0, series.unit_m / 2);
    errors.bias_sigma_m = series.options.shared_bias_m;
    errors.resolution_m = series.resolution_m;
    errors.registration_sigma_m = ribbon_sigma_m(series, scene);
    for (const auto& segment : segments) {
        // Stretches that are missed here and there are what the noise is about; longer ones are
        // gaps.
        if (segment.support == "bridged" && segment.length_m > series.options.max_gap_m)
            errors.bridged_m.push_back(segment.length_m);
        if (segment.support == "hidden") errors.hidden_m.push_back(segment.length_m);
    }
    return errors;
}

/// The line of a part of the series.
struct Epoch {
    int start = 0;  ///< position in `usable`
    Ring ring_px;
    double area_sigma_m2 = 0;  ///< LineErrors'
    Ribbon ribbon;
    std::vector<int> rows;
};

Polyline replaced_stretch(const Centreline& ring, const Detour& detour) {
    Polyline out;
    const int count = static_cast<int>(ring.points_px.size());
    const int stretch = ((detour.returns - detour.leaves) % count + count) % count;
    for (int i = 0; i <= stretch; ++i)
        out.push_back(ring.points_px[static_cast<std::size_t>((detour.leaves + i) % count)]);
    return out;
}

/// A ring without its spurs: where it comes back to within `neck_px` of itself after at most
/// `most_px`, and the loop encloses hardly any ground, the loop is cut off.
Ring without_spurs(const Ring& ring_px, double neck_px, double most_px) {
    const Ring ring = resample_ring(ring_px, neck_px / 2);
    const int count = static_cast<int>(ring.size()),
              most = std::min(count / 4, static_cast<int>(most_px / (neck_px / 2)));
    Ring out;
    for (int i = 0; i < count; ++i) {
        out.push_back(ring[static_cast<std::size_t>(i)]);
        int jump = i;
        double area = 0, length = 0;
        for (int k = i + 1; k <= i + most && k < count; ++k) {
            const Point a = ring[static_cast<std::size_t>(k - 1)],
                        b = ring[static_cast<std::size_t>(k)],
                        o = ring[static_cast<std::size_t>(i)];
            area += cross(a - o, b - o) / 2;
            length += distance(a, b);
            // A true corner's two sides part at once: a spur's stay within about two necks.
            if (length > 4 * neck_px && distance(o, b) <= neck_px &&
                std::abs(area) <= neck_px * length)
                jump = k;
        }
        i = jump;
    }
    return out;
}

bool stretches_overlap(const Detour& a, const Detour& b, int count) {
    const auto inside = [&](int i, const Detour& d) {
        return ((i - d.leaves) % count + count) % count <
               ((d.returns - d.leaves) % count + count) % count;
    };
    return inside(a.leaves, b) || inside(b.leaves, a);
}

/// How far, in U, a detour's line is placed from the path of the search.
constexpr double kDetourReach = 12;

/// Fills in what the looks say about a detour: refined path, presence per look, the best time of
/// change.
Candidate look_at_detour(const Series& series, const Centreline& ring, Detour detour,
                         std::span<const int> after) {
    Candidate c;
    c.detour = std::move(detour);
    c.ribbon =
        make_ribbon(series, centreline_of_path(c.detour.path_px, series.gsd_m, series.unit_m),
                    kDetourReach * series.unit_m);
    const Plane mean = mean_support(c.ribbon, after);
    c.rows = trace(series, c.ribbon, after, kDetourReach * series.unit_m);
    c.path_px = path_at(series, c.ribbon, c.rows);
    c.there = presence_in_scenes(series, c.ribbon, c.rows);
    c.mean = compare_with_parallels(series, mean, seen_in_any(c.ribbon, after), c.rows,
                                    c.ribbon.line.step_m, series.unit_m);
    c.supported = c.mean.win_share();
    c.region_px = region_between(ring, c.detour, c.path_px);
    const int count = static_cast<int>(series.usable.size());
    c.score = -std::numeric_limits<double>::infinity();
    for (int change = 1; change < count; ++change) {
        double sum = 0;
        for (int u = 0; u < count; ++u) {
            const double ratio = log_likelihood_ratio(
                c.there[static_cast<std::size_t>(series.usable[static_cast<std::size_t>(u)])], 1e9);
            sum += u < change ? -ratio : ratio;
        }
        if (sum > c.score) c.score = sum, c.change = change;
    }
    return c;
}

/// Mean share of pieces seen in some looks.
double mean_share(const Series& series, const Candidate& c, int from, int to) {
    double sum = 0;
    int count = 0;
    for (int u = from; u < to; ++u) {
        const Presence& look =
            c.there[static_cast<std::size_t>(series.usable[static_cast<std::size_t>(u)])];
        if (look.won + look.lost == 0) continue;
        sum += look.win_share();
        ++count;
    }
    return count > 0 ? sum / count : 0.0;
}

/// Share of pieces, after less before, that a path which was searched for in those looks wins where
/// nothing has changed.
constexpr double kShareByChance = 0.4;

/// Stretches of a candidate's path that show no line: two pieces or more, with single seen pieces
/// among them, and a piece more on either side.
std::vector<Stretch> unseen_stretches(const Candidate& c) {
    std::vector<Stretch> out;
    const auto& pieces = c.mean.pieces;
    const int count = static_cast<int>(pieces.size());
    const auto won = [&](int i) { return pieces[static_cast<std::size_t>(i)] == Piece::won; };
    for (int i = 0; i < count; ++i) {
        if (won(i)) continue;
        int end = i, lost = 0;
        for (int k = i; k < count && !(won(k) && (k + 1 >= count || won(k + 1))); ++k)
            if (!won(k)) ++lost, end = k;
        if (lost >= 2) {
            const int from = std::max(0, i - 1), to = std::min(count, end + 2);
            const auto point = [&](int piece) {
                return std::min(static_cast<std::size_t>(piece * c.mean.columns_per_piece),
                                c.path_px.size());
            };
            out.push_back(
                {i <= 1 ? 0 : point(from), end >= count - 2 ? c.path_px.size() : point(to)});
        }
        i = end + 1;
    }
    return out;
}

/// The ring with the stretches replaced. The changes' stretches do not overlap.
Ring with_changes(const Centreline& ring, std::span<const Candidate* const> changes) {
    const int count = static_cast<int>(ring.points_px.size());
    std::vector<const Candidate*> at(ring.points_px.size(), nullptr);
    int begin = 0;  // a point that no change replaces
    for (const Candidate* c : changes) {
        at[static_cast<std::size_t>(c->detour.leaves)] = c;
        begin = c->detour.returns;
    }
    Ring out;
    for (int walked = 0; walked < count;) {
        const int i = (begin + walked) % count;
        if (const Candidate* c = at[static_cast<std::size_t>(i)]) {
            out.insert(out.end(), c->path_px.begin(), c->path_px.end());
            walked += std::max(1, ((c->detour.returns - c->detour.leaves) % count + count) % count);
        } else {
            out.push_back(ring.points_px[static_cast<std::size_t>(i)]);
            ++walked;
        }
    }
    return out;
}

/// A detour, and another one that leaves the ring grown by the first: as one detour of the ring.
/// Empty when they do not fit together.
std::optional<Detour> joined_detour(const Series& series, const Centreline& ring,
                                    const Candidate& inner, const Centreline& grown,
                                    const Candidate& outer) {
    const auto nearest = [](const std::vector<Point>& points, Point place) {
        std::size_t best = 0;
        for (std::size_t i = 1; i < points.size(); ++i)
            if (distance(points[i], place) < distance(points[best], place)) best = i;
        return best;
    };
    const double touching = 3 * series.unit_m / series.gsd_m;
    const Point leaves = grown.points_px[static_cast<std::size_t>(outer.detour.leaves)],
                returns = grown.points_px[static_cast<std::size_t>(outer.detour.returns)];
    const std::size_t from = nearest(inner.path_px, leaves), to = nearest(inner.path_px, returns);
    const bool from_inner = distance(inner.path_px[from], leaves) <= touching,
               to_inner = distance(inner.path_px[to], returns) <= touching;
    if (!from_inner && !to_inner) return std::nullopt;  // it has nothing to do with the first
    if (from_inner && to_inner && to <= from) return std::nullopt;
    Detour joined = outer.detour;
    joined.leaves = inner.detour.leaves;
    joined.returns = inner.detour.returns;
    joined.path_px.clear();
    if (from_inner)
        joined.path_px.assign(inner.path_px.begin(),
                              inner.path_px.begin() + static_cast<std::ptrdiff_t>(from));
    else
        joined.leaves = static_cast<int>(nearest(ring.points_px, leaves));
    joined.path_px.insert(joined.path_px.end(), outer.path_px.begin(), outer.path_px.end());
    if (to_inner)
        joined.path_px.insert(joined.path_px.end(),
                              inner.path_px.begin() + static_cast<std::ptrdiff_t>(to),
                              inner.path_px.end());
    else
        joined.returns = static_cast<int>(nearest(ring.points_px, returns));
    return joined;
}

/// Expansions and contractions of the line that is first seen in scene first_seen. METHODS.md 5,
/// "Growth".
std::vector<Candidate> find_changes(const Series& series, const Centreline& ring, int first_seen,
                                    double area_m2) {
    const std::span<const int> all(series.usable);
    const int count = static_cast<int>(all.size());
    const int first = static_cast<int>(std::find(all.begin(), all.end(), first_seen) - all.begin());
    struct Found {
        Detour detour;
        int split;
    };
    std::vector<Found> found;
    const auto search = [&](std::span<const int> before, std::span<const int> after,
                            std::span<const int> exits = {}) {
        const GainField field =
            gain_between(series, before, after, ring.points_px, series.options.max_detour_m);
        return find_detours(field, ring, series.gsd_m, series.unit_m,
                            series.options.min_change_share * area_m2, 5 * area_m2,
                            series.options.max_detour_m, 3, exits);
    };
    std::vector<std::vector<Detour>> per_split(static_cast<std::size_t>(count));
    parallel_items(count, [&](int split) {
        if (split > first)
            per_split[static_cast<std::size_t>(split)] =
                search(all.first(static_cast<std::size_t>(split)),
                       all.subspan(static_cast<std::size_t>(split)));
    });
    for (int split = 0; split < count; ++split)
        for (Detour& d : per_split[static_cast<std::size_t>(split)])
            found.push_back({std::move(d), split});
    std::stable_sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
        return a.detour.score > b.detour.score;
    });

    // The same detour turns up at several splits: keep the best of each.
    std::vector<Candidate> candidates;
    std::vector<Ring> regions;
    const double step = 8 * series.unit_m / series.gsd_m;
    for (const Found& f : found) {
        if (candidates.size() >= (shows_walls(series.unit_m) ? 12U : 8U)) break;
        const Ring region = region_between(ring, f.detour, f.detour.path_px);
        bool known = false;
        for (const Ring& other : regions) known = known || polygon_iou(region, other, step) > 0.8;
        if (known) continue;
        regions.push_back(region);
        candidates.push_back(
            look_at_detour(series, ring, f.detour, all.subspan(static_cast<std::size_t>(f.split))));
    }
    if (!shows_walls(series.unit_m)) {
        // Here every road and row of roofs is a line as good: the ground says how far out to go.
        parallel_items(static_cast<int>(candidates.size()), [&](int k) {
            Candidate& c = candidates[static_cast<std::size_t>(k)];
            if (c.change <= first || !c.detour.outside) return;
            const auto split = static_cast<std::size_t>(c.change);
            StraightDetour straight =
                straightened(gain_between(series, all.first(split), all.subspan(split),
                                          ring.points_px, series.options.max_detour_m),
                             changed_ground(series.evidence, all.first(split), all.subspan(split),
                                            series.gsd_m, series.resolution_m),
                             ring, c.detour, series.gsd_m, series.resolution_m);
            const double worth = straight.worth, sigma = straight.area_sigma_m2;
            c = look_at_detour(series, ring, std::move(straight.detour), all.subspan(split));
            c.ground = worth;
            c.ground_sigma_m2 = sigma;
        });
        // Starts and dates that end in other borders of the same ground: how far they disagree.
        const double pixel_m2 = series.gsd_m * series.gsd_m;
        std::vector<double> spread(candidates.size(), 0.0);
        for (std::size_t k = 0; k < candidates.size(); ++k) {
            const double own = std::abs(signed_area(candidates[k].region_px)) * pixel_m2;
            double sum = 0;
            int alike = 0;
            for (const Candidate& other : candidates)
                if (other.ground > 0.7 * candidates[k].ground &&
                    polygon_iou(other.region_px, candidates[k].region_px, step) > 0.6) {
                    sum += std::pow(std::abs(signed_area(other.region_px)) * pixel_m2 - own, 2);
                    ++alike;
                }
            if (alike > 1) spread[k] = std::sqrt(sum / (alike - 1));
        }
        // No start is trusted alone: the border that agrees best with all of them is the first
        // choice.
        std::vector<double> agreement(candidates.size(), 0.0);
        for (std::size_t k = 0; k < candidates.size(); ++k)
            for (const Candidate& other : candidates)
                agreement[k] += std::max(0.0, other.ground) *
                                polygon_iou(other.region_px, candidates[k].region_px, step);
        for (std::size_t k = 0; k < candidates.size(); ++k) {
            candidates[k].ground_sigma_m2 = std::hypot(candidates[k].ground_sigma_m2, spread[k]);
            candidates[k].ground = agreement[k];
        }
    }
    // Of several ways, the one with the most metres that are there after and not before, beyond
    // what any path that was searched for has by chance: an outer line that is seen beats an inner
    // one, and one that is padded with unseen stretches loses.
    const auto worth = [&](const Candidate& c) {
        if (!shows_walls(series.unit_m)) return c.ground;
        const double before = mean_share(series, c, first, c.change),
                     after = mean_share(series, c, c.change, count);
        return line_length(c.path_px) * (std::min(after, c.supported) - before - kShareByChance);
    };
    const auto best_first = [&](const Candidate& a, const Candidate& b) {
        return worth(a) > worth(b);
    };
    std::stable_sort(candidates.begin(), candidates.end(), best_first);
    if (shows_walls(series.unit_m)) {
        // A front finds the way to a place, but which place it is was chosen for the path's length:
        // stretches that show no line are walked anew where that gives more metres of line.
        for (std::size_t k = 0; k < std::min<std::size_t>(candidates.size(), 4); ++k)
            for (int round = 0; round < 2; ++round) {
                Candidate& c = candidates[k];
                if (c.change <= first || c.change >= count) break;
                const std::vector<Stretch> unseen = unseen_stretches(c);
                if (unseen.empty()) break;
                const auto split = static_cast<std::size_t>(c.change);
                Detour as_traced = c.detour;
                as_traced.path_px = c.path_px;
                const GainField field = gain_between(series, all.first(split), all.subspan(split),
                                                     ring.points_px, series.options.max_detour_m);
                Candidate again =
                    look_at_detour(series, ring,
                                   reroute(field, ring, as_traced, unseen, series.gsd_m,
                                           series.unit_m, series.options.max_detour_m),
                                   all.subspan(split));
                if (!(worth(again) > worth(c))) break;
                c = std::move(again);
            }
        std::stable_sort(candidates.begin(), candidates.end(), best_first);
    }

    // Most of it is there afterwards, less before.
    const auto is_seen_to_come = [&](const Candidate& c) {
        const double before = mean_share(series, c, first, c.change),
                     after = mean_share(series, c, c.change, count);
        return after >= 0.55 && before <= 0.5 && after - before >= 0.25 && c.supported >= 0.7;
    };
    std::vector<Candidate> accepted;
    for (Candidate& c : candidates) {
        if (c.change <= first) continue;
        if (!is_seen_to_come(c)) continue;
        const double share =
            std::abs(signed_area(c.region_px)) * series.gsd_m * series.gsd_m / area_m2;
        if (share < series.options.min_change_share) continue;
        bool overlaps = false;
        for (const Candidate& other : accepted)
            overlaps = overlaps ||
                       stretches_overlap(c.detour, other.detour,
                                         static_cast<int>(ring.points_px.size())) ||
                       polygon_iou(c.region_px, other.region_px, step) > 0.05;
        if (overlaps) continue;
        if (!c.detour.outside) {
            // A new line within the old one is a contraction only when the old stretch went away.
            const Polyline replaced = replaced_stretch(ring, c.detour);
            if (replaced.size() < 4) continue;
            const Ribbon old =
                make_ribbon(series, centreline_of_path(replaced, series.gsd_m, series.unit_m), 0);
            const auto looks = presence_in_scenes(
                series, old, std::vector<int>(old.line.points_px.size(), old.half_rows));
            double sum_before = 0, sum_after = 0;
            for (int u = first; u < count; ++u)
                (u < c.change ? sum_before : sum_after) += log_likelihood_ratio(
                    looks[static_cast<std::size_t>(all[static_cast<std::size_t>(u)])]);
            if (sum_before <= 0 || sum_after >= 0) continue;
        }
        // One look alone cannot confirm what was searched for in it: it must be almost complete.
        if (c.change + 1 == count &&
            (mean_share(series, c, c.change, count) < 0.92 || c.supported < 0.92))
            continue;
        // Hold back dates: a path that half of the later looks draw must be seen by the other half.
        std::vector<int> drawn, held;
        for (int u = c.change; u < count; ++u)
            ((u - c.change) % 2 == 0 ? held : drawn).push_back(all[static_cast<std::size_t>(u)]);
        if (!drawn.empty()) {
            double best_share = 0, best_iou = 0;
            const std::array<int, 2> exits{c.detour.leaves, c.detour.returns};
            for (const Detour& d :
                 search(all.first(static_cast<std::size_t>(c.change)), drawn, exits)) {
                if (d.outside != c.detour.outside) continue;
                const double iou =
                    polygon_iou(region_between(ring, d, d.path_px), c.region_px, step);
                if (iou < 0.3 || iou <= best_iou) continue;
                best_iou = iou;
                const Candidate again = look_at_detour(series, ring, d, drawn);
                double sum = 0;
                for (const int i : held)
                    sum += again.there[static_cast<std::size_t>(i)].win_share();
                best_share = sum / static_cast<double>(held.size());
            }
            if (best_share < 0.45) continue;
        }
        accepted.push_back(std::move(c));
    }
    // Inside new ground there are lines, too: where another new line of the same time stands
    // farther out, that one is the border.
    for (Candidate& c : accepted) {
        if (!c.detour.outside || !shows_walls(series.unit_m)) continue;
        const auto split = static_cast<std::size_t>(c.change);
        const Candidate* const one[] = {&c};
        const Centreline grown =
            centreline_of_ring(with_changes(ring, one), series.gsd_m, series.unit_m);
        const GainField field = gain_between(series, all.first(split), all.subspan(split),
                                             grown.points_px, series.options.max_detour_m);
        for (const Detour& d : find_detours(field, grown, series.gsd_m, series.unit_m,
                                            0.5 * series.options.min_change_share * area_m2,
                                            5 * area_m2, series.options.max_detour_m, 3)) {
            if (!d.outside) continue;
            const Candidate beyond = look_at_detour(series, grown, d, all.subspan(split));
            const std::optional<Detour> joined = joined_detour(series, ring, c, grown, beyond);
            if (!joined || beyond.change != c.change || !is_seen_to_come(beyond)) continue;
            Candidate both = look_at_detour(series, ring, *joined, all.subspan(split));
            if (both.change != c.change || !is_seen_to_come(both)) continue;
            c = std::move(both);
            break;
        }
    }
    std::stable_sort(accepted.begin(), accepted.end(), [](const Candidate& a, const Candidate& b) {
        return a.change != b.change ? a.change < b.change : a.detour.leaves < b.detour.leaves;
    });
    return accepted;
}

}  // namespace

PerimeterResult trace_perimeters(const Grid& grid, std::span<const SceneInfo> scenes,
                                 std::span<const LineEvidence> evidence,
                                 std::span<const double> registration_sigma_m,
                                 const KnownLine& known, const PerimeterOptions& options) {
    PerimeterResult result;
    Series series{grid, scenes, evidence, registration_sigma_m, options, {}, {}};
    series.gsd_m = grid.gsd();
    std::vector<float> resolutions;
    for (std::size_t i = 0; i < scenes.size(); ++i) {
        series.sun_px.push_back(sun_direction_px(scenes[i]));
        if (i < evidence.size() && evidence[i].usable &&
            evidence[i].planes.size() == kLineDirections + 1) {
            series.usable.push_back(static_cast<int>(i));
            resolutions.push_back(static_cast<float>(evidence[i].effective_gsd_m));
        }
    }
    if (series.usable.empty()) {
        result.notes.push_back("No scene shows the ground: no perimeter was traced.");
        return result;
    }
    if (known.ring_px.size() < 3) {
        result.notes.push_back("No line is known for this site: no perimeter was traced.");
        return result;
    }
    series.resolution_m = static_cast<double>(median_of(resolutions));
    series.unit_m = std::max(1.0, 0.4 * series.resolution_m);
    const double reach_m = std::max(options.ribbon_m, 4 * series.resolution_m);

    // The known line, first on the looks nearest to its date, then on every look that shows it.
    std::vector<int> nearest = series.usable;
    if (known.date) {
        const auto gap = [&](int i) {
            const auto& when = scenes[static_cast<std::size_t>(i)].datetime;
            return when ? std::abs(when->days() - known.date->days()) : 1e9;
        };
        std::stable_sort(nearest.begin(), nearest.end(),
                         [&](int a, int b) { return gap(a) < gap(b); });
        nearest.resize(std::min<std::size_t>(nearest.size(), 3));
    }
    Ribbon ribbon = make_ribbon(
        series, centreline_of_ring(known.ring_px, series.gsd_m, series.unit_m), reach_m);
    std::vector<int> rows = trace(series, ribbon, nearest, reach_m);
    std::vector<Presence> presence = presence_in_scenes(series, ribbon, rows);
    const std::vector<int> present = scenes_that_show(series, presence);
    if (present.empty()) {
        result.notes.push_back(
            "The known line is not visible in any scene: no perimeter was traced.");
        return result;
    }
    const Ring first_trace = path_at(series, ribbon, rows);
    ribbon = make_ribbon(series, centreline_of_ring(first_trace, series.gsd_m, series.unit_m),
                         3 * series.unit_m);
    rows = trace(series, ribbon, present, 3 * series.unit_m);
    presence = presence_in_scenes(series, ribbon, rows);
    const Ring base = path_at(series, ribbon, rows);
    const Centreline ring = centreline_of_ring(base, series.gsd_m, series.unit_m);
    const GridProjection projection(grid);
    const auto measure = [&](const Ring& r) { return measure_ring(projection.lonlat_from_px(r)); };
    const double base_area = measure(base).area_m2;

    const std::vector<Candidate> changes = find_changes(series, ring, present.front(), base_area);

    // Epochs: the line with all changes up to then, traced once more on the looks that it was there
    // for.
    std::vector<Epoch> epochs;
    epochs.push_back({0, base, 0, ribbon, rows});
    {
        std::vector<int> starts;
        for (const Candidate& c : changes) starts.push_back(c.change);
        std::sort(starts.begin(), starts.end());
        starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
        for (const int start : starts) {
            std::vector<const Candidate*> applied;
            for (const Candidate& c : changes)
                if (c.change <= start) applied.push_back(&c);
            Epoch epoch;
            epoch.start = start;
            for (const Candidate* c : applied)
                epoch.area_sigma_m2 = std::hypot(epoch.area_sigma_m2, c->ground_sigma_m2);
            const auto next = std::upper_bound(starts.begin(), starts.end(), start);
            const int end = next == starts.end() ? static_cast<int>(series.usable.size()) : *next;
            const std::vector<int> looks(series.usable.begin() + start,
                                         series.usable.begin() + end);
            epoch.ring_px = with_changes(ring, applied);
            for (const double reach : {8 * series.unit_m, 3 * series.unit_m}) {
                const Ring clean = without_spurs(epoch.ring_px, 3 * series.unit_m / series.gsd_m,
                                                 100 * series.unit_m / series.gsd_m);
                epoch.ribbon = make_ribbon(
                    series, centreline_of_ring(clean, series.gsd_m, series.unit_m), reach);
                epoch.rows = trace(series, epoch.ribbon, looks, reach);
                epoch.ring_px = path_at(series, epoch.ribbon, epoch.rows);
            }
            epochs.push_back(std::move(epoch));
        }
    }

    const auto first_usable =
        std::find(series.usable.begin(), series.usable.end(), present.front()) -
        series.usable.begin();
    // One perimeter per look that shows the line of its epoch.
    std::vector<Ring> epoch_rings;
    std::vector<std::string> unseen;
    for (std::size_t e = 0; e < epochs.size(); ++e) {
        Epoch& epoch = epochs[e];
        const int end =
            e + 1 < epochs.size() ? epochs[e + 1].start : static_cast<int>(series.usable.size());
        const Ring simple = simplify_ring(epoch.ring_px, 0.2 * series.unit_m / series.gsd_m);
        const GeodesicMeasure size = measure(simple);
        const std::vector<Presence> seen = presence_in_scenes(series, epoch.ribbon, epoch.rows);
        for (int u = epoch.start; u < end; ++u) {
            const int i = series.usable[static_cast<std::size_t>(u)];
            const Presence& look = seen[static_cast<std::size_t>(i)];
            if (u < first_usable || !shows_line(look, true)) {
                unseen.push_back(scene_name(scenes[static_cast<std::size_t>(i)]));
                continue;
            }
            TracedPerimeter p;
            p.scene = i;
            p.ring_px = simple;
            p.area_m2 = size.area_m2;
            p.length_m = size.length_m;
            const double piece_m = size.length_m / static_cast<double>(look.pieces.size());
            p.segments = segments_of(look, piece_m);
            p.supported_fraction =
                static_cast<double>(look.won) / static_cast<double>(look.pieces.size());
            LineErrors errors = errors_of(series, i, p.segments);
            errors.area_sigma_m2 = epoch.area_sigma_m2;
            const auto intervals = measure_intervals(size.area_m2, size.length_m, errors);
            p.area_ci = intervals.area;
            p.length_ci = intervals.length;
            result.perimeters.push_back(std::move(p));
        }
    }
    if (!unseen.empty()) {
        std::string list;
        for (const auto& name : unseen) list += (list.empty() ? "" : ", ") + name;
        result.notes.push_back("The line could not be seen in " + list +
                               ": no perimeter is given there.");
    }
    const int first = present.front();
    if (first != series.usable.front())
        result.notes.push_back("The line is seen for the first time in " +
                               scene_name(scenes[static_cast<std::size_t>(first)]) + ".");

    for (const Candidate& c : changes) {
        PerimeterChange change;
        change.expansion = c.detour.outside;
        const auto scene_at = [&](int u) {
            return series.usable[static_cast<std::size_t>(
                std::clamp(u, 0, static_cast<int>(series.usable.size()) - 1))];
        };
        // Looks that cannot tell (|ratio| small) lie inside the interval.
        int last = c.change - 1, start = c.change;
        while (last > 0 &&
               log_likelihood_ratio(c.there[static_cast<std::size_t>(scene_at(last))]) > -1)
            --last;
        while (start + 1 < static_cast<int>(series.usable.size()) &&
               log_likelihood_ratio(c.there[static_cast<std::size_t>(scene_at(start))]) < 0.5)
            ++start;
        change.last_before = scene_at(last);
        change.first_after = scene_at(start);
        change.region_px = simplify_ring(c.region_px, 0.2 * series.unit_m / series.gsd_m);
        const GeodesicMeasure size = measure(change.region_px);
        change.area_m2 = size.area_m2;
        for (const int i : series.usable)
            change.log_likelihood_ratios.emplace_back(
                i, log_likelihood_ratio(c.there[static_cast<std::size_t>(i)]));
        change.supported_fraction = c.supported;
        LineErrors errors = errors_of(series, change.first_after, {});
        errors.area_sigma_m2 = c.ground_sigma_m2;
        change.area_ci = measure_intervals(size.area_m2, size.length_m, errors).area;

        // The old line's fate: the stretch that was replaced, in the looks since.
        const Polyline replaced = replaced_stretch(ring, c.detour);
        if (replaced.size() > 3) {
            const Ribbon old =
                make_ribbon(series, centreline_of_path(replaced, series.gsd_m, series.unit_m), 0);
            const std::vector<int> on_it(old.line.points_px.size(), old.half_rows);
            const auto looks = presence_in_scenes(series, old, on_it);
            double sum = 0;
            int seen = 0;
            for (int u = start; u < static_cast<int>(series.usable.size()); ++u) {
                const Presence& look = looks[static_cast<std::size_t>(scene_at(u))];
                sum += log_likelihood_ratio(look);
                seen += look.won + look.lost;
            }
            if (seen > 0) change.old_line_stands = sum > 0;
        }

        PerimeterGrowth growth;
        growth.scene_before = change.last_before;
        growth.scene_after = change.first_after;
        std::size_t e = 0;
        while (e + 1 < epochs.size() && epochs[e + 1].start <= c.change) ++e;
        const GeodesicMeasure after = measure(epochs[e].ring_px),
                              before = measure(epochs[e == 0 ? 0 : e - 1].ring_px);
        growth.area_ratio = after.area_m2 / before.area_m2;
        growth.length_ratio = after.length_m / before.length_m;
        const double shared_m =
            std::max(0.0, before.length_m - line_length(replaced) * series.gsd_m);
        growth.area_ratio_ci = area_ratio_interval(before.area_m2, before.length_m, after.area_m2,
                                                   after.length_m, shared_m, errors);
        growth.length_ratio_ci =
            length_ratio_interval(before.length_m, after.length_m, shared_m, errors);
        result.changes.push_back(std::move(change));
        result.growth.push_back(growth);
    }
    return result;
}

}  // namespace fenceline
