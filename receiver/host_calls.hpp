// The host's callbacks: where they run, and what they cannot break.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "mission_signals/receiver.hpp"
#include "receiver/teardown/pool.hpp"

namespace mission::receiver {

namespace ms = mission_signals;

// THREAD: any. Outlived by `o`, not by the jobs that a host's executor still has.
class host_calls {
  public:
    explicit host_calls(const ms::options& o);

    // What a callback of the host throws ends with it, and is logged.
    std::function<void()> guarded(std::function<void()> callback) const;
    // On the host's executor, else in `pool`, else here and now. A host's executor may run a job
    // after close(), when there is nobody left for it to look at: such a job is dropped.
    void run(std::function<void()> callback, worker_pool* pool) const;
    // Waits for those that are running, at most so long; false when some still are.
    bool close(std::chrono::milliseconds patience);

  private:
    struct gate;
    const ms::options& o_;
    const std::shared_ptr<gate> gate_;
};

}  // namespace mission::receiver
