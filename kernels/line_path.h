#pragma once

#include <cstddef>
#include <cstdint>

namespace fenceline::kernels {

/// One column of the minimal path search across a ribbon (Bellman 1957; for boundaries Amini,
/// Weymouth & Jain 1990):
///   total[i] = cost[i] + min(previous[i], previous[i-1] + jump_cost, previous[i+1] + jump_cost)
///   choice[i] = 0, -1 or +1: the winner; on a tie 0 before -1 before +1.
/// Neighbours beyond the ends do not exist. previous, cost, total and choice hold n values; total
/// must not be previous. Costs are finite.
void path_step(const float* previous, const float* cost, std::size_t n, float jump_cost,
               float* total, std::int8_t* choice);

namespace reference {
void path_step(const float* previous, const float* cost, std::size_t n, float jump_cost,
               float* total, std::int8_t* choice);
}  // namespace reference

}  // namespace fenceline::kernels
