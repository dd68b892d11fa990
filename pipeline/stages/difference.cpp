#include "stages/difference.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <opencv2/imgproc.hpp>

#include "core/parallel.h"
#include "kernels/bands.h"
#include "kernels/labels.h"
#include "stages/difference_evidence.h"
#include "stages/difference_threshold.h"
#include "stages/difference_weights.h"

namespace fenceline {
namespace {
constexpr std::size_t kFewestPixels = 200;
}

const char* name_of(Evidence evidence) {
    constexpr std::array<const char*, kEvidenceCount> names{
        "constant",   "radiometric",  "structural",  "radiometric x structural",
        "index, new", "index gained", "spot gained", "edges gained",
        "brighter",   "luminance",    "greyer",      "less green",
        "shadow",     "shade gone",   "shade came"};
    return evidence < kEvidenceCount ? names[static_cast<std::size_t>(evidence)] : "";
}

std::vector<Plane> change_evidence(const Scene& before, const Scene& after, double sigma_r_px,
                                   const DifferenceOptions& options, bool disappeared) {
    Pair pair;
    if (!bind_pair(before, after, pair) || pair.seen_count < kFewestPixels) return {};
    const PairStatistics statistics =
        pair_statistics(pair, before.info, after.info, before.raster.grid.gsd(), sigma_r_px);
    std::vector<Plane> planes;
    for (int k = 0; k < kEvidenceCount; ++k)
        planes.emplace_back(pair.seen.width(), pair.seen.height());
    for_evidence_rows(pair, statistics, 0, pair.seen.height(), options.tile_px,
                      [&](int x0, int y, int n, const EvidenceRow& row) {
                          const auto& f = disappeared ? row.disappeared : row.appeared;
                          const std::uint8_t* seen = pair.seen.row(y) + x0;
                          for (std::size_t k = 0; k < kEvidenceCount; ++k)
                              for (int x = 0; x < n; ++x)
                                  planes[k].at(x0 + x, y) = seen[x] != 0 ? f[k][x] : 0.0F;
                      });
    return planes;
}

/// What is kept of every pixel until the whole image has been seen: 4 bytes.
struct DifferenceScores {
    int width = 0, height = 0;
    PairStatistics statistics;
    std::string note;
    bool comparable = false;
    std::size_t seen_count = 0;
    std::vector<std::int16_t> score;    ///< log-odds of structural change, in kScoreSteps
    std::vector<std::uint8_t> surface;  ///< radiometric evidence, in kSurfaceSteps
    /// ChangeClass of a structure, and << 4 that of a surface, that the pixel would be; kUnseen
    std::vector<std::uint8_t> likely;

