// How the receiver proves who it is: to the token endpoint, to the stream's endpoints, to Mission
// Status; and to nobody else.
#include <algorithm>
#include <fstream>
#include <map>

#include "jose/base64url.hpp"
#include "tests/receiver/bench.hpp"

using namespace mission;
using namespace mission::test;
using namespace mission_signals;
using namespace std::chrono_literals;

namespace {

using form = std::map<std::string, std::string>;

form form_of(const net::http_request& r) {
    const auto pairs = net::parse_form(r.body);
    REQUIRE(pairs.has_value());
    return {pairs->begin(), pairs->end()};
}

mission_signals::options with_secret(poll_bench& b) {
    b.tx.client_id = "rs:1";
    auto o = b.options();
    o.private_key_file.clear();
    o.client_secret = "s3cret/+ %";
    return o;
}

std::string claim(const jose::compact& token, std::string_view name) {
    return std::string(json::find_string(*json::parse(token.payload), name).value_or(""));
}

std::string hash_of(std::string_view token) {
    const auto digest = jose::sha256(token);
    return jose::base64url_encode(jose::view(digest));
}

// The requests to the token endpoint that ask for Status, or for everything else.
std::vector<net::http_request> token_requests(fake_transmitter& tx, bool for_status) {
    auto all = tx.requests("/oauth/token");
    std::erase_if(all, [&](auto& r) { return form_of(r).contains("resource") != for_status; });
    return all;
}

}  // namespace

TEST_CASE("a secret goes into the Authorization header, form-encoded, or into the form") {
    poll_bench b;
    auto o = with_secret(b);
    SUBCASE("client_secret_basic") {
        b.start(o);
        b.live();
        const auto r = b.tx.requests("/oauth/token").front();
        const auto header = std::string(r.fields.get("authorization"));
        CHECK(header == "Basic " + jose::base64_encode(net::percent_encode("rs:1") + ":" +
                                                       net::percent_encode("s3cret/+ %")));
        CHECK_FALSE(form_of(r).contains("client_secret"));
        CHECK_FALSE(form_of(r).contains("client_id"));
    }
    SUBCASE("client_secret_post") {
        o.client_secret_post = true;
        b.start(o);
        b.live();
        const auto r = b.tx.requests("/oauth/token").front();
        CHECK(r.fields.get("authorization").empty());
        CHECK(form_of(r)["client_id"] == "rs:1");
        CHECK(form_of(r)["client_secret"] == "s3cret/+ %");
    }
    for (const auto& r : b.tx.requests("/oauth/token"))
        CHECK(form_of(r)["grant_type"] == "client_credentials");
    std::lock_guard lock(b.log_mutex);
    for (const auto& line : b.log)
        CHECK(line.find("s3cret") == std::string::npos);
}

