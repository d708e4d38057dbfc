// From the readers of events/ to the types that a host sees (mission_signals/events.hpp). The rules
// of shape are there; what is here is only what needs the subject and the body at once.
#include <utility>

#include "base/json.hpp"
#include "events/caep.hpp"
#include "events/catalog.hpp"
#include "events/risc.hpp"
#include "events/subject.hpp"
#include "mission_signals/events.hpp"

namespace mission_signals::events {
namespace {

namespace in = ::mission::events;
namespace json = ::mission::json;

subject told(in::subject&& s) {
    subject out;
    out.format = std::move(s.format);
    out.members = std::move(s.members);
    out.addresses = std::move(s.addresses);
    out.identifiers.reserve(s.identifiers.size());
    for (in::subject& one : s.identifiers)
        out.identifiers.push_back(told(std::move(one)));
    for (auto& [name, one] : s.complex)
        out.complex.emplace(name, told(std::move(one)));
    return out;
}

// One overload a type: a type that events/ learns does not compile here until it is told.
session_revoked told(in::caep::session_revoked&&) {
    return {};
}
token_claims_change told(in::caep::token_claims_change&& e) {
    token_claims_change out;
    out.claims = std::move(e.claims);
    return out;
}
credential_change told(in::caep::credential_change&& e) {
    credential_change out;
    out.credential_type = std::move(e.credential_type);
    out.change_type = std::move(e.change_type);
    out.friendly_name = std::move(e.friendly_name);
    out.x509_issuer = std::move(e.x509_issuer);
    out.x509_serial = std::move(e.x509_serial);
    out.fido2_aaguid = std::move(e.fido2_aaguid);
    return out;
}
assurance_level_change told(in::caep::assurance_level_change&& e) {
    assurance_level_change out;
    out.name_space = std::move(e.name_space);
    out.current_level = std::move(e.current_level);
    out.previous_level = std::move(e.previous_level);
    out.change_direction = std::move(e.change_direction);
    return out;
}
device_compliance_change told(in::caep::device_compliance_change&& e) {
    device_compliance_change out;
    out.previous_status = std::move(e.previous_status);
    out.current_status = std::move(e.current_status);
    return out;
}
session_established told(in::caep::session_established&& e) {
    session_established out;
    out.fp_ua = std::move(e.fp_ua);
    out.acr = std::move(e.acr);
    out.amr = std::move(e.amr);
    out.ext_id = std::move(e.ext_id);
    return out;
}
session_presented told(in::caep::session_presented&& e) {
    session_presented out;
    out.fp_ua = std::move(e.fp_ua);
    out.ext_id = std::move(e.ext_id);
    return out;
}
risk_level_change told(in::caep::risk_level_change&& e) {
    risk_level_change out;
    out.risk_reason = std::move(e.risk_reason);
    out.principal = std::move(e.principal);
    out.current_level = std::move(e.current_level);
    out.previous_level = std::move(e.previous_level);
    return out;
}

account_credential_change_required told(in::risc::account_credential_change_required&&) {
    return {};
}
account_purged told(in::risc::account_purged&&) {
    return {};
}
account_disabled told(in::risc::account_disabled&& e) {
    account_disabled out;
    out.reason = std::move(e.reason);
    return out;
}
account_enabled told(in::risc::account_enabled&&) {
    return {};
}
identifier_changed told(in::risc::identifier_changed&& e) {
    identifier_changed out;
    out.new_value = std::move(e.new_value);
    return out;
}
identifier_recycled told(in::risc::identifier_recycled&&) {
    return {};
}
credential_compromise told(in::risc::credential_compromise&& e) {
    credential_compromise out;
    out.credential_type = std::move(e.credential_type);
    out.event_timestamp = e.event_timestamp;
    out.reason_admin = std::move(e.reason_admin);
    out.reason_user = std::move(e.reason_user);
    return out;
}
opt_in told(in::risc::opt_in&&) {
    return {};
}
opt_out_initiated told(in::risc::opt_out_initiated&&) {
    return {};
}
opt_out_cancelled told(in::risc::opt_out_cancelled&&) {
    return {};
}
opt_out_effective told(in::risc::opt_out_effective&&) {
    return {};
}
recovery_activated told(in::risc::recovery_activated&&) {
    return {};
}
recovery_information_changed told(in::risc::recovery_information_changed&&) {
    return {};
}
sessions_revoked told(in::risc::sessions_revoked&&) {
    return {};
}

void tell_common(caep_event& out, in::caep_common&& c) {
    out.event_timestamp = c.event_timestamp;
    out.initiating_entity = std::move(c.initiating_entity);
    out.reason_admin = std::move(c.reason_admin);
    out.reason_user = std::move(c.reason_user);
}

any_event told(in::caep_event&& e, in::subject&& about) {
    return std::visit(
        [&](auto&& one) -> any_event {
            in::caep_common common = std::move(one.common);
            auto out = told(std::move(one));
            tell_common(out, std::move(common));
            out.about = told(std::move(about));
            return out;
        },
        std::move(e));
}

any_event told(in::risc_event&& e, in::subject&& about) {
    return std::visit(
        [&](auto&& one) -> any_event {
            auto out = told(std::move(one));
            out.about = told(std::move(about));
            return out;
        },
        std::move(e));
}

::mission::result<in::subject> parsed_subject(std::string_view text) {
    const auto doc = json::parse(text);
    if (!doc) return doc.error();
    return in::parse_subject(*doc);
}

// RISC 1.0 sections 2.5 and 2.6: the identifier itself is the subject. Of another subject it is not
// known which of its identifiers has changed.
bool names_an_identifier(const in::subject& about) {
    return about.format == "email" || about.format == "phone_number";
}
bool is_about_an_identifier(const in::risc_event& e) {
    return std::holds_alternative<in::risc::identifier_changed>(e) ||
           std::holds_alternative<in::risc::identifier_recycled>(e);
}

}  // namespace

std::string_view subject::member(std::string_view name) const noexcept {
    for (const auto& [key, text] : members)
        if (key == name) return text;
    return {};
}

const subject* subject::part(std::string_view name) const noexcept {
    for (const auto& [key, one] : complex)
        if (key == name) return &one;
    return nullptr;
}

std::optional<subject> read_subject(std::string_view json_text) {
    auto s = parsed_subject(json_text);
    if (!s) return std::nullopt;
    return told(std::move(*s));
}

any_event read(const security_event& e) {
    const in::event_kind* kind = in::find_event_kind(e.type);
    const bool caep = kind && kind->family == in::event_family::caep;
    if (!caep && !(kind && kind->family == in::event_family::risc)) return unknown{e.type};

    const auto lost = [&](std::string why) { return unreadable{e.type, std::move(why)}; };
    auto about = parsed_subject(e.subject);
    if (!about) return lost("sub_id: " + about.error().detail);
    const auto body = json::parse(e.event);
    if (!body) return lost("the event: " + body.error().detail);

    if (caep) {
        auto read = in::parse_caep(e.type, *body);
        if (!read) return lost(read.error().detail);
        return told(std::move(*read), std::move(*about));
    }
    auto read = in::parse_risc(e.type, *body);
    if (!read) return lost(read.error().detail);
    if (is_about_an_identifier(*read) && !names_an_identifier(*about))
        return lost("the subject is no email and no phone_number");
    return told(std::move(*read), std::move(*about));
}

}  // namespace mission_signals::events
