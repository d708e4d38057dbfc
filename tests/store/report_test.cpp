// Reports of orchestrators, and a mirror's transitions that wait.
#include "tests/store/harness.hpp"

namespace mission::store::test {
namespace {

report a_report(issuer_id issuer, mission_row row, std::string kind) {
    report r;
    r.issuer = issuer;
    r.mission = row;
    r.mission_id = long_id("m");
    r.client_id = "orchestrator";
    r.kind = std::move(kind);
    r.detail = "all done";
    r.evidence = "a.b.c";
    r.received_at = start_time + 3s;
    return r;
}

changes with(report r) {
    changes c;
    c.reports.push_back(std::move(r));
    return c;
}

}  // namespace

TEST_CASE_TEMPLATE("a report is numbered, found by its mission and its status, and decided", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    const auto other = t->add_issuer("https://other.example").value();
    const auto m = run(*t, approve(t.issuer, "m")).value().missions[0];
    const auto n = run(*t, approve(t.issuer, "n")).value().missions[0];
    changes c = with(a_report(t.issuer, m, "completed"));
    c.reports.push_back(a_report(t.issuer, n, "anomaly"));
    CHECK(run(*t, c).value().reports == std::vector<std::int64_t>{1, 2});
    CHECK(run(*t, with(a_report(t.issuer, m, "failed"))).value().reports ==
          std::vector<std::int64_t>{3});

    auto first = *look(*t, [&](const rows& r) { return r.find_report(t.issuer, 1); });
    CHECK(first.id == 1);
    CHECK(first.mission == m);
    CHECK(first.mission_id == long_id("m"));
    CHECK(first.client_id == "orchestrator");
    CHECK(first.kind == "completed");
    CHECK(first.detail == "all done");
    CHECK(first.evidence == "a.b.c");
    CHECK(first.received_at == start_time + 3s);
    CHECK(first.status == report_status::open);
    CHECK(first.decision.empty());

    first.status = report_status::acted;
    first.decision = R"({"by":"ops"})";
    CHECK(run(*t, with(first)).value().reports == std::vector<std::int64_t>{1});
    REQUIRE(t->read_now([&](const rows& r) {
        CHECK(r.find_report(t.issuer, 1)->decision == R"({"by":"ops"})");
        CHECK(!r.find_report(other, 1));
        CHECK(!r.find_report(t.issuer, 4));
        const auto of = r.reports_of(m);
        REQUIRE(of.size() == 2);
        CHECK(of[0].id == 1);
        CHECK(of[1].id == 3);
        const auto open = r.reports(t.issuer, report_status::open, 0, 10);
        REQUIRE(open.size() == 2);
        CHECK(open[0].id == 2);
        CHECK(r.reports(t.issuer, report_status::open, 2, 10).size() == 1);
        CHECK(r.reports(t.issuer, report_status::acted, 0, 10).size() == 1);
        CHECK(r.reports(t.issuer, std::nullopt, 0, 10).size() == 3);
        CHECK(r.reports(t.issuer, std::nullopt, 1, 1)[0].id == 2);
        CHECK(r.reports(other, std::nullopt, 0, 10).empty());
    }));

    auto stray = a_report(t.issuer, n, "x");
    stray.id = 1;
    CHECK(run(*t, with(stray)).error().code == errc::store_conflict);
    stray = a_report(t.issuer, m, "x");
    stray.id = 9;
    CHECK(run(*t, with(stray)).error().code == errc::store_conflict);
    CHECK(run(*t, with(a_report(other, m, "x"))).error().code == errc::store_conflict);
    CHECK(run(*t, with(a_report(t.issuer, mission_row{9}, "x"))).error().code ==
          errc::store_conflict);
}

TEST_CASE_TEMPLATE("transitions wait by mission and version, and are counted by issuer", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    const auto other = t->add_issuer("https://other.example").value();
    const auto m = run(*t, approve(t.issuer, "m")).value().missions[0];
    const auto n = run(*t, approve(other, "n")).value().missions[0];
    changes c;
    c.waiting_transitions = {
        {m, 5, "five", start_time}, {m, 3, "three", start_time}, {n, 2, "two", start_time + 1s}};
    REQUIRE(run(*t, c));
    changes again;
    again.waiting_transitions = {{m, 5, "five anew", start_time + 2s}};
    REQUIRE(run(*t, again));
    REQUIRE(t->read_now([&](const rows& r) {
        const auto of = r.waiting_transitions(m);
        REQUIRE(of.size() == 2);
        CHECK(of[0].version == 3);
        CHECK(of[0].body == "three");
        CHECK(of[1].mission == m);
        CHECK(of[1].body == "five anew");
        CHECK(of[1].received_at == start_time + 2s);
        CHECK(r.waiting_transition_count(t.issuer) == 2);
        CHECK(r.waiting_transition_count(other) == 1);
        CHECK(r.waiting_transition_count(issuer_id{9}) == 0);
    }));
    changes done;
    done.settled_transitions = {{m, 3}, {m, 4}};
    REQUIRE(run(*t, done));
    CHECK(look(*t, [&](const rows& r) { return r.waiting_transitions(m).size(); }) == 1);
    CHECK(look(*t, [&](const rows& r) { return r.waiting_transition_count(t.issuer); }) == 1);
    changes stray;
    stray.waiting_transitions = {{mission_row{9}, 1, "", start_time}};
    CHECK(run(*t, stray).error().code == errc::store_conflict);
}

}  // namespace mission::store::test
