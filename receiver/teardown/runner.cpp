#include "receiver/teardown/runner.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "base/crash_point.hpp"
#include "base/limits.hpp"
#include "receiver/freshness/freshness.hpp"
#include "receiver/teardown/plan.hpp"
#include "receiver/teardown/run_handler.hpp"

namespace mission::receiver {
namespace {

using steady = std::chrono::steady_clock;
constexpr unsigned freshness_tries = 5;  // stale and fresh are not durable: given up after these
constexpr auto may_run_recheck = std::chrono::milliseconds(500);

struct item {
    task_record task;
    bool released = false;         // its row is on disk
    bool held_back = false;        // may_run() said no
    bool running = false;          // an attempt is under way and within its timeout
    std::uint64_t attempt_id = 0;  // which attempt, so that a late one is told from the present one
    steady::time_point due{}, started{};
};

struct handler_entry {
    ms::handler_options what;
    ms::handler run;
    unsigned busy = 0;  // calls that have not returned
};

class runner final : public task_runner {
  public:
    explicit runner(random_source& random) : random_(random) {}
    ~runner() override { stop(); }

    void add_handler(ms::handler_options what, ms::handler run) override {
        std::lock_guard lock(m_);
        auto name = what.name;
        handlers_[name] = {std::move(what), std::move(run), 0};
    }

    std::vector<ms::handler_options> handlers() const override {
        std::lock_guard lock(m_);
        std::vector<ms::handler_options> out;
        for (const auto& [name, h] : handlers_)
            out.push_back(h.what);
        return out;
    }

    void start(hooks h) override {
        hooks_ = std::move(h);
        scheduler_ = std::thread([this] { schedule(); });
    }

    void stop() override {
        {
            std::unique_lock lock(m_);
            stopping_ = true;
            wake_.notify_all();
            idle_.wait(lock, [&] { return calls_ == 0; });
        }
        if (scheduler_.joinable()) scheduler_.join();
    }

    std::vector<task_record> plan(std::vector<task_record> tasks) override {
        std::lock_guard lock(m_);
        std::vector<task_record> out;
        for (auto& t : tasks) {
            if (items_.count(t.key) != 0) continue;
            auto& same = lanes_[lane(t)];
            bool forbidden = false;
            for (const auto& key : same)
                forbidden |= forbids(items_.at(key).task, t);
            if (forbidden) continue;
            for (const auto& key : same) {
                auto& other = items_.at(key);
                if (!supersedes(t, other.task)) continue;
                other.task.cancelled = true;
                other.task.evidence = "superseded by " + std::string(ms::name(t.why));
                other.task.updated = t.created;
                if (other.task.durable) out.push_back(other.task);
            }
            // What no transaction will name is not released either: it goes now.
            std::vector<std::string> gone;
            for (const auto& key : same) {
                const auto& other = items_.at(key).task;
                if (other.cancelled && !other.durable) gone.push_back(key);
            }
            same.push_back(t.key);
            if (t.durable) out.push_back(t);
            item i;
            i.task = std::move(t);
            const auto key = i.task.key;
            items_.emplace(key, std::move(i));
            for (const auto& old : gone)
                retire(old);
        }
        return out;
    }

    void release(const std::vector<task_record>& tasks) override {
        std::lock_guard lock(m_);
        for (const auto& t : tasks) {
            auto it = items_.find(t.key);
            if (it == items_.end()) continue;
            it->second.released = true;
            it->second.due = steady::now();
            if (!it->second.task.open()) retire(it->first);
        }
        changed();
    }

    void restore(std::vector<task_record> tasks) override {
        std::vector<task_record> open;
        {
            std::lock_guard lock(m_);
            for (auto& t : tasks) {
                if (t.open()) {
                    open.push_back(std::move(t));
                    continue;
                }
                finished_.push_back(std::move(t));
                if (finished_.size() > limits::finished_tasks_memory) finished_.pop_front();
            }
        }
        release(plan(std::move(open)));
    }

    std::vector<task_record> cancel(const mission_key& mission, const std::string& name,
                                    const std::string& why) override {
        std::lock_guard lock(m_);
        std::vector<task_record> out;
        std::vector<std::string> gone;
        for (auto& [key, i] : items_) {
            if (!i.task.open() || i.task.mission != mission || i.task.name != name) continue;
            if (i.task.name.empty()) continue;  // mission-wide: not the held thing's
            i.task.cancelled = true;
            i.task.evidence = why;
            if (i.task.durable) out.push_back(i.task);
            gone.push_back(key);
        }
        for (const auto& key : gone)
            retire(key);
        return out;
    }

