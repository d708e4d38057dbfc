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
    const auto other = difference_of(held, in_force, request);
    if (other.none()) return std::optional<proposal>();
    if (other.set)
        if (auto ok = check_subset(in_force, *request.authorization_details); !ok)
            return error{errc::invalid_request,
                         "/authorization_details: an extension takes nothing away, and of what "
                         "stands this is not covered: " +
                             ok.error().detail.substr(0, ok.error().detail.find(':'))};
    if (other.end && *request.expires_at < held.expires_at)
        return error{
            errc::invalid_request,
            "/expires_at: an extension takes nothing away; narrow in a request of its own"};
    auto p = amended(held, request, other, now);
    p.initiating_entity = "user";
    p.change = "extended";
    p.action = "scope.extend";
    return std::optional(p);
}

}  // namespace mission::transmitter
