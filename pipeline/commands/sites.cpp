#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "commands/command.h"
#include "commands/installed.h"
#include "commands/site_choice.h"
#include "core/error.h"
#include "core/geodesic.h"
#include "input/sites.h"
#include "output/single_file.h"
#include "output/sites_writer.h"

namespace fenceline {
namespace {

struct SitesArguments {
    std::string action = "list", what;
    std::string sites;  ///< empty: the catalogue that comes with the program
    std::string count_by, type, out;
    bool overwrite = false;
};

/// import: the file named; list and show: the catalogue, or any list given instead of it.
std::string file_of(const SitesArguments& arguments) {
    if (arguments.action == "import") return arguments.what;
    return arguments.sites.empty() ? installed_file("configs/sites.geojson") : arguments.sites;
}

std::vector<std::string> faults_of(const SitesArguments& a) {
    std::vector<std::string> faults;
    if (a.action == "list" && !a.what.empty())
        faults.push_back(fmt::format("unexpected argument '{}'", a.what));
    if (a.action == "show" && a.what.empty())
        faults.emplace_back("sites show: ID is missing: which site");
    if (a.action == "import" && a.what.empty())
        faults.emplace_back("sites import: FILE is missing: the list to import");
    if (a.action != "import" && !a.out.empty())
        faults.emplace_back("--out goes with sites import: nothing else is written");
    check_exists(faults, a.action == "import" ? "FILE" : "--sites", file_of(a));
    if (a.action != "import" || a.out.empty()) return faults;
    if (std::string fault = output_file_fault(a.out, a.overwrite); !fault.empty())
        faults.push_back(std::move(fault));
    std::error_code failed;
    if (std::filesystem::equivalent(a.out, a.what, failed))
        faults.push_back(
            fmt::format("--out {}: is the file that is imported: name another", a.out));
    return faults;
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
    output.json = one_line({{"sites", json}});
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
    if (const auto faults = faults_of(arguments); !faults.empty()) throw UsageError(faults);
    std::vector<Site> all = import_sites(file_of(arguments));
    if (common.dry_run)
        return would_use({file_of(arguments)}, arguments.out.empty()
                                                   ? std::vector<std::string>{}
                                                   : std::vector<std::string>{arguments.out});
    if (arguments.action == "show")
        return show(choose_site(all, file_of(arguments), arguments.what));
    if (!arguments.type.empty())
        std::erase_if(all, [&](const Site& site) { return site.type != arguments.type; });
    if (!arguments.out.empty()) write_sites(arguments.out, all);
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
        table("overwrite", a.overwrite, "replace FILE when it exists");
    };
    command.run = [arguments](const Common& common, Progress&) {
        return sites(*arguments, common);
    };
    return command;
}

}  // namespace fenceline
