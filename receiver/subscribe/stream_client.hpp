// Keeps our stream: discovery, creation or adoption, subjects; what comes after is the poller's and
// the watch's. One state machine on one strand; whatever fails is tried again with back-off and
// jitter.
//
//   discover -> settle the stream -> subjects -> (poll loop | push endpoint) + watch
//        ^            ^                                  |
//        |            +------------ 404: gone -----------+
//        +---- metadata lost or wrong
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/runtime.hpp"
#include "receiver/engine/engine.hpp"
#include "receiver/subscribe/intake.hpp"
#include "receiver/subscribe/link.hpp"
#include "receiver/subscribe/stream_plan.hpp"

namespace mission::receiver {

class stream_client {
  public:
    struct options {
        wanted_stream wanted;
        bool poll = true;
        std::chrono::milliseconds poll_timeout{};  // how long one poll may go unanswered
        bool missions_wanted = false;              // the host has asked for events about missions
        std::string audience;                      // empty: the stream's
        std::vector<std::string> mission_issuers;  // empty: the transmitter's
        std::vector<std::string> subjects;         // JSON texts
        std::string stream_id;                     // this one, made by the transmitter
        std::shared_ptr<quirk_log> quirks;
        ms::log_function log;
        std::function<void(const std::string&)> on_audience;
        // The stream is there; Status can be asked. `missions`: it carries events about missions,
        // or the host wants them.
        std::function<void(bool missions)> on_ready;
    };
    struct view {
        bool verified = false;
        std::string stream_id, iss, aud, problem;
    };
    virtual ~stream_client() = default;
    virtual void start() = 0;
    virtual void stop() = 0;      // nothing new is begun; THREAD: any
    virtual void verified() = 0;  // our verification came back; THREAD: any
    // The transmitter said that our stream is "enabled", "paused" or "disabled"; THREAD: any.
    virtual void updated(const std::string& status, const std::string& reason) = 0;
    virtual view look() const = 0;
};

std::shared_ptr<stream_client> make_stream_client(net::runtime& rt, link& l, engine& e,
                                                  std::shared_ptr<intake> sets,
                                                  stream_client::options o);

}  // namespace mission::receiver
