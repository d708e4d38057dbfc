// What the commands share: requests that flags and files make, answers as people and programs read
// them.
#pragma once

#include <iosfwd>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/json.hpp"
#include "tools/missionctl/command_line.hpp"
#include "tools/missionctl/session.hpp"

namespace mission::tools {

// What an answer is to the program: its JSON text, and how people read it. `status`: the exit
// status where the answer itself tells of a failure.
struct shown {
    std::string json, text;
    int status = 0;
};

// Sets a member of a request that a flag gives, whether or not the file has it.
void set(json::document& request, std::string_view name, json::value v);
void set_text(json::document& request, std::string_view name,
              const std::string& text);                                       // not empty
result<json::document> read_json(const std::string& file, std::istream& in);  // "-": `in`

using printer = std::string (*)(const json::value&);
result<shown> get(session& to, const std::string& path, std::string_view scopes, printer print);

// family.cpp: the mission and all its descendants.
result<shown> tree(const invocation& typed, session& to);
// evidence.cpp: reports and history of a mission.
result<shown> report(const invocation& typed, session& to);
result<shown> reports(const invocation& typed, session& to);
result<shown> history(const invocation& typed, session& to);
// evidence.cpp: the operators' inbox.
result<shown> inbox(const invocation& typed, session& to);
result<shown> decide(const invocation& typed, session& to);
// evidence.cpp: the audit, entry after entry, to `out`; with --verify its chain is checked. The
// exit status.
int audit(const invocation& typed, session& to, std::ostream& out, std::ostream& err);
// management.cpp: POST /mission/manage.
result<shown> enumerate(const invocation& typed, session& to, wall_time now);
// The dry run first; then, with --execute, the execution, once somebody who was shown the count
// agrees: on `in`, or by --yes.
result<shown> bulk(const invocation& typed, session& to, std::istream& in, std::ostream& err,
                   wall_time now);

}  // namespace mission::tools
