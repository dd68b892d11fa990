#pragma once

#include <gdal_priv.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/grid.h"
#include "core/projection.h"
#include "input/image_io.h"

namespace fenceline::test {

/// A folder that goes away with the test.
struct TemporaryFolder {
    std::filesystem::path path;
    TemporaryFolder() {
        std::string name =
            (std::filesystem::temp_directory_path() / "fenceline_test_XXXXXX").string();
        path = mkdtemp(name.data());
        path = std::filesystem::canonical(path);
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    std::string operator/(const std::string& name) const { return (path / name).string(); }
};

inline void write_text(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << text;
}

inline std::string read_bytes(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// How a test image is made; value(band, column, row) with the pixel's centre at (column + 0.5, row
/// + 0.5).
struct ImageRecipe {
    int width = 64, height = 64, bands = 1;
    GDALDataType type = GDT_UInt16;
    std::string crs = "EPSG:32652";
    std::array<double, 6> geotransform{500000, 1, 0, 4630000, 0, -1};
    std::vector<std::string> creation;
    std::map<std::string, std::string> tags{{"TIFFTAG_DATETIME", "2017:08:29 04:50:11"}};
    std::function<double(int, int, int)> value = [](int b, int x, int y) {
        return 100.0 + 10 * b + x + 2 * y;
    };
    std::function<void(GDALDataset&)> more;
};

inline void write_image(const std::string& path, const ImageRecipe& recipe) {
    initialise_gdal();
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    char** options = nullptr;
    for (const auto& option : recipe.creation) options = CSLAddString(options, option.c_str());
    GDALDataset* image = GetGDALDriverManager()->GetDriverByName("GTiff")->Create(
        path.c_str(), recipe.width, recipe.height, recipe.bands, recipe.type, options);
    CSLDestroy(options);
    if (image == nullptr) throw std::runtime_error("cannot make " + path);
    if (!recipe.crs.empty()) image->SetProjection(wkt_of(recipe.crs).c_str());
    if (recipe.geotransform != std::array<double, 6>{}) {
        auto transform = recipe.geotransform;
        image->SetGeoTransform(transform.data());
    }
    for (const auto& [key, text] : recipe.tags) image->SetMetadataItem(key.c_str(), text.c_str());
    if (recipe.more) recipe.more(*image);
    if (recipe.value) {
        std::vector<double> line(static_cast<std::size_t>(recipe.width));
        for (int b = 0; b < recipe.bands; ++b)
            for (int y = 0; y < recipe.height; ++y) {
                for (int x = 0; x < recipe.width; ++x)
                    line[static_cast<std::size_t>(x)] = recipe.value(b, x, y);
                if (image->GetRasterBand(b + 1)->RasterIO(GF_Write, 0, y, recipe.width, 1,
                                                          line.data(), recipe.width, 1, GDT_Float64,
                                                          0, 0, nullptr) != CE_None)
                    throw std::runtime_error("cannot write " + path);
            }
    }
    GDALClose(image);
}

/// A north-up grid in UTM 52N.
inline Grid utm_grid(double x0, double y0, double gsd, int width, int height) {
    Grid grid;
    grid.crs_wkt = wkt_of("EPSG:32652");
    grid.geotransform = {x0, gsd, 0, y0, 0, -gsd};
    grid.width = width;
    grid.height = height;
    return grid;
}

}  // namespace fenceline::test
