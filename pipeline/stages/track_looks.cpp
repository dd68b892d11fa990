#include "stages/track_looks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <utility>

namespace fenceline {
namespace {

constexpr double kScoreRange = 24;  ///< scores lie within ±12
/// How far a scene may lift or lower all scores; what goes beyond is not the scene.
constexpr double kLowestScene = -3, kHighestScene = 2;
/// Fewer known objects than this say nothing of a scene; with as many more it is half believed.
constexpr std::size_t kFewest = 5;
constexpr double kHalfBelieved = 5;

/// Logarithm between the knots, constant beyond them.
using Knots = std::array<std::pair<double, double>, 7>;
double at_knots(const Knots& knots, double score) {
    if (score <= knots.front().first) return knots.front().second;
    for (std::size_t k = 1; k < knots.size(); ++k) {
        const auto& [x0, y0] = knots[k - 1];
        const auto& [x1, y1] = knots[k];
        if (score <= x1) return y0 * std::pow(y1 / y0, (score - x0) / (x1 - x0));
    }
    return knots.back().second;
}

/// Density of the scores of looks that miss a standing object which others show well, per unit of
/// score. On the map such looks are the rarer the less they show: of 2087 looks at posts none is
/// below −6 and 4 are below −4, of 6374 at roofs about 5 are below −7 (tune series 3401–3410, 101).
double outlier_density(StructureKind kind, bool on_map, double score) {
    static constexpr Knots kBuilding{{{-7.5, 0.0007},
                                      {-6, 0.0007},
                                      {-5, 0.0008},
                                      {-4, 0.0012},
                                      {-3, 0.0014},
                                      {-2, 0.0018},
                                      {-0.5, 0.003}}};
    static constexpr Knots kPost{{{-7, 0.00015},
                                  {-6, 0.0004},
                                  {-5, 0.0009},
                                  {-4, 0.0012},
                                  {-3, 0.002},
                                  {-2, 0.004},
                                  {-0.5, 0.006}}};
    if (!on_map) return look_model(kind, false).outlier_share / kScoreRange;
    return at_knots(kind == StructureKind::guard_post ? kPost : kBuilding, score);
}

double density(const LookModel& m, double outlier, double score, double mean, double variance) {
    const double z2 = (score - mean) * (score - mean) / variance;
    return (1 - m.outlier_share) * std::exp(-0.5 * z2) /
               std::sqrt(2 * std::numbers::pi * variance) +
           outlier;
}

/// Density of the scores at a place where an object does not stand that stands there at other
/// times: between what is found at places of true objects before they came or after they went, and
/// what at places of nothing that some look has taken for one (fit_looks.py); per unit of score,
/// logarithm between the knots.
double absent_density(StructureKind kind, bool on_map, double score) {
    static constexpr Knots kPost{
        {{-12, 0.15}, {-10.5, 0.15}, {-9, 0.14}, {-7, 0.12}, {-5, 0.08}, {-3, 0.035}, {-1, 0.03}}};
    static constexpr Knots kBuilding{{{-12, 0.35},
                                      {-10.5, 0.2},
                                      {-9, 0.045},
                                      {-7, 0.03},
                                      {-5, 0.025},
                                      {-2, 0.03},
                                      {-0.5, 0.06}}};
    // The map's scores end at −8, where 264 of 266 roofs were that did not stand, and 422 of 448
    // posts below −5. Every seventh place is taken for one of nothing.
    static constexpr Knots kOnMap{{{-8, 0.94},
                                   {-7.4, 0.1},
                                   {-6.5, 0.008},
                                   {-4.5, 0.006},
                                   {-3.5, 0.0055},
                                   {-2.5, 0.0045},
                                   {-0.5, 0.004}}};
    static constexpr Knots kPostOnMap{{{-8, 0.25},
                                       {-7.5, 0.43},
                                       {-6.5, 0.33},
                                       {-5.5, 0.063},
                                       {-4.5, 0.021},
                                       {-2.5, 0.0075},
                                       {-0.5, 0.004}}};
    const bool post = kind == StructureKind::guard_post;
    const Knots& knots = on_map ? (post ? kPostOnMap : kOnMap) : (post ? kPost : kBuilding);
    return at_knots(knots, score);
}

/// Share of what stands of a kind that a scene does not show at all, by scene (each kind has a
/// network of its own, and posts are seen in snow that hides roofs): roofs under snow that the mask
/// has not found, thin cloud. Counted over objects that other looks show well, before and after it;
/// at an end of the series in the neighbouring look and one more, where up to a quarter may be
/// true change. One such object, or one in twenty, may be something else.
std::vector<double> blind_shares(StructureKind kind, bool on_map,
                                 std::span<const Detection> objects,
                                 std::span<const std::vector<Look>> looks) {
    constexpr double kNothing = -6, kWell = 3, kMayBeNew = 0.25, kSomethingElse = 0.05;
    // Prior: 1 in 1000; on the map 1 roof in 400, since snow hides some wholly, and 1 post in 2500.
    constexpr double kFewObjects = 20;
    const double few_misses = !on_map ? 0.02 : kind == StructureKind::guard_post ? 0.008 : 0.05;
    const std::size_t scenes = looks.size();
    std::vector<double> shares;
    for (std::size_t i = 0; i < scenes; ++i) {
        double known = 0, missed = 0;
        const bool end = i == 0 || i + 1 == scenes;
        for (std::size_t k = 0; k < objects.size(); ++k) {
            if (objects[k].kind != kind) continue;
            const auto look_of = [&](std::size_t j) -> const Look* {
                return k < looks[j].size() && looks[j][k].seen != Seen::not_observable &&
                               std::isfinite(looks[j][k].score)
                           ? &looks[j][k]
                           : nullptr;
            };
            if (look_of(i) == nullptr) continue;
            double sum = 0;
            int before = 0, after = 0;
            for (std::size_t j = 0; j < scenes; ++j)
                if (const Look* look = look_of(j);
                    j != i && look != nullptr && look->log_likelihood_ratio > 0)
                    sum += look->score, ++(j < i ? before : after);
            if (before + after < 2 || sum < kWell * (before + after)) continue;
            if (end) {
                if (scenes < 2) continue;
                const Look* next = look_of(i == 0 ? 1 : i - 1);
                if (next == nullptr || next->log_likelihood_ratio <= 0) continue;
            } else if (before == 0 || after == 0) {
                continue;
            }
            ++known;
            missed += look_of(i)->score < kNothing;
        }
        missed = std::max(0.0, missed - std::max(1.0, kSomethingElse * known));
        if (end) missed = std::max(0.0, (missed - kMayBeNew * known) / (1 - kMayBeNew));
        shares.push_back((missed + few_misses) / (known + kFewObjects));
    }
    return shares;
}

/// Level of an object from some of its looks.
struct Level {
    double mean, variance;
};
Level level_from(const LookModel& m, double sum, int count) {
    const double prior = 1 / (m.level_sd * m.level_sd), each = 1 / (m.look_sd * m.look_sd);
    const double precision = prior + count * each;
    return {(prior * m.level_mean + each * sum) / precision, 1 / precision};
}

/// What the looks between the first and the last that shows an object say together.
struct Shown {
    double level = 0;             ///< mean score; none counts for less than −6
    int count = 0;                ///< scores
    int looks = 0;                ///< looks that show it
    bool on_map = false;          ///< one of the scores is the map's
    std::vector<double> borders;  ///< 0–1.5
};
Shown shown_of(std::span<const Look> looks) {
    Shown shown;
    std::size_t first = looks.size(), last = 0;
    for (std::size_t i = 0; i < looks.size(); ++i)
        if (looks[i].seen != Seen::not_observable && looks[i].log_likelihood_ratio > 0) {
            first = std::min(first, i);
            last = i;
            ++shown.looks;
        }
    double sum = 0;
    for (std::size_t i = first; i <= last && i < looks.size(); ++i)
        if (looks[i].seen != Seen::not_observable && std::isfinite(looks[i].score)) {
            sum += std::max(-6.0, looks[i].score);
            ++shown.count;
            shown.on_map = shown.on_map || looks[i].on_map;
            if (std::isfinite(looks[i].border))
                shown.borders.push_back(std::clamp(looks[i].border, 0.0, 1.5));
        }
    if (shown.count > 0) shown.level = sum / shown.count;
    return shown;
}

/// Largest area of a post that says nothing against it, m².
constexpr double kSurePostM2 = 10;

/// Log-odds that a post on the map exists when nothing is known of its series' other posts. What
/// only one look shows is mostly nothing; how many more agree matters little. With the map, the
/// distance to the line has nothing more to say (whole runs, their traced lines included).
double post_log_odds(const Shown& shown) {
    return 1.44 * shown.level + (shown.looks > 1 ? 4.5 : 0.0) - 6.4;
}

}  // namespace

LookModel look_model(StructureKind kind, bool on_map) {
    if (kind == StructureKind::guard_post)
        return on_map ? LookModel{5.25, 2.1, 1.1, 0.04} : LookModel{5.1, 2.65, 2.4, 0.01};
    return on_map ? LookModel{5.4, 1.75, 0.7, 0.035} : LookModel{3.6, 2.65, 1.6, 0.01};
}

std::vector<std::vector<double>> log_ratios_of(std::span<const Detection> objects,
                                               std::span<const std::vector<Look>> looks) {
    const std::size_t scenes = looks.size();
    std::vector<std::vector<double>> ratios(scenes, std::vector<double>(objects.size(), 0.0));
    const auto look_of = [&](std::size_t i, std::size_t k) -> const Look* {
        if (k >= looks[i].size() || looks[i][k].seen == Seen::not_observable) return nullptr;
        return &looks[i][k];
    };
    for (std::size_t i = 0; i < scenes; ++i)
        for (std::size_t k = 0; k < objects.size(); ++k)
            if (const Look* look = look_of(i, k)) ratios[i][k] = look->log_likelihood_ratio;

    for (const StructureKind kind : {StructureKind::building, StructureKind::guard_post}) {
        bool on_map = false;
        for (std::size_t i = 0; i < scenes; ++i)
            for (std::size_t k = 0; k < objects.size(); ++k)
                if (const Look* look = look_of(i, k); objects[k].kind == kind && look != nullptr)
                    on_map = on_map || look->on_map;
        const LookModel m = look_model(kind, on_map);
        const std::vector<double> blind = blind_shares(kind, on_map, objects, looks);
        // Looks that show the object, and its level without one of them. Scenes' effects are found
        // with levels that do not know of them: two rounds.
        std::vector<double> effect(scenes, 0.0);
        const auto shows = [&](std::size_t i, std::size_t k) {
            const Look* look = look_of(i, k);
            return look != nullptr && std::isfinite(look->score) && look->log_likelihood_ratio > 0;
        };
        struct Rest {
            Level level;
            int before = 0, after = 0;  ///< looks that show it
        };
        const auto rest_of = [&](std::size_t i, std::size_t k) {
            Rest rest{};
            double sum = 0;
            for (std::size_t j = 0; j < scenes; ++j)
                if (j != i && shows(j, k)) {
                    sum += looks[j][k].score - effect[j];
                    ++(j < i ? rest.before : rest.after);
                }
            rest.level = level_from(m, sum, rest.before + rest.after);
            return rest;
        };
        for (int round = 0; round < 2; ++round) {
            std::vector<double> next(scenes, 0.0);
            for (std::size_t i = 0; i < scenes; ++i) {
                std::vector<double> apart;
                for (std::size_t k = 0; k < objects.size(); ++k) {
                    const Look* look = look_of(i, k);
                    if (objects[k].kind != kind || look == nullptr || !std::isfinite(look->score))
                        continue;
                    const Rest rest = rest_of(i, k);
                    // Known to stand: seen before and after, or at an end of the series twice.
                    const bool known = (rest.before > 0 && rest.after > 0) ||
                                       (i == 0 && rest.after > 1) ||
                                       (i + 1 == scenes && rest.before > 1);
                    if (known) apart.push_back(look->score - rest.level.mean);
                }
                if (apart.size() < kFewest) continue;
                const auto middle = apart.begin() + static_cast<std::ptrdiff_t>(apart.size() / 2);
                std::nth_element(apart.begin(), middle, apart.end());
                const auto count = static_cast<double>(apart.size());
                next[i] = std::clamp(*middle, kLowestScene, kHighestScene) * count /
                          (count + kHalfBelieved);
            }
            effect = next;
        }
        for (std::size_t i = 0; i < scenes; ++i)
            for (std::size_t k = 0; k < objects.size(); ++k) {
                const Look* look = look_of(i, k);
                // What looks like the object in one look often does so in all of them: that looks
                // agree on "present" is no news.
                if (objects[k].kind != kind || look == nullptr || !std::isfinite(look->score) ||
                    look->log_likelihood_ratio > 0)
                    continue;
                const Rest rest = rest_of(i, k);
                if (rest.before + rest.after == 0) continue;
                const double absent = absent_density(kind, look->on_map, look->score);
                const double stands =
                    (1 - blind[i]) * density(m, outlier_density(kind, look->on_map, look->score),
                                             look->score, rest.level.mean + effect[i],
                                             rest.level.variance + m.look_sd * m.look_sd) +
                    blind[i] * absent;
                ratios[i][k] = std::min(0.0, std::log(stands / absent));
            }
    }
    return ratios;
}

std::vector<double> usual_post_levels(std::span<const Detection> objects,
                                      std::span<const std::vector<Look>> looks) {
    constexpr double kUsual = 5, kAdded = 4;
    std::vector<double> levels(objects.size(), 0.0);
    std::vector<bool> counts(objects.size(), false);
    std::vector<Look> all(looks.size());
    bool on_map = false;
    double sum = kUsual * kAdded, count = kAdded;
    for (std::size_t k = 0; k < objects.size(); ++k) {
        if (objects[k].kind != StructureKind::guard_post) continue;
        for (std::size_t i = 0; i < looks.size(); ++i)
            all[i] = k < looks[i].size() ? looks[i][k] : Look{};
        const Shown shown = shown_of(all);
        on_map = on_map || shown.on_map;
        if (shown.count == 0 || !(post_log_odds(shown) > 0)) continue;
        counts[k] = true;
        levels[k] = shown.level;
        sum += shown.level, count += 1;
    }
    std::vector<double> usual(objects.size(), std::numeric_limits<double>::quiet_NaN());
    for (std::size_t k = 0; k < objects.size(); ++k)
        if (on_map && objects[k].kind == StructureKind::guard_post)
            usual[k] = counts[k] ? (sum - levels[k]) / (count - 1) : sum / count;
    return usual;
}

double existence_limit(StructureKind kind, std::span<const Look> looks,
                       const Surroundings& surroundings) {
    const Shown shown = shown_of(looks);
    if (shown.count == 0) return std::numeric_limits<double>::infinity();
    const double level = shown.level, twice = shown.looks > 1 ? 1 : 0;
    const bool on_map = shown.on_map;
    if (kind == StructureKind::guard_post) {
        if (on_map && std::isfinite(surroundings.usual_level)) {
            // Gatehouses are fainter than the posts of their own series, and larger.
            const double beyond_m2 = std::clamp(surroundings.area_m2 - kSurePostM2, 0.0, 15.0);
            return 1.58 * level + 4.7 * twice - 1.64 * surroundings.usual_level - 0.11 * beyond_m2 +
                   2.96;
        }
        if (on_map) return post_log_odds(shown);
        // Posts stand on their line or beside it.
        const double beside = std::isfinite(surroundings.line_m)
                                  ? std::clamp((8 - surroundings.line_m) / 4, 0.0, 1.0)
                                  : 0.5;
        return 1.18 * level + 2.46 * twice + 1.8 * beside - 4.55;
    }
    std::vector<double> borders = shown.borders;
    if (borders.empty())
        return on_map ? 1.14 * level + 4.73 * twice - 4.19 : 0.64 * level + 3.28 * twice - 2.91;
    const auto middle = borders.begin() + static_cast<std::ptrdiff_t>(borders.size() / 2);
    std::nth_element(borders.begin(), middle, borders.end());
    if (on_map) return 1.07 * level + 4.37 * twice + 2.12 * *middle - 6.5;
    return 0.58 * level + 3.24 * twice + 1.93 * *middle - 5.06;
}

}  // namespace fenceline
