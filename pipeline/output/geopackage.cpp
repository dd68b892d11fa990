#include "output/geopackage.h"

#include <cpl_conv.h>
#include <fmt/format.h>
#include <gdal_priv.h>
#include <ogrsf_frmts.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "output/escape.h"

namespace fenceline {
namespace {

struct CloseDataset {
    void operator()(GDALDataset* dataset) const { GDALClose(dataset); }
};
using DatasetPtr = std::unique_ptr<GDALDataset, CloseDataset>;
struct FreeFeature {
    void operator()(OGRFeature* feature) const { OGRFeature::DestroyFeature(feature); }
};
using FeaturePtr = std::unique_ptr<OGRFeature, FreeFeature>;

// GPKG's time stamps come from this option instead of the clock, for as long as it lives.
class FixedClock {
  public:
    explicit FixedClock(const std::string& date) {
        CPLSetThreadLocalConfigOption("OGR_CURRENT_DATE", date.c_str());
    }
    ~FixedClock() { CPLSetThreadLocalConfigOption("OGR_CURRENT_DATE", nullptr); }
    FixedClock(const FixedClock&) = delete;
    FixedClock& operator=(const FixedClock&) = delete;
};

Time newest(const Report& report) {
    Time time{};
    for (const ReportScene& scene : report.scenes)
        if (scene.datetime) time = std::max(time, *scene.datetime);
    return time;
}

struct Column {
    const char* name;
    OGRFieldType type;
    OGRFieldSubType subtype = OFSTNone;
};

double rounded(double value, double unit) { return std::round(value * unit) / unit; }
// To 1e-7 degrees, as in report.json: both files say the same.
Point place(Point p) { return {rounded(p.x, 1e7), rounded(p.y, 1e7)}; }

class Writer {
  public:
    Writer(GDALDataset& dataset, const std::string& path) : dataset_(dataset), path_(path) {
        wgs84_.importFromEPSG(4326);
        wgs84_.SetAxisMappingStrategy(OAMS_TRADITIONAL_GIS_ORDER);
    }

    void layer(const char* name, OGRwkbGeometryType type, const char* description,
               std::initializer_list<Column> columns) {
        char** options = nullptr;
        options = CSLSetNameValue(options, "GEOMETRY_NAME", "geom");
        options = CSLSetNameValue(options, "DESCRIPTION", description);
        layer_ = dataset_.CreateLayer(name, type == wkbNone ? nullptr : &wgs84_, type, options);
        CSLDestroy(options);
        if (layer_ == nullptr) fail();
        for (const Column& column : columns) {
            OGRFieldDefn field(column.name, column.type);
            field.SetSubType(column.subtype);
            if (layer_->CreateField(&field) != OGRERR_NONE) fail();
        }
    }
    void begin() { feature_.reset(OGRFeature::CreateFeature(layer_->GetLayerDefn())); }
    void set(const char* name, const std::string& value) {
        if (!value.empty()) feature_->SetField(index(name), clean_text(value).c_str());
    }
    void set(const char* name, double value, double unit) {
        if (std::isfinite(value)) feature_->SetField(index(name), rounded(value, unit));
    }
    void set(const char* name, const std::optional<double>& value, double unit) {
        if (value) set(name, *value, unit);
    }
    void set(const char* name, int value) { feature_->SetField(index(name), value); }
    void set(const char* name, bool value) { feature_->SetField(index(name), value ? 1 : 0); }
    void set(const char* name, const std::optional<Time>& time) {
        if (!time) return;
        const CivilDate date = civil_from_time(*time);
        const double seconds =
            static_cast<double>(time->microseconds -
                                time_from_civil(date.year, date.month, date.day).microseconds) *
            1e-6;
        const int minutes = static_cast<int>(seconds / 60);
        feature_->SetField(index(name), date.year, date.month, date.day, minutes / 60, minutes % 60,
                           static_cast<float>(seconds - 60.0 * minutes), 100);
    }
    void point(Point p) {
        p = place(p);
        OGRPoint geometry(p.x, p.y);
        geometry.assignSpatialReference(&wgs84_);
        feature_->SetGeometry(&geometry);
    }
    void polygon(Ring ring) {
        if (ring.size() < 3) return;
        if (signed_area(ring) < 0) std::reverse(ring.begin() + 1, ring.end());
        OGRLinearRing line;
        for (const Point raw : ring) {
            const Point p = place(raw);
            line.addPoint(p.x, p.y);
        }
        line.closeRings();
        OGRPolygon geometry;
        geometry.addRing(&line);
        geometry.assignSpatialReference(&wgs84_);
        feature_->SetGeometry(&geometry);
    }
    void end() {
        if (layer_->CreateFeature(feature_.get()) != OGRERR_NONE) fail();
    }
    void sql(const std::string& statement) {
        CPLErrorReset();
        OGRLayer* result = dataset_.ExecuteSQL(statement.c_str(), nullptr, nullptr);
        if (result != nullptr) dataset_.ReleaseResultSet(result);
        if (CPLGetLastErrorType() >= CE_Failure) fail();
    }
    [[noreturn]] void fail() const {
        throw DataError(path_, std::string("cannot be written: ") + CPLGetLastErrorMsg(),
                        "is the disk full?");
    }

