#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include "tests/transmitter/fixture.hpp"

using namespace mission;
using namespace mission::transmitter;
using testing::transmitter_fixture;

namespace {

std::string body(std::string_view members) {
    return R"({"change":"narrowed","approver":{"iss":"https://idp","sub":"alice"},"reason":"less",)" +
           std::string(members) + "}";
}

const std::string narrower =
    R"("authorization_details":[{"type":"mission_resource_access","resource":"https://erp.example",)"
    R"("actions":["invoices.read"],"constraints":{"max_amount":{"amount":"100","currency":"EUR"}}},)"
    R"({"type":"mission_resource_access","resource":"https://crm.example","actions":["contacts.read"]}])";

}  // namespace

TEST_CASE("a narrowing is a version with the new set; hash and state stay") {
    transmitter_fixture f;
    const auto id = f.create();
    const auto before = f.get("/missions/" + id, f.token("operator"));
    const auto a = f.post_json("/missions/" + id + "/scope", body(narrower), f.token("operator"));
    CAPTURE(a.body);
    REQUIRE(a.status == 200);
    CHECK(a.number("version") == 2);
    CHECK(a.text("state") == "active");
    CHECK(a.text("authority_hash") == before.text("authority_hash"));
    const auto after = f.get("/missions/" + id, f.token("operator"));
    CHECK(after.json["authorization_details"][0]["actions"].Size() == 1);
    CHECK(after.number("version") == 2);
}

TEST_CASE("the same narrowing again is success without a version") {
    transmitter_fixture f;
    const auto id = f.create();
    const auto path = "/missions/" + id + "/scope";
    CHECK(f.post_json(path, body(narrower), f.token("operator")).number("version") == 2);
    CHECK(f.post_json(path, body(narrower), f.token("operator")).number("version") == 2);
}

TEST_CASE("widening is 403 extension_not_allowed and names the member") {
    transmitter_fixture f;
    const auto id = f.create();
    const auto path = "/missions/" + id + "/scope";
    const std::string wider[] = {
        R"("authorization_details":[{"type":"mission_resource_access",)"
        R"("resource":"https://erp.example","actions":["invoices.delete"],)"
        R"("constraints":{"max_amount":{"amount":"500","currency":"EUR"}}}])",
        R"("authorization_details":[{"type":"mission_resource_access",)"
        R"("resource":"https://erp.example","actions":["invoices.read"]}])",
        R"("authorization_details":[{"type":"mission_resource_access",)"
        R"("resource":"https://new.example","actions":["x"]}])",
        R"("expires_at":"2099-01-02T00:00:00Z")"};
    for (const auto& w : wider) {
        CAPTURE(w);
        const auto a = f.post_json(path, body(w), f.token("operator"));
        CHECK(a.status == 403);
        CHECK(a.text("err") == "extension_not_allowed");
        CHECK(a.text("description").starts_with("/"));
    }
    auto extended = body(narrower);
    extended.replace(extended.find("narrowed"), 8, "extended");
    CHECK(f.post_json(path, extended, f.token("operator")).status == 403);
    CHECK(f.get("/missions/" + id, f.token("operator")).number("version") == 1);
}

TEST_CASE("who is named by what a prefix was narrowed to knows the mission from then on") {
    transmitter_fixture f;
    const auto set = [](const char* resource, const char* more) {
        return R"([{"type":"mission_resource_access","resource":")" + std::string(resource) +
               R"(","actions":["x"])" + more + "}]";
    };
    const auto made = f.post_json(
        "/missions",
        R"({"purpose":"p","approver":{"iss":"https://idp.example","sub":"alice"},)"
        R"("subject":{"iss":"https://idp.example","sub":"bob"},"agent":{"client_id":"agent"},)"
        R"("expires_at":"2099-01-01T00:00:00Z","authorization_details":)" +
            set("https://stranger.example/", R"(,"resource_match":"prefix")") + "}",
        f.token("operator"));
    REQUIRE(made.status == 201);
    const auto id = made.text("mission_id");
    CHECK(f.get("/missions/" + id, f.token("stranger")).status == 404);
    REQUIRE(f.post_json("/missions/" + id + "/scope",
                        R"({"change":"narrowed","authorization_details":)" +
                            set("https://stranger.example", "") +
                            R"(,"approver":{"iss":"https://idp.example","sub":"alice"},)"
                            R"("reason":"less"})",
                        f.token("operator"))
                .status == 200);
    const auto seen = f.get("/missions/" + id, f.token("stranger"));
    CHECK(seen.status == 200);
    CHECK(f.status("stranger", id).status == 200);
}

TEST_CASE("an end may be drawn nearer") {
    transmitter_fixture f;
    const auto id = f.create();
    const auto a = f.post_json("/missions/" + id + "/scope",
                               body(R"("expires_at":"2098-01-01T00:00:00Z")"), f.token("operator"));
    CHECK(a.status == 200);
    CHECK(a.text("expires_at") == "2098-01-01T00:00:00Z");
}

TEST_CASE("stale, terminal, unknown and malformed are told apart") {
    transmitter_fixture f;
    const auto id = f.create();
    const auto path = "/missions/" + id + "/scope";
    const auto token = f.token("operator");
    const auto stale = f.post_json(path, body(narrower + ",\"expected_version\":5"), token);
    CHECK(stale.status == 409);
    CHECK(stale.text("err") == "stale_version");
    CHECK(f.post_json(path, body("\"x\":1"), token).status == 400);
    CHECK(f.post_json(path, "{}", token).status == 400);
    CHECK(f.post_json(path, body(narrower), "x").status == 401);
    CHECK(f.post_json(path, body(narrower), "poor-static-token").status == 403);
    const auto invisible = f.post_json(path, body(narrower), f.token("stranger"));
    const auto unknown =
        f.post_json("/missions/0123456789012345678901/scope", body(narrower), f.token("stranger"));
    CHECK(invisible.status == 404);
    CHECK(invisible.body == unknown.body);
    f.lifecycle("operator", id, "revoke");
    const auto over = f.post_json(path, body(narrower), token);
    CHECK(over.status == 409);
    CHECK(over.text("err") == "conflict");
}
