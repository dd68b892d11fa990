#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/geometry.h"
#include "core/site.h"
#include "core/time.h"

namespace fenceline {

/// The values of report.json (CONTRACT.md), in its order and words. Lengths m, areas m² (geodesic),
/// angles degrees, geometry WGS 84 longitude/latitude. Interval: 95 % unless said otherwise.

struct Interval {
    double low = 0, high = 0;
    bool operator==(const Interval&) const = default;
};

struct ReportSoftware {
    std::string name, version, commit;
};

struct ReportGrid {
    std::string crs;
    double gsd_m = 0;
    int width = 0, height = 0;
    std::array<double, 6> geotransform{};
};

struct RegistrationSummary {
    std::string
        model;  ///< identity (reference only), translation, similarity, affine, affine+local
    double dx_m = 0, dy_m = 0;  ///< mean shift that was removed, east and north
    int tie_points = 0;
    double rmse_m = 0, ce90_m = 0;  ///< expected over the ground that tie points support
    std::string status;             ///< pass, warn, fail
    /// What was removed where: dx_m, dy_m at places all over the grid.
    struct Sample {
        Point lonlat;
        double dx_m = 0, dy_m = 0;
    };
    std::vector<Sample> samples = {};
};

struct BandNormalization {
    double gain = 1, offset = 0, rmse_before = 0, rmse_after = 0;
};
struct NormalizationSummary {
    std::string method;  ///< reference, ir_mad, theil_sen, none
    std::vector<BandNormalization> bands;
};

struct ReportScene {
    std::string id;
    std::optional<Time> datetime, datetime_end;
    std::string source, sha256, sensor;
    double gsd_m = 0;
    int bands = 0;
    std::optional<double> sun_azimuth, sun_elevation, off_nadir;
    double usable_fraction = 0;
    std::string role;    ///< reference, used, left_out
    std::string reason;  ///< why left out, or a caveat; may be empty
    std::vector<std::string> notes;
    std::optional<RegistrationSummary> registration;
    std::optional<NormalizationSummary> normalization;
};

struct PerimeterSegment {
    std::string support;  ///< seen, bridged, hidden
    double length_m = 0;
};

struct ReportPerimeter {
    std::string scene;
    Time datetime;
    double area_m2 = 0, length_m = 0;
    Interval area_ci, length_ci;
    double supported_fraction = 0;
    std::string origin;  ///< traced, given
    Ring geometry;
    std::vector<PerimeterSegment> segments;
};

struct StructureObservation {
    std::string scene;
    std::string seen;  ///< present, absent, not_observable
    double score = 0;  ///< log-likelihood ratio, natural log
};

struct ReportStructure {
    std::string id;
    std::string kind;  ///< building, guard_post
    Ring footprint;    ///< building; empty for posts
    Point position;    ///< post, or the footprint's centroid
    double area_m2 = 0;
    std::optional<double> height_m;
    std::optional<Interval> height_ci;
    std::optional<Time> last_not_seen, first_seen, last_seen, first_not_seen;
    double confidence = 0;  ///< probability that it exists, 0–1
    std::vector<StructureObservation> observations;
};

struct ChangeObservation {
    std::string scene;
    double log_likelihood_ratio = 0;
};

struct ReportChange {
    std::string id;
    std::string kind;   ///< CONTRACT.md's list: new_building … vegetation_change
    std::string state;  ///< candidate, provisional, confirmed, rejected, ended
    double confidence = 0;
    Ring footprint;  ///< outer ring; empty when position says it all (posts)
    Point position;
    double area_m2 = 0;
    std::optional<Interval> area_ci;
    std::optional<Time> last_not_seen, first_seen;
    std::optional<std::string> structure;
    std::vector<ChangeObservation> observations;
};

struct ReportFinding {
    std::string statement;
    std::string kind;
    /// Named measured values; an interval is stored under the name + "_low" / "_high" and written
    /// as NAME_ci.
    std::map<std::string, double> values;
    std::string likelihood;  ///< almost certain, very likely, likely, even chance, unlikely
    std::string confidence;  ///< high, moderate, low
    std::vector<std::string> confidence_reasons;
    std::vector<std::string> evidence;  ///< ids of changes, structures, scenes
};

struct NotObservable {
    Ring geometry;
    std::vector<std::string> scenes;
    std::string reason;
};

struct Report {
    ReportSoftware software;
    bool simulated = false;
    std::optional<Site> site;  ///< absent for compare
    ReportGrid grid;
    std::vector<ReportScene> scenes;
    std::vector<ReportPerimeter> perimeters;
    std::vector<ReportStructure> structures;
    std::vector<ReportChange> changes;
    std::vector<ReportFinding> findings;
    std::vector<NotObservable> not_observable;
};

}  // namespace fenceline
