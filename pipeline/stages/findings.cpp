#include "stages/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "core/local_frame.h"
#include "core/report_places.h"
#include "core/standing_count.h"

namespace fenceline {
namespace {

constexpr double kOnLineM = 15;       ///< a post this near a new line stands on it
constexpr double kCountLevel = 0.90;  ///< of the intervals of counts

/// Decimals that an uncertainty (half width, same unit) leaves meaningful.
int decimals_for(double half_width, int most) {
    if (!(half_width > 0)) return most;
    return std::clamp(static_cast<int>(std::floor(-std::log10(half_width))) + 1, 0, most);
}
double half(const Interval& i) { return (i.high - i.low) / 2; }

struct Unit {
    const char* name;
    double factor;
    int most_decimals;
};
Unit area_unit(double largest_m2) {
    return largest_m2 >= 1e5 ? Unit{"km²", 1e-6, 2} : Unit{"m²", 1, 0};
}
Unit length_unit(double largest_m) {
    return largest_m >= 1000 ? Unit{"km", 1e-3, 2} : Unit{"m", 1, 0};
}

/// "0.58"; metres and square metres are rounded to what their uncertainty allows, at least to whole
/// ones.
std::string number(double value, const Unit& unit, double half_width) {
    double v = value * unit.factor;
    const double h = half_width * unit.factor;
    if (unit.most_decimals == 0 && h >= 20) {
        const double round_to = std::pow(10, std::floor(std::log10(h / 2)));
        v = std::round(v / round_to) * round_to;
    }
    return fmt::format("{:.{}f}", v, decimals_for(h, unit.most_decimals));
}
/// "0.64 km² (95 % interval 0.63–0.65 km²)"; one decimal more where both ends would be the same.
std::string with_interval(double value, const Interval& ci, Unit unit) {
    if (unit.most_decimals > 1 && half(ci) * unit.factor < 0.75 * std::pow(10, -unit.most_decimals))
        ++unit.most_decimals;
    return fmt::format("{} {} (95 % interval {}–{} {})", number(value, unit, half(ci)), unit.name,
                       number(ci.low, unit, half(ci)), number(ci.high, unit, half(ci)), unit.name);
}
/// "70–75 %"; a minus sign instead of a dash that could be read as one.
std::string percent_interval(double low, double high) {
    const int d = decimals_for((high - low) / 2, 1);
    return low < 0 ? fmt::format("{:.{}f} to {:.{}f} %", low, d, high, d)
                   : fmt::format("{:.{}f}–{:.{}f} %", low, d, high, d);
}

/// "between A and B", "by B" or "at an unknown date": never a before that nobody saw.
std::string when(const std::optional<Time>& before, const std::optional<Time>& after) {
    if (before && after)
        return fmt::format("between {} and {}", format_date(*before), format_date(*after));
    if (after)
        return fmt::format("by {} (no earlier look shows the place without it)",
                           format_date(*after));
    return "at an unknown date";
}

std::string plural(int n, const char* one, const char* many) {
    return fmt::format("{} {}", n, n == 1 ? one : many);
}
std::string count_text(const CountInterval& c, const char* one, const char* many) {
    if (c.low == c.high) return plural(c.count, one, many);
    return fmt::format("{} (90 % interval {}–{}) {}", c.count, c.low, c.high,
                       c.count == 1 ? one : many);
}
std::string capitalised(std::string text) {
    if (!text.empty() && text[0] >= 'a' && text[0] <= 'z')
        text[0] = static_cast<char>(text[0] - 'a' + 'A');
    return text;
}

bool stands(const ReportChange& c) { return c.state == "confirmed" || c.state == "provisional"; }
bool open(const ReportChange& c) { return stands(c) || c.state == "candidate"; }

/// What speaks for and against a statement, on the scenes it rests on.
struct Grade {
    int score = 2;  ///< 2 high, 1 moderate, 0 low
    std::vector<std::string> reasons;
    void lower(int to, std::string why) {
        score = std::min(score, to);
        reasons.push_back(std::move(why));
    }
    void note(std::string why) { reasons.push_back(std::move(why)); }
    std::string word() const { return score == 2 ? "high" : score == 1 ? "moderate" : "low"; }
};

/// What rests on candidates alone is "likely" at the best: by their state the evidence for them is
/// below the test's threshold.
constexpr double kMostForCandidates = 0.79;
/// What has not passed the test is "very likely" at the best, and no more than "likely" where the
/// confidence is low as well: nobody should read "almost certain" beside "low".
constexpr double kMostForProvisional = 0.94, kMostForDoubtful = 0.79;

/// Half widths of intervals, as shares of the value, from which a figure is no longer known well,
/// and from which hardly more than its order of magnitude is told.
struct Widths {
    double wide, very_wide;
};
constexpr Widths kMeasureWidths{0.10, 0.20}, kGrowthWidths{0.25, 0.50};

void grade_interval(Grade& grade, const char* what, double value, const Interval& ci,
                    const Widths& widths) {
    if (!(std::abs(value) > 0)) return;
    const double share = half(ci) / std::abs(value);
    if (share > widths.wide)
        grade.lower(share > widths.very_wide ? 0 : 1,
                    fmt::format("the interval of the {} is wide: ±{:.0f} % of the value", what,
                                100 * share));
}

struct Writer {
    const Report& report;
    const PerimeterResult& perimeter;
    double min_change_share;
    std::vector<const ReportScene*> used;  ///< time order, as the stages counted them
    std::vector<ReportFinding> findings;

