#include <fmt/format.h>
#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <numbers>
#include <random>

#include "core/error.h"
#include "image_fixture.h"
#include "input/image_io.h"
#include "input/scene_catalog.h"
#include "stages/observe.h"

namespace fenceline {
namespace {

using test::ImageRecipe;
using test::TemporaryFolder;
using test::utm_grid;
using test::write_image;
using test::write_text;
namespace fs = std::filesystem;

SceneInfo scene_of(const std::string& path) {
    SceneInfo info;
    info.id = fs::path(path).stem().string();
    info.path = path;
    return info;
}
SceneInfo probed(const std::string& path, const GeorefOptions& georef = {}) {
    SceneInfo info = scene_of(path);
    probe_image(info, georef);
    return info;
}
/// The reason with which probing or reading refuses a file; empty when it does not.
std::string refusal(const std::string& path) {
    try {
        SceneInfo info = probed(path);
        read_on_grid(info, utm_grid(500010, 4629990, 1, 20, 20), {}, {});
    } catch (const DataError& error) {
        EXPECT_FALSE(error.reason.empty());
        return error.what();
    }
    return {};
}
/// A smooth surface over UTM 52N that a cubic reproduces to a few hundredths.
double surface(Point map) {
    return 1000 + 300 * std::sin((map.x - 500000) / 9.0) + 200 * std::cos((map.y - 4630000) / 11.0);
}

// ----------------------------------------------------------------------------------------------
// sampling

TEST(ReadOnGrid, PixelCentresMeanWhatGridSays) {
    const TemporaryFolder folder;
    ImageRecipe recipe;
    recipe.type = GDT_Float32;
    recipe.value = [](int, int x, int y) { return surface({500000 + x + 0.5, 4630000 - y - 0.5}); };
    write_image(folder / "a.tif", recipe);
    const SceneInfo info = probed(folder / "a.tif");
    const Grid grid = utm_grid(500010.3, 4629985.6, 1, 31, 23);
    Warp warp;
    for (const bool moved : {false, true}) {
        if (moved) warp.affine.a = {3.25, 1.001, 0.002, -1.5, -0.001, 0.999};
        const GridImage image = read_on_grid(info, grid, warp, {});
        for (int y = 0; y < grid.height; ++y)
            for (int x = 0; x < grid.width; ++x) {
                ASSERT_EQ(image.raster.valid.at(x, y), 1);
                ASSERT_NEAR(image.raster.bands[0].at(x, y),
                            surface(grid.map_from_px(warp({x + 0.5, y + 0.5}))), 0.6)
                    << x << " " << y;
            }
    }
    // A local field moves single places.
    warp = {};
    warp.local = {64, 3, 3, std::vector<float>(9, 1.5F), std::vector<float>(9, -2.25F)};
    const GridImage image = read_on_grid(info, grid, warp, {});
    EXPECT_NEAR(image.raster.bands[0].at(10, 10), surface(grid.map_from_px({12.0, 8.25})), 0.6);
}

TEST(ReadOnGrid, OtherCrsSouthUpAndTurnedImagesLandOnTheSamePlace) {
    const TemporaryFolder folder;
    const Grid grid = utm_grid(500030, 4629970, 1, 40, 40);
    const double c = std::cos(0.3), s = std::sin(0.3);
    struct Case {
        const char* name;
        std::string crs;
        std::array<double, 6> transform;
    };
    const Transform to_lonlat("EPSG:32652", "EPSG:4326"), to_mercator("EPSG:32652", "EPSG:3857");
    const Point nw = to_lonlat({500000, 4630000}), nw_mercator = to_mercator({500000, 4630000});
    for (const Case& k :
         {Case{"utm", "EPSG:32652", {500000, 1, 0, 4630000, 0, -1}},
          Case{"south_up", "EPSG:32652", {500000, 1, 0, 4629880, 0, 1}},
          Case{"turned", "EPSG:32652", {499990, c, s, 4629970, s, -c}},
          Case{"neighbour_zone", "EPSG:32651", {0, 0, 0, 0, 0, 0}},
          Case{"degrees", "EPSG:4326", {nw.x, 1.2e-5, 0, nw.y, 0, -0.9e-5}},
          Case{"mercator", "EPSG:3857", {nw_mercator.x, 1.34, 0, nw_mercator.y, 0, -1.34}}}) {
        Grid source;
        source.crs_wkt = wkt_of(k.crs);
        source.geotransform = k.transform;
        if (k.transform == std::array<double, 6>{}) {
            const Point p = Transform("EPSG:32652", k.crs)({499980, 4630030});
            source.geotransform = {p.x, 1, 0, p.y, 0, -1};
        }
        ImageRecipe recipe;
        recipe.width = recipe.height = 150;
        recipe.type = GDT_Float32;
        recipe.crs = k.crs;
        recipe.geotransform = source.geotransform;
        const Transform to_utm(k.crs, "EPSG:32652");
        recipe.value = [&](int, int x, int y) {
            return surface(to_utm(source.map_from_px({x + 0.5, y + 0.5})));
        };
        write_image(folder / (std::string(k.name) + ".tif"), recipe);
        const SceneInfo info = probed(folder / (std::string(k.name) + ".tif"));
        EXPECT_NEAR(info.gsd_m, 1.0, 0.02) << k.name << ": true metres";
        const GridImage image = read_on_grid(info, grid, {}, {});
        for (int y = 0; y < grid.height; ++y)
            for (int x = 0; x < grid.width; ++x) {
                ASSERT_EQ(image.raster.valid.at(x, y), 1) << k.name;
                ASSERT_NEAR(image.raster.bands[0].at(x, y),
                            surface(grid.map_from_px({x + 0.5, y + 0.5})), 1.5)
                    << k.name;
            }
    }
}

TEST(ReadOnGrid, FinerSourcesAreAveragedNotAliased) {
    const TemporaryFolder folder;
    ImageRecipe recipe;
    recipe.width = recipe.height = 260;
    recipe.type = GDT_Float32;
    recipe.geotransform = {500000, 0.25, 0, 4630000, 0, -0.25};
    // A chequerboard of single pixels on a ramp: the board must vanish, the ramp must stay.
    recipe.value = [](int, int x, int y) {
        return 1000 + 2.0 * x + ((x + y) % 2 == 0 ? 500 : -500);
    };
    write_image(folder / "a.tif", recipe);
    const Grid grid = utm_grid(500010, 4629990, 1, 40, 40);
    const GridImage image = read_on_grid(probed(folder / "a.tif"), grid, {}, {});
    for (int y = 0; y < 40; ++y)
        for (int x = 0; x < 40; ++x)
            ASSERT_NEAR(image.raster.bands[0].at(x, y), 1000 + 2.0 * (40 + 4 * x + 1.5), 3.0)
                << x << " " << y;
}

TEST(ReadOnGrid, NoDataAlphaMaskAndNanAreHoles) {
    const TemporaryFolder folder;
    const auto hole = [](int x, int y) { return x >= 20 && x < 30 && y >= 20 && y < 30; };
    ImageRecipe no_data;
    no_data.bands = 3;
    no_data.value = [&](int b, int x, int y) {
        return hole(x, y) ? 0.0 : b == 2 && x == 40 ? 0.0 : 500.0;
    };
    no_data.more = [](GDALDataset& d) {
        for (int b = 1; b <= 3; ++b) d.GetRasterBand(b)->SetNoDataValue(0);
    };
    write_image(folder / "nodata.tif", no_data);
    ImageRecipe alpha;
    alpha.bands = 4;
    alpha.type = GDT_Byte;
    alpha.creation = {"PHOTOMETRIC=RGB", "ALPHA=YES"};
    alpha.value = [&](int b, int x, int y) { return b < 3 ? 90.0 : hole(x, y) ? 0.0 : 255.0; };
    write_image(folder / "alpha.tif", alpha);
    ImageRecipe nan;
    nan.type = GDT_Float32;
    nan.value = [&](int, int x, int y) { return hole(x, y) ? std::nan("") : 5.5; };
    write_image(folder / "nan.tif", nan);
    ImageRecipe infinite = nan;
    infinite.value = [&](int, int x, int y) { return hole(x, y) ? HUGE_VAL : 5.5; };
    write_image(folder / "inf.tif", infinite);
    for (const bool internal : {true, false}) {
        ImageRecipe mask;
        mask.value = [](int, int, int) { return 77; };
        mask.more = [&](GDALDataset& d) {
            CPLSetThreadLocalConfigOption("GDAL_TIFF_INTERNAL_MASK", internal ? "YES" : "NO");
            d.CreateMaskBand(GMF_PER_DATASET);
            std::vector<std::uint8_t> line(64);
            for (int y = 0; y < 64; ++y) {
                for (int x = 0; x < 64; ++x)
                    line[static_cast<std::size_t>(x)] = hole(x, y) ? 0 : 255;
                ASSERT_EQ(d.GetRasterBand(1)->GetMaskBand()->RasterIO(
                              GF_Write, 0, y, 64, 1, line.data(), 64, 1, GDT_Byte, 0, 0, nullptr),
                          CE_None);
            }
            CPLSetThreadLocalConfigOption("GDAL_TIFF_INTERNAL_MASK", nullptr);
        };
        write_image(folder / (internal ? "mask_inside.tif" : "mask_beside.tif"), mask);
    }
    ASSERT_TRUE(fs::exists(folder / "mask_beside.tif.msk"));
    for (const char* name :
         {"nodata.tif", "alpha.tif", "nan.tif", "inf.tif", "mask_inside.tif", "mask_beside.tif"}) {
        const SceneInfo info = probed(folder / name);
        EXPECT_EQ(info.band_count,
                  name == std::string("alpha.tif") || name == std::string("nodata.tif") ? 3 : 1);
        // Half a pixel off, so that the border of the hole is interpolated.
        const GridImage image =
            read_on_grid(info, utm_grid(500000.4, 4630000.2, 1, 64, 64), {}, {});
        for (int y = 0; y < 63; ++y)
            for (int x = 0; x < 63; ++x) {
                ASSERT_EQ(image.raster.valid.at(x, y) == 0, hole(x, y))
                    << name << " " << x << " " << y;
                ASSERT_EQ((image.masks.at(x, y) & kNoData) != 0, hole(x, y)) << name;
                if (hole(x, y) || x == 39 || x == 40 || x == 41 || x == 38) continue;
                ASSERT_NEAR(image.raster.bands[0].at(x, y), image.raster.bands[0].at(2, 2), 0.01)
                    << name << ": no-data bled into " << x << " " << y;
            }
    }
}

TEST(ReadOnGrid, SaturationScaleAndOffset) {
    const TemporaryFolder folder;
    ImageRecipe recipe;
    recipe.type = GDT_Byte;
    recipe.value = [](int, int x, int) { return x < 32 ? 255 : 100; };
    recipe.more = [](GDALDataset& d) {
        d.GetRasterBand(1)->SetScale(0.5);
        d.GetRasterBand(1)->SetOffset(-10);
    };
    write_image(folder / "a.tif", recipe);
    const GridImage image =
        read_on_grid(probed(folder / "a.tif"), utm_grid(500000, 4630000, 1, 64, 64), {}, {});
    EXPECT_EQ(image.masks.at(10, 10), kSaturated);
    EXPECT_EQ(image.masks.at(50, 10), 0);
    EXPECT_NEAR(image.raster.bands[0].at(50, 10), 40, 1e-4);
}

TEST(ReadOnGrid, SameBytesForAnyNumberOfThreads) {
    const TemporaryFolder folder;
    ImageRecipe recipe;
    recipe.width = 700;
    recipe.height = 650;
    recipe.bands = 3;
    std::mt19937 random(5);
    recipe.value = [&](int, int, int) { return random() % 900; };
    recipe.more = [](GDALDataset& d) {
        for (int b = 1; b <= 3; ++b) d.GetRasterBand(b)->SetNoDataValue(13);
    };
    write_image(folder / "a.tif", recipe);
    const SceneInfo info = probed(folder / "a.tif");
    Warp warp;
    warp.affine.a = {3.25, 1.001, 0.002, -1.5, -0.001, 0.999};
    for (const double gsd : {0.7, 1.9}) {
        const Grid grid = utm_grid(500020.2, 4629990.7, gsd, 300, 280);
        std::vector<GridImage> images;
        for (const std::size_t threads : {1U, 2U, 7U}) {
            const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
            images.push_back(read_on_grid(info, grid, warp, {}));
        }
        for (int y = 0; y < grid.height; ++y)
            for (std::size_t k = 1; k < images.size(); ++k)
                for (std::size_t b = 0; b < 3; ++b)
                    ASSERT_EQ(std::memcmp(images[0].raster.bands[b].row(y),
                                          images[k].raster.bands[b].row(y), 300 * sizeof(float)),
                              0);
    }
}

TEST(ReadOnGrid, AnImageWhoseMemoryIsUsedAgainHoldsNothingOfTheLastWindow) {
    const TemporaryFolder folder;
    ImageRecipe recipe;
    recipe.width = recipe.height = 200;
    recipe.bands = 2;
    std::mt19937 random(8);
    recipe.value = [&](int, int, int) { return 1 + random() % 900; };
    recipe.more = [](GDALDataset& d) {
        for (int b = 1; b <= 2; ++b) d.GetRasterBand(b)->SetNoDataValue(13);
    };
    write_image(folder / "a.tif", recipe);
    const SceneInfo info = probed(folder / "a.tif");
    const Grid grid = utm_grid(499950, 4630040, 1, 400, 400);  // the image lies inside
    Warp warp;
    warp.affine.a = {3.25, 1.001, 0.002, -1.5, -0.001, 0.999};
    GridReader reader(info, grid, {}, {});
    GridImage again;
    reader.read({60, 60, 128, 100}, again);
    reader.register_by(warp);
    GridReader registered(info, grid, warp, {});
    for (const Window& window : {Window{0, 20, 128, 100}, Window{180, 190, 128, 100},
                                 Window{270, 290, 128, 100}, Window{20, 30, 90, 40}}) {
        reader.read(window, again);
        const GridImage fresh = registered.read(window);
        ASSERT_EQ(again.raster.valid.height(), window.height);
        for (int y = 0; y < window.height; ++y)
            for (int x = 0; x < window.width; ++x) {
                ASSERT_EQ(again.raster.valid.at(x, y), fresh.raster.valid.at(x, y))
                    << x << ' ' << y;
                ASSERT_EQ(again.masks.at(x, y), fresh.masks.at(x, y)) << x << ' ' << y;
                for (std::size_t b = 0; b < 2; ++b)
                    ASSERT_EQ(again.raster.bands[b].at(x, y), fresh.raster.bands[b].at(x, y));
            }
    }
}

TEST(ReadOnGrid, BlocksThatAllThreadsDecodeAreTheSameAndSoIsTheReasonOfADamagedOne) {
    const TemporaryFolder folder;
    ImageRecipe recipe;
    recipe.width = recipe.height = 512;
    recipe.bands = 2;
    recipe.creation = {"TILED=YES", "BLOCKXSIZE=64", "BLOCKYSIZE=64", "COMPRESS=DEFLATE"};
    std::mt19937 random(6);
    recipe.value = [&](int, int, int) { return random() % 900; };
    const std::string whole = folder / "a.tif", half = folder / "b.tif";
    write_image(whole, recipe);
    const std::string bytes = test::read_bytes(whole);
    write_text(half, bytes.substr(0, bytes.size() / 2));
    const Grid grid = utm_grid(500010.3, 4629990.6, 1, 490, 490);
    const auto read = [&](const std::string& path, Decoding decoding) {
        return GridReader(probed(path), grid, {}, {}, decoding).read({0, 0, 490, 490});
    };
    const GridImage alone = read(whole, Decoding::by_the_reader),
                    together = read(whole, Decoding::on_all_threads);
    for (int y = 0; y < grid.height; ++y)
        for (std::size_t b = 0; b < 2; ++b)
            ASSERT_EQ(std::memcmp(alone.raster.bands[b].row(y), together.raster.bands[b].row(y),
                                  490 * sizeof(float)),
                      0);
    std::vector<std::string> reasons;
    for (const Decoding decoding : {Decoding::by_the_reader, Decoding::on_all_threads}) try {
            read(half, decoding);
        } catch (const DataError& error) {
            reasons.emplace_back(error.what());
        }
    ASSERT_EQ(reasons.size(), 2U);
    EXPECT_EQ(reasons[0], reasons[1]);
    EXPECT_NE(reasons[0].find("its pixels cannot be read: TIFF"), std::string::npos) << reasons[0];
}

TEST(ReadOnGrid, OutsideIsAReason) {
    const TemporaryFolder folder;
    write_image(folder / "a.tif", {});
    const SceneInfo info = probed(folder / "a.tif");
    EXPECT_THROW(read_on_grid(info, utm_grid(600000, 4630000, 1, 20, 20), {}, {}), DataError);
    // Half outside: what is there is read.
    const GridImage image = read_on_grid(info, utm_grid(500054, 4629990, 1, 20, 20), {}, {});
    EXPECT_EQ(image.raster.valid.at(5, 5), 1);
    EXPECT_EQ(image.raster.valid.at(15, 5), 0);
    EXPECT_EQ(image.masks.at(15, 5), kNoData);
}

TEST(ReadOnGrid, TinyImages) {
    const TemporaryFolder folder;
    for (const int size : {1, 2, 3, 5}) {
        ImageRecipe recipe;
        recipe.width = recipe.height = size;
        recipe.value = [](int, int, int) { return 42; };
        const std::string path = folder / fmt::format("t{}.tif", size);
        write_image(path, recipe);
        const GridImage image =
            read_on_grid(probed(path), utm_grid(499999, 4630001, 0.5, 20, 20), {}, {});
        EXPECT_NEAR(image.raster.bands[0].at(3, 3), 42, 1e-4);
        EXPECT_EQ(image.raster.valid.at(0, 0), 0);
    }
}

// ----------------------------------------------------------------------------------------
// georeferencing

TEST(Georeferencing, ControlPointsGiveTheSamePlaceAsAnAffineImage) {
    const TemporaryFolder folder;
    ImageRecipe recipe;
    recipe.type = GDT_Float32;
    recipe.value = [](int, int x, int y) { return surface({500000 + x + 0.5, 4630000 - y - 0.5}); };
    recipe.crs.clear();
    recipe.geotransform = {};
    recipe.more = [](GDALDataset& d) {
        std::vector<GDAL_GCP> points(12);
        GDALInitGCPs(12, points.data());
        for (std::size_t i = 0; i < 12; ++i) {
            points[i].dfGCPPixel = static_cast<double>(i % 4) * 20;
            points[i].dfGCPLine = static_cast<double>(i / 4) * 30;
            points[i].dfGCPX = 500000 + points[i].dfGCPPixel;
            points[i].dfGCPY = 4630000 - points[i].dfGCPLine;
        }
        d.SetGCPs(12, points.data(), wkt_of("EPSG:32652").c_str());
        GDALDeinitGCPs(12, points.data());
    };
    write_image(folder / "gcp.tif", recipe);
    const SceneInfo info = probed(folder / "gcp.tif");
    EXPECT_NEAR(info.gsd_m, 1, 0.01);
    const Grid grid = utm_grid(500010.3, 4629985.6, 1, 31, 23);
    const GridImage image = read_on_grid(info, grid, {}, {});
    for (int y = 0; y < grid.height; ++y)
        for (int x = 0; x < grid.width; ++x)
            ASSERT_NEAR(image.raster.bands[0].at(x, y),
                        surface(grid.map_from_px({x + 0.5, y + 0.5})), 1.0);
    EXPECT_THROW(image_grid(info, {}), DataError);
}

TEST(Georeferencing, RationalPolynomialsWithHeightAndDem) {
    const TemporaryFolder folder;
    const Point centre = Transform("EPSG:32652", "EPSG:4326")({500100, 4629900});
    // Linear RPCs: 1 m pixels, and a metre of height moves the ground 0.5 pixels along the samples.
    const double degrees_x = 1e-3, degrees_y = 1e-3;
    const double px_x = degrees_x * 111320 * std::cos(centre.y * std::numbers::pi / 180),
                 px_y = degrees_y * 111080;
    const auto terms = [](double constant, double lon, double lat, double height) {
        std::string text = fmt::format("{} {} {} {}", constant, lon, lat, height);
        for (int i = 4; i < 20; ++i) text += " 0";
        return text;
    };
    ImageRecipe recipe;
    recipe.width = recipe.height = 200;
    recipe.crs.clear();
    recipe.geotransform = {};
    recipe.type = GDT_Float32;
    recipe.value = [](int, int x, int y) { return 100 + x + 1000 * y; };
    recipe.more = [&](GDALDataset& d) {
        char** rpc = nullptr;
        const auto set = [&](const char* key, const std::string& value) {
            rpc = CSLSetNameValue(rpc, key, value.c_str());
        };
        set("LINE_OFF", "99.5");
        set("SAMP_OFF", "99.5");
        set("LAT_OFF", fmt::format("{:.12f}", centre.y));
        set("LONG_OFF", fmt::format("{:.12f}", centre.x));
        set("HEIGHT_OFF", "0");
        set("LINE_SCALE", fmt::format("{}", px_y));
        set("SAMP_SCALE", fmt::format("{}", px_x));
        set("LAT_SCALE", fmt::format("{}", degrees_y));
        set("LONG_SCALE", fmt::format("{}", degrees_x));
        set("HEIGHT_SCALE", "100");
        set("LINE_NUM_COEFF", terms(0, 0, -1, 0));
        set("LINE_DEN_COEFF", terms(1, 0, 0, 0));
        set("SAMP_NUM_COEFF", terms(0, 1, 0, 50 / px_x));
        set("SAMP_DEN_COEFF", terms(1, 0, 0, 0));
        d.SetMetadata(rpc, "RPC");
        CSLDestroy(rpc);
    };
    write_image(folder / "rpc.tif", recipe);
    const Grid grid = utm_grid(500080, 4629920, 1, 40, 40);
    const auto sample = [&](const GeorefOptions& georef) {
        const SceneInfo info = probed(folder / "rpc.tif", georef);
        EXPECT_NEAR(info.gsd_m, 1, 0.02);
        return static_cast<double>(
                   read_on_grid(info, grid, {}, georef).raster.bands[0].at(20, 20)) -
               100;
    };
    GeorefOptions flat, high, dem;
    high.height_m = 60;
    const double at_0 = sample(flat), at_60 = sample(high);
    // value = column + 1000 · row, the grid pixel's centre lies 0.5 m east and south of the RPC's
    // centre.
    EXPECT_NEAR(std::fmod(at_60 - at_0 + 500, 1000.0) - 500, 30, 0.1) << "60 m move 30 pixels";
    EXPECT_NEAR(std::round(at_0 / 1000), 100, 1.01);
    ImageRecipe ground;
    ground.width = ground.height = 40;
    ground.type = GDT_Float32;
    ground.geotransform = {499800, 20, 0, 4630200, 0, -20};
    ground.value = [](int, int, int) { return 60; };
    write_image(folder / "dem.tif", ground);
    dem.dem_path = folder / "dem.tif";
    EXPECT_NEAR(sample(dem), at_60, 5) << "a flat DEM is a constant height";
}

// ------------------------------------------------------------------------------------------- given
// masks

TEST(GivenMask, Udm2AndSclSetTheirBits) {
    const TemporaryFolder folder;
    write_image(folder / "x_20210430_3B_AnalyticMS.tif", {});
    ImageRecipe udm;
    udm.bands = 8;
    udm.type = GDT_Byte;
    udm.value = [](int b, int x, int) {
        return b == x / 8 ? 1 : 0;
    };  // column block k sets band k + 1
    write_image(folder / "x_20210430_3B_udm2.tif", udm);
    const auto scenes = find_scenes(folder.path.string(), {});
    ASSERT_EQ(scenes.size(), 1U) << "a mask is no scene";
    EXPECT_EQ(scenes[0].mask_kind, "udm2");
    const Grid grid = utm_grid(500000, 4630000, 1, 64, 64);
    const GridImage image = read_on_grid(scenes[0], grid, {}, {});
    EXPECT_TRUE(image.mask_given);
    const int want[] = {0, kSnow, kCloudShadow, kHaze, kHaze, kCloud, 0, kNoData};
    for (int k = 0; k < 8; ++k)
        EXPECT_EQ(image.masks.at(8 * k + 4, 30), want[k]) << "band " << k + 1;
    EXPECT_EQ(image.raster.valid.at(60, 30), 0);

    ImageRecipe scl;
    scl.type = GDT_Byte;
    scl.geotransform = {500000, 2, 0, 4630000, 0, -2};
    scl.width = scl.height = 32;
    scl.value = [](int, int x, int) { return x / 2; };
    write_image(folder / "t/T52_20210430_SCL.tif", scl);
    SceneInfo info = scenes[0];
    info.mask_path = folder / "t/T52_20210430_SCL.tif";
    info.mask_kind = "scl";
    const GridImage classified = read_on_grid(info, grid, {}, {});
    EXPECT_EQ(classified.masks.at(4 * 3 + 2, 9), kCloudShadow);
    EXPECT_EQ(classified.masks.at(4 * 5 + 2, 9), 0);
    EXPECT_EQ(classified.masks.at(4 * 9 + 2, 9), kCloud);
    EXPECT_EQ(classified.masks.at(4 * 10 + 2, 9), kHaze);
    EXPECT_EQ(classified.masks.at(4 * 11 + 2, 9), kSnow);
}

// ----------------------------------------------------------------------------------------------
// metadata

TEST(Probe, ReadsVendorMetadataInItsOrder) {
    const TemporaryFolder folder;
    ImageRecipe recipe;
    recipe.bands = 4;
    recipe.tags["SIMULATED"] = "TRUE";
    write_image(folder / "w_20200101.tif", recipe);
    write_text(folder / "w_20200101.IMD",
               "version = \"28.2\";\nBEGIN_GROUP = IMAGE_1\n\tsatId = \"WV02\";\n\tfirstLineTime = "
               "2021-04-30T02:25:31.123456Z;\n"
               "\tmeanSunAz = 151.2;\n\tmeanSunEl = 55.5;\n\tmeanSatAz = "
               "201.0;\n\tmeanOffNadirViewAngle = 17.3;\n"
               "\tmeanCollectedGSD = 0.52;\n\tcloudCover = 0.01;\nEND_GROUP = IMAGE_1\nEND;\n");
    write_text(folder / "w_20200101.RPB", "satId = \"WV02\";\nEND;\n");
    const SceneInfo info = probed(folder / "w_20200101.tif");
    ASSERT_TRUE(info.datetime);
    EXPECT_EQ(format_time(*info.datetime), "2021-04-30T02:25:31.123456Z")
        << "line time before every other";
    EXPECT_EQ(info.datetime_from, "metadata");
    EXPECT_EQ(info.sensor, "WV02");
    EXPECT_DOUBLE_EQ(info.sun_azimuth_deg.value_or(0), 151.2);
    EXPECT_DOUBLE_EQ(info.sun_elevation_deg.value_or(0), 55.5);
    EXPECT_DOUBLE_EQ(info.view_azimuth_deg.value_or(0), 201.0);
    EXPECT_DOUBLE_EQ(info.off_nadir_deg.value_or(0), 17.3);
    EXPECT_TRUE(info.simulated);
    EXPECT_EQ(info.roles,
              (std::vector{BandRole::blue, BandRole::green, BandRole::red, BandRole::nir}));
    EXPECT_FALSE(info.notes.empty()) << "the file name says another date";
    EXPECT_FALSE(info.extra_files.empty()) << "the IMD was read";
    EXPECT_EQ(info.footprint_lonlat.size(), 32U);
}

TEST(Probe, AnotherTimeThanTheVendorsLineTimeIsSaid) {
    const TemporaryFolder folder;
    ImageRecipe recipe;
    recipe.tags.clear();
    for (const char* name : {"a", "b", "c"}) {
        recipe.value = [name](int, int x, int) { return 10 * (name[0] - 'a') + x; };
        write_image(folder / (name + std::string(".tif")), recipe);
        write_text(folder / (name + std::string(".IMD")),
                   "BEGIN_GROUP = IMAGE_1\n\tsatId = \"WV02\";\n\tfirstLineTime = "
                   "2021-04-30T02:25:31.123456Z;\nEND_GROUP = IMAGE_1\nEND;\n");
    }
    write_text(folder / "list.csv",
               "path,datetime\na.tif,2021-04-30T02:25:31Z\nb.tif,2021-04-30T02:27:00Z\n"
               "c.tif,2021-04-30\n");
    for (const SceneInfo& scene : find_scenes(folder / "list.csv", {})) {
        const std::string notes = fmt::format("{}", fmt::join(scene.notes, "; "));
        EXPECT_EQ(notes.find("2021-04-30T02:25:31.123456Z") != std::string::npos, scene.id == "b")
            << scene.id << ": " << notes;
    }
}

TEST(Folder, AnIdIsTheFileNameAsFarAsFileSystemsTakeIt) {
    const TemporaryFolder folder;
    ImageRecipe recipe;
    recipe.tags.clear();
    const std::vector<std::pair<std::string, std::string>> names{
        {"_my scene (2), 50% 20200101", "_my scene (2), 50% 20200101"},
        {"a: \"b\" 20200102", "a_ _b_ 20200102"},
        {"\uccad\uc9c4 20200103", "\uccad\uc9c4 20200103"}};
    for (std::size_t i = 0; i < names.size(); ++i) {
        recipe.value = [i](int, int x, int) { return 10.0 * static_cast<double>(i) + x; };
        write_image(folder / (names[i].first + ".tif"), recipe);
    }
    const auto scenes = find_scenes(folder.path.string(), {});
    ASSERT_EQ(scenes.size(), names.size());
    for (std::size_t i = 0; i < names.size(); ++i) EXPECT_EQ(scenes[i].id, names[i].second);
}

TEST(Folder, AnImageOfTheFutureIsMisdated) {
    const TemporaryFolder folder;
    ImageRecipe recipe;
    recipe.tags.clear();
    write_image(folder / "a_20200101.tif", recipe);
    recipe.value = [](int, int x, int) { return 7.0 + x; };
    write_image(folder / "b_20990101.tif", recipe);
    recipe.tags["SIMULATED"] = "TRUE";
    write_image(folder / "c_20980101.tif", recipe);
    const auto scenes = find_scenes(folder.path.string(), {});
    ASSERT_EQ(scenes.size(), 3U);
    EXPECT_EQ(scenes[0].left_out, "");
    EXPECT_EQ(scenes[1].left_out, "") << "simulated";
    EXPECT_NE(scenes[2].left_out.find("2099-01-01 (from file name)"), std::string::npos)
        << scenes[2].left_out;
}

TEST(Probe, MetadataWrittenIntoTheTiffIsReadToo) {
    const TemporaryFolder folder;
    ImageRecipe recipe;
    recipe.more = [](GDALDataset& d) {
        d.SetMetadataItem("IMAGE_1.meanSunAz", "151.2", "IMD");
        d.SetMetadataItem("IMAGE_1.meanSunEl", "-999", "IMD");
    };
    write_image(folder / "a.tif", recipe);
    const SceneInfo info = probed(folder / "a.tif");
    EXPECT_DOUBLE_EQ(info.sun_azimuth_deg.value_or(0), 151.2);
    EXPECT_FALSE(info.sun_elevation_deg) << "-999 means not known";
    EXPECT_EQ(format_time(*info.datetime), "2017-08-29T04:50:11Z");
    EXPECT_EQ(info.roles, std::vector{BandRole::pan});
}

TEST(Probe, BandRolesFromDescriptionsAndColours) {
    const TemporaryFolder folder;
    ImageRecipe recipe;
    recipe.bands = 4;
    recipe.more = [](GDALDataset& d) {
        const char* names[] = {"B08", "B04", "B03", "B02"};
        for (int b = 0; b < 4; ++b) d.GetRasterBand(b + 1)->SetDescription(names[b]);
    };
    write_image(folder / "names.tif", recipe);
    EXPECT_EQ(probed(folder / "names.tif").roles,
              (std::vector{BandRole::nir, BandRole::red, BandRole::green, BandRole::blue}));
    ImageRecipe colours;
    colours.bands = 4;
    colours.creation = {"PHOTOMETRIC=RGB", "ALPHA=NO"};
    write_image(folder / "colours.tif", colours);
    EXPECT_EQ(probed(folder / "colours.tif").roles,
              (std::vector{BandRole::red, BandRole::green, BandRole::blue, BandRole::nir}));
}

TEST(ReadOnGrid, AFourthBandThatADefaultCallsAlphaIsAMeasurement) {
    const TemporaryFolder folder;
    ImageRecipe four;  // GDAL's own default for four 8-bit bands
    four.bands = 4;
    four.type = GDT_Byte;
    four.value = [](int b, int x, int y) { return 20.0 + 10 * b + x % 7 + y % 5; };
    write_image(folder / "four.tif", four);
    const SceneInfo info = probed(folder / "four.tif");
    EXPECT_EQ(info.roles,
              (std::vector{BandRole::red, BandRole::green, BandRole::blue, BandRole::nir}));
    const GridImage image = read_on_grid(info, utm_grid(500000, 4630000, 1, 64, 64), {}, {});
    ASSERT_EQ(image.raster.bands.size(), 4U);
    EXPECT_EQ(image.raster.valid.at(30, 30), 1);
    EXPECT_NEAR(image.raster.bands[3].at(30, 30), 52, 0.01);
}

// --------------------------------------------------------------------------------------------- bad
// input

TEST(BadInput, DisguisedVrtIsRefused) {
    const TemporaryFolder folder;
    write_text(folder / "secret.bin", std::string(64, 'x'));
    const std::string vrt =
        "<VRTDataset rasterXSize=\"8\" "
        "rasterYSize=\"8\"><SRS>EPSG:32652</SRS><GeoTransform>500000,1,0,4630000,0,-1"
        "</GeoTransform><VRTRasterBand dataType=\"Byte\" band=\"1\" subClass=\"VRTRawRasterBand\">"
        "<SourceFilename "
        "relativeToVRT=\"1\">secret.bin</SourceFilename><ImageOffset>0</ImageOffset>"
        "<PixelOffset>1</PixelOffset><LineOffset>8</LineOffset></VRTRasterBand></VRTDataset>";
    write_text(folder / "a_20200101.tif", vrt);
    EXPECT_NE(refusal(folder / "a_20200101.tif").find("not recognized"), std::string::npos);
    write_text(folder / "wms_20200101.tif",
               "<GDAL_WMS><Service "
               "name=\"TMS\"><ServerUrl>http://127.0.0.1:9/</ServerUrl></Service></GDAL_WMS>");
    EXPECT_FALSE(refusal(folder / "wms_20200101.tif").empty());
    // As a sidecar it must stay inert: neither overviews nor masks may bring another driver in.
    write_image(folder / "b.tif", {});
    write_text(folder / "b.tif.ovr", vrt);
    EXPECT_EQ(refusal(folder / "b.tif"), "");
    const SceneInfo info = probed(folder / "b.tif");
    EXPECT_TRUE(info.extra_files.empty()) << info.extra_files.front();
    const auto scenes = find_scenes(folder.path.string(), {});
    EXPECT_EQ(scenes.size(), 3U);
    for (const auto& scene : scenes)
        EXPECT_EQ(scene.left_out.empty(), scene.id == "b") << scene.left_out;
}

TEST(BadInput, SidecarsThatMoveTheImageAreReportedAndIgnored) {
    const TemporaryFolder folder;
    write_image(folder / "a.tif", {});
    write_text(folder / "a.tif.aux.xml",
               "<PAMDataset><GeoTransform> 0, 9, 0, 0, 0, -9</GeoTransform></PAMDataset>");
    write_image(folder / "b.tif", {});
    write_text(folder / "b.tfw", "9\n0\n0\n-9\n0\n0\n");
    write_image(folder / "c.tif", {});
    write_text(folder / "c.tfw", "1\n0\n0\n-1\n500000.5\n4629999.5\n");
    for (const char* name : {"a.tif", "b.tif", "c.tif"}) {
        const SceneInfo info = probed(folder / name);
        EXPECT_NEAR(info.gsd_m, 1, 0.01) << name;
        EXPECT_EQ(info.notes.empty(), name == std::string("c.tif")) << name;
        if (!info.notes.empty()) {
            EXPECT_NE(info.notes[0].find("georeference differs"), std::string::npos);
        }
    }
}

TEST(BadInput, HugeBlocksAndEmptyGiantsCostNothing) {
    const TemporaryFolder folder;
    ImageRecipe bomb;
    bomb.width = bomb.height = 60000;
    bomb.type = GDT_Byte;
    bomb.creation = {"TILED=YES", "BLOCKXSIZE=60000", "BLOCKYSIZE=60000", "SPARSE_OK=TRUE",
                     "COMPRESS=DEFLATE"};
    bomb.value = nullptr;
    write_image(folder / "bomb.tif", bomb);
    EXPECT_NE(refusal(folder / "bomb.tif").find("60000×60000"), std::string::npos);
    ImageRecipe giant = bomb;
    giant.width = giant.height = 300000;
    giant.creation = {"TILED=YES",      "BLOCKXSIZE=4096",  "BLOCKYSIZE=4096",
                      "SPARSE_OK=TRUE", "COMPRESS=DEFLATE", "BIGTIFF=YES"};
    write_image(folder / "giant.tif", giant);
    EXPECT_EQ(refusal(folder / "giant.tif"), "") << "only the window is read";
}

TEST(BadInput, DamagedFilesKeepGdalsWords) {
    const TemporaryFolder folder;
    ImageRecipe recipe;
    recipe.width = recipe.height = 300;
    recipe.creation = {"TILED=YES", "COMPRESS=DEFLATE"};
    std::mt19937 random(3);
    recipe.value = [&](int, int, int) { return random() % 60000; };
    write_image(folder / "whole.tif", recipe);
    const std::string bytes = test::read_bytes(folder / "whole.tif");
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{4}, std::size_t{8}, std::size_t{100}, std::size_t{237}}) {
        write_text(folder / "cut.tif", bytes.substr(0, size));
        EXPECT_NE(refusal(folder / "cut.tif").find("cut.tif"), std::string::npos) << size;
    }
    write_text(folder / "cut.tif", bytes.substr(0, bytes.size() / 2));
    SceneInfo info = scene_of(folder / "cut.tif");
    try {
        probe_image(info, {});
        read_on_grid(info, utm_grid(500000, 4630000, 1, 300, 300), {}, {});
        FAIL() << "half a file was read";
    } catch (const DataError& error) {
        EXPECT_GT(error.reason.size(), 10U);
    }
    write_text(folder / "magic.tif", "GIF89a" + std::string(200, 'q'));
    EXPECT_FALSE(refusal(folder / "magic.tif").empty());
    // No crash whatever the bytes; that is all that can be asked of a flipped bit.
    for (int trial = 0; trial < 200; ++trial) {
        std::string flipped = bytes;
        for (int k = 0; k < 4; ++k)
            flipped[random() % std::min<std::size_t>(flipped.size(), 700)] ^=
                static_cast<char>(1U << (random() % 8));
        write_text(folder / "flipped.tif", flipped);
        refusal(folder / "flipped.tif");
    }
}

