#pragma once

#include "core/geometry.h"

namespace fenceline {

/// Area in m² (never negative) and length of the closed line in m on the WGS 84 ellipsoid (PROJ's
/// geodesic.h, Karney 2013). Ring in degrees.
struct GeodesicMeasure {
    double area_m2 = 0, length_m = 0;
};
GeodesicMeasure measure_ring(const Ring& ring_lonlat);
/// Metres between two places on the ellipsoid.
double geodesic_distance(Point a_lonlat, Point b_lonlat);
double geodesic_length(const Polyline& line_lonlat);
/// The place at a distance (m) in a direction (degrees clockwise from north).
Point geodesic_destination(Point from_lonlat, double azimuth_deg, double distance_m);

}  // namespace fenceline
