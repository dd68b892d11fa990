#pragma once

namespace fenceline {

/// "0.1.0".
const char* version();

}  // namespace fenceline