TEST(BadInput, WhatSaysNothingOfItsPlaceIsLeftOutWithTheRemedy) {
    const TemporaryFolder folder;
    ImageRecipe recipe;
    recipe.crs.clear();
    write_image(folder / "no_crs.tif", recipe);
    EXPECT_NE(refusal(folder / "no_crs.tif").find("no CRS"), std::string::npos);
    recipe.geotransform = {};
    write_image(folder / "nothing.tif", recipe);
    EXPECT_NE(refusal(folder / "nothing.tif").find("no georeference"), std::string::npos);
    ImageRecipe complex;
    complex.type = GDT_CFloat32;
    write_image(folder / "complex.tif", complex);
    EXPECT_NE(refusal(folder / "complex.tif").find("complex"), std::string::npos);
    ImageRecipe palette;
    palette.type = GDT_Byte;
    palette.more = [](GDALDataset& d) {
        GDALColorTable table;
        const GDALColorEntry entry{10, 20, 30, 255};
        table.SetColorEntry(0, &entry);
        d.GetRasterBand(1)->SetColorTable(&table);
    };
    write_image(folder / "palette.tif", palette);
    EXPECT_NE(refusal(folder / "palette.tif").find("palette"), std::string::npos);
}

TEST(BadInput, OnlyPlainPathsAreOpened) {
    for (const char* path : {"/vsicurl/http://127.0.0.1/a.tif", "http://127.0.0.1/a.tif",
                             "/vsimem/x", "NITF_IM:0:/tmp/a.ntf", "MEM:::DATAPOINTER=1", "a\nb.tif",
                             "", "<VRTDataset/>", "/proc/self/mem_no", "/tmp"})
        EXPECT_THROW(probed(path), DataError) << path;
    EXPECT_THROW(probed(std::string("a.tif\0b", 7)), DataError);
}

