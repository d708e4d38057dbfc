#include "receiver/state/state.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "base/crash_point.hpp"
#include "base/limits.hpp"
#include "receiver/state/file_lock.hpp"
#include "receiver/state/mission_rows.hpp"
#include "receiver/state/rows.hpp"
#include "receiver/state/state_file.hpp"

namespace mission::receiver {
namespace {

constexpr auto retry_after = std::chrono::milliseconds(200);
constexpr std::size_t lines_waiting = 256;

struct unit {
    state_write write;
    std::function<void(result<void>)> answered;
    std::function<void()> committed;
};

class sqlite_state final : public state {
  public:
    sqlite_state(std::string path, file_lock lock, std::function<void(std::string)> on_problem)
        : path_(std::move(path)), on_problem_(std::move(on_problem)), lock_(std::move(lock)) {}
    ~sqlite_state() override { stop(); }

    // `made`: the file was not there before.
    result<void> open(bool made) {
        auto c = open_connections(path_, on_problem_);
        if (c.has_error()) return c.error();
        c->lost = c->lost && !made;
        auto r = use(std::move(*c));
        // Its tables are not those that its schema number says.
        return r.has_error() && is_damage(r.error()) ? replace(r.error()) : r;
    }

    result<state_snapshot> load() override {
        auto s = load_once();
        if (s.has_error() && is_damage(s.error())) {
            if (auto r = replace(s.error()); r.has_error()) return r.error();
            {
                // Done: the writer thread need not.
                std::lock_guard lock(m_);
                damaged_.reset();
            }
            s = load_once();
        }
        // The connection belongs to the writer thread from here on.
        if (s.has_value() && !writer_.joinable()) writer_ = std::thread([this] { run(); });
        return s;
    }

    result<std::optional<record>> read(const mission_key& key) override {
        return reading<std::optional<record>>([&](mission_reader& r) { return r.read(key); });
    }
    result<std::size_t> each(row_place& after, std::size_t limit, bool brief,
                             const std::function<void(const record&)>& fn) override {
        return reading<std::size_t>(
            [&](mission_reader& r) { return r.each(after, limit, brief, fn); });
    }
    result<std::vector<mission_key>> in_doubt(std::size_t limit) override {
        return reading<std::vector<mission_key>>(
            [&](mission_reader& r) { return r.in_doubt(limit); });
    }
    void found_damaged(error why) override {
        std::lock_guard lock(m_);
        if (!damaged_) damaged_ = std::move(why);
        wake_.notify_one();
    }
    void when_lost(std::function<void()> fn) override {
        std::lock_guard lock(m_);
        when_lost_ = std::move(fn);
    }

    void submit(state_write write, std::function<void(result<void>)> answered,
                std::function<void()> committed) override {
        std::lock_guard lock(m_);
        if (stopping_) return;
        queue_.push_back({std::move(write), std::move(answered), std::move(committed)});
        if (due()) wake_.notify_one();
    }

