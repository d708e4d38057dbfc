#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include <map>
#include <set>

#include "base/limits.hpp"
#include "tests/transmitter/fixture.hpp"
#include "transmitter/missions/commit.hpp"

using namespace mission;
using namespace mission::transmitter;
using action = report_rule_config::action;
using testing::answer;
using testing::transmitter_fixture;

namespace {

report_rule_config rule(std::string name, std::string kind, action what) {
    report_rule_config out;
    out.name = std::move(name);
    out.kind = std::move(kind);
    out.what = what;
    return out;
}

std::string body_of(std::string_view kind, std::string_view detail = "as planned") {
    return R"({"kind":")" + std::string(kind) + R"(","detail":")" + std::string(detail) + "\"}";
}

answer report(transmitter_fixture& f, const std::string& client, const std::string& id,
              std::string_view kind) {
    return f.post_json("/missions/" + id + "/reports", body_of(kind), f.token(client));
}

answer report_with_key(transmitter_fixture& f, const std::string& id, std::string body,
                       const std::string& key) {
    net::headers fields;
    fields.set("content-type", "application/json");
    fields.set("authorization", "Bearer " + f.token("erp"));
    fields.set("idempotency-key", key);
    return f.send("POST", f.url("/missions/" + id + "/reports"), std::move(fields),
                  std::move(body));
}

// The mission's audit entries of that action.
std::vector<json::document> audit(transmitter_fixture& f, const std::string& id,
                                  std::string_view action) {
    const auto a = f.get("/admin/audit?limit=1000&mission=" + id, f.token("operator"));
    REQUIRE(a.status == 200);
    std::vector<json::document> out;
    for (const auto& e : a.json["entries"].GetArray())
        if (json::find_string(e, "action") == action) {
            out.emplace_back();
            out.back().CopyFrom(e, out.back().GetAllocator());
        }
    return out;
}

std::string text(const json::value& v, std::string_view member) {
    return std::string(json::find_string(v, member).value_or(""));
}

std::string state_of(transmitter_fixture& f, const std::string& id) {
    return f.get("/missions/" + id, f.token("operator")).text("state");
}

}  // namespace

TEST_CASE("who may know a mission may report on it; for others it is not there") {
    transmitter_fixture f;
    const auto id = f.create();
    const auto a = report(f, "erp", id, "completed");
    REQUIRE(a.status == 202);
    CHECK(a.text("mission_id") == id);
    CHECK(a.text("status") == "open");  // no rule: an operator decides
    CHECK(a.text("state") == "active");
    CHECK(a.text("report_id").size() == 12);
    CHECK(a.fields.get("cache-control") == "no-store");
    CHECK(state_of(f, id) == "active");

    const auto invisible = report(f, "stranger", id, "completed");
    const auto unknown = report(f, "stranger", "0123456789012345678901", "completed");
    CHECK(invisible.status == 404);
    CHECK(unknown.status == 404);
    CHECK(invisible.body == unknown.body);
    CHECK(f.get("/missions/" + id + "/reports", f.token("stranger")).body == unknown.body);
    CHECK(f.post_json("/missions/" + id + "/reports", body_of("completed"), "poor-static-token")
              .status == 403);
    CHECK(f.post_json("/missions/" + id + "/reports", body_of("completed")).status == 401);
    CHECK(f.get("/missions/" + id + "/reports", "poor-static-token").status == 403);
    CHECK(f.get("/missions/" + id + "/reports").status == 401);
}

TEST_CASE("either mission scope is enough to report, and mission.read alone to read reports") {
    transmitter_fixture f([](config& c) {
        for (auto& client : c.clients) {
            if (client.id == "erp") client.scopes = {"mission.read"};
            if (client.id == "crm") client.scopes = {"mission.write"};
        }
    });
    const auto id = f.create();
    CHECK(report(f, "erp", id, "completed").status == 202);
    CHECK(report(f, "crm", id, "completed").status == 202);
    CHECK(f.get("/missions/" + id + "/reports", f.token("erp")).status == 200);
    CHECK(f.get("/missions/" + id + "/reports", f.token("crm")).status == 403);
}

