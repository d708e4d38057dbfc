#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include "tests/transmitter/fixture.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace std::chrono_literals;
using testing::answer;
using testing::transmitter_fixture;

namespace {

std::string text(const json::value& v, std::string_view member) {
    return std::string(json::find_string(v, member).value_or(""));
}

std::string at(wall_time t) {
    return "?at=" + net::percent_encode(to_rfc3339(t));
}

wall_time committed(transmitter_fixture& f, const std::string& id, std::int64_t version) {
    wall_time out{};
    REQUIRE(f.running().db().read_now([&](const store::rows& rows) {
        const auto row = rows.find_row(store::issuer_id{1}, id);
        REQUIRE(row);
        const auto found = rows.versions(*row, version - 1, 1);
        REQUIRE(found.size() == 1);
        out = found.front().committed_at;
    }));
    return out;
}

std::string child_body(const std::string& parent) {
    auto body = transmitter_fixture::mission_body("2098-01-01T00:00:00Z");
    body.pop_back();
    return body + R"(,"parent":")" + parent + "\"}";
}

}  // namespace

TEST_CASE("a mission is shown as it was at a moment, with who made it so and why") {
    manual_clock clock(*from_rfc3339("2030-01-01T00:00:00Z"));
    transmitter_fixture f({}, &clock);
    const auto id = f.create("2030-01-02T00:00:00Z");
    const auto approved = clock.now();
    clock.advance(10s);
    REQUIRE(f.lifecycle("operator", id, "suspend", {{"reason", "odd calls"}}).status == 200);
    clock.advance(10s);
    REQUIRE(f.post_json("/missions/" + id + "/scope",
                        R"({"change":"narrowed","reason":"less is enough",)"
                        R"("approver":{"iss":"https://idp.example","sub":"alice"},)"
                        R"("authorization_details":[{"type":"mission_resource_access",)"
                        R"("resource":"https://erp.example","actions":["invoices.read"],)"
                        R"("constraints":{"max_amount":{"amount":"500","currency":"EUR"}}}]})",
                        f.token("operator"))
                .status == 200);
    clock.advance(10s);
    REQUIRE(f.lifecycle("operator", id, "revoke", {{"reason", "over"}}).status == 200);
    clock.advance(10s);
    const auto show = [&](wall_time t, const std::string& client = "operator") {
        return f.get("/missions/" + id + at(t), f.token(client));
    };

    const auto first = show(approved);
    REQUIRE(first.status == 200);
    CHECK(first.text("state") == "active");
    CHECK(first.number("version") == 1);
    CHECK(first.json["active"].GetBool());
    CHECK(first.json["authorization_details"].Size() == 2);
    CHECK(text(first.json["by"], "action") == "mission.create");
    CHECK(text(first.json["by"], "actor") == "operator");
    CHECK(first.text("at") == "2030-01-01T00:00:00Z");

    const auto held = show(approved + 10s);  // the moment of a commit is its own version's
    CHECK(held.text("state") == "suspended");
    CHECK(held.text("reason") == "odd calls");
    CHECK_FALSE(held.json["active"].GetBool());
    CHECK(text(held.json["by"], "reason") == "odd calls");
    CHECK(show(approved + 9999ms).number("version") == 1);

    CHECK(show(approved + 25s).number("version") == 3);
    CHECK(show(approved + 25s).json["authorization_details"].Size() == 1);
    const auto last = show(clock.now());
    CHECK(last.text("state") == "revoked");
    CHECK(last.number("version") == 4);
    // Who knew it by its audience alone sees its own entries of then, and no names.
    CHECK(show(approved, "crm").json["authorization_details"].Size() == 1);
    CHECK(show(approved + 25s, "crm").json["authorization_details"].Size() == 0);
    CHECK_FALSE(show(approved, "crm").json.HasMember("by"));
    CHECK_FALSE(show(approved + 10s, "crm").json.HasMember("reason"));
    CHECK(show(approved + 10s, "erp").text("reason") == "odd calls");

    CHECK(show(approved - 1ms).status == 404);
    CHECK(show(clock.now() + 1ms).status == 400);
    CHECK(show(approved, "stranger").status == 404);
    for (const auto* query : {"?at=", "?at=yesterday", "?at=2030-01-01", "?at=1&at=2"})
        CHECK_MESSAGE(f.get("/missions/" + id + query, f.token("operator")).status == 400, query);
    CHECK(f.get("/missions/0123456789012345678901" + at(approved), f.token("operator")).status ==
          404);
}

