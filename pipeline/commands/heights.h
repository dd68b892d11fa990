#pragma once

#include "commands/options.h"
#include "input/image_io.h"

namespace fenceline {

/// The options --dem and --height, which every command that reads images has.
void describe_heights(GeorefOptions& georef, OptionTable& table);

}  // namespace fenceline