TEST_CASE("completed completes by a rule, and the audit names the rule and the reporter") {
    transmitter_fixture f([](config& c) {
        c.report_rules.push_back(rule("finish", "completed", action::complete));
        c.report_rules.back().clients = {"erp"};
    });
    const auto id = f.create();
    CHECK(report(f, "crm", id, "completed").text("status") == "open");
    CHECK(state_of(f, id) == "active");
    const auto a = report(f, "erp", id, "completed");
    REQUIRE(a.status == 202);
    CHECK(a.text("status") == "acted");
    CHECK(a.text("state") == "completed");
    CHECK(a.number("version") == 2);
    CHECK(state_of(f, id) == "completed");

    const auto done = audit(f, id, "lifecycle.complete");
    REQUIRE(done.size() == 1);
    CHECK(text(done[0], "actor") == "");
    CHECK(text(done[0], "origin") == "rule finish");
    CHECK(text(done[0], "outcome") == "done");
    CHECK(json::find_int(done[0], "version") == 2);
    CHECK(text(done[0]["detail"], "report") == a.text("report_id"));
    CHECK(text(done[0]["detail"], "reporter") == "erp");
    const auto reports = audit(f, id, "mission.report");
    REQUIRE(reports.size() == 2);
    CHECK(text(reports[1], "actor") == "erp");
    CHECK(text(reports[1]["detail"], "report") == a.text("report_id"));
    // What receivers are told: by policy, and why.
    REQUIRE(f.running().db().read_now([&](const store::rows& rows) {
        const auto row = rows.find_row(store::issuer_id{1}, id);
        const auto signals = rows.mission_signals(*row);
        REQUIRE(signals.size() == 2);
        CHECK(recorded_change(signals[1])->initiating_entity == "policy");
    }));
}

TEST_CASE("anomaly suspends for review, for the time that the rule says") {
    transmitter_fixture f([](config& c) {
        c.report_rules.push_back(rule("review", "anomaly", action::suspend));
        c.report_rules.back().suspend_for = std::chrono::hours(1);
        c.report_rules.back().on_expiry = "revoke";
    });
    const auto id = f.create();
    CHECK(report(f, "erp", id, "anomaly").text("status") == "acted");
    const auto m = f.get("/missions/" + id, f.token("operator"));
    CHECK(m.text("state") == "suspended");
    CHECK(m.text("on_expiry") == "revoke");
    CHECK_FALSE(m.text("suspend_until").empty());
    CHECK(m.text("reason") == "reported: anomaly");
}

TEST_CASE("a report never widens: a hold without an end stays one") {
    transmitter_fixture f([](config& c) {
        c.report_rules.push_back(rule("review", "anomaly", action::suspend));
        c.report_rules.back().suspend_for = std::chrono::seconds(1);
        c.report_rules.back().on_expiry = "resume";
    });
    const auto id = f.create();
    REQUIRE(f.lifecycle("operator", id, "suspend").status == 200);
    const auto a = report(f, "erp", id, "anomaly");
    CHECK(a.text("status") == "acted");
    CHECK(a.number("version") == 2);
    const auto m = f.get("/missions/" + id, f.token("operator"));
    CHECK(m.text("state") == "suspended");
    CHECK_FALSE(m.json.HasMember("suspend_until"));
    const auto entries = audit(f, id, "lifecycle.suspend");
    REQUIRE(entries.size() == 2);
    CHECK(text(entries[1], "outcome") == "unchanged");
    CHECK(text(entries[1], "origin") == "rule review");
    // More authority is nobody's to give but a person's.
    CHECK(report(f, "erp", id, "extension_requested").text("status") == "open");
}

