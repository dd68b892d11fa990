#include "output/held_folder.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "core/error.h"

namespace fenceline {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kRandom = "XXXXXX";

/// -1 with errno when it cannot be opened, or another process holds it (EWOULDBLOCK).
int open_locked(const std::string& folder) {
    const int file = ::open(folder.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW);
    if (file < 0 || ::flock(file, LOCK_EX | LOCK_NB) == 0) return file;
    const int reason = errno;
    ::close(file);
    errno = reason;
    return -1;
}

bool is_at(int file, const std::string& path) {
    struct stat own {
    }, there{};
    return ::fstat(file, &own) == 0 && ::lstat(path.c_str(), &there) == 0 &&
           own.st_ino == there.st_ino && own.st_dev == there.st_dev;
}

/// Those that no run holds. One that has been made but not yet locked may go, too: its run makes
/// another.
void remove_abandoned(const fs::path& parent, const std::string& prefix) {
    std::error_code error;
    for (fs::directory_iterator it(parent, error), end; !error && it != end; it.increment(error)) {
        const std::string name = it->path().filename().string();
        if (!name.starts_with(prefix) || name.size() != prefix.size() + kRandom.size()) continue;
        const int lock = open_locked(it->path().string());
        if (lock < 0) continue;
        std::error_code ignored;
        if (is_at(lock, it->path().string())) fs::remove_all(it->path(), ignored);
        ::close(lock);
    }
}

}  // namespace

HeldFolder::HeldFolder(const fs::path& result) {
    const fs::path parent = result.parent_path();
    const std::string prefix = "." + result.filename().string().substr(0, 100) + ".fenceline-";
    remove_abandoned(parent, prefix);
    for (;;) {
        path_ = (parent / (prefix + std::string(kRandom))).string();
        if (::mkdtemp(path_.data()) == nullptr)
            throw DataError(result.string(), std::string("no folder can be made beside it: ") +
                                                 std::strerror(errno));
        lock_ = open_locked(path_);
        // Another run may have taken it for abandoned before it was locked.
        if (lock_ >= 0 && is_at(lock_, path_)) return;
        if (lock_ < 0 && errno != EWOULDBLOCK && errno != ENOENT) return;
        if (lock_ >= 0) ::close(lock_);
    }
}

HeldFolder::~HeldFolder() {
    std::error_code ignored;
    if (lock_ < 0 || is_at(lock_, path_)) fs::remove_all(path_, ignored);
    if (lock_ >= 0) ::close(lock_);
}

}  // namespace fenceline
