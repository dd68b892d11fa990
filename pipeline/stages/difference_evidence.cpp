#include "stages/difference_evidence.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <span>

#include "core/parallel.h"
#include "kernels/bands.h"
#include "kernels/chi_square.h"
#include "kernels/neighbourhood.h"
#include "kernels/structure.h"

namespace fenceline {
namespace {

constexpr int kHalo = kEvidenceHalo - 1;
constexpr int kLongestLine =
    41;  // px; of the building index. Longer bright things are roads and fields
constexpr int kSurroundings = 15;  // px; half side of the window that shadow is darker than
constexpr double kCoarseGsd =
    2.5;  // m; from here on single buildings have no shape, and shadows no length
constexpr float kClearest = 5;  // of log(1 + χ²/N): 12 no-change deviations; more says no more
/// Of a variate's difference, in units of its spread over the image. Where every variate of both
/// images is more alike than that (correlation over .97), they differ by resampling and sharpness,
/// which block averages do not show; less than three such deviations is no change of the ground.
constexpr double kLeastSigma = 0.25;
/// From kCoarseGsd on a pixel is as good as a block, so blocks of kCoarseBlock pixels tell: where
/// the first two variates of theirs are more alike than kAlikeCoarse (.01 to .035 for images and
/// themselves, moved and with noise; .05 and .11 at least for pairs of the tune cities), what
/// differs from pixel to pixel is resampling, and both images are smoothed.
constexpr double kAlikeCoarse = 0.05;
constexpr int kCoarseBlock = 3;      // px
constexpr float kResampled = 0.25F;  // share of a contrast that is resampling, where it tells
constexpr double kGlints = 0.001;    // of the pixels: what is brighter is taken to be as bright
constexpr double kLattice = 250000;  // pixels that robust statistics are taken on

const Plane* band_of(const std::vector<const Plane*>& planes, const std::vector<BandRole>& roles,
                     BandRole role) {
    for (std::size_t i = 0; i < planes.size(); ++i)
        if (roles[i] == role) return planes[i];
    return nullptr;
}

float percentile(std::vector<float>& values, double share) {
    if (values.empty()) return 0;
    const auto k = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), values.begin() + k, values.end());
    return values[static_cast<std::size_t>(k)];
}

/// Median and 1.4826 · median absolute deviation.
std::pair<float, float> robust(std::vector<float> values) {
    const float centre = percentile(values, 0.5);
    for (float& v : values) v = std::abs(v - centre);
    return {centre, 1.4826F * percentile(values, 0.5)};
}

/// Takes on another size; what it holds means nothing then.
template <class T>
void fit(PlaneOf<T>& plane, int width, int height) {
    if (plane.width() != width || plane.height() != height) plane = PlaneOf<T>(width, height);
}

void mean_of_visible(const std::vector<const Plane*>& planes, const std::vector<BandRole>& roles,
                     const Mask& seen, Plane& mean) {
    std::vector<const Plane*> used;
    for (const BandRole role : {BandRole::blue, BandRole::green, BandRole::red})
        if (const Plane* plane = band_of(planes, roles, role)) used.push_back(plane);
    if (used.empty())
        if (const Plane* plane = band_of(planes, roles, BandRole::pan)) used.push_back(plane);
    if (used.empty()) used = planes;  // unknown roles: all alike
    fit(mean, seen.width(), seen.height());
    const std::vector<float> weights(used.size(), 1.0F / static_cast<float>(used.size()));
    parallel_rows(seen.height(), [&](int y0, int y1) {
        std::vector<const float*> lines(used.size());
        for (int y = y0; y < y1; ++y) {
            for (std::size_t b = 0; b < used.size(); ++b) lines[b] = used[b]->row(y);
            kernels::combine_bands(lines.data(), static_cast<int>(lines.size()), weights.data(), 0,
                                   static_cast<std::size_t>(seen.width()), mean.row(y));
        }
    });
}

/// The bands that colour is told from; looked up once, not per pixel.
struct Colours {
    const Plane *red, *green, *blue, *nir;
    Colours(const std::vector<const Plane*>& planes, const std::vector<BandRole>& roles)
        : red(band_of(planes, roles, BandRole::red)),
          green(band_of(planes, roles, BandRole::green)),
          blue(band_of(planes, roles, BandRole::blue)),
          nir(band_of(planes, roles, BandRole::nir)) {}
    bool rgb() const { return red != nullptr && green != nullptr && blue != nullptr; }
};

/// NDVI, or without near infrared excess green (Woebbecke et al. 1995), of n pixels; else 0.
void vegetation_index(const Colours& c, int x, int y, std::size_t n, float* out) {
    if (c.nir != nullptr && c.red != nullptr) {
        const float *nir = c.nir->row(y) + x, *red = c.red->row(y) + x;
        for (std::size_t i = 0; i < n; ++i)
            out[i] = (nir[i] - red[i]) / std::max(std::abs(nir[i]) + std::abs(red[i]), 1e-6F);
    } else if (c.rgb()) {
        const float *r = c.red->row(y) + x, *g = c.green->row(y) + x, *b = c.blue->row(y) + x;
        for (std::size_t i = 0; i < n; ++i)
            out[i] = (2 * g[i] - r[i] - b[i]) /
                     std::max(std::abs(r[i]) + std::abs(g[i]) + std::abs(b[i]), 1e-6F);
    } else {
        std::fill(out, out + n, 0.0F);
    }
}

void saturation(const Colours& c, int x, int y, std::size_t n, float* out) {
    if (!c.rgb()) {
        std::fill(out, out + n, 0.0F);
        return;
    }
    const float *r = c.red->row(y) + x, *g = c.green->row(y) + x, *b = c.blue->row(y) + x;
    for (std::size_t i = 0; i < n; ++i) {
        const float high = std::max(std::max(r[i], g[i]), b[i]);
        const float low = std::min(std::min(r[i], g[i]), b[i]);
        out[i] = high > 0 ? (high - low) / std::max(high, 1e-30F) : 0.0F;
    }
}

int odd(double value) { return static_cast<int>(value / 2) * 2 + 1; }

