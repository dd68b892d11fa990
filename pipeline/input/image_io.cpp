#include "input/image_io.h"

#include <cpl_string.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <limits>
#include <memory>
#include <optional>

#include "core/error.h"
#include "core/parallel.h"
#include "core/projection.h"
#include "input/dataset.h"
#include "input/georeference.h"
#include "input/given_mask.h"
#include "kernels/cubic.h"

namespace fenceline {
namespace {

/// Source pixels that are held at once, all bands together.
constexpr double kMaxWindowSamples = 24e6;
/// Above this many source pixels per grid pixel and axis nothing sensible is asked for.
constexpr double kMaxRatio = 64;
/// From here on the kernel is widened, so that detail finer than the grid is averaged and not
/// aliased.
constexpr double kWidenFrom = 1.1;

/// How one band's samples are read as no data.
struct NoData {
    bool set = false, nan = false;
    float value = 0;
    bool is(float sample) const { return set && (nan ? std::isnan(sample) : sample == value); }
};

struct Source {
    DatasetPtr image;
    ImageBands bands;
    std::vector<NoData> no_data;        // per data band
    bool zero_means_all_bands = false;  // integer image, 0 is no data: only when all bands say so
    std::vector<float>
        top;  // per data band: the value of a saturated sample; infinity when not known
    std::vector<float> scale, offset;
    GDALRasterBand* mask = nullptr;  // per-dataset mask or alpha
    int width = 0, height = 0;
    bool words = false;  // all data bands: 8 or 16 bit whole numbers, neither scaled nor shifted
};

Source open_source(const std::string& path, int decoders) {
    Source s;
    s.image = open_image(path, decoders);
    s.bands = image_bands(*s.image);
    s.width = s.image->GetRasterXSize();
    s.height = s.image->GetRasterYSize();
    bool integer_zero = !s.bands.data.empty();
    for (const int b : s.bands.data) {
        GDALRasterBand& band = *s.image->GetRasterBand(b);
        int has = 0;
        const double value = band.GetNoDataValue(&has);
        NoData none{has != 0, std::isnan(value), static_cast<float>(value)};
        s.no_data.push_back(none);
        const GDALDataType type = band.GetRasterDataType();
        integer_zero = integer_zero && has != 0 && value == 0 && GDALDataTypeIsInteger(type) != 0;
        float top = std::numeric_limits<float>::infinity();
        if (type == GDT_Byte) top = 255;
        if (type == GDT_UInt16) top = 65535;
        if (const char* bits = band.GetMetadataItem("NBITS", "IMAGE_STRUCTURE");
            bits != nullptr && (type == GDT_Byte || type == GDT_UInt16)) {
            const int n = std::atoi(bits);
            if (n >= 2 && n <= 16) top = static_cast<float>((1 << n) - 1);
        }
        s.top.push_back(top);
        int has_scale = 0, has_offset = 0;
        const double scale = band.GetScale(&has_scale), offset = band.GetOffset(&has_offset);
        s.scale.push_back(has_scale != 0 && std::isfinite(scale) && scale != 0
                              ? static_cast<float>(scale)
                              : 1.0F);
        s.offset.push_back(has_offset != 0 && std::isfinite(offset) ? static_cast<float>(offset)
                                                                    : 0.0F);
        s.words = (b == s.bands.data.front() || s.words) &&
                  (type == GDT_Byte || type == GDT_UInt16) && s.scale.back() == 1 &&
                  s.offset.back() == 0;
    }
    s.zero_means_all_bands = integer_zero && s.bands.data.size() > 1;
    if (s.bands.alpha != 0) {
        s.mask = s.image->GetRasterBand(s.bands.alpha);
    } else if (!s.bands.data.empty()) {
        GDALRasterBand& first = *s.image->GetRasterBand(s.bands.data.front());
        const int mask = first.GetMaskFlags();
        if ((mask & GMF_PER_DATASET) != 0 && (mask & GMF_ALPHA) == 0) s.mask = first.GetMaskBand();
    }
    return s;
}

/// Source samples of one rectangle, with what of them can be used.
struct SourceWindow {
    Window window;
    std::vector<float*> bands;  // in `memory`, which is kept from window to window
    std::unique_ptr<float[]> memory;
    std::unique_ptr<std::uint16_t[]> words;  // as read, where whole numbers are
    std::size_t room = 0;
    std::vector<std::uint8_t> valid, saturated;
    std::vector<std::uint8_t>
        whole;  // the 4 × 4 samples from here to the lower right are all valid
    std::size_t at(int x, int y) const {
        return static_cast<std::size_t>(y - window.y) * static_cast<std::size_t>(window.width) +
               static_cast<std::size_t>(x - window.x);
    }
};

/// Whole numbers of one band become floats; what they say of validity and saturation.
void take_words(const std::uint16_t* words, const Source& source, std::size_t band, std::size_t n,
                float* data, std::uint8_t* valid, std::uint8_t* saturated, std::uint8_t* zeros) {
    for (std::size_t i = 0; i < n; ++i) data[i] = static_cast<float>(words[i]);
    if (zeros != nullptr) {
        for (std::size_t i = 0; i < n; ++i) zeros[i] &= static_cast<std::uint8_t>(words[i] == 0);
    } else if (const NoData& none = source.no_data[band]; none.set && none.value >= 0 &&
                                                          none.value <= 65535 &&
                                                          none.value == std::floor(none.value)) {
        const auto value = static_cast<std::uint16_t>(none.value);
        for (std::size_t i = 0; i < n; ++i)
            valid[i] = words[i] == value ? std::uint8_t{0} : valid[i];
    }
    if (source.top[band] <= 65535) {
        const auto top = static_cast<std::uint16_t>(source.top[band]);
        for (std::size_t i = 0; i < n; ++i)
            saturated[i] |= static_cast<std::uint8_t>(words[i] >= top);
    }
}

void read_window(const std::string& path, const Source& source, Window w, SourceWindow& out) {
    out.window = w;
    const std::size_t count =
        static_cast<std::size_t>(w.width) * static_cast<std::size_t>(w.height);
    out.valid.assign(count, 1);
    out.saturated.assign(count, 0);
    GdalMessages messages;
    const auto read = [&](GDALRasterBand& band, void* to, GDALDataType type) {
        if (band.RasterIO(GF_Read, w.x, w.y, w.width, w.height, to, w.width, w.height, type, 0, 0,
                          nullptr) != CE_None)
            throw DataError(path, "its pixels cannot be read: " + messages.text(),
                            "the file is damaged or incomplete");
    };
    throw_if_cancelled();
    std::vector<int> numbers = source.bands.data;
    if (out.room < count * numbers.size()) {
        out.memory.reset();
        out.words.reset();
        out.room = count * numbers.size() * 17 / 16;  // the next window may be a little larger
        out.memory.reset(new float[out.room]);
        if (source.words) out.words.reset(new std::uint16_t[out.room]);
    }
    out.bands.clear();
    for (std::size_t b = 0; b < numbers.size(); ++b)
        out.bands.push_back(out.memory.get() + b * count);
    // All bands at once: a block of an image that has a pixel's bands together is decoded once.
    void* to = source.words ? static_cast<void*>(out.words.get()) : out.memory.get();
    const std::size_t sample_bytes = source.words ? sizeof(std::uint16_t) : sizeof(float);
    const auto read_bands = [&](GDALDataset& image) {
        return image.RasterIO(GF_Read, w.x, w.y, w.width, w.height, to, w.width, w.height,
                              source.words ? GDT_UInt16 : GDT_Float32,
                              static_cast<int>(numbers.size()), numbers.data(), 0, 0,
                              static_cast<GSpacing>(count * sample_bytes), nullptr) == CE_None;
    };
    if (!read_bands(*source.image)) {
        // Threads that decode keep the reason to themselves: one alone says it.
        if (!messages.failed()) read_bands(*open_image(path));
        throw DataError(path, "its pixels cannot be read: " + messages.text(),
                        "the file is damaged or incomplete");
    }
    if (source.mask != nullptr) {
        read(*source.mask, out.valid.data(), GDT_Byte);
        // Half transparent or less: what lies under it is not the ground alone.
        const int least = source.bands.alpha != 0 ? 128 : 1;
        for (auto& v : out.valid) v = v >= least ? 1 : 0;
    }
    parallel_rows(w.height, [&](int y0, int y1) {
        const std::size_t begin = static_cast<std::size_t>(y0) * static_cast<std::size_t>(w.width);
        const std::size_t end = static_cast<std::size_t>(y1) * static_cast<std::size_t>(w.width);
        std::vector<std::uint8_t> zeros(source.zero_means_all_bands ? end - begin : 0, 1);
        for (std::size_t b = 0; b < out.bands.size(); ++b) {
            float* data = out.bands[b];
            if (source.words) {
                take_words(out.words.get() + b * count + begin, source, b, end - begin,
                           data + begin, out.valid.data() + begin, out.saturated.data() + begin,
                           zeros.empty() ? nullptr : zeros.data());
                continue;
            }
            const NoData none = source.no_data[b];
            const float top = source.top[b], scale = source.scale[b], offset = source.offset[b];
            for (std::size_t i = begin; i < end; ++i) {
                const float sample = data[i];
                if (source.zero_means_all_bands)
                    zeros[i - begin] &= static_cast<std::uint8_t>(sample == 0.0F);
                else if (none.is(sample))
                    out.valid[i] = 0;
                if (sample >= top) out.saturated[i] = 1;
                const float value = scale * sample + offset;
                if (std::isfinite(value)) {
                    data[i] = value;
                } else {
                    data[i] = 0;
                    out.valid[i] = 0;
                }
            }
        }
        for (std::size_t i = 0; i < zeros.size(); ++i)
            if (zeros[i] != 0) out.valid[begin + i] = 0;
        for (std::size_t i = begin; i < end; ++i)
            if (out.valid[i] == 0) out.saturated[i] = 0;
    });
    out.whole.assign(count, 0);
    parallel_rows(w.height - 3, [&](int y0, int y1) {
        std::vector<std::uint8_t> column(static_cast<std::size_t>(w.width));
        for (int y = y0; y < y1; ++y) {
            const std::uint8_t* v = out.valid.data() + static_cast<std::size_t>(y) * column.size();
            const std::size_t n = column.size();
            for (std::size_t x = 0; x < n; ++x)
                column[x] = v[x] & v[x + n] & v[x + 2 * n] & v[x + 3 * n];
            for (std::size_t x = 0; x + 3 < column.size(); ++x)
                out.whole[static_cast<std::size_t>(y) * column.size() + x] =
                    column[x] & column[x + 1] & column[x + 2] & column[x + 3];
        }
    });
}

double keys(double distance) {
    const double s = std::abs(distance);
    if (s < 1) return (1.5 * s - 2.5) * s * s + 1;
    if (s < 2) return ((-0.5 * s + 2.5) * s - 4) * s + 2;
    return 0;
}

/// Bilinear over the valid ones of the four neighbours: at the border of the valid ground, where
/// the cubic's negative lobes would need samples that do not exist. The nearest sample is known to
/// be valid.
void sample_border(const SourceWindow& source, Point px, std::vector<float>& values) {
    const double u = px.x - 0.5, v = px.y - 0.5;
    const int x = static_cast<int>(std::floor(u)), y = static_cast<int>(std::floor(v));
    std::fill(values.begin(), values.end(), 0.0F);
    double total = 0;
    for (int j = y; j <= y + 1; ++j)
        for (int i = x; i <= x + 1; ++i) {
            const Window& w = source.window;
            if (i < w.x || j < w.y || i >= w.x + w.width || j >= w.y + w.height) continue;
            const std::size_t k = source.at(i, j);
            if (source.valid[k] == 0) continue;
            const double weight =
                std::max(0.0, 1 - std::abs(u - i)) * std::max(0.0, 1 - std::abs(v - j));
            total += weight;
            for (std::size_t b = 0; b < values.size(); ++b)
                values[b] += static_cast<float>(weight) * source.bands[b][k];
        }
    for (auto& value : values) value = static_cast<float>(value / total);
}

/// The cubic stretched to the grid's pixel (GDAL and every resizer do the same): weights over the
/// valid samples, summing to one. False when less than half of the weight lies on valid samples.
bool sample_widened(const SourceWindow& source, Point px, double ratio_x, double ratio_y,
                    std::vector<float>& values) {
    const Window& w = source.window;
    const double u = px.x - 0.5, v = px.y - 0.5;
    const int x0 = std::max(w.x, static_cast<int>(std::ceil(u - 2 * ratio_x)));
    const int x1 = std::min(w.x + w.width - 1, static_cast<int>(std::floor(u + 2 * ratio_x)));
    const int y0 = std::max(w.y, static_cast<int>(std::ceil(v - 2 * ratio_y)));
    const int y1 = std::min(w.y + w.height - 1, static_cast<int>(std::floor(v + 2 * ratio_y)));
    std::array<float, static_cast<std::size_t>(4 * kMaxRatio) + 4> across;
    for (int i = x0; i <= x1; ++i)
        across[static_cast<std::size_t>(i - x0)] = static_cast<float>(keys((i - u) / ratio_x));
    std::fill(values.begin(), values.end(), 0.0F);
    float total = 0, full = 0;
    for (int j = y0; j <= y1; ++j) {
        const auto down = static_cast<float>(keys((j - v) / ratio_y));
        const std::size_t row = source.at(x0, j);
        float sum = 0, all = 0;
        for (std::size_t i = 0; i <= static_cast<std::size_t>(x1 - x0); ++i) {
            all += across[i];
            if (source.valid[row + i] != 0) sum += across[i];
        }
        total += down * sum;
        full += down * all;
        for (std::size_t b = 0; b < values.size(); ++b) {
            const float* data = source.bands[b] + row;
            float line = 0;
            for (std::size_t i = 0; i <= static_cast<std::size_t>(x1 - x0); ++i)
                line += source.valid[row + i] != 0 ? across[i] * data[i] : 0.0F;
            values[b] += down * line;
        }
    }
    if (!(total > 0.5F * full) || !(full > 0)) return false;
    for (auto& value : values) value /= total;
    return true;
}

/// Bounding box, in grid pixels, of where the warp takes the grid.
struct Box {
    double x0 = std::numeric_limits<double>::infinity(), y0 = x0, x1 = -x0, y1 = -x0;
    void add(Point p) {
        if (!std::isfinite(p.x) || !std::isfinite(p.y)) return;
        x0 = std::min(x0, p.x);
        x1 = std::max(x1, p.x);
        y0 = std::min(y0, p.y);
        y1 = std::max(y1, p.y);
    }
};

/// Where the pixels of a tile lie in the source. The exact way (registration, then georeference) is
/// walked at the corners of cells of 8 × 8 pixels and inside a cell that is not flat enough; the
/// rest is interpolated. Cells are counted from the grid's origin: what a pixel gets does not
/// depend on the tile.
class SourcePlaces {
  public:
    SourcePlaces(const SourceLattice& lattice, const Warp& warp, const Window& tile,
                 int source_width, int source_height)
        : lattice_(lattice),
          warp_(warp),
          tile_(tile),
          first_column_(tile.x / kCell),
          first_row_(tile.y / kCell),
          columns_((tile.x + tile.width - 1) / kCell - first_column_ + 1),
          rows_((tile.y + tile.height - 1) / kCell - first_row_ + 1),
          nodes_(static_cast<std::size_t>(columns_ + 1) * static_cast<std::size_t>(rows_ + 1)),
          exact_(static_cast<std::size_t>(columns_) * static_cast<std::size_t>(rows_)) {
        parallel_rows(rows_ + 1, [&](int y0, int y1) {
            for (int j = y0; j < y1; ++j)
                for (int i = 0; i <= columns_; ++i)
                    nodes_[node(i, j)] =
                        walk((first_column_ + i) * kCell, (first_row_ + j) * kCell);
        });
        std::vector<Box> boxes(static_cast<std::size_t>(rows_));
        parallel_rows(rows_, [&](int y0, int y1) {
            for (int j = y0; j < y1; ++j)
                for (int i = 0; i < columns_; ++i)
                    add_cell(i, j, source_width, source_height, boxes[static_cast<std::size_t>(j)]);
        });
        for (const Box& b : boxes)
            if (b.x1 >= b.x0) {
                needed_.add({b.x0, b.y0});
                needed_.add({b.x1, b.y1});
            }
    }

