#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "commands/command.h"
#include "commands/heights.h"
#include "commands/installed.h"
#include "commands/site_choice.h"
#include "core/error.h"
#include "input/given_lines.h"
#include "input/scene_catalog.h"
#include "output/provenance.h"
#include "output/staged_output.h"
#include "run_site.h"
#include "site_report.h"

namespace fenceline {
namespace {

struct RunArguments {
    std::string sites;  ///< empty: the catalogue that comes with the program
    std::string site, images, out;
    std::string perimeter;  ///< lines drawn by hand; empty: none
    bool overwrite = false, keep_registered = false, alert = false;
    RunOptions options;
};

std::vector<std::string> files_read(const RunArguments& arguments, const Common& common) {
    std::vector<std::string> files{arguments.sites.empty() ? installed_file("configs/sites.geojson")
                                                           : arguments.sites};
    for (const std::string& path :
         {arguments.images, common.config, arguments.options.georef.dem_path, arguments.perimeter})
        if (!path.empty()) files.push_back(path);
    return files;
}

CommandOutput say_what_would_be_done(const RunArguments& arguments, const Common& common,
                                     const std::vector<SceneInfo>& scenes) {
    CommandOutput output;
    auto listed = nlohmann::json::array();
    for (const std::string& path : files_read(arguments, common))
        if (path != arguments.images) {
            output.text += fmt::format("read  {}\n", path);
            listed.push_back({{"path", path}});
        }
    for (const SceneInfo& scene : scenes) {
        const std::string when = scene.datetime ? format_time(*scene.datetime) : "no time";
        output.text +=
            fmt::format("read  {}  {}{}\n", when, scene.path.empty() ? scene.id : scene.path,
                        scene.left_out.empty() ? "" : "  left out: " + scene.left_out);
        listed.push_back({{"id", scene.id}, {"path", scene.path}, {"left_out", scene.left_out}});
    }
    output.text += fmt::format("write {}\n", arguments.out);
    output.json = one_line({{"dry_run", true}, {"reads", listed}, {"writes", {arguments.out}}});
    return output;
}

CommandOutput summarise(const RunArguments& arguments, const Report& report) {
    CommandOutput output;
    int used = 0, left_out = 0, confirmed = 0;
    for (const ReportScene& scene : report.scenes) ++(scene.role == "left_out" ? left_out : used);
    for (const ReportChange& change : report.changes)
        confirmed += change.state == "confirmed" ? 1 : 0;
    if (report.simulated) output.text += "Simulated images: nothing below is about a real place.\n";
    auto findings = nlohmann::json::array();
    for (const ReportFinding& finding : report.findings) {
        output.text += fmt::format("- {} ({}; confidence {})\n", finding.statement,
                                   finding.likelihood, finding.confidence);
        findings.push_back(finding.statement);
    }
    for (const ReportScene& scene : report.scenes)
        if (scene.role == "left_out")
            output.text += fmt::format("left out: {}: {}\n", scene.id, scene.reason);
    output.text += fmt::format("{}/report.html\n", arguments.out);
    output.json = one_line({{"out", arguments.out},
                            {"simulated", report.simulated},
                            {"scenes_used", used},
                            {"scenes_left_out", left_out},
                            {"perimeters", report.perimeters.size()},
                            {"structures", report.structures.size()},
                            {"changes", report.changes.size()},
                            {"changes_confirmed", confirmed},
                            {"findings", findings}});
    if (left_out > 0) output.exit_code = kSomeLeftOut;
    if (arguments.alert && confirmed > 0) output.exit_code = kNewConfirmedChange;
    return output;
}

/// All of the scenes' files, and what else is read.
std::vector<std::string> inputs(const RunArguments& arguments, const Common& common,
                                const std::vector<SceneInfo>& scenes) {
    std::vector<std::string> files = files_read(arguments, common);
    for (const SceneInfo& scene : scenes) files.push_back(scene.path);
    return files;
}

void check_reference(const std::string& id, const std::vector<SceneInfo>& scenes) {
    std::string ids;
    for (const SceneInfo& scene : scenes) {
        if (scene.id == id) return;
        if (scene.left_out.empty()) ids += (ids.empty() ? "" : ", ") + scene.id;
    }
    throw UsageError(fmt::format("--reference {}: no scene has this id; allowed: {}", id, ids));
}

CommandOutput run(const RunArguments& arguments, const Common& common, Progress& progress) {
    std::vector<std::string> faults;
    Site site;
    std::vector<GivenLine> given;
    std::vector<SceneInfo> scenes;
    check(faults, [&] { StagedOutput::check(arguments.out, arguments.overwrite); });
    check(faults, [&] { site = choose_site(arguments.sites, arguments.site); });
    check_exists(faults, "--dem", arguments.options.georef.dem_path);
    check_exists(faults, "--perimeter", arguments.perimeter);
    check_exists(faults, "--images", arguments.images, true);
    if (!faults.empty()) throw UsageError(faults);
    progress.stage("scenes", 1);
    if (!arguments.perimeter.empty()) given = read_given_lines(arguments.perimeter);
    scenes = find_scenes(arguments.images, arguments.options.georef);
    match_to_scenes(given, scenes, arguments.perimeter);
    if (!arguments.options.reference.empty()) check_reference(arguments.options.reference, scenes);
    if (arguments.overwrite)
        StagedOutput::keep_inputs(arguments.out, inputs(arguments, common, scenes));
    if (common.dry_run) return say_what_would_be_done(arguments, common, scenes);

    RunOptions options = arguments.options;
    options.given = std::move(given);
    options.max_memory_bytes = static_cast<std::size_t>(common.max_memory_mib) << 20;
    StagedOutput out(arguments.out, arguments.overwrite);
    SiteReportWriter writer(
        out, arguments.keep_registered,
        {common.arguments, common.effective_ini, run_clock(), files_read(arguments, common)});
    const SiteRun done =
        run_site(site, std::move(scenes), options, out.folder(), writer.observers(), progress);
    progress.stage("report", 1);
    writer.write(done);
    out.commit();
    return summarise(arguments, done.report);
}

}  // namespace

Command run_command() {
    const auto arguments = std::make_shared<RunArguments>();
    Command command;
    command.name = "run";
    command.usage = "fenceline run --site ID --images SRC --out DIR [OPTIONS]";
    command.summary = "a series of one site → change report (the main job)";
    command.notes =
        "SRC is a folder of images, a STAC item, collection or catalog (JSON), or a CSV with "
        "path,datetime columns.\n"
        "DIR gets report.html (for people), report.json (for programs), results.gpkg (QGIS), "
        "changes.geojson,\n"
        "report.kmz (Google Earth), change/ (a map per interval) and ro-crate-metadata.json "
        "(provenance).";
    command.declare = [arguments](OptionTable& table) {
        RunArguments& a = *arguments;
        table.text("sites", a.sites, "FILE", "the site catalogue");
        table.text("site", a.site, "ID", "which site").required = true;
        table.text("images", a.images, "SRC", "where the scenes come from").required = true;
        table.text("out", a.out, "DIR", "folder that the report is written to").required = true;
        table.text("perimeter", a.perimeter, "FILE",
                   "lines drawn or edited by hand (GeoJSON or GeoPackage, as in results.gpkg): "
                   "measured beside the traced ones, as \"given\"");
        table("overwrite", a.overwrite,
              "replace DIR when it exists; its old content stays whole until the new one is "
              "complete");
        table.text("reference", a.options.reference, "SCENE",
                   "register to this scene instead of the one that is chosen");
        table("keep-registered", a.keep_registered,
              "write registered/SCENE.tif, every scene on the common grid");
        table("alert", a.alert, "exit 10 when a change is confirmed");
        describe_heights(a.options.georef, table);
        table("allow-network", a.options.georef.allow_network, "let GDAL read over the network");
        describe(a.options, table);
    };
    command.run = [arguments](const Common& common, Progress& progress) {
        return run(*arguments, common, progress);
    };
    return command;
}

}  // namespace fenceline
