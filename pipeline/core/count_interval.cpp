#include "core/count_interval.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace fenceline {

namespace {

/// mass[k]: probability that k of the events happen.
std::vector<double> distribution_of(std::span<const double> probabilities) {
    std::vector<double> mass{1.0};
    for (double p : probabilities) {
        p = std::isfinite(p) ? std::clamp(p, 0.0, 1.0) : 0.0;
        mass.push_back(0);
        for (std::size_t k = mass.size() - 1; k > 0; --k)
            mass[k] = mass[k] * (1 - p) + mass[k - 1] * p;
        mass[0] *= 1 - p;
    }
    return mass;
}

CountInterval interval_of(std::span<const double> mass, double level) {
    CountInterval out;
    const double tail = (1 - level) / 2;
    double below = 0;
    bool low_found = false, middle_found = false;
    for (std::size_t k = 0; k < mass.size(); ++k) out.expected += static_cast<double>(k) * mass[k];
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

double log_beta(double a, double b) { return std::lgamma(a) + std::lgamma(b) - std::lgamma(a + b); }

}  // namespace

CountInterval poisson_binomial(std::span<const double> probabilities, double level) {
    return interval_of(distribution_of(probabilities), level);
}

CountInterval count_with_missed(std::span<const double> probabilities, double level, double found,
                                double missed) {
    const std::vector<double> seen = distribution_of(probabilities);
    std::vector<double> all(3 * seen.size() + 20, 0.0);
    for (std::size_t n = 0; n < seen.size(); ++n) {
        if (seen[n] < 1e-12) continue;
        // P(m | n) = C(n + m, m) B(found + n + 1, missed + m) / B(found, missed), made to sum to 1.
        std::vector<double> more(all.size() - n);
        double sum = 0;
        for (std::size_t m = 0; m < more.size(); ++m) {
            const auto seen_n = static_cast<double>(n), missed_m = static_cast<double>(m);
            more[m] =
                std::exp(std::lgamma(seen_n + missed_m + 1) - std::lgamma(seen_n + 1) -
                         std::lgamma(missed_m + 1) +
                         log_beta(found + seen_n + 1, missed + missed_m) - log_beta(found, missed));
            sum += more[m];
        }
        for (std::size_t m = 0; m < more.size(); ++m) all[n + m] += seen[n] * more[m] / sum;
    }
    return interval_of(all, level);
}

}  // namespace fenceline
