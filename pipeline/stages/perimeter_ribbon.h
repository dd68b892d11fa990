#pragma once

#include <optional>
#include <span>
#include <vector>

#include "core/geometry.h"
#include "core/raster.h"
#include "stages/perimeter.h"

namespace fenceline {

// The perimeter stage's own workings: an image unrolled along a line, the evidence for a line in
// it, and the path search across it. Lengths are in units U (LineEvidence::unit_m) where a constant
// says so: one metre where a metre can be seen, more where the sensor is coarser, so that the same
// code reads a wall at 0.5 m and a compound at 10 m.

/// An image unrolled along a line: rows run across it (the middle row lies on the line, later rows
/// on the side of the normal), columns along it, with `padding` more columns on either side for the
/// averaging.
struct LineFrame {
    Plane image;  ///< locally normalised luminance, about -4…4; 0 where hidden
    Plane drawn;  ///< the network's probability of a line, in place of the image; or empty
    Mask seen;    ///< 1 seen, 0 hidden
    std::vector<float> sun;  ///< per column, -1…1: above 0 when the normal looks to the sun; 0: sun
                             ///< along or unknown
    double along_m = 1, across_m = 0.5;
    int padding = 0;
};

/// How strongly each place of a frame looks like a place on a line that runs along the frame.
struct LineSupport {
    Plane z;  ///< robust z against the rest of the frame, clipped to -1…4; 0 where hidden. Without
              ///< the padding.
    Plane
        fit;  ///< log-likelihood (up to a constant per column) that the line runs here rather than
              ///< at another row; for placing a line that is known to be there. 0 where hidden.
    Mask seen;  ///< nonzero: at least half of the averaged stretch is seen
};

/// Half length, in columns, of the averaging along the line; the padding that line_support needs.
int averaging_half_length(double along_m, double unit_m);

/// METHODS.md 5: orientation consistency .6, shadow on the side away from the sun .6, cleared strip
/// .4, averaged 15 U along the line with tilts (across over along). Where the network has drawn
/// lines, their probability instead, averaged the same way; z is then 0 where it draws none, 4
/// where it is sure of one.
/// for_placing: with `fit`, which stays empty otherwise.
LineSupport line_support(const LineFrame& frame, double unit_m, std::span<const double> tilts,
                         bool for_placing = true);

/// Points at equal steps with their normals. Closed lines run so that the normal points outwards.
struct Centreline {
    std::vector<Point> points_px, normals;
    bool closed = true;
    double step_m = 1;
};
Centreline centreline_of_ring(const Ring& ring_px, double gsd_m, double unit_m);
Centreline centreline_of_path(const Polyline& path_px, double gsd_m, double unit_m);

/// Unit vector towards the sun in grid pixels; empty when the sun is not known.
std::optional<Point> sun_direction_px(const SceneInfo& scene);

/// A scene's ribbon along a line: half_rows rows on either side of it. use_drawn: with what the
/// network has drawn, where it has.
LineFrame unroll(const LineEvidence& evidence, std::optional<Point> sun_px, const Centreline& line,
                 int half_rows, double gsd_m, double unit_m, bool use_drawn);

/// line_support of such a ribbon, with tilts of up to half a metre across per metre along.
LineSupport support_beside(const LineEvidence& evidence, std::optional<Point> sun_px,
                           const Centreline& line, int half_rows, double gsd_m, double unit_m,
                           bool use_drawn, bool for_placing);

/// A ring without its spurs: where it comes back to within `neck_px` of itself after at most
/// `most_px`, and the loop encloses hardly any ground, the loop is cut off.
Ring without_spurs(const Ring& ring_px, double neck_px, double most_px);

/// Cheapest way around (closed) or along (open) a frame, one row per column, steps of at most one
/// row per column. cost: rows × columns as in LineFrame. A closed path is searched over three laps,
/// the middle one is kept.
std::vector<int> cheapest_rows(const Plane& cost, bool closed, float jump_cost);

/// Median of the values (the lower one of an even count); 0 when there is none. Reorders its
/// argument.
float median_of(std::vector<float>& values);

}  // namespace fenceline
