#include "stages/align_windows.h"

#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_invoke.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <tuple>

#include "core/parallel.h"
#include "kernels/orientation.h"
#include "kernels/window_spectrum.h"

namespace fenceline {
namespace {

constexpr double kPi = std::numbers::pi;
/// Share of a window's weight that both scenes must show.
constexpr double kLeastUsable = 0.35;

double median_of(std::vector<double> values) {
    if (values.empty()) return 0;
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

/// What a window size brings along; frequencies in the order of kernels::dft2.
struct Axis {
    std::size_t size = 0;
    std::vector<float> taper;    ///< Hann
    double taper_sum = 0;        ///< over one axis
    std::vector<float> weight;   ///< smoothing of both channels by sigma px (CFOG's σ)
    std::vector<float> radians;  ///< a frequency's phase per px
    std::vector<int> frequency;  ///< −n/2 … n/2 − 1
};
Axis make_axis(int size, double sigma) {
    Axis axis;
    axis.size = static_cast<std::size_t>(size);
    for (std::size_t k = 0; k < axis.size; ++k) {
        axis.taper.push_back(static_cast<float>(
            0.5 -
            0.5 * std::cos(2 * kPi * (static_cast<double>(k) + 0.5) / static_cast<double>(size))));
        axis.taper_sum += static_cast<double>(axis.taper.back());
        const auto at = static_cast<int>(kernels::bit_reversed(k, axis.size));
        const int f = at < size / 2 ? at : at - size;
        axis.frequency.push_back(f);
        axis.radians.push_back(static_cast<float>(2 * kPi * f / size));
        axis.weight.push_back(2 * f == -size ? 0.0F  // Nyquist's frequency has no side
                                             : static_cast<float>(std::exp(
                                                   -std::pow(2 * kPi * sigma * f / size, 2))));
    }
    return axis;
}

/// Room for one window's channels, spectra and surface.
struct Workspace {
    std::vector<float> reference_re, reference_im, target_re, target_im, scratch;
    void fit(std::size_t n) {
        for (auto* plane : {&reference_re, &reference_im, &target_re, &target_im})
            if (plane->size() < n * n) plane->resize(n * n);
        if (scratch.size() < 2 * n * n) scratch.resize(2 * n * n);
    }
};

/// How much a pixel counts by its distance from the nearest hidden one and from the image's border:
/// a ramp of a raised cosine. A hard edge that both windows share at the same place matches itself
/// there, and pulls what the window measures towards where the model before had it (on warped real
/// tiles by .02 px in the mean for windows that hang over the border).
class Ramp {
  public:
    Ramp(const Mask& usable, int length)
        : width_(usable.width()),
          height_(usable.height()),
          length_(length),
          columns_((width_ + kTile - 1) / kTile),
          rows_((height_ + kTile - 1) / kTile),
          near_(static_cast<std::size_t>(columns_) * static_cast<std::size_t>(rows_)),
          steps_(width_, height_) {
        for (int k = 0; k <= 4 * length_; ++k)
            weight_.push_back(static_cast<float>(0.5 - 0.5 * std::cos(kPi * k / (4.0 * length_))));
        // Tile by tile, each with what reaches into it: most have nothing hidden near them.
        parallel_tiles(width_, height_, kTile, length_ + 1, [&](Window core, Window halo) {
            near_[static_cast<std::size_t>(core.y / kTile * columns_ + core.x / kTile)] =
                measure(usable, core, halo) ? 1 : 0;
        });
    }
    float operator()(int x, int y) const {
        const int border = std::min(std::min(x, width_ - 1 - x), std::min(y, height_ - 1 - y));
        return weight_[static_cast<std::size_t>(
            std::min(std::clamp(4 * border, 0, 4 * length_), static_cast<int>(steps_.at(x, y))))];
    }
    /// Whether a window of n px lies where everything counts fully.
    bool flat(int x0, int y0, int n) const {
        if (x0 < length_ || y0 < length_ || x0 + n > width_ - length_ || y0 + n > height_ - length_)
            return false;
        for (int j = y0 / kTile; j <= (y0 + n - 1) / kTile; ++j)
            for (int i = x0 / kTile; i <= (x0 + n - 1) / kTile; ++i)
                if (near_[static_cast<std::size_t>(j * columns_ + i)] != 0) return false;
        return true;
    }

  private:
    static constexpr int kTile = 64;

    /// Distances inside core from what is hidden inside halo; false: nothing is.
    bool measure(const Mask& usable, Window core, Window halo) {
        bool hidden = false;
        for (int y = halo.y; y < halo.y + halo.height && !hidden; ++y) {
            const std::uint8_t* row = usable.row(y) + halo.x;
            hidden = std::find(row, row + halo.width, std::uint8_t{0}) != row + halo.width;
        }
        cv::Mat distance;
        if (hidden) {
            const cv::Mat view(halo.height, halo.width, CV_8U,
                               const_cast<std::uint8_t*>(usable.row(halo.y) + halo.x),
                               usable.stride());
            cv::distanceTransform(view, distance, cv::DIST_L2, 3);
        }
        for (int y = core.y; y < core.y + core.height; ++y) {
            std::uint8_t* steps = steps_.row(y) + core.x;
            for (int x = 0; x < core.width; ++x)
                steps[x] = static_cast<std::uint8_t>(
                    !hidden ? 4 * length_
                            : std::min(4 * length_,
                                       static_cast<int>(4 * distance.at<float>(
                                                                y - halo.y, core.x + x - halo.x))));
        }
        return hidden;
    }

    int width_, height_, length_;  ///< length: at most 32
    int columns_, rows_;
    std::vector<std::uint8_t> near_;  ///< tiles with something hidden in or near them
    Mask steps_;                      ///< quarter pixels to what is hidden
    std::vector<float> weight_;       ///< by quarter pixels
};

/// Orientation channel of a window as a complex image: tapered, its mean taken off (a shared mask
/// or a ruling direction must not look like a match), 0 where hidden or off the image. Returns the
/// usable share of the taper's weight.
double load_channel(const Plane& image, const Mask& usable, const Ramp& ramp, float soft, int x0,
                    int y0, const Axis& axis, std::vector<float>& re, std::vector<float>& im) {
    const auto size = static_cast<int>(axis.size);
    std::fill_n(re.begin(), axis.size * axis.size, 0.0F);
    std::fill_n(im.begin(), axis.size * axis.size, 0.0F);
    const int left = std::max(x0, 1), right = std::min(x0 + size, image.width() - 1);
    const int top = std::max(y0, 1), bottom = std::min(y0 + size, image.height() - 1);
    if (right <= left || bottom <= top) return 0;
    const auto n = static_cast<std::size_t>(right - left);
    const float* taper = axis.taper.data() + (left - x0);
    const auto place = [&](int y) {
        return static_cast<std::size_t>(y - y0) * axis.size + static_cast<std::size_t>(left - x0);
    };
    double sums[3] = {0, 0, 0};
    for (int y = top; y < bottom; ++y) {
        float *c = re.data() + place(y), *s = im.data() + place(y);
        kernels::orientation_row(image.row(y - 1) + left, image.row(y) + left,
                                 image.row(y + 1) + left, n, soft, c, s);
        kernels::masked_row_sums(c, s, usable.row(y) + left, taper,
                                 axis.taper[static_cast<std::size_t>(y - y0)], n, sums);
    }
    if (sums[0] <= 0) return 0;
    const auto mean_c = static_cast<float>(sums[1] / sums[0]),
               mean_s = static_cast<float>(sums[2] / sums[0]);
    for (int y = top; y < bottom; ++y)
        kernels::tapered_row(re.data() + place(y), im.data() + place(y), usable.row(y) + left,
                             taper, axis.taper[static_cast<std::size_t>(y - y0)], mean_c, mean_s,
                             n);
    if (!ramp.flat(x0, y0, size))
        for (int y = top; y < bottom; ++y) {
            float *c = re.data() + place(y), *s = im.data() + place(y);
            for (int x = left; x < right; ++x) {
                const float w = ramp(x, y);
                c[x - left] *= w, s[x - left] *= w;
            }
        }
    return sums[0] / (axis.taper_sum * axis.taper_sum);
}

struct Correlation {
    Point shift;           ///< where the reference's structure is found in the target, px
    double sidelobe = 0;   ///< peak-to-sidelobe ratio
    double second = 1;     ///< second peak over the first
    double coherence = 0;  ///< structural agreement at the peak, -1 to 1
    bool found = false;    ///< an inner maximum within the search
};

/// R(d) = Re Σ S(k) exp(2πi k·d/N) with gradient and Hessian: the correlation surface between the
/// samples, exactly.
struct SurfaceAt {
    double value = 0, gx = 0, gy = 0, hxx = 0, hxy = 0, hyy = 0;
};
SurfaceAt evaluate(const std::vector<float>& re, const std::vector<float>& im, const Axis& axis,
                   Point d) {
    const std::size_t n = axis.size;
    std::vector<float> cosine(n), sine(n);
    // exp(iθf) by powers of exp(iθ); negative frequencies are the conjugates.
    const auto phases = [&](double shift, const auto& take) {
        const double angle = 2 * kPi * shift / static_cast<double>(n), c = std::cos(angle),
                     s = std::sin(angle);
        std::vector<std::pair<double, double>> power(n / 2 + 1);
        power[0] = {1, 0};
        for (std::size_t k = 1; k < power.size(); ++k)
            power[k] = {power[k - 1].first * c - power[k - 1].second * s,
                        power[k - 1].first * s + power[k - 1].second * c};
        for (std::size_t k = 0; k < n; ++k) {
            const auto& p = power[static_cast<std::size_t>(std::abs(axis.frequency[k]))];
            take(k, p.first, axis.frequency[k] < 0 ? -p.second : p.second);
        }
    };
    phases(d.x, [&](std::size_t k, double c, double s) {
        cosine[k] = static_cast<float>(c), sine[k] = static_cast<float>(s);
    });
    SurfaceAt at;
    phases(d.y, [&](std::size_t row, double c, double s) {
        if (axis.weight[row] < 1e-6F) return;
        double sums[6];
        kernels::phased_row_sums(re.data() + row * n, im.data() + row * n, cosine.data(),
                                 sine.data(), axis.radians.data(), n, sums);
        const auto f = static_cast<double>(axis.radians[row]);
        const double a0 = sums[0] * c - sums[1] * s, b0 = sums[0] * s + sums[1] * c;
        at.value += a0;
        at.gx -= sums[2] * s + sums[3] * c;
        at.gy -= f * b0;
        at.hxx -= sums[4] * c - sums[5] * s;
        at.hxy -= f * (sums[2] * c - sums[3] * s);
        at.hyy -= f * f * a0;
    });
    return at;
}

/// Correlates the two channels of the workspace (both are overwritten), half whitened
/// (cross-spectrum over the root of its size): between NCC, whose peak is broad, and phase
/// correlation, which lets empty frequencies speak. reach: search in px each way; core: radius of
/// the peak itself.
Correlation correlate(Workspace& work, const Axis& axis, int reach, int core) {
    const auto n = static_cast<int>(axis.size);
    Correlation out;
    std::vector<float>&re = work.target_re, &im = work.target_im;
    kernels::dft2(work.reference_re.data(), work.reference_im.data(), axis.size,
                  work.scratch.data());
    kernels::dft2(re.data(), im.data(), axis.size, work.scratch.data());
    double norm = 0;
    for (std::size_t row = 0; row < axis.size; ++row)
        norm += kernels::half_whitened_row(work.reference_re.data() + row * axis.size,
                                           work.reference_im.data() + row * axis.size,
                                           re.data() + row * axis.size, im.data() + row * axis.size,
                                           axis.weight.data(), axis.weight[row], axis.size);
    if (!(norm > 0) || !std::isfinite(norm)) return out;
    // The reference's planes are free now: they take the surface.
    std::vector<float>&surface = work.reference_re, &rest = work.reference_im;
    std::copy_n(re.begin(), axis.size * axis.size, surface.begin());
    std::copy_n(im.begin(), axis.size * axis.size, rest.begin());
    kernels::inverse_dft2(surface.data(), rest.data(), axis.size, work.scratch.data());
    const auto at = [&](int dx, int dy) {
        return static_cast<double>(
            surface[static_cast<std::size_t>(((dy + n) & (n - 1)) * n + ((dx + n) & (n - 1)))]);
    };
    int px = 0, py = 0;
    double best = -1e300;
    for (int dy = -reach; dy <= reach; ++dy)
        for (int dx = -reach; dx <= reach; ++dx)
            if (at(dx, dy) > best) best = at(dx, dy), px = dx, py = dy;
    if (std::abs(px) >= reach || std::abs(py) >= reach || !(best > 0))
        return out;  // the flank of a peak elsewhere
    const int around = std::min(n / 2 - 1, std::max(2 * reach, 5 * core));
    double sum = 0, squares = 0, count = 0, second = -1e300;
    for (int dy = -around; dy <= around; ++dy)
        for (int dx = -around; dx <= around; ++dx) {
            const int ex = dx - px, ey = dy - py;
            if (ex * ex + ey * ey <= core * core) continue;
            const double v = at(dx, dy);
            sum += v, squares += v * v, count += 1;
            if (std::abs(dx) <= reach + core && std::abs(dy) <= reach + core)
                second = std::max(second, v);
        }
    if (count < 8) return out;
    const double mean = sum / count,
                 deviation = std::sqrt(std::max(1e-300, squares / count - mean * mean));
    Point d{static_cast<double>(px), static_cast<double>(py)};
    // A parabola's peak to start from; then Newton's steps on the surface itself.
    const auto vertex = [](double a, double b, double c) {
        const double bend = a - 2 * b + c;
        return bend < 0 ? std::clamp(0.5 * (a - c) / bend, -0.5, 0.5) : 0.0;
    };
    d = d + Point{vertex(at(px - 1, py), best, at(px + 1, py)),
                  vertex(at(px, py - 1), best, at(px, py + 1))};
    SurfaceAt here = evaluate(re, im, axis, d);
    for (int round = 0; round < 5; ++round) {
        const double det = here.hxx * here.hyy - here.hxy * here.hxy;
        if (!(here.hxx < 0 && det > 0)) return out;
        Point move{-(here.hyy * here.gx - here.hxy * here.gy) / det,
                   -(here.hxx * here.gy - here.hxy * here.gx) / det};
        const double length = std::hypot(move.x, move.y);
        if (length > 0.7) move = (0.7 / length) * move;
        d = d + move;
        if (length < 0.03) break;  // what is left of a Newton step is of the order of its square
        here = evaluate(re, im, axis, d);
    }
    if (std::hypot(d.x - px, d.y - py) > 1.5) return out;
    out.shift = d;
    out.sidelobe = (here.value - mean) / deviation;
    out.second = second > mean ? (second - mean) / (here.value - mean) : 0;
    out.coherence = here.value / norm;
    out.found = true;
    return out;
}

/// Where the common ground of a window lies: the centroid of taper² over it, level px.
Point centroid(const Mask& usable, const Ramp& ramp, int x0, int y0, const Axis& axis) {
    const auto n = static_cast<int>(axis.size);
    double sum = 0, sum_x = 0, sum_y = 0;
    for (int j = 2; j < n; j += 4)
        for (int i = 2; i < n; i += 4) {
            const int x = x0 + i, y = y0 + j;
            if (!usable.contains(x, y) || usable.at(x, y) == 0) continue;
            const auto t =
                static_cast<double>(axis.taper[static_cast<std::size_t>(i)] *
                                    axis.taper[static_cast<std::size_t>(j)] * ramp(x, y));
            sum += t * t, sum_x += t * t * i, sum_y += t * t * j;
        }
    return sum > 0 ? Point{x0 + sum_x / sum, y0 + sum_y / sum} : Point{x0 + 0.5 * n, y0 + 0.5 * n};
}

/// Brightness and mean gradient of the middle of a window.
void describe_ground(const Level& level, int x0, int y0, int n, Match& match) {
    double sum = 0, gradient = 0;
    int count = 0;
    for (int y = std::max(0, y0 + n / 8); y < std::min(y0 + n - n / 8, level.image.height() - 1);
         y += 3)
        for (int x = std::max(0, x0 + n / 8); x < std::min(x0 + n - n / 8, level.image.width() - 1);
             x += 3)
            if (level.usable.at(x, y) != 0) {
                const auto v = static_cast<double>(level.image.at(x, y));
                sum += v;
                gradient += std::abs(static_cast<double>(level.image.at(x + 1, y)) - v) +
                            std::abs(static_cast<double>(level.image.at(x, y + 1)) - v);
                ++count;
            }
    match.brightness = count > 0 ? sum / count : 0;
    match.roughness = count > 0 ? gradient / count : 0;
}

}  // namespace

Harvest harvest(const Level& reference, const Level& target, const Plane& target_coefficients,
                const Warp& warp, const Search& search) {
    const int width = reference.image.width(), height = reference.image.height();
    Sampled moved = sample_through(target_coefficients, target.usable, reference.step, warp);
    Mask& common = moved.usable;  // both windows show the same ground
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) common.row(y)[x] &= reference.usable.row(y)[x];
    const int n = search.window, h = n / 2;
    const int inset = n / 8;  // of the outermost centres
    const int columns = std::max(1, (width - 2 * inset) / search.stride + 1),
              rows = std::max(1, (height - 2 * inset) / search.stride + 1);
    const int left = (width - n - (columns - 1) * search.stride) / 2,
              top = (height - n - (rows - 1) * search.stride) / 2;
    const Ramp ramp(common, n / 16);
    const Axis axis = make_axis(n, search.sigma), half_axis = make_axis(h, search.sigma);
    std::vector<Match> all(static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows));
    tbb::enumerable_thread_specific<Workspace> workspaces;
    parallel_items(columns * rows, [&](int k) {
        Match& match = all[static_cast<std::size_t>(k)];
        Workspace& work = workspaces.local();
        work.fit(axis.size);
        const int x0 = left + (k % columns) * search.stride,
                  y0 = top + (k / columns) * search.stride;
        match.usable = load_channel(reference.image, common, ramp, reference.soft, x0, y0, axis,
                                    work.reference_re, work.reference_im);
        if (match.usable < kLeastUsable) return;
        load_channel(moved.image, common, ramp, target.soft, x0, y0, axis, work.target_re,
                     work.target_im);
        const Correlation whole = correlate(work, axis, std::min(search.reach, n / 4), search.core);
        const double step = reference.step;
        match.reference_px = step * centroid(common, ramp, x0, y0, axis);
        match.target_px = warp(match.reference_px + step * whole.shift);
        match.sidelobe = whole.sidelobe, match.second = whole.second,
        match.coherence = whole.coherence;
        if (!whole.found || whole.sidelobe < 6 || whole.second > 0.7) return;
        describe_ground(reference, x0, y0, n, match);
        // Half the window, around the same place: an ambiguous or mixed window changes its mind.
        load_channel(reference.image, common, ramp, reference.soft, x0 + h / 2, y0 + h / 2,
                     half_axis, work.reference_re, work.reference_im);
        load_channel(moved.image, common, ramp, target.soft, x0 + h / 2, y0 + h / 2, half_axis,
                     work.target_re, work.target_im);
        const Correlation half =
            correlate(work, half_axis, std::min(search.reach, h / 3), search.core);
        match.passed = half.found &&
                       distance(half.shift, whole.shift) <= std::max(0.7, 0.5 * search.core / 4.0);
    });
    Harvest out;
    out.windows = columns * rows;
    for (const Match& match : all)
        if (match.usable >= kLeastUsable) out.matches.push_back(match);
    return out;
}

