#include "transmitter/missions/extension.hpp"

#include "transmitter/missions/moves.hpp"
#include "transmitter/missions/subset.hpp"

namespace mission::transmitter {

result<std::optional<proposal>> judge_extension(const store::mission_state& held,
                                                const json::value& in_force,
                                                const scope_request& request,
                                                const extension_rules& rules, wall_time now) {
    if (!rules.in_place)
        return error{errc::extension_not_allowed,
                     "/change: widening needs a successor mission, approved anew"};
    if (auto ok = check_amendable(held, request, "extend"); !ok) return ok.error();
    const bool other_set =
        request.authorization_details && *request.authorization_details != in_force;
    const bool other_end = request.expires_at && *request.expires_at != held.expires_at;
    if (!other_set && !other_end) return std::optional<proposal>();
    if (other_set)
        if (auto ok = check_subset(in_force, *request.authorization_details); !ok)
            return error{errc::invalid_request,
                         "/authorization_details: an extension takes nothing away, and of what "
                         "stands this is not covered: " +
                             ok.error().detail.substr(0, ok.error().detail.find(':'))};
    if (other_end && *request.expires_at < held.expires_at)
        return error{
            errc::invalid_request,
            "/expires_at: an extension takes nothing away; narrow in a request of its own"};
    proposal p;
    p.initiating_entity = "user";
    p.change = "extended";
    p.action = "scope.extend";
    p.next = held;
    ++p.next.version;
    p.next.changed_at = now;
    p.next.reason = request.reason;
    if (other_end) p.next.expires_at = *request.expires_at;
    if (other_set) {
        ++p.next.authority_revision;
        p.authorization_details = json::write(*request.authorization_details);
        p.authority_changed = true;
    }
    return std::optional(p);
}

}  // namespace mission::transmitter
