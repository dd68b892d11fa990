#pragma once

#include <string>

#include "core/site.h"

namespace fenceline {

/// The site of this id out of a catalogue file. Throws UsageError that names the nearest ids when
/// there is none.
Site choose_site(const std::string& catalogue, const std::string& id);

}  // namespace fenceline
