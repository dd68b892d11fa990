#include "evaluate/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <set>

#include "core/assignment.h"
#include "core/local_frame.h"
#include "core/projection.h"
#include "evaluate/pixels.h"

namespace fenceline {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double percentile(std::vector<double> values, double share) {
    if (values.empty()) return kNaN;
    std::sort(values.begin(), values.end());
    const double at = share * static_cast<double>(values.size() - 1);
    const auto i = static_cast<std::size_t>(at);
    const double t = at - static_cast<double>(i);
    return i + 1 < values.size() ? values[i] * (1 - t) + values[i + 1] * t : values[i];
}

/// Cohen 1960, of one table or several, summed.
double kappa(const std::vector<double>& tables) {
    std::array<double, 4> n{};
    for (std::size_t i = 0; i < tables.size(); ++i) n[i % 4] += tables[i];
    const auto [hit, wrong, missed, rest] = n;
    const double chance = (hit + wrong) * (wrong + rest) + (hit + missed) * (missed + rest);
    return chance > 0 ? 2 * (hit * rest - missed * wrong) / chance : kNaN;
}

double pooled_value(Figure::Pooling pooling, double numerator, double denominator,
                    const std::vector<double>& samples) {
    switch (pooling) {
        case Figure::Pooling::share:
            return denominator > 0 ? numerator / denominator : kNaN;
        case Figure::Pooling::median:
            return percentile(samples, 0.5);
        case Figure::Pooling::percentile_90:
            return percentile(samples, 0.9);
        case Figure::Pooling::kappa:
            return kappa(samples);
    }
    return kNaN;
}

bool confirmed(const ReportChange& c) { return c.state == "confirmed"; }
/// Claimed at all: what a reader would take for a change.
bool claimed(const ReportChange& c) { return c.state == "confirmed" || c.state == "provisional"; }
/// What the truth says happened: one that ended did happen.
bool happened(const ReportChange& c) {
    return c.state == "confirmed" || c.state == "ended" || c.state == "provisional";
}

struct Counts {
    double matched = 0, reported = 0, expected = 0;
};

/// An object or change as the matcher sees it, in metres of the local frame.
struct Placed {
    Point centre;
    Ring ring;  ///< empty for posts
    double radius = 0;
};

/// Candidates of one kind of structure: the same whatever the scenes that are scored.
using CandidateCache = std::map<std::string, std::vector<MatchCandidate>>;

struct Scorer {
    const Report& report;
    const Report& truth;
    const EvaluateOptions& options;
    LocalFrame frame;
    Point shift_m;  ///< truth into the report's frame
    std::span<const SceneDisplacement> displacements;
    CandidateCache& cache;
    std::string stratum;                                  ///< of all figures made here
    std::function<bool(const ReportScene&)> counts_here;  ///< scenes of the truth that are scored
    SeriesScore score;

    // --- figures
    // ----------------------------------------------------------------------------------------------

    void share(std::string name, std::string definition, double numerator, double denominator,
               std::string unit = "") {
        Figure figure;
        figure.name = std::move(name);
        figure.definition = std::move(definition);
        figure.unit = std::move(unit);
        figure.stratum = stratum;
        figure.numerator = numerator;
        figure.denominator = denominator;
        score.figures.push_back(std::move(figure));
    }
    void samples(std::string name, std::string definition, std::string unit,
                 Figure::Pooling pooling, std::vector<double> values) {
        Figure figure;
        figure.name = std::move(name);
        figure.definition = std::move(definition);
        figure.unit = std::move(unit);
        figure.stratum = stratum;
        figure.pooling = pooling;
        figure.samples = std::move(values);
        score.figures.push_back(std::move(figure));
    }
    void detection(const std::string& name, const std::string& what, const Counts& n) {
        share(name + "_precision", fmt::format("share of reported {} that are true", what),
              n.matched, n.reported);
        share(name + "_recall", fmt::format("share of true {} that are reported", what), n.matched,
              n.expected);
        share(name + "_f1", fmt::format("2·matched / (reported + true), {}", what), 2 * n.matched,
              n.reported + n.expected);
    }

    // --- scenes and places
    // ------------------------------------------------------------------------------------

    /// The report's id of the truth's scene; empty when the report left it out or does not have it.
    std::string report_scene_of(const ReportScene& scene, bool& left_out) const {
        left_out = false;
        const ReportScene* found = nullptr;
        for (const auto& s : report.scenes)
            if (s.id == scene.id) found = &s;
        if (found == nullptr && scene.datetime)
            for (const auto& s : report.scenes)
                if (s.datetime && std::abs(s.datetime->seconds() - scene.datetime->seconds()) < 1)
                    found = &s;
        if (found == nullptr) return {};
        left_out = found->role == "left_out";
        return left_out ? std::string{} : found->id;
    }

    Ring in_metres(const Ring& lonlat, bool of_truth) const {
        Ring out = frame.metres_from_lonlat(lonlat);
        if (of_truth)
            for (Point& p : out) p = p + shift_m;
        return out;
    }
    Point in_metres(Point lonlat, bool of_truth) const {
        return frame.metres_from_lonlat(lonlat) + (of_truth ? shift_m : Point{});
    }
    Placed placed(Point position, const Ring& ring, bool of_truth) const {
        Placed p{in_metres(position, of_truth), in_metres(ring, of_truth), 0};
        if (p.ring.size() >= 3) p.centre = centroid(p.ring);
        for (const Point corner : p.ring) p.radius = std::max(p.radius, distance(corner, p.centre));
        return p;
    }
    /// The truth ends at its area of interest. What a report finds beyond it (its images lie some
    /// metres off) is neither right nor wrong.
    bool beyond_truth(const Placed& reported) const {
        if (!truth.site) return false;
        const Ring area = in_metres(truth.site->area_lonlat, true);
        return area.size() >= 3 && !contains(area, reported.centre);
    }
    /// 0–1, 0: no match.
    double post_gain(const Placed& a, const Placed& b) const {
        const double d = distance(a.centre, b.centre);
        return d <= options.post_match_m ? 1 - 0.999 * d / options.post_match_m : 0;
    }
    double polygon_gain(const Placed& a, const Placed& b, double least_iou) const {
        if (a.ring.size() < 3 || b.ring.size() < 3 ||
            distance(a.centre, b.centre) > a.radius + b.radius)
            return 0;
        const double smaller =
            std::min(std::abs(signed_area(a.ring)), std::abs(signed_area(b.ring)));
        const double iou = polygon_iou(a.ring, b.ring, std::max(0.05, std::sqrt(smaller) / 60));
        return iou >= least_iou ? iou : 0;
    }

