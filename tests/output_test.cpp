#include <cpl_minixml.h>
#include <cpl_vsi.h>
#include <fmt/format.h>
#include <gdal_priv.h>
#include <gtest/gtest.h>
#include <ogrsf_frmts.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <clocale>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <opencv2/imgcodecs.hpp>

#include "core/error.h"
#include "core/standing_count.h"
#include "input/image_io.h"
#include "output/changes_geojson.h"
#include "output/digest.h"
#include "output/escape.h"
#include "output/exports.h"
#include "output/geopackage.h"
#include "output/image_chips.h"
#include "output/kmz.h"
#include "output/provenance.h"
#include "output/report_html.h"
#include "output/report_json.h"
#include "output/single_file.h"
#include "output/staged_output.h"
#include "output/zip_archive.h"
#include "output_fixture.h"

namespace fenceline {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

const Report& camp() {
    static const Report report = fixture::report();
    return report;
}

const std::vector<std::string>& hostile_names() {
    static const std::vector<std::string> names{"</script><script>alert(1)</script>",
                                                "<img src=x onerror=alert(1)>",
                                                "\"' onload=\"alert(1)",
                                                "청진 25호 관리소",
                                                "\u202Etxt.exe",
                                                "=HYPERLINK(\"http://x\")",
                                                "]]><x>",
                                                "{{&name}}",
                                                "\xff\xfe broken \xc3",
                                                "a\nb\rc",
                                                "\u2028 line",
                                                "../../etc/passwd",
                                                "&amp;"};
    return names;
}

// The same report with a stranger's text in every place that text can come from outside.
Report hostile(const std::string& name) {
    Report report = camp();
    report.site->name = report.site->id = report.site->province = report.site->status = name;
    report.site->names = {name, name, name, name, {name}};
    report.site->sources = {name};
    for (auto& scene : report.scenes) {
        const std::string id = scene.id + name;
        for (auto& perimeter : report.perimeters)
            if (perimeter.scene == scene.id) perimeter.scene = id;
        scene.id = id;
        scene.source = scene.sensor = scene.reason = name;
        scene.notes = {name};
    }
    for (auto& change : report.changes)
        for (auto& observation : change.observations) observation.scene += name;
    for (auto& structure : report.structures)
        for (auto& observation : structure.observations) observation.scene += name;
    for (auto& finding : report.findings) finding.statement = name + " grew";
    for (auto& item : report.not_observable) item.reason = name;
    return report;
}

TEST(ReportJson, HasTheContractsKeysInItsOrder) {
    const auto document = nlohmann::ordered_json::parse(report_json(camp()));
    const auto keys = [](const nlohmann::ordered_json& object) {
        std::vector<std::string> out;
        for (const auto& item : object.items()) out.push_back(item.key());
        return out;
    };
    const auto starts_with = [&](const nlohmann::ordered_json& object,
                                 std::vector<std::string> wanted) {
        auto found = keys(object);
        found.resize(std::min(found.size(), wanted.size()));
        EXPECT_EQ(found, wanted);
    };
    EXPECT_EQ(keys(document),
              (std::vector<std::string>{"schema", "software", "simulated", "site", "grid", "scenes",
                                        "perimeters", "structures", "changes", "findings",
                                        "not_observable"}));
    EXPECT_EQ(document["schema"], "fenceline-report/1");
    EXPECT_EQ(keys(document["software"]), (std::vector<std::string>{"name", "version", "commit"}));
    starts_with(document["site"], {"id", "name", "names", "type", "province"});
    EXPECT_EQ(keys(document["grid"]),
              (std::vector<std::string>{"crs", "gsd_m", "width", "height", "geotransform"}));
    starts_with(document["scenes"][0],
                {"id", "datetime", "source", "sha256", "sensor", "gsd_m", "bands", "sun_azimuth",
                 "sun_elevation", "off_nadir", "usable_fraction", "role", "reason", "registration",
                 "normalization"});
    EXPECT_EQ(keys(document["scenes"][0]["registration"]),
              (std::vector<std::string>{"model", "dx_m", "dy_m", "tie_points", "rmse_m", "ce90_m",
                                        "status", "samples"}));
    EXPECT_EQ(keys(document["scenes"][0]["normalization"]["bands"][0]),
              (std::vector<std::string>{"gain", "offset", "rmse_before", "rmse_after"}));
    EXPECT_EQ(keys(document["perimeters"][0]),
              (std::vector<std::string>{"scene", "datetime", "area_m2", "area_ci", "length_m",
                                        "length_ci", "supported_fraction", "origin", "geometry",
                                        "segments"}));
    EXPECT_EQ(keys(document["structures"][0]),
              (std::vector<std::string>{"id", "kind", "geometry", "area_m2", "height_m",
                                        "height_ci", "last_not_seen", "first_seen", "last_seen",
                                        "first_not_seen", "confidence", "observations"}));
    starts_with(document["changes"][0],
                {"id", "kind", "state", "confidence", "geometry", "area_m2", "last_not_seen",
                 "first_seen", "structure", "observations"});
    starts_with(document["findings"][0],
                {"statement", "kind", "values", "likelihood", "confidence", "evidence"});
    EXPECT_EQ(keys(document["not_observable"][0]),
              (std::vector<std::string>{"geometry", "scenes", "reason"}));
    const auto& values = document["findings"][0]["values"];
    ASSERT_TRUE(values.contains("growth_percent_ci"));
    EXPECT_FALSE(values.contains("growth_percent_low"));
    EXPECT_LT(values["growth_percent_ci"][0], values["growth_percent"]);
    EXPECT_GT(values["growth_percent_ci"][1], values["growth_percent"]);
    EXPECT_TRUE(document["scenes"][0]["off_nadir"].is_null()) << "not known is null";
    EXPECT_TRUE(document["structures"][0]["height_m"].is_null());
}

TEST(ReportJson, ReadsBackWhatItWrote) {
    const std::string once = report_json(camp());
    const Report read = parse_report(once, "report.json");
    EXPECT_EQ(report_json(read), once);
    ASSERT_EQ(read.perimeters.size(), camp().perimeters.size());
    EXPECT_NEAR(read.perimeters[2].area_m2, camp().perimeters[2].area_m2, 0.01);
    EXPECT_EQ(read.findings[0].values.at("growth_percent_low") <
                  read.findings[0].values.at("growth_percent"),
              true);
    EXPECT_EQ(read.scenes[1].datetime, camp().scenes[1].datetime);
    Report registered = camp();
    RegistrationSummary registration{"affine", 1.2, -0.5, 40, 0.2, 0.4, "pass"};
    registration.samples = {{{129.72, 41.83}, 1.25, -0.5}, {{129.73, 41.84}, 1.125, -0.75}};
    registered.scenes[1].registration = registration;
    const Report again = parse_report(report_json(registered), "report.json");
    ASSERT_EQ(again.scenes[1].registration->samples.size(), 2U);
    EXPECT_EQ(again.scenes[1].registration->samples[1].lonlat, (Point{129.73, 41.84}));
    EXPECT_EQ(again.scenes[1].registration->samples[1].dy_m, -0.75);
    validate_report(report_json(registered));
    EXPECT_EQ(read.changes.back().structure, camp().changes.back().structure);
    for (std::size_t i = 0; i < read.perimeters[0].geometry.size(); ++i)
        EXPECT_GT(signed_area(read.perimeters[0].geometry), 0) << "counter-clockwise";
}

TEST(ReportJson, SameReportSameBytesInAnyLocale) {
    const std::string once = report_json(camp());
    for (const char* name : {"de_DE.UTF-8", "tr_TR.UTF-8", "C.UTF-8"}) {
        if (std::setlocale(LC_ALL, name) == nullptr) continue;
        EXPECT_EQ(report_json(camp()), once) << name;
        EXPECT_EQ(report_json(parse_report(once, "x")), once) << name;
    }
    std::setlocale(LC_ALL, "C");
}

TEST(ReportJson, FitsTheSchemaAlsoWithHostileNamesAndWithoutASite) {
    EXPECT_NO_THROW(validate_report(report_json(camp())));
    for (const auto& name : hostile_names())
        EXPECT_NO_THROW(validate_report(report_json(hostile(name)))) << name;
    Report compare = camp();
    compare.site.reset();
    compare.perimeters.clear();
    const std::string text = report_json(compare);
    EXPECT_NO_THROW(validate_report(text));
    EXPECT_FALSE(json::parse(text).contains("site"));
    EXPECT_FALSE(json::parse(text).contains("perimeters"));
    Report left_out = camp();
    left_out.scenes[0] = {};
    left_out.scenes[0].id = "x";
    left_out.scenes[0].role = "left_out";
    left_out.scenes[0].reason = "no acquisition time";
    EXPECT_NO_THROW(validate_report(report_json(left_out)));
}

TEST(ReportJson, TheSchemaRefusesWordsThatTheContractDoesNotHave) {
    const auto refused = [](const std::function<void(json&)>& spoil) {
        json document = json::parse(report_json(camp()));
        spoil(document);
        EXPECT_THROW(validate_report(document.dump()), DataError);
    };
    refused([](json& d) { d["schema"] = "fenceline-report/2"; });
    refused([](json& d) { d["scenes"][0]["role"] = "ignored"; });
    refused([](json& d) { d["scenes"][0]["registration"]["status"] = "good"; });
    refused([](json& d) { d["scenes"][0]["datetime"] = "yesterday"; });
    refused([](json& d) { d["scenes"][0]["sha256"] = "12"; });
    refused([](json& d) { d["changes"][0]["kind"] = "new_fence"; });
    refused([](json& d) { d["changes"][0]["state"] = "maybe"; });
    refused([](json& d) { d["changes"][0]["confidence"] = 1.2; });
    refused([](json& d) { d["structures"][0]["kind"] = "tower"; });
    refused([](json& d) { d["structures"][0]["observations"][0]["seen"] = "unseen"; });
    refused([](json& d) { d["perimeters"][0]["origin"] = "guessed"; });
    refused([](json& d) { d["perimeters"][0]["segments"][0]["support"] = "guessed"; });
    refused([](json& d) { d["perimeters"][0].erase("area_ci"); });
    refused([](json& d) { d["perimeters"][0]["geometry"]["coordinates"][0][0][1] = 91; });
    refused([](json& d) { d["findings"][0]["confidence"] = "total"; });
    refused([](json& d) { d["site"]["type"] = "prison"; });
    refused([](json& d) { d.erase("simulated"); });
    // And accepts every one that it has.
    const auto accepted = [](const std::function<void(json&)>& alter) {
        json document = json::parse(report_json(camp()));
        alter(document);
        EXPECT_NO_THROW(validate_report(document.dump()));
    };
    for (const char* kind :
         {"new_building", "removed_building", "modified_building", "new_guard_post",
          "removed_guard_post", "perimeter_expansion", "perimeter_contraction", "new_road",
          "ground_disturbance", "vegetation_change"})
        accepted([&](json& d) { d["changes"][0]["kind"] = kind; });
    for (const char* state : {"candidate", "provisional", "confirmed", "rejected", "ended"})
        accepted([&](json& d) { d["changes"][0]["state"] = state; });
    for (const auto& type : site_types()) accepted([&](json& d) { d["site"]["type"] = type; });
}

TEST(ReportJson, RefusesWhatIsNoReportAndNamesTheSpot) {
    for (
        const char* text :
        {"", "{", "[]", "{}", "7", "{\"schema\":\"other/1\"}", "{\"scenes\":7}", "{\"scenes\":[7]}",
         "{\"scenes\":[{\"datetime\":\"2017-13-01\"}]}", "{\"scenes\":[{\"gsd_m\":1e999}]}",
         "{\"perimeters\":[{\"geometry\":{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[1,1]]]}}]}",
         "{\"perimeters\":[{\"geometry\":{\"type\":\"Polygon\",\"coordinates\":[]}}]}",
         "{\"perimeters\":[{\"area_ci\":[1]}]}",
         "{\"changes\":[{\"geometry\":{\"type\":\"Point\",\"coordinates\":[0,95]}}]}"})
        EXPECT_THROW(parse_report(text, "x.json"), DataError) << text;
    try {
        parse_report("{\"scenes\":[{},{\"bands\":\"three\"}]}", "x.json");
        FAIL();
    } catch (const DataError& error) {
        EXPECT_NE(
            std::string(error.what()).find("x.json: $.scenes[1].bands is \"three\", not a number"),
            std::string::npos)
            << error.what();
    }
    EXPECT_THROW(read_report("/nowhere/report.json"), DataError);
    std::string deep(200000, '[');
    EXPECT_THROW(parse_report("{\"scenes\":" + deep, "x"), DataError);
    // A simulator's truth has more keys than a report.
    const Report truth = parse_report(
        "{\"schema\":\"fenceline-report/"
        "1\",\"displacement\":[1],\"scenes\":[{\"id\":\"a\",\"field\":{}}]}",
        "truth.json");
    EXPECT_EQ(truth.scenes.at(0).id, "a");
}

TEST(ChangesGeojson, IsRightHandedAndLeavesRejectedOnesOut) {
    Report report = camp();
    std::reverse(report.changes[0].footprint.begin(), report.changes[0].footprint.end());
    report.changes[1].state = "rejected";
    const json document = json::parse(changes_geojson(report));
    ASSERT_EQ(document["features"].size(), report.changes.size() - 1);
    for (const auto& feature : document["features"]) {
        if (feature["geometry"]["type"] != "Polygon") continue;
        Ring ring;
        for (const auto& p : feature["geometry"]["coordinates"][0]) ring.push_back({p[0], p[1]});
        EXPECT_EQ(ring.front(), ring.back());
        ring.pop_back();
        EXPECT_GT(signed_area(ring), 0);
    }
    EXPECT_EQ(changes_geojson(report), changes_geojson(report));
}

struct CloseDataset {
    void operator()(GDALDataset* dataset) const { GDALClose(dataset); }
};

TEST(Geopackage, HoldsTheReportAndHasTheSameBytesTwice) {
    GDALAllRegister();
    const fixture::Folder folder;
    const std::vector<TiePointRecord> ties{
        {"camp25_20030512", 129.72, 41.83, -3.2, 1.7, 0.2, true},
        {"camp25_20030512", 129.73, 41.84, 9.2, 1.7, 8.0, false}};
    const std::string path = (folder.path / "results.gpkg").string(),
                      again = (folder.path / "again.gpkg").string();
    write_geopackage(path, camp(), ties);
    ::sleep(1);  // a clock in the file would show
    write_geopackage(again, camp(), ties);
    EXPECT_EQ(fixture::read_bytes(path), fixture::read_bytes(again));
    std::unique_ptr<GDALDataset, CloseDataset> dataset(
        GDALDataset::Open(path.c_str(), GDAL_OF_VECTOR, nullptr, nullptr, nullptr));
    ASSERT_TRUE(dataset);
    const auto count = [&](const char* name) {
        OGRLayer* layer = dataset->GetLayerByName(name);
        return layer == nullptr ? -1 : static_cast<int>(layer->GetFeatureCount());
    };
    EXPECT_EQ(count("scenes"), static_cast<int>(camp().scenes.size()));
    EXPECT_EQ(count("perimeters"), static_cast<int>(camp().perimeters.size()));
    EXPECT_EQ(count("structures"), static_cast<int>(camp().structures.size()));
    EXPECT_EQ(count("changes"), static_cast<int>(camp().changes.size()));
    EXPECT_EQ(count("tie_points"), 2);
    EXPECT_EQ(count("not_observable"), 1);
    EXPECT_EQ(count("layer_styles"), 5);
    OGRLayer* perimeters = dataset->GetLayerByName("perimeters");
    std::unique_ptr<OGRFeature> feature(perimeters->GetNextFeature());
    EXPECT_NEAR(feature->GetFieldAsDouble("area_m2"), camp().perimeters[0].area_m2, 0.01);
    EXPECT_STREQ(feature->GetFieldAsString("datetime"), "2003/05/12 02:11:40+00");
    ASSERT_NE(feature->GetGeometryRef(), nullptr);
    EXPECT_TRUE(feature->GetGeometryRef()->IsValid());
    EXPECT_THROW(write_geopackage("/nowhere/results.gpkg", camp(), ties), DataError);
}

TEST(Geopackage, TakesHostileNamesAndAnEmptyReport) {
    GDALAllRegister();
    const fixture::Folder folder;
    for (const auto& name : hostile_names())
        EXPECT_NO_THROW(write_geopackage((folder.path / "a.gpkg").string(), hostile(name), {}))
            << name;
    EXPECT_NO_THROW(write_geopackage((folder.path / "b.gpkg").string(), Report{}, {}));
}

const std::vector<ImageChip>& camp_chips() {
    static const std::vector<ImageChip> chips = [] {
        std::vector<ImageChip> all;
        for (int i = 0; i < 6; ++i) {
            if (i == fixture::kClouded) continue;
            for (auto& chip : scene_chips(camp(), fixture::scene_id(i), fixture::image(i)))
                all.push_back(std::move(chip));
        }
        return all;
    }();
    return chips;
}

TEST(ImageChips, ShowTheRightGroundInTheRightPlace) {
    Raster raster;
    raster.grid = fixture::grid();
    raster.grid.width = 400;
    raster.grid.height = 200;
    raster.roles = {BandRole::red, BandRole::green, BandRole::blue};
    raster.valid = Mask(400, 200, 1);
    for (int b = 0; b < 3; ++b) raster.bands.emplace_back(400, 200, 100.F);
    for (int y = 0; y < 200; ++y)
        for (int x = 200; x < 400; ++x) raster.bands[0].at(x, y) = 1000;  // the right half is red
    for (int y = 0; y < 200; ++y)
        for (int x = 0; x < 100; ++x) {
            raster.valid.at(x, y) = 0;
            for (auto& band : raster.bands) band.at(x, y) = 0;
        }
    const Stretch stretch = stretch_of(raster);
    EXPECT_FLOAT_EQ(stretch.low[0], 100);
    EXPECT_FLOAT_EQ(stretch.high[0], 1000);
    const ImageChip chip = make_chip(raster, stretch, {0, 0, 400, 200}, 200);
    ASSERT_EQ(chip.width, 200);
    ASSERT_EQ(chip.height, 100);
    const cv::Mat picture = cv::imdecode(chip.jpeg, cv::IMREAD_COLOR);
    ASSERT_EQ(picture.cols, 200);
    const auto at = [&](int x, int y) { return picture.at<cv::Vec3b>(y, x); };
    EXPECT_GT(at(150, 50)[2], 200) << "red on the right";
    EXPECT_LT(at(150, 50)[0], 60);
    EXPECT_LT(at(75, 50)[2], 60) << "dark in the middle";
    EXPECT_NEAR(at(20, 50)[1], 232, 12) << "no data is light grey";
    const GridProjection projection(raster.grid);
    const Point corner = projection.px_from_lonlat(chip.corners_lonlat[2]);
    EXPECT_NEAR(corner.x, 400, 1e-3);
    EXPECT_NEAR(corner.y, 200, 1e-3);
    EXPECT_EQ(make_chip(raster, stretch, {0, 0, 400, 200}, 200).jpeg, chip.jpeg);
    EXPECT_TRUE(make_chip(raster, stretch, {500, 0, 10, 10}, 200).jpeg.empty());
    EXPECT_TRUE(make_chip(Raster{}, {}, {0, 0, 1, 1}, 10).jpeg.empty());
    raster.valid = Mask(400, 200, 0);
    EXPECT_FALSE(make_chip(raster, stretch_of(raster), {0, 0, 400, 200}, 200).jpeg.empty())
        << "all no data";
    raster.bands.resize(1);
    raster.roles = {BandRole::pan};
    EXPECT_FALSE(make_chip(raster, stretch_of(raster), {0, 0, 3, 2}, 200).jpeg.empty())
        << "one band, tiny";
}

TEST(ImageChips, CloseUpsHoldTheirChange) {
    const GridProjection projection(fixture::grid());
    int pairs = 0;
    for (const ImageChip& chip : camp_chips()) {
        if (chip.change_id.empty()) continue;
        const auto change = std::find_if(camp().changes.begin(), camp().changes.end(),
                                         [&](const auto& c) { return c.id == chip.change_id; });
        ASSERT_NE(change, camp().changes.end());
        const Point low = projection.px_from_lonlat(chip.corners_lonlat[0]),
                    high = projection.px_from_lonlat(chip.corners_lonlat[2]);
        const Point at = projection.px_from_lonlat(change->position);
        EXPECT_TRUE(at.x > low.x && at.x < high.x && at.y > low.y && at.y < high.y)
            << chip.change_id;
        const ScenePair pair = scenes_of(camp(), *change);
        EXPECT_TRUE(chip.scene_id == pair.before || chip.scene_id == pair.after);
        ++pairs;
    }
    EXPECT_EQ(pairs, 2 * static_cast<int>(changes_to_show(camp(), 24).size()))
        << "before and after";
}

TEST(CountEstimate, IsThePoissonBinomialDistribution) {
    const std::vector<double> sure(17, 1.0);
    EXPECT_EQ(count_of(sure).low, 17);
    EXPECT_EQ(count_of(sure).high, 17);
    EXPECT_DOUBLE_EQ(count_of(sure).expected, 17);
    const std::vector<double> coins(100, 0.5);  // binomial(100, 0.5): 5 % below 42, 95 % up to 58
    EXPECT_EQ(count_of(coins).low, 42);
    EXPECT_EQ(count_of(coins).high, 58);
    EXPECT_EQ(count_of({}).high, 0);
}

TEST(ReportHtml, SaysWhatTheReportSays) {
    const std::string html = report_html(camp(), camp_chips(), "[align]\nsearch_m = 100\n");
    std::string text_only = html;  // dates are held together by spans
    for (const std::string span : {"<span class=\"nb\">", "</span>"})
        for (auto at = text_only.find(span); at != std::string::npos; at = text_only.find(span, at))
            text_only.erase(at, span.size());
    for (const std::string& text :
         {std::string("SIMULATED IMAGES"), html_escape(camp().findings[0].statement),
          std::string("almost certain"), std::string("청진 25호 관리소"),
          std::string("81 % of the area is under cloud"), std::string("search_m = 100"),
          camp().scenes[0].sha256, std::string("outside the image"),
          std::string("No usable image between 2009-10-04 and 2010-09-11")})
        EXPECT_NE(text_only.find(text), std::string::npos) << text;
    EXPECT_LT(html.size(), 15'000'000U);
    EXPECT_EQ(html, report_html(camp(), camp_chips(), "[align]\nsearch_m = 100\n"));
    Report real = camp();
    real.simulated = false;
    EXPECT_EQ(report_html(real, {}, "").find("SIMULATED IMAGES"), std::string::npos);
    EXPECT_NO_THROW(report_html(Report{}, {}, ""));
    Report odd = camp();
    odd.grid.crs = "no such thing";
    EXPECT_NO_THROW(report_html(odd, camp_chips(), ""));
}

// What a browser would run or fetch: every script element's text, every attribute that can load
// something.
TEST(ReportHtml, IsInertWhateverTheNames) {
    const auto count = [](const std::string& text, const std::string& what) {
        int n = 0;
        for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
        return n;
    };
    const std::string plain = report_html(camp(), {}, "");
    for (const auto& name : hostile_names()) {
        const std::string html = report_html(hostile(name), {}, name);
        for (const char* opening : {"<script", "</script", "<img", "<style", "<iframe", "<svg",
                                    "onload=", "onerror=", "javascript:"})
            if (name.find("onload=") == std::string::npos &&
                name.find("onerror=") == std::string::npos) {
                EXPECT_EQ(count(html, opening), count(plain, opening))
                    << name << " changes the number of " << opening;
            }
        EXPECT_EQ(html.find("<script>alert"), std::string::npos);
        EXPECT_EQ(html.find("<img src=x"), std::string::npos);
        EXPECT_EQ(html.find("\" onload=\"alert"), std::string::npos);
    }
    EXPECT_EQ(count(plain, "<script"), 4);
    std::string
        markup;  // what is outside the scripts, whose texts hold addresses that are never asked for
    for (std::size_t at = 0; at != std::string::npos;) {
        const std::size_t open = plain.find("<script>", at);
        markup += plain.substr(at, open - at);
        at = open == std::string::npos ? open : plain.find("</script>", open);
    }
    for (const char* loader : {"src=\"http", "src='http", "href=\"http", "url(http", "@import",
                               "<link", "http://", "https://"})
        EXPECT_EQ(count(markup, loader), 0) << loader;

    for (const char* loader : {"src=\"http", "src='http", "href=\"http", "href='http"})
        EXPECT_EQ(count(plain, loader), 0) << loader << ", scripts included";

    // The policy names exactly the scripts and the style that stand in the page.
    for (std::size_t at = plain.find("<script>"); at != std::string::npos;
         at = plain.find("<script>", at + 1)) {
        const std::size_t end = plain.find("</script>", at);
        EXPECT_NE(plain.find("'" + csp_hash(plain.substr(at + 8, end - at - 8)) + "'"),
                  std::string::npos);
    }
    const std::size_t style = plain.find("<style>") + 7;
    EXPECT_NE(plain.find("style-src '" +
                         csp_hash(plain.substr(style, plain.find("</style>") - style)) + "'"),
              std::string::npos);
    EXPECT_EQ(plain.find("unsafe-inline"), std::string::npos);
}

TEST(ReportHtml, RunsInABrowserWithoutAComplaint) {
    const fixture::Folder folder;
    const char* keep = std::getenv("FENCELINE_SCREENSHOTS");
    const auto check = [&](const Report& report, std::span<const ImageChip> chips,
                           const std::string& shots) {
        const fs::path page = folder.path / "report.html";
        write_file(page.string(), report_html(report, chips, "[align]\nsearch_m = 100\n"));
        const std::string command = std::string(FENCELINE_SOURCE_DIR) +
                                    "/tests/browser/check_report.sh '" + page.string() + "' " +
                                    shots;
        return std::system(command.c_str());
    };
    const int first =
        check(camp(), camp_chips(), keep != nullptr ? "'" + std::string(keep) + "'" : "");
    if (WIFEXITED(first) && WEXITSTATUS(first) == 77) GTEST_SKIP() << "skipped: no Chromium";
    EXPECT_EQ(first, 0);
    EXPECT_EQ(check(hostile("</script><script>alert(1)</script><img src=x onerror=alert(1)>"),
                    camp_chips(), ""),
              0);
}

std::string in_zip(const fs::path& zip, const std::string& name) {
    const std::string path = "/vsizip/{" + zip.string() + "}/" + name;
    VSILFILE* file = VSIFOpenL(path.c_str(), "rb");
    if (file == nullptr) return "";
    std::string out;
    char buffer[4096];
    for (std::size_t n = VSIFReadL(buffer, 1, sizeof buffer, file); n > 0;
         n = VSIFReadL(buffer, 1, sizeof buffer, file))
        out.append(buffer, n);
    VSIFCloseL(file);
    return out;
}

TEST(Kmz, HoldsTimesAndPicturesAndHasTheSameBytesTwice) {
    const fixture::Folder folder;
    write_kmz((folder.path / "report.kmz").string(), camp(), camp_chips());
    ::sleep(1);
    write_kmz((folder.path / "again.kmz").string(), camp(), camp_chips());
    EXPECT_EQ(fixture::read_bytes(folder.path / "report.kmz"),
              fixture::read_bytes(folder.path / "again.kmz"));
    const std::string kml = in_zip(folder.path / "report.kmz", "doc.kml");
    EXPECT_EQ(kml, report_kml(camp(), camp_chips()));
    EXPECT_NE(kml.find("<TimeSpan><begin>2009-10-04T02:25:31Z</begin><end>2010-09-11T02:22:16Z</"
                       "end></TimeSpan>"),
              std::string::npos);
    EXPECT_NE(kml.find("SIMULATED"), std::string::npos);
    // Unpackers refuse day 0 of month 0: each entry is of 1980-01-01, in both of its headers.
    const std::string archive = fixture::read_bytes(folder.path / "report.kmz");
    int entries = 0;
    for (const auto& [header, date] : {std::pair{"PK\3\4", 10}, std::pair{"PK\1\2", 12}})
        for (std::size_t at = archive.find(header); at != std::string::npos;
             at = archive.find(header, at + 1), ++entries)
            EXPECT_EQ(archive.substr(at + static_cast<std::size_t>(date), 4),
                      std::string("\0\0\x21\0", 4));
    EXPECT_EQ(entries % 2, 0);
    EXPECT_GE(entries, 4);
    EXPECT_EQ(in_zip(folder.path / "report.kmz", "files/000_2003-05-12.jpg").substr(0, 2),
              "\xFF\xD8");
    EXPECT_THROW(write_kmz("/nowhere/report.kmz", camp(), {}), DataError);
}

TEST(Kmz, IsWellFormedAndInertWhateverTheNames) {
    GDALAllRegister();
    const fixture::Folder folder;
    for (const auto& name : hostile_names()) {
        const std::string kml = report_kml(hostile(name), {});
        EXPECT_EQ(kml.find("<script"), std::string::npos);
        EXPECT_EQ(kml.find("&lt;script"), std::string::npos)
            << "Google Earth reads descriptions as HTML";
        EXPECT_EQ(kml.find("&lt;img"), std::string::npos);
        CPLXMLNode* tree = CPLParseXMLString(kml.c_str());
        EXPECT_NE(tree, nullptr) << name;
        CPLDestroyXMLNode(tree);
    }
}

TEST(RoCrate, NamesEveryFileWithItsHash) {
    const fixture::Folder folder;
    const fs::path run = folder.path / "run";
    fs::create_directories(run / "change");
    write_file((run / "report.json").string(), "abc");
    write_file((run / "change/a b.tif").string(), "x");
    write_file((folder.path / "image.tif").string(), "pixels");
    write_file((folder.path / "copy.tif").string(), "pixels");
    const Provenance provenance{{"run", "--site", "<script>"},
                                "[align]\nsearch_m = 100\n# no key\n[]\njunk\n",
                                {{(folder.path / "image.tif").string(), "images/image.tif", ""},
                                 {(folder.path / "copy.tif").string(), "images/copy.tif", ""}},
                                *parse_time("2026-01-01T00:00:00Z"),
                                *parse_time("2026-01-01T00:01:00Z")};
    const std::string text = ro_crate_json(camp(), provenance, run.string());
    EXPECT_EQ(text, ro_crate_json(camp(), provenance, run.string()));
    EXPECT_EQ(text.find(folder.path.string()), std::string::npos)
        << "paths of this machine are nobody's business";
    std::map<std::string, json> by_id;
    const json crate = json::parse(text);
    for (const auto& item : crate["@graph"])
        EXPECT_TRUE(by_id.emplace(item["@id"].get<std::string>(), item).second) << item["@id"];
    EXPECT_EQ(by_id.at("report.json")["sha256"],
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(by_id.at("report.json")["contentSize"], "3");
    EXPECT_TRUE(by_id.contains("change/a%20b.tif"));
    EXPECT_EQ(by_id.at("#parameter/align.search_m")["value"], "100");
    EXPECT_EQ(by_id.at("#run")["startTime"], "2026-01-01T00:00:00Z");
    // Every reference leads somewhere.
    const std::function<void(const json&)> follow = [&](const json& value) {
        if (value.is_object() && value.size() == 1 && value.contains("@id")) {
            const std::string id = value["@id"];
            EXPECT_TRUE(by_id.contains(id) || id.starts_with("http")) << id;
        }
        if (value.is_structured())
            for (const auto& item : value) follow(item);
    };
    for (const auto& [id, item] : by_id) follow(item);
    EXPECT_EQ(by_id.at("#run")["object"].size(), 2U)
        << "two inputs of the same bytes are one, and one parameter";
    ::setenv("SOURCE_DATE_EPOCH", "86400", 1);
    EXPECT_EQ(run_clock(), time_from_civil(1970, 1, 2));
    ::setenv("SOURCE_DATE_EPOCH", "soon", 1);
    EXPECT_THROW(run_clock(), UsageError);
    ::unsetenv("SOURCE_DATE_EPOCH");
}

// The reader that Uwazi has: comma, quotes doubled, line breaks inside quotes.
std::vector<std::vector<std::string>> csv_rows(const std::string& text) {
    std::vector<std::vector<std::string>> rows(1);
    std::string cell;
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted) {
            if (c == '"' && i + 1 < text.size() && text[i + 1] == '"')
                cell += '"', ++i;
            else if (c == '"')
                quoted = false;
            else
                cell += c;
        } else if (c == '"') {
            quoted = true;
        } else if (c == ',') {
            rows.back().push_back(cell), cell.clear();
        } else if (c == '\n') {
            rows.back().push_back(cell), cell.clear();
            rows.emplace_back();
        } else if (c != '\r') {
            cell += c;
        }
    }
    rows.pop_back();
    return rows;
}

