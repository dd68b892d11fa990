#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "each_target.h"
#include "kernels/cubic.h"

namespace fenceline::kernels {
namespace {

TEST(CubicSample, AgreesWithReferenceOnEveryWidthOffsetAndTarget) {
    std::mt19937 random(7);
    std::uniform_real_distribution<float> value(-1000, 1000), fraction(0, 1);
    constexpr std::size_t kStride = 37, kRows = 19;
    std::vector<float> image(kStride * kRows), fx(80), fy(80);
    std::vector<std::int32_t> first(80);
    for (auto& v : image) v = value(random);
    for (std::size_t i = 0; i < first.size(); ++i) {
        first[i] =
            static_cast<std::int32_t>(random() % (kRows - 3) * kStride + random() % (kStride - 3));
        fx[i] = i % 11 == 0 ? 0.0F : std::min(fraction(random), 0.99999F);
        fy[i] = i % 13 == 0 ? 0.0F : std::min(fraction(random), 0.99999F);
    }
    for_each_target([&] {
        for (std::size_t offset = 0; offset < 8; ++offset)
            for (std::size_t n = 0; n <= 70; ++n) {
                std::vector<float> want(n + 1, -7), got(n + 1, -7);
                reference::cubic_sample(image.data(), kStride, first.data() + offset,
                                        fx.data() + offset, fy.data() + offset, n, want.data());
                cubic_sample(image.data(), kStride, first.data() + offset, fx.data() + offset,
                             fy.data() + offset, n, got.data());
                for (std::size_t i = 0; i <= n; ++i)
                    ASSERT_NEAR(want[i], got[i], 2e-3) << "first bad at " << i << " of " << n;
            }
    });
}

TEST(CubicSample, ReproducesQuadraticsAndSamples) {
    constexpr std::size_t kSize = 12;
    std::vector<float> image(kSize * kSize);
    const auto surface = [](double x, double y) {
        return 3 + 2 * x - y + 0.5 * x * x - 0.25 * x * y + 0.125 * y * y;
    };
    for (std::size_t y = 0; y < kSize; ++y)
        for (std::size_t x = 0; x < kSize; ++x)
            image[y * kSize + x] =
                static_cast<float>(surface(static_cast<double>(x), static_cast<double>(y)));
    const std::int32_t first = 3 * kSize + 4;  // sample (5, 4) is the one before the place
    for (const float fx : {0.0F, 0.25F, 0.875F})
        for (const float fy : {0.0F, 0.5F, 0.75F}) {
            float out = 0;
            cubic_sample(image.data(), kSize, &first, &fx, &fy, 1, &out);
            EXPECT_NEAR(out, surface(5 + static_cast<double>(fx), 4 + static_cast<double>(fy)),
                        1e-4);
        }
}

}  // namespace
}  // namespace fenceline::kernels
