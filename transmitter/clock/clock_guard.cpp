#include "transmitter/clock/clock_guard.hpp"

#include <sys/timex.h>
#include <time.h>

#include <algorithm>

#include "transmitter/service.hpp"

namespace mission::transmitter {

clock_guard::clock_guard(clock_reading start, wall_time last_commit)
    : last_commit_(last_commit), reference_(start) {
    observe(start);
}

bool clock_guard::observe(clock_reading r) {
    const auto drift = (r.wall - reference_.wall) - (r.boot - reference_.boot);
    const bool behind = r.wall < last_commit_;
    const bool jumped = drift > drift_max || drift < -drift_max;
    // A synchronised clock is right by somebody else's word, whatever it was before.
    const bool good = r.synchronised || (!behind && !jumped);
    if (good) {
        reference_ = r;
        if (r.synchronised) last_commit_ = std::min(last_commit_, r.wall);
        reason_.clear();
    } else if (behind) {
        reason_ = "the clock lies behind the last commit of the log";
    } else {
        reason_ = "the clock has jumped by " +
                  std::to_string(std::chrono::duration_cast<std::chrono::seconds>(drift).count()) +
                  " s against the time since boot";
    }
    trusted_.store(good, std::memory_order_relaxed);
    return good;
}

bool clock_trusted(const service& s) noexcept {
    return !s.guard || s.guard->trusted();
}

clock_reading read_clocks(const clock& time) {
    clock_reading r;
    r.wall = time.now();
    timespec boot{};
    ::clock_gettime(CLOCK_BOOTTIME, &boot);
    r.boot = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::seconds(boot.tv_sec) + std::chrono::nanoseconds(boot.tv_nsec));
    timex state{};
    const int status = ::adjtimex(&state);  // modes 0: a look, which needs no privilege
    r.synchronised = status >= 0 && status != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
    return r;
}

}  // namespace mission::transmitter
