#include "pair_order.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "core/error.h"
#include "core/warp_grid.h"

namespace fenceline {
namespace {

constexpr double kSameStep = 0.05;  // px; over the whole image
constexpr double kSameSize = 1.25;  // of the larger to the smaller, in pixels
constexpr int kCell = 16;           // px; places in between are interpolated

bool differ_by_a_shift(const Grid& a, const Grid& b) {
    if (a.crs_wkt != b.crs_wkt) return false;
    const double longest = std::max({a.width, a.height, b.width, b.height}), gsd = a.gsd();
    for (const int k : {1, 2, 4, 5}) {
        const auto i = static_cast<std::size_t>(k);
        if (std::abs(a.geotransform[i] - b.geotransform[i]) * longest > kSameStep * gsd)
            return false;
    }
    const double p = static_cast<double>(a.width) * a.height,
                 q = static_cast<double>(b.width) * b.height;
    return std::max(p, q) <= kSameSize * std::min(p, q);
}

ChangeClass mirrored(ChangeClass c) {
    if (c == ChangeClass::appeared) return ChangeClass::disappeared;
    if (c == ChangeClass::disappeared) return ChangeClass::appeared;
    return c;
}

/// Rows of a map on the grid that place() leads to, by the nearest pixel.
class TurnedRows {
  public:
    TurnedRows(CompareOutcome& outcome, const Grid& wanted, Warp place, Point offset)
        : row_(std::move(outcome.map_row)),
          width_(outcome.grid.width),
          height_(outcome.grid.height),
          wanted_width_(wanted.width),
          place_(std::move(place)),
          offset_(offset) {}

    void operator()(int y, std::uint8_t* change, float* probability) const {
        const auto columns = static_cast<std::size_t>(wanted_width_);
        std::vector<int> xs(columns), ys(columns);
        int top = height_, bottom = -1;
        for (int x0 = 0; x0 < wanted_width_; x0 += kCell) {
            const Point a = place_({x0 + 0.5, y + 0.5}) + offset_,
                        b = place_({x0 + kCell + 0.5, y + 0.5}) + offset_;
            for (int x = x0; x < std::min(wanted_width_, x0 + kCell); ++x) {
                const double t = static_cast<double>(x - x0) / kCell;
                const double u = std::floor(a.x + t * (b.x - a.x)),
                             v = std::floor(a.y + t * (b.y - a.y));
                const auto i = static_cast<std::size_t>(x);
                ys[i] = -1;
                if (!(u >= 0 && v >= 0 && u < width_ && v < height_)) continue;
                xs[i] = static_cast<int>(u);
                ys[i] = static_cast<int>(v);
                top = std::min(top, ys[i]);
                bottom = std::max(bottom, ys[i]);
            }
        }
        std::fill(change, change + columns, static_cast<std::uint8_t>(ChangeClass::not_observed));
        std::fill(probability, probability + columns, 0.0F);
        std::vector<std::uint8_t> found(static_cast<std::size_t>(width_));
        std::vector<float> likely(found.size());
        for (int v = top; v <= bottom; ++v) {
            row_(v, found.data(), likely.data());
            for (std::size_t i = 0; i < columns; ++i) {
                if (ys[i] != v) continue;
                const auto from = static_cast<std::size_t>(xs[i]);
                change[i] =
                    static_cast<std::uint8_t>(mirrored(static_cast<ChangeClass>(found[from])));
                probability[i] = likely[from];
            }
        }
    }

  private:
    std::function<void(int, std::uint8_t*, float*)> row_;
    int width_, height_, wanted_width_;
    Warp place_;
    Point offset_;
};

Normalization inverse(const Normalization& given, const SceneInfo& first, const SceneInfo& second) {
    Normalization out = given;
    out.bands.assign(static_cast<std::size_t>(std::max(0, second.band_count)), {});
    std::vector<bool> used(given.bands.size(), false);
    const auto role = [](const SceneInfo& info, std::size_t b) {
        return b < info.roles.size() ? info.roles[b] : BandRole::other;
    };
    for (std::size_t b = 0; b < out.bands.size(); ++b)
        for (std::size_t k = 0; k < given.bands.size(); ++k)
            if (!used[k] && (role(first, k) == role(second, b) || given.bands.size() == 1)) {
                used[k] = given.bands.size() > 1;
                const BandLine& line = given.bands[k];
                if (line.gain != 0)
                    out.bands[b] = {1 / line.gain, -line.offset / line.gain,
                                    line.rmse_before / line.gain, line.rmse_after / line.gain};
                break;
            }
    return out;
}

}  // namespace

bool judged_in_frame_of_after(const SceneInfo& before, const SceneInfo& after,
                              const GeorefOptions& georef) {
    try {
        if (!differ_by_a_shift(image_grid(before, georef), image_grid(after, georef))) return false;
    } catch (const DataError&) {
        return false;  // what is wrong is said where the grid is needed
    }
    if (before.datetime && after.datetime && before.datetime != after.datetime)
        return *after.datetime < *before.datetime;
    return after.sha256 < before.sha256;
}

void turn(CompareOutcome& out, const Grid& before_grid) {
    const Grid after_grid = out.grid;
    Alignment& alignment = out.alignment;
    const Warp forward = alignment.target_from_reference;
    // Pixels of BEFORE's grid are those of AFTER's and the same shift everywhere.
    const Point shift = before_grid.px_from_map(after_grid.map_from_px({0, 0})),
                back = -1.0 * shift;
    const auto to_before = [&](Point p) { return forward(p) + shift; };
    alignment.target_from_reference = warp_on_grid(
        inverse(forward, after_grid.width, after_grid.height), after_grid, before_grid);
    alignment.dx_m = -alignment.dx_m;
    alignment.dy_m = -alignment.dy_m;
    for (TiePoint& tie : alignment.tie_points) {
        const Point reference = tie.target_px + shift;
        tie.target_px = tie.reference_px + shift;
        tie.reference_px = reference;
    }
    out.normalization = inverse(out.normalization, out.before.info, out.after.info);
    out.map_row = TurnedRows(out, before_grid, alignment.target_from_reference, back);
    for (ChangeObject& object : out.map.objects) {
        for (Point& p : object.outline_px) p = to_before(p);
        object.centre_px = to_before(object.centre_px);
        object.change_class = mirrored(object.change_class);
    }
    std::stable_sort(out.map.objects.begin(), out.map.objects.end(),
                     [](const ChangeObject& a, const ChangeObject& b) {
                         return std::tuple(a.centre_px.y, a.centre_px.x, a.area_m2) <
                                std::tuple(b.centre_px.y, b.centre_px.x, b.area_m2);
                     });
    std::swap(out.before, out.after);
    out.grid = before_grid;
}

}  // namespace fenceline
