#include "stages/perimeter_region.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

namespace fenceline {
namespace {

/// The evidence's luminance (locally normalised) where it is seen, on a common step; 0 elsewhere.
cv::Mat luminance_of(const LineEvidence& evidence, int width, int height, int step) {
    cv::Mat out(height, width, CV_32F, cv::Scalar(0));
    const PlaneOf<std::uint8_t>& plane = evidence.planes.front();
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            const int u = static_cast<int>((x + 0.5) * step / evidence.luminance_step_px),
                      v = static_cast<int>((y + 0.5) * step / evidence.luminance_step_px);
            if (!plane.contains(u, v) || evidence.hidden.at(u, v) != 0) continue;
            out.at<float>(y, x) = (static_cast<float>(plane.at(u, v)) - 128.0F) / 32.0F;
        }
    return out;
}

cv::Mat window_mean(const cv::Mat& in, int side) {
    cv::Mat out;
    cv::boxFilter(in, out, CV_32F, {side, side}, {-1, -1}, true, cv::BORDER_REFLECT);
    return out;
}

/// Correlation in windows; the floor keeps empty ground from correlating with its noise.
cv::Mat window_correlation(const cv::Mat& a, const cv::Mat& b, int side) {
    constexpr double kFloor = 0.05;
    const cv::Mat mean_a = window_mean(a, side), mean_b = window_mean(b, side);
    cv::Mat variance_a = window_mean(a.mul(a), side) - mean_a.mul(mean_a) + kFloor,
            variance_b = window_mean(b.mul(b), side) - mean_b.mul(mean_b) + kFloor, root;
    cv::sqrt(variance_a.mul(variance_b), root);
    return (window_mean(a.mul(b), side) - mean_a.mul(mean_b)) / root;
}

/// Evidence per corner that it must bring.
constexpr double kPricePerCorner = 1.5;

Plane best_around(const Plane& plane) {
    Plane out(plane.width(), plane.height());
    for (int y = 0; y < plane.height(); ++y)
        for (int x = 0; x < plane.width(); ++x)
            for (int v = std::max(0, y - 1); v <= std::min(plane.height() - 1, y + 1); ++v)
                for (int u = std::max(0, x - 1); u <= std::min(plane.width() - 1, x + 1); ++u)
                    out.at(x, y) = std::max(out.at(x, y), plane.at(u, v));
    return out;
}

/// What is compared while the corners move; everything in the gain field's pixels.
struct Trial {
    std::vector<Plane> gain;           ///< per direction, the best of the pixels around
    std::vector<Point> ring;           ///< runs so that the normal points outwards
    Plane columns;                     ///< running sums of (change - middle) along the rows
    std::vector<double> swept;         ///< of the same, around the ring up to each point
    std::vector<std::uint8_t> inside;  ///< of the ring, per pixel
    double background_gain = 0;
    double per_window = 1, per_stretch = 1;  ///< pixels² and pixels that count as one

