// What comes in from others: orchestrators' reports, and a mirror's transitions that wait.
#include <algorithm>

#include "store/sqlite/rows.hpp"
#include "store/sqlite/writes.hpp"

namespace mission::store::sqlite {
namespace {

static_assert(static_cast<int>(report_status::open) == 0);
static_assert(static_cast<int>(report_status::acted) == 1);
static_assert(static_cast<int>(report_status::dismissed) == 2);

// The columns that read_report() reads, in its order.
#define REPORT_COLUMNS                                                               \
    "SELECT id, issuer_id, mission, mission_id, client_id, kind, detail, evidence, " \
    "received_at, status, decision FROM reports "

report read_report(const query& q) {
    report r;
    r.id = q.integer(0);
    r.issuer = q.id<issuer_id>(1);
    r.mission = q.id<mission_row>(2);
    r.mission_id = q.text(3);
    r.client_id = q.text(4);
    r.kind = q.text(5);
    r.detail = q.text(6);
    r.evidence = q.text(7);
    r.received_at = q.time(8);
    r.status = q.id<report_status>(9);
    r.decision = q.text(10);
    return r;
}

std::vector<report> read_reports(query& q) {
    std::vector<report> out;
    while (q.step())
        out.push_back(read_report(q));
    return out;
}

}  // namespace

std::optional<report> sqlite_rows::find_report(issuer_id issuer, std::int64_t id) const {
    query q(c_, REPORT_COLUMNS "WHERE id = ?1 AND issuer_id = ?2", id, issuer);
    if (!q.step()) return std::nullopt;
    return read_report(q);
}

std::vector<report> sqlite_rows::reports_of(mission_row row) const {
    query q(c_, REPORT_COLUMNS "WHERE mission = ?1 ORDER BY id", row);
    return read_reports(q);
}

std::vector<report> sqlite_rows::reports(issuer_id issuer, std::optional<report_status> status,
                                         std::int64_t after, std::size_t limit) const {
    const auto most = static_cast<std::int64_t>(std::min<std::size_t>(limit, INT64_MAX));
    if (status) {
        query q(c_,
                REPORT_COLUMNS
                "INDEXED BY reports_by_status WHERE issuer_id = ?1 AND status = ?2 AND id > ?3 "
                "ORDER BY id LIMIT ?4",
                issuer, *status, after, most);
        return read_reports(q);
    }
    query q(c_, REPORT_COLUMNS "WHERE +issuer_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3", issuer,
            after, most);
    return read_reports(q);
}

std::vector<waiting_transition> sqlite_rows::waiting_transitions(mission_row row) const {
    std::vector<waiting_transition> out;
    query q(c_,
            "SELECT version, body, received_at FROM waiting_transitions WHERE mission = ?1 "
            "ORDER BY version",
            row);
    while (q.step())
        out.push_back({row, q.integer(0), q.text(1), q.time(2)});
    return out;
}

std::size_t sqlite_rows::waiting_transition_count(issuer_id issuer) const {
    query q(c_, "SELECT count(*) FROM waiting_transitions WHERE issuer_id = ?1", issuer);
    return q.step() ? static_cast<std::size_t>(q.integer(0)) : 0;
}

void put_report(connection& c, const report& r) {
    query(c,
          "INSERT OR REPLACE INTO reports (id, issuer_id, mission, mission_id, client_id, kind, "
          "detail, evidence, received_at, status, decision) VALUES "
          "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)",
          r.id, r.issuer, r.mission, r.mission_id, r.client_id, r.kind, r.detail, r.evidence,
          r.received_at, r.status, r.decision)
        .run();
}

void put_waiting(connection& c, const waiting_transition& w, issuer_id issuer) {
    query(c,
          "INSERT OR REPLACE INTO waiting_transitions (mission, version, issuer_id, body, "
          "received_at) VALUES (?1,?2,?3,?4,?5)",
          w.mission, w.version, issuer, w.body, w.received_at)
        .run();
}

void erase_waiting(connection& c, mission_row row, std::int64_t version) {
    query(c, "DELETE FROM waiting_transitions WHERE mission = ?1 AND version = ?2", row, version)
        .run();
}

}  // namespace mission::store::sqlite
