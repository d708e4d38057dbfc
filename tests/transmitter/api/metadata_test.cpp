#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include "tests/transmitter/fixture.hpp"

using namespace mission;
using namespace mission::transmitter;
using testing::transmitter_fixture;

TEST_CASE("the metadata names what is there, and nothing else") {
    transmitter_fixture f;
    const auto a = f.get("/.well-known/ssf-configuration");
    REQUIRE(a.status == 200);
    CHECK(a.fields.get("content-type") == "application/json");
    CHECK(a.fields.get("cache-control") == "max-age=300");
    CHECK(a.text("spec_version") == "1_0");
    CHECK(a.text("issuer") == f.issuer());
    CHECK(a.text("jwks_uri") == f.url("/jwks.json"));
    CHECK(a.text("configuration_endpoint") == f.url("/ssf/streams"));
    CHECK(a.text("verification_endpoint") == f.url("/ssf/verify"));
    CHECK(a.text("mission_status_endpoint") == f.url("/mission/status"));
    CHECK(a.text("mission_lifecycle_endpoint") == f.url("/mission/lifecycle"));
    CHECK(a.text("mission_management_endpoint") == f.url("/mission/manage"));
    CHECK(a.text("mission_event_stream_endpoint") == f.url("/.well-known/ssf-configuration"));
    CHECK(a.number("mission_max_stale_seconds") == 90);
    CHECK(a.text("default_subjects") == "ALL");
    CHECK(a.json["delivery_methods_supported"].Size() == 2);
    CHECK(a.text("status_endpoint") == f.url("/ssf/status"));
    CHECK(a.text("add_subject_endpoint") == f.url("/ssf/subjects/add"));
    CHECK(a.text("remove_subject_endpoint") == f.url("/ssf/subjects/remove"));
    CHECK_FALSE(a.json.HasMember("critical_subject_members"));
    for (const auto& m : a.json.GetObject())
        if (m.value.IsArray()) CHECK(m.value.Size() > 0);
    const auto& methods = a.json["mission_status_endpoint_auth_methods_supported"];
    REQUIRE(methods.Size() == 2);
    CHECK(json::view(methods[0]) == "private_key_jwt");
    CHECK(json::view(methods[1]) == "access_token");
}

TEST_CASE("both documents have the members of the mission endpoints, with the same values") {
    transmitter_fixture f;
    for (const std::string document :
         {"/.well-known/ssf-configuration", "/.well-known/oauth-authorization-server"}) {
        CAPTURE(document);
        const auto a = f.get(document);
        REQUIRE(a.status == 200);
        const auto list = [&](const std::string& name) {
            const auto* found = json::find(a.json, name);
            return found ? json::write(*found) : std::string();
        };
        for (const auto& [name, path] :
             {std::pair{"status", "/mission/status"}, std::pair{"lifecycle", "/mission/lifecycle"},
              std::pair{"management", "/mission/manage"}}) {
            const auto endpoint = "mission_" + std::string(name) + "_endpoint";
            CHECK(a.text(endpoint) == f.url(path));
            CHECK(list(endpoint + "_auth_methods_supported") ==
                  R"(["private_key_jwt","access_token"])");
            const auto algs = list(endpoint + "_auth_signing_alg_values_supported");
            CHECK(algs.find("\"ES256\"") != std::string::npos);
            CHECK(algs.find("none") == std::string::npos);
            CHECK(algs.find("HS") == std::string::npos);
        }
        CHECK(list("mission_status_signing_alg_values_supported") == R"(["ES256"])");
        CHECK(a.number("mission_max_stale_seconds") == 90);
        CHECK(a.text("mission_event_stream_endpoint") == f.url("/.well-known/ssf-configuration"));
    }
    // Each of the three is a resource of its own, with its own scope (RFC 9728).
    for (const auto& [path, scope] : {std::pair{"/mission/status", "mission_status"},
                                      std::pair{"/mission/lifecycle", "mission_lifecycle"},
                                      std::pair{"/mission/manage", "mission_management"}}) {
        const auto a = f.get("/.well-known/oauth-protected-resource" + std::string(path));
        CHECK(a.text("resource") == f.url(path));
        REQUIRE(a.json["scopes_supported"].Size() == 1);
        CHECK(json::view(a.json["scopes_supported"][0]) == scope);
    }
}