    const ReportScene* scene(int i) const {
        return i >= 0 && static_cast<std::size_t>(i) < used.size()
                   ? used[static_cast<std::size_t>(i)]
                   : nullptr;
    }
    std::string date(int i) const {
        const ReportScene* s = scene(i);
        return s != nullptr && s->datetime ? format_date(*s->datetime) : "an unknown date";
    }

    void add(std::string statement, std::string kind, std::map<std::string, double> values,
             double probability, const Grade& grade, std::vector<std::string> evidence) {
        if (report.simulated) statement = "Simulated series: " + statement;
        std::sort(evidence.begin(), evidence.end());
        evidence.erase(std::unique(evidence.begin(), evidence.end()), evidence.end());
        findings.push_back({std::move(statement), std::move(kind), std::move(values),
                            likelihood_word(probability), grade.word(), grade.reasons,
                            std::move(evidence)});
    }

    /// How far this scene's own line lies from the one that several looks show together, if that is
    /// little: its registration holds where it matters to the line, whatever is doubted elsewhere.
    std::optional<double> off_line_m(const ReportScene* s) const {
        constexpr double kClose_m = 1;
        for (const auto& p : perimeter.perimeters)
            if (scene(p.scene) == s && p.off_line_m && *p.off_line_m <= kClose_m)
                return p.off_line_m;
        return {};
    }

    /// on_line: what is stated rests on what lies on the line.
    void grade_scenes(Grade& grade, const std::vector<const ReportScene*>& scenes,
                      bool on_line = false) const {
        double worst_usable = 1, worst_ce90 = 0, worst_off = 0;
        bool failed = false, warned = false;
        for (const ReportScene* s : scenes) {
            if (s == nullptr) continue;
            if (s->usable_fraction > 0) worst_usable = std::min(worst_usable, s->usable_fraction);
            if (!s->registration) continue;
            failed = failed || s->registration->status == "fail";
            const auto off = on_line ? off_line_m(s) : std::nullopt;
            if (off && s->registration->status == "warn") {
                worst_off = std::max(worst_off, *off);
                continue;
            }
            worst_ce90 = std::max(worst_ce90, s->registration->ce90_m);
            warned = warned || s->registration->status == "warn";
        }
        if (worst_off > 0)
            grade.note(
                fmt::format("the line that each look shows lies within {:.1f} m (1 sigma) "
                            "of the common one, so registration holds there",
                            std::max(worst_off, 0.1)));
        if (failed)
            grade.lower(0, "a scene it rests on is not registered well enough");
        else if (warned)
            grade.lower(
                1,
                fmt::format(
                    "the registration of a scene it rests on is doubted away from its tie points "
                    "(CE90 {:.1f} m at them)",
                    worst_ce90));
        else if (worst_ce90 > 0)
            grade.note(fmt::format("scenes registered within {:.1f} m (CE90)", worst_ce90));
        if (worst_usable < 0.7)
            grade.lower(
                1, fmt::format("only {:.0f} % of the area could be seen in a scene it rests on",
                               100 * worst_usable));
    }

    /// Scenes whose observation of the change counts, and its state.
    void grade_changes(Grade& grade, const std::vector<const ReportChange*>& changes,
                       bool on_line = false) const {
        std::set<std::string> looks;
        bool all_confirmed = true, any_confirmed = false, candidate = false;
        std::vector<const ReportScene*> scenes;
        for (const ReportChange* c : changes) {
            all_confirmed = all_confirmed && c->state == "confirmed";
            any_confirmed = any_confirmed || c->state == "confirmed";
            candidate = candidate || c->state == "candidate";
            for (const auto& o : c->observations)
                if (o.log_likelihood_ratio > 0) looks.insert(o.scene);
        }
        for (const ReportScene* s : used)
            if (looks.contains(s->id)) scenes.push_back(s);
        grade.note(
            fmt::format("{} show it", plural(static_cast<int>(looks.size()), "look", "looks")));
        if (all_confirmed)
            grade.note("confirmed by the sequential test");
        else if (any_confirmed)
            grade.lower(1, "only some of it is confirmed by the sequential test");
        else if (!candidate)
            grade.lower(1, "not yet confirmed by the sequential test (provisional)");
        else
            grade.lower(0, "a candidate only: the evidence is below the test's threshold");
        if (looks.size() < 2) grade.lower(candidate ? 0 : 1, "fewer than two looks show it");
        grade_scenes(grade, scenes, on_line);
    }

