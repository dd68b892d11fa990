#include "output/raster_writer.h"

#include <cpl_conv.h>
#include <gdal_priv.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>

#include "core/error.h"

namespace fenceline {
namespace {

GDALDataType gdal_type(PixelType type) {
    switch (type) {
        case PixelType::u8:
            return GDT_Byte;
        case PixelType::u16:
            return GDT_UInt16;
        case PixelType::f32:
            return GDT_Float32;
    }
    return GDT_Float32;
}

struct CloseDataset {
    void operator()(GDALDataset* dataset) const { GDALClose(dataset); }
};
using DatasetPtr = std::unique_ptr<GDALDataset, CloseDataset>;

}  // namespace

void write_cog(const std::string& path, const Raster& raster, PixelType type, double no_data,
               const TiffMetadata& metadata) {
    const int width = raster.grid.width, height = raster.grid.height;
    GDALDriver* memory = GetGDALDriverManager()->GetDriverByName("MEM");
    GDALDriver* cog = GetGDALDriverManager()->GetDriverByName("COG");
    if (memory == nullptr || cog == nullptr)
        throw DataError(path, "GDAL lacks the MEM or COG driver");
    DatasetPtr image(memory->Create("", width, height, static_cast<int>(raster.bands.size()),
                                    gdal_type(type), nullptr));
    if (!image) throw DataError(path, "no memory for the output image");
    auto transform = raster.grid.geotransform;
    image->SetGeoTransform(transform.data());
    if (!raster.grid.crs_wkt.empty()) image->SetProjection(raster.grid.crs_wkt.c_str());
    const double top = type == PixelType::u8 ? 255.0 : type == PixelType::u16 ? 65535.0 : 0.0;
    std::vector<float> line(static_cast<std::size_t>(width));
    for (std::size_t b = 0; b < raster.bands.size(); ++b) {
        GDALRasterBand* band = image->GetRasterBand(static_cast<int>(b) + 1);
        if (metadata.jpeg_quality == 0) band->SetNoDataValue(no_data);
        if (b < metadata.band_descriptions.size())
            band->SetDescription(metadata.band_descriptions[b].c_str());
        for (int y = 0; y < height; ++y) {
            const float* in = raster.bands[b].row(y);
            const std::uint8_t* valid = raster.valid.empty() ? nullptr : raster.valid.row(y);
            for (int x = 0; x < width; ++x) {
                double value = static_cast<double>(in[x]);
                if (type != PixelType::f32) value = std::clamp(std::round(value), 0.0, top);
                if (valid != nullptr && valid[x] == 0)
                    value = no_data;
                else if (type != PixelType::f32 && value == no_data && valid != nullptr)
                    value =
                        no_data == 0 ? 1 : no_data - 1;  // a true value must not read as no data
                line[static_cast<std::size_t>(x)] = static_cast<float>(value);
            }
            if (band->RasterIO(GF_Write, 0, y, width, 1, line.data(), width, 1, GDT_Float32, 0, 0,
                               nullptr) != CE_None)
                throw DataError(path, CPLGetLastErrorMsg());
        }
    }
    for (const auto& [key, value] : metadata.tags)
        image->SetMetadataItem(key.c_str(), value.c_str());
    for (const auto& [key, value] : metadata.imd)
        image->SetMetadataItem(key.c_str(), value.c_str(), "IMD");
    char** options = nullptr;
    if (metadata.jpeg_quality > 0) {
        if (type != PixelType::u8 || (raster.bands.size() != 1 && raster.bands.size() != 3)) {
            CSLDestroy(options);
            throw DataError(path, "JPEG holds 1 or 3 bands of 8 bit only", "write it without loss");
        }
        options = CSLSetNameValue(options, "COMPRESS", "JPEG");
        options =
            CSLSetNameValue(options, "QUALITY", std::to_string(metadata.jpeg_quality).c_str());
        options = CSLSetNameValue(options, "OVERVIEWS", "NONE");
    } else {
        options = CSLSetNameValue(options, "COMPRESS", "DEFLATE");
        options = CSLSetNameValue(options, "PREDICTOR", "YES");
    }
    options = CSLSetNameValue(options, "BLOCKSIZE", "512");
    const std::string resampling = !metadata.overview_resampling.empty()
                                       ? metadata.overview_resampling
                                   : type == PixelType::u8 ? "NEAREST"
                                                           : "AVERAGE";
    options = CSLSetNameValue(options, "OVERVIEW_RESAMPLING", resampling.c_str());
    CPLErrorReset();
    DatasetPtr written(cog->CreateCopy(path.c_str(), image.get(), 0, options, nullptr, nullptr));
    CSLDestroy(options);
    const bool created = written != nullptr;
    written.reset();
    if (!created || CPLGetLastErrorType() >= CE_Failure)
        throw DataError(path, std::string("cannot be written: ") + CPLGetLastErrorMsg(),
                        "is the disk full?");
    std::error_code ignored;
    std::filesystem::remove(path + ".aux.xml", ignored);
}

}  // namespace fenceline
