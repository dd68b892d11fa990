#pragma once

#include <string>
#include <vector>

#include "align_cases.h"
#include "core/warp.h"

namespace fenceline::bench {

/// What another method makes of a pair.
struct PeerAnswer {
    std::string method;
    Affine target_from_reference;
    bool answered = false;  ///< false: it threw, or says itself that it found nothing
    double cpu_s = 0;
};

/// Nothing at all; OpenCV's phaseCorrelate (Hann window, whole image), findTransformECC (affine,
/// started from identity), SIFT + RANSAC (ratio 0.75, affine). Hidden pixels carry the image's
/// mean. Images over 4 Mpx are cut to their middle 2000 × 2000.
std::vector<PeerAnswer> ask_peers(const AlignCase& pair);

}  // namespace fenceline::bench