TEST(ExportUwazi, WritesWhatItsImportReads) {
    const fixture::Folder folder;
    export_uwazi(camp(), std::string(64, 'a'), folder.path.string());
    const auto rows = csv_rows(in_zip(folder.path / "uwazi.zip", "import.csv"));
    ASSERT_EQ(rows.size(), 5U) << "a header and four intervals between five usable images";
    std::map<std::string, std::size_t> column;
    for (std::size_t i = 0; i < rows[0].size(); ++i) {
        EXPECT_EQ(rows[0][i].find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"),
                  std::string::npos)
            << rows[0][i];
        column[rows[0][i]] = i;
    }
    for (const auto& row : rows) ASSERT_EQ(row.size(), rows[0].size());
    EXPECT_EQ(rows[1][column.at("change_type")], "No change observed");
    const auto& grown = rows[2];
    EXPECT_EQ(grown[column.at("observation_period")], "2009-10-04:2010-09-11");
    EXPECT_EQ(grown[column.at("change_type")], "Guard post::Added|Perimeter::Expanded");
    EXPECT_EQ(grown[column.at("confidence")], "Confirmed");
    EXPECT_EQ(grown[column.at("location_geolocation")], "41.834396|129.725296");
    EXPECT_NE(grown[column.at("title")].find("SIMULATED"), std::string::npos);
    EXPECT_NEAR(std::stod(grown[column.at("area_change_percent")]),
                100 * (camp().perimeters[2].area_m2 / camp().perimeters[1].area_m2 - 1), 0.1);
    EXPECT_FALSE(
        json::parse(in_zip(folder.path / "uwazi.zip", grown[column.at("attachments")]))["features"]
            .empty());
    EXPECT_FALSE(column.contains("id")) << "an id would update, and reset, an entity";
    // A candidate beside surer changes is not told with their confidence.
    Report doubted = camp();
    for (ReportChange& change : doubted.changes)
        if (change.kind == "new_guard_post") change.state = "candidate";
    const fixture::Folder with_doubt;
    export_uwazi(doubted, "d", with_doubt.path.string());
    const auto surer = csv_rows(in_zip(with_doubt.path / "uwazi.zip", "import.csv"))[2];
    EXPECT_EQ(surer[column.at("change_type")], "Perimeter::Expanded");
    EXPECT_EQ(surer[column.at("guard_posts_added")], "0");
    const ReportScene& after =
        *std::find_if(doubted.scenes.begin(), doubted.scenes.end(), [](const ReportScene& scene) {
            return scene.role != "left_out" && format_date(*scene.datetime) == "2010-09-11";
        });
    EXPECT_EQ(surer[column.at("guard_posts_after")],
              fmt::format("{}", standing_count(doubted, "guard_post", after, 0.9).all.count));
    Report alone = camp();
    alone.scenes.resize(1);
    alone.changes.clear();
    EXPECT_THROW(export_uwazi(alone, "c", folder.path.string()), DataError) << "no interval";
    for (const auto& name : hostile_names()) {
        const fixture::Folder odd;
        export_uwazi(hostile(name), "b", odd.path.string());
        for (const auto& row : csv_rows(in_zip(odd.path / "uwazi.zip", "import.csv"))) {
            ASSERT_EQ(row.size(), rows[0].size()) << name;
            EXPECT_TRUE(row[1].empty() || std::string("=+-@").find(row[1][0]) == std::string::npos)
                << row[1];
        }
    }
}