// -------------------------------------------------------------------------------------------
// catalogues

TEST(Folder, FindsScenesInAFixedOrderAndSaysWhyOthersAreOut) {
    const TemporaryFolder folder;
    const auto image = [&](const std::string& name, const char* time, int seed) {
        ImageRecipe recipe;
        recipe.tags.clear();
        if (time != nullptr) recipe.tags["TIFFTAG_DATETIME"] = time;
        recipe.value = [seed](int, int x, int y) { return 100 + seed + x + y; };
        write_image(folder / name, recipe);
    };
    image("b/x.tif", "2018:03:22 05:00:00", 1);
    image("a/x.tif", "2017:08:29 05:00:00", 2);
    image("a/S2_20170302.tif", nullptr, 3);
    image("undated.tif", nullptr, 4);
    fs::copy_file(folder / "a/x.tif", folder / "copy.tif");
    image("same_time.tif", "2017:08:29 05:00:00", 5);
    write_text(folder / "notes.txt", "nothing");
    write_text(folder / "table.csv", "path,datetime\n");
    write_text(folder / "broken_20200101.tif", "MM");
    write_text(folder / "quicklook.png", "no scene");
    image("out/change/2017-03-02_2017-08-29.tif", nullptr, 6);
    write_text(folder / "out/report.json", "{}");
    write_text(folder / "out/changes.geojson", "{}");
    image(".out.fenceline-abc123/registered/20180101.tif", nullptr, 7);
    const TemporaryFolder elsewhere;
    write_image(elsewhere / "y_20200202.tif", {});
    fs::create_symlink(elsewhere / "y_20200202.tif", folder.path / "linked_20200202.tif");
    const auto scenes = find_scenes(folder.path.string(), {});
    std::map<std::string, std::string> reason;
    std::vector<std::string> used;
    for (const auto& scene : scenes) {
        reason[scene.id] = scene.left_out;
        if (scene.left_out.empty()) used.push_back(scene.id);
    }
    EXPECT_EQ(scenes.size(), 8U);
    EXPECT_EQ(used.size(), 3U);
    EXPECT_EQ(used.front(), "S2_20170302") << "in time order";
    EXPECT_EQ(scenes[0].datetime_from, "file name");
    EXPECT_NE(reason["undated"].find("time"), std::string::npos);
    EXPECT_NE(reason["broken_20200101"], "");
    EXPECT_NE(reason["linked_20200202"].find("outside"), std::string::npos);
    int duplicates = 0;
    for (const auto& [id, why] : reason) duplicates += why.find("same") != std::string::npos;
    EXPECT_EQ(duplicates, 2) << "one copy, one other image of the same time and ground";
    EXPECT_EQ(reason.size(), 8U) << "ids are unique";
    for (const auto& scene : scenes) {
        EXPECT_FALSE(fs::path(scene.source).is_absolute()) << scene.source;
    }
}

