#include "pair_overview.h"

#include <algorithm>

#include "core/parallel.h"
#include "kernels/bands.h"

namespace fenceline {

Overview empty_overview(const SceneInfo& info, const Grid& grid, int factor, int bands) {
    Overview o;
    o.factor = factor;
    Raster& raster = o.image.raster;
    raster.grid = grid;
    raster.grid.width = grid.width / factor;
    raster.grid.height = grid.height / factor;
    for (const int k : {1, 2, 4, 5})
        raster.grid.geotransform[static_cast<std::size_t>(k)] *= factor;
    raster.roles = info.roles;
    raster.roles.resize(static_cast<std::size_t>(bands), BandRole::other);
    // In parallel: pages that are touched for the first time cost more than the zeros.
    raster.bands.resize(static_cast<std::size_t>(bands));
    parallel_items(bands, [&](int b) {
        raster.bands[static_cast<std::size_t>(b)] = Plane(raster.grid.width, raster.grid.height);
    });
    raster.valid = Mask(raster.grid.width, raster.grid.height);
    o.image.masks = Mask(raster.grid.width, raster.grid.height, kNoData);
    return o;
}

void add_strip(const GridImage& strip, int y0, Overview& o) {
    const int k = o.factor, columns = o.image.raster.grid.width;
    const int rows = std::min(strip.raster.grid.height / k, o.image.raster.grid.height - y0 / k);
    o.mask_given = o.mask_given || strip.mask_given;
    parallel_rows(rows, [&](int r0, int r1) {
        std::vector<const float*> lines(static_cast<std::size_t>(k));
        for (int r = r0; r < r1; ++r) {
            const int y = y0 / k + r;
            std::uint8_t* valid = o.image.raster.valid.row(y);
            std::uint8_t* masks = o.image.masks.row(y);
            std::fill(valid, valid + columns, std::uint8_t{1});
            std::fill(masks, masks + columns, std::uint8_t{0});
            for (int i = 0; i < k; ++i) {
                const std::uint8_t *v = strip.raster.valid.row(r * k + i),
                                   *m = strip.masks.row(r * k + i);
                for (int x = 0; x < columns; ++x)
                    for (int j = 0; j < k; ++j) {
                        if (v[x * k + j] == 0) valid[x] = 0;
                        masks[x] = static_cast<std::uint8_t>(masks[x] | m[x * k + j]);
                    }
            }
            for (int x = 0; x < columns; ++x)
                if (valid[x] == 0) masks[x] = kNoData;
            for (std::size_t b = 0; b < strip.raster.bands.size(); ++b) {
                for (int i = 0; i < k; ++i)
                    lines[static_cast<std::size_t>(i)] = strip.raster.bands[b].row(r * k + i);
                float* out = o.image.raster.bands[b].row(y);
                kernels::block_average(lines.data(), k, static_cast<std::size_t>(columns), out);
                for (int x = 0; x < columns; ++x)
                    if (valid[x] == 0) out[x] = 0;
            }
        }
    });
}

Alignment at_full_size(Alignment a, int factor) {
    const auto k = static_cast<double>(factor);
    Warp& warp = a.target_from_reference;
    warp.affine.a[0] *= k;
    warp.affine.a[3] *= k;
    warp.local.spacing_px *= k;
    for (auto* field : {&warp.local.dx, &warp.local.dy})
        for (float& v : *field) v *= static_cast<float>(k);
    for (TiePoint& tie : a.tie_points) {
        tie.reference_px = k * tie.reference_px;
        tie.target_px = k * tie.target_px;
        tie.residual_px *= k;
        tie.lean_px = k * tie.lean_px;
    }
    a.residual.spacing_px *= k;
    a.support_radius_px *= k;
    return a;
}

}  // namespace fenceline
