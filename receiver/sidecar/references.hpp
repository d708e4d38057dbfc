// Where a request names its mission, before any token is verified. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http.hpp"
#include "receiver/sidecar/decision.hpp"
#include "receiver/sidecar/settings.hpp"
#include "receiver/sidecar/token.hpp"

namespace mission::receiver::sidecar {

struct findings {
    std::optional<reason> refused;   // nothing else counts then
    std::vector<std::string> named;  // ids of header and certificate, in the configured order
    std::string_view token;          // points into the request; empty: none
};
// Header, certificate, and the token's text. What comes from a peer that is no trusted proxy is
// not overlooked but refused: somebody has gone round the proxy.
findings find_references(const net::http_request& request, const settings& s);

// All of them, and the token's claims where there is one, name one mission. missing_reference,
// conflicting_references, unknown_issuer.
struct agreed {
    std::optional<reason> refused;
    reference of;
};
agreed agree(const findings& found, const token_claims* token, const settings& s);

// What the request needs of its mission. `method` and `target` are of the request that is guarded.
struct needed {
    std::optional<reason> refused;
    wanted what;
};
needed need_of(const net::http_request& request, std::string_view method, std::string_view target,
               const settings& s);

// method and target as an nginx tells them in fields; refused when there are rules and no proxy
// that may tell.
struct original {
    std::optional<reason> refused;
    std::string_view method, target;
};
original original_request(const net::http_request& request, const settings& s);

}  // namespace mission::receiver::sidecar
