#include "tests/transmitter/auth/auth_bench.hpp"

#include <future>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "tests/transmitter/fixture.hpp"
#include "transmitter/auth/certificate.hpp"

// Authorization through the real doors: TLS, the front, the handlers.

using namespace mission;
using namespace mission::transmitter;
using testing::answer;
using testing::signing_key;
using testing::transmitter_fixture;

namespace {

// A client with a connection, and maybe a certificate, of its own.
struct own_client {
    std::unique_ptr<net::runtime> rt = net::make_runtime(1, 1);
    std::unique_ptr<net::http_client> client;

    own_client(const transmitter_fixture& f, const net::dev_certificate& certificate) {
        net::client_options o;
        o.ca_pem = f.ca_pem();
        o.certificate_pem = certificate.certificate_pem;
        o.private_key_pem = certificate.private_key_pem;
        auto made = net::make_http_client(*rt, o);
        REQUIRE(made);
        client = std::move(*made);
    }
    ~own_client() {
        client->stop();
        rt->stop();
    }
    net::http_response post(const std::string& url, const form& fields,
                            const std::string& authorization = {}) {
        net::client_request r;
        r.method = "POST";
        r.url = url;
        r.fields.set("content-type", "application/x-www-form-urlencoded");
        if (!authorization.empty()) r.fields.set("authorization", authorization);
        r.body = net::encode_form(fields);
        auto promise = std::make_shared<std::promise<result<net::http_response>>>();
        auto future = promise->get_future();
        const auto pending = client->send(std::move(r), [promise](result<net::http_response> got) {
            promise->set_value(std::move(got));
        });
        REQUIRE(future.wait_for(std::chrono::seconds(20)) == std::future_status::ready);
        auto got = future.get();
        REQUIRE(got);
        return std::move(*got);
    }
};

answer with_proof(transmitter_fixture& f, const std::string& path, const form& fields,
                  const std::string& authorization, const std::string& proof) {
    net::headers h;
    h.set("content-type", "application/x-www-form-urlencoded");
    if (!authorization.empty()) h.set("authorization", authorization);
    h.set("dpop", proof);
    return f.send("POST", f.url(path), h, net::encode_form(fields));
}

wall_time now() {
    return system_clock().now();
}

std::vector<std::string> challenges(const answer& a) {
    std::vector<std::string> out;
    for (const auto& [name, value] : a.fields)
        if (name == "www-authenticate") out.push_back(value);
    return out;
}

}  // namespace

TEST_CASE("a receiver that has only a secret reads Status with a DPoP key of its own making") {
    transmitter_fixture f;
    const auto mission = f.create();
    const signing_key key;
    const auto granted =
        with_proof(f, "/oauth/token",
                   {{"grant_type", "client_credentials"}, {"resource", f.url("/mission/status")}},
                   "Basic " + jose::base64_encode("crm:crm-secret"),
                   key.proof("POST", f.url("/oauth/token"), now()));
    CAPTURE(granted.body);
    REQUIRE(granted.status == 200);
    CHECK(granted.text("token_type") == "DPoP");
    const auto token = granted.text("access_token");
    const form ask{{"mission_id", mission}, {"nonce", "n"}};
    const auto proof = key.proof("POST", f.url("/mission/status"), now(), token);
    const auto status = with_proof(f, "/mission/status", ask, "DPoP " + token, proof);
    CAPTURE(status.body);
    CHECK(status.status == 200);
    CHECK(with_proof(f, "/mission/status", ask, "DPoP " + token, proof).status == 401);
    CHECK(with_proof(f, "/mission/status", ask, "Bearer " + token,
                     key.proof("POST", f.url("/mission/status"), now(), token))
              .status == 401);
}

TEST_CASE("a refused proof is told by the DPoP challenge, any other refusal by both schemes") {
    transmitter_fixture f;
    const signing_key key;
    const auto granted = with_proof(f, "/oauth/token", {{"grant_type", "client_credentials"}},
                                    "Basic " + jose::base64_encode("crm:crm-secret"),
                                    key.proof("POST", f.url("/oauth/token"), now()));
    REQUIRE(granted.status == 200);
    net::headers h;
    h.set("authorization", "DPoP " + granted.text("access_token"));
    h.set("dpop", key.proof("POST", f.url("/missions"), now(), granted.text("access_token")));
    const auto refused = f.send("GET", f.url("/missions"), h);
    CHECK(refused.status == 401);
    const auto told = challenges(refused);
    REQUIRE(told.size() == 1);
    CHECK(
        told[0].starts_with(R"(DPoP algs="ES256 RS256 PS256 EdDSA", error="invalid_dpop_proof")"));
    h.set("dpop", key.proof("GET", f.url("/missions"), now(), granted.text("access_token")));
    CHECK(f.send("GET", f.url("/missions"), h).status == 200);
    const auto both = challenges(f.get("/missions", "x"));
    REQUIRE(both.size() == 2);
    CHECK(both[0].starts_with("Bearer error=\"invalid_token\""));
    CHECK(both[1].starts_with("DPoP algs="));
}

