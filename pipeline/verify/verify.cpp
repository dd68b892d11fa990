#include "verify/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "core/count_interval.h"
#include "core/report_places.h"
#include "core/standing_count.h"

namespace fenceline {
namespace {

constexpr double kOnLineM = 15;
constexpr double kCountLevel = 0.90;
/// A line of which less was seen says nothing about a published figure.
constexpr double kLeastSeen = 0.5;

std::string in_unit(double value, const std::string& unit) {
    const double v = value / claim_unit_factor(unit);
    if (unit == "count") return fmt::format("{:.0f}", v);
    return fmt::format("{:.{}f} {}", v, std::abs(v) >= 100 ? 0 : std::abs(v) >= 10 ? 1 : 2, unit);
}
std::string interval_in_unit(const Interval& i, const std::string& unit) {
    return fmt::format("{} to {}", in_unit(i.low, unit), in_unit(i.high, unit));
}

bool standing(const ReportChange& c) {
    return c.state == "confirmed" || c.state == "provisional" || c.state == "candidate";
}

struct Measurement {
    double value = 0;
    Interval interval;
    std::string how;
    std::vector<std::string> evidence;
};

struct Judge {
    const Report& report;
    std::vector<const ReportScene*> scenes;          ///< used ones, time order
    std::vector<const ReportPerimeter*> perimeters;  ///< time order

    explicit Judge(const Report& r) : report(r) {
        for (const auto& s : r.scenes)
            if (s.role != "left_out" && s.datetime) scenes.push_back(&s);
        for (const auto& p : r.perimeters) perimeters.push_back(&p);
        std::stable_sort(scenes.begin(), scenes.end(),
                         [](auto* a, auto* b) { return *a->datetime < *b->datetime; });
        std::stable_sort(perimeters.begin(), perimeters.end(),
                         [](auto* a, auto* b) { return a->datetime < b->datetime; });
    }

    std::string span() const {
        if (scenes.empty()) return "the report has no usable look";
        return fmt::format("its looks go from {} to {}", format_date(*scenes.front()->datetime),
                           format_date(*scenes.back()->datetime));
    }

    static ClaimVerdict open(const Claim& claim, std::string why) {
        ClaimVerdict v;
        v.claim = claim;
        v.reason = std::move(why);
        return v;
    }

    /// Any measurement that meets the claim supports it; all of them missing it contradict it.
    static ClaimVerdict judge(const Claim& claim, const std::vector<Measurement>& measurements) {
        const auto distance_to_claim = [&](const Measurement& m) {
            double low = claim.value - claim.tolerance, high = claim.value + claim.tolerance;
            if (claim.relation == "at_least") high = std::numeric_limits<double>::infinity();
            if (claim.relation == "at_most") low = -std::numeric_limits<double>::infinity();
            return std::max({0.0, low - m.interval.high, m.interval.low - high});
        };
        const Measurement* best = &measurements.front();
        const auto off = [&](const Measurement& m) {
            return std::pair(distance_to_claim(m), std::abs(m.value - claim.value));
        };
        for (const auto& m : measurements)
            if (off(m) < off(*best)) best = &m;
        ClaimVerdict v;
        v.claim = claim;
        v.measured = best->value;
        v.interval = best->interval;
        v.evidence = best->evidence;
        const double half = (best->interval.high - best->interval.low) / 2;
        const std::string measured =
            fmt::format("measured {} ({}), {}", in_unit(best->value, claim.unit),
                        interval_in_unit(best->interval, claim.unit), best->how);
        if (distance_to_claim(*best) > 0) {
            v.verdict = Verdict::contradicted;
        } else if (claim.relation == "about" && half > claim.tolerance &&
                   half > 0.5 * std::abs(claim.value)) {
            v.reason = measured + ": too uncertain to tell";
            return v;
        } else {
            v.verdict = Verdict::supported;
        }
        v.reason = measured;
        return v;
    }

    // --- perimeter
    // --------------------------------------------------------------------------------------------

    static double measure_of(const ReportPerimeter& p, bool area) {
        return area ? p.area_m2 : p.length_m;
    }
    static Interval interval_of(const ReportPerimeter& p, bool area) {
        return area ? p.area_ci : p.length_ci;
    }

    bool changed_between(Time a, Time b) const {
        return std::any_of(
            report.changes.begin(), report.changes.end(), [&](const ReportChange& c) {
                return (c.kind == "perimeter_expansion" || c.kind == "perimeter_contraction") &&
                       (standing(c) || c.state == "ended") &&
                       (!c.last_not_seen || *c.last_not_seen < b) &&
                       (!c.first_seen || *c.first_seen > a);
            });
    }

