#include <tbb/enumerable_thread_specific.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>

#include "core/parallel.h"
#include "core/plane_memory.h"
#include "core/projection.h"
#include "simulate/simulate.h"
#include "simulate/sky.h"

namespace fenceline::simulate {
namespace {

constexpr double kPi = std::numbers::pi;
constexpr int kSuper = 2;        ///< work samples per pixel and direction
constexpr int kKnot = 16;        ///< work samples between exact positions
constexpr double kLandCell = 8;  ///< metres between samples of the slow land fields

float smooth(float low, float high, float x) {
    const float t = std::clamp((x - low) / (high - low), 0.0F, 1.0F);
    return t * t * (3 - 2 * t);
}
Spectrum blend(const Spectrum& a, const Spectrum& b, float t) {
    Spectrum out;
    for (std::size_t k = 0; k < 4; ++k) out[k] = a[k] + t * (b[k] - a[k]);
    return out;
}

/// What a sensor's bands see of a spectrum: all four or the first three as they are, one band the
/// weighted mean. Everything that is painted is linear in it, so that one band is painted as one.
template <std::size_t N>
using Colour = std::array<float, N>;
template <std::size_t N>
constexpr Colour<N> seen(const Spectrum& s) {
    if constexpr (N == 1) {
        return {0.18F * s[0] + 0.30F * s[1] + 0.32F * s[2] + 0.20F * s[3]};
    } else {
        Colour<N> out{};
        for (std::size_t k = 0; k < N; ++k) out[k] = s[k];
        return out;
    }
}
template <std::size_t N>
Colour<N> mixed(const Colour<N>& a, const Colour<N>& b, float t) {
    Colour<N> out;
    for (std::size_t k = 0; k < N; ++k) out[k] = a[k] + t * (b[k] - a[k]);
    return out;
}
/// e to the x, relative error under 3e-4 where |x| < 3 (a tone: |x| < 1, 1e-6).
float tone_of(float x) {
    const float q = 0.25F * std::clamp(x, -3.0F, 3.0F);
    const float e = 1 + q * (1 + q * (0.5F + q * (1.0F / 6 + q * (1.0F / 24 + q * (1.0F / 120)))));
    return (e * e) * (e * e);
}

/// The plants' year at 40° north-east Asia (leaf-out in May, harvest September–October).
struct Season {
    float grass = 0;   ///< greenness 0–1
    float leaves = 0;  ///< deciduous leaf area 0–1
    float autumn = 0;  ///< leaf colour
    double day = 0;
    int year = 0;
};
Season season_of(Time time) {
    Season s;
    s.day = day_of_year(time);
    s.year = civil_from_time(time).year;
    const auto day = static_cast<float>(s.day);
    s.grass = smooth(108, 150, day) * (1 - 0.92F * smooth(248, 305, day));
    s.leaves = smooth(120, 148, day) * (1 - smooth(280, 312, day));
    s.autumn = smooth(262, 288, day);
    return s;
}

/// Crop cover and colour of a field parcel on a day.
struct Crop {
    float cover = 0;
    Spectrum colour{}, soil{};
    float streak = 0.1F;
};
Crop crop_of(std::uint32_t parcel, const Season& season, float moisture, float wetness) {
    const std::uint32_t year = mix(parcel + static_cast<std::uint32_t>(season.year) * 0x9e3779b1U);
    const auto day = static_cast<float>(season.day) + 14 * (unit(mix(year + 1)) - 0.5F);
    const float kind = unit(mix(parcel + 77)) + 0.4F * moisture;
    Crop crop;
    const float tone = 0.78F + 0.5F * unit(mix(year + 2));
    const float damp =
        1 - 0.4F * std::clamp(wetness + 0.2F * moisture + 0.3F * (unit(mix(year + 3)) - 0.5F), 0.0F,
                              1.0F);
    for (std::size_t k = 0; k < 4; ++k) {
        constexpr Spectrum kSoil{0.088F, 0.122F, 0.160F, 0.225F};
        crop.soil[k] = kSoil[k] * tone * damp;
    }
    crop.streak = 0.06F + 0.14F * unit(mix(year + 4));
    if (kind > 1.02F) {  // rice: water in May and June, green, golden, stubble
        crop.cover = smooth(165, 205, day) * (1 - 0.75F * smooth(268, 284, day));
        crop.colour = blend({0.030F, 0.068F, 0.034F, 0.40F}, {0.062F, 0.118F, 0.135F, 0.32F},
                            smooth(235, 262, day));
        const float water = smooth(130, 142, day) * (1 - smooth(180, 205, day));
        crop.soil = blend(crop.soil, {0.060F, 0.068F, 0.062F, 0.045F}, 0.8F * water);
        crop.streak *= 0.4F;
    } else if (kind > 0.45F) {  // maize, beans
        crop.cover = 0.93F * smooth(150, 200, day) * (1 - 0.8F * smooth(250, 276, day));
        crop.colour = blend({0.028F, 0.064F, 0.036F, 0.41F}, {0.07F, 0.105F, 0.125F, 0.28F},
                            smooth(225, 262, day));
    } else if (kind > 0.2F) {  // vegetables, two crops a year
        crop.cover = 0.7F * smooth(125, 150, day) * (1 - smooth(185, 195, day)) +
                     0.8F * smooth(215, 240, day) * (1 - smooth(290, 310, day));
        crop.colour = {0.034F, 0.075F, 0.042F, 0.38F};
    } else {  // fallow: weeds
        crop.cover = 0.35F + 0.55F * season.grass;
        crop.colour =
            blend({0.082F, 0.112F, 0.142F, 0.22F}, {0.042F, 0.078F, 0.056F, 0.33F}, season.grass);
        crop.streak *= 0.3F;
    }
    crop.cover *= 0.75F + 0.25F * unit(mix(year + 5));
    return crop;
}

/// A parcel of the field pattern: which one, how far its border is, along which way it is worked.
struct Parcel {
    std::uint32_t id = 0;
    float border_m = 0;
    float u = 0, v = 0;  ///< metres along and across the rows
};
/// What parcels near a place share: kept from one sample to the next, since most have the same.
struct ParcelRegions {
    static constexpr float kSize = 330;
    std::uint32_t seed = 0;
    std::int32_t i = 0, j = 0;  ///< the cell whose neighbourhood is known
    bool known = false;
    std::array<std::uint32_t, 9> id{};
    std::array<float, 9> x{}, y{};
    std::uint32_t region = 0;  ///< the one whose lattice is known
    bool region_known = false;
    float cosine = 1, sine = 0, wide = 1, deep = 1;

