#include "stages/difference_threshold.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "stages/difference.h"

namespace fenceline {

Histogram histogram_of(std::span<const float> values, std::size_t bins) {
    Histogram h;
    h.count.assign(bins, 0);
    if (values.empty()) return h;
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    h.low = static_cast<double>(*low);
    h.step = std::max((static_cast<double>(*high) - h.low) / static_cast<double>(bins), 1e-30);
    for (const float v : values) {
        const auto k = static_cast<std::size_t>((static_cast<double>(v) - h.low) / h.step);
        h.count[std::min(k, bins - 1)] += 1;
    }
    h.total = static_cast<double>(values.size());
    return h;
}

Histogram rebinned(const Histogram& fine, std::size_t bins) {
    Histogram h;
    h.count.assign(bins, 0);
    std::size_t first = 0, last = fine.count.size();
    while (first < last && fine.count[first] == 0) ++first;
    while (last > first && fine.count[last - 1] == 0) --last;
    if (first == last) return h;
    const std::size_t each = std::max<std::size_t>(1, (last - first + bins - 1) / bins);
    h.low = fine.low + static_cast<double>(first) * fine.step;
    h.step = fine.step * static_cast<double>(each);
    h.total = fine.total;
    for (std::size_t k = first; k < last; ++k) h.count[(k - first) / each] += fine.count[k];
    return h;
}

std::pair<double, double> lower_half_null(const Histogram& h) {
    if (!(h.total > 0)) return {0, 0};
    // Quantile, linear inside its bin.
    const auto quantile = [&](double rank) {
        double below = 0;
        for (std::size_t k = 0; k < h.count.size(); ++k) {
            if (h.count[k] > 0 && below + h.count[k] >= rank)
                return h.low + (static_cast<double>(k) + (rank - below) / h.count[k]) * h.step;
            below += h.count[k];
        }
        return h.low + h.step * static_cast<double>(h.count.size());
    };
    // The median distance of the lower half from the median is the distance of the lower quartile.
    const double centre = quantile(0.5 * h.total);
    return {centre, 1.4826 * (centre - quantile(0.25 * h.total))};
}

double discovery_threshold(const Histogram& h, double location, double scale, double q) {
    double above = 0, threshold = h.low + h.step * static_cast<double>(h.count.size());
    for (std::size_t k = h.count.size(); k-- > 0;) {
        above += h.count[k];
        const double t = h.low + static_cast<double>(k) * h.step;
        const double p = 0.5 * std::erfc((t - location) / scale / std::sqrt(2.0));
        if (above > 0 && h.total * p <= q * above) threshold = t;
        if (t <= location) break;
    }
    return threshold;
}

double otsu_threshold(const Histogram& h) {
    if (h.total < 2) return 0;
    double sum = 0;
    for (std::size_t k = 0; k < h.count.size(); ++k) sum += h.count[k] * h.centre(k);
    double best = -1, threshold = h.low, weight = 0, partial = 0;
    for (std::size_t k = 0; k + 1 < h.count.size(); ++k) {
        weight += h.count[k];
        partial += h.count[k] * h.centre(k);
        if (weight <= 0 || weight >= h.total) continue;
        const double gap = partial / weight - (sum - partial) / (h.total - weight);
        const double between = weight * (h.total - weight) * gap * gap;
        if (between > best) {
            best = between;
            threshold = h.low + static_cast<double>(k + 1) * h.step;
        }
    }
    return threshold;
}

double kittler_threshold(const Histogram& h) {
    if (h.total < 2) return 0;
    double best = 1e300, threshold = h.low;
    double n1 = 0, s1 = 0, q1 = 0, s = 0, q = 0;
    for (std::size_t k = 0; k < h.count.size(); ++k) {
        s += h.count[k] * h.centre(k);
        q += h.count[k] * h.centre(k) * h.centre(k);
    }
    for (std::size_t k = 0; k + 1 < h.count.size(); ++k) {
        n1 += h.count[k];
        s1 += h.count[k] * h.centre(k);
        q1 += h.count[k] * h.centre(k) * h.centre(k);
        const double n2 = h.total - n1;
        if (n1 < 1 || n2 < 1) continue;
        const double v1 = q1 / n1 - std::pow(s1 / n1, 2),
                     v2 = (q - q1) / n2 - std::pow((s - s1) / n2, 2);
        if (v1 <= h.step * h.step * 1e-3 || v2 <= h.step * h.step * 1e-3) continue;
        const double p1 = n1 / h.total, p2 = n2 / h.total;
        const double cost =
            1 + p1 * std::log(v1) + p2 * std::log(v2) - 2 * (p1 * std::log(p1) + p2 * std::log(p2));
        if (cost < best) {
            best = cost;
            threshold = h.low + static_cast<double>(k + 1) * h.step;
        }
    }
    return threshold;
}

double em_threshold(const Histogram& h) {
    if (h.total < 2) return 0;
    const double split = otsu_threshold(h);
    struct Part {
        double share = 0.5, mean = 0, variance = 1;
    };
    std::array<Part, 2> parts;
    const auto update = [&](const auto& membership) {
        for (int c = 0; c < 2; ++c) {
            double n = 0, m = 0, v = 0;
            for (std::size_t k = 0; k < h.count.size(); ++k) {
                const double w = h.count[k] * (c == 0 ? 1 - membership(k) : membership(k));
                n += w;
                m += w * h.centre(k);
                v += w * h.centre(k) * h.centre(k);
            }
            if (n <= 0) continue;
            m /= n;
            parts[static_cast<std::size_t>(c)] = {n / h.total, m,
                                                  std::max(v / n - m * m, h.step * h.step)};
        }
    };
    update([&](std::size_t k) { return h.centre(k) >= split ? 1.0 : 0.0; });
    const auto density = [&](const Part& part, double x) {
        return part.share / std::sqrt(part.variance) *
               std::exp(-0.5 * (x - part.mean) * (x - part.mean) / part.variance);
    };
    for (int round = 0; round < 100; ++round) {
        const auto old = parts;
        update([&](std::size_t k) {
            const double a = density(old[0], h.centre(k)), b = density(old[1], h.centre(k));
            return a + b > 0 ? b / (a + b) : (h.centre(k) > old[1].mean ? 1.0 : 0.0);
        });
    }
    for (std::size_t k = 0; k < h.count.size(); ++k)
        if (h.centre(k) > parts[0].mean &&
            density(parts[1], h.centre(k)) >= density(parts[0], h.centre(k)))
            return h.centre(k);
    return h.low + h.step * static_cast<double>(h.count.size());
}

double otsu_threshold(std::span<const float> values) {
    return values.size() < 2 ? 0 : otsu_threshold(histogram_of(values, 1024));
}
double kittler_threshold(std::span<const float> values) {
    return values.size() < 2 ? 0 : kittler_threshold(histogram_of(values, 256));
}
double em_threshold(std::span<const float> values) {
    return values.size() < 2 ? 0 : em_threshold(histogram_of(values, 256));
}

}  // namespace fenceline
