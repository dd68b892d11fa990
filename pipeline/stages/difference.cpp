#include "stages/difference.h"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "core/mad.h"
#include "core/parallel.h"
#include "kernels/bands.h"
#include "kernels/neighbourhood.h"
#include "kernels/structure.h"
#include "stages/difference_weights.h"

namespace fenceline {
namespace {

constexpr int kLongestLine =
    41;  // px; of the building index. Longer bright things are roads and fields
constexpr int kHalo =
    48;  // px; the farthest any evidence looks: longest line + means, or shadow + means
constexpr int kSurroundings = 15;  // px; half side of the window that shadow is darker than
constexpr double kCoarseGsd =
    2.5;  // m; from here on single buildings have no shape, and shadows no length
constexpr std::size_t kFewestPixels = 200;
constexpr float kClearest = 5;  // of log(1 + χ²/N): 12 no-change deviations; more says no more

/// What the whole pair has in common; everything else is local.
struct PairStatistics {
    MadTransform mad;
    std::vector<std::vector<float>> first_weights, second_weights;  ///< variate / σ of each image
    std::vector<float> first_constant, second_constant;
    float soft_gradient = 1;     ///< grey levels per pixel; typical gradient
    float luminance_scale = 1;   ///< robust σ of luminance within an image
    float difference_scale = 1;  ///< robust σ of the luminance difference
    float green_centre = 0;      ///< median change of the vegetation index
    float green_scale = 1, grey_centre = 0, grey_scale = 1;
    int radius = 1, search = 1, window = 15, longest = kLongestLine, shortest = 5;
    bool shadows = false;
    Point shadow_first, shadow_second;  ///< px per metre, away from the sun
    double gsd = 1;
};

struct Pair {
    CommonBands bands;
    Mask seen;
    std::size_t seen_count = 0;
    Plane luminance_first, luminance_second;
    PairStatistics statistics;
    bool coarse = false;
};

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

Plane mean_of_visible(const std::vector<const Plane*>& planes, const std::vector<BandRole>& roles,
                      const Mask& seen) {
    std::vector<const float*> rows;
    std::vector<const Plane*> used;
    for (const BandRole role : {BandRole::blue, BandRole::green, BandRole::red})
        if (const Plane* plane = band_of(planes, roles, role)) used.push_back(plane);
    if (used.empty())
        if (const Plane* plane = band_of(planes, roles, BandRole::pan)) used.push_back(plane);
    if (used.empty()) used = planes;  // unknown roles: all alike
    Plane mean(seen.width(), seen.height());
    const std::vector<float> weights(used.size(), 1.0F / static_cast<float>(used.size()));
    parallel_rows(seen.height(), [&](int y0, int y1) {
        std::vector<const float*> lines(used.size());
        for (int y = y0; y < y1; ++y) {
            for (std::size_t b = 0; b < used.size(); ++b) lines[b] = used[b]->row(y);
            kernels::combine_bands(lines.data(), static_cast<int>(lines.size()), weights.data(), 0,
                                   static_cast<std::size_t>(seen.width()), mean.row(y));
        }
    });
    return mean;
}

float vegetation_index(const std::vector<const Plane*>& planes, const std::vector<BandRole>& roles,
                       int x, int y) {
    const Plane* nir = band_of(planes, roles, BandRole::nir);
    const Plane* red = band_of(planes, roles, BandRole::red);
    if (nir != nullptr && red != nullptr) {
        const float n = nir->at(x, y), r = red->at(x, y);
        return (n - r) / std::max(std::abs(n) + std::abs(r), 1e-6F);
    }
    const Plane* green = band_of(planes, roles, BandRole::green);
    const Plane* blue = band_of(planes, roles, BandRole::blue);
    if (red != nullptr && green != nullptr &&
        blue != nullptr) {  // excess green (Woebbecke et al. 1995)
        const float r = red->at(x, y), g = green->at(x, y), b = blue->at(x, y);
        return (2 * g - r - b) / std::max(std::abs(r) + std::abs(g) + std::abs(b), 1e-6F);
    }
    return 0;
}

float saturation(const std::vector<const Plane*>& planes, const std::vector<BandRole>& roles, int x,
                 int y) {
    const Plane* red = band_of(planes, roles, BandRole::red);
    const Plane* green = band_of(planes, roles, BandRole::green);
    const Plane* blue = band_of(planes, roles, BandRole::blue);
    if (red == nullptr || green == nullptr || blue == nullptr) return 0;
    const float r = red->at(x, y), g = green->at(x, y), b = blue->at(x, y);
    const float high = std::max({r, g, b}), low = std::min({r, g, b});
    return high > 0 ? (high - low) / high : 0;
}

int odd(double value) { return static_cast<int>(value / 2) * 2 + 1; }

Point shadow_direction(const std::optional<double>& sun_azimuth_deg, double gsd) {
    if (!sun_azimuth_deg) return {0, 0};
    const double azimuth = *sun_azimuth_deg * 3.14159265358979323846 / 180;
    return {-std::sin(azimuth) / gsd, std::cos(azimuth) / gsd};  // y runs south
}

/// Everything that needs the whole image: taken on a regular lattice of at most about a million
/// pixels.
bool prepare(const Scene& before, const Scene& after, double sigma_r_px, Pair& pair) {
    pair.bands = common_bands(before.raster, after.raster);
    const int width = before.raster.grid.width, height = before.raster.grid.height;
    if (pair.bands.first.empty() || width <= 0 || height <= 0 || after.raster.grid.width != width ||
        after.raster.grid.height != height)
        return false;
    pair.seen = Mask(width, height);
    parallel_rows(height, [&](int y0, int y1) {
        for (int y = y0; y < y1; ++y)
            for (int x = 0; x < width; ++x)
                pair.seen.at(x, y) = before.seen(x, y) && after.seen(x, y) &&
                                     before.raster.valid.at(x, y) != 0 &&
                                     after.raster.valid.at(x, y) != 0;
    });
    for (int y = 0; y < height; ++y)
        pair.seen_count += static_cast<std::size_t>(
            width - std::count(pair.seen.row(y), pair.seen.row(y) + width, 0));
    if (pair.seen_count < kFewestPixels) return false;

    auto& s = pair.statistics;
    s.gsd = before.raster.grid.gsd();
    pair.coarse = s.gsd >= kCoarseGsd;
    s.radius = std::clamp(static_cast<int>(std::ceil(2 * sigma_r_px)), pair.coarse ? 0 : 1, 3);
    if (pair.coarse)
        s.radius = std::min(s.radius, 1);  // never more than half of the smallest target
    s.search = std::clamp(s.radius, 1, 2);
    s.window = pair.coarse ? 9 : 15;
    s.longest = std::clamp(odd(20 / s.gsd), 5, kLongestLine);
    s.shortest = std::clamp(odd(1.5 / s.gsd), 1, 5);
    s.shadows = !pair.coarse && before.info.sun_azimuth_deg && after.info.sun_azimuth_deg;
    s.shadow_first = shadow_direction(before.info.sun_azimuth_deg, s.gsd);
    s.shadow_second = shadow_direction(after.info.sun_azimuth_deg, s.gsd);

    int side = std::max(1, static_cast<int>(std::lround(2.0 / s.gsd)));
    while (static_cast<double>(width / side) * (height / side) > 2e6) ++side;
    while (side > 1 && static_cast<double>(width / side) * (height / side) < 2000) --side;
    if (side == 1) {
        s.mad = fit_mad(pair.bands.first, pair.bands.second, pair.seen, {});
    } else {
        const BlockAverages blocks = block_averages(pair.bands, pair.seen, side);
        const auto first = pointers(blocks.first), second = pointers(blocks.second);
        s.mad = fit_mad(first, second, blocks.seen, {});
    }
    if (s.mad.fault.empty()) {
        const auto n = static_cast<std::size_t>(s.mad.bands);
        for (std::size_t i = 0; i < n; ++i) {
            std::vector<float> first, second;
            double c1 = 0, c2 = 0;
            for (std::size_t j = 0; j < n; ++j) {
                first.push_back(static_cast<float>(s.mad.a[i][j] / s.mad.sigma[i]));
                second.push_back(static_cast<float>(s.mad.b[i][j] / s.mad.sigma[i]));
                c1 -= s.mad.a[i][j] / s.mad.sigma[i] * s.mad.mean_first[j];
                c2 -= s.mad.b[i][j] / s.mad.sigma[i] * s.mad.mean_second[j];
            }
            s.first_weights.push_back(first);
            s.second_weights.push_back(second);
            s.first_constant.push_back(static_cast<float>(c1));
            s.second_constant.push_back(static_cast<float>(c2));
        }
    }

    pair.luminance_first = mean_of_visible(pair.bands.first, pair.bands.roles, pair.seen);
    pair.luminance_second = mean_of_visible(pair.bands.second, pair.bands.roles, pair.seen);
    const int step =
        std::max(1, static_cast<int>(std::sqrt(static_cast<double>(width) * height / 1e6)));
    std::vector<float> gradient, first, second, change, green, grey;
    for (int y = step / 2; y < height; y += step)
        for (int x = step / 2; x < width; x += step) {
            if (pair.seen.at(x, y) == 0) continue;
            const float a = pair.luminance_first.at(x, y), b = pair.luminance_second.at(x, y);
            first.push_back(a);
            second.push_back(b);
            change.push_back(b - a);
            green.push_back(vegetation_index(pair.bands.second, pair.bands.roles, x, y) -
                            vegetation_index(pair.bands.first, pair.bands.roles, x, y));
            grey.push_back(saturation(pair.bands.first, pair.bands.roles, x, y) -
                           saturation(pair.bands.second, pair.bands.roles, x, y));
            if (x > 0 && y > 0 && x + 1 < width && y + 1 < height)
                for (const Plane* plane : {&pair.luminance_first, &pair.luminance_second})
                    gradient.push_back(0.5F *
                                       std::hypot(plane->at(x + 1, y) - plane->at(x - 1, y),
                                                  plane->at(x, y + 1) - plane->at(x, y - 1)));
        }
    // Floors: a constant image has no spread, and a spread of nothing must not make noise look like
    // change.
    const auto floor_of = [](float value, float least) { return std::max(value, least); };
    const float level = std::max(std::abs(robust(first).first), std::abs(robust(second).first));
    const float least = std::max(1e-6F, 0.002F * level);
    s.soft_gradient = floor_of(2 * percentile(gradient, 0.5), least);
    s.luminance_scale = floor_of(0.5F * (robust(first).second + robust(second).second), least);
    s.difference_scale = floor_of(robust(change).second, 0.02F * s.luminance_scale + least);
    std::tie(s.green_centre, s.green_scale) = robust(green);
    std::tie(s.grey_centre, s.grey_scale) = robust(grey);
    s.green_scale = floor_of(s.green_scale, 0.02F);
    s.grey_scale = floor_of(s.grey_scale, 0.02F);
    return true;
}

/// A piece of the image: core plus kHalo on every side, the image's edge repeated outwards, so that
/// every pixel of core sees the same numbers whatever the tile.
struct Piece {
    int x0, y0, width, height;
};

void load(const Plane& source, const Piece& piece, Plane& out) {
    out = Plane(piece.width, piece.height);
    for (int y = 0; y < piece.height; ++y) {
        const float* in = source.row(std::clamp(piece.y0 + y, 0, source.height() - 1));
        float* to = out.row(y);
        for (int x = 0; x < piece.width; ++x)
            to[x] = in[std::clamp(piece.x0 + x, 0, source.width() - 1)];
    }
}

/// Mean over (2·reach+1)², where the whole window lies in the piece; 0 elsewhere.
void box_mean(const Plane& in, int reach, Plane& out, Plane& scratch) {
    const int width = in.width(), height = in.height(), side = 2 * reach + 1;
    if (scratch.width() != width || scratch.height() != height) scratch = Plane(width, height);
    Plane result(width, height);
    std::vector<const float*> rows(static_cast<std::size_t>(side));
    const float scale = 1.0F / static_cast<float>(side * side);
    for (int y = reach; y + reach < height; ++y) {
        for (int k = 0; k < side; ++k) rows[static_cast<std::size_t>(k)] = in.row(y - reach + k);
        kernels::sum_rows(rows.data(), side, static_cast<std::size_t>(width), scratch.row(y));
        kernels::sliding_sum(scratch.row(y), side, static_cast<std::size_t>(width - 2 * reach),
                             result.row(y) + reach);
        float* to = result.row(y);
        for (int x = 0; x < width; ++x) to[x] *= scale;
    }
    out = std::move(result);
}

/// In place: every pixel becomes the extreme of itself and the length - 1 pixels after it in
/// direction (dx, dy), by doubling: log2(length) passes. dy > 0, or dy == 0 and dx > 0. Pixels
/// whose line leaves the piece stay unfinished.
template <class Extreme>
void line_extreme(Plane& plane, int dx, int dy, int length, const Extreme& extreme) {
    const auto pass = [&](int shift) {
        const int sx = shift * dx, sy = shift * dy;
        const int begin = std::max(0, -sx), end = std::min(plane.width(), plane.width() - sx);
        if (end <= begin) return;
        for (int y = 0; y + sy < plane.height(); ++y)
            extreme(plane.row(y) + begin, plane.row(y + sy) + begin + sx,
                    static_cast<std::size_t>(end - begin), plane.row(y) + begin);
    };
    int reached = 1;
    for (; 2 * reached <= length; reached *= 2) pass(reached);
    if (reached < length) pass(length - reached);
}

/// Opening by a line; right where the piece reaches length - 1 pixels further on both sides.
Plane open_by_line(const Plane& in, int dx, int dy, int length) {
    Plane work = in;
    line_extreme(work, dx, dy, length, kernels::minimum);
    line_extreme(work, dx, dy, length, kernels::maximum);
    Plane out(in.width(), in.height());
    const int sx = (length - 1) * dx, sy = (length - 1) * dy;
    for (int y = 0; y < in.height(); ++y) {
        const float* from = work.row(std::clamp(y - sy, 0, in.height() - 1));
        for (int x = 0; x < in.width(); ++x)
            out.at(x, y) = from[std::clamp(x - sx, 0, in.width() - 1)];
    }
    return out;
}

/// Morphological building index (Huang & Zhang 2011) without reconstruction: white top-hats by
/// lines of the longest less those of the shortest length. (Openings by nested lines are ordered,
/// so the sum over all lengths in between telescopes to its ends.) mean: over four directions;
/// spot: the least of them, 0 along roads and long walls.
void building_index(const Plane& bright, const PairStatistics& s, Plane& mean, Plane& spot) {
    mean = Plane(bright.width(), bright.height());
    spot = Plane(bright.width(), bright.height(), 1e30F);
    constexpr std::array<std::array<int, 2>, 4> directions{{{1, 0}, {0, 1}, {1, 1}, {-1, 1}}};
    for (const auto& [dx, dy] : directions) {
        const bool diagonal = dx != 0 && dy != 0;
        const int longest = diagonal
                                ? std::max(2, static_cast<int>(std::lround(s.longest * 0.70710678)))
                                : s.longest;
        const int shortest =
            diagonal ? std::max(1, static_cast<int>(std::lround(s.shortest * 0.70710678)))
                     : s.shortest;
        const Plane wide = open_by_line(bright, dx, dy, longest);
        const Plane narrow = shortest > 1 ? open_by_line(bright, dx, dy, shortest) : bright;
        for (int y = 0; y < bright.height(); ++y) {
            float* m = mean.row(y);
            float* p = spot.row(y);
            const float *n = narrow.row(y), *w = wide.row(y);
            for (int x = 0; x < bright.width(); ++x) {
                const float profile = std::max(0.0F, n[x] - w[x]);
                m[x] += 0.25F * profile;
                p[x] = std::min(p[x], profile);
            }
        }
    }
}

struct PieceEvidence {
    std::array<Plane, kEvidenceCount>
        symmetric;  ///< those that do not depend on the direction; others empty
    Plane index_first, index_second, spot_first, spot_second, edges_first, edges_second;
    Plane brighter, greyer, less_green, shadow_appeared, shadow_disappeared;
    Plane dark;  ///< shade in the second less shade in the first image, -1 … 1
};

/// New darkness along the shadow direction: the largest 3 px mean of `darkness` from 1.5 to 9 m
/// away.
void shadow_evidence(const Plane& darkness, Point per_metre, Plane& out) {
    out = Plane(darkness.width(), darkness.height());
    for (const double metres : {1.5, 2.5, 3.5, 5.0, 7.0, 9.0}) {
        const int sx = static_cast<int>(std::lround(metres * per_metre.x));
        const int sy = static_cast<int>(std::lround(metres * per_metre.y));
        if (std::abs(sx) > kHalo - 8 || std::abs(sy) > kHalo - 8) continue;
        const int begin = std::max(0, -sx), end = std::min(out.width(), out.width() - sx);
        if (end <= begin) continue;
        for (int y = std::max(0, -sy); y < std::min(out.height(), out.height() - sy); ++y)
            kernels::maximum(out.row(y) + begin, darkness.row(y + sy) + begin + sx,
                             static_cast<std::size_t>(end - begin), out.row(y) + begin);
    }
}

void tolerant_plane(const Plane& first, const Plane& second, int radius, Plane& out) {
    const int width = first.width(), height = first.height();
    out = Plane(width, height);
    const auto n = static_cast<std::size_t>(width - 2 * radius);
    std::vector<float> scratch(4 * static_cast<std::size_t>(width));
    std::vector<const float*> a, b;
    for (int y = radius; y + radius < height; ++y) {
        a.clear();
        b.clear();
        for (int k = -radius; k <= radius; ++k) {
            a.push_back(first.row(y + k) + radius);
            b.push_back(second.row(y + k) + radius);
        }
        kernels::tolerant_difference(a.data(), b.data(), radius, n, scratch.data(),
                                     out.row(y) + radius);
    }
}

/// 1 - NCC of the orientation channels over a window, best of the shifts up to search; and both
/// images' share of textured ground in that window.
void structural_evidence(const Plane& first, const Plane& second, const PairStatistics& s,
                         Plane& dissimilar, Plane& edges_first, Plane& edges_second) {
    const int width = first.width(), height = first.height(), reach = s.window / 2;
    std::array<Plane, 4> a, b;
    for (auto& plane : a) plane = Plane(width, height);
    for (auto& plane : b) plane = Plane(width, height);
    const auto inner = static_cast<std::size_t>(width - 2);
    for (int y = 1; y + 1 < height; ++y) {
        const std::array<float*, 4> to_a{a[0].row(y) + 1, a[1].row(y) + 1, a[2].row(y) + 1,
                                         a[3].row(y) + 1};
        const std::array<float*, 4> to_b{b[0].row(y) + 1, b[1].row(y) + 1, b[2].row(y) + 1,
                                         b[3].row(y) + 1};
        kernels::orientation_harmonics(first.row(y - 1) + 1, first.row(y) + 1, first.row(y + 1) + 1,
                                       s.soft_gradient, inner, to_a.data());
        kernels::orientation_harmonics(second.row(y - 1) + 1, second.row(y) + 1,
                                       second.row(y + 1) + 1, s.soft_gradient, inner, to_b.data());
    }
    Plane product(width, height), scratch, energy_a, energy_b, matched;
    const auto multiply = [&](const std::array<Plane, 4>& p, const std::array<Plane, 4>& q, int dx,
                              int dy) {
        const int begin = std::max(0, -dx), end = std::min(width, width - dx);
        for (int y = std::max(0, -dy); y < std::min(height, height - dy); ++y) {
            const std::array<const float*, 4> left{p[0].row(y) + begin, p[1].row(y) + begin,
                                                   p[2].row(y) + begin, p[3].row(y) + begin};
            const std::array<const float*, 4> right{
                q[0].row(y + dy) + begin + dx, q[1].row(y + dy) + begin + dx,
                q[2].row(y + dy) + begin + dx, q[3].row(y + dy) + begin + dx};
            kernels::channel_product(left.data(), right.data(), 4,
                                     static_cast<std::size_t>(end - begin), product.row(y) + begin);
        }
    };
    multiply(a, a, 0, 0);
    box_mean(product, reach, energy_a, scratch);
    multiply(b, b, 0, 0);
    box_mean(product, reach, energy_b, scratch);
    Plane best(width, height, -1.0F);
    const int margin = reach + s.search;
    for (int dy = -s.search; dy <= s.search; ++dy)
        for (int dx = -s.search; dx <= s.search; ++dx) {
            multiply(a, b, dx, dy);
            box_mean(product, reach, matched, scratch);
            for (int y = margin; y + margin < height; ++y)
                for (int x = margin; x + margin < width; ++x) {
                    const float norm = std::sqrt(energy_a.at(x, y) * energy_b.at(x + dx, y + dy));
                    best.at(x, y) =
                        std::max(best.at(x, y), matched.at(x, y) / std::max(norm, 1e-6F));
                }
        }
    dissimilar = Plane(width, height);
    constexpr float kTextured = 0.2F;  // q² summed over two harmonics: half of it at a typical edge
    for (int y = margin; y + margin < height; ++y)
        for (int x = margin; x + margin < width; ++x) {
            const float energy = std::max(energy_a.at(x, y), energy_b.at(x, y));
            dissimilar.at(x, y) = 0.5F * (1 - best.at(x, y)) * energy / (energy + kTextured);
        }
    edges_first = std::move(energy_a);
    edges_second = std::move(energy_b);
}

PieceEvidence gather(const Pair& pair, const Piece& piece) {
    const PairStatistics& s = pair.statistics;
    const int width = piece.width, height = piece.height;
    PieceEvidence e;
    Plane scratch, difference_plane;

    // Radiometry: IR-MAD variates, each compared with tolerance.
    Plane chi_square(width, height);
    std::vector<Plane> first(pair.bands.first.size()), second(pair.bands.first.size());
    for (std::size_t b = 0; b < first.size(); ++b) {
        load(*pair.bands.first[b], piece, first[b]);
        load(*pair.bands.second[b], piece, second[b]);
    }
    Plane u(width, height), v(width, height);
    for (std::size_t i = 0; i < s.first_weights.size(); ++i) {
        std::vector<const float*> rows(first.size());
        for (int y = 0; y < height; ++y) {
            for (std::size_t b = 0; b < rows.size(); ++b) rows[b] = first[b].row(y);
            kernels::combine_bands(rows.data(), static_cast<int>(rows.size()),
                                   s.first_weights[i].data(), s.first_constant[i],
                                   static_cast<std::size_t>(width), u.row(y));
            for (std::size_t b = 0; b < rows.size(); ++b) rows[b] = second[b].row(y);
            kernels::combine_bands(rows.data(), static_cast<int>(rows.size()),
                                   s.second_weights[i].data(), s.second_constant[i],
                                   static_cast<std::size_t>(width), v.row(y));
        }
        tolerant_plane(u, v, s.radius, difference_plane);
        for (int y = 0; y < height; ++y) {
            const float* in = difference_plane.row(y);
            float* out = chi_square.row(y);
            for (int x = 0; x < width; ++x) out[x] += in[x] * in[x];
        }
    }
    const int blur = pair.coarse ? 1 : 2;
    box_mean(chi_square, blur, chi_square, scratch);
    const float per_band =
        1.0F / static_cast<float>(std::max<std::size_t>(1, s.first_weights.size()));
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            chi_square.at(x, y) = std::min(kClearest, std::log1p(per_band * chi_square.at(x, y)));
    e.symmetric[kRadiometric] = std::move(chi_square);

    // Structure.
    Plane light_first, light_second;
    load(pair.luminance_first, piece, light_first);
    load(pair.luminance_second, piece, light_second);
    Plane soft_first, soft_second;
    box_mean(light_first, 1, soft_first, scratch);
    box_mean(light_second, 1, soft_second, scratch);
    structural_evidence(soft_first, soft_second, s, e.symmetric[kStructural], e.edges_first,
                        e.edges_second);

    // Buildings: the brightest visible band, in units of the image's own spread.
    const auto index_of = [&](const std::vector<Plane>& bands, const Plane& light, Plane& mean,
                              Plane& spot) {
        Plane bright = light;
        for (std::size_t b = 0; b < bands.size(); ++b) {
            const BandRole role = pair.bands.roles[b];
            if (role != BandRole::blue && role != BandRole::green && role != BandRole::red)
                continue;
            for (int y = 0; y < height; ++y)
                kernels::maximum(bright.row(y), bands[b].row(y), static_cast<std::size_t>(width),
                                 bright.row(y));
        }
        building_index(bright, s, mean, spot);
        const float scale = 1.0F / s.luminance_scale;
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x) {
                mean.at(x, y) = std::log1p(scale * mean.at(x, y));
                spot.at(x, y) = std::log1p(scale * spot.at(x, y));
            }
        box_mean(mean, pair.coarse ? 1 : 3, mean, scratch);
        box_mean(spot, pair.coarse ? 1 : 2, spot, scratch);
    };
    index_of(first, light_first, e.index_first, e.spot_first);
    index_of(second, light_second, e.index_second, e.spot_second);