    // --- registration
    // ------------------------------------------------------------------------------------------

    /// Where a piece of ground that stands at a place of one image's frame appears in another's,
    /// minus that place; metres, map axes.
    static Point between(const SceneDisplacement* from, const SceneDisplacement* to, Point there) {
        Point ground = there;
        if (from != nullptr)
            for (int i = 0; i < 4; ++i) ground = there - (*from)(ground);
        return (to != nullptr ? (*to)(ground) : Point{}) - (there - ground);
    }
    const SceneDisplacement* displacement_of(const std::string& scene) const {
        for (const auto& d : displacements)
            if (d.scene == scene) return &d;
        return nullptr;
    }

    void registration() {
        const SceneDisplacement* reference = nullptr;
        for (const auto& scene : report.scenes)
            if (scene.role == "reference")
                for (const auto& t : truth.scenes) {
                    bool left_out = false;
                    if (report_scene_of(t, left_out) == scene.id) reference = displacement_of(t.id);
                }
        std::vector<double> rmse, rmse_px, ce90, stated;
        double within = 0, passed = 0, passed_badly = 0, registered = 0, asked = 0;
        const Transform map_from_lonlat("EPSG:4326",
                                        truth.grid.crs.empty() ? "EPSG:3857" : truth.grid.crs);
        for (const auto& t : truth.scenes) {
            const SceneDisplacement* target = displacement_of(t.id);
            if (!counts_here(t) || target == nullptr || reference == nullptr || target == reference)
                continue;
            bool left_out = false;
            const std::string id = report_scene_of(t, left_out);
            ++asked;
            if (id.empty()) continue;
            ++registered;
            for (const auto& scene : report.scenes) {
                if (scene.id != id || !scene.registration || scene.registration->samples.empty())
                    continue;
                double squares = 0;
                std::vector<double> errors;
                for (const auto& sample : scene.registration->samples) {
                    const Point actual = between(reference, target, map_from_lonlat(sample.lonlat));
                    const double error = distance(actual, Point{sample.dx_m, sample.dy_m});
                    squares += error * error;
                    errors.push_back(error);
                }
                const double rms = std::sqrt(squares / static_cast<double>(errors.size()));
                rmse.push_back(rms);
                const double gsd = report.grid.gsd_m > 0 ? report.grid.gsd_m : 1;
                rmse_px.push_back(rms / gsd);
                ce90.push_back(percentile(errors, 0.9));
                if (scene.registration->rmse_m > 0)
                    stated.push_back(scene.registration->rmse_m / std::max(rms, 1e-9));
                within += rms <= gsd;
                if (scene.registration->status == "pass") ++passed, passed_badly += rms > gsd;
            }
        }
        share("registration_kept",
              "share of the scenes, without the reference, that were registered", registered,
              asked);
        samples("registration_rmse",
                "RMSE of the displacement that was removed against the true one, over places all "
                "over the grid; median over scenes",
                "m", Figure::Pooling::median, rmse);
        samples("registration_rmse_p90", "the same, 90th percentile over scenes", "m",
                Figure::Pooling::percentile_90, rmse);
        samples("registration_rmse_px", "the same, median, in pixels of the common grid", "px",
                Figure::Pooling::median, rmse_px);
        samples("registration_ce90",
                "radius that holds 90 % of a scene's displacement errors; median over scenes", "m",
                Figure::Pooling::median, ce90);
        share("registration_within_1px",
              "share of registered scenes whose RMSE is at most one pixel", within,
              static_cast<double>(rmse.size()));
        share("registration_false_pass",
              "share of scenes with the status pass whose RMSE is over one pixel", passed_badly,
              passed);
        samples(
            "registration_stated_over_true",
            "stated RMSE / true RMSE (the stated one holds where tie points support it); median",
            "", Figure::Pooling::median, stated);
    }

    // --- perimeter
    // --------------------------------------------------------------------------------------------

    struct PerimeterPair {
        const ReportPerimeter *reported, *actual;
    };

    void perimeters() {
        std::vector<PerimeterPair> pairs;
        double expected = 0, complete2 = 0, complete5 = 0, true_length = 0, correct2 = 0,
               correct5 = 0, reported_length = 0;
        std::vector<double> area_error, length_error;
        double area_covered = 0, length_covered = 0;
        for (const auto& scene : truth.scenes) {
            if (!counts_here(scene)) continue;
            bool left_out = false;
            const std::string id = report_scene_of(scene, left_out);
            const ReportPerimeter* actual = nullptr;
            for (const auto& p : truth.perimeters)
                if (p.scene == scene.id) actual = &p;
            const ReportPerimeter* reported = nullptr;
            for (const auto& p : report.perimeters)
                if (!id.empty() && p.scene == id) reported = &p;
            if (left_out) continue;
            const double step = 1;
            const Ring actual_ring = actual != nullptr ? in_metres(actual->geometry, true) : Ring{};
            const Ring reported_ring =
                reported != nullptr ? in_metres(reported->geometry, false) : Ring{};
            const auto near = [&](const Ring& from, const Ring& to, double tolerance) {
                long n = 0;
                const Ring fine = resample_ring(from, step);
                if (to.size() >= 3)
                    for (const Point p : fine) n += distance_to_ring(to, p) <= tolerance;
                return fine.empty() ? 0.0
                                    : ring_length(from) * static_cast<double>(n) /
                                          static_cast<double>(fine.size());
            };
            if (actual_ring.size() >= 3) {
                ++expected;
                true_length += ring_length(actual_ring);
                complete2 += near(actual_ring, reported_ring, 2);
                complete5 += near(actual_ring, reported_ring, 5);
            }
            if (reported_ring.size() >= 3) {
                reported_length += ring_length(reported_ring);
                correct2 += near(reported_ring, actual_ring, 2);
                correct5 += near(reported_ring, actual_ring, 5);
            }
            if (actual == nullptr || reported == nullptr || !(actual->area_m2 > 0) ||
                !(actual->length_m > 0))
                continue;
            pairs.push_back({reported, actual});
            area_error.push_back(100 * std::abs(reported->area_m2 / actual->area_m2 - 1));
            length_error.push_back(100 * std::abs(reported->length_m / actual->length_m - 1));
            area_covered += actual->area_m2 >= reported->area_ci.low &&
                            actual->area_m2 <= reported->area_ci.high;
            length_covered += actual->length_m >= reported->length_ci.low &&
                              actual->length_m <= reported->length_ci.high;
        }
        const auto n = static_cast<double>(pairs.size());
        share("perimeter_found",
              "share of the scenes with a true line for which a line is reported", n, expected);
        samples("area_error", "|reported / true perimeter area − 1|, median over scenes", "%",
                Figure::Pooling::median, area_error);
        samples("area_error_p90", "the same, 90th percentile", "%", Figure::Pooling::percentile_90,
                area_error);
        samples("length_error", "|reported / true line length − 1|, median over scenes", "%",
                Figure::Pooling::median, length_error);
        samples("length_error_p90", "the same, 90th percentile", "%",
                Figure::Pooling::percentile_90, length_error);
        share("area_coverage", "share of 95 % area intervals that contain the true area",
              area_covered, n);
        share("length_coverage", "share of 95 % length intervals that contain the true length",
              length_covered, n);
        share("line_completeness_2m",
              "share of the true line's length within 2 m of the reported line", complete2,
              true_length);
        share("line_completeness_5m", "the same within 5 m", complete5, true_length);
        share("line_correctness_2m",
              "share of the reported line's length within 2 m of the true line", correct2,
              reported_length);
        share("line_correctness_5m", "the same within 5 m", correct5, reported_length);

        if (stratum.empty()) growth(pairs);
    }