TEST_CASE("a private key signs an assertion for the token endpoint, a new one each time") {
    poll_bench b;
    b.start(b.options());
    b.live();
    b.tx.expire_tokens();
    b.tx.heartbeat();  // ends the poll that waits
    REQUIRE(eventually([&] { return b.tx.tokens == 2; }));
    std::vector<std::string> ids;
    for (const auto& r : b.tx.requests("/oauth/token")) {
        auto f = form_of(r);
        CHECK(f["client_assertion_type"] ==
              "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        const auto a = jose::parse_compact(f["client_assertion"]);
        REQUIRE(a.has_value());
        CHECK(b.tx.key.to_public().verify(jose::alg::es256, a->signing_input, a->signature));
        CHECK(claim(*a, "iss") == "rs");
        CHECK(claim(*a, "sub") == "rs");
        CHECK(claim(*a, "aud") == b.tx.issuer + "/oauth/token");
        const auto doc = *json::parse(a->payload);
        CHECK(*json::find_int(doc, "exp") - *json::find_int(doc, "iat") <= 300);
        ids.push_back(claim(*a, "jti"));
    }
    CHECK(ids[0] != ids[1]);
}

TEST_CASE("a certificate alone names the client, at the token endpoint and at Status") {
    struct {
        temp_dir dir;
        fake_transmitter tx{true};
    } b;
    std::ofstream(b.dir / "client.pem") << b.tx.certificate.certificate_pem;
    std::ofstream(b.dir / "client.key") << b.tx.certificate.private_key_pem;
    auto o = b.tx.options(b.dir);
    o.private_key_file.clear();
    o.certificate_file = b.dir / "client.pem";
    o.certificate_key_file = b.dir / "client.key";
    auto rx = make_receiver(o);
    rx->start();
    REQUIRE(eventually([&] { return !rx->current_status().aud.empty(); }));
    (void)rx->missions().resolve(new_id());
    const auto token = b.tx.requests("/oauth/token"), status = b.tx.requests("/mission/status");
    REQUIRE(!token.empty());
    REQUIRE(!status.empty());
    for (const auto& r : {token.front(), status.front()}) {
        CHECK_FALSE(r.peer.certificate_der.empty());
        CHECK(form_of(r)["client_id"] == "rs");
        CHECK_FALSE(form_of(r).contains("client_assertion"));
        CHECK_FALSE(form_of(r).contains("client_secret"));
        CHECK(r.fields.get("authorization").empty());
    }
}

TEST_CASE("a static token is used as it is, and it is told that Status is out of its reach") {
    poll_bench b;
    auto o = b.options();
    o.private_key_file.clear();
    o.token = "static-token";
    std::atomic<int> refused{0};
    const last_word end(b);
    b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
        if (r.fields.get("authorization") != "Bearer static-token") return std::nullopt;
        if (r.path == "/mission/status") {
            ++refused;
            return text_response(401, R"({"error":"unauthorized"})");
        }
        if (r.path == "/ssf/streams" && r.method == "GET") return text_response(200, "[]");
        return text_response(403, R"({"error":"insufficient_scope"})");
    });
    b.start(o);
    CHECK(b.logged("Mission Status is out of reach"));
    // Nothing else is tried in its place: it is what the host has given us.
    CHECK(b.problem("insufficient_scope"));
    CHECK(b.tx.tokens == 0);
    CHECK_FALSE(b.rx->missions().resolve(new_id()).permitted());
    CHECK(refused >= 1);
    std::lock_guard lock(b.log_mutex);
    for (const auto& line : b.log)
        CHECK(line.find("static-token") == std::string::npos);
}

TEST_CASE(
    "a client with a secret proves a key of its own to Mission Status, the same in each run") {
    poll_bench b;
    const auto id = new_id();
    b.tx.set_status(id, {"active", "e1", 3, "[]"});
    std::string first;
    for (int run = 0; run < 2; ++run) {
        b.start(with_secret(b));
        b.live();
        std::atomic<bool> answered{false};
        b.rx->missions().resolve(
            id, [&](const answer&) { answered = true; }, true);
        REQUIRE(eventually([&] { return answered.load(); }));
        CHECK(b.rx->missions().check(id).permitted());
        const auto r = b.tx.requests("/mission/status").back();
        const auto authorization = std::string(r.fields.get("authorization"));
        REQUIRE(authorization.starts_with("DPoP "));
        const auto proof = jose::parse_compact(r.fields.get("dpop"));
        REQUIRE(proof.has_value());
        CHECK(proof->typ == "dpop+jwt");
        CHECK(claim(*proof, "htm") == "POST");
        CHECK(claim(*proof, "htu") == b.tx.issuer + "/mission/status");
        CHECK(claim(*proof, "ath") == hash_of(authorization.substr(5)));
        const auto key = jose::public_key::from_jwk(*json::parse(proof->jwk));
        REQUIRE(key.has_value());
        CHECK(key->verify(jose::alg::es256, proof->signing_input, proof->signature));
        if (first.empty()) first = key->thumbprint();
        CHECK(key->thumbprint() == first);
        CHECK(key->thumbprint() != b.tx.key.to_public().thumbprint());
    }
    // Each run asked for one bound token, for that resource, with a proof that names no token.
    const auto bound = token_requests(b.tx, true);
    REQUIRE(bound.size() == 2);
    for (const auto& r : bound) {
        CHECK(form_of(r)["resource"] == b.tx.issuer + "/mission/status");
        const auto proof = jose::parse_compact(r.fields.get("dpop"));
        REQUIRE(proof.has_value());
        CHECK(claim(*proof, "htu") == b.tx.issuer + "/oauth/token");
        CHECK(claim(*proof, "ath").empty());
    }
    // The stream's own is a plain one.
    for (const auto& r : token_requests(b.tx, false))
        CHECK(r.fields.get("dpop").empty());
    for (const auto& r : b.tx.requests("/ssf/streams"))
        CHECK(r.fields.get("authorization").starts_with("Bearer "));
}

