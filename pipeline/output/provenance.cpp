#include "output/provenance.h"

#include <fmt/format.h>
#include <gdal.h>
#include <openssl/crypto.h>
#include <proj.h>
#include <tbb/version.h>

#include <Eigen/Core>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <opencv2/core/utility.hpp>
#include <set>
#include <sstream>

#include "core/error.h"
#include "input/image_io.h"
#include "output/digest.h"
#include "output/escape.h"

namespace fenceline {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// RFC 6920: a name that anyone who holds the bytes can check.
std::string hash_name(const std::string& sha256) {
    std::string bytes;
    for (std::size_t i = 0; i + 1 < sha256.size(); i += 2) {
        unsigned value = 0;
        std::from_chars(sha256.data() + i, sha256.data() + i + 2, value, 16);
        bytes += static_cast<char>(value);
    }
    std::string code = base64(bytes);
    std::replace(code.begin(), code.end(), '+', '-');
    std::replace(code.begin(), code.end(), '/', '_');
    code.erase(std::find(code.begin(), code.end(), '='), code.end());
    return "ni:///sha-256;" + code;
}

std::string media_type(const std::string& name) {
    const std::string extension = fs::path(name).extension().string();
    if (extension == ".json") return "application/json";
    if (extension == ".geojson") return "application/geo+json";
    if (extension == ".html") return "text/html";
    if (extension == ".gpkg") return "application/geopackage+sqlite3";
    if (extension == ".kmz") return "application/vnd.google-earth.kmz";
    if (extension == ".tif" || extension == ".TIF" || extension == ".tiff") return "image/tiff";
    if (extension == ".csv") return "text/csv";
    return "application/octet-stream";
}

std::uintmax_t size_of(const std::string& path) {
    std::error_code error;
    const auto size = fs::file_size(path, error);
    if (error) throw DataError(path, error.message());
    return size;
}

Json reference(const std::string& id) { return Json{{"@id", id}}; }

// "[section]" and "key = value" lines of the printed configuration.
std::vector<std::pair<std::string, std::string>> parameters_of(const std::string& ini) {
    std::vector<std::pair<std::string, std::string>> out;
    std::istringstream lines(ini);
    std::string line, section;
    const auto trimmed = [](const std::string& text) {
        const auto first = text.find_first_not_of(" \t\r");
        return first == std::string::npos
                   ? std::string()
                   : text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
    };
    while (std::getline(lines, line)) {
        line = trimmed(line);
        if (line.empty() || line[0] == '#' || line[0] == ';') continue;
        if (line.front() == '[' && line.back() == ']') {
            section = line.substr(1, line.size() - 2);
            continue;
        }
        const auto equals = line.find('=');
        if (equals == std::string::npos) continue;
        const std::string key = trimmed(line.substr(0, equals));
        out.emplace_back(section.empty() ? key : section + "." + key,
                         trimmed(line.substr(equals + 1)));
    }
    return out;
}

}  // namespace

Time run_clock() {
    if (const char* epoch = std::getenv("SOURCE_DATE_EPOCH"); epoch != nullptr && *epoch != '\0') {
        std::int64_t seconds = 0;
        const std::string text(epoch);
        const auto result = std::from_chars(text.data(), text.data() + text.size(), seconds);
        if (result.ec != std::errc() || result.ptr != text.data() + text.size() || seconds < 0 ||
            seconds > 253402300799LL)
            throw UsageError("SOURCE_DATE_EPOCH is \"" + clean_text(text) +
                             "\"; it must be whole seconds since 1970");
        return {seconds * 1000000};
    }
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return {std::chrono::duration_cast<std::chrono::seconds>(now).count() * 1000000};
}

std::map<std::string, std::string> library_versions() {
    return {{"GDAL", GDALVersionInfo("RELEASE_NAME")},
            {"PROJ", proj_info().version},
            {"OpenCV", cv::getVersionString()},
            {"oneTBB", TBB_VERSION_STRING},
            {"Eigen", fmt::format("{}.{}.{}", EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION,
                                  EIGEN_MINOR_VERSION)},
            {"OpenSSL", OpenSSL_version(OPENSSL_VERSION_STRING)}};
}

