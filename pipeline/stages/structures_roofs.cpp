#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "core/parallel.h"
#include "stages/structures_maps.h"

// Roofs on the network's map: rectangles that hold as much roof, and as little else, as they can.

namespace fenceline {
namespace {

/// A cell says at most this much for or against a roof when a rectangle is fitted.
constexpr float kMostPerCell = 3;
/// Rectangles smaller than this are no roof of their own, m².
constexpr double kLeastRest_m2 = 12;
/// A roof that is not one rectangle is taken for so many at the most.
constexpr int kMostParts = 5;

/// The roof map in cells, with log-odds.
struct RoofMap {
    const PlaneOf<std::uint8_t>& roof;

    float log_odds(int x, int y) const {
        return roof.contains(x, y) ? (static_cast<float>(roof.at(x, y)) - 128) / 16 : -8.0F;
    }
};

/// Calls body(x, y) for the cells whose middles lie in a rectangle (cells; middles at + 0.5).
template <class Body>
void for_cells(const OrientedRectangle& r, const Body& body) {
    const double c = std::cos(r.angle_rad), s = std::sin(r.angle_rad);
    const double reach_y = std::abs(s) * r.half_a + std::abs(c) * r.half_b;
    const int y0 = static_cast<int>(std::floor(r.centre.y - reach_y)),
              y1 = static_cast<int>(std::ceil(r.centre.y + reach_y));
    for (int y = y0; y <= y1; ++y) {
        // Where the row lies within both pairs of sides.
        const double dy = y + 0.5 - r.centre.y;
        double low = -1e9, high = 1e9;
        const auto within = [&](double slope, double offset, double half) {
            if (std::abs(slope) < 1e-9) {
                if (std::abs(offset) > half) high = -1e9;
                return;
            }
            const double a = (-half - offset) / slope, b = (half - offset) / slope;
            low = std::max(low, std::min(a, b));
            high = std::min(high, std::max(a, b));
        };
        within(c, s * dy, r.half_a);
        within(-s, c * dy, r.half_b);
        const int x0 = static_cast<int>(std::ceil(r.centre.x + low - 0.5)),
                  x1 = static_cast<int>(std::floor(r.centre.x + high - 0.5));
        if (high < low || x1 - x0 > 4000) continue;
        for (int x = x0; x <= x1; ++x) body(x, y);
    }
}

/// Log-likelihood of a rectangle of roof on ground without: cells taken for independent.
double worth(const RoofMap& map, const OrientedRectangle& r) {
    double sum = 0;
    for_cells(r, [&](int x, int y) {
        sum += static_cast<double>(std::clamp(map.log_odds(x, y), -kMostPerCell, kMostPerCell));
    });
    return sum;
}

/// The rectangle with one side moved outwards (cells).
OrientedRectangle with_side(const OrientedRectangle& r, int side, double by) {
    OrientedRectangle out = r;
    const Point a{std::cos(r.angle_rad), std::sin(r.angle_rad)}, b{-a.y, a.x};
    const double sign = side < 2 ? 1 : -1;
    if (side % 2 == 0) {
        out.half_a += by / 2;
        out.centre = out.centre + (sign * by / 2) * a;
    } else {
        out.half_b += by / 2;
        out.centre = out.centre + (sign * by / 2) * b;
    }
    return out;
}

/// Moves the sides and turns the rectangle as long as that gains.
OrientedRectangle fitted(const RoofMap& map, OrientedRectangle r) {
    double best = worth(map, r);
    const auto take = [&](const OrientedRectangle& tried) {
        if (tried.half_a < 1 || tried.half_b < 1) return false;
        const double value = worth(map, tried);
        if (!(value > best + 1e-9)) return false;
        best = value;
        r = tried;
        return true;
    };
    for (const double step : {2.0, 1.0, 0.5}) {
        for (int round = 0; round < 12; ++round) {
            bool moved = false;
            for (int side = 0; side < 4; ++side)
                for (const double by : {step, -step}) moved = take(with_side(r, side, by)) || moved;
            for (const double by : {step, -step}) {
                OrientedRectangle turned = r;
                turned.angle_rad += by * 2 * std::numbers::pi / 180;
                moved = take(turned) || moved;
                OrientedRectangle shifted = r;
                shifted.centre.x += by;
                moved = take(shifted) || moved;
                shifted = r;
                shifted.centre.y += by;
                moved = take(shifted) || moved;
            }
            if (!moved) break;
        }
    }
    return r;
}

/// What three quarters of a roof show at least: log-odds, its edge left out.
double shown(const RoofMap& map, const OrientedRectangle& r) {
    OrientedRectangle inner = r;
    inner.half_a = std::max(0.6 * r.half_a, r.half_a - 1);
    inner.half_b = std::max(0.6 * r.half_b, r.half_b - 1);
    std::vector<float> values;
    for_cells(inner, [&](int x, int y) { values.push_back(map.log_odds(x, y)); });
    if (values.empty()) return -8;
    const auto quarter = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 4);
    std::nth_element(values.begin(), quarter, values.end());
    return static_cast<double>(*quarter);
}

/// Of two rectangles fitted at one place the one that holds more roof, unless the other is clearly
/// purer: a rectangle that also holds the neighbour and the gap between them is worth more than one
/// roof.
bool clearer(const RoofMap& map, const OrientedRectangle& a, const OrientedRectangle& b) {
    constexpr double kPurer = 0.2;  // log-odds of a cell, of kMostPerCell
    const double worth_a = worth(map, a), worth_b = worth(map, b);
    const double purer = worth_a / (4 * a.half_a * a.half_b) - worth_b / (4 * b.half_a * b.half_b);
    return std::abs(purer) > kPurer ? purer > 0 : worth_a > worth_b;
}

OrientedRectangle around(const std::vector<cv::Point>& cells, double more) {
    const cv::RotatedRect r = cv::minAreaRect(cells);
    OrientedRectangle out;
    out.centre = {static_cast<double>(r.center.x) + 0.5, static_cast<double>(r.center.y) + 0.5};
    out.half_a = static_cast<double>(r.size.width) / 2 + more;
    out.half_b = static_cast<double>(r.size.height) / 2 + more;
    out.angle_rad = static_cast<double>(r.angle) * std::numbers::pi / 180;
    return out;
}

OrientedRectangle scaled(OrientedRectangle r, double by) {
    r.centre = by * r.centre;
    r.half_a *= by;
    r.half_b *= by;
    return r;
}

}  // namespace