TEST(Folder, MetadataBesideTheImageWins) {
    const TemporaryFolder folder;
    write_image(folder / "a_20200101.tif", {});
    write_text(
        folder / "a_20200101.json",
        R"({"type":"Feature","stac_version":"1.0.0","properties":{"datetime":"2019-05-06T07:08:09Z","view:sun_azimuth":140.5,"view:sun_elevation":50,"simulated":true,"platform":"sat"}})");
    const auto scenes = find_scenes(folder.path.string(), {});
    ASSERT_EQ(scenes.size(), 1U);
    EXPECT_EQ(format_time(*scenes[0].datetime), "2019-05-06T07:08:09Z");
    EXPECT_EQ(scenes[0].datetime_from, "stac");
    EXPECT_DOUBLE_EQ(*scenes[0].sun_azimuth_deg, 140.5);
    EXPECT_TRUE(scenes[0].simulated);
}

std::string item(const std::string& id, const std::string& href,
                 const std::string& more_properties = "", const std::string& more_asset = "") {
    return R"({"type":"Feature","stac_version":"1.0.0","id":")" + id +
           R"(","properties":{"datetime":"2019-05-06T07:08:09Z")" + more_properties +
           R"(},"assets":{"thumbnail":{"href":"t.png"},"image":{"href":")" + href +
           R"(","type":"image/tiff; application=geotiff","roles":["data"])" + more_asset +
           "}},\"links\":[]}";
}

