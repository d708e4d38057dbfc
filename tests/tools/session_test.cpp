#include "tools/missionctl/session.hpp"

#include <doctest/doctest.h>

#include <deque>
#include <map>
#include <sstream>

#include "tools/missionctl/commands.hpp"

using namespace mission;
using namespace mission::tools;

namespace {

const std::string issuer = "https://mas.example";
const std::string id = "mis_0123456789abcdefghij";

// A transmitter of a few lines: it signs what it is asked, and can lose its answers.
class fake_transmitter final : public blocking_http {
  public:
    struct seen {
        std::vector<std::map<std::string, std::string>> lifecycle;
        std::vector<net::client_request> requests;
    };
    std::shared_ptr<seen> log = std::make_shared<seen>();
    std::deque<std::string> troubles;  // "reset" or "503", one per lifecycle or /missions request
    std::string claimed_issuer = issuer;
    std::string token_host = issuer;
    std::string signed_mission = id;
    jose::private_key key = jose::private_key::generate(jose::alg::es256).value();

    result<net::http_response> send(net::client_request r) override {
        log->requests.push_back(r);
        const std::string path = r.url.substr(r.url.find('/', 8));
        if (path == "/.well-known/ssf-configuration")
            return ok(
                R"({"issuer":")" + claimed_issuer + R"(","jwks_uri":")" + issuer +
                R"(/jwks.json","mission_lifecycle_endpoint":")" + issuer +
                R"(/mission/lifecycle","mission_status_signing_alg_values_supported":["ES256"]})");
        if (path == "/.well-known/oauth-authorization-server")
            return ok(R"({"token_endpoint":")" + token_host + R"(/oauth/token"})");
        if (path == "/jwks.json") {
            jose::key_set keys;
            keys.add(key.to_public());
            return ok(keys.to_json());
        }
        if (path == "/oauth/token") return ok(R"({"access_token":"t0","token_type":"Bearer"})");
        if (!troubles.empty()) {
            const auto what = troubles.front();
            troubles.pop_front();
            if (path == "/mission/lifecycle") note_form(r);
            if (what == "reset") return error{errc::connection_closed, "connection closed"};
            net::http_response busy;
            busy.status = 503;
            return busy;
        }
        if (path == "/mission/lifecycle") return lifecycle(r);
        net::http_response missing;
        missing.status = 404;
        missing.body = R"({"err":"not_found","description":"no such mission"})";
        return missing;
    }

  private:
    static net::http_response ok(std::string body) {
        net::http_response r;
        r.body = std::move(body);
        return r;
    }
    void note_form(const net::client_request& r) {
        std::map<std::string, std::string> form;
        for (auto& [name, value] : net::parse_form(r.body).value())
            form[name] = value;
        log->lifecycle.push_back(form);
    }
    net::http_response lifecycle(const net::client_request& r) {
        note_form(r);
        return ok(jose::sign_compact(key, "mission-status-response+jwt",
                                     R"({"iss":")" + issuer +
                                         R"(","aud":"operator","sub":"operator","nonce":")" +
                                         log->lifecycle.back()["nonce"] +
                                         R"(","iat":1000000,"exp":1000060,"mission":{"id":")" +
                                         signed_mission + R"(","state":"revoked","version":2}})")
                      .value());
    }
};

struct bench {
    manual_clock time{from_numeric_date(1'000'000)};
    int waits = 0;
    std::shared_ptr<fake_transmitter::seen> log;
    std::unique_ptr<session> open(std::unique_ptr<fake_transmitter> http) {
        log = http->log;
        settings s;
        s.server = issuer;
        s.client_id = "operator";
        s.private_key_pem = jose::private_key::generate(jose::alg::es256).value().to_pem();
        auto opened = session::open(std::move(s), std::move(http), time,
                                    [this](std::chrono::milliseconds) { ++waits; });
        return std::move(opened.value());
    }
    int run(session& s, invocation i) {
        std::istringstream in;
        out.str("");
        err.str("");
        return run_command(i, s, in, out, err, time.now());
    }
    std::ostringstream out, err;
};

