#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include "base/limits.hpp"
#include "store/audit.hpp"
#include "tests/transmitter/fixture.hpp"
#include "transmitter/missions/approval.hpp"

using namespace mission;
using namespace mission::transmitter;
using testing::transmitter_fixture;

// Who approved what, when, why and for which actions, as the audit keeps it.

namespace {

std::string text(const json::value& v, std::string_view member) {
    return std::string(json::find_string(v, member).value_or(""));
}

// The entries about a mission, oldest first.
std::vector<json::document> entries_of(transmitter_fixture& f, const std::string& id) {
    std::vector<json::document> out;
    const auto a = f.get("/admin/audit?limit=1000", f.token("operator"));
    REQUIRE(a.status == 200);
    for (const auto& e : a.json["entries"].GetArray())
        if (text(e, "target") == id) {
            out.emplace_back();
            out.back().CopyFrom(e, out.back().GetAllocator());
        }
    return out;
}

const json::value& detail(const json::value& entry) {
    const auto* d = json::find(entry, "detail");
    REQUIRE(d);
    REQUIRE(d->IsObject());
    return *d;
}

std::string successor_body(const std::string& id, std::string_view actions) {
    auto body = json::parse(transmitter_fixture::mission_body());
    auto& memory = body->GetAllocator();
    json::add(*body, "predecessor", id, memory);
    auto list = json::parse(actions);
    (*body)["authorization_details"][1]["actions"].CopyFrom(*list, memory);
    return json::write(*body);
}

}  // namespace

TEST_CASE("an approval is kept with who, why and what; so is a successor's, with what it adds") {
    transmitter_fixture f;
    const auto id = f.create();
    const auto a = f.post_json("/missions", successor_body(id, R"(["contacts.*","deals.close"])"),
                               f.token("operator"));
    REQUIRE(a.status == 201);

    const auto old = entries_of(f, id);
    REQUIRE(old.size() == 2);
    CHECK(text(old[0], "action") == "mission.create");
    CHECK(text(old[0], "actor") == "operator");
    CHECK(text(old[0], "outcome") == "done");
    CHECK(text(old[0], "origin").find("127.0.0.1") != std::string::npos);
    CHECK(text(detail(old[0]), "purpose") == "close the quarter");
    CHECK(text(*json::find(detail(old[0]), "approver"), "sub") == "alice");
    CHECK(json::find_int(detail(old[0]), "added_count") == 2);
    CHECK(text(old[1], "action") == "mission.supersede");
    CHECK(text(detail(old[1]), "successor") == a.text("mission_id"));
    CHECK(json::find_int(old[1], "version") == 2);

    const auto fresh = entries_of(f, a.text("mission_id"));
    REQUIRE(fresh.size() == 1);
    CHECK(text(detail(fresh[0]), "predecessor") == id);
    // Only the entry that the predecessor did not have.
    const auto& added = *json::find(detail(fresh[0]), "added");
    REQUIRE(added.Size() == 1);
    CHECK(text(added[0], "resource") == "https://crm.example");
}

TEST_CASE("a scope change and a refused child are kept with their approver and their outcome") {
    transmitter_fixture f([](config& c) { c.issuers.front().in_place_extension = true; });
    const auto id = f.create();
    const auto scope = [&](std::string_view change, std::string_view end) {
        return f.post_json("/missions/" + id + "/scope",
                           R"({"change":")" + std::string(change) +
                               R"(","approver":{"iss":"https://idp","sub":"carol"},"reason":"why",)"
                               R"("expires_at":")" +
                               std::string(end) + "\"}",
                           f.token("operator"));
    };
    CHECK(scope("extended", "2100-01-01T00:00:00Z").status == 200);
    CHECK(scope("narrowed", "2101-01-01T00:00:00Z").status == 403);
    CHECK(scope("narrowed", "2100-01-01T00:00:00Z").status == 200);
    const auto kept = entries_of(f, id);
    REQUIRE(kept.size() == 4);
    const std::pair<const char*, const char*> expected[] = {
        {"mission.create", "done"},
        {"scope.extend", "done"},
        {"scope.narrow", "refused: extension_not_allowed"},
        {"scope.narrow", "unchanged"}};
    for (std::size_t i = 0; i < 4; ++i) {
        CHECK(text(kept[i], "action") == expected[i].first);
        CHECK(text(kept[i], "outcome") == expected[i].second);
        if (i == 0) continue;
        CHECK(text(*json::find(detail(kept[i]), "approver"), "sub") == "carol");
        CHECK(text(detail(kept[i]), "reason") == "why");
    }

    auto child = json::parse(transmitter_fixture::mission_body("2111-01-01T00:00:00Z"));
    json::add(*child, "parent", id, child->GetAllocator());
    json::add(*child, "mission_id", "refused-child-0123456789", child->GetAllocator());
    CHECK(f.post_json("/missions", json::write(*child), f.token("operator")).status == 403);
    const auto refused = entries_of(f, "refused-child-0123456789");
    REQUIRE(refused.size() == 1);
    CHECK(text(refused[0], "outcome") == "refused: exceeds_authority");
    CHECK(text(detail(refused[0]), "parent") == id);
}

