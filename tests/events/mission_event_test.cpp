#include "events/mission_event.hpp"

#include <doctest/doctest.h>

#include <string>

#include "sample.hpp"

using namespace mission;
using namespace mission::events;

namespace {
std::string event_of(std::string state, std::optional<std::string> prior) {
    mission_change c = sample::revocation();
    c.state = std::move(state);
    c.prior_state = std::move(prior);
    return std::string(event_name(c));
}
}  // namespace

TEST_CASE("states and deadlines' actions have their names, and unknown text none") {
    for (const mission_state s :
         {mission_state::active, mission_state::suspended, mission_state::completed,
          mission_state::revoked, mission_state::expired, mission_state::superseded,
          mission_state::cascaded}) {
        CHECK(parse_state(name(s)) == s);
        CHECK(is_terminal(s) == (s != mission_state::active && s != mission_state::suspended));
    }
    CHECK_FALSE(parse_state("Active").has_value());
    CHECK_FALSE(parse_state("").has_value());
    CHECK(parse_on_expiry("resume") == on_expiry::resume);
    CHECK(parse_on_expiry("revoke") == on_expiry::revoke);
    CHECK_FALSE(parse_on_expiry("pause").has_value());
}

TEST_CASE("every version of a mission maps to exactly one event type") {
    CHECK(event_of("active", std::nullopt) == "mission-activated");
    CHECK(event_of("suspended", "active") == "mission-suspended");
    CHECK(event_of("suspended", "suspended") == "mission-suspended");  // a changed deadline
    CHECK(event_of("active", "suspended") == "mission-resumed");
    for (const char* end : {"completed", "revoked", "expired", "superseded", "cascaded"}) {
        CHECK(event_of(end, "active") == "mission-" + std::string(end));
        CHECK(event_of(end, "suspended") == "mission-" + std::string(end));
    }
    CHECK(event_of("active", "active") == "mission-scope-changed");
    CHECK(event_of("frozen", "active") == "mission-suspended");
}

TEST_CASE("a change of authority or expiry is a scope change, also while suspended") {
    mission_change c = sample::revocation();
    c.state = "suspended";
    c.prior_state = "suspended";
    c.authority_changed = true;
    CHECK(event_name(c) == "mission-scope-changed");
    c.authority_changed = false;
    c.change = "narrowed";
    CHECK(event_name(c) == "mission-scope-changed");
}

TEST_CASE("the type of a change is our base and short name, or the drafts' one type") {
    const mission_change c = sample::revocation();
    CHECK(event_type(c, form::ours) == std::string(event_type_base) + "mission-revoked");
    CHECK(event_type(c, form::ours, "https://x/") == "https://x/mission-revoked");
    CHECK(event_type(c, form::lifecycle_change) == lifecycle_change_type);
}

TEST_CASE("mission event types are recognised, near misses are not") {
    for (const std::string_view n : mission_event_names) {
        CHECK(is_mission_event(std::string(event_type_base) + std::string(n)));
        CHECK(is_mission_event("https://x/" + std::string(n), "https://x/"));
    }
    CHECK(is_mission_event(lifecycle_change_type));
    CHECK_FALSE(is_mission_event(event_type_base));
    CHECK_FALSE(is_mission_event(std::string(event_type_base) + "mission-revoked2"));
    CHECK_FALSE(is_mission_event("https://x/mission-revoked"));
    CHECK_FALSE(is_mission_event(verification_type));
}

TEST_CASE("a change comes back from our form as it went") {
    const mission_change all = sample::everything();
    CHECK(sample::through(all, form::ours).value() == all);
    const mission_change few = sample::revocation();
    CHECK(sample::through(few, form::ours).value() == few);
}

TEST_CASE("a change comes back from lifecycle-change without what only our form says") {
    mission_change c = sample::everything();
    const auto again = sample::through(c, form::lifecycle_change).value();
    c.initiating_entity.reset();
    c.reason_admin.clear();
    c.reason_user.clear();
    c.change.reset();
    c.authorization_details.reset();
    c.agent_client_id.clear();
    c.user_iss.reset();
    c.user_sub.reset();
    CHECK(again == c);
}

TEST_CASE("our body has CAEP's members, the drafts' body does not") {
    const mission_change c = sample::everything();
    const auto ours = json::parse(event_body(c, form::ours)).value();
    CHECK(json::find_int(ours, "event_timestamp") == 1793610400);
    CHECK(json::find_string(ours, "committed_at") == "2026-11-02T09:06:40.123Z");
    CHECK(ours["reason_admin"]["de"] == "Umfang verkleinert");
    CHECK(ours["authorization_details"].IsArray());
    const auto drafts = json::parse(event_body(c, form::lifecycle_change)).value();
    for (const char* member : {"event_timestamp", "initiating_entity", "reason_admin",
                               "reason_user", "change", "authorization_details"})
        CHECK_FALSE(drafts.HasMember(member));
    CHECK(json::find_bool(drafts, "authority_changed") == true);
}

TEST_CASE("authority is carried on a scope change alone") {
    mission_change c = sample::everything();
    c.state = "revoked";
    const auto body = json::parse(event_body(c, form::ours)).value();
    CHECK_FALSE(body.HasMember("authorization_details"));
    CHECK_FALSE(body.HasMember("change"));
}

TEST_CASE("what the stream may not know is left out, not sent empty") {
    mission_change c = sample::revocation();
    for (const form f : {form::ours, form::lifecycle_change}) {
        const std::string body = event_body(c, f);
        for (const char* member : {"tenant", "reason", "parent", "successor", "suspend_until",
                                   "on_expiry", "authority_hash", "authority_changed"})
            CHECK(body.find('"' + std::string(member) + '"') == std::string::npos);
    }
    CHECK(event_subject(c, form::ours).complex.size() == 2);
    c.agent_client_id.clear();
    CHECK(event_subject(c, form::ours).complex.size() == 1);
    c.prior_state.reset();
    c.state = "active";
    CHECK(event_body(c, form::ours).find("prior_state") == std::string::npos);
}

