#include "transmitter/auth/authenticator.hpp"

#include <algorithm>

#include "transmitter/api/router.hpp"
#include "transmitter/auth/access_token.hpp"
#include "transmitter/auth/client_credentials.hpp"
#include "transmitter/auth/verdict_cache.hpp"

namespace mission::transmitter {
namespace {

const error no_token{errc::unauthenticated, ""};
const error bad_token{errc::unauthenticated, "the access token is not valid"};

// RFC 6749 section 5.2.
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

// The token of `Authorization: Bearer`; empty when the header is absent or of another scheme.
std::string_view bearer_token(const net::http_request& request) {
    if (request.fields.count("authorization") != 1) return {};
    auto header = request.fields.get("authorization");
    constexpr std::string_view scheme = "bearer ";
    if (header.size() <= scheme.size()) return {};
    for (std::size_t i = 0; i < scheme.size(); ++i) {
        const char c = header[i];
        if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c) != scheme[i]) return {};
    }
    header.remove_prefix(scheme.size());
    while (header.starts_with(' '))
        header.remove_prefix(1);
    return header;
}

bool token_in_query(std::string_view query) {
    return query.starts_with("access_token=") ||
           query.find("&access_token=") != std::string_view::npos;
}

class issuer_authenticator final : public authenticator {
  public:
    explicit issuer_authenticator(issuer_service& issuer)
        : issuer_(issuer),
          sealer_(issuer.common->settings.secrets_key, issuer.settings.url),
          replays_(issuer.common->time->now()) {
        for (const auto& c : issuer.common->settings.clients)
            if (c.issuer == issuer.settings.url && !c.token.empty())
                static_tokens_.emplace_back(jose::sha256(c.token), &c);
    }

