#include "stages/observe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <opencv2/imgproc.hpp>
#include <optional>
#include <string>
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

// ------------------------------------------------------------------------------ masks from the
// pixels

/// The scene averaged to blocks of about 4 m: clouds are large, and a block has less noise and no
/// roof edges.
struct Coarse {
    int factor = 1;
    double block_m = 0;
    cv::Mat1f brightness;  // mean of the visible bands, 0 where nothing is seen
    cv::Mat1f whiteness;   // (max - min) / mean of red, green and blue; 0 without colour
    cv::Mat1f detail;      // mean |pixel - mean of its 3 × 3| of full resolution, over brightness
    cv::Mat1f saturated;   // share of saturated pixels
    cv::Mat1b seen;        // more than half of the block is valid
    bool colour = false;
    cv::Mat1f ndvi;  // empty without near infrared
};

Coarse coarse_of(const Raster& raster, const Mask& masks) {
    Coarse c;
    const double gsd = raster.grid.gsd();
    c.factor = std::max(1, static_cast<int>(std::lround(4.0 / gsd)));
    c.block_m = gsd * c.factor;
    const int columns = (raster.grid.width + c.factor - 1) / c.factor;
    const int rows = (raster.grid.height + c.factor - 1) / c.factor;
    for (cv::Mat1f* plane : {&c.brightness, &c.whiteness, &c.detail, &c.saturated})
        *plane = cv::Mat1f::zeros(rows, columns);
    c.seen = cv::Mat1b::zeros(rows, columns);
    const Plane *red = raster.band(BandRole::red), *green = raster.band(BandRole::green),
                *blue = raster.band(BandRole::blue), *nir = raster.band(BandRole::nir);
    c.colour = red != nullptr && green != nullptr && blue != nullptr;
    if (nir != nullptr && red != nullptr) c.ndvi = cv::Mat1f::zeros(rows, columns);
    const Plane light = luminance(raster);
    parallel_rows(rows, [&](int first, int last) {
        for (int r = first; r < last; ++r)
            for (int q = 0; q < columns; ++q) {
                double sum = 0, r_sum = 0, g_sum = 0, b_sum = 0, n_sum = 0, detail = 0;
                int count = 0, detailed = 0, saturated = 0, total = 0;
                const int y1 = std::min((r + 1) * c.factor, raster.grid.height);
                const int x1 = std::min((q + 1) * c.factor, raster.grid.width);
                for (int y = r * c.factor; y < y1; ++y)
                    for (int x = q * c.factor; x < x1; ++x) {
                        ++total;
                        if (raster.valid.at(x, y) == 0) continue;
                        ++count;
                        const double value = static_cast<double>(light.at(x, y));
                        sum += value;
                        if ((masks.at(x, y) & kSaturated) != 0) ++saturated;
                        if (c.colour) {
                            r_sum += static_cast<double>(red->at(x, y));
                            g_sum += static_cast<double>(green->at(x, y));
                            b_sum += static_cast<double>(blue->at(x, y));
                        }
                        if (!c.ndvi.empty()) n_sum += static_cast<double>(nir->at(x, y));
                        if (x < 1 || y < 1 || x + 1 >= raster.grid.width ||
                            y + 1 >= raster.grid.height)
                            continue;
                        double around = 0;
                        bool whole = true;
                        for (int j = -1; j <= 1; ++j)
                            for (int i = -1; i <= 1; ++i) {
                                around += static_cast<double>(light.at(x + i, y + j));
                                whole = whole && raster.valid.at(x + i, y + j) != 0;
                            }
                        if (!whole) continue;
                        detail += std::abs(value - around / 9);
                        ++detailed;
                    }
                if (2 * count <= total) continue;
                c.seen(r, q) = 1;
                const double mean = sum / count;
                c.brightness(r, q) = static_cast<float>(mean);
                c.saturated(r, q) = static_cast<float>(saturated) / static_cast<float>(count);
                const double safe = std::max(std::abs(mean), 1e-9);
                if (detailed > 0) c.detail(r, q) = static_cast<float>(detail / detailed / safe);
                if (c.colour)
                    c.whiteness(r, q) = static_cast<float>(
                        (std::max({r_sum, g_sum, b_sum}) - std::min({r_sum, g_sum, b_sum})) /
                        count / safe);
                if (!c.ndvi.empty() && n_sum + r_sum > 0)
                    c.ndvi(r, q) = static_cast<float>((n_sum - r_sum) / (n_sum + r_sum));
            }
    });
    return c;
}

