#include "stages/perimeter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <random>

#include "core/projection.h"
#include "each_target.h"
#include "kernels/line_path.h"
#include "kernels/line_support.h"
#include "stages/perimeter_detour.h"
#include "stages/perimeter_measure.h"
#include "stages/perimeter_old_line.h"
#include "stages/perimeter_region.h"
#include "stages/perimeter_ribbon.h"

namespace fenceline {
namespace {

TEST(LinePathKernels, StepAgreesWithReferenceOnEveryWidthOffsetAndTarget) {
    std::mt19937 random(3);
    std::vector<float> previous(90), cost(90);
    // Few distinct values: ties must go the same way, too.
    for (auto& v : previous) v = static_cast<float>(random() % 6);
    for (auto& v : cost) v = static_cast<float>(random() % 100) * 0.1F;
    kernels::for_each_target([&] {
        for (std::size_t offset = 0; offset < 8; ++offset)
            for (std::size_t n = 1; n <= 70; ++n) {
                std::vector<float> want(n), got(n);
                std::vector<std::int8_t> want_choice(n), got_choice(n);
                kernels::reference::path_step(previous.data() + offset, cost.data() + offset, n,
                                              1.0F, want.data(), want_choice.data());
                kernels::path_step(previous.data() + offset, cost.data() + offset, n, 1.0F,
                                   got.data(), got_choice.data());
                ASSERT_EQ(want, got) << "n " << n << " offset " << offset;
                ASSERT_EQ(want_choice, got_choice) << "n " << n << " offset " << offset;
            }
    });
}

/// Rows of an image of noise, part of it hidden, as line_features reads them.
struct NoiseRows {
    std::vector<float> image = std::vector<float>(3 * 100), sums = std::vector<float>(24 * 100),
                       sun = std::vector<float>(100);
    NoiseRows() {
        std::mt19937 random(4);
        std::uniform_real_distribution<float> value(-2, 2);
        for (auto& v : image) v = value(random);
        for (auto& v : sums) v = 5 * value(random);
        for (auto& v : sun) v = 0.5F * value(random);
        for (std::size_t i = 0; i < 100; ++i) sums[2200 + i] = i % 11 == 3 ? 7.0F : 19.0F;
        for (std::size_t i = 0; i < 100; ++i) sums[2300 + i] = 0;
    }
    kernels::LineRows at(std::size_t offset) const {
        kernels::LineRows rows;
        rows.above = image.data() + offset + 1;
        rows.here = image.data() + 100 + offset + 1;
        rows.below = image.data() + 200 + offset + 1;
        for (std::size_t k = 0; k < kernels::kLineMeans; ++k) {
            rows.upto[k] = sums.data() + 200 * k + offset;
            rows.before[k] = sums.data() + 200 * k + 100 + offset;
            rows.per_row[k] = 1.0F / static_cast<float>(k + 2);
        }
        rows.seen_upto = sums.data() + 2200 + offset;
        rows.seen_before = sums.data() + 2300 + offset;
        rows.seen_rows = 18.5F;
        rows.sun = sun.data() + offset;
        rows.across_scale = 1.0F;
        rows.along_scale = 0.5F;
        return rows;
    }
};

TEST(LineSupportKernels, FeaturesAgreeWithReferenceOnEveryWidthOffsetAndTarget) {
    const NoiseRows noise;
    kernels::for_each_target([&] {
        for (std::size_t offset = 0; offset < 8; ++offset)
            for (std::size_t n = 1; n <= 70; ++n)
                for (const std::size_t features :
                     {std::size_t{kernels::kLineBand}, std::size_t{kernels::kLineFeatures}}) {
                    std::vector<float> want(features * n, -7.0F), got(features * n, -7.0F);
                    std::vector<float*> to_want, to_got;
                    for (std::size_t f = 0; f < features; ++f) {
                        to_want.push_back(want.data() + f * n);
                        to_got.push_back(got.data() + f * n);
                    }
                    kernels::reference::line_features(noise.at(offset), features, n,
                                                      to_want.data());
                    kernels::line_features(noise.at(offset), features, n, to_got.data());
                    for (std::size_t i = 0; i < want.size(); ++i)
                        ASSERT_NEAR(want[i], got[i], 1e-4F * (1 + std::abs(want[i])))
                            << "n " << n << " offset " << offset << " value " << i;
                }
    });
}

TEST(LineSupportKernels, SupportAgreesWithReferenceOnEveryWidthOffsetAndTarget) {
    std::mt19937 random(4);
    std::uniform_real_distribution<float> value(0.01F, 5);
    constexpr std::size_t kCount = 5, kLength = 100;
    std::vector<float> data(kernels::kLineFeatures * kCount * kLength);
    for (auto& v : data) v = value(random);
    for (std::size_t i = 0; i < kCount * kLength; ++i) {
        data[kernels::kLineSeen * kCount * kLength + i] = i % 3 == 0 ? 0.0F : 1.0F;
        for (const auto f : {kernels::kLineAcross, kernels::kLineShade, kernels::kLineStrip})
            data[f * kCount * kLength + i] -= 2.5F;  // of either sign
    }
    kernels::LineWeights weights{0.1F, 0.2F, 0.3F, 0.6F, 0.6F, 0.4F, 2.4F, 1.7F, 2.0F, 2.7F, 0.9F};
    kernels::for_each_target([&] {
        for (std::size_t offset = 0; offset < 8; ++offset)
            for (std::size_t n = 1; n <= 70; ++n) {
                std::vector<const float*> rows;
                for (std::size_t k = 0; k < kernels::kLineFeatures * kCount; ++k)
                    rows.push_back(data.data() + k * kLength + offset);
                std::vector<float> want(n, 0.5F), got(n, 0.5F), fit(n, -1e30F), got_fit(n, -1e30F),
                    alone(n, 0.5F);
                kernels::reference::raise_line_support(rows.data(), kCount, n, weights, want.data(),
                                                       fit.data());
                kernels::raise_line_support(rows.data(), kCount, n, weights, got.data(),
                                            got_fit.data());
                kernels::raise_line_support(rows.data(), kCount, n, weights, alone.data(), nullptr);
                ASSERT_EQ(got, alone);
                for (std::size_t i = 0; i < n; ++i) {
                    ASSERT_NEAR(want[i], got[i], 1e-4F * (1 + std::abs(want[i])));
                    ASSERT_NEAR(fit[i], got_fit[i], 1e-4F * (1 + std::abs(fit[i])))
                        << "n " << n << " offset " << offset;
                }
            }
    });
}

TEST(CheapestRows, ClosedPathFollowsAValleyAcrossTheSeam) {
    Plane cost(120, 41, 1.0F);
    const auto valley = [](int x) {
        return 20 +
               static_cast<int>(std::lround(8 * std::sin(2 * std::numbers::pi * (x + 30) / 120.0)));
    };
    for (int x = 0; x < 120; ++x) cost.at(x, valley(x)) = 0;
    const auto rows = cheapest_rows(cost, true, 0.01F);
    for (int x = 0; x < 120; ++x) EXPECT_NEAR(rows[static_cast<std::size_t>(x)], valley(x), 1) << x;
}

TEST(LineSupport, TheWallFitsBetterThanThePatrolPathBesideIt) {
    // A path of even brightness is as consistent as a wall; the wall's shadow is the stronger.
    LineFrame frame;
    frame.padding = averaging_half_length(1, 1);
    const int columns = 60 + 2 * frame.padding, rows = 161, wall = 80, path = 96;
    frame.image = Plane(columns, rows);
    frame.seen = Mask(columns, rows, 1);
    frame.sun.assign(static_cast<std::size_t>(columns), 1.0F);  // the sun shines on later rows
    std::mt19937 random(5);
    std::normal_distribution<float> noise(0, 0.15F);
    for (int y = 0; y < rows; ++y)
        for (int x = 0; x < columns; ++x) {
            float& v = frame.image.at(x, y) = noise(random);
            if (std::abs(y - wall) <= 10) v += 0.6F;   // cleared strip
            if (y < wall && y >= wall - 5) v -= 2.2F;  // shadow
            if (std::abs(y - path) <= 3) v += 0.9F;
        }
    const double tilts[] = {0.0};
    const LineSupport support = line_support(frame, 1, tilts);
    for (int x = 10; x < 50; ++x) {
        int best = 0;
        for (int y = 0; y < rows; ++y)
            if (support.seen.at(x, y) != 0 &&
                (support.seen.at(x, best) == 0 || support.fit.at(x, y) > support.fit.at(x, best)))
                best = y;
        EXPECT_NEAR(best, wall, 3) << "column " << x;
    }
}

TEST(WithoutSpurs, CutsOffASpikeAndKeepsTheCorners) {
    // A square whose right side runs out along a road and comes back 2 px beside itself.
    const Ring square{{100, 100}, {300, 100}, {300, 300}, {100, 300}},
        spiky{{100, 100}, {300, 100}, {300, 199}, {380, 199},
              {380, 201}, {300, 201}, {300, 300}, {100, 300}};
    const Ring clean = without_spurs(spiky, 6, 200);
    double farthest = 0;
    for (const Point p : clean) farthest = std::max(farthest, p.x);
    EXPECT_LT(farthest, 307);
    EXPECT_GT(polygon_iou(clean, square, 1), 0.97);
    for (const Point corner : square) {
        double nearest = 1e9;
        for (const Point p : clean) nearest = std::min(nearest, distance(p, corner));
        EXPECT_LT(nearest, 6);
    }
    // Ground that hangs on a neck is no spur, and of a spike no more is cut off than was asked for.
    const Ring yard{{100, 100}, {300, 100}, {300, 199}, {340, 199}, {340, 160}, {420, 160},
                    {420, 240}, {340, 240}, {340, 201}, {300, 201}, {300, 300}, {100, 300}};
    EXPECT_GT(polygon_iou(without_spurs(yard, 6, 600), yard, 1), 0.97);
    farthest = 0;
    for (const Point p : without_spurs(spiky, 6, 60)) farthest = std::max(farthest, p.x);
    EXPECT_GT(farthest, 345);
}

/// Distance of the farthest point of a path from a line.
double farthest_from(const Polyline& path, const Polyline& line) {
    const Polyline dense = resample_line(line, 0.5);
    double farthest = 0;
    for (const Point p : path) {
        double nearest = 1e9;
        for (const Point q : dense) nearest = std::min(nearest, distance(p, q));
        farthest = std::max(farthest, nearest);
    }
    return farthest;
}

TEST(Reroute, WalksLostStretchesAlongTheLineThatIsThere) {
    // A new line leaves the ring, runs out, and comes back; nothing else is new.
    const Polyline wall{{80, 60}, {140, 60}, {140, 90}, {80, 90}};
    GainField field;
    for (int k = 0; k < kLineDirections; ++k) field.gain.emplace_back(220, 150);
    for (const Point p : resample_line(wall, 0.5))
        for (Plane& gain : field.gain) gain.at(static_cast<int>(p.x), static_cast<int>(p.y)) = 1;
    const Centreline ring =
        centreline_of_ring(Ring{{20, 40}, {80, 40}, {80, 110}, {20, 110}}, 1, 1);
    const auto nearest_on_ring = [&](Point place) {
        int best = 0;
        for (int i = 0; i < static_cast<int>(ring.points_px.size()); ++i)
            if (distance(ring.points_px[static_cast<std::size_t>(i)], place) <
                distance(ring.points_px[static_cast<std::size_t>(best)], place))
                best = i;
        return best;
    };
    Detour lost;  // leaves the ring too early, and bulges out where the line turns
    lost.leaves = nearest_on_ring({80, 45});
    lost.returns = nearest_on_ring({80, 90});
    lost.path_px =
        resample_line(Polyline{{80, 45}, {100, 60}, {140, 60}, {175, 75}, {140, 90}, {80, 90}}, 1);
    ASSERT_GT(farthest_from(lost.path_px, wall), 25);
    const auto index_of = [&](Point place) {
        std::size_t best = 0;
        for (std::size_t i = 1; i < lost.path_px.size(); ++i)
            if (distance(lost.path_px[i], place) < distance(lost.path_px[best], place)) best = i;
        return best;
    };
    const Stretch stretches[] = {{0, index_of({110, 60})},
                                 {index_of({138, 60}), index_of({138, 90})}};
    const Detour found = reroute(field, ring, lost, stretches, 1, 1, 300);
    EXPECT_LT(farthest_from(found.path_px, wall), 4);
    EXPECT_LT(farthest_from(wall, found.path_px), 4);
    EXPECT_LT(distance(ring.points_px[static_cast<std::size_t>(found.leaves)], {80, 60}), 4);
    EXPECT_EQ(found.returns, lost.returns);
    EXPECT_EQ(found.outside, lost.outside);

    // A stretch that is the whole path leaves nothing to hold on to.
    const Stretch all[] = {{0, lost.path_px.size()}};
    EXPECT_EQ(reroute(field, ring, lost, all, 1, 1, 300).path_px.size(), lost.path_px.size());
}

/// Ground of random texture, seen six times; from the fourth look on another texture lies within
/// `region`.
std::vector<LineEvidence> looks_at_ground(int width, int height, const Ring& region) {
    std::mt19937 random(11);
    std::normal_distribution<float> normal(0, 1);
    const auto texture = [&] {
        Plane rough(width / 4 + 2, height / 4 + 2), out(width, height);
        for (int y = 0; y < rough.height(); ++y)
            for (int x = 0; x < rough.width(); ++x) rough.at(x, y) = normal(random);
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x) out.at(x, y) = rough.at(x / 4, y / 4);
        return out;
    };
    const Plane old_ground = texture(), new_ground = texture();
    std::vector<LineEvidence> looks(6);
    for (std::size_t k = 0; k < looks.size(); ++k) {
        LineEvidence& e = looks[k];
        e.usable = true;
        e.hidden = Mask(width, height);
        e.luminance = PlaneOf<std::uint8_t>(width, height, 128);
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x) {
                const bool renewed = k >= 3 && contains(region, {x + 0.5, y + 0.5});
                const float v =
                    (renewed ? new_ground : old_ground).at(x, y) + 0.3F * normal(random);
                e.luminance.at(x, y) =
                    static_cast<std::uint8_t>(std::clamp(std::lround(128 + 32 * v), 0L, 255L));
            }
    }
    return looks;
}

