#include "output/report_json.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "core/error.h"
#include "output/escape.h"

namespace fenceline {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kSchema = "fenceline-report/1";
constexpr int kDegreeDecimals = 7, kMetreDecimals = 3, kAreaDecimals = 2, kShareDecimals = 4;

// ---------------------------------------------------------------- writing

Json number(double value, int decimals) {
    if (!std::isfinite(value)) return nullptr;
    const double unit = std::pow(10.0, decimals);
    const double scaled = value * unit;
    const double rounded = std::abs(scaled) < 1e15 ? std::round(scaled) / unit : value;
    return rounded == 0 ? 0.0 : rounded;  // no "-0.0"
}
Json number(const std::optional<double>& value, int decimals) {
    return value ? number(*value, decimals) : Json(nullptr);
}
Json known_number(double value, int decimals) {
    return value == 0 ? Json(nullptr) : number(value, decimals);
}
Json text(const std::string& value) { return clean_text(value); }
Json known_text(const std::string& value) { return value.empty() ? Json(nullptr) : text(value); }
Json texts(const std::vector<std::string>& values) {
    Json out = Json::array();
    for (const auto& value : values) out.push_back(text(value));
    return out;
}
Json time(const std::optional<Time>& value) {
    return value ? Json(format_time(*value)) : Json(nullptr);
}
Json interval(const Interval& value, int decimals) {
    return Json::array({number(value.low, decimals), number(value.high, decimals)});
}
Json interval(const std::optional<Interval>& value, int decimals) {
    return value ? interval(*value, decimals) : Json(nullptr);
}
Json position(Point p) {
    return Json::array({number(p.x, kDegreeDecimals), number(p.y, kDegreeDecimals)});
}
Json point_geometry(Point p) { return Json{{"type", "Point"}, {"coordinates", position(p)}}; }
// Outer ring counter-clockwise (RFC 7946), closed.
Json polygon_geometry(Ring ring) {
    if (ring.size() < 3) return nullptr;
    if (signed_area(ring) < 0) std::reverse(ring.begin() + 1, ring.end());
    Json line = Json::array();
    for (const Point p : ring) line.push_back(position(p));
    line.push_back(position(ring.front()));
    return Json{{"type", "Polygon"}, {"coordinates", Json::array({line})}};
}

Json site_json(const Site& site) {
    Json geometry = nullptr;
    if (site.area_lonlat.size() >= 3)
        geometry = polygon_geometry(site.area_lonlat);
    else if (site.centre)
        geometry = point_geometry(*site.centre);
    return Json{{"id", text(site.id)},
                {"name", text(site.name)},
                {"names", Json{{"ko", known_text(site.names.ko)},
                               {"hanja", known_text(site.names.hanja)},
                               {"rr", known_text(site.names.rr)},
                               {"mr", known_text(site.names.mr)},
                               {"aliases", texts(site.names.aliases)}}},
                {"type", known_text(site.type)},
                {"province", known_text(site.province)},
                {"status", known_text(site.status)},
                {"sources", texts(site.sources)},
                {"geometry", geometry}};
}

Json scene_json(const ReportScene& scene) {
    Json registration = nullptr;
    if (scene.registration) {
        const RegistrationSummary& r = *scene.registration;
        Json samples = Json::array();
        for (const auto& sample : r.samples)
            samples.push_back({number(sample.lonlat.x, 7), number(sample.lonlat.y, 7),
                               number(sample.dx_m, kMetreDecimals),
                               number(sample.dy_m, kMetreDecimals)});
        registration = Json{{"model", text(r.model)},
                            {"dx_m", number(r.dx_m, kMetreDecimals)},
                            {"dy_m", number(r.dy_m, kMetreDecimals)},
                            {"tie_points", r.tie_points},
                            {"rmse_m", number(r.rmse_m, kMetreDecimals)},
                            {"ce90_m", number(r.ce90_m, kMetreDecimals)},
                            {"status", text(r.status)},
                            {"samples", samples}};
    }
    Json normalization = nullptr;
    if (scene.normalization) {
        Json bands = Json::array();
        for (const BandNormalization& band : scene.normalization->bands)
            bands.push_back(Json{{"gain", number(band.gain, 6)},
                                 {"offset", number(band.offset, 4)},
                                 {"rmse_before", number(band.rmse_before, 4)},
                                 {"rmse_after", number(band.rmse_after, 4)}});
        normalization = Json{{"method", text(scene.normalization->method)}, {"bands", bands}};
    }
    return Json{{"id", text(scene.id)},
                {"datetime", time(scene.datetime)},
                {"source", text(scene.source)},
                {"sha256", known_text(scene.sha256)},
                {"sensor", known_text(scene.sensor)},
                {"gsd_m", known_number(scene.gsd_m, 4)},
                {"bands", scene.bands > 0 ? Json(scene.bands) : Json(nullptr)},
                {"sun_azimuth", number(scene.sun_azimuth, 2)},
                {"sun_elevation", number(scene.sun_elevation, 2)},
                {"off_nadir", number(scene.off_nadir, 2)},
                {"usable_fraction", number(scene.usable_fraction, kShareDecimals)},
                {"role", text(scene.role)},
                {"reason", known_text(scene.reason)},
                {"registration", registration},
                {"normalization", normalization},
                {"datetime_end", time(scene.datetime_end)},
                {"notes", texts(scene.notes)}};
}

Json perimeter_json(const ReportPerimeter& perimeter) {
    Json segments = Json::array();
    for (const PerimeterSegment& segment : perimeter.segments)
        segments.push_back(Json{{"support", text(segment.support)},
                                {"length_m", number(segment.length_m, kAreaDecimals)}});
    return Json{{"scene", text(perimeter.scene)},
                {"datetime", format_time(perimeter.datetime)},
                {"area_m2", number(perimeter.area_m2, kAreaDecimals)},
                {"area_ci", interval(perimeter.area_ci, kAreaDecimals)},
                {"length_m", number(perimeter.length_m, kAreaDecimals)},
                {"length_ci", interval(perimeter.length_ci, kAreaDecimals)},
                {"supported_fraction", number(perimeter.supported_fraction, kShareDecimals)},
                {"origin", text(perimeter.origin)},
                {"geometry", polygon_geometry(perimeter.geometry)},
                {"segments", segments}};
}

Json structure_json(const ReportStructure& structure) {
    Json observations = Json::array();
    for (const StructureObservation& o : structure.observations)
        observations.push_back(Json{{"scene", text(o.scene)},
                                    {"seen", text(o.seen)},
                                    {"score", number(o.score, kShareDecimals)}});
    return Json{{"id", text(structure.id)},
                {"kind", text(structure.kind)},
                {"geometry", structure.footprint.size() >= 3 ? polygon_geometry(structure.footprint)
                                                             : point_geometry(structure.position)},
                {"area_m2", known_number(structure.area_m2, kAreaDecimals)},
                {"height_m", number(structure.height_m, kAreaDecimals)},
                {"height_ci", interval(structure.height_ci, kAreaDecimals)},
                {"last_not_seen", time(structure.last_not_seen)},
                {"first_seen", time(structure.first_seen)},
                {"last_seen", time(structure.last_seen)},
                {"first_not_seen", time(structure.first_not_seen)},
                {"confidence", number(structure.confidence, kShareDecimals)},
                {"observations", observations}};
}

Json change_json(const ReportChange& change) {
    Json observations = Json::array();
    for (const ChangeObservation& o : change.observations)
        observations.push_back(
            Json{{"scene", text(o.scene)},
                 {"log_likelihood_ratio", number(o.log_likelihood_ratio, kShareDecimals)}});
    return Json{{"id", text(change.id)},
                {"kind", text(change.kind)},
                {"state", text(change.state)},
                {"confidence", number(change.confidence, kShareDecimals)},
                {"geometry", change.footprint.size() >= 3 ? polygon_geometry(change.footprint)
                                                          : point_geometry(change.position)},
                {"area_m2", number(change.area_m2, kAreaDecimals)},
                {"last_not_seen", time(change.last_not_seen)},
                {"first_seen", time(change.first_seen)},
                {"structure", change.structure ? text(*change.structure) : Json(nullptr)},
                {"observations", observations},
                {"area_ci", interval(change.area_ci, kAreaDecimals)}};
}

// NAME_low and NAME_high become NAME_ci, which stands right after NAME.
Json values_json(const std::map<std::string, double>& values) {
    const auto base_of = [&](const std::string& key) -> std::string {
        for (const std::string suffix : {"_low", "_high"}) {
            if (key.size() <= suffix.size() || !key.ends_with(suffix)) continue;
            const std::string base = key.substr(0, key.size() - suffix.size());
            if (values.contains(base + "_low") && values.contains(base + "_high")) return base;
        }
        return "";
    };
    Json out = Json::object();
    for (const auto& [key, value] : values) {
        const std::string base = base_of(key);
        if (base.empty()) out[clean_text(key)] = number(value, 6);
    }
    std::map<std::string, Json> sorted;
    for (const auto& [key, value] : out.items()) sorted[key] = value;
    for (const auto& [key, value] : values)
        if (const std::string base = base_of(key); !base.empty() && key.ends_with("_low"))
            sorted[clean_text(base) + "_ci"] =
                Json::array({number(value, 6), number(values.at(base + "_high"), 6)});
    out = Json::object();
    for (const auto& [key, value] : sorted) out[key] = value;
    return out;
}

Json finding_json(const ReportFinding& finding) {
    return Json{{"statement", text(finding.statement)},
                {"kind", text(finding.kind)},
                {"values", values_json(finding.values)},
                {"likelihood", text(finding.likelihood)},
                {"confidence", text(finding.confidence)},
                {"evidence", texts(finding.evidence)},
                {"confidence_reasons", texts(finding.confidence_reasons)}};
}

bool flat(const Json& value) {
    for (const auto& item : value)
        if (item.is_structured()) return false;
    return true;
}

// Readable and small: one line for an object or array of scalars and for coordinates, indentation
// for the rest.
void print(const Json& value, int indent, std::string& out) {
    const bool list_of_objects = value.is_array() && !value.empty() && value.front().is_object();
    if (!value.is_structured() || value.empty() || flat(value) ||
        (value.is_array() && !list_of_objects)) {
        out += value.dump(-1, ' ', false, Json::error_handler_t::replace);
        return;
    }
    const std::string pad(static_cast<std::size_t>(indent) + 1, ' ');
    out += value.is_array() ? "[" : "{";
    const char* comma = "\n";
    for (const auto& [key, item] : value.items()) {
        out += comma + pad;
        if (value.is_object())
            out += Json(key).dump(-1, ' ', false, Json::error_handler_t::replace) + ": ";
        print(item, indent + 1, out);
        comma = ",\n";
    }
    out += "\n" + std::string(static_cast<std::size_t>(indent), ' ');
    out += value.is_array() ? "]" : "}";
}

template <class Items, class Write>
Json list_of(const Items& items, const Write& write) {
    Json out = Json::array();
    for (const auto& item : items) out.push_back(write(item));
    return out;
}

// ---------------------------------------------------------------- reading

// A value of the document with its place, so that every complaint names the spot.
class Node {
  public:
    Node(const Json& json, std::string path, const std::string& file)
        : json_(&json), path_(std::move(path)), file_(&file) {}

