#include "input/sites.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/error.h"
#include "core/geodesic.h"
#include "input/catalog_sources.h"

namespace fenceline {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxFileBytes = 256U << 20;

const Json& member(const Json& object, const char* key) {
    static const Json kNull;
    if (!object.is_object()) return kNull;
    const auto it = object.find(key);
    return it == object.end() ? kNull : *it;
}

/// QGIS stores nested properties as text.
Json unfolded(const Json& value) {
    if (!value.is_string()) return value;
    Json inner = Json::parse(value.get<std::string>(), nullptr, false);
    return inner.is_discarded() || !(inner.is_object() || inner.is_array()) ? value : inner;
}

bool plain_text(const std::string& text) {
    return std::none_of(text.begin(), text.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '<' || c == '>';
    });
}

bool plain_id(const std::string& id) {
    return !id.empty() && id.size() <= 100 && id.front() != '.' && id.front() != '-' &&
           std::all_of(id.begin(), id.end(), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      c == '.' || c == '_' || c == '-';
           });
}

std::string type_list() {
    std::string all;
    for (const auto& type : site_types()) all += (all.empty() ? "" : ", ") + type;
    return all;
}

/// Text for a message: short, and without what could disturb a terminal.
std::string shown(std::string text) {
    for (char& c : text)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    return text.size() > 60 ? text.substr(0, 60) + "…" : text;
}

class FeatureReader {
  public:
    FeatureReader(std::string where, std::vector<std::string>& faults)
        : where_(std::move(where)), faults_(faults) {}

    Site read(const Json& feature) {
        Site site;
        const Json& properties = member(feature, "properties");
        const Json& own_id = member(feature, "id");
        const Json& id =
            own_id.is_null() || own_id.is_number()
                ? (member(properties, "id").is_null() ? own_id : member(properties, "id"))
                : own_id;
        if (id.is_string())
            site.id = id.get<std::string>();
        else if (id.is_number_integer())
            site.id = std::to_string(id.get<long long>());
        if (!site.id.empty()) where_ += fmt::format(" ({})", shown(site.id));
        if (site.id.empty())
            fault("id", "there is none", "letters, digits, '.', '_' and '-'");
        else if (!plain_id(site.id))
            fault("id", "\"" + shown(site.id) + "\"",
                  "letters, digits, '.', '_' and '-', at most 100");
        if (text_of(member(feature, "type")) != "Feature")
            fault("type", "it is not a Feature", "Feature");
        if (!properties.is_object()) fault("properties", "there are none", "an object");

        site.name = text(properties, "name");
        if (site.name.empty()) fault("name", "there is none", "text");
        site.type = text(properties, "type");
        if (std::find(site_types().begin(), site_types().end(), site.type) == site_types().end())
            fault("type", site.type.empty() ? "there is none" : "\"" + shown(site.type) + "\"",
                  type_list());
        site.province = text(properties, "province");
        site.status = text(properties, "status");
        const Json names = unfolded(member(properties, "names"));
        if (!names.is_null() && !names.is_object())
            fault("names", "it is not an object", "ko, hanja, rr, mr, aliases");
        site.names.ko = text(names, "ko");
        site.names.hanja = text(names, "hanja");
        site.names.rr = text(names, "rr");
        site.names.mr = text(names, "mr");
        site.names.aliases = texts(names, "aliases");
        site.sources = texts(properties, "sources");
        read_geometry(feature, properties, site);
        const Json perimeter = unfolded(member(properties, "perimeter"));
        if (!perimeter.is_null()) {
            if (text_of(member(perimeter, "type")) == "Polygon")
                site.perimeter_lonlat = ring(member(perimeter, "coordinates"), "perimeter");
            else
                fault("perimeter", "it is not a GeoJSON Polygon",
                      "{\"type\": \"Polygon\", \"coordinates\": […]}");
        }
        if (const std::string date = text(properties, "perimeter_date"); !date.empty()) {
            site.perimeter_date = parse_time(date);
            if (!site.perimeter_date)
                fault("perimeter_date", "\"" + shown(date) + "\"", "a date such as 2018-03-22");
        }
        return site;
    }

  private:
    void fault(const std::string& key, const std::string& found, const std::string& allowed) {
        faults_.push_back(fmt::format("{}: {}: {}; allowed: {}", where_, key, found, allowed));
    }
    static std::string text_of(const Json& value) {
        return value.is_string() ? value.get<std::string>() : std::string();
    }

