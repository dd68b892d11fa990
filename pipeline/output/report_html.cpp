#include "output/report_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <kainjow/mustache.hpp>
#include <nlohmann/json.hpp>
#include <opencv2/imgproc.hpp>
#include <set>

#include "core/error.h"
#include "core/geodesic.h"
#include "core/projection.h"
#include "output/digest.h"
#include "output/embedded.h"
#include "output/escape.h"

namespace fenceline {
namespace {

using Fields = kainjow::mustache::data;
using Json = nlohmann::ordered_json;

constexpr double kPi = 3.14159265358979323846;

// ---------------------------------------------------------------- numbers as people read them

std::string area_text(double m2) {
    if (!std::isfinite(m2)) return "–";
    if (m2 >= 1e5) return fmt::format("{:.3f} km²", m2 / 1e6);
    return fmt::format("{:.0f} m²", m2);
}
std::string length_text(double m) {
    if (!std::isfinite(m)) return "–";
    return m >= 1000 ? fmt::format("{:.2f} km", m / 1000) : fmt::format("{:.0f} m", m);
}
std::string area_pair(double a, double b) {
    if (a < 1e5 || b < 1e5) return area_text(a) + " → " + area_text(b);
    return fmt::format("{:.3f} → {:.3f} km²", a / 1e6, b / 1e6);
}
std::string length_pair(double a, double b) {
    if (a < 1000 || b < 1000) return length_text(a) + " → " + length_text(b);
    return fmt::format("{:.2f} → {:.2f} km", a / 1000, b / 1000);
}
std::string interval_text(double value, const Interval& ci, bool area) {
    if (ci.low == 0 && ci.high == 0) return "";
    if (area)
        return value >= 1e5 ? fmt::format("{:.3f}–{:.3f}", ci.low / 1e6, ci.high / 1e6)
                            : fmt::format("{:.0f}–{:.0f}", ci.low, ci.high);
    return value >= 1000 ? fmt::format("{:.2f}–{:.2f}", ci.low / 1000, ci.high / 1000)
                         : fmt::format("{:.0f}–{:.0f}", ci.low, ci.high);
}
// Escaped text in which no date is broken at its hyphens.
std::string with_whole_dates(const std::string& text) {
    const std::string html = html_escape(text);
    const auto digits = [&](std::size_t at, std::size_t n) {
        for (std::size_t i = at; i < at + n; ++i)
            if (i >= html.size() || html[i] < '0' || html[i] > '9') return false;
        return true;
    };
    std::string out;
    for (std::size_t i = 0; i < html.size();) {
        if (digits(i, 4) && i + 10 <= html.size() && html[i + 4] == '-' && digits(i + 5, 2) &&
            html[i + 7] == '-' && digits(i + 8, 2)) {
            out += "<span class=\"nb\">" + html.substr(i, 10) + "</span>";
            i += 10;
        } else {
            out += html[i++];
        }
    }
    return out;
}
std::string percent_text(double share) { return fmt::format("{:.0f} %", 100 * share); }
// Never "100 %" for what is only nearly certain.
std::string probability_text(double p) {
    if (p > 0.99 && p < 1) return "> 99 %";
    return percent_text(p);
}
std::string position_text(Point lonlat) {
    return fmt::format("{:.6f}, {:.6f}", lonlat.y, lonlat.x);
}
std::string words(std::string name) {
    std::replace(name.begin(), name.end(), '_', ' ');
    return name;
}
std::string capitalised(std::string text) {
    if (!text.empty() && text[0] >= 'a' && text[0] <= 'z')
        text[0] = static_cast<char>(text[0] - 32);
    return text;
}
std::string date_text(const std::optional<Time>& time) { return time ? format_date(*time) : "–"; }
std::string date_text(const ReportScene& scene) {
    if (!scene.datetime) return "no date";
    if (scene.datetime_end)
        return format_date(*scene.datetime) + " to " + format_date(*scene.datetime_end);
    return format_date(*scene.datetime);
}
std::string joined(const std::vector<std::string>& parts, const std::string& separator) {
    std::string out;
    for (const auto& part : parts) {
        if (part.empty()) continue;
        out += (out.empty() ? "" : separator) + part;
    }
    return out;
}
double decimal_year(Time time) {
    const int year = civil_from_time(time).year;
    const double start = time_from_civil(year, 1, 1).seconds(),
                 end = time_from_civil(year + 1, 1, 1).seconds();
    return year + (time.seconds() - start) / (end - start);
}

// A word that becomes a CSS class; anything else becomes none.
std::string known_word(const std::string& word) {
    static const std::set<std::string> known{"confirmed", "provisional", "candidate", "rejected",
                                             "ended",     "pass",        "warn",      "fail",
                                             "high",      "moderate",    "low"};
    return known.contains(word) ? word : "unknown";
}

// ---------------------------------------------------------------- the frame that everything is
// drawn in

// Metres east and south of the grid's upper left corner: exact on the common grid, because pixels
// are.
struct Frame {
    std::optional<GridProjection> projection;
    double width_m = 0, height_m = 0, sx = 1, sy = 1;  // metres a pixel
    double north_deg = 0;  // of true north, clockwise from up, at the centre

