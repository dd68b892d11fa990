#include "output/image_chips.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "core/error.h"
#include "core/projection.h"

namespace fenceline {
namespace {

constexpr int kQuality = 84;
constexpr std::uint8_t kNoDataGrey = 232;

/// Red, green, blue planes to show; all the same for grey. `grey` holds the luminance when one has
/// to be computed.
std::array<const Plane*, 3> channels(const Raster& raster, Plane& grey) {
    const Plane *red = raster.band(BandRole::red), *green = raster.band(BandRole::green),
                *blue = raster.band(BandRole::blue);
    if (red != nullptr && green != nullptr && blue != nullptr) return {red, green, blue};
    if (raster.bands.size() == 1) return {&raster.bands[0], &raster.bands[0], &raster.bands[0]};
    grey = luminance(raster);
    return {&grey, &grey, &grey};
}

bool valid_at(const Raster& raster, int x, int y) {
    return raster.valid.empty() || raster.valid.at(x, y) != 0;
}

cv::Mat view(const Plane& plane, Window w) {
    // OpenCV has no read-only header; nothing writes through this one.
    return cv::Mat(w.height, w.width, CV_32F, const_cast<float*>(plane.row(w.y)) + w.x,
                   plane.stride() * sizeof(float));
}

/// A rectangle around a change with some ground about it, 4:3, inside the grid.
Window window_of(const ReportChange& change, const GridProjection& projection, double gsd,
                 const ChipOptions& options) {
    const Grid& grid = projection.grid();
    Ring px = projection.px_from_lonlat(change.footprint.empty() ? Ring{change.position}
                                                                 : change.footprint);
    double left = 1e30, right = -1e30, top = 1e30, bottom = -1e30;
    for (const Point p : px) {
        if (!std::isfinite(p.x) || !std::isfinite(p.y)) return {};
        left = std::min(left, p.x), right = std::max(right, p.x);
        top = std::min(top, p.y), bottom = std::max(bottom, p.y);
    }
    if (px.empty() || right < 0 || bottom < 0 || left > grid.width || top > grid.height) return {};
    const double margin =
        std::max(options.margin_m / gsd, 0.12 * std::max(right - left, bottom - top));
    double width = right - left + 2 * margin, height = bottom - top + 2 * margin;
    width = std::max(width, height * 4 / 3), height = std::max(height, width * 3 / 4);
    const int w = std::clamp(static_cast<int>(std::ceil(width)), 1, grid.width);
    const int h = std::clamp(static_cast<int>(std::ceil(height)), 1, grid.height);
    const int x = std::clamp(static_cast<int>((left + right - w) / 2), 0, grid.width - w);
    const int y = std::clamp(static_cast<int>((top + bottom - h) / 2), 0, grid.height - h);
    return {x, y, w, h};
}

int rank_of(const ReportChange& change) {
    int rank = change.kind.starts_with("perimeter_") ? 0 : 10;
    if (change.state == "confirmed" || change.state == "ended") return rank;
    return rank + (change.state == "provisional" ? 1 : 2);
}

}  // namespace

Stretch stretch_of(const Raster& raster) {
    Stretch stretch;
    if (raster.bands.empty()) return stretch;
    Plane grey;
    const auto shown = channels(raster, grey);
    const int width = raster.bands[0].width(), height = raster.bands[0].height();
    const double pixels = static_cast<double>(width) * height;
    const int step = std::max(1, static_cast<int>(std::sqrt(pixels / 1e6)));
    for (std::size_t c = 0; c < 3; ++c) {
        std::vector<float> values;
        for (int y = step / 2; y < height; y += step)
            for (int x = step / 2; x < width; x += step)
                if (valid_at(raster, x, y) && std::isfinite(shown[c]->at(x, y)))
                    values.push_back(shown[c]->at(x, y));
        if (values.empty()) continue;
        const auto percentile = [&](double share) {
            const auto at = values.begin() + static_cast<std::ptrdiff_t>(
                                                 share * static_cast<double>(values.size() - 1));
            std::nth_element(values.begin(), at, values.end());
            return *at;
        };
        stretch.low[c] = percentile(0.02);
        stretch.high[c] = percentile(0.98);
    }
    return stretch;
}

ImageChip make_chip(const Raster& raster, const Stretch& stretch, Window window, int max_px) {
    ImageChip chip;
    if (raster.bands.empty() || max_px < 1) return chip;
    window = intersect(window, {0, 0, raster.bands[0].width(), raster.bands[0].height()});
    if (window.width <= 0 || window.height <= 0) return chip;
    const double scale =
        std::min(1.0, static_cast<double>(max_px) / std::max(window.width, window.height));
    const cv::Size size(std::max(1, static_cast<int>(std::lround(window.width * scale))),
                        std::max(1, static_cast<int>(std::lround(window.height * scale))));
    try {
        Plane grey;
        const auto shown = channels(raster, grey);
        cv::Mat seen;  // share of each output pixel that has data
        if (!raster.valid.empty()) {
            cv::Mat mask(window.height, window.width, CV_8U);
            for (int y = 0; y < window.height; ++y)
                for (int x = 0; x < window.width; ++x)
                    mask.at<std::uint8_t>(y, x) =
                        valid_at(raster, window.x + x, window.y + y) ? 255 : 0;
            cv::resize(mask, seen, size, 0, 0, cv::INTER_AREA);
        }
        cv::Mat picture(size, CV_8UC3);
        for (std::size_t c = 0; c < 3; ++c) {
            cv::Mat averaged;
            cv::resize(view(*shown[c], window), averaged, size, 0, 0, cv::INTER_AREA);
            const float low = stretch.low[c], range = std::max(1e-6F, stretch.high[c] - low);
            for (int y = 0; y < size.height; ++y)
                for (int x = 0; x < size.width; ++x) {
                    const int have = seen.empty() ? 255 : seen.at<std::uint8_t>(y, x);
                    std::uint8_t out = kNoDataGrey;
                    if (have > 0) {
                        // Pixels without data hold 0: the average is over those that have some.
                        const float value =
                            averaged.at<float>(y, x) * 255.0F / static_cast<float>(have);
                        const float unit = (value - low) / range;
                        out = std::isfinite(unit) ? static_cast<std::uint8_t>(std::lround(
                                                        255 * std::clamp(unit, 0.0F, 1.0F)))
                                                  : kNoDataGrey;
                    }
                    picture.at<cv::Vec3b>(y, x)[2 - static_cast<int>(c)] = out;
                }
        }
        cv::imencode(".jpg", picture, chip.jpeg, {cv::IMWRITE_JPEG_QUALITY, kQuality});
    } catch (const cv::Exception& error) {
        throw DataError("image chip", std::string("cannot be made: ") + error.what());
    }
    chip.width = size.width;
    chip.height = size.height;
    const GridProjection projection(raster.grid);
    const double x0 = window.x, y0 = window.y, x1 = x0 + window.width, y1 = y0 + window.height;
    chip.corners_lonlat = {projection.lonlat_from_px({x0, y0}), projection.lonlat_from_px({x1, y0}),
                           projection.lonlat_from_px({x1, y1}),
                           projection.lonlat_from_px({x0, y1})};
    return chip;
}

std::vector<std::size_t> changes_to_show(const Report& report, int most) {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < report.changes.size(); ++i)
        if (report.changes[i].state != "rejected") order.push_back(i);
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        const ReportChange &p = report.changes[a], &q = report.changes[b];
        if (rank_of(p) != rank_of(q)) return rank_of(p) < rank_of(q);
        if (p.confidence != q.confidence) return p.confidence > q.confidence;
        return p.id < q.id;
    });
    if (order.size() > static_cast<std::size_t>(std::max(0, most)))
        order.resize(static_cast<std::size_t>(std::max(0, most)));
    return order;
}

