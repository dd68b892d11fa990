#include "output/change_map_writer.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "core/error.h"

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
    metadata.band_descriptions = {"class", "probability"};
    metadata.overview_resampling = "NEAREST";
    for (const ClassStyle& c : kClasses) metadata.tags[fmt::format("CLASS_{}", c.value)] = c.name;
    constexpr auto kNotObserved = static_cast<std::uint8_t>(ChangeClass::not_observed);
    const auto row = [&](int band, int y, float* out) {
        const std::uint8_t* value = map.change_class.row(y);
        const float* probability = map.probability.row(y);
        for (int x = 0; x < width; ++x)
            out[x] = band == 0 || value[x] == kNotObserved ? static_cast<float>(value[x])
                                                           : probability[x];
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
