#include "receiver/inbox/inbox.hpp"

#include <algorithm>
#include <condition_variable>
#include <list>
#include <map>
#include <mutex>
#include <set>

#include "base/crash_point.hpp"
#include "base/limits.hpp"
#include "receiver/teardown/run_handler.hpp"

namespace mission::receiver {

std::chrono::milliseconds event_retry_delay(unsigned attempts, random_source& random) {
    auto d = std::chrono::milliseconds(100);
    constexpr auto longest = std::chrono::milliseconds(30'000);
    for (unsigned n = 1; n < attempts && d < longest; ++n)
        d *= 2;
    d = std::min(d, longest);
    const auto half = static_cast<std::uint64_t>(d.count() / 2);
    return d - std::chrono::milliseconds(random.below(half + 1));
}

namespace {

using steady = std::chrono::steady_clock;

// For handlers that run when we stop; a command of the program is killed sooner.
constexpr auto stop_patience = std::chrono::seconds(10);

struct handler_entry {
    std::string name;
    std::vector<std::string> types;
    ms::event_handler run;
};

struct item {
    event_record event;
    bool running = false;
    steady::time_point due{};
};

ms::security_event told(const event_record& e) {
    ms::security_event out;
    out.type = e.type;
    out.iss = e.iss;
    out.jti = e.jti;
    out.txn = e.txn;
    out.issued_at = from_numeric_date(e.issued_at);
    out.subject = e.subject;
    out.event = e.event;
    out.attempt = e.attempts;
    return out;
}

class inbox_impl final : public inbox, public std::enable_shared_from_this<inbox_impl> {
  public:
    explicit inbox_impl(random_source& random) : random_(random) {}
    ~inbox_impl() override { stop(); }

    void add_handler(std::string name, std::vector<std::string> types,
                     ms::event_handler fn) override {
        if (name.empty()) throw ms::setup_error("on_event: the handler needs a name");
        if (!fn) throw ms::setup_error("on_event: " + name + " has no function");
        for (const auto& h : handlers_) {
            if (h.name == name) {
                throw ms::setup_error("on_event: there are two handlers named " + name);
            }
            if (h.types.empty() && types.empty()) {
                throw ms::setup_error("on_event: " + h.name + " takes every other type already");
            }
            for (const auto& t : types) {
                if (std::find(h.types.begin(), h.types.end(), t) != h.types.end()) {
                    throw ms::setup_error("on_event: " + h.name + " takes " + t + " already");
                }
            }
        }
        handlers_.push_back({std::move(name), std::move(types), std::move(fn)});
    }

    bool wants(std::string_view type) const override { return handler_of(type) != nullptr; }

    bool reserve(std::size_t bytes) override {
        std::lock_guard lock(m_);
        if (stopping_ || places_ >= limits::inbox_events || bytes_ + bytes > limits::inbox_bytes) {
            return false;
        }
        ++places_;
        bytes_ += bytes;
        return true;
    }

    void give_back(std::size_t bytes) noexcept override {
        std::lock_guard lock(m_);
        --places_;
        bytes_ -= bytes;
    }

    void release(event_record e) override {
        {
            std::lock_guard lock(m_);
            items_.push_back({std::move(e), false, steady::now()});
        }
        run_due();
    }

    void restore(std::vector<event_record> events) override {
        std::lock_guard lock(m_);
        for (auto& e : events) {
            ++places_;
            bytes_ += e.size();
            items_.push_back({std::move(e), false, steady::now()});
        }
    }

    void start(net::runtime& rt, hooks h) override {
        {
            std::lock_guard lock(m_);
            rt_ = &rt;
            hooks_ = std::move(h);
        }
        run_due();
    }

    void stop() override {
        std::unique_ptr<net::timer> timer;
        std::unique_lock lock(m_);
        stopping_ = true;
        timer = std::move(timer_);
        // What is being told is always waited for, a handler that does not return is not: its event
        // is in the state, and the next start has it again.
        idle_.wait_for(lock, stop_patience, [&] { return calls_ == 0; });
        idle_.wait(lock, [&] { return telling_ == 0; });
        abandoned_ = true;
    }

    std::size_t open_count() const override {
        std::lock_guard lock(m_);
        return items_.size();
    }

  private:
    using position = std::list<item>::iterator;

    const handler_entry* handler_of(std::string_view type) const {
        const handler_entry* rest = nullptr;
        for (const auto& h : handlers_) {
            if (h.types.empty()) rest = &h;
            if (std::find(h.types.begin(), h.types.end(), type) != h.types.end()) return &h;
        }
        return rest;
    }

    // Begins what is due and sets the timer for what is not.
    void run_due() {
        std::vector<std::pair<position, const handler_entry*>> now;
        {
            std::lock_guard lock(m_);
            if (stopping_ || rt_ == nullptr) return;
            const auto t = steady::now();
            auto next = steady::time_point::max();
            // What the same handler does for the same subject is done one after the other.
            std::set<std::pair<const handler_entry*, std::string_view>> busy;
            for (const auto& i : items_) {
                if (i.running) busy.emplace(handler_of(i.event.type), i.event.subject);
            }
            for (auto it = items_.begin(); it != items_.end(); ++it) {
                if (it->running) continue;
                const auto* h = handler_of(it->event.type);
                if (h == nullptr) continue;
                if (it->due > t) {
                    next = std::min(next, it->due);
                    continue;
                }
                if (calls_ >= limits::inbox_concurrency) break;
                if (!busy.emplace(h, it->event.subject).second) continue;
                it->running = true;
                ++it->event.attempts;
                ++calls_;
                now.emplace_back(it, h);
            }
            if (next != steady::time_point::max()) wake_at(next);
        }
        for (const auto& [at, h] : now)
            begin(at, *h);
    }

    // Under the lock. A later wish never replaces a sooner one.
    void wake_at(steady::time_point at) {
        if (timer_ && timer_at_ <= at) return;
        timer_at_ = at;
        const auto delay = std::chrono::ceil<std::chrono::milliseconds>(
            std::max(at - steady::now(), steady::duration::zero()));
        timer_ = rt_->after(delay, [weak = weak_from_this(), at] {
            auto self = weak.lock();
            if (!self) return;
            std::unique_ptr<net::timer> fired;
            {
                std::lock_guard lock(self->m_);
                if (self->timer_at_ == at) fired = std::move(self->timer_);
            }
            self->run_due();
        });
    }

    void begin(position at, const handler_entry& h) {
        hooks_.execute([self = shared_from_this(), at, &h, run = h.run, what = told(at->event)] {
            ms::outcome o = run_handler(run, what);
            crash_point("event_outcome");
            self->returned(at, h.name, std::move(o));
        });
    }

    void returned(position at, const std::string& handler, ms::outcome o) {
        const bool done = o.kind == ms::outcome_kind::acknowledged;
        event_record told_of;
        {
            std::lock_guard lock(m_);
            if (abandoned_) return;
            ++telling_;
            auto& i = *at;
            i.event.last = o.kind;
            i.event.evidence = std::move(o.evidence);
            told_of = i.event;
            if (done) {
                --places_;
                bytes_ -= i.event.size();
                items_.erase(at);
            } else {
                i.running = false;
                i.due = steady::now() + event_retry_delay(i.event.attempts, random_);
            }
        }
        if (hooks_.record) hooks_.record(told_of, done);
        if (hooks_.log) hooks_.log(told_of, done, handler);
        {
            std::lock_guard lock(m_);
            --calls_;
            --telling_;
            idle_.notify_all();
        }
        run_due();
    }

    random_source& random_;
    std::vector<handler_entry> handlers_;  // unchanged after start()
    net::runtime* rt_ = nullptr;
    hooks hooks_;
    mutable std::mutex m_;
    std::condition_variable idle_;
    std::list<item> items_;  // by arrival
    std::size_t places_ = 0, bytes_ = 0;
    unsigned calls_ = 0;    // handlers that have not returned
    unsigned telling_ = 0;  // of them, those that have, and whose word is being recorded
    bool stopping_ = false, abandoned_ = false;
    std::unique_ptr<net::timer> timer_;
    steady::time_point timer_at_{};
};

// Handlers that still run keep the implementation alive; the owner's handle stops it.
class inbox_handle final : public inbox {
  public:
    explicit inbox_handle(random_source& random) : p_(std::make_shared<inbox_impl>(random)) {}
    ~inbox_handle() override { p_->stop(); }
    void add_handler(std::string name, std::vector<std::string> types,
                     ms::event_handler fn) override {
        p_->add_handler(std::move(name), std::move(types), std::move(fn));
    }
    bool wants(std::string_view type) const override { return p_->wants(type); }
    bool reserve(std::size_t bytes) override { return p_->reserve(bytes); }
    void give_back(std::size_t bytes) noexcept override { p_->give_back(bytes); }
    void release(event_record e) override { p_->release(std::move(e)); }
    void restore(std::vector<event_record> events) override { p_->restore(std::move(events)); }
    void start(net::runtime& rt, hooks h) override { p_->start(rt, std::move(h)); }
    void stop() override { p_->stop(); }
    std::size_t open_count() const override { return p_->open_count(); }

  private:
    std::shared_ptr<inbox_impl> p_;
};

}  // namespace

std::unique_ptr<inbox> make_inbox(random_source& random) {
    return std::make_unique<inbox_handle>(random);
}

}  // namespace mission::receiver
