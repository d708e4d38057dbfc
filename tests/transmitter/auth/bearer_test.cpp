#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include "tests/transmitter/fixture.hpp"
#include "transmitter/auth/access_token.hpp"

using namespace mission;
using namespace mission::transmitter;
using testing::transmitter_fixture;

TEST_CASE("a bearer token that is none of ours is 401 with WWW-Authenticate, whatever its octets") {
    transmitter_fixture f;
    for (const std::string token :
         {"x", "Bearer", "a.b.c", "%00", "\xff\xfe\x80", "null", "eyJhbGciOiJub25lIn0..",
          "poor-static-tokenx", "poor-static-toke"}) {
        CAPTURE(token);
        const auto a = f.get("/missions", token);
        CHECK(a.status == 401);
        CHECK(a.fields.get("www-authenticate").starts_with("Bearer"));
        CHECK(a.text("err") == "unauthorized");
        CHECK(a.fields.get("cache-control") == "no-store");
    }
    CHECK(f.get("/missions", std::string(10'000, 'a')).status == 401);
    CHECK(f.get("/missions").status == 401);
}

TEST_CASE("other schemes and a token in the query are not taken") {
    transmitter_fixture f;
    for (const std::string header : {"Basic eDp5", "DPoP x", "Bearer", "Bearer ", "bearer"}) {
        net::headers h;
        h.set("authorization", header);
        CHECK(f.send("GET", f.url("/missions"), h).status == 401);
    }
    const auto token = f.token("operator");
    CHECK(f.send("GET", f.url("/missions?access_token=" + token)).status == 400);
    CHECK(f.send("GET", f.url("/missions?limit=1&access_token=" + token)).status == 400);
    CHECK(f.get("/missions?access_token=x", token).status == 400);
}

TEST_CASE("the scheme's letter case does not matter, a second Authorization does") {
    transmitter_fixture f;
    net::headers h;
    h.set("authorization", "bEARER " + f.token("operator"));
    CHECK(f.send("GET", f.url("/missions"), h).status == 200);
    h.add("authorization", "Bearer " + f.token("operator"));
    CHECK(f.send("GET", f.url("/missions"), h).status >= 400);
}

TEST_CASE("a static token of the configuration works with its client's scopes") {
    transmitter_fixture f;
    const auto a = f.get("/missions", "poor-static-token");
    CHECK(a.status == 403);
    CHECK(f.get("/missions", "poor-static-token").status == 403);
}

TEST_CASE("a token survives a restart of the transmitter") {
    transmitter_fixture f(
        [](config& c) { c.store_url = "sqlite:" + c.signing_directory + "/../t.db"; });
    const auto token = f.token("operator");
    f.restart();
    CHECK(f.get("/missions", token).status == 200);
}

TEST_CASE("a sealed token is one issuer's, expires, and cannot be altered") {
    const wall_time now = from_milliseconds(1'800'000'000'000);
    const token_sealer a(std::string(32, 'k'), "https://a"), b(std::string(32, 'k'), "https://b"),
        c(std::string(32, 'l'), "https://a");
    const auto token =
        a.seal({"client", {"x", "y"}, now + std::chrono::seconds(10)}, system_random());
    const auto opened = a.open(token, now);
    REQUIRE(opened);
    CHECK(opened->client_id == "client");
    CHECK(opened->scopes == std::vector<std::string>{"x", "y"});
    CHECK(a.open(token, now + std::chrono::seconds(10)).error().code == errc::token_expired);
    CHECK_FALSE(b.open(token, now));
    CHECK_FALSE(c.open(token, now));
    auto altered = token;
    altered[altered.size() / 2] = altered[altered.size() / 2] == 'A' ? 'B' : 'A';
    CHECK_FALSE(a.open(altered, now));
    CHECK_FALSE(a.open("", now));
}
