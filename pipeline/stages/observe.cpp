#include "stages/observe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "core/error.h"
#include "core/geodesic.h"
#include "core/parallel.h"
#include "core/projection.h"

namespace fenceline {
namespace {

struct Bounds {
    double x0 = std::numeric_limits<double>::infinity(), y0 = x0, x1 = -x0, y1 = -x0;
    void add(Point p) {
        x0 = std::min(x0, p.x);
        x1 = std::max(x1, p.x);
        y0 = std::min(y0, p.y);
        y1 = std::max(y1, p.y);
    }
    bool empty() const { return !(x1 > x0 && y1 > y0); }
};

Bounds bounds_of(const Ring& ring) {
    Bounds b;
    for (const Point& p : ring)
        if (std::isfinite(p.x) && std::isfinite(p.y)) b.add(p);
    return b;
}

Bounds meet(const Bounds& a, const Bounds& b) {
    Bounds m;
    m.x0 = std::max(a.x0, b.x0);
    m.y0 = std::max(a.y0, b.y0);
    m.x1 = std::min(a.x1, b.x1);
    m.y1 = std::min(a.y1, b.y1);
    return m;
}

/// Calls span(y, x0, x1) for the pixels whose centres lie inside a ring (even-odd), clipped to the
/// raster.
template <class Span>
void for_each_span(const Ring& ring_px, int width, int height, const Span& span) {
    std::vector<double> crossings;
    const Bounds b = bounds_of(ring_px);
    if (b.empty()) return;
    const int first =
        static_cast<int>(std::clamp(std::floor(b.y0), 0.0, static_cast<double>(height)));
    const int last =
        static_cast<int>(std::clamp(std::ceil(b.y1), 0.0, static_cast<double>(height)));
    for (int y = first; y < last; ++y) {
        crossings.clear();
        const double at = y + 0.5;
        for (std::size_t i = 0, j = ring_px.size() - 1; i < ring_px.size(); j = i++) {
            const Point &p = ring_px[i], &q = ring_px[j];
            if ((p.y > at) != (q.y > at))
                crossings.push_back(p.x + (at - p.y) / (q.y - p.y) * (q.x - p.x));
        }
        std::sort(crossings.begin(), crossings.end());
        for (std::size_t i = 0; i + 1 < crossings.size(); i += 2) {
            const int x0 = static_cast<int>(
                std::clamp(std::ceil(crossings[i] - 0.5), 0.0, static_cast<double>(width)));
            const int x1 = static_cast<int>(
                std::clamp(std::ceil(crossings[i + 1] - 0.5), 0.0, static_cast<double>(width)));
            if (x1 > x0) span(y, x0, x1);
        }
    }
}

}  // namespace

Grid common_grid(const Ring& area_lonlat, std::span<const SceneInfo> scenes,
                 const ObserveOptions& options) {
    const Bounds place = bounds_of(area_lonlat);
    if (area_lonlat.size() < 3 || place.empty())
        throw DataError("site", "its area of interest is not known",
                        "give it a polygon, or a point with radius_m");
    const std::string crs = utm_crs({0.5 * (place.x0 + place.x1), 0.5 * (place.y0 + place.y1)});
    const Transform to_utm("EPSG:4326", crs);
    Bounds wanted = bounds_of(to_utm(area_lonlat));
    if (wanted.empty())
        throw DataError("site", "its area of interest cannot be projected",
                        "check its coordinates");
    const Bounds area = wanted;
    wanted.x0 -= options.margin_m;
    wanted.y0 -= options.margin_m;
    wanted.x1 += options.margin_m;
    wanted.y1 += options.margin_m;

    Bounds covered;
    bool all_known = true;
    double finest = std::numeric_limits<double>::infinity();
    for (const SceneInfo& scene : scenes) {
        if (!scene.left_out.empty()) continue;
        if (scene.footprint_lonlat.empty()) {
            all_known = false;
            if (scene.gsd_m > 0) finest = std::min(finest, scene.gsd_m);
            continue;
        }
        const Bounds footprint = bounds_of(to_utm(scene.footprint_lonlat));
        if (footprint.empty() || meet(footprint, area).empty()) continue;  // shows another place
        covered.add({footprint.x0, footprint.y0});
        covered.add({footprint.x1, footprint.y1});
        if (scene.gsd_m > 0) finest = std::min(finest, scene.gsd_m);
    }
    if (all_known) {
        if (covered.empty())
            throw DataError("site", "no image shows any of its area of interest",
                            "check the site and the images");
        wanted = meet(wanted, covered);
    }
    double gsd = options.gsd_m;
    if (!(gsd > 0)) {
        if (!std::isfinite(finest))
            throw DataError("site", "the pixel size of its images is not known",
                            "give --observe.gsd_m");
        // Three digits: true pixel sizes differ in the fourth from scene to scene and row to row.
        const double digit = std::pow(10.0, std::floor(std::log10(finest)) - 2);
        gsd = std::round(finest / digit) * digit;
    }
    const double x0 = std::floor(wanted.x0 / gsd + 1e-6), x1 = std::ceil(wanted.x1 / gsd - 1e-6);
    const double y0 = std::floor(wanted.y0 / gsd + 1e-6), y1 = std::ceil(wanted.y1 / gsd - 1e-6);
    if (!((x1 - x0) * (y1 - y0) <= 4e9) || x1 - x0 > 2e5 || y1 - y0 > 2e5)
        throw DataError("site",
                        fmt::format("its common grid would have {:.0f}×{:.0f} pixels of {} m",
                                    x1 - x0, y1 - y0, gsd),
                        "choose a coarser grid (--observe.gsd_m) or a smaller area");
    Grid grid;
    grid.crs_wkt = wkt_of(crs);
    grid.geotransform = {x0 * gsd, gsd, 0, y1 * gsd, 0, -gsd};
    grid.width = std::max(1, static_cast<int>(x1 - x0));
    grid.height = std::max(1, static_cast<int>(y1 - y0));
    return grid;
}

Scene observe(SceneInfo info, Raster raster, Mask given_masks, bool mask_given,
              const Ring& area_lonlat, const ObserveOptions& options) {
    const Grid grid = raster.grid;
    const GridProjection projection(grid);
    Scene scene;
    const Point centre = projection.lonlat_from_px(Point{0.5 * grid.width, 0.5 * grid.height});
    if ((!info.sun_azimuth_deg || !info.sun_elevation_deg) && info.datetime &&
        std::isfinite(centre.x)) {
        Time when = *info.datetime;
        const CivilDate date = civil_from_time(when);
        const Time midnight = time_from_civil(date.year, date.month, date.day);
        SunPosition sun = sun_position(when, centre);
        if (when == midnight || sun.elevation_deg < 5) {
            // A date alone. Imaging satellites cross the equator at about half past ten, local
            // solar time.
            when =
                time_from_civil(date.year, date.month, date.day, (10.5 - centre.x / 15.0) * 3600.0);
            sun = sun_position(when, centre);
            info.notes.push_back("time of day not known: sun computed for 10:30 local solar time");
        }
        info.sun_azimuth_deg = sun.azimuth_deg;
        info.sun_elevation_deg = sun.elevation_deg;
        info.sun_computed = true;
    }

    if (given_masks.width() != grid.width || given_masks.height() != grid.height)
        given_masks = Mask(grid.width, grid.height);
    for (int y = 0; y < grid.height; ++y)
        for (int x = 0; x < grid.width; ++x)
            if (raster.valid.at(x, y) == 0) given_masks.at(x, y) |= kNoData;
    (void)mask_given;

    const Ring area_px = projection.px_from_lonlat(area_lonlat);
    std::int64_t inside = 0, hidden = 0, no_data = 0, cloud = 0, shadow = 0;
    for_each_span(area_px, grid.width, grid.height, [&](int y, int x0, int x1) {
        const std::uint8_t* row = given_masks.row(y);
        for (int x = x0; x < x1; ++x) {
            ++inside;
            if ((row[x] & kHidden) == 0) continue;
            ++hidden;
            if ((row[x] & kNoData) != 0)
                ++no_data;
            else if ((row[x] & kCloud) != 0)
                ++cloud;
            else
                ++shadow;
        }
    });
    // Ground of the area that lies outside the grid is ground that is not seen.
    const double total = std::max(static_cast<double>(inside), std::abs(signed_area(area_px)));
    scene.usable_fraction =
        total > 0 ? std::clamp(static_cast<double>(inside - hidden) / total, 0.0, 1.0) : 0.0;
    scene.may_start_change = scene.usable_fraction >= options.usable_to_start;
    if (scene.usable_fraction < options.usable_to_support && info.left_out.empty()) {
        const auto share = [&](double count) { return total > 0 ? 100 * count / total : 100.0; };
        info.left_out = fmt::format(
            "only {:.0f} % of the area can be seen (no data {:.0f} %, cloud {:.0f} %, cloud shadow "
            "{:.0f} %)",
            100 * scene.usable_fraction,
            share(total - static_cast<double>(inside) + static_cast<double>(no_data)),
            share(static_cast<double>(cloud)), share(static_cast<double>(shadow)));
    }
    scene.info = std::move(info);
    scene.raster = std::move(raster);
    scene.masks = std::move(given_masks);
    return scene;
}

}  // namespace fenceline
