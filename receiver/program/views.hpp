// What the receiver knows, as JSON for programs and as tables for people.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "base/time.hpp"
#include "mission_signals/receiver.hpp"

namespace mission::receiver::program {

std::string to_json(const mission_signals::status& s, const std::string& problem,
                    const std::vector<mission_signals::handler_status>& handlers = {});
std::string to_json(const std::vector<mission_signals::task_view>& tasks);
std::string to_json(const std::vector<mission_signals::receiver::held_thing>& things);
std::string to_json(const std::vector<mission_signals::mission_view>& missions);
// `view` empty: never heard of.
std::string to_json(const std::string& id, mission_signals::answer now,
                    const std::optional<mission_signals::mission_view>& view);

// JSON text with line breaks and indents; not JSON: as it is, control characters shown as '?'.
std::string pretty(std::string_view json_text);
// Left-aligned columns of an array of objects; nothing of a peer's text moves the cursor.
std::string table(const json::value& rows, const std::vector<std::string_view>& members);
// Tasks, as to_json() writes them, with how old each is and when it is tried next.
std::string task_table(const json::value& tasks, wall_time now);

}  // namespace mission::receiver::program
