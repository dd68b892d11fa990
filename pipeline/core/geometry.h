#pragma once

#include <cmath>
#include <optional>
#include <vector>

namespace fenceline {

/// A position. The variable's name says in what: _px (grid pixels; (0,0) is the outer corner of the
/// first pixel, its centre (0.5,0.5); y down), _map (metres of the grid's CRS) or _lonlat (degrees
/// WGS 84, x = longitude).
struct Point {
    double x = 0, y = 0;
    bool operator==(const Point&) const = default;
};
inline Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
inline Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
inline Point operator*(double s, Point a) { return {s * a.x, s * a.y}; }
inline double dot(Point a, Point b) { return a.x * b.x + a.y * b.y; }
inline double cross(Point a, Point b) { return a.x * b.y - a.y * b.x; }
inline double norm(Point a) { return std::hypot(a.x, a.y); }
inline double distance(Point a, Point b) { return norm(a - b); }

/// A closed line; the first vertex is not repeated at the end.
using Ring = std::vector<Point>;
/// An open line.
using Polyline = std::vector<Point>;

/// A polygon: outer ring first, then holes.
using Polygon = std::vector<Ring>;

/// Signed area in the plane (positive: counter-clockwise with y up).
double signed_area(const Ring& ring);
double ring_length(const Ring& ring);
double line_length(const Polyline& line);
Point centroid(const Ring& ring);
/// Even-odd rule; points on the border may fall on either side.
bool contains(const Ring& ring, Point point);
bool contains(const Polygon& polygon, Point point);
/// Distance from a point to the closed line.
double distance_to_ring(const Ring& ring, Point point);
double distance_to_line(const Polyline& line, Point point);
/// Vertices at equal arc length, at most step apart (the ring closes onto its first vertex; count
/// >= 3).
Ring resample_ring(const Ring& ring, double step);
Polyline resample_line(const Polyline& line, double step);
/// Douglas & Peucker 1973; keeps at least a triangle.
Ring simplify_ring(const Ring& ring, double tolerance);
/// Convex intersection-over-union etc. of two simple polygons, by rasterising at the given step
/// (units of the points).
double polygon_iou(const Ring& a, const Ring& b, double step);

}  // namespace fenceline
