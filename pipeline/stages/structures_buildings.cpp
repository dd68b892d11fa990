#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <tuple>

#include "core/parallel.h"
#include "kernels/line_opening.h"
#include "stages/structures_maps.h"
#include "stages/structures_net.h"

namespace fenceline {
namespace {

constexpr double kShortest_m = 2.5, kLongest_m = 40;
constexpr double kMaxAspect = 7;
/// The network looks, corrects the rectangle, looks again; it stops where nothing speaks for a
/// roof.
constexpr int kRounds = 3;
constexpr double kHopeless = -5;
/// Fewer pixels across than this and a building's shape says nothing.
constexpr double kMinAcross_px = 2.5;

double side_length(const OrientedRectangle& r, int side) {
    return side % 2 == 0 ? 2 * r.half_a : 2 * r.half_b;
}

struct Side {
    Point from, along, inward;  ///< unit vectors
    double length = 0;
};
std::array<Side, 4> sides_of(const OrientedRectangle& r) {
    const Ring ring = ring_of(r);
    std::array<Side, 4> sides;
    for (int k = 0; k < 4; ++k) {
        const auto i = static_cast<std::size_t>(k);
        Side& side = sides[i];
        side.from = ring[i];
        side.length = std::max(1e-9, side_length(r, k));
        side.along = (1 / side.length) * (ring[(i + 1) % 4] - ring[i]);
        const Point to_centre = r.centre - ring[i];
        side.inward = {-side.along.y, side.along.x};
        if (dot(side.inward, to_centre) < 0) side.inward = -1 * side.inward;
    }
    return sides;
}

/// Step across one side: just inside less just outside, mean along it.
double step_across(const Plane& plane, const Side& side) {
    const int n = std::clamp(static_cast<int>(side.length), 3, 60);
    double sum = 0;
    for (int i = 0; i < n; ++i) {
        const Point on = side.from + (side.length * (i + 0.5) / n) * side.along;
        sum += static_cast<double>(sample(plane, on + 1.0 * side.inward)) -
               static_cast<double>(sample(plane, on - 1.0 * side.inward));
    }
    return sum / n;
}

double median_of(std::vector<double>& values) {
    if (values.empty()) return 0;
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}
double spread_of(std::vector<double> values) {
    const double centre = median_of(values);
    for (double& v : values) v = std::abs(v - centre);
    return 1.4826 * median_of(values);
}

double ndvi(const Raster& raster, Point px) {
    const Plane *red = raster.band(BandRole::red), *nir = raster.band(BandRole::nir);
    if (red == nullptr || nir == nullptr) return -1;
    const double r = static_cast<double>(sample(*red, px)),
                 n = static_cast<double>(sample(*nir, px));
    return (n - r) / std::max(1e-6, std::abs(n + r));
}

struct Candidate {
    OrientedRectangle rectangle;
    double log_odds = -12;
};

/// Where the near infrared is known, a lawn is told from a green roof.
bool green_inside(const Scene& scene, const OrientedRectangle& r) {
    if (scene.raster.band(BandRole::nir) == nullptr) return false;
    double inside = 0;
    for (int k = 0; k < 25; ++k) {
        const double fa = 0.35 * (k % 5 - 2), fb = 0.35 * (k / 5 - 2);
        const Point a{std::cos(r.angle_rad), std::sin(r.angle_rad)};
        inside += ndvi(scene.raster,
                       r.centre + (fa * r.half_a) * a + (fb * r.half_b) * Point{-a.y, a.x}) /
                  25;
    }
    return inside > 0.3;
}

}  // namespace

Plane brightness(const Raster& raster) {
    std::vector<const Plane*> used;
    for (const BandRole role : {BandRole::blue, BandRole::green, BandRole::red})
        if (const Plane* plane = raster.band(role)) used.push_back(plane);
    if (used.size() < 2) return luminance(raster);
    Plane out = *used.front();
    for (std::size_t i = 1; i < used.size(); ++i)
        for (int y = 0; y < out.height(); ++y) {
            float* row = out.row(y);
            const float* in = used[i]->row(y);
            for (int x = 0; x < out.width(); ++x) row[x] = std::max(row[x], in[x]);
        }
    return out;
}

BuildingIndex building_index(const Plane& plane, const Mask& masks, double gsd_m, float sign,
                             int tile) {
    constexpr float inf = std::numeric_limits<float>::infinity();
    constexpr int directions = 8;
    const int width = plane.width(), height = plane.height();
    BuildingIndex index{Plane(width, height), Plane(width, height)};
    const int longest = std::max(3, static_cast<int>(std::lround(kLongest_m / gsd_m)));
    const int shortest =
        std::clamp(static_cast<int>(std::lround(kShortest_m / gsd_m)), 1, longest - 1);
    parallel_tiles(width, height, tile, longest, [&](Window core, Window halo) {
        const auto w = static_cast<std::size_t>(halo.width),
                   h = static_cast<std::size_t>(halo.height);
        std::vector<float> upright(w * h), lying(w * h), low(w * h), high(w * h);
        for (int y = 0; y < halo.height; ++y)
            for (int x = 0; x < halo.width; ++x) {
                const bool seen = (masks.at(halo.x + x, halo.y + y) & kHidden) == 0;
                upright[static_cast<std::size_t>(y) * w + static_cast<std::size_t>(x)] =
                    seen ? sign * plane.at(halo.x + x, halo.y + y) : inf;
            }
        kernels::transpose(upright.data(), w, halo.width, halo.height, lying.data(), h);
        // sums and minima over the directions, kept apart for steep and flat lines: the latter on
        // the transposed tile
        std::array<std::vector<float>, 2> sum, least;
        kernels::LineOpeningWork work;
        for (std::size_t t = 0; t < 2; ++t) {
            const std::vector<float>& in = t == 0 ? upright : lying;
            const std::size_t stride = t == 0 ? w : h;
            const int columns = t == 0 ? halo.width : halo.height,
                      rows = t == 0 ? halo.height : halo.width;
            sum[t].assign(w * h, 0.0F);
            least[t].assign(w * h, inf);
            for (int k = 0; k < directions / 2; ++k) {
                // steep: −22.5°, 0, 22.5°, 45° from the column; flat: the same from the row, with
                // −45° for 45°
                const double angle =
                    (k == 3 ? (t == 0 ? 45.0 : -45.0) : -22.5 + 22.5 * k) * std::numbers::pi / 180;
                const auto rows_of = [&](int length) {
                    return std::max(1, static_cast<int>(std::lround(length * std::cos(angle))));
                };
                const int first_row = t == 0 ? halo.y : halo.x;
                kernels::line_opening(in.data(), stride, columns, rows,
                                      {std::tan(angle), rows_of(shortest), first_row}, low.data(),
                                      stride, work);
                kernels::line_opening(in.data(), stride, columns, rows,
                                      {std::tan(angle), rows_of(longest), first_row}, high.data(),
                                      stride, work);
                for (std::size_t i = 0; i < w * h; ++i) {
                    const float value = low[i] - high[i];
                    sum[t][i] += value;
                    least[t][i] = std::min(least[t][i], value);
                }
            }
        }
        kernels::transpose(sum[1].data(), h, halo.height, halo.width, low.data(), w);
        kernels::transpose(least[1].data(), h, halo.height, halo.width, high.data(), w);
        for (int y = core.y; y < core.y + core.height; ++y)
            for (int x = core.x; x < core.x + core.width; ++x) {
                const auto i =
                    static_cast<std::size_t>(y - halo.y) * w + static_cast<std::size_t>(x - halo.x);
                if (upright[i] == inf) continue;
                index.plain.at(x, y) = (sum[0][i] + low[i]) / directions;
                index.compact.at(x, y) = std::min(least[0][i], high[i]);
            }
    });
    return index;
}

BuildingMeasure measure_building(const StructureView& view, const OrientedRectangle& r) {
    BuildingMeasure m;
    const Plane& plane = view.luminance;
    const double scale = view.scale, metre = 1 / view.gsd_m;
    const Point a{std::cos(r.angle_rad), std::sin(r.angle_rad)}, b{-a.y, a.x};
    std::vector<double> inside;
    const int na = std::clamp(static_cast<int>(2 * r.half_a), 3, 20),
              nb = std::clamp(static_cast<int>(2 * r.half_b), 3, 20);
    for (int j = 0; j < nb; ++j)
        for (int i = 0; i < na; ++i) {
            const Point p = r.centre + (r.half_a * 0.85 * (2 * (i + 0.5) / na - 1)) * a +
                            (r.half_b * 0.85 * (2 * (j + 0.5) / nb - 1)) * b;
            inside.push_back(static_cast<double>(sample(plane, p)));
        }
    const std::array<Side, 4> sides = sides_of(r);
    std::vector<double> ring;
    for (const Side& side : sides) {
        if (view.sun && dot(-1 * side.inward, view.shadow_px) > 0.2) continue;
        const int n = std::clamp(static_cast<int>(side.length), 3, 40);
        for (int i = 0; i < n; ++i)
            for (const double out_m : {1.5, 2.5, 3.5})
                ring.push_back(static_cast<double>(
                    sample(plane, side.from + (side.length * (i + 0.5) / n) * side.along -
                                      std::max(2.0, out_m * metre) * side.inward)));
    }
    m.roughness = spread_of(inside) / scale;
    m.ring_roughness = spread_of(ring) / scale;
    const double roof = median_of(inside), ground = median_of(ring);
    m.contrast = (roof - ground) / scale;
    const double sign = m.contrast >= 0 ? 1 : -1;
    std::array<double, 4> steps{};
    for (std::size_t k = 0; k < 4; ++k) steps[k] = sign * step_across(plane, sides[k]) / scale;
    m.edge = (steps[0] + steps[1] + steps[2] + steps[3]) / 4;
    std::sort(steps.begin(), steps.end());
    m.weakest_edge = steps[1];

    if (!view.sun) return m;
    // The shadow: rays from the sides that face away from the sun; on flat ground all end at the
    // same length.
    const double longest = std::min(80.0, 14.0 * view.shadow_px_per_m + 4 * metre);
    constexpr double step = 0.5;
    const auto samples = static_cast<std::size_t>(longest / step);
    if (samples < 6) return m;
    std::vector<double> profile(samples, 0.0);
    std::vector<std::vector<double>> rays;
    for (const Side& side : sides) {
        const double facing = dot(-1 * side.inward, view.shadow_px);
        if (facing < 0.25) continue;
        const int n = std::clamp(static_cast<int>(side.length * facing), 2, 40);
        for (int i = 0; i < n; ++i) {
            const Point from = side.from + (side.length * (i + 0.5) / n) * side.along;
            std::vector<double> ray(samples);
            for (std::size_t t = 0; t < samples; ++t)
                ray[t] = static_cast<double>(
                    sample(plane, from + (step * (static_cast<double>(t) + 0.5)) * view.shadow_px));
            rays.push_back(std::move(ray));
        }
    }
    if (rays.empty()) return m;
    std::vector<double> column(rays.size());
    for (std::size_t t = 0; t < samples; ++t) {
        for (std::size_t i = 0; i < rays.size(); ++i) column[i] = rays[i][t];
        profile[t] = median_of(column);
    }
    // Darkest level within what a building of 3 m throws; half of the way back to the ground is the
    // border.
    const auto near =
        std::min(samples, static_cast<std::size_t>(std::max(6.0, 3 * view.shadow_px_per_m / step)));
    std::size_t darkest = 0;
    for (std::size_t t = 1; t < near; ++t)
        if (profile[t] < profile[darkest]) darkest = t;
    m.shadow_depth = (ground - profile[darkest]) / scale;
    const double level = 0.5 * (ground + profile[darkest]);
    const auto end_of = [&](const std::vector<double>& values) -> double {
        for (std::size_t t = darkest + 1; t < samples; ++t)
            if (values[t] > level && values[t - 1] <= level)
                return step * (static_cast<double>(t) - 0.5 +
                               (level - values[t - 1]) / (values[t] - values[t - 1]) + 0.0);
        return -1;
    };
    const double end = end_of(profile);
    if (m.shadow_depth <= 0.1) return m;
    if (end > 0) {
        m.shadow_ends = true;
        m.shadow_length_px = end;
        std::vector<double> ends;
        int dark = 0, all = 0;
        for (const auto& ray : rays) {
            if (const double one = end_of(ray); one > 0) ends.push_back(one);
            for (std::size_t t = 1;
                 t < samples && step * (static_cast<double>(t) + 0.5) < end - 0.5; ++t, ++all)
                dark += ray[t] < level ? 1 : 0;
        }
        m.shadow_cover = all > 0 ? static_cast<double>(dark) / all : 0;
        m.shadow_sigma_px = std::max(
            0.7, spread_of(ends) / std::sqrt(std::max(1.0, static_cast<double>(ends.size()) / 4)));
    }
    return m;
}

namespace {

/// Most roofs have a ridge, and its height over the eaves goes with the width.
constexpr double kGabled = 0.8, kRisePerWidth = 0.27, kRiseSpread = 0.035;

/// Is the roof one of two slopes? The halves on either side of its long axis differ then, unless
/// the sun stands in line with the ridge. 0–1.
double gabled_share(const StructureView& view, const OrientedRectangle& r) {
    const bool a_longer = r.half_a >= r.half_b;
    const Point along{std::cos(r.angle_rad), std::sin(r.angle_rad)}, across{-along.y, along.x};
    const Point u = (a_longer ? r.half_a : r.half_b) * (a_longer ? along : across),
                v = (a_longer ? r.half_b : r.half_a) * (a_longer ? across : along);
    std::vector<double> differences;
    for (int i = 0; i < 12; ++i) {
        const Point on = r.centre + (0.8 * (2 * (i + 0.5) / 12 - 1)) * u;
        differences.push_back(static_cast<double>(sample(view.luminance, on + 0.5 * v)) -
                              static_cast<double>(sample(view.luminance, on - 0.5 * v)));
    }
    const double spread = std::max(0.05 * view.scale, spread_of(differences));
    const double difference = std::abs(median_of(differences));
    return difference > std::max(2 * spread, 0.35 * view.scale) ? 1 : kGabled;
}

}  // namespace

void height_from_shadow(const StructureView& view, const OrientedRectangle& roof,
                        const BuildingMeasure& m, std::optional<double>& height_m,
                        std::optional<Interval>& height_ci) {
    if (!view.sun || !m.shadow_ends || m.shadow_depth <= 0.3 || m.shadow_cover <= 0.6) return;
    const double edge_m = m.shadow_length_px / view.shadow_px_per_m,
                 sigma = std::max(0.7, m.shadow_sigma_px) / view.shadow_px_per_m;
    // What throws the shadow's end is the eaves, or in a low sun the ridge, which stands half a
    // width farther back: the ridge is higher than what the length says by the smaller of the
    // roof's rise and that way's worth of shadow.
    const double width_px = 2 * std::min(roof.half_a, roof.half_b);
    const Point along{std::cos(roof.angle_rad), std::sin(roof.angle_rad)},
        across = roof.half_a >= roof.half_b ? Point{-along.y, along.x} : along;
    const double facing = std::max(0.2, std::abs(dot(across, view.shadow_px)));
    const double rise_m = kRisePerWidth * width_px * view.gsd_m,
                 back_m = 0.5 * width_px / facing / view.shadow_px_per_m;
    const double more = std::min(rise_m, back_m), gabled = gabled_share(view, roof);
    const double height = edge_m + gabled * more;
    const double of_rise = kRiseSpread * width_px * view.gsd_m,
                 of_kind = more * std::sqrt(gabled * (1 - gabled));
    const double total = std::sqrt(sigma * sigma + of_rise * of_rise + of_kind * of_kind);
    height_m = height;
    height_ci = Interval{std::max(0.0, height - 1.96 * total), height + 1.96 * total};
}

namespace {

/// The network of places at one cell size.
class PlaceJudge {
  public:
    PlaceJudge(const StructureView& view, const PostFrame& frame, double cell_m)
        : view_(view), frame_(frame), cell_m_(cell_m), extras_(place_extras(view, frame, cell_m)) {
        net_ = patch_net_of(place_net(), extras_, bias_);
    }
    PlaceJudge(const PlaceJudge&) = delete;
    PlaceJudge& operator=(const PlaceJudge&) = delete;
    const kernels::PatchNet& net() const { return net_; }
    double cell_m() const { return cell_m_; }
    static double log_odds(float output) {
        return clip_log_odds(place_net().calibration_gain * static_cast<double>(output) +
                             place_net().calibration_offset);
    }
    BuildingLook at(Point px) const {
        Patch patch;
        thread_local kernels::PatchNetWork work;
        std::array<float, kPlaceOutputs> outputs{};
        place_patch(view_, frame_, cell_m_, px, patch);
        kernels::patch_net(net_, patch.data(), kernels::kPatchSize, kernels::kPatchSize,
                           outputs.data(), work);
        return {log_odds(outputs[0]), rectangle_at(frame_, cell_m_, px, outputs.data())};
    }
    /// From a place to where the roof's middle is seen, and again from there.
    BuildingLook centred(Point px, double radius_px) const {
        BuildingLook best = at(px);
        Point middle = best.roof.centre;
        for (int round = 0; round < 2; ++round) {
            const Point moved = middle - px;
            const double far = norm(moved);
            if (far > radius_px) middle = px + (radius_px / far) * moved;
            const BuildingLook next = at(middle);
            // The better centred window sees the better rectangle.
            if (next.log_odds < best.log_odds - 1) break;
            best = {std::max(best.log_odds, next.log_odds), next.roof};
            middle = next.roof.centre;
        }
        return best;
    }

