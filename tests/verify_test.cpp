#include "verify/verify.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/local_frame.h"
#include "input/claims.h"

namespace fenceline {
namespace {

const LocalFrame kFrame({129.7253, 41.8344});
const std::string kClaims = std::string(FENCELINE_SOURCE_DIR) + "/configs/claims/";

Ring rectangle(double x, double y, double w, double h) {
    Ring ring;
    for (const Point p : {Point{x, y}, Point{x + w, y}, Point{x + w, y + h}, Point{x, y + h}})
        ring.push_back(kFrame.lonlat_from_metres(p));
    return ring;
}

void add_post(Report& report, Point at, std::size_t from) {
    ReportStructure post;
    post.id = "post" + std::to_string(report.structures.size());
    post.kind = "guard_post";
    post.position = kFrame.lonlat_from_metres(at);
    post.confidence = 0.99;
    post.first_seen = report.scenes[from].datetime;
    for (const auto& scene : report.scenes) post.observations.push_back({scene.id, "present", 3});
    if (from > 0) {
        ReportChange change;
        change.id = "change" + std::to_string(report.changes.size());
        change.kind = "new_guard_post";
        change.state = "confirmed";
        change.confidence = 0.99;
        change.position = post.position;
        change.last_not_seen = post.last_not_seen = report.scenes[from - 1].datetime;
        change.first_seen = post.first_seen;
        report.changes.push_back(change);
    }
    report.structures.push_back(post);
}

/// Camp 25 as it was published: looks of 2003, 2009, 2010, 2013.
Report published() {
    Report report;
    report.site = Site{};
    report.site->id = "camp25";
    int i = 0;
    for (const int year : {2003, 2009, 2010, 2013}) {
        ReportScene scene;
        scene.id = "s" + std::to_string(year);
        scene.datetime = time_from_civil(year, year == 2009 ? 10 : 9, 4);
        scene.role = "used";
        report.scenes.push_back(scene);
        ReportPerimeter p;
        p.scene = scene.id;
        p.datetime = *scene.datetime;
        p.area_m2 = i < 2 ? 0.584e6 : 1.004e6;
        p.length_m = i < 2 ? 3810 : 5210;
        p.area_ci = {p.area_m2 * 0.985, p.area_m2 * 1.015};
        p.length_ci = {p.length_m * 0.98, p.length_m * 1.02};
        p.supported_fraction = 0.9;
        p.geometry = i < 2 ? rectangle(0, 0, 800, 725) : rectangle(0, 0, 800, 1250);
        report.perimeters.push_back(p);
        ++i;
    }
    ReportChange growth;
    growth.kind = "perimeter_expansion";
    growth.state = "confirmed";
    growth.footprint = rectangle(0, 725, 800, 525);
    growth.position = kFrame.lonlat_from_metres({400, 1000});
    growth.last_not_seen = report.scenes[1].datetime;
    growth.first_seen = report.scenes[2].datetime;
    report.changes.push_back(growth);
    for (int k = 0; k < 20; ++k) add_post(report, {40.0 * k, 0}, 0);
    for (int k = 0; k < 6; ++k) add_post(report, {0, 100.0 * k}, 1);
    for (int k = 0; k < 17; ++k) add_post(report, {45.0 * k, 1250}, 2);
    for (int k = 0; k < 3; ++k) {
        ReportStructure building;
        building.kind = "building";
        building.observations = {{"s2010", "absent", -3}, {"s2013", "present", 3}};
        report.structures.push_back(building);
        ReportChange change;
        change.kind = "new_building";
        change.state = "confirmed";
        change.confidence = 0.97;
        change.last_not_seen = report.scenes[2].datetime;
        change.first_seen = report.scenes[3].datetime;
        report.changes.push_back(change);
    }
    return report;
}

const ClaimVerdict& of(const Verdicts& verdicts, const std::string& id) {
    const auto found = std::find_if(verdicts.claims.begin(), verdicts.claims.end(),
                                    [&](const auto& v) { return v.claim.id == id; });
    EXPECT_NE(found, verdicts.claims.end()) << id;
    return *found;
}

TEST(Verify, ThePublishedClaimsHoldOnAReportThatMeasuresThem) {
    const Verdicts verdicts = verify(read_claims(kClaims + "camp25.json"), published());
    EXPECT_EQ(verdicts.claims.size(), 10U);
    for (const auto& v : verdicts.claims)
        EXPECT_EQ(v.verdict, Verdict::supported) << v.claim.id << ": " << v.reason;
    EXPECT_FALSE(verdicts.any_contradicted());
    EXPECT_EQ(of(verdicts, "posts-2010").measured, 43);
    EXPECT_NEAR(*of(verdicts, "area-growth").measured, 0.719, 0.001);
    EXPECT_FALSE(of(verdicts, "area-growth").claim.sources.empty());
}

TEST(Verify, AreaTakenForLengthIsContradicted) {
    const Verdicts verdicts = verify(read_claims(kClaims + "camp25-newspapers.json"), published());
    ASSERT_EQ(verdicts.claims.size(), 1U);
    EXPECT_EQ(verdicts.claims[0].verdict, Verdict::contradicted) << verdicts.claims[0].reason;
    EXPECT_TRUE(verdicts.any_contradicted());
    EXPECT_NE(verdicts_text(verdicts).find("contradicted"), std::string::npos);
    const auto json = nlohmann::json::parse(verdicts_json(verdicts));
    EXPECT_EQ(json["contradicted"], 1);
    EXPECT_EQ(json["claims"][0]["verdict"], "contradicted");
    EXPECT_NEAR(json["claims"][0]["measured"], 36.7, 0.1) << "in the claim's unit";
    EXPECT_EQ(json["claims"][0]["value"], 72);
}

TEST(Verify, WrongMeasurementsContradict) {
    Report report = published();
    for (auto& p : report.perimeters) p.area_m2 = 0.584e6, p.area_ci = {0.57e6, 0.6e6};
    report.structures.erase(report.structures.begin() + 30, report.structures.begin() + 43);
    std::erase_if(report.changes, [n = 0](const ReportChange& c) mutable {
        return c.kind == "new_guard_post" && n++ > 15;
    });
    const Verdicts verdicts = verify(read_claims(kClaims + "camp25.json"), report);
    for (const char* id : {"area-growth", "area-after", "posts-2010", "posts-new-line"})
        EXPECT_EQ(of(verdicts, id).verdict, Verdict::contradicted) << id;
    for (const char* id : {"area-before", "length-growth", "posts-2003"})
        EXPECT_EQ(of(verdicts, id).verdict, Verdict::supported) << id;
}

TEST(Verify, DatesOutsideTheSeriesCannotBeJudged) {
    Report report = published();
    report.scenes.erase(report.scenes.begin());
    report.perimeters.erase(report.perimeters.begin());
    const Verdicts verdicts = verify(read_claims(kClaims + "camp25.json"), report);
    const auto& v = of(verdicts, "posts-2003");
    EXPECT_EQ(v.verdict, Verdict::cannot_be_judged);
    EXPECT_NE(v.reason.find("no look in 2003"), std::string::npos) << v.reason;
    EXPECT_NE(v.reason.find("2009-10-04"), std::string::npos) << v.reason;
    EXPECT_FALSE(verdicts.any_contradicted());
}

TEST(Verify, ALineIsCarriedOverWhereItDidNotChange) {
    Report report = published();
    Claims claims{"t", "camp25", {}};
    Claim claim;
    claim.id = "between";
    claim.kind = "perimeter_area";
    claim.unit = "km²";
    claim.value = 1.0e6;
    claim.tolerance = 0.02e6;
    claim.at = Period{time_from_civil(2012, 1, 1), time_from_civil(2013, 1, 1), "2012"};
    claims.claims = {claim};
    EXPECT_EQ(verify(claims, report).claims[0].verdict, Verdict::supported);
    claims.claims[0].at =
        Period{time_from_civil(2010, 1, 1), time_from_civil(2010, 2, 1), "2010-01"};
    EXPECT_EQ(verify(claims, report).claims[0].verdict, Verdict::cannot_be_judged)
        << "it grew between the looks around it";
    claims.claims[0].at = Period{time_from_civil(2012, 1, 1), time_from_civil(2013, 1, 1), "2012"};
    report.perimeters[3].supported_fraction = 0.3;
    EXPECT_EQ(verify(claims, report).claims[0].verdict, Verdict::cannot_be_judged);
}

TEST(Verify, NotObservablePostsAreNotMissingPosts) {
    Report report = published();
    for (auto& s : report.structures)
        for (auto& o : s.observations)
            if (o.scene == "s2010" || o.scene == "s2013") o.seen = "not_observable";
    report.not_observable.push_back(
        {{}, {"s2010", "s2013"}, "guard posts are not observable: too coarse"});
    std::erase_if(report.changes, [](const ReportChange& c) { return c.kind == "new_guard_post"; });
    const Verdicts verdicts = verify(read_claims(kClaims + "camp25.json"), report);
    for (const char* id : {"posts-2010", "posts-new-line"}) {
        EXPECT_EQ(of(verdicts, id).verdict, Verdict::cannot_be_judged) << id;
        EXPECT_NE(of(verdicts, id).reason.find("too coarse"), std::string::npos)
            << of(verdicts, id).reason;
    }
    EXPECT_EQ(of(verdicts, "posts-2003").verdict, Verdict::supported);
}

TEST(Verify, AnotherSiteAndASimulatedSeriesAreSaid) {
    Report report = published();
    report.simulated = true;
    EXPECT_EQ(verdicts_text(verify(read_claims(kClaims + "camp25.json"), report))
                  .rfind("The report is of a SIMULATED series", 0),
              0U);
    report.site->id = "dabancheng";
    const Verdicts verdicts = verify(read_claims(kClaims + "camp25.json"), report);
    for (const auto& v : verdicts.claims) {
        EXPECT_EQ(v.verdict, Verdict::cannot_be_judged);
        EXPECT_NE(v.reason.find("dabancheng"), std::string::npos);
    }
    const Verdicts none = verify(read_claims(kClaims + "camp25.json"), Report{});
    for (const auto& v : none.claims) EXPECT_EQ(v.verdict, Verdict::cannot_be_judged);
}

TEST(Verify, ACoarseMeasurementSupportsNothing) {
    Report report = published();
    for (auto& p : report.perimeters) p.area_ci = {0.01e6, 3e6};
    const Verdicts verdicts = verify(read_claims(kClaims + "camp25.json"), report);
    EXPECT_EQ(of(verdicts, "area-growth").verdict, Verdict::cannot_be_judged);
    EXPECT_NE(of(verdicts, "area-growth").reason.find("too uncertain"), std::string::npos);
}

std::vector<std::string> faults_of(const std::string& json) {
    try {
        parse_claims(json, "claims.json");
    } catch (const UsageError& error) {
        return error.faults;
    }
    return {};
}

TEST(Verify, ABadClaimsFileIsRefusedWithAllItsFaults) {
    const auto faults = faults_of(
        R"({"schema": "fenceline-claims/9", "title": "t", "site": "s", "colour": 1, "claims": [
        {"id": "a", "statement": "x", "kind": "perimeter_area", "value": "much", "unit": "km", "tolerance": -1, "at": "2009-13",
         "sources": [{"title": "t"}]},
        {"id": "a", "statement": "x", "kind": "guard_towers", "value": 1, "unit": "count", "tolerance": 0, "at": "2009", "sources": []},
        {"id": "b", "statement": "x", "kind": "new_buildings", "value": 1, "unit": "count", "tolerance": 0, "at": "2009",
         "from": "2010", "to": "2009", "relation": "more", "sources": [{"title": "t", "page": 3}]}]})");
    const auto said = [&](const std::string& text) {
        return std::any_of(faults.begin(), faults.end(),
                           [&](const std::string& f) { return f.find(text) != std::string::npos; });
    };
    for (const char* text :
         {"fenceline-claims/9", "unknown key 'colour'", "claims[0]: 'value' must be a number",
          "unit 'km' does not fit perimeter_area",
          "'tolerance' must be a number of at least 0, found -1", "\"2009-13\"",
          "unknown kind 'guard_towers'", "id 'a' is used twice",
          "claims[1]: 'sources' must be a list", "'at' does not belong to new_buildings",
          "'to' lies before 'from'", "unknown relation 'more'",
          "claims[2].sources[0]: unknown key 'page'"})
        EXPECT_TRUE(said(text)) << text;
    for (const char* bad : {"", "[]", "{", "null", "{\"claims\": {}}", "\xff\xfe"})
        EXPECT_FALSE(faults_of(bad).empty()) << bad;
    EXPECT_THROW(read_claims("/no/such/claims.json"), DataError);
}

