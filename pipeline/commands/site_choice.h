#pragma once

#include <string>
#include <vector>

#include "core/site.h"

namespace fenceline {

/// The site of this id out of a catalogue file; empty: the one that comes with the program. Throws
/// UsageError that names ids that there are when there is none.
Site choose_site(const std::string& catalogue, const std::string& id);
/// The same out of the sites that were read from this file.
Site choose_site(const std::vector<Site>& sites, const std::string& file, const std::string& id);

}  // namespace fenceline