/// The q-quantile of the values where mask is set; 0 when there are none.
double quantile(const cv::Mat1f& values, const cv::Mat1b& mask, double q) {
    std::vector<float> list;
    for (int y = 0; y < values.rows; ++y)
        for (int x = 0; x < values.cols; ++x)
            if (mask(y, x) != 0) list.push_back(values(y, x));
    if (list.empty()) return 0;
    const auto at = static_cast<std::ptrdiff_t>(q * static_cast<double>(list.size() - 1));
    std::nth_element(list.begin(), list.begin() + at, list.end());
    return static_cast<double>(list[static_cast<std::size_t>(at)]);
}

/// A computed mask, nonzero where true.
cv::Mat1b mask_of(const cv::MatExpr& expression) {
    const cv::Mat evaluated = expression;
    return cv::Mat1b(evaluated);
}

cv::Mat1b disc_dilated(const cv::Mat1b& set, double radius_px) {
    if (cv::countNonZero(set) == 0) return set.clone();
    cv::Mat1f away;
    cv::distanceTransform(mask_of(set == 0), away, cv::DIST_L2, cv::DIST_MASK_PRECISE);
    return mask_of(away <= radius_px);
}
cv::Mat1b disc_eroded(const cv::Mat1b& set, double radius_px) {
    // The raster's border is no edge of a cloud that goes on behind it.
    cv::Mat1b padded;
    cv::copyMakeBorder(set, padded, 1, 1, 1, 1, cv::BORDER_REPLICATE);
    if (cv::countNonZero(padded) == static_cast<int>(padded.total())) return set.clone();
    cv::Mat1f deep;
    cv::distanceTransform(padded, deep, cv::DIST_L2, cv::DIST_MASK_PRECISE);
    return mask_of(deep(cv::Rect(1, 1, set.cols, set.rows)) > radius_px);
}

/// Can snow lie at this place at this time of the year? Lowlands poleward of 28°, November to April
/// (half a year later in the south); always beyond 62°.
bool snow_season(const SceneInfo& info, Point place) {
    if (std::abs(place.y) > 62) return true;
    if (std::abs(place.y) < 28 || !info.datetime) return false;
    const int month = civil_from_time(*info.datetime).month;
    const int northern = place.y > 0 ? month : (month + 5) % 12 + 1;
    return northern <= 4 || northern >= 11;
}

