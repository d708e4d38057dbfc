#include "receiver/state/salvage.hpp"

#include <algorithm>
#include <vector>

#include "receiver/state/sqlite.hpp"

namespace mission::receiver {
namespace {

std::vector<std::string> texts(sqlite3* db, const std::string& sql) {
    std::vector<std::string> out;
    auto s = sqlite::statement::prepare(db, sql);
    if (s.has_error()) return out;
    for (;;) {
        const auto row = s->step();
        if (row.has_error() || !*row) return out;
        out.push_back(s->text(0));
    }
}

// Of the new schema, which knows them all.
std::vector<std::string> tables(sqlite3* db) {
    return texts(db,
                 "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' "
                 "AND name NOT IN ('missions', 'authorities') ORDER BY name");
}

std::vector<std::string> columns(sqlite3* db, const std::string& table) {
    return texts(db, "SELECT name FROM pragma_table_info('" + table + "')");
}

struct copied {
    std::size_t rows = 0;
    bool whole = false;  // down to the last row
};

copied copy(sqlite3* from, sqlite3* into, const std::string& table) {
    copied out;
    // By name: the damaged file may be of an older schema.
    const auto old = columns(from, table);
    std::string names, marks;
    for (const auto& name : columns(into, table)) {
        if (std::find(old.begin(), old.end(), name) == old.end()) continue;
        names += (names.empty() ? "" : ",") + name;
        marks += marks.empty() ? "?" : ",?";
    }
    if (names.empty()) return out;
    sqlite3_stmt* raw = nullptr;
    const auto read = "SELECT " + names + " FROM " + table;
    if (sqlite3_prepare_v2(from, read.c_str(), -1, &raw, nullptr) != SQLITE_OK) return out;
    const std::unique_ptr<sqlite3_stmt, sqlite::closer> rows(raw);
    const auto write = "INSERT OR IGNORE INTO " + table + "(" + names + ") VALUES(" + marks + ")";
    if (sqlite3_prepare_v2(into, write.c_str(), -1, &raw, nullptr) != SQLITE_OK) return out;
    const std::unique_ptr<sqlite3_stmt, sqlite::closer> insert(raw);
    for (;;) {
        const int rc = sqlite3_step(rows.get());
        if (rc != SQLITE_ROW) {
            out.whole = rc == SQLITE_DONE;
            return out;
        }
        for (int i = 0; i < sqlite3_column_count(rows.get()); ++i)
            sqlite3_bind_value(insert.get(), i + 1, sqlite3_column_value(rows.get(), i));
        // A row that the constraints refuse is damaged itself.
        if (sqlite3_step(insert.get()) == SQLITE_DONE) ++out.rows;
        sqlite3_reset(insert.get());
    }
}

}  // namespace

std::string salvage(const std::string& damaged, sqlite3* into) {
    sqlite3* raw = nullptr;
    const int rc = sqlite3_open_v2(damaged.c_str(), &raw,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    const sqlite::database from(raw);
    if (rc != SQLITE_OK || sqlite::execute(into, "BEGIN").has_error())
        return "nothing could be read from it: HOLDS AND TASKS ARE LOST";
    (void)sqlite::execute(raw, "PRAGMA cell_size_check=ON");
    std::string kept, broken;
    for (const auto& table : tables(into)) {
        const auto c = copy(raw, into, table);
        if (c.rows > 0) kept += (kept.empty() ? "" : ", ") + table + " " + std::to_string(c.rows);
        if (!c.whole) broken += (broken.empty() ? "" : ", ") + table;
    }
    if (sqlite::execute(into, "COMMIT").has_error()) {
        (void)sqlite::execute(into, "ROLLBACK");
        return "nothing could be kept of it: HOLDS AND TASKS ARE LOST";
    }
    auto said = "kept of it: " + (kept.empty() ? "nothing" : kept);
    if (!broken.empty()) said += "; LOST, in part or whole: " + broken;
    return said;
}

}  // namespace mission::receiver
