// Access tokens that somebody else has issued: JWTs (RFC 9068) and what introspection says of
// opaque ones (RFC 7662). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/time.hpp"
#include "jose/jws.hpp"
#include "transmitter/config.hpp"

namespace mission::transmitter {

// What a token claims, verified. Whose client that is, and what of it counts here, is decided by
// the authenticator.
struct foreign_claims {
    std::string token_issuer;  // as configured
    std::string client_id;
    std::vector<std::string> scopes;
    std::vector<std::string> audiences;
    wall_time expires{};
    wall_time good_until{};  // of the answer
    std::string jkt, x5t;
    // Derived from a mission (draft-mcguinness-oauth-mission "The mission claim"): an agent's.
    bool of_mission = false;
};

// A token that has the form of a JWT, and what it says of itself, unverified: whom to ask for keys.
struct unverified_jwt {
    jose::compact token;  // views into the text it was read from
    std::string issuer;
};
std::optional<unverified_jwt> peek_jwt(std::string_view token);

// RFC 9068 section 4: typ, alg, signature, iss, exp, iat, nbf; `aud` is there. Errors of the 1xx
// range: wrong_typ, alg_not_allowed, unknown_kid, bad_signature, wrong_issuer, bad_claims,
// token_expired, issued_in_future.
result<foreign_claims> verify_jwt(const jose::compact& token, const token_issuer_config& issuer,
                                  const jose::key_set& keys, wall_time now);

// RFC 7662 section 2.2. token_expired when it is not active; bad_claims, wrong_issuer; bad_response
// when the body is no such answer.
result<foreign_claims> read_introspection(std::string_view body, const token_issuer_config& issuer,
                                          wall_time now);

}  // namespace mission::transmitter