TEST_CASE("a nonce that a server wants in the proof is put there, and the request sent again") {
    poll_bench b;
    const auto id = new_id();
    b.tx.set_status(id, {"active", "e1", 1, "[]"});
    std::string path;
    int status = 401;
    SUBCASE("the token endpoint") {
        path = "/oauth/token";
        status = 400;
    }
    SUBCASE("Mission Status") {
        path = "/mission/status";
    }
    std::atomic<int> without{0}, with{0};
    const last_word end(b);
    b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
        const auto proof = jose::parse_compact(r.fields.get("dpop"));
        if (r.path != path || proof.has_error()) return std::nullopt;
        if (claim(*proof, "nonce") == "nonce-7") {
            ++with;
            return std::nullopt;
        }
        ++without;
        auto again = text_response(status, R"({"error":"use_dpop_nonce"})");
        again.fields.add("dpop-nonce", "nonce-7");
        again.fields.add("www-authenticate", R"(DPoP error="use_dpop_nonce")");
        return again;
    });
    b.start(with_secret(b));
    b.live();
    CHECK(b.rx->missions().resolve(id).permitted());
    CHECK(without == 1);
    CHECK(with == 1);
    std::atomic<bool> answered{false};
    b.rx->missions().resolve(
        id, [&](const answer&) { answered = true; }, true);
    REQUIRE(eventually([&] { return answered.load(); }));
    CHECK(without == 1);  // remembered
}

TEST_CASE("a server that asks for ever newer nonces is not asked for ever") {
    poll_bench b;
    std::atomic<int> asked{0};
    const last_word end(b);
    b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
        if (r.path != "/mission/status") return std::nullopt;
        auto again = text_response(401, R"({"error":"use_dpop_nonce"})");
        again.fields.add("dpop-nonce", "n" + std::to_string(++asked));
        again.fields.add("www-authenticate", R"(DPoP error="use_dpop_nonce")");
        return again;
    });
    b.start(with_secret(b));
    b.live();
    const auto id = new_id();
    std::atomic<bool> answered{false};
    b.rx->missions().resolve(id, [&](const answer&) { answered = true; });
    REQUIRE(eventually([&] { return answered.load(); }));
    CHECK(asked <= 3);
    CHECK_FALSE(b.rx->missions().check(id).permitted());
}

TEST_CASE("one token serves for its lifetime, and a new one is fetched before it ends") {
    poll_bench b;
    SUBCASE("an hour") {
        b.start(b.options());
        b.live();
        for (int i = 0; i < 10; ++i) {
            const auto jti = b.tx.heartbeat();
            REQUIRE(eventually([&] { return b.tx.acknowledged(jti); }));
        }
        (void)b.rx->missions().resolve(new_id());
        CHECK(b.tx.tokens == 1);
    }
    SUBCASE("a second") {
        b.tx.token_seconds = 1;
        b.start(b.options());
        b.live();
        REQUIRE(eventually([&] {
            const auto jti = b.tx.heartbeat();
            return eventually([&] { return b.tx.acknowledged(jti); }) && b.tx.tokens >= 2;
        }));
        // No request went out with one that had ended: nobody had to say 401.
        CHECK_FALSE(b.logged("refused"));
    }
}

