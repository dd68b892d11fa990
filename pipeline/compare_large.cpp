#include "compare_large.h"

#include <fmt/format.h>
#include <tbb/parallel_invoke.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <optional>

#include "core/error.h"
#include "core/kept_planes.h"
#include "core/parallel.h"
#include "kernels/bands.h"
#include "output/scratch_shelf.h"
#include "pair_grid.h"
#include "pair_overview.h"
#include "stages/difference_evidence.h"

namespace fenceline {
namespace {

constexpr double kStripSamples = 6e6;  // width × rows × bands of one strip of one image
constexpr int kSampleSide = 256;       // px; the mosaic has kSamples × kSamples of them
constexpr int kSamples = 6;
constexpr int kBlock = 64;                   // strips are multiples of it
constexpr double kLeastDecoded = 256 << 20;  // bytes of blocks that wait to be read again

int rows_of_strip(const Grid& grid, int bands) {
    const double rows = kStripSamples / (static_cast<double>(grid.width) * std::max(1, bands));
    return std::clamp(static_cast<int>(rows) / kBlock * kBlock, 2 * kBlock, 512);
}

/// Both images of one window of the grid.
struct Strip {
    int y0 = 0, y1 = 0;
    GridImage before, after;
};

/// Both images, read on the same windows at the same time.
class PairReader {
  public:
    /// room: bytes that decoded blocks may take, kLeastDecoded at the least.
    PairReader(const SceneInfo& before, const SceneInfo& after, const Grid& grid,
               const GeorefOptions& georef, double room)
        : before_(before, grid, {}, georef),
          after_(after, grid, {}, georef),
          new_blocks_(before_.row_of_blocks_bytes() + after_.row_of_blocks_bytes()) {
        // Strips over the border of two rows of blocks need both: with nearly twice the room of one
        // row, hardly a block is decoded again. Holding all of a pair that would fit was tried:
        // here fresh memory takes as long as decoding once more.
        constexpr double kMostDecoded = 560 << 20, kRows = 1.8;
        hold_decoded(static_cast<std::size_t>(
            std::clamp(kRows * static_cast<double>(new_blocks_), kLeastDecoded,
                       std::clamp(room, kLeastDecoded, kMostDecoded))));
    }
    void read(const Window& window, Strip& strip) {
        prepare_heap(new_blocks_);
        strip.y0 = window.y;
        strip.y1 = window.y + window.height;
        tbb::parallel_invoke([&] { before_.read(window, strip.before); },
                             [&] { after_.read(window, strip.after); });
        throw_if_abandoned();
    }
    /// `after` through its registration, once that is known.
    void register_by(const Warp& warp) { after_.register_by(warp); }

  private:
    GridReader before_, after_;
    std::size_t new_blocks_;  // bytes that the next window may decode
};

/// read(i, strip) one after the other, take(strip) one after the other and in order, both at a
/// time, on `held` strips that are used in turn: 2, or with 1 by turns.
template <class Read, class Take>
void read_and_take(int count, std::size_t held, const Read& read, const Take& take) {
    std::array<Strip, 2> strips;  // a third is only read once the first has been taken
    int next = 0;
    const auto reading = tbb::make_filter<void, Strip*>(
        tbb::filter_mode::serial_in_order, [&](tbb::flow_control& flow) -> Strip* {
            throw_if_cancelled();
            if (next >= count) {
                flow.stop();
                return nullptr;
            }
            Strip& strip = strips[static_cast<std::size_t>(next) % held];
            read(next++, strip);
            return &strip;
        });
    const auto taking = tbb::make_filter<Strip*, void>(tbb::filter_mode::serial_in_order,
                                                       [&](Strip* strip) { take(*strip); });
    tbb::parallel_pipeline(held, reading & taking);
}

/// Clouds, their shadows, snow and haze as the overview shows them, on one window of the grid.
class OverviewMasks {
  public:
    OverviewMasks(Mask masks, int factor, const Warp& warp)
        : masks_(std::move(masks)), factor_(factor), warp_(warp) {
        for (int y = 0; y < masks_.height() && !any_; ++y)
            any_ = std::any_of(masks_.row(y), masks_.row(y) + masks_.width(),
                               [](std::uint8_t v) { return (v & kSeen) != 0; });
    }
    void add_to(Mask& masks, const Window& window) const {
        if (!any_) return;
        parallel_rows(window.height, [&](int y0, int y1) {
            for (int y = y0; y < y1; ++y) {
                std::uint8_t* row = masks.row(y);
                std::uint8_t bits = 0;
                for (int x = 0; x < window.width; ++x) {
                    if (x % 8 == 0) {  // clouds are larger than that
                        const Point p = warp_({window.x + x + 4.0, window.y + y + 0.5});
                        const int u = std::clamp(static_cast<int>(p.x / factor_), 0,
                                                 masks_.width() - 1),
                                  v = std::clamp(static_cast<int>(p.y / factor_), 0,
                                                 masks_.height() - 1);
                        bits = masks_.at(u, v) & kSeen;
                    }
                    row[x] = static_cast<std::uint8_t>(row[x] | bits);
                }
            }
        });
    }