std::string ro_crate_json(const Report& report, const Provenance& provenance,
                          const std::string& folder) {
    Json graph = Json::array();
    const std::string title =
        report.site ? (report.site->name.empty() ? report.site->id : report.site->name)
                    : "two images";
    graph.push_back({{"@id", "ro-crate-metadata.json"},
                     {"@type", "CreativeWork"},
                     {"conformsTo", Json::array({reference("https://w3id.org/ro/crate/1.1")})},
                     {"about", reference("./")}});
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        if (!entry.is_regular_file()) continue;
        const std::string name = fs::relative(entry.path(), folder).generic_string();
        if (name != "ro-crate-metadata.json") names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    Json results = Json::array(), files = Json::array();
    for (const auto& name : names) {
        const std::string path = (fs::path(folder) / name).string(), id = percent_encode(name);
        results.push_back(reference(id));
        files.push_back({{"@id", id},
                         {"@type", "File"},
                         {"name", clean_text(name)},
                         {"encodingFormat", media_type(name)},
                         {"contentSize", std::to_string(size_of(path))},
                         {"sha256", sha256_of_file(path)}});
    }
    std::vector<ProvenanceInput> inputs = provenance.inputs;
    std::stable_sort(inputs.begin(), inputs.end(),
                     [](const auto& a, const auto& b) { return a.name < b.name; });
    Json objects = Json::array();
    std::set<std::string> known;
    for (ProvenanceInput& input : inputs) {
        if (input.sha256.empty()) input.sha256 = sha256_of_file(input.path);
        const std::string id = hash_name(input.sha256);
        if (!known.insert(id).second) {  // the same bytes under a second name
            for (auto& file : files)
                if (file["@id"] == id && file["name"] != clean_text(input.name))
                    file["alternateName"] = clean_text(input.name);
            continue;
        }
        objects.push_back(reference(id));
        files.push_back({{"@id", id},
                         {"@type", "File"},
                         {"name", clean_text(input.name)},
                         {"encodingFormat", media_type(input.name)},
                         {"contentSize", std::to_string(size_of(input.path))},
                         {"sha256", input.sha256}});
    }
    Json parameters = Json::array();
    for (const auto& [key, value] : parameters_of(provenance.parameters_ini)) {
        const std::string id = "#parameter/" + percent_encode(key);
        objects.push_back(reference(id));
        parameters.push_back({{"@id", id},
                              {"@type", "PropertyValue"},
                              {"name", clean_text(key)},
                              {"value", clean_text(value)}});
    }
    Json libraries = Json::array(), library_list = Json::array();
    for (const auto& [name, version] : library_versions()) {
        const std::string id = "#library/" + percent_encode(name);
        libraries.push_back(reference(id));
        library_list.push_back({{"@id", id},
                                {"@type", "SoftwareApplication"},
                                {"name", name},
                                {"softwareVersion", version}});
    }
    Json root{{"@id", "./"},
              {"@type", "Dataset"},
              {"name", "Satellite change report: " + clean_text(title)},
              {"description",
               report.simulated
                   ? "Change report from SIMULATED satellite images; it shows no real place."
                   : "Change report from satellite images, with measurements and their intervals."},
              {"datePublished", format_time(provenance.end)},
              {"license", "The licence of the imagery decides what may be passed on."},
              {"conformsTo", Json::array({reference("https://w3id.org/ro/wfrun/process/0.1")})},
              {"hasPart", results},
              {"mentions", Json::array({reference("#run")})}};
    graph.push_back(root);
    graph.push_back({{"@id", "https://w3id.org/ro/wfrun/process/0.1"},
                     {"@type", "CreativeWork"},
                     {"name", "Process Run Crate"},
                     {"version", "0.1"}});
    std::string command = "fenceline";
    for (const auto& argument : provenance.arguments) command += " " + clean_text(argument);
    graph.push_back({{"@id", "#run"},
                     {"@type", "CreateAction"},
                     {"name", "fenceline run"},
                     {"description", command},
                     {"instrument", reference("#fenceline")},
                     {"object", objects},
                     {"result", results},
                     {"startTime", format_time(provenance.start)},
                     {"endTime", format_time(provenance.end)},
                     {"actionStatus", reference("http://schema.org/CompletedActionStatus")}});
    graph.push_back(
        {{"@id", "#fenceline"},
         {"@type", "SoftwareApplication"},
         {"name", clean_text(report.software.name.empty() ? "fenceline" : report.software.name)},
         {"softwareVersion", clean_text(report.software.version)},
         {"identifier", clean_text(report.software.commit)},
         {"softwareRequirements", libraries}});
    for (const auto* list : {&files, &parameters, &library_list})
        for (const auto& item : *list) graph.push_back(item);
    const Json crate{{"@context", "https://w3id.org/ro/crate/1.1/context"}, {"@graph", graph}};
    return crate.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace fenceline
