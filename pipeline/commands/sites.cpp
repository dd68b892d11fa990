#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "commands/command.h"
#include "commands/installed.h"
#include "commands/site_choice.h"
#include "core/error.h"
#include "core/geodesic.h"
#include "input/sites.h"
#include "output/sites_writer.h"

namespace fenceline {
namespace {

struct SitesArguments {
    std::string action = "list", what;
    std::string sites;  ///< empty: the catalogue that comes with the program
    std::string count_by, type, out;
};

/// import: the file named; list and show: the catalogue, or any list given instead of it.
std::vector<Site> sites_of(const SitesArguments& arguments) {
    if (arguments.action == "import") {
        if (arguments.what.empty())
            throw UsageError("sites import: FILE is missing: the list to import");
        return import_sites(arguments.what);
    }
    return import_sites(arguments.sites.empty() ? installed_file("configs/sites.geojson")
                                                : arguments.sites);
}

CommandOutput count(const std::vector<Site>& sites, const std::string& key) {
    CommandOutput output;
    nlohmann::ordered_json json;
    for (const auto& [name, number] : count_by(sites, key)) {
        output.text += fmt::format("{:<28} {:>5}\n", name, number);
        json[name] = number;
    }
    output.text += fmt::format("{:<28} {:>5}\n", "all", sites.size());
    output.json =
        nlohmann::ordered_json{{"by", key}, {"counts", json}, {"all", sites.size()}}.dump();
    return output;
}

std::string place_text(const Site& site) {
    const Ring area = area_of_interest(site);
    if (area.empty()) return "no position";
    const Point middle = site.centre.value_or(centroid(area));
    return fmt::format("{:.5f} N {:.5f} E", middle.y, middle.x);
}

CommandOutput list(const std::vector<Site>& sites) {
    CommandOutput output;
    auto json = nlohmann::json::array();
    for (const Site& site : sites) {
        output.text += fmt::format("{:<28} {:<26} {:<24} {}\n", site.id, site.type,
                                   place_text(site), site.name);
        json.push_back({{"id", site.id},
                        {"name", site.name},
                        {"type", site.type},
                        {"province", site.province},
                        {"status", site.status}});
    }
    output.json = nlohmann::json{{"sites", json}}.dump();
    return output;
}

CommandOutput show(const Site& site) {
    CommandOutput output;
    output.text = fmt::format("{}  {}\n", site.id, site.name);
    const auto line = [&](const char* label, const std::string& value) {
        if (!value.empty()) output.text += fmt::format("  {:<12} {}\n", label, value);
    };
    line("Korean", site.names.ko);
    line("Hanja", site.names.hanja);
    line("romanised", site.names.rr);
    line("(M–R)", site.names.mr);
    for (const auto& alias : site.names.aliases) line("also", alias);
    line("type", site.type);
    line("province", site.province);
    line("status", site.status);
    line("place", place_text(site));
    if (const Ring area = area_of_interest(site); !area.empty())
        line("area", fmt::format("{:.2f} km² of interest", measure_ring(area).area_m2 / 1e6));
    if (!site.perimeter_lonlat.empty()) {
        const GeodesicMeasure known = measure_ring(site.perimeter_lonlat);
        line("known line",
             fmt::format("{:.3f} km², {:.2f} km long{}", known.area_m2 / 1e6, known.length_m / 1e3,
                         site.perimeter_date ? ", of " + format_date(*site.perimeter_date) : ""));
    }
    for (const auto& source : site.sources) line("source", source);
    output.json = sites_geojson({site});
    return output;
}

CommandOutput sites(const SitesArguments& arguments, const Common& common) {
    if (arguments.action == "list" && !arguments.what.empty())
        throw UsageError(fmt::format("unexpected argument '{}'", arguments.what));
    std::vector<Site> all = sites_of(arguments);
    if (arguments.action == "show") {
        if (arguments.what.empty()) throw UsageError("sites show: ID is missing: which site");
        return show(choose_site(arguments.sites, arguments.what));
    }
    if (!arguments.type.empty())
        std::erase_if(all, [&](const Site& site) { return site.type != arguments.type; });
    if (arguments.action == "import" && !arguments.out.empty() && !common.dry_run) {
        if (arguments.out == arguments.what)
            throw UsageError("--out is the file that is imported: name another");
        write_sites(arguments.out, all);
    }
    return arguments.count_by.empty() ? list(all) : count(all, arguments.count_by);
}

}  // namespace

Command sites_command() {
    const auto arguments = std::make_shared<SitesArguments>();
    Command command;
    command.name = "sites";
    command.usage = "fenceline sites [list | show ID | import FILE] [OPTIONS]";
    command.summary = "the site catalogue";
    command.notes =
        "list shows the catalogue (--sites also takes a list as published, see import); show one "
        "site; import reads the\n"
        "facility list of the North Korean Prison Database, map pins (CSV) or another catalogue, "
        "and writes a catalogue\n"
        "with --out FILE.geojson.";
    command.declare = [arguments](OptionTable& table) {
        SitesArguments& a = *arguments;
        table.choice("action", a.action, {"list", "show", "import"}, "what to do").position = 0;
        table.text("what", a.what, "ID|FILE", "which site, or which file").position = 1;
        table.text("sites", a.sites, "FILE", "the site catalogue");
        table.choice("count-by", a.count_by, {"type", "province"}, "count instead of list");
        table.choice("type", a.type, site_types(), "only sites of this type");
        table.text("out", a.out, "FILE", "with import: write the catalogue here (GeoJSON)");
    };
    command.run = [arguments](const Common& common, Progress&) {
        return sites(*arguments, common);
    };
    return command;
}

}  // namespace fenceline
