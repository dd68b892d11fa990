#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/scene.h"

namespace fenceline {

/// What a source says of one scene, before the image is opened. info.left_out is set when that
/// already says no.
struct CatalogEntry {
    SceneInfo info;
    std::string checksum;                 ///< stated SHA-256 in hex; empty: none
    std::optional<std::uintmax_t> bytes;  ///< stated size of the file
    std::string crs;                      ///< stated "EPSG:…"; empty: none
    std::vector<double> transform;        ///< stated geotransform in GDAL's order; empty: none
    int width = 0, height = 0;            ///< stated size; 0: none
};

/// STAC Item, ItemCollection, Collection or Catalog on disk; local links are followed, once each.
/// Throws DataError when the file is not STAC. Assets outside its folder are left out with that
/// reason.
std::vector<CatalogEntry> read_stac(const std::filesystem::path& json);

/// The metadata of a JSON file beside an image (a STAC Item or a Planet item), given to info where
/// still unknown. False when it is neither; never throws on its content.
bool add_sidecar_json(const std::filesystem::path& json, SceneInfo& info);

/// CSV as in CONTRACT.md. Throws DataError when the header lacks path or datetime; a bad row is an
/// entry left out.
std::vector<CatalogEntry> read_scene_csv(const std::filesystem::path& csv);

/// RFC 4180 with LF or CRLF and an optional BOM, cells separated by ',' or, where the first line
/// has none, by ';' or a tab: rows of cells, empty lines skipped. Throws DataError on a quote that
/// is never closed, on UTF-16 and above limit bytes.
std::vector<std::vector<std::string>> read_csv(const std::filesystem::path& path,
                                               std::size_t limit);

/// A number of a cell; its decimals stand behind a point or, as ';' goes with it, behind a comma.
std::optional<double> csv_number(std::string text);

/// The real path of href below root, or why it may not be used (outside, absolute, a network
/// address, missing).
struct LocalPath {
    std::filesystem::path path;
    std::string fault;
};
LocalPath local_path(const std::filesystem::path& root, const std::filesystem::path& base,
                     const std::string& href);

}  // namespace fenceline
