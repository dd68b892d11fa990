#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/geometry.h"
#include "core/time.h"

namespace fenceline {

struct SiteNames {
    std::string ko, hanja, rr,
        mr;  ///< Hangul, Hanja, Revised Romanisation, McCune–Reischauer; empty: not known
    std::vector<std::string> aliases;
    bool operator==(const SiteNames&) const = default;
};

/// A known place that is watched (CONTRACT.md, site catalogue).
struct Site {
    std::string id, name;
    SiteNames names;
    std::string type;      ///< one of site_types()
    std::string province;  ///< empty: not known
    std::string status;    ///< free text: operating, closed, unknown …
    std::vector<std::string> sources;
    Ring area_lonlat;             ///< area of interest; empty when the source gives no position
    std::optional<Point> centre;  ///< set when the catalogue gives a Point
    double radius_m = 0;          ///< with centre
    Ring perimeter_lonlat;        ///< the known line; empty: none known
    std::optional<Time> perimeter_date;
};

/// The ten allowed types, in CONTRACT.md's order.
const std::vector<std::string>& site_types();

}  // namespace fenceline
