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
#include <limits>
#include <memory>
#include <type_traits>

#include "core/error.h"
#include "core/parallel.h"
#include "core/plane_memory.h"
#include "core/progress.h"

namespace fenceline {
namespace {

constexpr int kBlock = 512;

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

/// One band's rows, rounded and clipped to the type; invalid pixels get no_data.
template <class T>
void to_samples(const Plane& in, const Mask& valid, double no_data, int width, int height, T* out) {
    constexpr bool kWhole = std::is_integral_v<T>;
    // A true value must not read as no data.
    const T none = static_cast<T>(no_data), beside = static_cast<T>(no_data == 0 ? 1 : no_data - 1);
    parallel_rows(height, [&](int y0, int y1) {
        for (int y = y0; y < y1; ++y) {
            const float* from = in.row(y);
            const std::uint8_t* ok = valid.empty() ? nullptr : valid.row(y);
            T* to = out + static_cast<std::size_t>(y) * static_cast<std::size_t>(width);
            if constexpr (kWhole) {
                constexpr auto top = static_cast<float>(std::numeric_limits<T>::max());
                for (int x = 0; x < width; ++x) {
                    const float value = std::min(std::max(from[x], 0.0F), top);
                    const auto whole = static_cast<std::int32_t>(value);
                    const std::int32_t near =
                        whole + (value - static_cast<float>(whole) >= 0.5F ? 1 : 0);
                    to[x] = static_cast<T>(near);
                }
                if (ok != nullptr)
                    for (int x = 0; x < width; ++x) {
                        const T value = to[x] == none ? beside : to[x];
                        to[x] = ok[x] == 0 ? none : value;
                    }
            } else {
                for (int x = 0; x < width; ++x)
                    to[x] = ok != nullptr && ok[x] == 0 ? none : from[x];
            }
        }
    });
}

void check_write(CPLErr error, const std::string& path) {
    if (error != CE_None) throw DataError(path, CPLGetLastErrorMsg());
}

/// Rows of an image from row first on.
template <class T>
void write_rows(GDALDataset& image, const Raster& rows, int first, double no_data,
                const std::string& path) {
    const int width = rows.grid.width, height = rows.grid.height;
    std::vector<T, PlaneAllocator<T>> samples(static_cast<std::size_t>(width) *
                                              static_cast<std::size_t>(height));
    for (std::size_t b = 0; b < rows.bands.size(); ++b) {
        to_samples(rows.bands[b], rows.valid, no_data, width, height, samples.data());
        GDALRasterBand* band = image.GetRasterBand(static_cast<int>(b) + 1);
        check_write(band->RasterIO(GF_Write, 0, first, width, height, samples.data(), width, height,
                                   band->GetRasterDataType(), 0, 0, nullptr),
                    path);
    }
}

void write_rows(GDALDataset& image, const Raster& rows, int first, PixelType type, double no_data,
                const std::string& path) {
    switch (type) {
        case PixelType::u8:
            return write_rows<std::uint8_t>(image, rows, first, no_data, path);
        case PixelType::u16:
            return write_rows<std::uint16_t>(image, rows, first, no_data, path);
        case PixelType::f32:
            return write_rows<float>(image, rows, first, no_data, path);
    }
}

/// Means of the data among 2 × 2 pixels, level by level, halves up (what GDAL's AVERAGE is for
/// whole numbers, in a tenth of its time). At an odd border fewer pixels count.
template <class T>
void fill_overviews(GDALRasterBand& band, T none, const std::string& path) {
    int width = band.GetXSize(), height = band.GetYSize();
    const GDALDataType type = band.GetRasterDataType();
    constexpr int kRows = 256;
    std::vector<T> below, level;  // the level before: the image itself is read as it is needed
    for (int k = 0; k < band.GetOverviewCount(); ++k) {
        GDALRasterBand* overview = band.GetOverview(k);
        const int columns = overview->GetXSize(), rows = overview->GetYSize();
        level.resize(static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows));
        for (int r0 = 0; r0 < rows; r0 += kRows) {
            const int r1 = std::min(rows, r0 + kRows), y0 = 2 * r0, y1 = std::min(height, 2 * r1);
            const T* from = below.data();
            std::vector<T> strip;
            if (k == 0) {
                strip.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(y1 - y0));
                check_write(band.RasterIO(GF_Read, 0, y0, width, y1 - y0, strip.data(), width,
                                          y1 - y0, type, 0, 0, nullptr),
                            path);
                from = strip.data();
            } else {
                from += static_cast<std::size_t>(y0) * static_cast<std::size_t>(width);
            }
            parallel_rows(r1 - r0, [&](int begin, int end) {
                for (int r = begin; r < end; ++r) {
                    const auto stride = static_cast<std::size_t>(width);
                    const T* upper = from + 2 * static_cast<std::size_t>(r) * stride;
                    const bool two = y0 + 2 * r + 1 < y1;
                    const T* lower = two ? upper + stride : upper;
                    T* to = level.data() +
                            static_cast<std::size_t>(r0 + r) * static_cast<std::size_t>(columns);
                    const auto mean = [&](int x, int next) {
                        const T v[4] = {upper[x], upper[next], lower[x], lower[next]};
                        std::uint32_t sum = 0, count = 0;
                        for (const T s : v) {
                            sum += s == none ? 0U : s;
                            count += s == none ? 0U : 1U;
                        }
                        return count == 4   ? static_cast<T>((sum + 2) / 4)
                               : count == 0 ? none
                                            : static_cast<T>((sum + count / 2) / count);
                    };
                    for (int q = 0; q < width / 2; ++q) to[q] = mean(2 * q, 2 * q + 1);
                    if (2 * columns > width) to[columns - 1] = mean(width - 1, width - 1);
                }
            });
        }
        check_write(overview->RasterIO(GF_Write, 0, 0, columns, rows, level.data(), columns, rows,
                                       type, 0, 0, nullptr),
                    path);
        width = columns, height = rows;
        std::swap(below, level);
    }
}

