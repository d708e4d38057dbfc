#include "tests/transmitter/auth/auth_bench.hpp"

#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "transmitter/auth/certificate.hpp"

// Tokens bound to a key (RFC 9449) or a certificate (RFC 8705), from issuing to the form endpoints.

using namespace mission;
using namespace mission::transmitter;
using namespace std::chrono_literals;
using testing::auth_bench;
using testing::code_of;
using testing::fake_server;
using testing::signing_key;
using testing::their_issuer;

namespace {

const form grant{{"grant_type", "client_credentials"}};
const std::string der = "a certificate's DER", other_der = "another one's";

form with(form more) {
    more.insert(more.begin(), grant.begin(), grant.end());
    return more;
}

// A client "s" with a secret, one "m" with a certificate.
struct bench : auth_bench {
    signing_key key;
    std::string basic = "Basic " + jose::base64_encode("s:secret");

    bench() {
        settings().clients.reserve(4);
        add_client("s").secret = "secret";
        auto& m = add_client("m");
        m.certificate = "PEM";
        m.certificate_sha256 = std::string(jose::view(jose::sha256(der)));
    }
    std::string dpop_token(const form& fields = grant) {
        const auto a = token(fields, key.proof("POST", url("/oauth/token"), now()), "", basic);
        REQUIRE(a.status == 200);
        CHECK(a.text("token_type") == "DPoP");
        return a.text("access_token");
    }
    net::http_request dpop(const std::string& token, const std::string& proof,
                           std::string path = "/ssf/streams") {
        auto r = request("DPoP " + token, std::move(path));
        if (!proof.empty()) r.fields.set("dpop", proof);
        return r;
    }
    result<principal> at_form(net::http_request r, const form& fields = {},
                              std::string_view path = "/mission/status") {
        r.method = "POST";
        r.path = "/t" + std::string(path);
        const auto ready = prepared(std::move(r));
        return auth().form_client(ready, fields, url(path), "mission_status");
    }
};

}  // namespace

TEST_CASE("a DPoP-bound token works with a proof of its key, once") {
    bench b;
    b.start();
    const auto token = b.dpop_token();
    const auto proof = b.key.proof("GET", b.url("/ssf/streams"), b.now(), token);
    const auto p = b.judged(b.dpop(token, proof));
    REQUIRE(p);
    CHECK(p->bound);
    CHECK(p->client->id == "s");
    CHECK(code_of(b.judged(b.dpop(token, proof))) == errc::invalid_dpop_proof);
    CHECK(b.judged(b.dpop(token, b.key.proof("GET", b.url("/ssf/streams"), b.now(), token))));
}

TEST_CASE("a handler may ask twice: a proof is judged once for each request") {
    bench b;
    b.start();
    const auto token = b.dpop_token();
    const auto ready =
        b.prepared(b.dpop(token, b.key.proof("GET", b.url("/ssf/streams"), b.now(), token)));
    CHECK(b.auth().bearer(ready));
    CHECK(b.auth().bearer_with(ready, {"ssf.read"}));
    CHECK(code_of(b.auth().bearer_with(ready, {"ssf.admin"})) == errc::insufficient_scope);
}

TEST_CASE("a DPoP-bound token is nothing without the proof, or with another's") {
    bench b;
    b.start();
    const auto token = b.dpop_token();
    const signing_key thief;
    const auto at = b.url("/ssf/streams");
    CHECK(code_of(b.judged(b.dpop(token, ""))) == errc::invalid_dpop_proof);
    CHECK(code_of(b.judged(b.dpop(token, thief.proof("GET", at, b.now(), token)))) ==
          errc::invalid_dpop_proof);
    CHECK(code_of(b.judged(b.dpop(token, b.key.proof("POST", at, b.now(), token)))) ==
          errc::invalid_dpop_proof);
    CHECK(code_of(b.judged(b.dpop(token, b.key.proof("GET", b.url("/ssf/status"), b.now(),
                                                     token)))) == errc::invalid_dpop_proof);
    CHECK(code_of(b.judged(b.dpop(token, b.key.proof("GET", at, b.now())))) ==
          errc::invalid_dpop_proof);
    CHECK(code_of(b.judged(b.dpop(token, b.key.proof("GET", at, b.now() + 31s, token)))) ==
          errc::invalid_dpop_proof);
    auto twice = b.dpop(token, b.key.proof("GET", at, b.now(), token));
    twice.fields.add("dpop", b.key.proof("GET", at, b.now(), token));
    CHECK(code_of(b.judged(twice)) == errc::invalid_dpop_proof);
    // RFC 9449 section 7.2: not as a plain bearer token either, proof or no proof.
    auto plain = b.request("Bearer " + token);
    CHECK(code_of(b.judged(plain)) == errc::unauthenticated);
    plain.fields.set("dpop", b.key.proof("GET", at, b.now(), token));
    CHECK(code_of(b.judged(plain)) == errc::unauthenticated);
}

