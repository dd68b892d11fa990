#include "output/scene_store.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "core/error.h"

namespace fenceline {
namespace {

struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
};
using FilePtr = std::unique_ptr<std::FILE, CloseFile>;

template <class T>
std::size_t plane_bytes(const PlaneOf<T>& plane) {
    return plane.stride() * static_cast<std::size_t>(plane.height()) * sizeof(T);
}

template <class T>
void write_plane(const PlaneOf<T>& plane, std::FILE* file, const std::string& path) {
    const std::size_t bytes = plane_bytes(plane);
    if (bytes > 0 && std::fwrite(plane.row(0), 1, bytes, file) != bytes)
        throw DataError(
            path, std::string("cannot be written: ") + std::strerror(errno),
            "the scratch files of a run lie beside its output folder; free some space there");
}

template <class T>
void read_plane(PlaneOf<T>& plane, std::FILE* file, const std::string& path) {
    const std::size_t bytes = plane_bytes(plane);
    if (bytes > 0 && std::fread(plane.row(0), 1, bytes, file) != bytes)
        throw DataError(path, "the scratch file is shorter than what was written to it");
}

}  // namespace

std::size_t pixel_bytes(const Scene& scene) {
    std::size_t bytes = plane_bytes(scene.raster.valid) + plane_bytes(scene.masks);
    for (const Plane& band : scene.raster.bands) bytes += plane_bytes(band);
    return bytes;
}

SceneStore::SceneStore(std::string scratch_dir, std::size_t budget_bytes, std::size_t count)
    : scratch_dir_(std::move(scratch_dir)), budget_(budget_bytes), slots_(count) {}

SceneStore::~SceneStore() {
    for (std::size_t i = 0; i < slots_.size(); ++i) drop(i);
}

void SceneStore::drop(std::size_t i) {
    const std::lock_guard lock(mutex_);
    forget(i);
}

void SceneStore::forget(std::size_t i) {
    Slot& slot = slots_[i];
    if (slot.in_memory != nullptr) used_ -= slot.bytes;
    if (!slot.file.empty()) {
        std::error_code ignored;
        std::filesystem::remove(slot.file, ignored);
    }
    slot = {};
}

void SceneStore::move(std::size_t from, std::size_t to) {
    if (from == to) return;
    const std::lock_guard lock(mutex_);
    forget(to);
    slots_[to] = std::move(slots_[from]);
    slots_[from] = {};
}

void SceneStore::put(std::size_t i, Scene scene) {
    const std::lock_guard lock(mutex_);
    forget(i);
    Slot& slot = slots_[i];
    slot.bytes = pixel_bytes(scene);
    if (used_ + slot.bytes <= budget_) {
        used_ += slot.bytes;
        slot.in_memory = std::make_shared<const Scene>(std::move(scene));
        return;
    }
    slot.file = fmt::format("{}/.scene-{}", scratch_dir_, next_file_++);
    const FilePtr file(std::fopen(slot.file.c_str(), "wb"));
    if (!file)
        throw DataError(slot.file, std::string("cannot be created: ") + std::strerror(errno));
    for (const Plane& band : scene.raster.bands) write_plane(band, file.get(), slot.file);
    write_plane(scene.raster.valid, file.get(), slot.file);
    write_plane(scene.masks, file.get(), slot.file);
    if (std::fflush(file.get()) != 0)
        throw DataError(slot.file, std::string("cannot be written: ") + std::strerror(errno));
    const std::size_t bands = scene.raster.bands.size();
    scene.raster.bands.clear();
    scene.raster.bands.resize(bands);
    scene.raster.valid = {};
    scene.masks = {};
    slot.header = std::move(scene);
}

std::shared_ptr<const Scene> SceneStore::get(std::size_t i) const {
    const std::lock_guard lock(mutex_);
    const Slot& slot = slots_[i];
    if (slot.in_memory != nullptr) return slot.in_memory;
    auto scene = std::make_shared<Scene>(slot.header);
    const FilePtr file(std::fopen(slot.file.c_str(), "rb"));
    if (!file)
        throw DataError(slot.file, std::string("cannot be read back: ") + std::strerror(errno));
    const int width = scene->raster.grid.width, height = scene->raster.grid.height;
    for (Plane& band : scene->raster.bands)
        read_plane(band = Plane(width, height), file.get(), slot.file);
    read_plane(scene->raster.valid = Mask(width, height), file.get(), slot.file);
    read_plane(scene->masks = Mask(width, height), file.get(), slot.file);
    return scene;
}

}  // namespace fenceline
