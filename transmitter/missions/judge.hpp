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
    std::optional<std::string> change;                 // narrowed
    std::optional<std::string> authorization_details;  // the new set in force, when it changed
    bool authority_changed = false;
};

// What the clock alone makes of a mission: expiry first, then the end of a suspension. nullopt:
// nothing is due. The caller does not ask while the clock is in doubt (design section 4).
std::optional<proposal> judge_clock(const store::mission_state& now_held, wall_time now);
// When judge_clock will next have something to say; nullopt for a terminal state.
std::optional<wall_time> next_deadline(const store::mission_state& s) noexcept;

// A lifecycle operation on what stands after judge_clock. nullopt: success without a change (it
// leads to the present state). Errors: stale_version, mission_conflict, invalid_request (a deadline
// that is past or beyond expires_at).
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
