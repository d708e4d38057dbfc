#include "transmitter/auth/authenticator.hpp"

#include <algorithm>

#include "transmitter/api/router.hpp"
#include "transmitter/auth/client_credentials.hpp"
#include "transmitter/auth/token_endpoint.hpp"
#include "transmitter/auth/token_judge.hpp"
#include "transmitter/auth/token_sources.hpp"

namespace mission::transmitter {
namespace {

const error no_token{errc::unauthenticated, ""};
const error bad_token{errc::unauthenticated, "the access token is not valid"};

// What prepare() leaves in the request: of this authenticator, and judged once, for a proof is used
// up by being judged.
struct prepared {
    const authenticator* by = nullptr;
    result<principal> who = no_token;
};

class issuer_authenticator final : public authenticator {
  public:
    issuer_authenticator(issuer_service& issuer, std::shared_ptr<token_sources> sources)
        : issuer_(issuer),
          judge_(issuer),
          replays_(issuer.common->time->now()),
          sources_(std::move(sources)) {
        for (const auto& c : issuer.common->settings.clients)
            if (c.issuer == issuer.settings.url) clients_.push_back(&c);
    }
    ~issuer_authenticator() override { stop(); }

    void stop() override {
        if (sources_) sources_->stop();
    }

    void prepare(net::http_request request,
                 std::function<void(net::http_request)> go) const override {
        const auto token = token_of(request);
        if (token.text.empty() || token_in_query(request.query)) return go(std::move(request));
        const auto hash = jose::sha256(token.text);
        if (const auto v = judge_.known(token.text, hash, issuer_.common->time->now()))
            return pass(std::move(request), judge_.prove(request, token, *v), go);
        if (!sources_) return pass(std::move(request), bad_token, go);
        // `token` points into the request, which moves into whoever waits.
        const std::string text(token.text);
        auto waiting = std::make_shared<net::http_request>(std::move(request));
        sources_->find(text, hash,
                       [this, waiting, hash, go = std::move(go)](result<foreign_claims> claims) {
                           auto who = judge_foreign(*waiting, claims, hash);
                           pass(std::move(*waiting), std::move(who), go);
                       });
    }

    result<principal> bearer(const net::http_request& request) const override {
        auto p = any_token(request);
        // RFC 8707 section 2: a token for another resource of ours is none for this one.
        if (p && !p->audiences.empty() &&
            std::find(p->audiences.begin(), p->audiences.end(), issuer_.settings.url) ==
                p->audiences.end())
            return bad_token;
        return p;
    }

    result<principal> bearer_with(const net::http_request& request,
                                  std::initializer_list<std::string_view> scopes) const override {
        auto p = bearer(request);
        if (!p) return p;
        for (const auto scope : scopes)
            if (p->has(scope)) return p;
        std::string wanted;
        for (const auto scope : scopes)
            wanted += (wanted.empty() ? "" : " ") + std::string(scope);
        return error{errc::insufficient_scope, wanted};
    }

    // draft-mcguinness-oauth-mission-status "Authentication": a request with a token is judged by
    // the token, otherwise one with an assertion by that, otherwise by its certificate. A client
    // secret is none of the methods.
    result<principal> form_client(const net::http_request& request, const form& fields,
                                  std::string_view endpoint_url,
                                  std::string_view scope) const override {
        if (has_field(fields, "client_secret")) return bad_token;
        if (request.fields.count("authorization") != 0 || token_in_query(request.query)) {
            if (has_field(fields, "client_assertion")) return bad_token;
            return by_token(request, endpoint_url, scope);
        }
        if (has_field(fields, "client_assertion")) return by_assertion(fields, endpoint_url);
        return by_certificate(request, fields);
    }

    net::http_response token(const net::http_request& request) override {
        if (!form_content_type(request))
            return oauth_error(415, "invalid_request", "the body must be a form");
        const auto fields = net::parse_form(request.body);
        if (!fields) return oauth_error(400, "invalid_request", "the form is malformed");
        if (!request.query.empty())
            return oauth_error(400, "invalid_request", "parameters belong into the body");
        if (request.fields.count("authorization") > 1)
            return oauth_error(400, "invalid_request", "Authorization is there twice");
        // RFC 7523 section 3: `aud` is the token endpoint, or the issuer as clients came to use it.
        const auto rules = rules_for({issuer_.url("/oauth/token"), issuer_.settings.url,
                                      issuer_.settings.base(), issuer_.settings.base() + "/"});
        const auto client =
            authenticate_client({request.fields.get("authorization"), request.peer.certificate_der},
                                *fields, rules, replays_);
        if (!client) {
            refusal(client.error());
            if (client.error() == errc::invalid_request)
                return oauth_error(400, "invalid_request", client.error().detail);
            auto answer = oauth_error(401, "invalid_client", "client authentication failed");
            answer.fields.set("www-authenticate", "Basic realm=\"token\"");
            return answer;
        }
        // wire.md section 1: this client's tokens come from another issuer; ours would not be
        // found under it.
        if (!client->client->token_issuer.empty())
            return oauth_error(400, "unauthorized_client",
                               "this client has its tokens from another issuer");
        return grant_token(issuer_, judge_, request, *fields, *client);
    }

  private:
    void pass(net::http_request request, result<principal> who,
              const std::function<void(net::http_request)>& go) const {
        if (!who) refusal(who.error());
        request.context = std::make_shared<const prepared>(prepared{this, std::move(who)});
        go(std::move(request));
    }