Point shadow_direction(const std::optional<double>& sun_azimuth_deg, double gsd) {
    if (!sun_azimuth_deg) return {0, 0};
    const double azimuth = *sun_azimuth_deg * 3.14159265358979323846 / 180;
    return {-std::sin(azimuth) / gsd, std::cos(azimuth) / gsd};  // y runs south
}

/// Doubt about n pixels beside or at those that are saturated in one row of masks; returns what it
/// added. Resampled values next to a saturated one are made of it.
std::uint8_t add_saturation(const std::uint8_t* first, const std::uint8_t* second, int n,
                            std::uint8_t* doubt) {
    std::uint8_t added = 0;
    for (int x = 0; x < n; ++x) {
        const bool a = (first[x] & kSaturated) != 0, b = (second[x] & kSaturated) != 0;
        if (!a && !b) continue;
        const auto bits =
            static_cast<std::uint8_t>((a ? kFirstSaturated : 0) | (b ? kSecondSaturated : 0));
        for (int k = std::max(0, x - 1); k <= std::min(n - 1, x + 1); ++k)
            doubt[k] = static_cast<std::uint8_t>(doubt[k] | bits);
        added |= bits;
    }
    return added;
}

}  // namespace

bool bind_pair(const Scene& before, const Scene& after, Pair& pair) {
    pair.bands = common_bands(before.raster, after.raster);
    const int width = before.raster.grid.width, height = before.raster.grid.height;
    if (pair.bands.first.empty() || width <= 0 || height <= 0 || after.raster.grid.width != width ||
        after.raster.grid.height != height)
        return false;
    fit(pair.seen, width, height);
    fit(pair.doubt, width, height);
    std::atomic<bool> any{false};
    std::atomic<std::size_t> seen_count{0};
    parallel_rows(height, [&](int y0, int y1) {
        std::uint8_t all = 0;
        std::size_t seen = 0;
        for (int y = y0; y < y1; ++y) {
            const std::uint8_t *a = before.masks.row(y), *b = after.masks.row(y);
            const std::uint8_t *u = before.raster.valid.row(y), *v = after.raster.valid.row(y);
            std::uint8_t *out = pair.seen.row(y), *doubt = pair.doubt.row(y);
            for (int x = 0; x < width; ++x) {
                const bool first = (a[x] & kHidden) == 0 && u[x] != 0,
                           second = (b[x] & kHidden) == 0 && v[x] != 0;
                out[x] = first && second;
                doubt[x] = static_cast<std::uint8_t>((first ? 0 : kFirstHidden) |
                                                     (second ? 0 : kSecondHidden));
                all |= doubt[x];
            }
            for (const int near : {std::max(0, y - 1), y, std::min(height - 1, y + 1)})
                all |= add_saturation(before.masks.row(near), after.masks.row(near), width, doubt);
            seen += static_cast<std::size_t>(width - std::count(out, out + width, 0));
        }
        if (all != 0) any = true;
        seen_count += seen;
    });
    if (!any) pair.doubt = {};
    pair.seen_count = seen_count;
    mean_of_visible(pair.bands.first, pair.bands.roles, pair.seen, pair.luminance_first);
    mean_of_visible(pair.bands.second, pair.bands.roles, pair.seen, pair.luminance_second);
    return true;
}