TEST(ExportCsv, IsGuardedAndComplete) {
    const fixture::Folder folder;
    export_csv(hostile("=1+1"), folder.path.string());
    const auto gazetteer = csv_rows(fixture::read_bytes(folder.path / "gazetteer.csv"));
    EXPECT_EQ(gazetteer.size(), 2 + camp().structures.size());
    EXPECT_EQ(gazetteer[1][1], "'=1+1");
    EXPECT_EQ(csv_rows(fixture::read_bytes(folder.path / "changes.csv")).size(),
              1 + camp().changes.size());
    for (const char* name :
         {"gazetteer.csv", "scenes.csv", "perimeters.csv", "changes.csv", "findings.csv"}) {
        const auto rows = csv_rows(fixture::read_bytes(folder.path / name));
        for (const auto& row : rows) EXPECT_EQ(row.size(), rows[0].size()) << name;
    }
}

TEST(ExportStac, LinksLeadToFiles) {
    const fixture::Folder folder;
    Report odd = hostile("../../x");
    export_stac(odd, folder.path.string());
    int files = 0;
    const auto check = [&](const fs::path& file) {
        const json item = json::parse(fixture::read_bytes(file));
        EXPECT_EQ(item["stac_version"], "1.0.0");
        for (const auto& link : item["links"]) {
            const std::string href = link["href"];
            EXPECT_TRUE(fs::exists(file.parent_path() / href)) << file << " → " << href;
        }
        if (item["type"] != "Feature") return;
        ++files;
        EXPECT_EQ(item["id"].get<std::string>() + ".json", file.filename());
        EXPECT_TRUE(item["properties"]["simulated"]);
        const bool interval = item["properties"]["datetime"].is_null();
        EXPECT_EQ(interval, item["properties"].contains("start_datetime"));
        if (interval) {
            EXPECT_EQ(
                item["assets"]["changes"]["file:checksum"],
                "1220" + sha256_hex(fixture::read_bytes(file.parent_path() / "changes.geojson")));
        }
    };
    check(folder.path / "collection.json");
    for (const auto& entry : fs::recursive_directory_iterator(folder.path / "items"))
        if (entry.path().extension() == ".json") check(entry.path());
    EXPECT_EQ(files, 5 + 3) << "five images, three intervals with changes";
}

