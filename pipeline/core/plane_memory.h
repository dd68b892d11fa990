#pragma once

#include <cstddef>
#include <new>
#include <utility>

namespace fenceline {

/// Memory for the pixels of a plane: aligned to 64 bytes (a cache line, the widest vector), and on
/// huge pages where the system grants them on request: a plane of 50 MB touches 12 000 small pages,
/// and the faults cost more than the arithmetic on it. Throws std::bad_alloc.
void* allocate_plane(std::size_t bytes);
void free_plane(void* memory) noexcept;

/// The C++ allocator over the two above. Elements without a value are left as they are: whoever
/// asks for them writes them (PlaneOf's constructor gives a value).
template <class T>
struct PlaneAllocator {
    using value_type = T;
    PlaneAllocator() = default;
    template <class U>
    PlaneAllocator(const PlaneAllocator<U>&) {}
    T* allocate(std::size_t count) {
        if (count > static_cast<std::size_t>(-1) / sizeof(T)) throw std::bad_alloc();
        return static_cast<T*>(allocate_plane(count * sizeof(T)));
    }
    void deallocate(T* memory, std::size_t) noexcept { free_plane(memory); }
    bool operator==(const PlaneAllocator&) const { return true; }
};

/// Lets freed memory up to 32 MiB a block be used again by the next stage instead of going back to
/// the system: called once, before threads start. Planes above that go back at once.
void keep_freed_memory();

}  // namespace fenceline
