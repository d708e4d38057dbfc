#include "receiver/teardown/runner.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <new>
#include <thread>

#include "base/crash_point.hpp"
#include "receiver/freshness/freshness.hpp"
#include "receiver/teardown/run_handler.hpp"
#include "receiver/teardown/task_book.hpp"

namespace mission::receiver {
namespace {

using steady = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr auto may_run_recheck = milliseconds(500);
// Asking about all that is held back again costs so much for each: pokes are taken together.
constexpr auto recheck_first = milliseconds(1);
constexpr auto recheck_each = std::chrono::microseconds(2);
// A handler that ends just now is still heard when we stop.
constexpr auto stop_grace = milliseconds(250);
// Where memory has ended: until it is looked whether there is some again.
constexpr auto no_memory_wait = milliseconds(50);

wall_time wall_now() {
    return to_wall(coarse_now());
}

// Kept alive by the calls that are out: a handler that never returns outlives the receiver.
class core final : public std::enable_shared_from_this<core> {
  public:
    explicit core(random_source& random) : book_(random) {}

    void add_handler(ms::handler_options what, ms::handler run) {
        std::lock_guard lock(m_);
        book_.add_handler(std::move(what), std::move(run));
    }
    const std::vector<ms::handler_options>& handlers() const { return book_.handlers(); }

    void start(task_runner::hooks h) {
        std::lock_guard lock(m_);
        hooks_ = std::move(h);
        scheduler_ = std::thread([self = shared_from_this()] { self->schedule(); });
    }

    std::size_t stop() {
        std::unique_lock lock(m_);
        stopping_ = true;
        changed();
        if (!scheduler_.joinable()) return 0;
        const auto since = steady::now();
        // What is being told is always waited for: it refers to who stops us.
        for (;;) {
            const auto limit = book_.last_limit();
            if (!limit && telling_ == 0 && scheduler_over_) break;
            const auto end = std::max(limit.value_or(since), since) + stop_grace;
            if (steady::now() >= end && telling_ == 0) break;
            idle_.wait_until(lock, std::max(end, steady::now() + milliseconds(10)));
        }
        abandoned_ = true;
        const auto left = book_.running();
        const bool over = scheduler_over_;
        lock.unlock();
        // An executor that runs jobs where it is called has our thread in a handler.
        if (over) {
            scheduler_.join();
        } else {
            scheduler_.detach();
        }
        return left;
    }

    std::vector<task_record> plan(std::vector<task_record> tasks) {
        std::lock_guard lock(m_);
        return book_.plan(std::move(tasks), steady::now());
    }

    void unplan(const std::vector<task_record>& tasks) noexcept {
        if (tasks.empty()) return;
        std::lock_guard lock(m_);
        book_.unplan(tasks);
        changed();
    }

    void release_early(const std::vector<task_record>& tasks) {
        if (tasks.empty()) return;
        std::lock_guard lock(m_);
        book_.release(tasks, steady::now());
        changed();
    }

    void release(const std::vector<task_record>& tasks) {
        if (tasks.empty()) return;  // as most changes: nobody is woken for them
        bool tell = false;
        {
            std::lock_guard lock(m_);
            book_.release(tasks, steady::now());
            changed();
            tell = !abandoned_ && hooks_.cancelled;
        }
        if (!tell) return;
        for (const auto& t : tasks) {
            if (t.cancelled && t.durable) hooks_.cancelled(t);
        }
    }

    void restore(std::vector<task_record> tasks) {
        std::lock_guard lock(m_);
        book_.restore(std::move(tasks), steady::now());
        changed();
    }

    bool retry_now(const std::string& key) {
        std::lock_guard lock(m_);
        const bool known = book_.retry_now(key, steady::now());
        changed();
        return known;
    }

    void poke() {
        std::lock_guard lock(m_);
        if (book_.held_back() == 0 && !asking_) return;
        poked_ = true;
        changed();
    }

    // Any look or change that needs nothing but the books.
    template <class F>
    auto with_book(F&& f) {
        std::lock_guard lock(m_);
        return f(book_);
    }

  private:
    void changed() {
        ++changes_;
        wake_.notify_all();
    }

    void schedule() {
        std::unique_lock lock(m_);
        while (!stopping_) {
            try {
                look(lock);
            } catch (const std::bad_alloc&) {
                // What is due stays so.
                wake_.wait_for(lock, no_memory_wait, [&] { return stopping_; });
            }
        }
        scheduler_over_ = true;
        idle_.notify_all();
    }

