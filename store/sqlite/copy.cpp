#include "store/sqlite/copy.hpp"

#include <sqlite3.h>

#include "store/sqlite/connection.hpp"
#include "store/sqlite/file.hpp"
#include "store/sqlite/migrations.hpp"
#include "store/sqlite/rows.hpp"
#include "store/sqlite/target.hpp"

namespace mission::store::sqlite {
namespace {

// Pages at a time: 16 MiB.
constexpr int step_pages = 4'096;

std::int64_t number(connection& c, const char* sql) {
    query q(c, sql);
    return q.step() ? q.integer(0) : 0;
}

// The pages as of the snapshot that `from` has open: it stands still, so that this ends however
// much is committed meanwhile, and nothing is copied twice.
void copy_pages(connection& from, connection& to) {
    sqlite3_backup* b = sqlite3_backup_init(to.handle(), "main", from.handle(), "main");
    if (!b) to.fail(sqlite3_errcode(to.handle()));
    int code = SQLITE_OK;
    while (code == SQLITE_OK)
        code = sqlite3_backup_step(b, step_pages);
    const int end = sqlite3_backup_finish(b);
    if (end != SQLITE_OK) to.fail(end);
    if (code != SQLITE_DONE) to.fail(code);
}

// A copy that a restart would refuse, or that says something else than what it was taken from, is
// none.
void check(connection& c, const std::string& path, const log_position& taken) {
    query whole(c, "PRAGMA integrity_check(1)");
    if (!whole.step() || whole.view(0) != "ok") {
        const auto what = whole.text(0);
        throw store_error{{errc::store_corrupt, path +
                                                    ": the copy is damaged, and so may the "
                                                    "store be: " +
                                                    what}};
    }
    if (check_owner(c, path) != newest_schema) c.corrupt("the copy has another schema");
    if (number(c, "SELECT journal_mode = 'delete' FROM pragma_journal_mode") != 1)
        c.corrupt("the copy could not be made one file");
    if (number(c, "SELECT count(*) FROM meta") != 1) c.corrupt("the copy has no meta row");
    const auto there = read_position(c);
    if (there.log_epoch != taken.log_epoch || there.head != taken.head ||
        there.last_batch != taken.last_batch)
        c.corrupt("the copy is not what it was taken from");
    if (number(c, "SELECT coalesce(max(seq), 0) FROM signals") > there.head)
        c.corrupt("the log holds more than its head says");
}

// Everything that needs the copy's database open.
copy_report write_copy(connection& from, const std::string& source, const settings& part,
                       wall_time now) {
    copy_report out;
    from.exec("BEGIN");
    const int version = check_owner(from, source);
    if (version == 0)
        throw store_error{{errc::not_a_database, source + ": there is nothing in it yet"}};
    connection to(part);
    to.exec("PRAGMA locking_mode=EXCLUSIVE");  // no shared memory beside it
    copy_pages(from, to);
    // One file, without a log that would have to go with it. Synced as a whole at the end.
    to.exec("PRAGMA journal_mode=DELETE");
    migrate(to, version);
    const auto taken = read_position(to);
    {
        query same(from, "SELECT head, last_batch FROM meta WHERE id = 1");
        if (!same.step() || same.integer(0) != taken.head || same.view(1) != taken.last_batch)
            to.corrupt("the copy is not what it was taken from");
    }
    query(to, "UPDATE meta SET copied_at = ?1 WHERE id = 1", now).run();
    check(to, part.path, taken);
    out.log_epoch = taken.log_epoch;
    out.head = taken.head;
    out.last_commit = taken.last_commit;
    out.copied_at = now;
    out.missions = number(to, "SELECT count(*) FROM missions");
    out.streams = number(to, "SELECT count(*) FROM streams WHERE removed_at IS NULL");
    return out;
}

}  // namespace

result<copy_report> copy_file(const std::string& from, const std::string& to,
                              const store_options& options) {
    if (auto r = refuse_strange_log(from); !r) return r.error();
    auto file = target::open(from, to);
    if (!file) return file.error();
    const settings source{from, options.sqlite_vfs, "FULL",
                          static_cast<int>(options.busy_timeout.count())};
    // The part's own lock keeps others out. SQLite's would conflict with it where the two are one
    // kind (flock(2), "NFS details"), and backups go to such file systems.
    const settings part{file->part(), options.sqlite_vfs.empty() ? "unix-none" : options.sqlite_vfs,
                        "OFF", 0};
    const auto now = options.time ? options.time->now() : system_clock().now();
    copy_report out;
    try {
        connection reading(source);
        out = write_copy(reading, from, part, now);
    } catch (const store_error& e) {
        return e.what;
    }
    const auto bytes = file->finish();
    if (!bytes) return bytes.error();
    out.path = to;
    out.bytes = *bytes;
    return out;
}

}  // namespace mission::store::sqlite
