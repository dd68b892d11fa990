#pragma once

namespace fenceline {

/// "0.1.0".
const char* version();
/// The commit that was built, "-dirty" when files had been edited; empty outside a git checkout.
const char* commit();

}  // namespace fenceline
