#include "stages/perimeter_region.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <optional>

namespace fenceline {
namespace {

/// The evidence's luminance (locally normalised) where it is seen, on a common step; 0 elsewhere.
cv::Mat luminance_of(const LineEvidence& evidence, int width, int height, int step) {
    cv::Mat out(height, width, CV_32F, cv::Scalar(0));
    const PlaneOf<std::uint8_t>& plane = evidence.luminance;
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

/// Evidence that each corner of the whole outline must bring.
constexpr double kPricePerCorner = 1.5;
constexpr double kFolded = -1e9;  ///< worth of what is no border at all
/// A border of free shape stands against a moved side when it is worth more than so many times as
/// much.
constexpr double kFreeBorderMustExplain = 4;

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
    std::vector<int> corners;          ///< of the ring: indices of its points
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
    /// Corners of the outline that the detour adds, less those of the ring that it does away with.
    /// straight: the detour's first and last side go on with the ring's.
    int more_corners(std::size_t inner, int leaves, int returns, bool straight) const {
        const int count = static_cast<int>(ring.size()),
                  stretch = (returns - leaves + count) % count;
        int gone = 0;
        for (const int corner : this->corners)
            gone += (corner - leaves + count) % count <= stretch ? 1 : 0;
        return static_cast<int>(inner) + (straight ? 0 : 2) - gone;
    }
    /// No border of walls: sides that cross, or a corner sharper than 45°. Such paths walk along a
    /// line to and fro and are paid for it twice.
    static bool folded(const std::vector<Point>& path) {
        for (std::size_t i = 1; i + 1 < path.size(); ++i) {
            const Point in = path[i] - path[i - 1], on = path[i + 1] - path[i];
            if (dot(in, on) < -std::cos(std::numbers::pi / 4) * norm(in) * norm(on)) return true;
        }
        const auto side = [](Point a, Point b, Point p) { return cross(b - a, p - a); };
        for (std::size_t i = 0; i + 1 < path.size(); ++i)
            for (std::size_t k = i + 2; k + 1 < path.size(); ++k)
                if (side(path[i], path[i + 1], path[k]) * side(path[i], path[i + 1], path[k + 1]) <
                        0 &&
                    side(path[k], path[k + 1], path[i]) * side(path[k], path[k + 1], path[i + 1]) <
                        0)
                    return true;
        return false;
    }
    /// path: with the two ring points at its ends.
    double worth(const std::vector<Point>& path, int leaves, int returns,
                 bool straight = false) const {
        if (folded(path)) return kFolded;
        double region = 0, seen = 0;
        for (std::size_t i = 0; i + 1 < path.size(); ++i) {
            region += swept_by(path[i], path[i + 1]);
            seen += line(path[i], path[i + 1]);
        }
        double along =
            swept[static_cast<std::size_t>(returns)] - swept[static_cast<std::size_t>(leaves)];
        if (returns < leaves) along += swept.back();
        return (region - along) / per_window + seen -
               kPricePerCorner * more_corners(path.size() - 2, leaves, returns, straight);
    }
};

/// A border with straight sides; the first and last corner are ring points.
struct Shape {
    std::vector<Point> corners;
    int leaves = 0, returns = 0;
    bool straight = false;  ///< its ends go on with the ring's sides
    double worth = 0;
};

/// Corners of a ring as indices of its points: what is left of it within the tolerance, without
/// sides shorter than least.
std::vector<int> corners_of(const std::vector<Point>& ring, double tolerance, double least) {
    std::vector<cv::Point2f> all, few;
    for (const Point p : ring) all.emplace_back(static_cast<float>(p.x), static_cast<float>(p.y));
    cv::approxPolyDP(all, few, tolerance, true);
    std::vector<int> corners;
    for (const cv::Point2f p : few) {
        int best = 0;
        for (int i = 0; i < static_cast<int>(all.size()); ++i)
            if (cv::norm(all[static_cast<std::size_t>(i)] - p) <
                cv::norm(all[static_cast<std::size_t>(best)] - p))
                best = i;
        corners.push_back(best);
    }
    std::sort(corners.begin(), corners.end());
    corners.erase(std::unique(corners.begin(), corners.end()), corners.end());
    const auto at = [&](std::size_t k) {
        return ring[static_cast<std::size_t>(corners[k % corners.size()])];
    };
    while (corners.size() > 3) {
        std::size_t shortest = 0;
        for (std::size_t k = 1; k < corners.size(); ++k)
            if (distance(at(k), at(k + 1)) < distance(at(shortest), at(shortest + 1))) shortest = k;
        if (distance(at(shortest), at(shortest + 1)) >= least) break;
        // Of its two ends the one that matters less.
        const std::size_t n = corners.size(), next = (shortest + 1) % n;
        const auto area = [&](std::size_t k) {
            return std::abs(cross(at(k) - at(k + n - 1), at(k + 1) - at(k + n - 1)));
        };
        corners.erase(corners.begin() +
                      static_cast<std::ptrdiff_t>(area(shortest) <= area(next) ? shortest : next));
    }
    return corners;
}

/// A straight line through the points of a side (its ends left out): a point on it and its
/// direction, along the ring.
std::pair<Point, Point> fitted_side(const std::vector<Point>& ring, int from, int to) {
    const int count = static_cast<int>(ring.size()), length = (to - from + count) % count,
              spare = length / 8;
    Point mean{};
    std::vector<Point> points;
    for (int i = spare; i <= length - spare; ++i)
        points.push_back(ring[static_cast<std::size_t>((from + i) % count)]);
    for (const Point p : points) mean = mean + (1.0 / static_cast<double>(points.size())) * p;
    double xx = 0, xy = 0, yy = 0;
    for (const Point p : points) {
        const Point d = p - mean;
        xx += d.x * d.x;
        xy += d.x * d.y;
        yy += d.y * d.y;
    }
    const double angle = 0.5 * std::atan2(2 * xy, xx - yy);
    Point along{std::cos(angle), std::sin(angle)};
    if (dot(along, points.back() - points.front()) < 0) along = -1.0 * along;
    return {mean, along};
}

/// The best border that moves one side of the ring outwards between its neighbours, which go
/// straight on: how walled ground grows as a rule, and no corner more than before. Empty when no
/// such move is worth anything. most: longest move in pixels; blur: a sensor's pixel in pixels (a
/// neighbour's direction is known to that over its length, so far its continuation may lean).
std::optional<Shape> moved_side(const Trial& trial, std::size_t side, int most, double blur) {
    const std::size_t n = trial.corners.size();
    if (n < 3) return std::nullopt;
    Shape shape;
    shape.straight = true;
    shape.leaves = trial.corners[side];
    shape.returns = trial.corners[(side + 1) % n];
    const Point a = trial.ring[static_cast<std::size_t>(shape.leaves)],
                b = trial.ring[static_cast<std::size_t>(shape.returns)];
    const auto [on_first, first] =
        fitted_side(trial.ring, trial.corners[(side + n - 1) % n], shape.leaves);
    const auto [on_last, last] =
        fitted_side(trial.ring, shape.returns, trial.corners[(side + 2) % n]);
    const Point start = on_first + dot(a - on_first, first) * first,
                end = on_last + dot(b - on_last, last) * last;
    const auto lean_of = [&](std::size_t from, std::size_t to) {
        return blur /
               std::max(4 * blur,
                        distance(trial.ring[static_cast<std::size_t>(trial.corners[from % n])],
                                 trial.ring[static_cast<std::size_t>(trial.corners[to % n])]));
    };
    const double most_first = lean_of(side + n - 1, side), most_last = lean_of(side + 1, side + 2);
    // How far the two go, and how far each leans away from where it points.
    std::array<double, 4> move{};
    const auto with = [&](const std::array<double, 4>& m) {
        Shape other = shape;
        const double lean_first = std::clamp(m[2], -most_first * m[0], most_first * m[0]),
                     lean_last = std::clamp(m[3], -most_last * m[1], most_last * m[1]);
        other.corners = {a, start + m[0] * first + lean_first * Point{first.y, -first.x},
                         end - m[1] * last + lean_last * Point{last.y, -last.x}, b};
        other.worth = trial.worth(other.corners, other.leaves, other.returns, true);
        return other;
    };
    Shape best;
    for (int d = 2; d <= most; d += 2) {
        const std::array<double, 4> m{static_cast<double>(d), static_cast<double>(d), 0, 0};
        Shape other = with(m);
        if (best.corners.empty() || other.worth > best.worth) best = std::move(other), move = m;
    }
    for (double step = 16; step >= 1;) {
        bool moved = false;
        for (std::size_t k = 0; k < move.size(); ++k)
            for (const double by : {-step, step}) {
                std::array<double, 4> m = move;
                m[k] += by;
                if (m[0] < 2 || m[1] < 2 || m[0] > most || m[1] > most) continue;
                Shape other = with(m);
                if (!(other.worth > best.worth)) continue;
                best = std::move(other);
                move = m;
                moved = true;
            }
        if (!moved) step /= 2;
    }
    if (best.corners.empty() || best.worth <= 0) return std::nullopt;
    return best;
}

/// Moves corners by `step` pixels and ends along the ring while that is worth it, then by half of
/// it, down to one pixel.
void descend(const Trial& trial, Shape& shape, int step) {
    constexpr std::array<std::pair<int, int>, 8> kSteps{
        {{1, 0}, {-1, 0}, {0, 1}, {0, -1}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1}}};
    constexpr int kMostSweeps = 24;
    const int count = static_cast<int>(trial.ring.size());
    shape.straight = false;
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
            width = std::max(width, e.luminance.width() * e.luminance_step_px);
            height = std::max(height, e.luminance.height() * e.luminance_step_px);
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
                            double resolution_m, double max_distance_m) {
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
    trial.corners =
        corners_of(trial.ring, 1.5 * resolution_m / pixel_m, 6 * resolution_m / pixel_m);
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
    // A side that moves out as a whole, where the first path's ground lies before it. It has two
    // numbers to fit where a free border has twenty, and is how walls are built: a free border must
    // explain far more to be believed instead (disturbed ground beside the walls always explains a
    // little more).
    const int farthest = static_cast<int>(max_distance_m / pixel_m);
    std::optional<Shape> best_moved;
    for (std::size_t side = 0; side < trial.corners.size(); ++side) {
        std::optional<Shape> moved = moved_side(trial, side, farthest, resolution_m / pixel_m);
        if (!moved || (best_moved && moved->worth <= best_moved->worth)) continue;
        const Ring gained(moved->corners.begin(), moved->corners.end());
        if (polygon_iou(gained, region, 4) >= 0.3) best_moved = std::move(moved);
    }
    if (best_moved && kFreeBorderMustExplain * best_moved->worth >= shape.worth)
        shape = *best_moved;
    if (shape.worth <= kFolded) return out;
    const std::vector<Point>& corners = shape.corners;
    const int leaves = shape.leaves, returns = shape.returns;
    const double best = shape.worth;
    out.worth = best;
    out.moved_side = shape.straight;
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
                if (trial.worth(moved, leaves, returns, shape.straight) < best - 2) break;
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
