#include "tests/transmitter/api/manage_support.hpp"

#include <future>

#include "transmitter/missions/bulk_step.hpp"
#include "transmitter/missions/commit.hpp"
#include "transmitter/missions/settlement.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;

namespace {

using outcome_list = std::map<std::string, std::string>;
const std::string acme = R"({"tenant":"acme"})";

void on_disk(config& c) {
    c.store_url = "sqlite:" + c.signing_directory + "/../t.db";
}

// Writes a decision of its own.
void write(transmitter_fixture& f, store::decision d) {
    auto done = std::make_shared<std::promise<bool>>();
    f.running().db().submit(std::move(d), [done](result<store::receipt> r) {
        if (!r) MESSAGE(r.error().message());
        done->set_value(r.has_value());
    });
    REQUIRE(done->get_future().get());
}

std::vector<store::bulk_job> jobs(transmitter_fixture& f, store::bulk_status status) {
    std::vector<store::bulk_job> out;
    REQUIRE(f.running().db().read_now(
        [&](const store::rows& rows) { out = rows.bulk_jobs(store::issuer_id{1}, status); }));
    return out;
}

}  // namespace

TEST_CASE("a dry run counts and pins, and moves nothing") {
    manage_world f;
    const auto id = f.create();
    const auto before = to_numeric_date(system_clock().now());
    const auto claims = f.managed(f.dry_run("operator", "revoke", acme));
    CHECK(json::find_string(claims, "operation") == "revoke");
    CHECK(json::find_int(claims, "match_count") == 1);
    CHECK(json::find_string(claims, "bulk_token")->size() >= 43);
    const auto until = from_rfc3339(json::find_string(claims, "bulk_token_expires_at").value());
    REQUIRE(until);
    CHECK(to_numeric_date(*until) > before + 60);
    CHECK(to_numeric_date(*until) <= before + 15 * 60);
    CHECK(f.state_of(id) == "active");
    // The store knows the token by its hash alone.
    const std::string token(*json::find_string(claims, "bulk_token"));
    REQUIRE(f.running().db().read_now([&](const store::rows& rows) {
        for (const auto& job : rows.bulk_jobs(store::issuer_id{1}, store::bulk_status::pinned)) {
            CHECK(job.token_hash != token);
            CHECK(job.request.find(token) == std::string::npos);
        }
        for (const auto& e : rows.audit(store::issuer_id{1}, 0, 1000))
            CHECK(e.detail.find(token) == std::string::npos);
    }));
}

TEST_CASE("an execution gives one outcome for each pinned mission, and touches no other") {
    manage_world f;
    const auto one = f.create(), two = f.create();
    const auto ended = f.create();
    const auto elsewhere = f.create_other({{"\"acme\"", "\"globex\""}});
    const auto token = f.pinned("operator", "revoke", acme);
    // Between review and execution: one ends, one begins.
    f.lifecycle("operator", ended, "complete");
    const auto later = f.create();
    const auto manifest = f.managed(f.execute("operator", "revoke", acme, token));
    CHECK(json::find_string(manifest, "operation") == "revoke");
    CHECK(json::find_string(manifest, "aud") == "operator");
    CHECK(f.outcomes(manifest) ==
          outcome_list{{one, "applied"}, {two, "applied"}, {ended, "already_terminal"}});
    for (const auto& id : {one, two})
        CHECK(f.state_of(id) == "revoked");
    CHECK(f.state_of(ended) == "completed");
    for (const auto& id : {later, elsewhere})
        CHECK(f.state_of(id) == "active");
}

TEST_CASE("what is not legal from a member's state leaves it as it is") {
    manage_world f;
    const auto active = f.create(), held = f.create(), over = f.create();
    f.lifecycle("operator", held, "suspend");
    f.lifecycle("operator", over, "revoke");
    auto token = f.pinned("operator", "resume", acme);
    CHECK(f.outcomes(f.managed(f.execute("operator", "resume", acme, token))) ==
          outcome_list{
              {active, "illegal_transition"}, {held, "applied"}, {over, "already_terminal"}});
    f.lifecycle("operator", held, "suspend");
    token = f.pinned("operator", "suspend", acme);
    // A mission that stands there already is applied, and gets no version for it.
    CHECK(f.outcomes(f.managed(f.execute("operator", "suspend", acme, token))) ==
          outcome_list{{active, "applied"}, {held, "applied"}, {over, "already_terminal"}});
    CHECK(f.get("/missions/" + held, f.token("operator")).number("version") == 4);
}

