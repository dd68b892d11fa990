#pragma once

#include "core/grid.h"
#include "core/scene.h"
#include "input/image_io.h"
#include "stages/observe.h"

namespace fenceline {

/// The grid that a pair is compared on: the first image's own; its UTM zone at its own GSD when it
/// has RPCs or GCPs only. first_lonlat: its footprint. Throws DataError, with both extents, when
/// the two do not overlap.
Grid pair_grid(const SceneInfo& first, const SceneInfo& second, const Ring& first_lonlat,
               const ObserveOptions& observe, const GeorefOptions& georef);

/// A geographic grid as one in metres, pixel for pixel: longitude and latitude scaled (plate carrée
/// on a sphere is linear in both). Other grids as they are.
Grid with_metric_crs(const Grid& grid);

/// The pixel lattice of a grid in metres about its centre, without a CRS: what stages that only ask
/// for gsd() get, whatever the unit and distortion of the grid's own CRS.
Grid metric_twin(const Grid& grid);

/// A mean shift found on the twin (m along its columns and against its rows) as metres east and
/// north on the grid that it is the twin of, which may be turned, mirrored or south-up.
Point east_north(const Grid& grid, const Grid& twin, Point twin_shift_m);

}  // namespace fenceline