    /// What rests on a line that nobody has drawn.
    void grade_found_line(Grade& grade) const {
        if (!perimeter.found) return;
        grade.lower(perimeter.found->unrivalled ? 1 : 0, perimeter.found->how);
    }

    /// How probable a statement may be called that rests on the line.
    double of_line(double probability) const {
        if (!perimeter.found) return probability;
        return std::min(probability,
                        perimeter.found->unrivalled ? kMostForProvisional : kMostForDoubtful);
    }

    /// How probable a statement may be called that rests on these changes.
    static double most_for(const std::vector<const ReportChange*>& changes, const Grade& grade) {
        bool provisional = false;
        for (const ReportChange* c : changes) {
            if (c->state == "confirmed") return 1;
            provisional = provisional || c->state == "provisional";
        }
        if (!provisional) return kMostForCandidates;
        return grade.score == 0 ? kMostForDoubtful : kMostForProvisional;
    }

    // --- perimeter
    // --------------------------------------------------------------------------------------------

    const TracedPerimeter* traced(int scene_index) const {
        for (const auto& p : perimeter.perimeters)
            if (p.scene == scene_index) return &p;
        return nullptr;
    }

    /// The report's change that was made of this detour: same kind and the very same area.
    const ReportChange* change_of(const PerimeterChange& detour) const {
        const char* kind = detour.expansion ? "perimeter_expansion" : "perimeter_contraction";
        for (const ReportChange& c : report.changes)
            if (c.kind == kind && c.area_m2 == detour.area_m2) return &c;
        return nullptr;
    }

    void perimeter_growth() {
        // Several detours between the same two traces are one growth.
        std::vector<std::tuple<int, int, std::vector<std::size_t>>> groups;
        for (std::size_t i = 0; i < perimeter.changes.size(); ++i) {
            const ReportChange* change = change_of(perimeter.changes[i]);
            if (change == nullptr || !open(*change)) continue;
            const bool known = i < perimeter.growth.size();
            const int before =
                known ? perimeter.growth[i].scene_before : perimeter.changes[i].last_before;
            const int after =
                known ? perimeter.growth[i].scene_after : perimeter.changes[i].first_after;
            auto found = std::find_if(groups.begin(), groups.end(), [&](const auto& g) {
                return std::get<0>(g) == before && std::get<1>(g) == after;
            });
            if (found == groups.end()) found = groups.insert(groups.end(), {before, after, {}});
            std::get<2>(*found).push_back(i);
        }
        for (const auto& [before, after, members] : groups) {
            std::vector<const ReportChange*> changes;
            std::vector<std::string> evidence;
            double probability = 0, supported = 1;
            bool standing = false;
            std::optional<Time> not_seen, seen;
            std::optional<bool> old_stands;
            for (const std::size_t i : members) {
                const ReportChange* c = change_of(perimeter.changes[i]);
                changes.push_back(c);
                evidence.push_back(c->id);
                probability = std::max(probability, c->confidence);
                supported = std::min(supported, perimeter.changes[i].supported_fraction);
                standing = standing || stands(*c);
                if (c->last_not_seen && (!not_seen || *c->last_not_seen < *not_seen))
                    not_seen = c->last_not_seen;
                if (c->first_seen && (!seen || *c->first_seen > *seen)) seen = c->first_seen;
                if (perimeter.changes[i].old_line_stands)
                    old_stands = perimeter.changes[i].old_line_stands;
            }
            Grade grade;
            grade_found_line(grade);
            grade_changes(grade, changes, true);
            if (supported < 0.7)
                grade.lower(0,
                            fmt::format("only {:.0f} % of the new line was seen", 100 * supported));
            else
                grade.note(fmt::format("{:.0f} % of the new line was seen", 100 * supported));
            const std::string interval = when(not_seen, seen);
            const TracedPerimeter *a = traced(before), *b = traced(after);
            if (a == nullptr || b == nullptr || members.front() >= perimeter.growth.size()) {
                const ReportChange& c = *changes.front();
                const Interval ci = c.area_ci.value_or(Interval{c.area_m2, c.area_m2});
                grade_interval(grade, "ground gained or lost", c.area_m2, ci, kGrowthWidths);
                add(fmt::format("The perimeter {}{} by {} {}.",
                                standing ? "was " : "may have been ",
                                c.kind == "perimeter_expansion" ? "extended" : "drawn in",
                                with_interval(c.area_m2, ci, area_unit(c.area_m2)), interval),
                    "perimeter_extension",
                    {{"area_m2", c.area_m2}, {"area_m2_low", ci.low}, {"area_m2_high", ci.high}},
                    of_line(std::min(probability, most_for(changes, grade))), grade, evidence);
                continue;
            }
            for (const TracedPerimeter* p : {a, b})
                if (const ReportScene* s = scene(p->scene)) evidence.push_back(s->id);
            const PerimeterGrowth& growth = perimeter.growth[members.front()];
            growth_sentence(
                "Perimeter area", growth.area_ratio, growth.area_ratio_ci, a->area_m2, b->area_m2,
                a->area_ci, b->area_ci, area_unit(std::max(a->area_m2, b->area_m2)), interval,
                standing,
                old_stands
                    ? (*old_stands ? " The former line still stands." : " The former line is gone.")
                    : "",
                "perimeter_area_growth", "m2", "area", probability, grade, changes, evidence);
            growth_sentence("The length of the perimeter line", growth.length_ratio,
                            growth.length_ratio_ci, a->length_m, b->length_m, a->length_ci,
                            b->length_ci, length_unit(std::max(a->length_m, b->length_m)), interval,
                            standing, "", "perimeter_length_growth", "m", "length", probability,
                            grade, changes, evidence);
        }
    }

