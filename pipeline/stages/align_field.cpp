#include "stages/align_field.h"

#include <Eigen/Dense>
#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <numbers>

#include "kernels/band_system.h"

namespace fenceline {
namespace {

/// Weighted least squares of a global model on target_px; coordinates are centred and scaled for
/// the normal equations. weight 0: not used. False when the points do not hold it.
bool solve_global(const std::vector<Match>& matches, const std::vector<double>& weight, Model model,
                  const Frame& frame, Affine& out) {
    const int unknowns = model == Model::translation ? 2 : model == Model::similarity ? 4 : 6;
    using Row = Eigen::Matrix<double, 6, 1>;
    Eigen::Matrix<double, 6, 6> normal = Eigen::Matrix<double, 6, 6>::Zero();
    Row right = Row::Zero();
    const Point centre = frame.centre();
    const double scale = frame.scale();
    double used = 0;
    for (std::size_t i = 0; i < matches.size(); ++i) {
        if (weight[i] <= 0) continue;
        used += 1;
        const double x = (matches[i].reference_px.x - centre.x) / scale,
                     y = (matches[i].reference_px.y - centre.y) / scale;
        const Point shift = matches[i].target_px - matches[i].reference_px;
        Row a = Row::Zero(), b = Row::Zero();
        a(0) = 1, b(1) = 1;
        if (model == Model::similarity) a(2) = x, a(3) = -y, b(2) = y, b(3) = x;
        if (model == Model::affine || model == Model::local) a(2) = x, a(3) = y, b(4) = x, b(5) = y;
        normal.noalias() += weight[i] * (a * a.transpose() + b * b.transpose());
        right += weight[i] * (shift.x * a + shift.y * b);
    }
    if (2 * used < unknowns) return false;
    using System = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, 0, 6, 6>;
    const System part = normal.topLeftCorner(unknowns, unknowns);
    const Eigen::LDLT<System> solver(part);
    if (solver.info() != Eigen::Success ||
        solver.vectorD().minCoeff() < 1e-7 * solver.vectorD().maxCoeff())
        return false;
    const Eigen::VectorXd v = solver.solve(right.head(unknowns));
    double a = 0, b = 0, c = 0, d = 0;  // shift = v0 + [a b; c d] (p - centre)/scale
    if (model == Model::similarity) a = v(2), b = -v(3), c = v(3), d = v(2);
    if (model == Model::affine || model == Model::local) a = v(2), b = v(3), c = v(4), d = v(5);
    a /= scale, b /= scale, c /= scale, d /= scale;
    out.a = {v(0) - a * centre.x - b * centre.y, 1 + a, b,
             v(1) - c * centre.x - d * centre.y, c,     1 + d};
    return true;
}

/// Lattice nodes are numbered along the shorter side first: the system's band stays narrow.
int order(int i, int j, const LocalField& field) {
    return field.rows <= field.columns ? i * field.rows + j : j * field.columns + i;
}

/// Catmull–Rom weights of the sixteen nodes around a place, as LocalField evaluates them.
struct NodeWeights {
    std::array<int, 16> node{};
    std::array<double, 16> weight{};
};
NodeWeights node_weights(Point p, const LocalField& field) {
    NodeWeights out;
    const double u =
        std::clamp(p.x / field.spacing_px, 0.0, static_cast<double>(field.columns - 1));
    const double v = std::clamp(p.y / field.spacing_px, 0.0, static_cast<double>(field.rows - 1));
    const int i = std::min(static_cast<int>(u), std::max(0, field.columns - 2)),
              j = std::min(static_cast<int>(v), std::max(0, field.rows - 2));
    const auto weights = [](double t) {
        return std::array<double, 4>{
            0.5 * (-t + 2 * t * t - t * t * t), 0.5 * (2 - 5 * t * t + 3 * t * t * t),
            0.5 * (t + 4 * t * t - 3 * t * t * t), 0.5 * (-t * t + t * t * t)};
    };
    const auto wu = weights(u - i), wv = weights(v - j);
    for (int b = 0; b < 4; ++b)
        for (int a = 0; a < 4; ++a) {
            const auto k = static_cast<std::size_t>(4 * b + a);
            out.node[k] = order(std::clamp(i + a - 1, 0, field.columns - 1),
                                std::clamp(j + b - 1, 0, field.rows - 1), field);
            out.weight[k] = wu[static_cast<std::size_t>(a)] * wv[static_cast<std::size_t>(b)];
        }
    return out;
}

/// Discrete thin-plate smoothing (bending energy on the lattice) of what a global model leaves: the
/// nodes minimise Σ w |f(p) − r|² + stiffness · ∫ f_xx² + 2 f_xy² + f_yy² (per lattice unit). Far
/// from any point the field goes on straight and, by a small pull, back to the global model.
bool solve_local(const std::vector<Match>& matches, const std::vector<double>& weight,
                 const Affine& affine, double stiffness, const Frame& frame, bool with_variance,
                 LocalSolution& out) {
    LocalField& field = out.field;
    field.spacing_px = frame.spacing_px;
    field.columns = static_cast<int>(std::ceil(frame.width / frame.spacing_px)) + 1;
    field.rows = static_cast<int>(std::ceil(frame.height / frame.spacing_px)) + 1;
    const int nodes = field.columns * field.rows;
    out.band = std::min(nodes - 1, 3 * std::min(field.columns, field.rows) + 3);
    const auto stride = static_cast<std::size_t>(out.band + 1),
               size = static_cast<std::size_t>(nodes);
    std::vector<double> lower(size * stride), x(size), y(size);
    const auto add = [&](int i, int j, double value) {
        if (i >= j)  // each pair is offered both ways
            lower[static_cast<std::size_t>(j) * stride + static_cast<std::size_t>(i - j)] += value;
    };
    for (std::size_t m = 0; m < matches.size(); ++m) {
        if (weight[m] <= 0) continue;
        const NodeWeights at = node_weights(matches[m].reference_px, field);
        const Point rest = matches[m].target_px - affine(matches[m].reference_px);
        for (std::size_t i = 0; i < 16; ++i) {
            const auto node = static_cast<std::size_t>(at.node[i]);
            x[node] += weight[m] * at.weight[i] * rest.x;
            y[node] += weight[m] * at.weight[i] * rest.y;
            for (std::size_t j = 0; j < 16; ++j)
                add(at.node[i], at.node[j], weight[m] * at.weight[i] * at.weight[j]);
        }
    }
    const auto node = [&](int i, int j) { return order(i, j, field); };
    const auto bend = [&](std::initializer_list<std::pair<int, double>> terms, double w) {
        for (const auto& [a, wa] : terms)
            for (const auto& [b, wb] : terms) add(a, b, w * wa * wb);
    };
    for (int j = 0; j < field.rows; ++j)
        for (int i = 0; i < field.columns; ++i) {
            add(node(i, j), node(i, j), 5e-3);
            if (i > 0 && i + 1 < field.columns)
                bend({{node(i - 1, j), 1}, {node(i, j), -2}, {node(i + 1, j), 1}}, stiffness);
            if (j > 0 && j + 1 < field.rows)
                bend({{node(i, j - 1), 1}, {node(i, j), -2}, {node(i, j + 1), 1}}, stiffness);
            if (i + 1 < field.columns && j + 1 < field.rows)
                bend({{node(i, j), 1},
                      {node(i + 1, j), -1},
                      {node(i, j + 1), -1},
                      {node(i + 1, j + 1), 1}},
                     2 * stiffness);
        }
    if (!kernels::band_factor(lower.data(), size, stride - 1)) return false;
    kernels::band_solve(lower.data(), size, stride - 1, x.data());
    kernels::band_solve(lower.data(), size, stride - 1, y.data());
    if (with_variance) {
        out.inverse.resize(lower.size());
        kernels::band_inverse(lower.data(), size, stride - 1, out.inverse.data());
    }
    field.dx.resize(static_cast<std::size_t>(nodes));
    field.dy.resize(static_cast<std::size_t>(nodes));
    for (int j = 0; j < field.rows; ++j)
        for (int i = 0; i < field.columns; ++i) {
            const auto from = static_cast<std::size_t>(node(i, j)),
                       to = static_cast<std::size_t>(j * field.columns + i);
            if (!std::isfinite(x[from]) || !std::isfinite(y[from])) return false;
            field.dx[to] = static_cast<float>(x[from]);
            field.dy[to] = static_cast<float>(y[from]);
        }
    return true;
}

}  // namespace

double median_of(std::vector<double> values) {
    if (values.empty()) return 0;
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

double LocalSolution::variance(Point p) const {
    const NodeWeights at = node_weights(p, field);
    double sum = 0;
    for (std::size_t i = 0; i < 16; ++i)
        for (std::size_t j = 0; j < 16; ++j) {
            const int low = std::min(at.node[i], at.node[j]),
                      high = std::max(at.node[i], at.node[j]);
            sum += at.weight[i] * at.weight[j] *
                   inverse[static_cast<std::size_t>(low) * static_cast<std::size_t>(band + 1) +
                           static_cast<std::size_t>(high - low)];
        }
    return std::max(0.0, sum);
}

bool solve(const std::vector<Match>& matches, const std::vector<double>& weight, ModelChoice choice,
           const Frame& frame, bool with_variance, Solution& out) {
    out = {};
    if (!solve_global(matches, weight, choice.model, frame, out.warp.affine)) return false;
    if (choice.model != Model::local) return true;
    if (!solve_local(matches, weight, out.warp.affine, choice.stiffness, frame, with_variance,
                     out.local))
        return false;
    out.warp.local = out.local.field;
    return true;
}

bool solve_robust(const std::vector<Match>& matches, const std::vector<char>& use,
                  const std::vector<double>& prior, ModelChoice choice, const Frame& frame,
                  bool with_variance, Solution& solution, std::vector<double>& weight) {
    const Warp& warp = solution.warp;
    weight.assign(matches.size(), 0.0);
    for (std::size_t i = 0; i < matches.size(); ++i) weight[i] = use[i] != 0 ? prior[i] : 0.0;
    const int rounds = choice.model == Model::local ? 2 : 4;
    for (int round = 0; round < rounds; ++round) {
        const bool last = round + 1 == rounds;
        if (!solve(matches, weight, choice, frame, with_variance && last, solution)) return false;
        if (last) break;
        std::vector<double> sizes;
        for (std::size_t i = 0; i < matches.size(); ++i)
            if (use[i] != 0)
                sizes.push_back(std::sqrt(prior[i]) *
                                distance(matches[i].target_px, warp(matches[i].reference_px)));
        // The median of a Rayleigh variable is 1.1774 σ.
        const double limit = 1.5 * std::max(0.01, median_of(sizes) / 1.1774);
        for (std::size_t i = 0; i < matches.size(); ++i)
            if (use[i] != 0)
                weight[i] =
                    prior[i] *
                    std::min(1.0,
                             limit / std::max(1e-9, std::sqrt(prior[i]) *
                                                        distance(matches[i].target_px,
                                                                 warp(matches[i].reference_px))));
    }
    return true;
}

double noise_left(const std::vector<Match>& matches, const std::vector<char>& of,
                  const Solution& solution) {
    std::vector<double> left;
    for (std::size_t i = 0; i < matches.size(); ++i)
        if (of[i] != 0) {
            const Point p = matches[i].reference_px, rest = matches[i].target_px - solution.warp(p);
            left.push_back(dot(rest, rest) / std::max(0.2, 1 - solution.variance(p)));
        }
    return std::sqrt(median_of(std::move(left)) / (2 * std::numbers::ln2));
}

}  // namespace fenceline
