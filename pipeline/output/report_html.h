#pragma once

#include <span>
#include <string>

#include "core/report.h"
#include "output/image_chips.h"

namespace fenceline {

/// report.html: one file that opens offline and fetches nothing (its content security policy
/// forbids it). Text from outside is escaped; scripts are the built-in ones, pinned by their
/// hashes. chips: from scene_chips for every scene that is to be shown. parameters_ini: what
/// --print-config prints. Same values, same bytes.
std::string report_html(const Report& report, std::span<const ImageChip> chips,
                        const std::string& parameters_ini);

/// Number of objects that really exist when each exists with its own probability: the expected
/// number and its 90 % interval (Poisson binomial distribution, by convolution).
struct CountEstimate {
    double expected = 0;
    int low = 0, high = 0;
};
CountEstimate count_of(std::span<const double> probabilities);

}  // namespace fenceline