    std::size_t at(int y) const {
        return static_cast<std::size_t>(y) * static_cast<std::size_t>(width);
    }
};

namespace {

constexpr double kScoreSteps = 128, kSurfaceSteps = 50;  // per unit
constexpr std::uint8_t kUnseen = 255;
constexpr int kStrip = 512;  // rows that are closed and labelled at a time

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

/// What a pixel would be if it changed, from its cues alone.
ChangeClass likely_class(float index_gain, float appeared, float disappeared, bool dark) {
    constexpr float kDirection = 1;        // log-odds by which one direction must lead
    constexpr float kClearlyBuilt = 0.4F;  // index gained that no shadow's border reaches
    if (dark && std::abs(index_gain) < kClearlyBuilt) return ChangeClass::illumination;
    if (appeared - disappeared > kDirection) return ChangeClass::appeared;
    if (disappeared - appeared > kDirection) return ChangeClass::disappeared;
    return ChangeClass::modified;
}

ChangeClass surface_class(float less_green, bool dark) {
    if (dark && std::abs(less_green) < 3) return ChangeClass::illumination;
    return std::abs(less_green) >= 3 ? ChangeClass::vegetation : ChangeClass::ground;
}

bool structural(std::uint8_t c) {
    return c == static_cast<std::uint8_t>(ChangeClass::appeared) ||
           c == static_cast<std::uint8_t>(ChangeClass::disappeared) ||
           c == static_cast<std::uint8_t>(ChangeClass::modified);
}

void add_note(std::string& note, const std::string& more) {
    if (!more.empty()) note += (note.empty() ? "" : "; ") + more;
}

/// Counts of all values of seen pixels; value v of Value lies in bin v - lowest.
template <class Value>
std::vector<double> value_counts(const DifferenceScores& s, const std::vector<Value>& values,
                                 int lowest, std::size_t bins) {
    constexpr int kParts = 16;  // whole numbers: their sum does not depend on the order
    std::vector<std::vector<std::uint64_t>> parts(kParts);
    parallel_items(kParts, [&](int part) {
        auto& count = parts[static_cast<std::size_t>(part)];
        count.assign(bins, 0);
        const std::size_t begin = values.size() * static_cast<std::size_t>(part) / kParts,
                          end = values.size() * static_cast<std::size_t>(part + 1) / kParts;
        for (std::size_t i = begin; i < end; ++i)
            if (s.likely[i] != kUnseen)
                ++count[static_cast<std::size_t>(static_cast<int>(values[i]) - lowest)];
    });
    std::vector<double> total(bins, 0.0);
    for (const auto& part : parts)
        for (std::size_t k = 0; k < bins; ++k) total[k] += static_cast<double>(part[k]);
    return total;
}

Histogram histogram(std::vector<double> counts, int lowest, double steps_per_unit) {
    Histogram h;
    h.step = 1 / steps_per_unit;
    h.low = (lowest - 0.5) * h.step;
    h.count = std::move(counts);
    for (const double c : h.count) h.total += c;
    return h;
}

/// The connected regions of level > 0 after a closing by closing_px, as runs with final labels.
/// level_row(y, out): 0, 1, 2 for each pixel of a row.
template <class LevelRow>
kernels::RunLabels label_regions(int width, int height, int closing_px, const LevelRow& level_row) {
    kernels::RunLabels labels;
    std::vector<std::int32_t> edges(static_cast<std::size_t>(width) + 1);
    const int halo = closing_px > 1 ? closing_px : 0;
    const cv::Mat element = cv::getStructuringElement(
        cv::MORPH_ELLIPSE, {std::max(1, closing_px), std::max(1, closing_px)});
    for (int y0 = 0; y0 < height; y0 += kStrip) {
        const int y1 = std::min(height, y0 + kStrip);
        const int top = std::max(0, y0 - halo), bottom = std::min(height, y1 + halo);
        cv::Mat level(bottom - top, width, CV_8U);
        parallel_rows(bottom - top, [&](int a, int b) {
            for (int y = a; y < b; ++y) level_row(top + y, level.ptr<std::uint8_t>(y));
        });
        if (closing_px > 1) cv::morphologyEx(level, level, cv::MORPH_CLOSE, element);
        for (int y = y0; y < y1; ++y) {
            const std::size_t count = kernels::find_runs(
                level.ptr<std::uint8_t>(y - top), static_cast<std::size_t>(width), edges.data());
            if (count > 0) labels.add_row(y, edges.data(), count);
        }
    }
    for (kernels::Run& run : labels.runs()) run.label = labels.root(run.label);
    return labels;
}

Ring outline_of(const std::vector<const kernels::Run*>& runs, const cv::Rect& box) {
    // At twice the size the contour of a pixel's centre becomes its outline: a 1-px object still
    // has an area.
    cv::Mat twice(2 * (box.height + 2), 2 * (box.width + 2), CV_8U, cv::Scalar(0));
    for (const kernels::Run* run : runs)
        for (int k = 0; k < 2; ++k) {
            std::uint8_t* row = twice.ptr<std::uint8_t>(2 * (run->y - box.y + 1) + k);
            std::fill(row + 2 * (run->begin - box.x + 1), row + 2 * (run->end - box.x + 1),
                      std::uint8_t{255});
        }
    std::vector<std::vector<cv::Point>> contours;
    cv::findContours(twice, contours, cv::RETR_EXTERNAL, cv::CHAIN_APPROX_NONE);
    Ring best;
    for (const auto& contour : contours) {
        Ring ring;
        for (const cv::Point& p : contour)
            ring.push_back({box.x - 1 + (p.x + 0.5) / 2, box.y - 1 + (p.y + 0.5) / 2});
        if (ring.size() > best.size()) best = std::move(ring);
    }
    return best.size() >= 3 ? simplify_ring(best, 0.75) : best;
}

struct Region {
    int x0 = INT32_MAX, y0 = INT32_MAX, x1 = -1, y1 = -1;
    std::size_t pixels = 0;
    bool high = false;
    double sum = 0, sx = 0, sy = 0;
    std::array<double, 16> votes{};
};

}  // namespace

std::shared_ptr<DifferenceScores> start_difference(const Scene& before, const Scene& after,
                                                   int width, int height, double sigma_r_px) {
    auto scores = std::make_shared<DifferenceScores>();
    scores->width = std::max(0, width);
    scores->height = std::max(0, height);
    Pair pair;
    if (!bind_pair(before, after, pair)) {
        scores->note = "the scenes share no band";
        return scores;
    }
    if (pair.seen_count < kFewestPixels) {
        scores->note = "hardly any ground is seen in both scenes";
        return scores;
    }
    scores->comparable = true;
    scores->note = pair.bands.note;
    scores->statistics =
        pair_statistics(pair, before.info, after.info, before.raster.grid.gsd(), sigma_r_px);
    if (!scores->statistics.fault.empty())
        add_note(scores->note, "radiometry could not be compared: " + scores->statistics.fault);
    const std::size_t pixels = scores->at(height);
    scores->score.assign(pixels, INT16_MIN);
    scores->surface.assign(pixels, 0);
    scores->likely.assign(pixels, kUnseen);
    return scores;
}

void add_difference_rows(DifferenceScores& scores, const Scene& before, const Scene& after,
                         int first_row, int y0, int y1, const DifferenceOptions& options) {
    if (!scores.comparable) return;
    Pair pair;
    if (!bind_pair(before, after, pair)) return;
    pair.first_row = first_row;
    for (int y = y0; y < y1; ++y) {
        const std::uint8_t* seen = pair.seen.row(y - first_row);
        scores.seen_count +=
            static_cast<std::size_t>(scores.width - std::count(seen, seen + scores.width, 0));
    }
    const bool coarse = scores.statistics.coarse;  // there shadows have no length
    const auto& weights = coarse ? kCoarseWeights : kFineWeights;
    for_evidence_rows(
        pair, scores.statistics, y0, y1, options.tile_px,
        [&](int x0, int y, int n, const EvidenceRow& row) {
            thread_local std::vector<float> appeared, disappeared;
            appeared.resize(static_cast<std::size_t>(n));
            disappeared.resize(static_cast<std::size_t>(n));
            kernels::combine_bands(row.appeared.data(), kEvidenceCount, weights.data(), 0,
                                   appeared.size(), appeared.data());
            kernels::combine_bands(row.disappeared.data(), kEvidenceCount, weights.data(), 0,
                                   appeared.size(), disappeared.data());
            const std::uint8_t* seen = pair.seen.row(y - first_row) + x0;
            const std::size_t at = scores.at(y) + static_cast<std::size_t>(x0);
            std::int16_t* score = scores.score.data() + at;
            std::uint8_t *surface = scores.surface.data() + at, *likely = scores.likely.data() + at;
            const float *radiometric = row.appeared[kRadiometric], *gain = row.appeared[kIndexGain],
                        *green = row.appeared[kLessGreen];
            for (int x = 0; x < n; ++x) {
                if (seen[x] == 0) continue;
                const float a = appeared[static_cast<std::size_t>(x)],
                            d = disappeared[static_cast<std::size_t>(x)];
                const float steps = std::clamp(std::max(a, d) * static_cast<float>(kScoreSteps),
                                               -32767.0F, 32767.0F);
                score[x] = static_cast<std::int16_t>(std::lrint(steps));
                surface[x] = static_cast<std::uint8_t>(std::lrint(
                    std::clamp(radiometric[x] * static_cast<float>(kSurfaceSteps), 0.0F, 255.0F)));
                const bool dark = !coarse && std::abs(row.dark[x]) > 0.3F;
                likely[x] = static_cast<std::uint8_t>(
                    static_cast<unsigned>(likely_class(gain[x], a, d, dark)) |
                    static_cast<unsigned>(surface_class(green[x], dark)) << 4U);
            }
        });
}

namespace {

/// Mean of the scores of the seen pixels within reach, in whole numbers: what changes at 10 m is
/// larger than a pixel, while noise, mixed pixels and what is left of misregistration is not.
std::vector<std::int16_t> smoothed(const DifferenceScores& s, int reach) {
    std::vector<std::int16_t> out(s.score.size(), INT16_MIN);
    parallel_rows(s.height, [&](int y0, int y1) {
        const auto columns = static_cast<std::size_t>(s.width);
        std::vector<std::int64_t> sum(columns + 1), count(columns + 1);
        for (int y = y0; y < y1; ++y) {
            const int top = std::max(0, y - reach), bottom = std::min(s.height, y + reach + 1);
            for (std::size_t x = 0; x < columns; ++x) {
                std::int64_t column = 0, seen = 0;
                for (int v = top; v < bottom; ++v)
                    if (s.likely[s.at(v) + x] != kUnseen) column += s.score[s.at(v) + x], ++seen;
                sum[x + 1] = sum[x] + column;
                count[x + 1] = count[x] + seen;
            }
            for (int x = 0; x < s.width; ++x) {
                if (s.likely[s.at(y) + static_cast<std::size_t>(x)] == kUnseen) continue;
                const auto a = static_cast<std::size_t>(std::max(0, x - reach)),
                           b = static_cast<std::size_t>(std::min(s.width, x + reach + 1));
                out[s.at(y) + static_cast<std::size_t>(x)] =
                    static_cast<std::int16_t>((sum[b] - sum[a]) / (count[b] - count[a]));
            }
        }
    });
    return out;
}

/// Value below which the given share of the histogram lies.
double quantile_of(const Histogram& h, double share) {
    double below = 0;
    for (std::size_t k = 0; k < h.count.size(); ++k) {
        below += h.count[k];
        if (below >= share * h.total) return h.centre(k);
    }
    return h.low + h.step * static_cast<double>(h.count.size());
}

}  // namespace

ChangeMap finish_difference(const DifferenceScores& given, const DifferenceOptions& options) {
    const int coarse_reach = given.comparable && given.statistics.coarse
                                 ? static_cast<int>(kCoarseReach / given.statistics.gsd)
                                 : 0;
    std::shared_ptr<DifferenceScores> smooth;
    if (coarse_reach > 0) {
        smooth = std::make_shared<DifferenceScores>(given);
        smooth->score = smoothed(given, coarse_reach);
    }
    const DifferenceScores& s = smooth ? *smooth : given;
    ChangeMap map;
    map.note = s.note;
    map.change_class =
        Mask(s.width, s.height, static_cast<std::uint8_t>(ChangeClass::not_observed));
    map.probability = Plane(s.width, s.height);
    if (!s.comparable) return map;
    map.radius_px = s.statistics.radius;

    const Histogram scores =
        histogram(value_counts(s, s.score, INT16_MIN, 65536), INT16_MIN, kScoreSteps);
    const Histogram surfaces = histogram(value_counts(s, s.surface, 0, 256), 0, kSurfaceSteps);
    std::tie(map.null_location, map.null_scale) = lower_half_null(scores);
    map.null_scale = std::max(map.null_scale, 0.05);
    const double least = std::log(options.min_probability / (1 - options.min_probability));
    map.threshold = std::max(least, discovery_threshold(scores, map.null_location, map.null_scale,
                                                        options.false_discovery_rate));
    // Probability is 0.5 where the score reaches this.
    double even_score = 0;
    if (s.statistics.coarse) {
        even_score = map.null_location +
                     (coarse_reach > 0 ? kSmoothDeviations : kCoarseDeviations) * map.null_scale;
        if (coarse_reach > 0)
            even_score = std::min(even_score, quantile_of(scores, 1 - kCoarseShare));
        even_score = std::max(even_score, kCoarseLeast);
        map.threshold = even_score + least;
    }
    map.otsu = otsu_threshold(rebinned(scores, 1024));
    map.kittler = kittler_threshold(rebinned(scores, 256));
    map.em = em_threshold(rebinned(scores, 256));
    const auto [surface_location, surface_scale] = lower_half_null(surfaces);
    constexpr double kClearSurface =
        2.3;  // χ²/N of 9: three no-change standard deviations in every variate
    constexpr double kClearestSurface = 5;  // where the evidence saturates: change in any case
    const double surface_threshold =
        std::clamp(discovery_threshold(surfaces, surface_location, std::max(surface_scale, 0.05),
                                       options.false_discovery_rate),
                   kClearSurface, kClearestSurface);
    constexpr double kHysteresis =
        1.0;  // log-odds below the threshold that still belong to an object
    constexpr double kSurfaceHysteresis = 0.3;
    const auto steps = [](double value, double per_unit) {
        return static_cast<std::int16_t>(
            std::clamp(std::ceil(value * per_unit - 1e-9), -32767.0, 32767.0));
    };
    const std::int16_t high = steps(map.threshold, kScoreSteps),
                       low = steps(map.threshold - kHysteresis, kScoreSteps),
                       surface_high = steps(surface_threshold, kSurfaceSteps),
                       surface_low = steps(surface_threshold - kSurfaceHysteresis, kSurfaceSteps);

    // In steps of 1/256: finer ones mean nothing, and make files several times as large.
    std::vector<float> probability(65536);
    for (int k = 0; k < 65536; ++k)
        probability[static_cast<std::size_t>(k)] = static_cast<float>(
            std::round(256 * logistic((k + INT16_MIN) / kScoreSteps - even_score)) / 256);
    constexpr auto kIllumination = static_cast<std::uint8_t>(ChangeClass::illumination);
    parallel_rows(s.height, [&](int y0, int y1) {
        for (int y = y0; y < y1; ++y) {
            const std::int16_t* score = s.score.data() + s.at(y);
            const std::uint8_t* likely = s.likely.data() + s.at(y);
            std::uint8_t* change = map.change_class.row(y);
            float* p = map.probability.row(y);
            for (int x = 0; x < s.width; ++x) {
                if (likely[x] == kUnseen) continue;
                p[x] = probability[static_cast<std::size_t>(score[x] - INT16_MIN)];
                change[x] =
                    (likely[x] & 15) == kIllumination && score[x] >= high ? kIllumination : 0;
            }
        }
    });

    const double pixel_m2 = s.statistics.gsd * s.statistics.gsd;
    const auto collect = [&](kernels::RunLabels& labels, bool is_structure) {
        std::vector<Region> regions(labels.label_count());
        for (const kernels::Run& run : labels.runs()) {
            Region& region = regions[static_cast<std::size_t>(run.label)];
            const std::size_t at = s.at(run.y);
            for (int x = run.begin; x < run.end; ++x) {
                const std::size_t i = at + static_cast<std::size_t>(x);
                const unsigned likely = s.likely[i];
                if (likely == kUnseen) continue;
                region.x0 = std::min(region.x0, x);
                region.y0 = std::min(region.y0, run.y);
                region.x1 = std::max(region.x1, x);
                region.y1 = std::max(region.y1, run.y);
                ++region.pixels;
                region.sx += x + 0.5;
                region.sy += run.y + 0.5;
                const double odds = s.score[i] / kScoreSteps - even_score;
                region.sum += odds;
                region.votes[is_structure ? likely & 15U : likely >> 4U] +=
                    is_structure ? logistic(odds) : 1.0;
                region.high = region.high ||
                              (is_structure ? s.score[i] >= high && (likely & 15U) != kIllumination
                                            : s.surface[i] >= surface_high &&
                                                  !structural(map.change_class.at(x, run.y)));
            }
        }
        const double least_m2 = is_structure ? options.min_object_m2 : options.min_surface_m2;
        std::vector<std::uint8_t> winner(regions.size(), kUnseen);
        for (std::size_t l = 0; l < regions.size(); ++l) {
            const Region& region = regions[l];
            const auto pixels = static_cast<double>(region.pixels);
            if (!region.high || region.pixels < 3 || pixels * pixel_m2 < least_m2) continue;
            if (is_structure && coarse_reach == 0 && region.sum / pixels < least)
                continue;  // a few high pixels in doubtful ground
            winner[l] = static_cast<std::uint8_t>(
                std::max_element(region.votes.begin(), region.votes.end()) - region.votes.begin());
        }
        std::vector<std::vector<const kernels::Run*>> runs_of(regions.size());
        for (const kernels::Run& run : labels.runs()) {
            const auto l = static_cast<std::size_t>(run.label);
            if (winner[l] == kUnseen) continue;
            runs_of[l].push_back(&run);
            std::uint8_t* change = map.change_class.row(run.y);
            for (int x = run.begin; x < run.end; ++x)
                if (change[x] == 0) change[x] = winner[l];
        }
        for (std::size_t l = 0; l < regions.size(); ++l) {
            const auto change = static_cast<ChangeClass>(winner[l]);
            if (winner[l] == kUnseen || change == ChangeClass::illumination ||
                change == ChangeClass::none)
                continue;
            const Region& region = regions[l];
            const auto pixels = static_cast<double>(region.pixels);
            ChangeObject object;
            cv::Rect box{region.x0, region.y0, region.x1 - region.x0 + 1,
                         region.y1 - region.y0 + 1};
            for (const kernels::Run* run : runs_of[l])  // closing may reach over unseen ground
                box |= cv::Rect{run->begin, run->y, run->end - run->begin, 1};
            object.outline_px = outline_of(runs_of[l], box);
            if (object.outline_px.size() < 3) continue;
            object.centre_px = {region.sx / pixels, region.sy / pixels};
            object.area_m2 = pixels * pixel_m2;
            object.change_class = change;
            // For surfaces the structural score says nothing; their own evidence is the distance
            // from its null.
            object.log_odds = is_structure ? region.sum / pixels : 0.5;
            object.probability = logistic(object.log_odds);
            map.objects.push_back(std::move(object));
        }
    };
    const int closing = std::min(2 * static_cast<int>(std::lround(0.5 / s.statistics.gsd)) + 1, 7);
    try {
        kernels::RunLabels structures =
            label_regions(s.width, s.height, closing, [&](int y, std::uint8_t* level) {
                thread_local std::vector<std::uint8_t> skip;
                skip.resize(static_cast<std::size_t>(s.width));
                const std::uint8_t* likely = s.likely.data() + s.at(y);
                for (std::size_t x = 0; x < skip.size(); ++x)
                    skip[x] = likely[x] == kUnseen || (likely[x] & 15) == kIllumination;
                kernels::two_levels(s.score.data() + s.at(y), skip.data(), skip.size(), low, high,
                                    level);
            });
        collect(structures, true);
        const auto surface_level = [&](int y, std::uint8_t* level) {
            const std::uint8_t *surface = s.surface.data() + s.at(y),
                               *likely = s.likely.data() + s.at(y),
                               *change = map.change_class.row(y);
            for (int x = 0; x < s.width; ++x)
                level[x] =
                    likely[x] != kUnseen && surface[x] >= surface_low && !structural(change[x]);
        };
        std::vector<std::size_t> row_counts(static_cast<std::size_t>(s.height), 0);
        parallel_rows(s.height, [&](int y0, int y1) {
            std::vector<std::uint8_t> level(static_cast<std::size_t>(s.width));
            for (int y = y0; y < y1; ++y) {
                surface_level(y, level.data());
                row_counts[static_cast<std::size_t>(y)] = static_cast<std::size_t>(
                    std::count(level.begin(), level.end(), std::uint8_t{1}));
            }
        });
        std::size_t surface_pixels = 0;
        for (const std::size_t count : row_counts) surface_pixels += count;
        const double share = static_cast<double>(surface_pixels) /
                             static_cast<double>(std::max<std::size_t>(1, s.seen_count));
        if (share <= options.max_surface_share) {
            kernels::RunLabels surface = label_regions(s.width, s.height, closing, surface_level);
            collect(surface, false);
        } else {
            add_note(map.note,
                     "most of the surface differs (season, snow or haze): vegetation and ground "
                     "change are not told");
        }
    } catch (const cv::Exception& error) {
        add_note(map.note, std::string("objects could not be formed: ") + error.what());
    }
    std::stable_sort(map.objects.begin(), map.objects.end(),
                     [](const ChangeObject& a, const ChangeObject& b) {
                         if (a.centre_px.y != b.centre_px.y) return a.centre_px.y < b.centre_px.y;
                         if (a.centre_px.x != b.centre_px.x) return a.centre_px.x < b.centre_px.x;
                         return a.area_m2 < b.area_m2;
                     });
    return map;
}

ChangeMap difference(const Scene& before, const Scene& after, double sigma_r_px,
                     const DifferenceOptions& options) {
    const int width = before.raster.grid.width, height = before.raster.grid.height;
    const auto scores = start_difference(before, after, width, height, sigma_r_px);
    add_difference_rows(*scores, before, after, 0, 0, std::max(0, height), options);
    return finish_difference(*scores, options);
}

}  // namespace fenceline