    void look_around(std::uint32_t of_seed, std::int32_t ci, std::int32_t cj) {
        if (known && seed == of_seed && i == ci && j == cj) return;
        seed = of_seed;
        i = ci;
        j = cj;
        known = true;
        std::size_t n = 0;
        for (std::int32_t b = cj - 1; b <= cj + 1; ++b)
            for (std::int32_t a = ci - 1; a <= ci + 1; ++a, ++n) {
                id[n] = hash(seed, a, b);
                x[n] = (static_cast<float>(a) + unit(id[n])) * kSize;
                y[n] = (static_cast<float>(b) + unit(mix(id[n] + 1))) * kSize;
            }
    }
    void enter(std::uint32_t of_region) {
        if (region_known && region == of_region) return;
        region = of_region;
        region_known = true;
        const float angle = 6.2831853F * unit(mix(region + 2));
        cosine = std::cos(angle);
        sine = std::sin(angle);
        wide = 42 + 55 * unit(mix(region + 3));
        deep = 22 + 38 * unit(mix(region + 4));
    }
};
Parcel parcel_at(std::uint32_t seed, float x, float y, ParcelRegions& regions) {
    // Regions of one orientation (jittered Voronoi cells of about 330 m), each cut into columns and
    // those into plots.
    regions.look_around(seed, static_cast<std::int32_t>(std::floor(x / ParcelRegions::kSize)),
                        static_cast<std::int32_t>(std::floor(y / ParcelRegions::kSize)));
    float best = 1e12F, second = 1e12F;
    std::uint32_t region = 0;
    for (std::size_t n = 0; n < 9; ++n) {
        const float px = regions.x[n] - x, py = regions.y[n] - y;
        const float d = px * px + py * py;
        if (d < best) {
            second = best;
            best = d;
            region = regions.id[n];
        } else if (d < second) {
            second = d;
        }
    }
    regions.enter(region);
    const float c = regions.cosine, s = regions.sine;
    const float u = c * x + s * y, v = -s * x + c * y;
    const float wide = regions.wide, deep = regions.deep;
    // Jittered 1-D cells: border k lies at (k + jitter) pitch.
    const auto cell = [](std::uint32_t h, float at, float pitch, std::int32_t& index, float& edge) {
        const float t = at / pitch;
        auto k = static_cast<std::int32_t>(std::floor(t));
        const auto border = [&](std::int32_t n) {
            return (static_cast<float>(n) + 0.62F * (unit(hash(h, n, 9)) - 0.5F)) * pitch;
        };
        if (at < border(k)) --k;
        if (at >= border(k + 1)) ++k;
        index = k;
        edge = std::min(at - border(k), border(k + 1) - at);
    };
    std::int32_t column = 0, row = 0;
    float edge_u = 0, edge_v = 0;
    cell(region + 5, u, wide, column, edge_u);
    cell(hash(region + 6, column, 1), v, deep, row, edge_v);
    Parcel out;
    out.id = hash(region + 7, column, row);
    out.border_m = std::min({edge_u, edge_v, 0.5F * (std::sqrt(second) - std::sqrt(best))});
    const bool turned = unit(mix(out.id + 8)) < 0.3F;
    out.u = turned ? v : u;
    out.v = turned ? u : v;
    return out;
}

template <class T>
using Values = std::vector<T, PlaneAllocator<T>>;

/// The work raster of one tile: two samples per pixel and direction, with a halo.
struct Work {
    int x0 = 0, y0 = 0, width = 0,
        height = 0;                  ///< in work samples of the image; may start below zero
    Values<float> world_x, world_y;  ///< local metres of each sample's ground
    Values<float> band[4];           ///< reflectance of the upper surface, in the bands of Colour
    Values<float> top;               ///< height of things above the ground, metres
    Values<float> tilt;              ///< Lambert factor against flat ground
    Values<float> ground;            ///< terrain height
    Values<std::uint8_t> lit;        ///< 1: the sun reaches it
    Values<std::uint8_t> kind;       ///< 0 ground, 1 crown, 2 built, 3 water
    int frame = 0;                   ///< samples around the rim whose colour cannot come into view
    bool shown(int x, int y) const {
        return x >= frame && y >= frame && x < width - frame && y < height - frame;
    }
    std::size_t at(int x, int y) const {
        return static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
               static_cast<std::size_t>(x);
    }
    std::size_t size() const {
        return static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
    }
    /// Covers a share of a sample with a colour.
    template <std::size_t N>
    void cover(std::size_t k, float share, const Colour<N>& colour, float tone) {
        for (std::size_t b = 0; b < N; ++b) band[b][k] += share * (colour[b] * tone - band[b][k]);
    }
    Values<std::uint32_t> hit;    ///< what is seen at a sample
    Values<std::uint8_t> facade;  ///< 1: it is seen from the side
    Values<float> rows;           ///< radiance, blurred along x
    /// Bare flat ground in full sun. The memory stays from tile to tile: touching it for the first
    /// time is a third of the time otherwise.
    void clear(std::size_t bands) {
        const std::size_t n = size();
        world_x.resize(n);
        world_y.resize(n);
        for (std::size_t b = 0; b < bands; ++b)
            band[b].resize(n);  // painted wherever it can come into view
        top.assign(n, 0);
        tilt.assign(n, 1);
        ground.resize(n);
        lit.resize(n);
        kind.assign(n, 0);
    }
};

struct Context {
    const World& world;
    const SceneFrame& frame;
    const ScenarioScene& scene;
    const NoiseTexture& texture;
    Season season;
    Sky sky;
    Time time;
    double step;      ///< metres per work sample
    Point sun_xy;     ///< unit vector towards the sun, map axes (x east, y north)
    double sun_tan;   ///< tan of its elevation
    Point view_xy;    ///< unit vector towards the satellite
    double view_tan;  ///< tan of the off-nadir angle
    Point sun3_xy;    ///< horizontal part of the sun vector over its vertical part
};

/// Local ground position of a position in the image (map metres of its georeferencing).
Point local_from_image(const Context& c, Point image_map) {
    Point truth = image_map;
    for (int i = 0; i < 4; ++i) truth = image_map - c.frame.displacement(truth);
    return truth - c.frame.displacement.centre_map;
}

void place_samples(const Context& c, Work& w) {
    const Grid& grid = c.frame.grid;
    // Exact at knots that lie at the same samples whatever the tile, linear between.
    const auto knot = [&](int i, int j) {
        const Point px{(i * kKnot + 0.5) / kSuper, (j * kKnot + 0.5) / kSuper};
        return local_from_image(c, grid.map_from_px(px));
    };
    const auto floor_div = [](int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); };
    for (int j = floor_div(w.y0, kKnot); j * kKnot < w.y0 + w.height; ++j)
        for (int i = floor_div(w.x0, kKnot); i * kKnot < w.x0 + w.width; ++i) {
            const Point a = knot(i, j), b = knot(i + 1, j), d = knot(i, j + 1),
                        e = knot(i + 1, j + 1);
            const int x_from = std::max(i * kKnot, w.x0),
                      x_to = std::min((i + 1) * kKnot, w.x0 + w.width);
            for (int y = std::max(j * kKnot, w.y0); y < std::min((j + 1) * kKnot, w.y0 + w.height);
                 ++y) {
                const double v = static_cast<double>(y - j * kKnot) / kKnot;
                const Point left = (1 - v) * a + v * d, right = (1 - v) * b + v * e;
                const Point step = (1.0 / kKnot) * (right - left);
                float* out_x = &w.world_x[w.at(x_from - w.x0, y - w.y0)];
                float* out_y = &w.world_y[w.at(x_from - w.x0, y - w.y0)];
                for (int x = x_from; x < x_to; ++x) {
                    const auto n = static_cast<double>(x - i * kKnot);
                    out_x[x - x_from] = static_cast<float>(left.x + n * step.x);
                    out_y[x - x_from] = static_cast<float>(left.y + n * step.y);
                }
            }
        }
}

/// The slow fields around a tile, sampled on a lattice of world positions and interpolated.
struct LandLattice {
    using Node = std::array<float, 8>;  ///< the fields of Land, slope (Lambert factor), two unused
    int i0 = 0, j0 = 0, columns = 0, rows = 0;
    std::vector<Node> nodes;
    LandLattice(const Context& c, double x_low, double y_low, double x_high, double y_high) {
        i0 = static_cast<int>(std::floor(x_low / kLandCell)) - 1;
        j0 = static_cast<int>(std::floor(y_low / kLandCell)) - 1;
        columns = static_cast<int>(std::floor(x_high / kLandCell)) + 3 - i0;
        rows = static_cast<int>(std::floor(y_high / kLandCell)) + 3 - j0;
        nodes.resize(static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows));
        for (int j = 0; j < rows; ++j)
            for (int i = 0; i < columns; ++i) {
                const Land land = land_at(c.world, (i0 + i) * kLandCell, (j0 + j) * kLandCell);
                nodes[index(i, j)] = {land.elevation, land.forest, land.farm, land.moisture,
                                      land.patch,     1,           0,         0};
            }
        for (int j = 0; j < rows; ++j)
            for (int i = 0; i < columns; ++i) {
                const int il = std::max(i - 1, 0), ih = std::min(i + 1, columns - 1),
                          jl = std::max(j - 1, 0), jh = std::min(j + 1, rows - 1);
                const double gx =
                    static_cast<double>(nodes[index(ih, j)][0] - nodes[index(il, j)][0]) /
                    (kLandCell * std::max(ih - il, 1));
                const double gy =
                    static_cast<double>(nodes[index(i, jh)][0] - nodes[index(i, jl)][0]) /
                    (kLandCell * std::max(jh - jl, 1));
                const double lambert =
                    (1 - gx * c.sun3_xy.x - gy * c.sun3_xy.y) / std::sqrt(1 + gx * gx + gy * gy);
                nodes[index(i, j)][5] = static_cast<float>(std::clamp(lambert, 0.0, 2.5));
            }
    }
    std::size_t index(int i, int j) const {
        return static_cast<std::size_t>(j) * static_cast<std::size_t>(columns) +
               static_cast<std::size_t>(i);
    }
    struct Sample {
        Land land;
        float slope;
    };
    Sample operator()(float x, float y) const {
        const Node n = node_at(x, y);
        return {{n[0], n[1], n[2], n[3], n[4]}, n[5]};
    }
    Node node_at(float x, float y) const {
        // Cell and fraction come from the place alone: the same numbers in every tile.
        constexpr auto kInverse = static_cast<float>(1 / kLandCell);
        const int cx = floor_of(x * kInverse), cy = floor_of(y * kInverse);
        const float u = x * kInverse - static_cast<float>(cx),
                    v = y * kInverse - static_cast<float>(cy);
        const int i = std::clamp(cx - i0, 0, columns - 2), j = std::clamp(cy - j0, 0, rows - 2);
        const float wa = (1 - u) * (1 - v), wb = u * (1 - v), wc = (1 - u) * v, wd = u * v;
        const Node &a = nodes[index(i, j)], &b = nodes[index(i + 1, j)],
                   &d = nodes[index(i, j + 1)], &e = nodes[index(i + 1, j + 1)];
        Node n;
        for (std::size_t k = 0; k < n.size(); ++k)
            n[k] = wa * a[k] + wb * b[k] + wc * d[k] + wd * e[k];
        return n;
    }
};

