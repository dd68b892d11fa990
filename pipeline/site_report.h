#pragma once

#include <map>
#include <string>
#include <vector>

#include "output/image_chips.h"
#include "output/staged_output.h"
#include "run_site.h"

namespace fenceline {

/// What the report's provenance says about how it was made.
struct RunRecord {
    std::vector<std::string> arguments;  ///< the command line, without the program
    std::string parameters_ini;
    Time started;                         ///< from run_clock()
    std::vector<std::string> files_read;  ///< beside the scenes: the catalogue, the configuration
};

/// Writes everything that `run` leaves in DIR (CONTRACT.md): images while the scenes are in memory,
/// reports at the end.
class SiteReportWriter {
  public:
    SiteReportWriter(StagedOutput& out, bool keep_registered, RunRecord record);
    /// Hooks for run_site; they refer to this object.
    SiteObservers observers();
    /// report.json (validated), report.html, results.gpkg, changes.geojson, report.kmz,
    /// ro-crate-metadata.json.
    void write(const SiteRun& run);

  private:
    void keep(const Scene& scene);
    void keep(const SceneInfo& before, const SceneInfo& after, const Grid& grid,
              const ChangeMap& map);
    StagedOutput& out_;
    bool keep_registered_;
    RunRecord record_;
    std::vector<ImageChip> chips_;
    std::map<std::string, int> interval_names_;
};

}  // namespace fenceline
