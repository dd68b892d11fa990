#include "input/given_mask.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>

#include "core/error.h"
#include "core/parallel.h"
#include "input/dataset.h"
#include "input/georeference.h"

namespace fenceline {
namespace {

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

struct MaskBand {
    int band = 0;
    std::uint8_t bits = 0;
    bool black_fill = false;  // udm1: only its lowest bit, "no data here"
};

/// Which band of a UDM2 sets which bits: by description, else Planet's documented order.
std::vector<MaskBand> udm2_bands(const std::string& path, GDALDataset& mask) {
    std::vector<MaskBand> bands;
    bool named = false;
    for (int b = 1; b <= mask.GetRasterCount(); ++b) {
        const std::string name = lower(mask.GetRasterBand(b)->GetDescription());
        const auto has = [&](const char* word) { return name.find(word) != std::string::npos; };
        if (has("snow"))
            bands.push_back({b, kSnow, false});
        else if (has("shadow"))
            bands.push_back({b, kCloudShadow, false});
        else if (has("haze"))
            bands.push_back({b, kHaze, false});
        else if (has("cloud"))
            bands.push_back({b, kCloud, false});
        else if (has("udm") || has("unusable"))
            bands.push_back({b, kNoData, true});
        else
            continue;
        named = true;
    }
    if (named) return bands;
    if (mask.GetRasterCount() < 6)
        throw DataError(path, "a UDM2 mask has at least 6 bands",
                        "name it in the CSV as a plain mask, or leave it out");
    bands = {{2, kSnow, false},
             {3, kCloudShadow, false},
             {4, kHaze, false},
             {5, kHaze, false},
             {6, kCloud, false}};
    if (mask.GetRasterCount() >= 8) bands.push_back({8, kNoData, true});
    return bands;
}

std::uint8_t scl_bits(std::uint8_t scene_class) {
    switch (scene_class) {
        case 0:
            return kNoData;
        case 1:
            return kSaturated;
        case 3:
            return kCloudShadow;
        case 8:
        case 9:
            return kCloud;
        case 10:
            return kHaze;  // thin cirrus
        case 11:
            return kSnow;
        default:
            return 0;
    }
}

}  // namespace

std::string kind_of_mask(const std::string& path) {
    const std::string name = lower(std::filesystem::path(path).filename().string());
    const DatasetPtr mask = open_image(path);
    if (name.find("udm2") != std::string::npos || mask->GetRasterCount() >= 6) return "udm2";
    if (name.find("scl") != std::string::npos) return "scl";
    return "clear";
}

void add_given_mask(const std::string& path, const std::string& kind, const Warp& warp,
                    Point origin_px, const GeorefOptions& georef, GridImage& image) {
    const auto target = [&](Point px) { return warp(px + origin_px) - origin_px; };
    const DatasetPtr mask = open_image(path);
    const Georeference georeference(path, *mask, georef);
    const Grid& grid = image.raster.grid;
    double x1 = grid.width, y1 = grid.height, x0 = 0, y0 = 0;
    for (const Point corner : {Point{0, 0}, Point{x1, 0}, Point{0, y1}, Point{x1, y1}}) {
        const Point p = target(corner);
        x0 = std::min(x0, p.x);
        y0 = std::min(y0, p.y);
        x1 = std::max(x1, p.x);
        y1 = std::max(y1, p.y);
    }
    const SourceLattice lattice(georeference, grid, x0 - 16, y0 - 16, x1 + 16, y1 + 16, 0.1);
    std::vector<MaskBand> bands;
    if (kind == "udm2")
        bands = udm2_bands(path, *mask);
    else
        bands = {{1, 0, false}};
    const int width = mask->GetRasterXSize(), height = mask->GetRasterYSize();
    GdalMessages messages;

    constexpr int kStrip = 256;
    std::vector<std::uint8_t> samples;
    for (int ty = 0; ty < grid.height; ty += kStrip) {
        throw_if_cancelled();
        const int rows = std::min(kStrip, grid.height - ty);
        std::vector<Point> places(static_cast<std::size_t>(rows) *
                                  static_cast<std::size_t>(grid.width));
        double low_x = width, low_y = height, high_x = -1, high_y = -1;
        for (int y = 0; y < rows; ++y)
            for (int x = 0; x < grid.width; ++x) {
                const Point p = lattice(target({x + 0.5, ty + y + 0.5}));
                const bool inside = p.x >= 0 && p.y >= 0 && p.x < width && p.y < height;
                places[static_cast<std::size_t>(y) * static_cast<std::size_t>(grid.width) +
                       static_cast<std::size_t>(x)] = inside ? p : Point{-1, -1};
                if (!inside) continue;
                low_x = std::min(low_x, p.x);
                low_y = std::min(low_y, p.y);
                high_x = std::max(high_x, p.x);
                high_y = std::max(high_y, p.y);
            }
        if (high_x < 0) continue;
        const Window w{static_cast<int>(low_x), static_cast<int>(low_y),
                       static_cast<int>(high_x) - static_cast<int>(low_x) + 1,
                       static_cast<int>(high_y) - static_cast<int>(low_y) + 1};
        if (static_cast<double>(w.width) * w.height > 512e6)
            throw DataError(path, "the mask is far finer than the grid", "reduce it first");
        samples.resize(static_cast<std::size_t>(w.width) * static_cast<std::size_t>(w.height));
        for (const MaskBand& from : bands) {
            if (mask->GetRasterBand(from.band)->RasterIO(GF_Read, w.x, w.y, w.width, w.height,
                                                         samples.data(), w.width, w.height,
                                                         GDT_Byte, 0, 0, nullptr) != CE_None)
                throw DataError(path, "the mask cannot be read: " + messages.text(),
                                "the file is damaged or incomplete");
            for (int y = 0; y < rows; ++y)
                for (int x = 0; x < grid.width; ++x) {
                    const Point p =
                        places[static_cast<std::size_t>(y) * static_cast<std::size_t>(grid.width) +
                               static_cast<std::size_t>(x)];
                    if (p.x < 0) continue;
                    const std::uint8_t value =
                        samples[static_cast<std::size_t>(static_cast<int>(p.y) - w.y) *
                                    static_cast<std::size_t>(w.width) +
                                static_cast<std::size_t>(static_cast<int>(p.x) - w.x)];
                    std::uint8_t bits = 0;
                    if (kind == "udm2")
                        bits = (from.black_fill ? (value & 1) != 0 : value != 0) ? from.bits : 0;
                    else if (kind == "scl")
                        bits = scl_bits(value);
                    else
                        bits = value == 0 ? kCloud : 0;
                    std::uint8_t& to = image.masks.at(x, ty + y);
                    to = static_cast<std::uint8_t>(to | bits);
                    if ((bits & kNoData) != 0 && image.raster.valid.at(x, ty + y) != 0) {
                        image.raster.valid.at(x, ty + y) = 0;
                        for (Plane& plane : image.raster.bands) plane.at(x, ty + y) = 0;
                    }
                }
        }
    }
}

}  // namespace fenceline
