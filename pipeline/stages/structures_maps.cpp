#include "stages/structures_maps.h"

#include <fmt/format.h>
#include <tbb/enumerable_thread_specific.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <opencv2/dnn.hpp>
#include <opencv2/imgproc.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/parallel.h"
#include "kernels/cells.h"

// The network's file, built in (FENCELINE_SURFACE_MODEL: its path; benchmarks/train_surfaces.py
// makes it).
asm(".pushsection .rodata\n"
    ".balign 64\n"
    "fenceline_surface_model:\n"
    ".incbin \"" FENCELINE_SURFACE_MODEL
    "\"\n"
    "fenceline_surface_model_end:\n"
    ".byte 0\n"
    ".popsection\n");
extern "C" {
extern const char fenceline_surface_model[], fenceline_surface_model_end[];
}

namespace fenceline {
namespace {

/// Cells of a tile that are kept, and around them what the network looks at, too. Multiples of 16,
/// the network's coarsest step, so that tiles see the same grid of it.
constexpr int kTile = 448, kHalo = 32, kStep = 16;
constexpr int kMaps = 4;

int whole_steps(int cells) { return (cells + kStep - 1) / kStep * kStep; }

float squashed(float v) { return std::clamp(v, -4.0F, 4.0F); }

cv::dnn::Net read_net() {
    cv::dnn::Net net = cv::dnn::readNetFromONNX(
        fenceline_surface_model,
        static_cast<std::size_t>(fenceline_surface_model_end - fenceline_surface_model));
    net.setPreferableBackend(cv::dnn::DNN_BACKEND_OPENCV);
    net.setPreferableTarget(cv::dnn::DNN_TARGET_CPU);
    return net;
}

std::uint8_t sixteenths(float log_odds) {
    // Half up, which is what lround does with what is not negative, without a call for each cell.
    return static_cast<std::uint8_t>(
        std::clamp(128.5 + 16 * static_cast<double>(log_odds), 0.0, 255.0));
}

/// No line and no post within 4 cells of what is hidden: the edge of a mask looks like one.
void clear_beside_hidden(const Scene& scene, SurfaceMaps& maps) {
    cv::Mat1b hidden(maps.line.height(), maps.line.width(), std::uint8_t{0});
    bool any = false;
    for (int y = 0; y < hidden.rows; ++y)
        for (int x = 0; x < hidden.cols; ++x) {
            const int u = std::min(scene.masks.width() - 1,
                                   static_cast<int>((x + 0.5) * maps.cell_px)),
                      v = std::min(scene.masks.height() - 1,
                                   static_cast<int>((y + 0.5) * maps.cell_px));
            if (!scene.seen(u, v)) hidden(y, x) = 1, any = true;
        }
    if (!any) return;
    cv::dilate(hidden, hidden, cv::Mat1b::ones(9, 9));
    for (int y = 0; y < hidden.rows; ++y)
        for (int x = 0; x < hidden.cols; ++x)
            if (hidden(y, x) != 0) maps.line.at(x, y) = maps.post.at(x, y) = 0;
}

/// The maps of a scene that is fine enough.
SurfaceMaps read_maps(const Scene& scene, const StructureView& view) {
    SurfaceMaps maps;
    const double gsd_m = scene.raster.grid.gsd();
    const int width = surface_cells(view.luminance.width(), gsd_m),
              height = surface_cells(view.luminance.height(), gsd_m);
    maps.cell_px = kSurfaceCell_m / gsd_m;
    const std::array<PlaneOf<std::uint8_t>*, kMaps> planes{&maps.roof, &maps.border, &maps.line,
                                                           &maps.post};
    for (auto* plane : planes) *plane = PlaneOf<std::uint8_t>(width, height);
    const auto extras = surface_extras(view);
    const int columns = (width + kTile - 1) / kTile, rows = (height + kTile - 1) / kTile;
    tbb::enumerable_thread_specific<cv::dnn::Net> nets(read_net);
    parallel_items(columns * rows, [&](int k) {
        // OpenCV's own parallelism must not hand this thread another tile while it waits.
        tbb::this_task_arena::isolate([&] {
            const int x0 = (k % columns) * kTile, y0 = (k / columns) * kTile;
            const int kept_width = std::min(kTile, width - x0),
                      kept_height = std::min(kTile, height - y0);
            const int across = whole_steps(kept_width) + 2 * kHalo,
                      down = whole_steps(kept_height) + 2 * kHalo;
            const int shape[] = {1, kSurfaceImages + kSurfaceExtras, down, across};
            cv::Mat input(4, shape, CV_32F);
            auto* channels = input.ptr<float>();
            const auto n = static_cast<std::size_t>(across),
                       cells = n * static_cast<std::size_t>(down);
            std::vector<float> row(kSurfaceImages * n);
            for (int y = 0; y < down; ++y) {
                surface_row(view, x0 - kHalo, y0 - kHalo + y, across, row.data());
                for (std::size_t c = 0; c < kSurfaceImages; ++c)
                    std::copy_n(row.data() + c * n, n,
                                channels + c * cells + static_cast<std::size_t>(y) * n);
            }
            for (std::size_t e = 0; e < extras.size(); ++e)
                std::fill_n(channels + (kSurfaceImages + e) * cells, cells, extras[e]);
            cv::dnn::Net& net = nets.local();
            net.setInput(input);
            const cv::Mat output = net.forward();
            // Four values per map and pair of cells: depth to space.
            const auto* out = output.ptr<float>();
            for (std::size_t m = 0; m < planes.size(); ++m)
                for (int y = 0; y < kept_height; ++y)
                    for (int x = 0; x < kept_width; ++x) {
                        const auto u = static_cast<std::size_t>(x + kHalo),
                                   v = static_cast<std::size_t>(y + kHalo);
                        const std::size_t plane = 4 * m + 2 * (v % 2) + u % 2;
                        planes[m]->at(x0 + x, y0 + y) =
                            sixteenths(out[plane * (cells / 4) + (v / 2) * (n / 2) + u / 2]);
                    }
        });
    });
    clear_beside_hidden(scene, maps);
    return maps;
}

std::string too_coarse(const char* what, double metres, double limit_m) {
    return fmt::format("{} of {:.2g} m is coarser than {:.2g} m", what, metres, limit_m);
}

}  // namespace

SurfaceMaps surface_maps(const Scene& scene, const StructureOptions& options) {
    SurfaceMaps none;
    const double gsd_m = scene.raster.grid.gsd(), limit_m = options.read_up_to_m;
    if (!(limit_m > 0)) {
        none.unread = "it is switched off (structures.read_up_to_m)";
    } else if (scene.raster.bands.empty() || !(gsd_m > 0)) {
        none.unread = "the image shows nothing";
    } else if (gsd_m > limit_m) {
        none.unread = too_coarse("a pixel", gsd_m, limit_m);
    }
    if (!none.unread.empty()) return none;
    const StructureView view = structure_view(scene);
    if (view.effective_gsd_m > limit_m)
        none.unread = too_coarse("a true resolution", view.effective_gsd_m, limit_m);
    else if (!(view.scale > 0))
        none.unread = "the image shows nothing";
    if (!none.unread.empty()) return none;
    return maps_or_reason([&] { return read_maps(scene, view); });
}

SurfaceMaps maps_or_reason(const std::function<SurfaceMaps()>& read) {
    try {
        return read();
    } catch (const std::exception& error) {
        SurfaceMaps none;
        const std::string_view what = error.what();
        none.unread = fmt::format("it failed ({})", what.substr(0, what.find('\n')));
        return none;
    }
}

int surface_cells(int pixels, double gsd_m) {
    return static_cast<int>(std::ceil(pixels * gsd_m / kSurfaceCell_m));
}

std::array<float, kSurfaceExtras> surface_extras(const StructureView& view) {
    std::array<float, kSurfaceExtras> extras{};
    if (view.sun) {
        const double reach = std::min(4.0, view.reach_px_per_m * view.gsd_m) / 2;
        extras[0] = static_cast<float>(reach * view.away_px.x);
        extras[1] = static_cast<float>(reach * view.away_px.y);
        extras[2] = 1;
    }
    extras[3] = static_cast<float>(3 * view.gsd_m * view.lean_px_per_m.x);
    extras[4] = static_cast<float>(3 * view.gsd_m * view.lean_px_per_m.y);
    return extras;
}

void surface_row(const StructureView& view, int x, int y, int n, float* out) {
    const Raster& raster = view.scene->raster;
    const Plane *red = raster.band(BandRole::red), *green = raster.band(BandRole::green),
                *blue = raster.band(BandRole::blue);
    const bool colour = red != nullptr && green != nullptr && blue != nullptr;
    const double cell_px = kSurfaceCell_m / view.gsd_m;
    kernels::CellRow row;
    row.along_x = row.across_y = cell_px;
    row.along_y = row.across_x = 0;
    row.x = (x + 0.5) * cell_px - 0.5;  // a pixel's middle is at 0 in the kernel
    row.y = (y + 0.5) * cell_px - 0.5;
    row.fine = std::clamp(static_cast<int>(std::lround(cell_px)), 1, 3);
    const int width = view.luminance.width(), height = view.luminance.height();
    const auto size = static_cast<std::size_t>(n);
    float *luminance = out, *rb = out + size, *excess = out + 2 * size;
    if (colour) {
        kernels::colour_cell_row(red->row(0), green->row(0), blue->row(0), red->stride(), width,
                                 height, row, n, luminance, rb, excess);
    } else {
        kernels::cell_row(view.luminance.row(0), view.luminance.stride(), width, height, row, n,
                          luminance);
        std::fill(rb, rb + 2 * size, 0.0F);
    }
    const float scale = 1 / static_cast<float>(std::max(1e-9, 2 * view.scale));
    constexpr float kChromaScale = 8;
    for (std::size_t i = 0; i < size; ++i) {
        // The three levels lie on one lattice.
        const SamplePlace at = sample_place(
            view.local_level[0],
            view.level_cell({(x + static_cast<double>(i) + 0.5) * cell_px, (y + 0.5) * cell_px}));
        luminance[i] = squashed((luminance[i] - sample_at(view.local_level[0], at)) * scale);
        if (!colour) continue;
        rb[i] = squashed(kChromaScale * (rb[i] - sample_at(view.local_level[1], at)));
        excess[i] = squashed(kChromaScale * (excess[i] - sample_at(view.local_level[2], at)));
    }
}

}  // namespace fenceline
