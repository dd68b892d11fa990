// One bad scene never stops a run, and nothing half-written is left behind. Through the real
// binary.
#include <gdal_priv.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/program.h"
#include "cli/small_series.h"
#include "core/projection.h"
#include "input/image_io.h"
#include "output/raster_writer.h"

namespace fenceline {
namespace {
namespace fs = std::filesystem;

const std::vector<std::string> kDates{"20200401", "20200601", "20210502"};

/// A good series with room for one bad scene.
class BadScene : public testing::Test {
  protected:
    void SetUp() override {
        paths_ = write_small_series(images_, kDates);
        write_text(sites_, small_sites_geojson());
    }
    Outcome run(const std::string& images, std::vector<std::string> more = {}) {
        std::vector<std::string> words{"run",      "--sites", sites_,  "--site", "test",
                                       "--images", images,    "--out", out_,     "--quiet"};
        words.insert(words.end(), more.begin(), more.end());
        return fenceline_program(words);
    }
    /// The run is done, the scene of this id is left out for a reason that contains the words; the
    /// others are used.
    void expect_left_out(const Outcome& outcome, const std::string& id, const std::string& words) {
        EXPECT_EQ(outcome.exit_code, 3) << outcome.err;
        ASSERT_TRUE(fs::exists(out_ + "/report.json")) << outcome.err;
        const auto report = nlohmann::json::parse(read_text(out_ + "/report.json"));
        bool found = false;
        int used = 0;
        for (const auto& scene : report["scenes"]) {
            if (scene["role"] != "left_out") ++used;
            if (scene["id"] != id) continue;
            found = true;
            EXPECT_EQ(scene["role"], "left_out");
            const std::string reason = scene["reason"];
            EXPECT_NE(reason.find(words), std::string::npos)
                << "'" << words << "' missing in: " << reason;
        }
        EXPECT_TRUE(found) << report["scenes"].dump(1);
        EXPECT_EQ(used, static_cast<int>(kDates.size()));
        expect_nothing_half_written();
    }
    void expect_nothing_half_written() {
        for (const auto& entry : fs::directory_iterator(scratch_.path)) {
            const std::string name = entry.path().filename().string();
            EXPECT_TRUE(name == "images" || name == "sites.geojson" || name == "out" ||
                        name == "extra")
                << name;
        }
    }
    ScratchFolder scratch_;
    std::string images_ = scratch_ / "images", sites_ = scratch_ / "sites.geojson",
                out_ = scratch_ / "out";
    std::vector<std::string> paths_;
};

TEST_F(BadScene, AGoodSeriesIsDone) {
    const Outcome outcome = run(images_);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    for (const char* file : {"report.json", "report.html", "results.gpkg", "changes.geojson",
                             "report.kmz", "ro-crate-metadata.json"})
        EXPECT_TRUE(fs::exists(out_ + "/" + file)) << file;
    expect_nothing_half_written();
    const Outcome again = run(images_);
    EXPECT_EQ(again.exit_code, 2) << "DIR exists";
    EXPECT_NE(again.err.find("--overwrite"), std::string::npos) << again.err;
    EXPECT_EQ(run(images_, {"--overwrite"}).exit_code, 0);
}

TEST_F(BadScene, JsonSummaryIsAllThatStandsOnStandardOutput) {
    const Outcome outcome = run(images_, {"--json"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    const auto summary = nlohmann::json::parse(outcome.out);
    EXPECT_EQ(summary["scenes_used"], 3);
}

TEST_F(BadScene, DryRunWritesNothing) {
    const Outcome outcome = run(images_, {"--dry-run"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_NE(outcome.out.find("20200401.tif"), std::string::npos) << outcome.out;
    EXPECT_FALSE(fs::exists(out_));
}

TEST_F(BadScene, APairNamedTheWrongWayRoundIsSaid) {
    const Outcome turned =
        fenceline_program({"compare", paths_[2], paths_[0], "--out", out_, "--dry-run"});
    EXPECT_EQ(turned.exit_code, 0) << turned.err;
    EXPECT_NE(turned.err.find("BEFORE is of 2021-05-02"), std::string::npos) << turned.err;
    EXPECT_EQ(fenceline_program({"compare", paths_[0], paths_[2], "--out", out_, "--dry-run"}).err,
              "");
}

TEST_F(BadScene, OneSingleValueShowsNothing) {
    Raster raster = small_scene(0, 5);
    for (Plane& band : raster.bands)
        for (int y = 0; y < raster.grid.height; ++y)
            std::fill_n(band.row(y), raster.grid.width, 100.0F);
    write_cog(images_ + "/20200501.tif", raster, PixelType::u8, 0, {});
    expect_left_out(run(images_), "20200501", "the same value (100, 100, 100)");
}

TEST_F(BadScene, TruncatedTiff) {
    const std::string whole = read_text(paths_[0]);
    write_text(images_ + "/20200501.tif", whole.substr(0, whole.size() / 2));
    expect_left_out(run(images_), "20200501", "");
}

TEST_F(BadScene, EmptyFile) {
    write_text(images_ + "/20200501.tif", "");
    expect_left_out(run(images_), "20200501", "");
}

TEST_F(BadScene, NoCoordinateSystem) {
    Raster raster = small_scene(0, 5);
    raster.grid.crs_wkt.clear();
    write_cog(images_ + "/20200501.tif", raster, PixelType::u8, 0, {});
    expect_left_out(run(images_), "20200501", "CRS");
}

TEST_F(BadScene, NoDate) {
    fs::copy(paths_[0], images_ + "/undated.tif");
    expect_left_out(run(images_), "undated", "time");
}

TEST_F(BadScene, AllNoData) {
    Raster raster = small_scene(0, 5);
    raster.valid = Mask(raster.grid.width, raster.grid.height, 0);
    write_cog(images_ + "/20200501.tif", raster, PixelType::u8, 0, {});
    expect_left_out(run(images_), "20200501", "");
}

TEST_F(BadScene, OutsideTheArea) {
    Raster raster = small_scene(0, 5);
    raster.grid.geotransform[0] += 50000;
    write_cog(images_ + "/20200501.tif", raster, PixelType::u8, 0, {});
    expect_left_out(run(images_), "20200501", "");
}

TEST_F(BadScene, AnotherPlaceIsNeverRegistered) {
    // Right coordinates, but the ground is another one: nothing fits, and that must be said.
    Raster raster = small_scene(5000, 5);
    write_cog(images_ + "/20200501.tif", raster, PixelType::u8, 0, {});
    expect_left_out(run(images_), "20200501", "regist");
}

TEST_F(BadScene, TwoScenesOfTheSameTime) {
    fs::create_directories(images_ + "/again");
    fs::copy(paths_[0], images_ + "/again/20200401b.tif");
    const Outcome outcome = run(images_);
    EXPECT_EQ(outcome.exit_code, 3) << outcome.err;
    const auto report = nlohmann::json::parse(read_text(out_ + "/report.json"));
    int left_out = 0;
    for (const auto& scene : report["scenes"]) left_out += scene["role"] == "left_out" ? 1 : 0;
    EXPECT_EQ(left_out, 1) << "the copy says nothing new";
}

TEST_F(BadScene, AnotherCoordinateSystemInOneSeriesIsWelcome) {
    // The same ground in Web Mercator, resampled by nearest neighbour.
    const Raster utm = small_scene(0, 7);
    const Transform to_utm("EPSG:3857", "EPSG:32652");
    const Point corner = to_utm.inverse(utm.grid.map_from_px({0, 0}));
    Raster mercator = utm;
    mercator.grid.crs_wkt = wkt_of("EPSG:3857");
    mercator.grid.geotransform = {corner.x, 1.3, 0, corner.y, 0, -1.3};
    for (std::size_t b = 0; b < utm.bands.size(); ++b)
        for (int y = 0; y < utm.grid.height; ++y)
            for (int x = 0; x < utm.grid.width; ++x) {
                const Point px =
                    utm.grid.px_from_map(to_utm(mercator.grid.map_from_px({x + 0.5, y + 0.5})));
                const int i = static_cast<int>(std::floor(px.x)),
                          j = static_cast<int>(std::floor(px.y));
                const bool inside = utm.bands[b].contains(i, j);
                mercator.bands[b].at(x, y) = inside ? utm.bands[b].at(i, j) : 0;
                mercator.valid.at(x, y) = inside ? 1 : 0;
            }
    write_cog(images_ + "/20200501.tif", mercator, PixelType::u8, 0, {});
    const Outcome outcome = run(images_);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
}

TEST_F(BadScene, VrtDisguisedAsTiff) {
    write_text(images_ + "/20200501.tif",
               "<VRTDataset rasterXSize=\"20\" rasterYSize=\"1\"><VRTRasterBand dataType=\"Byte\" "
               "band=\"1\" "
               "subClass=\"VRTRawRasterBand\"><SourceFilename "
               "relativetoVRT=\"0\">/etc/hostname</SourceFilename>"
               "<ImageOffset>0</ImageOffset><PixelOffset>1</PixelOffset><LineOffset>20</"
               "LineOffset></VRTRasterBand></VRTDataset>");
    expect_left_out(run(images_), "20200501", "");
}

TEST_F(BadScene, BlockBomb) {
    initialise_gdal();
    char** options = nullptr;
    for (const char* pair : {"TILED=YES", "BLOCKXSIZE=60000", "BLOCKYSIZE=60000", "SPARSE_OK=TRUE"})
        options = CSLAddString(options, pair);
    GDALDataset* bomb = GetGDALDriverManager()->GetDriverByName("GTiff")->Create(
        (images_ + "/20200501.tif").c_str(), 60000, 60000, 1, GDT_Byte, options);
    CSLDestroy(options);
    ASSERT_NE(bomb, nullptr);
    auto transform = small_scene(0, 0, 8).grid.geotransform;
    bomb->SetGeoTransform(transform.data());
    bomb->SetProjection(wkt_of("EPSG:32652").c_str());
    GDALClose(bomb);
    expect_left_out(run(images_), "20200501", "block");
}

TEST_F(BadScene, StacPathOutsideItsFolder) {
    nlohmann::json features = nlohmann::json::array();
    const auto item = [&](const std::string& id, const std::string& date, const std::string& href) {
        return nlohmann::json{{"type", "Feature"},
                              {"stac_version", "1.0.0"},
                              {"id", id},
                              {"geometry", nullptr},
                              {"properties", {{"datetime", date}}},
                              {"links", nlohmann::json::array()},
                              {"assets", {{"data", {{"href", href}, {"roles", {"data"}}}}}}};
    };
    features.push_back(item("a", "2020-04-01T02:00:00Z", "20200401.tif"));
    features.push_back(item("b", "2020-06-01T02:00:00Z", "./20200601.tif"));
    features.push_back(item("c", "2021-05-02T02:00:00Z", "20210502.tif"));
    features.push_back(item("evil", "2020-05-01T02:00:00Z", "../extra/20200501.tif"));
    fs::create_directories(scratch_ / "extra");
    fs::copy(paths_[0], scratch_ / "extra/20200501.tif");
    write_text(images_ + "/items.json",
               nlohmann::json{{"type", "FeatureCollection"}, {"features", features}}.dump());
    expect_left_out(run(images_ + "/items.json"), "evil", "outside");
}

TEST_F(BadScene, CsvSource) {
    write_text(
        images_ + "/list.csv",
        "path,datetime,sun_azimuth,sun_elevation\r\n20200401.tif,2020-04-01T02:10:00Z,150,45\r\n"
        "20200601.tif,2020-06-01T02:10:00Z,140,60\r\n\"20210502.tif\",2021-05-02,,\r\nmissing.tif,"
        "2020-07-01,,\r\n");
    expect_left_out(run(images_ + "/list.csv"), "missing", "");
}

TEST_F(BadScene, NothingUsableFailsAndWritesNothing) {
    for (const auto& path : paths_) write_text(path, "not an image");
    const Outcome outcome = run(images_);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_FALSE(fs::exists(out_));
    expect_nothing_half_written();
}

TEST_F(BadScene, MissingThingsAreNamed) {
    EXPECT_EQ(run(scratch_ / "nowhere").exit_code, 2);
    const Outcome site = fenceline_program(
        {"run", "--sites", sites_, "--site", "tset", "--images", images_, "--out", out_});
    EXPECT_EQ(site.exit_code, 2);
    EXPECT_NE(site.err.find("test"), std::string::npos) << site.err;
    EXPECT_EQ(fenceline_program({"run", "--sites", scratch_ / "no.geojson", "--site", "test",
                                 "--images", images_, "--out", out_})
                  .exit_code,
              2);
    EXPECT_FALSE(fs::exists(out_));
}

TEST_F(BadScene, AHostileSiteNameIsRefusedOrStaysText) {
    write_text(sites_, small_sites_geojson("<script>alert(1)</script>"));
    const Outcome refused = run(images_);
    EXPECT_EQ(refused.exit_code, 2) << "markup is no name";
    EXPECT_NE(refused.err.find("name"), std::string::npos) << refused.err;
    EXPECT_FALSE(fs::exists(out_));
    write_text(sites_, small_sites_geojson("\"Camp\" & 'co' \u200f수용소"));
    EXPECT_EQ(run(images_).exit_code, 0);
    EXPECT_EQ(read_text(out_ + "/report.html").find("\"Camp\" & 'co'"), std::string::npos)
        << "unescaped";
    expect_nothing_half_written();
}

TEST_F(BadScene, TooLargeForTheMemoryAllowedIsRefusedBeforeItStarts) {
    const Outcome outcome = run(images_, {"--observe.gsd_m", "0.02", "--max-memory", "256"});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_NE(outcome.err.find("--max-memory"), std::string::npos) << outcome.err;
    EXPECT_FALSE(fs::exists(out_));
}

TEST_F(BadScene, SameBytesWhateverTheNumberOfThreads) {
    ASSERT_EQ(run(images_, {"--jobs", "1"}).exit_code, 0);
    const auto contents = [&] {
        std::map<std::string, std::string> all;
        for (const auto& entry : fs::recursive_directory_iterator(out_))
            if (entry.is_regular_file() && entry.path().filename() != "ro-crate-metadata.json")
                all[fs::relative(entry.path(), out_).string()] = read_text(entry.path().string());
        return all;  // of all but the record of how it was run
    };
    const auto one = contents();
    EXPECT_GE(one.size(), 6U);
    for (const char* jobs : {"2", "7"}) {
        ASSERT_EQ(run(images_, {"--overwrite", "--jobs", jobs}).exit_code, 0);
        const auto many = contents();
        ASSERT_EQ(many.size(), one.size());
        for (const auto& [name, bytes] : one) {
            ASSERT_TRUE(many.contains(name)) << name;
            EXPECT_TRUE(many.at(name) == bytes) << name << " with " << jobs;
        }
    }
}

}  // namespace
}  // namespace fenceline
