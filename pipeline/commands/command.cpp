#include "commands/command.h"

namespace fenceline {

std::vector<Command> all_commands() {
    return {run_command(),      compare_command(),  align_command(), verify_command(),
            simulate_command(), evaluate_command(), sites_command(), export_command()};
}

}  // namespace fenceline
