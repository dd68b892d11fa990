#include "output/single_file.h"

#include <fmt/format.h>

#include <filesystem>

#include "core/error.h"

namespace fenceline {
namespace fs = std::filesystem;

std::string output_file_fault(const std::string& path, bool overwrite) {
    std::error_code failed;
    if (fs::is_directory(path, failed)) return fmt::format("{}: is a folder; name a file", path);
    if (!overwrite && fs::exists(path, failed))
        return fmt::format("{}: exists; --overwrite replaces it", path);
    const fs::path folder = fs::absolute(path).parent_path();
    if (!fs::is_directory(folder, failed))
        return fmt::format("{}: the folder {} does not exist", path, folder.string());
    return {};
}

void write_file_whole(const std::string& path,
                      const std::function<void(const std::string&)>& write) {
    const fs::path target(path);
    // The ending stays: GDAL's drivers look at it.
    const fs::path partial = target.parent_path() / ("." + target.stem().string() + ".partial" +
                                                     target.extension().string());
    std::error_code failed;
    try {
        write(partial.string());
    } catch (...) {
        fs::remove(partial, failed);
        throw;
    }
    fs::rename(partial, target, failed);
    if (failed) {
        const std::string reason = failed.message();
        fs::remove(partial, failed);
        throw DataError(path, "cannot be written: " + reason);
    }
}

}  // namespace fenceline
