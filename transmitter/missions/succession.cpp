#include "transmitter/missions/succession.hpp"

namespace mission::transmitter {

result<void> check_predecessor(const store::mission& predecessor,
                               const std::optional<std::string>& parent) {
    if (predecessor.state.mirrored)
        return error{errc::mission_conflict, "/predecessor: belongs to another service"};
    if (predecessor.state.state != events::mission_state::active)
        return error{errc::mission_conflict,
                     "/predecessor: is " + std::string(events::name(predecessor.state.state))};
    if (predecessor.record.parent == parent) return {};
    // draft-mcguinness-oauth-mission-child-delegation "Relationship to Expansion": a child is
    // succeeded under the same parent; another parent is another mission.
    return error{errc::invalid_request,
                 predecessor.record.parent
                     ? "/parent: a successor has the parent of its predecessor"
                     : "/parent: the predecessor is no child, so its successor is none"};
}

proposal judge_supersession(const store::mission_state& held, std::string_view successor,
                            wall_time now) {
    proposal p;
    p.initiating_entity = "user";
    p.action = "mission.supersede";
    p.next = held;
    p.next.state = events::mission_state::superseded;
    ++p.next.version;
    p.next.successor = std::string(successor);
    p.next.suspend_until.reset();
    p.next.on_expiry.reset();
    p.next.reason.reset();
    p.next.parent_hold = p.next.own_hold = false;
    p.next.changed_at = now;
    return p;
}

}  // namespace mission::transmitter
