#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "each_target.h"
#include "kernels/linear.h"

namespace fenceline::kernels {
namespace {

TEST(Linear, AgreesWithReferenceOnEveryWidthOffsetAndTarget) {
    std::mt19937 random(1);
    std::uniform_real_distribution<float> value(-100, 100);
    std::vector<float> in(80);
    std::vector<std::uint8_t> valid(80);
    for (auto& v : in) v = value(random);
    for (auto& v : valid) v = static_cast<std::uint8_t>(random() % 4 == 0 ? 0 : random() % 255 + 1);
    for_each_target([&] {
        for (std::size_t offset = 0; offset < 8; ++offset)
            for (std::size_t n = 0; n <= 70; ++n)
                for (const bool masked : {false, true}) {
                    const std::uint8_t* mask = masked ? valid.data() + offset : nullptr;
                    std::vector<float> want(n + 1, -7), got(n + 1, -7);
                    reference::scale_offset(in.data() + offset, mask, n, 1.7F, -3.0F, want.data());
                    scale_offset(in.data() + offset, mask, n, 1.7F, -3.0F, got.data());
                    for (std::size_t i = 0; i <= n; ++i)
                        ASSERT_NEAR(want[i], got[i], 1e-4) << "first bad at " << i << " of " << n;
                }
    });
}

}  // namespace
}  // namespace fenceline::kernels
