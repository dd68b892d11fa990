#include "stages/perimeter_ribbon.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>

#include "kernels/line_path.h"
#include "kernels/line_support.h"

namespace fenceline {
namespace {

constexpr float kLowestZ = -1, kHighestZ = 4;

/// Weights of LineSupport::fit: conditional logit of the true row of a column against all others
/// within 22 m, fitted on simulated series (camp25, seeds 11 and 12; benchmarks/RESULTS.md,
/// "Perimeter"). Consistency alone follows patrol paths and strip edges as gladly as the wall;
/// strength tells them apart.
constexpr float kFitOrientation = 2.4F, kFitShade = 1.7F, kFitStrip = 2.0F, kFitBand = 2.7F,
                kFitEnergy = 0.9F;

/// Running sums down some columns: row y of the sums holds the sum of the rows before y.
template <class T>
void sum_columns(const PlaneOf<T>& plane, int x0, int n, Plane& sums) {
    std::fill_n(sums.row(0), n, 0.0F);
    for (int y = 0; y < plane.height(); ++y) {
        const float* above = sums.row(y);
        const T* in = plane.row(y) + x0;
        float* out = sums.row(y + 1);
        for (int x = 0; x < n; ++x) out[x] = above[x] + static_cast<float>(in[x]);
    }
}

/// A frame's features, row by row: what a row of them is made of lies on a few rows around it.
struct FeatureSource {
    const LineFrame& frame;
    Plane sums, seen;   ///< of the columns that are held: a piece at a time stays in the cache
    int held_from = 0;  ///< the first of them
    std::array<std::pair<int, int>, kernels::kLineMeans> spans;  ///< rows from … to, about the row
    int margin = 0;                                              ///< rows above and below
    float across_scale = 1, along_scale = 1;

    FeatureSource(const LineFrame& f, double unit_m, int most_columns)
        : frame(f),
          sums(most_columns, f.image.height() + 1),
          seen(most_columns, f.image.height() + 1) {
        const double per_unit = unit_m / frame.across_m;
        const auto rows = [&](double units) {
            return std::max(1, static_cast<int>(std::lround(units * per_unit)));
        };
        const int shade_to = rows(2.5), strip_half = rows(3), band_to = rows(2),
                  beyond_from = std::max(band_to + 1, rows(3.5)),
                  beyond_to = std::max(beyond_from, rows(7)),
                  side_from = std::max(strip_half + 1, rows(5)),
                  side_to = std::max(side_from, rows(9));
        spans[kernels::kMeanAfter] = {1, shade_to};
        spans[kernels::kMeanBefore] = {-shade_to, -1};
        spans[kernels::kMeanMiddle] = {-strip_half, strip_half};
        spans[kernels::kMeanSideAfter] = {side_from, side_to};
        spans[kernels::kMeanSideBefore] = {-side_to, -side_from};
        spans[kernels::kMeanNearAfter] = {1, band_to};
        spans[kernels::kMeanNearBefore] = {-band_to, -1};
        spans[kernels::kMeanBeyondAfter] = {beyond_from, beyond_to};
        spans[kernels::kMeanBeyondBefore] = {-beyond_to, -beyond_from};
        margin = side_to;
        across_scale = static_cast<float>(0.5 / frame.across_m);
        along_scale = static_cast<float>(0.5 / frame.along_m);
    }

    void hold(int x0, int n) {
        held_from = x0;
        sum_columns(frame.image, x0, n, sums);
        sum_columns(frame.seen, x0, n, seen);
    }

