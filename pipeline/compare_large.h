#pragma once

#include "compare_pair.h"

// Pairs that are too large to be held: everything that needs the whole image is taken on an
// overview of at most CompareOptions::overview_pixels and on a mosaic of samples, everything local
// goes strip by strip, reading overlapping with computing.

namespace fenceline {

/// compare_pair() for large pairs: fills in alignment, normalization, map, map_row, and before and
/// after without their pixels. grid: BEFORE's own; working: the same in metres. Throws DataError.
void compare_large(const SceneInfo& before, const SceneInfo& after, const Grid& working,
                   const Ring& before_lonlat, const CompareOptions& options, Progress& progress,
                   CompareOutcome& out);

}  // namespace fenceline
