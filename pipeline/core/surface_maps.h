#pragma once

#include <cstdint>
#include <string>

#include "core/raster.h"

namespace fenceline {

/// What a network has read off one scene, in square cells laid over its grid from the corner of
/// pixel (0, 0): log-odds in sixteenths about 128 (0: −8, 255: +8).
struct SurfaceMaps {
    double cell_px = 1;            ///< grid pixels per cell
    PlaneOf<std::uint8_t> roof;    ///< of a building, where the view shows it
    PlaneOf<std::uint8_t> border;  ///< within a cell of a roof's edge
    PlaneOf<std::uint8_t> line;    ///< of a wall or the middle of a double fence, on the ground
    PlaneOf<std::uint8_t> post;    ///< within 1.2 m of a guard post's foot
    std::string unread;            ///< why there are none, as half a sentence; else empty

    bool empty() const { return roof.width() == 0; }
};

}  // namespace fenceline
