#pragma once

#include <span>
#include <string>

#include "core/report.h"

namespace fenceline {

/// One tie point of one scene, for the analyst's map.
struct TiePointRecord {
    std::string scene;
    double lon = 0, lat = 0;
    double dx_m = 0, dy_m = 0;  ///< displacement that was found, east and north
    double residual_m = 0;      ///< held out
    bool kept = false;
};

/// results.gpkg: layers scenes (no geometry), perimeters, structures, changes, not_observable,
/// tie_points, and QGIS styles as defaults in layer_styles. WGS 84. Same values, same bytes. Throws
/// DataError (disk full included).
void write_geopackage(const std::string& path, const Report& report,
                      std::span<const TiePointRecord> tie_points);

}  // namespace fenceline
