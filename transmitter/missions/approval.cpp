#include "transmitter/missions/approval.hpp"

#include <initializer_list>

#include "base/limits.hpp"
#include "events/mission_event.hpp"
#include "transmitter/missions/commit.hpp"
#include "transmitter/missions/entry_index.hpp"

namespace mission::transmitter {
namespace {

error invalid(std::string what) {
    return {errc::invalid_request, std::move(what)};
}

std::string text(const json::value& v, std::string_view name) {
    return std::string(json::find_string(v, name).value_or(""));
}

std::optional<std::string> optional_text(const json::value& v, std::string_view name) {
    const auto t = json::find_string(v, name);
    return t ? std::optional<std::string>(*t) : std::nullopt;
}

store::principal_name person(const json::value& body, std::string_view name) {
    const auto* p = json::find(body, name);
    if (!p) return {};
    return {text(*p, "iss"), text(*p, "sub")};
}

using names = std::initializer_list<const char*>;

void write_texts(json::writer& w, const json::value& object, names members) {
    for (const auto* member : members)
        if (const auto text = json::find_string(object, member)) json::member(w, member, *text);
}

void write_texts(json::writer& w, const json::value& body, const char* object, names members) {
    const auto* value = json::find(body, object);
    if (!value || !value->IsObject()) return;
    json::key(w, object);
    w.StartObject();
    write_texts(w, *value, members);
    w.EndObject();
}

}  // namespace

result<approval> read_approval(const json::value& body, const approval_rules& rules,
                               std::string mission_id, wall_time now) {
    approval out;
    auto& r = out.record;
    r.mission_id =
        json::find(body, "mission_id") ? text(body, "mission_id") : std::move(mission_id);
    if (!events::valid_mission_id(r.mission_id)) return invalid("/mission_id: not a mission id");
    r.purpose = text(body, "purpose");
    r.approver = person(body, "approver");
    r.subject = person(body, "subject");
    const auto* agent = json::find(body, "agent");
    if (!agent) return invalid("/agent: required");
    r.agent_client_id = text(*agent, "client_id");
    r.agent_spiffe_id = optional_text(*agent, "spiffe_id");
    r.tenant = optional_text(body, "tenant");
    r.parent = optional_text(body, "parent");
    r.predecessor = optional_text(body, "predecessor");
    if (const auto* evidence = json::find(body, "evidence")) {
        r.evidence = json::write(*evidence);
        if (r.evidence->size() > limits::evidence_bytes) return invalid("/evidence: too large");
        // Lists of missions tell it inside of more than this body does.
        if (!json::parse(*r.evidence, limits::evidence_bytes, limits::evidence_depth))
            return invalid("/evidence: nested too deep");
    }
    const auto expires = from_rfc3339(text(body, "expires_at"));
    if (!expires) return invalid("/expires_at: not an RFC 3339 date-time");
    // A mirror is told of what was, too.
    if (*expires <= now && !rules.mirror) return invalid("/expires_at: lies in the past");
    out.expires_at = *expires;
    const auto* set = json::find(body, "authorization_details");
    if (!set) return invalid("/authorization_details: required");
    if (auto ok = rules.types.check(*set); !ok) return ok.error();
    auto hash = events::authority_hash(rules.issuer_url, *set);
    if (!hash) return invalid("/authorization_details: " + hash.error().detail);
    r.authority_hash = std::move(*hash);
    out.authorization_details = json::write(*set);
    out.resources = resources_of(*set);
    return out;
}

std::string detail_of(const approval_detail& d) {
    static const json::value nothing;
    const entries::index before(d.previous ? *d.previous : nothing);
    json::buffer added;
    json::writer a(added);
    std::size_t count = 0;
    a.StartArray();
    if (const auto* set = json::find(*d.body, "authorization_details"); set && set->IsArray())
        for (const auto& entry : set->GetArray()) {
            if (before.covering(entry)) continue;
            ++count;
            entry.Accept(a);
        }
    a.EndArray();

    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    // These and no other: what a body has beside them nobody has looked at.
    write_texts(w, *d.body, "approver", {"iss", "sub"});
    if (d.amends) {
        write_texts(w, *d.body, {"change", "reason", "expires_at"});
    } else {
        write_texts(w, *d.body, "subject", {"iss", "sub"});
        write_texts(w, *d.body, "agent", {"client_id", "spiffe_id"});
        write_texts(w, *d.body, {"purpose", "tenant", "parent", "predecessor", "expires_at"});
    }
    json::key(w, "added_count");
    w.Uint64(count);
    if (added.GetSize() <= limits::audited_entries_bytes) {
        json::key(w, "added");
        json::raw(w, json::text(added));
    }
    if (!d.justified_by.empty()) {
        json::key(w, "justified_by");
        w.StartArray();
        for (const auto entry : d.justified_by)
            w.Uint64(entry);
        w.EndArray();
    }
    w.EndObject();
    return json::text(buffer);
}

}  // namespace mission::transmitter
