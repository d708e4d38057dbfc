#include "transmitter/missions/commit.hpp"

#include <algorithm>

#include "transmitter/missions/visibility.hpp"

namespace mission::transmitter {
namespace {

events::mission_change change_of(const store::mission_record& record,
                                 const store::mission_state& next, const std::string& in_force,
                                 const commit_context& context) {
    events::mission_change c;
    c.mission_id = record.mission_id;
    c.issuer = context.issuer_url;
    c.authority_hash = record.authority_hash;
    c.parent = record.parent;
    c.log_epoch = context.log_epoch;
    c.state = events::name(next.state);
    c.version = next.version;
    c.committed_at = context.now;
    c.expires_at = next.expires_at;
    c.suspend_until = next.suspend_until;
    c.expiry_action = next.on_expiry;
    c.successor = next.successor;
    c.tenant = record.tenant;
    c.reason = next.reason;
    c.authorization_details = in_force;
    c.agent_client_id = record.agent_client_id;
    c.user_iss = record.subject.iss;
    c.user_sub = record.subject.sub;
    return c;
}

}  // namespace

store::mission_commit to_commit(const store::mission& before, const proposal& p,
                                const std::string& in_force, const commit_context& context) {
    auto change = change_of(before.record, p.next, in_force, context);
    change.prior_state = std::string(events::name(before.state.state));
    change.authority_changed = p.authority_changed;
    change.initiating_entity = p.initiating_entity;
    change.change = p.change;
    if (p.next.reason) change.reason_admin["en"] = *p.next.reason;

    store::mission_commit c;
    c.state = p.next;
    c.state.row = before.state.row;
    c.authorization_details = p.authorization_details;
    c.resources = before.resources;  // a narrowing names nothing new, and nothing is forgotten
    c.txn = context.txn;
    c.body = events::to_record(change);
    c.keys = keys_of(before);
    return c;
}

store::mission_commit to_approval(store::mission_record record, const store::mission_state& first,
                                  const std::string& authorization_details,
                                  std::vector<std::string> resources,
                                  const commit_context& context) {
    auto change = change_of(record, first, authorization_details, context);
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
    m.resources = c.resources;
    return m;
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

void settle_clock(const store::rows& rows, store::mission& m, store::changes& changes,
                  commit_context context, bool clock_ok) {
    if (!clock_ok) return;
    while (const auto p = judge_clock(m.state, context.now)) {
        const auto in_force = rows.authority(m.state.row, m.state.authority_revision);
        auto commit = to_commit(m, *p, in_force.value_or("[]"), context);
        m = after(m, commit);
        changes.missions.push_back(std::move(commit));
    }
}

}  // namespace mission::transmitter