    void growth_sentence(const char* subject, double ratio, const Interval& ratio_ci, double before,
                         double after, const Interval& before_ci, const Interval& after_ci,
                         const Unit& unit, const std::string& interval, bool standing,
                         const std::string& more, const char* kind, const char* suffix,
                         const char* name, double probability, Grade grade,
                         const std::vector<const ReportChange*>& changes,
                         const std::vector<std::string>& evidence) {
        const bool grew = ratio >= 1;
        grade_interval(grade, grew ? "growth" : "shrinkage", ratio - 1, ratio_ci, kGrowthWidths);
        probability = of_line(std::min(probability, most_for(changes, grade)));
        // Shrinking turns the interval round: "by 20 % (15–25 %)".
        const double share = 100 * std::abs(ratio - 1);
        const double low = 100 * (grew ? ratio_ci.low - 1 : 1 - ratio_ci.high);
        const double high = 100 * (grew ? ratio_ci.high - 1 : 1 - ratio_ci.low);
        const char* verb =
            standing ? (grew ? "grew" : "shrank") : (grew ? "may have grown" : "may have shrunk");
        const double h = std::max(half(before_ci), half(after_ci));
        add(fmt::format("{} {} by {:.{}f} % (95 % interval {}), from {} to {} {}, {}.{}", subject,
                        verb, share, decimals_for((high - low) / 2, 1), percent_interval(low, high),
                        number(before, unit, h), number(after, unit, h), unit.name, interval, more),
            kind,
            {{fmt::format("{}_growth", name), ratio - 1},
             {fmt::format("{}_growth_low", name), ratio_ci.low - 1},
             {fmt::format("{}_growth_high", name), ratio_ci.high - 1},
             {fmt::format("{}_before_{}", name, suffix), before},
             {fmt::format("{}_before_{}_low", name, suffix), before_ci.low},
             {fmt::format("{}_before_{}_high", name, suffix), before_ci.high},
             {fmt::format("{}_after_{}", name, suffix), after},
             {fmt::format("{}_after_{}_low", name, suffix), after_ci.low},
             {fmt::format("{}_after_{}_high", name, suffix), after_ci.high}},
            probability, grade, evidence);
    }

    void perimeter_first_seen() {
        if (perimeter.perimeters.empty()) return;
        int first = perimeter.perimeters.front().scene;
        for (const auto& p : perimeter.perimeters) first = std::min(first, p.scene);
        if (first <= 0 || scene(first) == nullptr || scene(first - 1) == nullptr) return;
        // The last earlier scene in which a line could have been seen at all.
        int before = first - 1;
        while (before >= 0 && scene(before)->usable_fraction > 0 &&
               scene(before)->usable_fraction < 0.7)
            --before;
        Grade grade;
        grade_found_line(grade);
        std::string statement;
        std::vector<std::string> evidence{scene(first)->id};
        if (before >= 0) {
            statement = fmt::format("The perimeter was first seen on {}; it was not visible on {}.",
                                    date(first), date(before));
            evidence.push_back(scene(before)->id);
            if (before == 0) grade.lower(1, "only one earlier look could have shown it");
            grade_scenes(grade, {scene(first), scene(before)}, true);
        } else {
            statement = fmt::format(
                "The perimeter was first seen on {}; earlier scenes could not show whether it "
                "stood.",
                date(first));
            grade.lower(0, "no earlier scene is clear enough");
        }
        const TracedPerimeter* p = traced(first);
        if (p->supported_fraction < 0.7)
            grade.lower(
                0, fmt::format("only {:.0f} % of its line was seen", 100 * p->supported_fraction));
        // Each earlier scene without the line makes a mere failure to see it less likely.
        const double probability = before < 0 ? 0.5 : 1 - std::pow(0.25, before + 1);
        add(statement, "perimeter_first_seen",
            {{"looks_before", static_cast<double>(std::max(before + 1, 0))}}, probability, grade,
            evidence);
    }

