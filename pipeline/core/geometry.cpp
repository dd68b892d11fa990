#include "core/geometry.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

namespace fenceline {
namespace {

double distance_to_segment(Point p, Point a, Point b) {
    const Point d = b - a;
    const double length2 = dot(d, d);
    const double t = length2 > 0 ? std::clamp(dot(p - a, d) / length2, 0.0, 1.0) : 0.0;
    return distance(p, a + t * d);
}

Polyline resample_open(const Polyline& line, double total, double step, bool keep_last) {
    Polyline out;
    if (line.size() < 2 || total <= 0) return line;
    const auto count = static_cast<std::size_t>(std::max(1.0, std::ceil(total / step)));
    const double spacing = total / static_cast<double>(count);
    double walked = 0;
    std::size_t i = 0;
    for (std::size_t k = 0; k < count + (keep_last ? 1 : 0); ++k) {
        const double target = spacing * static_cast<double>(k);
        while (i + 2 < line.size() && walked + distance(line[i], line[i + 1]) < target)
            walked += distance(line[i], line[i + 1]), ++i;
        const double length = distance(line[i], line[i + 1]);
        const double t = length > 0 ? std::clamp((target - walked) / length, 0.0, 1.0) : 0.0;
        out.push_back(line[i] + t * (line[i + 1] - line[i]));
    }
    return out;
}

void simplify_between(const Polyline& line, std::size_t first, std::size_t last, double tolerance,
                      std::vector<char>& keep) {
    double worst = 0;
    std::size_t at = first;
    for (std::size_t i = first + 1; i < last; ++i)
        if (const double d = distance_to_segment(line[i], line[first], line[last]); d > worst)
            worst = d, at = i;
    if (worst <= tolerance) return;
    keep[at] = 1;
    simplify_between(line, first, at, tolerance, keep);
    simplify_between(line, at, last, tolerance, keep);
}

}  // namespace

double signed_area(const Ring& ring) {
    if (ring.size() < 3) return 0;
    double twice = 0;
    const Point origin = ring.front();
    for (std::size_t i = 0; i < ring.size(); ++i)
        twice += cross(ring[i] - origin, ring[(i + 1) % ring.size()] - origin);
    return twice / 2;
}

double ring_length(const Ring& ring) {
    double total = 0;
    for (std::size_t i = 0; i < ring.size(); ++i)
        total += distance(ring[i], ring[(i + 1) % ring.size()]);
    return total;
}

double line_length(const Polyline& line) {
    double total = 0;
    for (std::size_t i = 1; i < line.size(); ++i) total += distance(line[i - 1], line[i]);
    return total;
}

Point centroid(const Ring& ring) {
    if (ring.empty()) return {};
    const double area = signed_area(ring);
    Point mean{};
    for (const Point p : ring) mean = mean + (1.0 / static_cast<double>(ring.size())) * p;
    if (std::abs(area) < 1e-300) return mean;
    const Point origin = ring.front();
    Point sum{};
    for (std::size_t i = 0; i < ring.size(); ++i) {
        const Point a = ring[i] - origin, b = ring[(i + 1) % ring.size()] - origin;
        sum = sum + cross(a, b) * (a + b);
    }
    return origin + (1.0 / (6.0 * area)) * sum;
}

bool contains(const Ring& ring, Point p) {
    bool inside = false;
    for (std::size_t i = 0, j = ring.size() - 1; i < ring.size(); j = i++)
        if ((ring[i].y > p.y) != (ring[j].y > p.y) &&
            p.x < (ring[j].x - ring[i].x) * (p.y - ring[i].y) / (ring[j].y - ring[i].y) + ring[i].x)
            inside = !inside;
    return inside;
}

bool contains(const Polygon& polygon, Point p) {
    bool inside = false;
    for (const Ring& ring : polygon)
        if (!ring.empty() && contains(ring, p)) inside = !inside;
    return inside;
}

double distance_to_ring(const Ring& ring, Point p) {
    double best = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < ring.size(); ++i)
        best = std::min(best, distance_to_segment(p, ring[i], ring[(i + 1) % ring.size()]));
    return best;
}

