// private_key_jwt (RFC 7523): who signed this assertion? The one place that knows cpp-jwt.
//
// Who asks about a client that is not there waits as long as for one that is: the signature is
// verified against a key that nobody has.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/time.hpp"
#include "transmitter/auth/jti_guard.hpp"
#include "transmitter/config.hpp"

namespace mission::transmitter {

inline constexpr std::string_view assertion_type =
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

struct assertion_rules {
    std::vector<std::string> audiences;  // `aud` must name one of these
    std::function<const client_config*(std::string_view client_id)> find_client;
    wall_time now{};
    // RFC 8705; may be empty.
    std::function<const client_config*(std::string_view der, std::string_view client_id)>
        find_certificate = {};
};

// Checks, in order: form, alg (ES256, RS256, PS256, EdDSA, of a key of the client), iss = sub, a
// aud, exp (at most limits::assertion_lifetime_max ahead), nbf, iat, signature, jti once. Every
// failure is an error of the 1xx range; what is shown of it is one fixed sentence.
result<const client_config*> verify_client_assertion(std::string_view assertion,
                                                     const assertion_rules& rules,
                                                     jti_guard& replays);

}  // namespace mission::transmitter