TEST(Straightened, TheGroundPullsABadBorderToTheNewOne) {
    const double gsd_m = 3.5, resolution_m = 10;
    const Ring camp{{60, 100}, {140, 100}, {140, 180}, {60, 180}},
        grown{{140, 100}, {260, 100}, {260, 180}, {140, 180}};
    const auto looks = looks_at_ground(340, 280, grown);
    const int before[] = {0, 1, 2}, after[] = {3, 4, 5};
    const ChangedGround ground = changed_ground(looks, before, after, gsd_m, resolution_m);
    ASSERT_EQ(ground.change.width(), 340);
    EXPECT_GT(ground.change.at(200, 140), 0.7F);
    EXPECT_LT(ground.change.at(40, 40), 0.3F);

    GainField field;  // no line to be seen anywhere
    for (int k = 0; k < kLineDirections; ++k) field.gain.emplace_back(340, 280);
    const Centreline ring = centreline_of_ring(camp, gsd_m, 4);
    const auto nearest = [&](Point place) {
        int best = 0;
        for (int i = 0; i < static_cast<int>(ring.points_px.size()); ++i)
            if (distance(ring.points_px[static_cast<std::size_t>(i)], place) <
                distance(ring.points_px[static_cast<std::size_t>(best)], place))
                best = i;
        return best;
    };
    Detour first;  // a lazy way through the middle of what is new
    first.leaves = nearest({140, 120});
    first.returns = nearest({140, 175});
    first.path_px = {{140, 120}, {180, 125}, {215, 135}, {210, 165}, {180, 170}, {140, 175}};
    const double sign = signed_area(ring.points_px);
    ASSERT_GT(sign, 0);
    const StraightDetour found =
        straightened(field, ground, ring, first, gsd_m, resolution_m, 1000);
    EXPECT_GT(found.worth, 0);
    EXPECT_GT(found.area_sigma_m2, 0);
    Ring region(found.detour.path_px.begin(), found.detour.path_px.end());
    const int count = static_cast<int>(ring.points_px.size());
    for (int i = found.detour.returns; i != found.detour.leaves; i = (i + count - 1) % count)
        region.push_back(ring.points_px[static_cast<std::size_t>(i)]);
    EXPECT_GT(polygon_iou(region, grown, 1), 0.85);
}

