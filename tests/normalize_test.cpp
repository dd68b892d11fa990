#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "core/mad.h"
#include "stages/normalize.h"

namespace fenceline {
namespace {

/// Smooth random ground: bands are mixtures of three fields, so that they correlate as real bands
/// do.
Scene random_ground(int width, int height, int bands, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 1);
    std::vector<Plane> fields;
    for (int k = 0; k < 3; ++k) {
        Plane field(width, height);
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x) field.at(x, y) = normal(random);
        for (int pass = 0; pass < 3; ++pass) {
            Plane soft(width, height);
            for (int y = 0; y < height; ++y)
                for (int x = 0; x < width; ++x) {
                    float sum = 0;
                    for (int v = -1; v <= 1; ++v)
                        for (int u = -1; u <= 1; ++u)
                            sum += field.at((x + u + width) % width, (y + v + height) % height);
                    soft.at(x, y) = sum / 5;
                }
            field = soft;
        }
        fields.push_back(field);
    }
    Scene scene;
    scene.raster.grid = {"", {0, 2, 0, 0, 0, -2}, width, height};
    scene.raster.valid = Mask(width, height, 1);
    scene.masks = Mask(width, height, 0);
    for (int b = 0; b < bands; ++b) {
        Plane plane(width, height);
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x)
                plane.at(x, y) = 300 + 60 * fields[0].at(x, y) +
                                 static_cast<float>(20 * b) * fields[1].at(x, y) +
                                 30 * fields[static_cast<std::size_t>(b) % 3].at(x, y);
        scene.raster.bands.push_back(plane);
        scene.raster.roles.push_back(
            bands == 1 ? BandRole::pan
                       : std::vector{BandRole::blue, BandRole::green, BandRole::red,
                                     BandRole::nir}[static_cast<std::size_t>(b)]);
    }
    return scene;
}

/// target = (reference - offset) / gain + noise, with a share of the ground replaced by something
/// else.
Scene seen_differently(const Scene& reference, const std::vector<double>& gain,
                       const std::vector<double>& offset, double noise, double changed_share,
                       unsigned seed) {
    Scene target = reference;
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, static_cast<float>(noise));
    const int width = reference.raster.grid.width, height = reference.raster.grid.height;
    const int changed_columns = static_cast<int>(changed_share * width);
    for (std::size_t b = 0; b < target.raster.bands.size(); ++b)
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x) {
                float& v = target.raster.bands[b].at(x, y);
                if (x < changed_columns)
                    v = 300 +
                        (b % 2 == 0 ? 1.5F : -1.2F) *
                            (reference.raster.bands[(b + 1) % target.raster.bands.size()].at(
                                 y % width, x % height) -
                             300) +
                        100;
                v = static_cast<float>((static_cast<double>(v) - offset[b]) / gain[b]) +
                    normal(random);
            }
    return target;
}

TEST(ChiSquare, MatchesTables) {
    EXPECT_NEAR(chi_square_survival(3.841459, 1), 0.05, 1e-6);
    EXPECT_NEAR(chi_square_survival(5.991465, 2), 0.05, 1e-6);
    EXPECT_NEAR(chi_square_survival(7.814728, 3), 0.05, 1e-6);
    EXPECT_NEAR(chi_square_survival(13.276704, 4), 0.01, 1e-6);
    EXPECT_NEAR(chi_square_survival(1.635383, 6), 0.95, 1e-6);
    EXPECT_EQ(chi_square_survival(0, 4), 1);
    EXPECT_EQ(chi_square_survival(1e9, 4), 0);
}