    void no_perimeter_change() {
        std::vector<const ReportPerimeter*> lines;
        for (const auto& p : report.perimeters)
            if (p.origin != "given") lines.push_back(&p);
        std::stable_sort(lines.begin(), lines.end(),
                         [](auto* a, auto* b) { return a->datetime < b->datetime; });
        std::vector<std::vector<const ReportPerimeter*>> runs(1);
        for (const ReportPerimeter* line : lines) {
            auto& run = runs.back();
            const bool changed =
                !run.empty() &&
                std::any_of(report.changes.begin(), report.changes.end(),
                            [&](const ReportChange& c) {
                                return (c.kind == "perimeter_expansion" ||
                                        c.kind == "perimeter_contraction") &&
                                       (open(c) || c.state == "ended") &&
                                       (!c.first_seen || *c.first_seen > run.back()->datetime) &&
                                       (!c.last_not_seen || *c.last_not_seen < line->datetime);
                            });
            if (changed)
                runs.push_back({line});
            else
                run.push_back(line);
        }
        for (const auto& run : runs) {
            if (run.size() < 2) continue;
            double sigma = 0, area = 0, supported = 1;
            std::vector<std::string> evidence;
            std::vector<const ReportScene*> scenes;
            for (const ReportPerimeter* p : run) {
                area += p->area_m2 / static_cast<double>(run.size());
                sigma = std::max(sigma, (p->area_ci.high - p->area_ci.low) / 3.92);
                supported = std::min(supported, p->supported_fraction);
                evidence.push_back(p->scene);
                for (const ReportScene* s : used)
                    if (s->id == p->scene) scenes.push_back(s);
            }
            const double smallest =
                std::max(min_change_share * area, 1.96 * std::sqrt(2.0) * sigma);
            Grade grade;
            grade_found_line(grade);
            grade.note(plural(static_cast<int>(run.size()), "look", "looks"));
            if (run.size() == 2) grade.lower(1, "two looks only");
            if (supported < 0.7)
                grade.lower(1, fmt::format("in one look only {:.0f} % of the line was seen",
                                           100 * supported));
            if (smallest > kMeasureWidths.wide * area)
                grade.lower(smallest > 2 * kMeasureWidths.very_wide * area ? 0 : 1,
                            fmt::format("changes of up to {:.0f} % of the area would not stand out",
                                        100 * smallest / area));
            grade_scenes(grade, scenes, true);
            const Unit unit = area_unit(smallest);
            add(fmt::format("No change of the perimeter was seen between {} and {} ({} looks); a "
                            "change of {} {} ({:.0f} % of the "
                            "area) or more would have been seen.",
                            format_date(run.front()->datetime), format_date(run.back()->datetime),
                            run.size(), number(smallest, unit, smallest / 5), unit.name,
                            std::ceil(100 * smallest / area - 1e-9)),
                "no_change",
                {{"looks", static_cast<double>(run.size())}, {"smallest_change_m2", smallest}},
                of_line(0.95), grade, evidence);
        }
    }

    void perimeter_size() {
        const ReportPerimeter* last = nullptr;
        for (const auto& p : report.perimeters)
            if (p.origin != "given" && (last == nullptr || p.datetime > last->datetime)) last = &p;
        if (last == nullptr) return;
        Grade grade;
        grade_found_line(grade);
        if (last->supported_fraction < 0.7)
            grade.lower(
                last->supported_fraction < 0.4 ? 0 : 1,
                fmt::format("only {:.0f} % of the line was seen", 100 * last->supported_fraction));
        else
            grade.note(
                fmt::format("{:.0f} % of the line was seen", 100 * last->supported_fraction));
        std::vector<const ReportScene*> scenes;
        for (const ReportScene* s : used)
            if (s->id == last->scene) scenes.push_back(s);
        grade_scenes(grade, scenes, true);
        Grade of_length = grade;
        grade_interval(grade, "area", last->area_m2, last->area_ci, kMeasureWidths);
        grade_interval(of_length, "length", last->length_m, last->length_ci, kMeasureWidths);
        add(fmt::format("On {} the perimeter enclosed {}.", format_date(last->datetime),
                        with_interval(last->area_m2, last->area_ci, area_unit(last->area_m2))),
            "perimeter_area",
            {{"area_m2", last->area_m2},
             {"area_m2_low", last->area_ci.low},
             {"area_m2_high", last->area_ci.high}},
            of_line(0.95), grade, {last->scene});
        add(fmt::format(
                "On {} the perimeter line was {} long.", format_date(last->datetime),
                with_interval(last->length_m, last->length_ci, length_unit(last->length_m))),
            "perimeter_length",
            {{"length_m", last->length_m},
             {"length_m_low", last->length_ci.low},
             {"length_m_high", last->length_ci.high}},
            of_line(0.95), of_length, {last->scene});
    }

