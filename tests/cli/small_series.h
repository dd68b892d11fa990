#pragma once

#include <string>
#include <vector>

#include "core/raster.h"

namespace fenceline {

/// A small made-up place for tests of the whole program: textured ground with a few roofs, 1 m
/// pixels, UTM 52N. shift_px moves what is seen; seed changes the sensor's noise, not the ground.
Raster small_scene(double shift_px, unsigned seed, int size = 420);
/// The middle of small_scene, degrees.
std::string small_sites_geojson(const std::string& name = "Test site");

/// Writes images YYYYMMDD.tif of the small place (one per date) into folder; returns their paths.
std::vector<std::string> write_small_series(const std::string& folder,
                                            const std::vector<std::string>& dates);

}  // namespace fenceline
