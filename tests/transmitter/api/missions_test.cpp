#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include <set>

#include "schemas/schemas.hpp"
#include "tests/transmitter/fixture.hpp"

using namespace mission;
using namespace mission::transmitter;
using testing::transmitter_fixture;

TEST_CASE("who may know sees the mission; unknown, invisible and foreign are one 404") {
    transmitter_fixture f;
    const auto id = f.create();
    CHECK(f.get("/missions/" + id, f.token("operator")).status == 200);
    CHECK(f.get("/missions/" + id, f.token("erp")).status == 200);
    const auto invisible = f.get("/missions/" + id, f.token("stranger"));
    const auto unknown = f.get("/missions/0123456789012345678901", f.token("stranger"));
    CHECK(invisible.status == 404);
    CHECK(invisible.status == unknown.status);
    CHECK(invisible.body == unknown.body);
    CHECK(f.get("/missions/short", f.token("operator")).status == 400);
    CHECK(f.get("/missions/0123456789012345678901%00", f.token("operator")).status == 400);
}

TEST_CASE("who knows by audience alone sees its own entries and what it may be disclosed") {
    transmitter_fixture f;
    const auto id = f.create();
    const auto whole = f.get("/missions/" + id, f.token("operator"));
    CHECK(whole.json["authorization_details"].Size() == 2);
    CHECK(whole.json.HasMember("subject"));
    CHECK(whole.text("tenant") == "acme");
    CHECK(whole.json["streams"].IsArray());
    CHECK(schemas::validate("mission", whole.json));
    const auto cut = f.get("/missions/" + id, f.token("erp"));
    REQUIRE(cut.json["authorization_details"].Size() == 1);
    CHECK(json::find_string(cut.json["authorization_details"][0], "resource") ==
          "https://erp.example");
    for (const auto* hidden : {"subject", "tenant", "approver", "purpose", "streams"})
        CHECK_FALSE(cut.json.HasMember(hidden));
}

TEST_CASE("a list is filtered, paged and complete") {
    transmitter_fixture f;
    std::set<std::string> made;
    for (int i = 0; i < 7; ++i)
        made.insert(f.create());
    CHECK(f.lifecycle("operator", *made.begin(), "suspend").status == 200);
    const auto token = f.token("operator");

    std::set<std::string> seen;
    std::string path = "/missions?limit=3";
    int pages = 0;
    for (; pages < 10; ++pages) {
        const auto a = f.get(path, token);
        REQUIRE(a.status == 200);
        CHECK(a.json["missions"].Size() <= 3);
        for (const auto& m : a.json["missions"].GetArray())
            CHECK(seen.insert(std::string(*json::find_string(m, "mission_id"))).second);
        if (a.text("next_cursor").empty()) break;
        path = "/missions?limit=3&cursor=" + a.text("next_cursor");
        // A cursor is its client's own.
        CHECK(f.get(path, f.token("erp")).status == 400);
    }
    CHECK(seen == made);
    CHECK(f.get("/missions?state=suspended", token).json["missions"].Size() == 1);
    CHECK(f.get("/missions?state=active", token).json["missions"].Size() == 6);
    CHECK(f.get("/missions?agent=agent-7&tenant=acme", token).json["missions"].Size() == 7);
    CHECK(f.get("/missions?agent=other", token).json["missions"].Size() == 0);
    CHECK(f.get("/missions", f.token("stranger")).json["missions"].Size() == 0);
    CHECK(f.get("/missions", f.token("erp")).json["missions"].Size() == 7);
}

TEST_CASE("a list refuses what it cannot read") {
    transmitter_fixture f;
    const auto token = f.token("operator");
    for (const auto* query : {"limit=0", "limit=1001", "limit=x", "limit=-1", "state=gone",
                              "cursor=abc", "cursor=", "limit=1&limit=2", "a=%zz"}) {
        CAPTURE(query);
        CHECK(f.get("/missions?" + std::string(query), token).status == 400);
    }
}
