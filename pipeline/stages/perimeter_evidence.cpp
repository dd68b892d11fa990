#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "core/parallel.h"
#include "stages/perimeter.h"
#include "stages/perimeter_ribbon.h"

namespace fenceline {
namespace {

/// A piece of luminance that is averaged down, with the share of it that is seen.
struct Seen {
    Plane value, weight;
};

/// Mean over step × step pixels of what is seen; weight 1 where at least half of them are.
Seen average_blocks(const Plane& value, const Plane& weight, int step) {
    Seen out;
    out.value = Plane((value.width() + step - 1) / step, (value.height() + step - 1) / step);
    out.weight = Plane(out.value.width(), out.value.height());
    parallel_rows(out.value.height(), [&](int y0, int y1) {
        for (int y = y0; y < y1; ++y)
            for (int x = 0; x < out.value.width(); ++x) {
                float sum = 0, seen = 0;
                int all = 0;
                for (int v = y * step; v < std::min(value.height(), (y + 1) * step); ++v)
                    for (int u = x * step; u < std::min(value.width(), (x + 1) * step); ++u, ++all)
                        sum += value.at(u, v) * weight.at(u, v), seen += weight.at(u, v);
                if (2 * seen < static_cast<float>(all) || seen <= 0) continue;
                out.value.at(x, y) = sum / seen;
                out.weight.at(x, y) = 1;
            }
    });
    return out;
}

/// The finest detail that is really there: the highest frequency at which the spectrum of the
/// gradient still holds a tenth of its maximum (a resampled image stops at its sensor's band
/// limit), as metres per pixel of a sensor with that Nyquist frequency. Rows and columns together;
/// the GSD itself when the scene is too small or too empty to tell.
double effective_resolution(const Plane& value, const Plane& weight, double gsd_m) {
    constexpr int kLength = 128, kMost = 400;
    const int bins = kLength / 2;
    std::vector<double> power(static_cast<std::size_t>(bins) + 1, 0.0);
    int taken = 0;
    for (const bool along_rows : {true, false}) {
        const int lines = along_rows ? value.height() : value.width(),
                  length = along_rows ? value.width() : value.height();
        const int per_line = length / kLength;
        if (per_line == 0) continue;
        const int stride = std::max(1, lines * per_line / kMost);
        cv::Mat segment(1, kLength, CV_32F), spectrum;
        for (int k = 0; k < lines * per_line; k += stride) {
            const int line = k / per_line, start = (k % per_line) * kLength;
            double mean = 0;
            bool all_seen = true;
            for (int i = 0; i < kLength && all_seen; ++i) {
                const int x = along_rows ? start + i : line, y = along_rows ? line : start + i;
                all_seen = weight.at(x, y) > 0;
                segment.at<float>(0, i) = value.at(x, y);
                mean += static_cast<double>(value.at(x, y)) / kLength;
            }
            if (!all_seen) continue;
            for (int i = 0; i < kLength; ++i) {
                const double hann =
                    0.5 - 0.5 * std::cos(2 * std::numbers::pi * (i + 0.5) / kLength);
                segment.at<float>(0, i) = static_cast<float>(
                    hann * (static_cast<double>(segment.at<float>(0, i)) - mean));
            }
            cv::dft(segment, spectrum, cv::DFT_COMPLEX_OUTPUT);
            for (int f = 0; f <= bins; ++f) {
                const auto c = spectrum.at<cv::Vec2f>(0, f);
                power[static_cast<std::size_t>(f)] +=
                    static_cast<double>(c[0]) * static_cast<double>(c[0]) +
                    static_cast<double>(c[1]) * static_cast<double>(c[1]);
            }
            ++taken;
        }
    }
    if (taken < 20) return gsd_m;
    std::vector<double> gradient(power.size(), 0.0);
    for (std::size_t f = 2; f + 1 < power.size(); ++f)
        gradient[f] = (power[f - 1] + power[f] + power[f + 1]) * static_cast<double>(f * f);
    const double most = *std::max_element(gradient.begin(), gradient.end());
    if (!(most > 0)) return gsd_m;
    std::size_t last = gradient.size() - 1;
    while (last > 2 && gradient[last] < 0.1 * most) --last;
    if (last + 2 >= gradient.size()) return gsd_m;
    return gsd_m * static_cast<double>(bins) / static_cast<double>(last);
}

/// Luminance against its surroundings: (value - mean) / deviation within 60 U, with a floor under
/// the deviation so that empty fields stay quiet.
void normalise_locally(Seen& seen, double window_px) {
    const int side = 2 * std::max(1, static_cast<int>(std::lround(window_px / 2))) + 1;
    const auto as_mat = [](Plane& plane) {
        return cv::Mat(plane.height(), plane.width(), CV_32F, plane.row(0),
                       plane.stride() * sizeof(float));
    };
    cv::Mat value = as_mat(seen.value), weight = as_mat(seen.weight), count, mean, square;
    // About the overall mean first: squares of large numbers would eat the float's digits.
    const cv::Scalar centre = cv::mean(value, weight > 0);
    value -= centre[0];
    value = value.mul(weight);
    const auto box = [&](const cv::Mat& in, cv::Mat& out) {
        cv::boxFilter(in, out, CV_32F, {side, side}, {-1, -1}, true, cv::BORDER_REFLECT);
    };
    box(weight, count);
    box(value, mean);
    box(value.mul(value), square);
    std::vector<float> deviations;
    cv::Mat deviation(value.size(), CV_32F);
    for (int y = 0; y < value.rows; ++y)
        for (int x = 0; x < value.cols; ++x) {
            const float n = std::max(count.at<float>(y, x), 1e-6F), m = mean.at<float>(y, x) / n;
            mean.at<float>(y, x) = m;
            deviation.at<float>(y, x) =
                std::sqrt(std::max(0.0F, square.at<float>(y, x) / n - m * m));
            if (weight.at<float>(y, x) > 0 && (x * 7 + y * 13) % 31 == 0)
                deviations.push_back(deviation.at<float>(y, x));
        }
    const float floor = 0.3F * median_of(deviations) + 1e-6F;
    for (int y = 0; y < value.rows; ++y)
        for (int x = 0; x < value.cols; ++x) {
            float& v = value.at<float>(y, x);
            v = weight.at<float>(y, x) > 0
                    ? std::clamp((v - mean.at<float>(y, x)) / (deviation.at<float>(y, x) + floor),
                                 -4.0F, 3.96F)
                    : 0.0F;
        }
}

/// Support for lines of one direction, sampled on the search grid: the image is turned so that the
/// direction runs along the rows, and the result is turned back.
void direction_support(const Seen& seen, const Plane* drawn, double angle, double pixel_m,
                       double unit_m, std::optional<Point> sun_px, int step,
                       PlaneOf<std::uint8_t>& out) {
    const Point along{std::cos(angle), std::sin(angle)}, across{along.y, -along.x};
    const double width = seen.value.width(), height = seen.value.height();
    const double half_along = (std::abs(along.x) * width + std::abs(along.y) * height) / 2;
    const double half_across = (std::abs(across.x) * width + std::abs(across.y) * height) / 2;
    const Point centre{width / 2, height / 2};
    LineFrame frame;
    frame.along_m = frame.across_m = pixel_m;
    frame.padding =
        averaging_half_length(pixel_m, 2 * unit_m);  // paths through open ground: average longer
    const int columns = static_cast<int>(std::ceil(2 * half_along)) + 2 * frame.padding,
              rows = static_cast<int>(std::ceil(2 * half_across)) + 1;
    frame.seen = Mask(columns, rows);
    (drawn != nullptr ? frame.drawn : frame.image) = Plane(columns, rows);
    const double sun = sun_px ? std::clamp(2 * dot(across, *sun_px), -1.0, 1.0) : 0.0;
    frame.sun.assign(static_cast<std::size_t>(columns), static_cast<float>(sun));
    const Point origin = centre - (half_along + frame.padding) * along - half_across * across;
    for (int y = 0; y < rows; ++y)
        for (int x = 0; x < columns; ++x) {
            const Point p = origin + (x + 0.5) * along + (y + 0.5) * across;
            const double u = p.x - 0.5, v = p.y - 0.5;
            if (!(u >= 0 && v >= 0 && u < width - 1 && v < height - 1)) continue;
            const int i = static_cast<int>(u), j = static_cast<int>(v);
            if (seen.weight.at(i, j) * seen.weight.at(i + 1, j) * seen.weight.at(i, j + 1) *
                    seen.weight.at(i + 1, j + 1) <=
                0)
                continue;
            const auto fx = static_cast<float>(u - i), fy = static_cast<float>(v - j);
            frame.seen.at(x, y) = 1;
            const Plane& value = drawn != nullptr ? *drawn : seen.value;
            const float top = value.at(i, j) + fx * (value.at(i + 1, j) - value.at(i, j));
            const float bottom =
                value.at(i, j + 1) + fx * (value.at(i + 1, j + 1) - value.at(i, j + 1));
            (drawn != nullptr ? frame.drawn : frame.image).at(x, y) = top + fy * (bottom - top);
        }
    const double tilts[] = {-0.2, 0.0, 0.2};
    const LineSupport support = line_support(frame, unit_m, tilts, false);
    for (int y = 0; y < out.height(); ++y)
        for (int x = 0; x < out.width(); ++x) {
            // The best of the pixels that one search pixel covers: a thin line must survive the
            // coarser grid.
            float best = -10;
            for (int v = y * step; v < std::min(seen.value.height(), (y + 1) * step); ++v)
                for (int u = x * step; u < std::min(seen.value.width(), (x + 1) * step); ++u) {
                    const Point q = Point{u + 0.5, v + 0.5} - origin;
                    const int column = static_cast<int>(std::floor(dot(q, along))) - frame.padding,
                              row = static_cast<int>(std::floor(dot(q, across)));
                    if (support.z.contains(column, row) && support.seen.at(column, row) != 0)
                        best = std::max(best, support.z.at(column, row));
                }
            out.at(x, y) = best < -5 ? std::uint8_t{255}
                                     : static_cast<std::uint8_t>(std::lround(50 * (best + 1)));
        }
}

/// The network's probability of a line, in 255ths, on pixels of step × step grid pixels.
PlaneOf<std::uint8_t> drawn_on(const SurfaceMaps& maps, int width, int height, int step) {
    std::array<float, 256> probability{};
    for (std::size_t v = 0; v < probability.size(); ++v)
        probability[v] = 255 / (1 + std::exp((128 - static_cast<float>(v)) / 16));
    PlaneOf<std::uint8_t> out(width, height);
    const PlaneOf<std::uint8_t>& line = maps.line;
    const double scale = step / maps.cell_px;
    parallel_rows(height, [&](int y0, int y1) {
        for (int y = y0; y < y1; ++y) {
            const double v = std::clamp((y + 0.5) * scale - 0.5, 0.0, line.height() - 1.0);
            const int j = static_cast<int>(v), below = std::min(j + 1, line.height() - 1);
            const auto fy = static_cast<float>(v - j);
            for (int x = 0; x < width; ++x) {
                const double u = std::clamp((x + 0.5) * scale - 0.5, 0.0, line.width() - 1.0);
                const int i = static_cast<int>(u), right = std::min(i + 1, line.width() - 1);
                const auto fx = static_cast<float>(u - i);
                const float top = probability[line.at(i, j)] * (1 - fx) +
                                  probability[line.at(right, j)] * fx,
                            bottom = probability[line.at(i, below)] * (1 - fx) +
                                     probability[line.at(right, below)] * fx;
                out.at(x, y) = static_cast<std::uint8_t>(std::lround(top + fy * (bottom - top)));
            }
        }
    });
    return out;
}

/// The most of step × step pixels, 0–1: a drawn line must survive the coarser grid.
Plane most_of_blocks(const PlaneOf<std::uint8_t>& plane, int width, int height, int step) {
    Plane out(width, height);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            std::uint8_t most = 0;
            for (int v = y * step; v < std::min(plane.height(), (y + 1) * step); ++v)
                for (int u = x * step; u < std::min(plane.width(), (x + 1) * step); ++u)
                    most = std::max(most, plane.at(u, v));
            out.at(x, y) = static_cast<float>(most) / 255;
        }
    return out;
}

}  // namespace

