#include "receiver/subscribe/status_desk.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "base/limits.hpp"
#include "base/random.hpp"

namespace mission::receiver {
namespace {

constexpr auto retry_first = std::chrono::milliseconds(100);
constexpr auto retry_max = std::chrono::milliseconds(5000);
constexpr auto not_found_kept_ms = std::chrono::milliseconds(limits::status_not_found_kept).count();

struct job {
    enum class place { none, background, urgent } waits = place::none;
    bool in_flight = false;
    bool again = false;  // asked for anew while a request was under way
    unsigned failures = 0;
    std::unique_ptr<net::timer> retry;
    std::vector<std::function<void()>> waiters;
};

class desk final : public status_desk, public std::enable_shared_from_this<desk> {
  public:
    desk(net::runtime& rt, link& l, engine& e, ms::log_function log)
        : rt_(rt), link_(l), engine_(e), log_(std::move(log)) {}

    void ask(const mission_key& key, bool urgent, std::function<void()> done) override {
        bool refused = false;
        {
            std::lock_guard lock(m_);
            refused = stopped_ ||
                      (jobs_.count(key) == 0 && jobs_.size() >= limits::status_waiting) ||
                      recently_not_found(key);
            if (!refused) {
                auto& j = jobs_[key];
                if (j.in_flight && urgent && !done) {
                    // Something was learned after that request went out.
                    j.again = true;
                } else {
                    if (done) j.waiters.push_back(std::move(done));
                    if (!j.in_flight) {
                        j.retry.reset();
                        queue(key, j, urgent);
                    }
                }
            }
        }
        if (refused) {
            if (done) done();
            return;
        }
        pump();
    }

