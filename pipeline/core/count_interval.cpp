#include "core/count_interval.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace fenceline {

CountInterval poisson_binomial(std::span<const double> probabilities, double level) {
    std::vector<double> mass{1.0};
    CountInterval out;
    for (double p : probabilities) {
        p = std::isfinite(p) ? std::clamp(p, 0.0, 1.0) : 0.0;
        out.expected += p;
        mass.push_back(0);
        for (std::size_t k = mass.size() - 1; k > 0; --k)
            mass[k] = mass[k] * (1 - p) + mass[k - 1] * p;
        mass[0] *= 1 - p;
    }
    const double tail = (1 - level) / 2;
    double below = 0;
    bool low_found = false, middle_found = false;
    for (std::size_t k = 0; k < mass.size(); ++k) {
        below += mass[k];
        const int n = static_cast<int>(k);
        if (!low_found && below > tail) out.low = n, low_found = true;
        if (!middle_found && below >= 0.5) out.count = n, middle_found = true;
        out.high = n;
        if (below >= 1 - tail - 1e-12) break;
    }
    return out;
}

}  // namespace fenceline
