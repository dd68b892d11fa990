#pragma once

#include <span>
#include <vector>

#include "core/options.h"
#include "core/scene.h"
#include "core/sun.h"

namespace fenceline {

struct ObserveOptions {
    double gsd_m = 0;  ///< 0: the finest of the series
    double margin_m = 300;
    double usable_to_support = 0.30;  ///< below: the scene is left out
    double usable_to_start = 0.70;    ///< below: it may support a change, not start one
};
template <class Visitor>
void describe(ObserveOptions& o, Visitor&& v) {
    v("observe.gsd_m", o.gsd_m, Range{0, 1000}, "m",
      "pixel size of the common grid; 0 takes the finest of the series");
    v("observe.margin_m", o.margin_m, Range{0, 10000}, "m",
      "ground around the area of interest that is used for registration");
    v("observe.usable_to_support", o.usable_to_support, Range{0, 1}, "",
      "usable share of the area below which a scene is left out");
    v("observe.usable_to_start", o.usable_to_start, Range{0, 1}, "",
      "usable share below which a scene may support but not start a change");
}

/// The common grid of a series: the area's UTM zone, the series' finest GSD, origin snapped to
/// whole pixels, the area of interest plus a margin. footprints_lonlat (of the usable scenes) limit
/// it where images end earlier.
Grid common_grid(const Ring& area_lonlat, std::span<const SceneInfo> scenes,
                 const ObserveOptions& options);

/// Makes a scene out of pixels on the grid: masks (given ones win; else cloud, cloud shadow, snow,
/// saturation from the pixels), usable fraction over the area of interest, sun position when
/// metadata has none (NOAA, within 0.1°). Throws DataError for an image of one single value.
Scene observe(SceneInfo info, Raster raster, Mask given_masks, bool mask_given,
              const Ring& area_lonlat, const ObserveOptions& options);

}  // namespace fenceline
