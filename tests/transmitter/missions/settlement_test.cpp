#include <doctest/doctest.h>

#include "base/limits.hpp"
#include "tests/transmitter/missions/family_support.hpp"
#include "transmitter/missions/family.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::test;

namespace {

operation_request suspend_until(wall_time until, events::on_expiry then) {
    operation_request r;
    r.what = operation::suspend;
    r.suspend_until = until;
    r.expiry_action = then;
    return r;
}

// root -> child -> grandchild, and a sibling of the child.
template <class Registry>
void grow(Registry& r) {
    REQUIRE(r.approve("root").has_value());
    REQUIRE(r.approve("child", "root").has_value());
    REQUIRE(r.approve("sibling", "root").has_value());
    REQUIRE(r.approve("grandchild", "child").has_value());
}

}  // namespace

TEST_CASE("the end of a mission ends everything below it, generation by generation") {
    registry<> r;
    grow(r);
    REQUIRE(r.operate("root", operation::revoke).has_value());
    CHECK(r.row("root").state == state::revoked);
    CHECK(r.row("child").state == state::active);  // marked, not yet visited
    CHECK(r.drain_once(1));
    CHECK(r.row("child").state == state::cascaded);
    CHECK(r.row("sibling").state == state::active);
    CHECK(r.row("grandchild").state == state::active);
    r.drain(1);
    for (const auto* name : {"child", "sibling", "grandchild"}) {
        CHECK(r.row(name).state == state::cascaded);
        CHECK(r.row(name).version == 2);
    }
    CHECK_FALSE(r.drain_once());
    // In the log: the parent before the child, the child before its own.
    const auto log =
        look(*r.db, [](const store::rows& rows) { return rows.signals(0, rows.head(), 100); });
    std::vector<std::string> ended;
    for (const auto& s : log)
        if (s.version == 2) ended.push_back(s.keys.mission_id);
    CHECK(ended == std::vector<std::string>{long_id("root"), long_id("child"), long_id("sibling"),
                                            long_id("grandchild")});
}

TEST_CASE("whoever reads a pending descendant writes everything above it first") {
    registry<> r;
    grow(r);
    REQUIRE(r.operate("root", operation::revoke).has_value());
    CHECK(r.read("grandchild").state == state::cascaded);
    CHECK(r.row("child").state == state::cascaded);  // on the way
    CHECK(r.row("sibling").state == state::active);  // nobody asked
    CHECK(r.read("sibling").state == state::cascaded);
    r.drain();
    CHECK(r.row("grandchild").version == 2);
}

TEST_CASE("a suspension lies over the child's own state and lifts without a trace of it") {
    registry<> r;
    grow(r);
    REQUIRE(r.operate("sibling", operation::suspend).has_value());
    REQUIRE(r.operate("root", operation::suspend).has_value());
    r.drain();
    CHECK(r.row("child").state == state::suspended);
    CHECK(r.row("child").version == 2);
    CHECK(own_state(r.row("child")) == state::active);
    CHECK(r.row("grandchild").version == 2);
    CHECK(r.row("sibling").version == 2);  // its own; the parent's shows nothing new

    SUBCASE("suspending under it is recorded, and the lift leaves it suspended") {
        REQUIRE(r.operate("child", operation::suspend).has_value());
        CHECK(r.row("child").version == 2);
        CHECK(own_state(r.row("child")) == state::suspended);
        REQUIRE(r.operate("root", operation::resume).has_value());
        r.drain();
        CHECK(r.row("child").state == state::suspended);
        CHECK_FALSE(r.row("child").parent_hold);
        CHECK(r.row("child").version == 2);
        CHECK(r.row("grandchild").state == state::suspended);  // its parent stays so
        CHECK(r.row("sibling").state == state::suspended);
        REQUIRE(r.operate("child", operation::resume).has_value());
        CHECK(r.read("grandchild").state == state::active);
        CHECK(r.row("grandchild").version == 3);
    }
    SUBCASE("resuming is judged by the child's own state") {
        CHECK(r.operate("child", operation::resume).error() == errc::mission_conflict);
        REQUIRE(r.operate("sibling", operation::resume).has_value());
        CHECK(r.row("sibling").state == state::suspended);
        CHECK(own_state(r.row("sibling")) == state::active);
        REQUIRE(r.operate("root", operation::resume).has_value());
        CHECK(r.read("sibling").state == state::active);
    }
    SUBCASE("a deadline of its own passes beneath it") {
        REQUIRE(r.operate("child", suspend_until(start_time + 1h, events::on_expiry::resume))
                    .has_value());
        CHECK(r.row("child").version == 3);  // a deadline is told
        r.time.advance(2h);
        CHECK(r.read("child").state == state::suspended);
        CHECK(r.row("child").version == 4);
        CHECK_FALSE(r.row("child").suspend_until);
        REQUIRE(r.operate("root", operation::resume).has_value());
        CHECK(r.read("child").state == state::active);
    }
    SUBCASE("ending is possible, and nothing revives it") {
        REQUIRE(r.operate("child", operation::complete).has_value());
        REQUIRE(r.operate("root", operation::resume).has_value());
        r.drain();
        CHECK(r.row("child").state == state::completed);
        CHECK(r.row("grandchild").state == state::cascaded);
    }
}