    /// The lines that speak for a period: those in it, else the one before it when the line did not
    /// change until the next one after it.
    std::vector<const ReportPerimeter*> lines_in(const Period& period) const {
        std::vector<const ReportPerimeter*> found;
        const ReportPerimeter *before = nullptr, *after = nullptr;
        for (const auto* p : perimeters) {
            if (p->supported_fraction < kLeastSeen) continue;
            if (period.holds(p->datetime)) found.push_back(p);
            if (p->datetime < period.begin) before = p;
            if (p->datetime >= period.end && after == nullptr) after = p;
        }
        if (found.empty() && before != nullptr && after != nullptr &&
            !changed_between(before->datetime, after->datetime))
            found.push_back(before);
        return found;
    }

    std::string no_line(const Period& period) const {
        for (const auto* p : perimeters)
            if (period.holds(p->datetime))
                return fmt::format("in {} only {:.0f} % of the line was seen", period.text,
                                   100 * p->supported_fraction);
        for (const auto* s : scenes)
            if (period.holds(*s->datetime))
                return fmt::format("the perimeter could not be seen in {}", period.text);
        return fmt::format("no look in {}: {}", period.text, span());
    }

    ClaimVerdict perimeter_measure(const Claim& claim, bool area) const {
        std::vector<Measurement> measurements;
        for (const auto* p : lines_in(*claim.at))
            measurements.push_back({measure_of(*p, area),
                                    interval_of(*p, area),
                                    "on " + format_date(p->datetime),
                                    {p->scene}});
        return measurements.empty() ? open(claim, no_line(*claim.at)) : judge(claim, measurements);
    }

    ClaimVerdict perimeter_growth(const Claim& claim, bool area) const {
        const auto before = lines_in(*claim.from), after = lines_in(*claim.to);
        if (before.empty()) return open(claim, no_line(*claim.from));
        if (after.empty()) return open(claim, no_line(*claim.to));
        std::vector<Measurement> measurements;
        for (const auto* a : before)
            for (const auto* b : after)
                if (a->datetime < b->datetime && measure_of(*a, area) > 0)
                    measurements.push_back(growth(*a, *b, area));
        if (measurements.empty()) return open(claim, "there are no two looks in this order");
        return judge(claim, measurements);
    }

    /// From the finding about these two scenes when there is one: it knows the bias that both dates
    /// share. Else the two intervals are taken as independent, which is too wide rather than too
    /// narrow.
    Measurement growth(const ReportPerimeter& a, const ReportPerimeter& b, bool area) const {
        Measurement m;
        m.how = fmt::format("between {} and {}", format_date(a.datetime), format_date(b.datetime));
        m.evidence = {a.scene, b.scene};
        const std::string name = area ? "area_growth" : "length_growth";
        for (const auto& f : report.findings) {
            const auto has = [&](const std::string& id) {
                return std::find(f.evidence.begin(), f.evidence.end(), id) != f.evidence.end();
            };
            if (f.kind != "perimeter_" + name || !has(a.scene) || !has(b.scene) ||
                !f.values.contains(name) || !f.values.contains(name + "_low") ||
                !f.values.contains(name + "_high"))
                continue;
            m.value = f.values.at(name);
            m.interval = {f.values.at(name + "_low"), f.values.at(name + "_high")};
            m.evidence = f.evidence;
            return m;
        }
        const double ratio = measure_of(b, area) / measure_of(a, area);
        const auto share = [&](const ReportPerimeter& p) {
            const Interval i = interval_of(p, area);
            return (i.high - i.low) / 2 / measure_of(p, area);
        };
        const double half = ratio * std::hypot(share(a), share(b));
        m.value = ratio - 1;
        m.interval = {ratio - 1 - half, ratio - 1 + half};
        return m;
    }

    // --- counts
    // -----------------------------------------------------------------------------------------------

    /// Scenes in which objects of the kind could be seen at all.
    std::set<std::string> scenes_showing(const std::string& kind) const {
        std::set<std::string> showing;
        for (const auto& s : report.structures)
            if (s.kind == kind)
                for (const auto& o : s.observations)
                    if (o.seen != "not_observable") showing.insert(o.scene);
        return showing;
    }
    std::string why_unseen(const ReportScene& scene) const {
        for (const auto& n : report.not_observable)
            if (std::find(n.scenes.begin(), n.scenes.end(), scene.id) != n.scenes.end())
                return n.reason;
        return "none of them could be observed";
    }

