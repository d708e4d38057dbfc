#include <algorithm>

#include "base/limits.hpp"
#include "schemas/schemas.hpp"
#include "transmitter/config/section.hpp"

// [missions], [[report_rule]] and [[authorization_type]].

namespace mission::transmitter {
namespace {

constexpr std::int64_t rate_max = 10'000'000;

using action = report_rule_config::action;

action read_action(section& s) {
    s.required_text("action");
    const auto text = s.one_of("action", {"complete", "revoke", "suspend", "none"});
    return text == "complete"  ? action::complete
           : text == "revoke"  ? action::revoke
           : text == "suspend" ? action::suspend
                               : action::none;
}

void read_issuer(section& s, const config& c, report_rule_config& out) {
    const auto url = s.text("issuer");
    if (!url) return;
    issuer_config named;
    named.url = *url;
    const auto it = std::find_if(c.issuers.begin(), c.issuers.end(),
                                 [&](const issuer_config& i) { return i.base() == named.base(); });
    if (it == c.issuers.end()) s.fail("issuer", "names no [[issuer]] of this file");
    out.issuer = it->url;
}

report_rule_config read_rule(setting& tree, const std::string& file, const environment& env,
                             const config& c) {
    section s(&tree, "report_rule", file, env, false);
    report_rule_config out;
    out.name = s.required_text("name");
    for (const auto& other : c.report_rules)
        if (other.name == out.name) s.fail("name", "is there twice");
    out.kind = s.required_text("kind");
    s.one_of("kind", {"completed", "failed", "extension_requested", "anomaly", "teardown"});
    read_issuer(s, c, out);
    out.clients = s.list("client");
    for (const auto& id : out.clients)
        if (std::none_of(c.clients.begin(), c.clients.end(), [&](const client_config& k) {
                return k.id == id && (out.issuer.empty() || k.issuer == out.issuer);
            }))
            s.fail("client", "names no [[client]] \"" + id + "\" of this file");
    out.agent = s.text("agent").value_or("");
    out.tenant = s.text("tenant").value_or("");
    out.what = read_action(s);
    // More authority is a human's decision, and a teardown is the end of one that was made.
    if (out.what != action::none && (out.kind == "extension_requested" || out.kind == "teardown"))
        s.fail("action", "must be \"none\": no report of this kind acts by itself");
    if (const auto n = s.integer("suspend_for", 1, 10LL * 365 * 86'400))
        out.suspend_for = std::chrono::seconds(*n);
    out.on_expiry = s.one_of("on_expiry", {"resume", "revoke"}).value_or("");
    if (out.suspend_for.has_value() == out.on_expiry.empty())
        s.fail(out.suspend_for ? "on_expiry" : "suspend_for", "is missing: one needs the other");
    if (out.suspend_for && out.what != action::suspend)
        s.fail("suspend_for", "is for action = \"suspend\" alone");
    s.finish();
    return out;
}

}  // namespace

void read_missions_section(section s, config& c) {
    auto& out = c.missions;
    for (auto [key, rate] :
         {std::pair{"status_rate", &out.status_rate},
          std::pair{"lifecycle_rate", &out.lifecycle_rate},
          std::pair{"manage_rate", &out.manage_rate}, std::pair{"report_rate", &out.report_rate}})
        if (const auto n = s.integer(key, 0, rate_max)) *rate = *n;
    if (const auto n = s.integer("max_depth", 0, limits::family_depth)) out.max_depth = *n;
    if (const auto n = s.integer("max_children", 0, limits::family_children)) out.max_children = *n;
    if (const auto what = s.one_of("unknown_types", {"accept", "refuse"}))
        out.accept_unknown_types = *what == "accept";
    if (const auto n = s.integer("bulk_limit", 1, limits::bulk_members))
        out.bulk_limit = static_cast<std::size_t>(*n);
    if (const auto n = s.integer("status_list_ttl", 0, 86'400))
        out.status_list_ttl = std::chrono::seconds(*n);
    s.finish();
}

void read_report_rules(setting* list, const std::string& file, const environment& env, config& c) {
    if (!list) return;
    if (list->what != setting::kind::list)
        throw error{errc::bad_configuration, file + ":" + std::to_string(list->line) +
                                                 ": rules are written as [[report_rule]]"};
    for (auto& tree : list->items)
        c.report_rules.push_back(read_rule(tree, file, env, c));
}

void read_authorization_types(setting* list, const std::string& file, const environment& env,
                              config& c) {
    if (!list) return;
    if (list->what != setting::kind::list)
        throw error{errc::bad_configuration, file + ":" + std::to_string(list->line) +
                                                 ": types are written as [[authorization_type]]"};
    for (auto& tree : list->items) {
        section s(&tree, "authorization_type", file, env, false);
        authorization_type_config out;
        out.type = s.required_text("type");
        if (out.type == "mission_resource_access") s.fail("type", "is built in");
        for (const auto& other : c.authorization_types)
            if (other.type == out.type) s.fail("type", "is there twice");
        out.schema_json = read_text_file(s.required_text("schema"), "authorization_type.schema");
        // Here, where it has a line: `check-config` says it, and `serve` has made nothing yet.
        if (auto rules = schemas::compiled::from(out.schema_json); !rules)
            s.fail("schema", "cannot be used: " + rules.error().detail);
        s.finish();
        c.authorization_types.push_back(std::move(out));
    }
}

}  // namespace mission::transmitter
