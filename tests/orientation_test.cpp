#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "each_target.h"
#include "kernels/orientation.h"

namespace fenceline::kernels {
namespace {

TEST(Orientation, AgreesWithReferenceOnEveryWidthOffsetAndTarget) {
    std::mt19937 random(2);
    std::uniform_real_distribution<float> value(0, 255);
    std::vector<float> rows[3];
    for (auto& row : rows) {
        row.resize(90);
        for (auto& v : row) v = random() % 5 == 0 ? 17.0F : value(random);
    }
    for (int i = 30; i < 36; ++i)  // a flat patch: no direction
        for (auto& row : rows) row[static_cast<std::size_t>(i)] = 17;
    for_each_target([&] {
        for (const float soft : {0.0F, 4.0F})
            for (std::size_t offset = 1; offset < 9; ++offset)
                for (std::size_t n = 0; n <= 70; ++n) {
                    std::vector<float> want_c(n + 1, -7), want_s(n + 1, -7), got_c(n + 1, -7),
                        got_s(n + 1, -7);
                    const float *a = rows[0].data() + offset, *r = rows[1].data() + offset,
                                *b = rows[2].data() + offset;
                    reference::orientation_row(a, r, b, n, soft, want_c.data(), want_s.data());
                    orientation_row(a, r, b, n, soft, got_c.data(), got_s.data());
                    for (std::size_t i = 0; i <= n; ++i) {
                        ASSERT_NEAR(want_c[i], got_c[i], 2e-5)
                            << "first bad at " << i << " of " << n;
                        ASSERT_NEAR(want_s[i], got_s[i], 2e-5)
                            << "first bad at " << i << " of " << n;
                    }
                }
    });
}

TEST(Orientation, ReversedContrastIsTheSameAndARotatedRampTurnsTwiceAsFast) {
    for (int degrees = 0; degrees < 360; degrees += 15) {
        const double angle = degrees * std::acos(-1.0) / 180;
        std::vector<float> rows[3], reversed[3];
        for (int y = 0; y < 3; ++y)
            for (int x = -1; x <= 4; ++x) {
                const double value = 50 + 10 * (std::cos(angle) * x + std::sin(angle) * y);
                rows[y].push_back(static_cast<float>(value));
                reversed[y].push_back(static_cast<float>(200 - 0.5 * value));
            }
        float c[4], s[4], rc[4], rs[4];
        orientation_row(rows[0].data() + 1, rows[1].data() + 1, rows[2].data() + 1, 4, 0, c, s);
        orientation_row(reversed[0].data() + 1, reversed[1].data() + 1, reversed[2].data() + 1, 4,
                        0, rc, rs);
        for (int i = 0; i < 4; ++i) {
            EXPECT_NEAR(c[i], std::cos(2 * angle), 1e-5);
            EXPECT_NEAR(s[i], std::sin(2 * angle), 1e-5);
            EXPECT_NEAR(rc[i], c[i], 1e-5);
            EXPECT_NEAR(rs[i], s[i], 1e-5);
        }
    }
}

}  // namespace
}  // namespace fenceline::kernels
