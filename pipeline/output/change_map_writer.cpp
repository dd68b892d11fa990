#include "output/change_map_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/parallel.h"

namespace fenceline {
namespace {

struct ClassStyle {
    int value;
    const char *name, *colour;
    int alpha;
};
constexpr std::array<ClassStyle, 8> kClasses{
    {{0, "no change", "#ffffff", 0},
     {1, "appeared", "#d7191c", 255},
     {2, "disappeared", "#2c7bb6", 255},
     {3, "modified", "#f4a736", 255},
     {4, "vegetation", "#4dac26", 200},
     {5, "ground", "#a6611a", 200},
     {6, "shadow or illumination (no change)", "#808080", 120},
     {255, "not observed", "#000000", 60}}};

}  // namespace

std::string change_map_style() {
    std::string entries;
    for (const ClassStyle& c : kClasses)
        entries += fmt::format(
            "        <paletteEntry value=\"{}\" label=\"{}\" color=\"{}\" alpha=\"{}\"/>\n",
            c.value, c.name, c.colour, c.alpha);
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
           "<qgis version=\"3.22\" styleCategories=\"Symbology\">\n"
           "  <pipe>\n"
           "    <rasterrenderer type=\"paletted\" band=\"1\" opacity=\"1\" alphaBand=\"-1\" "
           "nodataColor=\"\">\n"
           "      <rasterTransparency/>\n"
           "      <colorPalette>\n" +
           entries +
           "      </colorPalette>\n"
           "    </rasterrenderer>\n"
           "  </pipe>\n"
           "</qgis>\n";
}

void write_change_map(const std::string& path, const ChangeMap& map, const Grid& grid,
                      TiffMetadata metadata) {
    const int width = map.change_class.width(), height = map.change_class.height();
    if (width <= 0 || height <= 0 || grid.width != width || grid.height != height ||
        map.probability.width() != width || map.probability.height() != height)
        throw DataError(path, "the change map and its grid differ in size");
    const auto columns = static_cast<std::size_t>(width);
    write_change_map(
        path,
        [&](int y, std::uint8_t* change, float* probability) {
            std::copy_n(map.change_class.row(y), columns, change);
            std::copy_n(map.probability.row(y), columns, probability);
        },
        grid, std::move(metadata));
}

void write_change_map(const std::string& path, const ChangeRow& change_row, const Grid& grid,
                      TiffMetadata metadata) {
    metadata.band_descriptions = {"class", "probability"};
    metadata.overview_resampling = "NEAREST";
    for (const ClassStyle& c : kClasses) metadata.tags[fmt::format("CLASS_{}", c.value)] = c.name;
    constexpr auto kNotObserved = static_cast<std::uint8_t>(ChangeClass::not_observed);
    const auto columns = static_cast<std::size_t>(grid.width);
    // Both bands are asked for row after row; many rows are made at a time, by all threads.
    constexpr int kRows = 64;
    std::vector<std::uint8_t> value(columns * kRows);
    std::vector<float> probability(columns * kRows);
    int first = 0, last = 0;
    const auto row = [&](int band, int y, float* out) {
        if (y < first || y >= last) {
            first = y / kRows * kRows;
            last = std::min(first + kRows, grid.height);
            parallel_rows(last - first, [&](int y0, int y1) {
                for (int k = y0; k < y1; ++k) {
                    const std::size_t at = static_cast<std::size_t>(k) * columns;
                    change_row(first + k, value.data() + at, probability.data() + at);
                }
            });
        }
        const std::size_t at = static_cast<std::size_t>(y - first) * columns;
        for (std::size_t x = 0; x < columns; ++x) {
            const std::uint8_t v = value[at + x];
            out[x] = band == 0           ? static_cast<float>(v)
                     : v == kNotObserved ? std::numeric_limits<float>::quiet_NaN()
                                         : probability[at + x];
        }
    };
    write_cog_rows(path, grid, 2, row, static_cast<double>(kNotObserved), metadata);

    const std::string style_path = std::filesystem::path(path).replace_extension(".qml").string();
    const std::string style = change_map_style();
    std::FILE* file = std::fopen(style_path.c_str(), "wb");
    const bool written =
        file != nullptr && std::fwrite(style.data(), 1, style.size(), file) == style.size();
    const bool closed = file != nullptr && std::fclose(file) == 0;
    if (!written || !closed)
        throw DataError(style_path, std::string("cannot be written: ") + std::strerror(errno));
}

}  // namespace fenceline