  private:
    const StructureView& view_;
    const PostFrame& frame_;
    double cell_m_;
    std::array<float, kPlaceExtras> extras_;
    std::array<float, kernels::kPatchChannels> bias_{};
    kernels::PatchNet net_;
};

/// Can a building of the smallest kind that these cells are for be seen?
bool cells_observable(const StructureView& view, std::size_t k) {
    return 2 * kPlaceCells_m[k] >= view.effective_gsd_m;
}

/// Windows per side of the blocks that the network is run over.
constexpr int kBlock = 16;
/// Log-odds from which a place is worth a look of its own.
constexpr double kWorthALook = -4;

std::vector<BuildingLook> roofs_of(const StructureView& view, const Ring& area_px) {
    const PostFrame frame = post_frame(view);
    const Point size{static_cast<double>(view.luminance.width()),
                     static_cast<double>(view.luminance.height())};
    std::vector<BuildingLook> roofs;
    for (std::size_t k = 0; k < kPlaceCells_m.size(); ++k) {
        if (!cells_observable(view, k)) continue;
        const PlaceJudge judge(view, frame, kPlaceCells_m[k]);
        const Point du = judge.cell_m() * frame.x, dv = judge.cell_m() * frame.y;
        Point low{1e18, 1e18}, high{-1e18, -1e18};  // in cells
        for (const Point corner : area_px) {
            const Point p{std::clamp(corner.x, 0.0, size.x), std::clamp(corner.y, 0.0, size.y)};
            const Point cell{dot(p, du) / dot(du, du), dot(p, dv) / dot(dv, dv)};
            low = {std::min(low.x, cell.x), std::min(low.y, cell.y)};
            high = {std::max(high.x, cell.x), std::max(high.y, cell.y)};
        }
        constexpr int step = kernels::kPatchStep * kBlock;
        const int first_i = static_cast<int>(std::floor(low.x / step)),
                  first_j = static_cast<int>(std::floor(low.y / step)),
                  columns = static_cast<int>(std::floor(high.x / step)) - first_i + 1,
                  rows = static_cast<int>(std::floor(high.y / step)) - first_j + 1;
        std::vector<std::vector<BuildingLook>> found(static_cast<std::size_t>(columns) *
                                                     static_cast<std::size_t>(rows));
        parallel_items(columns * rows, [&](int item) {
            const Point first =
                (step * (first_i + item % columns)) * du + (step * (first_j + item / columns)) * dv;
            constexpr double half = 0.5 * (step - kernels::kPatchStep);
            const Point centre = first + half * du + half * dv;
            const double reach = std::numbers::sqrt2 * (half + 8) * norm(du);
            if (centre.x < -reach || centre.y < -reach || centre.x > size.x + reach ||
                centre.y > size.y + reach)
                return;
            // The area may be any polygon: blocks that it does not touch are passed over.
            if (!contains(area_px, centre) && distance_to_ring(area_px, centre) > reach) return;
            thread_local std::vector<float> outputs;
            scan_block(view, judge.net(), du, dv, first, kBlock, outputs);
            std::vector<BuildingLook> some;
            for (int j = 0; j < kBlock; ++j)
                for (int i = 0; i < kBlock; ++i) {
                    const float* o =
                        outputs.data() + static_cast<std::size_t>(j * kBlock + i) * kPlaceOutputs;
                    const double log_odds = PlaceJudge::log_odds(o[0]);
                    if (log_odds < kWorthALook) continue;
                    const Point at =
                        first + (kernels::kPatchStep * i) * du + (kernels::kPatchStep * j) * dv;
                    some.push_back({log_odds, rectangle_at(frame, judge.cell_m(), at, o)});
                }
            // Neighbouring windows see the same roof: the surest of them looks again.
            std::stable_sort(some.begin(), some.end(),
                             [](const auto& a, const auto& b) { return a.log_odds > b.log_odds; });
            auto& out = found[static_cast<std::size_t>(item)];
            std::vector<Point> taken;
            for (const BuildingLook& look : some) {
                if (std::any_of(taken.begin(), taken.end(), [&](Point p) {
                        return distance(p, look.roof.centre) < 2 * norm(du);
                    }))
                    continue;
                taken.push_back(look.roof.centre);
                out.push_back(judge.centred(look.roof.centre, 3 * norm(du)));
            }
        });
        for (const auto& some : found) roofs.insert(roofs.end(), some.begin(), some.end());
    }
    return roofs;
}

}  // namespace

BuildingLook look_at_building(const StructureView& view, const OrientedRectangle& roof,
                              double rival_scale) {
    if (view.maps != nullptr) return roof_on_map(*view.maps, roof, rival_scale);
    const PostFrame frame = post_frame(view);
    const double length_m = 2 * view.gsd_m * std::max(roof.half_a, roof.half_b);
    BuildingLook best{-12, roof};
    for (std::size_t k = 0; k < kPlaceCells_m.size(); ++k) {
        // Where two sizes overlap, either may say it.
        if (length_m < kPlaceLengths_m[k][0] * (k == 0 ? 0 : 1) || length_m > kPlaceLengths_m[k][1])
            continue;
        const PlaceJudge judge(view, frame, kPlaceCells_m[k]);
        const BuildingLook look = judge.centred(roof.centre, 2.5 * judge.cell_m() / view.gsd_m);
        if (look.log_odds > best.log_odds) best = look;
    }
    return best;
}

std::vector<Detection> detect_buildings(const Scene& scene, const SurfaceMaps& maps,
                                        const Ring& area_px, const StructureOptions& options) {
    if (scene.raster.bands.empty()) return {};
    StructureView view = structure_view(scene);
    if (!maps.empty()) view.maps = &maps;
    return detect_buildings(view, area_px, options);
}

std::vector<Detection> detect_buildings(const StructureView& view, const Ring& area_px,
                                        const StructureOptions& options) {
    const Scene& scene = *view.scene;
    if (area_px.size() < 3 || view.luminance.width() < 8 || view.luminance.height() < 8) return {};
    // A building of 8 m is the smallest worth a shape; below a few pixels across nothing can be
    // said of it.
    if (8.0 / view.effective_gsd_m < kMinAcross_px) return {};
    const std::vector<BuildingLook> roofs =
        view.maps != nullptr ? roofs_on_map(*view.maps) : roofs_of(view, area_px);
    std::vector<Candidate> candidates(roofs.size());
    parallel_items(static_cast<int>(candidates.size()), [&](int i) {
        Candidate& c = candidates[static_cast<std::size_t>(i)];
        const BuildingLook& look = roofs[static_cast<std::size_t>(i)];
        c.rectangle = look.roof;
        const double longer = std::max(look.roof.half_a, look.roof.half_b),
                     shorter = std::min(look.roof.half_a, look.roof.half_b);
        const double area_m2 = 4 * longer * shorter * view.gsd_m * view.gsd_m;
        if (longer / shorter > kMaxAspect || area_m2 < options.min_building_m2 ||
            area_m2 > options.max_building_m2 || 2 * shorter < kMinAcross_px ||
            !contains(area_px, look.roof.centre) ||
            unseen_share(scene, look.roof.centre, longer) > 0.2 || green_inside(scene, look.roof))
            return;
        c.log_odds = look.log_odds;
    });
    std::erase_if(candidates, [&](const Candidate& c) {
        return c.log_odds < options.building_min_log_odds || c.log_odds <= -12;
    });
    const auto key = [](const Candidate& c) {
        return std::tuple(-c.log_odds, c.rectangle.centre.y, c.rectangle.centre.x,
                          c.rectangle.half_a, c.rectangle.half_b);
    };
    std::sort(candidates.begin(), candidates.end(),
              [&](const Candidate& a, const Candidate& b) { return key(a) < key(b); });
    std::vector<Candidate> chosen;
    for (const Candidate& c : candidates) {
        const Ring ring = ring_of(c.rectangle);
        const double area = 4 * c.rectangle.half_a * c.rectangle.half_b;
        const double radius = std::hypot(c.rectangle.half_a, c.rectangle.half_b);
        if (std::none_of(chosen.begin(), chosen.end(), [&](const Candidate& d) {
                if (distance(d.rectangle.centre, c.rectangle.centre) >
                    radius + std::hypot(d.rectangle.half_a, d.rectangle.half_b))
                    return false;
                return convex_overlap(ring_of(d.rectangle), ring) >
                       0.3 * std::min(area, 4 * d.rectangle.half_a * d.rectangle.half_b);
            }))
            chosen.push_back(c);
    }
    std::vector<Detection> buildings(chosen.size());
    parallel_items(static_cast<int>(chosen.size()), [&](int i) {
        const Candidate& c = chosen[static_cast<std::size_t>(i)];
        Detection& d = buildings[static_cast<std::size_t>(i)];
        d.kind = StructureKind::building;
        d.on_map = view.maps != nullptr;
        d.area_m2 = 4 * c.rectangle.half_a * c.rectangle.half_b * view.gsd_m * view.gsd_m;
        d.log_odds = c.log_odds;
        height_from_shadow(view, c.rectangle, measure_building(view, c.rectangle), d.height_m,
                           d.height_ci);
        // What was found is the roof; the walls stand where it would be seen from above.
        OrientedRectangle walls = c.rectangle;
        walls.centre = walls.centre - roof_shift(view, d.height_m);
        d.footprint_px = ring_of(walls);
        d.centre_px = walls.centre;
    });
    std::sort(buildings.begin(), buildings.end(), [](const Detection& a, const Detection& b) {
        return std::tuple(a.centre_px.y, a.centre_px.x, a.area_m2) <
               std::tuple(b.centre_px.y, b.centre_px.x, b.area_m2);
    });
    return buildings;
}

Point roof_shift(const StructureView& view, std::optional<double> height_m) {
    // The border of a gabled roof lies lower than its ridge.
    return std::clamp(height_m.value_or(4.0) - 0.7, 2.0, 12.0) * view.lean_px_per_m;
}

}  // namespace fenceline
