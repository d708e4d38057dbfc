#include "transmitter/missions/management.hpp"

#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

using namespace mission;
using namespace mission::transmitter;

namespace {

const wall_time now = from_numeric_date(1'800'000'000);

result<manage_request> read(const std::string& text) {
    const auto body = json::parse(text);
    REQUIRE(body);
    return read_manage_request(*body);
}

std::string suspend(const std::string& more) {
    return R"({"operation":"suspend","mode":"dry_run","reason":"r","nonce":"n")" + more + "}";
}

store::mission_state standing(events::mission_state s) {
    store::mission_state m;
    m.state = s;
    m.version = 3;
    m.expires_at = now + std::chrono::hours(1);
    return m;
}

operation_request asks(operation what) {
    operation_request r;
    r.what = what;
    return r;
}

store::bulk_job job_of(const manage_request& r) {
    store::bulk_job job;
    job.client_id = "ops";
    job.request = r.binding;
    job.status = store::bulk_status::pinned;
    job.expires_at = now + std::chrono::minutes(1);
    return job;
}

}  // namespace

TEST_CASE(
    "a filter is the same whatever the order of its members, and another with another value") {
    const auto one = read(suspend(R"(,"filter":{"tenant":"a","client_id":"b"})"));
    const auto two = read(suspend(R"(,"filter":{"client_id":"b", "tenant":"a"})"));
    const auto other = read(suspend(R"(,"filter":{"client_id":"b","tenant":"c"})"));
    REQUIRE(one);
    REQUIRE(two);
    REQUIRE(other);
    CHECK(one->filter.canonical == two->filter.canonical);
    CHECK(one->binding == two->binding);
    CHECK(one->binding != other->binding);
}

TEST_CASE("a token binds operation, filter and deadline, but no reason and no nonce") {
    const std::string filter = R"(,"filter":{})";
    const std::string until = R"(,"suspend_until":"2030-01-01T00:00:00Z","on_expiry":"revoke")";
    const auto plain = read(suspend(filter)).value();
    CHECK(read(suspend(filter + until))->binding != plain.binding);
    CHECK(read(R"({"operation":"suspend","mode":"dry_run","reason":"other","nonce":"m")" + filter +
               "}")
              ->binding == plain.binding);
    CHECK(read(R"({"operation":"revoke","mode":"dry_run","reason":"r","nonce":"n")" + filter + "}")
              ->binding != plain.binding);
}

TEST_CASE("each of the bindings of a token is checked") {
    const auto request = read(suspend(R"(,"filter":{"tenant":"a"})")).value();
    auto job = job_of(request);
    CHECK(check_bulk_token(job, "ops", request.binding, now));
    CHECK(check_bulk_token(std::nullopt, "ops", request.binding, now).error() ==
          errc::invalid_bulk_token);
    CHECK_FALSE(check_bulk_token(job, "others", request.binding, now));
    CHECK_FALSE(check_bulk_token(job, "ops", "{}", now));
    CHECK_FALSE(check_bulk_token(job, "ops", request.binding, job.expires_at));
    for (const auto status :
         {store::bulk_status::pinning, store::bulk_status::running, store::bulk_status::done}) {
        job.status = status;
        CHECK_FALSE(check_bulk_token(job, "ops", request.binding, now));
        CHECK_FALSE(check_review(job, "ops", request.filter.canonical, now));
    }
    job.status = store::bulk_status::pinned;
    CHECK(check_review(job, "ops", request.filter.canonical, now));
    CHECK_FALSE(check_review(job, "ops", "{}", now));
    CHECK_FALSE(check_review(job, "others", request.filter.canonical, now));
}

TEST_CASE("a job remembers its operation") {
    const auto request = read(suspend(R"(,"filter":{},"suspend_until":"2030-01-01T00:00:00Z",)"
                                      R"("on_expiry":"resume")"))
                             .value();
    const auto op = operation_of(job_of(request));
    REQUIRE(op);
    CHECK(op->what == operation::suspend);
    CHECK(op->suspend_until == from_rfc3339("2030-01-01T00:00:00Z").value());
    CHECK(op->expiry_action == events::on_expiry::resume);
    CHECK_FALSE(operation_of(store::bulk_job{}));
}

TEST_CASE("a filter too long to be kept is refused") {
    std::string states;
    for (int i = 0; i < 64; ++i)
        states += std::string(i ? "," : "") + "\"" + std::string(256, 'x') + "\"";
    const auto r = read(suspend(R"(,"filter":{"state":[)" + states + "]}"));
    REQUIRE_FALSE(r);
    CHECK(r.error() == errc::invalid_request);
}

TEST_CASE("an ended mission is told apart from one that stands where the operation leads") {
    using s = events::mission_state;
    for (const auto ended : {s::completed, s::revoked, s::expired, s::superseded, s::cascaded})
        for (const auto what :
             {operation::revoke, operation::suspend, operation::resume, operation::complete}) {
            const auto v = judge_member(standing(ended), asks(what), now);
            CHECK(v.outcome == bulk_outcome::already_terminal);
            CHECK_FALSE(v.change);
        }
    CHECK(judge_member(standing(s::active), asks(operation::resume), now).outcome ==
          bulk_outcome::illegal_transition);
    const auto again = judge_member(standing(s::suspended), asks(operation::suspend), now);
    CHECK(again.outcome == bulk_outcome::applied);
    CHECK_FALSE(again.change);
    const auto revoked = judge_member(standing(s::suspended), asks(operation::revoke), now);
    CHECK(revoked.outcome == bulk_outcome::applied);
    REQUIRE(revoked.change);
    CHECK(revoked.change->next.state == s::revoked);
    CHECK(revoked.change->next.version == 4);
}

TEST_CASE("a deadline beyond a mission's end is cut to it, and the mission is held") {
    auto request = asks(operation::suspend);
    request.suspend_until = now + std::chrono::hours(5);
    request.expiry_action = events::on_expiry::resume;
    const auto held = standing(events::mission_state::active);
    const auto v = judge_member(held, request, now);
    CHECK(v.outcome == bulk_outcome::applied);
    REQUIRE(v.change);
    CHECK(v.change->next.suspend_until == held.expires_at);
}

TEST_CASE("a grant is judged from the client's entry and the request alone") {
    const auto asked = [](const std::string& filter) {
        return read(R"({"operation":"revoke","mode":"dry_run","reason":"r","nonce":"n","filter":)" +
                    filter + "}")
            .value();
    };
    client_config c;
    c.lifecycle = {"revoke"};
    CHECK(check_grant(c, false, asked("{}")).error() == errc::forbidden);
    c.missions.what = mission_visibility::kind::all;
    CHECK(check_grant(c, false, asked("{}")));
    CHECK_FALSE(check_grant(c, true, asked("{}")));
    c.lifecycle = {"suspend"};
    CHECK_FALSE(check_grant(c, false, asked("{}")));
    c.lifecycle = {"revoke"};
    c.missions.what = mission_visibility::kind::listed;
    c.missions.tenants = {"t"};
    c.missions.agents = {"a"};
    CHECK(check_grant(c, false, asked("{}")));
    CHECK(check_grant(c, false, asked(R"({"tenant":"t","client_id":"other"})")));
    CHECK(check_grant(c, false, asked(R"({"client_id":"a","state":["active"]})")));
    CHECK_FALSE(check_grant(c, false, asked(R"({"tenant":"other"})")));
    CHECK_FALSE(check_grant(c, false, asked(R"({"state":["active"]})")));
    store::mission_record record;
    record.agent_client_id = "b";
    CHECK_FALSE(manages(c.missions, record));
    record.tenant = "t";
    CHECK(manages(c.missions, record));
    record.tenant.reset();
    record.agent_client_id = "a";
    CHECK(manages(c.missions, record));
    c.missions.what = mission_visibility::kind::audience;
    CHECK_FALSE(manages(c.missions, record));
}