TEST(ExportBagit, ManifestsHold) {
    const fixture::Folder folder;
    const fs::path run = folder.path / "run", bag = folder.path / "bag";
    fs::create_directories(run / "change");
    fs::create_directory(bag);
    write_file((run / "report.json").string(), "abc");
    write_file((run / "change/50%.tif").string(), "x");
    export_bagit(camp(), run.string(), *parse_time("2026-01-02"), bag.string());
    EXPECT_EQ(fixture::read_bytes(bag / "bagit.txt"),
              "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n");
    EXPECT_EQ(
        fixture::read_bytes(bag / "manifest-sha256.txt"),
        sha256_hex("x") + "  data/change/50%25.tif\n" + sha256_hex("abc") + "  data/report.json\n");
    EXPECT_NE(fixture::read_bytes(bag / "bag-info.txt").find("Payload-Oxum: 4.2\n"),
              std::string::npos);
    const std::string tags = fixture::read_bytes(bag / "tagmanifest-sha256.txt");
    for (const char* name : {"bagit.txt", "bag-info.txt", "manifest-sha256.txt"})
        EXPECT_NE(tags.find(sha256_hex(fixture::read_bytes(bag / name)) + "  " + name + "\n"),
                  std::string::npos);
    EXPECT_EQ(fixture::read_bytes(bag / "data/change/50%.tif"), "x");
}

