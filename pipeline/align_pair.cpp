#include "align_pair.h"

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
    const Scene fixed = read(reference, {});
    progress.step(reference.id);
    out.registered = read(target, {});
    progress.step(target.id);
    progress.stage("align", 1);
    out.alignment = align(out.registered, fixed, options.align);
    if (out.alignment.status == RegistrationStatus::fail)
        out.registered = {};
    else
        out.registered = read(target, out.alignment.target_from_reference);
    progress.step(target.id);
    return out;
}

}  // namespace fenceline
