#include "stages/align_series.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "core/parallel.h"
#include "stages/align_judge.h"

namespace fenceline {
namespace {

constexpr double kHuber = 2;  ///< of two axes together; 1.5 of one (Huber 1964)
constexpr int kRounds = 5;
constexpr double kLeastSigmaPx = 0.01;      ///< no standard error is believed below this
constexpr std::size_t kLeastClosures = 10;  ///< nodes, to judge a tie by
constexpr double kFar = 3;         ///< of what a tie errs by near tie points it errs away from them
constexpr double kWorthPx = 0.01;  ///< corrections below this everywhere are left away

double median_of(std::vector<double> values) {
    if (values.empty()) return 0;
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

/// Days between two days of the year, the short way round.
double season_apart(const Time& a, const Time& b) {
    const double apart = std::fmod(std::abs(a.days() - b.days()), 365.25);
    return std::min(apart, 365.25 - apart);
}

/// One observation of the network at a node: x_target − x_from = value (px); from −1: the
/// reference.
struct Observation {
    int target = 0, from = -1;
    Point value;
    double sigma = 1;
};

/// Corrections of all unknowns and their variances at one node.
struct NodeSolution {
    std::vector<Point> correction;
    std::vector<double> variance;
};

NodeSolution solve_node(const std::vector<Observation>& observations, int unknowns) {
    NodeSolution out;
    std::vector<double> huber(observations.size(), 1.0);
    Eigen::MatrixXd normal(unknowns, unknowns);
    Eigen::MatrixXd right(unknowns, 2), x;
    for (int round = 0;; ++round) {
        normal.setZero(), right.setZero();
        for (std::size_t k = 0; k < observations.size(); ++k) {
            const Observation& o = observations[k];
            const double w = huber[k] / (o.sigma * o.sigma);
            normal(o.target, o.target) += w;
            right(o.target, 0) += w * o.value.x, right(o.target, 1) += w * o.value.y;
            if (o.from < 0) continue;
            normal(o.from, o.from) += w;
            normal(o.target, o.from) -= w, normal(o.from, o.target) -= w;
            right(o.from, 0) -= w * o.value.x, right(o.from, 1) -= w * o.value.y;
        }
        const Eigen::LLT<Eigen::MatrixXd> solver(normal);
        x = solver.solve(right);
        if (round + 1 == kRounds) {
            const Eigen::MatrixXd inverse =
                solver.solve(Eigen::MatrixXd::Identity(unknowns, unknowns));
            for (int i = 0; i < unknowns; ++i) out.variance.push_back(inverse(i, i));
            break;
        }
        for (std::size_t k = 0; k < observations.size(); ++k) {
            const Observation& o = observations[k];
            Point rest{o.value.x - x(o.target, 0), o.value.y - x(o.target, 1)};
            if (o.from >= 0) rest = rest + Point{x(o.from, 0), x(o.from, 1)};
            huber[k] = std::min(1.0, kHuber * o.sigma / std::max(1e-12, norm(rest)));
        }
    }
    for (int i = 0; i < unknowns; ++i) out.correction.push_back({x(i, 0), x(i, 1)});
    return out;
}

}  // namespace

std::vector<SeriesPair> neighbours_in_season(std::span<const SceneInfo> scenes, int reference,
                                             int per_scene) {
    std::vector<SeriesPair> pairs;
    const auto count = static_cast<int>(scenes.size());
    const auto info = [&](int i) -> const SceneInfo& {
        return scenes[static_cast<std::size_t>(i)];
    };
    for (int i = 0; i < count; ++i) {
        if (i == reference || !info(i).datetime) continue;
        std::vector<std::pair<double, int>> others;
        for (int j = 0; j < count; ++j)
            if (j != i && j != reference && info(j).datetime)
                // A year apart counts like four days of season: fewer buildings have changed.
                others.emplace_back(
                    season_apart(*info(i).datetime, *info(j).datetime) +
                        0.01 * std::abs(info(i).datetime->days() - info(j).datetime->days()),
                    j);
        std::sort(others.begin(), others.end());
        for (int k = 0; k < std::min<int>(per_scene, static_cast<int>(others.size())); ++k) {
            const int j = others[static_cast<std::size_t>(k)].second;
            const SeriesPair pair{std::max(i, j), std::min(i, j)};
            if (std::find(pairs.begin(), pairs.end(), pair) == pairs.end()) pairs.push_back(pair);
        }
    }
    return pairs;
}

SeriesSolution align_series(const Grid& grid, std::vector<Alignment> star, int reference,
                            std::span<const SeriesTie> ties, const AlignOptions& options) {
    SeriesSolution out;
    out.alignments = std::move(star);
    out.closure_m.assign(ties.size(), std::numeric_limits<double>::quiet_NaN());
    const auto count = static_cast<int>(out.alignments.size());
    const auto alignment = [&](int i) -> Alignment& {
        return out.alignments[static_cast<std::size_t>(i)];
    };
    std::vector<int> unknown(static_cast<std::size_t>(count), -1);
    std::vector<int> scene_of;
    for (int i = 0; i < count; ++i)
        if (i != reference && alignment(i).status != RegistrationStatus::fail &&
            alignment(i).residual.columns > 1) {
            unknown[static_cast<std::size_t>(i)] = static_cast<int>(scene_of.size());
            scene_of.push_back(i);
        }
    const auto index = [&](int scene) { return unknown[static_cast<std::size_t>(scene)]; };
    std::vector<std::size_t> used;
    for (std::size_t k = 0; k < ties.size(); ++k) {
        const SeriesTie& tie = ties[k];
        if (tie.between.status != RegistrationStatus::fail && tie.between.residual.columns > 1 &&
            index(tie.pair.target) >= 0 && index(tie.pair.neighbour) >= 0)
            used.push_back(k);
    }
    if (used.empty()) return out;

    const double gsd = grid.gsd() > 0 ? grid.gsd() : 1.0;
    ResidualField lattice;
    lattice.spacing_px =
        std::max(32.0, std::sqrt(static_cast<double>(grid.width) * grid.height / 600));
    lattice.columns = static_cast<int>(std::ceil(grid.width / lattice.spacing_px)) + 1;
    lattice.rows = static_cast<int>(std::ceil(grid.height / lattice.spacing_px)) + 1;
    const int nodes = lattice.columns * lattice.rows;
    const auto place = [&](int node) {
        return Point{std::min<double>(grid.width, node % lattice.columns * lattice.spacing_px),
                     std::min<double>(grid.height, node / lattice.columns * lattice.spacing_px)};
    };
    const auto sigma_px = [&](const ResidualField& field, Point p) {
        return std::max(kLeastSigmaPx, field(p) / gsd);
    };

    // Where both ends and the tie between them are held by tie points, closures are evidence.
    // A tie that does not close there says more than its standard error of how far it can be
    // trusted where the star cannot tell.
    std::vector<double> standardised, doubt(ties.size(), 1.0);
    const auto supported = [&](const Alignment& a, Point p) {
        return std::any_of(a.tie_points.begin(), a.tie_points.end(), [&](const TiePoint& t) {
            return t.kept && distance(t.reference_px, p) <= a.support_radius_px;
        });
    };
    for (const std::size_t k : used) {
        const SeriesTie& tie = ties[k];
        const Alignment &a = alignment(tie.pair.target), &b = alignment(tie.pair.neighbour);
        double squares = 0, seen = 0;
        std::vector<double> opens, stars, own;
        for (int node = 0; node < nodes; ++node) {
            const Point p = place(node);
            if (!supported(tie.between, p) || !supported(a, p) || !supported(b, p)) continue;
            const Point open = tie.between.target_from_reference(p) - p;
            squares += dot(open, open), seen += 1;
            opens.push_back(dot(open, open));
            stars.push_back(std::pow(sigma_px(a.residual, p), 2) +
                            std::pow(sigma_px(b.residual, p), 2));
            own.push_back(std::pow(sigma_px(tie.between.residual, p), 2));
            standardised.push_back(opens.back() / (stars.back() + own.back()));
        }
        if (opens.size() >= kLeastClosures)
            // The median of a squared Rayleigh variable is 2 ln 2 σ².
            doubt[k] = std::max(
                1.0, kFar * std::sqrt(std::max(0.0, median_of(opens) / (2 * std::numbers::ln2) -
                                                        median_of(stars)) /
                                      median_of(own)));
        if (seen > 0) out.closure_m[k] = gsd * std::sqrt(squares / seen);
    }
    if (standardised.size() >= 30)
        out.variance_factor =
            std::max(1.0, std::sqrt(median_of(standardised) / (2 * std::numbers::ln2)));

    const auto unknowns = static_cast<int>(scene_of.size());
    std::vector<NodeSolution> solved(static_cast<std::size_t>(nodes));
    parallel_items(nodes, [&](int node) {
        const Point p = place(node);
        std::vector<Observation> observations;
        for (int u = 0; u < unknowns; ++u)
            observations.push_back(
                {u,
                 -1,
                 {},
                 sigma_px(alignment(scene_of[static_cast<std::size_t>(u)]).residual, p)});
        for (const std::size_t k : used)
            observations.push_back({index(ties[k].pair.target), index(ties[k].pair.neighbour),
                                    ties[k].between.target_from_reference(p) - p,
                                    doubt[k] * sigma_px(ties[k].between.residual, p)});
        solved[static_cast<std::size_t>(node)] = solve_node(observations, unknowns);
    });

    for (int u = 0; u < unknowns; ++u) {
        Alignment& a = alignment(scene_of[static_cast<std::size_t>(u)]);
        LocalField correction{lattice.spacing_px, lattice.columns, lattice.rows, {}, {}};
        ResidualField residual = lattice;
        double largest = 0;
        Point sum{};
        for (const NodeSolution& node : solved) {
            const Point x = node.correction[static_cast<std::size_t>(u)];
            correction.dx.push_back(static_cast<float>(x.x));
            correction.dy.push_back(static_cast<float>(x.y));
            largest = std::max(largest, norm(x));
            sum = sum + x;
            residual.sigma_m.push_back(static_cast<float>(
                gsd * out.variance_factor * std::sqrt(node.variance[static_cast<std::size_t>(u)])));
        }
        a.residual = std::move(residual);
        a.disputed_m = 0;  // it was the model's that the ties have corrected
        if (largest > kWorthPx) {
            LocalField& local = a.target_from_reference.local;
            if (local.columns == 0) {
                local = std::move(correction);
                a.model = "affine+local";
            } else {
                for (int j = 0; j < local.rows; ++j)
                    for (int i = 0; i < local.columns; ++i) {
                        const Point x = correction({i * local.spacing_px, j * local.spacing_px});
                        const auto k = static_cast<std::size_t>(j * local.columns + i);
                        local.dx[k] += static_cast<float>(x.x);
                        local.dy[k] += static_cast<float>(x.y);
                    }
            }
            const Point mean = (1.0 / nodes) * sum;
            const Point moved = grid.map_from_px(mean) - grid.map_from_px({0, 0});
            a.dx_m += moved.x, a.dy_m += moved.y;
        }
        const std::string warned = a.status == RegistrationStatus::warn ? a.reason : "";
        judge(a, grid.width, grid.height, gsd, options);
        if (a.status == RegistrationStatus::pass && !warned.empty()) {
            a.status = RegistrationStatus::warn;  // what was doubted alone stays doubted
            a.reason = warned;
        }
    }
    return out;
}

}  // namespace fenceline
