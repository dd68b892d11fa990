#include "compare_pair.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compare_large.h"
#include "core/error.h"
#include "core/projection.h"
#include "core/version.h"
#include "pair_buildings.h"
#include "pair_grid.h"
#include "pair_order.h"
#include "report_parts.h"
#include "stages/findings.h"
#include "stages/track.h"

namespace fenceline {
namespace {

void check_memory(const Grid& grid, int bands, std::size_t allowed) {
    const auto pixels =
        static_cast<std::size_t>(grid.width) * static_cast<std::size_t>(grid.height);
    // Two scenes, the luminances, what is kept of every pixel, twice while it is put away, and the
    // planes in which buildings are looked for.
    const std::size_t needed =
        pixels * (2 * (static_cast<std::size_t>(std::max(1, bands)) * sizeof(float) + 2) +
                  14 * sizeof(float));
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

bool is_large(const Grid& grid, const CompareOptions& options) {
    return static_cast<double>(grid.width) * grid.height > options.large_pair_pixels;
}

/// Everything but the report, on before's grid. Why the registration may be doubted: in the
/// alignment's reason.
CompareOutcome judge(const SceneInfo& before, const SceneInfo& after, const CompareOptions& options,
                     Progress& progress) {
    CompareOutcome out;
    progress.stage("observe", 2);
    const Ring before_lonlat = image_footprint(before, options.georef);
    out.grid = pair_grid(before, after, before_lonlat, options.observe, options.georef);
    const Grid working = with_metric_crs(out.grid), twin = metric_twin(out.grid);
    const bool large = is_large(out.grid, options);
    if (large) {
        compare_large(before, after, working, before_lonlat, options, progress, out);
    } else {
        check_memory(out.grid, std::max(before.band_count, after.band_count),
                     options.max_memory_bytes);
    }
    const auto read = [&](const SceneInfo& info, const Warp& warp) {
        Scene scene = read_scene(info, working, warp, before_lonlat, options);
        scene.raster.grid = twin;
        return scene;
    };
    if (!large) {
        out.before = read(before, {});
        progress.step(before.id);
        out.after = read(after, {});
        progress.step(after.id);

        progress.stage("align", 1);
        out.alignment = align(out.after, out.before, options.align);
    }
    const Point shift = east_north(working, twin, {out.alignment.dx_m, out.alignment.dy_m});
    out.alignment.dx_m = shift.x;
    out.alignment.dy_m = shift.y;
    if (out.alignment.status == RegistrationStatus::fail) {
        if (!options.assume_registered)
            throw DataError(
                after.path,
                "it could not be registered to " + before.path + ": " + out.alignment.reason,
                "if the georeferences can be trusted, set compare.assume_registered");
        out.alignment.reason =
            "not registered, the georeferences were trusted: " + out.alignment.reason;
        out.alignment.target_from_reference = {};
        out.alignment.model = "identity";
    } else if (!large && !out.alignment.target_from_reference.is_identity()) {
        const SceneInfo info = out.after.info;
        out.after = {};  // both copies at once would be half as much memory again
        out.after = read(info, out.alignment.target_from_reference);
    }
    if (!large) {
        progress.step(after.id);

        progress.stage("normalize", 1);
        out.normalization = normalize(out.after, out.before, options.normalize);
        apply(out.normalization, out.after.raster);
        progress.step(after.id);

        progress.stage("difference", 1);
        const double sigma_px = out.alignment.rmse_m / twin.gsd();
        const int width = out.grid.width, height = out.grid.height;
        const auto scores =
            start_difference(out.before, out.after, width, height, sigma_px, memory_shelf());
        add_difference_rows(*scores, out.before, out.after, 0, 0, height, options.difference);
        out.map = finish_difference(*scores, options.difference);
        out.map_row = [scores](int y, std::uint8_t* change, float* probability) {
            change_map_row(*scores, y, change, probability);
        };
        tell_buildings(out, twin.gsd(), options.min_building_probability);
        progress.step(after.id);
    }
    return out;
}

}  // namespace

CompareOutcome compare_pair(SceneInfo before, SceneInfo after, const CompareOptions& options,
                            Progress& progress) {
    CompareOutcome out;
    if (judged_in_frame_of_after(before, after, options.georef)) {
        out = judge(after, before, options, progress);
        turn(out, image_grid(before, options.georef));
    } else {
        out = judge(before, after, options, progress);
    }
    const Grid twin = metric_twin(out.grid);
    Report& report = out.report;
    report.software = {"fenceline", version(), commit()};
    report.simulated = before.simulated || after.simulated;
    report.grid = {short_crs_name(out.grid.crs_wkt), twin.gsd(), out.grid.width, out.grid.height,
                   out.grid.geotransform};
    Alignment itself;
    itself.status = RegistrationStatus::pass;
    Normalization unchanged;
    unchanged.method = "reference";
    report.scenes = {
        report_scene(out.before.info, out.before.usable_fraction, true, itself, unchanged),
        report_scene(out.after.info, out.after.usable_fraction, false, out.alignment,
                     out.normalization)};
    report.scenes[1].reason = out.alignment.reason;
    if (!out.map.note.empty()) report.scenes[1].notes.push_back("difference: " + out.map.note);
    if (is_large(out.grid, options))
        report.scenes[1].notes.push_back(fmt::format(
            "buildings are not looked for in pairs of more than {:g} million pixels: outlines are "
            "those of the changed ground",
            1e-6 * options.large_pair_pixels));
    report.changes =
        changes_of_pair(out.map, out.before.info, out.after.info, with_metric_crs(out.grid));
    make_outlines_simple(report);
    report.findings = write_findings(report, {});
    return out;
}

}  // namespace fenceline
