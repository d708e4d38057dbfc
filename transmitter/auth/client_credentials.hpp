// Client authentication at the token endpoint (RFC 6749 section 2.3, RFC 7523).
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "transmitter/auth/authenticator.hpp"
#include "transmitter/auth/client_assertion.hpp"

namespace mission::transmitter {

struct authenticated_client {
    const client_config* client = nullptr;
    principal::method how{};
};

// Exactly one method. invalid_request when there are several or they contradict each other;
// unauthenticated when the one there is fails.
result<authenticated_client> authenticate_client(std::string_view authorization_header,
                                                 const form& fields, const assertion_rules& rules,
                                                 jti_guard& replays);

}  // namespace mission::transmitter