    void growth(std::vector<PerimeterPair>& pairs) {
        std::vector<double> growth_error;
        if (pairs.size() >= 2) {
            const auto by_time = [](const PerimeterPair& a, const PerimeterPair& b) {
                return a.actual->datetime < b.actual->datetime;
            };
            std::stable_sort(pairs.begin(), pairs.end(), by_time);
            const auto &first = pairs.front(), &last = pairs.back();
            if (first.reported->area_m2 > 0)
                growth_error.push_back(100 *
                                       std::abs(last.reported->area_m2 / first.reported->area_m2 -
                                                last.actual->area_m2 / first.actual->area_m2));
        }
        samples("growth_error",
                "|reported − true growth of the area from the first to the last scene with a line|",
                "percentage points", Figure::Pooling::median, growth_error);
        double covered = 0, stated = 0;
        for (const auto& finding : report.findings) {
            if (finding.kind != "perimeter_area_growth" ||
                !finding.values.contains("area_growth_low") ||
                !finding.values.contains("area_growth_high"))
                continue;
            // The scenes that the statement rests on, earliest and latest.
            std::vector<PerimeterPair> of_finding;
            for (const auto& pair : pairs)
                if (std::find(finding.evidence.begin(), finding.evidence.end(),
                              pair.reported->scene) != finding.evidence.end())
                    of_finding.push_back(pair);
            if (of_finding.size() < 2) continue;
            const double growth =
                of_finding.back().actual->area_m2 / of_finding.front().actual->area_m2 - 1;
            ++stated;
            covered += growth >= finding.values.at("area_growth_low") &&
                       growth <= finding.values.at("area_growth_high");
        }
        share("growth_coverage",
              "share of stated 95 % intervals of area growth that contain the true growth", covered,
              stated);
    }

    // --- structures
    // -------------------------------------------------------------------------------------------

    enum class There { yes, no, unknown };
    static There standing(const ReportStructure& s, Time t) {
        if (s.first_seen && t < *s.first_seen) return There::no;
        if (s.first_not_seen && t >= *s.first_not_seen) return There::no;
        return There::yes;
    }
    /// The truth's own word for this scene goes first.
    static There truly_standing(const ReportStructure& s, const ReportScene& scene) {
        for (const auto& o : s.observations)
            if (o.scene == scene.id)
                return o.seen == "present"  ? There::yes
                       : o.seen == "absent" ? There::no
                                            : There::unknown;
        return scene.datetime ? standing(s, *scene.datetime) : There::unknown;
    }

    void structures(const char* kind, const std::string& name, const std::string& what, bool post) {
        std::vector<const ReportStructure*> actual, reported;
        for (const auto& s : truth.structures)
            if (s.kind == kind) actual.push_back(&s);
        for (const auto& s : report.structures)
            if (s.kind == kind && s.confidence >= options.claimed_from) reported.push_back(&s);
        std::vector<Placed> a, b;
        for (const auto* s : actual)
            a.push_back(placed(s->position, post ? Ring{} : s->footprint, true));
        for (const auto* s : reported)
            b.push_back(placed(s->position, post ? Ring{} : s->footprint, false));
        std::vector<char> beyond;
        for (const Placed& each : b) beyond.push_back(beyond_truth(each));
        const auto [known, fresh] = cache.try_emplace(kind);
        std::vector<MatchCandidate>& candidates = known->second;
        for (std::size_t i = 0; fresh && i < a.size(); ++i)
            for (std::size_t j = 0; j < b.size(); ++j)
                if (const double gain = post ? post_gain(a[i], b[j])
                                             : polygon_gain(a[i], b[j], options.building_iou);
                    gain > 0)
                    candidates.push_back({static_cast<int>(i), static_cast<int>(j), gain});

        Counts n;
        double counted = 0, count_covered = 0;
        std::vector<double> count_error;
        std::vector<double> height_error;
        double height_covered = 0, height_intervals = 0;
        for (const auto& scene : truth.scenes) {
            if (!counts_here(scene)) continue;
            bool left_out = false;
            const std::string id = report_scene_of(scene, left_out);
            if (left_out || !scene.datetime) continue;
            std::vector<char> expected(a.size(), 0), ignored(a.size(), 0), there(b.size(), 0);
            for (std::size_t i = 0; i < a.size(); ++i) {
                const There t = truly_standing(*actual[i], scene);
                expected[i] = t == There::yes;
                ignored[i] = t == There::unknown;
            }
            for (std::size_t j = 0; j < b.size(); ++j)
                there[j] = !id.empty() && standing(*reported[j], *scene.datetime) == There::yes;
            std::vector<MatchCandidate> live;
            for (const auto& c : candidates)
                if (expected[static_cast<std::size_t>(c.a)] && there[static_cast<std::size_t>(c.b)])
                    live.push_back(c);
            const auto matches =
                assign(static_cast<int>(a.size()), static_cast<int>(b.size()), live);
            std::set<int> matched;
            for (const auto& [i, j] : matches) matched.insert(j);
            double reported_here = 0;
            for (std::size_t j = 0; j < b.size(); ++j) {
                if (!there[j]) continue;
                bool excused = false;
                if (!matched.contains(static_cast<int>(j))) {
                    excused = beyond[j] != 0;
                    for (const auto& c : candidates)
                        excused = excused || (c.b == static_cast<int>(j) &&
                                              ignored[static_cast<std::size_t>(c.a)]);
                }
                reported_here += !excused;
            }
            n.matched += static_cast<double>(matches.size());
            n.reported += reported_here;
            n.expected += static_cast<double>(std::count(expected.begin(), expected.end(), 1));

            // Counts as stated, on scenes in which every object could be seen.
            if (!post || std::count(ignored.begin(), ignored.end(), 1) > 0) continue;
            const auto true_count =
                static_cast<double>(std::count(expected.begin(), expected.end(), 1));
            for (const auto& finding : report.findings) {
                if (finding.kind != "guard_posts" || !finding.values.contains("count_low") ||
                    !finding.values.contains("count_high"))
                    continue;
                if (std::find(finding.evidence.begin(), finding.evidence.end(), id) ==
                    finding.evidence.end())
                    continue;
                ++counted;
                count_covered += true_count >= finding.values.at("count_low") &&
                                 true_count <= finding.values.at("count_high");
                if (finding.values.contains("count"))
                    count_error.push_back(std::abs(finding.values.at("count") - true_count));
            }
        }
        detection(name, what, n);
        if (!stratum.empty()) return;
        if (post) {
            share("post_count_coverage",
                  "share of stated 90 % intervals of the number of posts that contain the true "
                  "number",
                  count_covered, counted);
            samples("post_count_error", "|stated − true number of posts|", "posts",
                    Figure::Pooling::median, count_error);
            return;
        }
        for (const auto& [i, j] :
             assign(static_cast<int>(a.size()), static_cast<int>(b.size()), candidates)) {
            const auto &true_height = actual[static_cast<std::size_t>(i)]->height_m,
                       &height = reported[static_cast<std::size_t>(j)]->height_m;
            if (!true_height || !height) continue;
            height_error.push_back(std::abs(*height - *true_height));
            if (const auto& ci = reported[static_cast<std::size_t>(j)]->height_ci) {
                ++height_intervals;
                height_covered += *true_height >= ci->low && *true_height <= ci->high;
            }
        }
        samples("height_error", "|reported − true height| of matched buildings", "m",
                Figure::Pooling::median, height_error);
        share("height_coverage", "share of 95 % height intervals that contain the true height",
              height_covered, height_intervals);
    }

