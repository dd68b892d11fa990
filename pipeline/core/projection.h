#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/geometry.h"
#include "core/grid.h"

namespace fenceline {

/// A coordinate operation between two CRS, axes in the order x/longitude, y/latitude whatever the
/// authority says. Not for use by two threads at once: copies are cheap to make (construct
/// another).
class Transform {
  public:
    /// from/to: anything PROJ understands ("EPSG:4326", WKT). Throws DataError when there is no
    /// such operation.
    Transform(const std::string& from_crs, const std::string& to_crs);
    ~Transform();
    Transform(Transform&&) noexcept;
    Transform& operator=(Transform&&) noexcept;
    /// Coordinates that cannot be transformed come back as infinity.
    Point operator()(Point point) const;
    Point inverse(Point point) const;
    Ring operator()(const Ring& ring) const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// "EPSG:32652" for the UTM zone (WGS 84) of a place, with Norway's and Svalbard's exceptions left
/// out on purpose: a site's grid only needs to be metric and near-conformal.
std::string utm_crs(Point lonlat);
/// WKT2 of a CRS given in any form PROJ understands. Throws DataError when it does not.
std::string wkt_of(const std::string& crs);
/// "EPSG:32652" when PROJ can identify the CRS, else its name, else the WKT.
std::string short_crs_name(const std::string& crs_wkt);

/// Grid pixels to WGS 84 and back.
class GridProjection {
  public:
    explicit GridProjection(const Grid& grid);
    Point lonlat_from_px(Point px) const { return to_lonlat_(grid_.map_from_px(px)); }
    Point px_from_lonlat(Point lonlat) const {
        return grid_.px_from_map(to_lonlat_.inverse(lonlat));
    }
    Ring lonlat_from_px(const Ring& ring) const;
    Ring px_from_lonlat(const Ring& ring) const;
    const Grid& grid() const { return grid_; }

  private:
    Grid grid_;
    Transform to_lonlat_;
};

}  // namespace fenceline
