#pragma once

#include <string>

#include "core/report.h"

namespace fenceline {

// `fenceline export`: what a finished report becomes for other programs. Each writes into folder,
// which exists and is empty (StagedOutput). Same report, same bytes. All throw DataError when a
// file cannot be written.

/// gazetteer.csv (the site and every structure: name, kind, position), scenes.csv, perimeters.csv,
/// changes.csv, findings.csv. UTF-8, RFC 4180, texts guarded against spreadsheet formulas.
void export_csv(const Report& report, const std::string& folder);

/// A static STAC 1.0.0 catalogue: collection.json (the site), one item per scene that was used, one
/// per interval in which something changed (datetime null, derived_from both scenes) with its
/// changes as GeoJSON. Relative links only.
void export_stac(const Report& report, const std::string& folder);

/// uwazi.zip for Uwazi's CSV import: import.csv at the root and one GeoJSON per row. One "Satellite
/// observation" per interval; it relates to the facility by its title and never updates it.
/// report_sha256: of report.json.
void export_uwazi(const Report& report, const std::string& report_sha256,
                  const std::string& folder);

/// A BagIt bag (RFC 8493) of a finished run's folder, every payload file copied below data/.
void export_bagit(const Report& report, const std::string& run_folder, Time bagging_time,
                  const std::string& folder);

}  // namespace fenceline
