#include "stages/align_levels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "core/parallel.h"

namespace fenceline {
namespace {

constexpr double kPi = std::numbers::pi;

cv::Mat view(Plane& plane) {
    return cv::Mat(plane.height(), plane.width(), CV_32F, plane.row(0),
                   plane.stride() * sizeof(float));
}
cv::Mat view(Mask& mask) {
    return cv::Mat(mask.height(), mask.width(), CV_8U, mask.row(0), mask.stride());
}

double median_of(std::vector<double> values) {
    if (values.empty()) return 0;
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

/// Takes out of usable what is exactly constant over kFlat × kFlat px: a fill that the file does
/// not declare as no data (black collars, cut corners) or saturation. It shows no ground, and its
/// edge is no structure of the ground.
void hide_flat_ground(const Plane& plane, Mask& usable) {
    constexpr int kFlat = 12;
    const int width = plane.width(), height = plane.height();
    const auto flat_block = [&](int x0, int y0) {
        const float value = plane.at(x0, y0);
        for (int y = y0; y < y0 + kFlat; ++y)
            for (int x = x0; x < x0 + kFlat; ++x)
                if (plane.at(x, y) != value || usable.at(x, y) == 0) return false;
        return true;
    };
    bool any = false;
    for (int y = 0; y + kFlat <= height && !any; y += kFlat)
        for (int x = 0; x + kFlat <= width && !any; x += kFlat) any = flat_block(x, y);
    if (!any) return;
    Mask same(width, height);
    parallel_rows(height, [&](int y0, int y1) {
        for (int y = y0; y < y1; ++y) {
            const float *row = plane.row(y), *below = plane.row(std::min(y + 1, height - 1));
            for (int x = 0; x < width; ++x)
                same.at(x, y) =
                    row[x] == row[std::min(x + 1, width - 1)] && row[x] == below[x] ? 1 : 0;
        }
    });
    cv::Mat flat = view(same);
    // Opened in its two steps: a fill goes on beyond the image's border, but what is grown back
    // must not come in from there.
    const cv::Mat square = cv::Mat::ones(kFlat - 1, kFlat - 1, CV_8U);
    cv::erode(flat, flat, square, cv::Point(-1, -1), 1, cv::BORDER_CONSTANT, cv::Scalar(1));
    cv::dilate(flat, flat, square, cv::Point(-1, -1), 1, cv::BORDER_CONSTANT, cv::Scalar(0));
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            if (same.at(x, y) != 0) usable.at(x, y) = 0;
}

}  // namespace

Luminance luminance_of(const Scene& scene) {
    Luminance out;
    out.plane = luminance(scene.raster);
    const int width = out.plane.width(), height = out.plane.height();
    out.usable = Mask(width, height);
    const bool masked = scene.masks.width() == width && scene.masks.height() == height;
    const bool has_valid =
        scene.raster.valid.width() == width && scene.raster.valid.height() == height;
    double count = 0, sum = 0, squares = 0;
    for (int y = 0; y < height; ++y) {
        float* values = out.plane.row(y);
        std::uint8_t* usable = out.usable.row(y);
        for (int x = 0; x < width; ++x) {
            const bool ok = std::isfinite(values[x]) && std::abs(values[x]) < 1e12F &&
                            (!masked || scene.seen(x, y)) &&
                            (!has_valid || scene.raster.valid.at(x, y) != 0);
            usable[x] = ok ? 1 : 0;
            if (!ok) values[x] = 0;
        }
    }
    hide_flat_ground(out.plane, out.usable);
    for (int y = 0; y < height; ++y) {
        const float* values = out.plane.row(y);
        const std::uint8_t* usable = out.usable.row(y);
        double row_sum = 0, row_squares = 0;
        for (int x = 0; x < width; ++x) {
            if (usable[x] == 0) continue;
            count += 1;
            row_sum += static_cast<double>(values[x]);
            row_squares += static_cast<double>(values[x]) * static_cast<double>(values[x]);
        }
        sum += row_sum;
        squares += row_squares;
    }
    if (count > 0) {
        out.share = count / (static_cast<double>(width) * height);
        out.mean = sum / count;
        out.deviation = std::sqrt(std::max(0.0, squares / count - out.mean * out.mean));
    }
    return out;
}

Level make_level(const Luminance& source, int step, double sigma) {
    const int width = source.plane.width() / step, height = source.plane.height() / step;
    Level level;
    level.step = step;
    Plane weighted(width, height), weight(width, height);
    const float scale = source.deviation > 0 ? static_cast<float>(1 / source.deviation) : 1.0F;
    const auto mean = static_cast<float>(source.mean);
    parallel_rows(height, [&](int y0, int y1) {
        for (int y = y0; y < y1; ++y)
            for (int x = 0; x < width; ++x) {
                float sum = 0;
                int count = 0;
                for (int j = 0; j < step; ++j) {
                    const float* in = source.plane.row(y * step + j) + x * step;
                    const std::uint8_t* ok = source.usable.row(y * step + j) + x * step;
                    for (int i = 0; i < step; ++i)
                        if (ok[i] != 0) {
                            sum += in[i] - mean;
                            ++count;
                        }
                }
                const bool enough = 2 * count >= step * step;
                weighted.at(x, y) = enough ? scale * sum / static_cast<float>(count) : 0.0F;
                weight.at(x, y) = enough ? 1.0F : 0.0F;
            }
    });
    level.usable = Mask(width, height);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) level.usable.at(x, y) = weight.at(x, y) > 0 ? 1 : 0;
    cv::Mat weighted_view = view(weighted), weight_view = view(weight);
    cv::GaussianBlur(weighted_view, weighted_view, cv::Size(), sigma, sigma, cv::BORDER_REPLICATE);
    cv::GaussianBlur(weight_view, weight_view, cv::Size(), sigma, sigma, cv::BORDER_REPLICATE);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            const float w = weight.at(x, y);
            weighted.at(x, y) = w > 1e-3F ? weighted.at(x, y) / w : 0.0F;
        }
    level.image = std::move(weighted);
    const int radius = static_cast<int>(std::ceil(2 * sigma)) + 1;
    cv::Mat usable_view = view(level.usable);
    cv::erode(usable_view, usable_view, cv::Mat::ones(2 * radius + 1, 2 * radius + 1, CV_8U),
              cv::Point(-1, -1), 1, cv::BORDER_CONSTANT, cv::Scalar(255));
    // Half of the median gradient: fields and roofs count fully, sensor noise on them hardly.
    std::vector<double> gradients;
    const int hop =
        std::max(1, static_cast<int>(std::sqrt(static_cast<double>(width) * height / 40000.0)));
    for (int y = 1; y + 1 < height; y += hop)
        for (int x = 1; x + 1 < width; x += hop)
            if (level.usable.at(x, y) != 0)
                gradients.push_back(std::hypot(
                    0.5 * static_cast<double>(level.image.at(x + 1, y) - level.image.at(x - 1, y)),
                    0.5 *
                        static_cast<double>(level.image.at(x, y + 1) - level.image.at(x, y - 1))));
    level.soft = static_cast<float>(std::max(1e-6, 0.5 * median_of(std::move(gradients))));
    return level;
}

