#include "commands/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "core/error.h"

namespace fenceline {
namespace po = boost::program_options;
namespace {

bool is_flag(const Option& option) { return std::holds_alternative<bool*>(option.value); }
bool is_list(const Option& option) {
    return std::holds_alternative<std::vector<std::string>*>(option.value);
}
bool is_number(const Option& option) {
    return std::holds_alternative<double*>(option.value) ||
           std::holds_alternative<int*>(option.value);
}
bool is_parameter(const Option& option) { return option.name.find('.') != std::string::npos; }

std::string joined(const std::vector<std::string>& words) {
    std::string all;
    for (const auto& word : words) all += (all.empty() ? "" : ", ") + word;
    return all;
}

std::string number_text(double value) {
    // The shortest text that reads back as the same number, whatever the locale.
    char buffer[40];
    return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

std::string range_text(const Range& range) {
    const bool low = std::isfinite(range.low), high = std::isfinite(range.high);
    if (low && high)
        return fmt::format("{} to {}", number_text(range.low), number_text(range.high));
    if (low) return fmt::format("{} or more", number_text(range.low));
    if (high) return fmt::format("{} or less", number_text(range.high));
    return "any number";
}

/// Levenshtein distance, for "did you mean".
std::size_t edit_distance(const std::string& a, const std::string& b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t above = row[j];
            row[j] =
                std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U)});
            diagonal = above;
        }
    }
    return row.back();
}

std::string did_you_mean(const std::string& name, const std::vector<std::string>& known) {
    std::string best;
    std::size_t least = std::max<std::size_t>(3, name.size() / 3);
    for (const std::string& word : known)
        if (const std::size_t d = edit_distance(name, word); d < least) least = d, best = word;
    return best.empty() ? "" : fmt::format("; did you mean {}?", best);
}

/// The key of an option in the INI file: parameters keep their section, a command's own options get
/// the command's.
std::string ini_key(const Option& option, const std::string& command) {
    return option.everywhere || is_parameter(option) ? option.name : command + "." + option.name;
}

/// Sets the value from text; returns the fault, empty when there is none.
std::string assign(const Option& option, const std::string& text, const std::string& where) {
    const auto fault = [&](const std::string& allowed) {
        return fmt::format("{}: '{}' is not allowed for {}; allowed: {}", where, text, option.name,
                           allowed);
    };
    const char* const end_of_text = text.data() + text.size();
    if (auto* const* number = std::get_if<double*>(&option.value)) {
        double parsed = 0;
        const auto [end, error] = std::from_chars(text.data(), end_of_text, parsed);
        if (error != std::errc{} || end != end_of_text || !std::isfinite(parsed) ||
            parsed < option.range.low || parsed > option.range.high)
            return fault(range_text(option.range) + (option.unit.empty() ? "" : " " + option.unit));
        **number = parsed;
    } else if (auto* const* whole = std::get_if<int*>(&option.value)) {
        int parsed = 0;
        const auto [end, error] = std::from_chars(text.data(), end_of_text, parsed);
        if (error != std::errc{} || end != end_of_text || parsed < option.range.low ||
            parsed > option.range.high)
            return fault("a whole number, " + range_text(option.range));
        **whole = parsed;
    } else if (auto* const* flag = std::get_if<bool*>(&option.value)) {
        if (text == "true" || text == "yes" || text == "1" || text == "on")
            **flag = true;
        else if (text == "false" || text == "no" || text == "0" || text == "off")
            **flag = false;
        else
            return fault("true, false");
    } else if (auto* const* word = std::get_if<std::string*>(&option.value)) {
        if (!option.allowed.empty() &&
            std::find(option.allowed.begin(), option.allowed.end(), text) == option.allowed.end())
            return fault(joined(option.allowed));
        **word = text;
    } else if (auto* const* words = std::get_if<std::vector<std::string>*>(&option.value)) {
        (*words)->push_back(text);
    }
    return {};
}

using Settings = std::map<std::string, std::vector<std::string>>;  // option name → values in order

/// Takes the words that no argument is left for.
constexpr const char* kUnexpected = "unexpected argument";

