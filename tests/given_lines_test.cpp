#include "input/given_lines.h"

#include <gtest/gtest.h>
#include <ogrsf_frmts.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "input/image_io.h"

namespace fenceline {
namespace {

class GivenLines : public testing::Test {
  protected:
    void SetUp() override {
        initialise_gdal();
        folder_ = std::filesystem::temp_directory_path() /
                  ("fenceline_given_" + std::to_string(::getpid()));
        std::filesystem::create_directories(folder_);
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    /// A GeoJSON file of these features.
    std::string geojson(const std::string& features) {
        const std::string path = folder_ / "lines.geojson";
        std::ofstream(path) << R"({"type":"FeatureCollection","features":[)" << features << "]}";
        return path;
    }
    static std::string feature(const std::string& coordinates, const std::string& properties,
                               const std::string& type = "Polygon") {
        return R"({"type":"Feature","properties":{)" + properties + R"(},"geometry":{"type":")" +
               type + R"(","coordinates":)" + coordinates + "}}";
    }
    std::filesystem::path folder_;
};

constexpr const char* kSquare =
    "[[[129.72,41.83],[129.73,41.83],[129.73,41.84],[129.72,41.84],[129.72,41.83]]]";

TEST_F(GivenLines, AreReadWithTheirSceneAndDate) {
    const auto lines = read_given_lines(
        geojson(feature(kSquare, R"("scene":"s2010","datetime":"2010-09-11T02:31:00Z")") + "," +
                feature(kSquare, R"("date":"2003-09-26")") + "," + feature(kSquare, "")));
    ASSERT_EQ(lines.size(), 3U);
    EXPECT_EQ(lines[0].scene, "s2010");
    ASSERT_TRUE(lines[0].datetime.has_value());
    EXPECT_EQ(format_time(*lines[0].datetime), "2010-09-11T02:31:00Z");
    ASSERT_TRUE(lines[1].datetime.has_value());
    EXPECT_EQ(format_date(*lines[1].datetime), "2003-09-26");
    EXPECT_TRUE(lines[2].scene.empty());
    EXPECT_FALSE(lines[2].datetime.has_value());
    for (const GivenLine& line : lines) {
        ASSERT_EQ(line.lonlat.size(), 4U);  // not closed
        EXPECT_EQ(line.lonlat[1].x, 129.73);
        EXPECT_EQ(line.lonlat[1].y, 41.83);
    }
}

TEST_F(GivenLines, OfAGeoPackageInMetresComeBackInDegrees) {
    const std::string path = folder_ / "edited.gpkg";
    {
        GDALDriver* driver = GetGDALDriverManager()->GetDriverByName("GPKG");
        ASSERT_NE(driver, nullptr);
        GDALDataset* file = driver->Create(path.c_str(), 0, 0, 0, GDT_Unknown, nullptr);
        ASSERT_NE(file, nullptr);
        OGRSpatialReference utm;
        utm.importFromEPSG(32652);
        file->CreateLayer("structures", &utm, wkbPolygon, nullptr);
        OGRLayer* layer = file->CreateLayer("perimeters", &utm, wkbPolygon, nullptr);
        OGRFieldDefn scene("scene", OFTString);
        ASSERT_EQ(layer->CreateField(&scene), OGRERR_NONE);
        OGRFeature* feature = OGRFeature::CreateFeature(layer->GetLayerDefn());
        feature->SetField("scene", "s2010");
        OGRLinearRing ring;
        for (const auto& [x, y] : {std::pair{560000.0, 4631000.0}, std::pair{561000.0, 4631000.0},
                                   std::pair{561000.0, 4632000.0}, std::pair{560000.0, 4631000.0}})
            ring.addPoint(x, y);
        OGRPolygon polygon;
        polygon.addRing(&ring);
        feature->SetGeometry(&polygon);
        ASSERT_EQ(layer->CreateFeature(feature), OGRERR_NONE);
        OGRFeature::DestroyFeature(feature);
        GDALClose(file);
    }
    const auto lines = read_given_lines(path);
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_EQ(lines[0].scene, "s2010");
    ASSERT_EQ(lines[0].lonlat.size(), 3U);
    EXPECT_NEAR(lines[0].lonlat[0].x, 129.7217, 0.001);
    EXPECT_NEAR(lines[0].lonlat[0].y, 41.8286, 0.001);
}

TEST_F(GivenLines, FaultsNameTheFeatureAndTheRemedy) {
    const auto fault_of = [&](const std::string& path) -> std::string {
        try {
            read_given_lines(path);
        } catch (const DataError& error) {
            return error.what();
        }
        return "none";
    };
    EXPECT_NE(fault_of(geojson(feature(kSquare, "") + "," +
                               feature("[[[1,1],[3,3],[3,1],[1,2],[1,1]]]", "")))
                  .find("feature 1: it crosses itself"),
              std::string::npos);
    EXPECT_NE(
        fault_of(geojson(feature("[[[1,1],[2,2],[3,3],[1,1]]]", ""))).find("encloses no ground"),
        std::string::npos);
    EXPECT_NE(fault_of(geojson(feature("[1,1]", "", "Point"))).find("one polygon"),
              std::string::npos);
    EXPECT_NE(fault_of(geojson(feature("[[[560000,4631000],[561000,4631000],[561000,4632000],"
                                       "[560000,4631000]]]",
                                       "")))
                  .find("degrees"),
              std::string::npos);
    EXPECT_NE(fault_of(geojson("")).find("no polygon"), std::string::npos);
    EXPECT_NE(fault_of((folder_ / "absent.geojson").string()), "none");
    EXPECT_NE(fault_of("/vsicurl/http://example.org/lines.geojson"), "none");
}

TEST_F(GivenLines, NameScenesThatAreThere) {
    std::vector<SceneInfo> scenes(2);
    scenes[0].id = "s2003";
    scenes[1].id = "s2010";
    scenes[1].datetime = parse_time("2010-09-11T02:31:00Z");
    std::vector<GivenLine> lines(3);
    lines[0].scene = "s2010";
    lines[1].scene = "s2010";
    lines[1].datetime = parse_time("2010-09-12");
    match_to_scenes(lines, scenes, "lines.geojson");
    ASSERT_TRUE(lines[0].datetime.has_value());
    EXPECT_EQ(format_date(*lines[0].datetime), "2010-09-11");
    EXPECT_EQ(format_date(*lines[1].datetime), "2010-09-12");
    EXPECT_FALSE(lines[2].datetime.has_value());
    const Ring ground{{129.7, 41.8}, {129.8, 41.8}, {129.8, 41.9}, {129.7, 41.9}};
    scenes[0].footprint_lonlat = scenes[1].footprint_lonlat = ground;
    for (GivenLine& line : lines) line.lonlat = {{129.72, 41.83}, {129.73, 41.83}, {129.73, 41.84}};
    match_to_scenes(lines, scenes, "lines.geojson");
    for (Point& p : lines[1].lonlat) p.x += 1;
    EXPECT_THROW(match_to_scenes(lines, scenes, "lines.geojson"), DataError)
        << "a line in another place is taken";
    lines[1].lonlat = {{129, 41}, {131, 41}, {131, 43}, {129, 43}};  // around the images
    match_to_scenes(lines, scenes, "lines.geojson");
    lines[2].scene = "s2011";
    try {
        match_to_scenes(lines, scenes, "lines.geojson");
        ADD_FAILURE() << "an unknown scene is taken";
    } catch (const DataError& error) {
        for (const char* part : {"lines.geojson", "\"s2011\"", "allowed: s2003, s2010"})
            EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
}

}  // namespace
}  // namespace fenceline
