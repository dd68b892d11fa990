#include "site_report.h"

#include <fmt/format.h>

#include <cmath>

#include "core/projection.h"
#include "output/change_map_writer.h"
#include "output/changes_geojson.h"
#include "output/geopackage.h"
#include "output/kmz.h"
#include "output/provenance.h"
#include "output/raster_writer.h"
#include "output/report_html.h"
#include "output/report_json.h"

namespace fenceline {
namespace {

std::vector<TiePointRecord> tie_points_of(const SiteRun& run) {
    const GridProjection projection(run.grid);
    const double gsd_m = run.grid.gsd();
    std::vector<TiePointRecord> records;
    for (std::size_t i = 0; i < run.scenes.size(); ++i)
        for (const TiePoint& point : run.alignments[i].tie_points) {
            const Point place = projection.lonlat_from_px(point.reference_px);
            const Point shift = point.target_px - point.reference_px;
            records.push_back({run.scenes[i].id, place.x, place.y, shift.x * gsd_m, -shift.y * gsd_m,
                               point.residual_px * gsd_m, point.kept});
        }
    return records;
}

TiffMetadata metadata_of(const SceneInfo& info) {
    TiffMetadata metadata;
    if (info.datetime) {
        std::string when = format_time(*info.datetime).substr(0, 19);  // TIFF: "YYYY:MM:DD HH:MM:SS"
        when[4] = when[7] = ':';
        when[10] = ' ';
        metadata.tags["TIFFTAG_DATETIME"] = when;
    }
    if (info.simulated) metadata.tags["SIMULATED"] = "TRUE";
    for (const BandRole role : info.roles) metadata.band_descriptions.emplace_back(name_of(role));
    return metadata;
}

}  // namespace

SiteReportWriter::SiteReportWriter(StagedOutput& out, bool keep_registered, RunRecord record)
    : out_(out), keep_registered_(keep_registered), record_(std::move(record)) {}

void SiteReportWriter::keep(const Scene& scene) {
    if (keep_registered_)
        write_cog(out_.path("registered/" + scene.info.id + ".tif"), scene.raster, PixelType::f32, 0,
                  metadata_of(scene.info));
}

void SiteReportWriter::keep(const Scene& before, const Scene& after, const ChangeMap& map) {
    const std::string days = format_date(*before.info.datetime) + "_" + format_date(*after.info.datetime);
    const int again = interval_names_[days]++;
    write_change_map(out_.path(fmt::format("change/{}{}.tif", days, again > 0 ? fmt::format("-{}", again + 1) : "")),
                     before.raster.grid, map, before.info.simulated || after.info.simulated);
}

SiteObservers SiteReportWriter::observers() {
    SiteObservers observers;
    observers.registered = [this](const Scene& scene) { keep(scene); };
    observers.changed = [this](const Scene& before, const Scene& after, const ChangeMap& map) { keep(before, after, map); };
    observers.finished = [this](const SiteRun& run, const auto& scene) {
        for (std::size_t i = 0; i < run.scenes.size(); ++i)
            for (ImageChip& chip : scene_chips(run.report, run.scenes[i].id, scene(i)->raster))
                chips_.push_back(std::move(chip));
    };
    return observers;
}

void SiteReportWriter::write(const SiteRun& run) {
    const std::string json = report_json(run.report);
    validate_report(json);
    write_file(out_.path("report.json"), json);
    write_file(out_.path("report.html"), report_html(run.report, chips_, record_.parameters_ini));
    write_geopackage(out_.path("results.gpkg"), run.report, tie_points_of(run));
    write_file(out_.path("changes.geojson"), changes_geojson(run.report));
    write_kmz(out_.path("report.kmz"), run.report, chips_);
    write_provenance(out_.folder(), run.report, run.scenes, record_);
}

}  // namespace fenceline
