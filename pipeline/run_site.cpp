#include "run_site.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
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
    LineEvidence line;
    std::vector<Detection> buildings;
};

struct Series {
    Ring area_lonlat;
    Grid grid;
    std::vector<Member> members;
    std::vector<SceneInfo> left_out;
    std::size_t reference = 0;
};

void leave_out(Series& series, std::size_t i, std::string reason, Progress& progress) {
    Member& member = series.members[i];
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
            series.left_out.push_back(std::move(member.info));
        }
    }
    series.members = std::move(kept);
}

void check_memory(const Series& series, const RunOptions& options) {
    std::size_t bands = 1;
    for (const Member& member : series.members)
        bands = std::max(bands, static_cast<std::size_t>(std::max(1, member.info.band_count)));
    const auto pixels = static_cast<std::size_t>(series.grid.width) * static_cast<std::size_t>(series.grid.height);
    // Two scenes at a time, the planes a stage works on (12 floats a pixel), and the 8-bit evidence of all dates.
    const std::size_t needed =
        pixels * (2 * (bands * sizeof(float) + 2) + 12 * sizeof(float) + 4 * series.members.size());
    if (needed > options.max_memory_bytes)
        throw DataError("area of interest",
                        fmt::format("{} × {} pixels of {:.2f} m need about {} MiB, --max-memory allows {}",
                                    series.grid.width, series.grid.height, series.grid.gsd(), needed >> 20,
                                    options.max_memory_bytes >> 20),
                        "raise --max-memory, or set a coarser --observe.gsd_m");
}

Scene read_scene(const Series& series, const SceneInfo& info, const Warp& warp, const RunOptions& options) {
    GridImage image = read_on_grid(info, series.grid, warp, options.georef);
    return observe(info, std::move(image.raster), std::move(image.masks), image.mask_given, series.area_lonlat,
                   options.observe);
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
    check_memory(series, options);
    return series;
}

void read_series(Series& series, SceneStore& store, const RunOptions& options, Progress& progress) {
    progress.stage("observe", static_cast<int>(series.members.size()));
    for (std::size_t i = 0; i < series.members.size(); ++i) {
        Member& member = series.members[i];
        try {
            Scene scene = read_scene(series, member.info, {}, options);
            member.info = scene.info;
            member.usable_fraction = scene.usable_fraction;
            member.may_start_change = scene.may_start_change;
            if (!scene.info.left_out.empty())
                leave_out(series, i, scene.info.left_out, progress);
            else
                store.put(i, std::move(scene));
        } catch (const DataError& error) {
            leave_out(series, i, error.reason, progress);
        }
        progress.step(member.info.id);
    }
    drop_left_out(series, store);
}

/// The scene that the others are registered to: named by the user, else seen best, then nearest the middle of the
/// series in time, so that no registration has to bridge more change than needed.
std::size_t choose_reference(const Series& series, const std::string& wanted) {
    if (!wanted.empty()) {
        for (std::size_t i = 0; i < series.members.size(); ++i)
            if (series.members[i].info.id == wanted) return i;
        std::string ids;
        for (const Member& member : series.members) ids += (ids.empty() ? "" : ", ") + member.info.id;
        throw UsageError(fmt::format("--reference {}: no usable scene has this id; allowed: {}", wanted, ids));
    }
    std::vector<double> days;
    for (const Member& member : series.members) days.push_back(member.info.datetime->days());
    const double middle = (days.front() + days.back()) / 2, span = std::max(1.0, days.back() - days.front());
    std::size_t best = 0;
    double best_score = -1e9;
    for (std::size_t i = 0; i < series.members.size(); ++i) {
        const Member& member = series.members[i];
        double score = member.usable_fraction - 0.3 * std::abs(days[i] - middle) / span;
        score -= 0.005 * member.info.off_nadir_deg.value_or(0);
        score -= std::max(0.0, 35 - member.info.sun_elevation_deg.value_or(45)) * 0.01;  // long shadows
        if (score > best_score + 1e-12) best = i, best_score = score;
    }
    return best;
}

