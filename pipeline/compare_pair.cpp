#include "compare_pair.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/geodesic.h"
#include "core/projection.h"
#include "core/version.h"
#include "stages/findings.h"
#include "stages/track.h"

namespace fenceline {
namespace {

struct Extent {
    double west = 0, south = 0, east = 0, north = 0;
};

Extent extent_of(const Ring& ring_lonlat) {
    Extent e{1e9, 1e9, -1e9, -1e9};
    for (const Point& p : ring_lonlat) {
        e.west = std::min(e.west, p.x);
        e.east = std::max(e.east, p.x);
        e.south = std::min(e.south, p.y);
        e.north = std::max(e.north, p.y);
    }
    return e;
}

std::string text_of(const Extent& e) {
    return fmt::format("{:.5f} to {:.5f} E, {:.5f} to {:.5f} N", e.west, e.east, e.south, e.north);
}

void require_overlap(const SceneInfo& before, const Ring& before_lonlat, const SceneInfo& after,
                     const Ring& after_lonlat) {
    const Extent a = extent_of(before_lonlat), b = extent_of(after_lonlat);
    if (a.west < b.east && b.west < a.east && a.south < b.north && b.south < a.north) return;
    throw DataError(after.path,
                    fmt::format("it does not overlap {}: it covers {}, the other {}", before.path,
                                text_of(b), text_of(a)),
                    "check the coordinate reference systems of both images");
}

/// A geographic grid as one in metres, pixel for pixel: longitude and latitude scaled (plate carrée
/// on a sphere is linear in both). Other grids as they are.
Grid with_metric_crs(const Grid& grid) {
    const bool geographic =
        grid.crs_wkt.rfind("GEOG", 0) == 0 || grid.crs_wkt.rfind("GEODCRS", 0) == 0;
    if (!geographic) return grid;
    const Point centre = grid.map_from_px({grid.width / 2.0, grid.height / 2.0});
    const std::string crs =
        fmt::format("+proj=eqc +lat_ts={:.6f} +R=6371008.8 +units=m +type=crs", centre.y);
    const Transform to_metres(grid.crs_wkt, crs);
    Grid metric = grid;
    metric.crs_wkt = wkt_of(crs);
    const double w = grid.width, h = grid.height;
    const Point o = to_metres(grid.map_from_px({0, 0})), x = to_metres(grid.map_from_px({w, 0})),
                y = to_metres(grid.map_from_px({0, h}));
    metric.geotransform = {o.x, (x.x - o.x) / w, (y.x - o.x) / h,
                           o.y, (x.y - o.y) / w, (y.y - o.y) / h};
    return metric;
}

void check_memory(const Grid& grid, int bands, std::size_t allowed) {
    const auto pixels =
        static_cast<std::size_t>(grid.width) * static_cast<std::size_t>(grid.height);
    // Two scenes, the luminances, score, classes and labels of the difference, and the map.
    const std::size_t needed =
        pixels * (2 * (static_cast<std::size_t>(std::max(1, bands)) * sizeof(float) + 2) +
                  8 * sizeof(float));
    if (needed > allowed)
        throw DataError("BEFORE",
                        fmt::format("{} × {} pixels need about {} MiB, --max-memory allows {}",
                                    grid.width, grid.height, needed >> 20U, allowed >> 20U),
                        "raise --max-memory, or cut the images to the area of interest");
}

Scene read_scene(const SceneInfo& info, const Grid& grid, const Warp& warp, const Ring& area_lonlat,
                 const CompareOptions& options) {
    GridImage image = read_on_grid(info, grid, warp, options.georef);
    return observe(info, std::move(image.raster), std::move(image.masks), image.mask_given,
                   area_lonlat, options.observe);
}

const char* name_of(RegistrationStatus status) {
    switch (status) {
        case RegistrationStatus::pass:
            return "pass";
        case RegistrationStatus::warn:
            return "warn";
        case RegistrationStatus::fail:
            return "fail";
    }
    return "fail";
}

ReportScene report_scene(const Scene& scene, const std::string& role) {
    const SceneInfo& info = scene.info;
    ReportScene entry;
    entry.id = info.id;
    entry.datetime = info.datetime;
    entry.datetime_end = info.datetime_end;
    entry.source = info.source;
    entry.sha256 = info.sha256;
    entry.sensor = info.sensor;
    entry.gsd_m = info.gsd_m;
    entry.bands = info.band_count;
    entry.sun_azimuth = info.sun_azimuth_deg;
    entry.sun_elevation = info.sun_elevation_deg;
    entry.off_nadir = info.off_nadir_deg;
    entry.usable_fraction = scene.usable_fraction;
    entry.role = role;
    entry.notes = info.notes;
    return entry;
}

}  // namespace

Grid metric_twin(const Grid& grid) {
    Grid twin = grid;
    const GridProjection projection(grid);
    const double x = grid.width / 2.0, y = grid.height / 2.0, half_w = std::min(50.0, x),
                 half_h = std::min(50.0, y);
    const double width_m = geodesic_distance(projection.lonlat_from_px({x - half_w, y}),
                                             projection.lonlat_from_px({x + half_w, y})) /
                           (2 * half_w);
    const double height_m = geodesic_distance(projection.lonlat_from_px({x, y - half_h}),
                                              projection.lonlat_from_px({x, y + half_h})) /
                            (2 * half_h);
    if (!(width_m > 0) || !(height_m > 0) || !std::isfinite(width_m * height_m))
        throw DataError("grid", "its pixels have no size on the ground");
    twin.crs_wkt.clear();
    twin.geotransform = {0, width_m, 0, 0, 0, -height_m};
    return twin;
}

CompareOutcome compare_pair(SceneInfo before, SceneInfo after, const CompareOptions& options,
                            Progress& progress) {
    CompareOutcome out;
    progress.stage("observe", 2);
    const Ring before_lonlat = image_footprint(before, options.georef),
               after_lonlat = image_footprint(after, options.georef);
    require_overlap(before, before_lonlat, after, after_lonlat);
    try {
        out.grid = image_grid(before, options.georef);
    } catch (const DataError&) {
        // RPCs or GCPs: its own pixels are no map, so the map is its UTM zone at its own GSD.
        ObserveOptions tight = options.observe;
        tight.margin_m = 0;
        const SceneInfo alone[] = {before};
        out.grid = common_grid(before_lonlat, alone, tight);
    }
    check_memory(out.grid, std::max(before.band_count, after.band_count), options.max_memory_bytes);
    const Grid working = with_metric_crs(out.grid), twin = metric_twin(out.grid);
    const auto read = [&](const SceneInfo& info, const Warp& warp) {
        Scene scene = read_scene(info, working, warp, before_lonlat, options);
        scene.raster.grid = twin;
        return scene;
    };
    out.before = read(before, {});
    progress.step(before.id);
    out.after = read(after, {});
    progress.step(after.id);

    progress.stage("align", 1);
    out.alignment = align(out.after, out.before, options.align);
    std::string caveat = out.alignment.reason;
    if (out.alignment.status == RegistrationStatus::fail) {
        if (!options.assume_registered)
            throw DataError(
                after.path,
                "it could not be registered to " + before.path + ": " + out.alignment.reason,
                "if the georeferences can be trusted, set compare.assume_registered");
        caveat = "not registered, the georeferences were trusted: " + caveat;
        out.alignment.target_from_reference = {};
        out.alignment.model = "identity";
    } else if (!out.alignment.target_from_reference.is_identity()) {
        const SceneInfo info = out.after.info;
        out.after = {};  // both copies at once would be half as much memory again
        out.after = read(info, out.alignment.target_from_reference);
    }
    progress.step(after.id);

    progress.stage("normalize", 1);
    out.normalization = normalize(out.after, out.before, options.normalize);
    apply(out.normalization, out.after.raster);
    progress.step(after.id);

    progress.stage("difference", 1);
    const double sigma_px = out.alignment.rmse_m / twin.gsd();
    out.map = difference(out.before, out.after, sigma_px, options.difference);
    progress.step(after.id);

    Report& report = out.report;
    report.software = {"fenceline", version(), ""};
    report.simulated = before.simulated || after.simulated;
    report.grid = {short_crs_name(out.grid.crs_wkt), twin.gsd(), out.grid.width, out.grid.height,
                   out.grid.geotransform};
    report.scenes = {report_scene(out.before, "reference"), report_scene(out.after, "used")};
    report.scenes[0].registration = RegistrationSummary{"identity", 0, 0, 0, 0, 0, "pass"};
    report.scenes[0].normalization = NormalizationSummary{"reference", {}};
    const auto kept =
        std::count_if(out.alignment.tie_points.begin(), out.alignment.tie_points.end(),
                      [](const TiePoint& t) { return t.kept; });
    report.scenes[1].reason = caveat;
    report.scenes[1].registration = RegistrationSummary{
        out.alignment.model,          out.alignment.dx_m,   out.alignment.dy_m,
        static_cast<int>(kept),       out.alignment.rmse_m, out.alignment.ce90_m,
        name_of(out.alignment.status)};
    NormalizationSummary normalization{out.normalization.method, {}};
    for (const BandLine& band : out.normalization.bands)
        normalization.bands.push_back({band.gain, band.offset, band.rmse_before, band.rmse_after});
    report.scenes[1].normalization = normalization;
    if (!out.normalization.reason.empty())
        report.scenes[1].notes.push_back("normalize: " + out.normalization.reason);
    if (!out.map.note.empty()) report.scenes[1].notes.push_back("difference: " + out.map.note);
    report.changes = changes_of_pair(out.map, out.before.info, out.after.info, working);
    report.findings = write_findings(report, {});
    return out;
}

}  // namespace fenceline
