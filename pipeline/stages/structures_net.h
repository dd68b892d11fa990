#pragma once

// The structures stage's own business, shared by its sources; not for other stages.

#include <array>
#include <span>
#include <vector>

#include "kernels/patch_net.h"
#include "stages/structures_view.h"

namespace fenceline {

/// Channels of what the networks see: luminance, (R−B)/(R+G+B), (2G−R−B)/(R+G+B), each less its
/// local level and scaled to about ±1. The last two are 0 without colour.
constexpr int kPatchInputs = 3;

/// Fills out[(y·columns + x)·kPatchInputs] with the view at origin + x·du + y·dv (px). level_at:
/// where the local level is taken.
void fill_patch(const StructureView& view, Point origin, Point du, Point dv, int columns, int rows,
                Point level_at, float* out);

/// A trained network with numbers that are the same for a whole image (sun, view) besides the
/// pixels: they enter the fourth layer.
struct StructureNet {
    int extras = 0, outputs = 0;
    const float *weights = nullptr, *extra_weights = nullptr;
    double calibration_gain = 1, calibration_offset = 0;  ///< log-odds = gain · output + offset
};
/// Pointers into a StructureNet's weights; bias4 holds the fourth layer's biases for these extras.
kernels::PatchNet patch_net_of(const StructureNet& net, std::span<const float> extras,
                               std::array<float, kernels::kPatchChannels>& bias4);

/// Guard posts: 0.7 m cells, y along the direction away from the sun. Outputs: log-odds that a post
/// stands within 2 m of the window's centre, and where its foot is (across, along the sun's
/// direction, in units of 2 m).
constexpr double kPostCell_m = 0.7;
constexpr int kPostExtras = 6, kPostOutputs = 3;
const StructureNet& post_net();
/// Unit vectors of the cells' axes in px per metre, and the extras.
struct PostFrame {
    Point x, y;
    std::array<float, kPostExtras> extras{};
};
PostFrame post_frame(const StructureView& view);
/// The window's pixels around a place.
using Patch = std::array<float, static_cast<std::size_t>(kernels::kPatchSize* kernels::kPatchSize) *
                                    kPatchInputs>;
void post_patch(const StructureView& view, const PostFrame& frame, Point centre_px, Patch& patch);

/// Roofs wherever they are, in the posts' frame, with cells of several sizes so that each building
/// is of a size with the window in one of them. Outputs: log-odds that a roof's middle is
/// within 2.6 cells of the window's; then the roof: middle (x, y in units of 4 cells), logs of the
/// half sides in units of 5 cells (longer, shorter), cosine and sine of twice the longer side's
/// angle.
constexpr int kPlaceExtras = 7, kPlaceOutputs = 7;
inline constexpr std::array kPlaceCells_m{0.9, 1.8, 3.6};
/// Longest sides that are each cell size's business, m.
inline constexpr std::array<std::array<double, 2>, 3> kPlaceLengths_m{
    {{4, 18}, {14, 42}, {34, 110}}};
const StructureNet& place_net();
std::array<float, kPlaceExtras> place_extras(const StructureView& view, const PostFrame& frame,
                                             double cell_m);
void place_patch(const StructureView& view, const PostFrame& frame, double cell_m, Point centre_px,
                 Patch& patch);
OrientedRectangle rectangle_at(const PostFrame& frame, double cell_m, Point centre_px,
                               const float* outputs);
/// The outputs 1 … 6 that give a rectangle (for training).
std::array<float, 6> outputs_for(const PostFrame& frame, double gsd_m, double cell_m,
                                 Point centre_px, const OrientedRectangle& wanted);

/// A network run over block × block windows, 4 cells apart: first_px is the middle of the first.
/// out: block × block × outputs.
void scan_block(const StructureView& view, const kernels::PatchNet& net, Point du, Point dv,
                Point first_px, int block, std::vector<float>& out);

}  // namespace fenceline
