#include "simulate/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "core/error.h"

namespace fenceline::simulate {
namespace {

constexpr double kPi = std::numbers::pi;

Point direction(double azimuth_deg) {
    return {std::sin(azimuth_deg * kPi / 180), std::cos(azimuth_deg * kPi / 180)};
}
double wrapped(double angle) {
    while (angle > kPi) angle -= 2 * kPi;
    while (angle < -kPi) angle += 2 * kPi;
    return angle;
}

// ---------------------------------------------------------------- the line

/// A star-shaped outline: radius by angle. Walls go straight from hill to hill, so it is sampled at
/// uneven angles.
struct Star {
    std::vector<double> angle, radius;
    Ring ring() const {
        Ring out;
        for (std::size_t i = 0; i < angle.size(); ++i)
            out.push_back({radius[i] * std::cos(angle[i]), radius[i] * std::sin(angle[i])});
        return out;
    }
};

double area_of(const Star& star) { return std::abs(signed_area(star.ring())); }

/// Radius factor of the irregular outline: broad lobes and, scaled by roughness, spurs and
/// re-entrants.
struct Shape {
    std::array<double, 14> amplitude{}, phase{};
    double aspect = 1;
    double operator()(double angle, double roughness) const {
        double value = 1;
        for (std::size_t k = 0; k < amplitude.size(); ++k) {
            const double order = static_cast<double>(k) + 2;
            value += amplitude[k] * (k < 2 ? 0.5 + 0.5 * std::min(roughness, 1.0) : roughness) *
                     std::cos(order * angle + phase[k]);
        }
        const double c = std::cos(angle) / std::sqrt(aspect),
                     s = std::sin(angle) * std::sqrt(aspect);
        return std::max(value, 0.25) / std::sqrt(c * c + s * s);
    }
};

Star first_outline(const ScenarioLine& line, std::uint64_t seed, int attempt) {
    Star star;
    if (!line.vertices.empty()) return star;
    Draw draw(seed, attempt == 0 ? "outline" : fmt::format("outline {}", attempt));
    Shape shape;
    shape.aspect = line.aspect;
    for (std::size_t k = 0; k < shape.amplitude.size(); ++k) {
        shape.amplitude[k] =
            0.16 * std::pow(static_cast<double>(k) + 2, -0.9) * draw.uniform(0.6, 1.4);
        shape.phase[k] = draw.uniform(0, 2 * kPi);
    }
    const double mean_radius = std::sqrt(line.area_m2 / kPi);
    const int count = std::max(12, static_cast<int>(line.length_m / 42));
    for (int i = 0; i < count; ++i)
        star.angle.push_back(2 * kPi * (i + draw.uniform(-0.33, 0.33)) / count);
    const auto with_roughness = [&](double roughness) {
        star.radius.clear();
        for (const double a : star.angle) star.radius.push_back(mean_radius * shape(a, roughness));
        const double scale = std::sqrt(line.area_m2 / area_of(star));
        for (double& r : star.radius) r *= scale;
        return ring_length(star.ring());
    };
    double low = 0, high = 6;
    const double shortest = with_roughness(low), longest = with_roughness(high);
    if (line.length_m < shortest || line.length_m > longest)
        throw UsageError(
            fmt::format("line.length_m: {:.0f} cannot enclose line.area_m2 {:.0f} with this "
                        "aspect; allowed here: {:.0f} to {:.0f}",
                        line.length_m, line.area_m2, shortest, longest));
    for (int i = 0; i < 60; ++i) {
        const double middle = 0.5 * (low + high);
        (with_roughness(middle) < line.length_m ? low : high) = middle;
    }
    with_roughness(high);
    return star;
}

/// The outline after a change: vertices within the span move out (or in) by a smooth bump with
/// spurs on it.
Star moved_outline(const Star& before, const LineChange& change, std::uint64_t seed, int index) {
    Draw draw(seed, fmt::format("line change {}", index));
    const double towards =
        std::atan2(direction(change.direction_deg).y, direction(change.direction_deg).x);
    const double half = 0.5 * change.span_deg * kPi / 180;
    Star star = before;
    // A moved stretch is a new wall: its corners are its own.
    std::vector<double> angle, radius;
    const auto radius_at = [&](double a) {
        const std::size_t n = before.angle.size();
        for (std::size_t i = 0; i < n; ++i) {
            const double a0 = before.angle[i], a1 = before.angle[(i + 1) % n];
            const double span = wrapped(a1 - a0), part = wrapped(a - a0);
            if (part >= 0 && part <= span && span > 0) {
                const Point p = before.radius[i] * Point{std::cos(a0), std::sin(a0)};
                const Point q = before.radius[(i + 1) % n] * Point{std::cos(a1), std::sin(a1)};
                // where the ray at a meets the straight wall between both corners
                const Point d{std::cos(a), std::sin(a)}, e = q - p;
                const double det = cross(d, e);
                return std::abs(det) < 1e-9 ? norm(p) : cross(p, e) / det;
            }
        }
        return before.radius[0];
    };
    double first = 0, last = 0;
    bool any = false;
    for (std::size_t i = 0; i < before.angle.size(); ++i) {
        const double off = wrapped(before.angle[i] - towards);
        if (std::abs(off) >= half) {
            angle.push_back(before.angle[i]);
            radius.push_back(before.radius[i]);
        } else {
            first = any ? std::min(first, off) : off;
            last = any ? std::max(last, off) : off;
            any = true;
        }
    }
    const std::size_t fixed = angle.size();
    if (fixed < 3 || !any)
        throw UsageError(
            fmt::format("line_changes[{}].span_deg: {} leaves no part of the line in place", index,
                        change.span_deg));
    const int count = std::max(6, static_cast<int>((last - first) * 20));
    std::vector<double> bump, spur, base;
    double walk = 0;
    for (int i = 0; i < count; ++i) {
        const double off = first + (last - first) * (i + 0.5 + draw.uniform(-0.3, 0.3)) / count;
        angle.push_back(towards + off);
        base.push_back(radius_at(towards + off));
        const double t = std::min(1.0, std::min(off + half, half - off) / (0.22 * 2 * half));
        bump.push_back(t * t * (3 - 2 * t));
        walk = 0.45 * walk + draw.normal();
        spur.push_back(walk * bump.back());
    }
    std::vector<std::size_t> order;
    const auto build = [&](double height, double roughness) {
        std::vector<std::pair<double, double>> all;
        for (std::size_t i = 0; i < fixed; ++i) all.emplace_back(wrapped(angle[i]), radius[i]);
        for (std::size_t i = 0; i < base.size(); ++i) {
            double r =
                base[i] + (change.expansion ? 1 : -1) * height * (bump[i] + roughness * spur[i]);
            r = change.expansion ? std::max(r, base[i] + 4 * bump[i])
                                 : std::clamp(r, 0.15 * base[i], base[i] - 4 * bump[i]);
            all.emplace_back(wrapped(angle[fixed + i]), r);
        }
        std::sort(all.begin(), all.end());
        star.angle.clear();
        star.radius.clear();
        for (const auto& [a, r] : all) {
            star.angle.push_back(a);
            star.radius.push_back(r);
        }
        return star;
    };
    const auto solve_height = [&](double roughness) {
        double low = 0, high = 2000;
        for (int i = 0; i < 60; ++i) {
            const double middle = 0.5 * (low + high);
            const double area = area_of(build(middle, roughness));
            ((area < change.area_m2) == change.expansion ? low : high) = middle;
        }
        return 0.5 * (low + high);
    };
    double roughness = 0.06;
    if (change.length_m > 0) {
        double low = 0, high = 0.9;
        const double shortest = ring_length(build(solve_height(low), low).ring()),
                     longest = ring_length(build(solve_height(high), high).ring());
        if (change.length_m < shortest || change.length_m > longest)
            throw UsageError(fmt::format(
                "line_changes[{}].length_m: {:.0f} does not go with area_m2 {:.0f} and span_deg "
                "{:.0f}; allowed here: {:.0f} to {:.0f}",
                index, change.length_m, change.area_m2, change.span_deg, shortest, longest));
        for (int i = 0; i < 50; ++i) {
            roughness = 0.5 * (low + high);
            (ring_length(build(solve_height(roughness), roughness).ring()) < change.length_m
                 ? low
                 : high) = roughness;
        }
    }
    build(solve_height(roughness), roughness);
    if (std::abs(area_of(star) / change.area_m2 - 1) > 0.01)
        throw UsageError(
            fmt::format("line_changes[{}].area_m2: {:.0f} cannot be reached (found {:.0f})", index,
                        change.area_m2, area_of(star)));
    return star;
}

/// Splits the closed line b into the stretches that do not lie on a.
std::vector<Polyline> stretches_off(const Ring& b, const Ring& a) {
    const Ring fine = resample_ring(b, 2.0);
    std::vector<Polyline> out;
    const std::size_t n = fine.size();
    std::size_t start = n;
    for (std::size_t i = 0; i < n; ++i)
        if (distance_to_ring(a, fine[i]) < 0.5) {
            start = i;
            break;
        }
    if (start == n) {
        Polyline whole = fine;
        whole.push_back(fine.front());
        return {whole};
    }
    Polyline piece;
    for (std::size_t k = 0; k <= n; ++k) {
        const std::size_t i = (start + k) % n;
        if (distance_to_ring(a, fine[i]) >= 0.5) {
            if (piece.empty()) piece.push_back(fine[(i + n - 1) % n]);
            piece.push_back(fine[i]);
        } else if (!piece.empty()) {
            piece.push_back(fine[i]);
            if (line_length(piece) > 12) out.push_back(piece);
            piece.clear();
        }
    }
    return out;
}

/// The stretches of the first epoch's line that lie on the line of every later epoch. A moved
/// stretch may touch the old line on its way out and in again: such touches are stretches of their
/// own, never joined to others across the camp.
std::vector<Polyline> stretches_kept(const std::vector<Epoch>& epochs) {
    const Ring fine = resample_ring(epochs.front().ring, 2.0);
    const std::size_t n = fine.size();
    std::vector<bool> kept(n);
    std::size_t end = n;  // a point that is not kept
    for (std::size_t i = 0; i < n; ++i) {
        kept[i] = std::all_of(epochs.begin() + 1, epochs.end(), [&](const Epoch& later) {
            return distance_to_ring(later.ring, fine[i]) < 0.5;
        });
        if (!kept[i]) end = i;
    }
    if (end == n) {
        Polyline whole = fine;
        whole.push_back(fine.front());
        return {whole};
    }
    std::vector<Polyline> out;
    for (std::size_t j = 1; j <= n; ++j) {
        const std::size_t i = (end + j) % n;
        if (!kept[i]) continue;
        if (!kept[(i + n - 1) % n]) out.emplace_back();
        out.back().push_back(fine[i]);
    }
    return out;
}

/// The line's epochs, centred on the area of interest. Throws UsageError when this draw does not
/// fit.
std::vector<Epoch> draw_line(const Scenario& scenario, int attempt) {
    std::vector<Epoch> epochs;
    Star star;
    Point centre{0, 0};
    Ring ring;
    if (scenario.line.vertices.empty()) {
        star = first_outline(scenario.line, scenario.seed, attempt);
        ring = star.ring();
    } else {
        ring = scenario.line.vertices;
        if (signed_area(ring) < 0) std::reverse(ring.begin(), ring.end());
        centre = centroid(ring);
        for (const Point p : ring) {
            star.angle.push_back(std::atan2(p.y - centre.y, p.x - centre.x));
            star.radius.push_back(distance(p, centre));
        }
    }
    epochs.push_back({{}, ring});
    for (std::size_t k = 0; k < scenario.line_changes.size(); ++k) {
        const LineChange& change = scenario.line_changes[k];
        epochs.back().life.to = change.at.microseconds;
        star = moved_outline(star, change, scenario.seed, static_cast<int>(k));
        ring = star.ring();
        for (Point& p : ring) p = p + centre;
        epochs.push_back({{change.at.microseconds, kForever}, ring});
    }
    Point low{1e9, 1e9}, high{-1e9, -1e9};
    for (const Epoch& epoch : epochs)
        for (const Point p : epoch.ring) {
            low = {std::min(low.x, p.x), std::min(low.y, p.y)};
            high = {std::max(high.x, p.x), std::max(high.y, p.y)};
        }
    const Point shift = scenario.line.vertices.empty() ? -0.5 * (low + high) : Point{0, 0};
    for (Epoch& epoch : epochs)
        for (Point& p : epoch.ring) p = p + shift;
    if (high.x + shift.x > 0.5 * scenario.width_m || low.x + shift.x < -0.5 * scenario.width_m ||
        high.y + shift.y > 0.5 * scenario.height_m || low.y + shift.y < -0.5 * scenario.height_m)
        throw UsageError(
            fmt::format("line: the wall leaves the area: it spans {:.0f} × {:.0f} m, area is "
                        "{:.0f} × {:.0f} m (area.width_m, area.height_m)",
                        high.x - low.x, high.y - low.y, scenario.width_m, scenario.height_m));
    return epochs;
}

// ---------------------------------------------------------------- colours (reflectance blue,
// green, red, near infrared)

Spectrum scaled(Spectrum s, double factor) {
    for (float& v : s) v = static_cast<float>(static_cast<double>(v) * factor);
    return s;
}
Spectrum roof_colour(Draw& draw, bool industrial) {
    struct Choice {
        double weight;
        Spectrum colour;
    };
    static constexpr std::array<Choice, 8> kRoofs{{
        {0.26, {0.13F, 0.145F, 0.155F, 0.18F}},  // grey tiles, weathered
        {0.17, {0.085F, 0.09F, 0.095F, 0.11F}},  // dark tiles, tar paper
        {0.20, {0.10F, 0.13F, 0.20F, 0.27F}},    // clay tiles
        {0.14, {0.19F, 0.21F, 0.225F, 0.25F}},   // asbestos cement
        {0.06, {0.33F, 0.35F, 0.36F, 0.38F}},    // new sheet metal, concrete
        {0.05, {0.20F, 0.17F, 0.14F, 0.20F}},    // blue paint
        {0.07, {0.10F, 0.125F, 0.15F, 0.22F}},   // thatch, old wood
        {0.05, {0.12F, 0.17F, 0.13F, 0.2F}},     // greenish paint
    }};
    double pick = draw.uniform();
    if (industrial && draw.chance(0.35)) pick = 0.80 + 0.04 * draw.uniform();
    for (const Choice& roof : kRoofs) {
        if (pick < roof.weight) return scaled(roof.colour, draw.uniform(0.8, 1.22));
        pick -= roof.weight;
    }
    return kRoofs[0].colour;
}
constexpr Spectrum kDirt{0.105F, 0.145F, 0.185F, 0.26F};
constexpr Spectrum kGravel{0.15F, 0.175F, 0.195F, 0.24F};
constexpr Spectrum kConcrete{0.19F, 0.215F, 0.23F, 0.26F};

// ---------------------------------------------------------------- placing

struct Placer {
    World& world;
    std::vector<std::size_t> solid;  ///< things that others may not overlap

