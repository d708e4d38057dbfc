// Audit: append-only, found by its number or by what it is about.
#include <algorithm>

#include "store/sqlite/rows.hpp"
#include "store/sqlite/writes.hpp"

namespace mission::store::sqlite {
namespace {

// The columns that read_entry() reads, in its order.
#define AUDIT_COLUMNS                                                                     \
    "SELECT a.seq, a.issuer_id, a.at, a.actor, a.origin, a.action, a.target, a.version, " \
    "a.outcome, a.detail, a.previous, a.hash FROM "

audit_entry read_entry(const query& q) {
    audit_entry e;
    e.seq = q.integer(0);
    e.issuer = q.id<issuer_id>(1);
    e.at = q.time(2);
    e.actor = q.text(3);
    e.origin = q.text(4);
    e.action = q.text(5);
    e.target = q.text(6);
    e.version = q.integer(7);
    e.outcome = q.text(8);
    e.detail = q.text(9);
    e.previous = q.text(10);
    e.hash = q.text(11);
    return e;
}

std::vector<audit_entry> read_entries(query& q) {
    std::vector<audit_entry> out;
    while (q.step())
        out.push_back(read_entry(q));
    return out;
}

std::int64_t bounded(std::size_t limit) {
    return static_cast<std::int64_t>(std::min<std::size_t>(limit, INT64_MAX));
}

}  // namespace

std::vector<audit_entry> sqlite_rows::audit(issuer_id issuer, std::int64_t after,
                                            std::size_t limit) const {
    query q(c_,
            AUDIT_COLUMNS "audit a WHERE a.seq > ?2 AND a.issuer_id = ?1 ORDER BY a.seq LIMIT ?3",
            issuer, after, bounded(limit));
    return read_entries(q);
}

// What made a version is found by the version's row, everything else by its target's index.
std::vector<audit_entry> sqlite_rows::audit_of(issuer_id issuer, std::string_view target,
                                               std::int64_t after, std::size_t limit) const {
    query others(c_,
                 AUDIT_COLUMNS
                 "audit a INDEXED BY audit_by_target WHERE a.issuer_id = ?1 AND a.target = ?2 AND "
                 "a.of_mission = 0 AND a.seq > ?3 ORDER BY a.seq LIMIT ?4",
                 issuer, target, after, bounded(limit));
    auto out = read_entries(others);
    if (const auto row = find_row(issuer, target)) {
        query made(c_,
                   AUDIT_COLUMNS
                   "mission_versions v CROSS JOIN audit a ON a.seq = v.audit_seq WHERE "
                   "v.mission = ?1 AND v.audit_seq > ?2 ORDER BY v.version LIMIT ?3",
                   *row, after, bounded(limit));
        auto versions = read_entries(made);
        out.insert(out.end(), std::make_move_iterator(versions.begin()),
                   std::make_move_iterator(versions.end()));
    }
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.seq < b.seq; });
    if (out.size() > limit) out.resize(limit);
    return out;
}

std::optional<audit_entry> sqlite_rows::find_audit(std::int64_t seq) const {
    query q(c_, AUDIT_COLUMNS "audit a WHERE a.seq = ?1", seq);
    if (!q.step()) return std::nullopt;
    return read_entry(q);
}

void append_audit(connection& c, const audit_entry& e, mission_row of) {
    query(c,
          "INSERT INTO audit (seq, issuer_id, of_mission, at, actor, origin, action, target, "
          "version, outcome, detail, previous, hash) VALUES "
          "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)",
          e.seq, e.issuer, of, e.at, e.actor, e.origin, e.action, e.target, e.version, e.outcome,
          e.detail, e.previous, e.hash)
        .run();
}

engine::audit_head audit_head_of(connection& c, issuer_id issuer) {
    query q(c, "SELECT url, audit_hash FROM issuers WHERE issuer_id = ?1", issuer);
    if (!q.step()) c.corrupt("an issuer is missing");
    return {q.text(0), q.text(1)};
}

void put_audit_head(connection& c, issuer_id issuer, std::string_view hash) {
    query(c, "UPDATE issuers SET audit_hash = ?2 WHERE issuer_id = ?1", issuer, hash).run();
}

}  // namespace mission::store::sqlite
