// Every kernel beside its reference and beside what this machine can do at most (roofline:
// Williams, Waterman & Patterson 2009): the stream triad of the same working set for bytes, fused
// multiply-adds in registers for operations. Medians of the repetitions, one thread.
//   ./dev bench kernels [--benchmark_filter=… --benchmark_min_time=… --benchmark_repetitions=…]
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <hwy/targets.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "benchmarks/machine_limits.h"
#include "kernels/bands.h"
#include "kernels/cells.h"
#include "kernels/chi_square.h"
#include "kernels/cubic.h"
#include "kernels/labels.h"
#include "kernels/line_opening.h"
#include "kernels/line_path.h"
#include "kernels/line_support.h"
#include "kernels/linear.h"
#include "kernels/moments.h"
#include "kernels/neighbourhood.h"
#include "kernels/orientation.h"
#include "kernels/patch_net.h"
#include "kernels/structure.h"
#include "kernels/window_spectrum.h"

namespace fenceline {
namespace {

constexpr std::size_t kRow = 2048;         // a tile's row: everything stays in the nearest caches
constexpr std::size_t kStream = 4U << 20;  // longer than any cache
constexpr std::size_t kMargin = 16;        // readable on both sides of a row
constexpr std::size_t kImage = 512;        // side, for kernels that need an image
constexpr const char* kTriad = "triad";    // limits, and where the table finds them
constexpr const char* kBurst = "multiply-add";

/// What one call of a kernel costs at the least, per pixel that it makes: every input and output
/// touched once, whatever an implementation reads again; additions, multiplications, comparisons.
struct Cost {
    double bytes, operations;
};

/// A body that works on n pixels.
using Body = std::function<void(std::size_t n)>;

struct Subject {
    std::string kernel;
    Cost cost;
    Body fast, reference;
    bool streams = true;     ///< also measured on rows longer than the caches
    std::size_t pixels = 0;  ///< of one call; 0: as many as it is told
};

/// Rows of noise, long enough for everything; made once.
class Rows {
  public:
    Rows() : rows_(12, std::vector<float>(kStream + 4 * kMargin)) {
        std::mt19937 random(1);
        std::uniform_real_distribution<float> value(1, 200);
        for (auto& row : rows_)
            for (float& v : row) v = value(random);
        for (std::size_t i = 0; i < rows_.size(); ++i) pointers_[i] = rows_[i].data() + kMargin;
    }
    float* operator[](std::size_t i) { return rows_[i].data() + kMargin; }
    const float* const* from(std::size_t i) const { return pointers_.data() + i; }

