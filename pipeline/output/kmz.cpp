#include "output/kmz.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "output/escape.h"
#include "output/zip_archive.h"

namespace fenceline {
namespace {

std::string coordinates(Ring ring) {
    if (signed_area(ring) < 0) std::reverse(ring.begin() + 1, ring.end());
    std::string out;
    for (const Point p : ring) out += fmt::format("{:.7f},{:.7f},0 ", p.x, p.y);
    return out + fmt::format("{:.7f},{:.7f},0", ring.front().x, ring.front().y);
}

std::string polygon(const Ring& ring) {
    return "<Polygon><tessellate>1</tessellate><outerBoundaryIs><LinearRing><coordinates>" +
           coordinates(ring) + "</coordinates></LinearRing></outerBoundaryIs></Polygon>";
}

std::string geometry(const Ring& ring, Point at) {
    if (ring.size() >= 3) return polygon(ring);
    return fmt::format("<Point><coordinates>{:.7f},{:.7f},0</coordinates></Point>", at.x, at.y);
}

std::string span(const std::optional<Time>& begin, const std::optional<Time>& end) {
    if (!begin && !end) return "";
    return "<TimeSpan>" + (begin ? "<begin>" + format_time(*begin) + "</begin>" : "") +
           (end ? "<end>" + format_time(*end) + "</end>" : "") + "</TimeSpan>";
}

// Lines of foreign text as the HTML of a balloon, itself made harmless for XML.
std::string description(const std::vector<std::string>& lines) {
    std::string html;
    for (const auto& line : lines)
        if (!line.empty()) html += "<p>" + html_escape(line) + "</p>";
    return "<description>" + html_escape(html) + "</description>";
}

// Balloons show names as HTML, lists show them as text: angle brackets become quotation marks,
// which suit both.
std::string name_text(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '<')
            out += "\u2039";
        else if (c == '>')
            out += "\u203a";
        else
            out += c;
    }
    return html_escape(out);
}

std::string placemark(const std::string& name, const std::string& style, const std::string& time,
                      const std::vector<std::string>& lines, const std::string& shape) {
    return "<Placemark><name>" + name_text(name) + "</name><styleUrl>#" + style + "</styleUrl>" +
           time + description(lines) + shape + "</Placemark>\n";
}

// Colours in KML are aabbggrr.
std::string style(const char* id, const char* line, const char* fill, double width) {
    return fmt::format(
        "<Style "
        "id=\"{0}\"><IconStyle><color>{1}</color><scale>0.6</scale></"
        "IconStyle><LabelStyle><scale>0</scale></LabelStyle>"
        "<LineStyle><color>{1}</color><width>{3}</width></LineStyle><PolyStyle><color>{2}</color></"
        "PolyStyle></Style>\n",
        id, line, fill, width);
}

std::string words(std::string text) {
    std::replace(text.begin(), text.end(), '_', ' ');
    return text;
}

std::string folder(const std::string& name, const std::string& content, bool visible = true) {
    if (content.empty()) return "";
    return "<Folder><name>" + name + "</name><visibility>" + (visible ? "1" : "0") +
           "</visibility>\n" + content + "</Folder>\n";
}

struct Overlay {
    const ImageChip* chip;
    Time time;
    std::string file;
};
std::vector<Overlay> overlays(const Report& report, std::span<const ImageChip> chips) {
    std::vector<Overlay> out;
    for (const ImageChip& chip : chips) {
        if (!chip.change_id.empty() || chip.jpeg.empty()) continue;
        for (const ReportScene& scene : report.scenes)
            if (scene.id == chip.scene_id && scene.datetime)
                out.push_back({&chip, *scene.datetime, ""});
    }
    std::stable_sort(out.begin(), out.end(),
                     [](const Overlay& a, const Overlay& b) { return a.time < b.time; });
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i].file = fmt::format("files/{:03}_{}.jpg", i, format_date(out[i].time));
    return out;
}

}  // namespace

