#include "core/version.h"

namespace fenceline {

const char* version() { return FENCELINE_VERSION; }

}  // namespace fenceline