    // --- changes
    // ----------------------------------------------------------------------------------------------

    struct ChangeMatch {
        const ReportChange *actual, *reported;
    };
    std::vector<ChangeMatch> matched_changes;
    std::set<const ReportChange*> true_positives;

    double change_gain(const std::string& kind, const Placed& a, const Placed& b) const {
        if (kind.find("guard_post") != std::string::npos) return post_gain(a, b);
        const bool region = kind.rfind("perimeter_", 0) == 0;
        return polygon_gain(a, b, region ? options.region_iou : options.building_iou);
    }

    Counts match_changes(const std::string& kind, bool (*counts)(const ReportChange&), bool keep) {
        std::vector<const ReportChange*> actual, reported;
        for (const auto& c : truth.changes)
            if (c.kind == kind && happened(c) && could_be_seen(c)) actual.push_back(&c);
        for (const auto& c : report.changes)
            if (c.kind == kind && counts(c)) reported.push_back(&c);
        std::vector<MatchCandidate> candidates;
        for (std::size_t i = 0; i < actual.size(); ++i)
            for (std::size_t j = 0; j < reported.size(); ++j)
                if (const double gain =
                        change_gain(kind, placed(actual[i]->position, actual[i]->footprint, true),
                                    placed(reported[j]->position, reported[j]->footprint, false));
                    gain > 0)
                    candidates.push_back({static_cast<int>(i), static_cast<int>(j), gain});
        const auto matches =
            assign(static_cast<int>(actual.size()), static_cast<int>(reported.size()), candidates);
        Counts n{static_cast<double>(matches.size()), static_cast<double>(reported.size()),
                 static_cast<double>(actual.size())};
        if (keep)
            for (const auto& [i, j] : matches) {
                matched_changes.push_back(
                    {actual[static_cast<std::size_t>(i)], reported[static_cast<std::size_t>(j)]});
                true_positives.insert(reported[static_cast<std::size_t>(j)]);
            }
        return n;
    }

    /// A change of an object that no look could have shown in both states is not asked for.
    bool could_be_seen(const ReportChange& c) const {
        if (!c.structure) return true;
        for (const auto& s : truth.structures) {
            if (s.id != *c.structure || s.observations.empty()) continue;
            bool present = false, absent = false;
            for (const auto& o : s.observations)
                present = present || o.seen == "present", absent = absent || o.seen == "absent";
            return present && absent;
        }
        return true;
    }

    void changes() {
        for (const auto& [kind, name, what] :
             {std::tuple{"new_guard_post", "new_posts", "new posts"},
              {"removed_guard_post", "removed_posts", "removed posts"},
              {"new_building", "new_buildings", "new buildings"},
              {"removed_building", "removed_buildings", "removed buildings"},
              {"perimeter_expansion", "expansions", "expansions of the perimeter"},
              {"perimeter_contraction", "contractions", "contractions of the perimeter"}}) {
            detection(name, std::string("confirmed ") + what, match_changes(kind, confirmed, true));
            const Counts any = match_changes(kind, claimed, false);
            share(std::string(name) + "_any_precision",
                  std::string("share of confirmed and provisional ") + what + " that are true",
                  any.matched, any.reported);
            share(std::string(name) + "_any_recall",
                  std::string("share of true ") + what + " reported as confirmed or provisional",
                  any.matched, any.expected);
        }
        new_post_count();
        dating();
        false_changes();
        pixels();
    }

    void new_post_count() {
        double actual = 0, stated = 0;
        for (const auto& c : truth.changes)
            actual += c.kind == "new_guard_post" && happened(c) && could_be_seen(c);
        for (const auto& c : report.changes) stated += c.kind == "new_guard_post" && claimed(c);
        std::vector<double> error;
        if (actual > 0 || stated > 0) error.push_back(std::abs(stated - actual));
        samples(
            "new_post_count_error",
            "|number of new posts reported (confirmed or provisional) − true number| per series",
            "posts", Figure::Pooling::median, error);
        share("new_post_count_within_2",
              "share of series whose number of new posts is within 2 of the truth",
              error.empty() ? 0 : error[0] <= 2, static_cast<double>(error.size()));
    }

