#include "output/raster_writer.h"

#include <cpl_conv.h>
#include <gdal_priv.h>
#include <ogr_spatialref.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <filesystem>
#include <memory>

#include "core/error.h"
#include "core/progress.h"

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
        try {  // nothing is thrown through GDAL; create_cog() throws it again
            source_(nBand - 1, y, static_cast<float*>(row));
        } catch (...) {
            if (fault && !*fault) *fault = std::current_exception();
            CPLError(CE_Failure, CPLE_AppDefined, "the rows cannot be made");
            return CE_Failure;
        }
        return CE_None;
    }
    double no_data = 0;
    std::exception_ptr* fault = nullptr;

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
            band->fault = &fault;
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
    std::exception_ptr fault;  ///< what the rows' source threw first

  private:
    std::array<double, 6> transform_{};
    OGRSpatialReference crs_;
};

int CPL_STDCALL unless_cancelled(double, const char*, void*) { return cancel_requested() ? 0 : 1; }

void create_cog(const std::string& path, GDALDataset& image, char** options,
                const std::exception_ptr* fault = nullptr) {
    GDALDriver* cog = GetGDALDriverManager()->GetDriverByName("COG");
    if (cog == nullptr) throw DataError(path, "GDAL lacks the COG driver");
    CPLErrorReset();
    DatasetPtr written(
        cog->CreateCopy(path.c_str(), &image, 0, options, unless_cancelled, nullptr));
    const bool created = written != nullptr;
    written.reset();
    throw_if_cancelled();
    if (fault != nullptr && *fault) std::rethrow_exception(*fault);
    if (!created || CPLGetLastErrorType() >= CE_Failure)
        throw DataError(path, std::string("cannot be written: ") + CPLGetLastErrorMsg(),
                        "is the disk full?");
    std::error_code ignored;
    std::filesystem::remove(path + ".aux.xml", ignored);
}

/// Rows of an image, rounded and clipped to the type, from row first on.
void write_rows(GDALDataset& image, const Raster& rows, int first, PixelType type, double no_data,
                const std::string& path) {
    const int width = rows.grid.width, height = rows.grid.height;
    const double top = type == PixelType::u8 ? 255.0 : type == PixelType::u16 ? 65535.0 : 0.0;
    std::vector<float> line(static_cast<std::size_t>(width));
    for (std::size_t b = 0; b < rows.bands.size(); ++b) {
        GDALRasterBand* band = image.GetRasterBand(static_cast<int>(b) + 1);
        for (int y = 0; y < height; ++y) {
            const float* in = rows.bands[b].row(y);
            const std::uint8_t* valid = rows.valid.empty() ? nullptr : rows.valid.row(y);
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
            if (band->RasterIO(GF_Write, 0, first + y, width, 1, line.data(), width, 1, GDT_Float32,
                               0, 0, nullptr) != CE_None)
                throw DataError(path, CPLGetLastErrorMsg());
        }
    }
}

/// An empty image of a driver with everything but its pixels.
DatasetPtr blank_image(const char* driver_name, const std::string& name, const Grid& grid,
                       int bands, PixelType type, double no_data, const TiffMetadata& metadata,
                       const std::string& path) {
    GDALDriver* driver = GetGDALDriverManager()->GetDriverByName(driver_name);
    if (driver == nullptr)
        throw DataError(path, std::string("GDAL lacks the driver ") + driver_name);
    char** options = nullptr;
    if (!name.empty()) {
        options = CSLSetNameValue(options, "BIGTIFF", "IF_SAFER");
        options = CSLSetNameValue(options, "INTERLEAVE", "BAND");
    }
    DatasetPtr image(
        driver->Create(name.c_str(), grid.width, grid.height, bands, gdal_type(type), options));
    CSLDestroy(options);
    if (!image)
        throw DataError(path, name.empty()
                                  ? std::string("no memory for the output image")
                                  : std::string("cannot be written: ") + CPLGetLastErrorMsg());
    auto transform = grid.geotransform;
    image->SetGeoTransform(transform.data());
    if (!grid.crs_wkt.empty()) image->SetProjection(grid.crs_wkt.c_str());
    for (int b = 0; b < bands; ++b) {
        GDALRasterBand* band = image->GetRasterBand(b + 1);
        if (metadata.jpeg_quality == 0) band->SetNoDataValue(no_data);
        if (static_cast<std::size_t>(b) < metadata.band_descriptions.size())
            band->SetDescription(metadata.band_descriptions[static_cast<std::size_t>(b)].c_str());
    }
    for (const auto& [key, value] : metadata.tags)
        image->SetMetadataItem(key.c_str(), value.c_str());
    for (const auto& [key, value] : metadata.imd)
        image->SetMetadataItem(key.c_str(), value.c_str(), "IMD");
    return image;
}

