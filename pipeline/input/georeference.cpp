#include "input/georeference.h"

#include <cpl_string.h>
#include <fmt/format.h>
#include <gdal_alg.h>
#include <ogr_spatialref.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/projection.h"

namespace fenceline {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::string wkt2(const OGRSpatialReference* crs) {
    if (crs == nullptr || crs->IsEmpty()) return {};
    char* text = nullptr;
    const char* const options[] = {"FORMAT=WKT2_2019", nullptr};
    std::string wkt;
    if (crs->exportToWkt(&text, options) == OGRERR_NONE && text != nullptr) wkt = text;
    CPLFree(text);
    return wkt;
}

bool usable(const std::array<double, 6>& g) {
    for (const double value : g)
        if (!std::isfinite(value)) return false;
    return std::abs(g[1] * g[5] - g[2] * g[4]) > 0 && g != std::array<double, 6>{0, 1, 0, 0, 0, 1};
}

}  // namespace

struct Georeference::Impl {
    std::string path;
    std::optional<Transform> to_lonlat;  // affine: from the image's CRS
    mutable std::string map_crs;
    mutable std::optional<Transform> image_crs_from_map;
    void* transformer = nullptr;  // RPC, GCP: image px <-> lonlat
    ~Impl() {
        if (transformer != nullptr) GDALDestroyGenImgProjTransformer(transformer);
    }
};

Georeference::Georeference(const std::string& path, GDALDataset& image,
                           const GeorefOptions& options)
    : impl_(std::make_unique<Impl>()) {
    impl_->path = path;
    GdalMessages messages;
    Grid own;
    const bool has_transform =
        image.GetGeoTransform(own.geotransform.data()) == CE_None && usable(own.geotransform);
    own.crs_wkt = wkt2(image.GetSpatialRef());
    own.width = image.GetRasterXSize();
    own.height = image.GetRasterYSize();
    if (has_transform && !own.crs_wkt.empty()) {
        const OGRSpatialReference& crs = *image.GetSpatialRef();
        if (!crs.IsProjected() && !crs.IsGeographic())
            throw DataError(path,
                            fmt::format("its CRS ({}) is tied to no place on Earth", crs.GetName()),
                            "assign one with gdal_edit.py -a_srs");
        method_ = "affine";
        grid_ = own;
        impl_->to_lonlat.emplace(own.crs_wkt, "EPSG:4326");
        return;
    }
    char** rpc = image.GetMetadata("RPC");
    const bool has_rpc = rpc != nullptr && CSLCount(rpc) > 0;
    if (!has_rpc && image.GetGCPCount() < 3) {
        if (has_transform)
            throw DataError(path, "the image has no CRS",
                            "assign one with gdal_edit.py -a_srs EPSG:…");
        throw DataError(
            path,
            "the image has no georeference (no geotransform with a CRS, no RPCs, no ground control "
            "points)",
            "give it one with gdal_translate -a_srs … -a_ullr …, or use the vendor's original");
    }
    CPLStringList settings;
    settings.SetNameValue("DST_SRS", "EPSG:4326");
    if (has_rpc) {
        method_ = "rpc";
        settings.SetNameValue("METHOD", "RPC");
        if (options.dem_path.empty()) {
            settings.SetNameValue("RPC_HEIGHT", fmt::format("{}", options.height_m).c_str());
        } else {
            open_image(options.dem_path);  // same checks as any image
            settings.SetNameValue("RPC_DEM", options.dem_path.c_str());
            settings.SetNameValue("RPC_DEM_INTERPOLATION", "bilinear");
            // Ground outside the DEM gets the constant height instead of no place at all.
            settings.SetNameValue("RPC_DEM_MISSING_VALUE",
                                  fmt::format("{}", options.height_m).c_str());
        }
        settings.SetNameValue("RPC_PIXEL_ERROR_THRESHOLD", "0.001");
    } else {
        method_ = "gcp";
        if (wkt2(image.GetGCPSpatialRef()).empty())
            throw DataError(path, "its ground control points have no CRS",
                            "assign one with gdal_translate -a_srs");
        settings.SetNameValue("METHOD", image.GetGCPCount() > 100 ? "GCP_TPS" : "GCP_POLYNOMIAL");
        // Degree 1 up to 9 points: a quadratic through few points swings between them.
        settings.SetNameValue("MAX_GCP_ORDER", image.GetGCPCount() < 10 ? "1" : "2");
    }
    impl_->transformer = GDALCreateGenImgProjTransformer2(&image, nullptr, settings.List());
    if (impl_->transformer == nullptr)
        throw DataError(path,
                        fmt::format("its {} cannot be used: {}",
                                    has_rpc ? "RPCs" : "ground control points", messages.text()));
}

