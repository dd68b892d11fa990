#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "core/geometry.h"
#include "core/raster.h"
#include "stages/perimeter_ribbon.h"

namespace fenceline {

/// Where lines may have come or gone: one plane per direction (kLineDirections), 0 (nothing) … 1
/// (surely), on a grid whose pixels are `step` grid pixels wide and whose first pixel begins at
/// grid pixel `origin_px`.
struct GainField {
    std::vector<Plane> gain;
    Point origin_px;
    double step = 1;
};

/// A step of a path on a GainField: one of eight neighbours and eight knight's moves, each with the
/// plane of its direction.
struct LineMove {
    int dx, dy, direction;
    double length;
};
const std::array<LineMove, 16>& line_moves();

/// Keeps the cost of a metre without any evidence finite.
constexpr double kLineCostFloor = 0.08;

/// A path that leaves a ring and comes back to it on the same side.
struct Detour {
    int leaves = 0,
        returns = 0;  ///< indices of the ring's points; the ground lies between the path and the
                      ///< ring's points from `leaves` on to `returns` (with wrap)
    bool outside = true;
    Polyline path_px;  ///< from the first to the last of these points
    double score = 0;  ///< metres of path times its gain above that of any path here
    double mean_gain = 0, background_gain = 0;
};

/// A wall or a fence is seen as such (resolution of 5 m or finer), not only as the border of a
/// compound. There a new line stands out from everything, and the search may trust it over long
/// ways; where the sensor is coarser, every road and row of roofs is a line as strong, and long
/// detours through them would win.
constexpr bool shows_walls(double unit_m) { return unit_m <= 2; }

/// The best detours, best first, with disjoint stretches of the ring (per side) unless exits are
/// given. A front that runs from the whole ring over the cost 1/(0.08 + gain) (Dijkstra 1959, 16
/// directions) tells where new lines leave it; from each of these places a front of its own runs,
/// and where the fronts of two of them meet they make a detour: the place of meeting is free, so
/// that the detour need not be the shortest way between the two. (Fronts that run from the whole
/// ring at once never see a long detour: short ways across open ground get to its middle first.
/// This is what is done where walls are not seen as such.) The score is metres of path times gain
/// beyond any path's. Each encloses at least min_area_m2 and at most max_area_m2. unit_m: U. exits:
/// ring points where detours may begin and end, the best between any two of them per side; when
/// empty they are searched for.
std::vector<Detour> find_detours(const GainField& field, const Centreline& ring, double gsd_m,
                                 double unit_m, double min_area_m2, double max_area_m2,
                                 double max_distance_m, int most, std::span<const int> exits = {});

/// The cheapest ways, at the squared cost, from each of some ring points to each of others, per
/// side of the ring; for a stretch of the ring whose ends are known. What find_detours finds
/// between two exits is the way with the most new line, which may be a long one.
std::vector<Detour> find_ways(const GainField& field, const Centreline& ring,
                              std::span<const int> starts, std::span<const int> stops, double gsd_m,
                              double unit_m, double max_distance_m);

/// The cheapest way from one pixel to another (Dijkstra 1959, line_moves, 1/(kLineCostFloor +
/// gain)² per pixel of way), both ends included: y · width + x of each. gain: 0…1, one plane per
/// direction, all of one size; blocked: nonzero where no way goes. Empty when none costs less than
/// most_cost.
std::vector<int> cheapest_way(const std::vector<Plane>& gain,
                              const std::vector<std::uint8_t>& blocked, int begin, int end,
                              float most_cost = std::numeric_limits<float>::infinity());

/// A stretch of a path's points, from `from` up to `to` (excluded).
struct Stretch {
    std::size_t from = 0, to = 0;
};

/// The detour with the given stretches of its path walked anew, at the squared cost: the cheapest
/// way between their ends, or from the ring where a stretch holds an end of the path (the place
/// where the detour leaves the ring or comes back moves along). detour.path_px is the path that the
/// stretches count in.
Detour reroute(const GainField& field, const Centreline& ring, const Detour& detour,
               std::span<const Stretch> stretches, double gsd_m, double unit_m,
               double max_distance_m);

}  // namespace fenceline
