#include <fmt/format.h>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <opencv2/core.hpp>
#include <opencv2/core/utils/logger.hpp>
#include <string>
#include <thread>
#include <vector>

#include "commands/command.h"
#include "core/error.h"
#include "core/plane_memory.h"
#include "core/version.h"
#include "input/image_io.h"

namespace fenceline {
namespace {

extern "C" void stop_at_next_safe_place(int) { request_cancel(); }

void handle_signals() {
    struct sigaction action {};
    action.sa_handler = stop_at_next_safe_place;
    for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaction(signal, &action, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
}

void declare_common(OptionTable& table, Common& common) {
    const std::size_t first = table.options().size();
    table("help", common.help, "show this help");
    table("version", common.version, "show the version");
    table.text("config", common.config, "FILE",
               "read parameters from an INI file; the command line wins over it");
    table("print-config", common.print_config,
          "print all effective values as an INI file and stop");
    table("jobs", common.jobs, Range{0, 4096}, "",
          "threads; 0 uses all cores. The result does not depend on it");
    table("max-memory", common.max_memory_mib, Range{256, 1 << 22}, "MiB",
          "memory that the run may use");
    table("quiet", common.quiet, "no progress, no warnings");
    table("verbose", common.verbose, "say what is done, scene by scene");
    table("json", common.json, "print one machine-readable summary object on standard output");
    table("dry-run", common.dry_run, "say what would be read and written, and stop");
    for (std::size_t i = first; i < table.options().size(); ++i) table.everywhere(i);
}

std::string overview() {
    std::string out =
        "fenceline says from satellite images of a known place what was built there, when, and how "
        "sure that is.\n\n"
        "Usage: fenceline COMMAND [OPTIONS]\n\nCommands:\n";
    for (const Command& command : all_commands())
        out += fmt::format("  {:<10} {}\n", command.name,
                           command.summary.substr(0, command.summary.find('\n')));
    out +=
        "\nfenceline COMMAND --help lists a command's options and parameters.\n"
        "Exit codes: 0 done; 1 failed, nothing was written; 2 wrong arguments or configuration; 3 "
        "done, but some scenes\n"
        "or sites were left out; 10 done, and there is a new confirmed change (run --alert); 11 "
        "done, and a claim is\n"
        "contradicted (verify); 75 interrupted, safe to run again.\n";
    return out;
}

std::vector<std::string> keys_of_all_commands() {
    std::vector<std::string> keys;
    for (const Command& command : all_commands()) {
        OptionTable table;
        command.declare(table);
        for (const Option& option : table.options())
            keys.push_back(option.name.find('.') == std::string::npos
                               ? command.name + "." + option.name
                               : option.name);
    }
    return keys;
}

void print(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    if (std::fflush(stdout) != 0) throw DataError("standard output", "cannot be written");
}

int execute(const Command& command, const std::vector<std::string>& arguments) {
    OptionTable table;
    Common common;
    command.declare(table);
    declare_common(table, common);
    parse_options(table, command.name, arguments, keys_of_all_commands());
    if (common.help)
        return print(help_text(table, command.usage, command.summary, command.notes)), kDone;
    if (common.version) return print(fmt::format("fenceline {}\n", version())), kDone;
    common.effective_ini = print_ini(table, command.name);
    if (common.print_config) return print(common.effective_ini), kDone;
    if (common.quiet && common.verbose)
        throw UsageError("--quiet and --verbose exclude each other");
    common.arguments = {command.name};
    common.arguments.insert(common.arguments.end(), arguments.begin(), arguments.end());
    const int threads = common.jobs > 0
                            ? common.jobs
                            : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                                    static_cast<std::size_t>(threads));
    tbb::task_arena arena(threads);
    cv::setNumThreads(
        1);  // our own tiles run in parallel; OpenCV's split would depend on the number of threads
    cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
    Progress progress(common.quiet     ? Verbosity::quiet
                      : common.verbose ? Verbosity::verbose
                                       : Verbosity::normal);
    const CommandOutput output = arena.execute([&] { return command.run(common, progress); });
    print(common.json ? output.json + "\n" : output.text);
    return output.exit_code;
}

int dispatch(std::vector<std::string> words) {
    for (std::string& word : words)
        if (word == "-h") word = "--help";
    if (words.size() > 1 && words[0] == "help") {  // help COMMAND
        words.erase(words.begin());
        words.resize(1);
        words.push_back("--help");
    }
    if (words.empty()) throw UsageError("a command is missing; fenceline --help lists them");
    if (words[0] == "--help" || words[0] == "help") return print(overview()), kDone;
    if (words[0] == "--version") return print(fmt::format("fenceline {}\n", version())), kDone;
    std::string names;
    for (const Command& command : all_commands()) {
        if (command.name == words[0]) {
            return execute(command, {words.begin() + 1, words.end()});
        }
        names += (names.empty() ? "" : ", ") + command.name;
    }
    if (words[0] == "monitor" || words[0] == "batch")
        throw UsageError(
            fmt::format("'{}' is not in this version yet; there are: {}", words[0], names));
    throw UsageError(fmt::format("unknown command '{}'; allowed: {}", words[0], names));
}

}  // namespace
}  // namespace fenceline

int main(int argc, char** argv) {
    using namespace fenceline;
    handle_signals();
    keep_freed_memory();
    const auto complain = [](const std::string& text) {
        fmt::print(stderr, "fenceline: {}\n", text);
    };
    try {
        initialise_gdal();
        return dispatch({argv + 1, argv + argc});
    } catch (const UsageError& error) {
        for (const auto& fault : error.faults) complain(fault);
        return kWrongUsage;
    } catch (const DataError& error) {
        complain(error.what());
        return kFailed;
    } catch (const Cancelled&) {
        complain("interrupted; nothing was left half-written, run again to continue");
        return kInterrupted;
    } catch (const std::bad_alloc&) {
        complain("out of memory; try a coarser --observe.gsd_m or a smaller area");
        return kFailed;
    } catch (const std::exception& error) {
        complain(error.what());
        return kFailed;
    }
}
