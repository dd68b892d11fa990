// The network of surfaces, the roofs on its map, and the lines that it draws.
#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <cmath>
#include <functional>
#include <new>
#include <numbers>
#include <opencv2/core.hpp>
#include <random>
#include <string>

#include "core/parallel.h"
#include "core/projection.h"
#include "image_fixture.h"
#include "stages/perimeter.h"
#include "stages/structures.h"
#include "stages/structures_maps.h"

namespace fenceline {
namespace {

constexpr int kNo = 128 - 96, kYes = 128 + 96;  // log-odds −6 and 6

/// Ground with soft spots, and bright roofs with their shadows to the north-west.
Scene houses(int width, int height, double gsd_m, const std::vector<OrientedRectangle>& roofs) {
    Scene scene;
    scene.info.id = "houses";
    scene.info.sun_azimuth_deg = 150;
    scene.info.sun_elevation_deg = 45;
    scene.raster.grid.geotransform = {0, gsd_m, 0, 0, 0, -gsd_m};
    scene.raster.grid.width = width;
    scene.raster.grid.height = height;
    scene.raster.roles = {BandRole::pan};
    scene.raster.valid = Mask(width, height, 1);
    scene.masks = Mask(width, height);
    scene.usable_fraction = 1;
    Plane image(width, height);
    std::mt19937 random(7);
    std::normal_distribution<float> noise(0, 4);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            image.at(x, y) = 90 +
                             8 * std::sin(0.05F * static_cast<float>(x)) *
                                 std::cos(0.07F * static_cast<float>(y)) +
                             noise(random);
    const Point away{-std::sin(150 * std::numbers::pi / 180),
                     std::cos(150 * std::numbers::pi / 180)};
    const auto fill = [&](const Ring& ring, float value) {
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x)
                if (contains(ring, {x + 0.5, y + 0.5})) image.at(x, y) = value + noise(random);
    };
    for (const OrientedRectangle& roof : roofs) {
        OrientedRectangle shadow = roof;
        shadow.centre = shadow.centre + (4 / gsd_m) * away;
        fill(ring_of(shadow), 45);
        fill(ring_of(roof), 150);
    }
    scene.raster.bands.push_back(std::move(image));
    return scene;
}

/// A map of roofs without their borders, in cells of a pixel.
SurfaceMaps map_of(int width, int height, const std::vector<OrientedRectangle>& roofs) {
    SurfaceMaps maps;
    maps.roof = PlaneOf<std::uint8_t>(width, height, kNo);
    maps.border = maps.line = maps.post = maps.roof;
    for (const OrientedRectangle& roof : roofs) {
        const Ring ring = ring_of(roof);
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x)
                if (contains(ring, {x + 0.5, y + 0.5})) maps.roof.at(x, y) = kYes;
    }
    return maps;
}

void expect_same(const OrientedRectangle& found, const OrientedRectangle& want) {
    EXPECT_NEAR(distance(found.centre, want.centre), 0, 0.6);
    EXPECT_NEAR(std::max(found.half_a, found.half_b), std::max(want.half_a, want.half_b), 0.6);
    EXPECT_NEAR(std::min(found.half_a, found.half_b), std::min(want.half_a, want.half_b), 0.6);
    EXPECT_GT(convex_overlap(ring_of(found), ring_of(want)), 0.9 * 4 * want.half_a * want.half_b);
}

