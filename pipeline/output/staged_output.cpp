#include "output/staged_output.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "core/error.h"
#include "output/held_folder.h"

namespace fenceline {
namespace fs = std::filesystem;
namespace {

constexpr const char* kRemedy = "is the disk full?";

// The folder that DIR means: no trailing slash, symbolic links followed.
fs::path resolved(const std::string& dir) {
    if (dir.empty()) throw UsageError("--out: the name of the output folder is empty");
    fs::path path = fs::absolute(dir).lexically_normal();
    if (!path.has_filename()) path = path.parent_path();
    std::error_code error;
    if (fs::exists(path, error)) {
        const fs::path real = fs::canonical(path, error);
        if (!error) return real;
    }
    return path;
}

// Our own output may be replaced, and a few small plain files; no tree, collection or image:
// --overwrite with a mistyped DIR must not cost anybody their data.
bool may_be_replaced(const fs::path& dir) {
    constexpr int kFewFiles = 20;
    constexpr std::uintmax_t kFewBytes = 1 << 20;
    for (const char* name :
         {"report.json", "changes.geojson", "ro-crate-metadata.json", "truth.json", "bagit.txt",
          "collection.json", "catalog.json", "gazetteer.csv", "uwazi.zip"})
        if (fs::exists(dir / name)) return true;
    int files = 0;
    std::uintmax_t bytes = 0;
    for (const auto& entry : fs::directory_iterator(dir)) {
        if (!entry.is_regular_file() || ++files > kFewFiles) return false;
        bytes += entry.file_size();
    }
    return bytes <= kFewBytes;
}

/// Is path below folder, or the folder itself? Both without symbolic links.
bool lies_in(const fs::path& path, const fs::path& folder) {
    return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first ==
           folder.end();
}

void sync_path(const fs::path& path, bool folder) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | (folder ? O_DIRECTORY : 0));
    if (file < 0) throw DataError(path.string(), std::strerror(errno), kRemedy);
    const int result = ::fsync(file);
    const int reason = errno;
    ::close(file);
    // Some file systems cannot fsync a folder; that is no loss of data.
    if (result != 0 && !(folder && (reason == EINVAL || reason == EROFS)))
        throw DataError(path.string(), std::strerror(reason), kRemedy);
}

void sync_tree(const fs::path& root) {
    std::vector<fs::path> folders{root};
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
        if (entry.is_symlink()) continue;
        if (entry.is_directory())
            folders.push_back(entry.path());
        else
            sync_path(entry.path(), false);
    }
    std::reverse(folders.begin(), folders.end());
    for (const auto& folder : folders) sync_path(folder, true);
}

int rename_with(const fs::path& from, const fs::path& to, unsigned flags) {
    return static_cast<int>(
        ::syscall(SYS_renameat2, AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags));
}

}  // namespace

void StagedOutput::check(const std::string& dir, bool overwrite) {
    const fs::path target = resolved(dir);
    const fs::path parent = target.parent_path();
    std::error_code error;
    if (target == parent || target.filename().empty())
        throw UsageError("--out " + dir + ": the root folder cannot be an output folder");
    if (!fs::exists(parent, error))
        throw UsageError("--out " + dir + ": the folder above it, " + parent.string() +
                         ", does not exist; make it first");
    if (!fs::is_directory(parent, error))
        throw UsageError("--out " + dir + ": " + parent.string() + " is not a folder");
    if (::access(parent.c_str(), W_OK | X_OK) != 0)
        throw UsageError("--out " + dir + ": " + parent.string() +
                         " cannot be written to: " + std::strerror(errno));
    if (!fs::exists(fs::symlink_status(target, error))) return;
    if (!overwrite)
        throw UsageError("--out " + dir + ": exists already; give another folder or --overwrite");
    if (!fs::is_directory(target, error))
        throw UsageError("--out " + dir + ": exists and is not a folder");
    const fs::path here = fs::current_path(error);
    if (!error && lies_in(here, target))
        throw UsageError("--out " + dir + ": holds the working folder and cannot be replaced");
    if (!may_be_replaced(target))
        throw UsageError(
            "--out " + dir +
            ": is no output of fenceline and holds folders or many or large files; --overwrite "
            "would delete them");
}

