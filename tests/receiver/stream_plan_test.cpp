#include "receiver/subscribe/stream_plan.hpp"

#include <doctest/doctest.h>

#include "base/json.hpp"
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
    CHECK(plan_stream({existing()}, w).what == kind::update);
    w.may_update = false;
    CHECK(plan_stream({existing()}, w).what == kind::refuse);
}

TEST_CASE("our stream is updated once where it differs, then replaced or refused") {
    auto w = wanted();
    w.known_id = "s1";
    auto s = existing();
    SUBCASE("events") {
        s.events_requested.pop_back();
    }
    SUBCASE("method") {
        s.method = std::string(push_method);
    }
    SUBCASE("known by its description, as after a lost state") {
        s.events_requested.pop_back();
        s.description = w.description;
        w.known_id.clear();
    }
    CHECK(plan_stream({s}, w).what == kind::update);
    w.may_update = false;
    CHECK(plan_stream({s}, w).what == kind::refuse);
    w.replace = true;
    CHECK(plan_stream({s}, w).what == kind::remove);
}

TEST_CASE(
    "an aud that is not ours is no matter of an update, and nobody else's stream is changed") {
    auto w = wanted();
    w.known_id = "s1";
    w.audience = "another";
    CHECK(plan_stream({existing()}, w).what == kind::refuse);
    w = wanted();
    auto s = existing();
    s.events_requested.pop_back();
    s.description = "somebody else's";
    CHECK(plan_stream({s}, w).what == kind::refuse);
}

TEST_CASE("another description is told, and one that was cut short is no other") {
    auto w = wanted();
    w.known_id = "s1";
    w.description = "payments";
    auto s = existing();
    s.description = "invoices";
    CHECK(plan_stream({s}, w).what == kind::update);
    w.may_update = false;  // it was tried: a label is worth no more
    CHECK(plan_stream({s}, w).what == kind::adopt);
    w.may_update = true;
    s.description = "pay";
    CHECK(plan_stream({s}, w).what == kind::adopt);
}

TEST_CASE("an update names the stream and what is ours to say, and deletes a header by name") {
    auto w = wanted();
    w.method = std::string(push_method);
    w.endpoint_url = "https://me.example/p";
    w.header_changed = true;
    const auto body = *json::parse(update_body("s1", w));
    CHECK(json::find_string(body, "stream_id") == "s1");
    const auto* delivery = json::find(body, "delivery");
    REQUIRE(delivery != nullptr);
    REQUIRE(json::find(*delivery, "authorization_header") != nullptr);
    CHECK(json::find(*delivery, "authorization_header")->IsNull());
    for (const char* name : {"iss", "aud", "events_supported", "events_delivered"})
        CHECK(json::find(body, name) == nullptr);
    CHECK(json::find(*json::find(*json::parse(create_body(w)), "delivery"),
                     "authorization_header") == nullptr);
}

TEST_CASE("missions are named by their id alone: an agent's or a tenant's are not known") {
    const std::string id = "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-", other = id.substr(4) + "xxxx";
    const auto named = missions_named({
        R"({"format":"opaque","id":")" + id + R"("})",
        R"({"format":"complex","mission":{"format":"opaque","id":")" + other + R"("}})",
        R"({"format":"complex","mission":{"format":"opaque","id":"msn_000000000000000000000000"},)"
        R"("tenant":{"format":"opaque","id":"t"}})",
        R"({"format":"complex","tenant":{"format":"opaque","id":"t"}})",
        R"({"format":"iss_sub","iss":"https://a","sub":"agent"})",
        R"({"format":"opaque","id":"no mission id"})",
    });
    CHECK(named == std::vector<std::string>{other, id});
}

TEST_CASE("the create request carries no transmitter-supplied member") {
    const auto body = create_body(wanted());
    for (const char* name : {"stream_id", "iss", "aud", "events_supported", "events_delivered"}) {
        CHECK(body.find("\"" + std::string(name) + "\"") == std::string::npos);
    }
    CHECK(body.find("authority_changed") != std::string::npos);
}

TEST_CASE("a stream without mission events is asked for with the members of SSF alone") {
    auto w = wanted();
    REQUIRE(w.events == our_event_types());
    CHECK(json::find(*json::parse(create_body(w)), "mission_capabilities_supported") != nullptr);
    w.events = {"https://schemas.openid.net/secevent/caep/event-type/session-revoked"};
    for (const auto& body : {create_body(w), update_body("s1", w)})
        CHECK(json::find(*json::parse(body), "mission_capabilities_supported") == nullptr);
}

TEST_CASE("the drafts' vocabulary is tried only when ours is not on offer") {
    auto s = existing();
    s.events_supported = {std::string(events::lifecycle_change_type)};
    CHECK(should_try_lifecycle_change(s, wanted()));
    s.events_delivered = our_event_types();
    CHECK_FALSE(should_try_lifecycle_change(s, wanted()));
}

TEST_CASE("subjects that an earlier run added and nobody wants go first") {
    const std::vector<std::string> wanted{R"({"a":1})", R"({"b":2})"};
    const auto calls = plan_subject_calls("s-1", "s-1\n{\"a\":1}\n{\"c\":3}", wanted);
    REQUIRE(calls.size() == 3);
    CHECK_FALSE(calls[0].add);
    CHECK(calls[0].subject == R"({"c":3})");
    CHECK(calls[1].add);
    CHECK(calls[1].subject == wanted[0]);
    CHECK(calls[2].subject == wanted[1]);
    // Of another stream nothing needs to go.
    CHECK(plan_subject_calls("s-2", "s-1\n{\"c\":3}", wanted).size() == 2);
    CHECK(plan_subject_calls("s-1", "", {}).empty());
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