TEST_CASE("a report about a mission that has ended changes nothing") {
    transmitter_fixture f(
        [](config& c) { c.report_rules.push_back(rule("finish", "completed", action::complete)); });
    const auto done = f.create(), revoked = f.create();
    REQUIRE(f.lifecycle("operator", done, "complete").status == 200);
    REQUIRE(f.lifecycle("operator", revoked, "revoke").status == 200);
    const auto same = report(f, "operator", done, "completed");
    CHECK(same.text("status") == "acted");
    CHECK(same.number("version") == 2);
    CHECK(text(same.json["decision"], "outcome") == "unchanged");
    const auto other = report(f, "operator", revoked, "completed");
    REQUIRE(other.status == 202);
    CHECK(other.text("status") == "open");
    CHECK(other.text("state") == "revoked");
    CHECK(text(other.json["decision"], "outcome") == "refused: mission_conflict");
    CHECK(text(audit(f, revoked, "lifecycle.complete")[0], "outcome") ==
          "refused: mission_conflict");
    // Has everybody stopped?
    CHECK(report(f, "erp", revoked, "teardown").text("status") == "acted");
    const auto m = f.get("/missions/" + revoked, f.token("operator"));
    REQUIRE(m.json["teardown"].Size() == 1);
    CHECK(text(m.json["teardown"][0], "client_id") == "erp");
    CHECK(json::find_int(m.json["reports"], "open") == 1);
    CHECK(json::find_int(m.json["reports"], "acted") == 0);
}

TEST_CASE("on a mirror reports are kept, and rules and operators leave the mission to its owner") {
    transmitter_fixture f([](config& c) {
        c.issuers.front().mirror = true;
        c.report_rules.push_back(rule("finish", "completed", action::complete));
    });
    const auto id = f.create();
    const auto a = report(f, "erp", id, "completed");
    REQUIRE(a.status == 202);
    CHECK(a.text("status") == "open");
    CHECK(a.text("state") == "active");
    CHECK(f.post_json("/admin/reports/" + a.text("report_id"),
                      R"({"decision":"complete","reason":"done"})", f.token("operator"))
              .status == 409);
    CHECK(state_of(f, id) == "active");
    CHECK(f.post_json("/admin/reports/" + a.text("report_id"),
                      R"({"decision":"dismiss","reason":"told its owner"})", f.token("operator"))
              .status == 200);
}

TEST_CASE("a report about a child is judged by what its parent has done") {
    transmitter_fixture f([](config& c) {
        c.report_rules.push_back(rule("finish", "completed", action::complete));
        c.report_rules.push_back(rule("review", "anomaly", action::suspend));
    });
    const auto parent = f.create();
    auto body = transmitter_fixture::mission_body("2098-01-01T00:00:00Z");
    body.pop_back();
    const auto child_of = [&] {
        return f
            .post_json("/missions", body + R"(,"parent":")" + parent + "\"}", f.token("operator"))
            .text("mission_id");
    };
    const auto child = child_of(), other = child_of();
    REQUIRE(f.lifecycle("operator", parent, "suspend").status == 200);
    // Held by its parent already: its own hold is recorded beneath, and the lift leaves it held.
    CHECK(report(f, "erp", child, "anomaly").text("status") == "acted");
    REQUIRE(f.lifecycle("operator", parent, "resume").status == 200);
    CHECK(state_of(f, child) == "suspended");
    CHECK(state_of(f, other) == "active");
    REQUIRE(f.lifecycle("operator", parent, "revoke").status == 200);
    const auto late = report(f, "erp", other, "completed");
    CHECK(late.text("state") == "cascaded");
    CHECK(late.text("status") == "open");
}

