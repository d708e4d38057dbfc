// The program's log: one JSON object a line on standard error.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "mission_signals/receiver.hpp"

namespace mission::receiver::program {

// {"time":..,"level":..,"message":..,<fields>}: valid JSON on one line, whatever a peer has put
// into a value: control characters are escaped, octets that are no UTF-8 replaced, long values cut.
std::string log_line(wall_time now, mission_signals::log_level level, std::string_view message,
                     const std::vector<mission_signals::log_field>& fields);

// Thread safe; lines of several threads do not mix. What is below `least` is left out.
mission_signals::log_function make_log(mission_signals::log_level least);

}  // namespace mission::receiver::program