    std::string text(const Json& object, const char* key) {
        const Json& value = member(object, key);
        if (value.is_null()) return {};
        if (!value.is_string()) {
            fault(key, "it is not text", "text");
            return {};
        }
        auto found = value.get<std::string>();
        if (found.size() > 2000 || !plain_text(found)) {
            fault(key, "\"" + shown(found) + "\"",
                  "at most 2000 bytes without control characters, '<' and '>'");
            return {};
        }
        return found;
    }

    std::vector<std::string> texts(const Json& object, const char* key) {
        const Json list = unfolded(member(object, key));
        std::vector<std::string> all;
        if (list.is_null()) return all;
        bool good = list.is_array();
        if (good)
            for (const Json& item : list) {
                good = good && item.is_string() &&
                       item.get_ref<const std::string&>().size() <= 2000 &&
                       plain_text(item.get_ref<const std::string&>());
                if (good) all.push_back(item.get<std::string>());
            }
        if (!good)
            fault(key, "it is not a plain list of texts",
                  "[\"…\", …] without control characters, '<' and '>'");
        return all;
    }

    bool position(const Json& value, const char* key, Point& point) {
        if (value.is_array() && value.size() >= 2 && value[0].is_number() && value[1].is_number()) {
            point = {value[0].get<double>(), value[1].get<double>()};
            if (std::abs(point.x) <= 180 && std::abs(point.y) <= 90) return true;
            fault(key, fmt::format("position {}, {}", point.x, point.y),
                  "longitude -180 to 180, latitude -90 to 90");
        } else {
            fault(key, "a position is not [longitude, latitude]", "two numbers");
        }
        return false;
    }

    Ring ring(const Json& coordinates, const char* key) {
        Ring line;
        if (!coordinates.is_array() || coordinates.empty() || !coordinates[0].is_array()) {
            fault(key, "it has no outer ring", "[[[longitude, latitude], …]]");
            return line;
        }
        if (coordinates.size() > 1) fault(key, "it has holes", "one outer ring");
        for (const Json& place : coordinates[0]) {
            Point point;
            if (!position(place, key, point)) return {};
            if (line.empty() || !(point == line.back())) line.push_back(point);
        }
        if (line.size() > 1 && line.front() == line.back()) line.pop_back();
        if (line.size() < 3 || !(measure_ring(line).area_m2 > 1)) {
            fault(key,
                  fmt::format("a ring of {} different points that encloses nothing", line.size()),
                  "at least three points around some ground");
            return {};
        }
        return line;
    }

    void read_geometry(const Json& feature, const Json& properties, Site& site) {
        const Json& geometry = member(feature, "geometry");
        if (geometry.is_null()) return;  // the position is not known
        const std::string type = text_of(member(geometry, "type"));
        const Json& coordinates = member(geometry, "coordinates");
        if (type == "Polygon") {
            site.area_lonlat = ring(coordinates, "geometry");
        } else if (type == "MultiPolygon" && coordinates.is_array() && coordinates.size() == 1) {
            site.area_lonlat = ring(coordinates[0], "geometry");
        } else if (type == "Point") {
            Point centre;
            if (position(coordinates, "geometry", centre)) site.centre = centre;
            const Json& in_feature = member(feature, "radius_m");
            const Json& radius = in_feature.is_null() ? member(properties, "radius_m") : in_feature;
            if (!radius.is_number() ||
                !(radius.get<double>() >= 10 && radius.get<double>() <= 50000))
                fault("radius_m", radius.is_null() ? "there is none beside a Point" : radius.dump(),
                      "10 to 50000 (metres)");
            else
                site.radius_m = radius.get<double>();
        } else {
            fault("geometry", "\"" + shown(type) + "\"", "Polygon, or Point with radius_m");
        }
    }

    std::string where_;
    std::vector<std::string>& faults_;
};

double radius_for(const std::string& type) {
    return type == "political_prison_camp" ? 2500 : type == "re_education_camp" ? 1000 : 500;
}

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

std::string slug(const std::string& name) {
    std::string id;
    for (const char c : lower(name)) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (plain)
            id += c;
        else if (!id.empty() && id.back() != '-' && c != '\'')
            id += '-';
    }
    while (!id.empty() && id.back() == '-') id.pop_back();
    return id.empty() ? "site" : id;
}

/// Pins carry no type of their own, only the kind of camp in the name.
std::string type_from_name(const std::string& name) {
    const std::string text = lower(name);
    if (text.find("kwan-li-so") != std::string::npos || text.find("(camp ") != std::string::npos)
        return "political_prison_camp";
    if (text.find("kyo-hwa-so") != std::string::npos || text.find("kyohwaso") != std::string::npos)
        return "re_education_camp";
    return "other";
}

