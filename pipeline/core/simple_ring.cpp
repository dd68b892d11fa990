#include "core/simple_ring.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace fenceline {
namespace {

// Lattice points: every test of side is exact (a site's extent squared fits 64 bits by far).
struct Knot {
    std::int64_t x = 0, y = 0;
    bool operator==(const Knot&) const = default;
};
using Knots = std::vector<Knot>;

int side_of(Knot a, Knot b, Knot p) {
    const std::int64_t z = (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x);
    return z > 0 ? 1 : z < 0 ? -1 : 0;
}
bool between(Knot a, Knot b, Knot p) {
    return std::min(a.x, b.x) <= p.x && p.x <= std::max(a.x, b.x) && std::min(a.y, b.y) <= p.y &&
           p.y <= std::max(a.y, b.y);
}

/// Where two segments meet, a shared end point first.
std::optional<Knot> meeting(Knot a, Knot b, Knot c, Knot d) {
    const int c_side = side_of(a, b, c), d_side = side_of(a, b, d);
    const int a_side = side_of(c, d, a), b_side = side_of(c, d, b);
    if (a_side == 0 && between(c, d, a)) return a;
    if (b_side == 0 && between(c, d, b)) return b;
    if (c_side == 0 && between(a, b, c)) return c;
    if (d_side == 0 && between(a, b, d)) return d;
    if (c_side == d_side || a_side == b_side) return std::nullopt;
    const auto real = [](std::int64_t v) { return static_cast<double>(v); };
    const Point ab{real(b.x - a.x), real(b.y - a.y)}, cd{real(d.x - c.x), real(d.y - c.y)};
    const double t = cross({real(c.x - a.x), real(c.y - a.y)}, cd) / cross(ab, cd);
    return Knot{a.x + std::llround(t * ab.x), a.y + std::llround(t * ab.y)};
}

/// Repeated vertices and the tips of spikes go.
void drop_idle(Knots& ring) {
    for (bool changed = true; changed && ring.size() >= 3;) {
        changed = false;
        Knots kept;
        for (std::size_t i = 0; i < ring.size(); ++i) {
            const Knot before = kept.empty() ? ring.back() : kept.back();
            const Knot here = ring[i], next = ring[(i + 1) % ring.size()];
            const bool spike = side_of(before, here, next) == 0 && !between(before, next, here);
            if (here == before || here == next || spike)
                changed = true;
            else
                kept.push_back(here);
        }
        ring = std::move(kept);
    }
}

double twice_area(const Knots& ring) {
    double sum = 0;
    const Knot o = ring.empty() ? Knot{} : ring.front();
    for (std::size_t i = 0; i < ring.size(); ++i) {
        const Knot a = ring[i], b = ring[(i + 1) % ring.size()];
        sum += static_cast<double>((a.x - o.x) * (b.y - o.y) - (b.x - o.x) * (a.y - o.y));
    }
    return std::abs(sum);
}

/// Cuts one loop off; false when the ring meets itself nowhere.
bool cut_a_loop(Knots& ring) {
    const std::size_t n = ring.size();
    const auto end = [&](std::size_t i) { return ring[(i + 1) % n]; };
    std::vector<std::size_t> by_west(n);
    for (std::size_t i = 0; i < n; ++i) by_west[i] = i;
    const auto west = [&](std::size_t i) { return std::min(ring[i].x, end(i).x); };
    std::sort(by_west.begin(), by_west.end(), [&](std::size_t a, std::size_t b) {
        return west(a) != west(b) ? west(a) < west(b) : a < b;
    });
    for (std::size_t k = 0; k < n; ++k)
        for (std::size_t m = k + 1; m < n; ++m) {
            const std::size_t i = std::min(by_west[k], by_west[m]),
                              j = std::max(by_west[k], by_west[m]);
            if (west(by_west[m]) > std::max(ring[by_west[k]].x, end(by_west[k]).x)) break;
            if (j == i + 1 || (i == 0 && j == n - 1)) continue;  // neighbours share a vertex
            const auto at = meeting(ring[i], end(i), ring[j], end(j));
            if (!at) continue;
            const auto first = ring.begin();
            const auto offset = [](std::size_t v) { return static_cast<std::ptrdiff_t>(v); };
            Knots inner(first + offset(i + 1), first + offset(j + 1));
            Knots outer(first, first + offset(i + 1));
            inner.push_back(*at);
            outer.push_back(*at);
            outer.insert(outer.end(), first + offset(j + 1), ring.end());
            drop_idle(inner);
            drop_idle(outer);
            ring = twice_area(inner) > twice_area(outer) ? inner : outer;
            return true;
        }
    return false;
}

}  // namespace

Ring simple_ring(const Ring& ring, double step) {
    Knots knots;
    for (const Point p : ring)
        knots.push_back({std::llround(p.x / step), std::llround(p.y / step)});
    drop_idle(knots);
    while (knots.size() >= 3 && cut_a_loop(knots)) {
    }
    if (knots.size() < 3) return {};
    Ring out;
    for (const Knot k : knots)
        out.push_back({static_cast<double>(k.x) * step, static_cast<double>(k.y) * step});
    return out;
}

}  // namespace fenceline