    static bool overlap(const Thing& a, const Thing& b, double gap) {
        const double reach =
            0.5 * (std::hypot(a.length, a.width) + std::hypot(b.length, b.width)) + gap;
        if (distance(a.centre, b.centre) > reach) return false;
        for (const double angle : {a.angle, a.angle + kPi / 2, b.angle, b.angle + kPi / 2}) {
            const Point axis{std::cos(angle), std::sin(angle)};
            const auto half = [&](const Thing& t) {
                return 0.5 * (t.length * std::abs(std::cos(t.angle - angle)) +
                              t.width * std::abs(std::sin(t.angle - angle)));
            };
            if (std::abs(dot(axis, a.centre - b.centre)) > half(a) + half(b) + gap) return false;
        }
        return true;
    }
    bool free(const Thing& thing, double gap, double from_line, double from_road) const {
        for (const std::size_t i : solid)
            if (overlap(world.things[i], thing, gap)) return false;
        const double reach = 0.5 * std::hypot(thing.length, thing.width);
        for (const Epoch& epoch : world.epochs)
            if (distance_to_ring(epoch.ring, thing.centre) < reach + from_line) return false;
        for (const Way& way : world.ways)
            if ((way.kind == WayKind::road || way.kind == WayKind::stream) &&
                distance_to_line(way.line, thing.centre) <
                    way.half_width + from_road + 0.5 * thing.width)
                return false;
        return std::abs(thing.centre.x) + reach < world.half_width &&
               std::abs(thing.centre.y) + reach < world.half_height;
    }
    void add(Thing thing, bool is_solid) {
        thing.salt = mix(world.seed + 0x1234567U + static_cast<std::uint32_t>(world.things.size()));
        if (is_solid) solid.push_back(world.things.size());
        world.things.push_back(thing);
    }
};

Thing make_building(Draw& draw, Point centre, double angle, double length, double width,
                    double eaves, bool industrial) {
    Thing thing;
    thing.kind = Kind::building;
    thing.centre = centre;
    thing.angle = angle;
    thing.length = length * draw.uniform(0.9, 1.1);
    thing.width = width * draw.uniform(0.92, 1.08);
    thing.eaves = static_cast<float>(eaves * draw.uniform(0.9, 1.15));
    thing.roof = draw.chance(0.82) ? Roof::gable : Roof::flat;
    thing.ridge = thing.roof == Roof::flat
                      ? thing.eaves
                      : thing.eaves + static_cast<float>(thing.width * draw.uniform(0.16, 0.26));
    thing.colour = roof_colour(draw, industrial);
    thing.truth = true;
    return thing;
}

/// A way from a to b that wanders a little (midpoint displacement).
Polyline meander(Draw& draw, Point a, Point b, double wander) {
    Polyline line{a, b};
    for (int round = 0; round < 4; ++round) {
        Polyline finer;
        for (std::size_t i = 0; i + 1 < line.size(); ++i) {
            const Point p = line[i], q = line[i + 1], d = q - p;
            finer.push_back(p);
            finer.push_back(0.5 * (p + q) + (wander * draw.normal()) * Point{-d.y, d.x});
        }
        finer.push_back(line.back());
        line = finer;
        wander *= 0.75;
    }
    return line;
}

void add_line_ways(World& world, const Ring& ring, Lifetime life, std::uint32_t salt) {
    const ScenarioLine& line = world.scenario.line;
    if (line.kind == LineKind::none) return;
    Polyline path = ring;
    path.push_back(ring.front());
    const auto offset_line = [&](double offset) {
        // Parallel line by vertex normals of a finely resampled path, gently wandering.
        const Polyline fine = resample_line(path, 6);
        Polyline out;
        for (std::size_t i = 0; i < fine.size(); ++i) {
            const Point before = i > 0 ? fine[i - 1] : fine[fine.size() - 2],
                        after = i + 1 < fine.size() ? fine[i + 1] : fine[1];
            const Point d = after - before;
            const double length = std::max(norm(d), 1e-9);
            const double wander =
                0.5 * static_cast<double>(value_noise(salt, fine[i].x / 30, fine[i].y / 30));
            out.push_back(fine[i] + ((offset + wander) / length) * Point{-d.y, d.x});
        }
        return out;
    };
    // Rings run counter-clockwise (y north), so positive offsets lie inside.
    const double inside = 1.0;
    world.ways.push_back(
        {WayKind::strip, path, 0.5 * line.strip_m, 0, scaled(kDirt, 0.95), life, salt, 0.75F});
    if (line.patrol_path)
        world.ways.push_back({WayKind::path, offset_line(inside * (0.5 * line.strip_m + 1.5)), 1.0,
                              0, scaled(kDirt, 1.1), life, salt + 1, 0.45F});
    if (line.kind == LineKind::wall) {
        world.ways.push_back({WayKind::wall,
                              path,
                              0.5 * line.thickness_m,
                              static_cast<float>(line.height_m),
                              {0.17F, 0.19F, 0.205F, 0.235F},
                              life,
                              salt + 2,
                              0});
    } else {
        for (const double offset : {-0.5 * line.strip_m + 1, 0.5 * line.strip_m - 1})
            world.ways.push_back({WayKind::fence,
                                  offset_line(offset),
                                  0.1,
                                  static_cast<float>(line.height_m),
                                  {0.16F, 0.17F, 0.18F, 0.2F},
                                  life,
                                  salt + 3,
                                  0});
    }
}

struct Spot {
    Point place;
    Point normal;  ///< outwards
    double angle = 0;
};
/// Spots at uneven steps along all the lines together, clear of each line's ends; lines too short
/// for that get none, unless all are.
std::vector<Spot> spots_along(std::vector<Polyline> lines, int count, Draw& draw,
                              double clear_ends) {
    std::vector<Spot> out;
    const auto room = [&](const Polyline& line) { return line_length(line) - 2 * clear_ends; };
    if (lines.empty()) return out;
    const auto longest =
        std::max_element(lines.begin(), lines.end(),
                         [&](const Polyline& a, const Polyline& b) { return room(a) < room(b); });
    if (const double length = line_length(*longest); length < 2.5 * clear_ends) {
        lines = {Polyline(*longest)};
        clear_ends = 0.4 * length;
    }
    std::erase_if(lines, [&](const Polyline& line) { return room(line) <= 0; });
    double usable = 0;
    for (const Polyline& line : lines) usable += room(line);
    for (int i = 0; i < count; ++i) {
        double at = usable * (i + 0.5 + draw.uniform(-0.27, 0.27)) / count;
        std::size_t which = 0;
        while (which + 1 < lines.size() && at > room(lines[which])) at -= room(lines[which++]);
        const Polyline& line = lines[which];
        at = clear_ends + at;
        for (std::size_t k = 1; k < line.size(); ++k) {
            const double step = distance(line[k - 1], line[k]);
            if (at <= step || k + 1 == line.size()) {
                const Point d = (1 / std::max(step, 1e-9)) * (line[k] - line[k - 1]);
                out.push_back(
                    {line[k - 1] + std::min(at, step) * d, {d.y, -d.x}, std::atan2(d.y, d.x)});
                break;
            }
            at -= step;
        }
    }
    return out;
}

void add_post(Placer& placer, Draw& draw, const Spot& spot, Lifetime life) {
    Thing post;
    post.kind = Kind::guard_post;
    const double size = draw.uniform(2.6, 4.6);
    post.length = size;
    post.width = size * draw.uniform(0.85, 1.0);
    post.angle = spot.angle + draw.uniform(-0.1, 0.1);
    // Most stand astride or just inside the wall.
    post.centre = spot.place - draw.uniform(-0.6, 2.2) * spot.normal;
    post.eaves = static_cast<float>(draw.uniform(3.0, 7.6));
    post.roof = draw.chance(0.55) ? Roof::pyramid : Roof::flat;
    post.ridge = post.roof == Roof::flat ? post.eaves
                                         : post.eaves + static_cast<float>(draw.uniform(0.5, 1.0));
    const bool bright = draw.chance(0.6);
    post.colour = bright ? scaled({0.26F, 0.275F, 0.285F, 0.30F}, draw.uniform(0.75, 1.3))
                         : scaled({0.085F, 0.09F, 0.095F, 0.11F}, draw.uniform(0.7, 1.4));
    post.life = life;
    post.truth = true;
    post.in_camp = true;
    // Trodden ground around it.
    Thing ground;
    ground.kind = Kind::yard;
    ground.centre = post.centre + Point{draw.uniform(-1, 1), draw.uniform(-1, 1)};
    ground.length = size + draw.uniform(3, 6);
    ground.width = size + draw.uniform(2, 5);
    ground.angle = post.angle;
    ground.colour = scaled(kDirt, draw.uniform(0.85, 1.1));
    ground.life = life;
    placer.add(ground, false);
    placer.add(post, true);
}

}  // namespace

Ring Thing::footprint() const {
    const Point u{std::cos(angle), std::sin(angle)}, v{-u.y, u.x};
    const double a = 0.5 * length, b = 0.5 * width;
    return {centre - a * u - b * v, centre + a * u - b * v, centre + a * u + b * v,
            centre - a * u + b * v};
}

const Ring* World::line_at(Time time) const {
    for (const Epoch& epoch : epochs)
        if (epoch.life.at(time)) return &epoch.ring;
    return nullptr;
}

Land land_at(const World& world, double x, double y) {
    const std::uint32_t s = world.seed;
    const ScenarioLand& land = world.scenario.land;
    // Valleys and spurs: a warped fractal, so that ridges bend.
    const double wx = x + 120 * static_cast<double>(value_noise(s + 11, x / 420, y / 420));
    const double wy = y + 120 * static_cast<double>(value_noise(s + 12, x / 420, y / 420));
    const float hills = fractal(s + 1, wx / 900, wy / 900, 6, 0.45F);
    Land out{};
    out.elevation = static_cast<float>(land.relief_m) * hills;
    const float wood = fractal(s + 2, wx / 340, wy / 340, 5, 0.5F);
    const float threshold =
        1.05F - 2.1F * static_cast<float>(std::sqrt(std::max(land.forest, 0.0)));
    out.forest = 0.62F * hills + 0.85F * wood - threshold;
    if (land.forest <= 0) out.forest = -10;
    const float till = fractal(s + 3, x / 520, y / 520, 3, 0.5F);
    out.farm = till - 0.5F * hills -
               (0.95F - 2.0F * static_cast<float>(std::sqrt(std::max(land.fields, 0.0))));
    if (land.fields <= 0) out.farm = -10;
    out.moisture = fractal(s + 4, x / 260, y / 260, 4, 0.55F) - 0.4F * hills;
    out.patch = fractal(s + 5, x / 190, y / 190, 4, 0.6F);
    // The camp's middle is kept open: nobody leaves a wood inside where the guards look.
    if (!world.epochs.empty()) {
        const double r = std::hypot(x, y) / std::sqrt(world.scenario.line.area_m2 / kPi);
        if (r < 1.2) out.forest -= 0.75F * static_cast<float>(1.2 - r);
    }
    return out;
}

World build_world(const Scenario& scenario) {
    World world;
    world.scenario = scenario;
    world.seed = seed_for(scenario.seed, "world");
    const double halo = 150;
    world.half_width = 0.5 * scenario.width_m + scenario.margin_m + halo;
    world.half_height = 0.5 * scenario.height_m + scenario.margin_m + halo;
    const std::uint64_t seed = scenario.seed;
    Placer placer{world, {}};

    // The line and its epochs. A drawn outline that does not fit into the area is drawn anew.
    if (scenario.line.kind != LineKind::none) {
        constexpr int kAttempts = 200;
        for (int attempt = 0;; ++attempt) {
            try {
                world.epochs = draw_line(scenario, attempt);
                break;
            } catch (const UsageError&) {
                if (attempt + 1 >= kAttempts || !scenario.line.vertices.empty()) throw;
            }
        }
    }

    // Ways of the line. Vertices and textures hang on the place, so a stretch that two epochs share
    // looks the same in both; where a line was given up, a scar stays in the grass.
    for (const Epoch& epoch : world.epochs) {
        add_line_ways(world, epoch.ring, epoch.life, mix(world.seed + 900));
        if (epoch.life.to == kForever) continue;
        for (const Polyline& gone : stretches_off(epoch.ring, (&epoch + 1)->ring))
            world.ways.push_back({WayKind::strip,
                                  gone,
                                  0.35 * scenario.line.strip_m,
                                  0,
                                  scaled(kDirt, 0.95),
                                  {epoch.life.to, kForever},
                                  mix(world.seed + 900),
                                  0.93F});
    }

    // Main road past the camp, gates, and the way in.
    const double far = std::max(world.half_width, world.half_height) + 50;
    Draw roads(seed, "roads");
    double growth_azimuth =
        scenario.line_changes.empty() ? 0 : scenario.line_changes.front().direction_deg;
    const double gate_azimuth = growth_azimuth + 180 + roads.uniform(-35, 35);
    Point gate_place{0, 0};
    const Ring* first_ring = world.epochs.empty() ? nullptr : &world.epochs.front().ring;
    std::vector<Polyline> inner_roads;
    if (first_ring != nullptr) {
        const Point c = centroid(*first_ring);
        for (int g = 0; g < scenario.line.gates; ++g) {
            const double azimuth =
                gate_azimuth + (g == 0 ? 0 : 70.0 * ((g % 2) != 0 ? 1 : -1) * ((g + 1) / 2));
            const Point d = direction(azimuth);
            // Where the ray from the centre meets the ring.
            Point hit = (*first_ring)[0];
            double best = -2;
            for (const Point p : resample_ring(*first_ring, 2)) {
                const double cosine = dot(d, p - c) / std::max(norm(p - c), 1e-9);
                if (cosine > best) {
                    best = cosine;
                    hit = p;
                }
            }
            if (g == 0) gate_place = hit;
            const Point out_end = hit + (140.0 * d), in_end = c + 0.35 * (hit - c);
            const Polyline outside = meander(roads, hit, out_end, 0.05),
                           inside = meander(roads, hit, in_end, 0.07);
            world.ways.push_back({WayKind::road,
                                  outside,
                                  2.6,
                                  0,
                                  scaled(kGravel, 1.0),
                                  {},
                                  mix(world.seed + 50 + static_cast<std::uint32_t>(g)),
                                  0.12F});
            world.ways.push_back({WayKind::road,
                                  inside,
                                  2.3,
                                  0,
                                  scaled(kGravel, 0.95),
                                  {},
                                  mix(world.seed + 70 + static_cast<std::uint32_t>(g)),
                                  0.2F});
            inner_roads.push_back(inside);
            Thing gate = make_building(roads, hit + Point{5 * d.y, -5 * d.x} - 6.0 * d,
                                       std::atan2(d.y, d.x), 6, 5, 3.2, false);
            gate.kind = Kind::gate;
            gate.truth = true;
            gate.in_camp = true;
            placer.add(gate, true);
            if (g == 0) {
                // The public road: through out_end, across the picture, kept clear of the camp.
                const Point along{d.y, -d.x};
                for (const double side : {1.0, -1.0}) {
                    Polyline run{out_end};
                    Point at = out_end;
                    double heading = std::atan2(side * along.y, side * along.x);
                    for (int step = 0; step < 200 && std::abs(at.x) < far && std::abs(at.y) < far;
                         ++step) {
                        heading += 0.10 * roads.normal();
                        const double wanted = std::atan2(side * along.y, side * along.x);
                        heading += 0.15 * wrapped(wanted - heading);
                        for (const Epoch& epoch : world.epochs) {
                            const double room =
                                contains(epoch.ring, at) ? 0 : distance_to_ring(epoch.ring, at);
                            if (room < 90) {
                                const Point away = at - centroid(epoch.ring);
                                heading += 0.5 * (1 - room / 90) *
                                           wrapped(std::atan2(away.y, away.x) - heading);
                            }
                        }
                        at = at + 30.0 * Point{std::cos(heading), std::sin(heading)};
                        run.push_back(at);
                    }
                    world.ways.push_back({WayKind::road,
                                          run,
                                          3.2,
                                          0,
                                          scaled(kGravel, 1.1),
                                          {},
                                          mix(world.seed + 90),
                                          0.08F});
                }
            }
        }
    } else {
        const Polyline run =
            meander(roads, {-far, roads.uniform(-200, 200)}, {far, roads.uniform(-200, 200)}, 0.06);
        world.ways.push_back(
            {WayKind::road, run, 3.2, 0, scaled(kGravel, 1.1), {}, mix(world.seed + 90), 0.08F});
    }

    // Guard posts: the first ones on the stretches that stay, so that none is left behind without
    // its wall.
    Draw posts(seed, "posts");
    if (first_ring != nullptr) {
        std::vector<Polyline> kept = stretches_kept(world.epochs);
        double longest = 0;
        for (const Polyline& line : kept) longest = std::max(longest, line_length(line));
        if (longest < 16) {
            // Next to nothing stays: they stand all round, and go with their wall.
            kept = stretches_kept({world.epochs.front()});
        }
        // A post goes with its wall.
        const auto until_moved = [&](const Spot& spot, std::size_t epoch) {
            for (; epoch + 1 < world.epochs.size(); ++epoch)
                if (distance_to_ring(world.epochs[epoch + 1].ring, spot.place) > 1)
                    return world.epochs[epoch].life.to;
            return kForever;
        };
        int later = 0;
        for (const PostChange& change : scenario.post_changes) later += change.added;
        // Later posts fill in between the first ones: all spots are drawn at once, then dated.
        std::vector<Spot> spots = spots_along(kept, scenario.line.posts + later, posts, 8);
        std::vector<std::size_t> order(spots.size());
        for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
        for (std::size_t i = order.size(); i > 1; --i)
            std::swap(order[i - 1],
                      order[static_cast<std::size_t>(posts.below(static_cast<int>(i)))]);
        std::vector<Lifetime> lives(spots.size());
        std::size_t next = static_cast<std::size_t>(scenario.line.posts);
        std::vector<std::size_t> standing(order.begin(), order.begin() + scenario.line.posts);
        for (const PostChange& change : scenario.post_changes) {
            for (int i = 0; i < change.removed && !standing.empty(); ++i) {
                lives[standing.front()].to = change.at.microseconds;
                standing.erase(standing.begin());
            }
            for (int i = 0; i < change.added && next < order.size(); ++i) {
                lives[order[next]].from = change.at.microseconds;
                standing.push_back(order[next++]);
            }
        }
        for (std::size_t i = 0; i < spots.size(); ++i) {
            lives[i].to = std::min(lives[i].to, until_moved(spots[i], 0));
            if (lives[i].from < lives[i].to) add_post(placer, posts, spots[i], lives[i]);
        }
        for (std::size_t k = 0; k < scenario.line_changes.size(); ++k) {
            const LineChange& change = scenario.line_changes[k];
            if (change.posts == 0) continue;
            auto fresh = stretches_off(world.epochs[k + 1].ring, world.epochs[k].ring);
            std::sort(fresh.begin(), fresh.end(), [](const Polyline& a, const Polyline& b) {
                return line_length(a) > line_length(b);
            });
            if (fresh.empty()) continue;
            for (const Spot& spot : spots_along({fresh.front()}, change.posts, posts, 25))
                add_post(placer, posts, spot, {change.at.microseconds, until_moved(spot, k + 1)});
        }
    }

    // Buildings of the camp, in clusters that follow the ground.
    Draw buildings(seed, "buildings");
    const auto inside_first = [&](Point p, double room) {
        return first_ring == nullptr
                   ? std::abs(p.x) < 0.4 * scenario.width_m &&
                         std::abs(p.y) < 0.4 * scenario.height_m
                   : contains(*first_ring, p) && distance_to_ring(*first_ring, p) > room;
    };
    struct Cluster {
        Point centre;
        double angle;
    };
    std::vector<Cluster> clusters;
    const auto find_cluster = [&](Draw& draw, double room, double apart, const Ring* within) {
        for (int attempt = 0; attempt < 400; ++attempt) {
            const Point p{draw.uniform(-0.5, 0.5) * scenario.width_m,
                          draw.uniform(-0.5, 0.5) * scenario.height_m};
            const double wanted = apart * (attempt < 200 ? 1 : 0.6);
            if (within != nullptr ? !(contains(*within, p) && distance_to_ring(*within, p) > room)
                                  : !inside_first(p, room))
                continue;
            bool close = false;
            for (const Cluster& other : clusters)
                close = close || distance(other.centre, p) < wanted;
            if (close) continue;
            // Rows follow the contour lines.
            const float e = land_at(world, p.x, p.y).elevation;
            const double gx = static_cast<double>(land_at(world, p.x + 20, p.y).elevation - e),
                         gy = static_cast<double>(land_at(world, p.x, p.y + 20).elevation - e);
            const double angle = std::atan2(gx, -gy) + draw.uniform(-0.15, 0.15);
            clusters.push_back({p, angle});
            return true;
        }
        return false;
    };
    const auto row_of = [&](Draw& draw, const Cluster& cluster, int count, double length,
                            double width, double eaves, int columns, double gap_u, double gap_v,
                            bool industrial, Lifetime life, const Ring* within) {
        int placed = 0;
        const Point u{std::cos(cluster.angle), std::sin(cluster.angle)}, v{-u.y, u.x};
        const int rows = (count + columns - 1) / columns + 2;
        for (int r = 0; r < rows && placed < count; ++r)
            for (int c = 0; c < columns && placed < count; ++c) {
                if (draw.chance(0.12)) continue;
                const double du =
                    (c - 0.5 * (columns - 1)) * (length + gap_u) + draw.uniform(-2, 2);
                const double dv =
                    (r - 0.5 * (rows - 1)) * (width + gap_v) + draw.uniform(-1.5, 1.5);
                Thing thing = make_building(draw, cluster.centre + du * u + dv * v,
                                            cluster.angle + draw.uniform(-0.05, 0.05), length,
                                            width, eaves, industrial);
                if (draw.chance(0.15)) std::swap(thing.length, thing.width);
                thing.life = life;
                thing.in_camp = true;
                const bool in = within == nullptr
                                    ? inside_first(thing.centre, 15 + 0.5 * thing.length)
                                    : contains(*within, thing.centre);
                if (!in || !placer.free(thing, 2.5, 12, 1.5)) continue;
                placer.add(thing, true);
                ++placed;
            }
        if (placed > 0) {
            Thing yard;
            yard.kind = Kind::yard;
            yard.centre = cluster.centre;
            yard.angle = cluster.angle;
            yard.length = std::min(columns, count) * (length + gap_u) * draw.uniform(0.7, 1.05);
            yard.width = rows * (width + gap_v) * draw.uniform(0.6, 0.95);
            yard.colour = scaled(kDirt, draw.uniform(0.8, 1.1));
            yard.life = life;
            placer.add(yard, false);
        }
        return placed;
    };
    struct Plan {
        int count;
        double length, width, eaves;
        int per_cluster, columns;
        double gap_u, gap_v;
        bool industrial;
    };
    const ScenarioBuildings& wanted = scenario.buildings;
    for (const Plan& plan : {Plan{wanted.offices, 24, 10, 5, 6, 2, 14, 16, false},
                             Plan{wanted.barracks, 38, 8.5, 3.4, 7, 1, 10, 8, false},
                             Plan{wanted.workshops, 42, 14, 5.5, 4, 2, 12, 14, true},
                             Plan{wanted.houses, 10, 6.5, 2.6, 20, 5, 6, 9, false}}) {
        int left = plan.count;
        for (int round = 0; left > 0 && round < 60; ++round) {
            if (!find_cluster(buildings, 35, round < 20 ? 105 : 60, nullptr)) break;
            left -= row_of(buildings, clusters.back(), std::min(left, plan.per_cluster),
                           plan.length, plan.width, plan.eaves, plan.columns, plan.gap_u,
                           plan.gap_v, plan.industrial, {}, nullptr);
        }
    }
    // Changes of buildings over the years.
    for (std::size_t k = 0; k < scenario.building_changes.size(); ++k) {
        const BuildingChange& change = scenario.building_changes[k];
        Draw draw(seed, fmt::format("building change {}", k));
        const Ring* within = world.line_at(change.at);
        const Point side = direction(change.direction_deg);
        int left = change.added;
        for (int attempt = 0; left > 0 && attempt < 3000; ++attempt) {
            const Point p{draw.uniform(-0.5, 0.5) * scenario.width_m,
                          draw.uniform(-0.5, 0.5) * scenario.height_m};
            if (within != nullptr ? !(contains(*within, p) && distance_to_ring(*within, p) > 30)
                                  : !inside_first(p, 20))
                continue;
            if (change.direction_deg >= 0 && attempt < 2500) {
                double furthest = 1;
                if (within != nullptr)
                    for (const Point q : *within) furthest = std::max(furthest, dot(q, side));
                if (dot(p, side) < 0.4 * furthest) continue;
            }
            const bool large = draw.chance(0.55);
            Thing thing = make_building(
                draw, p, draw.uniform(0, kPi), large ? draw.uniform(20, 44) : draw.uniform(9, 16),
                large ? draw.uniform(9, 14) : draw.uniform(6, 9), large ? 4.5 : 3, large);
            thing.life.from = change.at.microseconds;
            thing.in_camp = true;
            if (!placer.free(thing, 6, 14, 2)) continue;
            Thing yard;
            yard.kind = Kind::yard;
            yard.centre = p;
            yard.angle = thing.angle;
            yard.length = thing.length + draw.uniform(6, 16);
            yard.width = thing.width + draw.uniform(6, 16);
            yard.colour = scaled(kDirt, draw.uniform(0.95, 1.2));
            yard.life = thing.life;
            placer.add(yard, false);
            placer.add(thing, true);
            --left;
        }
        if (left > 0)
            throw UsageError(
                fmt::format("building_changes[{}].added: only {} of {} found room in the camp", k,
                            change.added - left, change.added));
        std::vector<std::size_t> candidates;
        for (std::size_t i = 0; i < world.things.size(); ++i)
            if (world.things[i].kind == Kind::building && world.things[i].in_camp &&
                world.things[i].life.to == kForever &&
                world.things[i].life.from < change.at.microseconds)
                candidates.push_back(i);
        if (static_cast<std::size_t>(change.removed + change.rebuilt) > candidates.size())
            throw UsageError(
                fmt::format("building_changes[{}].removed: {} to remove, the camp has {}", k,
                            change.removed + change.rebuilt, candidates.size()));
        for (int i = 0; i < change.removed + change.rebuilt; ++i) {
            const auto pick =
                static_cast<std::size_t>(draw.below(static_cast<int>(candidates.size())));
            const std::size_t index = candidates[pick];
            candidates.erase(candidates.begin() + static_cast<std::ptrdiff_t>(pick));
            world.things[index].life.to = change.at.microseconds;
            if (i >= change.removed) {
                Thing thing = world.things[index];
                Thing fresh =
                    make_building(draw, thing.centre, thing.angle, thing.length * 1.25,
                                  thing.width * 1.2, static_cast<double>(thing.eaves) * 1.3, true);
                fresh.life.from = change.at.microseconds;
                fresh.in_camp = true;
                placer.add(fresh, true);
            }
        }
    }
    // Tracks from the gate's road to the clusters, and paths between clusters.
    Draw tracks(seed, "tracks");
    for (std::size_t i = 0; i < clusters.size(); ++i) {
        Point from = gate_place;
        double nearest = 1e9;
        for (const Polyline& road : inner_roads)
            for (const Point p : road)
                if (distance(p, clusters[i].centre) < nearest) {
                    nearest = distance(p, clusters[i].centre);
                    from = p;
                }
        for (std::size_t j = 0; j < i; ++j)
            if (distance(clusters[j].centre, clusters[i].centre) < nearest) {
                nearest = distance(clusters[j].centre, clusters[i].centre);
                from = clusters[j].centre;
            }
        if (nearest < 1e8)
            world.ways.push_back({WayKind::track,
                                  meander(tracks, from, clusters[i].centre, 0.10),
                                  tracks.uniform(1.2, 2.0),
                                  0,
                                  scaled(kDirt, tracks.uniform(0.95, 1.2)),
                                  {},
                                  mix(world.seed + 300 + static_cast<std::uint32_t>(i)),
                                  0.35F});
    }

    // Villages outside: houses with yards and gardens.
    Draw villages(seed, "villages");
    std::vector<Point> village_places;
    for (int k = 0; k < scenario.land.villages; ++k) {
        Point place{};
        bool found = false;
        for (int attempt = 0; attempt < 500 && !found; ++attempt) {
            place = {villages.uniform(-1, 1) * (world.half_width - 120),
                     villages.uniform(-1, 1) * (world.half_height - 120)};
            found = land_at(world, place.x, place.y).forest < 0;
            for (const Epoch& epoch : world.epochs)
                found = found && !contains(epoch.ring, place) &&
                        distance_to_ring(epoch.ring, place) > (attempt < 250 ? 110 : 60);
            for (const Point other : village_places) found = found && distance(other, place) > 200;
        }
        if (!found) continue;
        village_places.push_back(place);
        const double angle = villages.uniform(0, kPi);
        const Point u{std::cos(angle), std::sin(angle)}, v{-u.y, u.x};
        int left = scenario.land.houses_per_village;
        const int columns = std::max(3, static_cast<int>(std::sqrt(left * 1.6)));
        const double pitch_u = villages.uniform(15, 19), pitch_v = villages.uniform(19, 26);
        for (int r = 0; left > 0 && r < 40; ++r)
            for (int c = 0; c < columns && left > 0; ++c) {
                if (villages.chance(0.26)) continue;
                const Point centre =
                    place + ((c - 0.5 * columns) * pitch_u + villages.uniform(-3, 3)) * u +
                    ((r - 0.5 * columns) * pitch_v + villages.uniform(-3.5, 3.5) +
                     5 * static_cast<double>(value_noise(world.seed + 61, c * 0.37, k))) *
                        v;
                Thing house = make_building(
                    villages, centre,
                    angle + villages.uniform(-0.12, 0.12) + (villages.chance(0.15) ? kPi / 2 : 0),
                    villages.uniform(7, 12), villages.uniform(5.5, 7), 2.6, false);
                --left;
                if (!placer.free(house, 3, 25, 1)) continue;
                Thing yard;
                yard.kind = Kind::yard;
                yard.centre = centre - 7.0 * v;
                yard.angle = house.angle;
                yard.length = pitch_u * 0.8;
                yard.width = 8;
                yard.colour = scaled(kDirt, villages.uniform(0.8, 1.15));
                placer.add(yard, false);
                Thing plot = yard;
                plot.kind = Kind::plot;
                plot.centre = centre + 8.0 * v;
                plot.width = 9;
                placer.add(plot, false);
                placer.add(house, true);
            }
        // Lanes through the village and a track to the nearest road.
        for (int lane = 0; lane < 3; ++lane) {
            const Point a = place + (-0.55 * columns * pitch_u) * u +
                            ((lane - 1) * 2.0 * pitch_v) * v,
                        b = place + (0.55 * columns * pitch_u) * u +
                            ((lane - 1) * 2.0 * pitch_v + 4) * v;
            world.ways.push_back({WayKind::track,
                                  meander(villages, a, b, 0.03),
                                  1.7,
                                  0,
                                  scaled(kDirt, 1.1),
                                  {},
                                  mix(world.seed + 400 + static_cast<std::uint32_t>(10 * k + lane)),
                                  0.2F});
        }
        Point target{};
        double nearest = 1e9;
        for (const Way& way : world.ways)
            if (way.kind == WayKind::road)
                for (const Point p : way.line)
                    if (distance(p, place) < nearest &&
                        (first_ring == nullptr || !contains(*first_ring, p))) {
                        nearest = distance(p, place);
                        target = p;
                    }
        if (nearest < 1500)
            world.ways.push_back({WayKind::track,
                                  meander(villages, place, target, 0.08),
                                  1.9,
                                  0,
                                  scaled(kDirt, 1.15),
                                  {},
                                  mix(world.seed + 450 + static_cast<std::uint32_t>(k)),
                                  0.25F});
    }

    // Footpaths over the land, a stream.
    Draw paths(seed, "paths");
    const int path_count =
        static_cast<int>(14 * world.half_width * world.half_height / (700.0 * 700.0));
    for (int k = 0; k < path_count; ++k) {
        const Point a{paths.uniform(-1, 1) * world.half_width,
                      paths.uniform(-1, 1) * world.half_height};
        const double heading = paths.uniform(0, 2 * kPi), reach = paths.uniform(120, 420);
        const Point b = a + reach * Point{std::cos(heading), std::sin(heading)};
        bool crosses = false;
        for (const Epoch& epoch : world.epochs) {
            for (int i = 0; i <= 40; ++i)
                crosses = crosses || distance_to_ring(epoch.ring, a + (i / 40.0) * (b - a)) < 25;
        }
        if (!crosses)
            world.ways.push_back({WayKind::path,
                                  meander(paths, a, b, 0.09),
                                  paths.uniform(0.5, 1.1),
                                  0,
                                  scaled(kDirt, paths.uniform(0.9, 1.2)),
                                  {},
                                  mix(world.seed + 500 + static_cast<std::uint32_t>(k)),
                                  0.6F});
    }

    // What changes but must not be reported.
    Draw distract(seed, "distractors");
    const ScenarioDistractors& other = scenario.distractors;
    for (int k = 0; k < other.ponds; ++k) {
        Thing pond;
        pond.kind = Kind::pond;
        for (int attempt = 0; attempt < 200; ++attempt) {
            pond.centre = {distract.uniform(-0.48, 0.48) * scenario.width_m,
                           distract.uniform(-0.48, 0.48) * scenario.height_m};
            pond.length = distract.uniform(14, 45);
            pond.width = pond.length * distract.uniform(0.5, 0.9);
            pond.angle = distract.uniform(0, kPi);
            if (placer.free(pond, 4, 12, 4)) {
                if (k % 2 == 1 && scenario.scenes.size() > 2)
                    pond.life.from =
                        scenario.scenes[scenario.scenes.size() / 2].datetime.microseconds - 1;
                placer.add(pond, true);
                break;
            }
        }
    }
    std::vector<std::size_t> roofs;
    for (std::size_t i = 0; i < world.things.size(); ++i)
        if (world.things[i].kind == Kind::building) roofs.push_back(i);
    for (int k = 0; k < other.repainted_roofs && !roofs.empty() && scenario.scenes.size() > 1;
         ++k) {
        Thing& thing = world.things[roofs[static_cast<std::size_t>(
            distract.below(static_cast<int>(roofs.size())))]];
        const std::size_t at =
            1 +
            static_cast<std::size_t>(distract.below(static_cast<int>(scenario.scenes.size()) - 1));
        thing.repainted = scenario.scenes[at].datetime.microseconds - 1;
        thing.repaint = roof_colour(distract, true);
    }
    for (int k = 0; k < other.felled_patches && scenario.scenes.size() > 1; ++k) {
        for (int attempt = 0; attempt < 300; ++attempt) {
            const Point p{distract.uniform(-0.5, 0.5) * scenario.width_m,
                          distract.uniform(-0.5, 0.5) * scenario.height_m};
            if (land_at(world, p.x, p.y).forest < 0.12F) continue;
            const std::size_t at = 1 + static_cast<std::size_t>(distract.below(
                                           static_cast<int>(scenario.scenes.size()) - 1));
            world.fellings.push_back(
                {p, distract.uniform(18, 45), scenario.scenes[at].datetime.microseconds - 1});
            break;
        }
    }
    if (other.pylons > 0) {
        const double heading = distract.uniform(0, kPi);
        const Point d{std::cos(heading), std::sin(heading)};
        const Point base{distract.uniform(-0.3, 0.3) * scenario.width_m,
                         distract.uniform(-0.3, 0.3) * scenario.height_m};
        for (int k = 0; k < other.pylons; ++k) {
            Thing pylon;
            pylon.kind = Kind::pylon;
            pylon.centre = base + (110.0 * (k - 0.5 * other.pylons)) * d;
            pylon.length = pylon.width = 1.6;
            pylon.eaves = pylon.ridge = 14;
            pylon.colour = {0.14F, 0.15F, 0.155F, 0.17F};
            if (placer.free(pylon, 2, 14, 3)) placer.add(pylon, false);
        }
    }
    // Vehicles and haystacks are other ones in each scene.
    for (std::size_t s = 0; s < scenario.scenes.size(); ++s) {
        Draw draw(seed, fmt::format("scene {}", s));
        const Lifetime life{scenario.scenes[s].datetime.microseconds,
                            scenario.scenes[s].datetime.microseconds + 1};
        for (int k = 0; k < other.vehicles; ++k) {
            const auto pick =
                static_cast<std::size_t>(draw.below(static_cast<int>(world.ways.size())));
            const Way& way = world.ways[pick];
            if (way.kind != WayKind::road && way.kind != WayKind::track) continue;
            const auto i =
                static_cast<std::size_t>(draw.below(static_cast<int>(way.line.size()) - 1));
            const Point a = way.line[i], b = way.line[i + 1];
            Thing car;
            car.kind = Kind::vehicle;
            car.angle = std::atan2(b.y - a.y, b.x - a.x);
            car.centre = a + draw.uniform() * (b - a) +
                         draw.uniform(-1.2, 1.2) * Point{-std::sin(car.angle), std::cos(car.angle)};
            car.length = draw.uniform(4.2, 8.5);
            car.width = draw.uniform(1.8, 2.5);
            car.eaves = car.ridge = static_cast<float>(draw.uniform(1.5, 2.8));
            const double tone = draw.uniform(0.3, 2.0);
            car.colour = scaled({0.15F, 0.16F, 0.16F, 0.18F}, tone);
            car.life = life;
            placer.add(car, false);
        }
        const double day = day_of_year(scenario.scenes[s].datetime);
        if (day > 250 || day < 90)
            for (int k = 0; k < other.haystacks; ++k) {
                Thing stack;
                stack.kind = Kind::haystack;
                stack.centre = {draw.uniform(-0.5, 0.5) * scenario.width_m,
                                draw.uniform(-0.5, 0.5) * scenario.height_m};
                const Land land = land_at(world, stack.centre.x, stack.centre.y);
                if (land.forest > 0 || land.farm < 0) continue;
                stack.length = stack.width = draw.uniform(2, 4.2);
                stack.eaves = stack.ridge = static_cast<float>(draw.uniform(1.2, 3));
                stack.colour = scaled({0.13F, 0.18F, 0.235F, 0.32F}, draw.uniform(0.8, 1.2));
                stack.life = life;
                if (placer.free(stack, 1, 4, 1)) placer.add(stack, false);
            }
    }

    index_world(world);
    return world;
}

void index_world(World& world) {
    world.segments.clear();
    Buckets& buckets = world.buckets;
    buckets = Buckets{};
    buckets.origin = {-world.half_width - 64, -world.half_height - 64};
    buckets.columns = static_cast<int>(2 * (world.half_width + 64) / buckets.cell) + 1;
    buckets.rows = static_cast<int>(2 * (world.half_height + 64) / buckets.cell) + 1;
    const auto cells =
        static_cast<std::size_t>(buckets.columns) * static_cast<std::size_t>(buckets.rows);
    buckets.things.resize(cells);
    buckets.segments.resize(cells);
    const auto insert = [&](std::vector<std::vector<std::uint32_t>>& lists, Point low, Point high,
                            std::uint32_t id) {
        const auto cell = [&](double v, double o, int n) {
            return std::clamp(static_cast<int>(std::floor((v - o) / buckets.cell)), 0, n - 1);
        };
        for (int j = cell(low.y, buckets.origin.y, buckets.rows);
             j <= cell(high.y, buckets.origin.y, buckets.rows); ++j)
            for (int i = cell(low.x, buckets.origin.x, buckets.columns);
                 i <= cell(high.x, buckets.origin.x, buckets.columns); ++i)
                lists[static_cast<std::size_t>(j) * static_cast<std::size_t>(buckets.columns) +
                      static_cast<std::size_t>(i)]
                    .push_back(id);
    };
    for (std::size_t i = 0; i < world.things.size(); ++i) {
        const Thing& t = world.things[i];
        const double r = 0.5 * std::hypot(t.length, t.width) + 3;
        insert(buckets.things, t.centre - Point{r, r}, t.centre + Point{r, r},
               static_cast<std::uint32_t>(i));
    }
    for (std::size_t w = 0; w < world.ways.size(); ++w) {
        const Way& way = world.ways[w];
        for (std::size_t i = 0; i + 1 < way.line.size(); ++i) {
            const Point a = way.line[i], b = way.line[i + 1];
            const double r = way.half_width + 3;
            world.segments.push_back({static_cast<std::uint32_t>(w), a, b});
            insert(buckets.segments, {std::min(a.x, b.x) - r, std::min(a.y, b.y) - r},
                   {std::max(a.x, b.x) + r, std::max(a.y, b.y) + r},
                   static_cast<std::uint32_t>(world.segments.size() - 1));
        }
    }
}

}  // namespace fenceline::simulate