TEST_CASE(
    "a client with a self-signed certificate of its entry is that client, another is nobody") {
    const auto mine = *net::make_dev_certificate({"client.example"}, std::chrono::days(1));
    const auto strange = *net::make_dev_certificate({"client.example"}, std::chrono::days(1));
    transmitter_fixture f([&](config& c) {
        for (auto& client : c.clients)
            if (client.id == "erp") {
                client.certificate = mine.certificate_pem;
                client.certificate_sha256 =
                    std::string(jose::view(jose::sha256(*certificate_der(mine.certificate_pem))));
            }
    });
    const auto mission = f.create();
    const form ask{{"mission_id", mission}, {"nonce", "n"}};
    own_client erp(f, mine), stranger(f, strange);
    CHECK(erp.post(f.url("/mission/status"), ask).status == 200);
    CHECK(stranger.post(f.url("/mission/status"), ask).status == 401);
    CHECK(f.post_form("/mission/status", ask).status == 401);

    const auto granted = erp.post(f.url("/oauth/token"), {{"grant_type", "client_credentials"},
                                                          {"client_id", "erp"},
                                                          {"resource", f.url("/mission/status")}});
    REQUIRE(granted.status == 200);
    const auto parsed = json::parse(granted.body);
    REQUIRE(parsed);
    const auto token = "Bearer " + std::string(*json::find_string(*parsed, "access_token"));
    CHECK(erp.post(f.url("/mission/status"), ask, token).status == 200);
    CHECK(stranger.post(f.url("/mission/status"), ask, token).status == 401);
}

TEST_CASE("a token of one issuer is none at another issuer of the same process") {
    std::string other;
    transmitter_fixture f([&](config& c) {
        const auto base = c.issuers.front().url;
        other = base + "/other";
        c.issuers.push_back({other, "/other", false, false});
        auto twin = c.clients[2];  // crm, with its secret
        twin.issuer = other;
        c.clients.push_back(twin);
    });
    const auto token = f.token("crm");
    CHECK(f.get("/missions", token).status == 200);
    CHECK(f.get("/other/missions", token).status == 401);
    net::headers h;
    h.set("content-type", "application/x-www-form-urlencoded");
    const auto there = f.send("POST", other + "/oauth/token", h,
                              net::encode_form({{"grant_type", "client_credentials"},
                                                {"client_id", "crm"},
                                                {"client_secret", "crm-secret"}}));
    REQUIRE(there.status == 200);
    CHECK(f.get("/other/missions", there.text("access_token")).status == 200);
    CHECK(f.get("/missions", there.text("access_token")).status == 401);
}

TEST_CASE("unknown, expired, foreign and unbound tokens get one answer, byte for byte") {
    transmitter_fixture f([](config& c) {
        c.clients.back().token_expires = system_clock().now() - std::chrono::seconds(1);
    });
    const signing_key key;
    const auto bound = with_proof(f, "/oauth/token", {{"grant_type", "client_credentials"}},
                                  "Basic " + jose::base64_encode("crm:crm-secret"),
                                  key.proof("POST", f.url("/oauth/token"), now()))
                           .text("access_token");
    const auto unknown = f.get("/missions", "x");
    for (const auto& token : {std::string("poor-static-token"), bound,
                              key.sign("at+jwt", R"({"iss":"https://as","exp":1})")}) {
        const auto a = f.get("/missions", token);
        CHECK(a.status == 401);
        CHECK(a.body == unknown.body);
        CHECK(challenges(a) == challenges(unknown));
    }
}

TEST_CASE("at the token endpoint a wrong secret and a client that is not there look the same") {
    transmitter_fixture f;
    const auto ask = [&](const std::string& id, const std::string& secret) {
        return f.post_form(
            "/oauth/token",
            {{"grant_type", "client_credentials"}, {"client_id", id}, {"client_secret", secret}});
    };
    const auto wrong = ask("crm", "wrong"), unknown = ask("nobody", "wrong");
    CHECK(wrong.status == 401);
    CHECK(unknown.status == 401);
    CHECK(wrong.body == unknown.body);
    const auto none = f.post_form("/oauth/token", {{"grant_type", "client_credentials"}});
    CHECK(none.body == unknown.body);
}