PairStatistics pair_statistics(const Pair& pair, const SceneInfo& before, const SceneInfo& after,
                               double gsd, double sigma_r_px) {
    PairStatistics s;
    const int width = pair.seen.width(), height = pair.seen.height();
    s.gsd = gsd;
    s.coarse = s.gsd >= kCoarseGsd;
    s.radius = std::clamp(static_cast<int>(std::ceil(2 * sigma_r_px)), s.coarse ? 0 : 1, 3);
    if (s.coarse) s.radius = std::min(s.radius, 1);  // never more than half of the smallest target
    s.search = std::clamp(s.radius, 1, 2);
    s.window = s.coarse ? 9 : 15;
    s.longest = std::clamp(odd(20 / s.gsd), 5, kLongestLine);
    s.shortest = std::clamp(odd(1.5 / s.gsd), 1, 5);
    s.shadows = !s.coarse && before.sun_azimuth_deg && after.sun_azimuth_deg;
    s.shadow_first = shadow_direction(before.sun_azimuth_deg, s.gsd);
    s.shadow_second = shadow_direction(after.sun_azimuth_deg, s.gsd);

    int side = std::max(1, static_cast<int>(std::lround(2.0 / s.gsd)));
    while (static_cast<double>(width / side) * (height / side) > 2e6) ++side;
    while (side > 1 && static_cast<double>(width / side) * (height / side) < 2000) --side;
    MadTransform mad;
    if (side == 1) {
        mad = fit_mad(pair.bands.first, pair.bands.second, pair.seen, {});
    } else {
        const BlockAverages blocks = block_averages(pair.bands, pair.seen, side);
        const auto first = pointers(blocks.first), second = pointers(blocks.second);
        mad = fit_mad(first, second, blocks.seen, {});
    }
    s.fault = mad.fault;
    if (mad.fault.empty()) {
        const auto n = static_cast<std::size_t>(mad.bands);
        const auto all_below = [](std::span<const double> sigma, double limit) {
            return std::all_of(sigma.begin(), sigma.end(), [&](double v) { return v < limit; });
        };
        bool alike = !s.coarse && all_below(mad.sigma, kLeastSigma);
        if (s.coarse) {
            // Blocks, so that noise and resampling do not count; the last variates are noise
            // anyhow.
            const BlockAverages blocks = block_averages(pair.bands, pair.seen, kCoarseBlock);
            const MadTransform of_blocks =
                fit_mad(pointers(blocks.first), pointers(blocks.second), blocks.seen, {});
            s.smooth = of_blocks.fault.empty() &&
                       all_below(std::span(of_blocks.sigma).first(std::min<std::size_t>(2, n)),
                                 kAlikeCoarse);
            alike = s.smooth;
        }
        for (std::size_t i = 0; i < n; ++i) {
            std::vector<float> first, second;
            double c1 = 0, c2 = 0;
            const double sigma =
                alike ? std::max(s.coarse ? 2 * kLeastSigma : kLeastSigma, mad.sigma[i])
                      : mad.sigma[i];
            for (std::size_t j = 0; j < n; ++j) {
                first.push_back(static_cast<float>(mad.a[i][j] / sigma));
                second.push_back(static_cast<float>(mad.b[i][j] / sigma));
                c1 -= mad.a[i][j] / sigma * mad.mean_first[j];
                c2 -= mad.b[i][j] / sigma * mad.mean_second[j];
            }
            s.first_weights.push_back(first);
            s.second_weights.push_back(second);
            s.first_constant.push_back(static_cast<float>(c1));
            s.second_constant.push_back(static_cast<float>(c2));
        }
    }

    const int step =
        std::max(1, static_cast<int>(std::sqrt(static_cast<double>(width) * height / kLattice)));
    const Colours colours_first(pair.bands.first, pair.bands.roles),
        colours_second(pair.bands.second, pair.bands.roles);
    const auto columns = static_cast<std::size_t>(width);
    std::vector<float> green_first(columns), green_second(columns), grey_first(columns),
        grey_second(columns);
    std::vector<float> gradient, first, second, change, green, grey;
    for (int y = step / 2; y < height; y += step) {
        vegetation_index(colours_first, 0, y, columns, green_first.data());
        vegetation_index(colours_second, 0, y, columns, green_second.data());
        saturation(colours_first, 0, y, columns, grey_first.data());
        saturation(colours_second, 0, y, columns, grey_second.data());
        for (int x = step / 2; x < width; x += step) {
            if (pair.seen.at(x, y) == 0) continue;
            const float a = pair.luminance_first.at(x, y), b = pair.luminance_second.at(x, y);
            const auto i = static_cast<std::size_t>(x);
            first.push_back(a);
            second.push_back(b);
            change.push_back(b - a);
            green.push_back(green_second[i] - green_first[i]);
            grey.push_back(grey_first[i] - grey_second[i]);
            if (x > 0 && y > 0 && x + 1 < width && y + 1 < height)
                for (const Plane* plane : {&pair.luminance_first, &pair.luminance_second})
                    gradient.push_back(0.5F *
                                       std::hypot(plane->at(x + 1, y) - plane->at(x - 1, y),
                                                  plane->at(x, y + 1) - plane->at(x, y - 1)));
        }
    }
    if (s.smooth) {
        const auto brightest = [&](const Plane& a, const Plane& b) {
            std::vector<float> of_first, of_second;
            for (int y = step / 2; y < height; y += step)
                for (int x = step / 2; x < width; x += step)
                    if (pair.seen.at(x, y) != 0) {
                        of_first.push_back(a.at(x, y));
                        of_second.push_back(b.at(x, y));
                    }
            return std::min(percentile(of_first, 1 - kGlints), percentile(of_second, 1 - kGlints));
        };
        for (std::size_t b = 0; b < pair.bands.first.size(); ++b)
            s.brightest.push_back(brightest(*pair.bands.first[b], *pair.bands.second[b]));
        s.brightest_luminance = brightest(pair.luminance_first, pair.luminance_second);
    }
    // Floors: a constant image has no spread, and a spread of nothing must not make noise look like
    // change.
    const auto floor_of = [](float value, float least) { return std::max(value, least); };
    const auto [level_first, spread_first] = robust(first);
    const auto [level_second, spread_second] = robust(second);
    const float level = std::max(std::abs(level_first), std::abs(level_second));
    const float least = std::max(1e-6F, 0.002F * level);
    s.soft_gradient = floor_of(2 * percentile(gradient, 0.5), least);
    s.luminance_scale = floor_of(0.5F * (spread_first + spread_second), least);
    s.difference_scale = floor_of(robust(change).second, 0.02F * s.luminance_scale + least);
    std::tie(s.green_centre, s.green_scale) = robust(green);
    std::tie(s.grey_centre, s.grey_scale) = robust(grey);
    s.green_scale = floor_of(s.green_scale, 0.02F);
    s.grey_scale = floor_of(s.grey_scale, 0.02F);
    return s;
}

