#pragma once

#include "compare_pair.h"

// Of a pair, evidence of change alone gives speckles and outlines that miss the roofs by lean and
// shade. Where buildings can be told, they are looked for in both images, and those that stand in
// one of them only, or were rebuilt, become the objects.

namespace fenceline {

/// Looks for buildings in both scenes of the outcome (which must hold their pixels) and puts those
/// that changed in the place of the map's structures, with their walls as outlines; the map's rows
/// show them, too. Other structures stay where they are large and clear. Where no building can be
/// told (pixels of more than about 2 m), nothing happens. min_probability: of a building's change.
void tell_buildings(CompareOutcome& outcome, double gsd_m, double min_probability);

/// Log-odds that a building changed. higher, lower: log-likelihood ratios of its being there in the
/// image that shows it better and in the other one; changed_share: mean probability of change of
/// the pixels between its walls, 0–1. Of one that stands in both (lower > 0): growth, the logarithm
/// of the ratio of its areas, and moved_m, how far apart both images place its middle.
double building_change_log_odds(double higher, double lower, double changed_share, double growth,
                                double moved_m);

}  // namespace fenceline
