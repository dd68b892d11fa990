#pragma once

#include <cstddef>

namespace fenceline::kernels {

/// Symmetric positive definite systems whose entries lie within band of the diagonal. Stored by
/// columns of the lower triangle: entry (j + d, j), 0 <= d <= band, at a[j·(band + 1) + d]; what
/// lies below the last row is 0 and stays 0.

/// L·D·Lᵀ in place (D on the diagonal, L's ones not stored). False when a pivot is not positive.
bool band_factor(double* a, std::size_t n, std::size_t band);
/// Solves with the factors, in place.
void band_solve(const double* factors, std::size_t n, std::size_t band, double* x);
/// The inverse's entries within the band (Takahashi et al. 1973), same storage.
void band_inverse(const double* factors, std::size_t n, std::size_t band, double* inverse);

namespace reference {
/// Dense: a (as above, not factored) is inverted whole; inverse: n × n. False when singular.
bool dense_inverse(const double* a, std::size_t n, std::size_t band, double* inverse);
}  // namespace reference

}  // namespace fenceline::kernels
