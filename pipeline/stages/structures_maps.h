#pragma once

#include <array>
#include <functional>
#include <vector>

#include "stages/structures_view.h"

namespace fenceline {

// What the network of surfaces (surface_maps) sees.

/// Side of the cells that the network sees, m.
constexpr double kSurfaceCell_m = 0.6;
/// The channels that the network sees: luminance, (R−B)/(R+G+B), (2G−R−B)/(R+G+B), each less its
/// local level and scaled to about ±1 (±4 at the most; the last two 0 without colour).
constexpr int kSurfaceImages = 3;
/// The same for a whole scene: the shadow of a thing one metre high, in m along x and y (halved,
/// ±2), whether the sun is known, and how far the top of such a thing leans, in m along x and y
/// (tripled).
constexpr int kSurfaceExtras = 5;
std::array<float, kSurfaceExtras> surface_extras(const StructureView& view);
/// Row y of the cells x … x + n − 1, one channel after the other: out[channel · n + i]. Cells
/// outside the scene take its border's value.
void surface_row(const StructureView& view, int x, int y, int n, float* out);
/// The roofs that a map shows, each as the rectangle (grid pixels) that holds most roof and least
/// else; one that is no rectangle as several. Log-odds: what three quarters of it show at least.
std::vector<BuildingLook> roofs_on_map(const SurfaceMaps& maps);
/// What the map shows where a roof (grid pixels) is looked for, up to two cells away; and the
/// rectangle of what stands there, which may be a roof whose sides are rival_scale times as long.
BuildingLook roof_on_map(const SurfaceMaps& maps, const OrientedRectangle& roof,
                         double rival_scale = 1);

/// What read() gives; when it throws (the network's library may, out of memory for one), no maps,
/// and `unread` says so: a scene without maps is read by the networks of windows, the run goes on.
SurfaceMaps maps_or_reason(const std::function<SurfaceMaps()>& read);

/// Cells that so many pixels have.
int surface_cells(int pixels, double gsd_m);

}  // namespace fenceline