/// Registers every scene to the reference and brings its radiometry to the reference's.
void register_series(Series& series, SceneStore& store, const RunOptions& options, const SiteObservers& observers,
                     Progress& progress) {
    progress.stage("align", static_cast<int>(series.members.size()));
    series.reference = choose_reference(series, options.reference);
    const std::string reference_id = series.members[series.reference].info.id;
    const auto reference = store.get(series.reference);
    for (std::size_t i = 0; i < series.members.size(); ++i) {
        Member& member = series.members[i];
        progress.step(member.info.id);
        if (i == series.reference) continue;
        try {
            member.alignment = align(*store.get(i), *reference, options.align);
            if (member.alignment.status == RegistrationStatus::fail)
                leave_out(series, i, "it could not be registered: " + member.alignment.reason, progress);
        } catch (const DataError& error) {
            leave_out(series, i, error.reason, progress);
        }
    }
    drop_left_out(series, store);
    for (std::size_t i = 0; i < series.members.size(); ++i)
        if (series.members[i].info.id == reference_id) series.reference = i;
    Alignment& own = series.members[series.reference].alignment;
    own.status = RegistrationStatus::pass;
    for (const Member& member : series.members)
        own.effective_gsd_m = std::max(own.effective_gsd_m, member.alignment.effective_gsd_m);

    progress.stage("normalize", static_cast<int>(series.members.size()));
    if (observers.registered) observers.registered(*reference);
    for (std::size_t i = 0; i < series.members.size(); ++i) {
        Member& member = series.members[i];
        progress.step(member.info.id);
        if (i == series.reference) {
            member.normalization.method = "reference";
            continue;
        }
        try {
            Scene scene = read_scene(series, member.info, member.alignment.target_from_reference, options);
            if (observers.registered) observers.registered(scene);
            member.normalization = normalize(scene, *reference, options.normalize);
            apply(member.normalization, scene.raster);
            store.put(i, std::move(scene));
        } catch (const DataError& error) {
            leave_out(series, i, error.reason, progress);
        }
    }
    drop_left_out(series, store);
    for (std::size_t i = 0; i < series.members.size(); ++i)
        if (series.members[i].info.id == reference_id) series.reference = i;
}

std::vector<ReportScene> report_scenes(const Series& series) {
    std::vector<ReportScene> scenes;
    for (std::size_t i = 0; i < series.members.size(); ++i) {
        const Member& member = series.members[i];
        scenes.push_back(report_scene(member.info, member.usable_fraction, i == series.reference, member.alignment,
                                      member.normalization));
    }
    for (const SceneInfo& info : series.left_out) scenes.push_back(report_scene(info));
    std::stable_sort(scenes.begin(), scenes.end(), [](const ReportScene& a, const ReportScene& b) {
        if (a.datetime != b.datetime) return a.datetime.value_or(Time{INT64_MAX}) < b.datetime.value_or(Time{INT64_MAX});
        return a.id < b.id;
    });
    return scenes;
}

std::vector<ReportPerimeter> report_perimeters(const PerimeterResult& result, const Series& series) {
    const GridProjection projection(series.grid);
    std::vector<ReportPerimeter> perimeters;
    for (const TracedPerimeter& traced : result.perimeters) {
        const SceneInfo& info = series.members[static_cast<std::size_t>(traced.scene)].info;
        perimeters.push_back({info.id, *info.datetime, traced.area_m2, traced.length_m, traced.area_ci, traced.length_ci,
                              traced.supported_fraction, "traced", projection.lonlat_from_px(traced.ring_px),
                              traced.segments});
    }
    return perimeters;
}

KnownLine known_line(const Site& site, const Grid& grid) {
    if (site.perimeter_lonlat.size() < 3) return {};
    return {GridProjection(grid).px_from_lonlat(site.perimeter_lonlat), site.perimeter_date};
}

}  // namespace

