#pragma once

#include "core/geodesic.h"
#include "core/geometry.h"

namespace fenceline {

/// Metres east and north of an origin, for comparing places of one site: scales of the ellipsoid at
/// the origin, so distances are right to 0.2 % within 10 km north or south of it, and far better
/// between near neighbours.
struct LocalFrame {
    Point origin;
    double metres_per_degree_x = 1, metres_per_degree_y = 1;

    explicit LocalFrame(Point origin_lonlat)
        : origin(origin_lonlat),
          metres_per_degree_x(
              geodesic_distance(origin_lonlat, {origin_lonlat.x + 1e-3, origin_lonlat.y}) * 1e3),
          metres_per_degree_y(geodesic_distance({origin_lonlat.x, origin_lonlat.y - 5e-4},
                                                {origin_lonlat.x, origin_lonlat.y + 5e-4}) *
                              1e3) {}

    Point metres_from_lonlat(Point p) const {
        return {(p.x - origin.x) * metres_per_degree_x, (p.y - origin.y) * metres_per_degree_y};
    }
    Point lonlat_from_metres(Point p) const {
        return {origin.x + p.x / metres_per_degree_x, origin.y + p.y / metres_per_degree_y};
    }
    Ring metres_from_lonlat(const Ring& ring) const {
        Ring out;
        out.reserve(ring.size());
        for (const Point p : ring) out.push_back(metres_from_lonlat(p));
        return out;
    }
};

}  // namespace fenceline