/// Gives every bare --flag its value: left without one, it would take the word that follows it.
std::vector<std::string> with_flags_said(const OptionTable& table,
                                         std::vector<std::string> arguments) {
    for (std::string& word : arguments) {
        if (word == "--") break;
        for (const Option& option : table.options())
            if (is_flag(option) && word == "--" + option.name) {
                word += "=true";
                break;
            }
    }
    return arguments;
}

Settings read_command_line(const OptionTable& table, const std::vector<std::string>& arguments,
                           std::vector<std::string>& faults) {
    po::options_description known;
    po::positional_options_description positions;
    std::vector<std::pair<int, std::string>> ordered;
    for (const Option& option : table.options()) {
        auto* value = po::value<std::vector<std::string>>();
        // --flag, and --flag=false where a configuration file says true.
        if (is_flag(option)) value->implicit_value({"true"}, "true");
        known.add_options()(option.name.c_str(), value);
        if (option.position >= 0) ordered.emplace_back(option.position, option.name);
    }
    known.add_options()(kUnexpected, po::value<std::vector<std::string>>());
    std::sort(ordered.begin(), ordered.end());
    for (const auto& [position, name] : ordered) {
        const auto* option = &*std::find_if(table.options().begin(), table.options().end(),
                                            [&n = name](const Option& o) { return o.name == n; });
        positions.add(name.c_str(), is_list(*option) ? -1 : 1);
    }
    positions.add(kUnexpected, -1);
    Settings settings;
    try {
        using namespace po::command_line_style;
        const auto parsed = po::command_line_parser(with_flags_said(table, arguments))
                                .options(known)
                                .positional(positions)
                                .style(allow_long | long_allow_next | long_allow_adjacent)
                                .allow_unregistered()
                                .run();
        bool unknown = false;
        std::vector<std::string> names;
        for (const Option& option : table.options()) names.push_back("--" + option.name);
        for (const auto& option : parsed.options) {
            if (!option.unregistered) continue;
            const std::string text =
                option.original_tokens.empty() ? option.string_key : option.original_tokens.front();
            const std::string bare =
                text.substr(std::min(text.find_first_not_of('-'), text.size()));
            faults.push_back(
                fmt::format("unknown option {}{}", text,
                            did_you_mean("--" + bare.substr(0, bare.find('=')), names)));
            unknown = true;
        }
        for (const auto& option : parsed.options) {
            if (option.unregistered) continue;
            if (option.string_key == kUnexpected) {
                // Behind an unknown option a word may be its value: say only what is certain.
                if (!unknown)
                    for (const auto& word : option.value)
                        faults.push_back(word.starts_with("-")
                                             ? "unknown option " + word
                                             : fmt::format("unexpected argument '{}'", word));
                continue;
            }
            auto& values = settings[option.string_key];
            for (const auto& value : option.value) values.push_back(value);
            if (option.value.empty()) values.push_back("true");
        }
    } catch (const po::error& error) {
        faults.push_back(error.what());
    }
    return settings;
}

/// Only said on the command line.
bool is_informational(const Option& option) {
    return option.name == "help" || option.name == "version" || option.name == "print-config" ||
           option.name == "config";
}

// Boost cuts a line at '#' and its value's outer blanks off: values that have them are written in
// quotes, and stand in for '#' while Boost reads them.
constexpr char kHash = '\x1f';

