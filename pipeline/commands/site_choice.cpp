#include "commands/site_choice.h"

#include <fmt/format.h>

#include <algorithm>

#include "commands/installed.h"
#include "core/error.h"
#include "input/sites.h"

namespace fenceline {

Site choose_site(const std::string& catalogue, const std::string& id) {
    const std::string file =
        catalogue.empty() ? installed_file("configs/sites.geojson") : catalogue;
    return choose_site(read_sites(file), file, id);
}

Site choose_site(const std::vector<Site>& sites, const std::string& file, const std::string& id) {
    const auto found =
        std::find_if(sites.begin(), sites.end(), [&](const Site& site) { return site.id == id; });
    if (found != sites.end()) return *found;
    if (sites.empty()) throw UsageError(fmt::format("--site {}: {} holds no site", id, file));
    std::string ids;
    for (std::size_t i = 0; i < std::min<std::size_t>(sites.size(), 20); ++i)
        ids += (i > 0 ? ", " : "") + sites[i].id;
    if (sites.size() > 20)
        ids += fmt::format(", … ({} in all; fenceline sites list shows them)", sites.size());
    throw UsageError(
        fmt::format("--site {}: {} has no site of this id; allowed: {}", id, file, ids));
}

}  // namespace fenceline
