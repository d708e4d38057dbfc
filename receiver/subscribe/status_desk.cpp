#include "receiver/subscribe/status_desk.hpp"

#include <algorithm>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <utility>

#include "base/limits.hpp"
#include "base/random.hpp"
#include "receiver/subscribe/status_gates.hpp"
#include "receiver/subscribe/status_queue.hpp"

namespace mission::receiver {

ms::cause cause_of(errc e) noexcept {
    switch (e) {
        case errc::mission_not_found:
            return ms::cause::not_found;
        case errc::rate_limited:
            return ms::cause::status_limited;
        default:
            return ms::cause::status_unreachable;
    }
}

namespace {

using ms::cause;
using callers = std::vector<std::function<void(cause)>>;

constexpr auto retry_first = std::chrono::milliseconds(100);
constexpr auto retry_max = std::chrono::milliseconds(5000);
constexpr auto queued_max_ms = std::chrono::milliseconds(status_limits::queued_max).count();

std::int64_t now_ms() {
    return coarse_now().mono;
}

// Each is told, whatever another one throws; the first of that is the result.
std::exception_ptr tell_all(callers& all, cause why) noexcept {
    std::exception_ptr thrown;
    for (auto& w : all) {
        try {
            w(why);
        } catch (...) {
            if (!thrown) thrown = std::current_exception();
        }
    }
    all.clear();
    return thrown;
}

void pass_on(const std::exception_ptr& thrown) {
    if (thrown) std::rethrow_exception(thrown);
}

class desk final : public status_desk, public std::enable_shared_from_this<desk> {
  public:
    desk(net::runtime& rt, link& l, engine& e, ms::log_function log)
        : rt_(rt), link_(l), engine_(e), log_(std::move(log)) {}

    void ask(const mission_key& key, bool urgent, std::function<void(cause)> done) override {
        const auto entry = engine_.table().find(key.issuer, key.id);
        const bool known = entry && entry->told != ms::standing::unknown;
        const bool own = !done || engine_.wants_status(key);
        auto refused = cause::none;
        {
            std::lock_guard lock(m_);
            refused = why_not(key, known, own, done != nullptr);
            if (refused == cause::none) take(key, known, own, urgent, std::move(done));
        }
        if (refused != cause::none) {
            if (done) done(refused);
            return;
        }
        pump();
    }

    void ask_alone(const mission_key& key, std::function<void(reply)> done) override {
        std::string audience;
        const auto mine = std::make_shared<question>(shared_from_this());
        std::optional<errc> refused;
        {
            std::lock_guard lock(m_);
            if (stopped_) {
                refused = errc::cancelled;
            } else if (alone_.size() >= limits::status_confirms_in_flight) {
                refused = errc::rate_limited;
            } else {
                audience = audience_;
                alone_.emplace(questions_ + 1, std::move(done));
                mine->number = ++questions_;
            }
        }
        if (refused) return done(reply{*refused, {}, {}});
        const auto asked = engine_.status_asked(key);
        engine_.counts().status_requests.fetch_add(1, std::memory_order_relaxed);
        // Before the octets leave, at the latest: an age counted from here is never too small.
        const auto sent_at = std::chrono::steady_clock::now();
        link_.ask_status(
            key, audience,
            [self = shared_from_this(), key, asked, mine, sent_at](result<status_word> r) {
                reply come{std::move(r), sent_at, std::chrono::steady_clock::now()};
                self->tell(key, come.word);
                if (come.word.has_value()) self->works();
                self->engine_.on_status(key, come.word, asked,
                                        [self, mine, come] { self->reply_to(mine->number, come); });
            });
    }

    void confirm(std::vector<mission_key> keys) override {
        {
            std::lock_guard lock(m_);
            // A newer epoch makes the older list moot.
            confirming_.assign(keys.begin(), keys.end());
        }
        confirm_some();
    }

    void set_audience(std::string audience) override {
        std::lock_guard lock(m_);
        audience_ = std::move(audience);
    }

    void stop() override {
        callers left;
        std::map<std::uint64_t, std::function<void(reply)>> alone;
        {
            std::lock_guard lock(m_);
            stopped_ = true;
            alone.swap(alone_);
            pace_.reset();
            wake_.reset();
            for (auto& [key, j] : queue_.all())
                release(j, left);
            queue_.all().clear();
        }
        auto thrown = tell_all(left, cause::status_unreachable);
        for (auto& [number, done] : alone) {
            try {
                done({});
            } catch (...) {
                if (!thrown) thrown = std::current_exception();
            }
        }
        pass_on(thrown);
    }