/// Overviews of an image in memory down to one block: left to itself the COG driver makes them
/// slower, and compresses them twice, the first time for a file of its own.
void build_overviews(GDALDataset& image, PixelType type, double no_data, const std::string& path) {
    std::vector<int> factors;
    while (std::max(image.GetRasterXSize(), image.GetRasterYSize()) >> factors.size() > kBlock)
        factors.push_back(2 << factors.size());
    if (factors.empty()) return;
    check_write(image.BuildOverviews("NONE", static_cast<int>(factors.size()), factors.data(), 0,
                                     nullptr, nullptr, nullptr),
                path);
    for (int b = 1; b <= image.GetRasterCount(); ++b)
        if (type == PixelType::u8)
            fill_overviews(*image.GetRasterBand(b), static_cast<std::uint8_t>(no_data), path);
        else
            fill_overviews(*image.GetRasterBand(b), static_cast<std::uint16_t>(no_data), path);
}

/// The pixels of an image in memory, in large pages: half of the time that GDAL's own would take to
/// be touched first. Not cleared.
struct HeldPixels {
    void* memory = nullptr;
    explicit HeldPixels(std::size_t bytes) : memory(bytes > 0 ? allocate_plane(bytes) : nullptr) {}
    HeldPixels(const HeldPixels&) = delete;
    HeldPixels& operator=(const HeldPixels&) = delete;
    ~HeldPixels() {
        if (memory != nullptr) free_plane(memory);
    }
};

std::size_t bytes_of(const Grid& grid, int bands, PixelType type) {
    return static_cast<std::size_t>(grid.width) * static_cast<std::size_t>(grid.height) *
           static_cast<std::size_t>(bands) *
           static_cast<std::size_t>(GDALGetDataTypeSizeBytes(gdal_type(type)));
}

