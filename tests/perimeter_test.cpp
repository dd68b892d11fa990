#include "stages/perimeter.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <random>

#include "core/projection.h"
#include "kernels/line_path.h"
#include "stages/perimeter_measure.h"
#include "stages/perimeter_ribbon.h"

namespace fenceline {
namespace {

/// Runs body once for every instruction set that this CPU has and Highway compiled.
template <class Body>
void for_each_target(const Body& body) {
    const auto supported = hwy::SupportedTargets();
    for (auto rest = supported; rest != 0; rest &= rest - 1) {
        const auto target = rest & (~rest + 1);
        hwy::SetSupportedTargetsForTest(target);
        hwy::GetChosenTarget().Update(target);
        SCOPED_TRACE(hwy::TargetName(target));
        body();
    }
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().DeInit();
}

TEST(LinePathKernels, StepAgreesWithReferenceOnEveryWidthOffsetAndTarget) {
    std::mt19937 random(3);
    std::vector<float> previous(90), cost(90);
    // Few distinct values: ties must go the same way, too.
    for (auto& v : previous) v = static_cast<float>(random() % 6);
    for (auto& v : cost) v = static_cast<float>(random() % 100) * 0.1F;
    for_each_target([&] {
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

TEST(LinePathKernels, SumsAgreeWithReferenceOnEveryWidthOffsetAndTarget) {
    std::mt19937 random(4);
    std::uniform_real_distribution<float> value(-5, 5);
    std::vector<float> data(400);
    for (auto& v : data) v = value(random);
    for_each_target([&] {
        for (std::size_t offset = 0; offset < 8; ++offset)
            for (std::size_t n = 1; n <= 70; ++n)
                for (const std::size_t count : {std::size_t{1}, std::size_t{9}}) {
                    std::vector<const float*> rows;
                    for (std::size_t k = 0; k < count; ++k)
                        rows.push_back(data.data() + offset + 31 * k);
                    std::vector<float> want(n), got(n);
                    kernels::reference::sum_rows(rows.data(), count, n, 0.25F, want.data());
                    kernels::sum_rows(rows.data(), count, n, 0.25F, got.data());
                    ASSERT_EQ(want, got) << "n " << n << " offset " << offset;
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

Scene render(const World& world, const std::vector<Ring>& walls_px, unsigned seed, double gain) {
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
        run.evidence.push_back(line_evidence(scene, {}));
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
    const Looks run = look_at_lines(scenes);
    for (const auto& e : run.evidence) EXPECT_NEAR(e.effective_gsd_m, 1, 0.4);
    KnownLine known;
    for (const Point p : kSmall)
        known.ring_px.push_back(p + Point{5, -6});  // the catalogue is off by 8 m
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

TEST(TracePerimeters, FindsContraction) {
    const World world;
    std::vector<Scene> scenes;
    for (unsigned k = 0; k < 6; ++k)
        scenes.push_back(render(world, {k < 3 ? kGrown : kSmall}, 20 + k, 1.0));
    const Looks run = look_at_lines(scenes);
    const auto result = trace_perimeters(world.grid(), run.infos, run.evidence, run.sigma,
                                         {kGrown, std::nullopt}, {});
    ASSERT_EQ(result.changes.size(), 1U);
    EXPECT_FALSE(result.changes[0].expansion);
    EXPECT_EQ(result.changes[0].first_after, 3);
    EXPECT_NEAR(result.growth[0].area_ratio, signed_area(kSmall) / signed_area(kGrown), 0.03);
}

TEST(TracePerimeters, ClaimsNothingWhereNothingChanged) {
    const World world;
    for (const unsigned seed : {40U, 60U}) {
        std::vector<Scene> scenes;
        for (unsigned k = 0; k < 5; ++k) scenes.push_back(render(world, {kSmall}, seed + k, 1.0));
        const Looks run = look_at_lines(scenes);
        const auto result = trace_perimeters(world.grid(), run.infos, run.evidence, run.sigma,
                                             {kSmall, std::nullopt}, {});
        EXPECT_TRUE(result.changes.empty());
        EXPECT_EQ(result.perimeters.size(), 5U);
    }
}

TEST(TracePerimeters, InventsNoLineBeforeThereIsOne) {
    const World world;
    std::vector<Scene> scenes;
    for (unsigned k = 0; k < 5; ++k)
        scenes.push_back(
            render(world, k < 2 ? std::vector<Ring>{} : std::vector<Ring>{kSmall}, 80 + k, 1.0));
    const Looks run = look_at_lines(scenes);
    KnownLine known{kSmall, scenes[3].info.datetime};
    const auto result =
        trace_perimeters(world.grid(), run.infos, run.evidence, run.sigma, known, {});
    ASSERT_EQ(result.perimeters.size(), 3U);
    EXPECT_EQ(result.perimeters[0].scene, 2);
    EXPECT_FALSE(result.notes.empty());
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
        const Looks run = look_at_lines(scenes);
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