TEST(Straightened, ASideThatMovesOutGoesOnStraightPastDisturbedGround) {
    // The camp grows to the right; beside the upper wall a strip is disturbed, too. The walls show.
    const double gsd_m = 3.5, resolution_m = 10;
    const Ring camp{{60, 100}, {140, 100}, {140, 180}, {60, 180}},
        grown{{140, 100}, {260, 100}, {260, 180}, {140, 180}},
        disturbed{{140, 100}, {150, 100}, {150, 80}, {260, 80}, {260, 180}, {140, 180}};
    const auto looks = looks_at_ground(340, 280, disturbed);
    const int before[] = {0, 1, 2}, after[] = {3, 4, 5};
    const ChangedGround ground = changed_ground(looks, before, after, gsd_m, resolution_m);
    GainField field;
    for (int k = 0; k < kLineDirections; ++k) field.gain.emplace_back(340, 280);
    for (int i = 0; i < 120; ++i)
        for (const int y : {100, 180}) field.gain[0].at(140 + i, y) = 0.6F;
    for (int y = 100; y < 180; ++y) field.gain[kLineDirections / 2].at(260, y) = 0.6F;
    const Centreline ring = centreline_of_ring(camp, gsd_m, 4);
    const auto nearest = [&](Point place) {
        int best = 0;
        for (int i = 0; i < static_cast<int>(ring.points_px.size()); ++i)
            if (distance(ring.points_px[static_cast<std::size_t>(i)], place) <
                distance(ring.points_px[static_cast<std::size_t>(best)], place))
                best = i;
        return best;
    };
    Detour first;  // what a search comes back with: spikes, and the strip
    first.leaves = nearest({130, 100});
    first.returns = nearest({140, 175});
    first.path_px = {{130, 100}, {150, 78},  {200, 84}, {255, 76},
                     {258, 120}, {230, 170}, {140, 175}};
    const StraightDetour found =
        straightened(field, ground, ring, first, gsd_m, resolution_m, 1000);
    ASSERT_EQ(found.detour.path_px.size(), 4U);
    Ring region(found.detour.path_px.begin(), found.detour.path_px.end());
    EXPECT_GT(polygon_iou(region, grown, 1), 0.93);
    // Known to no better than the windows blur, and to no worse than a quarter of what it is.
    const double area_m2 = std::abs(signed_area(grown)) * gsd_m * gsd_m;
    EXPECT_GT(found.area_sigma_m2, 0.03 * area_m2);
    EXPECT_LT(found.area_sigma_m2, 0.25 * area_m2);
}