TEST(StagedOutput, PutsEverythingInPlaceOrNothing) {
    const fixture::Folder folder;
    const fs::path dir = folder.path / "out";
    {
        StagedOutput output(dir.string(), false);
        write_file(output.path("report.json"), "{}");
        write_file(output.path("change/a.tif"), "x");
        EXPECT_FALSE(fs::exists(dir));
        output.commit();
    }
    EXPECT_EQ(fixture::read_bytes(dir / "report.json"), "{}");
    EXPECT_EQ(fixture::read_bytes(dir / "change/a.tif"), "x");
    EXPECT_THROW(StagedOutput(dir.string(), false), UsageError);
    EXPECT_THROW(StagedOutput(dir.string() + "/", false), UsageError);
    try {
        StagedOutput output(dir.string(), true);
        write_file(output.path("report.json"), "{\"half\":1}");
        EXPECT_EQ(fixture::read_bytes(dir / "report.json"), "{}") << "the old content stays whole";
        throw Cancelled{};
    } catch (const Cancelled&) {
    }
    EXPECT_EQ(fixture::read_bytes(dir / "report.json"), "{}");
    {
        StagedOutput output(dir.string(), true);
        write_file(output.path("report.json"), "{\"new\":1}");
        output.commit();
    }
    EXPECT_EQ(fixture::read_bytes(dir / "report.json"), "{\"new\":1}");
    EXPECT_FALSE(fs::exists(dir / "change")) << "nothing of the old content is left";
    EXPECT_EQ(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()), 1)
        << "no temporary folder is left";
}

