#include "stages/align.h"

#include <fmt/format.h>
#include <tbb/parallel_invoke.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <numbers>
#include <opencv2/core.hpp>

#include "core/parallel.h"
#include "stages/align_judge.h"
#include "stages/align_levels.h"
#include "stages/align_model.h"
#include "stages/align_windows.h"

namespace fenceline {
namespace {

constexpr int kSmallestImage = 64;
// How the error grows where tie points on open ground do not hold the model: regressions on 444
// simulated pairs of 30 series (tune seeds; benchmarks/RESULTS.md), per axis.
/// Without any tie point, of a bent field's curvature over a support radius squared: a field that
/// bends much where it is seen bends as much where it is not.
constexpr double kDrift = 4.3;
constexpr double kLeastBend = 0.06, kMostBend = 0.2;  ///< that curvature, resolved px
constexpr double kStiffDrift = 1.5e-3;                ///< of the way, under an affine
/// Under crowns, of what they scatter by when held out, a support radius away from open ground.
constexpr double kCrowns = 0.54;
constexpr float kTies = 3;  ///< σ_r of a tie between neighbours, of what its scatter says
// Views that differ part crowns from the ground, and windows that show nothing but crowns agree
// with each other. But trees are not of one height: such windows scatter (METHODS 2). They are told
// from ground by their held-out residual, in resolved px: more than a share of the lean, at most
// what open ground reaches.
constexpr double kLeanScatter = 0.093, kLeastScatter = 0.086, kMostScatter = 0.143;
constexpr double kSureScatter = 0.087;  ///< more than that: certainly crowns
constexpr double kCommonLean = 0.74;    ///< of 6 m crowns' lean is then common to all windows
}  // namespace

/// Levels are made when they are first asked for.
struct PreparedPixels {
    Luminance luminance;
    double oversampling = 1;
    mutable std::mutex making;
    mutable std::map<std::pair<int, double>, std::shared_ptr<const Level>> levels;
};

namespace {

std::shared_ptr<const Level> level_of(const PreparedPixels& pixels, int step, double sigma) {
    const std::scoped_lock lock(pixels.making);
    auto& level = pixels.levels[{step, sigma}];
    // Isolated: a thread that waits in here must not take up another target's work and come back to
    // this very lock.
    if (!level)
        tbb::this_task_arena::isolate([&] {
            level = std::make_shared<const Level>(make_level(pixels.luminance, step, sigma));
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

/// What keeps the two from being matched at all; empty: nothing.
std::string obstacle(const AlignImage& target, const AlignImage& reference) {
    if (!target.pixels || !reference.pixels) return "the scene has no bands";
    const Luminance &lr = reference.pixels->luminance, &lt = target.pixels->luminance;
    const int width = lr.plane.width(), height = lr.plane.height();
    if (lt.plane.width() != width || lt.plane.height() != height)
        return "target and reference are not on the same grid";
    if (std::min(width, height) < kSmallestImage)
        return fmt::format("the image is {} × {} pixels; registration needs at least {} × {}",
                           width, height, kSmallestImage, kSmallestImage);
    if (lr.share < 0.02)
        return fmt::format("only {:.0f} % of the reference can be seen", 100 * lr.share);
    if (lt.share < 0.02)
        return fmt::format("only {:.0f} % of the scene can be seen (cloud, cloud shadow, no data)",
                           100 * lt.share);
    if (!(lt.deviation > 1e-6 * (1 + std::abs(lt.mean))))
        return "the image is constant: nothing to match";
    if (!(lr.deviation > 1e-6 * (1 + std::abs(lr.mean))))
        return "the reference is constant: nothing to match";
    return {};
}

/// Grid pixels to one pixel of what the coarser of the two sensors resolved, at least 1.
double coarser_of(const AlignImage& target, const AlignImage& reference,
                  const AlignOptions& options) {
    const double gsd = reference.grid.gsd() > 0 ? reference.grid.gsd() : 1.0;
    const double coarser =
        options.source_gsd_m > 0
            ? options.source_gsd_m / gsd
            : std::max({reference.pixels->oversampling, target.pixels->oversampling,
                        target.info.gsd_m / gsd, reference.info.gsd_m / gsd});
    return std::isfinite(coarser) ? std::max(1.0, coarser) : 1.0;
}

double sigma_at(int step, double coarser) {
    return std::max(coarser > 1.5 ? 0.6 : 0.8, 0.35 * coarser / step);
}

/// What windows share across dates (leaning crowns, turned shadows) the tie points' scatter does
/// not show.
bool other_season(const SceneInfo& a, const SceneInfo& b) {
    return a.datetime && b.datetime && std::abs(a.datetime->days() - b.datetime->days()) > 20;
}

/// Root mean square of the kept matches' held-out residuals, on crowns or on the ground; 0: none.
double held_out_px(const std::vector<Match>& matches, bool canopy) {
    double squares = 0, count = 0;
    for (const Match& m : matches)
        if (m.kept && m.canopy == canopy) squares += m.residual_px * m.residual_px, count += 1;
    return std::sqrt(squares / std::max(1.0, count));
}

/// Root mean square of a field's second differences along rows and columns, of either axis of
/// displacement, px a px².
double curvature(const LocalField& field) {
    double squares = 0, count = 0;
    for (int j = 1; j + 1 < field.rows; ++j)
        for (int i = 1; i + 1 < field.columns; ++i)
            for (const auto* values : {&field.dx, &field.dy}) {
                const auto at = [&](int a, int b) {
                    return static_cast<double>(
                        (*values)[static_cast<std::size_t>(b * field.columns + a)]);
                };
                const double here = 2 * at(i, j);
                squares += std::pow(at(i - 1, j) - here + at(i + 1, j), 2) +
                           std::pow(at(i, j - 1) - here + at(i, j + 1), 2);
                count += 2;
            }
    return std::sqrt(squares / std::max(1.0, count)) / (field.spacing_px * field.spacing_px);
}

/// What a fit says, on the grid: transform, tie points, mean shift, held-out residual, σ_r.
void take_fit(const Fit& found, const std::vector<Match>& matches, const Grid& grid, double gsd,
              double stride_px, bool across_dates, Alignment& out) {
    const int width = grid.width, height = grid.height;
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
    for (const Match& m : matches)
        if (m.kept) squares += m.residual_px * m.residual_px, kept += 1;
    out.held_out_m = (across_dates ? 1.4 : 1.0) * gsd * std::sqrt(squares / std::max(1.0, kept));
    // The rest is calibrated on simulated series (tune seeds): the true error is twice what the
    // scatter says across dates.
    const double optimism = across_dates ? 2.0 : 1.0;
    const double reach = out.support_radius_px, hold = std::max(0.5 * reach, 0.75 * stride_px);
    const bool bent = found.choice.model == Model::local;
    const double resolved_px = out.effective_gsd_m / gsd;
    const double bend_px =
        bent ? resolved_px * std::clamp(curvature(found.warp.local) * reach * reach / resolved_px,
                                        kLeastBend, kMostBend)
             : 0;
    const double crowns_px = held_out_px(matches, true);
    out.residual = {found.sigma_spacing_px, found.sigma_columns, found.sigma_rows, {}};
    double disputed = 0, near = 0;
    for (int j = 0; j < found.sigma_rows; ++j)
        for (int i = 0; i < found.sigma_columns; ++i) {
            const Point p{i * found.sigma_spacing_px, j * found.sigma_spacing_px};
            double any = 1e18, ground = 1e18, window = 1e18, dispute = 1e18, disputed_px = 0;
            for (const Match& m : matches) {
                const Point d = p - m.reference_px;
                window = std::min(window, dot(d, d));
                if (m.disputed_px > 0 && dot(d, d) < dispute)
                    dispute = dot(d, d), disputed_px = m.disputed_px;
                if (!m.kept) continue;
                any = std::min(any, dot(d, d));
                if (!m.canopy) ground = std::min(ground, dot(d, d));
            }
            if (any <= reach * reach)
                near += 1, disputed += dispute < any ? disputed_px * disputed_px : 0.0;
            any = std::sqrt(any), ground = std::sqrt(ground);
            const double scatter =
                optimism *
                static_cast<double>(
                    found.sigma_px[static_cast<std::size_t>(j * found.sigma_columns + i)]);
            // Where no window lies (the image's border), none is missing.
            const double lattice = std::min(std::sqrt(window), 0.75 * reach);
            const double beyond = std::max(0.0, any - std::max(hold, lattice)) / reach;
            const double drift = (bent ? kDrift * bend_px : kStiffDrift * reach) *
                                 std::sqrt(beyond * (beyond + 0.8));
            const double under = any < ground ? std::max(0.0, ground / reach - 0.35) : 0.0;
            const double crowns = kCrowns * crowns_px * std::pow(under, 0.85);
            out.residual.sigma_m.push_back(
                static_cast<float>(gsd * std::hypot(scatter, drift, crowns)));
        }
    out.disputed_m = gsd * std::sqrt(disputed / std::max(1.0, near));
}

/// What windows that may all show crowns leave in common, and whether they may (lean_m).
void doubt_crowns(const Fit& found, const std::vector<Match>& matches, double gsd, double lean_m,
                  Alignment& out) {
    const double lean = lean_m / out.effective_gsd_m,
                 scatter = held_out_px(matches, false) * gsd / out.effective_gsd_m,
                 usual = std::clamp(kLeanScatter * lean, kLeastScatter, kMostScatter);
    if (scatter <= usual) return;
    out.lean_m = lean_m;
    if (found.canopy > 0) return;  // some were told from ground
    // The more windows agree, the less can the scatter be snow's or cloud's.
    const double agree = static_cast<double>(found.kept) / static_cast<double>(matches.size());
    out.crowns_m = kCommonLean * lean_m * std::min(1.0, (scatter - usual) / kSureScatter) *
                   std::clamp((agree - 0.4) / 0.3, 0.0, 1.0);
    for (float& sigma : out.residual.sigma_m)
        sigma = static_cast<float>(
            std::hypot(static_cast<double>(sigma), out.crowns_m / std::numbers::sqrt2));
}

/// Cells of Support's lattice in which both scenes show ground.
std::vector<std::uint8_t> shown_ground(const Mask& reference, const Mask& target,
                                       const Warp& target_from_reference) {
    constexpr int kSide = 6;  // samples across a cell
    std::vector<std::uint8_t> out;
    for (int j = 0; j < Support::kSteps; ++j)
        for (int i = 0; i < Support::kSteps; ++i) {
            int seen = 0;
            for (int k = 0; k < kSide * kSide; ++k) {
                const Point p{
                    (i + (k % kSide + 0.5) / kSide) * reference.width() / Support::kSteps,
                    (j + (k / kSide + 0.5) / kSide) * reference.height() / Support::kSteps};
                const Point t = target_from_reference(p);
                const int x = static_cast<int>(std::floor(t.x)),
                          y = static_cast<int>(std::floor(t.y));
                seen += reference.at(static_cast<int>(p.x), static_cast<int>(p.y)) != 0 &&
                                target.contains(x, y) && target.at(x, y) != 0
                            ? 1
                            : 0;
            }
            out.push_back(4 * seen >= kSide * kSide ? 1 : 0);
        }
    return out;
}

/// Crowns of a forest (METHODS 2: 5–7 m) seen from both views: by how much they part, m.
double crowns_apart_m(const SceneInfo& a, const SceneInfo& b) {
    constexpr double kCrownHeight = 6;
    if (!a.off_nadir_deg || !b.off_nadir_deg || !a.view_azimuth_deg || !b.view_azimuth_deg)
        return 0;
    const auto lean = [](const SceneInfo& info) {
        const double radians = std::numbers::pi / 180;
        const double t = std::tan(std::min(80.0, *info.off_nadir_deg) * radians),
                     azimuth = *info.view_azimuth_deg * radians;
        return Point{t * std::sin(azimuth), t * std::cos(azimuth)};
    };
    return kCrownHeight * norm(lean(a) - lean(b));
}

/// The finest level keeps at least two pixels per resolved pixel.
int base_step(double coarser, int smallest) {
    int base = 1;
    while (base * 2 <= coarser / 2 && smallest / (base * 2) >= 128) base *= 2;
    return base;
}

Alignment register_pair(const AlignImage& target, const AlignImage& reference,
                        const AlignOptions& options) {
    Alignment out;
    if (std::string why = obstacle(target, reference); !why.empty())
        return failed(out, std::move(why));
    const Grid& grid = reference.grid;
    const PreparedPixels& prepared = *reference.pixels;
    const Luminance &lr = prepared.luminance, &lt = target.pixels->luminance;
    const int width = lr.plane.width(), height = lr.plane.height();
    const double gsd = grid.gsd() > 0 ? grid.gsd() : 1.0;
    const double coarser = coarser_of(target, reference, options);
    out.effective_gsd_m = coarser * gsd;
    out.hidden_share = 1 - lt.share;

    // The coarsest level still has about 96 pixels across.
    const int smallest = std::min(width, height), base = base_step(coarser, smallest);
    out.support_radius_px = std::max(45 / gsd, 64.0 * base);
    int top = base;
    while (top < 8 * base && smallest / (top * 2) >= 96) top *= 2;

    const double search_px = std::max(options.search_m / gsd, 200.0);
    const auto levels_at = [&](int step) {
        std::pair<std::shared_ptr<const Level>, std::shared_ptr<const Level>> both;
        tbb::parallel_invoke(
            [&] { both.first = level_of(prepared, step, sigma_at(step, coarser)); },
            [&] { both.second = level_of(*target.pixels, step, sigma_at(step, coarser)); });
        throw_if_abandoned();
        return both;
    };
    const auto [top_r, top_t] = levels_at(top);
    const std::vector<Coarse> starts = coarse_search(
        *top_r, *top_t, static_cast<int>(std::ceil(search_px / top)), sigma_at(top, coarser));
    if (starts.empty())
        return failed(out, "scene and reference share no ground that can be seen in both");

    Warp warp;
    Fit found;
    Harvest harvested;
    bool first = true;
    double stride_px = 0;
    for (int step = std::max(base, top / 2);; step = std::max(base, step / 2)) {
        const auto [kept_r, kept_t] = levels_at(step);
        const Level &level_r = *kept_r, &level_t = *kept_t;
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
        stride_px = 1.0 * search.stride * step;
        search.sigma = sigma_at(step, coarser);
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
        const auto settle_from = [&](Warp from) {
            for (int round = 0; round < (last ? 4 : 1); ++round) {
                Harvest h;
                const Fit f = attempt(
                    from, round == 0 ? 3 : 2,
                    last ? std::vector<double>{10, 1, 0.1, 0.01} : std::vector<double>{1, 0.1}, h);
                found = f, harvested = std::move(h);
                if (!f.ok) break;
                const double change = change_of(harvested.matches, from, f.warp);
                warp = from = f.warp;
                if (change < 0.15 * step * search.sigma) break;
            }
        };
        const Warp start = warp;
        fitting.admit = true;
        settle_from(start);
        if (found.admitted.noise_px > admitted_limit_px(found.admitted, fitting)) {
            fitting.admit = false;
            settle_from(start);
        }
        if (!found.ok || last) break;
    }
    const auto tried = static_cast<int>(harvested.matches.size());
    out.windows = tried;
    for (const Match& m : harvested.matches)
        if (m.passed)
            out.tie_points.push_back({m.reference_px, m.target_px, m.sidelobe, m.residual_px,
                                      m.kept, m.canopy, m.lean_px});
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
    take_fit(found, harvested.matches, grid, gsd, stride_px,
             other_season(target.info, reference.info), out);
    out.shown = shown_ground(lr.usable, lt.usable, out.target_from_reference);
    doubt_crowns(found, harvested.matches, gsd, crowns_apart_m(target.info, reference.info), out);
    judge(out, width, height, gsd, options);
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

AlignImage prepare_image(const Scene& scene) {
    AlignImage out;
    out.grid = scene.raster.grid;
    out.info = scene.info;
    if (scene.raster.bands.empty()) return out;
    auto pixels = std::make_shared<PreparedPixels>();
    pixels->luminance = luminance_of(scene);
    pixels->oversampling = oversampling(pixels->luminance);
    out.pixels = std::move(pixels);
    return out;
}

Alignment align(const AlignImage& target, const AlignImage& reference,
                const AlignOptions& options) {
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

Alignment align(const Scene& target, const AlignImage& reference, const AlignOptions& options) {
    return align(prepare_image(target), reference, options);
}

Alignment align(const Scene& target, const Scene& reference, const AlignOptions& options) {
    AlignImage moving, still;
    tbb::parallel_invoke([&] { moving = prepare_image(target); },
                         [&] { still = prepare_image(reference); });
    throw_if_abandoned();
    return align(moving, still, options);
}

Alignment align_between(const AlignImage& target, const Warp& target_from_reference,
                        const AlignImage& neighbour, const Warp& neighbour_from_reference,
                        const AlignOptions& options) {
    Alignment out;
    try {
        if (std::string why = obstacle(target, neighbour); !why.empty())
            return failed(out, std::move(why));
        const Grid& grid = target.grid;
        const Luminance &lt = target.pixels->luminance, &ln = neighbour.pixels->luminance;
        const int width = lt.plane.width(), height = lt.plane.height(),
                  smallest = std::min(width, height);
        const double gsd = grid.gsd() > 0 ? grid.gsd() : 1.0,
                     coarser = coarser_of(target, neighbour, options);
        const int base = base_step(coarser, smallest);
        const int step = smallest / (2 * base) >= 512 ? 2 * base : base;
        const double sigma = sigma_at(step, coarser);
        Level still;
        {
            Level own = make_level(ln, step, sigma);
            Sampled seen = sample_through(spline_coefficients(own.image), own.usable, step,
                                          neighbour_from_reference);
            still = {step, std::move(seen.image), std::move(seen.usable), own.soft};
        }
        Level moving = make_level(lt, step, sigma);
        const Plane coefficients = spline_coefficients(moving.image);
        Search search;
        // As much ground to a window as in the registrations themselves.
        search.window = power_of_two_near(options.window_px * std::max(1.0, coarser / base / 1.5) *
                                          base / step);
        while (search.window > 32 && search.window * 2 * step > smallest) search.window /= 2;
        const double area = static_cast<double>(width) * height / (step * step);
        search.stride = std::max(search.window / 2, static_cast<int>(std::sqrt(area / 1200)));
        search.sigma = sigma;
        search.core = std::max(3, static_cast<int>(std::lround(3.5 * sigma)));
        Harvest found = harvest(still, moving, coefficients, target_from_reference, search);
        // What is left, in the reference's frame.
        for (Match& m : found.matches)
            m.target_px = m.reference_px + (m.target_px - target_from_reference(m.reference_px));
        const Frame frame{width, height,
                          std::max(0.375 * search.window * step,
                                   std::sqrt(static_cast<double>(width) * height / 600))};
        FitOptions fitting;
        fitting.floor_px = 0.3 * step * sigma;
        fitting.most_px = 1.0 * step * std::max(1.0, sigma);
        fitting.block_px = 1.0 * search.window * step;
        fitting.buffer_px = 0.5 * search.window * step;
        fitting.shared = static_cast<double>(search.window) / search.stride;
        fitting.tolerance_px = 2 * step * std::max(1.0, 0.5 * sigma);
        fitting.stiffness = {10, 1, 0.1};
        const Fit fitted = fit(found.matches, frame, fitting);
        out.effective_gsd_m = coarser * gsd;
        out.hidden_share = 1 - lt.share;
        out.support_radius_px = std::max(45 / gsd, 64.0 * base);
        out.windows = static_cast<int>(found.matches.size());
        for (const Match& m : found.matches)
            if (m.passed)
                out.tie_points.push_back({m.reference_px, m.target_px, m.sidelobe, m.residual_px,
                                          m.kept, m.canopy, m.lean_px});
        if (!fitted.ok || fitted.kept < 12 || fitted.kept < 0.15 * out.windows)
            return failed(out, fmt::format("only {} of {} windows agree with each other",
                                           fitted.ok ? fitted.kept : 0, out.windows));
        take_fit(fitted, found.matches, grid, gsd, 1.0 * search.stride * step,
                 other_season(target.info, neighbour.info), out);
        judge(out, width, height, gsd, options);
        for (float& error_m : out.residual.sigma_m) error_m *= kTies;
    } catch (const cv::Exception& error) {
        return failed(out, fmt::format("matching failed: {}", error.what()));
    }
    return out;
}

}  // namespace fenceline