    double column_sum(double x, int y) const {
        const int i = std::clamp(static_cast<int>(std::lround(x)), 0, columns.width() - 1);
        return static_cast<double>(columns.at(i, std::clamp(y, 0, columns.height() - 1)));
    }
    /// Integral of F dy along a side, with F the running sum: summed around a region, it is the sum
    /// over the region (Green).
    double swept_by(Point a, Point b) const {
        if (a.y == b.y) return 0;
        const double sign = b.y > a.y ? 1 : -1;
        const Point low = b.y > a.y ? a : b, high = b.y > a.y ? b : a;
        double sum = 0;
        for (int y = static_cast<int>(std::ceil(low.y - 0.5));
             y < static_cast<int>(std::ceil(high.y - 0.5)); ++y)
            sum += column_sum(low.x + (y + 0.5 - low.y) / (high.y - low.y) * (high.x - low.x), y);
        return sign * sum;
    }
    /// Gain above that of any path, along a side, in stretches; nothing is gained inside the ring.
    double line(Point a, Point b) const {
        const double length = distance(a, b);
        const int steps = std::max(1, static_cast<int>(std::ceil(length / 2)));
        const double angle = std::atan2(b.y - a.y, b.x - a.x) * kLineDirections / std::numbers::pi;
        const int direction =
            ((static_cast<int>(std::lround(angle)) % kLineDirections) + kLineDirections) %
            kLineDirections;
        const Plane& near = gain[static_cast<std::size_t>(direction)];
        double sum = 0;
        for (int k = 0; k < steps; ++k) {
            const Point p = a + ((k + 0.5) / steps) * (b - a);
            const int x = static_cast<int>(std::floor(p.x)), y = static_cast<int>(std::floor(p.y));
            const bool outside =
                near.contains(x, y) &&
                inside[static_cast<std::size_t>(y) * static_cast<std::size_t>(near.width()) +
                       static_cast<std::size_t>(x)] == 0;
            sum += (outside ? static_cast<double>(near.at(x, y)) : -1.0) - background_gain;
        }
        return sum / steps * length / per_stretch;
    }
    /// corners: with the two ring points at its ends.
    double worth(const std::vector<Point>& corners, int leaves, int returns) const {
        double region = 0, seen = 0;
        for (std::size_t i = 0; i + 1 < corners.size(); ++i) {
            region += swept_by(corners[i], corners[i + 1]);
            seen += line(corners[i], corners[i + 1]);
        }
        double along =
            swept[static_cast<std::size_t>(returns)] - swept[static_cast<std::size_t>(leaves)];
        if (returns < leaves) along += swept.back();
        return (region - along) / per_window + seen -
               kPricePerCorner * static_cast<double>(corners.size() - 2);
    }
};

/// A border with straight sides; the first and last corner are ring points.
struct Shape {
    std::vector<Point> corners;
    int leaves = 0, returns = 0;
    double worth = 0;
};

/// Moves corners by `step` pixels and ends along the ring while that is worth it, then by half of
/// it, down to one pixel.
void descend(const Trial& trial, Shape& shape, int step) {
    constexpr std::array<std::pair<int, int>, 8> kSteps{
        {{1, 0}, {-1, 0}, {0, 1}, {0, -1}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1}}};
    constexpr int kMostSweeps = 24;
    const int count = static_cast<int>(trial.ring.size());
    const auto take_better = [&](Shape other) {
        other.worth = trial.worth(other.corners, other.leaves, other.returns);
        if (!(other.worth > shape.worth)) return false;
        shape = std::move(other);
        return true;
    };
    for (int sweep = 0; step >= 1 && sweep < kMostSweeps; ++sweep) {
        bool moved = false;
        for (std::size_t i = 1; i + 1 < shape.corners.size(); ++i)
            for (const auto& [dx, dy] : kSteps) {
                Shape other = shape;
                other.corners[i] = other.corners[i] + Point{static_cast<double>(dx * step),
                                                            static_cast<double>(dy * step)};
                moved = take_better(std::move(other)) || moved;
            }
        for (const bool at_start : {true, false})
            for (const int slide : {-step, step}) {
                Shape other = shape;
                int& end = at_start ? other.leaves : other.returns;
                end = ((end + slide) % count + count) % count;
                if (other.leaves == other.returns) continue;
                (at_start ? other.corners.front() : other.corners.back()) =
                    trial.ring[static_cast<std::size_t>(end)];
                moved = take_better(std::move(other)) || moved;
            }
        if (!moved) step /= 2;
    }
}

}  // namespace

