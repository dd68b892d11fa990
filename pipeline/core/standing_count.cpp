#include "core/standing_count.h"

#include <algorithm>
#include <map>

namespace fenceline {
namespace {

/// Share of the structures that stand and can be seen which a series' report lists, as a beta
/// distribution over series: measured on tune series (benchmarks/RESULTS.md, Structures).
struct FoundShare {
    double finer_than_m, found, missed;
};
constexpr FoundShare kPostShares[] = {{0.65, 30, 0.8}, {0.85, 20, 2}, {1e9, 6, 4}};
/// Without colour in any scene a few more are missed.
constexpr FoundShare kPostSharesWithoutColour[] = {{0.65, 20, 1.5}, {1e9, 6, 4}};
constexpr FoundShare kBuildingShares[] = {{0.65, 38, 2}, {1e9, 12, 3}};
/// Where looks do not show the posts that others show (snow, cloud), others are shown by none. More
/// pseudo-counts of missed posts for each such look's share beyond the usual one: tune series,
/// where the share is below .05 but under snow (.13–.31).
constexpr double kUsualGaps = 0.05, kMissedPerGaps = 12;

/// Share of the looks at posts that are likelier real than not which do not show them while they
/// stand; scenes that show none are left aside, and 0 is said where there is no such look.
double share_of_gaps(const Report& report) {
    struct Looks {
        Time at;
        long shown = 0, all = 0;
    };
    std::map<std::string, Looks> scenes;
    for (const ReportScene& scene : report.scenes)
        if (scene.role != "left_out" && scene.datetime)
            scenes[scene.id].at = scene.datetime_end.value_or(*scene.datetime);
    for (const ReportStructure& s : report.structures) {
        if (s.kind != "guard_post" || s.confidence < 0.5) continue;
        for (const auto& o : s.observations) {
            const auto found = scenes.find(o.scene);
            if (found == scenes.end()) continue;
            Looks& looks = found->second;
            if ((s.first_seen && looks.at < *s.first_seen) ||
                (s.first_not_seen && looks.at >= *s.first_not_seen))
                continue;
            ++looks.all;
            looks.shown += o.seen == "present";
        }
    }
    long all = 0, shown = 0;
    for (const auto& [id, looks] : scenes)
        if (looks.shown > 0) all += looks.all, shown += looks.shown;
    return all > 0 ? 1 - static_cast<double>(shown) / static_cast<double>(all) : 0;
}

}  // namespace

double standing_probability(const Report& report, const ReportStructure& s,
                            const ReportScene& scene) {
    const Time at = scene.datetime_end ? *scene.datetime_end : *scene.datetime;
    if (s.first_seen && *s.first_seen > at) return 0;
    double stands = std::clamp(s.confidence, 0.0, 1.0);
    if (s.first_not_seen && *s.first_not_seen <= at) {
        double gone = 1;
        for (const ReportChange& c : report.changes)
            if (c.structure == s.id && (c.kind.rfind("removed_", 0) == 0 || c.state == "ended") &&
                c.state != "confirmed")
                gone = std::clamp(c.confidence, 0.0, 1.0);
        stands *= 1 - gone;
    }
    return stands;
}

StandingCount standing_count(const Report& report, std::string_view kind, const ReportScene& scene,
                             double level) {
    StandingCount out;
    std::vector<double> p;
    for (const ReportStructure& s : report.structures) {
        if (s.kind != kind) continue;
        const double stands = standing_probability(report, s, scene);
        if (!(stands > 0)) continue;
        p.push_back(stands);
        out.ids.push_back(s.id);
    }
    out.found = poisson_binomial(p, level);
    double gsd_m = scene.gsd_m;
    for (const ReportScene& other : report.scenes)
        if (other.role != "left_out" && other.gsd_m > 0) gsd_m = std::min(gsd_m, other.gsd_m);
    bool colour = false;
    for (const ReportScene& other : report.scenes)
        colour = colour || (other.role != "left_out" && other.bands != 1 && other.bands != 2);
    FoundShare share{};
    std::span<const FoundShare> shares(kBuildingShares);
    if (kind == "guard_post") {
        shares = kPostShares;
        if (!colour) shares = kPostSharesWithoutColour;
    }
    for (const FoundShare& each : shares)
        if (gsd_m <= each.finer_than_m) {
            share = each;
            break;
        }
    if (kind == "guard_post")
        share.missed += kMissedPerGaps * std::max(0.0, share_of_gaps(report) - kUsualGaps);
    out.all = count_with_missed(p, level, share.found, share.missed);
    out.all.count = out.found.count;
    out.all.low = std::min(out.all.low, out.all.count);
    out.all.high = std::max(out.all.high, out.all.count);
    return out;
}

}  // namespace fenceline