namespace {

/// A piece of the image: core plus kHalo on every side, the image's edge repeated outwards, so that
/// every pixel of core sees the same numbers whatever the tile. What lies `inset` pixels inside the
/// piece is computed, no more than the next step needs; all else of a plane means nothing.
struct Piece {
    int x0, y0, width, height;  // y0 counted in the pair's planes
};

/// Pieces follow each other on a thread, so their planes are kept and not cleared: a fifth of the
/// time went into fresh pages.
void fill(Plane& plane, int width, int height, float value) {
    fit(plane, width, height);
    for (int y = 0; y < height; ++y) std::fill(plane.row(y), plane.row(y) + width, value);
}

/// rows: of the source that belong to the pair; its plane may have room for more.
void load(const Plane& source, int rows, const Piece& piece, Plane& out) {
    fit(out, piece.width, piece.height);
    const int left = std::clamp(-piece.x0, 0, piece.width);
    const int right = std::clamp(source.width() - piece.x0, left, piece.width);
    for (int y = 0; y < piece.height; ++y) {
        const float* in = source.row(std::clamp(piece.y0 + y, 0, rows - 1));
        float* to = out.row(y);
        std::fill(to, to + left, in[0]);
        if (right > left) std::copy(in + piece.x0 + left, in + piece.x0 + right, to + left);
        std::fill(to + right, to + piece.width, in[source.width() - 1]);
    }
}

/// Pixels of a piece, which may reach beyond the image, about which there is the same doubt.
struct DoubtfulRun {
    int y, begin, end;
    std::uint8_t doubt;
};
void find_doubt(const Mask& doubt, const Piece& piece, std::vector<DoubtfulRun>& runs) {
    runs.clear();
    if (doubt.empty()) return;
    for (int y = 0; y < piece.height; ++y) {
        const std::uint8_t* row = doubt.row(std::clamp(piece.y0 + y, 0, doubt.height() - 1));
        for (int x = 0; x < piece.width;) {
            const auto at = [&](int k) {
                return row[std::clamp(piece.x0 + k, 0, doubt.width() - 1)];
            };
            const std::uint8_t value = at(x);
            int end = x + 1;
            while (end < piece.width && at(end) == value) ++end;
            if (value != 0) runs.push_back({y, x, end, value});
            x = end;
        }
    }
}

/// What cannot be compared must not look like change, neither by itself nor to the windows around
/// it: where one image shows nothing, it is taken to be as the other; where one is saturated, the
/// other is no brighter. The same for both images in either order.
void reconcile(const std::vector<DoubtfulRun>& runs, Plane& first, Plane& second) {
    for (const DoubtfulRun& run : runs) {
        float *a = first.row(run.y), *b = second.row(run.y);
        switch (run.doubt & (kFirstHidden | kSecondHidden)) {
            case kFirstHidden:
                std::copy(b + run.begin, b + run.end, a + run.begin);
                break;
            case kSecondHidden:
                std::copy(a + run.begin, a + run.end, b + run.begin);
                break;
            case kFirstHidden | kSecondHidden:
                for (int x = run.begin; x < run.end; ++x) a[x] = b[x] = 0.5F * (a[x] + b[x]);
                break;
            default:
                for (int x = run.begin; x < run.end; ++x) {
                    const float least = std::min(a[x], b[x]);
                    if ((run.doubt & kFirstSaturated) != 0) b[x] = least;
                    if ((run.doubt & kSecondSaturated) != 0) a[x] = least;
                }
        }
    }
}

/// Sums of `side` consecutive values as fours and a rest: the same additions for every pixel, half
/// as many for wide windows. rows[k] stands for value k; fours[k] for the sum of values 4k … 4k+3.
constexpr int kWideWindow = 15;

/// Mean over (2·reach+1)² at `inset` and further in; reads reach pixels around.
void box_mean(const Plane& in, int reach, int inset, Plane& out) {
    const int width = in.width(), height = in.height(), side = 2 * reach + 1;
    thread_local Plane result, row_fours;
    fit(result, width, height);
    const int n = width - 2 * inset, wide = n + 2 * reach, left = inset - reach;
    const auto count = static_cast<std::size_t>(n), padded = static_cast<std::size_t>(wide);
    const float scale = 1.0F / static_cast<float>(side * side);
    const bool fours = side >= kWideWindow;
    const int groups = fours ? side / 4 : 0;
    std::vector<float> column(padded), column_fours(fours ? padded : 0);
    std::vector<const float*> rows;
    if (fours) {
        fit(row_fours, wide, height);
        for (int y = inset - reach; y + 3 < height - inset + reach; ++y) {
            const std::array<const float*, 4> four{in.row(y) + left, in.row(y + 1) + left,
                                                   in.row(y + 2) + left, in.row(y + 3) + left};
            kernels::sum_rows(four.data(), 4, padded, row_fours.row(y));
        }
    }
    for (int y = inset; y < height - inset; ++y) {
        rows.clear();
        for (int k = 0; k < groups; ++k) rows.push_back(row_fours.row(y - reach + 4 * k));
        for (int k = 4 * groups; k < side; ++k) rows.push_back(in.row(y - reach + k) + left);
        kernels::sum_rows(rows.data(), static_cast<int>(rows.size()), padded, column.data());
        float* to = result.row(y) + inset;
        if (fours) {
            kernels::sliding_sum(column.data(), 4, padded - 3, column_fours.data());
            rows.clear();
            for (int k = 0; k < groups; ++k) rows.push_back(column_fours.data() + 4 * k);
            for (int k = 4 * groups; k < side; ++k) rows.push_back(column.data() + k);
            kernels::sum_rows(rows.data(), static_cast<int>(rows.size()), count, to);
        } else {
            kernels::sliding_sum(column.data(), side, count, to);
        }
        for (std::size_t i = 0; i < count; ++i) to[i] *= scale;
    }
    std::swap(out, result);  // in may be out
}

/// Every pixel becomes the extreme of itself and the length - 1 pixels after it in direction
/// (dx, dy), by doubling: log2(length) passes; the first reads `in`, which starts at (x0, y0) of
/// it, the others work in place. dy > 0, or dy == 0 and dx > 0. Pixels whose line leaves the plane
/// stay unfinished.
template <class Extreme>
void line_extreme(const Plane& in, int x0, int y0, Plane& work, int dx, int dy, int length,
                  const Extreme& extreme) {
    const auto pass = [&](const Plane& from, int ox, int oy, int shift) {
        const int sx = shift * dx, sy = shift * dy;
        const int begin = std::max(0, -sx), end = std::min(work.width(), work.width() - sx);
        if (end <= begin) return;
        for (int y = 0; y + sy < work.height(); ++y)
            extreme(from.row(y + oy) + ox + begin, from.row(y + sy + oy) + ox + begin + sx,
                    static_cast<std::size_t>(end - begin), work.row(y) + begin);
    };
    int reached = 1;
    for (; 2 * reached <= length; reached *= 2)
        if (reached == 1)
            pass(in, x0, y0, 1);
        else
            pass(work, 0, 0, reached);
    if (reached < length)
        pass(reached == 1 ? in : work, reached == 1 ? x0 : 0, reached == 1 ? y0 : 0,
             length - reached);
}

/// Opening by a line of length >= 2 in direction (dx, dy). The opening of pixel (x, y) of `in` is
/// at (x - origin_x, y - origin_y) of work, for `inset` and further in.
struct Opened {
    const Plane* plane = nullptr;
    int origin_x = 0, origin_y = 0;
    const float* at(int x, int y) const { return plane->row(y - origin_y) + (x - origin_x); }
};
Opened open_by_line(const Plane& in, int inset, int dx, int dy, int length, Plane& work) {
    const int reach_x = (length - 1) * std::abs(dx), reach_y = (length - 1) * dy;
    const int x0 = inset - reach_x, y0 = inset - reach_y;
    Opened out;
    fit(work, in.width() - 2 * x0, in.height() - 2 * y0);
    line_extreme(in, x0, y0, work, dx, dy, length, kernels::minimum);
    line_extreme(work, 0, 0, work, dx, dy, length, kernels::maximum);
    out.plane = &work;
    out.origin_x = x0 + (length - 1) * dx;
    out.origin_y = y0 + (length - 1) * dy;
    return out;
}

/// Morphological building index (Huang & Zhang 2011) without reconstruction: white top-hats by
/// lines of the longest less those of the shortest length. (Openings by nested lines are ordered,
/// so the sum over all lengths in between telescopes to its ends.) mean: over four directions;
/// spot: the least of them, 0 along roads and long walls.
void building_index(const Plane& bright, int inset, const PairStatistics& s, Plane& mean,
                    Plane& spot) {
    // One per direction: they differ in size.
    thread_local std::array<Plane, 4> wide_work, narrow_work;
    fill(mean, bright.width(), bright.height(), 0);
    fill(spot, bright.width(), bright.height(), 1e30F);
    constexpr std::array<std::array<int, 2>, 4> directions{{{1, 0}, {0, 1}, {1, 1}, {-1, 1}}};
    const int n = bright.width() - 2 * inset;
    for (std::size_t k = 0; k < directions.size(); ++k) {
        const auto [dx, dy] = directions[k];
        const bool diagonal = dx != 0 && dy != 0;
        const int longest = diagonal
                                ? std::max(2, static_cast<int>(std::lround(s.longest * 0.70710678)))
                                : s.longest;
        const int shortest =
            diagonal ? std::max(1, static_cast<int>(std::lround(s.shortest * 0.70710678)))
                     : s.shortest;
        const Opened wide = open_by_line(bright, inset, dx, dy, longest, wide_work[k]);
        Opened narrow;
        if (shortest > 1) narrow = open_by_line(bright, inset, dx, dy, shortest, narrow_work[k]);
        for (int y = inset; y < bright.height() - inset; ++y) {
            float* m = mean.row(y) + inset;
            float* p = spot.row(y) + inset;
            const float* w = wide.at(inset, y);
            const float* b = shortest > 1 ? narrow.at(inset, y) : bright.row(y) + inset;
            for (int x = 0; x < n; ++x) {
                const float profile = std::max(0.0F, b[x] - w[x]);
                m[x] += 0.25F * profile;
                p[x] = std::min(p[x], profile);
            }
        }
    }
}

struct PieceEvidence {
    Plane radiometric, structural;
    Plane index_first, index_second, spot_first, spot_second, edges_first, edges_second;
    Plane brighter, greyer, less_green, shadow_appeared, shadow_disappeared;
    Plane dark;  ///< shade in the second less shade in the first image, -1 … 1
};

constexpr std::array<double, 6> kShadowLengths{1.5, 2.5, 3.5, 5.0, 7.0, 9.0};  // m

/// New darkness along the shadow direction: the largest of `darkness` from 1.5 to 9 m away.
void shadow_evidence(const Plane& darkness, Point per_metre, Plane& out) {
    fill(out, darkness.width(), darkness.height(), 0);
    const int n = out.width() - 2 * kHalo;
    for (const double metres : kShadowLengths) {
        const int sx = static_cast<int>(std::lround(metres * per_metre.x));
        const int sy = static_cast<int>(std::lround(metres * per_metre.y));
        if (std::abs(sx) > kHalo - 8 || std::abs(sy) > kHalo - 8) continue;
        for (int y = kHalo; y < out.height() - kHalo; ++y)
            kernels::maximum(out.row(y) + kHalo, darkness.row(y + sy) + kHalo + sx,
                             static_cast<std::size_t>(n), out.row(y) + kHalo);
    }
}

void tolerant_plane(const Plane& first, const Plane& second, int radius, int inset, Plane& out) {
    const int width = first.width(), height = first.height();
    fit(out, width, height);
    const auto n = static_cast<std::size_t>(width - 2 * inset);
    std::vector<float> scratch(4 * static_cast<std::size_t>(width));
    std::vector<const float*> a, b;
    for (int y = inset; y < height - inset; ++y) {
        a.clear();
        b.clear();
        for (int k = -radius; k <= radius; ++k) {
            a.push_back(first.row(y + k) + inset);
            b.push_back(second.row(y + k) + inset);
        }
        kernels::tolerant_difference(a.data(), b.data(), radius, n, scratch.data(),
                                     out.row(y) + inset);
    }
}

/// What half a pixel and a resampling may do to a pixel goes with the contrast around it: the
/// difference, in deviations, over the root of 1 + (kResampled · largest contrast within 3 × 3
/// pixels of either image)². The middle of what is several pixels wide keeps its difference.
void forgive_resampling(const Plane& first, const Plane& second, int inset, Plane& difference) {
    const int width = difference.width(), height = difference.height();
    for (int y = inset; y < height - inset; ++y)
        for (int x = inset; x < width - inset; ++x) {
            float contrast = 0;
            for (const Plane* plane : {&first, &second}) {
                float low = plane->at(x, y), high = low;
                for (int j = -1; j <= 1; ++j)
                    for (int i = -1; i <= 1; ++i) {
                        low = std::min(low, plane->at(x + i, y + j));
                        high = std::max(high, plane->at(x + i, y + j));
                    }
                contrast = std::max(contrast, high - low);
            }
            difference.at(x, y) /= std::sqrt(1 + kResampled * kResampled * contrast * contrast);
        }
}

/// 1 - NCC of the orientation channels over a window, best of the shifts up to search; and both
/// images' share of textured ground in that window. first, second: right at kHalo - reach - search
/// - 1 and further in.
void structural_evidence(const Plane& first, const Plane& second, const PairStatistics& s,
                         Plane& dissimilar, Plane& edges_first, Plane& edges_second) {
    const int width = first.width(), height = first.height(), reach = s.window / 2;
    const int side = 2 * reach + 1;
    thread_local std::array<Plane, 4> a, b;
    for (auto* planes : {&a, &b})
        for (Plane& plane : *planes) fit(plane, width, height);
    const int outer = kHalo - reach - s.search;
    for (int y = outer; y < height - outer; ++y)
        for (const bool later : {false, true}) {
            const Plane& source = later ? second : first;
            auto& to = later ? b : a;
            const std::array<float*, 4> rows{to[0].row(y) + outer, to[1].row(y) + outer,
                                             to[2].row(y) + outer, to[3].row(y) + outer};
            kernels::orientation_harmonics(
                source.row(y - 1) + outer, source.row(y) + outer, source.row(y + 1) + outer,
                s.soft_gradient, static_cast<std::size_t>(width - 2 * outer), rows.data());
        }
    // One row at a time through product, horizontal and vertical sum, so that all of it stays in
    // the nearest cache: the last `side` horizontal sums are kept.
    std::vector<float> product(static_cast<std::size_t>(width)), sum(product.size());
    thread_local Plane ring, best;
    fit(ring, width, side);
    const float scale = 1.0F / static_cast<float>(side * side);
    std::vector<const float*> rows(static_cast<std::size_t>(side));
    const auto window_sums = [&](const std::array<Plane, 4>& p, const std::array<Plane, 4>& q,
                                 int dx, int dy, int inset, const auto& take) {
        const int n = width - 2 * inset, wide = n + 2 * reach, left = inset - reach;
        for (int y = inset - reach; y < height - inset + reach; ++y) {
            const std::array<const float*, 4> u{p[0].row(y) + left, p[1].row(y) + left,
                                                p[2].row(y) + left, p[3].row(y) + left};
            const std::array<const float*, 4> v{
                q[0].row(y + dy) + left + dx, q[1].row(y + dy) + left + dx,
                q[2].row(y + dy) + left + dx, q[3].row(y + dy) + left + dx};
            kernels::channel_product(u.data(), v.data(), 4, static_cast<std::size_t>(wide),
                                     product.data());
            kernels::sliding_sum(product.data(), side, static_cast<std::size_t>(n),
                                 ring.row(y % side));
            if (y < inset + reach) continue;
            for (int k = 0; k < side; ++k)
                rows[static_cast<std::size_t>(k)] = ring.row((y - side + 1 + k) % side);
            kernels::sum_rows(rows.data(), side, static_cast<std::size_t>(n), sum.data());
            take(y - reach, static_cast<std::size_t>(n));
        }
    };
    const auto keep_energy = [&](const std::array<Plane, 4>& p, int inset, Plane& energy) {
        fit(energy, width, height);
        window_sums(p, p, 0, 0, inset, [&](int y, std::size_t n) {
            float* to = energy.row(y) + inset;
            for (std::size_t i = 0; i < n; ++i) to[i] = scale * sum[i];
        });
    };
    keep_energy(a, kHalo, edges_first);
    keep_energy(b, kHalo - s.search, edges_second);
    fill(best, width, height, -1);
    for (int dy = -s.search; dy <= s.search; ++dy)
        for (int dx = -s.search; dx <= s.search; ++dx)
            window_sums(a, b, dx, dy, kHalo, [&](int y, std::size_t n) {
                kernels::keep_best_match(sum.data(), scale, edges_first.row(y) + kHalo,
                                         edges_second.row(y + dy) + kHalo + dx, n,
                                         best.row(y) + kHalo);
            });
    fit(dissimilar, width, height);
    constexpr float kTextured = 0.2F;  // q² summed over two harmonics: half of it at a typical edge
    for (int y = kHalo; y < height - kHalo; ++y) {
        const float *ea = edges_first.row(y), *eb = edges_second.row(y), *match = best.row(y);
        float* to = dissimilar.row(y);
        for (int x = kHalo; x < width - kHalo; ++x) {
            const float energy = std::max(ea[x], eb[x]);
            to[x] = 0.5F * (1 - match[x]) * energy / (energy + kTextured);
        }
    }
}

/// Means of 3 × 3 pixels, none brighter than the limit.
void soften(float brightest, Plane& plane) {
    for (int y = 0; y < plane.height(); ++y) {
        float* row = plane.row(y);
        for (int x = 0; x < plane.width(); ++x) row[x] = std::min(row[x], brightest);
    }
    box_mean(plane, 1, 1, plane);
}

/// What gather() works on, kept from piece to piece.
struct Workspace {
    PieceEvidence evidence;
    std::vector<Plane> first, second;
    std::vector<DoubtfulRun> doubt;
    Plane difference, chi_square, u, v, light_first, light_second, soft_first, soft_second, bright,
        around_first, around_second, darker, lighter;
};

const PieceEvidence& gather(const Pair& pair, const PairStatistics& s, const Piece& piece,
                            Workspace& w) {
    const int width = piece.width, height = piece.height, of_pair = pair.seen.height();
    const auto inner = static_cast<std::size_t>(width - 2 * kHalo);
    PieceEvidence& e = w.evidence;
    Plane& difference_plane = w.difference;

    find_doubt(pair.doubt, piece, w.doubt);
    // Radiometry: IR-MAD variates, each compared with tolerance.
    auto &first = w.first, &second = w.second;
    first.resize(pair.bands.first.size());
    second.resize(pair.bands.first.size());
    for (std::size_t b = 0; b < first.size(); ++b) {
        load(*pair.bands.first[b], of_pair, piece, first[b]);
        load(*pair.bands.second[b], of_pair, piece, second[b]);
        reconcile(w.doubt, first[b], second[b]);
        if (s.smooth)
            for (Plane* plane : {&first[b], &second[b]}) soften(s.brightest[b], *plane);
    }
    const int blur = s.coarse ? 1 : 2;
    Plane &chi_square = w.chi_square, &u = w.u, &v = w.v;
    fill(chi_square, width, height, 0);
    fit(u, width, height);
    fit(v, width, height);
    const int inset_chi = kHalo - blur,
              inset_variates = inset_chi - std::max(s.radius, s.smooth ? 1 : 0);
    for (std::size_t i = 0; i < s.first_weights.size(); ++i) {
        std::vector<const float*> rows(first.size());
        const auto n = static_cast<std::size_t>(width - 2 * inset_variates);
        for (int y = inset_variates; y < height - inset_variates; ++y) {
            for (std::size_t b = 0; b < rows.size(); ++b)
                rows[b] = first[b].row(y) + inset_variates;
            kernels::combine_bands(rows.data(), static_cast<int>(rows.size()),
                                   s.first_weights[i].data(), s.first_constant[i], n,
                                   u.row(y) + inset_variates);
            for (std::size_t b = 0; b < rows.size(); ++b)
                rows[b] = second[b].row(y) + inset_variates;
            kernels::combine_bands(rows.data(), static_cast<int>(rows.size()),
                                   s.second_weights[i].data(), s.second_constant[i], n,
                                   v.row(y) + inset_variates);
        }
        tolerant_plane(u, v, s.radius, inset_chi, difference_plane);
        if (s.smooth) forgive_resampling(u, v, inset_chi, difference_plane);
        for (int y = inset_chi; y < height - inset_chi; ++y) {
            const float* in = difference_plane.row(y);
            float* out = chi_square.row(y);
            for (int x = inset_chi; x < width - inset_chi; ++x) out[x] += in[x] * in[x];
        }
    }
    box_mean(chi_square, blur, kHalo, e.radiometric);
    const float per_band =
        1.0F / static_cast<float>(std::max<std::size_t>(1, s.first_weights.size()));
    for (int y = kHalo; y < height - kHalo; ++y)
        kernels::log_compress(e.radiometric.row(y) + kHalo, inner, per_band, kClearest,
                              e.radiometric.row(y) + kHalo);

    // Structure.
    Plane &light_first = w.light_first, &light_second = w.light_second, &soft_first = w.soft_first,
          &soft_second = w.soft_second;
    load(pair.luminance_first, of_pair, piece, light_first);
    load(pair.luminance_second, of_pair, piece, light_second);
    reconcile(w.doubt, light_first, light_second);
    if (s.smooth)
        for (Plane* plane : {&light_first, &light_second}) soften(s.brightest_luminance, *plane);
    const int inset_soft = kHalo - s.window / 2 - s.search - 1;
    box_mean(light_first, 1, inset_soft, soft_first);
    box_mean(light_second, 1, inset_soft, soft_second);
    structural_evidence(soft_first, soft_second, s, e.structural, e.edges_first, e.edges_second);

    // Buildings: the brightest visible band, in units of the image's own spread.
    const auto index_of = [&](const std::vector<Plane>& bands, const Plane& light, Plane& mean,
                              Plane& spot) {
        Plane& bright = w.bright;
        fit(bright, width, height);
        for (int y = 0; y < height; ++y) std::copy_n(light.row(y), width, bright.row(y));
        for (std::size_t b = 0; b < bands.size(); ++b) {
            const BandRole role = pair.bands.roles[b];
            if (role != BandRole::blue && role != BandRole::green && role != BandRole::red)
                continue;
            for (int y = 0; y < height; ++y)
                kernels::maximum(bright.row(y), bands[b].row(y), static_cast<std::size_t>(width),
                                 bright.row(y));
        }
        const int reach_mean = s.coarse ? 1 : 3, reach_spot = s.coarse ? 1 : 2;
        const int inset = kHalo - reach_mean;
        building_index(bright, inset, s, mean, spot);
        const float scale = 1.0F / s.luminance_scale;
        for (int y = inset; y < height - inset; ++y)
            for (Plane* plane : {&mean, &spot})
                kernels::log_compress(plane->row(y) + inset,
                                      static_cast<std::size_t>(width - 2 * inset), scale, 1e30F,
                                      plane->row(y) + inset);
        box_mean(mean, reach_mean, kHalo, mean);
        box_mean(spot, reach_spot, kHalo, spot);
    };
    index_of(first, light_first, e.index_first, e.spot_first);
    index_of(second, light_second, e.index_second, e.spot_second);

    // Signed luminance, colour. Shadows look further.
    int farthest = 0;
    if (s.shadows)
        for (const double metres : kShadowLengths)
            for (const Point& p : {s.shadow_first, s.shadow_second})
                for (const double shift : {metres * p.x, metres * p.y}) {
                    const int px = std::abs(static_cast<int>(std::lround(shift)));
                    if (px <= kHalo - 8) farthest = std::max(farthest, px);
                }
    const int inset_brighter = kHalo - farthest;
    tolerant_plane(light_first, light_second, s.radius, inset_brighter - blur, difference_plane);
    box_mean(difference_plane, blur, inset_brighter, e.brighter);
    const float per_difference = 1.0F / s.difference_scale;
    for (int y = inset_brighter; y < height - inset_brighter; ++y)
        for (int x = inset_brighter; x < width - inset_brighter; ++x)
            e.brighter.row(y)[x] *= per_difference;
    // Shadow is dark against its surroundings, however bright the scene; what is darker than they
    // in one image alone is a shadow that moved sooner than a thing that changed.
    Plane &around_first = w.around_first, &around_second = w.around_second;
    box_mean(light_first, kSurroundings, kHalo, around_first);
    box_mean(light_second, kSurroundings, kHalo, around_second);
    const auto shade = [](float value, float around) {
        const float depth = 5 * (0.8F - value / std::max(around, 1e-30F));
        return around > 0 ? std::min(std::max(depth, 0.0F), 1.0F) : 0.0F;
    };
    fit(e.dark, width, height);
    for (int y = kHalo; y < height - kHalo; ++y) {
        const float *soft_a = soft_first.row(y), *soft_b = soft_second.row(y),
                    *around_a = around_first.row(y), *around_b = around_second.row(y);
        float* to = e.dark.row(y);
        for (int x = kHalo; x < width - kHalo; ++x)
            to[x] = shade(soft_b[x], around_b[x]) - shade(soft_a[x], around_a[x]);
    }
    constexpr int kColourReach = 2, kInsetColour = kHalo - kColourReach;
    const auto wide = static_cast<std::size_t>(width - 2 * kInsetColour);
    const Colours colours_first(pointers(first), pair.bands.roles),
        colours_second(pointers(second), pair.bands.roles);
    std::vector<float> earlier(wide), later(wide);
    fit(e.greyer, width, height);
    fit(e.less_green, width, height);
    for (int y = kInsetColour; y < height - kInsetColour; ++y) {
        saturation(colours_first, kInsetColour, y, wide, earlier.data());
        saturation(colours_second, kInsetColour, y, wide, later.data());
        float* grey = e.greyer.row(y) + kInsetColour;
        for (std::size_t i = 0; i < wide; ++i)
            grey[i] = (earlier[i] - later[i] - s.grey_centre) / s.grey_scale;
        vegetation_index(colours_first, kInsetColour, y, wide, earlier.data());
        vegetation_index(colours_second, kInsetColour, y, wide, later.data());
        float* green = e.less_green.row(y) + kInsetColour;
        for (std::size_t i = 0; i < wide; ++i)
            green[i] = -(later[i] - earlier[i] - s.green_centre) / s.green_scale;
    }
    box_mean(e.greyer, kColourReach, kHalo, e.greyer);
    box_mean(e.less_green, kColourReach, kHalo, e.less_green);

    if (s.shadows) {
        Plane &darker = w.darker, &lighter = w.lighter;
        fit(darker, width, height);
        fit(lighter, width, height);
        for (int y = inset_brighter; y < height - inset_brighter; ++y) {
            const float* in = e.brighter.row(y);
            float *down = darker.row(y), *up = lighter.row(y);
            for (int x = inset_brighter; x < width - inset_brighter; ++x) {
                down[x] = std::min(std::max(-in[x], 0.0F), 8.0F);
                up[x] = std::min(std::max(in[x], 0.0F), 8.0F);
            }
        }
        shadow_evidence(darker, s.shadow_second, e.shadow_appeared);
        shadow_evidence(lighter, s.shadow_first, e.shadow_disappeared);
    } else {
        fill(e.shadow_appeared, width, height, 0);
        fill(e.shadow_disappeared, width, height, 0);
    }
    // Saturating: no single cue may outvote all others.
    for (int y = kHalo; y < height - kHalo; ++y)
        for (Plane* plane : {&e.brighter, &e.greyer, &e.less_green})
            kernels::squash(plane->row(y) + kHalo, inner, 6, plane->row(y) + kHalo);
    return e;
}

/// What evidence rows point to, for one direction.
struct RowBuffers {
    std::array<std::vector<float>, kEvidenceCount> own;
    std::array<const float*, kEvidenceCount> rows{};
};

void fill_rows(const PieceEvidence& e, int y, std::size_t n, bool disappeared, RowBuffers& to) {
    const auto at = [&](const Plane& plane) { return plane.row(y) + kHalo; };
    const float sign = disappeared ? -1.0F : 1.0F;
    const auto own = [&](Evidence k) {
        auto& row = to.own[k];
        row.resize(n);
        to.rows[k] = row.data();
        return row.data();
    };
    float* constant = own(kConstant);
    float* both = own(kRadioStructural);
    float* gain = own(kIndexGain);
    float* spot = own(kSpotGain);
    float* edges = own(kEdgesGained);
    float* brighter = own(kBrighter);
    float* luminance = own(kLuminance);
    float* greyer = own(kGreyer);
    float* green = own(kLessGreen);
    float* shadow = own(kShadow);
    float* gone = own(kShadeGone);
    float* came = own(kShadeCame);
    const float *radiometric = at(e.radiometric), *structural = at(e.structural),
                *index_a = at(e.index_first), *index_b = at(e.index_second),
                *spot_a = at(e.spot_first), *spot_b = at(e.spot_second),
                *edges_a = at(e.edges_first), *edges_b = at(e.edges_second), *dark = at(e.dark),
                *light = at(e.brighter), *grey = at(e.greyer), *less_green = at(e.less_green),
                *cast = at(disappeared ? e.shadow_disappeared : e.shadow_appeared);
    to.rows[kRadiometric] = radiometric;
    to.rows[kStructural] = structural;
    to.rows[kIndexNew] = disappeared ? index_a : index_b;
    for (std::size_t i = 0; i < n; ++i) {
        constant[i] = 1;
        both[i] = radiometric[i] * structural[i];
        gain[i] = sign * (index_b[i] - index_a[i]);
        spot[i] = sign * (spot_b[i] - spot_a[i]);
        edges[i] = sign * (std::sqrt(edges_b[i]) - std::sqrt(edges_a[i]));
        brighter[i] = sign * light[i];
        luminance[i] = std::abs(light[i]);
        greyer[i] = sign * grey[i];
        green[i] = sign * less_green[i];
        // A shadow only speaks for something that is there to throw it.
        shadow[i] = cast[i] * std::min(std::max(4 * gain[i], 0.0F), 1.0F);
        gone[i] = std::max(0.0F, -sign * dark[i]);
        came[i] = std::max(0.0F, sign * dark[i]);
    }
}

}  // namespace

