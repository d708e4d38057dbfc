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

}  // namespace mission::transmitter
