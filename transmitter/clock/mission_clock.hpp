// The clock's own moves (wire.md section 4): expiry and the end of suspensions, written at most a
// second after they are due, in steps of at most 1,000, so that a revocation never waits long.
#pragma once

#include <memory>
#include <vector>

#include "transmitter/clock/clock_guard.hpp"
#include "transmitter/clock/pacer.hpp"
#include "transmitter/service.hpp"

namespace mission::transmitter {

class mission_clock {
  public:
    virtual ~mission_clock() = default;
    virtual void start() = 0;
    virtual void stop() = 0;  // THREAD: any; nothing is submitted afterwards
};

// Looks at the store at least every `interval`; nothing has to be restored at a restart, because
// the deadlines are in the rows.
std::shared_ptr<mission_clock> make_mission_clock(
    service& common, std::vector<issuer_service*> issuers, std::shared_ptr<clock_guard> guard,
    std::shared_ptr<pacer> pace,
    std::chrono::milliseconds interval = std::chrono::milliseconds(400));

}  // namespace mission::transmitter
