// What a state file holds, for a command line: nothing is written, repaired or moved aside.
#pragma once

#include <string>
#include <vector>

#include "base/error.hpp"
#include "receiver/teardown/task_record.hpp"

namespace mission::receiver {

// The teardown tasks, oldest first. not_found: there is no such file; store_locked: a process has
// it open, which then is the one to ask; not_a_database, store_newer, io_error.
result<std::vector<task_record>> tasks_in(const std::string& path);

}  // namespace mission::receiver
