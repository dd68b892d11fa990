#pragma once

#include <vector>

#include "core/report.h"
#include "stages/perimeter.h"

namespace fenceline {

/// Sentences that an analyst would publish, from a report that has everything but findings. METHODS.md 8.
/// growth: of the perimeter changes, by their ids in report.changes.
std::vector<ReportFinding> write_findings(const Report& report, const PerimeterResult& perimeter);

}  // namespace fenceline
