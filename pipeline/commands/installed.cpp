#include "commands/installed.h"

#include <filesystem>

namespace fenceline {
namespace fs = std::filesystem;

std::string installed_file(const std::string& name) {
    std::error_code failed;
    const fs::path program = fs::read_symlink("/proc/self/exe", failed);
    if (!failed) {
        // PREFIX/bin/fenceline → PREFIX/share/fenceline; SOURCE/build/PRESET/fenceline → SOURCE
        for (const fs::path& root :
             {program.parent_path() / "../share/fenceline", program.parent_path() / "../.."}) {
            const fs::path candidate = (root / name).lexically_normal();
            if (fs::exists(candidate, failed)) return candidate.string();
        }
    }
    return "/usr/share/fenceline/" + name;
}

}  // namespace fenceline