    /// Holds every place of the tile that lies inside the source; empty when there is none.
    const Box& needed() const { return needed_; }

    /// The places of row y of the tile (0 <= y < height), tile.width of them.
    void row(int y, Point* places) const {
        const int gy = tile_.y + y, j = gy / kCell - first_row_;
        const double fy = (gy - (first_row_ + j) * kCell + 0.5) / kCell;
        for (int i = 0; i < columns_; ++i) {
            const int cell_x = (first_column_ + i) * kCell;
            const int x0 = std::max(cell_x, tile_.x),
                      x1 = std::min(cell_x + kCell, tile_.x + tile_.width);
            Point* out = places + (x0 - tile_.x);
            if (exact_[cell(i, j)] != 0) {
                for (int x = x0; x < x1; ++x) *out++ = walk(x + 0.5, gy + 0.5);
                continue;
            }
            const Point left = between(nodes_[node(i, j)], nodes_[node(i, j + 1)], fy);
            const Point step =
                (1.0 / kCell) *
                (between(nodes_[node(i + 1, j)], nodes_[node(i + 1, j + 1)], fy) - left);
            for (int x = x0; x < x1; ++x) *out++ = left + (x - cell_x + 0.5) * step;
        }
    }

    /// Where row y starts when each of its places is the middle of a source pixel and the next
    /// one's is beside it: such a row is copied, not interpolated.
    std::optional<Point> whole_pixels(int y) const {
        constexpr double kOff = 1e-4;  // px; far below what 16 bits could show
        const int gy = tile_.y + y, j = gy / kCell - first_row_;
        const double fy = (gy - (first_row_ + j) * kCell + 0.5) / kCell;
        Point start{};
        for (int i = 0; i < columns_; ++i) {
            if (exact_[cell(i, j)] != 0) return std::nullopt;
            const int cell_x = (first_column_ + i) * kCell;
            const int x0 = std::max(cell_x, tile_.x),
                      x1 = std::min(cell_x + kCell, tile_.x + tile_.width) - 1;
            const Point left = between(nodes_[node(i, j)], nodes_[node(i, j + 1)], fy);
            const Point step =
                (1.0 / kCell) *
                (between(nodes_[node(i + 1, j)], nodes_[node(i + 1, j + 1)], fy) - left);
            if (i == 0) {
                const Point first = left + (x0 - cell_x + 0.5) * step;
                start = {std::floor(first.x), std::floor(first.y)};
            }
            for (const int x : {x0, x1}) {  // between them places are on a line
                const Point p = left + (x - cell_x + 0.5) * step;
                // NaN and infinite places compare false.
                if (!(std::abs(p.x - (start.x + (x - tile_.x) + 0.5)) < kOff &&
                      std::abs(p.y - (start.y + 0.5)) < kOff))
                    return std::nullopt;
            }
        }
        return start;
    }

