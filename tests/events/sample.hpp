// One change with every member set, and helpers to read what is printed.
#pragma once

#include <string>

#include "events/mission_event.hpp"
#include "events/set.hpp"

namespace mission::events::sample {

inline const std::string mission_id = "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-";

inline mission_change revocation() {
    mission_change c;
    c.mission_id = mission_id;
    c.issuer = "https://as.example.com";
    c.log_epoch = "e1";
    c.state = "revoked";
    c.prior_state = "active";
    c.version = 2;
    c.committed_at = from_rfc3339("2026-11-02T09:06:40Z").value();
    c.expires_at = from_rfc3339("2026-12-31T23:59:59Z").value();
    c.agent_client_id = "agent-7";
    return c;
}

inline mission_change everything() {
    mission_change c = revocation();
    c.authority_hash = "sha-256:vUCCfjGulit9u0qJ0Z6pQSNerZtXMqRlfJNCr4PzLro";
    c.parent = "msn_parent_0123456789abcdef";
    c.state = "active";
    c.prior_state = "active";
    c.version = 9;
    c.committed_at = from_rfc3339("2026-11-02T09:06:40.123Z").value();
    c.suspend_until = from_rfc3339("2026-11-03T00:00:00Z").value();
    c.expiry_action = on_expiry::revoke;
    c.successor = "msn_successor_0123456789ab";
    c.authority_changed = true;
    c.tenant = "acme";
    c.reason = "said \"enough\"\nand \xc3\xa4";
    c.initiating_entity = "admin";
    c.reason_admin = {{"de", "Umfang verkleinert"}, {"en", "scope narrowed"}};
    c.reason_user = {{"en", "less"}};
    c.change = "narrowed";
    c.authorization_details =
        R"([{"type":"mission_resource_access","resource":"https://erp.example.com","actions":["invoices.read"]}])";
    c.user_iss = "https://idp.example.com";
    c.user_sub = "alice";
    return c;
}

// The change as it comes back from its own event.
inline result<mission_change> through(const mission_change& c, form f) {
    const auto body = json::parse(event_body(c, f));
    if (!body) return body.error();
    return parse_mission_event(event_type(c, f), *body, event_subject(c, f));
}

}  // namespace mission::events::sample