    void dating() {
        // Lines and structures apart: they come from different stages.
        for (const bool line : {true, false}) {
            double right = 0, tight = 0, n = 0;
            for (const auto& [actual, reported] : matched_changes) {
                if ((actual->kind.rfind("perimeter_", 0) == 0) != line || !actual->first_seen)
                    continue;
                ++n;
                if (!reported->first_seen) continue;
                const Time true_from = actual->last_not_seen.value_or(*actual->first_seen),
                           true_to = *actual->first_seen;
                const Time from = reported->last_not_seen.value_or(
                               Time{std::numeric_limits<std::int64_t>::min()}),
                           to = *reported->first_seen;
                // A known instant must lie in the reported interval; of an interval known from the
                // same looks, all of it.
                const bool contains = from <= true_from && true_to <= to;
                right += contains;
                // Nothing wider than the looks allow: reported equals true.
                tight += contains && (true_from == true_to || (from == true_from && to == true_to));
            }
            const std::string name = line ? "line" : "structure";
            share(name + "_dating",
                  "share of matched confirmed changes whose true interval lies inside the reported "
                  "one",
                  right, n);
            share(name + "_dating_tight",
                  "share of them that are dated as closely as the series allows", tight, n);
        }
    }

    double watched_area_m2() const {
        if (truth.site && truth.site->area_lonlat.size() >= 3)
            return measure_ring(truth.site->area_lonlat).area_m2;
        return report.grid.gsd_m * report.grid.gsd_m * report.grid.width * report.grid.height;
    }

    void false_changes() {
        const double area_m2 = watched_area_m2();
        double wrong = 0, wrong_structures = 0;
        for (const auto& c : report.changes) {
            if (!confirmed(c) || true_positives.contains(&c)) continue;
            // What lies on a true change of the same kind is located badly, which other figures
            // show; it is not invented.
            const Placed here = placed(c.position, c.footprint, false);
            bool excused = beyond_truth(here);
            for (const auto& t : truth.changes) {
                if (t.kind != c.kind || !happened(t)) continue;
                const Placed there = placed(t.position, t.footprint, true);
                excused = excused ||
                          distance(here.centre, there.centre) <= 2 * options.post_match_m ||
                          polygon_gain(here, there, 1e-9) > 0;
            }
            if (excused) continue;
            ++wrong;
            wrong_structures += c.kind.find("building") != std::string::npos ||
                                c.kind.find("guard_post") != std::string::npos;
        }
        share(
            "false_changes_per_km2",
            "confirmed changes where nothing of the kind happened, per km² of the area and series",
            wrong, area_m2 * 1e-6, "1/km²");
        share("false_structures_per_km2", "the same, buildings and posts only", wrong_structures,
              area_m2 * 1e-6, "1/km²");
    }

    // --- pixels
    // -----------------------------------------------------------------------------------------------

    /// The truth's scenes that are scored, in time order.
    std::vector<const ReportScene*> scored_scenes() const {
        std::vector<const ReportScene*> out;
        for (const auto& scene : truth.scenes) {
            bool left_out = false;
            report_scene_of(scene, left_out);
            if (!left_out && scene.datetime) out.push_back(&scene);
        }
        std::stable_sort(out.begin(), out.end(), [](const ReportScene* a, const ReportScene* b) {
            return *a->datetime < *b->datetime;
        });
        return out;
    }
    /// The scene that first shows a true change after one that shows the state before it; -1: none.
    int first_shown(const ReportChange& c, const std::vector<const ReportScene*>& scenes) const {
        const ReportStructure* structure = nullptr;
        for (const auto& s : truth.structures)
            if (c.structure && s.id == *c.structure && !s.observations.empty()) structure = &s;
        const bool removed = c.kind.rfind("removed_", 0) == 0;
        bool before = false;
        for (std::size_t i = 0; i < scenes.size(); ++i) {
            if (structure == nullptr) {
                const bool after = c.first_seen && *scenes[i]->datetime >= *c.first_seen;
                if (after) return before ? static_cast<int>(i) : -1;
                before = true;
                continue;
            }
            for (const auto& o : structure->observations) {
                if (o.scene != scenes[i]->id) continue;
                if (o.seen == (removed ? "absent" : "present") && before)
                    return static_cast<int>(i);
                before = before || o.seen == (removed ? "present" : "absent");
            }
        }
        return -1;
    }
    int first_claimed(const ReportChange& c, const std::vector<const ReportScene*>& scenes) const {
        const auto last = static_cast<int>(scenes.size()) - 1;
        for (int i = 1; c.first_seen && i < last; ++i)
            if (scenes[static_cast<std::size_t>(i)]->datetime->seconds() >
                c.first_seen->seconds() - 1)
                return i;
        return last;
    }

    void pixels() {
        const auto scenes = scored_scenes();
        for (const bool line : {false, true}) {
            std::vector<ChangedGround> actual, claimed_ground, unknown;
            const auto ground = [&](const ReportChange& c, int interval, bool of_truth) {
                ChangedGround g{interval,
                                c.kind.rfind("new_", 0) == 0 || c.kind == "perimeter_expansion",
                                in_metres(c.footprint, of_truth)};
                if (c.kind.find("guard_post") != std::string::npos) {
                    const Point p = in_metres(c.position, of_truth);
                    g.ring.clear();
                    for (int k = 0; k < 32; ++k)
                        g.ring.push_back(p + kPostRadius_m * Point{std::cos(k * kTurn / 32),
                                                                   std::sin(k * kTurn / 32)});
                }
                return g;
            };
            const auto belongs = [&](const ReportChange& c) {
                const bool structure = c.kind == "new_building" || c.kind == "removed_building" ||
                                       c.kind == "new_guard_post" || c.kind == "removed_guard_post";
                return line ? c.kind.rfind("perimeter_", 0) == 0 : structure;
            };
            for (const auto& c : truth.changes) {
                if (!belongs(c) || !happened(c)) continue;
                const int shown_in = first_shown(c, scenes);
                if (shown_in > 0)
                    actual.push_back(ground(c, shown_in, true));
                else
                    for (std::size_t i = 1; i < scenes.size(); ++i)
                        unknown.push_back(ground(c, static_cast<int>(i), true));
            }
            for (const auto& c : report.changes)
                if (belongs(c) && claimed(c))
                    claimed_ground.push_back(ground(c, first_claimed(c, scenes), false));
            pixel_figures(line ? "line" : "structures",
                          line ? "ground that the line gained or lost"
                               : "buildings (outlines) and posts (discs of 4 m) that came or went",
                          count_pixels(actual, claimed_ground, unknown,
                                       static_cast<int>(scenes.size()), watched_area_m2()));
        }
    }
    static constexpr double kPostRadius_m = 2, kTurn = 6.283185307179586;

