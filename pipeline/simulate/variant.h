#pragma once

#include <cstdint>

#include "core/scenario.h"

namespace fenceline::simulate {

/// A variant of a scenario: its seed replaced, and its images, objects and line drawn uniformly
/// within the half-ranges of scenario.variants. The seed that the scenario carries already gives
/// it back unchanged. Every value stays inside the range that a scenario file allows, and scenes
/// stay in time order; a pure function of both arguments.
Scenario draw_variant(const Scenario& scenario, std::uint64_t seed);

/// The same kind of place, smaller or larger: lengths times factor, areas and numbers of things on
/// them times its square, guard posts (they stand along the line) times factor. What a thing itself
/// measures, how it is seen, and dates do not change.
Scenario scaled(const Scenario& scenario, double factor);

}  // namespace fenceline::simulate
