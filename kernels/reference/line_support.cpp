#include "kernels/line_support.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace fenceline::kernels::reference {

void line_features(const LineRows& rows, std::size_t features, std::size_t n, float* const* out) {
    for (std::size_t x = 0; x < n; ++x) {
        const auto mean = [&](LineMean k) {
            return (rows.upto[k][x] - rows.before[k][x]) * rows.per_row[k];
        };
        const float gn = (rows.below[x] - rows.above[x]) * rows.across_scale,
                    gs = (rows.here + x)[1] * rows.along_scale -
                         (rows.here + x)[-1] * rows.along_scale;
        const float sun = rows.sun[x];
        const float shade = sun * (mean(kMeanAfter) - mean(kMeanBefore));
        const float strip =
            mean(kMeanMiddle) - std::max(mean(kMeanSideAfter), mean(kMeanSideBefore));
        const bool after_lit = sun > 0;
        const float lit = mean(after_lit ? kMeanNearAfter : kMeanNearBefore),
                    dark = mean(after_lit ? kMeanNearBefore : kMeanNearAfter),
                    beyond = mean(after_lit ? kMeanBeyondBefore : kMeanBeyondAfter);
        const float band =
            std::min(1.0F, 1.5F * std::abs(sun)) * std::max(0.0F, std::min(lit, beyond) - dark);
        const bool seen = rows.seen_upto[x] - rows.seen_before[x] >= rows.seen_rows;
        const std::array<float, kLineFeatures> values{gn * gn - gs * gs,
                                                      gn * gn + gs * gs,
                                                      shade,
                                                      shade * shade,
                                                      strip,
                                                      strip * strip,
                                                      1.0F,
                                                      band};
        for (std::size_t f = 0; f < features; ++f) out[f][x] = seen ? values[f] : 0.0F;
    }
}

void raise_line_support(const float* const* rows, std::size_t count, std::size_t n,
                        const LineWeights& weights, float* z, float* fit) {
    for (std::size_t x = 0; x < n; ++x) {
        const auto mean = [&](LineFeature f) {
            float sum = 0;
            for (std::size_t k = 0; k < count; ++k) sum += rows[f * count + k][x];
            return sum / static_cast<float>(count);
        };
        const float seen = mean(kLineSeen);
        if (seen < 0.5F) continue;
        const float energy = mean(kLineEnergy) / seen + weights.energy_floor;
        const float orientation = std::max(0.0F, mean(kLineAcross)) / seen / energy;
        const float shade = std::max(0.0F, mean(kLineShade)) / seen /
                            std::sqrt(mean(kLineShade2) / seen + weights.shade_floor);
        const float strip = std::max(0.0F, mean(kLineStrip)) / seen /
                            std::sqrt(mean(kLineStrip2) / seen + weights.strip_floor);
        z[x] = std::max(z[x], weights.orientation * orientation + weights.shade * shade +
                                  weights.strip * strip);
        if (fit != nullptr)
            fit[x] = std::max(fit[x], weights.fit_orientation * orientation +
                                          weights.fit_shade * shade + weights.fit_strip * strip +
                                          weights.fit_band * mean(kLineBand) / seen +
                                          weights.fit_energy * std::log(energy));
    }
}

}  // namespace fenceline::kernels::reference
