#include "transmitter/api/mission_views.hpp"

#include <algorithm>

#include "jose/digest.hpp"
#include "transmitter/delivery/build.hpp"
#include "transmitter/missions/visibility.hpp"

namespace mission::transmitter {
namespace {

// A deadline may pass between writing and reading again; more often than this is a broken clock.
constexpr int tries = 3;

using loaded = std::function<void(result<mission_view>)>;

// What one look at the rows has found.
struct seen {
    std::optional<mission_view> view;
    bool pending = false;
};

seen look(const store::rows& rows, const issuer_service& issuer, const std::string& id,
          authority_part part, bool clock_ok) {
    seen out;
    auto m = rows.find_mission(issuer.id, id);
    if (!m) return out;
    const auto now = issuer.common->time->now();
    // A mission that has ended is asked nothing more, but the parent is shown beside it.
    std::optional<store::mission_state> parent;
    if (m->record.parent_row != store::mission_row{})
        parent = rows.find_state(m->record.parent_row);
    out.pending = is_pending(rows, m->state, now, clock_ok) ||
                  (parent && is_pending(rows, *parent, now, clock_ok));
    if (out.pending) return out;
    out.view = view_of(rows, std::move(*m), part);
    if (parent) out.view->parent_state = parent->state;
    return out;
}

void load(issuer_service& issuer, std::string id, int left, loaded done);

void looked(issuer_service& issuer, const std::string& id, int left, seen found, bool clock_ok,
            const loaded& done) {
    if (found.view) return done(std::move(*found.view));
    if (!found.pending) return done(error{errc::mission_not_found});
    if (left == 0) return done(error{errc::unavailable, "a mission cannot be settled"});
    issuer.common->db->submit(
        [&issuer, id, clock_ok, txn = new_txn(issuer)](const store::rows& rows,
                                                       wall_time now) -> result<store::changes> {
            settlement s(rows, context_of(issuer, rows, txn, now), clock_ok);
            if (const auto m = s.settle(issuer.id, id)) s.settle(m->record.parent_row);
            return s.take();
        },
        [&issuer, id, left, done](result<store::receipt> written) {
            if (!written) return done(written.error());
            load(issuer, id, left - 1, done);
        });
}

void load(issuer_service& issuer, std::string id, int left, loaded done) {
    auto found = std::make_shared<seen>();
    const bool clock_ok = clock_trusted(*issuer.common);
    issuer.common->db->read(
        [found, id, &issuer, clock_ok](const store::rows& rows) {
            *found = look(rows, issuer, id, authority_part::in_force, clock_ok);
        },
        [&issuer, id, left, found, clock_ok, done](result<void> read) {
            if (!read) return done(read.error());
            looked(issuer, id, left, std::move(*found), clock_ok, done);
        });
}

void write_state(json::writer& w, const mission_view& v) {
    const auto& s = v.mission.state;
    json::member(w, "state", events::name(s.state));
    json::key(w, "version");
    w.Int64(s.version);
    json::member(w, "log_epoch", v.log_epoch);
    json::member(w, "expires_at", to_rfc3339(s.expires_at));
    if (s.suspend_until) json::member(w, "suspend_until", to_rfc3339(*s.suspend_until));
    if (s.on_expiry) json::member(w, "on_expiry", events::name(*s.on_expiry));
    json::member(w, "changed_at", to_rfc3339(s.changed_at));
}

// The names of other missions, for whoever may know them.
void write_relations(json::writer& w, const mission_view& v, const client_config& client) {
    const auto write = [&](std::string_view member, const std::optional<std::string>& id,
                           const std::optional<store::match_keys>& keys) {
        if (id && keys && may_know(client, *keys)) json::member(w, member, *id);
    };
    write("parent", v.mission.record.parent, v.parent);
    write("predecessor", v.mission.record.predecessor, v.predecessor);
    write("successor", v.mission.state.successor, v.successor);
}

}  // namespace

void write_name(json::writer& w, std::string_view member, const store::principal_name& p) {
    json::key(w, member);
    w.StartObject();
    json::member(w, "iss", p.iss);
    json::member(w, "sub", p.sub);
    w.EndObject();
}

bool discloses(const client_config& client, std::string_view what) {
    return std::find(client.disclose.begin(), client.disclose.end(), what) != client.disclose.end();
}

void load_mission(issuer_service& issuer, std::string mission_id,
                  std::function<void(result<mission_view>)> done) {
    load(issuer, std::move(mission_id), tries, std::move(done));
}

void load_mission_here(issuer_service& issuer, const std::string& mission_id, authority_part part,
                       const loaded& done) {
    seen found;
    const bool clock_ok = clock_trusted(*issuer.common);
    const auto read = issuer.common->db->read_now(
        [&](const store::rows& rows) { found = look(rows, issuer, mission_id, part, clock_ok); });
    if (!read) return done(read.error());
    looked(issuer, mission_id, tries, std::move(found), clock_ok, done);
}

mission_view view_of(const store::rows& rows, store::mission m, authority_part part) {
    mission_view v;
    if (part == authority_part::in_force)
        v.in_force = rows.authority(m.state.row, m.state.authority_revision).value_or("[]");
    v.log_epoch = rows.log_epoch();
    const auto keys_by_name = [&](const std::optional<std::string>& id) {
        const auto named = id ? rows.find_mission(m.record.issuer, *id) : std::nullopt;
        return named ? std::optional(keys_of(*named)) : std::nullopt;
    };
    v.parent = keys_by_name(m.record.parent);
    v.predecessor = keys_by_name(m.record.predecessor);
    v.successor = keys_by_name(m.state.successor);
    v.mission = std::move(m);
    return v;
}

std::string new_txn(issuer_service& issuer) {
    return jose::random_id(16, *issuer.common->random);
}

commit_context context_of(const issuer_service& issuer, const store::rows& rows, std::string txn,
                          wall_time now) {
    return {issuer.settings.url, rows.log_epoch(), std::move(txn), now};
}

std::string entries_for(std::string_view authorization_details, std::string_view audience) {
    // What a signal tells this audience and what it reads here are the same.
    return entries_naming(authorization_details, audience);
}

bool sees_whole(const client_config& client, const store::mission& m) {
    return may_know("", client.missions, keys_of(m));
}

std::string render_mission(const mission_view& v, const issuer_service& issuer,
                           const client_config& client, const streams_heard* streams) {
    const auto& r = v.mission.record;
    const bool whole = sees_whole(client, v.mission);
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::member(w, "mission_id", r.mission_id);
    json::member(w, "issuer", issuer.settings.url);
    write_state(w, v);
    write_relations(w, v, client);
    if (whole && v.mission.state.parent_hold)
        json::member(w, "own_state", events::name(own_state(v.mission.state)));
    json::key(w, "agent");
    w.StartObject();
    json::member(w, "client_id", r.agent_client_id);
    if (whole && r.agent_spiffe_id) json::member(w, "spiffe_id", *r.agent_spiffe_id);
    w.EndObject();
    if (whole) {
        json::member(w, "purpose", r.purpose);
        write_name(w, "approver", r.approver);
        json::member(w, "approved_at", to_rfc3339(r.approved_at));
        if (r.evidence) {
            json::key(w, "evidence");
            json::raw(w, *r.evidence);
        }
    }
    if (whole || discloses(client, "user")) write_name(w, "subject", r.subject);
    if (r.tenant && (whole || discloses(client, "tenant"))) json::member(w, "tenant", *r.tenant);
    if (v.mission.state.reason && (whole || discloses(client, "reason")))
        json::member(w, "reason", *v.mission.state.reason);
    json::member(w, "authority_hash", r.authority_hash);
    json::key(w, "authorization_details");
    json::raw(w, whole ? v.in_force : entries_for(v.in_force, client.audience));
    if (whole && streams) {
        json::key(w, "streams");
        w.StartArray();
        for (const auto& s : streams->acked) {
            w.StartObject();
            json::member(w, "stream_id", s.stream_id);
            json::member(w, "client_id", s.client_id);
            json::key(w, "acked_version");
            w.Int64(s.version);
            if (events::is_terminal(v.mission.state.state)) {
                const auto said = streams->teardown.find(s.client_id);
                json::member(w, "teardown",
                             said == streams->teardown.end() ? "not_reported" : said->second);
            }
            w.EndObject();
        }
        w.EndArray();
    }
    w.EndObject();
    return json::text(buffer);
}

}  // namespace mission::transmitter
