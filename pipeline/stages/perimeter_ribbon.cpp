#include "stages/perimeter_ribbon.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "kernels/line_path.h"

namespace fenceline {
namespace {

constexpr float kLowestZ = -1, kHighestZ = 4;

/// What is averaged along the line, per pixel of a frame.
enum Feature { kAcross, kEnergy, kShade, kShade2, kStrip, kStrip2, kBand, kSeen, kFeatures };
using FeaturePlanes = std::array<Plane, kFeatures>;

/// Weights of LineSupport::fit: conditional logit of the true row of a column against all others
/// within 22 m, fitted on simulated series (camp25, seeds 11 and 12; benchmarks/RESULTS.md,
/// "Perimeter"). Consistency alone follows patrol paths and strip edges as gladly as the wall;
/// strength tells them apart.
constexpr float kFitOrientation = 2.4F, kFitShade = 1.7F, kFitStrip = 2.0F, kFitBand = 2.7F,
                kFitEnergy = 0.9F;

/// Running sums down the columns: row y holds the sum of the rows before y.
Plane column_sums(const Plane& plane) {
    Plane sums(plane.width(), plane.height() + 1);
    for (int y = 0; y < plane.height(); ++y) {
        const float *above = sums.row(y), *in = plane.row(y);
        float* out = sums.row(y + 1);
        for (int x = 0; x < plane.width(); ++x) out[x] = above[x] + in[x];
    }
    return sums;
}

FeaturePlanes line_features(const LineFrame& frame, double unit_m) {
    const int width = frame.image.width(), height = frame.image.height();
    const double per_unit = unit_m / frame.across_m;
    const auto rows = [&](double units) {
        return std::max(1, static_cast<int>(std::lround(units * per_unit)));
    };
    const int shade_to = rows(2.5), strip_half = rows(3), band_to = rows(2),
              beyond_from = std::max(band_to + 1, rows(3.5)),
              beyond_to = std::max(beyond_from, rows(7)),
              side_from = std::max(strip_half + 1, rows(5)), side_to = std::max(side_from, rows(9));
    const Plane sums = column_sums(frame.image), weights = column_sums(frame.weight);
    FeaturePlanes out;
    for (auto& plane : out) plane = Plane(width, height);
    const auto across_scale = static_cast<float>(0.5 / frame.across_m),
               along_scale = static_cast<float>(0.5 / frame.along_m);
    // Means of the rows y + from … y + to.
    for (int y = side_to; y + side_to < height; ++y) {
        const auto mean = [&](int x, int from, int to) {
            return (sums.at(x, y + to + 1) - sums.at(x, y + from)) /
                   static_cast<float>(to - from + 1);
        };
        const float *above = frame.image.row(y - 1), *here = frame.image.row(y),
                    *below = frame.image.row(y + 1);
        const float full = static_cast<float>(2 * side_to + 1) - 0.5F;
        for (int x = 1; x + 1 < width; ++x) {
            if (weights.at(x, y + side_to + 1) - weights.at(x, y - side_to) < full) continue;
            const float gn = (below[x] - above[x]) * across_scale,
                        gs = (here[x + 1] - here[x - 1]) * along_scale;
            const float plus = mean(x, 1, shade_to), minus = mean(x, -shade_to, -1);
            const float shade = frame.sun[static_cast<std::size_t>(x)] * (plus - minus);
            const float middle = mean(x, -strip_half, strip_half);
            const float strip =
                middle - std::max(mean(x, side_from, side_to), mean(x, -side_to, -side_from));
            // A shadow's band beside the line, darker than the lit side and than what lies beyond
            // it.
            const float sun = frame.sun[static_cast<std::size_t>(x)];
            const bool below_lit = sun > 0;
            const float lit = below_lit ? mean(x, 1, band_to) : mean(x, -band_to, -1),
                        dark = below_lit ? mean(x, -band_to, -1) : mean(x, 1, band_to),
                        beyond = below_lit ? mean(x, -beyond_to, -beyond_from)
                                           : mean(x, beyond_from, beyond_to);
            out[kBand].at(x, y) =
                std::min(1.0F, 1.5F * std::abs(sun)) * std::max(0.0F, std::min(lit, beyond) - dark);
            out[kAcross].at(x, y) = gn * gn - gs * gs;
            out[kEnergy].at(x, y) = gn * gn + gs * gs;
            out[kShade].at(x, y) = shade;
            out[kShade2].at(x, y) = shade * shade;
            out[kStrip].at(x, y) = strip;
            out[kStrip2].at(x, y) = strip * strip;
            out[kSeen].at(x, y) = 1;
        }
    }
    return out;
}

/// Median of a plane where another is set, over at most about 20 000 pixels.
float typical(const Plane& plane, const Plane& where) {
    std::vector<float> values;
    const std::size_t all =
        static_cast<std::size_t>(plane.width()) * static_cast<std::size_t>(plane.height());
    const std::size_t step = std::max<std::size_t>(1, all / 20011);
    for (std::size_t i = 0; i < all; i += step) {
        const int x = static_cast<int>(i % static_cast<std::size_t>(plane.width())),
                  y = static_cast<int>(i / static_cast<std::size_t>(plane.width()));
        if (where.at(x, y) > 0) values.push_back(plane.at(x, y));
    }
    return median_of(values);
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

LineSupport line_support(const LineFrame& frame, double unit_m, std::span<const double> tilts) {
    const int half = frame.padding, height = frame.image.height(),
              width = frame.image.width() - 2 * half;
    LineSupport out;
    if (width <= 0 || height <= 0) return out;
    out.z = Plane(width, height);
    out.fit = Plane(width, height);
    out.seen = Mask(width, height);
    const FeaturePlanes features = line_features(frame, unit_m);
    const float energy_floor = 0.5F * typical(features[kEnergy], features[kSeen]) + 1e-6F;
    const float shade_floor = 0.5F * typical(features[kShade2], features[kSeen]) + 1e-6F;
    const float strip_floor = 0.5F * typical(features[kStrip2], features[kSeen]) + 1e-6F;

    const auto columns = static_cast<std::size_t>(width);
    std::array<std::vector<float>, kFeatures> mean;
    for (auto& m : mean) m.resize(columns);
    // Neighbouring columns say almost the same: nine of them stand for the stretch.
    const int stride = std::max(1, half / 4), reach = half / stride;
    std::vector<const float*> rows(static_cast<std::size_t>(2 * reach + 1));
    for (int y = 0; y < height; ++y)
        for (const double tilt : tilts) {
            for (int f = 0; f < kFeatures; ++f) {
                for (int k = -reach; k <= reach; ++k) {
                    const double drift = tilt * k * stride * frame.along_m / frame.across_m;
                    const int from = y + static_cast<int>(std::lround(drift));
                    rows[static_cast<std::size_t>(k + reach)] =
                        features[static_cast<std::size_t>(f)].row(std::clamp(from, 0, height - 1)) +
                        half + k * stride;
                }
                kernels::sum_rows(rows.data(), rows.size(), columns,
                                  1.0F / static_cast<float>(rows.size()),
                                  mean[static_cast<std::size_t>(f)].data());
            }
            float *z = out.z.row(y), *fit = out.fit.row(y);
            std::uint8_t* seen = out.seen.row(y);
            for (std::size_t x = 0; x < columns; ++x) {
                const float w = mean[kSeen][x];
                if (w < 0.5F) continue;
                // Sums over the seen part only; consistency = coherent part over everything plus a
                // noise floor.
                const float inverse = 1 / w;
                const float orientation = std::max(0.0F, mean[kAcross][x]) * inverse /
                                          (mean[kEnergy][x] * inverse + energy_floor);
                const float shade = std::max(0.0F, mean[kShade][x]) * inverse /
                                    std::sqrt(mean[kShade2][x] * inverse + shade_floor);
                const float strip = std::max(0.0F, mean[kStrip][x]) * inverse /
                                    std::sqrt(mean[kStrip2][x] * inverse + strip_floor);
                const float support = 0.6F * orientation + 0.6F * shade + 0.4F * strip;
                const float placed =
                    kFitOrientation * orientation + kFitShade * shade + kFitStrip * strip +
                    kFitBand * mean[kBand][x] * inverse +
                    kFitEnergy * std::log(mean[kEnergy][x] * inverse + energy_floor);
                z[x] = seen[x] != 0 ? std::max(z[x], support) : support;
                fit[x] = seen[x] != 0 ? std::max(fit[x], placed) : placed;
                seen[x] = 1;
            }
        }

    // Robust z against the whole frame.
    Plane where(width, height);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) where.at(x, y) = out.seen.at(x, y) != 0 ? 1.0F : 0.0F;
    const float centre = typical(out.z, where);
    Plane deviation(width, height);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) deviation.at(x, y) = std::abs(out.z.at(x, y) - centre);
    const float scale = 1 / (1.4826F * typical(deviation, where) + 0.02F);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            out.z.at(x, y) = out.seen.at(x, y) != 0 ? std::clamp((out.z.at(x, y) - centre) * scale,
                                                                 kLowestZ, kHighestZ)
                                                    : 0.0F;
    return out;
}

namespace {
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

LineFrame unroll(const LineEvidence& evidence, std::optional<Point> sun_px, const Centreline& line,
                 int half_rows, double gsd_m, double unit_m) {
    LineFrame frame;
    frame.along_m = line.step_m;
    frame.across_m = unit_m / 2;
    frame.padding = averaging_half_length(frame.along_m, unit_m);
    const int count = static_cast<int>(line.points_px.size()), width = count + 2 * frame.padding,
              height = 2 * half_rows + 1;
    frame.image = Plane(width, height);
    frame.weight = Plane(width, height);
    frame.sun.assign(static_cast<std::size_t>(width), 0.0F);
    if (evidence.planes.empty() || count < 2) return frame;
    const PlaneOf<std::uint8_t>& source = evidence.planes.front();
    const double to_source = 1.0 / evidence.luminance_step_px, across_px = frame.across_m / gsd_m;
    std::vector<Point> at(static_cast<std::size_t>(width)), step(static_cast<std::size_t>(width));
    for (int x = 0; x < width; ++x) {
        const int i = x - frame.padding;
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
            const std::uint8_t *s0 = source.row(j) + i, *s1 = source.row(j + 1) + i;
            const float top = static_cast<float>(s0[0]) +
                              fx * (static_cast<float>(s0[1]) - static_cast<float>(s0[0]));
            const float bottom = static_cast<float>(s1[0]) +
                                 fx * (static_cast<float>(s1[1]) - static_cast<float>(s1[0]));
            frame.image.at(x, y) = (top + fy * (bottom - top) - 128.0F) * (1.0F / 32.0F);
            frame.weight.at(x, y) = 1;
        }
    return frame;
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
