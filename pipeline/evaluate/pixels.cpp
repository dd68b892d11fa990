#include "evaluate/pixels.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <vector>

namespace fenceline {
namespace {

using Pixels = std::vector<std::uint64_t>;  ///< sorted, each once

constexpr std::uint64_t key(std::int64_t column, std::int64_t row) {
    return (static_cast<std::uint64_t>(row) << 32U) ^ static_cast<std::uint32_t>(column);
}

/// Pixels whose centre lies inside (even-odd rule).
void fill(const Ring& ring, Pixels& out) {
    if (ring.size() < 3) return;
    double low = ring.front().y, high = low;
    for (const Point p : ring) {
        low = std::min(low, p.y);
        high = std::max(high, p.y);
    }
    const auto first_centre = [](double v) {
        return static_cast<std::int64_t>(std::ceil(v - 0.5));
    };
    std::vector<double> crossings;
    for (std::int64_t row = first_centre(low); row < first_centre(high); ++row) {
        const double y = static_cast<double>(row) + 0.5;
        crossings.clear();
        for (std::size_t i = 0; i < ring.size(); ++i) {
            const Point p = ring[i], q = ring[(i + 1) % ring.size()];
            if ((p.y > y) != (q.y > y))
                crossings.push_back(p.x + (y - p.y) / (q.y - p.y) * (q.x - p.x));
        }
        std::sort(crossings.begin(), crossings.end());
        for (std::size_t k = 0; k + 1 < crossings.size(); k += 2)
            for (std::int64_t x = first_centre(crossings[k]); x < first_centre(crossings[k + 1]);
                 ++x)
                out.push_back(key(x, row));
    }
}

Pixels pixels_of(std::span<const ChangedGround> changes, int interval, bool gained) {
    Pixels out;
    for (const auto& change : changes)
        if (change.interval == interval && change.gained == gained) fill(change.ring, out);
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}
Pixels without(const Pixels& all, const Pixels& taken) {
    Pixels out;
    std::set_difference(all.begin(), all.end(), taken.begin(), taken.end(),
                        std::back_inserter(out));
    return out;
}

}  // namespace

PixelCounts count_pixels(std::span<const ChangedGround> truth,
                         std::span<const ChangedGround> reported,
                         std::span<const ChangedGround> unknown, int intervals, double area_m2) {
    PixelCounts n;
    for (int interval = 0; interval < intervals; ++interval)
        for (const bool gained : {true, false}) {
            const Pixels skipped = pixels_of(unknown, interval, gained);
            const Pixels actual = without(pixels_of(truth, interval, gained), skipped);
            const Pixels claimed = without(pixels_of(reported, interval, gained), skipped);
            const auto missed = static_cast<double>(without(actual, claimed).size());
            const auto wrong = static_cast<double>(without(claimed, actual).size());
            const double right = static_cast<double>(actual.size()) - missed;
            n.true_positive += right;
            n.false_positive += wrong;
            n.false_negative += missed;
            n.true_negative += std::max(
                0.0, area_m2 - static_cast<double>(skipped.size()) - right - wrong - missed);
        }
    return n;
}

}  // namespace fenceline