TEST(StagedOutput, FollowsALinkAndKeepsIt) {
    const fixture::Folder folder;
    fs::create_directory(folder.path / "real");
    write_file((folder.path / "real/report.json").string(), "old");
    fs::create_symlink("real", folder.path / "link");
    StagedOutput output((folder.path / "link").string(), true);
    write_file(output.path("report.json"), "new");
    output.commit();
    EXPECT_TRUE(fs::is_symlink(folder.path / "link"));
    EXPECT_EQ(fixture::read_bytes(folder.path / "real/report.json"), "new");
}

TEST(StagedOutput, WhatAKilledRunHasLeftGoesWithTheNextOne) {
    const fixture::Folder folder;
    const fs::path dir = folder.path / "out", left = folder.path / ".out.fenceline-abc123",
                   other = folder.path / ".out2.fenceline-abc123";
    for (const fs::path& stale : {left, other}) {
        fs::create_directories(stale / "change");
        write_file((stale / "report.json").string(), "half");
    }
    const StagedOutput first(dir.string(), false);
    EXPECT_FALSE(fs::exists(left)) << "however young: whoever makes one locks it, or makes another";
    const StagedOutput second(dir.string(), false);
    EXPECT_TRUE(fs::exists(other)) << "another run's";
    EXPECT_TRUE(fs::exists(first.folder())) << "a run is at work in it";
}