    // Signed luminance, colour.
    tolerant_plane(light_first, light_second, s.radius, e.brighter);
    // Shadow is dark against its surroundings, however bright the scene; what is darker than they
    // in one image alone is a shadow that moved sooner than a thing that changed.
    Plane around_first, around_second;
    box_mean(light_first, kSurroundings, around_first, scratch);
    box_mean(light_second, kSurroundings, around_second, scratch);
    const auto shade = [](float value, float around) {
        return around > 0 ? std::clamp(5 * (0.8F - value / around), 0.0F, 1.0F) : 0.0F;
    };
    e.dark = Plane(width, height);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            e.dark.at(x, y) = shade(soft_second.at(x, y), around_second.at(x, y)) -
                              shade(soft_first.at(x, y), around_first.at(x, y));
            e.brighter.at(x, y) /= s.difference_scale;
        }
    box_mean(e.brighter, blur, e.brighter, scratch);
    std::vector<const Plane*> first_planes = pointers(first), second_planes = pointers(second);
    e.greyer = Plane(width, height);
    e.less_green = Plane(width, height);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            e.greyer.at(x, y) =
                (saturation(first_planes, pair.bands.roles, x, y) -
                 saturation(second_planes, pair.bands.roles, x, y) - s.grey_centre) /
                s.grey_scale;
            e.less_green.at(x, y) =
                -(vegetation_index(second_planes, pair.bands.roles, x, y) -
                  vegetation_index(first_planes, pair.bands.roles, x, y) - s.green_centre) /
                s.green_scale;
        }
    box_mean(e.greyer, 2, e.greyer, scratch);
    box_mean(e.less_green, 2, e.less_green, scratch);

    if (s.shadows) {
        Plane darker(width, height), lighter(width, height);
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x) {
                darker.at(x, y) = std::clamp(-e.brighter.at(x, y), 0.0F, 8.0F);
                lighter.at(x, y) = std::clamp(e.brighter.at(x, y), 0.0F, 8.0F);
            }
        shadow_evidence(darker, s.shadow_second, e.shadow_appeared);
        shadow_evidence(lighter, s.shadow_first, e.shadow_disappeared);
    } else {
        e.shadow_appeared = Plane(width, height);
        e.shadow_disappeared = Plane(width, height);
    }
    return e;
}

