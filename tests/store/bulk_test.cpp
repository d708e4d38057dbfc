// Bulk operations: pinned membership, progress, and their end.
#include "tests/store/harness.hpp"

namespace mission::store::test {
namespace {

bulk_job a_job(issuer_id issuer, std::int64_t id, std::string token,
               bulk_status status = bulk_status::pinned, wall_time expires = start_time + 1min) {
    bulk_job j;
    j.id = id;
    j.issuer = issuer;
    j.token_hash = std::move(token);
    j.client_id = "ops";
    j.request = R"({"operation":"revoke"})";
    j.status = status;
    j.total = 3;
    j.created_at = start_time;
    j.expires_at = expires;
    return j;
}

changes with(bulk_job j) {
    changes c;
    c.bulk_jobs.push_back(std::move(j));
    return c;
}

}  // namespace

TEST_CASE_TEMPLATE("a bulk job is found by its token and goes on where it stood", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    const auto other = t->add_issuer("https://other.example").value();
    changes c = with(a_job(t.issuer, 41, "hash-a"));
    for (int i = 0; i < 3; ++i)
        c.bulk_members.push_back({41, i, mission_row{10 + i}, "", ""});
    REQUIRE(run(*t, c));
    auto j = *look(*t, [&](const rows& r) { return r.find_bulk_job(t.issuer, "hash-a"); });
    CHECK(j.id == 41);
    CHECK(j.client_id == "ops");
    CHECK(j.request == R"({"operation":"revoke"})");
    CHECK(j.status == bulk_status::pinned);
    CHECK(j.total == 3);
    CHECK(j.next == 0);
    CHECK(j.created_at == start_time);
    CHECK(j.expires_at == start_time + 1min);
    CHECK(j.execution.empty());
    CHECK(!look(*t, [&](const rows& r) { return r.find_bulk_job(other, "hash-a"); }));
    CHECK(!look(*t, [&](const rows& r) { return r.find_bulk_job(t.issuer, "hash-b"); }));

    j.status = bulk_status::running;
    j.next = 2;
    j.execution = R"({"nonce":"n"})";
    c = with(j);
    c.bulk_members = {{41, 0, mission_row{10}, "done", "{}"}, {41, 1, mission_row{11}, "no", "x"}};
    REQUIRE(run(*t, c));
    REQUIRE(t->read_now([&](const rows& r) {
        CHECK(r.bulk_jobs(t.issuer, bulk_status::pinned).empty());
        const auto running = r.bulk_jobs(t.issuer, bulk_status::running);
        REQUIRE(running.size() == 1);
        CHECK(running[0].next == 2);
        CHECK(running[0].execution == R"({"nonce":"n"})");
        const auto all = r.bulk_members(41, 0, 10);
        REQUIRE(all.size() == 3);
        CHECK(all[0].outcome == "done");
        CHECK(all[1].detail == "x");
        CHECK(all[2].outcome.empty());
        CHECK(all[2].mission == mission_row{12});
        CHECK(r.bulk_members(41, 1, 1).size() == 1);
        CHECK(r.bulk_members(41, 1, 1)[0].position == 1);
        CHECK(r.bulk_members(42, 0, 10).empty());
    }));

    changes gone;
    gone.removed_bulk_jobs = {41};
    REQUIRE(run(*t, gone));
    CHECK(!look(*t, [&](const rows& r) { return r.find_bulk_job(t.issuer, "hash-a"); }));
    CHECK(look(*t, [&](const rows& r) { return r.bulk_members(41, 0, 10); }).empty());
    REQUIRE(run(*t, with(a_job(t.issuer, 43, "hash-a"))));
}

TEST_CASE_TEMPLATE("a bulk token belongs to one job, a member to a job that is there", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    const auto other = t->add_issuer("https://other.example").value();
    REQUIRE(run(*t, with(a_job(t.issuer, 1, "a"))));
    CHECK(run(*t, with(a_job(t.issuer, 2, "a"))).error().code == errc::store_conflict);
    CHECK(run(*t, with(a_job(other, 1, "a"))).error().code == errc::store_conflict);
    CHECK(run(*t, with(a_job(issuer_id{9}, 5, "b"))).error().code == errc::store_conflict);
    CHECK(run(*t, with(a_job(t.issuer, 0, "b"))).error().code == errc::invalid_argument);
    changes two = with(a_job(t.issuer, 6, "c"));
    two.bulk_jobs.push_back(a_job(t.issuer, 7, "c"));
    CHECK(run(*t, two).error().code == errc::store_conflict);
    REQUIRE(run(*t, with(a_job(other, 2, "a"))));
    changes c;
    c.bulk_members = {{99, 0, mission_row{1}, "", ""}};
    CHECK(run(*t, c).error().code == errc::store_conflict);
    c.bulk_members = {{1, -1, mission_row{1}, "", ""}};
    CHECK(run(*t, c).error().code == errc::invalid_argument);
}

TEST_CASE_TEMPLATE("jobs past their token's time are named, those that run are not", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    REQUIRE(run(*t, with(a_job(t.issuer, 1, "a", bulk_status::pinned, start_time + 1s))));
    REQUIRE(run(*t, with(a_job(t.issuer, 2, "b", bulk_status::running, start_time + 1s))));
    REQUIRE(run(*t, with(a_job(t.issuer, 3, "c", bulk_status::done, start_time + 2s))));
    REQUIRE(run(*t, with(a_job(t.issuer, 4, "d", bulk_status::pinning, start_time + 3s))));
    const auto old = [&](wall_time until, std::size_t limit) {
        return look(*t, [&](const rows& r) { return r.old_bulk_jobs(until, limit); });
    };
    CHECK(old(start_time + 1s, 10).empty());
    CHECK(old(start_time + 2s, 10) == std::vector<std::int64_t>{1});
    CHECK(old(start_time + 3s, 10) == std::vector<std::int64_t>{1, 3});
    CHECK(old(start_time + 1h, 10) == std::vector<std::int64_t>{1, 3, 4});
    CHECK(old(start_time + 1h, 2).size() == 2);
}

}  // namespace mission::store::test
