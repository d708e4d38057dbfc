// The rules of missions (wire.md section 4), pure: rows and `now` in, the next version or a refusal
// out. Run inside the store's decisions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/time.hpp"
#include "events/mission_event.hpp"
#include "store/rows.hpp"

namespace mission::transmitter {

enum class operation { revoke, suspend, resume, complete };
std::string_view name(operation o) noexcept;
std::optional<operation> parse_operation(std::string_view text) noexcept;

struct operation_request {
    operation what{};
    std::optional<std::string> reason;
    std::optional<wall_time> suspend_until;          // suspend only, together with
    std::optional<events::on_expiry> expiry_action;  // this one
    std::optional<std::int64_t> expected_version;
};

// The next version of a mission, before it has a number in the log.
struct proposal {
    store::mission_state next;
    std::string initiating_entity;                     // admin | user | policy | system
    std::optional<std::string> change;                 // narrowed | extended
    std::optional<std::string> authorization_details;  // the new set in force, when it changed
    bool authority_changed = false;
    // Nobody is told: `next` has the version that stands, and only what lies beneath differs.
    bool quiet = false;
    std::string_view action;  // of the audit: "clock.expire", "family.hold" ..
};

// The mission's own state: what a suspended parent makes of it aside.
events::mission_state own_state(const store::mission_state& held) noexcept;

// What the clock alone makes of a mission by `due`: expiry first, then the end of a suspension.
// nullopt: nothing is due. The caller does not ask while the clock is in doubt (design section 4).
// `now` is when that is written.
std::optional<proposal> judge_clock(const store::mission_state& held, wall_time due, wall_time now);
inline std::optional<proposal> judge_clock(const store::mission_state& held, wall_time now) {
    return judge_clock(held, now, now);
}
// When judge_clock will next have something to say; nullopt for a terminal state.
std::optional<wall_time> next_deadline(const store::mission_state& s) noexcept;

// What one effect of its parent makes of a child that has not ended. `in_force` and
// `parent_authority` are read for family_effect::narrowed alone. nullopt: nothing at all, not even
// beneath. The caller raises parent_seen.
std::optional<proposal> judge_effect(const store::mission_state& held,
                                     const store::mission_version& effect,
                                     const std::string& in_force,
                                     const std::string& parent_authority, wall_time now);

// What a version does to the children of its mission.
store::family_effect effect_of(const store::mission_state& before,
                               const store::mission_state& after) noexcept;

// A lifecycle operation on what stands after judge_clock, judged by the mission's own state
// (wire.md section 4: suspending a child that its parent holds is recorded, and the lift leaves it
// suspended). nullopt: success without a change (it leads to the present state). Errors:
// stale_version, mission_conflict, invalid_request (a deadline that is past or beyond expires_at).
result<std::optional<proposal>> judge_operation(const store::mission_state& held,
                                                const operation_request& request, wall_time now);

struct scope_request {
    const json::value* authorization_details = nullptr;  // the full new set, or null
    std::optional<wall_time> expires_at;
    std::optional<std::string> reason;
    std::optional<std::int64_t> expected_version;
};

// A narrowing. `in_force` is the present set. nullopt: equal to what stands. Errors: stale_version,
// mission_conflict (terminal), extension_not_allowed (names the member), invalid_request.
result<std::optional<proposal>> judge_narrowing(const store::mission_state& held,
                                                const json::value& in_force,
                                                const scope_request& request, wall_time now);

}  // namespace mission::transmitter