  private:
    int index(const char* name) const { return layer_->GetLayerDefn()->GetFieldIndex(name); }
    GDALDataset& dataset_;
    const std::string& path_;
    OGRSpatialReference wgs84_;
    OGRLayer* layer_ = nullptr;
    FeaturePtr feature_;
};

// ---------------------------------------------------------------- QGIS styles (QML of QGIS 3)

// One rule of a rule-based renderer. Layers of points and polygons share a style that way, because
// QGIS opens such a layer as two, and each of them finds its own rules.
struct StyleRule {
    std::string filter, label;
    char type;  // 'm' marker, 'f' fill, 'o' outline alone: what lies under it is the evidence
    std::string colour;  // r,g,b
    double width_mm;     // outline, or marker size
    bool dashed = false;
};

std::string property(const char* key, const std::string& value) {
    return fmt::format("<prop k=\"{}\" v=\"{}\"/>", key, html_escape(value));
}

std::string qml(const std::vector<StyleRule>& rules, const std::string& label_expression) {
    std::string rule_list, symbols;
    int index = 0;
    for (const StyleRule& rule : rules) {
        rule_list += fmt::format("<rule key=\"r{0}\" symbol=\"{0}\" filter=\"{1}\" label=\"{2}\"/>",
                                 index, html_escape(rule.filter), html_escape(rule.label));
        if (rule.type == 'm')
            symbols += fmt::format(
                "<symbol name=\"{}\" type=\"marker\" alpha=\"1\" clip_to_extent=\"1\" "
                "force_rhr=\"0\">"
                "<layer class=\"SimpleMarker\" enabled=\"1\" pass=\"0\" "
                "locked=\"0\">{}{}{}{}{}{}</layer></symbol>",
                index, property("name", "circle"), property("color", rule.colour + ",255"),
                property("outline_color", "255,255,255,255"), property("outline_width", "0.4"),
                property("size", fmt::format("{}", rule.width_mm)), property("size_unit", "MM"));
        else
            symbols += fmt::format(
                "<symbol name=\"{}\" type=\"fill\" alpha=\"1\" clip_to_extent=\"1\" "
                "force_rhr=\"0\">"
                "<layer class=\"SimpleFill\" enabled=\"1\" pass=\"0\" "
                "locked=\"0\">{}{}{}{}{}{}</layer></symbol>",
                index, property("style", rule.type == 'o' ? "no" : "solid"),
                property("color", rule.colour + ",35"),
                property("outline_color", rule.colour + ",255"),
                property("outline_style", rule.dashed ? "dash" : "solid"),
                property("outline_width", fmt::format("{}", rule.width_mm)),
                property("outline_width_unit", "MM"));
        ++index;
    }
    std::string labels;
    if (!label_expression.empty())
        labels = fmt::format(
            "<labeling type=\"simple\"><settings calloutType=\"simple\">"
            "<text-style fieldName=\"{}\" isExpression=\"1\" fontSize=\"8\" fontSizeUnit=\"Point\" "
            "textColor=\"30,30,30,255\" textOpacity=\"1\"><text-buffer bufferDraw=\"1\" "
            "bufferSize=\"0.8\" "
            "bufferSizeUnits=\"MM\" bufferColor=\"255,255,255,255\" "
            "bufferOpacity=\"0.9\"/></text-style>"
            "</settings></labeling>",
            html_escape(label_expression));
    return fmt::format(
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
        "<qgis version=\"3.22.16\" styleCategories=\"Symbology|Labeling\" labelsEnabled=\"{}\">"
        "<renderer-v2 type=\"RuleRenderer\" forceraster=\"0\" symbollevels=\"0\" "
        "enableorderby=\"0\">"
        "<rules key=\"root\">{}</rules><symbols>{}</symbols></renderer-v2>{}</qgis>\n",
        label_expression.empty() ? 0 : 1, rule_list, symbols, labels);
}

std::string quoted(const std::string& text) {
    std::string out = "'";
    for (const char c : text) out += c == '\'' ? "''" : std::string(1, c);
    return out + "'";
}

void write_styles(Writer& writer, const std::string& date) {
    writer.sql(
        "CREATE TABLE \"layer_styles\" (\"id\" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,"
        "\"f_table_catalog\" TEXT(256),\"f_table_schema\" TEXT(256),\"f_table_name\" TEXT(256),"
        "\"f_geometry_column\" TEXT(256),\"styleName\" TEXT(30),\"styleQML\" TEXT,\"styleSLD\" "
        "TEXT,"
        "\"useAsDefault\" BOOLEAN,\"description\" TEXT,\"owner\" TEXT(30),\"ui\" TEXT(30),"
        "\"update_time\" DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))");
    writer.sql(
        fmt::format("INSERT INTO gpkg_contents "
                    "(table_name,data_type,identifier,description,last_change) VALUES "
                    "('layer_styles','attributes','layer_styles','QGIS styles',{})",
                    quoted(date)));
    const std::string is_point = "geometry_type($geometry) = 'Point'";
    const std::string is_polygon = "geometry_type($geometry) = 'Polygon'";
    // Candidates are thin, dashed and without a label: a map must not look surer than the report.
    const std::string counted = "\"state\" IN ('confirmed','provisional','ended')";
    const auto both = [&](const std::string& rest, const std::string& label,
                          const std::string& colour, std::vector<StyleRule>& rules) {
        rules.push_back({is_polygon + " AND " + rest + " AND " + counted, label, 'o', colour, 0.6});
        rules.push_back({is_point + " AND " + rest + " AND " + counted, label, 'm', colour, 2.6});
        const std::string candidate = rest + " AND \"state\" = 'candidate'";
        rules.push_back(
            {is_polygon + " AND " + candidate, label + " (candidate)", 'o', colour, 0.2, true});
        rules.push_back({is_point + " AND " + candidate, label + " (candidate)", 'm', colour, 1.4});
    };
    std::vector<StyleRule> changes;
    both("\"kind\" LIKE 'new_%'", "new", "213,94,0", changes);
    both("\"kind\" LIKE 'removed_%'", "removed", "0,114,178", changes);
    both("\"kind\" LIKE 'perimeter_%'", "perimeter", "204,31,92", changes);
    both("\"kind\" IN ('modified_building','ground_disturbance','vegetation_change')",
         "modified, ground, vegetation", "148,120,0", changes);
    changes.push_back(
        {is_polygon + " AND \"state\" = 'rejected'", "rejected", 'o', "150,150,150", 0.2});
    changes.push_back(
        {is_point + " AND \"state\" = 'rejected'", "rejected", 'm', "150,150,150", 1.4});
    const std::vector<std::pair<const char*, std::string>> styles{
        {"perimeters", qml({{"\"origin\" = 'traced'", "traced line", 'o', "204,31,92", 0.6},
                            {"\"origin\" = 'given'", "given line", 'o', "90,90,90", 0.6, true}},
                           "format_date(\"datetime\",'yyyy-MM-dd')")},
        {"structures",
         qml({{"\"kind\" = 'guard_post' AND " + is_point, "guard post", 'm', "230,159,0", 2.4},
              {"\"kind\" = 'building' AND " + is_polygon, "building", 'f', "0,114,178", 0.4},
              {"\"kind\" = 'building' AND " + is_point, "building", 'm', "0,114,178", 2}},
             "")},
        {"changes", qml(changes, "if(" + counted + ",replace(\"kind\",'_',' '),'')")},
        {"not_observable", qml({{"", "not observable", 'f', "110,110,110", 0.4, true}}, "")},
        {"tie_points", qml({{"\"kept\"", "kept", 'm', "0,158,115", 1.6},
                            {"NOT \"kept\"", "dropped", 'm', "170,170,170", 1.2}},
                           "")}};
    for (const auto& [layer, style] : styles)
        writer.sql(
            fmt::format("INSERT INTO layer_styles "
                        "(f_table_catalog,f_table_schema,f_table_name,f_geometry_column,styleName,"
                        "styleQML,styleSLD,useAsDefault,description,owner,ui,update_time) VALUES "
                        "('','',{0},'geom','fenceline',{1},'',1,'fenceline','','',{2})",
                        quoted(layer), quoted(style), quoted(date)));
}

template <class Observations>
std::string observations_text(const Observations& observations) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const auto& o : observations) {
        if constexpr (requires { o.seen; })
            list.push_back({{"scene", clean_text(o.scene)},
                            {"seen", o.seen},
                            {"score", rounded(o.score, 1e4)}});
        else
            list.push_back({{"scene", clean_text(o.scene)},
                            {"log_likelihood_ratio", rounded(o.log_likelihood_ratio, 1e4)}});
    }
    return list.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

double length_of(const ReportPerimeter& perimeter, const char* support) {
    double total = 0;
    for (const PerimeterSegment& segment : perimeter.segments)
        if (segment.support == support) total += segment.length_m;
    return total;
}

void write_layers(Writer& writer, const Report& report,
                  std::span<const TiePointRecord> tie_points) {
    const std::string site = report.site ? report.site->id : "";
    writer.layer("scenes", wkbNone, "The images of the series",
                 {{"id", OFTString},
                  {"site", OFTString},
                  {"datetime", OFTDateTime},
                  {"datetime_end", OFTDateTime},
                  {"source", OFTString},
                  {"sha256", OFTString},
                  {"sensor", OFTString},
                  {"gsd_m", OFTReal},
                  {"bands", OFTInteger},
                  {"sun_azimuth", OFTReal},
                  {"sun_elevation", OFTReal},
                  {"off_nadir", OFTReal},
                  {"usable_fraction", OFTReal},
                  {"role", OFTString},
                  {"reason", OFTString},
                  {"registration_model", OFTString},
                  {"dx_m", OFTReal},
                  {"dy_m", OFTReal},
                  {"tie_points", OFTInteger},
                  {"rmse_m", OFTReal},
                  {"ce90_m", OFTReal},
                  {"registration_status", OFTString},
                  {"normalization", OFTString},
                  {"simulated", OFTInteger, OFSTBoolean}});
    for (const ReportScene& scene : report.scenes) {
        writer.begin();
        writer.set("id", scene.id);
        writer.set("site", site);
        writer.set("datetime", scene.datetime);
        writer.set("datetime_end", scene.datetime_end);
        writer.set("source", scene.source);
        writer.set("sha256", scene.sha256);
        writer.set("sensor", scene.sensor);
        if (scene.gsd_m > 0) writer.set("gsd_m", scene.gsd_m, 1e4);
        if (scene.bands > 0) writer.set("bands", scene.bands);
        writer.set("sun_azimuth", scene.sun_azimuth, 1e2);
        writer.set("sun_elevation", scene.sun_elevation, 1e2);
        writer.set("off_nadir", scene.off_nadir, 1e2);
        writer.set("usable_fraction", scene.usable_fraction, 1e4);
        writer.set("role", scene.role);
        writer.set("reason", scene.reason);
        if (const auto& r = scene.registration) {
            writer.set("registration_model", r->model);
            writer.set("dx_m", r->dx_m, 1e3);
            writer.set("dy_m", r->dy_m, 1e3);
            writer.set("tie_points", r->tie_points);
            writer.set("rmse_m", r->rmse_m, 1e3);
            writer.set("ce90_m", r->ce90_m, 1e3);
            writer.set("registration_status", r->status);
        }
        if (scene.normalization) writer.set("normalization", scene.normalization->method);
        writer.set("simulated", report.simulated);
        writer.end();
    }
    writer.layer("perimeters", wkbPolygon, "The line as it stood on each date",
                 {{"scene", OFTString},
                  {"site", OFTString},
                  {"datetime", OFTDateTime},
                  {"area_m2", OFTReal},
                  {"area_low", OFTReal},
                  {"area_high", OFTReal},
                  {"length_m", OFTReal},
                  {"length_low", OFTReal},
                  {"length_high", OFTReal},
                  {"supported_fraction", OFTReal},
                  {"origin", OFTString},
                  {"seen_m", OFTReal},
                  {"bridged_m", OFTReal},
                  {"hidden_m", OFTReal},
                  {"simulated", OFTInteger, OFSTBoolean}});
    for (const ReportPerimeter& perimeter : report.perimeters) {
        writer.begin();
        writer.set("scene", perimeter.scene);
        writer.set("site", site);
        writer.set("datetime", std::optional<Time>(perimeter.datetime));
        writer.set("area_m2", perimeter.area_m2, 1e2);
        writer.set("area_low", perimeter.area_ci.low, 1e2);
        writer.set("area_high", perimeter.area_ci.high, 1e2);
        writer.set("length_m", perimeter.length_m, 1e2);
        writer.set("length_low", perimeter.length_ci.low, 1e2);
        writer.set("length_high", perimeter.length_ci.high, 1e2);
        writer.set("supported_fraction", perimeter.supported_fraction, 1e4);
        writer.set("origin", perimeter.origin);
        writer.set("seen_m", length_of(perimeter, "seen"), 1e2);
        writer.set("bridged_m", length_of(perimeter, "bridged"), 1e2);
        writer.set("hidden_m", length_of(perimeter, "hidden"), 1e2);
        writer.set("simulated", report.simulated);
        writer.polygon(perimeter.geometry);
        writer.end();
    }
    writer.layer("structures", wkbUnknown, "Buildings (polygons) and guard posts (points)",
                 {{"id", OFTString},
                  {"site", OFTString},
                  {"kind", OFTString},
                  {"area_m2", OFTReal},
                  {"height_m", OFTReal},
                  {"height_low", OFTReal},
                  {"height_high", OFTReal},
                  {"last_not_seen", OFTDateTime},
                  {"first_seen", OFTDateTime},
                  {"last_seen", OFTDateTime},
                  {"first_not_seen", OFTDateTime},
                  {"confidence", OFTReal},
                  {"observations", OFTString},
                  {"simulated", OFTInteger, OFSTBoolean}});
    for (const ReportStructure& structure : report.structures) {
        writer.begin();
        writer.set("id", structure.id);
        writer.set("site", site);
        writer.set("kind", structure.kind);
        if (structure.area_m2 > 0) writer.set("area_m2", structure.area_m2, 1e2);
        writer.set("height_m", structure.height_m, 1e2);
        if (structure.height_ci) {
            writer.set("height_low", structure.height_ci->low, 1e2);
            writer.set("height_high", structure.height_ci->high, 1e2);
        }
        writer.set("last_not_seen", structure.last_not_seen);
        writer.set("first_seen", structure.first_seen);
        writer.set("last_seen", structure.last_seen);
        writer.set("first_not_seen", structure.first_not_seen);
        writer.set("confidence", structure.confidence, 1e4);
        writer.set("observations", observations_text(structure.observations));
        writer.set("simulated", report.simulated);
        if (structure.footprint.size() >= 3)
            writer.polygon(structure.footprint);
        else
            writer.point(structure.position);
        writer.end();
    }
    writer.layer("changes", wkbUnknown, "What appeared, disappeared, grew or shrank",
                 {{"id", OFTString},
                  {"site", OFTString},
                  {"kind", OFTString},
                  {"state", OFTString},
                  {"confidence", OFTReal},
                  {"area_m2", OFTReal},
                  {"area_low", OFTReal},
                  {"area_high", OFTReal},
                  {"last_not_seen", OFTDateTime},
                  {"first_seen", OFTDateTime},
                  {"structure", OFTString},
                  {"observations", OFTString},
                  {"simulated", OFTInteger, OFSTBoolean}});
    for (const ReportChange& change : report.changes) {
        writer.begin();
        writer.set("id", change.id);
        writer.set("site", site);
        writer.set("kind", change.kind);
        writer.set("state", change.state);
        writer.set("confidence", change.confidence, 1e4);
        writer.set("area_m2", change.area_m2, 1e2);
        if (change.area_ci) {
            writer.set("area_low", change.area_ci->low, 1e2);
            writer.set("area_high", change.area_ci->high, 1e2);
        }
        writer.set("last_not_seen", change.last_not_seen);
        writer.set("first_seen", change.first_seen);
        if (change.structure) writer.set("structure", *change.structure);
        writer.set("observations", observations_text(change.observations));
        writer.set("simulated", report.simulated);
        if (change.footprint.size() >= 3)
            writer.polygon(change.footprint);
        else
            writer.point(change.position);
        writer.end();
    }
    writer.layer("not_observable", wkbPolygon, "Where nothing can be said, and why",
                 {{"scenes", OFTString}, {"reason", OFTString}});
    for (const NotObservable& item : report.not_observable) {
        std::string scenes;
        for (const auto& id : item.scenes) scenes += (scenes.empty() ? "" : ", ") + id;
        writer.begin();
        writer.set("scenes", scenes);
        writer.set("reason", item.reason);
        writer.polygon(item.geometry);
        writer.end();
    }
    writer.layer("tie_points", wkbPoint, "Tie points of the registration, with held-out residuals",
                 {{"scene", OFTString},
                  {"dx_m", OFTReal},
                  {"dy_m", OFTReal},
                  {"residual_m", OFTReal},
                  {"kept", OFTInteger, OFSTBoolean}});
    for (const TiePointRecord& tie : tie_points) {
        writer.begin();
        writer.set("scene", tie.scene);
        writer.set("dx_m", tie.dx_m, 1e3);
        writer.set("dy_m", tie.dy_m, 1e3);
        writer.set("residual_m", tie.residual_m, 1e3);
        writer.set("kept", tie.kept);
        writer.point({tie.lon, tie.lat});
        writer.end();
    }
}

}  // namespace

