#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <opencv2/imgproc.hpp>
#include <string>
#include <vector>

#include "core/geodesic.h"
#include "core/projection.h"
#include "core/raster.h"
#include "core/report.h"

namespace fenceline::fixture {

// A made-up series of a camp of the size and growth of Camp 25, six images, one of them clouded
// over. Everything that is drawn into the images stands in the report, so that a look at
// report.html shows whether it is in its place.

inline Grid grid() {
    const Point centre = Transform("EPSG:4326", "EPSG:32652")({129.7253, 41.8344});
    Grid out;
    out.crs_wkt = wkt_of("EPSG:32652");
    out.width = 1900;
    out.height = 1400;
    out.geotransform = {std::round(centre.x) - 1140, 1.2, 0, std::round(centre.y) + 840, 0, -1.2};
    return out;
}

// Metres east and south of the grid's corner.
inline Ring to_px(const Ring& metres) {
    Ring out;
    for (const Point p : metres) out.push_back({p.x / 1.2, p.y / 1.2});
    return out;
}
inline Ring old_line() {
    return to_px({{300, 480},
                  {470, 330},
                  {760, 290},
                  {1010, 350},
                  {1130, 520},
                  {1150, 760},
                  {1080, 1010},
                  {860, 1130},
                  {560, 1120},
                  {360, 960},
                  {270, 720}});
}
inline Ring new_line() {
    return to_px({{300, 480},
                  {470, 330},
                  {760, 290},
                  {1010, 350},
                  {1190, 300},
                  {1480, 330},
                  {1690, 470},
                  {1760, 720},
                  {1650, 960},
                  {1400, 1070},
                  {1080, 1010},
                  {860, 1130},
                  {560, 1120},
                  {360, 960},
                  {270, 720}});
}
inline Ring expansion() {
    return to_px({{1010, 350},
                  {1190, 300},
                  {1480, 330},
                  {1690, 470},
                  {1760, 720},
                  {1650, 960},
                  {1400, 1070},
                  {1080, 1010},
                  {1150, 760},
                  {1130, 520}});
}
inline Ring box(Point centre_m, double width_m, double height_m, double angle_deg) {
    const double a = angle_deg * 3.14159265358979 / 180;
    Ring out;
    for (const auto& [u, v] : {std::pair{-1, -1}, {1, -1}, {1, 1}, {-1, 1}}) {
        const double x = u * width_m / 2, y = v * height_m / 2;
        out.push_back({(centre_m.x + x * std::cos(a) - y * std::sin(a)) / 1.2,
                       (centre_m.y + x * std::sin(a) + y * std::cos(a)) / 1.2});
    }
    return out;
}

struct Object {
    std::string kind;
    Ring outline_px;  // building
    Point centre_px;
    int first_scene;  // index into dates(); 0: always there
};

inline const std::vector<std::string>& dates() {
    static const std::vector<std::string> list{"2003-05-12T02:11:40Z", "2009-10-04T02:25:31Z",
                                               "2010-03-02T02:31:05Z", "2010-09-11T02:22:16Z",
                                               "2011-11-18T02:18:09Z", "2013-02-05T02:41:52Z"};
    return list;
}
constexpr int kClouded = 2;

inline std::vector<Object> objects() {
    std::vector<Object> out;
    const auto posts = [&](const Ring& line, double step_m, int first, double from_x_px) {
        const Ring fine = resample_ring(line, step_m / 1.2);
        for (const Point p : fine)
            if (p.x > from_x_px) out.push_back({"guard_post", {}, p, first});
    };
    posts(old_line(), 108, 0, 0);
    {
        const Ring fine = resample_ring(new_line(), 118 / 1.2);
        for (const Point p : fine)
            if (p.x > 1130 / 1.2 + 20) out.push_back({"guard_post", {}, p, 3});
    }
    int k = 0;
    for (int row = 0; row < 4; ++row)
        for (int column = 0; column < 6; ++column, ++k) {
            const Point c{470.0 + 98 * column + 9 * ((k * 7) % 5),
                          470.0 + 118 * row + 7 * ((k * 5) % 6)};
            const Ring outline = box(c, 34 + 6 * (k % 4), 11 + (k % 3), 14 + 4.0 * (k % 2));
            out.push_back({"building", outline, centroid(outline), 0});
        }
    for (int i = 0; i < 7; ++i) {
        const Point c{1300.0 + 110 * (i % 3), 480.0 + 140 * (i / 3)};
        const Ring outline = box(c, 46, 13, 20);
        out.push_back({"building", outline, centroid(outline), i < 4 ? 4 : 5});
    }
    return out;
}

inline std::string scene_id(int i) {
    std::string day = dates()[static_cast<std::size_t>(i)].substr(0, 10);
    day.erase(std::remove(day.begin(), day.end(), '-'), day.end());
    return "camp25_" + day;
}

// Three bands, 11-bit-like digital numbers.
inline Raster image(int scene) {
    const Grid g = grid();
    cv::RNG random(static_cast<std::uint64_t>(7));
    cv::Mat ground(g.height, g.width, CV_32FC3, cv::Scalar(300, 340, 330));
    for (int octave = 0; octave < 6; ++octave) {
        cv::Mat coarse(6 << octave, 8 << octave, CV_32F), fine;
        random.fill(coarse, cv::RNG::NORMAL, 0, 60.0 / (1 + octave));
        cv::resize(coarse, fine, ground.size(), 0, 0, cv::INTER_CUBIC);
        std::vector<cv::Mat> planes;
        cv::split(ground, planes);
        planes[0] += fine * 0.7;
        planes[1] += fine;
        planes[2] += fine * 1.1;
        cv::merge(planes, ground);
    }
    const auto poly = [](const Ring& ring) {
        std::vector<cv::Point> out;
        for (const Point p : ring)
            out.emplace_back(static_cast<int>(p.x * 16), static_cast<int>(p.y * 16));
        return out;
    };
    for (int k = 0; k < 46; ++k) {  // fields
        const Point c{random.uniform(0.0, 2280.0), random.uniform(0.0, 1680.0)};
        const double tone = random.uniform(-70.0, 90.0);
        const Ring field = box(c, random.uniform(60.0, 190.0), random.uniform(40.0, 120.0),
                               random.uniform(-40.0, 40.0));
        cv::Rect reach{static_cast<int>(c.x) - 160, static_cast<int>(c.y) - 160, 320, 320};
        reach &= cv::Rect{0, 0, g.width, g.height};
        if (reach.empty()) continue;
        cv::Mat under = ground(reach), layer = under.clone();
        Ring there = field;
        for (Point& p : there)
            p = p - Point{static_cast<double>(reach.x), static_cast<double>(reach.y)};
        const bool green = (k + scene) % 3 == 0;
        cv::fillPoly(layer, std::vector{poly(there)},
                     cv::Scalar(290 + tone, 350 + tone * (green ? 1.6 : 1.0),
                                350 + tone * (green ? 0.5 : 1.2)),
                     cv::LINE_AA, 4);
        cv::addWeighted(layer, 0.55, under, 0.45, 0, under);
    }
    const auto line = [&](const Ring& ring, double width, const cv::Scalar& colour) {
        cv::polylines(ground, std::vector{poly(ring)}, true, colour, static_cast<int>(width),
                      cv::LINE_AA, 4);
    };
    std::vector<cv::Point> road{{0, 1180 * 16},
                                {420 * 16, 1010 * 16},
                                {800 * 16, 760 * 16},
                                {1350 * 16, 640 * 16},
                                {1899 * 16, 520 * 16}};
    cv::polylines(ground, std::vector{road}, false, cv::Scalar(470, 500, 520), 5, cv::LINE_AA, 4);
    const Ring& wall = scene >= 3 ? new_line() : old_line();
    line(to_px({}).empty() ? wall : wall, 9, cv::Scalar(400, 430, 450));
    line(wall, 2, cv::Scalar(720, 730, 740));
    Ring shadow = wall;
    for (Point& p : shadow) p = p + Point{-1.6, -2.2};
    line(shadow, 1, cv::Scalar(150, 150, 150));
    for (const Object& object : objects()) {
        if (object.first_scene > scene) continue;
        Ring outline = object.outline_px;
        if (outline.empty()) outline = box(1.2 * object.centre_px, 5, 5, 10);
        Ring cast = outline;
        for (Point& p : cast) p = p + Point{-3, -5};
        cv::fillPoly(ground, std::vector{poly(cast)}, cv::Scalar(120, 125, 120), cv::LINE_AA, 4);
        cv::fillPoly(ground, std::vector{poly(outline)}, cv::Scalar(640, 690, 720), cv::LINE_AA, 4);
    }
    cv::Mat grain(ground.size(), CV_32FC3);
    cv::RNG(static_cast<std::uint64_t>(100 + scene)).fill(grain, cv::RNG::NORMAL, 0, 14);
    ground += grain;
    if (scene == 5) ground = ground * 0.55 + cv::Scalar(480, 470, 460);  // thin snow
    if (scene == kClouded) {
        cv::Mat cloud(5, 7, CV_32F), wide;
        cv::RNG(static_cast<std::uint64_t>(3)).fill(cloud, cv::RNG::UNIFORM, 0.3, 1.3);
        cv::resize(cloud, wide, ground.size(), 0, 0, cv::INTER_CUBIC);
        cv::Mat clipped = cv::min(cv::max(wide, 0), 1), three;
        cv::merge(std::vector<cv::Mat>{clipped, clipped, clipped}, three);
        ground = ground.mul(cv::Scalar::all(1) - three) + three * 1500;
    }
    Raster raster;
    raster.grid = g;
    raster.roles = {BandRole::blue, BandRole::green, BandRole::red};
    raster.valid = Mask(g.width, g.height, 1);
    for (int b = 0; b < 3; ++b) {
        Plane plane(g.width, g.height);
        for (int y = 0; y < g.height; ++y)
            for (int x = 0; x < g.width; ++x)
                plane.at(x, y) = std::max(1.F, ground.at<cv::Vec3f>(y, x)[b]);
        raster.bands.push_back(std::move(plane));
    }
    if (scene == 0)  // a wedge without data
        for (int y = 0; y < g.height; ++y)
            for (int x = 0; x < 160 - y / 8; ++x) {
                raster.valid.at(x, y) = 0;
                for (auto& band : raster.bands) band.at(x, y) = 0;
            }
    return raster;
}

inline Report report() {
    const GridProjection projection(grid());
    const auto lonlat = [&](const Ring& px) { return projection.lonlat_from_px(px); };
    Report out;
    out.software = {"fenceline", "0.1.0", "0123abc"};
    out.simulated = true;
    Site site;
    site.id = "camp-25";
    site.name = "Camp 25 (Chongjin)";
    site.names = {"청진 25호 관리소",
                  "淸津二十五號管理所",
                  "Cheongjin 25-ho gwalliso",
                  "Ch'ŏngjin 25-ho kwalliso",
                  {"Susŏng Correctional Centre"}};
    site.type = "political_prison_camp";
    site.province = "North Hamgyŏng";
    site.status = "operating";
    site.sources = {"HRNK, North Korea's Camp No. 25, 2013"};
    site.area_lonlat = lonlat(to_px({{60, 60}, {2220, 60}, {2220, 1620}, {60, 1620}}));
    out.site = site;
    const Grid g = grid();
    out.grid = {"EPSG:32652", 1.2, g.width, g.height, g.geotransform};
    const char* sensors[] = {"QuickBird-2", "WorldView-1", "WorldView-2",
                             "WorldView-2", "GeoEye-1",    "WorldView-2"};
    for (int i = 0; i < 6; ++i) {
        ReportScene scene;
        scene.id = scene_id(i);
        scene.datetime = parse_time(dates()[static_cast<std::size_t>(i)]);
        scene.source = "images/" + scene.id + ".tif";
        scene.sha256 = std::string(63, "0123456789abcdef"[static_cast<std::size_t>(i * 3)]) + "e";
        scene.sensor = sensors[i];
        scene.gsd_m = 0.5 + 0.1 * (i % 2);
        scene.bands = 3;
        scene.sun_azimuth = 155.2 + 3 * i;
        scene.sun_elevation = i == 5 ? 29.8 : 41.7 + i;
        if (i != 0) scene.off_nadir = 6.5 + 3.1 * i;
        scene.usable_fraction = i == kClouded ? 0.19 : i == 0 ? 0.962 : 0.998;
        scene.role = i == 1 ? "reference" : i == kClouded ? "left_out" : "used";
        if (i == kClouded)
            scene.reason = "81 % of the area is under cloud; at least 30 % must be visible";
        if (i == 5) scene.reason = "snow on 64 % of the area: small bright objects are hard to see";
        if (i == 0) scene.notes = {"no view angle in the metadata"};
        if (i != kClouded) {
            scene.registration = i == 1 ? RegistrationSummary{"identity", 0, 0, 0, 0, 0, "pass"}
                                        : RegistrationSummary{"affine+local",
                                                              -3.21 + i,
                                                              1.74 * i,
                                                              412 - 31 * i,
                                                              0.16 + 0.03 * i,
                                                              0.29 + 0.05 * i,
                                                              i == 5 ? "warn" : "pass"};
            scene.normalization = NormalizationSummary{
                i == 1 ? "reference" : "ir_mad",
                {{1.02, -3.5, 31.2, 12.4}, {0.98, 2.1, 30.0, 11.9}, {1.01, 0.4, 28.7, 12.2}}};
        }
        out.scenes.push_back(scene);
    }
    for (int i = 0; i < 6; ++i) {
        if (i == kClouded) continue;
        const Ring line = lonlat(i >= 3 ? new_line() : old_line());
        const GeodesicMeasure measured = measure_ring(line);
        const double a = measured.area_m2 * (1 + 0.002 * ((i * 7) % 3 - 1)),
                     l = measured.length_m * (1 + 0.0015 * (i % 3 - 1));
        ReportPerimeter perimeter;
        perimeter.scene = scene_id(i);
        perimeter.datetime = *parse_time(dates()[static_cast<std::size_t>(i)]);
        perimeter.area_m2 = a;
        perimeter.area_ci = {a * (i == 5 ? 0.976 : 0.988), a * (i == 5 ? 1.024 : 1.012)};
        perimeter.length_m = l;
        perimeter.length_ci = {l * 0.985, l * 1.015};
        perimeter.supported_fraction = i == 5 ? 0.81 : 0.94;
        perimeter.origin = "traced";
        perimeter.geometry = line;
        perimeter.segments = {{"seen", l * 0.9}, {"bridged", l * 0.07}, {"hidden", l * 0.03}};
        out.perimeters.push_back(perimeter);
    }
    const auto when = [&](int i) { return parse_time(dates()[static_cast<std::size_t>(i)]); };
    int posts = 0, buildings = 0;
    const auto previous = [](int i) { return i == 3 ? 1 : i - 1; };
    int change_number = 0;
    {
        ReportChange change;
        change.id = fmt::format("c{:03}", ++change_number);
        change.kind = "perimeter_expansion";
        change.state = "confirmed";
        change.confidence = 0.998;
        change.footprint = lonlat(expansion());
        change.position = centroid(change.footprint);
        change.area_m2 = measure_ring(change.footprint).area_m2;
        change.area_ci = Interval{change.area_m2 * 0.97, change.area_m2 * 1.03};
        change.last_not_seen = when(1);
        change.first_seen = when(3);
        for (const int i : {0, 1, 3, 4, 5})
            change.observations.push_back({scene_id(i), i < 3 ? -4.2 : 6.1});
        out.changes.push_back(change);
    }
    for (const Object& object : objects()) {
        ReportStructure structure;
        structure.kind = object.kind;
        const bool building = object.kind == "building";
        structure.id =
            building ? fmt::format("b{:03}", ++buildings) : fmt::format("g{:03}", ++posts);
        structure.footprint = lonlat(object.outline_px);
        structure.position = projection.lonlat_from_px(object.centre_px);
        if (building) {
            structure.area_m2 = measure_ring(structure.footprint).area_m2;
            structure.height_m = 3.4 + 0.1 * (buildings % 5);
            structure.height_ci = Interval{*structure.height_m - 0.6, *structure.height_m + 0.6};
        }
        structure.confidence = building ? 0.97 : 0.93 - 0.01 * (posts % 9);
        if (object.first_scene > 0) structure.last_not_seen = when(previous(object.first_scene));
        structure.first_seen = when(object.first_scene);
        structure.last_seen = when(5);
        for (int i = 0; i < 6; ++i)
            structure.observations.push_back({scene_id(i),
                                              i == kClouded            ? "not_observable"
                                              : i < object.first_scene ? "absent"
                                                                       : "present",
                                              i == kClouded            ? 0
                                              : i < object.first_scene ? -3.1
                                                                       : 3.6});
        out.structures.push_back(structure);
        if (object.first_scene == 0) continue;
        ReportChange change;
        change.id = fmt::format("c{:03}", ++change_number);
        change.kind = building ? "new_building" : "new_guard_post";
        change.state = object.first_scene == 5 ? "provisional" : "confirmed";
        change.confidence = structure.confidence;
        change.footprint = structure.footprint;
        change.position = structure.position;
        change.area_m2 = structure.area_m2;
        change.last_not_seen = structure.last_not_seen;
        change.first_seen = structure.first_seen;
        change.structure = structure.id;
        for (int i = 0; i < 6; ++i)
            if (i != kClouded)
                change.observations.push_back({scene_id(i), i < object.first_scene ? -3.1 : 3.6});
        out.changes.push_back(change);
    }
    {
        ReportChange change;
        change.id = fmt::format("c{:03}", ++change_number);
        change.kind = "ground_disturbance";
        change.state = "candidate";
        change.confidence = 0.61;
        change.footprint = lonlat(box({1900, 1200}, 90, 60, 20));
        change.position = centroid(change.footprint);
        change.area_m2 = measure_ring(change.footprint).area_m2;
        change.last_not_seen = when(4);
        change.first_seen = when(5);
        change.observations = {{scene_id(5), 1.2}};
        out.changes.push_back(change);
    }
    const double before = out.perimeters[1].area_m2 / 1e6, after = out.perimeters[2].area_m2 / 1e6;
    const double growth = 100 * (after / before - 1);
    ReportFinding area;
    area.statement = fmt::format(
        "Perimeter area grew by {:.0f} % (95 % interval {:.0f}–{:.0f} %), from {:.2f} to {:.2f} "
        "km², between 2009-10-04 and 2010-09-11.",
        growth, growth - 2.5, growth + 2.5, before, after);
    area.kind = "perimeter_expansion";
    area.values = {{"growth_percent", growth},
                   {"growth_percent_low", growth - 2.5},
                   {"growth_percent_high", growth + 2.5},
                   {"area_before_m2", before * 1e6},
                   {"area_after_m2", after * 1e6}};
    area.likelihood = "almost certain";
    area.confidence = "high";
    area.confidence_reasons = {"the line is visible on 94 % of its length",
                               "three later images show the same line"};
    area.evidence = {"c001"};
    out.findings.push_back(area);
    ReportFinding added;
    const int new_posts =
        static_cast<int>(std::count_if(out.changes.begin(), out.changes.end(),
                                       [](const auto& c) { return c.kind == "new_guard_post"; }));
    added.statement = fmt::format(
        "{} guard posts were added on the new line between 2009-10-04 and 2010-09-11 (90 % "
        "interval {}–{}).",
        new_posts, new_posts - 1, new_posts + 2);
    added.kind = "new_guard_post";
    added.values = {{"guard_posts_added", new_posts},
                    {"guard_posts_added_low", new_posts - 1},
                    {"guard_posts_added_high", new_posts + 2}};
    added.likelihood = "very likely";
    added.confidence = "moderate";
    added.confidence_reasons = {"posts are 4–8 pixels wide",
                                "no image between March and September 2010"};
    added.evidence = {"c002", "c003"};
    out.findings.push_back(added);
    ReportFinding built;
    built.statement =
        "Seven buildings (about 600 m² each) were put up in the eastern part between 2010-09-11 "
        "and 2013-02-05.";
    built.kind = "new_building";
    built.values = {{"buildings_added", 7}};
    built.likelihood = "likely";
    built.confidence = "moderate";
    built.confidence_reasons = {"three of them are seen in one snow-covered image only"};
    out.findings.push_back(built);
    NotObservable hidden;
    hidden.geometry = lonlat(to_px({{60, 60}, {200, 60}, {100, 900}, {60, 900}}));
    hidden.scenes = {scene_id(0)};
    hidden.reason = "outside the image";
    out.not_observable = {hidden};
    return out;
}

inline std::string read_bytes(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// An empty folder of this test's own, gone at the end.
class Folder {
  public:
    Folder() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "fenceline-test-XXXXXX").string();
        if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
        path = pattern;
    }
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    std::filesystem::path path;
};

}  // namespace fenceline::fixture