ChangedGround changed_ground(std::span<const LineEvidence> evidence, std::span<const int> before,
                             std::span<const int> after, double gsd_m, double resolution_m) {
    ChangedGround out;
    if (before.empty() || after.empty()) return out;
    int step = 1, width = 0, height = 0;
    for (const LineEvidence& e : evidence)
        if (e.usable) {
            step = std::max(step, e.luminance_step_px);
            width = std::max(width, e.planes.front().width() * e.luminance_step_px);
            height = std::max(height, e.planes.front().height() * e.luminance_step_px);
        }
    width /= step;
    height /= step;
    if (width < 3 || height < 3) return out;
    out.step = step;
    const int half =
                  std::max(2, static_cast<int>(std::lround(2.5 * resolution_m / (gsd_m * step)))),
              side = 2 * half + 1;
    out.window_m = side * gsd_m * step;
    const auto mean_of = [&](std::span<const int> scenes) {
        cv::Mat sum(height, width, CV_32F, cv::Scalar(0));
        for (const int i : scenes)
            sum += luminance_of(evidence[static_cast<std::size_t>(i)], width, height, step);
        return cv::Mat(sum / static_cast<double>(scenes.size()));
    };
    const cv::Mat later = mean_of(after);
    cv::Mat best = window_correlation(later, mean_of(before), side);
    for (const int i : before)
        best = cv::max(best, window_correlation(later,
                                                luminance_of(evidence[static_cast<std::size_t>(i)],
                                                             width, height, step),
                                                side));
    out.change = Plane(width, height);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            out.change.at(x, y) = 1 - std::clamp(best.at<float>(y, x), 0.0F, 1.0F);
    return out;
}

