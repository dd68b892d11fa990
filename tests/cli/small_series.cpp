#include "cli/small_series.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>

#include "core/projection.h"
#include "input/image_io.h"
#include "output/raster_writer.h"

namespace fenceline {
namespace {

constexpr double kEast = 560000, kNorth = 4632000;

/// A value in [-1, 1) that depends on the place only.
double place_noise(int x, int y, unsigned salt) {
    auto h = static_cast<std::uint32_t>(x) * 0x9E3779B1U ^
             static_cast<std::uint32_t>(y) * 0x85EBCA77U ^ salt * 0xC2B2AE3DU;
    h ^= h >> 15;
    h *= 0x2C1B3C6DU;
    h ^= h >> 12;
    h *= 0x297A2D39U;
    h ^= h >> 15;
    return static_cast<double>(h) / 2147483648.0 - 1.0;
}

double smooth_noise(double x, double y, double scale, unsigned salt) {
    const double u = x / scale, v = y / scale;
    const int i = static_cast<int>(std::floor(u)), j = static_cast<int>(std::floor(v));
    const double a = u - i, b = v - j, s = a * a * (3 - 2 * a), t = b * b * (3 - 2 * b);
    const double top = place_noise(i, j, salt) * (1 - s) + place_noise(i + 1, j, salt) * s;
    const double bottom =
        place_noise(i, j + 1, salt) * (1 - s) + place_noise(i + 1, j + 1, salt) * s;
    return top * (1 - t) + bottom * t;
}

double ground(double x, double y) {
    double value = 110 + 25 * smooth_noise(x, y, 70, 1) + 15 * smooth_noise(x, y, 19, 2) +
                   10 * smooth_noise(x, y, 6, 3) + 6 * smooth_noise(x, y, 2, 4);
    for (int k = 0; k < 14; ++k) {  // roofs with shadows
        const double cx = 210 + 170 * place_noise(k, 0, 9), cy = 210 + 170 * place_noise(k, 1, 9);
        const double w = 9 + 4 * place_noise(k, 2, 9), h = 6 + 2 * place_noise(k, 3, 9);
        if (std::abs(x - cx) < w && std::abs(y - cy) < h)
            value = 205;
        else if (std::abs(x - cx - 4) < w && std::abs(y - cy + 4) < h)
            value = 45;
    }
    return value;
}

}  // namespace

Raster small_scene(double shift_px, unsigned seed, int size) {
    Raster raster;
    raster.grid = {wkt_of("EPSG:32652"), {kEast, 1, 0, kNorth, 0, -1}, size, size};
    raster.roles = {BandRole::red, BandRole::green, BandRole::blue};
    raster.valid = Mask(size, size, 1);
    std::mt19937 random(seed);
    std::normal_distribution<double> noise(0, 1.5);
    for (const double tint : {1.0, 0.92, 0.8}) {
        Plane band(size, size);
        for (int y = 0; y < size; ++y)
            for (int x = 0; x < size; ++x)
                band.at(x, y) = static_cast<float>(tint * ground(x + shift_px, y - 0.5 * shift_px) +
                                                   noise(random));
        raster.bands.push_back(std::move(band));
    }
    return raster;
}

std::string small_sites_geojson(const std::string& name) {
    const Transform to_lonlat("EPSG:32652", "EPSG:4326");
    nlohmann::json ring = nlohmann::json::array();
    for (const Point corner :
         {Point{60, 60}, Point{360, 60}, Point{360, 360}, Point{60, 360}, Point{60, 60}}) {
        const Point p = to_lonlat({kEast + corner.x, kNorth - corner.y});
        ring.push_back({p.x, p.y});
    }
    const nlohmann::json site{
        {"type", "FeatureCollection"},
        {"features",
         {{{"type", "Feature"},
           {"id", "test"},
           {"geometry", {{"type", "Polygon"}, {"coordinates", nlohmann::json::array({ring})}}},
           {"properties", {{"name", name}, {"type", "other"}, {"province", "North Hamgyong"}}}}}}};
    return site.dump(1);
}

std::vector<std::string> write_small_series(const std::string& folder,
                                            const std::vector<std::string>& dates) {
    initialise_gdal();
    std::filesystem::create_directories(folder);
    std::vector<std::string> paths;
    for (std::size_t i = 0; i < dates.size(); ++i) {
        paths.push_back(folder + "/" + dates[i] + ".tif");
        write_cog(paths.back(), small_scene(1.3 * static_cast<double>(i), static_cast<unsigned>(i)),
                  PixelType::u8, 0, {});
    }
    return paths;
}

}  // namespace fenceline