std::string report_kml(const Report& report, std::span<const ImageChip> chips) {
    std::string title = report.site
                            ? (report.site->name.empty() ? report.site->id : report.site->name)
                            : "Two images compared";
    if (report.simulated) title = "SIMULATED: " + title;
    const std::string note =
        report.simulated ? "Simulated images: nothing here shows the real place." : "";
    std::string images, lines, buildings, posts, changes;
    const auto shown = overlays(report, chips);
    for (std::size_t i = 0; i < shown.size(); ++i) {
        const auto& c = shown[i].chip->corners_lonlat;
        images += fmt::format(
            "<GroundOverlay><name>{}</name>{}<drawOrder>{}</drawOrder><Icon><href>{}</href></"
            "Icon><gx:LatLonQuad><coordinates>"
            "{:.7f},{:.7f} {:.7f},{:.7f} {:.7f},{:.7f} "
            "{:.7f},{:.7f}</coordinates></gx:LatLonQuad></GroundOverlay>\n",
            "Image of " + format_date(shown[i].time),
            span(shown[i].time,
                 i + 1 < shown.size() ? std::optional<Time>(shown[i + 1].time) : std::nullopt),
            i, shown[i].file, c[3].x, c[3].y, c[2].x, c[2].y, c[1].x, c[1].y, c[0].x, c[0].y);
    }
    for (std::size_t i = 0; i < report.perimeters.size(); ++i) {
        const ReportPerimeter& p = report.perimeters[i];
        if (p.geometry.size() < 3) continue;
        const std::optional<Time> end = i + 1 < report.perimeters.size()
                                            ? std::optional<Time>(report.perimeters[i + 1].datetime)
                                            : std::nullopt;
        lines += placemark(
            "Perimeter " + format_date(p.datetime), "perimeter", span(p.datetime, end),
            {fmt::format("Area {:.0f} m² (95 % interval {:.0f}–{:.0f})", p.area_m2, p.area_ci.low,
                         p.area_ci.high),
             fmt::format("Length {:.0f} m (95 % interval {:.0f}–{:.0f})", p.length_m,
                         p.length_ci.low, p.length_ci.high),
             fmt::format("{:.0f} % of the line seen, {}", 100 * p.supported_fraction, p.origin),
             note},
            polygon(p.geometry));
    }
    for (const ReportStructure& s : report.structures) {
        const bool post = s.kind == "guard_post";
        (post ? posts : buildings) +=
            placemark(words(s.kind) + " " + s.id, post ? "post" : "building",
                      span(s.first_seen, s.first_not_seen),
                      {s.first_seen ? "First seen " + format_date(*s.first_seen) : "",
                       s.last_not_seen ? "Not yet seen on " + format_date(*s.last_not_seen) : "",
                       s.area_m2 > 0 ? fmt::format("{:.0f} m²", s.area_m2) : "",
                       fmt::format("Probability {:.2f}", s.confidence), note},
                      geometry(s.footprint, s.position));
    }
    for (const ReportChange& c : report.changes) {
        if (c.state == "rejected") continue;
        changes +=
            placemark(words(c.kind) + " " + c.id, "change", span(c.last_not_seen, std::nullopt),
                      {"State: " + c.state,
                       c.last_not_seen ? "Not yet on " + format_date(*c.last_not_seen) : "",
                       c.first_seen ? "First seen " + format_date(*c.first_seen) : "",
                       c.area_m2 > 0 ? fmt::format("{:.0f} m²", c.area_m2) : "",
                       fmt::format("Probability {:.2f}", c.confidence), note},
                      geometry(c.footprint, c.position));
    }
    std::vector<std::string> summary{note};
    for (const ReportFinding& finding : report.findings) summary.push_back(finding.statement);
    return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
           "<kml xmlns=\"http://www.opengis.net/kml/2.2\" "
           "xmlns:gx=\"http://www.google.com/kml/ext/2.2\"><Document>\n<name>" +
           name_text(title) + "</name>" + description(summary) + "\n" +
           style("perimeter", "ff5c1fcc", "10cc1f5c", 2.5) +
           style("building", "ffe9b456", "30e9b456", 1.5) +
           style("post", "ff009fe6", "60009fe6", 2) + style("change", "ff00d4ff", "4000d4ff", 2) +
           folder("Images", images) + folder("Perimeters", lines) + folder("Buildings", buildings) +
           folder("Guard posts", posts) + folder("Changes", changes) + "</Document></kml>\n";
}

void write_kmz(const std::string& path, const Report& report, std::span<const ImageChip> chips) {
    std::vector<std::pair<std::string, std::string>> files{{"doc.kml", report_kml(report, chips)}};
    for (const Overlay& overlay : overlays(report, chips))
        files.emplace_back(overlay.file,
                           std::string(reinterpret_cast<const char*>(overlay.chip->jpeg.data()),
                                       overlay.chip->jpeg.size()));
    write_zip(path, files);
}

}  // namespace fenceline
