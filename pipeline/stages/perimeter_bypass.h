#pragma once

#include <span>

#include "stages/perimeter_looks.h"

namespace fenceline {

/// The looks that show a line. With looks before it came, a place counts by how far its support
/// has risen, and what lies at the old line is left as it is.
struct LooksAtLine {
    std::span<const int> after, before{};
    const Ring* old_px = nullptr;    ///< with `before`
    double near_px = 0;              ///< distance up to which a place is the old line's
    const Ring* known_px = nullptr;  ///< the line as it was known beforehand
    double known_within_px = 0;      ///< how far from the line it may be
    bool is_old(Point p) const {
        return old_px != nullptr && distance_to_ring(*old_px, p) <= near_px;
    }
    bool is_near_known(Point p) const {
        return known_px != nullptr && distance_to_ring(*known_px, p) <= known_within_px;
    }
};

/// A traced ring with the parts of the line that it passes by. A path search cuts across what juts
/// out: the way along both sides is long, and the cut looks like a line at both of its ends. Where
/// the ring's own stretch shows little of a line, the cheapest way between the places on either
/// side of it (Dijkstra 1959, 16 directions, squared cost, within 90 U) takes its place if it shows
/// clearly more to three looks or more: one or two have lines by chance. Where the stretch lies at
/// the known line, so must the way. The same ring where nothing is gained, with fewer looks, and
/// under 60 U of length. ring_px: grid pixels.
Ring with_bypassed_parts(const Series& series, const LooksAtLine& looks, const Ring& ring_px);

}  // namespace fenceline
