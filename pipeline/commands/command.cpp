#include "commands/command.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/error.h"

namespace fenceline {

void check(std::vector<std::string>& faults, const std::function<void()>& step) {
    try {
        step();
    } catch (const UsageError& error) {
        faults.insert(faults.end(), error.faults.begin(), error.faults.end());
    }
}

void check_exists(std::vector<std::string>& faults, const std::string& option,
                  const std::string& path, bool may_be_folder) {
    std::error_code failed;
    if (path.empty()) return;
    if (!std::filesystem::exists(path, failed))
        faults.push_back(fmt::format(
            "{} {}: there is no such file{}", option, path,
            path.find("://") == std::string::npos ? "" : "; nothing is fetched over a network"));
    else if (!may_be_folder && std::filesystem::is_directory(path, failed))
        faults.push_back(fmt::format("{} {}: is a folder; name a file", option, path));
}

std::string one_line(const nlohmann::json& summary) {
    return summary.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

CommandOutput would_use(const std::vector<std::string>& reads,
                        const std::vector<std::string>& writes) {
    CommandOutput output;
    for (const std::string& path : reads) output.text += fmt::format("read  {}\n", path);
    for (const std::string& path : writes) output.text += fmt::format("write {}\n", path);
    output.json = one_line({{"dry_run", true}, {"reads", reads}, {"writes", writes}});
    return output;
}

std::vector<Command> all_commands() {
    return {run_command(),      compare_command(),  align_command(), verify_command(),
            simulate_command(), evaluate_command(), sites_command(), export_command()};
}

}  // namespace fenceline
