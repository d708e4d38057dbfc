// Mission events that are signed by the right key and wrong all the same.
#include <doctest/doctest.h>

#include <string>

#include "events/mission_event.hpp"
#include "sample.hpp"

using namespace mission;
using namespace mission::events;

namespace {

// The sample's body with one member replaced (`raw` empty: removed).
json::document body_with(const mission_change& c, form f, const std::string& member,
                         const std::string& raw) {
    auto doc = json::parse(event_body(c, f)).value();
    doc.RemoveMember(member.c_str());
    if (!raw.empty()) {
        json::value copy(json::parse(raw).value(), doc.GetAllocator());
        json::add(doc, member, std::move(copy), doc.GetAllocator());
    }
    return doc;
}
result<mission_change> read(const std::string& member, const std::string& raw,
                            form f = form::ours) {
    const mission_change c = sample::everything();
    return parse_mission_event(event_type(c, f), body_with(c, f, member, raw), event_subject(c, f));
}

}  // namespace

TEST_CASE("every required member is required, and named when it is missing or of another type") {
    for (const form f : {form::ours, form::lifecycle_change})
        for (const char* member : {"mission", "state", "version", "committed_at", "expires_at"})
            for (const char* bad : {"", "null", "[]", "true"}) {
                const auto c = read(member, bad, f);
                REQUIRE_FALSE(c.has_value());
                CHECK(c.error() == errc::bad_claims);
                CHECK(c.error().detail.find(member) != std::string::npos);
            }
}

TEST_CASE("log_epoch is required in our form, and a foreign transmitter's event may lack it") {
    CHECK(read("log_epoch", "").error() == errc::bad_claims);
    CHECK(read("log_epoch", "", form::lifecycle_change).has_value());
    CHECK(read("log_epoch", "7", form::lifecycle_change).error() == errc::bad_claims);
}

TEST_CASE("optional members are of their types when they are there") {
    for (const char* member : {"prior_state", "suspend_until", "on_expiry", "successor", "tenant",
                               "reason", "authority_changed", "initiating_entity", "reason_admin",
                               "reason_user", "change", "authorization_details"}) {
        CHECK(read(member, "7").error() == errc::bad_claims);
        CHECK(read(member, "").has_value());
    }
    CHECK(read("reason_admin", R"({"en":7})").error() == errc::bad_claims);
}

TEST_CASE("a parent may be an object, as the mission claim has it, and is known by its id") {
    const mission_change c = sample::everything();
    const auto with_parent = [&](const std::string& raw) {
        auto body = body_with(c, form::lifecycle_change, "", "");
        auto& a = body.GetAllocator();
        auto& mission = body["mission"];
        mission.RemoveMember("parent");
        json::add(mission, "parent", json::value(json::parse(raw).value(), a), a);
        return parse_mission_event(lifecycle_change_type, body,
                                   event_subject(c, form::lifecycle_change));
    };
    const auto named =
        with_parent(R"({"id":"msn_parent_0123456789abcd","issuer":"https://mas.example","depth":1,)"
                    R"("cascade_mode":"immediate"})");
    REQUIRE(named.has_value());
    CHECK(named->parent == "msn_parent_0123456789abcd");
    // Lineage is no reason to lose a revocation.
    const auto nameless = with_parent(R"({"depth":1})");
    REQUIRE(nameless.has_value());
    CHECK_FALSE(nameless->parent);
    CHECK(with_parent("7").error() == errc::bad_claims);
}

TEST_CASE("a version is a positive integer") {
    for (const char* bad : {"0", "-1", "1.5", "\"2\"", "18446744073709551615", "1e3"})
        CHECK(read("version", bad).error() == errc::bad_claims);
    CHECK(read("version", "9007199254740991").has_value());
}

TEST_CASE("times are RFC 3339") {
    for (const char* member : {"committed_at", "expires_at", "suspend_until"})
        for (const char* bad : {"\"\"", "\"tomorrow\"", "\"2026-13-01T00:00:00Z\"",
                                "\"2026-11-02 09:06:40\"", "1793609600"})
            CHECK(read(member, bad).error() == errc::bad_claims);
}