    [[noreturn]] void fail(const std::string& wanted) const {
        std::string found = json_->dump(-1, ' ', true, Json::error_handler_t::replace);
        if (found.size() > 60) found = found.substr(0, 57) + "...";
        throw DataError(*file_, path_ + " is " + found + ", not " + wanted,
                        "expected a report as `fenceline run` writes it");
    }
    bool null() const { return json_->is_null(); }
    bool object() const { return json_->is_object(); }
    std::optional<Node> find(const char* key) const {
        if (!json_->is_object()) fail("an object");
        const auto at = json_->find(key);
        if (at == json_->end() || at->is_null()) return {};
        return Node(*at, path_ + "." + key, *file_);
    }
    Node at(std::size_t i) const {
        return Node((*json_)[i], path_ + "[" + std::to_string(i) + "]", *file_);
    }
    std::size_t size() const {
        if (!json_->is_array()) fail("an array");
        return json_->size();
    }
    std::string text() const {
        if (!json_->is_string()) fail("a text");
        return json_->get<std::string>();
    }
    double number() const {
        if (!json_->is_number()) fail("a number");
        return json_->get<double>();
    }
    int integer() const {
        const double value = number();
        if (value != std::floor(value) || std::abs(value) > 2e9) fail("a whole number");
        return static_cast<int>(value);
    }
    bool boolean() const {
        if (!json_->is_boolean()) fail("true or false");
        return json_->get<bool>();
    }
    Time time() const {
        const auto value = parse_time(text());
        if (!value) fail("a time (RFC 3339)");
        return *value;
    }
    Interval interval() const {
        if (size() != 2) fail("[low, high]");
        return {at(0).number(), at(1).number()};
    }
    Point position() const {
        if (size() < 2) fail("a position [longitude, latitude]");
        const Point p{at(0).number(), at(1).number()};
        if (std::abs(p.x) > 180 || std::abs(p.y) > 90) fail("degrees within ±180, ±90");
        return p;
    }
    Ring ring() const {
        Ring out;
        for (std::size_t i = 0; i < size(); ++i) out.push_back(at(i).position());
        if (out.size() > 1 && out.front() == out.back()) out.pop_back();
        if (out.size() < 3) fail("a ring of at least three places");
        return out;
    }
    const Json& json() const { return *json_; }