double oversampling(const Luminance& source) {
    const int width = source.plane.width(), height = source.plane.height();
    const int n = std::min(width, height) >= 256 ? 256 : std::min(width, height) >= 128 ? 128 : 64;
    if (std::min(width, height) < n) return 1;
    std::vector<std::pair<int, int>> places;
    for (int y = 0; y + n <= height; y += n)
        for (int x = 0; x + n <= width; x += n) {
            int ok = 0;
            for (int j = 0; j < n; j += 2)
                for (int i = 0; i < n; i += 2) ok += source.usable.at(x + i, y + j);
            if (ok * 4 >= n * n * 95 / 100) places.emplace_back(x, y);
        }
    if (places.empty()) return 1;
    constexpr std::size_t kBlocks = 40;
    const std::size_t hop = (places.size() + kBlocks - 1) / kBlocks;
    const int bins = n / 2;
    std::vector<double> power(static_cast<std::size_t>(bins) + 1, 0.0), count(power);
    for (std::size_t k = 0; k < places.size(); k += hop) {
        const auto [x0, y0] = places[k];
        cv::Mat block(n, n, CV_32F);
        double sum = 0, used = 0;
        for (int j = 0; j < n; ++j)
            for (int i = 0; i < n; ++i)
                if (source.usable.at(x0 + i, y0 + j) != 0) {
                    sum += static_cast<double>(source.plane.at(x0 + i, y0 + j));
                    used += 1;
                }
        for (int j = 0; j < n; ++j)
            for (int i = 0; i < n; ++i) {
                const double hann = (0.5 - 0.5 * std::cos(2 * kPi * (i + 0.5) / n)) *
                                    (0.5 - 0.5 * std::cos(2 * kPi * (j + 0.5) / n));
                block.at<float>(j, i) =
                    source.usable.at(x0 + i, y0 + j) != 0
                        ? static_cast<float>(
                              hann *
                              (static_cast<double>(source.plane.at(x0 + i, y0 + j)) - sum / used))
                        : 0.0F;
            }
        cv::Mat spectrum;
        cv::dft(block, spectrum, cv::DFT_COMPLEX_OUTPUT);
        for (int j = 0; j < n; ++j)
            for (int i = 0; i < n; ++i) {
                const double fy = j <= n / 2 ? j : j - n, fx = i <= n / 2 ? i : i - n;
                const auto bin = static_cast<int>(std::lround(std::hypot(fx, fy)));
                if (bin < 1 || bin > bins) continue;
                const auto v = spectrum.at<cv::Vec2f>(j, i);
                power[static_cast<std::size_t>(bin)] +=
                    static_cast<double>(v[0]) * static_cast<double>(v[0]) +
                    static_cast<double>(v[1]) * static_cast<double>(v[1]);
                count[static_cast<std::size_t>(bin)] += 1;
            }
    }
    const auto whitened = [&](double bin) {  // mean over ±8 % of the frequency
        const int low = std::max(1, static_cast<int>(std::floor(bin * 0.92))),
                  high = std::min(bins, static_cast<int>(std::ceil(bin * 1.08)));
        double p = 0, c = 0;
        for (int b = low; b <= high; ++b) {
            p += power[static_cast<std::size_t>(b)] * b * b;
            c += count[static_cast<std::size_t>(b)];
        }
        return c > 0 ? p / c : 0.0;
    };
    for (int bin = 6; bin <= bins * 92 / 100; ++bin)
        if (whitened(bin) < 0.1 * whitened(0.6 * bin)) return std::max(1.0, 0.5 * n / bin);
    return 1;
}

