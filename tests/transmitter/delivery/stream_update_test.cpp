// PATCH and PUT, judged (transmitter/streams/update).
#include "transmitter/streams/update.hpp"

#include "rules_support.hpp"
#include "tests/transmitter/delivery/stream_store.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;

namespace {

const std::string push_at = R"("delivery":{"method":"urn:ietf:rfc:8935","endpoint_url":")";

update_request parse(const std::string& body, bool replace = false) {
    const auto doc = json::parse(body);
    REQUIRE(doc);
    auto r = parse_update(*doc, replace, net::egress_policy::parse({}).value());
    if (!r) MESSAGE(r.error().message());
    REQUIRE(r);
    return *r;
}

bool refused(const std::string& body, bool replace = false) {
    const auto doc = json::parse(body);
    REQUIRE(doc);
    return !parse_update(*doc, replace, net::egress_policy::parse({}).value());
}

}  // namespace

TEST_CASE("PATCH leaves what it does not name, PUT deletes it") {
    store::stream present;
    present.method = store::delivery_method::push;
    present.endpoint_url = "https://receiver.example/a";
    present.sealed_authorization = "sealed";
    present.events_requested = {"a"};
    present.capabilities = {"authority_changed"};
    present.description = "old";

    auto patched = apply_update(parse(R"({"stream_id":"s","description":"new"})"), present, "");
    CHECK(patched.description == "new");
    CHECK(patched.events_requested == strings{"a"});
    CHECK(patched.endpoint_url == present.endpoint_url);
    CHECK(patched.sealed_authorization == "sealed");

    const auto put = apply_update(parse(R"({"stream_id":"s"})", true), present, "");
    CHECK(put.method == store::delivery_method::poll);
    CHECK(put.endpoint_url.empty());
    CHECK(put.sealed_authorization.empty());
    CHECK(put.events_requested.empty());
    CHECK(put.capabilities.empty());
    CHECK(put.description.empty());
}

TEST_CASE("a null description is deleted by PATCH too") {
    store::stream present;
    present.description = "old";
    CHECK(apply_update(parse(R"({"stream_id":"s","description":null})"), present, "")
              .description.empty());
    CHECK(apply_update(parse(R"({"stream_id":"s","description":""})"), present, "")
              .description.empty());
}

