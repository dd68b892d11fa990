#include "stages/difference.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/parallel.h"
#include "core/plane_memory.h"
#include "kernels/bands.h"
#include "stages/difference_evidence.h"
#include "stages/difference_scores.h"
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

namespace {

/// Bytes in pieces that stay where they are: it grows without a copy, and nothing is cleared.
class Pieces {
  public:
    Pieces() = default;
    Pieces(const Pieces&) = delete;
    Pieces& operator=(const Pieces&) = delete;
    ~Pieces() {
        for (char* piece : pieces_) free_plane(piece);
    }
    void write(std::uint64_t at, const char* from, std::size_t count) {
        while (pieces_.size() * kPiece < at + count)
            pieces_.push_back(static_cast<char*>(allocate_plane(kPiece)));
        each(at, count, [&](char* piece, std::size_t n) {
            std::memcpy(piece, from, n);
            from += n;
        });
    }
    void read(std::uint64_t at, char* to, std::size_t count) const {
        each(at, count, [&](const char* piece, std::size_t n) {
            std::memcpy(to, piece, n);
            to += n;
        });
    }

  private:
    static constexpr std::size_t kPiece = std::size_t{16} << 20;
    template <class Body>
    void each(std::uint64_t at, std::size_t count, const Body& body) const {
        while (count > 0) {
            const std::size_t offset = at % kPiece, n = std::min(count, kPiece - offset);
            body(pieces_[at / kPiece] + offset, n);
            at += n;
            count -= n;
        }
    }
    std::vector<char*> pieces_;
};

}  // namespace

Shelf memory_shelf() {
    const auto pieces = std::make_shared<Pieces>();
    return {[pieces](std::uint64_t at, const void* from, std::size_t count) {
                pieces->write(at, static_cast<const char*>(from), count);
            },
            [pieces](std::uint64_t at, void* to, std::size_t count) {
                pieces->read(at, static_cast<char*>(to), count);
            }};
}

int DifferenceScores::coarse_reach() const {
    return comparable && statistics.coarse ? static_cast<int>(kCoarseReach / statistics.gsd) : 0;
}

void DifferenceScores::put(const ScoreRows& rows) {
    const auto columns = static_cast<std::size_t>(rows.width);
    std::vector<std::uint8_t> line(4 * columns * static_cast<std::size_t>(rows.count));
    for (int y = rows.first; y < rows.first + rows.count; ++y) {
        std::uint8_t* to = line.data() + 4 * rows.at(y);
        std::memcpy(to, rows.score.data() + rows.at(y), 2 * columns);
        std::memcpy(to + 2 * columns, rows.surface.data() + rows.at(y), columns);
        std::memcpy(to + 3 * columns, rows.likely.data() + rows.at(y), columns);
    }
    shelf.write(place(rows.first), line.data(), line.size());
}

ScoreRows DifferenceScores::get(int y0, int y1) const {
    ScoreRows rows(width, y0, y1 - y0);
    const auto columns = static_cast<std::size_t>(width);
    parallel_rows(y1 - y0, [&](int a, int b) {
        std::vector<std::uint8_t> line(4 * columns);
        for (int y = y0 + a; y < y0 + b; ++y) {
            shelf.read(place(y), line.data(), line.size());
            std::memcpy(rows.score.data() + rows.at(y), line.data(), 2 * columns);
            std::memcpy(rows.surface.data() + rows.at(y), line.data() + 2 * columns, columns);
            std::memcpy(rows.likely.data() + rows.at(y), line.data() + 3 * columns, columns);
        }
    });
    return rows;
}

void DifferenceScores::count(const ScoreRows& rows) {
    constexpr int kParts = 8;  // whole numbers: their sum does not depend on the order
    std::vector<std::vector<std::uint32_t>> scores(kParts), surfaces(kParts);
    parallel_items(kParts, [&](int part) {
        auto& score = scores[static_cast<std::size_t>(part)];
        auto& surface = surfaces[static_cast<std::size_t>(part)];
        score.assign(score_counts.size(), 0);
        surface.assign(surface_counts.size(), 0);
        const std::size_t n = rows.score.size(),
                          begin = n * static_cast<std::size_t>(part) / kParts,
                          end = n * static_cast<std::size_t>(part + 1) / kParts;
        for (std::size_t i = begin; i < end; ++i) {
            if (rows.likely[i] == kUnseen) continue;
            ++score[static_cast<std::size_t>(rows.score[i] - kLowestScore)];
            ++surface[rows.surface[i]];
        }
    });
    const auto add = [](const std::vector<std::vector<std::uint32_t>>& parts,
                        std::vector<double>& total) {
        for (const auto& part : parts)
            for (std::size_t k = 0; k < total.size(); ++k) total[k] += part[k];
    };
    add(scores, score_counts);
    add(surfaces, surface_counts);
}

namespace {

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

void add_note(std::string& note, const std::string& more) {
    if (!more.empty()) note += (note.empty() ? "" : "; ") + more;
}

}  // namespace

std::shared_ptr<DifferenceScores> start_difference(const Scene& before, const Scene& after,
                                                   int width, int height, double sigma_r_px,
                                                   Shelf shelf) {
    auto scores = std::make_shared<DifferenceScores>();
    scores->width = std::max(0, width);
    scores->height = std::max(0, height);
    scores->shelf = std::move(shelf);
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
    scores->score_counts.assign(65536, 0.0);
    scores->surface_counts.assign(256, 0.0);
    return scores;
}

void add_difference_rows(DifferenceScores& scores, const Scene& before, const Scene& after,
                         int first_row, int y0, int y1, const DifferenceOptions& options) {
    if (!scores.comparable) return;
    Pair& pair = scores.pair;
    if (y1 <= y0 || !bind_pair(before, after, pair)) return;
    pair.first_row = first_row;
    ScoreRows rows(scores.width, y0, y1 - y0);
    std::fill(rows.score.begin(), rows.score.end(), std::int16_t{INT16_MIN});
    std::fill(rows.likely.begin(), rows.likely.end(), kUnseen);
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
            const std::size_t at = rows.at(y) + static_cast<std::size_t>(x0);
            std::int16_t* score = rows.score.data() + at;
            std::uint8_t *surface = rows.surface.data() + at, *likely = rows.likely.data() + at;
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
    if (scores.coarse_reach() == 0) scores.count(rows);  // else of what they are averaged to
    scores.put(rows);
}

ChangeMap difference(const Scene& before, const Scene& after, double sigma_r_px,
                     const DifferenceOptions& options) {
    const int width = before.raster.grid.width, height = std::max(0, before.raster.grid.height);
    const auto scores = start_difference(before, after, width, height, sigma_r_px, memory_shelf());
    add_difference_rows(*scores, before, after, 0, 0, height, options);
    ChangeMap map = finish_difference(*scores, options);
    map.change_class = Mask(scores->width, height);
    map.probability = Plane(scores->width, height);
    parallel_rows(height, [&](int y0, int y1) {
        for (int y = y0; y < y1; ++y)
            change_map_row(*scores, y, map.change_class.row(y), map.probability.row(y));
    });
    return map;
}

}  // namespace fenceline
