#include "input/claims.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "core/error.h"

namespace fenceline {
namespace {

using Json = nlohmann::json;
constexpr std::size_t kLargestFile = 16U << 20;

std::string list(const std::vector<std::string>& words) {
    std::string out;
    for (const auto& word : words) out += (out.empty() ? "" : ", ") + word;
    return out;
}
/// A value as found, short enough for a message.
std::string found(const Json& value) {
    std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
    return text.size() > 60 ? text.substr(0, 57) + "..." : text;
}

/// "2009", "2009-10" or "2009-10-04": its first instant and the first one after it.
std::optional<std::pair<Time, Time>> span_of(const std::string& text) {
    const auto number = [&](std::size_t at, std::size_t n) -> int {
        if (at + n > text.size()) return -1;
        for (std::size_t i = at; i < at + n; ++i)
            if (text[i] < '0' || text[i] > '9') return -1;
        return std::atoi(text.substr(at, n).c_str());
    };
    const int year = number(0, 4);
    if (year < 1900 || year > 2200) return std::nullopt;
    if (text.size() == 4)
        return std::pair{time_from_civil(year, 1, 1), time_from_civil(year + 1, 1, 1)};
    const int month = text[4] == '-' ? number(5, 2) : -1;
    if (month < 1 || month > 12) return std::nullopt;
    if (text.size() == 7)
        return std::pair{
            time_from_civil(year, month, 1),
            month == 12 ? time_from_civil(year + 1, 1, 1) : time_from_civil(year, month + 1, 1)};
    const int day = text.size() == 10 && text[7] == '-' ? number(8, 2) : -1;
    if (day < 1 || !valid_date(year, month, day)) return std::nullopt;
    const Time begin = time_from_civil(year, month, day);
    return std::pair{begin, Time{begin.microseconds + 86400LL * 1000000LL}};
}

struct Reader {
    std::string name;
    std::vector<std::string> faults;

    void fault(const std::string& where, const std::string& what) {
        faults.push_back(fmt::format("{}: {}: {}", name, where, what));
    }

    void only(const Json& object, const std::string& where, const std::set<std::string>& allowed) {
        for (const auto& [key, value] : object.items())
            if (!allowed.contains(key))
                fault(where, fmt::format("unknown key '{}'; allowed: {}", key,
                                         list({allowed.begin(), allowed.end()})));
    }
    std::string text(const Json& object, const std::string& key, const std::string& where,
                     bool required = true) {
        const auto at = object.find(key);
        if (at == object.end()) {
            if (required) fault(where, fmt::format("'{}' is missing (a text)", key));
            return {};
        }
        if (!at->is_string() || (required && at->get_ref<const std::string&>().empty())) {
            fault(where, fmt::format("'{}' must be a text, found {}", key, found(*at)));
            return {};
        }
        return at->get<std::string>();
    }
    std::optional<double> number(const Json& object, const std::string& key,
                                 const std::string& where, double lowest) {
        const auto at = object.find(key);
        if (at == object.end()) {
            fault(where, fmt::format("'{}' is missing (a number)", key));
            return std::nullopt;
        }
        if (!at->is_number() || !std::isfinite(at->get<double>()) || at->get<double>() < lowest) {
            fault(where,
                  fmt::format("'{}' must be a number{}, found {}", key,
                              std::isfinite(lowest) ? fmt::format(" of at least {:g}", lowest) : "",
                              found(*at)));
            return std::nullopt;
        }
        return at->get<double>();
    }
    std::optional<Period> period(const Json& object, const std::string& key,
                                 const std::string& where) {
        const std::string written = text(object, key, where);
        if (written.empty()) return std::nullopt;
        const auto slash = written.find('/');
        const auto first = span_of(written.substr(0, slash)),
                   last = slash == std::string::npos ? first : span_of(written.substr(slash + 1));
        if (!first || !last || last->second <= first->first) {
            fault(where, fmt::format("'{}' must be a year, month, day or two of them in order as "
                                     "\"2011/2013\", found \"{}\"",
                                     key, written));
            return std::nullopt;
        }
        return Period{first->first, last->second, written};
    }

