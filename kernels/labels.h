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

/// Connected components (8-neighbourhood) of a binary image that is seen row by row, top to bottom:
/// runs joined by union-find (Rosenfeld & Pfaltz 1966; Tarjan 1975, path halving, smaller root
/// wins). A component is known by a number from 0 on that serves again once the component has
/// ended, so memory is proportional to the runs of one row, whatever the image's height.
class RunComponents {
  public:
    struct Join {
        std::int32_t kept, gone;  ///< two components that turned out to be one
    };
    /// Row y comes after all rows above it; rows without a run may be left out. edges as
    /// find_runs() writes them. Afterwards: joined(), then ended(), then labels().
    void add_row(std::int32_t y, const std::int32_t* edges, std::size_t edge_count);
    /// There is no further row: what is left has ended.
    void end() { add_row(previous_y_ + 2, nullptr, 0); }
    /// The component of each run of the row.
    const std::vector<std::int32_t>& labels() const { return labels_; }
    /// In the order in which they happened; what has gone can be kept and gone again no more.
    const std::vector<Join>& joined() const { return joined_; }
    /// Components of the row above that this row does not touch.
    const std::vector<std::int32_t>& ended() const { return ended_; }
    /// One more than the largest number given so far.
    std::size_t label_count() const { return parent_.size(); }

  private:
    struct Run {
        std::int32_t begin, end, label;
    };
    std::int32_t root(std::int32_t label);
    std::vector<Run> above_, now_;
    std::vector<std::int32_t> parent_, touched_, labels_, ended_, free_;
    std::vector<Join> joined_;
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