TEST(Straightened, LeavesThePathAloneWhereTheGroundDoesNotTell) {
    const auto looks = looks_at_ground(200, 200, {});
    const int before[] = {0, 1, 2}, after[] = {3, 4, 5};
    const ChangedGround ground = changed_ground(looks, before, after, 3.5, 10);
    GainField field;
    for (int k = 0; k < kLineDirections; ++k) field.gain.emplace_back(200, 200);
    const Centreline ring =
        centreline_of_ring(Ring{{60, 60}, {120, 60}, {120, 120}, {60, 120}}, 3.5, 4);
    Detour first;
    first.leaves = 0;
    first.returns = static_cast<int>(ring.points_px.size()) / 4;
    first.path_px = {ring.points_px.front(), {90, 30}, ring.points_px[ring.points_px.size() / 4]};
    const StraightDetour found = straightened(field, ground, ring, first, 3.5, 10, 1000);
    EXPECT_EQ(found.detour.path_px.size(), first.path_px.size());
    EXPECT_EQ(found.worth, 0);
}

/// A closed contour with correlated noise across it and a shift outwards, as the error model says.
TEST(MeasureIntervals, HoldTheTruthInNineteenCasesOfTwenty) {
    LineErrors errors;
    errors.resolution_m = 0.5;
    const double radius = 500, length = 2 * std::numbers::pi * radius,
                 area = std::numbers::pi * radius * radius;
    const int count = 1200;
    std::mt19937 random(5);
    std::normal_distribution<double> normal;
    const double sigma = std::hypot(errors.normal_sigma_m, 0.3 * errors.resolution_m),
                 bias_sigma = std::hypot(errors.bias_sigma_m, 0.1 * errors.resolution_m);
    const double keep = std::exp(-length / count / errors.correlation_m);
    int held = 0, ratio_held = 0;
    for (int trial = 0; trial < 1000; ++trial) {
        const double bias = bias_sigma * normal(random);
        double n = sigma * normal(random), inner = 0, outer = 0, before = 0;
        // A second line that leaves the first along a half of it, for growth: radius 700 there.
        double m = sigma * normal(random);
        for (int i = 0; i < count; ++i) {
            n = keep * n + std::sqrt(1 - keep * keep) * sigma * normal(random);
            m = keep * m + std::sqrt(1 - keep * keep) * sigma * normal(random);
            const double r = radius + bias + n, far = 700 + bias + m;
            const double sector = std::numbers::pi / count;
            inner += r * r * sector;
            before += r * r * sector;
            outer += (2 * i < count ? r * r : far * far) * sector;
        }
        const auto interval = measure_intervals(inner, length, errors).area;
        held += interval.low <= area && area <= interval.high ? 1 : 0;
        const double after_length =
            length / 2 + std::numbers::pi * 700;  // the radial sides do not move here
        const auto ratio =
            area_ratio_interval(before, length, outer, after_length, length / 2, errors);
        const double truth = (radius * radius + 700.0 * 700.0) / (2 * radius * radius);
        ratio_held += ratio.low <= truth && truth <= ratio.high ? 1 : 0;
    }
    EXPECT_GE(held, 930);
    EXPECT_LE(held, 985);
    EXPECT_GE(ratio_held, 930);
    EXPECT_LE(ratio_held, 995);
}

