#pragma once

#include <string_view>

namespace fenceline {

/// The bytes of a file that was built into the program (templates, schema, Leaflet, Chart.js), by
/// its file name. Throws std::logic_error for a name that was not built in.
std::string_view embedded_file(std::string_view name);

}  // namespace fenceline
