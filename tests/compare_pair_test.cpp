#include "compare_pair.h"

#include <fcntl.h>
#include <gdal_priv.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <tbb/global_control.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/program.h"
#include "core/error.h"
#include "core/projection.h"
#include "output/change_map_writer.h"
#include "output/raster_writer.h"
#include "pair_buildings.h"
#include "pair_order.h"

namespace fenceline {
namespace {
namespace fs = std::filesystem;

double hashed(int x, int y, unsigned seed) {
    std::uint32_t h = static_cast<std::uint32_t>(x) * 374761393U +
                      static_cast<std::uint32_t>(y) * 668265263U + seed * 2246822519U;
    h = (h ^ (h >> 13U)) * 1274126177U;
    return static_cast<double>((h ^ (h >> 16U)) & 0xFFFFFFU) / 16777215.0;
}

double noise_at(double x, double y, double scale, unsigned seed) {
    const double u = x / scale, v = y / scale;
    const int i = static_cast<int>(std::floor(u)), j = static_cast<int>(std::floor(v));
    const auto ease = [](double t) { return t * t * (3 - 2 * t); };
    const double a = ease(u - i), b = ease(v - j);
    return (hashed(i, j, seed) * (1 - a) + hashed(i + 1, j, seed) * a) * (1 - b) +
           (hashed(i, j + 1, seed) * (1 - a) + hashed(i + 1, j + 1, seed) * a) * b;
}

/// A village on textured ground as an 8-bit RGB file; positions in metres from a corner at 127 E,
/// 40 N.
struct Village : testing::Test {
    fs::path folder =
        fs::temp_directory_path() / ("fenceline_compare_" + std::to_string(::getpid()));
    void SetUp() override {
        initialise_gdal();
        fs::create_directories(folder);
    }
    void TearDown() override { fs::remove_all(folder); }