TEST(Normalize, FindsGainAndOffsetWithAFifthOfTheGroundChanged) {
    const Scene reference = random_ground(200, 200, 4, 1);
    const std::vector<double> gain{1.3, 0.7, 2.0, 0.05}, offset{-20, 35, 100, 12};
    const Scene target = seen_differently(reference, gain, offset, 1.0, 0.2, 2);
    const Normalization found = normalize(target, reference, {});
    ASSERT_EQ(found.method, "ir_mad") << found.reason;
    ASSERT_EQ(found.bands.size(), 4U);
    for (std::size_t b = 0; b < 4; ++b) {
        if (b == 3)
            continue;  // gain 0.05: noise of 1 is 0.05 of the reference there, offset known to less
                       // than 1
        EXPECT_NEAR(found.bands[b].gain / gain[b], 1, 0.02) << b;
        EXPECT_NEAR(found.bands[b].offset,
                    offset[b] + 300 * (gain[b] - found.bands[b].gain) / gain[b], 8)
            << b;
    }
    EXPECT_NEAR(found.bands[3].gain / 0.05, 1, 0.02);
    for (const auto& band : found.bands) EXPECT_LT(band.rmse_after, 0.2 * band.rmse_before);
}

TEST(Normalize, AppliedItBringsUnchangedGroundTogether) {
    const Scene reference = random_ground(150, 160, 3, 3);
    Scene target = seen_differently(reference, {1.2, 0.8, 1.1}, {30, -10, 5}, 0.5, 0.1, 4);
    apply(normalize(target, reference, {}), target.raster);
    double sum = 0;
    int n = 0;
    for (int y = 0; y < 160; ++y)
        for (int x = 40; x < 150; ++x, ++n)
            sum += std::abs(static_cast<double>(target.raster.bands[1].at(x, y) -
                                                reference.raster.bands[1].at(x, y)));
    EXPECT_LT(sum / n, 1.0);
}

TEST(Normalize, OneBandFallsBackToTheilSen) {
    const Scene reference = random_ground(160, 160, 1, 5);
    const Scene target = seen_differently(reference, {1.4}, {25}, 1.0, 0.0, 6);
    const Normalization found = normalize(target, reference, {});
    ASSERT_EQ(found.method, "theil_sen");
    EXPECT_FALSE(found.reason.empty());
    EXPECT_NEAR(found.bands[0].gain, 1.4, 0.05);
    EXPECT_LT(found.bands[0].rmse_after, found.bands[0].rmse_before);
}

TEST(Normalize, RefusesUnrelatedImages) {
    const Scene reference = random_ground(160, 160, 3, 7), target = random_ground(160, 160, 3, 8);
    const Normalization found = normalize(target, reference, {});
    EXPECT_NE(found.method, "ir_mad");
    EXPECT_NE(found.reason.find("IR-MAD"), std::string::npos) << found.reason;
}

TEST(Normalize, UnchangedGroundInOneCornerIsNotEnough) {
    const Scene reference = random_ground(160, 160, 3, 9);
    const Scene other = random_ground(160, 160, 3, 10);
    Scene target = other;
    for (std::size_t b = 0; b < 3; ++b)
        for (int y = 0; y < 50; ++y)
            for (int x = 0; x < 50; ++x)
                target.raster.bands[b].at(x, y) = reference.raster.bands[b].at(x, y);
    const Normalization found = normalize(target, reference, {});
    EXPECT_NE(found.method, "ir_mad");
}

TEST(Normalize, UsesOnlyTheCommonBandsWhateverTheirOrder) {
    const Scene reference = random_ground(120, 120, 4, 11);
    Scene target = reference;
    std::swap(target.raster.bands[0], target.raster.bands[2]);
    std::swap(target.raster.roles[0], target.raster.roles[2]);
    target.raster.bands.pop_back();
    target.raster.roles.pop_back();
    for (int y = 0; y < 120; ++y)
        for (int x = 0; x < 120; ++x) target.raster.bands[0].at(x, y) *= 0.5F;  // red
    const Normalization found = normalize(target, reference, {});
    ASSERT_EQ(found.bands.size(), 3U);
    EXPECT_NEAR(found.bands[0].gain, 2, 0.01) << found.method << found.reason;
    EXPECT_NEAR(found.bands[1].gain, 1, 0.01);
}

