// Single passes over one large pair, for `./dev bench peers` and `./dev bench scale`: what other
// programs offer as one tool each, done with our kernels, and the floor under all of them.
//   pair_passes make SIZE BANDS BEFORE AFTER   draws a pair (uint16, tiled deflate)
//   pair_passes bent SIZE BANDS BEFORE AFTER   the same, the second through an affine and waves
//   pair_passes repeat SIZE BANDS BEFORE AFTER draws 4096 x 4096 of it and repeats that in a small
//                                              file; SIZE may be WIDTHxHEIGHT
//   pair_passes floor BEFORE AFTER             decodes both on all cores and keeps nothing
//   pair_passes absdiff BEFORE AFTER OUT       mean absolute difference of the bands, 8 bit, COG
//   pair_passes mad BEFORE AFTER OUT           plain MAD variates, float32
// Each prints wall seconds, processor seconds and peak memory on one line.
#include <fmt/format.h>
#include <gdal_priv.h>
#include <sys/resource.h>
#include <tbb/concurrent_queue.h>
#include <tbb/enumerable_thread_specific.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "core/mad.h"
#include "core/parallel.h"
#include "core/plane_memory.h"
#include "kernels/bands.h"
#include "kernels/moments.h"

namespace {
using namespace fenceline;

constexpr int kRows = 512;  // of a strip: the files' blocks

struct Close {
    void operator()(GDALDataset* image) const { GDALClose(image); }
};
using Image = std::unique_ptr<GDALDataset, Close>;

Image open(const std::string& path) {
    Image image(GDALDataset::Open(path.c_str(), GDAL_OF_RASTER | GDAL_OF_READONLY));
    if (!image) throw std::runtime_error(path + ": " + CPLGetLastErrorMsg());
    return image;
}

void check(CPLErr error) {
    if (error != CE_None) throw std::runtime_error(CPLGetLastErrorMsg());
}

/// Both images, opened once per thread; one block of the files at a time, so that what was decoded
/// is still in the cache when it is used.
class PairFiles {
  public:
    PairFiles(std::string before, std::string after)
        : before_(std::move(before)), after_(std::move(after)) {
        const Image image = open(before_), other = open(after_);
        width = image->GetRasterXSize();
        height = image->GetRasterYSize();
        bands = image->GetRasterCount();
        image->GetGeoTransform(transform.data());
        projection = image->GetProjectionRef();
        if (other->GetRasterXSize() != width || other->GetRasterYSize() != height ||
            other->GetRasterCount() != bands)
            throw std::runtime_error(after_ + ": differs in size from " + before_);
    }
    struct Tile {
        int x = 0, y = 0, columns = 0, rows = 0;
        std::vector<std::uint16_t, PlaneAllocator<std::uint16_t>> before, after;  ///< band by band
    };
    int across() const { return (width + kRows - 1) / kRows; }
    int tiles() const { return across() * ((height + kRows - 1) / kRows); }
    /// The thread's own buffer, filled.
    const Tile& read(int k) {
        Local& local = locals_.local();
        if (!local.before) {
            local.before = open(before_);
            local.after = open(after_);
        }
        Tile& tile = local.tile;
        tile.x = k % across() * kRows;
        tile.y = k / across() * kRows;
        tile.columns = std::min(kRows, width - tile.x);
        tile.rows = std::min(kRows, height - tile.y);
        const auto n = static_cast<std::size_t>(tile.columns) *
                       static_cast<std::size_t>(tile.rows) * static_cast<std::size_t>(bands);
        tile.before.resize(n);
        tile.after.resize(n);
        for (const bool later : {false, true})
            check((later ? local.after : local.before)
                      ->RasterIO(GF_Read, tile.x, tile.y, tile.columns, tile.rows,
                                 (later ? tile.after : tile.before).data(), tile.columns, tile.rows,
                                 GDT_UInt16, bands, nullptr, 0, 0, 0, nullptr));
        return tile;
    }
    int width = 0, height = 0, bands = 0;
    std::array<double, 6> transform{};
    std::string projection;