    // Members: absent or null leaves the default.
    void get(const char* key, std::string& out) const {
        if (auto n = find(key)) out = n->text();
    }
    void get(const char* key, double& out) const {
        if (auto n = find(key)) out = n->number();
    }
    void get(const char* key, std::optional<double>& out) const {
        if (auto n = find(key)) out = n->number();
    }
    void get(const char* key, int& out) const {
        if (auto n = find(key)) out = n->integer();
    }
    void get(const char* key, bool& out) const {
        if (auto n = find(key)) out = n->boolean();
    }
    void get(const char* key, Time& out) const {
        if (auto n = find(key)) out = n->time();
    }
    void get(const char* key, std::optional<Time>& out) const {
        if (auto n = find(key)) out = n->time();
    }
    void get(const char* key, std::optional<std::string>& out) const {
        if (auto n = find(key)) out = n->text();
    }
    void get(const char* key, Interval& out) const {
        if (auto n = find(key)) out = n->interval();
    }
    void get(const char* key, std::optional<Interval>& out) const {
        if (auto n = find(key)) out = n->interval();
    }
    void get(const char* key, std::vector<std::string>& out) const {
        if (auto n = find(key))
            for (std::size_t i = 0; i < n->size(); ++i) out.push_back(n->at(i).text());
    }
    template <class Read>
    void each(const char* key, const Read& read) const {
        if (auto n = find(key))
            for (std::size_t i = 0; i < n->size(); ++i) {
                const Node item = n->at(i);
                if (!item.object()) item.fail("an object");
                read(item);
            }
    }
    // A Polygon's outer ring, or a Point.
    void geometry(Ring& ring, Point& point) const {
        const auto n = find("geometry");
        if (!n) return;
        std::string type;
        n->get("type", type);
        const auto coordinates = n->find("coordinates");
        if (!coordinates) n->fail("a GeoJSON geometry");
        if (type == "Polygon") {
            if (coordinates->size() < 1) n->fail("a polygon with a ring");
            ring = coordinates->at(0).ring();
            point = centroid(ring);
        } else if (type == "Point") {
            point = coordinates->position();
        } else {
            n->fail("a Polygon or a Point");
        }
    }