    /// The first `features` features of the held columns x0 … x0 + n - 1 of row y.
    void row(int y, int x0, int n, std::size_t features, float* const* out) const {
        const int width = frame.image.width(), height = frame.image.height();
        const auto zero = [&](int from, int count) {
            for (std::size_t f = 0; f < features; ++f)
                std::fill_n(out[f] + (from - x0), count, 0.0F);
        };
        const int first = std::max(x0, 1), last = std::min(x0 + n, width - 1);
        if (y < margin || y + margin >= height || last <= first) return zero(x0, n);
        if (first > x0) zero(x0, first - x0);
        if (last < x0 + n) zero(last, x0 + n - last);
        kernels::LineRows rows;
        rows.above = frame.image.row(y - 1) + first;
        rows.here = frame.image.row(y) + first;
        rows.below = frame.image.row(y + 1) + first;
        for (std::size_t k = 0; k < spans.size(); ++k) {
            const auto [from, to] = spans[k];
            rows.upto[k] = sums.row(y + to + 1) + (first - held_from);
            rows.before[k] = sums.row(y + from) + (first - held_from);
            rows.per_row[k] = 1.0F / static_cast<float>(to - from + 1);
        }
        rows.seen_upto = seen.row(y + margin + 1) + (first - held_from);
        rows.seen_before = seen.row(y - margin) + (first - held_from);
        rows.seen_rows = static_cast<float>(2 * margin + 1) - 0.5F;
        rows.sun = frame.sun.data() + first;
        rows.across_scale = across_scale;
        rows.along_scale = along_scale;
        std::array<float*, kernels::kLineFeatures> at{};
        for (std::size_t f = 0; f < features; ++f) at[f] = out[f] + (first - x0);
        kernels::line_features(rows, features, static_cast<std::size_t>(last - first), at.data());
    }
};

/// Calls visit(x, y) for about 20 000 places of a plane, evenly spread.
template <class Visit>
void for_some_places(int width, int height, const Visit& visit) {
    const std::size_t all = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
    const std::size_t step = std::max<std::size_t>(1, all / 20011);
    for (std::size_t i = 0; i < all; i += step)
        visit(static_cast<int>(i % static_cast<std::size_t>(width)),
              static_cast<int>(i / static_cast<std::size_t>(width)));
}

/// Floors under the averaged squares: half of their medians where seen.
void set_floors(FeatureSource& source, kernels::LineWeights& weights) {
    std::vector<float> energy, shade, strip;
    std::array<float, kernels::kLineBand> values{};
    std::array<float*, kernels::kLineBand> out{};
    for (std::size_t f = 0; f < values.size(); ++f) out[f] = &values[f];
    std::vector<std::pair<int, int>> places;
    for_some_places(source.frame.image.width(), source.frame.image.height(),
                    [&](int x, int y) { places.emplace_back(x, y); });
    std::sort(places.begin(), places.end());
    const int width = source.frame.image.width(), most = source.sums.width();
    int held_to = 0;
    for (const auto& [x, y] : places) {
        if (x >= held_to) {
            held_to = std::min(width, x + most);
            source.hold(x, held_to - x);
        }
        source.row(y, x, 1, values.size(), out.data());
        if (values[kernels::kLineSeen] <= 0) continue;
        energy.push_back(values[kernels::kLineEnergy]);
        shade.push_back(values[kernels::kLineShade2]);
        strip.push_back(values[kernels::kLineStrip2]);
    }
    weights.energy_floor = 0.5F * median_of(energy) + 1e-6F;
    weights.shade_floor = 0.5F * median_of(shade) + 1e-6F;
    weights.strip_floor = 0.5F * median_of(strip) + 1e-6F;
}

/// line_support from what the network has drawn, into the columns of out from x0 on; with fit where
/// out has room for it.
void drawn_support(const LineFrame& frame, double unit_m, std::span<const double> tilts, int x0,
                   LineSupport& out) {
    // A drawn line is some 2 m wide: of its middle, which the weights across find, .8 of the
    // probability is left.
    constexpr float kScale = 1.2F, kFit = 6;
    constexpr double kPlaced = 4;  // U to either side: a line is placed by what lies near
    const int half = frame.padding, height = frame.drawn.height(),
              width = frame.drawn.width() - 2 * half;
    const bool for_placing = out.fit.width() > 0;
    const int reach = std::min(2, static_cast<int>(std::lround(unit_m / frame.across_m)));
    Plane middle(frame.drawn.width(), height);
    for (int y = 0; y < height; ++y) {
        float sum = 0;
        for (int d = -reach; d <= reach; ++d) {
            const auto weight = static_cast<float>(reach + 1 - std::abs(d));
            const float* in = frame.drawn.row(std::clamp(y + d, 0, height - 1));
            for (int x = 0; x < middle.width(); ++x) middle.at(x, y) += weight * in[x];
            sum += weight;
        }
        for (int x = 0; x < middle.width(); ++x) middle.at(x, y) /= sum;
    }
    // The most of all tilts of the mean over columns −length … length, in steps.
    const auto raise = [&](int length, Plane& most) {
        const int stride = std::max(1, length / 4), steps = length / stride;
        std::vector<float> sum(static_cast<std::size_t>(width));
        for (int y = 0; y < height; ++y)
            for (const double tilt : tilts) {
                std::fill(sum.begin(), sum.end(), 0.0F);
                for (int k = -steps; k <= steps; ++k) {
                    const int drift = static_cast<int>(
                        std::lround(tilt * k * stride * frame.along_m / frame.across_m));
                    const float* in =
                        middle.row(std::clamp(y + drift, 0, height - 1)) + half + k * stride;
                    for (int x = 0; x < width; ++x) sum[static_cast<std::size_t>(x)] += in[x];
                }
                float* to = most.row(y) + x0;
                for (int x = 0; x < width; ++x)
                    to[x] = std::max(to[x], sum[static_cast<std::size_t>(x)] /
                                                static_cast<float>(2 * steps + 1));
            }
    };
    raise(half, out.z);
    if (for_placing)
        raise(
            std::min(half,
                     std::max(1, static_cast<int>(std::lround(kPlaced * unit_m / frame.along_m)))),
            out.fit);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            const bool seen = frame.seen.at(x + half, y) != 0;
            float& z = out.z.at(x0 + x, y);
            out.seen.at(x0 + x, y) = seen ? 1 : 0;
            z = seen ? kHighestZ * std::min(1.0F, kScale * z) : 0.0F;
            if (for_placing) out.fit.at(x0 + x, y) *= seen ? kFit : 0.0F;
        }
}

}  // namespace

