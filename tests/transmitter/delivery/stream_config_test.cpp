#include "transmitter/streams/config.hpp"

#include "events/mission_event.hpp"
#include "rules_support.hpp"
#include "transmitter/streams/visibility.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;

namespace {

result<create_request> parse(std::string_view body, std::vector<std::string> allow = {}) {
    const auto doc = json::parse(body);
    REQUIRE(doc);
    return parse_create(*doc, net::egress_policy::parse(allow).value());
}

std::string push_body(std::string_view url, std::string_view header = {}) {
    std::string out = R"({"delivery":{"method":"urn:ietf:rfc:8935","endpoint_url":")";
    out.append(url).append("\"");
    if (!header.empty()) out.append(R"(,"authorization_header":")").append(header).append("\"");
    return out + "}}";
}

}  // namespace

TEST_CASE("a stream without delivery is a poll stream without events") {
    const auto r = parse("{}");
    REQUIRE(r);
    CHECK(r->method == store::delivery_method::poll);
    CHECK(r->events_requested.empty());
}

TEST_CASE("what the transmitter supplies is ignored when a receiver sends it") {
    const auto r = parse(R"({"stream_id":5,"iss":[],"aud":{},"events_delivered":"x",
        "min_verification_interval":"never","default_subjects":"NONE",
        "delivery":{"method":"urn:ietf:rfc:8936","endpoint_url":"http://evil.example"}})");
    REQUIRE(r);
    CHECK(r->method == store::delivery_method::poll);
    CHECK(r->endpoint_url.empty());
}

TEST_CASE("push needs an https endpoint_url") {
    CHECK(parse(push_body("https://receiver.example/push")));
    for (const auto* url : {"http://receiver.example/", "ftp://x/", "receiver.example", "",
                            "https://user:pw@receiver.example/", "https://receiver.example/#f"}) {
        const auto r = parse(push_body(url));
        REQUIRE_MESSAGE(!r, url);
        CHECK(r.error() == errc::stream_invalid);
    }
    CHECK_FALSE(parse(R"({"delivery":{"method":"urn:ietf:rfc:8935"}})"));
    CHECK_FALSE(parse(push_body("https://receiver.example/" + std::string(3000, 'a'))));
}

TEST_CASE("an endpoint at a private, mapped or link-local address is refused") {
    for (const auto* host : {"127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.0.1", "[::1]",
                             "[::ffff:127.0.0.1]", "[fe80::1]", "[fd00::1]", "0.0.0.0"}) {
        CHECK_MESSAGE(!parse(push_body("https://" + std::string(host) + "/x")), host);
    }
    CHECK(parse(push_body("https://127.0.0.1:9/x"), {"127.0.0.0/8"}));
}

TEST_CASE("a delivery method that is not known, or of the wrong type, is refused") {
    CHECK_FALSE(parse(R"({"delivery":{"method":"urn:ietf:rfc:9999"}})"));
    CHECK_FALSE(parse(R"({"delivery":{"method":5}})"));
    CHECK_FALSE(parse(R"({"delivery":{}})"));
    CHECK_FALSE(parse(R"({"delivery":"poll"})"));
    CHECK_FALSE(parse("[]"));
}

TEST_CASE("an authorization_header must be a valid field value of bounded size") {
    const auto r = parse(push_body("https://receiver.example/", "Bearer abc"));
    REQUIRE(r);
    CHECK(r->authorization_header == "Bearer abc");
    CHECK_FALSE(parse(push_body("https://receiver.example/", "a\\r\\nx: y")));
    CHECK_FALSE(parse(push_body("https://receiver.example/", "a\\u0000b")));
    CHECK_FALSE(parse(push_body("https://receiver.example/", " padded")));
    CHECK_FALSE(parse(push_body("https://receiver.example/", std::string(4097, 'a'))));
    CHECK(parse(push_body("https://receiver.example/", std::string(4096, 'a'))));
}

