#include "output/staged_output.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "core/error.h"

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

// Only a folder that looks like our own output, or an empty one, may be replaced: --overwrite with
// a mistyped DIR must not cost anybody their data.
bool looks_like_output(const fs::path& dir) {
    if (fs::is_empty(dir)) return true;
    for (const char* name :
         {"report.json", "changes.geojson", "ro-crate-metadata.json", "truth.json", "bagit.txt",
          "collection.json", "catalog.json", "gazetteer.csv", "uwazi.zip"})
        if (fs::exists(dir / name)) return true;
    return false;
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
    const auto mismatch = std::mismatch(target.begin(), target.end(), here.begin(), here.end());
    if (!error && mismatch.first == target.end())
        throw UsageError("--out " + dir + ": holds the working folder and cannot be replaced");
    if (!looks_like_output(target))
        throw UsageError(
            "--out " + dir +
            ": is not empty and is no output of fenceline; --overwrite would delete what is in it");
}

StagedOutput::StagedOutput(const std::string& dir, bool overwrite) : overwrite_(overwrite) {
    check(dir, overwrite);
    const fs::path target = resolved(dir);
    target_ = target.string();
    std::string pattern = (target.parent_path() /
                           ("." + target.filename().string().substr(0, 100) + ".fenceline-XXXXXX"))
                              .string();
    if (::mkdtemp(pattern.data()) == nullptr)
        throw UsageError("--out " + dir +
                         ": no folder can be made beside it: " + std::strerror(errno));
    staging_ = pattern;
    // mkdtemp's 0700 would lock colleagues out of the result; the user's umask decides.
    const mode_t mask = ::umask(0);
    ::umask(mask);
    ::chmod(staging_.c_str(), 0777 & ~mask);
}

StagedOutput::~StagedOutput() {
    std::error_code ignored;
    if (!committed_) fs::remove_all(staging_, ignored);
}

std::string StagedOutput::path(const std::string& name) const {
    const fs::path full = fs::path(staging_) / name;
    std::error_code error;
    fs::create_directories(full.parent_path(), error);
    if (error) throw DataError(full.parent_path().string(), error.message(), kRemedy);
    return full.string();
}

void StagedOutput::commit() {
    const fs::path target(target_), staging(staging_);
    try {
        sync_tree(staging);
    } catch (const fs::filesystem_error& error) {
        throw DataError(staging_, error.code().message(), kRemedy);
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
        committed_ = true;
    } else {
        if (!overwrite_)
            throw DataError(target_, "appeared while the run was going on", "give another --out");
        if (rename_with(staging, target, RENAME_EXCHANGE) == 0) {
            committed_ = true;
            fs::remove_all(staging, error);  // now the old content
        } else {
            // A file system without exchange: aside, in, away; and back when the middle step fails.
            const fs::path aside = staging_ + ".old";
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
            committed_ = true;
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