// The texture repeats every 205 m: both looks are turned, each its own way, so that no row or
// column of an image meets the same grain again and again.
std::array<float, 4> fine_grain_at(const NoiseTexture& texture, float x, float y) {
    return texture(2.28F * x - 1.03F * y + 11.3F, 1.03F * x + 2.28F * y - 7.1F);
}
std::array<float, 4> broad_grain_at(const NoiseTexture& texture, float x, float y) {
    return texture((0.83F * x - 0.56F * y) * 0.41F, (0.56F * x + 0.83F * y) * 0.41F);
}
/// Fine grain of the ground at a place: [0] 0.8–100 m, [1] 1–100 m rough, [2] finest, [3] 5–600 m.
std::array<float, 4> grain_at(const NoiseTexture& texture, float x, float y) {
    const auto fine = fine_grain_at(texture, x, y);
    const auto broad = broad_grain_at(texture, x, y);
    return {fine[0], 0.6F * fine[1] + 0.8F * broad[1], fine[2], broad[0]};
}

template <std::size_t N>
void paint_ground(const Context& c, const LandLattice& lattice, Work& w) {
    const std::uint32_t seed = c.world.seed;
    const Season& season = c.season;
    const float wet = static_cast<float>(c.scene.soil_moisture);
    // More contrast of the grain goes with yet more of what is 10–100 m wide.
    const auto texture = static_cast<float>(c.world.scenario.land.texture);
    const float broad = texture * texture * texture * texture;
    std::uint32_t known_parcel = 0;
    Crop crop = crop_of(0, season, 0, wet);
    Colour<N> crop_soil = seen<N>(crop.soil), crop_colour = seen<N>(crop.colour);
    const float damp = 1 - 0.35F * wet;
    const Colour<N> bare_ground =
        seen<N>({0.100F * damp, 0.138F * damp, 0.178F * damp, 0.25F * damp});
    ParcelRegions regions;
    // What is slow (the land, grain of metres) is looked up at every fourth sample of the image and
    // runs straight between.
    constexpr int kGroup = 4;
    const int first_group = -(((w.x0 % kGroup) + kGroup) % kGroup);
    for (int y = 0; y < w.height; ++y) {
        const bool row_shown = y >= w.frame && y < w.height - w.frame;
        const float *row_x = &w.world_x[w.at(0, y)], *row_y = &w.world_y[w.at(0, y)];
        const auto slow_at = [&](int x) {
            const int inside = std::clamp(x, 0, w.width - 2);
            const auto beyond = static_cast<float>(x - inside);  // a straight line at the rim
            const float px = row_x[inside] + beyond * (row_x[inside + 1] - row_x[inside]),
                        py = row_y[inside] + beyond * (row_y[inside + 1] - row_y[inside]);
            LandLattice::Node n = lattice.node_at(px, py);
            if (row_shown) {
                const auto grain = broad_grain_at(c.texture, px, py);
                n[6] = grain[0];
                n[7] = grain[1];
            }
            return n;
        };
        LandLattice::Node start = slow_at(first_group), slow = start;
        for (int group = first_group; group < w.width; group += kGroup) {
            const LandLattice::Node end = slow_at(group + kGroup);
            for (int x = std::max(group, 0); x < std::min(group + kGroup, w.width); ++x) {
                const std::size_t k = w.at(x, y);
                const float part = static_cast<float>(x - group) * (1.0F / kGroup);
                for (std::size_t n = 0; n < slow.size(); ++n)
                    slow[n] = start[n] + part * (end[n] - start[n]);
                const Land land{slow[0], slow[1], slow[2], slow[3], slow[4]};
                w.ground[k] = land.elevation;
                // Out in the halo only heights matter: what throws a shadow into the tile.
                if (!row_shown || !w.shown(x, y)) continue;
                const float wx = row_x[x], wy = row_y[x];
                const auto fine = fine_grain_at(c.texture, wx, wy);
                const std::array<float, 4> grain{fine[0], 0.6F * fine[1] + 0.8F * slow[7], fine[2],
                                                 slow[6]};
                Colour<N> colour;
                float rough;
                const float wood = land.forest + 0.05F * grain[1] + 0.03F * grain[3];
                const float green = std::clamp(season.grass * (0.9F + 0.45F * land.moisture +
                                                               0.16F * grain[3] + 0.10F * grain[1]),
                                               0.0F, 1.0F);
                bool parcel_here = false;
                if (wood > 0) {
                    colour = mixed(seen<N>({0.050F, 0.068F, 0.084F, 0.15F}),
                                   seen<N>({0.026F, 0.047F, 0.032F, 0.27F}), green);
                    rough = 0.24F;
                } else if (land.farm + 0.06F * grain[3] > 0) {
                    const Parcel parcel =
                        parcel_at(seed + 20, wx + 1.2F * grain[3], wy + 1.2F * grain[1], regions);
                    if (parcel.id != known_parcel) {
                        known_parcel = parcel.id;
                        crop = crop_of(parcel.id, season, unit(mix(parcel.id + 5)) - 0.5F, wet);
                        crop_soil = seen<N>(crop.soil);
                        crop_colour = seen<N>(crop.colour);
                    }
                    if (parcel.border_m < 0.55F + 0.25F * grain[1]) {
                        colour = mixed(seen<N>({0.080F, 0.108F, 0.134F, 0.21F}),
                                       seen<N>({0.040F, 0.072F, 0.047F, 0.33F}), green);
                        rough = 0.20F;
                    } else {
                        parcel_here = true;
                        // Worked in rows: grain drawn out along them, at about 1.5 and 8 m across.
                        const auto rows = c.texture(parcel.u * 0.09F, parcel.v * 1.35F);
                        const auto strips = c.texture(parcel.v * 0.22F + 100, parcel.u * 0.012F);
                        const float cover =
                            std::clamp(crop.cover * (1 + 0.16F * grain[1] + 0.10F * strips[0]) +
                                           0.06F * grain[3],
                                       0.0F, 1.0F);
                        colour = mixed(crop_soil, crop_colour, cover);
                        const float streak =
                            std::max(0.4F, 1 + crop.streak * (0.95F * rows[0] + 0.45F * rows[2] +
                                                              0.6F * strips[1]));
                        for (float& v : colour) v *= streak;
                        rough = 0.115F;
                    }
                } else {
                    // Grass and scrub, with bare patches where it is dry.
                    colour = mixed(seen<N>({0.078F, 0.108F, 0.138F, 0.215F}),
                                   seen<N>({0.040F, 0.075F, 0.048F, 0.34F}), green);
                    const float bare = smooth(
                        0.55F, 1.5F, grain[1] * 0.6F + grain[3] * 0.45F - land.moisture * 0.7F);
                    colour = mixed(colour, bare_ground, 0.75F * bare);
                    rough = 0.21F;
                }
                // Bright and dark ground of tens of metres, but no glaring and no black one.
                const float wide =
                    broad * ((parcel_here ? 0.05F : 0.11F) * land.patch + 0.06F * grain[3]);
                const float tone =
                    tone_of(1.24F * rough * texture *
                                (0.55F * grain[1] + 0.62F * grain[2] + 0.55F * grain[0]) +
                            wide / (1 + 0.9F * std::abs(wide)));
                for (std::size_t b = 0; b < N; ++b) w.band[b][k] = colour[b] * tone;
                w.tilt[k] = slow[5];
            }
            start = end;
        }
    }
}

/// Visits the samples of a world rectangle: those whose ground lies within reach of a centre.
template <class Body>
void for_samples_near(const Context& c, Work& w, Point low, Point high, const Body& body) {
    // The warp is nearly a shift: find the samples by the tile's mean shift, with a margin for the
    // rest.
    const Grid& grid = c.frame.grid;
    const auto sample_of = [&](Point local) {
        const Point truth = local + c.frame.displacement.centre_map;
        const Point px = grid.px_from_map(truth + c.frame.displacement(truth));
        return Point{px.x * kSuper - w.x0, px.y * kSuper - w.y0};
    };
    const Point a = sample_of({low.x, high.y}), b = sample_of({high.x, low.y});
    const int xa = std::max(0, static_cast<int>(std::floor(std::min(a.x, b.x))) - 2),
              xb = std::min(w.width - 1, static_cast<int>(std::ceil(std::max(a.x, b.x))) + 2);
    const int ya = std::max(0, static_cast<int>(std::floor(std::min(a.y, b.y))) - 2),
              yb = std::min(w.height - 1, static_cast<int>(std::ceil(std::max(a.y, b.y))) + 2);
    for (int y = ya; y <= yb; ++y)
        for (int x = xa; x <= xb; ++x) body(w.at(x, y));
}