    /// Lines drawn by hand beside the traced ones of the same scene.
    void given_lines() {
        for (const ReportPerimeter& line : report.perimeters) {
            if (line.origin != "given" || line.geometry.empty()) continue;
            const ReportPerimeter* other = nullptr;
            for (const ReportPerimeter& p : report.perimeters)
                if (p.origin != "given" && p.scene == line.scene) other = &p;
            Grade grade;
            grade.note("drawn by hand");
            grade_interval(grade, "area", line.area_m2, line.area_ci, kMeasureWidths);
            if (line.supported_fraction < 0.5)
                grade.lower(
                    1, fmt::format("only {:.0f} % of it was seen", 100 * line.supported_fraction));
            std::map<std::string, double> values{{"area_m2", line.area_m2},
                                                 {"area_m2_low", line.area_ci.low},
                                                 {"area_m2_high", line.area_ci.high},
                                                 {"length_m", line.length_m}};
            std::string beside = " No line was traced in that image.";
            if (other != nullptr) {
                const LocalFrame frame(line.geometry.front());
                const Ring given = resample_ring(frame.metres_from_lonlat(line.geometry), 5),
                           traced = frame.metres_from_lonlat(other->geometry);
                std::vector<double> apart;
                for (const Point p : given) apart.push_back(distance_to_ring(traced, p));
                std::sort(apart.begin(), apart.end());
                const double middle = apart[apart.size() / 2], most = apart.back(),
                             share = 100 * (other->area_m2 / line.area_m2 - 1);
                beside = fmt::format(
                    " The line traced in the same image encloses {}; half of the given line lies "
                    "within {:.1f} m of it, and the rest within {:.0f} m.",
                    std::abs(share) < 0.05
                        ? "as much"
                        : fmt::format("{:.1f} % {}", std::abs(share), share > 0 ? "more" : "less"),
                    middle, most);
                values["traced_area_m2"] = other->area_m2;
                values["median_distance_m"] = middle;
                values["largest_distance_m"] = most;
            }
            add(fmt::format(
                    "The line given for {} encloses {} and is {} long.{}",
                    format_date(line.datetime),
                    with_interval(line.area_m2, line.area_ci, area_unit(line.area_m2)),
                    with_interval(line.length_m, line.length_ci, length_unit(line.length_m)),
                    beside),
                "given_perimeter", values, 0.95, grade, {line.scene});
        }
    }

    // --- structures
    // -------------------------------------------------------------------------------------------

    /// "between A and B", or the groups: "12 between A and B, 5 between B and C". stated: the
    /// number that the sentence gives; where more or fewer are listed, it says so, or the groups
    /// would not add up.
    std::string dates_of(const std::vector<const ReportChange*>& changes, int stated) const {
        std::map<std::pair<std::optional<Time>, std::optional<Time>>, int> groups;
        for (const ReportChange* c : changes) ++groups[{c->last_not_seen, c->first_seen}];
        if (groups.size() == 1)
            return " " + when(groups.begin()->first.first, groups.begin()->first.second);
        std::string text;
        // "appeared: 12 between …, 5 between …"
        const int found = static_cast<int>(changes.size());
        const std::string opening =
            found == stated ? ": " : fmt::format(": of the {} found, ", found);
        for (const auto& [interval, n] : groups)
            text += fmt::format("{}{} {}", text.empty() ? opening : ", ", n,
                                when(interval.first, interval.second));
        return text;
    }

