#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace fenceline {

/// What the real binary did.
struct Outcome {
    int exit_code = -1;  ///< -1: it was ended by a signal
    std::string out, err;
};

/// Runs the built fenceline with these arguments.
Outcome fenceline_program(const std::vector<std::string>& arguments);

/// The built fenceline, for tests that start and end it themselves.
const char* program_path();

/// A folder of its own for one test, removed afterwards.
class ScratchFolder {
  public:
    ScratchFolder();
    ~ScratchFolder();
    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;
    std::string operator/(const std::string& name) const { return (path / name).string(); }
    std::filesystem::path path;
};

std::string read_text(const std::string& path);
void write_text(const std::string& path, const std::string& text);
/// Where the real images are; empty: not here.
std::string real_data();

}  // namespace fenceline
