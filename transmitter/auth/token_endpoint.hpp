// POST /oauth/token: the client_credentials grant (RFC 6749 section 4.4), for tokens that may be
// bound to a key (RFC 9449) or a certificate (RFC 8705) and meant for one resource (RFC 8707).
#pragma once

#include "transmitter/auth/client_credentials.hpp"
#include "transmitter/auth/token_judge.hpp"

namespace mission::transmitter {

// RFC 6749 section 5.2.
net::http_response oauth_error(int status, std::string_view code, std::string_view description);

// `client` has been authenticated. The request may carry a proof, the form a scope and a resource.
net::http_response grant_token(const issuer_service& issuer, const token_judge& judge,
                               const net::http_request& request, const form& fields,
                               const authenticated_client& client);

}  // namespace mission::transmitter
