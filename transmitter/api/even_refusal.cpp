#include "transmitter/api/even_refusal.hpp"

#include <chrono>
#include <utility>

#include "base/limits.hpp"
#include "net/run_at.hpp"

namespace mission::transmitter {
namespace {

// The end is a moment counted from the request's arrival, kept to the microsecond: it does not
// depend on how long judging took. A timer is started for those alone that wait.
class even final : public net::responder::state {
  public:
    even(net::runtime& runtime, net::responder to)
        : runtime_(runtime),
          to_(std::move(to)),
          end_(std::chrono::steady_clock::now() + limits::refusal_time) {}
    void respond(net::http_response r) override {
        if (r.status != 404 || std::chrono::steady_clock::now() >= end_) return to_(std::move(r));
        net::run_at(runtime_, end_, [to = to_, r = std::move(r)]() mutable { to(std::move(r)); });
    }
    bool gone() const noexcept override { return to_.gone(); }

  private:
    net::runtime& runtime_;
    net::responder to_;
    const std::chrono::steady_clock::time_point end_;
};

}  // namespace

net::responder even_refusal(net::runtime& runtime, net::responder to) {
    return net::responder(std::make_shared<even>(runtime, std::move(to)));
}

}  // namespace mission::transmitter
