#pragma once

#include <cstddef>

namespace fenceline {

/// While one of these lives, freed planes of more than 32 MiB are kept, up to so many bytes of
/// them, and given out again: for work that makes many large planes one after the other, where
/// the system's clearing of fresh pages takes longer than what is computed in them.
class KeptPlanes {
  public:
    explicit KeptPlanes(std::size_t bytes);
    ~KeptPlanes();
    KeptPlanes(const KeptPlanes&) = delete;
    KeptPlanes& operator=(const KeptPlanes&) = delete;

  private:
    std::size_t bytes_;
};

/// The next `bytes` that are allocated in blocks of up to 24 MiB, by whomever, will lie on huge
/// pages. Does nothing before keep_freed_memory().
void prepare_heap(std::size_t bytes);

/// What lies free in the heap goes back to the system: after a stage whose blocks were of other
/// sizes than the next one's.
void give_back_freed_memory();

}  // namespace fenceline
