#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "input/image_io.h"
#include "input/scene_catalog.h"
#include "stages/observe.h"

namespace fenceline {
namespace {

std::string real_data() {
    const char* folder = std::getenv("FENCELINE_DATA");
    return folder != nullptr ? folder : "";
}

TEST(RealData, DabanchengOnItsGrid) {
    const std::string folder = real_data() + "/dabancheng/images";
    if (!std::filesystem::exists(folder)) GTEST_SKIP() << "skipped: no real data";
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
        EXPECT_EQ(info.band_count, 3);
        EXPECT_EQ(info.roles[0], BandRole::red);
        EXPECT_NEAR(info.gsd_m, 3.45, 0.02) << "true metres, not those of EPSG:3857";
        auto image = read_on_grid(info, grid, {}, {});
        const Scene scene = observe(info, std::move(image.raster), std::move(image.masks),
                                    image.mask_given, area, {});
        EXPECT_GT(scene.usable_fraction, 0.95) << info.id;
        EXPECT_EQ(scene.info.left_out, "");
        std::printf("%s %s %dx%d gsd %.3f usable %.3f sun %.1f %.1f\n", info.id.c_str(),
                    format_time(*info.datetime).c_str(), grid.width, grid.height, info.gsd_m,
                    scene.usable_fraction, *scene.info.sun_azimuth_deg,
                    *scene.info.sun_elevation_deg);
    }
}

}  // namespace
}  // namespace fenceline
