#include "transmitter/missions/report_rules.hpp"

#include <algorithm>

namespace mission::transmitter {

using action = report_rule_config::action;

const report_rule_config* rule_for(const std::vector<report_rule_config>& rules,
                                   std::string_view issuer_url, std::string_view client_id,
                                   std::string_view kind, const store::mission_record& about) {
    const auto fits = [&](const report_rule_config& r) {
        return r.kind == kind && (r.issuer.empty() || r.issuer == issuer_url) &&
               (r.clients.empty() ||
                std::find(r.clients.begin(), r.clients.end(), client_id) != r.clients.end()) &&
               (r.agent.empty() || r.agent == about.agent_client_id) &&
               (r.tenant.empty() || r.tenant == about.tenant);
    };
    const auto it = std::find_if(rules.begin(), rules.end(), fits);
    return it == rules.end() ? nullptr : &*it;
}

std::optional<operation_request> operation_of(const report_rule_config& rule,
                                              const store::mission_state& held, wall_time now) {
    operation_request out;
    switch (rule.what) {
        case action::none:
            return std::nullopt;
        case action::complete:
            out.what = operation::complete;
            break;
        case action::revoke:
            out.what = operation::revoke;
            break;
        case action::suspend:
            out.what = operation::suspend;
            break;
    }
    out.reason = "reported: " + rule.kind;
    if (rule.suspend_for && now + *rule.suspend_for < held.expires_at) {
        out.suspend_until = now + *rule.suspend_for;
        out.expiry_action = events::parse_on_expiry(rule.on_expiry);
    }
    return out;
}

result<std::optional<proposal>> judge_report(const store::mission_state& held,
                                             const operation_request& request, wall_time now) {
    if (request.what == operation::suspend && own_state(held) == events::mission_state::suspended)
        return std::optional<proposal>();
    return judge_operation(held, request, now);
}

}  // namespace mission::transmitter
