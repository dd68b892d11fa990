#include "output/raster_writer.h"

#include <cpl_conv.h>
#include <gdal_priv.h>
#include <ogr_spatialref.h>

#include <algorithm>
#include <array>
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

/// An image whose rows are made when they are asked for.
class RowBand final : public GDALRasterBand {
  public:
    RowBand(GDALDataset* owner, int band, int width, const RowSource& source) : source_(source) {
        poDS = owner;
        nBand = band;
        eDataType = GDT_Float32;
        nBlockXSize = width;
        nBlockYSize = 1;
    }
    double GetNoDataValue(int* has) override {
        if (has != nullptr) *has = 1;
        return no_data;
    }
    CPLErr IReadBlock(int, int y, void* row) override {
        source_(nBand - 1, y, static_cast<float*>(row));
        return CE_None;
    }
    double no_data = 0;

  private:
    const RowSource& source_;
};

class RowImage final : public GDALDataset {
  public:
    RowImage(const Grid& grid, int bands, const RowSource& source, double no_data) {
        nRasterXSize = grid.width;
        nRasterYSize = grid.height;
        for (int b = 1; b <= bands; ++b) {
            auto* band = new RowBand(this, b, grid.width, source);
            band->no_data = no_data;
            SetBand(b, band);  // owns it
        }
        transform_ = grid.geotransform;
        if (!grid.crs_wkt.empty()) crs_.importFromWkt(grid.crs_wkt.c_str());
        crs_.SetAxisMappingStrategy(OAMS_TRADITIONAL_GIS_ORDER);
    }
    CPLErr GetGeoTransform(double* transform) override {
        std::copy(transform_.begin(), transform_.end(), transform);
        return CE_None;
    }
    const OGRSpatialReference* GetSpatialRef() const override {
        return crs_.IsEmpty() ? nullptr : &crs_;
    }

  private:
    std::array<double, 6> transform_{};
    OGRSpatialReference crs_;
};

void create_cog(const std::string& path, GDALDataset& image, char** options) {
    GDALDriver* cog = GetGDALDriverManager()->GetDriverByName("COG");
    if (cog == nullptr) throw DataError(path, "GDAL lacks the COG driver");
    CPLErrorReset();
    DatasetPtr written(cog->CreateCopy(path.c_str(), &image, 0, options, nullptr, nullptr));
    const bool created = written != nullptr;
    written.reset();
    if (!created || CPLGetLastErrorType() >= CE_Failure)
        throw DataError(path, std::string("cannot be written: ") + CPLGetLastErrorMsg(),
                        "is the disk full?");
    std::error_code ignored;
    std::filesystem::remove(path + ".aux.xml", ignored);
}

}  // namespace

void write_cog_rows(const std::string& path, const Grid& grid, int bands, const RowSource& source,
                    double no_data, const TiffMetadata& metadata) {
    RowImage image(grid, bands, source, no_data);
    for (int b = 1; b <= bands; ++b)
        if (static_cast<std::size_t>(b) <= metadata.band_descriptions.size())
            image.GetRasterBand(b)->SetDescription(
                metadata.band_descriptions[static_cast<std::size_t>(b) - 1].c_str());
    for (const auto& [key, value] : metadata.tags)
        image.SetMetadataItem(key.c_str(), value.c_str());
    char** options = nullptr;
    options = CSLSetNameValue(options, "COMPRESS", "DEFLATE");
    options = CSLSetNameValue(options, "LEVEL", "1");  // nearly as small here, in half of the time
    options = CSLSetNameValue(options, "PREDICTOR", "YES");
    options = CSLSetNameValue(options, "BLOCKSIZE", "512");
    options = CSLSetNameValue(
        options, "OVERVIEW_RESAMPLING",
        metadata.overview_resampling.empty() ? "AVERAGE" : metadata.overview_resampling.c_str());
    try {
        create_cog(path, image, options);
    } catch (...) {
        CSLDestroy(options);
        throw;
    }
    CSLDestroy(options);
}

void write_cog(const std::string& path, const Raster& raster, PixelType type, double no_data,
               const TiffMetadata& metadata) {
    const int width = raster.grid.width, height = raster.grid.height;
    GDALDriver* memory = GetGDALDriverManager()->GetDriverByName("MEM");
    if (memory == nullptr) throw DataError(path, "GDAL lacks the MEM driver");
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
    try {
        create_cog(path, *image, options);
    } catch (...) {
        CSLDestroy(options);
        throw;
    }
    CSLDestroy(options);
}

}  // namespace fenceline
