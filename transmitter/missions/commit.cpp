#include "transmitter/missions/commit.hpp"

#include <algorithm>

#include "transmitter/missions/visibility.hpp"

namespace mission::transmitter {
namespace {

std::optional<events::known_by> known_by(const store::match_keys* keys) {
    if (!keys) return std::nullopt;
    return events::known_by{keys->resources, keys->agent_client_id, keys->tenant};
}

// What its row says, a record does not: that is left out here.
events::mission_change change_of(const store::mission_record& record,
                                 const store::mission_state& next, const commit_context& context,
                                 const related_missions& related) {
    events::mission_change c;
    c.issuer = context.url_of(record.issuer);
    c.authority_hash = record.authority_hash;
    c.parent = record.parent;
    c.log_epoch = context.log_epoch;
    c.state = events::name(next.state);
    c.committed_at = context.now;
    c.expires_at = next.expires_at;
    c.suspend_until = next.suspend_until;
    c.expiry_action = next.on_expiry;
    c.successor = next.successor;
    c.reason = next.reason;
    c.parent_known = known_by(related.parent);
    c.successor_known = known_by(related.successor);
    return c;
}

}  // namespace

store::mission_commit to_commit(const store::mission& before, const proposal& p,
                                const std::string& in_force, const commit_context& context,
                                const related_missions& related) {
    auto change = change_of(before.record, p.next, context, related);
    // Only a change of scope tells the set; every other body does without its octets.
    if (p.change) change.authorization_details = in_force;
    change.prior_state = std::string(events::name(before.state.state));
    change.authority_changed = p.authority_changed;
    change.initiating_entity = p.initiating_entity;
    change.change = p.change;
    if (p.next.reason) change.reason_admin["en"] = *p.next.reason;

    store::mission_commit c;
    c.state = p.next;
    c.state.row = before.state.row;
    c.authorization_details = p.authorization_details;
    // Nothing is forgotten: an audience that was named once may know of what follows. A narrowing
    // names one anew where it puts a resource in the place of a prefix.
    if (p.authorization_details)
        if (const auto set = json::parse(in_force))
            if (auto known = resources_of(*set, before.resources); known != before.resources)
                c.resources = std::move(known);
    // An extension takes nothing from the children (docs/adr/0030).
    if (p.change != "extended") c.effect = effect_of(before.state, p.next);
    // Who has none will have none: nobody ever asks for this end.
    if (c.effect == store::family_effect::end && before.state.children == 0)
        c.effect = store::family_effect::none;
    if (c.effect != store::family_effect::none) c.state.family_version = c.state.version;
    c.txn = context.txn;
    c.body = events::to_record(change);
    c.keys = keys_of(before);
    if (!c.resources.empty()) c.keys.resources = c.resources;
    return c;
}

store::mission_commit to_approval(store::mission_record record, const store::mission_state& first,
                                  const std::string& authorization_details,
                                  std::vector<std::string> resources, const commit_context& context,
                                  const related_missions& related) {
    auto change = change_of(record, first, context, related);
    change.initiating_entity = "user";

    store::mission whole{record, first, resources};
    store::mission_commit c;
    c.keys = keys_of(whole);
    c.approval = std::move(record);
    c.state = first;
    c.authorization_details = authorization_details;
    c.resources = std::move(resources);
    c.txn = context.txn;
    c.body = events::to_record(change);
    return c;
}

store::mission after(const store::mission& before, const store::mission_commit& c) {
    store::mission m = before;
    m.state = c.state;
    if (!c.resources.empty()) m.resources = c.resources;
    return m;
}

result<events::mission_change> recorded_change(const store::signal& s) {
    events::mission_change row;
    row.mission_id = s.keys.mission_id;
    row.version = s.version;
    row.agent_client_id = s.keys.agent_client_id;
    if (s.keys.user) {
        row.user_iss = s.keys.user->iss;
        row.user_sub = s.keys.user->sub;
    }
    row.tenant = s.keys.tenant;
    return events::from_record(s.body, std::move(row));
}

std::vector<std::string> resources_of(const json::value& authorization_details,
                                      std::vector<std::string> known) {
    if (authorization_details.IsArray())
        for (const auto& entry : authorization_details.GetArray())
            if (const auto resource = json::find_string(entry, "resource"))
                known.emplace_back(*resource);
    std::sort(known.begin(), known.end());
    known.erase(std::unique(known.begin(), known.end()), known.end());
    return known;
}

}  // namespace mission::transmitter
