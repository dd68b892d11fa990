#include "stages/perimeter_corners.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "stages/perimeter_measure.h"

namespace fenceline {
namespace {

/// What a trace makes of a polygon: a point per unit, averaged over 9 neighbours, with noise
/// across.
Ring as_traced(const Ring& polygon, double noise, unsigned seed) {
    const Ring even = resample_ring(polygon, 1);
    std::mt19937 random(seed);
    std::normal_distribution<double> normal(0, noise);
    const int count = static_cast<int>(even.size()), half = 4;
    Ring out;
    for (int i = 0; i < count; ++i) {
        Point sum{};
        for (int k = -half; k <= half; ++k)
            sum = sum + even[static_cast<std::size_t>((i + k + count) % count)];
        out.push_back((1.0 / (2 * half + 1)) * sum + Point{normal(random), normal(random)});
    }
    return out;
}

double seen_everywhere(Point, Point) { return 1; }

TEST(WithCorners, SharpensRoundedCornersAndTheirLength) {
    const Ring wall{{0, 0}, {200, 20}, {260, 120}, {180, 150}, {190, 260}, {-20, 240}, {30, 130}};
    for (const unsigned seed : {1U, 2U, 3U}) {
        const Ring traced = as_traced(wall, 0.15, seed);
        const Ring sharp = with_corners(traced, 1, seen_everywhere);
        EXPECT_LE(sharp.size(), wall.size() + 1);  // noise may bend a side once
        for (const Point corner : wall) {
            double nearest = 1e9;
            for (const Point p : sharp) nearest = std::min(nearest, distance(p, corner));
            EXPECT_LT(nearest, 1.0);
        }
        EXPECT_NEAR(ring_length(sharp) / ring_length(wall), 1, 0.003);
        EXPECT_NEAR(signed_area(sharp) / signed_area(wall), 1, 0.003);
    }
}

TEST(WithCorners, PutsATipBackWhereTheWaysToItShowALineAndOnlyThere) {
    // The tip at (260, 60) is cut off between (251, 51) and (251, 69).
    const Ring cut{{0, 0}, {200, 0}, {251, 51}, {251, 69}, {200, 120}, {0, 120}};
    const Ring traced = as_traced(cut, 0, 1);
    const auto nearest_to_tip = [](const Ring& ring) {
        double nearest = 1e9;
        for (const Point p : ring) nearest = std::min(nearest, distance(p, {260, 60}));
        return nearest;
    };
    const auto tip_seen = [](Point a, Point b) { return std::abs(a.x - b.x) < 2 ? 0.0 : 2.0; };
    const auto cut_seen = [](Point a, Point b) { return std::abs(a.x - b.x) < 2 ? 2.0 : 0.0; };
    EXPECT_LT(nearest_to_tip(with_corners(traced, 1, tip_seen)), 1.5);
    const Ring kept = with_corners(traced, 1, cut_seen);
    EXPECT_GT(nearest_to_tip(kept), 10);
    EXPECT_NEAR(std::abs(signed_area(kept)) / std::abs(signed_area(cut)), 1, 0.01);
}

TEST(WithCorners, CutsOffALoopWhereTheRingCrossesItself) {
    const Ring looped{{0, 0},    {100, 0},  {120, 14},  {124, 24}, {112, 26},
                      {116, -6}, {240, -6}, {240, 160}, {0, 160}};
    const Ring clean = with_corners(looped, 1, seen_everywhere);
    for (const Point p : clean) EXPECT_LT(std::min(p.y, 160 - p.y), 16);
    double most = 0;
    for (const Point p : clean)
        if (p.x > 90 && p.x < 130) most = std::max(most, p.y);
    EXPECT_LT(most, 16);
}

TEST(WithCorners, GivesBackWhatHasTooFewSides) {
    const Ring triangle{{0, 0}, {50, 0}, {20, 40}};
    EXPECT_EQ(with_corners(triangle, 1, seen_everywhere), triangle);
    EXPECT_TRUE(with_corners({}, 1, seen_everywhere).empty());
}

TEST(MeasureIntervals, AFoundLineMayBeLongerNotShorter) {
    LineErrors errors;
    const Interval known = measure_intervals(1e5, 2000, errors).length;
    errors.found_m = 1000;
    const Interval found = measure_intervals(1e5, 2000, errors).length;
    EXPECT_DOUBLE_EQ(found.low, known.low);
    EXPECT_GE(found.high, 2000 + 0.06 * 1000);
    EXPECT_GT(length_ratio_interval(1000, 2000, 500, errors).high, 2.06);
}

}  // namespace
}  // namespace fenceline
