#include "kernels/orientation.h"

#include <cmath>

namespace fenceline::kernels::reference {

void orientation_row(const float* above, const float* row, const float* below, std::size_t n,
                     float soft, float* cos2, float* sin2) {
    for (std::size_t i = 0; i < n; ++i) {
        const double al = above[static_cast<std::ptrdiff_t>(i) - 1], ac = above[i],
                     ar = above[i + 1];
        const double rl = row[static_cast<std::ptrdiff_t>(i) - 1], rr = row[i + 1];
        const double bl = below[static_cast<std::ptrdiff_t>(i) - 1], bc = below[i],
                     br = below[i + 1];
        const double gx = (3 * (ar - al) + 10 * (rr - rl) + 3 * (br - bl)) / 32;
        const double gy = (3 * (bl - al) + 10 * (bc - ac) + 3 * (br - ar)) / 32;
        const double m = std::hypot(gx, gy);
        if (m == 0) {
            cos2[i] = sin2[i] = 0;
            continue;
        }
        const double w = m / (m + static_cast<double>(soft)), theta = std::atan2(gy, gx);
        cos2[i] = static_cast<float>(w * std::cos(2 * theta));
        sin2[i] = static_cast<float>(w * std::sin(2 * theta));
    }
}

}  // namespace fenceline::kernels::reference