/// An empty image with everything but its pixels: in memory that is held, or, where there is none,
/// in a scratch file.
DatasetPtr blank_image(const HeldPixels& held, const std::string& scratch, const Grid& grid,
                       int bands, PixelType type, double no_data, const TiffMetadata& metadata,
                       const std::string& path) {
    const char* driver_name = held.memory != nullptr ? "MEM" : "GTiff";
    GDALDriver* driver = GetGDALDriverManager()->GetDriverByName(driver_name);
    if (driver == nullptr)
        throw DataError(path, std::string("GDAL lacks the driver ") + driver_name);
    char** options = nullptr;
    DatasetPtr image;
    if (held.memory != nullptr) {
        image.reset(driver->Create("", grid.width, grid.height, 0, gdal_type(type), nullptr));
        const std::size_t plane = bytes_of(grid, 1, type);
        for (int b = 0; b < bands && image; ++b) {
            char pointer[64] = {};
            CPLPrintPointer(pointer,
                            static_cast<char*>(held.memory) + static_cast<std::size_t>(b) * plane,
                            sizeof(pointer) - 1);
            options = CSLSetNameValue(options, "DATAPOINTER", pointer);
            if (image->AddBand(gdal_type(type), options) != CE_None) image.reset();
        }
    } else {
        options = CSLSetNameValue(options, "BIGTIFF", "IF_SAFER");
        options = CSLSetNameValue(options, "INTERLEAVE", "BAND");
        image.reset(driver->Create(scratch.c_str(), grid.width, grid.height, bands, gdal_type(type),
                                   options));
    }
    CSLDestroy(options);
    if (!image) throw DataError(path, std::string("cannot be written: ") + CPLGetLastErrorMsg());
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

std::string overview_resampling(PixelType type, const TiffMetadata& metadata) {
    if (!metadata.overview_resampling.empty()) return metadata.overview_resampling;
    return type == PixelType::u8 ? "NEAREST" : "AVERAGE";
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
    options = CSLSetNameValue(options, "BLOCKSIZE", std::to_string(kBlock).c_str());
    options = CSLSetNameValue(options, "OVERVIEW_RESAMPLING",
                              overview_resampling(type, metadata).c_str());
    // Tiles are compressed by threads of their own and written in order: the file is the same.
    if (const int threads = tbb::this_task_arena::max_concurrency(); threads > 1)
        options = CSLSetNameValue(options, "NUM_THREADS", std::to_string(threads).c_str());
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
    // Nearly as small here, in a quarter of the time: values are few and repeat, so that neither a
    // higher level nor a predictor gains much (-15 % of a map of 8000² px, +14 to +38 % of small
    // ones, in half of the time).
    options = CSLSetNameValue(options, "LEVEL", "1");
    options = CSLSetNameValue(options, "PREDICTOR", "NO");
    options = CSLSetNameValue(options, "BLOCKSIZE", std::to_string(kBlock).c_str());
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
    const std::size_t bytes = bytes_of(grid, bands, type);
    const bool whole =
        strip_rows >= grid.height || 4.0 / 3 * static_cast<double>(bytes) <= metadata.held_bytes;
    const ScratchFile scratch(path + ".strips.tif");
    const HeldPixels held(whole ? bytes : 0);
    const DatasetPtr image =
        blank_image(held, scratch.path, grid, bands, type, no_data, metadata, path);
    for (int y = 0; y < grid.height; y += strip_rows)
        write_rows(*image, make(y, std::min(strip_rows, grid.height - y)), y, type, no_data, path);
    CPLErrorReset();
    image->FlushCache();
    if (CPLGetLastErrorType() >= CE_Failure)
        throw DataError(path, std::string("cannot be written: ") + CPLGetLastErrorMsg(),
                        "is the disk full?");
    if (whole && type != PixelType::f32 && metadata.jpeg_quality == 0 &&
        overview_resampling(type, metadata) == "AVERAGE")
        build_overviews(*image, type, no_data, path);
    copy_to_cog(path, *image, type, metadata);
}

void write_cog(const std::string& path, const Raster& raster, PixelType type, double no_data,
               const TiffMetadata& metadata) {
    const int bands = static_cast<int>(raster.bands.size());
    const HeldPixels held(bytes_of(raster.grid, bands, type));
    const DatasetPtr image =
        blank_image(held, "", raster.grid, bands, type, no_data, metadata, path);
    write_rows(*image, raster, 0, type, no_data, path);
    copy_to_cog(path, *image, type, metadata);
}

}  // namespace fenceline
