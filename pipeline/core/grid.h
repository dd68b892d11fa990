#pragma once

#include <array>
#include <cmath>
#include <string>

#include "core/geometry.h"

namespace fenceline {

/// A raster's frame: CRS (WKT2) and GDAL's affine geotransform {x0, dx, rx, y0, ry, dy}.
struct Grid {
    std::string crs_wkt;
    std::array<double, 6> geotransform{0, 1, 0, 0, 0, -1};
    int width = 0, height = 0;

    Point map_from_px(Point px) const {
        const auto& g = geotransform;
        return {g[0] + g[1] * px.x + g[2] * px.y, g[3] + g[4] * px.x + g[5] * px.y};
    }
    Point px_from_map(Point map) const {
        const auto& g = geotransform;
        const double det = g[1] * g[5] - g[2] * g[4];
        const double x = map.x - g[0], y = map.y - g[3];
        return {(g[5] * x - g[2] * y) / det, (g[1] * y - g[4] * x) / det};
    }
    /// Side of a square pixel of the same area, in units of the CRS (metres on a common grid).
    double gsd() const {
        const auto& g = geotransform;
        return std::sqrt(std::abs(g[1] * g[5] - g[2] * g[4]));
    }
    bool operator==(const Grid&) const = default;
};

/// A rectangle of pixels of a grid; may be empty.
struct Window {
    int x = 0, y = 0, width = 0, height = 0;
    bool operator==(const Window&) const = default;
};

/// The part of a that lies in b; width and height 0 when they do not meet.
Window intersect(Window a, Window b);
/// Grown by margin on every side and clipped to a width × height raster.
Window grow(Window window, int margin, int width, int height);

}  // namespace fenceline
