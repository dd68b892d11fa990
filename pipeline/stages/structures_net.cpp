#include "stages/structures_net.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/cells.h"
#include "stages/structures_place_model.h"
#include "stages/structures_post_model.h"

namespace fenceline {
namespace {

constexpr float kChromaScale = 8;

float squashed(float v) { return std::clamp(v, -4.0F, 4.0F); }

}  // namespace

void fill_patch(const StructureView& view, Point origin, Point du, Point dv, int columns, int rows,
                Point level_at, float* out) {
    const Raster& raster = view.scene->raster;
    const Plane *red = raster.band(BandRole::red), *green = raster.band(BandRole::green),
                *blue = raster.band(BandRole::blue);
    const bool colour = red != nullptr && green != nullptr && blue != nullptr;
    const float level = sample(view.local_level[0], view.level_cell(level_at)),
                scale = 1 / static_cast<float>(std::max(1e-9, 2 * view.scale));
    const float rb_level = colour ? sample(view.local_level[1], view.level_cell(level_at)) : 0,
                green_level = colour ? sample(view.local_level[2], view.level_cell(level_at)) : 0;
    kernels::CellRow row;
    row.along_x = du.x, row.along_y = du.y;
    row.across_x = dv.x, row.across_y = dv.y;
    // Cells coarser than the pixels are averaged over what they cover.
    row.fine = std::clamp(static_cast<int>(std::lround(std::max(norm(du), norm(dv)))), 1, 3);
    const int width = view.luminance.width(), height = view.luminance.height();
    const auto n = static_cast<std::size_t>(columns);
    thread_local std::vector<float> cells;
    cells.assign(3 * n, 0.0F);
    float *luminance = cells.data(), *rb = luminance + n, *excess = rb + n;
    for (int y = 0; y < rows; ++y) {
        // A pixel's middle is at +0.5 here, at 0 in the kernel.
        row.x = origin.x + y * dv.x - 0.5;
        row.y = origin.y + y * dv.y - 0.5;
        if (colour)  // luminance is the mean of the three
            kernels::colour_cell_row(red->row(0), green->row(0), blue->row(0), red->stride(), width,
                                     height, row, columns, luminance, rb, excess);
        else
            kernels::cell_row(view.luminance.row(0), view.luminance.stride(), width, height, row,
                              columns, luminance);
        for (std::size_t x = 0; x < n; ++x, out += kPatchInputs) {
            out[0] = squashed((luminance[x] - level) * scale);
            out[1] = squashed(kChromaScale * (rb[x] - rb_level));
            out[2] = squashed(kChromaScale * (excess[x] - green_level));
        }
    }
}

kernels::PatchNet patch_net_of(const StructureNet& net, std::span<const float> extras,
                               std::array<float, kernels::kPatchChannels>& bias4) {
    using kernels::kPatchChannels;
    using kernels::kPatchChannels1;
    kernels::PatchNet out;
    out.inputs = kPatchInputs;
    out.outputs = net.outputs;
    const float* next = net.weights;
    const auto take = [&](int count) {
        const float* from = next;
        next += count;
        return from;
    };
    out.conv1 = take(9 * kPatchInputs * kPatchChannels1);
    out.bias1 = take(kPatchChannels1);
    out.conv2 = take(9 * kPatchChannels1 * kPatchChannels);
    out.bias2 = take(kPatchChannels);
    out.conv3 = take(9 * kPatchChannels * kPatchChannels);
    out.bias3 = take(kPatchChannels);
    out.conv4 = take(16 * kPatchChannels * kPatchChannels);
    const float* bias = take(kPatchChannels);
    out.last = take(kPatchChannels * net.outputs);
    out.last_bias = take(net.outputs);
    for (std::size_t c = 0; c < bias4.size(); ++c) {
        bias4[c] = bias[c];
        for (std::size_t e = 0; e < extras.size(); ++e)
            bias4[c] += extras[e] * net.extra_weights[e * bias4.size() + c];
    }
    out.bias4 = bias4.data();
    return out;
}

const StructureNet& post_net() {
    static const StructureNet net{kPostExtras,       kPostOutputs,         kPostWeights,
                                  kPostExtraWeights, kPostCalibrationGain, kPostCalibrationOffset};
    return net;
}
namespace {
float flag(bool set) { return set ? 1.0F : 0.0F; }
bool has_colour(const StructureView& view) {
    const Raster& raster = view.scene->raster;
    return raster.band(BandRole::red) != nullptr && raster.band(BandRole::green) != nullptr &&
           raster.band(BandRole::blue) != nullptr;
}
}  // namespace

PostFrame post_frame(const StructureView& view) {
    PostFrame frame;
    const double metre = 1 / view.gsd_m;
    const Point away = view.sun ? view.away_px : Point{0, -1};
    frame.y = metre * away;
    frame.x = metre * Point{-away.y, away.x};
    const Point lean = view.gsd_m * view.lean_px_per_m;
    frame.extras = {
        static_cast<float>(view.sun ? std::min(4.0, view.reach_px_per_m * view.gsd_m) - 1 : 0),
        static_cast<float>(3 * dot(lean, view.gsd_m * frame.x)),
        static_cast<float>(3 * dot(lean, view.gsd_m * frame.y)),
        flag(view.sun),
        flag(has_colour(view)),
        static_cast<float>(std::min(2.0, view.effective_gsd_m) - 0.6)};
    return frame;
}

void post_patch(const StructureView& view, const PostFrame& frame, Point centre_px, Patch& patch) {
    constexpr double half = 0.5 * (kernels::kPatchSize - 1);
    const Point du = kPostCell_m * frame.x, dv = kPostCell_m * frame.y;
    fill_patch(view, centre_px - half * du - half * dv, du, dv, kernels::kPatchSize,
               kernels::kPatchSize, centre_px, patch.data());
}

const StructureNet& place_net() {
    static const StructureNet net{kPlaceExtras,          kPlaceOutputs,
                                  kPlaceWeights,         kPlaceExtraWeights,
                                  kPlaceCalibrationGain, kPlaceCalibrationOffset};
    return net;
}

std::array<float, kPlaceExtras> place_extras(const StructureView& view, const PostFrame& frame,
                                             double cell_m) {
    std::array<float, kPlaceExtras> extras{};
    std::copy(frame.extras.begin(), frame.extras.end(), extras.begin());
    extras[5] = static_cast<float>(std::min(3.0, view.effective_gsd_m / cell_m) - 0.6);
    extras[6] = static_cast<float>(std::log(cell_m / 1.8));
    return extras;
}

void place_patch(const StructureView& view, const PostFrame& frame, double cell_m, Point centre_px,
                 Patch& patch) {
    constexpr double half = 0.5 * (kernels::kPatchSize - 1);
    const Point du = cell_m * frame.x, dv = cell_m * frame.y;
    fill_patch(view, centre_px - half * du - half * dv, du, dv, kernels::kPatchSize,
               kernels::kPatchSize, centre_px, patch.data());
}

OrientedRectangle rectangle_at(const PostFrame& frame, double cell_m, Point centre_px,
                               const float* o) {
    const auto within = [](float v, double most) {
        return std::clamp(static_cast<double>(v), -most, most);
    };
    const Point du = cell_m * frame.x, dv = cell_m * frame.y;
    OrientedRectangle r;
    r.centre = centre_px + (4 * within(o[1], 2)) * du + (4 * within(o[2], 2)) * dv;
    r.half_a = 5 * norm(du) * std::exp(within(o[3], 2));
    r.half_b = 5 * norm(du) * std::exp(within(o[4], 2));
    const double angle = 0.5 * std::atan2(static_cast<double>(o[6]), static_cast<double>(o[5]));
    const Point along = std::cos(angle) * du + std::sin(angle) * dv;
    r.angle_rad = std::atan2(along.y, along.x);
    return r;
}

std::array<float, 6> outputs_for(const PostFrame& frame, double gsd_m, double cell_m,
                                 Point centre_px, const OrientedRectangle& wanted) {
    const Point x = gsd_m * frame.x, y = gsd_m * frame.y,
                off = (gsd_m / (4 * cell_m)) * (wanted.centre - centre_px);
    double half_a = wanted.half_a, half_b = wanted.half_b, angle = wanted.angle_rad;
    if (half_b > half_a) {
        std::swap(half_a, half_b);
        angle += std::numbers::pi / 2;
    }
    const Point along{std::cos(angle), std::sin(angle)};
    const double turned = std::atan2(dot(along, y), dot(along, x)), unit = 5 * cell_m / gsd_m;
    return {static_cast<float>(dot(off, x)),
            static_cast<float>(dot(off, y)),
            static_cast<float>(std::log(half_a / unit)),
            static_cast<float>(std::log(half_b / unit)),
            static_cast<float>(std::cos(2 * turned)),
            static_cast<float>(std::sin(2 * turned))};
}

void scan_block(const StructureView& view, const kernels::PatchNet& net, Point du, Point dv,
                Point first_px, int block, std::vector<float>& out) {
    constexpr double middle = 0.5 * (kernels::kPatchSize - 1);
    const int cells = kernels::kPatchStep * (block - 1), input = cells + kernels::kPatchSize;
    const double half = 0.5 * cells;
    thread_local std::vector<float> image;
    thread_local kernels::PatchNetWork work;
    image.resize(static_cast<std::size_t>(input * input) * kPatchInputs);
    fill_patch(view, first_px - middle * du - middle * dv, du, dv, input, input,
               first_px + half * du + half * dv, image.data());
    out.resize(static_cast<std::size_t>(block * block * net.outputs));
    kernels::patch_net(net, image.data(), input, input, out.data(), work);
}

}  // namespace fenceline
