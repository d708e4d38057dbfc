#include "transmitter/delivery/bridge.hpp"

#include "base/json.hpp"

namespace mission::transmitter {

namespace {

using language_map = std::map<std::string, std::string>;

void write_map(json::writer& w, std::string_view name, const language_map& texts) {
    json::key(w, name);
    w.StartObject();
    for (const auto& [language, text] : texts)
        json::member(w, language, text);
    w.EndObject();
}

}  // namespace

bool bridged(const events::mission_change& whole, const stream_visibility& may) {
    if (whole.prior_state != events::name(events::mission_state::active)) return false;
    if (whole.state == events::name(events::mission_state::active)) return false;
    if (may.caep_bridge == "session") return true;
    return may.caep_bridge == "user" && whole.user_sub && !whole.user_sub->empty();
}

events::subject bridge_subject(const events::mission_change& whole, const stream_visibility& may) {
    if (may.caep_bridge == "user") {
        return events::subject::iss_sub(whole.user_iss.value_or(""), whole.user_sub.value_or(""));
    }
    return events::subject::complex_of(
        {{"session", events::subject::opaque(whole.mission_id)},
         {"application", events::subject::iss_sub(whole.issuer, whole.agent_client_id)}});
}

std::string bridge_event(const events::mission_change& whole, const stream_visibility& may) {
    json::buffer out;
    json::writer w(out);
    w.StartObject();
    json::key(w, "event_timestamp");
    w.Int64(to_numeric_date(whole.committed_at));
    if (whole.initiating_entity) json::member(w, "initiating_entity", *whole.initiating_entity);
    language_map admin;
    if (may.reason) admin = whole.reason_admin;
    if (may.reason && admin.empty() && whole.reason) admin["en"] = *whole.reason;
    if (admin.empty()) admin["en"] = "The mission is " + whole.state + ".";
    write_map(w, "reason_admin", admin);
    if (may.reason && !whole.reason_user.empty()) write_map(w, "reason_user", whole.reason_user);
    w.EndObject();
    return json::text(out);
}

}  // namespace mission::transmitter
