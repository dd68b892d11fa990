#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "commands/command.h"
#include "core/error.h"
#include "input/image_io.h"
#include "output/exports.h"
#include "output/provenance.h"
#include "output/report_json.h"
#include "output/staged_output.h"

namespace fenceline {
namespace {

struct ExportArguments {
    std::string report, format, out;
    bool overwrite = false;
};

CommandOutput export_report(const ExportArguments& arguments, const Common& common) {
    std::vector<std::string> faults;
    check(faults, [&] { StagedOutput::check(arguments.out, arguments.overwrite); });
    check_exists(faults, "--report", arguments.report);
    if (!faults.empty()) throw UsageError(faults);
    if (arguments.overwrite)
        StagedOutput::keep_inputs(arguments.out, {arguments.report, common.config});
    const Report report = read_report(arguments.report);
    if (common.dry_run) return would_use({arguments.report}, {arguments.out});
    CommandOutput output;
    output.text = arguments.out + "\n";
    output.json = one_line({{"format", arguments.format}, {"out", arguments.out}});
    StagedOutput out(arguments.out, arguments.overwrite);
    if (arguments.format == "csv")
        export_csv(report, out.folder());
    else if (arguments.format == "stac")
        export_stac(report, out.folder());
    else if (arguments.format == "uwazi")
        export_uwazi(report, sha256_of_file(arguments.report), out.folder());
    else
        export_bagit(report, std::filesystem::absolute(arguments.report).parent_path().string(),
                     run_clock(), out.folder());
    out.commit();
    return output;
}

}  // namespace

Command export_command() {
    const auto arguments = std::make_shared<ExportArguments>();
    Command command;
    command.name = "export";
    command.usage = "fenceline export --report FILE --format F --out DIR [OPTIONS]";
    command.summary = "stac, uwazi, bagit, csv out of a finished report";
    command.notes = "bagit packs the whole folder that report.json lies in.";
    command.declare = [arguments](OptionTable& table) {
        ExportArguments& a = *arguments;
        table.text("report", a.report, "FILE", "report.json of a run").required = true;
        table.choice("format", a.format, {"stac", "uwazi", "bagit", "csv"}, "what to write")
            .required = true;
        table.text("out", a.out, "DIR", "folder that is written").required = true;
        table("overwrite", a.overwrite, "replace DIR when it exists");
    };
    command.run = [arguments](const Common& common, Progress&) {
        return export_report(*arguments, common);
    };
    return command;
}

}  // namespace fenceline