    void count_changes(const std::vector<const ReportChange*>& changes, const std::string& kind,
                       const char* one, const char* many, const std::string& did, bool with_area) {
        if (changes.empty()) return;
        std::vector<double> p;
        std::vector<std::string> evidence;
        int confirmed = 0;
        double area = 0;
        for (const ReportChange* c : changes) {
            p.push_back(c->confidence);
            evidence.push_back(c->id);
            if (c->structure) evidence.push_back(*c->structure);
            confirmed += c->state == "confirmed";
            area += c->confidence * c->area_m2;
        }
        const CountInterval n = poisson_binomial(p, kCountLevel);
        if (n.high == 0) return;
        Grade grade;
        grade_changes(grade, changes, kind.find("guard_post") != std::string::npos);
        std::string statement = capitalised(
            fmt::format("{}{}{}", count_text(n, one, many), did, dates_of(changes, n.count)));
        if (with_area)
            statement +=
                fmt::format("; together about {} {}", number(area, area_unit(area), area / 10),
                            area_unit(area).name);
        if (confirmed < static_cast<int>(changes.size()))
            statement += fmt::format(" ({} of {} found are confirmed)", confirmed, changes.size());
        // Likelihood that there is any such change at all.
        double none = 1;
        for (const double each : p) none *= 1 - each;
        std::map<std::string, double> values{{"count", static_cast<double>(n.count)},
                                             {"count_low", static_cast<double>(n.low)},
                                             {"count_high", static_cast<double>(n.high)},
                                             {"confirmed", static_cast<double>(confirmed)}};
        if (with_area) values["area_m2"] = area;
        add(statement + ".", kind, values, std::min(1 - none, most_for(changes, grade)), grade,
            evidence);
    }

    /// What stands, provisionally at least: what is published. Candidates are listed, not counted.
    std::vector<const ReportChange*> of_kind(const char* kind) const {
        std::vector<const ReportChange*> found;
        for (const auto& c : report.changes)
            if (c.kind == kind && stands(c)) found.push_back(&c);
        return found;
    }

    /// How many of a kind stood at the last look that could see most of them.
    void standing_count(const char* structure_kind, const char* kind, const char* one,
                        const char* many) {
        std::map<std::string, int> seen_in;
        int known = 0;
        for (const auto& s : report.structures) {
            if (s.kind != structure_kind) continue;
            ++known;
            for (const auto& o : s.observations)
                if (o.seen != "not_observable") ++seen_in[o.scene];
        }
        const ReportScene* last = nullptr;
        for (const ReportScene* s : used)
            if (s->datetime && seen_in.contains(s->id) &&
                (last == nullptr || 2 * seen_in.at(s->id) >= known ||
                 seen_in.at(s->id) > seen_in.at(last->id)))
                last = s;
        if (last == nullptr) return;
        const StandingCount standing =
            fenceline::standing_count(report, structure_kind, *last, kCountLevel);
        const CountInterval& n = standing.all;
        std::vector<std::string> evidence = standing.ids;
        Grade grade;
        const auto looks = static_cast<int>(seen_in.size());
        if (looks < 2)
            grade.lower(1, "one look only");
        else
            grade.note(fmt::format("{} looks", looks));
        if (n.high - n.low > std::max(4, n.count / 3))
            grade.lower(1, "the count's interval is wide");
        const bool post = std::string_view(structure_kind) == "guard_post";
        grade_scenes(grade, {last}, post);
        evidence.push_back(last->id);
        add(fmt::format("On {} {} stood{}; with those that such images hide {}–{} (90 % interval).",
                        format_date(*last->datetime), plural(n.count, one, many),
                        post ? " along the perimeter" : " in the area that was looked at", n.low,
                        n.high),
            kind,
            {{"count", static_cast<double>(n.count)},
             {"count_low", static_cast<double>(n.low)},
             {"count_high", static_cast<double>(n.high)},
             {"expected", n.expected}},
            0.95, grade, evidence);
    }

    void structures() {
        std::vector<const ReportChange*> new_line, elsewhere;
        for (const ReportChange* c : of_kind("new_guard_post"))
            (stands_on_new_line(report, *c, kOnLineM) ? new_line : elsewhere).push_back(c);
        count_changes(new_line, "new_guard_posts", "new guard post stands on the new line",
                      "new guard posts stand on the new line", ", built", false);
        count_changes(elsewhere, "new_guard_posts", "new guard post stands along the perimeter",
                      "new guard posts stand along the perimeter", ", built", false);
        count_changes(of_kind("removed_guard_post"), "removed_guard_posts", "guard post",
                      "guard posts", " disappeared", false);
        standing_count("guard_post", "guard_posts", "guard post", "guard posts");
        count_changes(of_kind("new_building"), "new_buildings", "new building", "new buildings",
                      " appeared", true);
        count_changes(of_kind("removed_building"), "removed_buildings", "building", "buildings",
                      " disappeared", true);
        count_changes(of_kind("modified_building"), "modified_buildings", "building", "buildings",
                      " changed in footprint or height", false);
        standing_count("building", "buildings", "building", "buildings");
        count_changes(of_kind("new_road"), "other_changes", "new road or track",
                      "new roads or tracks", " appeared", true);
        count_changes(of_kind("ground_disturbance"), "other_changes", "place", "places",
                      " with disturbed ground appeared", true);
        count_changes(of_kind("vegetation_change"), "other_changes", "place", "places",
                      " with changed vegetation appeared", true);
        ended();
        candidates();
    }

