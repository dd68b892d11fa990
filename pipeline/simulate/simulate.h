#pragma once

#include <vector>

#include "core/grid.h"
#include "core/raster.h"
#include "core/report.h"
#include "core/scenario.h"
#include "core/scene.h"
#include "core/sun.h"
#include "core/warp.h"
#include "simulate/world.h"

namespace fenceline::simulate {

/// Where things appear in one image: a thing that truly stands at map position m (metres of the
/// grid's CRS) appears, at ground level, at m + displacement(m) in the image's own georeferencing.
struct Displacement {
    Point centre_map;           ///< the affine part turns about it
    double dx_m = 0, dy_m = 0;  ///< east, north
    std::array<double, 4>
        linear{};      ///< dX = [0] X + [1] Y, dY = [2] X + [3] Y, X, Y from centre_map
    LocalField local;  ///< metres, on a lattice of map metres from origin_map; y counts south
    Point origin_map;
    Point operator()(Point map) const;
};

/// One image before its pixels: frame, sun, view.
struct SceneFrame {
    SceneInfo info;  ///< id, datetime, sensor, angles, roles, simulated = true
    Grid grid;       ///< the image's own georeferencing (north-up, the place's UTM zone)
    SunPosition sun;
    Displacement displacement;
};
SceneFrame frame_of(const World& world, int scene);

/// Local metres of the world to map metres of the scenario's UTM zone.
Point map_from_local(const Scenario& scenario, Point local);

/// The part of an image inside a window of its grid. A pure function: windows of any size, computed
/// in any order, put together give the same image. Values are digital numbers (rounded, clipped to
/// the bit depth), at least 1; everything is valid. Bands in the order of SceneFrame::info.roles.
/// Height model: first-hit along the view for lean, horizon sweep for cast shadows, Lambert
/// terrain, exponential atmosphere; two samples per pixel and direction, Gaussian system response.
/// At most tiles_at_once tiles of kRenderTile pixels are in work at a time (0: one per thread).
Raster render(const World& world, int scene, const SceneFrame& frame, const Window& window,
              int tiles_at_once = 0);
constexpr int kRenderTile = 768;
/// What one tile in work takes, bytes: twice the pixels in each direction, and the ground around it
/// from which shadows and leaning roofs reach in.
std::size_t tile_bytes(const World& world, int scene, const SceneFrame& frame);

/// What one scene could show of one thing.
struct Visibility {
    bool in_image = false;
    bool present = false;  ///< stands at that time
    double cloud = 0;      ///< opacity over it, 0–1
    double cloud_shadow = 0;
    double pixels_across = 0;  ///< its shorter side in pixels
    bool observable = false;   ///< in the image, not under cloud, at least 3 pixels across
};

/// Exact truth: report.json's values and what only a simulation knows.
struct Truth {
    Report report;
    std::vector<SceneFrame> frames;                   ///< per scene, in time order
    std::vector<std::vector<Visibility>> visibility;  ///< [scene][structure]
};
Truth make_truth(const World& world);

/// The line of the first date as an analyst would have digitised it (off by line.known_error_m),
/// degrees.
Ring digitised_line(const World& world);
/// The area of interest, degrees.
Ring area_lonlat(const Scenario& scenario);

}  // namespace fenceline::simulate
