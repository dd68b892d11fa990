#include "output/scratch_shelf.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "core/error.h"

namespace fenceline {
namespace {

constexpr const char* kRemedy =
    "what is kept of every pixel waits beside the output folder (4 bytes a pixel); free some space "
    "there";

struct File {
    int handle = -1;
    std::string folder;
    File(int opened, std::string where) : handle(opened), folder(std::move(where)) {}
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() { ::close(handle); }
};

int open_nameless(const std::string& folder) {
    const int file = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file >= 0) return file;
    // Not every file system has them; then the name goes at once.
    std::string name = folder + "/.scores-XXXXXX";
    const int named = ::mkostemp(name.data(), O_CLOEXEC);
    if (named < 0)
        throw DataError(folder,
                        std::string("no scratch file can be made: ") + std::strerror(errno));
    ::unlink(name.c_str());
    return named;
}

}  // namespace

Shelf scratch_shelf(const std::string& folder) {
    const auto file = std::make_shared<File>(open_nameless(folder), folder);
    return {[file](std::uint64_t at, const void* bytes, std::size_t count) {
                const char* from = static_cast<const char*>(bytes);
                while (count > 0) {
                    const ssize_t done =
                        ::pwrite(file->handle, from, count, static_cast<off_t>(at));
                    if (done < 0 && errno == EINTR) continue;
                    if (done <= 0)
                        throw DataError(file->folder,
                                        std::string("the scratch file cannot be written: ") +
                                            std::strerror(errno),
                                        kRemedy);
                    from += done;
                    at += static_cast<std::uint64_t>(done);
                    count -= static_cast<std::size_t>(done);
                }
            },
            [file](std::uint64_t at, void* bytes, std::size_t count) {
                char* to = static_cast<char*>(bytes);
                while (count > 0) {
                    const ssize_t done = ::pread(file->handle, to, count, static_cast<off_t>(at));
                    if (done < 0 && errno == EINTR) continue;
                    if (done <= 0)
                        throw DataError(file->folder,
                                        std::string("the scratch file cannot be read back: ") +
                                            (done < 0 ? std::strerror(errno) : "it ends early"));
                    to += done;
                    at += static_cast<std::uint64_t>(done);
                    count -= static_cast<std::size_t>(done);
                }
            }};
}

}  // namespace fenceline
