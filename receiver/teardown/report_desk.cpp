#include "receiver/teardown/report_desk.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "base/random.hpp"
#include "jose/digest.hpp"
#include "receiver/freshness/freshness.hpp"
#include "receiver/subscribe/http_calls.hpp"

namespace mission::receiver {
namespace {

using std::chrono::milliseconds;

// While the transmitter cannot be reached: so many wait, a few KiB each. Teardown itself needs none
// of them.
constexpr std::size_t reports_waiting = 10'000;
// So many missions in a row that it says it does not know, and none that it does: whoever answers
// has no such endpoint.
constexpr unsigned not_found_max = 3;

std::vector<ms::log_field> about(const report_record& r) {
    return {{"mission", r.mission.id},
            {"version", std::to_string(r.version)},
            {"complete", r.complete ? "true" : "false"}};
}

class desk final : public report_desk, public std::enable_shared_from_this<desk> {
  public:
    desk(net::runtime& rt, state& s, task_runner& runner, link& l, report_desk_options o)
        : rt_(rt), state_(s), runner_(runner), link_(l), o_(std::move(o)) {}

    void restore(std::vector<report_record> reports) override {
        std::lock_guard lock(m_);
        for (auto& r : reports) {
            if (!r.sent) order_.push_back(r.mission);
            auto key = r.mission;
            reports_.insert_or_assign(std::move(key), std::move(r));
        }
    }

    void closed(const teardown_account& a, state_write& w) override {
        std::unique_lock lock(m_);
        add(a, w);
        unlock_and_log(lock);
    }

    void start() override { look_soon(o_.look_every); }

    void kick() override { send_next(); }

    void stop() override {
        std::unique_ptr<net::timer> look, retry;
        std::lock_guard lock(m_);
        stopped_ = true;
        look = std::move(look_);
        retry = std::move(retry_);
    }

    counts look() const override {
        std::lock_guard lock(m_);
        return {sent_, order_.size(), refused_};
    }

  private:
    // Under the lock. A final report replaces the interim one, sent or not.
    void add(const teardown_account& a, state_write& w) {
        if (off_ || stopped_) return;
        if (order_.size() >= reports_waiting) {
            if (!std::exchange(full_told_, true))
                log(ms::log_level::error,
                    "teardown reports cannot be sent, and no more of them are kept", {});
            return;
        }
        const auto transmitter = o_.transmitter();
        auto made = make_report(a, o_.author, transmitter.empty() ? a.mission.issuer : transmitter,
                                to_wall(coarse_now()), jose::random_id(18));
        if (made.has_error()) {
            log(ms::log_level::error, "a teardown report cannot be signed",
                {{"mission", a.mission.id}, {"error", made.error().message()}});
            return;
        }
        const auto [it, first] = reports_.try_emplace(a.mission);
        if (first || it->second.sent) order_.push_back(a.mission);
        it->second = *made;
        w.reports.push_back(std::move(*made));
    }

    void look_soon(milliseconds delay) {
        std::lock_guard lock(m_);
        if (stopped_) return;
        look_ = rt_.after(delay, [weak = weak_from_this()] {
            if (auto self = weak.lock()) self->look_at_slow();
        });
    }

    void look_at_slow() {
        auto slow = runner_.take_slow(o_.interim_after);
        state_write w;
        {
            std::unique_lock lock(m_);
            for (const auto& a : slow) {
                // Told already, in the last run perhaps.
                const auto it = reports_.find(a.mission);
                if (it != reports_.end() && it->second.version == a.version) continue;
                add(a, w);
            }
            if (stopped_) return;
            if (!w.reports.empty()) state_.submit(std::move(w), nullptr);
            unlock_and_log(lock);
        }
        send_next();
        look_soon(o_.look_every);
    }

    void send_next() {
        const auto m = link_.metadata();
        if (!m) return;
        link::call c;
        report_record r;
        {
            std::unique_lock lock(m_);
            if (stopped_ || off_ || busy_ || waiting_) return;
            if (m->mission_status_endpoint.empty() && o_.reports_url.empty())
                return give_up(lock, "the transmitter takes no teardown reports: none are made");
            if (order_.empty()) return;
            r = reports_.at(order_.front());
            busy_ = true;
        }
        c.method = "POST";
        c.url = report_url(o_.reports_url, m->issuer, r.mission.id);
        c.body = r.body;
        c.content_type = "application/json";
        c.idempotency_key = r.key;
        c.what_for = token_source::purpose::reports;
        link_.send(std::move(c), [self = shared_from_this(), r](result<net::http_response> x) {
            self->answered(r, x);
        });
    }