float median_of(std::vector<float>& values) {
    if (values.empty()) return 0;
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

int averaging_half_length(double along_m, double unit_m) {
    return std::max(2, static_cast<int>(std::lround(7.5 * unit_m / along_m)));
}

LineSupport line_support(const LineFrame& frame, double unit_m, std::span<const double> tilts,
                         bool for_placing) {
    const int half = frame.padding, height = frame.seen.height(),
              width = frame.seen.width() - 2 * half;
    LineSupport out;
    if (width <= 0 || height <= 0) return out;
    const bool drawn = frame.drawn.width() > 0;
    constexpr float kNothing = -1e30F;
    out.z = Plane(width, height, drawn ? 0.0F : kNothing);
    if (for_placing) out.fit = Plane(width, height, drawn ? 0.0F : kNothing);
    out.seen = Mask(width, height);
    if (drawn) {
        drawn_support(frame, unit_m, tilts, 0, out);
        return out;
    }
    constexpr int kPiece = 512;
    const int piece = std::min(kPiece, width);
    FeatureSource source(frame, unit_m, piece + 2 * half);
    kernels::LineWeights weights;
    set_floors(source, weights);
    weights.orientation = weights.shade = 0.6F;
    weights.strip = 0.4F;
    weights.fit_orientation = kFitOrientation;
    weights.fit_shade = kFitShade;
    weights.fit_strip = kFitStrip;
    weights.fit_band = kFitBand;
    weights.fit_energy = kFitEnergy;

    // Neighbouring columns say almost the same: nine of them stand for the stretch.
    const int stride = std::max(1, half / 4), reach = half / stride;
    const auto stretches = static_cast<std::size_t>(2 * reach + 1);
    std::vector<int> drifts;  // rows, per tilt and column of the stretch
    int most_drift = 0;
    for (const double tilt : tilts)
        for (int k = -reach; k <= reach; ++k) {
            drifts.push_back(
                static_cast<int>(std::lround(tilt * k * stride * frame.along_m / frame.across_m)));
            most_drift = std::max(most_drift, std::abs(drifts.back()));
        }
    // Only the rows that the tilts reach are held, a piece of the line at a time: they stay in the
    // cache.
    const std::size_t features = for_placing ? kernels::kLineFeatures : kernels::kLineBand;
    const int held = 2 * most_drift + 1;
    std::vector<Plane> ring(features);
    for (Plane& plane : ring) plane = Plane(piece + 2 * half, held);
    std::vector<const float*> rows(features * stretches);
    std::vector<float*> into(features);
    for (int x0 = 0; x0 < width; x0 += piece) {
        const int columns = std::min(piece, width - x0);
        source.hold(x0, columns + 2 * half);
        int next = 0;  // first row that is not yet held
        for (int y = 0; y < height; ++y) {
            for (; next <= std::min(height - 1, y + most_drift); ++next) {
                for (std::size_t f = 0; f < features; ++f) into[f] = ring[f].row(next % held);
                source.row(next, x0, columns + 2 * half, features, into.data());
            }
            for (std::size_t t = 0; t < tilts.size(); ++t) {
                for (std::size_t k = 0; k < stretches; ++k) {
                    const int from =
                        std::clamp(y + drifts[t * stretches + k], 0, height - 1) % held;
                    const int column = half + (static_cast<int>(k) - reach) * stride;
                    for (std::size_t f = 0; f < features; ++f)
                        rows[f * stretches + k] = ring[f].row(from) + column;
                }
                kernels::raise_line_support(
                    rows.data(), stretches, static_cast<std::size_t>(columns), weights,
                    out.z.row(y) + x0, for_placing ? out.fit.row(y) + x0 : nullptr);
            }
        }
    }

    // Robust z against the whole frame.
    std::vector<float> values;
    for_some_places(width, height, [&](int x, int y) {
        if (out.z.at(x, y) > kNothing) values.push_back(out.z.at(x, y));
    });
    const float centre = median_of(values);
    for (float& value : values) value = std::abs(value - centre);
    const float scale = 1 / (1.4826F * median_of(values) + 0.02F);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            float& z = out.z.at(x, y);
            const bool seen = z > kNothing;
            out.seen.at(x, y) = seen ? 1 : 0;
            z = seen ? std::clamp((z - centre) * scale, kLowestZ, kHighestZ) : 0.0F;
            if (for_placing && !seen) out.fit.at(x, y) = 0;
        }
    return out;
}

