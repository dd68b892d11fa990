#pragma once

#include <cstddef>
#include <vector>

namespace fenceline::kernels {

/// A straight digital line that steps one row at a time: in row y it stands at column x0 +
/// shift(y), with shift(y) = floor(y·slope + 0.5). Rows are counted absolutely (first_row + row in
/// the buffer), so that every tile of an image sees the same lines.
struct DigitalLine {
    double slope = 0;   ///< columns per row, −1 … 1 (flatter lines: transpose the image first)
    int length = 1;     ///< rows spanned, >= 1
    int first_row = 0;  ///< absolute number of the buffer's first row, >= 0
};

/// Scratch memory of line_opening, reused between calls.
struct LineOpeningWork {
    std::vector<float> skewed, prefix, suffix;
};

/// Grey-scale opening (erosion, then dilation: Serra 1982) of a width × height image by a digital
/// line. A line that sticks out of the image is clipped to it, so that nothing is removed on the
/// strength of ground that is not there; pixels that hold +infinity (no data) are outside as well
/// and stay +infinity. No NaN. The cost per pixel does not depend on the length (van Herk 1992; Gil
/// & Werman 1993). in and out may not overlap; strides in elements. Closing: the opening of the
/// negated image, negated.
void line_opening(const float* in, std::size_t in_stride, int width, int height,
                  const DigitalLine& line, float* out, std::size_t out_stride,
                  LineOpeningWork& work);

/// out(x, y) = in(y, x); in is width × height, out is height × width. Blocked for the cache.
void transpose(const float* in, std::size_t in_stride, int width, int height, float* out,
               std::size_t out_stride);

namespace reference {
void line_opening(const float* in, std::size_t in_stride, int width, int height,
                  const DigitalLine& line, float* out, std::size_t out_stride);
}

}  // namespace fenceline::kernels