std::vector<Site> read_list(const std::string& path) {
    const auto rows = read_csv(path, kMaxFileBytes);
    std::map<std::string, std::size_t> column;
    if (!rows.empty())
        for (std::size_t i = 0; i < rows[0].size(); ++i) column.emplace(rows[0][i], i);
    const auto has = [&](std::initializer_list<const char*> names) {
        return std::all_of(names.begin(), names.end(),
                           [&](const char* name) { return column.count(name) != 0; });
    };
    const bool nkpd =
        has({"id", "name", "type", "affiliation", "province", "status", "lat", "lon"});
    const bool hrnk = !nkpd && has({"name", "province", "lat", "lon", "hrnk_status_style"});
    const bool wikipedia = !nkpd && !hrnk && has({"title", "wikidata", "lat", "lon"});
    if (!nkpd && !hrnk && !wikipedia)
        throw UsageError(fmt::format(
            "{}: its header is none that is known; allowed are the NKPD facility list "
            "(id,name,type,affiliation,…,lat,lon), HRNK's pins (name,province,lat,lon,"
            "hrnk_status_style,…), Wikipedia's pins (title,wikidata,lat,lon) and a site catalogue",
            path));
    static const std::map<std::string, std::string> kTypes = {
        {"Political Prison Camp", "political_prison_camp"},
        {"Re-education Camp", "re_education_camp"},
        {"Labour Training Camp", "labour_training_camp"},
        {"Labour Training Centre", "labour_training_centre"},
        {"Detention Centre", "detention_centre"},
        {"Holding Centre", "holding_centre"},
        {"Waiting Room", "waiting_room"},
        {"Closed Detention Facility", "closed_detention_facility"},
        // The database publishes these three together as temporary facilities.
        {"Office", "temporary_facility"},
        {"Kkotjebi Relief Station", "temporary_facility"},
        {"Other", "temporary_facility"}};
    std::vector<Site> sites;
    std::vector<std::string> faults;
    std::set<std::string> ids;
    for (std::size_t r = 1; r < rows.size(); ++r) {
        const auto cell = [&](const char* name) {
            const auto it = column.find(name);
            return it == column.end() || it->second >= rows[r].size() ? std::string()
                                                                      : rows[r][it->second];
        };
        const auto fault = [&](const char* key, const std::string& allowed) {
            faults.push_back(fmt::format("{}: row {}: {}: \"{}\"; allowed: {}", path, r + 1, key,
                                         shown(cell(key)), allowed));
        };
        const char* name_key = wikipedia ? "title" : "name";
        Site site;
        site.name = cell(name_key);
        if (site.name.empty() || !plain_text(site.name))
            fault(name_key, "text without control characters, '<' and '>'");
        site.province = cell("province");
        if (!plain_text(site.province))
            fault("province", "text without control characters, '<' and '>'");
        if (nkpd) {
            site.id = cell("id");
            const auto type = kTypes.find(cell("type"));
            if (type == kTypes.end()) {
                std::string allowed;
                for (const auto& [name, unused] : kTypes)
                    allowed += (allowed.empty() ? "" : ", ") + name;
                fault("type", allowed);
            } else {
                site.type = type->second;
            }
            site.status = lower(cell("status"));
            if (!plain_text(site.status))
                fault("status", "text without control characters, '<' and '>'");
            if (!plain_id(site.id)) fault("id", "letters, digits, '.', '_' and '-'");
            std::string source = "North Korean Prison Database, Korea Future (CC BY-NC 4.0)";
            for (const char* key : {"type", "affiliation", "agency", "url", "edited"})
                if (const std::string value = cell(key); !value.empty() && plain_text(value))
                    source += fmt::format("{}{}", key == std::string("type") ? ": " : ", ", value);
            site.sources = {source};
        } else {
            site.id = slug(site.name);
            site.type = type_from_name(site.name);
            if (hrnk) {
                site.status = cell("hrnk_status_style");
                if (!plain_text(site.status))
                    fault("hrnk_status_style", "text without control characters, '<' and '>'");
                std::string source = "HRNK map pin";
                if (const std::string note = cell("note_from_hrnk");
                    !note.empty() && plain_text(note))
                    source += ": " + note;
                site.sources = {source};
            } else {
                site.sources = {fmt::format("Wikipedia map pin (CC BY-SA), Wikidata {}",
                                            shown(cell("wikidata")))};
                if (!plain_text(cell("wikidata")))
                    fault("wikidata", "an identifier such as Q717991");
            }
        }
        if (!ids.insert(lower(site.id)).second)
            fault(nkpd ? "id" : name_key, "an id that no other row has");
        const std::string lat = cell("lat"), lon = cell("lon");
        if (!lat.empty() || !lon.empty()) {
            const auto x = csv_number(lon), y = csv_number(lat);
            if (!x || !y || !(std::abs(*x) <= 180 && std::abs(*y) <= 90)) {
                faults.push_back(fmt::format(
                    "{}: row {}: lat, lon: \"{}\", \"{}\"; allowed: degrees, or both empty", path,
                    r + 1, shown(lat), shown(lon)));
            } else {
                site.centre = Point{*x, *y};
                site.radius_m = radius_for(site.type);
            }
        }
        sites.push_back(std::move(site));
    }
    if (!faults.empty()) throw UsageError(faults);
    return sites;
}

}  // namespace

