#include "input/transform_file.h"

#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/error.h"
#include "core/version.h"

namespace fenceline {

const char* const kTransformSchema = "fenceline-transform/1";

namespace {

using Json = nlohmann::ordered_json;
constexpr std::size_t kLargestFile = 64U << 20;
constexpr int kMostPixels = 1 << 24;  ///< of a grid's side
constexpr int kMostNodes = 1 << 22;   ///< of a local field

DataError malformed(const std::string& name, const std::string& what) {
    return {name, what, "give a file that fenceline align --save-transform wrote"};
}

double finite(const Json& value, const char* key) {
    const auto number = value.get<double>();
    if (!std::isfinite(number)) throw malformed(key, "it is not a finite number");
    return number;
}

}  // namespace

std::string transform_json(const SavedTransform& t) {
    Json json;
    json["schema"] = kTransformSchema;
    json["software"] = fmt::format("fenceline {}", version());
    json["reference"] = t.reference;
    json["target"] = t.target;
    if (t.target_datetime) json["target_datetime"] = format_time(*t.target_datetime);
    json["grid"] = {{"crs_wkt", t.grid.crs_wkt},
                    {"geotransform", t.grid.geotransform},
                    {"width", t.grid.width},
                    {"height", t.grid.height}};
    // x' = a0 + a1 x + a2 y + dx(x, y); y' = a3 + a4 x + a5 y + dy(x, y), grid pixels.
    json["affine_px"] = t.target_from_reference.affine.a;
    const LocalField& local = t.target_from_reference.local;
    if (local.columns > 0)
        json["local_px"] = {{"interpolation", "catmull-rom"},
                            {"spacing", local.spacing_px},
                            {"columns", local.columns},
                            {"rows", local.rows},
                            {"dx", local.dx},
                            {"dy", local.dy}};
    json["registration"] = {{"model", t.model},   {"status", t.status},
                            {"reason", t.reason}, {"tie_points", t.tie_points},
                            {"dx_m", t.dx_m},     {"dy_m", t.dy_m},
                            {"rmse_m", t.rmse_m}, {"ce90_m", t.ce90_m}};
    return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

SavedTransform parse_transform(const std::string& text, const std::string& name) {
    SavedTransform t;
    try {
        const Json json = Json::parse(text);
        if (!json.is_object()) throw malformed(name, "it is not a JSON object");
        const std::string schema = json.value("schema", "");
        if (schema != kTransformSchema)
            throw malformed(name, fmt::format("its schema is '{}', '{}' is what can be read",
                                              schema.substr(0, 60), kTransformSchema));
        t.reference = json.at("reference").get<std::string>();
        t.target = json.at("target").get<std::string>();
        if (json.contains("target_datetime"))
            t.target_datetime = parse_time(json.at("target_datetime").get<std::string>());
        const Json& grid = json.at("grid");
        t.grid.crs_wkt = grid.at("crs_wkt").get<std::string>();
        for (std::size_t i = 0; i < 6; ++i)
            t.grid.geotransform[i] = finite(grid.at("geotransform").at(i), "geotransform");
        t.grid.width = grid.at("width").get<int>();
        t.grid.height = grid.at("height").get<int>();
        if (t.grid.width < 1 || t.grid.height < 1 || t.grid.width > kMostPixels ||
            t.grid.height > kMostPixels || !(t.grid.gsd() > 0))
            throw malformed(name, "its grid has no size");
        Affine& affine = t.target_from_reference.affine;
        for (std::size_t i = 0; i < 6; ++i)
            affine.a[i] = finite(json.at("affine_px").at(i), "affine_px");
        if (json.contains("local_px")) {
            const Json& from = json.at("local_px");
            LocalField& local = t.target_from_reference.local;
            local.spacing_px = finite(from.at("spacing"), "spacing");
            local.columns = from.at("columns").get<int>();
            local.rows = from.at("rows").get<int>();
            local.dx = from.at("dx").get<std::vector<float>>();
            local.dy = from.at("dy").get<std::vector<float>>();
            if (!(local.spacing_px > 0) || local.columns < 1 || local.rows < 1 ||
                local.columns > kMostNodes / local.rows)
                throw malformed(name, "its local field has no size");
            const auto nodes =
                static_cast<std::size_t>(local.columns) * static_cast<std::size_t>(local.rows);
            if (local.dx.size() != nodes || local.dy.size() != nodes)
                throw malformed(name, fmt::format("its local field holds {} and {} values, {} × {} "
                                                  "nodes ask for {} of each",
                                                  local.dx.size(), local.dy.size(), local.columns,
                                                  local.rows, nodes));
            for (std::size_t i = 0; i < nodes; ++i)
                if (!std::isfinite(local.dx[i]) || !std::isfinite(local.dy[i]))
                    throw malformed(name, "its local field holds values that are not finite");
        }
        const Json& registration = json.at("registration");
        t.model = registration.at("model").get<std::string>();
        t.status = registration.at("status").get<std::string>();
        t.reason = registration.at("reason").get<std::string>();
        t.tie_points = registration.at("tie_points").get<int>();
        t.dx_m = finite(registration.at("dx_m"), "dx_m");
        t.dy_m = finite(registration.at("dy_m"), "dy_m");
        t.rmse_m = finite(registration.at("rmse_m"), "rmse_m");
        t.ce90_m = finite(registration.at("ce90_m"), "ce90_m");
    } catch (const nlohmann::json::exception& error) {
        throw malformed(name, std::string("it cannot be read: ") + error.what());
    } catch (const DataError& error) {
        throw malformed(name, error.file == name ? error.reason : error.file + ": " + error.reason);
    }
    return t;
}

SavedTransform read_transform(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw DataError(path, "cannot be opened", "give the path of a transform file");
    std::string text;
    std::vector<char> part(1U << 16);
    while (file) {
        file.read(part.data(), static_cast<std::streamsize>(part.size()));
        text.append(part.data(), static_cast<std::size_t>(file.gcount()));
        if (text.size() > kLargestFile) throw malformed(path, "it is larger than 64 MiB");
    }
    return parse_transform(text, path);
}

}  // namespace fenceline