TEST(Stac, ItemsCollectionsAndLinksThatGoInCircles) {
    const TemporaryFolder folder;
    int seed = 0;
    for (const char* name : {"s/one/a.tif", "s/two/b.tif"}) {
        ImageRecipe recipe;
        recipe.value = [s = ++seed](int, int x, int) { return 10 * s + x; };
        write_image(folder / name, recipe);
    }
    write_text(folder / "s/one/a.json",
               item("first", "./a.tif",
                    R"(,"view:off_nadir":12.5,"view:azimuth":99,"gsd":1.0,"proj:epsg":32652)"));
    std::string second = item(
        "../../second", "b.tif",
        R"(,"start_datetime":"2020-01-01T00:00:00Z","end_datetime":"2020-01-31T00:00:00Z","proj:code":"EPSG:32652")");
    second.replace(second.find("\"2019-05-06T07:08:09Z\""), 22, "null");
    write_text(folder / "s/two/b.json", second);
    write_text(
        folder / "s/collection.json",
        R"({"type":"Collection","stac_version":"1.1.0","id":"c","links":[{"rel":"item","href":"one/a.json"},{"rel":"item","href":"./two/b.json"},{"rel":"child","href":"catalog.json"},{"rel":"item","href":"../out.json"},{"rel":"item","href":"https://example.org/x.json"},{"rel":"item","href":"missing.json"}]})");
    write_text(
        folder / "s/catalog.json",
        R"({"type":"Catalog","stac_version":"1.0.0","id":"k","links":[{"rel":"child","href":"collection.json"},{"rel":"item","href":"one/a.json"}]})");
    write_text(folder / "out.json", item("outside", "s/one/a.tif"));
    const auto scenes = find_scenes(folder / "s/collection.json", {});
    ASSERT_EQ(scenes.size(), 5U);
    EXPECT_EQ(scenes[0].id, "first");
    EXPECT_EQ(scenes[0].left_out, "");
    EXPECT_DOUBLE_EQ(scenes[0].off_nadir_deg.value_or(0), 12.5);
    EXPECT_DOUBLE_EQ(scenes[0].view_azimuth_deg.value_or(0), 99);
    EXPECT_EQ(scenes[1].id, "second") << "ids become file names";
    EXPECT_EQ(scenes[1].left_out, "");
    ASSERT_TRUE(scenes[1].datetime_end);
    EXPECT_EQ(format_date(*scenes[1].datetime_end), "2020-01-31");
    for (std::size_t i = 2; i < 5; ++i) EXPECT_NE(scenes[i].left_out, "") << scenes[i].source;
}

TEST(Stac, WhatReachesOutsideOrContradictsTheFileIsLeftOut) {
    const TemporaryFolder folder;
    write_image(folder / "s/a.tif", {});
    write_image(folder / "b.tif", {});
    const std::string sha = sha256_of_file(folder / "s/a.tif");
    const auto reason = [&](const std::string& href, const std::string& properties = "",
                            const std::string& asset = "") {
        write_text(folder / "s/i.json", item("i", href, properties, asset));
        const auto scenes = find_scenes(folder / "s/i.json", {});
        EXPECT_EQ(scenes.size(), 1U);
        return scenes.empty() ? std::string("none") : scenes[0].left_out;
    };
    EXPECT_EQ(reason("a.tif"), "");
    EXPECT_NE(reason("../b.tif").find("outside"), std::string::npos);
    EXPECT_NE(reason("x/../../b.tif").find("outside"), std::string::npos);
    EXPECT_NE(reason(folder / "b.tif").find("outside"), std::string::npos);
    EXPECT_NE(reason("file:///etc/passwd.tif").find("outside"), std::string::npos);
    EXPECT_NE(reason("https://example.org/a.tif").find("network"), std::string::npos);
    EXPECT_NE(reason("/vsicurl/https://example.org/a.tif"), "");
    EXPECT_NE(reason("missing.tif").find("no such file"), std::string::npos);
    fs::create_symlink(folder / "b.tif", folder.path / "s/link.tif");
    EXPECT_NE(reason("link.tif").find("outside"), std::string::npos);
    EXPECT_EQ(reason("a.tif", "", R"(,"file:checksum":"1220)" + sha + "\""), "");
    EXPECT_NE(reason("a.tif", "", R"(,"file:checksum":"1220)" + std::string(64, '0') + "\"")
                  .find("checksum"),
              std::string::npos);
    EXPECT_EQ(
        reason("a.tif", "", fmt::format(R"(,"file:size":{})", fs::file_size(folder / "s/a.tif"))),
        "");
    EXPECT_NE(reason("a.tif", "", R"(,"file:size":7)").find("says 7 bytes"), std::string::npos);
    EXPECT_NE(reason("a.tif", R"(,"proj:code":"EPSG:32651")").find("EPSG:32651"),
              std::string::npos);
    EXPECT_NE(reason("a.tif", R"(,"proj:epsg":4326)").find("EPSG:4326"), std::string::npos);
    EXPECT_NE(reason("a.tif", R"(,"proj:shape":[64,63])").find("63×64"), std::string::npos);
    EXPECT_EQ(reason("a.tif",
                     R"(,"proj:shape":[64,64],"proj:transform":[1,0,500000,0,-1,4630000,0,0,1])"),
              "");
    EXPECT_NE(reason("a.tif", R"(,"proj:transform":[2,0,500000,0,-2,4630000])"), "");
}