    ClaimVerdict standing_posts(const Claim& claim) const {
        const auto showing = scenes_showing("guard_post");
        std::vector<Measurement> measurements;
        const ReportScene* blind = nullptr;
        for (const auto* scene : scenes) {
            if (!claim.at->holds(*scene->datetime)) continue;
            if (!showing.contains(scene->id)) {
                blind = scene;
                continue;
            }
            const StandingCount standing =
                standing_count(report, "guard_post", *scene, kCountLevel);
            const CountInterval& n = standing.all;
            std::vector<std::string> evidence{scene->id};
            evidence.insert(evidence.end(), standing.ids.begin(), standing.ids.end());
            measurements.push_back({static_cast<double>(n.count),
                                    {static_cast<double>(n.low), static_cast<double>(n.high)},
                                    "on " + format_date(*scene->datetime),
                                    evidence});
        }
        if (!measurements.empty()) return judge(claim, measurements);
        if (blind != nullptr)
            return open(
                claim, fmt::format("not observable in {}: {}", claim.at->text, why_unseen(*blind)));
        return open(claim, fmt::format("no look in {}: {}", claim.at->text, span()));
    }

    ClaimVerdict counted_changes(const Claim& claim, const std::string& kind,
                                 const std::string& structure_kind, bool on_new_line) const {
        std::vector<double> certain, possible;
        std::vector<std::string> evidence;
        for (const auto& c : report.changes) {
            if (c.kind != kind || !standing(c) || !c.first_seen || !c.last_not_seen) continue;
            if (*c.first_seen < claim.from->begin || *c.last_not_seen >= claim.to->end) continue;
            if (on_new_line && !stands_on_new_line(report, c, kOnLineM)) continue;
            const bool inside =
                *c.last_not_seen >= claim.from->begin && *c.first_seen < claim.to->end;
            if (inside) certain.push_back(c.confidence);
            possible.push_back(c.confidence);
            evidence.push_back(c.id);
        }
        const CountInterval low = poisson_binomial(certain, kCountLevel),
                            high = poisson_binomial(possible, kCountLevel);
        const Measurement m{
            static_cast<double>(high.count),
            {static_cast<double>(low.low), static_cast<double>(high.high)},
            fmt::format("changes dated between {} and {}", claim.from->text, claim.to->text),
            evidence};
        // To say that there were fewer, both sides must have been seen.
        const auto showing = scenes_showing(structure_kind);
        const ReportScene *before = nullptr, *after = nullptr;
        for (const auto* s : scenes) {
            if (!showing.contains(s->id)) continue;
            if (*s->datetime < claim.from->end) before = s;
            if (*s->datetime >= claim.to->begin) after = s;
        }
        if (before == nullptr || after == nullptr) {
            if (claim.relation == "at_least" && m.interval.low >= claim.value - claim.tolerance)
                return judge(claim, {m});
            const Period& missing = before == nullptr ? *claim.from : *claim.to;
            for (const auto* s : scenes)
                if (missing.holds(*s->datetime))
                    return open(claim, fmt::format("not observable in {}: {}", missing.text,
                                                   why_unseen(*s)));
            return open(claim, fmt::format("no look {} {} shows any: {}",
                                           before == nullptr ? "in or before" : "in or after",
                                           missing.text, span()));
        }
        return judge(claim, {m});
    }