TEST_CASE(
    "unknown members and an unknown on_expiry are ignored, an unknown state is kept as text") {
    CHECK(read("x-vendor", R"({"a":[1]})").value() == sample::everything());
    CHECK_FALSE(read("on_expiry", "\"explode\"")->expiry_action.has_value());
    const auto frozen = read("state", "\"frozen\"", form::lifecycle_change);
    REQUIRE(frozen.has_value());
    CHECK(frozen->state == "frozen");
    CHECK_FALSE(parse_state(frozen->state).has_value());
}

TEST_CASE("an event whose type and state contradict one another is refused") {
    const mission_change c = sample::revocation();
    const auto typed = [&](const std::string& short_name, const std::string& state) {
        const auto body = body_with(c, form::ours, "state", '"' + state + '"');
        const auto r = parse_mission_event(std::string(event_type_base) + short_name, body,
                                           event_subject(c, form::ours));
        return r ? errc{} : r.error().code;
    };
    CHECK(typed("mission-revoked", "revoked") == errc{});
    CHECK(typed("mission-revoked", "active") == errc::bad_claims);
    CHECK(typed("mission-revoked", "completed") == errc::bad_claims);
    CHECK(typed("mission-activated", "revoked") == errc::bad_claims);
    CHECK(typed("mission-resumed", "suspended") == errc::bad_claims);
    CHECK(typed("mission-suspended", "suspended") == errc{});
    CHECK(typed("mission-suspended", "frozen") == errc{});
    CHECK(typed("mission-scope-changed", "expired") == errc::bad_claims);
}

TEST_CASE("sub_id must name the same mission as the body") {
    const mission_change c = sample::revocation();
    mission_change other = c;
    other.mission_id = "msn_another_0123456789abcd";
    for (const form f : {form::ours, form::lifecycle_change}) {
        const auto body = json::parse(event_body(c, f)).value();
        const auto with = [&](const subject& s) {
            return parse_mission_event(event_type(c, f), body, s);
        };
        CHECK(with(event_subject(c, f)).has_value());
        CHECK(with(event_subject(other, f)).error() == errc::bad_claims);
        CHECK(with(subject::iss_sub("i", "s")).error() == errc::bad_claims);
        CHECK(with(subject{}).error() == errc::bad_claims);
        const form another = f == form::ours ? form::lifecycle_change : form::ours;
        CHECK(with(event_subject(c, another)).error() == errc::bad_claims);
    }
}

TEST_CASE("an agent of another issuer in sub_id is not taken for the mission's") {
    const mission_change c = sample::revocation();
    subject s = event_subject(c, form::ours);
    s.complex["application"] = subject::iss_sub("https://elsewhere.example", "agent-7");
    const auto r =
        parse_mission_event(event_type(c, form::ours), *json::parse(event_body(c, form::ours)), s);
    REQUIRE(r.has_value());
    CHECK(r->agent_client_id.empty());
}

TEST_CASE("a mission id with wrong characters or length is refused") {
    for (const char* id :
         {"", "short", "msn_0123456789abcdef/../etc", "msn_0123456789 abcdefghij"}) {
        const std::string mission = R"({"id":")" + std::string(id) + R"(","issuer":"https://as"})";
        CHECK(read("mission", mission).error() == errc::bad_claims);
    }
    CHECK(read("mission", R"({"id":"msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-"})").error() ==
          errc::bad_claims);
}

TEST_CASE("other types of events are not ours to read") {
    const auto body = json::parse("{}").value();
    CHECK(parse_mission_event(verification_type, body, {}).error() == errc::not_found);
    CHECK(parse_mission_event("", body, {}).error() == errc::not_found);
    CHECK(parse_mission_event(lifecycle_change_type, *json::parse("[]"), {}).error() ==
          errc::bad_claims);
}