TEST_CASE("a bulk suspension has its deadline, cut to the end of a mission that ends before") {
    manage_world f;
    const auto longer = f.create(), shorter = f.create("2040-01-01T00:00:00Z");
    const std::string deadline = R"("suspend_until":"2050-01-01T00:00:00Z","on_expiry":"revoke")";
    const auto dry = f.managed(f.dry_run("operator", "suspend", acme, deadline));
    const std::string token(json::find_string(dry, "bulk_token").value());
    // Another deadline is another request.
    for (const std::string other :
         {R"("suspend_until":"2051-01-01T00:00:00Z","on_expiry":"revoke")",
          R"("suspend_until":"2050-01-01T00:00:00Z","on_expiry":"resume")"})
        check_refusal(f.execute("operator", "suspend", acme, token, other), 400,
                      "invalid_bulk_token");
    check_refusal(f.execute("operator", "suspend", acme, token), 400, "invalid_bulk_token");
    f.managed(f.execute("operator", "suspend", acme, token, deadline));
    const auto at = [&](const std::string& id) {
        return f.get("/missions/" + id, f.token("operator")).text("suspend_until");
    };
    CHECK(at(longer) == "2050-01-01T00:00:00Z");
    CHECK(at(shorter) == "2040-01-01T00:00:00Z");
    CHECK(f.state_of(shorter) == "suspended");
}

TEST_CASE("a token is used once, by who got it, for what it was got for") {
    manage_world f;
    const auto id = f.create();
    const auto token = f.pinned("operator", "revoke", acme);
    check_refusal(f.execute("erp", "revoke", acme, token), 400, "invalid_bulk_token");
    check_refusal(f.execute("operator", "revoke", "{}", token), 400, "invalid_bulk_token");
    check_refusal(f.execute("operator", "complete", acme, token), 400, "invalid_bulk_token");
    check_refusal(f.execute("operator", "revoke", acme, token + "A"), 400, "invalid_bulk_token");
    check_refusal(f.manage("operator", R"("operation":"revoke","mode":"execute","reason":"r",)"
                                       R"("filter":)" +
                                           acme),
                  400, "invalid_bulk_token");
    CHECK(f.state_of(id) == "active");
    CHECK(f.execute("operator", "revoke", acme, token).status == 200);
    CHECK(f.state_of(id) == "revoked");
    check_refusal(f.execute("operator", "revoke", acme, token), 400, "invalid_bulk_token");
}

TEST_CASE("a token expires") {
    manual_clock time(system_clock().now());
    manage_world f({}, &time);
    f.create();
    const auto token = f.pinned("operator", "revoke", acme);
    time.advance(limits::bulk_token_lifetime);
    check_refusal(f.execute("operator", "revoke", acme, token), 400, "invalid_bulk_token");
    check_refusal(f.enumerate("operator", acme, R"("bulk_token":")" + token + "\""), 400,
                  "invalid_bulk_token");
}

TEST_CASE("the review of a token shows exactly what it pins, and does not use it up") {
    manage_world f;
    const auto one = f.create(), two = f.create(), three = f.create();
    const auto token = f.pinned("operator", "revoke", acme);
    f.create();
    f.lifecycle("operator", two, "complete");
    const auto review = [&](const std::string& more) {
        return f.enumerate("operator", acme, R"("bulk_token":")" + token + "\"" + more);
    };
    const auto whole = f.managed(review(""));
    CHECK(f.ids(whole) == std::vector<std::string>{one, two, three});
    CHECK(json::find_string(whole["missions"][1], "state") == "completed");
    const auto first = f.managed(review(R"(,"limit":2)"));
    CHECK(f.ids(first) == std::vector<std::string>{one, two});
    const std::string cursor(json::find_string(first, "cursor").value());
    const auto rest = f.managed(review(R"(,"limit":2,"cursor":")" + cursor + "\""));
    CHECK(f.ids(rest) == std::vector<std::string>{three});
    CHECK_FALSE(json::find(rest, "cursor"));
    // A cursor of the review is none of the filter's own walk, nor the other way round.
    check_refusal(f.enumerate("operator", acme, R"("cursor":")" + cursor + "\""), 400,
                  "invalid_request");
    check_refusal(f.enumerate("operator", "{}", R"("bulk_token":")" + token + "\""), 400,
                  "invalid_bulk_token");
    check_refusal(f.enumerate("erp", acme, R"("bulk_token":")" + token + "\""), 400,
                  "invalid_bulk_token");
    CHECK(f.managed(f.execute("operator", "revoke", acme, token))["results"].Size() == 3);
    check_refusal(review(""), 400, "invalid_bulk_token");
}

