// The access token of a request (RFC 6750, RFC 9449 section 7), as it stands there. Pure.
#pragma once

#include <string_view>

#include "net/http.hpp"

namespace mission::transmitter {

struct presented_token {
    enum class scheme { none, bearer, dpop, unusable } how = scheme::none;
    std::string_view text;  // points into the request
};

// `none` without the header; `unusable` for another scheme, no token after it, or two headers.
presented_token token_of(const net::http_request& request) noexcept;

// wire.md: a token in a query ends up in logs and referrers; one there is refused, never used.
bool token_in_query(std::string_view query) noexcept;

}  // namespace mission::transmitter
