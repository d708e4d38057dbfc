// What operators do to streams (/admin/streams), over TLS.
#include <doctest/doctest.h>

#include <algorithm>
#include <future>

#include "tests/transmitter/delivery/shell_support.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;

namespace {

answer admin(transmitter_fixture& f, const std::string& method, const std::string& path,
             const std::string& body = {}, const std::string& client = "operator") {
    net::headers h;
    h.set("authorization", "Bearer " + f.token(client));
    return f.send(method, f.url("/admin/streams/" + path), std::move(h), body);
}

const std::string updated = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated";

}  // namespace

TEST_CASE("an operator's pause is told to the receiver, which cannot lift it") {
    transmitter_fixture f;
    const auto id = make_poll_stream(f, "erp");
    const auto paused = admin(f, "POST", id + "/pause", R"({"reason":"incident 7"})");
    CHECK(paused.status == 200);
    CHECK(paused.text("status") == "paused");
    CHECK(f.get("/ssf/status?stream_id=" + id, f.token("erp")).text("reason") == "incident 7");
    const auto told = heard(f, "erp", id, "{}");
    REQUIRE(told.size() == 1);
    CHECK(told.front().type == updated);
    CHECK(told.front().claims.find("incident 7") != std::string::npos);
    CHECK(f.post_json("/ssf/status", R"({"stream_id":")" + id + R"(","status":"enabled"})",
                      f.token("erp"))
              .status == 403);
    const auto enabled = admin(f, "POST", id + "/enable");
    CHECK(enabled.status == 200);
    CHECK(f.get("/ssf/status?stream_id=" + id, f.token("erp")).text("status") == "enabled");
}

TEST_CASE("what a stream has settled is replayed: the same claims under the same jti") {
    transmitter_fixture f;
    const auto id = make_poll_stream(f, "erp");
    commit(f, 1, 1);
    commit(f, 2, 1);
    // A poll is answered as soon as there is one.
    std::vector<read_set> first;
    while (first.size() < 2) {
        const auto more = heard(f, "erp", id, "{}");
        REQUIRE(!more.empty());
        first.insert(first.end(), more.begin(), more.end());
    }
    REQUIRE(first.size() == 2);
    heard(f, "erp", id, ack_of(first, R"("maxEvents":0)"));
    const auto replayed =
        admin(f, "POST", id + "/replay", R"({"mission_id":")" + committed_mission(1) + "\"}");
    CHECK(replayed.status == 200);
    CHECK(replayed.number("replayed") == 1);
    const auto again = heard(f, "erp", id, "{}");
    REQUIRE(again.size() == 1);
    CHECK(again.front().claims == (first.front().mission_id == committed_mission(1)
                                       ? first.front().claims
                                       : first.back().claims));
    heard(f, "erp", id, ack_of(again, R"("maxEvents":0)"));
    CHECK(admin(f, "POST", id + "/replay", R"({"from_seq":1})").number("replayed") == 2);
    CHECK(admin(f, "POST", id + "/replay", R"({"since":"2000-01-01T00:00:00Z"})").status == 200);
    CHECK(admin(f, "POST", id + "/replay", R"({"since":"2999-01-01T00:00:00Z"})")
              .number("replayed") == 0);
}

TEST_CASE("a replay names exactly one place to begin") {
    transmitter_fixture f;
    const auto id = make_poll_stream(f, "erp");
    for (const auto* body :
         {"{}", "[]", "", R"({"from_seq":0})", R"({"from_seq":"1"})", R"({"since":"yesterday"})",
          R"({"mission_id":"x"})", R"({"signal_id":5})",
          R"({"from_seq":1,"since":"2000-01-01T00:00:00Z"})"}) {
        CAPTURE(body);
        CHECK(admin(f, "POST", id + "/replay", body).status == 400);
    }
    CHECK(admin(f, "POST", id + "/replay", R"({"mission_id":"AAAAAAAAAAAAAAAAAAAAAAAA"})").status ==
          404);
    CHECK(admin(f, "POST", id + "/replay", R"({"signal_id":"nothing"})").status == 404);
}

TEST_CASE("dead letters are shown with the receiver's words, and forgotten when told so") {
    transmitter_fixture f;
    const auto id = make_poll_stream(f, "erp");
    commit(f, 1, 1);
    CHECK(admin(f, "GET", id + "/dead").body == "[]");
    std::promise<void> written;
    f.running().db().submit(
        [&](const store::rows& rows, wall_time now) -> result<store::changes> {
            store::changes c;
            for (const auto& s : rows.streams(store::issuer_id{1}))
                c.exceptions.push_back(
                    {s.row, 1, true, 5, "invalid_request", "no such agent", now, now});
            return c;
        },
        [&](const result<store::receipt>&) { written.set_value(); });
    written.get_future().get();
    const auto dead = admin(f, "GET", id + "/dead");
    CHECK(dead.status == 200);
    REQUIRE(dead.json.IsArray());
    REQUIRE(dead.json.Size() == 1);
    CHECK(json::find_string(dead.json[0], "description") == "no such agent");
    CHECK(json::find_string(dead.json[0], "mission_id") == committed_mission(1));
    CHECK(json::find_int(dead.json[0], "attempts") == 5);
    const auto forgotten = admin(f, "DELETE", id + "/dead");
    CHECK(forgotten.status == 200);
    CHECK(forgotten.number("deleted") == 1);
    CHECK(admin(f, "GET", id + "/dead").body == "[]");
}

TEST_CASE("operations on streams are the operator's alone") {
    transmitter_fixture f;
    const auto id = make_poll_stream(f, "erp");
    net::headers poor;
    poor.set("authorization", "Bearer poor-static-token");
    for (const std::string op : {"pause", "enable", "replay"}) {
        CHECK(f.send("POST", f.url("/admin/streams/" + id + "/" + op)).status == 401);
        CHECK(f.send("POST", f.url("/admin/streams/" + id + "/" + op), poor).status == 403);
        CHECK(admin(f, "POST", "nobody/" + op, op == "replay" ? R"({"from_seq":1})" : "").status ==
              404);
    }
    CHECK(admin(f, "POST", id + "/pause", R"({"reason":5})").status == 400);
    CHECK(admin(f, "GET", "nobody/dead").status == 404);
    CHECK(admin(f, "DELETE", "nobody/dead").status == 404);
    CHECK(f.send("GET", f.url("/admin/streams/" + id + "/dead"), poor).status == 403);
}

TEST_CASE("a tail that stands beyond the log's end is told where the log ends") {
    transmitter_fixture f;
    commit(f, 1, 1);
    net::headers h;
    h.set("authorization", "Bearer " + f.token("operator"));
    h.set("last-event-id", "999");
    const auto a = f.send("GET", f.url("/admin/tail"), std::move(h));
    CHECK(a.status == 200);
    CHECK(a.body.find("id: 1\nevent: position\n") != std::string::npos);
}
