#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace fenceline {

/// Wrong arguments or configuration (exit 2). Holds every fault found, not just the first.
class UsageError : public std::runtime_error {
  public:
    explicit UsageError(std::string fault)
        : UsageError(std::vector<std::string>{std::move(fault)}) {}
    explicit UsageError(std::vector<std::string> faults_found)
        : std::runtime_error(join(faults_found)), faults(std::move(faults_found)) {}
    std::vector<std::string> faults;

  private:
    static std::string join(const std::vector<std::string>& lines) {
        std::string all;
        for (const auto& line : lines) all += (all.empty() ? "" : "\n") + line;
        return all;
    }
};

/// Data that cannot be used: which file, what was found (GDAL's own words kept), what to do about
/// it. Thrown for one scene it leaves that scene out (exit 3); for the whole run it is exit 1.
class DataError : public std::runtime_error {
  public:
    DataError(std::string file_name, std::string what_was_found, std::string what_to_do = "")
        : std::runtime_error(file_name + ": " + what_was_found +
                             (what_to_do.empty() ? "" : " (" + what_to_do + ")")),
          file(std::move(file_name)),
          reason(std::move(what_was_found)),
          remedy(std::move(what_to_do)) {}
    std::string file, reason, remedy;
};

/// Not an error: the run was asked to stop (Ctrl-C, SIGTERM, SIGUSR1). Ends in exit 75, nothing
/// half-written.
struct Cancelled {};

}  // namespace fenceline
