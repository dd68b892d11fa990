#include "core/geodesic.h"

#include <geodesic.h>

#include <cmath>

namespace fenceline {
namespace {
geod_geodesic wgs84() {
    geod_geodesic g;
    geod_init(&g, 6378137.0, 1.0 / 298.257223563);
    return g;
}
}  // namespace

GeodesicMeasure measure_ring(const Ring& ring) {
    if (ring.size() < 3) return {};
    const geod_geodesic g = wgs84();
    geod_polygon polygon;
    geod_polygon_init(&polygon, 0);
    for (const Point p : ring) geod_polygon_addpoint(&g, &polygon, p.y, p.x);
    double area = 0, length = 0;
    geod_polygon_compute(&g, &polygon, 0, 1, &area, &length);
    return {std::abs(area), length};
}

double geodesic_distance(Point a, Point b) {
    const geod_geodesic g = wgs84();
    double metres = 0;
    geod_inverse(&g, a.y, a.x, b.y, b.x, &metres, nullptr, nullptr);
    return metres;
}

double geodesic_length(const Polyline& line) {
    double total = 0;
    for (std::size_t i = 1; i < line.size(); ++i) total += geodesic_distance(line[i - 1], line[i]);
    return total;
}

Point geodesic_destination(Point from, double azimuth_deg, double distance_m) {
    const geod_geodesic g = wgs84();
    double lat = 0, lon = 0;
    geod_direct(&g, from.y, from.x, azimuth_deg, distance_m, &lat, &lon, nullptr);
    return {lon, lat};
}

}  // namespace fenceline
