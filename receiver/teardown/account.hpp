// How the teardown of one mission's end stands: what a report is made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "receiver/teardown/task_record.hpp"

namespace mission::receiver {

// So many tasks are named, those that are not confirmed first; of the others there are counts. A
// report of so many fits into what a transmitter takes (8 KiB).
inline constexpr std::size_t account_tasks_named = 24;

struct teardown_account {
    mission_key mission;
    ms::effect why{};
    std::int64_t version = 0;
    wall_time since{};             // when the first of the tasks was made
    std::size_t acknowledged = 0;  // by a handler
    std::size_t released = 0;      // gone by other means, as the host says
    std::size_t open = 0;          // not confirmed: to be treated as still running
    std::vector<task_record> named;

    bool complete() const noexcept { return open == 0; }
    std::size_t total() const noexcept { return acknowledged + released + open; }
};

}  // namespace mission::receiver
