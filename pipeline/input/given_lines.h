#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/geometry.h"
#include "core/scene.h"
#include "core/time.h"

namespace fenceline {

/// A line that an analyst has drawn or edited.
struct GivenLine {
    Ring lonlat;                   ///< WGS 84, not closed
    std::string scene;             ///< the id of the scene that it was drawn in; empty: not said
    std::optional<Time> datetime;  ///< of the line
};

/// Lines out of a GeoJSON or GeoPackage file: the polygons of the layer "perimeters" (as in
/// results.gpkg), else of the only layer that holds polygons. Fields "scene", and "datetime" or
/// "date", are used when they are there; holes are not. In the file's order. Throws DataError that
/// names the feature when a line has several parts, crosses itself or encloses nothing, and when
/// there is no line at all.
std::vector<GivenLine> read_given_lines(const std::string& path);

/// A line without a date gets that of the scene it names. Throws DataError that lists the scenes
/// when a line of the file names none of them, and when one lies outside all of them.
void match_to_scenes(std::vector<GivenLine>& lines, const std::vector<SceneInfo>& scenes,
                     const std::string& path);

}  // namespace fenceline
