#include "input/single_image.h"

#include <filesystem>

#include "core/error.h"

namespace fenceline {
namespace fs = std::filesystem;

SceneInfo single_image(const std::string& path, const GeorefOptions& georef) {
    std::error_code failed;
    if (!fs::exists(path, failed)) throw UsageError(path + ": there is no such file");
    SceneInfo info;
    info.path = path;
    info.source = fs::path(path).filename().string();
    info.id = fs::path(path).stem().string();
    probe_image(info, georef);
    if (!info.datetime) {
        info.datetime = time_in_file_name(info.id);
        if (info.datetime) info.datetime_from = "file name";
    }
    info.sha256 = sha256_of_file(path);
    return info;
}

}  // namespace fenceline
