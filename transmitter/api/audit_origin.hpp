// What the audit says of whoever asked.
#pragma once

#include <string>
#include <string_view>

#include "transmitter/auth/authenticator.hpp"

namespace mission::transmitter {

// How the caller proved itself, and from where: "private_key_jwt from 192.0.2.7".
std::string origin_of(const principal& who, const net::http_request& request);

// The entry of a request: actor and origin. The caller adds action, detail and, for what makes no
// version, target and outcome.
store::audit_entry audited(const issuer_service& issuer, const principal& who,
                           const net::http_request& request);

// The symbol that the audit gives a refusal: "refused: conflict".
std::string refused_outcome(const error& why);

}  // namespace mission::transmitter
