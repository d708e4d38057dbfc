// What a family makes of a mission (wire.md section 4, Families): a parent's suspension lies over
// the child's own state, its end ends it, its narrowing bounds it.
#include "transmitter/missions/moves.hpp"
#include "transmitter/missions/subset.hpp"

namespace mission::transmitter {

using events::mission_state;

store::mission_state moved(const store::mission_state& held, mission_state to, wall_time now) {
    auto next = held;
    if (events::is_terminal(to)) {
        next.parent_hold = next.own_hold = false;
        next.state = to;
    } else {
        next.own_hold = next.parent_hold && to == mission_state::suspended;
        next.state = next.parent_hold ? mission_state::suspended : to;
    }
    ++next.version;
    next.suspend_until.reset();
    next.on_expiry.reset();
    next.reason.reset();
    next.changed_at = now;
    return next;
}

void hide_when_unseen(const store::mission_state& held, proposal& p) {
    const bool seen = p.next.state != held.state || p.next.suspend_until != held.suspend_until ||
                      p.next.on_expiry != held.on_expiry || p.next.expires_at != held.expires_at ||
                      p.next.authority_revision != held.authority_revision;
    if (seen) return;
    p.quiet = true;
    p.next.version = held.version;
    p.next.reason = held.reason;
    p.next.changed_at = held.changed_at;
}

store::family_effect effect_of(const store::mission_state& before,
                               const store::mission_state& after) noexcept {
    using store::family_effect;
    if (events::is_terminal(before.state)) return family_effect::none;
    if (events::is_terminal(after.state)) return family_effect::end;
    if (before.state != after.state)
        return after.state == mission_state::suspended ? family_effect::hold : family_effect::lift;
    const bool narrower = after.authority_revision != before.authority_revision ||
                          after.expires_at < before.expires_at;
    return narrower ? family_effect::narrowed : family_effect::none;
}

namespace {

proposal of_family(std::string_view action) {
    proposal p;
    p.initiating_entity = "system";
    p.action = action;
    return p;
}

std::optional<proposal> held_above(const store::mission_state& held, wall_time now) {
    auto p = of_family("family.hold");
    p.next = held;
    p.next.parent_hold = true;
    p.next.own_hold = held.state == mission_state::suspended;
    p.next.state = mission_state::suspended;
    p.next.reason = "the parent mission is suspended";
    ++p.next.version;
    p.next.changed_at = now;
    hide_when_unseen(held, p);
    return p;
}

std::optional<proposal> lifted_above(const store::mission_state& held, wall_time now) {
    if (!held.parent_hold) return std::nullopt;
    auto p = of_family("family.lift");
    p.next = held;
    p.next.parent_hold = false;
    p.next.own_hold = false;
    p.next.state = own_state(held);
    p.next.reason.reset();
    ++p.next.version;
    p.next.changed_at = now;
    hide_when_unseen(held, p);
    return p;
}

std::optional<proposal> narrowed_above(const store::mission_state& held,
                                       const store::mission_version& effect,
                                       const std::string& in_force,
                                       const std::string& parent_authority, wall_time now) {
    auto p = of_family("family.narrow");
    p.next = held;
    p.change = "narrowed";
    if (effect.expires_at < held.expires_at) {
        p.next.expires_at = effect.expires_at;
        if (held.suspend_until && *held.suspend_until > p.next.expires_at) {
            p.next.suspend_until.reset();
            p.next.on_expiry.reset();
        }
    }
    const auto set = json::parse(in_force);
    const auto bound = json::parse(parent_authority);
    if (!set || !bound || !check_subset(*set, *bound)) {
        ++p.next.authority_revision;
        // What cannot be read cannot be shown to lie within: nothing is left of it.
        p.authorization_details = set && bound ? narrow_to(*set, *bound) : std::string("[]");
        p.authority_changed = true;
    }
    if (p.next == held) return std::nullopt;
    p.next.reason = "the parent mission was narrowed";
    ++p.next.version;
    p.next.changed_at = now;
    return p;
}

}  // namespace

std::optional<proposal> judge_effect(const store::mission_state& held,
                                     const store::mission_version& effect,
                                     const std::string& in_force,
                                     const std::string& parent_authority, wall_time now) {
    if (events::is_terminal(held.state)) return std::nullopt;
    switch (effect.effect) {
        case store::family_effect::none:
            return std::nullopt;
        case store::family_effect::hold:
            return held_above(held, now);
        case store::family_effect::lift:
            return lifted_above(held, now);
        case store::family_effect::narrowed:
            return narrowed_above(held, effect, in_force, parent_authority, now);
        case store::family_effect::end:
            break;
    }
    auto p = of_family("family.end");
    p.next = moved(held, mission_state::cascaded, now);
    p.next.reason = "the parent mission is " + std::string(events::name(effect.state));
    return p;
}

}  // namespace mission::transmitter
