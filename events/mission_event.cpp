#include "events/mission_event.hpp"

#include <algorithm>

#include "events/detail/text_writer.hpp"
#include "jose/base64url.hpp"
#include "jose/digest.hpp"

namespace mission::events {
namespace {

constexpr mission_state all_states[] = {mission_state::active,    mission_state::suspended,
                                        mission_state::completed, mission_state::revoked,
                                        mission_state::expired,   mission_state::superseded,
                                        mission_state::cascaded};

using detail::text_writer;

void optional_member(text_writer& w, std::string_view name, const std::optional<std::string>& s) {
    if (s) w.member(name, *s);
}

// CAEP 1.0 section 2: an object of language tag and text.
void language_map(text_writer& w, std::string_view name,
                  const std::map<std::string, std::string>& texts) {
    if (texts.empty()) return;
    w.key(name);
    w.open();
    for (const auto& [language, text] : texts) {
        w.foreign_key(language);
        w.string(text);
    }
    w.close();
}

void write_body(text_writer& w, const mission_change& c, form f, std::string_view short_name) {
    w.open();
    w.key("mission");
    w.open();
    w.member("id", c.mission_id);
    w.member("issuer", c.issuer);
    if (!c.authority_hash.empty()) w.member("authority_hash", c.authority_hash);
    optional_member(w, "parent", c.parent);
    w.close();
    if (!c.log_epoch.empty()) w.member("log_epoch", c.log_epoch);
    w.member("state", c.state);
    optional_member(w, "prior_state", c.prior_state);
    w.member("version", c.version);
    w.member("committed_at", to_rfc3339(c.committed_at));
    w.member("expires_at", to_rfc3339(c.expires_at));
    if (c.suspend_until) w.member("suspend_until", to_rfc3339(*c.suspend_until));
    if (c.expiry_action) w.member("on_expiry", name(*c.expiry_action));
    optional_member(w, "successor", c.successor);
    if (c.authority_changed) {
        w.key("authority_changed");
        w.raw("true");
    }
    optional_member(w, "tenant", c.tenant);
    optional_member(w, "reason", c.reason);
    if (f == form::ours) {
        w.member("event_timestamp", to_numeric_date(c.committed_at));
        optional_member(w, "initiating_entity", c.initiating_entity);
        language_map(w, "reason_admin", c.reason_admin);
        language_map(w, "reason_user", c.reason_user);
        if (short_name == "mission-scope-changed") {
            optional_member(w, "change", c.change);
            if (c.authorization_details) {
                w.key("authorization_details");
                w.raw(*c.authorization_details);
            }
        }
    }
    w.close();
}

void write_opaque(text_writer& w, std::string_view id) {
    w.open();
    w.member("format", "opaque");
    w.member("id", id);
    w.close();
}

void write_iss_sub(text_writer& w, std::string_view iss, std::string_view sub) {
    w.open();
    w.member("format", "iss_sub");
    w.member("iss", iss);
    w.member("sub", sub);
    w.close();
}

// The same text as to_json(event_subject(c, f)), without the subject in between.
void write_event_subject(text_writer& w, const mission_change& c, form f) {
    if (f == form::lifecycle_change) return write_opaque(w, c.mission_id);
    w.open();
    w.member("format", "complex");
    if (!c.agent_client_id.empty()) {
        w.key("application");
        write_iss_sub(w, c.issuer, c.agent_client_id);
    }
    w.key("mission");
    write_opaque(w, c.mission_id);
    if (c.tenant) {
        w.key("tenant");
        write_opaque(w, *c.tenant);
    }
    if (c.user_iss && c.user_sub) {
        w.key("user");
        write_iss_sub(w, *c.user_iss, *c.user_sub);
    }
    w.close();
}

std::size_t authority_size(const mission_change& c) {
    return c.authorization_details ? c.authorization_details->size() : 0;
}

}  // namespace

std::string_view name(mission_state s) noexcept {
    switch (s) {
        case mission_state::active:
            return "active";
        case mission_state::suspended:
            return "suspended";
        case mission_state::completed:
            return "completed";
        case mission_state::revoked:
            return "revoked";
        case mission_state::expired:
            return "expired";
        case mission_state::superseded:
            return "superseded";
        case mission_state::cascaded:
            return "cascaded";
    }
    return "";
}

std::optional<mission_state> parse_state(std::string_view text) noexcept {
    for (const mission_state s : all_states)
        if (text == name(s)) return s;
    return std::nullopt;
}

std::string_view name(on_expiry e) noexcept {
    switch (e) {
        case on_expiry::resume:
            return "resume";
        case on_expiry::revoke:
            return "revoke";
    }
    return "";
}

std::optional<on_expiry> parse_on_expiry(std::string_view text) noexcept {
    for (const on_expiry e : {on_expiry::resume, on_expiry::revoke})
        if (text == name(e)) return e;
    return std::nullopt;
}

// wire.md section 3, as a decision: the state names the event, unless it did not change.
std::string_view event_name(const mission_change& c) {
    const auto state = parse_state(c.state);
    // A state we do not know is not active; a hold is the nearest word for it that undoes nothing.
    if (!state) return "mission-suspended";
    if (!c.prior_state) {
        if (*state == mission_state::active) return "mission-activated";
    } else if (*c.prior_state == c.state && (c.change || c.authority_changed)) {
        return "mission-scope-changed";
    }
    switch (*state) {
        case mission_state::active:
            return c.prior_state == c.state ? "mission-scope-changed" : "mission-resumed";
        case mission_state::suspended:
            return "mission-suspended";
        case mission_state::completed:
            return "mission-completed";
        case mission_state::revoked:
            return "mission-revoked";
        case mission_state::expired:
            return "mission-expired";
        case mission_state::superseded:
            return "mission-superseded";
        case mission_state::cascaded:
            return "mission-cascaded";
    }
    return "mission-suspended";
}

std::string event_type(const mission_change& c, form f, std::string_view base) {
    if (f == form::lifecycle_change) return std::string(lifecycle_change_type);
    const std::string_view short_name = event_name(c);
    std::string out;
    out.reserve(base.size() + short_name.size());
    out += base;
    out += short_name;
    return out;
}

std::string event_body(const mission_change& c, form f) {
    std::string out;
    text_writer w(out, 768 + authority_size(c));
    write_body(w, c, f, event_name(c));
    w.finish();
    return out;
}

std::string encode_mission_set(const mission_change& c, form f, const set_envelope& e,
                               std::string_view base) {
    std::string out;
    text_writer w(out, 1536 + authority_size(c));
    const std::string_view short_name = event_name(c);
    w.open();
    w.member("iss", e.iss);
    w.member("aud", e.aud);
    w.member("iat", e.iat);
    w.member("jti", e.jti);
    if (!e.txn.empty()) w.member("txn", e.txn);
    w.key("sub_id");
    write_event_subject(w, c, f);
    w.key("events");
    w.open();
    if (f == form::ours) {
        w.foreign_key(base, short_name);
    } else {
        w.foreign_key(lifecycle_change_type);
    }
    write_body(w, c, f, short_name);
    w.close();
    w.close();
    w.finish();
    return out;
}

subject event_subject(const mission_change& c, form f) {
    subject opaque = subject::opaque(c.mission_id);
    if (f == form::lifecycle_change) return opaque;
    std::map<std::string, subject> members;
    members.emplace("mission", std::move(opaque));
    if (!c.agent_client_id.empty())
        members.emplace("application", subject::iss_sub(c.issuer, c.agent_client_id));
    if (c.user_iss && c.user_sub)
        members.emplace("user", subject::iss_sub(*c.user_iss, *c.user_sub));
    if (c.tenant) members.emplace("tenant", subject::opaque(*c.tenant));
    return subject::complex_of(std::move(members));
}

bool is_mission_event(std::string_view type, std::string_view base) noexcept {
    if (type == lifecycle_change_type) return true;
    if (!type.starts_with(base)) return false;
    type.remove_prefix(base.size());
    return std::find(std::begin(mission_event_names), std::end(mission_event_names), type) !=
           std::end(mission_event_names);
}

result<std::string> authority_hash(std::string_view issuer,
                                   const json::value& authorization_details) {
    auto set = json::canonical(authorization_details);
    if (!set) return set.error();
    auto iss = json::canonical(
        json::value(issuer.data(), static_cast<RAPIDJSON_NAMESPACE::SizeType>(issuer.size())));
    if (!iss) return iss.error();
    // The envelope's three names are in RFC 8785 order as they stand.
    const std::string envelope =
        "{\"iss\":" + *iss + ",\"typ\":\"mission-authority-set\",\"value\":" + *set + '}';
    return "sha-256:" + jose::base64url_encode(jose::view(jose::sha256(envelope)));
}

bool valid_mission_id(std::string_view id) noexcept {
    return id.size() >= limits::mission_id_min && id.size() <= limits::mission_id_max &&
           std::all_of(id.begin(), id.end(), [](char c) {
               return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '-';
           });
}

}  // namespace mission::events
