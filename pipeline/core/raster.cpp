#include "core/raster.h"

namespace fenceline {

const char* name_of(BandRole role) {
    switch (role) {
        case BandRole::pan:
            return "pan";
        case BandRole::blue:
            return "blue";
        case BandRole::green:
            return "green";
        case BandRole::red:
            return "red";
        case BandRole::nir:
            return "nir";
        case BandRole::other:
            return "other";
    }
    return "other";
}

Plane luminance(const Raster& raster) {
    if (raster.bands.empty()) return {};
    std::vector<const Plane*> used;
    for (const BandRole role : {BandRole::blue, BandRole::green, BandRole::red})
        if (const Plane* plane = raster.band(role)) used.push_back(plane);
    if (const Plane* pan = raster.band(BandRole::pan); used.empty() && pan != nullptr)
        used.push_back(pan);
    if (used.empty()) used.push_back(&raster.bands.front());
    Plane mean(used.front()->width(), used.front()->height());
    const float weight = 1.0F / static_cast<float>(used.size());
    for (int y = 0; y < mean.height(); ++y) {
        float* out = mean.row(y);
        for (const Plane* plane : used) {
            const float* in = plane->row(y);
            for (int x = 0; x < mean.width(); ++x) out[x] += weight * in[x];
        }
    }
    return mean;
}

}  // namespace fenceline
