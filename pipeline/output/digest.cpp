#include "output/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <stdexcept>
#include <vector>

namespace fenceline {
namespace {

std::string sha256_bytes(std::string_view bytes) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1)
        throw std::runtime_error("OpenSSL has no SHA-256");
    return {reinterpret_cast<const char*>(digest.data()), size};
}

}  // namespace

std::string sha256_hex(std::string_view bytes) {
    std::string out;
    for (const char c : sha256_bytes(bytes))
        out += fmt::format("{:02x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    return out;
}

std::string base64(std::string_view bytes) {
    std::vector<unsigned char> out(4 * ((bytes.size() + 2) / 3) + 1);
    const int length =
        EVP_EncodeBlock(out.data(), reinterpret_cast<const unsigned char*>(bytes.data()),
                        static_cast<int>(bytes.size()));
    return {reinterpret_cast<const char*>(out.data()), static_cast<std::size_t>(length)};
}

std::string csp_hash(std::string_view bytes) { return "sha256-" + base64(sha256_bytes(bytes)); }

}  // namespace fenceline