  private:
    std::vector<std::vector<float>> rows_;
    std::array<const float*, 12> pointers_{};
};

std::vector<Subject> subjects(Rows& in, Rows& out) {
    namespace k = kernels;
    namespace r = kernels::reference;
    static const std::array<float, 4> weights{0.3F, -2, 1.5F, 0.01F};
    static std::vector<std::uint8_t> valid(kStream, 1);
    static std::vector<float> scratch(4 * (kStream + 6));
    static std::vector<std::int8_t> choice(kStream);
    static std::array<double, k::moment_count(4)> moments{};
    static std::array<float*, 4> channels{};
    for (std::size_t c = 0; c < 4; ++c) channels[c] = out[c];
    static std::vector<std::int32_t> corner(kRow);
    static std::vector<float> fx(kRow, 0.3F), fy(kRow, 0.6F);
    for (std::size_t i = 0; i < kRow; ++i)  // a slanted line through the image, as warps read it
        corner[i] = static_cast<std::int32_t>((i / 8) * kImage % (kImage * (kImage - 4)) +
                                              i % (kImage - 4));
    static const k::DigitalLine line{0.4, 15, 0};
    static k::LineOpeningWork work;
    constexpr int side = static_cast<int>(kImage);

    std::vector<Subject> all;
    const auto add = [&](std::string name, Cost cost, Body fast, Body reference,
                         bool streams = true) {
        all.push_back({std::move(name), cost, std::move(fast), std::move(reference), streams});
    };
    add(
        "scale_offset", {9, 2},
        [&](std::size_t n) { k::scale_offset(in[0], valid.data(), n, 1.7F, -3, out[0]); },
        [&](std::size_t n) { r::scale_offset(in[0], valid.data(), n, 1.7F, -3, out[0]); });
    add(
        "combine_bands, 4 bands", {20, 8},
        [&](std::size_t n) { k::combine_bands(in.from(0), 4, weights.data(), 0.5F, n, out[0]); },
        [&](std::size_t n) { r::combine_bands(in.from(0), 4, weights.data(), 0.5F, n, out[0]); });
    add(
        "block_average, 3 x 3", {40.0 / 3, 3},  // n counts what is read
        [&](std::size_t n) { k::block_average(in.from(0), 3, n / 3, out[0]); },
        [&](std::size_t n) { r::block_average(in.from(0), 3, n / 3, out[0]); });
    add(
        "weighted_moments, 4 channels", {20, 29},
        [&](std::size_t n) { k::weighted_moments(in.from(0), 4, in[4], n, moments.data()); },
        [&](std::size_t n) { r::weighted_moments(in.from(0), 4, in[4], n, moments.data()); });
    static const std::array<float, 48> squares{0.1F, 0.2F, -0.3F};
    static std::array<double, k::moment_count(8)> many_moments{};
    add(
        "weighted_moments, 8 channels", {36, 89},  // the covariance of two images of 4 bands
        [&](std::size_t n) { k::weighted_moments(in.from(0), 8, in[8], n, many_moments.data()); },
        [&](std::size_t n) { r::weighted_moments(in.from(0), 8, in[8], n, many_moments.data()); });
    add(
        "squared_variates, 4 of 8", {36, 72},
        [&](std::size_t n) {
            k::squared_variates(in.from(0), 8, squares.data(), squares.data(), 4, n, out[0]);
        },
        [&](std::size_t n) {
            r::squared_variates(in.from(0), 8, squares.data(), squares.data(), 4, n, out[0]);
        });
    add(
        "chi_square_survival, 4", {8, 20},
        [&](std::size_t n) { k::chi_square_survival(in[0], n, 4, out[0]); },
        [&](std::size_t n) { r::chi_square_survival(in[0], n, 4, out[0]); });
    add(
        "log_compress", {8, 20}, [&](std::size_t n) { k::log_compress(in[0], n, 1, 5, out[0]); },
        [&](std::size_t n) { r::log_compress(in[0], n, 1, 5, out[0]); });
    add(
        "squash", {8, 20}, [&](std::size_t n) { k::squash(in[0], n, 6, out[0]); },
        [&](std::size_t n) { r::squash(in[0], n, 6, out[0]); });
    add(
        "keep_best_match", {20, 6},
        [&](std::size_t n) { k::keep_best_match(in[0], 0.1F, in[1], in[2], n, out[0]); },
        [&](std::size_t n) { r::keep_best_match(in[0], 0.1F, in[1], in[2], n, out[0]); });
    static std::vector<std::int16_t> steps(kStream);
    static std::vector<std::uint8_t> skip(kStream, 0), level(kStream), speckle(kStream);
    static std::vector<std::int32_t> edges(kStream + 1);
    for (std::size_t i = 0; i < kStream; ++i) {
        steps[i] =
            static_cast<std::int16_t>(static_cast<int>(i * 2654435761U >> 16U & 65535U) - 32768);
        speckle[i] = i % 97 < 5;  // a run in every hundred pixels
    }
    add(
        "two_levels", {4, 3},
        [&](std::size_t n) { k::two_levels(steps.data(), skip.data(), n, 0, 900, level.data()); },
        [&](std::size_t n) { r::two_levels(steps.data(), skip.data(), n, 0, 900, level.data()); });
    add(
        "find_runs", {1, 1}, [&](std::size_t n) { k::find_runs(speckle.data(), n, edges.data()); },
        [&](std::size_t n) { r::find_runs(speckle.data(), n, edges.data()); });
    add(
        "label runs, 512 x 512", {1, 1},
        [&](std::size_t) {
            k::RunComponents labels;
            for (int y = 0; y < side; ++y)
                labels.add_row(y, edges.data(),
                               k::find_runs(speckle.data() + y * side, kImage, edges.data()));
        },
        [&](std::size_t) { r::label_components(speckle.data(), side, side, edges.data()); }, false);
    all.back().pixels = kImage * kImage;
    add(
        "tolerant_difference, radius 1", {28, 22},
        [&](std::size_t n) {
            k::tolerant_difference(in.from(0), in.from(3), 1, n, scratch.data(), out[0]);
        },
        [&](std::size_t n) {
            r::tolerant_difference(in.from(0), in.from(3), 1, n, scratch.data(), out[0]);
        });
    add(
        "minimum", {12, 1}, [&](std::size_t n) { k::minimum(in[0], in[1], n, out[0]); },
        [&](std::size_t n) { r::minimum(in[0], in[1], n, out[0]); });
    add(
        "maximum", {12, 1}, [&](std::size_t n) { k::maximum(in[0], in[1], n, out[0]); },
        [&](std::size_t n) { r::maximum(in[0], in[1], n, out[0]); });
    add(
        "sum_rows, 7 rows", {32, 6}, [&](std::size_t n) { k::sum_rows(in.from(0), 7, n, out[0]); },
        [&](std::size_t n) { r::sum_rows(in.from(0), 7, n, out[0]); });
    add(
        "sliding_sum, 15 wide", {8, 14},
        [&](std::size_t n) { k::sliding_sum(in[0], 15, n, out[0]); },
        [&](std::size_t n) { r::sliding_sum(in[0], 15, n, out[0]); });
    add(
        "orientation_harmonics", {28, 26},
        [&](std::size_t n) {
            k::orientation_harmonics(in[0], in[1], in[2], 2, n, channels.data());
        },
        [&](std::size_t n) {
            r::orientation_harmonics(in[0], in[1], in[2], 2, n, channels.data());
        });
    add(
        "channel_product, 4 channels", {36, 8},
        [&](std::size_t n) { k::channel_product(in.from(0), in.from(4), 4, n, out[0]); },
        [&](std::size_t n) { r::channel_product(in.from(0), in.from(4), 4, n, out[0]); });
    add(
        "orientation_row", {20, 26},
        [&](std::size_t n) { k::orientation_row(in[0], in[1], in[2], n, 4, out[0], out[1]); },
        [&](std::size_t n) { r::orientation_row(in[0], in[1], in[2], n, 4, out[0], out[1]); });
    add(
        "path_step", {13, 6},
        [&](std::size_t n) { k::path_step(in[0], in[1], n, 1, out[0], choice.data()); },
        [&](std::size_t n) { r::path_step(in[0], in[1], n, 1, out[0], choice.data()); });
    static k::LineRows line_rows;
    line_rows.above = in[0];
    line_rows.here = in[1];
    line_rows.below = in[2];
    for (std::size_t m = 0; m < k::kLineMeans; ++m) {
        line_rows.upto[m] = in[m % 6 + 3];
        line_rows.before[m] = in[m % 5 + 2];
        line_rows.per_row[m] = 0.2F;
    }
    line_rows.seen_upto = in[9];
    line_rows.seen_before = in[10];
    line_rows.sun = in[11];
    static std::array<float*, k::kLineFeatures> features{};
    for (std::size_t f = 0; f < features.size(); ++f) features[f] = out[f];
    add(
        "line_features", {80, 60},
        [&](std::size_t n) { k::line_features(line_rows, k::kLineFeatures, n, features.data()); },
        [&](std::size_t n) { r::line_features(line_rows, k::kLineFeatures, n, features.data()); });
    static std::vector<const float*> stretches;
    for (std::size_t i = 0; i < 9 * k::kLineFeatures; ++i) stretches.push_back(in[i % 12] + i / 12);
    static const k::LineWeights line_weights{1, 1, 1, 0.6F, 0.6F, 0.4F, 2.4F, 1.7F, 2, 2.7F, 0.9F};
    add(
        "raise_line_support, 9 places", {44, 110},
        [&](std::size_t n) {
            k::raise_line_support(stretches.data(), 9, n, line_weights, out[8], out[9]);
        },
        [&](std::size_t n) {
            r::raise_line_support(stretches.data(), 9, n, line_weights, out[8], out[9]);
        });
    add(
        "cubic_sample", {80, 68},
        [&](std::size_t n) {
            k::cubic_sample(in[0], kImage, corner.data(), fx.data(), fy.data(), n, out[0]);
        },
        [&](std::size_t n) {
            r::cubic_sample(in[0], kImage, corner.data(), fx.data(), fy.data(), n, out[0]);
        },
        false);
    static const k::CellRow turned{3.3, 4.1, 0.9, 0.31, -0.31, 0.9, 2};
    add(
        "colour_cell_row, 2 x 2 samples", {204, 150},
        [&](std::size_t) {
            k::colour_cell_row(in[0], in[1], in[2], kImage, side, side, turned, 90, out[0], out[1],
                               out[2]);
        },
        [&](std::size_t) {
            r::colour_cell_row(in[0], in[1], in[2], kImage, side, side, turned, 90, out[0], out[1],
                               out[2]);
        },
        false);
    all.back().pixels = 90;
    add(
        "line_opening, 15 long", {8, 6},
        [&](std::size_t) {
            k::line_opening(in[0], kImage, side, side, line, out[0], kImage, work);
        },
        [&](std::size_t) { r::line_opening(in[0], kImage, side, side, line, out[0], kImage); },
        false);
    all.back().pixels = kImage * kImage;
    // Convolutions of 3 → 16 → 32 → 32 → 32 channels, each at its own share of the pixels.
    static const std::vector<float> net_weights(32768, 0.01F);
    const float* w = net_weights.data();
    static const k::PatchNet net{3, 7, w, w, w, w, w, w, w, w, w, w};
    static k::PatchNetWork net_work;
    add(
        "patch_net", {14, 6400},
        [&](std::size_t) { k::patch_net(net, in[0], 90, 90, out[0], net_work); },
        [&](std::size_t) { r::patch_net(net, in[0], 90, 90, out[0]); }, false);
    all.back().pixels = 90 * 90;
    static std::vector<float> ones(kStream, 1), c(kStream, 1), s(kStream, 1);
    static std::array<double, 6> sums{};
    add(
        "half_whitened_row", {32, 16},
        [&](std::size_t n) {
            k::half_whitened_row(in[0], in[1], out[0], out[1], ones.data(), 1, n);
        },
        [&](std::size_t n) {
            r::half_whitened_row(in[0], in[1], out[0], out[1], ones.data(), 1, n);
        });
    add(
        "phased_row_sums", {20, 16},
        [&](std::size_t n) {
            k::phased_row_sums(in[0], in[1], in[2], in[3], in[4], n, sums.data());
        },
        [&](std::size_t n) {
            r::phased_row_sums(in[0], in[1], in[2], in[3], in[4], n, sums.data());
        });
    add(
        "masked_row_sums", {21, 6},
        [&](std::size_t n) {
            k::masked_row_sums(c.data(), s.data(), valid.data(), ones.data(), 1, n, sums.data());
        },
        [&](std::size_t n) {
            r::masked_row_sums(c.data(), s.data(), valid.data(), ones.data(), 1, n, sums.data());
        });
    add(
        "tapered_row", {21, 5},
        [&](std::size_t n) {
            k::tapered_row(c.data(), s.data(), valid.data(), ones.data(), 1, 0, 0, n);
        },
        [&](std::size_t n) {
            r::tapered_row(c.data(), s.data(), valid.data(), ones.data(), 1, 0, 0, n);
        });
    constexpr std::size_t window = 32, area = window * window;
    static std::vector<float> re(area, 0), im(area, 0), work_area(2 * area);  // zeros stay zeros
    add(
        "dft2, 32 x 32", {16, 5.0 * 10},  // 5 log2(pixels): Cooley & Tukey 1965
        [&](std::size_t) { k::dft2(re.data(), im.data(), window, work_area.data()); },
        [&](std::size_t) { r::dft2(re.data(), im.data(), window); }, false);
    all.back().pixels = area;
    return all;
}

/// Medians by name, nanoseconds per call, collected beside the usual console output.
class Medians : public benchmark::ConsoleReporter {
  public:
    Medians() : ConsoleReporter(OO_Tabular) {}
    void ReportRuns(const std::vector<Run>& runs) override {
        for (const Run& run : runs)
            if (run.run_type == Run::RT_Aggregate && run.aggregate_name == "median")
                ns_[run.run_name.function_name] = run.GetAdjustedCPUTime();
        ConsoleReporter::ReportRuns(runs);
    }
    /// 0 when it was not measured.
    double operator()(const std::string& name) const {
        const auto found = ns_.find(name);
        return found == ns_.end() ? 0 : found->second;
    }

