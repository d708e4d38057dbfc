// DPoP proofs (RFC 9449): whoever sends this request holds that key. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/time.hpp"

namespace mission::transmitter {

struct proof_rules {
    std::string_view method;
    std::string url;                // what `htu` must name: scheme, authority and path
    std::string_view access_token;  // `ath` must be its hash; empty: none came with the request
    wall_time now{};
};

struct dpop_proof {
    std::string jkt;  // RFC 7638 thumbprint of its key, base64url
    std::string jti;
    wall_time issued{};
};

// RFC 9449 section 4.3, all but that the jti is new. invalid_dpop_proof with the reason for the
// log.
result<dpop_proof> verify_proof(std::string_view proof, const proof_rules& rules);

// When a proof of that `iat` stops being taken.
wall_time proof_end(wall_time issued) noexcept;

}  // namespace mission::transmitter
