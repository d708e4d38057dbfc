#include "receiver/state/state_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

#include "receiver/state/rows.hpp"
#include "receiver/state/salvage.hpp"

namespace mission::receiver {
namespace {

constexpr int wal_pages_before_checkpoint = 2000;
// A file up to here is checked as a whole at a start, a tenth of a second. Of a larger one the
// missions are checked as they are read.
constexpr off_t checked_whole = 64 << 20;

// WAL with FULL: a commit that was answered survives a power cut (I7, I10).
const char* synchronous() {
#ifdef MISSION_CRASH_POINTS
    // A test shows that the power-cut test notices when this is not so.
    if (const char* s = std::getenv("MISSION_STATE_SYNCHRONOUS"); s && std::string(s) == "OFF") {
        return "PRAGMA synchronous=OFF";
    }
#endif
    return "PRAGMA synchronous=FULL";
}

// Who can write the state can say that a mission is active, and what is run when it ends.
result<void> check_writers(const std::string& path) {
    struct stat s {};
    if (::stat(path.c_str(), &s) != 0) return {};  // SQLite says what is wrong with it
    const auto us = ::geteuid();
    const bool foreign = us != 0 && s.st_uid != us && s.st_uid != 0;
    if (!foreign && (s.st_mode & (S_IWGRP | S_IWOTH)) == 0) return {};
    return error{errc::bad_configuration,
                 path + ": others can write it (it has to be ours, mode 0600)"};
}

result<sqlite::database> connect(const std::string& path) {
    sqlite3* raw = nullptr;
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                      SQLITE_OPEN_URI | SQLITE_OPEN_EXRESCODE;
    const int rc = sqlite3_open_v2(path.empty() ? ":memory:" : path.c_str(), &raw, flags, nullptr);
    sqlite::database db(raw);
    if (rc != SQLITE_OK) return sqlite::to_error(raw, rc);
    sqlite3_busy_timeout(raw, 2000);
    // A page whose cells overlap is told as damage instead of being read.
    if (auto r = sqlite::execute(raw, "PRAGMA cell_size_check=ON"); r.has_error()) return r.error();
    return db;
}

result<sqlite::database> open_writer(const std::string& path) {
    if (auto r = make_private_file(path); r.has_error()) return r.error();
    auto db = connect(path);
    if (db.has_error()) return db;
    for (const char* sql :
         {"PRAGMA journal_mode=WAL", synchronous(), "PRAGMA journal_size_limit=67108864",
          // 8 MiB: the pages of missions that are at work, and their index.
          "PRAGMA cache_size=-8192"})
        if (auto r = sqlite::execute(db->get(), sql); r.has_error()) return r.error();
    sqlite3_wal_autocheckpoint(db->get(), wal_pages_before_checkpoint);
    return db;
}

result<void> check(sqlite3* db, const std::string& pragma) {
    auto s = sqlite::statement::prepare(db, pragma);
    if (s.has_error()) return s.error();
    const auto row = s->step();
    if (row.has_error()) return row.error();
    if (*row && s->view(0) != "ok") return error{errc::store_corrupt, s->text(0)};
    return {};
}

result<void> check(sqlite3* db, const std::string& path, off_t octets) {
    if (path.empty()) return {};
    if (octets <= checked_whole) return check(db, "PRAGMA quick_check(1)");
    auto s = sqlite::statement::prepare(
        db,
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name "
        "NOT IN ('missions', 'authorities')");
    if (s.has_error()) return s.error();
    for (;;) {
        const auto row = s->step();
        if (row.has_error()) return row.error();
        if (!*row) return {};
        if (auto r = check(db, "PRAGMA quick_check(" + s->text(0) + ")"); r.has_error()) return r;
    }
}

result<state_connections> open_once(const std::string& path) {
    struct stat before {};
    const bool existed = is_plain_path(path) && ::stat(path.c_str(), &before) == 0;
    state_connections out;
    // Cut off at its beginning: SQLite takes it for a new one.
    out.lost = existed && before.st_size == 0;
    auto db = open_writer(path);
    if (db.has_error()) return db.error();
    if (auto r = check(db->get(), path, before.st_size); r.has_error()) return r.error();
    if (auto r = migrate_state(db->get()); r.has_error()) return r.error();
    if (existed && before.st_size <= checked_whole)
        if (auto r = check_mission_index(db->get()); r.has_error()) return r.error();
    out.writer = std::move(*db);
    if (path.empty() || path == ":memory:") return out;
    auto reader = connect(path);
    if (reader.has_error()) return reader.error();
    if (auto r = sqlite::execute(reader->get(), "PRAGMA query_only=ON"); r.has_error())
        return r.error();
    out.reader = std::move(*reader);
    return out;
}

// Never deletes: an operator may want to look. Free name by number.
result<std::string> move_aside(const std::string& path) {
    for (int n = 1; n < 1000; ++n) {
        const auto target = path + ".damaged-" + std::to_string(n);
        struct stat s {};
        if (::lstat(target.c_str(), &s) == 0) continue;
        if (std::rename(path.c_str(), target.c_str()) != 0) break;
        (void)std::rename((path + "-wal").c_str(), (target + "-wal").c_str());
        ::unlink((path + "-shm").c_str());
        return target;
    }
    return error{errc::io_error, "the damaged state cannot be moved aside"};
}

}  // namespace

bool is_damage(const error& e) noexcept {
    return e == errc::store_corrupt || e == errc::not_a_database;
}

bool is_plain_path(const std::string& path) noexcept {
    return !path.empty() && !path.starts_with("file:") && path != ":memory:";
}

// Holds, tasks and keys are nobody else's business: mode 0600, which SQLite gives its log and
// journal as well. An existing file is not even opened: closing it would drop the locks that this
// process has on it.
result<bool> make_private_file(const std::string& path) {
    if (!is_plain_path(path)) return false;
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        ::close(fd);
        return true;
    }
    if (errno == EEXIST) {
        if (auto r = check_writers(path); r.has_error()) return r.error();
        return false;
    }
    const auto why = std::generic_category().message(errno);
    const bool refused = errno == EROFS || errno == EACCES || errno == EPERM;
    return error{refused ? errc::store_read_only : errc::store_unavailable, path + ": " + why};
}

result<state_connections> open_connections(const std::string& path,
                                           const std::function<void(std::string)>& on_problem) {
    auto opened = open_once(path);
    if (opened.has_value() || path.empty() || !is_damage(opened.error())) return opened;
    return replace_damaged(path, opened.error().message(), on_problem);
}

result<state_connections> replace_damaged(const std::string& path, const std::string& why,
                                          const std::function<void(std::string)>& on_problem) {
    std::string aside;
    if (!path.empty()) {
        auto moved = move_aside(path);
        if (moved.has_error()) return moved.error();
        aside = std::move(*moved);
    }
    auto opened = open_once(path);
    if (opened.has_error()) return opened;
    const auto kept = aside.empty() ? "" : "; " + salvage(aside, opened->writer.get());
    opened->lost = true;
    if (on_problem) on_problem("state was damaged (" + why + "), moved to " + aside + kept);
    return opened;
}

}  // namespace mission::receiver