    void pixel_figures(const std::string& group, const std::string& what, const PixelCounts& n) {
        const std::string name = "pixels_" + group;
        share(name + "_precision",
              "pixels of 1 m and intervals between consecutive scenes, " + what +
                  ": share of those reported (confirmed or provisional, in the interval that ends "
                  "with first_seen) that are true, appeared and disappeared apart",
              n.true_positive, n.true_positive + n.false_positive);
        share(name + "_recall", "the same: share of the true ones that are reported",
              n.true_positive, n.true_positive + n.false_negative);
        share(name + "_f1", "the same: 2·right / (reported + true)", 2 * n.true_positive,
              2 * n.true_positive + n.false_positive + n.false_negative);
        share(name + "_iou", "the same: right / (reported or true)", n.true_positive,
              n.true_positive + n.false_positive + n.false_negative);
        samples(name + "_kappa",
                "the same: Cohen's kappa over all pixels of the area of interest and all intervals",
                "", Figure::Pooling::kappa,
                {n.true_positive, n.false_positive, n.false_negative, n.true_negative});
    }
};

LocalFrame frame_of(const Report& report, const Report& truth) {
    for (const Report* r : {&truth, &report}) {
        if (r->site && r->site->area_lonlat.size() >= 3)
            return LocalFrame(centroid(r->site->area_lonlat));
        for (const auto& p : r->perimeters)
            if (p.geometry.size() >= 3) return LocalFrame(centroid(p.geometry));
        for (const auto& s : r->structures) return LocalFrame(s.position);
        for (const auto& c : r->changes) return LocalFrame(c.position);
    }
    return LocalFrame({0, 0});
}

/// Deterministic and the same everywhere, unlike the standard distributions (Steele et al. 2014,
/// SplitMix64).
struct SplitMix {
    std::uint64_t state;
    std::uint64_t next() {
        std::uint64_t z = (state += 0x9E3779B97F4A7C15ULL);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
        return z ^ (z >> 31);
    }
    std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() % n); }
};

/// Scenes of one kind.
struct Stratum {
    std::string name;
    std::function<bool(const ReportScene&)> holds;
};
/// The strata of METHODS.md 9, always the same ones in the same order, but for the sensors' names.
std::vector<Stratum> strata(const Report& truth, std::span<const SceneConditions> conditions) {
    std::vector<Stratum> out;
    const auto between = [&](const std::string& name, auto value, double low, double high) {
        out.push_back({name, [=](const ReportScene& s) {
                           const std::optional<double> v = value(s);
                           return v && *v >= low && *v < high;
                       }});
    };
    const auto gsd = [](const ReportScene& s) { return std::optional<double>(s.gsd_m); };
    between("GSD up to 0.55 m", gsd, 0, 0.551);
    between("GSD 0.55-0.8 m", gsd, 0.551, 0.801);
    between("GSD over 0.8 m", gsd, 0.801, 1e9);
    const auto bands = [](const ReportScene& s) { return std::optional<double>(s.bands); };
    between("1 band", bands, 1, 2);
    between("3 bands", bands, 3, 4);
    between("4 bands", bands, 4, 5);
    const auto sun = [](const ReportScene& s) { return s.sun_elevation; };
    between("sun below 30 deg", sun, -90, 30);
    between("sun 30-45 deg", sun, 30, 45);
    between("sun above 45 deg", sun, 45, 91);
    const auto view = [](const ReportScene& s) { return s.off_nadir; };
    between("view up to 10 deg off nadir", view, 0, 10);
    between("view 10-20 deg off nadir", view, 10, 20);
    between("view over 20 deg off nadir", view, 20, 91);
    const auto month = [](const ReportScene& s) {
        return s.datetime ? std::optional<double>(civil_from_time(*s.datetime).month % 12)
                          : std::nullopt;
    };
    between("December-February", month, 0, 3);
    between("March-May", month, 3, 6);
    between("June-August", month, 6, 9);
    between("September-November", month, 9, 12);
    std::map<std::string, SceneConditions> known;
    for (const auto& c : conditions) known[c.scene] = c;
    const auto snow = [known](const ReportScene& s) {
        const auto at = known.find(s.id);
        return at == known.end() ? std::nullopt : std::optional<double>(at->second.snow);
    };
    between("snow on over a tenth", snow, 0.1, 2);
    between("no snow", snow, 0, 0.1);
    const auto cloud = [known](const ReportScene& s) {
        const auto at = known.find(s.id);
        return at == known.end() ? std::nullopt : std::optional<double>(at->second.cloud);
    };
    between("cloud over a twentieth", cloud, 0.05, 2);
    std::set<std::string> sensors;
    for (const auto& s : truth.scenes) sensors.insert(s.sensor);
    for (const std::string& sensor : sensors)
        if (!sensor.empty())
            out.push_back({"sensor " + sensor,
                           [sensor](const ReportScene& s) { return s.sensor == sensor; }});
    return out;
}

std::string shown(double value) {
    if (std::isnan(value)) return "–";
    return std::abs(value) >= 100  ? fmt::format("{:.0f}", value)
           : std::abs(value) >= 10 ? fmt::format("{:.1f}", value)
                                   : fmt::format("{:.3f}", value);
}

}  // namespace

double Figure::value() const { return pooled_value(pooling, numerator, denominator, samples); }
double Figure::cases() const {
    switch (pooling) {
        case Pooling::share:
            return denominator;
        case Pooling::kappa: {
            double changed = 0;
            for (std::size_t i = 0; i < samples.size(); ++i)
                if (i % 4 < 3) changed += samples[i];
            return changed;
        }
        default:
            return static_cast<double>(samples.size());
    }
}

const Figure* SeriesScore::find(const std::string& name, const std::string& stratum) const {
    for (const auto& figure : figures)
        if (figure.name == name && figure.stratum == stratum) return &figure;
    return nullptr;
}

