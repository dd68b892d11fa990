#include "stages/observe.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>

#include "core/error.h"
#include "core/geodesic.h"
#include "core/projection.h"
#include "core/sun.h"

namespace fenceline {
namespace {

Grid metric_grid(double gsd, int width, int height) {
    Grid grid;
    grid.crs_wkt = wkt_of("EPSG:32652");
    grid.geotransform = {500000, gsd, 0, 4630000, 0, -gsd};
    grid.width = width;
    grid.height = height;
    return grid;
}
Ring lonlat(const Grid& grid, double x0, double y0, double x1, double y1) {
    return GridProjection(grid).lonlat_from_px(Ring{{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}});
}
SceneInfo dated(const char* time) {
    SceneInfo info;
    info.id = "s";
    info.datetime = parse_time(time);
    info.datetime_from = "metadata";
    return info;
}

// ---------------------------------------------------------------------------------------------
// grid

TEST(CommonGrid, CoversTheAreaPlusMarginInSquareMetres) {
    const Grid frame = metric_grid(1, 2000, 1500);
    const Ring area = lonlat(frame, 500.4, 400.4, 1500.6, 1000.6);
    SceneInfo a = dated("2017-01-01"), b = dated("2018-01-01"), elsewhere = dated("2019-01-01");
    a.gsd_m = 0.6012;
    b.gsd_m = 0.8;
    a.footprint_lonlat = b.footprint_lonlat = lonlat(frame, -5000, -5000, 9000, 9000);
    elsewhere.gsd_m = 0.1;  // finest, but of another place
    elsewhere.footprint_lonlat = lonlat(frame, 20000, 20000, 30000, 30000);
    const Grid grid = common_grid(area, std::vector{a, b, elsewhere}, {});
    EXPECT_NEAR(grid.gsd(), 0.601, 1e-9);
    EXPECT_EQ(short_crs_name(grid.crs_wkt), "EPSG:32652");
    EXPECT_NEAR(grid.width * grid.gsd(), 1600, 3);
    EXPECT_NEAR(grid.height * grid.gsd(), 1200, 3);
    EXPECT_NEAR(std::remainder(grid.geotransform[0], grid.gsd()), 0, 1e-6)
        << "snapped to whole pixels";
    // Where images end earlier the grid does.
    a.footprint_lonlat = lonlat(frame, 600, 0, 3000, 3000);
    const Grid clipped = common_grid(area, std::vector{a}, {});
    EXPECT_NEAR(clipped.width * clipped.gsd(), 1800.6 - 600, 3);
    // Across the antimeridian the area stays small.
    Grid far = metric_grid(1, 900, 700);
    far.crs_wkt = wkt_of("EPSG:32601");
    const Point edge = Transform("EPSG:4326", "EPSG:32601")({-180, 65});
    far.geotransform[0] = edge.x - 450, far.geotransform[3] = edge.y + 350;
    const Ring both_sides = lonlat(far, 100, 100, 800, 600);
    ASSERT_GT(std::abs(both_sides[0].x - both_sides[1].x), 359);
    SceneInfo there = dated("2017-01-01");
    there.gsd_m = 1;
    there.footprint_lonlat = lonlat(far, 0, 0, 900, 700);
    const Grid across = common_grid(both_sides, std::vector{there}, {});
    EXPECT_LT(across.width, 1000);
    EXPECT_LT(across.height, 800);
    // Nothing shows the area; no area; a grid beyond reason.
    EXPECT_THROW(common_grid(area, std::vector{elsewhere}, {}), DataError);
    EXPECT_THROW(common_grid({}, std::vector{a}, {}), DataError);
    ObserveOptions fine;
    fine.gsd_m = 0.001;
    EXPECT_THROW(common_grid(area, std::vector{a}, fine), DataError);
    a.left_out = "broken";
    EXPECT_THROW(common_grid(area, std::vector{a}, {}), DataError);
}

// --------------------------------------------------------------------------------------------
// scenes

/// A textured scene of brown-grey ground with 0.5-style detail; paint changes the value of a place
/// (b, g, r order of roles is red, green, blue).
Raster ground(const Grid& grid, const std::function<void(int, int, float*)>& paint = {}) {
    Raster raster;
    raster.grid = grid;
    raster.roles = {BandRole::red, BandRole::green, BandRole::blue};
    for (int b = 0; b < 3; ++b) raster.bands.emplace_back(grid.width, grid.height);
    raster.valid = Mask(grid.width, grid.height, 1);
    std::mt19937 random(4);
    std::normal_distribution<float> noise(0, 4);
    for (int y = 0; y < grid.height; ++y)
        for (int x = 0; x < grid.width; ++x) {
            const float field = ((x / 60 + y / 45) % 3 == 0 ? 12.0F : 0.0F) + noise(random);
            float value[3] = {95 + field, 86 + field, 72 + field};
            if (paint) paint(x, y, value);
            for (std::size_t b = 0; b < 3; ++b)
                raster.bands[b].at(x, y) = std::clamp(value[b], 1.0F, 255.0F);
        }
    return raster;
}
Mask saturated_of(const Raster& raster) {
    Mask masks(raster.grid.width, raster.grid.height);
    for (int y = 0; y < raster.grid.height; ++y)
        for (int x = 0; x < raster.grid.width; ++x)
            for (const Plane& band : raster.bands)
                if (band.at(x, y) >= 255) masks.at(x, y) = kSaturated;
    return masks;
}
struct Shares {
    double cloud = 0, shadow = 0, snow = 0;
};
Shares shares(const Scene& scene, const std::function<bool(int, int)>& where) {
    Shares s;
    double count = 0;
    for (int y = 0; y < scene.raster.grid.height; ++y)
        for (int x = 0; x < scene.raster.grid.width; ++x) {
            if (!where(x, y)) continue;
            ++count;
            const auto bits = scene.masks.at(x, y);
            s.cloud += (bits & kCloud) != 0;
            s.shadow += (bits & kCloudShadow) != 0;
            s.snow += (bits & kSnow) != 0;
        }
    return {s.cloud / count, s.shadow / count, s.snow / count};
}

TEST(Observe, UsableFractionCountsTheAreaOnly) {
    const Grid grid = metric_grid(2, 400, 300);
    const Ring area = lonlat(grid, 100, 100, 300, 200);
    for (const auto& [hidden_rows, want] :
         {std::pair{0, 1.0}, std::pair{50, 0.5}, std::pair{85, 0.15}}) {
        Raster raster = ground(grid);
        for (int y = 0; y < 100 + hidden_rows; ++y)
            for (int x = 0; x < 400; ++x) raster.valid.at(x, y) = 0;
        const Scene scene =
            observe(dated("2017-08-29T02:30:00Z"), std::move(raster), {}, false, area, {});
        EXPECT_NEAR(scene.usable_fraction, want, 0.01);
        EXPECT_EQ(scene.may_start_change, want > 0.7);
        EXPECT_EQ(scene.info.left_out.empty(), want > 0.3) << scene.info.left_out;
        EXPECT_TRUE(scene.seen(200, 250));
        EXPECT_FALSE(scene.seen(200, 50));
    }
    // An area that reaches beyond the grid is not seen there.
    const Scene half = observe(dated("2017-08-29T02:30:00Z"), ground(grid), {}, false,
                               lonlat(grid, -200, 100, 200, 200), {});
    EXPECT_NEAR(half.usable_fraction, 0.5, 0.01);
    const Scene nothing = observe(dated("2017-08-29T02:30:00Z"), ground(grid), {}, false,
                                  lonlat(grid, 900, 900, 990, 990), {});
    EXPECT_EQ(nothing.usable_fraction, 0);
    EXPECT_NE(nothing.info.left_out, "");
}

TEST(Observe, SunIsComputedWhereMetadataHasNone) {
    const Grid grid = metric_grid(2, 40, 40);
    const Ring area = lonlat(grid, 0, 0, 40, 40);
    const Point place = GridProjection(grid).lonlat_from_px(Point{20, 20});
    const Scene computed =
        observe(dated("2017-08-29T02:30:00Z"), ground(grid), {}, false, area, {});
    const SunPosition want = sun_position(*parse_time("2017-08-29T02:30:00Z"), place);
    EXPECT_TRUE(computed.info.sun_computed);
    EXPECT_NEAR(*computed.info.sun_azimuth_deg, want.azimuth_deg, 1e-9);
    EXPECT_NEAR(*computed.info.sun_elevation_deg, want.elevation_deg, 1e-9);
    SceneInfo stated = dated("2017-08-29T02:30:00Z");
    stated.sun_azimuth_deg = 123;
    stated.sun_elevation_deg = 45;
    const Scene kept = observe(stated, ground(grid), {}, false, area, {});
    EXPECT_EQ(*kept.info.sun_azimuth_deg, 123);
    EXPECT_FALSE(kept.info.sun_computed);
    // A date alone: half past ten, not midnight.
    const Scene day = observe(dated("2017-08-29"), ground(grid), {}, false, area, {});
    EXPECT_GT(*day.info.sun_elevation_deg, 40);
    EXPECT_GT(*day.info.sun_azimuth_deg, 120);
    EXPECT_LT(*day.info.sun_azimuth_deg, 170);
    EXPECT_FALSE(day.info.notes.empty());
}

/// Opacity of a soft-edged cloud: 1 inside the radius, falling to 0 over 60 m.
float opacity(double x, double y, double cx, double cy, double radius) {
    const double d = std::hypot(x - cx, y - cy);
    return static_cast<float>(std::clamp(1 - (d - radius) / 60, 0.0, 1.0));
}

TEST(Observe, CloudAndItsShadowAreHidden) {
    // 1 m pixels; sun in the south-east, 45° high: a cloud at 400 m throws its shadow 283 m north
    // and west.
    const Grid grid = metric_grid(1, 1000, 900);
    const Ring area = lonlat(grid, 0, 0, 1000, 900);
    for (const char* time : {"2017-08-29T02:30:00Z", "2017-01-15T02:30:00Z"}) {
        SceneInfo info = dated(time);
        info.sun_azimuth_deg = 135;
        info.sun_elevation_deg = 45;
        Raster raster = ground(grid, [](int x, int y, float* v) {
            const float shade = 1 - 0.55F * opacity(x, y, 600 - 283, 600 - 283, 120);
            const float white = opacity(x, y, 600, 600, 120);
            for (int b = 0; b < 3; ++b) v[b] = v[b] * shade * (1 - white) + 300 * white;
        });
        Mask masks = saturated_of(raster);
        const Scene scene = observe(info, std::move(raster), std::move(masks), false, area, {});
        const auto in_cloud =
            shares(scene, [](int x, int y) { return std::hypot(x - 600, y - 600) < 120; });
        const auto in_shadow =
            shares(scene, [](int x, int y) { return std::hypot(x - 317, y - 317) < 110; });
        const auto clear = shares(scene, [](int x, int y) {
            return std::hypot(x - 600, y - 600) > 240 && std::hypot(x - 317, y - 317) > 240;
        });
        EXPECT_GT(in_cloud.cloud, 0.98) << time;
        EXPECT_GT(in_shadow.shadow, 0.9) << time;
        EXPECT_LT(clear.cloud + clear.shadow, 0.002) << time;
    }
}

TEST(Observe, RoofsSandAndSnowAreNotClouds) {
    const Grid grid = metric_grid(0.5, 1600, 1200);
    const Ring area = lonlat(grid, 0, 0, 1600, 1200);
    // White roofs of 20 × 70 m and one of 60 × 120 m, with shadows.
    Raster roofs = ground(grid, [](int x, int y, float* v) {
        const bool small = x % 300 < 140 && y % 200 < 40,
                   large = x >= 900 && x < 1140 && y >= 600 && y < 720;
        if (small || large)
            for (int b = 0; b < 3; ++b) v[b] = 235 + 0.3F * (v[b] - 90);
    });
    Mask masks = saturated_of(roofs);
    const auto all = [](int, int) { return true; };
    EXPECT_EQ(shares(observe(dated("2017-06-10T05:00:00Z"), std::move(roofs), std::move(masks),
                             false, area, {}),
                     all)
                  .cloud,
              0);
    // Bright bare soil beside dark ground: yellowish, wide, smooth.
    Raster sand = ground(grid, [](int x, int, float* v) {
        if (x < 800)
            v[0] = 232 + 0.2F * (v[0] - 90), v[1] = 208 + 0.2F * (v[1] - 90),
            v[2] = 160 + 0.2F * (v[2] - 90);
    });
    masks = saturated_of(sand);
    EXPECT_EQ(shares(observe(dated("2017-06-10T05:00:00Z"), std::move(sand), std::move(masks),
                             false, area, {}),
                     all)
                  .cloud,
              0);
    // Snow with roads, houses and furrows, over two thirds of the scene.
    Raster snow = ground(grid, [](int x, int y, float* v) {
        const bool road = x % 240 < 10 || y % 300 < 8, house = x % 160 > 120 && y % 130 > 100;
        if (x > 500 && !road && !house)
            for (int b = 0; b < 3; ++b)
                v[b] = 215 + (y % 12 < 4 ? -8.0F : 0.0F) + 0.5F * (v[b] - 90);
    });
    masks = saturated_of(snow);
    const auto on_snow = shares(
        observe(dated("2018-01-20T05:00:00Z"), std::move(snow), std::move(masks), false, area, {}),
        [](int x, int y) {
            return x > 520 && x % 240 >= 20 && y % 300 >= 16 && !(x % 160 > 112 && y % 130 > 92);
        });
    EXPECT_EQ(on_snow.cloud, 0);
    EXPECT_GT(on_snow.snow, 0.9);
}

TEST(Observe, GivenMasksWin) {
    const Grid grid = metric_grid(1, 800, 700);
    const Ring area = lonlat(grid, 0, 0, 800, 700);
    Raster raster = ground(grid, [](int x, int y, float* v) {
        const float white = opacity(x, y, 400, 350, 120);
        for (int b = 0; b < 3; ++b) v[b] = v[b] * (1 - white) + 300 * white;
    });
    Mask given(800, 700);
    given.at(5, 5) = kCloud;
    const Scene scene =
        observe(dated("2017-08-29T02:30:00Z"), std::move(raster), std::move(given), true, area, {});
    EXPECT_EQ(scene.masks.at(400, 350), 0);
    EXPECT_EQ(scene.masks.at(5, 5), kCloud);
}

TEST(Observe, AnImageOfOneValueShowsNothing) {
    const Grid grid = metric_grid(2, 60, 50);
    for (const float value : {0.0F, 100.0F, 255.0F}) {
        Raster raster = ground(grid);
        for (Plane& band : raster.bands)
            for (int y = 0; y < 50; ++y)
                for (int x = 0; x < 60; ++x) band.at(x, y) = value;
        raster.valid.at(3, 3) = 0;
        try {
            observe(dated("2017-08-29T02:30:00Z"), std::move(raster), {}, false,
                    lonlat(grid, 0, 0, 60, 50), {});
            ADD_FAILURE() << value;
        } catch (const DataError& error) {
            EXPECT_NE(error.reason.find(fmt::format("same value ({:g}", value)), std::string::npos)
                << error.reason;
        }
    }
}

TEST(Observe, AnImageOfTheNightSaysSo) {
    const Grid grid = metric_grid(2, 60, 50);
    const Scene scene = observe(dated("2017-08-29T15:30:00Z"), ground(grid), {}, false,
                                lonlat(grid, 0, 0, 60, 50), {});
    ASSERT_FALSE(scene.info.notes.empty());
    EXPECT_NE(scene.info.notes.back().find("2017-08-29T15:30:00Z, it is night"), std::string::npos)
        << scene.info.notes.back();
    EXPECT_GT(scene.info.sun_elevation_deg.value_or(0), 20);
}

TEST(Observe, OddScenesDoNotCrash) {
    for (const auto& [width, height] :
         {std::pair{1, 1}, std::pair{3, 2}, std::pair{70, 5}, std::pair{90, 90}})
        for (const int bands : {1, 3, 4})
            for (const float value : {0.0F, 42.0F, -3.0F, 65535.0F}) {
                Raster raster;
                raster.grid = metric_grid(3, width, height);
                raster.roles = bands == 1 ? std::vector{BandRole::pan}
                               : bands == 3
                                   ? std::vector{BandRole::red, BandRole::green, BandRole::blue}
                                   : std::vector{BandRole::blue, BandRole::green, BandRole::red,
                                                 BandRole::nir};
                for (int b = 0; b < bands; ++b) raster.bands.emplace_back(width, height, value);
                raster.bands[0].at(width - 1, 0) += 1;  // one value alone is refused
                raster.valid = Mask(width, height, value == 0 ? 0 : 1);
                const Scene scene =
                    observe(dated("2017-01-29"), std::move(raster), {}, false,
                            lonlat(metric_grid(3, width, height), 0, 0, width, height), {});
                EXPECT_GE(scene.usable_fraction, 0);
                EXPECT_LE(scene.usable_fraction, 1);
                EXPECT_EQ(scene.masks.width(), width);
            }
}

}  // namespace
}  // namespace fenceline
