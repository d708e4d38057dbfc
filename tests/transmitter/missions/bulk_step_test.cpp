#include "transmitter/missions/bulk_step.hpp"

#include <doctest/doctest.h>

#include <map>

#include "tests/transmitter/missions/family_support.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::test;

namespace {

// A running job over missions of the registry, and its steps.
template <class Kind>
struct job_bench : registry<Kind> {
    bulk_step_request step_of(std::size_t most) {
        return {this->issuer, "https://mas.example", "hash", most, std::nullopt, true};
    }

    void pin(const std::vector<std::string>& names, const std::string& operation) {
        REQUIRE(store::test::run(
            *this->db, [&](const store::rows& rows, wall_time at) -> result<store::changes> {
                store::changes out;
                store::bulk_job job;
                job.id = 7;
                job.issuer = this->issuer;
                job.token_hash = "hash";
                job.client_id = "ops";
                job.request = R"({"filter":{},"operation":")" + operation + "\"}";
                job.status = store::bulk_status::running;
                job.total = static_cast<std::int64_t>(names.size());
                job.created_at = at;
                job.expires_at = at + 10min;
                bulk_execution e;
                e.txn = "t";
                e.actor = "ops";
                e.origin = "test";
                e.reason = "an incident";
                e.filter = "{}";
                job.execution = to_json(e);
                out.bulk_jobs.push_back(job);
                for (std::size_t i = 0; i < names.size(); ++i)
                    out.bulk_members.push_back(
                        {7, static_cast<std::int64_t>(i),
                         rows.find_row(this->issuer, long_id(names[i])).value(), "", ""});
                return out;
            }));
    }

    bool step(const bulk_step_request& request) {
        bool over = false;
        REQUIRE(store::test::run(*this->db, [&](const store::rows& rows, wall_time at) {
            return bulk_step(rows, at, request, over);
        }));
        return over;
    }

    store::bulk_job job() {
        return look(*this->db,
                    [&](const store::rows& rows) {
                        return rows.find_bulk_job(this->issuer, "hash");
                    })
            .value();
    }
    std::vector<std::string> outcomes() {
        return look(*this->db, [&](const store::rows& rows) {
            std::vector<std::string> out;
            for (const auto& m : rows.bulk_members(7, 0, 100))
                out.push_back(m.outcome);
            return out;
        });
    }
};

using names = std::vector<std::string>;

}  // namespace

TEST_CASE_TEMPLATE("a job goes on where it stands, member by member, and is done at the last one",
                   Kind, store::test::memory_kind, store::test::sqlite_kind) {
    job_bench<Kind> b;
    for (const char* name : {"a", "b", "c"})
        REQUIRE(b.approve(name));
    REQUIRE(b.operate("b", operation::complete));
    b.pin({"a", "b", "c"}, "revoke");
    CHECK_FALSE(b.step(b.step_of(2)));
    CHECK(b.outcomes() == names{"applied", "already_terminal", ""});
    CHECK(b.job().next == 2);
    CHECK(b.job().status == store::bulk_status::running);
    CHECK(b.step(b.step_of(2)));
    CHECK(b.outcomes() == names{"applied", "already_terminal", "applied"});
    CHECK(b.job().status == store::bulk_status::done);
    const auto end = parse_execution(b.job().execution);
    REQUIRE(end);
    CHECK(end->applied == 2);
    CHECK(end->already_terminal == 1);
    CHECK(end->iat == to_numeric_date(b.now()));
    // Once it is done a step is nothing.
    CHECK(b.step(b.step_of(2)));
    CHECK(b.read("a").version == 2);
    CHECK(b.read("a").reason == "an incident");
}

TEST_CASE("members that cannot be processed are reported, and stay as they are") {
    job_bench<store::test::memory_kind> b;
    for (const char* name : {"a", "b"})
        REQUIRE(b.approve(name));
    b.pin({"a", "b"}, "revoke");
    auto giving_up = b.step_of(1);
    giving_up.giving_up = error{errc::store_corrupt, "secret detail"};
    CHECK_FALSE(b.step(giving_up));
    CHECK(b.step(b.step_of(10)));
    CHECK(b.outcomes() == names{"error", "applied"});
    CHECK(b.read("a").state == state::active);
    const auto member =
        look(*b.db, [](const store::rows& rows) { return rows.bulk_members(7, 0, 1); });
    CHECK(member.at(0).detail == "store_corrupt");
    CHECK(parse_execution(b.job().execution)->failed == 1);
}

TEST_CASE("a membership of nobody is done at once") {
    job_bench<store::test::memory_kind> b;
    b.pin({}, "revoke");
    CHECK(b.step(b.step_of(10)));
    CHECK(b.job().status == store::bulk_status::done);
}

TEST_CASE("a member past its deadline is judged by what it has become") {
    job_bench<store::test::memory_kind> b;
    REQUIRE(b.approve("a", {}, start_time + 1h));
    b.pin({"a"}, "complete");
    b.time.advance(2h);
    CHECK(b.step(b.step_of(10)));
    CHECK(b.outcomes() == names{"already_terminal"});
    CHECK(b.read("a").state == state::expired);
}
