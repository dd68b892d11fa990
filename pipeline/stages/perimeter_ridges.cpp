#include "stages/perimeter_ridges.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "core/parallel.h"

namespace fenceline {
namespace {

constexpr int kTurns = 3;  ///< directions that are tried per direction of the field
constexpr double kSureContrast = 1.3;
constexpr double kAlong = 14, kAside = 2.2, kSideWidth = 1.5, kMiddleWidth = 1;  // U

/// A frame of square pixels whose rows run in a direction and which covers the grid.
struct TurnedFrame {
    Point along, across, origin;  ///< grid pixels
    double pixel_px = 1;
    int columns = 0, rows = 0;

    TurnedFrame(const Grid& grid, double angle, double pixel)
        : along{std::cos(angle), std::sin(angle)}, across{-along.y, along.x}, pixel_px(pixel) {
        const double width = grid.width, height = grid.height;
        columns =
            1 + static_cast<int>((std::abs(along.x) * width + std::abs(along.y) * height) / pixel);
        rows = 1 +
               static_cast<int>((std::abs(across.x) * width + std::abs(across.y) * height) / pixel);
        origin = Point{width / 2, height / 2} - (0.5 * columns * pixel) * along -
                 (0.5 * rows * pixel) * across;
    }
    Point place(double x, double y) const {
        return origin + (x * pixel_px) * along + (y * pixel_px) * across;
    }
};

/// Averaging lengths in pixels of a frame.
struct Profile {
    int length = 1, aside = 2, half_side = 1, middle = 1, halo = 4;
    explicit Profile(double unit_px) {
        length = 2 * static_cast<int>(std::lround(kAlong * unit_px / 2)) + 1;
        aside = std::max(2, static_cast<int>(std::lround(kAside * unit_px)));
        half_side = std::max(0, static_cast<int>(std::lround((kSideWidth * unit_px - 1) / 2)));
        middle = std::max(1, static_cast<int>(std::lround(kMiddleWidth * unit_px)));
        halo = aside + half_side + middle + 1;
    }
};

/// Adds what a look shows in some rows of a frame to the sum of contrasts and to the number of
/// looks.
void add_look(const LineEvidence& e, bool drawn, const TurnedFrame& frame, const Profile& profile,
              int first, cv::Mat& sum, cv::Mat& count) {
    const double step = e.luminance_step_px, scale = frame.pixel_px / step;
    const auto as_mat = [](const PlaneOf<std::uint8_t>& plane) {
        // OpenCV has no view of what may not be written; it is only read here.
        return cv::Mat(plane.height(), plane.width(), CV_8U,
                       const_cast<std::uint8_t*>(plane.row(0)), plane.stride());
    };
    const Point start = (1 / step) * frame.place(0.5, first - profile.halo + 0.5);
    const cv::Matx23d to_image(frame.along.x * scale, frame.across.x * scale, start.x - 0.5,
                               frame.along.y * scale, frame.across.y * scale, start.y - 0.5);
    const cv::Size size(sum.cols, sum.rows + 2 * profile.halo);
    cv::Mat turned, hidden, value, middle, side;
    drawn = drawn && e.drawn.width() > 0;
    cv::warpAffine(as_mat(drawn ? e.drawn : e.luminance), turned, to_image, size,
                   cv::INTER_LINEAR | cv::WARP_INVERSE_MAP, cv::BORDER_CONSTANT, drawn ? 0 : 128);
    cv::warpAffine(as_mat(e.hidden), hidden, to_image, size,
                   cv::INTER_NEAREST | cv::WARP_INVERSE_MAP, cv::BORDER_CONSTANT, 1);
    if (drawn)  // a sure line counts as much as a clear wall's contrast
        turned.convertTo(value, CV_32F, kSureContrast / 255);
    else
        turned.convertTo(value, CV_32F, 1.0 / 32, -4);
    cv::blur(value, value, {profile.length, 1}, {-1, -1}, cv::BORDER_REPLICATE);
    cv::blur(value, middle, {1, profile.middle}, {0, profile.middle / 2});
    cv::blur(value, side, {1, 2 * profile.half_side + 1});
    for (int y = 0; y < sum.rows; ++y) {
        const int row = y + profile.halo;
        const auto *m = middle.ptr<float>(row), *a = side.ptr<float>(row - profile.aside),
                   *b = side.ptr<float>(row + profile.aside);
        const auto* gone = hidden.ptr<std::uint8_t>(row);
        auto *s = sum.ptr<float>(y), *n = count.ptr<float>(y);
        for (int x = 0; x < sum.cols; ++x) {
            const float seen = gone[x] != 0 ? 0.0F : 1.0F;
            s[x] +=
                seen *
                (drawn ? m[x] : std::max(std::min(a[x], b[x]) - m[x], m[x] - std::max(a[x], b[x])));
            n[x] += seen;
        }
    }
}

void add_direction(const Series& series, std::span<const int> looks, double angle, double pixel_px,
                   double cell_px, Plane& most) {
    constexpr int kBand = 256;
    constexpr float kNothing = 0.1F;  // no cell's contrast is as low as that
    const TurnedFrame frame(series.grid, angle, pixel_px);
    const Profile profile(series.unit_m / (series.gsd_m * pixel_px));
    for (int first = 0; first < frame.rows; first += kBand) {
        const int rows = std::min(kBand, frame.rows - first);
        cv::Mat sum = cv::Mat::zeros(rows, frame.columns, CV_32F), count = sum.clone();
        for (const int i : looks)
            add_look(series.evidence[static_cast<std::size_t>(i)], series.drawn, frame, profile,
                     first, sum, count);
        for (int y = 0; y < rows; ++y) {
            const auto *s = sum.ptr<float>(y), *n = count.ptr<float>(y);
            for (int x = 0; x < frame.columns; ++x) {
                if (s[x] <= kNothing * n[x]) continue;
                const Point p = frame.place(x + 0.5, first + y + 0.5);
                const int u = static_cast<int>(std::floor(p.x / cell_px)),
                          v = static_cast<int>(std::floor(p.y / cell_px));
                if (most.contains(u, v)) most.at(u, v) = std::max(most.at(u, v), s[x] / n[x]);
            }
        }
    }
}

}  // namespace

double RidgeField::gain(float contrast_here) const {
    // Half above what any place shows is nothing yet; walls show .8 to 1.3 in the mean.
    return std::clamp((static_cast<double>(contrast_here) - 1.5 * static_cast<double>(usual)) / 0.7,
                      0.0, 1.0);
}

RidgeField ridge_field(const Series& series, std::span<const int> looks) {
    constexpr double kMostCells = 600000;
    RidgeField field;
    int finest = std::numeric_limits<int>::max();
    for (const int i : looks)
        finest = std::min(finest, series.evidence[static_cast<std::size_t>(i)].luminance_step_px);
    if (looks.empty()) return field;
    field.cell_px = std::max(
        2 * series.unit_m / series.gsd_m,
        std::sqrt(static_cast<double>(series.grid.width) * series.grid.height / kMostCells));
    field.width = static_cast<int>(series.grid.width / field.cell_px);
    field.height = static_cast<int>(series.grid.height / field.cell_px);
    for (int k = 0; k < kLineDirections; ++k)
        field.contrast.emplace_back(field.width, field.height);
    parallel_items(kLineDirections, [&](int k) {
        for (int turn = 0; turn < kTurns; ++turn)
            add_direction(
                series, looks,
                (k + (turn - (kTurns - 1) / 2.0) / kTurns) * std::numbers::pi / kLineDirections,
                finest, field.cell_px, field.contrast[static_cast<std::size_t>(k)]);
    });
    field.strongest = Plane(field.width, field.height);
    std::vector<float> all;
    all.reserve(static_cast<std::size_t>(field.width) * static_cast<std::size_t>(field.height));
    for (int y = 0; y < field.height; ++y)
        for (int x = 0; x < field.width; ++x) {
            float most = 0;
            for (const Plane& plane : field.contrast) most = std::max(most, plane.at(x, y));
            field.strongest.at(x, y) = most;
            all.push_back(most);
        }
    field.usual = median_of(all);
    return field;
}

}  // namespace fenceline
