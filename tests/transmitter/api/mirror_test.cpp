#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include "base/limits.hpp"
#include "tests/transmitter/fixture.hpp"

using namespace mission;
using namespace mission::transmitter;
using testing::answer;
using testing::transmitter_fixture;

// POST /missions/{id}/transitions: an issuer that mirrors another service.

namespace {

void mirror(config& c) {
    c.issuers.front().mirror = true;
}

std::string item(std::string_view state, std::int64_t version, std::string_view more = "") {
    return R"({"state":")" + std::string(state) + R"(","version":)" + std::to_string(version) +
           R"(,"committed_at":"2026-01-01T00:00:00Z")" + std::string(more) + "}";
}

answer report(transmitter_fixture& f, const std::string& id, const std::string& items,
              const std::string& client = "operator") {
    return f.post_json("/missions/" + id + "/transitions", "[" + items + "]", f.token(client));
}

std::string outcomes(const answer& a) {
    std::string out;
    if (const auto* list = json::find(a.json, "outcomes"))
        for (const auto& one : list->GetArray()) {
            if (!out.empty()) out += ' ';
            out += json::find_string(one, "outcome").value_or("?");
            if (json::find(one, "declared_gap")) out += "+gap";
        }
    return out;
}

void check_mission(transmitter_fixture& f, const std::string& id, std::string_view state,
                   std::int64_t version) {
    const auto m = f.get("/missions/" + id, f.token("operator"));
    CHECK(m.text("state") == state);
    CHECK(m.number("version") == version);
}

const std::string missing = R"(,"missing":true)";

}  // namespace

TEST_CASE("what is reported in order is applied, version by version") {
    transmitter_fixture f(mirror);
    const auto id = f.create();
    const auto a =
        report(f, id, item("suspended", 2, R"(,"reason":"audit")") + "," + item("active", 3));
    CAPTURE(a.body);
    CHECK(a.status == 200);
    CHECK(outcomes(a) == "applied applied");
    CHECK(a.number("version") == 3);
    check_mission(f, id, "active", 3);
    CHECK(outcomes(report(f, id, item("completed", 4))) == "applied");
    check_mission(f, id, "completed", 4);
}

TEST_CASE("repetitions change nothing; the same version with other content is 409") {
    transmitter_fixture f(mirror);
    const auto id = f.create();
    const auto two = item("suspended", 2, R"(,"reason":"audit")");
    CHECK(report(f, id, two).status == 200);
    CHECK(outcomes(report(f, id, two)) == "repeated");
    CHECK(outcomes(report(f, id, item("active", 1))) == "repeated");  // the creation
    for (const auto& other : {item("suspended", 2), item("active", 2),
                              item("suspended", 2, R"(,"reason":"other")"), item("revoked", 1)}) {
        const auto a = report(f, id, other);
        CAPTURE(a.body);
        CHECK(a.status == 409);
        CHECK(a.text("err") == "conflict");
        CHECK(a.text("description").starts_with("/0: "));
        CHECK(outcomes(a) == "conflict");
    }
    check_mission(f, id, "suspended", 2);
    // The others of such a request are taken all the same: a denial does not wait for them.
    const auto a = report(f, id, item("active", 2) + "," + item("revoked", 3));
    CHECK(a.status == 409);
    CHECK(outcomes(a) == "conflict applied");
    check_mission(f, id, "revoked", 3);
}

TEST_CASE("what comes too early waits for what is missing") {
    transmitter_fixture f(mirror);
    const auto id = f.create();
    CHECK(outcomes(report(f, id, item("active", 4))) == "waiting");
    CHECK(outcomes(report(f, id, item("active", 4))) == "waiting");
    CHECK(report(f, id, item("active", 4, R"(,"reason":"x")")).status == 409);
    check_mission(f, id, "active", 1);
    CHECK(outcomes(report(f, id, item("active", 3))) == "waiting");
    const auto a = report(f, id, item("suspended", 2));
    CHECK(outcomes(a) == "applied");
    CHECK(a.number("version") == 4);
    check_mission(f, id, "active", 4);
    // Within one request the order of the versions counts, not that of the array.
    CHECK(outcomes(report(f, id, item("active", 6) + "," + item("suspended", 5))) ==
          "applied applied");
}

