#include <algorithm>

#include "base/limits.hpp"
#include "store/sqlite/rows.hpp"

namespace mission::store::sqlite {
namespace {

// The columns that read_mission() reads, in its order; `r` is missions, `s` is mission_state.
#define MISSION_COLUMNS_OF(from)                                                           \
    "SELECT r.row, r.issuer_id, r.mission_id, r.bucket, r.purpose, r.approver_iss, "       \
    "r.approver_sub, r.subject_iss, r.subject_sub, r.agent_client_id, r.agent_spiffe_id, " \
    "r.tenant, r.parent, r.predecessor, r.evidence, r.authority_hash, r.approved_at, "     \
    "r.created_by, r.resources, s.state, s.version, s.authority_revision, s.expires_at, "  \
    "s.suspend_until, s.on_expiry, s.successor, s.reason, s.changed_at, s.parent_row, "    \
    "s.parent_hold, s.own_hold, s.parent_seen, s.family_version, s.children, s.mirrored, " \
    "r.root_row, r.depth FROM " from
#define MISSION_COLUMNS MISSION_COLUMNS_OF("missions r JOIN mission_state s ON s.row = r.row ")

// One statement per filter that has an index, so that a page costs what it returns. What has none
// is compared row by row.
#define LIST_TAIL                                                                        \
    " AND r.row > ?2 AND (?3 = 0 OR (1 << s.state) & ?3) AND (?4 IS NULL OR "            \
    "r.agent_client_id = ?4) AND (?5 IS NULL OR r.tenant = ?5) AND (?6 IS NULL OR "      \
    "r.parent = ?6) AND (?8 IS NULL OR (r.subject_sub = ?8 AND r.subject_iss = ?9)) "    \
    "AND (?10 IS NULL OR r.approved_at > ?10) AND (?11 IS NULL OR r.approved_at < ?11) " \
    "AND (?12 IS NULL OR s.expires_at < ?12) ORDER BY r.row LIMIT ?7"
constexpr const char* list_by_parent =
    MISSION_COLUMNS "WHERE r.issuer_id = ?1 AND r.parent = ?6" LIST_TAIL;
constexpr const char* list_by_agent =
    MISSION_COLUMNS "WHERE r.issuer_id = ?1 AND r.agent_client_id = ?4" LIST_TAIL;
constexpr const char* list_by_tenant =
    MISSION_COLUMNS "WHERE r.issuer_id = ?1 AND r.tenant = ?5" LIST_TAIL;
constexpr const char* list_by_subject = MISSION_COLUMNS
    "WHERE r.issuer_id = ?1 AND r.subject_sub = ?8 AND r.subject_iss = ?9" LIST_TAIL;
constexpr const char* list_all = MISSION_COLUMNS "WHERE +r.issuer_id = ?1" LIST_TAIL;

const char* list_statement(const mission_filter& f) {
    if (f.parent) return list_by_parent;
    if (f.subject) return list_by_subject;
    if (f.agent_client_id) return list_by_agent;
    if (f.tenant) return list_by_tenant;
    return list_all;
}

}  // namespace

// STATE_COLUMNS of families.cpp are these, from `first` on.
mission_state sqlite_rows::read_state(const query& q, int first) const {
    mission_state s;
    s.state = q.id<events::mission_state>(first);
    if (s.state < events::mission_state::active || s.state > events::mission_state::cascaded)
        c_.corrupt("a mission in no known state");
    s.version = q.integer(first + 1);
    s.authority_revision = q.integer(first + 2);
    s.expires_at = q.time(first + 3);
    s.suspend_until = q.maybe_time(first + 4);
    if (!q.is_null(first + 5)) s.on_expiry = q.id<events::on_expiry>(first + 5);
    s.successor = q.maybe_text(first + 6);
    s.reason = q.maybe_text(first + 7);
    s.changed_at = q.time(first + 8);
    s.parent_row = q.id<mission_row>(first + 9);
    s.parent_hold = q.integer(first + 10) != 0;
    s.own_hold = q.integer(first + 11) != 0;
    s.parent_seen = q.integer(first + 12);
    s.family_version = q.integer(first + 13);
    s.children = q.integer(first + 14);
    s.mirrored = q.integer(first + 15) != 0;
    return s;
}

mission sqlite_rows::read_mission(const query& q) const {
    mission m;
    mission_record& r = m.record;
    r.row = q.id<mission_row>(0);
    r.issuer = q.id<issuer_id>(1);
    r.mission_id = q.text(2);
    r.bucket = static_cast<std::uint16_t>(q.integer(3));
    r.purpose = q.text(4);
    r.approver = {q.text(5), q.text(6)};
    r.subject = {q.text(7), q.text(8)};
    r.agent_client_id = q.text(9);
    r.agent_spiffe_id = q.maybe_text(10);
    r.tenant = q.maybe_text(11);
    r.parent = q.maybe_text(12);
    r.predecessor = q.maybe_text(13);
    r.evidence = q.maybe_text(14);
    r.authority_hash = q.text(15);
    r.approved_at = q.time(16);
    r.created_by = q.text(17);
    m.resources = c_.resources().from_text(c_, q.view(18));

    m.state = read_state(q, 19);
    m.state.row = r.row;
    r.parent_row = m.state.parent_row;
    r.root_row = q.id<mission_row>(35);
    r.depth = q.integer(36);
    if (seen_) (*seen_)[r.row] = {r.issuer, r.bucket, m.state.version, deadline_of(m.state)};
    return m;
}

std::optional<mission> sqlite_rows::find_mission(issuer_id issuer,
                                                 std::string_view mission_id) const {
    query q(c_, MISSION_COLUMNS "WHERE r.issuer_id = ?1 AND r.mission_id = ?2", issuer, mission_id);
    if (!q.step()) return std::nullopt;
    return read_mission(q);
}

std::optional<mission> sqlite_rows::find_mission(mission_row row) const {
    query q(c_, MISSION_COLUMNS "WHERE r.row = ?1", row);
    if (!q.step()) return std::nullopt;
    return read_mission(q);
}

std::vector<mission> sqlite_rows::child_missions(mission_row parent, mission_row after,
                                                 std::size_t limit) const {
    constexpr std::size_t expected = 1'000;
    std::vector<mission> out;
    out.reserve(std::min(limit, expected));
    query q(c_,
            MISSION_COLUMNS_OF("mission_state s INDEXED BY mission_children CROSS JOIN missions r ")
            "WHERE s.parent_row = ?1 AND s.parent_row <> 0 AND s.row > ?2 AND r.row = s.row "
            "ORDER BY s.row LIMIT ?3",
            parent, after, static_cast<std::int64_t>(std::min<std::size_t>(limit, INT64_MAX)));
    while (q.step())
        out.push_back(read_mission(q));
    return out;
}

std::vector<mission> sqlite_rows::list_missions(issuer_id issuer, const mission_filter& f) const {
    std::vector<mission> out;
    std::int64_t states = 0;  // one bit each
    for (const auto s : f.states)
        states |= std::int64_t{1} << static_cast<int>(s);
    std::optional<std::string_view> subject_iss, subject_sub;
    if (f.subject) {
        subject_iss = f.subject->iss;
        subject_sub = f.subject->sub;
    }
    query q(c_, list_statement(f), issuer, f.after, states, f.agent_client_id, f.tenant, f.parent,
            std::min(f.limit, limits::list_page), subject_sub, subject_iss, f.approved_after,
            f.approved_before, f.expires_before);
    while (q.step())
        out.push_back(read_mission(q));
    return out;
}

std::optional<std::string> sqlite_rows::authority(mission_row row, std::int64_t revision) const {
    query q(c_, "SELECT authorization_details FROM authority WHERE mission = ?1 AND revision = ?2",
            row, revision);
    if (!q.step()) return std::nullopt;
    return q.text(0);
}

std::vector<std::pair<wall_time, mission_row>> sqlite_rows::deadlines(wall_time until,
                                                                      std::size_t limit) const {
    std::vector<std::pair<wall_time, mission_row>> out;
    query q(c_,
            "SELECT deadline, row FROM mission_state WHERE deadline IS NOT NULL AND "
            "deadline <= ?1 ORDER BY deadline, row LIMIT ?2",
            until, static_cast<std::int64_t>(std::min<std::size_t>(limit, INT64_MAX)));
    while (q.step())
        out.emplace_back(q.time(0), q.id<mission_row>(1));
    return out;
}

std::optional<wall_time> sqlite_rows::next_deadline() const {
    query q(c_, "SELECT min(deadline) FROM mission_state WHERE deadline IS NOT NULL");
    if (!q.step()) return std::nullopt;
    return q.maybe_time(0);
}

}  // namespace mission::store::sqlite