TEST(WholeFiles, AllOrNoneAndWhatAKilledRunHasLeftGoes) {
    const fixture::Folder folder;
    const fs::path left = folder.path / ".a.txt.fenceline-abc123";
    fs::create_directories(left);
    write_file((left / "a.txt").string(), "half");
    const std::string a = (folder.path / "a.txt").string(), b = (folder.path / "b.txt").string();
    const auto write = [](const std::string& path) { write_file(path, "whole"); };
    {
        WholeFiles files;
        files.add(a, write);
        EXPECT_FALSE(fs::exists(left));
        EXPECT_THROW(files.add(b,
                               [](const std::string& path) {
                                   write_file(path, "half");
                                   throw Cancelled{};
                               }),
                     Cancelled);
    }
    EXPECT_TRUE(fs::is_empty(folder.path));
    WholeFiles one, other;  // at the same time
    one.add(a, write);
    other.add(a, [](const std::string& path) { write_file(path, "second"); });
    one.commit();
    EXPECT_EQ(fixture::read_bytes(a), "whole");
    other.commit();
    EXPECT_EQ(fixture::read_bytes(a), "second");
    EXPECT_EQ(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()), 1);
}

TEST(StagedOutput, AFewPlainFilesAreReplacedButNeverWhatIsRead) {
    const fixture::Folder folder;
    fs::create_directory(folder.path / "out");
    const std::string dir = (folder.path / "out").string();
    write_file(dir + "/marker.txt", "old");
    {
        StagedOutput output(dir, true);
        write_file(output.path("report.json"), "new");
        EXPECT_EQ(fixture::read_bytes(dir + "/marker.txt"), "old");
        output.commit();
    }
    EXPECT_FALSE(fs::exists(dir + "/marker.txt"));
    EXPECT_EQ(fixture::read_bytes(dir + "/report.json"), "new");
    EXPECT_NO_THROW(StagedOutput::keep_inputs(dir, {"", dir + "/gone", folder.path.string()}));
    EXPECT_THROW(StagedOutput::keep_inputs(dir, {dir + "/report.json"}), UsageError);
    EXPECT_THROW(StagedOutput::keep_inputs(dir + "/", {dir}), UsageError);
    fs::create_symlink("out", folder.path / "link");
    EXPECT_THROW(StagedOutput::keep_inputs((folder.path / "link").string(), {dir + "/report.json"}),
                 UsageError);
}

