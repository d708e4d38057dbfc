// From a JWT to the mission that it names: RFC 7519, RFC 9068 section 4. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/time.hpp"
#include "jose/jws.hpp"
#include "receiver/sidecar/settings.hpp"

namespace mission::receiver::sidecar {

struct token_claims {
    std::string mission_id;      // empty: the token names none
    std::string mission_issuer;  // beside it in the same object; empty: not told
    wall_time expires{};
};

// A token as its sender has written it: who says to have issued it, so that its keys are known.
struct unverified_token {
    jose::compact parts;  // views into the text it was read from
    std::string issuer;
};
// malformed_token: no JWS, no claims, no `iss`.
result<unverified_token> peek_token(std::string_view text);

// typ, alg, signature, iss, aud, exp, nbf, iat; in this order: wrong_typ, alg_not_allowed,
// unknown_kid, bad_signature, wrong_issuer, wrong_audience, token_expired, issued_in_future,
// bad_claims.
result<token_claims> verify_token(const unverified_token& token, const token_issuer& by,
                                  const jose::key_set& keys, wall_time now);

// "Bearer x" and "DPoP x" of an Authorization field; the whole value of any other field. Empty:
// there is no token (another scheme).
std::string_view token_in_field(std::string_view header_name, std::string_view value) noexcept;
// The value of one cookie (RFC 6265 section 4.2.1); empty: none. `twice` when it is there twice.
std::string_view token_in_cookie(std::string_view cookies, std::string_view name,
                                 bool& twice) noexcept;

}  // namespace mission::receiver::sidecar