std::vector<Coarse> coarse_search(const Level& reference, const Level& target, int reach,
                                  double sigma) {
    const int width = reference.image.width(), height = reference.image.height();
    const int reach_x = std::min(reach, width * 6 / 10), reach_y = std::min(reach, height * 6 / 10);
    const int columns = cv::getOptimalDFTSize(width + reach_x + 1),
              rows = cv::getOptimalDFTSize(height + reach_y + 1);
    const auto channel = [&](const Level& level) {
        cv::Mat out = cv::Mat::zeros(rows, columns, CV_32FC2);
        std::vector<float> c(static_cast<std::size_t>(width)), s(c);
        double sum_c = 0, sum_s = 0, count = 0;
        for (int y = 1; y + 1 < height; ++y) {
            kernels::orientation_row(
                level.image.row(y - 1) + 1, level.image.row(y) + 1, level.image.row(y + 1) + 1,
                static_cast<std::size_t>(width - 2), level.soft, c.data(), s.data());
            for (int x = 1; x + 1 < width; ++x)
                if (level.usable.at(x, y) != 0) {
                    const auto i = static_cast<std::size_t>(x - 1);
                    out.at<cv::Vec2f>(y, x) = {c[i], s[i]};
                    sum_c += static_cast<double>(c[i]), sum_s += static_cast<double>(s[i]),
                        count += 1;
                }
        }
        const cv::Vec2f mean(static_cast<float>(sum_c / std::max(1.0, count)),
                             static_cast<float>(sum_s / std::max(1.0, count)));
        for (int y = 1; y + 1 < height; ++y)
            for (int x = 1; x + 1 < width; ++x)
                if (level.usable.at(x, y) != 0) out.at<cv::Vec2f>(y, x) -= mean;
        return out;
    };
    // Mask in the real part, energy in the imaginary one: one transform carries both.
    const auto mask_and_energy = [&](const Level& level, const cv::Mat& of) {
        cv::Mat mask = cv::Mat::zeros(rows, columns, CV_32FC2),
                energy = cv::Mat::zeros(rows, columns, CV_32FC2);
        for (int y = 1; y + 1 < height; ++y)
            for (int x = 1; x + 1 < width; ++x)
                if (level.usable.at(x, y) != 0) {
                    mask.at<cv::Vec2f>(y, x)[0] = 1;
                    const auto v = of.at<cv::Vec2f>(y, x);
                    energy.at<cv::Vec2f>(y, x)[0] = v.dot(v);
                }
        return std::pair{mask, energy};
    };
    const auto cross = [&](cv::Mat a, cv::Mat b, double smooth) {  // Σ conj(a(x)) b(x+d)
        cv::Mat fa, fb, product;
        cv::dft(a, fa);
        cv::dft(b, fb);
        cv::mulSpectrums(fb, fa, product, 0, true);
        if (smooth > 0)
            for (int j = 0; j < rows; ++j)
                for (int i = 0; i < columns; ++i) {
                    const double fy = (j <= rows / 2 ? j : j - rows) / static_cast<double>(rows),
                                 fx = (i <= columns / 2 ? i : i - columns) /
                                      static_cast<double>(columns);
                    product.at<cv::Vec2f>(j, i) *= static_cast<float>(
                        std::exp(-std::pow(2 * kPi * smooth, 2) * (fx * fx + fy * fy)));
                }
        cv::Mat out;
        cv::idft(product, out, cv::DFT_SCALE);
        return out;
    };
    cv::Mat cr, ct, mr, mt, er, et;
    const auto prepare = [&](const Level& level, cv::Mat& of, cv::Mat& mask, cv::Mat& energy) {
        of = channel(level);
        std::tie(mask, energy) = mask_and_energy(level, of);
    };
    tbb::parallel_invoke([&] { prepare(reference, cr, mr, er); },
                         [&] { prepare(target, ct, mt, et); });
    throw_if_abandoned();
    cv::Mat numerator, energy_r, energy_t, overlap;
    tbb::parallel_invoke([&] { numerator = cross(cr, ct, sigma); },
                         [&] { energy_r = cross(er, mt, 0); }, [&] { energy_t = cross(mr, et, 0); },
                         [&] { overlap = cross(mr, mt, 0); });
    throw_if_abandoned();
    double full = 0;
    const auto at = [&](const cv::Mat& of, int dx, int dy) {
        return static_cast<double>(
            of.at<cv::Vec2f>((dy + rows) % rows, (dx + columns) % columns)[0]);
    };
    for (int dy = -reach_y; dy <= reach_y; ++dy)
        for (int dx = -reach_x; dx <= reach_x; ++dx) full = std::max(full, at(overlap, dx, dy));
    if (full < 100) return {};
    const int w = 2 * reach_x + 1, h = 2 * reach_y + 1;
    std::vector<double> score(static_cast<std::size_t>(w) * static_cast<std::size_t>(h), -1e9),
        used;
    for (int dy = -reach_y; dy <= reach_y; ++dy)
        for (int dx = -reach_x; dx <= reach_x; ++dx) {
            const double common = at(overlap, dx, dy);
            if (common < 0.25 * full || common < 100) continue;
            const double energy = at(energy_r, dx, dy) * at(energy_t, dx, dy);
            if (!(energy > 0)) continue;
            // A correlation over fewer pixels varies more: weigh by the root of the overlap.
            const double value =
                at(numerator, dx, dy) / std::sqrt(energy) * std::sqrt(common / full);
            score[static_cast<std::size_t>(dy + reach_y) * static_cast<std::size_t>(w) +
                  static_cast<std::size_t>(dx + reach_x)] = value;
            used.push_back(value);
        }
    if (used.empty()) return {};
    const double middle = median_of(used);
    for (double& v : used) v = std::abs(v - middle);
    const double spread = std::max(1e-12, 1.4826 * median_of(used));
    std::vector<Coarse> peaks;
    for (int round = 0; round < 3; ++round) {
        const auto best = std::max_element(score.begin(), score.end());
        if (*best < -1e8) break;
        const auto k = static_cast<int>(best - score.begin());
        const int bx = k % w, by = k / w;
        peaks.push_back({{static_cast<double>((bx - reach_x) * reference.step),
                          static_cast<double>((by - reach_y) * reference.step)},
                         (*best - middle) / spread});
        for (int y = std::max(0, by - 4); y <= std::min(h - 1, by + 4); ++y)
            for (int x = std::max(0, bx - 4); x <= std::min(w - 1, bx + 4); ++x)
                score[static_cast<std::size_t>(y) * static_cast<std::size_t>(w) +
                      static_cast<std::size_t>(x)] = -1e9;
    }
    return peaks;
}

}  // namespace fenceline