TEST_CASE("of very many added entries the audit keeps the number") {
    std::string set = "[";
    for (int i = 0; i < 400; ++i)
        set += (i ? "," : "") +
               std::string(R"({"type":"mission_resource_access","resource":"https://r)") +
               std::to_string(i) + R"(.example","actions":["a"]})";
    const auto body = json::parse(R"({"purpose":"p","authorization_details":)" + set + "]}");
    REQUIRE(body);
    const auto kept = json::parse(detail_of({&*body, nullptr, {3, 0}}));
    REQUIRE(kept);
    CHECK(json::find_int(*kept, "added_count") == 400);
    CHECK_FALSE(json::find(*kept, "added"));
    CHECK((*kept)["justified_by"].Size() == 2);
}

TEST_CASE("what a request says beside its members is not in the audit, and breaks no line of it") {
    transmitter_fixture f;
    std::string deep = "1";
    for (int i = 0; i < 29; ++i)
        deep = R"({"x":)" + deep + "}";
    auto body = transmitter_fixture::mission_body();
    const std::string alice = R"("sub":"alice")";
    REQUIRE(body.find(alice) != std::string::npos);
    body.replace(body.find(alice), alice.size(), alice + R"(,"more":)" + deep);
    const auto a = f.post_json("/missions", body, f.token("operator"));
    CAPTURE(a.body);
    REQUIRE(a.status == 201);
    const auto id = a.text("mission_id");
    REQUIRE(f.post_json("/missions/" + id + "/scope",
                        R"({"change":"narrowed","approver":{"iss":"https://idp","sub":"carol"},)"
                        R"("reason":"why","expires_at":"2098-01-01T00:00:00Z","purpose":)" +
                            deep + R"(,"subject":{"iss":"https://idp","sub":"mallory"}})",
                        f.token("operator"))
                .status == 200);
    const auto kept = entries_of(f, id);
    REQUIRE(kept.size() == 2);
    const auto& approver = *json::find(detail(kept[0]), "approver");
    CHECK(text(approver, "sub") == "alice");
    CHECK(approver.MemberCount() == 2);
    CHECK_FALSE(json::find(detail(kept[1]), "purpose"));
    CHECK_FALSE(json::find(detail(kept[1]), "subject"));
    CHECK(text(detail(kept[1]), "reason") == "why");
    // An entry of authorization_details is told within signals and the audit: not as deep as a
    // body.
    auto nested = json::parse(transmitter_fixture::mission_body());
    auto value = json::parse(deep);
    auto& memory = nested->GetAllocator();
    json::add((*nested)["authorization_details"][0], "x", json::value(*value, memory), memory);
    const auto refused = f.post_json("/missions", json::write(*nested), f.token("operator"));
    CHECK(refused.status == 400);
    CHECK(refused.text("description").starts_with("/authorization_details/0: "));
    auto proven = transmitter_fixture::mission_body();
    proven.insert(1, R"("evidence":)" + deep + ",");
    const auto evidence = f.post_json("/missions", proven, f.token("operator"));
    CHECK(evidence.status == 400);
    CHECK(evidence.text("description") == "/evidence: nested too deep");
}

TEST_CASE("every line of the audit can be verified, however deep what was approved") {
    transmitter_fixture f;
    auto body = json::parse(transmitter_fixture::mission_body());
    std::string deep = "1";
    for (std::size_t i = 1; i < limits::authorization_details_depth - 1; ++i)
        deep = R"({"x":)" + deep + "}";
    auto value = json::parse(deep);
    auto& memory = body->GetAllocator();
    json::add((*body)["authorization_details"][0], "x", json::value(*value, memory), memory);
    const auto a = f.post_json("/missions", json::write(*body), f.token("operator"));
    CAPTURE(a.body);
    REQUIRE(a.status == 201);
    net::headers h;
    h.set("authorization", "Bearer " + f.token("operator"));
    h.set("accept", "application/x-ndjson");
    const auto lines = f.send("GET", f.url("/admin/audit"), h);
    REQUIRE(lines.status == 200);
    store::audit_verifier verifier(true);
    std::string_view rest = lines.body;
    std::size_t count = 0;
    for (auto end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
        CHECK(verifier.take(rest.substr(0, end)).has_value());
        rest.remove_prefix(end + 1);
        ++count;
    }
    CHECK(count == 1);
}
