#include "transmitter/clock/family_drain.hpp"

#include <map>
#include <mutex>
#include <utility>

#include "base/crash_point.hpp"
#include "jose/digest.hpp"
#include "transmitter/missions/drain.hpp"

namespace mission::transmitter {
namespace {

constexpr auto retry_after_failure = std::chrono::milliseconds(250);

class store_drain final : public family_drain, public std::enable_shared_from_this<store_drain> {
  public:
    store_drain(service& common, const std::vector<issuer_service*>& issuers,
                std::shared_ptr<pacer> pace)
        : common_(common), pace_(std::move(pace)) {
        auto urls = std::make_shared<std::map<store::issuer_id, std::string>>();
        for (const auto* i : issuers)
            (*urls)[i->id] = i->settings.url;
        urls_ = std::move(urls);
    }

    void start() override { wake(); }

    void wake() override {
        const std::lock_guard lock(mutex_);
        if (stopped_) return;
        again_ = true;
        if (std::exchange(busy_, true)) return;
        ask();
    }

    void stop() override {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
        timer_.reset();
    }

  private:
    // What one step has done; filled by the decision's last run.
    struct step {
        drained what;
        std::chrono::steady_clock::time_point began;
    };

    // Under the lock.
    void ask() {
        pace_->ask([weak = weak_from_this()](pacer::turn t) {
            if (const auto self = weak.lock()) self->take(std::move(t));
        });
    }

    // THREAD: network or writer.
    void take(pacer::turn turn) {
        std::size_t limit = 0;
        {
            const std::lock_guard lock(mutex_);
            if (stopped_) return;
            again_ = false;  // what is marked from here on is seen by the decision or told again
            limit = size_.limit();
        }
        auto done = std::make_shared<step>();
        auto txn = jose::random_id(16, *common_.random);
        common_.db->submit_step(
            [done, limit, txn, urls = urls_, clock_ok = clock_trusted(common_)](
                const store::rows& rows, wall_time now) -> result<store::changes> {
                done->began = std::chrono::steady_clock::now();
                return drain_step(rows, {{}, rows.log_epoch(), txn, now, urls}, clock_ok, limit,
                                  done->what);
            },
            [self = shared_from_this(), done,
             turn = std::move(turn)](result<store::receipt> receipt) mutable {
                self->stepped(*done, receipt);
                turn.reset();
            });
    }

    // THREAD: writer.
    void stepped(const step& done, const result<store::receipt>& receipt) {
        // Tests kill the process here: some children are visited, others are not.
        if (receipt && done.what.visited > 0) crash_point("drain_step");
        const std::lock_guard lock(mutex_);
        if (stopped_) return;
        if (!receipt) {
            log(level::warning, "descendants could not be written",
                {{"why", receipt.error().message()}});
            timer_ = common_.runtime->after(retry_after_failure, [weak = weak_from_this()] {
                const auto self = weak.lock();
                if (!self) return;
                const std::lock_guard held(self->mutex_);
                if (!self->stopped_) self->ask();
            });
            return;
        }
        if (done.what.visited > 0)
            size_.took(done.what.visited, std::chrono::steady_clock::now() - done.began);
        if (done.what.idle && !again_) {
            busy_ = false;
            return;
        }
        ask();
    }

    service& common_;
    const std::shared_ptr<pacer> pace_;
    std::shared_ptr<const std::map<store::issuer_id, std::string>> urls_;
    std::mutex mutex_;
    bool stopped_ = false;
    bool busy_ = false;   // asked, on its way, or waiting to try again
    bool again_ = false;  // woken since the step on its way began
    step_size size_;
    std::unique_ptr<net::timer> timer_;
};

}  // namespace

std::shared_ptr<family_drain> make_family_drain(service& common,
                                                const std::vector<issuer_service*>& issuers,
                                                std::shared_ptr<pacer> pace) {
    return std::make_shared<store_drain>(common, issuers, std::move(pace));
}

}  // namespace mission::transmitter
