// Families: versions and their effects, children, marks, the narrow row alone.
#include <algorithm>

#include "store/sqlite/rows.hpp"
#include "store/sqlite/writes.hpp"

namespace mission::store::sqlite {
namespace {

static_assert(static_cast<int>(family_effect::none) == 0);
static_assert(static_cast<int>(family_effect::hold) == 1);
static_assert(static_cast<int>(family_effect::lift) == 2);
static_assert(static_cast<int>(family_effect::end) == 3);
static_assert(static_cast<int>(family_effect::narrowed) == 4);

// The columns that read_state() reads, in its order.
#define STATE_COLUMNS                                                                   \
    "SELECT state, version, authority_revision, expires_at, suspend_until, on_expiry, " \
    "successor, reason, changed_at, parent_row, parent_hold, own_hold, parent_seen, "   \
    "family_version, children, mirrored FROM mission_state "

// The columns that read_version() reads, in its order.
#define VERSION_COLUMNS                                                                     \
    "SELECT mission, version, state, committed_at, expires_at, suspend_until, on_expiry, "  \
    "authority_revision, successor, reason, effect, bound_at, source_hash, audit_seq, seq " \
    "FROM mission_versions "

mission_version read_version(const query& q) {
    mission_version v;
    v.mission = q.id<mission_row>(0);
    v.version = q.integer(1);
    v.state = q.id<events::mission_state>(2);
    v.committed_at = q.time(3);
    v.expires_at = q.time(4);
    v.suspend_until = q.maybe_time(5);
    if (!q.is_null(6)) v.on_expiry = q.id<events::on_expiry>(6);
    v.authority_revision = q.integer(7);
    v.successor = q.maybe_text(8);
    v.reason = q.maybe_text(9);
    v.effect = q.id<family_effect>(10);
    v.bound_at = q.time(11);
    v.source_hash = q.text(12);
    v.audit_seq = q.integer(13);
    v.seq = q.integer(14);
    return v;
}

std::vector<mission_version> read_versions(query& q) {
    std::vector<mission_version> out;
    while (q.step())
        out.push_back(read_version(q));
    return out;
}

cascade read_cascade(const query& q) {
    return {q.integer(0), q.id<mission_row>(1), q.integer(2), q.id<mission_row>(3), q.time(4)};
}

}  // namespace

std::optional<mission_state> sqlite_rows::find_state(mission_row row) const {
    query q(c_, STATE_COLUMNS "WHERE row = ?1", row);
    if (!q.step()) return std::nullopt;
    mission_state s = read_state(q, 0);
    s.row = row;
    return s;
}

std::optional<mission_row> sqlite_rows::find_row(issuer_id issuer,
                                                 std::string_view mission_id) const {
    query q(c_, "SELECT row FROM missions WHERE issuer_id = ?1 AND mission_id = ?2", issuer,
            mission_id);
    if (!q.step()) return std::nullopt;
    return q.id<mission_row>(0);
}

std::vector<rows::row_state> sqlite_rows::states(mission_row first, mission_row last) const {
    std::vector<row_state> out;
    query q(c_,
            "SELECT row, issuer_id, state FROM mission_state WHERE row BETWEEN ?1 AND ?2 "
            "ORDER BY row",
            first, last);
    while (q.step())
        out.push_back({q.id<mission_row>(0), q.id<issuer_id>(1), q.id<events::mission_state>(2)});
    return out;
}

std::vector<mission_version> sqlite_rows::versions(mission_row row, std::int64_t after,
                                                   std::size_t limit) const {
    query q(c_, VERSION_COLUMNS "WHERE mission = ?1 AND version > ?2 ORDER BY version LIMIT ?3",
            row, after, static_cast<std::int64_t>(std::min<std::size_t>(limit, INT64_MAX)));
    return read_versions(q);
}

std::vector<mission_version> sqlite_rows::family_effects(mission_row row,
                                                         std::int64_t after) const {
    query q(c_,
            VERSION_COLUMNS
            "INDEXED BY mission_effects WHERE mission = ?1 AND version > ?2 AND effect <> 0 "
            "ORDER BY version",
            row, after);
    return read_versions(q);
}

std::optional<mission_version> sqlite_rows::version_at(mission_row row, wall_time at) const {
    query q(c_,
            VERSION_COLUMNS
            "WHERE mission = ?1 AND committed_at <= ?2 ORDER BY version DESC LIMIT 1",
            row, at);
    if (!q.step()) return std::nullopt;
    return read_version(q);
}

std::vector<mission_row> sqlite_rows::children(mission_row parent, mission_row after,
                                               std::size_t limit) const {
    std::vector<mission_row> out;
    query q(c_,
            "SELECT row FROM mission_state INDEXED BY mission_children WHERE parent_row = ?1 AND "
            "parent_row <> 0 AND row > ?2 ORDER BY row LIMIT ?3",
            parent, after, static_cast<std::int64_t>(std::min<std::size_t>(limit, INT64_MAX)));
    while (q.step())
        out.push_back(q.id<mission_row>(0));
    return out;
}

std::vector<cascade> sqlite_rows::cascades(std::size_t limit) const {
    std::vector<cascade> out;
    query q(c_,
            "SELECT id, mission, family_version, after, since FROM cascades WHERE id > 0 "
            "ORDER BY id LIMIT ?1",
            static_cast<std::int64_t>(std::min<std::size_t>(limit, INT64_MAX)));
    while (q.step())
        out.push_back(read_cascade(q));
    return out;
}

std::optional<wall_time> sqlite_rows::oldest_cascade() const {
    query q(c_, "SELECT min(since) FROM cascades");
    return q.step() ? q.maybe_time(0) : std::nullopt;
}

std::optional<cascade> sqlite_rows::find_cascade(mission_row row) const {
    query q(c_, "SELECT id, mission, family_version, after, since FROM cascades WHERE mission = ?1",
            row);
    if (!q.step()) return std::nullopt;
    return read_cascade(q);
}

void put_quiet(connection& c, const mission_state& s) {
    query(c,
          "UPDATE mission_state SET parent_hold = ?2, own_hold = ?3, parent_seen = ?4, "
          "family_version = ?5, children = ?6 WHERE row = ?1",
          s.row, s.parent_hold, s.own_hold, s.parent_seen, s.family_version, s.children)
        .run();
}

void append_version(connection& c, const mission_version& v) {
    query(c,
          "INSERT INTO mission_versions (mission, version, state, committed_at, expires_at, "
          "suspend_until, on_expiry, authority_revision, successor, reason, effect, bound_at, "
          "source_hash, audit_seq, seq) VALUES "
          "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)",
          v.mission, v.version, v.state, v.committed_at, v.expires_at, v.suspend_until, v.on_expiry,
          v.authority_revision, v.successor, v.reason, v.effect, v.bound_at, v.source_hash,
          v.audit_seq, v.seq)
        .run();
}

void put_cascade(connection& c, const cascade& m) {
    query(c,
          "INSERT OR REPLACE INTO cascades (id, mission, family_version, after, since) "
          "VALUES (?1,?2,?3,?4,?5)",
          m.id, m.mission, m.family_version, m.after, m.since)
        .run();
}

void erase_cascade(connection& c, mission_row row) {
    query(c, "DELETE FROM cascades WHERE mission = ?1", row).run();
}

}  // namespace mission::store::sqlite