TEST_CASE("onset and lift are a version each, however late they are written") {
    registry<> r;
    grow(r);
    REQUIRE(r.operate("root", operation::suspend).has_value());
    REQUIRE(r.operate("root", operation::resume).has_value());
    CHECK(r.read("grandchild").state == state::active);
    CHECK(r.row("grandchild").version == 3);
    r.drain();
    CHECK(r.row("child").version == 3);
    CHECK(r.row("grandchild").version == 3);
    CHECK(r.row("sibling").version == 3);
}

TEST_CASE("a mark is run again when the mission changes while its children are visited") {
    registry<> r;
    grow(r);
    REQUIRE(r.operate("root", operation::suspend).has_value());
    REQUIRE(r.drain_once(1));
    CHECK(r.row("child").state == state::suspended);
    REQUIRE(r.operate("root", operation::revoke).has_value());
    r.drain(1);
    CHECK(r.row("child").state == state::cascaded);
    CHECK(r.row("sibling").state == state::cascaded);
    CHECK(r.row("grandchild").state == state::cascaded);
}

TEST_CASE("what was due before a parent's end comes before it, and expiry wins a tie") {
    registry<> r;
    REQUIRE(r.approve("root").has_value());
    REQUIRE(r.approve("sooner", "root", start_time + 1h).has_value());
    REQUIRE(r.approve("same", "root", start_time + 2h).has_value());
    REQUIRE(r.approve("later", "root", start_time + 3h).has_value());
    r.time.advance(2h);
    REQUIRE(r.operate("root", operation::revoke).has_value());
    r.time.advance(2h);  // the drain comes late
    r.drain();
    CHECK(r.row("sooner").state == state::expired);
    CHECK(r.row("same").state == state::expired);
    CHECK(r.row("later").state == state::cascaded);
}

TEST_CASE("a cause binds from its own time, also through a generation that was written late") {
    registry<> r;
    REQUIRE(r.approve("root").has_value());
    REQUIRE(r.approve("child", "root").has_value());
    REQUIRE(r.approve("grandchild", "child", start_time + 2h).has_value());
    r.time.advance(1h);
    REQUIRE(r.operate("root", operation::revoke).has_value());
    r.time.advance(2h);
    r.drain();
    CHECK(r.row("grandchild").state == state::cascaded);  // bound an hour before it would expire
    CHECK(r.history("child").back().bound_at == start_time + 1h);
}

TEST_CASE("while the clock is in doubt families go on and deadlines wait") {
    registry<> r;
    grow(r);
    r.clock_ok = false;
    r.time.advance(20h);
    REQUIRE(r.operate("root", operation::revoke).has_value());
    r.drain();
    CHECK(r.row("root").state == state::revoked);
    CHECK(r.row("child").state == state::cascaded);
}

TEST_CASE("a narrowing bounds authority and lifetime of everything below it") {
    registry<> r;
    grow(r);
    constexpr std::string_view less =
        R"([{"type":"mission_resource_access","resource":"https://erp.example",)"
        R"("actions":["invoices.read"]}])";
    REQUIRE(r.narrow("root", less, start_time + 5h).has_value());
    r.drain();
    CHECK(r.authority("grandchild") == less);
    CHECK(r.row("grandchild").expires_at == start_time + 5h);
    CHECK(r.row("grandchild").version == 2);
    CHECK(r.row("grandchild").authority_revision == 2);
    const auto last = r.last_change("grandchild");
    CHECK(last.change == "narrowed");
    CHECK(last.authority_changed);
    CHECK(last.authorization_details == std::string(less));
    // A child that lies within the new bound already is not told anything.
    REQUIRE(r.narrow("root", {}, start_time + 5h).has_value());
    r.drain();
    CHECK(r.row("child").version == 2);
}

