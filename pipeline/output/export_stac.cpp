#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/error.h"
#include "core/projection.h"
#include "output/changes_geojson.h"
#include "output/digest.h"
#include "output/escape.h"
#include "output/exports.h"
#include "output/report_json.h"
#include "output/staged_output.h"

namespace fenceline {
namespace {

using Json = nlohmann::ordered_json;

double degrees(double value) { return std::round(value * 1e7) / 1e7; }

// The common grid's outline on the ground: what every registered scene covers at most.
Ring footprint(const Report& report) {
    const ReportGrid& grid = report.grid;
    if (!grid.crs.empty() && grid.width > 0 && grid.height > 0) {
        try {
            const GridProjection projection(
                {wkt_of(grid.crs), grid.geotransform, grid.width, grid.height});
            const double w = grid.width, h = grid.height;
            Ring ring = projection.lonlat_from_px(Ring{{0, h}, {w, h}, {w, 0}, {0, 0}});
            const auto bad = [](Point p) { return !std::isfinite(p.x) || !std::isfinite(p.y); };
            if (std::none_of(ring.begin(), ring.end(), bad)) return ring;
        } catch (const DataError&) {
            // then the site's area has to do
        }
    }
    return report.site ? report.site->area_lonlat : Ring{};
}

Json polygon(const Ring& ring) {
    if (ring.size() < 3) return nullptr;
    Json line = Json::array();
    for (const Point p : ring) line.push_back({degrees(p.x), degrees(p.y)});
    line.push_back(line.front());
    return {{"type", "Polygon"}, {"coordinates", Json::array({line})}};
}

Json bbox(const Ring& ring) {
    Point low{180, 90}, high{-180, -90};
    for (const Point p : ring)
        low = {std::min(low.x, p.x), std::min(low.y, p.y)},
        high = {std::max(high.x, p.x), std::max(high.y, p.y)};
    if (ring.empty()) return Json::array({-180, -90, 180, 90});
    return Json::array({degrees(low.x), degrees(low.y), degrees(high.x), degrees(high.y)});
}

Json link(const char* rel, const std::string& href, const char* type) {
    return {{"rel", rel}, {"href", href}, {"type", type}};
}
Json item_links() {
    return Json::array({link("root", "../../collection.json", "application/json"),
                        link("parent", "../../collection.json", "application/json"),
                        link("collection", "../../collection.json", "application/json")});
}
// file:checksum is a multihash: 12 (SHA-256), 20 (its 32 bytes).
std::string checksum(const std::string& sha256) { return "1220" + sha256; }

void write(const std::string& path, const Json& json) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    write_file(path, json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}

constexpr const char* kFile = "https://stac-extensions.github.io/file/v2.1.0/schema.json";
constexpr const char* kView = "https://stac-extensions.github.io/view/v1.0.0/schema.json";
constexpr const char* kProjection =
    "https://stac-extensions.github.io/projection/v1.1.0/schema.json";
constexpr const char* kProcessing =
    "https://stac-extensions.github.io/processing/v1.1.0/schema.json";

}  // namespace

void export_stac(const Report& report, const std::string& folder) {
    const std::string collection_id =
        report.site && !report.site->id.empty() ? clean_text(report.site->id) : "fenceline";
    const Ring outline = footprint(report);
    const std::string report_text = report_json(report);
    write_file(folder + "/report.json", report_text);
    Json items = Json::array();
    std::map<Time, std::string> item_of_time;
    std::set<std::string> used_names;
    const auto unique = [&](const std::string& id) {
        std::string name = safe_file_name(id);
        for (int i = 2; !used_names.insert(name).second; ++i)
            name = safe_file_name(id) + "_" + std::to_string(i);
        return name;
    };
    std::optional<Time> first, last;
    int epsg = 0;
    if (report.grid.crs.starts_with("EPSG:")) epsg = std::atoi(report.grid.crs.c_str() + 5);
    for (const ReportScene& scene : report.scenes) {
        if (scene.role == "left_out" || !scene.datetime) continue;
        first = first ? std::min(*first, *scene.datetime) : *scene.datetime;
        last = last ? std::max(*last, *scene.datetime) : *scene.datetime;
        const std::string name = unique(scene.id);
        item_of_time[*scene.datetime] = name;
        Json properties = Json::object();
        if (scene.datetime_end) {
            properties["datetime"] = nullptr;
            properties["start_datetime"] = format_time(*scene.datetime);
            properties["end_datetime"] = format_time(*scene.datetime_end);
        } else {
            properties["datetime"] = format_time(*scene.datetime);
        }
        if (!scene.sensor.empty()) properties["platform"] = clean_text(scene.sensor);
        if (scene.gsd_m > 0) properties["gsd"] = std::round(scene.gsd_m * 1e4) / 1e4;
        if (scene.sun_azimuth)
            properties["view:sun_azimuth"] =
                std::round(std::fmod(*scene.sun_azimuth + 360, 360) * 1e4) / 1e4;
        if (scene.sun_elevation) properties["view:sun_elevation"] = *scene.sun_elevation;
        if (scene.off_nadir) properties["view:off_nadir"] = std::abs(*scene.off_nadir);
        properties["proj:epsg"] = epsg > 0 ? Json(epsg) : Json(nullptr);
        properties["simulated"] = report.simulated;
        properties["fenceline:role"] = scene.role;
        properties["fenceline:usable_fraction"] = std::round(scene.usable_fraction * 1e4) / 1e4;
        Json asset{{"href", percent_encode(scene.source)},
                   {"title", "The image as it was read; not part of this catalogue"},
                   {"roles", Json::array({"data"})}};
        if (scene.sha256.size() == 64) asset["file:checksum"] = checksum(scene.sha256);
        write(folder + "/items/" + name + "/" + name + ".json",
              {{"type", "Feature"},
               {"stac_version", "1.0.0"},
               {"stac_extensions", Json::array({kFile, kView, kProjection})},
               {"id", name},
               {"collection", collection_id},
               {"geometry", polygon(outline)},
               {"bbox", bbox(outline)},
               {"properties", properties},
               {"links", item_links()},
               {"assets", {{"image", asset}}}});
        items.push_back(
            link("item", "./items/" + name + "/" + name + ".json", "application/geo+json"));
    }
    // Changes by their interval; a std::map keeps the order of time.
    std::map<std::pair<Time, Time>, Report> intervals;
    for (const ReportChange& change : report.changes) {
        if (change.state == "rejected" || !change.last_not_seen || !change.first_seen) continue;
        Report& part = intervals[{*change.last_not_seen, *change.first_seen}];
        part.changes.push_back(change);
        part.simulated = report.simulated;
        part.site = report.site;
    }
    for (const auto& [interval, part] : intervals) {
        const auto& [before, after] = interval;
        const std::string name = unique("change_" + format_date(before) + "_" + format_date(after));
        const std::string geojson = changes_geojson(part);
        write(folder + "/items/" + name + "/" + name + ".json", [&] {
            Json links = item_links();
            for (const Time time : {before, after})
                if (const auto at = item_of_time.find(time); at != item_of_time.end())
                    links.push_back(link("derived_from",
                                         "../" + at->second + "/" + at->second + ".json",
                                         "application/geo+json"));
            return Json{
                {"type", "Feature"},
                {"stac_version", "1.0.0"},
                {"stac_extensions", Json::array({kFile, kProcessing})},
                {"id", name},
                {"collection", collection_id},
                {"geometry", polygon(outline)},
                {"bbox", bbox(outline)},
                {"properties",
                 {{"datetime", nullptr},
                  {"start_datetime", format_time(before)},
                  {"end_datetime", format_time(after)},
                  {"simulated", report.simulated},
                  {"fenceline:changes", part.changes.size()},
                  {"processing:software",
                   {{clean_text(report.software.name), clean_text(report.software.version)}}}}},
                {"links", links},
                {"assets",
                 {{"changes",
                   {{"href", "./changes.geojson"},
                    {"type", "application/geo+json"},
                    {"roles", Json::array({"data"})},
                    {"file:size", geojson.size()},
                    {"file:checksum", checksum(sha256_hex(geojson))}}}}}};
        }());
        write_file(folder + "/items/" + name + "/changes.geojson", geojson);
        items.push_back(
            link("item", "./items/" + name + "/" + name + ".json", "application/geo+json"));
    }
    Json links = Json::array({link("root", "./collection.json", "application/json")});
    for (const auto& item : items) links.push_back(item);
    const std::string title =
        report.site ? clean_text(report.site->name.empty() ? report.site->id : report.site->name)
                    : "Two images compared";
    write(folder + "/collection.json",
          {{"type", "Collection"},
           {"stac_version", "1.0.0"},
           {"stac_extensions", Json::array({kFile})},
           {"id", collection_id},
           {"title", title},
           {"description",
            (report.simulated ? "SIMULATED images: nothing here shows the real place. " : "") +
                std::string("Images and changes of ") + title + "."},
           {"license", "proprietary"},
           {"extent",
            {{"spatial", {{"bbox", Json::array({bbox(outline)})}}},
             {"temporal",
              {{"interval",
                Json::array({Json::array({first ? Json(format_time(*first)) : Json(nullptr),
                                          last ? Json(format_time(*last)) : Json(nullptr)})})}}}}},
           {"links", links},
           {"assets",
            {{"report",
              {{"href", "./report.json"},
               {"type", "application/json"},
               {"roles", Json::array({"metadata"})},
               {"file:size", report_text.size()},
               {"file:checksum", checksum(sha256_hex(report_text))}}}}}});
}

}  // namespace fenceline
