#include "stages/normalize.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/mad.h"
#include "core/parallel.h"
#include "kernels/linear.h"

namespace fenceline {
namespace {

constexpr int kHoldOutCells =
    8;  // the image is cut into 8 × 8 cells; black ones fit, white ones test, and back
constexpr int kTheilSenSamples = 1200;  // 720 000 slopes
constexpr std::size_t kFewestSamples = 50;

struct Sample {
    float target, reference;
    int cell;  // 0 or 1: colour of the checkerboard
};

struct Line {
    double gain = 1, offset = 0;
};

/// Orthogonal regression (major axis; Canty & Nielsen 2008, eq. 6), in units where both bands have
/// the variance of the reference, so that a 16-bit target against an 8-bit reference is not a
/// one-sided fit.
std::optional<Line> orthogonal_regression(const std::vector<Sample>& samples, int cell) {
    double n = 0, mx = 0, my = 0;
    for (const auto& s : samples)
        if (cell < 0 || s.cell == cell) {
            n += 1;
            mx += static_cast<double>(s.target);
            my += static_cast<double>(s.reference);
        }
    if (n < static_cast<double>(kFewestSamples)) return std::nullopt;
    mx /= n;
    my /= n;
    double xx = 0, yy = 0, xy = 0;
    for (const auto& s : samples)
        if (cell < 0 || s.cell == cell) {
            const double x = static_cast<double>(s.target) - mx,
                         y = static_cast<double>(s.reference) - my;
            xx += x * x;
            yy += y * y;
            xy += x * y;
        }
    if (!(xx > 0) || !(yy > 0) || !(xy > 0)) return std::nullopt;
    const double unit = std::sqrt(yy / xx);  // target rescaled to the reference's spread
    const double sxx = xx * unit * unit, sxy = xy * unit;
    const double slope =
        (yy - sxx + std::sqrt((yy - sxx) * (yy - sxx) + 4 * sxy * sxy)) / (2 * sxy);
    const double gain = slope * unit;
    if (!(gain > 0) || !std::isfinite(gain)) return std::nullopt;
    return Line{gain, my - gain * mx};
}

/// Median of all pairwise slopes (Theil 1950; Sen 1968) over an even subset, offset as the median
/// residual.
std::optional<Line> theil_sen(const std::vector<Sample>& samples, int cell) {
    std::vector<const Sample*> eligible;
    for (const auto& s : samples)
        if (cell < 0 || s.cell == cell) eligible.push_back(&s);
    if (eligible.size() < kFewestSamples) return std::nullopt;
    std::vector<const Sample*> chosen;
    const std::size_t count = std::min<std::size_t>(kTheilSenSamples, eligible.size());
    for (std::size_t i = 0; i < count; ++i) chosen.push_back(eligible[i * eligible.size() / count]);
    std::vector<double> slopes;
    slopes.reserve(count * count / 2);
    for (std::size_t i = 0; i < count; ++i)
        for (std::size_t j = i + 1; j < count; ++j) {
            const double dx =
                static_cast<double>(chosen[j]->target) - static_cast<double>(chosen[i]->target);
            if (dx != 0)
                slopes.push_back((static_cast<double>(chosen[j]->reference) -
                                  static_cast<double>(chosen[i]->reference)) /
                                 dx);
        }
    if (slopes.size() < kFewestSamples) return std::nullopt;
    const auto median = [](std::vector<double>& v) {
        std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
        return v[v.size() / 2];
    };
    const double gain = median(slopes);
    if (!(gain > 0) || !std::isfinite(gain)) return std::nullopt;
    std::vector<double> residuals;
    for (const Sample* s : chosen)
        residuals.push_back(static_cast<double>(s->reference) -
                            gain * static_cast<double>(s->target));
    return Line{gain, median(residuals)};
}

/// Fits on one colour of the checkerboard and measures on the other, both ways; then fits on all.
template <class Fit>
std::optional<BandLine> fit_and_test(const std::vector<Sample>& samples, const Fit& fit) {
    const std::optional<Line> all = fit(samples, -1);
    if (!all) return std::nullopt;
    BandLine band{all->gain, all->offset, 0, 0};
    double before = 0, after = 0, n = 0;
    for (const int held_out : {0, 1}) {
        const Line line = fit(samples, 1 - held_out).value_or(*all);
        for (const auto& s : samples) {
            if (s.cell != held_out) continue;
            const double x = static_cast<double>(s.target), y = static_cast<double>(s.reference);
            before += (y - x) * (y - x);
            after += std::pow(y - line.gain * x - line.offset, 2);
            n += 1;
        }
    }
    if (n > 0) {
        band.rmse_before = std::sqrt(before / n);
        band.rmse_after = std::sqrt(after / n);
    }
    return band;
}

std::vector<Sample> samples_of(const Plane& target, const Plane& reference, const Mask& chosen) {
    std::vector<Sample> samples;
    for (int y = 0; y < chosen.height(); ++y)
        for (int x = 0; x < chosen.width(); ++x) {
            if (chosen.at(x, y) == 0) continue;
            const int cell =
                (x * kHoldOutCells / chosen.width() + y * kHoldOutCells / chosen.height()) % 2;
            samples.push_back({target.at(x, y), reference.at(x, y), cell});
        }
    return samples;
}

Plane mean_of(const std::vector<Plane>& planes) {
    Plane mean(planes.front().width(), planes.front().height());
    const float weight = 1.0F / static_cast<float>(planes.size());
    for (const auto& plane : planes)
        for (int y = 0; y < mean.height(); ++y)
            for (int x = 0; x < mean.width(); ++x) mean.at(x, y) += weight * plane.at(x, y);
    return mean;
}

/// Blocks whose 5 × 5 surroundings look alike in both images (normalised cross-correlation in the
/// better half, and above 0.5): what radiometry may be learnt from when there is no multivariate
/// test. All seen blocks when too few.
Mask structurally_stable(const BlockAverages& blocks) {
    const int width = blocks.seen.width(), height = blocks.seen.height();
    const Plane target = mean_of(blocks.first), reference = mean_of(blocks.second);
    Plane correlation(width, height, -1.0F);
    parallel_rows(height, [&](int y0, int y1) {
        for (int y = y0; y < y1; ++y)
            for (int x = 0; x < width; ++x) {
                if (blocks.seen.at(x, y) == 0) continue;
                double n = 0, a = 0, b = 0, aa = 0, bb = 0, ab = 0;
                for (int v = std::max(0, y - 2); v <= std::min(height - 1, y + 2); ++v)
                    for (int u = std::max(0, x - 2); u <= std::min(width - 1, x + 2); ++u) {
                        if (blocks.seen.at(u, v) == 0) continue;
                        // Relative to the centre: large digital numbers would eat the double's
                        // digits.
                        const double p = static_cast<double>(target.at(u, v) - target.at(x, y));
                        const double q =
                            static_cast<double>(reference.at(u, v) - reference.at(x, y));
                        n += 1;
                        a += p;
                        b += q;
                        aa += p * p;
                        bb += q * q;
                        ab += p * q;
                    }
                const double va = aa - a * a / n, vb = bb - b * b / n;
                if (n >= 9 && va > 0 && vb > 0)
                    correlation.at(x, y) =
                        static_cast<float>((ab - a * b / n) / std::sqrt(va * vb));
            }
    });
    std::vector<float> values;
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            if (blocks.seen.at(x, y) != 0) values.push_back(correlation.at(x, y));
    if (values.empty()) return blocks.seen;
    std::nth_element(values.begin(),
                     values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
    const float limit = std::max(0.5F, values[values.size() / 2]);
    Mask stable(width, height);
    std::size_t count = 0;
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            if (blocks.seen.at(x, y) != 0 && correlation.at(x, y) >= limit) {
                stable.at(x, y) = 1;
                ++count;
            }
    return count >= 4 * kFewestSamples ? stable : blocks.seen;
}

/// χ² that is exceeded with this probability (0–1), by bisection.
double chi_square_quantile(double survival, int degrees_of_freedom) {
    double low = 0, high = 100.0 * degrees_of_freedom;
    for (int step = 0; step < 60; ++step) {
        const double middle = (low + high) / 2;
        (chi_square_survival(middle, degrees_of_freedom) > survival ? low : high) = middle;
    }
    return low;
}

/// The re-weighted statistic is not χ² in practice: weighting by it cuts the noise's own tails off
/// and shrinks σ round by round. Its lowest two per cent, which hold unchanged ground only, is held
/// against χ²'s own.
double null_scale(const Plane& chi_square, const Mask& seen, int bands) {
    std::vector<float> values;
    for (int y = 0; y < seen.height(); ++y)
        for (int x = 0; x < seen.width(); ++x)
            if (seen.at(x, y) != 0) values.push_back(chi_square.at(x, y));
    if (values.size() < 50) return 1;
    const auto lowest = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 50);
    std::nth_element(values.begin(), lowest, values.end());
    return std::max(1.0, static_cast<double>(*lowest) / chi_square_quantile(0.98, bands));
}

/// Why IR-MAD's unchanged blocks may not be relied on; empty: they may.
std::string refusal(const MadTransform& transform, const Mask& unchanged, int unchanged_count,
                    int seen_count, const NormalizeOptions& options) {
    if (!transform.fault.empty()) return "IR-MAD: " + transform.fault;
    if (transform.correlation.front() < options.min_correlation)
        return fmt::format(
            "IR-MAD refused: leading canonical correlation {:.2f}, at least {:.2f} is asked for",
            transform.correlation.front(), options.min_correlation);
    if (unchanged_count < options.min_no_change_share * seen_count)
        return fmt::format(
            "IR-MAD refused: only {:.2f} % of the ground is unchanged, at least {:.2f} % is asked "
            "for",
            100.0 * unchanged_count / seen_count, 100 * options.min_no_change_share);
    int filled = 0;
    for (int j = 0; j < 4; ++j)
        for (int i = 0; i < 4; ++i) {
            bool any = false;
            for (int y = j * unchanged.height() / 4; y < (j + 1) * unchanged.height() / 4 && !any;
                 ++y)
                for (int x = i * unchanged.width() / 4; x < (i + 1) * unchanged.width() / 4 && !any;
                     ++x)
                    any = unchanged.at(x, y) != 0;
            filled += any;
        }
    if (filled < options.min_partition_share * 16)
        return fmt::format("IR-MAD refused: unchanged ground in only {} of 16 parts of the image",
                           filled);
    return "";
}

}  // namespace

Normalization normalize(const Scene& target, const Scene& reference,
                        const NormalizeOptions& options) {
    Normalization result;
    result.bands.resize(target.raster.bands.size());
    result.method = "none";
    const CommonBands bands = common_bands(target.raster, reference.raster);
    const int width = target.raster.grid.width, height = target.raster.grid.height;
    if (bands.first.empty() || width <= 0 || height <= 0 || reference.raster.grid.width != width ||
        reference.raster.grid.height != height) {
        result.reason = "the scenes share no band or no grid";
        return result;
    }
    Mask seen(width, height);
    parallel_rows(height, [&](int y0, int y1) {
        constexpr std::uint8_t unfit = kHidden | kSaturated | kSnow;
        for (int y = y0; y < y1; ++y)
            for (int x = 0; x < width; ++x)
                seen.at(x, y) = (target.masks.at(x, y) & unfit) == 0 &&
                                (reference.masks.at(x, y) & unfit) == 0 &&
                                target.raster.valid.at(x, y) != 0 &&
                                reference.raster.valid.at(x, y) != 0;
    });
    // Blocks of block_m, larger when the image is so large that they would not fit in memory,
    // single pixels when it is so small that too few would be left.
    const double gsd = target.raster.grid.gsd();
    int side = std::max(1, static_cast<int>(std::lround(options.block_m / gsd)));
    while (static_cast<double>(width / side) * (height / side) > 2e6) ++side;
    while (side > 1 && static_cast<double>(width / side) * (height / side) < 2000) --side;
    const BlockAverages blocks = block_averages(bands, seen, side);
    if (blocks.seen_count < static_cast<int>(2 * kFewestSamples)) {
        result.reason = "hardly any ground is seen in both scenes";
        return result;
    }
    std::vector<std::optional<BandLine>> lines(bands.first.size());
    if (bands.first.size() >= 2) {
        const auto first = pointers(blocks.first), second = pointers(blocks.second);
        const MadTransform transform =
            fit_mad(first, second, blocks.seen, {.max_rounds = options.max_rounds});
        Mask unchanged(blocks.seen.width(), blocks.seen.height());
        int count = 0;
        if (transform.fault.empty()) {
            const Plane chi_square = mad_chi_square(first, second, blocks.seen, transform);
            const double limit =
                null_scale(chi_square, blocks.seen, transform.bands) *
                chi_square_quantile(options.no_change_probability, transform.bands);
            for (int y = 0; y < unchanged.height(); ++y)
                for (int x = 0; x < unchanged.width(); ++x)
                    if (blocks.seen.at(x, y) != 0 &&
                        static_cast<double>(chi_square.at(x, y)) < limit) {
                        unchanged.at(x, y) = 1;
                        ++count;
                    }
            result.correlations = transform.correlation;
            result.rounds = transform.rounds;
            result.no_change_share = static_cast<double>(count) / blocks.seen_count;
        }
        result.reason = refusal(transform, unchanged, count, blocks.seen_count, options);
        if (result.reason.empty()) {
            result.method = "ir_mad";
            for (std::size_t b = 0; b < lines.size(); ++b)
                lines[b] = fit_and_test(samples_of(blocks.first[b], blocks.second[b], unchanged),
                                        orthogonal_regression);
            for (std::size_t b = 0; b < lines.size(); ++b)
                if (!lines[b] || lines[b]->rmse_after > lines[b]->rmse_before) {
                    // A line that does worse on held-out ground than no line at all has learnt the
                    // change.
                    const double before = lines[b] ? lines[b]->rmse_before : 0;
                    const double after = lines[b] ? lines[b]->rmse_after : 0;
                    if (lines[b] && after < 1.05 * before + 1e-6)
                        continue;  // already alike: harmless
                    result.method = "none";
                    result.reason = fmt::format(
                        "IR-MAD refused: its line for band {} fails on held-out blocks", b + 1);
                }
        }
    } else {
        result.reason = "one band: no multivariate test is possible";
    }
    if (result.method != "ir_mad") {
        const Mask stable = structurally_stable(blocks);
        result.method = "theil_sen";
        for (std::size_t b = 0; b < lines.size(); ++b) {
            lines[b] =
                fit_and_test(samples_of(blocks.first[b], blocks.second[b], stable), theil_sen);
            if (!lines[b]) {
                result.method = "none";
                result.reason += (result.reason.empty() ? "" : "; ") +
                                 std::string("Theil–Sen: the two images do not vary together");
                break;
            }
        }
    }
    if (result.method != "none" && !bands.indices.empty())
        for (std::size_t b = 0; b < lines.size(); ++b)
            result.bands[static_cast<std::size_t>(bands.indices[b].first)] = *lines[b];
    if (result.method != "none" &&
        bands.indices.empty())  // luminance stood in: one line for every band
        for (auto& band : result.bands) band = *lines.front();
    return result;
}

void apply(const Normalization& normalization, Raster& raster) {
    for (std::size_t b = 0; b < std::min(normalization.bands.size(), raster.bands.size()); ++b) {
        const BandLine& line = normalization.bands[b];
        if (line.gain == 1 && line.offset == 0) continue;
        Plane& plane = raster.bands[b];
        parallel_rows(plane.height(), [&](int y0, int y1) {
            for (int y = y0; y < y1; ++y)
                kernels::scale_offset(
                    plane.row(y), raster.valid.empty() ? nullptr : raster.valid.row(y),
                    static_cast<std::size_t>(plane.width()), static_cast<float>(line.gain),
                    static_cast<float>(line.offset), plane.row(y));
        });
    }
}

}  // namespace fenceline
