// Events on their way to the host's handlers: each is called for until it is acknowledged.
//
//   stored with its (iss, jti) -> SET acknowledged -> handler -> acknowledged: the row goes
//                                                        |
//                                                        +-> anything else: again, with back-off
//
// One event of a (handler, subject) runs at a time, in order of arrival; one that waits for its
// next try is stepped over, so that a handler which fails for one event hides no later one.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.hpp"
#include "net/runtime.hpp"
#include "receiver/inbox/event_record.hpp"

namespace mission::receiver {

// THREAD: add_handler() before start(); everything else from any thread.
class inbox {
  public:
    struct hooks {
        ms::executor execute;
        // Durably: the failed try (erase = false), or that it is done with.
        std::function<void(const event_record&, bool erase)> record;
        // `handler`: by its name.
        std::function<void(const event_record&, bool done, const std::string& handler)> log;
    };
    virtual ~inbox() = default;  // stops

    // ms::setup_error: a name or a type twice, or a second catch-all.
    virtual void add_handler(std::string name, std::vector<std::string> types,
                             ms::event_handler fn) = 0;
    virtual bool wants(std::string_view type) const = 0;
    // Takes a place for an event of this size; false when there is none: the SET has to come
    // again. What has a place is released once it is on disk.
    virtual bool reserve(std::size_t bytes) = 0;
    // Such a place is not needed: what it was for cannot be handed on.
    virtual void give_back(std::size_t bytes) noexcept = 0;
    // It is on disk: it may run.
    virtual void release(event_record e) = 0;
    // What the rows say at start. Without a handler of today they are kept for a later one.
    virtual void restore(std::vector<event_record> events) = 0;

    virtual void start(net::runtime& rt, hooks h) = 0;
    // Nothing new begins. Handlers that run are waited for, at most 10 seconds: one that runs on is
    // left behind, and its event is tried again by the next start.
    virtual void stop() = 0;
    virtual std::size_t open_count() const = 0;
};

std::unique_ptr<inbox> make_inbox(random_source& random);

// 100 ms, doubling to 30 s, with jitter on the upper half. Pure.
std::chrono::milliseconds event_retry_delay(unsigned attempts, random_source& random);

}  // namespace mission::receiver
