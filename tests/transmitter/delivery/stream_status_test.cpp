// The status of a stream, judged (transmitter/streams/status).
#include "tests/transmitter/delivery/stream_store.hpp"
#include "transmitter/streams/extra.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;
using status = store::stream_status;

TEST_CASE("a status update needs stream_id and one of three statuses") {
    for (const auto* body :
         {"{}", "[]", R"({"stream_id":"s"})", R"({"status":"paused"})",
          R"({"stream_id":"s","status":"suspended"})", R"({"stream_id":"s","status":5})",
          R"({"stream_id":"s","status":"paused","reason":5})",
          R"({"stream_id":5,"status":"paused"})"}) {
        CAPTURE(body);
        const auto doc = json::parse(body);
        REQUIRE(doc);
        CHECK_FALSE(parse_status_update(*doc));
    }
}

TEST_CASE("a reason is cut at a character") {
    std::string body = R"({"stream_id":"s","status":"paused","reason":")";
    for (int i = 0; i < 700; ++i)
        body += "\u00e9";
    const auto doc = json::parse(body + "\"}");
    REQUIRE(doc);
    const auto r = parse_status_update(*doc);
    REQUIRE(r);
    CHECK(r->reason.size() == 1024);
    const auto odd = json::parse(R"({"stream_id":"s","status":"paused","reason":"a)" +
                                 body.substr(body.find("\u00e9")) + "\"}");
    REQUIRE(odd);
    CHECK(parse_status_update(*odd)->reason.size() == 1023);
}

TEST_CASE("a receiver's own change is stored with its reason and told by no event") {
    stream_store f;
    const auto id = f.create({lifecycle});
    const auto r = f.set_status(id, status::paused, status_actor::receiver, "maintenance");
    REQUIRE(r);
    CHECK(r->changed);
    CHECK(r->events.empty());
    CHECK_FALSE(r->cursor);
    CHECK(f.row(id).status == status::paused);
    CHECK(f.row(id).status_reason == "maintenance");
    const auto again = f.set_status(id, status::paused);
    REQUIRE(again);
    CHECK_FALSE(again->changed);
    CHECK(again->row.status_reason == "maintenance");
}

TEST_CASE("enabling a paused stream leaves its cursor where it stands") {
    stream_store f;
    const auto id = f.create({lifecycle});
    REQUIRE(f.set_status(id, status::paused));
    f.append_event();
    const auto r = f.set_status(id, status::enabled);
    REQUIRE(r);
    CHECK_FALSE(r->cursor);
    CHECK(f.row(id).continuity == 0);
}

TEST_CASE("enabling a disabled stream moves it to the head, and says that something was dropped") {
    stream_store f;
    const auto id = f.create({lifecycle});
    REQUIRE(f.set_status(id, status::disabled));
    f.append_event();
    f.append_event();
    const auto r = f.set_status(id, status::enabled);
    REQUIRE(r);
    REQUIRE(r->cursor);
    CHECK(r->cursor->acked_seq == 2);
    CHECK_FALSE(r->cursor->open);
    CHECK(f.row(id).continuity == 1);
    REQUIRE(r->events.size() == 1);
    CHECK(r->events.front().event.find("dropped") != std::string::npos);
    CHECK(f.row(id).extra.empty());
}

TEST_CASE("a disabled stream that missed nothing is enabled without a word") {
    stream_store f;
    f.append_event();
    const auto id = f.create({lifecycle});
    REQUIRE(f.set_status(id, status::disabled));
    const auto r = f.set_status(id, status::enabled);
    REQUIRE(r);
    CHECK(r->cursor);
    CHECK(r->events.empty());
    CHECK(f.row(id).continuity == 0);
}

TEST_CASE(
    "what was unsettled when a stream was disabled is told when it is enabled, a crash between") {
    stream_store f;
    const auto id = f.create({lifecycle});
    f.append_event();
    bool open = false;
    SUBCASE("its cursor stands behind") {
        open = true;
    }
    SUBCASE("it stands where the issuer's routed_seq does") {}
    const auto row = f.row(id).row;
    REQUIRE(f.commit([&](const store::rows& rows, wall_time) -> result<store::changes> {
        store::changes c;
        c.cursors.push_back(rows.find_cursor(row).value());
        c.cursors.back().open = open;
        return c;
    }));
    REQUIRE(f.set_status(id, status::disabled));
    // Delivery has had no time to write what it drops.
    const auto r = f.set_status(id, status::enabled);
    REQUIRE(r);
    CHECK(f.row(id).continuity == 1);
    CHECK(r->events.size() == 1);
}

TEST_CASE("a stream that had settled everything when it was disabled is enabled without a word") {
    stream_store f;
    const auto id = f.create({lifecycle});
    f.append_event();
    REQUIRE(f.commit([&](const store::rows& rows, wall_time) -> result<store::changes> {
        store::changes c;
        c.routed.emplace_back(f.issuer.id, rows.head());
        return c;
    }));
    REQUIRE(f.set_status(id, status::disabled));
    REQUIRE(f.set_status(id, status::enabled));
    CHECK(f.row(id).continuity == 0);
}

TEST_CASE("what an operator has paused an operator alone enables") {
    stream_store f;
    const auto id = f.create({lifecycle});
    const auto paused = f.set_status(id, status::paused, status_actor::operator_, "incident 7");
    REQUIRE(paused);
    REQUIRE(paused->events.size() == 1);
    const auto told = json::parse(paused->events.front().event);
    REQUIRE(told);
    CHECK(json::find_string(*told, "status") == "paused");
    CHECK(json::find_string(*told, "reason") == "incident 7");
    CHECK(f.set_status(id, status::enabled).error() == errc::forbidden);
    CHECK(f.set_status(id, status::disabled).error() == errc::forbidden);
    const auto same = f.set_status(id, status::paused, status_actor::receiver, "mine");
    REQUIRE(same);
    CHECK_FALSE(same->changed);
    CHECK(f.row(id).status_reason == "incident 7");
    const auto enabled = f.set_status(id, status::enabled, status_actor::operator_);
    REQUIRE(enabled);
    CHECK(enabled->events.size() == 1);
    CHECK(f.row(id).status == status::enabled);
    CHECK(f.row(id).extra.empty());
}

TEST_CASE("an operator takes over a receiver's pause, and cannot pause what is disabled") {
    stream_store f;
    const auto id = f.create({lifecycle});
    REQUIRE(f.set_status(id, status::paused));
    REQUIRE(f.set_status(id, status::paused, status_actor::operator_));
    CHECK(f.set_status(id, status::enabled).error() == errc::forbidden);
    const auto other = f.create({lifecycle});
    REQUIRE(f.set_status(other, status::disabled));
    CHECK(f.set_status(other, status::paused, status_actor::operator_).error() ==
          errc::stream_conflict);
}

TEST_CASE("extra members are set and taken out one by one; what is unknown stays") {
    const auto both =
        with_extra_number(with_extra(R"({"x":[1]})", "paused_by", "operator"), "n", 7);
    CHECK(extra_string(both, "paused_by") == "operator");
    CHECK(extra_number(both, "n") == 7);
    const auto less = with_extra(both, "paused_by", std::nullopt);
    CHECK(extra_string(less, "paused_by").empty());
    CHECK(less.find("[1]") != std::string::npos);
    CHECK(with_extra(with_extra("", "a", "b"), "a", std::nullopt).empty());
    CHECK(extra_string("nonsense", "a").empty());
}
