// What a receiver takes in memory for each mission. Private to the benchmark.
#pragma once

#include <cstddef>
#include <string>

namespace mission::bench {

// The id of the n-th mission: 32 characters, as random as a transmitter's.
std::string mission_id(std::size_t n);
inline constexpr const char* mission_issuer = "https://mas.example.com";

// Resident octets that one mission adds to a process: of an engine that has loaded so many from its
// state, whole: table, working set, what the loading itself has left behind. In a process of its
// own, so that nothing else is counted.
double bytes_per_mission(std::size_t missions);

}  // namespace mission::bench