Plane spline_coefficients(const Plane& image) {
    Plane out = image;
    const int width = out.width(), height = out.height();
    const double pole = std::sqrt(3.0) - 2;
    const auto z = static_cast<float>(pole), gain = static_cast<float>((1 - pole) * (1 - 1 / pole));
    const int horizon = 14;  // |z|^14 < 1e-8
    parallel_rows(height, [&](int y0, int y1) {
        for (int y = y0; y < y1; ++y) {
            float* c = out.row(y);
            float first = c[0], power = z;
            for (int k = 1; k < std::min(horizon, width); ++k, power *= z) first += power * c[k];
            c[0] = gain * first;
            for (int x = 1; x < width; ++x) c[x] = gain * c[x] + z * c[x - 1];
            c[width - 1] = z / (z * z - 1) * (c[width - 1] + (width > 1 ? z * c[width - 2] : 0.0F));
            for (int x = width - 2; x >= 0; --x) c[x] = z * (c[x + 1] - c[x]);
        }
    });
    // Down the columns, a strip of columns at a time so that rows stay in the cache.
    const int strip = 256, strips = (width + strip - 1) / strip;
    parallel_items(strips, [&](int s) {
        const int x0 = s * strip, x1 = std::min(width, x0 + strip);
        for (int x = x0; x < x1; ++x) {
            float first = out.at(x, 0), power = z;
            for (int k = 1; k < std::min(horizon, height); ++k, power *= z)
                first += power * out.at(x, k);
            out.at(x, 0) = gain * first;
        }
        for (int y = 1; y < height; ++y) {
            float* c = out.row(y);
            const float* before = out.row(y - 1);
            for (int x = x0; x < x1; ++x) c[x] = gain * c[x] + z * before[x];
        }
        if (height > 1) {
            float* last = out.row(height - 1);
            const float* before = out.row(height - 2);
            for (int x = x0; x < x1; ++x) last[x] = z / (z * z - 1) * (last[x] + z * before[x]);
        }
        for (int y = height - 2; y >= 0; --y) {
            float* c = out.row(y);
            const float* below = out.row(y + 1);
            for (int x = x0; x < x1; ++x) c[x] = z * (below[x] - c[x]);
        }
    });
    return out;
}

