// CAEP 1.0 and RISC 1.0 events, typed, for handlers of receiver::on_event():
//
//   rx->on_event("sessions", {}, [&](const mission_signals::security_event& e) {
//       namespace ev = mission_signals::events;
//       const ev::any_event read = ev::read(e);
//       if (const auto* r = std::get_if<ev::session_revoked>(&read))
//           return sign_out(r->about);
//       if (const auto* u = std::get_if<ev::unreadable>(&read))
//           return assume_the_worst(u->type, u->why);
//       return outcome::done();
//   });
//
// Members that are not known are ignored. A value outside a list that a specification closes is
// told as it came, since a newer peer may name more: compare, and have an answer for the rest.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mission_signals/receiver.hpp"

namespace mission_signals::events {

// Whom or what an event is about (RFC 9493; SSF 1.0 section 3), as security_event::subject has it:
// a `subject` inside the event (SSF 1.0 section 3.1.1) has been compared with `sub_id` before.
//
//   format          where its content is
//   complex         complex: {"user": .., "device": .., "session": ..}, each a subject
//   aliases         identifiers: several names of one subject
//   ip-addresses    addresses
//   any other       members: {"email": ..}, {"iss": .., "sub": ..}, {"id": ..} ...
struct subject {
    std::string format;
    std::map<std::string, std::string> members;
    std::vector<std::string> addresses;
    std::vector<subject> identifiers;
    std::map<std::string, subject> complex;

    bool is_complex() const noexcept { return format == "complex"; }
    // A member's text; empty when there is none of that name (a member is never empty).
    std::string_view member(std::string_view name) const noexcept;
    // A part of a complex subject ("user"); nullptr when it has none of that name.
    const subject* part(std::string_view name) const noexcept;
    // As texts stand, without folding the case of hosts: for tests and maps of the host.
    friend bool operator==(const subject&, const subject&) = default;
};

// `sub_id` of any event, also of types that this header does not know; nullopt when it is none.
std::optional<subject> read_subject(std::string_view json_text);

// Milliseconds: the clock's own nanoseconds do not reach the year 9999, a timestamp may.
using timestamp = std::chrono::sys_time<std::chrono::milliseconds>;
using language_map = std::map<std::string, std::string>;  // BCP 47 tag -> text

// What every CAEP event may say (CAEP 1.0 section 2).
struct caep_event {
    subject about;
    std::optional<timestamp> event_timestamp;      // when it happened; absent: not told
    std::optional<std::string> initiating_entity;  // admin | user | policy | system
    language_map reason_admin, reason_user;
    friend bool operator==(const caep_event&, const caep_event&) = default;
};

// ---------------------------------------------------------------- CAEP 1.0 sections 3.1 to 3.8

struct session_revoked : caep_event {
    friend bool operator==(const session_revoked&, const session_revoked&) = default;
};
struct token_claims_change : caep_event {
    std::string claims;  // JSON object text: the claims with their new values
    friend bool operator==(const token_claims_change&, const token_claims_change&) = default;
};
struct credential_change : caep_event {
    // password | pin | x509 | fido2-platform | fido2-roaming | fido-u2f | verifiable-credential |
    // phone-voice | phone-sms | app, or what both sides have agreed on
    std::string credential_type;
    std::string change_type;  // create | revoke | update | delete
    std::optional<std::string> friendly_name, x509_issuer, x509_serial, fido2_aaguid;
    friend bool operator==(const credential_change&, const credential_change&) = default;
};
struct assurance_level_change : caep_event {
    std::string name_space;  // member `namespace`
    std::string current_level;
    std::optional<std::string> previous_level;    // absent: unknown to the transmitter
    std::optional<std::string> change_direction;  // increase | decrease
    friend bool operator==(const assurance_level_change&, const assurance_level_change&) = default;
};
struct device_compliance_change : caep_event {
    std::string previous_status, current_status;  // compliant | not-compliant
    friend bool operator==(const device_compliance_change&,
                           const device_compliance_change&) = default;
};
struct session_established : caep_event {
    std::optional<std::string> fp_ua, acr;
    std::vector<std::string> amr;
    std::optional<std::string> ext_id;
    friend bool operator==(const session_established&, const session_established&) = default;
};
struct session_presented : caep_event {
    std::optional<std::string> fp_ua, ext_id;
    friend bool operator==(const session_presented&, const session_presented&) = default;
};
struct risk_level_change : caep_event {
    std::optional<std::string> risk_reason;
    std::string principal;                      // USER, DEVICE, SESSION, TENANT, ORG_UNIT, GROUP ..
    std::string current_level;                  // LOW | MEDIUM | HIGH
    std::optional<std::string> previous_level;  // absent: unknown to the transmitter
    friend bool operator==(const risk_level_change&, const risk_level_change&) = default;
};

// --------------------------------------------------------------- RISC 1.0 sections 2.1 to 2.11

// Most RISC events say no more than their type and their subject.
struct risc_event {
    subject about;
    friend bool operator==(const risc_event&, const risc_event&) = default;
};

struct account_credential_change_required : risc_event {};
struct account_purged : risc_event {};
struct account_disabled : risc_event {
    std::optional<std::string> reason;  // hijacking | bulk-account
    friend bool operator==(const account_disabled&, const account_disabled&) = default;
};
struct account_enabled : risc_event {};
// `about` is an email or a phone_number, and is the old value.
struct identifier_changed : risc_event {
    std::optional<std::string> new_value;  // member `new-value`
    friend bool operator==(const identifier_changed&, const identifier_changed&) = default;
};
// `about` is an email or a phone_number that belongs to somebody else now.
struct identifier_recycled : risc_event {};
struct credential_compromise : risc_event {
    std::string credential_type;  // as in credential_change
    std::optional<timestamp> event_timestamp;
    language_map reason_admin, reason_user;  // a text of no stated language is under "und"
    friend bool operator==(const credential_compromise&, const credential_compromise&) = default;
};
struct opt_in : risc_event {};
struct opt_out_initiated : risc_event {};
struct opt_out_cancelled : risc_event {};
struct opt_out_effective : risc_event {};
struct recovery_activated : risc_event {};
struct recovery_information_changed : risc_event {};
// Deprecated by RISC 1.0, and still sent: every session of the subject has ended.
struct sessions_revoked : risc_event {};

// ------------------------------------------------------------------------------------- reading

// A type of neither: nothing is said about its body.
struct unknown {
    std::string type;
    friend bool operator==(const unknown&, const unknown&) = default;
};
// One of the types above whose subject or body is not what its specification asks. Something has
// happened that cannot be told: it is not the same as nothing, and never read in part.
struct unreadable {
    std::string type;
    std::string why;  // a sentence that names the member, for logs
    friend bool operator==(const unreadable&, const unreadable&) = default;
};

// Every type that read() tells apart; visit it to be told by the compiler when one is forgotten.
using any_event =
    std::variant<unknown, unreadable, session_revoked, token_claims_change, credential_change,
                 assurance_level_change, device_compliance_change, session_established,
                 session_presented, risk_level_change, account_credential_change_required,
                 account_purged, account_disabled, account_enabled, identifier_changed,
                 identifier_recycled, credential_compromise, opt_in, opt_out_initiated,
                 opt_out_cancelled, opt_out_effective, recovery_activated,
                 recovery_information_changed, sessions_revoked>;

// Any thread; the same event reads the same always. Throws nothing but std::bad_alloc.
any_event read(const security_event& e);

}  // namespace mission_signals::events