void StagedOutput::keep_inputs(const std::string& dir, const std::vector<std::string>& inputs) {
    std::error_code error;
    const fs::path target = resolved(dir);
    if (!fs::exists(target, error)) return;
    for (const std::string& input : inputs) {
        const fs::path path = input.empty() ? fs::path() : fs::canonical(input, error);
        if (!path.empty() && !error && lies_in(path, target))
            throw UsageError("--out " + dir + ": holds " + input +
                             ", which is read; --overwrite would delete it");
    }
}

StagedOutput::StagedOutput(const std::string& dir, bool overwrite) : overwrite_(overwrite) {
    check(dir, overwrite);
    const fs::path target = resolved(dir);
    target_ = target.string();
    staging_ = std::make_unique<HeldFolder>(target);
    // mkdtemp's 0700 would lock colleagues out of the result; the user's umask decides.
    const mode_t mask = ::umask(0);
    ::umask(mask);
    ::chmod(staging_->path().c_str(), 0777 & ~mask);
}

StagedOutput::~StagedOutput() = default;

const std::string& StagedOutput::folder() const { return staging_->path(); }

std::string StagedOutput::path(const std::string& name) const {
    const fs::path full = fs::path(folder()) / name;
    std::error_code error;
    fs::create_directories(full.parent_path(), error);
    if (error) throw DataError(full.parent_path().string(), error.message(), kRemedy);
    return full.string();
}

void StagedOutput::commit() {
    const fs::path target(target_), staging(folder());
    try {
        sync_tree(staging);
    } catch (const fs::filesystem_error& error) {
        throw DataError(folder(), error.code().message(), kRemedy);
    }
    std::error_code error;
    if (!fs::exists(fs::symlink_status(target, error))) {
        if (rename_with(staging, target, RENAME_NOREPLACE) != 0) {
            const int reason = errno;
            const bool unsupported = reason == EINVAL || reason == ENOSYS;
            if (!unsupported || std::rename(staging.c_str(), target.c_str()) != 0)
                throw DataError(target_,
                                std::string("cannot be put in place: ") + std::strerror(reason));
        }
    } else {
        if (!overwrite_)
            throw DataError(target_, "appeared while the run was going on", "give another --out");
        if (rename_with(staging, target, RENAME_EXCHANGE) == 0) {
            fs::remove_all(staging, error);  // now the old content
        } else {
            // A file system without exchange: aside, in, away; and back when the middle step fails.
            const fs::path aside = folder() + ".old";
            if (std::rename(target.c_str(), aside.c_str()) != 0)
                throw DataError(target_,
                                std::string("cannot be replaced: ") + std::strerror(errno));
            if (std::rename(staging.c_str(), target.c_str()) != 0) {
                const int reason = errno;
                if (std::rename(aside.c_str(), target.c_str()) != 0)
                    throw DataError(target_, std::strerror(reason),
                                    "its old content is in " + aside.string());
                throw DataError(target_,
                                std::string("cannot be replaced: ") + std::strerror(reason));
            }
            fs::remove_all(aside, error);
        }
    }
    try {
        sync_path(target.parent_path(), true);
    } catch (const DataError&) {
        // The rename has happened; a folder that cannot be synced does not undo it.
    }
}

void write_file(const std::string& path, const std::string& bytes) {
    std::FILE* file = std::fopen(path.c_str(), "wbe");
    if (file == nullptr)
        throw DataError(path, std::string("cannot be written: ") + std::strerror(errno));
    const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
    const int reason = errno;
    const bool closed = std::fclose(file) == 0;
    if (!written || !closed)
        throw DataError(
            path, std::string("cannot be written: ") + std::strerror(written ? errno : reason),
            kRemedy);
}

}  // namespace fenceline
