// /ssf/streams (PATCH, PUT), /ssf/status, /ssf/subjects, /ssf/verify, over TLS.
#include <doctest/doctest.h>

#include <algorithm>
#include <future>

#include "tests/transmitter/delivery/shell_support.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;
using namespace std::chrono_literals;

namespace {

answer ask(transmitter_fixture& f, const std::string& method, const std::string& path,
           const std::string& body, const std::string& client = "erp") {
    net::headers h;
    h.set("authorization", "Bearer " + f.token(client));
    h.set("content-type", "application/json; charset=utf-8");
    return f.send(method, f.url(path), std::move(h), body);
}

std::string body_of(const std::string& id, const std::string& rest = {}) {
    return R"({"stream_id":")" + id + "\"" + (rest.empty() ? "" : "," + rest) + "}";
}

answer set_status(transmitter_fixture& f, const std::string& id, const std::string& status,
                  const std::string& client = "erp") {
    return ask(f, "POST", "/ssf/status", body_of(id, R"("status":")" + status + "\""), client);
}

const std::string mission_1 =
    R"("subject":{"format":"opaque","id":")" + committed_mission(1) + "\"}";

}  // namespace

TEST_CASE("PATCH and PUT answer the full configuration and refuse what is not the receiver's") {
    transmitter_fixture f;
    const auto id = make_poll_stream(f, "erp");
    const auto patched = ask(f, "PATCH", "/ssf/streams", body_of(id, R"("description":"mine")"));
    CHECK(patched.status == 200);
    CHECK(patched.text("description") == "mine");
    CHECK(patched.text("aud") == "https://erp.example");
    CHECK(patched.fields.get("cache-control") == "no-store");
    CHECK(f.get("/ssf/streams?stream_id=" + id, f.token("erp")).body == patched.body);
    // What was read can be written back.
    CHECK(ask(f, "PUT", "/ssf/streams", patched.body).status == 200);
    const auto put = ask(f, "PUT", "/ssf/streams", body_of(id));
    CHECK(put.status == 200);
    CHECK(json::find(put.json, "description") == nullptr);
    CHECK(json::find(put.json, "events_delivered")->Empty());

    for (const std::string method : {"PATCH", "PUT"}) {
        CAPTURE(method);
        for (const auto* rest :
             {R"("iss":"https://other.example")", R"("aud":"https://other.example")",
              R"("events_delivered":["x"])", R"("min_verification_interval":77)",
              R"("delivery":{"method":"urn:ietf:rfc:9999"})", R"("description":7)",
              R"("events_requested":"x")", R"("delivery":{"method":"urn:ietf:rfc:8935"})"}) {
            CAPTURE(rest);
            CHECK(ask(f, method, "/ssf/streams", body_of(id, rest)).status == 400);
        }
        CHECK(ask(f, method, "/ssf/streams", "{}").status == 400);
        CHECK(ask(f, method, "/ssf/streams", "nonsense").status == 400);
        const auto foreign = ask(f, method, "/ssf/streams", body_of(id), "crm");
        CHECK(foreign.status == 404);
        CHECK(ask(f, method, "/ssf/streams", body_of("nobody"), "crm").body == foreign.body);
    }
}

TEST_CASE("a changed events_requested holds for what is committed after it") {
    transmitter_fixture f;
    const auto id = make_poll_stream(f, "erp");
    commit(f, 1, 1);
    CHECK(ask(f, "PATCH", "/ssf/streams", body_of(id, R"("events_requested":["urn:x:unknown"])"))
              .status == 200);
    commit(f, 1, 2);
    const auto sets = heard(f, "erp", id, R"({"returnImmediately":true})");
    REQUIRE(sets.size() >= 1);
    CHECK(std::all_of(sets.begin(), sets.end(),
                      [](const auto& s) { return s.mission_id.empty() || s.version == 1; }));
}

TEST_CASE("the status is read and set, and is there at once") {
    transmitter_fixture f;
    const auto id = make_poll_stream(f, "erp");
    const auto path = "/ssf/status?stream_id=" + id;
    CHECK(f.get(path, f.token("erp")).text("status") == "enabled");
    for (const std::string status : {"paused", "disabled", "enabled", "enabled"}) {
        const auto a = ask(f, "POST", "/ssf/status",
                           body_of(id, R"("status":")" + status + R"(","reason":"so")"));
        CHECK(a.status == 200);
        CHECK(a.text("status") == status);
        CHECK(a.text("stream_id") == id);
        const auto read = f.get(path, f.token("erp"));
        CHECK(read.text("status") == status);
        CHECK(read.text("reason") == "so");
    }
    for (const auto* rest :
         {"", R"("status":"suspended")", R"("status":1)", R"("status":"paused","reason":1)"})
        CHECK(ask(f, "POST", "/ssf/status", body_of(id, rest)).status == 400);
    CHECK(f.get("/ssf/status", f.token("erp")).status == 400);
    CHECK(f.get(path).status == 401);
    CHECK(f.get(path, "poor-static-token").status == 404);
    CHECK(set_status(f, id, "paused", "crm").status == 404);
    CHECK(f.post_json("/ssf/status", "{}", "poor-static-token").status == 403);
}

