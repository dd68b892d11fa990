#include "core/version.h"

#include "commit.h"

namespace fenceline {

const char* version() { return FENCELINE_VERSION; }
const char* commit() { return FENCELINE_COMMIT; }

}  // namespace fenceline
