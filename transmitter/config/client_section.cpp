#include <algorithm>

#include "events/catalog.hpp"
#include "events/mission_event.hpp"
#include "jose/digest.hpp"
#include "transmitter/auth/certificate.hpp"
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

// PEM text, a file's path, or { file = ".." }.
void read_certificate(section& s, client_config& out) {
    auto* tree = s.raw("certificate");
    if (!tree) return;
    std::string path;
    if (tree->what == setting::kind::text)
        path = tree->text;
    else if (tree->what == setting::kind::table && tree->members.size() == 1 &&
             tree->members.begin()->first == "file" &&
             tree->members.begin()->second.what == setting::kind::text)
        path = tree->members.begin()->second.text;
    else
        s.fail("certificate", "must be PEM text, a path or { file = \"...\" }");
    out.certificate = path.find("-----BEGIN") != std::string::npos
                          ? path
                          : read_text_file(path, "client.certificate");
    const auto der = certificate_der(out.certificate);
    if (!der) s.fail("certificate", "holds no PEM certificate");
    out.certificate_sha256 = std::string(jose::view(jose::sha256(*der)));
}

// A type that nobody sends would be offered and never come: most likely a slip.
bool known_event(const config& c, std::string_view type) {
    const auto* kind = events::find_event_kind(type);
    // SSF's own come on every stream and are not asked for.
    if (kind) return kind->family != events::event_family::ssf;
    return events::is_mission_event(type, c.event_type_base) ||
           std::any_of(c.foreign_events.begin(), c.foreign_events.end(),
                       [&](const foreign_event_config& e) { return e.type == type; });
}

void read_tokens(section& s, const setting& tree, const config& c, client_config& out) {
    out.token_issuer = s.text("token_issuer").value_or("");
    if (!out.token_issuer.empty() &&
        std::none_of(c.auth.issuers.begin(), c.auth.issuers.end(),
                     [&](const token_issuer_config& i) { return i.issuer == out.token_issuer; }))
        s.fail("token_issuer", "names no [[auth.issuer]] of this file");
    out.secret = s.secret("secret").value_or("");
    out.token = s.secret("token").value_or("");
    for (const auto* word : {"secret", "token"})
        if (tree.members.contains(word) &&
            (std::string_view(word) == "secret" ? out.secret : out.token).empty())
            s.fail(word, "is empty");
    if (!out.token_issuer.empty() && !out.secret.empty())
        s.fail("secret",
               "is for the built-in token endpoint; this client's tokens come from "
               "token_issuer");
    if (const auto until = s.text("token_expires")) {
        const auto at = from_rfc3339(*until);
        if (!at) s.fail("token_expires", "must be an RFC 3339 time (\"2027-01-31T00:00:00Z\")");
        if (out.token.empty()) s.fail("token_expires", "is there without a token");
        out.token_expires = *at;
    }
    out.jwks = read_jwks(s);
    read_certificate(s, out);
}

void read_signals(section& s, client_config& out) {
    auto* bridge = s.raw("caep_bridge");
    if (bridge && bridge->what == setting::kind::boolean)
        out.caep_bridge = bridge->boolean ? "session" : "";
    else
        out.caep_bridge = s.one_of("caep_bridge", {"session", "user"}).value_or("");
    out.signals_to = s.one_of("signals_to", {"all"}).value_or("");
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
        issuer_config named;
        named.url = out.issuer;
        const auto it =
            std::find_if(c.issuers.begin(), c.issuers.end(),
                         [&](const issuer_config& i) { return i.base() == named.base(); });
        if (it == c.issuers.end()) s.fail("issuer", "names no [[issuer]] of this file");
        out.issuer = it->url;
    } else if (c.issuers.size() == 1) {
        out.issuer = c.issuers.front().url;
    } else {
        s.fail("issuer", "is needed when there are several issuers");
    }
    read_tokens(s, tree, c, out);
    out.audience = s.text("audience").value_or("");
    out.scopes =
        s.list_of("scopes", {"ssf.read", "ssf.manage", "ssf.manage.poll", "signals.emit",
                             "mission.read", "mission.write", "mission.scope", "mission_status",
                             "mission_lifecycle", "mission_management", "ssf.admin"});
    out.lifecycle = s.list_of("lifecycle", {"revoke", "suspend", "resume", "complete"});
    out.events = s.list("events");
    for (const auto& type : out.events)
        if (!known_event(c, type))
            s.fail("events", "has the unknown type \"" + type +
                                 "\" (others' types are declared by [[foreign_event]])");
    out.missions = read_missions(s, file, env);
    out.disclose = s.list_of("disclose", {"tenant", "user", "reason"});
    read_signals(s, out);
    if (const auto all = s.one_of("default_subjects", {"ALL", "NONE"}))
        out.default_subjects_all = *all == "ALL";
    if (const auto a = s.one_of("alg", {"ES256", "RS256"})) out.alg = jose::parse_alg(*a);
    s.finish();

    for (const auto& other : c.clients) {
        if (other.id == out.id && other.issuer == out.issuer)
            s.fail("id", "\"" + out.id + "\" is there twice");
        if (!out.token.empty() && other.token == out.token)
            s.fail("token", "is that of client \"" + other.id + "\" as well");
        // Whoever presents it would be two clients at once.
        if (!out.certificate_sha256.empty() && other.issuer == out.issuer &&
            other.certificate_sha256 == out.certificate_sha256)
            s.fail("certificate", "is that of client \"" + other.id + "\" as well");
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