    result<principal> bearer(const net::http_request& request) const override {
        // wire.md: a token in a query ends up in logs; one there is refused, never used.
        if (token_in_query(request.query))
            return error{errc::invalid_request, "a token is not taken from the query"};
        if (request.fields.count("authorization") == 0) return no_token;
        const auto token = bearer_token(request);
        if (token.empty()) return bad_token;
        const auto now = issuer_.common->time->now();
        const auto hash = jose::sha256(token);
        if (const auto known = verdicts_.find(hash, now)) return *known;
        auto found = judge(token, hash, now);
        if (found) verdicts_.put(hash, std::make_shared<const principal>(*found));
        return found;
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
    // the token, otherwise one with an assertion by that. A client secret is none of the methods.
    result<principal> form_client(const net::http_request& request, const form& fields,
                                  std::string_view endpoint_url,
                                  std::string_view scope) const override {
        if (request.fields.count("authorization") != 0 || token_in_query(request.query)) {
            if (!issuer_.common->settings.auth.allow_bearer ||
                has_field(fields, "client_assertion"))
                return bad_token;
            auto p = bearer(request);
            if (!p) return bad_token;
            if (!p->has(scope)) return error{errc::insufficient_scope, std::string(scope)};
            return p;
        }
        if (!has_field(fields, "client_assertion") || has_field(fields, "client_secret") ||
            field(fields, "client_assertion_type") != assertion_type)
            return no_token;
        const auto client = verify_client_assertion(field(fields, "client_assertion"),
                                                    rules({std::string(endpoint_url)}), replays_);
        if (!client) {
            refusal(client.error());
            if (client.error() == errc::rate_limited) return client.error();
            return error{errc::unauthenticated, client.error().message()};
        }
        if (has_field(fields, "client_id") && field(fields, "client_id") != (*client)->id)
            return bad_token;
        principal p;
        p.client = *client;
        p.scopes = (*client)->scopes;
        p.how = principal::method::private_key_jwt;
        p.token_expires = issuer_.common->time->now() + limits::assertion_lifetime_max;
        return p;
    }

    net::http_response token(const net::http_request& request) override {
        if (!form_content_type(request))
            return oauth_error(415, "invalid_request", "the body must be a form");
        const auto fields = net::parse_form(request.body);
        if (!fields) return oauth_error(400, "invalid_request", "the form is malformed");
        if (token_in_query(request.query) || !request.query.empty())
            return oauth_error(400, "invalid_request", "parameters belong into the body");
        if (request.fields.count("authorization") > 1)
            return oauth_error(400, "invalid_request", "Authorization is there twice");
        const auto header = request.fields.get("authorization");
        // RFC 7523 section 3: `aud` is the token endpoint, or the issuer as clients came to use it.
        const auto client = authenticate_client(
            header, *fields, rules({issuer_.url("/oauth/token"), issuer_.settings.url}), replays_);
        if (!client) {
            refusal(client.error());
            if (client.error() == errc::invalid_request)
                return oauth_error(400, "invalid_request", client.error().detail);
            auto answer = oauth_error(401, "invalid_client", "client authentication failed");
            answer.fields.set("www-authenticate", "Basic realm=\"token\"");
            return answer;
        }
        return grant(*client->client, *fields);
    }

  private:
    net::http_response grant(const client_config& client, const form& fields) {
        const auto grant_type = field(fields, "grant_type");
        if (grant_type.empty()) return oauth_error(400, "invalid_request", "grant_type is missing");
        if (grant_type != "client_credentials")
            return oauth_error(400, "unsupported_grant_type", "only client_credentials is known");
        auto scopes =
            has_field(fields, "scope") ? split_scopes(field(fields, "scope")) : client.scopes;
        const bool within = std::all_of(scopes.begin(), scopes.end(), [&](const std::string& s) {
            return std::find(client.scopes.begin(), client.scopes.end(), s) != client.scopes.end();
        });
        if (!within || scopes.empty())
            return oauth_error(400, "invalid_scope", "this client cannot have that scope");
        token_content content{client.id, std::move(scopes),
                              issuer_.common->time->now() + limits::access_token_lifetime};
        json::buffer buffer;
        json::writer w(buffer);
        w.StartObject();
        json::member(w, "access_token", sealer_.seal(content, *issuer_.common->random));
        json::member(w, "token_type", "Bearer");
        json::key(w, "expires_in");
        w.Int64(std::chrono::seconds(limits::access_token_lifetime).count());
        json::member(w, "scope", join_scopes(content.scopes));
        w.EndObject();
        auto r = json_answer(200, json::text(buffer));
        r.fields.set("pragma", "no-cache");  // RFC 6749 section 5.1
        return r;
    }

    result<principal> judge(std::string_view token, const jose::digest256& hash,
                            wall_time now) const {
        principal p;
        for (const auto& [held, client] : static_tokens_)
            if (jose::equal_constant_time(jose::view(held), jose::view(hash))) {
                p.client = client;
                p.scopes = client->scopes;
                // A static token ends with the configuration; a day bounds a cached verdict.
                p.token_expires = now + std::chrono::hours(24);
            }
        if (p.client) return p;
        auto content = sealer_.open(token, now);
        if (!content) return bad_token;
        p.client = issuer_.find_client(content->client_id);
        if (!p.client) return bad_token;
        // A scope that was taken from the client's entry since is gone.
        for (auto& s : content->scopes)
            if (std::find(p.client->scopes.begin(), p.client->scopes.end(), s) !=
                p.client->scopes.end())
                p.scopes.push_back(std::move(s));
        p.token_expires = content->expires;
        return p;
    }

    assertion_rules rules(std::vector<std::string> audiences) const {
        return {std::move(audiences),
                [this](std::string_view id) { return issuer_.find_client(id); },
                issuer_.common->time->now()};
    }

    void refusal(const error& e) const {
        log(level::debug, "client authentication refused",
            {{"issuer", issuer_.settings.url}, {"why", e.message()}});
    }

    issuer_service& issuer_;
    token_sealer sealer_;
    mutable jti_guard replays_;
    mutable verdict_cache verdicts_;
    std::vector<std::pair<jose::digest256, const client_config*>> static_tokens_;
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

std::unique_ptr<authenticator> make_authenticator(issuer_service& issuer) {
    return std::make_unique<issuer_authenticator>(issuer);
}

}  // namespace mission::transmitter
