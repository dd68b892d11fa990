#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "core/error.h"
#include "core/geodesic.h"
#include "image_fixture.h"
#include "input/sites.h"
#include "output/sites_writer.h"

namespace fenceline {
namespace {

using test::TemporaryFolder;
using test::write_text;

std::string feature(
    const std::string& more,
    const std::string& geometry = R"({"type":"Point","coordinates":[129.7253,41.8344]})") {
    return R"({"type":"Feature","id":"s1","geometry":)" + geometry +
           R"(,"properties":{"name":"A","type":"other","radius_m":500)" + more + "}}";
}
std::string collection(const std::string& features) {
    return R"({"type":"FeatureCollection","features":[)" + features + "]}";
}

std::vector<std::string> faults_of(const std::string& text) {
    const TemporaryFolder folder;
    write_text(folder / "s.geojson", text);
    try {
        read_sites(folder / "s.geojson");
    } catch (const UsageError& error) {
        return error.faults;
    }
    return {};
}

const Site* find(const std::vector<Site>& sites, const std::string& id) {
    for (const Site& site : sites)
        if (site.id == id) return &site;
    return nullptr;
}

TEST(Sites, TheShippedCatalogueHoldsWhatIsKnown) {
    const auto sites = read_sites(std::string(FENCELINE_SOURCE_DIR) + "/configs/sites.geojson");
    for (const char* id : {"camp14", "camp15", "camp16", "camp18", "camp22", "camp25", "choma-bong",
                           "kyohwaso1", "kyohwaso3", "kyohwaso8", "kyohwaso12", "pokchong-ni"}) {
        const Site* site = find(sites, id);
        ASSERT_NE(site, nullptr) << id;
        EXPECT_NE(site->names.ko, "") << id;
        EXPECT_NE(site->names.rr, "") << id;
        EXPECT_NE(site->names.mr, "") << id;
        EXPECT_FALSE(site->sources.empty()) << id;
        EXPECT_NE(site->status, "") << id;
    }
    const Ring area = area_of_interest(*find(sites, "camp25"));
    ASSERT_EQ(area.size(), 4U);
    EXPECT_NEAR(geodesic_distance(area[0], area[1]), 1810, 1);
    EXPECT_NEAR(geodesic_distance(area[1], area[2]), 1240, 1);
    EXPECT_NEAR(0.5 * (area[0].x + area[2].x), 129.7253, 1e-6);
    EXPECT_NEAR(0.5 * (area[0].y + area[2].y), 41.8344, 1e-6);
    EXPECT_NE(find(sites, "camp22")->status.find("closed"), std::string::npos);
}

TEST(Sites, AllFaultsAreReportedTogether) {
    const auto faults = faults_of(
        R"({"type":"FeatureCollection","features":[
        {"type":"Feature","id":"../x","geometry":{"type":"LineString","coordinates":[]},"properties":{"name":"<script>","type":"castle"}},
        {"type":"Feature","id":"b","geometry":{"type":"Point","coordinates":[200,91]},"properties":{"name":7,"type":"other"}},
        {"type":"Feature","id":"b","geometry":null,"properties":{"name":"C","type":"other","perimeter":{"type":"Point"},"perimeter_date":"soon"}},
        17]})");
    std::string all;
    for (const auto& fault : faults) all += fault + "\n";
    for (const char* expected :
         {"\"../x\"", "LineString", "<script>", "castle", "political_prison_camp",
          "position 200, 91", "radius_m", "name: it is not text", "twice", "perimeter: it is not",
          "\"soon\"", "feature 4"})
        EXPECT_NE(all.find(expected), std::string::npos) << expected << " is missing in\n" << all;
    EXPECT_FALSE(faults_of("{").empty());
    EXPECT_FALSE(faults_of("{}").empty());
    EXPECT_FALSE(faults_of(collection(feature(R"(,"names":"text")"))).empty());
    EXPECT_FALSE(faults_of(collection(feature(
                               "", R"({"type":"Polygon","coordinates":[[[1,1],[2,2],[1,1]]]})")))
                     .empty());
    EXPECT_TRUE(faults_of(collection(feature(R"(,"unknown":{"a":1},"fid":3)"))).empty());
    const auto in_crs = [](const std::string& name) {
        std::string text = collection(feature(""));
        return faults_of(
            text.insert(1, R"("crs":{"type":"name","properties":{"name":")" + name + R"("}},)"));
    };
    EXPECT_TRUE(in_crs("urn:ogc:def:crs:OGC:1.3:CRS84").empty());
    ASSERT_EQ(in_crs("urn:ogc:def:crs:EPSG::3857").size(), 1U);
    EXPECT_NE(in_crs("urn:ogc:def:crs:EPSG::3857")[0].find("3857"), std::string::npos);
    EXPECT_THROW(read_sites("/nowhere/sites.geojson"), UsageError);
}

TEST(Sites, WhatQgisMakesOfTheFileIsUnderstood) {
    const TemporaryFolder folder;
    write_text(
        folder / "q.geojson",
        R"({"type":"FeatureCollection","features":[{"type":"Feature","properties":{"id":"s1","name":"A","type":"other",
               "names":"{\"ko\":\"가\",\"aliases\":[\"x\"]}","sources":["a"],
               "perimeter":"{\"type\":\"Polygon\",\"coordinates\":[[[1,1],[1.1,1],[1.1,1.1],[1,1]]]}","perimeter_date":"2018-03-22"},
               "geometry":{"type":"MultiPolygon","coordinates":[[[[1,1],[1.2,1],[1.2,1.2],[1,1]]]]}}]})");
    const auto sites = read_sites(folder / "q.geojson");
    ASSERT_EQ(sites.size(), 1U);
    EXPECT_EQ(sites[0].names.ko, "가");
    EXPECT_EQ(sites[0].names.aliases.size(), 1U);
    EXPECT_EQ(sites[0].perimeter_lonlat.size(), 3U);
    EXPECT_EQ(sites[0].area_lonlat.size(), 3U);
    EXPECT_TRUE(sites[0].perimeter_date);
}

