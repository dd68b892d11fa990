#pragma once

#include <string>
#include <string_view>

namespace fenceline {

// Names of sites, scenes and files come from strangers. Each format has its own way of being
// harmless; text passes through exactly one of these on its way out.

/// Every byte sequence that is not UTF-8 becomes U+FFFD; control characters other than tab and line
/// feed go.
std::string clean_text(std::string_view text);
/// For HTML and XML text and attributes: & < > " ' as entities, after clean_text.
std::string html_escape(std::string_view text);
/// For a <script> element: `<`, `>`, `&`, U+2028 and U+2029 of a JSON text as \uXXXX (only strings
/// can hold them).
std::string json_for_script(std::string_view json);
/// One CSV cell, quoted when it must be (RFC 4180). Text that a spreadsheet would run as a formula
/// (= + - @ tab CR) gets a leading apostrophe; numbers must not pass through here.
std::string csv_text(std::string_view text);
/// The same, always quoted (Uwazi).
std::string csv_quoted(std::string_view text);
/// A file name made of letters, digits, '.', '_' and '-', at most 80 bytes, never empty, never
/// starting with '.'.
std::string safe_file_name(std::string_view text);
/// For the path part of a URL or an RO-Crate id: everything but unreserved characters and '/' as
/// %XX.
std::string percent_encode(std::string_view path);

}  // namespace fenceline