LineEvidence line_evidence(const Scene& scene, const SurfaceMaps& maps, const PerimeterOptions&) {
    LineEvidence out;
    const Plane grey = luminance(scene.raster);
    const int width = grey.width(), height = grey.height();
    const double gsd_m = scene.raster.grid.gsd();
    if (width < 2 || height < 2 || !(gsd_m > 0)) return out;
    Seen seen;
    seen.value = grey;
    seen.weight = Plane(width, height);
    const bool masked = scene.masks.width() == width && scene.masks.height() == height;
    const bool has_valid =
        scene.raster.valid.width() == width && scene.raster.valid.height() == height;
    parallel_rows(height, [&](int y0, int y1) {
        for (int y = y0; y < y1; ++y)
            for (int x = 0; x < width; ++x) {
                const bool visible = (!masked || scene.seen(x, y)) &&
                                     (!has_valid || scene.raster.valid.at(x, y) != 0) &&
                                     std::isfinite(seen.value.at(x, y));
                seen.weight.at(x, y) = visible ? 1.0F : 0.0F;
                if (!visible) seen.value.at(x, y) = 0;
            }
    });
    out.effective_gsd_m = effective_resolution(seen.value, seen.weight, gsd_m);
    out.unit_m = std::max(1.0, 0.4 * out.effective_gsd_m);

    // About 0.6 m per pixel (or the grid's own pixels where they are coarser): enough to place a
    // wall within half a metre, and to see its shadow as a line of its own.
    out.luminance_step_px = std::max(
        1, static_cast<int>(std::lround(std::max(0.6, 0.25 * out.effective_gsd_m) / gsd_m)));
    Seen fine = average_blocks(seen.value, seen.weight, out.luminance_step_px);
    seen = {};
    const double fine_m = gsd_m * out.luminance_step_px;
    normalise_locally(fine, 60 * out.unit_m / fine_m);
    PlaneOf<std::uint8_t> stored(fine.value.width(), fine.value.height(), 128);
    out.hidden = Mask(fine.value.width(), fine.value.height());
    std::size_t visible = 0;
    for (int y = 0; y < stored.height(); ++y)
        for (int x = 0; x < stored.width(); ++x) {
            stored.at(x, y) =
                static_cast<std::uint8_t>(std::lround(128 + 32 * fine.value.at(x, y)));
            const bool seen_here = fine.weight.at(x, y) > 0;
            out.hidden.at(x, y) = seen_here ? 0 : 1;
            visible += seen_here ? 1 : 0;
        }
    out.planes.push_back(std::move(stored));
    out.usable = visible > 0;

    // Directions at about 2 U, kept at about 4 U (one pixel where the sensor is coarser than that).
    const int half_step = std::max(
        1, static_cast<int>(std::lround(std::max(2.4, 0.4 * out.effective_gsd_m) / fine_m)));
    const Seen coarse = average_blocks(fine.value, fine.weight, half_step);
    fine = {};
    const int keep = out.effective_gsd_m > 4 ? 1 : 2;
    out.search_step_px = out.luminance_step_px * half_step * keep;
    const std::optional<Point> sun = sun_direction_px(scene.info);
    for (int k = 0; k < kLineDirections; ++k)
        out.planes.emplace_back((coarse.value.width() + keep - 1) / keep,
                                (coarse.value.height() + keep - 1) / keep, std::uint8_t{255});
    if (!out.usable) return out;
    parallel_items(kLineDirections, [&](int k) {
        direction_support(coarse, nullptr, k * std::numbers::pi / kLineDirections,
                          fine_m * half_step, out.unit_m, sun, keep,
                          out.planes[static_cast<std::size_t>(k) + 1]);
    });
    if (maps.empty()) return out;
    out.drawn = drawn_on(maps, out.hidden.width(), out.hidden.height(), out.luminance_step_px);
    const Plane drawn =
        most_of_blocks(out.drawn, coarse.value.width(), coarse.value.height(), half_step);
    out.drawn_planes.assign(kLineDirections, out.planes.back());
    parallel_items(kLineDirections, [&](int k) {
        direction_support(coarse, &drawn, k * std::numbers::pi / kLineDirections,
                          fine_m * half_step, out.unit_m, sun, keep,
                          out.drawn_planes[static_cast<std::size_t>(k)]);
    });
    return out;
}

}  // namespace fenceline
