#include "output/raster_writer.h"

#include <gdal_priv.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "core/kept_planes.h"
#include "core/plane_memory.h"
#include "image_fixture.h"

namespace fenceline {
namespace {

constexpr int kWidth = 1301, kHeight = 1050;

float value_at(int band, int x, int y) {
    return static_cast<float>(300 * band + (x * 7 + y * 13) % 900) +
           0.25F * static_cast<float>(x % 4);
}
bool valid_at(int x, int y) { return x + y > 90 && (x - 600) * (x - 600) + y * y > 10000; }

/// Rows first … first + count of an image with no-data corners.
Raster rows_of(const Grid& grid, int first, int count) {
    Raster out;
    out.grid = grid;
    out.grid.height = count;
    out.valid = Mask(kWidth, count);
    for (int b = 0; b < 2; ++b) out.bands.emplace_back(kWidth, count);
    for (int y = 0; y < count; ++y)
        for (int x = 0; x < kWidth; ++x) {
            out.valid.at(x, y) = valid_at(x, first + y) ? 1 : 0;
            for (int b = 0; b < 2; ++b)
                out.bands[static_cast<std::size_t>(b)].at(x, y) = value_at(b, x, first + y);
        }
    return out;
}

std::vector<std::uint16_t> read(GDALRasterBand* band) {
    const int w = band->GetXSize(), h = band->GetYSize();
    std::vector<std::uint16_t> out(static_cast<std::size_t>(w) * static_cast<std::size_t>(h));
    EXPECT_EQ(band->RasterIO(GF_Read, 0, 0, w, h, out.data(), w, h, GDT_UInt16, 0, 0, nullptr),
              CE_None);
    return out;
}

TEST(RasterWriter, StripsInMemoryAndInAScratchFileMakeOneImage) {
    initialise_gdal();
    const test::TemporaryFolder folder;
    const Grid grid = test::utm_grid(500000, 4630000, 0.5, kWidth, kHeight);
    TiffMetadata metadata;
    metadata.overview_resampling = "AVERAGE";
    const auto make = [&](int first, int count) { return rows_of(grid, first, count); };
    write_cog(folder / "scratch.tif", grid, 2, 300, PixelType::u16, 0, metadata, make);
    metadata.held_bytes = 64e6;
    write_cog(folder / "held.tif", grid, 2, 300, PixelType::u16, 0, metadata, make);
    EXPECT_FALSE(std::filesystem::exists(folder / "scratch.tif.strips.tif"));

    const auto open = [&](const std::string& name) {
        return std::unique_ptr<GDALDataset>(
            GDALDataset::Open((folder / name).c_str(), GDAL_OF_RASTER));
    };
    const auto held = open("held.tif"), scratch = open("scratch.tif");
    ASSERT_TRUE(held && scratch);
    EXPECT_STREQ(held->GetMetadataItem("LAYOUT", "IMAGE_STRUCTURE"), "COG");
    for (int b = 1; b <= 2; ++b) {
        GDALRasterBand *own = held->GetRasterBand(b), *other = scratch->GetRasterBand(b);
        const auto pixels = read(own);
        EXPECT_EQ(pixels, read(other));
        int wrong = 0;
        for (int y = 0; y < kHeight; ++y)
            for (int x = 0; x < kWidth; ++x) {
                const auto got = pixels[static_cast<std::size_t>(y * kWidth + x)];
                // No data is 0, and a true 0 becomes 1.
                const long wanted =
                    valid_at(x, y) ? std::max(1L, std::lround(value_at(b - 1, x, y))) : 0;
                wrong += got != wanted ? 1 : 0;
            }
        EXPECT_EQ(wrong, 0);

        ASSERT_EQ(own->GetOverviewCount(), 2);
        ASSERT_EQ(other->GetOverviewCount(), 2);
        const auto half = read(own->GetOverview(0));
        const int columns = own->GetOverview(0)->GetXSize();
        ASSERT_EQ(columns, (kWidth + 1) / 2);
        for (int y = 0; y < kHeight / 2; ++y)
            for (int x = 0; x < kWidth / 2; ++x) {
                double sum = 0, count = 0;
                for (int k = 0; k < 4; ++k)
                    if (const auto v = pixels[static_cast<std::size_t>((2 * y + k / 2) * kWidth +
                                                                       2 * x + k % 2)];
                        v != 0)
                        sum += v, count += 1;
                const double mean = count > 0 ? std::floor(sum / count + 0.5) : 0;
                wrong += half[static_cast<std::size_t>(y * columns + x)] != mean ? 1 : 0;
            }
        EXPECT_EQ(wrong, 0);
    }
}

TEST(PlaneMemory, FreedPlanesAreGivenOutAgainWhileTheyAreKept) {
    constexpr std::size_t kPlane = std::size_t{40} << 20;
    {
        const KeptPlanes keep(2 * kPlane);
        void* first = allocate_plane(kPlane);
        free_plane(first);
        EXPECT_EQ(allocate_plane(kPlane), first);
        // A much smaller plane does not waste it, a larger one does not fit.
        free_plane(first);
        void* small = allocate_plane(kPlane / 2);
        void* large = allocate_plane(2 * kPlane);
        EXPECT_NE(small, first);
        EXPECT_NE(large, first);
        free_plane(small);
        free_plane(large);  // both together would be more than what may be kept
    }
    // Cleared by whoever asks for zeros, also when it was used before.
    const KeptPlanes keep(2 * kPlane);
    for (int round = 0; round < 2; ++round) {
        Plane plane(4096, 2560);
        EXPECT_EQ(plane.at(4095, 2559), 0.0F);
        plane.at(4095, 2559) = 7;
    }
}

}  // namespace
}  // namespace fenceline
