#pragma once

#include <cstddef>

namespace fenceline::kernels {

/// out[i] = Σ_v (constants[v] + Σ_b weights[v·band_count + b] · bands[b][i])²: squared length of
/// variate_count linear combinations of the bands, as in Σ(MAD_i/σ_i)². Every pixel is computed
/// alike wherever it lies in the row. NaN in gives NaN out.
void squared_variates(const float* const* bands, int band_count, const float* weights,
                      const float* constants, int variate_count, std::size_t n, float* out);

/// out[i] = P(χ² > value[i]) with the given degrees of freedom (>= 1): finite sums (Abramowitz &
/// Stegun 1964, 26.4.4 and 26.4.5); within 1e-6 of the exact value. Values <= 0 and NaN give 1.
/// out may be value.
void chi_square_survival(const float* value, std::size_t n, int degrees_of_freedom, float* out);

/// out[i] = min(limit, log(1 + scale · in[i])), for in >= 0, scale > 0. out may be in.
void log_compress(const float* in, std::size_t n, float scale, float limit, float* out);

/// out[i] = limit · tanh(in[i] / limit), limit > 0: saturates without a corner. out may be in.
void squash(const float* in, std::size_t n, float limit, float* out);

namespace reference {
void squared_variates(const float* const* bands, int band_count, const float* weights,
                      const float* constants, int variate_count, std::size_t n, float* out);
void chi_square_survival(const float* value, std::size_t n, int degrees_of_freedom, float* out);
void log_compress(const float* in, std::size_t n, float scale, float limit, float* out);
void squash(const float* in, std::size_t n, float limit, float* out);
}  // namespace reference

}  // namespace fenceline::kernels