Sampled sample_through(const Plane& coefficients, const Mask& usable, int step,
                       const Warp& target_from_reference) {
    const int width = usable.width(), height = usable.height();
    Sampled out{Plane(width, height), Mask(width, height)};
    constexpr int kHop = 8;
    // The weights of the four coefficients around a place, by its fraction of a pixel.
    const auto weights = [](float f) {
        const float g = 1 - f, f2 = f * f, g2 = g * g;
        return std::array<float, 4>{g2 * g / 6, 2.0F / 3 - 0.5F * f2 * (2 - f),
                                    2.0F / 3 - 0.5F * g2 * (2 - g), f2 * f / 6};
    };
    const auto inside = [&](double u, double v) {
        return u >= 1 && v >= 1 && u < width - 2 && v < height - 2;
    };
    const auto seen = [&](double u, double v) {
        return usable.at(static_cast<int>(u + 0.5), static_cast<int>(v + 0.5)) != 0;
    };
    parallel_rows(height, [&](int y0, int y1) {
        std::array<double, kHop> us{}, vs{};
        std::array<std::array<float, kHop>, 4> wx{}, wy{};
        for (int y = y0; y < y1; ++y) {
            float* image = out.image.row(y);
            std::uint8_t* ok = out.usable.row(y);
            const auto at = [&](int x) {
                const Point p = target_from_reference({(x + 0.5) * step, (y + 0.5) * step});
                return Point{p.x / step - 0.5, p.y / step - 0.5};
            };
            Point left = at(0);
            for (int x0 = 0; x0 < width; x0 += kHop) {
                const Point right = at(x0 + kHop);
                bool regular = x0 + kHop <= width;
                for (std::size_t k = 0; k < kHop; ++k) {
                    const double t = static_cast<double>(k) / kHop;
                    us[k] = left.x + t * (right.x - left.x);
                    vs[k] = left.y + t * (right.y - left.y);
                    regular = regular && inside(us[k], vs[k]);
                }
                left = right;
                const int i0 = regular ? static_cast<int>(us[0]) : 0,
                          j0 = regular ? static_cast<int>(vs[0]) : 0;
                for (std::size_t k = 0; k < kHop && regular; ++k)
                    regular = static_cast<int>(us[k]) == i0 + static_cast<int>(k) &&
                              static_cast<int>(vs[k]) == j0;
                if (regular) {  // neighbours there are neighbours here: eight at a time
                    for (std::size_t k = 0; k < kHop; ++k) {
                        const auto x =
                            weights(static_cast<float>(us[k] - (i0 + static_cast<int>(k))));
                        const auto d = weights(static_cast<float>(vs[k] - j0));
                        for (std::size_t n = 0; n < 4; ++n) wx[n][k] = x[n], wy[n][k] = d[n];
                    }
                    std::array<float, kHop> sum{};
                    for (int n = 0; n < 4; ++n) {
                        const float* c = coefficients.row(j0 + n - 1) + (i0 - 1);
                        const auto& down = wy[static_cast<std::size_t>(n)];
                        for (std::size_t k = 0; k < kHop; ++k)
                            sum[k] += down[k] * (wx[0][k] * c[k] + wx[1][k] * c[k + 1] +
                                                 wx[2][k] * c[k + 2] + wx[3][k] * c[k + 3]);
                    }
                    for (std::size_t k = 0; k < kHop; ++k) {
                        const bool shown = seen(us[k], vs[k]);
                        image[static_cast<std::size_t>(x0) + k] = shown ? sum[k] : 0.0F;
                        ok[static_cast<std::size_t>(x0) + k] = shown ? 1 : 0;
                    }
                    continue;
                }
                for (int x = x0; x < std::min(width, x0 + kHop); ++x) {
                    const double u = us[static_cast<std::size_t>(x - x0)],
                                 v = vs[static_cast<std::size_t>(x - x0)];
                    if (!inside(u, v) || !seen(u, v)) continue;
                    const int i = static_cast<int>(u), j = static_cast<int>(v);
                    const auto across = weights(static_cast<float>(u - i)),
                               down = weights(static_cast<float>(v - j));
                    float sum = 0;
                    for (int n = 0; n < 4; ++n) {
                        const float* c = coefficients.row(j + n - 1) + (i - 1);
                        sum += down[static_cast<std::size_t>(n)] *
                               (across[0] * c[0] + across[1] * c[1] + across[2] * c[2] +
                                across[3] * c[3]);
                    }
                    image[x] = sum;
                    ok[x] = 1;
                }
            }
        }
    });
    return out;
}

}  // namespace fenceline
