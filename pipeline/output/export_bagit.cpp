#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "core/error.h"
#include "input/image_io.h"
#include "output/digest.h"
#include "output/escape.h"
#include "output/exports.h"
#include "output/staged_output.h"

namespace fenceline {
namespace fs = std::filesystem;
namespace {

// RFC 8493, 2.1.3: CR, LF and % in a path.
std::string manifest_path(const std::string& path) {
    std::string out;
    for (const char c : path) {
        if (c == '%')
            out += "%25";
        else if (c == '\n')
            out += "%0A";
        else if (c == '\r')
            out += "%0D";
        else
            out += c;
    }
    return out;
}

// One line of bag-info.txt: no line breaks from outside.
std::string one_line(std::string text) {
    text = clean_text(text);
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text;
}

}  // namespace

void export_bagit(const Report& report, const std::string& run_folder, Time bagging_time,
                  const std::string& folder) {
    std::vector<std::string> names;
    try {
        for (const auto& entry : fs::recursive_directory_iterator(run_folder))
            if (entry.is_regular_file() && !entry.is_symlink())
                names.push_back(fs::relative(entry.path(), run_folder).generic_string());
        std::sort(names.begin(), names.end());
        std::uintmax_t bytes = 0;
        std::string manifest;
        for (const auto& name : names) {
            const fs::path target = fs::path(folder) / "data" / name;
            fs::create_directories(target.parent_path());
            fs::copy_file(fs::path(run_folder) / name, target);
            bytes += fs::file_size(target);
            manifest += sha256_of_file(target.string()) + "  data/" + manifest_path(name) + "\n";
        }
        if (names.empty()) fs::create_directories(fs::path(folder) / "data");
        const std::string declaration = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";
        std::string info;
        info += "Bag-Software-Agent: " +
                one_line(report.software.name + " " + report.software.version) + "\n";
        info += "Bagging-Date: " + format_date(bagging_time) + "\n";
        info += fmt::format("Payload-Oxum: {}.{}\n", bytes, names.size());
        const std::string site =
            report.site ? (report.site->name.empty() ? report.site->id : report.site->name)
                        : "two images";
        info += "External-Description: " +
                one_line((report.simulated ? "SIMULATED satellite change report of "
                                           : "Satellite change report of ") +
                         site) +
                "\n";
        if (report.site) info += "External-Identifier: " + one_line(report.site->id) + "\n";
        write_file(folder + "/bagit.txt", declaration);
        write_file(folder + "/bag-info.txt", info);
        write_file(folder + "/manifest-sha256.txt", manifest);
        write_file(folder + "/tagmanifest-sha256.txt",
                   sha256_hex(info) + "  bag-info.txt\n" + sha256_hex(declaration) +
                       "  bagit.txt\n" + sha256_hex(manifest) + "  manifest-sha256.txt\n");
    } catch (const fs::filesystem_error& error) {
        throw DataError(error.path1().empty() ? run_folder : error.path1().string(),
                        error.code().message(), "is the disk full?");
    }
}

}  // namespace fenceline
