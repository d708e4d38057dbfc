#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include "transmitter/missions/commit.hpp"
#include "transmitter/missions/judge.hpp"

using namespace mission;
using namespace mission::transmitter;
using events::mission_state;

namespace {

const wall_time now = from_milliseconds(1'800'000'000'000);
using std::chrono::hours;

store::mission_state held(mission_state s) {
    store::mission_state m;
    m.state = s;
    m.version = 7;
    m.authority_revision = 1;
    m.expires_at = now + hours(10);
    return m;
}

operation_request op(operation o) {
    operation_request r;
    r.what = o;
    return r;
}

// What the table of wire.md section 4 says: the state after, "same" (success without a change) or
// "conflict".
struct expectation {
    operation what;
    mission_state from;
    std::string_view then;
};

constexpr mission_state all_states[] = {mission_state::active,    mission_state::suspended,
                                        mission_state::completed, mission_state::revoked,
                                        mission_state::expired,   mission_state::superseded,
                                        mission_state::cascaded};

std::string_view expected(operation o, mission_state from) {
    const bool live = from == mission_state::active || from == mission_state::suspended;
    switch (o) {
        case operation::revoke:
            return live ? "revoked" : from == mission_state::revoked ? "same" : "conflict";
        case operation::complete:
            return live ? "completed" : from == mission_state::completed ? "same" : "conflict";
        case operation::suspend:
            return from == mission_state::active      ? "suspended"
                   : from == mission_state::suspended ? "same"
                                                      : "conflict";
        case operation::resume:
            return from == mission_state::suspended ? "active" : "conflict";
    }
    return "";
}

}  // namespace

TEST_CASE("every operation from every state does what the table says") {
    for (const auto o :
         {operation::revoke, operation::suspend, operation::resume, operation::complete})
        for (const auto from : all_states) {
            CAPTURE(std::string(name(o)));
            CAPTURE(std::string(events::name(from)));
            const auto before = held(from);
            const auto r = judge_operation(before, op(o), now);
            const auto then = expected(o, from);
            if (then == "conflict") {
                REQUIRE_FALSE(r);
                CHECK(r.error().code == errc::mission_conflict);
            } else if (then == "same") {
                REQUIRE(r);
                CHECK_FALSE(r->has_value());
            } else {
                REQUIRE(r);
                REQUIRE(r->has_value());
                CHECK(events::name((*r)->next.state) == then);
                CHECK((*r)->next.version == 8);
                CHECK((*r)->next.changed_at == now);
            }
        }
}

TEST_CASE("resume of an active mission is a conflict, not a success") {
    const auto r = judge_operation(held(mission_state::active), op(operation::resume), now);
    REQUIRE_FALSE(r);
    CHECK(r.error().code == errc::mission_conflict);
}

TEST_CASE("suspend with another deadline, or without one where one stands, is a change") {
    auto m = held(mission_state::suspended);
    m.suspend_until = now + hours(1);
    m.on_expiry = events::on_expiry::resume;
    auto same = op(operation::suspend);
    same.suspend_until = m.suspend_until;
    same.expiry_action = m.on_expiry;
    CHECK_FALSE(judge_operation(m, same, now)->has_value());

    auto later = same;
    later.suspend_until = now + hours(2);
    CHECK((*judge_operation(m, later, now))->next.suspend_until == now + hours(2));
    auto other = same;
    other.expiry_action = events::on_expiry::revoke;
    CHECK((*judge_operation(m, other, now))->next.on_expiry == events::on_expiry::revoke);
    const auto none = judge_operation(m, op(operation::suspend), now);
    REQUIRE(none->has_value());
    CHECK_FALSE((*none)->next.suspend_until);
    CHECK_FALSE((*none)->next.on_expiry);
    CHECK((*none)->next.state == mission_state::suspended);
}

TEST_CASE("a deadline in the past or beyond the mission's end is refused") {
    auto r = op(operation::suspend);
    r.expiry_action = events::on_expiry::resume;
    r.suspend_until = now;
    CHECK(judge_operation(held(mission_state::active), r, now).error().code ==
          errc::invalid_request);
    r.suspend_until = now + hours(11);
    CHECK(judge_operation(held(mission_state::active), r, now).error().code ==
          errc::invalid_request);
}

TEST_CASE("leaving suspension drops its deadline") {
    auto m = held(mission_state::suspended);
    m.suspend_until = now + hours(1);
    m.on_expiry = events::on_expiry::revoke;
    const auto r = judge_operation(m, op(operation::resume), now);
    CHECK_FALSE((*r)->next.suspend_until);
    CHECK_FALSE((*r)->next.on_expiry);
}

TEST_CASE("another expected version is stale, before anything else is judged") {
    auto r = op(operation::resume);
    r.expected_version = 6;
    CHECK(judge_operation(held(mission_state::revoked), r, now).error().code ==
          errc::stale_version);
    r.expected_version = 7;
    CHECK(judge_operation(held(mission_state::suspended), r, now).has_value());
}