std::vector<std::pair<int, int>> assign(int count_a, int count_b,
                                        std::span<const MatchCandidate> candidates) {
    // Connected groups by union of indices: a are 0…, b follow.
    std::vector<int> parent(static_cast<std::size_t>(count_a + count_b));
    std::iota(parent.begin(), parent.end(), 0);
    const auto root = [&](int i) {
        while (parent[static_cast<std::size_t>(i)] != i)
            i = parent[static_cast<std::size_t>(i)] =
                parent[static_cast<std::size_t>(parent[static_cast<std::size_t>(i)])];
        return i;
    };
    std::vector<MatchCandidate> usable;
    for (const auto& c : candidates)
        if (c.gain > 0 && c.a >= 0 && c.a < count_a && c.b >= 0 && c.b < count_b)
            usable.push_back(c);
    for (const auto& c : usable) parent[static_cast<std::size_t>(root(c.a))] = root(count_a + c.b);
    std::map<int, std::vector<MatchCandidate>> groups;
    for (const auto& c : usable) groups[root(c.a)].push_back(c);

    std::vector<std::pair<int, int>> matches;
    for (const auto& [key, group] : groups) {
        std::vector<int> a, b;
        for (const auto& c : group) a.push_back(c.a), b.push_back(c.b);
        for (auto* ids : {&a, &b}) {
            std::sort(ids->begin(), ids->end());
            ids->erase(std::unique(ids->begin(), ids->end()), ids->end());
        }
        const bool turned = a.size() > b.size();
        const auto &rows = turned ? b : a, &columns = turned ? a : b;
        // A match outweighs any gain: more matches first, nearer ones second.
        const double match_value = 2.0 * static_cast<double>(rows.size()) + 2;
        std::vector<std::vector<double>> cost(rows.size(), std::vector<double>(columns.size(), 0));
        const auto index = [](const std::vector<int>& ids, int id) {
            return static_cast<std::size_t>(std::lower_bound(ids.begin(), ids.end(), id) -
                                            ids.begin());
        };
        for (const auto& c : group) {
            double& cell =
                cost[index(rows, turned ? c.b : c.a)][index(columns, turned ? c.a : c.b)];
            cell = std::min(cell, -(match_value + c.gain));
        }
        const auto chosen = least_cost_columns(cost);
        for (std::size_t r = 0; r < rows.size(); ++r) {
            if (cost[r][chosen[r]] >= 0) continue;
            const int column = columns[chosen[r]];
            matches.emplace_back(turned ? column : rows[r], turned ? rows[r] : column);
        }
    }
    std::sort(matches.begin(), matches.end());
    return matches;
}

Point SceneDisplacement::operator()(Point map) const {
    const Point p = map - centre_map;
    const Point shift{dx_m + linear[0] * p.x + linear[1] * p.y,
                      dy_m + linear[2] * p.x + linear[3] * p.y};
    return lattice.columns > 0 ? shift + lattice({map.x - origin_map.x, origin_map.y - map.y})
                               : shift;
}

Report displaced(const Report& truth, const SceneDisplacement& d) {
    const Transform map_from_lonlat("EPSG:4326", truth.grid.crs);
    const auto move = [&](Point& lonlat) {
        const Point map = map_from_lonlat(lonlat);
        lonlat = map_from_lonlat.inverse(map + d(map));
    };
    Report moved = truth;
    for (auto& p : moved.perimeters)
        for (Point& q : p.geometry) move(q);
    for (auto& s : moved.structures) {
        move(s.position);
        for (Point& q : s.footprint) move(q);
    }
    for (auto& c : moved.changes) {
        move(c.position);
        for (Point& q : c.footprint) move(q);
    }
    return moved;
}

namespace {

/// Nothing is in the frame of a reference that nothing was registered to: a report made from the
/// truth, or by hand, gives the places on the ground.
bool in_its_frame(const ReportScene& scene) {
    return scene.role == "reference" && scene.registration.has_value();
}

}  // namespace

SeriesScore evaluate(const Report& report, const Report& given_truth,
                     const EvaluateOptions& options, const std::string& family,
                     std::span<const SceneDisplacement> displacements,
                     std::span<const SceneConditions> conditions) {
    const SceneDisplacement* of_reference = nullptr;
    for (const auto& scene : report.scenes)
        if (in_its_frame(scene))
            for (const auto& d : displacements)
                if (d.scene == scene.id) of_reference = &d;
    const Report truth =
        of_reference != nullptr ? displaced(given_truth, *of_reference) : given_truth;
    CandidateCache cache;
    Scorer scorer{report,
                  truth,
                  options,
                  frame_of(report, truth),
                  {},
                  displacements,
                  cache,
                  "",
                  [](const ReportScene&) { return true; },
                  {},
                  {},
                  {}};
    scorer.score.series = truth.site ? truth.site->id : report.site ? report.site->id : "";
    scorer.score.family = family;
    scorer.score.simulated = truth.simulated || report.simulated;
    for (const auto& scene : report.scenes)
        if (in_its_frame(scene) && of_reference == nullptr)
            for (const auto& t : truth.scenes)
                if (t.id == scene.id && t.registration &&
                    (t.registration->dx_m != 0 || t.registration->dy_m != 0)) {
                    scorer.shift_m = {t.registration->dx_m, t.registration->dy_m};
                    scorer.score.notes.push_back(
                        fmt::format("truth moved by {:.2f} m east, {:.2f} m north: the true shift "
                                    "of the reference scene {}",
                                    scorer.shift_m.x, scorer.shift_m.y, scene.id));
                }
    if (of_reference != nullptr)
        scorer.score.notes.push_back(
            fmt::format("truth displaced as the reference scene {} truly is: {:.2f} m east, {:.2f} "
                        "m north at its centre",
                        of_reference->scene, of_reference->dx_m, of_reference->dy_m));
    for (const auto& t : truth.scenes) {
        bool left_out = false;
        if (scorer.report_scene_of(t, left_out).empty())
            scorer.score.notes.push_back(
                fmt::format("{} {}", t.id,
                            left_out ? "was left out by the report and is not scored"
                                     : "is not in the report"));
    }
    scorer.registration();
    scorer.perimeters();
    scorer.structures("guard_post", "posts", "posts, per scene", true);
    scorer.structures("building", "buildings", "buildings, per scene", false);
    scorer.changes();
    for (const Stratum& stratum : strata(truth, conditions)) {
        Scorer part{report,
                    truth,
                    options,
                    scorer.frame,
                    scorer.shift_m,
                    displacements,
                    cache,
                    stratum.name,
                    stratum.holds,
                    {},
                    {},
                    {}};
        part.registration();
        part.perimeters();
        part.structures("guard_post", "posts", "posts, per scene", true);
        part.structures("building", "buildings", "buildings, per scene", false);
        for (Figure& figure : part.score.figures) scorer.score.figures.push_back(std::move(figure));
    }
    return std::move(scorer.score);
}

