#include "commands/heights.h"

namespace fenceline {

void describe_heights(GeorefOptions& georef, OptionTable& table) {
    table.text("dem", georef.dem_path, "FILE", "heights for images that come with RPCs");
    table("height", georef.height_m, Range{-500, 9000}, "m",
          "constant height for images that come with RPCs and no --dem");
}

}  // namespace fenceline
