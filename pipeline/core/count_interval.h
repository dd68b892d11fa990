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

/// The same for how many there are in all when only some are found: besides the found ones, which
/// are real with these probabilities, those that were missed. The share that is found is a beta
/// distribution (found, missed > 0: its parameters, pseudo-counts); a priori every number is as
/// likely, so that the missed ones of n found follow a beta negative binomial distribution.
CountInterval count_with_missed(std::span<const double> probabilities, double level, double found,
                                double missed);

}  // namespace fenceline
