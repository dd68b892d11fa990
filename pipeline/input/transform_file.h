#pragma once

#include <optional>
#include <string>

#include "core/grid.h"
#include "core/time.h"
#include "core/warp.h"

namespace fenceline {

/// A registration that is kept: what `align --save-transform` writes and `--apply-transform` reads.
struct SavedTransform {
    std::string reference, target;  ///< ids of the scenes that it was found between
    std::optional<Time> target_datetime;
    Grid grid;  ///< the reference's; warp is in its pixels
    Warp target_from_reference;
    std::string model, status, reason;
    int tie_points = 0;
    double dx_m = 0, dy_m = 0, rmse_m = 0, ce90_m = 0;
};

/// "fenceline-transform/1".
extern const char* const kTransformSchema;

/// The text that parse_transform reads back to the same values, bit for bit.
std::string transform_json(const SavedTransform& transform);
/// name is used in messages. Throws DataError: not JSON, another schema, a value that is missing or
/// not allowed.
SavedTransform parse_transform(const std::string& text, const std::string& name);
/// Throws DataError.
SavedTransform read_transform(const std::string& path);

}  // namespace fenceline
