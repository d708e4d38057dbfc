#include <doctest/doctest.h>

#include <random>

#include "tests/transmitter/missions/family_oracle.hpp"
#include "tests/transmitter/missions/family_support.hpp"
#include "transmitter/missions/extension.hpp"
#include "transmitter/missions/family.hpp"
#include "transmitter/missions/succession.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::test;

// Random families over a real store against an oracle that does everything at once: operations on
// random members, readers, bits of the drain, time, and crashes. However late and in whatever order
// the rows are written, every reader sees what the oracle has, in state and version.

namespace {

using oracle = family_oracle;
constexpr int max_depth = 8;
constexpr unsigned all_actions = 6;

std::string set_of(oracle::actions may) {
    if (!may) return "[]";
    std::string out =
        R"([{"type":"mission_resource_access","resource":"https://erp.example","actions":[)";
    for (unsigned i = 0; i < all_actions; ++i)
        if (may & (1u << i)) {
            if (out.back() != '[') out += ',';
            out += '"';
            out += static_cast<char>('a' + i);
            out += '"';
        }
    return out + "]}]";
}

std::string called(int i) {
    return "member-" + std::to_string(i);
}

struct counts {
    std::uint64_t steps = 0, reads = 0, done = 0, refused = 0, crashes = 0, members = 0;
};

template <class Kind>
class world {
  public:
    // `most` members; lives of up to `span` seconds.
    world(std::uint64_t seed, int most, int span) : random_(seed), most_(most), span_(span) {}

    void run(int steps, int crash_every) {
        for (int i = 0; i < steps; ++i) {
            CAPTURE(i);
            ++n.steps;
            if (dice(4) == 0) pass(std::chrono::seconds(dice(12)));
            step();
            if (crash_every && dice(crash_every) == 0) crash();
        }
    }

    // All is drained; then every row is what the oracle has, read by nobody.
    void finish() {
        while (r_.drain_once(1 + static_cast<std::size_t>(dice(200)))) {
        }
        // The clock's part, of the families that nobody touched: from the youngest up.
        for (int i = o_.size(); i-- > 0;)
            settle({i});
        while (r_.drain_once(7)) {
        }
        for (int i = 0; i < o_.size(); ++i) {
            check_row(i, r_.row(called(i)));
            check_history(i);
        }
        look(*r_.db, [&](const store::rows& rows) {
            CHECK(rows.cascades(1).empty());
            return 0;
        });
    }

    counts n;
    int size() const { return o_.size(); }

  private:
    int dice(int k) { return static_cast<int>(random_() % static_cast<unsigned>(k)); }
    wall_time now() const { return r_.time.now(); }
    // Mostly somebody who lives; the dead have little to tell.
    int anybody() {
        for (int i = 0; i < 4; ++i)
            if (const int one = dice(o_.size()); !o_.at(one).over()) return one;
        return dice(o_.size());
    }
    // Small numbers of whole seconds: moments coincide.
    wall_time soon(int seconds) { return now() + std::chrono::seconds(dice(seconds) - 3); }
    oracle::actions some(oracle::actions of) {
        return of & static_cast<oracle::actions>(random_() | random_());
    }

    // An expiry hides the end of a hold that nobody wrote in time (judge_clock). So the clock of
    // this test writes the ends of holds when they come, and leaves expiries to whoever comes by.
    void pass(std::chrono::seconds time) {
        const auto until = now() + time;
        for (;;) {
            const auto [next, who] = o_.next_hold_end();
            if (!next || *next > until) break;
            if (*next > now()) r_.time.advance(*next - now());
            o_.advance(now());
            settle(who);
        }
        r_.time.advance(until - now());
        o_.advance(now());
    }

    void step() {
        const int what = dice(100);
        if (o_.size() < 3 || (o_.size() < most_ && what < 25)) return create();
        if (what < 40) return read(anybody());
        if (what < 50) return settle({anybody(), anybody(), anybody()});
        if (what < 58) {
            r_.drain_once(1 + static_cast<std::size_t>(dice(5)));
            return;
        }
        if (what < 66) return narrow();
        if (what < 72) return extend();
        if (what < 74) return succeed();
        operate();
    }

    // Both have done it, or both have refused it for the same reason.
    void same(const result<store::receipt>& real, errc expected) {
        const auto code = real ? errc{} : real.error().code;
        REQUIRE_MESSAGE(code == expected, name(code), " instead of ", name(expected));
        ++(real ? n.done : n.refused);
    }

