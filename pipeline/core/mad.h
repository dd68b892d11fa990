#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/raster.h"

namespace fenceline {

/// The bands that two images share, by role; bands whose role is not known are paired in order.
/// When the roles have nothing in common (pan against colour) each image's luminance stands in.
struct CommonBands {
    std::vector<const Plane*> first, second;
    std::vector<BandRole> roles;
    std::vector<std::pair<int, int>>
        indices;       ///< into the rasters' bands; empty when luminance stands in
    std::string note;  ///< what was left out, for the report; empty: nothing
    std::shared_ptr<const Plane> luminance_first,
        luminance_second;  ///< the stand-ins' storage; may be null
};
/// The rasters must outlive the result.
CommonBands common_bands(const Raster& first, const Raster& second);

/// Averages over side × side blocks that are seen throughout (seen: nonzero in both images). Blocks
/// at the right and lower border that are not whole are left out.
struct BlockAverages {
    int side = 1;
    std::vector<Plane> first, second;
    Mask seen;  ///< nonzero where the whole block is seen
    int seen_count = 0;
};
BlockAverages block_averages(const CommonBands& bands, const Mask& seen, int side);

struct MadOptions {
    int max_rounds = 50;        ///< 1: plain MAD (Nielsen 1998)
    double convergence = 1e-3;  ///< largest change of a canonical correlation in the last round
    double ridge = 1e-6;  ///< added to a correlation matrix whose condition number exceeds 1/ridge
    int max_samples = 400000;  ///< more are thinned on a regular lattice
};

/// MAD variate i is a[i]·(first - mean_first) - b[i]·(second - mean_second); its no-change standard
/// deviation is sigma[i] = sqrt(2(1 - correlation[i])).
struct MadTransform {
    int bands = 0;
    std::vector<double> mean_first, mean_second;
    std::vector<std::vector<double>> a,
        b;  ///< [variate][band], digital numbers to unit-variance variates
    std::vector<double> correlation, sigma;  ///< canonical correlations, largest first
    int rounds = 0;
    bool converged = false;
    std::string fault;  ///< why no transform could be fitted; empty: fitted
};

/// Iteratively re-weighted multivariate alteration detection (Nielsen 2007; Canty & Nielsen 2008):
/// canonical correlations with weights 1 - F_χ²(Σ(MAD_i/σ_i)²; N), repeated until they no longer
/// change. Planes: equally many of equal size; only pixels with seen != 0 count.
MadTransform fit_mad(std::span<const Plane* const> first, std::span<const Plane* const> second,
                     const Mask& seen, const MadOptions& options);

/// The plain transform (Nielsen 1998) from the moments of all pixels, as
/// kernels::weighted_moments() gives them for the first image's bands, then the second's.
MadTransform mad_of_moments(std::span<const double> moments, int bands, double ridge);

/// Σ(MAD_i/σ_i)² per pixel; 0 where seen is 0.
Plane mad_chi_square(std::span<const Plane* const> first, std::span<const Plane* const> second,
                     const Mask& seen, const MadTransform& transform);

/// P(χ² > value) with the given degrees of freedom (>= 1), exact (finite sums).
double chi_square_survival(double value, int degrees_of_freedom);

std::vector<const Plane*> pointers(const std::vector<Plane>& planes);

}  // namespace fenceline
