#pragma once

#include "core/scene.h"
#include "input/image_io.h"
#include "stages/align.h"

// A large image at a resolution at which it can be held and registered.

namespace fenceline {

/// One image in 1/factor of the grid's resolution: means of blocks that are valid throughout.
struct Overview {
    int factor = 1;
    GridImage image;
    bool mask_given = false;
};

/// An overview in which nothing has been seen yet.
Overview empty_overview(const SceneInfo& info, const Grid& grid, int factor, int bands);

/// Adds what a strip (whole blocks, from row y0 of the grid on) holds.
void add_strip(const GridImage& strip, int y0, Overview& o);

/// What was found on the overview, in the grid's own pixels.
Alignment at_full_size(Alignment a, int factor);

}  // namespace fenceline