/// Cloud, cloud shadow and snow from the pixels alone (after the whiteness and haze tests of Zhu &
/// Woodcock 2012 and their shadow matching, without their thermal and short-wave bands). Careful on
/// purpose: what is not clearly cloud stays visible, because a roof or a snow field that is masked
/// hides what the site is watched for. Cloud: at least 60 m wide, far brighter than the scene's
/// darker ground, white, smooth inside and soft at its edge.
void add_masks_from_pixels(const SceneInfo& info, const Raster& raster, Point place, Mask& masks) {
    const Coarse c = coarse_of(raster, masks);
    if (cv::countNonZero(c.seen) < 64) return;
    const double ground = quantile(c.brightness, c.seen, 0.25),
                 middle = quantile(c.brightness, c.seen, 0.5);
    if (!(ground > 0)) return;
    const double usual_detail = quantile(c.detail, c.seen, 0.5);
    cv::Mat1b white(c.seen.size(), std::uint8_t{0});
    for (int y = 0; y < white.rows; ++y)
        for (int x = 0; x < white.cols; ++x) {
            if (c.seen(y, x) == 0) continue;
            const bool bright =
                static_cast<double>(c.brightness(y, x)) > 1.9 * ground || c.saturated(y, x) > 0.5F;
            const bool plant = !c.ndvi.empty() && c.ndvi(y, x) > 0.25F;
            if (bright && !plant && (!c.colour || c.whiteness(y, x) < 0.16F)) white(y, x) = 1;
        }
    if (cv::countNonZero(white) == 0) return;
    const bool winter = snow_season(info, place);

    // Wide enough: what survives an opening by 30 m, grown back within the white ground.
    const double width_px = 30 / c.block_m;
    const cv::Mat1b wide =
        mask_of(disc_dilated(disc_eroded(white, width_px), 2 * width_px) & white);
    cv::Mat1i labels;
    cv::Mat stats, centres;
    const int count = cv::connectedComponentsWithStats(wide, labels, stats, centres, 8, CV_32S);
    cv::Mat1f gx, gy, slope;
    cv::Sobel(c.brightness, gx, CV_32F, 1, 0, 3, 1.0 / 8);
    cv::Sobel(c.brightness, gy, CV_32F, 0, 1, 3, 1.0 / 8);
    cv::magnitude(gx, gy, slope);
    cv::Mat1b cloud(white.size(), std::uint8_t{0});
    for (int k = 1; k < count; ++k) {
        if (stats.at<int>(k, cv::CC_STAT_AREA) * c.block_m * c.block_m < 6000) continue;
        const cv::Rect box = cv::Rect(stats.at<int>(k, cv::CC_STAT_LEFT) - 12,
                                      stats.at<int>(k, cv::CC_STAT_TOP) - 12,
                                      stats.at<int>(k, cv::CC_STAT_WIDTH) + 24,
                                      stats.at<int>(k, cv::CC_STAT_HEIGHT) + 24) &
                             cv::Rect(0, 0, white.cols, white.rows);
        const cv::Mat1b part = mask_of(labels(box) == k);
        const cv::Mat1b inner = disc_eroded(part, 8 / c.block_m);
        const cv::Mat1b rim =
            mask_of(disc_dilated(part, 8 / c.block_m) & (inner == 0) & c.seen(box));
        const cv::Mat1b outside = mask_of(disc_dilated(part, 40 / c.block_m) &
                                          (disc_dilated(part, 12 / c.block_m) == 0) & c.seen(box));
        const double inside = quantile(c.brightness(box), inner, 0.5);
        const double contrast = inside - quantile(c.brightness(box), outside, 0.5);
        // Metres over which the brightness rises at the rim.
        const double steep = quantile(slope(box), rim, 0.5) / c.block_m;
        const bool has_outside = cv::countNonZero(outside) > 0;
        const double rise_m = steep > 0 ? contrast / steep : 1e9;
        const bool soft = !has_outside || rise_m > std::max(20.0, 5 * c.block_m);
        const bool smooth = quantile(c.detail(box), inner, 0.8) <
                            std::min(0.02, std::max(0.004, 0.7 * usual_detail));
        // On snow roads, rows and houses are seen. In its season what is in doubt is snow.
        if (smooth && soft &&
            (!winter || quantile(c.detail(box), inner, 0.95) < 0.006 || rise_m > 45))
            cloud(box).setTo(1, part);
    }

    cv::Mat1b shadow(white.size(), std::uint8_t{0});
    const int cloud_px = cv::countNonZero(cloud);
    if (cloud_px > 0) {
        // Thin rims belong to the cloud.
        cloud = mask_of(disc_dilated(cloud, 25 / c.block_m) & c.seen);
        if (info.sun_azimuth_deg && info.sun_elevation_deg && *info.sun_elevation_deg > 5) {
            const double degree = std::numbers::pi / 180;
            // Away from the sun; grid north is up, convergence is far below a cloud's size.
            const Point away{-std::sin(*info.sun_azimuth_deg * degree),
                             std::cos(*info.sun_azimuth_deg * degree)};
            const double per_height = 1 / std::tan(*info.sun_elevation_deg * degree);
            const cv::Mat1b clear = mask_of(c.seen & (cloud == 0));
            const double dark = 0.72 * quantile(c.brightness, clear, 0.5);
            double best = 0, best_shift = 0;
            for (double shift = 150 * per_height; shift <= 6000 * per_height;
                 shift += 2 * c.block_m) {
                const int dx = static_cast<int>(std::lround(shift * away.x / c.block_m));
                const int dy = static_cast<int>(std::lround(shift * away.y / c.block_m));
                int seen = 0, shaded = 0;
                for (int y = std::max(0, -dy); y < std::min(cloud.rows, cloud.rows - dy); ++y)
                    for (int x = std::max(0, -dx); x < std::min(cloud.cols, cloud.cols - dx); ++x)
                        if (cloud(y, x) != 0 && clear(y + dy, x + dx) != 0) {
                            ++seen;
                            shaded += static_cast<double>(c.brightness(y + dy, x + dx)) < dark;
                        }
                if (seen < cv::countNonZero(cloud) / 4) continue;
                const double share = static_cast<double>(shaded) / seen;
                if (share > best) best = share, best_shift = shift;
            }
            if (best > 0.5) {
                const int dx = static_cast<int>(std::lround(best_shift * away.x / c.block_m));
                const int dy = static_cast<int>(std::lround(best_shift * away.y / c.block_m));
                for (int y = std::max(0, -dy); y < std::min(cloud.rows, cloud.rows - dy); ++y)
                    for (int x = std::max(0, -dx); x < std::min(cloud.cols, cloud.cols - dx); ++x)
                        if (cloud(y, x) != 0) shadow(y + dy, x + dx) = 1;
                shadow = mask_of(disc_dilated(shadow, 25 / c.block_m) & clear &
                                 mask_of(c.brightness < 0.85 * middle));
            }
        }
    }
    parallel_rows(raster.grid.height, [&](int y0, int y1) {
        for (int y = y0; y < y1; ++y)
            for (int x = 0; x < raster.grid.width; ++x) {
                std::uint8_t& bits = masks.at(x, y);
                if ((bits & kNoData) != 0) continue;
                const int r = y / c.factor, q = x / c.factor;
                if (cloud(r, q) != 0)
                    bits |= kCloud;
                else if (shadow(r, q) != 0)
                    bits |= kCloudShadow;
                else if (winter && white(r, q) != 0)
                    bits |= kSnow;
            }
    });
}