    ClaimVerdict operator()(const Claim& claim) const {
        const std::string& k = claim.kind;
        const bool change = claim.from && claim.to;
        if (k == "perimeter_area" && claim.at) return perimeter_measure(claim, true);
        if (k == "perimeter_length" && claim.at) return perimeter_measure(claim, false);
        if (k == "guard_posts" && claim.at) return standing_posts(claim);
        if (k == "perimeter_area_growth" && change) return perimeter_growth(claim, true);
        if (k == "perimeter_length_growth" && change) return perimeter_growth(claim, false);
        if (k == "new_guard_posts" && change)
            return counted_changes(claim, "new_guard_post", "guard_post", false);
        if (k == "new_guard_posts_on_new_line" && change)
            return counted_changes(claim, "new_guard_post", "guard_post", true);
        if (k == "removed_guard_posts" && change)
            return counted_changes(claim, "removed_guard_post", "guard_post", false);
        if (k == "new_buildings" && change)
            return counted_changes(claim, "new_building", "building", false);
        if (k == "removed_buildings" && change)
            return counted_changes(claim, "removed_building", "building", false);
        return open(claim,
                    fmt::format("claims of kind '{}' with these dates cannot be measured", k));
    }
};

}  // namespace

const std::vector<ClaimKind>& claim_kinds() {
    static const std::vector<ClaimKind> kinds = {
        {"perimeter_area", false, {"km²", "m²", "ha"}},
        {"perimeter_length", false, {"km", "m"}},
        {"guard_posts", false, {"count"}},
        {"perimeter_area_growth", true, {"%"}},
        {"perimeter_length_growth", true, {"%"}},
        {"new_guard_posts", true, {"count"}},
        {"new_guard_posts_on_new_line", true, {"count"}},
        {"removed_guard_posts", true, {"count"}},
        {"new_buildings", true, {"count"}},
        {"removed_buildings", true, {"count"}},
    };
    return kinds;
}

double claim_unit_factor(const std::string& unit) {
    if (unit == "km²") return 1e6;
    if (unit == "ha") return 1e4;
    if (unit == "km") return 1e3;
    if (unit == "%") return 0.01;
    if (unit == "m²" || unit == "m" || unit == "count") return 1;
    return 0;
}

const char* name_of(Verdict verdict) {
    switch (verdict) {
        case Verdict::supported:
            return "supported";
        case Verdict::contradicted:
            return "contradicted";
        case Verdict::cannot_be_judged:
            return "cannot be judged";
    }
    return "cannot be judged";
}

bool Verdicts::any_contradicted() const {
    return std::any_of(claims.begin(), claims.end(),
                       [](const auto& c) { return c.verdict == Verdict::contradicted; });
}

Verdicts verify(const Claims& claims, const Report& report) {
    Verdicts out;
    out.title = claims.title;
    out.site = claims.site;
    out.simulated = report.simulated;
    const Judge judge(report);
    const std::string site = report.site ? report.site->id : "";
    for (const Claim& claim : claims.claims)
        out.claims.push_back(
            site == claims.site
                ? judge(claim)
                : Judge::open(claim,
                              site.empty()
                                  ? "the report names no site"
                                  : fmt::format("the claim is about site {}, the report about {}",
                                                claims.site, site)));
    return out;
}

std::string verdicts_json(const Verdicts& verdicts) {
    using Json = nlohmann::ordered_json;
    const auto count = [&](Verdict v) {
        return std::count_if(verdicts.claims.begin(), verdicts.claims.end(),
                             [&](const auto& c) { return c.verdict == v; });
    };
    Json out{{"schema", "fenceline-verdicts/1"},
             {"title", verdicts.title},
             {"site", verdicts.site},
             {"simulated", verdicts.simulated},
             {"supported", count(Verdict::supported)},
             {"contradicted", count(Verdict::contradicted)},
             {"cannot_be_judged", count(Verdict::cannot_be_judged)},
             {"claims", Json::array()}};
    for (const auto& v : verdicts.claims) {
        Json sources = Json::array();
        for (const auto& s : v.claim.sources)
            sources.push_back({{"title", s.title},
                               {"publisher", s.publisher},
                               {"date", s.date},
                               {"url", s.url},
                               {"note", s.note}});
        const double factor = claim_unit_factor(v.claim.unit);
        const auto number = [&](double x) { return Json(std::round(x / factor * 1e4) / 1e4); };
        out["claims"].push_back({{"id", v.claim.id},
                                 {"statement", v.claim.statement},
                                 {"kind", v.claim.kind},
                                 {"relation", v.claim.relation},
                                 {"value", number(v.claim.value)},
                                 {"tolerance", number(v.claim.tolerance)},
                                 {"unit", v.claim.unit},
                                 {"verdict", name_of(v.verdict)},
                                 {"measured", v.measured ? number(*v.measured) : Json(nullptr)},
                                 {"interval", v.interval ? Json::array({number(v.interval->low),
                                                                        number(v.interval->high)})
                                                         : Json(nullptr)},
                                 {"reason", v.reason},
                                 {"evidence", v.evidence},
                                 {"sources", sources}});
    }
    return out.dump();
}

std::string verdicts_text(const Verdicts& verdicts) {
    std::string out;
    if (verdicts.simulated)
        out += "The report is of a SIMULATED series: these verdicts say nothing about the place.\n";
    for (const auto& v : verdicts.claims) {
        out += fmt::format("{:<17} {}: {}\n", name_of(v.verdict), v.claim.id, v.claim.statement);
        out += fmt::format("{:<17} {}\n", "", v.reason);
    }
    return out;
}

}  // namespace fenceline
