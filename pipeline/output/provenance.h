#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/report.h"

namespace fenceline {

/// One file that the run read: an image, a sidecar, a mask, a catalogue, a configuration.
struct ProvenanceInput {
    std::string path;    ///< on this machine; hashed, never written down
    std::string name;    ///< as the report names it, relative to SRC
    std::string sha256;  ///< when it was hashed before it was decoded; empty: hashed now
};

struct Provenance {
    std::vector<std::string> arguments;  ///< the command line, without the program's path
    std::string parameters_ini;          ///< what --print-config prints
    std::vector<ProvenanceInput> inputs;
    Time start, end;  ///< from run_clock()
};

/// Now, or the time of SOURCE_DATE_EPOCH when that is set (reproducible builds' convention). Throws
/// UsageError when it is not a number.
Time run_clock();

/// Name and version of the libraries that results depend on.
std::map<std::string, std::string> library_versions();

/// ro-crate-metadata.json: RO-Crate 1.1 with the Process Run Crate profile. Every regular file
/// under folder, but itself, is a result with size and SHA-256; every input is named by the hash of
/// its bytes (RFC 6920). Order is by name. Throws DataError when a file cannot be read.
std::string ro_crate_json(const Report& report, const Provenance& provenance,
                          const std::string& folder);

}  // namespace fenceline
