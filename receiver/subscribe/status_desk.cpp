#include "receiver/subscribe/status_desk.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>

#include "base/limits.hpp"
#include "base/random.hpp"

namespace mission::receiver {
namespace {

constexpr auto retry_first = std::chrono::milliseconds(100);
constexpr auto retry_max = std::chrono::milliseconds(5000);
constexpr auto not_found_kept_ms = std::chrono::milliseconds(limits::status_not_found_kept).count();

struct job {
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
                        (urgent ? urgent_ : background_).push_back(key);
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
        {
            std::lock_guard lock(m_);
            stopped_ = true;
            pace_.reset();
            for (auto& [key, j] : jobs_) {
                for (auto& w : j.waiters)
                    waiters.push_back(std::move(w));
            }
            jobs_.clear();
        }
        for (auto& w : waiters)
            w();
    }

  private:
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

    void pump() {
        for (;;) {
            mission_key key;
            std::string audience;
            {
                std::lock_guard lock(m_);
                if (stopped_ || in_flight_ >= limits::status_in_flight) return;
                auto& from = urgent_.empty() ? background_ : urgent_;
                if (from.empty()) return;
                key = std::move(from.front());
                from.pop_front();
                auto it = jobs_.find(key);
                if (it == jobs_.end() || it->second.in_flight) continue;
                it->second.in_flight = true;
                ++in_flight_;
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
        if (r.has_error() && r.error().code != errc::mission_not_found && log_) {
            log_(ms::log_level::warning, "Mission Status failed",
                 {{"mission", key.id}, {"error", r.error().message()}});
        }
        if (r.has_error() && r.error() == errc::mission_not_found) {
            std::lock_guard lock(m_);
            if (not_found_.size() >= limits::status_not_found) not_found_.clear();
            not_found_[key] = coarse_now().mono;
        }
        engine_.on_status(key, r, asked, [self = shared_from_this(), key] { self->settled(key); });
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
                urgent_.push_back(key);
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
            background_.push_back(key);
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
    bool stopped_ = false;
    std::string audience_;
    std::size_t in_flight_ = 0;
    std::map<mission_key, job> jobs_;
    std::map<mission_key, std::int64_t> not_found_;
    std::deque<mission_key> urgent_, background_, confirming_;
    std::unique_ptr<net::timer> pace_;
};

}  // namespace

std::shared_ptr<status_desk> make_status_desk(net::runtime& rt, link& l, engine& e,
                                              ms::log_function log) {
    return std::make_shared<desk>(rt, l, e, std::move(log));
}

}  // namespace mission::receiver
