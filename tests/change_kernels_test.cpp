#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>
#include <vector>

#include "each_target.h"
#include "kernels/bands.h"
#include "kernels/chi_square.h"
#include "kernels/moments.h"
#include "kernels/neighbourhood.h"
#include "kernels/structure.h"

namespace fenceline::kernels {
namespace {

std::vector<std::vector<float>> random_rows(std::size_t rows, std::size_t length, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> value(-10, 10);
    std::vector<std::vector<float>> all(rows, std::vector<float>(length));
    for (auto& row : all)
        for (float& v : row) v = value(random);
    return all;
}

constexpr std::size_t kMargin = 8;  // readable pixels on both sides of every row

TEST(Moments, AgreeWithReferenceOnEveryWidthOffsetAndTarget) {
    const auto rows = random_rows(6, 100, 1);
    for_each_target([&] {
        for (std::size_t offset = 0; offset < 8; ++offset)
            for (std::size_t n = 0; n <= 70; ++n)
                for (const bool weighted : {false, true}) {
                    const float* weights = weighted ? rows[5].data() + offset : nullptr;
                    std::array<const float*, 4> channels{};
                    for (std::size_t c = 0; c < 4; ++c) channels[c] = rows[c].data() + offset;
                    std::vector<double> want(moment_count(4)), got(moment_count(4));
                    reference::weighted_moments(channels.data(), 4, weights, n, want.data());
                    weighted_moments(channels.data(), 4, weights, n, got.data());
                    for (std::size_t i = 0; i < want.size(); ++i)
                        ASSERT_NEAR(want[i], got[i],
                                    1e-9 * (1 + std::abs(want[i]) + static_cast<double>(n) * 1000))
                            << "moment " << i << " of " << n;
                }
    });
}

TEST(Bands, CombineAndBlockAverageAgreeWithReference) {
    const auto rows = random_rows(5, 400, 2);
    const std::array<float, 5> weights{0.3F, -2, 1.5F, 0.01F, 4};
    for_each_target([&] {
        for (std::size_t offset = 0; offset < 8; ++offset)
            for (std::size_t n = 0; n <= 70; ++n) {
                std::array<const float*, 5> bands{};
                for (std::size_t c = 0; c < 5; ++c) bands[c] = rows[c].data() + offset;
                std::vector<float> want(n + 1, -7), got(n + 1, -7);
                reference::combine_bands(bands.data(), 5, weights.data(), 0.5F, n, want.data());
                combine_bands(bands.data(), 5, weights.data(), 0.5F, n, got.data());
                for (std::size_t i = 0; i <= n; ++i)
                    ASSERT_NEAR(want[i], got[i], 1e-4) << i << " of " << n;
                for (int side = 1; side <= 5; ++side) {
                    if (n * static_cast<std::size_t>(side) + offset > 400) continue;
                    reference::block_average(bands.data(), side, n, want.data());
                    block_average(bands.data(), side, n, got.data());
                    for (std::size_t i = 0; i <= n; ++i)
                        ASSERT_NEAR(want[i], got[i], 1e-4) << i << " of " << n;
                }
            }
    });
}

TEST(Bands, BlockAverageOfRowsLongerThanItsBuffer) {
    const auto rows = random_rows(3, 9000, 3);
    std::array<const float*, 3> lines{rows[0].data(), rows[1].data(), rows[2].data()};
    std::vector<float> want(3000), got(3000);
    reference::block_average(lines.data(), 3, 3000, want.data());
    block_average(lines.data(), 3, 3000, got.data());
    for (std::size_t i = 0; i < 3000; ++i) ASSERT_NEAR(want[i], got[i], 1e-4) << i;
}

TEST(Neighbourhood, AgreesWithReferenceOnEveryWidthOffsetRadiusAndTarget) {
    const auto a = random_rows(7, 120, 4), b = random_rows(7, 120, 5);
    for_each_target([&] {
        for (std::size_t offset = 0; offset < 8; ++offset)
            for (std::size_t n = 0; n <= 70; ++n) {
                for (int radius = 0; radius <= 3; ++radius) {
                    std::vector<const float*> before, after;
                    for (int k = 0; k <= 2 * radius; ++k) {
                        before.push_back(a[static_cast<std::size_t>(k)].data() + kMargin + offset);
                        after.push_back(b[static_cast<std::size_t>(k)].data() + kMargin + offset);
                    }
                    std::vector<float> want(n + 1, -7), got(n + 1, -7), scratch(4 * (n + 6));
                    reference::tolerant_difference(before.data(), after.data(), radius, n,
                                                   scratch.data(), want.data());
                    tolerant_difference(before.data(), after.data(), radius, n, scratch.data(),
                                        got.data());
                    ASSERT_EQ(want, got) << "radius " << radius << ", n " << n;
                }
                std::vector<float> want(n + 1, -7), got(n + 1, -7);
                const float *x = a[0].data() + offset, *y = b[0].data() + offset;
                reference::minimum(x, y, n, want.data());
                minimum(x, y, n, got.data());
                ASSERT_EQ(want, got);
                reference::maximum(x, y, n, want.data());
                maximum(x, y, n, got.data());
                ASSERT_EQ(want, got);
                std::array<const float*, 5> rows{};
                for (std::size_t k = 0; k < 5; ++k) rows[k] = a[k].data() + offset;
                reference::sum_rows(rows.data(), 5, n, want.data());
                sum_rows(rows.data(), 5, n, got.data());
                ASSERT_EQ(want, got);
                reference::sliding_sum(x, 15, n, want.data());
                sliding_sum(x, 15, n, got.data());
                ASSERT_EQ(want, got);
            }
    });
}

TEST(Neighbourhood, ToleratesAShiftWithinTheRadiusAndSeesAThinNewLine) {
    // A bright line one pixel wide, moved by one: no change with radius 1, two changes with radius
    // 0.
    std::vector<std::vector<float>> before(3, std::vector<float>(20, 1.0F)), moved = before,
                                                                             gone = before;
    for (int y = 0; y < 3; ++y) {
        before[static_cast<std::size_t>(y)][10] = 9;
        moved[static_cast<std::size_t>(y)][11] = 9;
    }
    const auto compare = [](auto& p, auto& q, int radius, std::vector<float>& out) {
        std::vector<const float*> a, b;
        for (int k = -radius; k <= radius; ++k) {
            a.push_back(p[static_cast<std::size_t>(1 + k)].data() + 4);
            b.push_back(q[static_cast<std::size_t>(1 + k)].data() + 4);
        }
        std::vector<float> scratch(100);
        out.assign(12, -1);
        tolerant_difference(a.data(), b.data(), radius, 12, scratch.data(), out.data());
    };
    std::vector<float> out;
    compare(before, moved, 1, out);
    for (const float v : out) EXPECT_EQ(v, 0);
    compare(before, moved, 0, out);
    EXPECT_EQ(out[6], -8);
    EXPECT_EQ(out[7], 8);
    compare(gone, before, 1, out);  // appeared: positive where it stands, nowhere negative
    EXPECT_EQ(out[6], 8);
    for (const float v : out) EXPECT_GE(v, 0);
    compare(before, gone, 1, out);
    EXPECT_EQ(out[6], -8);
}

TEST(Structure, AgreesWithReferenceOnEveryWidthOffsetAndTarget) {
    auto rows = random_rows(3, 120, 6);
    for (auto& row : rows)
        for (std::size_t i = 40; i < 60; ++i) row[i] = 3;  // flat: no gradient
    const auto p = random_rows(4, 120, 7), q = random_rows(4, 120, 8);
    for_each_target([&] {
        for (std::size_t offset = 0; offset < 8; ++offset)
            for (std::size_t n = 0; n <= 70; ++n) {
                std::array<std::vector<float>, 4> want, got;
                std::array<float*, 4> to_want{}, to_got{};
                for (std::size_t c = 0; c < 4; ++c) {
                    want[c].assign(n + 1, -7);
                    got[c].assign(n + 1, -7);
                    to_want[c] = want[c].data();
                    to_got[c] = got[c].data();
                }
                const std::size_t at = kMargin + offset;
                reference::orientation_harmonics(rows[0].data() + at, rows[1].data() + at,
                                                 rows[2].data() + at, 2, n, to_want.data());
                orientation_harmonics(rows[0].data() + at, rows[1].data() + at, rows[2].data() + at,
                                      2, n, to_got.data());
                for (std::size_t c = 0; c < 4; ++c)
                    for (std::size_t i = 0; i <= n; ++i)
                        ASSERT_NEAR(want[c][i], got[c][i], 2e-6)
                            << "channel " << c << ", " << i << " of " << n;
                std::array<const float*, 4> left{}, right{};
                for (std::size_t c = 0; c < 4; ++c) {
                    left[c] = p[c].data() + offset;
                    right[c] = q[c].data() + offset;
                }
                reference::channel_product(left.data(), right.data(), 4, n, want[0].data());
                channel_product(left.data(), right.data(), 4, n, got[0].data());
                for (std::size_t i = 0; i <= n; ++i) ASSERT_NEAR(want[0][i], got[0][i], 1e-4);
            }
    });
}

TEST(Moments, OneToThirteenChannelsOverSeveralBlocks) {
    const auto rows = random_rows(14, 1000, 11);
    for_each_target([&] {
        for (int channels = 1; channels <= 13; channels += 3)
            for (const std::size_t n : {255U, 256U, 257U, 999U}) {
                std::vector<const float*> in;
                for (int c = 0; c < channels; ++c)
                    in.push_back(rows[static_cast<std::size_t>(c)].data());
                std::vector<double> want(moment_count(channels)), got(moment_count(channels));
                reference::weighted_moments(in.data(), channels, rows[13].data(), n, want.data());
                weighted_moments(in.data(), channels, rows[13].data(), n, got.data());
                for (std::size_t i = 0; i < want.size(); ++i)
                    ASSERT_NEAR(want[i], got[i], 1e-12 * 1000 * static_cast<double>(n))
                        << "moment " << i << " of " << channels << " channels";
            }
    });
}

TEST(ChiSquare, VariatesAndProbabilitiesAgreeWithReference) {
    const auto rows = random_rows(8, 100, 12);
    for_each_target([&] {
        for (std::size_t offset = 0; offset < 4; ++offset)
            for (std::size_t n = 0; n <= 70; ++n) {
                std::array<const float*, 6> bands{};
                for (std::size_t b = 0; b < 6; ++b) bands[b] = rows[b].data() + offset;
                std::vector<float> want(n + 1, -7), got(n + 1, -7);
                reference::squared_variates(bands.data(), 6, rows[6].data(), rows[7].data(), 3, n,
                                            want.data());
                squared_variates(bands.data(), 6, rows[6].data(), rows[7].data(), 3, n, got.data());
                for (std::size_t i = 0; i <= n; ++i)
                    ASSERT_NEAR(want[i], got[i], 1e-5F * (1 + std::abs(want[i])));
            }
        const float nan = std::nanf("");
        std::vector<float> values{-1, 0, nan, 1e-30F, 1e9F};
        for (int k = 0; k < 400; ++k) values.push_back(0.1F * static_cast<float>(k));
        for (int degrees = 1; degrees <= 13; ++degrees)
            for (std::size_t n : {std::size_t{3}, values.size()}) {
                std::vector<float> want(n), got(n);
                reference::chi_square_survival(values.data(), n, degrees, want.data());
                chi_square_survival(values.data(), n, degrees, got.data());
                for (std::size_t i = 0; i < n; ++i)
                    ASSERT_NEAR(want[i], got[i], 1e-6) << values[i] << ", " << degrees;
                EXPECT_EQ(got[0], 1);
                EXPECT_EQ(got[2], 1);
            }
    });
}

TEST(ChiSquare, CompressionsAgreeWithReferenceAndSaturate) {
    const auto rows = random_rows(1, 100, 13);
    std::vector<float> positive(100);
    for (std::size_t i = 0; i < 100; ++i) positive[i] = std::abs(rows[0][i]);
    positive[5] = 0;
    for_each_target([&] {
        for (std::size_t n = 0; n <= 70; ++n) {
            std::vector<float> want(n + 1, -7), got(n + 1, -7);
            reference::log_compress(positive.data() + 3, n, 0.7F, 2, want.data());
            log_compress(positive.data() + 3, n, 0.7F, 2, got.data());
            for (std::size_t i = 0; i <= n; ++i) ASSERT_NEAR(want[i], got[i], 1e-6);
            reference::squash(rows[0].data() + 3, n, 6, want.data());
            squash(rows[0].data() + 3, n, 6, got.data());
            for (std::size_t i = 0; i <= n; ++i) ASSERT_NEAR(want[i], got[i], 3e-6);
        }
        float far = 1e6F;
        squash(&far, 1, 6, &far);
        EXPECT_NEAR(far, 6, 1e-5);
    });
}

TEST(Structure, BestMatchAgreesWithReference) {
    const auto rows = random_rows(4, 100, 14);
    std::vector<float> a(100), b(100);
    for (std::size_t i = 0; i < 100; ++i) {
        a[i] = std::abs(rows[1][i]);
        b[i] = i % 7 == 0 ? 0.0F : std::abs(rows[2][i]);  // no texture in one of them
    }
    for_each_target([&] {
        for (std::size_t n = 0; n <= 70; ++n) {
            std::vector<float> want = rows[3], got = rows[3];
            reference::keep_best_match(rows[0].data(), 0.1F, a.data(), b.data(), n, want.data());
            keep_best_match(rows[0].data(), 0.1F, a.data(), b.data(), n, got.data());
            for (std::size_t i = 0; i < 100; ++i)
                ASSERT_NEAR(want[i], got[i], 1e-5F * (1 + std::abs(want[i])));
        }
    });
}

}  // namespace
}  // namespace fenceline::kernels