TEST_CASE("past its deadline a mission was not active, whenever that was written") {
    manual_clock clock(*from_rfc3339("2030-01-01T00:00:00Z"));
    transmitter_fixture f({}, &clock);
    const auto id = f.create("2030-01-01T00:01:00Z");
    clock.advance(90s);
    const auto show = [&](wall_time t) {
        return f.get("/missions/" + id + at(t), f.token("operator"));
    };
    const auto deadline = *from_rfc3339("2030-01-01T00:01:00Z");
    CHECK(show(deadline - 1ms).json["active"].GetBool());
    CHECK_FALSE(show(deadline).json["active"].GetBool());
    CHECK_FALSE(show(deadline + 5s).json["active"].GetBool());
    CHECK(show(clock.now()).text("state") == "expired");
}

TEST_CASE("a parent's end binds its child from its own moment, however late the child's row") {
    manual_clock clock(*from_rfc3339("2030-01-01T00:00:00Z"));
    transmitter_fixture f({}, &clock);
    const auto parent = f.create("2099-01-01T00:00:00Z");
    const auto made = f.post_json("/missions", child_body(parent), f.token("operator"));
    REQUIRE(made.status == 201);
    const auto child = made.text("mission_id");
    clock.advance(10s);
    const auto end = clock.now();
    REQUIRE(f.lifecycle("operator", parent, "revoke").status == 200);
    clock.advance(10s);
    const auto now = f.get("/missions/" + child, f.token("operator"));
    CHECK(now.text("state") == "cascaded");
    const auto written = committed(f, child, 2);
    const auto show = [&](wall_time t) {
        return f.get("/missions/" + child + at(t), f.token("operator"));
    };
    CHECK(show(end - 1ms).json["active"].GetBool());
    const auto bound = show(end);
    CHECK_FALSE(bound.json["active"].GetBool());
    if (written > end) {
        CHECK(bound.number("version") == 1);
        CHECK(json::find_int(bound.json["bound"], "version") == 2);
        CHECK(text(bound.json["bound"], "state") == "cascaded");
    }
    CHECK(text(now.json["ended"]["by"], "origin") == "family");
}

TEST_CASE("the history of a mission has every version, paged, and names for who sees the whole") {
    transmitter_fixture f;
    const auto id = f.create();
    for (const auto* operation : {"suspend", "resume", "complete"})
        REQUIRE(f.lifecycle("operator", id, operation, {{"reason", operation}}).status == 200);
    const auto all = f.get("/missions/" + id + "/history", f.token("operator"));
    REQUIRE(all.status == 200);
    CHECK(all.text("mission_id") == id);
    const auto& versions = all.json["versions"];
    REQUIRE(versions.Size() == 4);
    const char* states[] = {"active", "suspended", "active", "completed"};
    const char* actions[] = {"mission.create", "lifecycle.suspend", "lifecycle.resume",
                             "lifecycle.complete"};
    for (unsigned i = 0; i < 4; ++i) {
        CHECK(json::find_int(versions[i], "version") == i + 1);
        CHECK(text(versions[i], "state") == states[i]);
        CHECK(text(versions[i]["by"], "action") == actions[i]);
        CHECK(text(versions[i]["by"], "actor") == "operator");
        // The peer's address is for the audit's readers.
        CHECK(text(versions[i]["by"], "origin").find("127.0.0.1") == std::string::npos);
    }
    CHECK(text(versions[3], "reason") == "complete");
    // The entry that is referred to is the audit's.
    const auto seq = *json::find_int(versions[3]["by"], "audit_seq");
    const auto entry =
        f.get("/admin/audit?limit=1&cursor=" + std::to_string(seq - 1), f.token("operator"));
    CHECK(text(entry.json["entries"][0], "target") == id);
    CHECK(json::find_int(entry.json["entries"][0], "version") == 4);

    const auto first = f.get("/missions/" + id + "/history?limit=3", f.token("operator"));
    CHECK(first.json["versions"].Size() == 3);
    const auto rest =
        f.get("/missions/" + id + "/history?limit=3&cursor=" + first.text("next_cursor"),
              f.token("operator"));
    REQUIRE(rest.json["versions"].Size() == 1);
    CHECK(json::find_int(rest.json["versions"][0], "version") == 4);
    CHECK_FALSE(rest.json.HasMember("next_cursor"));

    const auto cut = f.get("/missions/" + id + "/history", f.token("crm"));
    REQUIRE(cut.json["versions"].Size() == 4);
    for (const auto& v : cut.json["versions"].GetArray())
        for (const auto* hidden : {"by", "reason", "authority_revision"})
            CHECK_FALSE(v.HasMember(hidden));
    CHECK(f.get("/missions/" + id + "/history", f.token("stranger")).status == 404);
    CHECK(f.get("/missions/" + id + "/history").status == 401);
    CHECK(f.get("/missions/" + id + "/history", "poor-static-token").status == 403);
    CHECK(f.get("/missions/short/history", f.token("operator")).status == 400);
    for (const auto* query : {"?limit=0", "?limit=1001", "?cursor=x", "?cursor=-1"})
        CHECK_MESSAGE(
            f.get("/missions/" + id + "/history" + query, f.token("operator")).status == 400,
            query);
}

