#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <opencv2/imgproc.hpp>
#include <optional>
#include <tuple>
#include <utility>

#include "core/parallel.h"
#include "kernels/labels.h"
#include "stages/difference_scores.h"
#include "stages/difference_threshold.h"
#include "stages/difference_weights.h"

// From the scores of all pixels to thresholds, regions and objects, strip by strip.

namespace fenceline {
namespace {

constexpr int kStrip = 512;  // rows that are closed and labelled at a time

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

bool structural(std::uint8_t c) {
    return c == static_cast<std::uint8_t>(ChangeClass::appeared) ||
           c == static_cast<std::uint8_t>(ChangeClass::disappeared) ||
           c == static_cast<std::uint8_t>(ChangeClass::modified);
}

void add_note(std::string& note, const std::string& more) {
    if (!more.empty()) note += (note.empty() ? "" : "; ") + more;
}

Histogram histogram(std::vector<double> counts, int lowest, double steps_per_unit) {
    Histogram h;
    h.step = 1 / steps_per_unit;
    h.low = (lowest - 0.5) * h.step;
    h.count = std::move(counts);
    for (const double c : h.count) h.total += c;
    return h;
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

/// Scores become means of those of the seen pixels within reach, in whole numbers: what changes at
/// 10 m is larger than a pixel, while noise, mixed pixels and what is left of misregistration is
/// not.
void smooth_scores(DifferenceScores& s, int reach) {
    ScoreRows rows(s.width, 0, 0);  // as they were, those above included that are averaged already
    for (int y0 = 0; y0 < s.height; y0 += kStrip) {
        const int y1 = std::min(s.height, y0 + kStrip);
        const int top = std::max(0, y0 - reach), bottom = std::min(s.height, y1 + reach);
        ScoreRows given = s.get(top, bottom);
        const int known = std::min(rows.first + rows.count, bottom);
        if (known > top) {
            std::copy_n(rows.score.begin() + static_cast<std::ptrdiff_t>(rows.at(top)),
                        given.at(known), given.score.begin());
        }
        rows = std::move(given);
        ScoreRows out(s.width, y0, y1 - y0);
        parallel_rows(y1 - y0, [&](int a, int b) {
            const auto columns = static_cast<std::size_t>(s.width);
            std::vector<std::int64_t> sum(columns + 1), count(columns + 1);
            for (int y = y0 + a; y < y0 + b; ++y) {
                const int first = std::max(0, y - reach), last = std::min(s.height, y + reach + 1);
                for (std::size_t x = 0; x < columns; ++x) {
                    std::int64_t column = 0, seen = 0;
                    for (int v = first; v < last; ++v)
                        if (rows.likely[rows.at(v) + x] != kUnseen)
                            column += rows.score[rows.at(v) + x], ++seen;
                    sum[x + 1] = sum[x] + column;
                    count[x + 1] = count[x] + seen;
                }
                for (int x = 0; x < s.width; ++x) {
                    const std::size_t from = rows.at(y) + static_cast<std::size_t>(x),
                                      to = out.at(y) + static_cast<std::size_t>(x);
                    out.surface[to] = rows.surface[from];
                    out.likely[to] = rows.likely[from];
                    out.score[to] = INT16_MIN;
                    if (rows.likely[from] == kUnseen) continue;
                    const auto i = static_cast<std::size_t>(std::max(0, x - reach)),
                               j = static_cast<std::size_t>(std::min(s.width, x + reach + 1));
                    out.score[to] =
                        static_cast<std::int16_t>((sum[j] - sum[i]) / (count[j] - count[i]));
                }
            }
        });
        s.count(out);
        s.put(out);
    }
}

struct RegionRun {
    std::int32_t y, begin, end;
};

/// A region's outline from its runs, in any order. At twice the size the contour of a pixel's
/// centre becomes its outline: a 1-px object still has an area. Regions wider than kLargestBox are
/// drawn in cells of several pixels, so that memory stays bounded.
class Outline {
  public:
    explicit Outline(const cv::Rect& box) : box_(box) {
        while (static_cast<double>(box.width / cell_ + 3) * (box.height / cell_ + 3) > kLargestBox)
            ++cell_;
        twice_ = cv::Mat(2 * (box.height / cell_ + 3), 2 * (box.width / cell_ + 3), CV_8U,
                         cv::Scalar(0));
    }
    void add(const std::vector<RegionRun>& runs) {
        for (const RegionRun& run : runs) {
            const int begin = (run.begin - box_.x) / cell_,
                      end = (run.end - 1 - box_.x) / cell_ + 1;
            for (int k = 0; k < 2; ++k) {
                std::uint8_t* row =
                    twice_.ptr<std::uint8_t>(2 * ((run.y - box_.y) / cell_ + 1) + k);
                std::fill(row + 2 * (begin + 1), row + 2 * (end + 1), std::uint8_t{255});
            }
        }
    }
    Ring ring() const {
        std::vector<std::vector<cv::Point>> contours;
        cv::findContours(twice_, contours, cv::RETR_EXTERNAL, cv::CHAIN_APPROX_NONE);
        const auto longest =
            std::max_element(contours.begin(), contours.end(),
                             [](const auto& a, const auto& b) { return a.size() < b.size(); });
        Ring ring;
        if (longest == contours.end()) return ring;
        for (const cv::Point& p : *longest)
            ring.push_back(
                {box_.x + cell_ * ((p.x + 0.5) / 2 - 1), box_.y + cell_ * ((p.y + 0.5) / 2 - 1)});
        return ring.size() >= 3 ? simplify_ring(ring, 0.75 * cell_) : ring;
    }

  private:
    static constexpr double kLargestBox = 64e6;  // cells, of 4 bytes
    cv::Rect box_;
    int cell_ = 1;
    cv::Mat twice_;
};

/// One connected region: sums in whole numbers, so that they do not depend on the order in which
/// its parts were joined.
struct Region {
    std::int32_t x0 = INT32_MAX, y0 = INT32_MAX, x1 = 0, y1 = 0;  ///< box of its runs, [x0, x1)
    std::int32_t first_x = INT32_MAX;  ///< of its first row: the first pixel in reading order
    bool high = false;
    std::int64_t pixels = 0, score = 0, sx = 0, sy = 0;            ///< sx, sy of left upper corners
    std::array<std::int64_t, 8> votes{};                           ///< in 1/kVote
    std::int32_t head = -1, tail = -1;                             ///< its runs in RunPool
    std::int32_t held = 0;                                         ///< how many those are
    std::vector<std::pair<std::uint64_t, std::uint32_t>> shelved;  ///< place and number of others
};
constexpr double kVote = 1 << 20;

void join(Region& into, const Region& from) {
    if (std::pair(from.y0, from.first_x) < std::pair(into.y0, into.first_x))
        into.first_x = from.first_x;
    into.x0 = std::min(into.x0, from.x0);
    into.y0 = std::min(into.y0, from.y0);
    into.x1 = std::max(into.x1, from.x1);
    into.y1 = std::max(into.y1, from.y1);
    into.high = into.high || from.high;
    into.pixels += from.pixels;
    into.score += from.score;
    into.sx += from.sx;
    into.sy += from.sy;
    for (std::size_t k = 0; k < into.votes.size(); ++k) into.votes[k] += from.votes[k];
}

/// Runs of the regions that have not ended; what is too much for memory waits on the shelf.
class RunPool {
  public:
    RunPool(const Shelf& shelf, std::uint64_t first_free)
        : shelf_(shelf),
          free_place_(first_free),
          piece_(std::clamp<std::size_t>(shelf.held_runs / 1000, 1, 4096)) {}
    void add(Region& region, const RegionRun& run) {
        std::int32_t k = free_;
        if (k < 0) {
            k = static_cast<std::int32_t>(nodes_.size());
            nodes_.emplace_back();
        } else {
            free_ = nodes_[static_cast<std::size_t>(k)].next;
        }
        nodes_[static_cast<std::size_t>(k)] = {run, region.head};
        if (region.head < 0) region.tail = k;
        region.head = k;
        ++region.held;
        ++held_;
    }
    void join_runs(Region& into, const Region& from) {
        if (from.head >= 0) {
            if (into.head < 0)
                into.tail = from.tail;
            else
                nodes_[static_cast<std::size_t>(from.tail)].next = into.head;
            into.head = from.head;
        }
        into.held += from.held;
        into.shelved.insert(into.shelved.end(), from.shelved.begin(), from.shelved.end());
    }
    bool too_many() const { return held_ > shelf_.held_runs; }
    /// Out of memory onto the shelf, if there is enough of it to be worth a piece of its own.
    void shelve(Region& region) {
        if (static_cast<std::size_t>(region.held) < piece_) return;
        const std::vector<RegionRun> runs = take(region);
        shelf_.write(free_place_, runs.data(), runs.size() * sizeof(RegionRun));
        region.shelved.emplace_back(free_place_, static_cast<std::uint32_t>(runs.size()));
        free_place_ += runs.size() * sizeof(RegionRun);
    }
    /// Calls body(runs) with some of the region's runs after the other, and forgets them.
    template <class Body>
    void drain(Region& region, const Body& body) {
        body(take(region));
        for (const auto& [place, count] : region.shelved) {
            std::vector<RegionRun> runs(count);
            shelf_.read(place, runs.data(), runs.size() * sizeof(RegionRun));
            body(runs);
        }
        region.shelved.clear();
    }
    void forget(Region& region) {
        if (region.head >= 0) {
            nodes_[static_cast<std::size_t>(region.tail)].next = free_;
            free_ = region.head;
        }
        held_ -= static_cast<std::size_t>(region.held);
        region.held = 0;
        region.head = region.tail = -1;
        region.shelved.clear();
    }

  private:
    struct Node {
        RegionRun run;
        std::int32_t next;
    };
    std::vector<RegionRun> take(Region& region) {
        std::vector<RegionRun> runs;
        runs.reserve(static_cast<std::size_t>(region.held));
        for (std::int32_t k = region.head; k >= 0; k = nodes_[static_cast<std::size_t>(k)].next) {
            runs.push_back(nodes_[static_cast<std::size_t>(k)].run);
            if (k == region.tail) break;
        }
        auto kept = std::move(region.shelved);
        forget(region);
        region.shelved = std::move(kept);
        return runs;
    }
    const Shelf& shelf_;
    std::uint64_t free_place_;
    std::size_t piece_;  // runs; fewer are not worth a place of their own
    std::vector<Node> nodes_;
    std::int32_t free_ = -1;
    std::size_t held_ = 0;
};

/// What makes a region an object.
struct Rules {
    bool is_structure = true;
    int closing = 1;                                                    // px
    std::int16_t low = 0, high = 0, surface_low = 0, surface_high = 0;  // steps
    double least_m2 = 0, pixel_m2 = 1, even_score = 0;
    double least_odds = -1e30;       // of the mean of its pixels
    std::vector<std::int64_t> vote;  // of every score, in 1/kVote
};

/// 0, 1, 2 for each pixel of a row: what belongs to regions.
void level_row(const ScoreRows& rows, int y, const Rules& rules, std::uint8_t* level) {
    const auto columns = static_cast<std::size_t>(rows.width);
    const std::int16_t* score = rows.score.data() + rows.at(y);
    const std::uint8_t *surface = rows.surface.data() + rows.at(y),
                       *likely = rows.likely.data() + rows.at(y);
    if (rules.is_structure) {
        constexpr auto kIllumination = static_cast<std::uint8_t>(ChangeClass::illumination);
        thread_local std::vector<std::uint8_t> skip;
        skip.resize(columns);
        for (std::size_t x = 0; x < columns; ++x)
            skip[x] = likely[x] == kUnseen || (likely[x] & 15) == kIllumination;
        kernels::two_levels(score, skip.data(), columns, rules.low, rules.high, level);
    } else {
        for (std::size_t x = 0; x < columns; ++x)
            level[x] = likely[x] != kUnseen && surface[x] >= rules.surface_low &&
                       !structural(class_of(score[x], likely[x], rules.high));
    }
}

void add_run(const ScoreRows& rows, const RegionRun& run, const Rules& rules, Region& region) {
    constexpr auto kIllumination = static_cast<unsigned>(ChangeClass::illumination);
    if (region.first_x == INT32_MAX) region.first_x = run.begin;
    region.x0 = std::min(region.x0, run.begin);
    region.y0 = std::min(region.y0, run.y);
    region.x1 = std::max(region.x1, run.end);
    region.y1 = std::max(region.y1, run.y + 1);
    for (int x = run.begin; x < run.end; ++x) {
        const std::size_t i = rows.at(run.y) + static_cast<std::size_t>(x);
        const unsigned likely = rows.likely[i];
        if (likely == kUnseen) continue;  // closing may reach over unseen ground
        ++region.pixels;
        region.sx += x;
        region.sy += run.y;
        region.score += rows.score[i];
        if (rules.is_structure) {
            region.votes[likely & 7U] +=
                rules.vote[static_cast<std::size_t>(rows.score[i] - kLowestScore)];
            region.high =
                region.high || (rows.score[i] >= rules.high && (likely & 15U) != kIllumination);
        } else {
            ++region.votes[likely >> 4U & 7U];
            region.high =
                region.high || (rows.surface[i] >= rules.surface_high &&
                                !structural(class_of(rows.score[i], rows.likely[i], rules.high)));
        }
    }
}

/// The class of runs that nothing else has a claim on, onto the shelf.
void paint(const DifferenceScores& s, const std::vector<RegionRun>& runs, std::uint8_t value) {
    std::vector<std::uint8_t> likely;
    std::vector<std::int16_t> score;
    for (const RegionRun& run : runs) {
        const auto n = static_cast<std::size_t>(run.end - run.begin);
        likely.resize(n);
        score.resize(n);
        s.shelf.read(s.place_of_likely(run.begin, run.y), likely.data(), n);
        s.shelf.read(s.place(run.y) + 2 * static_cast<std::uint64_t>(run.begin), score.data(),
                     2 * n);
        for (std::size_t x = 0; x < n; ++x)
            if ((likely[x] & kPainted) == 0 && class_of(score[x], likely[x], s.high) == 0)
                likely[x] = static_cast<std::uint8_t>((likely[x] & 0xF0U) | kPainted | value);
        s.shelf.write(s.place_of_likely(run.begin, run.y), likely.data(), n);
    }
}

/// The objects worth listing: of more than `most`, the surest, then the largest, then the first in
/// reading order, whatever the order in which they come. Memory goes with `most`.
class ListedObjects {
  public:
    explicit ListedObjects(std::size_t most) : most_(most) {}
    void add(std::pair<std::int32_t, std::int32_t> first_pixel, ChangeObject object) {
        ++seen_;
        found_.emplace_back(first_pixel, std::move(object));
        if (found_.size() >= 2 * most_) keep_best();
    }
    std::size_t seen() const { return seen_; }
    /// By place: top to bottom, left to right.
    std::vector<ChangeObject> take() {
        keep_best();
        std::sort(found_.begin(), found_.end(),
                  [](const auto& a, const auto& b) { return a.first < b.first; });
        std::vector<ChangeObject> objects;
        for (auto& [place, object] : found_) objects.push_back(std::move(object));
        found_.clear();
        return objects;
    }

  private:
    void keep_best() {
        if (found_.size() <= most_) return;
        std::nth_element(found_.begin(), found_.begin() + static_cast<std::ptrdiff_t>(most_),
                         found_.end(), [](const auto& a, const auto& b) {
                             return std::tuple(-a.second.log_odds, -a.second.area_m2, a.first) <
                                    std::tuple(-b.second.log_odds, -b.second.area_m2, b.first);
                         });
        found_.resize(most_);
    }
    std::size_t most_, seen_ = 0;
    std::vector<std::pair<std::pair<std::int32_t, std::int32_t>, ChangeObject>> found_;
};

/// Regions of the whole image, top to bottom: those that are change are painted and listed, `most`
/// of them at the most. Returns how many there are.
std::size_t find_regions(DifferenceScores& s, const Rules& rules, std::size_t most,
                         std::vector<ChangeObject>& objects) {
    kernels::RunComponents components;
    RunPool pool(s.shelf, s.place(s.height));
    std::vector<Region> regions;
    ListedObjects found(most);
    const auto finish = [&](Region& region) {
        const auto pixels = static_cast<double>(region.pixels);
        const double odds =
            static_cast<double>(region.score) / kScoreSteps / std::max(1.0, pixels) -
            rules.even_score;
        const auto winner = static_cast<ChangeClass>(
            std::max_element(region.votes.begin(), region.votes.end()) - region.votes.begin());
        if (!region.high || region.pixels < 3 || pixels * rules.pixel_m2 < rules.least_m2 ||
            odds < rules.least_odds ||  // a few high pixels in doubtful ground
            winner == ChangeClass::none)
            return pool.forget(region);
        const bool listed = winner != ChangeClass::illumination;
        std::optional<Outline> outline;
        if (listed)
            outline.emplace(
                cv::Rect{region.x0, region.y0, region.x1 - region.x0, region.y1 - region.y0});
        pool.drain(region, [&](const std::vector<RegionRun>& runs) {
            throw_if_cancelled();
            paint(s, runs, static_cast<std::uint8_t>(winner));
            if (outline) outline->add(runs);
        });
        if (!listed) return;
        ChangeObject object;
        object.outline_px = outline->ring();
        if (object.outline_px.size() < 3) return;
        object.centre_px = {(static_cast<double>(region.sx) + 0.5 * pixels) / pixels,
                            (static_cast<double>(region.sy) + 0.5 * pixels) / pixels};
        object.area_m2 = pixels * rules.pixel_m2;
        object.change_class = winner;
        // For surfaces the structural score says nothing; their own evidence is the distance from
        // its null.
        object.log_odds = rules.is_structure ? odds : 0.5;
        object.probability = logistic(object.log_odds);
        found.add({region.y0, region.first_x}, std::move(object));
    };
    const auto take_row = [&] {
        regions.resize(components.label_count());
        const auto at = [&](std::int32_t label) -> Region& {
            return regions[static_cast<std::size_t>(label)];
        };
        for (const auto& [kept, gone] : components.joined()) {
            join(at(kept), at(gone));
            pool.join_runs(at(kept), at(gone));
            at(gone) = {};
        }
        for (const std::int32_t label : components.ended()) {
            finish(at(label));
            at(label) = {};
        }
    };

    const int halo = rules.closing > 1 ? rules.closing : 0;
    const cv::Mat element = cv::getStructuringElement(
        cv::MORPH_ELLIPSE, {std::max(1, rules.closing), std::max(1, rules.closing)});
    std::vector<std::int32_t> edges(static_cast<std::size_t>(s.width) + 1);
    cv::Mat levels;  // as they were before anything was painted
    int levels_from = 0, levels_to = 0;
    for (int y0 = 0; y0 < s.height; y0 += kStrip) {
        throw_if_cancelled();
        const int y1 = std::min(s.height, y0 + kStrip);
        const int top = std::max(0, y0 - halo), bottom = std::min(s.height, y1 + halo);
        const ScoreRows rows = s.get(y0, bottom);
        cv::Mat level(bottom - top, s.width, CV_8U);
        for (int y = top; y < levels_to; ++y)
            std::copy_n(levels.ptr<std::uint8_t>(y - levels_from), s.width,
                        level.ptr<std::uint8_t>(y - top));
        const int fresh = std::max(y0, levels_to);
        parallel_rows(bottom - fresh, [&](int a, int b) {
            for (int y = fresh + a; y < fresh + b; ++y)
                level_row(rows, y, rules, level.ptr<std::uint8_t>(y - top));
        });
        levels = level;
        levels_from = top;
        levels_to = bottom;
        cv::Mat closed = level;
        if (rules.closing > 1)
            cv::morphologyEx(level, closed = cv::Mat(), cv::MORPH_CLOSE, element);
        for (int y = y0; y < y1; ++y) {
            const std::size_t count = kernels::find_runs(
                closed.ptr<std::uint8_t>(y - top), static_cast<std::size_t>(s.width), edges.data());
            components.add_row(y, edges.data(), count);
            take_row();
            for (std::size_t k = 0; k < components.labels().size(); ++k) {
                const RegionRun run{y, edges[2 * k], edges[2 * k + 1]};
                Region& region = regions[static_cast<std::size_t>(components.labels()[k])];
                add_run(rows, run, rules, region);
                pool.add(region, run);
            }
            if (pool.too_many())
                for (Region& region : regions) pool.shelve(region);
        }
    }
    components.end();
    take_row();
    for (ChangeObject& object : found.take()) objects.push_back(std::move(object));
    return found.seen();
}

/// Share of the seen ground whose surface differs.
double changed_surface_share(const DifferenceScores& s, const Rules& rules) {
    std::int64_t pixels = 0;
    for (int y0 = 0; y0 < s.height; y0 += kStrip) {
        const ScoreRows rows = s.get(y0, std::min(s.height, y0 + kStrip));
        std::vector<std::int64_t> counts(static_cast<std::size_t>(rows.count), 0);
        parallel_rows(rows.count, [&](int a, int b) {
            std::vector<std::uint8_t> level(static_cast<std::size_t>(s.width));
            for (int y = a; y < b; ++y) {
                level_row(rows, y0 + y, rules, level.data());
                counts[static_cast<std::size_t>(y)] =
                    std::count(level.begin(), level.end(), std::uint8_t{1});
            }
        });
        for (const std::int64_t count : counts) pixels += count;
    }
    return static_cast<double>(pixels) /
           static_cast<double>(std::max<std::size_t>(1, s.seen_count));
}

}  // namespace

ChangeMap finish_difference(DifferenceScores& s, const DifferenceOptions& options) {
    ChangeMap map;
    map.note = s.note;
    s.pair = {};
    if (!s.comparable) return map;
    map.radius_px = s.statistics.radius;
    const int coarse_reach = s.coarse_reach();
    if (coarse_reach > 0) smooth_scores(s, coarse_reach);

    const Histogram scores = histogram(s.score_counts, kLowestScore, kScoreSteps);
    const Histogram surfaces = histogram(s.surface_counts, 0, kSurfaceSteps);
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
        even_score = std::max(even_score, s.statistics.smooth ? kAlikeLeast : kCoarseLeast);
        map.threshold = even_score + least;
    }
    map.otsu = otsu_threshold(rebinned(scores, 1024));
    map.kittler = kittler_threshold(rebinned(scores, 256));
    map.em = em_threshold(rebinned(scores, 256));
    const auto [surface_location, surface_scale] = lower_half_null(surfaces);
    constexpr double kClearSurface =
        2.3;  // χ²/N of 9: three no-change standard deviations in every variate
    constexpr double kClearestSurface = 5;  // where the evidence saturates: change in any case
    // Where nearly nothing differs, noise and sharpness are the largest differences: six
    // deviations.
    constexpr double kClearAlikeSurface = 3.6;
    const double surface_threshold =
        std::clamp(discovery_threshold(surfaces, surface_location, std::max(surface_scale, 0.05),
                                       options.false_discovery_rate),
                   s.statistics.smooth ? kClearAlikeSurface : kClearSurface, kClearestSurface);
    constexpr double kHysteresis =
        1.0;  // log-odds below the threshold that still belong to an object
    constexpr double kSurfaceHysteresis = 0.3;
    const auto steps = [](double value, double per_unit) {
        return static_cast<std::int16_t>(
            std::clamp(std::ceil(value * per_unit - 1e-9), -32767.0, 32767.0));
    };
    s.high = steps(map.threshold, kScoreSteps);
    Rules rules;
    rules.low = steps(map.threshold - kHysteresis, kScoreSteps);
    rules.high = s.high;
    rules.surface_high = steps(surface_threshold, kSurfaceSteps);
    rules.surface_low = steps(surface_threshold - kSurfaceHysteresis, kSurfaceSteps);
    rules.pixel_m2 = s.statistics.gsd * s.statistics.gsd;
    rules.even_score = even_score;
    rules.closing = std::min(2 * static_cast<int>(std::lround(0.5 / s.statistics.gsd)) + 1, 7);

