#include "input/dataset.h"

#include <cpl_conv.h>
#include <cpl_error.h>
#include <cpl_string.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "input/image_io.h"

namespace fenceline {
namespace {

// Only these stay registered. GPKG, GeoJSON, LIBKML, MEM, COG, PNG and JPEG are for writing.
constexpr std::array<std::string_view, 15> kDrivers = {
    "GTiff",       "COG",  "MEM",     "GPKG",   "NITF", "DIMAP", "TIL", "SENTINEL2",
    "JP2OpenJPEG", "ENVI", "GeoJSON", "LIBKML", "KML",  "PNG",   "JPEG"};
// Only these may open an image. ENVI last: it accepts any file that has a header beside it.
constexpr std::array<const char*, 8> kImageDrivers = {"GTiff",     "NITF",        "DIMAP", "TIL",
                                                      "SENTINEL2", "JP2OpenJPEG", "ENVI",  nullptr};

constexpr std::int64_t kMaxBlockBytes = 256LL << 20;
constexpr int kMaxBands = 64;

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

bool is_ignored_sidecar(const std::string& file_name) {
    const std::string name = lower(file_name);
    constexpr std::array<std::string_view, 11> kSuffixes = {".ovr",  ".aux.xml", ".aux", ".tfw",
                                                            ".tifw", ".tiffw",   ".wld", ".jgw",
                                                            ".j2w",  ".jp2w",    ".tab"};
    return std::any_of(kSuffixes.begin(), kSuffixes.end(),
                       [&](std::string_view suffix) { return name.ends_with(suffix); });
}

/// GDAL looks only at the files of this list for sidecars.
CPLStringList siblings_of(const std::filesystem::path& path) {
    std::vector<std::string> names;
    std::error_code error;
    for (std::filesystem::directory_iterator it(path.parent_path(), error), end;
         !error && it != end; it.increment(error)) {
        std::string name = it->path().filename().string();
        if (!is_ignored_sidecar(name)) names.push_back(std::move(name));
    }
    std::sort(names.begin(), names.end());
    CPLStringList list;
    for (const auto& name : names) list.AddString(name.c_str());
    if (names.empty()) list.AddString(path.filename().string().c_str());
    return list;
}

std::string check_band(GDALRasterBand& band, int bands_in_block) {
    int block_width = 0, block_height = 0;
    band.GetBlockSize(&block_width, &block_height);
    const GDALDataType type = band.GetRasterDataType();
    if (type == GDT_Unknown) return "its sample type is not known";
    if (GDALDataTypeIsComplex(type) != 0)
        return fmt::format("its samples are complex numbers ({})", GDALGetDataTypeName(type));
    if (block_width <= 0 || block_height <= 0) return "its blocks have no size";
    const std::int64_t bytes = static_cast<std::int64_t>(block_width) * block_height *
                               GDALGetDataTypeSizeBytes(type) * bands_in_block;
    if (bytes > kMaxBlockBytes || bytes / block_height / bands_in_block < block_width)
        return fmt::format(
            "it declares blocks of {}×{} pixels, {} MiB each; at most {} MiB are allowed",
            block_width, block_height, bytes >> 20, kMaxBlockBytes >> 20);
    return {};
}

void check_image(const std::string& path, GDALDataset& image) {
    const int bands = image.GetRasterCount();
    if (image.GetRasterXSize() < 1 || image.GetRasterYSize() < 1 || bands < 1)
        throw DataError(path,
                        fmt::format("the image is empty ({}×{} pixels, {} bands)",
                                    image.GetRasterXSize(), image.GetRasterYSize(), bands),
                        "is it a container with several images? name one of them");
    if (bands > kMaxBands)
        throw DataError(path,
                        fmt::format("it has {} bands; at most {} are allowed", bands, kMaxBands),
                        "extract the visible and near-infrared bands (gdal_translate -b)");
    const char* interleave = image.GetMetadataItem("INTERLEAVE", "IMAGE_STRUCTURE");
    const int bands_in_block = interleave != nullptr && EQUAL(interleave, "PIXEL") ? bands : 1;
    for (int b = 1; b <= bands; ++b) {
        GDALRasterBand& band = *image.GetRasterBand(b);
        std::string fault = check_band(band, bands_in_block);
        if (fault.empty() && band.GetColorInterpretation() == GCI_PaletteIndex && b == 1 &&
            band.GetColorTable() != nullptr)
            throw DataError(path, "its pixels are palette indices, not brightness",
                            "expand it first: gdal_translate -expand rgb");
        if (fault.empty() && (band.GetMaskFlags() & GMF_PER_DATASET) != 0 &&
            (band.GetMaskFlags() & GMF_ALPHA) == 0) {
            GDALRasterBand* mask = band.GetMaskBand();
            if (mask == nullptr || mask->GetXSize() != band.GetXSize() ||
                mask->GetYSize() != band.GetYSize())
                fault = "its mask has another size than the image";
            else if (fault = check_band(*mask, 1); !fault.empty())
                fault = "mask: " + fault;
        }
        if (!fault.empty())
            throw DataError(path, fault, "convert it with gdal_translate -co TILED=YES");
    }
}

/// At most limit bytes of a small text file; empty when it cannot be read.
std::string read_text(const std::filesystem::path& path, std::size_t limit) {
    std::ifstream in(path, std::ios::binary);
    std::string text(limit, '\0');
    in.read(text.data(), static_cast<std::streamsize>(limit));
    text.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, in.gcount())));
    return text;
}

