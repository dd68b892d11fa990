#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "core/geometry.h"
#include "core/scenario.h"
#include "simulate/noise.h"

namespace fenceline::simulate {

constexpr std::int64_t kForever = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kAlways = std::numeric_limits<std::int64_t>::min();

/// Present at t when from <= t < to (microseconds as in Time).
struct Lifetime {
    std::int64_t from = kAlways, to = kForever;
    bool at(Time time) const { return time.microseconds >= from && time.microseconds < to; }
};

/// Reflectance in blue, green, red, near infrared.
using Spectrum = std::array<float, 4>;

enum class Kind : std::uint8_t {
    building,
    guard_post,
    gate,
    vehicle,
    haystack,
    pylon,
    yard,
    plot,
    pond,
};
enum class Roof : std::uint8_t { flat, gable, pyramid };

/// An oriented rectangle (or ellipse: ponds, haystacks) that stands on or lies in the ground.
struct Thing {
    Kind kind = Kind::building;
    Point centre;                  ///< local metres
    double angle = 0;              ///< radians, of the length axis from east, counter-clockwise
    double length = 0, width = 0;  ///< metres
    float eaves = 0, ridge = 0;    ///< heights; equal for flat roofs
    Roof roof = Roof::flat;
    Spectrum colour{};
    Lifetime life;
    std::int64_t repainted = kForever;  ///< from when on the roof has repaint's colour
    Spectrum repaint{};
    std::uint32_t salt = 0;  ///< its own texture
    bool truth = false;      ///< listed in truth.json
    bool in_camp = false;

    Ring footprint() const;
};

enum class WayKind : std::uint8_t { stream, strip, road, track, path, fence, wall };

/// A line with a width: roads, tracks, strips, walls and fences.
struct Way {
    WayKind kind = WayKind::road;
    Polyline line;
    double half_width = 1;
    float height = 0;
    Spectrum colour{};
    Lifetime life;
    std::uint32_t salt = 0;
    float wear = 0;  ///< 0: sharp and complete; 1: broken up by grass
};

/// The camp's line during one span of time.
struct Epoch {
    Lifetime life;
    Ring ring;
};

/// A patch whose trees are gone from some date on.
struct Felling {
    Point centre;
    double radius = 0;
    std::int64_t from = kForever;
};

struct Segment {
    std::uint32_t way = 0;
    Point a, b;
};

/// Uniform buckets of things and way segments, for "what is near here".
struct Buckets {
    double cell = 32;
    Point origin;
    int columns = 0, rows = 0;
    std::vector<std::vector<std::uint32_t>> things, segments;
};

/// Everything that exists at the place over the years; a pure function of the scenario. y points
/// north.
struct World {
    Scenario scenario;
    double half_width = 0,
           half_height = 0;     ///< of the ground that is modelled (area, margin and a halo)
    std::vector<Epoch> epochs;  ///< of the line; empty without a line
    std::vector<Thing> things;
    std::vector<Way> ways;
    std::vector<Segment> segments;
    std::vector<Felling> fellings;
    Buckets buckets;
    std::uint32_t seed = 1;
    float tallest = 25;  ///< nothing is higher, metres

    /// The line that stands at a time; empty when there is none.
    const Ring* line_at(Time time) const;
};

/// Throws UsageError when the scenario asks for what cannot be (a length no outline of that area
/// can have, …).
World build_world(const Scenario& scenario);

/// Fills segments and buckets from things and ways; to be called again when those were changed.
void index_world(World& world);

/// Slow fields of the land, a function of place alone.
struct Land {
    float elevation;  ///< m
    float forest;     ///< > 0: forest
    float farm;       ///< > 0: parcels (where there is no forest)
    float moisture;   ///< about -1 … 1
    float patch;      ///< about -1 … 1, brightness of the ground at 50–300 m
};
Land land_at(const World& world, double x, double y);

}  // namespace fenceline::simulate