TEST_CASE("every version is audited with its cause") {
    registry<> r;
    grow(r);
    REQUIRE(r.operate("root", operation::revoke).has_value());
    r.drain();
    const auto entries = look(*r.db, [&](const store::rows& rows) {
        return rows.audit_of(r.issuer, long_id("grandchild"), 0, 100);
    });
    REQUIRE(entries.size() == 2);
    CHECK(entries[1].origin == "family");
    CHECK(entries[1].action == "family.end");
    CHECK(entries[1].actor.empty());
    CHECK(entries[1].version == 2);
    CHECK(entries[1].detail.find(long_id("child")) != std::string::npos);
    CHECK(r.history("grandchild").back().audit_seq == entries[1].seq);
}

TEST_CASE("what a mission is told of its parent goes with the signal") {
    registry<> r;
    grow(r);
    const auto first = r.last_change("child");
    CHECK(first.parent == long_id("root"));
    REQUIRE(first.parent_known);
    CHECK(first.parent_known->resources == std::vector<std::string>{"https://erp.example"});
    CHECK(first.parent_known->agent_client_id == "agent-7");
}

TEST_CASE("a mirrored mission is left alone by the clock and by its family") {
    registry<> r;
    grow(r);
    r.decide([&](settlement& s, const store::rows&, wall_time) -> result<void> {
         auto m = s.settle(r.issuer, long_id("child")).value();
         proposal p;
         p.next = m.state;
         p.next.mirrored = true;
         ++p.next.version;
         s.commit(m, p, operator_at_work());
         return {};
     }).value();
    REQUIRE(r.operate("root", operation::revoke).has_value());
    r.drain();
    r.time.advance(20h);
    CHECK(r.read("child").state == state::active);
    CHECK(r.row("sibling").state == state::cascaded);
    CHECK(r.operate("child", operation::revoke).error() == errc::mission_conflict);
}

TEST_CASE("children that a limit is about are counted once, and too many are enough") {
    registry<> r;
    REQUIRE(r.approve("root").has_value());
    const std::string small = std::string(plain_authority);
    REQUIRE(r.approve("a", "root", start_time + 10h, small).has_value());
    REQUIRE(r.approve("b", "root", start_time + 10h, small).has_value());
    REQUIRE(r.approve("c", "root", start_time + 10h, small).has_value());
    REQUIRE(r.operate("c", operation::complete).has_value());
    const auto in_force = json::parse(plain_authority);
    const auto root = r.row("root").row;
    const auto counted = [&](std::int64_t enough, store::mission_row except = {}) {
        return look(*r.db, [&](const store::rows& rows) {
            return count_children(rows, root, *in_force, except)(0, enough);
        });
    };
    CHECK(counted(3) == 2);  // one of them has ended
    CHECK(counted(3, r.row("a").row) == 1);
    CHECK(counted(100) == 3);  // all that there ever were: no need to look
    // A tenth of a second of the writer is all that is spent on it: beyond that nobody knows.
    std::string large = small;
    large.pop_back();
    large += R"(,{"type":"other","x":")" + std::string(150 << 10, 'x') + "\"}]";
    const auto most = limits::counted_authority_bytes / large.size() + 1;
    for (std::size_t i = 0; i < most; ++i)
        REQUIRE(
            r.approve("large" + std::to_string(i), "root", start_time + 10h, large).has_value());
    const auto ever = static_cast<std::int64_t>(most) + 3;
    CHECK(counted(ever) == ever);
}

TEST_CASE("whom a narrowing names anew knows the mission from then on") {
    registry<> r;
    const auto set = [](std::string_view resource, std::string_view more) {
        return R"([{"type":"mission_resource_access","resource":")" + std::string(resource) +
               R"(","actions":["a"])" + std::string(more) + "}]";
    };
    const auto all = set("https://all.example/", R"(,"resource_match":"prefix")");
    REQUIRE(r.approve("root", {}, start_time + 10h, all).has_value());
    REQUIRE(r.approve("child", "root", start_time + 10h, all).has_value());
    REQUIRE(r.narrow("root", set("https://all.example/one", "")).has_value());
    r.drain();
    const std::vector<std::string> known{"https://all.example/", "https://all.example/one"};
    for (const auto* name : {"root", "child"}) {
        const auto id = long_id(name);
        const auto m = look(*r.db, [&](const store::rows& rows) {
            return rows.find_mission(r.issuer, id).value();
        });
        CHECK(m.state.version == 2);
        CHECK(m.resources == known);
        const auto told = look(*r.db, [&](const store::rows& rows) {
            return rows.mission_signals(m.state.row).back();
        });
        CHECK(told.keys.resources == known);
    }
}
