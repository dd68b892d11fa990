#pragma once

#include <string>
#include <vector>

#include "evaluate/evaluate.h"

namespace fenceline {

/// What a simulator's truth.json knows beyond a report: the scenario family, how each image is
/// displaced, and the snow and cloud in it.
struct TruthFrames {
    std::string family;  ///< empty: not simulated
    std::vector<SceneDisplacement> displacements;
    std::vector<SceneConditions> conditions;
};
/// Nothing in it when the file has no "simulation". Throws DataError when it is not JSON or the
/// part is malformed.
TruthFrames read_truth_frames(const std::string& path);
/// The same from text; name is used in messages.
TruthFrames parse_truth_frames(const std::string& json, const std::string& name);

}  // namespace fenceline
