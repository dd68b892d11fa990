#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/error.h"
#include "core/standing_count.h"
#include "output/changes_geojson.h"
#include "output/digest.h"
#include "output/escape.h"
#include "output/exports.h"
#include "output/zip_archive.h"

// Uwazi's CSV import (FIELD_NOTES 2.3): headers of [a-z0-9_] only, every cell quoted, dates without
// times, one place a cell, several values joined by '|'.

namespace fenceline {
namespace {

struct Cell {
    std::string header, text;
    bool is_text;  // texts are guarded against formulas; numbers, dates and places must not be
};

// A thesaurus label: '|', ';' and "::" would split it.
std::string label(std::string text) {
    text = clean_text(text);
    for (const char c : {'|', ';', ':', '\n'}) std::replace(text.begin(), text.end(), c, ' ');
    return text;
}
std::string number(double value, int decimals) {
    return std::isfinite(value) ? fmt::format("{:.{}f}", value, decimals) : "";
}

const char* change_type(const std::string& kind) {
    if (kind == "perimeter_expansion") return "Perimeter::Expanded";
    if (kind == "perimeter_contraction") return "Perimeter::Contracted";
    if (kind == "new_guard_post") return "Guard post::Added";
    if (kind == "removed_guard_post") return "Guard post::Removed";
    if (kind == "new_building") return "Building::Added";
    if (kind == "removed_building") return "Building::Removed";
    if (kind == "modified_building") return "Building::Modified";
    if (kind == "new_road") return "Road::Added";
    if (kind == "ground_disturbance") return "Ground::Disturbed";
    return "Vegetation::Changed";
}

int count(const std::vector<ReportChange>& changes, const char* kind) {
    return static_cast<int>(std::count_if(changes.begin(), changes.end(),
                                          [&](const auto& c) { return c.kind == kind; }));
}

const ReportPerimeter* perimeter_at(const Report& report, Time time) {
    for (const ReportPerimeter& p : report.perimeters)
        if (p.datetime == time) return &p;
    return nullptr;
}

/// As verify and the findings count them; empty when the time has no look.
std::string posts_at(const Report& report, Time time) {
    constexpr double kLevel = 0.90;
    for (const ReportScene& scene : report.scenes)
        if (scene.role != "left_out" && scene.datetime == time)
            return std::to_string(standing_count(report, "guard_post", scene, kLevel).all.count);
    return "";
}

int rank_of(const ReportChange& change) {
    return change.state == "confirmed" || change.state == "ended" ? 3
           : change.state == "provisional"                        ? 2
                                                                  : 1;
}

/// What a row states: candidates do not stand beside surer changes, whose confidence is not theirs.
std::vector<ReportChange> stated(std::vector<ReportChange> changes) {
    const auto sure = [](const ReportChange& c) { return rank_of(c) > 1; };
    if (std::any_of(changes.begin(), changes.end(), sure))
        std::erase_if(changes, [&](const ReportChange& c) { return !sure(c); });
    return changes;
}

}  // namespace

void export_uwazi(const Report& report, const std::string& report_sha256,
                  const std::string& folder) {
    std::map<std::pair<Time, Time>, std::vector<ReportChange>> intervals;
    std::vector<const ReportScene*> used;
    for (const ReportScene& scene : report.scenes)
        if (scene.role != "left_out" && scene.datetime) used.push_back(&scene);
    std::stable_sort(used.begin(), used.end(),
                     [](auto* a, auto* b) { return *a->datetime < *b->datetime; });
    // A look that found nothing is a result too.
    for (std::size_t i = 0; i + 1 < used.size(); ++i)
        intervals[{*used[i]->datetime, *used[i + 1]->datetime}];
    for (const ReportChange& change : report.changes)
        if (change.state != "rejected" && change.last_not_seen && change.first_seen)
            intervals[{*change.last_not_seen, *change.first_seen}].push_back(change);

    if (intervals.empty())
        throw DataError("report", "it has no two dated looks: there is no change to tell of",
                        "export it as csv, stac or bagit");

    const std::string site_id = report.site ? report.site->id : "site";
    const std::string site_name =
        report.site ? (report.site->name.empty() ? report.site->id : report.site->name) : "";
    std::optional<Point> at;
    if (report.site)
        at = report.site->area_lonlat.size() >= 3
                 ? std::optional<Point>(centroid(report.site->area_lonlat))
                 : report.site->centre;
    std::vector<std::pair<std::string, std::string>> files;
    std::string csv;
    for (const auto& [interval, all_changes] : intervals) {
        const std::vector<ReportChange> changes = stated(all_changes);
        const auto& [before, after] = interval;
        const std::string from = format_date(before), to = format_date(after);
        std::set<std::string> types, sensors;
        double gsd = 0;
        int rank = 0;
        for (const ReportChange& change : changes) {
            types.insert(change_type(change.kind));
            rank = std::max(rank, rank_of(change));
        }
        const std::string confidence = rank == 3   ? "Confirmed"
                                       : rank == 2 ? "Probable"
                                       : rank == 1 ? "Possible"
                                                   : "";
        if (types.empty()) types.insert("No change observed");
        for (const ReportScene* scene : used)
            if (*scene->datetime == before || *scene->datetime == after) {
                if (!scene->sensor.empty()) sensors.insert(label(scene->sensor));
                gsd = std::max(gsd, scene->gsd_m);
            }
        const auto joined = [](const std::set<std::string>& parts) {
            std::string out;
            for (const auto& part : parts) out += (out.empty() ? "" : "|") + part;
            return out;
        };
        const std::string key = from + to + site_id + report_sha256;
        const std::string name =
            safe_file_name(site_id) + "-" + from + "-" + to + "-" + sha256_hex(key).substr(0, 8);
        const ReportPerimeter *a = perimeter_at(report, before), *b = perimeter_at(report, after);
        const auto growth = [](double x, double y) {
            return x > 0 ? number(100 * (y / x - 1), 1) : std::string();
        };
        std::string summary =
            report.simulated ? "SIMULATED IMAGES: this shows no real place. " : "";
        if (changes.empty()) summary += "No change was observed between the two images.";
        for (const ReportFinding& finding : report.findings)
            if (finding.statement.find(from) != std::string::npos &&
                finding.statement.find(to) != std::string::npos)
                summary += finding.statement + "\n";
        if (summary.empty())
            summary = fmt::format("{} changes between {} and {}.", changes.size(), from, to);
        Report part;
        part.site = report.site;
        part.simulated = report.simulated;
        part.changes = all_changes;
        files.emplace_back(name + ".geojson", changes_geojson(part));
        const std::vector<Cell> cells{
            {"title",
             (report.simulated ? "SIMULATED: " : "") + site_name + " satellite change " + from +
                 " to " + to,
             true},
            {"facility", label(site_name), true},
            {"location_geolocation", at ? fmt::format("{:.6f}|{:.6f}", at->y, at->x) : "", false},
            {"observation_period", from + ":" + to, false},
            {"before_image_date", from, false},
            {"after_image_date", to, false},
            {"change_type", joined(types), true},
            {"confidence", confidence, true},
            {"review_status", "Machine only", true},
            {"perimeter_length_before_m", a != nullptr ? number(a->length_m, 0) : "", false},
            {"perimeter_length_after_m", b != nullptr ? number(b->length_m, 0) : "", false},
            {"perimeter_change_percent",
             a != nullptr && b != nullptr ? growth(a->length_m, b->length_m) : "", false},
            {"enclosed_area_before_m2", a != nullptr ? number(a->area_m2, 0) : "", false},
            {"enclosed_area_after_m2", b != nullptr ? number(b->area_m2, 0) : "", false},
            {"area_change_percent",
             a != nullptr && b != nullptr ? growth(a->area_m2, b->area_m2) : "", false},
            {"guard_posts_before", posts_at(report, before), false},
            {"guard_posts_after", posts_at(report, after), false},
            {"guard_posts_added", std::to_string(count(changes, "new_guard_post")), false},
            {"guard_posts_removed", std::to_string(count(changes, "removed_guard_post")), false},
            {"buildings_added", std::to_string(count(changes, "new_building")), false},
            {"buildings_removed", std::to_string(count(changes, "removed_building")), false},
            {"imagery_source", joined(sensors), true},
            {"imagery_gsd_m", gsd > 0 ? number(gsd, 2) : "", false},
            {"summary", summary, true},
            {"method_and_limits",
             "Automatic comparison of registered satellite images. What cloud, snow, shadow or "
             "resolution hid is not counted as absent. "
             "Area and length are geodesic; intervals are in the report.",
             true},
            {"observation_id", name, true},
            {"run_id", report_sha256.substr(0, std::min<std::size_t>(16, report_sha256.size())),
             true},
            {"report_sha256", report_sha256, true},
            {"software_version", report.software.name + " " + report.software.version, true},
            {"attachments", name + ".geojson", true}};
        if (csv.empty()) {
            for (std::size_t i = 0; i < cells.size(); ++i)
                csv += (i == 0 ? "\"" : ",\"") + cells[i].header + "\"";
            csv += "\n";
        }
        for (std::size_t i = 0; i < cells.size(); ++i)
            csv += (i == 0 ? "" : ",") +
                   (cells[i].is_text ? csv_quoted(cells[i].text) : "\"" + cells[i].text + "\"");
        csv += "\n";
    }
    files.insert(files.begin(), {"import.csv", csv});
    write_zip(folder + "/uwazi.zip", files);
}

}  // namespace fenceline
