#pragma once

#include <string>
#include <vector>

#include "core/site.h"

namespace fenceline {

/// The site catalogue as GeoJSON text (CONTRACT.md; RFC 7946). Same sites, same bytes; coordinates
/// to 1e-7 degrees (about 1 cm). Reading it back gives the same sites. Facts that are not known are
/// left out.
std::string sites_geojson(const std::vector<Site>& sites);

/// Writes sites_geojson to a file, whole or not at all. Throws DataError.
void write_sites(const std::string& path, const std::vector<Site>& sites);

}  // namespace fenceline