TEST(SurfaceMaps, AreTheSameBytesForAnyNumberOfThreadsAndOrderOfTiles) {
    // More than one tile each way: 448 cells of .6 m.
    const Scene scene = houses(600, 580, 0.5, {{{200, 200}, 30, 12, 0.4}, {{540, 300}, 20, 10, 1}});
    std::vector<SurfaceMaps> all;
    for (const std::size_t threads : {1U, 2U, 7U}) {
        const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
        item_order = static_cast<unsigned>(threads);
        all.push_back(surface_maps(scene, {}));
        item_order = 0;
    }
    ASSERT_EQ(all[0].roof.width(), 500);
    ASSERT_EQ(all[0].roof.height(), 484);
    int roofs = 0;
    for (int y = 0; y < all[0].roof.height(); ++y)
        for (int x = 0; x < all[0].roof.width(); ++x) {
            roofs += all[0].roof.at(x, y) > 128;
            for (std::size_t k = 1; k < all.size(); ++k) {
                ASSERT_EQ(all[k].roof.at(x, y), all[0].roof.at(x, y));
                ASSERT_EQ(all[k].border.at(x, y), all[0].border.at(x, y));
                ASSERT_EQ(all[k].line.at(x, y), all[0].line.at(x, y));
                ASSERT_EQ(all[k].post.at(x, y), all[0].post.at(x, y));
            }
        }
    // 4 · (30 · 12 + 20 · 10) pixels of .25 m² are 1556 cells of .36 m².
    EXPECT_NEAR(roofs, 1556, 400);
}

TEST(SurfaceMaps, AreEmptyWhereTheImageIsTooCoarseAndBareWhereItShowsNothing) {
    EXPECT_TRUE(surface_maps(houses(200, 200, 1.5, {}), {}).empty());
    StructureOptions none;
    none.read_up_to_m = 0;
    EXPECT_TRUE(surface_maps(houses(200, 200, 0.5, {}), none).empty());
    EXPECT_TRUE(surface_maps(Scene{}, {}).empty());
    Scene constant = houses(64, 64, 0.5, {});
    constant.raster.bands[0] = Plane(64, 64, 100);
    const SurfaceMaps maps = surface_maps(constant, {});
    for (int y = 0; y < maps.roof.height(); ++y)
        for (int x = 0; x < maps.roof.width(); ++x) {
            ASSERT_LT(maps.roof.at(x, y), 128);
            ASSERT_LT(maps.line.at(x, y), 128);
            ASSERT_LT(maps.post.at(x, y), 128);
        }
    // A few pixels are read without a fault.
    EXPECT_EQ(surface_maps(houses(9, 7, 0.5, {}), {}).roof.width(), 8);
}

TEST(SurfaceMaps, WhatIsNotReadSaysWhyAndAFailureOfTheNetworkIsNoMore) {
    EXPECT_EQ(surface_maps(houses(200, 200, 1.5, {}), {}).unread,
              "a pixel of 1.5 m is coarser than 1.3 m");
    EXPECT_EQ(surface_maps(Scene{}, {}).unread, "the image shows nothing");
    EXPECT_TRUE(surface_maps(houses(64, 64, 0.5, {}), {}).unread.empty());
    const auto unread = [](const std::function<void()>& fault) {
        const SurfaceMaps maps = maps_or_reason([&] {
            fault();
            SurfaceMaps read;
            read.roof = PlaneOf<std::uint8_t>(4, 4);
            return read;
        });
        EXPECT_EQ(maps.empty(), !maps.unread.empty());
        return maps.unread;
    };
    EXPECT_EQ(unread([] {}), "");
    EXPECT_EQ(unread([] { throw std::bad_alloc(); }), "it failed (std::bad_alloc)");
    // As the network's library throws, from several threads' tiles.
    const std::string said = unread([] {
        parallel_items(4, [](int) { CV_Error(cv::Error::StsNoMem, "no room for a blob"); });
    });
    EXPECT_NE(said.find("no room for a blob"), std::string::npos) << said;
    EXPECT_EQ(said.find('\n'), std::string::npos) << said;
}

TEST(SurfaceMaps, TheEdgeOfWhatIsHiddenIsNoLine) {
    Scene scene = houses(300, 300, 0.6, {});
    for (int y = 0; y < 300; ++y)
        for (int x = 150; x < 300; ++x) {
            scene.masks.at(x, y) = kNoData;
            scene.raster.bands[0].at(x, y) = 0;
        }
    const SurfaceMaps maps = surface_maps(scene, {});
    ASSERT_FALSE(maps.empty());
    for (int y = 0; y < 300; ++y)
        for (int x = 146; x < 300; ++x) {
            ASSERT_EQ(maps.line.at(x, y), 0) << x << ' ' << y;
            ASSERT_EQ(maps.post.at(x, y), 0);
        }
}

