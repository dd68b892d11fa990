#pragma once

#include <cstddef>
#include <vector>

namespace fenceline {

/// Assignment of rows to columns with the least total cost (Kuhn 1955; shortest augmenting paths:
/// Jonker & Volgenant 1987). cost is rows × columns, finite, with rows <= columns. Returns each
/// row's column; every column is used at most once. O(rows²·columns).
std::vector<std::size_t> least_cost_columns(const std::vector<std::vector<double>>& cost);

}  // namespace fenceline
