#pragma once

#include <functional>
#include <string>

namespace fenceline {

/// Why a result file cannot be written there (exists and overwrite is not set, its folder is
/// missing), in words with the remedy; empty when it can.
std::string output_file_fault(const std::string& path, bool overwrite);

/// The file whole or not at all: write(temporary path beside it), then renamed. The temporary file
/// is removed when write throws. Throws DataError.
void write_file_whole(const std::string& path,
                      const std::function<void(const std::string&)>& write);

}  // namespace fenceline
