#pragma once

// The structures stage's own business, shared by its sources; not for other stages.

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "core/scene.h"
#include "stages/structures.h"

namespace fenceline {

/// A scene as structures are looked for in it.
struct StructureView {
    const Scene* scene = nullptr;
    const SurfaceMaps* maps = nullptr;  ///< what the network has read off it; null: nothing
    Plane luminance;
    double gsd_m = 1;
    double effective_gsd_m =
        1;  ///< true resolution: never finer than the pixels, coarser when they are blurred
    double level = 0, scale = 1;  ///< median and 1.4826·MAD of the visible pixels' luminance
    /// Medians over some 48 m around nodes 32 m apart, of luminance, (R−B)/(R+G+B) and
    /// (2G−R−B)/(R+G+B) (0 without colour). Read at level_cell(px).
    std::array<Plane, 3> local_level;
    double level_spacing_px = 1;
    Point level_cell(Point px) const {
        return {px.x / level_spacing_px + 0.5, px.y / level_spacing_px + 0.5};
    }
    bool sun =
        false;  ///< known, and high and low enough to be of use; else the next five mean nothing
    double tan_elevation = 0;
    Point away_px;              ///< unit vector on the ground, away from the sun
    double reach_px_per_m = 0;  ///< length of the shadow of a thing one metre high, from its foot
    Point shadow_px;  ///< unit vector from a roof's edge to its shadow; differs by the view's lean
    double shadow_px_per_m = 0;
    Point lean_px_per_m;  ///< from the foot to the top of a thing one metre high; 0 when the view
                          ///< is not known
};
StructureView structure_view(const Scene& scene);

/// As the functions of the same names that take a scene. The scene has at least one band.
bool posts_observable(const StructureView& view, const StructureOptions& options);
std::vector<Detection> detect_buildings(const StructureView& view, const Ring& area_px,
                                        const StructureOptions& options);
std::vector<Detection> detect_posts(const StructureView& view, std::span<const Ring> lines_px,
                                    const StructureOptions& options);

/// Bilinear value at a position; positions outside take the border's value. The plane may not be
/// empty.
float sample(const Plane& plane, Point px);
/// Where sample looks, for planes of one size that are read at the same place.
struct SamplePlace {
    int x0, x1, y0, y1;
    float fx, fy;
};
SamplePlace sample_place(const Plane& plane, Point px);
inline float sample_at(const Plane& plane, const SamplePlace& at) {
    const float top =
        plane.at(at.x0, at.y0) + at.fx * (plane.at(at.x1, at.y0) - plane.at(at.x0, at.y0));
    const float bottom =
        plane.at(at.x0, at.y1) + at.fx * (plane.at(at.x1, at.y1) - plane.at(at.x0, at.y1));
    return top + at.fy * (bottom - top);
}
/// Share of pixels that cannot be looked at (hidden, outside) within a square of half side
/// radius_px, 0–1.
double unseen_share(const Scene& scene, Point px, double radius_px);
/// The same for pixels that are snow, or so bright and white in its season that they may be: a
/// pale roof is often taken for it. What is seen there is seen; what is not may lie under it.
double snow_share(const Scene& scene, Point px, double radius_px);

/// log(p / (1 − p)) of a linear model, clipped to ±12.
double clip_log_odds(double value);

/// The morphological building index (Huang & Zhang 2011) of a plane: white top-hats by lines of 8
/// directions between 2.5 and 40 m. Of its differential profile only the ends are left, since the
/// openings by one line's nested lengths are ordered: the mean over all scales is opening(shortest)
/// − opening(longest). `plain` is the mean over the directions, as published; `compact` their
/// least: what is long in any direction, like a road, is gone. Bright structures with sign +1, dark
/// ones with −1. Unseen pixels give 0. Tiles do not change the result.
struct BuildingIndex {
    Plane plain, compact;
};
BuildingIndex building_index(const Plane& plane, const Mask& masks, double gsd_m, float sign,
                             int tile = 448);
/// Brightest of the visible bands, what the index is taken of.
Plane brightness(const Raster& raster);

/// An oriented rectangle: the first half length lies along angle_rad (clockwise from +x, y down).
struct OrientedRectangle {
    Point centre;
    double half_a = 1, half_b = 1, angle_rad = 0;
};
Ring ring_of(const OrientedRectangle& rectangle);
/// The smallest rectangle around a footprint of this stage (exact when it has four corners).
OrientedRectangle rectangle_of(const Ring& footprint);
/// Area shared by two convex rings.
double convex_overlap(const Ring& a, const Ring& b);

/// What a scene shows at a footprint. Contrasts are in units of the view's scale.
struct BuildingMeasure {
    double contrast = 0;  ///< roof against the ground around it, shadow side left out; signed
    double edge = 0;      ///< step across the border in the contrast's direction, mean of the sides
    double weakest_edge = 0;    ///< the second weakest side's
    double roughness = 0;       ///< spread inside
    double ring_roughness = 0;  ///< spread of the ground around
    double green = 0;           ///< excess green inside less the scene's (0 without colour)
    double shadow_depth =
        0;  ///< ground less shadow, on the side away from the sun; 0 when the sun is not known
    double shadow_cover = 0;  ///< share of rays that are dark up to the shadow's end
    double shadow_length_px = 0, shadow_sigma_px = 0;
    bool shadow_ends = false;  ///< the end was found, so a height follows
};
BuildingMeasure measure_building(const StructureView& view, const OrientedRectangle& rectangle);
/// Height of a building from the shadow that its measure has found, with the 95 % interval; empty
/// when there is no clear end of a shadow.
void height_from_shadow(const StructureView& view, const OrientedRectangle& roof,
                        const BuildingMeasure& measure, std::optional<double>& height_m,
                        std::optional<Interval>& height_ci);

/// What a scene shows at a place where a guard post may stand.
struct PostMeasure {
    Point centre_px;  ///< its foot
    double side_m = 0, height_m = 0;
    double bright = 0, dark = 0;  ///< roof against ground, by polarity, in local noise
    double isolation =
        0;  ///< roof beyond nearly all of the ground around: a road is open on two sides
    double shadow = 0;          ///< mean depth of the shadow against both sides of it
    double shadow_weakest = 0;  ///< its weakest third
    double beyond = 0;          ///< darkness past its end: a post's shadow stops
    double before = 0;          ///< darkness on the sun's side: a dark line goes on
    double step = 0;            ///< roof against its own shadow
    double roughness = 0;       ///< of the ground around, in units of the view's scale
};

/// The surroundings of a stretch of the line with the line taken out: at every pixel, luminance
/// less what stands at the same distance from the line a little before and a little after (medians
/// of 7 places, 6–24 m away). Where the two differ, anything between them counts as ordinary, so
/// that corners and changes of ground leave nothing behind. A wall and its shadow vanish; what
/// stands on it, and the shadow that it throws, stay.
struct LineSurroundings {
    Window window;   ///< of the scene's grid
    Plane residual;  ///< 0: ordinary
    Plane spread;    ///< luminance less the mean of before and after: what noise is measured on
    PlaneOf<int> nearest;  ///< vertex of the line; −1: farther than asked
    Polyline line_px;      ///< of the scene's grid
};
/// line_px: vertices about 2 m apart. Pixels farther than reach_px from it are 0.
LineSurroundings line_surroundings(const StructureView& view, const Polyline& line_px,
                                   Window window, double reach_px);

PostMeasure measure_post(const StructureView& view, const LineSurroundings& surroundings, Point px);
/// The same for a post, in surroundings of its own.
PostMeasure measure_post(const StructureView& view, const Detection& post);

/// What the network says of a place within radius_px of a post's, and where it sees the foot.
struct PostLook {
    double log_odds = -12;
    Point foot_px;
};
PostLook look_at_post(const StructureView& view, const Detection& post, double radius_px);

/// The same of a roof: the rectangle given, and as the network corrects it. rival_scale: of another
/// building's sides on its place, which may be the one that stands there; 1: there is none.
struct BuildingLook {
    double log_odds = -12;
    OrientedRectangle roof;
    double corrected_log_odds = -12;  ///< of the corrected rectangle (map only)
};
BuildingLook look_at_building(const StructureView& view, const OrientedRectangle& roof,
                              double rival_scale = 1);
/// From a building's walls to its roof in the view (px); nothing known of the height: 4 m.
Point roof_shift(const StructureView& view, std::optional<double> height_m);

}  // namespace fenceline