    SceneInfo write(const std::string& name, const Grid& grid, double metres_per_x,
                    double metres_per_y, bool with_new_house, double shift_m = 0) {
        Raster raster;
        raster.grid = grid;
        raster.roles = {BandRole::red, BandRole::green, BandRole::blue};
        raster.valid = Mask(grid.width, grid.height, 1);
        for (unsigned b = 0; b < 3; ++b) {
            Plane plane(grid.width, grid.height);
            for (int y = 0; y < grid.height; ++y)
                for (int x = 0; x < grid.width; ++x) {
                    const double mx = (x + 0.5) * metres_per_x + shift_m,
                                 my = (y + 0.5) * metres_per_y;
                    double value = 60 + 10.0 * b + 30 * noise_at(mx, my, 20, 1) +
                                   30 * noise_at(mx, my, 4, 2) + 15 * noise_at(mx, my, 11, 5 + b);
                    for (int house = 0; house < 40; ++house) {
                        const double hx = 10 + 15.0 * (house % 8) + 4 * hashed(house, 1, 9),
                                     hy = 8 + 22.0 * (house / 8) + 8 * hashed(house, 2, 9);
                        if (mx > hx && mx < hx + 7 && my > hy && my < hy + 5) value = 200;
                    }
                    if (with_new_house && mx > 60 && mx < 76 && my > 20 && my < 29) value = 215;
                    plane.at(x, y) =
                        static_cast<float>(value + 3 * hashed(x, y, with_new_house ? 31 : 32));
                }
            raster.bands.push_back(std::move(plane));
        }
        const std::string path = (folder / (name + ".tif")).string();
        write_cog(path, raster, PixelType::u8, 0, {});
        SceneInfo info;
        info.id = name;
        info.path = path;
        info.source = name + ".tif";
        probe_image(info, {});
        return info;
    }
};

int class_at(const CompareOutcome& out, int x, int y) {
    const auto columns = static_cast<std::size_t>(out.grid.width);
    std::vector<std::uint8_t> change(columns);
    std::vector<float> probability(columns);
    out.map_row(y, change.data(), probability.data());
    return change[static_cast<std::size_t>(x)];
}

/// All that a map says, to be compared byte by byte.
std::string bytes_of(const CompareOutcome& out) {
    const auto columns = static_cast<std::size_t>(out.grid.width);
    std::vector<std::uint8_t> change(columns);
    std::vector<float> probability(columns);
    std::string bytes;
    for (int y = 0; y < out.grid.height; ++y) {
        out.map_row(y, change.data(), probability.data());
        bytes.append(reinterpret_cast<const char*>(change.data()), columns);
        bytes.append(reinterpret_cast<const char*>(probability.data()), sizeof(float) * columns);
    }
    for (const ChangeObject& object : out.map.objects) {
        for (const Point& p : object.outline_px)
            bytes.append(reinterpret_cast<const char*>(&p), sizeof p);
        bytes.append(reinterpret_cast<const char*>(&object.log_odds), sizeof object.log_odds);
    }
    return bytes;
}

Grid utm_grid(int width, int height, double gsd) {
    const Point corner = Transform("EPSG:4326", utm_crs({127, 40}))(Point{127, 40});
    return {wkt_of(utm_crs({127, 40})),
            {std::round(corner.x), gsd, 0, std::round(corner.y), 0, -gsd},
            width,
            height};
}

TEST_F(Village, ANewHouseIsFoundAndTheMapLiesOnBeforesGrid) {
    const Grid grid = utm_grid(256, 240, 0.5);
    const SceneInfo before = write("before", grid, 0.5, 0.5, false),
                    after = write("after", grid, 0.5, 0.5, true, 1.0);
    Progress progress;
    CompareOptions options;
    const CompareOutcome out = compare_pair(before, after, options, progress);
    EXPECT_EQ(out.grid, grid);
    EXPECT_EQ(out.grid.width, 256);
    EXPECT_EQ(class_at(out, 136, 49), 1);
    ASSERT_FALSE(out.report.changes.empty());
    EXPECT_EQ(out.report.scenes.size(), 2U);
    EXPECT_FALSE(out.report.site.has_value());

    const std::string path = (folder / "change.tif").string();
    write_change_map(path, out.map_row, out.grid);
    const std::unique_ptr<GDALDataset, void (*)(GDALDataset*)> file(
        GDALDataset::Open(path.c_str(), GDAL_OF_RASTER), [](GDALDataset* d) { GDALClose(d); });
    ASSERT_NE(file, nullptr);
    ASSERT_EQ(file->GetRasterCount(), 2);
    EXPECT_STREQ(file->GetRasterBand(1)->GetDescription(), "class");
    EXPECT_STREQ(file->GetRasterBand(2)->GetDescription(), "probability");
    EXPECT_EQ(file->GetRasterBand(1)->GetNoDataValue(), 255);
    float value = -1;
    ASSERT_EQ(file->GetRasterBand(1)->RasterIO(GF_Read, 136, 49, 1, 1, &value, 1, 1, GDT_Float32, 0,
                                               0, nullptr),
              CE_None);
    EXPECT_EQ(value, 1);
    EXPECT_TRUE(fs::exists(folder / "change.qml"));
    // Not observed is 255 in class, and no number in probability, which is 0 to 1.
    std::vector<float> classes(256 * 240), chances(classes.size());
    for (const int band : {1, 2})
        ASSERT_EQ(file->GetRasterBand(band)->RasterIO(GF_Read, 0, 0, 256, 240,
                                                      band == 1 ? classes.data() : chances.data(),
                                                      256, 240, GDT_Float32, 0, 0, nullptr),
                  CE_None);
    int unseen = 0;
    for (std::size_t i = 0; i < classes.size(); ++i) {
        unseen += classes[i] == 255 ? 1 : 0;
        EXPECT_TRUE(classes[i] == 255 ? std::isnan(chances[i]) : chances[i] >= 0 && chances[i] <= 1)
            << classes[i] << ", " << chances[i];
    }
    EXPECT_GT(unseen, 0) << "the second image lies 1 m beside the first";
}

TEST_F(Village, ABeforeInDegreesIsComparedInMetres) {
    const double lon_m = 111320 * std::cos(40 * 3.14159265358979 / 180), lat_m = 111035;
    const Grid degrees{wkt_of("EPSG:4326"), {127, 0.6 / lon_m, 0, 40, 0, -0.6 / lat_m}, 220, 200};
    const SceneInfo before = write("before", degrees, 0.6, 0.6, false),
                    after = write("after", degrees, 0.6, 0.6, true);
    Progress progress;
    const CompareOutcome out = compare_pair(before, after, {}, progress);
    EXPECT_EQ(out.grid.crs_wkt, image_grid(before, {}).crs_wkt);
    EXPECT_NEAR(out.report.grid.gsd_m, 0.6, 0.005);
    ASSERT_FALSE(out.report.changes.empty());
    EXPECT_NEAR(out.report.changes.front().position.x, 127 + 68 / lon_m, 3 / lon_m);
    EXPECT_NEAR(out.report.changes.front().position.y, 40 - 24.5 / lat_m, 3 / lat_m);
}

TEST_F(Village, TheShiftIsEastAndNorthOnATurnedGridToo) {
    // Columns run north, rows east; the second image lies 1 m too far south.
    Grid turned = utm_grid(256, 240, 0.5);
    turned.geotransform = {turned.geotransform[0], 0, 0.5, turned.geotransform[3], 0.5, 0};
    Progress progress;
    CompareOutcome out = compare_pair(write("before", turned, 0.5, 0.5, false),
                                      write("after", turned, 0.5, 0.5, true, 1.0), {}, progress);
    EXPECT_NEAR(out.report.scenes[1].registration->dx_m, 0, 0.1);
    EXPECT_NEAR(out.report.scenes[1].registration->dy_m, -1, 0.1);
    EXPECT_EQ(class_at(out, 136, 49), 1);
    Grid south_up = utm_grid(256, 240, 0.5);
    south_up.geotransform[5] = 0.5;
    out = compare_pair(write("before", south_up, 0.5, 0.5, false),
                       write("after", south_up, 0.5, 0.5, true, 1.0), {}, progress);
    EXPECT_NEAR(out.report.scenes[1].registration->dx_m, -1, 0.1);
    EXPECT_NEAR(out.report.scenes[1].registration->dy_m, 0, 0.1);
}

TEST_F(Village, TheOtherWayRoundIsTheMirroredAnswer) {
    // The later image lies 3.2 px further west on a grid that starts 4 px further north.
    const Grid grid = utm_grid(256, 240, 0.5);
    Grid other = grid;
    other.geotransform[3] += 2;
    const SceneInfo before = write("before", grid, 0.5, 0.5, false),
                    after = write("after", other, 0.5, 0.5, true, 1.6);
    ASSERT_EQ(before.datetime, after.datetime);
    Progress progress;
    SceneInfo dated = before, later = after;
    dated.datetime = Time{1000};
    later.datetime = Time{2000};
    dated.datetime_from = later.datetime_from = "csv";
    const CompareOutcome there = compare_pair(dated, later, {}, progress),
                         back = compare_pair(later, dated, {}, progress);
    EXPECT_EQ(there.grid, grid);
    EXPECT_EQ(back.grid, other);
    const auto &one = *there.report.scenes[1].registration,
               &two = *back.report.scenes[1].registration;
    EXPECT_EQ(one.dx_m, -two.dx_m);
    EXPECT_EQ(one.dy_m, -two.dy_m);
    EXPECT_EQ(one.rmse_m, two.rmse_m);
    const Point p{100, 120},
        there_p = there.alignment.target_from_reference(p),
        again = back.alignment.target_from_reference(other.px_from_map(grid.map_from_px(there_p)));
    EXPECT_NEAR(grid.px_from_map(other.map_from_px(again)).x, p.x, 0.01);
    EXPECT_NEAR(grid.px_from_map(other.map_from_px(again)).y, p.y, 0.01);
    ASSERT_EQ(there.report.changes.size(), back.report.changes.size());
    EXPECT_EQ(there.report.changes.front().kind, "new_building");
    EXPECT_EQ(back.report.changes.front().kind, "removed_building");
    EXPECT_NEAR(there.report.changes.front().area_m2, back.report.changes.front().area_m2, 0.5);
    EXPECT_NEAR(there.normalization.bands[1].gain * back.normalization.bands[1].gain, 1, 1e-9);
    // Every pixel of the one map is that of the other at the registered place, by whole pixels.
    int changed = 0;
    for (int y = 20; y < 220; ++y)
        for (int x = 20; x < 230; ++x) {
            const Point q = other.px_from_map(
                grid.map_from_px(there.alignment.target_from_reference({x + 0.5, y + 0.5})));
            const double fx = q.x - std::floor(q.x), fy = q.y - std::floor(q.y);
            if (std::min({fx, 1 - fx, fy, 1 - fy}) < 0.02) continue;  // on the edge of a pixel
            const int a = class_at(there, x, y),
                      b = class_at(back, static_cast<int>(q.x), static_cast<int>(q.y));
            ASSERT_EQ(a, b == 1 ? 2 : b == 2 ? 1 : b) << x << ", " << y;
            changed += a == 1;
        }
    EXPECT_GT(changed, 300);
    EXPECT_FALSE(judged_in_frame_of_after(dated, later, {}));
    EXPECT_TRUE(judged_in_frame_of_after(later, dated, {}));
    dated.datetime.reset();  // undated: by their hashes
    dated.sha256 = "5";
    later.sha256 = "3";
    EXPECT_TRUE(judged_in_frame_of_after(dated, later, {}));
    EXPECT_FALSE(judged_in_frame_of_after(later, dated, {}));
    const SceneInfo coarser = write("coarser", utm_grid(128, 120, 1), 1, 1, true);
    EXPECT_FALSE(judged_in_frame_of_after(dated, coarser, {})) << "its grid is another one";
}

TEST_F(Village, AChangedBuildingHasItsWallsForAnOutline) {
    const Grid grid = utm_grid(256, 240, 0.5);
    const SceneInfo before = write("before", grid, 0.5, 0.5, false),
                    after = write("after", grid, 0.5, 0.5, true);
    Progress progress;
    const CompareOutcome out = compare_pair(before, after, {}, progress);
    int houses = 0;
    for (const ChangeObject& object : out.map.objects) {
        if (object.change_class != ChangeClass::appeared) continue;
        ++houses;
        double both = 0, either = 0;  // the house: 60-76 m east, 20-29 m south
        for (int y = 0; y < 240; ++y)
            for (int x = 0; x < 256; ++x) {
                const bool found = contains(object.outline_px, {x + 0.5, y + 0.5}),
                           truth = x >= 120 && x < 152 && y >= 40 && y < 58;
                both += found && truth;
                either += found || truth;
                if (found && truth) {
                    EXPECT_EQ(class_at(out, x, y), 1) << "the map shows it, too";
                }
            }
        EXPECT_GT(both, 0.6 * either);
    }
    EXPECT_EQ(houses, 1);
}

TEST(PairBuildings, EvidenceSpeaksForChange) {
    // In one image only: more sure with the difference and with the pixels between the walls.
    EXPECT_GT(building_change_log_odds(5, -5, 0.8, 0, 0), 2);
    EXPECT_LT(building_change_log_odds(1, -1, 0.02, 0, 0), -4);
    EXPECT_GT(building_change_log_odds(5, -5, 0.5, 0, 0),
              building_change_log_odds(5, -1, 0.5, 0, 0));
    // In both: a roof that only looks otherwise is none; one that has grown in its place is; two
    // that lie beside each other are not one.
    EXPECT_LT(building_change_log_odds(5, 5, 0.3, 0.02, 0.5), -1);
    EXPECT_GT(building_change_log_odds(5, 5, 0.7, 0.4, 0.5), 0.5);
    EXPECT_GT(building_change_log_odds(5, 5, 0.5, -0.4, 0.5),
              building_change_log_odds(5, 5, 0.5, -0.4, 5));
}

TEST_F(Village, OneBandAgainstThreeAndEightBitsAgainstSixteen) {
    const Grid grid = utm_grid(256, 240, 0.5);
    const SceneInfo colour = write("colour", grid, 0.5, 0.5, false);
    Raster pan;
    pan.grid = grid;
    pan.roles = {BandRole::pan};
    pan.valid = Mask(grid.width, grid.height, 1);
    const SceneInfo changed = write("changed", grid, 0.5, 0.5, true);
    const std::unique_ptr<GDALDataset, void (*)(GDALDataset*)> file(
        GDALDataset::Open(changed.path.c_str(), GDAL_OF_RASTER),
        [](GDALDataset* d) { GDALClose(d); });
    ASSERT_NE(file, nullptr);
    Plane plane(grid.width, grid.height);
    for (int y = 0; y < grid.height; ++y)
        ASSERT_EQ(file->GetRasterBand(2)->RasterIO(GF_Read, 0, y, grid.width, 1, plane.row(y),
                                                   grid.width, 1, GDT_Float32, 0, 0, nullptr),
                  CE_None);
    for (int y = 0; y < grid.height; ++y)
        for (int x = 0; x < grid.width; ++x) plane.at(x, y) = 30 + 9 * plane.at(x, y);
    pan.bands.push_back(std::move(plane));
    SceneInfo info;
    info.id = "pan";
    info.path = (folder / "pan.tif").string();
    write_cog(info.path, pan, PixelType::u16, 0, {});
    probe_image(info, {});
    Progress progress;
    const CompareOutcome out = compare_pair(colour, info, {}, progress);
    EXPECT_EQ(class_at(out, 136, 49), 1) << "the house stands in the pan image only";
    EXPECT_FALSE(out.report.scenes[1].notes.empty()) << "that luminance was compared is said";
}

TEST_F(Village, ImagesThatDoNotMeetAreRefusedWithBothExtents) {
    const Grid here = utm_grid(128, 128, 0.5);
    Grid there = here;
    there.geotransform[0] += 50000;
    const SceneInfo before = write("before", here, 0.5, 0.5, false),
                    after = write("after", there, 0.5, 0.5, false);
    Progress progress;
    try {
        compare_pair(before, after, {}, progress);
        FAIL() << "accepted";
    } catch (const DataError& error) {
        EXPECT_NE(std::string(error.what()).find("127.0"), std::string::npos) << error.what();
        EXPECT_NE(std::string(error.what()).find("127.5"), std::string::npos) << error.what();
    }
}

TEST_F(Village, ALargePairGoesStripByStripAndSaysTheSameWhateverTilesAndThreads) {
    const Grid grid = utm_grid(300, 560, 0.5);  // two strips, the second a short one
    const SceneInfo before = write("before", grid, 0.5, 0.5, false),
                    after = write("after", grid, 0.5, 0.5, true, 1.0);
    Progress progress;
    const CompareOutcome held = compare_pair(before, after, {}, progress);
    CompareOptions options;
    options.large_pair_pixels = 1000;
    std::string first;
    for (const auto& [threads, tile] : {std::pair{1, 256}, std::pair{2, 512}, std::pair{7, 1024}}) {
        const tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                                        static_cast<std::size_t>(threads));
        options.difference.tile_px = tile;
        const CompareOutcome out = compare_pair(before, after, options, progress);
        if (first.empty()) {
            first = bytes_of(out);
            int same = 0;
            const auto columns = static_cast<std::size_t>(grid.width);
            std::vector<std::uint8_t> mine(columns), kept(columns);
            std::vector<float> probability(columns);
            for (int y = 0; y < grid.height; ++y) {
                out.map_row(y, mine.data(), probability.data());
                held.map_row(y, kept.data(), probability.data());
                for (int x = 0; x < grid.width; ++x)
                    same += mine[static_cast<std::size_t>(x)] == kept[static_cast<std::size_t>(x)];
            }
            EXPECT_GT(same, 0.995 * grid.width * grid.height);
            EXPECT_EQ(class_at(out, 136, 49), 1);
            EXPECT_EQ(out.alignment.status, held.alignment.status);
            const auto& notes = out.report.scenes[1].notes;
            EXPECT_TRUE(std::any_of(notes.begin(), notes.end(), [](const std::string& note) {
                return note.rfind("buildings are not looked for", 0) == 0;
            }));
        } else {
            EXPECT_EQ(bytes_of(out), first) << threads << " threads, tile " << tile;
        }
    }
    options.scratch_dir = folder.string();  // what is kept of every pixel in a nameless file
    options.held_bytes = 0;
    EXPECT_EQ(bytes_of(compare_pair(before, after, options, progress)), first);
    options.scratch_dir = (folder / "nowhere").string();
    EXPECT_THROW(compare_pair(before, after, options, progress), DataError);
    options.scratch_dir.clear();
    options.overview_pixels = 50000;  // registered at half of the resolution
    const CompareOutcome coarse = compare_pair(before, after, options, progress);
    EXPECT_EQ(class_at(coarse, 136, 49), 1);
    const Point moved = coarse.alignment.target_from_reference({150, 300}),
                expected = held.alignment.target_from_reference({150, 300});
    EXPECT_LT(distance(moved, expected), 0.5);
}

TEST_F(Village, SixteenBitsAndOtherBandsAreCompared) {
    const Grid grid = utm_grid(256, 240, 0.5);
    const SceneInfo before = write("before", grid, 0.5, 0.5, false);
    SceneInfo after = write("after", grid, 0.5, 0.5, true);
    // The later image again, in 16 bit, only two of its bands, the second one first.
    {
        const std::unique_ptr<GDALDataset, void (*)(GDALDataset*)> file(
            GDALDataset::Open(after.path.c_str(), GDAL_OF_RASTER),
            [](GDALDataset* d) { GDALClose(d); });
        Raster raster;
        raster.grid = grid;
        raster.roles = {BandRole::green, BandRole::red};
        raster.valid = Mask(grid.width, grid.height, 1);
        for (const int band : {2, 1}) {
            Plane plane(grid.width, grid.height);
            for (int y = 0; y < grid.height; ++y)
                ASSERT_EQ(
                    file->GetRasterBand(band)->RasterIO(GF_Read, 0, y, grid.width, 1, plane.row(y),
                                                        grid.width, 1, GDT_Float32, 0, 0, nullptr),
                    CE_None);
            for (int y = 0; y < grid.height; ++y)
                for (int x = 0; x < grid.width; ++x) plane.at(x, y) *= 60;
            raster.bands.push_back(std::move(plane));
        }
        after.path = (folder / "after16.tif").string();
        write_cog(after.path, raster, PixelType::u16, 0, {});
        after.roles.clear();
        after.band_count = 0;
        probe_image(after, {});
        after.roles = {BandRole::green, BandRole::red};
    }
    Progress progress;
    const CompareOutcome out = compare_pair(before, after, {}, progress);
    EXPECT_EQ(class_at(out, 136, 49), 1);
    EXPECT_NE(out.map.note.find("only the bands that both images have"), std::string::npos)
        << out.map.note;
}

TEST_F(Village, AnotherPixelSizeIsCompared) {
    const Grid grid = utm_grid(256, 240, 0.5);
    Grid coarser = grid;
    coarser.geotransform[1] = 0.7;
    coarser.geotransform[5] = -0.7;
    coarser.width = 184;
    coarser.height = 172;
    const SceneInfo before = write("before", grid, 0.5, 0.5, false),
                    after = write("after", coarser, 0.7, 0.7, true);
    Progress progress;
    const CompareOutcome out = compare_pair(before, after, {}, progress);
    EXPECT_EQ(out.grid.width, 256);
    EXPECT_EQ(class_at(out, 136, 49), 1);
}

TEST_F(Village, AnImageThatHoldsNothingIsRefused) {
    const Grid grid = utm_grid(256, 240, 0.5);
    const SceneInfo before = write("before", grid, 0.5, 0.5, false);
    Raster raster;
    raster.grid = grid;
    raster.roles = {BandRole::red, BandRole::green, BandRole::blue};
    raster.valid = Mask(grid.width, grid.height, 0);
    for (int b = 0; b < 3; ++b) raster.bands.emplace_back(grid.width, grid.height);
    SceneInfo after = before;
    after.id = "empty";
    after.path = (folder / "empty.tif").string();
    write_cog(after.path, raster, PixelType::u8, 0, {});
    Progress progress;
    for (const double large : {16e6, 1000.0}) {
        CompareOptions options;
        options.large_pair_pixels = large;
        EXPECT_THROW(compare_pair(before, after, options, progress), DataError);
    }
}

/// Starts the real program; it is waited for by the caller.
pid_t start_program(const std::vector<std::string>& arguments, bool small_files) {
    const pid_t child = fork();
    if (child != 0) return child;
    std::vector<char*> words{const_cast<char*>(program_path())};
    for (const std::string& argument : arguments)
        words.push_back(const_cast<char*>(argument.c_str()));
    words.push_back(nullptr);
    if (small_files) {  // as a disk that takes four kilobytes more of a file
        signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{4096, 4096};
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    const int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    execv(program_path(), words.data());
    _exit(127);
}

bool folder_begins(const fs::path& folder, const std::string& name) {
    for (const auto& entry : fs::directory_iterator(folder))
        if (entry.path().filename().string().rfind(name, 0) == 0) return true;
    return false;
}

TEST_F(Village, AFullDiskLeavesNothing) {
    const Grid grid = utm_grid(256, 240, 0.5);
    const SceneInfo before = write("before", grid, 0.5, 0.5, false),
                    after = write("after", grid, 0.5, 0.5, true);
    int status = -1;
    waitpid(start_program({"compare", before.path, after.path, "--out", (folder / "out").string()},
                          true),
            &status, 0);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 1);
    EXPECT_FALSE(fs::exists(folder / "out"));
    EXPECT_FALSE(folder_begins(folder, ".out"));
}

TEST_F(Village, InterruptedOrKilledNothingIsHalfWritten) {
    const Grid grid = utm_grid(400, 400, 0.5);
    const SceneInfo before = write("before", grid, 0.5, 0.5, false),
                    after = write("after", grid, 0.5, 0.5, true);
    for (const int blow : {SIGINT, SIGKILL}) {
        const pid_t child = start_program(
            {"compare", before.path, after.path, "--out", (folder / "out").string()}, false);
        // The working folder is there from the start; then it reads and registers for a while.
        for (int k = 0; k < 2000 && !folder_begins(folder, ".out"); ++k) usleep(5000);
        kill(child, blow);
        int status = -1;
        waitpid(child, &status, 0);
        if (blow == SIGINT) {
            ASSERT_TRUE(WIFEXITED(status));
            EXPECT_EQ(WEXITSTATUS(status), 75);
            EXPECT_FALSE(folder_begins(folder, ".out"));
        }
        EXPECT_FALSE(fs::exists(folder / "out"));
    }
}

}  // namespace
}  // namespace fenceline
