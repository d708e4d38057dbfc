#include <algorithm>

#include "transmitter/config/section.hpp"

namespace mission::transmitter {
namespace {

// { tenants = [..], agents = [..] }, "all" or "audience".
mission_visibility read_missions(section& s, const std::string& file, const environment& env) {
    mission_visibility out;
    auto* tree = s.raw("missions");
    if (!tree || tree->what == setting::kind::text) {
        const auto what = s.one_of("missions", {"audience", "all"});
        if (what && *what == "all") out.what = mission_visibility::kind::all;
        return out;
    }
    section listed(tree, "client.missions", file, env, false);
    out.what = mission_visibility::kind::listed;
    out.tenants = listed.list("tenants");
    out.agents = listed.list("agents");
    listed.finish();
    return out;
}

// { keys = [..] }, JSON text, or { file = ".." }.
jose::key_set read_jwks(section& s) {
    auto* tree = s.raw("jwks");
    if (!tree) return {};
    std::string text;
    const bool is_file = tree->what == setting::kind::table && tree->members.size() == 1 &&
                         tree->members.begin()->first == "file" &&
                         tree->members.begin()->second.what == setting::kind::text;
    if (is_file)
        text = read_text_file(tree->members.begin()->second.text, "client.jwks");
    else if (tree->what == setting::kind::table)
        text = to_json(*tree);
    else if (tree->what == setting::kind::text)
        text = tree->text;
    else
        s.fail("jwks", "must be a table, JSON text or { file = \"...\" }");
    auto keys = jose::key_set::parse(text);
    if (!keys) s.fail("jwks", "cannot be used: " + keys.error().message());
    if (keys->keys().empty()) s.fail("jwks", "holds no key that can be used");
    return std::move(*keys);
}

// RFC 6749 appendix A.1: VSCHAR.
bool printable(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

client_config read_client(setting& tree, const std::string& file, const environment& env,
                          const config& c) {
    section s(&tree, "client", file, env, false);
    client_config out;
    out.id = s.required_text("id");
    if (out.id.size() > 255 || !printable(out.id))
        s.fail("id", "must be at most 255 printable ASCII characters");
    if (auto issuer = s.text("issuer")) {
        out.issuer = std::move(*issuer);
        if (!std::any_of(c.issuers.begin(), c.issuers.end(),
                         [&](const issuer_config& i) { return i.url == out.issuer; }))
            s.fail("issuer", "names no [[issuer]] of this file");
    } else if (c.issuers.size() == 1) {
        out.issuer = c.issuers.front().url;
    } else {
        s.fail("issuer", "is needed when there are several issuers");
    }
    s.not_yet("token_issuer");
    out.secret = s.secret("secret").value_or("");
    out.token = s.secret("token").value_or("");
    for (const auto* word : {"secret", "token"})
        if (tree.members.contains(word) &&
            (std::string_view(word) == "secret" ? out.secret : out.token).empty())
            s.fail(word, "is empty");
    out.jwks = read_jwks(s);
    s.not_yet("certificate");
    out.audience = s.text("audience").value_or("");
    out.scopes =
        s.list_of("scopes", {"ssf.read", "ssf.manage", "ssf.manage.poll", "signals.emit",
                             "mission.read", "mission.write", "mission.scope", "mission_status",
                             "mission_lifecycle", "mission_management", "ssf.admin"});
    out.lifecycle = s.list_of("lifecycle", {"revoke", "suspend", "resume", "complete"});
    out.events = s.list("events");
    out.missions = read_missions(s, file, env);
    out.disclose = s.list_of("disclose", {"tenant", "user", "reason"});
    s.not_yet("caep_bridge");
    s.not_yet("signals_to");
    if (const auto all = s.one_of("default_subjects", {"ALL", "NONE"})) {
        if (*all == "NONE")
            s.fail("default_subjects", "= \"NONE\" is not available in this version");
        out.default_subjects_all = true;
    }
    if (const auto a = s.one_of("alg", {"ES256", "RS256"})) out.alg = jose::parse_alg(*a);
    s.finish();

    for (const auto& other : c.clients) {
        if (other.id == out.id && other.issuer == out.issuer)
            s.fail("id", "\"" + out.id + "\" is there twice");
        if (!out.token.empty() && other.token == out.token)
            s.fail("token", "is that of client \"" + other.id + "\" as well");
    }
    return out;
}

}  // namespace

void read_clients(setting* list, const std::string& file, const environment& env, config& c) {
    if (!list) return;
    if (list->what != setting::kind::list)
        throw error{errc::bad_configuration, file + ":" + std::to_string(list->line) +
                                                 ": clients are written as [[client]]"};
    for (auto& tree : list->items)
        c.clients.push_back(read_client(tree, file, env, c));
}

}  // namespace mission::transmitter
