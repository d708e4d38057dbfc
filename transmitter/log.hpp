// The program's log: spdlog behind one function, so that few files include it.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace mission::transmitter {

enum class level { debug, info, warning, error };

// One line: time, level, message, then name=value pairs (quoted when needed). Never tokens, keys
// or SET bodies. THREAD: any.
void log(level l, std::string_view message,
         std::initializer_list<std::pair<std::string_view, std::string>> fields = {});
void set_log_level(level l);

}  // namespace mission::transmitter
