// Keeps our stream: discovery, creation or adoption, verification, and the poll loop. One state
// machine on one strand; whatever fails is tried again with back-off and jitter.
//
//   discover -> settle the stream -> (poll loop | push endpoint) -> verify
//        ^            ^                    |
//        |            +---- 404: gone -----+
//        +---- metadata lost or wrong
#pragma once

#include <functional>
#include <memory>
#include <string>

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
        std::string audience;                      // empty: the stream's
        std::vector<std::string> mission_issuers;  // empty: the transmitter's
        ms::log_function log;
        std::function<void(const std::string&)> on_audience;
        std::function<void()> on_ready;  // the stream is there; Status can be asked
    };
    struct view {
        bool verified = false;
        std::string stream_id, iss, aud, problem;
    };
    virtual ~stream_client() = default;
    virtual void start() = 0;
    virtual void stop() = 0;      // nothing new is begun; THREAD: any
    virtual void verified() = 0;  // our verification came back; THREAD: any
    virtual view look() const = 0;
};

std::shared_ptr<stream_client> make_stream_client(net::runtime& rt, link& l, engine& e,
                                                  std::shared_ptr<intake> sets,
                                                  stream_client::options o);

// 50 ms, growing to `cap`, with jitter: a transmitter that restarts is found again at once.
std::chrono::milliseconds reconnect_delay(unsigned failures, std::chrono::milliseconds cap,
                                          random_source& random);

}  // namespace mission::receiver
