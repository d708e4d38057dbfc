#include "transmitter/api/mission_views.hpp"

// The documents that need no token: metadata and keys. Rendered once; `max-age=300` (wire.md).

namespace mission::transmitter {
namespace {

using list = std::initializer_list<std::string_view>;

void write_list(json::writer& w, std::string_view name, list items) {
    json::key(w, name);
    w.StartArray();
    for (const auto item : items)
        json::string(w, item);
    w.EndArray();
}

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
    const auto& url = issuer.settings.url;
    return url.substr(0, url.size() - issuer.settings.path.size());
}

// Members of section 4, in both documents. An endpoint that is not there is not named.
void write_mission_members(json::writer& w, const issuer_service& issuer) {
    const auto& settings = issuer.common->settings;
    json::member(w, "mission_event_stream_endpoint",
                 origin_of(issuer) + well_known(issuer, "ssf-configuration"));
    for (const std::string endpoint : {"mission_status_endpoint", "mission_lifecycle_endpoint"}) {
        json::member(w, endpoint,
                     issuer.url(endpoint == "mission_status_endpoint" ? "/mission/status"
                                                                      : "/mission/lifecycle"));
        if (settings.auth.allow_bearer)
            write_list(w, endpoint + "_auth_methods_supported",
                       {"private_key_jwt", "access_token"});
        else
            write_list(w, endpoint + "_auth_methods_supported", {"private_key_jwt"});
        write_list(w, endpoint + "_auth_signing_alg_values_supported", {"ES256", "RS256"});
    }
    write_list(w, "mission_status_signing_alg_values_supported", {"ES256"});
    json::key(w, "mission_max_stale_seconds");
    w.Int64(settings.ssf.max_stale.count());
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
    json::member(w, "verification_endpoint", issuer.url("/ssf/verify"));
    json::key(w, "authorization_schemes");
    w.StartArray();
    w.StartObject();
    json::member(w, "spec_urn", "urn:ietf:rfc:6749");
    w.EndObject();
    w.EndArray();
    json::member(w, "default_subjects", "ALL");
    write_mission_members(w, issuer);
    w.EndObject();
    return json::text(buffer);
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
    write_list(w, "token_endpoint_auth_methods_supported",
               {"client_secret_basic", "client_secret_post", "private_key_jwt"});
    write_list(w, "token_endpoint_auth_signing_alg_values_supported", {"ES256", "RS256"});
    write_list(w, "scopes_supported",
               {"ssf.read", "ssf.manage", "ssf.manage.poll", "mission.read", "mission.write",
                "mission.scope", "mission_status", "mission_lifecycle", "ssf.admin"});
    write_mission_members(w, issuer);
    w.EndObject();
    return json::text(buffer);
}

// RFC 9728 section 2.
std::string protected_resource(const issuer_service& issuer, std::string_view path, list scopes) {
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::member(w, "resource", issuer.url(path));
    if (issuer.common->settings.auth.token_endpoint) {
        const std::string_view server = issuer.settings.url;
        write_list(w, "authorization_servers", {server});
    }
    write_list(w, "scopes_supported", scopes);
    write_list(w, "bearer_methods_supported", {"header"});
    w.EndObject();
    return json::text(buffer);
}

void serve(router& r, std::string path, std::string body) {
    r.add_absolute("GET", std::move(path),
                   [body = std::move(body)](net::http_request, std::string,
                                            net::responder respond) { respond(cacheable(body)); });
}

}  // namespace

void add_metadata_routes(router& r, issuer_service& issuer) {
    const auto& settings = issuer.common->settings;
    serve(r, well_known(issuer, "ssf-configuration"), ssf_configuration(issuer));
    const auto resource = well_known(issuer, "oauth-protected-resource");
    serve(r, resource,
          protected_resource(issuer, "",
                             {"ssf.read", "ssf.manage", "ssf.manage.poll", "mission.read",
                              "mission.write", "mission.scope", "ssf.admin"}));
    if (settings.auth.token_endpoint)
        serve(r, well_known(issuer, "oauth-authorization-server"), authorization_server(issuer));
    if (settings.auth.allow_bearer) {
        // Only then do these endpoints take tokens at all.
        serve(r, resource + "/mission/status",
              protected_resource(issuer, "/mission/status", {"mission_status"}));
        serve(r, resource + "/mission/lifecycle",
              protected_resource(issuer, "/mission/lifecycle", {"mission_lifecycle"}));
    }
    serve(r, issuer.settings.path + "/jwks.json", issuer.keys->jwks_json());
}

void add_token_routes(router& r, issuer_service& issuer, authenticator& auth) {
    if (!issuer.common->settings.auth.token_endpoint) return;
    r.add("POST", "/oauth/token",
          [&](net::http_request request, std::string, net::responder respond) {
              auto shared = std::make_shared<const net::http_request>(std::move(request));
              issuer.common->runtime->post_work(
                  [&auth, shared, respond] { respond(auth.token(*shared)); });
          });
}

}  // namespace mission::transmitter
