#pragma once

#include <span>

namespace fenceline {

/// Number of events that happen out of independent ones with these probabilities: the median and
/// the smallest central interval that holds at least `level` (Poisson-binomial distribution, by
/// convolution). Non-finite probabilities count as 0.
struct CountInterval {
    int count = 0, low = 0, high = 0;
    double expected = 0;
};
CountInterval poisson_binomial(std::span<const double> probabilities, double level);

}  // namespace fenceline