/// Up to six numbers, whatever separates them.
std::vector<double> numbers_in(const std::string& text) {
    std::vector<double> values;
    for (std::size_t at = 0; at < text.size() && values.size() < 6;) {
        at = text.find_first_of("+-.0123456789", at);
        if (at == std::string::npos) break;
        char* end = nullptr;
        const double value = CPLStrtod(text.c_str() + at, &end);
        const auto length = static_cast<std::size_t>(end - (text.c_str() + at));
        if (length == 0) {
            ++at;
            continue;
        }
        values.push_back(value);
        at += length;
    }
    return values;
}

}  // namespace

GdalMessages::GdalMessages() { CPLPushErrorHandlerEx(&GdalMessages::note, this); }
GdalMessages::~GdalMessages() { CPLPopErrorHandler(); }

void CPL_STDCALL GdalMessages::note(CPLErr level, CPLErrorNum, const char* message) {
    auto* self = static_cast<GdalMessages*>(CPLGetErrorHandlerUserData());
    if (level < CE_Failure || self == nullptr || message == nullptr) return;
    if (self->first_.empty()) self->first_ = *message != '\0' ? message : "GDAL gives no reason";
    self->last_ = message;
}

std::string GdalMessages::text() const {
    if (first_.empty()) return "GDAL gives no reason";
    return last_.empty() || last_ == first_ ? first_ : first_ + "; " + last_;
}

void initialise_gdal() {
    static std::once_flag once;
    std::call_once(once, [] {
        CPLSetErrorHandler(CPLQuietErrorHandler);
        for (const auto& [key, value] : std::initializer_list<std::pair<const char*, const char*>>{
                 {"GDAL_PAM_ENABLED", "NO"},
                 {"GDAL_GEOREF_SOURCES", "INTERNAL"},
                 {"GDAL_DRIVER_PATH", "disable"},
                 {"GDAL_CACHEMAX", "256"},
                 {"GDAL_HTTP_MAX_RETRY", "0"},
                 {"CPL_VSIL_CURL_ALLOWED_EXTENSIONS", "{none}"},
                 {"GDAL_MAX_RAW_BLOCK_CACHE_SIZE", "67108864"},
             })
            CPLSetConfigOption(key, value);
        GDALAllRegister();
        GDALDriverManager* manager = GetGDALDriverManager();
        for (int i = manager->GetDriverCount() - 1; i >= 0; --i) {
            GDALDriver* driver = manager->GetDriver(i);
            const std::string_view name = driver->GetDescription();
            if (std::find(kDrivers.begin(), kDrivers.end(), name) != kDrivers.end()) continue;
            manager->DeregisterDriver(driver);
            GDALDestroyDriver(driver);  // nobody else frees what is not registered
        }
    });
}

