#pragma once

#include <vector>

#include "core/geometry.h"
#include "core/report.h"
#include "stages/perimeter.h"

namespace fenceline {

/// How well a line is known. Lengths in metres.
struct LineErrors {
    double normal_sigma_m = 2;  ///< noise across the line, 1 sigma
    double correlation_m = 30;  ///< its correlation length along the line
    double bias_sigma_m = 1;    ///< shift outwards of the whole line, 1 sigma
    double own_bias_m = 0;  ///< the same, but not shared with other dates: few looks show the line
    double own_bias_before_m = 0;     ///< for ratios: that of the line before
    double resolution_m = 0.5;        ///< true pixel size
    double registration_sigma_m = 0;  ///< local misplacement that is left after registration
    double area_sigma_m2 = 0;  ///< of ground gained or lost, beyond the line's own noise: where its
                               ///< border was told by its change, and where it joins the old line
    double found_m = 0;  ///< length of the stretches that a search has found: it cuts across narrow
                         ///< notches, so the line may be longer
    std::vector<double> bridged_m;         ///< lengths of unseen stretches
    std::vector<double> bridged_before_m;  ///< for ratios: those of the line before
    std::vector<double> hidden_m;          ///< lengths of stretches under cloud, snow or shadow
};

struct MeasureIntervals {
    Interval area, length;
};

/// 1 sigma, m², of the ground between a line and its detour through the two places where they meet:
/// the way from the one to the other is the least certain part of a trace, and a stretch of it may
/// follow something else (a path, a shadow, the old line). Each holds at most a square of 70 m, and
/// no more than 1.2 % of the ground that is told: what the traces of three tuned series were off by
/// (camp25, seeds 11, 12 and 101: 1.2, 2.1 and .6 % of the area before). They are independent.
double junction_sigma_m2(double region_m2);

/// 95 % intervals of area and length. METHODS.md 5: sigma_A² = sigma_n²·P·2L + (b·P)², sigma_n and
/// b (shared and own together) widened by the pixel (0.1 of it as bias, 0.3 as noise) and by
/// registration (noise); an unseen stretch of length g may belly out by a tenth of it (variance
/// (0.067 g²)²); a hidden one may hide growth: the upper bound gets another quarter of its square.
/// What a search has found may be up to 6 % longer (the length of the new stretch fell short by 0
/// to 5 % on tuned series, camp25 seeds 123-126).
MeasureIntervals measure_intervals(double area_m2, double length_m, const LineErrors& errors);

/// 95 % interval of the ratio area_after / area_before when both lines share the stretch shared_m
/// and the bias b. Unseen stretches count on either side, as if those of the two were others.
Interval area_ratio_interval(double area_before_m2, double length_before_m, double area_after_m2,
                             double length_after_m, double shared_m, const LineErrors& errors);
/// The same for length.
Interval length_ratio_interval(double length_before_m, double length_after_m, double shared_m,
                               const LineErrors& errors);

}  // namespace fenceline
