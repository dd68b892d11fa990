#include "input/single_image.h"

#include <exception>
#include <filesystem>

#include "core/error.h"
#include "core/parallel.h"

namespace fenceline {
namespace fs = std::filesystem;

SceneInfo single_image(const std::string& path, const GeorefOptions& georef, bool hashed) {
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
    if (hashed) info.sha256 = sha256_of_file(path);
    return info;
}

std::array<SceneInfo, 2> image_pair(const std::string& first, const std::string& second,
                                    const GeorefOptions& georef) {
    std::array<SceneInfo, 2> images;
    std::array<std::exception_ptr, 2> faults;
    const std::array<const std::string*, 2> paths{&first, &second};
    parallel_items(2, [&](int k) {
        const auto i = static_cast<std::size_t>(k);
        try {
            images[i] = single_image(*paths[i], georef);
        } catch (...) {
            faults[i] = std::current_exception();
        }
    });
    for (const std::exception_ptr& fault : faults)
        if (fault) std::rethrow_exception(fault);
    return images;
}

}  // namespace fenceline