  private:
    const Json* json_;
    std::string path_;
    const std::string* file_;
};

Site read_site(const Node& node) {
    Site site;
    node.get("id", site.id);
    node.get("name", site.name);
    if (const auto names = node.find("names")) {
        names->get("ko", site.names.ko);
        names->get("hanja", site.names.hanja);
        names->get("rr", site.names.rr);
        names->get("mr", site.names.mr);
        names->get("aliases", site.names.aliases);
    }
    node.get("type", site.type);
    node.get("province", site.province);
    node.get("status", site.status);
    node.get("sources", site.sources);
    Point point;
    node.geometry(site.area_lonlat, point);
    if (site.area_lonlat.empty() && node.find("geometry")) site.centre = point;
    return site;
}

ReportScene read_scene(const Node& node) {
    ReportScene scene;
    node.get("id", scene.id);
    node.get("datetime", scene.datetime);
    node.get("datetime_end", scene.datetime_end);
    node.get("source", scene.source);
    node.get("sha256", scene.sha256);
    node.get("sensor", scene.sensor);
    node.get("gsd_m", scene.gsd_m);
    node.get("bands", scene.bands);
    node.get("sun_azimuth", scene.sun_azimuth);
    node.get("sun_elevation", scene.sun_elevation);
    node.get("off_nadir", scene.off_nadir);
    node.get("usable_fraction", scene.usable_fraction);
    node.get("role", scene.role);
    node.get("reason", scene.reason);
    node.get("notes", scene.notes);
    if (const auto n = node.find("registration")) {
        RegistrationSummary r;
        n->get("model", r.model);
        n->get("dx_m", r.dx_m);
        n->get("dy_m", r.dy_m);
        n->get("tie_points", r.tie_points);
        n->get("rmse_m", r.rmse_m);
        n->get("ce90_m", r.ce90_m);
        n->get("status", r.status);
        if (const auto samples = n->find("samples"))
            for (std::size_t i = 0; i < samples->size(); ++i) {
                const Node item = samples->at(i);
                if (item.size() != 4) item.fail("[longitude, latitude, dx_m, dy_m]");
                r.samples.push_back({item.position(), item.at(2).number(), item.at(3).number()});
            }
        scene.registration = r;
    }
    if (const auto n = node.find("normalization")) {
        NormalizationSummary normalization;
        n->get("method", normalization.method);
        n->each("bands", [&](const Node& item) {
            BandNormalization band;
            item.get("gain", band.gain);
            item.get("offset", band.offset);
            item.get("rmse_before", band.rmse_before);
            item.get("rmse_after", band.rmse_after);
            normalization.bands.push_back(band);
        });
        scene.normalization = normalization;
    }
    return scene;
}

ReportPerimeter read_perimeter(const Node& node) {
    ReportPerimeter perimeter;
    Point unused;
    node.get("scene", perimeter.scene);
    node.get("datetime", perimeter.datetime);
    node.get("area_m2", perimeter.area_m2);
    node.get("area_ci", perimeter.area_ci);
    node.get("length_m", perimeter.length_m);
    node.get("length_ci", perimeter.length_ci);
    node.get("supported_fraction", perimeter.supported_fraction);
    node.get("origin", perimeter.origin);
    node.geometry(perimeter.geometry, unused);
    node.each("segments", [&](const Node& item) {
        PerimeterSegment segment;
        item.get("support", segment.support);
        item.get("length_m", segment.length_m);
        perimeter.segments.push_back(segment);
    });
    return perimeter;
}

ReportStructure read_structure(const Node& node) {
    ReportStructure structure;
    node.get("id", structure.id);
    node.get("kind", structure.kind);
    node.geometry(structure.footprint, structure.position);
    node.get("area_m2", structure.area_m2);
    node.get("height_m", structure.height_m);
    node.get("height_ci", structure.height_ci);
    node.get("last_not_seen", structure.last_not_seen);
    node.get("first_seen", structure.first_seen);
    node.get("last_seen", structure.last_seen);
    node.get("first_not_seen", structure.first_not_seen);
    node.get("confidence", structure.confidence);
    node.each("observations", [&](const Node& item) {
        StructureObservation observation;
        item.get("scene", observation.scene);
        item.get("seen", observation.seen);
        item.get("score", observation.score);
        structure.observations.push_back(observation);
    });
    return structure;
}

ReportChange read_change(const Node& node) {
    ReportChange change;
    node.get("id", change.id);
    node.get("kind", change.kind);
    node.get("state", change.state);
    node.get("confidence", change.confidence);
    node.geometry(change.footprint, change.position);
    node.get("area_m2", change.area_m2);
    node.get("area_ci", change.area_ci);
    node.get("last_not_seen", change.last_not_seen);
    node.get("first_seen", change.first_seen);
    node.get("structure", change.structure);
    node.each("observations", [&](const Node& item) {
        ChangeObservation observation;
        item.get("scene", observation.scene);
        item.get("log_likelihood_ratio", observation.log_likelihood_ratio);
        change.observations.push_back(observation);
    });
    return change;
}

ReportFinding read_finding(const Node& node) {
    ReportFinding finding;
    node.get("statement", finding.statement);
    node.get("kind", finding.kind);
    node.get("likelihood", finding.likelihood);
    node.get("confidence", finding.confidence);
    node.get("evidence", finding.evidence);
    node.get("confidence_reasons", finding.confidence_reasons);
    if (const auto values = node.find("values")) {
        if (!values->object()) values->fail("an object");
        for (const auto& item : values->json().items()) {
            const std::string& key = item.key();
            const auto value = values->find(key.c_str());
            if (!value) continue;
            if (key.ends_with("_ci") && item.value().is_array()) {
                const Interval interval = value->interval();
                const std::string base = key.substr(0, key.size() - 3);
                finding.values[base + "_low"] = interval.low;
                finding.values[base + "_high"] = interval.high;
            } else {
                finding.values[key] = value->number();
            }
        }
    }
    return finding;
}

}  // namespace

