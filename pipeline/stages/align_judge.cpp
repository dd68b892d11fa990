#include "stages/align_judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace fenceline {
namespace {

constexpr double kLeastSupport = 0.4;  ///< of the grid near tie points; below, a warning

Point cell_middle(int k, int width, int height) {
    return {width * (k % Support::kSteps + 0.5) / Support::kSteps,
            height * (k / Support::kSteps + 0.5) / Support::kSteps};
}

}  // namespace

Support support_of(const Alignment& alignment, int width, int height) {
    constexpr int kCells = Support::kSteps * Support::kSteps;
    const double far = 1.0 * width * width + 1.0 * height * height;
    Support out;
    out.nearest_px.assign(kCells, std::sqrt(far));
    std::vector<Point> kept;
    for (const TiePoint& tie : alignment.tie_points)
        if (tie.kept) kept.push_back(tie.reference_px);
    for (int k = 0; k < kCells; ++k) {
        const Point place = cell_middle(k, width, height);
        double nearest = far;
        for (const Point& p : kept) {
            const Point d = place - p;
            nearest = std::min(nearest, dot(d, d));
        }
        out.nearest_px[static_cast<std::size_t>(k)] = std::sqrt(nearest);
    }
    return out;
}

Alignment failed(Alignment alignment, std::string reason) {
    alignment.status = RegistrationStatus::fail;
    alignment.target_from_reference = {};
    alignment.model = "none";
    alignment.reason = std::move(reason);
    return alignment;
}

void judge(Alignment& a, int width, int height, double gsd, const AlignOptions& options) {
    const Support support = support_of(a, width, height);
    double near_variance = 0, near = 0, variance = 0, shown = 0, held = 0, widest = 0;
    const bool any_shown = std::find(a.shown.begin(), a.shown.end(), 1) != a.shown.end();
    const auto cells = static_cast<int>(support.nearest_px.size());
    for (int k = 0; k < cells; ++k) {
        const double nearest = support.nearest_px[static_cast<std::size_t>(k)];
        const double sigma_m = a.residual(cell_middle(k, width, height));
        widest = std::max(widest, nearest);
        if (nearest <= a.support_radius_px) held += 1;
        if (any_shown && a.shown[static_cast<std::size_t>(k)] == 0) continue;
        variance += 2 * sigma_m * sigma_m, shown += 1;
        if (nearest > a.support_radius_px) continue;
        near_variance += 2 * sigma_m * sigma_m, near += 1;
    }
    a.rmse_m = std::sqrt(near_variance / std::max(1.0, near));
    a.ce90_m = 1.517 * a.rmse_m;  // of two equal normal axes
    a.whole_rmse_m = std::sqrt(variance / std::max(1.0, shown));
    a.supported_fraction = held / cells;
    a.empty_radius_m = gsd * widest;

    const auto kept = static_cast<int>(std::count_if(a.tie_points.begin(), a.tie_points.end(),
                                                     [](const TiePoint& t) { return t.kept; }));
    const std::string hidden =
        a.hidden_share > 0.3
            ? fmt::format("; {:.0f} % of the scene is hidden", 100 * a.hidden_share)
            : "";
    const double rmse_px = a.rmse_m / a.effective_gsd_m,
                 held_out_px = a.held_out_m / a.effective_gsd_m,
                 whole_px = a.whole_rmse_m / a.effective_gsd_m;
    // What crowns may have in common is a doubt, not a measurement: it warns, and refuses nothing.
    const double shown_m =
                     std::sqrt(std::max(0.0, std::pow(a.rmse_m, 2) - std::pow(a.crowns_m, 2))),
                 shown_px = shown_m / a.effective_gsd_m;
    if (std::max(shown_px, held_out_px) > options.warn_px) {
        a = failed(std::move(a),
                   fmt::format("tie points that the model has not seen are off by {:.1f} m ({:.1f} "
                               "px), more than {:.1f} px",
                               std::max(shown_m, a.held_out_m), std::max(shown_px, held_out_px),
                               options.warn_px));
        return;
    }
    a.status = RegistrationStatus::pass;
    a.reason.clear();
    const auto warn = [&](std::string reason) {
        a.status = RegistrationStatus::warn;
        if (a.reason.empty()) a.reason = std::move(reason);
    };
    if (a.lean_m / a.effective_gsd_m > options.pass_px)
        warn(
            fmt::format("the views differ, and the tie points scatter as crowns of trees do: where "
                        "they show crowns, the ground is off by up to {:.1f} m",
                        a.lean_m));
    if (rmse_px > options.pass_px)
        warn(fmt::format("the registration leaves {:.2f} m ({:.2f} px)", a.rmse_m, rmse_px));
    // So does what windows say that were left out and agree with each other.
    if (std::hypot(a.rmse_m, a.disputed_m) > options.pass_px * a.effective_gsd_m)
        warn(fmt::format(
            "windows that agree with each other are left out: where they lie, the model "
            "contradicts them by {:.2f} m on the whole",
            a.disputed_m));
    if (held_out_px > 0.5 * (options.pass_px + options.warn_px))
        warn(fmt::format("tie points that the model has not seen are off by {:.2f} m ({:.2f} px)",
                         a.held_out_m, held_out_px));
    if (whole_px > options.pass_px)
        warn(fmt::format(
            "{:.2f} m near tie points, but they hold only {:.0f} % of the area; "
            "elsewhere (forest, water, cloud) the model is carried on and may be off "
            "by {:.1f} m{}",
            a.rmse_m, 100 * a.supported_fraction,
            std::sqrt((variance - near_variance) / std::max(1.0, shown - near)), hidden));
    if (a.supported_fraction < kLeastSupport)
        warn(fmt::format(
            "tie points hold only {:.0f} % of the area; elsewhere the model is carried on{}",
            100 * a.supported_fraction, hidden));
    if (kept < 0.15 * a.windows)
        warn(fmt::format("only {} of {} windows agree with each other{}", kept, a.windows, hidden));
}

}  // namespace fenceline