TEST_CASE("a filter that matches more than the bound is refused, and pins nothing") {
    manage_world f([](config& c) { c.missions.bulk_limit = 2; });
    f.create();
    f.create();
    CHECK(f.dry_run("operator", "revoke", acme).status == 200);
    f.create();
    check_refusal(f.dry_run("operator", "revoke", acme), 400, "filter_too_broad");
    CHECK(jobs(f, store::bulk_status::pinned).size() == 1);
    // An enumeration of as many has no such bound.
    CHECK(f.managed(f.enumerate("operator", acme))["missions"].Size() == 3);
}

TEST_CASE("a membership that has left the client's scope is refused whole, naming nobody") {
    manage_world f(on_disk);
    const auto id = f.create();
    const auto other = f.create_other({{"agent-7", "agent-9"}, {"\"acme\"", "\"globex\""}});
    const auto token = f.pinned("erp", "revoke", "{}");
    f.restart([](config& c) {
        for (auto& k : c.clients)
            if (k.id == "erp") k.missions.agents.clear();
    });
    for (const auto& a : {f.execute("erp", "revoke", "{}", token),
                          f.enumerate("erp", "{}", R"("bulk_token":")" + token + "\"")}) {
        check_refusal(a, 409, "stale_bulk_token");
        CHECK(a.body.find(other) == std::string::npos);
        CHECK(a.body.find(id) == std::string::npos);
    }
    CHECK(f.state_of(id) == "active");
    CHECK(f.state_of(other) == "active");
}

TEST_CASE("a repeated dry run or execution gets the first answer, across a restart") {
    manage_world f(on_disk);
    const auto id = f.create();
    const auto dry = f.managed(f.dry_run("operator", "revoke", acme, R"("nonce":"d")"));
    f.create();
    CHECK(f.managed(f.dry_run("operator", "revoke", acme, R"("nonce":"d")")) == dry);
    const std::string token(json::find_string(dry, "bulk_token").value());
    const auto done = f.managed(f.execute("operator", "revoke", acme, token, R"("nonce":"e")"));
    CHECK(f.outcomes(done) == outcome_list{{id, "applied"}});
    CHECK(f.managed(f.execute("operator", "revoke", acme, token, R"("nonce":"e")")) == done);
    f.restart();
    CHECK(f.managed(f.dry_run("operator", "revoke", acme, R"("nonce":"d")")) == dry);
    CHECK(f.managed(f.execute("operator", "revoke", acme, token, R"("nonce":"e")")) == done);
    check_refusal(f.execute("operator", "revoke", "{}", token, R"("nonce":"e")"), 400,
                  "invalid_request");
    // A refusal is an answer, too.
    check_refusal(f.execute("operator", "revoke", acme, token, R"("nonce":"x")"), 400,
                  "invalid_bulk_token");
    check_refusal(f.execute("operator", "revoke", acme, token, R"("nonce":"x")"), 400,
                  "invalid_bulk_token");
}

