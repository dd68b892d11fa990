#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include <boost/lexical_cast/try_lexical_convert.hpp>

#include "core/error.h"
#include "input/catalog_sources.h"
#include "input/dataset.h"

namespace fenceline {
namespace {

/// Spreadsheets in most of Europe write ';', some a tab. The first line tells: names of columns
/// hold none of them.
char separator_of(const std::string& text) {
    const std::string first = text.substr(0, text.find_first_of("\r\n"));
    for (const char separator : {',', ';', '\t'})
        if (first.find(separator) != std::string::npos) return separator;
    return ',';
}

std::string trimmed(std::string text) {
    const char* blank = " \t";
    text.erase(0, std::min(text.find_first_not_of(blank), text.size()));
    text.erase(text.find_last_not_of(blank) + 1);
    return text;
}

}  // namespace

std::vector<std::vector<std::string>> read_csv(const std::filesystem::path& path,
                                               std::size_t limit) {
    std::ifstream in(path, std::ios::binary);
    if (!in) throw DataError(path.string(), "cannot be opened");
    std::ostringstream buffer;
    buffer << in.rdbuf();
    const std::string text = std::move(buffer).str();
    if (text.size() > limit)
        throw DataError(path.string(), fmt::format("the file is larger than {} MiB", limit >> 20));
    if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
        throw DataError(path.string(), "its text is UTF-16",
                        "save it as UTF-8 (\"CSV UTF-8\" in spreadsheets)");
    std::vector<std::vector<std::string>> rows;
    std::vector<std::string> row;
    std::string cell;
    bool quoted = false, was_quoted = false;
    const char separator = separator_of(text);
    std::size_t i = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
    const auto end_cell = [&] {
        row.push_back(was_quoted ? cell : trimmed(cell));
        cell.clear();
        was_quoted = false;
    };
    const auto end_row = [&] {
        end_cell();
        if (row.size() > 1 || !row.front().empty()) rows.push_back(std::move(row));
        row.clear();
    };
    for (; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted) {
            if (c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
                cell += '"';
                ++i;
            } else if (c == '"') {
                quoted = false;
            } else {
                cell += c;
            }
        } else if (c == separator) {
            end_cell();
        } else if (c == '"' && trimmed(cell).empty()) {
            cell.clear();
            quoted = was_quoted = true;
        } else if (c == '\n' || c == '\r') {
            if (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n') ++i;
            end_row();
        } else {
            cell += c;
        }
    }
    if (quoted)
        throw DataError(path.string(),
                        fmt::format("a quote opened in row {} is never closed", rows.size() + 1));
    if (!cell.empty() || !row.empty()) end_row();
    return rows;
}

std::optional<double> csv_number(std::string text) {
    if (std::count(text.begin(), text.end(), ',') == 1 && text.find('.') == std::string::npos)
        text[text.find(',')] = '.';
    double value = 0;
    if (!boost::conversion::try_lexical_convert(text, value)) return {};
    return value;
}

std::vector<CatalogEntry> read_scene_csv(const std::filesystem::path& csv) {
    const auto rows = read_csv(csv, 64U << 20);
    if (rows.empty())
        throw DataError(csv.string(), "the file is empty",
                        "its first line must be: path,datetime,…");
    static const std::set<std::string> kKnown = {"path",          "datetime",  "sun_azimuth",
                                                 "sun_elevation", "off_nadir", "view_azimuth",
                                                 "gsd",           "mask",      "sensor"};
    std::map<std::string, std::size_t> column;
    std::vector<std::string> faults;
    for (std::size_t i = 0; i < rows[0].size(); ++i) {
        if (kKnown.count(rows[0][i]) == 0)
            faults.push_back(
                fmt::format("{}: unknown column \"{}\"; allowed are path, datetime, sun_azimuth, "
                            "sun_elevation, "
                            "off_nadir, view_azimuth, gsd, mask, sensor",
                            csv.string(), rows[0][i]));
        else if (!column.emplace(rows[0][i], i).second)
            faults.push_back(
                fmt::format("{}: column \"{}\" stands there twice", csv.string(), rows[0][i]));
    }
    for (const char* needed : {"path", "datetime"})
        if (column.count(needed) == 0)
            faults.push_back(fmt::format("{}: there is no column \"{}\"", csv.string(), needed));
    if (!faults.empty()) throw UsageError(faults);

    const std::filesystem::path folder = csv.parent_path();
    std::vector<CatalogEntry> entries;
    for (std::size_t r = 1; r < rows.size(); ++r) {
        CatalogEntry entry;
        SceneInfo& info = entry.info;
        std::vector<std::string> wrong;
        const auto cell = [&](const char* name) {
            const auto it = column.find(name);
            return it == column.end() || it->second >= rows[r].size() ? std::string()
                                                                      : rows[r][it->second];
        };
        const auto number = [&](const char* name, double low,
                                double high) -> std::optional<double> {
            const std::string text = cell(name);
            if (text.empty()) return {};
            const std::optional<double> value = csv_number(text);
            if (!value || !(*value >= low && *value <= high)) {
                wrong.push_back(
                    fmt::format("{} is \"{}\", not a number from {} to {}", name, text, low, high));
                return {};
            }
            return value;
        };
        info.source = cell("path");
        if (rows[r].size() > rows[0].size())
            wrong.push_back(
                fmt::format("the row has {} cells, the header {}", rows[r].size(), rows[0].size()));
        if (info.source.empty()) wrong.push_back("there is no path");
        const std::string time = cell("datetime");
        info.datetime = parse_time(time);
        if (info.datetime)
            info.datetime_from = "csv";
        else if (!time.empty())
            wrong.push_back(
                fmt::format("\"{}\" is not a date and time (2017-08-29T04:50:11Z)", time));
        info.sun_azimuth_deg = number("sun_azimuth", 0, 360);
        info.sun_elevation_deg = number("sun_elevation", -90, 90);
        info.off_nadir_deg = number("off_nadir", 0, 90);
        info.view_azimuth_deg = number("view_azimuth", 0, 360);
        info.gsd_m = number("gsd", 0.001, 10000).value_or(0);
        info.sensor = cell("sensor");
        if (!info.source.empty()) {
            // The user wrote this list: unlike STAC, it may name any local file.
            const std::filesystem::path named(info.source);
            info.path =
                named.is_absolute() ? named.string() : (folder / named).lexically_normal().string();
            if (const std::string fault = path_fault(info.source); !fault.empty())
                wrong.push_back(fault);
        }
        if (const std::string mask = cell("mask"); !mask.empty()) {
            const std::filesystem::path named(mask);
            info.mask_path =
                named.is_absolute() ? named.string() : (folder / named).lexically_normal().string();
            if (const std::string fault = path_fault(mask); !fault.empty())
                wrong.push_back("mask: " + fault);
        }
        for (const auto& fault : wrong)
            info.left_out += (info.left_out.empty() ? "" : "; ") + fault;
        if (!info.left_out.empty())
            info.left_out =
                fmt::format("row {} of {}: {}", r + 1, csv.filename().string(), info.left_out);
        entries.push_back(std::move(entry));
    }
    return entries;
}

}  // namespace fenceline