TEST(MeasureIntervals, GrowthHoldsTheTruthWithWrongStretchesWhereTheLinesMeet) {
    // As above, and at either junction the way follows something else: along up to 160 m it runs
    // off by up to 80 m to one side.
    LineErrors errors;
    const double before_m2 = 580000, length_m = 3800, after_m2 = 1000000, after_length_m = 5200,
                 shared_m = 2200, truth = after_m2 / before_m2;
    errors.area_sigma_m2 = junction_sigma_m2(after_m2 - before_m2);
    std::mt19937 random(8);
    std::normal_distribution<double> normal;
    std::uniform_real_distribution<double> uniform(-1, 1);
    const auto noise = [&](double stretch_m) {
        return normal(random) * std::hypot(errors.normal_sigma_m, 0.3 * errors.resolution_m) *
               std::sqrt(2 * errors.correlation_m * stretch_m);
    };
    int held = 0, held_without = 0;
    LineErrors without = errors;
    without.area_sigma_m2 = 0;
    for (int trial = 0; trial < 2000; ++trial) {
        const double bias_m = std::hypot(errors.bias_sigma_m, 0.1 * errors.resolution_m) *
                              normal(random),
                     shared = noise(shared_m);
        double wrong = 0;
        for (int junction = 0; junction < 2; ++junction)
            wrong += std::abs(160 * uniform(random)) * 80 * uniform(random);
        const double before = before_m2 + bias_m * length_m + shared + noise(length_m - shared_m),
                     after = after_m2 + bias_m * after_length_m + shared +
                             noise(after_length_m - shared_m) + wrong;
        const auto holds = [&](const LineErrors& e) {
            const Interval ci =
                area_ratio_interval(before, length_m, after, after_length_m, shared_m, e);
            return ci.low <= truth && truth <= ci.high ? 1 : 0;
        };
        held += holds(errors);
        held_without += holds(without);
    }
    EXPECT_GE(held, 1860);
    EXPECT_LE(held, 1990);
    EXPECT_LT(held_without, 1500);
    // A small annex is not known worse than it is large.
    EXPECT_LT(1.96 * junction_sigma_m2(4000), 0.05 * 4000);
}

TEST(MeasureIntervals, GrowthHoldsTheTruthWhereEitherLineIsOffByItsOwn) {
    LineErrors errors;
    errors.normal_sigma_m = 0.25, errors.bias_sigma_m = 0.12;
    errors.own_bias_m = 0.3, errors.own_bias_before_m = 0.5;
    const double before_m2 = 90000, length_m = 1430, after_m2 = 123000, after_length_m = 1680,
                 shared_m = 900, truth = after_m2 / before_m2;
    LineErrors shared_alone = errors;
    shared_alone.own_bias_m = shared_alone.own_bias_before_m = 0;
    std::mt19937 random(9);
    std::normal_distribution<double> normal;
    int held = 0, held_alone = 0, area_held = 0;
    for (int trial = 0; trial < 2000; ++trial) {
        const double both_m = 0.13 * normal(random);
        const double before = before_m2 + (both_m + 0.5 * normal(random)) * length_m,
                     after = after_m2 + (both_m + 0.3 * normal(random)) * after_length_m;
        const auto holds = [&](const LineErrors& e) {
            const Interval ci =
                area_ratio_interval(before, length_m, after, after_length_m, shared_m, e);
            return ci.low <= truth && truth <= ci.high ? 1 : 0;
        };
        held += holds(errors);
        held_alone += holds(shared_alone);
        const Interval area = measure_intervals(after, after_length_m, errors).area;
        area_held += area.low <= after_m2 && after_m2 <= area.high ? 1 : 0;
    }
    EXPECT_GE(held, 1860);
    EXPECT_LE(held, 1980);
    EXPECT_LT(held_alone, 1500);
    EXPECT_GE(area_held, 1860);
    EXPECT_LE(area_held, 1980);
}

TEST(MeasureIntervals, UnseenStretchesWidenAndHiddenOnesOnlyUpwards) {
    LineErrors errors;
    const auto plain = measure_intervals(1e6, 4000, errors).area;
    errors.bridged_m = {200};
    const auto bridged = measure_intervals(1e6, 4000, errors).area;
    EXPECT_LT(bridged.low, plain.low);
    EXPECT_GT(bridged.high, plain.high);
    errors.hidden_m = {400};
    const auto hidden = measure_intervals(1e6, 4000, errors).area;
    EXPECT_GT(hidden.high - 1e6, 1e6 - hidden.low);
}

/// Ground with texture, a wall (bright line with its shadow to the north-west) along each ring, and
/// noise.
struct World {
    int width = 900, height = 800;
    double gsd = 1.0;
    Grid grid() const {
        Grid g;
        g.crs_wkt = wkt_of("EPSG:32652");
        g.geotransform = {560000, gsd, 0, 4632000, 0, -gsd};
        g.width = width;
        g.height = height;
        return g;
    }
};

