#include "input/given_lines.h"

#include <fmt/format.h>
#include <ogr_spatialref.h>
#include <ogrsf_frmts.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "core/error.h"
#include "input/dataset.h"

namespace fenceline {
namespace {

constexpr const char* kAllowed =
    "give a GeoJSON or GeoPackage file with one polygon per line, as in results.gpkg";

/// The layer that the lines are taken from.
OGRLayer& layer_of_lines(GDALDataset& file, const std::string& path) {
    if (OGRLayer* named = file.GetLayerByName("perimeters")) return *named;
    OGRLayer* found = nullptr;
    for (OGRLayer* layer : file.GetLayers()) {
        const OGRwkbGeometryType type = wkbFlatten(layer->GetGeomType());
        if (type != wkbPolygon && type != wkbMultiPolygon && type != wkbUnknown) continue;
        if (found != nullptr)
            throw DataError(path, "it has several layers that may hold lines",
                            "name the one that is meant \"perimeters\"");
        found = layer;
    }
    if (found == nullptr) throw DataError(path, "no layer in it holds polygons", kAllowed);
    return *found;
}

std::optional<Time> time_of(const OGRFeature& feature) {
    for (const char* name : {"datetime", "date"}) {
        const int field = feature.GetFieldIndex(name);
        if (field < 0 || !feature.IsFieldSetAndNotNull(field)) continue;
        int year = 0, month = 0, day = 0, hour = 0, minute = 0, zone = 0;
        float second = 0;
        if (feature.GetFieldAsDateTime(field, &year, &month, &day, &hour, &minute, &second, &zone))
            return time_from_civil(
                year, month, day,
                3600.0 * hour + 60.0 * minute + static_cast<double>(std::floor(second)));
        if (const auto time = parse_time(feature.GetFieldAsString(field))) return time;
    }
    return std::nullopt;
}

/// Does the image show a vertex of the line, or lie within it? A footprint that is not known rules
/// nothing out.
bool may_show(const SceneInfo& scene, const Ring& line) {
    const Ring& ground = scene.footprint_lonlat;
    const auto within = [](const Ring& ring) {
        return [&ring](Point p) { return contains(ring, p); };
    };
    return ground.empty() || std::any_of(line.begin(), line.end(), within(ground)) ||
           std::any_of(ground.begin(), ground.end(), within(line));
}

bool crosses_itself(const Ring& ring) {
    const std::size_t n = ring.size();
    const auto side = [](Point a, Point b, Point p) { return cross(b - a, p - a); };
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t k = i + 2; k < n; ++k) {
            if (i == 0 && k + 1 == n) continue;  // neighbours
            const Point a = ring[i], b = ring[i + 1], c = ring[k], d = ring[(k + 1) % n];
            if (side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0) return true;
        }
    return false;
}

}  // namespace

