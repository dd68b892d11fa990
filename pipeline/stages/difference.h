#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/options.h"
#include "core/scene.h"

namespace fenceline {

struct DifferenceOptions {
    int tile_px = 512;
    double false_discovery_rate = 0.05;
    double min_object_m2 = 15;
    double min_probability = 0.5;  ///< of a pixel's change; 0.5 finds candidates
    /// Of an object's change, from its pixels' mean log-odds; never below min_probability. A series
    /// tells by later looks what a pair alone must: compare_pair() sets more.
    double min_object_probability = 0;
    double min_surface_m2 = 150;  ///< vegetation and ground change
    /// The same where pixels are finer than 2.5 m: a pair alone cannot tell a few changed fields
    /// from earthworks. compare_pair() sets less.
    double max_fine_surface_share = 1;
    /// Listed; of more, the structures first, then the surest, then the largest. The map shows all.
    int max_objects = 20000;
    double max_surface_share =
        0.2;  ///< more changed surface than this is a season, not a list of objects
};
template <class Visitor>
void describe(DifferenceOptions& o, Visitor&& v) {
    v("difference.tile_px", o.tile_px, Range{64, 4096}, "px",
      "tile of the parallel computation; does not change the result");
    v("difference.false_discovery_rate", o.false_discovery_rate, Range{1e-6, 0.5}, "",
      "Benjamini–Hochberg q of the change threshold");
    v("difference.min_object_m2", o.min_object_m2, Range{0, 1e6}, "m²", "smallest change object");
    v("difference.min_probability", o.min_probability, Range{0.01, 0.99}, "",
      "probability from which a pixel may count as changed");
    v("difference.min_surface_m2", o.min_surface_m2, Range{0, 1e6}, "m²",
      "smallest object of changed vegetation or ground");
    v("difference.max_surface_share", o.max_surface_share, Range{0, 1}, "",
      "share of changed surface above which it is a season, not a list of objects");
    v("difference.max_objects", o.max_objects, Range{1, 10000000}, "",
      "most changes that are listed; of more, the surest and largest (the map shows all)");
}

/// CONTRACT.md, change maps.
enum class ChangeClass : std::uint8_t {
    none = 0,
    appeared = 1,
    disappeared = 2,
    modified = 3,
    vegetation = 4,
    ground = 5,
    illumination = 6,
    not_observed = 255
};

struct ChangeObject {
    Ring outline_px;
    Point centre_px;
    double area_m2 = 0;
    ChangeClass change_class = ChangeClass::none;
    double log_odds = 0;     ///< mean log-odds of its pixels
    double probability = 0;  ///< 0–1, of log_odds
};

struct ChangeMap {
    Mask change_class;                     ///< ChangeClass values
    Plane probability;                     ///< 0–1; 0 where not observed
    double threshold = 0;                  ///< on the evidence score (log-odds)
    double otsu = 0, kittler = 0, em = 0;  ///< what other thresholds would have been (sensitivity)
    double null_location = 0, null_scale = 0;  ///< of the score on unchanged ground
    int radius_px = 0;                         ///< misregistration that was tolerated
    std::vector<ChangeObject> objects;         ///< by place: top to bottom, left to right
    std::string note;                          ///< caveats for the report; may be empty
};

/// Change between two registered scenes on one grid, before normalised to after or both to a
/// reference. sigma_r_px: registration uncertainty, sets the tolerance radius. Methods:
/// METHODS.md 4.
ChangeMap difference(const Scene& before, const Scene& after, double sigma_r_px,
                     const DifferenceOptions& options);

/// Where what is kept of every pixel waits until the whole image has been seen: bytes by their
/// place. The caller says whether that is memory or a file. Both may throw DataError; reads of
/// several threads at a time must be possible.
struct Shelf {
    std::function<void(std::uint64_t at, const void* bytes, std::size_t count)> write;
    std::function<void(std::uint64_t at, void* bytes, std::size_t count)> read;
    /// Runs of unfinished regions (16 bytes each) from which on some of them wait here, too.
    std::size_t held_runs = 6'000'000;
};
Shelf memory_shelf();

/// The same for pairs that are too large to hold at once: statistics from samples of both scenes
/// (any mosaic of their pixels at full resolution), then the evidence of rows as they come, then
/// the decision. width, height: of the whole image. 4 bytes a pixel wait on the shelf, and the runs
/// of regions that are too many to be held (12 bytes each); memory goes with width and with what
/// has changed.
struct DifferenceScores;
std::shared_ptr<DifferenceScores> start_difference(const Scene& before, const Scene& after,
                                                   int width, int height, double sigma_r_px,
                                                   Shelf shelf);
/// Rows [y0, y1) of the image, each once, in any order. before, after: rows from first_row on,
/// which reach kEvidenceHalo rows further than y0 and y1, or to the image's border.
void add_difference_rows(DifferenceScores& scores, const Scene& before, const Scene& after,
                         int first_row, int y0, int y1, const DifferenceOptions& options);
/// Everything but the planes of the map, once, after all rows.
ChangeMap finish_difference(DifferenceScores& scores, const DifferenceOptions& options);
/// Row y of the finished map: ChangeClass values, probabilities. Several threads at a time may ask.
void change_map_row(const DifferenceScores& scores, int y, std::uint8_t* change,
                    float* probability);

/// The evidence that a pixel's score is made of (a fixed-weight logistic sum), each about 0 on
/// unchanged ground. Told for "something appeared"; for "disappeared" the images change places.
enum Evidence {
    kConstant,         ///< 1
    kRadiometric,      ///< log(1 + tolerant χ²/N) of the IR-MAD variates, 5 px mean of χ²
    kStructural,       ///< (1 - orientation NCC)/2 × share of textured ground
    kRadioStructural,  ///< product of the two
    kIndexNew,         ///< building index of the later image, in noise units, log-compressed
    kIndexGain,        ///< building index gained
    kSpotGain,     ///< the same for small compact things: the smallest top-hat over all directions
    kEdgesGained,  ///< textured ground gained
    kBrighter,     ///< tolerant luminance difference in noise units, 5 px mean
    kLuminance,    ///< its size
    kGreyer,       ///< saturation lost
    kLessGreen,    ///< vegetation index lost
    kShadow,       ///< new darkness on the side away from the sun, times index gained
    kShadeGone,    ///< the pixel lay in shade before: what is bright now may always have been there
    kShadeCame,    ///< the pixel lies in shade now
    kEvidenceCount
};
const char* name_of(Evidence evidence);
/// The evidence planes themselves, for benchmarks, training and tests: [evidence]. Empty when
/// nothing can be compared.
std::vector<Plane> change_evidence(const Scene& before, const Scene& after, double sigma_r_px,
                                   const DifferenceOptions& options, bool disappeared);

/// Thresholds of a histogram-like sample (not sorted; NaN-free): Otsu 1979; Kittler & Illingworth
/// 1986; two Gaussians by expectation-maximisation, where they cross (Bruzzone & Fernàndez Prieto
/// 2000). 0 for fewer than two values.
double otsu_threshold(std::span<const float> values);
double kittler_threshold(std::span<const float> values);
double em_threshold(std::span<const float> values);

}  // namespace fenceline
