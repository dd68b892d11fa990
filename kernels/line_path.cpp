#include "kernels/line_path.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/line_path.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h: compiles this file once per instruction set
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace fenceline::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void PathStep(const float* previous, const float* cost, std::size_t n, float jump_cost,
              float* total, std::int8_t* choice) {
    const hn::ScalableTag<float> d;
    const hn::RebindToSigned<decltype(d)> d32;
    const hn::Rebind<std::int8_t, decltype(d)> d8;
    const auto jump = hn::Set(d, jump_cost);
    const std::size_t lanes = hn::Lanes(d);
    const auto one = [&](std::size_t i) {
        float best = previous[i];
        std::int8_t from = 0;
        if (i > 0 && previous[i - 1] + jump_cost < best)
            best = previous[i - 1] + jump_cost, from = -1;
        if (i + 1 < n && previous[i + 1] + jump_cost < best)
            best = previous[i + 1] + jump_cost, from = 1;
        total[i] = cost[i] + best;
        choice[i] = from;
    };
    if (n == 0) return;
    one(0);
    std::size_t i = 1;
    for (; i + lanes < n; i += lanes) {
        const auto below = hn::Add(hn::LoadU(d, previous + i - 1), jump);
        const auto above = hn::Add(hn::LoadU(d, previous + i + 1), jump);
        auto best = hn::LoadU(d, previous + i);
        auto from = hn::Zero(d32);
        const auto take_below = hn::Lt(below, best);
        best = hn::IfThenElse(take_below, below, best);
        from = hn::IfThenElse(hn::RebindMask(d32, take_below), hn::Set(d32, -1), from);
        const auto take_above = hn::Lt(above, best);
        best = hn::IfThenElse(take_above, above, best);
        from = hn::IfThenElse(hn::RebindMask(d32, take_above), hn::Set(d32, 1), from);
        hn::StoreU(hn::Add(hn::LoadU(d, cost + i), best), d, total + i);
        hn::StoreU(hn::DemoteTo(d8, from), d8, choice + i);
    }
    for (; i < n; ++i) one(i);
}

}  // namespace fenceline::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fenceline::kernels {
HWY_EXPORT(PathStep);

void path_step(const float* previous, const float* cost, std::size_t n, float jump_cost,
               float* total, std::int8_t* choice) {
    HWY_DYNAMIC_DISPATCH(PathStep)(previous, cost, n, jump_cost, total, choice);
}

}  // namespace fenceline::kernels
#endif