/// strips_px: rings along which the ground is cleared and bright, 3 m to either side.
Scene render(const World& world, const std::vector<Ring>& walls_px, unsigned seed, double gain,
             const std::vector<Ring>& strips_px = {}) {
    Scene scene;
    scene.info.id = "scene" + std::to_string(seed);
    scene.info.datetime = time_from_civil(2005 + static_cast<int>(seed), 6, 1);
    scene.info.sun_azimuth_deg = 150;
    scene.info.sun_elevation_deg = 45;
    scene.raster.grid = world.grid();
    scene.raster.roles = {BandRole::pan};
    Plane image(world.width, world.height);
    scene.raster.valid = Mask(world.width, world.height, 1);
    scene.masks = Mask(world.width, world.height, 0);
    // Fields: the same in every scene; their brightness changes from scene to scene.
    std::mt19937 fixed(77), random(seed);
    std::normal_distribution<float> noise(0, 6);
    std::vector<float> field(200), mood(200);
    for (auto& v : field) v = static_cast<float>(fixed() % 50);
    for (auto& v : mood) v = static_cast<float>(random() % 30);
    for (int y = 0; y < world.height; ++y)
        for (int x = 0; x < world.width; ++x) {
            const std::size_t f =
                static_cast<std::size_t>((x + y / 3) / 97 * 13 + (y - x / 5 + 400) / 113) % 200;
            image.at(x, y) = 90 + field[f] + mood[f] + noise(random);
        }
    for (const Ring& ring : strips_px)
        for (const Point p : resample_ring(ring, 0.5))
            for (int y = static_cast<int>(p.y) - 3; y <= static_cast<int>(p.y) + 3; ++y)
                for (int x = static_cast<int>(p.x) - 3; x <= static_cast<int>(p.x) + 3; ++x)
                    if (image.contains(x, y) && distance(p, Point{x + 0.5, y + 0.5}) <= 3)
                        image.at(x, y) = 150 + noise(random);
    // Shadow of a 3 m wall: 3 m to the north-west; the wall itself one pixel.
    const Point away{-std::sin(150 * std::numbers::pi / 180),
                     std::cos(150 * std::numbers::pi / 180)};
    for (const Ring& ring : walls_px) {
        const Ring dense = resample_ring(ring, 0.25);
        for (const Point p : dense)
            for (double d = 0.2; d <= 3.0; d += 0.4) {
                const Point q = p + (d / world.gsd) * Point{away.x, away.y};
                const int x = static_cast<int>(std::floor(q.x)),
                          y = static_cast<int>(std::floor(q.y));
                if (image.contains(x, y)) image.at(x, y) = 55 + noise(random) * 0.2F;
            }
        for (const Point p : dense) {
            const int x = static_cast<int>(std::floor(p.x)), y = static_cast<int>(std::floor(p.y));
            if (image.contains(x, y)) image.at(x, y) = 175;
        }
    }
    for (int y = 0; y < world.height; ++y)
        for (int x = 0; x < world.width; ++x) image.at(x, y) *= static_cast<float>(gain);
    scene.raster.bands.push_back(std::move(image));
    return scene;
}

struct Looks {
    std::vector<SceneInfo> infos;
    std::vector<LineEvidence> evidence;
    std::vector<double> sigma;
};
Looks look_at_lines(const std::vector<Scene>& scenes) {
    Looks run;
    for (const Scene& scene : scenes) {
        run.infos.push_back(scene.info);
        run.evidence.push_back(line_evidence(scene, {}, {}));
        run.sigma.push_back(0.3);
    }
    return run;
}

const Ring kSmall{{300, 250}, {620, 240}, {640, 520}, {310, 540}};
const Ring kGrown{{300, 250}, {620, 240}, {760, 250}, {780, 500}, {640, 520}, {310, 540}};

TEST(TracePerimeters, RefinesAWrongLineAndFindsGrowthWithItsDate) {
    const World world;
    std::vector<Scene> scenes;
    for (unsigned k = 0; k < 6; ++k) {
        std::vector<Ring> walls{k < 3 ? kSmall : kGrown};
        scenes.push_back(render(world, walls, k, 1.0 + 0.1 * k));
    }
    Looks run = look_at_lines(scenes);
    for (const auto& e : run.evidence) EXPECT_NEAR(e.effective_gsd_m, 1, 0.4);
    KnownLine known;
    for (const Point p : kSmall)
        known.ring_px.push_back(p + Point{9, -12});  // the catalogue is off by 15 m
    const auto result =
        trace_perimeters(world.grid(), run.infos, run.evidence, run.sigma, known, {});
    const double small_m2 = std::abs(signed_area(kSmall)), grown_m2 = std::abs(signed_area(kGrown));
    ASSERT_EQ(result.perimeters.size(), 6U);
    for (const auto& p : result.perimeters) {
        const double truth = p.scene < 3 ? small_m2 : grown_m2;
        EXPECT_NEAR(p.area_m2 / truth, 1, 0.02) << p.scene;
        EXPECT_LE(p.area_ci.low, truth * 1.001);
        EXPECT_GE(p.area_ci.high, truth * 0.999);
        EXPECT_GE(p.supported_fraction, 0.7);
        double total = 0;
        for (const auto& s : p.segments) total += s.length_m;
        EXPECT_NEAR(total, p.length_m, 1e-6 * p.length_m);
    }
    ASSERT_EQ(result.changes.size(), 1U);
    const auto& change = result.changes.front();
    EXPECT_TRUE(change.expansion);
    EXPECT_EQ(change.last_before, 2);
    EXPECT_EQ(change.first_after, 3);
    EXPECT_NEAR(change.area_m2 / (grown_m2 - small_m2), 1, 0.05);
    ASSERT_TRUE(change.old_line_stands.has_value());
    EXPECT_FALSE(*change.old_line_stands);
    for (const auto& [scene, ratio] : change.log_likelihood_ratios)
        EXPECT_EQ(ratio > 0, scene >= 3) << scene;
    ASSERT_EQ(result.growth.size(), 1U);
    EXPECT_NEAR(result.growth[0].area_ratio, grown_m2 / small_m2, 0.03);
    EXPECT_LE(result.growth[0].area_ratio_ci.low, grown_m2 / small_m2);
    EXPECT_GE(result.growth[0].area_ratio_ci.high, grown_m2 / small_m2);
}

