#include "events/set.hpp"

#include <doctest/doctest.h>

#include <string>

#include "events/mission_event.hpp"
#include "sample.hpp"

using namespace mission;
using namespace mission::events;

namespace {

set_claims claims() {
    const mission_change c = sample::revocation();
    return {"https://as.example.com",
            "https://erp.example.com",
            to_numeric_date(c.committed_at),
            "jti-1",
            "txn-1",
            event_subject(c, form::ours),
            event_type(c, form::ours),
            event_body(c, form::ours)};
}

// The claims as text with one member replaced (`raw` empty: removed).
std::string with(const std::string& member, const std::string& raw) {
    auto doc = json::parse(encode(claims())).value();
    doc.RemoveMember(member.c_str());
    if (!raw.empty()) {
        auto v = json::parse(raw).value();
        json::value copy(v, doc.GetAllocator());
        json::add(doc, member, std::move(copy), doc.GetAllocator());
    }
    return json::write(doc);
}
errc fault(const std::string& text) {
    const auto set = decode(text);
    return set ? errc{} : set.error().code;
}

}  // namespace

TEST_CASE("a set of claims comes back as it went") {
    const set_claims c = claims();
    const auto set = decode(encode(c));
    REQUIRE(set.has_value());
    CHECK(set->iss == c.iss);
    CHECK(set->aud == std::vector<std::string>{c.aud});
    CHECK(set->iat == c.iat);
    CHECK(set->jti == c.jti);
    CHECK(set->txn == c.txn);
    CHECK(set->sub_id == c.sub_id);
    CHECK(set->type == c.type);
    CHECK(json::write(*set->event) == c.event);
}

