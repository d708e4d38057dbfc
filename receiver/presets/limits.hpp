// Limits of the presets, with the reason beside each.
#pragma once

#include <chrono>
#include <cstddef>

namespace mission::receiver::presets::limits {

// A token, a password: what a secret's file may hold.
inline constexpr std::size_t secret_bytes = 64u << 10;
// An answer that is looked at: a list of connections, a job's status.
inline constexpr std::size_t answer_bytes = 4u << 20;
// Members of an evidence text: a task keeps it for good.
inline constexpr std::size_t evidence_bytes = 1000;
// How deep a cgroup below the one that is killed is looked into, and how many there may be.
inline constexpr std::size_t cgroup_depth = 32;
inline constexpr std::size_t cgroups = 10'000;
// Between looks at what the kernel or a database settles by itself.
inline constexpr auto look_again = std::chrono::milliseconds(5);

}  // namespace mission::receiver::presets::limits