  private:
    struct Local {
        Image before, after;
        Tile tile;
    };
    std::string before_, after_;
    tbb::enumerable_thread_specific<Local> locals_;
};

void floor_of(const std::string& before, const std::string& after) {
    PairFiles files(before, after);
    parallel_items(files.tiles(), [&](int i) { files.read(i); });
}

/// Mean absolute difference of the bands in 1/64, 8 bit, of one row.
void difference_row(const PairFiles::Tile& tile, int bands, int y, std::uint8_t* to) {
    const auto count = static_cast<std::size_t>(tile.columns);
    const std::size_t plane = count * static_cast<std::size_t>(tile.rows);
    std::array<std::uint16_t, kRows> sum{};
    for (int b = 0; b < bands; ++b) {
        const std::size_t at =
            static_cast<std::size_t>(b) * plane + static_cast<std::size_t>(y) * count;
        const std::uint16_t *u = tile.before.data() + at, *v = tile.after.data() + at;
        for (std::size_t k = 0; k < count; ++k) {
            const auto twice = static_cast<std::uint16_t>(2U * std::max(u[k], v[k]));
            const auto size = static_cast<std::uint16_t>(twice - u[k] - v[k]);
            sum[k] = static_cast<std::uint16_t>(sum[k] + (size >> 6));
        }
    }
    for (std::size_t k = 0; k < count; ++k)
        to[k] = static_cast<std::uint8_t>(std::min<std::uint16_t>(sum[k], 255));
}

/// An 8-bit image and its overviews, each the mean of 2 × 2 pixels of the one before.
struct Pyramid {
    struct Level {
        int width, height;
        std::vector<std::uint8_t, PlaneAllocator<std::uint8_t>> pixels;
        std::uint8_t* row(int y) {
            return pixels.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(width);
        }
    };
    std::vector<Level> levels;
    Pyramid(int width, int height, int smallest) {
        for (;; width = (width + 1) / 2, height = (height + 1) / 2) {
            levels.push_back({width, height, {}});
            levels.back().pixels.resize(static_cast<std::size_t>(width) *
                                        static_cast<std::size_t>(height));
            if (std::max(width, height) <= smallest || (kRows >> levels.size()) == 0) break;
        }
    }
    /// From a tile that starts at a multiple of kRows, while it is still in the cache.
    void reduce(int x, int y, int columns, int rows) {
        for (std::size_t k = 1; k < levels.size(); ++k) {
            Level &from = levels[k - 1], &to = levels[k];
            for (int v = 0; v < (rows + 1) / 2; ++v) {
                const std::uint8_t* a = from.row(y + 2 * v) + x;
                const std::uint8_t* b = 2 * v + 1 < rows ? from.row(y + 2 * v + 1) + x : a;
                std::uint8_t* out = to.row(y / 2 + v) + x / 2;
                for (int u = 0; u < columns / 2; ++u)
                    out[u] = static_cast<std::uint8_t>(
                        (a[2 * u] + a[2 * u + 1] + b[2 * u] + b[2 * u + 1] + 2) / 4);
                if (columns % 2 != 0)
                    out[columns / 2] =
                        static_cast<std::uint8_t>((a[columns - 1] + b[columns - 1] + 1) / 2);
            }
            x /= 2, y /= 2, columns = (columns + 1) / 2, rows = (rows + 1) / 2;
        }
    }
};

void absolute_difference(const std::string& before, const std::string& after,
                         const std::string& out) {
    PairFiles files(before, after);
    Pyramid map(files.width, files.height, kRows);
    parallel_items(files.tiles(), [&](int i) {
        const PairFiles::Tile& tile = files.read(i);
        for (int y = 0; y < tile.rows; ++y)
            difference_row(tile, files.bands, y, map.levels[0].row(tile.y + y) + tile.x);
        map.reduce(tile.x, tile.y, tile.columns, tile.rows);
    });
    GDALDriver* memory = GetGDALDriverManager()->GetDriverByName("MEM");
    GDALDriver* cog = GetGDALDriverManager()->GetDriverByName("COG");
    const Image image(memory->Create("", files.width, files.height, 0, GDT_Byte, nullptr));
    const std::string pointer =
        fmt::format("{}", static_cast<const void*>(map.levels[0].pixels.data()));
    char** band = CSLSetNameValue(nullptr, "DATAPOINTER", pointer.c_str());
    check(image->AddBand(GDT_Byte, band));
    CSLDestroy(band);
    image->SetGeoTransform(files.transform.data());
    image->SetProjection(files.projection.c_str());
    // Given: left to itself the COG driver compresses them twice, the first time for a file of its
    // own, and GDAL's own in memory take as long as compressing the map.
    std::vector<int> factors;
    for (std::size_t k = 1; k < map.levels.size(); ++k) factors.push_back(1 << k);
    check(image->BuildOverviews("NONE", static_cast<int>(factors.size()), factors.data(), 0,
                                nullptr, nullptr, nullptr));
    for (std::size_t k = 1; k < map.levels.size(); ++k) {
        Pyramid::Level& level = map.levels[k];
        check(image->GetRasterBand(1)
                  ->GetOverview(static_cast<int>(k) - 1)
                  ->RasterIO(GF_Write, 0, 0, level.width, level.height, level.pixels.data(),
                             level.width, level.height, GDT_Byte, 0, 0, nullptr));
    }
    char** options = CSLSetNameValue(nullptr, "COMPRESS", "DEFLATE");
    options = CSLSetNameValue(options, "LEVEL", "1");
    options = CSLSetNameValue(options, "NUM_THREADS", "ALL_CPUS");
    const Image written(cog->CreateCopy(out.c_str(), image.get(), 0, options, nullptr, nullptr));
    CSLDestroy(options);
    if (!written) throw std::runtime_error(CPLGetLastErrorMsg());
}

constexpr std::size_t kKeptBytes = std::size_t{280} << 20U;

void plain_mad(const std::string& before, const std::string& after, const std::string& out) {
    PairFiles files(before, after);
    const int bands = files.bands, channels = 2 * bands;
    const std::size_t count = kernels::moment_count(channels);
    std::vector<std::vector<double>> part(static_cast<std::size_t>(files.tiles()));
    // Whole numbers near the means, once those are known: what is left of a sample is exact, and
    // small, so that the difference of two sums that nearly cancel keeps its digits in single
    // precision.
    std::vector<int> middle(static_cast<std::size_t>(channels), 0);
    const auto rows_of = [&](const PairFiles::Tile& tile, int y, std::vector<float>& rows,
                             std::vector<const float*>& pointers) {
        const auto columns = static_cast<std::size_t>(tile.columns);
        const std::size_t plane = columns * static_cast<std::size_t>(tile.rows);
        rows.resize(static_cast<std::size_t>(channels) * kRows);
        pointers.clear();
        for (int c = 0; c < channels; ++c) {
            const auto& source = c < bands ? tile.before : tile.after;
            const std::uint16_t* from = source.data() +
                                        static_cast<std::size_t>(c % bands) * plane +
                                        static_cast<std::size_t>(y) * columns;
            float* to = rows.data() + static_cast<std::size_t>(c) * kRows;
            const int less = middle[static_cast<std::size_t>(c)];
            for (std::size_t x = 0; x < columns; ++x) to[x] = static_cast<float>(from[x] - less);
            pointers.push_back(to);
        }
    };
    // The first tiles are kept for the second pass, as many as the memory bar leaves room for.
    std::vector<PairFiles::Tile> kept(static_cast<std::size_t>(
        std::min<std::size_t>(static_cast<std::size_t>(files.tiles()),
                              kKeptBytes / (std::size_t{2} * kRows * kRows * sizeof(std::uint16_t) *
                                            static_cast<std::size_t>(bands)))));
    parallel_items(files.tiles(), [&](int i) {
        const PairFiles::Tile& tile = files.read(i);
        const auto k = static_cast<std::size_t>(i);
        if (k < kept.size()) kept[k] = tile;
        std::vector<float> rows;
        std::vector<const float*> pointers;
        std::vector<double> sums(count, 0.0), row(count);
        for (int y = 0; y < tile.rows; ++y) {
            rows_of(tile, y, rows, pointers);
            kernels::weighted_moments(pointers.data(), channels, nullptr,
                                      static_cast<std::size_t>(tile.columns), row.data());
            for (std::size_t m = 0; m < count; ++m) sums[m] += row[m];
        }
        part[k] = std::move(sums);
    });
    std::vector<double> moments(count, 0.0);
    for (const auto& sums : part)
        for (std::size_t k = 0; k < count; ++k) moments[k] += sums[k];
    const MadTransform mad = mad_of_moments(moments, bands, 1e-12);
    if (!mad.fault.empty()) throw std::runtime_error(mad.fault);
    GDALDriver* tiff = GetGDALDriverManager()->GetDriverByName("GTiff");
    char** options = CSLSetNameValue(nullptr, "INTERLEAVE", "BAND");
    options = CSLSetNameValue(options, "BIGTIFF", "IF_SAFER");
    options = CSLSetNameValue(options, "TILED", "YES");
    for (const char* side : {"BLOCKXSIZE", "BLOCKYSIZE"})
        options = CSLSetNameValue(options, side, std::to_string(kRows).c_str());
    const Image written(
        tiff->Create(out.c_str(), files.width, files.height, bands, GDT_Float32, options));
    CSLDestroy(options);
    if (!written) throw std::runtime_error(CPLGetLastErrorMsg());
    written->SetGeoTransform(files.transform.data());
    written->SetProjection(files.projection.c_str());
    for (std::size_t b = 0; b < static_cast<std::size_t>(bands); ++b) {
        middle[b] = static_cast<int>(std::lround(mad.mean_first[b]));
        middle[static_cast<std::size_t>(bands) + b] =
            static_cast<int>(std::lround(mad.mean_second[b]));
    }
    std::vector<std::vector<float>> weights;
    std::vector<float> constants;
    for (int v = 0; v < bands; ++v) {
        const auto i = static_cast<std::size_t>(v);
        std::vector<float> row;
        double constant = 0;
        for (std::size_t b = 0; b < mad.a[i].size(); ++b) {
            row.push_back(static_cast<float>(mad.a[i][b]));
            constant -= mad.a[i][b] * (mad.mean_first[b] - middle[b]);
        }
        for (std::size_t b = 0; b < mad.b[i].size(); ++b) {
            row.push_back(static_cast<float>(-mad.b[i][b]));
            constant +=
                mad.b[i][b] * (mad.mean_second[b] - middle[static_cast<std::size_t>(bands) + b]);
        }
        weights.push_back(row);
        constants.push_back(static_cast<float>(constant));
    }
    // Buffers are handed on from tile to tile: fresh ones would cost as much as the arithmetic.
    constexpr std::size_t kTilePixels = std::size_t{kRows} * kRows;
    tbb::concurrent_queue<std::unique_ptr<float[]>> spare;
    parallel_in_order(
        files.tiles(), 4,
        [&](int i) {
            const auto k = static_cast<std::size_t>(i);
            const PairFiles::Tile& tile = k < kept.size() ? kept[k] : files.read(i);
            std::unique_ptr<float[]> variates;
            if (!spare.try_pop(variates))
                variates.reset(new float[kTilePixels * static_cast<std::size_t>(bands)]());
            std::vector<float> rows;
            std::vector<const float*> pointers;
            for (int y = 0; y < tile.rows; ++y) {
                rows_of(tile, y, rows, pointers);
                for (std::size_t v = 0; v < weights.size(); ++v)
                    kernels::combine_bands(
                        pointers.data(), channels, weights[v].data(), constants[v],
                        static_cast<std::size_t>(tile.columns),
                        variates.get() + v * kTilePixels + static_cast<std::size_t>(y) * kRows);
            }
            return variates;
        },
        [&](int i, std::unique_ptr<float[]> variates) {
            for (int b = 0; b < bands; ++b)
                check(written->GetRasterBand(b + 1)->WriteBlock(
                    i % files.across(), i / files.across(),
                    variates.get() + static_cast<std::size_t>(b) * kTilePixels));
            spare.push(std::move(variates));
        });
}

/// 0–1, smooth, the same for everyone who asks for the same place.
double noise(double x, double y, double scale, std::uint32_t seed) {
    const auto corner = [&](int i, int j) {
        std::uint32_t h = static_cast<std::uint32_t>(i) * 374761393U +
                          static_cast<std::uint32_t>(j) * 668265263U + seed * 2246822519U;
        h = (h ^ (h >> 13U)) * 1274126177U;
        return static_cast<double>((h ^ (h >> 16U)) & 0xFFFFU) / 65535.0;
    };
    const double u = x / scale, v = y / scale;
    const int i = static_cast<int>(std::floor(u)), j = static_cast<int>(std::floor(v));
    const double a = u - i, b = v - j;
    return (corner(i, j) * (1 - a) + corner(i + 1, j) * a) * (1 - b) +
           (corner(i, j + 1) * (1 - a) + corner(i + 1, j + 1) * a) * b;
}

/// Ground of several scales with a house in every 64 × 64 pixels; one in fifty is new in the
/// second image, which lies 0.6 and -0.4 pixels off and is a little brighter. Bent: it is also
/// stretched and turned by some pixels from border to border, and waves of 1.4 px, 1600 and 2000 px
/// long, run through it.
void make(int size, int bands, const std::string& before, const std::string& after,
          bool bent = false) {
    GDALDriver* tiff = GetGDALDriverManager()->GetDriverByName("GTiff");
    for (const bool later : {false, true}) {
        char** options = CSLSetNameValue(nullptr, "COMPRESS", "DEFLATE");
        options = CSLSetNameValue(options, "TILED", "YES");
        options = CSLSetNameValue(options, "BLOCKXSIZE", "512");
        options = CSLSetNameValue(options, "BLOCKYSIZE", "512");
        options = CSLSetNameValue(options, "BIGTIFF", "IF_SAFER");
        options = CSLSetNameValue(options, "NUM_THREADS", "ALL_CPUS");
        options = CSLSetNameValue(options, "PREDICTOR", "2");
        const Image image(
            tiff->Create((later ? after : before).c_str(), size, size, bands, GDT_UInt16, options));
        CSLDestroy(options);
        if (!image) throw std::runtime_error(CPLGetLastErrorMsg());
        std::array<double, 6> transform{600000, 0.5, 0, 4400000, 0, -0.5};
        image->SetGeoTransform(transform.data());
        OGRSpatialReference crs;
        crs.importFromEPSG(32652);
        image->SetSpatialRef(&crs);
        const double dx = later ? 0.6 : 0, dy = later ? -0.4 : 0, gain = later ? 1.06 : 1;
        for (int y0 = 0; y0 < size; y0 += kRows) {
            const int rows = std::min(kRows, size - y0);
            const std::size_t plane =
                static_cast<std::size_t>(size) * static_cast<std::size_t>(rows);
            std::vector<std::uint16_t> values(plane * static_cast<std::size_t>(bands));
            parallel_rows(rows, [&](int a, int b) {
                for (int y = a; y < b; ++y)
                    for (int x = 0; x < size; ++x) {
                        double px = x + dx, py = y0 + y + dy;
                        if (bent && later) {
                            px += 3e-4 * x - 2e-4 * (y0 + y) + 1.4 * std::sin((y0 + y) / 250.0);
                            py += 2e-4 * x - 3e-4 * (y0 + y) + 1.4 * std::sin(x / 320.0);
                        }
                        const double ground = 500 + 600 * noise(px, py, 137, 1) +
                                              400 * noise(px, py, 31, 2) +
                                              300 * noise(px, py, 7, 3);
                        const int cx = static_cast<int>(std::floor(px / 64)),
                                  cy = static_cast<int>(std::floor(py / 64));
                        const double hx = px - 64 * cx - 12, hy = py - 64 * cy - 20;
                        const bool fresh = (cx * 7 + cy * 13) % 50 == 0;
                        const bool roof = hx > 0 && hx < 24 + (cx * 5 + cy * 3) % 12 && hy > 0 &&
                                          hy < 14 + (cx + cy) % 8 && (later || !fresh);
                        for (int band = 0; band < bands; ++band) {
                            double v = roof ? 1900 : ground + 60 * band;
                            v += 120 * noise(px, py, 19, 10 + static_cast<std::uint32_t>(band)) +
                                 16 * noise(x, y0 + y, 1, later ? 90U : 91U);
                            values[static_cast<std::size_t>(band) * plane +
                                   static_cast<std::size_t>(y) * static_cast<std::size_t>(size) +
                                   static_cast<std::size_t>(x)] =
                                static_cast<std::uint16_t>(gain * v);
                        }
                    }
            });
            check(image->RasterIO(GF_Write, 0, y0, size, rows, values.data(), size, rows,
                                  GDT_UInt16, bands, nullptr, 0, 0, 0, nullptr));
        }
    }
}

constexpr int kPattern = 4096;  // px; larger pairs repeat it

template <class T>
void put(std::string& bytes, T value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// A file of any size that takes the room of one pattern: its tiles are the pattern's, again and
/// again (BigTIFF; TIFF 6.0 lets several tiles lie in one place). Every one of them is decoded when
/// it is read, so reading costs what it costs for an image of that size, but for the disk.
void repeat(const std::string& pattern, int width, int height, const std::string& out) {
    const Image image = open(pattern);
    const int bands = image->GetRasterCount(), block = kRows, across = kPattern / block;
    const auto columns = static_cast<std::size_t>((width + block - 1) / block),
               rows = static_cast<std::size_t>((height + block - 1) / block);
    std::string file("II\x2B\0\x08\0\0\0", 8);
    put<std::uint64_t>(file, 16);  // of the directory
    struct Entry {
        std::uint16_t tag, type;
        std::string values;
    };
    std::vector<Entry> entries;
    const auto shorts = [&](std::uint16_t tag, const std::vector<int>& values) {
        Entry entry{tag, 3, {}};
        for (const int v : values) put<std::uint16_t>(entry.values, static_cast<std::uint16_t>(v));
        entries.push_back(entry);
    };
    const auto longs = [&](std::uint16_t tag, const std::vector<std::uint64_t>& values) {
        Entry entry{tag, 16, {}};
        for (const std::uint64_t v : values) put<std::uint64_t>(entry.values, v);
        entries.push_back(entry);
    };
    const auto reals = [&](std::uint16_t tag, const std::vector<double>& values) {
        Entry entry{tag, 12, {}};
        for (const double v : values) put<double>(entry.values, v);
        entries.push_back(entry);
    };
    const auto all = static_cast<std::size_t>(bands);
    std::vector<std::uint64_t> places, lengths;
    std::string data;  // of the pattern's blocks
    std::vector<std::uint64_t> place_of, length_of;
    std::FILE* source = std::fopen(pattern.c_str(), "rb");
    if (source == nullptr) throw std::runtime_error(pattern + ": cannot be read");
    for (int y = 0; y < across; ++y)
        for (int x = 0; x < across; ++x) {
            const auto item = [&](const char* what) {
                return std::stoull(image->GetRasterBand(1)->GetMetadataItem(
                    fmt::format("BLOCK_{}_{}_{}", what, x, y).c_str(), "TIFF"));
            };
            const std::uint64_t from = item("OFFSET"), length = item("SIZE");
            place_of.push_back(data.size());
            length_of.push_back(length);
            data.resize(data.size() + length);
            if (std::fseek(source, static_cast<long>(from), SEEK_SET) != 0 ||
                std::fread(data.data() + place_of.back(), 1, length, source) != length)
                throw std::runtime_error(pattern + ": is cut short");
        }
    std::fclose(source);
    const auto side = static_cast<std::size_t>(across);
    const std::uint64_t first = 1 << 16U;  // of the data; the directory's lists follow them
    for (std::size_t y = 0; y < rows; ++y)
        for (std::size_t x = 0; x < columns; ++x) {
            const std::size_t k = (y % side) * side + x % side;
            places.push_back(first + place_of[k]);
            lengths.push_back(length_of[k]);
        }
    longs(256, {static_cast<std::uint64_t>(width)});
    longs(257, {static_cast<std::uint64_t>(height)});
    shorts(258, std::vector<int>(all, 16));
    shorts(259, {8});  // deflate
    shorts(262, {1});
    shorts(277, {bands});
    shorts(284, {1});  // the bands of a pixel together, as make() has them
    shorts(317, {2});  // differences
    shorts(322, {block});
    shorts(323, {block});
    longs(324, places);
    longs(325, lengths);
    if (bands > 1) shorts(338, std::vector<int>(all - 1, 0));
    shorts(339, std::vector<int>(all, 1));
    std::array<double, 6> transform{};
    image->GetGeoTransform(transform.data());
    reals(33550, {transform[1], -transform[5], 0});
    reals(33922, {0, 0, 0, transform[0], transform[3], 0});
    shorts(34735, {1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32652});
    put<std::uint64_t>(file, entries.size());
    std::string lists;
    const std::uint64_t lists_at = first + data.size();
    for (const Entry& entry : entries) {
        put(file, entry.tag);
        put(file, entry.type);
        const std::size_t bytes = entry.type == 3 ? 2 : 8;
        put<std::uint64_t>(file, entry.values.size() / bytes);
        if (entry.values.size() <= 8) {
            file += entry.values + std::string(8 - entry.values.size(), '\0');
        } else {
            put<std::uint64_t>(file, lists_at + lists.size());
            lists += entry.values;
        }
    }
    put<std::uint64_t>(file, 0);
    file.resize(first, '\0');
    file += data + lists;
    std::FILE* written = std::fopen(out.c_str(), "wb");
    if (written == nullptr || std::fwrite(file.data(), 1, file.size(), written) != file.size() ||
        std::fclose(written) != 0)
        throw std::runtime_error(out + ": cannot be written");
}

void make_any(const std::string& size, int bands, const std::string& before,
              const std::string& after) {
    const std::size_t by = size.find('x');
    const int width = std::stoi(size),
              height = by == std::string::npos ? width : std::stoi(size.substr(by + 1));
    if (width == height && width <= kPattern) return make(width, bands, before, after);
    const std::string first = before + ".pattern.tif", second = after + ".pattern.tif";
    make(kPattern, bands, first, second);
    repeat(first, width, height, before);
    repeat(second, width, height, after);
    std::remove(first.c_str());
    std::remove(second.c_str());
}

}  // namespace

int main(int count, char** arguments) {
    const std::vector<std::string> a(arguments + 1, arguments + count);
    const auto start = std::chrono::steady_clock::now();
    keep_freed_memory();
    GDALAllRegister();
    GDALSetCacheMax64(std::int64_t{128} << 20);  // strips are whole blocks: nothing is read twice
    try {
        if (a.size() == 5 && (a[0] == "make" || a[0] == "bent")) {
            make(std::stoi(a[1]), std::stoi(a[2]), a[3], a[4], a[0] == "bent");
        } else if (a.size() == 5 && a[0] == "repeat") {
            make_any(a[1], std::stoi(a[2]), a[3], a[4]);
        } else if (a.size() == 3 && a[0] == "floor") {
            floor_of(a[1], a[2]);
        } else if (a.size() == 4 && a[0] == "absdiff") {
            absolute_difference(a[1], a[2], a[3]);
        } else if (a.size() == 4 && a[0] == "mad") {
            plain_mad(a[1], a[2], a[3]);
        } else {
            fmt::print(stderr,
                       "usage: pair_passes make|bent|repeat SIZE BANDS BEFORE AFTER | floor BEFORE "
                       "AFTER | "
                       "absdiff BEFORE AFTER OUT | mad BEFORE AFTER OUT\n");
            return 2;
        }
    } catch (const std::exception& error) {
        fmt::print(stderr, "pair_passes: {}\n", error.what());
        return 1;
    }
    rusage use{};
    getrusage(RUSAGE_SELF, &use);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    fmt::print("{} {:.2f} {:.2f} {:.0f}\n", a[0],
               std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
               seconds(use.ru_utime) + seconds(use.ru_stime),
               static_cast<double>(use.ru_maxrss) / 1024);
    return 0;
}
