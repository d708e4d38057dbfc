#include "store/sqlite/backend.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "jose/digest.hpp"
#include "store/sqlite/checkpointer.hpp"
#include "store/sqlite/file.hpp"
#include "store/sqlite/gathered_log.hpp"
#include "store/sqlite/history.hpp"
#include "store/sqlite/migrations.hpp"
#include "store/sqlite/writes.hpp"

namespace mission::store::sqlite {
namespace {

constexpr int wal_pages_wake = 1'000;     // 4 MiB: the checkpoint thread starts
constexpr int wal_pages_limit = 16'000;   // 64 MiB: the writer finishes one itself
constexpr int wal_pages_idle = 64;        // less is not worth an fsync when idle
constexpr std::size_t idle_readers = 16;  // connections kept for the next read

// How long a snapshot serves look after look: briefly, since the WAL cannot be reset under it.
constexpr std::chrono::milliseconds snapshot_reuse{20};

// A connection for snapshots, and the one that it may still hold open: as long as nothing has been
// committed since, the next look is the same look, and costs no locks of the file.
struct reader {
    std::unique_ptr<connection> c;
    unsigned generation = 0;
    bool open = false;
    std::uint64_t commits = 0;  // counted before it was opened: it shows at least these
    std::chrono::steady_clock::time_point since{};
    log_position position{};

    void end() {
        if (!open) return;
        open = false;
        query(*c, "COMMIT").run();
    }
};

// Connections for snapshots. THREAD: any.
class reader_pool {
  public:
    explicit reader_pool(const settings& s) : settings_(s) {}

    using lease = reader;
    lease take() {
        {
            const std::lock_guard lock(mutex_);
            if (!idle_.empty()) {
                lease l = std::move(idle_.back());
                idle_.pop_back();
                return l;
            }
        }
        const unsigned generation = [this] {
            const std::lock_guard lock(mutex_);
            return generation_;
        }();
        lease l;
        l.c = std::make_unique<connection>(settings_);
        l.generation = generation;
        return l;
    }
    void give_back(lease l) {
        const std::lock_guard lock(mutex_);
        if (l.generation == generation_ && idle_.size() < idle_readers)
            idle_.push_back(std::move(l));
    }
    // Snapshots that nobody looks at are ended: the WAL is about to be moved.
    void rest() {
        const std::lock_guard lock(mutex_);
        for (auto at = idle_.begin(); at != idle_.end();) {
            try {
                at->end();
                ++at;
            } catch (const store_error&) {
                at = idle_.erase(at);
            }
        }
    }
    // What is open is closed when it comes back.
    void forget() {
        const std::lock_guard lock(mutex_);
        ++generation_;
        idle_.clear();
    }

  private:
    settings settings_;
    std::mutex mutex_;
    std::vector<reader> idle_;
    unsigned generation_ = 0;
};

bool is_of_index(int code) {
    return code == SQLITE_IOERR_SHMSIZE || code == SQLITE_IOERR_SHMMAP ||
           code == SQLITE_IOERR_SHMOPEN || code == SQLITE_IOERR_SHMLOCK;
}

// The writer's connection: its commits hand the log on as a whole, where each of them syncs it.
settings for_writing(settings s) {
    if (s.synchronous == "FULL" || s.synchronous == "EXTRA")
        if (auto gathering = gathering_vfs(s.vfs); !gathering.empty()) s.vfs = std::move(gathering);
    return s;
}

class sqlite_backend final : public engine::backend {
  public:
    sqlite_backend(settings s, file_lock lock)
        : settings_(std::move(s)), lock_(std::move(lock)), pool_(settings_), checks_(settings_) {}

    // Once, before anything else.
    void open(const store_options& options) {
        c_ = std::make_unique<connection>(for_writing(settings_));
        if (sqlite3_db_readonly(c_->handle(), "main") == 1)
            throw store_error{{errc::store_read_only, settings_.path + ": opened read-only"}};
        const int version = check_owner(*c_, settings_.path);
        c_->exec("PRAGMA journal_mode=WAL");
        migrate(*c_, version);
        watch_wal();
        // What a migration has written is not the first decision's to wait for.
        if (version != 0 && version != newest_schema)
            sqlite3_wal_checkpoint_v2(c_->handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr,
                                      nullptr);
        settle_history(version == 0, options);
        committed_ = read_position(*c_);
        leave_witness();
    }

