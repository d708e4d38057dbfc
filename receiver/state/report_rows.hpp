// Rows of teardown reports, and how many rows of finished tasks are kept while running.
#pragma once

#include "base/error.hpp"
#include "receiver/state/sqlite.hpp"
#include "receiver/state/state.hpp"

namespace mission::receiver {

// A numbered migration of rows.cpp.
inline constexpr const char* reports_schema = R"sql(
    CREATE TABLE reports(
        n INTEGER PRIMARY KEY, issuer TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
        complete INTEGER NOT NULL, sent INTEGER NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL,
        made INTEGER NOT NULL, UNIQUE(issuer, id));
    CREATE INDEX tasks_over ON tasks(updated) WHERE finished OR cancelled;
    CREATE INDEX tasks_open ON tasks(issuer, id) WHERE NOT (finished OR cancelled);
    )sql";

class report_rows {
  public:
    static result<report_rows> prepare(sqlite3* db);
    // What the unit says of reports; and, once in a while, finished tasks beyond
    // limits::finished_tasks_rows go, the oldest first. Those of an end that is not over stay: its
    // report counts them.
    result<void> write(const state_write& unit);
    static result<std::vector<report_record>> load(sqlite3* db);

  private:
    sqlite::statement put_, settled_, trim_;
    std::size_t over_ = 0;  // finished tasks that were written since the last look
};

}  // namespace mission::receiver
