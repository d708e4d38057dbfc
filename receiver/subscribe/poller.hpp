// The poll loop (RFC 8936): one request at a time, acknowledgements on the next one.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "mission_signals/receiver.hpp"
#include "net/runtime.hpp"
#include "receiver/subscribe/intake.hpp"
#include "receiver/subscribe/link.hpp"

namespace mission::receiver {

// THREAD: start() and stop() on the strand that it was given; hooks are called there.
class poller {
  public:
    struct hooks {
        ms::log_function log;
        std::function<void(const error&)> problem;  // it is tried again
        std::function<void()> fine;                 // an answer as it should be
        std::function<void()> gone;                 // 404: the loop has ended
    };
    virtual ~poller() = default;
    // Another URL: what was under way is forgotten, and what was not acknowledged comes again.
    virtual void start(std::string endpoint_url) = 0;
    virtual void stop() = 0;
};

// `patience`: how long one poll may go unanswered.
std::shared_ptr<poller> make_poller(std::shared_ptr<net::strand> strand, link& l,
                                    std::shared_ptr<intake> sets,
                                    std::chrono::milliseconds patience, poller::hooks h);

// How long to wait before asking again, after `empty` answers in a row that came at once: a
// transmitter that does not hold a poll open is not asked without end. Pure.
std::chrono::milliseconds idle_poll_delay(unsigned empty) noexcept;

}  // namespace mission::receiver