void copy_to_cog(const std::string& path, GDALDataset& image, PixelType type,
                 const TiffMetadata& metadata) {
    const int bands = image.GetRasterCount();
    char** options = nullptr;
    if (metadata.jpeg_quality > 0) {
        if (type != PixelType::u8 || (bands != 1 && bands != 3))
            throw DataError(path, "JPEG holds 1 or 3 bands of 8 bit only", "write it without loss");
        options = CSLSetNameValue(options, "COMPRESS", "JPEG");
        options =
            CSLSetNameValue(options, "QUALITY", std::to_string(metadata.jpeg_quality).c_str());
        options = CSLSetNameValue(options, "OVERVIEWS", "NONE");
    } else {
        options = CSLSetNameValue(options, "COMPRESS", "DEFLATE");
        options = CSLSetNameValue(options, "PREDICTOR", "YES");
        if (metadata.deflate_level > 0)
            options =
                CSLSetNameValue(options, "LEVEL", std::to_string(metadata.deflate_level).c_str());
    }
    options = CSLSetNameValue(options, "BLOCKSIZE", "512");
    const std::string resampling = !metadata.overview_resampling.empty()
                                       ? metadata.overview_resampling
                                   : type == PixelType::u8 ? "NEAREST"
                                                           : "AVERAGE";
    options = CSLSetNameValue(options, "OVERVIEW_RESAMPLING", resampling.c_str());
    try {
        create_cog(path, image, options);
    } catch (...) {
        CSLDestroy(options);
        throw;
    }
    CSLDestroy(options);
}

/// A file that is gone when this is.
struct ScratchFile {
    std::string path;
    explicit ScratchFile(std::string name) : path(std::move(name)) {}
    ScratchFile(const ScratchFile&) = delete;
    ScratchFile& operator=(const ScratchFile&) = delete;
    ~ScratchFile() {
        std::error_code ignored;
        for (const char* beside : {"", ".aux.xml"}) std::filesystem::remove(path + beside, ignored);
    }
};

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
    // Tiles are compressed by threads of their own and written in order: the file is the same.
    if (const int threads = tbb::this_task_arena::max_concurrency(); threads > 1)
        options = CSLSetNameValue(options, "NUM_THREADS", std::to_string(threads).c_str());
    options = CSLSetNameValue(
        options, "OVERVIEW_RESAMPLING",
        metadata.overview_resampling.empty() ? "AVERAGE" : metadata.overview_resampling.c_str());
    try {
        create_cog(path, image, options, &image.fault);
    } catch (...) {
        CSLDestroy(options);
        throw;
    }
    CSLDestroy(options);
}

void write_cog(const std::string& path, const Grid& grid, int bands, int strip_rows, PixelType type,
               double no_data, const TiffMetadata& metadata,
               const std::function<Raster(int, int)>& make) {
    const bool whole = strip_rows >= grid.height;
    const ScratchFile scratch(path + ".strips.tif");
    const DatasetPtr image = blank_image(whole ? "MEM" : "GTiff", whole ? "" : scratch.path, grid,
                                         bands, type, no_data, metadata, path);
    for (int y = 0; y < grid.height; y += strip_rows)
        write_rows(*image, make(y, std::min(strip_rows, grid.height - y)), y, type, no_data, path);
    CPLErrorReset();
    image->FlushCache();
    if (CPLGetLastErrorType() >= CE_Failure)
        throw DataError(path, std::string("cannot be written: ") + CPLGetLastErrorMsg(),
                        "is the disk full?");
    copy_to_cog(path, *image, type, metadata);
}

void write_cog(const std::string& path, const Raster& raster, PixelType type, double no_data,
               const TiffMetadata& metadata) {
    const DatasetPtr image =
        blank_image("MEM", "", raster.grid, static_cast<int>(raster.bands.size()), type, no_data,
                    metadata, path);
    write_rows(*image, raster, 0, type, no_data, path);
    copy_to_cog(path, *image, type, metadata);
}

}  // namespace fenceline
