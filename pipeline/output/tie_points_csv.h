#pragma once

#include <span>
#include <string>

#include "output/geopackage.h"

namespace fenceline {

/// Tie points as CSV (RFC 4180) with a header: scene, longitude and latitude (WGS 84), dx_m and
/// dy_m (displacement found, east and north), residual_m (held out), kept (1 or 0). Same values,
/// same bytes. Throws DataError.
void write_tie_points_csv(const std::string& path, std::span<const TiePointRecord> tie_points);

}  // namespace fenceline
