#include <doctest/doctest.h>

#include "shell_support.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;
using namespace std::chrono_literals;

namespace {

answer remove(transmitter_fixture& f, const std::string& query, const std::string& client) {
    net::headers h;
    h.set("authorization", "Bearer " + f.token(client));
    return f.send("DELETE", f.url("/ssf/streams" + query), std::move(h));
}

}  // namespace

TEST_CASE("a stream is created, read, listed and deleted; another client's does not exist") {
    transmitter_fixture f;
    CHECK(f.get("/ssf/streams", f.token("erp")).body == "[]");
    const auto id = make_poll_stream(f, "erp");
    const auto path = "/ssf/streams?stream_id=" + id;
    const auto mine = f.get(path, f.token("erp"));
    CHECK(mine.status == 200);
    CHECK(mine.text("stream_id") == id);
    CHECK(mine.text("aud") == "https://erp.example");
    CHECK(mine.fields.get("cache-control") == "no-store");
    CHECK(f.get("/ssf/streams", f.token("erp")).json.IsArray());

    const auto foreign = f.get(path, f.token("crm"));
    const auto none = f.get("/ssf/streams?stream_id=nobody", f.token("crm"));
    CHECK(foreign.status == 404);
    CHECK(foreign.body == none.body);
    CHECK(f.get("/ssf/streams", f.token("crm")).body == "[]");
    CHECK(remove(f, "?stream_id=" + id, "crm").status == 404);
    CHECK(f.post_json("/ssf/poll/" + id, "{}", f.token("crm")).status == 404);
    CHECK(f.post_json("/ssf/verify", R"({"stream_id":")" + id + "\"}", f.token("crm")).status ==
          404);

    CHECK(remove(f, "", "erp").status == 400);
    const auto gone = remove(f, "?stream_id=" + id, "erp");
    CHECK(gone.status == 204);
    CHECK(gone.body.empty());
    CHECK(f.get(path, f.token("erp")).status == 404);
    CHECK(f.post_json("/ssf/poll/" + id, "{}", f.token("erp")).status == 404);
}

TEST_CASE("more streams than the client may have are a 409") {
    transmitter_fixture f([](config& c) { c.ssf.streams_per_receiver = 2; });
    make_poll_stream(f, "erp");
    make_poll_stream(f, "erp");
    CHECK(f.post_json("/ssf/streams", "{}", f.token("erp")).status == 409);
    make_poll_stream(f, "crm");
}

TEST_CASE("token, then scope, then body, then lookup") {
    transmitter_fixture f;
    CHECK(f.post_json("/ssf/streams", "nonsense").status == 401);
    CHECK(f.post_json("/ssf/streams", "nonsense", "poor-static-token").status == 403);
    CHECK(f.post_json("/ssf/streams", "nonsense", f.token("erp")).status == 400);
    CHECK(f.post_json("/ssf/poll/nobody", "nonsense", f.token("erp")).status == 400);
    CHECK(f.post_json("/ssf/poll/nobody", "{}", f.token("erp")).status == 404);
    CHECK(f.get("/ssf/streams", "poor-static-token").status == 200);
}

TEST_CASE("bad bodies of a poll are a 400 that loses nothing") {
    transmitter_fixture f;
    const auto id = make_poll_stream(f, "erp");
    commit(f, 1, 1);
    for (const auto* body :
         {"[]", R"({"maxEvents":-1})", R"({"maxEvents":"5"})", R"({"maxEvents":1.5})",
          R"({"returnImmediately":"yes"})", R"({"ack":"x"})", R"({"ack":[1]})", R"({"setErrs":[]})",
          R"({"setErrs":{"a":{}}})", R"({"setErrs":{"a":5}})", R"({"ack":[],"ack":[]})", "{",
          "\xff"}) {
        CAPTURE(body);
        CHECK(f.post_json("/ssf/poll/" + id, body, f.token("erp")).status == 400);
    }
    CHECK(poll(f, "erp", id, "").size() >= 1);  // no body is an empty request
}

TEST_CASE("a push stream to a refused address is not created") {
    transmitter_fixture f;
    for (const auto* url : {"https://10.0.0.1/", "https://[::ffff:10.0.0.1]/", "http://localhost/",
                            "https://169.254.169.254/"}) {
        const auto a = f.post_json("/ssf/streams",
                                   R"({"delivery":{"method":"urn:ietf:rfc:8935","endpoint_url":")" +
                                       std::string(url) + "\"}}",
                                   f.token("erp"));
        CHECK(a.status == 400);
    }
    CHECK(f.get("/ssf/streams", f.token("erp")).body == "[]");
}

TEST_CASE("verification too soon is 429 with Retry-After; without stream_id it is 400") {
    transmitter_fixture f([](config& c) { c.ssf.min_verification_interval = 600s; });
    const auto id = make_poll_stream(f, "erp");
    const auto body = R"({"stream_id":")" + id + R"(","state":"s"})";
    CHECK(f.post_json("/ssf/verify", body, f.token("erp")).status == 204);
    const auto again = f.post_json("/ssf/verify", body, f.token("erp"));
    CHECK(again.status == 429);
    CHECK_FALSE(again.fields.get("retry-after").empty());
    CHECK(f.post_json("/ssf/verify", "{}", f.token("erp")).status == 400);
    CHECK(f.post_json("/ssf/verify", "[]", f.token("erp")).status == 400);
}

TEST_CASE("operators see where each stream stands, others do not") {
    transmitter_fixture f;
    const auto id = make_poll_stream(f, "erp");
    commit(f, 1, 1);
    const auto one = f.get("/admin/streams/" + id, f.token("operator"));
    CHECK(one.status == 200);
    CHECK(one.text("client_id") == "erp");
    CHECK(one.text("status") == "enabled");
    CHECK(one.number("continuity") == 0);
    CHECK(f.get("/admin/streams", f.token("operator")).json.Size() == 1);
    CHECK(f.get("/admin/streams/nobody", f.token("operator")).status == 404);
    CHECK(f.get("/admin/streams", "poor-static-token").status == 403);
    CHECK(f.get("/admin/streams").status == 401);
}