TEST(Sites, WritingAndReadingBackGivesTheSameSites) {
    const TemporaryFolder folder;
    const auto sites = read_sites(std::string(FENCELINE_SOURCE_DIR) + "/configs/sites.geojson");
    write_sites(folder / "a.geojson", sites);
    const auto again = read_sites(folder / "a.geojson");
    EXPECT_EQ(sites_geojson(sites), sites_geojson(again));
    ASSERT_EQ(sites.size(), again.size());
    for (std::size_t i = 0; i < sites.size(); ++i) {
        EXPECT_EQ(sites[i].names, again[i].names);
        EXPECT_EQ(sites[i].sources, again[i].sources);
        EXPECT_EQ(sites[i].area_lonlat, again[i].area_lonlat);
        EXPECT_EQ(sites[i].radius_m, again[i].radius_m);
    }
    EXPECT_THROW(write_sites(folder / "no/such/a.geojson", sites), DataError);
}

TEST(Sites, AreaOfInterestIsASquareOfTrueMetres) {
    Site site;
    EXPECT_TRUE(area_of_interest(site).empty());
    site.centre = Point{129.7253, 41.8344};
    site.radius_m = 1000;
    const Ring square = area_of_interest(site);
    ASSERT_EQ(square.size(), 4U);
    for (std::size_t i = 0; i < 4; ++i)
        EXPECT_NEAR(geodesic_distance(square[i], square[(i + 1) % 4]), 2000, 1);
    EXPECT_GT(signed_area(square), 0) << "counter-clockwise, as RFC 7946 wants";
}

TEST(SitesImport, RowsThatAreWrongAreAllNamed) {
    const TemporaryFolder folder;
    const std::string header =
        "id,name,type,affiliation,agency,province,status,lat,lon,url,edited\n";
    write_text(folder / "n.csv", header +
                                     "a1,X,Castle,,,P,Unknown,,,,\na1,Y,Other,,,P,Unknown,95,1,,"
                                     "\nb,,Other,,,P,Unknown,,,,\n");
    try {
        import_sites(folder / "n.csv");
        FAIL();
    } catch (const UsageError& error) {
        EXPECT_EQ(error.faults.size(), 4U) << error.what();
    }
    write_text(folder / "x.csv", "a,b\n1,2\n");
    EXPECT_THROW(import_sites(folder / "x.csv"), UsageError);
    EXPECT_THROW(import_sites(folder / "none.csv"), UsageError);
    write_text(folder / "w.csv",
               "title,wikidata,lat,lon\nKaechon prison camp (Kyohwaso 1),Q1,39.7,125.9\n");
    const auto sites = import_sites(folder / "w.csv");
    ASSERT_EQ(sites.size(), 1U);
    EXPECT_EQ(sites[0].type, "re_education_camp");
    EXPECT_EQ(sites[0].id, "kaechon-prison-camp-kyohwaso-1");
}

TEST(SitesImport, PublishedListsGiveThePublishedTable) {
    const char* variable = std::getenv("FENCELINE_DATA");
    const std::string folder =
        (variable != nullptr ? variable : std::string(FENCELINE_SOURCE_DIR) + "/../shared/data") +
        "/sites/";
    if (!std::filesystem::exists(folder)) GTEST_SKIP() << "skipped: no real data";
    const auto sites = import_sites(folder + "nkpd_facilities.csv");
    EXPECT_EQ(sites.size(), 245U);
    std::map<std::string, int> by_type;
    for (const auto& [type, count] : count_by(sites, "type")) by_type[type] = count;
    const std::map<std::string, int> published = {{"waiting_room", 23},
                                                  {"holding_centre", 13},
                                                  {"detention_centre", 73},
                                                  {"labour_training_centre", 28},
                                                  {"labour_training_camp", 7},
                                                  {"re_education_camp", 10},
                                                  {"political_prison_camp", 2},
                                                  {"temporary_facility", 86},
                                                  {"closed_detention_facility", 3}};
    EXPECT_EQ(by_type, published);
    int total = 0, placed = 0;
    for (const auto& [province, count] : count_by(sites, "province")) total += count;
    EXPECT_EQ(total, 245);
    for (const auto& site : sites) placed += area_of_interest(site).empty() ? 0 : 1;
    EXPECT_EQ(placed, 103);
    EXPECT_THROW(count_by(sites, "colour"), UsageError);
    EXPECT_EQ(import_sites(folder + "hrnk_map_pins.csv").size(), 24U);
    EXPECT_EQ(import_sites(folder + "wikipedia_pins.csv").size(), 10U);
    // What was imported is a catalogue that can be read back.
    const TemporaryFolder out;
    write_sites(out / "nkpd.geojson", sites);
    EXPECT_EQ(sites_geojson(read_sites(out / "nkpd.geojson")), sites_geojson(sites));
}

}  // namespace
}  // namespace fenceline
