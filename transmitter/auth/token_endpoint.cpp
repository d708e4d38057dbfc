#include "transmitter/auth/token_endpoint.hpp"

#include <algorithm>

#include "transmitter/api/router.hpp"
#include "transmitter/auth/certificate.hpp"

namespace mission::transmitter {

net::http_response oauth_error(int status, std::string_view code, std::string_view description) {
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::member(w, "error", code);
    json::member(w, "error_description", description);
    w.EndObject();
    auto r = json_answer(status, json::text(buffer));
    r.fields.set("pragma", "no-cache");
    return r;
}

net::http_response grant_token(const issuer_service& issuer, const token_judge& judge,
                               const net::http_request& request, const form& fields,
                               const authenticated_client& by) {
    const auto& client = *by.client;
    const auto grant_type = field(fields, "grant_type");
    if (grant_type.empty()) return oauth_error(400, "invalid_request", "grant_type is missing");
    if (grant_type != "client_credentials")
        return oauth_error(400, "unsupported_grant_type", "only client_credentials is known");
    token_content content;
    content.client_id = client.id;
    content.scopes =
        has_field(fields, "scope") ? split_scopes(field(fields, "scope")) : client.scopes;
    const bool within =
        std::all_of(content.scopes.begin(), content.scopes.end(), [&](const std::string& s) {
            return std::find(client.scopes.begin(), client.scopes.end(), s) != client.scopes.end();
        });
    if (!within || content.scopes.empty())
        return oauth_error(400, "invalid_scope", "this client cannot have that scope");
    if (has_field(fields, "resource")) {
        auto resource = judge.own_resource(field(fields, "resource"));
        if (!resource) return oauth_error(400, "invalid_target", "no resource of this server");
        content.audience = std::move(*resource);
    }
    // Last of the checks: a proof is used up by it.
    auto jkt = judge.proof_key(request, issuer.url("/oauth/token"));
    if (!jkt) {
        log(level::debug, "a DPoP proof was refused",
            {{"client_id", client.id}, {"why", jkt.error().message()}});
        if (jkt.error() == errc::rate_limited) {
            auto busy = oauth_error(429, "rate_limited", "too many requests; wait");
            busy.fields.set("retry-after", "1");
            return busy;
        }
        return oauth_error(400, "invalid_dpop_proof", "the DPoP proof is not valid");
    }
    content.jkt = std::move(*jkt);
    if (by.how == principal::method::certificate)
        content.x5t = certificate_thumbprint(request.peer.certificate_der);
    content.expires = issuer.common->time->now() + limits::access_token_lifetime;

    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::member(w, "access_token", judge.seal(content));
    json::member(w, "token_type", content.jkt.empty() ? "Bearer" : "DPoP");
    json::key(w, "expires_in");
    w.Int64(std::chrono::seconds(limits::access_token_lifetime).count());
    json::member(w, "scope", join_scopes(content.scopes));
    w.EndObject();
    auto r = json_answer(200, json::text(buffer));
    r.fields.set("pragma", "no-cache");  // RFC 6749 section 5.1
    return r;
}

}  // namespace mission::transmitter