TEST_CASE("events_requested must be an array of strings, bounded, each once") {
    CHECK_FALSE(parse(R"({"events_requested":"all"})"));
    CHECK_FALSE(parse(R"({"events_requested":[1]})"));
    const auto r = parse(R"({"events_requested":["a","b","a"]})");
    REQUIRE(r);
    CHECK(r->events_requested == strings{"a", "b"});
    std::string many = R"({"events_requested":["x0")";
    for (int i = 1; i <= 256; ++i)
        many += ",\"x" + std::to_string(i) + "\"";
    CHECK_FALSE(parse(many + "]}"));
}

TEST_CASE("a description is truncated to 255 octets at a character's boundary") {
    CHECK(cut_utf8("short", 255) == "short");
    CHECK(cut_utf8(std::string(300, 'a'), 255).size() == 255);
    const std::string two = "\u00e9\u00e9\u00e9";  // two octets each
    CHECK(cut_utf8(two, 5) == "\u00e9\u00e9");
    CHECK(cut_utf8("\U0001F600", 3).empty());
    const auto r = parse(R"({"description":")" + std::string(400, 'd') + R"("})");
    REQUIRE(r);
    CHECK(r->description.size() == 255);
    CHECK_FALSE(parse(R"({"description":7})"));
}

TEST_CASE("events_delivered is what is supported and requested; nothing when nothing is asked") {
    client_config c;
    const auto supported = events_supported(c, base);
    CHECK(supported.size() == 10);  // our nine and lifecycle-change
    CHECK(events_delivered(supported, {}).empty());
    CHECK(events_delivered(supported, {lifecycle, "https://other.example/x"}) ==
          strings{lifecycle});
    c.events = {lifecycle};
    CHECK(events_supported(c, base) == strings{lifecycle});
    CHECK(events_delivered(events_supported(c, base), {ours("mission-revoked")}).empty());
}

TEST_CASE("a stream that is delivered a CAEP or RISC event is signed with RS256") {
    client_config c;
    CHECK(algorithm_for(c, {lifecycle}) == "ES256");
    CHECK(algorithm_for(c, {lifecycle, std::string(events::caep_base) + "session-revoked"}) ==
          "RS256");
    CHECK(algorithm_for(c, {std::string(events::risc_base) + "account-disabled"}) == "RS256");
    c.alg = jose::alg::rs256;
    CHECK(algorithm_for(c, {lifecycle}) == "RS256");
}

TEST_CASE("the epoch keeps what the client may be told when the stream was made") {
    service common;
    common.settings.event_type_base = base;
    issuer_service issuer;
    issuer.common = &common;
    issuer.settings.url = "https://mas.example";
    client_config c;
    c.id = "client";
    c.audience = "https://api.example";
    c.disclose = {"reason"};
    create_request r;
    r.events_requested = {lifecycle};
    r.capabilities = {"authority_changed"};
    const auto made = make_stream(r, c, issuer, "sid", "sealed", wall(0));
    CHECK(made.row.stream_id == "sid");
    CHECK(made.epoch.iss == "https://mas.example");
    CHECK(made.epoch.aud == "https://api.example");
    c.audience.clear();
    CHECK(make_epoch(c, issuer, {lifecycle}, {}).aud == "client");  // a SET has an audience
    CHECK(made.epoch.events_delivered == strings{lifecycle});
    const auto v = stream_visibility::from_json(made.epoch.visibility);
    REQUIRE(v);
    CHECK(v->reason);
    CHECK_FALSE(v->user);
    CHECK(v->authority_changed);
    CHECK(made.row.default_all);
    c.default_subjects_all = false;
    CHECK_FALSE(make_stream(r, c, issuer, "sid", "", wall(0)).row.default_all);

    const std::string shown = to_json(made.row, made.epoch, c, issuer);
    const auto doc = json::parse(shown);
    REQUIRE(doc);
    CHECK(json::find_string(*doc, "stream_id") == "sid");
    CHECK(json::find_string(*doc, "iss") == "https://mas.example");
    CHECK(json::find_string(*doc, "default_subjects") == "ALL");
    CHECK(json::find_string(*json::find(*doc, "delivery"), "endpoint_url") ==
          "https://mas.example/ssf/poll/sid");
    CHECK(json::find(*doc, "events_delivered")->Size() == 1);
    CHECK(shown.find("sealed") == std::string::npos);
}