  private:
    static constexpr int kCell = 8;
    /// Largest departure of a cell's middle, source pixels: far below what any registration knows.
    static constexpr double kFlat = 0.005;

    std::size_t node(int i, int j) const {
        return static_cast<std::size_t>(j) * static_cast<std::size_t>(columns_ + 1) +
               static_cast<std::size_t>(i);
    }
    std::size_t cell(int i, int j) const {
        return static_cast<std::size_t>(j) * static_cast<std::size_t>(columns_) +
               static_cast<std::size_t>(i);
    }
    static Point between(Point a, Point b, double f) { return a + f * (b - a); }
    Point walk(double x, double y) const { return lattice_(warp_({x, y})); }

    void add_cell(int i, int j, int source_width, int source_height, Box& box) {
        const Point a = nodes_[node(i, j)], b = nodes_[node(i + 1, j)], c = nodes_[node(i, j + 1)],
                    d = nodes_[node(i + 1, j + 1)];
        const int x = (first_column_ + i) * kCell, y = (first_row_ + j) * kCell;
        const double off = distance(between(between(a, b, 0.5), between(c, d, 0.5), 0.5),
                                    walk(x + 0.5 * kCell, y + 0.5 * kCell));
        Box own;
        if (off <= kFlat) {
            for (const Point p : {a, b, c, d}) own.add(p);
        } else {
            exact_[cell(i, j)] = 1;
            for (int k = 0; k < kCell * kCell; ++k)
                own.add(walk(x + k % kCell + 0.5, y + k / kCell + 0.5));
        }
        if (!(own.x1 >= 0 && own.y1 >= 0 && own.x0 < source_width && own.y0 < source_height))
            return;
        box.add({std::max(0.0, own.x0), std::max(0.0, own.y0)});
        box.add({std::min<double>(source_width, own.x1), std::min<double>(source_height, own.y1)});
    }