TEST_CASE("a report that is sent again is one report, also after a restart") {
    transmitter_fixture f([](config& c) {
        c.store_url = "sqlite:" + c.signing_directory + ".db";
        c.report_rules.push_back(rule("finish", "completed", action::complete));
    });
    const auto id = f.create();
    const auto first = report_with_key(f, id, body_of("completed"), "k1");
    REQUIRE(first.status == 202);
    CHECK(report_with_key(f, id, body_of("completed"), "k1").body == first.body);
    f.restart();
    CHECK(report_with_key(f, id, R"({"detail":"as planned", "kind":"completed"})", "k1").body ==
          first.body);
    CHECK(report_with_key(f, id, body_of("failed"), "k1").status == 400);
    CHECK(f.get("/missions/" + id + "/reports", f.token("erp")).json["reports"].Size() == 1);
    // Its name is the same after a restart as well.
    CHECK(text(f.get("/missions/" + id + "/reports", f.token("erp")).json["reports"][0],
               "report_id") == first.text("report_id"));
    CHECK(report_with_key(f, id, body_of("completed"), "k2").text("report_id") !=
          first.text("report_id"));
}

TEST_CASE("evidence is a JWS of a key of the client's own") {
    transmitter_fixture f;
    const auto id = f.create();
    const auto send = [&](const std::string& client, const std::string& evidence) {
        return f.post_json(
            "/missions/" + id + "/reports",
            R"({"kind":"completed","detail":{"paid":7},"evidence":")" + evidence + "\"}",
            f.token(client));
    };
    const auto signed_by = [&](const std::string& client, std::string_view typ) {
        return *jose::sign_compact(f.key_of(client), typ, R"({"paid":7})");
    };
    CHECK(send("erp", signed_by("erp", "JWT")).status == 202);
    CHECK(send("erp", signed_by("erp", "application/odd")).status == 202);
    CHECK(send("erp", signed_by("stranger", "JWT")).status == 400);
    CHECK(send("crm", signed_by("erp", "JWT")).status == 400);  // it has no key here
    auto broken = signed_by("erp", "JWT");
    broken[broken.size() / 2] = broken[broken.size() / 2] == 'A' ? 'B' : 'A';
    CHECK(send("erp", broken).status == 400);
    CHECK(send("erp", "no.jws").status == 400);
    CHECK(send("erp", "eyJhbGciOiJub25lIn0.e30.").status == 400);
    const auto list = f.get("/missions/" + id + "/reports", f.token("operator"));
    REQUIRE(list.json["reports"].Size() == 2);
    const auto& shown = list.json["reports"][0];
    CHECK(json::find_int(shown["detail"], "paid") == 7);
    CHECK(jose::parse_compact(text(shown, "evidence")));
    const auto refused = audit(f, id, "mission.report");
    CHECK(refused.size() >= 2);
}