    void create() {
        const int parent = o_.size() == 0 || dice(12) == 0 ? -1 : anybody();
        auto may = static_cast<oracle::actions>(1 + dice((1 << all_actions) - 1));
        auto end = now() + std::chrono::seconds(5 + dice(span_));
        if (parent >= 0 && dice(10)) {
            // Within the parent, often to the very end of it.
            may = std::max(1u, some(o_.at(parent).may));
            end = dice(2) ? o_.at(parent).end : std::min(end, o_.at(parent).end);
            if (end <= now()) return;
        }
        const int me = o_.size();
        const auto expected = o_.create(parent, may, end, max_depth);
        same(r_.decide([&](settlement& s, const store::rows& rows, wall_time at) {
            return approve(s, rows, at, me, parent, may, end);
        }),
             expected);
    }

    result<void> approve(settlement& s, const store::rows& rows, wall_time at, int me, int parent,
                         oracle::actions may, wall_time end) {
        auto record = store::test::approval(r_.issuer, called(me)).approval.value();
        record.approved_at = at;
        const auto set = json::parse(set_of(may));
        if (parent >= 0) {
            const auto above = *s.settle(r_.issuer, long_id(called(parent)));
            if (auto ok = check_parent(above, {max_depth, 1000}); !ok) return ok;
            const auto bounds = parent_bounds::load(s, rows, above);
            const auto within = check_child(
                bounds->authority(), {&*set, end, "https://mas.example", "agent"},
                count_children(rows, above.state.row, *bounds->authority().in_force, {}));
            if (!within) return within.error();
            record.parent = above.record.mission_id;
            record.parent_row = above.state.row;
            record.depth = above.record.depth + 1;
            record.root_row = above.record.root_row == store::mission_row{} ? above.state.row
                                                                            : above.record.root_row;
        }
        store::mission_state first;
        first.state = state::active;
        first.version = first.authority_revision = 1;
        first.expires_at = end;
        first.changed_at = at;
        s.approve(std::move(record), first, set_of(may), {"https://erp.example"},
                  operator_at_work());
        return {};
    }

    void operate() {
        const int i = anybody();
        operation_request q;
        errc expected{};
        // Ends are rare, or the trees would be dead.
        const int what = dice(60) == 0 ? dice(2) : 2 + dice(5);
        if (what == 0) {
            q.what = operation::revoke;
            expected = o_.revoke(i);
        } else if (what == 1) {
            q.what = operation::complete;
            expected = o_.complete(i);
        } else if (what < 4) {
            q.what = operation::resume;
            expected = o_.resume(i);
        } else {
            q.what = operation::suspend;
            if (dice(2)) {
                q.suspend_until = soon(40);
                q.expiry_action = dice(6) ? events::on_expiry::resume : events::on_expiry::revoke;
            }
            expected = o_.suspend(i, q.suspend_until, q.expiry_action, now());
        }
        same(r_.operate(called(i), q), expected);
    }

    void narrow() {
        const int i = anybody();
        const auto may = dice(3) ? o_.at(i).may : some(o_.at(i).may | (dice(8) ? 0u : 1u));
        const auto end = dice(3) ? o_.at(i).end : soon(span_);
        const auto expected = o_.narrow(i, may, end, now());
        same(r_.narrow(called(i), set_of(may), end), expected);
    }

    void extend() {
        const int i = anybody();
        const auto may = o_.at(i).may | static_cast<oracle::actions>(dice(1 << all_actions));
        const auto end = o_.at(i).end + std::chrono::seconds(dice(3) ? 0 : dice(60));
        const auto expected = o_.extend(i, may, end);
        same(r_.decide([&](settlement& s, const store::rows& rows, wall_time at) -> result<void> {
            const auto m = *s.settle(r_.issuer, long_id(called(i)));
            const auto set = json::parse(set_of(may)), in_force = json::parse(s.authority(m));
            scope_request q;
            q.authorization_details = &*set;
            q.expires_at = end;
            const auto judged = judge_extension(m.state, *in_force, q, {true}, at);
            if (!judged) return judged.error();
            if (!*judged) return {};
            if (m.record.parent_row != store::mission_row{}) {
                const auto bounds = parent_bounds::load(s, rows, *s.settle(m.record.parent_row));
                const auto within =
                    check_child(bounds->authority(), {&*set, end, "https://mas.example", "agent"},
                                [](std::size_t, std::int64_t) { return std::int64_t{0}; });
                if (!within) return within.error();
            }
            s.commit(m, **judged, operator_at_work());
            return {};
        }),
             expected);
    }

    void succeed() {
        const int i = anybody();
        if (o_.size() >= most_ || o_.at(i).over() || !o_.at(i).may) return;
        const int parent = o_.at(i).parent, me = o_.size();
        const auto may = o_.at(i).may;
        const auto end = o_.at(i).end;
        const auto expected = o_.succeed(i, may, end, max_depth);
        same(r_.decide([&](settlement& s, const store::rows& rows, wall_time at) -> result<void> {
            const auto old = *s.settle(r_.issuer, long_id(called(i)));
            if (auto ok = check_predecessor(old, old.record.parent); !ok) return ok;
            if (auto ok = approve(s, rows, at, me, parent, may, end); !ok) return ok;
            s.commit_superseded(old, judge_supersession(old.state, long_id(called(me)), at),
                                keys_of(old), operator_at_work());
            return {};
        }),
             expected);
    }

