#pragma once

#include <span>

#include "stages/perimeter_looks.h"

namespace fenceline {

/// A traced ring with the parts of the line that it passes by. A path search cuts across what juts
/// out: the way along both sides is long, and the cut looks like a line at both of its ends. Where
/// the ring's own stretch shows little of a line in some looks, the cheapest way between the places
/// on either side of it (Dijkstra 1959, 16 directions, squared cost, within 60 U) takes its place
/// if it shows clearly more. The same ring where nothing is gained.
Ring with_bypassed_parts(const Series& series, std::span<const int> looks, const Ring& ring_px);

}  // namespace fenceline