    void ask_alone(const mission_key& key, std::function<void(reply)> done) override {
        std::string audience;
        std::uint64_t question = 0;
        std::optional<errc> refused;
        {
            std::lock_guard lock(m_);
            if (stopped_) {
                refused = errc::cancelled;
            } else if (alone_.size() >= limits::status_confirms_in_flight) {
                refused = errc::unavailable;
            } else {
                question = ++questions_;
                alone_[question] = std::move(done);
                audience = audience_;
            }
        }
        if (refused) return done(reply{*refused, {}, {}});
        const auto asked = engine_.status_asked(key);
        engine_.counts().status_requests.fetch_add(1, std::memory_order_relaxed);
        // Before the octets leave, at the latest: an age counted from here is never too small.
        const auto sent_at = std::chrono::steady_clock::now();
        link_.ask_status(
            key, audience,
            [self = shared_from_this(), key, asked, question, sent_at](result<status_word> r) {
                reply come{std::move(r), sent_at, std::chrono::steady_clock::now()};
                self->tell(key, come.word);
                self->engine_.on_status(key, come.word, asked,
                                        [self, question, come] { self->reply_to(question, come); });
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
        std::vector<std::function<void()>> waiters;
        std::map<std::uint64_t, std::function<void(reply)>> alone;
        {
            std::lock_guard lock(m_);
            stopped_ = true;
            alone.swap(alone_);
            pace_.reset();
            for (auto& [key, j] : jobs_) {
                for (auto& w : j.waiters)
                    waiters.push_back(std::move(w));
            }
            jobs_.clear();
        }
        for (auto& w : waiters)
            w();
        for (auto& [question, done] : alone)
            done({});
    }

  private:
    void reply_to(std::uint64_t question, const reply& come) {
        std::function<void(reply)> done;
        {
            std::lock_guard lock(m_);
            auto found = alone_.extract(question);
            if (found.empty()) return;  // told by stop()
            done = std::move(found.mapped());
        }
        done(come);
    }

    bool recently_not_found(const mission_key& key) {
        const auto it = not_found_.find(key);
        return it != not_found_.end() && coarse_now().mono - it->second < not_found_kept_ms;
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

    // Under the lock. In a queue once; an urgent wish overtakes, and what it leaves behind in the
    // other queue is passed over.
    void queue(const mission_key& key, job& j, bool urgent) {
        const auto wanted = urgent ? job::place::urgent : job::place::background;
        if (j.waits >= wanted) return;
        j.waits = wanted;
        (urgent ? urgent_ : background_).push_back(key);
    }

    // Under the lock: the next mission to ask for; nullopt when there is none, or enough are asked.
    std::optional<mission_key> next() {
        while (!stopped_ && in_flight_ < limits::status_in_flight) {
            const bool urgent = !urgent_.empty();
            auto& from = urgent ? urgent_ : background_;
            if (from.empty()) break;
            auto key = std::move(from.front());
            from.pop_front();
            const auto it = jobs_.find(key);
            if (it == jobs_.end() || it->second.in_flight) continue;
            auto& j = it->second;
            if (j.waits != (urgent ? job::place::urgent : job::place::background)) continue;
            j.waits = job::place::none;
            j.in_flight = true;
            ++in_flight_;
            return key;
        }
        pumping_ = false;
        return std::nullopt;
    }

    // One at a time: an answer that is there at once (no metadata, no token) comes back to here,
    // and would nest as deep as the queue is long.
    void pump() {
        {
            std::lock_guard lock(m_);
            if (std::exchange(pumping_, true)) return;
        }
        for (;;) {
            mission_key key;
            std::string audience;
            {
                std::lock_guard lock(m_);
                auto found = next();
                if (!found) return;
                key = std::move(*found);
                audience = audience_;
            }
            const auto asked = engine_.status_asked(key);
            engine_.counts().status_requests.fetch_add(1, std::memory_order_relaxed);
            link_.ask_status(key, audience,
                             [self = shared_from_this(), key, asked](result<status_word> r) {
                                 self->answered(key, asked, std::move(r));
                             });
        }
    }

    void answered(const mission_key& key, engine::asked_at asked, result<status_word> r) {
        tell(key, r);
        if (r.has_error() && r.error() == errc::mission_not_found) {
            std::lock_guard lock(m_);
            if (not_found_.size() >= limits::status_not_found) not_found_.clear();
            not_found_[key] = coarse_now().mono;
        }
        engine_.on_status(key, r, asked, [self = shared_from_this(), key] { self->settled(key); });
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

    void settled(const mission_key& key) {
        std::vector<std::function<void()>> waiters;
        const bool wanted = engine_.wants_status(key);
        {
            std::lock_guard lock(m_);
            --in_flight_;
            auto it = jobs_.find(key);
            if (stopped_ || it == jobs_.end()) return;
            auto& j = it->second;
            j.in_flight = false;
            waiters.swap(j.waiters);
            if (j.again) {
                j.again = false;
                queue(key, j, true);
            } else if (wanted) {
                // Also after a success that did not settle it: a Status older than the SETs.
                ++j.failures;
                j.retry = rt_.after(delay(j.failures), [weak = weak_from_this(), key] {
                    if (auto self = weak.lock()) self->retry(key);
                });
            } else {
                jobs_.erase(it);
            }
        }
        for (auto& w : waiters)
            w();
        pump();
    }

    void retry(const mission_key& key) {
        {
            std::lock_guard lock(m_);
            auto it = jobs_.find(key);
            if (stopped_ || it == jobs_.end() || it->second.in_flight) return;
            queue(key, it->second, false);
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
    std::size_t in_flight_ = 0;
    std::string told_;       // the failure that was logged last; empty: none since the last answer
    std::size_t times_ = 0;  // ... and how often it has come
    std::map<mission_key, job> jobs_;
    std::map<mission_key, std::int64_t> not_found_;
    std::deque<mission_key> urgent_, background_, confirming_;
    std::unique_ptr<net::timer> pace_;
    std::uint64_t questions_ = 0;
    std::map<std::uint64_t, std::function<void(reply)>> alone_;  // under way, by question
};

}  // namespace

std::shared_ptr<status_desk> make_status_desk(net::runtime& rt, link& l, engine& e,
                                              ms::log_function log) {
    return std::make_shared<desk>(rt, l, e, std::move(log));
}

}  // namespace mission::receiver
