#include "core/plane_memory.h"

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

namespace fenceline {
namespace {

constexpr std::size_t kLine = 64, kHugePage = std::size_t{2} << 20;

}  // namespace

void* allocate_plane(std::size_t bytes) {
    const bool large = bytes >= 2 * kHugePage;
    void* memory = nullptr;
    if (posix_memalign(&memory, large ? kHugePage : kLine, std::max(bytes, kLine)) != 0)
        throw std::bad_alloc();
    // The tail that fills no huge page stays on small ones: no memory is spent on alignment.
    if (large) madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
    return memory;
}

void free_plane(void* memory) noexcept { std::free(memory); }

void keep_freed_memory() {
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

}  // namespace fenceline
