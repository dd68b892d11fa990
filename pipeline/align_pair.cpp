#include "align_pair.h"

#include "core/warp_grid.h"
#include "pair_grid.h"

namespace fenceline {

AlignOutcome align_pair(const SceneInfo& reference, const SceneInfo& target,
                        const AlignPairOptions& options, Progress& progress) {
    AlignOutcome out;
    progress.stage("observe", 2);
    const Ring area_lonlat = image_footprint(reference, options.georef);
    out.grid = pair_grid(reference, target, area_lonlat, options.observe, options.georef);
    const Grid working = with_metric_crs(out.grid), twin = metric_twin(out.grid);
    const auto read = [&](const SceneInfo& info, const Warp& warp) {
        GridImage image = read_on_grid(info, working, warp, options.georef);
        Scene scene = observe(info, std::move(image.raster), std::move(image.masks),
                              image.mask_given, area_lonlat, options.observe);
        scene.raster.grid = twin;
        return scene;
    };
    {  // One scene's bands are held at a time.
        const AlignImage fixed = prepare_image(read(reference, {}));
        progress.step(reference.id);
        const AlignImage moving = prepare_image(read(target, {}));
        progress.step(target.id);
        progress.stage("align", 1);
        out.alignment = align(moving, fixed, options.align);
    }
    if (out.alignment.status != RegistrationStatus::fail)
        out.registered = read(target, out.alignment.target_from_reference);
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
    GridImage image = read_on_grid(target, with_metric_crs(out.grid),
                                   out.alignment.target_from_reference, options.georef);
    out.registered.info = target;
    out.registered.raster = std::move(image.raster);
    out.registered.masks = std::move(image.masks);
    progress.step(target.id);
    return out;
}

}  // namespace fenceline