/// The one value that all of the valid samples of every band have; none when they differ.
std::optional<std::vector<float>> one_value(const Raster& raster) {
    constexpr std::size_t kFewPixels = 64;  // they may well have the same one; 2e-6: of sampling
    std::vector<float> first;
    std::size_t count = 0;
    for (int y = 0; y < raster.grid.height; ++y)
        for (int x = 0; x < raster.grid.width; ++x) {
            if (raster.valid.at(x, y) == 0) continue;
            ++count;
            if (first.empty())
                for (const Plane& band : raster.bands) first.push_back(band.at(x, y));
            for (std::size_t b = 0; b < first.size(); ++b)
                if (std::abs(raster.bands[b].at(x, y) - first[b]) > 2e-6F * std::abs(first[b]))
                    return std::nullopt;
        }
    if (count < kFewPixels) return std::nullopt;
    return first;
}

}  // namespace

Grid common_grid(const Ring& area_lonlat, std::span<const SceneInfo> scenes,
                 const ObserveOptions& options) {
    Ring around = area_lonlat;  // across the antimeridian: without the jump from 180 to -180
    for (Point& p : around) p.x -= 360 * std::round((p.x - around.front().x) / 360);
    const Bounds place = bounds_of(around);
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
    if (const auto value = one_value(raster))
        throw DataError(info.path,
                        fmt::format("it shows nothing: all of its pixels here have the same value "
                                    "({:g})",
                                    fmt::join(*value, ", ")),
                        "look whether it is the right file, and whole");
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
        const bool date_alone = when == midnight;
        if (date_alone || sun.elevation_deg < 5) {
            // Imaging satellites cross the equator at about half past ten, local solar time.
            when =
                time_from_civil(date.year, date.month, date.day, (10.5 - centre.x / 15.0) * 3600.0);
            sun = sun_position(when, centre);
            info.notes.push_back(fmt::format(
                "{}: sun computed for 10:30 local solar time",
                date_alone
                    ? std::string("time of day not known")
                    : "at its time, " + format_time(*info.datetime) + ", it is night there"));
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
    if (!mask_given && !raster.bands.empty()) {
        try {
            add_masks_from_pixels(info, raster, centre, given_masks);
        } catch (const cv::Exception& error) {
            info.notes.push_back(std::string("no cloud mask could be made: ") + error.what());
        }
    }

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