TEST_CASE("what never comes is declared missing; what then comes is late") {
    transmitter_fixture f(mirror);
    const auto id = f.create();
    CHECK(outcomes(report(f, id, item("active", 5))) == "waiting");
    CHECK(outcomes(report(f, id, item("active", 4, missing))) == "applied+gap");
    check_mission(f, id, "active", 5);
    CHECK(outcomes(report(f, id, item("revoked", 3))) == "late");
    check_mission(f, id, "active", 5);
    // The one that waits may say so itself.
    CHECK(outcomes(report(f, id, item("active", 9))) == "waiting");
    CHECK(outcomes(report(f, id, item("active", 9, missing))) == "applied+gap");
    CHECK(outcomes(report(f, id, item("active", 9))) == "repeated");
    check_mission(f, id, "active", 9);
}

TEST_CASE("a denial beyond a hole applies at once") {
    transmitter_fixture f(mirror);
    const auto id = f.create();
    CHECK(outcomes(report(f, id, item("suspended", 4))) == "applied+gap");
    check_mission(f, id, "suspended", 4);
    CHECK(outcomes(report(f, id, item("active", 6))) == "waiting");
    CHECK(outcomes(report(f, id, item("revoked", 8))) == "applied+gap");
    check_mission(f, id, "revoked", 8);
    CHECK(outcomes(report(f, id, item("active", 6))) == "late");
    CHECK(report(f, id, item("active", 9)).status == 409);  // nothing follows an end
    check_mission(f, id, "revoked", 8);
}

TEST_CASE("what is reported of deadlines and authority is what is shown") {
    transmitter_fixture f(mirror);
    const auto id = f.create();
    const std::string set =
        R"([{"type":"mission_resource_access","resource":"https://stranger.example",)"
        R"("actions":["x"]}])";
    const auto a = report(f, id,
                          item("suspended", 2,
                               R"(,"suspend_until":"2098-01-01T00:00:00Z","on_expiry":"revoke")"
                               R"(,"expires_at":"2098-06-01T00:00:00Z","authorization_details":)" +
                                   set));
    CAPTURE(a.body);
    REQUIRE(a.status == 200);
    const auto m = f.get("/missions/" + id, f.token("operator"));
    CHECK(m.text("suspend_until") == "2098-01-01T00:00:00Z");
    CHECK(m.text("on_expiry") == "revoke");
    CHECK(m.text("expires_at") == "2098-06-01T00:00:00Z");
    CHECK(json::write(m.json["authorization_details"]) == set);
    CHECK(f.get("/missions/" + id, f.token("stranger")).status == 200);
    CHECK(f.get("/missions/" + id, f.token("erp")).status == 200);  // named before
    report(f, id, item("active", 3));
    CHECK(f.get("/missions/" + id, f.token("operator")).text("suspend_until").empty());
}

TEST_CASE("a mirror moves no clock") {
    transmitter_fixture f(mirror);
    const auto id = f.create("2020-01-01T00:00:00Z");  // it may be told of what was
    check_mission(f, id, "active", 1);
    const auto held = item("suspended", 2,
                           R"(,"suspend_until":"2019-01-01T00:00:00Z",)"
                           R"("on_expiry":"resume")");
    CHECK(outcomes(report(f, id, held)) == "applied");
    check_mission(f, id, "suspended", 2);
    CHECK(outcomes(report(f, id, item("expired", 3))) == "applied");
    check_mission(f, id, "expired", 3);
}

TEST_CASE("a mirror cascades nothing: each child is reported") {
    transmitter_fixture f(mirror);
    const auto parent = f.create();
    auto text = json::parse(transmitter_fixture::mission_body("2099-06-01T00:00:00Z"));
    json::add(*text, "parent", parent, text->GetAllocator());
    // Beyond the parent: it is the authority that has judged, not we.
    const auto a = f.post_json("/missions", json::write(*text), f.token("operator"));
    CAPTURE(a.body);
    REQUIRE(a.status == 201);
    CHECK(a.text("parent") == parent);
    CHECK(report(f, parent, item("revoked", 2)).status == 200);
    check_mission(f, a.text("mission_id"), "active", 1);
    CHECK(outcomes(report(f, a.text("mission_id"), item("cascaded", 2))) == "applied");
    check_mission(f, a.text("mission_id"), "cascaded", 2);
}

