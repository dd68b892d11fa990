#include "pair_grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/geodesic.h"
#include "core/projection.h"

namespace fenceline {
namespace {

struct Extent {
    double west = 0, south = 0, east = 0, north = 0;
};

Extent extent_of(const Ring& ring_lonlat) {
    Extent e{1e9, 1e9, -1e9, -1e9};
    for (const Point& p : ring_lonlat) {
        e.west = std::min(e.west, p.x);
        e.east = std::max(e.east, p.x);
        e.south = std::min(e.south, p.y);
        e.north = std::max(e.north, p.y);
    }
    return e;
}

std::string text_of(const Extent& e) {
    return fmt::format("{:.5f} to {:.5f} E, {:.5f} to {:.5f} N", e.west, e.east, e.south, e.north);
}

void require_overlap(const SceneInfo& before, const Ring& before_lonlat, const SceneInfo& after,
                     const Ring& after_lonlat) {
    const Extent a = extent_of(before_lonlat), b = extent_of(after_lonlat);
    if (a.west < b.east && b.west < a.east && a.south < b.north && b.south < a.north) return;
    throw DataError(after.path,
                    fmt::format("it does not overlap {}: it covers {}, the other {}", before.path,
                                text_of(b), text_of(a)),
                    "check the coordinate reference systems of both images");
}

}  // namespace

Grid pair_grid(const SceneInfo& first, const SceneInfo& second, const Ring& first_lonlat,
               const ObserveOptions& observe, const GeorefOptions& georef) {
    require_overlap(first, first_lonlat, second, image_footprint(second, georef));
    try {
        return image_grid(first, georef);
    } catch (const DataError&) {
        ObserveOptions tight = observe;
        tight.margin_m = 0;
        const SceneInfo alone[] = {first};
        return common_grid(first_lonlat, alone, tight);
    }
}

Grid with_metric_crs(const Grid& grid) {
    const bool geographic =
        grid.crs_wkt.rfind("GEOG", 0) == 0 || grid.crs_wkt.rfind("GEODCRS", 0) == 0;
    if (!geographic) return grid;
    const Point centre = grid.map_from_px({grid.width / 2.0, grid.height / 2.0});
    const std::string crs =
        fmt::format("+proj=eqc +lat_ts={:.6f} +R=6371008.8 +units=m +type=crs", centre.y);
    const Transform to_metres(grid.crs_wkt, crs);
    Grid metric = grid;
    metric.crs_wkt = wkt_of(crs);
    const double w = grid.width, h = grid.height;
    const Point o = to_metres(grid.map_from_px({0, 0})), x = to_metres(grid.map_from_px({w, 0})),
                y = to_metres(grid.map_from_px({0, h}));
    metric.geotransform = {o.x, (x.x - o.x) / w, (y.x - o.x) / h,
                           o.y, (x.y - o.y) / w, (y.y - o.y) / h};
    return metric;
}

Grid metric_twin(const Grid& grid) {
    Grid twin = grid;
    const GridProjection projection(grid);
    const double x = grid.width / 2.0, y = grid.height / 2.0, half_w = std::min(50.0, x),
                 half_h = std::min(50.0, y);
    const double width_m = geodesic_distance(projection.lonlat_from_px({x - half_w, y}),
                                             projection.lonlat_from_px({x + half_w, y})) /
                           (2 * half_w);
    const double height_m = geodesic_distance(projection.lonlat_from_px({x, y - half_h}),
                                              projection.lonlat_from_px({x, y + half_h})) /
                            (2 * half_h);
    if (!(width_m > 0) || !(height_m > 0) || !std::isfinite(width_m * height_m))
        throw DataError("grid", "its pixels have no size on the ground");
    twin.crs_wkt.clear();
    twin.geotransform = {0, width_m, 0, 0, 0, -height_m};
    return twin;
}

Point east_north(const Grid& grid, const Grid& twin, Point twin_shift_m) {
    const auto& g = grid.geotransform;
    const double columns = twin_shift_m.x / twin.geotransform[1],
                 rows = twin_shift_m.y / twin.geotransform[5];
    const double metres_per_unit = twin.gsd() / grid.gsd();  // a projection's scale, feet
    return metres_per_unit * Point{columns * g[1] + rows * g[2], columns * g[4] + rows * g[5]};
}

}  // namespace fenceline
