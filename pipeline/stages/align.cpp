#include "stages/align.h"

#include <fmt/format.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <opencv2/core.hpp>

#include "stages/align_levels.h"
#include "stages/align_model.h"
#include "stages/align_windows.h"

namespace fenceline {
namespace {

constexpr int kSmallestImage = 64;
constexpr double kLeastSupport = 0.4;  ///< of the grid near tie points; below, a warning

/// Share of the grid that has a kept tie point within radius_px.
double supported_share(const std::vector<Match>& matches, const Frame& frame, double radius_px) {
    constexpr int kSteps = 40;
    int supported = 0;
    for (int j = 0; j < kSteps; ++j)
        for (int i = 0; i < kSteps; ++i) {
            const Point place{frame.width * (i + 0.5) / kSteps, frame.height * (j + 0.5) / kSteps};
            supported += std::any_of(matches.begin(), matches.end(),
                                     [&](const Match& m) {
                                         const Point d = place - m.reference_px;
                                         return m.kept && dot(d, d) <= radius_px * radius_px;
                                     })
                             ? 1
                             : 0;
        }
    return supported / static_cast<double>(kSteps * kSteps);
}

/// Root mean square of σ_r, both axes, over the supported part of the grid.
double expected_rmse(const std::vector<Match>& matches, const Frame& frame, double radius_px,
                     const ResidualField& residual) {
    constexpr int kSteps = 40;
    double variance = 0, count = 0;
    for (int j = 0; j < kSteps; ++j)
        for (int i = 0; i < kSteps; ++i) {
            const Point p{frame.width * (i + 0.5) / kSteps, frame.height * (j + 0.5) / kSteps};
            if (std::none_of(matches.begin(), matches.end(), [&](const Match& m) {
                    const Point d = p - m.reference_px;
                    return m.kept && dot(d, d) <= radius_px * radius_px;
                }))
                continue;
            const double sigma_m = residual(p);
            variance += 2 * sigma_m * sigma_m, count += 1;
        }
    return std::sqrt(variance / std::max(1.0, count));
}

/// Radius of the largest circle around a usable place that holds no kept tie point.
double largest_empty_radius(const std::vector<Match>& matches, const Frame& frame) {
    double worst = 0;
    constexpr int kSteps = 24;
    for (int j = 0; j <= kSteps; ++j)
        for (int i = 0; i <= kSteps; ++i) {
            const Point place{frame.width * i / static_cast<double>(kSteps),
                              frame.height * j / static_cast<double>(kSteps)};
            double nearest = 1.0 * frame.width * frame.width + 1.0 * frame.height * frame.height;
            for (const Match& m : matches)
                if (m.kept) {
                    const Point d = place - m.reference_px;
                    nearest = std::min(nearest, dot(d, d));
                }
            worst = std::max(worst, std::sqrt(nearest));
        }
    return worst;
}

Alignment failed(Alignment alignment, std::string reason) {
    alignment.status = RegistrationStatus::fail;
    alignment.target_from_reference = {};
    alignment.model = "none";
    alignment.reason = std::move(reason);
    return alignment;
}

}  // namespace

/// What is made of the reference once; levels are made when a target first asks for them.
struct PreparedReference {
    Luminance luminance;
    double oversampling = 1;
    mutable std::mutex making;
    mutable std::map<std::pair<int, double>, std::shared_ptr<const Level>> levels;
};

namespace {

std::shared_ptr<const Level> level_of(const PreparedReference& reference, int step, double sigma) {
    const std::scoped_lock lock(reference.making);
    auto& level = reference.levels[{step, sigma}];
    // Isolated: a thread that waits in here must not take up another target's work and come back to
    // this very lock.
    if (!level)
        tbb::this_task_arena::isolate([&] {
            level = std::make_shared<const Level>(make_level(reference.luminance, step, sigma));
        });
    return level;
}

int power_of_two_near(double value) {
    int out = 32;
    while (out < 512 && out * 1.5 <= value) out *= 2;
    return out;
}

/// Root mean square of what a new model changes, over the kept matches, grid px.
double change_of(const std::vector<Match>& matches, const Warp& before, const Warp& after) {
    double squares = 0, count = 0;
    for (const Match& m : matches)
        if (m.kept) {
            squares += std::pow(distance(before(m.reference_px), after(m.reference_px)), 2);
            count += 1;
        }
    return count > 0 ? std::sqrt(squares / count) : 0;
}

Alignment register_pair(const Scene& target, const AlignReference& reference,
                        const AlignOptions& options) {
    Alignment out;
    const Grid& grid = reference.grid;
    if (target.raster.bands.empty() || !reference.prepared)
        return failed(out, "the scene has no bands");
    const PreparedReference& prepared = *reference.prepared;
    const Luminance& lr = prepared.luminance;
    const int width = lr.plane.width(), height = lr.plane.height();
    if (target.raster.bands.front().width() != width ||
        target.raster.bands.front().height() != height)
        return failed(out, "target and reference are not on the same grid");
    if (std::min(width, height) < kSmallestImage)
        return failed(
            out, fmt::format("the image is {} × {} pixels; registration needs at least {} × {}",
                             width, height, kSmallestImage, kSmallestImage));
    const double gsd = grid.gsd() > 0 ? grid.gsd() : 1.0;
    const Luminance lt = luminance_of(target);
    if (lr.share < 0.02)
        return failed(out,
                      fmt::format("only {:.0f} % of the reference can be seen", 100 * lr.share));
    if (lt.share < 0.02)
        return failed(
            out,
            fmt::format("only {:.0f} % of the scene can be seen (cloud, cloud shadow, no data)",
                        100 * lt.share));
    if (!(lt.deviation > 1e-6 * (1 + std::abs(lt.mean))))
        return failed(out, "the image is constant: nothing to match");
    if (!(lr.deviation > 1e-6 * (1 + std::abs(lr.mean))))
        return failed(out, "the reference is constant: nothing to match");

    double coarser = 1;
    if (options.source_gsd_m > 0) {
        coarser = std::max(1.0, options.source_gsd_m / gsd);
    } else {
        coarser = std::max({prepared.oversampling, oversampling(lt), target.info.gsd_m / gsd,
                            reference.info.gsd_m / gsd});
    }
    if (!std::isfinite(coarser)) coarser = 1;
    out.effective_gsd_m = coarser * gsd;

    // Levels: the finest keeps at least two pixels per resolved pixel; the coarsest still has about
    // 96 pixels across.
    const int smallest = std::min(width, height);
    int base = 1;
    while (base * 2 <= coarser / 2 && smallest / (base * 2) >= 128) base *= 2;
    int top = base;
    while (top < 8 * base && smallest / (top * 2) >= 96) top *= 2;
    const auto sigma_at = [&](int step) {
        return std::max(coarser > 1.5 ? 0.6 : 0.8, 0.35 * coarser / step);
    };

    const double search_px = std::max(options.search_m / gsd, 200.0);
    const std::vector<Coarse> starts =
        coarse_search(*level_of(prepared, top, sigma_at(top)), make_level(lt, top, sigma_at(top)),
                      static_cast<int>(std::ceil(search_px / top)), sigma_at(top));
    if (starts.empty())
        return failed(out, "scene and reference share no ground that can be seen in both");

    Warp warp;
    Fit found;
    Harvest harvested;
    bool first = true;
    for (int step = std::max(base, top / 2);; step = std::max(base, step / 2)) {
        const std::shared_ptr<const Level> kept_level = level_of(prepared, step, sigma_at(step));
        const Level &level_r = *kept_level, level_t = make_level(lt, step, sigma_at(step));
        const Plane coefficients = spline_coefficients(level_t.image);
        const int across = std::min(level_r.image.width(), level_r.image.height());
        Search search;
        // A window should hold as many resolved pixels when the file is enlarged.
        search.window = power_of_two_near(options.window_px * std::max(1.0, coarser / step / 1.5));
        while (search.window > 32 && search.window * 2 > across) search.window /= 2;
        const double area = static_cast<double>(level_r.image.width()) * level_r.image.height();
        const bool last = step == base;
        // Half a window apart; a quarter where the area is small.
        search.stride = area / (search.window * search.window) * 16 <= 1100 ? search.window / 4
                                                                            : search.window / 2;
        search.stride =
            std::max(search.stride, static_cast<int>(std::sqrt(area / (last ? 4000 : 400))));
        search.sigma = sigma_at(step);
        search.core = std::max(3, static_cast<int>(std::lround(3.5 * search.sigma)));
        // A lattice fine enough for waves of three windows, and of some 600 nodes at most.
        const Frame frame{width, height,
                          std::max(0.375 * search.window * step,
                                   std::sqrt(static_cast<double>(width) * height / 600))};
        FitOptions fitting;
        fitting.floor_px = 0.3 * step * search.sigma;
        fitting.most_px = 1.0 * step * std::max(1.0, search.sigma);
        fitting.block_px = 1.0 * search.window * step;
        fitting.buffer_px = 0.5 * search.window * step;
        fitting.shared = static_cast<double>(search.window) / search.stride;
        const auto attempt = [&](const Warp& start, double tolerance, std::vector<double> stiffness,
                                 Harvest& h) {
            h = harvest(level_r, level_t, coefficients, start, search);
            fitting.tolerance_px = tolerance * step * std::max(1.0, 0.5 * search.sigma);
            fitting.stiffness = std::move(stiffness);
            return fit(h.matches, frame, fitting);
        };
        const auto merit = [](const Fit& f) { return f.ok ? f.kept : 0; };
        if (first) {
            for (const Coarse& start : starts) {
                Warp shifted;
                shifted.affine.a[0] = start.shift_px.x, shifted.affine.a[3] = start.shift_px.y;
                Harvest h;
                const Fit f = attempt(shifted, 3, {}, h);
                if (merit(f) > merit(found))
                    found = f, harvested = std::move(h), warp = found.warp;
                else if (!found.ok && h.matches.size() > harvested.matches.size())
                    harvested = std::move(h), found.passed = f.passed;
                if (merit(found) >= 8 && 2 * merit(found) > found.passed) break;
            }
            first = false;
            if (!found.ok) break;
            if (!last) continue;
        }
        // Once is enough where the model hardly moves; a bent field is looked at again through what
        // was found, until nothing in a window is bent any more.
        for (int round = 0; round < (last ? 4 : 1); ++round) {
            Harvest h;
            const Fit f = attempt(
                warp, round == 0 ? 3 : 2,
                last ? std::vector<double>{10, 1, 0.1, 0.01} : std::vector<double>{1, 0.1}, h);
            found = f, harvested = std::move(h);
            if (!f.ok) break;
            const double change = change_of(harvested.matches, warp, f.warp);
            warp = f.warp;
            if (change < 0.15 * step * search.sigma) break;
        }
        if (!found.ok || last) break;
    }
    const auto tried = static_cast<int>(harvested.matches.size());
    for (const Match& m : harvested.matches)
        if (m.passed)
            out.tie_points.push_back(
                {m.reference_px, m.target_px, m.sidelobe, m.residual_px, m.kept});
    const std::string seen =
        lt.share < 0.7 ? fmt::format("; {:.0f} % of the scene is hidden", 100 * (1 - lt.share))
                       : "";
    if (tried == 0)
        return failed(
            out,
            fmt::format("no window has enough ground that can be seen in both scenes{}", seen));
    if (!found.ok || found.kept < 6 || found.kept < 0.08 * tried)
        return failed(out, fmt::format("only {} of {} windows agree with each other{}",
                                       found.ok ? found.kept : 0, tried, seen));

    out.model = name_of(found.choice.model);
    out.target_from_reference = found.warp;
    double dx = 0, dy = 0, count = 0;
    for (int j = 0; j <= 16; ++j)
        for (int i = 0; i <= 16; ++i) {
            const Point p{width * i / 16.0, height * j / 16.0};
            const Point moved = grid.map_from_px(found.warp(p)) - grid.map_from_px(p);
            dx += moved.x, dy += moved.y, count += 1;
        }
    out.dx_m = dx / count, out.dy_m = dy / count;
    double squares = 0, kept = 0;
    for (const Match& m : harvested.matches)
        if (m.kept) squares += m.residual_px * m.residual_px, kept += 1;
    // What windows share across dates (leaning crowns, turned shadows) the tie points' scatter does
    // not show: on simulated series the true error is 1.5 times what it says.
    const bool other_season =
        target.info.datetime && reference.info.datetime &&
        std::abs(target.info.datetime->days() - reference.info.datetime->days()) > 20;
    out.held_out_m = (other_season ? 1.4 : 1.0) * gsd * std::sqrt(squares / kept);
    const double optimism = other_season ? 1.5 : 1.0;
    out.residual = {found.sigma_spacing_px, found.sigma_columns, found.sigma_rows, {}};
    const Frame frame{width, height, 64.0 * base};
    const double support_px = std::max(45 / gsd, 64.0 * base);
    for (int j = 0; j < found.sigma_rows; ++j)
        for (int i = 0; i < found.sigma_columns; ++i) {
            const Point p{i * found.sigma_spacing_px, j * found.sigma_spacing_px};
            const bool near = std::any_of(harvested.matches.begin(), harvested.matches.end(),
                                          [&](const Match& m) {
                                              const Point d = p - m.reference_px;
                                              return m.kept && dot(d, d) <= support_px * support_px;
                                          });
            // A field that is carried on over crowns is further off than its smoothness says.
            const double sigma_m =
                optimism * gsd * (near ? 1.0 : 2.5) *
                static_cast<double>(
                    found.sigma_px[static_cast<std::size_t>(j * found.sigma_columns + i)]);
            out.residual.sigma_m.push_back(static_cast<float>(sigma_m));
        }
    out.rmse_m = expected_rmse(harvested.matches, frame, support_px, out.residual);
    out.ce90_m = 1.517 * out.rmse_m;  // of two equal normal axes
    out.empty_radius_m = gsd * largest_empty_radius(harvested.matches, frame);
    out.supported_fraction = supported_share(harvested.matches, frame, support_px);
    const double rmse_px = out.rmse_m / out.effective_gsd_m,
                 held_out_px = out.held_out_m / out.effective_gsd_m;
    if (std::max(rmse_px, held_out_px) > options.warn_px)
        return failed(
            out, fmt::format("tie points that the model has not seen are off by {:.1f} m ({:.1f} "
                             "px), more than {:.1f} px",
                             std::max(out.rmse_m, out.held_out_m), std::max(rmse_px, held_out_px),
                             options.warn_px));
    out.status = RegistrationStatus::pass;
    const auto warn = [&](std::string reason) {
        out.status = RegistrationStatus::warn;
        if (out.reason.empty()) out.reason = std::move(reason);
    };
    if (rmse_px > options.pass_px)
        warn(fmt::format("the registration leaves {:.2f} m ({:.2f} px)", out.rmse_m, rmse_px));
    if (held_out_px > 0.5 * (options.pass_px + options.warn_px))
        warn(fmt::format("tie points that the model has not seen are off by {:.2f} m ({:.2f} px)",
                         out.held_out_m, held_out_px));
    if (out.supported_fraction < kLeastSupport)
        warn(fmt::format(
            "tie points hold only {:.0f} % of the area; elsewhere the model is carried on{}",
            100 * out.supported_fraction, seen));
    if (found.kept < 0.15 * tried)
        warn(fmt::format("only {} of {} windows agree with each other{}", found.kept, tried, seen));
    return out;
}

}  // namespace

double ResidualField::operator()(Point px) const {
    if (columns < 2 || rows < 2) return 0;
    const double u = std::clamp(px.x / spacing_px, 0.0, columns - 1.0),
                 v = std::clamp(px.y / spacing_px, 0.0, rows - 1.0);
    const int i = std::min(static_cast<int>(u), columns - 2),
              j = std::min(static_cast<int>(v), rows - 2);
    const auto at = [&](int a, int b) {
        return static_cast<double>(sigma_m[static_cast<std::size_t>(b * columns + a)]);
    };
    const double a = u - i, b = v - j;
    return (at(i, j) * (1 - a) + at(i + 1, j) * a) * (1 - b) +
           (at(i, j + 1) * (1 - a) + at(i + 1, j + 1) * a) * b;
}

AlignReference prepare_reference(const Scene& reference) {
    AlignReference out;
    out.grid = reference.raster.grid;
    out.info = reference.info;
    if (reference.raster.bands.empty()) return out;
    auto prepared = std::make_shared<PreparedReference>();
    prepared->luminance = luminance_of(reference);
    prepared->oversampling = oversampling(prepared->luminance);
    out.prepared = std::move(prepared);
    return out;
}

Alignment align(const Scene& target, const AlignReference& reference, const AlignOptions& options) {
    try {
        Alignment found = register_pair(target, reference, options);
        // Larger windows hold more of what has not changed; but crowns agree in them too, so that
        // what only they say comes with a warning.
        if (found.status == RegistrationStatus::fail && !found.tie_points.empty() &&
            options.window_px <= 192) {
            AlignOptions larger = options;
            larger.window_px *= 2;
            Alignment again = register_pair(target, reference, larger);
            if (again.status != RegistrationStatus::fail) {
                again.status = RegistrationStatus::warn;
                if (again.reason.empty())
                    again.reason = fmt::format("only windows of {:.0f} px agree with each other",
                                               larger.window_px * 1.0);
                found = std::move(again);
            }
        }
        return found;
    } catch (const cv::Exception& error) {
        return failed({}, fmt::format("matching failed: {}", error.what()));
    }
}

Alignment align(const Scene& target, const Scene& reference, const AlignOptions& options) {
    return align(target, prepare_reference(reference), options);
}

}  // namespace fenceline
