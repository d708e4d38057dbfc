// The other routes: AuthZEN over HTTP, missions by id, operation.
#include "desk.hpp"

using namespace sidecar_test;

namespace {

std::string evaluation(const std::string& mission) {
    return R"({"subject":{"type":"mission","id":")" + mission +
           R"("},"action":{"name":"read"},"resource":{"type":"t","id":"r"}})";
}

}  // namespace

TEST_CASE("an evaluation is asked with POST, and its request id comes back") {
    desk d;
    const auto r =
        d.ask("POST", "/access/v1/evaluation",
              {{"Content-Type", "application/json; charset=utf-8"}, {"X-Request-ID", "bfe9eb29"}},
              evaluation(active_mission));
    CHECK(r.status == 200);
    CHECK(r.fields.get("x-request-id") == "bfe9eb29");
    CHECK(r.fields.get("content-type") == "application/json");
    CHECK((*json::parse(r.body))["decision"].GetBool());
    const auto no = d.ask("GET", "/access/v1/evaluation", {{"X-Request-ID", "1"}});
    CHECK(no.status == 405);
    CHECK(no.fields.get("allow") == "POST");
    CHECK(no.fields.get("x-request-id") == "1");
}

TEST_CASE("a body that cannot be read is 400, with the request id") {
    desk d;
    for (const std::string body : {"", "x", "[]", R"({"subject":{}})"}) {
        const auto r = d.ask("POST", "/access/v1/evaluation", {{"X-Request-ID", "7"}}, body);
        CHECK(r.status == 400);
        CHECK(r.fields.get("x-request-id") == "7");
        CHECK(json::find_string(*json::parse(r.body), "error") == "invalid_request");
    }
    CHECK(d.ask("POST", "/access/v1/evaluation", {{"Content-Type", "text/plain"}},
                evaluation(active_mission))
              .status == 400);
    CHECK(d.ask("POST", "/access/v1/evaluation", {{"X-Request-ID", std::string(300, 'x')}},
                evaluation(active_mission))
              .status == 400);
}

TEST_CASE("only a trusted peer may name missions by itself") {
    desk d;
    CHECK(
        d.ask("POST", "/access/v1/evaluation", {}, evaluation(active_mission), "10.0.0.7").status ==
        403);
    CHECK(d.ask("GET", "/missions/" + active_mission, {}, {}, "10.0.0.7").status == 403);
    CHECK(d.ask("GET", "/healthz", {}, {}, "10.0.0.7").status == 200);
}

TEST_CASE("a batch resolves what is doubtful in it, together") {
    desk d;
    d.s.resolve = true;
    const auto r = d.ask("POST", "/access/v1/evaluations", {},
                         R"({"evaluations":[)" + evaluation(doubtful_mission) + "," +
                             evaluation(doubtful_mission) + "," + evaluation(revoked_mission) +
                             "," + evaluation(stale_mission) + "]}");
    CHECK(r.status == 200);
    const auto body = json::parse(r.body);
    CHECK((*body)["evaluations"][0]["decision"].GetBool());
    CHECK((*body)["evaluations"][1]["decision"].GetBool());
    CHECK_FALSE((*body)["evaluations"][2]["decision"].GetBool());
    CHECK_FALSE((*body)["evaluations"][3]["decision"].GetBool());
    CHECK(d.rx.asked == 2);  // each mission once
}

TEST_CASE("the metadata is there when the public URL is known") {
    desk d;
    CHECK(d.ask("GET", "/.well-known/authzen-configuration").status == 404);
    d.s.public_url = "https://pdp.example";
    d.apply();
    const auto r = d.ask("GET", "/.well-known/authzen-configuration");
    CHECK(r.status == 200);
    CHECK(json::find_string(*json::parse(r.body), "policy_decision_point") ==
          "https://pdp.example");
    CHECK(r.fields.get("cache-control") == "max-age=300");
}

TEST_CASE("a mission is shown with what is known of it") {
    desk d;
    auto r = d.ask("GET", "/missions/" + stale_mission);
    CHECK(r.status == 200);
    auto body = json::parse(r.body);
    CHECK_FALSE((*body)["permitted"].GetBool());
    CHECK(json::find_string(*body, "state") == "active");
    CHECK(json::find_string(*body, "standing") == "stale");
    CHECK(json::find_string(*body, "freshness") == "stale");
    CHECK(json::find_int(*body, "version") == 2);
    r = d.ask("GET", "/missions/" + active_mission);
    body = json::parse(r.body);
    CHECK((*body)["permitted"].GetBool());
    CHECK(json::find_string(*body, "freshness") == "fresh");
    r = d.ask("GET", "/missions/mis_nobody_knows_1234567");
    CHECK(r.status == 200);
    CHECK(json::find_string(*json::parse(r.body), "standing") == "unknown");
    CHECK(d.ask("GET", "/missions/short").status == 400);
    CHECK(d.ask("GET", "/missions/" + active_mission + "/x").status == 404);
    CHECK(d.ask("DELETE", "/missions/" + active_mission).status == 405);
}

TEST_CASE("permits takes a resource and an action, each once") {
    desk d;
    const auto asks = [&](const std::string& query) {
        return d.ask("GET", "/missions/" + active_mission + "/permits?" + query);
    };
    const auto yes = asks("resource=https%3A%2F%2Ferp.example&action=invoices.read");
    CHECK((*json::parse(yes.body))["permitted"].GetBool());
    const auto no = asks("resource=https%3A%2F%2Ferp.example&action=invoices.delete");
    CHECK(json::find_string(*json::parse(no.body), "reason") == "not_granted");
    for (const char* bad : {"", "resource=x", "action=x", "resource=x&action=", "%zz=1",
                            "resource=x&action=y&action=z"})
        CHECK_MESSAGE(asks(bad).status == 400, bad);
}

TEST_CASE("up is not ready: ready is a stream that lives") {
    desk d;
    CHECK(d.ask("GET", "/healthz").status == 200);
    CHECK(d.ask("GET", "/readyz").status == 200);
    d.rx.live = false;
    CHECK(d.ask("GET", "/healthz").status == 200);
    const auto r = d.ask("GET", "/readyz");
    CHECK(r.status == 503);
    CHECK(json::find_string(*json::parse(r.body), "problem") == "nobody answers");
}

TEST_CASE("metrics count decisions by door and reason, behind the host's own") {
    desk d;
    (void)d.verdict({{"X-Mission-Id", active_mission}});
    (void)d.verdict({{"X-Mission-Id", active_mission}});
    (void)d.verdict({}, "unix", "/envoy/x");
    const auto r = d.ask("GET", "/metrics");
    CHECK(r.fields.get("content-type") == "text/plain; version=0.0.4; charset=utf-8");
    CHECK(r.body.starts_with("more 1\n"));
    const auto has = [&](const char* line) { return r.body.find(line) != std::string::npos; };
    CHECK(
        has("mission_sidecar_decisions_total{door=\"auth_request\",decision=\"permit\",reason="
            "\"active\"} 2\n"));
    CHECK(
        has("mission_sidecar_decisions_total{door=\"ext_authz\",decision=\"deny\",reason="
            "\"missing_reference\"} 1\n"));
}

TEST_CASE("nothing else is here") {
    desk d;
    for (const char* path : {"/", "/auth/", "/missions", "/access/v1", "/metrics/x"})
        CHECK_MESSAGE(d.ask("GET", path).status == 404, path);
    CHECK(d.ask("POST", "/healthz").status == 405);
    CHECK(d.ask("POST", "/nothing").status == 404);
}
