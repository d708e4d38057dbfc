// What a consumer has to verify before honouring a Mission Status answer:
// draft-mcguinness-oauth-mission-status "Response", the nine checks. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "jose/jws.hpp"
#include "receiver/cache/apply.hpp"
#include "receiver/freshness/freshness.hpp"

namespace mission::receiver {

struct status_expectation {
    std::string issuer;     // the transmitter's
    std::string audience;   // what was asked for; empty: state only
    std::string client_id;  // `sub`; empty: not known (static token), not compared
    std::string nonce;
    std::string mission_id, mission_issuer;
    std::vector<std::string> algs;  // mission_status_signing_alg_values_supported
    std::chrono::seconds max_stale{0};
};

inline constexpr std::string_view status_typ = "mission-status-response+jwt";

// typ and alg (checks 1 and 2); the signature is the caller's next step, against the JWKS.
result<jose::compact> parse_status(std::string_view token, const status_expectation& expected);
// Checks 4 to 9 of a verified answer, and the form of `mission`.
result<status_word> read_status(const jose::compact& token, const status_expectation& expected,
                                instant now);

}  // namespace mission::receiver
