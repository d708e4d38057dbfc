#include "receiver/state/rows.hpp"

#include <optional>
#include <string>

#include "base/limits.hpp"

namespace mission::receiver {
namespace {

// Numbered migrations: never edited once released, only added to.
constexpr const char* migrations[] = {
    R"sql(
    CREATE TABLE missions(
        issuer TEXT NOT NULL, id TEXT NOT NULL, state TEXT NOT NULL, version INTEGER NOT NULL,
        log_epoch TEXT NOT NULL, expires_at INTEGER, suspend_until INTEGER,
        successor TEXT NOT NULL, reason TEXT NOT NULL, gap INTEGER NOT NULL,
        not_found INTEGER NOT NULL, denied_as TEXT NOT NULL, authority_needed INTEGER NOT NULL,
        authority TEXT, authority_version INTEGER NOT NULL, fresh_until INTEGER,
        confirmed_epoch INTEGER NOT NULL, PRIMARY KEY(issuer, id)) WITHOUT ROWID;
    CREATE TABLE holds(
        issuer TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, data TEXT NOT NULL,
        PRIMARY KEY(issuer, id, name)) WITHOUT ROWID;
    CREATE TABLE tasks(
        key TEXT PRIMARY KEY, handler TEXT NOT NULL, why INTEGER NOT NULL, issuer TEXT NOT NULL,
        id TEXT NOT NULL, version INTEGER NOT NULL, name TEXT NOT NULL, data TEXT NOT NULL,
        attempts INTEGER NOT NULL, last INTEGER NOT NULL, evidence TEXT NOT NULL,
        finished INTEGER NOT NULL, cancelled INTEGER NOT NULL, created INTEGER NOT NULL,
        updated INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE settings(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE jtis(n INTEGER PRIMARY KEY, iss TEXT NOT NULL, jti TEXT NOT NULL,
        UNIQUE(iss, jti));
    )sql",
    R"sql(
    CREATE TABLE events(
        n INTEGER PRIMARY KEY, iss TEXT NOT NULL, jti TEXT NOT NULL, type TEXT NOT NULL,
        txn TEXT NOT NULL, issued_at INTEGER NOT NULL, subject TEXT NOT NULL, event TEXT NOT NULL,
        attempts INTEGER NOT NULL, last INTEGER NOT NULL, evidence TEXT NOT NULL,
        received INTEGER NOT NULL, UNIQUE(iss, jti, type));
    ALTER TABLE jtis ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
    UPDATE jtis SET at = CAST(strftime('%s', 'now') AS INTEGER) * 1000;
    )sql",
    // A start reads every mission's row, and nobody's authority.
    R"sql(
    CREATE TABLE authorities(
        issuer TEXT NOT NULL, id TEXT NOT NULL, authority TEXT NOT NULL, checksum INTEGER NOT NULL,
        PRIMARY KEY(issuer, id)) WITHOUT ROWID;
    INSERT INTO authorities SELECT issuer, id, authority, 0 FROM missions
        WHERE authority IS NOT NULL;
    ALTER TABLE missions DROP COLUMN authority;
    ALTER TABLE missions ADD COLUMN committed_at INTEGER;
    ALTER TABLE missions ADD COLUMN heard_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE missions ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX missions_in_doubt ON missions(issuer, id)
        WHERE gap <> 0 OR authority_needed <> 0 OR denied_as <> '';
    )sql",
    reports_schema,
    missions_by_number_schema,
};
constexpr int schema_version = static_cast<int>(std::size(migrations));

// Known `jti`s that came before this are forgotten.
std::int64_t oldest_kept(wall_time now) {
    return to_milliseconds(now - limits::seen_jti_kept);
}

result<std::int64_t> pragma(sqlite3* db, const char* sql) {
    auto s = sqlite::statement::prepare(db, sql);
    if (s.has_error()) return s.error();
    auto row = s->step();
    if (row.has_error()) return row.error();
    return s->number(0);
}

bool has_our_tables(sqlite3* db) {
    const auto n = pragma(db,
                          "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN "
                          "('missions', 'holds', 'tasks', 'settings', 'jtis')");
    return n.has_value() && *n == 5;
}

template <class Row>
result<void> each_row(sqlite3* db, std::string_view sql, Row&& row) {
    auto s = sqlite::statement::prepare(db, sql);
    if (s.has_error()) return s.error();
    for (;;) {
        auto more = s->step();
        if (more.has_error()) return more.error();
        if (!*more) return {};
        row(*s);
    }
}

// The schema number a second time, in a row: of the two a bit that flips in the file's header
// changes one. nullopt: none is written, as before there was one, or it cannot be read.
std::optional<std::int64_t> noted_version(sqlite3* db) {
    auto s = sqlite::statement::prepare(
        db, "SELECT CAST(value AS INTEGER) FROM settings WHERE name='schema_version'");
    if (s.has_error()) return std::nullopt;
    const auto row = s->step();
    if (row.has_error() || !*row) return std::nullopt;
    return s->number(0);
}

std::string note_version(int version) {
    return "REPLACE INTO settings VALUES('schema_version','" + std::to_string(version) + "');";
}

}  // namespace