TEST(Stac, MalformedJsonNeverCrashes) {
    const TemporaryFolder folder;
    write_image(folder / "a.tif", {});
    const std::string good =
        item("i", "a.tif",
             R"(,"proj:epsg":32652,"proj:shape":[64,64],"eo:bands":[{"common_name":"pan"}])");
    std::mt19937 random(11);
    for (int trial = 0; trial < 600; ++trial) {
        std::string bad = good;
        for (int k = 0; k < 1 + trial % 3; ++k) {
            const std::size_t at = random() % bad.size();
            switch (random() % 4) {
                case 0:
                    bad[at] = static_cast<char>(random() % 256);
                    break;
                case 1:
                    bad.erase(at, random() % 9);
                    break;
                case 2:
                    bad.insert(at, std::vector<std::string>{"null", "[]", "{}", "-1e999", "\"\"",
                                                            "[[[["}[random() % 6]);
                    break;
                default:
                    bad[at] = "[]{}\",:0n"[random() % 9];
            }
        }
        write_text(folder / "i.json", bad);
        try {
            find_scenes(folder / "i.json", {});
        } catch (const DataError&) {
        }
    }
    write_text(folder / "deep.json", std::string(200000, '['));
    EXPECT_THROW(find_scenes(folder / "deep.json", {}), DataError);
}

