#include "site_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "output/change_map_writer.h"
#include "output/changes_geojson.h"
#include "output/geopackage.h"
#include "output/kmz.h"
#include "output/provenance.h"
#include "output/raster_writer.h"
#include "output/report_html.h"
#include "output/report_json.h"
#include "report_parts.h"

namespace fenceline {
namespace {

std::vector<ProvenanceInput> inputs_of(const SiteRun& run,
                                       const std::vector<std::string>& catalogues) {
    std::vector<ProvenanceInput> inputs;
    const auto add = [&](const std::string& path, const std::string& name,
                         const std::string& sha256) {
        for (const ProvenanceInput& known : inputs)
            if (known.path == path) return;
        if (std::filesystem::is_regular_file(path)) inputs.push_back({path, name, sha256});
    };
    for (const SceneInfo& info : run.inputs) {
        add(info.path, info.source, info.sha256);
        for (const std::string& sidecar : info.extra_files)
            add(sidecar, std::filesystem::path(sidecar).filename().string(), "");
    }
    for (const std::string& path : catalogues)
        add(path, std::filesystem::path(path).filename().string(), "");
    return inputs;
}

/// The parameters without those that no result depends on: the page is the same whatever the number
/// of threads. All of them are in the provenance.
std::string that_decide(const std::string& ini) {
    std::istringstream lines(ini);
    std::string kept, remark;
    for (std::string line; std::getline(lines, line);) {
        const std::string key = line.substr(0, line.find(" ="));
        if (line.starts_with("# ") && key == line) {
            remark = line + '\n';
            continue;
        }
        bool idle = false;
        for (const char* name : {"jobs", "max-memory", "quiet", "verbose", "json", "dry-run", "out",
                                 "overwrite", "# out"})
            idle = idle || key == name;
        if (!idle) kept += remark + line + '\n';
        remark.clear();
    }
    return kept.substr(std::min(kept.size(), kept.find_first_not_of('\n')));
}

}  // namespace

SiteReportWriter::SiteReportWriter(StagedOutput& out, bool keep_registered, RunRecord record)
    : out_(out), keep_registered_(keep_registered), record_(std::move(record)) {}

void SiteReportWriter::keep(const Scene& scene) {
    if (keep_registered_)
        write_cog(out_.path("registered/" + scene.info.id + ".tif"), scene.raster, PixelType::f32,
                  0, scene_metadata(scene.info));
}

void SiteReportWriter::keep(const SceneInfo& before, const SceneInfo& after, const Grid& grid,
                            const ChangeMap& map) {
    const std::string days = format_date(*before.datetime) + "_" + format_date(*after.datetime);
    const int again = interval_names_[days]++;
    write_change_map(out_.path(fmt::format("change/{}{}.tif", days,
                                           again > 0 ? fmt::format("-{}", again + 1) : "")),
                     map, grid, change_map_metadata(before, after));
}

SiteObservers SiteReportWriter::observers() {
    SiteObservers observers;
    observers.registered = [this](const Scene& scene) { keep(scene); };
    observers.changed = [this](const SceneInfo& before, const SceneInfo& after, const Grid& grid,
                               const ChangeMap& map) { keep(before, after, grid, map); };
    observers.finished = [this](const SiteRun& run, const auto& scene) {
        for (std::size_t i = 0; i < run.scenes.size(); ++i)
            for (ImageChip& chip : scene_chips(run.report, run.scenes[i].id, scene(i)->raster))
                chips_.push_back(std::move(chip));
    };
    return observers;
}

void SiteReportWriter::write(const SiteRun& run) {
    const std::string json = report_json(run.report);
    validate_report(json);
    write_file(out_.path("report.json"), json);
    write_file(out_.path("report.html"),
               report_html(run.report, chips_, that_decide(record_.parameters_ini)));
    std::vector<TiePointRecord> ties;
    for (std::size_t i = 0; i < run.scenes.size(); ++i)
        for (TiePointRecord& record :
             tie_point_records(run.scenes[i].id, run.alignments[i], run.grid))
            ties.push_back(std::move(record));
    write_geopackage(out_.path("results.gpkg"), run.report, ties);
    write_file(out_.path("changes.geojson"), changes_geojson(run.report));
    write_kmz(out_.path("report.kmz"), run.report, chips_);
    const Provenance provenance{record_.arguments, record_.parameters_ini,
                                inputs_of(run, record_.files_read), record_.started, run_clock()};
    write_file(out_.path("ro-crate-metadata.json"),
               ro_crate_json(run.report, provenance, out_.folder()));
}

}  // namespace fenceline