TEST_CASE("a token is refused once: then there is a new one") {
    poll_bench b;
    b.start(b.options());
    b.live();
    b.tx.expire_tokens();
    b.tx.heartbeat();
    const auto id = new_id();
    b.tx.send(b.tx.change(id, 1, "active"));
    CHECK(b.becomes(id, standing::active));
    CHECK(b.tx.tokens == 2);
}

TEST_CASE("no token goes to another host, unless the host of the receiver lists it") {
    poll_bench b;
    fake_transmitter other;
    other.certificate = b.tx.certificate;
    other.stop();
    other.start();
    b.tx.poll_host = other.issuer;
    auto o = b.options();
    SUBCASE("not listed") {
        b.start(o);
        CHECK(b.problem("outside the issuer's origin"));
        CHECK(other.requests("/ssf/poll/s1").empty());
    }
    SUBCASE("listed") {
        o.token_hosts = {other.issuer.substr(std::string("https://").size())};
        b.start(o);
        REQUIRE(eventually([&] { return !other.requests("/ssf/poll/s1").empty(); }));
        CHECK(other.requests("/ssf/poll/s1")
                  .front()
                  .fields.get("authorization")
                  .starts_with("Bearer "));
    }
}

TEST_CASE("nothing is sent after a redirect, wherever it comes") {
    poll_bench b;
    const char* path = nullptr;
    const last_word end(b);
    SUBCASE("metadata") {
        path = "/.well-known/ssf-configuration";
    }
    SUBCASE("token") {
        path = "/oauth/token";
    }
    SUBCASE("streams") {
        path = "/ssf/streams";
    }
    SUBCASE("subjects") {
        path = "/ssf/subjects/add";
    }
    b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
        if (r.path != path) return std::nullopt;
        auto away = text_response(307, "");
        away.fields.add("location", b.tx.issuer + "/elsewhere");
        return away;
    });
    auto o = b.options();
    o.subjects = {R"({"format":"opaque","id":"a"})"};
    b.start(o);
    CHECK(b.problem("redirects are not followed"));
    CHECK(b.tx.redirected == 0);
    CHECK(b.tx.polls == 0);
}

TEST_CASE("what a peer echoes of our secrets is in no log and in no problem") {
    poll_bench b;
    auto o = b.options();
    o.private_key_file.clear();
    o.client_secret = "hush hush/now";
    std::string path;
    int status = 400;
    SUBCASE("the token endpoint, refusing") {
        path = "/oauth/token";
    }
    SUBCASE("the token endpoint, with a token in an answer that is none") {
        path = "/oauth/token";
        status = 201;
    }
    SUBCASE("the configuration endpoint, refusing") {
        path = "/ssf/streams";
    }
    SUBCASE("the configuration endpoint, with another success") {
        path = "/ssf/streams";
        status = 202;
    }
    o.delivery = delivery::push;
    o.push_public_url = "https://localhost:1/events";
    o.push_authorization_header = "Bearer push-secret";
    std::atomic<int> asked{0};
    const last_word end(b);
    b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
        if (r.path != path || r.method != "POST") return std::nullopt;
        ++asked;
        std::string all = r.body;
        for (const auto name : {"authorization", "dpop"})
            all += " " + std::string(r.fields.get(name));
        if (status == 201) all = R"({"access_token":"opaque-token","token_type":"Bearer"})";
        return text_response(status, all);
    });
    b.start(o);
    CHECK(b.problem("answered"));
    REQUIRE(eventually([&] { return asked >= 2; }));
    std::vector<std::string> all{b.rx->last_setup_problem()};
    {
        std::lock_guard lock(b.log_mutex);
        all.insert(all.end(), b.log.begin(), b.log.end());
    }
    const auto basic = jose::base64_encode("rs:" + net::percent_encode(o.client_secret));
    for (const auto& line : all) {
        CAPTURE(line);
        for (const std::string secret : {"hush", "push-secret", "opaque-token", "eyJ"})
            CHECK(line.find(secret) == std::string::npos);
        CHECK(line.find(basic) == std::string::npos);
    }
}
