// The CAEP bridge (wire.md section 3): the end or the suspension of a mission, told as CAEP
// session-revoked to receivers that know no missions. Pure.
#pragma once

#include <string>
#include <string_view>

#include "events/mission_event.hpp"
#include "events/subject.hpp"
#include "transmitter/streams/visibility.hpp"

namespace mission::transmitter {

inline constexpr std::string_view session_revoked_type =
    "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

// Whether the change ends what an active mission allowed, and may be said in the way that
// `may.caep_bridge` names: of the person only when the mission has one.
bool bridged(const events::mission_change& whole, const stream_visibility& may);

// "session": complex, of the session (the mission's id) and the application (its agent).
// "user": the person, simple; it ends all sessions of that person.
events::subject bridge_subject(const events::mission_change& whole, const stream_visibility& may);

// CAEP 1.0 section 3.1; CAEP Interoperability Profile section 3.1: `reason_admin` is never empty.
// The mission's own reasons are told only where the client may know them.
std::string bridge_event(const events::mission_change& whole, const stream_visibility& may);

}  // namespace mission::transmitter