std::vector<FamilyScore> aggregate(std::span<const SeriesScore> scores,
                                   const EvaluateOptions& options) {
    std::map<std::string, std::vector<const SeriesScore*>> by_family;
    for (const auto& score : scores) by_family[score.family].push_back(&score);
    std::vector<FamilyScore> out;
    for (const auto& [family, members] : by_family) {
        FamilyScore result;
        result.family = family;
        result.series = static_cast<int>(members.size());
        // In the order of the first member that has them; sensors differ between series.
        std::vector<const Figure*> patterns;
        for (const auto* member : members)
            for (const Figure& figure : member->figures)
                if (std::none_of(patterns.begin(), patterns.end(), [&](const Figure* p) {
                        return p->name == figure.name && p->stratum == figure.stratum;
                    }))
                    patterns.push_back(&figure);
        for (const Figure* each_pattern : patterns) {
            const Figure& pattern = *each_pattern;
            std::vector<const Figure*> figures;
            for (const auto* member : members)
                if (const Figure* figure = member->find(pattern.name, pattern.stratum))
                    figures.push_back(figure);
            const auto pool = [&](const std::vector<std::size_t>& chosen) {
                double numerator = 0, denominator = 0;
                std::vector<double> samples;
                for (const std::size_t i : chosen) {
                    numerator += figures[i]->numerator;
                    denominator += figures[i]->denominator;
                    samples.insert(samples.end(), figures[i]->samples.begin(),
                                   figures[i]->samples.end());
                }
                return pooled_value(pattern.pooling, numerator, denominator, samples);
            };
            FamilyFigure figure{pattern.name,
                                pattern.definition,
                                pattern.unit,
                                pattern.stratum,
                                kNaN,
                                kNaN,
                                kNaN,
                                0,
                                0};
            std::vector<std::size_t> all(figures.size());
            std::iota(all.begin(), all.end(), std::size_t{0});
            for (const auto* each : figures) {
                figure.cases += each->cases();
                figure.series += each->cases() > 0;
            }
            figure.value = pool(all);
            if (figure.series >= 2 && options.bootstrap_rounds > 0) {
                SplitMix random{0x66656e63656c696eULL};
                std::vector<double> drawn;
                std::vector<std::size_t> chosen(figures.size());
                for (int round = 0; round < options.bootstrap_rounds; ++round) {
                    for (auto& i : chosen) i = random.below(figures.size());
                    if (const double v = pool(chosen); !std::isnan(v)) drawn.push_back(v);
                }
                figure.low = percentile(drawn, 0.025);
                figure.high = percentile(drawn, 0.975);
            }
            result.figures.push_back(std::move(figure));
        }
        out.push_back(std::move(result));
    }
    return out;
}

namespace {

using Json = nlohmann::ordered_json;

Json number_or_null(double v) {
    return std::isfinite(v) ? Json(std::round(v * 1e6) / 1e6) : Json(nullptr);
}

/// One line per kind of scenes: the figures that are measured per scene.
std::string strata_table(const FamilyScore& family) {
    constexpr std::array<std::pair<const char*, const char*>, 8> kColumns{
        {{"registration_rmse", "reg. m"},
         {"area_error", "area %"},
         {"line_completeness_2m", "line 2 m"},
         {"posts_precision", "posts P"},
         {"posts_recall", "R"},
         {"posts_f1", "F1"},
         {"buildings_precision", "build. P"},
         {"buildings_recall", "R"}}};
    std::vector<std::string> names;
    std::map<std::pair<std::string, std::string>, const FamilyFigure*> cells;
    for (const auto& f : family.figures) {
        if (f.stratum.empty() || f.cases <= 0) continue;
        if (std::find(names.begin(), names.end(), f.stratum) == names.end())
            names.push_back(f.stratum);
        cells[{f.stratum, f.name}] = &f;
    }
    if (names.empty()) return {};
    std::string out = fmt::format("  {:<30}", "scenes with");
    for (const auto& [name, heading] : kColumns) out += fmt::format(" {:>9}", heading);
    out += "\n";
    for (const auto& stratum : names) {
        out += fmt::format("  {:<30}", stratum);
        for (const auto& [name, heading] : kColumns) {
            const auto at = cells.find({stratum, name});
            out += fmt::format(" {:>9}", at == cells.end() ? "–" : shown(at->second->value));
        }
        out += "\n";
    }
    return out;
}

/// Figures over all scenes, then those of each stratum in which there is anything to measure.
template <class Figures, class Row>
void add_figures(Json& out, const Figures& figures, const Row& row) {
    out["figures"] = Json::array();
    std::vector<std::string> names;
    std::map<std::string, Json> strata;
    for (const auto& f : figures) {
        if (f.stratum.empty()) {
            out["figures"].push_back(row(f));
            continue;
        }
        Json shown = row(f);
        if (shown["cases"].is_null() || shown["cases"] == 0) continue;
        if (!strata.contains(f.stratum)) {
            names.push_back(f.stratum);
            strata[f.stratum] = Json::array();
        }
        strata[f.stratum].push_back(std::move(shown));
    }
    out["strata"] = Json::array();
    for (const auto& name : names)
        out["strata"].push_back({{"stratum", name}, {"figures", strata[name]}});
}

}  // namespace

std::string score_json(std::span<const SeriesScore> scores, std::span<const FamilyScore> families) {
    Json out{
        {"schema", "fenceline-score/1"}, {"families", Json::array()}, {"series", Json::array()}};
    for (const auto& family : families) {
        Json entry{{"family", family.family}, {"series", family.series}};
        add_figures(entry, family.figures, [](const FamilyFigure& f) {
            return Json{{"name", f.name},
                        {"value", number_or_null(f.value)},
                        {"interval", Json::array({number_or_null(f.low), number_or_null(f.high)})},
                        {"unit", f.unit},
                        {"cases", number_or_null(f.cases)},
                        {"series", f.series},
                        {"definition", f.definition}};
        });
        out["families"].push_back(std::move(entry));
    }
    for (const auto& score : scores) {
        Json entry{{"series", score.series},
                   {"family", score.family},
                   {"simulated", score.simulated},
                   {"notes", score.notes}};
        add_figures(entry, score.figures, [](const Figure& f) {
            return Json{{"name", f.name},
                        {"value", number_or_null(f.value())},
                        {"unit", f.unit},
                        {"cases", number_or_null(f.cases())},
                        {"definition", f.definition}};
        });
        out["series"].push_back(std::move(entry));
    }
    return out.dump();
}

std::string score_table(std::span<const FamilyScore> families) {
    std::string out;
    for (const auto& family : families) {
        out += fmt::format("{}{} series\n", family.family.empty() ? "" : family.family + ": ",
                           family.series);
        out += fmt::format("  {:<30} {:>8} {:>17} {:>9}  {}\n", "figure", "value", "95 % by series",
                           "cases", "definition");
        for (const auto& f : family.figures) {
            if (f.cases <= 0 || !f.stratum.empty()) continue;
            const std::string interval =
                std::isnan(f.low) ? "" : fmt::format("{} … {}", shown(f.low), shown(f.high));
            // Width counts bytes' characters: fmt measures UTF-8 text by code point.
            out += fmt::format("  {:<30} {:>8} {:>17} {:>9}  {}{}\n", f.name, shown(f.value),
                               interval, shown(f.cases), f.definition,
                               f.unit.empty() ? "" : " [" + f.unit + "]");
        }
        out += strata_table(family);
        out += "\n";
    }
    return out;
}

}  // namespace fenceline
