// What was, and who did it: a mission at a moment, its versions, its family up to the approval, its
// end (wire.md section 4; the four questions of an auditor).
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "transmitter/api/mission_evidence.hpp"
#include "transmitter/api/mission_views.hpp"

namespace mission::transmitter {

// Members that GET /missions/{id} has beyond render_mission, JSON without braces, maybe empty:
// `ended` of a mission that has; for who sees the whole of it `family`, `reports` and `teardown`.
// `done` runs on a reader thread.
void load_details(issuer_service& issuer, const client_config& client, const store::mission& m,
                  std::function<void(result<mission_details>)> done);

// `object` (JSON object text) with further members.
std::string with_members(std::string object, std::string_view members);

// GET /missions/{id}?at=: the mission as it was recorded at that moment, and whether it was active.
// invalid_request for a moment to come, mission_not_found before its approval.
void answer_at(issuer_service& issuer, const client_config& client, std::string mission_id,
               std::string_view at, net::responder respond);

// GET /missions/{id}/history.
void add_history_route(router& r, issuer_service& issuer, authenticator& auth);

}  // namespace mission::transmitter
