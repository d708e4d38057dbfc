// A call at a moment, where milliseconds are too coarse.
#pragma once

#include <chrono>
#include <functional>

#include "net/runtime.hpp"

namespace mission::net {

// Runs `fn` once on a network thread when the moment has come, at once if it has passed. Cannot be
// recalled; a runtime that stops before drops it. THREAD: any.
void run_at(runtime& rt, std::chrono::steady_clock::time_point when, std::function<void()> fn);

}  // namespace mission::net
