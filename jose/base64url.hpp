// base64url without padding (RFC 7515 section 2, appendix C).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mission::jose {

std::string base64url_encode(std::string_view bytes);
std::string base64url_encode(std::span<const std::byte> bytes);

// Characters that `bytes` octets become; and the same text appended to `out`.
constexpr std::size_t base64url_size(std::size_t bytes) noexcept {
    return (bytes * 4 + 2) / 3;
}
void base64url_append(std::string_view bytes, std::string& out);

// Strict: no padding, no white space, no other alphabet, and unused low bits of the last character
// zero, so that one octet string has exactly one text. malformed_token otherwise.
result<std::string> base64url_decode(std::string_view text);
// The same into `out`, which is overwritten; false, and `out` unspecified, when refused.
bool base64url_decode_into(std::string_view text, std::string& out);

// Plain base64 with padding (RFC 4648 section 4), for Basic credentials and x5c.
std::string base64_encode(std::string_view bytes);
result<std::string> base64_decode(std::string_view text);

}  // namespace mission::jose
