#pragma once

#include <gdal_priv.h>

#include <memory>
#include <string>
#include <vector>

namespace fenceline {

/// Keeps GDAL's messages of this thread while it lives; nothing is printed.
class GdalMessages {
  public:
    GdalMessages();
    ~GdalMessages();
    GdalMessages(const GdalMessages&) = delete;
    GdalMessages& operator=(const GdalMessages&) = delete;
    bool failed() const { return !first_.empty(); }
    /// GDAL's own words: the first failure and, when it says something else, the last.
    std::string text() const;

  private:
    static void CPL_STDCALL note(CPLErr level, CPLErrorNum number, const char* message);
    std::string first_, last_;
};

struct CloseDataset {
    void operator()(GDALDataset* dataset) const { GDALClose(dataset); }
};
using DatasetPtr = std::unique_ptr<GDALDataset, CloseDataset>;

/// Why a path may not be given to GDAL at all (network, virtual file systems, subdataset syntax,
/// control characters); empty when it may.
std::string path_fault(const std::string& path);

/// Opens a raster with the image drivers only and none of the sidecars that move an image
/// (.aux.xml, world files) or replace its pixels (.ovr). Sizes, blocks, bands and sample types are
/// checked before any pixel is read: a file that would need more than 256 MiB for one block is
/// refused. decoders: threads that decode its blocks (GeoTIFF). Throws DataError with GDAL's own
/// words.
DatasetPtr open_image(const std::string& path, int decoders = 1);

/// Bands that carry data, 1-based (all but alpha), and the alpha band or 0. A fourth 8-bit band
/// that is called alpha and has values in between in a quarter of its samples is data.
struct ImageBands {
    std::vector<int> data;
    int alpha = 0;
};
ImageBands image_bands(GDALDataset& image);

/// Sidecars beside the image that would move it if they were honoured, in words; they are not.
std::vector<std::string> georeference_conflicts(const std::string& path, GDALDataset& image);

}  // namespace fenceline