double distance_to_line(const Polyline& line, Point p) {
    if (line.size() == 1) return distance(line.front(), p);
    double best = std::numeric_limits<double>::infinity();
    for (std::size_t i = 1; i < line.size(); ++i)
        best = std::min(best, distance_to_segment(p, line[i - 1], line[i]));
    return best;
}

Ring resample_ring(const Ring& ring, double step) {
    if (ring.size() < 3) return ring;
    Polyline closed = ring;
    closed.push_back(ring.front());
    const double total = ring_length(ring);
    return resample_open(closed, total, std::min(step, total / 3), false);
}

Polyline resample_line(const Polyline& line, double step) {
    return resample_open(line, line_length(line), step, true);
}

Ring simplify_ring(const Ring& ring, double tolerance) {
    if (ring.size() < 4) return ring;
    // Two anchors: the first vertex and the one farthest from it.
    std::size_t far = 0;
    for (std::size_t i = 1; i < ring.size(); ++i)
        if (distance(ring[i], ring[0]) > distance(ring[far], ring[0])) far = i;
    Polyline closed = ring;
    closed.push_back(ring.front());
    std::vector<char> keep(closed.size(), 0);
    keep[0] = keep[far] = keep[closed.size() - 1] = 1;
    simplify_between(closed, 0, far, tolerance, keep);
    simplify_between(closed, far, closed.size() - 1, tolerance, keep);
    Ring out;
    for (std::size_t i = 0; i + 1 < closed.size(); ++i)
        if (keep[i]) out.push_back(closed[i]);
    return out.size() >= 3 ? out : ring;
}

double polygon_iou(const Ring& a, const Ring& b, double step) {
    if (a.size() < 3 || b.size() < 3) return 0;
    Point low = a.front(), high = a.front();
    for (const Ring* ring : {&a, &b})
        for (const Point p : *ring) {
            low = {std::min(low.x, p.x), std::min(low.y, p.y)};
            high = {std::max(high.x, p.x), std::max(high.y, p.y)};
        }
    long both = 0, either = 0;
    const auto rows = static_cast<long>(std::ceil((high.y - low.y) / step - 0.5));
    const auto columns = static_cast<long>(std::ceil((high.x - low.x) / step - 0.5));
    std::vector<double> crossings;
    std::array<std::vector<std::uint8_t>, 2> inside;
    for (long j = 0; j < rows; ++j) {
        const double y = low.y + (static_cast<double>(j) + 0.5) * step;
        for (std::size_t r = 0; r < 2; ++r) {
            const Ring& ring = r == 0 ? a : b;
            crossings.clear();
            for (std::size_t i = 0; i < ring.size(); ++i) {
                const Point p = ring[i], q = ring[(i + 1) % ring.size()];
                if ((p.y > y) != (q.y > y))
                    crossings.push_back(p.x + (y - p.y) / (q.y - p.y) * (q.x - p.x));
            }
            std::sort(crossings.begin(), crossings.end());
            inside[r].assign(static_cast<std::size_t>(columns), 0);
            for (std::size_t k = 0; k + 1 < crossings.size(); k += 2) {
                const auto column = [&](double x) {
                    return std::clamp(static_cast<long>(std::ceil((x - low.x) / step - 0.5)), 0L,
                                      columns);
                };
                for (long i = column(crossings[k]); i < column(crossings[k + 1]); ++i)
                    inside[r][static_cast<std::size_t>(i)] = 1;
            }
        }
        for (std::size_t i = 0; i < inside[0].size(); ++i) {
            both += inside[0][i] != 0 && inside[1][i] != 0;
            either += inside[0][i] != 0 || inside[1][i] != 0;
        }
    }
    return either > 0 ? static_cast<double>(both) / static_cast<double>(either) : 0;
}

}  // namespace fenceline
