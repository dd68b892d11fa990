#include "kernels/chi_square.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace fenceline::kernels::reference {

void squared_variates(const float* const* bands, int band_count, const float* weights,
                      const float* constants, int variate_count, std::size_t n, float* out) {
    for (std::size_t i = 0; i < n; ++i) {
        double square = 0;
        for (int v = 0; v < variate_count; ++v) {
            double sum = static_cast<double>(constants[v]);
            for (int b = 0; b < band_count; ++b)
                sum += static_cast<double>(weights[v * band_count + b]) *
                       static_cast<double>(bands[b][i]);
            square += sum * sum;
        }
        out[i] = static_cast<float>(square);
    }
}

void chi_square_survival(const float* value, std::size_t n, int degrees_of_freedom, float* out) {
    for (std::size_t i = 0; i < n; ++i) {
        const double x = value[i] > 0 ? static_cast<double>(value[i]) : 0;
        double sum = 0, term = std::exp(-x / 2);
        int k = 2;
        if (degrees_of_freedom % 2 != 0) {
            sum = std::erfc(std::sqrt(x / 2));
            term *= std::sqrt(2 * x / std::numbers::pi);
            k = 3;
        }
        for (; k <= degrees_of_freedom; k += 2) {
            sum += term;
            term *= x / k;
        }
        out[i] = static_cast<float>(std::clamp(sum, 0.0, 1.0));
    }
}

void log_compress(const float* in, std::size_t n, float scale, float limit, float* out) {
    for (std::size_t i = 0; i < n; ++i) out[i] = std::min(limit, std::log1p(scale * in[i]));
}

void squash(const float* in, std::size_t n, float limit, float* out) {
    for (std::size_t i = 0; i < n; ++i) out[i] = limit * std::tanh(in[i] / limit);
}

}  // namespace fenceline::kernels::reference