TEST_CASE("the bridge's critical members are named when a client uses it") {
    transmitter_fixture f([](config& c) { c.clients.front().caep_bridge = "session"; });
    const auto a = f.get("/.well-known/ssf-configuration");
    REQUIRE(a.json.HasMember("critical_subject_members"));
    const auto& members = a.json["critical_subject_members"];
    REQUIRE(members.Size() == 2);
    CHECK(json::view(members[0]) == "session");
    CHECK(json::view(members[1]) == "application");
}

TEST_CASE("default_subjects is what everybody gets, and is left out when clients differ") {
    transmitter_fixture none([](config& c) { c.ssf.default_subjects_all = false; });
    CHECK(none.get("/.well-known/ssf-configuration").text("default_subjects") == "NONE");
    transmitter_fixture mixed([](config& c) { c.clients.front().default_subjects_all = false; });
    CHECK_FALSE(mixed.get("/.well-known/ssf-configuration").json.HasMember("default_subjects"));
}

TEST_CASE("an issuer with a path has the well-known string before it, and all else below it") {
    transmitter_fixture f([](config& c) {
        c.issuers.front().url += "/tenant/a";
        c.issuers.front().path = "/tenant/a";
    });
    const auto origin = f.issuer().substr(0, f.issuer().size() - 9);
    const auto a = f.send("GET", origin + "/.well-known/ssf-configuration/tenant/a");
    REQUIRE(a.status == 200);
    CHECK(a.text("issuer") == f.issuer());
    CHECK(a.text("jwks_uri") == f.issuer() + "/jwks.json");
    CHECK(f.send("GET", origin + "/.well-known/ssf-configuration").status == 404);
    CHECK(f.send("GET", origin + "/.well-known/oauth-authorization-server/tenant/a").status == 200);
    CHECK(f.get("/jwks.json").status == 200);
    CHECK(f.get("/missions", f.token("operator")).status == 200);
    const auto id = f.create();
    CHECK(f.status("operator", id).status == 200);
}

TEST_CASE("two issuers in one process share nothing") {
    transmitter_fixture f([](config& c) {
        auto second = c.issuers.front();
        second.url += "/b";
        second.path = "/b";
        c.issuers.push_back(second);
        auto twin = c.clients.front();
        twin.issuer = second.url;
        c.clients.push_back(twin);
    });
    const auto id = f.create();
    CHECK(f.get("/b/missions/" + id, f.token("operator")).status == 401);
    CHECK(f.get("/jwks.json").body != f.get("/b/jwks.json").body);
    const auto a = f.post_form(
        "/b/oauth/token",
        f.with_assertion("operator", "/b/oauth/token", {{"grant_type", "client_credentials"}}));
    REQUIRE(a.status == 200);
    CHECK(f.get("/b/missions/" + id, a.text("access_token")).status == 404);
    CHECK(f.get("/missions/" + id, a.text("access_token")).status == 401);
}

TEST_CASE("keys, authorization server and protected resource are published without a token") {
    transmitter_fixture f([](config& c) { c.auth.allow_bearer = true; });
    const auto keys = f.get("/jwks.json");
    CHECK(keys.fields.get("cache-control") == "max-age=300");
    CHECK(keys.json["keys"].Size() == 4);  // current and next of each algorithm
    const auto as = f.get("/.well-known/oauth-authorization-server");
    CHECK(as.text("issuer") == f.issuer());
    CHECK(as.text("token_endpoint") == f.url("/oauth/token"));
    const auto resource = f.get("/.well-known/oauth-protected-resource");
    CHECK(resource.text("resource") == f.issuer());
    const auto status = f.get("/.well-known/oauth-protected-resource/mission/status");
    CHECK(status.text("resource") == f.url("/mission/status"));
}

TEST_CASE("health, readiness and metrics are on the admin listener, in plain HTTP for loopback") {
    transmitter_fixture f;
    f.create();
    f.get("/missions", "x");
    CHECK(f.send("GET", f.admin_url("/healthz")).status == 200);
    CHECK(f.send("GET", f.admin_url("/readyz")).status == 200);
    const auto a = f.send("GET", f.admin_url("/metrics"));
    REQUIRE(a.status == 200);
    CHECK(a.fields.get("content-type").starts_with("text/plain; version=0.0.4"));
    CHECK(a.body.find("mission_http_answers_total{route=\"/missions\",status=\"201\"} 1") !=
          std::string::npos);
    CHECK(a.body.find("mission_http_answers_total{route=\"/missions\",status=\"401\"} 1") !=
          std::string::npos);
    CHECK(a.body.find("mission_log_head_seq 1") != std::string::npos);
    CHECK(a.body.find("mission_store_healthy 1") != std::string::npos);
    CHECK(f.send("GET", f.admin_url("/missions")).status == 404);
}