std::string quoted(const std::string& value) {
    if (value.empty()) return value;
    const bool plain = value.find_first_of("#\"") == std::string::npos && value.front() != ' ' &&
                       value.back() != ' ' && value.front() != '\t' && value.back() != '\t';
    return plain ? value : '"' + value + '"';
}
std::string unquoted(std::string value) {
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
        value = value.substr(1, value.size() - 2);
    std::replace(value.begin(), value.end(), kHash, '#');
    return value;
}
std::string hashes_in_quotes_hidden(std::istream& file) {
    constexpr const char* kBlank = " \t\r";
    std::string text, line;
    while (std::getline(file, line)) {
        if (text.empty() && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
        const auto equals = line.find('=');
        const auto first = equals == std::string::npos ? std::string::npos
                                                       : line.find_first_not_of(kBlank, equals + 1);
        const auto last = line.find_last_not_of(kBlank);
        if (first != std::string::npos && line[first] == '"' && last > first && line[last] == '"')
            std::replace(line.begin() + static_cast<std::ptrdiff_t>(first), line.end(), '#', kHash);
        text += line + '\n';
    }
    return text;
}

Settings read_ini(const OptionTable& table, const std::string& command, const std::string& path,
                  const std::vector<std::string>& known_elsewhere,
                  std::vector<std::string>& faults) {
    Settings settings;
    std::ifstream file(path);
    std::error_code failed;
    if (!file || std::filesystem::is_directory(path, failed)) {
        faults.push_back(fmt::format("--config {}: {}", path,
                                     file ? "is a folder, not a file" : "the file cannot be read"));
        return settings;
    }
    std::istringstream text(hashes_in_quotes_hidden(file));
    std::map<std::string, std::string> name_of_key;
    for (const Option& option : table.options())
        if (!is_informational(option)) name_of_key[ini_key(option, command)] = option.name;
    std::vector<std::string> keys;
    for (const auto& [key, name] : name_of_key) keys.push_back(key);
    const std::set<std::string> elsewhere(known_elsewhere.begin(), known_elsewhere.end());
    try {
        const po::options_description none;
        const auto parsed = po::parse_config_file(text, none, true);
        for (const auto& option : parsed.options) {
            const auto found = name_of_key.find(option.string_key);
            if (found != name_of_key.end())
                for (const auto& value : option.value)
                    settings[found->second].push_back(unquoted(value));
            else if (elsewhere.count(option.string_key) == 0)
                faults.push_back(fmt::format("{}: unknown key {}{}", path, option.string_key,
                                             did_you_mean(option.string_key, keys)));
        }
    } catch (const po::error& error) {
        faults.push_back(fmt::format("{}: {}", path, error.what()));
    }
    return settings;
}

}  // namespace

void OptionTable::operator()(const char* name, double& value, Range range, const char* unit,
                             const char* why) {
    options_.push_back({name, &value, range, unit, why, {}, false, -1, false});
}
void OptionTable::operator()(const char* name, int& value, Range range, const char* unit,
                             const char* why) {
    options_.push_back({name, &value, range, unit, why, {}, false, -1, false});
}
void OptionTable::operator()(const char* name, bool& value, const char* why) {
    options_.push_back({name, &value, {}, "", why, {}, false, -1, false});
}
Option& OptionTable::text(const char* name, std::string& value, const char* placeholder,
                          const char* why) {
    options_.push_back({name, &value, {}, placeholder, why, {}, false, -1, false});
    return options_.back();
}
Option& OptionTable::argument(int position, const char* name, std::string& value,
                              const char* placeholder, const char* why) {
    Option& option = text(name, value, placeholder, why);
    option.required = true;
    option.position = position;
    return option;
}
Option& OptionTable::list(const char* name, std::vector<std::string>& value,
                          const char* placeholder, const char* why) {
    options_.push_back({name, &value, {}, placeholder, why, {}, false, -1, false});
    return options_.back();
}
Option& OptionTable::choice(const char* name, std::string& value, std::vector<std::string> allowed,
                            const char* why) {
    Option& option = text(name, value, "WORD", why);
    option.allowed = std::move(allowed);
    return option;
}

std::string value_text(const Option& option) {
    if (auto* const* number = std::get_if<double*>(&option.value)) return number_text(**number);
    if (auto* const* whole = std::get_if<int*>(&option.value)) return fmt::format("{}", **whole);
    if (auto* const* flag = std::get_if<bool*>(&option.value)) return **flag ? "true" : "false";
    if (auto* const* word = std::get_if<std::string*>(&option.value)) return **word;
    return {};
}

