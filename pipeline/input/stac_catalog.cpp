#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>

#include "core/error.h"
#include "input/catalog_sources.h"
#include "input/dataset.h"

namespace fenceline {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr std::uintmax_t kMaxJsonBytes = 64U << 20;
constexpr std::size_t kMaxDocuments = 100000;

/// Null when it cannot be read or is not JSON.
Json read_json(const fs::path& path) {
    std::error_code error;
    const auto size = fs::file_size(path, error);
    if (error || size > kMaxJsonBytes) return nullptr;
    std::ifstream in(path, std::ios::binary);
    Json json = Json::parse(in, nullptr, false);
    return json.is_discarded() ? Json(nullptr) : json;
}

// Foreign JSON: any member may be missing or of another type.
const Json& member(const Json& object, const char* key) {
    static const Json kNull;
    if (!object.is_object()) return kNull;
    const auto it = object.find(key);
    return it == object.end() ? kNull : *it;
}
std::string text_of(const Json& object, const char* key) {
    const Json& value = member(object, key);
    return value.is_string() ? value.get<std::string>() : std::string();
}
std::optional<double> number_of(const Json& object, const char* key, double low, double high) {
    const Json& value = member(object, key);
    if (!value.is_number()) return {};
    const auto number = value.get<double>();
    return number >= low && number <= high ? std::optional(number) : std::nullopt;
}

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

bool has_role(const Json& asset, std::string_view role) {
    const Json& roles = member(asset, "roles");
    if (!roles.is_array()) return false;
    return std::any_of(roles.begin(), roles.end(), [&](const Json& r) {
        return r.is_string() && r.get_ref<const std::string&>() == role;
    });
}

bool looks_like_image(const Json& asset) {
    const std::string type = lower(text_of(asset, "type")), href = lower(text_of(asset, "href"));
    if (type.find("tiff") != std::string::npos || type.find("jp2") != std::string::npos ||
        type.find("nitf") != std::string::npos)
        return true;
    for (const char* suffix : {".tif", ".tiff", ".jp2", ".ntf", ".nitf", ".til"})
        if (href.ends_with(suffix)) return true;
    return false;
}

bool is_mask(const std::string& key, const Json& asset, const char* word) {
    return lower(key).find(word) != std::string::npos || has_role(asset, word) ||
           lower(fs::path(text_of(asset, "href")).filename().string()).find(word) !=
               std::string::npos;
}

/// The asset that shows the ground: role data before anything, then the usual names, then the key's
/// order.
std::string data_asset(const Json& assets, std::vector<std::string>& others) {
    std::vector<std::pair<int, std::string>> ranked;
    for (const auto& [key, asset] : assets.items()) {
        if (!asset.is_object() || !looks_like_image(asset)) continue;
        const std::string name = lower(key);
        bool other = false;
        for (const char* role : {"overview", "thumbnail", "metadata", "cloud", "cloud-shadow",
                                 "saturation", "snow-ice", "data-mask", "land-water", "water-mask"})
            other = other || has_role(asset, role);
        for (const char* word : {"udm", "scl", "thumbnail", "preview", "overview"})
            other = other || name.find(word) != std::string::npos;
        if (other) continue;
        int rank = has_role(asset, "data") ? 0 : 10;
        const char* const names[] = {"analytic", "image", "data", "visual", "pan"};
        int by_name = 5;
        for (int i = 4; i >= 0; --i)
            if (name.find(names[i]) != std::string::npos) by_name = i;
        ranked.emplace_back(rank + by_name, key);
    }
    if (ranked.empty()) return {};
    std::sort(ranked.begin(), ranked.end());
    for (std::size_t i = 1; i < ranked.size(); ++i) others.push_back(ranked[i].second);
    return ranked.front().second;
}

std::vector<BandRole> roles_from_bands(const Json& bands) {
    std::vector<BandRole> roles;
    if (!bands.is_array()) return roles;
    for (const Json& band : bands) {
        std::string name = lower(text_of(band, "eo:common_name"));
        if (name.empty()) name = lower(text_of(band, "common_name"));
        if (name.empty()) name = lower(text_of(band, "name"));
        BandRole role = BandRole::other;
        if (name == "blue") role = BandRole::blue;
        if (name == "green") role = BandRole::green;
        if (name == "red") role = BandRole::red;
        if (name == "nir" || name == "nir08") role = BandRole::nir;
        if (name == "pan") role = BandRole::pan;
        roles.push_back(role);
    }
    if (std::all_of(roles.begin(), roles.end(), [](BandRole r) { return r == BandRole::other; }))
        roles.clear();
    return roles;
}

void add_properties(const Json& p, SceneInfo& info) {
    if (!info.datetime) {
        info.datetime = parse_time(text_of(p, "datetime"));
        if (!info.datetime)
            info.datetime = parse_time(text_of(p, "acquired"));  // Planet's item JSON
        if (!info.datetime) {
            const auto start = parse_time(text_of(p, "start_datetime")),
                       end = parse_time(text_of(p, "end_datetime"));
            if (start && end && *start <= *end) {
                info.datetime = start;
                if (*start < *end) info.datetime_end = end;
            }
        }
        if (info.datetime) info.datetime_from = "stac";
    }
    const auto fill = [&](std::optional<double>& to, std::initializer_list<const char*> keys,
                          double low, double high) {
        for (const char* key : keys)
            if (!to) to = number_of(p, key, low, high);
    };
    fill(info.sun_azimuth_deg, {"view:sun_azimuth", "sun_azimuth"}, 0, 360);
    fill(info.sun_elevation_deg, {"view:sun_elevation", "sun_elevation"}, -90, 90);
    fill(info.off_nadir_deg, {"view:off_nadir", "view_angle"}, 0, 90);
    fill(info.view_azimuth_deg, {"view:azimuth", "satellite_azimuth"}, 0, 360);
    if (!(info.gsd_m > 0)) info.gsd_m = number_of(p, "gsd", 0.001, 10000).value_or(0);
    for (const char* key : {"platform", "satellite_id", "constellation"})
        if (info.sensor.empty()) info.sensor = text_of(p, key);
    const Json& simulated = member(p, "simulated");
    if (simulated.is_boolean() && simulated.get<bool>()) info.simulated = true;
    if (simulated.is_string() && lower(simulated.get<std::string>()) == "true")
        info.simulated = true;
    if (text_of(p, "quality_category") == "test")
        info.notes.push_back("the vendor calls its quality \"test\"");
    const Json& control = member(p, "ground_control");
    if (control.is_boolean() && !control.get<bool>())
        info.notes.push_back("the vendor positioned it without ground control");
}

/// file:checksum is a multihash in hex: 12 20 and 32 bytes of SHA-256.
void add_checksum(const Json& asset, CatalogEntry& entry) {
    if (const Json& size = member(asset, "file:size"); size.is_number_unsigned())
        entry.bytes = size.get<std::uintmax_t>();
    const std::string hash = lower(text_of(asset, "file:checksum"));
    if (hash.empty()) return;
    if (hash.size() == 68 && hash.starts_with("1220"))
        entry.checksum = hash.substr(4);
    else
        entry.info.notes.push_back("its file:checksum is not SHA-256 and was not verified");
}

CatalogEntry entry_from_item(const Json& item, const fs::path& root, const fs::path& file) {
    CatalogEntry entry;
    SceneInfo& info = entry.info;
    info.id = text_of(item, "id");
    std::error_code error;
    info.source = fs::relative(file, root, error).generic_string();
    if (info.id.empty()) info.id = file.stem().string();
    const Json& properties = member(item, "properties");
    add_properties(properties, info);
    const Json& assets = member(item, "assets");
    std::vector<std::string> others;
    const std::string key = assets.is_object() ? data_asset(assets, others) : std::string();
    if (key.empty()) {
        info.left_out = "the STAC item has no image asset (GeoTIFF, JPEG 2000 or NITF)";
        return entry;
    }
    if (!others.empty()) {
        std::string names;
        for (const auto& other : others) names += (names.empty() ? "" : ", ") + other;
        info.notes.push_back(fmt::format("asset \"{}\" is used; not used: {}", key, names));
    }
    const Json& asset = assets[key];
    const std::string href = text_of(asset, "href");
    const LocalPath image = local_path(root, file.parent_path(), href);
    if (!image.fault.empty()) {
        info.left_out = fmt::format("asset \"{}\" ({}): {}", key, href.substr(0, 200), image.fault);
        return entry;
    }
    info.path = image.path.string();
    info.source = fs::relative(image.path, root, error).generic_string();
    info.extra_files.push_back(file.string());
    add_checksum(asset, entry);
    const auto first_of = [&](const char* name) -> const Json& {
        const Json& own = member(asset, name);
        return own.is_null() ? member(properties, name) : own;
    };
    if (!(info.gsd_m > 0)) info.gsd_m = number_of(asset, "gsd", 0.001, 10000).value_or(0);
    if (const Json& code = first_of("proj:code"); code.is_string())
        entry.crs = code.get<std::string>();
    if (const Json& epsg = first_of("proj:epsg"); entry.crs.empty() && epsg.is_number_integer())
        entry.crs = fmt::format("EPSG:{}", epsg.get<long long>());
    if (const Json& shape = first_of("proj:shape"); shape.is_array() && shape.size() == 2 &&
                                                    shape[0].is_number_integer() &&
                                                    shape[1].is_number_integer()) {
        entry.height = shape[0].get<int>();
        entry.width = shape[1].get<int>();
    }
    if (const Json& t = first_of("proj:transform"); t.is_array() && t.size() >= 6) {
        std::vector<double> v;
        for (std::size_t i = 0; i < 6; ++i)
            if (t[i].is_number()) v.push_back(t[i].get<double>());
        if (v.size() == 6) entry.transform = {v[2], v[0], v[1], v[5], v[3], v[4]};
    }
    for (const char* name : {"eo:bands", "bands"})
        if (info.roles.empty()) info.roles = roles_from_bands(first_of(name));
    for (const char* kind : {"udm2", "scl"}) {
        if (!info.mask_path.empty()) break;
        for (const auto& [other_key, other] : assets.items()) {
            if (!other.is_object() || other_key == key || !looks_like_image(other) ||
                !is_mask(other_key, other, kind))
                continue;
            const LocalPath mask = local_path(root, file.parent_path(), text_of(other, "href"));
            if (mask.fault.empty()) {
                info.mask_path = mask.path.string();
                info.mask_kind = kind;
            } else {
                info.notes.push_back(
                    fmt::format("mask asset \"{}\" is not used: {}", other_key, mask.fault));
            }
            break;
        }
    }
    return entry;
}

}  // namespace