Georeference::~Georeference() = default;
Georeference::Georeference(Georeference&&) noexcept = default;

Point Georeference::lonlat_from_px(Point px) const {
    if (grid_) return (*impl_->to_lonlat)(grid_->map_from_px(px));
    double x = px.x, y = px.y, z = 0;
    int ok = 0;
    GdalMessages messages;
    GDALGenImgProjTransform(impl_->transformer, FALSE, 1, &x, &y, &z, &ok);
    return ok != 0 ? Point{x, y} : Point{kInfinity, kInfinity};
}

void Georeference::px_from_map(const std::string& crs_wkt, std::vector<Point>& points) const {
    if (impl_->map_crs != crs_wkt || !impl_->image_crs_from_map) {
        impl_->image_crs_from_map.emplace(crs_wkt,
                                          grid_ ? grid_->crs_wkt : std::string("EPSG:4326"));
        impl_->map_crs = crs_wkt;
    }
    const bool same = grid_ && grid_->crs_wkt == crs_wkt;
    for (Point& p : points) {
        if (!same) p = (*impl_->image_crs_from_map)(p);
        if (grid_) p = grid_->px_from_map(p);
    }
    if (grid_) return;
    GdalMessages messages;
    std::vector<double> x, y, z(points.size(), 0.0);
    std::vector<int> ok(points.size(), 0);
    for (const Point& p : points) {
        x.push_back(p.x);
        y.push_back(p.y);
    }
    GDALGenImgProjTransform(impl_->transformer, TRUE, static_cast<int>(points.size()), x.data(),
                            y.data(), z.data(), ok.data());
    for (std::size_t i = 0; i < points.size(); ++i)
        points[i] = ok[i] != 0 ? Point{x[i], y[i]} : Point{kInfinity, kInfinity};
}

SourceLattice::SourceLattice(const Georeference& georeference, const Grid& grid, double x0,
                             double y0, double x1, double y1, double tolerance_px)
    : x0_(std::floor(x0)), y0_(std::floor(y0)) {
    const double width = std::max(1.0, x1 - x0_), height = std::max(1.0, y1 - y0_);
    for (step_ = 16;; step_ /= 2) {
        columns_ = static_cast<int>(std::ceil(width / step_)) + 1;
        rows_ = static_cast<int>(std::ceil(height / step_)) + 1;
        nodes_.clear();
        nodes_.reserve(static_cast<std::size_t>(columns_) * static_cast<std::size_t>(rows_));
        for (int j = 0; j < rows_; ++j)
            for (int i = 0; i < columns_; ++i)
                nodes_.push_back(grid.map_from_px({x0_ + i * step_, y0_ + j * step_}));
        georeference.px_from_map(grid.crs_wkt, nodes_);
        if (step_ == 1) return;
        // Cell centres are where a bilinear surface is farthest from a smooth one.
        const int skip = std::max(
            1, static_cast<int>(std::sqrt(static_cast<double>(columns_) * rows_ / 4096.0)));
        std::vector<Point> centres, exact;
        for (int j = 0; j + 1 < rows_; j += skip)
            for (int i = 0; i + 1 < columns_; i += skip) {
                centres.push_back({x0_ + (i + 0.5) * step_, y0_ + (j + 0.5) * step_});
                exact.push_back(grid.map_from_px(centres.back()));
            }
        georeference.px_from_map(grid.crs_wkt, exact);
        double worst = 0;
        for (std::size_t k = 0; k < centres.size(); ++k) {
            const double off = distance((*this)(centres[k]), exact[k]);
            if (std::isfinite(off)) worst = std::max(worst, off);
        }
        if (worst <= tolerance_px) return;
    }
}

Point SourceLattice::operator()(Point px) const {
    const double u = (px.x - x0_) / step_, v = (px.y - y0_) / step_;
    const int i = std::clamp(static_cast<int>(std::floor(u)), 0, std::max(0, columns_ - 2));
    const int j = std::clamp(static_cast<int>(std::floor(v)), 0, std::max(0, rows_ - 2));
    const double fx = u - i, fy = v - j;
    const std::size_t k = static_cast<std::size_t>(j) * static_cast<std::size_t>(columns_) +
                          static_cast<std::size_t>(i);
    const std::size_t below = k + static_cast<std::size_t>(columns_);
    const Point top = nodes_[k] + fx * (nodes_[k + 1] - nodes_[k]);
    const Point bottom = nodes_[below] + fx * (nodes_[below + 1] - nodes_[below]);
    return top + fy * (bottom - top);
}

}  // namespace fenceline
