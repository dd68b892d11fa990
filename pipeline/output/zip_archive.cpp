#include "output/zip_archive.h"

#include <cpl_error.h>
#include <cpl_vsi.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

#include "core/error.h"
#include "output/staged_output.h"

namespace fenceline {
namespace {

std::size_t number_at(const std::string& bytes, std::size_t at, std::size_t size) {
    std::size_t value = 0;
    for (std::size_t i = 0; i < size; ++i)
        value |= static_cast<std::size_t>(static_cast<unsigned char>(bytes.at(at + i))) << (8 * i);
    return value;
}

/// GDAL gives its entries day 0 of month 0, which some programs refuse to unpack: 1980-01-01 00:00
/// instead, in the entries' own headers and in the directory at the end (APPNOTE 4.3.7, 4.3.12,
/// 4.3.16).
void date_entries(const std::string& path) {
    constexpr std::array<char, 4> kFirstDay{0, 0, 0x21, 0};  // time, then date; both 16 bits
    constexpr std::size_t kEnd = 22;
    std::ifstream in(path, std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(in), {}};
    if (!in || bytes.size() < kEnd) throw DataError(path, "cannot be read back");
    const std::size_t end = bytes.size() - kEnd;
    std::size_t entry = number_at(bytes, end + 16, 4);
    for (std::size_t left = number_at(bytes, end + 10, 2); left > 0; --left) {
        const std::size_t own = number_at(bytes, entry + 42, 4);
        bytes.replace(entry + 12, kFirstDay.size(), kFirstDay.data(), kFirstDay.size());
        bytes.replace(own + 10, kFirstDay.size(), kFirstDay.data(), kFirstDay.size());
        entry += 46 + number_at(bytes, entry + 28, 2) + number_at(bytes, entry + 30, 2) +
                 number_at(bytes, entry + 32, 2);
    }
    write_file(path, bytes);
}

}  // namespace

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
    date_entries(path);
}

}  // namespace fenceline