    void begin_gathering() override {
        std::lock_guard lock(m_);
        ++gathering_;
    }
    void end_gathering() override {
        std::lock_guard lock(m_);
        --gathering_;
        if (due()) wake_.notify_one();
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
    // Under the lock: there is something to write, and no more is on its way.
    bool due() const noexcept {
        return !queue_.empty() &&
               (gathering_ == 0 || queue_.size() >= limits::state_units_per_commit);
    }

    void run() {
        std::deque<unit> batch;
        std::unique_lock lock(m_);
        for (;;) {
            wake_.wait(lock, [&] { return stopping_ || damaged_ || due() || !said_.empty(); });
            if (!said_.empty()) {
                const auto said = std::exchange(said_, {});
                lock.unlock();
                tell(said);
                lock.lock();
                continue;
            }
            if (damaged_ && !stopping_) {
                lock.unlock();
                const bool mended = mend();
                lock.lock();
                if (!mended) wake_.wait_for(lock, retry_after, [&] { return stopping_; });
                continue;
            }
            if (queue_.empty()) return;
            if (queue_.size() <= limits::state_units_per_commit) batch.swap(queue_);
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
            if (is_damage(r.error())) {
                damaged_ = r.error();
                continue;
            }
            wake_.wait_for(lock, retry_after, [&] { return stopping_; });
        }
    }

    void answer(std::deque<unit>& batch, const result<void>& r) {
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

    result<void> commit(const std::deque<unit>& batch) {
        // In memory there is one connection for all.
        std::unique_lock alone(reading_, std::defer_lock);
        if (!reader_db_) alone.lock();
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

    // ------------------------------------------------------------------------ the connections
    result<void> use(state_connections c) {
        auto rows = state_rows::prepare(c.writer.get());
        if (rows.has_error()) return rows.error();
        auto reader = mission_reader::prepare(
            c.reader ? c.reader.get() : c.writer.get(), [this](const mission_key& key) {
                say("a row of the state is damaged: mission " + key.id +
                    " is denied until Status has spoken");
            });
        if (reader.has_error()) return reader.error();
        // Statements go before their connections.
        rows_ = std::move(*rows);
        reader_ = std::move(*reader);
        db_ = std::move(c.writer);
        reader_db_ = std::move(c.reader);
        lost_ = lost_ || c.lost;
        return {};
    }

    // For whoever reads: it may hold locks, and the host's log function may call us. Told on the
    // writer thread.
    void say(std::string text) {
        std::lock_guard lock(m_);
        if (said_.size() >= lines_waiting) return;  // of a damaged file the first rows are enough
        said_.push_back(std::move(text));
        wake_.notify_one();
    }

    // With no lock held.
    void tell(const std::vector<std::string>& said) const {
        if (!on_problem_) return;
        for (const auto& text : said)
            on_problem_(text);
    }

    // The file is damaged: another one takes its place.
    result<void> replace(const error& why) {
        std::vector<std::string> said;
        auto r =
            replace_quietly(why, [&said](std::string text) { said.push_back(std::move(text)); });
        known_again();
        tell(said);
        return r;
    }

    void known_again() {
        const std::lock_guard alone(reading_);
        untold_ = false;
    }

    result<void> replace_quietly(const error& why, const std::function<void(std::string)>& say) {
        const std::lock_guard alone(reading_);
        untold_ = true;
        rows_ = {};
        reader_ = {};
        reader_db_.reset();
        db_.reset();
        auto c = replace_damaged(path_, why.message(), say);
        // It was moved, and there was no making of a new one: next time there is none to move.
        if (c.has_error()) c = open_connections(path_, say);
        if (c.has_error()) return c.error();
        c->lost = true;
        return use(std::move(*c));
    }

    // On the writer thread. What waits is written to the new file, and after it what the engine
    // has in memory.
    bool mend() {
        std::vector<std::string> said;
        const auto r = replace_quietly(
            *damaged_, [&said](std::string text) { said.push_back(std::move(text)); });
        if (r.has_error()) {
            tell(said);
            if (healthy_ && on_problem_)
                on_problem_("state cannot be replaced: " + r.error().message());
            healthy_ = false;
            return false;
        }
        std::function<void()> lost;
        {
            std::lock_guard lock(m_);
            damaged_.reset();
            lost = when_lost_;
        }
        // First: until then who has no row is taken for one that was never known.
        if (lost) lost();
        known_again();
        tell(said);
        return true;
    }

    template <class T, class Fn>
    result<T> reading(Fn&& fn) {
        result<T> r = error{errc::store_unavailable, "the state is being replaced"};
        {
            const std::lock_guard alone(reading_);
            if (db_ && !untold_) r = fn(reader_);
        }
        if (r.has_error() && is_damage(r.error())) found_damaged(r.error());
        return r;
    }

    result<state_snapshot> load_once() {
        auto s = state_rows::load(db_.get());
        if (s.has_error()) return s;
        const auto any = reading<bool>([](mission_reader& r) -> result<bool> { return r.any(); });
        if (any.has_error()) return any.error();
        s->missions_stored = *any;
        s->rebuilt = lost_;
        return s;
    }

    const std::string path_;
    const std::function<void(std::string)> on_problem_;
    std::function<void()> when_lost_;  // under m_
    const file_lock lock_;
    // Destroyed from the last to the first: statements before their connections.
    sqlite::database db_, reader_db_;
    state_rows rows_;
    std::mutex reading_;  // of reader_; taken before m_
    mission_reader reader_;
    bool untold_ = false;  // under reading_: another file is there, and when_lost_ was not called
    bool lost_ = false;
    std::optional<error> damaged_;   // under m_
    std::vector<std::string> said_;  // under m_: for the log
    mutable std::mutex m_;
    std::condition_variable wake_;
    std::deque<unit> queue_;
    int gathering_ = 0;
    bool stopping_ = false;
    bool healthy_ = true;  // writer thread only
    std::thread writer_;
};

}  // namespace

result<std::unique_ptr<state>> open_state(const std::string& path,
                                          std::function<void(std::string)> on_problem) {
    file_lock lock;
    bool made = false;
    if (is_plain_path(path)) {
        // First, so that a path that can be no state is told by its own name.
        const auto file = make_private_file(path);
        if (file.has_error()) return file.error();
        made = *file;
        auto taken = file_lock::take(path);
        if (taken.has_error()) return taken.error();
        lock = std::move(*taken);
    }
    auto s = std::make_unique<sqlite_state>(path, std::move(lock), std::move(on_problem));
    if (auto r = s->open(made); r.has_error()) return r.error();
    return std::unique_ptr<state>(std::move(s));
}

}  // namespace mission::receiver
