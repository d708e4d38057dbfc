// The events of CAEP 1.0, typed. What each means is in its section of the specification.
//
// Readers are strict about types and ignore members they do not know. A value outside a closed list
// is kept as text, since a newer peer may name more; who sends is held to the lists (catalog.hpp).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/time.hpp"

namespace mission::events {

using language_map = std::map<std::string, std::string>;  // BCP 47 tag -> text

// CAEP 1.0 section 2: what every event may say.
struct caep_common {
    std::optional<wall_time> event_timestamp;
    std::optional<std::string> initiating_entity;  // admin | user | policy | system
    language_map reason_admin, reason_user;
    friend bool operator==(const caep_common&, const caep_common&) = default;
};

namespace caep {

struct session_revoked {
    caep_common common;
    friend bool operator==(const session_revoked&, const session_revoked&) = default;
};

struct token_claims_change {
    caep_common common;
    std::string claims;  // JSON object text: the claims with their new values
    friend bool operator==(const token_claims_change&, const token_claims_change&) = default;
};

struct credential_change {
    caep_common common;
    std::string credential_type;  // one of credential_types, or what both sides have agreed on
    std::string change_type;      // create | revoke | update | delete
    std::optional<std::string> friendly_name, x509_issuer, x509_serial, fido2_aaguid;
    friend bool operator==(const credential_change&, const credential_change&) = default;
};
inline constexpr std::string_view credential_types[] = {"password",
                                                        "pin",
                                                        "x509",
                                                        "fido2-platform",
                                                        "fido2-roaming",
                                                        "fido-u2f",
                                                        "verifiable-credential",
                                                        "phone-voice",
                                                        "phone-sms",
                                                        "app"};

struct assurance_level_change {
    caep_common common;
    std::string name_space;  // member `namespace`
    std::string current_level;
    std::optional<std::string> previous_level;    // absent: unknown to the transmitter
    std::optional<std::string> change_direction;  // increase | decrease
    friend bool operator==(const assurance_level_change&, const assurance_level_change&) = default;
};

struct device_compliance_change {
    caep_common common;
    std::string previous_status, current_status;  // compliant | not-compliant
    friend bool operator==(const device_compliance_change&,
                           const device_compliance_change&) = default;
};

struct session_established {
    caep_common common;
    std::optional<std::string> fp_ua, acr;
    std::vector<std::string> amr;
    std::optional<std::string> ext_id;
    friend bool operator==(const session_established&, const session_established&) = default;
};

struct session_presented {
    caep_common common;
    std::optional<std::string> fp_ua, ext_id;
    friend bool operator==(const session_presented&, const session_presented&) = default;
};

struct risk_level_change {
    caep_common common;
    std::optional<std::string> risk_reason;
    std::string principal;                      // USER, DEVICE, SESSION, TENANT, ORG_UNIT, GROUP ..
    std::string current_level;                  // LOW | MEDIUM | HIGH
    std::optional<std::string> previous_level;  // absent: unknown to the transmitter
    friend bool operator==(const risk_level_change&, const risk_level_change&) = default;
};

}  // namespace caep

using caep_event =
    std::variant<caep::session_revoked, caep::token_claims_change, caep::credential_change,
                 caep::assurance_level_change, caep::device_compliance_change,
                 caep::session_established, caep::session_presented, caep::risk_level_change>;

// The event object of each, JSON text.
std::string to_json(const caep::session_revoked& e);
std::string to_json(const caep::token_claims_change& e);
std::string to_json(const caep::credential_change& e);
std::string to_json(const caep::assurance_level_change& e);
std::string to_json(const caep::device_compliance_change& e);
std::string to_json(const caep::session_established& e);
std::string to_json(const caep::session_presented& e);
std::string to_json(const caep::risk_level_change& e);
std::string to_json(const caep_event& e);

// Event type URI.
std::string_view type_of(const caep_event& e) noexcept;

// bad_claims with the member's name when a required one is missing or one is of the wrong type;
// not_found when the type is none of CAEP's.
result<caep_event> parse_caep(std::string_view type, const json::value& body);

// invalid_request when a member's value is outside the list that CAEP closes for senders.
result<void> check_lists(const caep_event& e);

}  // namespace mission::events