TEST_CASE(
    "the claims are printed in one order, without sub and exp, and txn only when there is one") {
    set_claims c = claims();
    CHECK(encode(c) == encode(c));
    CHECK(encode(c).starts_with(
        R"({"iss":"https://as.example.com","aud":"https://erp.example.com","iat":)"));
    const auto doc = json::parse(encode(c)).value();
    CHECK_FALSE(doc.HasMember("sub"));
    CHECK_FALSE(doc.HasMember("exp"));
    CHECK(doc["aud"].IsString());
    CHECK(doc["events"].MemberCount() == 1);
    c.txn.clear();
    CHECK_FALSE(json::parse(encode(c))->HasMember("txn"));
    CHECK_FALSE(decode(encode(c))->txn.has_value());
}

TEST_CASE("a change's SET in one pass is the text of its parts put together") {
    mission_change odd = sample::everything();
    odd.reason = std::string("quote \" slash \\ bell \a tab \t nul ") + '\0' + "end";
    odd.tenant = "twelve chars\"";
    for (const mission_change& c : {sample::revocation(), sample::everything(), odd})
        for (const form f : {form::ours, form::lifecycle_change})
            for (const std::string_view base :
                 {event_type_base, std::string_view("https://x/\"/")}) {
                const set_claims parts{c.issuer,
                                       "a\"ud",
                                       7,
                                       "j",
                                       "t",
                                       event_subject(c, f),
                                       event_type(c, f, base),
                                       event_body(c, f)};
                const std::string text =
                    encode_mission_set(c, f, {c.issuer, "a\"ud", 7, "j", "t"}, base);
                CHECK(text == encode(parts));
                REQUIRE(json::parse(text).has_value());
                CHECK(decode(text)->sub_id == event_subject(c, f));
            }
}

TEST_CASE("the event stays readable when the received set is moved") {
    auto set = decode(encode(claims()));
    const received_set moved = std::move(*set);
    CHECK(json::find_string(*moved.event, "state") == "revoked");
    CHECK(json::find(moved.claims, "events") != nullptr);
}

TEST_CASE("aud may be an array of strings, never something else or nothing") {
    CHECK(decode(with("aud", R"(["a","b"])"))->aud == std::vector<std::string>{"a", "b"});
    for (const char* bad : {"", "[]", "7", "null", "[7]", "{}"})
        CHECK(fault(with("aud", bad)) == errc::bad_claims);
}

TEST_CASE("iss, iat and jti are required and of their types") {
    for (const char* member : {"iss", "iat", "jti"})
        for (const char* bad : {"", "null", "[]", "\"\"", "true"}) {
            const auto set = decode(with(member, bad));
            REQUIRE_FALSE(set.has_value());
            CHECK(set.error() == errc::bad_claims);
            CHECK(set.error().detail.find(member) != std::string::npos);
        }
    CHECK(decode(with("iat", "1793609600.75"))->iat == 1793609600);
    CHECK(fault(with("iat", "1e300")) == errc::bad_claims);
    CHECK(fault(with("iat", "-1.5")) == errc::bad_claims);
    CHECK(fault(with("txn", "7")) == errc::bad_claims);
}

TEST_CASE("a SET with sub or exp is refused, whatever their value") {
    for (const char* value : {"\"x\"", "null", "1793609600"}) {
        CHECK(fault(with("sub", value)) == errc::bad_claims);
        CHECK(fault(with("exp", value)) == errc::bad_claims);
    }
}

TEST_CASE("events has exactly one member, which is an object") {
    for (const char* bad :
         {"", "{}", "[]", "7", R"({"a":{},"b":{}})", R"({"a":7})", R"({"a":null})"})
        CHECK(fault(with("events", bad)) == errc::bad_claims);
    CHECK(decode(with("events", R"({"https://x/y":{}})"))->type == "https://x/y");
}

TEST_CASE("a missing sub_id is left to the caller, a wrong one is refused") {
    CHECK_FALSE(decode(with("sub_id", ""))->sub_id.has_value());
    CHECK(fault(with("sub_id", "\"x\"")) == errc::bad_claims);
    CHECK(fault(with("sub_id", R"({"format":"opaque"})")) == errc::bad_claims);
}

TEST_CASE("a payload that is no JSON object is a malformed token; duplicates are named as such") {
    for (const char* bad : {"", "{", "[]", "null", "\"x\"", "{}x", "{\"iss\":\"\xff\"}"})
        CHECK(fault(bad) == errc::malformed_token);
    CHECK(fault(R"({"iss":"a","iss":"b"})") == errc::duplicate_member);
    CHECK(fault(R"({"events":{"a":{},"a":{}}})") == errc::duplicate_member);
    CHECK(fault(std::string(100'000, '[')) == errc::malformed_token);
    CHECK(fault(std::string(400'000, ' ')) == errc::malformed_token);
}

TEST_CASE("a verification comes back with its state or as a heartbeat") {
    const auto through = [](const verification& v) {
        return parse_verification(*json::parse(to_json(v)));
    };
    CHECK(to_json(verification{}) == "{}");
    verification asked;
    asked.state = "abc \"quoted\"";
    CHECK(through(asked)->state == asked.state);
    verification beat;
    beat.as_of = from_rfc3339("2026-11-02T09:06:40.5Z").value();
    beat.continuity = 3;
    beat.log_epoch = "e1";
    const auto again = through(beat).value();
    CHECK(again.as_of == beat.as_of);
    CHECK(again.continuity == 3);
    CHECK(again.log_epoch == "e1");
    CHECK_FALSE(again.state.has_value());
}

TEST_CASE("a heartbeat has all three members, of the right types") {
    const auto bad = [](const char* text) {
        return parse_verification(*json::parse(text)).error().code;
    };
    for (const char* text :
         {R"({"as_of":"2026-11-02T09:06:40Z"})", R"({"continuity":1,"log_epoch":"e"})",
          R"({"as_of":"yesterday","continuity":1,"log_epoch":"e"})",
          R"({"as_of":1,"continuity":1,"log_epoch":"e"})",
          R"({"as_of":"2026-11-02T09:06:40Z","continuity":"1","log_epoch":"e"})",
          R"({"as_of":"2026-11-02T09:06:40Z","continuity":1,"log_epoch":7})", R"({"state":7})",
          "[]"})
        CHECK(bad(text) == errc::bad_claims);
}

TEST_CASE("a stream-updated event has a status that is known") {
    for (const char* status : {"enabled", "paused", "disabled"}) {
        const auto u = parse_stream_updated(*json::parse(to_json(stream_updated{status, "why"})));
        CHECK(u->status == status);
        CHECK(u->reason == "why");
    }
    CHECK_FALSE(parse_stream_updated(*json::parse(to_json(stream_updated{"paused", {}})))->reason);
    for (const char* bad :
         {"{}", "[]", R"({"status":"on"})", R"({"status":7})", R"({"status":"paused","reason":7})"})
        CHECK(parse_stream_updated(*json::parse(bad)).error() == errc::bad_claims);
}

TEST_CASE("the subject of SSF's own events is the stream") {
    CHECK(to_json(stream_subject("s1")) == R"({"format":"opaque","id":"s1"})");
}