    result<principal> judge_foreign(const net::http_request& request,
                                    const result<foreign_claims>& claims,
                                    const jose::digest256& hash) const {
        if (!claims) return claims.error();
        const auto v = judge_.accept(*claims, hash);
        if (!v) return v.error();
        return judge_.prove(request, token_of(request), **v);
    }

    // The token's principal, whatever resource of ours it is for.
    result<principal> any_token(const net::http_request& request) const {
        if (token_in_query(request.query))
            return error{errc::invalid_request, "a token is not taken from the query"};
        if (const auto* known = static_cast<const prepared*>(request.context.get());
            known && known->by == this)
            return known->who;
        const auto token = token_of(request);
        if (token.how == presented_token::scheme::none) return no_token;
        if (token.text.empty()) return bad_token;
        const auto hash = jose::sha256(token.text);
        if (const auto v = judge_.known(token.text, hash, issuer_.common->time->now()))
            return judge_.prove(request, token, *v);
        if (!sources_) return bad_token;
        return judge_foreign(request, sources_->find_at_hand(token.text), hash);
    }

    result<principal> by_token(const net::http_request& request, std::string_view endpoint_url,
                               std::string_view scope) const {
        auto p = any_token(request);
        if (!p) return p.error() == errc::invalid_request ? result<principal>(bad_token) : p;
        const bool meant_for_it =
            std::find(p->audiences.begin(), p->audiences.end(), endpoint_url) != p->audiences.end();
        if (!(p->bound && meant_for_it) && !issuer_.common->settings.auth.allow_bearer)
            return bad_token;
        if (!scope.empty() && !p->has(scope))
            return error{errc::insufficient_scope, std::string(scope)};
        return p;
    }

    result<principal> by_assertion(const form& fields, std::string_view endpoint_url) const {
        if (field(fields, "client_assertion_type") != assertion_type) return no_token;
        const auto client = verify_client_assertion(
            field(fields, "client_assertion"), rules_for({std::string(endpoint_url)}), replays_);
        if (!client) {
            refusal(client.error());
            if (client.error() == errc::rate_limited) return client.error();
            return error{errc::unauthenticated, client.error().message()};
        }
        if (has_field(fields, "client_id") && field(fields, "client_id") != (*client)->id)
            return bad_token;
        return itself(**client, principal::method::private_key_jwt);
    }

    result<principal> by_certificate(const net::http_request& request, const form& fields) const {
        const auto* client = client_of_certificate(clients_, request.peer.certificate_der,
                                                   field(fields, "client_id"));
        if (!client) return no_token;
        return itself(*client, principal::method::certificate);
    }

    // A client that has shown who it is: it may what its entry says.
    principal itself(const client_config& client, principal::method how) const {
        principal p;
        p.client = &client;
        p.scopes = client.scopes;
        p.how = how;
        p.token_expires = issuer_.common->time->now() + limits::assertion_lifetime_max;
        return p;
    }

    assertion_rules rules_for(std::vector<std::string> audiences) const {
        return {std::move(audiences),
                [this](std::string_view id) { return issuer_.find_client(id); },
                issuer_.common->time->now(),
                [this](std::string_view der, std::string_view id) {
                    return client_of_certificate(clients_, der, id);
                }};
    }

    void refusal(const error& e) const {
        log(level::debug, "authentication refused",
            {{"issuer", issuer_.settings.url}, {"why", e.message()}});
    }

    issuer_service& issuer_;
    token_judge judge_;
    mutable jti_guard replays_;
    std::vector<const client_config*> clients_;
    std::shared_ptr<token_sources> sources_;  // null: no other issuer's tokens are taken
};

}  // namespace

bool principal::has(std::string_view scope) const noexcept {
    return std::find(scopes.begin(), scopes.end(), scope) != scopes.end();
}

std::string_view field(const form& f, std::string_view name) noexcept {
    for (const auto& [key, value] : f)
        if (key == name) return value;
    return {};
}

bool has_field(const form& f, std::string_view name) noexcept {
    return std::any_of(f.begin(), f.end(), [&](const auto& entry) { return entry.first == name; });
}

bool uses_client_certificates(const config& settings) noexcept {
    return !settings.tls.client_ca.empty() ||
           std::any_of(settings.clients.begin(), settings.clients.end(),
                       [](const client_config& c) { return !c.certificate.empty(); });
}

std::vector<std::string_view> token_auth_methods(const config& settings) {
    std::vector<std::string_view> out{"client_secret_basic", "client_secret_post",
                                      "private_key_jwt"};
    // RFC 8705 section 2: with a CA the certificate is verified, without one it is known.
    if (uses_client_certificates(settings))
        out.push_back(settings.tls.client_ca.empty() ? "self_signed_tls_client_auth"
                                                     : "tls_client_auth");
    return out;
}

std::vector<std::string_view> mission_auth_methods(const config& settings) {
    std::vector<std::string_view> out{"private_key_jwt", "access_token"};
    if (uses_client_certificates(settings)) out.insert(out.begin(), "mtls_client_auth");
    return out;
}

result<std::unique_ptr<authenticator>> make_authenticator(issuer_service& issuer) {
    auto sources = make_token_sources(*issuer.common);
    if (!sources) return sources.error();
    return std::unique_ptr<authenticator>(
        std::make_unique<issuer_authenticator>(issuer, std::move(*sources)));
}

}  // namespace mission::transmitter
