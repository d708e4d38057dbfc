// POST /missions/{id}/scope with `change` "extended": an attributed amendment in place, where the
// issuer's configuration allows it (wire.md section 4). Pure. A narrowing is judge_narrowing
// (judge.hpp); docs/adr/0030 says why one request is never both.
#pragma once

#include <optional>

#include "transmitter/missions/judge.hpp"

namespace mission::transmitter {

struct extension_rules {
    bool in_place = false;  // the issuer's in_place_extension
};

// An extension of what stands: the full new set, a later end, or both. nullopt: equal to what
// stands. Errors: extension_not_allowed (it is a successor's business), stale_version,
// mission_conflict (terminal), invalid_request (the new set leaves out or tightens something that
// the present one has; an earlier end). Bounds of a parent are the caller's.
result<std::optional<proposal>> judge_extension(const store::mission_state& held,
                                                const json::value& in_force,
                                                const scope_request& request,
                                                const extension_rules& rules, wall_time now);

}  // namespace mission::transmitter
