#include "stages/align_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <random>

#include "core/parallel.h"

namespace fenceline {

const char* name_of(Model model) {
    switch (model) {
        case Model::translation:
            return "translation";
        case Model::similarity:
            return "similarity";
        case Model::affine:
            return "affine";
        case Model::local:
            return "affine+local";
    }
    return "";
}

namespace {

/// Mean log likelihood a match that a simpler model may be worse by (about 3 % in the residual).
constexpr double kSimplerIsWorth = 0.06;

/// Folds are made of square blocks, so that a window does not vouch for its neighbours; a match
/// nearer than buffer_px to a held-out one (more than half of its window shared) is kept out of
/// that fold's training too.
struct Folds {
    int count = 0;
    std::vector<int> of;                      ///< fold of each match
    std::vector<std::vector<char>> training;  ///< per fold: 1 where a match may train
};
/// apart: how many blocks on the next of the same fold lies, along rows and along columns; 0: five
/// folds, a knight's move between their blocks.
Folds spatial_folds(const std::vector<Match>& matches, const Frame& frame, double block_px,
                    double buffer_px, int apart = 0) {
    Folds out;
    out.count = apart > 0 ? apart * apart : 5;
    const double block =
        std::max(8.0, std::min(block_px, std::max(frame.width, frame.height) / 4.0));
    buffer_px = std::min(buffer_px, 0.5 * block);  // a small image must keep something to train on
    for (const Match& match : matches) {
        const int bx = static_cast<int>(match.reference_px.x / block),
                  by = static_cast<int>(match.reference_px.y / block);
        // Neighbours, diagonal ones too, are in different folds.
        out.of.push_back(apart > 0 ? bx % apart + apart * (by % apart) : (bx + 2 * by) % 5);
    }
    out.training.resize(static_cast<std::size_t>(out.count));
    parallel_items(out.count, [&](int fold) {
        std::vector<char>& may = out.training[static_cast<std::size_t>(fold)];
        may.resize(matches.size());
        std::vector<Point> held;
        for (std::size_t j = 0; j < matches.size(); ++j)
            if (out.of[j] == fold && matches[j].passed) held.push_back(matches[j].reference_px);
        for (std::size_t i = 0; i < matches.size(); ++i) {
            may[i] = out.of[i] != fold ? 1 : 0;
            const Point p = matches[i].reference_px;
            for (std::size_t j = 0; may[i] != 0 && j < held.size(); ++j)
                if (std::abs(held[j].x - p.x) < buffer_px && std::abs(held[j].y - p.y) < buffer_px)
                    may[i] = 0;
        }
    });
    return out;
}

/// What blocks say of matches that they did not see.
struct HeldOut {
    std::vector<double> residual;  ///< px; NaN where a fold could not be fitted
    std::vector<double> variance;  ///< of the prediction, in units of one match's noise variance
    double noise_px = 0;           ///< one match's noise, per axis
    double score = 1e300;          ///< mean −log likelihood of the used matches; less is better
};

/// Leave-block-out predictions of every match, used ones and others. Outliers weigh in the folds
/// what they weigh in the whole. The noise comes from the median of the standardised residuals, so
/// that a model is judged by what it predicts and by how well it knows how far that can be trusted.
HeldOut hold_out(const std::vector<Match>& matches, const std::vector<char>& use,
                 const std::vector<double>& prior, const Folds& folds, ModelChoice choice,
                 const Frame& frame) {
    HeldOut out;
    out.residual.assign(matches.size(), std::numeric_limits<double>::quiet_NaN());
    out.variance.assign(matches.size(), 0.0);
    std::vector<double> weight;
    Solution whole;
    if (!solve_robust(matches, use, prior, choice, frame, true, whole, weight)) return out;
    parallel_items(folds.count, [&](int fold) {
        std::vector<char> training = use;
        for (std::size_t i = 0; i < matches.size(); ++i)
            if (folds.training[static_cast<std::size_t>(fold)][i] == 0) training[i] = 0;
        // Where the buffer leaves too little to train on (small images), the block alone is held
        // out.
        if (3 * std::count(training.begin(), training.end(), 1) <
            std::count(use.begin(), use.end(), 1))
            for (std::size_t i = 0; i < matches.size(); ++i)
                training[i] = folds.of[i] != fold ? use[i] : 0;
        std::vector<double> fold_weight = weight;
        for (std::size_t i = 0; i < matches.size(); ++i)
            if (training[i] == 0) fold_weight[i] = 0;
        Solution solution;
        if (!solve(matches, fold_weight, choice, frame, true, solution)) return;
        for (std::size_t i = 0; i < matches.size(); ++i)
            if (folds.of[i] == fold) {
                out.residual[i] =
                    distance(matches[i].target_px, solution.warp(matches[i].reference_px));
                out.variance[i] = solution.variance(matches[i].reference_px);
            }
    });
    // What is not used was seen by no fold: the whole judges it.
    for (std::size_t i = 0; i < matches.size(); ++i)
        if (use[i] == 0) {
            out.residual[i] = distance(matches[i].target_px, whole.warp(matches[i].reference_px));
            out.variance[i] = whole.variance(matches[i].reference_px);
        }
    std::vector<double> standard;
    for (std::size_t i = 0; i < matches.size(); ++i)
        if (use[i] != 0) {
            if (!std::isfinite(out.residual[i])) return out;
            standard.push_back(out.residual[i] * out.residual[i] / (1 + out.variance[i]));
        }
    if (standard.empty()) return out;
    // The median of a squared Rayleigh variable is 2 ln 2 σ².
    const double noise = std::max(1e-6, median_of(standard) / (2 * std::numbers::ln2));
    out.noise_px = std::sqrt(noise);
    double sum = 0, count = 0;
    for (std::size_t i = 0; i < matches.size(); ++i)
        if (use[i] != 0) {
            sum += std::log(noise * (1 + out.variance[i])) +
                   std::min(8.0, out.residual[i] * out.residual[i] /
                                     (2 * noise * (1 + out.variance[i])));
            count += 1;
        }
    out.score = sum / count;
    return out;
}

double rms_of_used(const std::vector<double>& residuals, const std::vector<char>& use) {
    double sum = 0, count = 0;
    for (std::size_t i = 0; i < residuals.size(); ++i)
        if (use[i] != 0) sum += residuals[i] * residuals[i], count += 1;
    return count > 0 ? std::sqrt(sum / count) : 0;
}

/// Windows that lie on open ground: the brighter half in the reference. Forest is dark in every
/// season, and its windows agree with each other on a place that leans with the view (5 m × v,
/// METHODS 2), so they may not choose the model. With few windows everything is taken.
std::vector<char> ground_seeds(const std::vector<Match>& matches) {
    std::vector<std::size_t> passed;
    for (std::size_t i = 0; i < matches.size(); ++i)
        if (matches[i].passed) passed.push_back(i);
    std::vector<char> seeds(matches.size(), 0);
    std::stable_sort(passed.begin(), passed.end(), [&](std::size_t a, std::size_t b) {
        return matches[a].brightness > matches[b].brightness;
    });
    const std::size_t count = passed.size() < 24 ? passed.size() : passed.size() / 2;
    for (std::size_t k = 0; k < count; ++k) seeds[passed[k]] = 1;
    return seeds;
}

/// Consensus of the candidates on an affine (RANSAC, Fischler & Bolles 1981, scored as MSAC),
/// tolerance in grid px.
std::vector<char> consensus(const std::vector<Match>& matches, const std::vector<char>& candidate,
                            double tolerance, double largest_strain, const Frame& frame) {
    std::vector<std::size_t> candidates;
    for (std::size_t i = 0; i < matches.size(); ++i)
        if (candidate[i] != 0) candidates.push_back(i);
    std::vector<char> best_use(matches.size(), 0);
    if (candidates.empty()) return best_use;
    double best = 1e300;
    const auto score = [&](const Affine& affine) {
        double cost = 0;
        for (const std::size_t i : candidates)
            cost += std::min(
                tolerance * tolerance,
                std::pow(distance(matches[i].target_px, affine(matches[i].reference_px)), 2));
        if (cost < best) {
            best = cost;
            for (const std::size_t i : candidates)
                best_use[i] =
                    distance(matches[i].target_px, affine(matches[i].reference_px)) < tolerance ? 1
                                                                                                : 0;
        }
    };
    const std::size_t singles = std::min<std::size_t>(candidates.size(), 200);
    for (std::size_t k = 0; k < singles; ++k) {
        const Match& m = matches[candidates[k * candidates.size() / singles]];
        Affine shift;
        shift.a[0] = m.target_px.x - m.reference_px.x,
        shift.a[3] = m.target_px.y - m.reference_px.y;
        score(shift);
    }
    if (candidates.size() >= 6) {
        std::mt19937 random(20240229);
        std::vector<double> weight(matches.size(), 0.0);
        for (int trial = 0; trial < 400; ++trial) {
            std::array<std::size_t, 3> three{};
            for (auto& t : three) t = candidates[random() % candidates.size()];
            const Point a = matches[three[0]].reference_px, b = matches[three[1]].reference_px,
                        c = matches[three[2]].reference_px;
            const double area = std::abs(cross(b - a, c - a));
            if (area < 0.02 * frame.width * frame.height) continue;
            for (const auto t : three) weight[t] = 1;
            Solution through;
            const bool solved = solve(matches, weight, {Model::affine, 0}, frame, false, through);
            for (const auto t : three) weight[t] = 0;
            if (!solved) continue;
            const Affine& affine = through.warp.affine;
            const double strain = std::max({std::abs(affine.a[1] - 1), std::abs(affine.a[2]),
                                            std::abs(affine.a[4]), std::abs(affine.a[5] - 1)});
            if (strain <= largest_strain) score(affine);
        }
    }
    return best_use;
}

/// Lets matches join that lie where the field of the used ones, carried on, says; the field is
/// fitted again and reaches further. A field carried on straight errs by its curvature times
/// the square of the way (waves of 1.4 px and 350 px: 4.5e-4 px/px²), which is forgiven to windows
/// that share more than half of their ground with a used one: a bend is told from crowns that stand
/// beside open ground only in steps as short as that. Returns how many joined.
std::ptrdiff_t grow(const std::vector<Match>& matches, const std::vector<char>& may,
                    ModelChoice choice, double noise, const Frame& frame, const FitOptions& options,
                    std::vector<char>& use) {
    constexpr double kBend = 4.5e-4;
    const double reach = 0.4 * options.block_px;
    std::ptrdiff_t joined = 0;
    const std::vector<double> even(matches.size(), 1.0);
    const auto gap_to_used = [&](Point p) {
        double nearest = 1e18;
        for (std::size_t k = 0; k < matches.size(); ++k)
            if (use[k] != 0) {
                const Point d = matches[k].reference_px - p;
                nearest = std::min(nearest, dot(d, d));
            }
        return std::sqrt(nearest);
    };
    for (int round = 0; round < 12; ++round) {
        Solution whole;
        std::vector<double> weight;
        if (!solve_robust(matches, use, even, choice, frame, true, whole, weight)) break;
        std::vector<std::size_t> joining;
        for (std::size_t i = 0; i < matches.size(); ++i) {
            if (use[i] != 0 || may[i] == 0) continue;
            const Point p = matches[i].reference_px;
            double limit = 3 * noise * std::sqrt(1 + whole.variance(p));
            if (const double gap = gap_to_used(p); gap < reach)
                limit = std::max(limit, options.floor_px + kBend * gap * gap);
            limit = std::max(options.floor_px, std::min(options.most_px, limit));
            if (distance(matches[i].target_px, whole.warp(p)) <= limit) joining.push_back(i);
        }
        for (const std::size_t i : joining) use[i] = 1;
        const auto now = static_cast<std::ptrdiff_t>(joining.size());
        joined += now;
        if (100 * now <= static_cast<std::ptrdiff_t>(matches.size())) break;
    }
    return joined;
}

constexpr std::size_t kLayer = 16;  ///< windows of a layer at least
constexpr std::size_t kMostLayers = 8;
constexpr double kNear = 4;  ///< variance (of one match) up to which a field is asked for more

/// What the matches of [begin, end) share against a field, where it can be asked: median and
/// 1.4826·MAD per axis, and the median's standard error.
struct Shared {
    Point middle;
    double spread = 0, error = 0, seen = 0;
};
Shared shared_displacement(const std::vector<Match>& matches, const std::vector<std::size_t>& of,
                           std::size_t begin, std::size_t end, const Solution& field) {
    std::vector<double> x, y;
    for (std::size_t k = begin; k < end; ++k) {
        const Match& m = matches[of[k]];
        if (field.variance(m.reference_px) > kNear) continue;
        const Point rest = m.target_px - field.warp(m.reference_px);
        x.push_back(rest.x), y.push_back(rest.y);
    }
    Shared out;
    out.seen = static_cast<double>(x.size());
    if (x.empty()) return out;
    out.middle = {median_of(x), median_of(y)};
    for (double& v : x) v = std::abs(v - out.middle.x);
    for (double& v : y) v = std::abs(v - out.middle.y);
    out.spread = 1.4826 * std::hypot(median_of(x), median_of(y)) / std::numbers::sqrt2;
    out.error = 1.2533 * out.spread / std::sqrt(out.seen);
    return out;
}

/// See fit: the dark windows that were kept out join in layers. Matches that join get their layer's
/// displacement taken off (when it is one: three standard errors of its median), and a prior weight
/// by the layer's scatter; 1 where the layer is no worse than the ground and shares no
/// displacement. False when none joined.
bool join_others(std::vector<Match>& matches, ModelChoice choice, double noise, const Frame& frame,
                 const FitOptions& options, std::vector<char>& use, std::vector<double>& prior) {
    constexpr int kRounds = 4;
    std::vector<std::size_t> others;
    for (std::size_t i = 0; i < matches.size(); ++i)
        if (matches[i].passed && use[i] == 0) others.push_back(i);
    if (others.size() < kLayer) return false;
    std::stable_sort(others.begin(), others.end(), [&](std::size_t a, std::size_t b) {
        return matches[a].brightness < matches[b].brightness;
    });
    const std::size_t layers = std::clamp<std::size_t>(others.size() / kLayer, 1, kMostLayers);
    const std::vector<char> ground = use;
    std::vector<Point> lean(matches.size());
    bool joined = false;
    for (int round = 0; round < kRounds; ++round) {
        std::vector<Match> level = matches;
        for (std::size_t i = 0; i < level.size(); ++i)
            level[i].target_px = level[i].target_px - lean[i];
        Solution solution;
        std::vector<double> weight;
        if (!solve_robust(level, use, prior, choice, frame, true, solution, weight)) return false;
        joined = false;
        use = ground;
        std::fill(prior.begin(), prior.end(), 1.0);
        for (std::size_t layer = 0; layer < layers; ++layer) {
            const std::size_t begin = layer * others.size() / layers,
                              end = (layer + 1) * others.size() / layers;
            const Shared shared = shared_displacement(matches, others, begin, end, solution);
            if (2 * shared.seen < static_cast<double>(kLayer)) continue;
            Point middle = shared.middle;
            const double spread = std::max(noise, shared.spread);
            if (spread > 0.5 * options.most_px) continue;
            const bool shares = norm(middle) > 3 * shared.error;
            if (!shares) middle = {};
            const bool as_ground = !shares && spread < 1.5 * noise;
            for (std::size_t k = begin; k < end; ++k) {
                const std::size_t i = others[k];
                const Point p = matches[i].reference_px;
                lean[i] = middle;
                const double limit = std::max(
                    options.floor_px,
                    3 * std::hypot(spread,
                                   noise * std::sqrt(std::min(kNear, solution.variance(p)))));
                if (distance(matches[i].target_px - middle, solution.warp(p)) > limit) continue;
                use[i] = 1;
                // Strictly below 1: it is how they are told from ground.
                prior[i] = as_ground ? 1.0 : std::min(0.99, noise * noise / (spread * spread));
                joined = true;
            }
        }
        if (!joined) return false;
    }
    for (std::size_t i = 0; i < matches.size(); ++i)
        if (use[i] != 0 && prior[i] < 1) {
            matches[i].target_px = matches[i].target_px - lean[i];
            matches[i].lean_px = lean[i];
        }
    return joined;
}

/// Windows that agree on a model.
struct Agreement {
    std::vector<char> use;
    ModelChoice choice;
    HeldOut held;
    bool ok = false;
};

/// may_join: windows off the open ground join on their own merits, too.
Agreement settle(const std::vector<Match>& matches, const std::vector<char>& seeds,
                 std::vector<char> start, bool may_join, const Folds& folds, const Frame& frame,
                 const FitOptions& options) {
    Agreement out;
    out.use = std::move(start);
    const std::vector<double> even(matches.size(), 1.0);
    // The model and what it keeps take turns: a bent field grows outwards from where an affine
    // agrees with it, until nothing more joins.
    constexpr int kMostRounds = 8;
    bool settled = false;
    for (int round = 0;; ++round) {
        const auto count = std::count(out.use.begin(), out.use.end(), 1);
        if (count < 3) return out;
        std::vector<ModelChoice> ladder{{Model::translation, 0}};
        if (count >= 6) ladder.push_back({Model::similarity, 0});
        if (count >= 9) ladder.push_back({Model::affine, 0});
        if (count >= 20)
            for (const double stiffness : options.stiffness)
                ladder.push_back({Model::local, stiffness});
        // Later rounds stay near the choice of the one before; the last only judges it.
        if (settled)
            ladder = {out.choice};
        else if (round >= 2)
            std::erase_if(ladder, [&](const ModelChoice& c) {
                return c.model != out.choice.model || c.stiffness > 11 * out.choice.stiffness ||
                       c.stiffness < out.choice.stiffness / 11;
            });
        if (ladder.empty()) return out;
        std::vector<HeldOut> all(ladder.size());
        parallel_items(static_cast<int>(ladder.size()), [&](int k) {
            const auto c = static_cast<std::size_t>(k);
            all[c] = hold_out(matches, out.use, even, folds, ladder[c], frame);
        });
        double best = 1e300;
        for (const HeldOut& tried : all) best = std::min(best, tried.score);
        if (best > 1e100) return out;  // too few blocks to hold one out: all points in one corner
        std::size_t pick = 0;
        while (all[pick].score > best + kSimplerIsWorth) ++pick;
        out.choice = ladder[pick];
        out.held = std::move(all[pick]);
        const HeldOut& held = out.held;
        if (settled) break;
        const auto standard = [&](std::size_t i) {
            return held.residual[i] / std::sqrt(1 + held.variance[i]);
        };
        std::vector<double> sizes;
        for (std::size_t i = 0; i < matches.size(); ++i)
            if (out.use[i] != 0 && seeds[i] != 0) sizes.push_back(standard(i));
        const double noise = median_of(sizes) / 1.1774;
        // Takes back what consensus on an affine had thrown out and the chosen model explains.
        // Far from what a fold has seen, its prediction says little; but what lies a whole
        // tolerance off is never believed.
        std::ptrdiff_t changed = 0;
        for (std::size_t i = 0; i < matches.size(); ++i) {
            const double limit =
                std::max(options.floor_px,
                         std::min(options.most_px, 3 * noise * std::sqrt(1 + held.variance[i])));
            const char now = matches[i].passed && (seeds[i] != 0 || may_join) &&
                                     std::isfinite(held.residual[i]) && held.residual[i] <= limit
                                 ? 1
                                 : 0;
            changed += now != out.use[i] ? 1 : 0;
            out.use[i] = now;
        }
        if (out.choice.model == Model::local) {
            std::vector<char> may(matches.size(), 0);
            for (std::size_t i = 0; i < matches.size(); ++i)
                may[i] = matches[i].passed && (seeds[i] != 0 || may_join) ? 1 : 0;
            changed += grow(matches, may, out.choice, noise, frame, options, out.use);
        }
        settled = round + 2 >= kMostRounds ||
                  (round >= 1 && (out.choice.model != Model::local || 50 * changed <= count));
    }
    out.ok = true;
    return out;
}

/// Whether dark windows share a displacement against the field of the open ground alone: a median
/// over a layer of like brightness that is more than what is forgiven a single window, and three
/// times its own standard error.
bool crowns_lean(const std::vector<Match>& matches, const std::vector<char>& seeds,
                 const Agreement& agreed, const Frame& frame, const FitOptions& options) {
    // The ground by itself, not as the field of all bends it.
    const std::vector<char> ground = consensus(matches, seeds, options.tolerance_px, 0.1, frame);
    std::vector<std::size_t> dark;
    for (std::size_t i = 0; i < matches.size(); ++i) {
        if (seeds[i] == 0 && matches[i].passed) dark.push_back(i);
    }
    Solution solution;
    std::vector<double> weight;
    if (dark.size() < 2 * kLayer ||
        !solve_robust(matches, ground, std::vector<double>(matches.size(), 1.0), agreed.choice,
                      frame, true, solution, weight))
        return false;
    std::stable_sort(dark.begin(), dark.end(), [&](std::size_t a, std::size_t b) {
        return matches[a].brightness < matches[b].brightness;
    });
    const std::size_t layers = std::clamp<std::size_t>(dark.size() / kLayer, 2, kMostLayers);
    for (std::size_t layer = 0; 2 * layer < layers; ++layer) {
        const Shared shared = shared_displacement(matches, dark, layer * dark.size() / layers,
                                                  (layer + 1) * dark.size() / layers, solution);
        if (shared.seen >= static_cast<double>(kLayer) / 2 &&
            norm(shared.middle) > std::max(options.floor_px, 3 * shared.error))
            return true;
    }
    return false;
}

constexpr double kCommon = 6.5e-3;  ///< of floor_px: .0015 px at full resolution
constexpr int kFewWindows = 60;     ///< no layers are looked for among fewer
constexpr double kFollow = 0.8;     ///< of the dark windows that follow a field without crowns

/// Which ground windows, left out by the model, say the same as others around them that are left
/// out, too: `like` of those at least and, where asked, more than are kept there.
std::vector<char> left_out_together(const std::vector<Match>& matches, const Warp& warp,
                                    const FitOptions& options, int like, bool outnumber) {
    constexpr double kAround = 0.6, kAlike = 0.6;
    const double around = kAround * options.block_px;
    const auto off = [&](const Match& m) { return m.target_px - warp(m.reference_px); };
    std::vector<char> out(matches.size(), 0);
    for (std::size_t i = 0; i < matches.size(); ++i) {
        const Match& m = matches[i];
        if (!m.passed || m.kept || !m.ground) continue;
        const Point own = off(m);
        if (norm(own) < options.floor_px) continue;
        int alike = 0, kept = 0;
        for (const Match& other : matches) {
            if (&other == &m || !other.passed || !other.ground ||
                distance(other.reference_px, m.reference_px) > around)
                continue;
            const Point theirs = off(other);
            kept += other.kept ? 1 : 0;
            alike +=
                !other.kept && distance(theirs, own) <= kAlike * std::max(norm(theirs), norm(own))
                    ? 1
                    : 0;
        }
        out[i] = alike >= like && (!outnumber || alike > kept) ? 1 : 0;
    }
    return out;
}

/// What windows show that are left out together and outnumber the kept ones around them is real (a
/// bend that the field did not follow), whatever it is. Sets disputed_px.
void find_disputes(std::vector<Match>& matches, const Warp& warp, const FitOptions& options) {
    const std::vector<char> disputed = left_out_together(matches, warp, options, 4, true);
    for (std::size_t i = 0; i < matches.size(); ++i)
        matches[i].disputed_px =
            disputed[i] != 0 ? distance(matches[i].target_px, warp(matches[i].reference_px)) : 0.0;
}

/// A bent field that grows out of an affine ends at a crest of the bend: carried on, it says too
/// little of what lies beyond, and good windows there never join one by one. Blocks that are held
/// out leave a hole as wide as the wave, so that they can't choose a field that bends so. What is
/// left out together is therefore asked together: the stiffest field that holds four fifths of it
/// beside what was in use, as closely as that was held before. Whether crowns were let in so, which
/// lean together but scatter, is told by how closely the field holds the new ones: see
/// admitted_limit_px. Returns what was let in.
Admitted admit_together(std::vector<Match>& matches, const Frame& frame, const FitOptions& options,
                        Agreement& agreed) {
    constexpr double kNoisier = 1.5, kQuiet = 0.15, kHold = 0.8, kLost = 0.05;
    constexpr int kRounds = 6, kLike = 2, kApart = 5;
    constexpr std::ptrdiff_t kFewest = 3;
    if (!agreed.ok || agreed.choice.model != Model::local) return {};
    const std::vector<double> even(matches.size(), 1.0);
    std::vector<double> weight;
    Solution solution;
    if (!solve_robust(matches, agreed.use, even, agreed.choice, frame, true, solution, weight))
        return {};
    const double noise =
        std::max(kNoisier * noise_left(matches, agreed.use, solution), kQuiet * options.floor_px);
    for (std::size_t i = 0; i < matches.size(); ++i)
        matches[i].kept = agreed.use[i] != 0, matches[i].ground = true;
    const std::vector<char> asked =
        left_out_together(matches, solution.warp, options, kLike, false);
    const auto number = std::count(asked.begin(), asked.end(), 1),
               before = std::count(agreed.use.begin(), agreed.use.end(), 1);
    if (number < kFewest) return {};
    std::vector<char> both = agreed.use;
    for (std::size_t i = 0; i < both.size(); ++i) both[i] = both[i] != 0 || asked[i] != 0 ? 1 : 0;
    for (const double stiffness : options.stiffness) {
        const ModelChoice choice{Model::local, stiffness};
        std::vector<char> use = both;
        bool solved = true;
        for (int round = 0; round < kRounds && solved; ++round) {
            // All count fully: what bends most would weigh least.
            weight.assign(use.begin(), use.end());
            solved = solve(matches, weight, choice, frame, true, solution);
            if (!solved) break;
            const double now = noise_left(matches, use, solution);
            bool changed = false;
            for (std::size_t i = 0; i < matches.size(); ++i) {
                if (!matches[i].passed) continue;
                const Point p = matches[i].reference_px;
                const double limit = std::clamp(3 * now * std::sqrt(1 + solution.variance(p)),
                                                options.floor_px, options.most_px);
                const char in = (round == 0 && both[i] != 0) ||
                                        distance(matches[i].target_px, solution.warp(p)) <= limit
                                    ? 1
                                    : 0;
                changed = changed || in != use[i];
                use[i] = in;
            }
            if (!changed) break;
        }
        if (!solved) continue;
        std::ptrdiff_t held = 0, lost = 0;
        for (std::size_t i = 0; i < use.size(); ++i) {
            held += asked[i] != 0 && use[i] != 0 ? 1 : 0;
            lost += agreed.use[i] != 0 && use[i] == 0 ? 1 : 0;
        }
        if (static_cast<double>(held) < kHold * static_cast<double>(number) ||
            static_cast<double>(lost) > kLost * static_cast<double>(before) ||
            noise_left(matches, use, solution) > noise)
            continue;
        const Admitted found{static_cast<int>(number), noise_left(matches, asked, solution)};
        if (found.noise_px > 2 * admitted_limit_px(found, options)) return {};
        // Half windows are held out with what shares three quarters of their ground.
        const Folds folds =
            spatial_folds(matches, frame, 0.5 * options.block_px, options.buffer_px, kApart);
        agreed.choice = choice;
        agreed.held = hold_out(matches, use, even, folds, choice, frame);
        agreed.use = std::move(use);
        return found;
    }
    return {};
}

}  // namespace

double admitted_limit_px(const Admitted& admitted, const FitOptions& options) {
    // Of few, the scatter itself is known badly.
    constexpr double kScatter = 0.25;
    return kScatter * options.floor_px * (1 + 1.5 / std::sqrt(std::max(1.0, 1.0 * admitted.count)));
}

Fit fit(std::vector<Match>& matches, const Frame& frame, const FitOptions& options) {
    Fit out;
    for (Match& m : matches) m.kept = false, m.residual_px = 0;
    for (const Match& m : matches) out.passed += m.passed ? 1 : 0;
    std::vector<char> seeds = ground_seeds(matches);
    std::vector<char> use = consensus(matches, seeds, options.tolerance_px, 0.1, frame);
    if (4 * std::count(use.begin(), use.end(), 1) < std::count(seeds.begin(), seeds.end(), 1)) {
        // The open ground does not agree with itself (snow, unmasked cloud): everything may choose.
        for (std::size_t i = 0; i < matches.size(); ++i) seeds[i] = matches[i].passed ? 1 : 0;
        use = consensus(matches, seeds, options.tolerance_px, 0.1, frame);
    }
    const Folds folds = spatial_folds(matches, frame, options.block_px, options.buffer_px);
    const std::vector<char> start = use;
    Agreement agreed = settle(matches, seeds, start, true, folds, frame, options);
    if (options.admit) out.admitted = admit_together(matches, frame, options, agreed);
    // A field that the dark windows follow like the others is everybody's. Where many of them stay
    // away from it, and share a displacement, they show crowns.
    bool layered = false;
    int dark = 0, follow = 0;
    for (std::size_t i = 0; i < matches.size(); ++i)
        if (agreed.ok && matches[i].passed && seeds[i] == 0)
            dark += 1, follow += agreed.use[i] != 0 ? 1 : 0;
    if (out.passed >= kFewWindows && follow < kFollow * dark &&
        crowns_lean(matches, seeds, agreed, frame, options)) {
        Agreement ground = settle(matches, seeds, start, false, folds, frame, options);
        if (ground.ok) agreed = std::move(ground), layered = true, out.admitted = {};
    }
    if (!agreed.ok) return out;
    out.choice = agreed.choice;
    out.layered = layered;
    HeldOut& held = agreed.held;
    use = std::move(agreed.use);
    std::vector<double> prior(matches.size(), 1.0);
    if (layered && join_others(matches, out.choice, held.noise_px, frame, options, use, prior))
        held = hold_out(matches, use, prior, folds, out.choice, frame);
    out.rmse_px = rms_of_used(held.residual, use);
    std::vector<double> weight;
    Solution solution;
    if (!solve_robust(matches, use, prior, out.choice, frame, true, solution, weight)) return out;
    out.warp = solution.warp;
    double canopy_squares = 0;
    for (std::size_t i = 0; i < matches.size(); ++i) {
        matches[i].kept = use[i] != 0;
        matches[i].ground = seeds[i] != 0 || !layered;
        matches[i].residual_px = std::isfinite(held.residual[i]) ? held.residual[i] : 0;
        out.kept += use[i] != 0 ? 1 : 0;
        matches[i].canopy = use[i] != 0 && prior[i] < 1;
        if (matches[i].canopy)
            out.canopy += 1, canopy_squares += dot(matches[i].lean_px, matches[i].lean_px);
    }
    find_disputes(matches, out.warp, options);
    out.lean_px = std::sqrt(canopy_squares / std::max(1, out.canopy));
    // Calibrated on warped real tiles (benchmarks/RESULTS.md).
    const double calibration = out.choice.model == Model::local ? 0.62 : 0.85;
    // What all windows of a pair have in common (sampling, the peak's search): per axis.
    const double common = kCommon * options.floor_px;
    // Noise of one match from what the model leaves at the matches it was fitted to, but for
    // crowns.
    std::vector<char> ground(matches.size(), 0);
    for (std::size_t i = 0; i < matches.size(); ++i) ground[i] = use[i] != 0 && prior[i] == 1;
    out.noise_px = noise_left(matches, ground, solution);
    // A global model's part, by its unknowns: an affine's grows with the distance from the middle.
    const double slopes = out.choice.model == Model::translation  ? 0
                          : out.choice.model == Model::similarity ? 0.5
                                                                  : 1;
    const auto global_variance = [&](Point p) {
        const Point d = p - frame.centre();
        return (1 + 12 * slopes *
                        (d.x * d.x / frame.width / frame.width +
                         d.y * d.y / frame.height / frame.height)) /
               std::max(1, out.kept);
    };
    out.sigma_spacing_px = options.sigma_spacing_px;
    out.sigma_columns = static_cast<int>(std::ceil(frame.width / options.sigma_spacing_px)) + 1;
    out.sigma_rows = static_cast<int>(std::ceil(frame.height / options.sigma_spacing_px)) + 1;
    for (int j = 0; j < out.sigma_rows; ++j)
        for (int i = 0; i < out.sigma_columns; ++i) {
            const Point p{std::min<double>(frame.width, i * out.sigma_spacing_px),
                          std::min<double>(frame.height, j * out.sigma_spacing_px)};
            out.sigma_px.push_back(static_cast<float>(
                std::hypot(common, calibration * out.noise_px * options.shared *
                                       std::sqrt(solution.variance(p) + global_variance(p)))));
        }
    out.ok = true;
    return out;
}

}  // namespace fenceline