    // While it lives the lock is not held, and who stops us waits.
    class telling {
      public:
        telling(core& c, std::unique_lock<std::mutex>& lock) : c_(c), lock_(lock) {
            ++c_.telling_;
            lock_.unlock();
        }
        ~telling() {
            lock_.lock();
            --c_.telling_;
            c_.idle_.notify_all();
        }
        telling(const telling&) = delete;
        telling& operator=(const telling&) = delete;

      private:
        core& c_;
        std::unique_lock<std::mutex>& lock_;
    };

    // Begins what is due, or waits for it.
    void look(std::unique_lock<std::mutex>& lock) {
        const auto seen = changes_;
        const auto now = steady::now();
        const auto timed_out = book_.expire(now, wall_now());
        const auto overdue = book_.overdue();
        const auto spacing = recheck_first + recheck_each * book_.held_back();
        steady::time_point again = asked_ + may_run_recheck;
        if (poked_) again = asked_ + spacing;
        if (book_.held_back() != 0 && again <= now) {
            book_.let_go();
            poked_ = false;
            asked_ = now;
        }
        const auto due = book_.due(now);
        std::vector<bool> may;
        may.reserve(due.size());
        asking_ = !due.empty();
        {
            const telling unlocked(*this, lock);
            for (const auto& t : timed_out)
                tell(t);
            if (hooks_.overdue && overdue != told_overdue_) hooks_.overdue(overdue);
            told_overdue_ = overdue;
            for (const auto& t : due)
                may.push_back(!hooks_.may_run || hooks_.may_run(t));
        }
        asking_ = false;
        if (!due.empty() && !stopping_) return begin_all(lock, due, may);
        auto next = book_.next(now);
        if (book_.held_back() != 0) {
            steady::time_point recheck = asked_ + may_run_recheck;
            if (poked_) recheck = asked_ + recheck_first + recheck_each * book_.held_back();
            next = next ? std::min(*next, recheck) : recheck;
        }
        const auto woken = [&] { return stopping_ || changes_ != seen; };
        if (next) {
            wake_.wait_until(lock, *next, woken);
        } else {
            wake_.wait(lock, woken);
        }
    }

    // Executes without the lock: an executor may run a job where it is called.
    void begin_all(std::unique_lock<std::mutex>& lock, const std::vector<task_record>& due,
                   const std::vector<bool>& may) {
        for (std::size_t n = 0; n < due.size() && !stopping_; ++n) {
            if (!may[n]) {
                book_.hold_back(due[n].key);
                continue;
            }
            auto call = book_.launch(due[n].key, steady::now());
            if (!call) continue;
            lock.unlock();
            execute(std::move(*call));
            lock.lock();
        }
    }

    // A job that an executor lets go without running it: a failed try, not a call for ever.
    struct ticket {
        ticket(std::shared_ptr<core> c, std::uint64_t i) : of(std::move(c)), id(i) {}
        ticket(const ticket&) = delete;
        ticket& operator=(const ticket&) = delete;
        ~ticket() {
            if (!run) of->returned(id, failed("the executor has dropped the job"));
        }
        const std::shared_ptr<core> of;
        const std::uint64_t id;
        std::atomic<bool> run{false};
    };

    static ms::outcome failed(const char* text, const char* what = "") noexcept {
        try {
            return ms::outcome::failed(std::string(text) + what);
        } catch (const std::bad_alloc&) {
            return {ms::outcome_kind::failed, {}};
        }
    }

    void execute(task_book::call c) noexcept {
        const auto id = c.id;
        try {
            auto job = std::make_shared<ticket>(shared_from_this(), id);
            hooks_.execute([job = std::move(job), self = shared_from_this(), c = std::move(c)] {
                job->run = true;
                if (!self->begin(c.id)) return;
                auto o = run_handler(c.run, c.what);
                crash_point("handler_outcome");
                self->returned(c.id, std::move(o));
            });
        } catch (const std::exception& e) {
            returned(id, failed("the executor has thrown: ", e.what()));
        } catch (...) {
            returned(id, failed("the executor has thrown"));
        }
    }

    // The timeout counts from when the handler begins, not from when it was queued.
    bool begin(std::uint64_t id) noexcept {
        std::lock_guard lock(m_);
        if (stopping_) {
            book_.drop(id, steady::now());
            idle_.notify_all();
            return false;
        }
        book_.begun(id, steady::now());
        changed();
        return true;
    }

