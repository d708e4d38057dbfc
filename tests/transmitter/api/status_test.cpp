#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include "schemas/schemas.hpp"
#include "tests/transmitter/fixture.hpp"

using namespace mission;
using namespace mission::transmitter;
using testing::transmitter_fixture;

namespace {

std::string text(const json::value& v, std::string_view member) {
    return std::string(json::find_string(v, member).value_or(""));
}

}  // namespace

TEST_CASE("a status with an audience carries that audience's entries alone") {
    transmitter_fixture f;
    const auto id = f.create();
    const auto claims = f.claims(f.status("erp", id, {{"audience", "https://erp.example"}}));
    CHECK(schemas::validate("mission-status-claims", claims));
    CHECK(text(claims, "aud") == "https://erp.example");
    CHECK(text(claims, "sub") == "erp");
    REQUIRE(claims.HasMember("authorization_details"));
    REQUIRE(claims["authorization_details"].Size() == 1);
    CHECK(text(claims["authorization_details"][0], "resource") == "https://erp.example");
}

TEST_CASE("a status without an audience is state only, for the client") {
    transmitter_fixture f;
    const auto id = f.create();
    const auto claims = f.claims(f.status("erp", id));
    CHECK(text(claims, "aud") == "erp");
    CHECK_FALSE(claims.HasMember("authorization_details"));
    CHECK(text(claims["mission"], "state") == "active");
    CHECK(text(claims["mission"], "id") == id);
    CHECK(text(claims["mission"], "issuer") == f.issuer());
}

TEST_CASE("fresh_until is at most iat plus the bound") {
    transmitter_fixture f([](config& c) { c.ssf.max_stale = std::chrono::seconds(45); });
    const auto claims = f.claims(f.status("operator", f.create()));
    const auto fresh = from_rfc3339(text(claims["mission"], "fresh_until"));
    REQUIRE(fresh);
    CHECK(to_numeric_date(*fresh) == *json::find_int(claims, "iat") + 45);
    CHECK(*json::find_int(claims, "exp") > *json::find_int(claims, "iat"));
    CHECK(*json::find_int(claims, "iat") <= to_numeric_date(system_clock().now()));
}

TEST_CASE("a status says when its version was committed, whenever it is asked for") {
    transmitter_fixture f;
    const auto before = system_clock().now();
    const auto id = f.create();
    const auto committed_at = [&](const json::document& claims) {
        const auto t = from_rfc3339(text(claims["mission"], "committed_at"));
        REQUIRE(t);
        return *t;
    };
    const auto approved = committed_at(f.claims(f.status("operator", id)));
    CHECK(approved >= before);
    const auto told = committed_at(f.claims(f.lifecycle("operator", id, "revoke")));
    CHECK(told >= approved);
    CHECK(told <= system_clock().now());
    CHECK(committed_at(f.claims(f.status("operator", id))) == told);
    CHECK(committed_at(f.claims(f.status("operator", id))) == told);
}

TEST_CASE("a suspension's deadline is shown while it stands, and only then") {
    transmitter_fixture f;
    const auto id = f.create();
    f.lifecycle("operator", id, "suspend",
                {{"suspend_until", "2098-06-01T00:00:00Z"}, {"on_expiry", "revoke"}});
    auto claims = f.claims(f.status("operator", id));
    CHECK(text(claims["mission"], "suspend_until") == "2098-06-01T00:00:00Z");
    CHECK(text(claims["mission"], "on_expiry") == "revoke");
    f.lifecycle("operator", id, "resume");
    claims = f.claims(f.status("operator", id));
    CHECK_FALSE(claims["mission"].HasMember("suspend_until"));
    CHECK_FALSE(claims["mission"].HasMember("on_expiry"));
}

TEST_CASE("unknown, invisible, ungranted and a foreign audience are one 404, byte for byte") {
    transmitter_fixture f(
        [](config& c) { c.clients[4].missions.what = mission_visibility::kind::all; });
    const auto id = f.create();
    const auto ask = [&](const std::string& client, const std::string& mission,
                         transmitter_fixture::field_list more = {}) {
        more.emplace_back("mission_id", mission);
        more.emplace_back("nonce", "same");
        return f.post_form("/mission/status",
                           f.with_assertion(client, "/mission/status", std::move(more)));
    };
    const auto unknown = ask("operator", "0123456789012345678901");
    CHECK(unknown.status == 404);
    CHECK(unknown.text("error") == "not_found");
    CHECK(unknown.text("nonce") == "same");
    const testing::answer others[] = {
        ask("stranger", id), ask("poor", id), ask("erp", id, {{"audience", "https://crm.example"}}),
        ask("erp", id, {{"audience", ""}}), ask("operator", id, {{"audience", ""}})};
    for (const auto& a : others) {
        CHECK(a.status == unknown.status);
        CHECK(a.body == unknown.body);
    }
}

TEST_CASE("a status needs an assertion for its own URL") {
    transmitter_fixture f;
    const auto id = f.create();
    transmitter_fixture::field_list form{
        {"mission_id", id},
        {"nonce", "n"},
        {"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
        {"client_assertion", f.assertion("erp", f.url("/oauth/token"))}};
    const auto a = f.post_form("/mission/status", form);
    CHECK(a.status == 401);
    CHECK(a.text("error") == "unauthorized");
    CHECK(a.text("nonce") == "n");
    CHECK(f.send("GET", f.url("/mission/status")).status == 405);
}

TEST_CASE("a resource given as a list names each of its audiences, as in a signal") {
    transmitter_fixture f([](config& c) {
        c.missions.accept_unknown_types = true;
        c.clients[1].missions.what = mission_visibility::kind::all;
    });
    auto body = f.mission_body();
    const std::string entry =
        R"({"type":"elsewhere","resource":["https://crm.example","https://erp.example"]})";
    body.insert(body.rfind("]}"), "," + entry);
    const auto a = f.post_json("/missions", body, f.token("operator"));
    CAPTURE(a.body);
    REQUIRE(a.status == 201);
    const auto claims =
        f.claims(f.status("erp", a.text("mission_id"), {{"audience", "https://erp.example"}}));
    REQUIRE(claims["authorization_details"].Size() == 2);
    CHECK(json::write(claims["authorization_details"][1]) == entry);
}

TEST_CASE("who was named once still gets the state after a narrowing, with no entries") {
    transmitter_fixture f;
    const auto id = f.create();
    const auto body =
        R"({"change":"narrowed","approver":{"iss":"i","sub":"s"},"reason":"crm is done",)"
        R"("authorization_details":[{"type":"mission_resource_access",)"
        R"("resource":"https://crm.example","actions":["contacts.read"]}]})";
    REQUIRE(f.post_json("/missions/" + id + "/scope", body, f.token("operator")).status == 200);
    const auto claims = f.claims(f.status("erp", id, {{"audience", "https://erp.example"}}));
    CHECK(claims["authorization_details"].Size() == 0);
    CHECK(*json::find_int(claims["mission"], "version") == 2);
}