    void begin(wall_time now) override {
        if (!c_) reopen();
        position_ = committed_;
        query(*c_, "BEGIN IMMEDIATE").run();
        seen_.clear();
        view_.emplace(*c_, position_, now, &seen_);
    }
    const rows& view() const override { return *view_; }
    engine::positions last() const override {
        return {position_.head,
                mission_row{position_.last_mission},
                stream_row{position_.last_stream},
                position_.last_audit,
                position_.last_cascade,
                position_.last_report};
    }
    void commit(const std::string& batch_id) override {
        view_.reset();
        position_.last_batch = batch_id;
        write_position(*c_, position_);
        try {
            query(*c_, "COMMIT").run();
        } catch (store_error& e) {
            // The shared index grows after the log was synced: the commit may be in it all the
            // same, whatever there was no room for.
            if (is_of_index(sqlite3_extended_errcode(c_->handle()))) e.what.code = errc::io_error;
            throw;
        }
        commits_.fetch_add(1);  // before anybody is told
        const bool appended = committed_.head != position_.head;
        committed_ = position_;
        if (appended) leave_witness();
    }
    void rollback() noexcept override {
        view_.reset();
        if (!c_) return;
        // A connection that cannot even roll back is not used again.
        if (sqlite3_get_autocommit(c_->handle()) == 0 &&
            sqlite3_exec(c_->handle(), "ROLLBACK", nullptr, nullptr, nullptr) != SQLITE_OK)
            return c_.reset();
        forget_gathered(c_->handle());
    }

    bool recover(const std::string& batch_id) override {
        rollback();
        c_.reset();
        commits_.fetch_add(1);  // perhaps
        pool_.forget();
        checks_.reopen();
        reopen();
        if (committed_.last_batch != batch_id) return false;
        // After a failed fsync the page cache may show what the disk does not hold. Copied into the
        // database and synced anew, it is durable.
        int in_log = 0, copied = 0;
        const int code = sqlite3_wal_checkpoint_v2(c_->handle(), nullptr, SQLITE_CHECKPOINT_FULL,
                                                   &in_log, &copied);
        if (code != SQLITE_OK) c_->fail(code);
        return true;
    }

    std::optional<engine::mission_head> head_of(mission_row row) const override {
        if (const auto seen = seen_.find(row); seen != seen_.end())
            return engine::mission_head{seen->second.issuer, seen->second.bucket,
                                        seen->second.version};
        return sqlite::head_of(*c_, row);
    }
    bool has_issuer(issuer_id id) const override { return sqlite::has_issuer(*c_, id); }
    bool has_mission(issuer_id issuer, std::string_view id) const override {
        return sqlite::has_mission(*c_, issuer, id);
    }
    bool has_authority(mission_row row, std::int64_t revision) const override {
        return sqlite::has_authority(*c_, row, revision);
    }
    bool has_stream(stream_row row) const override { return sqlite::has_stream(*c_, row); }
    bool has_stream_id(issuer_id issuer, std::string_view id) const override {
        return sqlite::has_stream_id(*c_, issuer, id);
    }
    std::optional<bulk_job> bulk_job_of(std::int64_t id) const override {
        return sqlite::bulk_job_of(*c_, id);
    }
    engine::audit_head audit_head_of(issuer_id issuer) const override {
        return sqlite::audit_head_of(*c_, issuer);
    }

