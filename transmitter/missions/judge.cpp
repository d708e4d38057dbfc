#include "transmitter/missions/judge.hpp"

#include <array>

#include "transmitter/missions/moves.hpp"
#include "transmitter/missions/subset.hpp"

namespace mission::transmitter {
namespace {

using events::mission_state;
using events::on_expiry;

constexpr std::array operations{operation::revoke, operation::suspend, operation::resume,
                                operation::complete};

// Where an operation leads.
mission_state target(operation o) noexcept {
    switch (o) {
        case operation::revoke:
            return mission_state::revoked;
        case operation::suspend:
            return mission_state::suspended;
        case operation::resume:
            return mission_state::active;
        case operation::complete:
            return mission_state::completed;
    }
    return mission_state::revoked;
}

// The table of wire.md section 4: which own states an operation is legal from.
bool legal(operation o, mission_state from) noexcept {
    switch (o) {
        case operation::revoke:
        case operation::complete:
            return from == mission_state::active || from == mission_state::suspended;
        case operation::suspend:
            return from == mission_state::active;
        case operation::resume:
            return from == mission_state::suspended;
    }
    return false;
}

std::string_view action_of(operation o) noexcept {
    switch (o) {
        case operation::revoke:
            return "lifecycle.revoke";
        case operation::suspend:
            return "lifecycle.suspend";
        case operation::resume:
            return "lifecycle.resume";
        case operation::complete:
            return "lifecycle.complete";
    }
    return "";
}

}  // namespace

std::string_view name(operation o) noexcept {
    switch (o) {
        case operation::revoke:
            return "revoke";
        case operation::suspend:
            return "suspend";
        case operation::resume:
            return "resume";
        case operation::complete:
            return "complete";
    }
    return "";
}

std::optional<operation> parse_operation(std::string_view text) noexcept {
    for (const auto o : operations)
        if (name(o) == text) return o;
    return std::nullopt;
}

mission_state own_state(const store::mission_state& held) noexcept {
    if (!held.parent_hold || events::is_terminal(held.state)) return held.state;
    return held.own_hold ? mission_state::suspended : mission_state::active;
}

std::optional<wall_time> next_deadline(const store::mission_state& s) noexcept {
    if (events::is_terminal(s.state) || s.mirrored) return std::nullopt;
    if (s.state == mission_state::suspended && s.suspend_until && *s.suspend_until < s.expires_at)
        return s.suspend_until;
    return s.expires_at;
}

std::optional<proposal> judge_clock(const store::mission_state& held, wall_time due,
                                    wall_time now) {
    if (events::is_terminal(held.state) || held.mirrored) return std::nullopt;
    proposal p;
    p.initiating_entity = "system";
    // Expiry first: a mission past its end is never resumed on the way there.
    if (held.expires_at <= due) {
        p.next = moved(held, mission_state::expired, now);
        p.action = "clock.expire";
        return p;
    }
    // Only a hold of the mission's own has a deadline.
    if (held.state == mission_state::suspended && held.suspend_until &&
        *held.suspend_until <= due) {
        const bool revoke = held.on_expiry == on_expiry::revoke;
        p.next = moved(held, revoke ? mission_state::revoked : mission_state::active, now);
        p.action = revoke ? "clock.revoke" : "clock.resume";
        return p;
    }
    return std::nullopt;
}

result<void> check_version(const store::mission_state& held, std::optional<std::int64_t> expected) {
    if (expected && *expected != held.version)
        return error{errc::stale_version,
                     "the mission is at version " + std::to_string(held.version)};
    return {};
}

result<std::optional<proposal>> judge_operation(const store::mission_state& held,
                                                const operation_request& request, wall_time now) {
    // Whatever the issuer's mode is today: its versions are another service's.
    if (held.mirrored)
        return error{errc::mission_conflict, "a mirrored mission: operate on it at its service"};
    if (auto ok = check_version(held, request.expected_version); !ok) return ok.error();
    const auto to = target(request.what);
    const auto own = own_state(held);
    const bool again = own == to && request.what != operation::resume;
    const bool other_deadline =
        again && request.what == operation::suspend &&
        (request.suspend_until != held.suspend_until || request.expiry_action != held.on_expiry);
    if (again && !other_deadline) return std::optional<proposal>();
    if (!again && !legal(request.what, own))
        return error{errc::mission_conflict, "a mission that is " + std::string(events::name(own)) +
                                                 " cannot do: " + std::string(name(request.what))};
    if (request.suspend_until) {
        if (*request.suspend_until <= now)
            return error{errc::invalid_request, "suspend_until lies in the past"};
        if (*request.suspend_until > held.expires_at)
            return error{errc::invalid_request, "suspend_until lies beyond expires_at"};
    }
    proposal p;
    p.initiating_entity = "admin";
    p.action = action_of(request.what);
    p.next = moved(held, to, now);
    p.next.reason = request.reason;
    if (request.what == operation::suspend) {
        p.next.suspend_until = request.suspend_until;
        p.next.on_expiry = request.expiry_action;
    }
    hide_when_unseen(held, p);
    return std::optional(p);
}

result<void> check_amendable(const store::mission_state& held, const scope_request& request,
                             std::string_view to_do) {
    if (auto ok = check_version(held, request.expected_version); !ok) return ok;
    if (!events::is_terminal(held.state)) return {};
    return error{errc::mission_conflict, "a mission that is " +
                                             std::string(events::name(held.state)) +
                                             " has no authority to " + std::string(to_do)};
}

scope_difference difference_of(const store::mission_state& held, const json::value& in_force,
                               const scope_request& request) {
    return {request.authorization_details && *request.authorization_details != in_force,
            request.expires_at && *request.expires_at != held.expires_at};
}

proposal amended(const store::mission_state& held, const scope_request& request,
                 scope_difference other, wall_time now) {
    proposal p;
    p.next = held;
    ++p.next.version;
    p.next.changed_at = now;
    p.next.reason = request.reason;
    if (other.end) {
        p.next.expires_at = *request.expires_at;
        // A hold cannot end after the mission: its deadline follows.
        if (p.next.suspend_until && *p.next.suspend_until > p.next.expires_at) {
            p.next.suspend_until.reset();
            p.next.on_expiry.reset();
        }
    }
    if (other.set) {
        ++p.next.authority_revision;
        p.authorization_details = json::write(*request.authorization_details);
        p.authority_changed = true;
    }
    return p;
}

result<std::optional<proposal>> judge_narrowing(const store::mission_state& held,
                                                const json::value& in_force,
                                                const scope_request& request, wall_time now) {
    if (auto ok = check_amendable(held, request, "narrow"); !ok) return ok.error();
    const auto other = difference_of(held, in_force, request);
    if (other.none()) return std::optional<proposal>();
    if (other.set)
        if (auto ok = check_subset(*request.authorization_details, in_force); !ok)
            return error{errc::extension_not_allowed, ok.error().detail};
    if (other.end && *request.expires_at > held.expires_at)
        return error{errc::extension_not_allowed,
                     "/expires_at: lies beyond the end that was approved"};
    if (other.end && *request.expires_at <= now)
        return error{errc::invalid_request, "/expires_at: lies in the past; revoke the mission"};
    auto p = amended(held, request, other, now);
    p.initiating_entity = "admin";
    p.change = "narrowed";
    return std::optional(p);
}

}  // namespace mission::transmitter