ScenePair scenes_of(const Report& report, const ReportChange& change) {
    ScenePair pair;
    for (const ReportScene& scene : report.scenes) {
        if (scene.role == "left_out" || !scene.datetime) continue;
        if (change.last_not_seen && *scene.datetime == *change.last_not_seen)
            pair.before = scene.id;
        if (change.first_seen && *scene.datetime == *change.first_seen) pair.after = scene.id;
    }
    return pair;
}

std::vector<ImageChip> scene_chips(const Report& report, const std::string& scene_id,
                                   const Raster& raster, const ChipOptions& options) {
    std::vector<ImageChip> chips;
    if (raster.bands.empty()) return chips;
    std::string date = scene_id;
    int shown_scenes = 0;
    for (const ReportScene& scene : report.scenes) {
        shown_scenes += scene.role != "left_out" ? 1 : 0;
        if (scene.id == scene_id && scene.datetime) date = format_date(*scene.datetime);
    }
    const Stretch stretch = stretch_of(raster);
    const Window whole{0, 0, raster.bands[0].width(), raster.bands[0].height()};
    // A JPEG of ground takes about 0.35 byte a pixel at this quality.
    const double aspect = static_cast<double>(std::min(whole.width, whole.height)) /
                          std::max(whole.width, whole.height);
    const double side = std::sqrt(static_cast<double>(options.overview_bytes) /
                                  (0.35 * std::max(1, shown_scenes) * std::max(0.2, aspect)));
    ImageChip overview = make_chip(raster, stretch, whole,
                                   std::clamp(static_cast<int>(side), 320, options.overview_px));
    overview.scene_id = scene_id;
    overview.caption = fmt::format("The whole area on {}", date);
    chips.push_back(std::move(overview));
    const GridProjection projection(raster.grid);
    const double gsd = report.grid.gsd_m > 0 ? report.grid.gsd_m : raster.grid.gsd();
    for (const std::size_t i : changes_to_show(report, options.max_changes)) {
        const ReportChange& change = report.changes[i];
        const ScenePair pair = scenes_of(report, change);
        if (pair.before != scene_id && pair.after != scene_id) continue;
        ImageChip chip = make_chip(raster, stretch, window_of(change, projection, gsd, options),
                                   options.detail_px);
        if (chip.jpeg.empty()) continue;
        chip.scene_id = scene_id;
        chip.change_id = change.id;
        chip.caption = fmt::format("Change {} on {}", change.id, date);
        chips.push_back(std::move(chip));
    }
    return chips;
}

}  // namespace fenceline
