// Whether our stream lives: its verification and its status, each asked for in its time.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "mission_signals/receiver.hpp"
#include "net/runtime.hpp"
#include "receiver/engine/engine.hpp"
#include "receiver/subscribe/link.hpp"

namespace mission::receiver {

// THREAD: all methods on the strand that it was given; hooks are called there.
class stream_watch {
  public:
    struct hooks {
        ms::log_function log;
        std::function<void(const std::string&)> problem;  // asked again by itself
        std::function<void(const std::string&)> stopped;  // the transmitter has stopped the stream
        std::function<void()> enabled;                    // ... and it runs again
        std::function<void(const error&)> gone;           // 404 for its status
    };
    struct watched {
        std::string stream_id, status_endpoint, verification_endpoint;  // endpoints may be empty
        std::chrono::seconds inactivity_timeout{0}, min_verification_interval{0};
        // Asked for its status at least this often; 0: inactivity_timeout alone decides.
        std::chrono::milliseconds status_every{0};
        // A verification proves liveness for so long; 0: it does not.
        std::chrono::seconds proof_lasts{0};
    };
    virtual ~stream_watch() = default;
    // The stream is there: verified at once, and its status read. Another one: what was under way
    // is forgotten.
    virtual void start(watched w) = 0;
    virtual void stop() = 0;
    // Our verification came back. False when the stream is stopped: it is not up, whatever was on
    // its way.
    virtual bool verified() = 0;
    // What the transmitter says of its status, asked or by itself: "enabled", "paused", "disabled".
    virtual void updated(const std::string& status, const std::string& reason) = 0;
    virtual bool is_enabled() const = 0;
};

std::shared_ptr<stream_watch> make_stream_watch(std::shared_ptr<net::strand> strand, link& l,
                                                engine& e, stream_watch::hooks h);

}  // namespace mission::receiver
