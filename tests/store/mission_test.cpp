#include "tests/store/harness.hpp"

namespace mission::store::test {

TEST_CASE_TEMPLATE("an approval writes registry, state, authority and one signal", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    changes c = approve(t.issuer, "m1");
    auto& record = *c.missions[0].approval;
    record.agent_spiffe_id = "spiffe://example/agent";
    record.tenant = "acme";
    record.parent = long_id("p");
    record.predecessor = long_id("q");
    record.evidence = R"({"ticket":7})";
    c.missions[0].keys.user = principal_name{"https://idp.example", "bob"};
    c.missions[0].keys.tenant = "acme";
    c.missions[0].keys.agent_spiffe_id = record.agent_spiffe_id;
    const auto done = run(*t, c).value();
    REQUIRE(done.seqs == std::vector<seq_t>{1});
    CHECK(done.committed_at == start_time);

    const auto m = look(*t, [&](const rows& r) { return r.find_mission(t.issuer, long_id("m1")); });
    REQUIRE(m.has_value());
    CHECK(m->record.row == done.missions[0]);
    CHECK(m->record.bucket == bucket_of(long_id("m1")));
    CHECK(m->record.purpose == "Quarterly report");
    CHECK(m->record.approver == principal_name{"https://idp.example", "alice"});
    CHECK(m->record.subject == principal_name{"https://idp.example", "bob"});
    CHECK(m->record.agent_client_id == "agent-7");
    CHECK(m->record.agent_spiffe_id == "spiffe://example/agent");
    CHECK(m->record.tenant == "acme");
    CHECK(m->record.parent == long_id("p"));
    CHECK(m->record.predecessor == long_id("q"));
    CHECK(m->record.evidence == R"({"ticket":7})");
    CHECK(m->record.authority_hash == "sha-256:abc");
    CHECK(m->record.approved_at == start_time);
    CHECK(m->record.created_by == "portal");
    CHECK(m->resources == std::vector<std::string>{"https://api.example"});
    CHECK(m->state.row == m->record.row);
    CHECK(m->state.state == state::active);
    CHECK(m->state.version == 1);

    const auto log = look(*t, [](const rows& r) { return r.signals(0, 10, 10); });
    REQUIRE(log.size() == 1);
    CHECK(log[0].seq == 1);
    CHECK(log[0].issuer == t.issuer);
    CHECK(log[0].bucket == m->record.bucket);
    CHECK(log[0].mission == m->record.row);
    CHECK(log[0].version == 1);
    CHECK(log[0].committed_at == start_time);
    CHECK(log[0].txn == "txn-m1");
    CHECK(log[0].body == R"({"state":"active"})");
    CHECK(log[0].keys == c.missions[0].keys);
    CHECK(log[0].authority_revision == 1);
    CHECK(!log[0].batch_id.empty());
    CHECK(look(*t, [&](const rows& r) { return r.authority(m->record.row, 1); }) ==
          c.missions[0].authorization_details);
    CHECK(look(*t, [&](const rows& r) {
              return r.find_mission(m->record.row);
          })->record.mission_id == long_id("m1"));
}

TEST_CASE_TEMPLATE("a state keeps every optional member and gives it up again", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    REQUIRE(run(*t, approve(t.issuer, "m1")));
    const auto first =
        look(*t, [&](const rows& r) { return *r.find_mission(t.issuer, long_id("m1")); });
    auto commit = next_version(first, state::suspended);
    commit.state.suspend_until = start_time + 5min;
    commit.state.on_expiry = events::on_expiry::revoke;
    commit.state.successor = long_id("s");
    commit.state.reason = "under review";
    commit.state.changed_at = start_time + 1s;
    changes c;
    c.missions.push_back(commit);
    REQUIRE(run(*t, c));
    const auto held = look(*t, [&](const rows& r) { return *r.find_mission(first.record.row); });
    CHECK(held.state == commit.state);

    changes back;
    back.missions.push_back(next_version(held, state::active));
    back.missions[0].state.suspend_until.reset();
    back.missions[0].state.on_expiry.reset();
    back.missions[0].state.successor.reset();
    back.missions[0].state.reason.reset();
    REQUIRE(run(*t, back));
    CHECK(look(*t, [&](const rows& r) { return *r.find_mission(first.record.row); }).state ==
          back.missions[0].state);
}

TEST_CASE_TEMPLATE("a version that is not the present one plus 1 changes nothing", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    REQUIRE(run(*t, approve(t.issuer, "m1")));
    const auto m =
        look(*t, [&](const rows& r) { return *r.find_mission(t.issuer, long_id("m1")); });
    for (const std::int64_t version : {1, 3, 0}) {
        changes c;
        c.missions.push_back(next_version(m, state::revoked));
        c.missions[0].state.version = version;
        c.nonces.push_back(
            {t.issuer, "lifecycle", "c", long_id("m1"), "n", "h", "{}", start_time + 1h});
        CHECK(run(*t, c).error() == errc::store_conflict);
    }
    CHECK(head(*t) == 1);
    CHECK(look(*t, [&](const rows& r) { return *r.find_mission(m.record.row); }).state == m.state);
    CHECK(!look(*t, [&](const rows& r) {
        return r.find_nonce(t.issuer, "lifecycle", "c", long_id("m1"), "n");
    }));
}

TEST_CASE_TEMPLATE("a refused change in the middle of a decision takes the whole decision", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    REQUIRE(run(*t, approve(t.issuer, "old")));
    changes c = approve(t.issuer, "new");
    c.missions.push_back(approval(t.issuer, "old"));
    CHECK(run(*t, c).error() == errc::mission_exists);
    CHECK(!look(*t, [&](const rows& r) { return r.find_mission(t.issuer, long_id("new")); }));
    CHECK(head(*t) == 1);
    // Twice in one decision is taken, too.
    changes twice = approve(t.issuer, "new");
    twice.missions.push_back(approval(t.issuer, "new"));
    CHECK(run(*t, twice).error() == errc::mission_exists);
    CHECK(head(*t) == 1);
}

TEST_CASE_TEMPLATE("one decision may carry two versions of one mission, in order", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    REQUIRE(run(*t, approve(t.issuer, "m1")));
    const auto done = run(*t, [&](const rows& r, wall_time) -> result<changes> {
        auto m = *r.find_mission(t.issuer, long_id("m1"));
        changes c;
        c.missions.push_back(next_version(m, state::suspended));
        m.state = c.missions[0].state;
        c.missions.push_back(next_version(m, state::revoked));
        return c;
    });
    REQUIRE(done);
    CHECK(done->seqs == std::vector<seq_t>{2, 3});
    const auto m =
        look(*t, [&](const rows& r) { return *r.find_mission(t.issuer, long_id("m1")); });
    CHECK(m.state.version == 3);
    CHECK(m.state.state == state::revoked);
}

TEST_CASE_TEMPLATE("the same mission id under another issuer is another mission", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    const auto other = t->add_issuer("https://other.example").value();
    REQUIRE(other != t.issuer);
    CHECK(t->add_issuer("https://mas.example").value() == t.issuer);
    REQUIRE(run(*t, approve(t.issuer, "m1")));
    REQUIRE(run(*t, approve(other, "m1")));
    CHECK(run(*t, approve(issuer_id{99}, "m1")).error() == errc::store_conflict);
    mission_filter f;
    CHECK(look(*t, [&](const rows& r) { return r.list_missions(other, f); }).size() == 1);
}

TEST_CASE_TEMPLATE("an authority revision is written once and stays", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    const auto row = run(*t, approve(t.issuer, "m1")).value().missions[0];
    const auto m = look(*t, [&](const rows& r) { return *r.find_mission(row); });
    changes narrowed;
    narrowed.missions.push_back(next_version(m, state::active));
    narrowed.missions[0].state.authority_revision = 2;
    narrowed.missions[0].authorization_details = "[]";
    narrowed.missions[0].resources = {"https://api.example", "https://two.example"};
    REQUIRE(run(*t, narrowed));
    CHECK(look(*t, [&](const rows& r) { return *r.authority(row, 2); }) == "[]");
    CHECK(look(*t, [&](const rows& r) { return *r.authority(row, 1); }) != "[]");
    CHECK(look(*t, [&](const rows& r) { return *r.find_mission(row); }).resources.size() == 2);
    CHECK(!look(*t, [&](const rows& r) { return r.authority(row, 3); }));
    const auto now = look(*t, [&](const rows& r) { return *r.find_mission(row); });
    changes again;
    again.missions.push_back(next_version(now, state::active));
    again.missions[0].authorization_details = R"([{"type":"more"}])";
    CHECK(run(*t, again).error() == errc::store_conflict);
}

TEST_CASE_TEMPLATE("lists are paged by row and filtered by every member", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    for (int i = 0; i < 25; ++i) {
        changes c = approve(t.issuer, "m" + std::to_string(i));
        auto& r = *c.missions[0].approval;
        r.agent_client_id = i % 2 ? "odd" : "even";
        if (i % 5 == 0) r.tenant = "acme";
        if (i % 6 == 0) r.parent = long_id("p");
        if (i % 4 == 0) r.subject = {"https://idp.example", "carol"};
        if (i == 8) r.subject.iss = "https://other.example";
        r.approved_at = start_time + i * 1s;
        c.missions[0].state.expires_at = start_time + 1h + i * 1s;
        REQUIRE(run(*t, c));
    }
    REQUIRE(run(*t, move_to(t.issuer, "m3", state::revoked)));
    const auto count = [&](mission_filter f) {
        std::size_t n = 0;
        f.limit = 4;
        for (;;) {
            const auto page = look(*t, [&](const rows& r) { return r.list_missions(t.issuer, f); });
            CHECK(page.size() <= 4);
            if (page.empty()) return n;
            for (const auto& m : page) {
                CHECK(m.record.row > f.after);
                f.after = m.record.row;
            }
            n += page.size();
        }
    };
    CHECK(count({}) == 25);
    mission_filter f;
    f.agent_client_id = "odd";
    CHECK(count(f) == 12);
    f.states = {state::active};
    CHECK(count(f) == 11);
    f.states = {state::active, state::revoked};
    CHECK(count(f) == 12);
    f = {};
    f.tenant = "acme";
    CHECK(count(f) == 5);
    f.parent = long_id("p");
    CHECK(count(f) == 1);
    f = {};
    f.parent = long_id("p");
    CHECK(count(f) == 5);
    f = {};
    f.states = {state::revoked};
    CHECK(count(f) == 1);
    f.states = {state::cascaded};
    CHECK(count(f) == 0);
    f = {};
    f.subject = principal_name{"https://idp.example", "carol"};
    CHECK(count(f) == 6);
    f.approved_after = start_time + 4s;
    CHECK(count(f) == 4);
    f.approved_before = start_time + 24s;
    CHECK(count(f) == 3);
    f.expires_before = start_time + 1h + 20s;
    CHECK(count(f) == 2);
    f = {};
    f.expires_before = start_time + 1h;
    CHECK(count(f) == 0);
}

TEST_CASE_TEMPLATE("deadlines come soonest first and leave with the terminal state", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    CHECK(!look(*t, [](const rows& r) { return r.next_deadline(); }));
    REQUIRE(run(*t, approve(t.issuer, "late", start_time + 3h)));
    REQUIRE(run(*t, approve(t.issuer, "soon", start_time + 1h)));
    REQUIRE(run(*t, approve(t.issuer, "mid", start_time + 2h)));
    const auto due = [&](wall_time until, std::size_t limit) {
        return look(*t, [&](const rows& r) { return r.deadlines(until, limit); });
    };
    REQUIRE(due(start_time + 2h, 10).size() == 2);
    CHECK(due(start_time + 2h, 10)[0].first == start_time + 1h);
    CHECK(due(start_time + 2h, 10)[1].first == start_time + 2h);
    CHECK(due(start_time + 9h, 1).size() == 1);
    CHECK(due(start_time + 59min, 10).empty());

    // A hold that ends before the mission expires is the next deadline.
    REQUIRE(run(*t, [&](const rows& r, wall_time) -> result<changes> {
        changes c;
        c.missions.push_back(
            next_version(*r.find_mission(t.issuer, long_id("late")), state::suspended));
        c.missions[0].state.suspend_until = start_time + 10min;
        return c;
    }));
    CHECK(look(*t, [](const rows& r) { return *r.next_deadline(); }) == start_time + 10min);
    REQUIRE(run(*t, move_to(t.issuer, "late", state::revoked)));
    CHECK(look(*t, [](const rows& r) { return *r.next_deadline(); }) == start_time + 1h);
    CHECK(due(start_time + 9h, 10).size() == 2);
}

TEST_CASE_TEMPLATE("an unknown mission, authority or row is not there", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    CHECK(!look(*t, [&](const rows& r) { return r.find_mission(t.issuer, long_id("x")); }));
    for (const std::int64_t n : {0, -1, 1, 77}) {
        CHECK(!look(*t, [&](const rows& r) { return r.find_mission(mission_row{n}); }));
        CHECK(look(*t, [&](const rows& r) { return r.mission_signals(mission_row{n}); }).empty());
        changes c;
        c.missions.emplace_back();
        c.missions[0].state.row = mission_row{n};
        c.missions[0].state.version = 1;
        CHECK(run(*t, c).error() == errc::store_conflict);
    }
}

}  // namespace mission::store::test
