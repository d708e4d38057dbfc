#include "store/engine/writer.hpp"

#include <algorithm>
#include <exception>
#include <iterator>
#include <utility>

#include "base/crash_point.hpp"
#include "base/limits.hpp"
#include "jose/digest.hpp"

namespace mission::store::engine {
namespace {

using namespace std::chrono_literals;

constexpr auto unknown_patience = 5s;  // how long a batch may wait for its outcome
constexpr auto reopen_first = 10ms;    // back-off between attempts to open again
constexpr auto reopen_max = 1000ms;
constexpr auto probe_interval = 500ms;  // while broken and idle: does it write again?
constexpr auto tidy_after = 300ms;      // idle for so long: tidy up
// Housekeeping has time while there are steps, which somebody waits for.
constexpr unsigned steps_before_job = 8;

// What a caller sees of a failed transaction.
error as_answer(const error& e) {
    switch (e.code) {
        case errc::store_full:
        case errc::store_read_only:
        case errc::store_locked:
        case errc::store_corrupt:
        case errc::outcome_unknown:
            return e;
        default:
            return {errc::store_unavailable, e.detail};
    }
}

// A COMMIT that failed so has certainly not happened, and trying again at once is in vain.
// (Backends report a failed sync as io_error, whatever its cause.)
bool is_certain(errc c) {
    return c == errc::store_full || c == errc::store_read_only;
}

}  // namespace

writer::writer(backend& tables, const clock& time)
    : tables_(tables), time_(time), thread_([this] { loop(); }) {}

writer::~writer() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
}

void writer::submit(decision d, completion done) {
    enqueue(&writer::queue_, std::move(d), std::move(done));
}

void writer::submit_step(decision d, completion done) {
    enqueue(&writer::steps_, std::move(d), std::move(done));
}

void writer::enqueue(std::deque<item> writer::*which, decision d, completion done) {
    {
        std::unique_lock lock(mutex_);
        auto& queue = this->*which;
        const char* why = settling_ ? "the outcome of a commit is being looked up"
                          : queue.size() >= limits::queued_decisions ? "too many decisions wait"
                                                                     : nullptr;
        if (!why) {
            queue.push_back({std::move(d), std::move(done)});
            if (queue.size() == 1) wake_.notify_one();
            return;
        }
        lock.unlock();
        done(error(errc::store_unavailable, why));
    }
}

void writer::run_steps(step_function step, std::function<void(result<void>)> done) {
    const std::lock_guard lock(mutex_);
    jobs_.push_back({std::move(step), std::move(done)});
    wake_.notify_one();
}

void writer::set_listener(commit_listener listener) {
    const std::lock_guard lock(mutex_);
    listener_ = std::make_shared<const commit_listener>(std::move(listener));
}

void writer::set_mark_listener(std::function<void()> listener) {
    const std::lock_guard lock(mutex_);
    mark_listener_ = std::make_shared<const std::function<void()>>(std::move(listener));
}

result<void> writer::health() const {
    const std::lock_guard lock(mutex_);
    if (broken_) return *broken_;
    return {};
}

void writer::set_health(std::optional<error> e) {
    const std::lock_guard lock(mutex_);
    broken_ = std::move(e);
}

void writer::wait_for_work(std::unique_lock<std::mutex>& lock) {
    const auto ready = [this] { return stopping_ || !idle(); };
    while (!ready()) {
        if (broken_) {
            if (wake_.wait_for(lock, probe_interval, ready)) return;
            lock.unlock();
            probe();
            lock.lock();
        } else if (untidy_) {
            if (wake_.wait_for(lock, tidy_after, ready)) return;
            lock.unlock();
            untidy_ = tables_.tidy(true);
            lock.lock();
        } else {
            wake_.wait(lock, ready);
        }
    }
}

void writer::loop() {
    std::unique_lock lock(mutex_);
    for (;;) {
        wait_for_work(lock);
        if (idle()) return;  // stopping
        std::vector<item> items;
        while (!queue_.empty() && items.size() < limits::batch_decisions) {
            items.push_back(std::move(queue_.front()));
            queue_.pop_front();
        }
        // Of what is large, one thing: the next decision waits for no more. Taken when the batch is
        // over: should its outcome be unknown, what waits is answered where it waits.
        const bool large = !jobs_.empty() || !steps_.empty();
        if (!items.empty()) {
            lock.unlock();
            run_batch(std::move(items));
            lock.lock();
        }
        std::vector<item> step;
        std::optional<job> next;
        // A full disk may have room again once the log is trimmed.
        const bool job_next = steps_.empty() || steps_taken_ >= steps_before_job || broken_;
        if (large && !jobs_.empty() && job_next) {
            steps_taken_ = 0;
            next = std::move(jobs_.front());
            jobs_.pop_front();
        } else if (large && !steps_.empty()) {
            ++steps_taken_;
            step.push_back(std::move(steps_.front()));
            steps_.pop_front();
        }
        lock.unlock();
        if (!step.empty()) run_batch(std::move(step));
        if (next) run_job(std::move(*next));
        untidy_ = tables_.tidy(false);
        lock.lock();
    }
}

