#include "compare_pair.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "commands/command.h"
#include "commands/heights.h"
#include "core/error.h"
#include "input/single_image.h"
#include "output/change_map_writer.h"
#include "output/changes_geojson.h"
#include "output/report_json.h"
#include "output/staged_output.h"
#include "report_parts.h"

namespace fenceline {
namespace {

struct CompareArguments {
    std::string before, after, out;
    bool overwrite = false;
    CompareOptions options;
};

CommandOutput compare(const CompareArguments& arguments, const Common& common, Progress& progress) {
    std::vector<std::string> faults;
    check(faults, [&] { StagedOutput::check(arguments.out, arguments.overwrite); });
    check_exists(faults, "BEFORE", arguments.before);
    check_exists(faults, "AFTER", arguments.after);
    check_exists(faults, "--dem", arguments.options.georef.dem_path);
    if (!faults.empty()) throw UsageError(faults);
    if (arguments.overwrite)
        StagedOutput::keep_inputs(
            arguments.out,
            {arguments.before, arguments.after, arguments.options.georef.dem_path, common.config});
    auto [before, after] = image_pair(arguments.before, arguments.after, arguments.options.georef);
    if (after.id == before.id) after.id += "-after";
    if (before.datetime && after.datetime && *after.datetime < *before.datetime)
        progress.warn(
            fmt::format("BEFORE is of {}, AFTER of {}: the later one is named first, so "
                        "what appeared will be told as gone",
                        format_time(*before.datetime), format_time(*after.datetime)));
    if (common.dry_run) return would_use({before.path, after.path}, {arguments.out});
    CommandOutput output;
    CompareOptions options = arguments.options;
    options.max_memory_bytes = static_cast<std::size_t>(common.max_memory_mib) << 20;
    StagedOutput out(arguments.out, arguments.overwrite);
    options.scratch_dir = out.folder();
    options.difference.min_object_probability = options.min_object_probability;
    options.difference.max_fine_surface_share = options.max_surface_share;
    const CompareOutcome done =
        compare_pair(std::move(before), std::move(after), options, progress);
    const std::string json = report_json(done.report);
    validate_report(json);
    write_file(out.path("report.json"), json);
    write_file(out.path("changes.geojson"), changes_geojson(done.report));
    write_change_map(out.path("change.tif"), done.map_row, done.grid,
                     change_map_metadata(done.before.info, done.after.info));
    out.commit();
    const RegistrationSummary registration = *done.report.scenes[1].registration;
    output.text = fmt::format("{} changes; registered by {} ({}), expected RMSE {:.2f} m\n{}\n",
                              done.report.changes.size(), registration.model, registration.status,
                              registration.rmse_m, arguments.out);
    output.json = one_line({{"out", arguments.out},
                            {"changes", done.report.changes.size()},
                            {"registration",
                             {{"model", registration.model},
                              {"status", registration.status},
                              {"rmse_m", registration.rmse_m}}}});
    return output;
}

}  // namespace

Command compare_command() {
    const auto arguments = std::make_shared<CompareArguments>();
    Command command;
    command.name = "compare";
    command.usage = "fenceline compare BEFORE AFTER --out DIR [OPTIONS]";
    command.summary = "one pair, no site needed → change map and changes";
    command.notes =
        "DIR gets change.tif (class and probability, on BEFORE's grid), changes.geojson and "
        "report.json.";
    command.declare = [arguments](OptionTable& table) {
        CompareArguments& a = *arguments;
        table.argument(0, "before", a.before, "BEFORE", "the earlier image");
        table.argument(1, "after", a.after, "AFTER", "the later image");
        table.text("out", a.out, "DIR", "folder that the result is written to").required = true;
        table("overwrite", a.overwrite,
              "replace DIR when it exists; its old content stays whole until the new one is "
              "complete");
        describe_heights(a.options.georef, table);
        describe(a.options, table);
    };
    command.run = [arguments](const Common& common, Progress& progress) {
        return compare(*arguments, common, progress);
    };
    return command;
}

}  // namespace fenceline