std::vector<BuildingLook> roofs_on_map(const SurfaceMaps& maps) {
    const int width = maps.roof.width(), height = maps.roof.height();
    const RoofMap map{maps.roof};
    cv::Mat1b roof(height, width), core(height, width);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            roof(y, x) = maps.roof.at(x, y) > 128;
            core(y, x) = roof(y, x) != 0 && maps.border.at(x, y) < 128;
        }
    // A roof begins from what lies within its border; one too small to have that, from all of it.
    cv::Mat1i whole, inner;
    const int wholes = cv::connectedComponents(roof, whole, 4),
              inners = cv::connectedComponents(core, inner, 4);
    std::vector<std::vector<cv::Point>> parts(static_cast<std::size_t>(inners)),
        all(static_cast<std::size_t>(wholes));
    std::vector<std::uint8_t> begun(static_cast<std::size_t>(wholes), 0);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            if (whole(y, x) == 0) continue;
            all[static_cast<std::size_t>(whole(y, x))].push_back({x, y});
            if (inner(y, x) == 0) continue;
            parts[static_cast<std::size_t>(inner(y, x))].push_back({x, y});
        }
    constexpr std::size_t kLeastCore = 3;
    std::vector<std::vector<cv::Point>> seeds;
    std::vector<double> more;
    for (auto& part : parts) {
        if (part.size() < kLeastCore) continue;
        begun[static_cast<std::size_t>(whole(part.front()))] = 1;
        seeds.push_back(std::move(part));
        more.push_back(1.5);
    }
    for (std::size_t k = 1; k < all.size(); ++k)
        if (begun[k] == 0 && all[k].size() >= 4 * kLeastCore) {
            seeds.push_back(std::move(all[k]));
            more.push_back(0.5);
        }
    std::vector<std::vector<BuildingLook>> found(seeds.size());
    constexpr double kCell2 = kSurfaceCell_m * kSurfaceCell_m;
    parallel_items(static_cast<int>(seeds.size()), [&](int i) {
        const auto at = static_cast<std::size_t>(i);
        std::vector<std::vector<cv::Point>> waiting{seeds[at]};
        for (int part = 0; part < kMostParts && !waiting.empty(); ++part) {
            const std::vector<cv::Point> cells = std::move(waiting.back());
            waiting.pop_back();
            const OrientedRectangle r = fitted(map, around(cells, part == 0 ? more[at] : 0.5));
            found[at].push_back({shown(map, r), scaled(r, maps.cell_px), shown(map, r)});
            // What it leaves out: another wing, or a house that touches this one.
            OrientedRectangle grown = r;
            grown.half_a += 1.5;
            grown.half_b += 1.5;
            const Point a{std::cos(r.angle_rad), std::sin(r.angle_rad)}, b{-a.y, a.x};
            std::vector<cv::Point> rest;
            for (const cv::Point p : cells) {
                const Point off = Point{p.x + 0.5, p.y + 0.5} - grown.centre;
                if (std::abs(dot(off, a)) > grown.half_a || std::abs(dot(off, b)) > grown.half_b)
                    rest.push_back(p);
            }
            if (static_cast<double>(rest.size()) * kCell2 < kLeastRest_m2) continue;
            const cv::Rect box = cv::boundingRect(rest);
            cv::Mat1b left(box.size(), std::uint8_t{0});
            for (const cv::Point p : rest) left(p - box.tl()) = 1;
            cv::Mat1i labels;
            std::vector<std::vector<cv::Point>> pieces(
                static_cast<std::size_t>(cv::connectedComponents(left, labels, 4)));
            for (const cv::Point p : rest)
                pieces[static_cast<std::size_t>(labels(p - box.tl()))].push_back(p);
            for (auto& piece : pieces)
                if (static_cast<double>(piece.size()) * kCell2 >= kLeastRest_m2)
                    waiting.push_back(std::move(piece));
        }
    });
    std::vector<BuildingLook> roofs;
    for (const auto& some : found) roofs.insert(roofs.end(), some.begin(), some.end());
    return roofs;
}