template <class List>
std::vector<std::uint32_t> nearby(const Buckets& buckets, const List& lists, double x_low,
                                  double y_low, double x_high, double y_high) {
    std::vector<std::uint32_t> ids;
    const auto cell = [&](double v, double o, int n) {
        return std::clamp(static_cast<int>(std::floor((v - o) / buckets.cell)), 0, n - 1);
    };
    for (int j = cell(y_low, buckets.origin.y, buckets.rows);
         j <= cell(y_high, buckets.origin.y, buckets.rows); ++j)
        for (int i = cell(x_low, buckets.origin.x, buckets.columns);
             i <= cell(x_high, buckets.origin.x, buckets.columns); ++i) {
            const auto& list =
                lists[static_cast<std::size_t>(j) * static_cast<std::size_t>(buckets.columns) +
                      static_cast<std::size_t>(i)];
            ids.insert(ids.end(), list.begin(), list.end());
        }
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    return ids;
}

template <std::size_t N>
void paint_ways(const Context& c, const std::vector<std::uint32_t>& segments, Work& w) {
    // Low kinds first, so that a wall stands on its strip.
    std::vector<std::uint32_t> order = segments;
    std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
        return c.world.ways[c.world.segments[a].way].kind <
               c.world.ways[c.world.segments[b].way].kind;
    });
    const auto step = static_cast<float>(c.step);
    for (const std::uint32_t id : order) {
        const Segment& segment = c.world.segments[id];
        const Way& way = c.world.ways[segment.way];
        if (!way.life.at(c.time)) continue;
        // A line thinner than a sample still covers part of it.
        const bool raised = way.kind == WayKind::wall || way.kind == WayKind::fence;
        const double reach = way.half_width + 1.0;
        const Point d = segment.b - segment.a;
        const double length2 = std::max(dot(d, d), 1e-9);
        const auto half = static_cast<float>(way.half_width);
        const Colour<N> colour = seen<N>(way.colour);
        for_samples_near(
            c, w,
            {std::min(segment.a.x, segment.b.x) - reach,
             std::min(segment.a.y, segment.b.y) - reach},
            {std::max(segment.a.x, segment.b.x) + reach,
             std::max(segment.a.y, segment.b.y) + reach},
            [&](std::size_t k) {
                const Point p{static_cast<double>(w.world_x[k]), static_cast<double>(w.world_y[k])};
                const double t = std::clamp(dot(p - segment.a, d) / length2, 0.0, 1.0);
                const auto off = static_cast<float>(distance(p, segment.a + t * d));
                if (off > half + 1.0F) return;
                if (raised) {
                    const float cover = std::clamp((half - off) / step + 0.5F, 0.0F, 1.0F);
                    if (cover <= 0) return;
                    const float patch = c.texture(w.world_x[k] * 0.8F, w.world_y[k] * 0.8F)[0];
                    if (way.kind == WayKind::fence) {
                        // Posts every 3 m, wire between: a faint, porous line.
                        const float along = static_cast<float>(t * std::sqrt(length2));
                        const bool pole = std::fmod(along + 300, 3.0F) < 0.35F;
                        const float part = pole ? cover * 0.9F : cover * 0.3F;
                        w.cover(k, part, colour, 1);
                        if (pole || unit(hash(way.salt, static_cast<std::int32_t>(along / step),
                                              3)) < 0.35F)
                            w.top[k] = std::max(w.top[k], way.height);
                        return;
                    }
                    w.cover(k, cover, colour, tone_of(0.16F * patch));
                    if (cover > 0.34F) {
                        w.top[k] = way.height;
                        w.tilt[k] = 1;
                        w.kind[k] = 2;
                    }
                    return;
                }
                const auto grain = grain_at(
                    c.texture, w.world_x[k] + static_cast<float>(way.salt & 255U), w.world_y[k]);
                const float edge =
                    half * (1 + 0.10F * grain[3]) + 0.25F * grain[1] * (0.4F + way.wear);
                float cover = smooth(-0.35F, 0.35F, edge - off);
                if (way.wear > 0) {
                    // Grass takes parts back.
                    const float worn = 0.9F * grain[3] + 0.55F * grain[1];
                    cover *= 1 - way.wear *
                                     smooth(0.9F - 1.35F * way.wear, 1.9F - 1.35F * way.wear, worn);
                }
                if (cover <= 0) return;
                float tone = tone_of(0.09F * grain[1] + 0.08F * grain[2] + 0.06F * grain[3]);
                if (way.kind == WayKind::road || way.kind == WayKind::track) {
                    // Wheels polish two ruts, the crown between stays darker.
                    const float rut = std::abs(off - 0.45F * half);
                    tone *= 1 + 0.07F * (1 - smooth(0.0F, 0.55F, rut)) -
                            0.07F * smooth(0.75F * half, half, off);
                }
                const float damp = 1 - 0.28F * static_cast<float>(c.scene.soil_moisture);
                w.cover(k, cover, colour, tone * damp);
            });
    }
}

template <std::size_t N>
void paint_things(const Context& c, const std::vector<std::uint32_t>& things, Work& w) {
    const auto step = static_cast<float>(c.step);
    const auto texture = static_cast<float>(c.world.scenario.land.texture);
    for (int pass = 0; pass < 2; ++pass)  // what lies flat first
        for (const std::uint32_t id : things) {
            const Thing& thing = c.world.things[id];
            if (!thing.life.at(c.time)) continue;
            const bool flat =
                thing.kind == Kind::yard || thing.kind == Kind::plot || thing.kind == Kind::pond;
            if (flat != (pass == 0)) continue;
            const Point u{std::cos(thing.angle), std::sin(thing.angle)}, v{-u.y, u.x};
            const double reach = 0.5 * std::hypot(thing.length, thing.width) + 2;
            const auto half_u = static_cast<float>(0.5 * thing.length),
                       half_v = static_cast<float>(0.5 * thing.width);
            const Colour<N> colour =
                seen<N>(c.time.microseconds >= thing.repainted ? thing.repaint : thing.colour);
            const bool ellipse = thing.kind == Kind::pond || thing.kind == Kind::haystack;
            const float rise = (thing.ridge - thing.eaves) / std::max(half_v, 0.1F);
            // Lambert factor of the roof's two slopes (normals lean to +v and -v).
            const auto facet = [&](Point down, float slope) {
                const double dot_sun =
                    static_cast<double>(slope) * (down.x * c.sun3_xy.x + down.y * c.sun3_xy.y) + 1;
                return static_cast<float>(std::clamp(
                    dot_sun / std::sqrt(1 + static_cast<double>(slope * slope)), 0.05, 2.2));
            };
            const float lambert[4] = {facet(v, rise), facet(-1.0 * v, rise), facet(u, rise),
                                      facet(-1.0 * u, rise)};
            const Season& season = c.season;
            for_samples_near(
                c, w, thing.centre - Point{reach, reach}, thing.centre + Point{reach, reach},
                [&](std::size_t k) {
                    const Point p = Point{static_cast<double>(w.world_x[k]),
                                          static_cast<double>(w.world_y[k])} -
                                    thing.centre;
                    const auto a = static_cast<float>(dot(p, u)), b = static_cast<float>(dot(p, v));
                    if (flat) {
                        const auto grain = grain_at(c.texture, w.world_x[k], w.world_y[k]);
                        float inside = std::min(half_u - std::abs(a), half_v - std::abs(b));
                        if (ellipse) inside = (1 - std::hypot(a / half_u, b / half_v)) * half_v;
                        if (thing.kind == Kind::pond) {
                            const float cover = smooth(-0.5F, 0.5F, inside + 0.8F * grain[3]);
                            if (cover <= 0) return;
                            constexpr Colour<N> kWater = seen<N>({0.050F, 0.055F, 0.040F, 0.022F});
                            w.cover(k, cover, kWater, 1 + 0.05F * grain[1]);
                            if (cover > 0.5F) {
                                w.tilt[k] = 1;
                                w.kind[k] = 3;
                            }
                            return;
                        }
                        if (thing.kind == Kind::plot) {
                            const float cover = smooth(-0.3F, 0.3F, inside + 0.2F * grain[1]);
                            if (cover <= 0) return;
                            const Crop garden = crop_of(thing.salt, season, -0.35F,
                                                        static_cast<float>(c.scene.soil_moisture));
                            const Colour<N> beds =
                                mixed(seen<N>(garden.soil), seen<N>(garden.colour),
                                      std::clamp(garden.cover * (1 + 0.4F * grain[1]), 0.0F, 1.0F));
                            const float tone = tone_of(0.10F * grain[1] + 0.10F * grain[2]);
                            w.cover(k, cover, beds, tone);
                            return;
                        }
                        const float scale = std::min(
                            2.2F,
                            0.16F * half_v);  // trodden ground ends raggedly, grass stands in it
                        float cover = smooth(
                            -1.4F, 1.4F,
                            inside - 0.8F * scale + scale * (0.95F * grain[3] + 0.75F * grain[1]));
                        cover *=
                            0.93F - 0.5F * smooth(0.5F, 1.7F, -0.9F * grain[3] + 0.5F * grain[1]);
                        if (cover <= 0.02F) return;
                        const float tone =
                            tone_of(0.12F * grain[1] + 0.12F * grain[2] + 0.09F * grain[3]) *
                            (1 - 0.28F * static_cast<float>(c.scene.soil_moisture));
                        w.cover(k, cover, seen<N>(thing.colour), tone);
                        return;
                    }
                    float inside = std::min(half_u - std::abs(a), half_v - std::abs(b));
                    if (ellipse) inside = (1 - std::hypot(a / half_u, b / half_v)) * half_v;
                    const float cover = std::clamp(inside / step + 0.5F, 0.0F, 1.0F);
                    if (cover <= 0.0F) return;
                    if (thing.kind == Kind::pylon &&
                        unit(hash(thing.salt,
                                  static_cast<std::int32_t>(std::floor(w.world_x[k] * 4)),
                                  static_cast<std::int32_t>(std::floor(w.world_y[k] * 4)))) < 0.5F)
                        return;
                    float height = thing.eaves, light = 1;
                    if (thing.roof == Roof::gable) {
                        height = thing.eaves + rise * (half_v - std::abs(b));
                        light = b > 0 ? lambert[0] : lambert[1];
                    } else if (thing.roof == Roof::pyramid) {
                        const float q = std::max(std::abs(a) / half_u, std::abs(b) / half_v);
                        height = thing.eaves + (thing.ridge - thing.eaves) * (1 - q);
                        light = std::abs(b) / half_v > std::abs(a) / half_u
                                    ? (b > 0 ? lambert[0] : lambert[1])
                                    : (a > 0 ? lambert[2] : lambert[3]);
                    } else if (thing.kind == Kind::haystack) {
                        const float q = std::min(1.0F, std::hypot(a / half_u, b / half_v));
                        height = thing.eaves * std::sqrt(1 - 0.9F * q * q);
                        light = static_cast<float>(
                            std::clamp(1 + 0.9 * (p.x * c.sun3_xy.x + p.y * c.sun3_xy.y) /
                                               std::max(thing.length, 0.1),
                                       0.1, 1.8));
                    }
                    // Sheets, patches and streaks down the slope.
                    const auto salt = static_cast<float>(thing.salt & 1023U);
                    const auto wear = c.texture(a * 1.1F + salt, b * 0.35F + salt * 0.7F);
                    const float sheet =
                        unit(hash(thing.salt, static_cast<std::int32_t>(std::floor(a / 3.1F)),
                                  b > 0 ? 1 : 0)) -
                        0.5F;
                    const float tone = tone_of(texture * (0.12F * wear[0] + 0.07F * wear[1] +
                                                          0.10F * wear[2] + 0.15F * sheet));
                    w.cover(k, cover, colour, tone);
                    if (cover > 0.5F) {
                        w.top[k] = height;
                        w.tilt[k] = light;
                        w.kind[k] = 2;
                    }
                });
        }
}

