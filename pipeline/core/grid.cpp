#include "core/grid.h"

#include <algorithm>

namespace fenceline {

Window intersect(Window a, Window b) {
    const int x = std::max(a.x, b.x), y = std::max(a.y, b.y);
    const int right = std::min(a.x + a.width, b.x + b.width),
              bottom = std::min(a.y + a.height, b.y + b.height);
    return {x, y, std::max(0, right - x), std::max(0, bottom - y)};
}

Window grow(Window window, int margin, int width, int height) {
    return intersect({window.x - margin, window.y - margin, window.width + 2 * margin,
                      window.height + 2 * margin},
                     {0, 0, width, height});
}

}  // namespace fenceline
