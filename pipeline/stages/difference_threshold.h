#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

// Thresholds of a score, from its histogram.

namespace fenceline {

struct Histogram {
    double low = 0, step = 1;
    std::vector<double> count;
    double total = 0;
    double centre(std::size_t k) const { return low + (static_cast<double>(k) + 0.5) * step; }
};

/// bins of equal width between the extremes of the values (NaN-free).
Histogram histogram_of(std::span<const float> values, std::size_t bins);
/// The same histogram in at most `bins` bins between its first and last filled ones.
Histogram rebinned(const Histogram& fine, std::size_t bins);

/// Null of a score whose changed pixels lie high: location is the median, scale (as a Gaussian's σ)
/// comes from the lower half alone. {0, 0} for an empty histogram.
std::pair<double, double> lower_half_null(const Histogram& histogram);

/// Smallest score from which Benjamini & Hochberg's (1995) rule holds for a Gaussian null: N·p(t)
/// <= q·#{score >= t}.
double discovery_threshold(const Histogram& h, double location, double scale, double q);

double otsu_threshold(const Histogram& h);
double kittler_threshold(const Histogram& h);
double em_threshold(const Histogram& h);

}  // namespace fenceline
