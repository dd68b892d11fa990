#pragma once

#include <string>
#include <utility>
#include <vector>

namespace fenceline {

/// Writes a ZIP of these (name, bytes), in this order, with the fixed entry date 1980-01-01: same
/// content, same bytes. Names: relative, '/' between folders. Throws DataError (disk full
/// included).
void write_zip(const std::string& path,
               const std::vector<std::pair<std::string, std::string>>& files);

}  // namespace fenceline
