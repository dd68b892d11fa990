#pragma once

#include "compare_pair.h"

// A pair is judged in one frame whichever way round it is asked for, so that the answers mirror
// each other: registration, resampling and thresholds are not symmetric to the last pixel.

namespace fenceline {

/// Whether AFTER's frame is the one: of two grids that differ by a shift only (and little in size)
/// that of the earlier image, or by their hashes when neither is earlier. False when BEFORE has no
/// grid of its own (GCPs, RPCs).
bool judged_in_frame_of_after(const SceneInfo& before, const SceneInfo& after,
                              const GeorefOptions& georef);

/// What was found of (AFTER, BEFORE), on AFTER's grid, told of (BEFORE, AFTER) on before_grid: map,
/// objects, registration and radiometry. The map's pixels are the nearest ones; what the scenes
/// hold stays in AFTER's frame.
void turn(CompareOutcome& outcome, const Grid& before_grid);

}  // namespace fenceline
