#include "kernels/band_system.h"

#include <cmath>
#include <utility>
#include <vector>

namespace fenceline::kernels::reference {

bool dense_inverse(const double* a, std::size_t n, std::size_t band, double* inverse) {
    std::vector<double> m(n * n);
    for (std::size_t j = 0; j < n; ++j)
        for (std::size_t d = 0; d <= band && j + d < n; ++d)
            m[(j + d) * n + j] = m[j * n + j + d] = a[j * (band + 1) + d];
    for (std::size_t i = 0; i < n * n; ++i) inverse[i] = i % (n + 1) == 0 ? 1 : 0;
    for (std::size_t k = 0; k < n; ++k) {  // Gauss and Jordan
        const double pivot = m[k * n + k];
        if (!(std::abs(pivot) > 0)) return false;
        for (std::size_t c = 0; c < n; ++c) m[k * n + c] /= pivot, inverse[k * n + c] /= pivot;
        for (std::size_t r = 0; r < n; ++r) {
            if (r == k) continue;
            const double f = m[r * n + k];
            for (std::size_t c = 0; c < n; ++c) {
                m[r * n + c] -= f * m[k * n + c];
                inverse[r * n + c] -= f * inverse[k * n + c];
            }
        }
    }
    return true;
}

}  // namespace fenceline::kernels::reference