namespace {
/// Columns of a line.
struct Columns {
    int from = 0, to = 0;
};

/// Tangents averaged over 8 U: a digitised line's corners must not throw the normals about.
void add_normals(Centreline& line, double unit_m) {
    const int count = static_cast<int>(line.points_px.size());
    const int half = std::max(1, static_cast<int>(std::lround(4 * unit_m / line.step_m)));
    line.normals.resize(line.points_px.size());
    const auto at = [&](int i) {
        if (line.closed)
            return line.points_px[static_cast<std::size_t>(((i % count) + count) % count)];
        return line.points_px[static_cast<std::size_t>(std::clamp(i, 0, count - 1))];
    };
    for (int i = 0; i < count; ++i) {
        Point tangent = at(i + half) - at(i - half);
        if (norm(tangent) < 1e-9) tangent = at(i + 1) - at(i - 1);
        const double length = norm(tangent);
        line.normals[static_cast<std::size_t>(i)] =
            length > 1e-12 ? Point{tangent.y / length, -tangent.x / length} : Point{1, 0};
    }
}
}  // namespace

Centreline centreline_of_ring(const Ring& ring_px, double gsd_m, double unit_m) {
    Centreline line;
    Ring ring = ring_px;
    if (signed_area(ring) < 0) std::reverse(ring.begin(), ring.end());
    line.points_px = resample_ring(ring, unit_m / gsd_m);
    line.step_m = ring_length(line.points_px) * gsd_m /
                  static_cast<double>(std::max<std::size_t>(1, line.points_px.size()));
    line.closed = true;
    add_normals(line, unit_m);
    return line;
}

Centreline centreline_of_path(const Polyline& path_px, double gsd_m, double unit_m) {
    Centreline line;
    line.points_px = resample_line(path_px, unit_m / gsd_m);
    line.step_m = line_length(line.points_px) * gsd_m /
                  static_cast<double>(std::max<std::size_t>(2, line.points_px.size()) - 1);
    line.closed = false;
    add_normals(line, unit_m);
    return line;
}

std::optional<Point> sun_direction_px(const SceneInfo& scene) {
    if (!scene.sun_azimuth_deg || !std::isfinite(*scene.sun_azimuth_deg)) return std::nullopt;
    const double azimuth = *scene.sun_azimuth_deg * std::numbers::pi / 180;
    return Point{std::sin(azimuth), -std::cos(azimuth)};
}

