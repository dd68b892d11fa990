#pragma once

#include <optional>
#include <span>
#include <vector>

#include "stages/perimeter_detour.h"
#include "stages/perimeter_looks.h"

namespace fenceline {

// Growth and shrinkage of a line: detours that are there after a date and not before.

/// A detour with what every scene says about it.
struct Candidate {
    Detour detour;
    Polyline path_px;   ///< refined
    double step_m = 1;  ///< along it, per column of what the looks say
    std::vector<Presence> there;
    Presence mean;             ///< in the mean of the looks that it was searched in
    std::vector<double> rise;  ///< per piece of `mean`, in z: support after the change less before;
                               ///< where walls are seen
    int change = 0;            ///< position in `usable` of the first look with the new line
    double score =
        0;  ///< log-likelihood ratio of "new line from then on" summed over the looks, not capped
    double supported = 0;
    Ring region_px;
    std::optional<bool> old_line_went;  ///< the stretch that it replaces; where walls are seen
    double ground = 0,
           area_sigma_m2 =
               0;  ///< StraightDetour's (worth: agreed with all), where the sensor shows no walls
};

/// The stretch of the ring that a detour replaces, both ends included.
Polyline replaced_stretch(const Centreline& ring, const Detour& detour);

/// The ring with the stretches replaced. The changes' stretches do not overlap.
Ring with_changes(const Centreline& ring, std::span<const Candidate* const> changes);

/// Expansions and contractions of the line that is first seen in scene first_seen. METHODS.md 5,
/// "Growth".
std::vector<Candidate> find_changes(const Series& series, const Centreline& ring, int first_seen,
                                    double area_m2);

}  // namespace fenceline
