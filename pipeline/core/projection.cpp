#include "core/projection.h"

#include <fmt/format.h>
#include <proj.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace fenceline {

struct Transform::Impl {
    PJ_CONTEXT* context = nullptr;
    PJ* operation = nullptr;
    ~Impl() {
        if (operation != nullptr) proj_destroy(operation);
        if (context != nullptr) proj_context_destroy(context);
    }
};

Transform::Transform(const std::string& from_crs, const std::string& to_crs)
    : impl_(std::make_unique<Impl>()) {
    impl_->context = proj_context_create();
    proj_log_level(impl_->context, PJ_LOG_NONE);
    proj_context_set_enable_network(impl_->context, 0);
    PJ* raw = proj_create_crs_to_crs(impl_->context, from_crs.c_str(), to_crs.c_str(), nullptr);
    if (raw == nullptr)
        throw DataError(
            "coordinate system",
            fmt::format("no transformation from {} to {}", from_crs.substr(0, 60),
                        to_crs.substr(0, 60)),
            "give the image a CRS that PROJ knows, for example with gdal_edit.py -a_srs EPSG:…");
    impl_->operation = proj_normalize_for_visualization(impl_->context, raw);
    proj_destroy(raw);
    if (impl_->operation == nullptr)
        throw DataError("coordinate system", "PROJ cannot order the axes");
}
Transform::~Transform() = default;
Transform::Transform(Transform&&) noexcept = default;
Transform& Transform::operator=(Transform&&) noexcept = default;

Point Transform::operator()(Point p) const {
    const PJ_COORD out = proj_trans(impl_->operation, PJ_FWD, proj_coord(p.x, p.y, 0, 0));
    return {out.xy.x, out.xy.y};
}
Point Transform::inverse(Point p) const {
    const PJ_COORD out = proj_trans(impl_->operation, PJ_INV, proj_coord(p.x, p.y, 0, 0));
    return {out.xy.x, out.xy.y};
}
Ring Transform::operator()(const Ring& ring) const {
    Ring out;
    out.reserve(ring.size());
    for (const Point p : ring) out.push_back((*this)(p));
    return out;
}

std::string utm_crs(Point lonlat) {
    const double east = lonlat.x - 360 * std::floor((lonlat.x + 180) / 360);  // -180 to 180
    const int zone = std::clamp(static_cast<int>(std::floor((east + 180.0) / 6.0)) + 1, 1, 60);
    return fmt::format("EPSG:{}", (lonlat.y >= 0 ? 32600 : 32700) + zone);
}

namespace {
struct Crs {
    PJ_CONTEXT* context = proj_context_create();
    PJ* pj = nullptr;
    explicit Crs(const std::string& text) {
        proj_log_level(context, PJ_LOG_NONE);
        proj_context_set_enable_network(context, 0);
        pj = proj_create(context, text.c_str());
    }
    ~Crs() {
        if (pj != nullptr) proj_destroy(pj);
        proj_context_destroy(context);
    }
    Crs(const Crs&) = delete;
    Crs& operator=(const Crs&) = delete;
};
}  // namespace

std::string wkt_of(const std::string& crs) {
    const Crs parsed(crs);
    const char* options[] = {"MULTILINE=NO", nullptr};
    const char* wkt = parsed.pj != nullptr
                          ? proj_as_wkt(parsed.context, parsed.pj, PJ_WKT2_2019, options)
                          : nullptr;
    if (wkt == nullptr)
        throw DataError("coordinate system", "PROJ does not know '" + crs.substr(0, 80) + "'");
    return wkt;
}

std::string short_crs_name(const std::string& crs_wkt) {
    const Crs parsed(crs_wkt);
    if (parsed.pj == nullptr) return crs_wkt;
    if (const char* code = proj_get_id_code(parsed.pj, 0))
        return std::string(proj_get_id_auth_name(parsed.pj, 0)) + ":" + code;
    int* confidences = nullptr;
    PJ_OBJ_LIST* list = proj_identify(parsed.context, parsed.pj, "EPSG", nullptr, &confidences);
    std::string name;
    if (list != nullptr && proj_list_get_count(list) > 0 && confidences[0] >= 90) {
        PJ* best = proj_list_get(parsed.context, list, 0);
        if (best != nullptr) {
            if (const char* code = proj_get_id_code(best, 0)) name = std::string("EPSG:") + code;
            proj_destroy(best);
        }
    }
    if (list != nullptr) proj_list_destroy(list);
    if (confidences != nullptr) proj_int_list_destroy(confidences);
    if (!name.empty()) return name;
    const char* own = proj_get_name(parsed.pj);
    return own != nullptr ? own : crs_wkt;
}

GridProjection::GridProjection(const Grid& grid)
    : grid_(grid), to_lonlat_(grid.crs_wkt, "EPSG:4326") {}

Ring GridProjection::lonlat_from_px(const Ring& ring) const {
    Ring out;
    out.reserve(ring.size());
    for (const Point p : ring) out.push_back(lonlat_from_px(p));
    return out;
}
Ring GridProjection::px_from_lonlat(const Ring& ring) const {
    Ring out;
    out.reserve(ring.size());
    for (const Point p : ring) out.push_back(px_from_lonlat(p));
    return out;
}

}  // namespace fenceline
