#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "stages/difference.h"
#include "stages/difference_evidence.h"

namespace fenceline {

inline constexpr double kScoreSteps = 128, kSurfaceSteps = 50;  // per unit
inline constexpr int kLowestScore = INT16_MIN;
inline constexpr std::uint8_t kUnseen = 255;

/// The values of some rows: what is kept of every pixel until the whole image has been seen.
struct ScoreRows {
    int width = 0, first = 0, count = 0;
    std::vector<std::int16_t> score;    ///< log-odds of structural change, in kScoreSteps
    std::vector<std::uint8_t> surface;  ///< radiometric evidence, in kSurfaceSteps
    /// ChangeClass of a structure, and << 4 that of a surface, that the pixel would be; kUnseen.
    /// Once structures have been found: kPainted + the class that they gave it.
    std::vector<std::uint8_t> likely;

    ScoreRows(int columns, int first_row, int rows)
        : width(columns),
          first(first_row),
          count(rows),
          score(at(first_row + rows)),
          surface(score.size()),
          likely(score.size()) {}
    std::size_t at(int y) const {
        return static_cast<std::size_t>(y - first) * static_cast<std::size_t>(width);
    }
};
inline constexpr unsigned kPainted = 8;

struct DifferenceScores {
    int width = 0, height = 0;
    PairStatistics statistics;
    std::string note;
    bool comparable = false;
    std::size_t seen_count = 0;
    Shelf shelf;
    Pair pair;  ///< of the rows that came last; its memory serves the next
    std::vector<double> score_counts, surface_counts;  ///< of all values of seen pixels
    // Decided by finish_difference():
    std::int16_t high = INT16_MAX;   ///< score of change, in steps
    std::vector<float> probability;  ///< of every score from kLowestScore on

    /// Pixels over which scores are averaged at 10 m; 0: they are not.
    int coarse_reach() const;
    std::uint64_t place(int y) const {
        return static_cast<std::uint64_t>(y) * static_cast<std::uint64_t>(width) * 4;
    }
    std::uint64_t place_of_likely(int x, int y) const {
        return place(y) + 3 * static_cast<std::uint64_t>(width) + static_cast<std::uint64_t>(x);
    }
    void put(const ScoreRows& rows);
    ScoreRows get(int y0, int y1) const;
    void count(const ScoreRows& rows);
};

/// What a pixel is from the start and from the structures that were painted over it.
inline std::uint8_t class_of(std::int16_t score, std::uint8_t likely, std::int16_t high) {
    constexpr auto kIllumination = static_cast<std::uint8_t>(ChangeClass::illumination);
    if (likely == kUnseen) return static_cast<std::uint8_t>(ChangeClass::not_observed);
    if ((likely & kPainted) != 0) return likely & 7;
    return (likely & 15) == kIllumination && score >= high ? kIllumination : 0;
}

}  // namespace fenceline