TEST(RoofsOnMap, AreTheRectanglesThatAreThere) {
    const std::vector<OrientedRectangle> roofs{
        {{60, 50}, 22, 8, 0.3}, {{150, 60}, 6, 5, 1.2}, {{70, 130}, 30, 9, -0.7}};
    const auto found = roofs_on_map(map_of(200, 180, roofs));
    ASSERT_EQ(found.size(), roofs.size());
    for (const OrientedRectangle& want : roofs) {
        const BuildingLook* nearest = &found.front();
        for (const BuildingLook& look : found)
            if (distance(look.roof.centre, want.centre) <
                distance(nearest->roof.centre, want.centre))
                nearest = &look;
        expect_same(nearest->roof, want);
        EXPECT_GT(nearest->log_odds, 5);
    }
    EXPECT_TRUE(roofs_on_map(map_of(60, 60, {})).empty());
}

TEST(RoofsOnMap, TwoWingsAreTwoRectangles) {
    const std::vector<OrientedRectangle> wings{{{60, 40}, 30, 7, 0}, {{37, 72}, 7, 26, 0}};
    const auto found = roofs_on_map(map_of(130, 130, wings));
    EXPECT_LE(found.size(), 3U);
    for (const OrientedRectangle& wing : wings) {
        double covered = 0;
        for (const BuildingLook& look : found)
            covered = std::max(covered, convex_overlap(ring_of(look.roof), ring_of(wing)));
        EXPECT_GT(covered, 0.85 * 4 * wing.half_a * wing.half_b);
    }
}

TEST(RoofOnMap, IsFoundACellAwayAndMissedWhereItIsNot) {
    const OrientedRectangle roof{{60, 50}, 20, 8, 0.5};
    const SurfaceMaps maps = map_of(150, 150, {roof});
    OrientedRectangle off = roof;
    off.centre = off.centre + Point{1, -1};
    const BuildingLook there = roof_on_map(maps, off);
    EXPECT_GT(there.log_odds, 5);
    expect_same(there.roof, roof);
    off.centre = {110, 110};
    EXPECT_LT(roof_on_map(maps, off).log_odds, -5);
    // Half of it gone: not there.
    off = roof;
    off.half_a = 2 * roof.half_a;
    EXPECT_LT(roof_on_map(maps, off).log_odds, -5);
}

TEST(RoofOnMap, OfTwoThatStoodInOnePlaceTheOneThatStandsIsMeasured) {
    // The smaller one stands; a neighbour in line with it tempts the fit to take both.
    const OrientedRectangle small{{80, 60}, 22, 12, 0.2},
        neighbour{{80 + 38 * std::cos(0.2), 60 + 38 * std::sin(0.2)}, 12, 12, 0.2};
    const SurfaceMaps maps = map_of(200, 150, {small, neighbour});
    OrientedRectangle large = small;
    large.half_a *= 1.2;
    large.half_b *= 1.2;
    const BuildingLook look = roof_on_map(maps, large, 1 / 1.2);
    expect_same(look.roof, small);
    EXPECT_GT(look.corrected_log_odds, 5);
    expect_same(roof_on_map(maps, small, 1.2).roof, small);
    const SurfaceMaps rebuilt = map_of(200, 150, {large});
    expect_same(roof_on_map(rebuilt, small, 1.2).roof, large);
}

