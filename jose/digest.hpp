// SHA-256, HMAC-SHA-256, AES-256-GCM and a constant-time comparison, over OpenSSL EVP.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/random.hpp"

namespace mission::jose {

using digest256 = std::array<unsigned char, 32>;

digest256 sha256(std::string_view bytes);
digest256 hmac_sha256(std::string_view key, std::string_view bytes);
inline std::string_view view(const digest256& d) {
    return {reinterpret_cast<const char*>(d.data()), d.size()};
}

// Same length and same octets, in time that depends on the lengths alone.
bool equal_constant_time(std::string_view a, std::string_view b) noexcept;

// AES-256-GCM. `key` is 32 octets; the result is nonce(12) || ciphertext || tag(16). `context` is
// authenticated and not stored: opening with another one fails with decryption_failed.
std::string seal(std::string_view key, std::string_view context, std::string_view plain,
                 random_source& random);
result<std::string> open_sealed(std::string_view key, std::string_view context,
                                std::string_view sealed);

// `n` random octets in base64url. Never begins with '-': a command line would take it for an
// option.
std::string random_id(std::size_t n, random_source& random = system_random());

}  // namespace mission::jose