std::string path_fault(const std::string& path) {
    if (path.empty()) return "the path is empty";
    if (std::any_of(path.begin(), path.end(),
                    [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
        return "the path holds control characters";
    const std::string name = lower(path);
    if (name.find("://") != std::string::npos)
        return "it is a network address; only local files are read";
    // Inside a path "/vsi" is an ordinary folder name: files are opened by their absolute path.
    if (name.starts_with("/vsi"))
        return "it names one of GDAL's virtual file systems; only plain files are read";
    const std::size_t colon = name.find(':');
    if (path.front() == '<' || (colon != std::string::npos && colon > 1 && name.find('/') > colon))
        return "it is written like a subdataset or a driver prefix; only plain files are read";
    return {};
}

DatasetPtr open_image(const std::string& path, int decoders) {
    initialise_gdal();
    if (const std::string fault = path_fault(path); !fault.empty()) throw DataError(path, fault);
    std::error_code error;
    const std::filesystem::path absolute = std::filesystem::absolute(path, error);
    if (error || !std::filesystem::is_regular_file(absolute, error))
        throw DataError(
            path, std::filesystem::exists(absolute, error) ? "it is not a file" : "no such file");
    GdalMessages messages;
    // DIMAP, TIL and SENTINEL2 find their parts by name, in other folders too: no list for them.
    const std::string suffix = lower(absolute.extension().string());
    const bool product = suffix == ".xml" || suffix == ".til";
    CPLStringList siblings;
    if (!product) siblings = siblings_of(absolute);
    // For this thread and this call alone; the file's own drivers would each warn of an option that
    // they do not know.
    const CPLConfigOptionSetter threads("GDAL_NUM_THREADS", std::to_string(decoders).c_str(),
                                        false);
    DatasetPtr image(GDALDataset::Open(
        absolute.string().c_str(), GDAL_OF_RASTER | GDAL_OF_READONLY | GDAL_OF_VERBOSE_ERROR,
        kImageDrivers.data(), nullptr, product ? nullptr : siblings.List()));
    if (!image)
        throw DataError(path, messages.text(),
                        "allowed are GeoTIFF, NITF, DIMAP, TIL, Sentinel-2, JPEG 2000 and ENVI; is "
                        "the file complete?");
    check_image(path, *image);
    return image;
}

namespace {

// GDAL calls the fourth of four 8-bit bands alpha unless it is told otherwise, so does every writer
// that uses its defaults: often it is near infrared. Transparency is nearly everywhere all or none.
bool is_measured(GDALRasterBand& band) {
    constexpr int kSide = 64;
    constexpr double kLeastShare = 0.25;
    const int width = std::min(kSide, band.GetXSize()), height = std::min(kSide, band.GetYSize());
    std::vector<unsigned char> samples(static_cast<std::size_t>(width) *
                                       static_cast<std::size_t>(height));
    std::size_t between = 0, all = 0;
    const GdalMessages quiet;
    for (const int place : {1, 2, 3}) {
        if (band.RasterIO(GF_Read, (band.GetXSize() - width) / 4 * place,
                          (band.GetYSize() - height) / 4 * place, width, height, samples.data(),
                          width, height, GDT_Byte, 0, 0, nullptr) != CE_None)
            return false;
        for (const unsigned char v : samples) between += v > 0 && v < 255 ? 1 : 0;
        all += samples.size();
    }
    return static_cast<double>(between) >= kLeastShare * static_cast<double>(all);
}

}  // namespace

ImageBands image_bands(GDALDataset& image) {
    ImageBands bands;
    for (int b = 1; b <= image.GetRasterCount(); ++b)
        if (image.GetRasterBand(b)->GetColorInterpretation() == GCI_AlphaBand &&
            image.GetRasterCount() > 1 &&
            !(b == 4 && image.GetRasterBand(b)->GetRasterDataType() == GDT_Byte &&
              is_measured(*image.GetRasterBand(b))))
            bands.alpha = b;
        else
            bands.data.push_back(b);
    return bands;
}

std::vector<std::string> georeference_conflicts(const std::string& path, GDALDataset& image) {
    std::vector<std::string> notes;
    std::array<double, 6> own{};
    const bool has_own = image.GetGeoTransform(own.data()) == CE_None;
    const auto differs = [&](const std::vector<double>& other) {
        if (other.size() < 6 || !has_own) return !other.empty();
        const double tolerance = 1e-3 * (std::abs(own[1]) + std::abs(own[2]) + std::abs(own[5]));
        for (std::size_t i = 0; i < 6; ++i)
            if (!(std::abs(own[i] - other[i]) <= tolerance * (i % 3 == 0 ? 1.0 : 1e-3)))
                return true;
        return false;
    };
    const std::filesystem::path file(path);
    const std::filesystem::path aux(path + ".aux.xml");
    std::error_code error;
    if (std::filesystem::is_regular_file(aux, error)) {
        const std::string text = read_text(aux, 1U << 20);
        const std::size_t begin = text.find("<GeoTransform>"), end = text.find("</GeoTransform>");
        const bool moved = begin != std::string::npos && end != std::string::npos && end > begin &&
                           differs(numbers_in(text.substr(begin + 14, end - begin - 14)));
        if (moved || text.find("<GCPList") != std::string::npos ||
            (text.find("<SRS") != std::string::npos && image.GetSpatialRef() == nullptr))
            notes.push_back(fmt::format(
                "georeference differs: {} would move the image; the image's own is used",
                aux.filename().string()));
    }
    std::filesystem::path stem = file;
    stem.replace_extension();
    for (const char* suffix : {".tfw", ".TFW", ".tifw", ".wld", ".WLD", ".j2w", ".jgw"}) {
        const std::filesystem::path world(stem.string() + suffix);
        if (!std::filesystem::is_regular_file(world, error)) continue;
        const auto v = numbers_in(read_text(world, 4096));
        // Lines of a world file: dx, ry, rx, dy, x and y of the first pixel's centre.
        std::vector<double> transform;
        if (v.size() == 6)
            transform = {v[4] - 0.5 * v[0] - 0.5 * v[2], v[0], v[2],
                         v[5] - 0.5 * v[1] - 0.5 * v[3], v[1], v[3]};
        if (transform.empty() || differs(transform))
            notes.push_back(fmt::format("georeference differs: {} would move the image; {}",
                                        world.filename().string(),
                                        has_own ? "the image's own is used" : "it is not used"));
    }
    return notes;
}

}  // namespace fenceline
