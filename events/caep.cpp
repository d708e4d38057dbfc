#include "events/caep.hpp"

#include <algorithm>
#include <initializer_list>

#include "events/catalog.hpp"
#include "events/detail/event_reader.hpp"
#include "events/detail/event_writer.hpp"

namespace mission::events {
namespace {

using detail::event_reader;
using detail::event_writer;
using texts = std::initializer_list<std::string_view>;

void read(event_reader& r, caep_common& c) {
    c.event_timestamp = r.numeric_date("event_timestamp");
    c.initiating_entity = r.optional_text("initiating_entity");
    c.reason_admin = r.languages("reason_admin");
    c.reason_user = r.languages("reason_user");
}

void write(event_writer& w, const caep_common& c) {
    w.time("event_timestamp", c.event_timestamp);
    w.text("initiating_entity", c.initiating_entity);
    w.languages("reason_admin", c.reason_admin);
    w.languages("reason_user", c.reason_user);
}

void read(event_reader&, caep::session_revoked&) {}
void read(event_reader& r, caep::token_claims_change& e) {
    const auto claims = r.object("claims");
    if (!claims || *claims == "{}") r.fail("claims", "is missing or empty");
    e.claims = claims.value_or(std::string());
}
void read(event_reader& r, caep::credential_change& e) {
    e.credential_type = r.text("credential_type");
    e.change_type = r.text("change_type");
    e.friendly_name = r.optional_text("friendly_name");
    e.x509_issuer = r.optional_text("x509_issuer");
    e.x509_serial = r.optional_text("x509_serial");
    e.fido2_aaguid = r.optional_text("fido2_aaguid");
}
void read(event_reader& r, caep::assurance_level_change& e) {
    e.name_space = r.text("namespace");
    e.current_level = r.text("current_level");
    e.previous_level = r.optional_text("previous_level");
    e.change_direction = r.optional_text("change_direction");
}
void read(event_reader& r, caep::device_compliance_change& e) {
    e.previous_status = r.text("previous_status");
    e.current_status = r.text("current_status");
}
void read(event_reader& r, caep::session_established& e) {
    e.fp_ua = r.optional_text("fp_ua");
    e.acr = r.optional_text("acr");
    e.amr = r.texts("amr");
    e.ext_id = r.optional_text("ext_id");
}
void read(event_reader& r, caep::session_presented& e) {
    e.fp_ua = r.optional_text("fp_ua");
    e.ext_id = r.optional_text("ext_id");
}
void read(event_reader& r, caep::risk_level_change& e) {
    e.risk_reason = r.optional_text("risk_reason");
    e.principal = r.text("principal");
    e.current_level = r.text("current_level");
    e.previous_level = r.optional_text("previous_level");
}

template <class Event>
result<caep_event> parsed(const json::value& body) {
    if (!body.IsObject()) return detail::bad_claim("events", "has an event that is no object");
    event_reader r(body);
    Event e;
    read(r, e.common);
    read(r, e);
    if (r.fault()) return *r.fault();
    return caep_event(std::move(e));
}

using parser = result<caep_event> (*)(const json::value&);
struct entry {
    std::string_view type;
    parser parse;
};
// In the order of the variant's alternatives.
constexpr entry entries[] = {
    {"https://schemas.openid.net/secevent/caep/event-type/session-revoked",
     parsed<caep::session_revoked>},
    {"https://schemas.openid.net/secevent/caep/event-type/token-claims-change",
     parsed<caep::token_claims_change>},
    {"https://schemas.openid.net/secevent/caep/event-type/credential-change",
     parsed<caep::credential_change>},
    {"https://schemas.openid.net/secevent/caep/event-type/assurance-level-change",
     parsed<caep::assurance_level_change>},
    {"https://schemas.openid.net/secevent/caep/event-type/device-compliance-change",
     parsed<caep::device_compliance_change>},
    {"https://schemas.openid.net/secevent/caep/event-type/session-established",
     parsed<caep::session_established>},
    {"https://schemas.openid.net/secevent/caep/event-type/session-presented",
     parsed<caep::session_presented>},
    {"https://schemas.openid.net/secevent/caep/event-type/risk-level-change",
     parsed<caep::risk_level_change>},
};
static_assert(std::size(entries) == std::variant_size_v<caep_event>);

std::optional<error> outside(std::string_view name, const std::optional<std::string>& value,
                             texts list) {
    if (!value || std::find(list.begin(), list.end(), *value) != list.end()) return std::nullopt;
    std::string all;
    for (const std::string_view one : list)
        all.append(all.empty() ? "" : ", ").append(one);
    return error{errc::invalid_request, "\"" + std::string(name) + "\" must be one of: " + all};
}

std::optional<error> outside(const caep::credential_change& e) {
    // CAEP 1.0 section 3.3.1: credential_type is open to what both sides have agreed on.
    return outside("change_type", e.change_type, {"create", "revoke", "update", "delete"});
}
std::optional<error> outside(const caep::assurance_level_change& e) {
    return outside("change_direction", e.change_direction, {"increase", "decrease"});
}
std::optional<error> outside(const caep::device_compliance_change& e) {
    if (auto fault = outside("previous_status", e.previous_status, {"compliant", "not-compliant"}))
        return fault;
    return outside("current_status", e.current_status, {"compliant", "not-compliant"});
}
std::optional<error> outside(const caep::risk_level_change& e) {
    if (auto fault = outside("current_level", e.current_level, {"LOW", "MEDIUM", "HIGH"}))
        return fault;
    return outside("previous_level", e.previous_level, {"LOW", "MEDIUM", "HIGH"});
}
template <class Event>
std::optional<error> outside(const Event&) {
    return std::nullopt;
}

template <class Event, class Members>
std::string written(const Event& e, Members members) {
    event_writer w;
    members(w);
    write(w, e.common);
    return w.finish();
}

}  // namespace

std::string to_json(const caep::session_revoked& e) {
    return written(e, [](event_writer&) {});
}
std::string to_json(const caep::token_claims_change& e) {
    return written(e, [&](event_writer& w) { w.raw("claims", e.claims); });
}
std::string to_json(const caep::credential_change& e) {
    return written(e, [&](event_writer& w) {
        w.text("credential_type", e.credential_type);
        w.text("change_type", e.change_type);
        w.text("friendly_name", e.friendly_name);
        w.text("x509_issuer", e.x509_issuer);
        w.text("x509_serial", e.x509_serial);
        w.text("fido2_aaguid", e.fido2_aaguid);
    });
}
std::string to_json(const caep::assurance_level_change& e) {
    return written(e, [&](event_writer& w) {
        w.text("namespace", e.name_space);
        w.text("current_level", e.current_level);
        w.text("previous_level", e.previous_level);
        w.text("change_direction", e.change_direction);
    });
}
std::string to_json(const caep::device_compliance_change& e) {
    return written(e, [&](event_writer& w) {
        w.text("previous_status", e.previous_status);
        w.text("current_status", e.current_status);
    });
}
std::string to_json(const caep::session_established& e) {
    return written(e, [&](event_writer& w) {
        w.text("fp_ua", e.fp_ua);
        w.text("acr", e.acr);
        w.list("amr", e.amr);
        w.text("ext_id", e.ext_id);
    });
}
std::string to_json(const caep::session_presented& e) {
    return written(e, [&](event_writer& w) {
        w.text("fp_ua", e.fp_ua);
        w.text("ext_id", e.ext_id);
    });
}
std::string to_json(const caep::risk_level_change& e) {
    return written(e, [&](event_writer& w) {
        w.text("risk_reason", e.risk_reason);
        w.text("principal", e.principal);
        w.text("current_level", e.current_level);
        w.text("previous_level", e.previous_level);
    });
}

std::string to_json(const caep_event& e) {
    return std::visit([](const auto& one) { return to_json(one); }, e);
}

std::string_view type_of(const caep_event& e) noexcept {
    return entries[e.index()].type;
}

result<caep_event> parse_caep(std::string_view type, const json::value& body) {
    for (const entry& one : entries)
        if (one.type == type) return one.parse(body);
    return error{errc::not_found, "the type is none of CAEP's"};
}

result<void> check_lists(const caep_event& e) {
    // CAEP 1.0 section 2.
    auto fault = std::visit(
        [](const auto& one) {
            return outside("initiating_entity", one.common.initiating_entity,
                           {"admin", "user", "policy", "system"});
        },
        e);
    if (!fault) fault = std::visit([](const auto& one) { return outside(one); }, e);
    if (fault) return std::move(*fault);
    return {};
}

}  // namespace mission::events
