// Who asks Mission Status, when, and how often: one request per mission at a time, what the engine
// needs first, the others at a bounded rate, failures again while somebody depends on the answer.
//
// Everything that waits is bounded, and so is what an attacker who makes up ids can make us send
// (status_limits.hpp). While the service is down nobody waits for it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "net/runtime.hpp"
#include "receiver/engine/engine.hpp"
#include "receiver/subscribe/link.hpp"

namespace mission::receiver {

// Why an answer that did not come, or was none, leaves a denial as it is.
ms::cause cause_of(errc e) noexcept;

// THREAD: any; `done` on network or state threads, or at once.
class status_desk {
  public:
    virtual ~status_desk() = default;
    // `done` (may be null: the engine's own wish, which stands until it is met) is called once the
    // answer is durable, or with the reason why there is none.
    virtual void ask(const mission_key& key, bool urgent, std::function<void(ms::cause)> done) = 0;
    // One request for this asker alone, sent now: nobody's earlier question is answered with it,
    // and it waits behind none. `done` once what came is durable, or with the error.
    struct reply {
        result<status_word> word = errc::cancelled;
        std::chrono::steady_clock::time_point sent_at{}, received_at{};
    };
    virtual void ask_alone(const mission_key& key, std::function<void(reply)> done) = 0;
    // A new epoch: in this order, paced.
    virtual void confirm(std::vector<mission_key> keys) = 0;
    virtual void set_audience(std::string audience) = 0;
    virtual void stop() = 0;
};

std::shared_ptr<status_desk> make_status_desk(net::runtime& rt, link& l, engine& e,
                                              ms::log_function log);

}  // namespace mission::receiver
