#include "core/plane_memory.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <map>
#include <mutex>
#include <vector>

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

std::atomic<bool> heap_is_ours{false};
std::atomic<char*> heap_begin{nullptr}, heap_advised{nullptr};

char* heap_end() { return static_cast<char*>(sbrk(0)); }

/// Asks for huge pages for what the heap has grown by. Decoded blocks, lists and rows lie there: a
/// page of 4 KiB at a time, faults and address look-ups took an eighth of a large comparison.
void advise_heap() {
    if (!heap_is_ours.load(std::memory_order_relaxed)) return;
    char* const end = heap_end();
    if (end == heap_advised.exchange(end)) return;
    char* const begin = heap_begin;
    if (end > begin) madvise(begin, static_cast<std::size_t>(end - begin), MADV_HUGEPAGE);
}

}  // namespace

void* allocate_plane(std::size_t bytes) {
    advise_heap();
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

void prepare_heap(std::size_t bytes) {
    if (!heap_is_ours) return;
    constexpr std::size_t kStep = std::size_t{24} << 20;  // what is not yet mapped on its own
    std::vector<void*> steps;
    for (std::size_t got = 0; got < bytes; got += kStep)
        if (void* step = std::malloc(kStep)) steps.push_back(step);
    advise_heap();
    for (; !steps.empty(); steps.pop_back()) std::free(steps.back());
}

void keep_freed_memory() {
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    // One heap for all threads that grows in large steps, so that it can lie on huge pages.
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_TOP_PAD, 64 << 20);
    char* const end = heap_end();
    const std::size_t past = reinterpret_cast<std::uintptr_t>(end) % kHugePage;
    heap_begin = past > 0 ? end + (kHugePage - past) : end;
    heap_is_ours = true;
}

void give_back_freed_memory() { malloc_trim(0); }

}  // namespace fenceline
