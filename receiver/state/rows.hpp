// The tables, and records to rows and back.
#pragma once

#include "base/error.hpp"
#include "receiver/state/mission_rows.hpp"
#include "receiver/state/report_rows.hpp"
#include "receiver/state/sqlite.hpp"
#include "receiver/state/state.hpp"

namespace mission::receiver {

// "MSrx": what kind of database the file is (PRAGMA application_id).
inline constexpr int state_application_id = 0x4d537278;

// Brings the schema to this program's version, step by step; store_newer when it is beyond it,
// bad_configuration when the file belongs to another program,
// store_corrupt when it is ours and does not say so.
result<void> migrate_state(sqlite3* db);

// The prepared statements of one connection.
class state_rows {
  public:
    static result<state_rows> prepare(sqlite3* db);
    result<void> write(const state_write& unit);
    // All but the missions, which stay where they are.
    static result<state_snapshot> load(sqlite3* db);

  private:
    sqlite3* db_ = nullptr;
    sqlite::statement hold_, release_, task_, setting_, jti_, jti_trim_, jti_age_, event_,
        event_settled_;
    mission_writer missions_;
    report_rows reports_;
};

}  // namespace mission::receiver