  private:
    std::map<std::string, double> ns_;
};

std::string name_of(const std::string& kernel, const char* version, std::size_t n) {
    return fmt::format("{}/{}/{}", kernel, version, n == kRow ? "row" : "stream");
}

void measure(const std::string& name, const Body& body, std::size_t n) {
    benchmark::RegisterBenchmark(name.c_str(), [body, n](benchmark::State& state) {
        for ([[maybe_unused]] auto step : state) {
            body(n);
            benchmark::ClobberMemory();
        }
    });
}

void print_table(const std::vector<Subject>& all, const Medians& ns, double burst_operations) {
    const double peak = burst_operations / ns(kBurst);  // per ns: 1e9 a second
    std::array<double, 2> bandwidth{};
    fmt::print("\nInstruction set {}. Limits of this run: multiply-add {:.1f} GFLOP/s",
               hwy::TargetName(hwy::SupportedTargets() & (~hwy::SupportedTargets() + 1)), peak);
    for (const std::size_t n : {kRow, kStream}) {
        double& b = bandwidth[n == kRow ? 0 : 1];
        b = 12.0 * static_cast<double>(n) / ns(name_of(kTriad, "fast", n));
        fmt::print(", triad {:.1f} GB/s ({} pixels)", b, n);
    }
    fmt::print(
        "\n\n| kernel | pixels | ns/pixel | GB/s | GFLOP/s | share of the nearer limit | times the "
        "reference |\n|---|---|---|---|---|---|---|\n");
    for (const Subject& s : all)
        for (const std::size_t n : {kRow, kStream}) {
            const double fast = ns(name_of(s.kernel, "fast", n));
            if (fast <= 0) continue;
            const double pixels = static_cast<double>(s.pixels > 0 ? s.pixels : n);
            const double gb = s.cost.bytes * pixels / fast,
                         gflop = s.cost.operations * pixels / fast;
            const double of_bytes = gb / bandwidth[n == kRow ? 0 : 1], of_flops = gflop / peak;
            const double slow = ns(name_of(s.kernel, "reference", n));
            fmt::print("| {} | {} | {:.3f} | {:.1f} | {:.1f} | {:.0f} % of {} | {} |\n", s.kernel,
                       s.pixels > 0 ? s.pixels : n, fast / pixels, gb, gflop,
                       100 * std::max(of_bytes, of_flops),
                       of_bytes > of_flops ? "triad" : "multiply-add",
                       slow > 0 ? fmt::format("{:.1f}", slow / fast) : "–");
        }
}

int run(int argc, char** argv) {
    std::vector<char*> arguments(argv, argv + argc);
    std::string repetitions = "--benchmark_repetitions=5",
                aggregates = "--benchmark_report_aggregates_only=true",
                time = "--benchmark_min_time=0.05";
    // The user's own come later and win.
    for (std::string* word : {&time, &aggregates, &repetitions})
        arguments.insert(arguments.begin() + 1, word->data());
    int count = static_cast<int>(arguments.size());
    benchmark::Initialize(&count, arguments.data());
    if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;

    Rows in, out;
    float sink = 0;
    constexpr std::size_t rounds = 4096;
    const double burst_operations = multiply_add_burst(rounds, &sink);
    measure(
        kBurst, [&](std::size_t n) { multiply_add_burst(n, &sink); }, rounds);
    for (const std::size_t n : {kRow, kStream})
        measure(
            name_of(kTriad, "fast", n),
            [&](std::size_t pixels) { triad(in[0], in[1], 0.5F, pixels, out[0]); }, n);
    const std::vector<Subject> all = subjects(in, out);
    for (const Subject& s : all) {
        measure(name_of(s.kernel, "fast", kRow), s.fast, kRow);
        measure(name_of(s.kernel, "reference", kRow), s.reference, kRow);
        if (s.streams) measure(name_of(s.kernel, "fast", kStream), s.fast, kStream);
    }
    Medians medians;
    benchmark::RunSpecifiedBenchmarks(&medians);
    print_table(all, medians, burst_operations);
    return 0;
}

}  // namespace
}  // namespace fenceline

int main(int argc, char** argv) { return fenceline::run(argc, argv); }
