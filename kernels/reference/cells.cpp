#include "kernels/cells.h"

#include <algorithm>
#include <cmath>

namespace fenceline::kernels::reference {
namespace {

double bilinear(const float* image, std::size_t stride, int width, int height, double px,
                double py) {
    const double x = std::clamp(px, 0.0, static_cast<double>(width - 1)),
                 y = std::clamp(py, 0.0, static_cast<double>(height - 1));
    const auto x0 = static_cast<std::size_t>(x), y0 = static_cast<std::size_t>(y);
    const auto x1 = std::min(x0 + 1, static_cast<std::size_t>(width - 1)),
               y1 = std::min(y0 + 1, static_cast<std::size_t>(height - 1));
    const double fx = x - static_cast<double>(x0), fy = y - static_cast<double>(y0);
    const auto at = [&](std::size_t i, std::size_t j) {
        return static_cast<double>(image[j * stride + i]);
    };
    return (1 - fy) * ((1 - fx) * at(x0, y0) + fx * at(x1, y0)) +
           fy * ((1 - fx) * at(x0, y1) + fx * at(x1, y1));
}

/// Calls each(x, y) for the samples of cell i.
template <class Each>
void for_samples(const CellRow& row, int i, const Each& each) {
    for (int k = 0; k < row.fine; ++k)
        for (int j = 0; j < row.fine; ++j) {
            const double u = i + (j + 0.5) / row.fine - 0.5, v = (k + 0.5) / row.fine - 0.5;
            each(row.x + u * row.along_x + v * row.across_x,
                 row.y + u * row.along_y + v * row.across_y);
        }
}

}  // namespace

void cell_row(const float* image, std::size_t stride, int width, int height, const CellRow& row,
              int n, float* out) {
    for (int i = 0; i < n; ++i) {
        double sum = 0;
        for_samples(row, i, [&](double x, double y) {
            sum += bilinear(image, stride, width, height, x, y);
        });
        out[i] = static_cast<float>(sum / (row.fine * row.fine));
    }
}

void colour_cell_row(const float* red, const float* green, const float* blue, std::size_t stride,
                     int width, int height, const CellRow& row, int n, float* brightness,
                     float* red_blue, float* excess_green) {
    for (int i = 0; i < n; ++i) {
        double sum = 0, rb = 0, excess = 0;
        for_samples(row, i, [&](double x, double y) {
            const double r = bilinear(red, stride, width, height, x, y),
                         g = bilinear(green, stride, width, height, x, y),
                         b = bilinear(blue, stride, width, height, x, y);
            const double all = std::max(1e-6, std::abs(r + g + b));
            sum += (r + g + b) / 3;
            rb += (r - b) / all;
            excess += (2 * g - r - b) / all;
        });
        const double count = row.fine * row.fine;
        brightness[i] = static_cast<float>(sum / count);
        red_blue[i] = static_cast<float>(rb / count);
        excess_green[i] = static_cast<float>(excess / count);
    }
}

}  // namespace fenceline::kernels::reference
