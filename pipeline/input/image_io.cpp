#include "input/image_io.h"

#include <cpl_conv.h>
#include <gdal_priv.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <mutex>

#include "core/error.h"
#include "core/projection.h"

namespace fenceline {
namespace {
struct CloseDataset {
    void operator()(GDALDataset* dataset) const { GDALClose(dataset); }
};
using DatasetPtr = std::unique_ptr<GDALDataset, CloseDataset>;

DatasetPtr open_image(const std::string& path) {
    DatasetPtr image(GDALDataset::Open(path.c_str(), GDAL_OF_RASTER | GDAL_OF_READONLY));
    if (!image) throw DataError(path, CPLGetLastErrorMsg(), "is it a complete image?");
    return image;
}
}  // namespace

void initialise_gdal() {
    static std::once_flag once;
    std::call_once(once, [] {
        CPLSetConfigOption("GDAL_PAM_ENABLED", "NO");
        GDALAllRegister();
    });
}

void probe_image(SceneInfo& info, const GeorefOptions&) {
    const DatasetPtr image = open_image(info.path);
    info.band_count = image->GetRasterCount();
    info.roles.assign(static_cast<std::size_t>(info.band_count), BandRole::other);
    if (info.band_count == 1) info.roles = {BandRole::pan};
    if (info.band_count == 3) info.roles = {BandRole::red, BandRole::green, BandRole::blue};
    if (info.band_count == 4) info.roles = {BandRole::blue, BandRole::green, BandRole::red, BandRole::nir};
}

GridImage read_on_grid(const SceneInfo& info, const Grid& grid, const Warp& warp, const GeorefOptions&) {
    const DatasetPtr image = open_image(info.path);
    Grid source;
    image->GetGeoTransform(source.geotransform.data());
    source.crs_wkt = image->GetProjectionRef();
    const int sw = image->GetRasterXSize(), sh = image->GetRasterYSize();
    const Transform to_source(grid.crs_wkt, source.crs_wkt);
    GridImage out;
    out.raster.grid = grid;
    out.raster.roles = info.roles;
    out.raster.valid = Mask(grid.width, grid.height);
    out.masks = Mask(grid.width, grid.height, kNoData);
    std::vector<float> band(static_cast<std::size_t>(sw) * static_cast<std::size_t>(sh));
    for (int b = 1; b <= image->GetRasterCount(); ++b) {
        if (image->GetRasterBand(b)->RasterIO(GF_Read, 0, 0, sw, sh, band.data(), sw, sh, GDT_Float32, 0, 0, nullptr) != CE_None)
            throw DataError(info.path, CPLGetLastErrorMsg());
        Plane plane(grid.width, grid.height);
        for (int y = 0; y < grid.height; ++y)
            for (int x = 0; x < grid.width; ++x) {
                const Point px = source.px_from_map(to_source(grid.map_from_px(warp({x + 0.5, y + 0.5}))));
                const double u = px.x - 0.5, v = px.y - 0.5;
                const int i = static_cast<int>(std::floor(u)), j = static_cast<int>(std::floor(v));
                if (!(i >= 1 && j >= 1 && i + 2 < sw && j + 2 < sh)) continue;
                double sum = 0;
                for (int n = -1; n <= 2; ++n)
                    for (int m = -1; m <= 2; ++m) {
                        const auto key = [](double t) {
                            t = std::abs(t);
                            return t < 1 ? 1.5 * t * t * t - 2.5 * t * t + 1 : t < 2 ? -0.5 * t * t * t + 2.5 * t * t - 4 * t + 2 : 0.0;
                        };
                        sum += key(u - (i + m)) * key(v - (j + n)) *
                               static_cast<double>(band[static_cast<std::size_t>(j + n) * static_cast<std::size_t>(sw) + static_cast<std::size_t>(i + m)]);
                    }
                plane.at(x, y) = static_cast<float>(sum);
                out.raster.valid.at(x, y) = 1;
                out.masks.at(x, y) = 0;
            }
        out.raster.bands.push_back(std::move(plane));
    }
    return out;
}

}  // namespace fenceline