    bool usable() const { return projection.has_value(); }
    Point metres_from_px(Point px) const { return {px.x * sx, px.y * sy}; }
    Point metres(Point lonlat) const { return metres_from_px(projection->px_from_lonlat(lonlat)); }
    Ring metres(const Ring& lonlat) const {
        Ring out;
        for (const Point p : lonlat) out.push_back(metres(p));
        return out;
    }
};

Frame frame_of(const Report& report) {
    Frame frame;
    const ReportGrid& grid = report.grid;
    if (grid.crs.empty() || grid.width <= 0 || grid.height <= 0) return frame;
    try {
        frame.projection.emplace(
            Grid{wkt_of(grid.crs), grid.geotransform, grid.width, grid.height});
        const Point left = frame.projection->lonlat_from_px({0, grid.height / 2.0});
        const Point right = frame.projection->lonlat_from_px({grid.width / 1.0, grid.height / 2.0});
        const Point top = frame.projection->lonlat_from_px({grid.width / 2.0, 0});
        const Point bottom =
            frame.projection->lonlat_from_px({grid.width / 2.0, grid.height / 1.0});
        frame.width_m = geodesic_distance(left, right);
        frame.height_m = geodesic_distance(top, bottom);
        frame.sx = frame.width_m / grid.width;
        frame.sy = frame.height_m / grid.height;
        const Point centre =
            frame.projection->lonlat_from_px({grid.width / 2.0, grid.height / 2.0});
        const Point up = frame.metres({centre.x, centre.y + 1e-3}) - frame.metres(centre);
        frame.north_deg = std::atan2(up.x, -up.y) * 180 / kPi;
        if (!std::isfinite(frame.width_m) || !std::isfinite(frame.height_m) ||
            !std::isfinite(frame.north_deg) || frame.sx <= 0 || frame.sy <= 0)
            frame.projection.reset();
    } catch (const DataError&) {
        frame.projection.reset();  // a report without a map is better than none
    }
    return frame;
}

Json ring_json(const Frame& frame, const Ring& lonlat) {
    Json out = Json::array();
    for (const Point p : lonlat) {
        const Point m = frame.metres(p);
        if (!std::isfinite(m.x) || !std::isfinite(m.y)) return Json::array();
        out.push_back(Json::array({std::round(m.x * 100) / 100, std::round(m.y * 100) / 100}));
    }
    return out;
}
Json point_json(const Frame& frame, Point lonlat) {
    const Point m = frame.metres(lonlat);
    if (!std::isfinite(m.x) || !std::isfinite(m.y)) return Json::array({0, 0});
    return Json::array({std::round(m.x * 100) / 100, std::round(m.y * 100) / 100});
}

struct Rectangle {
    double x0 = 0, y0 = 0, x1 = 0, y1 = 0;
};
Rectangle rectangle_of(const Frame& frame, const ImageChip& chip) {
    const Point a = frame.metres(chip.corners_lonlat[0]), b = frame.metres(chip.corners_lonlat[2]);
    return {a.x, a.y, b.x, b.y};
}

// ---------------------------------------------------------------- counts

bool standing(const ReportStructure& structure, Time time) {
    if (!structure.first_seen || time < *structure.first_seen) return false;
    if (structure.first_not_seen && time >= *structure.first_not_seen) return false;
    return true;
}

struct SceneCount {
    CountEstimate estimate;
    int listed = 0, not_observable = 0;
};
SceneCount count_at(const Report& report, const std::string& kind, const ReportScene& scene) {
    SceneCount count;
    std::vector<double> probabilities;
    for (const ReportStructure& structure : report.structures) {
        if (structure.kind != kind) continue;
        if (standing(structure, *scene.datetime)) {
            ++count.listed;
            probabilities.push_back(std::clamp(structure.confidence, 0.0, 1.0));
        }
        for (const StructureObservation& o : structure.observations)
            if (o.scene == scene.id && o.seen == "not_observable") ++count.not_observable;
    }
    count.estimate = count_of(probabilities);
    return count;
}
bool has_kind(const Report& report, const std::string& kind) {
    return std::any_of(report.structures.begin(), report.structures.end(),
                       [&](const auto& s) { return s.kind == kind; });
}
std::string count_text(const SceneCount& count) {
    return fmt::format("{:.0f} ({}–{})", count.estimate.expected, count.estimate.low,
                       count.estimate.high);
}
std::string count_note(const SceneCount& count) {
    std::string note = fmt::format("{} listed", count.listed);
    if (count.not_observable > 0) note += fmt::format(", {} not observable", count.not_observable);
    return note;
}

const ReportPerimeter* perimeter_of(const Report& report, const std::string& scene) {
    for (const ReportPerimeter& perimeter : report.perimeters)
        if (perimeter.scene == scene) return &perimeter;
    return nullptr;
}
const ReportScene* scene_of(const Report& report, const std::string& id) {
    for (const ReportScene& scene : report.scenes)
        if (scene.id == id) return &scene;
    return nullptr;
}
std::vector<const ReportScene*> used_scenes(const Report& report) {
    std::vector<const ReportScene*> out;
    for (const ReportScene& scene : report.scenes)
        if (scene.role != "left_out" && scene.datetime) out.push_back(&scene);
    std::stable_sort(out.begin(), out.end(),
                     [](auto* a, auto* b) { return *a->datetime < *b->datetime; });
    return out;
}

// Older lines blue, newer ones red, as far apart as the number of dates allows.
std::string date_colour(std::size_t i, std::size_t count) {
    static constexpr int kStops[][3] = {
        {64, 156, 255}, {168, 120, 255}, {255, 92, 170}, {255, 70, 60}};
    const double t =
        count > 1 ? 3.0 * static_cast<double>(i) / static_cast<double>(count - 1) : 3.0;
    const auto k = std::min<std::size_t>(2, static_cast<std::size_t>(t));
    const double f = t - static_cast<double>(k);
    int rgb[3];
    for (int c = 0; c < 3; ++c)
        rgb[c] = static_cast<int>(std::lround((1 - f) * kStops[k][c] + f * kStops[k + 1][c]));
    return fmt::format("#{:02x}{:02x}{:02x}", rgb[0], rgb[1], rgb[2]);
}

std::string when_text(const ReportChange& change) {
    if (change.last_not_seen && change.first_seen)
        return "Between " + format_date(*change.last_not_seen) + " and " +
               format_date(*change.first_seen);
    if (change.first_seen) return "Before " + format_date(*change.first_seen);
    if (change.last_not_seen) return "After " + format_date(*change.last_not_seen);
    return "Not dated";
}
std::string change_area(const ReportChange& change) {
    if (!(change.area_m2 > 0)) return "";
    std::string text = area_text(change.area_m2);
    if (change.area_ci) text += " (" + interval_text(change.area_m2, *change.area_ci, true) + ")";
    return text;
}

// ---------------------------------------------------------------- data for the scripts

Json script_data(const Report& report, const Frame& frame,
                 const std::vector<const ImageChip*>& overviews) {
    Json out = Json::object();
    const auto used = used_scenes(report);
    if (frame.usable()) {
        out["width_m"] = std::round(frame.width_m * 100) / 100;
        out["height_m"] = std::round(frame.height_m * 100) / 100;
        out["north_deg"] = std::round(frame.north_deg * 100) / 100;
        Json corners = Json::array();
        const double w = report.grid.width, h = report.grid.height;
        for (const Point px : {Point{0, 0}, Point{w, 0}, Point{w, h}, Point{0, h}}) {
            const Point p = frame.projection->lonlat_from_px(px);
            corners.push_back(
                Json::array({std::round(p.x * 1e8) / 1e8, std::round(p.y * 1e8) / 1e8}));
        }
        out["corners"] = corners;
    }
    Json images = Json::array();
    for (std::size_t i = 0; i < overviews.size(); ++i) {
        const ReportScene* scene = scene_of(report, overviews[i]->scene_id);
        const Rectangle r = frame.usable() ? rectangle_of(frame, *overviews[i]) : Rectangle{};
        images.push_back(
            {{"index", i},
             {"scene", clean_text(overviews[i]->scene_id)},
             {"date", scene != nullptr ? date_text(*scene) : clean_text(overviews[i]->scene_id)},
             {"sensor", scene != nullptr ? clean_text(scene->sensor) : ""},
             {"x0", std::round(r.x0 * 100) / 100},
             {"y0", std::round(r.y0 * 100) / 100},
             {"x1", std::round(r.x1 * 100) / 100},
             {"y1", std::round(r.y1 * 100) / 100}});
    }
    out["overviews"] = images;
    // The pair with the most important change, else first and last.
    std::size_t left = 0, right = overviews.empty() ? 0 : overviews.size() - 1;
    for (const std::size_t i : changes_to_show(report, 1)) {
        const ScenePair pair = scenes_of(report, report.changes[i]);
        for (std::size_t k = 0; k < overviews.size(); ++k) {
            if (overviews[k]->scene_id == pair.before) left = k;
            if (overviews[k]->scene_id == pair.after) right = k;
        }
    }
    out["swipe"] = Json::array({left, right});
    Json perimeters = Json::array(), structures = Json::array(), changes = Json::array(),
         hidden = Json::array();
    if (frame.usable()) {
        Rectangle focus{1e30, 1e30, -1e30, -1e30};
        for (std::size_t i = 0; i < report.perimeters.size(); ++i) {
            const ReportPerimeter& p = report.perimeters[i];
            for (const Point m : frame.metres(p.geometry)) {
                if (!std::isfinite(m.x) || !std::isfinite(m.y)) continue;
                focus = {std::min(focus.x0, m.x), std::min(focus.y0, m.y), std::max(focus.x1, m.x),
                         std::max(focus.y1, m.y)};
            }
            perimeters.push_back(
                {{"scene", clean_text(p.scene)},
                 {"date", format_date(p.datetime)},
                 {"origin", clean_text(p.origin)},
                 {"colour", date_colour(i, report.perimeters.size())},
                 {"ring", ring_json(frame, p.geometry)},
                 {"lines", Json::array({"Area " + area_text(p.area_m2) + " (" +
                                            interval_text(p.area_m2, p.area_ci, true) + ")",
                                        "Length " + length_text(p.length_m) + " (" +
                                            interval_text(p.length_m, p.length_ci, false) + ")",
                                        percent_text(p.supported_fraction) + " of the line seen, " +
                                            clean_text(p.origin)})}});
        }
        if (focus.x1 > focus.x0) {
            const double pad = 0.06 * std::max(focus.x1 - focus.x0, focus.y1 - focus.y0);
            out["focus"] =
                Json::array({focus.x0 - pad, focus.y0 - pad, focus.x1 + pad, focus.y1 + pad});
        }
        for (const ReportStructure& s : report.structures) {
            Json lines = Json::array();
            lines.push_back(
                "First seen " + date_text(s.first_seen) +
                (s.last_not_seen ? ", not yet on " + format_date(*s.last_not_seen) : ""));
            if (s.first_not_seen) lines.push_back("Gone on " + format_date(*s.first_not_seen));
            if (s.area_m2 > 0)
                lines.push_back(
                    area_text(s.area_m2) +
                    (s.height_m ? fmt::format(", about {:.1f} m high", *s.height_m) : ""));
            lines.push_back("Probability " + probability_text(s.confidence));
            lines.push_back(position_text(s.position));
            structures.push_back({{"id", clean_text(s.id)},
                                  {"kind", clean_text(s.kind)},
                                  {"at", point_json(frame, s.position)},
                                  {"ring", ring_json(frame, s.footprint)},
                                  {"lines", lines}});
        }
        for (const ReportChange& c : report.changes)
            changes.push_back(
                {{"kind", clean_text(c.kind)},
                 {"state", clean_text(c.state)},
                 {"title", capitalised(words(clean_text(c.kind))) + " " + clean_text(c.id)},
                 {"at", point_json(frame, c.position)},
                 {"ring", ring_json(frame, c.footprint)},
                 {"lines", Json::array({when_text(c), change_area(c),
                                        clean_text(c.state) + ", probability " +
                                            probability_text(c.confidence),
                                        position_text(c.position)})}});
        for (const NotObservable& h : report.not_observable)
            if (h.geometry.size() >= 3)
                hidden.push_back({{"ring", ring_json(frame, h.geometry)},
                                  {"lines", Json::array({clean_text(h.reason),
                                                         clean_text(joined(h.scenes, ", "))})}});
    }
    out["perimeters"] = perimeters;
    out["structures"] = structures;
    out["changes"] = changes;
    out["hidden"] = hidden;
    Json area = Json::array(), length = Json::array(), posts = Json::array(),
         buildings = Json::array();
    const auto add = [](Json& list, Time time, double y, double low, double high, bool interval) {
        if (!std::isfinite(y)) return;
        list.push_back({{"x", std::round(decimal_year(time) * 1e4) / 1e4},
                        {"date", format_date(time)},
                        {"y", std::round(y * 1e4) / 1e4},
                        {"low", interval ? Json(std::round(low * 1e4) / 1e4) : Json(nullptr)},
                        {"high", interval ? Json(std::round(high * 1e4) / 1e4) : Json(nullptr)}});
    };
    for (const ReportPerimeter& p : report.perimeters) {
        add(area, p.datetime, p.area_m2 / 1e6, p.area_ci.low / 1e6, p.area_ci.high / 1e6,
            p.area_ci.high > 0);
        add(length, p.datetime, p.length_m / 1e3, p.length_ci.low / 1e3, p.length_ci.high / 1e3,
            p.length_ci.high > 0);
    }
    for (const ReportScene* scene : used) {
        if (has_kind(report, "guard_post")) {
            const CountEstimate e = count_at(report, "guard_post", *scene).estimate;
            add(posts, *scene->datetime, e.expected, e.low, e.high, true);
        }
        if (has_kind(report, "building")) {
            const CountEstimate e = count_at(report, "building", *scene).estimate;
            add(buildings, *scene->datetime, e.expected, e.low, e.high, true);
        }
    }
    out["series"] = {
        {"area", area}, {"length", length}, {"posts", posts}, {"buildings", buildings}};
    return out;
}

// ---------------------------------------------------------------- annotated pictures

std::string data_uri(const ImageChip& chip) {
    return "data:image/jpeg;base64," +
           base64({reinterpret_cast<const char*>(chip.jpeg.data()), chip.jpeg.size()});
}

std::string points_text(const Frame& frame, const Ring& lonlat, const Rectangle& r, double scale) {
    std::string out;
    for (const Point p : lonlat) {
        const Point m = frame.metres(p);
        if (!std::isfinite(m.x) || !std::isfinite(m.y)) return "";
        out += fmt::format("{}{:.1f},{:.1f}", out.empty() ? "" : " ", (m.x - r.x0) * scale,
                           (m.y - r.y0) * scale);
    }
    return out;
}

// The picture with the change's outline, the line of that date, a scale bar and a north arrow.
std::string annotated(const Report& report, const Frame& frame, const ImageChip& chip,
                      const ReportChange& change, bool before) {
    const std::string image =
        fmt::format("<img src=\"{}\" alt=\"{}\" width=\"{}\" height=\"{}\">", data_uri(chip),
                    html_escape(chip.caption), chip.width, chip.height);
    if (!frame.usable()) return "<div class=\"chipbox\">" + image + "</div>";
    const Rectangle r = rectangle_of(frame, chip);
    const double span = r.x1 - r.x0;
    if (!(span > 0)) return "<div class=\"chipbox\">" + image + "</div>";
    const double scale = 400 / span, width = 400, height = (r.y1 - r.y0) * scale;  // drawing units
    std::string marks;
    if (const ReportPerimeter* line = perimeter_of(report, chip.scene_id);
        line != nullptr && line->geometry.size() >= 3) {
        const std::string points = points_text(frame, line->geometry, r, scale);
        if (!points.empty())
            marks += fmt::format("<polygon class=\"perimeter\" points=\"{}\"/>", points);
    }
    if (change.footprint.size() >= 3) {
        const std::string points = points_text(frame, change.footprint, r, scale);
        for (const char* look : {"casing", "mark"})
            marks += fmt::format("<polygon class=\"{}{}\" points=\"{}\"/>", look,
                                 before ? " dashed" : "", points);
    } else {
        const Point m = frame.metres(change.position);
        if (std::isfinite(m.x) && std::isfinite(m.y))
            for (const char* look : {"casing", "mark"})
                marks +=
                    fmt::format("<circle class=\"{}{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\"/>",
                                look, before ? " dashed" : "", (m.x - r.x0) * scale,
                                (m.y - r.y0) * scale, std::max(14.0, 6 * scale));
    }
    // A round length of about a quarter of the width.
    const double wanted = span / 4, power = std::pow(10, std::floor(std::log10(wanted)));
    const double length = (wanted / power >= 5 ? 5 : wanted / power >= 2 ? 2 : 1) * power;
    marks += fmt::format(
        "<rect class=\"bar\" x=\"12\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"5\"/>"
        "<text class=\"chip-text\" x=\"12\" y=\"{:.1f}\" font-size=\"15\">{}</text>"
        "<g transform=\"translate({:.1f} 30) rotate({:.2f})\"><path class=\"bar\" d=\"M0 -16 L7 12 "
        "L0 6 L-7 12 Z\"/></g>"
        "<text class=\"chip-text\" x=\"{:.1f}\" y=\"60\" text-anchor=\"middle\" "
        "font-size=\"14\">N</text>",
        height - 15, length * scale, height - 21,
        length >= 1000 ? fmt::format("{:g} km", length / 1000) : fmt::format("{:g} m", length),
        width - 18, frame.north_deg, width - 18);
    return fmt::format(
        "<div class=\"chipbox\">{}<svg viewBox=\"0 0 400 {:.1f}\" preserveAspectRatio=\"none\" "
        "aria-hidden=\"true\">{}</svg></div>",
        image, height, marks);
}

// ---------------------------------------------------------------- sections

Fields field(const char* label, const std::string& value) {
    Fields out;
    out.set("label", label);
    out.set("value", value);
    return out;
}

Fields facts(const Report& report, const Frame& frame) {
    Fields list{Fields::type::list};
    const auto add = [&](const char* label, const std::string& value) {
        if (!value.empty()) list.push_back(field(label, value));
    };
    if (report.site) {
        const Site& site = *report.site;
        add("Site", site.id);
        add("Kind", words(site.type));
        add("Province", site.province);
        add("Status", site.status);
        add("Also called", joined(site.names.aliases, ", "));
        if (site.area_lonlat.size() >= 3) {
            const Point c = centroid(site.area_lonlat);
            add("Coordinates",
                fmt::format("{:.6f}° {}, {:.6f}° {}", std::abs(c.y), c.y >= 0 ? "N" : "S",
                            std::abs(c.x), c.x >= 0 ? "E" : "W"));
        } else if (site.centre) {
            add("Coordinates",
                fmt::format("{:.6f}° {}, {:.6f}° {}", std::abs(site.centre->y),
                            site.centre->y >= 0 ? "N" : "S", std::abs(site.centre->x),
                            site.centre->x >= 0 ? "E" : "W"));
        }
    }
    if (!report.perimeters.empty() && frame.usable()) {
        std::vector<cv::Point2f> points;
        for (const Point m : frame.metres(report.perimeters.back().geometry))
            if (std::isfinite(m.x) && std::isfinite(m.y))
                points.emplace_back(static_cast<float>(m.x), static_cast<float>(m.y));
        if (points.size() >= 3) {
            const cv::RotatedRect box = cv::minAreaRect(points);
            const double a = std::max(box.size.width, box.size.height),
                         b = std::min(box.size.width, box.size.height);
            add("Size of the facility",
                area_text(report.perimeters.back().area_m2) +
                    fmt::format(", {} × {}", length_text(a), length_text(b)));
        }
    }
    const auto used = used_scenes(report);
    if (!used.empty()) {
        add("Images",
            fmt::format("{} used, {} left out", used.size(), report.scenes.size() - used.size()));
        add("Dates of imagery", used.size() == 1
                                    ? date_text(*used.front())
                                    : date_text(*used.front()) + " to " + date_text(*used.back()));
        std::vector<std::string> sensors;
        double finest = 1e30, coarsest = 0, sun_low = 1e30, sun_high = -1e30, view = -1, rmse = 0;
        for (const ReportScene* scene : used) {
            if (!scene->sensor.empty() &&
                std::find(sensors.begin(), sensors.end(), scene->sensor) == sensors.end())
                sensors.push_back(scene->sensor);
            if (scene->gsd_m > 0)
                finest = std::min(finest, scene->gsd_m),
                coarsest = std::max(coarsest, scene->gsd_m);
            if (scene->sun_elevation)
                sun_low = std::min(sun_low, *scene->sun_elevation),
                sun_high = std::max(sun_high, *scene->sun_elevation);
            if (scene->off_nadir) view = std::max(view, *scene->off_nadir);
            if (scene->registration && scene->role != "reference")
                rmse = std::max(rmse, scene->registration->rmse_m);
        }
        add("Sensors", joined(sensors, ", "));
        if (coarsest > 0)
            add("Ground sample distance", finest == coarsest
                                              ? fmt::format("{:.2f} m", finest)
                                              : fmt::format("{:.2f}–{:.2f} m", finest, coarsest));
        if (sun_high > -1e29)
            add("Sun elevation", fmt::format("{:.0f}–{:.0f}°", sun_low, sun_high));
        if (view >= 0) add("Off-nadir angle", fmt::format("up to {:.0f}°", view));
        if (rmse > 0) add("Registration residual", fmt::format("up to {:.2f} m (expected)", rmse));
    }
    return list;
}

Fields cards(const Report& report) {
    Fields list{Fields::type::list};
    const auto add = [&](const char* label, const std::string& value, const std::string& note) {
        Fields card = field(label, value);
        card.set("note", note);
        list.push_back(card);
    };
    if (report.perimeters.size() >= 2) {
        const ReportPerimeter &a = report.perimeters.front(), &b = report.perimeters.back();
        const std::string dates = format_date(a.datetime) + " → " + format_date(b.datetime);
        add("Enclosed area", area_pair(a.area_m2, b.area_m2), dates);
        add("Length of the line", length_pair(a.length_m, b.length_m), dates);
    }
    const auto used = used_scenes(report);
    if (used.size() >= 2)
        for (const auto& [kind, label] :
             {std::pair{"guard_post", "Guard posts"}, {"building", "Buildings"}}) {
            if (!has_kind(report, kind)) continue;
            const SceneCount a = count_at(report, kind, *used.front()),
                             b = count_at(report, kind, *used.back());
            add(label, fmt::format("{:.0f} → {:.0f}", a.estimate.expected, b.estimate.expected),
                fmt::format("90 % interval {}–{} → {}–{}", a.estimate.low, a.estimate.high,
                            b.estimate.low, b.estimate.high));
        }
    return list;
}

Fields scene_rows(const Report& report) {
    Fields list{Fields::type::list};
    for (const ReportScene& scene : report.scenes) {
        Fields row;
        const bool left_out = scene.role == "left_out" || !scene.datetime;
        row.set("date", date_text(scene));
        row.set("id", scene.id);
        row.set("sensor", scene.sensor);
        row.set("gsd", scene.gsd_m > 0 ? fmt::format("{:.2f} m, {} band{}", scene.gsd_m,
                                                     scene.bands, scene.bands == 1 ? "" : "s")
                                       : "");
        row.set("sun",
                scene.sun_elevation
                    ? fmt::format(
                          "sun {:.0f}°{}", *scene.sun_elevation,
                          scene.sun_azimuth ? fmt::format(", az. {:.0f}°", *scene.sun_azimuth) : "")
                    : "");
        row.set("view", scene.off_nadir ? fmt::format("off nadir {:.0f}°", *scene.off_nadir)
                                        : "view not known");
        row.set("visible",
                left_out && scene.usable_fraction == 0 ? "–" : percent_text(scene.usable_fraction));
        row.set("left_out", left_out ? Fields::type::bool_true : Fields::type::bool_false);
        row.set("reason", scene.reason);
        if (!left_out) {
            const bool reference = scene.role == "reference";
            const std::string status =
                scene.registration ? known_word(scene.registration->status) : "unknown";
            row.set("status", reference ? "reference" : status);
            if (scene.registration && !reference)
                row.set("registration",
                        fmt::format("± {:.2f} m, {} tie points", scene.registration->rmse_m,
                                    scene.registration->tie_points));
            else
                row.set("registration", reference ? "all others fit to it" : "");
            if (const ReportPerimeter* p = perimeter_of(report, scene.id)) {
                row.set("area", area_text(p->area_m2));
                row.set("area_ci", interval_text(p->area_m2, p->area_ci, true));
                row.set("length", length_text(p->length_m));
                row.set("length_ci", interval_text(p->length_m, p->length_ci, false));
                row.set("seen", percent_text(p->supported_fraction));
            } else {
                for (const char* key : {"area", "length", "seen"}) row.set(key, "–");
                row.set("area_ci", "");
                row.set("length_ci", "");
            }
            for (const auto& [kind, key] :
                 {std::pair{"guard_post", "posts"}, {"building", "buildings"}}) {
                const SceneCount count = count_at(report, kind, scene);
                row.set(key, has_kind(report, kind) ? count_text(count) : "–");
                row.set(std::string(key) + "_note",
                        has_kind(report, kind) ? count_note(count) : "");
            }
        }
        std::vector<std::string> remarks = scene.notes;
        if (!left_out && !scene.reason.empty()) remarks.insert(remarks.begin(), scene.reason);
        const std::string remark = joined(remarks, "; ");
        row.set("remark", remark.empty() ? Fields(Fields::type::bool_false) : Fields(remark));
        list.push_back(row);
    }
    return list;
}

Fields pair_rows(const Report& report, const Frame& frame, std::span<const ImageChip> chips) {
    Fields list{Fields::type::list};
    for (const std::size_t i : changes_to_show(report, static_cast<int>(report.changes.size()))) {
        const ReportChange& change = report.changes[i];
        const ScenePair pair = scenes_of(report, change);
        const auto find = [&](const std::string& scene) -> const ImageChip* {
            for (const ImageChip& chip : chips)
                if (!scene.empty() && chip.change_id == change.id && chip.scene_id == scene &&
                    !chip.jpeg.empty())
                    return &chip;
            return nullptr;
        };
        const ImageChip *before = find(pair.before), *after = find(pair.after);
        if (before == nullptr && after == nullptr) continue;
        Fields row;
        row.set("id", change.id);
        row.set("kind", capitalised(words(change.kind)));
        row.set("state", known_word(change.state));
        row.set("when", with_whole_dates(when_text(change)));
        const std::string area = change_area(change);
        row.set("area", area.empty() ? Fields(Fields::type::bool_false) : Fields(area));
        row.set("position", position_text(change.position));
        row.set("confidence", probability_text(change.confidence));
        row.set("wide", change.kind.starts_with("perimeter_") ? Fields::type::bool_true
                                                              : Fields::type::bool_false);
        for (const auto& [key, chip] : {std::pair{"before", before}, {"after", after}}) {
            if (chip == nullptr) {
                row.set(key, Fields::type::bool_false);
                continue;
            }
            const ReportScene* scene = scene_of(report, chip->scene_id);
            Fields picture;
            picture.set("picture", annotated(report, frame, *chip, change, chip == before));
            picture.set("date", scene != nullptr ? date_text(*scene) : "");
            picture.set("sensor", scene != nullptr ? scene->sensor : "");
            row.set(key, picture);
        }
        list.push_back(row);
    }
    return list;
}

Fields strings(const std::vector<std::string>& lines) {
    Fields list{Fields::type::list};
    for (const auto& line : lines) list.push_back(Fields(line));
    return list;
}

// Gaps that a left-out scene leaves in the dating.
std::vector<std::string> gaps(const Report& report) {
    std::vector<std::string> out;
    const auto used = used_scenes(report);
    for (std::size_t i = 0; i + 1 < used.size(); ++i) {
        int lost = 0;
        for (const ReportScene& scene : report.scenes)
            if (scene.role == "left_out" && scene.datetime &&
                *scene.datetime > *used[i]->datetime && *scene.datetime < *used[i + 1]->datetime)
                ++lost;
        if (lost > 0)
            out.push_back(
                fmt::format("No usable image between {} and {} ({} left out): changes of that time "
                            "are dated no closer.",
                            date_text(*used[i]), date_text(*used[i + 1]), lost));
    }
    return out;
}

std::vector<std::string> caveats(const Report& report) {
    std::vector<std::string> out;
    if (report.simulated)
        out.push_back("The images are simulated. Nothing here is evidence about the real place.");
    double coarsest = 0;
    for (const ReportScene* scene : used_scenes(report)) {
        coarsest = std::max(coarsest, scene->gsd_m);
        if (scene->registration && scene->registration->status == "warn")
            out.push_back(
                fmt::format("The image of {} is registered with a warning (± {:.2f} m): small "
                            "differences around its edges may be false.",
                            date_text(*scene), scene->registration->rmse_m));
        if (scene->usable_fraction < 0.7)
            out.push_back(
                fmt::format("Only {} of the area can be seen in the image of {}: it can support a "
                            "change, not start one.",
                            percent_text(scene->usable_fraction), date_text(*scene)));
        if (scene->datetime_end)
            out.push_back("The image of " + date_text(*scene) +
                          " has no exact date; its interval is given.");
    }
    for (const ReportPerimeter& p : report.perimeters) {
        if (p.supported_fraction < 0.7)
            out.push_back(
                fmt::format("On {} only {} of the perimeter could be seen; the rest is bridged.",
                            format_date(p.datetime), percent_text(p.supported_fraction)));
        if (p.origin == "given")
            out.push_back("The perimeter of " + format_date(p.datetime) +
                          " was given, not traced.");
    }
    if (coarsest > 1.2)
        out.push_back(fmt::format(
            "At {:.1f} m a pixel guard posts cannot be seen, and small buildings only in part.",
            coarsest));
    out.push_back(
        "Area and length of a perimeter are different things: an area that grows by 72 % may go "
        "with a line that grows by 37 %.");
    out.push_back(
        "What a place is used for cannot be told from any single feature of an image; this report "
        "says what was built and when.");
    out.push_back(
        "Not seen does not mean absent: what cloud, snow, shadow or resolution hid is listed "
        "above.");
    return out;
}

std::string leaflet_style() {
    std::string css(embedded_file("leaflet.css"));
    const auto replace = [&](const std::string& what, const std::string& with) {
        for (std::size_t at = css.find(what); at != std::string::npos;
             at = css.find(what, at + with.size()))
            css.replace(at, what.size(), with);
    };
    replace("url(images/layers.png)",
            "url(data:image/png;base64," + base64(embedded_file("layers.png")) + ")");
    replace("url(images/layers-2x.png)",
            "url(data:image/png;base64," + base64(embedded_file("layers-2x.png")) + ")");
    replace("url(images/marker-icon.png)", "none");
    replace("/*# sourceMappingURL=leaflet.css.map */", "");
    return css;
}

// A built-in script as it stands in the page. Browsers hash it after reading CR LF as LF.
std::string script_text(const char* name) {
    std::string text(embedded_file(name));
    std::erase(text, '\r');
    if (const auto at = text.rfind("//# sourceMappingURL="); at != std::string::npos)
        text.erase(at);
    // Leaflet's link to its makers is never shown here; without it nothing in the page leads away.
    const std::string away = "href=\"https://leafletjs.com\" ";
    if (const auto at = text.find(away); at != std::string::npos) text.erase(at, away.size());
    if (text.find("</script") != std::string::npos)
        throw std::logic_error(std::string(name) + " closes its own script element");
    return text;
}

Fields truth(bool value) {
    return Fields(value ? Fields::type::bool_true : Fields::type::bool_false);
}

}  // namespace

CountEstimate count_of(std::span<const double> probabilities) {
    CountEstimate estimate;
    std::vector<double> distribution{1.0};
    for (const double p : probabilities) {
        estimate.expected += p;
        distribution.push_back(0);
        for (std::size_t k = distribution.size() - 1; k > 0; --k)
            distribution[k] = distribution[k] * (1 - p) + distribution[k - 1] * p;
        distribution[0] *= 1 - p;
    }
    double below = 0;
    bool low_set = false;
    for (std::size_t k = 0; k < distribution.size(); ++k) {
        below += distribution[k];
        if (!low_set && below > 0.05) estimate.low = static_cast<int>(k), low_set = true;
        if (below >= 0.95 - 1e-12) {
            estimate.high = static_cast<int>(k);
            break;
        }
        estimate.high = static_cast<int>(k);
    }
    return estimate;
}

std::string report_html(const Report& report, std::span<const ImageChip> chips,
                        const std::string& parameters_ini) {
    const Frame frame = frame_of(report);
    std::vector<const ImageChip*> overviews;
    for (const ImageChip& chip : chips)
        if (chip.change_id.empty() && !chip.jpeg.empty()) overviews.push_back(&chip);
    const auto time_of = [&](const ImageChip* chip) {
        const ReportScene* scene = scene_of(report, chip->scene_id);
        return scene != nullptr && scene->datetime ? *scene->datetime : Time{};
    };
    std::stable_sort(overviews.begin(), overviews.end(),
                     [&](auto* a, auto* b) { return time_of(a) < time_of(b); });

    Fields page;
    const std::string software =
        report.software.name + " " + report.software.version +
        (report.software.commit.empty() ? "" : " (" + report.software.commit + ")");
    const auto used = used_scenes(report);
    page.set("software", software);
    page.set("title", report.site
                          ? (report.site->name.empty() ? report.site->id : report.site->name)
                          : "Two images compared");
    page.set("simulated", truth(report.simulated));
    const std::string period = used.empty() ? ""
                               : used.size() == 1
                                   ? date_text(*used.front())
                                   : date_text(*used.front()) + " to " + date_text(*used.back());
    page.set("period", period.empty() ? truth(false) : Fields(period));
    if (report.site) {
        Fields names;
        const SiteNames& n = report.site->names;
        for (const auto& [key, value] :
             {std::pair{"ko", n.ko}, {"hanja", n.hanja}, {"rr", n.rr}, {"mr", n.mr}})
            names.set(key, value.empty() ? truth(false) : Fields(value));
        page.set("names", names);
    } else {
        page.set("names", truth(false));
    }
    page.set("facts", facts(report, frame));
    Fields findings{Fields::type::list};
    for (const ReportFinding& finding : report.findings) {
        Fields row;
        row.set("statement", with_whole_dates(finding.statement));
        row.set("likelihood",
                finding.likelihood.empty() ? truth(false) : Fields(finding.likelihood));
        row.set("confidence", known_word(finding.confidence));
        const std::string reasons = joined(finding.confidence_reasons, "; ");
        row.set("reasons", reasons.empty() ? truth(false) : Fields(reasons));
        std::vector<std::string> evidence(
            finding.evidence.begin(),
            finding.evidence.begin() +
                static_cast<std::ptrdiff_t>(std::min<std::size_t>(12, finding.evidence.size())));
        if (finding.evidence.size() > 12)
            evidence.push_back(fmt::format("and {} more", finding.evidence.size() - 12));
        row.set("evidence", evidence.empty() ? truth(false) : Fields(joined(evidence, ", ")));
        findings.push_back(row);
    }
    page.set("findings", findings);
    page.set("no_findings", truth(report.findings.empty()));
    const Fields card_list = cards(report);
    page.set("cards", card_list);
    page.set("has_cards", truth(card_list.is_non_empty_list()));
    page.set("has_map", truth(frame.usable()));
    page.set("has_swipe", truth(frame.usable() && overviews.size() >= 2));
    page.set("has_overviews", truth(!overviews.empty()));
    Fields overview_list{Fields::type::list};
    for (std::size_t i = 0; i < overviews.size(); ++i) {
        const ReportScene* scene = scene_of(report, overviews[i]->scene_id);
        Fields row;
        row.set("index", std::to_string(i));
        row.set("source", data_uri(*overviews[i]));
        row.set("alt", overviews[i]->caption.empty() ? "Satellite image" : overviews[i]->caption);
        row.set("width", std::to_string(overviews[i]->width));
        row.set("height", std::to_string(overviews[i]->height));
        row.set("date", scene != nullptr ? date_text(*scene) : "");
        row.set("sensor", scene != nullptr ? scene->sensor : overviews[i]->scene_id);
        overview_list.push_back(row);
    }
    page.set("overviews", overview_list);
    const Fields pairs = pair_rows(report, frame, chips);
    page.set("pairs", pairs);
    page.set("has_pairs", truth(pairs.is_non_empty_list()));
    page.set("pairs_note",
             pairs.list_value().size() < changes_to_show(report, 1 << 30).size()
                 ? fmt::format("The {} strongest changes are shown; all are in the table below.",
                               pairs.list_value().size())
                 : std::string("Pink: the perimeter of that date."));
    page.set("scenes", scene_rows(report));
    Fields change_list{Fields::type::list};
    for (const ReportChange& change : report.changes) {
        Fields row;
        row.set("id", change.id);
        row.set("kind", words(change.kind));
        row.set("state", known_word(change.state));
        row.set("before", date_text(change.last_not_seen));
        row.set("after", date_text(change.first_seen));
        row.set("position", position_text(change.position));
        row.set("area", change_area(change));
        row.set("confidence", probability_text(change.confidence));
        change_list.push_back(row);
    }
    page.set("changes", change_list);
    page.set("has_changes", truth(!report.changes.empty()));
    page.set("no_changes", truth(report.changes.empty()));
    Fields hidden{Fields::type::list};
    for (const NotObservable& item : report.not_observable) {
        Fields row;
        row.set("where", item.geometry.size() >= 3
                             ? area_text(measure_ring(item.geometry).area_m2) + " around " +
                                   position_text(centroid(item.geometry))
                             : "The area");
        row.set("reason", item.reason);
        row.set("scenes", joined(item.scenes, ", "));
        hidden.push_back(row);
    }
    const auto gap_lines = gaps(report);
    page.set("hidden", hidden);
    page.set("unseen", strings(gap_lines));
    page.set("nothing_hidden", truth(report.not_observable.empty() && gap_lines.empty()));
    Fields left_out{Fields::type::list};
    for (const ReportScene& scene : report.scenes) {
        if (scene.role != "left_out") continue;
        Fields row;
        row.set("date", date_text(scene));
        row.set("id", scene.id);
        row.set("reason", scene.reason);
        left_out.push_back(row);
    }
    page.set("left_out_scenes", left_out);
    page.set("has_left_out", truth(left_out.is_non_empty_list()));
    page.set("caveats", strings(caveats(report)));
    page.set("grid", fmt::format("{}, {:.2f} m, {} × {} pixels", clean_text(report.grid.crs),
                                 report.grid.gsd_m, report.grid.width, report.grid.height));
    Fields structures{Fields::type::list};
    for (const ReportStructure& s : report.structures) {
        Fields row;
        row.set("id", s.id);
        row.set("kind", words(s.kind));
        row.set("position", position_text(s.position));
        row.set("area", s.area_m2 > 0 ? area_text(s.area_m2) : "");
        row.set("height", s.height_m ? fmt::format("{:.1f} m{}", *s.height_m,
                                                   s.height_ci ? fmt::format(" ({:.1f}–{:.1f})",
                                                                             s.height_ci->low,
                                                                             s.height_ci->high)
                                                               : "")
                                     : "");
        row.set("first", date_text(s.first_seen));
        row.set("last", date_text(s.last_seen));
        row.set("confidence", probability_text(s.confidence));
        structures.push_back(row);
    }
    page.set("structures", structures);
    page.set("structure_count", std::to_string(report.structures.size()));
    Fields inputs{Fields::type::list};
    for (const ReportScene& scene : report.scenes) {
        Fields row;
        row.set("source", scene.source);
        row.set("sha256", scene.sha256.empty() ? "not read" : scene.sha256);
        inputs.push_back(row);
    }
    page.set("inputs", inputs);
    page.set("parameters", parameters_ini);
    page.set("has_sources", truth(report.site && !report.site->sources.empty()));
    page.set("sources", strings(report.site ? report.site->sources : std::vector<std::string>{}));

    const std::string style = leaflet_style() + std::string(embedded_file("report.css"));
    const std::string leaflet = script_text("leaflet.min.js"),
                      chartjs = script_text("chart.min.js"), script = script_text("report.js");
    page.set("style", style);
    page.set("leaflet", leaflet);
    page.set("chartjs", chartjs);
    page.set("script", script);
    page.set("data", json_for_script(script_data(report, frame, overviews)
                                         .dump(-1, ' ', false, Json::error_handler_t::replace)));
    page.set("csp",
             fmt::format("default-src 'none'; img-src data:; style-src '{}'; script-src '{}' '{}' "
                         "'{}'; base-uri 'none'; form-action 'none'",
                         csp_hash(style), csp_hash(leaflet), csp_hash(chartjs), csp_hash(script)));

    kainjow::mustache::mustache page_template{std::string(embedded_file("report.html.mustache"))};
    if (!page_template.is_valid())
        throw std::logic_error("report.html.mustache: " + page_template.error_message());
    page_template.set_custom_escape([](const std::string& text) { return html_escape(text); });
    return page_template.render(page);
}

}  // namespace fenceline