TEST(Normalize, SurvivesEmptyTinyAndConstantScenes) {
    Scene scene = random_ground(64, 64, 3, 12);
    Scene nothing = scene;
    for (int y = 0; y < 64; ++y)
        for (int x = 0; x < 64; ++x) {
            nothing.masks.at(x, y) = kNoData;
            nothing.raster.valid.at(x, y) = 0;
        }
    EXPECT_EQ(normalize(nothing, scene, {}).method, "none");
    EXPECT_FALSE(normalize(nothing, scene, {}).reason.empty());
    Scene flat = scene;
    for (auto& band : flat.raster.bands) band = Plane(64, 64, 100.0F);
    EXPECT_EQ(normalize(flat, scene, {}).method, "none");
    EXPECT_EQ(normalize(scene, flat, {}).method, "none");
    for (const int size : {1, 2, 5}) {
        const Scene tiny = random_ground(size, size, 4, 13);
        EXPECT_EQ(normalize(tiny, tiny, {}).method, "none");
    }
    EXPECT_EQ(normalize(Scene{}, Scene{}, {}).method, "none");
}

TEST(Mad, PlainMadVariatesHaveTheVarianceTheirCorrelationSays) {
    const Scene reference = random_ground(150, 150, 3, 14);
    const Scene target = seen_differently(reference, {1, 1, 1}, {0, 0, 0}, 20, 0, 15);
    const CommonBands bands = common_bands(reference.raster, target.raster);
    const MadTransform mad =
        fit_mad(bands.first, bands.second, reference.raster.valid, {.max_rounds = 1});
    ASSERT_TRUE(mad.fault.empty()) << mad.fault;
    double sum = 0;
    const Plane chi_square = mad_chi_square(bands.first, bands.second, reference.raster.valid, mad);
    for (int y = 0; y < 150; ++y)
        for (int x = 0; x < 150; ++x) sum += static_cast<double>(chi_square.at(x, y));
    EXPECT_NEAR(sum / (150 * 150), 3, 0.01);  // N variates of unit variance
    EXPECT_GE(mad.correlation[0], mad.correlation[1]);
    EXPECT_GE(mad.correlation[1], mad.correlation[2]);
}

TEST(Mad, IsInvariantToGainAndOffset) {
    // Canonical variates do not change under linear maps of the bands (Nielsen 1998).
    const Scene reference = random_ground(150, 150, 3, 16);
    const Scene target = seen_differently(reference, {1, 1, 1}, {0, 0, 0}, 15, 0.1, 17);
    Scene scaled = target;
    for (std::size_t b = 0; b < 3; ++b)
        for (int y = 0; y < 150; ++y)
            for (int x = 0; x < 150; ++x)
                scaled.raster.bands[b].at(x, y) =
                    static_cast<float>(b + 2) * target.raster.bands[b].at(x, y) + 55;
    const CommonBands one = common_bands(reference.raster, target.raster),
                      two = common_bands(reference.raster, scaled.raster);
    const Mask& seen = reference.raster.valid;
    const Plane a =
        mad_chi_square(one.first, one.second, seen, fit_mad(one.first, one.second, seen, {}));
    const Plane b =
        mad_chi_square(two.first, two.second, seen, fit_mad(two.first, two.second, seen, {}));
    for (int y = 0; y < 150; y += 7)
        for (int x = 0; x < 150; x += 7)
            EXPECT_NEAR(a.at(x, y), b.at(x, y), 0.02 * a.at(x, y) + 0.01);
}

TEST(Mad, LinearlyDependentBandsGoThroughWithTheRidge) {
    Scene reference = random_ground(120, 120, 3, 18);
    reference.raster.bands[2] = reference.raster.bands[1];
    const Scene target = seen_differently(reference, {1, 1, 1}, {0, 0, 0}, 0, 0, 19);
    const CommonBands bands = common_bands(reference.raster, target.raster);
    const MadTransform mad = fit_mad(bands.first, bands.second, reference.raster.valid, {});
    EXPECT_TRUE(mad.fault.empty()) << mad.fault;
    for (const double rho : mad.correlation) EXPECT_TRUE(std::isfinite(rho));
}

}  // namespace
}  // namespace fenceline