TEST_CASE("who ended a mission, when and why, is part of it") {
    transmitter_fixture f;
    const auto id = f.create();
    CHECK_FALSE(f.get("/missions/" + id, f.token("operator")).json.HasMember("ended"));
    REQUIRE(f.lifecycle("operator", id, "revoke", {{"reason", "over"}}).status == 200);
    const auto whole = f.get("/missions/" + id, f.token("operator"));
    const auto& ended = whole.json["ended"];
    CHECK(text(ended, "state") == "revoked");
    CHECK(text(ended, "reason") == "over");
    CHECK(text(ended, "at") == to_rfc3339(committed(f, id, 2)));
    CHECK(text(ended["by"], "actor") == "operator");
    CHECK(text(ended["by"], "action") == "lifecycle.revoke");
    const auto cut = f.get("/missions/" + id, f.token("crm"));
    CHECK(text(cut.json["ended"], "state") == "revoked");
    for (const auto* hidden : {"by", "reason"})
        CHECK_FALSE(cut.json["ended"].HasMember(hidden));
    for (const auto* hidden : {"family", "reports", "teardown"})
        CHECK_FALSE(cut.json.HasMember(hidden));
}

TEST_CASE("a family is told up to where its approval began, to who may know each of it") {
    transmitter_fixture f([](config& c) {
        // Sees one agent's missions whole: neither the parent's nor anybody else's.
        auto narrow = c.clients.front();
        narrow.id = "narrow";
        narrow.token = "narrow-static-token";
        narrow.missions.what = mission_visibility::kind::listed;
        narrow.missions.agents = {"agent-9"};
        c.clients.push_back(narrow);
    });
    const auto root = f.create();
    const auto middle =
        f.post_json("/missions", child_body(root), f.token("operator")).text("mission_id");
    auto body = child_body(middle);
    body.replace(body.find("agent-7"), 7, "agent-9");
    const auto leaf = f.post_json("/missions", body, f.token("operator")).text("mission_id");
    REQUIRE_FALSE(leaf.empty());

    const auto whole = f.get("/missions/" + leaf, f.token("operator"));
    const auto& family = whole.json["family"];
    CHECK(text(family, "parent") == middle);
    CHECK(text(family, "root") == root);
    CHECK(json::find_int(family, "depth") == 2);
    REQUIRE(family["ancestors"].Size() == 2);
    CHECK(text(family["ancestors"][0], "mission_id") == middle);
    CHECK(text(family["ancestors"][1], "mission_id") == root);
    CHECK(text(family["ancestors"][1]["approver"], "sub") == "alice");
    CHECK(text(family["ancestors"][1], "purpose") == "close the quarter");
    const auto top = f.get("/missions/" + root, f.token("operator"));
    CHECK(text(top.json["family"], "root") == root);
    CHECK(json::find_int(top.json["family"], "children") == 1);
    CHECK(top.json["family"]["ancestors"].Size() == 0);

    const auto narrow = f.get("/missions/" + leaf, "narrow-static-token");
    REQUIRE(narrow.status == 200);
    CHECK(json::find_int(narrow.json["family"], "depth") == 2);
    CHECK(narrow.json["family"]["ancestors"].Size() == 0);
    CHECK_FALSE(narrow.json["family"].HasMember("parent"));
    CHECK_FALSE(narrow.json["family"].HasMember("root"));
    CHECK(narrow.body.find(root) == std::string::npos);
    CHECK(narrow.body.find(middle) == std::string::npos);
    // A cascade's history does not name the cause either.
    REQUIRE(f.lifecycle("operator", root, "revoke").status == 200);
    const auto history = f.get("/missions/" + leaf + "/history", "narrow-static-token");
    CHECK(history.json["versions"].Size() == 2);
    CHECK(history.body.find(middle) == std::string::npos);
}