LocalPath local_path(const fs::path& root, const fs::path& base, const std::string& href) {
    if (href.empty()) return {{}, "there is no href"};
    std::string name = href;
    if (name.starts_with("file://")) name.erase(0, 7);
    if (const std::string fault = path_fault(name); !fault.empty()) return {{}, fault};
    std::error_code error;
    const fs::path real_root = fs::canonical(root, error);
    if (error) return {{}, "its folder cannot be resolved"};
    const fs::path named = fs::path(name).is_absolute() ? fs::path(name) : base / name;
    // Told apart from "missing" only inside the folder: nothing outside it is looked at.
    const fs::path plain = fs::weakly_canonical(named, error);
    if (error) return {{}, "the path cannot be resolved: " + error.message()};
    const auto [end, rest] =
        std::mismatch(real_root.begin(), real_root.end(), plain.begin(), plain.end());
    if (end != real_root.end()) return {{}, "it lies outside the catalogue's folder"};
    if (!fs::is_regular_file(plain, error)) return {{}, "no such file"};
    return {plain, {}};
}

std::vector<CatalogEntry> read_stac(const fs::path& json_path) {
    std::error_code error;
    const fs::path start = fs::canonical(json_path, error);
    if (error) throw DataError(json_path.string(), "cannot be opened: " + error.message());
    const fs::path root = start.parent_path();
    std::vector<CatalogEntry> entries;
    std::deque<fs::path> waiting{start};
    std::set<fs::path> seen{start};
    bool first = true;
    while (!waiting.empty()) {
        const fs::path file = waiting.front();
        waiting.pop_front();
        const Json json = read_json(file);
        const std::string type = text_of(json, "type");
        const bool is_item = type == "Feature", is_items = type == "FeatureCollection";
        const bool is_catalog = type == "Catalog" || type == "Collection" ||
                                (type.empty() && !text_of(json, "stac_version").empty() &&
                                 member(json, "links").is_array());
        if (!is_item && !is_items && !is_catalog) {
            if (first)
                throw DataError(json_path.string(),
                                json.is_null() ? "it is not JSON" : "it is not a STAC document",
                                "allowed are a STAC Item, ItemCollection, Collection or Catalog");
            CatalogEntry bad;
            bad.info.id = file.stem().string();
            bad.info.source = fs::relative(file, root, error).generic_string();
            bad.info.left_out = json.is_null() ? "the linked file is not JSON"
                                               : "the linked file is not a STAC document";
            entries.push_back(std::move(bad));
            continue;
        }
        first = false;
        if (is_item) entries.push_back(entry_from_item(json, root, file));
        if (is_items) {
            const Json& features = member(json, "features");
            if (features.is_array())
                for (const Json& item : features)
                    entries.push_back(entry_from_item(item, root, file));
        }
        const Json& links = member(json, "links");
        if (!is_catalog || !links.is_array()) continue;
        for (const Json& link : links) {
            const std::string rel = text_of(link, "rel");
            if (rel != "item" && rel != "items" && rel != "child") continue;
            const std::string href = text_of(link, "href");
            const LocalPath target = local_path(root, file.parent_path(), href);
            if (!target.fault.empty()) {
                CatalogEntry bad;
                bad.info.id = fs::path(href).stem().string();
                bad.info.source = href.substr(0, 200);
                bad.info.left_out =
                    fmt::format("link to {}: {}", href.substr(0, 200), target.fault);
                entries.push_back(std::move(bad));
            } else if (seen.size() < kMaxDocuments && seen.insert(target.path).second) {
                waiting.push_back(target.path);
            }
        }
    }
    return entries;
}

bool add_sidecar_json(const fs::path& path, SceneInfo& info) {
    const Json json = read_json(path);
    const Json& properties = member(json, "properties");
    if (!properties.is_object()) return false;
    if (text_of(json, "stac_version").empty() && text_of(properties, "acquired").empty() &&
        text_of(properties, "datetime").empty())
        return false;
    add_properties(properties, info);
    return true;
}

}  // namespace fenceline
