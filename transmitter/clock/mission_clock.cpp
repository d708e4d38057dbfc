#include "transmitter/clock/mission_clock.hpp"

#include <algorithm>
#include <map>
#include <mutex>

#include "jose/digest.hpp"
#include "transmitter/missions/commit.hpp"

namespace mission::transmitter {
namespace {

constexpr std::size_t step = 1000;
constexpr auto soonest = std::chrono::milliseconds(5);

class store_clock final : public mission_clock, public std::enable_shared_from_this<store_clock> {
  public:
    store_clock(service& common, std::vector<issuer_service*> issuers,
                std::shared_ptr<clock_guard> guard, std::chrono::milliseconds interval)
        : common_(common), guard_(std::move(guard)), interval_(interval) {
        for (auto* i : issuers)
            urls_[i->id] = i->settings.url;
    }

    void start() override { schedule(std::chrono::milliseconds(0)); }

    void stop() override {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
        timer_.reset();
    }

  private:
    void schedule(std::chrono::milliseconds delay) {
        const std::lock_guard lock(mutex_);
        if (stopped_) return;
        timer_ = common_.runtime->after(delay, [weak = weak_from_this()] {
            if (auto self = weak.lock()) self->look();
        });
    }

    // THREAD: network.
    void look() {
        const bool was = guard_->trusted();
        const bool is = guard_->observe(read_clocks(*common_.time));
        if (was != is || (!is && !warned_)) {
            warned_ = !is;
            if (is)
                log(level::info, "the clock is believed again: deadlines are acted on");
            else
                log(level::warning, "deadlines wait, because the clock is in doubt",
                    {{"why", guard_->reason()}});
        }
        if (!is) return schedule(interval_);
        auto due = std::make_shared<std::optional<wall_time>>();
        common_.db->read([due](const store::rows& rows) { *due = rows.next_deadline(); },
                         [self = shared_from_this(), due](result<void> done) {
                             self->looked(done ? *due : std::nullopt);
                         });
    }

    // THREAD: a reader's.
    void looked(std::optional<wall_time> due) {
        const auto now = common_.time->now();
        if (!due) return schedule(interval_);
        if (*due <= now) return act();
        schedule(std::clamp<std::chrono::milliseconds>(*due - now, soonest, interval_));
    }

    void act() {
        {
            const std::lock_guard lock(mutex_);
            if (stopped_) return;
        }
        auto txn = jose::random_id(16, *common_.random);
        common_.db->submit(
            [urls = urls_, txn](const store::rows& rows, wall_time now) -> result<store::changes> {
                store::changes out;
                for (const auto& [due, row] : rows.deadlines(now, step)) {
                    auto m = rows.find_mission(row);
                    if (!m) continue;
                    const auto url = urls.find(m->record.issuer);
                    if (url == urls.end()) continue;
                    settle_clock(rows, *m, out, {url->second, rows.log_epoch(), txn, now}, true);
                }
                return out;
            },
            [self = shared_from_this()](result<store::receipt> done) {
                if (!done)
                    log(level::warning, "deadlines could not be written",
                        {{"why", done.error().message()}});
                // At once again when there may be more; never in a tight loop when nothing moved.
                const bool more = done && done->missions.size() >= step;
                self->schedule(more ? soonest : std::min(self->interval_, interval_after(done)));
            });
    }

    static std::chrono::milliseconds interval_after(const result<store::receipt>& done) {
        return done && !done->missions.empty() ? soonest : std::chrono::milliseconds(400);
    }

    service& common_;
    const std::shared_ptr<clock_guard> guard_;
    const std::chrono::milliseconds interval_;
    std::map<store::issuer_id, std::string> urls_;
    std::mutex mutex_;
    bool stopped_ = false;
    bool warned_ = false;
    std::unique_ptr<net::timer> timer_;
};

}  // namespace

std::shared_ptr<mission_clock> make_mission_clock(service& common,
                                                  std::vector<issuer_service*> issuers,
                                                  std::shared_ptr<clock_guard> guard,
                                                  std::chrono::milliseconds interval) {
    return std::make_shared<store_clock>(common, std::move(issuers), std::move(guard), interval);
}

}  // namespace mission::transmitter