namespace {
/// unroll, of some of the line's columns.
LineFrame unroll_part(const LineEvidence& evidence, std::optional<Point> sun_px,
                      const Centreline& line, Columns columns, int half_rows, double gsd_m,
                      double unit_m, bool use_drawn) {
    LineFrame frame;
    frame.along_m = line.step_m;
    frame.across_m = unit_m / 2;
    frame.padding = averaging_half_length(frame.along_m, unit_m);
    const int count = static_cast<int>(line.points_px.size()),
              width = columns.to - columns.from + 2 * frame.padding, height = 2 * half_rows + 1;
    frame.seen = Mask(width, height);
    const bool drawn = use_drawn && evidence.drawn.width() > 0;
    (drawn ? frame.drawn : frame.image) = Plane(width, height);
    frame.sun.assign(static_cast<std::size_t>(width), 0.0F);
    if (evidence.luminance.width() == 0 || count < 2) return frame;
    const PlaneOf<std::uint8_t>& source = evidence.luminance;
    const double to_source = 1.0 / evidence.luminance_step_px, across_px = frame.across_m / gsd_m;
    std::vector<Point> at(static_cast<std::size_t>(width)), step(static_cast<std::size_t>(width));
    for (int x = 0; x < width; ++x) {
        const int i = columns.from + x - frame.padding;
        const int k = line.closed ? ((i % count) + count) % count : std::clamp(i, 0, count - 1);
        Point p = line.points_px[static_cast<std::size_t>(k)];
        const Point normal = line.normals[static_cast<std::size_t>(k)];
        if (!line.closed && i != k)  // beyond an open end: straight on
            p = p + (static_cast<double>(i - k) * line.step_m / gsd_m) * Point{-normal.y, normal.x};
        at[static_cast<std::size_t>(x)] = to_source * p;
        step[static_cast<std::size_t>(x)] = (to_source * across_px) * normal;
        if (sun_px)
            frame.sun[static_cast<std::size_t>(x)] =
                static_cast<float>(std::clamp(2 * dot(normal, *sun_px), -1.0, 1.0));
    }
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            const Point p = at[static_cast<std::size_t>(x)] +
                            static_cast<double>(y - half_rows) * step[static_cast<std::size_t>(x)];
            const double u = p.x - 0.5, v = p.y - 0.5;
            if (!(u >= 0 && v >= 0 && u < source.width() - 1 && v < source.height() - 1)) continue;
            const int i = static_cast<int>(u), j = static_cast<int>(v);
            const std::uint8_t *h0 = evidence.hidden.row(j) + i,
                               *h1 = evidence.hidden.row(j + 1) + i;
            if ((h0[0] | h0[1] | h1[0] | h1[1]) != 0) continue;
            const auto fx = static_cast<float>(u - i), fy = static_cast<float>(v - j);
            frame.seen.at(x, y) = 1;
            if (!drawn) {
                const std::uint8_t *s0 = source.row(j) + i, *s1 = source.row(j + 1) + i;
                const float top = static_cast<float>(s0[0]) +
                                  fx * (static_cast<float>(s0[1]) - static_cast<float>(s0[0]));
                const float bottom = static_cast<float>(s1[0]) +
                                     fx * (static_cast<float>(s1[1]) - static_cast<float>(s1[0]));
                frame.image.at(x, y) = (top + fy * (bottom - top) - 128.0F) * (1.0F / 32.0F);
                continue;
            }
            const std::uint8_t *d0 = evidence.drawn.row(j) + i, *d1 = evidence.drawn.row(j + 1) + i;
            const float over =
                            static_cast<float>(d0[0]) * (1 - fx) + static_cast<float>(d0[1]) * fx,
                        under =
                            static_cast<float>(d1[0]) * (1 - fx) + static_cast<float>(d1[1]) * fx;
            frame.drawn.at(x, y) = (over + fy * (under - over)) * (1.0F / 255.0F);
        }
    return frame;
}
}  // namespace

