#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "core/scene.h"
#include "core/warp.h"

namespace fenceline {

struct AlignOptions {
    double search_m = 100;    ///< coarse search, each direction
    int window_px = 128;      ///< fine window
    double source_gsd_m = 0;  ///< true resolution of the sensor when the file is oversampled; 0:
                              ///< estimated from the spectrum
    double pass_px =
        0.5;  ///< held-out RMSE up to which a registration passes, in true sensor pixels
    double warn_px = 1.0;
    int neighbours = 0;  ///< in season that each scene of a series is also matched to; 0: the
                         ///< reference alone
};
template <class Visitor>
void describe(AlignOptions& o, Visitor&& v) {
    v("align.search_m", o.search_m, Range{1, 2000}, "m",
      "how far the coarse search looks in each direction");
    v("align.window_px", o.window_px, Range{32, 512}, "px", "window of a tie point");
    v("align.source_gsd_m", o.source_gsd_m, Range{0, 1000}, "m",
      "true sensor resolution when files are oversampled; 0 estimates it");
    v("align.pass_px", o.pass_px, Range{0, 100}, "px",
      "expected RMSE up to which a registration passes");
    v("align.warn_px", o.warn_px, Range{0, 100}, "px",
      "expected and held-out RMSE up to which a registration is used with a warning");
    v("align.neighbours", o.neighbours, Range{0, 10}, "",
      "scenes of like season that each scene of a series is matched to beside the reference");
}

enum class RegistrationStatus { pass, warn, fail };

struct TiePoint {
    Point reference_px, target_px;  ///< target_px in the target's first warp on the same grid
    double quality = 0;             ///< peak-to-sidelobe ratio
    double residual_px = 0;         ///< held out
    bool kept = false;
    /// Shows crowns: target_px has the lean that they share taken off. Holds the field's shape, not
    /// its place.
    bool canopy = false;
    Point lean_px;  ///< what was taken off target_px where canopy is set
};

/// Standard error of a registration per axis, m, on a lattice: node (i, j) at pixel (i·spacing_px,
/// j·spacing_px). It grows where no tie point holds the model.
struct ResidualField {
    double spacing_px = 64;
    int columns = 0, rows = 0;
    std::vector<float> sigma_m;         ///< columns × rows, row by row
    double operator()(Point px) const;  ///< bilinear, clamped; 0 when there is no field
};

struct Alignment {
    Warp target_from_reference;
    std::string model = "identity";
    std::vector<TiePoint> tie_points;
    /// Mean displacement over the grid that is removed: where the target's georeferencing puts a
    /// piece of ground minus where the reference's puts it, m; dx east, dy north (an image that
    /// lies 2 px too far down its grid has dy < 0).
    double dx_m = 0, dy_m = 0;
    /// What is expected to be left over the supported ground: the root mean square of σ_r, both
    /// axes, and the radius that holds 90 %. From the tie points' scatter and how they lie;
    /// calibrated against known truth (benchmarks/RESULTS.md).
    double rmse_m = 0, ce90_m = 0;
    /// RMS of the tie points against a model that has not seen their block of the image (nor what
    /// overlaps it); times 1.4 when the dates are more than 20 days apart. Larger than what the
    /// model leaves where the field is bent: the blocks are holes of two windows.
    double held_out_m = 0;
    double effective_gsd_m = 0;  ///< true resolution that pass/warn were judged in
    /// The same as rmse_m over all ground that both scenes show: forest and water without tie
    /// points, where the model is carried on, count with their larger σ_r. A pass answers for this
    /// one too.
    double whole_rmse_m = 0;
    double support_radius_px = 0;  ///< a tie point holds the model this far: 45 m, half a window
    /// Share of the grid that near a kept tie point; elsewhere the model is carried on.
    double supported_fraction = 0;
    std::vector<std::uint8_t> shown;  ///< 40 × 40 cells: 1 where both show ground; empty: all
    /// How far crowns would stand off the ground between the two views, m, when the tie points
    /// scatter as crowns do; 0 when they do not, or the views are not known.
    double lean_m = 0;
    /// What is then expected to be common to all tie points, and no held-out one shows: RMSE of
    /// both axes, m; part of σ_r, rmse_m and whole_rmse_m.
    double crowns_m = 0;
    /// How far the model is from windows that it leaves out and that say the same as others around
    /// them: root mean square over the ground near tie points, m, both axes. A doubt, not a part of
    /// σ_r: they may show crowns.
    double disputed_m = 0;
    int windows = 0;            ///< that showed enough ground to be matched
    double hidden_share = 0;    ///< of the target
    double empty_radius_m = 0;  ///< largest circle without a kept tie point
    ResidualField residual;     ///< σ_r(x, y)
    RegistrationStatus status = RegistrationStatus::fail;
    std::string reason;  ///< for warn and fail, in an analyst's words
};

/// What registration needs of a scene's pixels, made once: 5 bytes a pixel, and about as many for
/// the resolutions that have been asked for. May be used by several threads at a time.
struct PreparedPixels;
struct AlignImage {
    Grid grid;
    SceneInfo info;
    std::shared_ptr<const PreparedPixels> pixels;  ///< empty: the scene had no bands
};
AlignImage prepare_image(const Scene& scene);

/// Registers target to reference (both on the same grid, the target's first warp being made with an
/// identity registration). Never a silent identity: without support the status is fail and the
/// reason is given. Methods: METHODS.md 2.
Alignment align(const AlignImage& target, const AlignImage& reference, const AlignOptions& options);
Alignment align(const Scene& target, const AlignImage& reference, const AlignOptions& options);
Alignment align(const Scene& target, const Scene& reference, const AlignOptions& options);

/// How far a target, seen through its registration to a reference, still lies off another scene
/// seen through its own: target_from_reference is the identity plus that displacement, in the
/// reference's frame; fail when the two do not say. At half resolution where that is enough: a few
/// tenths of a pixel are what is looked for. For align_series.
Alignment align_between(const AlignImage& target, const Warp& target_from_reference,
                        const AlignImage& neighbour, const Warp& neighbour_from_reference,
                        const AlignOptions& options);

}  // namespace fenceline
