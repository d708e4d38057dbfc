// Reading mission events of either vocabulary, and the store's own record of a change.
#include <algorithm>

#include "events/detail/event_reader.hpp"
#include "events/mission_event.hpp"

namespace mission::events {
namespace {

using detail::bad_claim;
using reader = detail::event_reader;

const std::string* member_of(const subject& s, std::string_view name) {
    const auto it = s.members.find(std::string(name));
    return it == s.members.end() ? nullptr : &it->second;
}

const subject* part_of(const subject& s, std::string_view name) {
    const auto it = s.complex.find(std::string(name));
    return it == s.complex.end() ? nullptr : &it->second;
}

// wire.md section 5: `sub_id` must name the same mission as the body does.
std::optional<error> read_subject(const subject& s, form f, mission_change& c) {
    const subject* mission = f == form::ours ? part_of(s, "mission") : &s;
    const std::string* id =
        mission && mission->format == "opaque" ? member_of(*mission, "id") : nullptr;
    if (!id) return bad_claim("sub_id", "names no mission");
    if (*id != c.mission_id) return bad_claim("sub_id", "names another mission than the event");
    if (f == form::lifecycle_change) return std::nullopt;
    const auto pair_of = [&](std::string_view name) {
        const subject* part = part_of(s, name);
        return part && part->format == "iss_sub"
                   ? std::pair{member_of(*part, "iss"), member_of(*part, "sub")}
                   : std::pair<const std::string*, const std::string*>{};
    };
    if (const auto [iss, sub] = pair_of("application"); iss && sub && *iss == c.issuer)
        c.agent_client_id = *sub;
    if (const auto [iss, sub] = pair_of("user"); iss && sub) {
        c.user_iss = *iss;
        c.user_sub = *sub;
    }
    if (!c.tenant)
        if (const subject* tenant = part_of(s, "tenant"); tenant && tenant->format == "opaque")
            if (const std::string* tenant_id = member_of(*tenant, "id")) c.tenant = *tenant_id;
    return std::nullopt;
}

// We send the parent's id; the drafts' `mission` claim has an object there, which is lineage and
// audit data: whatever it is like, no event is refused for it (docs/adr/0040).
std::optional<std::string> parent_of(const json::value& mission, reader& id) {
    const json::value* parent = json::find(mission, "parent");
    if (!parent || !parent->IsObject()) return id.optional_text("parent");
    const auto named = json::find_string(*parent, "id");
    return named ? std::optional<std::string>(*named) : std::nullopt;
}

// An ending that the type announces and the state denies (or the reverse) is no event of ours: one
// of the two would be acted upon wrongly.
bool type_fits_state(std::string_view short_name, std::string_view state) {
    short_name.remove_prefix(std::string_view("mission-").size());
    const auto announced = parse_state(short_name);
    if (announced && is_terminal(*announced)) return state == short_name;
    if (short_name == "activated" || short_name == "resumed") return state == "active";
    const auto known = parse_state(state);
    return !known || !is_terminal(*known);
}

}  // namespace

namespace {

// Fills `c` where it will stay.
std::optional<error> parse_into(mission_change& c, std::string_view type, const json::value& body,
                                const subject& sub_id, std::string_view base) {
    if (!is_mission_event(type, base))
        return error{errc::not_found, "the type is no mission event"};
    const form f = type == lifecycle_change_type ? form::lifecycle_change : form::ours;
    const json::value* mission = json::find(body, "mission");
    if (!mission || !mission->IsObject()) return bad_claim("mission", "is missing or no object");

    reader id(*mission);
    c.mission_id = id.text("id");
    c.issuer = id.text("issuer");
    c.authority_hash = id.optional_text("authority_hash").value_or(std::string());
    c.parent = parent_of(*mission, id);
    if (id.fault()) return id.fault();
    if (!valid_mission_id(c.mission_id)) return bad_claim("mission.id", "is no mission id");

    reader r(body);
    // A foreign transmitter of the drafts' event knows no epochs.
    c.log_epoch = f == form::ours ? r.text("log_epoch")
                                  : r.optional_text("log_epoch").value_or(std::string());
    c.state = r.text("state");
    c.prior_state = r.optional_text("prior_state");
    c.version = r.positive("version");
    c.committed_at = r.time("committed_at");
    c.expires_at = r.time("expires_at");
    c.suspend_until = r.optional_time("suspend_until");
    if (const auto action = r.optional_text("on_expiry"))
        c.expiry_action = parse_on_expiry(*action);
    c.successor = r.optional_text("successor");
    c.authority_changed = r.flag("authority_changed");
    c.tenant = r.optional_text("tenant");
    c.reason = r.optional_text("reason");
    if (f == form::ours) {
        c.initiating_entity = r.optional_text("initiating_entity");
        c.reason_admin = r.languages("reason_admin");
        c.reason_user = r.languages("reason_user");
        c.change = r.optional_text("change");
        c.authorization_details = r.array("authorization_details");
    }
    if (r.fault()) return r.fault();
    if (f == form::ours && !type_fits_state(type.substr(base.size()), c.state))
        return bad_claim("state", "does not fit the event type");
    return read_subject(sub_id, f, c);
}

}  // namespace

result<mission_change> parse_mission_event(std::string_view type, const json::value& body,
                                           const subject& sub_id, std::string_view base) {
    result<mission_change> out(boost::system::in_place_value);
    if (auto e = parse_into(*out, type, body, sub_id, base)) out = std::move(*e);
    return out;
}

namespace {

std::optional<known_by> read_known(const json::value& record, std::string_view name) {
    const auto* from = json::find(record, name);
    if (!from) return std::nullopt;
    known_by out;
    out.agent_client_id = std::string(json::find_string(*from, "agent").value_or(""));
    if (const auto tenant = json::find_string(*from, "tenant")) out.tenant = std::string(*tenant);
    if (const auto* list = json::find(*from, "resources"); list && list->IsArray())
        for (const auto& resource : list->GetArray())
            if (resource.IsString()) out.resources.emplace_back(json::view(resource));
    return out;
}

// Most of them are: then the text is written once.
bool is_the_reason(const std::map<std::string, std::string>& texts,
                   const std::optional<std::string>& reason) {
    return reason && texts.size() == 1 && texts.begin()->first == "en" &&
           texts.begin()->second == *reason;
}

}  // namespace

std::string to_record(const mission_change& c) {
    json::buffer b(nullptr, 768 + (c.authorization_details ? c.authorization_details->size() : 0));
    json::writer w(b);
    const auto text = [&](std::string_view name, const std::string& s) {
        json::member(w, name, s);
    };
    const auto maybe = [&](std::string_view name, const std::optional<std::string>& s) {
        if (s) json::member(w, name, *s);
    };
    const auto number = [&](std::string_view name, std::int64_t n) {
        json::key(w, name);
        w.Int64(n);
    };
    const auto texts = [&](std::string_view name, const std::map<std::string, std::string>& m) {
        if (m.empty()) return;
        json::key(w, name);
        w.StartObject();
        for (const auto& [k, v] : m)
            json::member(w, k, v);
        w.EndObject();
    };
    const auto known = [&](std::string_view name, const std::optional<known_by>& k) {
        if (!k) return;
        json::key(w, name);
        w.StartObject();
        json::key(w, "resources");
        w.StartArray();
        for (const auto& resource : k->resources)
            json::string(w, resource);
        w.EndArray();
        json::member(w, "agent", k->agent_client_id);
        if (k->tenant) json::member(w, "tenant", *k->tenant);
        w.EndObject();
    };
    w.StartObject();
    text("issuer", c.issuer);
    text("authority_hash", c.authority_hash);
    maybe("parent", c.parent);
    text("log_epoch", c.log_epoch);
    text("state", c.state);
    maybe("prior_state", c.prior_state);
    number("committed_at", to_milliseconds(c.committed_at));
    number("expires_at", to_milliseconds(c.expires_at));
    if (c.suspend_until) number("suspend_until", to_milliseconds(*c.suspend_until));
    if (c.expiry_action) json::member(w, "on_expiry", name(*c.expiry_action));
    maybe("successor", c.successor);
    if (c.authority_changed) number("authority_changed", 1);
    maybe("reason", c.reason);
    maybe("initiating_entity", c.initiating_entity);
    if (is_the_reason(c.reason_admin, c.reason))
        number("reason_admin", 1);
    else
        texts("reason_admin", c.reason_admin);
    texts("reason_user", c.reason_user);
    maybe("change", c.change);
    // As a string, not as JSON: its octets come back as they were.
    maybe("authorization_details", c.authorization_details);
    known("parent_known", c.parent_known);
    known("successor_known", c.successor_known);
    w.EndObject();
    return json::text(b);
}

result<mission_change> from_record(std::string_view text, mission_change row) {
    auto doc = json::parse(text, 4 * limits::json_bytes);
    if (!doc) return doc.error();
    if (!doc->IsObject()) return error{errc::store_corrupt, "a change that is no object"};
    reader r(*doc);
    const auto number = [&](std::string_view name) {
        const auto n = json::find_int(*doc, name);
        if (!n) r.fail(name, "is missing");
        return n.value_or(0);
    };
    const auto said = [&](std::string_view name, std::string& in) {
        if (auto member = r.optional_text(name)) in = std::move(*member);
    };
    const auto perhaps_said = [&](std::string_view name, std::optional<std::string>& in) {
        if (auto member = r.optional_text(name)) in = std::move(member);
    };
    mission_change c;
    c.mission_id = std::move(row.mission_id);
    c.version = row.version;
    c.agent_client_id = std::move(row.agent_client_id);
    c.user_iss = std::move(row.user_iss);
    c.user_sub = std::move(row.user_sub);
    c.tenant = std::move(row.tenant);
    said("mission_id", c.mission_id);
    if (const auto version = json::find_int(*doc, "version")) c.version = *version;
    said("agent_client_id", c.agent_client_id);
    perhaps_said("user_iss", c.user_iss);
    perhaps_said("user_sub", c.user_sub);
    perhaps_said("tenant", c.tenant);
    c.issuer = r.optional_text("issuer").value_or(std::string());
    c.authority_hash = r.optional_text("authority_hash").value_or(std::string());
    c.parent = r.optional_text("parent");
    c.log_epoch = r.optional_text("log_epoch").value_or(std::string());
    c.state = r.optional_text("state").value_or(std::string());
    c.prior_state = r.optional_text("prior_state");
    c.committed_at = from_milliseconds(number("committed_at"));
    c.expires_at = from_milliseconds(number("expires_at"));
    if (const auto ms = json::find_int(*doc, "suspend_until"))
        c.suspend_until = from_milliseconds(*ms);
    if (const auto action = r.optional_text("on_expiry"))
        c.expiry_action = parse_on_expiry(*action);
    c.successor = r.optional_text("successor");
    c.authority_changed = json::find_int(*doc, "authority_changed").value_or(0) != 0;
    c.reason = r.optional_text("reason");
    c.initiating_entity = r.optional_text("initiating_entity");
    if (json::find_int(*doc, "reason_admin"))
        c.reason_admin["en"] = c.reason.value_or(std::string());
    else
        c.reason_admin = r.languages("reason_admin");
    c.reason_user = r.languages("reason_user");
    c.change = r.optional_text("change");
    c.authorization_details = r.optional_text("authorization_details");
    c.parent_known = read_known(*doc, "parent_known");
    c.successor_known = read_known(*doc, "successor_known");
    if (r.fault()) return error{errc::store_corrupt, r.fault()->detail};
    return c;
}

}  // namespace mission::events
