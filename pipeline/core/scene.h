#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/geometry.h"
#include "core/raster.h"
#include "core/time.h"

namespace fenceline {

/// What is known of a scene before its pixels are read. Optional: not known.
struct SceneInfo {
    std::string id;
    std::string path;    ///< the file that is opened
    std::string source;  ///< how it was found, for the report: path relative to SRC
    std::optional<Time> datetime;
    std::optional<Time> datetime_end;  ///< set when only an interval is known (STAC start/end):
                                       ///< datetime is its start
    std::string datetime_from;         ///< "stac", "csv", "metadata", "file name"
    std::string sensor;
    double gsd_m = 0;  ///< 0: taken from the geotransform when opened
    int band_count = 0;
    std::vector<BandRole> roles;
    Ring footprint_lonlat;  ///< the image's outline on the ground; empty: not known
    std::optional<double> sun_azimuth_deg,
        sun_elevation_deg;      ///< clockwise from north; above the horizon
    bool sun_computed = false;  ///< from time and place, not from metadata
    std::optional<double> off_nadir_deg,
        view_azimuth_deg;   ///< azimuth from the place to the satellite
    std::string mask_path;  ///< given mask; empty: none
    std::string mask_kind;  ///< "udm2", "scl", "clear" (nonzero = usable) or empty
    bool simulated = false;
    std::string sha256;  ///< of path's file, hex
    std::vector<std::string>
        extra_files;                 ///< sidecars that were read (metadata, mask), for provenance
    std::vector<std::string> notes;  ///< facts a reader should know ("georeference differs", …)
    std::string left_out;            ///< the reason; empty: usable so far
};

/// Bits of Scene::masks. A pixel without any bit is clear ground.
enum MaskBit : std::uint8_t {
    kNoData = 1,
    kSaturated = 2,
    kCloud = 4,
    kCloudShadow = 8,
    kSnow = 16,
    kHaze = 32,
};
/// Pixels in which nothing on the ground can be seen.
constexpr std::uint8_t kHidden = kNoData | kCloud | kCloudShadow;

/// One scene on the common grid.
struct Scene {
    SceneInfo info;
    Raster raster;
    Mask masks;  ///< MaskBit bits, same size as the raster
    double usable_fraction =
        0;  ///< share of the area of interest in which the ground can be seen, 0–1
    /// May start a change (usable fraction high enough), not only support one.
    bool may_start_change = true;

    bool seen(int x, int y) const { return (masks.at(x, y) & kHidden) == 0; }
};

}  // namespace fenceline