TEST(Verify, PeriodsAreYearsMonthsDaysAndRanges) {
    const auto period = [](const std::string& at) {
        const auto claims = parse_claims(
            R"({"schema":"fenceline-claims/1","title":"t","site":"s","claims":[{"id":"a","statement":"x","kind":"guard_posts",
            "value":1,"unit":"count","tolerance":0,"at":")" +
                at + R"(","sources":[{"title":"t"}]}]})",
            "c");
        return std::pair{format_date(claims.claims[0].at->begin),
                         format_date(claims.claims[0].at->end)};
    };
    EXPECT_EQ(period("2009"), std::pair(std::string("2009-01-01"), std::string("2010-01-01")));
    EXPECT_EQ(period("2009-12"), std::pair(std::string("2009-12-01"), std::string("2010-01-01")));
    EXPECT_EQ(period("2012-02-29"),
              std::pair(std::string("2012-02-29"), std::string("2012-03-01")));
    EXPECT_EQ(period("2011/2013-06"),
              std::pair(std::string("2011-01-01"), std::string("2013-07-01")));
    for (const char* bad :
         {"2009-02-30", "209", "2009-1", "2013/2011", "2009x", "soon", "2009-01-01T00"})
        EXPECT_THROW(period(bad), UsageError) << bad;
}

}  // namespace
}  // namespace fenceline
