#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/grid.h"
#include "output/raster_writer.h"
#include "stages/difference.h"

namespace fenceline {

/// Writes a change map as CONTRACT.md has it: a COG with the bands `class` and `probability`, both
/// Float32 (a TIFF has one type for all bands, and a probability stored as 0–254 would read wrong
/// wherever scale factors are ignored), no data 255, overviews by nearest neighbour (a class has no
/// average). Where the class is 255, not observed, the probability is NaN: 0 would say that nothing
/// changed there, and 255 is no probability. A TIFF of floats cannot hold a colour table, so QGIS
/// gets the classes' colours and names from PATH with the ending .qml, which it loads by itself;
/// the names are also in the file's tags (CLASS_0 … CLASS_255). grid: the map's own, with a CRS.
/// Throws DataError.
void write_change_map(const std::string& path, const ChangeMap& map, const Grid& grid,
                      TiffMetadata metadata = {});
/// The same from rows that are made when they are asked for, some of them more than once, by
/// several threads at a time.
using ChangeRow = std::function<void(int y, std::uint8_t* change, float* probability)>;
void write_change_map(const std::string& path, const ChangeRow& row, const Grid& grid,
                      TiffMetadata metadata = {});

/// The QGIS style that goes beside a change map.
std::string change_map_style();

}  // namespace fenceline