TEST_CASE("a mirror decides nothing: operations, scope and reports elsewhere are 409") {
    transmitter_fixture f(mirror);
    const auto id = f.create();
    for (const char* operation : {"revoke", "suspend", "resume", "complete"})
        CHECK(f.lifecycle("operator", id, operation).status == 409);
    const auto scope =
        f.post_json("/missions/" + id + "/scope",
                    R"({"change":"narrowed","approver":{"iss":"i","sub":"s"},"reason":"r",)"
                    R"("expires_at":"2098-01-01T00:00:00Z"})",
                    f.token("operator"));
    CHECK(scope.status == 409);
    check_mission(f, id, "active", 1);

    transmitter_fixture authority;
    const auto ours = authority.create();
    const auto a = report(authority, ours, item("revoked", 2));
    CHECK(a.status == 409);
    CHECK(a.text("err") == "conflict");
    check_mission(authority, ours, "active", 1);
}

TEST_CASE("a mirrored successor names its predecessor, which is superseded when reported") {
    transmitter_fixture f(mirror);
    const auto old = f.create();
    auto text = json::parse(transmitter_fixture::mission_body());
    json::add(*text, "predecessor", old, text->GetAllocator());
    const auto a = f.post_json("/missions", json::write(*text), f.token("operator"));
    REQUIRE(a.status == 201);
    check_mission(f, old, "active", 1);
    const auto by = R"(,"successor":")" + a.text("mission_id") + "\"";
    CHECK(outcomes(report(f, old, item("superseded", 2, by))) == "applied");
    CHECK(f.get("/missions/" + old, f.token("operator")).text("successor") == a.text("mission_id"));
}

TEST_CASE("reports are refused at the door when they cannot be, and from whom may not know") {
    transmitter_fixture f(mirror);
    const auto id = f.create();
    const auto path = "/missions/" + id + "/transitions";
    const auto token = f.token("operator");
    for (const auto& [body, place] : std::initializer_list<std::pair<std::string, std::string>>{
             {"[]", "/"},
             {"{}", "/"},
             {"[" + item("active", 2) + "," + item("asleep", 3) + "]", "/1/state"},
             {"[" + item("active", 0) + "]", "/0/version"},
             {R"([{"state":"active","version":2}])", "/0"},
             {"[" + item("active", 2, R"(,"on_expiry":"revoke")") + "]", "/0/on_expiry"},
             {"[" + item("active", 2, R"(,"missing":false)") + "]", "/0/missing"},
             {R"([{"state":"active","version":2,"committed_at":"2999-01-01T00:00:00Z"}])",
              "/0/committed_at"}}) {
        CAPTURE(body);
        const auto a = f.post_json(path, body, token);
        CHECK(a.status == 400);
        CHECK(a.text("description").starts_with(place));
    }
    CHECK(f.post_json(path, "[" + item("active", 2) + "]", "x").status == 401);
    CHECK(f.post_json(path, "[" + item("active", 2) + "]", "poor-static-token").status == 403);
    const auto hidden = report(f, id, item("active", 2), "stranger");
    CHECK(hidden.status == 404);
    CHECK(report(f, "0123456789012345678901", item("active", 2), "stranger").body == hidden.body);
    check_mission(f, id, "active", 1);
}

TEST_CASE("so many may wait, and a restart forgets none") {
    transmitter_fixture f([](config& c) {
        mirror(c);
        c.store_url = "sqlite:" + c.signing_directory + "/../t.db";
    });
    const auto id = f.create();
    std::string items;
    const auto most = static_cast<std::int64_t>(limits::waiting_per_mission);
    for (std::int64_t i = 0; i < most; ++i)
        items += (i ? "," : "") + item("active", 3 + i);
    const auto a = report(f, id, items + "," + item("active", 3 + most));
    CHECK(a.status == 200);
    CHECK(outcomes(a).ends_with("waiting refused"));
    f.restart();
    const auto b = report(f, id, item("suspended", 2));
    CHECK(b.number("version") == 2 + most);
    check_mission(f, id, "active", 2 + most);
}
