#include <fmt/format.h>

#include <cmath>

#include "output/escape.h"
#include "output/exports.h"
#include "output/staged_output.h"

namespace fenceline {
namespace {

std::string number(double value, int decimals) {
    return std::isfinite(value) ? fmt::format("{:.{}f}", value, decimals) : "";
}
std::string number(const std::optional<double>& value, int decimals) {
    return value ? number(*value, decimals) : "";
}
std::string time(const std::optional<Time>& value) { return value ? format_time(*value) : ""; }

// RFC 4180: comma, CR LF. Texts must have passed csv_text.
std::string row(const std::vector<std::string>& cells) {
    std::string out;
    for (std::size_t i = 0; i < cells.size(); ++i) out += (i == 0 ? "" : ",") + cells[i];
    return out + "\r\n";
}

std::optional<Point> place_of(const Site& site) {
    if (site.area_lonlat.size() >= 3) return centroid(site.area_lonlat);
    return site.centre;
}

std::string gazetteer(const Report& report) {
    std::string out = row({"id", "name", "name_ko", "kind", "latitude", "longitude", "area_m2",
                           "height_m", "first_seen", "last_seen", "probability", "simulated"});
    const std::string simulated = report.simulated ? "true" : "false";
    if (report.site) {
        const auto at = place_of(*report.site);
        out += row({csv_text(report.site->id), csv_text(report.site->name),
                    csv_text(report.site->names.ko), csv_text(report.site->type),
                    at ? number(at->y, 6) : "", at ? number(at->x, 6) : "",
                    report.perimeters.empty() ? "" : number(report.perimeters.back().area_m2, 0),
                    "", "", "", "", simulated});
    }
    for (const ReportStructure& s : report.structures)
        out += row({csv_text(s.id), "", "", csv_text(s.kind), number(s.position.y, 7),
                    number(s.position.x, 7), s.area_m2 > 0 ? number(s.area_m2, 1) : "",
                    number(s.height_m, 1), time(s.first_seen), time(s.last_seen),
                    number(s.confidence, 4), simulated});
    return out;
}

}  // namespace

void export_csv(const Report& report, const std::string& folder) {
    write_file(folder + "/gazetteer.csv", gazetteer(report));
    std::string scenes = row({"id", "datetime", "source", "sha256", "sensor", "gsd_m",
                              "sun_azimuth", "sun_elevation", "off_nadir", "usable_fraction",
                              "role", "reason", "rmse_m", "ce90_m", "registration"});
    for (const ReportScene& s : report.scenes)
        scenes += row({csv_text(s.id), time(s.datetime), csv_text(s.source), csv_text(s.sha256),
                       csv_text(s.sensor), s.gsd_m > 0 ? number(s.gsd_m, 3) : "",
                       number(s.sun_azimuth, 2), number(s.sun_elevation, 2), number(s.off_nadir, 2),
                       number(s.usable_fraction, 4), csv_text(s.role), csv_text(s.reason),
                       s.registration ? number(s.registration->rmse_m, 3) : "",
                       s.registration ? number(s.registration->ce90_m, 3) : "",
                       s.registration ? csv_text(s.registration->status) : ""});
    write_file(folder + "/scenes.csv", scenes);
    std::string perimeters =
        row({"scene", "datetime", "area_m2", "area_low_m2", "area_high_m2", "length_m",
             "length_low_m", "length_high_m", "supported_fraction", "origin"});
    for (const ReportPerimeter& p : report.perimeters)
        perimeters +=
            row({csv_text(p.scene), format_time(p.datetime), number(p.area_m2, 1),
                 number(p.area_ci.low, 1), number(p.area_ci.high, 1), number(p.length_m, 1),
                 number(p.length_ci.low, 1), number(p.length_ci.high, 1),
                 number(p.supported_fraction, 4), csv_text(p.origin)});
    write_file(folder + "/perimeters.csv", perimeters);
    std::string changes = row({"id", "kind", "state", "probability", "latitude", "longitude",
                               "area_m2", "last_not_seen", "first_seen", "structure"});
    for (const ReportChange& c : report.changes)
        changes += row({csv_text(c.id), csv_text(c.kind), csv_text(c.state),
                        number(c.confidence, 4), number(c.position.y, 7), number(c.position.x, 7),
                        c.area_m2 > 0 ? number(c.area_m2, 1) : "", time(c.last_not_seen),
                        time(c.first_seen), csv_text(c.structure.value_or(""))});
    write_file(folder + "/changes.csv", changes);
    std::string findings = row({"statement", "kind", "likelihood", "confidence", "evidence"});
    for (const ReportFinding& f : report.findings) {
        std::string evidence;
        for (const auto& id : f.evidence) evidence += (evidence.empty() ? "" : " ") + id;
        findings += row({csv_text(f.statement), csv_text(f.kind), csv_text(f.likelihood),
                         csv_text(f.confidence), csv_text(evidence)});
    }
    write_file(folder + "/findings.csv", findings);
}

}  // namespace fenceline