/// Nothing grows on roads, roofs, strips and yards; trees stay clear of them by the crown's radius.
bool tree_may_stand(const Context& c, Point p, double crown) {
    const World& world = c.world;
    const Buckets& buckets = world.buckets;
    const auto i = static_cast<int>(std::floor((p.x - buckets.origin.x) / buckets.cell)),
               j = static_cast<int>(std::floor((p.y - buckets.origin.y) / buckets.cell));
    if (i < 0 || j < 0 || i >= buckets.columns || j >= buckets.rows) return false;
    const std::size_t cell =
        static_cast<std::size_t>(j) * static_cast<std::size_t>(buckets.columns) +
        static_cast<std::size_t>(i);
    for (const std::uint32_t id : buckets.segments[cell]) {
        const Segment& segment = world.segments[id];
        const Way& way = world.ways[segment.way];
        if (!way.life.at(c.time) || way.kind == WayKind::path) continue;
        const Point d = segment.b - segment.a;
        const double t = std::clamp(dot(p - segment.a, d) / std::max(dot(d, d), 1e-9), 0.0, 1.0);
        if (distance(p, segment.a + t * d) < way.half_width + 0.45 * crown) return false;
    }
    for (const std::uint32_t id : buckets.things[cell]) {
        const Thing& thing = world.things[id];
        if (!thing.life.at(c.time) || thing.kind == Kind::vehicle || thing.kind == Kind::haystack)
            continue;
        const Point u{std::cos(thing.angle), std::sin(thing.angle)}, v{-u.y, u.x},
            q = p - thing.centre;
        const double room = thing.kind == Kind::yard ? -1.0 : 0.75 * crown;
        if (std::abs(dot(q, u)) < 0.5 * thing.length + room &&
            std::abs(dot(q, v)) < 0.5 * thing.width + room)
            return false;
    }
    for (const Felling& felling : world.fellings)
        if (c.time.microseconds >= felling.from &&
            distance(p, felling.centre) <
                felling.radius * (0.85 + 0.3 * static_cast<double>(
                                                   value_noise(world.seed + 31, p.x / 9, p.y / 9))))
            return false;
    return true;
}

struct Crown {
    float x, y, radius, tall;
    float solid;         ///< share of the light that it stops
    float tone;          ///< against its kind's colour
    float oval, corner;  ///< how far its outline is from a circle: twofold, threefold; 0–0.3
    float cos_turn, sin_turn;
    bool conifer;
    std::uint32_t salt;
};
template <std::size_t N>
void paint_crown(const Context& c, Work& w, const Crown& tree, const Colour<N>& colour) {
    const float longest = tree.radius * (1 + tree.oval + tree.corner);
    const auto reach = static_cast<double>(longest) + 0.3, x = static_cast<double>(tree.x),
               y = static_cast<double>(tree.y);
    // No bough reaches farther than this: most of the square's corners need no look.
    constexpr float kBough = 1.8F;
    const float far = longest * (1 + 0.14F * kBough), far2 = far * far;
    const bool round = tree.oval == 0 && tree.corner == 0;
    const auto shift = static_cast<float>(tree.salt & 255U);
    const float lean = 0.62F / tree.radius;
    const auto sun_x = static_cast<float>(0.75 * c.sun3_xy.x),
               sun_y = static_cast<float>(0.75 * c.sun3_xy.y);
    for_samples_near(c, w, {x - reach, y - reach}, {x + reach, y + reach}, [&](std::size_t k) {
        const float dx = w.world_x[k] - tree.x, dy = w.world_y[k] - tree.y;
        const float d2 = dx * dx + dy * dy;
        if (d2 >= far2 || tree.tall <= w.top[k]) return;
        const auto bump = c.texture(w.world_x[k] * 2.2F + shift, w.world_y[k] * 2.2F);
        float rim = tree.radius * (1 + 0.14F * std::min(bump[0], kBough));
        if (!round && d2 > 0.01F) {
            // cos 2a and cos 3a of the direction a from the crown's own axis
            const float u = tree.cos_turn * dx + tree.sin_turn * dy,
                        v = tree.cos_turn * dy - tree.sin_turn * dx;
            const float inverse = 1 / std::sqrt(d2);
            const float cosine = u * inverse, sine = v * inverse;
            const float twice = cosine * cosine - sine * sine,
                        thrice = cosine * (twice - 2 * sine * sine);
            rim *= 1 + tree.oval * twice + tree.corner * thrice;
        }
        const float q2 = d2 / (rim * rim);
        if (q2 >= 1) return;
        if (tree.solid < 1 && unit(hash(tree.salt, floor_of(w.world_x[k] * 3.1F),
                                        floor_of(w.world_y[k] * 3.1F))) > tree.solid)
            return;
        const float q = std::sqrt(q2);
        const float height = tree.conifer ? tree.tall * (0.35F + 0.65F * (1 - q))
                                          : tree.tall * (0.55F + 0.45F * std::sqrt(1 - q2));
        if (height <= w.top[k]) return;
        w.top[k] = height;
        w.kind[k] = 1;
        // Leaves face all ways: a dome half as steep as its shape, roughened by branches.
        const float light = 1 + lean * (dx * sun_x + dy * sun_y);
        w.tilt[k] = std::clamp(light * (1 + 0.20F * bump[1] + 0.20F * bump[2]), 0.2F, 1.9F);
        const float depth = 0.72F + 0.28F * (1 - q);  // inner shade at the rim
        for (std::size_t b = 0; b < N; ++b) w.band[b][k] = colour[b] * tree.tone * depth;
    });
}

