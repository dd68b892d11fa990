#pragma once

#include <cstddef>

namespace fenceline::kernels {

/// A row of cells laid over an image, turned and sized at will. Places are in pixels, (0, 0) being
/// the middle of the first pixel.
struct CellRow {
    double x = 0, y = 0;                ///< middle of the first cell
    double along_x = 1, along_y = 0;    ///< from one cell's middle to the next one's
    double across_x = 0, across_y = 1;  ///< the cell's other side
    int fine = 1;  ///< samples per side of a cell, 1 … 8, spread evenly: a cell is their mean
};

/// out[i], i < n: mean of the bilinear samples of cell i. Places outside the image take its
/// border's value. All samples finite; n times the longer side, times the stride, must stay under
/// 2³¹. Places are kept to about n · side / 10⁷ pixels.
void cell_row(const float* image, std::size_t stride, int width, int height, const CellRow& row,
              int n, float* out);

/// The same of three bands with one stride: the means over each cell of (R+G+B)/3, (R−B)/(R+G+B)
/// and (2G−R−B)/(R+G+B); a sum within ±10⁻⁶ counts as 10⁻⁶.
void colour_cell_row(const float* red, const float* green, const float* blue, std::size_t stride,
                     int width, int height, const CellRow& row, int n, float* brightness,
                     float* red_blue, float* excess_green);

namespace reference {
void cell_row(const float* image, std::size_t stride, int width, int height, const CellRow& row,
              int n, float* out);
void colour_cell_row(const float* red, const float* green, const float* blue, std::size_t stride,
                     int width, int height, const CellRow& row, int n, float* brightness,
                     float* red_blue, float* excess_green);
}  // namespace reference

}  // namespace fenceline::kernels
