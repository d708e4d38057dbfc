// How long to wait: after a failed relation, and between tries of one rejected SET. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "base/random.hpp"
#include "base/time.hpp"

namespace mission::transmitter {

// Exponential from limits::backoff_first to limits::backoff_max with jitter: between half and all
// of the step, so that receivers that failed together do not return together. `failures` >= 1.
std::chrono::milliseconds backoff(unsigned failures, random_source& random);

// RFC 9110 section 10.2.3: seconds, or an HTTP date. Bounded by limits::retry_after_max; nullopt
// for what is neither.
std::optional<std::chrono::milliseconds> retry_after(std::string_view field, wall_time now);

// Before the try that follows `rejections` rejections of one SET: doubling, so that
// limits::dead_letter_tries tries lie within `max_stale` / 3 (wire.md section 2).
std::chrono::milliseconds rejection_gap(unsigned rejections, std::chrono::milliseconds max_stale);

}  // namespace mission::transmitter
