#include "input/scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <type_traits>

#include "core/error.h"

namespace fenceline {
namespace {

using Json = nlohmann::json;

/// One JSON object being read: each key is asked for once with its range; what nobody asked for is
/// a fault.
class Section {
  public:
    Section(const Json& json, std::string where, std::vector<std::string>& faults)
        : json_(json), where_(std::move(where)), faults_(faults) {
        if (!json_.is_object())
            fault("", fmt::format("is {}, must be an object", json_.type_name()));
    }
    ~Section() = default;
    Section(const Section&) = delete;
    Section& operator=(const Section&) = delete;

    std::string name(const std::string& key) const {
        return where_.empty() ? key : key.empty() ? where_ : where_ + "." + key;
    }
    void fault(const std::string& key, const std::string& text) const {
        faults_.push_back(name(key) + ": " + text);
    }
    const Json* find(const std::string& key) {
        known_.insert(key);
        if (!json_.is_object()) return nullptr;
        const auto it = json_.find(key);
        return it == json_.end() ? nullptr : &*it;
    }
    template <class T>
    void number(const std::string& key, T& value, double low, double high, bool required = false) {
        const Json* found = find(key);
        if (found == nullptr) {
            if (required) fault(key, "is missing");
            return;
        }
        if (!found->is_number() || (std::is_integral_v<T> && !found->is_number_integer()))
            return fault(
                key, fmt::format("is {}, must be {} from {} to {}", found->dump(),
                                 std::is_integral_v<T> ? "a whole number" : "a number", low, high));
        const double given = found->get<double>();
        if (!(given >= low && given <= high))
            return fault(key, fmt::format("is {}, allowed are {} to {}", given, low, high));
        value = static_cast<T>(given);
    }
    void text(const std::string& key, std::string& value,
              std::initializer_list<const char*> allowed = {}) {
        const Json* found = find(key);
        if (found == nullptr) return;
        if (!found->is_string())
            return fault(key, fmt::format("is {}, must be text", found->dump()));
        const auto given = found->get<std::string>();
        if (allowed.size() > 0 && std::none_of(allowed.begin(), allowed.end(),
                                               [&](const char* a) { return given == a; })) {
            std::string list;
            for (const char* a : allowed) list += (list.empty() ? "" : ", ") + std::string(a);
            return fault(key, fmt::format("is '{}', allowed are {}", given, list));
        }
        value = given;
    }
    void flag(const std::string& key, bool& value) {
        const Json* found = find(key);
        if (found == nullptr) return;
        if (!found->is_boolean())
            return fault(key, fmt::format("is {}, must be true or false", found->dump()));
        value = found->get<bool>();
    }
    void time(const std::string& key, Time& value) {
        const Json* found = find(key);
        if (found == nullptr)
            return fault(key, "is missing (a date and time such as 2010-09-11T02:20:00Z)");
        const auto parsed =
            found->is_string() ? parse_time(found->get<std::string>()) : std::nullopt;
        if (!parsed)
            return fault(key,
                         fmt::format("is {}, must be a date and time such as 2010-09-11T02:20:00Z",
                                     found->dump()));
        value = *parsed;
    }
    void numbers(const std::string& key, std::vector<double>& values, double low, double high) {
        const Json* found = find(key);
        if (found == nullptr) return;
        if (!found->is_array())
            return fault(key, fmt::format("is {}, must be a list of numbers", found->dump()));
        for (const Json& item : *found) {
            if (!item.is_number() || !(item.get<double>() >= low && item.get<double>() <= high))
                return fault(key, fmt::format("holds {}, allowed are numbers from {} to {}",
                                              item.dump(), low, high));
            values.push_back(item.get<double>());
        }
    }
    template <class Body>
    void section(const std::string& key, const Body& body) {
        if (const Json* found = find(key)) {
            Section inner(*found, name(key), faults_);
            body(inner);
            inner.refuse_unknown();
        }
    }
    template <class T, class Body>
    void list(const std::string& key, std::vector<T>& out, const Body& body) {
        const Json* found = find(key);
        if (found == nullptr) return;
        if (!found->is_array())
            return fault(key, fmt::format("is {}, must be a list", found->type_name()));
        for (std::size_t i = 0; i < found->size(); ++i) {
            Section inner((*found)[i], fmt::format("{}[{}]", name(key), i), faults_);
            T item;
            body(inner, item);
            inner.refuse_unknown();
            out.push_back(std::move(item));
        }
    }
    void refuse_unknown() const {
        if (!json_.is_object()) return;
        for (const auto& [key, value] : json_.items())
            if (known_.count(key) == 0 && !(!key.empty() && key[0] == '_')) {
                std::string list;
                for (const std::string& k : known_) list += (list.empty() ? "" : ", ") + k;
                fault(key, "is not a key of a scenario; allowed here are " + list);
            }
    }