batch writer::open_batch() {
    batch b;
    b.id = jose::random_id(12);
    tables_.begin(time_.now());
    // The log's time never runs backwards, whatever the clock does.
    b.now = std::max(time_.now(), tables_.view().last_commit());
    b.last = tables_.last();
    return b;
}

result<receipt> writer::run_one(const item& i, batch& b) {
    result<changes> wanted = errc::store_unavailable;
    try {
        wanted = i.decide(tables_.view(), b.now);
    } catch (const std::exception& e) {
        // A decision's own fault: its caller is told, its neighbours are not touched.
        return error(errc::store_unavailable, std::string("a decision failed: ") + e.what());
    }
    if (!wanted) return wanted.error();
    return apply(std::move(*wanted), tables_, b);
}

void writer::run_batch(std::vector<item> items) {
    for (int attempt = 0;; ++attempt) {
        std::vector<result<receipt>> outcomes;
        outcomes.reserve(items.size());
        batch b;
        try {
            b = open_batch();
            for (const auto& i : items)
                outcomes.push_back(run_one(i, b));
        } catch (const store_error& e) {
            tables_.rollback();
            set_health(e.what);
            return fail(items, as_answer(e.what));
        }
        if (!b.dirty) {
            tables_.rollback();
        } else {
            try {
                finish(tables_, b);
                tables_.commit(b.id);
                set_health(std::nullopt);
            } catch (const store_error& e) {
                set_health(e.what);
                if (is_certain(e.what.code)) {
                    tables_.rollback();
                    return fail(items, as_answer(e.what));
                }
                const auto how = settle(b, items);
                if (how == settled::given_up) return;
                if (how == settled::absent) {
                    if (attempt == 0) continue;
                    return fail(items, as_answer(e.what));
                }
                set_health(std::nullopt);
            }
            crash_point("commit_answer");
        }
        for (std::size_t i = 0; i < items.size(); ++i)
            items[i].done(std::move(outcomes[i]));
        return publish(b);
    }
}

writer::settled writer::settle(const batch& b, std::vector<item>& items) {
    std::unique_lock lock(mutex_);
    settling_ = true;
    const auto patience_ends = std::chrono::steady_clock::now() + unknown_patience;
    std::chrono::milliseconds pause = reopen_first;
    bool answered = false;
    settled how = settled::given_up;
    for (;;) {
        const bool last_try = stopping_;
        lock.unlock();
        std::optional<bool> there;
        try {
            there = tables_.recover(b.id);
        } catch (const store_error& e) {
            set_health(e.what);
        }
        if (there) {
            how = *there ? settled::committed : settled::absent;
            lock.lock();
            break;
        }
        if (last_try || std::chrono::steady_clock::now() >= patience_ends) {
            if (!answered) fail(items, {errc::outcome_unknown, "the commit's outcome is unknown"});
            answered = true;
            fail_queue({errc::store_unavailable, "the store cannot be opened again"});
        }
        lock.lock();
        if (last_try) break;
        wake_.wait_for(lock, pause, [this] { return stopping_; });
        pause = std::min<std::chrono::milliseconds>(pause * 2, reopen_max);
    }
    settling_ = false;
    lock.unlock();
    if (!answered) return how;
    // Its callers have been told that nobody knows; its signals are in the log all the same.
    if (how == settled::committed) {
        batch late = b;
        set_health(std::nullopt);
        publish(late);
    }
    return settled::given_up;
}

void writer::publish(batch& b) {
    if (b.signals.empty() && !b.marked) return;
    std::shared_ptr<const commit_listener> listener;
    std::shared_ptr<const std::function<void()>> mark_listener;
    {
        const std::lock_guard lock(mutex_);
        listener = listener_;
        mark_listener = mark_listener_;
    }
    if (b.marked && mark_listener && *mark_listener) (*mark_listener)();
    if (b.signals.empty()) return;
    if (listener && *listener)
        (*listener)(std::make_shared<const std::vector<signal>>(std::move(b.signals)));
}

void writer::fail(std::vector<item>& items, const error& why) {
    for (auto& i : items)
        i.done(why);
    items.clear();
}

void writer::fail_queue(const error& why) {
    std::deque<item> waiting;
    {
        const std::lock_guard lock(mutex_);
        waiting.swap(queue_);
        std::move(steps_.begin(), steps_.end(), std::back_inserter(waiting));
        steps_.clear();
    }
    for (auto& i : waiting)
        i.done(why);
}

void writer::run_job(job j) {
    batch b;
    bool finished = false;
    try {
        b = open_batch();
        finished = j.step(tables_, b.now);
    } catch (const store_error& e) {
        tables_.rollback();
        set_health(e.what);
        return j.done(as_answer(e.what));
    }
    try {
        tables_.commit(b.id);
        set_health(std::nullopt);
    } catch (const store_error& e) {
        set_health(e.what);
        // Steps can be repeated, so an unknown outcome is as good as a failed one.
        std::vector<item> nobody;
        if (is_certain(e.what.code))
            tables_.rollback();
        else
            settle(b, nobody);
        return j.done(as_answer(e.what));
    }
    if (finished) return j.done({});
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(j));
}

void writer::probe() {
    run_job({[](backend&, wall_time) { return true; }, [](const result<void>&) {}});
}

}  // namespace mission::store::engine
