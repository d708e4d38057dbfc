// May the clock move missions? Design section 4: when wall time has jumped against the time since
// boot, or lies behind what the log has seen, transitions that only the clock causes wait. Pure;
// the shell hands in both readings. Denial does not wait: a receiver denies an expired mission
// itself.
#pragma once

#include <atomic>
#include <chrono>
#include <string>

#include "base/time.hpp"

namespace mission::transmitter {

struct clock_reading {
    wall_time wall{};
    std::chrono::milliseconds boot{};  // CLOCK_BOOTTIME: runs on while the machine sleeps
    bool synchronised = false;         // the kernel says that a time service disciplines the clock
};

class clock_guard {
  public:
    static constexpr std::chrono::seconds drift_max{60};

    // `last_commit`: of the log, epoch 0 when it is empty.
    clock_guard(clock_reading start, wall_time last_commit);
    // A look; THREAD: one caller. Returns what trusted() says from now on.
    bool observe(clock_reading r);
    // THREAD: any.
    bool trusted() const noexcept { return trusted_.load(std::memory_order_relaxed); }
    // Why not; for the log. THREAD: of observe.
    const std::string& reason() const noexcept { return reason_; }

  private:
    wall_time last_commit_;
    // The last reading that was trusted; a doubtful one never moves it, so that a clock which is
    // set back to right is believed again.
    clock_reading reference_;
    std::atomic<bool> trusted_{true};
    std::string reason_;
};

clock_reading read_clocks(const clock& time);

}  // namespace mission::transmitter