  private:
    const Json& json_;
    std::string where_;
    std::vector<std::string>& faults_;
    std::set<std::string> known_;
};

void read_points(Section& section, const std::string& key, Polyline& points) {
    const Json* found = section.find(key);
    if (found == nullptr) return;
    if (!found->is_array() || found->size() < 3)
        return section.fault(key,
                             "must be a list of at least three [east, north] positions in metres");
    for (const Json& item : *found) {
        if (!item.is_array() || item.size() != 2 || !item[0].is_number() || !item[1].is_number())
            return section.fault(
                key, fmt::format("holds {}, must be [east, north] in metres", item.dump()));
        points.push_back({item[0].get<double>(), item[1].get<double>()});
    }
}

}  // namespace

Scenario read_scenario(const std::string& path, std::optional<std::uint64_t> seed) {
    std::ifstream file(path, std::ios::binary);
    if (!file)
        throw DataError(path, "cannot be opened",
                        "name a scenario such as those in configs/scenarios");
    Json json;
    try {
        json = Json::parse(file);
    } catch (const Json::exception& fault) {
        throw DataError(path, fmt::format("is no JSON: {}", fault.what()));
    }
    std::vector<std::string> faults;
    Scenario s;
    {
        Section top(json, "", faults);
        std::string schema = "fenceline-scenario/1";
        top.text("schema", schema, {"fenceline-scenario/1"});
        top.text("id", s.id);
        if (s.id.empty() ||
            s.id.find_first_not_of(
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") !=
                std::string::npos)
            top.fault("id", fmt::format("is '{}', allowed are letters, digits, _ and -", s.id));
        top.text("name", s.name);
        top.text("family", s.family);
        top.number("seed", s.seed, 0, 4294967295.0);
        top.text("compression", s.compression, {"deflate", "jpeg"});
        top.number("jpeg_quality", s.jpeg_quality, 50, 100);
        top.section("place", [&](Section& p) {
            p.number("lon", s.place_lonlat.x, -179, 179, true);
            p.number("lat", s.place_lonlat.y, -80, 80, true);
        });
        top.section("area", [&](Section& p) {
            p.number("width_m", s.width_m, 50, 40000);
            p.number("height_m", s.height_m, 50, 40000);
            p.number("margin_m", s.margin_m, 0, 2000);
        });
        top.section("land", [&](Section& p) {
            p.number("relief_m", s.land.relief_m, 0, 500);
            p.number("forest", s.land.forest, 0, 1);
            p.number("fields", s.land.fields, 0, 1);
            p.number("trees", s.land.trees, 0, 1);
            p.number("texture", s.land.texture, 0.2, 3);
            p.number("villages", s.land.villages, 0, 2000);
            p.number("houses_per_village", s.land.houses_per_village, 0, 500);
        });
        top.section("line", [&](Section& p) {
            std::string kind = "wall";
            p.text("kind", kind, {"none", "wall", "double_fence"});
            s.line.kind = kind == "none"   ? LineKind::none
                          : kind == "wall" ? LineKind::wall
                                           : LineKind::double_fence;
            p.number("height_m", s.line.height_m, 0.5, 12);
            p.number("thickness_m", s.line.thickness_m, 0.1, 3);
            p.number("strip_m", s.line.strip_m, 0, 40);
            p.flag("patrol_path", s.line.patrol_path);
            p.number("area_m2", s.line.area_m2, 500, 2e8);
            p.number("length_m", s.line.length_m, 80, 1e5);
            p.number("aspect", s.line.aspect, 0.3, 4);
            read_points(p, "vertices", s.line.vertices);
            p.flag("known", s.line.known);
            p.number("known_error_m", s.line.known_error_m, 0, 30);
            p.number("posts", s.line.posts, 0, 1000);
            p.number("gates", s.line.gates, 0, 8);
        });
        top.list("line_changes", s.line_changes, [](Section& p, LineChange& c) {
            p.time("at", c.at);
            std::string kind = "expansion";
            p.text("kind", kind, {"expansion", "contraction"});
            c.expansion = kind == "expansion";
            p.number("area_m2", c.area_m2, 500, 2e8, true);
            p.number("length_m", c.length_m, 0, 1e5);
            p.number("direction_deg", c.direction_deg, 0, 360);
            p.number("span_deg", c.span_deg, 20, 300);
            p.number("posts", c.posts, 0, 500);
        });
        top.list("post_changes", s.post_changes, [](Section& p, PostChange& c) {
            p.time("at", c.at);
            p.number("added", c.added, 0, 500);
            p.number("removed", c.removed, 0, 500);
        });
        top.section("buildings", [&](Section& p) {
            p.number("barracks", s.buildings.barracks, 0, 5000);
            p.number("workshops", s.buildings.workshops, 0, 5000);
            p.number("houses", s.buildings.houses, 0, 5000);
            p.number("offices", s.buildings.offices, 0, 5000);
        });
        top.list("building_changes", s.building_changes, [](Section& p, BuildingChange& c) {
            p.time("at", c.at);
            p.number("added", c.added, 0, 500);
            p.number("removed", c.removed, 0, 500);
            p.number("rebuilt", c.rebuilt, 0, 500);
            p.number("direction_deg", c.direction_deg, -1, 360);
        });
        top.section("distractors", [&](Section& p) {
            p.number("vehicles", s.distractors.vehicles, 0, 5000);
            p.number("haystacks", s.distractors.haystacks, 0, 5000);
            p.number("ponds", s.distractors.ponds, 0, 500);
            p.number("repainted_roofs", s.distractors.repainted_roofs, 0, 500);
            p.number("felled_patches", s.distractors.felled_patches, 0, 500);
            p.number("pylons", s.distractors.pylons, 0, 500);
        });
        top.section("variants", [&](Section& p) {
            p.number("days", s.variants.days, 0, 60);
            p.number("minutes", s.variants.minutes, 0, 180);
            p.number("off_nadir_deg", s.variants.off_nadir_deg, 0, 30);
            p.number("view_azimuth_deg", s.variants.view_azimuth_deg, 0, 180);
            p.number("haze", s.variants.haze, 0, 0.5);
            p.number("cloud", s.variants.cloud, 0, 0.5);
            p.number("snow", s.variants.snow, 0, 0.5);
            p.number("soil_moisture", s.variants.soil_moisture, 0, 0.5);
            p.number("blur_px", s.variants.blur_px, 0, 1);
            p.number("gsd", s.variants.gsd, 0, 0.5);
            p.number("noise", s.variants.noise, 0, 0.9);
            p.number("gain", s.variants.gain, 0, 0.5);
            p.number("texture", s.variants.texture, 0, 0.8);
            p.number("shift_m", s.variants.shift_m, 0, 50);
            p.number("rotation_mrad", s.variants.rotation_mrad, 0, 10);
            p.number("scale_ppm", s.variants.scale_ppm, 0, 5000);
            p.number("local_px", s.variants.local_px, 0, 2);
            p.number("counts", s.variants.counts, 0, 0.8);
            p.number("size", s.variants.size, 0, 0.5);
        });
        top.list("scenes", s.scenes, [](Section& p, ScenarioScene& c) {
            p.text("id", c.id);
            p.time("datetime", c.datetime);
            p.text("sensor", c.sensor);
            p.number("gsd_m", c.gsd_m, 0.2, 5);
            p.text("bands", c.bands, {"pan", "rgb", "bgrn"});
            p.number("bits", c.bits, 8, 11);
            if (c.bits != 8 && c.bits != 11)
                p.fault("bits", fmt::format("is {}, allowed are 8 and 11", c.bits));
            p.number("off_nadir_deg", c.off_nadir_deg, 0, 45);
            p.number("view_azimuth_deg", c.view_azimuth_deg, 0, 360);
            p.number("haze", c.haze, 0, 1);
            p.number("cloud", c.cloud, 0, 1);
            p.number("snow", c.snow, 0, 1);
            p.number("soil_moisture", c.soil_moisture, 0, 1);
            p.number("blur_px", c.blur_px, 0, 3);
            p.number("noise", c.noise, 0, 20);
            p.numbers("gain", c.gain, 0.05, 20);
            p.numbers("offset", c.offset, -200, 200);
            p.section("registration", [&](Section& r) {
                r.number("dx_m", c.registration.dx_m, -100, 100);
                r.number("dy_m", c.registration.dy_m, -100, 100);
                r.number("rotation_mrad", c.registration.rotation_mrad, -20, 20);
                r.number("scale_ppm", c.registration.scale_ppm, -20000, 20000);
                r.number("shear_mrad", c.registration.shear_mrad, -20, 20);
                r.number("local_px", c.registration.local_px, 0, 5);
            });
            const std::size_t bands = c.bands == "pan" ? 1 : c.bands == "rgb" ? 3 : 4;
            for (const auto& [key, list] :
                 {std::pair{"gain", &c.gain}, std::pair{"offset", &c.offset}})
                if (!list->empty() && list->size() != bands)
                    p.fault(key, fmt::format("has {} values, the scene has {} bands", list->size(),
                                             bands));
            if (c.id.empty()) {
                const std::string text = format_time(c.datetime);  // 2010-09-11T02:20:00Z
                c.id = text.substr(0, 4) + text.substr(5, 2) + text.substr(8, 2) + "T" +
                       text.substr(11, 2) + text.substr(14, 2) + text.substr(17, 2);
            }
            if (c.id.find_first_not_of(
                    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") !=
                std::string::npos)
                p.fault("id", fmt::format("is '{}', allowed are letters, digits, _ and -", c.id));
        });
        top.refuse_unknown();
        if (s.scenes.empty()) top.fault("scenes", "there must be at least one");
        std::set<std::string> ids;
        for (std::size_t i = 0; i < s.scenes.size(); ++i) {
            if (!ids.insert(s.scenes[i].id).second)
                faults.push_back(
                    fmt::format("scenes[{}].id: '{}' is there twice", i, s.scenes[i].id));
            if (i > 0 && s.scenes[i].datetime <= s.scenes[i - 1].datetime)
                faults.push_back(fmt::format(
                    "scenes[{}].datetime: {} is not after {} of the scene before it; scenes stand "
                    "in time order",
                    i, format_time(s.scenes[i].datetime), format_time(s.scenes[i - 1].datetime)));
        }
        const auto in_order = [&](const auto& list, const char* key) {
            for (std::size_t i = 1; i < list.size(); ++i)
                if (list[i].at <= list[i - 1].at)
                    faults.push_back(
                        fmt::format("{}[{}].at: {} is not after {}; changes stand in time order",
                                    key, i, format_time(list[i].at), format_time(list[i - 1].at)));
        };
        in_order(s.line_changes, "line_changes");
        in_order(s.post_changes, "post_changes");
        in_order(s.building_changes, "building_changes");
        double area = s.line.area_m2;
        for (std::size_t i = 0; i < s.line_changes.size(); ++i) {
            const LineChange& change = s.line_changes[i];
            if (change.area_m2 > 0 && (change.area_m2 > area) != change.expansion)
                faults.push_back(
                    fmt::format("line_changes[{}].area_m2: is {}, {} from {} must make it {}", i,
                                change.area_m2, change.expansion ? "an expansion" : "a contraction",
                                area, change.expansion ? "larger" : "smaller"));
            area = change.area_m2;
        }
        if (s.line.kind == LineKind::none && (!s.line_changes.empty() || !s.post_changes.empty()))
            faults.push_back("line.kind: is none, but line_changes or post_changes are given");
        for (std::size_t i = 0; i < s.line.vertices.size(); ++i) {
            const Point p = s.line.vertices[i];
            if (std::abs(p.x) > 0.5 * s.width_m || std::abs(p.y) > 0.5 * s.height_m)
                faults.push_back(
                    fmt::format("line.vertices[{}]: [{}, {}] lies outside the area of {} × {} m "
                                "around the place",
                                i, p.x, p.y, s.width_m, s.height_m));
        }
        if (!s.line.vertices.empty() && s.line.kind != LineKind::none && faults.empty()) {
            s.line.area_m2 = std::abs(signed_area(s.line.vertices));
            s.line.length_m = ring_length(s.line.vertices);
        }
        if (s.compression == "jpeg")
            for (std::size_t i = 0; i < s.scenes.size(); ++i)
                if (s.scenes[i].bits != 8 || s.scenes[i].bands == "bgrn")
                    faults.push_back(fmt::format(
                        "compression: jpeg is for 8-bit pan or rgb images, scenes[{}] is {}-bit {}",
                        i, s.scenes[i].bits, s.scenes[i].bands));
    }
    if (!faults.empty()) {
        for (std::string& fault : faults) fault = path + ": " + fault;
        throw UsageError(std::move(faults));
    }
    if (seed) s.seed = *seed;
    return s;
}

}  // namespace fenceline
