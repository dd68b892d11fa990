#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "each_target.h"
#include "kernels/cells.h"

namespace fenceline::kernels {
namespace {

constexpr int kWidth = 37, kHeight = 29;
constexpr std::size_t kStride = 48;

std::vector<float> random_image(unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> value(10, 200);
    std::vector<float> image(kStride * kHeight);
    for (float& v : image) v = value(random);
    return image;
}

/// Rows that lie inside, across a border, and outside of the image.
std::vector<CellRow> rows() {
    std::vector<CellRow> all;
    for (const int fine : {1, 2, 3})
        for (const double angle : {0.0, 0.7, -2.1})
            for (const double side : {0.4, 1.3, 3.1})
                for (const double x : {-50.0, 3.3, 30.9})
                    all.push_back({x, 11.7, side * std::cos(angle), side * std::sin(angle),
                                   -side * std::sin(angle), side * std::cos(angle), fine});
    return all;
}

TEST(Cells, AgreeWithTheReferenceOnEveryWidthAndInstructionSet) {
    const auto r = random_image(1), g = random_image(2), b = random_image(3);
    for_each_target([&] {
        for (const CellRow& row : rows())
            for (int n = 0; n <= 70; n += n < 36 ? 1 : 7) {
                const auto size = static_cast<std::size_t>(n) + 1;
                std::vector<float> want[4], got[4];
                for (int k = 0; k < 4; ++k) want[k].assign(size, -7), got[k].assign(size, -7);
                reference::cell_row(r.data(), kStride, kWidth, kHeight, row, n, want[0].data());
                cell_row(r.data(), kStride, kWidth, kHeight, row, n, got[0].data());
                reference::colour_cell_row(r.data(), g.data(), b.data(), kStride, kWidth, kHeight,
                                           row, n, want[1].data(), want[2].data(), want[3].data());
                colour_cell_row(r.data(), g.data(), b.data(), kStride, kWidth, kHeight, row, n,
                                got[1].data(), got[2].data(), got[3].data());
                for (int k = 0; k < 4; ++k)
                    for (std::size_t i = 0; i < size; ++i)
                        ASSERT_NEAR(want[k][i], got[k][i], k < 2 ? 2e-2 : 4e-4)
                            << "output " << k << ", cell " << i << " of " << n;
            }
    });
}

TEST(Cells, ReadRampsExactlyAndBordersOutside) {
    std::vector<float> ramp(kStride * kHeight);
    for (int y = 0; y < kHeight; ++y)
        for (int x = 0; x < kWidth; ++x)
            ramp[static_cast<std::size_t>(y) * kStride + static_cast<std::size_t>(x)] =
                static_cast<float>(3 * x - 2 * y);
    float out[20];
    const CellRow row{5.25, 6.5, 0.5, 0.25, -0.25, 0.5, 3};
    cell_row(ramp.data(), kStride, kWidth, kHeight, row, 20, out);
    for (int i = 0; i < 20; ++i)
        EXPECT_NEAR(out[i], 3 * (5.25 + 0.5 * i) - 2 * (6.5 + 0.25 * i), 1e-4);
    cell_row(ramp.data(), kStride, kWidth, kHeight, {500, -300, 1, 0, 0, 1, 2}, 3, out);
    EXPECT_EQ(out[2], 3.0F * (kWidth - 1));
}

TEST(Cells, ACellIsTheSameInAnyRow) {
    const auto image = random_image(4);
    for_each_target([&] {
        const CellRow row{2.3, 4.1, 0.9, 0.31, -0.31, 0.9, 2};
        float all[40], some[40];
        cell_row(image.data(), kStride, kWidth, kHeight, row, 40, all);
        for (const int n : {1, 3, 5, 17, 33}) {
            cell_row(image.data(), kStride, kWidth, kHeight, row, n, some);
            for (int i = 0; i < n; ++i) ASSERT_EQ(all[i], some[i]) << i << " of " << n;
        }
    });
}

}  // namespace
}  // namespace fenceline::kernels