/// Saturating: no single cue may outvote all others.
float squash(float value, float limit) { return limit * std::tanh(value / limit); }

std::array<float, kEvidenceCount> evidence_at(const PieceEvidence& e, int x, int y,
                                              bool disappeared) {
    const float sign = disappeared ? -1.0F : 1.0F;
    std::array<float, kEvidenceCount> f{};
    f[kConstant] = 1;
    f[kRadiometric] = e.symmetric[kRadiometric].at(x, y);
    f[kStructural] = e.symmetric[kStructural].at(x, y);
    f[kRadioStructural] = f[kRadiometric] * f[kStructural];
    f[kIndexNew] = disappeared ? e.index_first.at(x, y) : e.index_second.at(x, y);
    f[kIndexGain] = sign * (e.index_second.at(x, y) - e.index_first.at(x, y));
    f[kSpotGain] = sign * (e.spot_second.at(x, y) - e.spot_first.at(x, y));
    f[kEdgesGained] =
        sign * (std::sqrt(e.edges_second.at(x, y)) - std::sqrt(e.edges_first.at(x, y)));
    f[kBrighter] = squash(sign * e.brighter.at(x, y), 6);
    f[kLuminance] = std::abs(f[kBrighter]);
    f[kGreyer] = squash(sign * e.greyer.at(x, y), 6);
    f[kLessGreen] = squash(sign * e.less_green.at(x, y), 6);
    // A shadow only speaks for something that is there to throw it.
    const float shadow = disappeared ? e.shadow_disappeared.at(x, y) : e.shadow_appeared.at(x, y);
    f[kShadow] = shadow * std::clamp(4 * f[kIndexGain], 0.0F, 1.0F);
    f[kShadeGone] = std::max(0.0F, -sign * e.dark.at(x, y));
    f[kShadeCame] = std::max(0.0F, sign * e.dark.at(x, y));
    return f;
}

