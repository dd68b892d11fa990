#include "stages/perimeter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/geodesic.h"
#include "core/parallel.h"
#include "core/projection.h"
#include "stages/perimeter_bypass.h"
#include "stages/perimeter_corners.h"
#include "stages/perimeter_directions.h"
#include "stages/perimeter_growth.h"
#include "stages/perimeter_looks.h"
#include "stages/perimeter_measure.h"
#include "stages/perimeter_proposal.h"
#include "stages/perimeter_settle.h"

namespace fenceline {
namespace {

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

/// The scenes in which a line is seen. A line that is there from some time on was there before the
/// first look that shows it clearly as far back as the looks speak for it, taken together: the most
/// likely time of the change (one share that falls short by a piece or two does not move it).
std::vector<int> scenes_that_show(const Series& series, std::span<const Presence> looks) {
    const auto look = [&](std::size_t u) -> const Presence& {
        return looks[static_cast<std::size_t>(series.usable[u])];
    };
    const std::size_t count = series.usable.size();
    std::size_t clear = 0;
    while (clear < count && !shows_line(look(clear), false)) ++clear;
    std::size_t first = clear;
    double sum = 0, best = 0;
    for (std::size_t u = clear; u-- > 0 && clear < count;) {
        sum += log_likelihood_ratio(look(u));
        if (sum > best && shows_line(look(u), true)) best = sum, first = u;
    }
    std::vector<int> out;
    for (std::size_t u = first; u < count; ++u)
        if (shows_line(look(u), true)) out.push_back(series.usable[u]);
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

/// What registration has left of the misplacement of a line that some looks show together, 1 sigma
/// in metres: how far each look's own line lies from the common one says it, if there are two at
/// least (s² n / (n - 1) each, and n of them are averaged); otherwise what is known of the scenes.
double line_sigma_m(const Series& series, std::span<const int> scenes,
                    std::span<const Presence> looks) {
    double sum = 0, stated = 0;
    int count = 0;
    for (const int i : scenes) {
        const double s = looks[static_cast<std::size_t>(i)].offset_m;
        stated = std::max(stated, ribbon_sigma_m(series, i));
        if (!std::isfinite(s)) continue;
        sum += s * s;
        ++count;
    }
    return count > 1 ? std::min(stated, std::sqrt(sum / (count * (count - 1.0)))) : stated;
}

/// Lengths of the stretches that none of these looks shows.
std::vector<double> unseen_by_all(std::span<const int> scenes, std::span<const Presence> looks,
                                  double length_m) {
    Presence together;
    for (const int i : scenes) {
        const auto& pieces = looks[static_cast<std::size_t>(i)].pieces;
        if (together.pieces.empty()) together.pieces.assign(pieces.size(), Piece::lost);
        for (std::size_t k = 0; k < std::min(pieces.size(), together.pieces.size()); ++k)
            if (pieces[k] == Piece::won) together.pieces[k] = Piece::won;
    }
    if (together.pieces.empty()) return {};
    std::vector<double> gaps_m;
    for (const auto& segment :
         segments_of(together, length_m / static_cast<double>(together.pieces.size())))
        if (segment.support == "bridged") gaps_m.push_back(segment.length_m);
    return gaps_m;
}

constexpr double kDrawnBias = 0.12;

/// How much farther off, 1 sigma in metres, a line lies that one or two looks show as a whole. Area
/// less its truth over the line's length, tune series under snow: .45 m of one look (12 lines), .14
/// m of two (14), where three or four without snow leave .12 m (68): taken to go by 3 / looks.
double own_bias_m(const Series& series, std::span<const int> looks,
                  std::span<const Presence> presence) {
    constexpr double kShowsAll = 0.9, kEnough = 3;
    if (!series.drawn) return 0;
    const auto clear = std::count_if(looks.begin(), looks.end(), [&](int i) {
        const Presence& look = presence[static_cast<std::size_t>(i)];
        return look.won > 0 && look.won >= kShowsAll * static_cast<double>(look.pieces.size());
    });
    const double times = kEnough / static_cast<double>(std::max<std::ptrdiff_t>(1, clear));
    return series.options.shared_bias_m * kDrawnBias * series.drawn_spread *
           std::sqrt(std::max(0.0, times * times - 1));
}

LineErrors errors_of(const Series& series, double line_sigma_m,
                     std::span<const PerimeterSegment> segments) {
    LineErrors errors;
    // What the network draws lies nearer. On 41 tune series (snow apart) area less its truth, over
    // the line's length, was .12 m in colour at .5 m (1 sigma), .23 m in one band. With the pixel,
    // the noise and what the looks disagree by these constants state about a quarter more.
    constexpr double kDrawnNoise = 0.25;
    errors.normal_sigma_m = series.options.normal_noise_m * (series.drawn ? kDrawnNoise : 1);
    errors.correlation_m = series.options.noise_length_m * std::max(1.0, series.unit_m / 2);
    errors.bias_sigma_m =
        series.options.shared_bias_m * (series.drawn ? kDrawnBias * series.drawn_spread : 1);
    errors.resolution_m = series.resolution_m;
    errors.registration_sigma_m = line_sigma_m;
    for (const auto& segment : segments) {
        // Stretches that this look alone misses here and there are in the noise; longer ones are
        // gaps.
        if (segment.support == "bridged" && segment.length_m > series.options.max_gap_m)
            errors.bridged_m.push_back(segment.length_m);
        if (segment.support == "hidden") errors.hidden_m.push_back(segment.length_m);
    }
    return errors;
}

/// Whether the network knows this site's kind of line: what it draws in the looks given follows at
/// least half of the known line's length, within reach_m.
bool draws_line(Series series, std::span<const int> looks, const Ring& known_px, double reach_m) {
    constexpr double kLeastDrawn = 0.5;
    const bool any = std::any_of(looks.begin(), looks.end(), [&](int i) {
        return series.evidence[static_cast<std::size_t>(i)].drawn.width() > 0;
    });
    if (!any || !shows_walls(series.unit_m)) return false;
    series.drawn = true;
    const Ribbon ribbon = make_ribbon(
        series, centreline_of_ring(known_px, series.gsd_m, series.unit_m), reach_m, looks);
    const std::vector<int> rows = trace(series, ribbon, looks, reach_m);
    const Plane mean = mean_support(ribbon, looks);
    const Mask seen = seen_in_any(ribbon, looks);
    int on = 0, all = 0;
    for (int x = 0; x < static_cast<int>(rows.size()); ++x) {
        const int y = rows[static_cast<std::size_t>(x)];
        if (!mean.contains(x, y) || seen.at(x, y) == 0) continue;
        ++all;
        on += static_cast<double>(mean.at(x, y)) > kSeenZ ? 1 : 0;
    }
    return on > 0 && on >= kLeastDrawn * all;
}

/// The line of a part of the series.
struct Epoch {
    int start = 0;  ///< position in `usable`
    Ring ring_px;
    Ring outline_px;  ///< ring_px with its corners: what is given and measured
    double area_sigma_m2 = 0, found_m = 0, line_sigma_m = 0, own_bias_m = 0;  ///< LineErrors'
    std::vector<double> gaps_m;       ///< stretches that none of its looks shows
    std::vector<double> best_gaps_m;  ///< with those that even the look that shows it best does not
    double best_width_m2 = std::numeric_limits<double>::infinity();  ///< of that look's area_ci
    Ribbon ribbon;
    std::vector<int> rows;
};

Series series_of(const Grid& grid, std::span<const SceneInfo> scenes,
                 std::span<const LineEvidence> evidence,
                 std::span<const double> registration_sigma_m, const PerimeterOptions& options) {
    Series series{grid, scenes, evidence, registration_sigma_m, options, {}, {}};
    series.gsd_m = grid.gsd();
    std::vector<float> resolutions;
    for (std::size_t i = 0; i < scenes.size(); ++i) {
        series.sun_px.push_back(sun_direction_px(scenes[i]));
        if (i < evidence.size() && evidence[i].usable) {
            series.usable.push_back(static_cast<int>(i));
            resolutions.push_back(static_cast<float>(evidence[i].effective_gsd_m));
        }
    }
    series.resolution_m = std::max(series.gsd_m, static_cast<double>(median_of(resolutions)));
    series.unit_m = std::max(1.0, 0.4 * series.resolution_m);
    constexpr double kOneBand = 2, kFine_m = 0.6;
    const auto one_band = std::count_if(series.usable.begin(), series.usable.end(), [&](int i) {
        return scenes[static_cast<std::size_t>(i)].band_count == 1;
    });
    const bool mostly = 2 * one_band > static_cast<std::ptrdiff_t>(series.usable.size());
    series.drawn_spread = (mostly ? kOneBand : 1) * std::max(1.0, series.resolution_m / kFine_m);
    return series;
}

/// The directions of all usable scenes, by the evidence that the series goes by.
void raise_all(const Series& series, std::span<LineEvidence> evidence) {
    for (const int i : series.usable)
        raise_directions(evidence[static_cast<std::size_t>(i)], series.gsd_m,
                         series.sun_px[static_cast<std::size_t>(i)], series.drawn);
}

/// An epoch's ring, of this size, with what a scene shows of it. The epoch keeps the gaps of the
/// scene that shows it best (best_gaps_m).
TracedPerimeter measured(const Series& series, int scene, Epoch& epoch, const GeodesicMeasure& size,
                         const Presence& look) {
    TracedPerimeter p;
    p.scene = scene;
    p.ring_px = epoch.outline_px;
    p.area_m2 = size.area_m2;
    p.length_m = size.length_m;
    const auto pieces = static_cast<double>(look.pieces.size());
    p.segments = segments_of(look, size.length_m / pieces);
    p.supported_fraction = look.won / pieces;
    LineErrors errors = errors_of(series, epoch.line_sigma_m, p.segments);
    errors.own_bias_m = epoch.own_bias_m;
    errors.area_sigma_m2 = epoch.area_sigma_m2;
    errors.found_m = epoch.found_m;
    for (const double gap : epoch.gaps_m)
        if (gap <= series.options.max_gap_m) errors.bridged_m.push_back(gap);
    const auto intervals = measure_intervals(size.area_m2, size.length_m, errors);
    p.area_ci = intervals.area;
    p.length_ci = intervals.length;
    if (p.area_ci.high - p.area_ci.low < epoch.best_width_m2) {
        epoch.best_width_m2 = p.area_ci.high - p.area_ci.low;
        epoch.best_gaps_m = std::move(errors.bridged_m);
    }
    return p;
}

/// Traces an epoch's line in some looks, within a narrow ribbon around where it is.
void place_line(const Series& series, Epoch& epoch, std::span<const int> looks, double reach_m) {
    const Ring clean = shows_walls(series.unit_m)
                           ? without_spurs(epoch.ring_px, 3 * series.unit_m / series.gsd_m,
                                           100 * series.unit_m / series.gsd_m)
                           : epoch.ring_px;
    epoch.ribbon =
        make_ribbon(series, centreline_of_ring(clean, series.gsd_m, series.unit_m), reach_m, looks);
    epoch.rows = trace(series, epoch.ribbon, looks, reach_m);
    if (shows_walls(series.unit_m)) epoch.ring_px = path_at(series, epoch.ribbon, epoch.rows);
}

/// The epochs of a ring: the line with all changes up to then, traced once more on the looks that
/// it was there for. known_px: the line as it was known, right within reach_m. base: the first
/// epoch as it was traced. first: position in `usable` of the first look that shows it.
std::vector<Epoch> epochs_of(const Series& series, const Ring& known_px, double reach_m,
                             const Centreline& ring, Epoch base, int first,
                             std::span<const Candidate> changes) {
    std::vector<int> starts{0};
    for (const Candidate& c : changes) starts.push_back(c.change);
    std::sort(starts.begin(), starts.end());
    starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
    std::vector<Epoch> epochs;
    for (std::size_t e = 0; e < starts.size(); ++e) {
        Epoch epoch;
        epoch.start = starts[e];
        const int end =
            e + 1 < starts.size() ? starts[e + 1] : static_cast<int>(series.usable.size());
        const std::vector<int> looks(series.usable.begin() + std::max(epoch.start, first),
                                     series.usable.begin() + end);
        const auto before =
            std::span<const int>(series.usable)
                .subspan(static_cast<std::size_t>(first),
                         static_cast<std::size_t>(std::max(0, epoch.start - first)));
        if (e == 0) {
            epoch = std::move(base);
        } else {
            std::vector<const Candidate*> applied;
            for (const Candidate& c : changes)
                if (c.change <= epoch.start) applied.push_back(&c);
            for (const Candidate* c : applied) {
                epoch.area_sigma_m2 = std::hypot(epoch.area_sigma_m2, c->area_sigma_m2);
                epoch.found_m += line_length(c->path_px) * series.gsd_m;
            }
            epoch.ring_px = with_changes(ring, applied);
            // Where walls are not seen, what the ground has told a line does not know better.
            place_line(series, epoch, looks, 8 * series.unit_m);
            if (shows_walls(series.unit_m)) place_line(series, epoch, looks, 3 * series.unit_m);
        }
        const auto go_around = [&](LooksAtLine shown) {
            shown.known_px = &known_px;
            shown.known_within_px = reach_m / series.gsd_m;
            Ring more = with_bypassed_parts(series, shown, epoch.ring_px);
            if (more == epoch.ring_px) return;
            epoch.ring_px = std::move(more);
            place_line(series, epoch, looks, 3 * series.unit_m);
        };
        if (shows_walls(series.unit_m)) {
            go_around({looks});
            // Fields have edges, too: where the line is new, only what came counts.
            if (e > 0)
                go_around(
                    {looks, before, &epochs.back().ring_px, 8 * series.unit_m / series.gsd_m});
        }
        epochs.push_back(std::move(epoch));
    }
    return epochs;
}

/// A line to begin with where none is known: the clearest closed one that three looks in a row
/// show, the earliest that do: result.found says which. Empty ring, with a note, when there is
/// none.
KnownLine find_line(const Series& series, PerimeterResult& result) {
    constexpr std::size_t kLooks = 3;
    constexpr double kRival = 0.8;  // of the worth
    const std::span<const int> all(series.usable);
    const double pixel_ha = series.gsd_m * series.gsd_m / 1e4;
    const auto hectares = [&](const ProposedLine& line) {
        return std::abs(signed_area(line.ring_px)) * pixel_ha;
    };
    std::size_t seen = 0;
    double best_ha = 0, best_worth = 0;
    for (std::size_t begin = 0; begin < all.size(); begin += kLooks) {
        const std::size_t from =
            begin + kLooks > all.size() && all.size() >= kLooks ? all.size() - kLooks : begin;
        const auto looks = all.subspan(from, std::min(kLooks, all.size() - from));
        std::vector<ProposedLine> lines = propose_lines(series, looks);
        seen += lines.size();
        if (lines.empty()) continue;
        const ProposedLine& best = lines.front();
        if (best.worth > best_worth) best_worth = best.worth, best_ha = hectares(best);
        if (!is_clear(best)) continue;
        const bool rival = lines.size() > 1 && lines[1].worth > kRival * best.worth;
        const SceneInfo& middle = series.scenes[static_cast<std::size_t>(looks[looks.size() / 2])];
        result.found = FoundLine{
            !rival,
            fmt::format("no line was known: the clearest closed line in the images around {}, of "
                        "{:.2f} ha, was taken for it{}",
                        scene_name(middle), hectares(best),
                        rival ? fmt::format("; another one, of {:.2f} ha, is nearly as clear",
                                            hectares(lines[1]))
                              : "")};
        return {best.ring_px, middle.datetime};
    }
    result.notes.push_back(
        seen == 0
            ? "No line is known for this site, and no closed line was found: no perimeter was "
              "traced."
            : fmt::format("No line is known for this site, and none of {} closed lines that were "
                          "found shows as much as a wall all the way around (the best encloses "
                          "{:.2f} ha): no perimeter was traced.",
                          seen, best_ha));
    return {};
}

}  // namespace

PerimeterResult trace_perimeters(const Grid& grid, std::span<const SceneInfo> scenes,
                                 std::span<LineEvidence> evidence,
                                 std::span<const double> registration_sigma_m,
                                 const KnownLine& given, const PerimeterOptions& options) {
    PerimeterResult result;
    Series series = series_of(grid, scenes, evidence, registration_sigma_m, options);
    if (series.usable.empty()) {
        result.notes.push_back("No scene shows the ground: no perimeter was traced.");
        return result;
    }
    constexpr double kFoundWithin = 12;  // U: what is found lies on the line, but for its corners
    const bool is_given = given.ring_px.size() >= 3;
    KnownLine known = given;
    if (!is_given) {
        // The line that the network draws, else the one that the images themselves show.
        series.drawn = std::any_of(evidence.begin(), evidence.end(),
                                   [](const LineEvidence& e) { return e.drawn.width() > 0; });
        raise_all(series, evidence);
        known = find_line(series, result);
        if (known.ring_px.empty() && series.drawn) {
            series.drawn = false;
            raise_all(series, evidence);
            result.notes.clear();
            known = find_line(series, result);
        }
    }
    if (known.ring_px.empty()) return result;
    const double ribbon_m = is_given ? options.ribbon_m : kFoundWithin * series.unit_m;
    const double reach_m = std::max(ribbon_m, 4 * series.resolution_m);

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
    if (is_given) {
        series.drawn = draws_line(series, nearest, known.ring_px, reach_m);
        raise_all(series, evidence);
    }
    Ring begun = known.ring_px;
    Ribbon ribbon;
    std::vector<int> rows, present;
    // First as the looks lie, then once more where some of them have been moved onto the line.
    for (const bool may_settle : {true, false}) {
        begun = known.ring_px;
        if (is_given && shows_walls(series.unit_m)) {
            const Point shift = shift_onto_line(series, nearest, begun, ribbon_m).shift_px;
            for (Point& p : begun) p = p + shift;
        }
        ribbon = make_ribbon(series, centreline_of_ring(begun, series.gsd_m, series.unit_m),
                             reach_m, nearest);
        rows = trace(series, ribbon, nearest, reach_m);
        present = scenes_that_show(series, presence_in_scenes(series, ribbon, rows));
        if (present.empty()) {
            result.notes.push_back(
                "The line is not visible in any scene: no perimeter was traced.");
            return result;
        }
        const Ring first_trace = path_at(series, ribbon, rows);
        ribbon = make_ribbon(series, centreline_of_ring(first_trace, series.gsd_m, series.unit_m),
                             3 * series.unit_m, present);
        rows = trace(series, ribbon, present, 3 * series.unit_m);
        if (!may_settle) break;
        result.settled = settle_on_line(series, path_at(series, ribbon, rows), evidence);
        if (result.settled.empty()) break;
    }
    const Ring base = path_at(series, ribbon, rows);
    const Centreline ring = centreline_of_ring(base, series.gsd_m, series.unit_m);
    const GridProjection projection(grid);
    const auto measure = [&](const Ring& r) { return measure_ring(projection.lonlat_from_px(r)); };
    const double base_area = measure(base).area_m2;

    const std::vector<Candidate> changes = find_changes(series, ring, present.front(), base_area);

    const auto first_usable =
        std::find(series.usable.begin(), series.usable.end(), present.front()) -
        series.usable.begin();
    Epoch first;
    first.ring_px = base;
    first.ribbon = std::move(ribbon);
    first.rows = std::move(rows);
    std::vector<Epoch> epochs = epochs_of(series, begun, reach_m, ring, std::move(first),
                                          static_cast<int>(first_usable), changes);

    for (std::size_t e = 0; e < epochs.size(); ++e) {
        const int end =
            e + 1 < epochs.size() ? epochs[e + 1].start : static_cast<int>(series.usable.size());
        const auto looks = std::span<const int>(series.usable)
                               .subspan(static_cast<std::size_t>(epochs[e].start),
                                        static_cast<std::size_t>(end - epochs[e].start));
        epochs[e].outline_px =
            shows_walls(series.unit_m)
                ? with_corners(
                      epochs[e].ring_px, series.unit_m / series.gsd_m,
                      [&](Point from, Point to) { return support_along(series, looks, from, to); })
                : simplify_ring(epochs[e].ring_px, 0.5 * series.resolution_m / series.gsd_m);
    }

    // One perimeter per look that shows the line of its epoch.
    std::vector<Ring> epoch_rings;
    std::vector<std::string> unseen;
    for (std::size_t e = 0; e < epochs.size(); ++e) {
        Epoch& epoch = epochs[e];
        const int end =
            e + 1 < epochs.size() ? epochs[e + 1].start : static_cast<int>(series.usable.size());
        const GeodesicMeasure size = measure(epoch.outline_px);
        const std::vector<Presence> seen = presence_in_scenes(series, epoch.ribbon, epoch.rows);
        const int from = std::clamp(static_cast<int>(first_usable), epoch.start, end);
        const auto standing =
            std::span<const int>(series.usable)
                .subspan(static_cast<std::size_t>(from), static_cast<std::size_t>(end - from));
        epoch.line_sigma_m = line_sigma_m(series, standing, seen);
        epoch.own_bias_m = own_bias_m(series, standing, seen);
        // Elsewhere the noise is wide enough for what is missed here and there.
        if (series.drawn) epoch.gaps_m = unseen_by_all(standing, seen, size.length_m);
        const auto epoch_looks = std::count_if(standing.begin(), standing.end(), [&](int i) {
            return std::isfinite(seen[static_cast<std::size_t>(i)].offset_m);
        });
        for (int u = epoch.start; u < end; ++u) {
            const int i = series.usable[static_cast<std::size_t>(u)];
            const Presence& look = seen[static_cast<std::size_t>(i)];
            if (u < first_usable) continue;  // it was built since: that is a finding of its own
            if (!shows_line(look, true)) {
                unseen.push_back(scene_name(scenes[static_cast<std::size_t>(i)]));
                continue;
            }
            result.perimeters.push_back(measured(series, i, epoch, size, look));
            if (epoch_looks > 1 && std::isfinite(look.offset_m))
                result.perimeters.back().off_line_m = look.offset_m;
        }
    }
    if (!unseen.empty()) {
        std::string list;
        for (const auto& name : unseen) list += (list.empty() ? "" : ", ") + name;
        result.notes.push_back("The line could not be seen in " + list +
                               ": no perimeter is given there.");
    }
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
        std::size_t e = 0;
        while (e + 1 < epochs.size() && epochs[e + 1].start <= c.change) ++e;
        LineErrors errors = errors_of(series, epochs[e].line_sigma_m, {});
        errors.bridged_m = epochs[e].best_gaps_m;
        errors.bridged_before_m = epochs[e == 0 ? 0 : e - 1].best_gaps_m;
        errors.own_bias_m = epochs[e].own_bias_m;
        errors.own_bias_before_m = epochs[e == 0 ? 0 : e - 1].own_bias_m;
        errors.area_sigma_m2 = c.area_sigma_m2;
        errors.found_m = line_length(c.path_px) * series.gsd_m;
        change.area_ci = measure_intervals(size.area_m2, size.length_m, errors).area;

        // The old line's fate: the stretch that was replaced, in the looks since.
        const Polyline replaced = replaced_stretch(ring, c.detour);
        if (c.old_line_went) {
            change.old_line_stands = !*c.old_line_went;
        } else if (replaced.size() > 3) {
            const Ribbon old = make_ribbon(
                series, centreline_of_path(replaced, series.gsd_m, series.unit_m), 0, {});
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
        const GeodesicMeasure after = measure(epochs[e].outline_px),
                              before = measure(epochs[e == 0 ? 0 : e - 1].outline_px);
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

std::optional<Point> place_by_line(const Grid& grid, const SceneInfo& scene, LineEvidence evidence,
                                   std::span<const Ring> rings_px,
                                   const PerimeterOptions& options) {
    constexpr double kMost_m = 25, kLeastSupport = 1.5, kLeastDrawn = 0.5, kMostRival = 0.6;
    const std::vector<double> sigma{0};
    Series series = series_of(grid, std::span(&scene, 1), std::span(&evidence, 1), sigma, options);
    if (series.usable.empty() || evidence.drawn.width() == 0 || !shows_walls(series.unit_m))
        return {};
    series.drawn = true;
    raise_all(series, std::span(&evidence, 1));
    LineShift best;
    for (const Ring& ring : rings_px)
        if (const LineShift shift = shift_onto_line(series, series.usable, ring, kMost_m);
            shift.support > best.support)
            best = shift;
    if (best.support < kLeastSupport || best.drawn < kLeastDrawn ||
        best.rival > kMostRival * best.support)
        return {};
    return best.shift_px;
}

std::vector<TracedPerimeter> measure_given(const Grid& grid, std::span<const SceneInfo> scenes,
                                           std::span<const LineEvidence> evidence,
                                           std::span<const double> registration_sigma_m,
                                           std::span<const GivenPerimeter> given,
                                           const PerimeterOptions& options) {
    const Series all = series_of(grid, scenes, evidence, registration_sigma_m, options);
    const GridProjection projection(grid);
    std::vector<TracedPerimeter> out;
    for (const GivenPerimeter& line : given) {
        Series series = all;
        std::erase_if(series.usable, [&](int i) { return i != line.scene; });
        series.drawn = draws_line(series, series.usable, line.ring_px, 4 * series.unit_m);
        const Ribbon ribbon = make_ribbon(
            series, centreline_of_ring(line.ring_px, series.gsd_m, series.unit_m), 0, {});
        const std::vector<int> on_it(ribbon.line.points_px.size(), ribbon.half_rows);
        Presence look =
            presence_in_scenes(series, ribbon, on_it)[static_cast<std::size_t>(line.scene)];
        if (look.pieces.empty()) look.pieces.push_back(Piece::hidden);
        Epoch drawn_by_hand;
        drawn_by_hand.outline_px = line.ring_px;
        drawn_by_hand.line_sigma_m = ribbon_sigma_m(series, line.scene);
        out.push_back(measured(series, line.scene, drawn_by_hand,
                               measure_ring(projection.lonlat_from_px(line.ring_px)), look));
    }
    return out;
}

}  // namespace fenceline
