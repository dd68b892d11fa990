#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "input/image_io.h"
#include "output/raster_writer.h"
#include "program.h"
#include "small_series.h"

namespace fenceline {
namespace {

TEST(AlignCommand, AKeptTransformGivesTheSameImageAndFitsOtherBands) {
    initialise_gdal();
    const ScratchFolder scratch;
    write_cog(scratch / "reference.tif", small_scene(0, 1, 256), PixelType::u8, 0, {});
    Raster target = small_scene(3.4, 2, 256);
    write_cog(scratch / "target.tif", target, PixelType::u8, 0, {});
    const Outcome found = fenceline_program(
        {"align", scratch / "reference.tif", scratch / "target.tif", "--out", scratch / "out.tif",
         "--ties", scratch / "ties.csv", "--save-transform", scratch / "t.json"});
    ASSERT_EQ(found.exit_code, 0) << found.err;
    EXPECT_NE(read_text(scratch / "t.json").find("\"schema\": \"fenceline-transform/1\""),
              std::string::npos);
    const std::string ties = read_text(scratch / "ties.csv");
    EXPECT_EQ(ties.rfind("scene,longitude,latitude,dx_m,dy_m,residual_m,kept\r\ntarget,", 0), 0U);
    EXPECT_GT(std::count(ties.begin(), ties.end(), '\n'), 10);

    const Outcome again =
        fenceline_program({"align", scratch / "reference.tif", scratch / "target.tif", "--out",
                           scratch / "again.tif", "--apply-transform", scratch / "t.json"});
    ASSERT_EQ(again.exit_code, 0) << again.err;
    EXPECT_EQ(read_text(scratch / "again.tif"), read_text(scratch / "out.tif"))
        << "one resampling from the source, the same one";

    // One band of the same scene on a grid of another pixel size.
    Raster band = target;
    band.bands.resize(1), band.roles = {BandRole::nir};
    write_cog(scratch / "nir.tif", band, PixelType::u8, 0, {});
    Raster coarse = small_scene(0, 1, 128);
    coarse.grid.geotransform[1] *= 2, coarse.grid.geotransform[5] *= 2;
    write_cog(scratch / "coarse.tif", coarse, PixelType::u8, 0, {});
    const Outcome other = fenceline_program({"align", scratch / "coarse.tif", scratch / "nir.tif",
                                             "--out", scratch / "nir_out.tif", "--apply-transform",
                                             scratch / "t.json", "--json"});
    EXPECT_EQ(other.exit_code, 0) << other.err;
    EXPECT_NE(other.out.find("\"status\":\"pass\""), std::string::npos) << other.out;
}

TEST(AlignCommand, ArgumentsThatContradictEachOtherAreAllNamed) {
    initialise_gdal();
    const ScratchFolder scratch;
    const Outcome wrong = fenceline_program(
        {"align", "a.tif", "b.tif", "--out", scratch / "o.tif", "--ties", scratch / "t.shp",
         "--save-transform", scratch / "s.json", "--apply-transform", scratch / "t.json"});
    EXPECT_EQ(wrong.exit_code, 2);
    const Outcome name = fenceline_program({"align", "a.tif", "b.tif", "--out", scratch / "o.png"});
    EXPECT_NE(name.err.find(".tif or .tiff"), std::string::npos) << name.err;
    for (const char* said : {".gpkg or .csv", "--ties does not go with --apply-transform",
                             "--save-transform does not go with --apply-transform"})
        EXPECT_NE(wrong.err.find(said), std::string::npos) << said << " in:\n" << wrong.err;
    write_cog(scratch / "a.tif", small_scene(0, 1, 96), PixelType::u8, 0, {});
    const Outcome over =
        fenceline_program({"align", scratch / "a.tif", scratch / "a.tif", "--out",
                           scratch / "a.tif", "--ties", scratch / "same.csv", "--save-transform",
                           scratch / "same.csv", "--overwrite", "--dem", scratch / "no.tif"});
    EXPECT_EQ(over.exit_code, 2);
    for (const char* said : {"an image is never written over", "two results", "--dem"})
        EXPECT_NE(over.err.find(said), std::string::npos) << said << " in:\n" << over.err;
    write_text(scratch / "t.json", "{\"schema\": \"something/2\"}");
    const Outcome foreign =
        fenceline_program({"align", scratch / "a.tif", scratch / "a.tif", "--out",
                           scratch / "o.tif", "--apply-transform", scratch / "t.json"});
    EXPECT_EQ(foreign.exit_code, 1);
    EXPECT_NE(foreign.err.find("something/2"), std::string::npos) << foreign.err;
    EXPECT_FALSE(std::filesystem::exists(scratch / "o.tif"));
}

}  // namespace
}  // namespace fenceline
