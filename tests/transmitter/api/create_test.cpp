#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include "events/mission_event.hpp"
#include "schemas/schemas.hpp"
#include "tests/transmitter/fixture.hpp"

using namespace mission;
using namespace mission::transmitter;
using testing::answer;
using testing::transmitter_fixture;

namespace {

// The body with one member replaced (or added), as JSON text.
std::string body_with(std::string_view member, std::string_view json_value) {
    auto parsed = json::parse(transmitter_fixture::mission_body());
    REQUIRE(parsed);
    auto value = json::parse("[" + std::string(json_value) + "]");
    REQUIRE(value);
    json::value copy((*value)[0], parsed->GetAllocator());
    parsed->RemoveMember(json::make_string(member, parsed->GetAllocator()));
    json::add(*parsed, member, std::move(copy), parsed->GetAllocator());
    return json::write(*parsed);
}

void check_refused(const answer& a, int status, std::string_view err) {
    CAPTURE(a.body);
    CHECK(a.status == status);
    CHECK(a.text("err") == err);
    CHECK(a.fields.get("cache-control") == "no-store");
}

answer create(transmitter_fixture& f, const std::string& body, std::string_view key = {},
              const std::string& client = "operator") {
    net::headers h;
    h.set("authorization", "Bearer " + f.token(client));
    h.set("content-type", "application/json");
    if (!key.empty()) h.set("idempotency-key", std::string(key));
    return f.send("POST", f.url("/missions"), h, body);
}

}  // namespace

TEST_CASE("an approval is version 1 of an active mission, with its authority hash") {
    transmitter_fixture f;
    const auto a = create(f, transmitter_fixture::mission_body());
    CAPTURE(a.body);
    REQUIRE(a.status == 201);
    CHECK(a.text("state") == "active");
    CHECK(a.number("version") == 1);
    CHECK(events::valid_mission_id(a.text("mission_id")));
    CHECK(schemas::validate("mission", a.json));
    const auto sent = json::parse(transmitter_fixture::mission_body());
    CHECK(a.text("authority_hash") ==
          *events::authority_hash(f.issuer(), (*sent)["authorization_details"]));
    CHECK(a.json["authorization_details"] == (*sent)["authorization_details"]);
    CHECK(f.get("/missions/" + a.text("mission_id"), f.token("operator")).status == 200);
}

TEST_CASE("a mission id may be chosen, once") {
    transmitter_fixture f;
    const auto body = body_with("mission_id", R"("my-mission-id_0123456789")");
    CHECK(create(f, body).text("mission_id") == "my-mission-id_0123456789");
    check_refused(create(f, body), 409, "conflict");
}

TEST_CASE("an Expect to be answered once: the Idempotency-Key gives the first outcome") {
    transmitter_fixture f;
    const auto first = create(f, transmitter_fixture::mission_body(), "key-1");
    REQUIRE(first.status == 201);
    const auto id = first.text("mission_id");
    CHECK(f.lifecycle("operator", id, "suspend").status == 200);
    const auto again = create(f, transmitter_fixture::mission_body(), "key-1");
    CHECK(again.status == 201);
    CHECK(again.body == first.body);  // also the state it was in then
    check_refused(create(f, body_with("purpose", R"("other")"), "key-1"), 400, "invalid_request");
    CHECK(create(f, transmitter_fixture::mission_body(), "key-2").text("mission_id") != id);
    // Keys are each client's own.
    CHECK(create(f, transmitter_fixture::mission_body(), "key-1", "erp").text("mission_id") != id);
    check_refused(create(f, transmitter_fixture::mission_body(), std::string(256, 'k')), 400,
                  "invalid_request");
}

TEST_CASE("a repeated creation is answered once across a restart") {
    transmitter_fixture f(
        [](config& c) { c.store_url = "sqlite:" + c.signing_directory + "/../t.db"; });
    const auto first = create(f, transmitter_fixture::mission_body(), "key-1");
    REQUIRE(first.status == 201);
    f.restart();
    CHECK(create(f, transmitter_fixture::mission_body(), "key-1").body == first.body);
}