TEST_CASE("each transition carries the reason, the caller and the job") {
    manage_world f;
    const auto id = f.create();
    const auto token = f.pinned("operator", "revoke", acme);
    f.managed(f.execute("operator", "revoke", acme, token));
    CHECK(f.get("/missions/" + id, f.token("operator")).text("reason") == "an incident");
    std::vector<store::audit_entry> of_mission;
    REQUIRE(f.running().db().read_now([&](const store::rows& rows) {
        of_mission = rows.audit_of(store::issuer_id{1}, id, 0, 10);
    }));
    REQUIRE(of_mission.size() == 2);
    CHECK(of_mission[1].action == "manage.revoke");
    CHECK(of_mission[1].actor == "operator");
    CHECK(of_mission[1].version == 2);
    const auto detail = json::parse(of_mission[1].detail);
    REQUIRE(detail);
    CHECK(json::find_string(*detail, "reason") == "an incident");
    CHECK(json::find_string(*detail, "bulk_job").value_or("").size() > 1);
    // Dry run, acceptance, and what came of it.
    const auto requests = f.audited("manage.revoke");
    REQUIRE(requests.size() == 3);
    CHECK(requests[0].detail.find("match_count") != std::string::npos);
    const auto end = json::parse(requests[2].detail);
    REQUIRE(end);
    CHECK(json::find_int((*end)["outcomes"], "applied") == 1);
}

TEST_CASE("a membership of many steps is pinned and executed whole") {
    manage_world f;
    constexpr int many = 2 * static_cast<int>(limits::bulk_pin_step) + 1;
    write(f, [](const store::rows& rows, wall_time now) -> result<store::changes> {
        store::changes out;
        for (int i = 0; i < many; ++i) {
            store::mission_record r;
            r.issuer = store::issuer_id{1};
            r.mission_id = "many-missions-" + std::to_string(100'000'000 + i);
            r.bucket = store::bucket_of(r.mission_id);
            r.purpose = "one of many";
            r.subject = {"https://idp.example", "bob"};
            r.agent_client_id = "agent-7";
            r.tenant = "many";
            r.approved_at = now;
            store::mission_state first;
            first.version = first.authority_revision = 1;
            first.expires_at = now + std::chrono::hours(1000);
            first.changed_at = now;
            out.missions.push_back(to_approval(std::move(r), first, "[]", {},
                                               {"https://localhost", rows.log_epoch(), "t", now}));
        }
        return out;
    });
    const std::string filter = R"({"tenant":"many"})";
    const auto dry = f.managed(f.dry_run("operator", "complete", filter));
    CHECK(json::find_int(dry, "match_count") == many);
    const std::string token(json::find_string(dry, "bulk_token").value());
    const auto manifest = f.managed(f.execute("operator", "complete", filter, token));
    const auto outcomes = f.outcomes(manifest);
    CHECK(outcomes.size() == many);
    CHECK(std::all_of(outcomes.begin(), outcomes.end(),
                      [](const auto& o) { return o.second == "applied"; }));
    CHECK(f.managed(f.enumerate("operator", R"({"tenant":"many","state":["active"]})"))["missions"]
              .Empty());
}

TEST_CASE("an execution that was interrupted goes on at the next start, and is answered then") {
    manage_world f(on_disk);
    std::vector<std::string> all;
    for (int i = 0; i < 4; ++i)
        all.push_back(f.create());
    const auto token = f.pinned("operator", "revoke", acme);
    // As a crash after the second member leaves it.
    write(f, [](const store::rows& rows, wall_time) -> result<store::changes> {
        store::changes out;
        auto job = rows.bulk_jobs(store::issuer_id{1}, store::bulk_status::pinned).at(0);
        auto members = rows.bulk_members(job.id, 0, 2);
        for (auto& m : members)
            m.outcome = "applied";
        job.status = store::bulk_status::running;
        job.next = 2;
        bulk_execution e;
        e.txn = "t";
        e.actor = "operator";
        e.reason = "an incident";
        e.filter = R"({"tenant":"acme"})";
        e.applied = 2;
        job.execution = to_json(e);
        out.bulk_jobs.push_back(job);
        out.bulk_members = members;
        return out;
    });
    f.restart();
    CHECK(f.eventually([&] { return f.state_of(all[3]) == "revoked"; }));
    CHECK(f.eventually([&] { return jobs(f, store::bulk_status::done).size() == 1; }));
    CHECK(f.state_of(all[2]) == "revoked");
    CHECK(f.state_of(all[0]) == "active");  // done, as the row says: never a second time
    const auto end = json::parse(f.audited("manage.revoke").back().detail);
    CHECK(json::find_int((*end)["outcomes"], "applied") == 4);
}