  private:
    // A request on its way. It counts until it is settled; where nobody settles it, because
    // something has thrown, it is given up with the last who knows of it.
    class request {
      public:
        request(std::shared_ptr<desk> of, mission_key key) noexcept
            : of_(std::move(of)), key_(std::move(key)) {}
        ~request() {
            if (!over_) of_->lost(key_);
        }
        request(const request&) = delete;
        request& operator=(const request&) = delete;
        const mission_key& key() const noexcept { return key_; }
        void settled() noexcept { over_ = true; }

      private:
        const std::shared_ptr<desk> of_;
        const mission_key key_;
        bool over_ = false;
    };

    // The same for one that is asked alone; it has no number until it is known.
    struct question {
        explicit question(std::shared_ptr<desk> d) noexcept : of(std::move(d)) {}
        ~question() {
            try {
                of->reply_to(number, reply{errc::unavailable, {}, {}});
            } catch (...) {  // who asked is told by stop(), or has thrown
            }
        }
        question(const question&) = delete;
        question& operator=(const question&) = delete;
        const std::shared_ptr<desk> of;
        std::uint64_t number = 0;
    };

    void reply_to(std::uint64_t number, const reply& come) {
        std::function<void(reply)> done;
        {
            std::lock_guard lock(m_);
            auto found = alone_.extract(number);
            if (found.empty()) return;  // told before
            done = std::move(found.mapped());
        }
        done(come);
    }

    // --- who is asked for

    // Under the lock. Why nobody is asked, and nobody waits; none: it is taken.
    cause why_not(const mission_key& key, bool known, bool own, bool caller) {
        if (stopped_) return cause::status_unreachable;
        if (!own && !known && unknown_.has(key, now_ms())) return cause::not_found;
        // What the engine cannot do without waits for the service, callers do not.
        if (caller && breaker_.open(now_ms())) return cause::status_unreachable;
        if (caller && callers_ >= status_limits::callers_waiting) return cause::status_limited;
        if (queue_.find(key) != nullptr) return cause::none;
        if (queue_.all().size() >= limits::status_waiting) return cause::status_limited;
        if (!known && !own && queue_.strangers() >= status_limits::strangers_waiting)
            return cause::status_limited;
        return cause::none;
    }

    // Under the lock.
    void take(const mission_key& key, bool known, bool own, bool urgent,
              std::function<void(cause)> done) {
        const bool fresh = queue_.find(key) == nullptr;
        auto& j = queue_.all()[key];
        if (fresh) j.since = now_ms();
        j.own = j.own || own;
        if (fresh && !known && !own) queue_.count_stranger(j);
        if (j.in_flight && urgent && !done) {
            // Something was learned after that request went out.
            j.again = true;
            return;
        }
        auto rank = urgent ? status_rank::urgent : status_rank::background;
        if (!own) rank = known ? status_rank::caller : status_rank::stranger;
        const bool news = urgent && !done;
        if (done) {
            j.callers.push_back(std::move(done));
            ++callers_;
        }
        if (j.in_flight) return;
        // What has failed before is not sent sooner for being asked for often.
        if (j.retry && !news) return;
        j.retry.reset();
        queue_.put(key, j, rank);
    }

    // Under the lock: whoever waits for it, to be told without.
    void release(status_job& j, callers& into) {
        const auto all = into.size() + j.callers.size();
        // Not for each anew: they may be tens of thousands.
        if (all > into.capacity()) into.reserve(std::max(all, 2 * into.capacity()));
        callers_ -= j.callers.size();
        for (auto& c : j.callers)
            into.push_back(std::move(c));
        j.callers.clear();
    }

    void confirm_some() {
        std::vector<mission_key> now;
        {
            std::lock_guard lock(m_);
            if (stopped_) return;
            while (!confirming_.empty() && now.size() < limits::status_confirm_per_tick) {
                now.push_back(std::move(confirming_.front()));
                confirming_.pop_front();
            }
            if (!confirming_.empty()) {
                pace_ = rt_.after(limits::status_confirm_tick, [weak = weak_from_this()] {
                    if (auto self = weak.lock()) self->confirm_some();
                });
            }
        }
        for (const auto& key : now)
            ask(key, false, nullptr);
    }

    // --- what is sent

