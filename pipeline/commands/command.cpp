#include "commands/command.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace fenceline {

CommandOutput would_use(const std::vector<std::string>& reads, const std::string& writes) {
    CommandOutput output;
    for (const std::string& path : reads) output.text += fmt::format("read  {}\n", path);
    nlohmann::json json{{"dry_run", true}, {"reads", reads}};
    if (!writes.empty()) {
        output.text += fmt::format("write {}\n", writes);
        json["writes"] = writes;
    }
    output.json = json.dump();
    return output;
}

std::vector<Command> all_commands() {
    return {run_command(),      compare_command(),  align_command(), verify_command(),
            simulate_command(), evaluate_command(), sites_command(), export_command()};
}

}  // namespace fenceline