template <std::size_t N>
void paint_trees(const Context& c, const LandLattice& lattice, double x_low, double y_low,
                 double x_high, double y_high, Work& w) {
    constexpr double kCell = 4.3;
    const World& world = c.world;
    const std::uint32_t seed = world.seed + 40;
    ParcelRegions regions;
    for (int j = static_cast<int>(std::floor((y_low - 10) / kCell));
         j <= static_cast<int>(std::floor((y_high + 10) / kCell)); ++j)
        for (int i = static_cast<int>(std::floor((x_low - 10) / kCell));
             i <= static_cast<int>(std::floor((x_high + 10) / kCell)); ++i) {
            const std::uint32_t h = hash(seed, i, j);
            const double x = (i + static_cast<double>(unit(h))) * kCell,
                         y = (j + static_cast<double>(unit(mix(h + 1)))) * kCell;
            const auto fx = static_cast<float>(x), fy = static_cast<float>(y);
            const Land land = lattice(fx, fy).land;
            const auto grain = grain_at(c.texture, fx, fy);
            const float wood = land.forest + 0.05F * grain[1] + 0.03F * grain[3];
            float density;
            bool bush = false;
            if (wood > 0) {
                density =
                    (0.97F - 0.35F * (1 - smooth(0.0F, 0.25F, wood))) *
                    (1 - 0.75F * smooth(0.75F, 1.5F,
                                        grain[3] * 0.8F - 0.5F * grain[1] + 0.5F * land.patch));
            } else if (land.farm + 0.06F * grain[3] > 0) {
                const Parcel parcel = parcel_at(world.seed + 20, fx, fy, regions);
                density = parcel.border_m < 1.6F ? 0.07F : 0.0015F;
                bush = unit(mix(h + 9)) < 0.5F;
            } else {
                density = 0.05F + 0.5F * smooth(-0.35F, 0.0F, wood) +
                          0.10F * smooth(0.3F, 1.2F, grain[3] + land.moisture);
                bush = unit(mix(h + 9)) < 0.72F;
            }
            if (unit(mix(h + 2)) > density * static_cast<float>(world.scenario.land.trees))
                continue;
            const float vigour = (0.62F + 0.76F * unit(mix(h + 3))) * (1 + 0.14F * land.patch);
            const float radius = (bush ? 0.95F : 2.15F) * vigour * (1 + 0.12F * land.moisture);
            if (!tree_may_stand(c, {x, y}, static_cast<double>(radius))) continue;
            const float tall = bush ? 0.8F + 1.4F * unit(mix(h + 4))
                                    : (5.0F + 6.5F * unit(mix(h + 4))) * (0.85F + 0.15F * vigour);
            const bool conifer =
                unit(mix(h + 5)) + 0.35F * value_noise(seed + 3, x / 130, y / 130) < 0.38F;
            const Season& season = c.season;
            // Stands differ in age and site, trees within them less.
            const float stand =
                std::exp(0.20F * land.patch + 0.13F * grain[3] + 0.10F * land.moisture);
            const float tone = (0.72F + 0.56F * unit(mix(h + 6))) * stand;
            Spectrum colour;
            float leaf = 1;
            if (conifer) {
                colour = {0.024F, 0.040F, 0.031F, 0.24F};
            } else {
                const float turn =
                    season.autumn * std::clamp(0.5F + 1.2F * unit(mix(h + 7)), 0.0F, 1.0F);
                colour =
                    blend({0.026F, 0.054F, 0.031F, 0.40F}, {0.040F, 0.075F, 0.098F, 0.30F}, turn);
                leaf = season.leaves * std::clamp(0.6F + 0.8F * unit(mix(h + 8)), 0.0F, 1.0F);
                colour = blend({0.062F, 0.077F, 0.090F, 0.16F}, colour, leaf);
            }
            // Without leaves a crown is twigs: most of the light goes through.
            const float solid = conifer ? 1.0F : 0.30F + 0.70F * leaf;
            // In the open no two crowns are alike: drawn out or three-sided, several stems that
            // have grown together, some lighter. Under the canopy of a wood it does not show.
            const bool alone = wood <= 0;
            const float turn = 6.2831853F * unit(mix(h + 10));
            const float oval = alone ? 0.26F * unit(mix(h + 11)) : 0.0F;
            const float corner = alone ? 0.16F * unit(mix(h + 12)) : 0.0F;
            const int stems =
                !alone || conifer ? 1 : 1 + static_cast<int>(2.4F * unit(mix(h + 13)));
            const float own = alone ? tone * (0.85F + 0.55F * unit(mix(h + 14))) : tone;
            const float cos_turn = std::cos(turn), sin_turn = std::sin(turn);
            for (int stem = 0; stem < stems; ++stem) {
                const std::uint32_t hs = mix(h + 20 + static_cast<std::uint32_t>(stem));
                const float size = stem == 0 ? 1.0F : 0.5F + 0.4F * unit(hs);
                const float away = stem == 0 ? 0.0F : radius * (0.7F + 0.5F * unit(mix(hs + 1)));
                const float towards = 6.2831853F * unit(mix(hs + 2));
                const float cx = fx + away * std::cos(towards), cy = fy + away * std::sin(towards);
                if (stem > 0 &&
                    !tree_may_stand(c, {static_cast<double>(cx), static_cast<double>(cy)},
                                    static_cast<double>(radius * size)))
                    continue;
                paint_crown<N>(
                    c, w,
                    {cx, cy, radius * size, tall * (stem == 0 ? 1.0F : 0.8F * size + 0.15F), solid,
                     own, oval, corner, cos_turn, sin_turn, conifer, stem == 0 ? h : hs},
                    seen<N>(colour));
            }
        }
}

template <std::size_t N>
void lay_snow(const Context& c, Work& w) {
    const auto depth = static_cast<float>(c.scene.snow);
    if (depth <= 0) return;
    for (std::size_t k = 0; k < w.size(); ++k) {
        if (!w.shown(static_cast<int>(k % static_cast<std::size_t>(w.width)),
                     static_cast<int>(k / static_cast<std::size_t>(w.width))))
            continue;
        const auto grain = grain_at(c.texture, w.world_x[k], w.world_y[k]);
        // Thin snow lies in the furrows and behind tufts: the rim is ragged, not a mist.
        float cover =
            smooth(-0.6F, 0.6F,
                   2.6F * depth - 1.3F + 0.5F * grain[1] + 0.45F * grain[3] + 0.3F * grain[0]);
        if (w.kind[k] == 1) cover *= 0.35F;
        if (w.kind[k] == 2) cover *= 0.85F;
        constexpr Colour<N> kSnow = seen<N>({0.70F, 0.70F, 0.69F, 0.62F});
        const float tone = 1 + 0.03F * grain[1] + 0.03F * grain[3];
        w.cover(k, 0.93F * cover, kSnow, tone);
    }
}

/// Discrete parallel lines along a direction: from a sample, one step along the major axis and a
/// shift of 0 or 1 along the other that depends on the image row or column alone, so that tiles
/// agree.
struct Sweep {
    bool by_rows = true;          ///< major axis y
    int sign = 1;                 ///< towards larger or smaller indices along the major axis
    double slope = 0;             ///< minor per major
    double step_m = 1;            ///< metres per step
    int shift(int major) const {  ///< minor shift in going from major to major + sign
        const auto at = [&](int m) { return static_cast<int>(std::floor(m * slope * sign + 0.5)); };
        return at(major + sign) - at(major);
    }
};
/// direction: unit vector in image axes (x right, y down).
Sweep sweep_along(Point direction, double step) {
    Sweep s;
    s.by_rows = std::abs(direction.y) >= std::abs(direction.x);
    const double major = s.by_rows ? direction.y : direction.x,
                 minor = s.by_rows ? direction.x : direction.y;
    s.sign = major >= 0 ? 1 : -1;
    s.slope = minor / std::abs(major);
    s.step_m = step / std::abs(major);
    return s;
}

/// Which samples the sun reaches: the highest shadow edge so far is carried down-sun along discrete
/// lines.
void cast_shadows(const Context& c, Work& w) {
    const Sweep sweep =
        sweep_along({-c.sun_xy.x, c.sun_xy.y}, c.step);  // away from the sun, y down
    const auto drop = static_cast<float>(sweep.step_m * c.sun_tan);
    const int major_count = sweep.by_rows ? w.height : w.width,
              minor_count = sweep.by_rows ? w.width : w.height;
    const int major_origin = sweep.by_rows ? w.y0 : w.x0;
    std::vector<float> edge(static_cast<std::size_t>(minor_count), -1e9F),
        next(static_cast<std::size_t>(minor_count), -1e9F);
    constexpr float kTolerance = 0.12F;  // a surface does not shade itself
    const auto column_step = static_cast<std::size_t>(sweep.by_rows ? 1 : w.width);
    for (int m = 0; m < major_count; ++m) {
        const int major = sweep.sign > 0 ? m : major_count - 1 - m;
        const std::size_t first = sweep.by_rows ? w.at(0, major) : w.at(major, 0);
        const float *ground = &w.ground[first], *top = &w.top[first];
        std::uint8_t* lit = &w.lit[first];
        const auto count = static_cast<std::size_t>(minor_count);
        const auto line = [&](std::size_t stride) {
            for (std::size_t n = 0; n < count; ++n) {
                const float surface = ground[n * stride] + top[n * stride];
                lit[n * stride] = surface + kTolerance >= edge[n] ? 1 : 0;
                edge[n] = std::max(edge[n], surface) - drop;
            }
        };
        sweep.by_rows ? line(1) : line(column_step);
        // The edges move on to the next row or column.
        const int shift = sweep.shift(major_origin + major);
        if (shift == 0) continue;
        std::fill(next.begin(), next.end(), -1e9F);
        const int from = std::max(0, -shift), to = minor_count - std::max(0, shift);
        if (from < to)
            std::copy(edge.begin() + from, edge.begin() + to, next.begin() + from + shift);
        std::swap(edge, next);
    }
}