TEST(MeasureGiven, MeasuresTheLineWhereItWasDrawnAndSaysWhatIsSeenOfIt) {
    const World world;
    std::vector<Scene> scenes;
    for (unsigned k = 0; k < 3; ++k) scenes.push_back(render(world, {kSmall}, 30 + k, 1.0));
    scenes[2].masks = Mask(world.width, world.height, kCloud);
    Looks run = look_at_lines(scenes);
    Ring moved;
    for (const Point p : kSmall) moved.push_back(p + Point{0, 90});
    const GivenPerimeter given[] = {{1, kSmall}, {1, moved}, {2, kSmall}};
    const auto lines = measure_given(world.grid(), run.infos, run.evidence, run.sigma, given, {});
    ASSERT_EQ(lines.size(), 3U);
    const double area_m2 = std::abs(signed_area(kSmall));
    for (const auto& line : lines) {
        EXPECT_NEAR(line.area_m2 / area_m2, 1, 0.002);  // grid scale of UTM
        EXPECT_LT(line.area_ci.low, area_m2);
        EXPECT_GT(line.area_ci.high, area_m2);
        double total = 0;
        for (const auto& s : line.segments) total += s.length_m;
        EXPECT_NEAR(total, line.length_m, 1e-6 * line.length_m);
    }
    EXPECT_EQ(lines[1].ring_px[0].y, kSmall[0].y + 90);  // nothing is moved
    EXPECT_GT(lines[0].supported_fraction, 0.7);
    EXPECT_LT(lines[1].supported_fraction, 0.5);
    EXPECT_EQ(lines[2].supported_fraction, 0);  // under cloud
    EXPECT_GT(lines[2].area_ci.high - lines[2].area_ci.low,
              lines[0].area_ci.high - lines[0].area_ci.low);
}

TEST(TracePerimeters, FindsContractionWhereTheClearedStripOfTheOldWallStays) {
    const World world;
    std::vector<Scene> scenes;
    for (unsigned k = 0; k < 6; ++k)
        scenes.push_back(render(world, {k < 3 ? kGrown : kSmall}, 20 + k, 1.0, {kGrown}));
    Looks run = look_at_lines(scenes);
    const auto result = trace_perimeters(world.grid(), run.infos, run.evidence, run.sigma,
                                         {kGrown, std::nullopt}, {});
    ASSERT_EQ(result.changes.size(), 1U);
    EXPECT_FALSE(result.changes[0].expansion);
    EXPECT_EQ(result.changes[0].first_after, 3);
    EXPECT_EQ(result.changes[0].old_line_stands, false);
    EXPECT_NEAR(result.growth[0].area_ratio, signed_area(kSmall) / signed_area(kGrown), 0.03);
}

TEST(TracePerimeters, ALineWithinTheOldOneIsNoContractionWhileThatStands) {
    World world;
    world.width = 500;
    world.height = 400;
    const Ring outer{{100, 80}, {400, 80}, {400, 320}, {100, 320}};
    const Ring with_inner{{100, 80}, {290, 80}, {290, 320}, {100, 320}};
    std::vector<Scene> scenes;
    for (unsigned k = 0; k < 4; ++k) {
        std::vector<Ring> walls{outer};
        if (k >= 2) walls.push_back(with_inner);
        scenes.push_back(render(world, walls, 90 + k, 1.0));
    }
    Looks run = look_at_lines(scenes);
    const auto result = trace_perimeters(world.grid(), run.infos, run.evidence, run.sigma,
                                         {outer, std::nullopt}, {});
    EXPECT_TRUE(result.changes.empty());
    EXPECT_EQ(result.perimeters.size(), 4U);
}

TEST(TracePerimeters, GoesAroundWhatTheKnownLineCutsAcross) {
    World world;
    world.width = 460;
    world.height = 380;
    const Ring wall{{100, 120}, {195, 120}, {200, 85},  {240, 85},
                    {245, 120}, {360, 120}, {360, 300}, {100, 300}};
    const Ring cut{{100, 120}, {360, 120}, {360, 300}, {100, 300}};
    std::vector<Scene> scenes;
    for (unsigned k = 0; k < 3; ++k) scenes.push_back(render(world, {wall}, 120 + k, 1.0));
    Looks run = look_at_lines(scenes);
    const auto result =
        trace_perimeters(world.grid(), run.infos, run.evidence, run.sigma, {cut, std::nullopt}, {});
    ASSERT_EQ(result.perimeters.size(), 3U);
    // The part that juts out is 3.4 % of the area and 8 % of the length; its tips stay rounded.
    EXPECT_NEAR(result.perimeters[0].area_m2 / std::abs(signed_area(wall)), 1, 0.02);
    EXPECT_NEAR(result.perimeters[0].length_m / ring_length(wall), 1, 0.06);
    // Where the known line is right within 20 m, that line is not its own.
    PerimeterOptions surer;
    surer.ribbon_m = 20;
    const auto kept = trace_perimeters(world.grid(), run.infos, run.evidence, run.sigma,
                                       {cut, std::nullopt}, surer);
    ASSERT_EQ(kept.perimeters.size(), 3U);
    EXPECT_NEAR(kept.perimeters[0].area_m2 / std::abs(signed_area(cut)), 1, 0.015);
}

