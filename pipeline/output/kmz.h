#pragma once

#include <span>
#include <string>

#include "core/report.h"
#include "output/image_chips.h"

namespace fenceline {

/// The document of report.kmz: perimeters, structures and changes with time spans, every
/// whole-scene chip as a ground overlay shown from its date to the next one's. Text from outside is
/// escaped twice in descriptions, because Google Earth reads those as HTML.
std::string report_kml(const Report& report, std::span<const ImageChip> chips);

/// report.kmz: doc.kml and the pictures. Same values, same bytes. Throws DataError.
void write_kmz(const std::string& path, const Report& report, std::span<const ImageChip> chips);

}  // namespace fenceline
