#pragma once

#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "core/options.h"
#include "core/report.h"
#include "core/scene.h"
#include "core/surface_maps.h"

namespace fenceline {

struct StructureOptions {
    double min_building_m2 = 15, max_building_m2 = 4000;
    /// Posts are looked for within this distance of the line. They stand within 4 m of it, but a
    /// new stretch of line is traced 10–30 m off in places.
    double post_ribbon_m = 30;
    double min_post_px = 3;               ///< smaller posts are not observable
    double match_m = 6;                   ///< same object in two looks
    double post_min_log_odds = -1.0;      ///< a look finds a post from here on
    double building_min_log_odds = -1.0;  ///< a look finds a building from here on
    /// A scene whose pixels, or whose true resolution, are coarser than this (m) is not read by the
    /// network of surfaces. It was shown up to 1.0 m.
    double read_up_to_m = 1.3;
};
template <class Visitor>
void describe(StructureOptions& o, Visitor&& v) {
    v("structures.min_building_m2", o.min_building_m2, Range{1, 1e6}, "m²", "smallest building");
    v("structures.max_building_m2", o.max_building_m2, Range{1, 1e7}, "m²", "largest building");
    v("structures.post_ribbon_m", o.post_ribbon_m, Range{1, 200}, "m",
      "guard posts are looked for within this distance of the line");
    v("structures.min_post_px", o.min_post_px, Range{1, 50}, "px",
      "posts with fewer pixels across cannot be seen and are not counted");
    v("structures.match_m", o.match_m, Range{0.1, 100}, "m",
      "farthest two looks may place one object apart");
    v("structures.post_min_log_odds", o.post_min_log_odds, Range{-12, 12}, "",
      "log-odds from which a single look finds a guard post");
    v("structures.building_min_log_odds", o.building_min_log_odds, Range{-12, 12}, "",
      "log-odds from which a single look finds a building");
    v("structures.read_up_to_m", o.read_up_to_m, Range{0, 2}, "m",
      "coarsest image that the network of roofs, walls and posts reads; 0: it reads none");
}

/// Side that nine guard posts in ten have at least: where it has too few pixels across, a count
/// would leave posts out without a word, so none is given.
constexpr double kSmallPost_m = 2.65;

enum class StructureKind { building, guard_post };

/// One object as one scene shows it, or as several looks agree on it.
struct Detection {
    StructureKind kind = StructureKind::building;
    Ring footprint_px;  ///< oriented rectangle or polygon; posts: a small square
    Point centre_px;
    double area_m2 = 0;
    std::optional<double> height_m;
    std::optional<Interval> height_ci;
    double log_odds = 0;  ///< of being real, from this scene alone
    bool on_map = false;  ///< a building whose rectangle fits the network's map
    /// Of another building that stands on its place at another time; 0: there is none.
    double rival_area_m2 = 0;
    Polyline
        line_px;  ///< posts: the stretch of the line they were found along, about 45 m each way
};

enum class Seen { present, absent, not_observable };
/// What one scene says about one object that some look has found.
struct Look {
    Seen seen = Seen::not_observable;
    double log_likelihood_ratio = 0;  ///< present against absent; 0 when not observable
    bool on_map = false;              ///< read off the network's map of surfaces, too
    /// Log-odds that the network gives for this look alone; NaN when not observable.
    double score = std::numeric_limits<double>::quiet_NaN();
    std::optional<double> height_m;
    /// How clearly a building's roof stands out where the look shows it: the depth of its shadow,
    /// or the step across the border of a roof brighter than the ground, in units of the scene's
    /// spread. NaN when the sun is not known.
    double border = std::numeric_limits<double>::quiet_NaN();
    /// Sides of a building's roof as this look alone shows them, m, and how much brighter it is
    /// than the ground around, in units of the scene's spread. NaN when absent.
    double longer_m = std::numeric_limits<double>::quiet_NaN(),
           shorter_m = std::numeric_limits<double>::quiet_NaN(),
           contrast = std::numeric_limits<double>::quiet_NaN();
};

/// What a small convolutional network reads off one scene: roofs, the line, guard posts. It is
/// fully convolutional with skips (after Ronneberger, Fischer and Brox 2015), four halvings, half a
/// million weights; what it was shown stands in benchmarks/surfaces_model_card.md. The maps serve
/// structures and perimeter alike; they are empty where the scene is too coarse or shows nothing.
/// What lies within 2.4 m of hidden ground is never a line or a post. The same bytes whatever the
/// number of threads.
SurfaceMaps surface_maps(const Scene& scene, const StructureOptions& options);

/// Can guard posts be seen at all at this scene's true resolution?
bool posts_observable(const Scene& scene, const StructureOptions& options);

/// maps: of the scene (surface_maps); without them buildings are looked for by a network of
/// windows.
std::vector<Detection> detect_buildings(const Scene& scene, const SurfaceMaps& maps,
                                        const Ring& area_px, const StructureOptions& options);
/// Posts along the lines (rings on the grid) of this or other dates.
std::vector<Detection> detect_posts(const Scene& scene, std::span<const Ring> lines_px,
                                    const StructureOptions& options);

/// Both, with the scene prepared once: buildings first.
std::vector<Detection> detect_structures(const Scene& scene, const SurfaceMaps& maps,
                                         const Ring& area_px, std::span<const Ring> lines_px,
                                         const StructureOptions& options);

/// Merges the detections of a series (one list per scene) into objects: assignment within match_m
/// (posts) or by overlap (buildings). The result's log_odds is the best single look's.
/// Deterministic.
std::vector<Detection> merge_detections(std::span<const std::vector<Detection>> per_scene,
                                        double gsd_m, const StructureOptions& options);

/// Looks at every object in this scene ("forced" measurement), present or not. Same order as
/// objects.
std::vector<Look> look_at(const Scene& scene, const SurfaceMaps& maps,
                          std::span<const Detection> objects, const StructureOptions& options);

}  // namespace fenceline
