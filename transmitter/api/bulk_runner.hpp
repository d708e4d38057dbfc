// Executes bulk jobs of one issuer: each member by itself, under the rules of one mission, in steps
// that leave the writer free for others. What has begun ends, whoever still waits: a job whose
// client has gone goes on, and so does one that a crash interrupted.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "transmitter/clock/pacer.hpp"
#include "transmitter/service.hpp"

namespace mission::transmitter {

class bulk_runner {
  public:
    virtual ~bulk_runner() = default;
    // Takes up what runs according to the store; removes jobs that are over, now and then.
    virtual void start() = 0;
    // THREAD: any. Nothing is submitted afterwards; who waits is told `unavailable`.
    virtual void stop() = 0;
    // Sees a job through that a decision has set running; `done` once it is over, at once when it
    // was. unavailable when a step cannot be written or the service stops: the job goes on later.
    // THREAD: any; `done` on a worker.
    virtual void run(const std::string& token_hash, std::function<void(result<void>)> done) = 0;
};

// `pace` null: steps follow at once.
std::shared_ptr<bulk_runner> make_bulk_runner(issuer_service& issuer,
                                              std::shared_ptr<pacer> pace = {});

}  // namespace mission::transmitter
