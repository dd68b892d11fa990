#pragma once

#include "core/report.h"

namespace fenceline {

/// Does a new post stand on a stretch of line that a confirmed or provisional expansion brought:
/// within the distance of the ground that was gained, and farther than that from the line as it was
/// before?
bool stands_on_new_line(const Report& report, const ReportChange& post, double within_m);

}  // namespace fenceline
