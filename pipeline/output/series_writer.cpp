#include "output/series_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/projection.h"
#include "input/image_io.h"
#include "output/raster_writer.h"
#include "output/report_json.h"
#include "output/staged_output.h"
#include "simulate/simulate.h"

namespace fenceline {
namespace {

using Json = nlohmann::ordered_json;

double rounded(double value, double unit) { return std::round(value / unit) * unit; }
Json position(Point p) { return Json::array({rounded(p.x, 1e-9), rounded(p.y, 1e-9)}); }
Json coordinates(const Ring& ring) {
    Json out = Json::array();
    for (const Point p : ring) out.push_back(position(p));
    if (!ring.empty()) out.push_back(position(ring.front()));
    return out;
}
Json polygon(const Ring& ring) {
    return {{"type", "Polygon"}, {"coordinates", Json::array({coordinates(ring)})}};
}
Json point(Point p) { return {{"type", "Point"}, {"coordinates", position(p)}}; }
Json truth_json(const simulate::World& world, const simulate::Truth& truth) {
    const Report& report = truth.report;
    Json out = Json::parse(report_json(report));

    // What only a simulation knows.
    Json exact;
    exact["family"] = world.scenario.family;
    exact["seed"] = world.scenario.seed;
    exact["displacement"] =
        "a thing at map position m (grid.crs) appears, at ground level, at m + d(m) in the image: "
        "d = [dx_m, dy_m] + linear · (m - centre) + lattice(m), metres east and north";
    exact["scenes"] = Json::array();
    for (std::size_t s = 0; s < truth.frames.size(); ++s) {
        const simulate::SceneFrame& frame = truth.frames[s];
        const simulate::Displacement& d = frame.displacement;
        const ScenarioScene& scene = world.scenario.scenes[s];
        Json entry;
        entry["id"] = frame.info.id;
        entry["sun_azimuth"] = frame.sun.azimuth_deg;
        entry["sun_elevation"] = frame.sun.elevation_deg;
        entry["off_nadir"] = scene.off_nadir_deg;
        entry["view_azimuth"] = scene.view_azimuth_deg;
        entry["haze"] = scene.haze;
        entry["cloud"] = scene.cloud;
        entry["snow"] = scene.snow;
        Json shift;
        shift["dx_m"] = d.dx_m;
        shift["dy_m"] = d.dy_m;
        shift["centre"] = {d.centre_map.x, d.centre_map.y};
        shift["linear"] = d.linear;
        // The smooth local field, sampled where its own lattice has nodes (interpolate with
        // Catmull–Rom splines).
        Json lattice;
        lattice["origin"] = {d.origin_map.x, d.origin_map.y};
        lattice["spacing_m"] = d.local.spacing_px;
        lattice["columns"] = d.local.columns;
        lattice["rows"] = d.local.rows;
        Json dx = Json::array(), dy = Json::array();
        for (const float v : d.local.dx) dx.push_back(rounded(static_cast<double>(v), 1e-4));
        for (const float v : d.local.dy) dy.push_back(rounded(static_cast<double>(v), 1e-4));
        lattice["dx_m"] = dx;
        lattice["dy_m"] = dy;
        shift["lattice"] = lattice;
        // Where the field is easiest to use: total displacement at places all over the area.
        Json samples = Json::array();
        constexpr int kSamples = 7;
        for (int j = 0; j < kSamples; ++j)
            for (int i = 0; i < kSamples; ++i) {
                const Point map = simulate::map_from_local(
                    world.scenario, {((i + 0.5) / kSamples - 0.5) * world.scenario.width_m,
                                     ((j + 0.5) / kSamples - 0.5) * world.scenario.height_m});
                const Point at = d(map);
                samples.push_back({rounded(map.x, 0.01), rounded(map.y, 0.01), rounded(at.x, 1e-4),
                                   rounded(at.y, 1e-4)});
            }
        shift["samples"] = samples;
        entry["displacement"] = shift;
        Json visible = Json::array();
        for (std::size_t k = 0; k < truth.visibility[s].size(); ++k) {
            const simulate::Visibility& v = truth.visibility[s][k];
            visible.push_back({{"structure", report.structures[k].id},
                               {"present", v.present},
                               {"observable", v.observable},
                               {"cloud", rounded(v.cloud, 1e-3)},
                               {"cloud_shadow", rounded(v.cloud_shadow, 1e-3)},
                               {"pixels_across", rounded(v.pixels_across, 0.01)}});
        }
        entry["visibility"] = visible;
        exact["scenes"].push_back(entry);
    }
    Json distractors = Json::array();
    const Transform to_lonlat(utm_crs(world.scenario.place_lonlat), "EPSG:4326");
    for (const simulate::Thing& thing : world.things) {
        const char* what = thing.kind == simulate::Kind::vehicle    ? "vehicle"
                           : thing.kind == simulate::Kind::haystack ? "haystack"
                           : thing.kind == simulate::Kind::pond     ? "pond"
                           : thing.kind == simulate::Kind::pylon    ? "pylon"
                           : thing.repainted != simulate::kForever  ? "repainted_roof"
                                                                    : nullptr;
        if (what == nullptr) continue;
        const Time from{thing.repainted != simulate::kForever ? thing.repainted : thing.life.from};
        Json entry{
            {"kind", what},
            {"geometry", point(to_lonlat(simulate::map_from_local(world.scenario, thing.centre)))}};
        if (from.microseconds != simulate::kAlways) entry["from"] = format_time(from);
        distractors.push_back(entry);
    }
    for (const simulate::Felling& felling : world.fellings)
        distractors.push_back({{"kind", "felled_trees"},
                               {"geometry", point(to_lonlat(simulate::map_from_local(
                                                world.scenario, felling.centre)))},
                               {"radius_m", felling.radius},
                               {"from", format_time(Time{felling.from})}});
    exact["distractors"] = distractors;
    out["simulation"] = exact;
    return out;
}

Json stac_item(const Scenario& scenario, const simulate::SceneFrame& frame,
               const ScenarioScene& scene) {
    const GridProjection projection(frame.grid);
    const double w = frame.grid.width, h = frame.grid.height;
    const Ring outline = projection.lonlat_from_px(Ring{{0, h}, {w, h}, {w, 0}, {0, 0}});
    double west = 180, south = 90, east = -180, north = -90;
    for (const Point p : outline) {
        west = std::min(west, p.x);
        east = std::max(east, p.x);
        south = std::min(south, p.y);
        north = std::max(north, p.y);
    }
    const auto& g = frame.grid.geotransform;
    const std::string crs = utm_crs(scenario.place_lonlat);
    Json bands = Json::array();
    for (const BandRole role : frame.info.roles)
        bands.push_back({{"name", name_of(role)}, {"common_name", name_of(role)}});
    Json item;
    item["type"] = "Feature";
    item["stac_version"] = "1.0.0";
    item["stac_extensions"] = {"https://stac-extensions.github.io/eo/v1.1.0/schema.json",
                               "https://stac-extensions.github.io/view/v1.0.0/schema.json",
                               "https://stac-extensions.github.io/projection/v1.1.0/schema.json"};
    item["id"] = frame.info.id;
    item["collection"] = scenario.id;
    item["geometry"] = polygon(outline);
    item["bbox"] = {west, south, east, north};
    item["properties"] = {{"datetime", format_time(scene.datetime)},
                          {"platform", scene.sensor},
                          {"instruments", {"simulated"}},
                          {"gsd", scene.gsd_m},
                          {"simulated", true},
                          {"eo:cloud_cover", rounded(100 * scene.cloud, 0.1)},
                          {"view:off_nadir", scene.off_nadir_deg},
                          {"view:azimuth", scene.view_azimuth_deg},
                          {"view:sun_azimuth", rounded(frame.sun.azimuth_deg, 1e-3)},
                          {"view:sun_elevation", rounded(frame.sun.elevation_deg, 1e-3)},
                          {"proj:epsg", std::stoi(crs.substr(5))},
                          {"proj:shape", {frame.grid.height, frame.grid.width}},
                          {"proj:transform", {g[1], g[2], g[0], g[4], g[5], g[3]}}};
    item["links"] = {
        {{"rel", "collection"}, {"href", "../collection.json"}, {"type", "application/json"}},
        {{"rel", "parent"}, {"href", "../collection.json"}, {"type", "application/json"}}};
    item["assets"] = {{"image",
                       {{"href", "./" + frame.info.id + ".tif"},
                        {"type", "image/tiff; application=geotiff; profile=cloud-optimized"},
                        {"roles", {"data"}},
                        {"eo:bands", bands}}}};
    return item;
}

Json collection_json(const Scenario& scenario, const simulate::Truth& truth) {
    Json out;
    out["type"] = "Collection";
    out["stac_version"] = "1.0.0";
    out["id"] = scenario.id;
    out["title"] = scenario.name + " (simulated)";
    out["description"] =
        "A simulated image series. Nothing in it was photographed; see truth.json for what it "
        "shows.";
    out["license"] = "CC0-1.0";
    const Ring area = simulate::area_lonlat(scenario);
    double west = 180, south = 90, east = -180, north = -90;
    for (const Point p : area) {
        west = std::min(west, p.x);
        east = std::max(east, p.x);
        south = std::min(south, p.y);
        north = std::max(north, p.y);
    }
    out["extent"] = {
        {"spatial", {{"bbox", Json::array({Json::array({west, south, east, north})})}}},
        {"temporal",
         {{"interval",
           Json::array({Json::array({format_time(scenario.scenes.front().datetime),
                                     format_time(scenario.scenes.back().datetime)})})}}}};
    out["simulated"] = true;
    out["links"] = Json::array();
    for (const simulate::SceneFrame& frame : truth.frames)
        out["links"].push_back({{"rel", "item"},
                                {"href", "./images/" + frame.info.id + ".json"},
                                {"type", "application/geo+json"}});
    return out;
}

Json sites_json(const simulate::World& world) {
    const Scenario& scenario = world.scenario;
    Json properties{{"name", scenario.name},
                    {"names", Json::object()},
                    {"type", "political_prison_camp"},
                    {"province", ""},
                    {"status", "simulated"},
                    {"sources", Json::array({fmt::format("fenceline simulate, scenario {}, seed {}",
                                                         scenario.id, scenario.seed)})}};
    if (scenario.line.kind != LineKind::none && scenario.line.known) {
        properties["perimeter"] = polygon(simulate::digitised_line(world));
        properties["perimeter_date"] = format_date(scenario.scenes.front().datetime);
    }
    Json feature{{"type", "Feature"},
                 {"id", scenario.id},
                 {"geometry", polygon(simulate::area_lonlat(scenario))},
                 {"properties", properties}};
    return {{"type", "FeatureCollection"}, {"features", Json::array({feature})}};
}

}  // namespace

void write_series(const Scenario& scenario, const std::string& out_dir, Progress& progress,
                  bool overwrite, std::size_t max_memory_bytes) {
    initialise_gdal();
    StagedOutput staged(out_dir, overwrite);

    const simulate::World world = simulate::build_world(scenario);
    simulate::Truth truth = simulate::make_truth(world);
    progress.stage("render", static_cast<int>(scenario.scenes.size()));
    for (std::size_t s = 0; s < scenario.scenes.size(); ++s) {
        throw_if_cancelled();
        const ScenarioScene& scene = scenario.scenes[s];
        const simulate::SceneFrame& frame = truth.frames[s];
        TiffMetadata metadata;
        const std::string when = format_time(scene.datetime);
        metadata.tags["SIMULATED"] = "TRUE";
        metadata.tags["TIFFTAG_DATETIME"] =
            fmt::format("{}:{}:{} {}", when.substr(0, 4), when.substr(5, 2), when.substr(8, 2),
                        when.substr(11, 8));
        metadata.tags["TIFFTAG_SOFTWARE"] = "fenceline simulate";
        metadata.tags["TIFFTAG_IMAGEDESCRIPTION"] = "SIMULATED image of " + scenario.name;
        for (const BandRole role : frame.info.roles)
            metadata.band_descriptions.push_back(name_of(role));
        if (scenario.compression == "jpeg") metadata.jpeg_quality = scenario.jpeg_quality;
        const std::string image = staged.path("images/" + frame.info.id + ".tif");
        const int bands = static_cast<int>(frame.info.roles.size());
        // A quarter for the strip (which the writer holds once more, as integers), half for tiles.
        const std::size_t row_bytes = static_cast<std::size_t>(frame.grid.width) *
                                      (static_cast<std::size_t>(bands) * sizeof(float) + 1);
        const auto strip_rows =
            static_cast<int>(std::clamp(max_memory_bytes / 4 / row_bytes / simulate::kRenderTile,
                                        std::size_t{1}, std::size_t{1000}) *
                             simulate::kRenderTile);
        const auto tiles_at_once = static_cast<int>(std::clamp(
            max_memory_bytes / 2 / simulate::tile_bytes(world, static_cast<int>(s), frame),
            std::size_t{1}, std::size_t{1000}));
        write_cog(image, frame.grid, bands, strip_rows,
                  scene.bits > 8 ? PixelType::u16 : PixelType::u8, 0, metadata,
                  [&](int y, int rows) {
                      return simulate::render(world, static_cast<int>(s), frame,
                                              {0, y, frame.grid.width, rows}, tiles_at_once);
                  });
        truth.report.scenes[s].sha256 = sha256_of_file(image);
        write_file(staged.path("images/" + frame.info.id + ".json"),
                   stac_item(scenario, frame, scene).dump(1) + "\n");
        progress.step(frame.info.id);
    }
    write_file(staged.path("collection.json"), collection_json(scenario, truth).dump(1) + "\n");
    write_file(staged.path("truth.json"), truth_json(world, truth).dump(1) + "\n");
    write_file(staged.path("sites.geojson"), sites_json(world).dump(1) + "\n");
    throw_if_cancelled();
    staged.commit();
}

}  // namespace fenceline
