#pragma once

#include <span>
#include <vector>

#include "stages/align.h"

// A series as a network: every scene is matched to the reference (the star) and to neighbours in
// season; all registrations are then solved together.

namespace fenceline {

/// Two scenes (places in the series) that are matched to each other.
struct SeriesPair {
    int target = 0, neighbour = 0;
    bool operator==(const SeriesPair&) const = default;
};

/// For every scene but the reference its nearest neighbours by day of year (then by date), the
/// reference left out: the star holds it already. Each pair once, in a fixed order. Scenes without
/// a time have none.
std::vector<SeriesPair> neighbours_in_season(std::span<const SceneInfo> scenes, int reference,
                                             int per_scene);

/// What align_between found for a pair.
struct SeriesTie {
    SeriesPair pair;
    Alignment between;
};

struct SeriesSolution {
    std::vector<Alignment> alignments;  ///< of every scene to the reference; the latter untouched
    /// How far each tie's displacement is from what the star says of it, RMS over the ground that
    /// both support, m (the triangle reference – neighbour – target does not close by this much);
    /// NaN: the pair was not matched. An error estimate that no single registration can give.
    std::vector<double> closure_m;
    /// Closures over what the standard errors promise, 1 when they are right; when larger, every
    /// σ_r has been multiplied by it.
    double variance_factor = 1;
};

/// Weighted least squares over the whole network at every node of a lattice: unknown are the
/// corrections x_s of the scenes' displacements, observed x_s = 0 with the star's σ_r and
/// x_j − x_i = what the tie found, with its σ_r, times what its closures over supported ground say
/// beyond the star's own σ_r (a variance component for each tie); Huber weights on the standardised
/// residuals, so that a pair which contradicts the others does not pull them. star: each scene's
/// alignment to the reference; failed ones take no part. ties without success neither. Source of
/// the method: network adjustment as in levelling (Mikhail & Ackermann 1976, ch. 6). Cost: a system
/// of as many unknowns as scenes for each of about 600 nodes.
SeriesSolution align_series(const Grid& grid, std::vector<Alignment> star, int reference,
                            std::span<const SeriesTie> ties, const AlignOptions& options);

}  // namespace fenceline