std::string report_json(const Report& report) {
    Json root{{"schema", kSchema},
              {"software", Json{{"name", text(report.software.name)},
                                {"version", text(report.software.version)},
                                {"commit", known_text(report.software.commit)}}},
              {"simulated", report.simulated}};
    if (report.site) root["site"] = site_json(*report.site);
    Json transform = Json::array();
    for (const double value : report.grid.geotransform)
        transform.push_back(std::isfinite(value) ? Json(value) : Json(nullptr));
    root["grid"] = Json{{"crs", text(report.grid.crs)},
                        {"gsd_m", number(report.grid.gsd_m, 6)},
                        {"width", report.grid.width},
                        {"height", report.grid.height},
                        {"geotransform", transform}};
    root["scenes"] = list_of(report.scenes, scene_json);
    if (report.site || !report.perimeters.empty())
        root["perimeters"] = list_of(report.perimeters, perimeter_json);
    root["structures"] = list_of(report.structures, structure_json);
    root["changes"] = list_of(report.changes, change_json);
    root["findings"] = list_of(report.findings, finding_json);
    root["not_observable"] = list_of(report.not_observable, [](const NotObservable& item) {
        return Json{{"geometry", polygon_geometry(item.geometry)},
                    {"scenes", texts(item.scenes)},
                    {"reason", text(item.reason)}};
    });
    std::string out;
    print(root, 0, out);
    return out + "\n";
}