TEST_CASE("a receiver's teardown statement says what its report says, or is refused") {
    transmitter_fixture f;
    const auto id = f.create();
    const std::string detail = R"({"version":2,"complete":true,"total":1})";
    const auto statement = [&](const std::string& changed, const std::string& value) {
        std::map<std::string, std::string> claims{{"iss", R"("erp")"},
                                                  {"sub", R"("erp")"},
                                                  {"aud", '"' + f.url("") + '"'},
                                                  {"iat", "1"},
                                                  {"mission_id", '"' + id + '"'},
                                                  {"kind", R"("teardown")"},
                                                  {"detail", detail}};
        if (!changed.empty()) claims[changed] = value;
        std::string payload;
        for (const auto& [name, text_of] : claims)
            payload += (payload.empty() ? "{\"" : ",\"") + name + "\":" + text_of;
        return *jose::sign_compact(f.key_of("erp"), "mission-teardown-report+jwt", payload + "}");
    };
    const auto send = [&](const std::string& kind, const std::string& evidence) {
        return f
            .post_json("/missions/" + id + "/reports",
                       R"({"kind":")" + kind + R"(","detail":)" + detail + R"(,"evidence":")" +
                           evidence + "\"}",
                       f.token("erp"))
            .status;
    };
    CHECK(send("teardown", statement("iss", R"("crm")")) == 400);
    CHECK(send("teardown", statement("sub", R"("crm")")) == 400);
    CHECK(send("teardown", statement("aud", R"("https://other.example")")) == 400);
    CHECK(send("teardown", statement("mission_id", R"("0123456789012345678901")")) == 400);
    CHECK(send("teardown", statement("detail", R"({"version":2,"complete":true})")) == 400);
    CHECK(send("teardown", statement("iat", R"("now")")) == 400);
    CHECK(send("completed", statement("", "")) == 400);
    CHECK(send("teardown", statement("", "")) == 202);
}

TEST_CASE("a mission that has ended shows who has stopped, who has not and who says nothing") {
    transmitter_fixture f;
    const auto id = f.create();
    const auto stream = [&](const std::string& client) {
        return f.post_json(
            "/ssf/streams",
            R"({"events_requested":[")" +
                std::string("https://schemas.karlmcguinness.com/mission/lifecycle-change") +
                R"("]})",
            f.token(client));
    };
    REQUIRE(stream("erp").status == 201);
    REQUIRE(stream("crm").status == 201);
    const auto shown = [&](const std::string& client) {
        const auto whole = f.get("/missions/" + id, f.token("operator"));
        for (const auto& s : whole.json["streams"].GetArray())
            if (text(s, "client_id") == client) return text(s, "teardown");
        return std::string("no stream");
    };
    const auto says = [&](const std::string& client, const std::string& detail) {
        return f
            .post_json("/missions/" + id + "/reports",
                       R"({"kind":"teardown","detail":)" + detail + "}", f.token(client))
            .status;
    };
    CHECK(shown("erp") == "");  // it still lives: there is nothing to tear down
    CHECK(says("crm", R"({"version":1,"complete":true})") == 202);
    REQUIRE(f.lifecycle("operator", id, "revoke").status == 200);
    CHECK(shown("erp") == "not_reported");
    CHECK(shown("crm") == "outdated");
    CHECK(says("erp", R"({"version":2,"complete":false,"unconfirmed":1})") == 202);
    CHECK(shown("erp") == "incomplete");
    CHECK(says("erp", R"({"version":2,"complete":true,"unconfirmed":0})") == 202);
    CHECK(shown("erp") == "complete");
    CHECK(says("crm", R"("all gone")") == 202);
    CHECK(shown("crm") == "reported");
    const auto whole = f.get("/missions/" + id, f.token("operator"));
    const auto& list = whole.json["teardown"];
    REQUIRE(list.Size() == 2);
    CHECK(text(list[1], "client_id") == "erp");
    CHECK(text(list[1], "status") == "complete");
    CHECK(list[1]["verified"].IsFalse());
}

TEST_CASE("what is no report is refused") {
    transmitter_fixture f;
    const auto id = f.create();
    const auto path = "/missions/" + id + "/reports";
    const auto token = f.token("erp");
    const std::string large(limits::report_detail_bytes, 'x');
    for (const auto& body :
         {std::string("{}"), std::string("[]"), std::string("not json"), body_of("resumed"),
          std::string(R"({"kind":"completed"})"), std::string(R"({"kind":"completed","detail":7})"),
          std::string(R"({"kind":"completed","detail":"x","evidence":7})"),
          body_of("failed", large), R"({"kind":"failed","detail":{"a":")" + large + "\"}}"})
        CHECK_MESSAGE(f.post_json(path, body, token).status == 400, body.substr(0, 60));
    CHECK(f.post_json("/missions/short/reports", body_of("failed"), token).status == 400);
    net::headers fields;
    fields.set("content-type", "text/plain");
    fields.set("authorization", "Bearer " + token);
    CHECK(f.send("POST", f.url(path), std::move(fields), body_of("failed")).status == 415);
    CHECK(f.post_json(path, std::string(2u << 20, ' '), token).status == 413);
    CHECK(f.get(path, token).json["reports"].Size() == 0);
    for (const auto* query : {"?limit=0", "?limit=101", "?limit=x", "?cursor=x", "?cursor="})
        CHECK_MESSAGE(f.get(path + query, token).status == 400, query);
}