TEST(StagedOutput, RefusesDangerousAndImpossibleFolders) {
    const fixture::Folder folder;
    fs::create_directories(folder.path / "album");
    write_file((folder.path / "album/large.jpg").string(), std::string((1 << 20) + 1, 'x'));
    fs::create_directories(folder.path / "photos/2011");
    write_file((folder.path / "photos/holiday.jpg").string(), "x");
    fs::create_directory(folder.path / "many");
    for (int i = 0; i < 30; ++i)
        write_file((folder.path / "many" / (std::to_string(i) + ".jpg")).string(), "x");
    write_file((folder.path / "file").string(), "x");
    for (const std::string& dir :
         {(folder.path / "photos").string(), (folder.path / "album").string(),
          (folder.path / "many").string(), (folder.path / "file").string(),
          (folder.path / "missing/out").string(), (folder.path / "file/out").string(),
          std::string("/"), std::string(""), std::string(".")})
        EXPECT_THROW(StagedOutput(dir, true), UsageError) << dir;
    EXPECT_EQ(fixture::read_bytes(folder.path / "photos/holiday.jpg"), "x");
    if (::geteuid() != 0) {
        fs::create_directory(folder.path / "locked");
        fs::permissions(folder.path / "locked", fs::perms::owner_read | fs::perms::owner_exec);
        EXPECT_THROW(StagedOutput((folder.path / "locked/out").string(), false), UsageError);
        fs::permissions(folder.path / "locked", fs::perms::owner_all);
    }
    if (fs::exists("/dev/full")) {
        EXPECT_THROW(write_file("/dev/full", "x"), DataError);
    }
}

TEST(Escape, MakesTextHarmless) {
    EXPECT_EQ(html_escape("<a href=\"x\">'&'</a>"),
              "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
    EXPECT_EQ(clean_text("a\xff"
                         "b\x01"
                         "c\n"),
              "a\xEF\xBF\xBD"
              "bc\n");
    EXPECT_EQ(clean_text("\xED\xA0\x80").find('\xED'), std::string::npos)
        << "surrogates are not UTF-8";
    EXPECT_EQ(clean_text("청진"), "청진");
    EXPECT_EQ(json_for_script("[\"</script>\"]"), "[\"\\u003c/script\\u003e\"]");
    EXPECT_EQ(csv_text("=1+1"), "'=1+1");
    EXPECT_EQ(csv_text("\rcmd"), "'cmd");
    EXPECT_EQ(csv_text("a,b\"c"), "\"a,b\"\"c\"");
    EXPECT_EQ(csv_quoted("-2"), "\"'-2\"");
    EXPECT_EQ(safe_file_name("../../etc/passwd"), "_._.._etc_passwd");
    EXPECT_EQ(safe_file_name(""), "_");
    EXPECT_EQ(safe_file_name("청진 25"), "_25");
    EXPECT_EQ(percent_encode("images/a b#1.tif"), "images/a%20b%231.tif");
}

}  // namespace
}  // namespace fenceline