Report parse_report(const std::string& json, const std::string& name) {
    Json document;
    try {
        document = Json::parse(json);
    } catch (const nlohmann::json::exception& error) {
        throw DataError(name, std::string("is not JSON: ") + error.what());
    }
    const Node root(document, "$", name);
    if (!root.object()) root.fail("an object");
    std::string schema;
    root.get("schema", schema);
    if (!schema.empty() && schema != kSchema)
        throw DataError(name, "has the schema \"" + clean_text(schema) + "\"",
                        std::string("this version reads \"") + kSchema + "\"");
    if (schema.empty() && !root.find("scenes") && !root.find("perimeters") && !root.find("changes"))
        throw DataError(name, "is JSON, but not a fenceline report",
                        "give a report.json or truth.json");
    Report report;
    if (const auto n = root.find("software")) {
        n->get("name", report.software.name);
        n->get("version", report.software.version);
        n->get("commit", report.software.commit);
    }
    root.get("simulated", report.simulated);
    if (const auto n = root.find("site")) report.site = read_site(*n);
    if (const auto n = root.find("grid")) {
        n->get("crs", report.grid.crs);
        n->get("gsd_m", report.grid.gsd_m);
        n->get("width", report.grid.width);
        n->get("height", report.grid.height);
        if (const auto transform = n->find("geotransform")) {
            if (transform->size() != 6) transform->fail("six numbers");
            for (std::size_t i = 0; i < 6; ++i)
                report.grid.geotransform[i] = transform->at(i).number();
        }
    }
    root.each("scenes", [&](const Node& n) { report.scenes.push_back(read_scene(n)); });
    root.each("perimeters", [&](const Node& n) { report.perimeters.push_back(read_perimeter(n)); });
    root.each("structures", [&](const Node& n) { report.structures.push_back(read_structure(n)); });
    root.each("changes", [&](const Node& n) { report.changes.push_back(read_change(n)); });
    root.each("findings", [&](const Node& n) { report.findings.push_back(read_finding(n)); });
    root.each("not_observable", [&](const Node& n) {
        NotObservable item;
        Point unused;
        n.geometry(item.geometry, unused);
        n.get("scenes", item.scenes);
        n.get("reason", item.reason);
        report.not_observable.push_back(item);
    });
    return report;
}

Report read_report(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) throw DataError(path, "cannot be opened", "give the report.json of a finished run");
    std::ostringstream bytes;
    bytes << in.rdbuf();
    if (in.bad() || bytes.fail()) throw DataError(path, "cannot be read");
    return parse_report(bytes.str(), path);
}

}  // namespace fenceline
