#include <cpl_conv.h>
#include <cpl_string.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "core/error.h"
#include "core/geodesic.h"
#include "core/projection.h"
#include "input/dataset.h"
#include "input/georeference.h"
#include "input/image_io.h"

namespace fenceline {
namespace {

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

std::string unquoted(std::string text) {
    while (!text.empty() && (text.back() == ';' || text.back() == '"' || text.back() == ' '))
        text.pop_back();
    while (!text.empty() && (text.front() == '"' || text.front() == ' ')) text.erase(0, 1);
    return text;
}

/// The value of a key in one metadata domain; IMD keys are looked for in every group
/// ("IMAGE_1.meanSunAz"), the first in the file's order.
std::string value_of(GDALDataset& image, const char* domain, std::string_view key) {
    char** list = image.GetMetadata(domain);
    for (char** line = list; line != nullptr && *line != nullptr; ++line) {
        const std::string_view text(*line);
        const std::size_t equals = text.find('=');
        if (equals == std::string_view::npos) continue;
        const std::string name = lower(text.substr(0, equals)), wanted = lower(key);
        if (name == wanted || (name.size() > wanted.size() && name.ends_with(wanted) &&
                               name[name.size() - wanted.size() - 1] == '.'))
            return unquoted(std::string(text.substr(equals + 1)));
    }
    return {};
}

std::optional<double> number_of(GDALDataset& image, const char* domain, std::string_view key,
                                double low, double high) {
    const std::string text = value_of(image, domain, key);
    if (text.empty()) return {};
    char* end = nullptr;
    const double value = CPLStrtod(text.c_str(), &end);
    if (end == text.c_str() || !(value >= low && value <= high))
        return {};  // vendors write -999 for "not known"
    return value;
}

/// When the vendor says that the image was taken, to the second and better.
std::optional<Time> line_time(GDALDataset& image) {
    for (const char* key : {"firstLineTime", "earliestAcqTime", "TLCTime"})
        if (auto time = parse_time(value_of(image, "IMD", key))) return time;
    return {};
}

std::optional<Time> time_from_metadata(GDALDataset& image) {
    if (auto time = line_time(image)) return time;
    if (auto time = parse_time(value_of(image, "IMAGERY", "ACQUISITIONDATETIME"))) return time;
    for (const char* key : {"DATATAKE_1_DATATAKE_SENSING_START", "PRODUCT_START_TIME"})
        if (auto time = parse_time(value_of(image, "", key))) return time;
    if (auto time = parse_time(value_of(image, "", "TIFFTAG_DATETIME"))) return time;
    // DIMAP: IMAGING_DATE and IMAGING_TIME; NITF 2.1: IDATIM as CCYYMMDDhhmmss.
    if (const std::string date = value_of(image, "", "IMAGING_DATE"); !date.empty()) {
        const std::string clock = value_of(image, "", "IMAGING_TIME");
        if (auto time = parse_time(clock.empty() ? date : date + "T" + clock)) return time;
        if (auto time = parse_time(date)) return time;
    }
    if (const std::string t = value_of(image, "", "NITF_IDATIM"); t.size() == 14)
        return parse_time(fmt::format("{}-{}-{}T{}:{}:{}Z", t.substr(0, 4), t.substr(4, 2),
                                      t.substr(6, 2), t.substr(8, 2), t.substr(10, 2),
                                      t.substr(12, 2)));
    return {};
}

/// Role by what the file says of one band; other when it says nothing.
BandRole role_of_band(GDALRasterBand& band) {
    switch (band.GetColorInterpretation()) {
        case GCI_RedBand:
            return BandRole::red;
        case GCI_GreenBand:
            return BandRole::green;
        case GCI_BlueBand:
            return BandRole::blue;
        default:
            break;
    }
    const std::string name = lower(band.GetDescription());
    struct Name {
        std::string_view text;
        BandRole role;
    };
    static constexpr Name kNames[] = {
        {"red", BandRole::red},   {"green", BandRole::green},       {"blue", BandRole::blue},
        {"nir", BandRole::nir},   {"pan", BandRole::pan},           {"b02", BandRole::blue},
        {"b03", BandRole::green}, {"b04", BandRole::red},           {"b08", BandRole::nir},
        {"b2", BandRole::blue},   {"b3", BandRole::green},          {"b4", BandRole::red},
        {"b8", BandRole::nir},    {"near infrared", BandRole::nir}, {"panchromatic", BandRole::pan},
        {"nir1", BandRole::nir},  {"nir_1", BandRole::nir}};
    const std::string first = name.substr(0, name.find_first_of(",;("));
    for (const Name& known : kNames)
        if (name == known.text || unquoted(first) == known.text) return known.role;
    const char* text = band.GetMetadataItem("wavelength");
    if (text == nullptr) return BandRole::other;
    double wavelength = CPLAtof(text);
    const char* units = band.GetMetadataItem("wavelength_units");
    if ((units != nullptr && lower(units).starts_with("nano")) || wavelength > 100)
        wavelength /= 1000;
    if (wavelength >= 0.45 && wavelength < 0.515) return BandRole::blue;
    if (wavelength >= 0.515 && wavelength < 0.60) return BandRole::green;
    if (wavelength >= 0.62 && wavelength < 0.69) return BandRole::red;
    if (wavelength >= 0.76 && wavelength < 0.90) return BandRole::nir;
    return BandRole::other;
}

std::vector<BandRole> roles_of(GDALDataset& image, const std::vector<int>& bands,
                               const std::string& sensor) {
    std::vector<BandRole> roles;
    for (const int b : bands) roles.push_back(role_of_band(*image.GetRasterBand(b)));
    const auto known =
        std::count_if(roles.begin(), roles.end(), [](BandRole r) { return r != BandRole::other; });
    using enum BandRole;
    if (known == 0) {
        switch (roles.size()) {
            case 1:
                return {pan};
            case 3:
                return {red, green, blue};
            case 4:
                return {blue, green, red, nir};
            case 8:  // WorldView-2/3: coastal, blue, green, yellow, red, red edge, NIR 1, NIR 2;
                     // else Planet SuperDove
                if (sensor.starts_with("WV"))
                    return {other, blue, green, other, red, other, nir, other};
                return {other, blue, other, green, other, red, other, nir};
            default:
                return roles;
        }
    }
    // Photometric RGB with a fourth sample: near infrared, in every product that is sold like that.
    if (roles.size() == 4 && known == 3 && roles[3] == other) {
        const auto said = image.GetRasterBand(bands[3])->GetColorInterpretation();
        if (said == GCI_Undefined || said == GCI_AlphaBand) roles[3] = nir;
    }
    // Each role once: the first band keeps it.
    for (std::size_t i = 0; i < roles.size(); ++i)
        if (roles[i] != other &&
            std::find(roles.begin(), roles.begin() + static_cast<std::ptrdiff_t>(i), roles[i]) !=
                roles.begin() + static_cast<std::ptrdiff_t>(i))
            roles[i] = other;
    return roles;
}

/// True side of a pixel on the ground, metres, at the image's centre; 0 when it cannot be told.
double ground_pixel_m(const Georeference& georeference, int width, int height) {
    const double half_w = std::min(8.0, 0.5 * width), half_h = std::min(8.0, 0.5 * height);
    const Point centre{0.5 * width, 0.5 * height};
    Ring ring;
    for (const Point corner : {Point{-1, -1}, Point{1, -1}, Point{1, 1}, Point{-1, 1}})
        ring.push_back(georeference.lonlat_from_px(
            {centre.x + corner.x * half_w, centre.y + corner.y * half_h}));
    for (const Point& p : ring)
        if (!std::isfinite(p.x) || !std::isfinite(p.y)) return 0;
    return std::sqrt(measure_ring(ring).area_m2 / (4 * half_w * half_h));
}

Ring outline(const std::string& path, const Georeference& georeference, int width, int height) {
    constexpr int kPerSide = 8;
    Ring ring;
    const auto add = [&](double x, double y) {
        const Point p = georeference.lonlat_from_px({x, y});
        if (std::isfinite(p.x) && std::isfinite(p.y) && std::abs(p.y) <= 90.0) ring.push_back(p);
    };
    for (int i = 0; i < kPerSide; ++i) add(width * i / double{kPerSide}, 0);
    for (int i = 0; i < kPerSide; ++i) add(width, height * i / double{kPerSide});
    for (int i = kPerSide; i > 0; --i) add(width * i / double{kPerSide}, height);
    for (int i = kPerSide; i > 0; --i) add(0, height * i / double{kPerSide});
    if (ring.size() < 4)
        throw DataError(path, "its georeference puts it nowhere on Earth",
                        "check the CRS and the geotransform");
    return ring;
}

}  // namespace

void probe_image(SceneInfo& info, const GeorefOptions& options) {
    const DatasetPtr image = open_image(info.path);
    const GdalMessages messages;
    const Georeference georeference(info.path, *image, options);
    const int width = image->GetRasterXSize(), height = image->GetRasterYSize();
    info.footprint_lonlat = outline(info.path, georeference, width, height);

    if (info.sensor.empty()) {
        info.sensor = value_of(*image, "IMD", "satId");
        if (info.sensor.empty()) info.sensor = value_of(*image, "IMAGERY", "SATELLITEID");
        if (info.sensor.empty()) info.sensor = value_of(*image, "", "DATATAKE_1_SPACECRAFT_NAME");
    }
    const ImageBands bands = image_bands(*image);
    if (bands.data.empty()) throw DataError(info.path, "it has no data band, only transparency");
    info.band_count = static_cast<int>(bands.data.size());
    if (info.roles.size() != bands.data.size())
        info.roles = roles_of(*image, bands.data, info.sensor);

    const double pixel_m = ground_pixel_m(georeference, width, height);
    if (!(pixel_m > 0))
        throw DataError(info.path, "the size of its pixels on the ground cannot be told");
    if (info.gsd_m > 0 && info.gsd_m < 0.5 * pixel_m) {
        info.notes.push_back(fmt::format(
            "the stated GSD of {:.3g} m does not fit pixels of {:.3g} m; the pixels count",
            info.gsd_m, pixel_m));
        info.gsd_m = 0;
    }
    if (!(info.gsd_m > 0)) info.gsd_m = pixel_m;

    const auto from_metadata = time_from_metadata(*image), from_line = line_time(*image);
    const auto from_name = time_in_file_name(std::filesystem::path(info.path).filename().string());
    if (!info.datetime && from_metadata) {
        info.datetime = from_metadata;
        info.datetime_from = "metadata";
    }
    if (!info.datetime && from_name) {
        info.datetime = from_name;
        info.datetime_from = "file name";
    }
    constexpr std::int64_t kSecond = 1000000, kDay = 86400 * kSecond;
    const bool contradicted =  // midnight is a date without a time
        info.datetime && from_line && !info.datetime_end &&
        info.datetime->microseconds % kDay != 0 &&
        std::abs(info.datetime->microseconds - from_line->microseconds) > kSecond;
    if (contradicted)
        info.notes.push_back(fmt::format("dated {} from {}, but its vendor's metadata say {}",
                                         format_time(*info.datetime), info.datetime_from,
                                         format_time(*from_line)));
    for (const auto& [other, where] :
         {std::pair{contradicted ? std::nullopt : from_metadata, "its metadata says"},
          std::pair{from_name, "its file name says"}})
        if (info.datetime && other && std::abs(info.datetime->days() - other->days()) > 1.5)
            info.notes.push_back(fmt::format("dated {} from {}, but {} {}",
                                             format_date(*info.datetime), info.datetime_from, where,
                                             format_date(*other)));

    const auto fill = [&](std::optional<double>& value,
                          std::initializer_list<std::pair<const char*, const char*>> keys,
                          double low, double high) {
        for (const auto& [domain, key] : keys)
            if (!value) value = number_of(*image, domain, key, low, high);
    };
    fill(info.sun_azimuth_deg,
         {{"IMD", "meanSunAz"}, {"", "SUN_AZIMUTH"}, {"", "MEAN_SUN_AZIMUTH_ANGLE"}}, -180, 360);
    fill(info.sun_elevation_deg, {{"IMD", "meanSunEl"}, {"", "SUN_ELEVATION"}}, -90, 90);
    if (!info.sun_elevation_deg)
        if (const auto zenith = number_of(*image, "", "MEAN_SUN_ZENITH_ANGLE", 0, 180))
            info.sun_elevation_deg = 90 - *zenith;
    fill(info.off_nadir_deg, {{"IMD", "meanOffNadirViewAngle"}}, 0, 90);
    fill(info.view_azimuth_deg, {{"IMD", "meanSatAz"}}, -180, 360);
    for (auto* azimuth : {&info.sun_azimuth_deg, &info.view_azimuth_deg})
        if (*azimuth && **azimuth < 0) *azimuth = **azimuth + 360;
    if (const auto collected = number_of(*image, "IMD", "meanCollectedGSD", 1e-3, 1e4))
        if (*collected > 1.5 * pixel_m)
            info.notes.push_back(fmt::format(
                "resampled: collected at {:.3g} m, delivered at {:.3g} m", *collected, pixel_m));

    const std::string simulated = lower(value_of(*image, "", "SIMULATED"));
    if (simulated == "true" || simulated == "yes" || simulated == "1") info.simulated = true;

    for (auto& note : georeference_conflicts(info.path, *image))
        info.notes.push_back(std::move(note));
    char** files = image->GetFileList();
    const std::filesystem::path own = std::filesystem::absolute(info.path);
    for (char** file = files; file != nullptr && *file != nullptr; ++file)
        if (std::filesystem::path(*file) != own &&
            std::find(info.extra_files.begin(), info.extra_files.end(), *file) ==
                info.extra_files.end())
            info.extra_files.emplace_back(*file);
    CSLDestroy(files);
}

Ring image_footprint(const SceneInfo& info, const GeorefOptions& options) {
    const DatasetPtr image = open_image(info.path);
    const Georeference georeference(info.path, *image, options);
    return outline(info.path, georeference, image->GetRasterXSize(), image->GetRasterYSize());
}

Grid image_grid(const SceneInfo& info, const GeorefOptions& options) {
    const DatasetPtr image = open_image(info.path);
    const Georeference georeference(info.path, *image, options);
    if (!georeference.grid())
        throw DataError(info.path,
                        "the image is not map-projected (it has only " + georeference.method() +
                            " georeferencing)",
                        "name a site, or project it first");
    return *georeference.grid();
}

}  // namespace fenceline
