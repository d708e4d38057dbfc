#include <algorithm>
#include <functional>

#include "transmitter/api/mission_views.hpp"

// The documents that need no token: metadata and keys. Rendered once; `max-age=300` (wire.md).

namespace mission::transmitter {
namespace {

using list = std::vector<std::string_view>;

// RFC 8414 section 3.2: what has no elements is left out.
void write_list(json::writer& w, std::string_view name, const list& items) {
    if (items.empty()) return;
    json::key(w, name);
    w.StartArray();
    for (const auto item : items)
        json::string(w, item);
    w.EndArray();
}

// The endpoints that are resources of their own, and the scope they take tokens with.
constexpr std::pair<std::string_view, std::string_view> mission_resources[] = {
    {"/mission/status", "mission_status"},
    {"/mission/lifecycle", "mission_lifecycle"},
    {"/mission/manage", "mission_management"}};

net::http_response cacheable(const std::string& body) {
    net::http_response r;
    r.fields.set("content-type", "application/json");
    r.fields.set("cache-control", "max-age=300");
    r.body = body;
    return r;
}

// The well-known string goes between host and path of the issuer (RFC 8414 section 3.1).
std::string well_known(const issuer_service& issuer, std::string_view name) {
    return "/.well-known/" + std::string(name) + issuer.settings.path;
}

std::string origin_of(const issuer_service& issuer) {
    const auto url = issuer.settings.base();
    return url.substr(0, url.size() - issuer.settings.path.size());
}

list signing_algs() {
    return {std::begin(auth_signing_algs), std::end(auth_signing_algs)};
}

// Members of section 4, in both documents. An endpoint that is not there is not named.
void write_mission_members(json::writer& w, const issuer_service& issuer) {
    const auto& settings = issuer.common->settings;
    json::member(w, "mission_event_stream_endpoint",
                 origin_of(issuer) + well_known(issuer, "ssf-configuration"));
    for (const auto& [name, path] : {std::pair{"mission_status_endpoint", "/mission/status"},
                                     std::pair{"mission_lifecycle_endpoint", "/mission/lifecycle"},
                                     std::pair{"mission_management_endpoint", "/mission/manage"}}) {
        const std::string endpoint = name;
        json::member(w, endpoint, issuer.url(path));
        write_list(w, endpoint + "_auth_methods_supported", mission_auth_methods(settings));
        write_list(w, endpoint + "_auth_signing_alg_values_supported", signing_algs());
    }
    write_list(w, "mission_status_signing_alg_values_supported", {"ES256"});
    json::key(w, "mission_max_stale_seconds");
    w.Int64(settings.ssf.max_stale.count());
}

bool any_client(const issuer_service& issuer, const std::function<bool(const client_config&)>& is) {
    const auto& clients = issuer.common->settings.clients;
    return std::any_of(clients.begin(), clients.end(), [&](const client_config& c) {
        return c.issuer == issuer.settings.url && is(c);
    });
}

// SSF 1.0 "Transmitter Configuration Metadata".
std::string ssf_configuration(const issuer_service& issuer) {
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::member(w, "spec_version", "1_0");
    json::member(w, "issuer", issuer.settings.url);
    json::member(w, "jwks_uri", issuer.url("/jwks.json"));
    write_list(w, "delivery_methods_supported", {"urn:ietf:rfc:8935", "urn:ietf:rfc:8936"});
    json::member(w, "configuration_endpoint", issuer.url("/ssf/streams"));
    json::member(w, "status_endpoint", issuer.url("/ssf/status"));
    json::member(w, "add_subject_endpoint", issuer.url("/ssf/subjects/add"));
    json::member(w, "remove_subject_endpoint", issuer.url("/ssf/subjects/remove"));
    json::member(w, "verification_endpoint", issuer.url("/ssf/verify"));
    // wire.md section 1: the members that say what a bridged event ends.
    if (any_client(issuer, [](const client_config& c) { return !c.caep_bridge.empty(); }))
        write_list(w, "critical_subject_members", {"session", "application"});
    json::key(w, "authorization_schemes");
    w.StartArray();
    w.StartObject();
    json::member(w, "spec_urn", "urn:ietf:rfc:6749");
    w.EndObject();
    w.EndArray();
    // Left out when it depends on who asks.
    const bool all = issuer.common->settings.ssf.default_subjects_all;
    if (!any_client(issuer, [all](const client_config& c) {
            return c.default_subjects_all.value_or(all) != all;
        }))
        json::member(w, "default_subjects", all ? "ALL" : "NONE");
    write_mission_members(w, issuer);
    w.EndObject();
    return json::text(buffer);
}

list every_scope() {
    return {"ssf.read",          "ssf.manage",         "ssf.manage.poll", "signals.emit",
            "mission.read",      "mission.write",      "mission.scope",   "mission_status",
            "mission_lifecycle", "mission_management", "ssf.admin"};
}

// RFC 8414 section 2. There is no authorization endpoint, hence no response type, and an empty
// array is left out (section 3.2).
std::string authorization_server(const issuer_service& issuer) {
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::member(w, "issuer", issuer.settings.url);
    json::member(w, "token_endpoint", issuer.url("/oauth/token"));
    json::member(w, "jwks_uri", issuer.url("/jwks.json"));
    write_list(w, "grant_types_supported", {"client_credentials"});
    const auto& settings = issuer.common->settings;
    write_list(w, "token_endpoint_auth_methods_supported", token_auth_methods(settings));
    write_list(w, "token_endpoint_auth_signing_alg_values_supported", signing_algs());
    write_list(w, "scopes_supported", every_scope());
    write_list(w, "dpop_signing_alg_values_supported", signing_algs());  // RFC 9449 section 5.1
    if (uses_client_certificates(settings)) {                            // RFC 8705 section 3.3
        json::key(w, "tls_client_certificate_bound_access_tokens");
        w.Bool(true);
    }
    write_mission_members(w, issuer);
    w.EndObject();
    return json::text(buffer);
}

// RFC 9728 section 2.
std::string protected_resource(const issuer_service& issuer, std::string_view path,
                               const list& scopes) {
    const auto& settings = issuer.common->settings;
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::member(w, "resource", issuer.url(path));
    // Ours, and whoever else makes tokens that are taken here.
    list servers;
    if (settings.auth.token_endpoint) servers.push_back(issuer.settings.url);
    for (const auto& other : settings.auth.issuers)
        servers.push_back(other.issuer);
    write_list(w, "authorization_servers", servers);
    if (path.empty()) json::member(w, "jwks_uri", issuer.url("/jwks.json"));
    write_list(w, "scopes_supported", scopes);
    write_list(w, "bearer_methods_supported", {"header"});
    write_list(w, "dpop_signing_alg_values_supported", signing_algs());
    if (uses_client_certificates(settings)) {
        json::key(w, "tls_client_certificate_bound_access_tokens");
        w.Bool(true);
    }
    w.EndObject();
    return json::text(buffer);
}

void serve(router& r, std::string path, std::string body) {
    r.add_absolute("GET", std::move(path),
                   [body = std::move(body)](net::http_request, std::string,
                                            net::responder respond) { respond(cacheable(body)); });
}

}  // namespace

void name_resource_metadata(router& r, const issuer_service& issuer) {
    const auto resource = origin_of(issuer) + well_known(issuer, "oauth-protected-resource");
    r.set_resource_metadata([resource](std::string_view route) {
        for (const auto& [endpoint, scope] : mission_resources)
            if (route == endpoint) return resource + std::string(endpoint);
        return resource;
    });
}

void add_metadata_routes(router& r, issuer_service& issuer) {
    const auto& settings = issuer.common->settings;
    serve(r, well_known(issuer, "ssf-configuration"), ssf_configuration(issuer));
    const auto resource = well_known(issuer, "oauth-protected-resource");
    serve(r, resource,
          protected_resource(issuer, "",
                             {"ssf.read", "ssf.manage", "ssf.manage.poll", "signals.emit",
                              "mission.read", "mission.write", "mission.scope", "ssf.admin"}));
    if (settings.auth.token_endpoint)
        serve(r, well_known(issuer, "oauth-authorization-server"), authorization_server(issuer));
    for (const auto& [endpoint, scope] : mission_resources)
        serve(r, resource + std::string(endpoint), protected_resource(issuer, endpoint, {scope}));
    name_resource_metadata(r, issuer);
    // Read at every request: keys come and go while the process runs.
    r.add("GET", "/jwks.json", [&issuer](net::http_request, std::string, net::responder respond) {
        respond(cacheable(*issuer.keys->jwks_json()));
    });
}

void add_token_routes(router& r, issuer_service& issuer, authenticator& auth) {
    if (!issuer.common->settings.auth.token_endpoint) return;
    r.add("POST", "/oauth/token",
          [&](net::http_request request, std::string, net::responder respond) {
              if (request.body_too_large)
                  return respond(shaped_error(request.path, 413, "invalid_request",
                                              "the request is too large"));
              auto shared = std::make_shared<const net::http_request>(std::move(request));
              issuer.common->runtime->post_work(
                  [&auth, shared, respond] { respond(auth.token(*shared)); });
          });
}

}  // namespace mission::transmitter
