// What happened to a mission: the vocabulary of events, and the body all forms share.
// wire.md section 3; draft-mcguinness-oauth-mission-signals "The Mission Lifecycle Change Event".
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/time.hpp"
#include "events/subject.hpp"

namespace mission::events {

enum class mission_state { active, suspended, completed, revoked, expired, superseded, cascaded };
std::string_view name(mission_state s) noexcept;
// nullopt for a state we do not know: which every reader treats as not active.
std::optional<mission_state> parse_state(std::string_view text) noexcept;
constexpr bool is_terminal(mission_state s) noexcept {
    return s != mission_state::active && s != mission_state::suspended;
}

enum class on_expiry { resume, revoke };
std::string_view name(on_expiry e) noexcept;
std::optional<on_expiry> parse_on_expiry(std::string_view text) noexcept;

// The one base of our event types; configurable per program, this is the default.
inline constexpr std::string_view event_type_base =
    "https://mission-signals.github.io/secevent/mission/event-type/";
inline constexpr std::string_view lifecycle_change_type =
    "https://schemas.karlmcguinness.com/mission/lifecycle-change";
inline constexpr std::string_view verification_type =
    "https://schemas.openid.net/secevent/ssf/event-type/verification";
inline constexpr std::string_view stream_updated_type =
    "https://schemas.openid.net/secevent/ssf/event-type/stream-updated";
inline constexpr std::string_view caep_base =
    "https://schemas.openid.net/secevent/caep/event-type/";
inline constexpr std::string_view risc_base =
    "https://schemas.openid.net/secevent/risc/event-type/";

// Our nine event types, short names.
inline constexpr std::string_view mission_event_names[] = {
    "mission-activated",  "mission-suspended", "mission-resumed",
    "mission-completed",  "mission-revoked",   "mission-expired",
    "mission-superseded", "mission-cascaded",  "mission-scope-changed"};

enum class form { ours, lifecycle_change };

// By what a client may know of another mission that a change names (its parent, its successor). In
// the record alone, never in a body.
struct known_by {
    std::vector<std::string> resources;  // sorted
    std::string agent_client_id;
    std::optional<std::string> tenant;
    friend bool operator==(const known_by&, const known_by&) = default;
};

// Everything an event body says, before it is cut to what one stream may be told.
struct mission_change {
    std::string mission_id;
    std::string issuer;
    std::string authority_hash;
    std::optional<std::string> parent;
    std::string log_epoch;
    std::string state;                       // text: a newer peer may name states we do not know
    std::optional<std::string> prior_state;  // absent at activation
    std::int64_t version = 0;
    wall_time committed_at{};
    wall_time expires_at{};
    std::optional<wall_time> suspend_until;
    std::optional<on_expiry> expiry_action;  // member `on_expiry`
    std::optional<std::string> successor;
    bool authority_changed = false;
    std::optional<std::string> tenant;
    std::optional<std::string> reason;
    // Ours only:
    std::optional<std::string> initiating_entity;     // admin | user | policy | system
    std::map<std::string, std::string> reason_admin;  // language -> text
    std::map<std::string, std::string> reason_user;
    std::optional<std::string> change;                 // narrowed | extended
    std::optional<std::string> authorization_details;  // JSON array text, the full set in force
    // For sub_id of our form:
    std::string agent_client_id;
    std::optional<std::string> user_iss, user_sub;
    std::optional<known_by> parent_known, successor_known;

    friend bool operator==(const mission_change&, const mission_change&) = default;
};

// The short name of the one event type that this version of a mission maps to (wire.md section 3).
std::string_view event_name(const mission_change& c);

// The full type URI of a change in a form.
std::string event_type(const mission_change& c, form f, std::string_view base = event_type_base);

// The event object (JSON text), and the subject, in a form. What the caller left empty (tenant,
// user, reason, parent ...) because the stream may not know it, is left out.
std::string event_body(const mission_change& c, form f);
subject event_subject(const mission_change& c, form f);

// What a SET says beside its event (events/set.hpp); views are read during the call alone.
struct set_envelope {
    std::string_view iss;
    std::string_view aud;
    std::int64_t iat = 0;  // NumericDate
    std::string_view jti;
    std::string_view txn;  // empty: left out
};

// The claims of a change's SET, the same text as `encode` of set_claims made of event_subject,
// event_type and event_body, in one pass: for whoever signs many.
std::string encode_mission_set(const mission_change& c, form f, const set_envelope& e,
                               std::string_view base = event_type_base);

// Reads an event of either vocabulary. `type` decides the form; unknown members are ignored;
// an unknown state is kept as text. bad_claims with the member's name when a required one is
// missing or of the wrong type; not_found when the type is no mission event.
result<mission_change> parse_mission_event(std::string_view type, const json::value& body,
                                           const subject& sub_id,
                                           std::string_view base = event_type_base);
bool is_mission_event(std::string_view type, std::string_view base = event_type_base) noexcept;

// `sha-256:` + base64url of SHA-256 over the RFC 8785 form of
// {"typ":"mission-authority-set","iss":issuer,"value":authorization_details}.
result<std::string> authority_hash(std::string_view issuer,
                                   const json::value& authorization_details);

// `[A-Za-z0-9_-]`, 22 to 128 characters.
bool valid_mission_id(std::string_view id) noexcept;

// A store keeps a change as JSON text; not a wire format. What its row says itself is not in there
// a second time: mission_id, version, agent_client_id, user_iss, user_sub and tenant. `row` has
// these, and nothing else is read of it; texts of earlier versions, which say them, have the last
// word. Together lossless both ways. store_corrupt when the text is not what `to_record` writes.
std::string to_record(const mission_change& c);
result<mission_change> from_record(std::string_view text, mission_change row);

}  // namespace mission::events
