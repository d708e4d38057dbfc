#include "transmitter/auth/token_judge.hpp"

#include <algorithm>

#include "transmitter/auth/certificate.hpp"
#include "transmitter/auth/dpop.hpp"

namespace mission::transmitter {
namespace {

const error not_good{errc::unauthenticated, "the access token is not valid"};

// A verdict on a token without an end of its own is found anew once a day.
constexpr std::chrono::hours endless{24};

std::vector<std::string> common_scopes(const std::vector<std::string>& wanted,
                                       const client_config& client) {
    std::vector<std::string> out;
    for (const auto& s : wanted)
        if (std::find(client.scopes.begin(), client.scopes.end(), s) != client.scopes.end())
            out.push_back(s);
    return out;
}

bool same_but_slash(std::string_view a, std::string_view b) {
    if (a.ends_with('/')) a.remove_suffix(1);
    if (b.ends_with('/')) b.remove_suffix(1);
    return a == b;
}

}  // namespace

token_judge::token_judge(issuer_service& issuer)
    : issuer_(issuer),
      sealer_(issuer.common->settings.secrets_key, issuer.settings.url),
      proofs_(issuer.common->time->now(), limits::dpop_proofs),
      endpoints_{issuer.url("/mission/status"), issuer.url("/mission/lifecycle"),
                 issuer.url("/mission/manage")} {
    if (const auto parsed = net::parse_url(issuer.settings.url)) origin_ = parsed->origin();
    for (const auto& c : issuer.common->settings.clients)
        if (c.issuer == issuer.settings.url && !c.token.empty())
            static_tokens_.emplace_back(jose::sha256(c.token), &c);
}

std::optional<std::string> token_judge::own_resource(std::string_view name) const {
    if (same_but_slash(name, issuer_.settings.url)) return std::string();
    const auto it = std::find(endpoints_.begin(), endpoints_.end(), name);
    if (it == endpoints_.end()) return std::nullopt;
    return *it;
}

std::string token_judge::seal(const token_content& content) const {
    return sealer_.seal(content, *issuer_.common->random);
}

std::shared_ptr<const verdict> token_judge::known(std::string_view token,
                                                  const jose::digest256& hash,
                                                  wall_time now) const {
    if (auto v = verdicts_.find(hash, now)) return v;
    auto v = static_token(hash, now);
    if (!v) v = own_token(token, now);
    if (v) verdicts_.put(hash, v);
    return v;
}

std::shared_ptr<const verdict> token_judge::static_token(const jose::digest256& hash,
                                                         wall_time now) const {
    const client_config* found = nullptr;
    for (const auto& [held, client] : static_tokens_)
        if (jose::equal_constant_time(jose::view(held), jose::view(hash))) found = client;
    if (!found) return nullptr;
    auto v = std::make_shared<verdict>();
    v->who.client = found;
    v->who.scopes = found->scopes;
    v->who.token_expires = found->token_expires.value_or(now + endless);
    if (v->who.token_expires <= now) return nullptr;
    v->good_until = v->who.token_expires;
    return v;
}

std::shared_ptr<const verdict> token_judge::own_token(std::string_view token, wall_time now) const {
    auto content = sealer_.open(token, now);
    if (!content) return nullptr;
    auto v = std::make_shared<verdict>();
    v->who.client = issuer_.find_client(content->client_id);
    if (!v->who.client) return nullptr;
    // A scope that was taken from the client's entry since is gone.
    v->who.scopes = common_scopes(content->scopes, *v->who.client);
    if (!content->audience.empty()) v->who.audiences.push_back(std::move(content->audience));
    v->who.token_expires = v->good_until = content->expires;
    v->jkt = std::move(content->jkt);
    v->x5t = std::move(content->x5t);
    return v;
}

result<std::shared_ptr<const verdict>> token_judge::accept(const foreign_claims& claims,
                                                           const jose::digest256& hash) const {
    const auto& settings = issuer_.common->settings;
    const auto source =
        std::find_if(settings.auth.issuers.begin(), settings.auth.issuers.end(),
                     [&](const token_issuer_config& i) { return i.issuer == claims.token_issuer; });
    const auto* client = issuer_.find_client(claims.client_id);
    // wire.md section 1: found by (token issuer, client id); the same id of another issuer is
    // somebody else.
    if (source == settings.auth.issuers.end() || !client ||
        client->token_issuer != claims.token_issuer)
        return not_good;
    auto v = std::make_shared<verdict>();
    v->who.client = client;
    v->who.scopes = common_scopes(claims.scopes, *client);
    bool whole = false;
    for (const auto& aud : claims.audiences) {
        const auto own = own_resource(aud);
        if (aud == source->audience || (own && own->empty()))
            whole = true;
        else if (own)
            v->who.audiences.push_back(*own);
    }
    // RFC 7662 section 2.2: `aud` is optional there; who is asked has said that it is active here.
    if (claims.audiences.empty() && !source->introspection.empty()) whole = true;
    if (!whole && v->who.audiences.empty()) return not_good;
    if (whole && !v->who.audiences.empty()) v->who.audiences.push_back(issuer_.settings.url);
    v->who.token_expires = claims.expires;
    v->who.of_mission = claims.of_mission;
    v->good_until = claims.good_until;
    v->jkt = claims.jkt;
    v->x5t = claims.x5t;
    std::shared_ptr<const verdict> kept = std::move(v);
    verdicts_.put(hash, kept);
    return kept;
}

result<principal> token_judge::prove(const net::http_request& request, const presented_token& token,
                                     const verdict& v) const {
    if (std::min(v.who.token_expires, v.good_until) <= issuer_.common->time->now()) return not_good;
    // RFC 9449 section 7.2: a bound token is no bearer token, and the other way round.
    if ((token.how == presented_token::scheme::dpop) != !v.jkt.empty()) return not_good;
    if (!v.x5t.empty() &&
        !jose::equal_constant_time(v.x5t, certificate_thumbprint(request.peer.certificate_der)))
        return not_good;
    if (!v.jkt.empty()) {
        const auto jkt = check_proof(request, origin_ + request.path, token.text);
        if (!jkt) return jkt.error();
        if (*jkt != v.jkt) return error{errc::invalid_dpop_proof, "another key than the token's"};
    }
    principal p = v.who;
    p.bound = !v.jkt.empty() || !v.x5t.empty();
    return p;
}

result<std::string> token_judge::proof_key(const net::http_request& request,
                                           std::string_view url) const {
    if (request.fields.count("dpop") == 0) return std::string();
    return check_proof(request, std::string(url), {});
}

result<std::string> token_judge::check_proof(const net::http_request& request,
                                             const std::string& url,
                                             std::string_view access_token) const {
    // RFC 9449 section 4.3, rule 1.
    if (request.fields.count("dpop") != 1)
        return error{errc::invalid_dpop_proof, "not exactly one DPoP header"};
    const auto now = issuer_.common->time->now();
    const auto proof =
        verify_proof(request.fields.get("dpop"), {request.method, url, access_token, now});
    if (!proof) return proof.error();
    // Section 11.1: once. Only what its key has signed may fill the memory.
    if (auto fresh = proofs_.accept(proof->jkt, proof->jti, proof->issued,
                                    proof->issued + limits::dpop_proof_age, now);
        !fresh)
        return fresh.error() == errc::rate_limited
                   ? fresh.error()
                   : error{errc::invalid_dpop_proof, fresh.error().detail};
    return proof->jkt;
}

}  // namespace mission::transmitter
