#pragma once

#include <memory>

#include "core/progress.h"
#include "core/scene.h"
#include "input/image_io.h"
#include "stages/align.h"
#include "stages/observe.h"

namespace fenceline {

struct AlignPairOptions {
    ObserveOptions observe;
    AlignOptions align;
    GeorefOptions georef;
};
template <class Visitor>
void describe(AlignPairOptions& o, Visitor&& v) {
    describe(o.observe, v);
    describe(o.align, v);
}

/// TARGET registered to REFERENCE.
struct AlignOutcome {
    Alignment alignment;
    Grid grid;       ///< REFERENCE's own
    SceneInfo info;  ///< TARGET's
    /// TARGET on that grid, sampled once, to be read in windows; empty when the status is fail.
    std::shared_ptr<GridReader> registered;
};

/// Registers one image to another, of any CRS, GSD and bands; the result lies on REFERENCE's own
/// grid. Pairs over 16 Mpx are matched on means of blocks, at most so many of them. Infos as
/// probe_image fills them in. Throws DataError when one cannot be read or they do
/// not overlap.
AlignOutcome align_pair(const SceneInfo& reference, const SceneInfo& target,
                        const AlignPairOptions& options, Progress& progress);

/// TARGET through a registration that is already known: warp, in the pixels of own (the grid that
/// it was found on), brings it onto REFERENCE's own grid, sampled once. The outcome's alignment is
/// empty but for the warp. Throws DataError when REFERENCE shows other ground than own covers.
AlignOutcome apply_transform(const SceneInfo& reference, const SceneInfo& target, const Grid& own,
                             const Warp& warp, const AlignPairOptions& options, Progress& progress);

}  // namespace fenceline