TEST_CASE("a family in one operation: the root is moved, who followed it is told as ended") {
    manage_world f;
    const auto root = f.create();
    const auto child =
        f.create_other({{"{\"purpose\"", R"({"parent":")" + root + R"(","purpose")"}});
    const auto leaf =
        f.create_other({{"{\"purpose\"", R"({"parent":")" + child + R"(","purpose")"}});
    const auto page = f.managed(f.enumerate("operator", R"({"parent":")" + root + "\"}"));
    REQUIRE(f.ids(page) == std::vector<std::string>{child});
    CHECK(json::find_string(page["missions"][0], "parent") == root);

    auto token = f.pinned("operator", "suspend", acme);
    // Held from above, and by itself: the lift of the root leaves the children held.
    CHECK(f.outcomes(f.managed(f.execute("operator", "suspend", acme, token))) ==
          outcome_list{{root, "applied"}, {child, "applied"}, {leaf, "applied"}});
    CHECK(f.lifecycle("operator", root, "resume").status == 200);
    CHECK(f.state_of(child) == "suspended");

    token = f.pinned("operator", "revoke", acme);
    CHECK(f.outcomes(f.managed(f.execute("operator", "revoke", acme, token))) ==
          outcome_list{{root, "applied"}, {child, "already_terminal"}, {leaf, "already_terminal"}});
    CHECK(f.state_of(leaf) == "cascaded");
}

TEST_CASE("the moment a family has ended no filter takes a descendant for active") {
    manage_world f;
    const auto root = f.create();
    // So many that following the root takes far longer than the next question does to come.
    constexpr int many = 4000;
    for (int begun = 0; begun < many; begun += 1000)
        write(f, [&](const store::rows& rows, wall_time now) -> result<store::changes> {
            settlement s(rows, {f.issuer(), rows.log_epoch(), "t", now, nullptr}, true);
            const auto parent = s.settle(store::issuer_id{1}, root);
            for (int i = begun; i < begun + 1000; ++i) {
                store::mission_record r = parent->record;
                r.mission_id = "children-of-a-root-" + std::to_string(100'000 + i);
                r.bucket = store::bucket_of(r.mission_id);
                r.parent = root;
                r.parent_row = r.root_row = parent->state.row;
                r.depth = 1;
                store::mission_state first;
                first.version = first.authority_revision = 1;
                first.expires_at = parent->state.expires_at;
                first.changed_at = now;
                s.approve(std::move(r), first, "[]", {}, {});
            }
            return s.take();
        });
    CHECK(f.lifecycle("operator", root, "revoke").status == 200);
    CHECK(f.ids(f.managed(f.enumerate("operator", R"({"state":["active"]})"))).empty());
    CHECK(json::find_int(f.managed(f.dry_run("operator", "complete", R"({"state":["active"]})")),
                         "match_count") == 0);
    CHECK(json::find_int(f.managed(f.dry_run("operator", "complete", R"({"state":["cascaded"]})")),
                         "match_count") == many);
}

TEST_CASE("a listed client is not told of relatives beyond its scope") {
    manage_world f;
    const auto root = f.create_other({{"\"acme\"", "\"globex\""}});
    const auto child =
        f.create_other({{"{\"purpose\"", R"({"parent":")" + root + R"(","purpose")"}});
    const auto seen = f.managed(f.enumerate("erp", acme));
    REQUIRE(f.ids(seen) == std::vector<std::string>{child});
    CHECK_FALSE(json::find(seen["missions"][0], "parent"));
    CHECK(f.managed(f.enumerate("operator", acme))["missions"][0].HasMember("parent"));
}

TEST_CASE("a mirror enumerates, and is operated elsewhere") {
    manage_world f([](config& c) { c.issuers.front().mirror = true; });
    CHECK(f.enumerate("operator", "{}").status == 200);
    check_refusal(f.dry_run("operator", "revoke", "{}"), 403, "forbidden");
}

TEST_CASE("a client has a bounded number of dry runs open") {
    manage_world f([](config& c) { c.missions.manage_rate = 0; });
    for (std::size_t i = 0; i < limits::bulk_pinned_per_client; ++i)
        REQUIRE(f.dry_run("operator", "revoke", acme).status == 200);
    check_refusal(f.dry_run("operator", "revoke", acme), 429, "rate_limited");
    CHECK(f.dry_run("erp", "revoke", acme).status == 200);
}
