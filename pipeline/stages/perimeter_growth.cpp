#include "stages/perimeter_growth.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <utility>

#include "core/parallel.h"
#include "stages/perimeter_measure.h"
#include "stages/perimeter_old_line.h"
#include "stages/perimeter_region.h"

namespace fenceline {
namespace {

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
            const auto& plane = series.directional(i, direction);
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
    // The network draws lines only: on neither side of one is there much else.
    if (!series.drawn) prefer_borders(field, series.unit_m / (series.gsd_m * step));
    return field;
}

/// The ground between a detour and the stretch of the ring that it replaces.
Ring region_between(const Centreline& ring, const Detour& detour, const Polyline& path) {
    Ring region(path.begin(), path.end());
    const int count = static_cast<int>(ring.points_px.size());
    const int stretch = ((detour.returns - detour.leaves) % count + count) % count;
    for (int i = stretch - 1; i > 0; --i)
        region.push_back(ring.points_px[static_cast<std::size_t>((detour.leaves + i) % count)]);
    return region;
}

bool stretches_overlap(const Detour& a, const Detour& b, int count) {
    const auto inside = [&](int i, const Detour& d) {
        return ((i - d.leaves) % count + count) % count <
               ((d.returns - d.leaves) % count + count) % count;
    };
    return inside(a.leaves, b) || inside(b.leaves, a);
}

/// Independent windows of changed ground, less the price of its corners, that a new border must
/// gain where walls are not seen.
constexpr double kLeastWorth = 10;

/// Share of its pieces that looks must see of a border which they did not draw: between what true
/// growth reaches there and what no growth does (METHODS of the project: 60–83 % against 24–30 %).
constexpr double kHeldBackShare = 0.45;

/// How far, in U, a detour's line is placed from the path of the search.
constexpr double kDetourReach = 12;

/// Mean support, in z, that a line's pieces have in some looks, each at its best place within a
/// unit of the line; empty where no look sees half of a piece.
std::vector<std::optional<double>> support_of_pieces(const Ribbon& ribbon,
                                                     const std::vector<int>& rows, int per_piece,
                                                     std::span<const int> looks) {
    constexpr int tolerance = 2;  // a unit: rows are half a unit apart
    const int columns = static_cast<int>(rows.size());
    std::vector<std::optional<double>> out;
    for (int first = 0; first < columns; first += per_piece) {
        const int last = std::min(columns, first + per_piece);
        double sum = 0;
        int seen = 0;
        for (const int i : looks) {
            const LineSupport& s = ribbon.support[static_cast<std::size_t>(i)];
            std::optional<double> best;
            for (int d = -tolerance; d <= tolerance; ++d) {
                double along = 0;
                int count = 0;
                for (int x = first; x < last; ++x) {
                    const int y = rows[static_cast<std::size_t>(x)] + d;
                    if (!s.z.contains(x, y) || s.seen.at(x, y) == 0) continue;
                    along += static_cast<double>(s.z.at(x, y));
                    ++count;
                }
                if (count == 0 || 2 * count < last - first) continue;
                if (!best || along / count > *best) best = along / count;
            }
            if (best) sum += *best, ++seen;
        }
        out.push_back(seen > 0 ? std::optional(sum / seen) : std::nullopt);
    }
    return out;
}

/// How far the support of a line must rise from before to after, in z, for it to have come: true
/// new walls rise by 1.5 to 3.5 (camp25, tune seed 124), edges of fields and paths that were there
/// before by -.5 to .7.
constexpr double kRise = 1.0;

/// What a new line must be worth per metre (mean over its pieces of the rise beyond kRise, held
/// between -1 and 1). Tune seeds: true growth .58 (camp25 121, 126); the best that is found where
/// the line did not change -.32 and -.25 (no_change 101, buildings_only 101), pieces of old lines
/// up to .17.
constexpr double kLeastRisen = 0.43;

/// Rise per piece of a line; 0 where it is not seen before or after.
std::vector<double> rise_of(const Series& series, const Candidate& c, const Ribbon& ribbon,
                            const std::vector<int>& rows) {
    const auto split = static_cast<std::size_t>(c.change);
    const std::span<const int> all(series.usable);
    const auto before = support_of_pieces(ribbon, rows, c.mean.columns_per_piece, all.first(split)),
               after =
                   support_of_pieces(ribbon, rows, c.mean.columns_per_piece, all.subspan(split));
    std::vector<double> out;
    for (std::size_t p = 0; p < after.size(); ++p)
        out.push_back(after[p] && before[p] ? *after[p] - *before[p] : 0.0);
    return out;
}

/// Fills in what the looks say about a detour: refined path, presence per look, the best time of
/// change.
Candidate look_at_detour(const Series& series, const Centreline& ring, Detour detour,
                         std::span<const int> after) {
    Candidate c;
    c.detour = std::move(detour);
    const Ribbon ribbon =
        make_ribbon(series, centreline_of_path(c.detour.path_px, series.gsd_m, series.unit_m),
                    kDetourReach * series.unit_m, after);
    const Plane mean = mean_support(ribbon, after);
    const std::vector<int> rows = trace(series, ribbon, after, kDetourReach * series.unit_m);
    c.path_px = path_at(series, ribbon, rows);
    c.step_m = ribbon.line.step_m;
    c.there = presence_in_scenes(series, ribbon, rows);
    c.mean = compare_with_parallels(series, mean, seen_in_any(ribbon, after), rows, c.step_m,
                                    series.unit_m);
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
    if (shows_walls(series.unit_m)) c.rise = rise_of(series, c, ribbon, rows);
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

/// Stretches of a candidate's path that show no line, or none that came: two pieces or more, with
/// single seen pieces among them, and a piece more on either side.
std::vector<Stretch> unseen_stretches(const Candidate& c) {
    std::vector<Stretch> out;
    const auto& pieces = c.mean.pieces;
    const int count = static_cast<int>(pieces.size());
    const auto won = [&](int i) {
        const auto p = static_cast<std::size_t>(i);
        return pieces[p] == Piece::won && (p >= c.rise.size() || c.rise[p] >= kRise);
    };
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

/// A part of a candidate's path between two places where it touches the ring.
struct Lobe {
    Stretch points;               ///< of the path
    int leaves = 0, returns = 0;  ///< ring points
};

/// The lobes of a candidate's path: one that comes back to the ring on its way (within kTouch
/// units, after having been twice as far away) encloses several pieces of ground, each of which
/// must be told by itself.
std::vector<Lobe> lobes_of(const Series& series, const Centreline& ring, const Candidate& c) {
    constexpr double kTouch = 5;
    const int count = static_cast<int>(ring.points_px.size());
    const int stretch = ((c.detour.returns - c.detour.leaves) % count + count) % count;
    const double near = kTouch * series.unit_m / series.gsd_m, away = 2 * near;
    std::vector<Lobe> out;
    Lobe lobe{{}, c.detour.leaves, c.detour.returns};
    int passed = 0;        // ring points from detour.leaves on
    bool outside = false;  // the path has been away from the ring since the lobe began
    for (std::size_t k = 0; k < c.path_px.size(); ++k) {
        double least = std::numeric_limits<double>::infinity();
        int at = passed;
        for (int i = passed; i <= stretch; ++i) {
            const double gap =
                distance(ring.points_px[static_cast<std::size_t>((c.detour.leaves + i) % count)],
                         c.path_px[k]);
            if (gap < least) least = gap, at = i;
        }
        if (least > away) outside = true;
        if (!outside || least > near) continue;
        lobe.points.to = k + 1;
        lobe.returns = (c.detour.leaves + at) % count;
        out.push_back(lobe);
        lobe = {{k, 0}, lobe.returns, c.detour.returns};
        passed = at;
        outside = false;
    }
    if (outside || out.empty()) {
        lobe.points.to = c.path_px.size();
        out.push_back(lobe);
    }
    return out;
}

/// Whether most of a part of a candidate's path came.
bool lobe_came(const Candidate& c, const Stretch& points) {
    const auto per_piece = static_cast<std::size_t>(c.mean.columns_per_piece);
    double sum = 0;
    for (std::size_t p = points.from / per_piece; p < c.rise.size() && p * per_piece < points.to;
         ++p)
        sum += std::clamp(c.rise[p] - kRise, -1.0, 1.0);
    return sum > 0;
}

/// A candidate's detour without the lobes that are no line that came: there the old line is kept.
/// Empty when all of them are, or none.
std::optional<Detour> without_false_lobes(const Series& series, const Centreline& ring,
                                          const Candidate& c) {
    const std::vector<Lobe> lobes = lobes_of(series, ring, c);
    std::vector<std::uint8_t> kept;
    for (const Lobe& lobe : lobes) kept.push_back(lobe_came(c, lobe.points) ? 1 : 0);
    const auto first_kept = std::find(kept.begin(), kept.end(), 1);
    if (first_kept == kept.end() || std::find(kept.begin(), kept.end(), 0) == kept.end())
        return std::nullopt;
    const auto begin = static_cast<std::size_t>(first_kept - kept.begin());
    std::size_t end = kept.size();
    while (kept[end - 1] == 0) --end;
    Detour out = c.detour;
    out.leaves = lobes[begin].leaves;
    out.returns = lobes[end - 1].returns;
    out.path_px = {ring.points_px[static_cast<std::size_t>(out.leaves)]};
    const int count = static_cast<int>(ring.points_px.size());
    for (std::size_t l = begin; l < end; ++l) {
        const Lobe& lobe = lobes[l];
        if (kept[l] != 0) {
            out.path_px.insert(out.path_px.end(),
                               c.path_px.begin() + static_cast<std::ptrdiff_t>(lobe.points.from),
                               c.path_px.begin() + static_cast<std::ptrdiff_t>(lobe.points.to));
            continue;
        }
        for (int i = lobe.leaves; i != lobe.returns; i = (i + 1) % count)
            out.path_px.push_back(ring.points_px[static_cast<std::size_t>(i)]);
    }
    out.path_px.push_back(ring.points_px[static_cast<std::size_t>(out.returns)]);
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

/// Whether the stretch of the ring that a detour replaces is no line any more: where walls are not
/// seen as such.
bool stretch_faded(const Series& series, const Centreline& ring, const Candidate& c, int first) {
    const Polyline replaced = replaced_stretch(ring, c.detour);
    if (replaced.size() < 4) return false;
    const Ribbon old =
        make_ribbon(series, centreline_of_path(replaced, series.gsd_m, series.unit_m), 0, {});
    const auto looks =
        presence_in_scenes(series, old, std::vector<int>(old.line.points_px.size(), old.half_rows));
    double before = 0, after = 0;
    for (int u = first; u < static_cast<int>(series.usable.size()); ++u)
        (u < c.change ? before : after) += log_likelihood_ratio(
            looks[static_cast<std::size_t>(series.usable[static_cast<std::size_t>(u)])]);
    return before > 0 && after < 0;
}

/// Whether the ring with a detour encloses what the ring does and the detour's ground (without it,
/// for a detour inside): one that goes all around the ring, or there and back again, does not.
bool fits_ring(const Centreline& ring, const Candidate& c) {
    constexpr double kRight = 0.05;  // of the ring's area
    const Candidate* const one[] = {&c};
    const double area = std::abs(signed_area(ring.points_px)),
                 region = std::abs(signed_area(c.region_px));
    return std::abs(std::abs(signed_area(with_changes(ring, one))) -
                    (c.detour.outside ? area + region : area - region)) <= kRight * area;
}

/// Share of a line's points that lie at another line.
double share_on(const Polyline& line, const Polyline& other, double near_px) {
    std::size_t on = 0;
    for (const Point p : line) on += distance_to_line(other, p) <= near_px ? 1 : 0;
    return line.empty() ? 0.0 : static_cast<double>(on) / static_cast<double>(line.size());
}

}  // namespace

Polyline replaced_stretch(const Centreline& ring, const Detour& detour) {
    Polyline out;
    const int count = static_cast<int>(ring.points_px.size());
    const int stretch = ((detour.returns - detour.leaves) % count + count) % count;
    for (int i = 0; i <= stretch; ++i)
        out.push_back(ring.points_px[static_cast<std::size_t>((detour.leaves + i) % count)]);
    return out;
}

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
                            series.options.max_detour_m, exits.empty() ? 3 : 20, exits);
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
    // Where the ring itself went away, a new line meets it at the ends of what went.
    const std::optional<OldLine> old =
        shows_walls(series.unit_m) ? std::optional<OldLine>(std::in_place, series, ring, first)
                                   : std::nullopt;
    std::vector<Detour> told;
    if (old && old->gone()) {
        const auto split = static_cast<std::size_t>(old->split());
        told = find_ways(gain_between(series, all.first(split), all.subspan(split), ring.points_px,
                                      series.options.max_detour_m),
                         ring, old->starts(), old->stops(), series.gsd_m, series.unit_m,
                         series.options.max_detour_m);
        std::vector<int> ends = old->starts();
        for (const int end : old->stops())
            if (std::find(ends.begin(), ends.end(), end) == ends.end()) ends.push_back(end);
        std::sort(ends.begin(), ends.end());
        for (Detour& d : search(all.first(split), all.subspan(split), ends))
            told.push_back(std::move(d));
        std::erase_if(told, [&](const Detour& d) { return !old->is_replaced_by(d); });
    }

    // Of several ways, the one with the most metres that came, less those that did not: an outer
    // line that came beats an inner one, and one that is padded with what was there before loses.
    const auto metres_risen = [](const Candidate& c) {
        double sum = 0;
        for (const double rise : c.rise) sum += std::clamp(rise - kRise, -1.0, 1.0);
        return sum * c.mean.columns_per_piece * c.step_m;
    };
    const auto worth = [&](const Candidate& c) {
        if (!shows_walls(series.unit_m)) return c.ground;
        double sum = metres_risen(c);
        // A line within the old one takes its place when that goes, and stands beside it
        // otherwise. One outside speaks for itself, and the more so where the old one went.
        if (old && c.change > first && c.change < count) {
            const double went = old->went(c.detour, c.change) * ring.step_m;
            sum += c.detour.outside ? 0.5 * std::max(0.0, went) : went;
        }
        return sum;
    };
    // The same detour turns up at several splits: keep the best of each.
    std::vector<Candidate> candidates;
    std::vector<Ring> regions;
    const double step = 8 * series.unit_m / series.gsd_m;
    // Of the ways between its ends, the one on which most came: where exactly the new line leaves
    // is not known to the metre.
    std::vector<Candidate> ways(told.size());
    parallel_items(static_cast<int>(told.size()), [&](int k) {
        const auto i = static_cast<std::size_t>(k);
        ways[i] = look_at_detour(series, ring, told[i],
                                 all.subspan(static_cast<std::size_t>(old->split())));
    });
    const auto best_way = std::max_element(
        ways.begin(), ways.end(),
        [&](const Candidate& a, const Candidate& b) { return worth(a) < worth(b); });
    if (best_way != ways.end()) {
        regions.push_back(best_way->region_px);
        candidates.push_back(std::move(*best_way));
    }
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
            StraightDetour straight = straightened(
                gain_between(series, all.first(split), all.subspan(split), ring.points_px,
                             series.options.max_detour_m),
                changed_ground(series.evidence, all.first(split), all.subspan(split), series.gsd_m,
                               series.resolution_m),
                ring, c.detour, series.gsd_m, series.resolution_m, series.options.max_detour_m);
            const double gained = straight.worth, sigma = straight.area_sigma_m2;
            c = look_at_detour(series, ring, std::move(straight.detour), all.subspan(split));
            c.path_px = c.detour.path_px;  // lines nearby speak for it, but straight stays straight
            c.region_px = region_between(ring, c.detour, c.path_px);
            c.ground = gained;
            // A line alone is any road or row of fields here, and a border of free shape can follow
            // the edges of fields that changed: what is not a moved side is not claimed.
            if (gained < kLeastWorth || !straight.moved_side) c.change = 0;
            c.area_sigma_m2 = sigma;
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
            candidates[k].area_sigma_m2 = std::hypot(candidates[k].area_sigma_m2, spread[k]);
            candidates[k].ground = agreement[k];
        }
    }
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
        // Where it comes back to the old line on its way, each piece of ground is told by itself.
        for (std::size_t k = 0; k < std::min<std::size_t>(candidates.size(), 4); ++k) {
            Candidate& c = candidates[k];
            if (c.change <= first || c.change >= count) continue;
            std::optional<Detour> fewer = without_false_lobes(series, ring, c);
            if (!fewer) continue;
            Candidate again = look_at_detour(series, ring, std::move(*fewer),
                                             all.subspan(static_cast<std::size_t>(c.change)));
            if (again.change == c.change && worth(again) > worth(c)) c = std::move(again);
        }
        std::stable_sort(candidates.begin(), candidates.end(), best_first);
    }

    const auto placed_by_ground = [&](const Candidate& c) {
        return !shows_walls(series.unit_m) && c.detour.outside;
    };
    // Most of it is there afterwards, less before. A free path follows whatever looks like a line
    // and must show more of it than one that the ground has placed.
    const auto is_seen_to_come = [&](const Candidate& c) {
        const double before = mean_share(series, c, first, c.change),
                     after = mean_share(series, c, c.change, count);
        return after >= 0.55 && before <= 0.5 && after - before >= 0.25 &&
               c.supported >= (placed_by_ground(c) ? kHeldBackShare : 0.7);
    };
    // What was there before has not come, however well it is seen afterwards.
    const auto has_risen = [&](const Candidate& c) {
        return !shows_walls(series.unit_m) ||
               worth(c) >= kLeastRisen * line_length(c.path_px) * series.gsd_m;
    };
    // The same border from a part of the later looks: by lines, or by the ground as before.
    const auto found_again = [&](const Candidate& c, std::span<const int> drawn) {
        const auto before = all.first(static_cast<std::size_t>(c.change));
        std::vector<Detour> again;
        if (!placed_by_ground(c)) {
            const std::array<int, 2> exits{c.detour.leaves, c.detour.returns};
            again = search(before, drawn, exits);
            // Either search may have found the border itself.
            for (Detour& d : find_ways(gain_between(series, before, drawn, ring.points_px,
                                                    series.options.max_detour_m),
                                       ring, std::span(exits).first(1), std::span(exits).last(1),
                                       series.gsd_m, series.unit_m, series.options.max_detour_m))
                again.push_back(std::move(d));
            return again;
        }
        again.push_back(
            straightened(
                gain_between(series, before, drawn, ring.points_px, series.options.max_detour_m),
                changed_ground(series.evidence, before, drawn, series.gsd_m, series.resolution_m),
                ring, c.detour, series.gsd_m, series.resolution_m, series.options.max_detour_m)
                .detour);
        return again;
    };
    std::vector<Candidate> accepted;
    for (Candidate& c : candidates) {
        if (c.change <= first) continue;
        if (!is_seen_to_come(c) || !has_risen(c) || !fits_ring(ring, c)) continue;
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
            const bool went =
                old ? old->went(c.detour, c.change) > 0 : stretch_faded(series, ring, c, first);
            if (!went) continue;
        }
        // Looks from then on that see at least half of the border: what lies under snow or cloud
        // neither draws nor confirms.
        std::vector<int> seeing;
        for (int u = c.change; u < count; ++u) {
            const int i = all[static_cast<std::size_t>(u)];
            const Presence& look = c.there[static_cast<std::size_t>(i)];
            if (2 * (look.won + look.lost) >= static_cast<int>(look.pieces.size()))
                seeing.push_back(i);
        }
        // One look alone cannot confirm what was searched for in it: it must be almost complete.
        if (seeing.size() < 2 &&
            (mean_share(series, c, c.change, count) < 0.92 || c.supported < 0.92))
            continue;
        // Hold back dates: a path that half of the later looks draw must be seen by the other half.
        std::vector<int> drawn, held;
        for (std::size_t k = 0; k < seeing.size(); ++k)
            (k % 2 == 0 ? held : drawn).push_back(seeing[k]);
        if (!drawn.empty()) {
            double best_share = 0, best_iou = 0;
            for (const Detour& d : found_again(c, drawn)) {
                if (d.outside != c.detour.outside) continue;
                const double iou =
                    polygon_iou(region_between(ring, d, d.path_px), c.region_px, step);
                if (iou < 0.3 || iou <= best_iou) continue;
                best_iou = iou;
                const Candidate again = look_at_detour(series, ring, d, drawn);
                // A look that sees less than half of the border has nothing to say about it.
                double sum = 0;
                int looks = 0;
                for (const int i : held) {
                    const Presence& look = again.there[static_cast<std::size_t>(i)];
                    if (2 * (look.won + look.lost) < static_cast<int>(look.pieces.size())) continue;
                    sum += look.win_share();
                    ++looks;
                }
                best_share = looks > 0 ? sum / looks : 0.0;
            }
            if (best_share < kHeldBackShare) continue;
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
            // It must be the new line that it goes beyond: what begins beside it is another change.
            if (share_on(replaced_stretch(grown, d), c.path_px, 3 * series.unit_m / series.gsd_m) <
                0.7)
                continue;
            const Candidate beyond = look_at_detour(series, grown, d, all.subspan(split));
            const std::optional<Detour> joined = joined_detour(series, ring, c, grown, beyond);
            if (!joined || beyond.change != c.change || !is_seen_to_come(beyond) ||
                metres_risen(beyond) < kLeastRisen * line_length(beyond.path_px) * series.gsd_m)
                continue;
            Candidate both = look_at_detour(series, ring, *joined, all.subspan(split));
            if (both.change != c.change || !is_seen_to_come(both) || !fits_ring(ring, both))
                continue;
            c = std::move(both);
            break;
        }
    }
    for (Candidate& c : accepted)
        if (old) c.old_line_went = old->went(c.detour, c.change) > 0;
    // Where the network draws the line, the way between old and new is as clear as the rest: of 31
    // tune series growth was off by half of what a third of the usual doubt states.
    constexpr double kDrawnJunction = 0.2;
    const double junction =
        series.drawn ? std::min(1.0, kDrawnJunction * series.drawn_spread) : 1.0;
    for (Candidate& c : accepted)
        if (shows_walls(series.unit_m))
            c.area_sigma_m2 = junction * junction_sigma_m2(std::abs(signed_area(c.region_px)) *
                                                           series.gsd_m * series.gsd_m);
    std::stable_sort(accepted.begin(), accepted.end(), [](const Candidate& a, const Candidate& b) {
        return a.change != b.change ? a.change < b.change : a.detour.leaves < b.detour.leaves;
    });
    return accepted;
}

}  // namespace fenceline