  private:
    static constexpr std::uint8_t kSeen = kCloud | kCloudShadow | kSnow | kHaze;
    Mask masks_;
    int factor_;
    Warp warp_;
    bool any_ = false;
};

/// Copies one window's pixels into a mosaic.
void place(const GridImage& part, int x0, int y0, Scene& mosaic) {
    const int width = part.raster.grid.width, height = part.raster.grid.height;
    for (int y = 0; y < height; ++y) {
        for (std::size_t b = 0; b < part.raster.bands.size(); ++b)
            std::copy_n(part.raster.bands[b].row(y), width,
                        mosaic.raster.bands[b].row(y0 + y) + x0);
        std::copy_n(part.raster.valid.row(y), width, mosaic.raster.valid.row(y0 + y) + x0);
        std::copy_n(part.masks.row(y), width, mosaic.masks.row(y0 + y) + x0);
    }
}

Scene empty_mosaic(const SceneInfo& info, const Grid& twin, int bands) {
    Scene scene;
    scene.info = info;
    scene.raster.grid = twin;
    scene.raster.grid.width = scene.raster.grid.height = kSamples * kSampleSide;
    scene.raster.roles = info.roles;
    scene.raster.roles.resize(static_cast<std::size_t>(bands), BandRole::other);
    for (int b = 0; b < bands; ++b)
        scene.raster.bands.emplace_back(scene.raster.grid.width, scene.raster.grid.height);
    scene.raster.valid = Mask(scene.raster.grid.width, scene.raster.grid.height);
    scene.masks = Mask(scene.raster.grid.width, scene.raster.grid.height, kNoData);
    return scene;
}

/// The rows of one image that evidence needs at a time, as they come. The planes have room for
/// `most` rows; the scene's grid says how many there are.
class HeldRows {
  public:
    HeldRows(const SceneInfo& info, const Grid& twin, int most) : most_(most) {
        scene.info = info;
        scene.raster.grid = twin;
        scene.raster.grid.height = 0;
    }
    void append(const GridImage& strip) {
        Raster& raster = scene.raster;
        if (raster.bands.empty()) {
            raster.roles = strip.raster.roles;
            for (std::size_t b = 0; b < strip.raster.bands.size(); ++b)
                raster.bands.emplace_back(raster.grid.width, most_);
            raster.valid = Mask(raster.grid.width, most_);
            scene.masks = Mask(raster.grid.width, most_);
        }
        const auto copy = [&](const auto& from, auto& to) {
            std::copy_n(from.row(0), from.stride() * static_cast<std::size_t>(from.height()),
                        to.row(raster.grid.height));
        };
        for (std::size_t b = 0; b < raster.bands.size(); ++b)
            copy(strip.raster.bands[b], raster.bands[b]);
        copy(strip.raster.valid, raster.valid);
        copy(strip.masks, scene.masks);
        raster.grid.height += strip.raster.valid.height();
    }
    void keep_last(int rows) {
        const int drop = scene.raster.grid.height - rows;
        if (drop <= 0) return;
        const auto move_up = [&](auto& plane) {
            const auto from = plane.row(drop);
            std::copy(from, from + plane.stride() * static_cast<std::size_t>(rows), plane.row(0));
        };
        for (Plane& band : scene.raster.bands) move_up(band);
        move_up(scene.raster.valid);
        move_up(scene.masks);
        scene.raster.grid.height = rows;
    }
    Scene scene;