result<void> migrate_state(sqlite3* db) {
    const auto version = pragma(db, "PRAGMA user_version");
    if (version.has_error()) return version.error();
    const auto application = pragma(db, "PRAGMA application_id");
    if (application.has_error()) return application.error();
    if (*version != 0 && *application != state_application_id) {
        if (has_our_tables(db)) return error{errc::store_corrupt, "the application id is damaged"};
        return error{errc::bad_configuration, "the file belongs to another program"};
    }
    // A newer program writes both numbers, so that they agree.
    const auto noted =
        *application == state_application_id ? noted_version(db) : std::optional<std::int64_t>();
    if (noted && *noted != *version)
        return error{errc::store_corrupt, "the schema number is damaged"};
    if (*version > schema_version) {
        return error{errc::store_newer, "the state was written by a newer version (schema " +
                                            std::to_string(*version) + ")"};
    }
    for (auto n = static_cast<int>(*version); n < schema_version; ++n) {
        const std::string step = "BEGIN IMMEDIATE;" + std::string(migrations[n]) +
                                 note_version(n + 1) +
                                 "PRAGMA application_id=" + std::to_string(state_application_id) +
                                 ";PRAGMA user_version=" + std::to_string(n + 1) + ";COMMIT;";
        if (auto r = sqlite::execute(db, step.c_str()); r.has_error()) {
            // What a step asks for is there in every file of ours that says it is at that step.
            const bool other_tables = *application == state_application_id &&
                                      (sqlite3_errcode(db) & 0xff) == SQLITE_ERROR;
            (void)sqlite::execute(db, "ROLLBACK");
            if (other_tables) return error{errc::store_corrupt, r.error().detail};
            return r.error();
        }
    }
    if (!noted && *version == schema_version)
        return sqlite::execute(db, note_version(schema_version).c_str());
    return {};
}

result<state_rows> state_rows::prepare(sqlite3* db) {
    state_rows rows;
    rows.db_ = db;
    const std::pair<sqlite::statement*, std::string_view> all[] = {
        {&rows.hold_, "REPLACE INTO holds VALUES(?,?,?,?)"},
        {&rows.release_, "DELETE FROM holds WHERE issuer=? AND id=? AND name=?"},
        {&rows.task_, "REPLACE INTO tasks VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"},
        {&rows.setting_, "REPLACE INTO settings VALUES(?,?)"},
        {&rows.jti_trim_, "DELETE FROM jtis WHERE n <= ?"},
        {&rows.jti_age_, "DELETE FROM jtis WHERE n < ? AND at < ?"},
        {&rows.jti_, "INSERT OR IGNORE INTO jtis(iss, jti, at) VALUES(?,?,?)"},
        // A try keeps its place in the order.
        {&rows.event_,
         "INSERT INTO events(iss, jti, type, txn, issued_at, subject, event, attempts, last, "
         "evidence, received) VALUES(?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(iss, jti, type) DO UPDATE "
         "SET attempts=excluded.attempts, last=excluded.last, evidence=excluded.evidence"},
        {&rows.event_settled_, "DELETE FROM events WHERE iss=? AND jti=? AND type=?"},
    };
    for (const auto& [into, sql] : all) {
        auto s = sqlite::statement::prepare(db, sql);
        if (s.has_error()) return s.error();
        *into = std::move(*s);
    }
    auto missions = mission_writer::prepare(db);
    if (missions.has_error()) return missions.error();
    rows.missions_ = std::move(*missions);
    auto reports = report_rows::prepare(db);
    if (reports.has_error()) return reports.error();
    rows.reports_ = std::move(*reports);
    return rows;
}

