#include "kernels/line_opening.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace fenceline::kernels::reference {

void line_opening(const float* in, std::size_t in_stride, int width, int height,
                  const DigitalLine& line, float* out, std::size_t out_stride) {
    constexpr float inf = std::numeric_limits<float>::infinity();
    const auto shift = [&](int y) {
        return static_cast<int>(std::floor((line.first_row + y) * line.slope + 0.5));
    };
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            const float here =
                in[static_cast<std::size_t>(y) * in_stride + static_cast<std::size_t>(x)];
            float best = -inf;
            for (int start = y - line.length + 1; start <= y;
                 ++start) {  // every position that covers (x, y)
                float least = inf;
                for (int row = std::max(start, 0); row < std::min(start + line.length, height);
                     ++row) {
                    const int column = x + shift(row) - shift(y);
                    if (column >= 0 && column < width)
                        least = std::min(least, in[static_cast<std::size_t>(row) * in_stride +
                                                   static_cast<std::size_t>(column)]);
                }
                best = std::max(best, least);
            }
            out[static_cast<std::size_t>(y) * out_stride + static_cast<std::size_t>(x)] =
                here == inf ? inf : best;
        }
}

}  // namespace fenceline::kernels::reference
