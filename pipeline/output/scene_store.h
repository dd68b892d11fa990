#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/scene.h"

namespace fenceline {

/// Keeps a series' scenes within a memory budget: what does not fit is spilled to files in a
/// scratch folder (uncompressed, private to this run, removed with the store). Safe to use from
/// several threads.
class SceneStore {
  public:
    SceneStore(std::string scratch_dir, std::size_t budget_bytes, std::size_t count);
    ~SceneStore();
    SceneStore(const SceneStore&) = delete;
    SceneStore& operator=(const SceneStore&) = delete;
    /// Replaces scene i. Throws DataError when the disk is full.
    void put(std::size_t i, Scene scene);
    /// Scene i, read back when it was spilled. Throws DataError.
    std::shared_ptr<const Scene> get(std::size_t i) const;
    void drop(std::size_t i);
    /// Scene from becomes scene to; what was at to is dropped.
    void move(std::size_t from, std::size_t to);

  private:
    void forget(std::size_t i);
    struct Slot {
        std::shared_ptr<const Scene> in_memory;
        Scene header;  ///< everything but the pixels
        std::string file;
        std::size_t bytes = 0;
    };
    std::string scratch_dir_;
    std::size_t budget_, used_ = 0, next_file_ = 0;
    std::vector<Slot> slots_;
    mutable std::mutex mutex_;
};

/// Bytes of a scene's pixels in memory.
std::size_t pixel_bytes(const Scene& scene);

}  // namespace fenceline
