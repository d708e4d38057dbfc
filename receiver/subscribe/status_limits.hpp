// How much Mission Status may be asked, and how many may wait for it (see also base/limits.hpp).
#pragma once

#include <chrono>
#include <cstddef>

namespace mission::receiver::status_limits {

using namespace std::chrono_literals;

// Missions that nothing is held of: anybody who can name an id makes us ask. So many wait, and so
// many are asked for at once and in each second; the others are told that it is too much.
inline constexpr std::size_t strangers_waiting = 2000;
inline constexpr std::size_t strangers_burst = 500;
inline constexpr std::size_t strangers_per_second = 500;
// Callers of resolve() that wait, of all missions together: some hundred octets each.
inline constexpr std::size_t callers_waiting = 50'000;
// Nobody is kept in a queue for longer: a denial now is worth more than an answer much later.
inline constexpr auto queued_max = 10s;
// An id that Status does not know is not asked for again so soon, for as many ids as that.
inline constexpr auto not_found_kept = 3s;
inline constexpr std::size_t not_found = 10'000;
// After so many failures in a row the service is taken to be down: one request at a time looks
// whether it is back, after a pause that doubles.
inline constexpr unsigned failures_until_down = 5;
inline constexpr auto down_first = 200ms;
inline constexpr auto down_max = 10'000ms;

}  // namespace mission::receiver::status_limits