/// Which sample of the scene is seen where: the first surface along the line of sight. hit = sample
/// index, facade = 1 where the ray meets a wall's side.
void look_along_view(const Context& c, Work& w) {
    auto& hit = w.hit;
    auto& facade = w.facade;
    hit.resize(w.size());
    facade.assign(w.size(), 0);
    for (std::size_t k = 0; k < w.size(); ++k) hit[k] = static_cast<std::uint32_t>(k);
    if (c.view_tan < 1e-4) return;
    // Going towards the satellite, each surface hides what lies behind it: a later one overwrites.
    // Along each line both coordinates go one way, so that the image's rows can be followed
    // whatever the direction.
    const Sweep sweep = sweep_along({c.view_xy.x, -c.view_xy.y}, c.step);
    const auto steps_per_m = static_cast<float>(c.view_tan / sweep.step_m);
    const int major_count = sweep.by_rows ? w.height : w.width,
              minor_count = sweep.by_rows ? w.width : w.height;
    const int major_origin = sweep.by_rows ? w.y0 : w.x0;
    std::vector<int> shifts(static_cast<std::size_t>(major_count));
    for (int m = 0; m < major_count; ++m)
        shifts[static_cast<std::size_t>(m)] = sweep.shift(major_origin + m);
    const bool down = sweep.by_rows ? sweep.sign > 0 : sweep.slope >= 0,
               right = sweep.by_rows ? sweep.slope >= 0 : sweep.sign > 0;
    const auto major_step = static_cast<std::ptrdiff_t>(sweep.by_rows ? w.width : 1) * -sweep.sign,
               minor_step = static_cast<std::ptrdiff_t>(sweep.by_rows ? 1 : w.width);
    for (int j = 0; j < w.height; ++j) {
        const int y = down ? j : w.height - 1 - j;
        for (int i = 0; i < w.width; ++i) {
            const int x = right ? i : w.width - 1 - i;
            const std::size_t k = w.at(x, y);
            const float steps = w.top[k] * steps_per_m;
            if (steps < 0.5F) continue;
            facade[k] = w.top[k] > 0.4F && steps > 0.75F ? 1 : 0;
            const int count = static_cast<int>(steps + 0.5F);
            int at_major = sweep.by_rows ? y : x, at_minor = sweep.by_rows ? x : y;
            // Where a roof falls towards the satellite, the next sample leaves a gap of one before
            // this one: that is roof too, no wall's side.
            int side = count;
            const int next_major = at_major + sweep.sign,
                      next_shift = shifts[static_cast<std::size_t>(at_major)],
                      next_minor = at_minor + next_shift;
            if (next_major >= 0 && next_major < major_count && next_minor >= 0 &&
                next_minor < minor_count) {
                const std::size_t next =
                    sweep.by_rows ? w.at(next_minor, next_major) : w.at(next_major, next_minor);
                const int next_count = static_cast<int>(w.top[next] * steps_per_m + 0.5F);
                if (next_count > 0 && next_count == count - 1) side = count - 1;
            }
            auto q = static_cast<std::ptrdiff_t>(k);
            for (int n = 1; n <= count; ++n) {
                at_major -= sweep.sign;
                if (at_major < 0 || at_major >= major_count) break;
                const int shift = shifts[static_cast<std::size_t>(at_major)];
                at_minor -= shift;
                if (at_minor < 0 || at_minor >= minor_count) break;
                q += major_step - shift * minor_step;
                hit[static_cast<std::size_t>(q)] = static_cast<std::uint32_t>(k);
                facade[static_cast<std::size_t>(q)] = n < side ? 1 : 0;
            }
        }
    }
}

/// How far outside a tile something may stand and still be seen in it, or throw its shadow there.
int halo_px(const World& world, double sun_tan, double view_tan, double gsd_m) {
    const auto tallest = static_cast<double>(world.tallest);
    const double shadow_reach = std::min(130.0, (tallest - 8) / sun_tan + 10);
    return static_cast<int>(std::ceil((std::max(shadow_reach, tallest * view_tan) + 4) / gsd_m)) +
           2;
}
/// How many bands the ground is painted in: one where nothing but the mean of all is asked for.
std::size_t painted_bands(const std::vector<BandRole>& roles) {
    const auto visible = [](BandRole role) {
        return role == BandRole::blue || role == BandRole::green || role == BandRole::red;
    };
    if (std::all_of(roles.begin(), roles.end(), visible)) return 3;
    const auto single = [&](BandRole role) { return role != BandRole::nir && !visible(role); };
    return std::all_of(roles.begin(), roles.end(), single) ? 1 : 4;
}
double sun_elevation(const SceneFrame& frame) {
    return std::max(frame.sun.elevation_deg, 3.0) * kPi / 180;
}

}  // namespace

std::size_t tile_bytes(const World& world, int scene, const SceneFrame& frame) {
    const double off_nadir = world.scenario.scenes[static_cast<std::size_t>(scene)].off_nadir_deg;
    const int halo = halo_px(world, std::tan(sun_elevation(frame)), std::tan(off_nadir * kPi / 180),
                             frame.grid.gsd());
    const auto side = static_cast<std::size_t>((kRenderTile + 2 * halo) * kSuper);
    // Position, bands, height, tilt, ground; sun, kind, facade; what the view hits.
    const std::size_t sample_bytes = 2 * 4 + 4 * painted_bands(frame.info.roles) + 3 * 4 + 3 + 4;
    return side * side * sample_bytes;
}

