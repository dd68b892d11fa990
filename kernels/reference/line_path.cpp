#include "kernels/line_path.h"

namespace fenceline::kernels::reference {

void path_step(const float* previous, const float* cost, std::size_t n, float jump_cost,
               float* total, std::int8_t* choice) {
    for (std::size_t i = 0; i < n; ++i) {
        float best = previous[i];
        std::int8_t from = 0;
        if (i > 0 && previous[i - 1] + jump_cost < best)
            best = previous[i - 1] + jump_cost, from = -1;
        if (i + 1 < n && previous[i + 1] + jump_cost < best)
            best = previous[i + 1] + jump_cost, from = 1;
        total[i] = cost[i] + best;
        choice[i] = from;
    }
}

}  // namespace fenceline::kernels::reference
