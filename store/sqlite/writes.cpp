#include "store/sqlite/writes.hpp"

#include <algorithm>

namespace mission::store::sqlite {
namespace {

// The columns hold the enumerators' numbers, so these never change.
static_assert(static_cast<int>(events::mission_state::active) == 0);
static_assert(static_cast<int>(events::mission_state::suspended) == 1);
static_assert(static_cast<int>(events::mission_state::completed) == 2);
static_assert(static_cast<int>(events::mission_state::revoked) == 3);
static_assert(static_cast<int>(events::mission_state::expired) == 4);
static_assert(static_cast<int>(events::mission_state::superseded) == 5);
static_assert(static_cast<int>(events::mission_state::cascaded) == 6);
static_assert(static_cast<int>(events::on_expiry::resume) == 0);
static_assert(static_cast<int>(events::on_expiry::revoke) == 1);
static_assert(static_cast<int>(signal_kind::mission) == 0);
static_assert(static_cast<int>(signal_kind::event) == 1);
static_assert(static_cast<int>(delivery_method::push) == 0);
static_assert(static_cast<int>(delivery_method::poll) == 1);
static_assert(static_cast<int>(stream_status::enabled) == 0);
static_assert(static_cast<int>(stream_status::paused) == 1);
static_assert(static_cast<int>(stream_status::disabled) == 2);

std::string print_ranges(const std::vector<std::pair<seq_t, seq_t>>& ranges) {
    std::string out;
    for (const auto& [first, last] : ranges) {
        if (!out.empty()) out.push_back(',');
        out.append(std::to_string(first)).append("-").append(std::to_string(last));
    }
    return out;
}

template <class... Args>
void run(connection& c, const char* sql, const Args&... args) {
    query(c, sql, args...).run();
}

template <class... Args>
bool any(connection& c, const char* sql, const Args&... args) {
    return query(c, sql, args...).step();
}

}  // namespace

std::optional<wall_time> deadline_of(const mission_state& s) {
    if (s.mirrored || events::is_terminal(s.state)) return std::nullopt;
    if (s.suspend_until) return std::min(s.expires_at, *s.suspend_until);
    return s.expires_at;
}

std::optional<engine::mission_head> head_of(connection& c, mission_row row) {
    query q(c, "SELECT issuer_id, bucket, version FROM mission_state WHERE row = ?1", row);
    if (!q.step()) return std::nullopt;
    return engine::mission_head{q.id<issuer_id>(0), static_cast<std::uint16_t>(q.integer(1)),
                                q.integer(2)};
}
bool has_issuer(connection& c, issuer_id id) {
    return any(c, "SELECT 1 FROM issuers WHERE issuer_id = ?1", id);
}
bool has_mission(connection& c, issuer_id issuer, std::string_view mission_id) {
    return any(c, "SELECT 1 FROM missions WHERE issuer_id = ?1 AND mission_id = ?2", issuer,
               mission_id);
}
bool has_authority(connection& c, mission_row row, std::int64_t revision) {
    return any(c, "SELECT 1 FROM authority WHERE mission = ?1 AND revision = ?2", row, revision);
}
bool has_stream(connection& c, stream_row row) {
    return any(c, "SELECT 1 FROM streams WHERE row = ?1 AND removed_at IS NULL", row);
}
bool has_stream_id(connection& c, issuer_id issuer, std::string_view stream_id) {
    return any(c, "SELECT 1 FROM streams WHERE issuer_id = ?1 AND stream_id = ?2", issuer,
               stream_id);
}

issuer_id put_issuer(connection& c, std::string_view url) {
    run(c, "INSERT INTO issuers (url) VALUES (?1) ON CONFLICT (url) DO NOTHING", url);
    query q(c, "SELECT issuer_id FROM issuers WHERE url = ?1", url);
    if (!q.step()) c.corrupt("an issuer just written is missing");
    return q.id<issuer_id>(0);
}

void insert_mission(connection& c, const mission_record& r,
                    const std::vector<std::string>& resources) {
    run(c,
        "INSERT INTO missions (row, issuer_id, bucket, mission_id, purpose, approver_iss, "
        "approver_sub, subject_iss, subject_sub, agent_client_id, agent_spiffe_id, tenant, parent, "
        "predecessor, evidence, authority_hash, approved_at, created_by, resources, parent_row, "
        "root_row, depth) VALUES "
        "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22)",
        r.row, r.issuer, r.bucket, r.mission_id, r.purpose, r.approver.iss, r.approver.sub,
        r.subject.iss, r.subject.sub, r.agent_client_id, r.agent_spiffe_id, r.tenant, r.parent,
        r.predecessor, r.evidence, r.authority_hash, r.approved_at, r.created_by,
        to_list(resources), r.parent_row, r.root_row, r.depth);
}

void put_resources(connection& c, mission_row row, const std::vector<std::string>& resources) {
    // Most changes leave them as they are: then this reads and does not write.
    run(c, "UPDATE missions SET resources = ?2 WHERE row = ?1 AND resources <> ?2", row,
        to_list(resources));
}

void put_state(connection& c, const mission_state& s, const engine::mission_head& head, bool is_new,
               bool deadline_moved) {
    if (is_new) {
        run(c,
            "INSERT INTO mission_state (row, issuer_id, bucket, state, version, "
            "authority_revision, deadline, expires_at, suspend_until, on_expiry, successor, "
            "reason, changed_at, parent_row, parent_hold, own_hold, parent_seen, family_version, "
            "children, mirrored) VALUES "
            "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20)",
            s.row, head.issuer, head.bucket, s.state, s.version, s.authority_revision,
            deadline_of(s), s.expires_at, s.suspend_until, s.on_expiry, s.successor, s.reason,
            s.changed_at, s.parent_row, s.parent_hold, s.own_hold, s.parent_seen, s.family_version,
            s.children, s.mirrored);
        return;
    }
    if (!deadline_moved) {
        // Its index is left alone.
        run(c,
            "UPDATE mission_state SET state = ?2, version = ?3, authority_revision = ?4, "
            "expires_at = ?5, suspend_until = ?6, on_expiry = ?7, successor = ?8, reason = ?9, "
            "changed_at = ?10, parent_hold = ?11, own_hold = ?12, parent_seen = ?13, "
            "family_version = ?14, children = ?15, mirrored = ?16 WHERE row = ?1",
            s.row, s.state, s.version, s.authority_revision, s.expires_at, s.suspend_until,
            s.on_expiry, s.successor, s.reason, s.changed_at, s.parent_hold, s.own_hold,
            s.parent_seen, s.family_version, s.children, s.mirrored);
        return;
    }
    run(c,
        "UPDATE mission_state SET state = ?2, version = ?3, authority_revision = ?4, "
        "deadline = ?5, expires_at = ?6, suspend_until = ?7, on_expiry = ?8, successor = ?9, "
        "reason = ?10, changed_at = ?11, parent_hold = ?12, own_hold = ?13, parent_seen = ?14, "
        "family_version = ?15, children = ?16, mirrored = ?17 WHERE row = ?1",
        s.row, s.state, s.version, s.authority_revision, deadline_of(s), s.expires_at,
        s.suspend_until, s.on_expiry, s.successor, s.reason, s.changed_at, s.parent_hold,
        s.own_hold, s.parent_seen, s.family_version, s.children, s.mirrored);
}

void insert_authority(connection& c, mission_row row, issuer_id issuer, std::int64_t revision,
                      std::string_view text) {
    run(c,
        "INSERT INTO authority (mission, revision, issuer_id, authorization_details) "
        "VALUES (?1,?2,?3,?4)",
        row, revision, issuer, text);
}

void append(connection& c, const signal& s) {
    std::optional<std::string_view> user_iss, user_sub;
    if (s.keys.user) {
        user_iss = s.keys.user->iss;
        user_sub = s.keys.user->sub;
    }
    std::optional<std::string_view> signal_id;
    if (s.kind == signal_kind::event) signal_id = s.signal_id;
    run(c,
        "INSERT INTO signals (seq, issuer_id, bucket, mission, version, committed_at, txn, body, "
        "authority_revision, batch_id, key_mission_id, key_agent_client_id, key_agent_spiffe_id, "
        "key_user_iss, key_user_sub, key_tenant, key_resources, kind, signal_id) VALUES "
        "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19)",
        s.seq, s.issuer, s.bucket, s.mission, s.version, s.committed_at, s.txn, s.body,
        s.authority_revision, s.batch_id, s.keys.mission_id, s.keys.agent_client_id,
        s.keys.agent_spiffe_id, user_iss, user_sub, s.keys.tenant,
        c.resources().to_text(s.keys.resources), s.kind, signal_id);
}

void put_nonce(connection& c, const nonce_record& n) {
    run(c,
        "INSERT OR REPLACE INTO nonces (issuer_id, scope, client_id, mission_id, nonce, "
        "request_hash, outcome, expires_at) VALUES (?1,?2,?3,?4,?5,?6,?7,?8)",
        n.issuer, n.scope, n.client_id, n.mission_id, n.nonce, n.request_hash, n.outcome,
        n.expires_at);
}

void insert_stream(connection& c, const stream& s) {
    run(c,
        "INSERT INTO streams (row, issuer_id, stream_id, client_id, created_at, method, "
        "endpoint_url, sealed_authorization, events_requested, capabilities, description, status, "
        "status_reason, continuity, default_all, extra) VALUES "
        "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16)",
        s.row, s.issuer, s.stream_id, s.client_id, s.created_at, s.method, s.endpoint_url,
        blob{s.sealed_authorization}, to_list(s.events_requested), to_list(s.capabilities),
        s.description, s.status, s.status_reason, s.continuity, s.default_all, s.extra);
}

void update_stream(connection& c, const stream& s) {
    run(c,
        "UPDATE streams SET client_id = ?2, method = ?3, endpoint_url = ?4, "
        "sealed_authorization = ?5, events_requested = ?6, capabilities = ?7, description = ?8, "
        "status = ?9, status_reason = ?10, continuity = ?11, default_all = ?12, extra = ?13 "
        "WHERE row = ?1",
        s.row, s.client_id, s.method, s.endpoint_url, blob{s.sealed_authorization},
        to_list(s.events_requested), to_list(s.capabilities), s.description, s.status,
        s.status_reason, s.continuity, s.default_all, s.extra);
}

void remove_stream(connection& c, stream_row row, seq_t head, wall_time now) {
    run(c,
        "UPDATE streams SET removed_at = ?2, removed_seq = ?3, sealed_authorization = x'' "
        "WHERE row = ?1",
        row, now, head);
    run(c, "DELETE FROM cursors WHERE stream = ?1", row);
    run(c, "DELETE FROM exceptions WHERE stream = ?1", row);
    run(c, "DELETE FROM stream_events WHERE stream = ?1", row);
    drop_subject_count(c, row);
}

void put_epoch(connection& c, const stream_epoch& e) {
    run(c,
        "INSERT OR REPLACE INTO stream_epochs (stream, from_seq, iss, aud, events_delivered, alg, "
        "visibility) VALUES (?1,?2,?3,?4,?5,?6,?7)",
        e.stream, e.from_seq, e.iss, e.aud, to_list(e.events_delivered), e.alg, e.visibility);
}

void put_cursor(connection& c, const cursor& k) {
    run(c, "INSERT OR REPLACE INTO cursors (stream, acked_seq, ranges, open) VALUES (?1,?2,?3,?4)",
        k.stream, k.acked_seq, print_ranges(k.ranges), k.open);
}

void put_exception(connection& c, const exception& e) {
    run(c,
        "INSERT OR REPLACE INTO exceptions (stream, seq, dead, attempts, err, description, since, "
        "last) VALUES (?1,?2,?3,?4,?5,?6,?7,?8)",
        e.stream, e.seq, e.dead, e.attempts, e.err, e.description, e.since, e.last);
}

void erase_exception(connection& c, stream_row row, seq_t seq) {
    run(c, "DELETE FROM exceptions WHERE stream = ?1 AND seq = ?2", row, seq);
}

void put_stream_event(connection& c, const stream_event& e) {
    run(c,
        "INSERT OR REPLACE INTO stream_events (stream, jti, type, event, after_seq, created_at) "
        "VALUES (?1,?2,?3,?4,?5,?6)",
        e.stream, e.jti, e.type, e.event, e.after_seq, e.created_at);
}

void erase_stream_event(connection& c, stream_row row, std::string_view jti) {
    run(c, "DELETE FROM stream_events WHERE stream = ?1 AND jti = ?2", row, jti);
}

void put_routed(connection& c, issuer_id issuer, seq_t seq) {
    run(c, "UPDATE issuers SET routed_seq = ?2 WHERE issuer_id = ?1 AND routed_seq < ?2", issuer,
        seq);
}

namespace {

// Streams whose epochs one step looks through.
constexpr std::int64_t sweep_streams = 2'000;

// An epoch is over when a later one covers all that is left of the log.
bool sweep_epochs(connection& c, const log_position& p, epoch_sweep& sweep) {
    if (sweep.next_stream == 0 && sweep.tail == p.tail && !sweep.written) return true;
    if (sweep.next_stream == 0) {
        sweep.tail = p.tail;
        sweep.written = false;
    }
    const std::int64_t end = sweep.next_stream + sweep_streams;
    run(c,
        "DELETE FROM stream_epochs WHERE stream > ?2 AND stream <= ?3 AND from_seq < (SELECT "
        "max(later.from_seq) FROM stream_epochs AS later WHERE later.stream = "
        "stream_epochs.stream AND later.from_seq <= ?1)",
        p.tail, sweep.next_stream, end);
    sweep.next_stream = end < p.last_stream ? end : 0;
    return sweep.next_stream == 0;
}

}  // namespace

bool trim_step(connection& c, log_position& p, epoch_sweep& sweep, seq_t until, wall_time now,
               std::size_t limit) {
    const seq_t last = std::min({until, p.head, p.tail + static_cast<seq_t>(limit) - 1});
    if (last >= p.tail) {
        run(c, "DELETE FROM signals WHERE seq <= ?1", last);
        p.tail = last + 1;
    }
    run(c,
        "DELETE FROM nonces WHERE rowid IN (SELECT rowid FROM nonces WHERE expires_at <= ?1 "
        "LIMIT ?2)",
        now, limit);
    const bool nonces_left = any(c, "SELECT 1 FROM nonces WHERE expires_at <= ?1", now);
    const bool subjects_left = !trim_subjects(c, p.tail, limit);
    if (p.tail <= std::min(until, p.head) || nonces_left || subjects_left) return false;

    run(c, "DELETE FROM exceptions WHERE seq < ?1", p.tail);
    if (!sweep_epochs(c, p, sweep)) return false;
    // A removed stream goes when no signal of its time is left.
    run(c,
        "DELETE FROM stream_epochs WHERE stream IN (SELECT row FROM streams WHERE "
        "removed_seq < ?1)",
        p.tail);
    run(c, "DELETE FROM streams WHERE removed_seq < ?1", p.tail);
    return true;
}

void write_position(connection& c, const log_position& p) {
    run(c,
        "UPDATE meta SET head = ?1, tail = ?2, last_commit = ?3, last_batch = ?4, "
        "last_mission = ?5, last_stream = ?6, last_audit = ?7, last_cascade = ?8, "
        "last_report = ?9 WHERE id = 1",
        p.head, p.tail, p.last_commit, p.last_batch, p.last_mission, p.last_stream, p.last_audit,
        p.last_cascade, p.last_report);
}

}  // namespace mission::store::sqlite
