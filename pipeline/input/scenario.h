#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/scenario.h"

namespace fenceline {

/// Reads a scenario (JSON; keys are documented in configs/scenarios/README.md). seed replaces the
/// file's. Throws UsageError with all faults of the file, each naming its key: unknown keys, wrong
/// types, values out of range, dates out of order, a wall outside the area; DataError when it
/// cannot be read or is no JSON.
Scenario read_scenario(const std::string& path, std::optional<std::uint64_t> seed = std::nullopt);

}  // namespace fenceline
