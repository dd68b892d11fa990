#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/count_interval.h"
#include "core/report.h"

namespace fenceline {

/// Probability that a structure of the report stands in a scene: that it exists, and that it has
/// been built and not been removed by then. 0 outside of its dates, except that a removal which is
/// not certain leaves its doubt. The scene has a time.
double standing_probability(const Report& report, const ReportStructure& structure,
                            const ReportScene& scene);

/// Structures of a kind (building, guard_post) that stood in a scene: the ones that were found, and
/// the interval of all, those that were missed included.
struct StandingCount {
    CountInterval found;           ///< those of the report, by their probabilities
    CountInterval all;             ///< count: found.count; the interval holds the missed ones, too
    std::vector<std::string> ids;  ///< structures that may have stood
};
StandingCount standing_count(const Report& report, std::string_view kind, const ReportScene& scene,
                             double level);

}  // namespace fenceline
