#pragma once

#include <string>
#include <string_view>

namespace fenceline {

/// SHA-256 of bytes, as 64 hex digits.
std::string sha256_hex(std::string_view bytes);
/// "sha256-BASE64", as content security policies name a script.
std::string csp_hash(std::string_view bytes);
std::string base64(std::string_view bytes);

}  // namespace fenceline
