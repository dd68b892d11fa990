#pragma once

#include <array>
#include <string>

#include "input/image_io.h"

namespace fenceline {

/// One image named on a command line, with its metadata, its time (from the metadata or the file
/// name; may stay unknown) and, if asked for, its hash. Throws UsageError when there is no such
/// file, DataError when it cannot be used.
SceneInfo single_image(const std::string& path, const GeorefOptions& georef, bool hashed = true);
/// Two of them at a time; what is wrong with the first is said first.
std::array<SceneInfo, 2> image_pair(const std::string& first, const std::string& second,
                                    const GeorefOptions& georef);

}  // namespace fenceline
