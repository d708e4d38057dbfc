#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include <set>

#include "transmitter/api/opaque_number.hpp"
#include "transmitter/missions/report_rules.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace std::chrono_literals;
using action = report_rule_config::action;

namespace {

const wall_time now = from_milliseconds(1'800'000'000'000);

report_rule_config rule(std::string name, std::string kind, action what) {
    report_rule_config out;
    out.name = std::move(name);
    out.kind = std::move(kind);
    out.what = what;
    return out;
}

store::mission_record record(std::string agent, std::optional<std::string> tenant) {
    store::mission_record r;
    r.agent_client_id = std::move(agent);
    r.tenant = std::move(tenant);
    return r;
}

store::mission_state active() {
    store::mission_state s;
    s.row = store::mission_row{1};
    s.state = events::mission_state::active;
    s.version = 1;
    s.expires_at = now + 1h;
    return s;
}

}  // namespace

TEST_CASE("the first rule that fits in every member decides") {
    auto of_client = rule("client", "completed", action::complete);
    of_client.clients = {"a", "b"};
    auto of_agent = rule("agent", "completed", action::revoke);
    of_agent.agent = "agent-7";
    of_agent.tenant = "acme";
    auto elsewhere = rule("elsewhere", "completed", action::suspend);
    elsewhere.issuer = "https://other.example";
    const std::vector rules{of_client, elsewhere, of_agent,
                            rule("all", "anomaly", action::suspend)};
    const auto name = [&](std::string_view client, std::string_view kind, std::string agent,
                          std::optional<std::string> tenant) {
        const auto* r = rule_for(rules, "https://us.example", client, kind, record(agent, tenant));
        return r ? r->name : "";
    };
    CHECK(name("a", "completed", "agent-7", "acme") == "client");
    CHECK(name("c", "completed", "agent-7", "acme") == "agent");
    CHECK(name("c", "completed", "agent-8", "acme") == "");
    CHECK(name("c", "completed", "agent-7", "umbrella") == "");
    CHECK(name("c", "completed", "agent-7", std::nullopt) == "");
    CHECK(name("c", "anomaly", "x", std::nullopt) == "all");
    CHECK(name("a", "failed", "agent-7", "acme") == "");
}

TEST_CASE("a rule's operation is what it says, and a hold never reaches beyond the end") {
    CHECK_FALSE(operation_of(rule("n", "failed", action::none), active(), now));
    const auto end = operation_of(rule("c", "completed", action::complete), active(), now);
    REQUIRE(end);
    CHECK(end->what == operation::complete);
    CHECK(end->reason == "reported: completed");
    auto hold = rule("s", "anomaly", action::suspend);
    CHECK_FALSE(operation_of(hold, active(), now)->suspend_until);
    hold.suspend_for = 60s;
    hold.on_expiry = "revoke";
    const auto timed = operation_of(hold, active(), now);
    REQUIRE(timed->suspend_until);
    CHECK(*timed->suspend_until == now + 60s);
    CHECK(timed->expiry_action == events::on_expiry::revoke);
    hold.suspend_for = 2h;
    const auto beyond = operation_of(hold, active(), now);
    CHECK_FALSE(beyond->suspend_until);
    CHECK_FALSE(beyond->expiry_action);
    CHECK(judge_report(active(), *beyond, now));
}

TEST_CASE("a report never replaces a hold that stands, for that could shorten it") {
    auto held = active();
    held.state = events::mission_state::suspended;
    operation_request hold;
    hold.what = operation::suspend;
    hold.suspend_until = now + 1min;
    hold.expiry_action = events::on_expiry::resume;
    // An operator's request would be a change.
    REQUIRE(judge_operation(held, hold, now));
    CHECK(*judge_operation(held, hold, now));
    const auto judged = judge_report(held, hold, now);
    REQUIRE(judged);
    CHECK_FALSE(*judged);
    const auto fresh = judge_report(active(), hold, now);
    REQUIRE(fresh);
    CHECK(*fresh);
}

TEST_CASE("a number's name goes both ways and shows no order") {
    const number_permutation p("key"), other("other");
    std::set<std::uint64_t> seen;
    int ascending = 0;
    std::uint64_t last = 0;
    for (std::uint64_t n = 0; n < 1000; ++n) {
        const auto name = p.forward(n);
        REQUIRE(p.backward(name) == n);
        REQUIRE(p.forward(p.backward(n)) == n);
        REQUIRE(seen.insert(name).second);
        ascending += name > last;
        last = name;
        REQUIRE(parse_number_text(number_text(name)) == name);
    }
    CHECK(ascending > 400);
    CHECK(ascending < 600);
    CHECK(p.forward(7) != other.forward(7));
    CHECK(number_text(0) == "AAAAAAAAAAA");
    for (const auto* text : {"", "AAAAAAAAAA", "AAAAAAAAAAAA", "AAAAAAAAAA!", "AAAAAAAAAAB"})
        CHECK_FALSE(parse_number_text(text));
}
