#include "input/scene_catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <string_view>

#include "core/error.h"
#include "core/progress.h"
#include "core/projection.h"
#include "input/catalog_sources.h"
#include "input/dataset.h"
#include "input/given_mask.h"

namespace fenceline {
namespace {

namespace fs = std::filesystem;

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

/// Quick looks (PNG, JPEG), documents and tables are no scenes; .vrt, .img and .hdf are looked at
/// so that the reader is told why they are refused.
bool has_image_suffix(const fs::path& path) {
    static const std::set<std::string> kSuffixes = {".tif", ".tiff", ".ntf", ".nitf",
                                                    ".jp2", ".j2k",  ".til", ".gtif",
                                                    ".vrt", ".img",  ".hdf", ".h5"};
    const std::string suffix = lower(path.extension().string());
    if (kSuffixes.count(suffix) != 0) return true;
    const std::string name = lower(path.filename().string());
    return suffix == ".xml" && (name.starts_with("dim_") || name.starts_with("mtd_msil"));
}

bool is_mask_name(const fs::path& path) {
    const std::string stem = lower(path.stem().string());
    for (const char* word : {"udm", "udm2", "scl"}) {
        const std::string suffix = std::string("_") + word;
        const std::size_t at = stem.rfind(suffix);
        if (at == std::string::npos) continue;
        const std::string rest = stem.substr(at + suffix.size());
        if (rest.empty() || rest.front() == '_' || rest.front() == '2') return true;
    }
    return stem == "scl" || stem == "udm2";
}

/// An ENVI image has no suffix of its own, only a header beside it.
bool has_envi_header(const fs::path& path, const std::set<std::string>& names) {
    const std::string suffix = lower(path.extension().string());
    if (!suffix.empty() && suffix != ".dat" && suffix != ".bsq" && suffix != ".bil" &&
        suffix != ".bip" && suffix != ".raw")
        return false;
    const std::string name = path.filename().string(), stem = path.stem().string();
    for (const char* header : {".hdr", ".HDR"})
        if (names.count(name + header) != 0 || names.count(stem + header) != 0) return true;
    return false;
}

/// Everything before a product's processing suffix: Planet's "…_3B_AnalyticMS_clip" and
/// "…_3B_udm2_clip" share it.
std::string product_stem(const fs::path& path) {
    const std::string stem = path.stem().string();
    for (const char* mark : {"_3B", "_1B", "_3A"})
        if (const std::size_t at = stem.find(mark);
            at != std::string::npos && (at + 3 == stem.size() || stem[at + 3] == '_'))
            return stem.substr(0, at);
    return stem;
}

/// The part of a mask's name that names its image.
std::string masked_stem(const fs::path& path) {
    const std::string stem = path.stem().string(), low = lower(stem);
    for (const char* word : {"_udm", "_scl"})
        if (const std::size_t at = low.rfind(word); at != std::string::npos)
            return product_stem(stem.substr(0, at) + ".tif");
    return stem;
}

/// What fenceline itself has written, or is writing: change maps and registered copies are no
/// scenes.
bool is_own_output(const fs::path& folder) {
    std::error_code ignored;
    const std::string name = folder.filename().string();
    return (name.starts_with(".") && name.find(".fenceline-") != std::string::npos) ||
           (fs::exists(folder / "report.json", ignored) &&
            fs::exists(folder / "changes.geojson", ignored));
}

std::vector<CatalogEntry> read_folder(const fs::path& root) {
    std::error_code error;
    const fs::path real_root = fs::canonical(root, error);
    std::map<fs::path, std::set<std::string>>
        folders;  // folder → file names, both sorted: a fixed order
    std::vector<CatalogEntry> entries;
    fs::recursive_directory_iterator it(root, fs::directory_options::skip_permission_denied, error),
        end;
    if (error) throw DataError(root.string(), "the folder cannot be read: " + error.message());
    for (; it != end; it.increment(error)) {
        if (error) break;
        throw_if_cancelled();
        std::error_code ignored;
        if (it->is_directory(ignored) && is_own_output(it->path())) it.disable_recursion_pending();
        if (it->is_regular_file(ignored))
            folders[it->path().parent_path()].insert(it->path().filename().string());
    }
    for (const auto& [folder, names] : folders) {
        std::map<std::string, fs::path> masks, sidecars;  // by the stem of the image they belong to
        std::vector<fs::path> images;
        for (const auto& name : names) {
            const fs::path path = folder / name;
            if (lower(path.extension().string()) == ".json") {
                std::string stem = path.stem().string();
                if (stem.ends_with("_metadata")) stem.resize(stem.size() - 9);
                sidecars.emplace(stem, path);
            } else if (has_image_suffix(path) && is_mask_name(path)) {
                masks.emplace(masked_stem(path), path);
            } else if (has_image_suffix(path) || has_envi_header(path, names)) {
                images.push_back(path);
            }
        }
        for (const fs::path& path : images) {
            CatalogEntry entry;
            SceneInfo& info = entry.info;
            info.id = path.stem().string();
            info.path = path.string();
            info.source = fs::relative(path, root, error).generic_string();
            const fs::path real = fs::canonical(path, error);
            if (const auto inside =
                    std::mismatch(real_root.begin(), real_root.end(), real.begin(), real.end());
                inside.first != real_root.end())
                info.left_out = "it is a link to a file outside the folder";
            for (const std::string& stem : {path.stem().string(), product_stem(path)}) {
                if (const auto json = sidecars.find(stem);
                    json != sidecars.end() && info.extra_files.empty())
                    if (add_sidecar_json(json->second, info))
                        info.extra_files.push_back(json->second.string());
                if (const auto mask = masks.find(stem);
                    mask != masks.end() && info.mask_path.empty())
                    info.mask_path = mask->second.string();
            }
            entries.push_back(std::move(entry));
        }
    }
    return entries;
}

/// Ids become file names: what some file system or program takes for more than a letter becomes
/// '_'.
std::string safe_id(const std::string& id) {
    constexpr std::string_view kSpecial = "<>:\"|?*/\\";
    std::string out;
    for (const char c : id.substr(0, 120)) {
        const auto u = static_cast<unsigned char>(c);
        const bool plain = u >= 0x20 && u != 0x7f && kSpecial.find(c) == std::string_view::npos;
        out += plain ? c : '_';
    }
    // A cut may have split a letter.
    while (!out.empty() && id.size() > 120 && (static_cast<unsigned char>(out.back()) & 0x80) != 0)
        out.pop_back();
    const std::size_t start = out.find_first_not_of(out == id ? ". " : "._ ");
    out = start == std::string::npos ? "" : out.substr(start);
    return out.empty() ? "scene" : out;
}

struct Bounds {
    double west = 1e9, east = -1e9, south = 1e9, north = -1e9;
};
Bounds bounds_of(const Ring& ring) {
    Bounds b;
    for (const Point& p : ring) {
        b.west = std::min(b.west, p.x);
        b.east = std::max(b.east, p.x);
        b.south = std::min(b.south, p.y);
        b.north = std::max(b.north, p.y);
    }
    return b;
}
/// Intersection over union of the outlines' bounds.
double overlap(const Ring& a, const Ring& b) {
    const Bounds p = bounds_of(a), q = bounds_of(b);
    const double w = std::min(p.east, q.east) - std::max(p.west, q.west);
    const double h = std::min(p.north, q.north) - std::max(p.south, q.south);
    if (!(w > 0) || !(h > 0)) return 0;
    const double area_p = (p.east - p.west) * (p.north - p.south),
                 area_q = (q.east - q.west) * (q.north - q.south);
    return w * h / (area_p + area_q - w * h);
}

/// Holds the opened image against what the catalogue states of it.
std::string contradiction(const CatalogEntry& entry, const GeorefOptions& georef) {
    if (entry.crs.empty() && entry.transform.empty() && entry.width == 0) return {};
    Grid grid;
    try {
        grid = image_grid(entry.info, georef);
    } catch (const DataError&) {
        return {};  // not map-projected: the stated grid is not the image's own
    }
    const std::string own = short_crs_name(grid.crs_wkt);
    if (!entry.crs.empty() && own.starts_with("EPSG:") && entry.crs.starts_with("EPSG:") &&
        own != entry.crs)
        return fmt::format("the catalogue says {}, the image {}", entry.crs, own);
    if (entry.width > 0 && (entry.width != grid.width || entry.height != grid.height))
        return fmt::format("the catalogue says {}×{} pixels, the image has {}×{}", entry.width,
                           entry.height, grid.width, grid.height);
    for (std::size_t i = 0; i < entry.transform.size(); ++i)
        if (!(std::abs(entry.transform[i] - grid.geotransform[i]) <=
              (i % 3 == 0 ? 0.01 : 1e-6) * grid.gsd()))
            return "the catalogue's proj:transform differs from the image's own";
    return {};
}

/// A real image of tomorrow is misdated; clocks may be a day apart. Simulated ones may lie
/// anywhere.
bool is_to_come(const SceneInfo& info) {
    const auto now = std::chrono::system_clock::now().time_since_epoch() + std::chrono::hours(24);
    return !info.simulated &&
           info.datetime->microseconds >
               std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

void look_into(CatalogEntry& entry, const GeorefOptions& georef) {
    SceneInfo& info = entry.info;
    if (!info.left_out.empty()) return;
    std::error_code failed;
    if (!fs::is_regular_file(info.path, failed)) {
        info.left_out =
            fs::exists(info.path, failed) ? "it is not a file" : "there is no such file";
        return;
    }
    try {
        if (const auto size = fs::file_size(info.path, failed);
            entry.bytes && *entry.bytes != size) {
            info.left_out =
                fmt::format("its size differs: the catalogue says {} bytes, the file has {}",
                            *entry.bytes, size);
            return;
        }
        info.sha256 = sha256_of_file(info.path);
        if (!entry.checksum.empty() && entry.checksum != info.sha256) {
            info.left_out =
                fmt::format("checksum differs: the catalogue says SHA-256 {}, the file has {}",
                            entry.checksum, info.sha256);
            return;
        }
        probe_image(info, georef);
        info.left_out = contradiction(entry, georef);
        if (info.left_out.empty() && !info.datetime)
            info.left_out =
                "its acquisition time is not known (give it in a CSV or a STAC item, or in the "
                "file name)";
        if (info.left_out.empty() && is_to_come(info))
            info.left_out = fmt::format(
                "it is dated {} (from {}), which is still to come; give its true time in a CSV or "
                "a STAC item",
                format_date(*info.datetime), info.datetime_from);
    } catch (const DataError& error) {
        info.left_out = error.reason + (error.remedy.empty() ? "" : " (" + error.remedy + ")");
        return;
    }
    if (info.mask_path.empty()) return;
    try {
        if (info.mask_kind.empty()) info.mask_kind = kind_of_mask(info.mask_path);
        info.extra_files.push_back(info.mask_path);
    } catch (const DataError& error) {
        info.notes.push_back(
            fmt::format("its mask {} cannot be used: {}; masks are made from the pixels",
                        fs::path(info.mask_path).filename().string(), error.reason));
        info.mask_path.clear();
        info.mask_kind.clear();
    }
}

/// Same bytes: the later one goes. Same time and the same ground: the finer one stays.
void leave_out_duplicates(std::vector<SceneInfo>& scenes) {
    for (std::size_t i = 0; i < scenes.size(); ++i) {
        for (std::size_t k = 0; k < scenes.size() && scenes[i].left_out.empty(); ++k) {
            const SceneInfo &a = scenes[i], &b = scenes[k];
            if (k == i || !b.left_out.empty()) continue;
            const bool same_bytes = !a.sha256.empty() && a.sha256 == b.sha256;
            if (same_bytes && k < i) {
                scenes[i].left_out =
                    a.datetime == b.datetime
                        ? fmt::format("the same file as {}", b.id)
                        : fmt::format("the same bytes as {}, but dated {} instead of {}", b.id,
                                      format_date(*a.datetime), format_date(*b.datetime));
            } else if (!same_bytes && a.datetime == b.datetime &&
                       overlap(a.footprint_lonlat, b.footprint_lonlat) > 0.8) {
                const bool b_is_better =
                    b.gsd_m < 0.99 * a.gsd_m ||
                    (b.gsd_m <= 1.01 * a.gsd_m &&
                     (b.band_count > a.band_count || (b.band_count == a.band_count && k < i)));
                if (b_is_better)
                    scenes[i].left_out =
                        fmt::format("the same time and ground as {}, which is kept", b.id);
            }
        }
    }
}

[[noreturn]] void no_scenes(const fs::path& source) {
    std::error_code error;
    if (!fs::is_directory(source, error))
        throw DataError(source.string(), "it names no scene",
                        "a CSV has a line per image below its header, a STAC collection links to "
                        "its items");
    int files = 0;
    for (fs::recursive_directory_iterator
             it(source, fs::directory_options::skip_permission_denied, error),
         end;
         !error && it != end; it.increment(error)) {
        std::error_code ignored;
        files += it->is_regular_file(ignored) ? 1 : 0;
    }
    throw DataError(source.string(),
                    files == 0 ? "it is empty: there is no image in it"
                               : fmt::format("none of its {} files is an image that is read, or "
                                             "they are fenceline's own results",
                                             files),
                    "GeoTIFF, JPEG 2000, NITF, DIMAP, TIL, Sentinel-2 and ENVI are read (.tif, "
                    ".jp2, .ntf, DIM_*.XML, MTD_MSIL*.xml, a file with .hdr beside it)");
}

}  // namespace

std::vector<SceneInfo> find_scenes(const std::string& src, const GeorefOptions& georef) {
    initialise_gdal();
    if (const std::string fault = path_fault(src); !fault.empty())
        throw UsageError(fmt::format("--images {}: {}", src, fault));
    std::error_code error;
    const fs::path path(src);
    std::vector<CatalogEntry> entries;
    if (fs::is_directory(path, error)) {
        entries = read_folder(path);
    } else if (!fs::is_regular_file(path, error)) {
        throw UsageError(fmt::format("--images {}: no such file or folder", src));
    } else if (const std::string suffix = lower(path.extension().string());
               suffix == ".json" || suffix == ".geojson") {
        entries = read_stac(path);
    } else if (suffix == ".csv") {
        entries = read_scene_csv(path);
    } else {
        CatalogEntry entry;
        entry.info.id = path.stem().string();
        entry.info.path = src;
        entry.info.source = path.filename().string();
        entries.push_back(std::move(entry));
    }

    if (entries.empty()) no_scenes(path);

    std::vector<SceneInfo> scenes;
    std::map<std::string, int> used;
    for (CatalogEntry& entry : entries) {
        throw_if_cancelled();
        if (entry.info.id.empty()) entry.info.id = fs::path(entry.info.path).stem().string();
        entry.info.id = safe_id(entry.info.id);
        std::string id = entry.info.id;
        // Case is ignored: ids become file names, and some file systems do not tell "A" from "a".
        for (int n = 2; used.count(lower(id)) != 0; ++n)
            id = fmt::format("{}_{}", entry.info.id, n);
        used[lower(id)] = 1;
        entry.info.id = id;
        look_into(entry, georef);
        scenes.push_back(std::move(entry.info));
    }
    leave_out_duplicates(scenes);
    std::stable_sort(scenes.begin(), scenes.end(), [](const SceneInfo& a, const SceneInfo& b) {
        if (a.datetime.has_value() != b.datetime.has_value()) return a.datetime.has_value();
        if (a.datetime && *a.datetime != *b.datetime) return *a.datetime < *b.datetime;
        return a.id < b.id;
    });
    return scenes;
}

}  // namespace fenceline
