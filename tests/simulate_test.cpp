#include "simulate/simulate.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numbers>
#include <set>

#include "core/error.h"
#include "core/geodesic.h"
#include "core/projection.h"
#include "input/scenario.h"
#include "output/series_writer.h"
#include "simulate/sky.h"
#include "simulate/variant.h"

namespace fenceline::simulate {
namespace {

/// Flat bare ground without anything on it, one scene, no haze, noise or registration error.
Scenario bare(double size_m, double gsd_m) {
    Scenario s;
    s.width_m = s.height_m = size_m;
    s.margin_m = 0;
    s.land = {};
    s.land.relief_m = s.land.forest = s.land.fields = s.land.trees = 0;
    s.land.texture = 0.6;  // dark grain would be taken for shade
    s.land.villages = 0;
    s.line.kind = LineKind::none;
    s.buildings = {0, 0, 0, 0};
    s.distractors = {0, 0, 0, 0, 0, 0};
    ScenarioScene scene;
    scene.id = "a";
    scene.datetime = *parse_time("2010-09-11T02:30:00Z");
    scene.gsd_m = gsd_m;
    scene.noise = scene.haze = 0;
    scene.blur_px = 0.2;
    scene.bands = "pan";
    scene.bits = 11;
    s.scenes = {scene};
    return s;
}

World with_box(const Scenario& scenario, Point centre, double angle, double length, double width,
               double height, float tone) {
    World world = build_world(scenario);
    world.ways.clear();
    world.things.clear();
    Thing box;
    box.centre = centre;
    box.angle = angle;
    box.length = length;
    box.width = width;
    box.eaves = box.ridge = static_cast<float>(height);
    box.colour = {tone, tone, tone, tone};
    box.truth = true;
    world.things.push_back(box);
    index_world(world);
    return world;
}

Raster image_of(const World& world, const SceneFrame& frame) {
    return render(world, 0, frame, {0, 0, frame.grid.width, frame.grid.height});
}
/// The raster's usual value: ground.
double median_of(const Raster& raster) {
    std::vector<float> values;
    for (int y = 0; y < raster.grid.height; ++y)
        for (int x = 0; x < raster.grid.width; ++x) values.push_back(raster.bands[0].at(x, y));
    std::nth_element(values.begin(),
                     values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
    return static_cast<double>(values[values.size() / 2]);
}
template <class Test>
Point centroid_where(const Raster& raster, const Test& test, double* count = nullptr) {
    Point sum{0, 0};
    double n = 0;
    for (int y = 0; y < raster.grid.height; ++y)
        for (int x = 0; x < raster.grid.width; ++x)
            if (test(x, y)) {
                sum = sum + Point{x + 0.5, y + 0.5};
                ++n;
            }
    if (count != nullptr) *count = n;
    return n > 0 ? (1 / n) * sum : Point{};
}

TEST(Simulate, ShadowsHaveTheRightLengthAndAzimuth) {
    for (const char* when : {"2010-06-20T00:40:00Z", "2010-09-11T02:30:00Z", "2010-12-20T05:10:00Z",
                             "2011-03-05T06:10:00Z"}) {
        Scenario scenario = bare(120, 0.5);
        scenario.scenes[0].datetime = *parse_time(when);
        const double height = 8, side = 4;
        const World world = with_box(scenario, {3, -2}, 0.3, side, side, height, 0.5F);
        const SceneFrame frame = frame_of(world, 0);
        const Raster raster = image_of(world, frame);
        const double ground = median_of(raster);
        const Point base_map = frame.displacement.centre_map + Point{3, -2};
        const Point base_px = frame.grid.px_from_map(base_map);
        const Ring footprint = world.things[0].footprint();
        // Shadow and box together are the box's outline swept along the shadow: their centroid lies
        // half-way.
        const Point middle = centroid_where(raster, [&](int x, int y) {
            const Point local =
                frame.grid.map_from_px({x + 0.5, y + 0.5}) - frame.displacement.centre_map;
            return contains(footprint, local) ||
                   static_cast<double>(raster.bands[0].at(x, y)) < 0.62 * ground;
        });
        const double length_m = 2 * distance(middle, base_px) * 0.5;
        const double radian = std::numbers::pi / 180;
        const SunPosition sun = sun_position(scenario.scenes[0].datetime, scenario.place_lonlat);
        EXPECT_NEAR(length_m, height / std::tan(sun.elevation_deg * radian), 0.5) << when;
        // Direction on the ground, from geographic north.
        const GridProjection projection(frame.grid);
        const Point from = projection.lonlat_from_px(base_px);
        const Point expected = projection.px_from_lonlat(
                                   geodesic_destination(from, sun.azimuth_deg + 180, 100)) -
                               base_px,
                    got = middle - base_px;
        EXPECT_NEAR(std::atan2(cross(expected, got), dot(expected, got)) / radian, 0, 1.0) << when;
    }
}

TEST(Simulate, RoofsLeanAwayFromTheSatelliteByHeightTimesTangent) {
    for (const auto& [view, off_nadir] : {std::pair{350.0, 20.0}, {35.0, 12.0}, {310.0, 28.0}}) {
        Scenario scenario = bare(100, 0.5);
        scenario.scenes[0].off_nadir_deg = off_nadir;
        scenario.scenes[0].view_azimuth_deg = view;
        const double height = 10;
        const World world = with_box(scenario, {0, 0}, 0.2, 16, 12, height, 0.6F);
        const SceneFrame frame = frame_of(world, 0);
        const Raster raster = image_of(world, frame);
        const double ground = median_of(raster);
        const Point roof = centroid_where(raster, [&](int x, int y) {
            return static_cast<double>(raster.bands[0].at(x, y)) > 2.5 * ground;
        });
        const Point base = frame.grid.px_from_map(frame.displacement.centre_map),
                    moved = 0.5 * (roof - base);
        const double radian = std::numbers::pi / 180, lean = height * std::tan(off_nadir * radian);
        EXPECT_NEAR(moved.x, -lean * std::sin(view * radian), 0.5) << view;
        EXPECT_NEAR(moved.y, lean * std::cos(view * radian), 0.5) << view;  // rows count south
    }
}

TEST(Simulate, TruthPolygonsLieOnTheObjectsAndDisplacementsAreTrue) {
    for (const bool moved : {false, true}) {
        Scenario scenario = bare(140, 0.5);
        if (moved) scenario.scenes[0].registration = {6.3, -4.1, 1.5, 900, 0.4, 1.2};
        World world = with_box(scenario, {-21, 17}, 0.5, 18, 11, 3, 0.6F);
        const SceneFrame frame = frame_of(world, 0);
        const Raster raster = image_of(world, frame);
        const double ground = median_of(raster);
        const Truth truth = make_truth(world);
        ASSERT_EQ(truth.report.structures.size(), 1U);
        const Transform to_map("EPSG:4326", frame.grid.crs_wkt);
        Ring expected;
        for (const Point p : truth.report.structures[0].footprint) {
            const Point map = to_map(p);
            expected.push_back(frame.grid.px_from_map(map + frame.displacement(map)));
        }
        double count = 0;
        const Point roof = centroid_where(
            raster,
            [&](int x, int y) {
                return static_cast<double>(raster.bands[0].at(x, y)) > 2.2 * ground;
            },
            &count);
        EXPECT_LT(distance(roof, centroid(expected)), 0.5) << moved;
        EXPECT_NEAR(std::sqrt(count), std::sqrt(std::abs(signed_area(expected))), 0.5) << moved;
        // Every bright pixel lies within half a pixel's diagonal of the polygon.
        int astray = 0;
        for (int y = 0; y < raster.grid.height; ++y)
            for (int x = 0; x < raster.grid.width; ++x) {
                const Point p{x + 0.5, y + 0.5};
                const bool bright = static_cast<double>(raster.bands[0].at(x, y)) > 2.2 * ground;
                if (bright != contains(expected, p) && distance_to_ring(expected, p) > 0.75)
                    ++astray;
            }
        EXPECT_EQ(astray, 0) << moved;
    }
}

Scenario small_camp() {
    Scenario s;
    s.width_m = 300;
    s.height_m = 260;
    s.margin_m = 10;
    s.line.area_m2 = 30000;
    s.line.length_m = 760;
    s.line.posts = 5;
    s.buildings = {2, 1, 4, 1};
    s.land.villages = 0;
    ScenarioScene scene;
    scene.gsd_m = 0.8;
    scene.datetime = *parse_time("2010-06-11T02:30:00Z");
    scene.cloud = 0.2;
    scene.registration = {3, -2, 0.4, 200, 0, 0.7};
    scene.off_nadir_deg = 15;
    s.scenes.push_back(scene);
    scene.datetime = *parse_time("2011-02-11T02:30:00Z");
    scene.snow = 0.5;
    s.scenes.push_back(scene);
    s.scenes[0].id = "a";
    s.scenes[1].id = "b";
    return s;
}

TEST(Simulate, OneAndFourBandsAreTheSameInWindowsWhateverTheView) {
    for (const char* bands : {"pan", "bgrn"})
        for (const double view : {80.0, 190.0, 285.0}) {
            Scenario scenario = small_camp();
            scenario.scenes.resize(1);
            scenario.scenes[0].bands = bands;
            scenario.scenes[0].bits = 11;
            scenario.scenes[0].view_azimuth_deg = view;
            const World world = build_world(scenario);
            const SceneFrame frame = frame_of(world, 0);
            const Raster whole = image_of(world, frame);
            const Window part{131, 57, 83, 119};
            const Raster piece = render(world, 0, frame, part);
            for (std::size_t b = 0; b < whole.bands.size(); ++b)
                for (int y = 0; y < part.height; ++y)
                    for (int x = 0; x < part.width; ++x)
                        ASSERT_EQ(whole.bands[b].at(part.x + x, part.y + y),
                                  piece.bands[b].at(x, y))
                            << bands << " " << view << " " << b << " " << x << " " << y;
        }
}

TEST(Simulate, WhiteRoofsKeepTheirTextureInEightBits) {
    Scenario scenario = bare(60, 0.5);
    scenario.land.texture = 1;
    scenario.scenes[0].bits = 8;
    const World world = with_box(scenario, {0, 0}, 0, 30, 20, 4, 0.36F);
    const SceneFrame frame = frame_of(world, 0);
    const Raster raster = image_of(world, frame);
    std::set<float> values;
    const Point centre = frame.grid.px_from_map(frame.displacement.centre_map);
    for (int y = -10; y < 10; ++y)
        for (int x = -20; x < 20; ++x)
            values.insert(
                raster.bands[0].at(static_cast<int>(centre.x) + x, static_cast<int>(centre.y) + y));
    EXPECT_LT(*values.rbegin(), 255);
    EXPECT_GT(*values.begin(), 150);
    EXPECT_GE(values.size(), 8U) << "not a flat white";
}

TEST(Simulate, ShadeOnSnowIsBluishAndNoMore) {
    Scenario scenario = bare(120, 0.5);
    scenario.scenes[0].datetime = *parse_time("2010-01-20T02:30:00Z");
    scenario.scenes[0].bands = "rgb";
    scenario.scenes[0].bits = 8;
    scenario.scenes[0].snow = 1;
    scenario.scenes[0].haze = 0.1;
    const World world = with_box(scenario, {0, -20}, 0, 60, 10, 12, 0.5F);
    const SceneFrame frame = frame_of(world, 0);
    const Raster raster = image_of(world, frame);
    // North of the long box lies its shade, south of it the sun.
    const Point shade = frame.grid.px_from_map(frame.displacement.centre_map + Point{0, -8}),
                sunny = frame.grid.px_from_map(frame.displacement.centre_map + Point{0, -40});
    const auto value = [&](std::size_t band, Point p) {
        return static_cast<double>(
            raster.bands[band].at(static_cast<int>(p.x), static_cast<int>(p.y)));
    };
    EXPECT_LT(value(0, shade), 0.6 * value(0, sunny));
    EXPECT_GT(value(2, shade) / value(0, shade), 1.05);
    EXPECT_LT(value(2, shade) / value(0, shade), 1.7);
    EXPECT_NEAR(value(2, sunny) / value(0, sunny), 1, 0.08) << "snow is white";
}

TEST(Simulate, ARoofThatFallsTowardsTheSatelliteIsEven) {
    Scenario scenario = bare(60, 0.3);
    scenario.scenes[0].off_nadir_deg = 25;
    scenario.scenes[0].view_azimuth_deg = 90;
    World world = with_box(scenario, {0, 0}, std::numbers::pi / 2, 40, 14, 4, 0.4F);
    world.things[0].roof = Roof::gable;
    world.things[0].ridge = 7;
    index_world(world);
    const SceneFrame frame = frame_of(world, 0);
    const Raster raster = image_of(world, frame);
    // Means along the ridge, over the slope that faces the satellite.
    const double tangent = std::tan(25 * std::numbers::pi / 180);
    double darkest = 1e9, brightest = 0;
    for (double x = 1; x < 6; x += 0.3) {
        const double seen_at = x - tangent * (7 - 3 * x / 7);
        double sum = 0;
        for (double y = -15; y < 15; y += 0.3) {
            const Point px =
                frame.grid.px_from_map(frame.displacement.centre_map + Point{seen_at, y});
            sum += static_cast<double>(
                raster.bands[0].at(static_cast<int>(px.x), static_cast<int>(px.y)));
        }
        darkest = std::min(darkest, sum);
        brightest = std::max(brightest, sum);
    }
    EXPECT_GT(darkest, 0.9 * brightest);
}

TEST(Simulate, CloudsAreThinOverAFairPartOfTheGround) {
    Scenario scenario = bare(3000, 1);
    scenario.scenes[0].cloud = 0.3;
    double thin = 0, thick = 0, all = 0, tall = 0;
    for (const std::uint64_t seed : {1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U}) {
        scenario.seed = seed;
        const World world = build_world(scenario);
        const Sky sky(world, 0, frame_of(world, 0));
        for (double y = -1500; y < 1500; y += 25)
            for (double x = -1500; x < 1500; x += 25) {
                const float cloud = sky.cover_at(x, y).cloud;
                ++all;
                thin += cloud > 0.1F && cloud < 0.6F;
                thick += cloud >= 0.5F;
                tall += cloud > 0.9F;
            }
    }
    EXPECT_GT(thin / all, 0.12);
    EXPECT_NEAR(thick / all, 0.3, 0.12) << "the share that was asked for hides the ground";
    EXPECT_GT(tall / all, 0.05);
}

TEST(Simulate, SameSeedSameBytesForAnyThreadsAndWindows) {
    const World world = build_world(small_camp());
    for (const int scene : {0, 1}) {
        const SceneFrame frame = frame_of(world, scene);
        const Window whole{0, 0, frame.grid.width, frame.grid.height};
        const Raster reference = render(world, scene, frame, whole);
        {
            const tbb::global_control one(tbb::global_control::max_allowed_parallelism, 1);
            const Raster alone = render(build_world(small_camp()), scene, frame, whole);
            for (std::size_t b = 0; b < 3; ++b)
                for (int y = 0; y < whole.height; ++y)
                    for (int x = 0; x < whole.width; ++x)
                        ASSERT_EQ(reference.bands[b].at(x, y), alone.bands[b].at(x, y))
                            << b << " " << x << " " << y;
        }
        const Window part{101, 57, 150, 133};
        const Raster cut = render(world, scene, frame, part);
        int different = 0;
        for (int y = 0; y < part.height; ++y)
            for (int x = 0; x < part.width; ++x)
                different +=
                    cut.bands[0].at(x, y) != reference.bands[0].at(part.x + x, part.y + y) ? 1 : 0;
        EXPECT_EQ(different, 0);
    }
}

TEST(Simulate, AnotherSeedIsAnotherPlace) {
    Scenario scenario = small_camp();
    const World a = build_world(scenario);
    scenario.seed = 2;
    const World b = build_world(scenario);
    EXPECT_NE(a.epochs[0].ring[0], b.epochs[0].ring[0]);
    EXPECT_NEAR(signed_area(a.epochs[0].ring), signed_area(b.epochs[0].ring), 30);
}

std::string scenario_path(const std::string& name) {
    const auto here = std::filesystem::path(__FILE__).parent_path().parent_path() / "configs" /
                      "scenarios" / name;
    return here.string();
}

TEST(Simulate, Camp25HasThePublishedFiguresWhateverTheSeed) {
    for (const std::uint64_t seed : {25U, 101U, 102U, 103U}) {
        const World world = build_world(read_scenario(scenario_path("camp25.json"), seed));
        const Truth truth = make_truth(world);
        const auto& lines = truth.report.perimeters;
        ASSERT_GE(lines.size(), 5U);
        EXPECT_NEAR(lines.front().area_m2, 580000, 2000) << seed;
        EXPECT_NEAR(lines.front().length_m, 3800, 15) << seed;
        EXPECT_NEAR(lines.back().area_m2, 1000000, 3000) << seed;
        EXPECT_NEAR(lines.back().length_m, 5200, 20) << seed;
        std::vector<int> standing(truth.report.scenes.size(), 0);
        for (const ReportStructure& s : truth.report.structures)
            if (s.kind == "guard_post")
                for (std::size_t k = 0; k < standing.size(); ++k)
                    if (*s.first_seen <= *truth.report.scenes[k].datetime) ++standing[k];
        EXPECT_EQ(standing.front(), 20) << seed;
        EXPECT_EQ(standing[2], 26) << seed;
        EXPECT_EQ(standing.back(), 43) << seed;
        int growths = 0;
        for (const ReportChange& change : truth.report.changes)
            if (change.kind == "perimeter_expansion") {
                ++growths;
                EXPECT_EQ(format_date(*change.last_not_seen), "2009-10-04");
                EXPECT_EQ(format_date(*change.first_seen), "2010-09-11");
                EXPECT_NEAR(change.area_m2, 420000, 4000);
                EXPECT_NEAR(measure_ring(change.footprint).area_m2, change.area_m2,
                            0.02 * change.area_m2);
            }
        EXPECT_EQ(growths, 1);
    }
}

TEST(Simulate, EveryPostStandsAtItsLineAtEveryDate) {
    // A moved line may touch the old one beside the stretch that stays: no post on the chord.
    for (const char* name : {"camp25.json", "contraction.json", "small_prison.json"}) {
        const Scenario file = read_scenario(scenario_path(name));
        for (std::uint64_t seed = 101; seed <= 112; ++seed) {
            SCOPED_TRACE(fmt::format("{} {}", name, seed));
            const World world = build_world(scaled(draw_variant(file, seed), seed % 2 ? 1 : 0.55));
            const Scenario& drawn = world.scenario;
            int standing = 0;
            for (const Thing& thing : world.things) {
                if (thing.kind != Kind::guard_post) continue;
                ++standing;
                for (const Epoch& epoch : world.epochs)
                    if (std::max(epoch.life.from, thing.life.from) <
                        std::min(epoch.life.to, thing.life.to)) {
                        EXPECT_LT(distance_to_ring(epoch.ring, thing.centre), 3);
                    }
            }
            int wanted = drawn.line.posts;
            for (const auto& change : drawn.post_changes) wanted += change.added;
            for (const auto& change : drawn.line_changes) wanted += change.posts;
            EXPECT_EQ(standing, wanted);
        }
    }
}

TEST(Simulate, TheGroundOfAGrowthIsAllOfIt) {
    for (const char* name : {"camp25.json", "contraction.json", "small_prison.json"}) {
        const Scenario file = read_scenario(scenario_path(name));
        for (std::uint64_t seed = 101; seed <= 112; ++seed) {
            const Truth truth = make_truth(build_world(draw_variant(file, seed)));
            for (const ReportChange& change : truth.report.changes)
                if (change.kind.starts_with("perimeter_")) {
                    EXPECT_NEAR(measure_ring(change.footprint).area_m2, change.area_m2,
                                0.035 * change.area_m2)
                        << name << " " << seed;
                }
        }
    }
}

TEST(Simulate, PostsGoWithTheirWallWhereNothingOfItStays) {
    Scenario scenario = bare(900, 1);
    scenario.line.kind = LineKind::wall;
    scenario.line.area_m2 = 90000;
    scenario.line.length_m = 1250;
    scenario.line.posts = 8;
    scenario.scenes[0].datetime = *parse_time("2010-01-01");
    LineChange east, west;
    east.at = *parse_time("2011-01-01");
    east.area_m2 = 125000;
    east.direction_deg = 90;
    east.span_deg = 200;
    east.posts = 3;
    west = east;
    west.at = *parse_time("2012-01-01");
    west.area_m2 = 160000;
    west.direction_deg = 270;
    scenario.line_changes = {east, west};
    for (const std::uint64_t seed : {1U, 2U, 3U, 4U}) {
        scenario.seed = seed;
        const World world = build_world(scenario);
        int first = 0, cut = 0;
        for (const Thing& thing : world.things) {
            if (thing.kind != Kind::guard_post) continue;
            first += thing.life.at(scenario.scenes[0].datetime);
            cut += thing.life.to != kForever;
            for (const Epoch& epoch : world.epochs)
                if (std::max(epoch.life.from, thing.life.from) <
                    std::min(epoch.life.to, thing.life.to)) {
                    EXPECT_LT(distance_to_ring(epoch.ring, thing.centre), 3.5) << seed;
                }
        }
        EXPECT_EQ(first, 8) << seed;
        EXPECT_GT(cut, 0) << seed;
    }
}

TEST(Simulate, EveryShippedScenarioBuilds) {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(scenario_path(""))) {
        if (entry.path().extension() != ".json") continue;
        SCOPED_TRACE(entry.path().filename().string());
        for (const std::uint64_t seed : {7U}) {
            const World world = build_world(read_scenario(entry.path().string(), seed));
            EXPECT_FALSE(make_truth(world).frames.empty());
        }
        ++count;
    }
    EXPECT_GE(count, 1);
}

std::string faults_of(const std::string& text) {
    const auto path = std::filesystem::temp_directory_path() / "fenceline_scenario_test.json";
    std::ofstream(path) << text;
    try {
        build_world(read_scenario(path.string()));
    } catch (const UsageError& error) {
        return error.what();
    } catch (const DataError& error) {
        return std::string("data: ") + error.what();
    }
    return "";
}

TEST(Simulate, BadScenariosNameTheKey) {
    const std::string scene = R"("scenes":[{"datetime":"2010-01-01T02:00:00Z"}])";
    EXPECT_EQ(faults_of("{" + scene + R"(,"place":{"lon":129,"lat":41}})"), "");
    EXPECT_NE(faults_of("{" + scene + R"(,"wall":1})").find("wall: is not a key"),
              std::string::npos);
    EXPECT_NE(faults_of("{" + scene + R"(,"area":{"width_m":-5}})").find("area.width_m"),
              std::string::npos);
    EXPECT_NE(
        faults_of(
            "{" + scene +
            R"(,"area":{"width_m":300,"height_m":300},"line":{"vertices":[[0,0],[400,0],[0,100]]}})")
            .find("line.vertices[1]"),
        std::string::npos);
    EXPECT_NE(faults_of("{" + scene + R"(,"area":{"width_m":300,"height_m":300}})")
                  .find("the wall leaves the area"),
              std::string::npos);
    EXPECT_NE(faults_of(R"({"scenes":[{"datetime":"2010-01-02"},{"datetime":"2010-01-01"}]})")
                  .find("scenes[1].datetime"),
              std::string::npos);
    EXPECT_NE(faults_of(R"({"scenes":[{"datetime":"2010-13-01"}]})").find("scenes[0].datetime"),
              std::string::npos);
    EXPECT_NE(faults_of("{" + scene + R"(,"line":{"area_m2":250000,"length_m":1000}})")
                  .find("line.length_m"),
              std::string::npos);
    EXPECT_NE(faults_of("{").find("data:"), std::string::npos);
    // All faults together.
    const std::string both =
        faults_of(R"({"scenes":[{"datetime":"2010-01-01","gsd_m":99,"bands":"xyz"}],"seed":-1})");
    for (const char* key : {"scenes[0].gsd_m", "scenes[0].bands", "seed"})
        EXPECT_NE(both.find(key), std::string::npos) << key;
}

TEST(Simulate, OtherSeedsDrawOtherVariantsWithinTheScenariosRanges) {
    const Scenario file = read_scenario(scenario_path("contraction.json"));
    const ScenarioVariants& v = file.variants;
    const Scenario same = draw_variant(file, file.seed);
    EXPECT_EQ(same.scenes[2].datetime, file.scenes[2].datetime);
    EXPECT_EQ(same.line.area_m2, file.line.area_m2);
    std::set<int> posts;
    std::set<std::int64_t> times;
    for (std::uint64_t seed = 101; seed < 121; ++seed) {
        const Scenario drawn = draw_variant(file, seed), again = draw_variant(file, seed);
        EXPECT_EQ(drawn.seed, seed);
        posts.insert(drawn.line.posts);
        EXPECT_NEAR(drawn.line.posts, file.line.posts, v.counts * file.line.posts + 0.5);
        EXPECT_NEAR(drawn.line.area_m2, file.line.area_m2, v.size * file.line.area_m2);
        EXPECT_LT(drawn.line_changes[0].area_m2, drawn.line.area_m2) << "a contraction stays one";
        for (std::size_t i = 0; i < file.scenes.size(); ++i) {
            const ScenarioScene &a = file.scenes[i], &b = drawn.scenes[i];
            times.insert(b.datetime.microseconds);
            EXPECT_EQ(b.datetime, again.scenes[i].datetime);
            EXPECT_NEAR(b.datetime.days(), a.datetime.days(), v.days + 0.51 + v.minutes / 1440);
            EXPECT_NEAR(b.off_nadir_deg, a.off_nadir_deg, v.off_nadir_deg);
            EXPECT_NEAR(b.blur_px, a.blur_px, v.blur_px + 1e-12);
            EXPECT_NEAR(b.registration.dx_m, a.registration.dx_m, v.shift_m);
            EXPECT_EQ(b.cloud, 0) << "clear scenes stay clear";
            if (i > 0) {
                EXPECT_LT(drawn.scenes[i - 1].datetime, b.datetime);
            }
        }
    }
    EXPECT_GE(posts.size(), 3U);
    EXPECT_GT(times.size(), 100U);
}

TEST(Simulate, EveryFamilyCanBeDrawnForManySeeds) {
    for (const auto& entry : std::filesystem::directory_iterator(scenario_path(""))) {
        if (entry.path().extension() != ".json" || entry.path().stem() == "wide_area") continue;
        const Scenario file = read_scenario(entry.path().string());
        for (const std::uint64_t seed : {101U, 102U, 103U, 9001U, 9002U, 9003U})
            EXPECT_NO_THROW(build_world(draw_variant(file, seed)))
                << entry.path().filename() << " " << seed;
    }
}

TEST(Simulate, AScaledPlaceKeepsItsProportions) {
    const Scenario file = read_scenario(scenario_path("camp25.json"));
    const Truth truth = make_truth(build_world(scaled(file, 0.55)));
    const auto& lines = truth.report.perimeters;
    EXPECT_NEAR(lines.front().area_m2, 0.3025 * 580000, 2000);
    EXPECT_NEAR(lines.back().area_m2 / lines.front().area_m2, 1.0 / 0.58, 0.01);
    EXPECT_NEAR(lines.back().length_m / lines.front().length_m, 5.2 / 3.8, 0.01);
    EXPECT_EQ(truth.frames.front().grid.gsd(), 0.6);
}

/// Keys of an object of the schema.
std::set<std::string> keys_of(const nlohmann::json& schema) {
    std::set<std::string> keys;
    for (const auto& [key, value] : schema.at("properties").items()) keys.insert(key);
    return keys;
}

TEST(Simulate, TheSchemaHasTheKeysThatTheReaderKnows) {
    std::ifstream file(scenario_path("../scenario.schema.json"));
    const auto schema = nlohmann::json::parse(file);
    const auto& properties = schema.at("properties");
    const auto known = [](const std::string& text, const std::string& where) {
        // "… where.zzz: is not a key of a scenario; allowed here are a, b, c"
        const std::string faults = faults_of(text), mark = where + "zzz: is not a key";
        const auto at = faults.find(mark);
        EXPECT_NE(at, std::string::npos) << faults;
        const std::string list_mark = "allowed here are ";
        std::string list = faults.substr(faults.find(list_mark, at) + list_mark.size());
        list = list.substr(0, list.find('\n'));
        std::set<std::string> keys;
        std::size_t from = 0;
        while (from < list.size()) {
            const auto to = std::min(list.find(", ", from), list.size());
            keys.insert(list.substr(from, to - from));
            from = to + 2;
        }
        return keys;
    };
    EXPECT_EQ(known(R"({"zzz": 1})", ""), keys_of(schema));
    int sections = 0;
    for (const auto& [key, value] : properties.items()) {
        const std::string type = value.at("type");
        if (type == "object") {
            EXPECT_EQ(known("{\"" + key + R"(": {"zzz": 1}})", key + "."), keys_of(value)) << key;
            ++sections;
        } else if (type == "array") {
            EXPECT_EQ(known("{\"" + key + R"(": [{"zzz": 1}]})", key + "[0]."),
                      keys_of(value.at("items")))
                << key;
            ++sections;
        }
    }
    EXPECT_GE(sections, 10);
    EXPECT_EQ(known(R"({"scenes": [{"registration": {"zzz": 1}}]})", "scenes[0].registration."),
              keys_of(properties.at("scenes").at("items").at("properties").at("registration")));
}

std::string bytes_of(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Simulate, LittleMemoryGivesTheSameFiles) {
    const auto folder = std::filesystem::temp_directory_path() / "fenceline_simulate_strips";
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    Scenario scenario = bare(90, 0.12);  // 750 × 750: two strips
    scenario.scenes[0].noise = 1;
    scenario.scenes[0].datetime = *parse_time("2010-06-20T03:30:00Z");
    Progress quiet;
    write_series(scenario, (folder / "much").string(), quiet, false);
    write_series(scenario, (folder / "little").string(), quiet, false, std::size_t{1} << 20);
    int files = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "much")) {
        if (!entry.is_regular_file()) continue;
        ++files;
        const auto twin =
            folder / "little" / std::filesystem::relative(entry.path(), folder / "much");
        EXPECT_EQ(bytes_of(entry.path()), bytes_of(twin)) << twin;
    }
    EXPECT_EQ(files, 5) << "image, item, collection, truth, sites";
    int twins = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "little"))
        twins += entry.is_regular_file();
    EXPECT_EQ(twins, files) << "no scratch file is left";
    std::filesystem::remove_all(folder);
}

TEST(Simulate, TheDigitisedLineIsOffByAFewMetres) {
    const World world = build_world(read_scenario(scenario_path("camp25.json")));
    const Transform to_map("EPSG:4326", utm_crs(world.scenario.place_lonlat));
    const Ring digitised = to_map(digitised_line(world));
    Ring truth;
    for (const Point p : world.epochs[0].ring) truth.push_back(map_from_local(world.scenario, p));
    std::vector<double> off;
    for (const Point p : resample_ring(digitised, 10)) off.push_back(distance_to_ring(truth, p));
    std::sort(off.begin(), off.end());
    EXPECT_GT(off[off.size() / 2], 0.5);
    EXPECT_LT(off[off.size() * 9 / 10], 12);
}

}  // namespace
}  // namespace fenceline::simulate