TEST_CASE("an unbound token is no DPoP token") {
    bench b;
    b.start();
    const auto a = b.token(grant, "", "", b.basic);
    CHECK(a.text("token_type") == "Bearer");
    const auto token = a.text("access_token");
    CHECK(b.judged(b.request("Bearer " + token)));
    CHECK(code_of(b.judged(b.dpop(token, b.key.proof("GET", b.url("/ssf/streams"), b.now(),
                                                     token)))) == errc::unauthenticated);
}

TEST_CASE("the token endpoint takes a good proof once and refuses a bad one by name") {
    bench b;
    b.start();
    const auto proof = b.key.proof("POST", b.url("/oauth/token"), b.now());
    CHECK(b.token(grant, proof, "", b.basic).status == 200);
    for (const auto& bad :
         {proof, b.key.proof("POST", b.url("/oauth/toke"), b.now()),
          b.key.proof("GET", b.url("/oauth/token"), b.now()), std::string("nonsense")}) {
        const auto a = b.token(grant, bad, "", b.basic);
        CHECK(a.status == 400);
        CHECK(a.text("error") == "invalid_dpop_proof");
    }
    // Who is not authenticated uses up nobody's proof.
    const auto fresh = b.key.proof("POST", b.url("/oauth/token"), b.now());
    CHECK(b.token(grant, fresh, "", "Basic eDp5").status == 401);
    CHECK(b.token(grant, fresh, "", b.basic).status == 200);
}

TEST_CASE("a client known by its certificate gets a token bound to it") {
    bench b;
    b.start();
    CHECK(b.token(with({{"client_id", "m"}}), "", other_der).status == 401);
    CHECK(b.token(with({{"client_id", "s"}}), "", der).status == 401);
    CHECK(b.token(with({{"client_id", "m"}}), "", "").status == 401);
    const auto a = b.token(with({{"client_id", "m"}}), "", der);
    REQUIRE(a.status == 200);
    auto r = b.request("Bearer " + a.text("access_token"));
    CHECK(code_of(b.judged(r)) == errc::unauthenticated);
    r.peer.certificate_der = other_der;
    CHECK(code_of(b.judged(r)) == errc::unauthenticated);
    r.peer.certificate_der = der;
    const auto p = b.judged(r);
    REQUIRE(p);
    CHECK(p->bound);
    CHECK(p->client->id == "m");
}

TEST_CASE("a JWT's own bindings hold as well") {
    bench b;
    fake_server server(b.runtime());
    const signing_key as;
    server.answer(200, as.jwks());
    b.add_issuer(server);
    b.add_client("c1").token_issuer = their_issuer;
    b.start();
    const auto bound = b.jwt(as, R"(,"cnf":{"jkt":")" + b.key.jkt() + "\"}");
    CHECK(code_of(b.judged(b.request("Bearer " + bound))) == errc::unauthenticated);
    CHECK(b.judged(b.dpop(bound, b.key.proof("GET", b.url("/ssf/streams"), b.now(), bound))));
    const auto by_cert = b.jwt(as, R"(,"cnf":{"x5t#S256":")" + certificate_thumbprint(der) + "\"}");
    auto r = b.request("Bearer " + by_cert);
    r.peer.certificate_der = other_der;
    CHECK(code_of(b.judged(r)) == errc::unauthenticated);
    r.peer.certificate_der = der;
    CHECK(b.judged(r));
}

