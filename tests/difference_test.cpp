#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <cmath>
#include <cstring>
#include <random>
#include <utility>

#include "core/parallel.h"
#include "stages/difference.h"

namespace fenceline {
namespace {

struct Building {
    double x, y, width, height;  // px, upper left corner
};

double hashed(int x, int y, unsigned seed) {
    std::uint32_t h = static_cast<std::uint32_t>(x) * 374761393U +
                      static_cast<std::uint32_t>(y) * 668265263U + seed * 2246822519U;
    h = (h ^ (h >> 13U)) * 1274126177U;
    return static_cast<double>((h ^ (h >> 16U)) & 0xFFFFFFU) / 16777215.0 - 0.5;
}

/// Smooth value noise that can be looked up anywhere: a sub-pixel shift is exact, not resampled.
double noise_at(double x, double y, double scale, unsigned seed) {
    const double u = x / scale, v = y / scale;
    const int i = static_cast<int>(std::floor(u)), j = static_cast<int>(std::floor(v));
    const auto ease = [](double t) { return t * t * (3 - 2 * t); };
    const double a = ease(u - i), b = ease(v - j);
    return (hashed(i, j, seed) * (1 - a) + hashed(i + 1, j, seed) * a) * (1 - b) +
           (hashed(i, j + 1, seed) * (1 - a) + hashed(i + 1, j + 1, seed) * a) * b;
}

double soft_box(const Building& b, double x, double y) {
    const auto edge = [](double d) { return std::clamp(0.5 + d / 1.5, 0.0, 1.0); };
    return std::min(
        {edge(x - b.x), edge(b.x + b.width - x), edge(y - b.y), edge(b.y + b.height - y)});
}

struct Look {
    double dx = 0, dy = 0, gain = 1, offset = 0, noise = 2;
    double sun_azimuth = 150, shadow_px = 8;
    unsigned noise_seed = 1;
    int bands = 3;
};

/// Textured ground at 0.5 m with bright buildings and the shadows that the sun asks for.
Scene camp(int size, const std::vector<Building>& buildings, const Look& look) {
    Scene scene;
    scene.raster.grid = {"", {0, 0.5, 0, 0, 0, -0.5}, size, size};
    scene.raster.valid = Mask(size, size, 1);
    scene.masks = Mask(size, size, 0);
    scene.info.sun_azimuth_deg = look.sun_azimuth;
    scene.info.sun_elevation_deg = 40;
    const double azimuth = look.sun_azimuth * 3.14159265358979 / 180;
    std::mt19937 random(look.noise_seed);
    std::normal_distribution<double> normal(0, look.noise);
    for (int b = 0; b < look.bands; ++b) {
        Plane plane(size, size);
        for (int y = 0; y < size; ++y)
            for (int x = 0; x < size; ++x) {
                const double px = x + 0.5 + look.dx, py = y + 0.5 + look.dy;
                double ground = 90 + 15 * b + 60 * noise_at(px, py, 41, 1) +
                                40 * noise_at(px, py, 9, 2) +
                                25 * noise_at(px, py, 23, 3 + static_cast<unsigned>(b));
                double shadow = 0, roof = 0;
                for (const Building& building : buildings) {
                    for (double s = 0; s <= look.shadow_px; s += 1)
                        shadow = std::max(shadow, soft_box(building, px + s * std::sin(azimuth),
                                                           py - s * std::cos(azimuth)));
                    roof = std::max(roof, soft_box(building, px, py));
                }
                ground *= 1 - 0.6 * shadow;
                ground = ground * (1 - roof) + roof * 210;
                plane.at(x, y) =
                    static_cast<float>(look.gain * ground + look.offset + normal(random));
            }
        scene.raster.bands.push_back(plane);
    }
    scene.raster.roles = look.bands == 1
                             ? std::vector{BandRole::pan}
                             : std::vector{BandRole::red, BandRole::green, BandRole::blue};
    return scene;
}

const std::vector<Building>& standing() {
    static const std::vector<Building> all{{40, 50, 24, 14},
                                           {150, 40, 16, 40},
                                           {60, 180, 30, 16},
                                           {200, 200, 20, 20},
                                           {110, 110, 14, 26}};
    return all;
}
const Building kNew{160, 130, 36, 18};

std::vector<Building> with_new() {
    auto all = standing();
    all.push_back(kNew);
    return all;
}

int structural_objects(const ChangeMap& map) {
    int count = 0;
    for (const auto& object : map.objects)
        count += object.change_class == ChangeClass::appeared ||
                 object.change_class == ChangeClass::disappeared ||
                 object.change_class == ChangeClass::modified;
    return count;
}

TEST(Difference, AnImageAgainstItselfHasNoObject) {
    const Scene scene = camp(256, standing(), {});
    const ChangeMap map = difference(scene, scene, 0.3, {});
    EXPECT_TRUE(map.objects.empty());
    for (int y = 0; y < 256; ++y)
        for (int x = 0; x < 256; ++x) ASSERT_EQ(map.change_class.at(x, y), 0);
}

TEST(Difference, HalfAPixelGainAndNoiseAreNoObject) {
    const Scene before = camp(256, standing(), {});
    const Scene after =
        camp(256, standing(),
             {.dx = 0.5, .dy = -0.5, .gain = 1.15, .offset = 8, .noise = 3, .noise_seed = 2});
    EXPECT_TRUE(difference(before, after, 0.5, {}).objects.empty());
    // One pixel, when that is what registration says.
    const Scene one = camp(256, standing(), {.dx = 1, .dy = 0.7, .noise = 3, .noise_seed = 3});
    EXPECT_TRUE(difference(before, one, 0.8, {}).objects.empty());
}

TEST(Difference, AtTenMetresWhatResamplingTakesFromPeaksIsNoChange) {
    // Houses of a pixel in rows and alone. Half a pixel there and back again by straight lines is a
    // mean of 1/4, 1/2, 1/4. Glints are sampled so, too. A new quarter is found all the same.
    Scene first = camp(192, standing(), {});
    first.raster.grid.geotransform = {0, 10, 0, 0, 0, -10};
    for (int k = 0; k < 160; ++k) {
        const int x = static_cast<int>(190 * (hashed(k, 1, 5) + 0.5)),
                  y = static_cast<int>(190 * (hashed(k, 2, 5) + 0.5));
        for (Plane& band : first.raster.bands) band.at(x, y) += k % 16 == 0 ? 3000.0F : 110.0F;
    }
    const auto resampled = [&](double extra) {
        Scene scene = first;
        std::mt19937 random(11);
        std::normal_distribution<double> normal(0, 1);
        for (std::size_t b = 0; b < scene.raster.bands.size(); ++b)
            for (int y = 0; y < 192; ++y)
                for (int x = 0; x < 192; ++x) {
                    double sum = 0;
                    for (int v = -1; v <= 1; ++v)
                        for (int u = -1; u <= 1; ++u)
                            sum += (2 - std::abs(u)) * (2 - std::abs(v)) *
                                   static_cast<double>(first.raster.bands[b].at(
                                       std::clamp(x + u, 0, 191), std::clamp(y + v, 0, 191)));
                    const bool quarter = x >= 100 && x < 116 && y >= 120 && y < 132;
                    scene.raster.bands[b].at(x, y) =
                        static_cast<float>(sum / 16 + normal(random) + (quarter ? extra : 0.0));
                }
        return scene;
    };
    EXPECT_TRUE(difference(first, resampled(0), 0.01, {}).objects.empty());
    EXPECT_NE(difference(first, resampled(120), 0.01, {}).change_class.at(108, 126), 0);
}

TEST(Difference, WhatEndsOrSaturatesInOneImageIsNoChange) {
    // The second image ends 3 px earlier on two sides; a yard of 20 x 16 m that is just under the
    // top of the first image's range is over that of the second.
    const auto with_yard = [](const Look& look, double top) {
        Scene scene = camp(256, standing(), look);
        for (Plane& band : scene.raster.bands)
            for (int y = 100; y < 132; ++y)
                for (int x = 190; x < 230; ++x) {
                    band.at(x, y) += static_cast<float>(look.gain) * (235 - 0.75F * band.at(x, y));
                    if (band.at(x, y) < static_cast<float>(top)) continue;
                    band.at(x, y) = static_cast<float>(top);
                    scene.masks.at(x, y) |= kSaturated;
                }
        return scene;
    };
    const Scene first = with_yard({}, 1e9);
    Look look;
    look.dx = 0.5;
    look.dy = 0.5;
    look.noise_seed = 7;
    Scene second = with_yard(look, 240);
    for (int y = 0; y < 256; ++y)
        for (int x = 0; x < 256; ++x)
            if (x >= 253 || y >= 253) {
                for (Plane& band : second.raster.bands) band.at(x, y) = 0;
                second.raster.valid.at(x, y) = 0;
                second.masks.at(x, y) = kNoData;
            }
    DifferenceOptions options;
    options.min_surface_m2 = 5;
    const auto expect_none = [&](const Scene& a, const Scene& b) {
        const ChangeMap map = difference(a, b, 0.3, options);
        EXPECT_TRUE(map.objects.empty());
        for (int y = 0; y < 253; ++y)
            for (int x = 0; x < 253; ++x) ASSERT_EQ(map.change_class.at(x, y), 0) << x << ", " << y;
    };
    expect_none(first, second);
    expect_none(second, first);
}

TEST(Difference, ANewBuildingAppearsWhereItStands) {
    const Scene before = camp(256, standing(), {});
    const Scene after =
        camp(256, with_new(), {.dx = 0.4, .gain = 1.1, .noise = 3, .noise_seed = 2});
    const ChangeMap map = difference(before, after, 0.4, {});
    ASSERT_GE(structural_objects(map), 1);
    const Ring truth{{kNew.x, kNew.y},
                     {kNew.x + kNew.width, kNew.y},
                     {kNew.x + kNew.width, kNew.y + kNew.height},
                     {kNew.x, kNew.y + kNew.height}};
    double best = 0;
    for (const auto& object : map.objects)
        if (object.change_class == ChangeClass::appeared)
            best = std::max(best, polygon_iou(object.outline_px, truth, 0.5));
    EXPECT_GT(best, 0.5);
    EXPECT_LE(structural_objects(map), 2);
    for (const auto& object : map.objects) {  // nothing far from it
        EXPECT_NEAR(object.centre_px.x, 178, 40);
        EXPECT_NEAR(object.centre_px.y, 139, 40);
        EXPECT_GE(object.probability, 0.4);
    }
}

TEST(Difference, SwappingTheImagesMirrorsTheAnswer) {
    const Scene before = camp(256, standing(), {});
    const Scene after = camp(256, with_new(), {.noise = 3, .noise_seed = 2});
    const ChangeMap forward = difference(before, after, 0.3, {}),
                    backward = difference(after, before, 0.3, {});
    ASSERT_EQ(forward.objects.size(), backward.objects.size());
    ASSERT_FALSE(forward.objects.empty());
    const auto mirrored = [](int c) { return c == 1 ? 2 : c == 2 ? 1 : c; };
    int different = 0;
    for (int y = 0; y < 256; ++y)
        for (int x = 0; x < 256; ++x)
            different += mirrored(forward.change_class.at(x, y)) != backward.change_class.at(x, y);
    EXPECT_LE(different, 10);  // the canonical correlations differ in the last digits
    for (std::size_t i = 0; i < forward.objects.size(); ++i)
        EXPECT_EQ(mirrored(static_cast<int>(forward.objects[i].change_class)),
                  static_cast<int>(backward.objects[i].change_class));
}

TEST(Difference, AnotherSunAloneIsNoNewStructure) {
    const Scene before = camp(256, standing(), {.sun_azimuth = 140, .shadow_px = 7});
    Look noon{};
    noon.noise_seed = 2;
    noon.sun_azimuth = 175;
    noon.shadow_px = 11;
    const ChangeMap map = difference(before, camp(256, standing(), noon), 0.3, {});
    EXPECT_EQ(structural_objects(map), 0);
}

TEST(Difference, SameBytesForAnyThreadsAndTiles) {
    const Scene before = camp(300, standing(), {});
    const Scene after =
        camp(300, with_new(), {.dx = 0.4, .gain = 1.1, .noise = 3, .noise_seed = 2});
    ChangeMap first;
    bool have_first = false;
    for (const int threads : {1, 2, 7})
        for (const int tile : {64, 100, 512}) {
            const tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                                            static_cast<std::size_t>(threads));
            DifferenceOptions options;
            options.tile_px = tile;
            ChangeMap map = difference(before, after, 0.4, options);
            if (!have_first) {
                first = std::move(map);
                have_first = true;
                continue;
            }
            for (int y = 0; y < 300; ++y) {
                ASSERT_EQ(std::memcmp(map.probability.row(y), first.probability.row(y),
                                      300 * sizeof(float)),
                          0)
                    << "row " << y << ", " << threads << " threads, tile " << tile;
                ASSERT_EQ(std::memcmp(map.change_class.row(y), first.change_class.row(y), 300), 0);
            }
            ASSERT_EQ(map.objects.size(), first.objects.size());
            for (std::size_t i = 0; i < map.objects.size(); ++i) {
                EXPECT_EQ(map.objects[i].outline_px, first.objects[i].outline_px);
                EXPECT_EQ(map.objects[i].log_odds, first.objects[i].log_odds);
            }
        }
}

void expect_same(const ChangeMap& a, const ChangeMap& b) {
    ASSERT_EQ(a.change_class.width(), b.change_class.width());
    const auto columns = static_cast<std::size_t>(a.change_class.width());
    for (int y = 0; y < a.change_class.height(); ++y) {
        ASSERT_EQ(std::memcmp(a.probability.row(y), b.probability.row(y), columns * sizeof(float)),
                  0);
        ASSERT_EQ(std::memcmp(a.change_class.row(y), b.change_class.row(y), columns), 0) << y;
    }
    ASSERT_EQ(a.objects.size(), b.objects.size());
    for (std::size_t i = 0; i < a.objects.size(); ++i) {
        EXPECT_EQ(a.objects[i].outline_px, b.objects[i].outline_px);
        EXPECT_EQ(a.objects[i].log_odds, b.objects[i].log_odds);
        EXPECT_EQ(a.objects[i].area_m2, b.objects[i].area_m2);
    }
}

TEST(Difference, SameBytesForTilesInAnyOrder) {
    const Scene before = camp(200, standing(), {});
    const Scene after = camp(200, with_new(), {.dx = 0.4, .noise = 3, .noise_seed = 2});
    DifferenceOptions options;
    options.tile_px = 64;
    const ChangeMap first = difference(before, after, 0.4, options);
    for (const unsigned seed : {1U, 2U}) {
        item_order = seed;
        const ChangeMap map = difference(before, after, 0.4, options);
        item_order = 0;
        expect_same(map, first);
    }
}

TEST(Difference, RowsOnAShelfSayWhatTheWholeSays) {
    const Scene before = camp(256, standing(), {});
    const Scene after = camp(256, with_new(), {.dx = 0.4, .noise = 3, .noise_seed = 2});
    DifferenceOptions options;
    options.min_probability = 0.05;  // many ragged regions
    options.min_object_m2 = 1;
    options.min_surface_m2 = 1;
    const ChangeMap whole = difference(before, after, 0.4, options);
    ASSERT_GE(whole.objects.size(), 2U);
    Shelf shelf = memory_shelf();
    shelf.held_runs = 5;  // so that runs wait there, too
    const auto scores = start_difference(before, after, 256, 256, 0.4, std::move(shelf));
    for (const auto& [y0, y1] : {std::pair{100, 256}, std::pair{0, 7}, std::pair{7, 100}})
        add_difference_rows(*scores, before, after, 0, y0, y1, options);
    ChangeMap map = finish_difference(*scores, options);
    map.change_class = Mask(256, 256);
    map.probability = Plane(256, 256);
    for (int y = 0; y < 256; ++y)
        change_map_row(*scores, y, map.change_class.row(y), map.probability.row(y));
    expect_same(map, whole);
}

TEST(Difference, AShelfInMemoryGivesBackWhatWasPutThereInAnyOrder) {
    constexpr std::uint64_t kPiece = std::uint64_t{16} << 20;  // what it grows by
    const Shelf shelf = memory_shelf();
    const std::vector<std::uint64_t> places{2 * kPiece - 3, 5, kPiece - 1000};
    std::vector<std::uint8_t> bytes(2000), back(2000);
    const auto fill = [&](std::uint64_t place) {
        for (std::size_t k = 0; k < bytes.size(); ++k)
            bytes[k] = static_cast<std::uint8_t>((place % 251 + 7 * k) & 0xFFU);
    };
    for (const std::uint64_t place : places) {
        fill(place);
        shelf.write(place, bytes.data(), bytes.size());
    }
    for (const std::uint64_t place : places) {
        fill(place);
        shelf.read(place, back.data(), back.size());
        EXPECT_EQ(back, bytes) << place;
    }
}

TEST(Difference, OfTooManyObjectsTheSurestAreListedAndTheRestCounted) {
    std::vector<Building> more = standing();
    for (int k = 0; k < 5; ++k) more.push_back({20.0 + 44 * k, 80.0 + (k % 2) * 66, 22, 14});
    const Scene before = camp(256, standing(), {}), after = camp(256, more, {});
    DifferenceOptions options;
    options.max_surface_share = 0;  // structures only
    const ChangeMap all = difference(before, after, 0.3, options);
    ASSERT_GE(all.objects.size(), 3U);
    EXPECT_EQ(all.note.find("are listed"), std::string::npos);
    options.max_objects = 2;
    const ChangeMap few = difference(before, after, 0.3, options);
    ASSERT_EQ(few.objects.size(), 2U);
    EXPECT_NE(few.note.find("2 of " + std::to_string(all.objects.size()) + " changes are listed"),
              std::string::npos)
        << few.note;
    std::vector<double> odds;
    for (const ChangeObject& object : all.objects) odds.push_back(object.log_odds);
    std::sort(odds.rbegin(), odds.rend());
    for (const ChangeObject& object : few.objects) EXPECT_GE(object.log_odds, odds[1]);
    EXPECT_LE(few.objects[0].centre_px.y, few.objects[1].centre_px.y);
    for (int y = 0; y < 256; ++y)
        for (int x = 0; x < 256; ++x)
            ASSERT_EQ(few.change_class.at(x, y), all.change_class.at(x, y));
}

TEST(Difference, HiddenGroundIsNotObservedAndHidesNoChangeElsewhere) {
    Scene before = camp(256, standing(), {});
    const Scene after = camp(256, with_new(), {.noise_seed = 2});
    for (int y = 0; y < 100; ++y)
        for (int x = 0; x < 256; ++x) {
            before.masks.at(x, y) = kCloud;
            for (auto& band : before.raster.bands) band.at(x, y) = 255;
        }
    const ChangeMap map = difference(before, after, 0.3, {});
    for (int y = 0; y < 100; ++y)
        for (int x = 0; x < 256; ++x) ASSERT_EQ(map.change_class.at(x, y), 255);
    EXPECT_EQ(map.change_class.at(178, 139), 1);
    for (const auto& object : map.objects) EXPECT_GT(object.centre_px.y, 100);
}

TEST(Difference, OneBandWorks) {
    const Scene before = camp(256, standing(), {.bands = 1});
    const Scene after = camp(256, with_new(), {.noise_seed = 2, .bands = 1});
    const ChangeMap map = difference(before, after, 0.3, {});
    EXPECT_EQ(map.change_class.at(178, 139), 1);
    EXPECT_EQ(structural_objects(difference(before, before, 0.3, {})), 0);
}

TEST(Difference, PanAgainstColourComparesLuminanceAndSaysSo) {
    const Scene before = camp(256, standing(), {.bands = 1});
    const Scene after = camp(256, with_new(), {.noise_seed = 2});
    const ChangeMap map = difference(before, after, 0.3, {});
    EXPECT_NE(map.note.find("luminance"), std::string::npos) << map.note;
}

TEST(Difference, EmptyTinyConstantAndExtremeScenesDoNotCrash) {
    Scene scene = camp(80, {}, {});
    Scene nothing = scene;
    for (int y = 0; y < 80; ++y)
        for (int x = 0; x < 80; ++x)
            nothing.masks.at(x, y) = kNoData, nothing.raster.valid.at(x, y) = 0;
    const ChangeMap map = difference(scene, nothing, 0.3, {});
    EXPECT_TRUE(map.objects.empty());
    EXPECT_FALSE(map.note.empty());
    for (int y = 0; y < 80; ++y)
        for (int x = 0; x < 80; ++x) ASSERT_EQ(map.change_class.at(x, y), 255);
    Scene flat = scene;
    for (auto& band : flat.raster.bands) band = Plane(80, 80, 100.0F);
    EXPECT_TRUE(difference(flat, flat, 0.3, {}).objects.empty());
    difference(flat, scene, 0.3, {});
    Scene zero = scene;
    for (auto& band : zero.raster.bands) band = Plane(80, 80, 0.0F);
    EXPECT_TRUE(difference(zero, zero, 0.3, {}).objects.empty());
    Scene huge = scene;
    for (auto& band : huge.raster.bands)
        for (int y = 0; y < 80; ++y)
            for (int x = 0; x < 80; ++x) band.at(x, y) *= 1e30F;
    difference(huge, scene, 0.3, {});
    for (const int size : {1, 3, 17}) difference(camp(size, {}, {}), camp(size, {}, {}), 5, {});
    EXPECT_TRUE(difference(Scene{}, Scene{}, 0, {}).objects.empty());
}

TEST(Threshold, SplitsTwoGaussians) {
    std::mt19937 random(1);
    std::normal_distribution<float> low(0, 1), high(10, 1.5F);
    std::vector<float> values;
    for (int i = 0; i < 20000; ++i) values.push_back(low(random));
    for (int i = 0; i < 4000; ++i) values.push_back(high(random));
    EXPECT_NEAR(otsu_threshold(values), 5, 1);
    EXPECT_NEAR(kittler_threshold(values), 4.7, 1.5);
    EXPECT_NEAR(em_threshold(values), 4.7, 1);
    EXPECT_EQ(otsu_threshold({}), 0);
    const std::vector<float> same(100, 3.0F);
    for (const double t : {otsu_threshold(same), kittler_threshold(same), em_threshold(same)})
        EXPECT_TRUE(std::isfinite(t));
}

}  // namespace
}  // namespace fenceline