float weighed(const std::array<float, kEvidenceCount>& evidence,
              const std::array<float, kEvidenceCount>& weights) {
    float sum = 0;
    for (std::size_t k = 0; k < kEvidenceCount; ++k) sum += weights[k] * evidence[k];
    return sum;
}

template <class Body>
void for_pieces(const Pair& pair, const DifferenceOptions& options, const Body& body) {
    parallel_tiles(pair.seen.width(), pair.seen.height(), std::max(16, options.tile_px), 0,
                   [&](const Window& core, const Window&) {
                       bool any = false;
                       for (int y = core.y; y < core.y + core.height && !any; ++y) {
                           const std::uint8_t* row = pair.seen.row(y) + core.x;
                           any = std::any_of(row, row + core.width,
                                             [](std::uint8_t v) { return v != 0; });
                       }
                       if (!any) return;
                       const Piece piece{core.x - kHalo, core.y - kHalo, core.width + 2 * kHalo,
                                         core.height + 2 * kHalo};
                       body(core, gather(pair, piece));
                   });
}

struct Histogram {
    double low = 0, step = 1;
    std::vector<double> count;
    double total = 0;
    double centre(std::size_t k) const { return low + (static_cast<double>(k) + 0.5) * step; }
};

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

/// Smallest score from which Benjamini & Hochberg's (1995) rule holds for a Gaussian null: N·p(t)
/// <= q·#{score >= t}.
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