Raster render(const World& world, int scene_index, const SceneFrame& frame, const Window& window,
              int tiles_at_once) {
    const ScenarioScene& scene = world.scenario.scenes[static_cast<std::size_t>(scene_index)];
    static const NoiseTexture texture(20240229U);
    const double kRadian = kPi / 180;
    // True north in map axes (meridian convergence).
    const GridProjection projection(frame.grid);
    const Point centre_px = frame.grid.px_from_map(frame.displacement.centre_map);
    const Point centre_lonlat = projection.lonlat_from_px(centre_px);
    const Point north_map = frame.grid.map_from_px(projection.px_from_lonlat(
                                Point{centre_lonlat.x, centre_lonlat.y + 0.005})) -
                            frame.displacement.centre_map;
    const double convergence = std::atan2(north_map.x, north_map.y);
    const auto towards = [&](double azimuth_deg) {
        const double a = azimuth_deg * kRadian + convergence;
        return Point{std::sin(a), std::cos(a)};
    };
    const double elevation = sun_elevation(frame);
    const Point sun_xy = towards(frame.sun.azimuth_deg);
    Context c{world,
              frame,
              scene,
              texture,
              season_of(scene.datetime),
              Sky(world, scene_index, frame),
              scene.datetime,
              frame.grid.gsd() / kSuper,
              sun_xy,
              std::tan(elevation),
              towards(scene.view_azimuth_deg),
              std::tan(scene.off_nadir_deg * kRadian),
              (1 / std::tan(elevation)) * sun_xy};

    Raster out;
    out.grid = frame.grid;
    out.grid.width = window.width;
    out.grid.height = window.height;
    const Point corner =
        frame.grid.map_from_px({static_cast<double>(window.x), static_cast<double>(window.y)});
    out.grid.geotransform[0] = corner.x;
    out.grid.geotransform[3] = corner.y;
    out.roles = frame.info.roles;
    for (std::size_t b = 0; b < out.roles.size(); ++b)
        out.bands.emplace_back(window.width, window.height);
    out.valid = Mask(window.width, window.height, 1);

    const std::size_t painted = painted_bands(out.roles);
    const int halo = halo_px(world, c.sun_tan, c.view_tan, frame.grid.gsd());
    tbb::enumerable_thread_specific<Work> works;
    const auto render_tile = [&](const Window& core) {
        Work& w = works.local();
        w.x0 = (window.x + core.x - halo) * kSuper;
        w.y0 = (window.y + core.y - halo) * kSuper;
        w.width = (core.width + 2 * halo) * kSuper;
        w.height = (core.height + 2 * halo) * kSuper;
        const double seen_m = static_cast<double>(world.tallest) * c.view_tan + 1;
        w.frame = std::max(
            0, halo * kSuper - static_cast<int>(std::ceil(seen_m / c.step)) -
                   static_cast<int>(std::ceil(3 * std::max(scene.blur_px, 0.05) * kSuper)) -
                   kSuper);
        w.clear(painted);
        place_samples(c, w);
        float x_low = 1e9F, y_low = 1e9F, x_high = -1e9F, y_high = -1e9F;
        // Between knots the ground lies straight: the box is theirs, and a sample more.
        const auto every = [](int n, int size) { return std::min(n * (kKnot / 2), size - 1); };
        for (int j = 0; j <= 2 * (w.height / kKnot + 1); ++j)
            for (int i = 0; i <= 2 * (w.width / kKnot + 1); ++i) {
                const std::size_t k = w.at(every(i, w.width), every(j, w.height));
                x_low = std::min(x_low, w.world_x[k]);
                x_high = std::max(x_high, w.world_x[k]);
                y_low = std::min(y_low, w.world_y[k]);
                y_high = std::max(y_high, w.world_y[k]);
            }
        const auto xl = static_cast<double>(x_low), xh = static_cast<double>(x_high),
                   yl = static_cast<double>(y_low), yh = static_cast<double>(y_high);
        const LandLattice lattice(c, xl - 8, yl - 8, xh + 8, yh + 8);
        const auto paint = [&]<std::size_t N>() {
            paint_ground<N>(c, lattice, w);
            paint_ways<N>(c, nearby(world.buckets, world.buckets.segments, xl, yl, xh, yh), w);
            paint_things<N>(c, nearby(world.buckets, world.buckets.things, xl, yl, xh, yh), w);
            paint_trees<N>(c, lattice, xl, yl, xh, yh, w);
            lay_snow<N>(c, w);
        };
        if (painted == 1)
            paint.template operator()<1>();
        else if (painted == 3)
            paint.template operator()<3>();
        else
            paint.template operator()<4>();
        cast_shadows(c, w);
        look_along_view(c, w);

        // Radiance of what is seen, then the sensor: Gaussian response over the pixel's box, noise,
        // numbers.
        const double sigma = std::max(scene.blur_px, 0.05) * kSuper;
        const int support = static_cast<int>(std::ceil(3 * sigma)) + kSuper / 2;
        const int taps =
            2 * support +
            kSuper;  // samples from -support to support + kSuper - 1 around a pixel's own
        std::vector<float> kernel(static_cast<std::size_t>(taps));
        double total = 0;
        for (int t = 0; t < taps; ++t) {
            // Gaussian convolved with the box [0, kSuper), at sample centre t - support + 0.5
            const double at = t - support + 0.5;
            const double value = std::erf((kSuper - at) / (sigma * std::numbers::sqrt2)) +
                                 std::erf(at / (sigma * std::numbers::sqrt2));
            kernel[static_cast<std::size_t>(t)] = static_cast<float>(value);
            total += value;
        }
        for (float& value : kernel) value = static_cast<float>(static_cast<double>(value) / total);

        const int first_x = halo * kSuper - support, first_y = halo * kSuper - support;
        const int span_x = core.width * kSuper + 2 * support,
                  span_y = core.height * kSuper + 2 * support;
        const std::size_t band_count = out.roles.size();
        const auto plane = static_cast<std::size_t>(core.width) * static_cast<std::size_t>(span_y);
        std::vector<float> radiance(static_cast<std::size_t>(span_x));
        w.rows.resize(plane * band_count);
        const Sky::Veil veil = c.sky.veil_over(xl, yl, xh, yh);
        std::vector<Sky::Light> lights;
        for (const BandRole role : out.roles) lights.push_back(c.sky.light(role));
        // What is the same in all bands, for one row.
        struct Seen {
            std::size_t k;
            float direct, sky;
            bool side;
            Sky::Cover cover;
        };
        std::vector<Seen> seen(static_cast<std::size_t>(span_x));
        // The side that faces the satellite.
        const auto facing = static_cast<float>(
            std::clamp(c.view_xy.x * c.sun3_xy.x + c.view_xy.y * c.sun3_xy.y, 0.0, 2.0));
        for (int y = 0; y < span_y; ++y) {
            for (int x = 0; x < span_x; ++x) {
                const std::size_t q = w.at(first_x + x, first_y + y), k = w.hit[q];
                Seen& here = seen[static_cast<std::size_t>(x)];
                here.k = k;
                here.side = w.facade[q] != 0 && w.kind[k] == 2;
                here.direct = here.side ? facing : w.lit[k] != 0 ? w.tilt[k] : 0.0F;
                here.sky = here.side ? 0.5F : 0.75F + 0.25F * std::min(w.tilt[k], 1.0F);
                here.cover = veil(w.world_x[q], w.world_y[q]);
            }
            for (std::size_t b = 0; b < band_count; ++b) {
                const Sky::Light& light = lights[b];
                const std::size_t source = out.roles[b] == BandRole::blue    ? 0
                                           : out.roles[b] == BandRole::green ? 1
                                           : out.roles[b] == BandRole::red   ? 2
                                                                             : 3;
                const bool as_painted = painted == 1 || source < 3 || out.roles[b] == BandRole::nir;
                const Values<float>& colours = w.band[painted == 1 ? 0 : source];
                for (int x = 0; x < span_x; ++x) {
                    const Seen& here = seen[static_cast<std::size_t>(x)];
                    const std::size_t k = here.k;
                    float reflectance = as_painted
                                            ? colours[k]
                                            : 0.18F * w.band[0][k] + 0.30F * w.band[1][k] +
                                                  0.32F * w.band[2][k] + 0.20F * w.band[3][k];
                    if (here.side) reflectance = 0.5F * reflectance + 0.06F;
                    const Sky::Cover& cover = here.cover;
                    const float value =
                        reflectance * (light.direct * here.direct * (1 - cover.shadow) +
                                       light.sky * here.sky * (1 + 0.3F * cover.shadow));
                    radiance[static_cast<std::size_t>(x)] =
                        value * light.transmission * (1 - cover.cloud) + light.path * cover.haze +
                        cover.cloud * light.cloud;
                }
                float* row = &w.rows[b * plane + static_cast<std::size_t>(y) *
                                                     static_cast<std::size_t>(core.width)];
                for (int x = 0; x < core.width; ++x) {
                    float sum = 0;
                    const float* in = &radiance[static_cast<std::size_t>(x * kSuper)];
                    for (int t = 0; t < taps; ++t)
                        sum += kernel[static_cast<std::size_t>(t)] * in[t];
                    row[x] = sum;
                }
            }
        }
        std::vector<float> sums(static_cast<std::size_t>(core.width));
        for (std::size_t b = 0; b < band_count; ++b) {
            const Sky::Response response = c.sky.response(static_cast<int>(b));
            const float shoulder = std::max(response.top - response.knee, 1.0F);
            const std::uint32_t salt = seed_for(world.scenario.seed, "noise") +
                                       7919U * static_cast<std::uint32_t>(scene_index) +
                                       104729U * static_cast<std::uint32_t>(b);
            for (int y = 0; y < core.height; ++y) {
                float* result = out.bands[b].row(core.y + y) + core.x;
                std::fill(sums.begin(), sums.end(), 0.0F);
                for (int t = 0; t < taps; ++t) {
                    const float weight = kernel[static_cast<std::size_t>(t)];
                    const float* row =
                        &w.rows[b * plane + static_cast<std::size_t>(y * kSuper + t) *
                                                static_cast<std::size_t>(core.width)];
                    for (int x = 0; x < core.width; ++x)
                        sums[static_cast<std::size_t>(x)] += weight * row[x];
                }
                for (int x = 0; x < core.width; ++x) {
                    float number =
                        response.gain * sums[static_cast<std::size_t>(x)] + response.offset;
                    const float noise =
                        std::sqrt(response.read_variance + response.shot * std::max(number, 0.0F));
                    number +=
                        noise * gauss(hash(salt, window.x + core.x + x, window.y + core.y + y));
                    if (number > response.knee)
                        number = response.knee +
                                 shoulder * (1 - std::exp((response.knee - number) / shoulder));
                    result[x] = std::clamp(std::round(number), 1.0F, response.top);
                }
            }
        }
    };
    tbb::task_arena arena(tiles_at_once > 0
                              ? std::min(tiles_at_once, tbb::this_task_arena::max_concurrency())
                              : tbb::task_arena::automatic);
    arena.execute([&] {
        parallel_tiles(window.width, window.height, kRenderTile, 0,
                       [&](const Window& core, const Window&) { render_tile(core); });
    });
    return out;
}

}  // namespace fenceline::simulate
