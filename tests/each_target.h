#pragma once

#include <gtest/gtest.h>
#include <hwy/targets.h>

namespace fenceline::kernels {

/// Runs body once for every instruction set that this CPU has and Highway compiled.
template <class Body>
void for_each_target(const Body& body) {
    for (auto rest = hwy::SupportedTargets(); rest != 0; rest &= rest - 1) {
        const auto target = rest & (~rest + 1);
        hwy::SetSupportedTargetsForTest(target);
        hwy::GetChosenTarget().Update(target);
        SCOPED_TRACE(hwy::TargetName(target));
        body();
    }
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().DeInit();
}

}  // namespace fenceline::kernels
