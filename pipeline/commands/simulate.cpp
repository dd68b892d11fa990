#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "commands/command.h"
#include "core/error.h"
#include "input/scenario.h"
#include "output/series_writer.h"
#include "output/staged_output.h"
#include "simulate/variant.h"

namespace fenceline {
namespace {

struct SimulateArguments {
    std::string scenario, out;
    bool overwrite = false;
    int seed = -1;
    double scale = 1;
};

CommandOutput render_series(const SimulateArguments& arguments, const Common& common,
                            Progress& progress) {
    std::vector<std::string> faults;
    check(faults, [&] { StagedOutput::check(arguments.out, arguments.overwrite); });
    check_exists(faults, "SCENARIO", arguments.scenario);
    if (!faults.empty()) throw UsageError(faults);
    if (arguments.overwrite)
        StagedOutput::keep_inputs(arguments.out, {arguments.scenario, common.config});
    const Scenario file = read_scenario(arguments.scenario);
    const Scenario scenario = simulate::scaled(
        arguments.seed < 0
            ? file
            : simulate::draw_variant(file, static_cast<std::uint64_t>(arguments.seed)),
        arguments.scale);
    if (common.dry_run) return would_use({arguments.scenario}, {arguments.out});
    CommandOutput output;
    output.text =
        fmt::format("{} scenes of {}\n{}\n", scenario.scenes.size(), scenario.id, arguments.out);
    output.json = one_line(
        {{"scenario", scenario.id}, {"scenes", scenario.scenes.size()}, {"out", arguments.out}});
    write_series(scenario, arguments.out, progress, arguments.overwrite,
                 static_cast<std::size_t>(common.max_memory_mib) << 20);
    return output;
}

}  // namespace

Command simulate_command() {
    const auto arguments = std::make_shared<SimulateArguments>();
    Command command;
    command.name = "simulate";
    command.usage = "fenceline simulate SCENARIO --out DIR [OPTIONS]";
    command.summary = "render a series with exact truth";
    command.notes =
        "SCENARIO is a JSON file; configs/scenarios/ holds examples. DIR gets images/, truth.json, "
        "sites.geojson.";
    command.declare = [arguments](OptionTable& table) {
        SimulateArguments& a = *arguments;
        table.argument(0, "scenario", a.scenario, "SCENARIO", "the scenario file");
        table.text("out", a.out, "DIR", "folder that the series is written to").required = true;
        table("overwrite", a.overwrite, "replace DIR when it exists");
        table("seed", a.seed, Range{-1, 2147483647}, "",
              "draw another variant of the scenario; -1 takes the file's seed");
        table("scale", a.scale, Range{0.2, 2}, "",
              "shrink or grow the place: lengths times this, areas times its square");
    };
    command.run = [arguments](const Common& common, Progress& progress) {
        return render_series(*arguments, common, progress);
    };
    return command;
}

}  // namespace fenceline