void parse_options(const OptionTable& table, const std::string& command,
                   const std::vector<std::string>& arguments,
                   const std::vector<std::string>& known_elsewhere) {
    std::vector<std::string> faults;
    const Settings line = read_command_line(table, arguments, faults);
    const auto given = [&](const char* option) { return line.count(option) != 0; };
    Settings file;
    if (given("config"))
        file = read_ini(table, command, line.at("config").back(), known_elsewhere, faults);
    const bool informational = given("help") || given("version") || given("print-config");
    for (const Option& option : table.options()) {
        // The more specific source wins as a whole: a list on the command line replaces the file's.
        const bool on_line = given(option.name.c_str());
        const Settings& source = on_line ? line : file;
        const auto found = source.find(option.name);
        if (found == source.end()) {
            if (option.required && !informational)
                faults.push_back(fmt::format(
                    "{} is missing: {}",
                    option.position >= 0 ? option.unit : "--" + option.name + " " + option.unit,
                    option.why));
            continue;
        }
        if (!is_list(option) && !(is_flag(option) && on_line) && found->second.size() > 1)
            faults.push_back(
                on_line ? fmt::format("--{} is given {} times", option.name, found->second.size())
                        : fmt::format("{}: key {} is given {} times", line.at("config").back(),
                                      ini_key(option, command), found->second.size()));
        const std::string where = on_line ? "command line" : line.at("config").back();
        for (const std::string& text : found->second)
            if (std::string fault = assign(option, text, where); !fault.empty())
                faults.push_back(std::move(fault));
    }
    if (!faults.empty()) throw UsageError(faults);
}

std::string print_ini(const OptionTable& table, const std::string& command) {
    // Keys without a section must come first in an INI file; then section by section, in the order
    // of declaration.
    std::vector<std::string> sections{""};
    std::map<std::string, std::string> lines;
    for (const Option& option : table.options()) {
        if (is_informational(option)) continue;
        const std::string key = ini_key(option, command);
        const auto dot = key.find('.');
        const std::string section = dot == std::string::npos ? "" : key.substr(0, dot);
        const std::string name = dot == std::string::npos ? key : key.substr(dot + 1);
        if (std::find(sections.begin(), sections.end(), section) == sections.end())
            sections.push_back(section);
        std::string& out = lines[section];
        out += fmt::format("# {}", option.why);
        if (is_number(option))
            out += fmt::format(" [{}{}]", range_text(option.range),
                               option.unit.empty() ? "" : " " + option.unit);
        if (!option.allowed.empty()) out += fmt::format(" [{}]", joined(option.allowed));
        out += "\n";
        std::vector<std::string> values;
        if (auto* const* words = std::get_if<std::vector<std::string>*>(&option.value))
            values = **words;
        else if (const std::string value = value_text(option); !value.empty())
            values = {value};
        for (const auto& value : values) out += fmt::format("{} = {}\n", name, quoted(value));
        if (values.empty()) out += fmt::format("# {} =\n", name);
    }
    std::string all;
    for (const auto& section : sections)
        if (!lines[section].empty())
            all +=
                (section.empty() ? "" : fmt::format("{}[{}]\n", all.empty() ? "" : "\n", section)) +
                lines[section];
    return all;
}

std::string help_text(const OptionTable& table, const std::string& usage,
                      const std::string& summary, const std::string& notes) {
    std::string out = fmt::format("Usage: {}\n\n{}\n", usage, summary);
    const auto line_of = [&](const Option& option) {
        std::string left = option.position >= 0 ? fmt::format("  {}", option.unit)
                                                : fmt::format("  --{}", option.name);
        if (option.position < 0 && !is_flag(option))
            left += is_number(option) ? " N" : " " + option.unit;
        std::string right = option.why;
        if (!option.allowed.empty()) right += fmt::format(" ({})", joined(option.allowed));
        if (is_number(option))
            right +=
                fmt::format(" [{}{}; {}]", value_text(option),
                            option.unit.empty() ? "" : " " + option.unit, range_text(option.range));
        else if (std::holds_alternative<std::string*>(option.value) && !value_text(option).empty())
            right += fmt::format(" [{}]", value_text(option));
        if (option.required) right += " (required)";
        return left.size() < 30 ? fmt::format("{:<30} {}\n", left, right)
                                : fmt::format("{}\n{:<30} {}\n", left, "", right);
    };
    const auto group = [&](const char* title, auto&& wanted) {
        std::string lines;
        for (const Option& option : table.options())
            if (wanted(option)) lines += line_of(option);
        if (!lines.empty()) out += fmt::format("\n{}:\n{}", title, lines);
    };
    group("Arguments", [](const Option& o) { return !o.everywhere && !is_parameter(o); });
    group("Everywhere", [](const Option& o) { return o.everywhere; });
    group("Parameters (also keys of the --config file: [section] key)",
          [](const Option& o) { return !o.everywhere && is_parameter(o); });
    if (!notes.empty()) out += "\n" + notes + "\n";
    return out;
}

}  // namespace fenceline