TEST(LookAt, SnowDoesNotHideThatAnotherHouseStandsInTheOldOnesPlace) {
    const OrientedRectangle now{{100, 60}, 20, 10, 0.2};
    Scene scene = houses(200, 120, kSurfaceCell_m, {});
    scene.masks = Mask(200, 120, kSnow);
    Detection old;
    old.footprint_px = ring_of({{100, 60}, 16, 8, 0.2});
    old.centre_px = {100, 60};
    old.area_m2 = 4 * 16 * 8 * kSurfaceCell_m * kSurfaceCell_m;
    old.height_m = 0;
    Detection alone = old;
    old.rival_area_m2 = old.area_m2 * 400 / 256;
    const std::vector<Detection> objects{old, alone};
    const auto there = look_at(scene, map_of(200, 120, {now}), objects, {});
    EXPECT_EQ(there[0].seen, Seen::absent) << "the larger one shows";
    EXPECT_EQ(there[1].seen, Seen::present);
    const auto bare = look_at(scene, map_of(200, 120, {}), objects, {});
    EXPECT_EQ(bare[0].seen, Seen::not_observable);
    EXPECT_EQ(bare[1].seen, Seen::not_observable);
}

TEST(LookAt, WithSnowAboutARoofThatIsNotSeenIsNotCalledAbsent) {
    Scene scene = houses(200, 120, kSurfaceCell_m, {});
    Detection house;
    house.footprint_px = ring_of({{140, 60}, 16, 8, 0.2});
    house.centre_px = {140, 60};
    house.area_m2 = 4 * 16 * 8 * kSurfaceCell_m * kSurfaceCell_m;
    const SurfaceMaps bare = map_of(200, 120, {});
    const auto seen_with_snow = [&](int columns) {
        scene.masks = Mask(200, 120);
        for (int y = 0; y < 120; ++y)
            for (int x = 0; x < columns; ++x) scene.masks.at(x, y) = kSnow;
        return look_at(scene, bare, std::vector<Detection>{house}, {})[0].seen;
    };
    EXPECT_EQ(seen_with_snow(0), Seen::absent);
    EXPECT_EQ(seen_with_snow(8), Seen::absent) << "a drift";
    EXPECT_EQ(seen_with_snow(80), Seen::not_observable);
}

Detection building(Point centre, double half_a, double half_b) {
    Detection d;
    d.footprint_px = ring_of({centre, half_a, half_b, 0.2});
    d.centre_px = centre;
    d.area_m2 = 4 * half_a * half_b;
    d.log_odds = 5;
    d.on_map = true;
    return d;
}

TEST(MergeDetections, ABuildingRebuiltLargerOnItsPlaceIsTwo) {
    std::vector<std::vector<Detection>> scenes;
    for (int k = 0; k < 6; ++k) {
        const double wobble = 0.1 * (k % 3 - 1);  // of the outline, from look to look
        scenes.push_back({building({50, 50}, 10 + (k < 3 ? 0.0 : 4.0) + wobble, 5 + wobble),
                          building({150, 50}, 12 + wobble, 6)});
        if (k < 3) scenes.back()[0].area_m2 = 200 + 4 * wobble;
    }
    const auto objects = merge_detections(scenes, 1.0, {});
    ASSERT_EQ(objects.size(), 3U);
    int rivals = 0;
    for (const Detection& d : objects) {
        if (d.rival_area_m2 <= 0) continue;
        ++rivals;
        EXPECT_LT(d.centre_px.x, 100);
        EXPECT_NEAR(std::abs(std::log(d.area_m2 / d.rival_area_m2)), std::log(1.4), 0.06);
    }
    EXPECT_EQ(rivals, 2);
    // Rectangles that do not come from the map scatter too much to tell.
    auto windows = scenes;
    for (auto& scene : windows)
        for (Detection& d : scene) d.on_map = false;
    EXPECT_EQ(merge_detections(windows, 1.0, {}).size(), 2U);
    // Looks that hardly show a roof do not tell its size.
    auto dim = scenes;
    for (std::size_t k = 3; k < 6; ++k) dim[k][0].log_odds = 1.5;
    EXPECT_EQ(merge_detections(dim, 1.0, {}).size(), 2U);
    // One look in the middle that shows only half of it changes nothing.
    for (auto& scene : scenes) scene[0] = building({50, 50}, 10, 5);
    scenes[3][0] = building({50, 50}, 7, 5);
    EXPECT_EQ(merge_detections(scenes, 1.0, {}).size(), 2U);
}

