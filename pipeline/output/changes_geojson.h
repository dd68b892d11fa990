#pragma once

#include <string>

#include "core/report.h"

namespace fenceline {

/// changes.geojson (RFC 7946): one feature per change, exterior rings counter-clockwise, 7
/// decimals. Rejected changes are left out: a map shows what stands.
std::string changes_geojson(const Report& report);

}  // namespace fenceline
