#include <algorithm>

#include "store/sqlite/rows.hpp"

namespace mission::store::sqlite {
namespace {

// The columns that read_signal() reads, in its order.
#define SIGNAL_COLUMNS                                                                   \
    "SELECT seq, issuer_id, bucket, mission, version, committed_at, txn, body, "         \
    "authority_revision, batch_id, key_mission_id, key_agent_client_id, "                \
    "key_agent_spiffe_id, key_user_iss, key_user_sub, key_tenant, key_resources, kind, " \
    "signal_id FROM signals "

}  // namespace

log_position read_position(connection& c) {
    query q(c,
            "SELECT log_epoch, head, tail, last_commit, last_batch, last_mission, last_stream, "
            "last_audit, last_cascade, last_report FROM meta WHERE id = 1");
    if (!q.step()) c.corrupt("the meta row is missing");
    log_position p;
    p.log_epoch = q.text(0);
    p.head = q.integer(1);
    p.tail = q.integer(2);
    p.last_commit = q.time(3);
    p.last_batch = q.text(4);
    p.last_mission = q.integer(5);
    p.last_stream = q.integer(6);
    p.last_audit = q.integer(7);
    p.last_cascade = q.integer(8);
    p.last_report = q.integer(9);
    return p;
}

signal sqlite_rows::read_signal(const query& q) const {
    signal s;
    s.seq = q.integer(0);
    s.issuer = q.id<issuer_id>(1);
    s.bucket = static_cast<std::uint16_t>(q.integer(2));
    s.mission = q.id<mission_row>(3);
    s.version = q.integer(4);
    s.committed_at = q.time(5);
    s.txn = q.text(6);
    s.body = q.text(7);
    s.authority_revision = q.integer(8);
    s.batch_id = q.text(9);
    s.keys.mission_id = q.text(10);
    s.keys.agent_client_id = q.text(11);
    s.keys.agent_spiffe_id = q.maybe_text(12);
    if (!q.is_null(13)) s.keys.user = principal_name{q.text(13), q.text(14)};
    s.keys.tenant = q.maybe_text(15);
    s.keys.resources = c_.resources().from_text(c_, q.view(16));
    s.kind = q.integer(17) == 0 ? signal_kind::mission : signal_kind::event;
    s.signal_id = q.text(18);
    return s;
}

std::vector<signal> sqlite_rows::signals(seq_t after, seq_t until, std::size_t limit) const {
    std::vector<signal> out;
    query q(c_, SIGNAL_COLUMNS "WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3", after, until,
            static_cast<std::int64_t>(std::min<std::size_t>(limit, INT64_MAX)));
    while (q.step())
        out.push_back(read_signal(q));
    return out;
}

std::vector<signal> sqlite_rows::mission_signals(mission_row row) const {
    std::vector<signal> out;
    query q(c_,
            SIGNAL_COLUMNS
            "WHERE seq IN (SELECT v.seq FROM mission_versions v INDEXED BY versions_by_mission "
            "WHERE v.mission = ?1 UNION ALL SELECT u.seq FROM unversioned_signals u "
            "WHERE u.mission = ?1) ORDER BY seq",
            row);
    while (q.step())
        out.push_back(read_signal(q));
    return out;
}

std::optional<signal> sqlite_rows::find_signal(issuer_id issuer, std::string_view signal_id) const {
    query q(c_, SIGNAL_COLUMNS "WHERE signal_id = ?1 AND issuer_id = ?2", signal_id, issuer);
    if (!q.step()) return std::nullopt;
    return read_signal(q);
}

seq_t sqlite_rows::routed_seq(issuer_id issuer) const {
    query q(c_, "SELECT routed_seq FROM issuers WHERE issuer_id = ?1", issuer);
    return q.step() ? q.integer(0) : 0;
}

std::optional<nonce_record> sqlite_rows::find_nonce(issuer_id issuer, std::string_view scope,
                                                    std::string_view client_id,
                                                    std::string_view mission_id,
                                                    std::string_view nonce) const {
    query q(c_,
            "SELECT request_hash, outcome, expires_at FROM nonces WHERE issuer_id = ?1 AND "
            "scope = ?2 AND client_id = ?3 AND mission_id = ?4 AND nonce = ?5 AND expires_at > ?6",
            issuer, scope, client_id, mission_id, nonce, now_);
    if (!q.step()) return std::nullopt;
    nonce_record n;
    n.issuer = issuer;
    n.scope = scope;
    n.client_id = client_id;
    n.mission_id = mission_id;
    n.nonce = nonce;
    n.request_hash = q.text(0);
    n.outcome = q.text(1);
    n.expires_at = q.time(2);
    return n;
}

}  // namespace mission::store::sqlite