    void read(int i) {
        ++n.reads;
        check_row(i, r_.read(called(i)));
    }

    // Several in one decision, as a list does.
    void settle(std::vector<int> who) {
        r_.decide([&](settlement& s, const store::rows&, wall_time) -> result<void> {
              for (const int i : who) {
                  const auto m = s.settle(r_.issuer, long_id(called(i)));
                  CHECK(m->state.version == o_.at(i).version);
              }
              return {};
          }).value();
        n.reads += who.size();
        for (const int i : who)
            check_row(i, r_.row(called(i)));
    }

    void check_row(int i, const store::mission_state& s) {
        CAPTURE(called(i));
        const auto& m = o_.at(i);
        const oracle::face shown{s.state, m.may, s.expires_at, s.suspend_until, s.on_expiry};
        INFO(events::name(s.state), " at ", s.version, ", the oracle has ",
             events::name(m.told().shown), " at ", m.version);
        REQUIRE(s.version == m.version);
        REQUIRE(shown == m.told());
        REQUIRE(own_state(s) == m.own);
        const auto set = look(*r_.db, [&](const store::rows& rows) {
            return rows.authority(s.row, s.authority_revision).value_or("?");
        });
        REQUIRE(set == set_of(m.may));
    }

    // Every version once, in the history and in the log; the parent's before the child's.
    void check_history(int i) {
        const auto row = r_.row(called(i));
        const auto history = r_.history(called(i));
        REQUIRE(static_cast<std::int64_t>(history.size()) == row.version);
        const auto signals =
            look(*r_.db, [&](const store::rows& rows) { return rows.mission_signals(row.row); });
        REQUIRE(signals.size() == history.size());
        for (std::size_t v = 0; v < history.size(); ++v) {
            CHECK(history[v].version == static_cast<std::int64_t>(v) + 1);
            CHECK(signals[v].version == history[v].version);
        }
        CHECK(history.back().state == row.state);
        if (row.state != state::cascaded) return;
        const auto above = look(
            *r_.db, [&](const store::rows& rows) { return rows.mission_signals(row.parent_row); });
        CHECK(above.back().seq < signals.back().seq);
    }

    // The files as they are this moment, as after a loss of power: nothing is closed in order.
    void crash() {
        ++n.crashes;
        namespace fs = std::filesystem;
        const auto file = r_.folder.file("store.db");
        for (const auto* part : {"", "-wal"})
            if (fs::exists(file + part))
                fs::copy_file(file + part, file + ".kept" + part,
                              fs::copy_options::overwrite_existing);
        r_.db.reset();
        for (const auto* part : {"", "-wal", "-shm"})
            fs::remove(file + part);
        for (const auto* part : {"", "-wal"})
            if (fs::exists(file + ".kept" + part)) fs::rename(file + ".kept" + part, file + part);
        store::store_options options;
        options.time = &r_.time;
        r_.db = store::open_store(Kind::url(r_.folder), options).value();
        REQUIRE(r_.db->add_issuer("https://mas.example").value() == r_.issuer);
    }

    std::mt19937_64 random_;
    const int most_, span_;
    registry<Kind> r_;
    oracle o_;
};

template <class Kind>
counts play(std::uint64_t seeds, int most, int span, int steps, int crash_every) {
    counts all;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        CAPTURE(seed);
        world<Kind> w(seed, most, span);
        w.run(steps, crash_every);
        w.finish();
        all.steps += w.n.steps;
        all.reads += w.n.reads;
        all.done += w.n.done;
        all.refused += w.n.refused;
        all.crashes += w.n.crashes;
        all.members += static_cast<std::uint64_t>(w.size());
    }
    MESSAGE(all.steps, " steps, ", all.reads, " reads, ", all.done, " done, ", all.refused,
            " refused, ", all.crashes, " crashes");
    return all;
}

}  // namespace

TEST_CASE("small families agree with the oracle") {
    const auto n = play<store::test::memory_kind>(60, 12, 600, 250, 0);
    CHECK(n.done > 2'000);
    CHECK(n.refused > 500);
    CHECK(n.reads > 2'000);
}

TEST_CASE("families of a thousand agree with the oracle") {
    const auto n = play<store::test::memory_kind>(3, 1000, 20'000, 10'000, 0);
    CHECK(n.members > 2'000);
    CHECK(n.done > 4'000);
    CHECK(n.reads > 4'000);
}

TEST_CASE("families on disk agree with the oracle across crashes in the middle of a drain") {
    const auto n = play<store::test::sqlite_kind>(2, 80, 2'000, 900, 25);
    CHECK(n.crashes > 20);
    CHECK(n.done > 200);
}