TEST_CASE("a token for one resource is for that alone") {
    bench b;
    b.start();
    const auto status = b.url("/mission/status");
    const auto token = b.dpop_token(with({{"resource", status}}));
    CHECK(code_of(b.judged(b.dpop(token, b.key.proof("GET", b.url("/ssf/streams"), b.now(),
                                                     token)))) == errc::unauthenticated);
    const auto p = b.at_form(b.dpop(token, b.key.proof("POST", status, b.now(), token)));
    REQUIRE(p);
    CHECK(p->client->id == "s");
    const auto lifecycle = b.url("/mission/lifecycle");
    CHECK(code_of(b.at_form(b.dpop(token, b.key.proof("POST", lifecycle, b.now(), token)), {},
                            "/mission/lifecycle")) == errc::unauthenticated);
    for (const auto& whole :
         {std::string(testing::our_issuer), testing::our_issuer + std::string("/")}) {
        const auto any = b.dpop_token(with({{"resource", whole}}));
        CHECK(b.judged(b.dpop(any, b.key.proof("GET", b.url("/ssf/streams"), b.now(), any))));
    }
    const auto a = b.token(with({{"resource", "https://other.example"}}), "", "", b.basic);
    CHECK(a.status == 400);
    CHECK(a.text("error") == "invalid_target");
}

TEST_CASE("a mission endpoint takes a token that is both bound and meant for it") {
    bench b;
    b.start();
    const auto status = b.url("/mission/status");
    const auto whole = b.dpop_token();
    CHECK(code_of(b.at_form(b.dpop(whole, b.key.proof("POST", status, b.now(), whole)))) ==
          errc::unauthenticated);
    const auto plain = b.token(with({{"resource", status}}), "", "", b.basic).text("access_token");
    CHECK(code_of(b.at_form(b.request("Bearer " + plain))) == errc::unauthenticated);
    const auto poor = b.dpop_token(with({{"resource", status}, {"scope", "ssf.read"}}));
    CHECK(code_of(b.at_form(b.dpop(poor, b.key.proof("POST", status, b.now(), poor)))) ==
          errc::insufficient_scope);
    auto by_certificate = b.token(with({{"client_id", "m"}, {"resource", status}}), "", der);
    auto r = b.request("Bearer " + by_certificate.text("access_token"));
    r.peer.certificate_der = der;
    CHECK(b.at_form(r));
    r.peer.certificate_der = other_der;
    CHECK(code_of(b.at_form(r)) == errc::unauthenticated);
}

TEST_CASE("a mission endpoint takes a client certificate, and no secret") {
    bench b;
    b.start();
    auto r = b.request("");
    r.peer.certificate_der = der;
    const auto p = b.at_form(r);
    REQUIRE(p);
    CHECK(p->client->id == "m");
    CHECK(p->how == principal::method::certificate);
    CHECK(b.at_form(r, {{"client_id", "m"}}));
    CHECK(code_of(b.at_form(r, {{"client_id", "s"}})) == errc::unauthenticated);
    r.peer.certificate_der = other_der;
    CHECK(code_of(b.at_form(r)) == errc::unauthenticated);
    CHECK(code_of(b.at_form(b.request(""))) == errc::unauthenticated);
    CHECK(code_of(b.at_form(b.request(b.basic))) == errc::unauthenticated);
    CHECK(code_of(b.at_form(b.request(""), {{"client_id", "s"}, {"client_secret", "secret"}})) ==
          errc::unauthenticated);
}

TEST_CASE("allow_bearer opens the mission endpoints to plain tokens") {
    bench b;
    b.settings().auth.allow_bearer = true;
    b.start();
    const auto plain = b.token(grant, "", "", b.basic).text("access_token");
    CHECK(b.at_form(b.request("Bearer " + plain)));
}

TEST_CASE("a static token ends when its entry says") {
    bench b;
    auto& c = b.add_client("static");
    c.token = "static-token";
    c.token_expires = b.now() + 100s;
    b.start();
    const auto p = b.judged(b.request("Bearer static-token"));
    REQUIRE(p);
    CHECK(p->token_expires == b.now() + 100s);
    b.advance(100s);
    CHECK(code_of(b.judged(b.request("Bearer static-token"))) == errc::unauthenticated);
}

TEST_CASE(
    "metadata names what is supported, and client certificates only where they are asked for") {
    config c;
    CHECK(token_auth_methods(c).size() == 3);
    CHECK(mission_auth_methods(c) ==
          std::vector<std::string_view>{"private_key_jwt", "access_token"});
    c.clients.emplace_back().certificate = "PEM";
    CHECK(token_auth_methods(c).back() == "self_signed_tls_client_auth");
    CHECK(mission_auth_methods(c).front() == "mtls_client_auth");
    c.tls.client_ca = "ca.pem";
    CHECK(token_auth_methods(c).back() == "tls_client_auth");
}
