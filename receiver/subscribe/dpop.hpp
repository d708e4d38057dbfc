// DPoP proofs (RFC 9449 section 4.2): a token that only the holder of our key can use. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "jose/key.hpp"

namespace mission::receiver {

struct dpop_request {
    std::string_view method;
    std::string_view url;           // query and fragment are left out of `htu`
    std::string_view access_token;  // empty at the token endpoint
    std::string_view nonce;         // what the server asked for; empty: none
    std::int64_t now = 0;           // NumericDate
    std::string_view jti;
};
result<std::string> make_dpop_proof(const jose::private_key& key, const dpop_request& r);

}  // namespace mission::receiver
