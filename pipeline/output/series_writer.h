#pragma once

#include <cstddef>
#include <string>

#include "core/progress.h"
#include "core/scenario.h"

namespace fenceline {

/// Renders a scenario into out_dir: images/ID.tif (COG, marked SIMULATED=TRUE, with acquisition
/// time) and images/ID.json (STAC item with sun and view angles), collection.json, truth.json
/// (report.json's form, with true displacements and visibilities), sites.geojson (area of interest
/// and, when known, the line of the first date as digitised). All or nothing: written into a folder
/// beside out_dir that is renamed at the end. An existing out_dir is refused (UsageError) unless
/// overwrite. Same scenario, same bytes, whatever the number of threads and the memory. Images are
/// rendered in strips; fewer tiles are in work at once where all threads would take more than
/// max_memory_bytes.
void write_series(const Scenario& scenario, const std::string& out_dir, Progress& progress,
                  bool overwrite = false, std::size_t max_memory_bytes = std::size_t{2048} << 20);

}  // namespace fenceline
