#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <numeric>
#include <random>
#include <set>
#include <thread>

#include "core/assignment.h"
#include "core/error.h"
#include "core/geodesic.h"
#include "core/geometry.h"
#include "core/parallel.h"
#include "core/projection.h"
#include "core/simple_ring.h"
#include "core/time.h"
#include "core/warp.h"

namespace fenceline {
namespace {

TEST(Time, ReadsWhatImagesCarry) {
    const auto want = time_from_civil(2017, 8, 29, 4 * 3600 + 50 * 60 + 11);
    for (const char* text : {"2017-08-29T04:50:11Z", "2017-08-29 04:50:11", "2017:08:29 04:50:11",
                             "2017-08-29T06:50:11+02:00", "\"2017-08-29T04:50:11.000000Z\";"})
        EXPECT_EQ(parse_time(text), want) << text;
    for (const char* text : {"", "2017-13-01", "2017-02-30", "yesterday", "2017-08-29T25:00:00Z",
                             "20170829", "2017-08-29x"})
        EXPECT_FALSE(parse_time(text)) << text;
    EXPECT_EQ(format_time(want), "2017-08-29T04:50:11Z");
    EXPECT_EQ(format_time(*parse_time("2010-01-01T00:00:00.25Z")), "2010-01-01T00:00:00.25Z");
}

TEST(Time, FindsDatesInFileNames) {
    EXPECT_EQ(time_in_file_name("S2_L1C_RGB_20170302.tif"), time_from_civil(2017, 3, 2));
    EXPECT_EQ(time_in_file_name("camp-2009-10-04_pan.tif"), time_from_civil(2009, 10, 4));
    EXPECT_EQ(time_in_file_name("20210430T022531_x.tif"),
              time_from_civil(2021, 4, 30, 2 * 3600 + 25 * 60 + 31));
    EXPECT_FALSE(time_in_file_name("103001000420170302.tif")) << "part of a longer number";
    EXPECT_FALSE(time_in_file_name("tile_33548-5137.tif"));
    EXPECT_FALSE(time_in_file_name("x_20171301.tif"));
}

TEST(Time, CivilRoundTripOverFourCenturies) {
    for (std::int64_t day = -80000; day < 80000; day += 13) {
        const Time t{day * 86400LL * 1000000LL};
        const auto c = civil_from_time(t);
        EXPECT_EQ(time_from_civil(c.year, c.month, c.day), t);
    }
}

TEST(Geodesic, AgreesWithTheProjectedAreaNearTheCentralMeridian) {
    // A 1 km square in UTM 52N on the central meridian, where the scale is 0.9996 in both
    // directions.
    const Transform to_lonlat("EPSG:32652", "EPSG:4326");
    const Ring square{{500000, 4630000}, {501000, 4630000}, {501000, 4631000}, {500000, 4631000}};
    const auto m = measure_ring(to_lonlat(square));
    EXPECT_NEAR(m.area_m2, 1e6 / (0.9996 * 0.9996), 5);
    EXPECT_NEAR(m.length_m, 4000 / 0.9996, 0.05);
}

TEST(Geometry, ResamplesClosedLinesEvenly) {
    const Ring square{{0, 0}, {10, 0}, {10, 10}, {0, 10}};
    const Ring fine = resample_ring(square, 0.5);
    EXPECT_EQ(fine.size(), 80U);
    EXPECT_NEAR(signed_area(fine), 100, 1e-9);
    EXPECT_EQ(simplify_ring(fine, 0.01).size(), 4U);
    EXPECT_TRUE(contains(square, {5, 5}));
    EXPECT_FALSE(contains(square, {15, 5}));
    EXPECT_NEAR(distance_to_ring(square, {5, 12}), 2, 1e-12);
}

TEST(Parallel, AnInnerLoopIsWholeOrItsItemEnds) {
    std::atomic<bool> started = false;
    std::atomic<int> done = 0;
    constexpr int kInner = 60;
    const auto pause = [] { std::this_thread::sleep_for(std::chrono::milliseconds(2)); };
    const auto outer = [&] {
        parallel_items(2, [&](int item) {
            if (item == 0) {
                for (int wait = 0; wait < 200 && !started; ++wait) pause();
                throw DataError("disk", "full");
            }
            started = true;
            parallel_items(kInner, [&](int) { pause(), ++done; });
            EXPECT_EQ(done, kInner) << "the item went on with what is not whole";
        });
    };
    EXPECT_THROW(outer(), DataError) << "and the first reason is the one that is said";
}

TEST(Geometry, ALoopOfALineIsCutOffAndTheRestStays) {
    const Ring square{{0, 0}, {10, 0}, {10, 10}, {0, 10}};
    EXPECT_EQ(simple_ring(square, 0.5), square);
    // A bow tie of 1 × 1 at a corner, a spike, a repeated vertex and a pinch: 100 is what is left.
    const Ring tangled{{0, 0},   {10, 0}, {14, 0}, {10, 0}, {10, 9},  {10, 9},
                       {11, 10}, {11, 9}, {9, 11}, {9, 10}, {5, 10},  {4, 12},
                       {5, 13},  {6, 12}, {5, 10}, {0, 10}, {0, 9.5}, {0, 10.0}};
    const Ring clean = simple_ring(tangled, 0.001);
    EXPECT_NEAR(std::abs(signed_area(clean)), 100, 1.1);
    for (std::size_t i = 0; i < clean.size(); ++i)
        for (std::size_t j = i + 1; j < clean.size(); ++j) EXPECT_FALSE(clean[i] == clean[j]);
    EXPECT_EQ(simple_ring(clean, 0.001), clean);
    EXPECT_TRUE(simple_ring({{0, 0}, {5, 5}, {10, 10}}, 0.1).empty());
    EXPECT_TRUE(simple_ring({}, 0.1).empty());
    // Two lobes that meet in one vertex, walked through one after the other: the larger one.
    const Ring lobes{{0, 0}, {4, 0}, {4, 4}, {6, 4}, {6, 6}, {4, 6}, {4, 4}, {0, 4}};
    EXPECT_NEAR(signed_area(simple_ring(lobes, 0.5)), 16, 1e-12);
}

TEST(Warp, InverseLeadsBack) {
    Warp warp;
    warp.affine.a = {3.2, 1.002, -0.004, -7.5, 0.003, 0.997};
    warp.local.spacing_px = 64;
    warp.local.columns = 9;
    warp.local.rows = 7;
    for (int j = 0; j < 7; ++j)
        for (int i = 0; i < 9; ++i) {
            warp.local.dx.push_back(
                static_cast<float>(1.5 * std::sin(0.7 * i) * std::cos(0.5 * j)));
            warp.local.dy.push_back(static_cast<float>(1.1 * std::cos(0.6 * i + 0.4 * j)));
        }
    const Warp back = inverse(warp, 500, 380);
    for (double y = 12; y < 370; y += 13.7)
        for (double x = 12; x < 490; x += 17.3) {
            const Point p = warp(back({x, y}));
            EXPECT_NEAR(p.x, x, 0.02);
            EXPECT_NEAR(p.y, y, 0.02);
        }
    EXPECT_TRUE(inverse({}, 500, 380).is_identity());
}

TEST(Warp, LocalFieldIsExactAtNodesAndLinearBetween) {
    LocalField field{10, 5, 4, std::vector<float>(20), std::vector<float>(20)};
    for (int j = 0; j < 4; ++j)
        for (int i = 0; i < 5; ++i)
            field.dx[static_cast<std::size_t>(j * 5 + i)] = static_cast<float>(i) * 0.5F;
    EXPECT_NEAR(field({20, 10}).x, 1.0, 1e-6);
    EXPECT_NEAR(field({25, 13}).x, 1.25, 1e-6);
    EXPECT_NEAR(field({-5, 0}).x, 0.0, 1e-6);
}

TEST(Projection, UtmRoundTrip) {
    const Point place{129.7253, 41.8344};
    EXPECT_EQ(utm_crs(place), "EPSG:32652");
    const Transform t("EPSG:4326", utm_crs(place));
    const Point back = t.inverse(t(place));
    EXPECT_NEAR(back.x, place.x, 1e-9);
    EXPECT_NEAR(back.y, place.y, 1e-9);
}

TEST(Assignment, CostsNoMoreThanAnyPermutation) {
    std::mt19937 random(5);
    for (int round = 0; round < 200; ++round) {
        const std::size_t rows = random() % 5, columns = rows + random() % 3;
        std::vector<std::vector<double>> cost(rows, std::vector<double>(columns));
        for (auto& row : cost)
            for (double& c : row) c = static_cast<double>(random() % 20) - 10;
        const auto total = [&](const std::vector<std::size_t>& column_of) {
            double sum = 0;
            for (std::size_t r = 0; r < rows; ++r) sum += cost[r][column_of[r]];
            return sum;
        };
        std::vector<std::size_t> order(columns);
        std::iota(order.begin(), order.end(), 0);
        double least = rows == 0 ? 0 : std::numeric_limits<double>::infinity();
        do {
            least = std::min(least, total(order));
        } while (std::next_permutation(order.begin(), order.end()));
        const auto chosen = least_cost_columns(cost);
        ASSERT_EQ(chosen.size(), rows);
        EXPECT_EQ(std::set<std::size_t>(chosen.begin(), chosen.end()).size(), rows);
        EXPECT_EQ(total(chosen), least) << rows << " x " << columns << ", round " << round;
    }
}

}  // namespace
}  // namespace fenceline