TEST_CASE("no detail of a report is too deep for who reads the lists it stands in") {
    transmitter_fixture f;
    const auto id = f.create();
    std::string deep = "{}";
    for (std::size_t i = 1; i < limits::json_depth; ++i) {
        const auto a = f.post_json("/missions/" + id + "/reports",
                                   R"({"kind":"teardown","detail":)" + deep + "}", f.token("erp"));
        CAPTURE(i);
        CHECK(a.status == (i <= limits::report_detail_depth ? 202 : 400));
        deep = R"({"x":)" + deep + "}";
    }
    for (const auto& path :
         {"/missions/" + id, "/missions/" + id + "/reports", std::string("/admin/reports")}) {
        const auto a = f.get(path, f.token("operator"));
        CHECK(a.status == 200);
        CHECK_MESSAGE(json::parse(a.body).has_value(), path);
    }
}

TEST_CASE("who sees the whole mission sees all reports, others their own") {
    transmitter_fixture f;
    const auto id = f.create();
    std::set<std::string> made;
    for (int i = 0; i < 3; ++i)
        made.insert(report(f, "erp", id, "failed").text("report_id"));
    made.insert(report(f, "crm", id, "anomaly").text("report_id"));
    REQUIRE(made.size() == 4);
    const auto path = "/missions/" + id + "/reports";
    const auto own = f.get(path, f.token("crm"));
    REQUIRE(own.json["reports"].Size() == 1);
    CHECK(text(own.json["reports"][0], "client_id") == "crm");
    std::set<std::string> seen;
    std::string query = "?limit=3";
    for (int pages = 0; pages < 3; ++pages) {
        const auto a = f.get(path + query, f.token("operator"));
        REQUIRE(a.status == 200);
        for (const auto& r : a.json["reports"].GetArray())
            CHECK(seen.insert(text(r, "report_id")).second);
        if (a.text("next_cursor").empty()) break;
        query = "?limit=3&cursor=" + a.text("next_cursor");
    }
    CHECK(seen == made);
    const auto other = f.create();
    const auto foreign = report(f, "operator", other, "failed").text("report_id");
    CHECK(f.get(path + "?cursor=" + foreign, f.token("operator")).status == 400);
}

TEST_CASE("an operator turns a report into an operation, once, and it is the operator's") {
    transmitter_fixture f;
    const auto id = f.create();
    const auto r = report(f, "erp", id, "completed").text("report_id");
    const auto decide = [&](const std::string& report_id, std::string_view decision) {
        return f.post_json(
            "/admin/reports/" + report_id,
            R"({"decision":")" + std::string(decision) + R"(","reason":"the books are closed"})",
            f.token("operator"));
    };
    CHECK(decide(r, "resume").status == 400);
    CHECK(decide("rAAAAAAAAAAA", "complete").status == 404);
    CHECK(decide("nonsense", "complete").status == 404);
    CHECK(f.post_json("/admin/reports/" + r, R"({"decision":"complete"})", f.token("operator"))
              .status == 400);
    CHECK(f.post_json("/admin/reports/" + r, R"({"decision":"complete","reason":"x"})",
                      "poor-static-token")
              .status == 403);
    const auto done = decide(r, "complete");
    REQUIRE(done.status == 200);
    CHECK(done.text("status") == "acted");
    CHECK(text(done.json["decision"], "client_id") == "operator");
    CHECK(text(done.json["decision"], "reason") == "the books are closed");
    CHECK(state_of(f, id) == "completed");
    CHECK(decide(r, "complete").status == 409);
    CHECK(decide(r, "dismiss").status == 409);
    const auto entries = audit(f, id, "lifecycle.complete");
    REQUIRE(entries.size() == 1);
    CHECK(text(entries[0], "actor") == "operator");
    CHECK(text(entries[0]["detail"], "report") == r);
    CHECK(text(entries[0]["detail"], "reporter") == "erp");
    CHECK(text(entries[0]["detail"], "reason") == "the books are closed");
}

