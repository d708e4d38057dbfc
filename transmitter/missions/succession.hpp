// A successor takes the place of its predecessor (draft-mcguinness-oauth-mission-expansion
// "Replacement Expansion"): approved anew by a human, it may be wider and longer. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "transmitter/missions/judge.hpp"

namespace mission::transmitter {

// May a mission with this `parent` (mission_id) succeed `predecessor`, which was settled? Errors:
// mission_conflict unless it is active and ours; invalid_request when the parent is another: a
// successor keeps the parent of its predecessor, and is bounded by it.
result<void> check_predecessor(const store::mission& predecessor,
                               const std::optional<std::string>& parent);

// The predecessor's part: it is superseded, and says by whom.
proposal judge_supersession(const store::mission_state& held, std::string_view successor,
                            wall_time now);

}  // namespace mission::transmitter
