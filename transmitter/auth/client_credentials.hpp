// Client authentication at the token endpoint (RFC 6749 section 2.3, RFC 7523, RFC 8705).
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

// The client whose entry has this certificate, null when there is none or it is not `client_id`
// ("": whoever). That the peer holds its key, TLS has shown.
const client_config* client_of_certificate(const std::vector<const client_config*>& clients,
                                           std::string_view certificate_der,
                                           std::string_view client_id);

struct presented_credentials {
    std::string_view authorization;    // the header
    std::string_view certificate_der;  // of the connection
};

// Exactly one method; a certificate counts when there is no other. invalid_request when there are
// several or they contradict each other; unauthenticated when the one there is fails.
result<authenticated_client> authenticate_client(const presented_credentials& what,
                                                 const form& fields, const assertion_rules& rules,
                                                 jti_guard& replays);

}  // namespace mission::transmitter
