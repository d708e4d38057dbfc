#include "transmitter/clock/pacer.hpp"

#include <algorithm>
#include <deque>
#include <mutex>
#include <utility>

namespace mission::transmitter {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr auto look_again = 20ms;  // while streams are behind
constexpr auto step_time = 20ms;   // of the writer: a decision waits for one of these
constexpr std::size_t step_most = 1000;
constexpr std::size_t step_least = 50;  // a step has its commit to pay for

class one_at_a_time final : public pacer, public std::enable_shared_from_this<one_at_a_time> {
  public:
    one_at_a_time(net::runtime& runtime, pace how) : runtime_(runtime), how_(std::move(how)) {}

    void ask(std::function<void(turn)> go, milliseconds patience) override {
        std::function<void()> first;
        {
            const std::lock_guard lock(mutex_);
            if (stopped_) return;
            queue_.push_back({std::move(go), steady_clock::now() + patience});
            first = next();
        }
        if (first) runtime_.post(std::move(first));
    }

    void stop() override {
        std::deque<waiting> forgotten;  // what they hold may let go of a turn
        const std::lock_guard lock(mutex_);
        stopped_ = true;
        timer_.reset();
        forgotten.swap(queue_);
    }

  private:
    struct waiting {
        std::function<void(turn)> go;
        steady_clock::time_point until;  // streams are waited for
    };

    // Under the lock. Whose turn it is now; null: nobody's yet. Called without the lock.
    std::function<void()> next() {
        if (stopped_ || taken_ || timer_ || queue_.empty()) return nullptr;
        if (how_.lag && how_.lag() > how_.lag_max && steady_clock::now() < queue_.front().until) {
            timer_ = runtime_.after(look_again, [weak = weak_from_this()] {
                if (const auto self = weak.lock()) self->look();
            });
            return nullptr;
        }
        taken_ = true;
        auto go = std::move(queue_.front().go);
        queue_.pop_front();
        return [go = std::move(go), t = make_turn()]() mutable { go(std::move(t)); };
    }

    void look() {
        std::function<void()> first;
        {
            const std::lock_guard lock(mutex_);
            timer_.reset();
            first = next();
        }
        if (first) first();
    }

    turn make_turn() {
        return {static_cast<void*>(this), [weak = weak_from_this()](void*) {
                    if (const auto self = weak.lock()) self->ended();
                }};
    }

    // At once, where the turn was let go: the network's threads are busiest when there is most to
    // step through, and each hop over them would leave the writer idle.
    void ended() {
        std::function<void()> following;
        {
            const std::lock_guard lock(mutex_);
            taken_ = false;
            following = next();
        }
        if (following) following();
    }

    net::runtime& runtime_;
    const pace how_;
    std::mutex mutex_;
    bool stopped_ = false;
    bool taken_ = false;
    std::deque<waiting> queue_;
    std::unique_ptr<net::timer> timer_;  // set: nobody's turn before it
};

}  // namespace

std::shared_ptr<pacer> make_pacer(net::runtime& runtime, pace how) {
    return std::make_shared<one_at_a_time>(runtime, std::move(how));
}

void step_size::took(std::size_t done, std::chrono::nanoseconds time) noexcept {
    const auto target = std::chrono::nanoseconds(step_time).count();
    const auto was = std::max<std::int64_t>(time.count(), 1);
    if (was > target) {
        // Never by more than half: a single slow commit is no measure.
        const auto fitting =
            static_cast<std::size_t>(static_cast<std::int64_t>(limit_) * target / was);
        limit_ = std::max({step_least, limit_ / 2, fitting});
    } else if (done >= limit_) {
        const auto fitting =
            static_cast<std::size_t>(static_cast<std::int64_t>(limit_) * target / was);
        limit_ = std::min({step_most, limit_ + limit_ / 4, std::max(fitting, limit_)});
    }
}

}  // namespace mission::transmitter
