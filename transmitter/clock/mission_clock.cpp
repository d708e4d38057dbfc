#include "transmitter/clock/mission_clock.hpp"

#include <algorithm>
#include <map>
#include <mutex>

#include "jose/digest.hpp"
#include "transmitter/missions/settlement.hpp"

namespace mission::transmitter {
namespace {

// What comes due within this goes together: a commit each would cost more than it moves.
constexpr auto gather = std::chrono::milliseconds(50);
// A deadline waits no longer than this for the sake of streams that are behind.
constexpr auto patience = std::chrono::milliseconds(200);

class store_clock final : public mission_clock, public std::enable_shared_from_this<store_clock> {
  public:
    store_clock(service& common, std::vector<issuer_service*> issuers,
                std::shared_ptr<clock_guard> guard, std::shared_ptr<pacer> pace,
                std::chrono::milliseconds interval)
        : common_(common), guard_(std::move(guard)), pace_(std::move(pace)), interval_(interval) {
        auto urls = std::make_shared<std::map<store::issuer_id, std::string>>();
        for (auto* i : issuers)
            (*urls)[i->id] = i->settings.url;
        urls_ = std::move(urls);
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
        if (*due > now) return schedule(std::min<std::chrono::milliseconds>(*due - now, interval_));
        pace_->ask(
            [weak = weak_from_this()](pacer::turn t) {
                if (const auto self = weak.lock()) self->act(std::move(t));
            },
            patience);
    }

    // What one step has done; filled by the decision's last run.
    struct step {
        std::size_t looked_at = 0;
        std::chrono::steady_clock::time_point began;
    };

    // THREAD: network or writer.
    void act(pacer::turn turn) {
        std::size_t limit = 0;
        {
            const std::lock_guard lock(mutex_);
            if (stopped_) return;
            limit = size_.limit();
        }
        auto txn = jose::random_id(16, *common_.random);
        auto what = std::make_shared<step>();
        common_.db->submit_step(
            [what, limit, urls = urls_, txn](const store::rows& rows,
                                             wall_time now) -> result<store::changes> {
                *what = {0, std::chrono::steady_clock::now()};
                settlement s(rows, {{}, rows.log_epoch(), txn, now, urls}, true);
                for (const auto& [due, row] : rows.deadlines(now, limit)) {
                    s.settle(row);
                    ++what->looked_at;
                }
                return s.take();
            },
            [self = shared_from_this(), what, limit,
             turn = std::move(turn)](result<store::receipt> done) mutable {
                self->acted(*what, limit, done);
                turn.reset();
            });
    }

    // THREAD: writer.
    void acted(const step& what, std::size_t limit, const result<store::receipt>& done) {
        if (!done)
            log(level::warning, "deadlines could not be written",
                {{"why", done.error().message()}});
        const bool moved = done && !done->missions.empty();
        if (moved) {
            const std::lock_guard lock(mutex_);
            size_.took(what.looked_at, std::chrono::steady_clock::now() - what.began);
        }
        // At once again when there is more; never in a tight loop when nothing moved.
        const bool more = moved && what.looked_at >= limit;
        schedule(more ? std::chrono::milliseconds(0) : moved ? gather : interval_);
    }

    service& common_;
    const std::shared_ptr<clock_guard> guard_;
    const std::shared_ptr<pacer> pace_;
    const std::chrono::milliseconds interval_;
    std::shared_ptr<const std::map<store::issuer_id, std::string>> urls_;
    std::mutex mutex_;
    bool stopped_ = false;
    bool warned_ = false;
    step_size size_;
    std::unique_ptr<net::timer> timer_;
};

}  // namespace

std::shared_ptr<mission_clock> make_mission_clock(service& common,
                                                  std::vector<issuer_service*> issuers,
                                                  std::shared_ptr<clock_guard> guard,
                                                  std::shared_ptr<pacer> pace,
                                                  std::chrono::milliseconds interval) {
    return std::make_shared<store_clock>(common, std::move(issuers), std::move(guard),
                                         std::move(pace), interval);
}

}  // namespace mission::transmitter
