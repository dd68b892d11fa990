#include "kernels/labels.h"

#include <utility>

namespace fenceline::kernels::reference {

void two_levels(const std::int16_t* score, const std::uint8_t* skip, std::size_t n,
                std::int16_t low, std::int16_t high, std::uint8_t* out) {
    for (std::size_t i = 0; i < n; ++i)
        out[i] = skip[i] != 0 || score[i] < low ? 0 : score[i] < high ? 1 : 2;
}

std::size_t find_runs(const std::uint8_t* row, std::size_t n, std::int32_t* edges) {
    std::size_t count = 0;
    bool on = false;
    for (std::size_t i = 0; i < n; ++i)
        if ((row[i] != 0) != on) {
            edges[count++] = static_cast<std::int32_t>(i);
            on = !on;
        }
    if (on) edges[count++] = static_cast<std::int32_t>(n);
    return count;
}

void label_components(const std::uint8_t* image, int width, int height, std::int32_t* labels) {
    const auto at = [&](int x, int y) { return static_cast<std::size_t>(y * width + x); };
    for (int i = 0; i < width * height; ++i) labels[i] = 0;
    std::int32_t next = 0;
    std::vector<std::pair<int, int>> open;
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            if (image[at(x, y)] == 0 || labels[at(x, y)] != 0) continue;
            labels[at(x, y)] = ++next;
            open.assign(1, {x, y});
            while (!open.empty()) {
                const auto [cx, cy] = open.back();
                open.pop_back();
                for (int v = cy - 1; v <= cy + 1; ++v)
                    for (int u = cx - 1; u <= cx + 1; ++u) {
                        if (u < 0 || v < 0 || u >= width || v >= height) continue;
                        if (image[at(u, v)] == 0 || labels[at(u, v)] != 0) continue;
                        labels[at(u, v)] = next;
                        open.emplace_back(u, v);
                    }
            }
        }
}

}  // namespace fenceline::kernels::reference
