#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/raster.h"
#include "core/report.h"

namespace fenceline {

/// A small picture of a scene, north up as its grid is, for the report and for Google Earth.
struct ImageChip {
    std::string scene_id;
    std::string change_id;  ///< the change that it shows; empty: the whole scene
    std::vector<std::uint8_t> jpeg;
    std::array<Point, 4> corners_lonlat{};  ///< upper left, upper right, lower right, lower left
    int width = 0, height = 0;              ///< pixels of the JPEG
    std::string caption;                    ///< also its alternative text
};

struct ChipOptions {
    int overview_px = 1600;  ///< longer side of a whole scene
    int detail_px = 560;     ///< longer side of a change, at most; never enlarged
    double margin_m = 25;    ///< ground shown around a change
    int max_changes = 24;    ///< changes shown in close-up
    std::size_t overview_bytes =
        7'000'000;  ///< budget of all whole scenes together; sets their size
};

/// Display limits per channel (red, green, blue), digital numbers.
struct Stretch {
    std::array<float, 3> low{}, high{};
};
/// 2nd to 98th percentile of the valid pixels (about one million of them, on a regular lattice),
/// per channel. Bands: red, green, blue when the raster has them; else luminance in grey.
Stretch stretch_of(const Raster& raster);

/// The window as JPEG (quality fixed, so same pixels give the same bytes), averaged down to at most
/// max_px on its longer side. Pixels without data are light grey. An empty window or raster gives
/// an empty chip.
ImageChip make_chip(const Raster& raster, const Stretch& stretch, Window window, int max_px);

/// The changes that deserve a close-up: perimeter first, then by state, confidence and id; at most
/// `most`, rejected ones never.
std::vector<std::size_t> changes_to_show(const Report& report, int most);

/// Before and after of a change: the ids of the last scene in which it was not seen and of the
/// first in which it was. Empty ids when the report has no such scene.
struct ScenePair {
    std::string before, after;
};
ScenePair scenes_of(const Report& report, const ReportChange& change);

/// What the report shows of one scene: the whole of it, and the close-ups of the changes that it is
/// the before or after of. raster: on the report's grid.
std::vector<ImageChip> scene_chips(const Report& report, const std::string& scene_id,
                                   const Raster& raster, const ChipOptions& options = {});

}  // namespace fenceline
