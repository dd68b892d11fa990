#pragma once

#include <string>

namespace fenceline {

/// A file that comes with the program ("configs/sites.geojson"): from PREFIX/share/fenceline when
/// installed, else from the source tree the program was built from. The path may not exist.
std::string installed_file(const std::string& name);

}  // namespace fenceline
