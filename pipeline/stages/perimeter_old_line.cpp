#include "stages/perimeter_old_line.h"

#include <algorithm>
#include <cmath>

#include "core/parallel.h"

namespace fenceline {
namespace {

constexpr double kPieceUnits = 20;  ///< length of a piece
constexpr double kReachUnits = 3;   ///< a wall, its shadow and some of its strip on either side
constexpr double kShiftUnits = 1;   ///< what registration and the trace leave between two looks
/// Keeps profiles without contrast from correlating by their noise; of a normalised luminance.
constexpr double kNoiseVariance = 0.01;

/// Loss of correlation from which a piece may count as changed, and surely does. Tune seeds
/// (contraction 101, 102; small_prison 108): .4 and more on average where the wall went, though .1
/// to .2 in places; -.05 to .05 where it stayed.
constexpr double kLeastChange = 0.1, kSureChange = 0.2;

/// One value per row; rows that are seen in less than a quarter of the piece are empty.
using Profile = std::vector<std::optional<double>>;

std::vector<Profile> profiles_of(const LineFrame& frame, int columns_per_piece, int pieces) {
    const int columns = frame.image.width() - 2 * frame.padding, height = frame.image.height();
    std::vector<Profile> out;
    for (int p = 0; p < pieces; ++p) {
        const int from = p * columns_per_piece, to = std::min(columns, from + columns_per_piece);
        Profile& profile = out.emplace_back();
        for (int y = 0; y < height; ++y) {
            double sum = 0;
            int count = 0;
            for (int x = from; x < to; ++x) {
                if (frame.seen.at(x + frame.padding, y) == 0) continue;
                sum += static_cast<double>(frame.image.at(x + frame.padding, y));
                ++count;
            }
            profile.push_back(4 * count >= to - from ? std::optional(sum / count) : std::nullopt);
        }
    }
    return out;
}

/// The first profile's middle rows against the second's, moved by `shift` rows.
std::optional<double> correlation(const Profile& a, const Profile& b, int reach, int shift) {
    const int middle = static_cast<int>(a.size()) / 2;
    double sum_a = 0, sum_b = 0, aa = 0, bb = 0, ab = 0;
    int n = 0;
    for (int d = -reach; d <= reach; ++d) {
        const auto &u = a[static_cast<std::size_t>(middle + d)],
                   &v = b[static_cast<std::size_t>(middle + d + shift)];
        if (!u || !v) continue;
        sum_a += *u, sum_b += *v;
        aa += *u * *u, bb += *v * *v, ab += *u * *v;
        ++n;
    }
    if (n < reach) return std::nullopt;
    const double mean_a = sum_a / n, mean_b = sum_b / n;
    return (ab / n - mean_a * mean_b) / std::sqrt((aa / n - mean_a * mean_a + kNoiseVariance) *
                                                  (bb / n - mean_b * mean_b + kNoiseVariance));
}

}  // namespace

LineProfiles::LineProfiles(const Series& series, const Centreline& line)
    : looks_(static_cast<int>(series.scenes.size())) {
    const int columns = static_cast<int>(line.points_px.size());
    columns_per_piece_ =
        std::max(1, static_cast<int>(std::lround(kPieceUnits * series.unit_m / line.step_m)));
    pieces_ = (columns + columns_per_piece_ - 1) / columns_per_piece_;
    const auto rows = [](double units) { return static_cast<int>(std::lround(2 * units)); };
    const int reach = rows(kReachUnits), most_shift = rows(kShiftUnits);
    std::vector<std::vector<Profile>> profiles(series.scenes.size());
    parallel_items(static_cast<int>(series.usable.size()), [&](int k) {
        const auto i = static_cast<std::size_t>(series.usable[static_cast<std::size_t>(k)]);
        profiles[i] = profiles_of(unroll(series.evidence[i], series.sun_px[i], line,
                                         reach + most_shift, series.gsd_m, series.unit_m, false),
                                  columns_per_piece_, pieces_);
    });
    alike_.resize(static_cast<std::size_t>(pieces_) * static_cast<std::size_t>(looks_) *
                  static_cast<std::size_t>(looks_));
    for (int p = 0; p < pieces_; ++p)
        for (const int i : series.usable)
            for (const int j : series.usable) {
                if (i >= j) continue;
                std::optional<double> best;
                for (int shift = -most_shift; shift <= most_shift; ++shift) {
                    const auto r = correlation(
                        profiles[static_cast<std::size_t>(i)][static_cast<std::size_t>(p)],
                        profiles[static_cast<std::size_t>(j)][static_cast<std::size_t>(p)], reach,
                        shift);
                    if (r && (!best || *r > *best)) best = r;
                }
                alike_[static_cast<std::size_t>((p * looks_ + i) * looks_ + j)] = best;
            }
}

std::optional<double> LineProfiles::alike(int piece, int look, int other) const {
    const auto [a, b] = std::minmax(look, other);
    return alike_[static_cast<std::size_t>((piece * looks_ + a) * looks_ + b)];
}

std::vector<std::optional<double>> LineProfiles::changed(std::span<const int> before,
                                                         std::span<const int> after) const {
    std::vector<std::optional<double>> out(static_cast<std::size_t>(pieces_));
    std::vector<double> known;
    for (int p = 0; p < pieces_; ++p) {
        double within = 0, across = 0;
        int within_count = 0, across_count = 0;
        const auto add = [&](int i, int j, double& sum, int& count) {
            if (const auto r = alike(p, i, j)) sum += *r, ++count;
        };
        for (const std::span<const int> looks : {before, after})
            for (std::size_t i = 0; i < looks.size(); ++i)
                for (std::size_t j = i + 1; j < looks.size(); ++j)
                    add(looks[i], looks[j], within, within_count);
        for (const int i : before)
            for (const int j : after) add(i, j, across, across_count);
        if (across_count == 0) continue;
        // A single look on either side has nothing to be held against but the other pieces.
        const double own = within_count > 0 ? within / within_count : 1.0;
        out[static_cast<std::size_t>(p)] = own - across / across_count;
        known.push_back(*out[static_cast<std::size_t>(p)]);
    }
    if (known.empty()) return out;
    // Measured against the pieces that changed least. A single look may be of another season than
    // all others, which tells every piece of it apart.
    std::sort(known.begin(), known.end());
    const double usual = known[known.size() / (before.size() > 1 && after.size() > 1 ? 4 : 2)];
    const double scatter = (known[known.size() / 4] - known[known.size() / 10]) / 0.6;  // 1 sigma
    const double scale = std::clamp(3 * scatter, kLeastChange, kSureChange);
    for (auto& change : out)
        if (change) *change = (*change - usual) / scale;
    return out;
}

double gone_by(double changed) { return std::clamp(changed - 1, -1.0, 1.0); }

std::optional<PieceRun> gone_run(std::span<const std::optional<double>> changed) {
    constexpr double kLeastPieces = 3;
    const int count = static_cast<int>(changed.size());
    PieceRun best;
    for (int from = 0; from < count; ++from) {
        double sum = 0;
        for (int i = 0; i + 1 < count; ++i) {
            const auto& change = changed[static_cast<std::size_t>((from + i) % count)];
            if (change) sum += gone_by(*change);
            if (sum > best.pieces_gone) best = {from, (from + i + 1) % count, sum};
        }
    }
    if (best.pieces_gone < kLeastPieces) return std::nullopt;
    return best;
}

OldLine::OldLine(const Series& series, const Centreline& ring, int first)
    : profiles_(series, ring), points_(static_cast<int>(ring.points_px.size())) {
    const std::span<const int> all(series.usable);
    const auto count = all.size(), begin = static_cast<std::size_t>(first);
    changed_.resize(count);
    for (std::size_t split = begin + 1; split < count; ++split) {
        changed_[split] = profiles_.changed(all.subspan(begin, split - begin), all.subspan(split));
        const auto run = gone_run(changed_[split]);
        if (run && (!gone_ || run->pieces_gone > gone_->pieces_gone))
            gone_ = run, split_ = static_cast<int>(split);
    }
}

int OldLine::steps(int from, int to) const { return ((to - from) % points_ + points_) % points_; }

std::vector<int> OldLine::beside(int piece) const {
    std::vector<int> out;
    for (int aside = -1; aside <= 1; ++aside)
        out.push_back(steps(0, (piece + aside) * profiles_.columns_per_piece()));
    return out;
}

bool OldLine::is_replaced_by(const Detour& detour) const {
    const int pieces = profiles_.pieces(), per_piece = profiles_.columns_per_piece();
    const int run = (gone_->to - gone_->from + pieces) % pieces * per_piece,
              stretch = steps(detour.leaves, detour.returns),
              middle = gone_->from * per_piece + run / 2;
    return steps(detour.leaves, middle) < stretch && 2 * stretch > run &&
           2 * stretch < 3 * run + 4 * per_piece;
}

double OldLine::went(const Detour& detour, int split) const {
    const auto& changed = changed_[static_cast<std::size_t>(split)];
    const int stretch = steps(detour.leaves, detour.returns),
              per_piece = profiles_.columns_per_piece();
    double sum = 0;
    for (std::size_t p = 0; p < changed.size(); ++p) {
        const int middle = static_cast<int>(p) * per_piece + per_piece / 2;
        if (changed[p] && steps(detour.leaves, middle) < stretch)
            sum += per_piece * gone_by(*changed[p]);
    }
    return sum;
}

}  // namespace fenceline
