// Steps that judge.cpp and judge_family.cpp share.
#pragma once

#include "transmitter/missions/judge.hpp"

namespace mission::transmitter {

// The mission's own state becomes `to`, one version on; what everybody is told follows. A deadline
// and a reason of before are gone.
store::mission_state moved(const store::mission_state& held, events::mission_state to,
                           wall_time now);

// A change that shows nothing of itself raises no version (wire.md section 3: every version maps to
// an event): the proposal becomes a quiet one, and what everybody is told stays as it was.
void hide_when_unseen(const store::mission_state& held, proposal& p);

// Before a scope change is looked at: stale_version, or mission_conflict for one that has ended.
// `to_do`: "narrow", "extend".
result<void> check_amendable(const store::mission_state& held, const scope_request& request,
                             std::string_view to_do);
// What of a scope request differs from what stands; and the next version with it. The caller has
// judged it, and says who asked and what it is called.
struct scope_difference {
    bool set = false, end = false;
    bool none() const noexcept { return !set && !end; }
};
scope_difference difference_of(const store::mission_state& held, const json::value& in_force,
                               const scope_request& request);
proposal amended(const store::mission_state& held, const scope_request& request,
                 scope_difference other, wall_time now);
// stale_version when the caller expected another one.
result<void> check_version(const store::mission_state& held, std::optional<std::int64_t> expected);

}  // namespace mission::transmitter