    void returned(std::uint64_t id, ms::outcome o) {
        std::unique_lock lock(m_);
        if (abandoned_) return;
        const auto r = book_.finish(id, std::move(o), steady::now(), wall_now());
        if (r.told) {
            const telling unlocked(*this, lock);
            tell(*r.told);
        }
        changed();
        idle_.notify_all();
    }

    // What there is no memory to record is tried once more after the next start, as what nobody
    // lived to record.
    void tell(const task_record& t) {
        try {
            if (t.durable && hooks_.record) hooks_.record(t);
            if (hooks_.log) hooks_.log(t);
        } catch (const std::bad_alloc&) {
        }
    }

    task_runner::hooks hooks_;
    mutable std::mutex m_;
    std::condition_variable wake_, idle_;
    task_book book_;
    steady::time_point asked_ = steady::now();  // when all that is held back was asked about
    std::uint64_t changes_ = 0;     // counted so that the scheduler misses none while it works
    std::size_t telling_ = 0;       // who is in hooks
    std::size_t told_overdue_ = 0;  // scheduler only
    bool stopping_ = false, abandoned_ = false, scheduler_over_ = false, poked_ = false,
         asking_ = false;
    std::thread scheduler_;
};

class runner final : public task_runner {
  public:
    explicit runner(random_source& random) : p_(std::make_shared<core>(random)) {}
    ~runner() override { (void)p_->stop(); }

    void add_handler(ms::handler_options what, ms::handler run) override {
        p_->add_handler(std::move(what), std::move(run));
    }
    const std::vector<ms::handler_options>& handlers() const override { return p_->handlers(); }
    void start(hooks h) override { p_->start(std::move(h)); }
    std::size_t stop() override { return p_->stop(); }
    std::vector<task_record> plan(std::vector<task_record> tasks) override {
        return p_->plan(std::move(tasks));
    }
    void unplan(const std::vector<task_record>& tasks) noexcept override { p_->unplan(tasks); }
    void release(const std::vector<task_record>& tasks) override { p_->release(tasks); }
    void release_early(const std::vector<task_record>& tasks) override { p_->release_early(tasks); }
    void restore(std::vector<task_record> tasks) override { p_->restore(std::move(tasks)); }
    std::vector<task_record> cancel(const mission_key& mission, const std::string& name,
                                    const std::string& why) override {
        return p_->with_book([&](task_book& b) { return b.cancel(mission, name, why); });
    }
    bool retry_now(const std::string& key) override { return p_->retry_now(key); }
    void poke() override { p_->poke(); }

    std::vector<task_record> list(bool open_only) const override {
        std::vector<task_record> out;
        for (auto& l : p_->with_book([&](task_book& b) { return b.list(open_only); }))
            out.push_back(std::move(l.task));
        return out;
    }
    std::vector<ms::task_view> views(bool open_only) const override {
        const auto wall = wall_now();
        const auto now = steady::now();
        std::vector<ms::task_view> out;
        for (const auto& l : p_->with_book([&](task_book& b) { return b.list(open_only); })) {
            out.push_back(view_of(l.task));
            out.back().orphaned = l.orphaned;
            out.back().running = l.running;
            if (l.next)
                out.back().next_try =
                    wall + std::chrono::duration_cast<milliseconds>(std::max(*l.next, now) - now);
        }
        return out;
    }
    std::vector<ms::handler_status> status() const override {
        return p_->with_book([](task_book& b) { return b.status(); });
    }
    std::size_t open_count() const override {
        return p_->with_book([](task_book& b) { return b.open_count(); });
    }
    bool has_open(const mission_key& mission, const std::string& name) const override {
        return p_->with_book([&](task_book& b) { return b.has_open(mission, name); });
    }
    bool has_open(const mission_key& mission) const override {
        return p_->with_book([&](task_book& b) { return b.has_open(mission); });
    }
    std::optional<teardown_account> take_closed(const mission_key& mission) override {
        return p_->with_book([&](task_book& b) { return b.take_closed(mission); });
    }
    std::vector<teardown_account> take_slow(milliseconds since_at_least) override {
        return p_->with_book(
            [&](task_book& b) { return b.take_slow(steady::now() - since_at_least); });
    }

  private:
    std::shared_ptr<core> p_;
};

}  // namespace

std::unique_ptr<task_runner> make_task_runner(random_source& random) {
    return std::make_unique<runner>(random);
}

}  // namespace mission::receiver