    bool retry_now(const std::string& key) override {
        std::lock_guard lock(m_);
        auto it = items_.find(key);
        if (it == items_.end() || !it->second.task.open()) return false;
        it->second.due = steady::now();
        changed();
        return true;
    }

    void poke() override {
        std::lock_guard lock(m_);
        changed();
    }

    std::vector<task_record> list(bool open_only) const override {
        std::lock_guard lock(m_);
        std::vector<task_record> out;
        if (!open_only) out.assign(finished_.begin(), finished_.end());
        for (const auto& [key, i] : items_) {
            if (!open_only || i.task.open()) out.push_back(i.task);
        }
        std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
            return std::tie(a.created, a.version, a.key) < std::tie(b.created, b.version, b.key);
        });
        return out;
    }

    std::size_t open_count() const override {
        std::lock_guard lock(m_);
        return static_cast<std::size_t>(std::count_if(
            items_.begin(), items_.end(), [](const auto& p) { return p.second.task.open(); }));
    }

    bool has_open(const mission_key& mission, const std::string& name) const override {
        std::lock_guard lock(m_);
        return std::any_of(items_.begin(), items_.end(), [&](const auto& p) {
            const auto& t = p.second.task;
            return t.open() && t.mission == mission && t.name == name;
        });
    }

  private:
    void changed() {
        ++changes_;
        wake_.notify_all();
    }

    // Mission and held name alone would let a slow handler delay another one's work.
    using lane_key = std::tuple<std::string, mission_key, std::string>;
    static lane_key lane(const task_record& t) { return {t.handler, t.mission, t.name}; }

    // Under the lock. That nothing follows a terminal task is the engine's: a mission that is over
    // has no further effects.
    void retire(const std::string& key) {
        auto it = items_.find(key);
        if (it == items_.end() || it->second.running || it->second.task.open()) return;
        auto l = lanes_.find(lane(it->second.task));
        if (l != lanes_.end()) {
            std::erase(l->second, key);
            if (l->second.empty()) lanes_.erase(l);
        }
        if (it->second.task.durable) {
            finished_.push_back(std::move(it->second.task));
            if (finished_.size() > limits::finished_tasks_memory) finished_.pop_front();
        }
        items_.erase(it);
    }

    // Under the lock: an earlier open task of the lane, or one that still runs, goes first.
    bool is_first(const item& i) const {
        for (const auto& key : lanes_.at(lane(i.task))) {
            if (key == i.task.key) return true;
            const auto& other = items_.at(key);
            // A resume that waits for freshness does not stop the pause that staleness asks for.
            if (other.running || (other.task.open() && !other.held_back)) return false;
        }
        return true;
    }

    void schedule() {
        std::unique_lock lock(m_);
        while (!stopping_) {
            const auto seen = changes_;
            const auto now = steady::now();
            auto next = now + std::chrono::hours(1);
            std::vector<std::string> due;
            for (auto& [key, i] : items_) {
                if (!i.released) continue;
                auto h = handlers_.find(i.task.handler);
                if (h == handlers_.end()) continue;  // kept until a host registers it again
                if (i.running) {
                    const auto limit = i.started + h->second.what.timeout;
                    if (limit <= now) {
                        time_out(i, h->second);
                        next = std::min(next, i.due);
                    } else {
                        next = std::min(next, limit);
                    }
                    continue;
                }
                if (!i.task.open()) continue;
                if (i.due > now) {
                    next = std::min(next, i.due);
                } else if (h->second.busy < h->second.what.concurrency && is_first(i)) {
                    due.push_back(key);
                }
            }
            const auto timed_out = std::move(to_record_);
            to_record_.clear();
            lock.unlock();
            for (const auto& t : timed_out)
                tell(t, false);
            const bool held_back = run_due(due);
            lock.lock();
            if (held_back) next = std::min(next, now + may_run_recheck);
            wake_.wait_until(lock, next, [&] { return stopping_ || changes_ != seen; });
        }
    }

    void time_out(item& i, handler_entry& h) {
        i.running = false;
        i.attempt_id = 0;  // none: the late answer of this attempt is recognised by it
        i.task.last = ms::outcome_kind::timed_out;
        i.task.evidence = "no outcome within the handler's timeout";
        i.task.updated = to_wall(coarse_now());
        i.due = steady::now() + retry_delay(h.what, i.task.attempts, random_);
        to_record_.push_back(i.task);
    }

