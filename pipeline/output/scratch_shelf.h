#pragma once

#include <string>

#include "stages/difference.h"

namespace fenceline {

/// A shelf in a file of its own inside folder that has no name: however the program ends, the
/// system takes it away. Bytes that were never written must not be read. Throws DataError, as its
/// two functions do (disk full, not readable).
Shelf scratch_shelf(const std::string& folder);

}  // namespace fenceline