TEST_CASE("a mission past its end is expired, also when its suspension ends too") {
    for (const auto s : {mission_state::active, mission_state::suspended}) {
        auto m = held(s);
        m.expires_at = now;
        m.suspend_until = now - hours(1);
        m.on_expiry = events::on_expiry::resume;
        const auto p = judge_clock(m, now);
        REQUIRE(p);
        CHECK(p->next.state == mission_state::expired);
        CHECK(p->next.version == 8);
        CHECK(p->initiating_entity == "system");
    }
}

TEST_CASE("a suspension that ends resumes or revokes as it was told") {
    auto m = held(mission_state::suspended);
    m.suspend_until = now;
    m.on_expiry = events::on_expiry::resume;
    CHECK(judge_clock(m, now)->next.state == mission_state::active);
    m.on_expiry = events::on_expiry::revoke;
    CHECK(judge_clock(m, now)->next.state == mission_state::revoked);
    CHECK_FALSE(judge_clock(m, now - std::chrono::milliseconds(1)));
}

TEST_CASE("the clock moves no terminal mission") {
    for (const auto s : all_states) {
        if (!events::is_terminal(s)) continue;
        auto m = held(s);
        m.expires_at = now - hours(1);
        CHECK_FALSE(judge_clock(m, now));
        CHECK_FALSE(next_deadline(m));
    }
}

TEST_CASE("the next deadline is the nearer one") {
    auto m = held(mission_state::suspended);
    CHECK(next_deadline(m) == m.expires_at);
    m.suspend_until = now + hours(1);
    CHECK(next_deadline(m) == m.suspend_until);
}

TEST_CASE("a narrowing makes a new revision and leaves the state alone") {
    const auto old_set =
        json::parse(R"([{"type":"mission_resource_access","resource":"r","actions":["a","b"]}])");
    const auto new_set =
        json::parse(R"([{"type":"mission_resource_access","resource":"r","actions":["a"]}])");
    scope_request r;
    r.authorization_details = &*new_set;
    r.reason = "less";
    for (const auto s : {mission_state::active, mission_state::suspended}) {
        const auto p = judge_narrowing(held(s), *old_set, r, now);
        REQUIRE(p);
        REQUIRE(p->has_value());
        CHECK((*p)->next.state == s);
        CHECK((*p)->next.version == 8);
        CHECK((*p)->next.authority_revision == 2);
        CHECK((*p)->authority_changed);
        CHECK((*p)->change == "narrowed");
        CHECK((*p)->authorization_details == json::write(*new_set));
    }
    r.authorization_details = &*old_set;
    const auto widened = judge_narrowing(held(mission_state::active), *new_set, r, now);
    REQUIRE_FALSE(widened);
    CHECK(widened.error().code == errc::extension_not_allowed);
    CHECK(judge_narrowing(held(mission_state::revoked), *old_set, r, now).error().code ==
          errc::mission_conflict);
    CHECK_FALSE(judge_narrowing(held(mission_state::active), *old_set, r, now)->has_value());
}

TEST_CASE("an end may come nearer, never later") {
    const auto set = json::parse("[]");
    scope_request r;
    r.expires_at = now + hours(5);
    const auto p = judge_narrowing(held(mission_state::active), *set, r, now);
    REQUIRE(p->has_value());
    CHECK((*p)->next.expires_at == now + hours(5));
    CHECK((*p)->next.authority_revision == 1);
    CHECK_FALSE((*p)->authority_changed);
    r.expires_at = now + hours(11);
    CHECK(judge_narrowing(held(mission_state::active), *set, r, now).error().code ==
          errc::extension_not_allowed);
    r.expires_at = now;
    CHECK(judge_narrowing(held(mission_state::active), *set, r, now).error().code ==
          errc::invalid_request);
}

TEST_CASE("the record of a change says what the signal will say") {
    store::mission m;
    m.record.mission_id = "0123456789012345678901";
    m.record.authority_hash = "sha-256:x";
    m.record.agent_client_id = "agent-7";
    m.record.subject = {"https://idp", "bob"};
    m.record.tenant = "acme";
    m.state = held(mission_state::active);
    m.state.row = store::mission_row{3};
    m.resources = {"https://erp.example"};
    auto request = op(operation::suspend);
    request.reason = "audit";
    const auto p = judge_operation(m.state, request, now);
    const auto c = to_commit(m, **p, "[]", {"https://iss", "epoch", "txn-1", now});
    const auto change = events::from_record(c.body, {});
    REQUIRE(change);
    CHECK(change->state == "suspended");
    CHECK(change->prior_state == "active");
    CHECK(c.state.version == 8);
    CHECK(change->committed_at == now);
    CHECK(change->reason == "audit");
    CHECK(change->initiating_entity == "admin");
    CHECK(change->log_epoch == "epoch");
    CHECK(change->issuer == "https://iss");
    CHECK(c.keys.user->sub == "bob");
    CHECK(c.txn == "txn-1");
    CHECK(c.keys.tenant == "acme");
    CHECK(c.keys.resources == m.resources);
    CHECK(c.state.row == m.state.row);
    CHECK(c.resources.empty());  // as they were
}

TEST_CASE("audiences once named stay named") {
    const auto set = json::parse(R"([{"resource":"b"},{"resource":"a"},{"resource":"b"},{}])");
    CHECK(resources_of(*set, {"c"}) == std::vector<std::string>{"a", "b", "c"});
}
