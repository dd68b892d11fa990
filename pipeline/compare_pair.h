#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/progress.h"
#include "core/report.h"
#include "core/scene.h"
#include "input/image_io.h"
#include "stages/align.h"
#include "stages/difference.h"
#include "stages/normalize.h"
#include "stages/observe.h"

namespace fenceline {

struct CompareOptions {
    ObserveOptions observe;
    AlignOptions align;
    NormalizeOptions normalize;
    DifferenceOptions difference;
    GeorefOptions georef;
    double min_object_probability = 0.82;   ///< of a structure's change, finer than 2.5 m
    double max_surface_share = 0.01;        ///< of changed ground and vegetation, finer than 2.5 m
    double min_building_probability = 0.5;  ///< of a building's change; pairs held in memory
    bool assume_registered =
        false;  ///< take the georeferences as they are when registration finds no support
    std::size_t max_memory_bytes = std::size_t{2048} << 20;
    /// Pixels from which on a pair is taken strip by strip, and of the overview it is then
    /// registered on. Not options of the program: the result must not depend on them, but by their
    /// own limits.
    double large_pair_pixels = 16e6, overview_pixels = 8e6;
    /// Where what is kept of every pixel (4 bytes) waits when it is more than held_bytes; empty:
    /// always in memory.
    std::string scratch_dir;
    std::size_t held_bytes = std::size_t{320} << 20;
};
template <class Visitor>
void describe(CompareOptions& o, Visitor&& v) {
    v("compare.assume_registered", o.assume_registered,
      "compare by the georeferences alone when the images cannot be registered");
    v("compare.min_object_probability", o.min_object_probability, Range{0, 0.99}, "",
      "probability from which on a changed structure is one, where pixels are finer than 2.5 m (a "
      "pair has no later looks that could tell)");
    v("compare.max_surface_share", o.max_surface_share, Range{0, 1}, "",
      "share of changed ground and vegetation above which it is a season, where pixels are finer "
      "than 2.5 m (at most difference.max_surface_share)");
    v("compare.min_building_probability", o.min_building_probability, Range{0.01, 0.99}, "",
      "probability from which on a building that one image shows, or both differently, has changed "
      "(pairs of up to 16 million pixels of less than about 2 m)");
    describe(o.observe, v);
    describe(o.align, v);
    describe(o.normalize, v);
    describe(o.difference, v);
}

/// What a comparison found, and what its files are made of.
struct CompareOutcome {
    Report report;  ///< without site, perimeters and structures
    Grid grid;      ///< BEFORE's own (its UTM zone when it has RPCs or GCPs only); the map's
    ChangeMap map;  ///< without its planes: rows are asked for one by one
    /// Row y of the map: ChangeClass values and probabilities; several threads at a time may ask.
    std::function<void(int y, std::uint8_t* change, float* probability)> map_row;
    Alignment alignment;          ///< of AFTER to BEFORE
    Normalization normalization;  ///< of AFTER to BEFORE
    /// Registered and normalised, in the frame in which they were judged (pair_order.h: BEFORE's or
    /// AFTER's); their raster's grid is in metres. Without pixels for large pairs.
    Scene before, after;
};

/// The straight line for one pair of rasters, of any CRS, GSD and bands, no site: observe, align,
/// normalize, difference. before, after: as probe_image fills them in. Throws DataError when one
/// cannot be read, when they do not overlap (the message has both extents), when they cannot be
/// registered, or when BEFORE's grid does not fit into the memory allowed.
CompareOutcome compare_pair(SceneInfo before, SceneInfo after, const CompareOptions& options,
                            Progress& progress);

}  // namespace fenceline
