#include "run_site.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/error.h"
#include "core/parallel.h"
#include "core/projection.h"
#include "core/version.h"
#include "input/sites.h"
#include "output/scene_store.h"
#include "report_parts.h"

namespace fenceline {
namespace {

/// A scene on its way down the line.
struct Member {
    SceneInfo info;
    double usable_fraction = 0;
    bool may_start_change = true;
    Alignment alignment;
    Normalization normalization;
    SurfaceMaps surfaces;
    bool unregistered = false;  ///< left out for that alone
};

/// The scene store gets this part of the memory allowed.
constexpr std::size_t kStoreShare = 3;

struct Series {
    int in_flight = 1;
    Ring area_lonlat;
    Grid grid;
    std::vector<Member> members;
    std::vector<SceneInfo> left_out;
    std::vector<Member> unregistered;  ///< left out, unless their line places them
    std::size_t reference = 0;
};

Member& at(Series& series, int i) { return series.members[static_cast<std::size_t>(i)]; }
const Member& at(const Series& series, int i) {
    return series.members[static_cast<std::size_t>(i)];
}
bool is_reference(const Series& series, int i) {
    return static_cast<std::size_t>(i) == series.reference;
}

/// A value, or why there is none: what becomes of one scene must not end the run.
template <class Value>
struct Attempt {
    std::optional<Value> value;
    std::string fault;
};
template <class Body>
auto attempt(const Body& body) -> Attempt<decltype(body())> {
    try {
        return {body(), {}};
    } catch (const DataError& error) {
        return {{}, error.reason};
    }
}

void leave_out(Member& member, std::string reason, Progress& progress) {
    member.info.left_out = std::move(reason);
    progress.warn(fmt::format("{} is left out: {}", member.info.id, member.info.left_out));
}

/// Forgets the members that were left out, in the series and in the store.
void drop_left_out(Series& series, SceneStore& store) {
    std::vector<Member> kept;
    for (std::size_t i = 0; i < series.members.size(); ++i) {
        Member& member = series.members[i];
        if (member.info.left_out.empty()) {
            if (kept.size() != i) store.move(i, kept.size());
            kept.push_back(std::move(member));
        } else {
            store.drop(i);
            if (member.unregistered)
                series.unregistered.push_back(std::move(member));
            else
                series.left_out.push_back(std::move(member.info));
        }
    }
    series.members = std::move(kept);
}

/// How many scenes (or pairs of them) may be worked on at a time within the memory allowed: two
/// scenes and the planes that a stage works on (12 floats a pixel) each, beside the 8-bit evidence
/// of all dates. Throws DataError when not even one fits.
int scenes_in_flight(const Series& series, const RunOptions& options) {
    std::size_t bands = 1;
    for (const Member& member : series.members)
        bands = std::max(bands, static_cast<std::size_t>(std::max(1, member.info.band_count)));
    const auto pixels =
        static_cast<std::size_t>(series.grid.width) * static_cast<std::size_t>(series.grid.height);
    const std::size_t each = pixels * (2 * (bands * sizeof(float) + 2) + 12 * sizeof(float)) + 1;
    const std::size_t held = pixels * 8 * series.members.size();
    if (each + held > options.max_memory_bytes)
        throw DataError(
            "area of interest",
            fmt::format("{} × {} pixels of {:.2f} m need about {} MiB, --max-memory allows {}",
                        series.grid.width, series.grid.height, series.grid.gsd(),
                        (each + held) >> 20, options.max_memory_bytes >> 20),
            "raise --max-memory, or set a coarser --observe.gsd_m");
    const std::size_t free =
        options.max_memory_bytes - options.max_memory_bytes / kStoreShare - held;
    return static_cast<int>(std::clamp<std::size_t>(free / each, 1, 4));
}

Scene read_scene(const Series& series, const SceneInfo& info, const Warp& warp,
                 const RunOptions& options) {
    GridImage image = read_on_grid(info, series.grid, warp, options.georef);
    return observe(info, std::move(image.raster), std::move(image.masks), image.mask_given,
                   series.area_lonlat, options.observe);
}

/// Scenes onto the common grid; what cannot be used is left out with its reason.
Series observe_series(const Site& site, std::vector<SceneInfo> scenes, const RunOptions& options) {
    Series series;
    series.area_lonlat = area_of_interest(site);
    if (series.area_lonlat.size() < 3)
        throw DataError("site " + site.id, "the catalogue gives no position for it",
                        "add a Polygon, or a Point with radius_m");
    for (SceneInfo& info : scenes) {
        if (info.left_out.empty())
            series.members.emplace_back().info = std::move(info);
        else
            series.left_out.push_back(std::move(info));
    }
    if (series.members.empty()) return series;
    std::vector<SceneInfo> usable;
    for (const Member& member : series.members) usable.push_back(member.info);
    series.grid = common_grid(series.area_lonlat, usable, options.observe);
    series.in_flight = scenes_in_flight(series, options);
    return series;
}

void read_series(Series& series, SceneStore& store, const RunOptions& options, Progress& progress) {
    progress.stage("observe", static_cast<int>(series.members.size()));
    parallel_in_order(
        static_cast<int>(series.members.size()), series.in_flight,
        [&](int i) {
            return attempt([&] { return read_scene(series, at(series, i).info, {}, options); });
        },
        [&](int i, Attempt<Scene> read) {
            Member& member = at(series, i);
            if (read.value) {
                Scene& scene = *read.value;
                member.info = scene.info;
                member.usable_fraction = scene.usable_fraction;
                member.may_start_change = scene.may_start_change;
                read.fault = scene.info.left_out;
            }
            if (read.fault.empty())
                store.put(static_cast<std::size_t>(i), std::move(*read.value));
            else
                leave_out(member, read.fault, progress);
            progress.step(member.info.id);
        });
    drop_left_out(series, store);
}

/// The scene that the others are registered to: named by the user, else seen best, then nearest the
/// middle of the series in time, so that no registration has to bridge more change than needed.
std::size_t choose_reference(const Series& series, const std::string& wanted) {
    if (!wanted.empty()) {
        for (std::size_t i = 0; i < series.members.size(); ++i)
            if (series.members[i].info.id == wanted) return i;
        std::string ids;
        for (const Member& member : series.members)
            ids += (ids.empty() ? "" : ", ") + member.info.id;
        throw UsageError(
            fmt::format("--reference {}: no usable scene has this id; allowed: {}", wanted, ids));
    }
    std::vector<double> days;
    for (const Member& member : series.members) days.push_back(member.info.datetime->days());
    const double middle = (days.front() + days.back()) / 2,
                 span = std::max(1.0, days.back() - days.front());
    std::size_t best = 0;
    double best_score = -1e9;
    for (std::size_t i = 0; i < series.members.size(); ++i) {
        const Member& member = series.members[i];
        double score = member.usable_fraction - 0.3 * std::abs(days[i] - middle) / span;
        score -= 0.005 * member.info.off_nadir_deg.value_or(0);
        score -=
            std::max(0.0, 35 - member.info.sun_elevation_deg.value_or(45)) * 0.01;  // long shadows
        if (score > best_score + 1e-12) best = i, best_score = score;
    }
    return best;
}

/// Finds the reference again after others have been left out.
void follow_reference(Series& series, const std::string& id) {
    for (std::size_t i = 0; i < series.members.size(); ++i)
        if (series.members[i].info.id == id) series.reference = i;
}

/// Matches neighbours in season to each other, and solves all registrations together.
void join_series(Series& series, const SceneStore& store, const RunOptions& options,
                 Progress& progress) {
    std::vector<SceneInfo> infos;
    std::vector<Alignment> star;
    for (const Member& member : series.members) {
        infos.push_back(member.info);
        star.push_back(member.alignment);
    }
    const auto reference = static_cast<int>(series.reference);
    const std::vector<SeriesPair> pairs =
        neighbours_in_season(infos, reference, options.align.neighbours);
    if (pairs.empty()) return;
    const auto pair_at = [&](int k) { return pairs[static_cast<std::size_t>(k)]; };
    std::vector<SeriesTie> ties;
    progress.stage("network", static_cast<int>(pairs.size()));
    parallel_in_order(
        static_cast<int>(pairs.size()), series.in_flight,
        [&](int k) {
            const SeriesPair pair = pair_at(k);
            const auto prepared = [&](int i) {
                return prepare_image(*store.get(static_cast<std::size_t>(i)));
            };
            const auto warp = [&](int i) -> const Warp& {
                return at(series, i).alignment.target_from_reference;
            };
            return attempt([&] {
                return align_between(prepared(pair.target), warp(pair.target),
                                     prepared(pair.neighbour), warp(pair.neighbour), options.align);
            });
        },
        [&](int k, Attempt<Alignment> tried) {
            if (tried.value) ties.push_back({pair_at(k), std::move(*tried.value)});
            progress.step(infos[static_cast<std::size_t>(pair_at(k).target)].id);
        });
    SeriesSolution joint =
        align_series(series.grid, std::move(star), reference, ties, options.align);
    for (std::size_t i = 0; i < series.members.size(); ++i) {
        Member& member = series.members[i];
        member.alignment = std::move(joint.alignments[i]);
        member.unregistered =
            i != series.reference && member.alignment.status == RegistrationStatus::fail;
        if (member.unregistered)
            leave_out(member, "it could not be registered: " + member.alignment.reason, progress);
    }
}

/// Registers every scene to the reference, then the series as a network.
void register_series(Series& series, SceneStore& store, const RunOptions& options,
                     Progress& progress) {
    progress.stage("align", static_cast<int>(series.members.size()));
    series.reference = choose_reference(series, options.reference);
    const std::string reference_id = series.members[series.reference].info.id;
    const AlignImage reference = prepare_image(*store.get(series.reference));
    parallel_in_order(
        static_cast<int>(series.members.size()), series.in_flight,
        [&](int i) {
            if (is_reference(series, i)) return Attempt<Alignment>{Alignment{}, {}};
            return attempt([&] {
                return align(*store.get(static_cast<std::size_t>(i)), reference, options.align);
            });
        },
        [&](int i, Attempt<Alignment> tried) {
            Member& member = at(series, i);
            progress.step(member.info.id);
            if (tried.value) member.alignment = std::move(*tried.value);
            if (!is_reference(series, i) && tried.fault.empty() &&
                member.alignment.status == RegistrationStatus::fail)
                tried.fault = "it could not be registered: " + member.alignment.reason;
            member.unregistered = !tried.fault.empty();
            if (member.unregistered) leave_out(member, tried.fault, progress);
        });
    drop_left_out(series, store);
    follow_reference(series, reference_id);
    join_series(series, store, options, progress);
    drop_left_out(series, store);
    follow_reference(series, reference_id);
    Alignment& own = series.members[series.reference].alignment;
    own.status = RegistrationStatus::pass;
    for (const Member& member : series.members)
        own.effective_gsd_m = std::max(own.effective_gsd_m, member.alignment.effective_gsd_m);
}

/// Samples every scene once through its registration, and brings its radiometry to the reference's.
void normalize_series(Series& series, SceneStore& store, const RunOptions& options,
                      const SiteObservers& observers, Progress& progress) {
    progress.stage("normalize", static_cast<int>(series.members.size()));
    const std::string reference_id = series.members[series.reference].info.id;
    const auto reference = store.get(series.reference);
    struct Normalized {
        Scene scene;
        Normalization normalization;
    };
    if (observers.registered) observers.registered(*reference);
    parallel_in_order(
        static_cast<int>(series.members.size()), series.in_flight,
        [&](int i) {
            if (is_reference(series, i)) return Attempt<Normalized>{Normalized{}, {}};
            return attempt([&] {
                Normalized done;
                done.scene = read_scene(series, at(series, i).info,
                                        at(series, i).alignment.target_from_reference, options);
                done.normalization = normalize(done.scene, *reference, options.normalize);
                return done;
            });
        },
        [&](int i, Attempt<Normalized> done) {
            Member& member = at(series, i);
            progress.step(member.info.id);
            if (is_reference(series, i)) {
                member.normalization.method = "reference";
            } else if (!done.value) {
                leave_out(member, done.fault, progress);
            } else {
                if (observers.registered) observers.registered(done.value->scene);
                member.normalization = std::move(done.value->normalization);
                apply(member.normalization, done.value->scene.raster);
                store.put(static_cast<std::size_t>(i), std::move(done.value->scene));
            }
        });
    drop_left_out(series, store);
    follow_reference(series, reference_id);
}

/// A registration with what its scene shows moved by by_m, metres east and north.
Alignment moved_by(Alignment alignment, Point by_m, double gsd_m) {
    constexpr double kLeftOver_m = 1;  // 1 sigma, both axes: tie points have been wrong there
    auto& a = alignment.target_from_reference.affine.a;
    const Point shift{-by_m.x / gsd_m, by_m.y / gsd_m};
    a[0] += a[1] * shift.x + a[2] * shift.y;
    a[3] += a[4] * shift.x + a[5] * shift.y;
    alignment.dx_m -= by_m.x;
    alignment.dy_m -= by_m.y;
    alignment.rmse_m = std::max(alignment.rmse_m, kLeftOver_m);
    alignment.ce90_m = std::max(alignment.ce90_m, 1.52 * kLeftOver_m);  // of a Gaussian
    alignment.status = RegistrationStatus::warn;
    alignment.reason = fmt::format(
        "its own line lay {:.1f} m beside the one that the other scenes show and was moved onto "
        "it{}{}",
        norm(by_m), alignment.reason.empty() ? "" : "; before that: ", alignment.reason);
    return alignment;
}

/// Registers scenes whose own line lies beside the one that the others show onto that line, and
/// reads them anew: what else they show is to lie right, too. Each is still sampled once.
void move_onto_line(Series& series, SceneStore& store, const PerimeterResult& lines,
                    const RunOptions& options, const SiteObservers& observers, Progress& progress) {
    const auto& moved = lines.settled;
    if (moved.empty()) return;
    progress.stage("settle", static_cast<int>(moved.size()));
    const auto registration = [&](int k) {
        const auto& [scene, by_m] = moved[static_cast<std::size_t>(k)];
        return moved_by(at(series, scene).alignment, by_m, series.grid.gsd());
    };
    const auto member_of = [&](int k) { return moved[static_cast<std::size_t>(k)].first; };
    parallel_in_order(
        static_cast<int>(moved.size()), series.in_flight,
        [&](int k) {
            return attempt([&] {
                return read_scene(series, at(series, member_of(k)).info,
                                  registration(k).target_from_reference, options);
            });
        },
        [&](int k, Attempt<Scene> read) {
            Member& member = at(series, member_of(k));
            progress.step(member.info.id);
            // A scene that cannot be read a second time stays as it was: only less well placed.
            if (!read.value) return progress.warn(member.info.id + ": " + read.fault);
            member.alignment = registration(k);
            if (observers.registered) observers.registered(*read.value);
            apply(member.normalization, read.value->raster);
            member.surfaces = surface_maps(*read.value, options.structures);
            store.put(static_cast<std::size_t>(member_of(k)), std::move(*read.value));
        });
}

/// The catalogue's line; where it has none, the first that was given.
KnownLine known_line(const Site& site, const std::vector<GivenLine>& given, const Grid& grid) {
    const GridProjection projection(grid);
    if (site.perimeter_lonlat.size() >= 3)
        return {projection.px_from_lonlat(site.perimeter_lonlat), site.perimeter_date};
    if (given.empty()) return {};
    return {projection.px_from_lonlat(given.front().lonlat), given.front().datetime};
}

/// Given lines on the grid, each with its scene: the one it names, else (where that was left out,
/// too) the nearest to its date, else the last.
std::vector<GivenPerimeter> place_given(const std::vector<GivenLine>& given, const Series& series,
                                        Progress& progress) {
    const GridProjection projection(series.grid);
    std::vector<GivenPerimeter> placed;
    for (const GivenLine& line : given) {
        int scene = static_cast<int>(series.members.size()) - 1;
        const auto gap = [&](int i) {
            return std::abs(at(series, i).info.datetime->days() - line.datetime->days());
        };
        for (int i = scene; line.datetime && i >= 0; --i)
            if (gap(i) < gap(scene)) scene = i;
        for (int i = 0; i < static_cast<int>(series.members.size()); ++i)
            if (at(series, i).info.id == line.scene) scene = i;
        if (const std::string& id = at(series, scene).info.id;
            !line.scene.empty() && id != line.scene)
            progress.warn(
                fmt::format("--perimeter: the scene {} was left out; its line is measured in {}",
                            line.scene, id));
        placed.push_back({scene, projection.px_from_lonlat(line.lonlat)});
    }
    return placed;
}

/// What the network reads off every scene. Its tiles share the threads, so one scene at a time.
void read_surfaces(Series& series, const SceneStore& store, const StructureOptions& options,
                   Progress& progress) {
    progress.stage("surfaces", static_cast<int>(series.members.size()));
    for (std::size_t i = 0; i < series.members.size(); ++i) {
        Member& member = series.members[i];
        member.surfaces = surface_maps(*store.get(i), options);
        if (member.surfaces.empty())
            member.info.notes.push_back("read without the network of roofs, walls and posts: " +
                                        member.surfaces.unread);
        progress.step(member.info.id);
    }
}

struct SeriesLines {
    PerimeterResult traced;
    std::vector<TracedPerimeter> given;
};

/// The line's evidence of every scene, and the line through the series.
SeriesLines trace_series(const Series& series, const SceneStore& store, const KnownLine& known,
                         const std::vector<GivenLine>& given, const PerimeterOptions& options,
                         Progress& progress) {
    const int count = static_cast<int>(series.members.size());
    progress.stage("perimeter", count);
    std::vector<LineEvidence> lines;
    std::vector<SceneInfo> infos;
    std::vector<double> sigma_m;
    parallel_in_order(
        count, series.in_flight,
        [&](int i) {
            return line_evidence(*store.get(static_cast<std::size_t>(i)), at(series, i).surfaces,
                                 options);
        },
        [&](int i, LineEvidence evidence) {
            lines.push_back(std::move(evidence));
            infos.push_back(at(series, i).info);
            sigma_m.push_back(at(series, i).alignment.rmse_m);
            progress.step(infos.back().id);
        });
    // A line drawn by hand belongs to its scene as that lies; tracing may move what it shows.
    auto by_hand = measure_given(series.grid, infos, lines, sigma_m,
                                 place_given(given, series, progress), options);
    return {trace_perimeters(series.grid, infos, lines, sigma_m, known, options),
            std::move(by_hand)};
}

/// Puts a member where its time belongs.
void insert_member(Series& series, SceneStore& store, Member member, Scene scene) {
    const std::string reference = series.members[series.reference].info.id;
    const auto where = std::upper_bound(
        series.members.begin(), series.members.end(), member,
        [](const Member& a, const Member& b) { return *a.info.datetime < *b.info.datetime; });
    const auto index = static_cast<std::size_t>(where - series.members.begin());
    for (std::size_t i = series.members.size(); i > index; --i) store.move(i - 1, i);
    series.members.insert(where, std::move(member));
    store.put(index, std::move(scene));
    follow_reference(series, reference);
}

/// Scenes that tie points could not register are placed by their perimeter line, where the network
/// draws it clearly: a translation, with a warning. The others stay left out. Returns whether any
/// was placed.
bool place_unregistered(Series& series, SceneStore& store, const PerimeterResult& lines,
                        const RunOptions& options, const SiteObservers& observers,
                        Progress& progress) {
    constexpr double kLeftOver_m = 1.5;  // 1 sigma, both axes: one shift for the whole scene
    std::vector<Ring> rings;
    for (const TracedPerimeter& p : lines.perimeters)
        if (rings.empty() || rings.back() != p.ring_px) rings.push_back(p.ring_px);
    bool any = false;
    for (Member& member : series.unregistered) {
        const auto place = [&]() -> std::optional<Scene> {
            if (rings.empty()) return {};
            const Scene first = read_scene(series, member.info, {}, options);
            const auto shift = place_by_line(
                series.grid, first.info,
                line_evidence(first, surface_maps(first, options.structures), options.perimeter),
                rings, options.perimeter);
            if (!shift) return {};
            Alignment placed;
            placed.target_from_reference.affine.a = {shift->x, 1, 0, shift->y, 0, 1};
            placed.model = "translation";
            placed.dx_m = shift->x * series.grid.gsd();
            placed.dy_m = -shift->y * series.grid.gsd();
            placed.rmse_m = placed.whole_rmse_m = kLeftOver_m;
            placed.ce90_m = 1.52 * kLeftOver_m;  // of a Gaussian
            placed.effective_gsd_m = series.members[series.reference].alignment.effective_gsd_m;
            placed.status = RegistrationStatus::warn;
            placed.reason = "placed by its perimeter line alone; " + member.info.left_out;
            member.alignment = std::move(placed);
            Scene scene =
                read_scene(series, member.info, member.alignment.target_from_reference, options);
            member.normalization =
                normalize(scene, *store.get(series.reference), options.normalize);
            if (observers.registered) observers.registered(scene);
            apply(member.normalization, scene.raster);
            member.surfaces = surface_maps(scene, options.structures);
            return scene;
        };
        Attempt<std::optional<Scene>> placed = attempt(place);
        if (placed.value && *placed.value) {
            any = true;
            progress.warn(
                fmt::format("{} is used after all: {}", member.info.id, member.alignment.reason));
            member.info.left_out.clear();
            insert_member(series, store, std::move(member), std::move(**placed.value));
        } else {
            series.left_out.push_back(std::move(member.info));
        }
    }
    series.unregistered.clear();
    return any;
}

/// Buildings of the area and posts along the traced lines and the known one, in every scene; then
/// every scene's look at each of them.
void find_structures(const Series& series, const SceneStore& store, const KnownLine& known,
                     const StructureOptions& options, SeriesEvidence& evidence,
                     Progress& progress) {
    const int count = static_cast<int>(series.members.size());
    progress.stage("structures", 2 * count);
    const Ring area_px = GridProjection(series.grid).px_from_lonlat(series.area_lonlat);
    std::vector<Ring> rings;
    for (const TracedPerimeter& traced : evidence.perimeter.perimeters)
        rings.push_back(traced.ring_px);
    // Where the trace has left the line, the catalogue's still has its posts.
    if (known.ring_px.size() >= 3) rings.push_back(known.ring_px);
    std::vector<std::vector<Detection>> detections;
    parallel_in_order(
        count, series.in_flight,
        [&](int i) {
            return detect_structures(*store.get(static_cast<std::size_t>(i)),
                                     at(series, i).surfaces, area_px, rings, options);
        },
        [&](int i, std::vector<Detection> found) {
            detections.push_back(std::move(found));
            progress.step(at(series, i).info.id);
        });
    evidence.objects = merge_detections(detections, series.grid.gsd(), options);
    parallel_in_order(
        count, series.in_flight,
        [&](int i) {
            return look_at(*store.get(static_cast<std::size_t>(i)), at(series, i).surfaces,
                           evidence.objects, options);
        },
        [&](int i, std::vector<Look> looks) {
            evidence.looks.push_back(std::move(looks));
            progress.step(at(series, i).info.id);
        });
}

/// The change map between each two consecutive scenes.
void find_differences(const Series& series, const SceneStore& store,
                      const DifferenceOptions& options, const SiteObservers& observers,
                      SeriesEvidence& evidence, Progress& progress) {
    const int count = static_cast<int>(series.members.size()) - 1;
    progress.stage("difference", count);
    parallel_in_order(
        count, series.in_flight,
        [&](int i) {
            const auto before = store.get(static_cast<std::size_t>(i)),
                       after = store.get(static_cast<std::size_t>(i) + 1);
            const double sigma_px =
                std::hypot(at(series, i).alignment.rmse_m, at(series, i + 1).alignment.rmse_m) /
                series.grid.gsd();
            return difference(*before, *after, sigma_px, options);
        },
        [&](int i, ChangeMap map) {
            if (observers.changed)
                observers.changed(at(series, i).info, at(series, i + 1).info, series.grid, map);
            map.change_class = {};  // objects are what the next stage needs; the planes are on disk
            map.probability = {};
            evidence.intervals.push_back(std::move(map));
            progress.step(at(series, i + 1).info.id);
        });
}

std::vector<ReportScene> report_scenes(const Series& series) {
    std::vector<ReportScene> scenes;
    for (std::size_t i = 0; i < series.members.size(); ++i) {
        const Member& member = series.members[i];
        scenes.push_back(report_scene(member.info, member.usable_fraction, i == series.reference,
                                      member.alignment, member.normalization, series.grid));
    }
    for (const SceneInfo& info : series.left_out) scenes.push_back(report_scene(info));
    std::stable_sort(scenes.begin(), scenes.end(), [](const ReportScene& a, const ReportScene& b) {
        if (a.datetime != b.datetime)
            return a.datetime.value_or(Time{INT64_MAX}) < b.datetime.value_or(Time{INT64_MAX});
        return a.id < b.id;
    });
    return scenes;
}

std::vector<ReportPerimeter> report_perimeters(const PerimeterResult& result,
                                               const std::vector<TracedPerimeter>& given,
                                               const Series& series) {
    const GridProjection projection(series.grid);
    std::vector<ReportPerimeter> perimeters;
    for (const auto& [lines, origin] :
         {std::pair{&result.perimeters, "traced"}, std::pair{&given, "given"}})
        for (const TracedPerimeter& line : *lines) {
            const SceneInfo& info = series.members[static_cast<std::size_t>(line.scene)].info;
            perimeters.push_back({info.id, *info.datetime, line.area_m2, line.length_m,
                                  line.area_ci, line.length_ci, line.supported_fraction, origin,
                                  projection.lonlat_from_px(line.ring_px), line.segments});
        }
    return perimeters;
}

}  // namespace

SiteRun run_site(const Site& site, std::vector<SceneInfo> scenes, const RunOptions& options,
                 const std::string& scratch_dir, const SiteObservers& observers,
                 Progress& progress) {
    SiteRun run;
    run.inputs = scenes;
    Series series = observe_series(site, std::move(scenes), options);
    SceneStore store(scratch_dir, options.max_memory_bytes / kStoreShare, series.members.size());
    const auto require_scenes = [&] {
        if (!series.members.empty()) return;
        std::string reasons;
        for (const SceneInfo& info : series.left_out)
            reasons += fmt::format("\n  {}: {}", info.id, info.left_out);
        throw DataError("scenes of " + site.id, "not one can be used:" + reasons);
    };
    require_scenes();
    read_series(series, store, options, progress);
    require_scenes();
    register_series(series, store, options, progress);
    normalize_series(series, store, options, observers, progress);

    read_surfaces(series, store, options.structures, progress);
    const KnownLine known = known_line(site, options.given, series.grid);
    const auto trace = [&] {
        return trace_series(series, store, known, options.given, options.perimeter, progress);
    };
    SeriesLines lines = trace();
    if (place_unregistered(series, store, lines.traced, options, observers, progress))
        lines = trace();
    SeriesEvidence evidence;
    for (const Member& member : series.members) {
        evidence.scenes.push_back(member.info);
        evidence.may_start_change.push_back(member.may_start_change);
    }
    evidence.perimeter = std::move(lines.traced);
    move_onto_line(series, store, evidence.perimeter, options, observers, progress);
    find_structures(series, store, known, options.structures, evidence, progress);
    find_differences(series, store, options.difference, observers, evidence, progress);

    Tracks tracks = track(evidence, series.grid, options.structures, options.track);

    Report& report = run.report;
    report.software = {"fenceline", version(), commit()};
    report.site = site;
    report.grid = {short_crs_name(series.grid.crs_wkt), series.grid.gsd(), series.grid.width,
                   series.grid.height, series.grid.geotransform};
    report.scenes = report_scenes(series);
    for (const Member& member : series.members)
        report.simulated = report.simulated || member.info.simulated;
    for (const SceneInfo& info : series.left_out)
        report.simulated = report.simulated || info.simulated;
    report.perimeters = report_perimeters(evidence.perimeter, lines.given, series);
    report.structures = std::move(tracks.structures);
    report.changes = std::move(tracks.changes);
    report.not_observable = std::move(tracks.not_observable);
    make_outlines_simple(report);
    report.findings =
        write_findings(report, evidence.perimeter, options.perimeter.min_change_share);

    run.grid = series.grid;
    run.reference = series.reference;
    for (Member& member : series.members) {
        run.scenes.push_back(member.info);
        run.alignments.push_back(std::move(member.alignment));
    }
    run.perimeter = std::move(evidence.perimeter);
    if (observers.finished) observers.finished(run, [&](std::size_t i) { return store.get(i); });
    return run;
}

}  // namespace fenceline