  private:
    int most_;
};

/// Whether what is kept of every pixel is kept in memory.
bool in_memory(const Grid& grid, const CompareOptions& options) {
    return options.scratch_dir.empty() ||
           4.0 * grid.width * grid.height <= static_cast<double>(options.held_bytes);
}

Shelf shelf_for(const Grid& grid, const CompareOptions& options) {
    return in_memory(grid, options) ? memory_shelf() : scratch_shelf(options.scratch_dir);
}

/// Bytes that are left of --max-memory for decoded blocks. Throws DataError when they are too few.
double room_for_blocks(const Grid& grid, int bands, int strip, const CompareOptions& options) {
    const double pixels = static_cast<double>(grid.width) * grid.height;
    // Either the overviews, or strips of two images: as held, as it comes, as read from the file
    // (two at a time) and what lies free in the heap between them; scores when they are held;
    // fixed: libraries, tiles of the threads.
    const double held = in_memory(grid, options) ? pixels * 4 : 0;
    const double overviews = options.overview_pixels * 2 * (4 * bands + 8);
    const double strips =
        1.3 * 2.0 * grid.width * (4 * bands + 4) * (2 * kEvidenceHalo + 3.5 * strip);
    const double needed = held + std::max(overviews, strips) + (304 << 20);
    const auto allowed = static_cast<double>(options.max_memory_bytes);
    if (needed + kLeastDecoded > allowed)
        throw DataError("BEFORE",
                        fmt::format("{} × {} pixels need about {:.0f} MiB, --max-memory allows {}",
                                    grid.width, grid.height, (needed + kLeastDecoded) / (1 << 20),
                                    options.max_memory_bytes >> 20U),
                        "raise --max-memory, or cut the images to the area of interest");
    return allowed - needed;
}

}  // namespace

void compare_large(const SceneInfo& before, const SceneInfo& after, const Grid& working,
                   const Ring& before_lonlat, const CompareOptions& options, Progress& progress,
                   CompareOutcome& out) {
    const Grid twin = metric_twin(out.grid);
    const int bands = std::max({1, before.band_count, after.band_count});
    const int strip = rows_of_strip(working, bands);
    const double room = room_for_blocks(working, bands, strip, options);
    const int count = (working.height + strip - 1) / strip;
    // Of very wide strips there is one at a time: reading and what follows each use all threads.
    constexpr double kLargeStrip = 12e6;  // samples
    const std::size_t strips_held =
        static_cast<double>(working.width) * strip * bands > kLargeStrip ? 1 : 2;
    const auto strip_window = [&](int i) {
        const int y0 = i * strip;
        return Window{0, y0, working.width, std::min(strip, working.height - y0)};
    };

    // Overviews.
    const double pixels = static_cast<double>(working.width) * working.height;
    const int factor = static_cast<int>(std::ceil(std::sqrt(pixels / options.overview_pixels)));
    progress.stage("observe", count);
    std::optional<Overview> first, second;
    PairReader reader(before, after, working, options.georef, room);
    {
        const int tall = std::max(1, strip / factor) * factor;
        const int pieces = (working.height + tall - 1) / tall;
        read_and_take(
            pieces, strips_held,
            [&](int i, Strip& read) {
                // From the bottom up: what is decoded last is what is needed first again.
                const int y0 = (pieces - 1 - i) * tall;
                reader.read({0, y0, working.width, std::min(tall, working.height - y0)}, read);
            },
            [&](const Strip& read) {
                const auto begin = [&](const SceneInfo& info, const GridImage& image,
                                       std::optional<Overview>& overview) {
                    overview = empty_overview(info, working, factor,
                                              static_cast<int>(image.raster.bands.size()));
                };
                if (!first) {
                    tbb::parallel_invoke([&] { begin(before, read.before, first); },
                                         [&] { begin(after, read.after, second); });
                    throw_if_abandoned();
                }
                add_strip(read.before, read.y0, *first);
                add_strip(read.after, read.y0, *second);
                progress.step(before.id);
            });
    }
    const auto observed = [&](const SceneInfo& info, Overview& o) {
        Scene scene = observe(info, std::move(o.image.raster), std::move(o.image.masks),
                              o.mask_given, before_lonlat, options.observe);
        for (const int k : {1, 2, 4, 5})
            scene.raster.grid.geotransform[static_cast<std::size_t>(k)] =
                factor * twin.geotransform[static_cast<std::size_t>(k)];
        scene.raster.grid.geotransform[0] = scene.raster.grid.geotransform[3] = 0;
        scene.raster.grid.crs_wkt = twin.crs_wkt;
        return scene;
    };
    tbb::parallel_invoke([&] { out.before = observed(before, *first); },
                         [&] { out.after = observed(after, *second); });
    throw_if_abandoned();

    progress.stage("align", 1);
    out.alignment = at_full_size(align(out.after, out.before, options.align), factor);
    progress.step(after.id);
    if (out.alignment.status == RegistrationStatus::fail) {
        if (!options.assume_registered) return;  // compare_pair says so
        out.alignment.target_from_reference = {};
    }
    const Warp& warp = out.alignment.target_from_reference;
    const OverviewMasks masks_before(std::move(out.before.masks), factor, {}),
        masks_after(std::move(out.after.masks), factor, warp);
    out.before.raster = {};
    out.after.raster = {};

    // Radiometry and the statistics of evidence, on samples at full resolution.
    progress.stage("normalize", 1);
    reader.register_by(warp);
    std::optional<Scene> mosaic_before, mosaic_after;
    Strip part;
    for (int j = 0; j < kSamples; ++j)
        for (int i = 0; i < kSamples; ++i) {
            const auto at = [&](int k, int length) {
                const int start =
                    static_cast<int>((2.0 * k + 1) / (2 * kSamples) * length) - kSampleSide / 2;
                return std::clamp(start / kSampleSide * kSampleSide, 0, length - kSampleSide);
            };
            const Window window{at(i, working.width), at(j, working.height), kSampleSide,
                                kSampleSide};
            reader.read(window, part);
            masks_before.add_to(part.before.masks, window);
            masks_after.add_to(part.after.masks, window);
            if (!mosaic_before) {
                mosaic_before =
                    empty_mosaic(before, twin, static_cast<int>(part.before.raster.bands.size()));
                mosaic_after =
                    empty_mosaic(after, twin, static_cast<int>(part.after.raster.bands.size()));
            }
            place(part.before, i * kSampleSide, j * kSampleSide, *mosaic_before);
            place(part.after, i * kSampleSide, j * kSampleSide, *mosaic_after);
        }
    mosaic_after->info = out.after.info;
    mosaic_before->info = out.before.info;
    out.normalization = normalize(*mosaic_after, *mosaic_before, options.normalize);
    apply(out.normalization, mosaic_after->raster);
    const auto scores =
        start_difference(*mosaic_before, *mosaic_after, working.width, working.height,
                         out.alignment.rmse_m / twin.gsd(), shelf_for(working, options));
    mosaic_before.reset();
    mosaic_after.reset();
    progress.step(after.id);

    // The rows that can be weighed once a strip has come are those kEvidenceHalo above its end.
    progress.stage("difference", count);
    if (strips_held == 1) give_back_freed_memory();
    const int most = strip + 2 * kEvidenceHalo;
    std::optional<HeldRows> held_before, held_after;
    held_before.emplace(out.before.info, twin, most);
    held_after.emplace(out.after.info, twin, most);
    int held_from = 0, done = 0;
    read_and_take(
        count, strips_held, [&](int i, Strip& read) { reader.read(strip_window(i), read); },
        [&](Strip& read) {
            const Window window{0, read.y0, working.width, read.y1 - read.y0};
            masks_before.add_to(read.before.masks, window);
            masks_after.add_to(read.after.masks, window);
            apply(out.normalization, read.after.raster);
            held_before->append(read.before);
            held_after->append(read.after);
            const int end = read.y1 == working.height ? working.height : read.y1 - kEvidenceHalo;
            if (end > done)
                add_difference_rows(*scores, held_before->scene, held_after->scene, held_from, done,
                                    end, options.difference);
            done = std::max(done, end);
            const int keep = std::min(held_before->scene.raster.grid.height,
                                      read.y1 - std::max(0, done - kEvidenceHalo));
            held_from = read.y1 - keep;
            held_before->keep_last(keep);
            held_after->keep_last(keep);
            progress.step(after.id);
        });
    held_before.reset();
    held_after.reset();
    out.map = finish_difference(*scores, options.difference);
    out.map_row = [scores](int y, std::uint8_t* change, float* probability) {
        change_map_row(*scores, y, change, probability);
    };
}

}  // namespace fenceline
