#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "stages/perimeter_ribbon.h"

namespace fenceline {

// What the looks of a series say about a line: every scene's support beside it, the line's place
// in that, and pieces of it against their parallels.

/// What every step needs to know of the series.
struct Series {
    const Grid& grid;
    std::span<const SceneInfo> scenes;
    std::span<const LineEvidence> evidence;
    std::span<const double> registration_sigma_m;
    const PerimeterOptions& options;
    std::vector<std::optional<Point>> sun_px;
    std::vector<int> usable;  ///< scene indices
    double gsd_m = 1, unit_m = 1, resolution_m = 1;
    bool drawn = false;  ///< lines are what the network draws, in the scenes that it has read
    /// How much farther off what is drawn lies than in images of several bands and .6 m or less.
    double drawn_spread = 1;

    /// Support for lines of direction k in a scene, as LineEvidence::directions[k].
    const PlaneOf<std::uint8_t>& directional(int scene, int k) const {
        return evidence[static_cast<std::size_t>(scene)].directions[static_cast<std::size_t>(k)];
    }
};

/// What registration has left of a scene's misplacement, 0…50 m (1 sigma).
double ribbon_sigma_m(const Series& series, int scene);

/// A line with every scene's support beside it.
struct Ribbon {
    Centreline line;
    int half_rows = 0;                 ///< the search and the widest parallel beside it fit in
    std::vector<LineSupport> support;  ///< per scene of the series; empty where not usable
};

/// reach_m: how far from the line its place will be searched. placed_by: the looks that trace may
/// be asked about.
Ribbon make_ribbon(const Series& series, Centreline line, double reach_m,
                   std::span<const int> placed_by);

/// Mean over some scenes of what the evidence says, where seen; 0 where none of them sees anything.
Plane mean_support(const Ribbon& ribbon, std::span<const int> scenes,
                   Plane LineSupport::*what = &LineSupport::z);

/// Mean over some scenes and over a straight stretch of the support for a line that runs its way
/// (LineEvidence::directions), in z; 0 where none of them sees anything.
double support_along(const Series& series, std::span<const int> scenes, Point from_px, Point to_px);

/// The line's row per column in the looks given: cheapest way through their mean evidence with a
/// weak pull towards the line that the ribbon was made along, at most reach_m from it.
std::vector<int> trace(const Series& series, const Ribbon& ribbon, std::span<const int> looks,
                       double reach_m);
/// The line that these rows are, smoothed over five columns; grid pixels.
Polyline path_at(const Series& series, const Ribbon& ribbon, const std::vector<int>& rows);

/// Support from which a piece of line counts as seen, and the share of a line's length that must
/// be.
constexpr double kSeenZ = 1.0;

enum class Piece : std::uint8_t { hidden, lost, won };

/// What one scene (or a mean of scenes) says about a line: pieces of it against their parallels.
struct Presence {
    std::vector<Piece> pieces;
    int columns_per_piece = 1;
    int won = 0, lost = 0;
    double chance =
        0;  ///< sum over the pieces of the share of parallels that look like a line, too
    double offset_m = 0;  ///< 1 sigma of how far, across, the look's own line lies from these rows:
                          ///< median deviation over the pieces won. NaN under five of them.
    double win_share() const {
        return won + lost > 0 ? static_cast<double>(won) / (won + lost) : 0.0;
    }
};

/// Nonzero where at least one of the scenes sees a ribbon's place.
Mask seen_in_any(const Ribbon& ribbon, std::span<const int> scenes);

/// z: support with the ribbon's rows and columns; seen: where it holds. A piece is won when the
/// best place within the tolerance around its rows looks like a line and beats more than half of
/// its parallels.
Presence compare_with_parallels(const Series& series, const Plane& z, const Mask& seen,
                                const std::vector<int>& rows, double along_m, double tolerance_m);

/// One look never says more than this (METHODS.md 5 has its looks independent; they are not).
constexpr double kMostPerLook = 6;
/// Of "the line is there" against "it is not"; 0 when nothing is seen.
double log_likelihood_ratio(const Presence& presence, double most = kMostPerLook);

/// Every scene's Presence of the line at these rows; empty where the scene is not usable.
std::vector<Presence> presence_in_scenes(const Series& series, const Ribbon& ribbon,
                                         const std::vector<int>& rows);

}  // namespace fenceline
