#pragma once

#include "core/geometry.h"

namespace fenceline {

/// The ring on a lattice of that step (units of the points; > 0), without the loops that it makes
/// where it crosses or touches itself: of the two parts at such a place the larger one is kept. So
/// it is valid for GIS (OGC Simple Features). Empty when nothing with an area is left.
Ring simple_ring(const Ring& ring, double step);

}  // namespace fenceline
