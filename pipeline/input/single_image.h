#pragma once

#include <string>

#include "input/image_io.h"

namespace fenceline {

/// One image named on a command line, with its metadata, its time (from the metadata or the file
/// name; may stay unknown) and its hash. Throws UsageError when there is no such file, DataError
/// when it cannot be used.
SceneInfo single_image(const std::string& path, const GeorefOptions& georef);

}  // namespace fenceline
