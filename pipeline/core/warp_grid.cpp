#include "core/warp_grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/error.h"
#include "core/projection.h"

namespace fenceline {
namespace {

/// Nodes of the carried-over lattice at most: 4 MB.
constexpr double kMostNodes = 500000;

/// The affine map that takes three places where f takes them (f being affine).
template <class Function>
Affine affine_through(const Function& f, double width, double height) {
    const Point o = f({0, 0}), x = f({width, 0}), y = f({0, height});
    return {{o.x, (x.x - o.x) / width, (y.x - o.x) / height, o.y, (x.y - o.y) / width,
             (y.y - o.y) / height}};
}

}  // namespace

Warp warp_on_grid(const Warp& warp, const Grid& own, const Grid& wanted) {
    if (own == wanted) return warp;
    std::optional<Transform> between;
    if (own.crs_wkt != wanted.crs_wkt) between.emplace(wanted.crs_wkt, own.crs_wkt);
    const auto own_from_wanted = [&](Point p) {
        const Point map = wanted.map_from_px(p);
        return own.px_from_map(between ? (*between)(map) : map);
    };
    const auto wanted_from_own = [&](Point p) {
        const Point map = own.map_from_px(p);
        return wanted.px_from_map(between ? between->inverse(map) : map);
    };
    const double width = wanted.width, height = wanted.height;
    double left = 1e300, right = -1e300, top = 1e300, bottom = -1e300;
    for (int j = 0; j <= 8; ++j)
        for (int i = 0; i <= 8; ++i) {
            const Point p = own_from_wanted({width * i / 8, height * j / 8});
            if (!std::isfinite(p.x) || !std::isfinite(p.y)) continue;
            left = std::min(left, p.x), right = std::max(right, p.x);
            top = std::min(top, p.y), bottom = std::max(bottom, p.y);
        }
    if (!(left < own.width && right > 0 && top < own.height && bottom > 0))
        throw DataError("transform", "it was made for other ground than this image shows",
                        "use a REFERENCE that overlaps the one that it was made with");
    const auto moved = [&](Point p) { return wanted_from_own(warp(own_from_wanted(p))); };
    Warp out;
    if (!between && warp.local.columns == 0) {
        out.affine = affine_through(moved, width, height);
        return out;
    }
    // The affine part by itself, then what is left on a lattice.
    Warp global;
    global.affine = warp.affine;
    out.affine = affine_through(
        [&](Point p) { return wanted_from_own(global(own_from_wanted(p))); }, width, height);
    const double ratio = std::hypot(right - left, bottom - top) / std::hypot(width, height);
    LocalField& field = out.local;
    field.spacing_px =
        std::max({4.0, (warp.local.columns > 0 ? warp.local.spacing_px / 3 : 64) / ratio,
                  std::sqrt(width * height / kMostNodes)});
    field.columns = static_cast<int>(std::ceil(width / field.spacing_px)) + 1;
    field.rows = static_cast<int>(std::ceil(height / field.spacing_px)) + 1;
    for (int j = 0; j < field.rows; ++j)
        for (int i = 0; i < field.columns; ++i) {
            const Point p{i * field.spacing_px, j * field.spacing_px};
            const Point rest = moved(p) - out.affine(p);
            const bool finite = std::isfinite(rest.x) && std::isfinite(rest.y);
            field.dx.push_back(finite ? static_cast<float>(rest.x) : 0.0F);
            field.dy.push_back(finite ? static_cast<float>(rest.y) : 0.0F);
        }
    return out;
}

}  // namespace fenceline
