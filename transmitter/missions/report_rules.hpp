// What the configuration makes of a report about a mission ([[report_rule]]). Pure.
//
// A report is somebody's word, not a decision: by itself it ends or holds a mission where a rule
// says so, and it never gives anything back.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "transmitter/config.hpp"
#include "transmitter/missions/judge.hpp"

namespace mission::transmitter {

// The first rule that fits; null: none does, and an operator decides.
const report_rule_config* rule_for(const std::vector<report_rule_config>& rules,
                                   std::string_view issuer_url, std::string_view client_id,
                                   std::string_view kind, const store::mission_record& about);

// What the rule does to a mission that was settled at `now`. nullopt: nothing, by its own word
// (action "none"). A hold for a time that reaches beyond the mission's end is one without a
// deadline: the end comes first.
std::optional<operation_request> operation_of(const report_rule_config& rule,
                                              const store::mission_state& held, wall_time now);

// judge_operation on behalf of a report. A hold that stands is left as it is, be it with another
// deadline or with none: replacing it could shorten it.
result<std::optional<proposal>> judge_report(const store::mission_state& held,
                                             const operation_request& request, wall_time now);

}  // namespace mission::transmitter
