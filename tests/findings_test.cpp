#include "stages/findings.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <regex>

#include "core/local_frame.h"
#include "core/standing_count.h"

namespace fenceline {
namespace {

const Point kPlace{129.7253, 41.8344};

Ring rectangle_lonlat(double x, double y, double w, double h) {
    const LocalFrame frame(kPlace);
    Ring ring;
    for (const Point p : {Point{x, y}, Point{x + w, y}, Point{x + w, y + h}, Point{x, y + h}})
        ring.push_back(frame.lonlat_from_metres(p));
    return ring;
}

/// Scenes on 1 June of these years, a traced line in each.
struct Case {
    Report report;
    PerimeterResult perimeter;
};
Case series(const std::vector<int>& years, const std::vector<double>& areas,
            const std::vector<double>& lengths) {
    Case c;
    for (std::size_t i = 0; i < years.size(); ++i) {
        ReportScene scene;
        scene.id = "s" + std::to_string(years[i]);
        scene.datetime = time_from_civil(years[i], 6, 1);
        scene.role = i == 0 ? "reference" : "used";
        scene.usable_fraction = 1;
        scene.registration = RegistrationSummary{"affine", 0, 0, 50, 0.2, 0.4, "pass"};
        c.report.scenes.push_back(scene);
        if (areas[i] <= 0) continue;
        TracedPerimeter traced;
        traced.scene = static_cast<int>(i);
        traced.area_m2 = areas[i];
        traced.length_m = lengths[i];
        traced.area_ci = {areas[i] * 0.985, areas[i] * 1.015};
        traced.length_ci = {lengths[i] * 0.98, lengths[i] * 1.02};
        traced.supported_fraction = 0.9;
        c.perimeter.perimeters.push_back(traced);
        c.report.perimeters.push_back({scene.id,
                                       *scene.datetime,
                                       traced.area_m2,
                                       traced.length_m,
                                       traced.area_ci,
                                       traced.length_ci,
                                       0.9,
                                       "traced",
                                       rectangle_lonlat(0, 0, 800, areas[i] / 800),
                                       {}});
    }
    return c;
}

void add_growth(Case& c, int before, int after, const std::string& state = "confirmed") {
    PerimeterChange detour;
    detour.last_before = before;
    detour.first_after = after;
    const auto& a = c.perimeter.perimeters[static_cast<std::size_t>(before)];
    const auto& b = c.perimeter.perimeters[static_cast<std::size_t>(after)];
    detour.expansion = b.area_m2 > a.area_m2;
    detour.area_m2 = std::abs(b.area_m2 - a.area_m2);
    detour.supported_fraction = 0.9;
    detour.old_line_stands = true;
    c.perimeter.changes.push_back(detour);
    const double area = b.area_m2 / a.area_m2, length = b.length_m / a.length_m;
    c.perimeter.growth.push_back({before,
                                  after,
                                  area,
                                  length,
                                  {area - 0.025, area + 0.025},
                                  {length - 0.03, length + 0.03}});
    ReportChange change;
    change.id = "change-000" + std::to_string(c.report.changes.size() + 1);
    change.kind = detour.expansion ? "perimeter_expansion" : "perimeter_contraction";
    change.state = state;
    change.confidence = state == "candidate" ? 0.6 : 0.99;
    change.area_m2 = detour.area_m2;
    change.area_ci = Interval{detour.area_m2 * 0.95, detour.area_m2 * 1.05};
    change.last_not_seen = c.report.scenes[static_cast<std::size_t>(before)].datetime;
    change.first_seen = c.report.scenes[static_cast<std::size_t>(after)].datetime;
    change.footprint = rectangle_lonlat(0, a.area_m2 / 800, 800, detour.area_m2 / 800);
    for (std::size_t i = static_cast<std::size_t>(after); i < c.report.scenes.size(); ++i)
        change.observations.push_back({c.report.scenes[i].id, 4});
    c.report.changes.push_back(change);
}

void add_post_change(Case& c, const std::string& kind, Point metres, int before, int after,
                     double confidence = 0.97) {
    ReportChange change;
    change.id = "post-change-" + std::to_string(c.report.changes.size());
    change.kind = kind;
    change.state = confidence > 0.9 ? "confirmed" : "provisional";
    change.confidence = confidence;
    change.position = LocalFrame(kPlace).lonlat_from_metres(metres);
    change.area_m2 = 9;
    change.last_not_seen = c.report.scenes[static_cast<std::size_t>(before)].datetime;
    change.first_seen = c.report.scenes[static_cast<std::size_t>(after)].datetime;
    for (std::size_t i = static_cast<std::size_t>(after); i < c.report.scenes.size(); ++i)
        change.observations.push_back({c.report.scenes[i].id, 3});
    c.report.changes.push_back(change);
}

std::vector<ReportFinding> of_kind(const std::vector<ReportFinding>& findings,
                                   const std::string& kind) {
    std::vector<ReportFinding> out;
    std::copy_if(findings.begin(), findings.end(), std::back_inserter(out),
                 [&](const auto& f) { return f.kind == kind; });
    return out;
}

Case camp25() {
    Case c =
        series({2003, 2009, 2010, 2013}, {0.58e6, 0.58e6, 1.0e6, 1.0e6}, {3800, 3800, 5200, 5200});
    add_growth(c, 1, 2);
    return c;
}

TEST(Findings, GrowthIsSaidAsAnalystsSayIt) {
    const Case c = camp25();
    const auto findings = write_findings(c.report, c.perimeter);
    const auto area = of_kind(findings, "perimeter_area_growth"),
               length = of_kind(findings, "perimeter_length_growth");
    ASSERT_EQ(area.size(), 1U);
    ASSERT_EQ(length.size(), 1U);
    EXPECT_EQ(area[0].statement,
              "Perimeter area grew by 72 % (95 % interval 70–75 %), from 0.58 to 1.00 km², between "
              "2009-06-01 and 2010-06-01. "
              "The former line still stands.");
    EXPECT_EQ(length[0].statement,
              "The length of the perimeter line grew by 37 % (95 % interval 34–40 %), from 3.8 to "
              "5.2 km, between 2009-06-01 and "
              "2010-06-01.");
    EXPECT_NEAR(area[0].values.at("area_growth"), 0.724, 0.001);
    EXPECT_EQ(area[0].values.at("area_before_m2"), 0.58e6);
    EXPECT_EQ(area[0].values.count("length_growth"), 0U) << "area and length are never mixed";
    EXPECT_EQ(area[0].likelihood, "almost certain");
    EXPECT_EQ(area[0].confidence, "high");
    EXPECT_FALSE(area[0].confidence_reasons.empty());
    EXPECT_TRUE(std::count(area[0].evidence.begin(), area[0].evidence.end(), "change-0001"));
    EXPECT_EQ(of_kind(findings, "no_change").size(), 2U) << "before and after the growth";
}

TEST(Findings, SceneIndicesSkipWhatWasLeftOut) {
    Case c = camp25();
    ReportScene cloudy = c.report.scenes[0];
    cloudy.id = "cloudy";
    cloudy.role = "left_out";
    c.report.scenes.insert(c.report.scenes.begin() + 1, cloudy);
    const auto area = of_kind(write_findings(c.report, c.perimeter), "perimeter_area_growth");
    ASSERT_EQ(area.size(), 1U);
    EXPECT_EQ(std::count(area[0].evidence.begin(), area[0].evidence.end(), "s2009"), 1);
    EXPECT_EQ(std::count(area[0].evidence.begin(), area[0].evidence.end(), "cloudy"), 0);
}

TEST(Findings, ShrinkingAndCandidatesHaveTheirOwnWords) {
    Case c = series({2009, 2010, 2011}, {1.0e6, 0.8e6, 0.8e6}, {4000, 3500, 3500});
    add_growth(c, 0, 1);
    auto area = of_kind(write_findings(c.report, c.perimeter), "perimeter_area_growth");
    ASSERT_EQ(area.size(), 1U);
    EXPECT_EQ(area[0].statement.rfind("Perimeter area shrank by 20 % (95 % interval 17", 0), 0U)
        << area[0].statement;
    EXPECT_NEAR(area[0].values.at("area_growth"), -0.2, 1e-9);

    c = camp25();
    c.report.changes[0].state = "candidate";
    c.report.changes[0].confidence = 0.6;
    area = of_kind(write_findings(c.report, c.perimeter), "perimeter_area_growth");
    ASSERT_EQ(area.size(), 1U);
    EXPECT_EQ(area[0].statement.rfind("Perimeter area may have grown by", 0), 0U);
    EXPECT_EQ(area[0].likelihood, "likely");
    EXPECT_EQ(area[0].confidence, "low");

    c.report.changes[0].state = "rejected";
    EXPECT_TRUE(of_kind(write_findings(c.report, c.perimeter), "perimeter_area_growth").empty());
    EXPECT_EQ(of_kind(write_findings(c.report, c.perimeter), "no_change").size(), 1U);
}

TEST(Findings, CandidatesAreListedInOneSentenceAndNotCounted) {
    Case c = camp25();
    for (int i = 0; i < 61; ++i) {
        ReportChange change;
        change.id = fmt::format("g{}", i);
        change.kind = "ground_disturbance";
        change.state = i < 60 ? "candidate" : "provisional";
        change.confidence = 0.6;
        c.report.changes.push_back(change);
    }
    const auto findings = write_findings(c.report, c.perimeter);
    const auto listed = of_kind(findings, "candidates");
    ASSERT_EQ(listed.size(), 1U);
    EXPECT_EQ(listed[0].confidence, "low");
    EXPECT_EQ(listed[0].values.at("ground_disturbance"), 60);
    EXPECT_NE(listed[0].statement.find("60 places with disturbed ground"), std::string::npos)
        << listed[0].statement;
    for (const auto& f : of_kind(findings, "other_changes"))
        EXPECT_LE(f.values.at("count_high"), 1) << f.statement;
}

TEST(Findings, NeverABeforeThatNobodySaw) {
    Case c = camp25();
    c.report.changes[0].last_not_seen.reset();
    const auto area = of_kind(write_findings(c.report, c.perimeter), "perimeter_area_growth");
    ASSERT_EQ(area.size(), 1U);
    EXPECT_EQ(area[0].statement.find("between"), std::string::npos) << area[0].statement;
    EXPECT_NE(area[0].statement.find("by 2010-06-01"), std::string::npos) << area[0].statement;
}

TEST(Findings, APerimeterBuiltDuringTheSeriesIsDated) {
    Case c = series({2014, 2015, 2016, 2017}, {0, 0, 0.3e6, 0.3e6}, {0, 0, 2200, 2200});
    auto first = of_kind(write_findings(c.report, c.perimeter), "perimeter_first_seen");
    ASSERT_EQ(first.size(), 1U);
    EXPECT_EQ(first[0].statement,
              "The perimeter was first seen on 2016-06-01; it was not visible on 2015-06-01.");
    // A scene under cloud is no witness.
    c.report.scenes[1].usable_fraction = 0.4;
    first = of_kind(write_findings(c.report, c.perimeter), "perimeter_first_seen");
    EXPECT_NE(first[0].statement.find("not visible on 2014-06-01"), std::string::npos);
    c.report.scenes[0].usable_fraction = 0.4;
    first = of_kind(write_findings(c.report, c.perimeter), "perimeter_first_seen");
    EXPECT_EQ(first[0].statement.find("not visible"), std::string::npos);
    EXPECT_EQ(first[0].confidence, "low");
    EXPECT_TRUE(of_kind(write_findings(camp25().report, camp25().perimeter), "perimeter_first_seen")
                    .empty());
}

TEST(Findings, NoChangeSaysWhatWouldHaveBeenSeen) {
    const Case c = series({2009, 2010, 2011}, {0.5e6, 0.5e6, 0.5e6}, {3000, 3000, 3000});
    const auto none = of_kind(write_findings(c.report, c.perimeter), "no_change");
    ASSERT_EQ(none.size(), 1U);
    EXPECT_EQ(none[0].values.at("looks"), 3);
    // ± 1.5 % at each date: 1.96 · √2 · 0.015/1.96 of 0.5 km².
    EXPECT_NEAR(none[0].values.at("smallest_change_m2"), 0.5e6 * 0.0212, 50);
    EXPECT_NE(none[0].statement.find("between 2009-06-01 and 2011-06-01 (3 looks)"),
              std::string::npos);
    EXPECT_NEAR(of_kind(write_findings(c.report, c.perimeter, 0.05), "no_change")[0].values.at(
                    "smallest_change_m2"),
                25000, 1);
}

TEST(Findings, PostsAreCountedWithTheirIntervalWhereTheyStand) {
    Case c = camp25();
    // The line is 800 m wide, its southern part 725 m high; the growth lies north of it.
    for (int i = 0; i < 17; ++i)
        add_post_change(c, "new_guard_post", {40.0 + 43.0 * i, 1250}, 1, 2, 0.93);
    for (int i = 0; i < 2; ++i) add_post_change(c, "new_guard_post", {40.0 + 40.0 * i, 0}, 1, 2);
    const auto posts = of_kind(write_findings(c.report, c.perimeter), "new_guard_posts");
    ASSERT_EQ(posts.size(), 2U);
    EXPECT_EQ(posts[0].statement,
              "16 (90 % interval 14–17) new guard posts stand on the new line, built between "
              "2009-06-01 and 2010-06-01.");
    EXPECT_EQ(posts[0].values.at("count_low"), 14);
    EXPECT_EQ(posts[0].evidence.size(), 17U);
    EXPECT_NE(posts[1].statement.find("along the perimeter"), std::string::npos);
    EXPECT_EQ(posts[1].values.at("count"), 2);
}

TEST(Findings, IntervalsOfDifferentObjectsAreListed) {
    Case c = camp25();
    for (int i = 0; i < 3; ++i)
        add_post_change(c, "new_building", {40.0 + 43.0 * i, 300}, i == 2 ? 2 : 1, i == 2 ? 3 : 2,
                        0.999);
    const auto buildings = of_kind(write_findings(c.report, c.perimeter), "new_buildings");
    ASSERT_EQ(buildings.size(), 1U);
    EXPECT_EQ(buildings[0].statement,
              "3 new buildings appeared: 2 between 2009-06-01 and 2010-06-01, 1 between 2010-06-01 "
              "and 2013-06-01; together about 27 m².");
}

TEST(Findings, IntervalsThatDoNotAddUpToTheStatedNumberSayWhatTheyCount) {
    Case c = camp25();
    for (int i = 0; i < 17; ++i)
        add_post_change(c, "new_guard_post", {40.0 + 43.0 * i, 1250}, i == 0 ? 2 : 1,
                        i == 0 ? 3 : 2, 0.93);
    const auto posts = of_kind(write_findings(c.report, c.perimeter), "new_guard_posts");
    ASSERT_EQ(posts.size(), 1U);
    EXPECT_EQ(posts[0].statement,
              "16 (90 % interval 14–17) new guard posts stand on the new line, built: of the 17 "
              "found, 16 between 2009-06-01 and 2010-06-01, 1 between 2010-06-01 and 2013-06-01.");
}

TEST(Findings, StandingPostsAreCountedAtTheLastLookThatCouldSeeThem) {
    Case c = camp25();
    for (int i = 0; i < 10; ++i) {
        ReportStructure post;
        post.id = "structure-" + std::to_string(i);
        post.kind = "guard_post";
        post.confidence = 0.999;
        post.first_seen = c.report.scenes[i < 6 ? 0 : 2].datetime;
        if (i == 0) post.first_not_seen = c.report.scenes[1].datetime;
        for (const auto& s : c.report.scenes)
            post.observations.push_back({s.id, s.id == "s2013" ? "not_observable" : "present", 2});
        c.report.structures.push_back(post);
    }
    const auto posts = of_kind(write_findings(c.report, c.perimeter), "guard_posts");
    ASSERT_EQ(posts.size(), 1U);
    EXPECT_EQ(posts[0].statement,
              "On 2010-06-01 9 guard posts stood along the perimeter; with those that such images "
              "hide 9–11 (90 % interval).");
}

TEST(Findings, PostsThatCannotBeSeenAreNotCountedAsNone) {
    Case c = camp25();
    c.report.not_observable.push_back(
        {{},
         {"s2003", "s2009"},
         "guard posts are not observable: a post of 3.5 m has fewer than 3 pixels across"});
    const auto findings = write_findings(c.report, c.perimeter);
    EXPECT_EQ(of_kind(findings, "not_observable").size(), 1U);
    EXPECT_TRUE(of_kind(findings, "guard_posts").empty());
}

TEST(Findings, WhereNoPerimeterCouldBeGivenTheReasonIsSaid) {
    Case c = series({2010, 2011, 2012}, {1000, 0, 1000}, {130, 0, 130});
    c.perimeter.notes = {"The line could not be seen in 2011-06-01 (s2011)."};
    const auto findings = write_findings(c.report, c.perimeter, 0.02);
    const auto it = std::find_if(findings.begin(), findings.end(),
                                 [](const auto& f) { return f.kind == "not_observable"; });
    ASSERT_NE(it, findings.end());
    EXPECT_EQ(it->statement, c.perimeter.notes[0]);
    EXPECT_EQ(it->evidence, std::vector<std::string>{"s2011"});
}

TEST(Findings, NothingThatRestsOnAFoundLineHasHighConfidence) {
    Case c = series({2010, 2011, 2012}, {1000, 1000, 1000}, {130, 130, 130});
    for (const bool unrivalled : {true, false}) {
        c.perimeter.found = FoundLine{unrivalled, "no line was known"};
        for (const auto& f : write_findings(c.report, c.perimeter, 0.02)) {
            EXPECT_EQ(f.confidence, unrivalled ? "moderate" : "low") << f.statement;
            EXPECT_NE(f.likelihood, "almost certain") << f.statement;
        }
    }
}

TEST(Findings, SimulatedSeriesSaySoInEveryStatement) {
    Case c = camp25();
    c.report.simulated = true;
    for (const auto& finding : write_findings(c.report, c.perimeter))
        EXPECT_EQ(finding.statement.rfind("Simulated series: ", 0), 0U);
}

TEST(Findings, DoubtfulRegistrationLowersTheConfidence) {
    Case c = camp25();
    c.report.scenes[2].registration->status = "warn";
    const auto area = of_kind(write_findings(c.report, c.perimeter), "perimeter_area_growth");
    EXPECT_EQ(area[0].confidence, "moderate");
}

TEST(Findings, ALineThatLiesTheSameInEveryLookClearsTheDoubtOfItsRegistration) {
    for (const double off_m : {0.3, 3.0}) {
        Case c = camp25();
        for (auto& scene : c.report.scenes)
            if (scene.registration) scene.registration->status = "warn";
        for (auto& line : c.perimeter.perimeters) line.off_line_m = off_m;
        const auto found = write_findings(c.report, c.perimeter);
        const auto area = of_kind(found, "perimeter_area_growth");
        EXPECT_EQ(area[0].confidence, off_m < 1 ? "high" : "moderate");
        // What stands elsewhere is not spoken for.
        for (const auto& building : of_kind(found, "new_buildings"))
            EXPECT_NE(building.confidence, "high");
    }
}

/// The reason that names the interval of a figure; empty: none does.
std::string about_interval(const ReportFinding& finding) {
    for (const std::string& reason : finding.confidence_reasons)
        if (reason.find("interval of the") != std::string::npos) return reason;
    return "";
}

TEST(Findings, WideIntervalsLowerTheConfidenceAndSayWhy) {
    struct Expected {
        double half_width;
        const char* confidence;
        const char* reason;
    };
    for (const auto& [half_width, confidence, reason] :
         {Expected{0.02, "high", ""},
          Expected{0.15, "moderate", "the interval of the area is wide: ±15 % of the value"},
          Expected{0.22, "low", "the interval of the area is wide: ±22 % of the value"}}) {
        Case c = series({2005, 2007, 2009}, {6e5, 6e5, 6e5}, {3200, 3200, 3200});
        auto& ci = c.report.perimeters.back().area_ci;
        ci = {6e5 * (1 - half_width), 6e5 * (1 + half_width)};
        const auto area = of_kind(write_findings(c.report, c.perimeter), "perimeter_area").at(0);
        EXPECT_EQ(area.confidence, confidence) << half_width;
        EXPECT_EQ(about_interval(area), reason);
        // What the area's interval says is not said of the length.
        const auto length =
            of_kind(write_findings(c.report, c.perimeter), "perimeter_length").at(0);
        EXPECT_EQ(length.confidence, "high");
    }
    for (const auto& [half_width, confidence, reason] :
         {Expected{0.05, "high", ""},
          Expected{0.20, "moderate", "the interval of the growth is wide: ±40 % of the value"},
          Expected{0.30, "low", "the interval of the growth is wide: ±60 % of the value"}}) {
        Case c = series({2005, 2007, 2009}, {6e5, 9e5, 9e5}, {3200, 3800, 3800});
        add_growth(c, 0, 1);
        c.perimeter.growth[0].area_ratio_ci = {1.5 - half_width, 1.5 + half_width};
        const auto growth =
            of_kind(write_findings(c.report, c.perimeter), "perimeter_area_growth").at(0);
        EXPECT_EQ(growth.confidence, confidence) << half_width;
        EXPECT_EQ(about_interval(growth), reason);
        EXPECT_EQ(growth.likelihood, "almost certain");  // that it grew is not in doubt
    }
}

TEST(Findings, AGivenLineIsComparedWithTheTracedOne) {
    Case c = series({2005, 2007, 2009}, {6e5, 6e5, 6e5}, {3100, 3100, 3100});
    ReportPerimeter given = c.report.perimeters[1];
    given.origin = "given";
    given.area_m2 = 6.4e5;  // drawn 50 m farther up: the traced one is 6.25 % smaller
    given.area_ci = {6.3e5, 6.5e5};
    given.geometry = rectangle_lonlat(0, 0, 800, 800);
    c.report.perimeters.push_back(given);
    const auto found = of_kind(write_findings(c.report, c.perimeter), "given_perimeter");
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(
        found[0].statement,
        "The line given for 2007-06-01 encloses 0.64 km² (95 % interval 0.63–0.65 km²) and is "
        "3.10 km (95 % interval 3.04–3.16 km) long. The line traced in the same image encloses "
        "6.2 % less; half of the given line lies within 0.0 m of it, and the rest within "
        "50 m.");
    EXPECT_NEAR(found[0].values.at("largest_distance_m"), 50, 0.5);
    EXPECT_EQ(found[0].evidence, std::vector<std::string>{"s2007"});
    // It is no measurement of ours: what the last line encloses is still the traced one's.
    c.report.perimeters.back().datetime = time_from_civil(2012, 1, 1);
    const auto area = of_kind(write_findings(c.report, c.perimeter), "perimeter_area").at(0);
    EXPECT_EQ(area.values.at("area_m2"), 6e5);
}

TEST(Findings, NothingThatRestsOnCandidatesAloneIsMoreThanLikely) {
    Case c = series({2005, 2007, 2009}, {6e5, 9e5, 9e5}, {3200, 3800, 3800});
    add_growth(c, 0, 1, "candidate");
    c.report.changes[0].confidence = 0.98;  // a high score, but one look
    for (int i = 0; i < 60; ++i) {
        add_post_change(c, "new_building", {20.0 * i, 40}, 0, 1, 0.85);
        c.report.changes.back().state = "candidate";
    }
    const auto findings = write_findings(c.report, c.perimeter);
    for (const char* kind : {"perimeter_area_growth", "perimeter_length_growth", "candidates"}) {
        const auto found = of_kind(findings, kind);
        ASSERT_EQ(found.size(), 1U) << kind;
        EXPECT_EQ(found[0].likelihood, "likely") << kind;
        EXPECT_EQ(found[0].confidence, "low") << kind;
    }
    // Sixty weak candidates are not one sure sentence.
    for (auto& change : c.report.changes) change.confidence = 0.3;
    EXPECT_EQ(of_kind(write_findings(c.report, c.perimeter), "candidates")[0].likelihood,
              "unlikely");
}

TEST(Findings, WhatIsNotConfirmedIsNotAlmostCertain) {
    struct Expected {
        double half_width;
        const char *confidence, *likelihood;
    };
    for (const auto& [half_width, confidence, likelihood] :
         {Expected{0.05, "moderate", "very likely"}, Expected{0.30, "low", "likely"}}) {
        Case c = series({2005, 2007, 2009}, {6e5, 9e5, 9e5}, {3200, 3800, 3800});
        add_growth(c, 0, 1, "provisional");
        c.perimeter.growth[0].area_ratio_ci = {1.5 - half_width, 1.5 + half_width};
        const auto growth =
            of_kind(write_findings(c.report, c.perimeter), "perimeter_area_growth").at(0);
        EXPECT_EQ(growth.confidence, confidence);
        EXPECT_EQ(growth.likelihood, likelihood);
    }
    Case c = series({2005, 2007, 2009}, {6e5, 6e5, 6e5}, {3200, 3200, 3200});
    for (int i = 0; i < 5; ++i) {
        add_post_change(c, "new_guard_post", {20.0 * i, 40}, 0, 1, 0.9);
        c.report.changes.back().state = "provisional";
    }
    const auto likelihood = [&] {
        return of_kind(write_findings(c.report, c.perimeter), "new_guard_posts").at(0).likelihood;
    };
    EXPECT_EQ(likelihood(), "very likely");  // 1 − 0.1⁵, but the test has not been passed
    c.report.changes.back().state = "confirmed";
    EXPECT_EQ(likelihood(), "almost certain");
}

TEST(Findings, LikelihoodWordsFollowTheScale) {
    EXPECT_EQ(likelihood_word(0.95), "almost certain");
    EXPECT_EQ(likelihood_word(0.949), "very likely");
    EXPECT_EQ(likelihood_word(0.8), "very likely");
    EXPECT_EQ(likelihood_word(0.55), "likely");
    EXPECT_EQ(likelihood_word(0.5), "even chance");
    EXPECT_EQ(likelihood_word(0.44), "unlikely");
}

TEST(Findings, PoissonBinomialAgreesWithTheBinomialAndWithCounting) {
    const std::vector<double> coins(20, 0.5);
    const CountInterval c = poisson_binomial(coins, 0.9);
    EXPECT_EQ(c.count, 10);
    EXPECT_EQ(c.low, 6);  // P(X <= 5) = 0.0207, P(X <= 6) = 0.0577
    EXPECT_EQ(c.high, 14);
    EXPECT_EQ(poisson_binomial(std::vector<double>(7, 1.0), 0.9).low, 7);
    EXPECT_EQ(poisson_binomial(std::vector<double>(7, 0.0), 0.9).high, 0);
    EXPECT_EQ(poisson_binomial({}, 0.9).count, 0);
    // Three unequal ones, by hand: P(0) = .1·.5·.8, …
    const std::vector<double> unequal{0.9, 0.5, 0.2};
    const CountInterval u = poisson_binomial(unequal, 0.9);
    EXPECT_NEAR(u.expected, 1.6, 1e-12);
    EXPECT_EQ(u.count, 2);  // P(<=1) = .04 + .41 = .45
    EXPECT_EQ(u.high, 3);   // P(3) = .09 > .05
    EXPECT_EQ(u.low, 1);    // P(0) = .04 < .05
}

TEST(Findings, CountsHoldWhatWasMissedAsOftenAsTheySay) {
    // Sites with 20 to 60 posts, of which a share drawn from a beta distribution is found.
    std::mt19937 random(5);
    std::gamma_distribution<double> a(19, 1), b(1, 1);
    std::uniform_int_distribution<int> posts(20, 60);
    int held = 0, above = 0;
    constexpr int runs = 600;
    for (int run = 0; run < runs; ++run) {
        const double x = a(random), share = x / (x + b(random));
        const int all = posts(random);
        std::binomial_distribution<int> seen(all, share);
        const std::vector<double> found(static_cast<std::size_t>(seen(random)), 1.0);
        const CountInterval n = count_with_missed(found, 0.9, 19, 1);
        held += n.low <= all && all <= n.high;
        above += all > n.high;
    }
    EXPECT_GE(held, 0.87 * runs);
    EXPECT_LE(held, 0.97 * runs);
    EXPECT_LE(above, 0.08 * runs);
    // Nothing is missed: the found ones alone.
    const std::vector<double> some{0.9, 0.2, 1, 0.6};
    const CountInterval none_missed = count_with_missed(some, 0.9, 1e6, 1e-6),
                        plain = poisson_binomial(some, 0.9);
    EXPECT_EQ(none_missed.low, plain.low);
    EXPECT_EQ(none_missed.high, plain.high);
    EXPECT_EQ(none_missed.count, plain.count);
}

TEST(Findings, WithoutColourMorePostsMayBeHidden) {
    Case c = series({2005, 2007}, {6e5, 6e5}, {3200, 3200});
    for (int i = 0; i < 12; ++i) {
        ReportStructure post;
        post.kind = "guard_post";
        post.confidence = 0.97;
        c.report.structures.push_back(post);
    }
    const auto count = [&](int bands) {
        for (auto& scene : c.report.scenes) scene.bands = bands, scene.gsd_m = 0.5;
        return standing_count(c.report, "guard_post", c.report.scenes.back(), 0.9).all;
    };
    EXPECT_LE(count(3).high, 14);
    EXPECT_GT(count(1).high, count(3).high);
    EXPECT_EQ(count(1).count, count(3).count) << "what was found is not multiplied";
}

TEST(Findings, WhereLooksMissWhatOthersShowMorePostsMayBeHidden) {
    Case c = series({2005, 2006, 2007}, {6e5, 6e5, 6e5}, {3200, 3200, 3200});
    const auto count = [&](int missing) {
        c.report.structures.clear();
        for (int i = 0; i < 12; ++i) {
            ReportStructure post;
            post.kind = "guard_post";
            post.confidence = 0.99;
            for (std::size_t k = 0; k < c.report.scenes.size(); ++k) {
                const bool gap = k == 1 && i < missing;
                post.observations.push_back(
                    {c.report.scenes[k].id, gap ? "not_observable" : "present", 4});
            }
            c.report.structures.push_back(post);
        }
        for (auto& scene : c.report.scenes) scene.bands = 3, scene.gsd_m = 0.5;
        return standing_count(c.report, "guard_post", c.report.scenes.back(), 0.9).all;
    };
    EXPECT_EQ(count(0).high, count(1).high) << "one gap in 36 looks is usual";
    EXPECT_GT(count(9).high, count(0).high);
    EXPECT_EQ(count(9).count, count(0).count);
    // Before a post was built no look can miss it.
    c.report.structures.back().first_seen = c.report.scenes[1].datetime;
    const int now = standing_count(c.report, "guard_post", c.report.scenes.back(), 0.9).all.high;
    c.report.structures.back().observations[0].seen = "absent";
    EXPECT_EQ(standing_count(c.report, "guard_post", c.report.scenes.back(), 0.9).all.high, now);
}

TEST(Findings, ADoubtfulRemovalLeavesItsDoubtInTheCount) {
    Case c = camp25();
    const ReportScene& last = c.report.scenes.back();
    ReportStructure post;
    post.id = "structure-0001";
    post.kind = "guard_post";
    post.confidence = 0.9;
    EXPECT_NEAR(standing_probability(c.report, post, last), 0.9, 1e-12);
    post.first_not_seen = last.datetime;
    EXPECT_EQ(standing_probability(c.report, post, last), 0);
    ReportChange removal;
    removal.kind = "removed_guard_post";
    removal.state = "candidate";
    removal.confidence = 0.2;
    removal.structure = post.id;
    c.report.changes.push_back(removal);
    EXPECT_NEAR(standing_probability(c.report, post, c.report.scenes.back()), 0.9 * 0.8, 1e-12);
    c.report.changes.back().state = "confirmed";
    EXPECT_EQ(standing_probability(c.report, post, c.report.scenes.back()), 0);
    post.first_seen = last.datetime;
    EXPECT_EQ(standing_probability(c.report, post, c.report.scenes.front()), 0);
}

TEST(Findings, AnEmptyReportHasNone) { EXPECT_TRUE(write_findings({}, {}).empty()); }

}  // namespace
}  // namespace fenceline