SiteRun run_site(const Site& site, std::vector<SceneInfo> scenes, const RunOptions& options,
                 const std::string& scratch_dir, const SiteObservers& observers, Progress& progress) {
    SiteRun run;
    run.inputs = scenes;
    Series series = observe_series(site, std::move(scenes), options);
    SceneStore store(scratch_dir, options.max_memory_bytes / 3, series.members.size());
    const auto require_scenes = [&] {
        if (!series.members.empty()) return;
        std::string reasons;
        for (const SceneInfo& info : series.left_out) reasons += fmt::format("\n  {}: {}", info.id, info.left_out);
        throw DataError("scenes of " + site.id, "not one can be used:" + reasons);
    };
    require_scenes();
    read_series(series, store, options, progress);
    require_scenes();
    register_series(series, store, options, observers, progress);

    const std::size_t count = series.members.size();
    const KnownLine known = known_line(site, series.grid);
    const Ring area_px = GridProjection(series.grid).px_from_lonlat(series.area_lonlat);
    SeriesEvidence evidence;
    std::vector<double> sigma_m;
    for (Member& member : series.members) {
        evidence.scenes.push_back(member.info);
        evidence.may_start_change.push_back(member.may_start_change);
        sigma_m.push_back(member.alignment.rmse_m);
    }

    progress.stage("perimeter", static_cast<int>(count));
    std::vector<LineEvidence> lines;
    for (std::size_t i = 0; i < count; ++i) {
        lines.push_back(line_evidence(*store.get(i), options.perimeter));
        progress.step(series.members[i].info.id);
    }
    evidence.perimeter = trace_perimeters(series.grid, evidence.scenes, lines, sigma_m, known, options.perimeter);
    lines.clear();
    std::vector<Ring> rings;
    for (const TracedPerimeter& traced : evidence.perimeter.perimeters) rings.push_back(traced.ring_px);

    progress.stage("structures", static_cast<int>(2 * count));
    std::vector<std::vector<Detection>> detections;
    for (std::size_t i = 0; i < count; ++i) {
        const auto scene = store.get(i);
        detections.push_back(detect_buildings(*scene, area_px, options.structures));
        for (Detection& post : detect_posts(*scene, rings, options.structures)) detections.back().push_back(std::move(post));
        progress.step(series.members[i].info.id);
    }
    evidence.objects = merge_detections(detections, series.grid.gsd(), options.structures);
    for (std::size_t i = 0; i < count; ++i) {
        evidence.looks.push_back(look_at(*store.get(i), evidence.objects, options.structures));
        progress.step(series.members[i].info.id);
    }

    progress.stage("difference", static_cast<int>(count) - 1);
    for (std::size_t i = 0; i + 1 < count; ++i) {
        const auto before = store.get(i), after = store.get(i + 1);
        const double sigma_px = std::hypot(sigma_m[i], sigma_m[i + 1]) / series.grid.gsd();
        ChangeMap map = difference(*before, *after, sigma_px, options.difference);
        if (observers.changed) observers.changed(*before, *after, map);
        map.change_class = {};  // objects are what the next stage needs; the planes are on disk
        map.probability = {};
        evidence.intervals.push_back(std::move(map));
        progress.step(series.members[i + 1].info.id);
    }

    Tracks tracks = track(evidence, series.grid, options.structures, options.track);

    Report& report = run.report;
    report.software = {"fenceline", version(), ""};
    report.site = site;
    report.grid = {short_crs_name(series.grid.crs_wkt), series.grid.gsd(), series.grid.width, series.grid.height,
                   series.grid.geotransform};
    report.scenes = report_scenes(series);
    for (const Member& member : series.members) report.simulated = report.simulated || member.info.simulated;
    report.perimeters = report_perimeters(evidence.perimeter, series);
    report.structures = std::move(tracks.structures);
    report.changes = std::move(tracks.changes);
    report.not_observable = std::move(tracks.not_observable);
    report.findings = write_findings(report, evidence.perimeter, options.perimeter.min_change_share);

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