/// Null of a score whose changed pixels lie high: location is the median, scale comes from the
/// lower half alone.
std::pair<double, double> lower_half_null(std::vector<float> values) {
    const float centre = percentile(values, 0.5);
    std::vector<float> below;
    for (const float v : values)
        if (v <= centre) below.push_back(centre - v);
    return {static_cast<double>(centre), 1.4826 * static_cast<double>(percentile(below, 0.5))};
}

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

const char* name_of(Evidence evidence) {
    constexpr std::array<const char*, kEvidenceCount> names{
        "constant",   "radiometric",  "structural",  "radiometric x structural",
        "index, new", "index gained", "spot gained", "edges gained",
        "brighter",   "luminance",    "greyer",      "less green",
        "shadow",     "shade gone",   "shade came"};
    return evidence < kEvidenceCount ? names[static_cast<std::size_t>(evidence)] : "";
}

double otsu_threshold(std::span<const float> values) {
    if (values.size() < 2) return 0;
    const Histogram h = histogram_of(values, 1024);
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

double kittler_threshold(std::span<const float> values) {
    if (values.size() < 2) return 0;
    const Histogram h = histogram_of(values, 256);
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

double em_threshold(std::span<const float> values) {
    if (values.size() < 2) return 0;
    const Histogram h = histogram_of(values, 256);
    const double split = otsu_threshold(values);
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

std::vector<Plane> change_evidence(const Scene& before, const Scene& after, double sigma_r_px,
                                   const DifferenceOptions& options, bool disappeared) {
    Pair pair;
    if (!prepare(before, after, sigma_r_px, pair)) return {};
    std::vector<Plane> planes;
    for (int k = 0; k < kEvidenceCount; ++k)
        planes.emplace_back(pair.seen.width(), pair.seen.height());
    for_pieces(pair, options, [&](const Window& core, const PieceEvidence& evidence) {
        for (int y = 0; y < core.height; ++y)
            for (int x = 0; x < core.width; ++x) {
                if (pair.seen.at(core.x + x, core.y + y) == 0) continue;
                const auto f = evidence_at(evidence, x + kHalo, y + kHalo, disappeared);
                for (std::size_t k = 0; k < kEvidenceCount; ++k)
                    planes[k].at(core.x + x, core.y + y) = f[k];
            }
    });
    return planes;
}

namespace {

/// What a pixel would be if it changed, from its cues alone.
ChangeClass likely_class(const std::array<float, kEvidenceCount>& f, float appeared,
                         float disappeared, bool dark) {
    constexpr float kDirection = 1;        // log-odds by which one direction must lead
    constexpr float kClearlyBuilt = 0.4F;  // index gained that no shadow's border reaches
    if (dark && std::abs(f[kIndexGain]) < kClearlyBuilt) return ChangeClass::illumination;
    if (appeared - disappeared > kDirection) return ChangeClass::appeared;
    if (disappeared - appeared > kDirection) return ChangeClass::disappeared;
    return ChangeClass::modified;
}

ChangeClass surface_class(const std::array<float, kEvidenceCount>& f, bool dark) {
    if (dark && std::abs(f[kLessGreen]) < 3) return ChangeClass::illumination;
    return std::abs(f[kLessGreen]) >= 3 ? ChangeClass::vegetation : ChangeClass::ground;
}

bool structural(ChangeClass c) {
    return c == ChangeClass::appeared || c == ChangeClass::disappeared ||
           c == ChangeClass::modified;
}

/// Regions of `low` that hold a pixel of `high`, 8-connected, closed by one metre before. Values: 0
/// or label.
cv::Mat hysteresis(const Mask& low, const Mask& high, int closing_px, int& labels) {
    cv::Mat binary(low.height(), low.width(), CV_8U);
    for (int y = 0; y < low.height(); ++y)
        for (int x = 0; x < low.width(); ++x)
            binary.at<std::uint8_t>(y, x) = low.at(x, y) != 0 ? 255 : 0;
    if (closing_px > 1)
        cv::morphologyEx(binary, binary, cv::MORPH_CLOSE,
                         cv::getStructuringElement(cv::MORPH_ELLIPSE, {closing_px, closing_px}));
    cv::Mat label;
    labels = cv::connectedComponents(binary, label, 8, CV_32S);
    std::vector<std::uint8_t> kept(static_cast<std::size_t>(labels), 0);
    for (int y = 0; y < low.height(); ++y)
        for (int x = 0; x < low.width(); ++x)
            if (high.at(x, y) != 0) kept[static_cast<std::size_t>(label.at<int>(y, x))] = 1;
    kept[0] = 0;
    for (int y = 0; y < low.height(); ++y)
        for (int x = 0; x < low.width(); ++x) {
            int& l = label.at<int>(y, x);
            if (kept[static_cast<std::size_t>(l)] == 0) l = 0;
        }
    return label;
}

Ring outline_of(const cv::Mat& label, int value, const cv::Rect& box) {
    cv::Mat one(box.height + 2, box.width + 2, CV_8U, cv::Scalar(0));
    for (int y = 0; y < box.height; ++y)
        for (int x = 0; x < box.width; ++x)
            if (label.at<int>(box.y + y, box.x + x) == value)
                one.at<std::uint8_t>(y + 1, x + 1) = 255;
    // At twice the size the contour of a pixel's centre becomes its outline: a 1-px object still
    // has an area.
    cv::Mat twice;
    cv::resize(one, twice, {}, 2, 2, cv::INTER_NEAREST);
    std::vector<std::vector<cv::Point>> contours;
    cv::findContours(twice, contours, cv::RETR_EXTERNAL, cv::CHAIN_APPROX_NONE);
    Ring best;
    for (const auto& contour : contours) {
        Ring ring;
        for (const cv::Point& p : contour)
            ring.push_back({box.x - 1 + (p.x + 0.5) / 2, box.y - 1 + (p.y + 0.5) / 2});
        if (ring.size() > best.size()) best = std::move(ring);
    }
    return best.size() >= 3 ? simplify_ring(best, 0.75) : best;
}

}  // namespace

ChangeMap difference(const Scene& before, const Scene& after, double sigma_r_px,
                     const DifferenceOptions& options) {
    ChangeMap map;
    const int width = before.raster.grid.width, height = before.raster.grid.height;
    map.change_class = Mask(std::max(0, width), std::max(0, height),
                            static_cast<std::uint8_t>(ChangeClass::not_observed));
    map.probability = Plane(std::max(0, width), std::max(0, height));
    Pair pair;
    if (!prepare(before, after, sigma_r_px, pair)) {
        map.note = pair.bands.first.empty() ? "the scenes share no band"
                                            : "hardly any ground is seen in both scenes";
        return map;
    }
    map.note = pair.bands.note;
    map.radius_px = pair.statistics.radius;
    if (!pair.statistics.mad.fault.empty())
        map.note += (map.note.empty() ? "" : "; ") +
                    ("radiometry could not be compared: " + pair.statistics.mad.fault);
    const auto& weights = pair.coarse ? kCoarseWeights : kFineWeights;

    // Log-odds of structural change, and the radiometric evidence for surface change.
    Plane score(width, height), surface(width, height);
    Mask likely(width, height);
    for_pieces(pair, options, [&](const Window& core, const PieceEvidence& evidence) {
        for (int y = 0; y < core.height; ++y)
            for (int x = 0; x < core.width; ++x) {
                const int gx = core.x + x, gy = core.y + y;
                if (pair.seen.at(gx, gy) == 0) continue;
                const auto f = evidence_at(evidence, x + kHalo, y + kHalo, false);
                const auto g = evidence_at(evidence, x + kHalo, y + kHalo, true);
                const float appeared = weighed(f, weights), disappeared = weighed(g, weights);
                const bool dark = std::abs(evidence.dark.at(x + kHalo, y + kHalo)) > 0.3F;
                score.at(gx, gy) = std::max(appeared, disappeared);
                surface.at(gx, gy) = f[kRadiometric];
                const auto structure =
                    static_cast<unsigned>(likely_class(f, appeared, disappeared, dark));
                const auto ground = static_cast<unsigned>(surface_class(f, dark));
                likely.at(gx, gy) = static_cast<std::uint8_t>(structure | (ground << 4U));
            }
    });

    std::vector<float> scores, surfaces;
    const int step =
        std::max(1, static_cast<int>(std::sqrt(static_cast<double>(width) * height / 4e6)));
    for (int y = 0; y < height; y += step)
        for (int x = 0; x < width; x += step)
            if (pair.seen.at(x, y) != 0) {
                scores.push_back(score.at(x, y));
                surfaces.push_back(surface.at(x, y));
            }
    std::tie(map.null_location, map.null_scale) = lower_half_null(scores);
    map.null_scale = std::max(map.null_scale, 0.05);
    const double least = std::log(options.min_probability / (1 - options.min_probability));
    map.threshold =
        std::max(least, discovery_threshold(histogram_of(scores, 4096), map.null_location,
                                            map.null_scale, options.false_discovery_rate));
    // Probability is 0.5 where the score reaches this.
    double even_score = 0;
    if (pair.coarse) {
        even_score = map.null_location + kCoarseDeviations * map.null_scale;
        map.threshold = even_score + least;
    }
    map.otsu = otsu_threshold(scores);
    map.kittler = kittler_threshold(scores);
    map.em = em_threshold(scores);
    auto [surface_location, surface_scale] = lower_half_null(surfaces);
    constexpr double kClearSurface =
        2.3;  // χ²/N of 9: three no-change standard deviations in every variate
    const double surface_threshold =
        std::max(kClearSurface,
                 discovery_threshold(histogram_of(surfaces, 4096), surface_location,
                                     std::max(surface_scale, 0.05), options.false_discovery_rate));

    constexpr double kHysteresis =
        1.0;  // log-odds below the threshold that still belong to an object
    Mask low(width, height), high(width, height), surface_low(width, height),
        surface_high(width, height);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            if (pair.seen.at(x, y) == 0) continue;
            map.change_class.at(x, y) = 0;
            map.probability.at(x, y) =
                static_cast<float>(logistic(static_cast<double>(score.at(x, y)) - even_score));
            const auto structure = static_cast<ChangeClass>(likely.at(x, y) & 15);
            const double s = static_cast<double>(score.at(x, y)),
                         r = static_cast<double>(surface.at(x, y));
            if (structure == ChangeClass::illumination) {
                if (s >= map.threshold)
                    map.change_class.at(x, y) = static_cast<std::uint8_t>(structure);
            } else {
                low.at(x, y) = s >= map.threshold - kHysteresis;
                high.at(x, y) = s >= map.threshold;
            }
            surface_low.at(x, y) = r >= surface_threshold - 0.3;
            surface_high.at(x, y) = r >= surface_threshold;
        }

    const double pixel_m2 = pair.statistics.gsd * pair.statistics.gsd;
    const int closing =
        std::min(2 * static_cast<int>(std::lround(0.5 / pair.statistics.gsd)) + 1, 7);
    struct Region {
        int x0 = INT32_MAX, y0 = INT32_MAX, x1 = -1, y1 = -1;
        std::size_t pixels = 0;
        double sum = 0, sx = 0, sy = 0;
        std::array<double, 16> votes{};
    };
    const auto collect = [&](const cv::Mat& label, int labels, bool is_structure) {
        std::vector<Region> regions(static_cast<std::size_t>(labels));
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x) {
                const int l = label.at<int>(y, x);
                if (l == 0 || pair.seen.at(x, y) == 0) continue;
                Region& region = regions[static_cast<std::size_t>(l)];
                region.x0 = std::min(region.x0, x);
                region.y0 = std::min(region.y0, y);
                region.x1 = std::max(region.x1, x);
                region.y1 = std::max(region.y1, y);
                ++region.pixels;
                region.sx += x + 0.5;
                region.sy += y + 0.5;
                region.sum += static_cast<double>(score.at(x, y)) - even_score;
                const unsigned c = is_structure ? likely.at(x, y) & 15U : likely.at(x, y) >> 4U;
                region.votes[c] +=
                    is_structure ? logistic(static_cast<double>(score.at(x, y)) - even_score) : 1.0;
            }
        const double least_m2 = is_structure ? options.min_object_m2 : options.min_surface_m2;
        for (int l = 1; l < labels; ++l) {
            const Region& region = regions[static_cast<std::size_t>(l)];
            const auto pixels = static_cast<double>(region.pixels);
            if (region.pixels < 3 || pixels * pixel_m2 < least_m2) continue;
            if (is_structure && region.sum / pixels < least)
                continue;  // a few high pixels in doubtful ground
            const auto winner = static_cast<ChangeClass>(
                std::max_element(region.votes.begin(), region.votes.end()) - region.votes.begin());
            for (int y = region.y0; y <= region.y1; ++y)
                for (int x = region.x0; x <= region.x1; ++x)
                    if (label.at<int>(y, x) == l && map.change_class.at(x, y) == 0)
                        map.change_class.at(x, y) = static_cast<std::uint8_t>(winner);
            if (winner == ChangeClass::illumination || winner == ChangeClass::none) continue;
            ChangeObject object;
            object.outline_px = outline_of(
                label, l,
                {region.x0, region.y0, region.x1 - region.x0 + 1, region.y1 - region.y0 + 1});
            if (object.outline_px.size() < 3) continue;
            object.centre_px = {region.sx / pixels, region.sy / pixels};
            object.area_m2 = pixels * pixel_m2;
            object.change_class = winner;
            // For surfaces the structural score says nothing; their own evidence is the distance
            // from its null.
            object.log_odds = is_structure ? region.sum / pixels : 0.5;
            object.probability = logistic(object.log_odds);
            map.objects.push_back(std::move(object));
        }
    };
    try {
        int labels = 0;
        const cv::Mat structures = hysteresis(low, high, closing, labels);
        collect(structures, labels, true);
        std::size_t surface_pixels = 0;
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x) {
                if (structural(static_cast<ChangeClass>(map.change_class.at(x, y))))
                    surface_low.at(x, y) = 0;
                if (surface_low.at(x, y) == 0) surface_high.at(x, y) = 0;
                surface_pixels += surface_low.at(x, y);
            }
        const double share =
            static_cast<double>(surface_pixels) / static_cast<double>(pair.seen_count);
        if (share <= options.max_surface_share) {
            const cv::Mat surfaces_label = hysteresis(surface_low, surface_high, closing, labels);
            collect(surfaces_label, labels, false);
        } else {
            map.note += (map.note.empty() ? "" : "; ") +
                        std::string(
                            "most of the surface differs (season, snow or haze): vegetation and "
                            "ground change are not told");
        }
    } catch (const cv::Exception& error) {
        map.note += (map.note.empty() ? "" : "; ") + std::string("objects could not be formed: ") +
                    error.what();
    }
    std::stable_sort(map.objects.begin(), map.objects.end(),
                     [](const ChangeObject& a, const ChangeObject& b) {
                         if (a.centre_px.y != b.centre_px.y) return a.centre_px.y < b.centre_px.y;
                         if (a.centre_px.x != b.centre_px.x) return a.centre_px.x < b.centre_px.x;
                         return a.area_m2 < b.area_m2;
                     });
    return map;
}

}  // namespace fenceline