void for_evidence_rows(const Pair& pair, const PairStatistics& statistics, int y0, int y1,
                       int tile_px,
                       const std::function<void(int, int, int, const EvidenceRow&)>& body) {
    const int first = y0 - pair.first_row;
    parallel_tiles(pair.seen.width(), y1 - y0, std::max(16, tile_px), 0,
                   [&](const Window& core, const Window&) {
                       bool any = false;
                       for (int y = core.y; y < core.y + core.height && !any; ++y) {
                           const std::uint8_t* row = pair.seen.row(first + y) + core.x;
                           any = std::any_of(row, row + core.width,
                                             [](std::uint8_t v) { return v != 0; });
                       }
                       if (!any) return;
                       const Piece piece{core.x - kHalo, first + core.y - kHalo,
                                         core.width + 2 * kHalo, core.height + 2 * kHalo};
                       thread_local Workspace workspace;
                       const PieceEvidence& evidence = gather(pair, statistics, piece, workspace);
                       const auto n = static_cast<std::size_t>(core.width);
                       RowBuffers appeared, disappeared;
                       EvidenceRow row;
                       for (int y = 0; y < core.height; ++y) {
                           fill_rows(evidence, y + kHalo, n, false, appeared);
                           fill_rows(evidence, y + kHalo, n, true, disappeared);
                           row.appeared = appeared.rows;
                           row.disappeared = disappeared.rows;
                           row.dark = evidence.dark.row(y + kHalo) + kHalo;
                           body(core.x, y0 + core.y + y, core.width, row);
                       }
                   });
}

}  // namespace fenceline
