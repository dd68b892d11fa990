#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/scene.h"

namespace fenceline::bench {

/// A pair to be registered, and where the truth is known, that.
struct AlignCase {
    std::string group, name;
    Scene reference, target;
    /// target_px from reference_px; empty: nothing can be right (hopeless), or it is not known.
    std::function<Point(Point)> truth;
    bool hopeless = false;
};
using TakeCase = std::function<void(AlignCase&&)>;

enum class Split { tune, report };

/// Real tiles (Rio, Joplin, OSCD, the AROSICS pair's reference) seen again through known
/// translations, affines, smooth local fields and far shifts: resampled by a 32-tap Kaiser-windowed
/// sinc in double precision, then gamma, uneven illumination, a tenth of the area changed, noise,
/// and rounding to whole grey levels. groups: names wanted, empty: all.
void real_tile_cases(const std::string& data, Split split, const std::vector<std::string>& groups,
                     unsigned repeats, const TakeCase& take);

/// Pairs that nothing can register: other places, all cloud, water, noise, turned or mirrored
/// tiles.
void hopeless_cases(const std::string& data, Split split, const TakeCase& take);

/// Scenes of simulated series (folders that `fenceline simulate` wrote), every one against the
/// series' reference, or all pairs. Truth at ground level.
void simulated_cases(const std::vector<std::string>& folders, bool all_pairs, const TakeCase& take);

/// A simulated series on its middle scene's grid, with the truth between any two of its scenes.
struct SimulatedSeries {
    std::string name;
    std::vector<Scene> scenes;
    std::size_t middle = 0;
    std::function<Point(std::size_t to, std::size_t from, Point from_px)> truth;
};
/// Empty: no truth, or fewer than two scenes.
std::optional<SimulatedSeries> simulated_series(const std::string& folder);

/// Real pairs without truth: Joplin before and after, the AROSICS pair, Dabancheng's scenes (all
/// i < j).
void joplin_cases(const std::string& data, const TakeCase& take);
void arosics_case(const std::string& data, const TakeCase& take);
std::vector<Scene> dabancheng_scenes(const std::string& data);

}  // namespace fenceline::bench