    // Without the lock: may_run() asks the engine. True when a task was held back.
    bool run_due(const std::vector<std::string>& due) {
        bool held_back = false;
        for (const auto& key : due) {
            task_record t;
            {
                std::lock_guard lock(m_);
                auto it = items_.find(key);
                if (it == items_.end()) continue;
                t = it->second.task;
            }
            const bool may = !hooks_.may_run || hooks_.may_run(t);
            {
                std::lock_guard lock(m_);
                auto it = items_.find(key);
                if (it == items_.end()) continue;
                // Who comes behind a task that waits may go now.
                if (it->second.held_back == may) changed();
                it->second.held_back = !may;
            }
            if (may) {
                launch(key);
            } else {
                held_back = true;
            }
        }
        return held_back;
    }

    void launch(const std::string& key) {
        ms::handler run;
        ms::task what;
        std::string handler;
        std::uint64_t attempt_id = 0;
        {
            std::lock_guard lock(m_);
            auto it = items_.find(key);
            if (stopping_ || it == items_.end() || !it->second.task.open() || it->second.running) {
                return;
            }
            auto& i = it->second;
            auto& h = handlers_.at(i.task.handler);
            if (h.busy >= h.what.concurrency || !is_first(i)) return;
            i.running = true;
            i.started = steady::now();
            ++i.task.attempts;
            // Unique in this run: a key may be planned anew while an old call is still out.
            attempt_id = i.attempt_id = ++attempts_begun_;
            ++h.busy;
            ++calls_;
            changed();  // its timeout is one more thing to wake up for
            run = h.run;
            handler = i.task.handler;
            what = {i.task.key,     i.task.why,  i.task.mission.id, i.task.mission.issuer,
                    i.task.version, i.task.name, i.task.data,       i.task.attempts};
        }
        hooks_.execute([this, key, handler = std::move(handler), attempt_id, run = std::move(run),
                        what = std::move(what)] {
            ms::outcome o = run_handler(run, what);
            crash_point("handler_outcome");
            returned(key, handler, attempt_id, std::move(o));
        });
    }

    void returned(const std::string& key, const std::string& handler, std::uint64_t attempt_id,
                  ms::outcome o) {
        std::optional<task_record> told;
        bool acknowledged = false, over = false;
        {
            std::lock_guard lock(m_);
            // The slot is the call's, not the task's: that may have been retired meanwhile.
            auto& h = handlers_.at(handler);
            --h.busy;
            auto it = items_.find(key);
            if (it != items_.end()) {
                auto& i = it->second;
                const bool late = i.attempt_id != attempt_id;
                acknowledged = o.kind == ms::outcome_kind::acknowledged;
                // A late acknowledgement still counts: the thing is gone.
                // What a late word has finished already is not told a second time.
                if (i.task.finished) {
                    if (!late) i.running = false;
                    over = true;
                } else if (!late || (acknowledged && i.task.open())) {
                    settle(i, h, std::move(o), acknowledged, late);
                    told = i.task;
                }
            }
        }
        if (told) tell(*told, acknowledged);
        std::lock_guard lock(m_);
        if (told || over) retire(key);
        // Last: stop() may destroy us once no call is left.
        --calls_;
        changed();
        idle_.notify_all();
    }

    void settle(item& i, handler_entry& h, ms::outcome o, bool acknowledged, bool late) {
        if (!late) i.running = false;
        i.task.last = o.kind;
        i.task.evidence = std::move(o.evidence);
        i.task.updated = to_wall(coarse_now());
        if (acknowledged) {
            i.task.finished = true;
        } else if (!i.task.durable && i.task.attempts >= freshness_tries) {
            i.task.cancelled = true;
        } else {
            i.due = steady::now() + retry_delay(h.what, i.task.attempts, random_);
        }
    }

    void tell(const task_record& t, bool acknowledged) {
        if (t.durable && hooks_.record) hooks_.record(t);
        if (hooks_.log) hooks_.log(t);
        if (acknowledged && hooks_.acknowledged) hooks_.acknowledged(t);
    }

    random_source& random_;
    hooks hooks_;
    mutable std::mutex m_;
    std::condition_variable wake_, idle_;
    std::map<std::string, handler_entry> handlers_;
    std::unordered_map<std::string, item> items_;
    std::map<lane_key, std::vector<std::string>> lanes_;  // keys in the order they were planned
    std::deque<task_record> finished_;
    std::vector<task_record> to_record_;
    std::size_t calls_ = 0;
    std::uint64_t attempts_begun_ = 0;
    std::uint64_t changes_ = 0;  // counted so that the scheduler misses none while it works
    bool stopping_ = false;
    std::thread scheduler_;
};

}  // namespace

std::unique_ptr<task_runner> make_task_runner(random_source& random) {
    return std::make_unique<runner>(random);
}

}  // namespace mission::receiver
