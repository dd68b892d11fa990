#include "kernels/labels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <vector>

#include "each_target.h"

namespace fenceline::kernels {
namespace {

TEST(Labels, LevelsAndRunsAgreeWithReferenceOnEveryWidthOffsetAndTarget) {
    std::mt19937 random(3);
    std::vector<std::int16_t> score(400);
    std::vector<std::uint8_t> skip(400), row(400);
    for (std::size_t i = 0; i < 400; ++i) {
        score[i] = static_cast<std::int16_t>(static_cast<int>(random() % 65536) - 32768);
        skip[i] = random() % 5 == 0 ? 7 : 0;
        row[i] = i > 100 && i < 260 ? 255 : random() % 3 == 0 ? 9 : 0;
    }
    for_each_target([&] {
        for (std::size_t offset = 0; offset < 6; ++offset)
            for (std::size_t n = 0; n <= 330; n += n < 140 ? 1 : 17) {
                std::vector<std::uint8_t> want(n + 1, 9), got(n + 1, 9);
                reference::two_levels(score.data() + offset, skip.data() + offset, n, -500, 20000,
                                      want.data());
                two_levels(score.data() + offset, skip.data() + offset, n, -500, 20000, got.data());
                ASSERT_EQ(want, got) << n;
                std::vector<std::int32_t> edges(n + 2, -1), found(n + 2, -1);
                const std::size_t count =
                    reference::find_runs(row.data() + offset, n, edges.data());
                ASSERT_EQ(count % 2, 0U);
                ASSERT_EQ(find_runs(row.data() + offset, n, found.data()), count) << n;
                ASSERT_EQ(edges, found) << n;
            }
    });
}

TEST(Labels, ComponentsAreThoseOfAFloodFill) {
    constexpr std::array<std::array<int, 2>, 4> sizes{{{1, 1}, {7, 9}, {70, 50}, {130, 31}}};
    std::mt19937 random(4);
    for (const int density : {20, 40, 55, 70, 100})
        for (const auto [width, height] : sizes) {
            const auto pixels = static_cast<std::size_t>(width * height);
            std::vector<std::uint8_t> image(pixels);
            for (auto& v : image) v = static_cast<int>(random() % 100) < density;
            if (height > 20)  // an empty row parts what is above it from what is below
                for (int x = 0; x < width; ++x) image[static_cast<std::size_t>(15 * width + x)] = 0;
            std::vector<std::int32_t> want(pixels);
            reference::label_components(image.data(), width, height, want.data());
            // A component's number may serve again: it is told apart by its first pixel.
            RunComponents components;
            std::vector<std::int32_t> edges(static_cast<std::size_t>(width) + 1);
            std::vector<std::int32_t> got(pixels, 0);
            std::vector<std::vector<std::size_t>> members;
            std::vector<std::vector<std::size_t>> ended;
            const auto take = [&] {
                members.resize(components.label_count());
                const auto at = [&](std::int32_t label) -> std::vector<std::size_t>& {
                    return members[static_cast<std::size_t>(label)];
                };
                for (const auto& [kept, gone] : components.joined()) {
                    at(kept).insert(at(kept).end(), at(gone).begin(), at(gone).end());
                    at(gone).clear();
                }
                for (const std::int32_t label : components.ended()) {
                    ASSERT_FALSE(at(label).empty()) << "a component ends once";
                    ended.push_back(std::move(at(label)));
                    at(label).clear();
                }
            };
            for (int y = 0; y < height; ++y) {
                const std::size_t count = find_runs(image.data() + y * width,
                                                    static_cast<std::size_t>(width), edges.data());
                if (count == 0) continue;
                components.add_row(y, edges.data(), count);
                take();
                for (std::size_t k = 0; k < components.labels().size(); ++k)
                    for (int x = edges[2 * k]; x < edges[2 * k + 1]; ++x)
                        members[static_cast<std::size_t>(components.labels()[k])].push_back(
                            static_cast<std::size_t>(y * width + x));
            }
            components.end();
            take();
            for (auto& one : ended) std::sort(one.begin(), one.end());
            std::sort(ended.begin(), ended.end());
            for (std::size_t k = 0; k < ended.size(); ++k)
                for (const std::size_t i : ended[k]) got[i] = static_cast<std::int32_t>(k) + 1;
            EXPECT_LE(components.label_count(), static_cast<std::size_t>(2 * width + 2));
            ASSERT_EQ(want, got) << width << " x " << height << " at " << density << " %";
        }
}

}  // namespace
}  // namespace fenceline::kernels