TEST(Csv, QuotesCrlfBomAndRowsThatAreWrong) {
    const TemporaryFolder folder;
    int seed = 0;
    for (const char* name : {"i/a, b.tif", "i/c.tif", "i/d.tif"}) {
        ImageRecipe recipe;
        recipe.value = [s = ++seed](int, int x, int) { return 10 * s + x; };
        write_image(folder / name, recipe);
    }
    write_text(folder / "list.csv",
               "\xEF\xBB\xBFpath,datetime,sun_azimuth,sun_elevation,off_nadir,view_azimuth,gsd,"
               "mask,sensor\r\n"
               "\"i/a, b.tif\",2017-08-29T04:50:11Z,150.5,52,10,200,1.5,,\"S \"\"2\"\"\"\r\n"
               "i/c.tif,yesterday,,,,,,,\r\n"
               "i/d.tif,2018-01-01,400,,,,,,\r\n"
               "\r\n"
               "i/none.tif,2018-02-01,,,,,,,\r\n"
               "i,2018-02-02,,,,,,,\r\n"
               "http://example.org/x.tif,2018-02-01");
    const auto scenes = find_scenes(folder / "list.csv", {});
    ASSERT_EQ(scenes.size(), 6U);
    EXPECT_EQ(scenes[0].left_out, "");
    EXPECT_EQ(scenes[0].sensor, "S \"2\"");
    EXPECT_EQ(scenes[0].datetime_from, "csv");
    EXPECT_DOUBLE_EQ(*scenes[0].sun_azimuth_deg, 150.5);
    EXPECT_DOUBLE_EQ(scenes[0].gsd_m, 1.5);
    std::string all;
    for (std::size_t i = 1; i < scenes.size(); ++i) {
        EXPECT_NE(scenes[i].left_out, "") << scenes[i].source;
        all += scenes[i].left_out + "\n";
    }
    EXPECT_NE(all.find("row 3"), std::string::npos) << all;
    EXPECT_NE(all.find("\"400\""), std::string::npos) << all;
    EXPECT_NE(all.find("network"), std::string::npos) << all;
    EXPECT_NE(all.find("there is no such file"), std::string::npos) << all;
    EXPECT_NE(all.find("it is not a file"), std::string::npos) << all;
    write_text(folder / "bad.csv", "path,when\na,b\n");
    EXPECT_THROW(find_scenes(folder / "bad.csv", {}), UsageError);
    write_text(folder / "open.csv", "path,datetime\n\"a,2018-01-01\n");
    EXPECT_THROW(find_scenes(folder / "open.csv", {}), DataError);
    EXPECT_THROW(find_scenes(folder / "nothing", {}), UsageError);
}

