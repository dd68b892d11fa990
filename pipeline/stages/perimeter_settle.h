#pragma once

#include <span>
#include <utility>
#include <vector>

#include "core/geometry.h"
#include "stages/perimeter_looks.h"

namespace fenceline {

/// Where a ring lies on the most line.
struct LineShift {
    Point shift_px{};
    double support_before = 0;  ///< in z, mean over the ring, where it lies
    double support = 0;         ///< and where it is shifted to
    double rival = 0;           ///< the most at places further than 15 U from that
    double drawn_before = 0;  ///< mean probability that the network draws it with, 0–1; where it
    double drawn = 0;         ///< draws none, the support once more
};

/// The shift, at most most_m long, with which a ring lies on the most line in some looks: a line
/// that was drawn on another image is off as a whole first. Evidence is the directional support
/// along the ring's own way; without a clear gain the ring stays where it is.
LineShift shift_onto_line(const Series& series, std::span<const int> looks, const Ring& ring_px,
                          double most_m);

/// Registration leaves some looks beside the others (under snow by 3 to 4 m): their own line tells
/// by how much. The evidence of a look whose line clearly lies beside the ring is moved onto it, as
/// a whole, in whole cells; the scene that is the frame of the others (registration_sigma_m 0)
/// stays. evidence: the series' own, to be changed. Returns the scenes that were moved, with what
/// was added to x (east) and y (north), metres.
std::vector<std::pair<int, Point>> settle_on_line(const Series& series, const Ring& ring_px,
                                                  std::span<LineEvidence> evidence);

}  // namespace fenceline
