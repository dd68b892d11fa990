#include "core/plane_memory.h"

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <iterator>
#include <map>
#include <mutex>

#include "core/kept_planes.h"

namespace fenceline {
namespace {

constexpr std::size_t kLine = 64, kHugePage = std::size_t{2} << 20, kLarge = std::size_t{32} << 20;

/// Freed planes that wait to be used again.
struct Kept {
    std::mutex access;
    std::size_t allowed = 0, held = 0;
    std::multimap<std::size_t, void*> blocks;  ///< by size

    /// A block that is large enough and not much larger; null: none.
    void* take(std::size_t bytes) {
        const std::scoped_lock lock(access);
        const auto found = blocks.lower_bound(bytes);
        if (found == blocks.end() || found->first > bytes + bytes / 4) return nullptr;
        void* memory = found->second;
        held -= found->first;
        blocks.erase(found);
        return memory;
    }
    bool keep(void* memory, std::size_t bytes) {
        const std::scoped_lock lock(access);
        if (held + bytes > allowed) return false;
        blocks.emplace(bytes, memory);
        held += bytes;
        return true;
    }
    void allow(std::ptrdiff_t more) {
        const std::scoped_lock lock(access);
        allowed = static_cast<std::size_t>(static_cast<std::ptrdiff_t>(allowed) + more);
        while (held > allowed) {
            const auto largest = std::prev(blocks.end());
            std::free(largest->second);
            held -= largest->first;
            blocks.erase(largest);
        }
    }
};
Kept& kept() {
    static Kept planes;
    return planes;
}
std::atomic<bool> keeping{false};

}  // namespace

void* allocate_plane(std::size_t bytes) {
    if (bytes > kLarge && keeping)
        if (void* memory = kept().take(bytes)) return memory;
    const bool large = bytes >= 2 * kHugePage;
    void* memory = nullptr;
    if (posix_memalign(&memory, large ? kHugePage : kLine, std::max(bytes, kLine)) != 0)
        throw std::bad_alloc();
    // The tail that fills no huge page stays on small ones: no memory is spent on alignment.
    if (large) madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
    return memory;
}

void free_plane(void* memory) noexcept {
    if (keeping && memory != nullptr)
        if (const std::size_t bytes = malloc_usable_size(memory);
            bytes > kLarge && kept().keep(memory, bytes))
            return;
    std::free(memory);
}

KeptPlanes::KeptPlanes(std::size_t bytes) : bytes_(bytes) {
    kept().allow(static_cast<std::ptrdiff_t>(bytes_));
    keeping = true;
}

KeptPlanes::~KeptPlanes() {
    kept().allow(-static_cast<std::ptrdiff_t>(bytes_));
    keeping = kept().allowed > 0;
}

void keep_freed_memory() {
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

}  // namespace fenceline
