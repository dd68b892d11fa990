#pragma once

#include <string>

#include "core/report.h"

namespace fenceline {

/// report.json (CONTRACT.md), keys in the contract's order. Longitude and latitude are rounded to
/// 1e-7°, metres to 1 mm, square metres to 0.01 m², shares and scores to 1e-4. What is not known is
/// null. Same Report, same bytes, whatever the locale.
std::string report_json(const Report& report);

/// The inverse, also for a simulator's truth.json: keys that it does not know are passed over,
/// missing ones keep their defaults. Throws DataError (file, JSON path, what was found) when it is
/// not a report.
Report read_report(const std::string& path);
/// The same from text; name is used in messages.
Report parse_report(const std::string& json, const std::string& name);

/// Holds the text against configs/report.schema.json (built in). Throws DataError that lists what
/// does not fit.
void validate_report(const std::string& json, const std::string& name = "report.json");

}  // namespace fenceline