TEST_CASE("what is committed while paused arrives when enabled; while disabled, never") {
    transmitter_fixture f;
    const auto id = make_poll_stream(f, "erp");
    set_status(f, id, "paused");
    commit(f, 1, 1);
    CHECK(heard(f, "erp", id, R"({"returnImmediately":true})").empty());
    CHECK(ask(f, "POST", "/ssf/verify", body_of(id)).status == 400);
    set_status(f, id, "enabled");
    const auto held = heard(f, "erp", id, "{}");
    REQUIRE(held.size() >= 1);
    CHECK(held.front().mission_id == committed_mission(1));
    heard(f, "erp", id, ack_of(held, R"("maxEvents":0)"));

    set_status(f, id, "disabled");
    commit(f, 2, 1);
    set_status(f, id, "enabled");
    commit(f, 3, 1);
    bool third = false, second = false;
    CHECK(transmitter_fixture::eventually([&] {
        for (const auto& s : heard(f, "erp", id, R"({"returnImmediately":true})")) {
            third = third || s.mission_id == committed_mission(3);
            second = second || s.mission_id == committed_mission(2);
        }
        return third;
    }));
    CHECK_FALSE(second);
}

TEST_CASE("subjects are added and removed with one answer, whatever is known of them") {
    transmitter_fixture f([](config& c) {
        for (auto& one : c.clients)
            if (one.id == "erp") one.default_subjects_all = false;
    });
    const auto id = make_poll_stream(f, "erp");
    commit(f, 1, 1);
    const auto known = ask(f, "POST", "/ssf/subjects/add", body_of(id, mission_1));
    const auto unknown =
        ask(f, "POST", "/ssf/subjects/add",
            body_of(id, R"("subject":{"format":"email","email":"x@example.com"})"));
    CHECK(known.status == 200);
    CHECK(known.body.empty());
    CHECK(unknown.status == 200);
    CHECK(unknown.body.empty());
    CHECK(known.fields.get("cache-control") == "no-store");
    commit(f, 1, 2);
    commit(f, 2, 1);
    const auto sets = heard(f, "erp", id, "{}");
    REQUIRE(sets.size() == 1);
    CHECK(sets.front().version == 2);

    const auto removed = ask(f, "POST", "/ssf/subjects/remove", body_of(id, mission_1));
    CHECK(removed.status == 204);
    CHECK(ask(f, "POST", "/ssf/subjects/remove", body_of(id, mission_1)).status == 204);
    commit(f, 1, 3);
    heard(f, "erp", id, ack_of(sets, R"("maxEvents":0)"));
    CHECK(heard(f, "erp", id, R"({"returnImmediately":true})").empty());

    for (const std::string path : {"/ssf/subjects/add", "/ssf/subjects/remove"}) {
        for (const auto* rest : {"", R"("subject":"x")", R"("subject":{})", R"("subject":[])",
                                 R"("subject":{"format":"email"})"})
            CHECK(ask(f, "POST", path, body_of(id, rest)).status == 400);
        CHECK(ask(f, "POST", path, "{" + mission_1 + "}").status == 400);
        CHECK(ask(f, "POST", path, body_of(id, mission_1), "crm").status == 404);
        CHECK(f.post_json(path, body_of(id, mission_1), "poor-static-token").status == 403);
    }
}

TEST_CASE("a removed subject of an ALL stream is left out until it is added again") {
    transmitter_fixture f;
    const auto id = make_poll_stream(f, "erp");
    ask(f, "POST", "/ssf/subjects/remove", body_of(id, mission_1));
    commit(f, 1, 1);
    commit(f, 2, 1);
    const auto sets = heard(f, "erp", id, "{}");
    REQUIRE(sets.size() == 1);
    CHECK(sets.front().mission_id == committed_mission(2));
    ask(f, "POST", "/ssf/subjects/add", body_of(id, mission_1));
    heard(f, "erp", id, ack_of(sets, R"("maxEvents":0)"));
    commit(f, 1, 2);
    const auto again = heard(f, "erp", id, "{}");
    REQUIRE(again.size() == 1);
    CHECK(again.front().version == 2);
}

TEST_CASE("too many subjects are a 429 that says when to come back") {
    transmitter_fixture f([](config& c) {
        c.ssf.subjects_per_stream = 1;
        c.ssf.default_subjects_all = false;
    });
    const auto id = make_poll_stream(f, "erp");
    CHECK(ask(f, "POST", "/ssf/subjects/add", body_of(id, mission_1)).status == 200);
    const auto more = ask(f, "POST", "/ssf/subjects/add",
                          body_of(id, R"("subject":{"format":"opaque","id":"other"})"));
    CHECK(more.status == 429);
    CHECK_FALSE(more.fields.get("retry-after").empty());
    CHECK(ask(f, "POST", "/ssf/subjects/add", body_of(id, mission_1)).status == 200);
}

TEST_CASE("the verification interval outlives a restart") {
    transmitter_fixture f([](config& c) {
        c.ssf.min_verification_interval = 600s;
        c.store_url = "sqlite:" + c.signing_directory + ".db";
    });
    const auto id = make_poll_stream(f, "erp");
    CHECK(ask(f, "POST", "/ssf/verify", body_of(id)).status == 204);
    f.restart();
    const auto again = ask(f, "POST", "/ssf/verify", body_of(id));
    CHECK(again.status == 429);
    CHECK(std::stoi(std::string(again.fields.get("retry-after"))) > 500);
}
