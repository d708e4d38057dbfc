#include "tests/transmitter/auth/auth_bench.hpp"

#include <future>

#include "jose/base64url.hpp"

// Tokens of other issuers, with an authorization server that is at times none.

using namespace mission;
using namespace mission::transmitter;
using namespace std::chrono_literals;
using testing::auth_bench;
using testing::code_of;
using testing::fake_server;
using testing::signing_key;
using testing::their_issuer;

namespace {

// An issuer with a JWKS, and a client c1 of it.
struct jwt_bench : auth_bench {
    fake_server server{runtime()};
    signing_key key;

    jwt_bench() {
        server.answer(200, key.jwks());
        add_issuer(server);
        add_client("c1").token_issuer = their_issuer;
    }
    result<principal> bearer(const std::string& token) {
        return judged(request("Bearer " + token));
    }
};

struct opaque_bench : auth_bench {
    fake_server server{runtime()};

    opaque_bench() {
        add_issuer(server, true);
        add_client("c1").token_issuer = their_issuer;
    }
    void says(const std::string& more) {
        server.answer(200, R"({"active":true,"client_id":"c1","scope":"ssf.read")" + more + "}");
    }
    result<principal> bearer(const std::string& token) {
        return judged(request("Bearer " + token));
    }
};

}  // namespace

TEST_CASE("a JWT of a configured issuer is its client, with the scopes both sides grant") {
    jwt_bench b;
    b.start();
    const auto p = b.bearer(b.jwt(b.key));
    REQUIRE(p);
    CHECK(p->client->id == "c1");
    CHECK(p->scopes == std::vector<std::string>{"ssf.read"});
    CHECK(p->audiences.empty());
    CHECK_FALSE(p->bound);
    CHECK(p->token_expires == b.now() + 600s);
    CHECK(b.server.asked() == 1);
    CHECK(b.bearer(b.jwt(b.key)));
    CHECK(b.server.asked() == 1);
}

TEST_CASE("a client is found by token issuer and id together") {
    jwt_bench b;
    b.add_client("ours").secret = "s";
    b.start();
    CHECK(code_of(b.bearer(b.jwt(b.key, "", "at+jwt", "ours"))) == errc::unauthenticated);
    CHECK(code_of(b.bearer(b.jwt(b.key, "", "at+jwt", "nobody"))) == errc::unauthenticated);
    // The other way round: this client's tokens are not ours to give.
    const auto r = b.token({{"grant_type", "client_credentials"}}, "", "",
                           "Basic " + jose::base64_encode("c1:x"));
    CHECK(r.status == 401);
}

TEST_CASE("a JWT for somebody else is refused; one for an endpoint of ours is for that alone") {
    jwt_bench b;
    b.start();
    CHECK(code_of(b.bearer(b.jwt(b.key, "", "at+jwt", "c1", "https://other.example"))) ==
          errc::unauthenticated);
    const auto endpoint = b.url("/mission/status");
    CHECK(code_of(b.bearer(b.jwt(b.key, "", "at+jwt", "c1", endpoint))) == errc::unauthenticated);
}

TEST_CASE("a token that expires between two requests is refused at the second") {
    jwt_bench b;
    b.start();
    const auto token = b.jwt(b.key);
    CHECK(b.bearer(token));
    b.advance(599s);
    CHECK(b.bearer(token));
    // Prepared while it was good, used when it is not: the verdict of the request stands, but the
    // principal says when its long poll ends.
    const auto request = b.prepared(b.request("Bearer " + token));
    b.advance(1s);
    CHECK(code_of(b.bearer(token)) == errc::unauthenticated);
    const auto p = b.auth().bearer(request);
    REQUIRE(p);
    CHECK(p->token_expires <= b.now());
}