TEST(TracePerimeters, FindsTheWallWhereNoLineIsKnown) {
    World world;
    world.width = 460;
    world.height = 380;
    const Ring wall{{100, 120}, {230, 100}, {360, 120}, {340, 300}, {110, 290}};
    const Ring ring_road{{60, 60}, {420, 50}, {430, 350}, {50, 340}};
    std::vector<Scene> scenes;
    for (unsigned k = 0; k < 3; ++k)
        scenes.push_back(render(world, {wall}, 140 + k, 1.0, {ring_road}));
    Looks run = look_at_lines(scenes);
    const auto result = trace_perimeters(world.grid(), run.infos, run.evidence, run.sigma, {}, {});
    ASSERT_EQ(result.perimeters.size(), 3U);
    ASSERT_TRUE(result.found);
    EXPECT_TRUE(result.found->unrivalled);
    EXPECT_NEAR(result.perimeters[0].area_m2 / std::abs(signed_area(wall)), 1, 0.02);
    EXPECT_TRUE(result.changes.empty());
    EXPECT_NE(result.found->how.find("no line was known"), std::string::npos);
}

TEST(TracePerimeters, TakesNoRingRoadForAWall) {
    World world;
    world.width = 460;
    world.height = 380;
    const Ring ring_road{{60, 60}, {420, 50}, {430, 350}, {50, 340}};
    std::vector<Scene> scenes;
    for (unsigned k = 0; k < 3; ++k) scenes.push_back(render(world, {}, 150 + k, 1.0, {ring_road}));
    Looks run = look_at_lines(scenes);
    const auto result = trace_perimeters(world.grid(), run.infos, run.evidence, run.sigma, {}, {});
    EXPECT_TRUE(result.perimeters.empty());
    EXPECT_FALSE(result.found);
    ASSERT_EQ(result.notes.size(), 1U);
    EXPECT_NE(result.notes[0].find("no perimeter was traced"), std::string::npos);
}

TEST(GoneRun, IsWhereMostOfALineWentAndMayCrossTheSeam) {
    std::vector<std::optional<double>> changed(40, 0.0);
    EXPECT_FALSE(gone_run(changed));
    for (const std::size_t p : {36U, 37U, 39U, 0U, 1U, 4U, 5U, 6U}) changed[p] = 3;
    changed[38] = std::nullopt;       // under cloud
    changed[2] = changed[3] = 0.5;    // a road runs along it
    changed[20] = changed[21] = 4.5;  // two pieces alone are no stretch
    const auto run = gone_run(changed);
    ASSERT_TRUE(run);
    EXPECT_EQ(run->from, 36);
    EXPECT_EQ(run->to, 7);
    EXPECT_NEAR(run->pieces_gone, 7, 1e-9);  // eight went, two are half told to stand
}

TEST(TracePerimeters, ClaimsNothingWhereNothingChanged) {
    const World world;
    for (const unsigned seed : {40U, 60U}) {
        std::vector<Scene> scenes;
        for (unsigned k = 0; k < 3; ++k) scenes.push_back(render(world, {kSmall}, seed + k, 1.0));
        Looks run = look_at_lines(scenes);
        const auto result = trace_perimeters(world.grid(), run.infos, run.evidence, run.sigma,
                                             {kSmall, std::nullopt}, {});
        EXPECT_TRUE(result.changes.empty());
        EXPECT_EQ(result.perimeters.size(), 3U);
    }
}

TEST(TracePerimeters, InventsNoLineBeforeThereIsOne) {
    const World world;
    std::vector<Scene> scenes;
    for (unsigned k = 0; k < 5; ++k)
        scenes.push_back(
            render(world, k < 2 ? std::vector<Ring>{} : std::vector<Ring>{kSmall}, 80 + k, 1.0));
    Looks run = look_at_lines(scenes);
    KnownLine known{kSmall, scenes[3].info.datetime};
    const auto result =
        trace_perimeters(world.grid(), run.infos, run.evidence, run.sigma, known, {});
    ASSERT_EQ(result.perimeters.size(), 3U);
    EXPECT_EQ(result.perimeters[0].scene, 2);
    EXPECT_TRUE(result.notes.empty());  // "could not be seen" is not said of what was not there
    EXPECT_TRUE(result.changes.empty());
}

TEST(TracePerimeters, SurvivesEmptyTinyConstantAndHiddenScenes) {
    World world;
    for (const auto& [w, h] :
         {std::pair{1, 1}, std::pair{3, 2}, std::pair{40, 7}, std::pair{200, 150}}) {
        world.width = w;
        world.height = h;
        std::vector<Scene> scenes;
        for (unsigned k = 0; k < 3; ++k) {
            scenes.push_back(render(world, {}, k, 1.0));
            if (k == 1) scenes.back().masks = Mask(w, h, kNoData);
            if (k == 2)
                for (int y = 0; y < h; ++y)
                    for (int x = 0; x < w; ++x)
                        scenes.back().raster.bands[0].at(x, y) =
                            (x + y) % 7 == 0 ? std::numeric_limits<float>::quiet_NaN() : 100.0F;
        }
        Looks run = look_at_lines(scenes);
        const KnownLine known{
            {{w * 0.2, h * 0.2}, {w * 0.8, h * 0.2}, {w * 0.8, h * 0.8}, {w * 0.2, h * 0.8}},
            std::nullopt};
        const auto result =
            trace_perimeters(world.grid(), run.infos, run.evidence, run.sigma, known, {});
        EXPECT_TRUE(result.changes.empty());
        EXPECT_TRUE(trace_perimeters(world.grid(), run.infos, run.evidence, run.sigma, {}, {})
                        .perimeters.empty());
    }
}

}  // namespace
}  // namespace fenceline
