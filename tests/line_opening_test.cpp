#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <vector>

#include "each_target.h"
#include "kernels/line_opening.h"

namespace fenceline::kernels {
namespace {

TEST(LineOpening, AgreesWithReferenceOnEveryWidthLengthSlopeAndTarget) {
    constexpr float inf = std::numeric_limits<float>::infinity();
    std::mt19937 random(3);
    constexpr std::size_t stride = 83;
    std::vector<float> in(stride * 24);
    for (auto& v : in) v = random() % 23 == 0 ? inf : static_cast<float>(random() % 50);
    for_each_target([&] {
        LineOpeningWork work;
        for (int width = 1; width <= 70; ++width) {
            const int height = 1 + (width * 7) % 22;
            const std::size_t offset = static_cast<std::size_t>(width) % 9;
            for (const double slope : {0.0, 1.0, -1.0, 0.41421, -0.7}) {
                const DigitalLine line{slope, 1 + (width * 5) % 13, (width * 11) % 40};
                std::vector<float> want(stride * 24, -7), got(stride * 24, -7);
                reference::line_opening(in.data() + offset, stride, width, height, line,
                                        want.data() + offset, stride);
                line_opening(in.data() + offset, stride, width, height, line, got.data() + offset,
                             stride, work);
                for (std::size_t i = 0; i < want.size(); ++i)
                    ASSERT_EQ(want[i], got[i])
                        << "first bad at row " << (i - offset) / stride << ", column "
                        << (i - offset) % stride << "; width " << width << ", height " << height
                        << ", slope " << slope << ", length " << line.length;
            }
        }
    });
}

TEST(LineOpening, RemovesWhatIsShorterAndKeepsWhatIsLonger) {
    constexpr std::size_t n = 40;
    std::vector<float> in(n * n, 10), out(n * n);
    for (std::size_t y = 5; y < 13; ++y) in[y * n + 20] = 50;   // a bar 8 long
    for (std::size_t y = 15; y < 35; ++y) in[y * n + 10] = 50;  // and one 20 long
    LineOpeningWork work;
    line_opening(in.data(), n, n, n, {0.0, 9, 0}, out.data(), n, work);
    EXPECT_EQ(out[8 * n + 20], 10);
    EXPECT_EQ(out[20 * n + 10], 50);
    line_opening(in.data(), n, n, n, {0.0, 8, 0}, out.data(), n, work);
    EXPECT_EQ(out[8 * n + 20], 50);
    line_opening(in.data(), n, n, n, {1.0, 9, 0}, out.data(), n, work);  // across both bars
    EXPECT_EQ(out[20 * n + 10], 10);
}

TEST(LineOpening, TilesSeeTheSameLines) {
    constexpr std::size_t n = 64;
    std::mt19937 random(5);
    std::vector<float> in(n * n), whole(n * n), part(n * n);
    for (auto& v : in) v = static_cast<float>(random() % 100);
    LineOpeningWork work;
    const double slope = 0.37;
    line_opening(in.data(), n, n, n, {slope, 7, 0}, whole.data(), n, work);
    // rows 13 … 50 and columns 9 … 56, halo 6 on each side
    line_opening(in.data() + 13 * n + 9, n, 48, 38, {slope, 7, 13}, part.data(), n, work);
    for (std::size_t y = 6; y < 32; ++y)
        for (std::size_t x = 6; x < 42; ++x)
            ASSERT_EQ(part[y * n + x], whole[(y + 13) * n + x + 9]) << x << ' ' << y;
}

TEST(LineOpening, TransposeIsItsOwnInverse) {
    std::vector<float> in(37 * 21), out(37 * 21), back(37 * 21);
    for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i);
    transpose(in.data(), 37, 37, 21, out.data(), 21);
    EXPECT_EQ(out[5 * 21 + 3], in[3 * 37 + 5]);
    transpose(out.data(), 21, 21, 37, back.data(), 37);
    EXPECT_EQ(in, back);
}

}  // namespace
}  // namespace fenceline::kernels
