#include "receiver/subscribe/stream_plan.hpp"

#include <doctest/doctest.h>

#include "events/mission_event.hpp"
#include "receiver/subscribe/discovery.hpp"

using namespace mission;
using namespace mission::receiver;
using kind = stream_step::kind;

namespace {

wanted_stream wanted() {
    wanted_stream w;
    w.method = std::string(poll_method);
    w.description = "d";
    w.events = our_event_types();
    return w;
}

stream_config existing(const std::string& id = "s1") {
    stream_config s;
    s.stream_id = id;
    s.method = std::string(poll_method);
    s.events_requested = our_event_types();
    s.aud = {"me"};
    return s;
}

}  // namespace

TEST_CASE("an equal stream is adopted, none is created, the known one goes first") {
    CHECK(plan_stream({}, wanted()).what == kind::create);
    CHECK(plan_stream({existing()}, wanted()).what == kind::adopt);
    auto w = wanted();
    w.known_id = "s2";
    CHECK(plan_stream({existing("s1"), existing("s2")}, w).stream.stream_id == "s2");
}

TEST_CASE("another configuration is refused clearly, or replaced when the host says so") {
    auto w = wanted();
    auto s = existing();
    SUBCASE("delivery") {
        s.method = std::string(push_method);
    }
    SUBCASE("events") {
        s.events_requested.pop_back();
    }
    SUBCASE("audience") {
        w.audience = "other";
    }
    auto step = plan_stream({s}, w);
    CHECK(step.what == kind::refuse);
    CHECK(step.why.find("s1") != std::string::npos);
    w.replace = true;
    CHECK(plan_stream({s}, w).what == kind::remove);
}

TEST_CASE("another authorization header is another stream") {
    auto w = wanted();
    w.known_id = "s1";
    w.header_changed = true;
    CHECK(plan_stream({existing()}, w).what == kind::refuse);
}

TEST_CASE("the create request carries no transmitter-supplied member") {
    const auto body = create_body(wanted());
    for (const char* name : {"stream_id", "iss", "aud", "events_supported", "events_delivered"}) {
        CHECK(body.find("\"" + std::string(name) + "\"") == std::string::npos);
    }
    CHECK(body.find("authority_changed") != std::string::npos);
}

TEST_CASE("the drafts' vocabulary is tried only when ours is not on offer") {
    auto s = existing();
    s.events_supported = {std::string(events::lifecycle_change_type)};
    CHECK(should_try_lifecycle_change(s, wanted()));
    s.events_delivered = our_event_types();
    CHECK_FALSE(should_try_lifecycle_change(s, wanted()));
}

TEST_CASE("the well-known string goes between host and path") {
    CHECK(*well_known_url("https://h.example", "x") == "https://h.example/.well-known/x");
    CHECK(*well_known_url("https://h.example/", "x") == "https://h.example/.well-known/x");
    CHECK(*well_known_url("https://h.example:8443/a/b/", "x") ==
          "https://h.example:8443/.well-known/x/a/b");
    CHECK(well_known_url("http://h.example", "x").has_error());
}

TEST_CASE("metadata of another issuer, or with endpoints elsewhere, is refused") {
    auto meta = [](const std::string& issuer, const std::string& config) {
        return R"({"issuer":")" + issuer + R"(","jwks_uri":"https://a.example/j",)" +
               R"("configuration_endpoint":")" + config + R"("})";
    };
    const std::string issuer = "https://a.example";
    CHECK(parse_metadata(meta(issuer, "https://a.example/s"), issuer).has_value());
    CHECK(parse_metadata(meta("https://b.example", "https://a.example/s"), issuer).error() ==
          errc::wrong_issuer);
    CHECK(parse_metadata(meta(issuer, "https://b.example/s"), issuer).has_error());
    CHECK(parse_metadata(meta(issuer, "http://a.example/s"), issuer).has_error());
    CHECK(parse_metadata("<html>", issuer).error() == errc::bad_response);
}

TEST_CASE("a token that could break a header line is not used") {
    CHECK(parse_token_response(R"({"access_token":"abc","expires_in":60})").has_value());
    CHECK(parse_token_response(R"({"access_token":"a\r\nX: y"})").has_error());
    CHECK(parse_token_response(R"({})").has_error());
}