    void answered(const report_record& r, const result<net::http_response>& x) {
        auto fate = x.has_value() ? fate_of(x->status, x->body) : report_fate::later;
        // The token endpoint gives us no token for it.
        if (x.has_error() && x.error() == errc::insufficient_scope) fate = report_fate::forbidden;
        const auto why =
            x.has_error() ? x.error() : link_.unexpected_answer(*x, "the reports endpoint");
        std::unique_lock lock(m_);
        busy_ = false;
        if (stopped_) return;
        if (fate == report_fate::refused && x->status == 404 && ++not_found_ >= not_found_max)
            fate = report_fate::absent;
        if (fate == report_fate::absent && sent_ > 0) {
            // It has worked before: that mission is gone for us, or a proxy has lost its way.
            fate = x->status == 404 && not_found_ > 0 ? report_fate::refused : report_fate::later;
        }
        switch (fate) {
            case report_fate::sent:
                ++sent_;
                failures_ = not_found_ = 0;
                if (std::exchange(forbidden_told_, false))
                    log(ms::log_level::info, "teardown reports are taken now", {});
                full_told_ = false;
                settle(r, true);
                log(ms::log_level::info, "teardown report sent", about(r));
                break;
            case report_fate::refused: {
                ++refused_;
                settle(r, false);
                auto fields = about(r);
                fields.push_back({"error", why.message()});
                log(ms::log_level::warning, "teardown report refused: not sent again",
                    std::move(fields));
                break;
            }
            case report_fate::absent:
                return give_up(lock,
                               "there is no reports endpoint: no teardown reports are made (" +
                                   why.message() + ")");
            case report_fate::forbidden:
                if (!std::exchange(forbidden_told_, true))
                    log(ms::log_level::warning,
                        "teardown reports are not allowed: the client needs scope mission.read or "
                        "mission.write",
                        {{"error", why.message()}});
                wait(o_.forbidden_wait);
                return unlock_and_log(lock);
            case report_fate::later: {
                ++failures_;
                if (failures_ == 1)
                    log(ms::log_level::warning, "teardown report not sent: tried again",
                        {{"mission", r.mission.id}, {"error", why.message()}});
                auto d = o_.retry_first;
                for (unsigned n = 1; n < failures_ && d < o_.retry_max; ++n)
                    d *= 2;
                d = std::min(d, o_.retry_max);
                d -= milliseconds(
                    system_random().below(static_cast<std::uint64_t>(d.count() / 2 + 1)));
                if (x.has_value()) d = std::max(d, retry_after_of(*x));
                wait(d);
                return unlock_and_log(lock);
            }
        }
        unlock_and_log(lock);
        send_next();
    }

    // Under the lock. It may have been replaced while it was under way.
    void settle(const report_record& r, bool taken) {
        const auto it = reports_.find(r.mission);
        if (it == reports_.end() || it->second.key != r.key) return;
        if (!order_.empty() && order_.front() == r.mission) {
            order_.pop_front();
        } else {
            std::erase(order_, r.mission);
        }
        state_write w;
        if (r.complete || !taken) {
            w.settled_reports.push_back(r.mission);
            reports_.erase(it);
        } else {
            // Kept: that the end was told as incomplete, also after a restart.
            it->second.sent = true;
            it->second.body.clear();
            w.reports.push_back(it->second);
        }
        state_.submit(std::move(w), nullptr);
    }

    // Under the lock.
    void wait(milliseconds delay) {
        waiting_ = true;
        retry_ = rt_.after(delay, [weak = weak_from_this()] {
            auto self = weak.lock();
            if (!self) return;
            {
                std::lock_guard lock(self->m_);
                self->waiting_ = false;
            }
            self->send_next();
        });
    }

    void give_up(std::unique_lock<std::mutex>& lock, const std::string& why) {
        off_ = true;
        state_write w;
        for (const auto& [mission, r] : reports_)
            w.settled_reports.push_back(mission);
        const bool any = !reports_.empty();
        reports_.clear();
        order_.clear();
        if (any) state_.submit(std::move(w), nullptr);
        // Not worth a line to whoever never had anything to report.
        log(any ? ms::log_level::info : ms::log_level::debug, why, {});
        unlock_and_log(lock);
    }

    // The host's log function is called without the lock: it may ask us how we are.
    void log(ms::log_level level, std::string text, std::vector<ms::log_field> fields) {
        lines_.push_back({level, std::move(text), std::move(fields)});
    }
    void unlock_and_log(std::unique_lock<std::mutex>& lock) {
        const auto lines = std::exchange(lines_, {});
        lock.unlock();
        if (!o_.log) return;
        for (const auto& l : lines)
            o_.log(l.level, l.text, l.fields);
    }

    struct line {
        ms::log_level level;
        std::string text;
        std::vector<ms::log_field> fields;
    };

    net::runtime& rt_;
    state& state_;
    task_runner& runner_;
    link& link_;
    const report_desk_options o_;
    mutable std::mutex m_;
    std::map<mission_key, report_record> reports_;  // waiting, and interim ones that were sent
    std::deque<mission_key> order_;                 // of those that wait
    std::uint64_t sent_ = 0, refused_ = 0;
    unsigned failures_ = 0, not_found_ = 0;
    bool busy_ = false, waiting_ = false, off_ = false, stopped_ = false;
    bool full_told_ = false, forbidden_told_ = false;
    std::vector<line> lines_;  // to be logged
    std::unique_ptr<net::timer> look_, retry_;
};

}  // namespace

std::shared_ptr<report_desk> make_report_desk(net::runtime& rt, state& s, task_runner& runner,
                                              link& l, report_desk_options o) {
    return std::make_shared<desk>(rt, s, runner, l, std::move(o));
}

}  // namespace mission::receiver
