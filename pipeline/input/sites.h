#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/site.h"

namespace fenceline {

/// Reads a site catalogue (GeoJSON FeatureCollection). All faults of the file are reported together
/// (UsageError). Beyond CONTRACT.md, what QGIS makes of the file when it saves it is understood
/// too: the id as a property, nested properties as JSON text, a null geometry (position not known).
/// Names may hold no control characters and no angle brackets, ids only letters, digits, '.', '_'
/// and '-'.
std::vector<Site> read_sites(const std::string& path);

/// Reads a foreign list, told apart by its header: the NKPD facility list, HRNK's or Wikipedia's
/// map pins as published (CSV), or a site catalogue. Entries without a position are kept, with an
/// empty area; pins get a radius by type (political prison camps 2500 m, re-education camps 1000 m,
/// others 500 m): ground to watch, not the site's extent. All faults are reported together
/// (UsageError).
std::vector<Site> import_sites(const std::string& path);

/// The area of interest of a site: its polygon, or a square around centre ± radius_m. Empty: no
/// position is known.
Ring area_of_interest(const Site& site);

/// How many sites there are of each type (CONTRACT.md's order) or in each province (alphabetical,
/// "unknown" last). key: "type" or "province"; anything else is a UsageError.
std::vector<std::pair<std::string, int>> count_by(const std::vector<Site>& sites,
                                                  const std::string& key);

}  // namespace fenceline
