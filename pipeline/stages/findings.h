#pragma once

#include <string>
#include <vector>

#include "core/count_interval.h"
#include "core/report.h"
#include "stages/perimeter.h"

namespace fenceline {

/// Sentences that an analyst would publish, from a report that has everything but findings.
/// METHODS.md 8. perimeter: what report.perimeters and the perimeter changes of report.changes were
/// made from; its scene indices count the scenes of the report that were not left out. Area and
/// length are separate findings. Every statement on a simulated series begins with "Simulated
/// series:". min_change_share: the perimeter stage's option of that name.
///
/// Kinds: perimeter_area, perimeter_length, perimeter_area_growth, perimeter_length_growth,
/// given_perimeter, perimeter_first_seen, perimeter_extension (with no growth figure), no_change,
/// guard_posts, new_guard_posts, removed_guard_posts, buildings, new_buildings, removed_buildings,
/// modified_buildings, other_changes, not_observable. Values are SI (m, m²), growth is a share
/// (0.72 for 72 %), counts are numbers; NAME_low and NAME_high hold the interval: 95 % for
/// measures, 90 % for counts. The confidence grade falls where an interval is wide beside its value
/// (half width of areas and lengths over 10 %, 20 %; of growth over 25 %, 50 %); what rests on
/// candidates alone is at most 0.79 likely.
std::vector<ReportFinding> write_findings(const Report& report, const PerimeterResult& perimeter,
                                          double min_change_share = 0.02);

/// "almost certain" (>= 0.95), "very likely" (>= 0.80), "likely" (>= 0.55), "even chance" (>=
/// 0.45), "unlikely".
std::string likelihood_word(double probability);

}  // namespace fenceline
