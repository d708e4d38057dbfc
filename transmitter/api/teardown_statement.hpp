// The evidence of a teardown report: a statement that a receiver signs with its client's key, so
// that an auditor can tell later who said that it had stopped, of which mission, and when.
//
// Header `typ` "mission-teardown-report+jwt"; claims iss and sub (the client), aud (the issuer of
// the mission), iat, jti, mission_id, kind "teardown", and `detail`, the same as the report's.
#pragma once

#include <string_view>

#include "base/error.hpp"
#include "jose/jws.hpp"

namespace mission::transmitter {

inline constexpr std::string_view teardown_statement_typ = "mission-teardown-report+jwt";

struct teardown_claims {
    std::string_view client_id, issuer, mission_id;
    std::string_view kind, detail;  // of the report; detail as JSON text
};

// Whether a token of that `typ` says what the report says; its signature was verified before. What
// has another `typ` is the client's business. invalid_request names the claim that differs.
result<void> check_teardown_statement(const jose::compact& token, const teardown_claims& report);

// Evidence that was kept is such a statement.
bool is_teardown_statement(std::string_view evidence);

}  // namespace mission::transmitter
