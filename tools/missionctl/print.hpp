// Answers for people: names and values, and tables that fit a terminal.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"

namespace mission::tools {

// Left-aligned columns, as wide as their longest cell; control characters of a peer's text are
// shown as '?', so that nobody's purpose or reason moves the cursor.
std::string table(const std::vector<std::string>& heads,
                  const std::vector<std::vector<std::string>>& rows);

// A scalar or JSON text as one cell; empty for a missing member.
std::string cell(const json::value& object, std::string_view member);

// At most so many octets, not cut inside a character.
std::string shortened(std::string text);

// A mission resource: its facts, its authority, and which stream has acknowledged what.
std::string print_mission(const json::value& mission);
// The claims of a verified status answer.
std::string print_status(const json::value& claims);
std::string print_mission_list(const json::value& page);
std::string print_stream_list(const json::value& streams);
std::string print_stream(const json::value& stream);
std::string print_dead_letters(const json::value& list);
// One committed signal as one line.
std::string print_tail_line(const json::value& signal);

// ---- print_families.cpp

// A family, {"mission": .., "children": [..]}; the mission that was asked for is marked.
std::string print_tree(const json::value& node, const std::string& asked_for);
// Claims of an enumeration; `heads` false: the rows alone.
std::string print_summaries(const json::value& page, bool heads);
// Claims of an execution: an outcome for each mission, and their numbers.
std::string print_manifest(const json::value& manifest);
std::string print_reports(const json::value& page);
std::string print_history(const json::value& answer);
// What a mission resource has of its end, its family, its reports and teardowns.
std::string print_details(const json::value& mission);
// Has everybody stopped? What each client has told; what of it became of one listener; who has told
// nothing, in one line.
std::string print_teardown(const json::value& mission);
std::string teardown_of(const json::value& mission, const json::value& stream);
std::string stopped_line(const json::value& streams);
std::string print_audit(const std::vector<json::document>& entries, bool heads);

// One server-sent event of a text/event-stream body.
struct sent_event {
    std::string id, type, data;
};
std::vector<sent_event> parse_events(std::string_view text);

}  // namespace mission::tools
