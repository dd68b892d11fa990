#pragma once

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>

#include "core/grid.h"
#include "core/progress.h"

namespace fenceline {

/// Calls body(y0, y1) for bands of rows, in parallel. Every row is computed by the same arithmetic whatever the split:
/// bodies must not carry anything from one row to another outside their band.
template <class Body>
void parallel_rows(int height, const Body& body) {
    tbb::parallel_for(tbb::blocked_range<int>(0, height, 16), [&](const tbb::blocked_range<int>& rows) {
        throw_if_cancelled();
        body(rows.begin(), rows.end());
    });
}

/// Calls body(i) for 0 <= i < count, in parallel.
template <class Body>
void parallel_items(int count, const Body& body) {
    tbb::parallel_for(0, count, [&](int i) {
        throw_if_cancelled();
        body(i);
    });
}

/// Calls body(core, with_halo) for tiles of tile × tile pixels, in parallel. The result may only be written inside
/// core; with_halo is core grown by halo and clipped to the raster.
template <class Body>
void parallel_tiles(int width, int height, int tile, int halo, const Body& body) {
    const int columns = (width + tile - 1) / tile, rows = (height + tile - 1) / tile;
    parallel_items(columns * rows, [&](int k) {
        const int x = (k % columns) * tile, y = (k / columns) * tile;
        const Window core{x, y, std::min(tile, width - x), std::min(tile, height - y)};
        body(core, grow(core, halo, width, height));
    });
}

}  // namespace fenceline
