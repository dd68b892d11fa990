#pragma once

#include <algorithm>
#include <vector>

#include "core/warp.h"
#include "stages/align_windows.h"

// Displacement models fitted to given matches: from a translation to an affine with a smooth field.

namespace fenceline {

enum class Model { translation, similarity, affine, local };

/// The grid that models live on.
struct Frame {
    int width = 0, height = 0;
    double spacing_px = 64;  ///< of the local field's lattice
    Point centre() const { return {0.5 * width, 0.5 * height}; }
    double scale() const { return 0.5 * std::max(width, height); }
};

struct ModelChoice {
    Model model = Model::translation;
    double stiffness = 0;  ///< of the local field; 0 for the others
};

/// A local field and what its matches leave open.
struct LocalSolution {
    LocalField field;
    int band = 0;
    std::vector<double>
        inverse;  ///< of the normal equations, within the band; empty: not asked for
    /// Variance of the field at a place, in units of the noise variance of one match and axis.
    double variance(Point p) const;
};

/// A model, and what it leaves open when asked.
struct Solution {
    Warp warp;
    LocalSolution local;
    double variance(Point p) const { return local.inverse.empty() ? 0.0 : local.variance(p); }
};

/// Weighted least squares of a model on the matches' target_px; weight 0: not used. A local field
/// is a discrete thin plate over what the affine leaves. False when the matches do not hold it.
bool solve(const std::vector<Match>& matches, const std::vector<double>& weight, ModelChoice choice,
           const Frame& frame, bool with_variance, Solution& out);

/// Huber's M-estimate (Huber 1964) by reweighting: scale from the MAD, tuning 1.5. weight: what the
/// matches weighed in the last solution; prior: what they weigh before, by their noise.
bool solve_robust(const std::vector<Match>& matches, const std::vector<char>& use,
                  const std::vector<double>& prior, ModelChoice choice, const Frame& frame,
                  bool with_variance, Solution& solution, std::vector<double>& weight);

/// Noise of one match about a solution that it took part in (px, per axis): by the median of what
/// is left, each larger by what the solution took up of it. 0 without matches.
double noise_left(const std::vector<Match>& matches, const std::vector<char>& of,
                  const Solution& solution);

/// The upper of the two middle ones of an even number; 0 of none.
double median_of(std::vector<double> values);

}  // namespace fenceline