StraightDetour straightened(const GainField& field, const ChangedGround& ground,
                            const Centreline& ring, const Detour& first, double gsd_m,
                            double resolution_m) {
    StraightDetour out{first, 0};
    if (ground.change.width() == 0 || field.gain.size() != kLineDirections ||
        first.path_px.size() < 3)
        return out;
    const double pixel_m = field.step * gsd_m;
    Trial trial;
    trial.background_gain = first.background_gain;
    for (const Plane& gain : field.gain) trial.gain.push_back(best_around(gain));
    trial.per_window = ground.window_m * ground.window_m / (pixel_m * pixel_m);
    trial.per_stretch = 3 * resolution_m / pixel_m;
    const auto in_field = [&](Point p) { return (1.0 / field.step) * (p - field.origin_px); };
    for (const Point p : ring.points_px) trial.ring.push_back(in_field(p));
    const int count = static_cast<int>(trial.ring.size()), width = field.gain.front().width(),
              height = field.gain.front().height();
    const auto change_at = [&](double x, double y) {
        const Point p = field.origin_px + field.step * Point{x, y};
        const int u = std::clamp(static_cast<int>(p.x / ground.step), 0, ground.change.width() - 1),
                  v = std::clamp(static_cast<int>(p.y / ground.step), 0,
                                 ground.change.height() - 1);
        return static_cast<double>(ground.change.at(u, v));
    };
    std::vector<Point> path;
    for (const Point p : first.path_px) path.push_back(in_field(p));

    // The middle between the ground that the path encloses and the ground anywhere.
    Ring region(path.begin(), path.end());
    const int stretch = ((first.returns - first.leaves) % count + count) % count;
    for (int i = stretch - 1; i > 0; --i)
        region.push_back(trial.ring[static_cast<std::size_t>((first.leaves + i) % count)]);
    trial.inside.assign(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), 0);
    std::vector<float> anywhere, enclosed;
    for (int y = 0; y < height; y += 2)
        for (int x = 0; x < width; x += 2) {
            const auto change = static_cast<float>(change_at(x + 0.5, y + 0.5));
            anywhere.push_back(change);
            if (contains(region, {x + 0.5, y + 0.5})) enclosed.push_back(change);
        }
    if (enclosed.empty()) return out;
    std::nth_element(anywhere.begin(),
                     anywhere.begin() + static_cast<std::ptrdiff_t>(anywhere.size() / 2),
                     anywhere.end());
    std::nth_element(enclosed.begin(),
                     enclosed.begin() + static_cast<std::ptrdiff_t>(enclosed.size() / 2),
                     enclosed.end());
    const double usual = static_cast<double>(anywhere[anywhere.size() / 2]),
                 changed = static_cast<double>(enclosed[enclosed.size() / 2]);
    if (changed <= usual + 0.05) return out;  // the ground does not tell
    const double middle = (usual + changed) / 2;
    trial.columns = Plane(width + 1, height);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            const Point p{x + 0.5, y + 0.5};
            const bool within = contains(trial.ring, p);
            trial.inside[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                         static_cast<std::size_t>(x)] = within ? 1 : 0;
            trial.columns.at(x + 1, y) =
                trial.columns.at(x, y) +
                static_cast<float>((change_at(p.x, p.y) - middle) / (changed - usual));
        }
    trial.swept.assign(trial.ring.size() + 1, 0.0);
    for (std::size_t i = 0; i < trial.ring.size(); ++i)
        trial.swept[i + 1] =
            trial.swept[i] + trial.swept_by(trial.ring[i], trial.ring[(i + 1) % trial.ring.size()]);

    std::vector<cv::Point2f> all_corners, few_corners;
    for (const Point p : path)
        all_corners.emplace_back(static_cast<float>(p.x), static_cast<float>(p.y));
    cv::approxPolyDP(all_corners, few_corners, 1.5 * resolution_m / pixel_m, false);
    Shape shape;
    shape.leaves = first.leaves;
    shape.returns = first.returns;
    for (const cv::Point2f p : few_corners)
        shape.corners.push_back({static_cast<double>(p.x), static_cast<double>(p.y)});
    if (shape.corners.size() < 3) return out;
    shape.corners.front() = trial.ring[static_cast<std::size_t>(shape.leaves)];
    shape.corners.back() = trial.ring[static_cast<std::size_t>(shape.returns)];
    shape.worth = trial.worth(shape.corners, shape.leaves, shape.returns);
    descend(trial, shape, 16);
    // A corner less or more, each tried with the others free to follow.
    constexpr int kMostRounds = 4;
    for (int round = 0; round < kMostRounds && shape.corners.size() < 10; ++round) {
        Shape next = shape;
        const auto keep_better = [&](Shape other) {
            other.worth = trial.worth(other.corners, other.leaves, other.returns);
            descend(trial, other, 8);
            if (other.worth > next.worth) next = std::move(other);
        };
        for (std::size_t i = 1; i + 1 < shape.corners.size() && shape.corners.size() > 3; ++i) {
            Shape fewer = shape;
            fewer.corners.erase(fewer.corners.begin() + static_cast<std::ptrdiff_t>(i));
            keep_better(std::move(fewer));
        }
        for (std::size_t i = 0; i + 1 < shape.corners.size(); ++i) {
            Shape more = shape;
            more.corners.insert(more.corners.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                                0.5 * (shape.corners[i] + shape.corners[i + 1]));
            keep_better(std::move(more));
        }
        if (!(next.worth > shape.worth)) break;
        shape = std::move(next);
    }
    const std::vector<Point>& corners = shape.corners;
    const int leaves = shape.leaves, returns = shape.returns;
    const double best = shape.worth;
    out.worth = best;
    // How far each side could move before two windows' worth is lost, its 95 % interval; never less
    // than the windows blur.
    double variance = 0;
    for (std::size_t i = 0; i + 1 < corners.size(); ++i) {
        const Point along = corners[i + 1] - corners[i];
        const double length = norm(along);
        if (length < 1e-9) continue;
        const Point across{along.y / length, -along.x / length};
        const int most = static_cast<int>(10 * resolution_m / pixel_m);
        const auto reach = [&](int sign) {
            int k = 0;
            while (k < most) {
                std::vector<Point> moved = corners;
                if (i > 0) moved[i] = moved[i] + static_cast<double>(sign * (k + 1)) * across;
                if (i + 2 < corners.size())
                    moved[i + 1] = moved[i + 1] + static_cast<double>(sign * (k + 1)) * across;
                if (trial.worth(moved, leaves, returns) < best - 2) break;
                ++k;
            }
            return k;
        };
        const double half =
            (reach(1) + reach(-1)) / 2.0 * (i > 0 && i + 2 < corners.size() ? 1 : 0.5);
        const double sigma_m = std::max(half / 1.96 * pixel_m, ground.window_m / 4);
        variance += std::pow(sigma_m * length * pixel_m, 2);
    }
    out.area_sigma_m2 = std::sqrt(variance);
    out.detour.leaves = leaves;
    out.detour.returns = returns;
    out.detour.path_px.clear();
    for (const Point p : corners) out.detour.path_px.push_back(field.origin_px + field.step * p);
    return out;
}

}  // namespace fenceline
