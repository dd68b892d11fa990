#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/progress.h"
#include "core/report.h"
#include "core/scene.h"
#include "input/given_lines.h"
#include "input/image_io.h"
#include "stages/align.h"
#include "stages/align_series.h"
#include "stages/difference.h"
#include "stages/findings.h"
#include "stages/normalize.h"
#include "stages/observe.h"
#include "stages/perimeter.h"
#include "stages/structures.h"
#include "stages/track.h"

namespace fenceline {

/// The parameters of every stage, in the order of the line.
struct RunOptions {
    ObserveOptions observe;
    AlignOptions align;
    NormalizeOptions normalize;
    DifferenceOptions difference;
    PerimeterOptions perimeter;
    StructureOptions structures;
    TrackOptions track;
    GeorefOptions georef;
    std::vector<GivenLine> given;  ///< lines drawn by hand, measured beside the traced ones
    std::string reference;         ///< id of the scene to register to; empty: chosen
    std::size_t max_memory_bytes = std::size_t{2048} << 20;
};
template <class Visitor>
void describe(RunOptions& o, Visitor&& v) {
    describe(o.observe, v);
    describe(o.align, v);
    describe(o.normalize, v);
    describe(o.difference, v);
    describe(o.perimeter, v);
    describe(o.structures, v);
    describe(o.track, v);
}

/// What a run found, and what its files are made of.
struct SiteRun {
    Report report;
    Grid grid;
    std::vector<SceneInfo> inputs;  ///< every scene of SRC, used or not
    std::vector<SceneInfo> scenes;  ///< usable ones, time order; the indices below are into this
    std::vector<Alignment> alignments;  ///< same order; the reference's is an identity
    std::size_t reference = 0;
    PerimeterResult perimeter;
};

/// Who wants to see pixels while they are in memory; each may be empty.
struct SiteObservers {
    /// A scene on the common grid, registered, before its radiometry is changed.
    std::function<void(const Scene&)> registered;
    /// The change between two consecutive usable scenes.
    std::function<void(const SceneInfo& before, const SceneInfo& after, const Grid&,
                       const ChangeMap&)>
        changed;
    /// At the end: any usable scene, normalised, by index.
    std::function<void(const SiteRun&,
                       const std::function<std::shared_ptr<const Scene>(std::size_t)>&)>
        finished;
};

/// The straight line: scenes of one site in, report out. scenes as find_scenes gives them (those
/// left out stay in the report with their reasons). One bad scene never stops the run. Throws
/// DataError when no scene is usable or the area does not fit into the memory allowed.
SiteRun run_site(const Site& site, std::vector<SceneInfo> scenes, const RunOptions& options,
                 const std::string& scratch_dir, const SiteObservers& observers,
                 Progress& progress);

}  // namespace fenceline