    issuer_id put_issuer(std::string_view url) override { return sqlite::put_issuer(*c_, url); }
    void insert_mission(const mission_record& r,
                        const std::vector<std::string>& resources) override {
        position_.last_mission = static_cast<std::int64_t>(r.row);
        sqlite::insert_mission(*c_, r, resources);
    }
    void put_resources(mission_row row, const std::vector<std::string>& resources) override {
        sqlite::put_resources(*c_, row, resources);
    }
    void put_state(const mission_state& s, const engine::mission_head& head, bool is_new) override {
        const auto deadline = deadline_of(s);
        const auto seen = seen_.find(s.row);
        const bool moved = seen == seen_.end() || seen->second.deadline != deadline;
        sqlite::put_state(*c_, s, head, is_new, moved);
        seen_[s.row] = {head.issuer, head.bucket, s.version, deadline};
    }
    void put_quiet(const mission_state& s) override { sqlite::put_quiet(*c_, s); }
    void append_version(const mission_version& v) override { sqlite::append_version(*c_, v); }
    void put_cascade(const cascade& m) override {
        position_.last_cascade = std::max(position_.last_cascade, m.id);
        sqlite::put_cascade(*c_, m);
    }
    void erase_cascade(mission_row row) override { sqlite::erase_cascade(*c_, row); }
    void append_audit(const audit_entry& e, mission_row of) override {
        position_.last_audit = e.seq;
        sqlite::append_audit(*c_, e, of);
    }
    void put_audit_head(issuer_id issuer, std::string_view hash) override {
        sqlite::put_audit_head(*c_, issuer, hash);
    }
    void put_bulk_job(const bulk_job& j) override { sqlite::put_bulk_job(*c_, j); }
    void put_bulk_member(const bulk_member& m) override { sqlite::put_bulk_member(*c_, m); }
    void remove_bulk_job(std::int64_t id) override { sqlite::remove_bulk_job(*c_, id); }
    void put_report(const report& r) override {
        position_.last_report = std::max(position_.last_report, r.id);
        sqlite::put_report(*c_, r);
    }
    void put_waiting(const waiting_transition& w, issuer_id issuer) override {
        sqlite::put_waiting(*c_, w, issuer);
    }
    void erase_waiting(mission_row row, std::int64_t version) override {
        sqlite::erase_waiting(*c_, row, version);
    }
    void insert_authority(mission_row row, issuer_id issuer, std::int64_t revision,
                          std::string_view text) override {
        sqlite::insert_authority(*c_, row, issuer, revision, text);
    }
    void append(const signal& s) override {
        sqlite::append(*c_, s);
        position_.head = s.seq;
        position_.last_commit = s.committed_at;
    }
    void put_nonce(const nonce_record& n) override { sqlite::put_nonce(*c_, n); }
    void insert_stream(const stream& s) override {
        position_.last_stream = static_cast<std::int64_t>(s.row);
        sqlite::insert_stream(*c_, s);
    }
    void update_stream(const stream& s) override { sqlite::update_stream(*c_, s); }
    void remove_stream(stream_row row, wall_time now) override {
        sqlite::remove_stream(*c_, row, position_.head, now);
    }
    void put_epoch(const stream_epoch& e) override {
        sweep_.written = true;
        sqlite::put_epoch(*c_, e);
    }
    void put_cursor(const cursor& k) override { sqlite::put_cursor(*c_, k); }
    void put_exception(const exception& e) override { sqlite::put_exception(*c_, e); }
    void erase_exception(stream_row row, seq_t seq) override {
        sqlite::erase_exception(*c_, row, seq);
    }
    void put_stream_event(const stream_event& e) override { sqlite::put_stream_event(*c_, e); }
    void erase_stream_event(stream_row row, std::string_view jti) override {
        sqlite::erase_stream_event(*c_, row, jti);
    }
    void put_subject(const stream_subject& s) override { sqlite::put_subject(*c_, s); }
    void put_routed(issuer_id issuer, seq_t seq) override { sqlite::put_routed(*c_, issuer, seq); }
    bool trim_step(seq_t until, wall_time now, std::size_t limit) override {
        return sqlite::trim_step(*c_, position_, sweep_, until, now, limit);
    }

    bool tidy(bool idle) noexcept override {
        if (!c_ || wal_pages_ < wal_pages_idle) return false;
        pool_.rest();
        if (idle) {
            // Nobody waits for the writer now; but it does not wait for a reader either. The file
            // keeps its size (at most journal_size_limit): to write over what is there costs less
            // than to write where the file system has nothing yet.
            sqlite3_busy_timeout(c_->handle(), 0);
            const int code = sqlite3_wal_checkpoint_v2(c_->handle(), nullptr,
                                                       SQLITE_CHECKPOINT_RESTART, nullptr, nullptr);
            sqlite3_busy_timeout(c_->handle(), settings_.busy_timeout_ms);
            if (code == SQLITE_OK) wal_pages_ = 0;
            return code == SQLITE_BUSY;
        }
        if (wal_pages_ >= wal_pages_limit)
            sqlite3_wal_checkpoint_v2(c_->handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr,
                                      nullptr);
        else if (wal_pages_ >= wal_pages_wake)
            checks_.wake();
        return true;
    }

