#include "evaluate/evaluate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>

#include "core/error.h"
#include "core/local_frame.h"
#include "core/projection.h"
#include "evaluate/pixels.h"
#include "input/truth.h"

namespace fenceline {
namespace {

const LocalFrame kFrame({129.7253, 41.8344});

Ring rectangle(double x, double y, double w, double h) {
    Ring ring;
    for (const Point p : {Point{x, y}, Point{x + w, y}, Point{x + w, y + h}, Point{x, y + h}})
        ring.push_back(kFrame.lonlat_from_metres(p));
    return ring;
}

/// Five scenes, growth after the third; 12 posts of the old line, 6 of the new; a building added,
/// one removed.
Report make_truth(int seed = 0) {
    Report truth;
    truth.simulated = true;
    truth.site = Site{};
    truth.site->id = "series" + std::to_string(seed);
    truth.site->area_lonlat = rectangle(-1000, -1000, 2000, 2000);
    for (int i = 0; i < 5; ++i) {
        ReportScene scene;
        scene.id = "s" + std::to_string(i);
        scene.datetime = time_from_civil(2008 + i, 6, 1);
        scene.role = i == 0 ? "reference" : "used";
        truth.scenes.push_back(scene);
        ReportPerimeter p;
        p.scene = scene.id;
        p.datetime = *scene.datetime;
        p.geometry =
            i < 3 ? rectangle(-400, -300, 800, 600) : rectangle(-400, -300, 800 + 10 * seed, 900);
        const auto measure = measure_ring(p.geometry);
        p.area_m2 = measure.area_m2;
        p.length_m = measure.length_m;
        p.area_ci = {p.area_m2 * 0.98, p.area_m2 * 1.02};
        p.length_ci = {p.length_m * 0.98, p.length_m * 1.02};
        p.origin = "given";
        truth.perimeters.push_back(p);
    }
    const auto add = [&](const std::string& kind, Point at, int from, int to) {
        ReportStructure s;
        s.id = "structure-" + std::to_string(truth.structures.size());
        s.kind = kind;
        s.position = kFrame.lonlat_from_metres(at);
        if (kind == "building")
            s.footprint = rectangle(at.x - 10, at.y - 4, 20, 8), s.height_m = 4,
            s.height_ci = Interval{3, 5};
        s.confidence = 1;
        const auto time = [&](int i) { return truth.scenes[static_cast<std::size_t>(i)].datetime; };
        s.first_seen = time(from);
        s.last_seen = time(to - 1);
        if (from > 0) s.last_not_seen = time(from - 1);
        if (to < 5) s.first_not_seen = time(to);
        for (int i = 0; i < 5; ++i)
            s.observations.push_back(
                {"s" + std::to_string(i), i >= from && i < to ? "present" : "absent", 0});
        const auto change = [&](const std::string& what, int after) {
            ReportChange c;
            c.id = "change-" + std::to_string(truth.changes.size());
            c.kind = what + kind;
            c.state = "confirmed";
            c.confidence = 1;
            c.position = s.position;
            c.footprint = s.footprint;
            c.last_not_seen = time(after - 1);
            c.first_seen = time(after);
            c.structure = s.id;
            truth.changes.push_back(c);
        };
        if (from > 0) change("new_", from);
        if (to < 5) change("removed_", to);
        truth.structures.push_back(s);
    };
    for (int i = 0; i < 12; ++i) add("guard_post", {-380 + 65.0 * i, -300}, 0, i == 11 ? 4 : 5);
    for (int i = 0; i < 6; ++i) add("guard_post", {-380 + 130.0 * i, 600}, 3, 5);
    for (int i = 0; i < 8; ++i)
        add("building", {-300 + 60.0 * i, 0}, i == 7 ? 2 : 0, i == 0 ? 3 : 5);
    ReportChange growth;
    growth.id = "growth";
    growth.kind = "perimeter_expansion";
    growth.state = "confirmed";
    growth.confidence = 1;
    growth.footprint = rectangle(-400, 300, 800 + 10 * seed, 300);
    growth.position = kFrame.lonlat_from_metres({0, 450});
    growth.last_not_seen = truth.scenes[2].datetime;
    growth.first_seen = truth.scenes[3].datetime;
    truth.changes.push_back(growth);
    ReportFinding finding;
    finding.kind = "perimeter_area_growth";
    const double ratio = truth.perimeters[3].area_m2 / truth.perimeters[2].area_m2 - 1;
    finding.values = {{"area_growth", ratio},
                      {"area_growth_low", ratio - 0.02},
                      {"area_growth_high", ratio + 0.02}};
    finding.evidence = {"growth", "s2", "s3"};
    truth.findings.push_back(finding);
    finding.kind = "guard_posts";
    finding.values = {{"count", 17}, {"count_low", 16}, {"count_high", 18}};
    finding.evidence = {"s4"};
    truth.findings.push_back(finding);
    return truth;
}

double figure(const SeriesScore& score, const std::string& name) {
    const Figure* found = score.find(name);
    EXPECT_NE(found, nullptr) << name;
    return found != nullptr ? found->value() : -1;
}
SeriesScore scored(const Report& report, const Report& truth = make_truth()) {
    return evaluate(report, truth, {});
}

void move(Report& report, Point metres) {
    const auto moved = [&](Point p) {
        return kFrame.lonlat_from_metres(kFrame.metres_from_lonlat(p) + metres);
    };
    for (auto& p : report.perimeters)
        for (Point& q : p.geometry) q = moved(q);
    for (auto& s : report.structures) {
        s.position = moved(s.position);
        for (Point& q : s.footprint) q = moved(q);
    }
    for (auto& c : report.changes) {
        c.position = moved(c.position);
        for (Point& q : c.footprint) q = moved(q);
    }
}

TEST(Evaluate, AReportMadeFromTheTruthIsPerfect) {
    const SeriesScore score = scored(make_truth());
    for (const Figure& f : score.figures) {
        ASSERT_FALSE(std::isnan(f.value()) && f.name.find("contractions") == std::string::npos &&
                     f.name.rfind("registration", 0) != 0 && f.stratum.empty())
            << f.name;
        if (std::isnan(f.value())) continue;
        const bool error =
            f.name.find("error") != std::string::npos || f.name.rfind("false_", 0) == 0;
        EXPECT_NEAR(f.value(), error ? 0 : 1, 1e-9) << f.name;
        EXPECT_FALSE(f.definition.empty());
    }
    // 12·4 + 11 old posts by scene, 6·2 new ones: 71 in all.
    EXPECT_EQ(score.find("posts_recall")->denominator, 71);
    EXPECT_EQ(score.find("new_posts_recall")->denominator, 6);
    EXPECT_EQ(score.find("removed_posts_recall")->denominator, 1);
}

TEST(Evaluate, AnEmptyReportScoresNothing) {
    const SeriesScore score = scored({});
    for (const char* name :
         {"perimeter_found", "line_completeness_5m", "posts_recall", "posts_f1", "buildings_f1",
          "new_posts_f1", "removed_posts_recall", "new_buildings_f1", "expansions_recall"})
        EXPECT_EQ(figure(score, name), 0) << name;
    EXPECT_TRUE(std::isnan(figure(score, "posts_precision"))) << "nothing was claimed";
    EXPECT_TRUE(std::isnan(figure(score, "area_error")));
    EXPECT_EQ(figure(score, "false_changes_per_km2"), 0);
}

TEST(Evaluate, MovedByTenMetresFails) {
    Report report = make_truth();
    move(report, {7, 7.2});
    const SeriesScore score = scored(report);
    for (const char* name : {"posts_f1", "new_posts_f1", "buildings_f1", "new_buildings_f1",
                             "removed_posts_precision"})
        EXPECT_EQ(figure(score, name), 0) << name;
    EXPECT_LT(figure(score, "line_completeness_5m"), 0.1);
    EXPECT_LT(figure(score, "line_correctness_2m"), 0.1);
    EXPECT_NEAR(figure(score, "area_error"), 0, 1e-6) << "the area alone does not show it";
}

TEST(Evaluate, PixelsOfTruthAsReportAreRightOfNothingMissedAndMovedOnesFall) {
    const SeriesScore perfect = scored(make_truth());
    const double ground = 800 * 300;
    EXPECT_NEAR(perfect.find("pixels_line_recall")->denominator, ground, 0.01 * ground);
    // Three outlines of 20 × 8 m (two came or went at their own time), seven posts of 12.6 m².
    EXPECT_NEAR(perfect.find("pixels_structures_recall")->denominator, 2 * 160 + 7 * 12.57, 25);
    for (const char* group : {"pixels_structures_", "pixels_line_"})
        for (const char* what : {"precision", "recall", "f1", "iou", "kappa"})
            EXPECT_NEAR(figure(perfect, std::string(group) + what), 1, 1e-12) << group << what;

    const SeriesScore empty = scored({});
    for (const char* group : {"pixels_structures_", "pixels_line_"}) {
        for (const char* what : {"recall", "f1", "iou", "kappa"})
            EXPECT_EQ(figure(empty, std::string(group) + what), 0) << group << what;
        EXPECT_TRUE(std::isnan(figure(empty, std::string(group) + "precision")));
    }

    Report report = make_truth();
    move(report, {0, 10});
    SeriesScore score = scored(report);
    EXPECT_EQ(figure(score, "pixels_structures_f1"), 0) << "the houses are 8 m deep";
    EXPECT_LE(figure(score, "pixels_structures_kappa"), 0);
    EXPECT_NEAR(figure(score, "pixels_line_iou"), 290.0 / 310, 0.01) << "300 m deep";
    report = make_truth();
    move(report, {0, 4});
    EXPECT_NEAR(figure(scored(report), "pixels_structures_recall"), 0.4, 0.1) << "half of a house";

    report = make_truth();
    for (auto& c : report.changes)
        c.last_not_seen = report.scenes[3].datetime, c.first_seen = report.scenes[4].datetime;
    EXPECT_EQ(figure(scored(report), "pixels_line_f1"), 0) << "the wrong interval";
    report = make_truth();
    for (auto& c : report.changes) c.state = "candidate";
    EXPECT_EQ(figure(scored(report), "pixels_line_f1"), 0) << "candidates are not claimed";
}

TEST(Evaluate, PixelsThatNoSceneShowsAreNotAskedFor) {
    Report truth = make_truth();
    for (auto& s : truth.structures)
        if (s.kind == "building" && s.last_not_seen)
            for (auto& o : s.observations) o.seen = "not_observable";
    const SeriesScore score = scored(make_truth(), truth);
    EXPECT_LT(score.find("pixels_structures_recall")->denominator, 160 + 7 * 12.57 + 25);
    EXPECT_EQ(figure(score, "pixels_structures_precision"), 1);
}

TEST(Evaluate, PixelCountsByHandAndPooledKappa) {
    const auto box = [](double x, double y, double w, double h) {
        return Ring{{x, y}, {x + w, y}, {x + w, y + h}, {x, y + h}};
    };
    const std::vector<ChangedGround> truth{{1, true, box(-5, -5, 10, 10)},
                                           {1, true, box(0, 0, 10, 5)}},
        reported{{1, true, box(0, 0, 10, 10)}, {2, false, box(0, 0, 2, 2)}},
        unknown{{1, true, box(8, 8, 2, 2)}};
    const PixelCounts n = count_pixels(truth, reported, unknown, 3, 1000);
    EXPECT_EQ(n.true_positive, 50);         // 10 × 5
    EXPECT_EQ(n.false_positive, 46 + 4);    // 100 − 50 − 4 unknown, and 4 lost ones
    EXPECT_EQ(n.false_negative, 125 - 50);  // 100 + 50 − 25 twice
    EXPECT_EQ(n.true_negative, 6 * 1000 - 4 - 50 - 50 - 75);

    Figure table{"k", "d", "", Figure::Pooling::kappa, "", 0, 0, {20, 10, 5, 15}};
    EXPECT_NEAR(table.value(), 0.4, 1e-12) << "observed .7, by chance .5";
    EXPECT_EQ(table.cases(), 35);
    SeriesScore a, b;
    a.figures = {table};
    table.samples = {0, 0, 0, 0};
    b.figures = {table};
    const auto families = aggregate(std::vector{a, b}, {});
    EXPECT_NEAR(families[0].figures[0].value, 0.4, 1e-12) << "counts are summed";
    EXPECT_EQ(families[0].figures[0].series, 1);
}

/// What a run says of the scene that the others are registered to.
const RegistrationSummary kReference{"identity", 0, 0, 0, 0, 0, "pass"};

TEST(Evaluate, TheFrameOfTheReferenceIsAllowedFor) {
    Report report = make_truth(), truth = make_truth();
    move(report, {7, 7.2});
    report.scenes[0].registration = kReference;
    truth.scenes[0].registration = RegistrationSummary{"affine", 7, 7.2, 0, 0, 0, ""};
    const SeriesScore score = scored(report, truth);
    EXPECT_NEAR(figure(score, "posts_f1"), 1, 1e-12);
    EXPECT_NEAR(figure(score, "line_completeness_2m"), 1, 1e-9);
    EXPECT_FALSE(score.notes.empty());
}

TEST(Evaluate, ADisplacedReferenceIsAllowedForEverywhere) {
    Report truth = make_truth();
    truth.grid.crs = "EPSG:32652";
    const Transform to_map("EPSG:4326", truth.grid.crs);
    SceneDisplacement d;
    d.scene = "s0";
    d.dx_m = 5;
    d.dy_m = -4;
    d.centre_map = to_map(kFrame.origin);
    d.linear = {0, -0.004, 0.004, 0};  // 4 mrad: 1.6 m at 400 m
    d.origin_map = d.centre_map + Point{-1000, 1000};
    d.lattice = {500, 5, 5, std::vector<float>(25, 1.0F), std::vector<float>(25, 0.0F)};
    Report report = displaced(truth, d);
    report.scenes[0].registration = kReference;
    const Point moved = to_map(report.structures[0].position);
    const Point true_place = to_map(truth.structures[0].position) - d.centre_map;
    EXPECT_NEAR(moved.x - d.centre_map.x, true_place.x + 5 + 1 - 0.004 * true_place.y, 1e-6);
    EXPECT_NEAR(moved.y - d.centre_map.y, true_place.y - 4 + 0.004 * true_place.x, 1e-6);
    EXPECT_LT(figure(evaluate(report, truth, {}), "posts_f1"), 0.1);
    const SeriesScore score = evaluate(report, truth, {}, "camp", std::vector{d});
    EXPECT_NEAR(figure(score, "posts_f1"), 1, 1e-12);
    EXPECT_NEAR(figure(score, "line_correctness_2m"), 1, 1e-9);
    EXPECT_NEAR(figure(score, "area_error"), 0, 1e-9);
}

TEST(Evaluate, TheTruthItselfIsOnTheGroundAndInNoScenesFrame) {
    Report truth = make_truth();
    truth.grid.crs = "EPSG:32652";
    SceneDisplacement d;
    d.scene = "s0";
    d.dx_m = 9;
    const SeriesScore score = evaluate(truth, truth, {}, "camp", std::vector{d});
    EXPECT_NEAR(figure(score, "posts_f1"), 1, 1e-12);
    EXPECT_NEAR(figure(score, "line_completeness_2m"), 1, 1e-9);
}

/// The truth with known displacements, and a report that removed what they say it should.
Report with_registration(const Report& truth, const std::vector<SceneDisplacement>& displacements,
                         Point error) {
    Report report = displaced(truth, displacements[0]);
    report.scenes[0].registration = kReference;
    const Transform to_map("EPSG:4326", truth.grid.crs);
    for (std::size_t i = 1; i < report.scenes.size(); ++i) {
        RegistrationSummary r{"affine", 0, 0, 50, 0.4, 0.6, "pass"};
        for (int k = 0; k < 20; ++k) {
            const Point ground =
                to_map(kFrame.lonlat_from_metres({-400.0 + 40 * k, -300.0 + 170 * (k % 5)}));
            const Point shift = displacements[i](ground) - displacements[0](ground) + error;
            r.samples.push_back(
                {to_map.inverse(ground + displacements[0](ground)), shift.x, shift.y});
        }
        report.scenes[i].registration = r;
    }
    return report;
}

TEST(Evaluate, RegistrationIsHeldAgainstTheTrueDisplacement) {
    Report truth = make_truth();
    truth.grid.crs = "EPSG:32652";
    truth.grid.gsd_m = 0.5;
    const Transform to_map("EPSG:4326", truth.grid.crs);
    std::vector<SceneDisplacement> displacements(5);
    for (int i = 0; i < 5; ++i) {
        auto& d = displacements[static_cast<std::size_t>(i)];
        d.scene = "s" + std::to_string(i);
        d.dx_m = 3.0 * i - 4;
        d.dy_m = 2 - 1.5 * i;
        d.centre_map = to_map(kFrame.origin);
        d.linear = {0.001 * i, -0.002, 0.002, -0.001 * i};
    }
    Report report = with_registration(truth, displacements, {0, 0});
    report.grid.gsd_m = 0.5;
    SeriesScore score = evaluate(report, truth, {}, "camp", displacements);
    EXPECT_EQ(score.find("registration_rmse")->samples.size(), 4U);
    EXPECT_NEAR(figure(score, "registration_rmse"), 0, 1e-6);
    EXPECT_EQ(figure(score, "registration_within_1px"), 1);
    EXPECT_EQ(figure(score, "registration_kept"), 1);
    report = with_registration(truth, displacements, {0.6, -0.8});
    report.grid.gsd_m = 0.5;
    score = evaluate(report, truth, {}, "camp", displacements);
    EXPECT_NEAR(figure(score, "registration_rmse"), 1, 1e-6);
    EXPECT_NEAR(figure(score, "registration_ce90"), 1, 1e-6);
    EXPECT_NEAR(figure(score, "registration_rmse_px"), 2, 1e-6);
    EXPECT_NEAR(figure(score, "registration_stated_over_true"), 0.4, 1e-6);
    EXPECT_EQ(figure(score, "registration_within_1px"), 0);
    EXPECT_EQ(figure(score, "registration_false_pass"), 1);
    report.scenes[2].role = "left_out";
    EXPECT_NEAR(figure(evaluate(report, truth, {}, "", displacements), "registration_kept"), 0.75,
                1e-12);
}

TEST(Evaluate, StrataHoldTheirScenesAndNoOthers) {
    Report truth = make_truth();
    for (std::size_t i = 0; i < 5; ++i) {
        truth.scenes[i].sun_elevation = i < 2 ? 20 : 50;
        truth.scenes[i].sensor = i == 4 ? "B" : "A";
        truth.scenes[i].gsd_m = 0.5;
    }
    Report report = truth;
    // Two posts of the old line are not there in the first two scenes.
    for (int k = 0; k < 2; ++k)
        report.structures[static_cast<std::size_t>(k)].first_seen = report.scenes[2].datetime;
    const std::vector<SceneConditions> conditions{
        {"s0", 0.4, 0}, {"s1", 0, 0.3}, {"s2", 0, 0}, {"s3", 0, 0}, {"s4", 0, 0}};
    const SeriesScore score = evaluate(report, truth, {}, "camp", {}, conditions);
    const auto at = [&](const char* stratum) {
        const Figure* f = score.find("posts_recall", stratum);
        EXPECT_NE(f, nullptr) << stratum;
        return f != nullptr ? std::pair(f->value(), f->denominator) : std::pair(-1.0, -1.0);
    };
    EXPECT_EQ(at("sun below 30 deg"), (std::pair{20.0 / 24, 24.0}));
    EXPECT_EQ(at("sun above 45 deg"), (std::pair{1.0, 47.0}));
    EXPECT_EQ(at("snow on over a tenth"), (std::pair{10.0 / 12, 12.0}));
    EXPECT_EQ(at("cloud over a twentieth"), (std::pair{10.0 / 12, 12.0}));
    EXPECT_EQ(at("sensor B").second, 17.0);
    EXPECT_EQ(at("GSD up to 0.55 m").second, 71.0);
    EXPECT_TRUE(std::isnan(at("GSD over 0.8 m").first));
    EXPECT_EQ(score.find("growth_error", "sensor A"), nullptr) << "growth is a series' figure";
    const auto families = aggregate(std::vector{score}, {});
    const std::string table = score_table(families);
    EXPECT_NE(table.find("sun below 30 deg"), std::string::npos) << table;
    EXPECT_EQ(table.find("GSD over 0.8 m"), std::string::npos) << "nothing to measure there";
    const auto json = nlohmann::json::parse(score_json(std::vector{score}, families));
    bool found = false;
    for (const auto& stratum : json["families"][0]["strata"])
        for (const auto& f : stratum["figures"]) {
            EXPECT_FALSE(f["definition"].get<std::string>().empty());
            found = found || (stratum["stratum"] == "sensor B" && f["name"] == "posts_recall");
        }
    EXPECT_TRUE(found);
}

TEST(Evaluate, ASwappedDateFailsTheDating) {
    Report report = make_truth();
    EXPECT_EQ(figure(scored(report), "line_dating"), 1);
    for (auto& c : report.changes) std::swap(c.last_not_seen, c.first_seen);
    SeriesScore score = scored(report);
    EXPECT_EQ(figure(score, "line_dating"), 0);
    EXPECT_EQ(figure(score, "structure_dating"), 0);
    report = make_truth();
    for (auto& c : report.changes)
        c.last_not_seen = report.scenes[3].datetime, c.first_seen = report.scenes[4].datetime;
    score = scored(report);
    EXPECT_EQ(figure(score, "line_dating"), 0);
    // Too wide is right, but not tight.
    report = make_truth();
    for (auto& c : report.changes) c.last_not_seen.reset();
    score = scored(report);
    EXPECT_EQ(figure(score, "line_dating"), 1);
    EXPECT_EQ(figure(score, "line_dating_tight"), 0);
}

TEST(Evaluate, MissingAndInventedObjectsCountOnce) {
    Report report = make_truth();
    // Two of six new posts gone, three invented in empty ground.
    int dropped = 0;
    std::erase_if(report.changes, [&](const ReportChange& c) {
        return c.kind == "new_guard_post" && dropped++ < 2;
    });
    for (int i = 0; i < 3; ++i) {
        ReportChange wrong;
        wrong.kind = "new_guard_post";
        wrong.state = "confirmed";
        wrong.position = kFrame.lonlat_from_metres({500.0 + 20 * i, 500});
        wrong.first_seen = report.scenes[1].datetime;
        report.changes.push_back(wrong);
    }
    SeriesScore score = scored(report);
    EXPECT_NEAR(figure(score, "new_posts_recall"), 4.0 / 6, 1e-12);
    EXPECT_NEAR(figure(score, "new_posts_precision"), 4.0 / 7, 1e-12);
    EXPECT_NEAR(figure(score, "false_changes_per_km2"), 3 / 4.0, 0.01);
    EXPECT_NEAR(figure(score, "new_post_count_error"), 1, 1e-12);
    for (auto& c : report.changes)
        if (c.kind == "new_guard_post") c.state = "provisional";
    score = scored(report);
    EXPECT_EQ(figure(score, "new_posts_recall"), 0);
    EXPECT_NEAR(figure(score, "new_posts_any_recall"), 4.0 / 6, 1e-12);
    EXPECT_EQ(figure(score, "false_changes_per_km2"), 0);
    // The same post reported twice: one hit, one false.
    report = make_truth();
    report.structures.push_back(report.structures[0]);
    score = scored(report);
    EXPECT_NEAR(figure(score, "posts_precision"), 71.0 / 76, 1e-12);
    // What lies beyond the truth's area of interest is neither right nor wrong.
    for (const double east : {900.0, 1010.0}) {
        report = make_truth();
        report.structures.push_back(report.structures[0]);
        report.structures.back().position = kFrame.lonlat_from_metres({east, 0});
        score = scored(report);
        EXPECT_NEAR(figure(score, "posts_precision"), east < 1000 ? 71.0 / 76 : 1, 1e-12);
    }
}

TEST(Evaluate, WhatCouldNotBeSeenIsNeitherHitNorMiss) {
    Report truth = make_truth(), report = make_truth();
    for (auto& s : truth.structures)
        if (s.kind == "guard_post")
            for (auto& o : s.observations) o.seen = "not_observable";
    SeriesScore score = scored(report, truth);
    EXPECT_TRUE(std::isnan(figure(score, "posts_f1"))) << "hits on what was hidden are not counted";
    EXPECT_TRUE(std::isnan(figure(score, "new_posts_recall")));
    for (auto& s : report.structures) s.confidence = s.kind == "guard_post" ? 0.2 : 1;
    EXPECT_TRUE(std::isnan(figure(scored(report, truth), "posts_recall")));
}

TEST(Evaluate, ScenesTheReportLeftOutAreNotScored) {
    Report report = make_truth();
    report.scenes[4].role = "left_out";
    std::erase_if(report.perimeters, [](const auto& p) { return p.scene == "s4"; });
    const SeriesScore score = scored(report);
    EXPECT_EQ(figure(score, "perimeter_found"), 1);
    EXPECT_EQ(score.find("posts_recall")->denominator, 71 - 17);
}

TEST(Evaluate, ErrorsHaveTheirSizeAndIntervalsAreChecked) {
    Report report = make_truth();
    for (auto& p : report.perimeters)
        p.area_m2 *= 1.03, p.area_ci = {p.area_m2 * 0.99, p.area_m2 * 1.01}, p.length_m *= 0.98;
    SeriesScore score = scored(report);
    EXPECT_NEAR(figure(score, "area_error"), 3, 1e-9);
    EXPECT_NEAR(figure(score, "length_error"), 2, 1e-9);
    EXPECT_EQ(figure(score, "area_coverage"), 0);
    EXPECT_NEAR(figure(score, "growth_error"), 0, 1e-9) << "a common factor leaves the growth";
    report.perimeters[4].area_m2 *= 1.1;
    score = scored(report);
    EXPECT_NEAR(figure(score, "growth_error"), 15, 0.1) << "10 % of a ratio of 1.5";
    report.findings[0].values["area_growth_high"] =
        report.findings[0].values["area_growth_low"] + 0.001;
    report.findings[1].values["count_high"] = 16;
    score = scored(report);
    EXPECT_EQ(figure(score, "growth_coverage"), 0);
    EXPECT_EQ(figure(score, "post_count_coverage"), 0);
}

TEST(Evaluate, FamiliesPoolCountsAndBootstrapSeries) {
    std::vector<SeriesScore> scores;
    for (int seed = 0; seed < 6; ++seed) {
        Report report = make_truth(seed);
        if (seed < 2)
            std::erase_if(report.structures, [](const auto& s) { return s.kind == "guard_post"; });
        scores.push_back(evaluate(report, make_truth(seed), {}, seed < 5 ? "camp" : "other"));
    }
    const auto families = aggregate(scores, {});
    ASSERT_EQ(families.size(), 2U);
    EXPECT_EQ(families[0].family, "camp");
    EXPECT_EQ(families[0].series, 5);
    const auto recall = std::find_if(families[0].figures.begin(), families[0].figures.end(),
                                     [](const auto& f) { return f.name == "posts_recall"; });
    EXPECT_NEAR(recall->value, 0.6, 1e-12);
    EXPECT_LT(recall->low, 0.3);
    EXPECT_GT(recall->high, 0.9);
    EXPECT_EQ(recall->cases, 5 * 71);
    const auto single = std::find_if(families[1].figures.begin(), families[1].figures.end(),
                                     [](const auto& f) { return f.name == "posts_recall"; });
    EXPECT_TRUE(std::isnan(single->low)) << "one series has no spread";
    const std::string text = score_json(scores, families);
    const auto json = nlohmann::json::parse(text);
    EXPECT_EQ(
        json["families"][0]["figures"].size(),
        static_cast<std::size_t>(std::count_if(scores[0].figures.begin(), scores[0].figures.end(),
                                               [](const Figure& f) { return f.stratum.empty(); })));
    EXPECT_TRUE(json["series"][5]["simulated"]);
    EXPECT_EQ(text, score_json(scores, aggregate(scores, {})));
    const std::string table = score_table(families);
    EXPECT_NE(table.find("posts_recall"), std::string::npos);
    EXPECT_NE(table.find("share of true posts"), std::string::npos)
        << "every figure has its definition beside it";
}

TEST(Evaluate, AssignmentFindsTheMostAndNearestMatches) {
    // The greedy choice (0,0) would leave 1 without a partner.
    EXPECT_EQ(assign(2, 2, std::vector<MatchCandidate>{{0, 0, 0.9}, {0, 1, 0.5}, {1, 0, 0.6}}),
              (std::vector<std::pair<int, int>>{{0, 1}, {1, 0}}));
    EXPECT_TRUE(assign(3, 0, {}).empty());
    // Against all permutations.
    std::mt19937_64 random(5);
    for (int round = 0; round < 200; ++round) {
        const int n = 1 + static_cast<int>(random() % 5), m = 1 + static_cast<int>(random() % 5);
        std::vector<MatchCandidate> candidates;
        std::vector<std::vector<double>> gain(static_cast<std::size_t>(n),
                                              std::vector<double>(static_cast<std::size_t>(m), 0));
        for (int a = 0; a < n; ++a)
            for (int b = 0; b < m; ++b)
                if (random() % 2) {
                    const double g = 0.001 + 0.999 * static_cast<double>(random() % 1000) / 1000;
                    gain[static_cast<std::size_t>(a)][static_cast<std::size_t>(b)] = g;
                    candidates.push_back({a, b, g});
                }
        const auto value = [&](const std::vector<std::pair<int, int>>& pairs) {
            double v = 0;
            for (const auto& [a, b] : pairs)
                if (const double g = gain[static_cast<std::size_t>(a)][static_cast<std::size_t>(b)];
                    g > 0)
                    v += 100 + g;
            return v;
        };
        std::vector<int> columns(static_cast<std::size_t>(std::max(n, m)));
        std::iota(columns.begin(), columns.end(), 0);
        double best = 0;
        do {
            std::vector<std::pair<int, int>> pairs;
            for (int a = 0; a < n; ++a)
                if (columns[static_cast<std::size_t>(a)] < m)
                    pairs.emplace_back(a, columns[static_cast<std::size_t>(a)]);
            best = std::max(best, value(pairs));
        } while (std::next_permutation(columns.begin(), columns.end()));
        ASSERT_NEAR(value(assign(n, m, candidates)), best, 1e-9) << round;
    }
}

TEST(Evaluate, DisplacementsAreReadFromTheTruthFile) {
    const TruthFrames frames = parse_truth_frames(R"({"simulation": {"family": "camp25", "scenes": [
        {"id": "a", "displacement": {"dx_m": 3.1, "dy_m": -2.4, "centre": [500, 600], "linear": [1, 2, 3, 4],
         "lattice": {"origin": [10, 20], "spacing_m": 100, "columns": 2, "rows": 1, "dx_m": [0.5, 1], "dy_m": [0, 2]}}},
        {"id": "b"}]}})",
                                                  "truth.json");
    EXPECT_EQ(frames.family, "camp25");
    ASSERT_EQ(frames.displacements.size(), 1U);
    const SceneDisplacement& d = frames.displacements[0];
    EXPECT_EQ(d.scene, "a");
    EXPECT_EQ(d.dy_m, -2.4);
    EXPECT_EQ(d.linear[3], 4);
    EXPECT_EQ(d.centre_map, (Point{500, 600}));
    EXPECT_EQ(d.origin_map, (Point{10, 20}));
    EXPECT_EQ(d.lattice.columns, 2);
    EXPECT_EQ(d.lattice.dy[1], 2);
    EXPECT_TRUE(parse_truth_frames("{}", "t").displacements.empty())
        << "truth need not be simulated";
    for (
        const char* bad :
        {"", "[1", R"({"simulation": {"scenes": [{"id": "a", "displacement": {"dx_m": "x"}}]}})",
         R"({"simulation": {"scenes": [{"id": "a", "displacement": {"dx_m": 1, "dy_m": 1, "centre": [1, 2], "linear": [0, 0, 0, 0],
                               "lattice": {"origin": [1, 2], "spacing_m": 10, "columns": 9, "rows": 9, "dx_m": [], "dy_m": []}}}]}})"})
        EXPECT_THROW(parse_truth_frames(bad, "t"), DataError) << bad;
}

}  // namespace
}  // namespace fenceline