invocation revoke() {
    invocation i;
    i.what = verb::mission_revoke;
    i.id = id;
    i.reason = "enough";
    return i;
}

}  // namespace

TEST_CASE(
    "an operation whose answer was lost is asked again with the same nonce, another assertion") {
    bench b;
    auto http = std::make_unique<fake_transmitter>();
    http->troubles = {"reset", "503"};
    const auto s = b.open(std::move(http));
    CHECK(b.run(*s, revoke()) == 0);
    CHECK(b.waits == 2);
    REQUIRE(b.log->lifecycle.size() == 3);
    auto& sent = b.log->lifecycle;
    CHECK(!sent[0]["nonce"].empty());
    CHECK(sent[0]["nonce"] == sent[1]["nonce"]);
    CHECK(sent[0]["nonce"] == sent[2]["nonce"]);
    CHECK(sent[0]["client_assertion"] != sent[1]["client_assertion"]);
    CHECK(sent[0]["operation"] == "revoke");
    CHECK(sent[0]["reason"] == "enough");
    CHECK(b.out.str().find("revoked") != std::string::npos);
}

TEST_CASE("two operations have two nonces") {
    bench b;
    const auto s = b.open(std::make_unique<fake_transmitter>());
    CHECK(b.run(*s, revoke()) == 0);
    CHECK(b.run(*s, revoke()) == 0);
    REQUIRE(b.log->lifecycle.size() == 2);
    CHECK(b.log->lifecycle[0]["nonce"] != b.log->lifecycle[1]["nonce"]);
}

TEST_CASE("a transmitter that stays away is given up on, with status 1") {
    bench b;
    auto http = std::make_unique<fake_transmitter>();
    http->troubles.assign(20, "503");
    const auto s = b.open(std::move(http));
    CHECK(b.run(*s, revoke()) == 1);
    CHECK(b.waits == 6);
    CHECK(b.err.str().find("503") != std::string::npos);
    CHECK(b.out.str().empty());
}

TEST_CASE("an answer about another mission is not printed") {
    bench b;
    auto http = std::make_unique<fake_transmitter>();
    http->signed_mission = "mis_another0123456789abc";
    const auto s = b.open(std::move(http));
    CHECK(b.run(*s, revoke()) == 1);
    CHECK(b.out.str().empty());
}

TEST_CASE("a server that calls itself otherwise is not believed") {
    bench b;
    auto http = std::make_unique<fake_transmitter>();
    http->claimed_issuer = "https://evil.example";
    const auto s = b.open(std::move(http));
    CHECK(b.run(*s, revoke()) == 1);
    CHECK(b.log->lifecycle.empty());
}

TEST_CASE("no assertion and no token leaves the issuer's origin") {
    bench b;
    auto http = std::make_unique<fake_transmitter>();
    http->token_host = "https://evil.example";
    const auto s = b.open(std::move(http));
    CHECK(b.run(*s, revoke()) == 1);
    for (const auto& r : b.log->requests)
        CHECK(r.url.starts_with(issuer));
}

TEST_CASE("a refusal is told in the transmitter's words") {
    bench b;
    const auto s = b.open(std::make_unique<fake_transmitter>());
    invocation i;
    i.what = verb::mission_get;
    i.id = id;
    CHECK(b.run(*s, i) == 1);
    CHECK(b.err.str() == "missionctl: refused with 404 not_found: no such mission\n");
}

TEST_CASE("a key that is none is an error before anything is sent") {
    manual_clock time{from_numeric_date(0)};
    settings s;
    s.server = issuer;
    s.client_id = "operator";
    s.private_key_pem = "not a key";
    auto http = std::make_unique<fake_transmitter>();
    const auto log = http->log;
    const auto opened =
        session::open(std::move(s), std::move(http), time, [](std::chrono::milliseconds) {});
    CHECK(!opened);
    CHECK(log->requests.empty());
}
