#include "evaluate/evaluate.h"

#include <fmt/format.h>

#include <memory>

#include "commands/command.h"
#include "core/error.h"
#include "input/truth.h"
#include "output/report_json.h"

namespace fenceline {
namespace {

struct EvaluateArguments {
    std::vector<std::string> reports, truths;
    std::string family;
    EvaluateOptions options;
};

CommandOutput score(const EvaluateArguments& arguments, const Common& common, Progress& progress) {
    if (arguments.reports.size() != arguments.truths.size())
        throw UsageError(
            fmt::format("--report is given {} times, --truth {} times; allowed: one truth per "
                        "report, in the same order",
                        arguments.reports.size(), arguments.truths.size()));
    std::vector<std::string> faults;
    for (const std::string& path : arguments.reports) check_exists(faults, "--report", path);
    for (const std::string& path : arguments.truths) check_exists(faults, "--truth", path);
    if (!faults.empty()) throw UsageError(faults);
    if (common.dry_run) {
        std::vector<std::string> files = arguments.reports;
        files.insert(files.end(), arguments.truths.begin(), arguments.truths.end());
        return would_use(files);
    }
    CommandOutput output;
    progress.stage("evaluate", static_cast<int>(arguments.reports.size()));
    std::vector<SeriesScore> scores;
    for (std::size_t i = 0; i < arguments.reports.size(); ++i) {
        const Report report = read_report(arguments.reports[i]);
        const Report truth = read_report(arguments.truths[i]);
        const TruthFrames frames = read_truth_frames(arguments.truths[i]);
        scores.push_back(evaluate(report, truth, arguments.options,
                                  arguments.family.empty() ? frames.family : arguments.family,
                                  frames.displacements, frames.conditions));
        progress.step(arguments.reports[i]);
    }
    const auto families = aggregate(scores, arguments.options);
    output.text = score_table(families);
    output.json = score_json(scores, families);
    return output;
}

}  // namespace

Command evaluate_command() {
    const auto arguments = std::make_shared<EvaluateArguments>();
    Command command;
    command.name = "evaluate";
    command.usage =
        "fenceline evaluate --report FILE --truth FILE [--report FILE --truth FILE …] [OPTIONS]";
    command.summary = "score a report against truth";
    command.notes =
        "Several reports, each with its truth in the same order, are pooled; intervals come from "
        "resampling the series.";
    command.declare = [arguments](OptionTable& table) {
        EvaluateArguments& a = *arguments;
        table.list("report", a.reports, "FILE", "report.json of a run; may be given several times")
            .required = true;
        table.list("truth", a.truths, "FILE", "truth.json of the simulated series; one per report")
            .required = true;
        table.text("family", a.family, "NAME",
                   "pool the series under this name; the truth's own family when not given");
        describe(a.options, table);
    };
    command.run = [arguments](const Common& common, Progress& progress) {
        return score(*arguments, common, progress);
    };
    return command;
}

}  // namespace fenceline
