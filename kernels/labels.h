#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fenceline::kernels {

/// Threshold with hysteresis, first half: out[i] = 2 where score[i] >= high, 1 where it is >= low
/// only, else 0; 0 wherever skip[i] != 0. low <= high. Which of the 1s stay is for their connected
/// component to say: one that holds a 2.
void two_levels(const std::int16_t* score, const std::uint8_t* skip, std::size_t n,
                std::int16_t low, std::int16_t high, std::uint8_t* out);

/// Borders of the runs of nonzero values: start, end (one past the last), start, end, … Returns how
/// many numbers were written, at most n + 1, always even. edges: room for n + 1.
std::size_t find_runs(const std::uint8_t* row, std::size_t n, std::int32_t* edges);

/// A horizontal run of set pixels, [begin, end).
struct Run {
    std::int32_t y = 0, begin = 0, end = 0;
    std::int32_t label = 0;
};

/// Connected components (8-neighbourhood) of a binary image that is seen row by row, top to bottom:
/// runs joined by union-find (Rosenfeld & Pfaltz 1966; Tarjan 1975, path halving, smaller root
/// wins). Memory is proportional to the runs, not to the image.
class RunLabels {
  public:
    /// Row y comes after all rows above it; rows without a run may be left out. edges as
    /// find_runs() writes them.
    void add_row(std::int32_t y, const std::int32_t* edges, std::size_t edge_count);
    /// The component of a label: equal for all connected runs, the smallest label among them.
    std::int32_t root(std::int32_t label);
    std::vector<Run>& runs() { return runs_; }
    std::size_t label_count() const { return parent_.size(); }

  private:
    std::vector<Run> runs_;
    std::vector<std::int32_t> parent_;
    std::size_t previous_begin_ = 0, previous_end_ = 0;  // runs of the row above
    std::int32_t previous_y_ = -2;
};

namespace reference {
void two_levels(const std::int16_t* score, const std::uint8_t* skip, std::size_t n,
                std::int16_t low, std::int16_t high, std::uint8_t* out);
std::size_t find_runs(const std::uint8_t* row, std::size_t n, std::int32_t* edges);
/// Flood fill: labels[y·width + x] = 0, or the number of the component by its first pixel in
/// reading order, from 1.
void label_components(const std::uint8_t* image, int width, int height, std::int32_t* labels);
}  // namespace reference

}  // namespace fenceline::kernels
