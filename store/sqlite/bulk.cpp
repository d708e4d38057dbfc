// Bulk operations: jobs and their pinned members.
#include <algorithm>

#include "store/sqlite/rows.hpp"
#include "store/sqlite/writes.hpp"

namespace mission::store::sqlite {
namespace {

static_assert(static_cast<int>(bulk_status::pinning) == 0);
static_assert(static_cast<int>(bulk_status::pinned) == 1);
static_assert(static_cast<int>(bulk_status::running) == 2);
static_assert(static_cast<int>(bulk_status::done) == 3);

// The columns that read_job() reads, in its order.
#define JOB_COLUMNS                                                               \
    "SELECT id, issuer_id, token_hash, client_id, request, status, total, next, " \
    "created_at, expires_at, execution FROM bulk_jobs "

bulk_job read_job(const query& q) {
    bulk_job j;
    j.id = q.integer(0);
    j.issuer = q.id<issuer_id>(1);
    j.token_hash = q.text(2);
    j.client_id = q.text(3);
    j.request = q.text(4);
    j.status = q.id<bulk_status>(5);
    j.total = q.integer(6);
    j.next = q.integer(7);
    j.created_at = q.time(8);
    j.expires_at = q.time(9);
    j.execution = q.text(10);
    return j;
}

}  // namespace

std::optional<bulk_job> sqlite_rows::find_bulk_job(issuer_id issuer,
                                                   std::string_view token_hash) const {
    query q(c_, JOB_COLUMNS "WHERE issuer_id = ?1 AND token_hash = ?2", issuer, token_hash);
    if (!q.step()) return std::nullopt;
    return read_job(q);
}

std::vector<bulk_job> sqlite_rows::bulk_jobs(issuer_id issuer, bulk_status status) const {
    std::vector<bulk_job> out;
    query q(c_, JOB_COLUMNS "WHERE issuer_id = ?1 AND status = ?2 ORDER BY id", issuer, status);
    while (q.step())
        out.push_back(read_job(q));
    return out;
}

std::vector<bulk_member> sqlite_rows::bulk_members(std::int64_t job, std::int64_t from,
                                                   std::size_t limit) const {
    std::vector<bulk_member> out;
    query q(c_,
            "SELECT position, mission, outcome, detail FROM bulk_members WHERE job = ?1 AND "
            "position >= ?2 ORDER BY position LIMIT ?3",
            job, from, static_cast<std::int64_t>(std::min<std::size_t>(limit, INT64_MAX)));
    while (q.step())
        out.push_back({job, q.integer(0), q.id<mission_row>(1), q.text(2), q.text(3)});
    return out;
}

std::vector<std::int64_t> sqlite_rows::old_bulk_jobs(wall_time until, std::size_t limit) const {
    std::vector<std::int64_t> out;
    query q(c_,
            "SELECT id FROM bulk_jobs INDEXED BY bulk_jobs_by_expiry WHERE expires_at < ?1 AND "
            "status <> ?2 ORDER BY expires_at LIMIT ?3",
            until, bulk_status::running,
            static_cast<std::int64_t>(std::min<std::size_t>(limit, INT64_MAX)));
    while (q.step())
        out.push_back(q.integer(0));
    return out;
}

std::optional<bulk_job> bulk_job_of(connection& c, std::int64_t id) {
    query q(c, JOB_COLUMNS "WHERE id = ?1", id);
    if (!q.step()) return std::nullopt;
    return read_job(q);
}

void put_bulk_job(connection& c, const bulk_job& j) {
    query(c,
          "INSERT OR REPLACE INTO bulk_jobs (id, issuer_id, token_hash, client_id, request, "
          "status, total, next, created_at, expires_at, execution) VALUES "
          "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)",
          j.id, j.issuer, j.token_hash, j.client_id, j.request, j.status, j.total, j.next,
          j.created_at, j.expires_at, j.execution)
        .run();
}

void put_bulk_member(connection& c, const bulk_member& m) {
    query(c,
          "INSERT OR REPLACE INTO bulk_members (job, position, mission, outcome, detail) VALUES "
          "(?1,?2,?3,?4,?5)",
          m.job, m.position, m.mission, m.outcome, m.detail)
        .run();
}

void remove_bulk_job(connection& c, std::int64_t id) {
    query(c, "DELETE FROM bulk_members WHERE job = ?1", id).run();
    query(c, "DELETE FROM bulk_jobs WHERE id = ?1", id).run();
}

}  // namespace mission::store::sqlite
