#pragma once

#include <span>
#include <vector>

#include "stages/perimeter_looks.h"

namespace fenceline {

// Closed lines where none is known.

struct ProposedLine {
    Ring ring_px;
    double contrast = 0;  ///< thin-line contrast (perimeter_ridges.h), mean along it
    double weakest = 0;   ///< lower quartile of the same
    double worth = 0;     ///< metres times contrast beyond what roads and hedges show
};

/// Closed lines of at least .3 ha that some looks show, the one with the most worth first: from the
/// places where a thin line shows best, the cheapest way from one side of the place to the other
/// around a barrier across it (Dijkstra 1959, 16 directions, squared cost on cells of 2 U). Nothing
/// is asked of where the site's middle is. Empty where walls are not seen as such, or nothing
/// closes. They are rough, within a cell or two.
std::vector<ProposedLine> propose_lines(const Series& series, std::span<const int> looks);

/// Whether a proposed line shows as much as walls do all the way around.
bool is_clear(const ProposedLine& line);

}  // namespace fenceline
