#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/geometry.h"
#include "core/time.h"

namespace fenceline {

/// What `fenceline simulate` renders: a place, what stands there and when, and how each image was
/// taken. Read from configs/scenarios/*.json (input/scenario.h). Local positions are metres east
/// and north of the place.

enum class LineKind { none, wall, double_fence };

/// The camp's line at the beginning.
struct ScenarioLine {
    LineKind kind = LineKind::wall;
    double height_m = 3, thickness_m = 0.5;
    double strip_m = 9;  ///< width of the cleared strip
    bool patrol_path = true;
    double area_m2 = 250000, length_m = 2200;
    double aspect = 1.3;  ///< east–west extent over north–south
    Polyline vertices;    ///< given outline, local metres; empty: drawn from the seed
    bool known = true;    ///< the sites file carries the line of the first date
    double known_error_m =
        3;           ///< how far off an analyst digitised it (1 sigma, smooth along the line)
    int posts = 12;  ///< guard posts on it
    int gates = 1;
};

/// The line moves at some instant.
struct LineChange {
    Time at;
    bool expansion = true;
    double area_m2 = 0, length_m = 0;  ///< after the change; length 0: whatever comes out
    double direction_deg = 90;         ///< towards where, clockwise from north
    double span_deg = 150;             ///< how much of the line moves, seen from the centre
    int posts = 0;                     ///< new guard posts on the moved stretch
};

struct PostChange {
    Time at;
    int added = 0, removed = 0;
};

struct BuildingChange {
    Time at;
    int added = 0, removed = 0, rebuilt = 0;  ///< rebuilt: another building on the same spot
    double direction_deg = -1;  ///< side of the camp (clockwise from north); negative: anywhere
};

/// Things that change and must not be reported as structures, and ordinary changes of land.
struct ScenarioDistractors {
    int vehicles = 12, haystacks = 20, ponds = 2, repainted_roofs = 3, felled_patches = 2,
        pylons = 8;
};

struct ScenarioLand {
    double relief_m = 45;
    double forest = 0.35, fields = 0.45;  ///< shares of the open land
    double trees = 1;                     ///< times the usual number of trees and bushes
    double texture = 1;                   ///< times the usual contrast of the ground's fine grain
    int villages = 3;
    int houses_per_village = 28;
};

struct ScenarioBuildings {
    int barracks = 14, workshops = 8, houses = 40, offices = 6;
};

struct ScenarioRegistration {
    double dx_m = 0, dy_m = 0;  ///< east, north: where things appear minus where they are
    double rotation_mrad = 0, scale_ppm = 0, shear_mrad = 0;
    double local_px = 0;  ///< rms of a smooth local field
};

struct ScenarioScene {
    std::string id;  ///< empty: made from the date
    Time datetime;
    std::string sensor = "SIM-1";
    double gsd_m = 0.5;
    std::string bands = "rgb";  ///< pan, rgb, bgrn
    int bits = 8;               ///< 8 or 11
    double off_nadir_deg = 0, view_azimuth_deg = 180;
    double haze = 0.1, cloud = 0, snow = 0, soil_moisture = 0.3;  ///< 0–1
    double blur_px = 0.45;  ///< Gaussian sigma of optics and motion, in pixels of the image
    double noise = 1;       ///< times the sensor's usual noise
    std::vector<double> gain, offset;  ///< per band, on top of the nominal stretch; empty: 1 and 0
                                       ///< (offset in DN of 8 bit)
    ScenarioRegistration registration;
};

/// How far other seeds than the file's own may draw away from what the file says (half-ranges, 0:
/// not at all). The file's own seed gives the file as it stands.
struct ScenarioVariants {
    double days = 0, minutes = 0;  ///< of each scene's time
    double off_nadir_deg = 0, view_azimuth_deg = 0;
    double haze = 0, cloud = 0, snow = 0, soil_moisture = 0;  ///< where the file has some
    double blur_px = 0;
    double gsd = 0, noise = 0, gain = 0, texture = 0;                    ///< relative
    double shift_m = 0, rotation_mrad = 0, scale_ppm = 0, local_px = 0;  ///< registration
    double counts = 0;  ///< relative: posts, buildings, distractors
    double size = 0;    ///< relative: area of the line, and how much a change of it gains or loses
};

struct Scenario {
    std::string id = "scenario", name = "Simulated site", family = "custom";
    std::uint64_t seed = 1;
    Point place_lonlat{129.7253, 41.8344};
    double width_m = 1000, height_m = 1000;  ///< area of interest
    double margin_m = 60;                    ///< imaged ground around it
    std::string compression = "deflate";     ///< deflate (lossless) or jpeg (8 bit, quality 90)
    int jpeg_quality = 90;
    ScenarioLand land;
    ScenarioLine line;
    std::vector<LineChange> line_changes;
    std::vector<PostChange> post_changes;
    ScenarioBuildings buildings;
    std::vector<BuildingChange> building_changes;
    ScenarioDistractors distractors;
    std::vector<ScenarioScene> scenes;  ///< in time order
    ScenarioVariants variants;
};

}  // namespace fenceline