    const SourceLattice& lattice_;
    const Warp& warp_;
    Window tile_;
    int first_column_, first_row_, columns_, rows_;
    std::vector<Point> nodes_;
    std::vector<std::uint8_t> exact_;
    Box needed_;
};

Grid grid_of_window(const Grid& grid, const Window& window) {
    Grid part = grid;
    const Point origin = grid.map_from_px({window.x * 1.0, window.y * 1.0});
    part.geotransform[0] = origin.x;
    part.geotransform[3] = origin.y;
    part.width = window.width;
    part.height = window.height;
    return part;
}

/// One row of samples as they are; n pixels from source pixel `start` on to out_x of row out_y.
void copy_row(const SourceWindow& samples, Point start, int source_width, int source_height, int n,
              int out_x, int out_y, GridImage& out) {
    const int sy = static_cast<int>(start.y), sx = static_cast<int>(start.x);
    if (sy < 0 || sy >= source_height) return;
    const int begin = std::max(0, -sx), end = std::min(n, source_width - sx);
    if (end <= begin) return;
    const std::size_t from = samples.at(sx + begin, sy);
    const auto count = static_cast<std::size_t>(end - begin);
    std::uint8_t* valid = out.raster.valid.row(out_y) + out_x + begin;
    std::uint8_t* masks = out.masks.row(out_y) + out_x + begin;
    for (std::size_t i = 0; i < count; ++i) {
        const bool ok = samples.valid[from + i] != 0;
        valid[i] = ok;
        masks[i] = !ok ? kNoData : samples.saturated[from + i] != 0 ? kSaturated : 0;
    }
    for (std::size_t b = 0; b < samples.bands.size(); ++b) {
        const float* in = samples.bands[b] + from;
        float* to = out.raster.bands[b].row(out_y) + out_x + begin;
        for (std::size_t i = 0; i < count; ++i) to[i] = valid[i] != 0 ? in[i] : 0.0F;
    }
}

Box warped_box(const Grid& grid, const Warp& warp) {
    Box box;
    const int across = std::max(1, grid.width / 16), down = std::max(1, grid.height / 16);
    for (int j = 0; j <= down; ++j)
        for (int i = 0; i <= across; ++i)
            box.add(warp({static_cast<double>(grid.width) * i / across,
                          static_cast<double>(grid.height) * j / down}));
    return box;
}

}  // namespace

struct GridReader::Impl {
    SceneInfo info;
    Grid grid;
    Warp warp;
    GeorefOptions options;
    Source source;
    std::unique_ptr<Georeference> georeference;
    std::unique_ptr<SourceLattice> lattice;
    SourceWindow samples;
    double ratio_x = 1, ratio_y = 1;  // source pixels per grid pixel, at the middle of the grid
};

void hold_decoded(std::size_t bytes) { GDALSetCacheMax64(static_cast<GIntBig>(bytes)); }

std::size_t GridReader::row_of_blocks_bytes() const {
    int across = 0, down = 0;
    std::size_t bytes = 0;
    for (const int b : impl_->source.bands.data) {
        GDALRasterBand& band = *impl_->source.image->GetRasterBand(b);
        band.GetBlockSize(&across, &down);
        bytes += static_cast<std::size_t>(GDALGetDataTypeSizeBytes(band.GetRasterDataType())) *
                 static_cast<std::size_t>((impl_->source.width + across - 1) / across * across) *
                 static_cast<std::size_t>(down);
    }
    return bytes;
}

SampleType GridReader::sample_type() const {
    const Source& source = impl_->source;
    bool bytes = true, words = true;
    for (std::size_t b = 0; b < source.bands.data.size(); ++b) {
        const GDALDataType type =
            source.image->GetRasterBand(source.bands.data[b])->GetRasterDataType();
        const bool plain = source.scale[b] == 1 && source.offset[b] == 0;
        bytes = bytes && plain && type == GDT_Byte;
        words = words && plain && (type == GDT_Byte || type == GDT_UInt16);
    }
    return bytes ? SampleType::u8 : words ? SampleType::u16 : SampleType::f32;
}

int GridReader::band_count() const { return static_cast<int>(impl_->source.bands.data.size()); }

GridReader::~GridReader() = default;
GridReader::GridReader(GridReader&&) noexcept = default;

GridReader::GridReader(const SceneInfo& info, const Grid& grid, const Warp& warp,
                       const GeorefOptions& options, Decoding decoding)
    : impl_(std::make_unique<Impl>()) {
    Impl& i = *impl_;
    i.info = info;
    i.grid = grid;
    i.options = options;
    i.source = open_source(info.path, decoding == Decoding::on_all_threads
                                          ? tbb::this_task_arena::max_concurrency()
                                          : 1);
    i.georeference = std::make_unique<Georeference>(info.path, *i.source.image, options);
    if (i.source.bands.data.empty())
        throw DataError(info.path, "it has no data band, only transparency");
    register_by(warp);
}

void GridReader::register_by(const Warp& warp) {
    Impl& i = *impl_;
    const SceneInfo& info = i.info;
    const Grid& grid = i.grid;
    i.warp = warp;
    const Box box = warped_box(grid, warp);
    if (!(box.x1 >= box.x0)) throw DataError(info.path, "its registration leads nowhere");
    i.lattice = std::make_unique<SourceLattice>(*i.georeference, grid, box.x0 - 2, box.y0 - 2,
                                                box.x1 + 2, box.y1 + 2, 0.01);
    const SourceLattice& lattice = *i.lattice;
    const Point middle{0.5 * grid.width, 0.5 * grid.height};
    const Point centre = lattice(warp(middle)), east = lattice(warp({middle.x + 1, middle.y})),
                south = lattice(warp({middle.x, middle.y + 1}));
    i.ratio_x = std::hypot(east.x - centre.x, south.x - centre.x);
    i.ratio_y = std::hypot(east.y - centre.y, south.y - centre.y);
    const double ratio = std::max(i.ratio_x, i.ratio_y);
    if (!std::isfinite(ratio)) throw DataError(info.path, "the image lies outside the area");
    if (ratio > kMaxRatio)
        throw DataError(info.path,
                        fmt::format("its pixels are {:.0f} times finer than the grid's", ratio),
                        "choose a finer grid (--observe.gsd_m)");
}

GridImage GridReader::read(const Window& window) {
    GridImage out;
    read(window, out);
    return out;
}

void GridReader::read(const Window& window, GridImage& out) {
    const SceneInfo& info = impl_->info;
    const Source& source = impl_->source;
    const SourceLattice& lattice = *impl_->lattice;
    const Warp& warp = impl_->warp;
    const double ratio_x = impl_->ratio_x, ratio_y = impl_->ratio_y,
                 ratio = std::max(ratio_x, ratio_y);
    const std::size_t band_count = source.bands.data.size();
    const Grid grid = grid_of_window(impl_->grid, window);
    const bool widen = ratio > kWidenFrom;
    const double wide_x = widen ? std::max(1.0, ratio_x) : 1.0,
                 wide_y = widen ? std::max(1.0, ratio_y) : 1.0;
    const int reach = static_cast<int>(std::ceil(2 * std::max(wide_x, wide_y))) + 2;

    out.raster.grid = grid;
    out.raster.roles = info.roles;
    out.raster.roles.resize(band_count, BandRole::other);
    const auto fit = [&](auto& plane) {
        if (plane.width() != grid.width || plane.height() != grid.height)
            plane = std::remove_reference_t<decltype(plane)>(grid.width, grid.height);
    };
    fit(out.raster.valid);
    fit(out.masks);
    out.raster.bands.resize(band_count);
    for (Plane& band : out.raster.bands) fit(band);
    out.mask_given = false;
    // Rows are cleared just before they are written: then they are still in the cache.
    const auto clear_row = [&](int y, int x, int n) {
        std::fill_n(out.raster.valid.row(y) + x, n, std::uint8_t{0});
        std::fill_n(out.masks.row(y) + x, n, std::uint8_t{kNoData});
        for (Plane& band : out.raster.bands) std::fill_n(band.row(y) + x, n, 0.0F);
    };

    // Strips of whole rows where they fit, so that the source is read from top to bottom once.
    const double per_row =
        (ratio * grid.width + 2 * reach) * ratio * static_cast<double>(band_count);
    int strip_h = std::clamp(
        static_cast<int>(kMaxWindowSamples / std::max(1.0, per_row)) - 2 * reach, 0, 1024);
    int strip_w = grid.width;
    if (strip_h < 64) {
        strip_h = 256;
        strip_w =
            std::max(32, static_cast<int>(kMaxWindowSamples / static_cast<double>(band_count) /
                                          (ratio * ratio) / strip_h));
    }
    bool any = false;
    for (int ty = 0; ty < grid.height; ty += strip_h)
        for (int tx = 0; tx < grid.width; tx += strip_w) {
            throw_if_cancelled();
            const Window tile = intersect({window.x + tx, window.y + ty, strip_w, strip_h}, window);
            const std::size_t columns = static_cast<std::size_t>(tile.width);
            const SourcePlaces places(lattice, warp, tile, source.width, source.height);
            const Box& needed = places.needed();
            if (!(needed.x1 >= needed.x0)) {
                for (int y = 0; y < tile.height; ++y)
                    clear_row(tile.y + y - window.y, tile.x - window.x, tile.width);
                continue;
            }
            any = true;
            const int wx = std::max(0, static_cast<int>(needed.x0) - reach),
                      wy = std::max(0, static_cast<int>(needed.y0) - reach);
            const Window w{wx, wy,
                           std::min(source.width, static_cast<int>(needed.x1) + reach + 1) - wx,
                           std::min(source.height, static_cast<int>(needed.y1) + reach + 1) - wy};
            // A warp that is not the one a registration finds could spread a strip over the whole
            // source.
            if (static_cast<double>(w.width) * w.height * static_cast<double>(band_count) >
                8 * kMaxWindowSamples)
                throw DataError(info.path,
                                "the image is turned or stretched too much against the grid",
                                "project it first (gdalwarp)");
            SourceWindow& samples = impl_->samples;
            read_window(info.path, source, w, samples);
            const std::size_t stride = static_cast<std::size_t>(w.width);

            parallel_rows(tile.height, [&](int y0, int y1) {
                std::vector<Point> row_places(columns);
                std::vector<float> values(band_count), fx(columns), fy(columns), result(columns);
                std::vector<std::int32_t> first(columns);
                std::vector<int> target(columns);
                // By value: bytes are written below, and might be anybody's.
                const Window held = w;
                const double across = source.width, down = source.height;
                const std::uint8_t *whole = samples.whole.data(),
                                   *saturated = samples.saturated.data();
                const int shift = tile.x - window.x;
                const std::size_t row_length = stride;
                for (int y = y0; y < y1; ++y) {
                    std::size_t sampled = 0;
                    const int out_y = tile.y + y - window.y;
                    clear_row(out_y, shift, tile.width);
                    std::uint8_t* valid = out.raster.valid.row(out_y);
                    std::uint8_t* masks = out.masks.row(out_y);
                    if (const std::optional<Point> start =
                            widen ? std::nullopt : places.whole_pixels(y)) {
                        copy_row(samples, *start, source.width, source.height, tile.width,
                                 tile.x - window.x, out_y, out);
                        continue;
                    }
                    places.row(y, row_places.data());
                    for (int x = 0; x < tile.width; ++x) {
                        const Point p = row_places[static_cast<std::size_t>(x)];
                        if (!(p.x >= 0 && p.y >= 0 && p.x < across && p.y < down)) continue;
                        // Not negative: truncating p + .5 is the floor of p − .5, plus 1.
                        const int ix = static_cast<int>(p.x + 0.5) - 1,
                                  iy = static_cast<int>(p.y + 0.5) - 1;
                        const int cx = ix - 1 - held.x, cy = iy - 1 - held.y;
                        const std::size_t corner = static_cast<std::size_t>(cy) * row_length +
                                                   static_cast<std::size_t>(cx);
                        if (!widen && cx >= 0 && cy >= 0 && cx + 3 < held.width &&
                            cy + 3 < held.height && whole[corner] != 0) {
                            first[sampled] = static_cast<std::int32_t>(corner);
                            fx[sampled] = static_cast<float>(p.x - 0.5 - ix);
                            fy[sampled] = static_cast<float>(p.y - 0.5 - iy);
                            target[sampled++] = shift + x;
                            valid[shift + x] = 1;
                            const std::size_t nearest =
                                static_cast<std::size_t>(static_cast<int>(p.y) - held.y) *
                                    row_length +
                                static_cast<std::size_t>(static_cast<int>(p.x) - held.x);
                            masks[shift + x] = saturated[nearest] != 0 ? kSaturated : 0;
                            continue;
                        }
                        const std::size_t nearest =
                            samples.at(static_cast<int>(p.x), static_cast<int>(p.y));
                        if (samples.valid[nearest] == 0) continue;
                        if (widen) {
                            if (!sample_widened(samples, p, wide_x, wide_y, values)) continue;
                        } else {
                            sample_border(samples, p, values);
                        }
                        const int gx = shift + x;
                        for (std::size_t b = 0; b < band_count; ++b)
                            out.raster.bands[b].row(out_y)[gx] = values[b];
                        valid[gx] = 1;
                        masks[gx] = samples.saturated[nearest] != 0 ? kSaturated : 0;
                    }
                    if (sampled == 0) continue;
                    // Mostly one run: then it is written where it belongs.
                    const int run = target[sampled - 1] - target[0] + 1;
                    const bool whole_run = static_cast<std::size_t>(run) == sampled;
                    for (std::size_t b = 0; b < band_count; ++b) {
                        float* row = out.raster.bands[b].row(out_y);
                        float* to = whole_run ? row + target[0] : result.data();
                        kernels::cubic_sample(samples.bands[b], stride, first.data(), fx.data(),
                                              fy.data(), sampled, to);
                        if (!whole_run)
                            for (std::size_t k = 0; k < sampled; ++k) row[target[k]] = result[k];
                    }
                }
            });
        }
    // A strip may well lie outside; the whole grid may not.
    if (!any && grid.width == impl_->grid.width && grid.height == impl_->grid.height)
        throw DataError(info.path, "the image lies outside the area");
    if (!info.mask_path.empty()) {
        add_given_mask(info.mask_path, info.mask_kind, warp, {window.x * 1.0, window.y * 1.0},
                       impl_->options, out);
        out.mask_given = true;
    }
}

GridImage read_on_grid(const SceneInfo& info, const Grid& grid, const Warp& warp,
                       const GeorefOptions& options) {
    return GridReader(info, grid, warp, options).read({0, 0, grid.width, grid.height});
}

std::string sha256_of_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) throw DataError(path, "cannot be opened");
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                          &EVP_MD_CTX_free);
    if (!context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1)
        throw DataError(path, "SHA-256 is not available in this OpenSSL");
    std::vector<char> buffer(1U << 20);
    while (in) {
        throw_if_cancelled();
        in.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
        EVP_DigestUpdate(context.get(), buffer.data(), static_cast<std::size_t>(in.gcount()));
    }
    if (!in.eof()) throw DataError(path, "cannot be read to its end");
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int length = 0;
    EVP_DigestFinal_ex(context.get(), digest.data(), &length);
    std::string hex;
    for (unsigned int i = 0; i < length; ++i) hex += fmt::format("{:02x}", digest[i]);
    return hex;
}

}  // namespace fenceline