/// A place in fields, 1 m pixels; nothing of a line is in the image.
Scene fields(unsigned seed) {
    Scene scene = houses(700, 640, 1.0, {});
    scene.info.id = "scene" + std::to_string(seed);
    scene.info.datetime = time_from_civil(2005 + static_cast<int>(seed), 6, 1);
    scene.raster.grid.crs_wkt = wkt_of("EPSG:32652");
    scene.raster.grid.geotransform = {560000, 1, 0, 4632000, 0, -1};
    return scene;
}

/// The network's map of a scene in which it sees a line along a ring.
SurfaceMaps drawn(const Scene& scene, const Ring& ring_px) {
    SurfaceMaps maps;
    const double gsd_m = scene.raster.grid.gsd();
    maps.cell_px = kSurfaceCell_m / gsd_m;
    maps.line = PlaneOf<std::uint8_t>(surface_cells(scene.raster.grid.width, gsd_m),
                                      surface_cells(scene.raster.grid.height, gsd_m), kNo);
    maps.roof = maps.border = maps.post = maps.line;
    for (const Point p : resample_ring(ring_px, 0.2)) {
        const Point cell = (1 / maps.cell_px) * p;
        for (int y = static_cast<int>(cell.y) - 2; y <= static_cast<int>(cell.y) + 2; ++y)
            for (int x = static_cast<int>(cell.x) - 2; x <= static_cast<int>(cell.x) + 2; ++x)
                if (distance(cell, Point{x + 0.5, y + 0.5}) <= 1.5) maps.line.at(x, y) = kYes;
    }
    return maps;
}

TEST(DrawnLines, AreTracedMeasuredAndSeenToGrow) {
    const Ring small{{200, 180}, {460, 190}, {470, 420}, {210, 430}},
        grown{{200, 180}, {460, 190}, {580, 200}, {590, 400}, {470, 420}, {210, 430}};
    std::vector<SceneInfo> infos;
    std::vector<LineEvidence> evidence;
    for (unsigned k = 0; k < 4; ++k) {
        const Scene scene = fields(k);
        infos.push_back(scene.info);
        evidence.push_back(line_evidence(scene, drawn(scene, k < 2 ? small : grown), {}));
    }
    const std::vector<double> sigma(4, 0.3);
    KnownLine known;
    for (const Point p : small) known.ring_px.push_back(p + Point{6, -7});
    const Grid grid = fields(0).raster.grid;
    for (const bool is_known : {true, false}) {
        const auto result =
            trace_perimeters(grid, infos, evidence, sigma, is_known ? known : KnownLine{}, {});
        ASSERT_EQ(result.perimeters.size(), 4U) << is_known;
        for (const auto& p : result.perimeters) {
            const double truth = std::abs(signed_area(p.scene < 2 ? small : grown));
            EXPECT_NEAR(p.area_m2 / truth, 1, 0.01) << p.scene << is_known;
            EXPECT_LE(p.area_ci.low, truth * 1.001);
            EXPECT_GE(p.area_ci.high, truth * 0.999);
        }
        ASSERT_EQ(result.changes.size(), 1U);
        EXPECT_EQ(result.changes[0].last_before, 1);
        EXPECT_EQ(result.changes[0].first_after, 2);
    }
}