BuildingLook roof_on_map(const SurfaceMaps& maps, const OrientedRectangle& roof,
                         double rival_scale) {
    constexpr int kReach = 2;  // cells that a look may be off
    const RoofMap map{maps.roof};
    OrientedRectangle r = scaled(roof, 1 / maps.cell_px), best = r;
    double most = -1e30;
    for (int dy = -kReach; dy <= kReach; ++dy)
        for (int dx = -kReach; dx <= kReach; ++dx) {
            OrientedRectangle moved = r;
            moved.centre = moved.centre + Point{static_cast<double>(dx), static_cast<double>(dy)};
            const double value = worth(map, moved) - 0.01 * (dx * dx + dy * dy);
            if (value > most) most = value, best = moved;
        }
    BuildingLook look{shown(map, best), scaled(best, maps.cell_px), 0};
    look.corrected_log_odds = look.log_odds;
    if (most <= 0 && rival_scale == 1) return look;
    // The roof that is there now may be another one: its own rectangle tells.
    OrientedRectangle there = fitted(map, best);
    if (rival_scale != 1) {
        OrientedRectangle rival = best;
        rival.half_a *= rival_scale;
        rival.half_b *= rival_scale;
        rival = fitted(map, rival);
        if (clearer(map, rival, there)) there = rival;
    }
    look.roof = scaled(there, maps.cell_px);
    look.corrected_log_odds = shown(map, there);
    return look;
}

}  // namespace fenceline
