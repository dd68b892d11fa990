#include "align_pair.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/kept_planes.h"
#include "core/warp_grid.h"
#include "pair_grid.h"
#include "pair_overview.h"

namespace fenceline {
namespace {

constexpr double kHeldPixels = 16e6;                     ///< of one image that is matched
constexpr double kStripSamples = 8e6;                    ///< width × rows × bands
constexpr std::size_t kReused = std::size_t{320} << 20;  ///< of freed planes, at most

Overview overview_of(const SceneInfo& info, const Grid& grid, int factor,
                     const GeorefOptions& georef) {
    GridReader reader(info, grid, {}, georef, Decoding::on_all_threads);
    Overview out = empty_overview(info, grid, factor, reader.band_count());
    const int rows =
        std::max(1, static_cast<int>(kStripSamples / grid.width / reader.band_count()) / factor) *
        factor;
    for (int y = 0; y < grid.height; y += rows)
        add_strip(reader.read({0, y, grid.width, std::min(rows, grid.height - y)}), y, out);
    return out;
}

}  // namespace

AlignOutcome align_pair(const SceneInfo& reference, const SceneInfo& target,
                        const AlignPairOptions& options, Progress& progress) {
    AlignOutcome out;
    progress.stage("observe", 2);
    const Ring area_lonlat = image_footprint(reference, options.georef);
    out.grid = pair_grid(reference, target, area_lonlat, options.observe, options.georef);
    const Grid working = with_metric_crs(out.grid), twin = metric_twin(out.grid);
    const double pixels = static_cast<double>(working.width) * working.height;
    const int factor = std::max(1, static_cast<int>(std::ceil(std::sqrt(pixels / kHeldPixels))));
    const auto prepared = [&](const SceneInfo& info) {
        GridImage image;
        bool mask_given = false;
        if (factor == 1) {
            image = read_on_grid(info, working, {}, options.georef);
            mask_given = image.mask_given;
        } else {
            Overview small = overview_of(info, working, factor, options.georef);
            image = std::move(small.image);
            mask_given = small.mask_given;
        }
        Scene scene = observe(info, std::move(image.raster), std::move(image.masks), mask_given,
                              area_lonlat, options.observe);
        const int width = scene.raster.grid.width, height = scene.raster.grid.height;
        scene.raster.grid = twin;
        scene.raster.grid.width = width, scene.raster.grid.height = height;
        for (const int k : {1, 2, 4, 5})
            scene.raster.grid.geotransform[static_cast<std::size_t>(k)] *= factor;
        return prepare_image(scene);
    };
    {  // One scene's bands are held at a time.
        const KeptPlanes reuse(kReused);
        const AlignImage fixed = prepared(reference);
        progress.step(reference.id);
        const AlignImage moving = prepared(target);
        progress.step(target.id);
        progress.stage("align", 1);
        AlignOptions in_means = options.align;  // a pixel of the images is judged, not of the means
        in_means.pass_px /= factor;
        in_means.warn_px /= factor;
        out.alignment = at_full_size(align(moving, fixed, in_means), factor);
        out.alignment.effective_gsd_m /= factor;
    }
    out.info = target;
    if (out.alignment.status != RegistrationStatus::fail)
        out.registered =
            std::make_shared<GridReader>(target, working, out.alignment.target_from_reference,
                                         options.georef, Decoding::on_all_threads);
    progress.step(target.id);
    return out;
}

AlignOutcome apply_transform(const SceneInfo& reference, const SceneInfo& target, const Grid& own,
                             const Warp& warp, const AlignPairOptions& options,
                             Progress& progress) {
    AlignOutcome out;
    progress.stage("observe", 1);
    const Ring area_lonlat = image_footprint(reference, options.georef);
    out.grid = pair_grid(reference, target, area_lonlat, options.observe, options.georef);
    out.alignment.target_from_reference = warp_on_grid(warp, own, out.grid);
    out.info = target;
    out.registered = std::make_shared<GridReader>(target, with_metric_crs(out.grid),
                                                  out.alignment.target_from_reference,
                                                  options.georef, Decoding::on_all_threads);
    progress.step(target.id);
    return out;
}

}  // namespace fenceline
