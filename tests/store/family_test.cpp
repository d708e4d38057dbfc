// Families: parents and children, versions and what they do to children, marks, quiet changes.
#include "tests/store/harness.hpp"

namespace mission::store::test {
namespace {

mission found(store& s, issuer_id issuer, std::string_view name) {
    return look(s, [&](const rows& r) { return *r.find_mission(issuer, long_id(name)); });
}

mission_row approve_below(store& s, issuer_id issuer, std::string_view name, mission_row parent) {
    changes c = approve(issuer, name);
    c.missions[0].approval->parent_row = parent;
    c.missions[0].approval->root_row = parent;
    c.missions[0].approval->depth = parent == mission_row{} ? 0 : 1;
    return run(s, c).value().missions[0];
}

changes only(mission_commit m) {
    changes c;
    c.missions.push_back(std::move(m));
    return c;
}

}  // namespace

TEST_CASE_TEMPLATE("a child is found below its parent, in the order of approval", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    const auto root = approve_below(*t, t.issuer, "root", {});
    std::vector<mission_row> rows_of;
    for (int i = 0; i < 5; ++i) {
        rows_of.push_back(approve_below(*t, t.issuer, "c" + std::to_string(i), root));
        approve_below(*t, t.issuer, "other" + std::to_string(i), {});
    }
    const auto m = found(*t, t.issuer, "c3");
    CHECK(m.record.parent_row == root);
    CHECK(m.record.root_row == root);
    CHECK(m.record.depth == 1);
    CHECK(m.state.parent_row == root);
    CHECK(found(*t, t.issuer, "root").record.root_row == mission_row{});
    REQUIRE(t->read_now([&](const rows& r) {
        CHECK(r.children(root, {}, 10) == rows_of);
        CHECK(r.children(root, rows_of[1], 2) ==
              std::vector<mission_row>(rows_of.begin() + 2, rows_of.begin() + 4));
        CHECK(r.children(root, rows_of[4], 10).empty());
        CHECK(r.children(mission_row{}, {}, 10).empty());
        const auto whole = r.child_missions(root, rows_of[1], 2);
        REQUIRE(whole.size() == 2);
        for (std::size_t i = 0; i < whole.size(); ++i) {
            CHECK(whole[i].state == r.find_state(rows_of[2 + i]));
            CHECK(whole[i].record.mission_id == long_id("c" + std::to_string(2 + i)));
        }
        CHECK(r.child_missions(root, rows_of[4], 10).empty());
        CHECK(r.child_missions(mission_row{}, {}, 10).empty());
        CHECK(r.find_state(rows_of[2]) == r.find_mission(rows_of[2])->state);
        CHECK(!r.find_state(mission_row{}));
        CHECK(!r.find_state(mission_row{99}));
        CHECK(r.find_row(t.issuer, long_id("c0")) == rows_of[0]);
        CHECK(!r.find_row(t.issuer, long_id("none")));
        CHECK(r.last_mission() == mission_row{11});
    }));
    // The parent stays what it was, whatever a later version's state says.
    auto c = next_version(m, state::suspended);
    c.state.parent_row = {};
    REQUIRE(run(*t, only(c)));
    CHECK(found(*t, t.issuer, "c3").state.parent_row == root);
    CHECK(look(*t, [&](const rows& r) { return r.children(root, {}, 10).size(); }) == 5);
}

TEST_CASE_TEMPLATE("a child of nobody, or of another issuer's mission, is refused", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    const auto other = t->add_issuer("https://other.example").value();
    const auto theirs = run(*t, approve(other, "p")).value().missions[0];
    changes c = approve(t.issuer, "c");
    c.missions[0].approval->parent_row = theirs;
    CHECK(run(*t, c).error().code == errc::store_conflict);
    c.missions[0].approval->parent_row = mission_row{77};
    CHECK(run(*t, c).error().code == errc::store_conflict);
}

TEST_CASE_TEMPLATE("every commit leaves its version, with what it does to children", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    const auto row = approve_below(*t, t.issuer, "m", {});
    t.time.advance(10s);
    auto held = next_version(found(*t, t.issuer, "m"), state::suspended);
    held.effect = family_effect::hold;
    held.bound_at = start_time + 4s;
    held.source_hash = "hash";
    held.state.reason = "review";
    held.state.suspend_until = start_time + 5min;
    held.state.on_expiry = events::on_expiry::revoke;
    REQUIRE(run(*t, only(held)));
    t.time.advance(10s);
    auto back = next_version(found(*t, t.issuer, "m"), state::active);
    back.effect = family_effect::lift;
    back.state.suspend_until.reset();
    back.state.on_expiry.reset();
    REQUIRE(run(*t, only(back)));
    t.time.advance(10s);
    REQUIRE(run(*t, only(next_version(found(*t, t.issuer, "m"), state::active))));
    t.time.advance(10s);
    auto end = next_version(found(*t, t.issuer, "m"), state::superseded);
    end.effect = family_effect::end;
    end.state.successor = long_id("s");
    REQUIRE(run(*t, only(end)));

    REQUIRE(t->read_now([&](const rows& r) {
        const auto all = r.versions(row, 0, 100);
        REQUIRE(all.size() == 5);
        CHECK(all[0].version == 1);
        CHECK(all[0].committed_at == start_time);
        CHECK(all[0].bound_at == start_time);
        CHECK(all[0].effect == family_effect::none);
        mission_version second;
        second.mission = row;
        second.version = 2;
        second.state = state::suspended;
        second.committed_at = start_time + 10s;
        second.expires_at = start_time + 1h;
        second.suspend_until = start_time + 5min;
        second.on_expiry = events::on_expiry::revoke;
        second.authority_revision = 1;
        second.reason = "review";
        second.effect = family_effect::hold;
        second.bound_at = start_time + 4s;
        second.source_hash = "hash";
        second.audit_seq = 2;
        second.seq = 2;
        CHECK(all[1] == second);
        CHECK(all[4].successor == long_id("s"));
        CHECK(r.versions(row, 1, 2).size() == 2);
        CHECK(r.versions(row, 1, 2)[0] == second);
        CHECK(r.versions(row, 5, 100).empty());
        CHECK(r.versions(mission_row{9}, 0, 100).empty());

        const auto effects = r.family_effects(row, 0);
        REQUIRE(effects.size() == 3);
        CHECK(effects[0] == all[1]);
        CHECK(effects[1] == all[2]);
        CHECK(effects[2] == all[4]);
        CHECK(r.family_effects(row, 3).size() == 1);
        CHECK(r.family_effects(row, 5).empty());

        CHECK(!r.version_at(row, start_time - 1ms));
        CHECK(r.version_at(row, start_time)->version == 1);
        CHECK(r.version_at(row, start_time + 10s - 1ms)->version == 1);
        CHECK(r.version_at(row, start_time + 10s) == second);
        CHECK(r.version_at(row, start_time + 1h)->version == 5);
    }));
}

TEST_CASE_TEMPLATE("a declared gap skips versions, and never goes back", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    const auto row = approve_below(*t, t.issuer, "m", {});
    auto c = next_version(found(*t, t.issuer, "m"), state::suspended);
    c.state.version = 5;
    CHECK(run(*t, only(c)).error().code == errc::store_conflict);
    c.declared_gap = true;
    REQUIRE(run(*t, only(c)));
    CHECK(found(*t, t.issuer, "m").state.version == 5);
    CHECK(run(*t, only(c)).error().code == errc::store_conflict);
    c.state.version = 4;
    CHECK(run(*t, only(c)).error().code == errc::store_conflict);
    c.declared_gap = false;
    c.state.version = 6;
    REQUIRE(run(*t, only(c)));
    CHECK(look(*t, [&](const rows& r) { return r.versions(row, 0, 9).size(); }) == 3);
    // A mirror may hear of a mission when it is older than its first version.
    changes late = approve(t.issuer, "late");
    late.missions[0].state.version = 4;
    CHECK(run(*t, late).error().code == errc::store_conflict);
    late.missions[0].declared_gap = true;
    REQUIRE(run(*t, late));
    CHECK(found(*t, t.issuer, "late").state.version == 4);
}

TEST_CASE_TEMPLATE("a commit without audiences leaves those that are known", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    approve_below(*t, t.issuer, "m", {});
    auto c = next_version(found(*t, t.issuer, "m"), state::suspended);
    c.resources.clear();
    REQUIRE(run(*t, only(c)));
    CHECK(found(*t, t.issuer, "m").resources == std::vector<std::string>{"https://api.example"});
    c = next_version(found(*t, t.issuer, "m"), state::active);
    c.resources = {"https://api.example", "https://b.example"};
    REQUIRE(run(*t, only(c)));
    CHECK(found(*t, t.issuer, "m").resources.size() == 2);
}

TEST_CASE_TEMPLATE("a quiet change writes what nobody is told, and nothing else", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    approve_below(*t, t.issuer, "m", {});
    auto s = found(*t, t.issuer, "m").state;
    s.parent_hold = true;
    s.own_hold = true;
    s.parent_seen = 7;
    s.family_version = 3;
    s.children = 2;
    auto wanted = s;
    wanted.reason = "not written";
    changes c;
    c.quiet.push_back(wanted);
    REQUIRE(run(*t, c));
    CHECK(found(*t, t.issuer, "m").state == s);
    CHECK(head(*t) == 1);

    const auto refused = [&](auto change) {
        changes bad;
        bad.quiet.push_back(s);
        change(bad.quiet[0]);
        CHECK(run(*t, bad).error().code == errc::store_conflict);
    };
    refused([](mission_state& q) { ++q.version; });
    refused([](mission_state& q) { q.state = state::suspended; });
    refused([](mission_state& q) { q.expires_at += 1s; });
    refused([](mission_state& q) { q.suspend_until = start_time + 1s; });
    refused([](mission_state& q) { q.on_expiry = events::on_expiry::resume; });
    refused([](mission_state& q) { ++q.authority_revision; });
    refused([](mission_state& q) { q.row = mission_row{55}; });
    CHECK(found(*t, t.issuer, "m").state == s);

    // With a version of the same decision: as it stands after that.
    auto next = next_version(found(*t, t.issuer, "m"), state::suspended);
    changes both = only(next);
    both.quiet.push_back(s);
    CHECK(run(*t, both).error().code == errc::store_conflict);
    both.quiet = {next.state};
    both.quiet[0].children = 9;
    REQUIRE(run(*t, both));
    CHECK(found(*t, t.issuer, "m").state.children == 9);
    CHECK(found(*t, t.issuer, "m").state.version == 2);
}

TEST_CASE_TEMPLATE("a commit keeps the family's columns as it says", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    approve_below(*t, t.issuer, "m", {});
    auto c = next_version(found(*t, t.issuer, "m"), state::suspended);
    c.state.parent_hold = true;
    c.state.own_hold = true;
    c.state.parent_seen = 4;
    c.state.family_version = 2;
    c.state.children = 3;
    REQUIRE(run(*t, only(c)));
    CHECK(found(*t, t.issuer, "m").state == c.state);
}

TEST_CASE_TEMPLATE("a mirrored mission has no deadline here", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    changes c = approve(t.issuer, "m");
    c.missions[0].state.mirrored = true;
    REQUIRE(run(*t, c));
    CHECK(found(*t, t.issuer, "m").state.mirrored);
    CHECK(!look(*t, [](const rows& r) { return r.next_deadline(); }));
    REQUIRE(run(*t, move_to(t.issuer, "m", state::suspended)));
    CHECK(found(*t, t.issuer, "m").state.mirrored);
    CHECK(!look(*t, [](const rows& r) { return r.next_deadline(); }));
}

TEST_CASE_TEMPLATE("marks come oldest first, keep their place, and go", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    const auto a = approve_below(*t, t.issuer, "a", {});
    const auto b = approve_below(*t, t.issuer, "b", {});
    const auto mark = [](mission_row row, std::int64_t version, mission_row after) {
        changes c;
        cascade m;
        m.mission = row;
        m.family_version = version;
        m.after = after;
        c.cascades.push_back(m);
        return c;
    };
    REQUIRE(run(*t, mark(a, 2, {})));
    t.time.advance(1s);
    REQUIRE(run(*t, mark(b, 3, {})));
    t.time.advance(1s);
    REQUIRE(run(*t, mark(a, 4, mission_row{17})));
    REQUIRE(t->read_now([&](const rows& r) {
        const auto all = r.cascades(10);
        REQUIRE(all.size() == 2);
        CHECK(all[0].mission == a);
        CHECK(all[0].family_version == 4);
        CHECK(all[0].after == mission_row{17});
        CHECK(all[0].since == start_time);
        CHECK(all[0].id < all[1].id);
        CHECK(all[1].mission == b);
        CHECK(all[1].since == start_time + 1s);
        CHECK(r.cascades(1).size() == 1);
        CHECK(r.find_cascade(b)->family_version == 3);
        CHECK(!r.find_cascade(mission_row{9}));
    }));
    CHECK(run(*t, mark(mission_row{9}, 1, {})).error().code == errc::store_conflict);
    changes done;
    done.settled_cascades = {a};
    REQUIRE(run(*t, done));
    CHECK(!look(*t, [&](const rows& r) { return r.find_cascade(a); }));
    // A new mark goes to the end.
    REQUIRE(run(*t, mark(a, 5, {})));
    const auto all = look(*t, [](const rows& r) { return r.cascades(10); });
    REQUIRE(all.size() == 2);
    CHECK(all[0].mission == b);
    CHECK(all[1].id > all[0].id);
}

TEST_CASE_TEMPLATE("whoever waits for marks is told of batches that wrote one, and of no other",
                   Kind, ALL_BACKENDS) {
    opened<Kind> t;
    int told = 0;
    t->set_mark_listener([&] { ++told; });
    const auto row = approve_below(*t, t.issuer, "a", {});
    changes c;
    c.cascades.push_back({0, row, 1, {}, {}});
    REQUIRE(run(*t, c));
    changes gone;
    gone.settled_cascades = {row};
    REQUIRE(run(*t, gone));
    // It is told on the writer thread after the completions: once more, and nothing is under way.
    REQUIRE(run(*t, approve(t.issuer, "b")));
    CHECK(told == 1);
}

TEST_CASE_TEMPLATE("states of a range of rows come in order, of every issuer", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    const auto other = t->add_issuer("https://other.example").value();
    CHECK(look(*t, [](const rows& r) { return r.last_mission(); }) == mission_row{});
    for (int i = 0; i < 6; ++i)
        REQUIRE(run(*t, approve(i % 2 ? other : t.issuer, "m" + std::to_string(i))));
    REQUIRE(run(*t, move_to(other, "m3", state::revoked)));
    REQUIRE(t->read_now([&](const rows& r) {
        const auto some = r.states(mission_row{3}, mission_row{5});
        REQUIRE(some.size() == 3);
        CHECK(some[0].row == mission_row{3});
        CHECK(some[0].issuer == t.issuer);
        CHECK(some[0].state == state::active);
        CHECK(some[1].issuer == other);
        CHECK(some[1].state == state::revoked);
        CHECK(r.states(mission_row{0}, mission_row{100}).size() == 6);
        CHECK(r.states(mission_row{7}, mission_row{100}).empty());
    }));
}

}  // namespace mission::store::test
