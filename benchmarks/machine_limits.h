#pragma once

#include <cstddef>

namespace fenceline {

/// Stream triad (McCalpin 1995): a[i] = b[i] + scale · c[i], 12 bytes and 2 operations per element.
void triad(const float* b, const float* c, float scale, std::size_t n, float* a);

/// Twelve independent chains of fused multiply-adds in registers, `rounds` times; returns how many
/// operations (2 per multiply-add and lane) that was. No memory is touched.
double multiply_add_burst(std::size_t rounds, float* sink);

}  // namespace fenceline
