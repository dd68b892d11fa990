#pragma once

#include <string>

#include "input/image_io.h"

namespace fenceline {

/// "udm2", "scl" or "clear" by the mask's bands and name.
std::string kind_of_mask(const std::string& path);

/// Adds what a given mask says to image.masks (nearest sample, the mask's own georeference, the
/// same warp as the image's; origin_px: where image's grid starts in the grid that the warp counts
/// in). udm2: Planet's bands clear, snow, shadow, light haze, heavy haze,
/// cloud, confidence, udm1. scl: Sentinel-2 scene classification. clear: nonzero is usable, zero is
/// hidden. Places outside the mask stay as they are. Throws DataError when it cannot be read.
void add_given_mask(const std::string& path, const std::string& kind, const Warp& warp,
                    Point origin_px, const GeorefOptions& georef, GridImage& image);

}  // namespace fenceline