    // Under the lock: the next mission to ask for; nullopt when there is none, or enough are asked.
    std::optional<mission_key> next() {
        const auto now = now_ms();
        while (!stopped_ && in_flight_ < limits::status_in_flight &&
               breaker_.may_send(now, in_flight_)) {
            const auto wait = rate_.wait(now);
            auto key = queue_.take(wait == 0);
            if (!key) {
                if (queue_.waits(status_rank::stranger)) wake_after(wait);
                break;
            }
            auto& j = *queue_.find(*key);
            if (!j.own && now - j.since > queued_max_ms) {
                release(j, late_);
                queue_.erase(*key);
                continue;
            }
            if (j.stranger) rate_.sent();
            j.in_flight = true;
            ++in_flight_;
            return key;
        }
        if (breaker_.open(now) && in_flight_ == 0) wake_after(breaker_.left(now));
        pumping_ = false;
        return std::nullopt;
    }

    void wake_after(std::int64_t ms) {
        wake_ = rt_.after(std::chrono::milliseconds(std::max<std::int64_t>(ms, 1)),
                          [weak = weak_from_this()] {
                              if (auto self = weak.lock()) self->pump();
                          });
    }

    // One at a time: an answer that is there at once (no metadata, no token) comes back to here,
    // and would nest as deep as the queue is long.
    void pump() {
        {
            std::lock_guard lock(m_);
            if (std::exchange(pumping_, true)) return;
        }
        // What a callback throws is its caller's to see; the next one pumps again.
        struct turn {
            desk& d;
            bool ended = false;  // by next()
            ~turn() {
                if (ended) return;
                std::lock_guard lock(d.m_);
                d.pumping_ = false;
            }
        } mine{*this};
        for (;;) {
            std::optional<mission_key> key;
            std::string audience;
            callers late;
            {
                std::lock_guard lock(m_);
                audience = audience_;
                key = next();
                mine.ended = !key;
                late.swap(late_);
            }
            auto thrown = tell_all(late, cause::status_limited);
            if (key) send(*key, audience);
            pass_on(thrown);
            if (!key) return;
        }
    }

    void send(const mission_key& key, const std::string& audience) {
        std::shared_ptr<request> sent;
        try {
            sent = std::make_shared<request>(shared_from_this(), mission_key(key));
        } catch (...) {
            lost(key);
            throw;
        }
        const auto asked = engine_.status_asked(key);
        engine_.counts().status_requests.fetch_add(1, std::memory_order_relaxed);
        link_.ask_status(key, audience,
                         [self = shared_from_this(), sent, asked](result<status_word> r) {
                             self->answered(sent, asked, std::move(r));
                         });
    }

    // It was not sent, or what came of it could not be taken: as after a failure.
    void lost(const mission_key& key) noexcept {
        callers left;
        {
            std::lock_guard lock(m_);
            --in_flight_;
            auto* j = queue_.find(key);
            if (!stopped_ && j != nullptr) {
                j->in_flight = false;
                callers_ -= j->callers.size();
                left.swap(j->callers);
                j->own = j->own || std::exchange(j->again, false);
                if (j->own) {
                    retry_later(key, *j);
                } else {
                    queue_.erase(key);
                }
            }
            // Who waited for its end.
            try {
                if (!stopped_) wake_after(retry_first.count());
            } catch (...) {  // no memory: the next who asks sends them as well
            }
        }
        (void)tell_all(left, cause::status_unreachable);
    }

    // Under the lock. Without memory for a timer its time is whenever something is sent next.
    void retry_later(const mission_key& key, status_job& j) noexcept {
        ++j.failures;
        try {
            j.retry = rt_.after(delay(j.failures), [weak = weak_from_this(), key] {
                if (auto self = weak.lock()) self->retry(key);
            });
        } catch (...) {
            try {
                queue_.put(key, j, status_rank::background);
            } catch (...) {  // the engine asks again
            }
        }
    }

    // --- what comes

    void answered(const std::shared_ptr<request>& sent, engine::asked_at asked,
                  result<status_word> r) {
        const auto& key = sent->key();
        tell(key, r);
        const bool not_found = r.has_error() && r.error() == errc::mission_not_found;
        callers idle;
        {
            std::lock_guard lock(m_);
            if (r.has_value() || not_found) {
                breaker_.succeeded();
            } else if (r.error() != errc::cancelled && breaker_.failed(now_ms(), system_random())) {
                give_up(idle);
            }
            if (not_found) unknown_.add(key, now_ms());
            if (r.has_value()) unknown_.remove(key);
        }
        const auto thrown = tell_all(idle, cause::status_unreachable);
        const auto why = r.has_error() ? cause_of(r.error().code) : cause::none;
        engine_.on_status(key, r, asked,
                          [self = shared_from_this(), sent, why] { self->settled(*sent, why); });
        pass_on(thrown);
    }

