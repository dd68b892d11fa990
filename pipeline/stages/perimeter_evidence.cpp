#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "core/parallel.h"
#include "stages/perimeter.h"
#include "stages/perimeter_directions.h"
#include "stages/perimeter_ribbon.h"

namespace fenceline {
namespace {

/// Luminance with what is hidden of it.
struct Ground {
    Plane value;
    Mask hidden;  ///< nonzero: not seen; value is 0 there
};

/// Mean over step × step pixels of what is seen; hidden where less than half of them are.
Ground average_blocks(const Ground& ground, int step) {
    Ground out;
    out.value =
        Plane((ground.value.width() + step - 1) / step, (ground.value.height() + step - 1) / step);
    out.hidden = Mask(out.value.width(), out.value.height(), 1);
    parallel_rows(out.value.height(), [&](int y0, int y1) {
        for (int y = y0; y < y1; ++y)
            for (int x = 0; x < out.value.width(); ++x) {
                float sum = 0;
                int seen = 0, all = 0;
                for (int v = y * step; v < std::min(ground.value.height(), (y + 1) * step); ++v)
                    for (int u = x * step; u < std::min(ground.value.width(), (x + 1) * step);
                         ++u, ++all)
                        if (ground.hidden.at(u, v) == 0) sum += ground.value.at(u, v), ++seen;
                if (seen == 0 || 2 * seen < all) continue;
                out.value.at(x, y) = sum / static_cast<float>(seen);
                out.hidden.at(x, y) = 0;
            }
    });
    return out;
}

/// The finest detail that is really there: the highest frequency at which the spectrum of the
/// gradient still holds a tenth of its maximum (a resampled image stops at its sensor's band
/// limit), as metres per pixel of a sensor with that Nyquist frequency. Rows and columns together;
/// the GSD itself when the scene is too small or too empty to tell.
double effective_resolution(const Ground& ground, double gsd_m) {
    const Plane& value = ground.value;
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
                all_seen = ground.hidden.at(x, y) == 0;
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

/// Luminance around square cells: mean and standard deviation of what is seen.
struct Surroundings {
    int cell_px = 1;
    Plane mean, deviation;  ///< per cell, within the window around it
    Mask known;             ///< nonzero where anything is seen in the cell itself
};

Surroundings surroundings_of(const Ground& ground, double window_px) {
    constexpr double kCellsPerWindow = 30;
    Surroundings out;
    out.cell_px = std::max(1, static_cast<int>(window_px / kCellsPerWindow));
    const int width = (ground.value.width() + out.cell_px - 1) / out.cell_px,
              height = (ground.value.height() + out.cell_px - 1) / out.cell_px;
    out.mean = Plane(width, height);
    out.deviation = Plane(width, height);
    out.known = Mask(width, height);
    // Double precision: squares of large numbers that nearly cancel.
    cv::Mat count(height, width, CV_64F), sum(height, width, CV_64F), square(height, width, CV_64F);
    parallel_rows(height, [&](int y0, int y1) {
        for (int y = y0; y < y1; ++y)
            for (int x = 0; x < width; ++x) {
                double n = 0, s = 0, q = 0;
                for (int v = y * out.cell_px;
                     v < std::min(ground.value.height(), (y + 1) * out.cell_px); ++v)
                    for (int u = x * out.cell_px;
                         u < std::min(ground.value.width(), (x + 1) * out.cell_px); ++u) {
                        if (ground.hidden.at(u, v) != 0) continue;
                        const auto value = static_cast<double>(ground.value.at(u, v));
                        n += 1, s += value, q += value * value;
                    }
                count.at<double>(y, x) = n, sum.at<double>(y, x) = s, square.at<double>(y, x) = q;
                out.known.at(x, y) = n > 0 ? 1 : 0;
            }
    });
    const int side =
        2 * std::max(1, static_cast<int>(std::lround(window_px / out.cell_px / 2))) + 1;
    for (cv::Mat* m : {&count, &sum, &square})
        cv::boxFilter(*m, *m, CV_64F, {side, side}, {-1, -1}, true, cv::BORDER_REFLECT);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            const double n = std::max(count.at<double>(y, x), 1e-9), m = sum.at<double>(y, x) / n;
            out.mean.at(x, y) = static_cast<float>(m);
            out.deviation.at(x, y) =
                static_cast<float>(std::sqrt(std::max(0.0, square.at<double>(y, x) / n - m * m)));
        }
    return out;
}

/// Luminance against its surroundings, 128 + 32 (value - mean) / deviation within the window, with
/// a floor under the deviation so that empty fields stay quiet; 128 where hidden.
PlaneOf<std::uint8_t> normalised_locally(const Ground& ground, double window_px) {
    constexpr float kLowest = -4, kHighest = 3.96F;
    const Surroundings around = surroundings_of(ground, window_px);
    const int width = ground.value.width(), height = ground.value.height(),
              cells = around.mean.width();
    std::vector<float> deviations;
    for (int y = 0; y < around.known.height(); ++y)
        for (int x = 0; x < cells; ++x)
            if (around.known.at(x, y) != 0) deviations.push_back(around.deviation.at(x, y));
    const float floor = 0.3F * median_of(deviations) + 1e-6F;
    PlaneOf<std::uint8_t> out(width, height, 128);
    parallel_rows(height, [&](int y0, int y1) {
        // Of the cells above and below, at this row; then along it.
        std::vector<float> mean(static_cast<std::size_t>(cells)),
            deviation(static_cast<std::size_t>(cells));
        const auto between = [&](double at, int count) {
            const double place = std::clamp((at + 0.5) / around.cell_px - 0.5, 0.0, count - 1.0);
            const int low = std::min(static_cast<int>(place), std::max(0, count - 2));
            return std::pair(low, static_cast<float>(place - low));
        };
        for (int y = y0; y < y1; ++y) {
            const auto [j, fy] = between(y, around.mean.height());
            const int below = std::min(j + 1, around.mean.height() - 1);
            for (int x = 0; x < cells; ++x) {
                const auto at = static_cast<std::size_t>(x);
                mean[at] = around.mean.at(x, j) * (1 - fy) + around.mean.at(x, below) * fy;
                deviation[at] =
                    around.deviation.at(x, j) * (1 - fy) + around.deviation.at(x, below) * fy;
            }
            for (int x = 0; x < width; ++x) {
                if (ground.hidden.at(x, y) != 0) continue;
                const auto [i, fx] = between(x, cells);
                const auto left = static_cast<std::size_t>(i),
                           right = static_cast<std::size_t>(std::min(i + 1, cells - 1));
                const float m = mean[left] * (1 - fx) + mean[right] * fx,
                            d = deviation[left] * (1 - fx) + deviation[right] * fx;
                const float z =
                    std::clamp((ground.value.at(x, y) - m) / (d + floor), kLowest, kHighest);
                out.at(x, y) = static_cast<std::uint8_t>(128.5F + 32 * z);
            }
        }
    });
    return out;
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

}  // namespace

LineEvidence line_evidence(const Scene& scene, const SurfaceMaps& maps, const PerimeterOptions&) {
    LineEvidence out;
    Ground ground;
    ground.value = luminance(scene.raster);
    const int width = ground.value.width(), height = ground.value.height();
    const double gsd_m = scene.raster.grid.gsd();
    if (width < 2 || height < 2 || !(gsd_m > 0)) return out;
    ground.hidden = Mask(width, height);
    const bool masked = scene.masks.width() == width && scene.masks.height() == height;
    const bool has_valid =
        scene.raster.valid.width() == width && scene.raster.valid.height() == height;
    parallel_rows(height, [&](int y0, int y1) {
        for (int y = y0; y < y1; ++y)
            for (int x = 0; x < width; ++x) {
                float& value = ground.value.at(x, y);
                if ((!masked || scene.seen(x, y)) &&
                    (!has_valid || scene.raster.valid.at(x, y) != 0) && std::isfinite(value))
                    continue;
                ground.hidden.at(x, y) = 1;
                value = 0;
            }
    });
    out.effective_gsd_m = effective_resolution(ground, gsd_m);
    out.unit_m = std::max(1.0, 0.4 * out.effective_gsd_m);

    // About 0.6 m per pixel (or the grid's own pixels where they are coarser): enough to place a
    // wall within half a metre, and to see its shadow as a line of its own.
    out.luminance_step_px = std::max(
        1, static_cast<int>(std::lround(std::max(0.6, 0.25 * out.effective_gsd_m) / gsd_m)));
    if (out.luminance_step_px > 1) ground = average_blocks(ground, out.luminance_step_px);
    const double fine_m = gsd_m * out.luminance_step_px;
    out.luminance = normalised_locally(ground, 60 * out.unit_m / fine_m);
    out.hidden = std::move(ground.hidden);
    for (int y = 0; y < out.hidden.height() && !out.usable; ++y)
        out.usable = std::find(out.hidden.row(y), out.hidden.row(y) + out.hidden.width(), 0) !=
                     out.hidden.row(y) + out.hidden.width();
    out.search_step_px = out.luminance_step_px * direction_step(out.effective_gsd_m, fine_m);
    if (out.usable && !maps.empty())
        out.drawn = drawn_on(maps, out.hidden.width(), out.hidden.height(), out.luminance_step_px);
    return out;
}

}  // namespace fenceline