void write_geopackage(const std::string& path, const Report& report,
                      std::span<const TiePointRecord> tie_points) {
    GDALDriver* driver = GetGDALDriverManager()->GetDriverByName("GPKG");
    if (driver == nullptr) throw DataError(path, "GDAL lacks the GPKG driver");
    // The bytes must not depend on the clock: the newest image is the last thing this file knows
    // of.
    const std::string whole = format_time(newest(report));
    const std::string date = whole.substr(0, 19) + ".000Z";
    const FixedClock clock(date);
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    CPLErrorReset();
    DatasetPtr dataset(driver->Create(path.c_str(), 0, 0, 0, GDT_Unknown, nullptr));
    if (!dataset) throw DataError(path, std::string("cannot be written: ") + CPLGetLastErrorMsg());
    Writer writer(*dataset, path);
    if (dataset->StartTransaction() != OGRERR_NONE) writer.fail();
    write_layers(writer, report, tie_points);
    write_styles(writer, date);
    if (dataset->CommitTransaction() != OGRERR_NONE) writer.fail();
    CPLErrorReset();
    dataset.reset();
    if (CPLGetLastErrorType() >= CE_Failure)
        throw DataError(path, std::string("cannot be written: ") + CPLGetLastErrorMsg(),
                        "is the disk full?");
}

}  // namespace fenceline
