#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/scene.h"
#include "core/warp.h"

namespace fenceline {

/// Prepares GDAL for hostile files: only allow-listed drivers stay registered, no PAM,
/// georeferencing from inside the file only, no network (FIELD_NOTES 5.1). Call once before any
/// other function of this room; idempotent.
void initialise_gdal();

/// Georeferencing choices that the user makes.
struct GeorefOptions {
    std::string dem_path;  ///< for RPC images; empty: height_m everywhere
    double height_m = 0;   ///< constant ellipsoidal height for RPC images
    bool allow_network = false;
};

/// Opens the image without reading pixels, checks sizes, blocks and bands, and fills in what the
/// file itself says (bands, roles, gsd_m, datetime and sun/view angles when still unknown,
/// simulated, notes on sidecars). Throws DataError with the reason in an analyst's words.
void probe_image(SceneInfo& info, const GeorefOptions& georef);

/// Outline of the image on the ground, degrees WGS 84. Throws DataError.
Ring image_footprint(const SceneInfo& info, const GeorefOptions& georef);

/// The image's own grid (compare works on BEFORE's). Throws DataError when it has none (RPC or GCP
/// images).
Grid image_grid(const SceneInfo& info, const GeorefOptions& georef);

/// One scene's pixels on a grid.
struct GridImage {
    /// raster.valid: 0 outside the image, under its mask or transparency, where any sample is NaN
    /// or no-data. One exception: when 0 is an integer image's no-data value, all bands must be 0
    /// (a deep shadow may be 0 in blue).
    Raster raster;
    Mask masks;  ///< kNoData, kSaturated and what the given mask says (cloud, shadow, snow, haze)
    bool mask_given = false;
};

/// What holds a file's samples without loss: 8 or 16 bit when all bands are such and no scale or
/// offset applies, else 32-bit float.
enum class SampleType { u8, u16, f32 };

/// Who decodes the blocks of a window: the thread that asks for it, or all of them. The latter pays
/// where one image is read at a time.
enum class Decoding { by_the_reader, on_all_threads };

/// An image that is read onto one window of a grid after the other, the file staying open: what
/// read_on_grid() does, for grids that are too large to hold. Values do not depend on the windows.
class GridReader {
  public:
    /// Throws DataError (unreadable, no georeference, far too fine for the grid).
    GridReader(const SceneInfo& info, const Grid& grid, const Warp& warp,
               const GeorefOptions& georef, Decoding decoding = Decoding::by_the_reader);
    ~GridReader();
    GridReader(GridReader&&) noexcept;
    GridReader& operator=(GridReader&&) = delete;
    /// A window inside the grid; one call at a time. Windows without any pixel of the image are no
    /// data throughout, unless the window is the whole grid (DataError).
    GridImage read(const Window& window);
    /// The same into an image whose memory is used again: for one strip after the other.
    void read(const Window& window, GridImage& out);
    /// From now on through another registration on the same grid; the file stays open, and what of
    /// it is decoded stays so. Throws DataError.
    void register_by(const Warp& warp);
    /// What a row of the file's blocks takes when it is decoded, all bands.
    std::size_t row_of_blocks_bytes() const;
    SampleType sample_type() const;
    int band_count() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Decoded blocks of all images together that are kept for the next read, at most: 256 MiB unless
/// it is said otherwise. Windows that cut through blocks need a row of them of every image.
void hold_decoded(std::size_t bytes);

/// Samples the source once: cubic (Keys 1981, a = -0.5; averaged over the footprint when the source
/// is finer), at source_px(map(warp(grid px))). warp: registration on this very grid, identity on
/// the first read. Only the source window that is needed is read. Throws DataError (unreadable,
/// truncated, no overlap with the grid).
GridImage read_on_grid(const SceneInfo& info, const Grid& grid, const Warp& warp,
                       const GeorefOptions& georef);

/// SHA-256 of a file, hex. Throws DataError when it cannot be read.
std::string sha256_of_file(const std::string& path);

}  // namespace fenceline
