#include "report_parts.h"

#include <algorithm>

#include "core/projection.h"
#include "core/simple_ring.h"

namespace fenceline {
namespace {

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

}  // namespace

void make_outlines_simple(Report& report) {
    constexpr double kStepDeg = 1e-7;  // report.json's decimals
    const auto simple = [](Ring& ring) {
        if (Ring clean = simple_ring(ring, kStepDeg); !clean.empty()) ring = std::move(clean);
    };
    for (ReportPerimeter& line : report.perimeters)
        if (line.origin == "traced") simple(line.geometry);
    for (ReportStructure& structure : report.structures) simple(structure.footprint);
    for (ReportChange& change : report.changes) simple(change.footprint);
    for (NotObservable& area : report.not_observable) simple(area.geometry);
}

ReportScene report_scene(const SceneInfo& info) {
    ReportScene scene;
    scene.id = info.id;
    scene.datetime = info.datetime;
    scene.datetime_end = info.datetime_end;
    scene.source = info.source;
    scene.sha256 = info.sha256;
    scene.sensor = info.sensor;
    scene.gsd_m = info.gsd_m;
    scene.bands = info.band_count;
    scene.sun_azimuth = info.sun_azimuth_deg;
    scene.sun_elevation = info.sun_elevation_deg;
    scene.off_nadir = info.off_nadir_deg;
    scene.role = "left_out";
    scene.reason = info.left_out;
    scene.notes = info.notes;
    return scene;
}

ReportScene report_scene(const SceneInfo& info, double usable_fraction, bool reference,
                         const Alignment& alignment, const Normalization& normalization,
                         const Grid& grid) {
    ReportScene scene = report_scene(info);
    scene.usable_fraction = usable_fraction;
    scene.role = reference ? "reference" : "used";
    scene.reason = reference ? "" : alignment.reason;
    scene.registration = registration_summary(alignment, grid);
    NormalizationSummary summary{normalization.method, {}};
    for (const BandLine& band : normalization.bands)
        summary.bands.push_back({band.gain, band.offset, band.rmse_before, band.rmse_after});
    scene.normalization = std::move(summary);
    if (!normalization.reason.empty()) scene.notes.push_back("normalize: " + normalization.reason);
    return scene;
}

RegistrationSummary registration_summary(const Alignment& alignment, const Grid& grid) {
    const auto kept = std::count_if(alignment.tie_points.begin(), alignment.tie_points.end(),
                                    [](const TiePoint& point) { return point.kept; });
    RegistrationSummary summary{alignment.model,          alignment.dx_m,   alignment.dy_m,
                                static_cast<int>(kept),   alignment.rmse_m, alignment.ce90_m,
                                name_of(alignment.status)};
    if (grid.width <= 0 || alignment.target_from_reference.is_identity()) return summary;
    const GridProjection projection(grid);
    constexpr int kSamples = 9;  // in each direction, from centre to centre of equal cells
    for (int j = 0; j < kSamples; ++j)
        for (int i = 0; i < kSamples; ++i) {
            const Point p{grid.width * (i + 0.5) / kSamples, grid.height * (j + 0.5) / kSamples};
            const Point shift =
                grid.map_from_px(alignment.target_from_reference(p)) - grid.map_from_px(p);
            summary.samples.push_back({projection.lonlat_from_px(p), shift.x, shift.y});
        }
    return summary;
}

std::vector<TiePointRecord> tie_point_records(const std::string& scene, const Alignment& alignment,
                                              const Grid& grid) {
    const GridProjection projection(grid);
    std::vector<TiePointRecord> records;
    for (const TiePoint& point : alignment.tie_points) {
        const Point place = projection.lonlat_from_px(point.reference_px);
        const Point shift =
            grid.map_from_px(point.target_px) - grid.map_from_px(point.reference_px);
        records.push_back({scene, place.x, place.y, shift.x, shift.y,
                           point.residual_px * grid.gsd(), point.kept});
    }
    return records;
}

TiffMetadata scene_metadata(const SceneInfo& info) {
    TiffMetadata metadata;
    if (info.datetime) {
        std::string when =
            format_time(*info.datetime).substr(0, 19);  // TIFF: "YYYY:MM:DD HH:MM:SS"
        when[4] = when[7] = ':';
        when[10] = ' ';
        metadata.tags["TIFFTAG_DATETIME"] = when;
    }
    if (info.simulated) metadata.tags["SIMULATED"] = "TRUE";
    for (const BandRole role : info.roles)
        metadata.band_descriptions.emplace_back(fenceline::name_of(role));
    return metadata;
}

TiffMetadata change_map_metadata(const SceneInfo& before, const SceneInfo& after) {
    TiffMetadata metadata;
    metadata.tags["BEFORE"] = before.id;
    metadata.tags["AFTER"] = after.id;
    if (before.datetime) metadata.tags["BEFORE_DATETIME"] = format_time(*before.datetime);
    if (after.datetime) metadata.tags["AFTER_DATETIME"] = format_time(*after.datetime);
    if (before.simulated || after.simulated) metadata.tags["SIMULATED"] = "TRUE";
    return metadata;
}

}  // namespace fenceline
