#pragma once

#include <optional>

#include "core/geometry.h"
#include "stages/perimeter.h"

namespace fenceline {

/// Pixels of the luminance per pixel of the directions, each way: about 4 U, or 0.4 of the
/// effective resolution where the sensor is coarser than 4 m. fine_m: size of a luminance pixel.
int direction_step(double effective_gsd_m, double fine_m);

/// Fills evidence.directions (METHODS.md 5: consistency of a line over 30 U of it): from what the
/// network has drawn where by_drawn says so and it has read the scene, else from the image. gsd_m:
/// of the scene's grid. sun_px: unit vector towards the sun in grid pixels, empty when not known.
void raise_directions(LineEvidence& evidence, double gsd_m, std::optional<Point> sun_px,
                      bool by_drawn);

}  // namespace fenceline
