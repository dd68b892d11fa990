#pragma once

#include <array>
#include <cstddef>

namespace fenceline::kernels {

/// What is averaged along a line, per pixel of an image that is unrolled along it (rows run across
/// the line). kLineBand comes last: it serves the placing of a line only.
enum LineFeature {
    kLineAcross,  ///< gradient across squared less gradient along squared
    kLineEnergy,  ///< squared gradient
    kLineShade,   ///< brighter on the side of the sun: the mean there less the mean opposite
    kLineShade2,  ///< its square
    kLineStrip,   ///< a bright strip around: middle less the brighter of its sides
    kLineStrip2,  ///< its square
    kLineSeen,    ///< 1 where all that is read is seen, else 0, and 0 in all others
    kLineBand,    ///< a shadow's band beside: darker than the lit side and than what lies beyond
    kLineFeatures
};

/// Means over rows around a pixel that the features are made of.
enum LineMean {
    kMeanAfter,
    kMeanBefore,
    kMeanMiddle,
    kMeanSideAfter,
    kMeanSideBefore,
    kMeanNearAfter,
    kMeanNearBefore,
    kMeanBeyondAfter,
    kMeanBeyondBefore,
    kLineMeans
};

/// One row of such an image with what lies around it. Every pointer holds n values from the first
/// pixel on; `here` one more on either side.
struct LineRows {
    const float *above = nullptr, *here = nullptr, *below = nullptr;
    /// Mean k is (upto[k][x] - before[k][x]) · per_row[k]: running sums down the columns.
    std::array<const float*, kLineMeans> upto{}, before{};
    std::array<float, kLineMeans> per_row{};
    const float *seen_upto = nullptr, *seen_before = nullptr;  ///< the same for what is seen
    float seen_rows = 0;                                       ///< at least so many must be
    const float* sun = nullptr;  ///< -1…1, above 0 when later rows look to the sun
    float across_scale = 1, along_scale = 1;
};
/// out[f][x] for x = 0…n-1 and the first `features` features (kLineBand or kLineFeatures). out must
/// not overlap the input.
void line_features(const LineRows& rows, std::size_t features, std::size_t n, float* const* out);

/// How averaged features make the support for a line. The floors keep empty ground from looking
/// consistent.
struct LineWeights {
    float energy_floor = 0, shade_floor = 0, strip_floor = 0;
    float orientation = 0, shade = 0, strip = 0;  ///< of z
    float fit_orientation = 0, fit_shade = 0, fit_strip = 0, fit_band = 0,
          fit_energy = 0;  ///< of fit
};
/// Averages `count` stretches of each feature and raises z and fit where they give more:
///   m_f = (rows[f · count][x] + … + rows[f · count + count - 1][x]) / count, and with w = m_seen:
///   nothing where w < 0.5; else
///   o = max(0, m_across)/w / (m_energy/w + energy_floor)
///   s = max(0, m_shade)/w / sqrt(m_shade2/w + shade_floor), t likewise for the strip
///   z = max(z, orientation·o + shade·s + strip·t)
///   fit = max(fit, fit_orientation·o + fit_shade·s + fit_strip·t + fit_band·m_band/w
///                  + fit_energy·ln(m_energy/w + energy_floor))
/// rows holds kLineFeatures · count pointers, or kLineBand · count when fit is null (then only z is
/// wanted). All floors are above 0. z and fit must not overlap the rows.
void raise_line_support(const float* const* rows, std::size_t count, std::size_t n,
                        const LineWeights& weights, float* z, float* fit);

namespace reference {
void line_features(const LineRows& rows, std::size_t features, std::size_t n, float* const* out);
void raise_line_support(const float* const* rows, std::size_t count, std::size_t n,
                        const LineWeights& weights, float* z, float* fit);
}  // namespace reference

}  // namespace fenceline::kernels