TEST_CASE("a JWT of an issuer that is not configured is refused without asking anybody") {
    jwt_bench b;
    b.start();
    const auto t = std::to_string(to_numeric_date(b.now()));
    const auto foreign = b.key.sign(
        "at+jwt", R"({"iss":"https://evil.example","aud":"x","client_id":"c1","exp":9999999999,)"
                  R"("iat":)" +
                      t + "}");
    CHECK(code_of(b.bearer(foreign)) == errc::unauthenticated);
    CHECK(code_of(b.bearer("opaque")) == errc::unauthenticated);
    CHECK(b.server.asked() == 0);
}

TEST_CASE("a key set that is none is a clean refusal, and the next good one mends it") {
    jwt_bench b;
    b.start();
    struct bad {
        int status;
        std::string body, type;
    };
    const std::vector<bad> answers{
        {200, "", "application/json"},
        {200, R"({"keys":[]})", "application/json"},
        {200, R"({"keys":[{"kty":"oct","k":"AAAA"}]})", "application/json"},
        {200, "<html><body>Sign in</body></html>", "text/html"},
        {200, b.key.jwks().substr(0, 60), "application/json"},
        {200, "{\"keys\":[" + std::string(600'000, ' ') + "]}", "application/json"},
        {302, b.key.jwks(), "application/json"},
        {500, b.key.jwks(), "application/json"},
        {204, "", "application/json"},
    };
    int asked = 0;
    for (const auto& a : answers) {
        CAPTURE(a.status);
        CAPTURE(a.body.substr(0, 40));
        b.server.answer(a.status, a.body, a.type);
        CHECK(code_of(b.bearer(b.jwt(b.key))) == errc::unavailable);
        // Not asked again at each token.
        CHECK(code_of(b.bearer(b.jwt(b.key))) == errc::unavailable);
        CHECK(b.server.asked() == ++asked);
        b.advance(5s);
    }
    b.server.answer(200, b.key.jwks());
    CHECK(b.bearer(b.jwt(b.key)));
}

TEST_CASE("the connection's end instead of an answer is a clean refusal") {
    jwt_bench b;
    // Dropped without a word: the server answers 500 for whoever forgets to.
    b.server.answer([](const net::http_request&, const net::responder&) {});
    b.start();
    CHECK(code_of(b.bearer(b.jwt(b.key))) == errc::unavailable);
}

TEST_CASE("a key changed under the same kid: tokens of the new one wait for the next renewal") {
    jwt_bench b;
    b.start();
    CHECK(b.bearer(b.jwt(b.key)));
    signing_key changed;
    changed.key.set_kid(b.key.key.kid());
    b.server.answer(200, changed.jwks());
    CHECK(code_of(b.bearer(b.jwt(changed))) == errc::unauthenticated);
    CHECK(b.server.asked() == 1);
    b.advance(5min);
    // The renewal is on its way in the background; the token that set it off is judged by the old.
    const auto until = std::chrono::steady_clock::now() + 10s;
    auto got = b.bearer(b.jwt(changed));
    while (!got && std::chrono::steady_clock::now() < until)
        got = b.bearer(b.jwt(changed));
    CHECK(got);
    CHECK(code_of(b.bearer(b.jwt(b.key))) == errc::unauthenticated);
}

TEST_CASE("a new kid is fetched, at most every 30 seconds") {
    jwt_bench b;
    b.start();
    CHECK(b.bearer(b.jwt(b.key)));
    const signing_key next;
    b.server.answer(200, next.jwks());
    CHECK(code_of(b.bearer(b.jwt(next))) == errc::unauthenticated);
    CHECK(b.server.asked() == 1);
    b.advance(30s);
    CHECK(b.bearer(b.jwt(next)));
    CHECK(b.server.asked() == 2);
}

TEST_CASE("a slow issuer delays its own tokens alone, and those not for ever") {
    jwt_bench b;
    b.add_client("static").token = "static-token";
    std::promise<void> asked;
    b.server.answer([&](const net::http_request&, const net::responder& respond) {
        // Never answered: kept, so that it is not answered 500 either.
        static std::vector<net::responder> kept;
        kept.push_back(respond);
        asked.set_value();
    });
    b.start();
    auto slow = std::make_shared<std::promise<net::http_request>>();
    auto done = slow->get_future();
    b.auth().prepare(b.request("Bearer " + b.jwt(b.key)),
                     [slow](net::http_request r) { slow->set_value(std::move(r)); });
    REQUIRE(asked.get_future().wait_for(10s) == std::future_status::ready);
    CHECK(b.judged(b.request("Bearer static-token")));
    CHECK(code_of(b.judged(b.request("Bearer wrong"))) == errc::unauthenticated);
    CHECK(done.wait_for(0s) != std::future_status::ready);
    REQUIRE(done.wait_for(15s) == std::future_status::ready);  // limits::token_lookup_timeout
    CHECK(code_of(b.auth().bearer(done.get())) == errc::unavailable);
}

TEST_CASE("an opaque token is introspected once a minute, with our own credentials") {
    opaque_bench b;
    std::string body, authorization;
    b.server.answer([&](const net::http_request& r, const net::responder& respond) {
        body = r.method + " " + r.body;
        authorization = std::string(r.fields.get("authorization"));
        net::http_response a;
        a.body = R"({"active":true,"client_id":"c1","scope":"ssf.read x","exp":1800000100})";
        respond(std::move(a));
    });
    b.start();
    const auto p = b.bearer("opaque+token");
    REQUIRE(p);
    CHECK(p->scopes == std::vector<std::string>{"ssf.read"});
    CHECK(p->token_expires == from_milliseconds(1'800'000'100'000));
    CHECK(body == "POST token=opaque%2Btoken&token_type_hint=access_token");
    CHECK(authorization == "Basic " + jose::base64_encode("signals:s%3A1%202"));
    b.advance(59s);
    CHECK(b.bearer("opaque+token"));
    CHECK(b.server.asked() == 1);
    b.advance(1s);
    CHECK(b.bearer("opaque+token"));
    CHECK(b.server.asked() == 2);
    // Revoked meanwhile: seen within a minute.
    b.server.answer(200, R"({"active":false})");
    b.advance(40s);
    CHECK(code_of(b.bearer("opaque+token")) == errc::unauthenticated);
}

TEST_CASE("an introspected token is for us and of a client of that issuer") {
    opaque_bench b;
    b.add_client("ours").secret = "s";
    b.start();
    b.says(R"(,"aud":"https://other.example")");
    CHECK(code_of(b.bearer("t1")) == errc::unauthenticated);
    b.says(R"(,"aud":["https://other.example",")" + std::string(testing::our_issuer) + "\"]");
    CHECK(b.bearer("t2"));
    b.says(R"(,"iss":"https://elsewhere.example")");
    CHECK(code_of(b.bearer("t3")) == errc::unauthenticated);
    b.server.answer(200, R"({"active":true,"client_id":"ours","scope":"ssf.read"})");
    CHECK(code_of(b.bearer("t4")) == errc::unauthenticated);
}

TEST_CASE("an introspection endpoint that fails is no verdict on the token, and kept by nobody") {
    opaque_bench b;
    b.start();
    for (const auto& [status, body] :
         std::vector<std::pair<int, std::string>>{{401, "{}"},
                                                  {500, R"({"active":true,"client_id":"c1"})"},
                                                  {302, R"({"active":true,"client_id":"c1"})"},
                                                  {200, "<html></html>"},
                                                  {200, R"({"active":true,"client)"},
                                                  {200, std::string(70'000, ' ')}}) {
        CAPTURE(status);
        b.server.answer(status, body);
        CHECK(code_of(b.bearer("t")) == errc::unavailable);
    }
    b.says("");
    CHECK(b.bearer("t"));
}

TEST_CASE("who brings a token while it is looked up waits for the same answer") {
    opaque_bench b;
    std::mutex mutex;
    std::vector<net::responder> held;
    std::promise<void> asked;
    b.server.answer([&](const net::http_request&, const net::responder& respond) {
        const std::lock_guard lock(mutex);
        held.push_back(respond);
        if (held.size() == 1) asked.set_value();
    });
    b.start();
    std::vector<std::future<net::http_request>> answers;
    const auto bring = [&] {
        auto p = std::make_shared<std::promise<net::http_request>>();
        answers.push_back(p->get_future());
        b.auth().prepare(b.request("Bearer same"),
                         [p](net::http_request r) { p->set_value(std::move(r)); });
    };
    bring();
    REQUIRE(asked.get_future().wait_for(10s) == std::future_status::ready);
    for (int i = 0; i < 9; ++i)
        bring();
    net::http_response yes;
    yes.body = R"({"active":true,"client_id":"c1","scope":"ssf.read"})";
    {
        const std::lock_guard lock(mutex);
        REQUIRE(held.size() == 1);
        held.front()(yes);
    }
    for (auto& a : answers) {
        REQUIRE(a.wait_for(10s) == std::future_status::ready);
        CHECK(b.auth().bearer(a.get()));
    }
    CHECK(b.server.asked() == 1);
}

TEST_CASE("tokens said to be of an issuer that hangs keep out nobody else's") {
    opaque_bench b;
    fake_server hanging(b.runtime());
    std::mutex mutex;
    std::vector<net::responder> held;
    std::promise<void> asked;
    hanging.answer([&](const net::http_request&, const net::responder& respond) {
        const std::lock_guard lock(mutex);
        held.push_back(respond);
        if (held.size() == 1) asked.set_value();
    });
    b.add_issuer(hanging, false, "https://hangs.example");
    b.says("");
    b.start();
    const signing_key nobody;
    std::vector<std::future<net::http_request>> answers;
    for (std::size_t i = 0; i <= limits::token_lookups; ++i) {
        auto p = std::make_shared<std::promise<net::http_request>>();
        answers.push_back(p->get_future());
        const auto made_up = nobody.sign(
            "at+jwt", R"({"iss":"https://hangs.example","jti":")" + std::to_string(i) + "\"}");
        b.auth().prepare(b.request("Bearer " + made_up),
                         [p](net::http_request r) { p->set_value(std::move(r)); });
    }
    REQUIRE(asked.get_future().wait_for(10s) == std::future_status::ready);
    // One too many for that issuer, and told so.
    REQUIRE(answers.back().wait_for(10s) == std::future_status::ready);
    CHECK(answers.front().wait_for(0s) != std::future_status::ready);
    CHECK(b.bearer("opaque"));
    b.auth().stop();
    for (auto& a : answers)
        REQUIRE(a.wait_for(10s) == std::future_status::ready);
}

TEST_CASE("look-ups are bounded: one more is told to come again, and stopping ends all") {
    opaque_bench b;
    std::mutex mutex;
    std::vector<net::responder> held;
    b.server.answer([&](const net::http_request&, const net::responder& respond) {
        const std::lock_guard lock(mutex);
        held.push_back(respond);
    });
    b.start();
    std::vector<std::future<net::http_request>> answers;
    for (std::size_t i = 0; i < limits::token_lookups; ++i) {
        auto p = std::make_shared<std::promise<net::http_request>>();
        answers.push_back(p->get_future());
        b.auth().prepare(b.request("Bearer t" + std::to_string(i)),
                         [p](net::http_request r) { p->set_value(std::move(r)); });
    }
    CHECK(code_of(b.bearer("one-more")) == errc::unavailable);
    b.auth().stop();
    for (auto& a : answers) {
        REQUIRE(a.wait_for(10s) == std::future_status::ready);
        CHECK(code_of(b.auth().bearer(a.get())) == errc::unavailable);
    }
}
