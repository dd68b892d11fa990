#pragma once

#include <string>
#include <vector>

#include "core/options.h"
#include "core/scene.h"

namespace fenceline {

struct DifferenceOptions {
    int tile_px = 512;
    double false_discovery_rate = 0.05;
    double min_object_m2 = 15;
};
template <class Visitor>
void describe(DifferenceOptions& o, Visitor&& v) {
    v("difference.tile_px", o.tile_px, Range{64, 4096}, "px", "tile of the parallel computation; does not change the result");
    v("difference.false_discovery_rate", o.false_discovery_rate, Range{1e-6, 0.5}, "", "Benjamini–Hochberg q of the change threshold");
    v("difference.min_object_m2", o.min_object_m2, Range{0, 1e6}, "m²", "smallest change object");
}

/// CONTRACT.md, change maps.
enum class ChangeClass : std::uint8_t {
    none = 0, appeared = 1, disappeared = 2, modified = 3, vegetation = 4, ground = 5, illumination = 6, not_observed = 255
};

struct ChangeObject {
    Ring outline_px;
    Point centre_px;
    double area_m2 = 0;
    ChangeClass change_class = ChangeClass::none;
    double log_odds = 0;     ///< sum of the evidence
    double probability = 0;  ///< 0–1
};

struct ChangeMap {
    Mask change_class;   ///< ChangeClass values
    Plane probability;   ///< 0–1
    double threshold = 0;                  ///< on the evidence score
    double otsu = 0, kittler = 0, em = 0;  ///< what other thresholds would have been (sensitivity)
    double null_location = 0, null_scale = 0;
    std::vector<ChangeObject> objects;
    std::string note;  ///< caveats for the report; may be empty
};

/// Change between two registered scenes on one grid, before normalised to after or both to a reference.
/// sigma_r_px: registration uncertainty, sets the tolerance radius. Methods: METHODS.md 4.
ChangeMap difference(const Scene& before, const Scene& after, double sigma_r_px, const DifferenceOptions& options);

}  // namespace fenceline
