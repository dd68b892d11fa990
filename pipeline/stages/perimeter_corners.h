#pragma once

#include <functional>

#include "core/geometry.h"

namespace fenceline {

/// Mean evidence for a line along a straight stretch, in z; any scale that can be compared.
using SupportAlong = std::function<double(Point from, Point to)>;

/// The polygon that a traced ring is of. Walls and fences run straight from corner to corner, and a
/// trace rounds the corners off and cuts their tips: its rows change by less than its columns, it
/// is smoothed, and evidence that is averaged along the line fades where the line ends. The ring is
/// split where it bends (Douglas & Peucker 1973, tolerance 1.5 U), a line is fitted to every side
/// by total least squares without the parts next to its ends, and neighbouring lines are prolonged
/// until they meet. A corner whose lines meet farther than 5 U from where the trace bends, or under
/// less than 20°, stays where it was. Up to three short sides (under 25 U) between two others give
/// way to the tip where those meet when the ways to the tip show more of a line than the short
/// sides do. Loops of up to 120 U are cut off. unit_px: U in the ring's units. A ring of fewer than
/// four sides is given back as it is.
Ring with_corners(const Ring& ring_px, double unit_px, const SupportAlong& support);

}  // namespace fenceline
