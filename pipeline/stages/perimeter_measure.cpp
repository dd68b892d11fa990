#include "stages/perimeter_measure.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace fenceline {
namespace {

constexpr double kTwoSided95 = 1.96, kCutShare = 0.06, kCornerShare = 0.008;

double noise_sigma(const LineErrors& e) {
    return std::hypot(e.normal_sigma_m, 0.3 * e.resolution_m, e.registration_sigma_m);
}
double bias_sigma(const LineErrors& e) { return std::hypot(e.bias_sigma_m, 0.1 * e.resolution_m); }

/// Variance of the area under noise along a stretch: sigma² · length · 2L (exponential correlation,
/// length >> L).
double stretch_variance(double length_m, const LineErrors& e) {
    const double sigma = noise_sigma(e);
    return sigma * sigma * std::max(0.0, length_m) * 2 * e.correlation_m;
}

/// A line that leans by the slope sigma/L to and fro is longer than the traced one only to second
/// order; what the corners do is of first order: each bend shifts the length by about sigma. One
/// bend per 4 L is assumed. Tips that are cut or put too far out add kCornerShare of the length
/// (the error of lines that were known, camp25 tune seeds 121-128 and the sample: -.8 to 2.0 %). A
/// shared bias b makes a closed line longer by 2·pi·b.
double length_variance(double length_m, const LineErrors& e) {
    const double sigma = noise_sigma(e), bends = length_m / (4 * e.correlation_m);
    return sigma * sigma * bends + std::pow(kCornerShare * length_m, 2);
}

}  // namespace

double junction_sigma_m2(double region_m2) {
    constexpr double kSquare_m = 70, kShare = 0.012;
    return std::numbers::sqrt2 * std::min(kSquare_m * kSquare_m, kShare * std::abs(region_m2));
}

MeasureIntervals measure_intervals(double area_m2, double length_m, const LineErrors& errors) {
    const double bias = std::hypot(bias_sigma(errors), errors.own_bias_m);
    double variance = stretch_variance(length_m, errors) + std::pow(bias * length_m, 2) +
                      errors.area_sigma_m2 * errors.area_sigma_m2;
    double length_var =
        length_variance(length_m, errors) + std::pow(2 * std::numbers::pi * bias, 2);
    double hidden_growth = 0;
    for (const double gap : errors.bridged_m) {
        variance += std::pow(0.067 * gap * gap, 2);
        length_var += std::pow(0.03 * gap, 2);
    }
    for (const double gap : errors.hidden_m) {
        variance += std::pow(0.067 * gap * gap, 2);
        length_var += std::pow(0.03 * gap, 2);
        hidden_growth += 0.25 * gap * gap;
    }
    MeasureIntervals out;
    const double half = kTwoSided95 * std::sqrt(variance),
                 half_length = kTwoSided95 * std::sqrt(length_var);
    out.area = {std::max(0.0, area_m2 - half), area_m2 + half + hidden_growth};
    out.length = {std::max(0.0, length_m - half_length),
                  length_m + std::hypot(half_length, kCutShare * errors.found_m)};
    return out;
}

Interval area_ratio_interval(double area_before_m2, double length_before_m, double area_after_m2,
                             double length_after_m, double shared_m, const LineErrors& errors) {
    if (!(area_before_m2 > 0)) return {0, 0};
    const double ratio = area_after_m2 / area_before_m2;
    // ratio = (A2 + b P2 + e2 + es) / (A1 + b P1 + e1 + es): derivatives by b, by the shared
    // stretch and by the others.
    const double by_bias = (length_after_m - ratio * length_before_m) / area_before_m2;
    const double by_shared = (1 - ratio) / area_before_m2, by_after = 1 / area_before_m2,
                 by_before = ratio / area_before_m2;
    double variance = std::pow(by_bias * bias_sigma(errors), 2) +
                      by_shared * by_shared * stretch_variance(shared_m, errors) +
                      by_after * by_after * stretch_variance(length_after_m - shared_m, errors) +
                      by_before * by_before * stretch_variance(length_before_m - shared_m, errors) +
                      std::pow(by_after * errors.area_sigma_m2, 2) +
                      std::pow(by_after * errors.own_bias_m * length_after_m, 2) +
                      std::pow(by_before * errors.own_bias_before_m * length_before_m, 2);
    for (const double gap : errors.bridged_m) variance += std::pow(by_after * 0.067 * gap * gap, 2);
    for (const double gap : errors.hidden_m) variance += std::pow(by_after * 0.067 * gap * gap, 2);
    for (const double gap : errors.bridged_before_m)
        variance += std::pow(by_before * 0.067 * gap * gap, 2);
    const double half = kTwoSided95 * std::sqrt(variance);
    return {std::max(0.0, ratio - half), ratio + half};
}

Interval length_ratio_interval(double length_before_m, double length_after_m, double shared_m,
                               const LineErrors& errors) {
    if (!(length_before_m > 0)) return {0, 0};
    const double ratio = length_after_m / length_before_m;
    const double by_bias = 2 * std::numbers::pi * (1 - ratio) / length_before_m;
    const double variance = std::pow(by_bias * bias_sigma(errors), 2) +
                            (std::pow(1 - ratio, 2) * length_variance(shared_m, errors) +
                             length_variance(length_after_m - shared_m, errors) +
                             ratio * ratio * length_variance(length_before_m - shared_m, errors)) /
                                (length_before_m * length_before_m);
    const double half = kTwoSided95 * std::sqrt(variance);
    return {std::max(0.0, ratio - half),
            ratio + std::hypot(half, kCutShare * errors.found_m / length_before_m)};
}

}  // namespace fenceline
