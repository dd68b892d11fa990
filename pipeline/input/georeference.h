#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/grid.h"
#include "input/dataset.h"
#include "input/image_io.h"

namespace fenceline {

/// Where the pixels of an open image lie on the ground: an affine geotransform with a CRS, else
/// RPCs (constant height or DEM), else GCPs. Not for use by two threads at once. Keeps a reference
/// to the dataset.
class Georeference {
  public:
    /// Throws DataError with the reason and the remedy when the image says nothing usable about its
    /// place.
    Georeference(const std::string& path, GDALDataset& image, const GeorefOptions& options);
    ~Georeference();
    Georeference(Georeference&&) noexcept;
    Georeference& operator=(Georeference&&) = delete;

    /// Image pixel (outer corner of the first pixel is (0,0)) to WGS 84; infinity where there is no
    /// answer.
    Point lonlat_from_px(Point px) const;
    /// Grid CRS to image pixels, for a list of points in place. Points without an answer become
    /// infinite.
    void px_from_map(const std::string& crs_wkt, std::vector<Point>& points) const;
    const std::string& method() const { return method_; }      ///< "affine", "rpc", "gcp"
    const std::optional<Grid>& grid() const { return grid_; }  ///< affine only

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
    std::string method_;
    std::optional<Grid> grid_;
};

/// Image pixels of the points of a grid, interpolated between exactly computed nodes.
class SourceLattice {
  public:
    /// Covers [x0, x1] × [y0, y1] in grid pixels. Nodes are at most 16 px apart, closer where
    /// interpolation would be off by more than tolerance_px source pixels.
    SourceLattice(const Georeference& georeference, const Grid& grid, double x0, double y0,
                  double x1, double y1, double tolerance_px);
    /// Infinity where the transform has no answer. May be called by many threads.
    Point operator()(Point grid_px) const;
    int step() const { return step_; }

  private:
    double x0_ = 0, y0_ = 0;
    int step_ = 16, columns_ = 0, rows_ = 0;
    std::vector<Point> nodes_;
};

}  // namespace fenceline
