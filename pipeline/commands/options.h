#pragma once

#include <string>
#include <variant>
#include <vector>

#include "core/options.h"

namespace fenceline {

/// One option of a command: its name, where its value goes, and what help, INI file and checks need
/// to know.
struct Option {
    std::string name;  ///< "site", or "align.search_m" for a parameter of a stage
    std::variant<double*, int*, bool*, std::string*, std::vector<std::string>*> value;
    Range range;
    std::string unit;  ///< or the placeholder of a text value ("FILE")
    std::string why;
    std::vector<std::string> allowed;  ///< for text: the only values, empty for any
    bool required = false;
    int position = -1;        ///< >= 0: may be given without its name, in this order
    bool everywhere = false;  ///< one of the options that every command has
};

/// The options of one command, each declared once. Used as the visitor of describe() in the stages'
/// headers.
class OptionTable {
  public:
    void operator()(const char* name, double& value, Range range, const char* unit,
                    const char* why);
    void operator()(const char* name, int& value, Range range, const char* unit, const char* why);
    void operator()(const char* name, bool& value, const char* why);
    Option& text(const char* name, std::string& value, const char* placeholder, const char* why);
    /// Text that must be given, with its name or without it as number `position` of the words.
    Option& argument(int position, const char* name, std::string& value, const char* placeholder,
                     const char* why);
    Option& list(const char* name, std::vector<std::string>& value, const char* placeholder,
                 const char* why);
    /// Text that must be one of the given words.
    Option& choice(const char* name, std::string& value, std::vector<std::string> allowed,
                   const char* why);

    const std::vector<Option>& options() const { return options_; }
    /// Marks option i as one that every command has.
    void everywhere(std::size_t i) { options_[i].everywhere = true; }

  private:
    std::vector<Option> options_;
};

/// Command line > INI file > built-in default (CONTRACT.md). Fills in the values; throws UsageError
/// with every fault found: unknown options and keys (with the nearest known name), values out of
/// range or of the wrong kind, missing arguments. known_elsewhere: "command.option" keys of other
/// commands, which a shared file may hold. Nothing is required when --help, --version or
/// --print-config is given.
void parse_options(const OptionTable& table, const std::string& command,
                   const std::vector<std::string>& arguments,
                   const std::vector<std::string>& known_elsewhere);

/// All effective values as an INI file with unit, range and reason of each; reading it back gives
/// the same values.
std::string print_ini(const OptionTable& table, const std::string& command);
/// The value as it would stand in the INI file.
std::string value_text(const Option& option);
/// Help: usage line, summary, the options with defaults and ranges.
std::string help_text(const OptionTable& table, const std::string& usage,
                      const std::string& summary, const std::string& notes);

}  // namespace fenceline