LineFrame unroll(const LineEvidence& evidence, std::optional<Point> sun_px, const Centreline& line,
                 int half_rows, double gsd_m, double unit_m, bool use_drawn) {
    return unroll_part(evidence, sun_px, line, {0, static_cast<int>(line.points_px.size())},
                       half_rows, gsd_m, unit_m, use_drawn);
}

LineSupport support_beside(const LineEvidence& evidence, std::optional<Point> sun_px,
                           const Centreline& line, int half_rows, double gsd_m, double unit_m,
                           bool use_drawn, bool for_placing) {
    static constexpr std::array<double, 5> kTilts{-0.5, -0.25, 0.0, 0.25, 0.5};
    if (!use_drawn || evidence.drawn.width() == 0)
        return line_support(unroll(evidence, sun_px, line, half_rows, gsd_m, unit_m, false), unit_m,
                            kTilts, for_placing);
    // What is drawn is judged by itself and not against the whole ribbon: a piece at a time stays
    // in the cache.
    constexpr int kPiece = 256;
    const int count = static_cast<int>(line.points_px.size()), height = 2 * half_rows + 1;
    LineSupport out;
    out.z = Plane(count, height);
    if (for_placing) out.fit = Plane(count, height);
    out.seen = Mask(count, height);
    for (int from = 0; from < count; from += kPiece)
        drawn_support(unroll_part(evidence, sun_px, line, {from, std::min(count, from + kPiece)},
                                  half_rows, gsd_m, unit_m, true),
                      unit_m, kTilts, from, out);
    return out;
}

Ring without_spurs(const Ring& ring_px, double neck_px, double most_px) {
    const Ring ring = resample_ring(ring_px, neck_px / 2);
    const int count = static_cast<int>(ring.size()),
              most = std::min(count / 4, static_cast<int>(most_px / (neck_px / 2)));
    Ring out;
    for (int i = 0; i < count; ++i) {
        out.push_back(ring[static_cast<std::size_t>(i)]);
        int jump = i;
        double area = 0, length = 0;
        for (int k = i + 1; k <= i + most && k < count; ++k) {
            const Point a = ring[static_cast<std::size_t>(k - 1)],
                        b = ring[static_cast<std::size_t>(k)],
                        o = ring[static_cast<std::size_t>(i)];
            area += cross(a - o, b - o) / 2;
            length += distance(a, b);
            // A true corner's two sides part at once: a spur's stay within about two necks.
            if (length > 4 * neck_px && distance(o, b) <= neck_px &&
                std::abs(area) <= neck_px * length)
                jump = k;
        }
        i = jump;
    }
    return out;
}

std::vector<int> cheapest_rows(const Plane& cost, bool closed, float jump_cost) {
    const int columns = cost.width(), rows = cost.height(), laps = closed ? 3 : 1;
    std::vector<int> path(static_cast<std::size_t>(columns), rows / 2);
    if (columns == 0 || rows == 0) return path;
    const auto n = static_cast<std::size_t>(rows);
    std::vector<float> turned(n * static_cast<std::size_t>(columns));  // one column after the other
    for (int y = 0; y < rows; ++y)
        for (int x = 0; x < columns; ++x)
            turned[static_cast<std::size_t>(x) * n + static_cast<std::size_t>(y)] = cost.at(x, y);
    std::vector<float> total(n, 0.0F), next(n);
    std::vector<std::int8_t> choices(n * static_cast<std::size_t>(columns) *
                                     static_cast<std::size_t>(laps));
    for (int s = 0; s < columns * laps; ++s) {
        kernels::path_step(total.data(), turned.data() + static_cast<std::size_t>(s % columns) * n,
                           n, jump_cost, next.data(),
                           choices.data() + static_cast<std::size_t>(s) * n);
        // Only differences matter: keep the sums small so that float stays exact enough on long
        // lines.
        const float least = *std::min_element(next.begin(), next.end());
        for (std::size_t i = 0; i < n; ++i) total[i] = next[i] - least;
    }
    auto row = static_cast<int>(std::min_element(total.begin(), total.end()) - total.begin());
    for (int s = columns * laps - 1; s >= 0; --s) {
        if (!closed || s / columns == 1) path[static_cast<std::size_t>(s % columns)] = row;
        row += choices[static_cast<std::size_t>(s) * n + static_cast<std::size_t>(row)];
    }
    return path;
}

}  // namespace fenceline
