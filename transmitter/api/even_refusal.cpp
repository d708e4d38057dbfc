#include "transmitter/api/even_refusal.hpp"

#include <mutex>
#include <optional>

#include "base/limits.hpp"

namespace mission::transmitter {
namespace {

// The timer runs from the request's arrival, not from its judgement: so the end does not depend on
// how long judging took.
class even final : public net::responder::state {
  public:
    even(net::runtime& runtime, net::responder to) : wait_(std::make_shared<wait>()) {
        wait_->to = std::move(to);
        const std::lock_guard lock(wait_->mutex);
        // The callback owns what waits, since whoever judged has let go of it by then; the cycle
        // ends when the timer has fired or is dropped.
        wait_->clock = runtime.after(limits::refusal_time, [w = wait_] {
            std::optional<net::http_response> held;
            {
                const std::lock_guard held_lock(w->mutex);
                w->over = true;
                held = std::move(w->held);
                w->held.reset();
            }
            if (held) w->to(std::move(*held));
        });
    }
    ~even() override {
        const std::lock_guard lock(wait_->mutex);
        if (!wait_->held) wait_->clock.reset();
    }
    void respond(net::http_response r) override {
        {
            const std::lock_guard lock(wait_->mutex);
            if (r.status == 404 && !wait_->over) {
                wait_->held = std::move(r);
                return;
            }
            wait_->clock.reset();
        }
        wait_->to(std::move(r));
    }
    bool gone() const noexcept override { return wait_->to.gone(); }

  private:
    struct wait {
        std::mutex mutex;
        bool over = false;
        std::optional<net::http_response> held;
        net::responder to;
        std::unique_ptr<net::timer> clock;
    };
    std::shared_ptr<wait> wait_;
};

}  // namespace

net::responder even_refusal(net::runtime& runtime, net::responder to) {
    return net::responder(std::make_shared<even>(runtime, std::move(to)));
}

}  // namespace mission::transmitter