    /// One sentence for everything that may be a change but has not passed its test.
    void candidates() {
        static constexpr std::array<std::array<const char*, 3>, 8> kinds{
            {{"new_guard_post", "new guard post", "new guard posts"},
             {"removed_guard_post", "removed guard post", "removed guard posts"},
             {"new_building", "new building", "new buildings"},
             {"removed_building", "removed building", "removed buildings"},
             {"modified_building", "modified building", "modified buildings"},
             {"new_road", "new road or track", "new roads or tracks"},
             {"ground_disturbance", "place with disturbed ground", "places with disturbed ground"},
             {"vegetation_change", "place with changed vegetation",
              "places with changed vegetation"}}};
        std::string list;
        std::vector<std::string> evidence;
        std::map<std::string, double> values;
        double sum = 0;  // how likely one of them is: of many candidates some are always true
        for (const auto& [kind, one, many] : kinds) {
            int n = 0;
            for (const auto& c : report.changes)
                if (c.kind == kind && c.state == "candidate") {
                    ++n;
                    evidence.push_back(c.id);
                    sum += c.confidence;
                }
            if (n == 0) continue;
            list += fmt::format("{}{} {}", list.empty() ? "" : ", ", n, n == 1 ? one : many);
            values[kind] = n;
        }
        if (evidence.empty()) return;
        Grade grade;
        grade.lower(0, "candidates only: one look, or evidence below the test's threshold");
        add(fmt::format("Possible, not counted above: {}. One more look may confirm or drop {}.",
                        list, evidence.size() == 1 ? "it" : "them"),
            "candidates", values,
            std::min(sum / static_cast<double>(evidence.size()), kMostForCandidates), grade,
            evidence);
    }

    void ended() {
        for (const auto& [kind, text] :
             {std::pair{"new_building", "building"}, std::pair{"new_guard_post", "guard post"},
              std::pair{"perimeter_expansion", "extension of the perimeter"}}) {
            int n = 0;
            std::vector<std::string> evidence;
            double probability = 0;
            for (const auto& c : report.changes)
                if (c.kind == kind && c.state == "ended")
                    ++n, evidence.push_back(c.id),
                        probability = std::max(probability, c.confidence);
            if (n == 0) continue;
            Grade grade;
            grade.lower(1, "it was seen for a part of the series only");
            const std::string what = n == 1 ? text
                                     : std::string(text) == "extension of the perimeter"
                                         ? "extensions of the perimeter"
                                         : std::string(text) + "s";
            add(fmt::format("{} {} appeared during the series and went away again.", n, what),
                "other_changes", {{"count", static_cast<double>(n)}}, probability, grade, evidence);
        }
    }

    /// Where no perimeter could be given.
    void perimeter_unseen() {
        const int first = perimeter.perimeters.empty() ? 0 : perimeter.perimeters.front().scene;
        std::vector<std::string> without;
        for (std::size_t i = 0; i < used.size(); ++i)
            if (static_cast<int>(i) >= first && traced(static_cast<int>(i)) == nullptr)
                without.push_back(used[i]->id);
        if (without.empty()) return;
        for (const std::string& note : perimeter.notes) {
            Grade grade;
            grade.note("what the images show of lines");
            add(note, "not_observable", {{"scenes", static_cast<double>(without.size())}}, 0.95,
                grade, without);
        }
    }

    void unseen() {
        bool any_post = false;
        for (const auto& s : report.structures) any_post = any_post || s.kind == "guard_post";
        for (const auto& n : report.not_observable) {
            if (any_post || n.reason.find("guard posts are not observable") == std::string::npos)
                continue;
            Grade grade;
            grade.note("pixel size of the scenes");
            add(fmt::format("Guard posts could not be counted in {}: {}.",
                            plural(static_cast<int>(n.scenes.size()), "scene", "scenes"), n.reason),
                "not_observable", {{"scenes", static_cast<double>(n.scenes.size())}}, 0.95, grade,
                n.scenes);
        }
    }
};

}  // namespace

std::string likelihood_word(double probability) {
    if (probability >= 0.95) return "almost certain";
    if (probability >= 0.80) return "very likely";
    if (probability >= 0.55) return "likely";
    if (probability >= 0.45) return "even chance";
    return "unlikely";
}

std::vector<ReportFinding> write_findings(const Report& report, const PerimeterResult& perimeter,
                                          double min_change_share) {
    Writer writer{report, perimeter, min_change_share, {}, {}};
    for (const auto& scene : report.scenes)
        if (scene.role != "left_out") writer.used.push_back(&scene);
    writer.perimeter_growth();
    writer.perimeter_first_seen();
    writer.no_perimeter_change();
    writer.perimeter_size();
    writer.given_lines();
    writer.structures();
    writer.perimeter_unseen();
    writer.unseen();
    return std::move(writer.findings);
}

}  // namespace fenceline