TEST_CASE("an authorization header stays with its endpoint, and goes with it") {
    store::stream present;
    present.method = store::delivery_method::push;
    present.endpoint_url = "https://receiver.example/a";
    present.sealed_authorization = "sealed";
    const auto after = [&](const std::string& delivery, std::string_view sealed = "") {
        return apply_update(parse(R"({"stream_id":"s",)" + push_at + delivery + "}}"), present,
                            sealed)
            .sealed_authorization;
    };
    CHECK(after(R"(https://receiver.example/a")") == "sealed");
    CHECK(after(R"(https://receiver.example/b")").empty());
    CHECK(after(R"(https://receiver.example/a","authorization_header":null)").empty());
    CHECK(after(R"(https://receiver.example/a","authorization_header":"x")", "anew") == "anew");
    CHECK(after(R"(https://receiver.example/b","authorization_header":"x")", "anew") == "anew");
    CHECK(apply_update(parse(R"({"stream_id":"s","delivery":{"method":"urn:ietf:rfc:8936"}})"),
                       present, "")
              .sealed_authorization.empty());
}

TEST_CASE("an update needs its stream_id, and members of the right type") {
    for (const auto* body :
         {"{}", "[]", R"({"stream_id":5})", R"({"stream_id":""})",
          R"({"stream_id":"s","description":5})", R"({"stream_id":"s","events_requested":"all"})",
          R"({"stream_id":"s","mission_capabilities_supported":{}})",
          R"({"stream_id":"s","delivery":{}})", R"({"stream_id":"s","delivery":"poll"})"}) {
        CAPTURE(body);
        CHECK(refused(body));
        CHECK(refused(body, true));
    }
    CHECK(refused(R"({"stream_id":"s",)" + push_at + R"(https://10.0.0.1/"}})"));
    CHECK(refused(R"({"stream_id":"s",)" + push_at + R"(http://receiver.example/"}})"));
}

TEST_CASE("what the transmitter supplies must match what it answers") {
    const auto present = json::parse(
        R"({"stream_id":"s","iss":"https://mas.example","aud":"https://api.example",
            "events_supported":["a","b"],"events_delivered":["a"],"min_verification_interval":0,
            "default_subjects":"ALL"})");
    REQUIRE(present);
    const auto fine = [&](const char* body) {
        const auto doc = json::parse(body);
        REQUIRE(doc);
        return check_supplied(*doc, *present, "https://mas.example/ssf/poll/s").has_value();
    };
    for (const auto* body :
         {"{}", R"({"iss":"https://mas.example","aud":"https://api.example"})",
          R"({"aud":["https://api.example"]})", R"({"events_supported":["b","a"]})",
          R"({"events_delivered":["a"]})", R"({"min_verification_interval":0})",
          R"({"inactivity_timeout":null})", R"({"default_subjects":"ALL"})",
          R"({"delivery":{"method":"urn:ietf:rfc:8936"}})",
          R"({"delivery":{"method":"urn:ietf:rfc:8936",
              "endpoint_url":"https://mas.example/ssf/poll/s"}})"}) {
        CAPTURE(body);
        CHECK(fine(body));
    }
    for (const auto* body :
         {R"({"iss":"https://other.example"})", R"({"iss":null})", R"({"aud":5})",
          R"({"aud":["https://api.example","https://b.example"]})", R"({"events_supported":["a"]})",
          R"({"events_delivered":["a","b"]})", R"({"events_delivered":"a"})",
          R"({"min_verification_interval":5})", R"({"min_verification_interval":"0"})",
          R"({"inactivity_timeout":60})", R"({"default_subjects":"NONE"})",
          R"({"delivery":{"method":"urn:ietf:rfc:8936","endpoint_url":"https://x.example/"}})"}) {
        CAPTURE(body);
        CHECK_FALSE(fine(body));
    }
}

TEST_CASE("changed events begin an epoch behind the head; the same again begins none") {
    stream_store f;
    f.append_event();
    f.append_event();
    const auto id = f.create({lifecycle});
    const auto patch = [&](const std::string& rest) {
        return f.update(R"({"stream_id":")" + id + "\"," + rest + "}");
    };
    auto found = patch(R"("events_requested":[")" + lifecycle + R"("])");
    CHECK_FALSE(found.changed);
    REQUIRE(found.epochs.size() == 1);

    f.append_event();
    found =
        patch(R"("events_requested":[")" + lifecycle + "\",\"" + ours("mission-revoked") + R"("])");
    CHECK(found.changed);
    REQUIRE(found.epochs.size() == 2);
    CHECK(found.epochs.back().from_seq == 4);
    CHECK(found.epochs.front().events_delivered == strings{lifecycle});
    CHECK(found.epochs.back().events_delivered.size() == 2);

    // Nothing was committed in between: no signal can have been built by the one of 4.
    found = patch(R"("events_requested":[")" + ours("mission-revoked") + R"("])");
    REQUIRE(found.epochs.size() == 2);
    CHECK(found.epochs.back().from_seq == 4);
    CHECK(found.epochs.back().events_delivered == strings{ours("mission-revoked")});

    // What SETs do not depend on begins no epoch.
    f.append_event();
    found = patch(R"("description":"x")");
    CHECK(found.changed);
    CHECK(found.epochs.size() == 2);
    CHECK(f.row(id).description == "x");

    // Declared capabilities do: they decide what is told.
    found = patch(R"("mission_capabilities_supported":["authority_changed"])");
    CHECK(found.epochs.size() == 3);
    CHECK(found.epochs.back().from_seq == 5);
}

TEST_CASE("a refused update writes nothing") {
    stream_store f;
    const auto id = f.create({lifecycle});
    const auto doc = json::parse(R"({"stream_id":")" + id +
                                 R"(","description":"x","iss":"https://other.example"})");
    REQUIRE(doc);
    CHECK(f.try_update(*doc) == errc::stream_invalid);
    CHECK(f.row(id).description.empty());
    const auto unknown = json::parse(R"({"stream_id":"nobody","iss":"https://other.example"})");
    CHECK(f.try_update(*unknown) == errc::stream_not_found);
}
