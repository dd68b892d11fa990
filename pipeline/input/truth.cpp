#include "input/truth.h"

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "core/error.h"

namespace fenceline {
namespace {

using Json = nlohmann::json;

Point point_of(const Json& pair) { return {pair.at(0).get<double>(), pair.at(1).get<double>()}; }

SceneDisplacement displacement_of(const Json& scene) {
    const Json& from = scene.at("displacement");
    SceneDisplacement d;
    d.scene = scene.at("id").get<std::string>();
    d.dx_m = from.at("dx_m").get<double>();
    d.dy_m = from.at("dy_m").get<double>();
    d.centre_map = point_of(from.at("centre"));
    for (std::size_t i = 0; i < 4; ++i) d.linear[i] = from.at("linear").at(i).get<double>();
    const auto lattice = from.find("lattice");
    if (lattice == from.end() || lattice->value("columns", 0) <= 0) return d;
    d.origin_map = point_of(lattice->at("origin"));
    d.lattice.spacing_px = lattice->at("spacing_m").get<double>();
    d.lattice.columns = lattice->at("columns").get<int>();
    d.lattice.rows = lattice->at("rows").get<int>();
    d.lattice.dx = lattice->at("dx_m").get<std::vector<float>>();
    d.lattice.dy = lattice->at("dy_m").get<std::vector<float>>();
    const auto nodes =
        static_cast<std::size_t>(d.lattice.columns) * static_cast<std::size_t>(d.lattice.rows);
    if (d.lattice.rows <= 0 || !(d.lattice.spacing_px > 0) || d.lattice.dx.size() != nodes ||
        d.lattice.dy.size() != nodes)
        throw DataError("displacement lattice", "its size does not fit its nodes");
    return d;
}

}  // namespace

TruthFrames parse_truth_frames(const std::string& text, const std::string& name) {
    TruthFrames out;
    try {
        const Json json = Json::parse(text);
        const auto simulation = json.find("simulation");
        if (simulation == json.end()) return out;
        out.family = simulation->value("family", "");
        for (const Json& scene : simulation->at("scenes")) {
            if (scene.contains("displacement")) out.displacements.push_back(displacement_of(scene));
            if (scene.contains("snow") || scene.contains("cloud"))
                out.conditions.push_back({scene.at("id").get<std::string>(),
                                          scene.value("snow", 0.0), scene.value("cloud", 0.0)});
        }
    } catch (const Json::exception& error) {
        throw DataError(name,
                        std::string("the truth's simulation part cannot be read: ") + error.what(),
                        "give a truth.json as fenceline simulate writes it");
    } catch (const DataError& error) {
        throw DataError(name, error.reason, "give a truth.json as fenceline simulate writes it");
    }
    return out;
}

TruthFrames read_truth_frames(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw DataError(path, "cannot be opened", "give the path of a truth.json");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    return parse_truth_frames(text, path);
}

}  // namespace fenceline