    void works() {
        std::lock_guard lock(m_);
        breaker_.succeeded();
    }

    // Under the lock. The service is down: nobody waits for it but the engine, which is looked
    // after when the pause is over.
    void give_up(callers& idle) {
        for (auto it = queue_.all().begin(); it != queue_.all().end();) {
            auto& [key, j] = *it++;
            if (j.in_flight) continue;
            try {
                release(j, idle);
                if (!j.own) queue_.erase(mission_key(key));
            } catch (const std::bad_alloc&) {
                break;  // those that are left wait on; those that are out are told
            }
        }
        try {
            wake_after(breaker_.left(now_ms()));
        } catch (const std::bad_alloc&) {  // the next who asks sends what waits
        }
    }

    // Many missions may wait, and be asked for again and again: one failure of all of them is one
    // line, until it is another or over.
    void tell(const mission_key& key, const result<status_word>& r) {
        const bool failed = r.has_error() && r.error().code != errc::mission_not_found;
        const auto why = failed ? r.error().message() : std::string();
        std::size_t times = 0;
        {
            std::lock_guard lock(m_);
            if (why == told_) {
                ++times_;
                return;
            }
            times = std::exchange(times_, 1);
            told_ = why;
        }
        if (!log_) return;
        if (failed) {
            log_(ms::log_level::warning, "Mission Status failed",
                 {{"mission", key.id}, {"error", why}});
        } else {
            log_(ms::log_level::info, "Mission Status answers again",
                 {{"failures", std::to_string(times)}});
        }
    }

    void settled(request& sent, cause why) {
        const auto& key = sent.key();
        callers told;
        const bool wanted = engine_.wants_status(key);
        // It came, and found no room.
        if (why == cause::none && !engine_.table().find(key.issuer, key.id))
            why = cause::cache_full;
        {
            std::lock_guard lock(m_);
            auto* found = queue_.find(key);
            if (!stopped_ && found != nullptr) release(*found, told);
            --in_flight_;
            sent.settled();
            if (stopped_ || found == nullptr) return;
            auto& j = *found;
            j.in_flight = false;
            j.own = wanted;
            if (std::exchange(j.again, false)) {
                j.own = true;
                try {
                    queue_.put(key, j, status_rank::urgent);
                } catch (const std::bad_alloc&) {  // whoever is out of its queue is told
                    retry_later(key, j);
                }
            } else if (wanted) {
                // Also after a success that did not settle it: a Status older than the SETs.
                retry_later(key, j);
            } else {
                queue_.erase(key);
            }
        }
        const auto thrown = tell_all(told, why);
        pump();
        pass_on(thrown);
    }

    void retry(const mission_key& key) {
        {
            std::lock_guard lock(m_);
            auto* j = queue_.find(key);
            if (stopped_ || j == nullptr || j->in_flight) return;
            j->retry.reset();
            queue_.put(key, *j, j->callers.empty() ? status_rank::background : status_rank::caller);
        }
        pump();
    }

    static std::chrono::milliseconds delay(unsigned failures) {
        auto d = retry_first;
        for (unsigned n = 1; n < failures && d < retry_max; ++n)
            d *= 2;
        d = std::min(d, retry_max);
        const auto half = static_cast<std::uint64_t>(d.count() / 2);
        return d - std::chrono::milliseconds(system_random().below(half + 1));
    }

    net::runtime& rt_;
    link& link_;
    engine& engine_;
    const ms::log_function log_;
    std::mutex m_;
    bool stopped_ = false, pumping_ = false;
    std::string audience_;
    std::size_t in_flight_ = 0, callers_ = 0;
    std::string told_;       // the failure that was logged last; empty: none since the last answer
    std::size_t times_ = 0;  // ... and how often it has come
    status_queue queue_;
    unknown_ids unknown_;
    breaker breaker_;
    request_rate rate_{status_limits::strangers_burst, status_limits::strangers_per_second};
    callers late_;  // who has waited for too long, to be told
    std::deque<mission_key> confirming_;
    std::unique_ptr<net::timer> pace_, wake_;
    std::uint64_t questions_ = 0;
    std::map<std::uint64_t, std::function<void(reply)>> alone_;  // under way, by question
};

}  // namespace

std::shared_ptr<status_desk> make_status_desk(net::runtime& rt, link& l, engine& e,
                                              ms::log_function log) {
    return std::make_shared<desk>(rt, l, e, std::move(log));
}

}  // namespace mission::receiver
