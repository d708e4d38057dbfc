#include "receiver/state/look.hpp"

#include <sys/stat.h>

#include "receiver/state/file_lock.hpp"
#include "receiver/state/rows.hpp"
#include "receiver/state/state_file.hpp"

namespace mission::receiver {
namespace {

result<std::int64_t> number_of(sqlite3* db, std::string_view sql) {
    auto s = sqlite::statement::prepare(db, sql);
    if (s.has_error()) return s.error();
    auto row = s->step();
    if (row.has_error()) return row.error();
    return *row ? s->number(0) : 0;
}

}  // namespace

result<std::vector<task_record>> tasks_in(const std::string& path) {
    file_lock lock;
    if (is_plain_path(path)) {
        struct stat there {};
        if (::stat(path.c_str(), &there) != 0) return error{errc::not_found, "there is no " + path};
        // Who has it open has made the lock's file. We do not: it would be ours, and whoever looks
        // may be somebody else than who runs.
        if (file_lock::exists(path)) {
            auto taken = file_lock::take(path);
            if (taken.has_value()) {
                lock = std::move(*taken);
            } else if (taken.error() == errc::store_locked) {
                return taken.error();
            }
        }
    }
    sqlite3* raw = nullptr;
    // Writable, because a log that a crash has left has to be taken in before it can be read; the
    // rows themselves are not touched.
    const int rc = sqlite3_open_v2(
        path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
        nullptr);
    const sqlite::database db(raw);
    if ((rc & 0xff) == SQLITE_CANTOPEN) return error{errc::not_found, "there is no " + path};
    if (rc != SQLITE_OK) return sqlite::to_error(raw, rc);
    if (auto r = sqlite::execute(raw, "PRAGMA query_only=ON"); r.has_error()) return r.error();
    const auto application = number_of(raw, "PRAGMA application_id");
    if (application.has_error()) return application.error();
    if (*application != state_application_id)
        return error{errc::not_a_database, path + " is no receiver's state"};

    // By name: later versions add columns, and take none away.
    auto s = sqlite::statement::prepare(
        raw,
        "SELECT key, handler, why, issuer, id, version, name, data, attempts, last, evidence, "
        "finished, cancelled, created, updated FROM tasks ORDER BY created, version");
    if (s.has_error()) return s.error();
    std::vector<task_record> out;
    for (;;) {
        auto more = s->step();
        if (more.has_error()) return more.error();
        if (!*more) return out;
        task_record t;
        t.key = s->text(0);
        t.handler = s->text(1);
        t.why = static_cast<ms::effect>(s->number(2));
        t.mission = {s->text(3), s->text(4)};
        t.version = s->number(5);
        t.name = s->text(6);
        t.data = s->text(7);
        t.attempts = static_cast<unsigned>(s->number(8));
        t.last = static_cast<ms::outcome_kind>(s->number(9));
        t.evidence = s->text(10);
        t.finished = s->number(11) != 0;
        t.cancelled = s->number(12) != 0;
        t.created = from_milliseconds(s->number(13));
        t.updated = from_milliseconds(s->number(14));
        out.push_back(std::move(t));
    }
}

}  // namespace mission::receiver