TEST(DrawnLines, ALookThatLiesBesideTheOthersIsMovedOntoTheirLine) {
    const Ring ring{{200, 180}, {460, 190}, {470, 420}, {210, 430}};
    const Grid grid = fields(0).raster.grid;
    enum class Third { right, beside, nowhere, further_out };
    const auto look = [&](Third third) {
        std::vector<SceneInfo> infos;
        std::vector<LineEvidence> evidence;
        for (unsigned k = 0; k < 4; ++k) {
            const Scene scene = fields(k);
            Ring there = ring;
            if (k == 2 && third == Third::beside)
                for (Point& p : there) p = p + Point{6, -4};
            if (k == 2 && third == Third::nowhere) there.clear();
            if (k >= 2 && third == Third::further_out)
                there = {{195, 175}, {465, 185}, {475, 425}, {205, 435}};
            infos.push_back(scene.info);
            evidence.push_back(line_evidence(scene, drawn(scene, there), {}));
        }
        const std::vector<double> sigma{0, 0.3, 0.3, 0.3};
        return trace_perimeters(grid, infos, evidence, sigma, {ring, {}}, {});
    };
    const auto moved = look(Third::beside);
    ASSERT_EQ(moved.settled.size(), 1U);
    EXPECT_EQ(moved.settled[0].first, 2);
    const double gsd = grid.gsd();
    EXPECT_NEAR(moved.settled[0].second.x, -6 * gsd, 0.8);
    EXPECT_NEAR(moved.settled[0].second.y, -4 * gsd, 0.8);  // the image's y points south
    ASSERT_EQ(moved.perimeters.size(), 4U);
    for (const auto& p : moved.perimeters) {
        EXPECT_NEAR(p.area_m2 / (std::abs(signed_area(ring)) * gsd * gsd), 1, 0.01);
        ASSERT_TRUE(p.off_line_m);
        EXPECT_LT(*p.off_line_m, 1);
    }
    EXPECT_TRUE(look(Third::right).settled.empty());
    EXPECT_TRUE(look(Third::nowhere).settled.empty());
    EXPECT_TRUE(look(Third::further_out).settled.empty());
}

TEST(DrawnLines, PlaceASceneThatTiePointsCouldNot) {
    const Ring ring{{200, 180}, {460, 190}, {470, 420}, {330, 380}, {210, 430}};
    const std::vector<Ring> rings{{{20, 20}, {120, 30}, {110, 90}}, ring};
    const Scene scene = fields(1);
    const double gsd = scene.raster.grid.gsd();
    const auto placed = [&](const Ring& shown) {
        return place_by_line(scene.raster.grid, scene.info,
                             line_evidence(scene, drawn(scene, shown), {}), rings, {});
    };
    Ring off = ring, far = ring, half{ring[0], ring[1], ring[2]};
    for (Point& p : off) p = p + Point{14 / gsd, -9 / gsd};
    for (Point& p : far) p = p + Point{60 / gsd, 0};
    const auto shift = placed(off);
    ASSERT_TRUE(shift);
    EXPECT_NEAR(shift->x * gsd, 14, 0.8);
    EXPECT_NEAR(shift->y * gsd, -9, 0.8);
    EXPECT_FALSE(placed(far));
    EXPECT_FALSE(placed(half));  // another line
    EXPECT_FALSE(placed({}));
}

TEST(DrawnLines, ALineThatTheNetworkDoesNotKnowIsLeftToTheImage) {
    // What it draws lies elsewhere: the known line is judged without it, and nothing is invented.
    const Ring known{{200, 180}, {460, 190}, {470, 420}, {210, 430}},
        elsewhere{{20, 500}, {120, 500}, {120, 600}, {20, 600}};
    std::vector<SceneInfo> infos;
    std::vector<LineEvidence> with, without;
    for (unsigned k = 0; k < 3; ++k) {
        const Scene scene = fields(k);
        infos.push_back(scene.info);
        with.push_back(line_evidence(scene, drawn(scene, elsewhere), {}));
        without.push_back(line_evidence(scene, {}, {}));
    }
    const std::vector<double> sigma(3, 0.3);
    const Grid grid = fields(0).raster.grid;
    const auto a = trace_perimeters(grid, infos, with, sigma, {known, {}}, {}),
               b = trace_perimeters(grid, infos, without, sigma, {known, {}}, {});
    ASSERT_EQ(a.perimeters.size(), b.perimeters.size());
    for (std::size_t i = 0; i < a.perimeters.size(); ++i)
        EXPECT_EQ(a.perimeters[i].area_m2, b.perimeters[i].area_m2);
    EXPECT_EQ(a.changes.size(), b.changes.size());
    EXPECT_EQ(a.notes, b.notes);
}

}  // namespace
}  // namespace fenceline
