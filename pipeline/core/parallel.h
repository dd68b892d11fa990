#pragma once

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_pipeline.h>
#include <tbb/task_group.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <numeric>
#include <random>
#include <type_traits>
#include <vector>

#include "core/error.h"
#include "core/grid.h"
#include "core/progress.h"

namespace fenceline {

/// oneTBB ends a loop inside another loop's item early, without a word, when another item of the
/// outer one has thrown: what the inner loop should have made is not whole, and must not be used.
inline void throw_if_abandoned() {
    if (tbb::is_current_task_group_canceling()) throw Cancelled{};
}

/// Calls body(y0, y1) for bands of rows, in parallel. Every row is computed by the same arithmetic
/// whatever the split: bodies must not carry anything from one row to another outside their band.
template <class Body>
void parallel_rows(int height, const Body& body) {
    tbb::parallel_for(tbb::blocked_range<int>(0, height, 16),
                      [&](const tbb::blocked_range<int>& rows) {
                          throw_if_cancelled();
                          body(rows.begin(), rows.end());
                      });
    throw_if_abandoned();
}

/// For tests: another order in which parallel_items() hands its items out; 0: as they come.
inline std::atomic<unsigned> item_order{0};

/// Calls body(i) for 0 <= i < count, in parallel.
template <class Body>
void parallel_items(int count, const Body& body) {
    std::vector<int> order;
    if (const unsigned seed = item_order; seed != 0 && count > 1) {
        order.resize(static_cast<std::size_t>(count));
        std::iota(order.begin(), order.end(), 0);
        std::shuffle(order.begin(), order.end(), std::minstd_rand(seed));
    }
    tbb::parallel_for(0, count, [&](int i) {
        throw_if_cancelled();
        body(order.empty() ? i : order[static_cast<std::size_t>(i)]);
    });
    throw_if_abandoned();
}

/// Calls body(core, with_halo) for tiles of tile × tile pixels, in parallel. The result may only be
/// written inside core; with_halo is core grown by halo and clipped to the raster.
template <class Body>
void parallel_tiles(int width, int height, int tile, int halo, const Body& body) {
    const int columns = (width + tile - 1) / tile, rows = (height + tile - 1) / tile;
    parallel_items(columns * rows, [&](int k) {
        const int x = (k % columns) * tile, y = (k / columns) * tile;
        const Window core{x, y, std::min(tile, width - x), std::min(tile, height - y)};
        body(core, grow(core, halo, width, height));
    });
}

/// make(i) for 0 <= i < count, at most in_flight of them at a time; take(i, result) is called for
/// each in order, one after the other. For work whose memory matters: what is made but not yet
/// taken never exceeds in_flight.
template <class Make, class Take>
void parallel_in_order(int count, int in_flight, const Make& make, const Take& take) {
    using Result = std::invoke_result_t<const Make&, int>;
    using Item = std::shared_ptr<std::pair<int, Result>>;
    int next = 0;
    tbb::parallel_pipeline(
        static_cast<std::size_t>(std::max(1, in_flight)),
        tbb::make_filter<void, int>(tbb::filter_mode::serial_in_order, [&](tbb::flow_control&
                                                                               flow) {
            if (next < count) return next++;
            flow.stop();
            return 0;
        }) & tbb::make_filter<int, Item>(tbb::filter_mode::parallel, [&](int i) {
            throw_if_cancelled();
            return std::make_shared<std::pair<int, Result>>(i, make(i));
        }) & tbb::make_filter<Item, void>(tbb::filter_mode::serial_in_order, [&](const Item& item) {
            take(item->first, std::move(item->second));
        }));
    throw_if_abandoned();
}

}  // namespace fenceline
