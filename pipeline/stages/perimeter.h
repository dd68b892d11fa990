#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/options.h"
#include "core/report.h"
#include "core/scene.h"
#include "core/surface_maps.h"

namespace fenceline {

struct PerimeterOptions {
    double ribbon_m = 40;        ///< half width of the search around the known line
    double max_gap_m = 60;       ///< longer unseen stretches are not bridged silently
    double max_detour_m = 1000;  ///< how far growth is looked for
    double min_change_share = 0.02;
    double normal_noise_m = 2, noise_length_m = 30, shared_bias_m = 1;
};
template <class Visitor>
void describe(PerimeterOptions& o, Visitor&& v) {
    v("perimeter.ribbon_m", o.ribbon_m, Range{5, 500}, "m",
      "half width of the search around the known line");
    v("perimeter.max_gap_m", o.max_gap_m, Range{0, 1000}, "m",
      "longest unseen stretch that is bridged");
    v("perimeter.max_detour_m", o.max_detour_m, Range{0, 5000}, "m",
      "how far from the line growth is looked for");
    v("perimeter.min_change_share", o.min_change_share, Range{0.001, 1}, "",
      "smallest share of the area that counts as growth or shrinkage");
    v("perimeter.normal_noise_m", o.normal_noise_m, Range{0, 100}, "m",
      "error model: noise across the line (1 sigma)");
    v("perimeter.noise_length_m", o.noise_length_m, Range{1, 1000}, "m",
      "error model: its correlation length along the line");
    v("perimeter.shared_bias_m", o.shared_bias_m, Range{0, 100}, "m",
      "error model: bias shared by all dates (1 sigma)");
}

/// Directions that support for a line is kept for: direction k runs at k · 22.5° (from x towards
/// y).
constexpr int kLineDirections = 8;

/// What one scene says about lines: planes on the scene's grid. Kept small (8 bit) because a whole
/// series is held.
struct LineEvidence {
    bool usable = false;
    double effective_gsd_m = 0;  ///< true resolution, from the spectrum; at least the grid's GSD
    double unit_m = 1;  ///< U: one metre, or 0.4 of the effective resolution where that is coarser
    int luminance_step_px = 1;        ///< grid pixels per pixel of luminance, hidden and drawn
    int search_step_px = 1;           ///< grid pixels per pixel of the directions
    PlaneOf<std::uint8_t> luminance;  ///< locally normalised, 128 + 32 z
    Mask hidden;                      ///< nonzero: nothing can be seen
    /// The network's probability of a line, in 255ths. Empty where the network has not read the
    /// scene.
    PlaneOf<std::uint8_t> drawn;
    /// Support for a line per direction, 50 (z + 1); 255: hidden. Empty until raise_directions, as
    /// only the tracing knows which evidence is to be asked.
    std::vector<PlaneOf<std::uint8_t>> directions;
};
/// maps: what the network has read off the scene; empty: the image alone speaks. Without
/// directions.
LineEvidence line_evidence(const Scene& scene, const SurfaceMaps& maps,
                           const PerimeterOptions& options);

/// The catalogue's line on the grid.
struct KnownLine {
    Ring ring_px;
    std::optional<Time> date;
};

struct TracedPerimeter {
    int scene = 0;  ///< index into the series
    Ring ring_px;
    std::vector<PerimeterSegment> segments;
    double supported_fraction = 0;
    double area_m2 = 0, length_m = 0;  ///< geodesic
    Interval area_ci, length_ci;
    /// How far this scene's own line lies from the one that it shows together with others, metres,
    /// 1 sigma. Empty where no other scene shows it or too little is seen.
    std::optional<double> off_line_m;
};

/// A detour of the line between two looks.
struct PerimeterChange {
    bool expansion = true;
    int last_before = 0, first_after = 0;  ///< scene indices
    Ring region_px;                        ///< ground gained or lost
    double area_m2 = 0;
    Interval area_ci;
    std::vector<std::pair<int, double>>
        log_likelihood_ratios;      ///< per scene: new line against old line
    double supported_fraction = 0;  ///< of the detour
    std::optional<bool> old_line_stands;
};

/// Growth between two perimeters, with the shared bias taken out.
struct PerimeterGrowth {
    int scene_before = 0, scene_after = 0;
    double area_ratio = 1, length_ratio = 1;  ///< after / before
    Interval area_ratio_ci, length_ratio_ci;
};

/// A line that was found where none is known.
struct FoundLine {
    bool unrivalled = false;  ///< no other closed line is nearly as clear
    std::string how;  ///< "no line was known: the clearest closed line … was taken for it"
};

struct PerimeterResult {
    std::optional<FoundLine> found;  ///< empty when the line was known beforehand
    std::vector<TracedPerimeter> perimeters;
    std::vector<PerimeterChange> changes;
    std::vector<PerimeterGrowth> growth;  ///< one per change, same order
    std::vector<std::string> notes;       ///< what could not be seen or told, as sentences
    /// Scenes whose evidence was moved onto the line that the others show, and by how much east and
    /// north, metres: what registration had left.
    std::vector<std::pair<int, Point>> settled;
};

/// Traces the line through the series: refined in the ribbon, expansions and contractions as
/// detours, each date measured with intervals. METHODS.md 5. scenes and evidence have the same
/// length and time order. known: with fewer than three corners no line is known, and the clearest
/// closed one of the first three looks that show one is taken (result.found); none where the sensor
/// shows no walls. evidence: its directions are raised; of looks whose own line lies beside the
/// common one it is moved onto that (perimeter_settle.h), and stays so.
PerimeterResult trace_perimeters(const Grid& grid, std::span<const SceneInfo> scenes,
                                 std::span<LineEvidence> evidence,
                                 std::span<const double> registration_sigma_m,
                                 const KnownLine& known, const PerimeterOptions& options);

/// Where a scene lies that could not be registered, by the line that the network draws in it: how
/// far it shows things from where the rings' frame has them, pixels, up to 25 m. Empty unless the
/// line lies clearly on one of the rings there (half of a clear line's support), and nowhere else
/// by more than .6 of that. evidence: of the scene as its georeference puts it.
std::optional<Point> place_by_line(const Grid& grid, const SceneInfo& scene, LineEvidence evidence,
                                   std::span<const Ring> rings_px, const PerimeterOptions& options);

/// A line that was drawn by hand in a scene, on the grid.
struct GivenPerimeter {
    int scene = 0;  ///< index into the series
    Ring ring_px;
};

/// Measures lines as traced ones are measured: area and length with their intervals, and what their
/// scene shows of them. No line is moved. In the order given; scenes, evidence and
/// registration_sigma_m as in trace_perimeters.
std::vector<TracedPerimeter> measure_given(const Grid& grid, std::span<const SceneInfo> scenes,
                                           std::span<const LineEvidence> evidence,
                                           std::span<const double> registration_sigma_m,
                                           std::span<const GivenPerimeter> given,
                                           const PerimeterOptions& options);

}  // namespace fenceline
