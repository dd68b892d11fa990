#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/grid.h"
#include "core/plane_memory.h"

namespace fenceline {

/// A rectangle of pixels. Rows are padded to 64 bytes so that SIMD kernels may read whole vectors
/// of a row. Element type T: float for images, std::uint8_t for masks. Padding is zero and means
/// nothing.
template <class T>
class PlaneOf {
  public:
    PlaneOf() = default;
    PlaneOf(int width, int height, T fill = T{})
        : width_(width),
          height_(height),
          stride_((static_cast<std::size_t>(width) * sizeof(T) + 63) / 64 * 64 / sizeof(T)),
          data_(stride_ * static_cast<std::size_t>(height), fill) {}
    int width() const { return width_; }
    int height() const { return height_; }
    /// Elements from one row to the next.
    std::size_t stride() const { return stride_; }
    bool empty() const { return data_.empty(); }
    T* row(int y) { return data_.data() + static_cast<std::size_t>(y) * stride_; }
    const T* row(int y) const { return data_.data() + static_cast<std::size_t>(y) * stride_; }
    /// Unchecked: 0 <= x < width, 0 <= y < height.
    T& at(int x, int y) { return row(y)[x]; }
    const T& at(int x, int y) const { return row(y)[x]; }
    bool contains(int x, int y) const { return x >= 0 && y >= 0 && x < width_ && y < height_; }

  private:
    int width_ = 0, height_ = 0;
    std::size_t stride_ = 0;
    std::vector<T, PlaneAllocator<T>> data_;
};

using Plane = PlaneOf<float>;
/// Nonzero means "true" (valid, set).
using Mask = PlaneOf<std::uint8_t>;

/// What a band shows; decides which indices can be computed.
enum class BandRole { pan, blue, green, red, nir, other };
const char* name_of(BandRole role);

/// Planar float image on a grid. Values are the source's digital numbers (after scale/offset),
/// never NaN: a pixel without data holds 0 and valid == 0. valid is one for all bands.
struct Raster {
    Grid grid;
    std::vector<BandRole> roles;  ///< one per band
    std::vector<Plane> bands;
    Mask valid;

    const Plane* band(BandRole role) const {
        for (std::size_t i = 0; i < roles.size() && i < bands.size(); ++i)
            if (roles[i] == role) return &bands[i];
        return nullptr;
    }
};

/// Mean of the visible bands (or the pan band, or the first): what structure is looked for in.
/// Invalid pixels are 0.
Plane luminance(const Raster& raster);

}  // namespace fenceline