    Claim claim(const Json& object, const std::string& where) {
        Claim out;
        if (!object.is_object()) {
            fault(where, "must be an object, found " + found(object));
            return out;
        }
        only(object, where,
             {"id", "statement", "kind", "value", "unit", "tolerance", "relation", "at", "from",
              "to", "sources"});
        out.id = text(object, "id", where);
        out.statement = text(object, "statement", where);
        out.kind = text(object, "kind", where);
        out.unit = text(object, "unit", where);
        const auto& kinds = claim_kinds();
        const auto kind = std::find_if(kinds.begin(), kinds.end(),
                                       [&](const ClaimKind& k) { return k.name == out.kind; });
        if (!out.kind.empty() && kind == kinds.end()) {
            std::vector<std::string> names;
            for (const auto& k : kinds) names.push_back(k.name);
            fault(where, fmt::format("unknown kind '{}'; allowed: {}", out.kind, list(names)));
        }
        if (kind != kinds.end()) {
            if (!out.unit.empty() &&
                std::find(kind->units.begin(), kind->units.end(), out.unit) == kind->units.end())
                fault(where, fmt::format("unit '{}' does not fit {}; allowed: {}", out.unit,
                                         out.kind, list(kind->units)));
            for (const char* key : {"at", "from", "to"}) {
                const bool wanted = kind->is_change == (std::string_view(key) != "at");
                if (!wanted && object.contains(key))
                    fault(where,
                          fmt::format("'{}' does not belong to {}, which needs {}", key, out.kind,
                                      kind->is_change ? "'from' and 'to'" : "'at'"));
            }
            if (kind->is_change) {
                out.from = period(object, "from", where);
                out.to = period(object, "to", where);
                if (out.from && out.to && out.to->end <= out.from->begin)
                    fault(where, "'to' lies before 'from'");
            } else {
                out.at = period(object, "at", where);
            }
        }
        const double factor = claim_unit_factor(out.unit);
        // A line may shrink; nothing else is negative.
        const bool growth = out.kind.find("growth") != std::string::npos;
        out.value = factor * number(object, "value", where, growth ? -100 : 0).value_or(0);
        out.tolerance = factor * number(object, "tolerance", where, 0).value_or(0);
        if (object.contains("relation")) {
            out.relation = text(object, "relation", where);
            if (out.relation != "about" && out.relation != "at_least" && out.relation != "at_most")
                fault(where, fmt::format("unknown relation '{}'; allowed: about, at_least, at_most",
                                         out.relation));
        }
        const auto sources = object.find("sources");
        if (sources == object.end() || !sources->is_array() || sources->empty()) {
            fault(where,
                  "'sources' must be a list with at least one source: a claim that nobody "
                  "published is not checked");
            return out;
        }
        for (std::size_t i = 0; i < sources->size(); ++i) {
            const Json& source = (*sources)[i];
            const std::string place = fmt::format("{}.sources[{}]", where, i);
            if (!source.is_object()) {
                fault(place, "must be an object, found " + found(source));
                continue;
            }
            only(source, place, {"title", "publisher", "date", "url", "note"});
            out.sources.push_back(
                {text(source, "title", place), text(source, "publisher", place, false),
                 text(source, "date", place, false), text(source, "url", place, false),
                 text(source, "note", place, false)});
        }
        return out;
    }
};

}  // namespace

Claims parse_claims(const std::string& text, const std::string& name) {
    Json json;
    try {
        json = Json::parse(text);
    } catch (const Json::exception& error) {
        throw UsageError(fmt::format("{}: not JSON: {}", name, error.what()));
    }
    Reader reader{name, {}};
    Claims out;
    if (!json.is_object())
        throw UsageError(
            fmt::format("{}: must be an object with schema, title, site and claims", name));
    reader.only(json, "claims file", {"schema", "title", "site", "claims"});
    const std::string schema = reader.text(json, "schema", "claims file");
    if (!schema.empty() && schema != "fenceline-claims/1")
        reader.fault("schema",
                     fmt::format("found '{}', this version reads fenceline-claims/1", schema));
    out.title = reader.text(json, "title", "claims file");
    out.site = reader.text(json, "site", "claims file");
    const auto claims = json.find("claims");
    if (claims == json.end() || !claims->is_array() || claims->empty()) {
        reader.fault("claims", "must be a list with at least one claim");
    } else {
        std::set<std::string> ids;
        for (std::size_t i = 0; i < claims->size(); ++i) {
            const std::string where = fmt::format("claims[{}]", i);
            out.claims.push_back(reader.claim((*claims)[i], where));
            const std::string& id = out.claims.back().id;
            if (!id.empty() && !ids.insert(id).second)
                reader.fault(where, fmt::format("id '{}' is used twice", id));
        }
    }
    if (!reader.faults.empty()) throw UsageError(reader.faults);
    return out;
}

Claims read_claims(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file)
        throw DataError(path, "cannot be opened",
                        "give the path of a claims file, for example configs/claims/camp25.json");
    std::string text;
    std::string block(1U << 16, '\0');
    while (file.read(block.data(), static_cast<std::streamsize>(block.size())) ||
           file.gcount() > 0) {
        text.append(block.data(), static_cast<std::size_t>(file.gcount()));
        if (text.size() > kLargestFile)
            throw DataError(path, "larger than 16 MiB", "a claims file is a short list");
    }
    if (file.bad()) throw DataError(path, "cannot be read");
    return parse_claims(text, path);
}

}  // namespace fenceline