result<void> state_rows::write(const state_write& unit) {
    for (const auto& key : unit.forgotten)
        if (auto r = missions_.forget(key); r.has_error()) return r;
    for (const auto& m : unit.missions)
        if (auto r = missions_.write(m, true); r.has_error()) return r;
    for (const auto& m : unit.states)
        if (auto r = missions_.write(m, false); r.has_error()) return r;
    for (const auto& h : unit.holds) {
        hold_.bind(h.mission.issuer).bind(h.mission.id).bind(h.name).bind(h.data);
        if (auto r = hold_.run(); r.has_error()) return r.error();
    }
    for (const auto& [mission, name] : unit.released) {
        release_.bind(mission.issuer).bind(mission.id).bind(name);
        if (auto r = release_.run(); r.has_error()) return r.error();
    }
    for (const auto& t : unit.tasks) {
        task_.bind(t.key).bind(t.handler).bind(static_cast<std::int64_t>(t.why));
        task_.bind(t.mission.issuer).bind(t.mission.id).bind(t.version).bind(t.name).bind(t.data);
        task_.bind(std::int64_t{t.attempts}).bind(static_cast<std::int64_t>(t.last));
        task_.bind(t.evidence).bind(std::int64_t{t.finished}).bind(std::int64_t{t.cancelled});
        task_.bind(to_milliseconds(t.created)).bind(to_milliseconds(t.updated));
        if (auto r = task_.run(); r.has_error()) return r.error();
    }
    for (const auto& [name, value] : unit.settings) {
        setting_.bind(name).bind(value);
        if (auto r = setting_.run(); r.has_error()) return r.error();
    }
    for (const auto& e : unit.events) {
        event_.bind(e.iss).bind(e.jti).bind(e.type).bind(e.txn).bind(e.issued_at);
        event_.bind(e.subject).bind(e.event).bind(std::int64_t{e.attempts});
        event_.bind(static_cast<std::int64_t>(e.last)).bind(e.evidence);
        event_.bind(to_milliseconds(e.received));
        if (auto r = event_.run(); r.has_error()) return r.error();
    }
    if (auto r = reports_.write(unit); r.has_error()) return r;
    for (const auto& e : unit.settled_events) {
        event_settled_.bind(e.iss).bind(e.jti).bind(e.type);
        if (auto r = event_settled_.run(); r.has_error()) return r.error();
    }
    for (const auto& [iss, jti, at] : unit.jtis) {
        jti_.bind(iss).bind(jti).bind(to_milliseconds(at));
        if (auto r = jti_.run(); r.has_error()) return r.error();
        if (sqlite3_changes(db_) == 0) continue;  // it is there; the last row is another table's
        // Bounded while running, too: the oldest go, a block at a time.
        const auto last = sqlite3_last_insert_rowid(db_);
        if (last % 1000 == 0) {
            jti_trim_.bind(last - static_cast<std::int64_t>(limits::seen_jti));
            if (auto r = jti_trim_.run(); r.has_error()) return r.error();
            jti_age_.bind(last).bind(oldest_kept(at));
            if (auto r = jti_age_.run(); r.has_error()) return r.error();
        }
    }
    return {};
}

result<state_snapshot> state_rows::load(sqlite3* db) {
    state_snapshot out;
    // What is bounded is trimmed here, where nobody waits.
    const std::string trims[] = {
        "DELETE FROM jtis WHERE n <= (SELECT max(n) FROM jtis) - " +
            std::to_string(limits::seen_jti) + " OR at < " +
            std::to_string(oldest_kept(system_clock().now())),
        "DELETE FROM tasks WHERE (finished OR cancelled) AND key NOT IN (SELECT key FROM tasks "
        "WHERE finished OR cancelled ORDER BY updated DESC LIMIT " +
            std::to_string(limits::finished_tasks_rows) + ")"};
    for (const auto& sql : trims) {
        auto s = sqlite::statement::prepare(db, sql);
        if (s.has_error()) return s.error();
        if (auto r = s->run(); r.has_error()) return r.error();
    }

    auto r = each_row(db, "SELECT * FROM holds", [&](const sqlite::statement& s) {
        out.holds.push_back({{s.text(0), s.text(1)}, s.text(2), s.text(3)});
    });
    if (r.has_error()) return r.error();
    r = each_row(db, "SELECT * FROM tasks ORDER BY created, version",
                 [&](const sqlite::statement& s) {
                     task_record t;
                     t.key = s.text(0);
                     t.handler = s.text(1);
                     t.why = static_cast<ms::effect>(s.number(2));
                     t.mission = {s.text(3), s.text(4)};
                     t.version = s.number(5);
                     t.name = s.text(6);
                     t.data = s.text(7);
                     t.attempts = static_cast<unsigned>(s.number(8));
                     t.last = static_cast<ms::outcome_kind>(s.number(9));
                     t.evidence = s.text(10);
                     t.finished = s.number(11) != 0;
                     t.cancelled = s.number(12) != 0;
                     t.created = from_milliseconds(s.number(13));
                     t.updated = from_milliseconds(s.number(14));
                     out.tasks.push_back(std::move(t));
                 });
    if (r.has_error()) return r.error();
    r = each_row(
        db, "SELECT name, value FROM settings WHERE name <> 'schema_version'",
        [&](const sqlite::statement& s) { out.settings.emplace_back(s.text(0), s.text(1)); });
    if (r.has_error()) return r.error();
    r = each_row(db, "SELECT iss, jti, at FROM jtis ORDER BY n", [&](const sqlite::statement& s) {
        out.jtis.push_back({s.text(0), s.text(1), from_milliseconds(s.number(2))});
    });
    if (r.has_error()) return r.error();
    r = each_row(db,
                 "SELECT iss, jti, type, txn, issued_at, subject, event, attempts, last, evidence, "
                 "received FROM events ORDER BY n",
                 [&](const sqlite::statement& s) {
                     event_record e;
                     e.iss = s.text(0);
                     e.jti = s.text(1);
                     e.type = s.text(2);
                     e.txn = s.text(3);
                     e.issued_at = s.number(4);
                     e.subject = s.text(5);
                     e.event = s.text(6);
                     e.attempts = static_cast<unsigned>(s.number(7));
                     e.last = static_cast<ms::outcome_kind>(s.number(8));
                     e.evidence = s.text(9);
                     e.received = from_milliseconds(s.number(10));
                     out.events.push_back(std::move(e));
                 });
    if (r.has_error()) return r.error();
    auto reports = report_rows::load(db);
    if (reports.has_error()) return reports.error();
    out.reports = std::move(*reports);
    return out;
}

}  // namespace mission::receiver
