#include "output/single_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/error.h"
#include "output/held_folder.h"

namespace fenceline {
namespace fs = std::filesystem;
namespace {

void sync_path(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const int result = file < 0 ? -1 : ::fsync(file);
    const int reason = errno;
    if (file >= 0) ::close(file);
    if (result != 0) throw DataError(path, std::strerror(reason), "is the disk full?");
}

}  // namespace

std::string output_file_fault(const std::string& path, bool overwrite) {
    std::error_code failed;
    if (fs::is_directory(path, failed)) return fmt::format("{}: is a folder; name a file", path);
    if (!overwrite && fs::exists(path, failed))
        return fmt::format("{}: exists; --overwrite replaces it", path);
    const fs::path folder = fs::absolute(path).parent_path();
    if (!fs::is_directory(folder, failed))
        return fmt::format("{}: the folder {} does not exist", path, folder.string());
    if (::access(folder.c_str(), W_OK | X_OK) != 0)
        return fmt::format("{}: the folder {} cannot be written to: {}", path, folder.string(),
                           std::strerror(errno));
    return {};
}

WholeFiles::WholeFiles() = default;
WholeFiles::~WholeFiles() = default;

void WholeFiles::add(const std::string& path,
                     const std::function<void(const std::string&)>& write) {
    const fs::path target = fs::absolute(path);
    auto folder = std::make_unique<HeldFolder>(target);
    const std::string partial = (fs::path(folder->path()) / target.filename()).string();
    files_.push_back({std::move(folder), partial, path});
    write(partial);
}

void WholeFiles::commit() {
    for (const File& file : files_) sync_path(file.partial);
    for (const File& file : files_) {
        std::error_code failed;
        fs::rename(file.partial, file.path, failed);
        if (failed) throw DataError(file.path, "cannot be written: " + failed.message());
    }
    files_.clear();
}

}  // namespace fenceline
