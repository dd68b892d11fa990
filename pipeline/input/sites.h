#pragma once

#include <string>
#include <vector>

#include "core/site.h"

namespace fenceline {

/// Reads a site catalogue (GeoJSON FeatureCollection). All faults of the file are reported together
/// (UsageError).
std::vector<Site> read_sites(const std::string& path);

/// Reads a foreign list: the NKPD facility list or map pins as published (CSV), or a site
/// catalogue. Entries without a position are kept, with an empty area.
std::vector<Site> import_sites(const std::string& path);

/// The area of interest of a site: its polygon, or a square around centre ± radius_m. Empty: no
/// position is known.
Ring area_of_interest(const Site& site);

}  // namespace fenceline