std::vector<Site> read_sites(const std::string& path) {
    std::error_code error;
    const auto size = std::filesystem::file_size(path, error);
    if (error)
        throw UsageError(fmt::format("--sites {}: cannot be opened: {}", path, error.message()));
    if (size > kMaxFileBytes)
        throw UsageError(
            fmt::format("--sites {}: the file is larger than {} MiB", path, kMaxFileBytes >> 20));
    std::ifstream in(path, std::ios::binary);
    const Json json = Json::parse(in, nullptr, false);
    if (json.is_discarded()) throw UsageError(fmt::format("{}: it is not JSON", path));
    const Json& features = member(json, "features");
    const Json& type = member(json, "type");
    if (!type.is_string() || type.get<std::string>() != "FeatureCollection" || !features.is_array())
        throw UsageError(fmt::format("{}: it is not a GeoJSON FeatureCollection", path));
    std::vector<Site> sites;
    std::vector<std::string> faults;
    // Older GeoJSON may name another CRS; what QGIS writes names this one.
    if (const Json& crs = member(member(member(json, "crs"), "properties"), "name");
        crs.is_string()) {
        const auto name = crs.get<std::string>();
        if (!name.ends_with("CRS84") && !name.ends_with("4326"))
            faults.push_back(fmt::format(
                "{}: crs: \"{}\"; allowed: longitude and latitude (save it in EPSG:4326)", path,
                shown(name)));
    }
    std::set<std::string> ids;
    for (std::size_t i = 0; i < features.size(); ++i) {
        const std::string where = fmt::format("{}: feature {}", path, i + 1);
        Site site = FeatureReader(where, faults).read(features[i]);
        if (!site.id.empty() && !ids.insert(lower(site.id)).second)
            faults.push_back(fmt::format("{}: id: \"{}\" stands there twice; allowed: once each",
                                         where, shown(site.id)));
        sites.push_back(std::move(site));
    }
    if (!faults.empty()) throw UsageError(faults);
    return sites;
}

std::vector<Site> import_sites(const std::string& path) {
    const std::string suffix = lower(std::filesystem::path(path).extension().string());
    if (suffix == ".geojson" || suffix == ".json") return read_sites(path);
    try {
        return read_list(path);
    } catch (const DataError& error) {
        throw UsageError(error.what());
    }
}

Ring area_of_interest(const Site& site) {
    if (!site.area_lonlat.empty()) return site.area_lonlat;
    if (!site.centre || !(site.radius_m > 0)) return {};
    const double diagonal = site.radius_m * std::sqrt(2.0);
    Ring square;
    for (const double azimuth : {225.0, 135.0, 45.0, 315.0})
        square.push_back(geodesic_destination(*site.centre, azimuth, diagonal));
    return square;
}

std::vector<std::pair<std::string, int>> count_by(const std::vector<Site>& sites,
                                                  const std::string& key) {
    if (key != "type" && key != "province")
        throw UsageError(fmt::format("--count-by {}: allowed are type and province", key));
    std::map<std::string, int> counts;
    for (const Site& site : sites) ++counts[key == "type" ? site.type : site.province];
    std::vector<std::pair<std::string, int>> rows;
    if (key == "type") {
        for (const auto& type : site_types())
            if (const auto it = counts.find(type); it != counts.end())
                rows.emplace_back(it->first, it->second);
        return rows;
    }
    for (const auto& [name, count] : counts)
        if (!name.empty()) rows.emplace_back(name, count);
    if (const auto it = counts.find(""); it != counts.end())
        rows.emplace_back("unknown", it->second);
    return rows;
}

}  // namespace fenceline
