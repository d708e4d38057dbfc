// When a failed call is tried again. Pure.
#pragma once

#include <algorithm>
#include <chrono>

#include "base/error.hpp"
#include "base/random.hpp"

namespace mission::receiver {

// 50 ms, growing to `cap`, with jitter: a transmitter that restarts is found again at once.
inline std::chrono::milliseconds reconnect_delay(unsigned failures, std::chrono::milliseconds cap,
                                                 random_source& random) {
    auto d = std::chrono::milliseconds(50);
    for (unsigned n = 1; n < failures && d < cap; ++n)
        d *= 2;
    d = std::min(d, cap);
    return d - std::chrono::milliseconds(random.below(static_cast<std::uint64_t>(d.count() / 2)));
}

// A refused connection costs nothing: looked at often for the first minute.
inline std::chrono::milliseconds retry_after_failure(const error& e, unsigned failures,
                                                     random_source& random) {
    constexpr unsigned quick_tries = 150;
    const bool quick = e == errc::connect_failed && failures < quick_tries;
    return reconnect_delay(failures, std::chrono::milliseconds(quick ? 400 : 5000), random);
}

}  // namespace mission::receiver
