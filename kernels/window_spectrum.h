#pragma once

#include <cstddef>
#include <cstdint>

namespace fenceline::kernels {

/// Complex n × n images as two planes of n·n floats; n is a power of two, 16 … 512.

/// Two-dimensional DFT, in place: X(k, l) = Σ x(i, j) exp(−2πi (k·i + l·j)/n). Frequencies come out
/// in bit-reversed order on both axes: row r, column c hold frequency (reverse(c), reverse(r)), see
/// bit_reversed. scratch: 2·n·n floats.
void dft2(float* re, float* im, std::size_t n, float* scratch);

/// Back from that order, unscaled: n² times the image.
void inverse_dft2(float* re, float* im, std::size_t n, float* scratch);

/// The frequency index that stands at place k of n (n a power of two): its bits in reverse.
std::size_t bit_reversed(std::size_t k, std::size_t n);

/// The half whitened cross-spectrum of a row: s = w · conj(r)·t / sqrt|conj(r)·t|, 0 where the
/// product is 0. weight: n values for the columns, row_weight for the row; the product of both is
/// w. In place: t becomes s. Returns Σ |s|, what the correlation would be at a perfect match.
double half_whitened_row(const float* r_re, const float* r_im, float* t_re, float* t_im,
                         const float* weight, float row_weight, std::size_t n);

/// Sums of one row of a spectrum against a phase: Σ s, Σ f·s and Σ f²·s with s = (re + i im)·(c +
/// i q); sums: {re0, im0, re1, im1, re2, im2}.
void phased_row_sums(const float* re, const float* im, const float* c, const float* q,
                     const float* f, std::size_t n, double sums[6]);

/// Tapers a row of a complex channel where it can be seen: c, s become 0 where ok is 0. sums gets
/// {Σ w, Σ w·c, Σ w·s} added, w = taper·row_taper where ok. First half of taking the weighted mean
/// off a window.
void masked_row_sums(float* c, float* s, const std::uint8_t* ok, const float* taper,
                     float row_taper, std::size_t n, double sums[3]);
/// The other half: c = w·(c − mean_c), s = w·(s − mean_s).
void tapered_row(float* c, float* s, const std::uint8_t* ok, const float* taper, float row_taper,
                 float mean_c, float mean_s, std::size_t n);

namespace reference {
void dft2(float* re, float* im, std::size_t n);  ///< natural order, by the definition
double half_whitened_row(const float* r_re, const float* r_im, float* t_re, float* t_im,
                         const float* weight, float row_weight, std::size_t n);
void phased_row_sums(const float* re, const float* im, const float* c, const float* q,
                     const float* f, std::size_t n, double sums[6]);
void masked_row_sums(float* c, float* s, const std::uint8_t* ok, const float* taper,
                     float row_taper, std::size_t n, double sums[3]);
void tapered_row(float* c, float* s, const std::uint8_t* ok, const float* taper, float row_taper,
                 float mean_c, float mean_s, std::size_t n);
}  // namespace reference

}  // namespace fenceline::kernels
