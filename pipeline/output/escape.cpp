#include "output/escape.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace fenceline {
namespace {

constexpr const char* kReplacement = "\xEF\xBF\xBD";

// Length of the well-formed UTF-8 sequence at text[i] (Unicode 15, table 3-7), 0 when there is
// none.
std::size_t utf8_length(std::string_view text, std::size_t i) {
    const auto byte = [&](std::size_t k) {
        return k < text.size() ? static_cast<unsigned char>(text[k])
                               : static_cast<unsigned char>(0);
    };
    const auto within = [&](std::size_t k, unsigned low, unsigned high) {
        return byte(k) >= low && byte(k) <= high;
    };
    const unsigned first = byte(i);
    if (first < 0x80) return 1;
    if (first >= 0xC2 && first <= 0xDF) return within(i + 1, 0x80, 0xBF) ? 2 : 0;
    if (first >= 0xE0 && first <= 0xEF) {
        const unsigned low = first == 0xE0 ? 0xA0 : 0x80, high = first == 0xED ? 0x9F : 0xBF;
        return within(i + 1, low, high) && within(i + 2, 0x80, 0xBF) ? 3 : 0;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        const unsigned low = first == 0xF0 ? 0x90 : 0x80, high = first == 0xF4 ? 0x8F : 0xBF;
        return within(i + 1, low, high) && within(i + 2, 0x80, 0xBF) && within(i + 3, 0x80, 0xBF)
                   ? 4
                   : 0;
    }
    return 0;
}

std::string doubled_quotes(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"') out += '"';
        out += c;
    }
    return out + "\"";
}

std::string without_formula(std::string_view text) {
    std::string out;
    // Before clean_text, which drops the carriage return that is one of the dangerous first
    // characters.
    if (!text.empty() && std::string_view("=+-@\t\r").find(text.front()) != std::string_view::npos)
        out = "'";
    return out + clean_text(text);
}

}  // namespace

std::string clean_text(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t length = utf8_length(text, i);
        if (length == 0) {
            out += kReplacement;
            ++i;
            continue;
        }
        const auto first = static_cast<unsigned char>(text[i]);
        const bool c1_control =
            length == 2 && first == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0;
        // U+FFFE and U+FFFF are not XML characters.
        const bool non_character = length == 3 && first == 0xEF && text[i + 1] == '\xBF' &&
                                   static_cast<unsigned char>(text[i + 2]) >= 0xBE;
        const bool control =
            length == 1 && ((first < 0x20 && first != '\t' && first != '\n') || first == 0x7F);
        if (!control && !c1_control && !non_character) out.append(text, i, length);
        i += length;
    }
    return out;
}

std::string html_escape(std::string_view text) {
    std::string out;
    for (const char c : clean_text(text)) switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&quot;";
                break;
            case '\'':
                out += "&#39;";
                break;
            default:
                out += c;
        }
    return out;
}

std::string json_for_script(std::string_view json) {
    std::string out;
    out.reserve(json.size());
    for (std::size_t i = 0; i < json.size(); ++i) {
        const char c = json[i];
        if (c == '<')
            out += "\\u003c";
        else if (c == '>')
            out += "\\u003e";
        else if (c == '&')
            out += "\\u0026";
        else if (json.substr(i, 3) == "\xE2\x80\xA8")
            out += "\\u2028", i += 2;
        else if (json.substr(i, 3) == "\xE2\x80\xA9")
            out += "\\u2029", i += 2;
        else
            out += c;
    }
    return out;
}

std::string csv_text(std::string_view text) {
    const std::string safe = without_formula(text);
    return safe.find_first_of(",\"\n\r;") == std::string::npos ? safe : doubled_quotes(safe);
}

std::string csv_quoted(std::string_view text) { return doubled_quotes(without_formula(text)); }

std::string safe_file_name(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = byte < 0x80 && (std::isalnum(byte) || c == '.' || c == '_' || c == '-');
        if (plain)
            out += c;
        else if (out.empty() || out.back() != '_')
            out += '_';
        if (out.size() >= 80) break;
    }
    if (out.empty()) out = "_";
    if (out.front() == '.' || out.front() == '-') out.front() = '_';
    return out;
}

std::string percent_encode(std::string_view path) {
    std::string out;
    for (const char c : path) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x80 &&
            (std::isalnum(byte) || std::string_view("-._~/").find(c) != std::string_view::npos))
            out += c;
        else
            out += fmt::format("%{:02X}", static_cast<unsigned>(byte));
    }
    return out;
}

}  // namespace fenceline
