// The audit in a file: across a restart, and after somebody has changed a row.
#include <sqlite3.h>

#include "store/audit.hpp"
#include "tests/store/harness.hpp"

namespace mission::store::test {
namespace {

std::unique_ptr<store> reopen(const std::string& path) {
    return open_store("sqlite:" + path).value();
}

result<void> verify(store& s, issuer_id issuer) {
    audit_verifier v;
    for (const auto& e : look(s, [&](const rows& r) { return r.audit(issuer, 0, 1000); }))
        if (auto r = v.take(audit_line(e, "https://mas.example")); !r) return r;
    return {};
}

}  // namespace

TEST_CASE("families, audit, bulk operations, reports and what waits are there again") {
    temp_folder f;
    const std::string path = f.file("store.db");
    auto s = reopen(path);
    const auto issuer = s->add_issuer("https://mas.example").value();
    const auto root = run(*s, approve(issuer, "root")).value().missions[0];
    changes c = approve(issuer, "child");
    c.missions[0].approval->parent_row = root;
    const auto child = run(*s, c).value().missions[0];
    changes more;
    more.cascades.push_back({0, root, 1, child, {}});
    bulk_job j;
    j.id = -5;
    j.issuer = issuer;
    j.token_hash = "t";
    more.bulk_jobs = {j};
    more.bulk_members = {{-5, 0, child, "done", "{}"}};
    report r;
    r.issuer = issuer;
    r.mission = child;
    r.kind = "completed";
    more.reports = {r};
    more.waiting_transitions = {{child, 4, "{}", start_time}};
    REQUIRE(run(*s, more).value().reports == std::vector<std::int64_t>{1});
    s.reset();

    s = reopen(path);
    REQUIRE(s->read_now([&](const rows& v) {
        CHECK(v.last_mission() == child);
        CHECK(v.children(root, {}, 9) == std::vector{child});
        CHECK(v.versions(child, 0, 9).size() == 1);
        REQUIRE(v.find_cascade(root));
        CHECK(v.find_cascade(root)->after == child);
        CHECK(v.find_bulk_job(issuer, "t")->id == -5);
        CHECK(v.bulk_members(-5, 0, 9).size() == 1);
        CHECK(v.find_report(issuer, 1)->kind == "completed");
        CHECK(v.waiting_transitions(child).size() == 1);
        CHECK(v.audit(issuer, 0, 9).size() == 2);
    }));
    // Numbers and the chain go on.
    REQUIRE(run(*s, approve(issuer, "third")));
    changes again;
    again.cascades.push_back({0, child, 1, {}, {}});
    again.reports = {r};
    CHECK(run(*s, again).value().reports == std::vector<std::int64_t>{2});
    REQUIRE(s->read_now([&](const rows& v) {
        CHECK(v.find_audit(3)->previous == v.find_audit(2)->hash);
        CHECK(v.find_cascade(child)->id > v.find_cascade(root)->id);
    }));
    CHECK(verify(*s, issuer));
}

TEST_CASE("a row of the audit that was changed or removed breaks the chain") {
    for (const char* tampering :
         {"UPDATE audit SET actor = 'mallory' WHERE seq = 3",
          "UPDATE audit SET detail = '{\"x\":1}' WHERE seq = 5",
          "UPDATE audit SET hash = previous WHERE seq = 2",
          "UPDATE audit SET at = at + 1 WHERE seq = 1", "DELETE FROM audit WHERE seq = 4"}) {
        CAPTURE(tampering);
        temp_folder f;
        const std::string path = f.file("store.db");
        auto s = reopen(path);
        const auto issuer = s->add_issuer("https://mas.example").value();
        for (int i = 0; i < 5; ++i)
            REQUIRE(run(*s, approve(issuer, "m" + std::to_string(i))));
        REQUIRE(verify(*s, issuer));
        s.reset();
        sqlite3* db = nullptr;
        REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
        CHECK(sqlite3_exec(db, tampering, nullptr, nullptr, nullptr) == SQLITE_OK);
        CHECK(sqlite3_changes(db) == 1);
        sqlite3_close(db);
        s = reopen(path);
        CHECK(!verify(*s, issuer));
    }
}

}  // namespace mission::store::test
