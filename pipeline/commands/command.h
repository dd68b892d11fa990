#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "commands/options.h"
#include "core/progress.h"

namespace fenceline {

/// Exit codes, CONTRACT.md.
enum ExitCode {
    kDone = 0,
    kFailed = 1,
    kWrongUsage = 2,
    kSomeLeftOut = 3,
    kNewConfirmedChange = 10,
    kClaimContradicted = 11,
    kInterrupted = 75,
};

/// What every command has, filled in from the options of the same names.
struct Common {
    bool help = false, version = false, print_config = false;
    std::string config;
    int jobs = 0;  ///< 0: all
    int max_memory_mib = 2048;
    bool quiet = false, verbose = false, json = false, dry_run = false;

    std::vector<std::string> arguments;  ///< as typed, for provenance
    std::string effective_ini;           ///< every value that was used
};

/// What a command hands back: text for people, or the same as JSON with --json.
struct CommandOutput {
    int exit_code = kDone;
    std::string text;  ///< standard output
    std::string json;  ///< one object, standard output with --json
};

/// The summary that --json prints. File names need not be UTF-8, JSON must be: what is not becomes
/// U+FFFD.
std::string one_line(const nlohmann::json& summary);

/// Answer to --dry-run: the files that would be read, and the files or folders that would be
/// written.
CommandOutput would_use(const std::vector<std::string>& reads,
                        const std::vector<std::string>& writes = {});

/// Does one check after the other, so that all faults are said at once: those of a UsageError are
/// added to the list.
void check(std::vector<std::string>& faults, const std::function<void()>& step);
/// The fault of a file named on the command line that is not there, or is a folder; nothing is
/// named: none.
void check_exists(std::vector<std::string>& faults, const std::string& option,
                  const std::string& path, bool may_be_folder = false);

/// One command: declares its options (no file is touched), then runs.
struct Command {
    std::string name, usage, summary, notes;
    std::function<void(OptionTable&)> declare;
    std::function<CommandOutput(const Common&, Progress&)> run;
};

Command run_command();
Command compare_command();
Command align_command();
Command verify_command();
Command simulate_command();
Command evaluate_command();
Command sites_command();
Command export_command();

/// In the order of the help text.
std::vector<Command> all_commands();

}  // namespace fenceline