    // In steps of 1/256: finer ones mean nothing, and make files several times as large.
    s.probability.resize(65536);
    rules.vote.resize(65536);
    for (int k = 0; k < 65536; ++k) {
        const double p = logistic((k + kLowestScore) / kScoreSteps - even_score);
        s.probability[static_cast<std::size_t>(k)] = static_cast<float>(std::round(256 * p) / 256);
        rules.vote[static_cast<std::size_t>(k)] = std::llround(kVote * p);
    }

    try {
        rules.least_m2 = options.min_object_m2;
        if (coarse_reach == 0) rules.least_odds = least;
        if (!s.statistics.coarse && options.min_object_probability > options.min_probability)
            rules.least_odds =
                std::log(options.min_object_probability / (1 - options.min_object_probability));
        const auto most = static_cast<std::size_t>(std::max(1, options.max_objects));
        std::size_t count = find_regions(s, rules, most, map.objects);
        rules.is_structure = false;
        rules.least_m2 = options.min_surface_m2;
        rules.least_odds = -1e30;
        const double most_surface = s.statistics.coarse ? options.max_surface_share
                                                        : std::min(options.max_surface_share,
                                                                   options.max_fine_surface_share);
        if (changed_surface_share(s, rules) <= most_surface) {
            count += find_regions(s, rules, std::max<std::size_t>(1, most - map.objects.size()),
                                  map.objects);
        } else {
            add_note(
                map.note,
                "too much of the surface differs (season, snow or haze): vegetation and ground "
                "change are not told");
        }
        if (map.objects.size() < count)
            add_note(map.note,
                     std::to_string(map.objects.size()) + " of " + std::to_string(count) +
                         " changes are listed, the surest and largest; the map shows all");
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

void change_map_row(const DifferenceScores& s, int y, std::uint8_t* change, float* probability) {
    if (!s.comparable) {
        std::fill(change, change + s.width, static_cast<std::uint8_t>(ChangeClass::not_observed));
        std::fill(probability, probability + s.width, 0.0F);
        return;
    }
    const auto columns = static_cast<std::size_t>(s.width);
    thread_local std::vector<std::int16_t> score;
    score.resize(columns);
    s.shelf.read(s.place(y), score.data(), 2 * columns);
    s.shelf.read(s.place_of_likely(0, y), change, columns);
    for (std::size_t x = 0; x < columns; ++x) {
        probability[x] = change[x] == kUnseen
                             ? 0.0F
                             : s.probability[static_cast<std::size_t>(score[x] - kLowestScore)];
        change[x] = class_of(score[x], change[x], s.high);
    }
}

}  // namespace fenceline
