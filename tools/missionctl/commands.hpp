// One function per thing missionctl does, on a session that is open.
#pragma once

#include <iosfwd>

#include "tools/missionctl/command_line.hpp"
#include "tools/missionctl/session.hpp"

namespace mission::tools {

// Prints the answer to `out`. The exit status: 0 done; 1 refused or failed, `err` says why.
int run_command(const invocation& typed, session& to, std::istream& in, std::ostream& out,
                std::ostream& err, wall_time now);

}  // namespace mission::tools
