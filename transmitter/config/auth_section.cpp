#include <algorithm>

#include "events/catalog.hpp"
#include "events/mission_event.hpp"
#include "net/http.hpp"
#include "schemas/schemas.hpp"
#include "transmitter/auth/certificate.hpp"
#include "transmitter/config/section.hpp"

// [auth], [[auth.issuer]] and [[foreign_event]] (wire.md section 6).

namespace mission::transmitter {
namespace {

void need_list(const setting& list, const std::string& file, std::string_view what) {
    if (list.what != setting::kind::list)
        throw error{errc::bad_configuration, file + ":" + std::to_string(list.line) + ": written " +
                                                 "as [[" + std::string(what) + "]]"};
}

// Keys and verdicts decide who is let in: they travel over TLS or not at all.
std::string https_url(section& s, std::string_view key) {
    auto url = s.text(key).value_or("");
    if (url.empty()) return url;
    const auto parsed = net::parse_url(url);
    if (!parsed || parsed->scheme != "https") s.fail(key, "must be an https URL");
    return url;
}

token_issuer_config read_token_issuer(setting& tree, const std::string& file,
                                      const environment& env, const config& c) {
    section s(&tree, "auth.issuer", file, env, false);
    token_issuer_config out;
    out.issuer = s.required_text("issuer");
    for (const auto& ours : c.issuers)
        if (ours.url == out.issuer)
            s.fail("issuer", "is one of ours: its tokens come from the built-in endpoint");
    for (const auto& other : c.auth.issuers)
        if (other.issuer == out.issuer) s.fail("issuer", "is there twice");
    out.jwks_uri = https_url(s, "jwks_uri");
    out.introspection = https_url(s, "introspection");
    if (out.jwks_uri.empty() == out.introspection.empty())
        s.fail("issuer", "needs either jwks_uri or introspection");
    out.audience = s.required_text("audience");
    out.client_id = s.text("client_id").value_or("");
    out.client_secret = s.secret("client_secret").value_or("");
    if (!out.introspection.empty() && (out.client_id.empty() || out.client_secret.empty()))
        s.fail(out.client_id.empty() ? "client_id" : "client_secret",
               "is needed: introspection is for clients it knows");
    if (out.introspection.empty() && (!out.client_id.empty() || !out.client_secret.empty()))
        s.fail(out.client_id.empty() ? "client_secret" : "client_id", "is for introspection alone");
    out.typ_jwt = s.boolean("typ_jwt").value_or(false);
    out.ca_file = s.text("ca_file").value_or("");
    if (!out.ca_file.empty() &&
        !certificate_der(read_text_file(out.ca_file, "auth.issuer.ca_file")))
        s.fail("ca_file", "holds no PEM certificate");
    out.algs = s.list_of("algs", {"ES256", "RS256", "PS256", "EdDSA"});
    s.finish();
    return out;
}

}  // namespace

void read_auth(section s, const std::string& file, const environment& env, config& c) {
    c.auth.token_endpoint = s.boolean("token_endpoint").value_or(true);
    c.auth.allow_bearer = s.boolean("allow_bearer").value_or(false);
    if (auto* list = s.raw("issuer")) {
        need_list(*list, file, "auth.issuer");
        for (auto& tree : list->items)
            c.auth.issuers.push_back(read_token_issuer(tree, file, env, c));
    }
    s.finish();
}

void read_foreign_events(setting* list, const std::string& file, const environment& env,
                         config& c) {
    if (!list) return;
    need_list(*list, file, "foreign_event");
    for (auto& tree : list->items) {
        section s(&tree, "foreign_event", file, env, false);
        foreign_event_config out;
        out.type = s.required_text("type");
        if (out.type.find(':') == std::string::npos) s.fail("type", "must be a URI");
        if (events::find_event_kind(out.type) || events::is_mission_event(out.type) ||
            events::is_mission_event(out.type, c.event_type_base))
            s.fail("type", "is built in");
        for (const auto& other : c.foreign_events)
            if (other.type == out.type) s.fail("type", "is there twice");
        out.schema_json = read_text_file(s.required_text("schema"), "foreign_event.schema");
        const auto schema = json::parse(out.schema_json);
        if (!schema) s.fail("schema", "is not JSON: " + schema.error().detail);
        if (!schema->IsObject()) s.fail("schema", "must be a JSON object");
        // Here, where it has a line: `check-config` says it, and `serve` has made nothing yet.
        if (auto rules = schemas::compiled::from(out.schema_json); !rules)
            s.fail("schema", "cannot be used: " + rules.error().detail);
        s.finish();
        c.foreign_events.push_back(std::move(out));
    }
}

}  // namespace mission::transmitter
