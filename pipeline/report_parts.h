#pragma once

#include <string>
#include <vector>

#include "core/report.h"
#include "core/scene.h"
#include "output/geopackage.h"
#include "output/raster_writer.h"
#include "stages/align.h"
#include "stages/normalize.h"

namespace fenceline {

// From the stages' values to the report's, for every straight line (a site's series, a pair, one
// image).

/// What is known of a scene that was left out or has yet to be registered; role and reason as
/// info.left_out says.
ReportScene report_scene(const SceneInfo& info);
/// The same of a scene that was used. reference: it is the one that the others are registered to;
/// grid: the one that the alignment was made on, with a CRS (none: no samples of what was removed).
ReportScene report_scene(const SceneInfo& info, double usable_fraction, bool reference,
                         const Alignment& alignment, const Normalization& normalization,
                         const Grid& grid = {});
RegistrationSummary registration_summary(const Alignment& alignment, const Grid& grid = {});

/// Rounds what was found to 1e-7 degrees (1 cm) and cuts off the little loops that lines close to
/// each other make there, so that every outline is a valid polygon. Lines drawn by hand stay as
/// they are.
void make_outlines_simple(Report& report);

/// Tie points with their places; grid: the one that the alignment was made on, with a CRS.
std::vector<TiePointRecord> tie_point_records(const std::string& scene, const Alignment& alignment,
                                              const Grid& grid);
/// Time, bands and the mark of simulated images, for a registered product.
TiffMetadata scene_metadata(const SceneInfo& info);
/// Times of both images and the mark of simulated images, for a change map.
TiffMetadata change_map_metadata(const SceneInfo& before, const SceneInfo& after);

}  // namespace fenceline
