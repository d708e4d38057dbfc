#include "receiver/state/state.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>

#include "base/crash_point.hpp"
#include "base/limits.hpp"
#include "receiver/state/rows.hpp"

namespace mission::receiver {
namespace {

constexpr auto retry_after = std::chrono::milliseconds(200);
constexpr int wal_pages_before_checkpoint = 2000;

struct unit {
    state_write write;
    std::function<void(result<void>)> answered;
    std::function<void()> committed;
};

class sqlite_state final : public state {
  public:
    sqlite_state(sqlite::database db, state_rows rows, bool rebuilt,
                 std::function<void(std::string)> on_problem)
        : db_(std::move(db)),
          rows_(std::move(rows)),
          rebuilt_(rebuilt),
          on_problem_(std::move(on_problem)) {}
    ~sqlite_state() override { stop(); }

    result<state_snapshot> load() override {
        auto s = state_rows::load(db_.get());
        if (s.has_value()) s->rebuilt = rebuilt_;
        // The connection belongs to the writer thread from here on.
        if (!writer_.joinable()) writer_ = std::thread([this] { run(); });
        return s;
    }

    void submit(state_write write, std::function<void(result<void>)> answered,
                std::function<void()> committed) override {
        std::lock_guard lock(m_);
        if (stopping_) return;
        queue_.push_back({std::move(write), std::move(answered), std::move(committed)});
        wake_.notify_one();
    }

    bool accepts() const noexcept override {
        std::lock_guard lock(m_);
        return !stopping_ && queue_.size() < limits::state_units_waiting;
    }

    void stop() override {
        {
            std::lock_guard lock(m_);
            stopping_ = true;
            wake_.notify_one();
        }
        if (writer_.joinable()) writer_.join();
    }

  private:
    void run() {
        std::vector<unit> batch;
        std::unique_lock lock(m_);
        for (;;) {
            wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
            if (queue_.empty()) return;
            while (!queue_.empty() && batch.size() < limits::state_units_per_commit) {
                batch.push_back(std::move(queue_.front()));
                queue_.pop_front();
            }
            lock.unlock();
            const auto r = commit(batch);
            if (r.has_value()) crash_point("cache_commit_ack");
            answer(batch, r);
            lock.lock();
            if (r.has_value()) {
                batch.clear();
                continue;
            }
            // The same units first again: what follows may rely on their being there.
            while (!batch.empty()) {
                queue_.push_front(std::move(batch.back()));
                batch.pop_back();
            }
            if (stopping_) return;
            wake_.wait_for(lock, retry_after, [&] { return stopping_; });
        }
    }

    void answer(std::vector<unit>& batch, const result<void>& r) {
        if (healthy_ != r.has_value() && on_problem_) {
            on_problem_(r.has_value() ? "state can be written again"
                                      : "state cannot be written: " + r.error().message());
        }
        healthy_ = r.has_value();
        for (auto& u : batch) {
            if (r.has_value() && u.committed) u.committed();
            if (u.answered) {
                u.answered(r);
                u.answered = nullptr;
            }
        }
    }

    result<void> commit(const std::vector<unit>& batch) {
        if (auto r = sqlite::execute(db_.get(), "BEGIN IMMEDIATE"); r.has_error()) return r;
        for (const auto& u : batch) {
            if (auto r = rows_.write(u.write); r.has_error()) {
                (void)sqlite::execute(db_.get(), "ROLLBACK");
                return r;
            }
        }
        auto r = sqlite::execute(db_.get(), "COMMIT");
        if (r.has_error()) (void)sqlite::execute(db_.get(), "ROLLBACK");
        return r;
    }

    sqlite::database db_;
    state_rows rows_;
    const bool rebuilt_;
    const std::function<void(std::string)> on_problem_;
    mutable std::mutex m_;
    std::condition_variable wake_;
    std::deque<unit> queue_;
    bool stopping_ = false;
    bool healthy_ = true;  // writer thread only
    std::thread writer_;
};

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

// Holds, tasks and keys are nobody else's business: mode 0600, which SQLite gives its log and
// journal as well. An existing file is not even opened: closing it would drop the locks that this
// process has on it.
result<void> make_private_file(const std::string& path) {
    if (path.empty() || path.starts_with("file:") || path == ":memory:") return {};
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        ::close(fd);
        return {};
    }
    if (errno == EEXIST) return check_writers(path);
    const auto why = std::generic_category().message(errno);
    const bool refused = errno == EROFS || errno == EACCES || errno == EPERM;
    return error{refused ? errc::store_read_only : errc::store_unavailable, path + ": " + why};
}

result<sqlite::database> open_database(const std::string& path) {
    sqlite3* raw = nullptr;
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                      SQLITE_OPEN_URI | SQLITE_OPEN_EXRESCODE;
    if (auto r = make_private_file(path); r.has_error()) return r.error();
    int rc = sqlite3_open_v2(path.empty() ? ":memory:" : path.c_str(), &raw, flags, nullptr);
    sqlite::database db(raw);
    result<void> r = rc == SQLITE_OK ? result<void>{} : result<void>{sqlite::to_error(raw, rc)};
    if (r.has_value()) {
        sqlite3_busy_timeout(raw, 2000);
        // One process owns the file. EXCLUSIVE also keeps the WAL index out of shared memory.
        for (const char* sql : {"PRAGMA locking_mode=EXCLUSIVE", "PRAGMA journal_mode=WAL",
                                synchronous(), "PRAGMA journal_size_limit=67108864"}) {
            if (r = sqlite::execute(raw, sql); r.has_error()) break;
        }
        sqlite3_wal_autocheckpoint(raw, wal_pages_before_checkpoint);
    }
    if (r.has_error()) return r.error();
    return db;
}

result<sqlite::database> open_checked(const std::string& path) {
    auto db = open_database(path);
    if (db.has_error()) return db;
    auto check = sqlite::statement::prepare(db->get(), "PRAGMA quick_check(1)");
    if (check.has_error()) return check.error();
    auto row = check->step();
    if (row.has_error()) return row.error();
    if (*row && check->text(0) != "ok") return error{errc::store_corrupt, check->text(0)};
    *check = {};
    if (auto r = migrate_state(db->get()); r.has_error()) return r.error();
    return db;
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

result<std::unique_ptr<state>> open_state(const std::string& path,
                                          std::function<void(std::string)> on_problem) {
    auto db = open_checked(path);
    bool rebuilt = false;
    if (db.has_error() && !path.empty() &&
        (db.error() == errc::store_corrupt || db.error() == errc::not_a_database)) {
        const auto why = db.error().message();
        auto aside = move_aside(path);
        if (aside.has_error()) return aside.error();
        if (on_problem) on_problem("state was damaged (" + why + "), moved to " + *aside);
        rebuilt = true;
        db = open_checked(path);
    }
    if (db.has_error()) return db.error();
    auto rows = state_rows::prepare(db->get());
    if (rows.has_error()) return rows.error();
    return std::unique_ptr<state>(std::make_unique<sqlite_state>(std::move(*db), std::move(*rows),
                                                                 rebuilt, std::move(on_problem)));
}

}  // namespace mission::receiver