    void snapshot(wall_time now, const std::function<void(const rows&)>& fn) override {
        // What throws takes the connection with it: it is closed with its transaction.
        auto lease = pool_.take();
        connection& c = *lease.c;
        const auto commits = commits_.load();
        const auto moment = std::chrono::steady_clock::now();
        if (lease.open && (lease.commits != commits || moment - lease.since > snapshot_reuse))
            lease.end();
        if (!lease.open) {
            query(c, "BEGIN").run();
            lease.open = true;
            lease.commits = commits;
            lease.since = moment;
            lease.position = read_position(c);  // from here on it stands still
        }
        fn(sqlite_rows(c, lease.position, now));
        // Outdated already, as under writing it always is: not kept open for nothing.
        if (commits_.load() != commits) lease.end();
        pool_.give_back(std::move(lease));
    }

  private:
    // Before anything is answered from it: is this the store that was left here?
    void settle_history(bool is_new, const store_options& options) {
        const auto identity = file_identity(settings_.path);
        std::optional<std::string> why;
        if (!is_new) why = why_a_copy(*c_, identity, parse_witness(lock_.read()));
        if (!why && options.declared_restored) why = "the operator says that it was restored";
        if (!why) return note_identity(*c_, identity);
        const auto now = options.time ? options.time->now() : system_clock().now();
        // The witness first: who dies in between begins it again, and who dies after it does not.
        const auto log_epoch = jose::random_id(16);
        lock_.write(to_text({log_epoch, read_position(*c_).head}));
        begin_history(*c_, log_epoch, identity, *why, now);
        if (options.on_new_history) {
            const auto p = read_position(*c_);
            options.on_new_history({*why, p.log_epoch, p.head});
        }
    }

    // What this place has seen, also when the file is overwritten by an older one.
    void leave_witness() const noexcept {
        lock_.write(to_text({committed_.log_epoch, committed_.head}));
    }

    void reopen() {
        c_ = std::make_unique<connection>(for_writing(settings_));
        watch_wal();
        try {
            committed_ = read_position(*c_);
        } catch (const store_error&) {
            c_.reset();
            throw;
        }
    }

    void watch_wal() {
        sqlite3_wal_hook(
            c_->handle(),
            [](void* self, sqlite3*, const char*, int pages) {
                static_cast<sqlite_backend*>(self)->wal_pages_ = pages;
                return SQLITE_OK;
            },
            this);
    }

    settings settings_;
    file_lock lock_;  // let go after every connection is closed
    reader_pool pool_;
    checkpointer checks_;
    std::unique_ptr<connection> c_;  // the writer's
    log_position committed_, position_;
    epoch_sweep sweep_;
    std::optional<sqlite_rows> view_;
    mutable seen_missions seen_;  // of the batch
    int wal_pages_ = 0;
    std::atomic<std::uint64_t> commits_{0};
};

bool known_synchronous(std::string_view s) {
    return s == "OFF" || s == "NORMAL" || s == "FULL" || s == "EXTRA";
}

}  // namespace

result<std::unique_ptr<engine::backend>> open_backend(const std::string& path,
                                                      const store_options& options) {
    if (!known_synchronous(options.sqlite_synchronous))
        return error(errc::bad_configuration, "synchronous is OFF, NORMAL, FULL or EXTRA");
    // Nobody asks SQLite how much it has taken, and counting it is a lock that all threads share at
    // every allocation. In vain where SQLite has been in use before: then it counts.
    static const int uncounted = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    (void)uncounted;
    auto lock = prepare_file(path);
    if (!lock) return lock.error();
    if (auto r = refuse_strange_log(path); !r) return r.error();
    settings s{path, options.sqlite_vfs, options.sqlite_synchronous,
               static_cast<int>(options.busy_timeout.count())};
    try {
        auto tables = std::make_unique<sqlite_backend>(std::move(s), std::move(*lock));
        tables->open(options);
        return std::unique_ptr<engine::backend>(std::move(tables));
    } catch (const store_error& e) {
        return e.what;
    }
}

}  // namespace mission::store::sqlite