TEST(Csv, SemicolonsAndDecimalCommasAsSpreadsheetsWriteThem) {
    const TemporaryFolder folder;
    write_image(folder / "a,b.tif", {});
    write_text(folder / "list.csv",
               "path;datetime;sun_azimuth;sun_elevation\r\n"
               "a,b.tif;2017-08-29T04:50:11Z;150,5;\"52.25\"\r\n");
    const auto scenes = find_scenes(folder / "list.csv", {});
    ASSERT_EQ(scenes.size(), 1U);
    EXPECT_EQ(scenes[0].left_out, "");
    EXPECT_DOUBLE_EQ(*scenes[0].sun_azimuth_deg, 150.5);
    EXPECT_DOUBLE_EQ(*scenes[0].sun_elevation_deg, 52.25);
    write_text(folder / "wide.csv", std::string("\xFF\xFEp\0a\0t\0h\0", 10));
    try {
        find_scenes(folder / "wide.csv", {});
        ADD_FAILURE() << "UTF-16 was read";
    } catch (const DataError& error) {
        EXPECT_NE(std::string(error.what()).find("UTF-16"), std::string::npos) << error.what();
    }
}

TEST(Folder, WithoutImagesSaysWhatIsReadAndWhatWasFound) {
    const TemporaryFolder folder;
    write_text(folder / "i/quicklook.png", "x");
    write_text(folder / "i/readme.txt", "x");
    write_text(folder / "list.csv", "path,datetime\n");
    fs::create_directories(folder / "empty");
    for (const auto& [source, words] :
         {std::pair{"i", "none of its 2 files"}, std::pair{"empty", "it is empty"},
          std::pair{"list.csv", "it names no scene"}})
        try {
            find_scenes(folder / source, {});
            ADD_FAILURE() << source << " has no scenes";
        } catch (const DataError& error) {
            EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
            EXPECT_NE(error.remedy, "");
        }
}

TEST(Sha256, KnownValues) {
    const TemporaryFolder folder;
    write_text(folder / "abc", "abc");
    EXPECT_EQ(sha256_of_file(folder / "abc"),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    write_text(folder / "empty", "");
    EXPECT_EQ(sha256_of_file(folder / "empty"),
              "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_THROW(sha256_of_file(folder / "none"), DataError);
}

// ---------------------------------------------------------------------------------------------
// real data

std::string real_data() {
    if (const char* folder = std::getenv("FENCELINE_DATA")) return folder;
    return std::string(FENCELINE_SOURCE_DIR) + "/../shared/data";
}

TEST(RealData, DabanchengOnItsGrid) {
    const std::string folder = real_data() + "/dabancheng/images";
    if (!fs::exists(folder)) GTEST_SKIP() << "skipped: no real data";
    const auto scenes = find_scenes(folder, {});
    ASSERT_EQ(scenes.size(), 12U);
    const Ring area{{88.2718046, 43.3902939},
                    {88.2718046, 43.3765832},
                    {88.317643, 43.3765832},
                    {88.317643, 43.3902939}};
    const Grid grid = common_grid(area, scenes, {});
    EXPECT_NEAR(grid.gsd(), 3.45, 0.02);
    for (const auto& info : scenes) {
        EXPECT_EQ(info.left_out, "") << info.id;
        EXPECT_EQ(info.roles, (std::vector{BandRole::red, BandRole::green, BandRole::blue}));
        EXPECT_NEAR(info.gsd_m, 3.45, 0.02) << "true metres, not those of EPSG:3857";
        auto image = read_on_grid(info, grid, {}, {});
        const Scene scene = observe(info, std::move(image.raster), std::move(image.masks),
                                    image.mask_given, area, {});
        EXPECT_GT(scene.usable_fraction, 0.95) << info.id;
        EXPECT_EQ(scene.info.left_out, "");
    }
}

TEST(RealData, OtherSensorsOpen) {
    if (!fs::exists(real_data() + "/joplin")) GTEST_SKIP() << "skipped: no real data";
    struct Case {
        const char* path;
        double gsd_m;
        std::size_t bands;
    };
    for (const Case& k :
         {Case{"joplin/pre/tile_1361-9136.tif", 0.6, 3},
          Case{"joplin/post/tile_32524-5137.tif", 0.6, 3},
          Case{"arosics_s2_pair/ref_S2A_20160608T153121_T33UUU_sub.jp2", 10, 1},
          Case{"landsat_taizhou/2000TM", 30, 6}, Case{"oscd/paris/t1/B02.tif", 10.5, 1}}) {
        SceneInfo info = scene_of(real_data() + "/" + k.path);
        probe_image(info, {});
        EXPECT_EQ(info.roles.size(), k.bands) << k.path;
        EXPECT_NEAR(info.gsd_m, k.gsd_m, 0.05 * k.gsd_m + 0.02) << k.path;
        const Ring outline = image_footprint(info, {});
        ObserveOptions options;
        options.gsd_m = k.gsd_m;
        const Grid grid = common_grid(outline, std::vector{info}, options);
        const GridImage image = read_on_grid(info, grid, {}, {});
        std::size_t valid = 0;
        for (int y = 0; y < grid.height; ++y)
            for (int x = 0; x < grid.width; ++x) valid += image.raster.valid.at(x, y);
        EXPECT_GT(static_cast<double>(valid), 0.6 * grid.width * grid.height) << k.path;
    }
    SceneInfo landsat = scene_of(real_data() + "/landsat_taizhou/2000TM");
    probe_image(landsat, {});
    EXPECT_EQ(landsat.roles[3], BandRole::nir);
    EXPECT_EQ(landsat.roles[0], BandRole::blue);
    EXPECT_EQ(find_scenes(real_data() + "/landsat_taizhou", {}).size(), 2U)
        << "ENVI by its header; BMP files are no scenes";
}

}  // namespace
}  // namespace fenceline
