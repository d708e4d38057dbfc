// Missions as rows: written by the state's thread, read one by one when somebody asks, and all of
// them at a start. The authority lies in a table of its own, so that a start need not read it.
//
// Rows lie in the order in which missions became known, beside an index of keys (ADR 55): those of
// one time share pages, whatever their ids.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "base/error.hpp"
#include "receiver/cache/record.hpp"
#include "receiver/state/sqlite.hpp"
#include "receiver/state/state.hpp"

namespace mission::receiver {

// A numbered migration of rows.cpp.
inline constexpr const char* missions_by_number_schema = R"sql(
    ALTER TABLE missions RENAME TO missions_by_name;
    DROP INDEX missions_in_doubt;
    CREATE TABLE missions(
        n INTEGER PRIMARY KEY, issuer TEXT NOT NULL, id TEXT NOT NULL, state TEXT NOT NULL,
        version INTEGER NOT NULL, log_epoch TEXT NOT NULL, expires_at INTEGER,
        gap INTEGER NOT NULL, not_found INTEGER NOT NULL, denied_as TEXT NOT NULL,
        authority_needed INTEGER NOT NULL, authority_version INTEGER NOT NULL, fresh_until INTEGER,
        confirmed_epoch INTEGER NOT NULL, heard_at INTEGER NOT NULL, checksum INTEGER NOT NULL,
        suspend_until INTEGER, successor TEXT NOT NULL, reason TEXT NOT NULL, committed_at INTEGER);
    INSERT INTO missions(issuer, id, state, version, log_epoch, expires_at, gap, not_found,
            denied_as, authority_needed, authority_version, fresh_until, confirmed_epoch, heard_at,
            checksum, suspend_until, successor, reason, committed_at)
        SELECT issuer, id, state, version, log_epoch, expires_at, gap, not_found, denied_as,
            authority_needed, authority_version, fresh_until, confirmed_epoch, heard_at, checksum,
            suspend_until, successor, reason, committed_at
        FROM missions_by_name ORDER BY issuer, id;
    DROP TABLE missions_by_name;
    CREATE UNIQUE INDEX missions_by_key ON missions(id, issuer);
    CREATE INDEX missions_in_doubt ON missions(issuer, id)
        WHERE gap <> 0 OR authority_needed <> 0 OR denied_as <> '';
    )sql";

// The index has every row once, in order, and nothing else; store_corrupt if not, and all else that
// reading can fail with. SQLite's quick_check looks at neither. Reads both as a whole.
result<void> check_mission_index(sqlite3* db);

// Of the writing connection.
class mission_writer {
  public:
    static result<mission_writer> prepare(sqlite3* db);
    // `authority_too` false: the authority's row is as it should be.
    result<void> write(const record& m, bool authority_too);
    result<void> forget(const mission_key& key);

  private:
    sqlite3* db_ = nullptr;
    sqlite::statement mission_, authority_, no_authority_, forget_, indexed_;
};

// Of any connection; one call at a time. A row whose checksum is wrong is told as one in doubt,
// which denies until Status has spoken, and without its authority.
class mission_reader {
  public:
    // `on_damage` is told of each damaged row.
    static result<mission_reader> prepare(sqlite3* db,
                                          std::function<void(const mission_key&)> on_damage);
    result<bool> any();
    // nullopt: there is no row.
    result<std::optional<record>> read(const mission_key& key);
    // See state::each(). The record is the reader's own, and the next one's after the call.
    result<std::size_t> each(row_place& after, std::size_t limit, bool brief,
                             const std::function<void(const record&)>& fn);
    // Missions that Status has to be asked about.
    result<std::vector<mission_key>> in_doubt(std::size_t limit);

  private:
    void take(const sqlite::statement& s, record& m, bool brief);

    std::function<void(const mission_key&)> on_damage_;
    sqlite::statement any_, one_, authority_, range_, doubt_;
    record row_;
};

}  // namespace mission::receiver