TEST_CASE(
    "the subject names mission, agent, user and tenant in our form, the mission in the drafts'") {
    const mission_change c = sample::everything();
    CHECK(
        to_json(event_subject(c, form::ours)) ==
        R"({"format":"complex","application":{"format":"iss_sub","iss":"https://as.example.com","sub":"agent-7"},)"
        R"("mission":{"format":"opaque","id":"msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-"},)"
        R"("tenant":{"format":"opaque","id":"acme"},)"
        R"("user":{"format":"iss_sub","iss":"https://idp.example.com","sub":"alice"}})");
    CHECK(event_subject(c, form::lifecycle_change) == subject::opaque(sample::mission_id));
}

TEST_CASE("the drafts' own example is read") {
    const auto body = json::parse(R"({"mission":{"id":"msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-",
        "issuer":"https://as.example.com"},"prior_state":"active","state":"revoked","version":2,
        "committed_at":"2026-11-02T09:06:40Z","expires_at":"2026-12-31T23:59:59Z",
        "reason":"Quarterly reconcile completed early","containment_version":4})");
    const auto c =
        parse_mission_event(lifecycle_change_type, *body, subject::opaque(sample::mission_id));
    REQUIRE(c.has_value());
    CHECK(c->state == "revoked");
    CHECK(c->version == 2);
    CHECK(to_rfc3339(c->committed_at) == "2026-11-02T09:06:40Z");
    CHECK(c->log_epoch.empty());
}

TEST_CASE("authority hashes are those of the mission draft's vectors") {
    const auto hash = [](const char* details) {
        return authority_hash("https://as.example.com", *json::parse(details)).value();
    };
    CHECK(hash(R"([{"type":"mission_resource_access","resource":"https://erp.example.com",
        "actions":["invoices.read"]},{"type":"mission_resource_access",
        "resource":"https://erp.example.com","actions":["journal-entries.write"],
        "constraints":{"max_amount":{"amount":"500.00","currency":"USD"}}}])") ==
          "sha-256:vUCCfjGulit9u0qJ0Z6pQSNerZtXMqRlfJNCr4PzLro");
    CHECK(hash(R"([{"type":"mission_resource_access","resource":"https://erp.example.com",
        "actions":["invoices.read"],"delegation":{"max_depth":2,
        "allowed_delegates":[{"sub_profile":"ai_agent"},{"sub":"s6BhdRkqt3"}]}}])") ==
          "sha-256:notrA9wZaP3I5Gx8UzN0mfzUjHYPeX4Ri_B3ilh7BbA");
}

TEST_CASE("an authority set with a number RFC 8785 cannot carry has no hash") {
    CHECK(authority_hash("https://as.example.com", *json::parse("[{\"n\":9007199254740993}]"))
              .error() == errc::invalid_argument);
}

TEST_CASE("mission ids have 22 to 128 characters of the URL-safe alphabet") {
    CHECK(valid_mission_id(std::string(22, 'a')));
    CHECK(valid_mission_id(std::string(128, '-')));
    CHECK_FALSE(valid_mission_id(std::string(21, 'a')));
    CHECK_FALSE(valid_mission_id(std::string(129, 'a')));
    for (const char c : {'.', '/', '%', ' ', '\n', '\0', '~', '+', '=', '\x80'})
        CHECK_FALSE(valid_mission_id(std::string(30, 'a') + c));
}

namespace {

// What the row of a change says.
mission_change beside(const mission_change& c) {
    mission_change row;
    row.mission_id = c.mission_id;
    row.version = c.version;
    row.agent_client_id = c.agent_client_id;
    row.user_iss = c.user_iss;
    row.user_sub = c.user_sub;
    row.tenant = c.tenant;
    return row;
}

}  // namespace

TEST_CASE("a record keeps a change without loss, and what is no record says so") {
    auto retold = sample::everything();
    retold.reason_admin = {{"en", *retold.reason}};
    for (const mission_change& c :
         {sample::everything(), sample::revocation(), retold, mission_change{}}) {
        const auto text = to_record(c);
        CHECK(from_record(text, beside(c)).value() == c);
        // Not a second time.
        const auto said = json::parse(text).value();
        for (const char* name : {"mission_id", "version", "agent_client_id", "user_iss", "tenant"})
            CHECK(json::find(said, name) == nullptr);
    }
    for (const char* bad : {"{}", "[]", R"({"committed_at":"1"})", R"({"committed_at":1})",
                            R"({"committed_at":1,"expires_at":1,"reason_admin":[]})"})
        CHECK(from_record(bad, {}).error() == errc::store_corrupt);
    CHECK_FALSE(from_record("{", {}).has_value());
}

TEST_CASE("a record of an earlier version says itself what its row says now") {
    const auto c = from_record(R"({"mission_id":"m","issuer":"i","state":"active","version":3,
        "committed_at":1,"expires_at":2,"authority_changed":0,"reason":"r",
        "reason_admin":{"en":"r"},"tenant":"t","agent_client_id":"a","user_iss":"u",
        "user_sub":"s"})",
                               beside(sample::everything()));
    REQUIRE(c.has_value());
    CHECK(c->mission_id == "m");
    CHECK(c->version == 3);
    CHECK(c->agent_client_id == "a");
    CHECK(c->user_iss == "u");
    CHECK(c->user_sub == "s");
    CHECK(c->tenant == "t");
    CHECK(c->reason_admin == std::map<std::string, std::string>{{"en", "r"}});
}
