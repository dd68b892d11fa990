#include "output/changes_geojson.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "output/escape.h"

namespace fenceline {
namespace {

using Json = nlohmann::ordered_json;

Json rounded(double value, double unit) {
    if (!std::isfinite(value)) return nullptr;
    const double result = std::round(value * unit) / unit;
    return result == 0 ? 0.0 : result;
}
Json position(Point p) { return Json::array({rounded(p.x, 1e7), rounded(p.y, 1e7)}); }
Json time(const std::optional<Time>& value) {
    return value ? Json(format_time(*value)) : Json(nullptr);
}

Json geometry(const Ring& footprint, Point point) {
    if (footprint.size() < 3) return Json{{"type", "Point"}, {"coordinates", position(point)}};
    Ring ring = footprint;
    if (signed_area(ring) < 0) std::reverse(ring.begin() + 1, ring.end());
    Json line = Json::array();
    for (const Point p : ring) line.push_back(position(p));
    line.push_back(position(ring.front()));
    return Json{{"type", "Polygon"}, {"coordinates", Json::array({line})}};
}

}  // namespace

std::string changes_geojson(const Report& report) {
    std::string out = "{\"type\": \"FeatureCollection\", \"features\": [";
    const char* comma = "\n";
    for (const ReportChange& change : report.changes) {
        if (change.state == "rejected") continue;
        Json properties{
            {"kind", clean_text(change.kind)},
            {"state", clean_text(change.state)},
            {"confidence", rounded(change.confidence, 1e4)},
            {"area_m2", rounded(change.area_m2, 1e2)},
            {"area_ci", change.area_ci ? Json::array({rounded(change.area_ci->low, 1e2),
                                                      rounded(change.area_ci->high, 1e2)})
                                       : Json(nullptr)},
            {"last_not_seen", time(change.last_not_seen)},
            {"first_seen", time(change.first_seen)},
            {"structure", change.structure ? Json(clean_text(*change.structure)) : Json(nullptr)},
            {"site", report.site ? Json(clean_text(report.site->id)) : Json(nullptr)},
            {"simulated", report.simulated}};
        const Json feature{{"type", "Feature"},
                           {"id", clean_text(change.id)},
                           {"geometry", geometry(change.footprint, change.position)},
                           {"properties", properties}};
        out += comma + feature.dump(-1, ' ', false, Json::error_handler_t::replace);
        comma = ",\n";
    }
    return out + "\n]}\n";
}

}  // namespace fenceline
