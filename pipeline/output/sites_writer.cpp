#include "output/sites_writer.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "output/single_file.h"
#include "output/staged_output.h"

namespace fenceline {
namespace {

using Json = nlohmann::ordered_json;

Json position(Point p) {
    return Json::array({std::round(p.x * 1e7) / 1e7, std::round(p.y * 1e7) / 1e7});
}

Json polygon(const Ring& ring) {
    Json line = Json::array();
    for (const Point& p : ring) line.push_back(position(p));
    if (!ring.empty()) line.push_back(position(ring.front()));
    return {{"type", "Polygon"}, {"coordinates", Json::array({std::move(line)})}};
}

void put(Json& object, const char* key, const std::string& text) {
    if (!text.empty()) object[key] = text;
}

}  // namespace

std::string sites_geojson(const std::vector<Site>& sites) {
    Json features = Json::array();
    for (const Site& site : sites) {
        Json names = Json::object();
        put(names, "ko", site.names.ko);
        put(names, "hanja", site.names.hanja);
        put(names, "rr", site.names.rr);
        put(names, "mr", site.names.mr);
        if (!site.names.aliases.empty()) names["aliases"] = site.names.aliases;
        Json properties = Json::object();
        properties["name"] = site.name;
        if (!names.empty()) properties["names"] = names;
        properties["type"] = site.type;
        put(properties, "province", site.province);
        put(properties, "status", site.status);
        Json geometry = nullptr;
        if (!site.area_lonlat.empty()) {
            geometry = polygon(site.area_lonlat);
        } else if (site.centre) {
            geometry = {{"type", "Point"}, {"coordinates", position(*site.centre)}};
            properties["radius_m"] = site.radius_m;
        }
        if (!site.perimeter_lonlat.empty())
            properties["perimeter"] = polygon(site.perimeter_lonlat);
        if (site.perimeter_date) {
            const bool midnight =
                format_time(*site.perimeter_date).find("T00:00:00Z") != std::string::npos;
            properties["perimeter_date"] =
                midnight ? format_date(*site.perimeter_date) : format_time(*site.perimeter_date);
        }
        if (!site.sources.empty()) properties["sources"] = site.sources;
        features.push_back({{"type", "Feature"},
                            {"id", site.id},
                            {"geometry", geometry},
                            {"properties", properties}});
    }
    const Json collection = {{"type", "FeatureCollection"}, {"features", features}};
    return collection.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

void write_sites(const std::string& path, const std::vector<Site>& sites) {
    WholeFiles files;
    files.add(path, [&](const std::string& part) { write_file(part, sites_geojson(sites)); });
    files.commit();
}

}  // namespace fenceline