std::vector<GivenLine> read_given_lines(const std::string& path) {
    if (const std::string fault = path_fault(path); !fault.empty())
        throw DataError(path, fault, kAllowed);
    const GdalMessages messages;
    constexpr const char* drivers[] = {"GeoJSON", "GPKG", nullptr};
    const DatasetPtr file(GDALDataset::Open(path.c_str(), GDAL_OF_VECTOR | GDAL_OF_READONLY,
                                            drivers, nullptr, nullptr));
    if (!file)
        throw DataError(
            path, messages.failed() ? messages.text() : "it is no GeoJSON or GeoPackage", kAllowed);
    OGRLayer& layer = layer_of_lines(*file, path);
    OGRSpatialReference wgs84;
    wgs84.importFromEPSG(4326);
    wgs84.SetAxisMappingStrategy(OAMS_TRADITIONAL_GIS_ORDER);
    std::unique_ptr<OGRCoordinateTransformation> to_lonlat;
    if (const OGRSpatialReference* crs = layer.GetSpatialRef()) {
        OGRSpatialReference from(*crs);
        from.SetAxisMappingStrategy(OAMS_TRADITIONAL_GIS_ORDER);
        if (!from.IsSame(&wgs84)) to_lonlat.reset(OGRCreateCoordinateTransformation(&from, &wgs84));
    }
    std::vector<GivenLine> lines;
    for (const auto& feature : layer) {
        const auto fault = [&](const std::string& found, const std::string& remedy) {
            return DataError(fmt::format("{}, feature {}", path, feature->GetFID()), found, remedy);
        };
        const OGRGeometry* geometry = feature->GetGeometryRef();
        if (geometry == nullptr) continue;
        const OGRPolygon* polygon = nullptr;
        if (wkbFlatten(geometry->getGeometryType()) == wkbPolygon) {
            polygon = geometry->toPolygon();
        } else if (wkbFlatten(geometry->getGeometryType()) == wkbMultiPolygon) {
            const OGRMultiPolygon* parts = geometry->toMultiPolygon();
            if (parts->getNumGeometries() != 1)
                throw fault(fmt::format("it has {} parts", parts->getNumGeometries()),
                            "a line is one polygon");
            polygon = parts->getGeometryRef(0);
        } else {
            throw fault(fmt::format("it is a {}", geometry->getGeometryName()),
                        "a line is one polygon");
        }
        GivenLine line;
        if (const OGRLinearRing* ring = polygon->getExteriorRing())
            for (int i = 0; i < ring->getNumPoints(); ++i) {
                double x = ring->getX(i), y = ring->getY(i);
                if (to_lonlat && !to_lonlat->Transform(1, &x, &y))
                    throw fault("its coordinates cannot be brought to longitude and latitude",
                                "check its CRS");
                if (!(std::abs(x) <= 180 && std::abs(y) <= 90))
                    throw fault(fmt::format("a vertex lies at {}, {}", x, y),
                                "longitude and latitude in degrees, or a layer that says its CRS");
                if (line.lonlat.empty() || distance(line.lonlat.back(), {x, y}) > 0)
                    line.lonlat.push_back({x, y});
            }
        if (line.lonlat.size() > 1 && distance(line.lonlat.front(), line.lonlat.back()) <= 0)
            line.lonlat.pop_back();
        if (line.lonlat.size() < 3 || !(std::abs(signed_area(line.lonlat)) > 0))
            throw fault("it encloses no ground", "a line is one polygon");
        if (crosses_itself(line.lonlat))
            throw fault("it crosses itself", "move the vertices so that it does not");
        const int scene = feature->GetFieldIndex("scene");
        if (scene >= 0 && feature->IsFieldSetAndNotNull(scene))
            line.scene = feature->GetFieldAsString(scene);
        line.datetime = time_of(*feature);
        lines.push_back(std::move(line));
    }
    if (lines.empty()) throw DataError(path, "there is no polygon in it", kAllowed);
    return lines;
}

void match_to_scenes(std::vector<GivenLine>& lines, const std::vector<SceneInfo>& scenes,
                     const std::string& path) {
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const auto shows = [&](const SceneInfo& scene) { return may_show(scene, lines[i].lonlat); };
        if (!scenes.empty() && std::none_of(scenes.begin(), scenes.end(), shows))
            throw DataError(fmt::format("{}, line {}", path, i + 1), "it lies outside all images",
                            "check its place and the CRS of the file");
    }
    for (GivenLine& line : lines) {
        if (line.scene.empty()) continue;
        const auto named = std::find_if(scenes.begin(), scenes.end(), [&](const SceneInfo& scene) {
            return scene.id == line.scene;
        });
        if (named == scenes.end()) {
            std::string ids;
            for (const SceneInfo& scene : scenes) ids += (ids.empty() ? "" : ", ") + scene.id;
            throw DataError(
                path,
                fmt::format("a line names the scene \"{}\", which is not among the "
                            "images",
                            line.scene),
                fmt::format("allowed: {}; or leave \"scene\" out and give a \"date\"", ids));
        }
        if (!line.datetime) line.datetime = named->datetime;
    }
}

}  // namespace fenceline
