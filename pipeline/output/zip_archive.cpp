#include "output/zip_archive.h"

#include <cpl_error.h>
#include <cpl_vsi.h>

#include <filesystem>
#include <memory>

#include "core/error.h"

namespace fenceline {

void write_zip(const std::string& path,
               const std::vector<std::pair<std::string, std::string>>& files) {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    const auto fail = [&] {
        throw DataError(path, std::string("cannot be written: ") + CPLGetLastErrorMsg(),
                        "is the disk full?");
    };
    CPLErrorReset();
    // The archive stays open while its files are written one after the other; braces keep odd paths
    // whole.
    const std::string archive_name = "/vsizip/{" + path + "}";
    VSILFILE* archive = VSIFOpenL(archive_name.c_str(), "wb");
    if (archive == nullptr) fail();
    bool good = true;
    for (const auto& [name, bytes] : files) {
        VSILFILE* file = good ? VSIFOpenL((archive_name + "/" + name).c_str(), "wb") : nullptr;
        if (file == nullptr) {
            good = false;
            break;
        }
        good = VSIFWriteL(bytes.data(), 1, bytes.size(), file) == bytes.size();
        good = VSIFCloseL(file) == 0 && good;
    }
    good = VSIFCloseL(archive) == 0 && good;
    if (!good || CPLGetLastErrorType() >= CE_Failure) fail();
}

}  // namespace fenceline
