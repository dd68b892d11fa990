#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/raster.h"

namespace fenceline {

/// What goes into a GeoTIFF beside the pixels.
struct TiffMetadata {
    std::map<std::string, std::string> tags;  ///< default domain, e.g. TIFFTAG_DATETIME, SIMULATED
    std::map<std::string, std::string> imd;   ///< IMD-like facts, written to the domain "IMD"
    std::vector<std::string> band_descriptions;
    int jpeg_quality =
        0;  ///< 50–100: JPEG (8-bit, 1 or 3 bands, without no-data and overviews); 0: lossless
    int deflate_level = 0;  ///< 1 (fast) – 9; 0: GDAL's own, 6
    double held_bytes = 0;  ///< an image made in strips waits in memory when it and its overviews
                            ///< take no more than this; else in a scratch file
    std::string
        overview_resampling;  ///< NEAREST, AVERAGE, …; empty: NEAREST for 8 bit, else AVERAGE
};

enum class PixelType { u8, u16, f32 };

/// Writes a Cloud Optimized GeoTIFF (DEFLATE, 512 blocks, overviews). Values are rounded and
/// clipped to the type; pixels with valid == 0 get no_data. Same input, same bytes. Throws
/// DataError (disk full included).
void write_cog(const std::string& path, const Raster& raster, PixelType type, double no_data,
               const TiffMetadata& metadata);

/// The same file from rows that are made as they are needed, for images larger than memory:
/// make(first row, rows) gives the raster of those rows, for strips of strip_rows from top to
/// bottom. More than one strip waits, uncompressed, in memory (metadata.held_bytes) or in path +
/// ".strips.tif", which is removed.
void write_cog(const std::string& path, const Grid& grid, int bands, int strip_rows, PixelType type,
               double no_data, const TiffMetadata& metadata,
               const std::function<Raster(int, int)>& make);

/// Fills a row of one band (0-based): grid.width values.
using RowSource = std::function<void(int band, int y, float* row)>;
/// Writes float bands as a Cloud Optimised GeoTIFF whose rows are made when they are asked for
/// (some of them more than once, for the overviews), so that no copy of the image is held. Throws
/// as write_cog().
void write_cog_rows(const std::string& path, const Grid& grid, int bands, const RowSource& source,
                    double no_data, const TiffMetadata& metadata);

}  // namespace fenceline