TEST_CASE("a body that is not right is refused with the place at fault") {
    transmitter_fixture f;
    struct bad {
        std::string body;
        std::string_view place;
    };
    const bad all[] = {
        {body_with("mission_id", R"("short")"), "mission_id"},
        {body_with("mission_id", R"("has a space 0123456789 abc")"), "mission_id"},
        {body_with("mission_id", "\"" + std::string(129, 'a') + "\""), "mission_id"},
        {body_with("purpose", "7"), "purpose"},
        {body_with("purpose", "\"" + std::string(4097, 'p') + "\""), "purpose"},
        {body_with("agent", "{}"), "agent"},
        {body_with("approver", R"({"iss":"x"})"), "approver"},
        {body_with("expires_at", R"("tomorrow")"), "expires_at"},
        {body_with("expires_at", R"("2020-01-01T00:00:00Z")"), "expires_at"},
        {body_with("expires_at", R"("2099-02-30T00:00:00Z")"), "expires_at"},
        {body_with("authorization_details", "[]"), "authorization_details"},
        {body_with("authorization_details", R"([{"type":"mission_resource_access"}])"),
         "authorization_details"},
        {body_with("authorization_details",
                   R"([{"type":"mission_resource_access","resource":"https://a","actions":["x"],)"
                   R"("resource_match":"glob"}])"),
         "resource_match"},
        {body_with("authorization_details",
                   R"([{"type":"mission_resource_access","resource":"https://a?x","actions":["x"],)"
                   R"("resource_match":"prefix"}])"),
         "resource"},
        {body_with("authorization_details", R"([{"type":"t","n":9007199254740993}])"),
         "authorization_details"},
        {body_with("parent", R"("0123456789012345678901")"), "parent"},
        {body_with("predecessor", R"("0123456789012345678901")"), "predecessor"},
    };
    for (const auto& b : all) {
        CAPTURE(b.body);
        const auto a = create(f, b.body);
        check_refused(a, 400, "invalid_request");
        CHECK(a.text("description").find(b.place) != std::string::npos);
    }
}

TEST_CASE("a body that is no JSON, too deep, doubled or too large is an error, never a 500") {
    transmitter_fixture f;
    for (const std::string& body :
         {std::string(), std::string("{"), std::string("null"), std::string("[]"),
          std::string("{\"a\":1,\"a\":2}"), std::string("\xff\xfe"),
          std::string(1000, '[') + std::string(1000, ']'), std::string("{} x")}) {
        CAPTURE(body);
        check_refused(create(f, body), 400, "invalid_request");
    }
    CHECK(create(f, "{\"purpose\":\"" + std::string(2'000'000, 'a') + "\"}").status == 413);
}

TEST_CASE("a wrong content type is 415, a missing one is accepted") {
    transmitter_fixture f;
    net::headers h;
    h.set("authorization", "Bearer " + f.token("operator"));
    CHECK(f.send("POST", f.url("/missions"), h, transmitter_fixture::mission_body()).status == 201);
    h.set("content-type", "Application/JSON; charset=utf-8");
    CHECK(f.send("POST", f.url("/missions"), h, transmitter_fixture::mission_body()).status == 201);
    h.set("content-type", "text/plain");
    check_refused(f.send("POST", f.url("/missions"), h, transmitter_fixture::mission_body()), 415,
                  "unsupported_media_type");
}

TEST_CASE("checks run in order: token, scope, body") {
    transmitter_fixture f;
    CHECK(f.post_json("/missions", "{").status == 401);
    CHECK(f.post_json("/missions", "{", "poor-static-token").status == 403);
    CHECK(f.post_json("/missions", "{", f.token("operator")).status == 400);
}

TEST_CASE("a known path takes no other method, an unknown path is 404") {
    transmitter_fixture f;
    const auto a = f.send("PUT", f.url("/missions"));
    CHECK(a.status == 405);
    CHECK(a.fields.get("allow").find("POST") != std::string_view::npos);
    CHECK(f.get("/nowhere").status == 404);
    CHECK(f.get("/missions/a/b").status == 404);
    CHECK(f.get("/healthz").status == 404);  // admin listener only
}
