#include "store/sqlite/migrations.hpp"

#include <iterator>

#include "jose/digest.hpp"

namespace mission::store::sqlite {
namespace {

// Never edited once released: a change is a new file at the end.
constexpr const char* steps[] = {
#include "store/sqlite/migrations/0001_first.inc"
    ,
#include "store/sqlite/migrations/0002_events_subjects_routed.inc"
    ,
#include "store/sqlite/migrations/0003_families_audit_bulk_reports.inc"
    ,
#include "store/sqlite/migrations/0004_copies.inc"
    ,
#include "store/sqlite/migrations/0005_versions_in_order.inc"
};

std::int64_t number(connection& c, const char* pragma) {
    query q(c, pragma);
    return q.step() ? q.integer(0) : 0;
}

void run_step(connection& c, int version) {
    c.exec("BEGIN IMMEDIATE");
    try {
        c.exec(steps[version - 1]);
        if (version == 1) {
            // The log's identity is made with the log.
            query(c,
                  "INSERT INTO meta (id, log_epoch, head, tail, routed_seq, last_commit, "
                  "last_batch, last_mission, last_stream) VALUES (1, ?1, 0, 1, 0, 0, '', 0, 0)",
                  jose::random_id(16))
                .run();
        }
        c.exec(("PRAGMA application_id=" + std::to_string(application_id)).c_str());
        c.exec(("PRAGMA user_version=" + std::to_string(version)).c_str());
        c.exec("COMMIT");
    } catch (const store_error&) {
        sqlite3_exec(c.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
        throw;
    }
}

}  // namespace

const int newest_schema = static_cast<int>(std::size(steps));

int check_owner(connection& c, const std::string& path) {
    const auto owner = number(c, "PRAGMA application_id");
    const auto version = number(c, "PRAGMA user_version");
    const bool empty = number(c, "SELECT count(*) FROM sqlite_schema") == 0;
    if (owner != application_id && !(owner == 0 && version == 0 && empty))
        throw store_error{{errc::not_a_database, path + ": a database of another program"}};
    if (version > newest_schema)
        throw store_error{{errc::store_newer, path + ": schema " + std::to_string(version) +
                                                  " was made by a newer program; this one knows " +
                                                  std::to_string(newest_schema)}};
    return static_cast<int>(version);
}

void migrate(connection& c, int version) {
    for (int next = version + 1; next <= newest_schema; ++next)
        run_step(c, next);
}

}  // namespace mission::store::sqlite