TEST_CASE("a decision that the mission does not allow leaves the report open; dismissing ends it") {
    transmitter_fixture f;
    const auto id = f.create();
    const auto r = report(f, "erp", id, "completed").text("report_id");
    REQUIRE(f.lifecycle("operator", id, "revoke").status == 200);
    const auto post = [&](std::string_view decision) {
        return f.post_json("/admin/reports/" + r,
                           R"({"decision":")" + std::string(decision) + R"(","reason":"late"})",
                           f.token("operator"));
    };
    CHECK(post("complete").status == 409);
    CHECK(text(audit(f, id, "lifecycle.complete")[0], "outcome") == "refused: mission_conflict");
    const auto open = f.get("/admin/reports?status=open", f.token("operator"));
    REQUIRE(open.json["reports"].Size() == 1);
    CHECK(text(open.json["reports"][0], "report_id") == r);
    CHECK(post("dismiss").text("status") == "dismissed");
    CHECK(f.get("/admin/reports?status=open", f.token("operator")).json["reports"].Size() == 0);
    CHECK(f.get("/admin/reports?status=dismissed", f.token("operator")).json["reports"].Size() ==
          1);
    CHECK(audit(f, id, "report.dismiss").size() == 1);
}

TEST_CASE("the inbox is paged over all missions") {
    transmitter_fixture f;
    std::set<std::string> made, seen;
    const auto a = f.create(), b = f.create();
    for (int i = 0; i < 3; ++i)
        for (const auto& id : {a, b})
            made.insert(report(f, "erp", id, "failed").text("report_id"));
    std::string query = "?limit=4";
    for (int pages = 0; pages < 3; ++pages) {
        const auto page = f.get("/admin/reports" + query, f.token("operator"));
        REQUIRE(page.status == 200);
        for (const auto& r : page.json["reports"].GetArray())
            CHECK(seen.insert(text(r, "report_id")).second);
        if (page.text("next_cursor").empty()) break;
        query = "?limit=4&cursor=" + page.text("next_cursor");
    }
    CHECK(seen == made);
    for (const auto* wrong : {"?status=odd", "?limit=0", "?limit=1001", "?cursor=1", "?cursor="})
        CHECK_MESSAGE(
            f.get(std::string("/admin/reports") + wrong, f.token("operator")).status == 400, wrong);
    CHECK(f.get("/admin/reports", "poor-static-token").status == 403);
    CHECK(f.get("/admin/reports").status == 401);
    // The admin listener has it as well.
    net::headers fields;
    fields.set("authorization", "Bearer " + f.token("operator"));
    CHECK(f.send("GET", f.admin_url("/admin/reports"), std::move(fields)).status == 200);
}

TEST_CASE("one reporter fills its own share of a mission's reports, not another's") {
    transmitter_fixture f;
    const auto id = f.create();
    for (std::size_t i = 0; i < limits::reports_per_reporter; ++i)
        REQUIRE(report(f, "erp", id, "anomaly").status == 202);
    CHECK(report(f, "erp", id, "anomaly").status == 409);
    CHECK(report(f, "crm", id, "anomaly").status == 202);
    CHECK(report(f, "erp", f.create(), "anomaly").status == 202);
}

TEST_CASE("who reports too often is told when to come again, and holds up nobody else") {
    transmitter_fixture f([](config& c) { c.missions.report_rate = 1; });
    const auto id = f.create();
    answer last;
    for (int i = 0; i < 4 && last.status != 429; ++i)
        last = report(f, "erp", id, "anomaly");
    REQUIRE(last.status == 429);
    CHECK(last.fields.get("retry-after") == "1");
    CHECK(report(f, "crm", id, "anomaly").status == 202);
}
