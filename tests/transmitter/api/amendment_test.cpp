#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include "tests/transmitter/fixture.hpp"

using namespace mission;
using namespace mission::transmitter;
using testing::answer;
using testing::transmitter_fixture;

// POST /missions/{id}/scope with `change` "extended".

namespace {

void allow(config& c) {
    c.issuers.front().in_place_extension = true;
}

std::string entry(std::string_view resource, std::string_view actions, std::string_view more = "") {
    return R"({"type":"mission_resource_access","resource":")" + std::string(resource) +
           R"(","actions":)" + std::string(actions) + std::string(more) + "}";
}

const std::string cap = R"(,"constraints":{"max_amount":{"amount":"500","currency":"EUR"}})";
const std::string erp = entry("https://erp.example", R"(["invoices.read","invoices.pay"])", cap);
const std::string crm = entry("https://crm.example", R"(["contacts.*"])");
const std::string extra = entry("https://stranger.example", R"(["x"])");

std::string body(std::string_view members, std::string_view change = "extended") {
    return R"({"change":")" + std::string(change) +
           R"(","approver":{"iss":"https://idp","sub":"carol"},"reason":"more to do",)" +
           std::string(members) + "}";
}

std::string details(const std::string& entries) {
    return R"("authorization_details":[)" + entries + "]";
}

answer amend(transmitter_fixture& f, const std::string& id, const std::string& members,
             std::string_view change = "extended") {
    return f.post_json("/missions/" + id + "/scope", body(members, change), f.token("operator"));
}

void check_refused(const answer& a, int status, std::string_view err, std::string_view place) {
    CAPTURE(a.body);
    CHECK(a.status == status);
    CHECK(a.text("err") == err);
    CHECK(a.text("description").starts_with(place));
}

}  // namespace

TEST_CASE("an extension is a version with the wider set; who is named now knows the mission") {
    transmitter_fixture f(allow);
    const auto id = f.create();
    const auto before = f.get("/missions/" + id, f.token("operator"));
    CHECK(f.get("/missions/" + id, f.token("stranger")).status == 404);
    const auto a = amend(
        f, id, details(erp + "," + crm + "," + extra) + R"(,"expires_at":"2100-01-01T00:00:00Z")");
    CAPTURE(a.body);
    REQUIRE(a.status == 200);
    CHECK(a.number("version") == 2);
    CHECK(a.text("state") == "active");
    CHECK(a.text("expires_at") == "2100-01-01T00:00:00Z");
    CHECK(a.text("authority_hash") == before.text("authority_hash"));
    CHECK(a.json["authorization_details"].Size() == 3);
    const auto seen = f.get("/missions/" + id, f.token("stranger"));
    CHECK(seen.status == 200);
    CHECK(seen.json["authorization_details"].Size() == 1);
    // The same again changes nothing.
    CHECK(amend(f, id, details(erp + "," + crm + "," + extra)).number("version") == 2);
}

TEST_CASE("a suspended mission may be amended, and stays suspended") {
    transmitter_fixture f(allow);
    const auto id = f.create();
    f.lifecycle("operator", id, "suspend");
    const auto a = amend(f, id, R"("expires_at":"2100-01-01T00:00:00Z")");
    CHECK(a.status == 200);
    CHECK(a.text("state") == "suspended");
    CHECK(a.number("version") == 3);
    CHECK(amend(f, id, details(crm), "narrowed").text("state") == "suspended");
}

TEST_CASE("an extension takes nothing away, a narrowing adds nothing") {
    transmitter_fixture f(allow);
    const auto id = f.create();
    check_refused(amend(f, id, details(erp + "," + extra)), 400, "invalid_request",
                  "/authorization_details");
    check_refused(amend(f, id, R"("expires_at":"2098-01-01T00:00:00Z")"), 400, "invalid_request",
                  "/expires_at");
    check_refused(
        amend(f, id,
              details(erp + "," + crm + "," + extra) + R"(,"expires_at":"2098-01-01T00:00:00Z")"),
        400, "invalid_request", "/expires_at");
    check_refused(amend(f, id, details(erp + "," + extra), "narrowed"), 403,
                  "extension_not_allowed", "/authorization_details/1");
    check_refused(amend(f, id, R"("expires_at":"2100-01-01T00:00:00Z")", "narrowed"), 403,
                  "extension_not_allowed", "/expires_at");
    CHECK(f.get("/missions/" + id, f.token("operator")).number("version") == 1);
}

TEST_CASE("an amendment is attributed: without an approver or a reason it is none") {
    transmitter_fixture f(allow);
    const auto id = f.create();
    for (const char* member : {"approver", "reason"}) {
        auto parsed = json::parse(body(R"("expires_at":"2100-01-01T00:00:00Z")"));
        parsed->RemoveMember(member);
        check_refused(
            f.post_json("/missions/" + id + "/scope", json::write(*parsed), f.token("operator")),
            400, "invalid_request", "/");
    }
}

TEST_CASE("where the issuer does not extend in place, widening is a successor's") {
    transmitter_fixture f;
    const auto id = f.create();
    check_refused(amend(f, id, details(erp + "," + crm + "," + extra)), 403,
                  "extension_not_allowed", "/change");
    // Who may not know the mission is not told even that.
    const auto hidden =
        f.post_json("/missions/" + id + "/scope", body(R"("expires_at":"2100-01-01T00:00:00Z")"),
                    f.token("stranger"));
    CHECK(hidden.status == 404);
}

TEST_CASE("a child grows within its parent and not beyond") {
    transmitter_fixture f(allow);
    const auto parent = f.create();
    const auto small = entry("https://erp.example", R"(["invoices.read"])", cap);
    auto text = json::parse(transmitter_fixture::mission_body("2098-01-01T00:00:00Z"));
    auto& memory = text->GetAllocator();
    json::add(*text, "parent", parent, memory);
    text->RemoveMember("authorization_details");
    auto set = json::parse("[" + small + "]");
    json::add(*text, "authorization_details", json::value(*set, memory), memory);
    const auto child = f.post_json("/missions", json::write(*text), f.token("operator"));
    CAPTURE(child.body);
    REQUIRE(child.status == 201);
    const auto id = child.text("mission_id");
    check_refused(amend(f, id, details(small + "," + extra)), 403, "exceeds_authority",
                  "/authorization_details/1/resource");
    check_refused(amend(f, id, R"("expires_at":"2099-01-01T00:00:01Z")"), 403, "exceeds_authority",
                  "/expires_at");
    CHECK(amend(f, id, details(erp + "," + crm) + R"(,"expires_at":"2099-01-01T00:00:00Z")")
              .number("version") == 2);
    // First the parent, then the child.
    CHECK(amend(f, parent, details(erp + "," + crm + "," + extra)).status == 200);
    CHECK(amend(f, id, details(erp + "," + crm + "," + extra)).number("version") == 3);
}
