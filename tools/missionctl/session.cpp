#include "tools/missionctl/session.hpp"

#include <algorithm>

#include "jose/digest.hpp"

namespace mission::tools {
namespace {

using namespace std::chrono_literals;

// A bulk operation is answered when it is done.
constexpr auto management_timeout = 60s;

// Where a document of this name lies for an issuer: between host and path (RFC 8414 section 3.1,
// SSF 1.0 "Transmitter Configuration"). The issuer comes without a slash at its end.
std::string well_known(const std::string& issuer, std::string_view name) {
    const auto path = issuer.find('/', std::string_view("https://").size());
    const std::string host = issuer.substr(0, path);
    return host + "/.well-known/" + std::string(name) +
           (path == std::string::npos ? std::string() : issuer.substr(path));
}

std::string origin_of(const std::string& url) {
    const auto parsed = net::parse_url(url);
    return parsed ? parsed->origin() : std::string();
}

std::string text_of(const json::value& object, std::string_view name) {
    const auto found = json::find_string(object, name);
    return found ? std::string(*found) : std::string();
}

// Errors of the peer, as it words them.
error refusal(int status, const std::string& body) {
    std::string code, description;
    if (auto d = json::parse(body); d && d->IsObject()) {
        code = text_of(*d, "error");
        if (code.empty()) code = text_of(*d, "err");
        description = text_of(*d, "error_description");
        if (description.empty()) description = text_of(*d, "description");
    }
    std::string detail = "refused with " + std::to_string(status);
    if (!code.empty()) detail += " " + code;
    if (!description.empty()) detail += ": " + description;
    return {errc::http_status, detail};
}

}  // namespace

session::session(settings s, std::unique_ptr<blocking_http> http, const clock& time,
                 std::function<void(std::chrono::milliseconds)> wait)
    : settings_(std::move(s)), http_(std::move(http)), time_(time), wait_(std::move(wait)) {}

result<std::unique_ptr<session>> session::open(
    settings s, std::unique_ptr<blocking_http> http, const clock& time,
    std::function<void(std::chrono::milliseconds)> wait) {
    std::unique_ptr<session> made(
        new session(std::move(s), std::move(http), time, std::move(wait)));
    if (!made->settings_.private_key_pem.empty()) {
        auto key = jose::private_key::from_pem(made->settings_.private_key_pem);
        if (!key) return key.error();
        key->set_kid("");  // the server tries every key it has of this client
        made->key_ = std::make_unique<jose::private_key>(std::move(*key));
    }
    return made;
}

// Once more for what may have been lost on the way. `make` makes a new request each time, because
// an assertion's jti is accepted once.
result<net::http_response> session::send_again(
    const std::function<result<net::client_request>()>& make, bool repeatable) {
    constexpr int tries = 7;
    auto pause = 100ms;
    for (int n = 1;; ++n) {
        auto request = make();
        if (!request) return request.error();
        auto response = http_->send(std::move(*request));
        const bool lost = !response || response->status == 503;
        if (!lost || !repeatable || n == tries) return response;
        wait_(pause);
        pause = std::min(pause * 2, 2000ms);
    }
}

result<json::document> session::get_json(const std::string& url) {
    auto response = send_again(
        [&]() -> result<net::client_request> {
            net::client_request r;
            r.url = url;
            return r;
        },
        true);
    if (!response) return response.error();
    if (response->status != 200) return refusal(response->status, response->body);
    return json::parse(response->body, limits::http_response_bytes);
}

result<void> session::discover() {
    if (!meta_.issuer.empty()) return {};
    auto ssf = get_json(well_known(settings_.server, "ssf-configuration"));
    if (!ssf) return ssf.error();
    metadata m;
    m.issuer = text_of(*ssf, "issuer");
    m.jwks_uri = text_of(*ssf, "jwks_uri");
    m.lifecycle_endpoint = text_of(*ssf, "mission_lifecycle_endpoint");
    m.status_endpoint = text_of(*ssf, "mission_status_endpoint");
    m.management_endpoint = text_of(*ssf, "mission_management_endpoint");
    if (const auto* algs = json::find(*ssf, "mission_status_signing_alg_values_supported");
        algs && algs->IsArray())
        for (const auto& a : algs->GetArray())
            if (a.IsString()) m.status_algs.emplace_back(json::view(a));
    // The settings have it without the slash that an issuer may end with (wire.md section 1).
    if (m.issuer != settings_.server && m.issuer != settings_.server + '/')
        return error{errc::wrong_issuer, "the server calls itself " + m.issuer};
    if (key_) {
        auto oauth = get_json(well_known(settings_.server, "oauth-authorization-server"));
        if (!oauth) return oauth.error();
        m.token_endpoint = text_of(*oauth, "token_endpoint");
    }
    // Tokens and assertions go to the issuer's own origin and nowhere else.
    for (const auto* url : {&m.token_endpoint, &m.jwks_uri, &m.lifecycle_endpoint,
                            &m.status_endpoint, &m.management_endpoint})
        if (!url->empty() && origin_of(*url) != origin_of(settings_.server))
            return error{errc::bad_response, "metadata names another host: " + *url};
    meta_ = std::move(m);
    return {};
}

// RFC 7523 section 3; `aud` as one string.
result<std::string> session::assertion(const std::string& audience) const {
    json::buffer out;
    json::writer w(out);
    const auto now = to_numeric_date(time_.now());
    w.StartObject();
    json::member(w, "iss", settings_.client_id);
    json::member(w, "sub", settings_.client_id);
    json::member(w, "aud", audience);
    json::member(w, "jti", jose::random_id(16));
    json::key(w, "iat");
    w.Int64(now);
    json::key(w, "exp");
    w.Int64(now + 60);
    w.EndObject();
    return jose::sign_compact(*key_, "JWT", json::text(out));
}

result<std::string> session::bearer(std::string_view scopes) {
    if (!settings_.token.empty()) return settings_.token;
    if (!bearer_.empty() && bearer_scopes_ == scopes) return bearer_;
    if (meta_.token_endpoint.empty())
        return error{errc::bad_response, "the server names no token endpoint"};
    auto response = send_again(
        [&]() -> result<net::client_request> {
            auto proof = assertion(meta_.token_endpoint);
            if (!proof) return proof.error();
            net::client_request r;
            r.method = "POST";
            r.url = meta_.token_endpoint;
            r.fields.add("content-type", "application/x-www-form-urlencoded");
            r.body = net::encode_form({{"grant_type", "client_credentials"},
                                       {"scope", std::string(scopes)},
                                       {"client_assertion_type",
                                        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
                                       {"client_assertion", *proof}});
            return r;
        },
        true);
    if (!response) return response.error();
    if (response->status != 200) return refusal(response->status, response->body);
    auto body = json::parse(response->body);
    if (!body) return body.error();
    bearer_ = text_of(*body, "access_token");
    bearer_scopes_ = scopes;
    if (bearer_.empty()) return error{errc::bad_response, "no access_token in the token answer"};
    return bearer_;
}

result<net::http_response> session::bearer_call(
    const std::string& method, const std::string& path, const std::string& body,
    std::string_view scopes, bool repeatable,
    const std::vector<std::pair<std::string, std::string>>& fields) {
    if (auto ok = discover(); !ok) return ok.error();
    auto token = bearer(scopes);
    if (!token) return token.error();
    auto response = send_again(
        [&]() -> result<net::client_request> {
            net::client_request r;
            r.method = method;
            r.url = settings_.server + path;
            r.fields.add("authorization", "Bearer " + *token);
            if (!body.empty()) r.fields.add("content-type", "application/json");
            for (const auto& [name, value] : fields)
                r.fields.add(name, value);
            r.body = body;
            return r;
        },
        repeatable);
    if (response && response->status / 100 != 2) return refusal(response->status, response->body);
    return response;
}

result<std::string> session::fetch(const std::string& path, std::string_view scopes,
                                   const std::vector<std::pair<std::string, std::string>>& fields) {
    auto response = bearer_call("GET", path, {}, scopes, true, fields);
    if (!response) return response.error();
    return std::move(response->body);
}

result<json_reply> session::call(std::string method, const std::string& path, std::string body,
                                 std::string_view scopes, bool repeatable,
                                 const std::vector<std::pair<std::string, std::string>>& fields) {
    auto all = fields;
    all.emplace_back("accept", "application/json");
    auto response = bearer_call(method, path, body, scopes, repeatable, all);
    if (!response) return response.error();
    json_reply reply;
    reply.status = response->status;
    reply.text = response->body;
    auto parsed = json::parse(response->body, limits::http_response_bytes);
    if (!parsed) return error{errc::bad_response, "the answer is no JSON"};
    reply.body = std::move(*parsed);
    return reply;
}

result<json::document> session::signed_call(form which, const std::string& mission_id,
                                            form_fields fields, std::string nonce) {
    if (auto ok = discover(); !ok) return ok.error();
    const auto& endpoint =
        which == form::lifecycle ? meta_.lifecycle_endpoint : meta_.status_endpoint;
    if (endpoint.empty()) return error{errc::bad_response, "the server does not offer that"};
    const bool nonce_was_given = !nonce.empty();
    if (!nonce_was_given) nonce = jose::random_id(24);
    fields.emplace_back("mission_id", mission_id);
    fields.emplace_back("nonce", nonce);
    auto answer = proven_call(endpoint, [&](net::client_request& r, const form_fields& proof) {
        r.fields.add("content-type", "application/x-www-form-urlencoded");
        auto sent = fields;
        sent.insert(sent.end(), proof.begin(), proof.end());
        r.body = net::encode_form(sent);
    });
    if (!answer) return answer.error();
    return check_status(*answer, mission_id, nonce, which == form::lifecycle && nonce_was_given);
}

result<std::string> session::proven_call(
    const std::string& endpoint,
    const std::function<void(net::client_request&, const form_fields& proof)>& fill) {
    auto response = send_again(
        [&]() -> result<net::client_request> {
            net::client_request r;
            r.method = "POST";
            r.url = endpoint;
            form_fields proof;
            if (key_) {
                auto signed_proof = assertion(endpoint);
                if (!signed_proof) return signed_proof.error();
                proof = {{"client_assertion_type",
                          "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
                         {"client_assertion", *signed_proof}};
            } else {
                r.fields.add("authorization", "Bearer " + settings_.token);
            }
            fill(r, proof);
            return r;
        },
        true);
    if (!response) return response.error();
    if (response->status != 200) return refusal(response->status, response->body);
    return std::move(response->body);
}

result<json::document> session::manage(const json::value& request, std::string nonce) {
    if (auto ok = discover(); !ok) return ok.error();
    if (meta_.management_endpoint.empty())
        return error{errc::bad_response, "the server does not offer that"};
    const bool nonce_was_given = !nonce.empty();
    if (!nonce_was_given) nonce = jose::random_id(24);
    auto answer = proven_call(
        meta_.management_endpoint, [&](net::client_request& r, const form_fields& proof) {
            json::document body;
            body.CopyFrom(request, body.GetAllocator());
            json::add(body, "nonce", std::string_view(nonce), body.GetAllocator());
            for (const auto& [name, value] : proof)
                json::add(body, name, std::string_view(value), body.GetAllocator());
            r.fields.add("content-type", "application/json");
            r.body = json::write(body);
            r.timeout = management_timeout;
        });
    if (!answer) return answer.error();
    auto signed_by = keys();
    if (!signed_by) return signed_by.error();
    return verify_management(*answer, *signed_by,
                             {meta_.issuer, settings_.client_id, settings_.client_id, nonce, "",
                              meta_.status_algs, time_.now(), nonce_was_given});
}

result<jose::key_set> session::keys() {
    auto response = http_->send([&] {
        net::client_request r;
        r.url = meta_.jwks_uri;
        return r;
    }());
    if (!response) return response.error();
    if (response->status != 200) return refusal(response->status, response->body);
    return jose::key_set::parse(response->body);
}

result<json::document> session::check_status(const std::string& jws, const std::string& mission_id,
                                             const std::string& nonce, bool may_have_expired) {
    auto keys = this->keys();
    if (!keys) return keys.error();
    status_expectation expected;
    expected.issuer = meta_.issuer;
    expected.audience = settings_.client_id;
    expected.subject = settings_.client_id;
    expected.nonce = nonce;
    expected.mission_id = mission_id;
    expected.algs = meta_.status_algs;
    expected.now = time_.now();
    expected.may_have_expired = may_have_expired;
    return verify_status(jws, *keys, expected);
}

namespace {

// What every signed answer of the mission drafts must be; `most`: octets of it.
result<json::document> verify_answer(std::string_view jws, std::string_view typ, std::size_t most,
                                     const jose::key_set& keys,
                                     const status_expectation& expected) {
    const auto token = jose::parse_compact(jws, most);
    if (!token) return token.error();
    if (token->typ != typ) return error{errc::wrong_typ, "the answer is of another type"};
    // Only what the metadata advertises, of what we know to be sound.
    std::vector<jose::alg> allowed;
    for (const auto& a : expected.algs)
        if (const auto known = jose::parse_alg(a)) allowed.push_back(*known);
    if (auto ok = jose::verify(*token, keys, allowed); !ok) return ok.error();
    auto claims = json::parse(token->payload, most);
    if (!claims) return claims.error();
    if (text_of(*claims, "iss") != expected.issuer)
        return error{errc::wrong_issuer, "the answer is another issuer's"};
    // A static token does not tell the client id: then nothing can be compared.
    if (!expected.audience.empty() && text_of(*claims, "aud") != expected.audience)
        return error{errc::wrong_audience, "the answer is for another audience"};
    if (!expected.subject.empty() && text_of(*claims, "sub") != expected.subject)
        return error{errc::bad_claims, "the answer is for another client"};
    if (text_of(*claims, "nonce") != expected.nonce)
        return error{errc::bad_claims, "the answer has another nonce"};
    const auto iat = json::find_int(*claims, "iat"), exp = json::find_int(*claims, "exp");
    const auto now = to_numeric_date(expected.now);
    const auto skew = std::chrono::seconds(limits::clock_skew).count();
    if (!iat || *iat > now + skew)
        return error{errc::issued_in_future, "the answer is from the future"};
    if (!exp || (*exp + skew < now && !expected.may_have_expired))
        return error{errc::token_expired, "the answer has expired"};
    return claims;
}

}  // namespace

result<json::document> verify_status(std::string_view jws, const jose::key_set& keys,
                                     const status_expectation& expected) {
    auto claims =
        verify_answer(jws, "mission-status-response+jwt", limits::token_bytes, keys, expected);
    if (!claims) return claims;
    const auto* mission = json::find(*claims, "mission");
    if (!mission || text_of(*mission, "id") != expected.mission_id)
        return error{errc::bad_claims, "the answer is about another mission"};
    return claims;
}

result<json::document> verify_management(std::string_view jws, const jose::key_set& keys,
                                         const status_expectation& expected) {
    auto claims = verify_answer(jws, "mission-management-response+jwt", limits::http_response_bytes,
                                keys, expected);
    if (claims && !claims->IsObject()) return error{errc::bad_claims, "the answer is no object"};
    return claims;
}

}  // namespace mission::tools
