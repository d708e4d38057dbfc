// An event that somebody emits through POST /signals, judged. Pure.
//
// wire.md section 3: every CAEP 1.0 and RISC 1.0 type and the configured foreign ones, never a
// mission's or SSF's own: those say what the registry and the streams have done.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/time.hpp"
#include "schemas/schemas.hpp"
#include "transmitter/config.hpp"

namespace mission::transmitter {

struct foreign_event {
    std::string type;
    schemas::compiled schema;
};
// bad_configuration names the type whose schema is none.
result<std::vector<foreign_event>> compile_foreign(const std::vector<foreign_event_config>& list);

struct emission {
    std::string type;
    std::string subject;                               // JSON text, as parsed
    std::string event;                                 // JSON text
    std::string txn;                                   // empty: one of ours
    std::optional<std::vector<std::string>> audience;  // client ids; nullopt: everybody
};

struct emission_rules {
    std::string_view event_type_base;  // of our mission events
    const std::vector<foreign_event>& foreign;
    const client_config& emitter;
    const std::function<bool(std::string_view client_id)>& is_client;
    wall_time now{};
};

// invalid_request or schema_violation with a sentence that names the member; forbidden for
// `audience` "all" without the grant.
//
// CAEP Interoperability Profile sections 3.1 and 3.2: session-revoked and credential-change carry a
// non-empty reason_admin. RISC 1.0 sections 2.5 and 2.6: identifier-changed and -recycled are about
// an e-mail address or a telephone number. A CAEP event without `event_timestamp` gets `now`.
result<emission> parse_emission(const json::value& body, const emission_rules& rules);

}  // namespace mission::transmitter
