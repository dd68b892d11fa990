#pragma once

#include <string>
#include <vector>

#include "core/scene.h"
#include "input/image_io.h"

namespace fenceline {

/// The scenes of SRC (folder, STAC JSON or CSV; CONTRACT.md), in time order (then by id), ids
/// unique. Folders in SRC that hold fenceline's own results are passed over. Scenes that cannot be
/// used are there too, with SceneInfo::left_out set: no time, cannot
/// be opened, path outside SRC's folder, two scenes at the same time with the same bytes, … Throws
/// DataError/UsageError only when SRC itself is unusable.
std::vector<SceneInfo> find_scenes(const std::string& src, const GeorefOptions& georef);

}  // namespace fenceline
